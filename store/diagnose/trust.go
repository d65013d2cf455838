package diagnose

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/certtrust/certtrust/store"
)

// everything is a pool of all certificates that are known from anywhere, to
// find out where a chain leads.
func (e *engine) everything() pool {
	p := pool{certs: slices.Concat(e.sent, e.fetched)}
	seen := map[store.Fingerprint]bool{}
	for _, n := range p.certs {
		seen[n.SHA256] = true
	}
	// Only what a certificate at hand may lead to; twice, as an intermediate of
	// a store may lead on to a root of another.
	for range 3 {
		for _, n := range slices.Clone(p.certs) {
			var found []*store.Cert
			for _, s := range e.shelves {
				for _, i := range s.subjects[string(n.Issuer.Raw)] {
					found = append(found, i.cert)
				}
			}
			for _, r := range e.programme.BySubject(n.Issuer.Raw) {
				found = append(found, r.Cert)
			}
			for _, c := range found {
				if !seen[c.SHA256] && len(p.certs) < 2*maxSent {
					seen[c.SHA256] = true
					p.certs = append(p.certs, e.node(c, "store"))
				}
			}
		}
	}
	return p
}

// untrusted finds out why there is no path to an anchor of the store.
func (e *engine) untrusted(o *outcome) (out []finding) {
	s := o.shelf
	add := func(code string, n *node, depth int, confidence Confidence, args []any, evidence ...Evidence) *finding {
		out = append(out, finding{code: code, severity: Error, confidence: confidence, cert: n, depth: depth, place: atCA, args: args, evidence: evidence})
		f := &out[len(out)-1]
		if depth == 0 {
			f.place = atLeaf
		}
		return f
	}
	if s.trusted == 0 {
		f := add("store.empty", nil, -1, Proven, []any{string(s.id)}, e.evidence("store", evEmpty, string(s.id)))
		f.place = nowhere
	}
	leaf := e.leaf
	if leaf.Version == 0 {
		return out // nothing can be said of it but that it cannot be read
	}
	if leaf.SelfIssued() && e.selfSigned(leaf) {
		e.stored(s, leaf, 0, add)
		f := add("trust.self_signed_leaf", leaf, 0, Proven, []any{e.name(leaf)}, e.evidenceData("signature", evSignsItself, leaf, e.name(leaf)))
		f.identified = tool(leaf.Cert)
		return out
	}

	// With what was fetched there may be a path to an anchor.
	if anchored, _ := e.search(pool{shelf: s, certs: slices.Concat(e.sent, e.fetched)}, leaf); len(anchored) > 0 {
		p, judged := e.best(anchored, s, e.now)
		o.repaired = &p
		for _, f := range judged { // what else is wrong further up
			if f.depth > 0 && !slices.ContainsFunc(o.judged, func(g finding) bool { return g.code == f.code && g.cert == f.cert }) {
				o.judged = append(o.judged, f)
			}
		}
		e.missing(p, add)
		return out
	}

	_, all := e.search(e.everything(), leaf)
	if len(all) == 0 {
		return out
	}
	// The path that tells most: to a self-signed certificate, else the longest.
	p := all[0]
	for _, q := range all {
		if e.selfSigned(q.top()) {
			p = q
			break
		}
	}
	for i, n := range p.certs {
		e.stored(s, n, i, add)
	}
	top, depth := p.top(), len(p.certs)-1
	if e.selfSigned(top) {
		e.missing(p, add)
		e.rootIsNotTrusted(s, top, depth, add)
		return out
	}
	e.issuerIsMissing(s, top, depth, add)
	return out
}

type trustAdder = func(code string, n *node, depth int, confidence Confidence, args []any, evidence ...Evidence) *finding

// stored tells what the store has of the certificate, if it has it and does
// not trust it.
func (e *engine) stored(s *shelf, n *node, depth int, add trustAdder) {
	i := s.items[n.SHA256]
	switch {
	case s.refuses(n):
		add("trust.distrusted", n, depth, Proven, []any{e.name(n), string(s.id)}, e.evidence("store", evDistrusted, string(s.id), e.name(n)))
	case i == nil || i.trusted():
	case i.trust.Has(store.Trusted):
		var purposes []string
		for _, r := range i.trust.Normal() {
			if r.Decision == store.Trusted {
				purposes = append(purposes, string(r.Purpose))
			}
		}
		add("trust.wrong_purpose", n, depth, Proven, []any{e.name(n), string(s.id), list(purposes)}, e.evidence("store", evOtherPurpose, string(s.id), e.name(n), list(purposes)))
	case n.SelfIssued():
		add("trust.present_not_trusted", n, depth, Proven, []any{e.name(n), string(s.id)}, e.evidence("store", evNoTrust, string(s.id), e.name(n)))
	}
}

// missing tells which certificates of a path the server has not sent, though
// it has to.
func (e *engine) missing(p path, add trustAdder) {
	var urls, pems []string
	var proof []Evidence
	var first *node
	depth := 0
	for i, n := range p.certs {
		if n.position >= 0 || i == len(p.certs)-1 {
			continue // sent, or the root, which need not be
		}
		if first == nil {
			first, depth = n, i
		}
		pems = append(pems, encodePEM(n.Raw))
		if n.url != "" {
			urls = append(urls, n.url)
			proof = append(proof, e.evidenceData("fetch", evFetched, n, store.Printable(n.url), e.name(n)))
		} else {
			proof = append(proof, e.evidenceData("store", evHasIt, n, e.name(n)))
		}
	}
	if first == nil {
		return
	}
	if p.anchor != nil {
		proof = append(proof, e.evidenceData("signature", evLeadsTo, p.top(), e.name(p.top())))
	}
	below := p.certs[depth-1]
	code, args := "chain.missing_intermediate", []any{e.name(first), e.name(below)}
	if wrong := e.sentByName(below); wrong != nil {
		code, args = "chain.wrong_intermediate", []any{e.name(wrong), e.name(below)}
		proof = append([]Evidence{e.otherKey(below, wrong)}, proof...)
	}
	f := add(code, first, depth, Proven, args, proof...)
	f.repairable, f.repair = true, &Repair{Certificates: pems}
	if len(urls) > 0 {
		f.repair.URL = urls[0]
	}
}

// sentByName returns a certificate that was sent and is of the name of n's
// issuer, but has not signed it.
func (e *engine) sentByName(n *node) *node {
	for _, c := range e.sent {
		if c != n && bytes.Equal(c.Subject.Raw, n.Issuer.Raw) && !e.link(n, c).follow() {
			return c
		}
	}
	return nil
}

// otherKey proves that a certificate was not signed with the key of another.
func (e *engine) otherKey(child, parent *node) Evidence {
	ev := e.evidence("signature", evOtherKey, e.name(child), e.name(parent), keyID(parent), authority(child))
	ev.Data = map[string]string{"certificate": child.SHA256.String(), "field": "authorityKeyIdentifier", "value": authority(child), "expected": keyID(parent), "issuer": parent.SHA256.String()}
	return ev
}

func keyID(n *node) string {
	if len(n.keyID) > 0 {
		return fmt.Sprintf("%x", n.keyID)
	}
	return fmt.Sprintf("%x", n.spki[:20])
}

func authority(n *node) string {
	if len(n.authority) > 0 {
		return fmt.Sprintf("%x", n.authority)
	}
	return "?"
}

// namesake returns an anchor of the store that has the name of a certificate's
// issuer but another key.
func (e *engine) namesake(s *shelf, n *node) *node {
	for _, i := range s.subjects[string(n.Issuer.Raw)] {
		if c := e.node(i.cert, "store"); i.trusted() && c != n && !e.link(n, c).follow() {
			return c
		}
	}
	return nil
}

// rootIsNotTrusted tells why a chain that is whole is not trusted: its root is
// not in the store.
func (e *engine) rootIsNotTrusted(s *shelf, root *node, depth int, add trustAdder) {
	if i := s.items[root.SHA256]; i != nil && !i.trusted() {
		return // told by stored
	}
	print := root.SHA256.String()
	if old := e.namesake(s, root); old != nil {
		add("trust.same_name_other_key", root, depth, Proven, []any{e.name(old), string(s.id)},
			e.otherKey(root, old), e.evidence("store", evStoredSince, string(s.id), e.day(old.NotBefore), old.SHA256.String()))
		return
	}
	if r, ok := e.programme.ByFingerprint(root.SHA256); ok {
		what := s.view.Package
		if what == "" {
			what = string(s.id)
		}
		add("trust.store_outdated", root, depth, Proven, []any{e.name(root), what},
			e.evidence("store", evInProgramme, e.name(root), e.day(e.programme.Date), string(s.id), r.Cert.SHA256.String()))
		return
	}
	var elsewhere *shelf
	for _, other := range e.shelves {
		if i := other.items[root.SHA256]; other != s && i != nil && i.trusted() && !i.root {
			elsewhere = other
			break
		}
	}
	if elsewhere != nil {
		proof := e.evidence("store", evTrustedBy, string(elsewhere.id), e.name(root), string(s.id))
		if elsewhere.view.Info.Scope == store.ScopeUser && s.view.Info.Scope == store.ScopeSystem && elsewhere.id.Backend() == s.id.Backend() {
			add("trust.wrong_scope", root, depth, Proven, []any{e.name(root), string(elsewhere.id), string(s.id)}, proof)
			return
		}
		add("trust.not_in_this_store", root, depth, Proven, []any{e.name(root), string(elsewhere.id), string(s.id)}, proof)
		return
	}
	f := add("trust.untrusted_root", root, depth, Proven, []any{e.name(root), string(s.id)},
		e.evidenceData("store", evNotStored, root, e.name(root), print, string(s.id)))
	f.identified = tool(root.Cert)
}

// issuerIsMissing tells why a chain ends before a root.
func (e *engine) issuerIsMissing(s *shelf, top *node, depth int, add trustAdder) {
	issuer := e.distinguished(top.Issuer)
	identified := tool(&store.Cert{Subject: top.Issuer})
	if old := e.namesake(s, top); old != nil {
		f := add("trust.same_name_other_key", top, depth, Proven, []any{e.name(old), string(s.id)},
			e.otherKey(top, old), e.evidence("store", evStoredSince, string(s.id), e.day(old.NotBefore), old.SHA256.String()))
		f.identified = identified
		return
	}
	if wrong := e.sentByName(top); wrong != nil {
		add("chain.wrong_intermediate", wrong, depth+1, Proven, []any{e.name(wrong), e.name(top)}, e.otherKey(top, wrong))
		return
	}
	urls := issuerURLs(top)
	if other := accessAll(top, "1.3.6.1.5.5.7.48.2"); len(urls) == 0 && len(other) > 0 {
		where := store.Printable(shorten(other[0]))
		f := add("chain.aia_unreachable", top, depth, Proven, []any{where, e.t(evNoHTTP)}, e.evidence("fetch", evFetchFailed, where, e.t(evNoHTTP)))
		f.severity = Warning
	}
	proof := e.evidenceData("field", evIssuerNotSent, top, e.name(top), issuer, authority(top))
	failures := e.net.failures(urls)
	switch {
	case len(urls) > 0:
		missing := add("chain.missing_intermediate", top, depth, Likely, []any{issuer, e.name(top)}, proof)
		for _, f := range failures {
			missing.evidence = append(missing.evidence, e.evidence("fetch", evFetchFailed, store.Printable(f.url), f.text))
		}
		if len(failures) > 0 {
			f := add("chain.aia_unreachable", top, depth, Proven, []any{store.Printable(failures[0].url), failures[0].text},
				e.evidence("fetch", evFetchFailed, store.Printable(failures[0].url), failures[0].text))
			f.severity = Warning
		}
		f := add("trust.unknown_issuer", top, depth, Possible, []any{issuer, e.name(top)}, proof)
		f.identified = identified
	case depth == 0:
		f := add("trust.unknown_issuer", top, depth, Likely, []any{issuer, e.name(top)}, proof, e.evidence("field", evNoAIA, e.name(top)))
		f.identified = identified
		add("chain.missing_intermediate", top, depth, Possible, []any{issuer, e.name(top)}, proof)
	default:
		f := add("trust.unknown_issuer", top, depth, Proven, []any{issuer, e.name(top)}, proof, e.evidence("field", evNoAIA, e.name(top)))
		f.identified = identified
	}
}

// tool returns the development tool that a certificate is of, "" if none.
func tool(c *store.Cert) string { return store.KnownTool(c) }
