package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/render"
	"github.com/certtrust/certtrust/platform"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/wincert"
	"github.com/certtrust/certtrust/store"
)

// words joins names for a help text.
func words[T ~string](names []T) string {
	var out []string
	for _, n := range names {
		out = append(out, string(n))
	}
	return strings.Join(out, ", ")
}

// selectFlags say which stores a command is about.
func selectFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "system", Usage: "the operating system's machine-wide store"},
		&cli.BoolFlag{Name: "user", Usage: "the current user's own stores"},
		&cli.StringSliceFlag{Name: "store", Usage: "the store `ID` (a backend or a pattern such as 'anchors:*'; may be repeated)"},
		&cli.StringSliceFlag{Name: "for-user", Usage: "the stores of the user `NAME`, as whom it is done (may be repeated)"},
		&cli.BoolFlag{Name: "all-users", Usage: "the stores of all users of this machine"},
		secretFlag(),
		rootFlag(),
	}
}

func selector(c *cli.Context) platform.Selector {
	sel := platform.Selector{System: c.Bool("system"), User: c.Bool("user"), Stores: placed(c.StringSlice("store")), OnDemand: c.Command.Name == "stores"}
	sel.Stores = append(sel.Stores, resultOf(c).placed...) // what is named is so by its ID, too
	if ofOthers(c) {
		if len(sel.Stores) == 0 {
			sel.User = true
		}
		names := c.StringSlice("for-user")
		if c.Bool("all-users") {
			names = []string{"*"}
		}
		var stores []string
		for _, pattern := range sel.Stores {
			if strings.Contains(pattern, "@") {
				stores = append(stores, pattern)
				continue
			}
			if !strings.Contains(pattern, ":") {
				pattern += ":*"
			}
			for _, name := range names {
				stores = append(stores, pattern+"@"+name)
			}
		}
		sel.Stores = stores
	}
	return sel
}

// placed makes places in IDs absolute, and IDs of what PowerShell calls a place
// of Windows.
func placed(patterns []string) []string {
	out := slices.Clone(patterns)
	for i, p := range out {
		if id, ok := wincert.SelectorID(p); ok {
			out[i] = id
			continue
		}
		backend, place, ok := strings.Cut(p, ":")
		if ok && backend == wincert.ExportBackend && place != "" {
			place = filepath.FromSlash(place) // it is always a file
			if !filepath.IsAbs(place) {
				place = "." + string(filepath.Separator) + place
			}
			if abs, err := filepath.Abs(place); err == nil {
				out[i] = backend + ":" + filepath.ToSlash(abs)
			}
			continue
		}
		if !ok || !strings.HasPrefix(place, "./") && !strings.HasPrefix(place, "../") && place != "." && place != ".." {
			continue
		}
		if abs, err := filepath.Abs(place); err == nil {
			out[i] = backend + ":" + filepath.ToSlash(abs)
		}
	}
	return out
}

// chosenByHand reports whether single stores are named, and not sorts of them.
func chosenByHand(c *cli.Context) bool { return len(c.StringSlice("store")) > 0 }

// rootFlag says which machine a command is about.
func rootFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "root", Usage: "the system in `DIR`, an image or a mounted disk, of which no program is run (may be repeated to read several)"}
}

// machine returns the machine that a command is about, which is one.
func (a *App) machine(c *cli.Context) (*host.Host, error) {
	switch roots := c.StringSlice("root"); len(roots) {
	case 0:
		return a.Host, nil
	case 1:
		h, err := a.offline(roots[0])
		if err == nil {
			a.image = h
		}
		return h, err
	}
	return nil, usage("one --root at a time: only list, show, stores, export and audit read several")
}

// offline returns the machine in a directory.
func (a *App) offline(root string) (*host.Host, error) {
	if root == "" {
		return nil, usage("--root needs a directory")
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	h, err := host.Offline(root)
	if err != nil {
		return nil, &store.Error{Path: root, Err: store.Because(store.ErrInput, "%w", plain(err)), Hint: "give the directory that holds the system's etc and usr"}
	}
	h.Now, h.User, h.EUID = a.Host.Now, a.Host.User, a.Host.EUID
	return h, nil
}

// heedEngine passes on who is to generate what is made of anchors.
func heedEngine(c *cli.Context, h *host.Host) error {
	engine := c.String("engine")
	if engine != "" && !slices.Contains(host.Engines(), engine) {
		return usage("--engine %s: not one of %s", store.Printable(engine), words(host.Engines()))
	}
	h.Engine = engine
	return nil
}

// rooted is a store in one of several roots.
type rooted struct{ store.Store }

// Info returns what the store is, with an ID that tells the root.
func (r rooted) Info() store.Info {
	i := r.Store.Info()
	i.ID += store.ID("[" + i.Root + "]")
	if i.DerivedFrom != "" {
		i.DerivedFrom += store.ID("[" + i.Root + "]")
	}
	return i
}

// storesRead returns the stores that a command's flags select, to be read: those
// of several roots, too.
func (a *App) storesRead(c *cli.Context) ([]platform.Found, error) {
	machines, err := a.chosenMachines(c)
	var out []platform.Found
	for _, m := range machines {
		for _, f := range m.found {
			out = append(out, m.read(f))
		}
	}
	return out, err
}

// stores returns the stores that a command's flags select.
func (a *App) stores(c *cli.Context) ([]platform.Found, error) {
	h, err := a.machine(c)
	if err != nil {
		return nil, err
	}
	found, err := a.storesOf(c, h)
	if err == nil {
		err = a.passwordsHeeded(found)
	}
	return found, err
}

func (a *App) storesOf(c *cli.Context, h *host.Host) ([]platform.Found, error) {
	if err := heedEngine(c, h); err != nil {
		return nil, err
	}
	found, err := a.detect(c, h, func() ([]platform.Found, error) {
		backends, err := a.backends(c, h)
		if err != nil {
			return nil, err
		}
		return platform.Detect(c.Context, h, backends, selector(c))
	})
	for i, f := range found {
		found[i].Ours = a.ours(h)
		if r := resultOf(c); f.Placed != "" {
			r.placed = append(r.placed, string(f.Info().ID))
		}
	}
	if c.Bool("debug") {
		for _, f := range found {
			a.Streams.Noticef("debug: %s: %s", f.Info().ID, strings.Join(f.Reasons, "; "))
		}
	}
	return found, err
}

// changedStores returns the stores that a changing command is about: those
// that are selected or, if none is, those that are chosen unasked.
func (a *App) changedStores(c *cli.Context) ([]platform.Found, error) {
	found, err := a.stores(c)
	if err != nil || chosenByHand(c) {
		return found, err
	}
	sorts := !selector(c).Empty()
	var chosen []platform.Found
	for _, f := range found {
		// In an image only the system's own is: its users are not here.
		if f.Info().Default && (a.image == nil || f.Info().Scope == store.ScopeSystem) || sorts && isChanged(f) {
			chosen = append(chosen, f)
		}
	}
	if len(chosen) == 0 {
		return nil, &store.Error{Err: store.Because(store.ErrUnsupported, "none of the stores here is changed unasked"),
			Hint: "name one with --store; certtrust stores shows them"}
	}
	return chosen, nil
}

// isChanged reports whether a store is one that is changed when a whole sort of
// stores is: not one that can only be read, that something else writes, or that
// follows another.
func isChanged(f platform.Found) bool {
	i := f.Info()
	_, edits := f.Store.(store.Editor)
	return edits && i.DerivedFrom == "" && (i.Access.Write == nil || i.Access.Write.Kind != store.Managed)
}

// read is what was read of a store.
type read struct {
	of      store.Store
	info    store.Info
	entries []store.Entry
	err     error // of the store as a whole
	lost    []error
}

// reader reads stores once, and only if it is asked to.
type reader func() []read

func newReader(ctx context.Context, found []platform.Found) reader {
	return sync.OnceValue(func() []read {
		var out []read
		for _, f := range found {
			out = append(out, readStore(ctx, f))
		}
		return out
	})
}

// failures returns what reading the stores means for the command.
func (r reader) failures(sel platform.Selector) []error {
	var errs []error
	for _, store := range r() {
		if err := store.failure(sel.Names(store.info)); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

func readStore(ctx context.Context, s store.Store) read {
	out := read{of: s, info: s.Info()}
	if f, ok := s.(platform.Found); ok {
		out.of = f.Store
	}
	for e, err := range s.Entries(ctx) {
		switch {
		case err == nil:
			out.entries = append(out.entries, e)
		case e.Source == (store.Source{}):
			out.err = err
		default:
			out.lost = append(out.lost, err)
		}
	}
	if out.err == nil {
		out.err = ctx.Err()
	}
	return out
}

// failure returns what reading the store means for the command: everything
// could not be read of a store that was asked for, or a part of one.
func (r read) failure(named bool) error {
	switch {
	case r.err != nil && (named || errors.Is(r.err, context.Canceled) || errors.Is(r.err, context.DeadlineExceeded)):
		return r.err
	case r.err != nil:
		return store.Because(store.ErrPartial, "%w", r.err)
	case len(r.lost) > 0:
		return store.Because(store.ErrPartial, "%s was not read completely: %v", r.info.ID, r.lost[0])
	}
	return nil
}

// listStore describes how reading went.
func (r read) listStore() render.ListStore {
	out := render.ListStore{Info: r.info, Complete: r.err == nil && len(r.lost) == 0}
	err := r.err
	if err == nil && len(r.lost) > 0 {
		err = r.lost[0]
		if n := len(r.lost) - 1; n > 0 {
			err = &store.Error{Err: fmt.Errorf("%w (and %d more)", err, n), Hint: store.Hint(err)}
		}
	}
	out.Error = render.NewErrorInfo(err)
	return out
}
