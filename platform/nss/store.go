// Package nss reads and writes the certificate databases of NSS, which
// Firefox, Thunderbird, the Chromium family on Linux and others use: cert9.db,
// which holds certificates and what they are trusted for, and key4.db, which
// holds what proves that nobody else has changed that.
//
// There are two kinds of trust objects. NSS before 3.114 knows only the older
// one; newer versions write the newer one and believe it first. What is written
// here is what every version that could use a database takes for the same.
package nss

import (
	"bytes"
	"context"
	"crypto/sha256"
	"iter"
	"path"
	"slices"
	"sync"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/sqlite"
	"github.com/certtrust/certtrust/store"
)

// Backend is what the IDs of these stores begin with.
const Backend = "nss"

// Options tell what a database belongs to.
type Options struct {
	ID          store.ID
	Title       string
	Scope       store.Scope
	Owner       string
	Default     bool
	DerivedFrom store.ID
	Readers     []string
	// Profile: it belongs to one program of the Firefox family alone, which
	// takes a server's own certificate only as an anchor, and whose NSS is the
	// only one that counts. Otherwise programs with any version may share it.
	Profile bool
	// Program is what has to be started again after trust was taken away.
	Program string
	// Packed is how the program is packed ("snap", "flatpak") if it has a file
	// system of its own for that.
	Packed string
	// Running reports whether a program uses the database; nil = unknown.
	Running func() bool
	// Origin tells who put a certificate there, if that is known; nil = never.
	Origin func(store.Fingerprint) (store.Origin, bool)
	// Write is what is known to keep it from being written.
	Write *store.Obstacle
}

// Store is a database: a [store.Editor] and [store.Repairer].
type Store struct {
	host        *host.Host
	dir         string
	certs, keys string // the paths of its files
	o           Options
	info        store.Info

	mu       sync.Mutex
	unlocked map[[sha256.Size]byte]unlocking // what came of passwords

	parsed certCache
}

var (
	_ store.Editor   = (*Store)(nil)
	_ store.Repairer = (*Store)(nil)
)

// Open opens the database in a directory, which need not exist yet.
func Open(h *host.Host, dir string, o Options) *Store {
	s := &Store{host: h, dir: dir, certs: path.Join(dir, "cert9.db"), keys: path.Join(dir, "key4.db"), o: o}
	s.info = store.Info{
		ID: o.ID, Backend: Backend, Title: o.Title, Scope: o.Scope, Owner: o.Owner, Location: dir,
		Default: o.Default, DerivedFrom: o.DerivedFrom, Readers: o.Readers,
		Express: store.Express{
			Purposes:  slices.Clone(fields),
			Decisions: []store.Decision{store.Trusted, store.Peer, store.Distrusted, store.Unspecified},
			Labels:    true,
		},
	}
	if !h.Live {
		s.info.Root = h.Root
	}
	s.info.Access.Read, s.info.Access.Write = s.obstacles()
	return s
}

func (s *Store) path(name string) string { return path.Join(s.dir, name) }

// Dir returns the directory that it lies in.
func (s *Store) Dir() string { return s.dir }

// Info returns what was found when the store was opened.
func (s *Store) Info() store.Info { return s.info }

// obstacles looks at what is in the way, opening as little as it can.
func (s *Store) obstacles() (read, write *store.Obstacle) {
	if uid, foreign := s.host.Foreign(s.dir); foreign {
		o := &store.Obstacle{Kind: store.NeedsElevation,
			Text: "it belongs to another user (" + s.ownerName(uid) + "), as whom root does not act by itself",
			Hint: "name the user: --for-user " + s.ownerName(uid)}
		return o, o
	}
	exists := sqlite.Exists(s.host, s.certs)
	switch {
	case !exists && sqlite.Exists(s.host, s.path("cert8.db")):
		o := &store.Obstacle{Kind: store.ReadOnly,
			Text: "there is only a database of the old form (cert8.db), and a new one beside it would hide what it holds",
			Hint: "start the program that it belongs to once, which converts it"}
		return o, o
	case s.o.Write != nil:
		return nil, s.o.Write
	case s.fips():
		return nil, &store.Obstacle{Kind: store.ReadOnly, Text: fipsText, Hint: fipsHint}
	case !s.host.Live:
		return nil, &store.Obstacle{Kind: store.ReadOnly, Text: "an offline root is only read"}
	case !s.host.Writable(s.dir):
		kind, hint := store.NeedsElevation, "run it with sudo"
		if s.o.Scope == store.ScopeUser || s.host.EUID == 0 {
			kind, hint = store.ReadOnly, "look at the permissions of "+s.dir
		}
		return nil, &store.Obstacle{Kind: kind, Text: "this user cannot write to " + s.dir, Hint: hint}
	}
	if _, given := s.givenPassword(); exists && !given && !s.mayAsk() && s.needsPassword() {
		return nil, &store.Obstacle{Kind: store.NeedsSecret, Text: "it has a primary password, without which trust in it cannot be changed",
			Hint: s.passwordHint() + "; certificates can be removed without it"}
	}
	return nil, nil
}

func (s *Store) ownerName(uid int) string {
	if name := s.host.UserName(uid); name != "" {
		return name
	}
	return "the user ID " + itoa(uid)
}

// glance is how many iterations are not too many to look whether there is a
// password.
const glance = 1_000_000

// What keeps a database in FIPS mode from being written: its own module would
// want a login for what others do without, and what is written past it cannot
// be tried.
const (
	fipsText = "it is in FIPS mode, in which only its own programs may write to it"
	fipsHint = "modutil -fips false, if that mode is not meant to be"
)

// fips reports whether pkcs11.txt puts the database into FIPS mode.
func (s *Store) fips() bool {
	text, err := s.host.ReadFile(s.path("pkcs11.txt"), maxModules)
	if err != nil {
		return false // it is told when it is read
	}
	return fipsMode(text)
}

// needsPassword reports whether there is a primary password.
func (s *Store) needsPassword() bool {
	if !sqlite.Exists(s.host, s.keys) {
		return false
	}
	ctx := context.Background()
	db, err := sqlite.Glance(ctx, s.host, s.keys)
	if err != nil {
		return false // it is told when it is read
	}
	defer db.Close()
	var needs bool
	db.Query(ctx, "SELECT item1, item2 FROM metaData WHERE id = 'password'", nil, func(scan func(...any) error) error {
		var salt, check []byte
		if scan(&salt, &check) != nil || len(check) == 0 {
			return nil
		}
		entry := passwordEntry{bytes.Clone(salt), bytes.Clone(check)}
		if entry.iterations() > glance { // the empty password has one
			needs = true
			return nil
		}
		keys, err := s.unlock(entry, host.Secret{})
		needs = err == nil && keys == nil
		return nil
	})
	return needs
}

// givenPassword returns the password, if it is at hand without asking.
func (s *Store) givenPassword() (host.Secret, bool) {
	if s.host.Secrets == nil {
		return host.Secret{}, false
	}
	return s.host.Secrets.Given(string(s.o.ID))
}

// passwordHint tells how the password is given.
func (s *Store) passwordHint() string {
	return "--store-password-file " + store.ShellWord(string(s.o.ID)+"=FILE")
}

func (s *Store) mayAsk() bool { return s.host.Secrets != nil && s.host.Secrets.CanAsk() }

// Entries yields the certificates in the order of their objects, then trust
// without a certificate.
func (s *Store) Entries(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		st, err := s.readable(ctx)
		if err != nil {
			yield(store.Entry{}, s.fail("read", err))
			return
		}
		s.entries(st, yield)
	}
}

// readable reads the database, unless it is known that it cannot be.
func (s *Store) readable(ctx context.Context) (*state, error) {
	if err := s.info.Access.Read.Err("read", s.info.ID); err != nil {
		return nil, err
	}
	return s.read(ctx)
}

// plannable reads the database, unless it is known that nothing in it may be
// changed.
func (s *Store) plannable(ctx context.Context) (*state, error) {
	st, err := s.readable(ctx)
	if err == nil && st.fips {
		err = &store.Error{Err: store.Because(store.ErrReadOnly, fipsText), Hint: fipsHint}
	}
	return st, err
}

// fail puts an error into the module's form. The path is told once.
func (s *Store) fail(op string, err error) error { return store.At(op, s.info.ID, s.certs, err) }

// Problems yields what is wrong with the database.
func (s *Store) Problems(ctx context.Context) iter.Seq2[store.Problem, error] {
	return func(yield func(store.Problem, error) bool) {
		st, err := s.readable(ctx)
		if err != nil {
			yield(store.Problem{}, s.fail("read", err))
			return
		}
		for _, f := range s.findings(st) {
			if !yield(f.problem, nil) {
				return
			}
		}
	}
}

// files are what a change writes.
func (s *Store) files(st *state) []string {
	files := []string{s.certs, s.keys}
	if !st.exists {
		return append(files, s.path("pkcs11.txt"))
	}
	return slices.Clip(files)
}
