package wincert_test

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/wincert"
	"github.com/certtrust/certtrust/platform/wincert/wincerttest"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// machine is a Windows in memory and its host.
type machine struct {
	*testing.T
	api  *wincerttest.Fake
	host *host.Host
}

func newMachine(t *testing.T) machine { return machine{t, wincerttest.New(), fakeHost(t)} }

func (m machine) open(location string) *wincert.Store {
	return wincert.OpenLocation(m.host, m.api, location)
}

func trusted(c *store.Cert, purposes ...store.Purpose) store.Change {
	if len(purposes) == 0 {
		purposes = []store.Purpose{store.PurposeAny}
	}
	t := store.TrustFor(store.Trusted, purposes...)
	return store.Change{Fingerprint: c.SHA256, DER: c.Raw, Trust: &t}
}

func distrusted(c *store.Cert) store.Change {
	t := store.TrustFor(store.Distrusted, store.PurposeAny)
	return store.Change{Fingerprint: c.SHA256, DER: c.Raw, Trust: &t}
}

func absent(c *store.Cert) store.Change { return store.Change{Fingerprint: c.SHA256, Absent: true} }

// do plans and applies, and returns how that went.
func (m machine) do(s store.Editor, want ...store.Change) (store.Plan, error) {
	m.Helper()
	p, err := s.Plan(m.Context(), want)
	if err != nil {
		m.Fatal(err)
	}
	if len(p.Refused) > 0 {
		return p, p.Refused[0].Err("plan", p.Store)
	}
	_, err = s.Apply(m.Context(), p)
	return p, err
}

func (m machine) must(s store.Editor, want ...store.Change) store.Plan {
	m.Helper()
	p, err := m.do(s, want...)
	if err != nil {
		m.Fatal(err)
	}
	return p
}

// list returns what a store holds of a certificate, or everything of nil.
func (m machine) list(s store.Store, c *store.Cert) (out []store.Entry) {
	m.Helper()
	for e, err := range s.Entries(m.Context()) {
		if err != nil {
			m.Fatal(err)
		}
		if c == nil || e.Cert.SHA256 == c.SHA256 {
			out = append(out, e)
		}
	}
	return out
}

// refused checks an error's kind and text, and that there is advice.
func (m machine) refused(err, kind error, text string) {
	m.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), text) {
		m.Errorf("the error is %v, not one of the kind %v that says %q", err, kind, text)
	}
}

// Whatever Windows refuses with is told for what it is, and nothing is left
// half done.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		code wincert.Errno
		kind error
		text string
		hint string
	}{
		{wincerttest.Declined, store.ErrConsent, "declined in the Windows dialog", "windows:LocalMachine"},
		{wincerttest.NoDesktop, store.ErrConsent, "no interactive desktop", "windows:LocalMachine"},
		{wincerttest.Denied, store.ErrPermission, "denies access", "windows:LocalMachine"},
		{wincert.NewErrno(0x80070005), store.ErrPermission, "denies access", "windows:LocalMachine"},
		{wincerttest.Unsupported, store.ErrUnsupported, "does not have it", ""},
		{wincert.NewErrno(0x80092005), store.ErrStale, "there already", ""},
		{wincert.NewErrno(32), store.ErrLocked, "using it", "again"},
		{wincert.NewErrno(0x8007000E), store.ErrFailed, "Windows error 14", ""},
	} {
		for _, call := range []string{"add", "commit"} {
			m := newMachine(t)
			s, ca := m.open("CurrentUser"), storetest.NewCA(t).Cert()
			p, err := s.Plan(t.Context(), []store.Change{trusted(ca)})
			if err != nil {
				t.Fatal(err)
			}
			before := m.api.Snapshot()
			first := true
			m.api.Refuse = func(name, _ string) error {
				if name == call && first {
					first = false
					return c.code
				}
				return nil
			}
			if call == "commit" && c.code == wincerttest.NoDesktop {
				continue // a store that cannot be told to write has written
			}
			_, err = s.Apply(t.Context(), p)
			m.refused(err, c.kind, c.text)
			if hint := store.Hint(err); !strings.Contains(hint, c.hint) {
				t.Errorf("%v: the hint is %q", c.code, hint)
			}
			m.api.Refuse = nil
			if left := len(m.list(s, nil)); left != 0 {
				t.Errorf("%v: %d entries are left, of\n%s\nand\n%s", c.code, left, before, m.api.Snapshot())
			}
		}
	}
}

// A call that says that it succeeded, and has not, is found out.
func TestLies(t *testing.T) {
	m := newMachine(t)
	s, ca := m.open("LocalMachine"), storetest.NewCA(t).Cert()
	m.api.Lie = "add"
	_, err := m.do(s, trusted(ca))
	m.refused(err, store.ErrFailed, "has not")
	m.api.Lie = ""
	m.must(s, trusted(ca))
	m.api.Lie = "delete"
	_, err = m.do(s, absent(ca))
	m.refused(err, store.ErrFailed, "has not")
	if len(m.list(s, ca)) != 1 {
		t.Error("it is not there any more")
	}
}

// A user's roots are not touched where nobody could answer Windows' question:
// that is known before the first call that changes anything.
func TestNobodyToAsk(t *testing.T) {
	m := newMachine(t)
	ca, middle := storetest.NewCA(t).Cert(), storetest.NewCA(t).Intermediate(t).Cert()
	m.api.PutCert(wincerttest.CurrentUser, "Root", ca.Raw)
	m.api.NoDesktop = true
	s := m.open("CurrentUser")
	for _, want := range []store.Change{trusted(storetest.NewCA(t).Cert()), absent(ca)} {
		_, err := m.do(s, want)
		m.refused(err, store.ErrConsent, "Windows asks a person")
		if hint := store.Hint(err); !strings.Contains(hint, "--store windows:LocalMachine") || !strings.Contains(hint, "Group Policy") {
			t.Errorf("the hint is %q", hint)
		}
	}
	if calls := m.api.Calls(); len(calls) > 0 {
		t.Errorf("calls were made: %q", calls)
	}
	m.must(s, store.Change{Fingerprint: middle.SHA256, DER: middle.Raw, Trust: &store.Trust{}}) // nobody is asked about these
	m.must(s, distrusted(ca))
	m.api.NoDesktop = false
	if p := m.must(s, trusted(storetest.NewCA(t).Cert())); !slices.ContainsFunc(p.Notices, func(n string) bool { return strings.Contains(n, "ask on the desktop") }) {
		t.Errorf("with a desktop the notices are %q", p.Notices)
	}
}

// What all users have is not asked of one of them.
func TestTrustedForAll(t *testing.T) {
	for _, at := range []struct {
		flag uint32
		item string
	}{{wincerttest.LocalMachine, "Root"}, {wincerttest.LocalMachine, "AuthRoot"}, {wincerttest.LocalMachineGroupPolicy, "Root"}, {wincerttest.LocalMachineEnterprise, "Root"}} {
		m := newMachine(t)
		ca := storetest.NewCA(t).Cert()
		m.api.PutCert(at.flag, at.item, ca.Raw)
		p := m.must(m.open("CurrentUser"), trusted(ca))
		if !p.Empty() || len(p.Notices) != 1 || len(m.api.Calls()) > 0 {
			t.Errorf("%+v: steps %+v, notices %q", at, p.Steps, p.Notices)
		}
	}
}

// Without an administrator's rights the machine's stores can be looked at and
// planned for, and it is known what is in the way.
func TestNotAdministrator(t *testing.T) {
	m := newMachine(t)
	m.api.NotAdministrator = true
	s := m.open("LocalMachine")
	if w := s.Info().Access.Write; w == nil || w.Kind != store.NeedsElevation || !strings.Contains(w.Hint, "--elevate") {
		t.Fatalf("in the way is %+v", w)
	}
	p, err := s.Plan(t.Context(), []store.Change{trusted(storetest.NewCA(t).Cert())})
	if err != nil || len(p.Steps) != 1 || !p.Steps[0].Elevated {
		t.Fatalf("plan %+v, error %v", p, err)
	}
	_, err = s.Apply(t.Context(), p)
	m.refused(err, store.ErrPermission, "administrator")
	if w := m.open("CurrentUser").Info().Access.Write; w != nil {
		t.Errorf("a user's own store: %+v", w)
	}
}

// A policy against users' roots is told where Windows only denies.
func TestProtectedRoots(t *testing.T) {
	m := newMachine(t)
	m.api.Registry[`SOFTWARE\Policies\Microsoft\SystemCertificates\Root\ProtectedRoots\Flags`] = []byte{1, 0, 0, 0}
	m.api.Refuse = func(call, _ string) error {
		if call == "add" {
			return wincerttest.Denied
		}
		return nil
	}
	_, err := m.do(m.open("CurrentUser"), trusted(storetest.NewCA(t).Cert()))
	m.refused(err, store.ErrPermission, "denies")
	if !strings.Contains(store.Hint(err), "ProtectedRoots") {
		t.Errorf("the hint is %q", store.Hint(err))
	}
}

// The purposes of a root are those of its property, as far as its own extension
// allows them.
func TestPurposes(t *testing.T) {
	serverAuth, _ := hex.DecodeString("300a06082b06010505070301")
	both, _ := hex.DecodeString("301406082b0601050507030106082b06010505070302")
	plain := storetest.NewCA(t).Cert()
	only := storetest.NewCA(t, storetest.EKU(1)).Cert() // x509.ExtKeyUsageServerAuth
	day := func(y int) []byte {
		n := uint64(time.Date(y, 1, 2, 0, 0, 0, 0, time.UTC).Unix()+11644473600) * 1e7
		return binary.LittleEndian.AppendUint64(nil, n)
	}
	for _, c := range []struct {
		name  string
		cert  *store.Cert
		props []wincerttest.Property
		want  string
	}{
		{"nothing", plain, nil, "trusted: any"},
		{"none", plain, []wincerttest.Property{{ID: 9, Value: []byte{0x30, 0}}}, ""},
		{"one", plain, []wincerttest.Property{{ID: 9, Value: serverAuth}}, "trusted: server-auth"},
		{"two", plain, []wincerttest.Property{{ID: 9, Value: both}}, "trusted: client-auth, server-auth"},
		{"two, but the certificate", only, []wincerttest.Property{{ID: 9, Value: both}}, "trusted: server-auth"},
		{"the certificate", only, nil, "trusted: server-auth"},
		{"unreadable", plain, []wincerttest.Property{{ID: 9, Value: []byte("?")}}, ""},
		{"archived", plain, []wincerttest.Property{{ID: 19}}, ""},
		{"until", plain, []wincerttest.Property{{ID: 104, Value: day(2030)}}, "trusted: any if issued by 2030-01-02"},
		{"until the earlier", plain, []wincerttest.Property{{ID: 104, Value: day(2030)}, {ID: 126, Value: day(2029)}}, "trusted: any if issued by 2029-01-02"},
		{"until, for one", plain, []wincerttest.Property{{ID: 126, Value: day(2029)}, {ID: 127, Value: serverAuth}}, "trusted: any, server-auth if issued by 2029-01-02"},
		{"not for one", plain, []wincerttest.Property{{ID: 122, Value: serverAuth}}, "trusted: any; distrusted: server-auth"},
	} {
		m := newMachine(t)
		m.api.PutCert(wincerttest.LocalMachine, "Root", c.cert.Raw, c.props...)
		e := m.list(m.open("LocalMachine"), c.cert)
		if len(e) != 1 || e[0].Trust.String() != c.want {
			t.Errorf("%s: %+v, not %q", c.name, e, c.want)
		}
	}
	m := newMachine(t)
	_, err := m.do(m.open("LocalMachine"), trusted(only, store.PurposeClientAuth))
	m.refused(err, store.ErrUnsupported, "limits itself")
}

// What others have set stays when something else is changed.
func TestPropertiesAreKept(t *testing.T) {
	m := newMachine(t)
	ca := storetest.NewCA(t).Cert()
	clientAuth, _ := hex.DecodeString("300a06082b06010505070302")
	m.api.PutCert(wincerttest.LocalMachine, "Root", ca.Raw, wincerttest.Property{ID: 9, Value: clientAuth},
		wincerttest.Property{ID: 11, Value: []byte("O\x00u\x00r\x00s\x00\x00\x00")}, wincerttest.Property{ID: 4711, Value: []byte{1, 2}})
	s, before := m.open("LocalMachine"), m.api.Snapshot()
	m.must(s, trusted(ca, store.PurposeClientAuth))
	if m.api.Snapshot() != before || len(m.api.Calls()) > 0 {
		t.Error("what was so already was written anew")
	}
	m.must(s, trusted(ca, store.PurposeServerAuth))
	e := m.list(s, ca)[0]
	if e.Label != "Ours" || e.Native["property4711"] != "0102" || e.Trust.String() != "trusted: client-auth, server-auth" || e.Native["usages"] != "client-auth, server-auth" {
		t.Errorf("it is %+v", e)
	}
}

// Policies and vendors decide what is in their stores: it can be distrusted.
func TestManaged(t *testing.T) {
	for _, at := range []struct {
		location, item string
		flag           uint32
		kind           error
		by             store.OriginBy
		text           string
	}{
		{"LocalMachineGroupPolicy", "Root", wincerttest.LocalMachineGroupPolicy, store.ErrManaged, store.ByPolicy, "Group Policy"},
		{"CurrentUserGroupPolicy", "Root", wincerttest.CurrentUserGroupPolicy, store.ErrManaged, store.ByPolicy, "Group Policy"},
		{"LocalMachineEnterprise", "Root", wincerttest.LocalMachineEnterprise, store.ErrManaged, store.ByPolicy, "Active Directory"},
		{"LocalMachine", "AuthRoot", wincerttest.LocalMachine, store.ErrManaged, store.ByVendor, "root programme"},
	} {
		m := newMachine(t)
		ca := storetest.NewCA(t).Cert()
		m.api.PutCert(at.flag, at.item, ca.Raw)
		s := m.open(at.location)
		if e := m.list(s, ca); len(e) != 1 || e[0].Origin.By != at.by || e[0].Source.Path != at.location+`\`+at.item {
			t.Errorf("it is listed as %+v", e)
		}
		_, err := m.do(s, absent(ca))
		m.refused(err, at.kind, at.text)
		if !strings.Contains(store.Hint(err), "distrust") {
			t.Errorf("the hint is %q", store.Hint(err))
		}
		m.must(m.open("LocalMachine"), distrusted(ca))
		if e := m.list(s, ca); e[0].Trust.String() != "distrusted: any" || e[0].Native["distrustedBy"] != `LocalMachine\Disallowed` {
			t.Errorf("distrusted, it is listed as %+v", e[0])
		}
	}
}

// One item can be named, and nothing else is touched then.
func TestItems(t *testing.T) {
	m := newMachine(t)
	ca := storetest.NewCA(t).Cert()
	s, _, err := wincert.Open(m.host, m.api, "localmachine/disallowed")
	if err != nil {
		t.Fatal(err)
	}
	denied := s.(store.Editor)
	if i := s.Info(); i.ID != "windows:LocalMachine/Disallowed" || i.Location != `Cert:\LocalMachine\Disallowed` {
		t.Errorf("it is %+v", i)
	}
	whole := m.open("LocalMachine")
	m.must(whole, trusted(ca))
	m.must(denied, distrusted(ca))
	if n := len(m.list(whole, ca)); n != 2 {
		t.Errorf("it is in %d items", n)
	}
	_, err = m.do(denied, trusted(ca))
	m.refused(err, store.ErrUnsupported, "distrusted")
	m.must(denied, absent(ca))
	if e := m.list(whole, ca); len(e) != 1 || e[0].Trust.String() != "trusted: any" {
		t.Errorf("afterwards it is %+v", e)
	}
	m.api.PutCert(wincerttest.LocalMachine, "My", storetest.NewCA(t).DER())
	if n := len(m.list(whole, nil)); n != 1 {
		t.Errorf("with a personal certificate %d are listed unasked", n)
	}
	if my, _, err := wincert.Open(m.host, m.api, "LocalMachine/My"); err != nil || len(m.list(my, nil)) != 1 {
		t.Errorf("the personal ones: %v", err)
	}
}

// No name leads to another machine, or to another key than that of a store.
func TestNames(t *testing.T) {
	m := newMachine(t)
	for _, name := range []string{`Local\Machine`, `\\host\Root`, "", "LocalMachine/", `LocalMachine/..`, `LocalMachine/host\Root`, `LocalMachine/\\host\Root`, "LocalMachine/Root/x", "LocalMachine/Root\x00"} {
		if _, _, err := wincert.Open(m.host, m.api, name); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for text, want := range map[string]string{
		`Cert:\LocalMachine\Root`: "windows:LocalMachine/Root", `cert:\currentuser\my\`: "windows:CurrentUser/My",
		`Cert:\LocalMachine`: "windows:LocalMachine", "Cert:": "windows", `Cert:/CurrentUser/CA`: "windows:CurrentUser/CA",
		"certfile:x": "", "windows:LocalMachine": "",
	} {
		if got, ok := wincert.SelectorID(text); got != want || ok != (want != "") {
			t.Errorf("%s is %q", text, got)
		}
	}
}

// Distrust counts everywhere, and is in the way of trust until it is taken back
// where it is.
func TestDistrustedElsewhere(t *testing.T) {
	m := newMachine(t)
	ca := storetest.NewCA(t).Cert()
	m.api.PutCert(wincerttest.LocalMachineGroupPolicy, "Disallowed", ca.Raw)
	s := m.open("LocalMachine")
	_, err := m.do(s, trusted(ca))
	m.refused(err, store.ErrConflict, `LocalMachineGroupPolicy\Disallowed`)
	m.api.PutCert(wincerttest.LocalMachine, "Root", ca.Raw)
	if e := m.list(s, ca); len(e) != 1 || e[0].Trust.String() != "distrusted: any" {
		t.Errorf("it is listed as %+v", e)
	}
}

// A certificate that cannot be read is told, and the listing goes on.
func TestUnreadable(t *testing.T) {
	m := newMachine(t)
	odd, good := storetest.Unparsable(t).Cert(), storetest.NewCA(t).Cert()
	m.api.PutCert(wincerttest.LocalMachine, "Root", odd.Raw)
	m.api.PutCert(wincerttest.LocalMachine, "Root", good.Raw)
	m.api.Put(wincerttest.LocalMachine, "Root", []byte("damaged"))
	m.api.PutCert(wincerttest.LocalMachine, "Root", []byte("no certificate"))
	s := m.open("LocalMachine")
	var seen, lost int
	for e, err := range s.Entries(t.Context()) {
		switch {
		case err != nil:
			lost++
			if e.Source.Item == "" || !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("%+v: %v", e.Source, err)
			}
		case e.Cert.SHA256 == odd.SHA256 && (e.Cert.ParseError() == nil || len(e.Native["sha1"]) != 40):
			t.Errorf("it is listed as %+v", e)
		default:
			seen++
		}
	}
	if seen != 3 || lost != 1 {
		t.Errorf("%d were listed and %d lost", seen, lost)
	}
	m.must(s, absent(odd))
	if len(m.api.Calls()) == 0 {
		t.Error("it was not removed")
	}
}

// The commands of a dry run are what a person would type.
func TestCommands(t *testing.T) {
	m := newMachine(t)
	ca := storetest.NewCA(t).Cert()
	label := "It's \u2019mine"
	w := trusted(ca, store.PurposeServerAuth)
	w.Label = &label
	p, err := m.open("CurrentUser").Plan(t.Context(), []store.Change{w})
	if err != nil || len(p.Steps) != 1 {
		t.Fatal(p, err)
	}
	var lines []string
	for _, c := range p.Steps[0].Commands {
		lines = append(lines, strings.Join(c, " "))
	}
	text := strings.Join(lines, "\n")
	for _, want := range []string{
		"certutil -user -addstore Root ", "powershell -Command Import-Certificate -FilePath '", `-CertStoreLocation 'Cert:\CurrentUser\Root'`,
		"FriendlyName = 'It''s \u2019\u2019mine'", "certmgr.msc (Properties of the certificate, purposes: server-auth)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	m.api.PutCert(wincerttest.LocalMachine, "Disallowed", ca.Raw)
	if p, err = m.open("LocalMachine").Plan(t.Context(), []store.Change{absent(ca)}); err != nil || len(p.Steps) != 1 {
		t.Fatal(p, err)
	}
	if got := strings.Join(p.Steps[0].Commands[0], " "); !strings.HasPrefix(got, "certutil -delstore Disallowed ") {
		t.Errorf("to remove it: %s", got)
	}
}

// Windows' verdict is passed on in words.
func TestVerify(t *testing.T) {
	m := newMachine(t)
	root := storetest.NewCA(t)
	middle := root.Intermediate(t)
	leaf := middle.Issue(t, storetest.NotCA(), storetest.Hosts("a.test")).Cert()
	s := m.open("LocalMachine")
	verify := func(host string, at time.Time, chain ...*store.Cert) store.Verdict {
		t.Helper()
		v, err := s.Verify(t.Context(), chain, store.PurposeServerAuth, host, at)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	check := func(v store.Verdict, want string) {
		t.Helper()
		if got := strings.Join(v.Reasons, "; "); v.Trusted != (want == "") || !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("the verdict is %+v, not %q", v, want)
		}
	}
	check(verify("a.test", time.Time{}, leaf, middle.Cert(), root.Cert()), "UNTRUSTED_ROOT")
	check(verify("a.test", time.Time{}, leaf), "PARTIAL_CHAIN")
	m.must(s, trusted(root.Cert(), store.PurposeServerAuth))
	good := verify("a.test", time.Time{}, leaf, middle.Cert())
	check(good, "")
	if want := []store.Fingerprint{leaf.SHA256, middle.Cert().SHA256, root.Cert().SHA256}; !slices.Equal(good.Path, want) {
		t.Errorf("the path is %v", good.Path)
	}
	check(verify("b.test", time.Time{}, leaf, middle.Cert()), "another host")
	check(verify("192.0.2.1", time.Time{}, leaf, middle.Cert()), "another host")
	check(verify("a.test", leaf.NotAfter.AddDate(1, 0, 0), leaf, middle.Cert()), "NOT_TIME_VALID")
	m.must(s, distrusted(middle.Cert()))
	check(verify("a.test", time.Time{}, leaf, middle.Cert()), "EXPLICIT_DISTRUST")
	m.api.Judge = func(r wincert.ChainRequest) (wincert.ChainResult, error) {
		if r.Usage != "1.3.6.1.5.5.7.3.1" || r.Host != "a.test" || !r.Machine {
			t.Errorf("it was asked %+v", r)
		}
		return wincert.ChainResult{Status: 0x10 | 0x100000 | 0x40000000, Policy: 0x800B0110}, nil
	}
	check(verify("a.test", time.Time{}, leaf), "NOT_VALID_FOR_USAGE")
	check(verify("a.test", time.Time{}, leaf), "HAS_WEAK_SIGNATURE")
	check(verify("a.test", time.Time{}, leaf), "0x40000000")
	m.api.Judge = func(wincert.ChainRequest) (wincert.ChainResult, error) {
		return wincert.ChainResult{}, wincerttest.Denied
	}
	if _, err := s.Verify(t.Context(), []*store.Cert{leaf}, store.PurposeServerAuth, "", time.Time{}); !errors.Is(err, store.ErrPermission) {
		t.Errorf("the error is %v", err)
	}
}

// The same of this machine's own Windows, in stores that nobody trusts.
func TestVerifyOfThisWindows(t *testing.T) {
	if wincert.System() == nil {
		t.Skip("not Windows: scripts/test-wine runs it")
	}
	root := storetest.NewCA(t)
	middle := root.Intermediate(t)
	leaf := middle.Issue(t, storetest.NotCA(), storetest.Hosts("a.test")).Cert()
	s := wincert.OpenLocation(host.Local(), wincert.System(), "LocalMachine")
	for _, c := range []struct {
		chain []*store.Cert
		want  string
	}{
		{[]*store.Cert{leaf, middle.Cert(), root.Cert()}, "UNTRUSTED_ROOT"},
		{[]*store.Cert{leaf}, "PARTIAL_CHAIN"},
	} {
		v, err := s.Verify(context.Background(), c.chain, store.PurposeServerAuth, "a.test", time.Time{})
		if err != nil || v.Trusted || !strings.Contains(strings.Join(v.Reasons, "; "), c.want) || len(v.Path) != len(c.chain) {
			t.Errorf("the verdict on %d certificates is %+v (%v), not %s", len(c.chain), v, err, c.want)
		}
	}
}
