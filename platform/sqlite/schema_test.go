package sqlite

import (
	"slices"
	"testing"
)

// Only schemas in which nothing can be evaluated are plain.
func TestPlainSchema(t *testing.T) {
	for text, want := range map[string]bool{
		"CREATE TABLE nssPublic (id PRIMARY KEY UNIQUE ON CONFLICT ABORT, a0, ace534351)": true,
		"CREATE TABLE t(a)": true,
		`CREATE TABLE "a table" ("a b" TEXT NOT NULL DEFAULT -1, [c] INTEGER, PRIMARY KEY(a, 'c'))`:           true,
		"CREATE TABLE meta(key LONGVARCHAR NOT NULL UNIQUE PRIMARY KEY, value LONGVARCHAR)":                   true,
		"CREATE TABLE t (a VARCHAR(20), b, FOREIGN KEY (b) REFERENCES u(id) ON DELETE CASCADE) WITHOUT ROWID": true,
		"CREATE TABLE t (a) STRICT, WITHOUT ROWID":                                                            true,
		"CREATE TABLE t (a DEFAULT '')":                                                                       true,
		"CREATE TABLE t (a, b GENERATED ALWAYS AS (a))":                                                       false,
		"CREATE TABLE t (a, b as (a))":                                                                        false,
		"CREATE TABLE t (a CHECK (a))":                                                                        false,
		"CREATE TABLE t (a DEFAULT (zeroblob(1)))":                                                            false,
		"CREATE TABLE t (a DEFAULT (1+1))":                                                                    false,
		"CREATE TABLE t (a DEFAULT 'a;b')":                                                                    false,
		"CREATE TABLE t (a DEFAULT 'a":                                                                        false,
		"CREATE TABLE t (a -- )\n DEFAULT (random()))":                                                        false,
		"CREATE TABLE t (a /* ) */)":                                                                          false,
		"CREATE TABLE t (a":                                                                                   false,
		"CREATE TABLE t (a))":                                                                                 false,
		"CREATE TABLE t AS SELECT 1":                                                                          false,
		"CREATE VIRTUAL TABLE t USING fts5(x)":                                                                false,
		"CREATE INDEX issuer ON nssPublic (a81)":                                                              false,
		"":                                                                                                    false,
	} {
		if _, got := plainTable(text); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
	columns, _ := plainTable("create table `t` (id PRIMARY KEY, \"A1\" UNIQUE, a2 VARCHAR(3), PRIMARY KEY(id, a9), a3)")
	if !slices.Equal(columns, []string{"id", "a1", "a2", "a3"}) {
		t.Errorf("the columns are %q", columns)
	}
	for text, want := range map[string]bool{
		"CREATE INDEX issuer ON nssPublic (a81)":             true,
		`CREATE UNIQUE INDEX "x y" ON [t](a COLLATE b, "c")`: true,
		"CREATE INDEX e ON t (abs(a))":                       false,
		"CREATE INDEX e ON t (a) WHERE a":                    false,
		"CREATE INDEX e ON t (a || b)":                       false,
		"CREATE INDEX e ON t (a":                             false,
		"CREATE TABLE t(a)":                                  false,
		"CREATE INDEX":                                       false,
	} {
		if got := plainIndex(text); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}

func FuzzSchema(f *testing.F) {
	f.Add("CREATE TABLE t(a DEFAULT (random()))")
	f.Add(`CREATE UNIQUE INDEX "x" ON t ([a])`)
	f.Fuzz(func(t *testing.T, text string) {
		plainTable(text)
		plainIndex(text)
	})
}
