package nss

import (
	"context"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// refused plans a change that must be refused, and returns the reason and what
// to do.
func refused(t *testing.T, s *Store, c store.Change, code string) store.Refused {
	t.Helper()
	p, err := s.Plan(t.Context(), []store.Change{c})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Refused) != 1 || p.Refused[0].Code != code || !p.Empty() {
		t.Fatalf("it is not refused as %s: %+v, %d steps", code, p.Refused, len(p.Steps))
	}
	return p.Refused[0]
}

// NSS cannot hold two certificates of the same issuer with the same serial
// number: it is said which other one is there, and that it can make room.
func TestSameIssuerAndSerial(t *testing.T) {
	b := newBox(t, layout{columns: columnsProfile})
	s := b.open()
	first := storetest.NewCA(t, storetest.CN("Development Root"), storetest.Serial(big.NewInt(1))).Cert()
	second := storetest.NewCA(t, storetest.CN("Development Root"), storetest.Serial(big.NewInt(1))).Cert()
	do(t, s, trusted(first))
	r := refused(t, s, trusted(second), "conflict")
	if !strings.Contains(r.Reason, first.SHA256.Short()) || r.Hint != "if this one takes its place: certtrust trust FILE --replaces "+first.SHA256.Short() {
		t.Errorf("it says %q, %q", r.Reason, r.Hint)
	}
	do(t, s, store.Change{Fingerprint: first.SHA256, Absent: true}, trusted(second)) // in one go
	if e := entryOf(t, s, second); e == nil || e.Trust.For(store.PurposeServerAuth) != store.Trusted || entryOf(t, s, first) != nil {
		t.Errorf("the second is listed as %+v", e)
	}
	// Two at once are no better.
	p, err := newBox(t, layout{columns: columnsProfile}).open().Plan(t.Context(), []store.Change{trusted(first), trusted(second)})
	if err != nil || len(p.Refused) != 1 || len(p.Steps) != 1 {
		t.Errorf("both at once give %+v, %v", p.Refused, err)
	}
}

// What the programs that use a database could not use is not put into it.
func TestUnusableKeys(t *testing.T) {
	modern, old := layout{columns: columnsProfile}, layout{columns: columnsShared}
	c := storetest.NewCA(t, storetest.CN("Edwards Root"), storetest.Ed25519()).Cert()
	if r := refused(t, newBox(t, old).open(), trusted(c), "unsupported"); !strings.Contains(r.Reason, "Ed25519") {
		t.Errorf("it says %q", r.Reason)
	}
	do(t, newBox(t, modern).open(), trusted(c))
	other := opensslCert(t, "-newkey ed448")
	if r := refused(t, newBox(t, modern).open(), trusted(other), "unsupported"); !strings.Contains(r.Reason, "Ed448") {
		t.Errorf("it says %q", r.Reason)
	}
}

// A server's own certificate is stored in the form that the readers accept;
// where none helps, that is said.
func TestOwnCertificates(t *testing.T) {
	hosts := storetest.Hosts("localhost")
	leaf := storetest.NewCA(t, storetest.CN("Leaf"), storetest.NotCA(), hosts).Cert()
	plain := storetest.NewCA(t, storetest.CN("Plain"), storetest.NoBasicConstraints(), hosts).Cert()
	authority := storetest.NewCA(t, storetest.CN("Authority"), hosts).Cert()
	for _, row := range []struct {
		c       *store.Cert
		profile bool
		trust   string
		notice  string
	}{
		{leaf, true, "C,,", ""}, {leaf, false, "P,,", ""},
		{plain, true, "C,,", ""}, {plain, false, "P,,", ""},
		{authority, true, "C,,", "Test does not accept it as a server's own certificate"}, {authority, false, "C,,", ""},
	} {
		b := newBox(t, layout{profile: row.profile, columns: columnsProfile})
		r := do(t, b.open(), trusted(row.c))
		if e := entryOf(t, b.open(), row.c); e == nil || e.Native["trust"] != row.trust {
			t.Errorf("%s, profile %t: it is listed as %+v", row.c.Label(), row.profile, e)
		}
		if said := strings.Join(r.Notices, "; "); (said != "") != (row.notice != "") || !strings.Contains(said, row.notice) {
			t.Errorf("%s, profile %t: it says %q", row.c.Label(), row.profile, said)
		}
	}
}

// asking is somebody who can be asked for a password.
type asking struct {
	answers []string
	asked   int
}

func (a *asking) Given(string) (host.Secret, bool) { return host.Secret{}, false }
func (a *asking) CanAsk() bool                     { return true }
func (a *asking) Ask(context.Context, string, string) (host.Secret, error) {
	if a.asked == len(a.answers) {
		return host.Secret{}, errors.New("nobody answers")
	}
	a.asked++
	return host.NewSecret([]byte(a.answers[a.asked-1])), nil
}

// A person is asked for the primary password once, when something is to be
// signed; a wrong answer, or none, changes nothing.
func TestAsked(t *testing.T) {
	l := layout{profile: true, columns: columnsProfile, password: "a pass word"}
	c := storetest.NewCA(t).Cert()
	for name, row := range map[string]struct {
		answers []string
		done    bool
	}{"right": {[]string{"a pass word"}, true}, "wrong": {[]string{"another"}, false}, "none": {nil, false}} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, l)
			person := &asking{answers: row.answers}
			b.host.Secrets = person
			before := b.raw()
			s := b.open()
			p, err := s.Plan(t.Context(), []store.Change{trusted(c)})
			if err != nil || len(p.Refused) > 0 || person.asked != 0 {
				t.Fatalf("planning gives %v, %+v, and asks %d times", err, p.Refused, person.asked)
			}
			_, err = s.Apply(t.Context(), p)
			if (err == nil) != row.done || err != nil && !errors.Is(err, store.ErrSecret) {
				t.Errorf("it returns %v", err)
			}
			if person.asked != len(row.answers) {
				t.Errorf("it asks %d times", person.asked)
			}
			if !row.done && b.raw() != before {
				t.Error("the database was changed")
			}
			if row.done {
				b.host.Secrets = secrets{testID: "a pass word"}
				if e := entryOf(t, b.open(), c); e == nil || e.Native["integrity"] != "ok" {
					t.Errorf("it is listed as %+v", e)
				}
			}
		})
	}
}

// A database that is made here is one for every version of NSS, with the file
// of modules and without; and a certificate whose private key is there is a
// person's own, which is not removed.
func TestMadeHere(t *testing.T) {
	for _, profile := range []bool{false, true} {
		for _, l := range libraries {
			l.need(t)
			b := newBox(t, layout{profile: profile})
			c := storetest.NewCA(t, storetest.CN("Root one")).Cert()
			do(t, b.open(), trusted(c))
			readers := libraries
			if profile {
				readers = libraries[1:]
			}
			for _, without := range []bool{false, true} {
				if without {
					if err := os.Remove(b.file("pkcs11.txt")); err != nil {
						t.Fatal(err)
					}
				}
				for _, reader := range readers {
					if got := reader.shown(t, b.file(""), "Root one"); got != "C,," {
						t.Errorf("profile %t, without pkcs11.txt %t: %s shows %s", profile, without, reader.name, got)
					}
					reader.must(t, b.file(""), "-V", "-n", "Root one", "-u", "L")
				}
			}
			noise := filepath.Join(b.host.Root, "noise")
			if err := os.WriteFile(noise, []byte(strings.Repeat("noise", 100)), 0o600); err != nil {
				t.Fatal(err)
			}
			l.must(t, b.file(""), "-S", "-x", "-n", "mine", "-s", "CN=Mine", "-t", "u,u,u", "-k", "ec", "-q", "nistp256", "-z", noise, "-m", "77")
			var mine *store.Cert
			for e, err := range b.open().Entries(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				if e.Label == "mine" {
					mine = e.Cert
					if e.Native["key"] == "" {
						t.Errorf("its key is not told: %v", e.Native)
					}
				}
			}
			if mine == nil {
				t.Fatal("it is not listed")
			}
			if r := refused(t, b.open(), store.Change{Fingerprint: mine.SHA256, Absent: true}, "unsupported"); !strings.Contains(r.Reason, "private key") {
				t.Errorf("it says %q", r.Reason)
			}
		}
	}
}

// A profile may lie below a directory of any name that people and programs give.
func TestOddPaths(t *testing.T) {
	for _, name := range []string{"Application Support/Profiles/ab cd.default", "100% #1/a&b=c+d;e", "it's/Ünï cödé 日本", "file:x?mode=ro", "[a]{b}"} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS == "windows" && strings.ContainsAny(name, ":?") {
				t.Skip("this system has no such names")
			}
			b := newBox(t, layout{})
			at := "/home/user/" + name
			real := filepath.Join(b.host.Root, filepath.FromSlash(at))
			if err := os.MkdirAll(real, 0o755); err != nil {
				t.Fatal(err)
			}
			c, other := storetest.NewCA(t, storetest.CN("Root one")).Cert(), storetest.NewCA(t, storetest.CN("Root two")).Cert()
			open := func() *Store { return Open(b.host, at, b.o) }
			do(t, open(), trusted(c)) // makes it
			do(t, open(), trusted(other))
			if e := entryOf(t, open(), c); e == nil || e.Native["integrity"] != "ok" || e.Trust.For(store.PurposeServerAuth) != store.Trusted {
				t.Errorf("it is listed as %+v", e)
			}
			// Windows has another program of that name.
			if _, err := exec.LookPath("certutil"); err == nil && runtime.GOOS != "windows" {
				if got := libraries[0].shown(t, real, "Root one"); got != "C,," {
					t.Errorf("certutil shows %s", got)
				}
			}
			do(t, open(), store.Change{Fingerprint: c.SHA256, Absent: true})
			if e := entryOf(t, open(), c); e != nil {
				t.Errorf("removed, it is listed as %+v", e)
			}
			entries, err := os.ReadDir(real)
			most := 3
			if strings.Contains(name, "'") || runtime.GOOS == "windows" { // pkcs11.txt is left to the browser: it quotes such paths
				most = 2
			}
			if err != nil || len(entries) != most {
				t.Errorf("there is %v (%v)", entries, err)
			}
		})
	}
}

// What was right before it was committed is not judged once more if it is still
// there, row by row; whatever else is there is, and is told if it is wrong.
func TestReadBack(t *testing.T) {
	c := storetest.NewCA(t).Cert()
	for name, change := range map[string]func(b *box){
		"unchanged":         nil,
		"another label":     func(b *box) { b.exec("cert9.db", "UPDATE nssPublic SET a3 = x'61' WHERE a0 = x'00000001'") },
		"other trust":       func(b *box) { b.exec("cert9.db", "UPDATE nssPublic SET a62c = x'00000003'") },
		"no value":          func(b *box) { b.exec("cert9.db", "UPDATE nssPublic SET a62c = NULL") },
		"another number":    func(b *box) { b.exec("cert9.db", "UPDATE nssPublic SET id = id + 1000000 WHERE a0 <> x'00000001'") },
		"no certificate":    func(b *box) { b.exec("cert9.db", "DELETE FROM nssPublic WHERE a0 = x'00000001'") },
		"no signature":      func(b *box) { b.exec("key4.db", "DELETE FROM metaData WHERE id LIKE 'sig_cert_%62c'") },
		"another signature": func(b *box) { b.exec("key4.db", "UPDATE metaData SET item1 = x'30' WHERE id LIKE 'sig_cert_%62c'") },
		"another password":  func(b *box) { b.exec("key4.db", "UPDATE metaData SET item1 = x'30' WHERE id = 'password'") },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, layout{columns: columnsProfile})
			s := b.open()
			p, err := s.Plan(t.Context(), []store.Change{trusted(c)})
			if err != nil {
				t.Fatal(err)
			}
			made, err := s.transaction(t.Context(), p, store.Plan.SameSteps, nil)
			if err != nil {
				t.Fatal(err)
			}
			if change != nil {
				change(b)
			}
			if got, want := s.still(t.Context(), made.wrote), change == nil; got != want {
				t.Errorf("it is still what was written: %v", got)
			}
			err = s.readBack(t.Context(), made)
			// With another password nobody can tell whether the signatures are right.
			if got, want := errors.Is(err, store.ErrPartial), change != nil && name != "another password"; got != want {
				t.Errorf("read back: %v", err)
			}
		})
	}
}
