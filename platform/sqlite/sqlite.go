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
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path"
	"slices"
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
	conn connection
	path string
	tx   bool
	// columns are those of the tables, by "schema.table"; of an index none.
	columns map[string][]string

	fault func(op, path string) error
}

// connection is what the driver's connections are. They are used without
// database/sql: a pool of one is of no use, and takes half of the time.
type connection interface {
	driver.Conn
	driver.ExecerContext
	driver.QueryerContext
	driver.ConnPrepareContext
	Serialize() ([]byte, error)
	Deserialize([]byte) error
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

// keepsLog reports whether a file is kept with a write-ahead log.
func keepsLog(h *host.Host, p string) (bool, error) {
	head, err := h.ReadStart(p, 20)
	return len(head) == 20 && head[18] == 2, err
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
	// To read one with a log in place would make files beside it.
	if logged, err := keepsLog(h, p); err != nil {
		return nil, err
	} else if logged || !h.Live {
		return ReadImage(ctx, h, p)
	}
	direct, err := h.Direct(p)
	if err != nil {
		return nil, err
	}
	db, err := open(ctx, dsn(direct, "ro", wait), p)
	if err == nil {
		if err = db.plain(ctx, "main"); err == nil {
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
	if err = db.explain(db.conn.Deserialize(data)); err == nil {
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
		if logged, err := keepsLog(h, f); err != nil {
			return nil, err
		} else if logged && len(attached) > 0 {
			return nil, &store.Error{Op: "open", Path: f, Err: store.Because(store.ErrUnsupported,
				"it is kept with a log (WAL), so that it cannot be changed together with another file"),
				Hint: "sqlite3 " + store.ShellWord(f) + " 'PRAGMA journal_mode=DELETE' makes it what its own programs make"}
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
		if err := db.exec(ctx, "ATTACH ? AS "+name, fileURL(direct, url.Values{"mode": {"rw"}})); err != nil {
			return fail(err)
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
	if err := db.exec(ctx, "PRAGMA page_size="+itoa(pageSize)); err != nil {
		return nil, err
	}
	for i, s := range statements {
		var a []any
		if i < len(args) {
			a = args[i]
		}
		if err := db.exec(ctx, s, a...); err != nil {
			return nil, err
		}
	}
	data, err := db.conn.Serialize()
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
	conn, err := connector.Connect(ctx)
	if err != nil {
		return nil, db.explain(err)
	}
	db.conn = conn.(connection)
	return db, nil
}

// Close ends the use of the file. A transaction that was not committed is
// rolled back.
func (db *DB) Close() error {
	if db.tx {
		db.exec(context.Background(), "ROLLBACK")
		db.tx = false
	}
	return db.conn.Close()
}

// Commit ends the transaction.
func (db *DB) Commit() error {
	if err := db.Exec(context.Background(), "COMMIT"); err != nil {
		return err
	}
	db.tx = false
	return nil
}

// Begin begins a transaction in which what is read is of this moment.
func (db *DB) Begin(ctx context.Context) error {
	err := db.exec(ctx, "BEGIN")
	if db.tx = err == nil; !db.tx {
		return err
	}
	// The first thing that is read is what locks the file.
	return db.Query(ctx, "SELECT 1 FROM sqlite_master LIMIT 1", nil, func(func(...any) error) error { return nil })
}

// Exec runs a statement.
func (db *DB) Exec(ctx context.Context, statement string, args ...any) error {
	if db.fault != nil {
		if err := db.fault("write", db.path); err != nil {
			return err
		}
	}
	return db.exec(ctx, statement, args...)
}

func (db *DB) exec(ctx context.Context, statement string, args ...any) error {
	values, err := named(nil, args)
	if err == nil {
		_, err = db.conn.ExecContext(ctx, statement, values)
	}
	return db.explain(err)
}

// named appends arguments to out as the driver takes them.
func named(out []driver.NamedValue, args []any) ([]driver.NamedValue, error) {
	out = slices.Grow(out, len(args))
	for i, a := range args {
		v, err := driver.DefaultParameterConverter.ConvertValue(a)
		if err != nil {
			return nil, err
		}
		out = append(out, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return out, nil
}

// Prepare returns a function that runs the statement.
func (db *DB) Prepare(ctx context.Context, statement string) (run func(args ...any) error, closer func(), err error) {
	prepared, err := db.conn.PrepareContext(ctx, statement)
	if err != nil {
		return nil, nil, db.explain(err)
	}
	s := prepared.(driver.StmtExecContext)
	var values []driver.NamedValue
	return func(args ...any) error {
		if db.fault != nil {
			if err := db.fault("write", db.path); err != nil {
				return err
			}
		}
		values, err = named(values[:0], args)
		if err == nil {
			_, err = s.ExecContext(ctx, values)
		}
		return db.explain(err)
	}, func() { prepared.Close() }, nil
}

// Query calls each for every row, with the function that puts the row's values
// into what its arguments point to: each has its own bytes. An error of each
// ends it.
func (db *DB) Query(ctx context.Context, query string, args []any, each func(scan func(...any) error) error) error {
	values, err := named(nil, args)
	if err != nil {
		return db.explain(err)
	}
	rows, err := db.conn.QueryContext(ctx, query, values)
	if err != nil {
		return db.explain(err)
	}
	defer rows.Close()
	row := make([]driver.Value, len(rows.Columns()))
	scan := func(to ...any) error { return db.explain(assign(row, to)) }
	for {
		if err := ctx.Err(); err != nil {
			return db.explain(err)
		}
		if err := rows.Next(row); err == io.EOF {
			return nil
		} else if err != nil {
			return db.explain(err)
		}
		if err := each(scan); err != nil {
			return err
		}
	}
}

// Blob is a place for a value that may be of any type, and is nil if it is no
// blob.
type Blob []byte

// assign puts values into what pointers point to.
func assign(row []driver.Value, to []any) error {
	if len(row) != len(to) {
		return fmt.Errorf("%d columns, not %d", len(row), len(to))
	}
	for i, value := range row {
		ok := true
		switch p := to[i].(type) {
		case *any:
			*p = value
		case *Blob:
			*p, _ = value.([]byte)
		case *[]byte:
			if *p, ok = value.([]byte); !ok && value == nil {
				*p, ok = nil, true
			}
		case *string:
			*p, ok = value.(string)
		case *int64:
			*p, ok = value.(int64)
		default:
			return fmt.Errorf("no place for column %d", i+1)
		}
		if !ok {
			return fmt.Errorf("column %d holds a %T", i+1, value)
		}
	}
	return nil
}

// Columns returns the names of a table's columns in lower case, none if there is
// no such table.
func (db *DB) Columns(schema, table string) []string { return db.columns[schema+"."+table] }

// plain refuses a schema that could make SQLite evaluate anything.
func (db *DB) plain(ctx context.Context, schema string) error {
	const most = 200
	n := 0
	return db.Query(ctx, "SELECT type, name, coalesce(sql, '') FROM "+schema+".sqlite_master", nil, func(scan func(...any) error) error {
		var kind, name, text string
		if err := scan(&kind, &name, &text); err != nil {
			return err
		}
		columns, plain := []string(nil), false
		switch kind {
		case "table":
			columns, plain = plainTable(text)
		case "index":
			plain = plainIndex(text)
		}
		n++
		switch {
		case n > most:
			return db.corrupt("its schema has more than %d parts", most)
		case kind == "index" && text == "": // made by SQLite itself
			return nil
		case kind != "table" && kind != "index":
			return db.corrupt("its schema has a %s, %s", store.Printable(kind), store.Printable(name))
		case !plain:
			return db.corrupt("the %s %s in its schema is not a plain one", store.Printable(kind), store.Printable(name))
		}
		if db.columns == nil {
			db.columns = map[string][]string{}
		}
		db.columns[schema+"."+name] = columns
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
	switch {
	case errors.Is(err, store.ErrLocked):
		hint = "try again, or end the program that uses it"
	case errors.Is(err, store.ErrReadOnly):
		hint = "look at the permissions of " + db.path
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
