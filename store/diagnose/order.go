package diagnose

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// judgeOrder tells what is untidy about what the server has sent. No client
// minds it.
func (e *engine) judgeOrder() {
	if len(e.sent) < 2 {
		return
	}
	if e.exhausted {
		e.report(finding{code: "chain.too_complex", severity: Warning, confidence: Proven, depth: -1, place: nowhere, args: []any{len(e.in.Capture.Certificates)},
			evidence: []Evidence{e.evidence("field", evSent, e.sentList())}})
	}
	var used []*node
	for _, o := range e.outcomes {
		p := o.path
		if o.repaired != nil {
			p = *o.repaired
		}
		for _, n := range p.certs {
			if n.position >= 0 && !slices.Contains(used, n) {
				used = append(used, n)
			}
		}
	}
	_, loose := e.search(pool{certs: e.sent}, e.leaf)
	ordered := true
	for i, p := range loose {
		last := -1
		for _, n := range p.certs {
			if i == 0 && n.position < last {
				ordered = false
			}
			last = n.position
			if !slices.Contains(used, n) {
				used = append(used, n)
			}
		}
	}
	note := func(code string, n *node, args ...any) {
		e.report(finding{code: code, severity: Info, confidence: Proven, cert: n, depth: -1, place: nowhere, args: args,
			evidence: []Evidence{e.evidence("field", evSent, e.sentList())}})
	}
	if !ordered {
		note("chain.misordered", nil)
	}
	if len(e.in.Capture.Certificates) > len(e.sent) {
		note("chain.extra_certs", nil, e.t(wordCertificates, len(e.in.Capture.Certificates)))
	}
	for _, n := range e.sent[1:] {
		switch {
		case n.Version == 0: // many libraries take all or nothing
			e.report(finding{code: "cert.malformed", severity: Error, confidence: Proven, cert: n, depth: n.position, place: atCA, args: []any{e.name(n), e.t(wordUnreadable)},
				evidence: []Evidence{e.field(n, "certificate", e.t(wordUnreadable), e.t(wordDER))}, detail: "sent"})
		case !slices.Contains(used, n):
			note("chain.extra_certs", n, e.name(n))
		case e.selfSigned(n):
			note("chain.root_included", n, e.name(n))
		}
		if len(e.findings) > 60 {
			return // a hostile list
		}
	}
}

func (e *engine) sentList() string {
	const most = 8
	var out []string
	for i, n := range e.sent {
		if i == most {
			out = append(out, fmt.Sprintf("… (%d)", len(e.sent)))
			break
		}
		out = append(out, fmt.Sprintf("%d: %s", n.position, e.name(n)))
	}
	return strings.Join(out, ", ")
}

// judgeDeadEnds tells where a client that does not go back comes to no end,
// though there is a path.
func (e *engine) judgeDeadEnds() {
	for _, o := range e.outcomes {
		if !o.accepted {
			continue
		}
		p := e.firstMatch(o.shelf, e.sent, e.leaf, true, e.now)
		if p.anchor != nil && !hasErrors(e.judge(p, o.shelf, e.now)) && e.signedThrough(p) {
			continue
		}
		dead := p.top()
		e.report(finding{code: "chain.cross_sign_dead_end", severity: Warning, confidence: Proven, cert: dead, depth: len(p.certs) - 1, place: nowhere,
			args:     []any{e.name(dead)},
			evidence: []Evidence{e.evidence("signature", evDeadEnd, e.pathText(p), e.pathText(o.path))}})
	}
}

// signedThrough tells whether all signatures of a path are good: one that was
// built by names alone may be wrong.
func (e *engine) signedThrough(p path) bool {
	for i := 0; i+1 < len(p.certs); i++ {
		if e.link(p.certs[i], p.certs[i+1]).signature != goodSignature {
			return false
		}
	}
	return true
}

func (e *engine) pathText(p path) string {
	var out []string
	for _, n := range p.certs {
		out = append(out, e.name(n))
	}
	return strings.Join(out, " → ")
}

// judgePolicy tells what browsers demand of public certificates.
func (e *engine) judgePolicy() {
	o := e.mainOutcome()
	if e.leaf.Version == 0 {
		return
	}
	if o.path.anchor != nil && !hasErrors(e.findings) {
		left, life := e.leaf.NotAfter.Sub(e.now), e.leaf.NotAfter.Sub(e.leaf.NotBefore)
		limit := e.in.Expiring
		if limit <= 0 { // what is made to live for days is not renewed weeks before
			limit = min(14*24*time.Hour, life/3)
		}
		if left > 0 && left < limit {
			e.report(finding{code: "time.expiring_soon", severity: Warning, confidence: Proven, cert: e.leaf, place: atLeaf,
				args:     []any{e.name(e.leaf), e.day(e.leaf.NotAfter), e.age(left)},
				evidence: []Evidence{e.field(e.leaf, "notAfter", e.leaf.NotAfter.Format(time.RFC3339), "> "+e.now.Add(limit).Format(time.RFC3339))}})
		}
	}
	for _, o := range e.outcomes {
		if o.path.anchor == nil {
			continue
		}
		root := o.path.top()
		if _, public := e.programme.ByFingerprint(root.SHA256); public && !e.hasSCTs() {
			e.report(finding{code: "policy.ct_required", severity: Warning, confidence: Proven, cert: e.leaf, place: atLeaf,
				args: []any{e.name(e.leaf), e.name(root)}, evidence: []Evidence{e.field(e.leaf, "SCT list", e.t(wordMissing), e.t(wordSCTs))}})
		}
		if e.leaf != root && len(o.path.certs) == 1 {
			continue
		}
		if len(o.path.certs) == 1 {
			e.report(finding{code: "trust.leaf_as_anchor", severity: Warning, confidence: Proven, cert: e.leaf, place: atAnchor,
				args: []any{e.name(e.leaf), string(o.shelf.id)}, evidence: []Evidence{e.evidence("store", evIsAnchor, string(o.shelf.id), e.name(e.leaf))}})
		}
	}
	readable := slices.ContainsFunc(e.outcomes, func(o *outcome) bool { return !o.unknown && o.shelf.view.Counts })
	for _, o := range e.outcomes {
		switch {
		case o.unknown && o.shelf.view.Counts && !readable:
			e.storeFinding("store.unreadable", Error, o, string(o.shelf.id), e.errText(o.shelf.view.Err))
		case o.unknown:
			e.storeFinding("store.unreadable", Warning, o, string(o.shelf.id), e.errText(o.shelf.view.Err))
		case o.shelf.view.Err != nil:
			e.storeFinding("store.unreadable", Info, o, string(o.shelf.id), e.errText(o.shelf.view.Err))
		}
	}
}
