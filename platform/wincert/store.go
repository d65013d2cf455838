// Package wincert is the certificate stores of Windows, on this machine and in
// what was exported from another one.
//
// Each location (LocalMachine, CurrentUser, the two of Group Policy, that of
// the enterprise) is a store here, and each of Windows' system stores in it
// (Root, CA, AuthRoot, Disallowed, …) is an item of that store. They are opened
// one by one in the registry, never as the collection that Windows makes of
// them for its programs: only so is it known where a root comes from, and is
// nothing changed in another place than the one that was meant.
//
// What it means to be in an item is a row of a table (places.go). The purposes
// of a root are its property 9, and what its own extension allows of them. What
// is in Disallowed anywhere is distrusted everywhere.
package wincert

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// Store is one location of this machine's Windows, or one item of it. It
// implements [store.Editor] and [store.Verifier].
type Store struct {
	api  API
	host *host.Host
	at   *location
	only *item // nil = all that are listed
	info store.Info

	// Wait is how long a change waits for another one.
	Wait time.Duration

	editing *sync.Mutex
}

// Locations are the names of the locations, in their order.
func Locations() []string {
	var out []string
	for _, l := range locations {
		out = append(out, l.name)
	}
	return out
}

// Scope is whom the store of a location is for.
func Scope(location string) store.Scope { return locationNamed(location).scope }

// Detect returns the store of a location of this machine's Windows, nil if
// there is none, with the reasons. api is [System], nil for another machine.
func Detect(h *host.Host, api API, location string) (store.Store, []string) {
	if why := absent(h, api); why != "" {
		return nil, []string{why}
	}
	l := locationNamed(location)
	s := open(h, api, l, nil)
	if err := s.present(); errors.Is(err, store.ErrUnsupported) {
		return nil, []string{"this Windows has no location " + l.name}
	}
	reasons := []string{"the system stores of " + l.name + ", below " + l.root() + `\` + l.key}
	if l.name == "LocalMachine" {
		reasons = append(reasons, autoUpdate(api)...)
	}
	return s, reasons
}

func absent(h *host.Host, api API) string {
	switch {
	case h.OS != "windows":
		return "not Windows"
	case api == nil || !h.Live:
		return "the stores of a Windows that does not run are in its registry: export it there, and name the file as reg:FILE"
	}
	return ""
}

// Open returns the store that an ID names after the colon: a location, or one
// item of it as LOCATION/ITEM. It is store.ErrNotFound if there is no such
// place.
func Open(h *host.Host, api API, place string) (store.Store, []string, error) {
	if why := absent(h, api); why != "" {
		return nil, nil, store.Because(store.ErrUnsupported, "%s", why)
	}
	name, itemName, single := strings.Cut(place, "/")
	l, i := locationNamed(name), itemNamed(itemName)
	if l == nil {
		return nil, nil, store.Because(store.ErrNotFound, "Windows has no location \"%s\", but %s", store.Printable(name), strings.Join(Locations(), ", "))
	}
	if single && i == nil {
		return nil, nil, store.Because(store.ErrNotFound, "there is no store \"%s\" in %s, but %s", store.Printable(itemName), l.name, itemNames())
	}
	s := open(h, api, l, i)
	if err := s.present(); errors.Is(err, store.ErrUnsupported) {
		return nil, nil, store.Because(store.ErrUnsupported, "this Windows has no location %s", l.name)
	}
	return s, []string{"named as a place of Windows"}, nil
}

func itemNames() string {
	var out []string
	for _, i := range items {
		out = append(out, i.name)
	}
	return strings.Join(out, ", ")
}

// OpenLocation returns the store of a location by name, for tests and others
// who know that it is there.
func OpenLocation(h *host.Host, api API, name string) *Store {
	return open(h, api, locationNamed(name), nil)
}

func open(h *host.Host, api API, l *location, only *item) *Store {
	s := &Store{api: api, host: h, at: l, only: only, Wait: 30 * time.Second, editing: &sync.Mutex{}}
	s.info = store.Info{
		ID: store.ID(Backend + ":" + l.name), Backend: Backend, Title: l.title, Scope: l.scope, Location: l.name,
		Default: l.name == "LocalMachine" && only == nil,
		Express: express(only),
		Readers: []string{"Windows and what asks it: Edge, Chrome, .NET, PowerShell, curl, Go", "Firefox, for roots that people or policies have added"},
	}
	if l.drive {
		s.info.Location = `Cert:\` + l.name
	}
	if l.user {
		s.info.Owner = h.User.Name
	}
	if only != nil {
		s.info.ID += store.ID("/" + only.name)
		s.info.Title += ", " + only.name
		s.info.Location = l.certPath(only)
	}
	s.info.Access.Write = s.obstacle()
	return s
}

// express tells what an item can hold, or all of them together.
func express(only *item) store.Express {
	e := store.Express{
		Purposes:  store.NamedPurposes(),
		Decisions: []store.Decision{store.Unspecified, store.Trusted, store.Distrusted},
		Labels:    true,
	}
	if only == nil || only.name == itemRoot {
		return e
	}
	e.Decisions = []store.Decision{only.decision}
	e.Purposes = []store.Purpose{store.PurposeAny}
	if only.purpose != "" {
		e.Purposes[0] = only.purpose
	}
	return e
}

// obstacle returns what keeps this process from changing the store. Whether it
// has the rights is asked of the registry: what Windows says about elevation
// does not decide it.
func (s *Store) obstacle() *store.Obstacle {
	if s.at.managed != "" {
		return &store.Obstacle{Kind: store.Managed, Text: s.at.managed, Hint: s.at.hint}
	}
	if s.only != nil && s.only.vendor != "" {
		return &store.Obstacle{Kind: store.Managed, Text: s.only.vendor + " decides what is in it, and brings it back",
			Hint: "distrust it in this machine's own store: --store windows:LocalMachine"}
	}
	if err := s.api.RegistryWritable(s.at.user, s.at.key); errors.Is(err, store.ErrPermission) {
		return &store.Obstacle{Kind: store.NeedsElevation, Text: s.at.name + " can only be changed by an administrator",
			Hint: "run it in a terminal that was opened as administrator, or with --elevate"}
	}
	return nil
}

// Info implements [store.Store].
func (s *Store) Info() store.Info { return s.info }

// items are those that the store is about.
func (s *Store) items() []*item {
	if s.only != nil {
		return []*item{s.only}
	}
	return listed()
}

// Entries implements [store.Store].
func (s *Store) Entries(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		denied := map[store.Fingerprint]string{}
		for _, l := range locations {
			list, err := s.read(ctx, l, itemNamed(itemDisallowed))
			if err != nil {
				if l == s.at || ctx.Err() != nil {
					yield(store.Entry{}, s.failed("read", err))
					return
				}
				continue // it is told by the store of that location
			}
			for _, h := range list {
				if h.record != nil {
					denied[h.cert.SHA256] = l.path(itemNamed(itemDisallowed))
				}
			}
		}
		programme := s.programme()
		for _, i := range s.items() {
			list, err := s.read(ctx, s.at, i)
			if err != nil {
				if !yield(store.Entry{Source: store.Source{Kind: i.name, Path: s.at.path(i)}}, s.failed("read", err)) || ctx.Err() != nil {
					return
				}
				continue
			}
			for _, h := range list {
				e, err := s.entry(i, h, denied, programme)
				if err != nil {
					err = s.failed("read", err)
				}
				if !yield(e, err) {
					return
				}
			}
		}
	}
}

// held is what an item holds: a record, or what cannot be read as one.
type held struct {
	*record
	name string // the thumbprint that it goes by
	err  error
}

func (s *Store) entry(i *item, h held, denied map[store.Fingerprint]string, programme *trustList) (store.Entry, error) {
	e := store.Entry{Source: store.Source{Kind: i.name, Path: s.at.path(i), Item: h.name}}
	if h.record == nil {
		return e, h.err
	}
	e = describe(s.at, i, h.record, e.Source)
	if where := denied[h.cert.SHA256]; where != "" && i.name != itemDisallowed {
		e.Trust = store.TrustFor(store.Distrusted, store.PurposeAny)
		e.Native["distrustedBy"] = where
	}
	if i.name == itemAuthRoot && programme != nil {
		e.Native["inRootProgramme"] = fmt.Sprint(programme.holds(h.cert))
	}
	return e, nil
}

// describe makes an entry of a record in an item.
func describe(l *location, i *item, r *record, from store.Source) store.Entry {
	e := store.Entry{Cert: r.cert, Label: r.label(), Source: from, Origin: l.origin(i, r), Native: r.native()}
	switch i.decision {
	case store.Unspecified:
	case store.Trusted:
		e.Trust = r.asAnchor()
		if r.get(propArchived) != nil {
			e.Trust = nil // chains do not end in what is archived
		}
	default:
		e.Trust = store.TrustFor(i.decision, i.purpose)
	}
	return e
}

// mark is the description that what this program adds goes by.
const mark = "added by certtrust"

func (l *location) origin(i *item, r *record) store.Origin {
	switch {
	case i.vendor != "":
		return store.Origin{By: store.ByVendor, Detail: i.vendor + ", seen so far"}
	case l.managed != "":
		return store.Origin{By: l.by, Detail: l.title}
	case builtin[r.cert.SHA256.String()] != "":
		return store.Origin{By: store.ByVendor, Detail: "comes with Windows"}
	case utf16Text(r.get(propDescription)) == mark:
		return store.Origin{By: store.ByCerttrust}
	}
	return store.Origin{By: l.by}
}

// failed gives err its place, unless it has one.
func (s *Store) failed(op string, err error) error {
	var placed *store.Error
	if errors.As(err, &placed) && placed.Store != "" {
		return err
	}
	hint := store.Hint(err)
	var code Errno
	if hint == "" && errors.As(err, &code) {
		hint = code.hint()
		if code == errDenied {
			hint = s.denied()
		}
	}
	return &store.Error{Op: op, Store: s.info.ID, Err: err, Hint: hint}
}

// denied tells what to do where Windows denies access.
func (s *Store) denied() string {
	if !s.at.user {
		return "run it in a terminal that was opened as administrator, or with --elevate"
	}
	const noUserRoots = 1 // CERT_PROT_ROOT_DISABLE_CURRENT_USER_FLAG
	if flags, err := s.api.RegistryValue(policyKey+`\Root\ProtectedRoots`, "Flags"); err == nil && len(flags) > 0 && flags[0]&noUserRoots != 0 {
		return "a policy (ProtectedRoots) does not allow users roots of their own: " + consentHint
	}
	return consentHint
}

// read returns what an item of a location holds, nothing if it does not exist.
// It is opened so that nothing is made by it.
func (s *Store) read(ctx context.Context, l *location, i *item) ([]held, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h, err := s.api.OpenStore(false, l.flag|openReadOnly|openExisting|openEnumArchived, i.name)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrUnsupported) && l != s.at {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer s.api.CloseStore(h)
	var out []held
	for c := Context(0); ; {
		if c, err = s.api.NextCertificate(h, c); err != nil {
			return nil, err
		}
		if c == 0 {
			break
		}
		blob, err := s.api.Serialize(c)
		one := held{err: err}
		if err == nil {
			one.record, one.err = parseBlob(blob)
		}
		if one.record != nil {
			one.name = one.thumbprint()
		} else {
			one.name = fmt.Sprintf("number %d", len(out)+1)
		}
		out = append(out, one)
	}
	// Windows has no order of its own, and systems differ.
	slices.SortStableFunc(out, func(a, b held) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

// present opens an item that every location has, to see if there is one.
func (s *Store) present() error {
	h, err := s.api.OpenStore(false, s.at.flag|openReadOnly|openExisting, itemRoot)
	if err != nil {
		return err
	}
	return s.api.CloseStore(h)
}
