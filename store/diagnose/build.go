package diagnose

import (
	"bytes"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"github.com/certtrust/certtrust/store"
)

// The limits of the search for paths. A server may send what it likes: what a
// diagnosis costs must not depend on it.
const (
	maxSent    = 100  // certificates of the server that are looked at
	maxDepth   = 16   // certificates of a path
	maxPaths   = 24   // paths that are judged for a store
	maxSteps   = 2000 // edges that are looked at in one search
	maxChecked = 300  // signatures that are checked in a diagnosis
)

// edge is what is known of the link between a certificate and one that may
// have issued it.
type edge struct {
	signature signatureState
	// ids tells how the key identifiers compare: 1 the same, -1 different, 0
	// one of them is missing.
	ids int
}

// follow tells whether a path may go over the edge.
func (d edge) follow() bool { return d.signature != badSignature }

// link returns the edge between two certificates whose names match.
func (e *engine) link(child, parent *node) edge {
	key := [2]store.Fingerprint{child.SHA256, parent.SHA256}
	if known, ok := e.edges[key]; ok {
		return known
	}
	var d edge
	if len(child.authority) > 0 && len(parent.keyID) > 0 {
		d.ids = -1
		if bytes.Equal(child.authority, parent.keyID) {
			d.ids = 1
		}
	}
	switch {
	case e.checked >= maxChecked:
		e.exhausted = true
		return d // not kept: it was not looked at
	case parent.key == nil:
		d.signature = unknownSignature
	default:
		e.checked++
		d.signature = checkSignature(parent.key, child.algorithm, child.parameters, child.signed, child.signature)
	}
	if d.signature == unknownSignature && d.ids < 0 {
		d.signature = badSignature // nothing speaks for it
	}
	e.edges[key] = d
	return d
}

// selfSigned tells whether a certificate has signed itself, which names alone
// do not prove.
func (e *engine) selfSigned(n *node) bool {
	return n.SelfIssued() && e.link(n, n).follow()
}

// item is a certificate in a store, with what the store says of it.
type item struct {
	cert  *store.Cert
	rule  store.Rule // for servers
	trust store.Trust
	label string
	root  bool // it is of a root programme that the store's readers bring along
}

// trusted tells whether paths may end in it.
func (i *item) trusted() bool {
	return i.rule.Decision == store.Trusted || i.rule.Decision == store.Peer
}

// shelf is a store made ready for being judged against.
type shelf struct {
	view      View
	lang      Lang
	id        store.ID
	items     map[store.Fingerprint]*item
	subjects  map[string][]*item // in the store's order
	refusals  []store.Match      // distrust of what is described
	trusted   int
	forOthers int // trusted, but for something other than servers
}

func (e *engine) newShelf(v View) *shelf {
	s := &shelf{view: v, lang: e.lang, id: v.Info.ID, items: map[store.Fingerprint]*item{}, subjects: map[string][]*item{}}
	for i := range v.Entries {
		entry := &v.Entries[i]
		if entry.Cert == nil {
			if entry.Match != nil && entry.Trust.For(store.PurposeServerAuth) == store.Distrusted {
				s.refusals = append(s.refusals, *entry.Match)
			}
			continue
		}
		s.add(&item{cert: entry.Cert, rule: entry.Trust.Rule(store.PurposeServerAuth), trust: entry.Trust, label: entry.Label})
	}
	if v.Programme {
		for _, r := range e.programme.All {
			s.add(&item{
				cert: r.Cert, root: true,
				rule:  store.Rule{Purpose: store.PurposeServerAuth, Decision: store.Trusted, DistrustAfter: r.DistrustAfter},
				trust: store.TrustFor(store.Trusted, store.PurposeServerAuth),
			})
		}
	}
	return s
}

// shown returns what the store is called in a sentence.
func (s *shelf) shown() string {
	id, title := store.Printable(string(s.id)), s.view.Info.Title
	if s.lang == Japanese {
		title = titleJA(s.view.Info)
	}
	if title = store.Printable(shorten(title)); title == "" {
		return id
	}
	return title + " (" + id + ")"
}

// titlesJA are the titles of stores that are English words, and not the name of
// something.
var titlesJA = map[store.ID]string{
	"nss:chromium":         "Chromium 系ブラウザーのデータベース",
	"keychain:roots":       "Apple のルート証明書",
	"keychain:system":      "macOS のシステムキーチェーン",
	"keychain:login":       "ユーザーのキーチェーン",
	"windows:LocalMachine": "Windows(このマシン)",
	"windows:CurrentUser":  "Windows(現在のユーザー)",
}

// titleJA returns what a store is called in a Japanese sentence. Those of browsers
// are called as the browsers are.
func titleJA(i store.Info) string {
	if title := titlesJA[i.ID]; title != "" {
		return title
	}
	switch b := i.ID.Backend(); {
	case b == "nss" && strings.HasPrefix(string(i.ID), "nss:/"):
		return "NSS データベース"
	case b == "nss" || b == "chromium" || b == "policy":
		return strings.Join(i.Readers, "、")
	}
	return i.Title
}

func (s *shelf) add(i *item) {
	if old := s.items[i.cert.SHA256]; old != nil {
		// Twice in one store: what refuses counts, then what trusts.
		if old.root || i.root || old.rule.Decision == store.Distrusted || old.trusted() && i.rule.Decision != store.Distrusted {
			return
		}
		if !old.trusted() && i.trusted() {
			s.trusted++
		}
		*old = *i
		return
	}
	s.items[i.cert.SHA256] = i
	s.subjects[string(i.cert.Subject.Raw)] = append(s.subjects[string(i.cert.Subject.Raw)], i)
	switch {
	case i.trusted():
		s.trusted++
	case i.trust.Has(store.Trusted):
		s.forOthers++
	}
}

// refuses tells whether the store distrusts the certificate for servers.
func (s *shelf) refuses(n *node) bool {
	if i := s.items[n.SHA256]; i != nil && i.rule.Decision == store.Distrusted {
		return true
	}
	return slices.ContainsFunc(s.refusals, func(m store.Match) bool {
		if m.Issuer == nil && m.Subject == nil && m.SPKI == nil {
			return false // it would describe all
		}
		return (m.Issuer == nil || bytes.Equal(m.Issuer, n.Issuer.Raw)) &&
			(m.Subject == nil || bytes.Equal(m.Subject, n.Subject.Raw)) &&
			(m.SPKI == nil || bytes.Equal(m.SPKI, n.SPKI)) &&
			(m.Serial == nil || n.Serial != nil && sameSerial(m.Serial, n))
	})
}

// sameSerial compares a serial number as stores keep it, as the content of an
// INTEGER or as a whole one.
func sameSerial(raw []byte, n *node) bool {
	content := n.Serial.Bytes()
	trim := func(b []byte) []byte { return bytes.TrimLeft(b, "\x00") }
	if bytes.Equal(trim(raw), content) {
		return true
	}
	return len(raw) > 2 && raw[0] == 0x02 && int(raw[1]) == len(raw)-2 && bytes.Equal(trim(raw[2:]), content)
}

// path is a way from the leaf up.
type path struct {
	certs  []*node
	anchor *item // what it ends in; nil: it ends nowhere
}

func (p path) top() *node { return p.certs[len(p.certs)-1] }

// pool is where a search finds issuers, in the order in which they are tried.
type pool struct {
	shelf   *shelf
	certs   []*node            // what was sent, fetched, …
	anchors func(i *item) bool // which items end a path; nil: those that the store trusts
}

func (p pool) ends(n *node) *item {
	if p.shelf == nil {
		return nil
	}
	i := p.shelf.items[n.SHA256]
	if i == nil {
		return nil
	}
	if p.anchors != nil && p.anchors(i) || p.anchors == nil && i.trusted() && (i.rule.Decision != store.Peer || n.position == 0) {
		return i
	}
	return nil
}

// issuers returns the certificates that may have issued n, by name: anchors
// first, then those with the right key identifier.
func (e *engine) issuers(p pool, n *node) []*node {
	var out []*node
	add := func(c *node) {
		if !slices.ContainsFunc(out, func(o *node) bool { return o.SHA256 == c.SHA256 }) {
			out = append(out, c)
		}
	}
	var rest []*node
	if p.shelf != nil {
		for _, i := range p.shelf.subjects[string(n.Issuer.Raw)] {
			c := e.node(i.cert, "store")
			if p.ends(c) != nil {
				add(c)
			} else if i.rule.Decision != store.Distrusted {
				rest = append(rest, c)
			}
		}
	}
	anchors := len(out)
	for _, c := range p.certs {
		if bytes.Equal(c.Subject.Raw, n.Issuer.Raw) {
			add(c)
		}
	}
	for _, c := range rest {
		add(c)
	}
	rank := func(c *node) int { // what is likelier to be right is tried first
		switch {
		case len(n.authority) == 0 || len(c.keyID) == 0:
			return 1
		case bytes.Equal(n.authority, c.keyID):
			return 0
		}
		return 2
	}
	slices.SortStableFunc(out[:anchors], func(a, b *node) int { return rank(a) - rank(b) })
	slices.SortStableFunc(out[anchors:], func(a, b *node) int { return rank(a) - rank(b) })
	return out
}

// search finds paths from a leaf: those that end in an anchor, and apart from
// them those that end nowhere (or in a self-signed certificate that is none).
func (e *engine) search(p pool, leaf *node) (anchored, loose []path) {
	steps := 0
	var walk func(chain []*node)
	walk = func(chain []*node) {
		last := chain[len(chain)-1]
		if end := p.ends(last); end != nil {
			anchored = append(anchored, path{slices.Clone(chain), end})
			return
		}
		deeper := false
		if len(chain) < maxDepth && !(last.SelfIssued() && e.selfSigned(last)) {
			for _, c := range e.issuers(p, last) {
				if steps >= maxSteps || len(anchored) >= maxPaths || e.ctx.Err() != nil {
					e.exhausted = true
					break
				}
				steps++
				if slices.ContainsFunc(chain, func(o *node) bool {
					return o.SHA256 == c.SHA256 || o.spki == c.spki && bytes.Equal(o.Subject.Raw, c.Subject.Raw)
				}) || !e.link(last, c).follow() {
					continue
				}
				deeper = true
				walk(append(slices.Clip(chain), c))
			}
		}
		if !deeper && len(loose) < maxPaths {
			loose = append(loose, path{certs: slices.Clone(chain)})
		}
	}
	walk([]*node{leaf})
	// The longest first: it tells most.
	slices.SortStableFunc(loose, func(a, b path) int { return len(b.certs) - len(a.certs) })
	return anchored, loose
}

// firstMatch builds the path as OpenSSL does: an issuer out of the store
// before one that was sent, the first that fits by name and key identifier and
// is valid now, and no way back. partial: any certificate of the store ends
// the path, not only a self-signed one. Signatures are not looked at before
// the path stands.
func (e *engine) firstMatch(s *shelf, sent []*node, leaf *node, partial bool, now time.Time) path {
	chain := []*node{leaf}
	for len(chain) < maxDepth {
		last := chain[len(chain)-1]
		if i := s.items[last.SHA256]; i != nil && i.trusted() && (partial || last.SelfIssued()) {
			return path{chain, i}
		}
		if last.SelfIssued() {
			return path{certs: chain}
		}
		fits := func(c *node) bool {
			return bytes.Equal(c.Subject.Raw, last.Issuer.Raw) &&
				(len(last.authority) == 0 || len(c.keyID) == 0 || bytes.Equal(last.authority, c.keyID)) &&
				!slices.ContainsFunc(chain, func(o *node) bool { return o.SHA256 == c.SHA256 })
		}
		var stored []*node
		for _, i := range s.subjects[string(last.Issuer.Raw)] {
			if i.trusted() {
				stored = append(stored, e.node(i.cert, "store"))
			}
		}
		next := pick(stored, func(c *node) bool { return fits(c) && signs(c) }, now)
		if next == nil {
			next = pick(sent, func(c *node) bool { return fits(c) && signs(c) }, now)
		}
		if next == nil { // one that must not is better than none
			next = pick(sent, fits, now)
		}
		if next == nil {
			return path{certs: chain}
		}
		chain = append(chain, next)
	}
	return path{certs: chain}
}

// pick returns the first that fits and is valid, or else the one that fits and
// was valid last.
func pick(from []*node, fits func(*node) bool, now time.Time) (best *node) {
	for _, c := range from {
		if !fits(c) {
			continue
		}
		if !now.Before(c.NotBefore) && !now.After(c.NotAfter) {
			return c
		}
		if best == nil || c.NotAfter.After(best.NotAfter) {
			best = c
		}
	}
	return best
}

// signs tells whether the key usage lets the certificate issue others.
func signs(n *node) bool {
	usage, present := n.KeyUsage()
	return !present || usage&x509.KeyUsageCertSign != 0
}
