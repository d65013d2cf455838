package anchors

import (
	"context"
	"iter"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// maxFile is the largest file that is read: more than a hundred times the
// bundles that systems have.
const maxFile = 64 << 20

// Store is the anchor store of a system that has Debian's update tool: a list of
// the vendor's certificates, a directory of the administrator's, a bundle and a
// directory of links.
type Store struct{ base }

func newBase(h *host.Host, f family, hasTool bool) base {
	s := base{host: h, family: f, cache: newCache(), Wait: 30 * time.Second, seen: new(atomic.Pointer[[]host.Process])}
	s.info = store.Info{
		ID:       SystemID,
		Backend:  SystemID.Backend(),
		Title:    f.title,
		Scope:    store.ScopeSystem,
		Root:     h.Root,
		Location: f.bundle,
		Default:  true,
		Express: store.Express{
			Purposes:  []store.Purpose{store.PurposeAny},
			Decisions: []store.Decision{store.Trusted, store.Distrusted},
		},
		Readers: f.readers,
	}
	if h.Live {
		s.info.Root = ""
	}
	s.info.Access.Write = s.writeObstacle(hasTool)
	return s
}

func newStore(h *host.Host, f family, hasTool bool) *Store {
	s := &Store{newBase(h, f, hasTool)}
	s.updaters = s.liveUpdaters
	return s
}

func (s *base) writeObstacle(hasTool bool) *store.Obstacle {
	f := s.family
	if f.declared != nil {
		return &store.Obstacle{Kind: store.Managed, Text: f.declared.text, Hint: f.declared.hint}
	}
	if s.host.Live && !hasTool {
		return &store.Obstacle{Kind: store.ToolMissing,
			Text: f.tool + " is not installed",
			Hint: "install it: " + f.install}
	}
	if s.host.Live && s.host.EUID != 0 {
		return &store.Obstacle{Kind: store.NeedsElevation,
			Text: "the system's store belongs to root",
			Hint: "run it with sudo"}
	}
	for _, dir := range []string{f.adminDir, f.hashDir, path.Dir(f.location())} {
		if dir == "" || s.host.Writable(dir) {
			continue
		}
		if !s.host.Live && s.host.EUID != 0 {
			return &store.Obstacle{Kind: store.NeedsElevation, Text: dir + " in " + s.host.Root + " belongs to somebody else", Hint: "run it with sudo"}
		}
		return &store.Obstacle{Kind: store.ReadOnly, Text: dir + " cannot be written, not even by root",
			Hint: "look whether its file system is mounted read-only: findmnt -T " + dir}
	}
	return nil
}

// Family returns the name of the family of systems that the store's machine is
// of, such as "debian".
func (s *base) Family() string { return s.family.name }

// Info returns what was found when the store was opened.
func (s *base) Info() store.Info { return s.info }

// Entries yields the vendor's certificates in the order of their list, then
// the administrator's by path, then what is in the bundle and nowhere else,
// then what lies beside it.
func (s *Store) Entries(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		st, err := s.read(ctx)
		if err != nil {
			yield(store.Entry{}, s.fail("read", "", err))
			return
		}
		s.entries(st, s.newOrigins(ctx).of, yield)
	}
}

// fail puts an error into the module's form. The path is told once, where the
// error of the host has it too.
func (s *base) fail(op, path string, err error) error {
	e := &store.Error{Op: op, Store: s.info.ID, Path: path, Err: err}
	if inner, ok := err.(*store.Error); ok && inner.Path == path {
		e.Err, e.Hint = inner.Err, inner.Hint
	}
	return e
}

var linkNames = sync.OnceValue(func() *strings.Replacer { return strings.NewReplacer(" ", "_", ",", "_", "(", "=", ")", "=") })

// linkName returns the name that the tool gives an anchor's link in the hash
// directory: blanks, parentheses and commas are replaced.
func linkName(anchor, suffix string) string {
	base := strings.TrimSuffix(path.Base(anchor), suffix)
	return linkNames().Replace(base) + ".pem"
}
