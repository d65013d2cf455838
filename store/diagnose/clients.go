package diagnose

import (
	"cmp"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// builder is how a client looks for a path.
type builder int

const (
	goesBack     builder = iota // tries all paths
	takesFirst                  // OpenSSL: the first that fits, down to a self-signed root
	takesPartial                // the same, and any trusted certificate ends the path
)

// client is what one kind of program does: a row of the table.
type client struct {
	// Stores call it by its ID or one of its titles in Info.Readers.
	id, title string
	// builtin: it brings public roots along, and reads only stores of its own.
	builtin bool
	// system: on these systems it reads the system's store in spite of that.
	system []string
	builds builder
	aia    bool // it fetches missing intermediates
	cn     bool // it takes the common name where there are no alternative names
	// ignores and minds are where it differs from what is an error in general:
	// a code, a group ("revocation."), with @leaf, @ca or @anchor for a place
	// and #detail for a variant.
	ignores, minds []string
	// order is what it reports first, where that is not the catalogue's order.
	order []string
	words func(e *engine, f finding, p path) string
}

// clients is the table of the programs whose answer is predicted. Each row was
// held against the program itself, of the version that is named.
var clients = []client{
	{ // Chromium 156
		id: "chromium", title: "Chromium, Chrome, Edge", builtin: true, system: []string{"windows", "darwin"}, aia: true,
		ignores: []string{"revocation.revoked#crl", "revocation.revoked#ocsp", "cert.malformed#negative-serial", "cert.weak_key", "trust.leaf_as_anchor"},
		minds:   []string{"policy.ct_required", "time.validity_too_long#public", "cert.key_usage#no-signature", "trust.distrust_after", "chain.extra_certs#size"},
		words:   wordsOf("chromium"),
	},
	{ // Firefox 153 ESR
		id: "firefox", title: "Firefox", builtin: true, system: []string{"windows", "darwin"},
		ignores: []string{"revocation.revoked#crl", "cert.malformed#negative-serial", "cert.weak_key@ca", "cert.weak_key@anchor"},
		minds:   []string{"cert.ca_as_leaf", "trust.leaf_as_anchor", "revocation.staple_invalid", "revocation.must_staple_missing", "policy.ct_required", "trust.distrust_after"},
		words:   wordsOf("firefox"),
	},
	{ // curl 7.88 with OpenSSL 3.0
		id: "curl", title: "curl", builds: takesPartial, cn: true,
		ignores: []string{"revocation.", "cert.malformed#negative-serial", "cert.malformed#curve", "cert.not_a_ca#no-bc-usage", "trust.known_bad_root", "cert.malformed#verifier"},
		minds:   []string{"cert.weak_key", "cert.key_id_mismatch", "chain.extra_certs#size"},
		order:   opensslOrder, words: opensslSays("curl"),
	},
	{ // OpenSSL 3.0 and 3.6, s_client -verify_return_error
		id: "openssl", title: "OpenSSL", builds: takesFirst, cn: true,
		ignores: []string{"revocation.", "cert.malformed#negative-serial", "cert.malformed#curve", "cert.not_a_ca#no-bc-usage", "trust.known_bad_root", "cert.malformed#verifier"},
		minds:   []string{"cert.weak_key", "cert.key_id_mismatch", "chain.extra_certs#size"},
		order:   nameBeforeTime, words: opensslSays("openssl"),
	},
	{ // Python 3.11
		id: "python", title: "Python", builds: takesFirst, cn: true,
		ignores: []string{"revocation.", "cert.malformed#negative-serial", "cert.malformed#curve", "cert.not_a_ca#no-bc-usage", "trust.known_bad_root", "cert.malformed#verifier"},
		minds:   []string{"cert.weak_key", "cert.key_id_mismatch", "chain.extra_certs#size", "tls.no_shared_cipher#static-rsa"},
		order:   nameBeforeTime, words: opensslSays("python"),
	},
	{ // Node 20
		id: "node", title: "Node.js", builtin: true, builds: takesFirst, cn: true,
		ignores: []string{"revocation.", "cert.malformed#negative-serial", "cert.not_a_ca#no-bc-usage", "trust.known_bad_root", "cert.malformed#verifier"},
		minds:   []string{"cert.key_id_mismatch", "chain.extra_certs#size"},
		order:   opensslOrder, words: opensslSays("node"),
	},
	{ // GnuTLS 3.7
		id: "gnutls", title: "GnuTLS", builds: takesPartial, cn: true,
		ignores: []string{"revocation.revoked#crl", "revocation.revoked#ocsp", "cert.malformed#negative-serial", "cert.eku@anchor", "cert.not_a_ca#no-bc@anchor", "cert.not_a_ca#no-bc-usage@anchor", "trust.known_bad_root", "cert.malformed#verifier", "tls.protocol_version#old"},
		minds:   []string{"revocation.staple_invalid", "revocation.must_staple_missing", "chain.extra_certs#size"},
		words:   gnutlsSays(""),
	},
	{ // git 2.39 with GnuTLS, as Debian builds it
		id: "git", title: "git", builds: takesPartial, cn: true,
		ignores: []string{"revocation.revoked#crl", "revocation.revoked#ocsp", "cert.malformed#negative-serial", "cert.eku@anchor", "cert.not_a_ca#no-bc@anchor", "cert.not_a_ca#no-bc-usage@anchor", "trust.known_bad_root", "cert.malformed#verifier", "tls.protocol_version#old"},
		minds:   []string{"revocation.staple_invalid", "revocation.must_staple_missing", "chain.extra_certs#size"},
		words:   gnutlsSays("server certificate verification failed. CAfile: none CRLfile: none"),
	},
	{ // OpenJDK 17
		id: "java", title: "Java", cn: true,
		ignores: []string{"revocation.", "cert.malformed#negative-serial", "cert.weak_key", "time.root_expired@anchor", "cert.eku@ca", "cert.eku@anchor",
			"cert.name_constraints@anchor", "cert.weak_signature#sha1", "trust.known_bad_root", "cert.malformed#verifier"},
		minds: []string{"cert.key_usage#no-signature", "revocation.staple_invalid#form", "chain.extra_certs#size"},
		order: []string{"trust.", "chain.", "store.", "cert.", "time.", "name."}, words: wordsOf("java"),
	},
	{ // Go 1.26
		id: "go", title: "Go",
		ignores: []string{"revocation.", "cert.key_usage@leaf", "cert.weak_key", "trust.known_bad_root"},
		minds:   []string{"cert.malformed#negative-serial", "tls.no_shared_cipher#static-rsa"},
		order:   []string{"cert.malformed", "cert.critical_extension@leaf", "time.leaf_expired", "time.not_yet_valid@leaf", "name.cn_only", "name."}, words: wordsOf("go"),
	},
}

// opensslOrder is for those that look at the name only when the chain is done.
var opensslOrder = []string{"trust.", "chain.", "store.", "cert.name_constraints", "cert.", "time.", "name."}

// nameBeforeTime is for those that have OpenSSL look at the name.
var nameBeforeTime = []string{"trust.", "chain.", "store.", "cert.", "name.", "time."}

// ClientTitle returns what a client is called.
func ClientTitle(id string) string {
	for _, c := range clients {
		if c.id == id {
			return c.title
		}
	}
	return store.Printable(id)
}

// matches tells whether a mark of the table means a finding.
func matches(mark string, f finding) bool {
	mark, detail, hasDetail := strings.Cut(mark, "#")
	mark, where, hasPlace := strings.Cut(mark, "@")
	if hasDetail && f.detail != detail || hasPlace && where != placeNames[f.place] {
		return false
	}
	return mark == f.code || strings.HasSuffix(mark, ".") && strings.HasPrefix(f.code, mark)
}

var placeNames = map[place]string{atLeaf: "leaf", atCA: "ca", atAnchor: "anchor", nowhere: ""}

// refuses tells whether the client refuses because of a finding.
func (c *client) refuses(f finding) bool {
	is := func(mark string) bool { return matches(mark, f) }
	if slices.ContainsFunc(c.minds, is) {
		return true
	}
	return f.severity == Error && !slices.ContainsFunc(c.ignores, is)
}

// first returns what the client reports of several things.
func (c *client) first(list []finding) finding {
	return slices.MinFunc(list, func(a, b finding) int {
		place := func(f finding) int {
			if i := slices.IndexFunc(c.order, func(m string) bool { return matches(m, f) }); i >= 0 {
				return i
			}
			return len(c.order)
		}
		return cmp.Or(place(a)-place(b), rank(a)-rank(b))
	})
}

// judgeClients predicts what the clients do.
func (e *engine) judgeClients() []ClientView {
	var out []ClientView
	for i := range clients {
		out = append(out, e.predict(&clients[i]))
	}
	return out
}

func (e *engine) predict(c *client) ClientView {
	view := ClientView{ID: c.id}
	answer := func(accepts bool) { view.Accepts = &accepts }
	if f := e.in.Capture.Failure; e.leaf == nil || f != nil && !strings.HasPrefix(f.Code, "tls.client_cert") {
		// Another client may have a cipher that the probe has not; nothing
		// else that ended the connection is of the probe's making.
		if f != nil && f.Code != "tls.no_shared_cipher" && !strings.HasPrefix(f.Code, "tls.client_cert") {
			answer(false)
			view.Error = e.withNames(clientErrors(f.Code)[c.id])
		}
		if len(e.findings) > 0 {
			view.Why = e.cause(e.findings[0]).Summary
		}
		return view
	}
	s, off := e.shelfOf(c)
	view.Store = string(s.id)
	if off != nil {
		answer(true)
		view.Why = e.t(overrideEffects[Disables], c.title, store.Printable(shorten(off.Source)))
		return view
	}
	p, against := e.clientPath(c, s)
	for _, f := range e.findings { // what is not about a path
		switch {
		case strings.HasPrefix(f.code, "name."):
			if f.code == "name.default_certificate" || c.cn && e.onlyCN() {
				continue
			}
		case f.code == "policy.ct_required" || f.detail == "public":
			if p.anchor == nil || !e.public(p.top()) {
				continue
			}
		case f.code == "trust.leaf_as_anchor":
			if len(p.certs) != 1 || p.anchor == nil {
				continue
			}
		case strings.HasPrefix(f.code, "tls.") && f.detail != "":
		case f.detail == "size" || f.detail == "sent":
		case !strings.HasPrefix(f.code, "revocation.") && f.code != "trust.known_bad_root" && f.detail != "verifier":
			continue
		}
		if f.code == "trust.known_bad_root" && p.anchor == nil {
			continue
		}
		if c.refuses(f) {
			against = append(against, f)
		}
	}
	answer(len(against) == 0)
	if len(against) > 0 {
		f := c.first(against)
		view.Error = c.words(e, f, p)
		if view.Error != "" {
			e.reported[reportKey{f.code, c.id}] = view.Error
		}
		view.Why = e.cause(f).Summary
	} else if c.aia && e.mainOutcome().repaired != nil && slices.ContainsFunc(p.certs, func(n *node) bool { return n.source == "aia" }) {
		view.Why = e.t(whyFetches, c.title)
	}
	return view
}

var whyFetches = Text{"%s fetches the missing certificate itself", "%s は不足している証明書を自動的に取得します"}

func (e *engine) onlyCN() bool {
	_, isAddress := address(e.host)
	return !isAddress && len(e.leaf.dns) == 0 && len(e.leaf.ips) == 0 && matchDNS(e.leaf.common(), e.host)
}

func (e *engine) public(n *node) bool {
	_, ok := e.programme.ByFingerprint(n.SHA256)
	return ok
}

// shelfOf returns what the client reads, and what switches its verification
// off, if something does.
func (e *engine) shelfOf(c *client) (*shelf, *Override) {
	s := e.mainOutcome().shelf
	reads := func(v View) bool {
		if len(v.Info.Readers) == 0 {
			return true // whoever made it did not say for whom: for all
		}
		return slices.ContainsFunc(v.Info.Readers, func(r string) bool {
			return strings.EqualFold(r, c.id) || slices.ContainsFunc(strings.Split(c.title, ", "), func(name string) bool { return strings.EqualFold(r, name) })
		})
	}
	found := false
	// A store of its own counts before the one that everybody reads.
	own := false
	for _, o := range e.outcomes {
		if reads(o.shelf.view) && (!found || len(o.shelf.view.Info.Readers) < len(s.view.Info.Readers)) {
			s, found, own = o.shelf, true, len(o.shelf.view.Info.Readers) > 0
		}
	}
	switch {
	case !found && c.builtin && !slices.Contains(c.system, e.in.OS):
		s = e.newShelf(View{Info: store.Info{ID: store.ID("roots:" + c.id)}, Programme: true})
	case c.builtin && (own || !found) && !s.view.Programme:
		v := s.view
		v.Programme = true
		s = e.newShelf(v)
	}
	for i := range e.in.Overrides {
		o := &e.in.Overrides[i]
		if o.Client != c.id {
			continue
		}
		switch o.Effect {
		case Disables:
			return s, o
		case Replaces:
			if o.Err == nil {
				s = e.newShelf(overrideView(*o))
			}
		case Adds:
			v := overrideView(*o)
			v.Info.ID = s.id
			v.Entries = append(v.Entries, s.view.Entries...)
			v.Programme = s.view.Programme
			s = e.newShelf(v)
		}
	}
	return s, nil
}

// clientPath returns the path that the client would settle on, and what it
// has against it.
func (e *engine) clientPath(c *client, s *shelf) (best path, against []finding) {
	var paths []path
	if c.builds == goesBack {
		certs := e.sent
		if c.aia {
			certs = slices.Concat(e.sent, e.fetched)
		}
		anchored, loose := e.search(pool{shelf: s, certs: certs}, e.leaf)
		if paths = anchored; len(paths) == 0 {
			paths = loose[:min(len(loose), 1)]
		}
	} else {
		paths = []path{e.firstMatch(s, e.sent, e.leaf, c.builds == takesPartial, e.now)}
	}
	for i, p := range paths {
		var bad []finding
		for _, f := range e.judge(p, s, e.now) {
			if c.refuses(f) {
				bad = append(bad, f)
			}
		}
		switch {
		case p.anchor == nil:
			reasons := e.untrusted(&outcome{shelf: s})
			if len(reasons) == 0 {
				reasons = []finding{{code: "trust.unknown_issuer", severity: Error, args: []any{"", e.name(p.top())}, cert: p.top()}}
			}
			if c.builds != goesBack && e.endsElsewhere(s) {
				reasons = []finding{{code: "chain.cross_sign_dead_end", severity: Error, args: []any{e.name(p.top())}, cert: p.top()}}
			}
			bad = append(bad, c.first(reasons))
		case c.builds != goesBack && !e.signedThrough(p):
			bad = append(bad, finding{code: "trust.same_name_other_key", severity: Error, detail: "signature", cert: p.top(), args: []any{e.name(p.top()), s.shown()}})
		}
		if i == 0 || len(bad) < len(against) {
			best, against = p, bad
		}
		if len(against) == 0 {
			break
		}
	}
	return best, against
}

// endsElsewhere tells whether one that goes back would find a path.
func (e *engine) endsElsewhere(s *shelf) bool {
	anchored, _ := e.search(pool{shelf: s, certs: e.sent}, e.leaf)
	return len(anchored) > 0
}

func wordsOf(id string) func(*engine, finding, path) string {
	return func(e *engine, f finding, p path) string {
		text := clientErrors(f.code)[id]
		switch {
		case id == "firefox" && f.code == "time.not_yet_valid" && f.place != atLeaf:
			text = "MOZILLA_PKIX_ERROR_NOT_YET_VALID_ISSUER_CERTIFICATE"
		case id == "firefox" && f.code == "cert.not_a_ca" && f.detail == "v1":
			text = "MOZILLA_PKIX_ERROR_V1_CERT_USED_AS_CA"
		case id == "firefox" && f.code == "trust.leaf_as_anchor" && !e.leaf.IsCA():
			text = "MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT"
		case id == "chromium" && f.code == "cert.key_usage" && f.place != atLeaf:
			text = "ERR_CERT_INVALID"
		}
		return e.withNames(text)
	}
}

// opensslSays finds the number of the error, as OpenSSL does.
func opensslSays(id string) func(*engine, finding, path) string {
	return func(e *engine, f finding, p path) string {
		number := words()[f.code].openssl
		top := p.top()
		switch {
		case f.detail == "signature":
			number = 7
		case p.anchor == nil && !strings.HasPrefix(f.code, "cert.") && !strings.HasPrefix(f.code, "time.") && !strings.HasPrefix(f.code, "name."):
			switch {
			case top.SelfIssued() && len(p.certs) == 1:
				number = 18
			case top.SelfIssued():
				number = 19
			case len(p.certs) == 1 && id == "node":
				number = 21 // it reports the last of several errors
			default:
				number = 20
			}
		case number == 62:
			if _, isAddress := address(e.host); isAddress {
				number = 64
			}
		case f.code == "cert.weak_key" && f.place != atLeaf:
			number = 67
		case f.code == "cert.name_constraints" && f.detail == "excluded":
			number = 48
		case f.code == "cert.key_usage" && f.place == atLeaf:
			number = 26
		}
		t, ok := openSSL()[number]
		if !ok {
			return ""
		}
		return e.withNames(opensslWords(id, number, t.text, t.node))
	}
}

func gnutlsSays(instead string) func(*engine, finding, path) string {
	return func(_ *engine, f finding, _ path) string {
		if instead != "" {
			return instead
		}
		return words()[f.code].gnutls
	}
}
