package keychain

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/certtrust/certtrust/platform/keychain/securitytest"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

func TestElsewhere(t *testing.T) {
	m := newMac(t, "15")
	h := m.Host(0)
	h.OS = "linux"
	if stores, _ := DetectSystem(t.Context(), h); stores != nil {
		t.Errorf("on Linux there is %v", stores)
	}
	h.OS = "darwin"
	if err := os.Remove(filepath.Join(m.Root, "usr/bin/security")); err != nil {
		t.Fatal(err)
	}
	if w := m.on(h, SystemID).Info().Access.Write; w == nil || w.Kind != store.ToolMissing {
		t.Errorf("without the tool: %+v", w)
	}
}

// Homebrew's OpenSSL is told of, once for each file, by stores and by what is
// changed.
func TestHomebrew(t *testing.T) {
	m := newMac(t, "15")
	ca := storetest.NewCA(t).Cert()
	if p := m.plan(m.login(), trusting(ca)); strings.Contains(strings.Join(p.Notices, ""), "Homebrew") {
		t.Errorf("without Homebrew: %q", p.Notices)
	}
	dir := filepath.Join(m.Root, "opt/homebrew/etc")
	for _, d := range []string{"ca-certificates", "openssl@3"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "ca-certificates/cert.pem"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../ca-certificates/cert.pem", filepath.Join(dir, "openssl@3/cert.pem")); err != nil {
		t.Skip(err)
	}
	_, reasons := DetectSystem(t.Context(), m.Host(0))
	m.contains(strings.Join(reasons, "\n"), "Homebrew's OpenSSL, and what is built with it, reads /opt/homebrew/etc/ca-certificates/cert.pem and not the keychain")
	p := m.plan(m.login(), trusting(ca))
	m.contains(strings.Join(p.Notices, "\n"), "Homebrew's OpenSSL", "/opt/homebrew/etc/ca-certificates/cert.pem")
	if strings.Contains(strings.Join(p.Notices, ""), "openssl@3") {
		t.Errorf("the same file is told twice: %q", p.Notices)
	}
}

// Only a Mac judges as macOS does.
func TestVerify(t *testing.T) {
	m := newMac(t, "15")
	ca := storetest.NewCA(t)
	chain := []*store.Cert{ca.Cert()}
	s := m.login()
	if _, err := s.Verify(t.Context(), chain, store.PurposeServerAuth, "", time.Now()); store.Code(err) != "unsupported" {
		t.Errorf("of a fake machine: %v", err)
	}
	s.host.Root = "" // as on a Mac
	if _, err := s.Verify(t.Context(), chain, store.PurposeEmail, "", time.Now()); store.Code(err) != "unsupported" {
		t.Errorf("for e-mail: %v", err)
	}
	if _, err := s.Verify(t.Context(), []*store.Cert{store.NewCert([]byte("0"))}, store.PurposeServerAuth, "", time.Now()); store.Code(err) != "unsupported" {
		t.Errorf("of what is none: %v", err)
	}
	v, err := s.Verify(t.Context(), chain, store.PurposeServerAuth, "www.example.com", time.Now())
	if err != nil || v.Trusted || len(v.Reasons) == 0 {
		t.Errorf("of a CA that nobody knows: %+v %v", v, err)
	}
}

// What stands in the way of a change is known before, and is told with the way
// that works.
func TestAsks(t *testing.T) {
	for _, row := range authorizations {
		if row.dialog && !strings.Contains(row.hint, "mobileconfig") {
			t.Errorf("%s since %v: the hint %q tells no way that works", row.domain.name, row.since, row.hint)
		}
		if row.text == "" {
			t.Errorf("%s since %v: nothing is said", row.domain.name, row.since)
		}
	}
	m := newMac(t, "26")
	h := m.Host(501)
	for env, want := range map[string]string{"": "", "SSH_TTY": "ssh", "XPC_SERVICE_NAME": "launchd"} {
		h.Env = func(key string) string {
			if key == env && env != "" {
				return "x"
			}
			return ""
		}
		if got := nobody(h); got != "" != (want != "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q", env, got)
		}
	}
	h.Env = func(key string) string {
		return map[string]string{"XPC_SERVICE_NAME": "application.com.apple.Terminal.1"}[key]
	}
	if got := nobody(h); got != "" {
		t.Errorf("in a terminal: %q", got)
	}
}

// Hosts and several rules at once.
func TestLimits(t *testing.T) {
	m := newMac(t, "15")
	ca := storetest.NewCA(t)
	trust := store.Trust{{Purpose: store.PurposeServerAuth, Decision: store.Trusted, Hosts: []string{"www.example.com", "b.test"}}}
	want := store.Change{Fingerprint: ca.Cert().SHA256, DER: ca.DER(), Trust: &trust}
	m.do(m.login(), want)
	m.wants("record", m.record(userKey, ca.Cert()), "ssl b.test: trustRoot; ssl www.example.com: trustRoot")
	m.wants("by macOS", m.trusts(501, ca, "ssl"), true)
	other := store.Trust{{Purpose: store.PurposeServerAuth, Decision: store.Trusted, Hosts: []string{"b.test"}}}
	want.Trust = &other
	m.do(m.login(), want)
	m.wants("by macOS", m.trusts(501, ca, "ssl"), false)
	for name, bad := range map[string]store.Trust{
		"for e-mail":    {{Purpose: store.PurposeEmail, Decision: store.Trusted, Hosts: []string{"a.test"}}},
		"an empty host": {{Purpose: store.PurposeServerAuth, Decision: store.Trusted, Hosts: []string{""}}},
		"two lines":     {{Purpose: store.PurposeServerAuth, Decision: store.Trusted, Hosts: []string{"a\nb"}}},
		"distrust":      {{Purpose: store.PurposeServerAuth, Decision: store.Distrusted, Hosts: []string{"a.test"}}},
	} {
		want.Trust = &bad
		if p := m.plan(m.login(), want); len(p.Refused) != 1 || !p.Empty() {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// A keychain of the search list: what is in it is listed, removed from it, and
// brought back into it.
func TestSearchList(t *testing.T) {
	m := newMac(t, "14")
	const other = securitytest.Home + "/Library/Keychains/other.keychain-db"
	ca := storetest.NewCA(t)
	m.edit(func(st *securitytest.State) {
		st.Keychains[other] = &securitytest.Keychain{Owner: securitytest.UserID, Certs: [][]byte{ca.DER()}}
		st.Search = append(st.Search, other)
	})
	before := m.describe()
	receipt := m.do(m.login(), without(ca.Cert()))
	m.wants("removed", len(m.state().Keychains[other].Certs), 0)
	m.do(m.login(), receipt.Undo...)
	m.wants("undone", m.describe(), before)
}
