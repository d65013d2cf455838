package render

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/cmd/internal/term"
)

// python runs a script on Python's own SQLite, which checks the whole file
// first. It must be there where tests run unattended.
func python(t *testing.T, file, query string) string {
	t.Helper()
	path := "/usr/bin/python3"
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	script := `import sqlite3, sys
db = sqlite3.connect("file:" + sys.argv[1] + "?mode=ro", uri=True)
print(db.execute("PRAGMA integrity_check").fetchone()[0])
for row in db.execute(sys.argv[2]): print("|".join(str(v) for v in row))`
	cmd := exec.Command(path, "-I", "-c", script, file, query)
	cmd.Env = []string{"LC_ALL=C.UTF-8"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	rest, ok := strings.CutPrefix(string(out), "ok\n")
	if !ok {
		t.Fatalf("the database is damaged: %s", out)
	}
	return rest
}

func TestInventory(t *testing.T) {
	header, records := makeListing(t)
	s, out, _ := term.Test("")
	view, err := NewListView("sqlite", s, ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := List(view, header, records); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "inventory.sqlite")
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSuffix(python(t, file, "SELECT ifnull(sha256,''), hex(label), store, substr(ifnull(pem,''),1,11) FROM certificates ORDER BY rowid"), "\n"), "\n")
	if len(rows) != len(records) {
		t.Fatalf("%d rows, %d records", len(rows), len(records))
	}
	for i, r := range records {
		armour, sum := "", ""
		if !r.SHA256.IsZero() {
			armour, sum = "-----BEGIN ", r.SHA256.String()
		}
		if want := fmt.Sprintf("%s|%X|%s|%s", sum, csvColumns[1].value(r), r.Store, armour); rows[i] != want {
			t.Errorf("row %d is %s, want %s", i, rows[i], want)
		}
	}
}

// TestSQLiteSizes are databases with trees of every height, and rows that need
// pages of their own.
func TestSQLiteSizes(t *testing.T) {
	for _, c := range []struct{ rows, size, fanout int }{
		{0, 0, 3}, {1, 0, 3}, {1, 65000, 3}, {1, 65501, 3}, {1, 65502, 3}, {1, 66000, 3}, {3, 131000, 3}, {2, 131100, 3}, {5, 500_000, 3}, {500, 900, sqliteFanout},
		{100, 40_000, sqliteFanout}, {3, 40_000, 3}, {4, 40_000, 3}, {10, 40_000, 3}, {28, 40_000, 3}, // trees of every height
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			var rows [][]string
			text := strings.Repeat("x", c.size)
			for i := range c.rows {
				rows = append(rows, []string{fmt.Sprint(i), text, ""})
			}
			file := filepath.Join(t.TempDir(), "db")
			if err := os.WriteFile(file, sqliteFile("t", "CREATE TABLE t(a TEXT, b TEXT, c TEXT)", rows, c.fanout), 0o600); err != nil {
				t.Fatal(err)
			}
			n := c.rows
			want := fmt.Sprintf("%d|%d|%d|0\n", n, n*(n-1)/2, n*c.size)
			if got := python(t, file, "SELECT count(*), ifnull(sum(a),0), ifnull(sum(length(b)),0), count(c) FROM t"); strings.ReplaceAll(got, ".0|", "|") != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}
