// Package platform knows which stores a machine has: it lists the backends,
// finds their stores, and carries a change out over several stores at once.
package platform

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/platform/anchors"
	"github.com/certtrust/certtrust/platform/browser"
	"github.com/certtrust/certtrust/platform/bundles"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/java"
	"github.com/certtrust/certtrust/platform/keychain"
	"github.com/certtrust/certtrust/platform/nss"
	"github.com/certtrust/certtrust/platform/wincert"
	"github.com/certtrust/certtrust/store"
)

// Backend is one kind of store.
type Backend struct {
	// Name is what the IDs of its stores begin with.
	Name string
	// Scopes are the scopes that its stores can have: a backend that cannot
	// have what is asked for is not asked. One without is asked only when it is
	// named, or when all stores are meant: its stores are the machine's, but not
	// the operating system's own.
	Scopes []store.Scope
	// OnDemand: its stores are many, and seldom what is meant: it is asked only
	// if one of them is named, or Selector.OnDemand.
	OnDemand bool
	// Detect finds the machine's stores of this kind. It changes nothing, and
	// its result depends on the host alone.
	Detect func(ctx context.Context, h *host.Host) Detection
	// Place opens the store in any place, an absolute path, that an ID names
	// after the colon; nil = that cannot be.
	Place func(h *host.Host, place string) (store.Store, []string, error)
	// Wants is what a place has to be, for whoever has named one that is not.
	Wants string
	// Knows: what Place opens is what Detect would find there, so that nothing
	// else is opened for a store that is named by its place.
	Knows bool
	// Part opens a part of a store by what an ID names after the colon that is
	// no path; nil = that cannot be.
	Part func(h *host.Host, name string) (store.Store, []string, error)
}

// Detection is what a backend found, and why.
type Detection struct {
	Stores  []store.Store
	Reasons []string
}

// Backends returns all backends.
func Backends() []Backend {
	return slices.Concat([]Backend{
		{
			Name:   anchors.SystemID.Backend(),
			Scopes: []store.Scope{store.ScopeSystem},
			Detect: func(_ context.Context, h *host.Host) Detection {
				s, reasons := anchors.Detect(h)
				if s == nil {
					return Detection{Reasons: reasons}
				}
				return Detection{Stores: []store.Store{s}, Reasons: reasons}
			},
		},
		{Name: keychain.Backend, Scopes: []store.Scope{store.ScopeSystem}, Detect: detection(keychain.DetectSystem)},
		{Name: keychain.Backend, Scopes: []store.Scope{store.ScopeUser}, Detect: detection(keychain.DetectUser), Place: keychain.OpenFile, Wants: "a keychain file"},
		{Name: nss.Backend, Scopes: []store.Scope{store.ScopeUser}, Detect: detection(browser.DetectUser), Place: browser.OpenDir, Wants: "the directory that cert9.db is in"},
		{Name: nss.Backend, Detect: detection(browser.DetectSystem)},
		{Name: java.Backend, Scopes: []store.Scope{store.ScopeUser}, Detect: detection(java.DetectUser), Place: java.Open, Wants: "a keystore, or the directory that bin/java is in", Knows: true},
		{Name: java.Backend, Detect: detection(java.DetectSystem)},
		{Name: bundles.FileBackend, Scopes: []store.Scope{store.ScopeUser}, OnDemand: true, Detect: detection(bundles.DetectUser), Place: bundles.OpenFile, Wants: "a file of certificates"},
		{Name: bundles.FileBackend, OnDemand: true, Detect: detection(bundles.DetectSystem)},
		{Name: bundles.DirBackend, Detect: nowhere, Place: bundles.OpenDir, Wants: "a directory of certificates"},
		{Name: nss.BuiltinBackend, Detect: detection(nss.DetectBuiltin)},
		{Name: browser.ProfileBackend, Scopes: []store.Scope{store.ScopeUser}, Detect: detection(browser.DetectProfiles)},
		{Name: browser.PolicyBackend, Detect: detection(browser.DetectPolicies)},
		{Name: wincert.ExportBackend, Detect: nowhere, Place: wincert.OpenExport, Wants: "a file that was exported from a Windows"},
	}, Windows(wincert.System()))
}

// ofTheSystem reports whether a store is the operating system's own, and not
// only the machine's.
func ofTheSystem(i store.Info) bool {
	return i.Scope == store.ScopeSystem && !slices.ContainsFunc(Backends(), func(b Backend) bool {
		return b.Name == i.Backend && len(b.Scopes) == 0
	})
}

// Windows returns the backends of Windows' own stores, reached by api: one for
// each location, so that only what is meant is opened.
func Windows(api wincert.API) []Backend {
	var out []Backend
	for _, location := range wincert.Locations() {
		out = append(out, Backend{
			Name:   wincert.Backend,
			Scopes: []store.Scope{wincert.Scope(location)},
			Detect: func(_ context.Context, h *host.Host) Detection {
				s, reasons := wincert.Detect(h, api, location)
				if s == nil {
					return Detection{Reasons: reasons}
				}
				return Detection{Stores: []store.Store{s}, Reasons: reasons}
			},
			Part: func(h *host.Host, name string) (store.Store, []string, error) { return wincert.Open(h, api, name) },
		})
	}
	return out
}

// nowhere finds nothing: the stores are where somebody says that they are.
func nowhere(context.Context, *host.Host) Detection {
	return Detection{Reasons: []string{"only what is named is looked at"}}
}

func detection(detect func(context.Context, *host.Host) ([]store.Store, []string)) func(context.Context, *host.Host) Detection {
	return func(ctx context.Context, h *host.Host) Detection {
		stores, reasons := detect(ctx, h)
		return Detection{stores, reasons}
	}
}

// Selector says which stores are meant.
type Selector struct {
	System bool     // the operating system's machine-wide store
	User   bool     // the current user's own
	Stores []string // IDs, backends or globs of IDs
	// OnDemand: backends that are otherwise only asked by name are asked, too.
	OnDemand bool
}

// Empty reports whether nothing is selected, which means all, or the default.
func (s Selector) Empty() bool { return !s.System && !s.User && len(s.Stores) == 0 }

// Selects reports whether the selector asks for a store.
func (s Selector) Selects(i store.Info) bool {
	return s.User && i.Scope == store.ScopeUser || s.Names(i) ||
		slices.ContainsFunc(s.Stores, func(pattern string) bool { return matches(pattern, i.ID) })
}

// Names reports whether the selector asks for just this store, so that its
// failure is the caller's. Of a user's stores, or all that fit a pattern, one
// that is damaged must not keep the others from anything.
func (s Selector) Names(i store.Info) bool {
	if s.System && i.Scope == store.ScopeSystem && i.DerivedFrom == "" {
		return true
	}
	return slices.ContainsFunc(s.Stores, func(pattern string) bool {
		return pattern == string(i.ID) || pattern == i.Backend+":"+i.Location
	})
}

// matches reports whether an ID, the name of a backend or a pattern fits id.
// Many IDs hold a path: in a pattern, * and ? stand for slashes, too.
func matches(pattern string, id store.ID) bool {
	if pattern == string(id) || pattern == id.Backend() {
		return true
	}
	flat := strings.NewReplacer("/", ":")
	ok, err := path.Match(flat.Replace(pattern), flat.Replace(string(id)))
	return err == nil && ok
}

// mayAsk reports whether a backend can have what is selected.
func (s Selector) mayAsk(b Backend) bool {
	byName := b.OnDemand && !s.OnDemand
	if s.Empty() {
		return !byName
	}
	if !byName && (s.System && slices.Contains(b.Scopes, store.ScopeSystem) || s.User && slices.Contains(b.Scopes, store.ScopeUser)) {
		return true
	}
	return slices.ContainsFunc(s.Stores, func(pattern string) bool {
		name, _, _ := strings.Cut(pattern, ":")
		ok, err := path.Match(name, b.Name)
		return err != nil || ok
	})
}

// Found is a store with the reasons for which it was taken for what it is.
type Found struct {
	store.Store
	Reasons []string
	Placed  string // how it was named, if that is a place, which its ID need not be
	// Ours tells what this program has put into stores; nil = nobody knows.
	Ours func(store.Info, store.Fingerprint) bool
}

// Entries yields what the store holds. What it does not know the origin of may be
// known to have been put there by this program.
func (f Found) Entries(ctx context.Context) iter.Seq2[store.Entry, error] {
	if f.Ours == nil {
		return f.Store.Entries(ctx)
	}
	return func(yield func(store.Entry, error) bool) {
		info := f.Info()
		for e, err := range f.Store.Entries(ctx) {
			if err == nil && e.Cert != nil && e.Origin.By == store.ByUnknown && f.Ours(info, e.Cert.SHA256) {
				e.Origin = store.Origin{By: store.ByCerttrust}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// Detect returns the selected stores of a machine in the order of backends,
// all of them for an empty selector. It is [store.ErrUnsupported] if the
// machine has no store that is known, and [store.ErrNotFound] if a part of the
// selector fits none. Nothing is changed, and no program is run, but for the
// one that tells whether macOS would ask somebody where nobody can answer.
func Detect(ctx context.Context, h *host.Host, backends []Backend, sel Selector) ([]Found, error) {
	for _, pattern := range sel.Stores {
		_, at, _ := strings.Cut(pattern, ":")
		if _, err := path.Match(pattern, ""); err != nil && !placeable(h, at) { // a path may have brackets
			return nil, &store.Error{Err: store.Because(store.ErrInput, "\"%s\" is no store ID and no pattern", store.Printable(pattern))}
		}
	}
	places, rest := known(h, backends, sel)
	var all, found []Found
	var reasons []string
	for _, b := range backends {
		if len(places) > 0 && rest.Empty() || !rest.mayAsk(b) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		d := b.Detect(ctx, h)
		reasons = append(reasons, d.Reasons...)
		for _, s := range d.Stores {
			// What something else owns is for whoever names it.
			if n, ok := s.(interface{ Named() store.Store }); ok && slices.Contains(sel.Stores, string(s.Info().ID)) {
				s = n.Named()
			}
			f := Found{Store: s, Reasons: d.Reasons}
			all = append(all, f)
			if sel.Empty() || sel.Selects(s.Info()) {
				found = append(found, f)
			}
		}
	}
	for _, pattern := range sel.Stores {
		if slices.ContainsFunc(found, func(f Found) bool { return matches(pattern, f.Info().ID) }) {
			continue
		}
		placed, err := places[pattern], error(nil)
		if placed == nil {
			placed, err = place(h, backends, all, pattern)
		}
		if err != nil {
			return nil, err
		}
		if placed != nil && slices.ContainsFunc(found, func(f Found) bool { return f.Info().ID == placed.Info().ID }) {
			continue // under another name
		}
		if placed != nil {
			placed.Placed = pattern
			found = append(found, *placed)
			continue
		}
		return nil, &store.Error{Err: store.Because(store.ErrNotFound, "there is no store \"%s\" here (%s)", store.Printable(pattern), among(all, backends)),
			Hint: hintFor(pattern, backends)}
	}
	if len(found) == 0 {
		what := "no store that is known"
		switch {
		case sel.User:
			what = "no store of the user's own"
		case sel.System:
			what = "no system store that is known"
		}
		return nil, &store.Error{Err: store.Because(store.ErrUnsupported, "there is %s here%s", what, because(reasons)),
			Hint: "certtrust stores -v shows what was looked at"}
	}
	return found, nil
}

// known returns the stores that a selector names by their place, as far as
// nothing else need be looked at for them, and the rest of the selector.
func known(h *host.Host, backends []Backend, sel Selector) (places map[string]*Found, rest Selector) {
	places, rest = map[string]*Found{}, sel
	for _, b := range backends {
		rest.Stores = slices.DeleteFunc(slices.Clone(rest.Stores), func(pattern string) bool {
			at, named := strings.CutPrefix(pattern, b.Name+":")
			if !named || !b.Knows || !placeable(h, at) {
				return false
			}
			// What is wrong with it is told when everything has been looked at.
			if s, reasons, err := b.Place(h, path.Clean(at)); err == nil {
				places[pattern] = &Found{Store: s, Reasons: reasons}
			}
			return places[pattern] != nil
		})
	}
	return places, rest
}

// placeable reports whether what an ID has after the colon is a path.
func placeable(h *host.Host, at string) bool {
	return strings.HasPrefix(at, "/") || h.OS == "windows" && strings.Contains(at, ":")
}

// place returns the store in the place that an ID names, nil if it names none:
// one that was found anyway, if it lies there.
func place(h *host.Host, backends []Backend, all []Found, id string) (*Found, error) {
	name, at, _ := strings.Cut(id, ":")
	for _, b := range backends {
		if b.Name != name || b.Part == nil || at == "" {
			continue
		}
		s, reasons, err := b.Part(h, at)
		if err != nil {
			return nil, store.At("open", store.ID(id), "", err)
		}
		return &Found{Store: s, Reasons: reasons}, nil
	}
	if !placeable(h, at) {
		return nil, nil
	}
	for _, f := range all {
		if i := f.Info(); i.Backend == name && path.Clean(at) == i.Location {
			return &f, nil
		}
	}
	for _, b := range backends {
		if b.Name != name || b.Place == nil {
			continue
		}
		s, reasons, err := b.Place(h, path.Clean(at))
		if errors.Is(err, fs.ErrNotExist) {
			if strings.ContainsAny(at, "*?[") { // a pattern that fits nothing
				return nil, nil
			}
			err = &store.Error{Err: store.Because(store.ErrNotFound, "there is no such place"), Hint: "name " + b.Wants}
		}
		if err != nil {
			return nil, store.At("open", store.ID(id), "", err)
		}
		return &Found{Store: s, Reasons: reasons}, nil
	}
	return nil, nil
}

// because writes reasons after what they explain.
func because(reasons []string) string {
	if len(reasons) == 0 {
		return ""
	}
	return " (" + strings.Join(reasons, "; ") + ")"
}

// hintFor tells what to do about a store that was not found.
func hintFor(pattern string, backends []Backend) string {
	name, at, _ := strings.Cut(pattern, ":")
	places := slices.ContainsFunc(backends, func(b Backend) bool { return b.Name == name && b.Place != nil })
	if places && at != "" && !strings.ContainsAny(at, "*?[@") && !strings.HasPrefix(at, "/") {
		return "a place is named by its path: " + store.Printable(name+":./"+at) + "; certtrust stores shows what there is"
	}
	return "certtrust stores shows what there is"
}

// among tells what there is instead of a store that was not found: the stores
// of the backends that were asked or, if none was, the backends.
func among(all []Found, backends []Backend) string {
	var ids, names []string
	for _, f := range all {
		ids = append(ids, string(f.Info().ID))
	}
	for _, b := range backends {
		if !slices.Contains(names, b.Name) {
			names = append(names, b.Name)
		}
	}
	const most = 6
	if n := len(ids) - most; n > 0 {
		ids = append(ids[:most], fmt.Sprintf("%d more", n))
	}
	if len(ids) > 0 {
		return "there is " + strings.Join(ids, ", ")
	}
	return "known are stores of " + strings.Join(names, ", ")
}
