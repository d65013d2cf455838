package java

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
	"github.com/certtrust/certtrust/store/storetest"
)

// layouts are keystores that keytool has made, in all the forms that it knows.
var layouts = []struct {
	name, file string
	own        bool // in the place where a Java takes it unasked
}{
	{"JKS", "java.jks", true},
	{"JKS with a key", "java-key.jks", true},
	{"JCEKS", "java.jceks", false},
	{"JCEKS with a secret key", "java-secret.jceks", false},
	{"PKCS#12", "java.p12", false},
	{"PKCS#12 of old", "java-legacy.p12", false},
	{"PKCS#12 without a password", "java-passwordless.p12", true},
}

// box is a machine with a keystore.
type box struct {
	t    testing.TB
	root string
	host *host.Host
	at   string
}

// fixture reads a file that keytool has made.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "formats", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func newBox(t testing.TB, at string, data []byte) *box {
	t.Helper()
	b := &box{t: t, root: storetest.TempDir(t), at: at}
	b.host = host.Fake(b.root)
	b.write(at, data)
	return b
}

func (b *box) file(p string) string { return filepath.Join(b.root, filepath.FromSlash(p)) }

func (b *box) write(p string, data []byte) {
	b.t.Helper()
	if err := os.MkdirAll(filepath.Dir(b.file(p)), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(b.file(p), data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) read() []byte {
	b.t.Helper()
	data, err := os.ReadFile(b.file(b.at))
	if err != nil {
		b.t.Fatal(err)
	}
	return data
}

func (b *box) open() *Store {
	b.t.Helper()
	s, _, err := Open(b.host, b.at)
	if err != nil {
		b.t.Fatal(err)
	}
	return s.(*Store)
}

// snapshot describes every file in the keystore's directory, byte by byte.
func (b *box) snapshot() string {
	b.t.Helper()
	var lines []string
	dir := filepath.Dir(b.file(b.at))
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(name)
		lines = append(lines, fmt.Sprintf("%s %v %x", d.Name(), info.Mode(), data))
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

func TestConformance(t *testing.T) {
	for _, l := range layouts {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T) storetest.Fixture {
				at := "/opt/app/trust.ks"
				if l.own {
					at = "/opt/jdk/lib/security/cacerts"
				}
				data := fixture(t, l.file)
				if l.file == "java-legacy.p12" {
					data = quickLegacy(t) // Java's own takes its time for each password
				}
				b := newBox(t, at, data)
				var faults storetest.Faults
				b.host.Fault = faults.Fail
				reopen := func() store.Editor { return b.open() }
				return storetest.Fixture{
					Store: b.open(), Reopen: reopen, Parallel: reopen, Snapshot: b.snapshot,
					Fault: faults.Set,
				}
			})
		})
	}
}

// quickLegacy is a keystore in the form that Java had for long, but with fewer
// rounds.
func quickLegacy(t testing.TB) []byte {
	t.Helper()
	var list []pkcs12.TrustStoreEntry
	for range 2 {
		c := storetest.NewCA(t).Cert()
		list = append(list, pkcs12.TrustStoreEntry{Cert: c.Parsed(), FriendlyName: "one of " + c.SHA256.Short()})
	}
	data, err := pkcs12.LegacyRC2.EncodeTrustStoreEntries(list, "changeit")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// do plans and applies.
func (b *box) do(want ...store.Change) store.Receipt {
	b.t.Helper()
	s := b.open()
	p, err := s.Plan(b.t.Context(), want)
	if err != nil || len(p.Refused) > 0 {
		b.t.Fatalf("Plan: %v, refused %+v", err, p.Refused)
	}
	receipt, err := s.Apply(b.t.Context(), p)
	if err != nil {
		b.t.Fatal(err)
	}
	return receipt
}

func anchor(c *store.Cert) store.Change {
	t := trusted()
	return store.Change{Fingerprint: c.SHA256, DER: c.Raw, Trust: &t}
}

// entriesOf reads the file as package certfile does, without this one.
func (b *box) entriesOf() []certfile.KeystoreEntry {
	b.t.Helper()
	e, err := certfile.EditKeystore(b.read(), certfile.JavaPasswords())
	if err != nil {
		b.t.Fatal(err)
	}
	if e.Locked != nil {
		b.t.Fatal(e.Locked)
	}
	return e.Entries
}

// What is put in and taken out again leaves the same file, and meanwhile every
// other entry has the bytes that it had.
func TestAddThenRemoveIsTheSameFile(t *testing.T) {
	for _, l := range layouts {
		t.Run(l.name, func(t *testing.T) {
			b := newBox(t, "/opt/app/trust.ks", fixture(t, l.file))
			before, entries := b.read(), b.entriesOf()
			c := storetest.NewCA(t, storetest.CN("Demo CA")).Cert()
			b.do(anchor(c))
			now := b.entriesOf()
			if len(now) != len(entries)+1 {
				t.Fatalf("%d entries became %d", len(entries), len(now))
			}
			for _, e := range entries {
				same := false
				for _, n := range now {
					same = same || string(n.Raw) == string(e.Raw)
				}
				if !same {
					t.Errorf("the entry %q is not what it was", e.Alias)
				}
			}
			b.do(store.Change{Fingerprint: c.SHA256, Absent: true})
			if string(b.read()) != string(before) {
				t.Error("the file is another one")
			}
		})
	}
}
