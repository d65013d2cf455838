package keychain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"howett.net/plist"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/keychain/securitytest"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
	"github.com/certtrust/certtrust/store/storetest"
)

// scenarios are what happens on real Macs, each run for every version that
// differs in something.
var scenarios = []struct {
	name string
	run  func(m *mac, v version)
}{
	{"01 three domains are listed", listed},
	{"02 the user trusts, with one dialog", userTrusts},
	{"03 root trusts, with as many dialogs as that version has", rootTrusts},
	{"04 nobody is there", nobodyThere},
	{"05 the dialog is cancelled, denied, or hangs", dialogRefused},
	{"06 behind sudo", behindSudo},
	{"07 roots, intermediates and leaves", kindsOfCertificates},
	{"08 a new certificate with an old issuer and serial number", regenerated},
	{"09 a second time", again},
	{"10 fifty roots, one dialog, and others meanwhile", fifty},
	{"11 a root of Apple's is distrusted", denied},
	{"12 too much trust is narrowed", narrowed},
	{"13 a damaged record", damagedRecord},
	{"14 an item that cannot be read", unreadableItem},
	{"15 what each version is like", versions},
	{"16 a message in another language", otherLanguage},
	{"17 files that the tool would not read", files},
	{"18 settings of every sort", settingsOfEverySort},
	{"19 users' settings are switched off", switchedOff},
	{"20 the administrator and the user disagree", disagree},
	{"21 the files of keychains", keychainFiles},
	{"22 a configuration profile", profiles},
	{"23 nothing is taken for an option", arguments},
}

func TestScenarios(t *testing.T) {
	for i, s := range scenarios {
		if !strings.HasPrefix(s.name, fmt.Sprintf("%02d ", i+1)) {
			t.Errorf("scenario %d is missing", i+1)
		}
	}
	for _, v := range securitytest.Versions() {
		t.Run(v, func(t *testing.T) {
			for _, s := range scenarios {
				t.Run(s.name, func(t *testing.T) {
					m := newMac(t, v)
					parsed, _ := readVersion(m.Host(0))
					s.run(m, parsed)
				})
			}
		})
	}
}

// The wishes and the doing.

func trusting(c *store.Cert, purposes ...store.Purpose) store.Change {
	if len(purposes) == 0 {
		purposes = []store.Purpose{store.PurposeServerAuth}
	}
	t := store.TrustFor(store.Trusted, purposes...)
	return store.Change{Fingerprint: c.SHA256, DER: c.Raw, Trust: &t}
}

func denying(c *store.Cert) store.Change {
	t := store.TrustFor(store.Distrusted, store.PurposeAny)
	return store.Change{Fingerprint: c.SHA256, DER: c.Raw, Trust: &t}
}

func without(c *store.Cert) store.Change { return store.Change{Fingerprint: c.SHA256, Absent: true} }

func (m *mac) plan(s *Store, want ...store.Change) store.Plan {
	m.t.Helper()
	p, err := s.Plan(m.t.Context(), want)
	if err != nil {
		m.t.Fatal(err)
	}
	return p
}

func (m *mac) do(s *Store, want ...store.Change) store.Receipt {
	m.t.Helper()
	p := m.plan(s, want...)
	if len(p.Refused) > 0 {
		m.t.Fatalf("refused: %+v", p.Refused)
	}
	r, err := s.Apply(m.t.Context(), p)
	if err != nil {
		m.t.Fatal(err)
	}
	if again := m.plan(s, want...); !again.Empty() {
		m.t.Fatalf("there is still to do: %+v", again.Steps)
	}
	return r
}

// fails applies and wants an error of that kind, with nothing changed.
func (m *mac) fails(s *Store, kind error, want ...store.Change) error {
	m.t.Helper()
	before := m.describe()
	p := m.plan(s, want...)
	if len(p.Refused) > 0 {
		m.t.Fatalf("refused: %+v", p.Refused)
	}
	_, err := s.Apply(m.t.Context(), p)
	if !errors.Is(err, kind) {
		m.t.Fatalf("the error is %v, not %v", err, kind)
	}
	if after := m.describe(); after != before {
		m.t.Fatalf("after %v there is\n%s\nand not\n%s", err, after, before)
	}
	return err
}

func (m *mac) list(s store.Store) (entries []store.Entry, errs []error) {
	for e, err := range s.Entries(m.t.Context()) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%v: %w", e.Source, err))
			continue
		}
		entries = append(entries, e)
	}
	return entries, errs
}

func (m *mac) entry(s store.Store, c *store.Cert) store.Entry {
	m.t.Helper()
	entries, _ := m.list(s)
	for _, e := range entries {
		if e.Cert != nil && e.Cert.SHA256 == c.SHA256 {
			return e
		}
	}
	m.t.Fatalf("%s is not listed", c.Label())
	return store.Entry{}
}

func (m *mac) state() securitytest.State {
	m.t.Helper()
	st, err := m.State()
	if err != nil {
		m.t.Fatal(err)
	}
	return st
}

// record returns the settings of a certificate as they are kept, in words.
func (m *mac) record(domain string, c *store.Cert) string {
	m.t.Helper()
	l := m.state().Trust[domain]
	if l == nil {
		return "no list"
	}
	s, err := parseSettings(l.XML())
	if err != nil {
		m.t.Fatal(err)
	}
	r := s.records[sha1Of(c.Raw)]
	if r == nil {
		return "none"
	}
	return r.describe()
}

// trusts asks the emulator's own verifier, which shares nothing with this
// package, whether it takes a server by what a CA issued.
func (m *mac) trusts(uid int, ca *storetest.CA, policy string) bool {
	m.t.Helper()
	leaf := ca.Leaf(m.t, "www.example.com")
	file := filepath.Join(m.Root, "leaf.der")
	if err := os.WriteFile(file, leaf.Certificate[0], 0o644); err != nil {
		m.t.Fatal(err)
	}
	args := []string{securitytest.Tool, "verify-cert", "-c", "/leaf.der", "-p", policy, "-L", "-q"}
	if policy == "ssl" {
		args = append(args, "-s", "www.example.com")
	}
	_, stderr, code := m.Run(m.t.Context(), uid, args)
	if code > 1 {
		m.t.Fatalf("verify-cert: %d %s", code, stderr)
	}
	return code == 0
}

func (m *mac) wants(what string, got, want any) {
	m.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		m.t.Fatalf("%s: %v, not %v", what, got, want)
	}
}

func (m *mac) contains(text string, parts ...string) {
	m.t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			m.t.Fatalf("%q does not hold %q", text, part)
		}
	}
}

func codes(list []store.Problem) (out []string) {
	for _, p := range list {
		out = append(out, p.Code)
	}
	return out
}

const adminKey, userKey = "admin", "user:501"

func newList(m *mac, c *store.Cert, settings ...map[string]any) *securitytest.List {
	l := securitytest.NewList()
	if err := l.Put(c.Raw, settings); err != nil {
		m.t.Fatal(err)
	}
	return l
}

// The scenarios.

func listed(m *mac, _ version) {
	t := m.t
	trusted, plain := storetest.NewCA(t).Cert(), storetest.NewCA(t).Cert()
	umlaut, empty, lines := storetest.NewCA(t, storetest.CN("Zürich")).Cert(), storetest.NewCA(t, storetest.CN("")).Cert(), storetest.NewCA(t, storetest.CN("two\nlines")).Cert()
	gone := storetest.NewCA(t).Cert()
	odd := storetest.Unparsable(t).Cert()
	twice := storetest.NewCA(t).Cert()
	const other = securitytest.Home + "/Library/Keychains/other.keychain-db"
	m.edit(func(st *securitytest.State) {
		st.Keychains[securitytest.SystemKeychain].Certs = [][]byte{trusted.Raw, plain.Raw, umlaut.Raw, empty.Raw, lines.Raw, odd.Raw, []byte("0junk")}
		l := newList(m, trusted, map[string]any{"kSecTrustSettingsResult": int64(1)})
		if err := l.Put(gone.Raw, nil); err != nil {
			t.Fatal(err)
		}
		st.Trust[adminKey] = l
		st.Keychains[securitytest.LoginKeychain].Certs = [][]byte{twice.Raw}
		st.Keychains[other] = &securitytest.Keychain{Owner: securitytest.UserID, Certs: [][]byte{twice.Raw, plain.Raw}}
		st.Search = append(st.Search, other)
	})
	before := m.describe()
	system, errs := m.list(m.system())
	m.wants("errors", len(errs), 0)
	m.wants("entries", len(system), 7+len(m.roots)+1)
	m.wants("trust", m.entry(m.system(), trusted).Trust, "trusted: any")
	m.wants("trust without settings", m.entry(m.system(), plain).Trust, "")
	m.wants("Apple's", m.entry(m.system(), m.roots[0]).Origin.By, store.ByVendor)
	m.wants("Apple's", m.entry(m.system(), m.roots[0]).Trust, "trusted: any")
	m.wants("labels", fmt.Sprintf("%q %q %q", m.entry(m.system(), umlaut).Label, m.entry(m.system(), empty).Label, m.entry(m.system(), lines).Label), `"Zürich" "(no name)" "two\nlines"`)
	m.wants("unparsable", m.entry(m.system(), odd).Cert.ParseError() != nil, true)
	m.wants("junk", m.entry(m.system(), store.NewCert([]byte("0junk"))).Label, "(unreadable certificate)")
	last := system[len(system)-1]
	m.wants("orphan", fmt.Sprint(last.Cert == nil, codes(last.Problems), last.Source.Item == sha1Of(gone.Raw)), "true [orphaned-settings] true")
	m.wants("orphan's issuer", bytes.Equal(last.Match.Issuer, gone.Issuer.Raw), true)

	login, errs := m.list(m.login())
	m.wants("errors", len(errs), 0)
	m.wants("entries", len(login), 2)
	m.wants("in two keychains", codes(m.entry(m.login(), twice).Problems), "[duplicate]")
	m.contains(m.entry(m.login(), twice).Native["keychains"], "login.keychain-db", "other.keychain-db")

	roots, errs := m.list(m.find(m.Host(0), RootsID))
	m.wants("errors", len(errs), 0)
	m.wants("roots", len(roots), len(m.roots))
	m.wants("nothing is changed", m.describe(), before)
	// A user who is not root reads the machine's store as well.
	entries, errs := m.list(m.find(m.Host(securitytest.UserID), SystemID))
	m.wants("as a user", fmt.Sprint(len(entries), errs), fmt.Sprint(len(system), []error{}))
}

func userTrusts(m *mac, _ version) {
	ca := storetest.NewCA(m.t)
	s := m.login()
	m.wants("asks", s.Info().Asks, "the user's password in a dialog")
	p := m.plan(s, trusting(ca.Cert()))
	m.contains(strings.Join(p.Notices, "\n"), "macOS asks once", "password in a dialog")
	m.do(s, trusting(ca.Cert()))
	m.wants("dialogs", m.dialogs(), 1)
	m.wants("record", m.record(userKey, ca.Cert()), "ssl: trustRoot; basic: trustRoot")
	m.wants("keychain", len(m.state().Keychains[securitytest.LoginKeychain].Certs), 1)
	m.wants("trusted by macOS", fmt.Sprint(m.trusts(501, ca, "ssl"), m.trusts(501, ca, "basic"), m.trusts(501, ca, "codeSign")), "true true false")
	m.wants("not by root", m.trusts(0, ca, "ssl"), false)
}

func rootTrusts(m *mac, v version) {
	ca := storetest.NewCA(m.t)
	m.do(m.system(), trusting(ca.Cert()))
	want := 0
	if v.since(11, 0) {
		want = 1
	}
	m.wants("dialogs", m.dialogs(), want)
	m.wants("said beforehand", authorizationFor(adminDomain, v).dialog, want == 1)
	m.wants("record", m.record(adminKey, ca.Cert()), "ssl: trustRoot; basic: trustRoot")
	m.wants("trusted", m.trusts(501, ca, "ssl"), true)
	// Who is not root is told so before anything is begun.
	w := m.on(m.Host(501), SystemID).Info().Access.Write
	m.wants("without rights", w.Kind, store.NeedsElevation)
}

func nobodyThere(m *mac, v version) {
	c := storetest.NewCA(m.t).Cert()
	m.edit(func(st *securitytest.State) { st.Screen = "none" })
	for what, env := range map[string]map[string]string{
		"ssh":                    {"SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"},
		"continuous integration": {"CI": "true"},
		"launchd":                {"XPC_SERVICE_NAME": "com.example.job"},
	} {
		h := m.Host(501)
		h.Env = func(key string) string { return env[key] }
		w := m.on(h, LoginID).Info().Access.Write
		if w == nil || w.Kind != store.NeedsConsent {
			m.t.Fatalf("%s: %+v", what, w)
		}
		m.contains(w.Text+" "+w.Hint, what, "export")
		if v.since(11, 0) {
			m.contains(w.Hint, "--format mobileconfig")
		}
		m.fails(m.on(h, LoginID), store.ErrConsent, trusting(c))
		h.EUID, h.Runner = 0, m.Runner(0)
		w = m.on(h, SystemID).Info().Access.Write
		m.wants(what+" as root", w != nil && w.Kind == store.NeedsConsent, v.since(11, 0))
		// If the right was opened to everybody, nobody is asked.
		m.edit(func(st *securitytest.State) { st.AdminRight = "allow" })
		m.wants(what+", opened", m.on(h, SystemID).Info().Access.Write == nil, true)
		m.edit(func(st *securitytest.State) { st.AdminRight = "default" })
	}
	m.wants("dialogs", m.dialogs(), 0)
	// Where the environment does not show it, launchd is asked.
	err := m.fails(m.login(), store.ErrConsent, trusting(c))
	m.contains(err.Error(), "this session (Background) has none")
	m.contains(store.Hint(err), "export")
	for _, line := range m.state().Log {
		if strings.Contains(line, "add-certificates") {
			m.t.Fatalf("something was begun: %s", line)
		}
	}
	// And where launchd does not tell either, macOS refuses, and what was begun
	// is taken back.
	h := m.Host(501)
	run := h.Runner
	h.Runner = func(ctx context.Context, c host.Command) (host.Output, error) {
		if c.Args[0] == "/bin/launchctl" {
			return host.Output{Stdout: []byte("?")}, nil
		}
		return run(ctx, c)
	}
	err = m.fails(m.on(h, LoginID), store.ErrConsent, trusting(c))
	m.contains(store.Hint(err), "--format mobileconfig")
	m.edit(func(st *securitytest.State) { st.Screen = "internal" })
	m.fails(m.on(h, LoginID), store.ErrConsent, trusting(c))
}

func dialogRefused(m *mac, v version) {
	c, old := storetest.NewCA(m.t).Cert(), storetest.NewCA(m.t).Cert()
	m.do(m.login(), trusting(old))
	for screen, kind := range map[string]error{"cancel": store.ErrConsent, "deny": store.ErrPermission, "hang": store.ErrConsent} {
		m.edit(func(st *securitytest.State) { st.Screen = screen })
		s := m.login()
		if screen == "hang" {
			s.askLimit = 20 * time.Millisecond
		}
		n := m.dialogs()
		m.fails(s, kind, trusting(c), without(old))
		m.wants("dialogs", m.dialogs()-n, 1) // taking back asks nobody
	}
	// A person's interruption ends the dialog, and nothing is left of it.
	m.edit(func(st *securitytest.State) { st.Screen = "hang" })
	ctx, cancel := context.WithCancel(m.t.Context())
	defer cancel()
	m.Moment = func(string) { cancel() }
	before := m.describe()
	s := m.login()
	p := m.plan(s, trusting(c))
	_, err := s.Apply(ctx, p)
	m.Moment = nil
	m.wants("interrupted", errors.Is(err, context.Canceled), true)
	m.wants("nothing is left", m.describe(), before)
	// The tool says that it failed, and has done it: what is there counts.
	m.edit(func(st *securitytest.State) {
		st.Screen = "present"
		st.Say = map[string]securitytest.Saying{"trust-settings-import": {Stderr: "SecTrustSettingsImportExternalRepresentation: errSecInternalComponent\n", Code: 1, After: true}}
	})
	m.do(m.login(), trusting(c))
	// And the reverse: it says that all is well, and has done nothing.
	m.edit(func(st *securitytest.State) {
		st.Say = map[string]securitytest.Saying{"trust-settings-import": {Stdout: "...Trust Settings imported successfully.\n"}}
	})
	err = m.failsPartly(m.login(), without(c))
	m.contains(err.Error(), "kept the trust settings")
	m.edit(func(st *securitytest.State) {
		st.Say = map[string]securitytest.Saying{"add-certificates": {}}
	})
	m.fails(m.login(), store.ErrFailed, trusting(storetest.NewCA(m.t).Cert()))
}

// failsPartly applies and wants an error with nothing changed, of any kind.
func (m *mac) failsPartly(s *Store, want ...store.Change) error {
	m.t.Helper()
	before := m.describe()
	_, err := s.Apply(m.t.Context(), m.plan(s, want...))
	if err == nil {
		m.t.Fatal("no error")
	}
	m.wants("nothing is changed", m.describe(), before)
	return err
}

// behindSudo is what root sees by itself. That the program asks a process of the
// user's is tested in package platform.
func behindSudo(m *mac, _ version) {
	h := m.Host(0)
	h.User = host.User{Name: "user", UID: securitytest.UserID, GID: 20, Home: securitytest.Home, Via: "sudo"}
	s := m.on(h, LoginID)
	m.wants("obstacle", s.Info().Access.Write.Kind, store.NeedsElevation)
	m.contains(s.Info().Access.Write.Hint, "--for-user user")
	_, errs := m.list(s)
	m.wants("reading", len(errs) == 1 && errors.Is(errs[0], store.ErrPermission), true)
	for _, line := range m.state().Log {
		m.t.Fatalf("root has run %s", line)
	}
}

func kindsOfCertificates(m *mac, _ version) {
	root := storetest.NewCA(m.t)
	inter, leaf := root.Intermediate(m.t), storetest.NewCA(m.t, storetest.NotCA(), storetest.Hosts("localhost"))
	issued := root.Issue(m.t, storetest.NotCA(), storetest.Hosts("localhost"))
	m.do(m.system(), trusting(inter.Cert()), trusting(leaf.Cert()), trusting(issued.Cert()))
	for _, c := range []struct {
		cert *store.Cert
		want string
	}{{inter.Cert(), "ssl: trustAsRoot; basic: trustAsRoot"}, {leaf.Cert(), "ssl: trustRoot; basic: trustRoot"}, {issued.Cert(), "ssl: trustAsRoot; basic: trustAsRoot"}} {
		m.wants(c.cert.Label(), m.record(adminKey, c.cert), c.want)
	}
	m.wants("what the intermediate issued", m.trusts(501, inter, "ssl"), true)
	// What the tool takes without a word and trustd ignores is found, and mended
	// by trusting it or by taking it out.
	for _, settings := range [][]map[string]any{nil, {{"kSecTrustSettingsResult": int64(1)}}} {
		idle := root.Intermediate(m.t)
		m.edit(func(st *securitytest.State) {
			st.Keychains[securitytest.SystemKeychain].Certs = append(st.Keychains[securitytest.SystemKeychain].Certs, idle.DER())
			if err := st.Trust[adminKey].Put(idle.DER(), settings); err != nil {
				m.t.Fatal(err)
			}
		})
		s := m.system()
		e := m.entry(s, idle.Cert())
		m.wants("ineffective", fmt.Sprint(e.Trust, codes(e.Problems)), " [ineffective-settings]")
		m.wants("by macOS", m.trusts(501, idle, "ssl"), false)
		receipt := m.do(s, trusting(idle.Cert()))
		m.wants("mended", codes(m.entry(s, idle.Cert()).Problems), "[]")
		m.wants("by macOS", m.trusts(501, idle, "ssl"), true)
		m.do(s, receipt.Undo...)
		m.repairAll(s)
		m.wants("taken out", m.record(adminKey, idle.Cert()), "none")
	}
}

// repairAll mends what can be mended.
func (m *mac) repairAll(s *Store) store.Plan {
	m.t.Helper()
	var problems []store.Problem
	for p, err := range s.Problems(m.t.Context()) {
		if err != nil {
			m.t.Fatal(err)
		}
		if p.Mendable {
			problems = append(problems, p)
		}
	}
	p, err := s.PlanRepair(m.t.Context(), problems)
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := s.Apply(m.t.Context(), p); err != nil {
		m.t.Fatal(err)
	}
	for p, err := range s.Problems(m.t.Context()) {
		if err != nil || p.Mendable {
			m.t.Fatalf("still: %+v %v", p, err)
		}
	}
	return p
}

func regenerated(m *mac, v version) {
	old := storetest.NewCA(m.t, storetest.Serial(big.NewInt(1)), storetest.CN("Dev CA"))
	renewed := storetest.Twin(m.t, old)
	s := m.system()
	m.do(s, trusting(old.Cert()))
	p := m.plan(s, trusting(renewed.Cert()))
	m.wants("refused", len(p.Refused), 1)
	m.contains(p.Refused[0].Reason+p.Refused[0].Hint, "same issuer and serial", "remove "+old.Cert().SHA256.Short())
	m.wants("kind", p.Refused[0].Code, "conflict")
	n := m.dialogs()
	m.do(s, trusting(renewed.Cert()), without(old.Cert()))
	asked := 0
	if v.since(11, 0) {
		asked = 1
	}
	m.wants("dialogs", m.dialogs()-n, asked)
	m.wants("the new one", m.trusts(501, renewed, "ssl"), true)
	m.wants("the old one", m.trusts(501, old, "ssl"), false)
	// The other comes in between, when all has been planned: the tool says
	// "already in", which is not taken for good.
	third := storetest.Twin(m.t, renewed)
	h := m.Host(0)
	run := h.Runner
	h.Runner = func(ctx context.Context, c host.Command) (host.Output, error) {
		if len(c.Args) > 1 && c.Args[1] == "add-certificates" {
			m.edit(func(st *securitytest.State) {
				st.Keychains[securitytest.SystemKeychain].Certs = [][]byte{old.DER()}
				st.Trust = map[string]*securitytest.List{}
			})
		}
		return run(ctx, c)
	}
	m.do(s, without(renewed.Cert()))
	broken := m.on(h, SystemID)
	_, err := broken.Apply(m.t.Context(), m.plan(broken, trusting(third.Cert())))
	m.wants("the error", errors.Is(err, store.ErrFailed) || errors.Is(err, store.ErrPartial), true)
	m.wants("no trust without its certificate", m.record(adminKey, third.Cert()), "no list")
}

func again(m *mac, _ version) {
	c, d := storetest.NewCA(m.t).Cert(), storetest.NewCA(m.t).Cert()
	s := m.login()
	m.do(s, trusting(c))
	n := m.dialogs()
	m.wants("second plan", m.plan(s, trusting(c)).Empty(), true)
	if _, err := s.Apply(m.t.Context(), m.plan(s, trusting(c))); err != nil {
		m.t.Fatal(err)
	}
	m.wants("dialogs", m.dialogs()-n, 0)
	m.wants("remove what is not there", m.plan(s, without(d)).Empty(), true)
	m.do(s, without(c))
	m.wants("remove again", m.plan(s, without(c)).Empty(), true)
	// A certificate without settings goes without a dialog.
	m.do(s, store.Change{Fingerprint: d.SHA256, DER: d.Raw})
	n = m.dialogs()
	m.do(s, without(d))
	m.wants("dialogs", m.dialogs()-n, 0)
}

func fifty(m *mac, v version) {
	mine := storetest.NewCA(m.t).Cert()
	stranger := map[string]any{"kSecTrustSettingsPolicyString": "x", "kSecTrustSettingsResult": int64(4), "something.new": "kept"}
	m.edit(func(st *securitytest.State) {
		st.Keychains[securitytest.SystemKeychain].Certs = [][]byte{mine.Raw}
		st.Trust[adminKey] = newList(m, mine, stranger)
	})
	line := func(text string) string {
		for l := range strings.Lines(text) {
			if strings.HasPrefix(l, adminKey+" "+sha1Of(mine.Raw)) {
				return l
			}
		}
		return "none"
	}
	own := line(m.describe())
	certs := storetest.Many(m.t, 50)
	var want []store.Change
	for _, c := range certs {
		want = append(want, trusting(c))
	}
	n := m.dialogs()
	s := m.system()
	receipt := m.do(s, want...)
	if v.since(11, 0) {
		n++
	}
	m.wants("dialogs", m.dialogs(), n)
	m.wants("the other's record", line(m.describe()), own)
	m.do(s, receipt.Undo...)
	m.wants("the other's record", line(m.describe()), own)
	// Somebody else sets something after the certificate was put in, and before
	// the settings are replaced: that is not lost.
	h := m.Host(0)
	run := h.Runner
	h.Runner = func(ctx context.Context, c host.Command) (host.Output, error) {
		out, err := run(ctx, c)
		if len(c.Args) > 1 && c.Args[1] == "add-certificates" {
			m.edit(func(st *securitytest.State) {
				if err := st.Trust[adminKey].Put(certs[9].Raw, nil); err != nil {
					m.t.Error(err)
				}
			})
		}
		return out, err
	}
	s = m.on(h, SystemID)
	_, err := s.Apply(m.t.Context(), m.plan(s, trusting(certs[0])))
	m.wants("stale", errors.Is(err, store.ErrStale), true)
	m.wants("what the other set", m.record(adminKey, certs[9]), "no limits")
	m.wants("what was begun", len(m.state().Keychains[securitytest.SystemKeychain].Certs), 1)
}

func denied(m *mac, v version) {
	s := m.system()
	before := m.describe()
	root := m.roots[0]
	receipt := m.do(s, denying(root))
	m.wants("record", m.record(adminKey, root), "everything: deny")
	m.wants("trust", m.entry(s, root).Trust, "distrusted: any")
	m.wants("in Apple's own store", m.entry(m.find(m.Host(0), RootsID), root).Trust, "distrusted: any")
	m.wants("the other", m.entry(s, m.roots[1]).Trust, "trusted: any")
	m.do(s, receipt.Undo...)
	m.wants("undone", m.describe(), before)
	p := m.plan(s, without(root))
	m.wants("not removed", fmt.Sprintln(p.Empty(), p.Refused[0].Code), "true unsupported\n")
	m.contains(p.Refused[0].Hint, "certtrust distrust")
	// For one purpose alone.
	email := store.TrustFor(store.Distrusted, store.PurposeEmail)
	m.do(s, store.Change{Fingerprint: root.SHA256, Trust: &email})
	m.wants("record", m.record(adminKey, root), "smime: deny")
	m.wants("trust", m.entry(s, root).Trust, "trusted: any; distrusted: email")
	// The user can do so too, for the user alone.
	m.do(m.login(), denying(m.roots[1]))
	m.wants("the user's", m.entry(m.login(), m.roots[1]).Trust, "distrusted: any")
	m.wants("the machine's", m.entry(s, m.roots[1]).Trust, "trusted: any")
	m.wants("no copy is made", len(m.state().Keychains[securitytest.LoginKeychain].Certs), 0)
}

func narrowed(m *mac, _ version) {
	ca := storetest.NewCA(m.t)
	m.edit(func(st *securitytest.State) {
		st.Keychains[securitytest.SystemKeychain].Certs = [][]byte{ca.DER()}
		st.Trust[adminKey] = newList(m, ca.Cert())
	})
	s := m.system()
	m.wants("before", m.entry(s, ca.Cert()).Trust, "trusted: any")
	m.wants("by macOS", m.trusts(501, ca, "codeSign"), true)
	want := trusting(ca.Cert())
	want.Exact = true
	before := m.describe()
	receipt := m.do(s, want)
	m.wants("record", m.record(adminKey, ca.Cert()), "ssl: trustRoot; basic: trustRoot")
	m.wants("by macOS", fmt.Sprint(m.trusts(501, ca, "ssl"), m.trusts(501, ca, "codeSign"), m.trusts(501, ca, "smime")), "true false false")
	m.do(s, receipt.Undo...)
	m.wants("undone", m.describe(), before)
	// One purpose is taken out, and the rest stays.
	none := store.TrustFor(store.Distrusted, store.PurposeCodeSigning)
	m.do(s, store.Change{Fingerprint: ca.Cert().SHA256, Trust: &none})
	m.wants("by macOS", fmt.Sprint(m.trusts(501, ca, "ssl"), m.trusts(501, ca, "codeSign"), m.trusts(501, ca, "smime")), "true false true")
}

func damagedRecord(m *mac, _ version) {
	good, bad, gone := storetest.NewCA(m.t).Cert(), storetest.NewCA(m.t).Cert(), storetest.NewCA(m.t).Cert()
	m.edit(func(st *securitytest.State) {
		st.Keychains[securitytest.SystemKeychain].Certs = [][]byte{good.Raw, bad.Raw}
		l := newList(m, good, map[string]any{"kSecTrustSettingsResult": int64(1)})
		for _, c := range []*store.Cert{bad, gone} {
			if err := l.Put(c.Raw, []map[string]any{{"kSecTrustSettingsResult": "one"}}); err != nil {
				m.t.Fatal(err)
			}
		}
		st.Trust[adminKey] = l
	})
	s := m.system()
	_, errs := m.list(s)
	m.wants("errors", len(errs), 1)
	m.contains(errs[0].Error(), sha1Of(gone.Raw), "result")
	m.wants("the good one", m.entry(s, good).Trust, "trusted: any")
	m.wants("the bad one", codes(m.entry(s, bad).Problems), "[damaged-settings]")
	// What macOS does not understand may distrust: a person decides.
	var found []store.Problem
	for p := range s.Problems(m.t.Context()) {
		found = append(found, p)
	}
	p, err := s.PlanRepair(m.t.Context(), found)
	if err != nil {
		m.t.Fatal(err)
	}
	m.wants("refused", len(p.Refused), 2)
	// macOS takes no list with such a record in it, and nothing is left of the
	// attempt.
	fresh := storetest.NewCA(m.t).Cert()
	err = m.fails(s, store.ErrCorrupt, trusting(fresh))
	m.contains(err.Error(), "damaged")
	m.wants("hint", store.Hint(err) != "", true)
	// Taken out by name, they are gone in one go.
	m.edit(func(st *securitytest.State) { delete(st.Trust[adminKey].Records, sha1Of(gone.Raw)) })
	m.do(s, without(bad))
	m.do(s, trusting(fresh))
}

func unreadableItem(m *mac, _ version) {
	a, b := storetest.NewCA(m.t).Cert(), storetest.NewCA(m.t).Cert()
	m.edit(func(st *securitytest.State) {
		st.Keychains[securitytest.LoginKeychain].Certs = [][]byte{a.Raw, b.Raw}
		st.Keychains[securitytest.LoginKeychain].Damaged = 1
	})
	entries, errs := m.list(m.login())
	m.wants("entries", len(entries), 1)
	m.wants("errors", len(errs), 1)
	m.contains(errs[0].Error(), "login.keychain-db", "cannot be read")
	m.wants("kind", errors.Is(errs[0], store.ErrCorrupt), true)
	// What the tool prints beside is not passed over, and harms nothing.
	for _, garbage := range []string{
		"garbage\x1b[2J\n", "SHA-1 hash: 00\n", "-----BEGIN CERTIFICATE-----\nMII\n", "SHA-1 hash: 0000000000000000000000000000000000000000\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\nMIIB\nSHA-1 hash: AA\n",
	} {
		m.edit(func(st *securitytest.State) {
			st.Keychains[securitytest.LoginKeychain].Damaged = 0
			st.Keychains[securitytest.LoginKeychain].Extra = []string{garbage}
		})
		entries, errs = m.list(m.login())
		m.wants("entries", len(entries), 2)
		if len(errs) == 0 || strings.ContainsRune(errs[0].Error(), '\x1b') {
			m.t.Fatalf("after %q: %q", garbage, errs)
		}
	}
	// A keychain that is none.
	m.edit(func(st *securitytest.State) { st.Keychains[securitytest.LoginKeychain].Broken = true })
	_, errs = m.list(m.login())
	m.wants("kind", errors.Is(errs[0], store.ErrCorrupt), true)
}

func versions(m *mac, v version) {
	c := storetest.NewCA(m.t).Cert()
	m.edit(func(st *securitytest.State) { st.Keychains[securitytest.SystemKeychain].Certs = [][]byte{c.Raw} })
	out, _, _ := m.Run(m.t.Context(), 0, []string{securitytest.Tool, "find-certificate", "-a", "-Z", "-p", securitytest.SystemKeychain})
	m.wants("SHA-256", strings.HasPrefix(string(out), "SHA-256"), v.since(10, 15))
	m.wants("read", len(parseFound(out)), 1)
	_, _, code := m.Run(m.t.Context(), 0, []string{securitytest.Tool, "delete-certificate", "-Z", strings.ToUpper(c.SHA256.String()), securitytest.SystemKeychain})
	m.wants("deleted by SHA-256", code == 0, v.since(10, 15))
	h := m.Host(0)
	_, reasons := DetectSystem(m.t.Context(), h)
	m.contains(strings.Join(reasons, "\n"), "macOS "+m.state().Version)
	asks := m.system().Info().Asks
	switch {
	case v.since(15, 0):
		m.contains(asks, "administrator's password", "scripts cannot lift that")
	case v.since(11, 0):
		m.contains(asks, "administrator's password", "even of root")
	default:
		m.contains(asks, "to be root")
	}
	// That right is protected since 15.
	_, stderr, code := m.Run(m.t.Context(), 0, []string{securitytest.Tool, "authorizationdb", "write", "com.apple.trust-settings.admin", "allow"})
	m.wants("opened", code, map[bool]int{true: 255, false: 0}[v.since(15, 0)])
	m.wants("said", string(stderr), map[bool]string{true: "NO (-60005)\n", false: "YES (0)\n"}[v.since(15, 0)])
	// Where the last settings have gone to.
	s := m.login()
	receipt := m.do(s, trusting(c))
	m.do(s, receipt.Undo...)
	_, stderr, code = m.Run(m.t.Context(), 501, []string{securitytest.Tool, "trust-settings-export", "/private/tmp/x"})
	m.wants("an empty list", code == 0, v.since(12, 0))
	if code != 0 {
		m.contains(string(stderr), "No Trust Settings were found.")
	}
	entries, errs := m.list(s)
	m.wants("read", fmt.Sprint(len(entries), len(errs)), "0 0")
}

func otherLanguage(m *mac, _ version) {
	c := storetest.NewCA(m.t).Cert()
	say := func(command string, text string, code int) {
		m.edit(func(st *securitytest.State) {
			st.Say = map[string]securitytest.Saying{command: {Stderr: text, Code: code}}
		})
	}
	say("trust-settings-import", "SecTrustSettingsImportExternalRepresentation: 发生了\x1b[31m未知的错误。\n", 1)
	err := m.fails(m.login(), store.ErrFailed, trusting(c))
	m.contains(err.Error(), "未知的错误")
	m.wants("safe", strings.ContainsRune(err.Error(), '\x1b'), false)
	// What is not known to be empty is never replaced.
	say("trust-settings-export", "SecTrustSettingsCreateExternalRepresentation: 未找到信任设置。\n", 1)
	if _, err := m.login().Plan(m.t.Context(), []store.Change{trusting(c)}); !errors.Is(err, store.ErrFailed) {
		m.t.Fatalf("the error is %v", err)
	}
	// A tool that prints nonsense as settings.
	for _, nonsense := range []string{"", "nonsense", "<plist><dict/></plist>", "bplist00garbage"} {
		h := m.Host(501)
		run := h.Runner
		h.Runner = func(ctx context.Context, c host.Command) (host.Output, error) {
			if len(c.Args) > 1 && c.Args[1] == "trust-settings-export" {
				p := c.Args[len(c.Args)-1]
				return host.Output{}, os.WriteFile(filepath.Join(m.Root, p), []byte(nonsense), 0o600)
			}
			return run(ctx, c)
		}
		if _, err := m.on(h, LoginID).Plan(m.t.Context(), []store.Change{trusting(c)}); !errors.Is(err, store.ErrCorrupt) {
			m.t.Fatalf("for %q the error is %v", nonsense, err)
		}
	}
}

func files(m *mac, _ version) {
	a, b := storetest.NewCA(m.t), storetest.NewCA(m.t)
	run := func(data []byte) int {
		if err := os.WriteFile(filepath.Join(m.Root, "private/tmp/f.pem"), data, 0o644); err != nil {
			m.t.Fatal(err)
		}
		m.edit(func(st *securitytest.State) { st.Keychains[securitytest.LoginKeychain].Certs = nil })
		_, _, code := m.Run(m.t.Context(), 501, []string{securitytest.Tool, "add-certificates", "-k", securitytest.LoginKeychain, "/private/tmp/f.pem"})
		if err := os.Remove(filepath.Join(m.Root, "private/tmp/f.pem")); err != nil {
			m.t.Fatal(err)
		}
		if code != 0 {
			return -code
		}
		return len(m.state().Keychains[securitytest.LoginKeychain].Certs)
	}
	for _, c := range []struct {
		name       string
		data       []byte
		tool, here int // certificates, or a failure
	}{
		{"a comment in UTF-8", append([]byte("# Zürich\n"), a.PEM()...), -1, 1},
		{"the key first", append(a.KeyPEM(), b.PEM()...), -1, 1},
		{"CRLF", bytes.ReplaceAll(a.PEM(), []byte("\n"), []byte("\r\n")), 1, 1},
		{"a bundle", append(a.PEM(), b.PEM()...), 1, 2},
		{"nothing", nil, -1, 0},
	} {
		m.wants(c.name+": the tool", run(c.data), c.tool)
		m.edit(func(st *securitytest.State) { st.Keychains[securitytest.LoginKeychain].Certs = nil })
		read, err := certfile.Read(c.data)
		if c.here == 0 {
			m.wants(c.name, err != nil, true)
			continue
		}
		if err != nil {
			m.t.Fatal(err)
		}
		var want []store.Change
		for _, item := range read.Items {
			if item.Cert != nil {
				want = append(want, store.Change{Fingerprint: item.Cert.SHA256, DER: item.Cert.Raw})
			}
		}
		m.do(m.login(), want...)
		m.wants(c.name, len(m.state().Keychains[securitytest.LoginKeychain].Certs), c.here)
	}
}

func settingsOfEverySort(m *mac, _ version) {
	oid := func(n byte) []byte { return []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x63, 0x64, 0x01, n} }
	const policyKey, result = "kSecTrustSettingsPolicy", "kSecTrustSettingsResult"
	rows := []struct {
		name     string
		settings []map[string]any
		want     string
	}{
		{"a host", []map[string]any{{policyKey: oid(3), "kSecTrustSettingsPolicyName": "sslServer", "kSecTrustSettingsPolicyString": "a.test"}}, "trusted: server-auth only for a.test"},
		{"an OID as text", []map[string]any{{policyKey: "1.2.840.113635.100.1.8", result: int64(3)}}, "distrusted: email"},
		{"clients", []map[string]any{{policyKey: oid(3), "kSecTrustSettingsPolicyName": "sslClient"}}, "trusted: client-auth"},
		{"no name: both", []map[string]any{{policyKey: oid(3)}}, "trusted: client-auth, server-auth"},
		{"a use of the key", []map[string]any{{"kSecTrustSettingsKeyUsage": int64(2)}}, ""},
		{"signing certificates", []map[string]any{{"kSecTrustSettingsKeyUsage": int64(9)}}, "trusted: any"},
		{"any use", []map[string]any{{"kSecTrustSettingsKeyUsage": int64(-1)}}, "trusted: any"},
		{"an application", []map[string]any{{"kSecTrustSettingsApplication": []byte("Safari")}, {policyKey: oid(16)}}, "trusted: code-signing"},
		{"the first decides", []map[string]any{{policyKey: oid(3), "kSecTrustSettingsPolicyName": "sslServer", result: int64(3)}, {}}, "trusted: any; distrusted: server-auth"},
		{"allowed errors", []map[string]any{{policyKey: oid(8), "kSecTrustSettingsAllowedError": int64(-2147409654)}, {policyKey: oid(8), "kSecTrustSettingsAllowedError": int64(-2147408872)}}, "trusted: email"},
		{"another policy", []map[string]any{{policyKey: oid(9)}}, "trusted: 1.2.840.113635.100.1.9"},
		{"basic alone", []map[string]any{{policyKey: oid(2)}}, "trusted: 1.2.840.113635.100.1.2"},
		{"unspecified", []map[string]any{{result: int64(4)}}, ""},
	}
	var certs []*store.Cert
	l := securitytest.NewList()
	for _, row := range rows {
		c := storetest.NewCA(m.t, storetest.CN(row.name)).Cert()
		certs = append(certs, c)
		if err := l.Put(c.Raw, row.settings); err != nil {
			m.t.Fatal(err)
		}
	}
	was, err := parseSettings(l.XML())
	if err != nil {
		m.t.Fatal(err)
	}
	m.edit(func(st *securitytest.State) {
		for _, c := range certs {
			st.Keychains[securitytest.SystemKeychain].Certs = append(st.Keychains[securitytest.SystemKeychain].Certs, c.Raw)
		}
		st.Trust[adminKey] = l
	})
	s := m.system()
	before := m.describe()
	trusts := func() map[string]store.Trust {
		out := map[string]store.Trust{}
		entries, errs := m.list(s)
		m.wants("errors", len(errs), 0)
		for _, e := range entries {
			out[e.Label] = e.Trust
		}
		return out
	}
	now := trusts()
	var want, deny []store.Change
	for i, row := range rows {
		m.wants(row.name, now[row.name], row.want)
		want, deny = append(want, trusting(certs[i], store.PurposeTimeStamping)), append(deny, denying(certs[i]))
	}
	// What is none of a change's business stays as it is, and undo restores all
	// of it.
	receipt := m.do(s, want...)
	now = trusts()
	for i, row := range rows {
		m.wants(row.name+": wanted", now[row.name].For(store.PurposeTimeStamping), store.Trusted)
		for _, p := range namedPurposes() {
			if p != store.PurposeTimeStamping {
				m.wants(row.name+": "+string(p), now[row.name].For(p), was.records[sha1Of(certs[i].Raw)].trust(newHeld(certs[i]), nil).For(p))
			}
		}
		if _, has := row.settings[0]["kSecTrustSettingsApplication"]; has {
			m.contains(m.record(adminKey, certs[i]), "one application")
		}
	}
	m.do(s, receipt.Undo...)
	m.wants("undone", m.describe(), before)
	// What is distrusted is so for applications too.
	m.do(s, deny...)
	now = trusts()
	for i, row := range rows {
		m.wants(row.name+": distrusted", now[row.name], "distrusted: any")
		m.wants(row.name+": for applications", strings.Contains(m.record(adminKey, certs[i]), "trust"), false)
	}
	// A NUL at the end, as older versions write it, cannot be written in XML.
	e, bad := parseEntry(map[string]any{policyKey: oid(3), "kSecTrustSettingsPolicyString": "a.test\x00"})
	m.wants("NUL", e.host+bad, "a.test")
}

func switchedOff(m *mac, _ version) {
	ca := storetest.NewCA(m.t)
	m.do(m.login(), trusting(ca.Cert()))
	m.edit(func(st *securitytest.State) { st.UserDisabled = true })
	s := m.login()
	m.wants("kind", s.Info().Access.Write.Kind, store.Managed)
	m.contains(s.Info().Access.Write.Text, "switched users' own trust settings off")
	m.wants("trust", m.entry(s, ca.Cert()).Trust, "")
	m.wants("by macOS", m.trusts(501, ca, "ssl"), false)
	m.fails(s, store.ErrManaged, denying(ca.Cert()))
}

func disagree(m *mac, v version) {
	ca := storetest.NewCA(m.t)
	m.do(m.login(), trusting(ca.Cert()))
	m.do(m.system(), denying(ca.Cert()))
	e := m.entry(m.login(), ca.Cert())
	m.wants("codes", codes(e.Problems), "[overruled-settings]")
	text := e.Problems[0].Text
	// The user's settings went first until 10.15.
	m.wants("by macOS", m.trusts(501, ca, "ssl"), !v.since(11, 0))
	if v.since(11, 0) {
		m.contains(text, "the administrator's are what Safari, Go and curl heed", "what Chrome heeds")
	} else {
		m.contains(text, "the user's are heeded by all")
	}
	m.do(m.system(), without(ca.Cert()))
	m.wants("agreed", codes(m.entry(m.login(), ca.Cert()).Problems), "[]")
	m.wants("by macOS", m.trusts(501, ca, "ssl"), true)
}

func keychainFiles(m *mac, v version) {
	ca, odd := storetest.NewCA(m.t), storetest.Unparsable(m.t)
	m.do(m.system(), trusting(ca.Cert()), denying(m.roots[1]), store.Change{Fingerprint: odd.Cert().SHA256, DER: odd.DER()})
	m.do(m.login(), trusting(ca.Cert(), store.PurposeEmail))
	disk := m.Host(0)
	disk.Live, disk.Runner = false, func(context.Context, host.Command) (host.Output, error) {
		return host.Output{}, errors.New("nothing of an offline root is run")
	}
	for _, pair := range []struct {
		live store.Store
		id   store.ID
	}{{m.system(), SystemID}, {m.find(m.Host(0), RootsID), RootsID}, {m.login(), LoginID + "@user"}} {
		offline := m.find(disk, pair.id)
		a, errA := m.list(pair.live)
		b, errB := m.list(offline)
		m.wants("errors", fmt.Sprint(errA, errB), "[] []")
		m.wants(string(pair.id), summary(b), summary(a))
		m.wants("written", offline.Info().Access.Write.Kind, store.ReadOnly)
	}
	// A file by its path, on any system.
	linux := m.Host(0)
	linux.OS = "linux"
	s, _, err := OpenFile(linux, securitytest.SystemKeychain)
	if err != nil {
		m.t.Fatal(err)
	}
	entries, errs := m.list(s)
	m.wants("by path", fmt.Sprint(len(entries), errs), "2 []")
	// And on a Mac, through the tool: certificates go in and out, and nobody is
	// asked.
	const file = securitytest.Home + "/own.keychain-db"
	if _, _, code := m.Run(m.t.Context(), 501, []string{securitytest.Tool, "create-keychain", "-p", "x", file}); code != 0 {
		m.t.Fatal(code)
	}
	n := m.dialogs()
	own, _, err := OpenFile(m.Host(501), file)
	if err != nil {
		m.t.Fatal(err)
	}
	ed := own.(*Store)
	before := m.describe()
	receipt := m.do(ed, store.Change{Fingerprint: ca.Cert().SHA256, DER: ca.DER(), Trust: &store.Trust{}})
	m.wants("held", m.entry(ed, ca.Cert()).Source.Path, file)
	m.do(ed, receipt.Undo...)
	m.wants("undone", m.describe(), before)
	m.wants("dialogs", m.dialogs(), n)
	p := m.plan(ed, trusting(ca.Cert()))
	m.wants("trust", fmt.Sprintln(p.Empty(), p.Refused[0].Code), "true unsupported\n")
}

func summary(entries []store.Entry) string {
	lines := map[string]string{}
	for _, e := range entries {
		if e.Cert != nil {
			lines[e.Cert.SHA256.Short()] = fmt.Sprintf("%q %s %s", e.Label, e.Trust, e.Source.Path)
		}
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(lines)) {
		out = append(out, k+" "+lines[k])
	}
	return strings.Join(out, "\n")
}

// profiles looks at what certfile makes for the way that works without anybody
// at the screen (com.apple.security.root.yaml, pkcs1.yaml and TopLevel.yaml of
// apple/device-management).
func profiles(m *mac, _ version) {
	root := storetest.NewCA(m.t, storetest.CN("A & <B> \x1b \"c\""))
	inter := root.Intermediate(m.t)
	list := []certfile.Written{{Cert: root.Cert(), Label: root.Cert().Label()}, {Cert: inter.Cert(), Label: inter.Cert().Label()}}
	data, err := certfile.Encode("mobileconfig", list, certfile.WriteOptions{})
	if err != nil {
		m.t.Fatal(err)
	}
	same, _ := certfile.Encode("mobileconfig", list, certfile.WriteOptions{})
	m.wants("the same again", bytes.Equal(data, same), true)
	var top map[string]any
	if _, err := plist.Unmarshal(data, &top); err != nil {
		m.t.Fatal(err)
	}
	m.wants("type", fmt.Sprintf("%v %v %v", top["PayloadType"], top["PayloadVersion"], top["PayloadScope"]), "Configuration 1 System")
	ids := map[any]bool{}
	payloads := top["PayloadContent"].([]any)
	m.wants("payloads", len(payloads), 2)
	for i, p := range payloads {
		p := p.(map[string]any)
		m.wants("type", p["PayloadType"], []string{"com.apple.security.root", "com.apple.security.pkcs1"}[i])
		m.wants("version", p["PayloadVersion"], 1)
		m.wants("content", bytes.Equal(p["PayloadContent"].([]byte), list[i].Cert.Raw), true)
		for _, key := range []string{"PayloadIdentifier", "PayloadUUID", "PayloadDisplayName"} {
			m.wants(key, p[key] != nil && p[key] != "", true)
		}
		ids[p["PayloadIdentifier"]], ids[p["PayloadUUID"]] = true, true
	}
	ids[top["PayloadIdentifier"]], ids[top["PayloadUUID"]] = true, true
	m.wants("identifiers", len(ids), 6)
}

func arguments(m *mac, _ version) {
	var want []store.Change
	for _, name := range storetest.HostileNames() {
		want = append(want, trusting(storetest.NewCA(m.t, storetest.CN(name)).Cert()))
	}
	s := m.login()
	receipt := m.do(s, want...)
	var out []store.Change
	for _, w := range want {
		out = append(out, store.Change{Fingerprint: w.Fingerprint, Absent: true})
	}
	m.do(s, receipt.Undo...)
	m.do(s, want...)
	m.do(s, out...)
	known := map[string]bool{"-a": true, "-Z": true, "-p": true, "-k": true, "-d": true, "user": true}
	for _, line := range m.state().Log {
		_, command, found := strings.Cut(line, ": ")
		if !found {
			continue // a dialog
		}
		for i, word := range strings.Fields(command) {
			plain := strings.HasPrefix(word, "/private/tmp/"+host.TempPrefix) || strings.HasPrefix(word, "/Library/") || strings.HasPrefix(word, "/System/") || strings.HasPrefix(word, securitytest.Home)
			hash := len(word) == 40 && strings.Trim(word, "0123456789ABCDEF") == ""
			if i > 1 && !known[word] && !plain && !hash {
				m.t.Fatalf("%q in %q", word, command)
			}
		}
	}
}
