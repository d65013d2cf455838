package diagnose

import (
	"crypto/x509"
	"encoding/asn1"
	"net/url"
	"slices"
	"time"

	"github.com/certtrust/certtrust/store"
)

// graceOCSP is how far a response may lie from the clock, for clocks that are
// a little off.
const graceOCSP = 10 * time.Minute

// judgeRevocation looks at the staple, and asks the responder and the list
// that the certificates name.
func (e *engine) judgeRevocation() {
	p := e.mainOutcome().path
	for _, o := range e.outcomes { // the path that tells most
		if o.repaired != nil {
			p = *o.repaired
		}
		if len(o.path.certs) > len(p.certs) || o.path.anchor != nil && p.anchor == nil {
			p = o.path
		}
	}
	if len(p.certs) < 2 {
		e.mustStaple()
		return
	}
	leaf, issuer := p.certs[0], p.certs[1]
	stapled := e.judgeStaple(leaf, issuer)
	revoked := slices.ContainsFunc(e.findings, func(f finding) bool { return f.code == "revocation.revoked" })
	if e.in.Fetcher == nil || revoked {
		return
	}
	for i := 0; i+1 < len(p.certs) && i < 3; i++ {
		if i == 0 && stapled {
			continue
		}
		if e.askRevoked(p.certs[i], p.certs[i+1], i) {
			return
		}
	}
}

// mustStaple tells of a certificate that demands a staple where there is none.
func (e *engine) mustStaple() {
	x := e.leaf.Extension("1.3.6.1.5.5.7.1.24") // RFC 7633
	if x == nil || len(e.in.Capture.Staple) > 0 || e.in.Capture.TLSVersion == 0 {
		return
	}
	var features []int
	if _, err := asn1.Unmarshal(x.Value, &features); err != nil || !slices.Contains(features, 5) {
		return
	}
	e.report(finding{code: "revocation.must_staple_missing", severity: Warning, confidence: Proven, cert: e.leaf, place: atLeaf,
		args: []any{e.name(e.leaf)}, evidence: []Evidence{e.field(e.leaf, "tlsFeature", "status_request", e.t(wordStaple))}})
}

// judgeStaple judges the stapled response; ok tells that it answers.
func (e *engine) judgeStaple(leaf, issuer *node) (ok bool) {
	e.mustStaple()
	staple := e.in.Capture.Staple
	if len(staple) == 0 {
		return false
	}
	a, err := e.readOCSP(staple, leaf, issuer)
	invalid := func(reason string) {
		e.report(finding{code: "revocation.staple_invalid", severity: Warning, confidence: Proven, cert: leaf, place: atLeaf,
			args: []any{reason}, evidence: []Evidence{e.evidence("ocsp", evStaple, reason)}})
	}
	switch {
	case err != nil:
		invalid(e.ocspText(err))
		if err == errOCSPForm {
			e.findings[len(e.findings)-1].detail = "form"
		}
		return false
	case a.status == "revoked":
		e.revoked(leaf, 0, "ocsp", e.t(wordStaple), a.revokedAt).detail = "staple"
		return true
	case e.now.Before(a.this.Add(-graceOCSP)):
		invalid(e.t(evStapleEarly, a.this.Format(time.RFC3339)))
		return false
	case !a.next.IsZero() && e.now.After(a.next.Add(graceOCSP)):
		invalid(e.t(evStapleOld, a.next.Format(time.RFC3339)))
		return false
	case a.status == "unknown":
		invalid(e.t(evStapleUnknown))
		return false
	}
	return true
}

func (e *engine) ocspText(err error) string {
	for known, t := range map[error]Text{errOCSPForm: evOCSPForm, errOCSPStatus: evOCSPStatus, errOCSPOther: evOCSPOther, errOCSPSignature: evOCSPSignature} {
		if err == known {
			return e.t(t)
		}
	}
	return err.Error()
}

func (e *engine) revoked(n *node, depth int, kind, by string, at time.Time) *finding {
	f := finding{code: "revocation.revoked", severity: Error, confidence: Proven, cert: n, depth: depth, place: atLeaf, detail: kind,
		args: []any{e.name(n), e.day(at)}, evidence: []Evidence{e.evidenceData(kind, evRevoked, n, by, e.name(n), at.Format(time.RFC3339))}}
	if depth > 0 {
		f.place = atCA
	}
	e.findings = append(e.findings, f)
	return &e.findings[len(e.findings)-1]
}

// askRevoked asks by OCSP, then by the list; true if n is revoked.
func (e *engine) askRevoked(n, issuer *node, depth int) bool {
	var failed []fetched
	if request := ocspRequest(n, issuer); request != nil {
		for _, u := range access(n, "1.3.6.1.5.5.7.48.1") {
			answer, ok := e.net.get(Request{URL: u, Body: request, Accept: "application/ocsp-request"})
			if !ok {
				failed = append(failed, answer)
				continue
			}
			a, err := e.readOCSP(answer.body, n, issuer)
			if err != nil {
				answer.text = e.ocspText(err)
				failed = append(failed, answer)
				continue
			}
			if a.status == "revoked" {
				e.revoked(n, depth, "ocsp", store.Printable(u), a.revokedAt)
				return true
			}
			return false
		}
	}
	for _, u := range listURLs(n) {
		answer, ok := e.net.get(Request{URL: u})
		if !ok {
			failed = append(failed, answer)
			continue
		}
		list, err := x509.ParseRevocationList(answer.body)
		if err != nil || issuer.Parsed() == nil || list.CheckSignatureFrom(issuer.Parsed()) != nil {
			answer.text = e.t(evListInvalid)
			failed = append(failed, answer)
			continue
		}
		for _, r := range list.RevokedCertificateEntries {
			if n.Serial != nil && r.SerialNumber.Cmp(n.Serial) == 0 {
				e.revoked(n, depth, "crl", store.Printable(u), r.RevocationTime)
				return true
			}
		}
		return false
	}
	for _, f := range failed {
		if f.text != "" {
			e.report(finding{code: "revocation.unavailable", severity: Info, confidence: Proven, cert: n, depth: depth,
				args: []any{e.name(n), store.Printable(f.url)}, evidence: []Evidence{e.evidence("fetch", evFetchFailed, store.Printable(f.url), f.text)}})
			break
		}
	}
	return false
}

// listURLs returns where the revocation list for n is.
func listURLs(n *node) (out []string) {
	if n.Parsed() == nil {
		return nil
	}
	for _, u := range n.Parsed().CRLDistributionPoints {
		if p, err := url.Parse(u); err == nil && p.Scheme == "http" && len(out) < 2 {
			out = append(out, u)
		}
	}
	return out
}
