package keychain

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/certtrust/certtrust/store"
)

// state is a store as it was read.
type state struct {
	keychains []string
	held      []*held // in the order of the keychains
	settings  *settings
	apple     *settings // Apple's own
	other     *settings // of the other domain; nil if it was not asked
	lost      []lost

	bySHA1 map[string]*held
	byCert map[store.Fingerprint]*held
}

// held is a certificate, and where it is.
type held struct {
	cert   *store.Cert
	sha1   string
	self   func() bool // it is signed by its own key
	places []string    // the keychains that hold it, the same one twice if it is there twice
	apple  bool        // Apple put it there
	lent   bool        // it is in none of the store's keychains: only settings are about it
}

func newHeld(c *store.Cert) *held {
	return &held{cert: c, sha1: sha1Of(c.Raw), self: sync.OnceValue(c.SelfSigned)}
}

// in reports whether the certificate is in a keychain.
func (h *held) in(keychain string) bool { return slices.Contains(h.places, keychain) }

// lost is an item that could not be read.
type lost struct {
	source store.Source
	err    error
}

func (st *state) add(item found, keychain string, lent bool) {
	source := store.Source{Kind: "keychain", Path: keychain, Item: item.sha1}
	if item.err != nil || len(item.der) == 0 {
		if item.err == nil {
			item.err = store.Because(store.ErrCorrupt, "an item without a certificate")
		}
		if !lent {
			st.lost = append(st.lost, lost{source, item.err})
		}
		return
	}
	cert := store.NewCert(item.der)
	h := st.byCert[cert.SHA256]
	if h == nil {
		h = newHeld(cert)
		h.lent = lent
		if twin := st.bySHA1[h.sha1]; twin != nil {
			// Trust settings could not tell them apart.
			st.lost = append(st.lost, lost{source, store.Because(store.ErrCorrupt, "another certificate has the same SHA-1 (%s)", twin.cert.SHA256.Short())})
			return
		}
		st.held = append(st.held, h)
		st.byCert[cert.SHA256], st.bySHA1[h.sha1] = h, h
	}
	if h.lent && !lent {
		h.lent = false
	}
	h.places = append(h.places, keychain)
	h.apple = h.apple || keychain == rootsPath
}

// read reads the store. A part that cannot be read is lost; an error is about
// the whole.
func (s *Store) read(ctx context.Context) (*state, error) {
	st := &state{bySHA1: map[string]*held{}, byCert: map[store.Fingerprint]*held{}, settings: noSettings(), apple: noSettings()}
	keychains, err := s.keychains(ctx)
	if err != nil {
		return nil, err
	}
	st.keychains = keychains
	for i, keychain := range keychains {
		items, err := s.certificates(ctx, keychain)
		if err != nil {
			if i == 0 || ctx.Err() != nil {
				return nil, err
			}
			st.lost = append(st.lost, lost{store.Source{Kind: "keychain", Path: keychain}, err})
			continue
		}
		for _, item := range items {
			st.add(item, keychain, false)
		}
	}
	if s.roots {
		if err := s.readApple(st); err != nil {
			return nil, err
		}
	}
	d := s.domain
	if s.main == rootsPath {
		d = adminDomain // what the administrator says of Apple's roots is what holds
	}
	if d != nil {
		if st.settings, err = s.export(ctx, d); err != nil {
			return nil, err
		}
	}
	if s.domain == userDomain {
		if st.other, err = s.export(ctx, adminDomain); err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			st.other = nil // only a remark depends on it
		}
	}
	if s.domain != nil {
		return st, s.borrow(ctx, st)
	}
	return st, nil
}

// readApple reads the trust settings of Apple's roots.
func (s *Store) readApple(st *state) error {
	data, err := s.host.ReadFile(rootsTrust, maxSettings)
	if err != nil {
		return nil // a root without settings is trusted for everything
	}
	st.apple, err = parseSettings(data)
	if err != nil {
		return &store.Error{Path: rootsTrust, Err: err}
	}
	return nil
}

// borrow looks in the machine's keychains for the certificates that settings
// are about and that are in none of the store's own.
func (s *Store) borrow(ctx context.Context, st *state) error {
	keys := map[string]bool{}
	for key := range st.settings.records {
		keys[key] = true
	}
	delete(keys, defaultRoot)
	return s.borrowKeys(ctx, st, keys)
}

// borrowWanted does so for what is wanted: what is there for all is not copied.
func (s *Store) borrowWanted(ctx context.Context, st *state, want []store.Change) error {
	keys := map[string]bool{}
	for _, c := range want {
		if s.domain != nil && c.DER != nil && c.Trust != nil && st.byCert[c.Fingerprint] == nil {
			keys[sha1Of(c.DER)] = true
		}
	}
	return s.borrowKeys(ctx, st, keys)
}

func (s *Store) borrowKeys(ctx context.Context, st *state, keys map[string]bool) error {
	for key := range keys {
		if st.bySHA1[key] != nil {
			delete(keys, key)
		}
	}
	for _, keychain := range []string{systemPath, rootsPath} {
		if s.main == keychain || s.roots && keychain == rootsPath || len(keys) == 0 || !exists(s.host, keychain) {
			continue
		}
		items, err := s.certificates(ctx, keychain)
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			continue
		}
		for _, item := range items {
			if key := sha1Of(item.der); item.err == nil && keys[key] {
				st.add(item, keychain, true)
				delete(keys, key)
			}
		}
	}
	return nil
}

// base is how a certificate is taken without the domain's settings.
func (st *state) base(h *held) store.Trust {
	if h == nil || !h.apple {
		return store.Trust{}
	}
	if r := st.apple.records[h.sha1]; r != nil {
		return r.trust(h, store.Trust{})
	}
	return store.TrustFor(store.Trusted, store.PurposeAny)
}

// trust is how a certificate is taken.
func (st *state) trust(h *held) store.Trust {
	r := st.settings.records[h.sha1]
	if r == nil || r.raw == nil {
		return st.base(h)
	}
	return r.trust(h, st.base(h))
}

// digest is that of the state.
func (st *state) digest() string {
	var lines []string
	for _, h := range st.held {
		lines = append(lines, fmt.Sprintf("%s %q", h.cert.SHA256, h.places))
	}
	for _, l := range st.lost {
		lines = append(lines, fmt.Sprintf("lost %v", l.source))
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n") + "\n" + st.settings.text()))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// source is where an entry is.
func (h *held) source() store.Source {
	kind := "keychain"
	if h.lent {
		kind = "settings"
	}
	return store.Source{Kind: kind, Path: h.places[0], Item: h.sha1}
}

func (s *Store) entries(st *state, yield func(store.Entry, error) bool) {
	problems := map[store.Fingerprint][]store.Problem{}
	for _, f := range s.findings(st) {
		if f.problem.Fingerprint != nil {
			problems[*f.problem.Fingerprint] = append(problems[*f.problem.Fingerprint], f.problem)
		}
	}
	for _, h := range st.held {
		e := store.Entry{Cert: h.cert, Label: h.cert.Label(), Trust: st.trust(h), Source: h.source(), Problems: problems[h.cert.SHA256], Native: map[string]string{}}
		e.Origin.By = store.ByUnknown
		if h.apple {
			e.Origin = store.Origin{By: store.ByVendor, Detail: "Apple"}
		}
		if s.domain == userDomain && s.info.Access.Write != nil && s.info.Access.Write.Kind == store.Managed {
			e.Trust = st.base(h) // the settings are switched off
		}
		e.Native["keychains"] = store.Printable(strings.Join(h.places, ", "))
		if r := st.settings.records[h.sha1]; r != nil {
			e.Native["settings"] = r.describe()
		}
		if !yield(e, nil) {
			return
		}
	}
	for _, l := range st.lost {
		if !yield(store.Entry{Source: l.source}, &store.Error{Op: "read", Store: s.info.ID, Path: l.source.Path, Err: l.err}) {
			return
		}
	}
	if s.domain == nil {
		return
	}
	for _, r := range st.orphans() {
		e := store.Entry{Label: "(trust settings without their certificate)", Trust: r.claims(),
			Source: store.Source{Kind: "settings", Path: s.info.Location, Item: r.key}, Native: map[string]string{"settings": r.describe()}, Match: &store.Match{}}
		e.Origin.By = store.ByUnknown
		e.Match.Issuer, _ = r.raw[keyIssuer].([]byte)
		e.Match.Serial, _ = r.raw[keySerial].([]byte)
		e.Problems = []store.Problem{orphan(r).problem}
		if r.bad != "" {
			err := store.Because(store.ErrCorrupt, "the trust settings for the certificate with the SHA-1 %s cannot be understood: %s", store.Printable(r.key), r.bad)
			if !yield(store.Entry{Source: e.Source}, &store.Error{Op: "read", Store: s.info.ID, Err: err, Hint: "certtrust repair"}) {
				return
			}
			continue
		}
		if !yield(e, nil) {
			return
		}
	}
}

// claims is what a record says of a certificate that is not at hand: that it is
// trusted, if it is for any sort of certificate.
func (r *record) claims() store.Trust {
	if t := trustOf(r.entries, len(r.entries) == 0, true, nil); len(t) > 0 {
		return t
	}
	return trustOf(r.entries, false, false, nil)
}

// orphans are the records of certificates that are in no keychain that is
// known, sorted.
func (st *state) orphans() []*record {
	var out []*record
	for _, key := range slices.Sorted(maps.Keys(st.settings.records)) {
		if key != defaultRoot && st.bySHA1[key] == nil {
			out = append(out, st.settings.records[key])
		}
	}
	return out
}

// same reports whether two states are the same but for the certificates in
// except.
func (st *state) same(other *state, except map[store.Fingerprint]bool) error {
	describe := func(st *state) map[string]string {
		out := map[string]string{}
		for _, h := range st.held {
			if !except[h.cert.SHA256] && !h.lent {
				out[h.cert.SHA256.Short()] = fmt.Sprintf("%q", h.places)
			}
		}
		return out
	}
	a, b := describe(st), describe(other)
	for _, key := range slices.Sorted(maps.Keys(a)) {
		if a[key] != b[key] {
			return store.Because(store.ErrFailed, "the certificate %s is no longer where it was", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(b)) {
		if _, had := a[key]; !had {
			return store.Because(store.ErrFailed, "the certificate %s has come from somewhere else", key)
		}
	}
	return nil
}

// sameSettings reports what differs between settings, but for the records of
// some certificates.
func sameSettings(a, b *settings, except map[string]bool) error {
	keys := slices.Sorted(maps.Keys(a.records))
	for key := range b.records {
		if a.records[key] == nil {
			keys = append(keys, key)
		}
	}
	for _, key := range keys {
		x, y := a.records[key], b.records[key]
		if except[key] || x != nil && y != nil && sameRecord(x.raw, y.raw) {
			continue
		}
		return store.Because(store.ErrFailed, "the trust settings of the certificate with the SHA-1 %s are others than before", store.Printable(key))
	}
	return nil
}

// partial says that something could not be taken back.
func partial(err, back error) error {
	return store.Because(store.ErrPartial, "%w; and what was begun could not be taken back: %w", err, back)
}
