package java

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
	"github.com/certtrust/certtrust/store/storetest"
)

// secrets are the answers of a person, in their order.
type secrets struct {
	given   map[string]host.Secret
	answers []string
	asked   int
}

func (s *secrets) Given(id string) (host.Secret, bool) { x, ok := s.given[id]; return x, ok }
func (s *secrets) CanAsk() bool                        { return len(s.answers) > 0 }
func (s *secrets) Ask(_ context.Context, id, _ string) (host.Secret, error) {
	if x, ok := s.given[id]; ok {
		return x, nil
	}
	if len(s.answers) == 0 {
		return host.Secret{}, errors.New("nobody answers")
	}
	s.asked++
	s.given[id] = host.NewSecret([]byte(s.answers[0]))
	s.answers = s.answers[1:]
	return s.given[id], nil
}

// locked is a keystore with a password of its own.
func locked(t *testing.T, format, password string) []byte {
	t.Helper()
	c := storetest.NewCA(t, storetest.CN("Inside")).Cert()
	data, err := certfile.Encode(format, []certfile.Written{{Cert: c, Label: "inside"}}, certfile.WriteOptions{Password: []byte(password)})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestPassword(t *testing.T) {
	for _, format := range []string{"jks", "p12"} {
		b := newBox(t, "/opt/app/trust.ks", locked(t, format, "ÿ geheim"))
		c := storetest.NewCA(t).Cert()
		readable := format == "jks" // its certificates are not encrypted

		s := b.open()
		if w := s.Info().Access.Write; w == nil || w.Kind != store.NeedsSecret || !strings.Contains(w.Hint, "--store-password-file java:/opt/app/trust.ks=FILE") {
			t.Errorf("%s: the obstacle is %+v", format, w)
		}
		if r := s.Info().Access.Read; (r == nil) != readable || r != nil && !strings.Contains(r.Text, "cannot be read") {
			t.Errorf("%s: reading: %+v", format, r)
		}
		// That is known when it is planned, and not only when other stores have
		// been changed. What is so already needs no password.
		_, err := s.Plan(t.Context(), []store.Change{anchor(c)})
		if !errors.Is(err, store.ErrSecret) {
			t.Errorf("%s: Plan without the password: %v", format, err)
		}
		if p, err := s.Plan(t.Context(), []store.Change{{Fingerprint: c.SHA256, Absent: true}}); readable && (err != nil || !p.Empty()) {
			t.Errorf("%s: Plan of what is so already: %v, %+v", format, err, p)
		}

		// A wrong password is refused, and the file stays.
		before := b.read()
		b.host.Secrets = &secrets{given: map[string]host.Secret{"java:/opt/app/trust.ks": host.NewSecret([]byte("wrong"))}}
		if w := b.open().Info().Access.Write; w == nil || !strings.Contains(w.Text, "that was given does not fit") {
			t.Errorf("%s: with a wrong one: %+v", format, w)
		}
		if _, err := b.open().Plan(t.Context(), []store.Change{anchor(c)}); !errors.Is(err, store.ErrSecret) || !strings.Contains(err.Error(), "that was given does not fit") {
			t.Errorf("%s: Plan with a wrong one: %v", format, err)
		}
		answers := &secrets{given: map[string]host.Secret{}, answers: []string{"wrong too"}}
		b.host.Secrets = answers
		s = b.open()
		p, err := s.Plan(t.Context(), []store.Change{anchor(c)})
		if err == nil {
			_, err = s.Apply(t.Context(), p)
		}
		if !errors.Is(err, store.ErrSecret) || answers.asked != 1 || !bytes.Equal(before, b.read()) {
			t.Errorf("%s: after a wrong answer: %v, asked %d times", format, err, answers.asked)
		}

		// The right one is asked for once.
		answers = &secrets{given: map[string]host.Secret{}, answers: []string{"ÿ geheim"}}
		b.host.Secrets = answers
		b.do(anchor(c))
		if answers.asked != 1 {
			t.Errorf("%s: asked %d times", format, answers.asked)
		}
		e, err := certfile.EditKeystore(b.read(), [][]byte{[]byte("ÿ geheim")})
		if err != nil || e.Locked != nil || len(e.Entries) != 2 {
			t.Errorf("%s: %v, %+v", format, err, e)
		}
	}
}

// People name the file of a certificate as a keystore: they are told how it is
// named, and not to restore it.
func TestText(t *testing.T) {
	b := newBox(t, "/srv/ca.pem", storetest.NewCA(t).PEM())
	s := b.open()
	if w := s.Info().Access.Write; w == nil || w.Kind != store.Damaged || !strings.Contains(w.Hint, "file:/srv/ca.pem") {
		t.Errorf("the obstacle is %+v", w)
	}
	_, err := s.Plan(t.Context(), []store.Change{anchor(storetest.NewCA(t).Cert())})
	var e *store.Error
	if !errors.Is(err, store.ErrCorrupt) || !errors.As(err, &e) || !strings.Contains(e.Hint, "file:/srv/ca.pem") {
		t.Errorf("Plan: %+v", err)
	}
}

// Java opens its own keystore without a password: one that is encrypted is
// never written there.
func TestOwnKeystoreIsNeverEncrypted(t *testing.T) {
	for _, at := range []string{"/opt/jdk/lib/security/cacerts", "/opt/jdk/lib/security/jssecacerts", "/etc/ssl/certs/java/cacerts"} {
		b := newBox(t, at, fixture(t, "java.p12"))
		s := b.open()
		if w := s.Info().Access.Write; w == nil || w.Kind != store.ReadOnly || !strings.Contains(w.Text, "trusts nothing") {
			t.Errorf("%s: the obstacle is %+v", at, w)
		}
		p, err := s.Plan(t.Context(), []store.Change{anchor(storetest.NewCA(t).Cert())})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Apply(t.Context(), p); !errors.Is(err, store.ErrReadOnly) || !bytes.Equal(b.read(), fixture(t, "java.p12")) {
			t.Errorf("%s: Apply returned %v", at, err)
		}
	}
}

func TestModeIsKept(t *testing.T) {
	b := newBox(t, "/opt/app/trust.ks", fixture(t, "java.jks"))
	if err := os.Chmod(b.file(b.at), 0o640); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(b.file(b.at))
	if err != nil {
		t.Fatal(err)
	}
	b.do(anchor(storetest.NewCA(t).Cert()))
	if after, err := os.Stat(b.file(b.at)); err != nil || after.Mode() != before.Mode() {
		t.Errorf("%v became %v, %v", before.Mode(), after.Mode(), err)
	}
}

func TestAliases(t *testing.T) {
	b := newBox(t, "/opt/app/trust.ks", fixture(t, "java.jks"))
	a := storetest.NewCA(t, storetest.CN("Demo CA: Größe & 東京 \u202e\x1b[31m")).Cert()
	same := storetest.NewCA(t, storetest.CN("Demo CA: Größe & 東京 \u202e\x1b[31m")).Cert()
	b.do(anchor(a), anchor(same))
	seen := map[string]bool{}
	for _, e := range b.entriesOf() {
		if seen[strings.ToLower(e.Alias)] {
			t.Errorf("two entries are called %q", e.Alias)
		}
		seen[strings.ToLower(e.Alias)] = true
		if e.DER != nil && e.SHA256 == a.SHA256 {
			if e.Alias != strings.ToLower(e.Alias) || !strings.HasPrefix(e.Alias, "certtrust-demo-ca-größe-東京") || strings.ContainsAny(e.Alias, " &\x1b\u202e") {
				t.Errorf("the alias is %q", e.Alias)
			}
		}
	}
	// The same certificate under a name that somebody else gave goes with it.
	e, err := certfile.EditKeystore(b.read(), certfile.JavaPasswords())
	if err != nil {
		t.Fatal(err)
	}
	data, err := e.Encode(append(e.Entries, e.NewEntry("by-hand", a, b.host.Now())))
	if err != nil {
		t.Fatal(err)
	}
	b.write(b.at, data)
	receipt := b.do(store.Change{Fingerprint: a.SHA256, Absent: true})
	for _, e := range b.entriesOf() {
		if e.DER != nil && e.SHA256 == a.SHA256 {
			t.Errorf("%q is left", e.Alias)
		}
	}
	b.do(receipt.Undo...)
	if !bytes.Equal(b.read(), data) {
		t.Error("undone, the file is another one")
	}
}

// What cannot be understood is refused with the reason; nothing is written.
func TestHostile(t *testing.T) {
	jks, p12, free := fixture(t, "java.jks"), fixture(t, "java.p12"), fixture(t, "java-passwordless.p12")
	changed := func(data []byte, at int, with ...byte) []byte {
		out := bytes.Clone(data)
		copy(out[at:], with)
		return out
	}
	u4 := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	huge := append(append(bytes.Clone(jks[:12]), u4(2)...), 0, 1, 'a', 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 'X', '.', '5', '0', '9', 0xff, 0xff, 0xff, 0xff)
	key := append(append(bytes.Clone(jks[:12]), u4(1)...), 0, 1, 'a', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0xff, 0xff, 0xff, 0xff)
	trailing := append(bytes.Clone(free), "something else"...)
	macless := bytes.Clone(p12)
	macless[len(macless)-60] ^= 1 // within the digest or its salt
	for name, c := range map[string]struct {
		data []byte
		kind error
	}{
		"nothing":                 {[]byte{}, store.ErrCorrupt},
		"a text":                  {[]byte("hello"), store.ErrCorrupt},
		"cut short":               {jks[:len(jks)-30], store.ErrCorrupt},
		"only the magic":          {jks[:4], store.ErrCorrupt},
		"a claimed number":        {changed(jks, 8, u4(0xffffffff)...), store.ErrCorrupt},
		"a claimed length":        {huge, store.ErrCorrupt},
		"a claimed chain":         {key, store.ErrCorrupt},
		"another version":         {changed(jks, 4, u4(3)...), store.ErrUnsupported},
		"an unknown kind":         {changed(jks, 12, u4(9)...), store.ErrCorrupt},
		"a wrong digest":          {changed(jks, len(jks)-1, jks[len(jks)-1]^1), store.ErrSecret},
		"a changed entry":         {changed(jks, 30, jks[30]^1), store.ErrSecret},
		"PKCS#12 cut short":       {p12[:len(p12)/2], store.ErrCorrupt},
		"PKCS#12 changed":         {macless, store.ErrSecret},
		"PKCS#12 with more after": {trailing, store.ErrUnsupported},
		"a FIFO's size":           {bytes.Repeat([]byte{0}, certfile.MaxSize+1), host.ErrTooLarge},
	} {
		b := newBox(t, "/opt/app/trust.ks", c.data)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s := b.open()
		w := s.Info().Access.Write
		if w == nil || w.Text == "" {
			t.Errorf("%s: nothing is in the way", name)
			continue
		}
		p, err := s.Plan(t.Context(), []store.Change{anchor(storetest.NewCA(t).Cert())})
		if err == nil {
			_, err = s.Apply(t.Context(), p)
		}
		runtime.ReadMemStats(&after)
		if err == nil || c.kind != host.ErrTooLarge && !errors.Is(err, c.kind) && !errors.Is(w.Err("", ""), c.kind) && !errors.Is(w.Err("", ""), store.ErrReadOnly) {
			t.Errorf("%s: the error is %v, the obstacle %+v", name, err, w)
		}
		if !bytes.Equal(b.read(), c.data) {
			t.Errorf("%s: it was written", name)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
			t.Errorf("%s: it took %d MiB", name, grown>>20)
		}
	}
}

// A keystore that Bouncy Castle made is named as what it is.
func TestUnreadKinds(t *testing.T) {
	b := newBox(t, "/opt/app/trust.ks", []byte("\x30\x0a\x30\x06\x30\x00\x04\x02ab\x30\x00"))
	if w := b.open().Info().Access.Write; w == nil || !strings.Contains(w.Text, "BCFKS") {
		t.Errorf("the obstacle is %+v", w)
	}
	// NSS writes BER, which is read, and not written.
	b = newBox(t, "/opt/app/trust.ks", fixture(t, "p12-nss.p12"))
	b.host.Secrets = &secrets{given: map[string]host.Secret{"java:/opt/app/trust.ks": host.NewSecret([]byte("pass word"))}}
	s := b.open()
	if w := s.Info().Access.Write; w == nil || w.Kind != store.ReadOnly || !strings.Contains(w.Text, "BER") {
		t.Errorf("the obstacle is %+v", w)
	}
	count := 0
	for e, err := range s.Entries(t.Context()) {
		if err != nil {
			t.Error(err)
		}
		if count++; len(e.Problems) != 1 || len(e.Trust) != 0 {
			t.Errorf("Java does not see what has no mark: %+v", e)
		}
	}
	if count == 0 {
		t.Error("nothing is listed")
	}
}

// What a kill has left beside a keystore is found and removed, nothing else is.
func TestLeftovers(t *testing.T) {
	b := newBox(t, "/opt/app/trust.ks", fixture(t, "java.jks"))
	b.write("/opt/app/.certtrust-0123456789abcdef", []byte("half"))
	b.write("/opt/app/.certtrust", []byte("another's"))
	s := b.open()
	var problems []store.Problem
	for p, err := range s.Problems(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		problems = append(problems, p)
	}
	if len(problems) != 1 || !problems[0].Mendable {
		t.Fatalf("the problems are %+v", problems)
	}
	hostile := store.Problem{Code: problems[0].Code, Path: "/opt/app/.certtrust", Text: "x"}
	p, err := s.PlanRepair(t.Context(), append(problems, hostile))
	if err != nil || len(p.Steps) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, err := s.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(b.snapshot(), "\n"); got != 1 {
		t.Errorf("there is now\n%.300s", b.snapshot())
	}
	for p := range s.Problems(t.Context()) {
		t.Errorf("left: %+v", p)
	}
}

func TestOrigins(t *testing.T) {
	var list []certfile.Written
	for _, c := range storetest.Many(t, 30) {
		list = append(list, certfile.Written{Cert: c, Label: "vendor's"})
	}
	b := newBox(t, "/opt/app/trust.ks", nil)
	data, err := certfile.Encode("jks", list, certfile.WriteOptions{Now: b.host.Now()})
	if err != nil {
		t.Fatal(err)
	}
	b.write(b.at, data)
	b.do(anchor(storetest.NewCA(t).Cert()))
	by := map[store.OriginBy]int{}
	for e, err := range b.open().Entries(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		by[e.Origin.By]++
	}
	if by[store.ByVendor] != 30 || by[store.ByCerttrust] != 1 {
		t.Errorf("%v", by)
	}
}

func FuzzKeystore(f *testing.F) {
	for _, l := range layouts {
		if l.file != "java-legacy.p12" {
			f.Add(fixture(f, l.file))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := certfile.EditKeystore(data, certfile.JavaPasswords())
		if err != nil || e.Locked != nil {
			return
		}
		out, err := e.Encode(e.Entries)
		if err != nil || !bytes.Equal(out, data) {
			t.Fatalf("unchanged, it is another file (%v)", err)
		}
	})
}
