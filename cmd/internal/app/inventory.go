package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/render"
	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/audit"
)

// inventory adds up the listings of many machines.
func (a *App) inventory(c *cli.Context, streams *term.Streams, finish func() error) error {
	wanted, err := parsePrefixes(c.StringSlice("fingerprint"))
	if err != nil {
		return err
	}
	files, err := listings(c.Args().Slice())
	if err != nil {
		return err
	}
	v := audit.NewInventory()
	var failures []error
	var mu sync.Mutex
	var done atomic.Int64
	err = inParallel(len(files), func(i int) error {
		if err := c.Context.Err(); err != nil {
			return err
		}
		if err := a.readListing(v, files[i]); err != nil {
			mu.Lock()
			defer mu.Unlock()
			failures = append(failures, store.Because(store.ErrPartial, "%w", err))
			a.Streams.Warningf("%v", err)
		}
		a.Streams.Status(fmt.Sprintf("read %d of %d listings", done.Add(1), len(files)))
		return nil
	})
	a.Streams.Status("")
	if err != nil {
		return c.Context.Err()
	}
	report := v.Report(wanted)
	if report.Summary.Machines == 0 && len(failures) > 0 {
		return &store.Error{Err: store.Because(store.ErrInput, "none of the files holds a listing"), Hint: "certtrust list --format jsonl writes one"}
	}
	doc := render.NewInventoryDoc(a.Host.Now().UTC().Truncate(time.Second), report)
	doc.All = c.Bool("all")
	if err := a.writeTo(c, streams, doc); err != nil {
		return err
	}
	if err := finish(); err != nil {
		return err
	}
	switch {
	case len(failures) > 0:
		return store.Because(store.ErrPartial, "%s could not be read completely", countOf(len(failures), "file"))
	case report.Summary.Incomplete > 0:
		return store.Because(store.ErrPartial, "%s not complete", countOf(report.Summary.Incomplete, "listing")+map[bool]string{true: " is", false: " are"}[report.Summary.Incomplete == 1])
	case len(wanted) > 0 && len(report.Asked) == 0:
		return store.Because(store.ErrNotFound, "no machine has a certificate with that fingerprint")
	}
	return nil
}

func (a *App) readListing(v *audit.Inventory, name string) error {
	fail := func(err error) error { return &store.Error{Op: "read", Path: name, Err: bareError(err)} }
	if name == "-" {
		if err := v.Read("standard input", a.Streams.In); err != nil {
			return fail(err)
		}
		return nil
	}
	f, err := os.Open(name)
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	if err := v.Read(name, f); err != nil {
		return fail(err)
	}
	return nil
}

// listings returns the files that names mean: of a directory all that are in
// it, at any depth, and no others.
func listings(names []string) ([]string, error) {
	var out []string
	for _, name := range names {
		if name == "-" {
			out = append(out, name)
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			return nil, &store.Error{Op: "read", Path: name, Err: store.Because(store.ErrInput, "%w", bareError(err))}
		}
		if !info.IsDir() {
			out = append(out, name)
			continue
		}
		before := len(out)
		err = filepath.WalkDir(name, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.Type().IsRegular() {
				switch filepath.Ext(p) {
				case ".json", ".jsonl", ".ndjson":
					out = append(out, p)
				}
			}
			return nil
		})
		if err != nil {
			return nil, &store.Error{Op: "read", Path: name, Err: errors.Join(store.ErrInput, bareError(err))}
		}
		if len(out) == before {
			return nil, &store.Error{Path: name, Err: store.Because(store.ErrInput, "there are no listings in it"), Hint: "their names end in .json or .jsonl"}
		}
	}
	return out, nil
}
