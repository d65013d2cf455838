// Package rpm reads which files belong to which package out of rpm's database,
// where that is a SQLite file. It runs nothing, changes nothing but SQLite's lock,
// and does not trust what it reads.
package rpm

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/sqlite"
	"github.com/certtrust/certtrust/store"
)

// Places are the directories that may hold the database: of Fedora and openSUSE
// now, of them before, and of systems that ostree deploys. Some are links to others.
var Places = []string{"/usr/lib/sysimage/rpm", "/var/lib/rpm", "/usr/share/rpm"}

// older are the databases of other kinds, by their files: Berkeley DB's and ndb's.
var older = []string{"Packages", "Packages.db"}

// What a database may cost.
const (
	maxHeaders = 256 << 20 // bytes of headers
	maxPaths   = 32 << 20  // bytes of files' names
)

// File is a file that a package has installed.
type File struct {
	Package, Version string
	Path             string
	// Digest is what the file's content had, in hexadecimal: an MD5 or one of the
	// SHA family, as its length tells. It is "" of what has none that counts:
	// directories, links, settings, and what the package does not bring along.
	Digest string
}

// Files calls each for the files and directories of installed packages that are
// somewhere below some directories. It is a store.ErrUnsupported if the database is
// of another kind; that there is none is no error.
func Files(ctx context.Context, h *host.Host, below []string, each func(File)) error {
	for _, dir := range Places {
		if file := path.Join(dir, "rpmdb.sqlite"); sqlite.Exists(h, file) {
			return read(ctx, h, file, below, each)
		}
		for _, name := range older {
			if p := path.Join(dir, name); sqlite.Exists(h, p) {
				return &store.Error{Op: "read", Path: p, Err: store.Because(store.ErrUnsupported, "it is not a database of the SQLite kind")}
			}
		}
	}
	return nil
}

// read is Files of one database.
func read(ctx context.Context, h *host.Host, file string, below []string, each func(File)) error {
	// A reader's lock is in the index of the log, which rpm keeps. Where there is
	// none, SQLite would make one.
	open := sqlite.Glance
	if !sqlite.Exists(h, file+"-shm") {
		open = sqlite.ReadImage
	}
	db, err := open(ctx, h, file)
	if err != nil {
		return err
	}
	defer db.Close()
	corrupt := func(err error) error {
		return &store.Error{Op: "read", Path: file, Err: store.Because(store.ErrCorrupt, "%w", err)}
	}
	// rpm's own index of the directories that packages have files in.
	where, args := []string{}, []any{}
	for _, dir := range below {
		where = append(where, "(key >= ? AND key < ?)")
		args = append(args, dir+"/", dir+"0") // the sign after the slash
	}
	if len(where) == 0 {
		return nil
	}
	headers, paths := 0, 0
	query := "SELECT blob FROM Packages WHERE hnum IN (SELECT hnum FROM Dirnames WHERE " + strings.Join(where, " OR ") + ")"
	return db.Query(ctx, query, args, func(scan func(...any) error) error {
		var blob []byte
		if err := scan(&blob); err != nil {
			return err
		}
		if headers += len(blob); headers > maxHeaders {
			return corrupt(errors.New("it has more than it can hold"))
		}
		head, err := parse(blob)
		if err == nil {
			err = head.files(below, func(f File) error {
				if paths += len(f.Path); paths > maxPaths {
					return fmt.Errorf("the names of its files have more than %d bytes", maxPaths)
				}
				each(f)
				return ctx.Err()
			})
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return corrupt(err)
		}
		return nil
	})
}
