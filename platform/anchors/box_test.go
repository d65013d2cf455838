package anchors

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/certtrust/certtrust/platform/anchors/anchorstest"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/host/hosttest"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
	"github.com/certtrust/certtrust/store/storetest"
)

// Called with "hold-lock" and a file, the test binary is the package manager
// that has it locked, until its input ends.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "hold-lock" {
		if err := hosttest.RecordLock(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println("locked")
		io.Copy(io.Discard, os.Stdin)
		return
	}
	os.Exit(m.Run())
}

const (
	adminDir  = "/usr/local/share/ca-certificates/"
	vendorDir = "/usr/share/ca-certificates/mozilla/"
	certsDir  = "/etc/ssl/certs/"
	bundle    = certsDir + "ca-certificates.crt"
	confFile  = "/etc/ca-certificates.conf"
	cacerts   = certsDir + "java/cacerts"
	javaHook  = "/etc/ca-certificates/update.d/jks-keystore"
	pending   = "/var/lib/ca-certificates-java/pending"
	dpkgLock  = "/var/lib/dpkg/lock"
)

// box is a fake machine of the family debian.
type box struct {
	testing.TB
	root    string
	host    *host.Host
	updater *anchorstest.Updater
	vendor  []*store.Cert // Alpha, "Beta (2)" and Gamma
}

func newBox(t testing.TB, java bool) *box {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("a root of another system needs links, and names with a colon")
	}
	b := &box{TB: t, root: storetest.TempDir(t)}
	files := map[string][]byte{}
	for _, name := range []string{"Alpha", "Beta (2)", "Gamma"} {
		ca := newCA(t, "Vendor "+name)
		files[name] = ca.PEM()
		b.vendor = append(b.vendor, ca.Cert())
	}
	var err error
	if b.host, b.updater, err = anchorstest.Debian(b.root, files, java); err != nil {
		t.Fatal(err)
	}
	return b
}

// newCA makes an authority that is the same each time.
func newCA(t testing.TB, name string, opts ...storetest.Option) *storetest.CA {
	t.Helper()
	return storetest.NewCA(t, append([]storetest.Option{storetest.CN(name), storetest.Seed(name)}, opts...)...)
}

// open opens the store.
func (b *box) open() *Store {
	b.Helper()
	found, reasons := Detect(b.host)
	s, ok := found.(*Store)
	if !ok {
		b.Fatalf("no store: %v", reasons)
	}
	s.Wait = 5 * time.Second
	return s
}

func (b *box) path(p string) string { return filepath.Join(b.root, filepath.FromSlash(p)) }

func (b *box) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// write makes a file with its directories.
func (b *box) write(p string, data []byte) {
	b.Helper()
	b.must(os.MkdirAll(filepath.Dir(b.path(p)), 0o755))
	b.must(os.WriteFile(b.path(p), data, 0o644))
	b.chmod(p, 0o644)
}

func (b *box) chmod(p string, mode fs.FileMode) {
	b.Helper()
	b.must(os.Chmod(b.path(p), mode))
}

func (b *box) link(target, p string) {
	b.Helper()
	b.must(os.MkdirAll(filepath.Dir(b.path(p)), 0o755))
	b.must(os.Symlink(target, b.path(p)))
}

func (b *box) remove(p string) {
	b.Helper()
	b.must(os.Remove(b.path(p)))
}

func (b *box) read(p string) string {
	b.Helper()
	data, err := os.ReadFile(b.path(p))
	b.must(err)
	return string(data)
}

// edit replaces a text in a file that has it.
func (b *box) edit(p, old, new string) {
	b.Helper()
	text := b.read(p)
	if !strings.Contains(text, old) {
		b.Fatalf("%s does not hold %q", p, old)
	}
	b.write(p, []byte(strings.Replace(text, old, new, 1)))
}

// update runs the distribution's tool, as an administrator does.
func (b *box) update() {
	b.Helper()
	_, err := b.updater.Run(b.Context(), host.Command{Args: []string{"/usr/sbin/update-ca-certificates"}})
	b.must(err)
}

// tree describes all files but our own records.
func (b *box) tree() string {
	b.Helper()
	text, err := anchorstest.Tree(b.root)
	b.must(err)
	return text
}

// unchanged returns what checks that nothing has changed since.
func (b *box) unchanged() func() {
	b.Helper()
	before := strings.Split(b.tree(), "\n")
	return func() {
		b.Helper()
		if diff := cmp.Diff(before, strings.Split(b.tree(), "\n")); diff != "" {
			b.Errorf("something has changed (-before +now):\n%s", diff)
		}
	}
}

// bundled returns how often the bundle holds a certificate.
func (b *box) bundled(c *store.Cert) int {
	b.Helper()
	n := 0
	for _, i := range certfile.ReadPEM([]byte(b.read(bundle))).Items {
		if i.Cert.SHA256 == c.SHA256 {
			n++
		}
	}
	return n
}

// lookup finds a certificate as OpenSSL does in the directory: by the hash of
// its subject, from .0 up to the first number that cannot be opened.
func (b *box) lookup(c *store.Cert) bool {
	b.Helper()
	hash := anchorstest.SubjectHash(c)
	for n := 0; ; n++ {
		data, err := b.host.ReadFile(fmt.Sprintf("%s%s.%d", certsDir, hash, n), 1<<20)
		if err != nil {
			return false
		}
		if f := certfile.ReadPEM(data); len(f.Items) > 0 && f.Items[0].Cert.SHA256 == c.SHA256 {
			return true
		}
	}
}

// java returns the aliases that a certificate has in Java's key store.
func (b *box) java(c *store.Cert) []string {
	b.Helper()
	f, err := certfile.Keystore([]byte(b.read(cacerts)))
	b.must(err)
	var aliases []string
	for _, i := range f.Items {
		if i.Cert.SHA256 == c.SHA256 {
			aliases = append(aliases, i.Alias)
		}
	}
	return aliases
}

// trusted checks that every kind of reader finds the certificate, or none.
func (b *box) trusted(c *store.Cert, want bool) {
	b.Helper()
	if n := b.bundled(c); (n > 0) != want || n > 1 {
		b.Errorf("%s is %d times in the bundle", c.Label(), n)
	}
	if got := b.lookup(c); got != want {
		b.Errorf("%s is found by its hash: %t", c.Label(), got)
	}
}

func trust(c *store.Cert) store.Change {
	any := store.TrustFor(store.Trusted, store.PurposeAny)
	return store.Change{Fingerprint: c.SHA256, DER: c.Raw, Trust: &any}
}

func distrust(c *store.Cert) store.Change {
	any := store.TrustFor(store.Distrusted, store.PurposeAny)
	return store.Change{Fingerprint: c.SHA256, DER: c.Raw, Trust: &any}
}

func absentOf(c *store.Cert) store.Change {
	return store.Change{Fingerprint: c.SHA256, Absent: true}
}

// plan plans what is not refused.
func (b *box) plan(s *Store, want ...store.Change) store.Plan {
	b.Helper()
	p, err := s.Plan(b.Context(), want)
	b.must(err)
	for _, r := range p.Refused {
		b.Fatalf("refused: %+v", r)
	}
	return p
}

// do plans and applies.
func (b *box) do(want ...store.Change) store.Receipt {
	b.Helper()
	s := b.open()
	r, err := s.Apply(b.Context(), b.plan(s, want...))
	b.must(err)
	return r
}

// try applies, and expects an error of a kind.
func (b *box) try(s *Store, kind error, want ...store.Change) error {
	b.Helper()
	_, err := s.Apply(b.Context(), b.plan(s, want...))
	if !errors.Is(err, kind) {
		b.Fatalf("error %v; want %v", err, kind)
	}
	return err
}

// refused plans what is to be refused for a reason of that kind.
func (b *box) refused(kind error, want store.Change) store.Refused {
	b.Helper()
	p, err := b.open().Plan(b.Context(), []store.Change{want})
	b.must(err)
	if len(p.Refused) != 1 || !p.Empty() || p.Refused[0].Code != store.Code(kind) {
		b.Fatalf("refused %+v, steps %+v; want a refusal as %s", p.Refused, p.Steps, store.Code(kind))
	}
	return p.Refused[0]
}

// entries returns what can be read, and the errors.
func (b *box) entries() (all []store.Entry, errs []error) {
	b.Helper()
	for e, err := range b.open().Entries(b.Context()) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, e)
	}
	return all, errs
}

// entry returns the only entry with a certificate.
func (b *box) entry(c *store.Cert) store.Entry {
	b.Helper()
	all, errs := b.entries()
	all = slices.DeleteFunc(all, func(e store.Entry) bool { return e.Cert == nil || e.Cert.SHA256 != c.SHA256 })
	if len(all) != 1 || len(errs) > 0 {
		b.Fatalf("%d entries for %s, errors %v", len(all), c.Label(), errs)
	}
	return all[0]
}

func (b *box) problems() []store.Problem {
	b.Helper()
	var all []store.Problem
	for p, err := range b.open().Problems(b.Context()) {
		b.must(err)
		all = append(all, p)
	}
	return all
}

// clean checks that there are no problems but these, as "code path".
func (b *box) clean(but ...string) {
	b.Helper()
	var got []string
	for _, p := range b.problems() {
		got = append(got, p.Code+" "+p.Path)
	}
	slices.Sort(got)
	slices.Sort(but)
	if diff := cmp.Diff(but, got, cmpopts.EquateEmpty()); diff != "" {
		b.Errorf("problems (-want +got):\n%s", diff)
	}
}

// repair mends what can be mended.
func (b *box) repair() store.Receipt {
	b.Helper()
	s := b.open()
	mendable := slices.DeleteFunc(b.problems(), func(p store.Problem) bool { return !p.Mendable })
	p, err := s.PlanRepair(b.Context(), mendable)
	b.must(err)
	r, err := s.Apply(b.Context(), p)
	b.must(err)
	return r
}

func concat(parts ...any) []byte {
	var out bytes.Buffer
	for _, p := range parts {
		fmt.Fprintf(&out, "%s", p)
	}
	return out.Bytes()
}
