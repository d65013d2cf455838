package sqlite

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// sums returns the number of rows of t and the sum of their values.
func sums(t *testing.T, db *DB, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n, sum int64
	if err := db.Query(t.Context(), "SELECT count(*), coalesce(sum(n), 0) FROM t", nil, func(scan func(...any) error) error { return scan(&n, &sum) }); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(n, " ", sum)
}

// A file that another process has just been writing when it was killed is read
// as it was before, or with all that was committed.
func TestUnfinished(t *testing.T) {
	for _, mode := range []string{"DELETE", "PERSIST", "WAL"} {
		t.Run(mode, func(t *testing.T) {
			root := storetest.TempDir(t)
			name := filepath.Join(root, "live.db")
			db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(name)+"?_pragma=journal_mode("+mode+")&_pragma=cache_size(5)")
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			db.SetMaxOpenConns(1)
			exec := func(text string) {
				t.Helper()
				if _, err := db.Exec(text); err != nil {
					t.Fatal(err)
				}
			}
			exec("CREATE TABLE t (n, filler)")
			exec("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x < 500) INSERT INTO t SELECT x, zeroblob(500) FROM c")
			before := "500 125250"
			exec("BEGIN IMMEDIATE")
			exec("UPDATE t SET n = n + 1000, filler = randomblob(900)")
			exec("INSERT INTO t SELECT n, randomblob(400) FROM t")
			copied := filepath.Join(root, "copy")
			if err := os.Mkdir(copied, 0o755); err != nil {
				t.Fatal(err)
			}
			for _, end := range []string{"", "-journal", "-wal"} {
				data, err := os.ReadFile(name + end)
				if errors.Is(err, os.ErrNotExist) {
					continue
				}
				if err == nil {
					err = os.WriteFile(filepath.Join(copied, "live.db"+end), data, 0o644)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			h := host.Fake(root)
			image, err := ReadImage(t.Context(), h, "/copy/live.db")
			if got := sums(t, image, err); got != before {
				t.Errorf("the unfinished file is read as %s, not %s", got, before)
			}
			offline := *h
			offline.Live = false
			image, err = Read(t.Context(), &offline, "/copy/live.db")
			if got := sums(t, image, err); got != before {
				t.Errorf("offline, it is read as %s, not %s", got, before)
			}
			raw, err := os.ReadFile(filepath.Join(copied, "live.db"))
			if err != nil {
				t.Fatal(err)
			}
			if mode != "WAL" {
				// Otherwise there was nothing to take back.
				rolled, err := content(h, "/copy/live.db")
				if err != nil || bytes.Equal(rolled, raw) {
					t.Errorf("nothing of the journal was used (%v)", err)
				}
			}
			exec("ROLLBACK")
		})
	}
}

// A file that is kept with a log is read without making another beside it, and
// not changed together with others: SQLite would not do that in one step.
func TestLog(t *testing.T) {
	root := storetest.TempDir(t)
	h := host.Fake(root)
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(filepath.Join(root, "log.db"))+"?_pragma=journal_mode(WAL)")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"CREATE TABLE t (n)", "INSERT INTO t VALUES (7)"} {
		if _, err := db.Exec(text); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	read, err := Read(t.Context(), h, "/log.db")
	if got := sums(t, read, err); got != "1 7" {
		t.Errorf("it holds %s", got)
	}
	if _, err := Write(t.Context(), h, "/log.db", map[string]string{"k": "/log.db"}); !errors.Is(err, store.ErrUnsupported) {
		t.Errorf("to write it with another gives %v", err)
	}
	if files, err := os.ReadDir(root); err != nil || len(files) != 1 {
		t.Errorf("there is now %v (%v)", files, err)
	}
}

// A transaction over two files is done in both or in neither, and what fails
// leaves both alone.
func TestWrite(t *testing.T) {
	root := storetest.TempDir(t)
	h := host.Fake(root)
	for _, name := range []string{"a b#?.db", "other.db"} {
		data, err := New(t.Context(), 4096, []string{"CREATE TABLE t (n)"})
		if err == nil {
			err = os.WriteFile(filepath.Join(root, name), data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, commit := range []bool{false, true} {
		db, err := Write(t.Context(), h, "/a b#?.db", map[string]string{"k": "/other.db"})
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"INSERT INTO main.t VALUES (1)", "INSERT INTO k.t VALUES (1)"} {
			if err := db.Exec(t.Context(), text); err != nil {
				t.Fatal(err)
			}
		}
		want := "0 0"
		if commit {
			if err := db.Commit(); err != nil {
				t.Fatal(err)
			}
			want = "1 1"
		}
		db.Close()
		for _, name := range []string{"/a b#?.db", "/other.db"} {
			read, err := Read(t.Context(), h, name)
			if got := sums(t, read, err); got != want {
				t.Errorf("committed %t, %s holds %s", commit, name, got)
			}
		}
	}
	offline := *h
	offline.Live = false
	if _, err := Write(t.Context(), &offline, "/other.db", nil); !errors.Is(err, store.ErrUnsupported) {
		t.Errorf("of an offline root it gives %v", err)
	}
}

// A file that may only be read is told, with what to look at.
func TestReadOnly(t *testing.T) {
	if os.Geteuid() <= 0 {
		t.Skip("root may write to it, and Windows has other permissions")
	}
	root := storetest.TempDir(t)
	data, err := New(t.Context(), 4096, []string{"CREATE TABLE t (n)"})
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "x.db"), data, 0o444)
	}
	if err != nil {
		t.Fatal(err)
	}
	db, err := Write(t.Context(), host.Fake(root), "/x.db", nil)
	if err == nil {
		err = db.Exec(t.Context(), "INSERT INTO t VALUES (1)")
		db.Close()
	}
	if !errors.Is(err, store.ErrReadOnly) || store.Hint(err) != "look at the permissions of /x.db" {
		t.Errorf("it gives %v, with the hint %q", err, store.Hint(err))
	}
}

// FuzzImage reads files, journals and logs of any content.
func FuzzImage(f *testing.F) {
	whole, err := New(f.Context(), 512, []string{"CREATE TABLE t (n)", "INSERT INTO t VALUES (1)"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole, append(bytes.Clone(journalMagic), make([]byte, 600)...), []byte{0x37, 0x7f, 0x06, 0x82})
	f.Fuzz(func(t *testing.T, data, journal, log []byte) {
		out := applyLog(rollBack(data, journal, func(string) bool { return true }), log)
		if len(out) > maxFile+1<<16 {
			t.Errorf("%d bytes of %d", len(out), len(data)+len(journal)+len(log))
		}
	})
}
