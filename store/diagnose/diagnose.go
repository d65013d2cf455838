package diagnose

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/roots"
)

// Schema is the schema of a [Document].
const Schema = "certtrust.diagnose/v1"

// reportKey is a cause that a client reports.
type reportKey struct{ code, client string }

// engine is one diagnosis.
type engine struct {
	ctx       context.Context
	in        Input
	lang      Lang
	now       time.Time
	host      string
	programme *roots.Programme
	bad       map[string]badRoot // by fingerprint or key

	nodes     map[store.Fingerprint]*node
	edges     map[[2]store.Fingerprint]edge
	checked   int
	exhausted bool // a limit was reached: what was not found may still be there

	leaf    *node
	sent    []*node
	fetched []*node
	shelves []*shelf
	net     *fetches

	reported map[reportKey]string // what clients are expected to say
	outcomes []*outcome
	findings []finding
}

// Diagnose makes the diagnosis. It never fails: what cannot be told is not in
// it. What it costs is bounded, whatever the server has sent.
//
// Without any View, the server is judged by the root programme itself.
func Diagnose(ctx context.Context, in Input) *Document {
	e := &engine{
		ctx: ctx, in: in, lang: in.Lang, now: in.Now.UTC(), programme: in.Roots, bad: badRoots(),
		nodes: map[store.Fingerprint]*node{}, edges: map[[2]store.Fingerprint]edge{},
	}
	return e.run()
}

func (e *engine) run() *Document {
	in := e.in
	e.host = strings.ToLower(strings.TrimSuffix(in.Capture.Target.Name(), "."))
	e.reported = map[reportKey]string{}
	if e.lang != Japanese {
		e.lang = English
	}
	if e.programme == nil {
		e.programme = roots.Mozilla()
	}
	e.net = newFetches(e)
	e.in.Overrides = slices.DeleteFunc(slices.Clone(in.Overrides), func(o Override) bool { return !o.Concerns(in.Capture.Target) })
	if len(in.Views) == 0 {
		e.in.Views = []View{{Info: store.Info{ID: "roots:mozilla", Backend: "roots", Title: "Mozilla", Scope: store.ScopeSystem}, Programme: true, Counts: true}}
	}
	for _, v := range e.in.Views {
		e.shelves = append(e.shelves, e.newShelf(v))
	}
	e.readSent()

	e.judgeConnection()
	e.judgeStores()
	if e.leaf != nil {
		e.judgeServer()
	}
	e.judgeOverrides()
	return e.document()
}

// node returns the node of a certificate, always the same for the same one.
func (e *engine) node(c *store.Cert, source string) *node {
	if n := e.nodes[c.SHA256]; n != nil {
		return n
	}
	n := newNode(c, source, -1)
	e.nodes[c.SHA256] = n
	return n
}

func (e *engine) readSent() {
	list := e.in.Capture.Certificates
	for i, der := range list[:min(len(list), maxSent)] {
		c := store.NewCert(der)
		if e.nodes[c.SHA256] != nil {
			continue // sent twice
		}
		n := newNode(c, "sent", i)
		e.nodes[c.SHA256] = n
		e.sent = append(e.sent, n)
	}
	if len(e.sent) > 0 {
		e.leaf = e.sent[0]
	}
}

func (e *engine) cipher() string { return tls.CipherSuiteName(e.in.Capture.CipherSuite) }

// outcome is what came out for a store.
type outcome struct {
	shelf    *shelf
	path     path // the best one
	judged   []finding
	trust    []finding // why there is no path to an anchor
	verifier error     // what crypto/x509 says
	paths    []path
	repaired *path // the path that fetched certificates make possible
	accepted bool
	unknown  bool // the store could not be read
	platform *store.Verdict
}

// judgeStores judges the chain for each store.
func (e *engine) judgeStores() {
	for _, s := range e.shelves {
		o := &outcome{shelf: s}
		e.outcomes = append(e.outcomes, o)
		if s.view.Err != nil && len(s.view.Entries) == 0 {
			o.unknown = true
		}
		if e.leaf != nil {
			e.judgeStore(o, e.now)
			e.askPlatform(o)
		}
	}
	if e.leaf == nil {
		return
	}
	if slices.ContainsFunc(e.outcomes, func(o *outcome) bool { return !o.accepted && !o.unknown }) {
		e.complete()
	}
	for _, o := range e.outcomes {
		if o.path.anchor == nil && !o.unknown {
			o.trust = e.untrusted(o)
		}
		if o.platform != nil && o.platform.Trusted {
			o.yield()
		}
		if o.path.anchor != nil && !o.accepted {
			e.mendable(o)
		}
	}
}

// judgeStore finds the best path to an anchor of the store, and what is wrong
// with it.
func (e *engine) judgeStore(o *outcome, now time.Time) {
	p := pool{shelf: o.shelf, certs: e.sent}
	anchored, loose := e.search(p, e.leaf)
	o.paths = anchored
	if len(anchored) == 0 {
		o.paths = loose
		o.path, o.judged = e.best(loose, o.shelf, now)
	} else {
		o.path, o.judged = e.best(anchored, o.shelf, now)
	}
	o.verifier = e.verify(o.shelf, now)
	o.accepted = o.path.anchor != nil && !hasErrors(o.judged)
	if o.accepted && o.verifier != nil && !slices.ContainsFunc(o.path.certs, func(n *node) bool { return n.Parsed() == nil }) {
		o.accepted = false
		o.judged = append(o.judged, e.verifierSays(o.verifier))
	}
}

// askPlatform has the store's platform judge the chain, whose word counts: it
// fetches what it lacks, and knows rules of its own. The name is judged apart.
func (e *engine) askPlatform(o *outcome) {
	v := o.shelf.view.Verifier
	if v == nil || o.unknown {
		return
	}
	var chain []*store.Cert
	for _, n := range e.sent {
		chain = append(chain, n.Cert)
	}
	verdict, err := v.Verify(e.ctx, chain, store.PurposeServerAuth, "", e.now)
	if err != nil {
		return // it has no word
	}
	o.platform = &verdict
	if !verdict.Trusted && o.accepted {
		reason := store.Printable(shorten(strings.Join(verdict.Reasons, "; ")))
		o.judged = append(o.judged, finding{
			code: "trust.platform_refuses", severity: Error, confidence: Proven, cert: e.leaf, place: atLeaf,
			args:     []any{e.name(e.leaf), o.shelf.shown(), reason},
			evidence: []Evidence{e.evidence("field", evPlatform, reason)},
		})
	}
	o.accepted = verdict.Trusted
}

// yield makes warnings of what the platform does not mind: what is wrong with
// the chain itself stays worth mending, since others are not as tolerant.
func (o *outcome) yield() {
	mild := func(list []finding, all bool) []finding {
		var out []finding
		for _, f := range list {
			if f.severity == Error {
				if !all && !strings.HasPrefix(f.code, "chain.") {
					continue
				}
				f.severity = Warning
			}
			out = append(out, f)
		}
		return out
	}
	o.judged, o.trust = mild(o.judged, true), mild(o.trust, false)
}

// verifierSays puts in words what crypto/x509 has against a chain with which
// nothing else was found to be wrong.
func (e *engine) verifierSays(err error) finding {
	reason := store.Printable(shorten(err.Error()))
	f := finding{
		code: "cert.malformed", severity: Error, confidence: Likely, cert: e.leaf, place: atLeaf, detail: "verifier",
		args:     []any{e.name(e.leaf), reason},
		evidence: []Evidence{e.evidence("field", evVerifier, reason)},
	}
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.CANotAuthorizedForThisName {
		f.code, f.args = "cert.name_constraints", []any{e.distinguished(e.leaf.Issuer), e.names(e.leaf)}
	}
	return f
}

// mendable marks what is wrong with intermediates as something that others,
// which can be fetched, would mend.
func (e *engine) mendable(o *outcome) {
	p := e.repair(o)
	if p == nil || !slices.ContainsFunc(p.certs, func(n *node) bool { return n.source == "aia" }) {
		return
	}
	r := &Repair{}
	for _, n := range p.certs {
		if n.source == "aia" {
			r.URL = cmp.Or(r.URL, n.url)
			r.Certificates = append(r.Certificates, encodePEM(n.Raw))
		}
	}
	for i := range o.judged {
		if f := &o.judged[i]; f.severity == Error && f.depth > 0 && !slices.Contains(p.certs, f.cert) {
			f.repairable, f.repair = true, r
			for _, n := range p.certs {
				if n.source == "aia" {
					f.evidence = append(f.evidence, e.evidenceData("fetch", evFetched, n, store.Printable(n.url), e.name(n)))
				}
			}
		}
	}
	o.repaired = p
}

func hasErrors(list []finding) bool {
	return slices.ContainsFunc(list, func(f finding) bool { return f.severity == Error })
}

// best returns the path with the least that is wrong.
func (e *engine) best(paths []path, s *shelf, now time.Time) (best path, judged []finding) {
	score := -1
	for _, p := range paths {
		list := e.judge(p, s, now)
		bad := 0
		for _, f := range list {
			switch f.severity {
			case Error:
				bad += 100
			case Warning:
				bad++
			}
		}
		if score < 0 || bad < score {
			score, best, judged = bad, p, list
		}
	}
	return best, judged
}

// verify asks crypto/x509, without the name.
func (e *engine) verify(s *shelf, now time.Time) error {
	if e.leaf.Parsed() == nil {
		return e.leaf.ParseError()
	}
	anchors, between := x509.NewCertPool(), x509.NewCertPool()
	add := func(raw []byte) {
		for _, i := range s.subjects[string(raw)] {
			if i.cert.Parsed() == nil {
				continue
			}
			if i.trusted() && i.rule.Decision != store.Peer {
				anchors.AddCert(i.cert.Parsed())
			} else if i.rule.Decision == store.Unspecified {
				between.AddCert(i.cert.Parsed())
			}
		}
	}
	if i := s.items[e.leaf.SHA256]; i != nil && i.trusted() {
		anchors.AddCert(e.leaf.Parsed())
	}
	for _, n := range e.sent {
		add(n.Issuer.Raw)
		if i := s.items[n.SHA256]; n != e.leaf && i != nil && i.trusted() && n.Parsed() != nil {
			anchors.AddCert(n.Parsed())
		}
		if n != e.leaf && n.Parsed() != nil {
			between.AddCert(n.Parsed())
		}
	}
	for _, i := range s.items { // issuers of intermediates that only the store has
		if !i.trusted() && i.rule.Decision == store.Unspecified && i.cert.IsCA() {
			add(i.cert.Issuer.Raw)
		}
	}
	_, err := e.leaf.Parsed().Verify(x509.VerifyOptions{
		Roots: anchors, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return err
}

// judgeServer finds what is the same for every store.
func (e *engine) judgeServer() {
	for _, o := range e.outcomes {
		if o.unknown {
			continue
		}
		for _, f := range slices.Concat(o.judged, o.trust) {
			f.stores = []store.ID{o.shelf.id}
			e.report(f)
		}
	}
	e.findings = append(e.findings, e.judgeName()...)
	e.judgeKnown()
	e.judgeOrder()
	e.judgeDeadEnds()
	e.judgeRevocation()
	e.judgePolicy()
	e.judgeClock()
	for i := range e.findings { // what is so for every store is about none
		if len(e.findings[i].stores) == len(e.shelves) && len(e.shelves) > 1 && !ofStores(e.findings[i].code) {
			e.findings[i].stores = nil
		}
	}
}

// ofStores tells whether a code is about what stores hold, and not about the
// certificates alone.
func ofStores(code string) bool {
	return strings.HasPrefix(code, "trust.") || strings.HasPrefix(code, "store.")
}

// report adds a finding, or a store to one that is known.
func (e *engine) report(f finding) {
	for i := range e.findings {
		old := &e.findings[i]
		if old.code == f.code && old.cert == f.cert && old.detail == f.detail {
			if weight(f.severity) > weight(old.severity) {
				f.stores = append(slices.Clone(old.stores), f.stores...)
				*old = f
			} else {
				for _, id := range f.stores {
					if !slices.Contains(old.stores, id) {
						old.stores = append(old.stores, id)
					}
				}
			}
			return
		}
	}
	f.stores = slices.Clone(f.stores)
	e.findings = append(e.findings, f)
}

func weight(s Severity) int { return map[Severity]int{Info: 0, Warning: 1, Error: 2}[s] }

// mainOutcome is that of the store that counts and is first to be mended, else
// the first one.
func (e *engine) mainOutcome() *outcome {
	for _, o := range e.outcomes {
		if o.shelf.view.Counts && !o.unknown {
			return o
		}
	}
	return e.outcomes[0]
}

// counts tells whether a finding is about a store that the verdict depends on.
func (e *engine) counts(f finding) bool {
	if len(f.stores) == 0 {
		return true
	}
	return slices.ContainsFunc(e.outcomes, func(o *outcome) bool {
		return o.shelf.view.Counts && slices.Contains(f.stores, o.shelf.id)
	})
}

// sorted puts what is to be acted on first.
func (e *engine) sorted() {
	slices.SortStableFunc(e.findings, func(a, b finding) int {
		if c := boolCompare(e.counts(b), e.counts(a)); c != 0 {
			return c
		}
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.depth, b.depth))
	})
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
