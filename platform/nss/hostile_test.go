package nss

import (
	"bufio"
	"bytes"
	"context"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/host/hosttest"
	"github.com/certtrust/certtrust/platform/sqlite"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// What is not a database, or one that would make a reader do something, is
// refused with the reason, and nothing of it is touched.
func TestHostileDatabases(t *testing.T) {
	ordinary := layout{columns: columnsShared}
	truncated := func(part int) func(b *box) {
		return func(b *box) {
			data, err := os.ReadFile(b.file("cert9.db"))
			if err != nil {
				b.t.Fatal(err)
			}
			b.write("cert9.db", data[:len(data)/4*part])
		}
	}
	statement := func(text string) func(b *box) {
		return func(b *box) { b.exec("cert9.db", text) }
	}
	instead := func(make func(b *box, file string) error) func(b *box) {
		return func(b *box) {
			err := os.Rename(b.file("cert9.db"), filepath.Join(b.host.Root, "elsewhere"))
			if err == nil {
				err = make(b, b.file("cert9.db"))
			}
			if errors.Is(err, errors.ErrUnsupported) {
				b.t.Skip("this system has no such thing")
			} else if err != nil {
				b.t.Fatal(err)
			}
		}
	}
	for name, row := range map[string]struct {
		spoil func(b *box)
		kind  error
	}{
		"empty":         {func(b *box) { b.write("cert9.db", nil) }, store.ErrCorrupt},
		"text":          {func(b *box) { b.write("cert9.db", bytes.Repeat([]byte("no database\n"), 1000)) }, store.ErrCorrupt},
		"a quarter":     {truncated(1), store.ErrCorrupt},
		"three parts":   {truncated(3), store.ErrCorrupt},
		"a trigger":     {statement("CREATE TRIGGER t AFTER INSERT ON nssPublic BEGIN DELETE FROM nssPublic; END"), store.ErrCorrupt},
		"a view":        {statement("CREATE VIEW v AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x FROM c"), store.ErrCorrupt},
		"an expression": {statement("CREATE INDEX e ON nssPublic (abs(a0))"), store.ErrCorrupt},
		"generated":     {statement("CREATE TABLE g (a, b GENERATED ALWAYS AS (zeroblob(100000000)))"), store.ErrCorrupt},
		"checked":       {statement("CREATE TABLE g (a CHECK (length(randomblob(100000000)) > 0))"), store.ErrCorrupt},
		"partial":       {statement("CREATE INDEX e ON nssPublic (a0) WHERE a0 > zeroblob(10)"), store.ErrCorrupt},
		"virtual":       {statement("CREATE VIRTUAL TABLE f USING fts5(x)"), store.ErrCorrupt},
		"other tables": {func(b *box) {
			b.exec("cert9.db", "ALTER TABLE nssPublic RENAME TO somethingElse")
		}, store.ErrCorrupt},
		"a link":      {instead(func(b *box, file string) error { return os.Symlink(filepath.Join(b.host.Root, "elsewhere"), file) }), store.ErrCorrupt},
		"a FIFO":      {instead(func(b *box, file string) error { return hosttest.Mkfifo(file) }), store.ErrCorrupt},
		"a directory": {instead(func(b *box, file string) error { return os.Mkdir(file, 0o755) }), store.ErrCorrupt},
		"2 GB": {instead(func(b *box, file string) error {
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				return err
			}
			return os.Truncate(file, 2<<30)
		}), store.ErrCorrupt},
		"a journal that is a link": {func(b *box) {
			if err := os.Symlink("/etc/passwd", b.file("cert9.db-journal")); err != nil {
				b.t.Fatal(err)
			}
		}, store.ErrCorrupt},
		"another key4.db": {func(b *box) { b.write("key4.db", []byte("nothing")) }, store.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t, ordinary)
			row.spoil(b)
			before := files(t, b)
			began := time.Now()
			s := b.open()
			var read error
			for _, err := range s.Entries(t.Context()) {
				read = err
			}
			_, plan := s.Plan(t.Context(), []store.Change{trusted(storetest.NewCA(t).Cert())})
			for what, err := range map[string]error{"reading": read, "planning": plan} {
				if !errors.Is(err, row.kind) {
					t.Errorf("%s gives %v", what, err)
				} else if strings.Count(err.Error(), "\n") > 0 || len(err.Error()) > 400 {
					t.Errorf("%s gives an error that nobody reads: %v", what, err)
				}
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("it took %s", took)
			}
			if after := files(t, b); !slices.Equal(before, after) {
				t.Errorf("it was\n%s\nand is\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
			}
		})
	}
}

// files describes what is in the directory of the database.
func files(t *testing.T, b *box) (lines []string) {
	t.Helper()
	entries, err := os.ReadDir(b.file(""))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%s %s %d %s", e.Name(), info.Mode(), info.Size(), info.ModTime()))
	}
	return lines
}

// Rows of any content are read without a panic; what is no object of NSS is
// passed over or told of.
func TestHostileRows(t *testing.T) {
	b := newBox(t, layout{columns: columnsProfile})
	c := storetest.NewCA(t).Cert()
	do(t, b.open(), trusted(c))
	db, err := sqlite.Write(t.Context(), b.host, dir+"/cert9.db", nil)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	odd := []any{nil, "text", 7, -1.5, []byte{}, []byte{0xa5, 0, 0x5a}, bytes.Repeat([]byte{0x30}, 300), []byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff}, be32(classCert), be32(classTrust), be32(classNSSTrust), c.Raw, c.Issuer.Raw, []byte{2, 1, 1}}
	for i := range 400 {
		args := []any{any(int64(i + 1))}
		for range 9 {
			args = append(args, odd[r.IntN(len(odd))])
		}
		if err := db.Exec(t.Context(), "INSERT INTO nssPublic (id, a0, a3, a11, a81, a82, ace536358, a62c, a635, ace5363b4) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", args...); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []any{"text", -5, int64(1 << 40), 1.5, []byte{1}} {
		if err := db.Exec(t.Context(), "INSERT INTO nssPublic (id, a0, a11) VALUES (?, x'00000001', ?)", id, c.Raw); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Commit(); err != nil {
		t.Fatal(err)
	}
	db.Close()
	found := false
	for e, err := range b.open().Entries(t.Context()) {
		if err != nil && e.Source == (store.Source{}) {
			t.Fatal(err)
		}
		found = found || err == nil && e.Cert != nil && e.Cert.SHA256 == c.SHA256
	}
	if !found {
		t.Error("the one good certificate is not listed")
	}
	for range b.open().Problems(t.Context()) {
	}
}

// A database can demand that keys are derived with any number of iterations: what
// is too much is refused, or not checked and told.
func TestHostileIterations(t *testing.T) {
	entry := func(iterations int) passwordEntry {
		derive, err := pbkdf2With(make([]byte, 32), iterations)
		if err != nil {
			t.Fatal(err)
		}
		iv := asn1.RawValue{FullBytes: append([]byte{4, 14}, make([]byte, 14)...)}
		params, err := asn1.Marshal(pbParameters{derive, algorithm{oidAES256CBC, iv}})
		if err != nil {
			t.Fatal(err)
		}
		check, err := asn1.Marshal(protected{algorithm{oidPBES2, asn1.RawValue{FullBytes: params}}, make([]byte, 16)})
		if err != nil {
			t.Fatal(err)
		}
		return passwordEntry{make([]byte, 20), check}
	}
	old := func(iterations int) passwordEntry {
		params, err := asn1.Marshal(pkcs12Parameters{make([]byte, 20), iterations})
		if err != nil {
			t.Fatal(err)
		}
		check, err := asn1.Marshal(protected{algorithm{oid3DES, asn1.RawValue{FullBytes: params}}, make([]byte, 16)})
		if err != nil {
			t.Fatal(err)
		}
		return passwordEntry{make([]byte, 20), check}
	}
	for name, e := range map[string]passwordEntry{"of now": entry(1<<31 - 1), "of old": old(1<<31 - 1)} {
		t.Run("the password entry, "+name, func(t *testing.T) {
			b := newBox(t, layout{columns: columnsShared})
			c := storetest.NewCA(t).Cert()
			do(t, b.open(), trusted(c))
			b.exec("key4.db", "UPDATE metaData SET item1 = ?, item2 = ? WHERE id = 'password'", e.salt, e.check)
			before := b.raw()
			s := b.open()
			var read error
			for _, err := range s.Entries(t.Context()) {
				read = err
			}
			_, plan := s.Plan(t.Context(), []store.Change{wish(c, store.Distrusted, store.PurposeServerAuth)})
			for what, err := range map[string]error{"reading": read, "planning": plan} {
				if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "iterations") {
					t.Errorf("%s gives %v", what, err)
				}
			}
			if b.raw() != before {
				t.Error("the database was changed")
			}
		})
	}
	t.Run("signatures", func(t *testing.T) {
		b := newBox(t, layout{columns: columnsShared})
		c := storetest.NewCA(t, storetest.CN("Root one")).Cert()
		do(t, b.open(), trusted(c))
		derive, err := pbkdf2With(make([]byte, 32), 1<<31-1)
		if err != nil {
			t.Fatal(err)
		}
		params, err := asn1.Marshal(pbParameters{derive, algorithm{OID: oidHMACSHA256}})
		if err != nil {
			t.Fatal(err)
		}
		sig, err := asn1.Marshal(protected{algorithm{oidPBMAC1, asn1.RawValue{FullBytes: params}}, make([]byte, 32)})
		if err != nil {
			t.Fatal(err)
		}
		b.exec("key4.db", "UPDATE metaData SET item1 = ? WHERE id LIKE 'sig%'", sig)
		s := b.open()
		e := entryOf(t, s, c)
		if e == nil || e.Native["integrity"] != "not checked" || len(e.Problems) != 1 || e.Problems[0].Code != "costly-integrity" {
			t.Fatalf("it is listed as %+v", e)
		}
		// What is written anew can be checked.
		do(t, s, wish(c, store.Distrusted, store.PurposeServerAuth))
		if e := entryOf(t, b.open(), c); e == nil || e.Native["integrity"] != "ok" || e.Trust.For(store.PurposeServerAuth) != store.Distrusted {
			t.Errorf("written anew it is listed as %+v", e)
		}
	})
	t.Run("all together", func(t *testing.T) {
		keys := newDerived(passKey(make([]byte, 20), nil))
		keys.left = 1000
		made := 0
		for salt := range byte(200) {
			a, err := pbkdf2With(bytes.Repeat([]byte{salt}, 32), 10)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := keys.derive(a, 32); err == nil {
				made++
			} else if err != errCost {
				t.Fatal(err)
			}
		}
		if made != 100 {
			t.Errorf("%d keys are made", made)
		}
		if _, err := keys.signer(5000); err != nil {
			t.Errorf("after that nothing can be signed: %v", err)
		}
	})
}

// raw is the content of the database's files.
func (b *box) raw() string {
	var text strings.Builder
	for _, name := range []string{"cert9.db", "key4.db", "pkcs11.txt"} {
		data, err := os.ReadFile(b.file(name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			b.t.Fatal(err)
		}
		fmt.Fprintf(&text, "%s %x\n", name, data)
	}
	return text.String()
}

// FuzzRows reads an object and a password entry of any content.
func FuzzRows(f *testing.F) {
	entry, err := newPasswordEntry(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{0x30, 0x03, 0x02, 0x01, 0x01}, entry.check, entry.salt, []byte("library=\nname=x\nNSS=Flags=internal,fips\n"))
	f.Fuzz(func(t *testing.T, der, check, salt, modules []byte) {
		st := newState(&certCache{})
		st.add(1, objectOf(map[attribute][]byte{aClass: be32(classCert), aValue: der, aLabel: der, aIssuer: der}))
		for i, k := range kinds {
			row := map[attribute][]byte{aClass: be32(k.class), aIssuer: der, aSerial: check, k.hash: der}
			for _, a := range k.signed[:len(fields)] {
				row[a] = salt
			}
			st.add(int64(2+i), objectOf(row))
		}
		for _, c := range st.certs {
			keyID(c.cert)
			emailOf(c.cert)
			namesHosts(c.cert)
		}
		small := passwordEntry{salt, check}
		if small.iterations() < 10_000 {
			if keys, err := small.unlock(host.Secret{}); err == nil && keys != nil {
				st.login, st.keys = unlocked, keys
			}
		}
		if object, a, ok := signs(string(der)); ok && sigName(object, a) != string(der) {
			t.Errorf("%q is not the name of what %q signs", sigName(object, a), der)
		}
		st.signature(signatureRow{2, kinds[0].signed[0], check})
		st.check(t.Context())
		(&Store{}).entries(st, func(store.Entry, error) bool { return true })
		for _, m := range parseModules(modules) {
			if m.start < 0 || m.end > len(modules) || m.start > m.end {
				t.Errorf("a module from %d to %d of %d", m.start, m.end, len(modules))
			}
			m.internal()
			m.linked()
		}
	})
}

// The variable that tells a process of this test what it is started for.
const roleVar = "CERTTRUST_NSS_ROLE"

// TestHelper is not a test: it is what other processes run.
func TestHelper(t *testing.T) {
	role, root, _ := strings.Cut(os.Getenv(roleVar), " ")
	if role == "" {
		t.Skip("it is for other tests")
	}
	b := &box{t: t, host: host.Fake(root), o: Options{ID: testID, Title: "Test database", Scope: store.ScopeUser}}
	switch role {
	case "write": // 1,000 certificates, until it is killed
		certs := storetest.Many(t, 1000)
		var want []store.Change
		for _, c := range certs {
			want = append(want, trusted(c))
		}
		s := b.open()
		p, err := s.Plan(t.Context(), want)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		b.host.Fault = func(op, path string) error {
			if n++; n%50 == 0 {
				fmt.Println("at", n)
			}
			return nil
		}
		fmt.Println("at 0")
		if _, err := s.Apply(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		fmt.Println("done")
	case "hold": // the lock, until standard input ends
		db, err := sqlite.Write(t.Context(), b.host, dir+"/cert9.db", nil)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("at 0")
		bufio.NewReader(os.Stdin).ReadString('\n')
		db.Close()
	}
}

// helper starts this test's program for a role, and returns the lines that it
// writes. The returned function ends its input.
func helper(t *testing.T, b *box, role string) (*exec.Cmd, *bufio.Scanner, func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHelper$", "-test.v")
	cmd.Env = append(os.Environ(), roleVar+"="+role+" "+b.host.Root)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "at ") {
			return cmd, lines, func() { in.Close() }
		}
	}
	t.Fatal("the helper says nothing")
	return nil, nil, nil
}

// Killed at any time while it writes 1,000 certificates, the database is the
// old one or the new one, for NSS too.
func TestKilled(t *testing.T) {
	for _, at := range []string{"at 0", "at 50", "at 500", "at 1500", "at 2900", "done"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			b := newBox(t, layout{columns: columnsShared})
			first := storetest.NewCA(t, storetest.CN("The first")).Cert()
			do(t, b.open(), trusted(first))
			cmd, lines, _ := helper(t, b, "write")
			for at != "at 0" && lines.Scan() && lines.Text() != at {
			}
			cmd.Process.Kill()
			cmd.Wait()
			count := func() int {
				n := 0
				for e, err := range b.open().Entries(t.Context()) {
					if err != nil {
						t.Fatal(err)
					}
					if len(e.Problems) > 0 || e.Trust.For(store.PurposeServerAuth) != store.Trusted {
						t.Errorf("%s is listed as %s, with %+v", e.Label, e.Trust, e.Problems)
					}
					n++
				}
				return n
			}
			n := count() // while what is left of the killed one lies beside it
			if n != 1 && n != 1001 {
				t.Errorf("there are %d certificates", n)
			}
			l := libraries[0]
			if _, err := exec.LookPath("certutil"); err == nil {
				if got := l.shown(t, b.file(""), "The first"); got != "C,," {
					t.Errorf("certutil shows %s", got)
				}
			} else {
				need(t, "certutil", false)
			}
			do(t, b.open(), trusted(storetest.NewCA(t).Cert()))
			if after := count(); after != n+1 {
				t.Errorf("there were %d certificates, and after one was added there are %d", n, after)
			}
		})
	}
}

// A change waits for another writer, and gives up when that takes too long or
// the caller has enough.
func TestWaits(t *testing.T) {
	b := newBox(t, layout{columns: columnsShared})
	_, _, release := helper(t, b, "hold")
	s := b.open()
	p, err := s.Plan(t.Context(), []store.Change{trusted(storetest.NewCA(t).Cert())})
	if err != nil {
		t.Fatal(err)
	}
	before := b.dump()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := s.Apply(ctx, p); err == nil {
		t.Error("it was written while another program held the lock")
	}
	if after := b.dump(); after != before {
		t.Errorf("it was\n%s\nand is\n%s", before, after)
	}
	time.AfterFunc(500*time.Millisecond, release)
	if _, err := s.Apply(t.Context(), p); err != nil {
		t.Errorf("when the other program was ready: %v", err)
	}
}

// What others write between the transactions of one change stays. What is then
// not as it was planned takes the change back.
func TestBetweenChunks(t *testing.T) {
	certs := storetest.Many(t, chunk+50)
	var want []store.Change
	for _, c := range certs {
		want = append(want, trusted(c))
	}
	// So many writes are in the first transaction.
	writes := 0
	alone := newBox(t, layout{columns: columnsShared})
	alone.host.Fault = func(op, path string) error { writes++; return nil }
	do(t, alone.open(), want[:chunk]...)
	for name, row := range map[string]struct {
		other *store.Cert
		stale bool
	}{
		"another certificate":        {storetest.NewCA(t, storetest.CN("The browser's own")).Cert(), false},
		"one that was yet to be put": {certs[len(certs)-1], true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, layout{columns: columnsShared})
			p, err := b.open().Plan(t.Context(), want)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			b.host.Fault = func(op, path string) error {
				if n++; n == writes+1 {
					other := &box{t: t, host: host.Fake(b.host.Root), o: b.o}
					do(t, other.open(), wish(row.other, store.Distrusted, store.PurposeServerAuth))
				}
				return nil
			}
			_, err = b.open().Apply(t.Context(), p)
			left := len(certs) + 1
			if row.stale {
				left = 1
			}
			if errors.Is(err, store.ErrStale) != row.stale || !row.stale && err != nil {
				t.Errorf("it returns %v", err)
			}
			b.host.Fault = nil
			if e := entryOf(t, b.open(), row.other); e == nil || e.Trust.For(store.PurposeServerAuth) != store.Distrusted {
				t.Errorf("what was written in between is %+v", e)
			}
			st, err := b.open().read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(st.certs) != left {
				t.Errorf("there are %d certificates, not %d", len(st.certs), left)
			}
		})
	}
}

// More certificates than one transaction should hold are written in several,
// and all are taken back if a later one fails.
func TestChunks(t *testing.T) {
	b := newBox(t, layout{columns: columnsShared})
	certs := storetest.Many(t, chunk+50)
	var want, gone []store.Change
	for _, c := range certs {
		want = append(want, trusted(c))
		gone = append(gone, store.Change{Fingerprint: c.SHA256, Absent: true})
	}
	s := b.open()
	p, err := s.Plan(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	b.host.Fault = func(op, path string) error {
		if n++; n == 3*(chunk+20) { // in the second transaction
			return errors.New("the disk is full")
		}
		return nil
	}
	if _, err := s.Apply(t.Context(), p); err == nil || errors.Is(err, store.ErrPartial) {
		t.Errorf("it returned %v", err)
	}
	if left := b.dump(); left != "" {
		t.Errorf("there is still %.500s", left)
	}
	b.host.Fault = nil
	do(t, s, want...)
	if p, err := s.Plan(t.Context(), want); err != nil || !p.Empty() {
		t.Errorf("there are still %d steps (%v)", len(p.Steps), err)
	}
	do(t, s, gone...)
	if left := b.dump(); left != "" {
		t.Errorf("there is still %.500s", left)
	}
}
