package nss

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/sqlite"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// secrets are passwords that tests have at hand.
type secrets map[string]string

func (s secrets) Given(id string) (host.Secret, bool) {
	p, ok := s[id]
	return host.NewSecret([]byte(p)), ok
}
func (s secrets) CanAsk() bool { return false }
func (s secrets) Ask(_ context.Context, id, _ string) (host.Secret, error) {
	p, ok := s.Given(id)
	if !ok {
		return p, errors.New("there is none at hand")
	}
	return p, nil
}

// layout is a form in which databases come.
type layout struct {
	name     string
	profile  bool   // of one program of the Firefox family
	columns  string // "" = there is no database yet
	password string
	unsigned bool // key4.db has no password entry
	nokeys   bool
}

var layouts = []layout{
	{name: "not there yet"},
	{name: "a profile that is not there yet", profile: true},
	{name: "shared, of an older NSS", columns: columnsShared},
	{name: "shared, of a newer NSS", columns: columnsProfile},
	{name: "a profile of a newer NSS", profile: true, columns: columnsProfile},
	{name: "a profile of an older NSS", profile: true, columns: columnsShared},
	{name: "with a primary password", profile: true, columns: columnsProfile, password: "a pass word"},
	{name: "never initialized", columns: columnsShared, unsigned: true},
	{name: "without key4.db", columns: columnsProfile, nokeys: true},
}

const testID = "nss:test"

// dir is where the database lies on the fake machine.
const dir = "/home/user/db"

// box is a fake machine with a database.
type box struct {
	t    testing.TB
	host *host.Host
	o    Options
}

func newBox(t testing.TB, l layout) *box {
	t.Helper()
	root := storetest.TempDir(t)
	b := &box{t: t, host: host.Fake(root), o: Options{
		ID: testID, Title: "Test database", Scope: store.ScopeUser, Profile: l.profile, Program: "Test", Default: true}}
	if l.password != "" {
		b.host.Secrets = secrets{testID: l.password}
	}
	if err := os.MkdirAll(filepath.Join(root, "home/user"), 0o755); err != nil {
		t.Fatal(err)
	}
	if l.columns != "" {
		b.make(l)
	}
	return b
}

// make makes an empty database as NSS would.
func (b *box) make(l layout) {
	b.t.Helper()
	ctx := b.t.Context()
	certs, err := sqlite.New(ctx, 4096, schema("nssPublic", l.columns))
	if err != nil {
		b.t.Fatal(err)
	}
	b.write("cert9.db", certs)
	if l.nokeys {
		return
	}
	statements := append(schema("nssPrivate", l.columns), "CREATE TABLE metaData (id PRIMARY KEY UNIQUE ON CONFLICT REPLACE, item1, item2)")
	args := make([][]any, len(statements))
	if !l.unsigned {
		entry, err := newPasswordEntry([]byte(l.password))
		if err != nil {
			b.t.Fatal(err)
		}
		statements = append(statements, "INSERT INTO metaData (id, item1, item2) VALUES ('password', ?, ?)")
		args = append(args, []any{entry.salt, entry.check})
	}
	keys, err := sqlite.New(ctx, 4096, statements, args...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.write("key4.db", keys)
	b.write("pkcs11.txt", []byte(modulesText(dir)))
}

func (b *box) file(name string) string { return filepath.Join(b.host.Root, dir, name) }

func (b *box) write(name string, data []byte) {
	b.t.Helper()
	if err := os.MkdirAll(filepath.Dir(b.file(name)), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(b.file(name), data, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) exists(name string) bool {
	_, err := os.Lstat(b.file(name))
	return err == nil
}

func (b *box) open() *Store { return Open(b.host, dir, b.o) }

// exec changes a file behind the back of everything.
func (b *box) exec(name, statement string, args ...any) {
	b.t.Helper()
	db, err := sqlite.Write(b.t.Context(), b.host, dir+"/"+name, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	defer db.Close()
	if err := db.Exec(b.t.Context(), statement, args...); err != nil {
		b.t.Fatal(err)
	}
	if err := db.Commit(); err != nil {
		b.t.Fatal(err)
	}
}

// dump writes what is in the database, without what is another each time: the
// numbers of objects and what is random in signatures. An empty database is the
// same as none.
func (b *box) dump() string {
	b.t.Helper()
	st, err := b.open().read(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	var lines []string
	for _, c := range st.certs {
		lines = append(lines, fmt.Sprintf("certificate %s %q", c.cert.SHA256, c.label))
	}
	for _, t := range st.trusts {
		lines = append(lines, fmt.Sprintf("trust %s %x %x %x %v %v missing %d bad %d", kinds[t.kind].name, t.issuer, t.serial, t.hash, t.said, t.levels, t.missing, t.bad))
	}
	lines = append(lines, st.orphans...)
	slices.Sort(lines)
	entries, err := os.ReadDir(filepath.Dir(b.file("x")))
	if err != nil && !os.IsNotExist(err) {
		b.t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains([]string{"cert9.db", "key4.db", "pkcs11.txt"}, e.Name()) {
			lines = append(lines, "file "+e.Name())
		}
	}
	return strings.Join(lines, "\n")
}

func TestConformance(t *testing.T) {
	for _, l := range layouts {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T) storetest.Fixture {
				b := newBox(t, l)
				var faults storetest.Faults
				b.host.Fault = faults.Fail
				reopen := func() store.Editor { return b.open() }
				return storetest.Fixture{
					Store: b.open(), Reopen: reopen, Parallel: reopen, Snapshot: b.dump,
					Fault: faults.Set,
				}
			})
		})
	}
}

// A person whose program is running is told which change counts at once, and
// which only after a new start.
func TestRunning(t *testing.T) {
	a, c := storetest.NewCA(t, storetest.CN("Alpha")).Cert(), storetest.NewCA(t, storetest.CN("Charlie")).Cert()
	// A server that has made its certificate itself has sent it before anybody
	// wants it trusted.
	own := storetest.NewCA(t, storetest.CN("own"), storetest.NotCA(), storetest.Hosts("own.test")).Cert()
	distrust := wish(a, store.Distrusted, store.PurposeServerAuth)
	for name, row := range map[string]struct {
		profile, stopped bool
		want             []store.Change
		says             []string
	}{
		"added":        {true, false, []store.Change{trusted(c)}, []string{`Test is running: it heeds at once that "Charlie" is added, unless a server has sent it that certificate already: then it has to be started again`}},
		"a server's":   {true, false, []store.Change{trusted(own)}, []string{`Test is running: only after it has been started again does it heed that "own" is added`}},
		"distrusted":   {true, false, []store.Change{distrust}, []string{`Test is running: only after it has been started again does it heed that "Alpha" is distrusted`}},
		"removed":      {true, false, []store.Change{{Fingerprint: a.SHA256, Absent: true}}, []string{`Test is running: only after it has been started again does it heed that "Alpha" is removed`}},
		"for email":    {true, false, []store.Change{wish(a, store.Trusted, store.PurposeEmail)}, []string{`Test is running: only after it has been started again does it heed that "Alpha" is changed`}},
		"both":         {true, false, []store.Change{distrust, trusted(c)}, []string{`Test is running: it heeds at once that "Charlie" is added, unless a server has sent it that certificate already: then it has to be started again`, `Test is running: only after it has been started again does it heed that "Alpha" is distrusted`}},
		"nothing":      {true, false, []store.Change{trusted(a)}, nil},
		"new distrust": {true, false, []store.Change{wish(c, store.Distrusted, store.PurposeServerAuth)}, []string{`Test is running: only after it has been started again does it heed that "Charlie" is distrusted`}},
		"stopped":      {true, true, []store.Change{distrust}, nil},
		"shared":       {false, false, []store.Change{trusted(c)}, []string{"Test is running: it heeds this at once for sites that it has not looked at yet, and for others after it has been started again"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, layout{profile: row.profile, columns: columnsProfile})
			do(t, b.open(), trusted(a))
			b.o.Running = func() bool { return !row.stopped }
			p, err := b.open().Plan(t.Context(), row.want)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(p.Notices, row.says) {
				t.Errorf("it says %q", p.Notices)
			}
		})
	}
}
