package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/urfave/cli/v2"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/certtrust/certtrust/cmd/internal/render"
	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/platform"
	"github.com/certtrust/certtrust/platform/anchors/anchorstest"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/keychain/securitytest"
	"github.com/certtrust/certtrust/platform/probe/probetest"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
	"github.com/certtrust/certtrust/store/storetest"
)

// The scripts in testdata/script run the whole program on a fake Debian
// machine. What they can say beside what testscript knows:
//
//	debian [-java] [N]        makes the machine in $ROOT, with N certificates of
//	                          the vendor, vendor1 and so on
//	mac VERSION [N]           makes a Mac in $ROOT instead: see package securitytest
//	macset KEY=VALUE…         changes it: screen, or orphan, the name of a
//	                          certificate that is only in the trust settings
//	dialogs N                 that many were opened since the last time
//	mkca NAME FILE [OPTION…]  makes a certificate: see the table mkcaOptions
//	mkpair NAME FILE …        makes two whose fingerprints begin with the same
//	                          eight digits
//	exit CODE certtrust …     runs certtrust, which must end with that code; its
//	                          output is checked too: see checkRun
//	interrupt INT|KILL CODE certtrust …
//	                          the same, and sends it that signal while the update
//	                          tool is at work; the code of what is killed is -1
//	serve NAME CASE           runs a server of package probetest: NAME is its
//	                          address, NAMEhost what to ask for, and the files
//	                          NAME-N.pem are the roots it is to be trusted by
//	json PATH                 what is at that place of the JSON on stdout is
//	     [== | != | ~ | =]    there, or equals, does not equal or matches a text,
//	                          or becomes the value of a variable
//	tree NAME                 remembers all files of the machine and the stores
//	[!] sametree NAME         they are as they were, but for certtrust's own records
//	[!] untouched NAME        they have not even been written, nor have its records
//	mode MODE FILE…           the permissions of files
//	write FILE TEXT…          writes lines, in which Go's escapes count
//	mkfifo FILE               makes a named pipe
//	unhash DIR                removes the hash links in a directory
//	noise FILE N              writes N megabytes of what looks like PEM
//	sparse FILE N             makes a file of N megabytes without content
//	mkp12 FILE NAME           writes a keystore that needs the password "secret"
//	publish [-tls NAME [-aia URL]] VAR [DIR]
//	                          serves the files in DIR; VAR becomes HOST:PORT. With
//	                          -tls the chain is a leaf, NAME's, and who issued that,
//	                          or the leaf alone that says where its issuer is
//
// A name of mkca and debian is a variable with the fingerprint; with 16 at its
// end it is the fingerprint's beginning. These variables tell of the machine:
//
//	ROOT      its root directory
//	EUID      the rights of the process: 0 (the default) or 1000
//	VIA       the program that gave them, such as sudo
//	TOOL      the update tool "fails", "lies", "hangs" until it is interrupted
//	HOOK      the tool's hook for Java "fails"
//	STORES    other stores beside the system's: see the table fakeStores
//	TTY       if set, there is a person at a terminal
var scriptDir = filepath.Join("..", "..", "..", "testdata", "script")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"certtrust": func() { os.Exit(fakeProgram().interruptibly(os.Args)) },
	})
}

func TestScripts(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the fake machine is made of symbolic links and modes")
	}
	testscript.Run(t, testscript.Params{
		Dir:                 scriptDir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("ROOT", filepath.Join(e.WorkDir, "root"))
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			e.Values[certsKey{}] = map[string]*storetest.CA{}
			e.Values[treesKey{}] = map[string]string{}
			e.Values[tbKey{}] = e.T()
			return os.Mkdir(filepath.Join(e.WorkDir, "stores"), 0o755)
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mac": scriptMac, "macset": scriptMacset, "dialogs": scriptDialogs,
			"serve": scriptServe, "debian": scriptDebian, "layout": scriptLayout, "mkca": scriptMkca, "mkpair": scriptMkpair, "exit": scriptExit, "json": scriptJSON,
			"tree": scriptTree, "sametree": scriptSameTree, "untouched": scriptUntouched,
			"mode": scriptMode, "write": scriptWrite, "mkfifo": scriptFIFO, "unhash": scriptUnhash, "interrupt": scriptInterrupt, "noise": scriptNoise, "sparse": scriptSparse, "mkp12": scriptMkp12, "publish": scriptPublish,
		},
	})
}

// fakeProgram returns the program on the machine that the environment tells of.
func fakeProgram() *App {
	a := here("1.2.3", os.Args[0])
	local := a.Host
	h, updater := anchorstest.Open(os.Getenv("ROOT"))
	h.Now, h.Env = local.Now, os.Getenv
	h.User.Via = os.Getenv("VIA")
	if euid, err := strconv.Atoi(os.Getenv("EUID")); err == nil {
		h.EUID = euid
	}
	updater.Exit = map[string]int{"fails": 3}[os.Getenv("TOOL")]
	updater.Lie = os.Getenv("TOOL") == "lies"
	if os.Getenv("HOOK") == "fails" {
		updater.Hook = func([]string) error { return errors.New("the hook fails") }
	}
	run := updater.Run
	if os.Getenv("MAC") != "" {
		h = securitytest.Open(os.Getenv("ROOT")).Host(h.EUID)
		h.Now, h.Env = local.Now, os.Getenv
		h.User.Via = os.Getenv("VIA")
		run = h.Runner
	}
	h.Runner = func(ctx context.Context, c host.Command) (host.Output, error) {
		args, rights := c.Args, []string{"EUID=" + strconv.Itoa(h.EUID), "VIA=" + h.User.Via}
		if args[0] == "/usr/bin/sudo" {
			args, rights = args[slices.Index(args, "--")+1:], []string{"EUID=0", "VIA=sudo"}
		}
		if c.Rights != nil {
			rights = []string{"EUID=" + strconv.Itoa(c.Rights.UID), "VIA="}
		}
		if args[0] == a.Self[0] {
			cmd := exec.CommandContext(ctx, args[0], args[1:]...)
			cmd.Stdin, cmd.Env = c.Stdin, append(os.Environ(), rights...)
			out, err := cmd.Output()
			return host.Output{Stdout: out}, err
		}
		if os.Getenv("TOOL") == "hangs" {
			// The script sees by the half-written bundle that it has begun.
			if err := os.WriteFile(filepath.Join(h.Root, halfBundle), []byte("half"), 0o644); err != nil {
				return host.Output{}, err
			}
			<-ctx.Done()
			return host.Output{}, &host.ExecError{Args: c.Args, ExitCode: -1, Err: ctx.Err()}
		}
		return run(ctx, c)
	}
	a.Host = h
	a.Backends = append(a.Backends, platform.Backend{
		Name: "mem", Scopes: []store.Scope{store.ScopeUser, store.ScopeSystem},
		Detect: func(context.Context, *host.Host) platform.Detection {
			d := platform.Detection{Reasons: []string{"the test asks for them"}}
			for _, name := range strings.Fields(os.Getenv("STORES")) {
				d.Stores = append(d.Stores, fakeStore(name))
			}
			return d
		},
	})
	if os.Getenv("TTY") != "" {
		a.Streams.In = struct{ io.Reader }{a.Streams.In} // a file would be asked to be a terminal
		a.Streams.InTTY, a.Streams.ErrTTY = true, true
	}
	return a
}

// halfBundle is what the update tool writes, below the root.
const halfBundle = "etc/ssl/certs/ca-certificates.crt.new"

// fakeStores are the stores that scripts can ask for: mem:NAME, kept in the
// file stores/NAME.json. All are chosen by default but the last one.
var fakeStores = map[string]struct {
	scope     store.Scope
	purposes  []store.Purpose // nil = all
	write     *store.Obstacle
	fault     func(op string) error
	byRequest bool
}{
	"user":   {},
	"second": {},
	"email":  {purposes: []store.Purpose{store.PurposeEmail, store.PurposeServerAuth}},
	"system": {scope: store.ScopeSystem, purposes: []store.Purpose{store.PurposeAny}},
	"failing": {fault: func(op string) error {
		if op == "write" {
			return errors.New("the disk is full")
		}
		return nil
	}},
	"damaged": {}, // the script writes nonsense into its file
	"locked": {fault: func(op string) error {
		if op == "lock" {
			return store.Because(store.ErrLocked, "another program is at work")
		}
		return nil
	}},
	"consent": {write: &store.Obstacle{Kind: store.NeedsConsent, Text: "a person must answer a dialog", Hint: "run it on the desktop"}},
	"unasked": {byRequest: true},
}

func fakeStore(name string) *storetest.Memory {
	row, ok := fakeStores[name]
	if !ok {
		panic("there is no fake store " + name)
	}
	info := store.Info{ID: store.ID("mem:" + name), Title: "Test store " + name, Scope: row.scope, Default: !row.byRequest}
	info.Access.Write = row.write
	if row.purposes != nil {
		info.Express = store.Express{Purposes: row.purposes, Decisions: []store.Decision{store.Trusted, store.Distrusted}}
	}
	m := storetest.NewMemory(info)
	m.File = filepath.Join(os.Getenv("WORK"), "stores", name+".json")
	m.Fault = row.fault
	return m
}

type (
	certsKey struct{} // the certificates that a script has made, by name
	treesKey struct{} // the states that it has remembered
	tbKey    struct{} // its test
)

func certsOf(ts *testscript.TestScript) map[string]*storetest.CA {
	return ts.Value(certsKey{}).(map[string]*storetest.CA)
}

func tb(ts *testscript.TestScript) testing.TB { return ts.Value(tbKey{}).(testing.TB) }

// remember makes a certificate known to the script by a name.
func remember(ts *testscript.TestScript, name string, ca *storetest.CA) {
	certsOf(ts)[name] = ca
	ts.Setenv(name, ca.Cert().SHA256.String())
	ts.Setenv(name+"16", ca.Cert().SHA256.Short())
	ts.Setenv(name+"32", ca.Cert().SHA256.String()[:32])
}

func scriptDebian(ts *testscript.TestScript, _ bool, args []string) {
	java := len(args) > 0 && args[0] == "-java"
	if java {
		args = args[1:]
	}
	vendor := map[string][]byte{}
	if len(args) > 0 {
		n, err := strconv.Atoi(args[0])
		ts.Check(err)
		for i := range n {
			name := fmt.Sprintf("vendor%d", i+1)
			ca := storetest.NewCA(tb(ts), storetest.CN(fmt.Sprintf("Vendor Root %d", i+1)))
			remember(ts, name, ca)
			vendor[name] = ca.PEM()
		}
	}
	_, _, err := anchorstest.Debian(ts.Getenv("ROOT"), vendor, java)
	ts.Check(err)
}

// layout FAMILY DIR makes the root of a system of a family, with one of the
// vendor's certificates, in a directory.
func scriptLayout(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[1])
	ca := storetest.NewCA(tb(ts), storetest.CN("Vendor Root"))
	for _, l := range anchorstest.Layouts() {
		if l.Name == args[0] {
			_, _, err := l.Make(dir, map[string][]byte{"vendor": ca.PEM()})
			ts.Check(err)
			return
		}
	}
	// Without a tool, and without anything to be written.
	for name, text := range map[string]string{"etc/NIXOS": "", "etc/os-release": "ID=" + args[0] + "\n", "etc/ssl/certs/ca-certificates.crt": string(ca.PEM())} {
		file := filepath.Join(dir, filepath.FromSlash(name))
		ts.Check(os.MkdirAll(filepath.Dir(file), 0o755))
		ts.Check(os.WriteFile(file, []byte(text), 0o644))
	}
}

func scriptMac(ts *testscript.TestScript, _ bool, args []string) {
	var roots [][]byte
	if len(args) > 1 {
		n, err := strconv.Atoi(args[1])
		ts.Check(err)
		for i := range n {
			ca := storetest.NewCA(tb(ts), storetest.CN(fmt.Sprintf("Vendor Root %d", i+1)))
			remember(ts, fmt.Sprintf("vendor%d", i+1), ca)
			roots = append(roots, ca.DER())
		}
	}
	ts.Check(os.MkdirAll(ts.Getenv("ROOT"), 0o755))
	m, err := securitytest.New(ts.Getenv("ROOT"), args[0], roots...)
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(m.Root, "usr/bin/sudo"), nil, 0o755))
	ts.Setenv("MAC", "1")
}

func scriptMacset(ts *testscript.TestScript, _ bool, args []string) {
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		var failed error
		ts.Check(securitytest.Open(ts.Getenv("ROOT")).Edit(func(st *securitytest.State) {
			switch key {
			case "screen":
				st.Screen = value
			case "orphan":
				if st.Trust["admin"] == nil {
					st.Trust["admin"] = securitytest.NewList()
				}
				failed = st.Trust["admin"].Put(certsOf(ts)[value].DER(), nil)
			default:
				failed = fmt.Errorf("macset: there is no %q", key)
			}
		}))
		ts.Check(failed)
	}
}

func scriptDialogs(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	m := securitytest.Open(ts.Getenv("ROOT"))
	n, err := m.Dialogs()
	ts.Check(err)
	if n != want {
		ts.Fatalf("there were %d dialogs", n)
	}
	ts.Check(m.Edit(func(st *securitytest.State) { st.Log = nil }))
}

// made is a certificate in the making, and the file for it.
type made struct {
	ts      *testscript.TestScript
	options []storetest.Option
	issuer  *storetest.CA
	ca      *storetest.CA // already made

	append         bool // to the file
	before, after  []byte
	label, newline string
	der, spoil     bool
	aux            []byte
}

// mkcaOptions are what a certificate can be beside an authority that is in
// order, and its file beside PEM. Some have a value: "cn=Acme Root".
var mkcaOptions = map[string]func(m *made, value string){
	"cn": func(m *made, value string) {
		text, err := strconv.Unquote(`"` + value + `"`) // with Go's escapes
		m.ts.Check(err)
		m.add(storetest.CN(text))
	},
	"o":       func(m *made, value string) { m.add(storetest.Subject(pkix.Name{Organization: []string{value}})) },
	"expired": func(m *made, _ string) { m.valid(2010, 2020) },
	"future":  func(m *made, _ string) { m.valid(2090, 2099) },
	"until": func(m *made, value string) {
		to, err := time.Parse(time.DateOnly, value)
		m.ts.Check(err)
		m.add(storetest.Validity(to.AddDate(-10, 0, 0), to))
	},
	"weak": func(m *made, _ string) { m.add(storetest.RSA(1024)) },
	"leaf": func(m *made, _ string) {
		m.add(storetest.NotCA(), storetest.Hosts("host.example"))
		m.valid(2020, 2049)
	},
	"no-ca":      func(m *made, _ string) { m.add(storetest.NoBasicConstraints()) },
	"unparsable": func(m *made, _ string) { m.ca = storetest.Unparsable(tb(m.ts)) },
	"email-only": func(m *made, _ string) { m.add(storetest.EKU(x509.ExtKeyUsageEmailProtection)) },
	"only-dns":   func(m *made, value string) { m.add(storetest.PermittedDNS(value)) },
	"issuer":     func(m *made, name string) { m.issuer = m.known(name) },
	"twin":       func(m *made, name string) { m.ca = storetest.Twin(tb(m.ts), m.known(name)) },
	"of":         func(m *made, name string) { m.ca = m.known(name) }, // another file of the same
	"append":     func(m *made, _ string) { m.append = true },
	"key":        func(m *made, _ string) { m.after = append(m.after, m.final().KeyPEM()...) },
	"text": func(m *made, value string) {
		text, err := strconv.Unquote(`"` + value + `"`)
		m.ts.Check(err)
		m.before = append(m.before, text...)
	},
	"label":         func(m *made, value string) { m.label = value },
	"crlf":          func(m *made, _ string) { m.newline = "\r\n" },
	"der":           func(m *made, _ string) { m.der = true },
	"bad-signature": func(m *made, _ string) { m.spoil = true },
	// OpenSSL's TRUSTED CERTIFICATE (openssl-x509, Trust Settings), trusted for
	// e-mail alone.
	"trusted-for-email": func(m *made, _ string) {
		m.label = "TRUSTED CERTIFICATE"
		aux, err := asn1.Marshal(struct{ Trust []asn1.ObjectIdentifier }{[]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 4}}})
		m.ts.Check(err)
		m.aux = aux
	},
}

func (m *made) add(options ...storetest.Option) { m.options = append(m.options, options...) }

func (m *made) valid(from, to int) {
	m.add(storetest.Validity(time.Date(from, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(to, 1, 1, 0, 0, 0, 0, time.UTC)))
}

func (m *made) known(name string) *storetest.CA {
	ca := certsOf(m.ts)[name]
	if ca == nil {
		m.ts.Fatalf("there is no certificate %q", name)
	}
	return ca
}

// final makes the certificate, if it is not yet.
func (m *made) final() *storetest.CA {
	switch {
	case m.ca != nil:
	case m.issuer != nil:
		m.ca = m.issuer.Issue(tb(m.ts), m.options...)
	default:
		m.ca = storetest.NewCA(tb(m.ts), m.options...)
	}
	return m.ca
}

func scriptMkca(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: mkca NAME FILE [OPTION...]")
	}
	m := &made{ts: ts, label: "CERTIFICATE", newline: "\n"}
	for _, arg := range args[2:] {
		name, value, _ := strings.Cut(arg, "=")
		option, ok := mkcaOptions[name]
		if !ok {
			ts.Fatalf("mkca: there is no option %q", name)
		}
		option(m, value)
	}
	remember(ts, args[0], m.final())
	der := m.ca.DER()
	if m.spoil {
		der[len(der)-1] ^= 1
		ts.Setenv(args[0], store.FingerprintOf(der).String())
		ts.Setenv(args[0]+"16", store.FingerprintOf(der).Short())
	}
	data := append(der, m.aux...)
	if !m.der {
		data = pem.EncodeToMemory(&pem.Block{Type: m.label, Bytes: data})
	}
	data = slices.Concat(m.before, data, m.after)
	if m.newline != "\n" {
		data = bytes.ReplaceAll(data, []byte("\n"), []byte(m.newline))
	}
	file := ts.MkAbs(args[1])
	if m.append {
		old, err := os.ReadFile(file)
		ts.Check(err)
		data = append(old, data...)
	}
	ts.Check(os.MkdirAll(filepath.Dir(file), 0o755))
	ts.Check(os.WriteFile(file, data, 0o644))
	ts.Check(os.Chmod(file, 0o644)) // whatever the umask
}

// scriptServe runs a server until the script ends.
func scriptServe(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: serve NAME CASE")
	}
	c, known := probetest.Find(args[1])
	if !known {
		ts.Fatalf("serve: there is no case %q", args[1])
	}
	s, err := probetest.Start(context.Background(), c, probetest.Options{})
	ts.Check(err)
	ts.Defer(s.Close)
	ts.Setenv(args[0], s.Addr)
	ts.Setenv(args[0]+"host", s.Target.Input)
	for i, root := range s.Roots() {
		ts.Check(os.WriteFile(ts.MkAbs(fmt.Sprintf("%s-%d.pem", args[0], i)), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}), 0o644))
	}
	if len(s.Sent) > 0 {
		fp := store.FingerprintOf(s.Sent[len(s.Sent)-1]).String() // of what was sent last
		ts.Setenv(args[0]+"last", fp)
	}
}

// scriptMkpair changes the signature of one certificate until two of the
// results begin alike.
func scriptMkpair(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: mkpair NAME FILE NAME FILE")
	}
	der := storetest.NewCA(tb(ts), storetest.CN("Pair")).DER()
	seen := map[string][]byte{}
	for i := uint32(0); ; i++ {
		binary.BigEndian.PutUint32(der[len(der)-4:], i)
		fp := store.FingerprintOf(der)
		other := seen[fp.String()[:store.MinPrefix]]
		if other == nil {
			seen[fp.String()[:store.MinPrefix]] = slices.Clone(der)
			continue
		}
		for n, raw := range [][]byte{other, der} {
			name, file := args[2*n], args[2*n+1]
			ts.Setenv(name, store.FingerprintOf(raw).String())
			ts.Setenv(name+"8", fp.String()[:store.MinPrefix])
			ts.Check(os.WriteFile(ts.MkAbs(file), certfile.EncodePEM(store.NewCert(raw)), 0o644))
		}
		return
	}
}

// scriptExit runs certtrust and compares its exit code.
func scriptExit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || args[1] != "certtrust" {
		ts.Fatalf("usage: exit CODE certtrust [ARGUMENT...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	stdout, stderr := ts.ReadFile("stdout"), ts.ReadFile("stderr")
	for _, fault := range checkRun(args[2:], got, stdout, stderr) {
		ts.Fatalf("%s", fault)
	}
	if got != want {
		ts.Fatalf("exit code %d, not %d", got, want)
	}
}

// checkRun returns what is wrong with any run of the program: it must not
// crash, its messages must follow the rules of package term, a failure must be
// told, and where JSON is asked for there must be just one document, or JSON
// lines, that follow their schema. A wrong command line writes no result.
func checkRun(args []string, code int, stdout, stderr string) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if code < 0 || strings.Contains(stderr, "goroutine ") {
		fault("it crashed")
	}
	messages := stderr
	if _, after, asked := strings.Cut(stderr, "[Y/n] "); asked {
		messages = after // before a question stands what it is about
	}
	for line := range strings.Lines(messages) {
		text := strings.TrimSuffix(line, "\n")
		if strings.HasSuffix(text, ".") || strings.TrimSpace(text) == "" {
			fault("the message %q ends with a full stop, or is empty", text)
		}
		if kind, rest, ok := strings.Cut(strings.TrimPrefix(text, "certtrust: "), ": "); ok && strings.HasPrefix(text, "certtrust: ") {
			if !slices.Contains([]string{"error", "warning", "hint"}, kind) || rest == "" {
				fault("the message %q is none of error, warning and hint", text)
			}
		}
	}
	failed := strings.Contains(stderr, "certtrust: error: ") || strings.Contains(stderr, "certtrust: warning: ")
	if code != 0 && !failed && !slices.Contains(args, "--help") {
		fault("exit code %d, and nothing tells why", code)
	}
	for _, text := range []string{stdout, stderr} {
		if i := strings.IndexFunc(text, func(r rune) bool {
			return r != '\n' && r != '\r' && r != '\t' && store.Printable(string(r)) != string(r) && r != '\\'
		}); i >= 0 {
			fault("%q is written to the terminal as it is", text[i:min(i+20, len(text))])
		}
	}
	usageWrong := code == 2 && stdout == ""
	switch {
	case has(args, "json") && slices.Contains(args, "export"): // the report, beside what is written
		if code == 0 {
			if err := validate([]byte(stderr), false); err != nil {
				fault("%v", err)
			}
		}
	case has(args, "jsonl"):
		for line := range strings.Lines(stdout) {
			if err := validate([]byte(line), true); err != nil {
				fault("%v", err)
			}
		}
	case has(args, "json") && !usageWrong && !slices.Contains(args, "--help"):
		if err := validate([]byte(stdout), false); err != nil {
			fault("%v", err)
		}
	}
	return faults
}

// has reports whether a format is asked for.
func has(args []string, format string) bool {
	return slices.Contains(args, "--"+format) || slices.Contains(args, "--format="+format) ||
		slices.Contains(args, format) && slices.Contains(args, "--format")
}

// schemaFile names the schema of a document, or of a line of JSON lines.
func schemaFile(id string, line bool) string {
	name := strings.TrimSuffix(strings.TrimPrefix(id, "certtrust."), "/v1")
	switch {
	case slices.Contains(render.ChangeCommands(), name):
		return "change"
	case line && (name == "list" || name == "diagnose-list" || name == "audit"):
		return name + "-header"
	}
	return name
}

// validate checks one JSON document against the schema that it names.
func validate(doc []byte, line bool) error {
	var instance map[string]any
	if err := json.Unmarshal(doc, &instance); err != nil {
		return fmt.Errorf("not one JSON document: %v", err)
	}
	id, _ := instance["schema"].(string)
	data, err := os.ReadFile(filepath.Join(scriptDir, "..", "schema", schemaFile(id, line)+".json"))
	if err != nil {
		return fmt.Errorf("no schema for a document that says %q: %v", id, err)
	}
	var schema jsonschema.Schema
	if err := json.Unmarshal(data, &schema); err != nil {
		return err
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		return err
	}
	return resolved.Validate(instance)
}

// scriptJSON looks at a value of the JSON on standard output. A path is made of
// .KEY, [INDEX], [KEY=VALUE] for the first element that has that, and .length; the lines of JSON lines are one array.
func scriptJSON(ts *testscript.TestScript, neg bool, args []string) {
	var doc any
	text := ts.ReadFile("stdout")
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		var lines []any
		for line := range strings.Lines(text) {
			var l any
			ts.Check(json.Unmarshal([]byte(line), &l))
			lines = append(lines, l)
		}
		doc = lines
	}
	value, err := lookUp(doc, args[0])
	if neg {
		if err == nil {
			ts.Fatalf("%s is there: %v", args[0], value)
		}
		return
	}
	ts.Check(err)
	got, ok := value.(string)
	if !ok {
		data, err := json.Marshal(value)
		ts.Check(err)
		got = string(data)
	}
	switch {
	case len(args) == 1:
	case len(args) != 3:
		ts.Fatalf("usage: json PATH [== TEXT | != TEXT | ~ PATTERN | = VARIABLE]")
	case args[1] == "=":
		ts.Setenv(args[2], got)
	default:
		holds := map[string]bool{"==": got == args[2], "!=": got != args[2], "~": args[1] == "~" && regexp.MustCompile(args[2]).MatchString(got)}
		if ok, known := holds[args[1]]; !known || !ok {
			ts.Fatalf("%s is %s, which is not %s %s", args[0], got, args[1], args[2])
		}
	}
}

var pathStep = regexp.MustCompile(`^(?:\.([A-Za-z0-9_]+)|\[(\d+)\]|\[([A-Za-z0-9_]+)=([^\]]*)\])`)

func lookUp(value any, path string) (any, error) {
	for rest := path; rest != ""; {
		m := pathStep.FindStringSubmatch(rest)
		if m == nil {
			return nil, fmt.Errorf("%q is no path", rest)
		}
		rest = rest[len(m[0]):]
		next, ok := any(nil), false
		list, _ := value.([]any)
		switch {
		case m[1] == "length":
			next, ok = len(list), true
		case m[1] != "":
			object, _ := value.(map[string]any)
			next, ok = object[m[1]]
		case m[2] != "":
			i, err := strconv.Atoi(m[2])
			if ok = err == nil && i < len(list); ok {
				next = list[i]
			}
		default:
			for _, element := range list {
				object, _ := element.(map[string]any)
				if fmt.Sprint(object[m[3]]) == m[4] {
					next, ok = element, true
					break
				}
			}
		}
		if !ok {
			return nil, fmt.Errorf("there is no %s, but at %s: %v", path, strings.TrimSuffix(path, m[0]+rest), value)
		}
		value = next
	}
	return value, nil
}

func scriptTree(ts *testscript.TestScript, _ bool, args []string) {
	trees := ts.Value(treesKey{}).(map[string]string)
	trees[args[0]], trees[args[0]+" in full"] = snapshot(ts, false), snapshot(ts, true)
}

func scriptSameTree(ts *testscript.TestScript, neg bool, args []string) {
	compareTrees(ts, neg, args[0], snapshot(ts, false))
}

func scriptUntouched(ts *testscript.TestScript, neg bool, args []string) {
	compareTrees(ts, neg, args[0]+" in full", snapshot(ts, true))
}

func compareTrees(ts *testscript.TestScript, neg bool, name, now string) {
	was, ok := ts.Value(treesKey{}).(map[string]string)[name]
	if !ok {
		ts.Fatalf("there is no tree %q", name)
	}
	if (was == now) == neg {
		lines := map[string]int{}
		for line := range strings.Lines(was) {
			lines[line]--
		}
		for line := range strings.Lines(now) {
			lines[line]++
		}
		for _, line := range slices.Sorted(maps.Keys(lines)) {
			if lines[line] != 0 {
				ts.Logf("%+d %s", lines[line], line)
			}
		}
		ts.Fatalf("the files have changed: %v", !neg)
	}
}

// snapshot describes the files of the machine and of the fake stores: in full
// also when they were written, and certtrust's own records and what it has set
// aside.
func snapshot(ts *testscript.TestScript, full bool) string {
	var lines []string
	work := ts.Getenv("WORK")
	for _, dir := range []string{ts.Getenv("ROOT"), filepath.Join(work, "stores")} {
		ts.Check(filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel := strings.TrimPrefix(p, work)
			// What leads to the records is theirs.
			own := rel == "/root/var/lib/certtrust" || rel == "/root/etc/ssl/certtrust-set-aside" || rel == "/root/home" || rel == "/root/Library/Application Support" || rel == "/root/Users/user/.local"
			if strings.HasPrefix(rel, "/root/.security-") {
				return nil // what the emulator remembers, of reading too
			}
			if !full && own {
				return filepath.SkipDir
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			b := new(strings.Builder)
			fmt.Fprintf(b, "%s %s", rel, info.Mode())
			switch target, _ := os.Readlink(p); {
			case target != "":
				fmt.Fprintf(b, " -> %s", target)
			case info.Mode().IsRegular():
				data, err := os.ReadFile(p)
				if err != nil && !errors.Is(err, fs.ErrPermission) {
					return err
				}
				if string(data) == "{}" && !full { // a store that is empty again
					return nil
				}
				fmt.Fprintf(b, " %s", store.FingerprintOf(data).Short())
			}
			if full {
				fmt.Fprintf(b, " %d", info.ModTime().UnixNano())
			}
			lines = append(lines, b.String())
			return nil
		}))
	}
	return strings.Join(lines, "\n")
}

func scriptMode(ts *testscript.TestScript, neg bool, args []string) {
	for _, file := range args[1:] {
		info, err := os.Stat(ts.MkAbs(file))
		ts.Check(err)
		if got := fmt.Sprintf("%#o", info.Mode().Perm()); (got == args[0]) == neg {
			ts.Fatalf("%s has the mode %s", file, got)
		}
	}
}

func scriptWrite(ts *testscript.TestScript, _ bool, args []string) {
	var b strings.Builder
	for _, line := range args[1:] {
		text, err := strconv.Unquote(`"` + line + `"`)
		ts.Check(err)
		b.WriteString(text + "\n")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o644))
}

func scriptFIFO(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec("mkfifo", ts.MkAbs(args[0])))
}

// scriptUnhash removes the hash links of a directory.
func scriptUnhash(ts *testscript.TestScript, _ bool, args []string) {
	links, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "????????.[0-9]"))
	ts.Check(err)
	for _, link := range links {
		ts.Check(os.Remove(link))
	}
}

// scriptInterrupt runs certtrust with a tool that hangs, sends it a signal when
// the tool is at work, and checks it like scriptExit.
func scriptInterrupt(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]os.Signal{"INT": os.Interrupt, "KILL": os.Kill}
	if neg || len(args) < 3 || signals[args[0]] == nil || args[2] != "certtrust" {
		ts.Fatalf("usage: interrupt INT|KILL CODE certtrust [ARGUMENT...]")
	}
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	program, err := exec.LookPath("certtrust")
	ts.Check(err)
	cmd := exec.Command(program, args[3:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), []string{"TOOL=hangs"}
	for _, name := range []string{"WORK", "ROOT", "EUID", "STORES", "GORACE", "GOCOVERDIR"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	ts.Check(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for tick := time.NewTicker(2 * time.Millisecond); ; <-tick.C {
		if _, err := os.Stat(filepath.Join(ts.Getenv("ROOT"), halfBundle)); err == nil {
			break
		}
		if len(ended) > 0 {
			ts.Fatalf("it has ended by itself: %s", &stderr)
		}
	}
	ts.Check(cmd.Process.Signal(signals[args[0]]))
	<-ended
	io.WriteString(ts.Stdout(), stdout.String())
	io.WriteString(ts.Stderr(), stderr.String())
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("exit code %d, not %d", got, want)
	}
	if want >= 0 {
		for _, fault := range checkRun(args[3:], want, stdout.String(), stderr.String()) {
			ts.Fatalf("%s", fault)
		}
	}
}

// scriptNoise writes what looks like PEM and is nothing.
func scriptNoise(ts *testscript.TestScript, _ bool, args []string) {
	megabytes, err := strconv.Atoi(args[1])
	ts.Check(err)
	const line = "-----BEGIN CERTIFICATE-----\nMIIB-----END\n-----BEGIN "
	data := bytes.Repeat([]byte(line), megabytes<<20/len(line))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
}

// scriptSparse makes a file that is too large to be read, and takes no place.
func scriptSparse(ts *testscript.TestScript, _ bool, args []string) {
	megabytes, err := strconv.ParseInt(args[1], 10, 32)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), nil, 0o644))
	ts.Check(os.Truncate(ts.MkAbs(args[0]), megabytes<<20))
}

func scriptMkp12(ts *testscript.TestScript, _ bool, args []string) {
	data, err := pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{certsOf(ts)[args[1]].Cert().Parsed()}, "secret")
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
}

// scriptPublish serves files, until the script ends.
func scriptPublish(ts *testscript.TestScript, _ bool, args []string) {
	var issuer *storetest.CA
	if args[0] == "-tls" {
		issuer, args = certsOf(ts)[args[1]], args[2:]
	}
	aia := ""
	if args[0] == "-aia" {
		aia, args = args[1], args[2:]
	}
	dir := "."
	if len(args) > 1 {
		dir = args[1]
	}
	server := httptest.NewUnstartedServer(http.FileServer(http.Dir(ts.MkAbs(dir))))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if issuer == nil {
		server.Start()
	} else {
		chain := issuer.Leaf(tb(ts), "127.0.0.1")
		chain.Certificate = append(chain.Certificate[:1:1], issuer.DER())
		if aia != "" {
			chain = issuer.Issue(tb(ts), storetest.NotCA(), storetest.Hosts("127.0.0.1"), storetest.Template(func(c *x509.Certificate) {
				c.IssuingCertificateURL = []string{aia}
			})).TLS()
			chain.Certificate = chain.Certificate[:1]
		}
		server.TLS = &tls.Config{Certificates: []tls.Certificate{chain}}
		server.StartTLS()
		ts.Setenv(args[0]+"_leaf", store.FingerprintOf(chain.Certificate[0]).String())
	}
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.Listener.Addr().String())
}

// TestHelp looks at the help of every command: how it is called, all its flags,
// and an example are in it, and it fits a terminal of the usual width.
func TestHelp(t *testing.T) {
	var commands [][]string
	var visit func(list []*cli.Command, path []string)
	flags := map[string][]cli.Flag{}
	visit = func(list []*cli.Command, path []string) {
		for _, c := range list {
			if c.Hidden {
				continue
			}
			name := append(slices.Clip(path), c.Name)
			flags[strings.Join(name, " ")] = c.Flags
			if commands = append(commands, name); len(c.Subcommands) > 0 {
				visit(c.Subcommands, name)
			}
		}
	}
	streams, _, _ := term.Test("")
	visit((&App{Streams: streams}).tree().Commands, nil)
	if len(commands) < 15 {
		t.Fatalf("only %d commands", len(commands))
	}
	for _, command := range append(commands, nil) {
		name := strings.Join(command, " ")
		t.Run(name, func(t *testing.T) {
			help := func(args ...string) string {
				streams, out, errs := term.Test("")
				a := &App{Streams: streams}
				if code := a.Run(t.Context(), append([]string{"certtrust"}, args...)); code != 0 || errs.Len() > 0 {
					t.Fatalf("%q: exit code %d: %s", args, code, errs)
				}
				return out.String()
			}
			text := help(append([]string{"help"}, command...)...)
			for _, same := range [][]string{append(slices.Clone(command), "--help"), append([]string{"--help"}, command...), append(slices.Clone(command), "-h")} {
				if other := help(same...); other != text && name != "help" { // which is asked for help as such
					t.Errorf("%q prints something else:\n%s", same, other)
				}
			}
			for line := range strings.Lines(text) {
				if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > helpWidth {
					t.Errorf("%d columns: %s", n, line)
				}
				if strings.TrimRight(line, " \n") != strings.TrimSuffix(line, "\n") {
					t.Errorf("blanks at the end of %q", line)
				}
			}
			for _, f := range flags[name] {
				if !strings.Contains(text, dashed(f.Names()[0])) {
					t.Errorf("it does not mention %s", dashed(f.Names()[0]))
				}
			}
			if !strings.Contains(text, "--json") || !strings.Contains(text, "--timeout DURATION") {
				t.Error("it does not mention the flags of all commands")
			}
			example := regexp.MustCompile(`(?m)^ *(sudo |source <\()?certtrust ` + name + `\b`)
			if n := len(example.FindAllString(text, -1)); n < 2 && name != "completion" { // the first is the usage
				t.Errorf("it gives no example:\n%s", text)
			}
		})
	}
}
