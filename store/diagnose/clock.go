package diagnose

import (
	"encoding/asn1"
	"encoding/binary"
	"net/url"
	"slices"
	"strings"
	"time"
)

// tolerance is how far a clock may be off before it is said to be wrong.
const tolerance = 24 * time.Hour

// floor returns a time that has certainly passed, and what says so. Only what
// this program itself brings, or what an issuer that is trusted has signed,
// counts.
func (e *engine) floor() (at time.Time, by string) {
	take := func(t time.Time, what string) {
		if t.After(at) {
			at, by = t, what
		}
	}
	take(e.programme.Date, e.t(wordRootsDate))
	take(e.in.Built, e.t(wordBuilt))
	if e.leaf != nil && slices.ContainsFunc(e.outcomes, func(o *outcome) bool { return o.path.anchor != nil && len(o.path.certs) > 1 }) {
		take(newestSCT(e.leaf), e.t(wordSCT))
	}
	return at, by
}

// witness is somebody who says what time it is.
type witness struct {
	who string
	at  time.Time
}

// judgeClock finds out whether this machine's clock is what is wrong. If it
// is, what is wrong only because of it is said to be so.
func (e *engine) judgeClock() {
	if e.in.At {
		return
	}
	explained := func(f finding) bool {
		switch f.code {
		case "time.leaf_expired", "time.intermediate_expired", "time.root_expired", "time.not_yet_valid":
			return f.severity == Error
		case "revocation.staple_invalid":
			return true
		}
		return false
	}
	wrong := func(actual string, confidence Confidence, severity Severity, evidence ...Evidence) {
		e.findings = append(e.findings, finding{code: "time.clock_wrong", severity: severity, confidence: confidence, place: nowhere, depth: -1,
			args: []any{e.now.Format(time.RFC3339), actual}, evidence: evidence})
	}
	trouble := slices.ContainsFunc(e.findings, func(f finding) bool { return strings.HasPrefix(f.code, "time.") && explained(f) })
	drop := func() {
		e.findings = slices.DeleteFunc(e.findings, func(f finding) bool { return explained(f) })
	}

	at, by := e.floor()
	if at.Sub(e.now) > tolerance {
		proof := e.evidence("clock", evFloor, e.now.Format(time.RFC3339), by, at.Format(time.RFC3339))
		better := at
		for _, w := range e.witnesses() {
			if !w.at.Before(at) {
				better = w.at
				break
			}
		}
		if !trouble {
			wrong(e.t(wordAtLeast, e.day(at)), Proven, Warning, proof)
			return
		}
		wrong(e.t(wordAtLeast, e.day(better)), Proven, Error, proof)
		if e.validAt(better) {
			drop()
		}
		return
	}
	if !trouble {
		return
	}
	// The others: each is believed only if what it says is possible and makes
	// the chain valid. One of them alone proves nothing.
	var agree []witness
	for _, w := range e.witnesses() {
		if w.at.Before(at) || e.now.Sub(w.at).Abs() <= tolerance || !e.validAt(w.at) {
			continue
		}
		if len(agree) == 0 || agree[0].at.Sub(w.at).Abs() < tolerance && !slices.ContainsFunc(agree, func(o witness) bool { return o.who == w.who }) {
			agree = append(agree, w)
		}
	}
	if len(agree) == 0 {
		return
	}
	var proof []Evidence
	for _, w := range agree {
		proof = append(proof, e.evidence("clock", evWitness, w.who, w.at.Format(time.RFC3339), e.now.Format(time.RFC3339)))
	}
	confidence := Likely
	if len(agree) > 1 {
		confidence = Proven
		drop()
	}
	wrong(e.day(agree[0].at), confidence, Error, proof...)
}

// witnesses returns those who have said what time it is: the server, the
// servers that something was fetched from, the stapled response.
func (e *engine) witnesses() (out []witness) {
	if t := e.in.Capture.HTTPDate; !t.IsZero() {
		out = append(out, witness{e.host, t.UTC()})
	}
	for _, f := range e.net.done {
		if f.date.IsZero() {
			continue
		}
		if u, err := url.Parse(f.url); err == nil {
			out = append(out, witness{u.Host, f.date.UTC()})
		}
	}
	slices.SortStableFunc(out[min(len(out), 1):], func(a, b witness) int { return strings.Compare(a.who, b.who) })
	for _, o := range e.outcomes {
		if len(o.path.certs) < 2 || len(e.in.Capture.Staple) == 0 {
			continue
		}
		if a, err := e.readOCSP(e.in.Capture.Staple, o.path.certs[0], o.path.certs[1]); err == nil && a.this.After(e.leaf.NotBefore) {
			out = append(out, witness{"OCSP", a.this})
			break
		}
	}
	return out
}

// validAt tells whether a path of a store that counts holds at another time.
func (e *engine) validAt(at time.Time) bool {
	for _, o := range e.outcomes {
		for _, p := range append(slices.Clone(o.paths), o.path) {
			if len(p.certs) > 0 && !slices.ContainsFunc(p.certs, func(n *node) bool { return at.Before(n.NotBefore) || at.After(n.NotAfter) }) {
				return true
			}
		}
	}
	return false
}

// hasSCTs tells whether there is any proof of Certificate Transparency: in the
// certificate, from TLS, or in the staple.
func (e *engine) hasSCTs() bool {
	return e.leaf.Extension("1.3.6.1.4.1.11129.2.4.2") != nil || len(e.in.Capture.SCTs) > 0 ||
		strings.Contains(string(e.in.Capture.Staple), "\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x05")
}

// newestSCT returns when the newest timestamp in the certificate was made
// (RFC 6962, 3.3); zero if there is none.
func newestSCT(n *node) (newest time.Time) {
	x := n.Extension("1.3.6.1.4.1.11129.2.4.2")
	if x == nil {
		return
	}
	var list []byte
	if _, err := asn1.Unmarshal(x.Value, &list); err != nil || len(list) < 2 {
		return
	}
	for list = list[2:]; len(list) > 2; {
		size := int(binary.BigEndian.Uint16(list))
		if size+2 > len(list) {
			return
		}
		if sct := list[2 : 2+size]; len(sct) > 41 {
			if t := time.UnixMilli(int64(binary.BigEndian.Uint64(sct[33:41]) & (1<<62 - 1))).UTC(); t.After(newest) && t.Year() < 2200 {
				newest = t
			}
		}
		list = list[2+size:]
	}
	return
}
