// Package securitytest is macOS's /usr/bin/security as far as certificates and
// trust settings go, for tests on other systems: Apple's argument parsing,
// output, exit codes, and what each version of macOS asks a person for. Its
// state is in files, so that it can be one process or many.
//
// It shares no code with the backend that is tested by it. Every rule names the
// source that it follows, in Apple's published Security project unless it says
// otherwise. What nobody has confirmed on a Mac is listed in UNCONFIRMED.md.
package securitytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/certtrust/certtrust/platform/host"
)

// Versions are those of macOS that differ in something, oldest first.
func Versions() []string { return []string{"10.14", "10.15", "11", "14", "15", "26"} }

// Where things are on a Mac.
const (
	Tool           = "/usr/bin/security"
	RootsKeychain  = "/System/Library/Keychains/SystemRootCertificates.keychain"
	RootsTrust     = "/System/Library/Keychains/SystemTrustSettings.plist"
	SystemKeychain = "/Library/Keychains/System.keychain"

	stateFile = "/.security-state.json"
)

// UserID is the user of the machine, "user", whose home is Home.
const (
	UserID = 501
	Home   = "/Users/user"
	UUID   = "01234567-89AB-CDEF-0123-456789ABCDEF"
)

// LoginKeychain is the user's.
const LoginKeychain = Home + "/Library/Keychains/login.keychain-db"

// State is what the machine is in. Tests set it with [Machine.Edit].
type State struct {
	Version string `json:"version"`
	// Screen is who sits at it: "present" answers the dialog as it should be,
	// "cancel" and "deny" as not, "hang" does not answer, "none" is a session
	// without a screen, and "internal" one that macOS 11 cannot even ask in.
	Screen string `json:"screen"`
	// AdminRight and UserRight are "default" or "allow", as authorizationdb
	// has made them.
	AdminRight   string               `json:"adminRight"`
	UserRight    string               `json:"userRight"`
	UserDisabled bool                 `json:"userDisabled,omitempty"`
	Keychains    map[string]*Keychain `json:"keychains"`
	Search       []string             `json:"search"` // the user's list
	Trust        map[string]*List     `json:"trust"`  // "admin", "user:501"; absent = no file
	// Say, if it is set for a command, is what it prints on standard error and
	// the code it ends with, and it does nothing.
	Say  map[string]Saying `json:"say,omitempty"`
	Tick int64             `json:"tick"` // seconds on the clock
	Log  []string          `json:"log,omitempty"`
}

// Saying is what a command ends with.
type Saying struct {
	Stdout, Stderr string
	Code           int
	Times          int  // how often; 0 = always
	After          bool // it has done what it should before that
}

// Keychain is a keychain.
type Keychain struct {
	Certs   [][]byte `json:"certs"`
	Owner   int      `json:"owner"` // user ID
	Format  int      `json:"format"`
	Damaged int      `json:"damaged,omitempty"` // this many items can be read, the next is damaged; 0 = none is
	Extra   []string `json:"extra,omitempty"`   // what else find-certificate prints
	Locked  bool     `json:"locked,omitempty"`
	Sealed  bool     `json:"sealed,omitempty"` // nobody can write to it
	Broken  bool     `json:"broken,omitempty"` // no keychain file
}

// Machine is a Mac in a directory.
type Machine struct {
	Root string
	// Moment, if it is set, is called when something is about to happen:
	// "dialog" while a person is asked.
	Moment func(what string)

	mu   sync.Mutex
	text []byte // of the state file, as it was read last
	last *State
}

// New makes a Mac of that version in an empty directory, with Apple's roots.
func New(root, version string, roots ...[]byte) (*Machine, error) {
	m := &Machine{Root: root}
	st := &State{
		Version: version, Screen: "present", AdminRight: "default", UserRight: "default",
		Keychains: map[string]*Keychain{
			RootsKeychain:  {Certs: roots, Format: 256, Sealed: true},
			SystemKeychain: {Format: 256},
			LoginKeychain:  {Format: 512, Owner: UserID},
		},
		Search: []string{LoginKeychain}, Trust: map[string]*List{}, Tick: 1_700_000_000,
	}
	list := NewList()
	for _, der := range roots {
		if err := list.set(der, nil, st.now()); err != nil {
			return nil, err
		}
	}
	files := map[string][]byte{
		RootsTrust: list.XML(),
		"/System/Library/CoreServices/SystemVersion.plist":       []byte(xmlPlist(dict{"ProductVersion": version, "ProductName": "macOS"})),
		"/private/var/db/dslocal/nodes/Default/users/user.plist": []byte(xmlPlist(dict{"generateduid": []any{UUID}, "name": []any{"user"}})),
		Tool: []byte("#!/bin/sh\nexit 99\n"), "/bin/launchctl": []byte("#!/bin/sh\nexit 99\n"),
		"/etc/passwd": []byte("user:*:501:20:User:" + Home + ":/bin/zsh\n"),
	}
	for _, dir := range []string{"/private/tmp", Home + "/Library/Keychains", "/Library/Keychains", "/Library/Preferences"} {
		if err := os.MkdirAll(m.path(dir), 0o755); err != nil {
			return nil, err
		}
	}
	for p, data := range files {
		if err := m.put(p, data); err != nil {
			return nil, err
		}
	}
	for _, program := range []string{Tool, "/bin/launchctl"} {
		if err := os.Chmod(m.path(program), 0o755); err != nil {
			return nil, err
		}
	}
	for p := range st.Keychains {
		if err := m.project(st, p); err != nil {
			return nil, err
		}
	}
	return m, m.save(st)
}

// Open opens a Mac that [New] has made.
func Open(root string) *Machine { return &Machine{Root: root} }

func (m *Machine) path(p string) string { return filepath.Join(m.Root, filepath.FromSlash(p)) }

func (m *Machine) put(p string, data []byte) error {
	file := m.path(p)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	// In one step: others may be reading.
	temp := fmt.Sprintf("%s.%d.new", file, os.Getpid())
	if err := os.WriteFile(temp, data, 0o644); err != nil {
		return err
	}
	return os.Rename(temp, file)
}

// project writes a keychain as the file that macOS would have.
func (m *Machine) project(st *State, p string) error {
	k := st.Keychains[p]
	if k.Broken {
		return m.put(p, []byte("this is no keychain"))
	}
	return m.put(p, KeychainFile(k.Certs))
}

func (m *Machine) load() (*State, error) {
	text, err := os.ReadFile(m.path(stateFile))
	if err != nil {
		return nil, err
	}
	if m.last != nil && bytes.Equal(text, m.text) {
		return m.last, nil
	}
	st := &State{}
	if err := json.Unmarshal(text, st); err != nil {
		return nil, err
	}
	m.text, m.last = text, st
	return st, nil
}

func (m *Machine) save(st *State) error {
	text, err := json.Marshal(st)
	if err != nil {
		return err
	}
	if err := m.put(stateFile, text); err != nil {
		return err
	}
	m.text, m.last = text, st
	return nil
}

// lock keeps other processes out, as securityd does.
func (m *Machine) lock(ctx context.Context) (func(), error) {
	m.mu.Lock()
	unlock, err := host.Fake(m.Root).Lock(ctx, "/.security-lock", time.Minute, "security")
	if err != nil {
		m.mu.Unlock()
		return nil, err
	}
	return func() { unlock(); m.mu.Unlock() }, nil
}

// Edit changes the state.
func (m *Machine) Edit(change func(*State)) error {
	unlock, err := m.lock(context.Background())
	if err != nil {
		return err
	}
	defer unlock()
	st, err := m.load()
	if err != nil {
		return err
	}
	change(st)
	for p := range st.Keychains {
		if err := m.project(st, p); err != nil {
			return err
		}
	}
	if err := m.projectTrust(st); err != nil {
		return err
	}
	prefs := "/Library/Preferences/com.apple.security.plist"
	if st.UserDisabled {
		if err := m.put(prefs, []byte(xmlPlist(dict{"DisableUserTrustSettings": true}))); err != nil {
			return err
		}
	} else if err := os.Remove(m.path(prefs)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return m.save(st)
}

// State returns a copy of the state.
func (m *Machine) State() (State, error) {
	unlock, err := m.lock(context.Background())
	if err != nil {
		return State{}, err
	}
	defer unlock()
	st, err := m.load()
	if err != nil {
		return State{}, err
	}
	text, err := json.Marshal(st)
	if err != nil {
		return State{}, err
	}
	var out State
	return out, json.Unmarshal(text, &out)
}

// projectTrust writes the files of the trust settings: since macOS 12 where
// nobody else can read them (trustdFileLocations.m), before beside each other
// (TrustSettingsSchema.h).
func (m *Machine) projectTrust(st *State) error {
	for domain, files := range map[string][2]string{
		"admin":    {"/private/var/protected/trustd/private/Admin.plist", "/Library/Security/Trust Settings/Admin.plist"},
		"user:501": {"/private/var/protected/trustd/private/" + UUID + "/TrustSettings.plist", "/Library/Security/Trust Settings/" + UUID + ".plist"},
	} {
		file := files[1]
		if st.since(12, 0) {
			file = files[0]
		}
		list := st.Trust[domain]
		if list == nil {
			if err := os.Remove(m.path(file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			continue
		}
		if err := m.put(file, list.XML()); err != nil {
			return err
		}
	}
	return nil
}

// since reports whether it is that version of macOS or a newer one.
func (st *State) since(major, minor int) bool {
	a, b, _ := strings.Cut(st.Version, ".")
	x, _ := strconv.Atoi(a)
	y, _ := strconv.Atoi(b)
	return x > major || x == major && y >= minor
}

func (st *State) now() time.Time { return time.Unix(st.Tick, 0).UTC() }

// Describe returns all that counts of the state, a line each. An empty list of
// trust settings is the same as none: no program can tell them apart by what
// they trust.
func (m *Machine) Describe() (string, error) {
	st, err := m.State()
	if err != nil {
		return "", err
	}
	var lines []string
	for _, p := range slices.Sorted(maps.Keys(st.Keychains)) {
		for _, der := range st.Keychains[p].Certs {
			lines = append(lines, p+" "+sha256Hex(der))
		}
	}
	for _, d := range slices.Sorted(maps.Keys(st.Trust)) {
		for _, key := range slices.Sorted(maps.Keys(st.Trust[d].Records)) {
			lines = append(lines, d+" "+key+" "+xmlPlist(st.Trust[d].Records[key].value()))
		}
	}
	left, err := filepath.Glob(m.path("/private/tmp/.*"))
	if err != nil {
		return "", err
	}
	for _, file := range left {
		lines = append(lines, "left behind: "+path.Base(filepath.ToSlash(file)))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n"), nil
}

// Dialogs returns how often a person was asked.
func (m *Machine) Dialogs() (int, error) {
	st, err := m.State()
	n := 0
	for _, line := range st.Log {
		if strings.HasPrefix(line, "dialog") {
			n++
		}
	}
	return n, err
}

// call is one run of the tool.
type call struct {
	ctx      context.Context
	m        *Machine
	st       *State
	euid     int // and the user ID: the tool is not set-ID
	args     []string
	out, err bytes.Buffer
	quiet    bool
	unlock   func()
}

// Run runs a command of the machine as a user, and returns what it printed and
// its exit code.
func (m *Machine) Run(ctx context.Context, uid int, args []string) (stdout, stderr []byte, code int) {
	c := &call{ctx: ctx, m: m, euid: uid, args: args}
	unlock, err := m.lock(ctx)
	if err != nil {
		return nil, []byte(err.Error()), 99
	}
	c.unlock = unlock
	defer func() { c.unlock() }()
	if c.st, err = m.load(); err != nil {
		return nil, []byte(err.Error()), 99
	}
	c.st.Log = append(c.st.Log, fmt.Sprintf("uid %d: %s", uid, strings.Join(args, " ")))
	code = c.dispatch()
	if len(c.st.Log) > 1000 {
		c.st.Log = c.st.Log[500:]
	}
	if err := m.save(c.st); err != nil {
		return nil, []byte(err.Error()), 99
	}
	return c.out.Bytes(), c.err.Bytes(), code
}

// Runner runs commands on the machine for a host whose process has the user ID
// euid.
func (m *Machine) Runner(euid int) func(context.Context, host.Command) (host.Output, error) {
	return func(ctx context.Context, c host.Command) (host.Output, error) {
		uid := euid
		if c.Rights != nil {
			uid = c.Rights.UID
		}
		timeout := c.Timeout
		if timeout == 0 {
			timeout = time.Minute
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		stdout, stderr, code := m.Run(ctx, uid, c.Args)
		out := host.Output{Stdout: stdout, Stderr: stderr}
		switch {
		case ctx.Err() != nil && code != 0:
			return out, &host.ExecError{Args: c.Args, ExitCode: -1, Stderr: stderr, Err: ctx.Err()}
		case code != 0:
			return out, &host.ExecError{Args: c.Args, ExitCode: code, Stderr: stderr}
		}
		return out, nil
	}
}

// Host returns the machine as this program sees it, with the rights of a user.
func (m *Machine) Host(euid int) *host.Host {
	h := host.Fake(m.Root)
	h.OS, h.EUID = "darwin", euid
	h.User = host.User{Name: "user", UID: UserID, GID: 20, Home: Home}
	if euid == 0 {
		h.User = host.User{Name: "root", Home: "/var/root"}
	}
	h.Now = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	h.Runner = m.Runner(euid)
	return h
}

// The variables by which a test binary becomes the tool: see [Main].
const (
	RootVariable = "CERTTRUST_SECURITY_ROOT"
	UIDVariable  = "CERTTRUST_SECURITY_UID"
)

// Install makes the machine's programs be the test binary, which calls [Main]
// at the beginning of its TestMain. One with the race detector would sleep for a
// second before it ends, each time.
func (m *Machine) Install(binary string, uid int) error {
	for _, program := range []string{Tool, "/bin/launchctl"} {
		script := fmt.Sprintf("#!/bin/sh\nGORACE=atexit_sleep_ms=0 %s='%s' %s=%d exec '%s' '%s' \"$@\"\n", RootVariable, m.Root, UIDVariable, uid, binary, program)
		if err := m.put(program, []byte(script)); err != nil {
			return err
		}
		if err := os.Chmod(m.path(program), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// Main is the tool, if this process was started as one: it writes what that
// prints, and returns its exit code and true.
func Main(out, errs io.Writer) (code int, is bool) {
	root := os.Getenv(RootVariable)
	if root == "" {
		return 0, false
	}
	uid, err := strconv.Atoi(os.Getenv(UIDVariable))
	if err != nil {
		return 99, true
	}
	// Without an end, a dialog that hangs would be a deadlock, which Go tells.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	stdout, stderr, code := Open(root).Run(ctx, uid, os.Args[1:])
	out.Write(stdout)
	errs.Write(stderr)
	return code, true
}
