// Package keychain is the backend for macOS: the certificates in keychains,
// and the trust settings that say which of them are trusted for what.
//
// There are three domains of trust settings: Apple's own, which nobody
// changes, the administrator's, and each user's. All is asked of and done by
// /usr/bin/security, whose answers are read and whose exit codes prove
// nothing. A change puts certificates into a keychain, which asks nobody, and
// then replaces the settings of the domain in one step, which macOS asks a
// person for: one plan is one dialog, however many certificates it is about.
// What was put into the keychain is taken out again if the person says no.
//
// Of a disk that is mounted (an offline root) the files are read by this
// package itself.
package keychain

import (
	"context"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// Backend is what the IDs of these stores begin with.
const Backend = "keychain"

// The stores of a Mac. Others are named by the path of a keychain file.
const (
	RootsID  store.ID = "keychain:roots"
	SystemID store.ID = "keychain:system"
	LoginID  store.ID = "keychain:login"
)

// Where macOS keeps things.
const (
	tool         = "/usr/bin/security"
	rootsPath    = "/System/Library/Keychains/SystemRootCertificates.keychain"
	rootsTrust   = "/System/Library/Keychains/SystemTrustSettings.plist"
	systemPath   = "/Library/Keychains/System.keychain"
	loginName    = "Library/Keychains/login.keychain-db"
	oldLoginName = "Library/Keychains/login.keychain"
	versionPath  = "/System/Library/CoreServices/SystemVersion.plist"
	prefsPath    = "/Library/Preferences/com.apple.security.plist"
	tempDir      = "/private/tmp" // sticky: what is in it stays who made it
)

// domain is one of the two that can be changed.
type domain struct {
	name  string
	flag  []string // of the security tool
	right string   // that a change takes, in the authorization database
	whose string
}

var (
	adminDomain = &domain{"admin", []string{"-d"}, "com.apple.trust-settings.admin", "the administrator's"}
	userDomain  = &domain{"user", nil, "com.apple.trust-settings.user", "the user's"}
)

// Store is the certificates of a Mac as a domain has them: a [store.Editor],
// [store.Repairer] and [store.Verifier].
type Store struct {
	host    *host.Host
	version version
	domain  *domain // whose trust settings count; nil = only Apple's
	main    string  // the keychain that is changed
	roots   bool    // Apple's roots are among the certificates
	search  bool    // and what is in the other keychains of the user's search list
	plain   bool    // a keychain file by itself: certificates are put in and taken out, and nothing else
	user    string  // the user whose settings an offline root's are
	info    store.Info

	readLimit, askLimit time.Duration // of a run of the tool, and of one that waits for a person
}

// Apple is what the vendor put there: a store that is only read.
type Apple struct{ *reader }

// reader is what all stores can do.
type reader struct{ s *Store }

var (
	_ store.Editor   = (*Store)(nil)
	_ store.Repairer = (*Store)(nil)
	_ store.Verifier = (*Store)(nil)
	_ store.Store    = Apple{}
)

// The limits of a run of the tool. A dialog waits for a password to be typed.
const (
	readLimit = time.Minute
	askLimit  = 5 * time.Minute
)

func newStore(h *host.Host, v version, info store.Info) *Store {
	info.Backend = Backend
	info.Express = store.Express{
		Purposes:  append([]store.Purpose{store.PurposeAny}, namedPurposes()...),
		Decisions: []store.Decision{store.Trusted, store.Distrusted, store.Unspecified},
	}
	if !h.Live {
		info.Root = h.Root
	}
	return &Store{host: h, version: v, info: info, readLimit: readLimit, askLimit: askLimit}
}

// Info returns what was found when the store was opened.
func (s *Store) Info() store.Info { return s.info }

// Info returns what was found when the store was opened.
func (r *reader) Info() store.Info { return r.s.info }

// Entries yields the certificates, then trust settings without a certificate.
func (r *reader) Entries(ctx context.Context) iter.Seq2[store.Entry, error] { return r.s.Entries(ctx) }

// DetectSystem returns the machine's stores: what Apple put there, and what
// the administrator made of it. It changes nothing and runs no program, unless
// it looks as if nobody could answer a dialog: then the authorization database
// is asked whether there would be one.
func DetectSystem(ctx context.Context, h *host.Host) ([]store.Store, []string) {
	v, reasons, ok := system(h)
	if !ok {
		return nil, reasons
	}
	var out []store.Store
	if exists(h, rootsPath) {
		apple := newStore(h, v, store.Info{ID: RootsID, Title: "Apple's root certificates", Scope: store.ScopeSystem, Location: rootsPath, Readers: readers})
		apple.main, apple.roots = rootsPath, true
		apple.info.Access.Read = apple.unreadable()
		apple.info.Access.Write = &store.Obstacle{Kind: store.ReadOnly, Text: "macOS itself protects it",
			Hint: "a root of Apple's is distrusted in " + string(SystemID)}
		out = append(out, Apple{&reader{apple}})
		reasons = append(reasons, rootsPath+" is there")
	} else {
		reasons = append(reasons, "no "+rootsPath)
	}
	if exists(h, systemPath) {
		s := newStore(h, v, store.Info{ID: SystemID, Title: "macOS, as the administrator has set it", Scope: store.ScopeSystem, Location: systemPath, Default: true, Readers: readers})
		s.main, s.domain, s.roots = systemPath, adminDomain, true
		reasons = append(reasons, s.inspect(ctx)...)
		out = append(out, s)
	} else {
		reasons = append(reasons, "no "+systemPath)
	}
	return out, append(reasons, homebrewReasons(h)...)
}

// readers are the programs that heed the keychain.
var readers = []string{"Safari", "Chrome", "Edge", "curl of macOS", "Go", "Swift", "Mail"}

// DetectUser returns the user's store or, of an offline root, those of all its
// users. It changes nothing; see DetectSystem about programs.
func DetectUser(ctx context.Context, h *host.Host) ([]store.Store, []string) {
	v, reasons, ok := system(h)
	if !ok {
		return nil, reasons
	}
	if !h.Live {
		return offlineUsers(h, v)
	}
	login := loginKeychain(h, h.User.Home)
	if login == "" {
		return nil, append(reasons, "the user has no login keychain")
	}
	s := newStore(h, v, store.Info{ID: LoginID, Title: "the user's keychain", Scope: store.ScopeUser, Owner: h.User.Name, Location: login, Readers: readers})
	s.main, s.domain, s.search = login, userDomain, true
	if h.EUID == 0 && h.User.UID > 0 {
		// Root would be shown its own settings, and change them.
		o := &store.Obstacle{Kind: store.NeedsElevation, Text: "it belongs to the user " + h.User.Name + ", as whom root does not act by itself",
			Hint: "name the user: --for-user " + h.User.Name}
		s.info.Access.Read, s.info.Access.Write = o, o
		return []store.Store{s}, append(reasons, login+" is there, and belongs to the user behind "+via(h))
	}
	reasons = append(reasons, s.inspect(ctx)...)
	return []store.Store{s}, append(reasons, homebrewReasons(h)...)
}

func via(h *host.Host) string {
	if h.User.Via != "" {
		return h.User.Via
	}
	return "root"
}

// OpenFile opens any keychain file: through the security tool on a Mac, and by
// itself elsewhere and of an offline root.
func OpenFile(h *host.Host, file string) (store.Store, []string, error) {
	if h.Live && h.OS == "darwin" {
		v, reasons, _ := system(h)
		if strings.HasPrefix(file, "-") {
			return nil, nil, store.Because(store.ErrInput, "not an absolute path")
		}
		if _, err := h.Stat(file); err != nil {
			return nil, nil, err
		}
		s := newStore(h, v, fileInfo(h, file))
		s.main, s.plain = file, true
		s.info.Access.Read = s.unreadable()
		s.info.Access.Write = s.info.Access.Read
		s.info.Express.Decisions = []store.Decision{store.Unspecified}
		if s.info.Access.Write == nil && !h.Writable(path.Dir(file)) {
			s.info.Access.Write = &store.Obstacle{Kind: store.NeedsElevation, Text: "this user cannot write to " + file, Hint: "run it with sudo"}
		}
		return s, append(reasons, "it is named by its path"), nil
	}
	if _, err := h.ReadFile(file, maxKeychain); err != nil {
		return nil, nil, err
	}
	s := newStore(h, version{}, fileInfo(h, file))
	s.main = file
	s.info.Access.Write = &store.Obstacle{Kind: store.ReadOnly, Text: "keychain files are only changed on a Mac, by macOS itself"}
	return Apple{&reader{s}}, []string{"a keychain file, named by its path"}, nil
}

func fileInfo(h *host.Host, file string) store.Info {
	scope := store.ScopeUser
	if !strings.HasPrefix(file, h.User.Home+"/") || h.User.Home == "" {
		scope = store.ScopeSystem
	}
	owner := ""
	if scope == store.ScopeUser {
		owner = h.User.Name
	}
	return store.Info{ID: store.ID(Backend + ":" + file), Title: "keychain file " + path.Base(file), Scope: scope, Owner: owner, Location: file}
}

// system reports whether the host is a Mac, and which macOS it runs.
func system(h *host.Host) (version, []string, bool) {
	if h.OS != "darwin" {
		return version{}, []string{"not macOS, so there are no keychains"}, false
	}
	v, text := readVersion(h)
	return v, []string{text}, true
}

func exists(h *host.Host, p string) bool {
	info, err := h.Stat(p)
	return err == nil && info.Mode().IsRegular()
}

// loginKeychain returns the path of a user's login keychain, "" if there is
// none.
func loginKeychain(h *host.Host, home string) string {
	if home == "" {
		return ""
	}
	for _, name := range []string{loginName, oldLoginName} {
		if p := path.Join(home, name); exists(h, p) {
			return p
		}
	}
	return ""
}

// unreadable is what keeps it from being read.
func (s *Store) unreadable() *store.Obstacle {
	if s.host.Live && !exists(s.host, tool) {
		return &store.Obstacle{Kind: store.ToolMissing, Text: tool + " is not there", Hint: "it is a part of macOS"}
	}
	return nil
}

// inspect finds out what is in the way of reading and changing, and says from
// what that follows.
func (s *Store) inspect(ctx context.Context) []string {
	reasons := []string{s.main + " is there"}
	s.info.Access.Read = s.unreadable()
	switch {
	case !s.host.Live:
		s.info.Access.Write = &store.Obstacle{Kind: store.ReadOnly, Text: "an offline root is only read"}
		return reasons
	case s.info.Access.Read != nil:
		s.info.Access.Write = s.info.Access.Read
		return append(reasons, s.info.Access.Read.Text)
	case s.domain == userDomain && userTrustDisabled(s.host):
		s.info.Access.Write = &store.Obstacle{Kind: store.Managed, Text: "the administrator has switched users' own trust settings off",
			Hint: "security user-trust-settings-enable shows it; an administrator can switch them on with -e"}
		return append(reasons, prefsPath+" switches users' trust settings off")
	}
	a := authorizationFor(s.domain, s.version)
	s.info.Asks = a.text
	if a.dialog {
		if why := nobody(s.host); why != "" {
			reasons = append(reasons, why)
			if s.opened(ctx) {
				reasons = append(reasons, "the right "+s.domain.right+" is open to everybody, so nobody is asked")
				s.info.Asks = ""
			} else {
				s.info.Access.Write = &store.Obstacle{Kind: store.NeedsConsent,
					Text: "macOS asks a person at the screen, and nobody can answer: " + why, Hint: a.hint}
				return reasons
			}
		}
	}
	if s.domain == adminDomain && s.host.EUID != 0 {
		s.info.Access.Write = &store.Obstacle{Kind: store.NeedsElevation, Text: "only root can write to " + s.main, Hint: "run it with sudo"}
	}
	return reasons
}

// Entries yields the certificates in the order of the keychains, then trust
// settings without a certificate.
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

func (s *Store) readable(ctx context.Context) (*state, error) {
	if err := s.info.Access.Read.Err("read", s.info.ID); err != nil {
		return nil, err
	}
	return s.read(ctx)
}

// fail puts an error into the module's form.
func (s *Store) fail(op string, err error) error { return store.At(op, s.info.ID, "", err) }

// keychains are the files that the certificates are in, that of the store's own
// first.
func (s *Store) keychains(ctx context.Context) ([]string, error) {
	list := []string{s.main}
	if s.search && s.host.Live {
		out, err := s.security(ctx, "list-keychains", "-d", "user")
		if err != nil {
			return nil, err
		}
		for _, p := range parsePaths(out.Stdout) {
			if p != systemPath && p != rootsPath && !slices.Contains(list, p) && p+"-db" != s.main && exists(s.host, p) {
				list = append(list, p)
			}
		}
	}
	if s.roots && s.main != rootsPath {
		list = append(list, rootsPath)
	}
	return list, nil
}
