// Package sqlite opens the SQLite files of other programs: for reading without
// changing anything, also of a machine that is not this one or of a program
// that was killed while it wrote, and for writing several of them in one
// transaction.
//
// The files are not trusted. Only plain files of a bounded size are opened, and
// only if their schema is of plain tables and indexes: no view, trigger or
// expression of theirs is ever evaluated.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"

	"modernc.org/sqlite"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// maxFile is the largest file that is opened, a hundred times what browsers
// have.
const maxFile = 256 << 20

// patience is how long another program's lock is waited for.
const patience = 10 * time.Second

// DB is an open file, or several in one transaction. It is used by one
// goroutine at a time.
type DB struct {
	pool *sql.DB
	conn *sql.Conn
	path string
	tx   bool

	fault func(op, path string) error
}

// Exists reports whether there is a file, of whatever sort, at path.
func Exists(h *host.Host, path string) bool {
	_, err := h.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// check refuses what is no plain file of a size that is read.
func check(h *host.Host, p string) error {
	for _, name := range []string{p, p + "-journal", p + "-wal"} {
		info, err := h.Lstat(name)
		switch {
		case name != p && errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case !info.Mode().IsRegular():
			return &store.Error{Op: "open", Path: name, Err: store.Because(store.ErrCorrupt, "it is not a plain file")}
		case info.Size() > maxFile:
			return &store.Error{Op: "open", Path: name, Err: store.Because(store.ErrCorrupt, "%w: %d bytes", host.ErrTooLarge, info.Size())}
		}
	}
	return nil
}

// Read opens a file for reading. What another program has not finished is not
// seen; what a killed one left behind is taken back in memory.
func Read(ctx context.Context, h *host.Host, p string) (*DB, error) {
	return read(ctx, h, p, patience)
}

// Glance is Read without waiting for other programs.
func Glance(ctx context.Context, h *host.Host, p string) (*DB, error) {
	return read(ctx, h, p, 50*time.Millisecond)
}

func read(ctx context.Context, h *host.Host, p string, wait time.Duration) (*DB, error) {
	if err := check(h, p); err != nil {
		return nil, err
	}
	if !h.Live {
		return ReadImage(ctx, h, p)
	}
	direct, err := h.Direct(p)
	if err != nil {
		return nil, err
	}
	db, err := open(ctx, dsn(direct, "ro", wait), p)
	if err == nil {
		err = db.Query(ctx, "SELECT count(*) FROM sqlite_master", nil, func(func(...any) error) error { return nil })
		if err == nil {
			err = db.plain(ctx, "main")
		}
		if err == nil {
			return db, nil
		}
		db.Close()
	}
	if errors.Is(err, errHot) {
		return ReadImage(ctx, h, p)
	}
	return nil, err
}

// ReadImage reads a copy of a file that is made in memory, without regard to
// locks: for files that a program keeps locked for as long as it runs.
func ReadImage(ctx context.Context, h *host.Host, p string) (*DB, error) {
	if err := check(h, p); err != nil {
		return nil, err
	}
	data, err := content(h, p)
	if err != nil {
		return nil, err
	}
	db, err := open(ctx, "file::memory:?"+readOnly.Encode(), p)
	if err != nil {
		return nil, err
	}
	err = db.conn.Raw(func(c any) error {
		return c.(interface{ Deserialize([]byte) error }).Deserialize(data)
	})
	if err = db.explain(err); err == nil {
		err = db.plain(ctx, "main")
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// Write begins a transaction over files, the first of which is called main in
// statements, and the others by the names that they have in attached. All of
// it is done by Commit, or nothing.
func Write(ctx context.Context, h *host.Host, p string, attached map[string]string) (*DB, error) {
	for _, f := range append(values(attached), p) {
		if err := check(h, f); err != nil {
			return nil, err
		}
	}
	direct, err := h.Direct(p)
	if err != nil {
		return nil, err
	}
	db, err := open(ctx, dsn(direct, "rw", patience), p)
	if err != nil {
		return nil, err
	}
	db.fault = h.Fault
	fail := func(err error) (*DB, error) {
		db.Close()
		return nil, err
	}
	for name, f := range attached {
		direct, err := h.Direct(f)
		if err != nil {
			return fail(err)
		}
		if _, err := db.conn.ExecContext(ctx, "ATTACH ? AS "+name, fileURL(direct, url.Values{"mode": {"rw"}})); err != nil {
			return fail(db.explain(err))
		}
	}
	if err := db.Exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fail(err)
	}
	db.tx = true
	for _, name := range append(keys(attached), "main") {
		if err := db.plain(ctx, name); err != nil {
			return fail(err)
		}
	}
	return db, nil
}

// New makes a database in memory with those statements and returns it as a
// file would hold it.
func New(ctx context.Context, pageSize int, statements []string, args ...[]any) ([]byte, error) {
	db, err := open(ctx, "file::memory:", "")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	if _, err := db.conn.ExecContext(ctx, "PRAGMA page_size="+itoa(pageSize)); err != nil {
		return nil, db.explain(err)
	}
	for i, s := range statements {
		var a []any
		if i < len(args) {
			a = args[i]
		}
		if _, err := db.conn.ExecContext(ctx, s, a...); err != nil {
			return nil, db.explain(err)
		}
	}
	var data []byte
	err = db.conn.Raw(func(c any) (err error) {
		data, err = c.(interface{ Serialize() ([]byte, error) }).Serialize()
		return err
	})
	return data, db.explain(err)
}

var readOnly = url.Values{"_pragma": {"query_only(1)", "trusted_schema(0)", "cell_size_check(1)"}}

func dsn(direct, mode string, wait time.Duration) string {
	q := url.Values{"mode": {mode}, "_pragma": {"busy_timeout(" + itoa(int(wait/time.Millisecond)) + ")", "trusted_schema(0)", "cell_size_check(1)"}}
	return fileURL(direct, q)
}

// fileURL names a file of this machine as SQLite takes it.
func fileURL(direct string, q url.Values) string {
	direct = strings.ReplaceAll(direct, `\`, "/")
	if !strings.HasPrefix(direct, "/") {
		direct = "/" + direct // a drive
	}
	return (&url.URL{Scheme: "file", Path: direct, RawQuery: q.Encode()}).String()
}

func open(ctx context.Context, dsn, p string) (*DB, error) {
	db := &DB{path: p}
	connector, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, db.explain(err)
	}
	db.pool = sql.OpenDB(connector)
	db.pool.SetMaxOpenConns(1)
	if db.conn, err = db.pool.Conn(ctx); err != nil {
		db.pool.Close()
		return nil, db.explain(err)
	}
	return db, nil
}

// Close ends the use of the file. A transaction that was not committed is
// rolled back.
func (db *DB) Close() error {
	if db.tx {
		db.conn.ExecContext(context.Background(), "ROLLBACK")
		db.tx = false
	}
	return errors.Join(db.conn.Close(), db.pool.Close())
}

// Commit ends the transaction.
func (db *DB) Commit() error {
	if err := db.Exec(context.Background(), "COMMIT"); err != nil {
		return err
	}
	db.tx = false
	return nil
}

// Begin begins a transaction in which what is read is of one moment.
func (db *DB) Begin(ctx context.Context) error {
	_, err := db.conn.ExecContext(ctx, "BEGIN")
	db.tx = err == nil
	return db.explain(err)
}

// Exec runs a statement.
func (db *DB) Exec(ctx context.Context, statement string, args ...any) error {
	if db.fault != nil {
		if err := db.fault("write", db.path); err != nil {
			return err
		}
	}
	_, err := db.conn.ExecContext(ctx, statement, args...)
	return db.explain(err)
}

// Prepare returns a function that runs the statement.
func (db *DB) Prepare(ctx context.Context, statement string) (run func(args ...any) error, closer func(), err error) {
	s, err := db.conn.PrepareContext(ctx, statement)
	if err != nil {
		return nil, nil, db.explain(err)
	}
	return func(args ...any) error {
		if db.fault != nil {
			if err := db.fault("write", db.path); err != nil {
				return err
			}
		}
		_, err := s.ExecContext(ctx, args...)
		return db.explain(err)
	}, func() { s.Close() }, nil
}

// Query calls each for every row, with the function that puts the row's values
// into what its arguments point to. An error of each ends it.
func (db *DB) Query(ctx context.Context, query string, args []any, each func(scan func(...any) error) error) error {
	rows, err := db.conn.QueryContext(ctx, query, args...)
	if err != nil {
		return db.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(func(to ...any) error { return db.explain(rows.Scan(to...)) }); err != nil {
			return err
		}
	}
	return db.explain(rows.Err())
}

// Columns returns the names of a table's columns, none if there is no such
// table.
func (db *DB) Columns(ctx context.Context, schema, table string) ([]string, error) {
	var names []string
	err := db.Query(ctx, "SELECT name FROM pragma_table_xinfo(?, ?)", []any{table, schema}, func(scan func(...any) error) error {
		var name string
		if err := scan(&name); err != nil {
			return err
		}
		names = append(names, name)
		return nil
	})
	return names, err
}

// word is a name or type in a schema, with or without quotes.
const word = "(?:[A-Za-z0-9_ ]+|\"[A-Za-z0-9_ ]+\"|'[A-Za-z0-9_ ]+'|`[A-Za-z0-9_ ]+`|\\[[A-Za-z0-9_ ]+\\])"

// These are the statements that a plain schema is made of: names, types and
// constraints, and nothing in parentheses but lists of columns.
var (
	plainTable = regexp.MustCompile(`(?is)^CREATE TABLE ` + word + `\s*\((?:[A-Za-z0-9_ ,\s"'` + "`" + `\[\]-]|\(\s*(?:` + word + `\s*,?\s*)*\))*\)\s*(?:STRICT|WITHOUT ROWID|,|\s)*$`)
	plainIndex = regexp.MustCompile(`(?is)^CREATE (?:UNIQUE )?INDEX ` + word + ` ON ` + word + `\s*\((?:\s*` + word + `\s*,?)*\)\s*$`)
	forbidden  = regexp.MustCompile(`(?i)\b(GENERATED|AS|CHECK|SELECT|VIRTUAL)\b`)
)

// plain refuses a schema that could make SQLite evaluate anything.
func (db *DB) plain(ctx context.Context, schema string) error {
	const most = 200
	n := 0
	return db.Query(ctx, "SELECT type, name, coalesce(sql, '') FROM "+schema+".sqlite_master", nil, func(scan func(...any) error) error {
		var kind, name, text string
		if err := scan(&kind, &name, &text); err != nil {
			return err
		}
		shape := map[string]*regexp.Regexp{"table": plainTable, "index": plainIndex}[kind]
		n++
		switch {
		case n > most:
			return db.corrupt("its schema has more than %d parts", most)
		case kind == "index" && text == "": // made by SQLite itself
			return nil
		case shape == nil:
			return db.corrupt("its schema has a %s, %s", store.Printable(kind), store.Printable(name))
		case !shape.MatchString(text) || forbidden.MatchString(text):
			return db.corrupt("the %s %s in its schema is not a plain one", store.Printable(kind), store.Printable(name))
		}
		return nil
	})
}

func (db *DB) corrupt(format string, args ...any) error {
	return &store.Error{Op: "open", Path: db.path, Err: store.Because(store.ErrCorrupt, format, args...)}
}

// errHot: a program was killed while it wrote, and reading alone cannot mend
// that.
var errHot = errors.New("it was not finished by the program that wrote it last")

// results are SQLite's result codes and what they mean here: the extended ones
// first, then the low byte.
var results = map[int]error{
	5: store.ErrLocked, 6: store.ErrLocked,
	3: store.ErrPermission, 8: store.ErrReadOnly, 23: store.ErrPermission,
	11: store.ErrCorrupt, 26: store.ErrCorrupt, 1: store.ErrCorrupt, 20: store.ErrCorrupt,
	776: errHot, 264: errHot, 520: errHot, 1288: errHot, 14: errHot,
}

func (db *DB) explain(err error) error {
	var e *sqlite.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	case errors.As(err, &e):
		kind := results[e.Code()]
		if kind == nil {
			kind = results[e.Code()&0xff]
		}
		if kind != nil {
			err = store.Because(kind, "%s", e.Error())
		}
		if e.Code()&0xff == 9 { // interrupted
			err = store.Because(context.Canceled, "%w", err)
		}
	default:
		err = store.Because(store.ErrCorrupt, "%w", err) // a value that is of no known type
	}
	hint := ""
	if errors.Is(err, store.ErrLocked) {
		hint = "try again, or end the program that uses it"
	}
	return &store.Error{Path: db.path, Err: err, Hint: hint}
}

func keys(m map[string]string) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	return out
}

func values(m map[string]string) (out []string) {
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

// superName returns the journal that several files have in common, seen from
// one of them.
func superName(p, name string) string {
	return path.Join(path.Dir(p), path.Base(strings.ReplaceAll(name, `\`, "/")))
}
