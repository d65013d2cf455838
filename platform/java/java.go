// Package java reads and writes the keystores in which Java has its anchors:
// the cacerts of every JDK and JRE, in each of the forms that they have (JKS,
// JCEKS, PKCS#12 with and without a password). Neither keytool nor Java is
// needed. places.go tells where Java is installed.
//
// A change takes single entries out of a keystore and puts others in; the bytes
// of all the rest stay as they are.
package java

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"iter"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// Backend is what the IDs of these stores begin with.
const Backend = "java"

// options tell what a keystore belongs to.
type options struct {
	title       string
	scope       store.Scope
	owner       string
	isDefault   bool
	derivedFrom store.ID
	readers     []string
	// own: it is the keystore that a Java takes unasked, and without a
	// password.
	own bool
	// write is what is known to keep it from being written.
	write *store.Obstacle
}

// Store is a keystore: a [store.Editor] and [store.Repairer].
type Store struct {
	host *host.Host
	path string // without links
	o    options
	info store.Info

	mu   sync.Mutex
	last *state
}

var (
	_ store.Editor   = (*Store)(nil)
	_ store.Repairer = (*Store)(nil)
)

func open(h *host.Host, resolved string, o options) *Store {
	s := &Store{host: h, path: resolved, o: o}
	s.info = store.Info{
		ID: store.ID(Backend + ":" + store.Printable(resolved)), Backend: Backend, Title: o.title, Scope: o.scope, Owner: o.owner,
		Location: resolved, Default: o.isDefault, DerivedFrom: o.derivedFrom, Readers: o.readers,
		Express: store.Express{Purposes: []store.Purpose{store.PurposeAny}, Decisions: []store.Decision{store.Trusted}},
	}
	if !h.Live {
		s.info.Root = h.Root
	}
	s.info.Access.Read, s.info.Access.Write = s.obstacles()
	return s
}

// Open opens the keystore in any place: a file, or the directory of a JDK or
// JRE, of which it is the keystore in force. It is the same as if it had been
// found, but no other is opened.
func Open(h *host.Host, at string) (store.Store, []string, error) {
	info, err := h.Stat(at)
	if err != nil {
		return nil, nil, err
	}
	named := []string{"it was named"}
	if info.IsDir() {
		home, ok := findHome(h, at)
		if !ok {
			return nil, nil, &store.Error{Path: at, Err: store.Because(store.ErrInput, "it is not the directory of a Java"), Hint: "name the keystore, or the directory that bin/java is in"}
		}
		files := home.keystores(h)
		if len(files) == 0 {
			return nil, nil, &store.Error{Path: at, Err: store.Because(store.ErrNotFound, "this Java has no keystore of anchors")}
		}
		at = files[0]
		named = append(named, "it is what "+home.String()+" uses")
	}
	resolved, err := h.Resolve(at)
	if err != nil {
		return nil, nil, err
	}
	// Whose it is makes a difference: what a Java takes unasked is not encrypted.
	found, reasons := find(context.Background(), h)
	for _, f := range found {
		if f.path == resolved {
			return open(h, resolved, f.o), append(reasons, named...), nil
		}
	}
	o := options{title: "Keystore", scope: store.ScopeUser, owner: h.User.Name, own: isOwn(resolved)}
	if uid, known := h.Owner(resolved); known && uid == 0 && !inHome(h, resolved) {
		o.scope, o.owner = store.ScopeSystem, ""
	}
	var why string
	if o.derivedFrom, o.write, why = derived(h, resolved); why != "" {
		named = append(named, why)
	}
	return open(h, resolved, o), named, nil
}

// isOwn reports whether a keystore is one that a Java takes unasked, by where
// it lies.
func isOwn(file string) bool {
	return path.Base(path.Dir(file)) == "security" && strings.HasSuffix(path.Base(file), "cacerts") || path.Base(path.Dir(file)) == "java" && path.Base(file) == "cacerts"
}

// Info returns what was found when the store was opened.
func (s *Store) Info() store.Info { return s.info }

// errText is why a text is no keystore.
var errText = store.Because(store.ErrCorrupt, "it is a text with certificates (PEM), and no keystore")

func (s *Store) hintText() string { return "it is named as " + store.ShellWord("file:"+s.path) }

const hintDamaged = "restore it from the package or archive that it came with"

// obstacles looks at what is in the way.
func (s *Store) obstacles() (read, write *store.Obstacle) {
	if uid, foreign := s.host.Foreign(s.path); foreign {
		name := s.host.UserName(uid)
		if name == "" {
			name = "the user ID " + strconv.Itoa(uid)
		}
		o := &store.Obstacle{Kind: store.NeedsElevation, Text: "it belongs to another user (" + name + "), as whom root does not act by itself", Hint: "name the user: --for-user " + name}
		return o, o
	}
	st, err := s.read()
	var damaged *store.Obstacle
	switch {
	case errors.Is(err, fs.ErrPermission):
		damaged = &store.Obstacle{Kind: store.NeedsElevation, Text: "this user cannot read it"}
	case errors.Is(err, store.ErrUnsupported):
		damaged = &store.Obstacle{Kind: store.ReadOnly, Text: plain(err).Error()}
	case err != nil:
		damaged = &store.Obstacle{Kind: store.Damaged, Text: plain(err).Error(), Hint: hintDamaged}
		if errors.Is(err, errText) {
			damaged.Hint = s.hintText()
		}
	case st.edit.Encrypted && errors.Is(st.edit.Locked, store.ErrSecret) && !s.mayAsk():
		damaged = s.needsSecret(true)
	}
	switch {
	case damaged != nil:
		return damaged, damaged
	case s.o.write != nil:
		return nil, s.o.write
	case !s.host.Live:
		return nil, &store.Obstacle{Kind: store.ReadOnly, Text: "an offline root is only read"}
	case st.edit.Locked != nil && !errors.Is(st.edit.Locked, store.ErrSecret):
		return nil, &store.Obstacle{Kind: store.ReadOnly, Text: st.edit.Locked.Error(), Hint: "keytool -importkeystore writes it anew"}
	case s.o.own && st.edit.Encrypted:
		return nil, &store.Obstacle{Kind: store.ReadOnly,
			Text: "its certificates are encrypted, and Java has no password for its own keystore: with this one it trusts nothing",
			Hint: "keytool -importkeystore with -J-Dkeystore.pkcs12.certProtectionAlgorithm=NONE -J-Dkeystore.pkcs12.macAlgorithm=NONE writes it without a password"}
	case !s.host.Writable(path.Dir(s.path)):
		if s.o.scope == store.ScopeSystem && s.host.EUID != 0 {
			return nil, &store.Obstacle{Kind: store.NeedsElevation, Text: "this user cannot write to " + path.Dir(s.path), Hint: "run it with sudo"}
		}
		return nil, &store.Obstacle{Kind: store.ReadOnly, Text: "this user cannot write to " + path.Dir(s.path), Hint: "look at its permissions, and whether it is mounted to be read only"}
	case errors.Is(st.edit.Locked, store.ErrSecret) && !s.mayAsk():
		return nil, s.needsSecret(false)
	}
	return nil, nil
}

// needsSecret is the obstacle of an unknown password; where the certificates are
// encrypted, it is one to reading them.
func (s *Store) needsSecret(encrypted bool) *store.Obstacle {
	text := "it has a password of its own, without which it cannot be changed"
	if encrypted {
		text = "it is encrypted with a password of its own, without which it cannot be read"
	}
	if _, given := s.given(); given {
		text = "the password that was given does not fit the digest at its end"
	}
	return &store.Obstacle{Kind: store.NeedsSecret, Text: text, Hint: "--store-password-file " + store.ShellWord(string(s.info.ID)+"=FILE")}
}

func (s *Store) given() (host.Secret, bool) {
	if s.host.Secrets == nil {
		return host.Secret{}, false
	}
	return s.host.Secrets.Given(string(s.info.ID))
}

func (s *Store) mayAsk() bool {
	_, given := s.given()
	return !given && s.host.Secrets != nil && s.host.Secrets.CanAsk()
}

// plain takes off what an error says of its place.
func plain(err error) error {
	if e, ok := err.(*store.Error); ok {
		return e.Err
	}
	return err
}

// state is what is in the keystore.
type state struct {
	data []byte
	edit *certfile.Edit
}

func (st *state) digest() string { return "sha256:" + store.FingerprintOf(st.data).String() }

// read reads the keystore, and opens it if it is not what it was the last time.
func (s *Store) read() (*state, error) {
	data, err := s.host.ReadFile(s.path, certfile.MaxSize)
	if err != nil {
		return nil, err
	}
	return s.decode(data)
}

func (s *Store) decode(data []byte) (*state, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	secret, given := s.given()
	if s.last != nil && string(s.last.data) == string(data) && !(given && errors.Is(s.last.edit.Locked, store.ErrSecret)) {
		return s.last, nil
	}
	if s.last != nil && s.last.edit.Locked == nil {
		if edit, err := s.last.edit.Again(data); err == nil && edit.Locked == nil {
			s.last = &state{data, edit}
			return s.last, nil
		}
	}
	passwords := certfile.JavaPasswords()
	if given {
		passwords = append([][]byte{secret.Bytes()}, passwords...)
	}
	if p := debianPassword(s.host); p != nil {
		passwords = append(passwords, p)
	}
	edit, err := certfile.EditKeystore(data, passwords)
	switch {
	case err != nil && bytes.Contains(data, []byte("-----BEGIN CERTIFICATE-----")):
		return nil, errText
	case err != nil:
		return nil, err
	}
	s.last = &state{data, edit}
	return s.last, nil
}

// known returns what was read the last time, nil if it could not be.
func (s *Store) known() *state {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// debianPassword returns the password that an administrator of Debian has set
// for the generated keystore.
func debianPassword(h *host.Host) []byte {
	conf, err := h.ReadFile("/etc/default/cacerts", 1<<16)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(conf)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "storepass="); ok {
			return []byte(strings.Trim(value, `"'`))
		}
	}
	return nil
}

// readable reads the keystore, unless it is known that it cannot be.
func (s *Store) readable(ctx context.Context) (*state, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r := s.info.Access.Read; r != nil && r.Kind != store.Damaged {
		return nil, r.Err("read", s.info.ID)
	}
	st, err := s.read()
	if err == nil && st.edit.Encrypted && errors.Is(st.edit.Locked, store.ErrSecret) {
		err = s.needsSecret(true).Err("read", s.info.ID)
	}
	return st, err
}

// fail puts an error into the module's form.
func (s *Store) fail(op string, err error) error {
	if _, told := err.(*store.Error); !told {
		e := &store.Error{Err: err}
		switch {
		case errors.Is(err, store.ErrSecret):
			e.Hint = "--store-password-file " + store.ShellWord(string(s.info.ID)+"=FILE")
		case errors.Is(err, errText):
			e.Hint = s.hintText()
		case errors.Is(err, store.ErrCorrupt):
			e.Hint = hintDamaged
		}
		err = e
	}
	return store.At(op, s.info.ID, s.path, err)
}

// Entries yields the entries in the order of the file. Keys are nobody's
// anchors, and are not among them.
func (s *Store) Entries(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		st, err := s.readable(ctx)
		if err != nil {
			yield(store.Entry{}, s.fail("read", err))
			return
		}
		vendor := s.vendor(st)
		for i, e := range st.edit.Entries {
			if e.Key {
				continue
			}
			out := store.Entry{Label: e.Alias, Source: store.Source{Kind: "keystore", Path: s.path, Item: e.Alias}}
			if out.Source.Item == "" {
				out.Source.Item = strconv.Itoa(i + 1)
			}
			if e.DER != nil {
				out.Cert = store.NewCert(e.DER)
			}
			if out.Cert == nil || out.Cert.Version == 0 {
				out.Cert = nil
				if !yield(out, s.fail("read", store.Because(store.ErrCorrupt, "the entry \"%s\" is no X.509 certificate", store.Printable(e.Alias)))) {
					return
				}
				continue
			}
			if out.Label == "" {
				out.Label = out.Cert.Label()
			}
			out.Origin = vendor(e, out.Cert)
			if e.Trusted {
				out.Trust = trusted()
			} else {
				out.Problems = append(out.Problems, store.Problem{Code: "java-unmarked", Path: s.path, Fingerprint: &out.Cert.SHA256,
					Text: "Java does not see it: the mark of an anchor is missing"})
			}
			if !yield(out, nil) {
				return
			}
		}
	}
}

func trusted() store.Trust { return store.TrustFor(store.Trusted, store.PurposeAny) }

// vendor returns what tells who put an entry there. Builds of OpenJDK end the
// aliases of their own roots in "[jdk]"; others are known by the time at which
// all of them were put into a JKS keystore.
func (s *Store) vendor(st *state) func(certfile.KeystoreEntry, *store.Cert) store.Origin {
	const many = 20
	made := map[string]int{}
	for _, e := range st.edit.Entries {
		if t := e.Made(); t != "" {
			made[t]++
		}
	}
	return func(e certfile.KeystoreEntry, c *store.Cert) store.Origin {
		switch {
		case strings.HasPrefix(e.Alias, aliasPrefix):
			return store.Origin{By: store.ByCerttrust}
		case s.o.derivedFrom != "":
			return store.Origin{By: store.ByUnknown, Detail: "generated from " + string(s.o.derivedFrom)}
		case strings.HasSuffix(e.Alias, " [jdk]") || made[e.Made()] >= many:
			return store.Origin{By: store.ByVendor, Detail: s.o.title}
		}
		if by := otherTool(e.Alias, c); by != "" {
			return store.Origin{By: store.ByAdmin, Detail: by}
		}
		return store.Origin{By: store.ByUnknown}
	}
}

// otherTool returns the program that makes such an alias: the library of step
// and Caddy, as mkcert before it, makes one of a name and the serial number.
// Case does not count in a keystore.
func otherTool(alias string, c *store.Cert) string {
	if c.Serial == nil {
		return ""
	}
	name, is := strings.CutSuffix(alias, " "+c.Serial.String())
	switch {
	case !is:
	case strings.EqualFold(name, "mkcert development CA"):
		return "mkcert"
	case strings.EqualFold(name, c.Label()), strings.EqualFold(name, "Truststore Development CA"):
		return "step, Caddy or another user of smallstep/truststore"
	}
	return ""
}
