// Package host is the seam between certtrust and a machine: its files,
// programs, users and environment. Everything that touches the machine goes
// through a [Host], so that the same code serves this machine, an offline root
// (an image, a mounted disk, a chroot) and a directory in a test.
//
// Paths are absolute as seen on the machine that is looked at, and slash
// separated. With Host.Root set, links are resolved inside it as a chroot
// would: nothing in a hostile image, not even one that changes while it is
// read, leads outside.
//
// Errors are [*store.Error] with the path as seen on the machine. They match
// what the system reported ([fs.ErrNotExist], [fs.ErrPermission], …) and, where
// there is one, the kind of package store (ErrPermission, ErrReadOnly).
//
// A Host may be used by several goroutines at once; its fields are set before
// that and not changed afterwards.
package host

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/certtrust/certtrust/store"
)

// Host is a machine. It is made with [Local] or [Offline], in tests with
// [Fake].
type Host struct {
	OS   string // of the machine that is looked at, as GOOS: "linux", "darwin", …
	Root string // "" = this machine's own root; else the absolute directory that all paths are resolved in
	Live bool   // its programs may be run

	Env  func(key string) string // the environment, "" for what is not set
	User User                    // who asked: under sudo, doas or pkexec the user behind it
	EUID int                     // the rights that this process has (0 = all); -1 on Windows
	Now  func() time.Time

	// Runner runs programs; nil = really run them. It is given the command as
	// the caller made it.
	Runner func(ctx context.Context, c Command) (Output, error)

	// Registry reads a key of the registry as RegistryKey returns it; nil = this
	// machine's own, which only Windows has.
	Registry func(key string) (values map[string]string, subkeys []string)

	// Secrets gives the passwords of stores; nil = there are none.
	Secrets Secrets

	// Engine is who generates what is made of anchors, "" = [EngineAuto].
	Engine string

	later *later // what is made durable together

	// Fault, if set, is called before every write operation and program run
	// with the operation ("create", "write", "sync", "rename", "link",
	// "symlink", "remove", "mkdir", "chmod", "lock", "run") and the path that
	// it is done for; an error that it returns makes that operation fail.
	Fault func(op, path string) error
}

// Engines returns what Host.Engine can be.
func Engines() []string { return []string{EngineAuto, EngineNative, EngineDistro} }

// The engines.
const (
	EngineAuto   = "auto"   // certtrust where it is known to do what the distribution's tool does, else that
	EngineNative = "native" // certtrust
	EngineDistro = "distro" // the distribution's tool
)

// User is a user of this machine.
type User struct {
	Name     string
	UID, GID int    // -1 on Windows
	Home     string // "" if unknown
	Via      string // "sudo", "doas" or "pkexec" if the rights came through it, else ""
}

// Local returns the machine that this process runs on.
func Local() *Host {
	euid := os.Geteuid()
	return &Host{
		OS: runtime.GOOS, Live: true, EUID: euid, Now: time.Now, Env: os.Getenv,
		User: whoAsked(euid, os.Getenv, lookup{user.LookupId, user.Lookup, user.Current}),
	}
}

// Offline returns the machine whose root directory is found in the directory
// root. Nothing of it is run, and its environment is empty. The user is still
// the one who asked. It is an error if root is not a directory.
func Offline(root string) (*Host, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, pathError("open root", root, err)
	}
	info, err := os.Stat(abs)
	switch {
	case err != nil:
		return nil, pathError("open root", root, err)
	case !info.IsDir():
		return nil, pathError("open root", root, store.Because(store.ErrInput, "not a directory"))
	}
	h := Local()
	h.Root, h.Live, h.Env = abs, false, noEnv
	h.OS = systemOf(h)
	return h, nil
}

// Fake returns a live machine made of what is in the directory root, for
// tests: Linux, EUID 0, the user "user" (1000), an empty environment. Programs
// that lie in root are run from there, without a change of root.
func Fake(root string) *Host {
	return &Host{
		OS: "linux", Root: root, Live: true, Env: noEnv, Now: time.Now,
		User: User{Name: "user", UID: 1000, GID: 1000, Home: "/home/user"},
	}
}

func noEnv(string) string { return "" }

// systems tells the operating system of an offline root by what lies in it;
// the first row that fits counts.
var systems = []struct{ path, os string }{
	{"/etc/os-release", "linux"},
	{"/usr/lib/os-release", "linux"},
	{"/System/Library", "darwin"},
	{"/Windows/System32", "windows"},
	{"/bin/freebsd-version", "freebsd"},
	{"/etc/openssl/certs.conf", "netbsd"},
	{"/etc/installurl", "openbsd"},
}

func systemOf(h *Host) string {
	for _, s := range systems {
		if _, err := h.Stat(s.path); err != nil {
			continue
		}
		// FreeBSD has /etc/os-release too.
		if text, err := h.ReadFile(s.path, 1<<16); err == nil && strings.Contains(string(text), "ID=freebsd") {
			return "freebsd"
		}
		return s.os
	}
	return "linux"
}

// StateDir returns the directory that certtrust keeps its own records in: the
// machine's for ScopeSystem, that of h.User for ScopeUser. It need not exist.
func (h *Host) StateDir(scope store.Scope) string {
	system := map[string]string{
		"darwin":  "/Library/Application Support/certtrust",
		"windows": path.Join(or(slashed(h.Env("ProgramData")), "C:/ProgramData"), "certtrust"),
	}
	if scope == store.ScopeSystem {
		return or(system[h.OS], "/var/lib/certtrust")
	}
	// The environment is the user's own unless it was handed over by sudo.
	own := func(key string) string {
		if h.User.Via != "" || !absolute(h.OS, slashed(h.Env(key))) {
			return ""
		}
		return slashed(h.Env(key))
	}
	if h.OS == "windows" {
		return path.Join(or(own("LOCALAPPDATA"), path.Join(slashed(h.User.Home), "AppData/Local")), "certtrust")
	}
	return path.Join(or(own("XDG_STATE_HOME"), path.Join(slashed(h.User.Home), ".local/state")), "certtrust")
}

// RegistryKey returns the texts and the subkeys in a key of the registry, such
// as `HKLM\SOFTWARE\JavaSoft\JDK`: nothing where there is none, as in an offline
// root, whose registry is not read.
func (h *Host) RegistryKey(key string) (values map[string]string, subkeys []string) {
	switch {
	case h.Registry != nil:
		return h.Registry(key)
	case h.Live && h.Root == "" && h.OS == "windows":
		return readRegistry(key)
	}
	return nil, nil
}

func or(s, fallback string) string {
	if s != "" {
		return s
	}
	return fallback
}

// slashed writes a path of the environment with slashes.
func slashed(p string) string {
	if runtime.GOOS == "windows" {
		return filepath.ToSlash(p)
	}
	return p
}

// lookup is the user database.
type lookup struct {
	id, name func(string) (*user.User, error)
	current  func() (*user.User, error)
}

// raisers are the programs that give rights to a user, and the variables in
// which they say who that is.
var raisers = []struct{ via, uid, name, gid string }{
	{"sudo", "SUDO_UID", "SUDO_USER", "SUDO_GID"},
	{"doas", "", "DOAS_USER", ""},
	{"pkexec", "PKEXEC_UID", "", ""},
}

// whoAsked returns the user behind this process. The variables of sudo and the
// like are only believed with euid 0: who is not root could have set them to
// anything. The home then comes from the user database, never from the
// environment.
func whoAsked(euid int, env func(string) string, db lookup) User {
	if euid == 0 {
		for _, r := range raisers {
			if u, ok := behind(r.via, env(r.uid), env(r.name), env(r.gid), db); ok {
				return u
			}
		}
	}
	u := User{UID: euid, GID: os.Getegid()}
	if found, err := db.current(); err == nil {
		u = fromDatabase(found)
		// user.Current is about the real user.
		u.UID, u.GID = euid, os.Getegid()
	}
	key := "HOME"
	if runtime.GOOS == "windows" {
		key = "USERPROFILE"
	}
	if home := env(key); filepath.IsAbs(home) && !(euid == 0 && belongsToAnother(home, euid)) {
		u.Home = slashed(filepath.Clean(home))
	}
	return u
}

// belongsToAnother tells that root has somebody else's HOME, as after `su -m`.
func belongsToAnother(dir string, uid int) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return false
	}
	owner, _, ok := ownerOf(info)
	return ok && owner != uid
}

func behind(via, uid, name, gid string, db lookup) (User, bool) {
	if uid == "" && name == "" {
		return User{}, false
	}
	var found *user.User
	var err error
	if uid != "" {
		found, err = db.id(uid)
	} else {
		found, err = db.name(name)
	}
	u := User{Name: name, Via: via}
	if err == nil {
		u = fromDatabase(found)
		u.Via = via
	} else {
		// A user of a directory service that this program cannot ask.
		var errUID, errGID error
		u.UID, errUID = strconv.Atoi(uid)
		u.GID, errGID = strconv.Atoi(gid)
		if errUID != nil || errGID != nil {
			return User{}, false
		}
	}
	return u, u.UID > 0 // root behind root is nobody else
}

func fromDatabase(found *user.User) User {
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			return -1 // a SID
		}
		return n
	}
	return User{Name: found.Username, UID: number(found.Uid), GID: number(found.Gid), Home: slashed(found.HomeDir)}
}

// fault is the hook of tests.
func (h *Host) fault(op, path string) error {
	if h.Fault == nil {
		return nil
	}
	return h.Fault(op, path)
}

// ErrTooLarge is the error of a file that is larger than its reader takes.
var ErrTooLarge = errors.New("file is too large")

var (
	errNotRegular = errors.New("not a regular file")
	errNotDir     = errors.New("not a directory")
	errLoop       = errors.New("too many links")
)

// pathError says what failed where. The text of err is kept without the path
// that the system put in, which is not the one that is seen on the machine.
func pathError(op, p string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := err.(*store.Error); ok {
		return err
	}
	err = bare(err)
	for _, k := range kinds {
		if errors.Is(err, k.system) {
			err = store.Because(k.kind, "%w", err)
			break
		}
	}
	return &store.Error{Op: op, Path: p, Err: err}
}

// bare takes off the path that the system put on an error.
func bare(err error) error {
	switch e := err.(type) {
	case *fs.PathError:
		return e.Err
	case *os.LinkError:
		return e.Err
	}
	return err
}
