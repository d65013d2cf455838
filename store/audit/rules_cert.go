package audit

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/diagnose"
)

// The rules that look at certificates by themselves.

func badRoot(_ *machine, _ *Store, e *store.Entry) *Finding {
	bad := diagnose.KnownBad(e.Cert)
	if bad == "" {
		return nil
	}
	return say("", name(e.Cert)+" is known to be bad: "+store.Printable(bad), "known by its fingerprint or its key")
}

func interception(m *machine, _ *Store, e *store.Entry) *Finding {
	product, kind := diagnose.Intercepts(e.Cert.Subject)
	if product == "" || !m.local(e) {
		return nil
	}
	severity := High
	if constrained(e) {
		severity = Medium
	}
	return say(severity, fmt.Sprintf("%s is an authority of %s, which opens encrypted connections", name(e.Cert), product), "its name is that of a product of the sort "+kind)
}

// constrained reports whether it is limited to names, by itself or by the store.
func constrained(e *store.Entry) bool {
	if e.Cert.Extension("2.5.29.30") != nil {
		return true
	}
	return slices.ContainsFunc(e.Trust, func(r store.Rule) bool { return len(r.Hosts) > 0 })
}

func devCA(m *machine, _ *Store, e *store.Entry) *Finding {
	tool := store.KnownTool(e.Cert)
	if tool == "" {
		return nil
	}
	f := say(Medium, fmt.Sprintf("%s was made by %s, for development", name(e.Cert), tool))
	for _, k := range m.keysOf(e.Cert) {
		f.Evidence = append(f.Evidence, "its private key lies in "+store.Printable(k.Path))
		if m.facts.People > 1 {
			f.Severity = High
			f.Evidence = append(f.Evidence, fmt.Sprintf("%d people have a home on this machine", m.facts.People))
		}
	}
	return f
}

// keysOf returns the private keys of a certificate.
func (m *machine) keysOf(c *store.Cert) (out []Key) {
	if len(c.SPKI) == 0 {
		return nil
	}
	spki := store.Fingerprint(sha256.Sum256(c.SPKI))
	for _, k := range m.facts.Keys {
		if k.SPKI == spki {
			out = append(out, k)
		}
	}
	return out
}

func removedFromProgramme(m *machine, s *Store, e *store.Entry) *Finding {
	p := m.in.Programme
	if p.ByUser || !forServers(e) || p.knows(e.Cert) {
		return nil
	}
	was, gone := removedRoots()[e.Cert.SHA256]
	switch {
	case gone:
		return say(graded(m, e, High, Low), fmt.Sprintf("%s is no longer in Mozilla's programme", name(e.Cert)), "last seen in "+was.last, data(p))
	case !m.local(e) && m.mozillaBased(s):
		return say(Low, fmt.Sprintf("%s is shipped, but not in Mozilla's programme", name(e.Cert)), data(p))
	}
	return nil
}

// mozillaBased reports whether most of what the vendor ships in a store is from
// Mozilla's programme: Windows and macOS have programmes of their own.
func (m *machine) mozillaBased(s *Store) bool {
	shipped, known := 0, 0
	for i := range s.Entries {
		if e := &s.Entries[i]; e.Cert != nil && e.Origin.By == store.ByVendor && forServers(e) {
			shipped++
			if _, gone := removedRoots()[e.Cert.SHA256]; gone || Mozilla().knows(e.Cert) {
				known++
			}
		}
	}
	return shipped > 0 && known*4 > shipped*3
}

// data tells what a comparison rests on.
func data(p *Programme) string {
	text := "compared with the " + fmt.Sprint(p.Len()) + " roots of " + store.Printable(p.Name)
	if !p.Date.IsZero() {
		text += " of " + p.Date.Format(time.DateOnly)
	}
	return text
}

func distrustAfter(m *machine, _ *Store, e *store.Entry) *Finding {
	r, ok := m.in.Programme.Has(e.Cert.SHA256)
	if !ok || r.DistrustAfter.IsZero() || !forServers(e) || !e.Trust.Rule(store.PurposeServerAuth).DistrustAfter.IsZero() {
		return nil
	}
	return say(graded(m, e, Medium, Low), fmt.Sprintf("%s is distrusted for what it issues after %s", name(e.Cert), r.DistrustAfter.Format(time.DateOnly)),
		"the store knows no such date", data(m.in.Programme))
}

func inNoProgramme(m *machine, s *Store, e *store.Entry) *Finding {
	p := m.in.Programme
	if p.knows(e.Cert) || !e.Cert.IsCA() && !p.ByUser {
		return nil // what is no authority has a rule of its own
	}
	if p.ByUser {
		return say(programmeSeverity(s), fmt.Sprintf("%s is not in %s", name(e.Cert), store.Printable(p.Name)), data(p))
	}
	if !m.local(e) {
		return nil
	}
	if _, gone := removedRoots()[e.Cert.SHA256]; gone {
		return nil
	}
	return say(programmeSeverity(s), name(e.Cert)+" is in no root programme: somebody added it", data(p))
}

func programmeSeverity(s *Store) Severity {
	if s.Info.Scope == store.ScopeUser {
		return Low
	}
	return Medium
}

// programmeMissing tells which roots of the programme a store lacks that is
// made from it.
func programmeMissing(m *machine, found func(Finding)) {
	p := m.in.Programme
	for _, s := range m.stores {
		if s.Info.DerivedFrom != "" || !p.ByUser && (s.Info.Scope != store.ScopeSystem || !m.mozillaBased(s)) {
			continue
		}
		have := map[store.Fingerprint]bool{}
		keys := map[store.Fingerprint]bool{}
		for i := range s.Entries {
			if c := s.Entries[i].Cert; c != nil {
				have[c.SHA256] = true
				keys[sha256.Sum256(c.SPKI)] = true
			}
		}
		var names []string
		for _, f := range p.sorted() {
			if !have[f] {
				names = append(names, p.roots[f].Name)
			}
		}
		if len(names) == 0 {
			continue
		}
		evidence := []string{data(p)}
		for i, n := range names {
			if i == 20 {
				evidence = append(evidence, fmt.Sprintf("and %d more", len(names)-i))
				break
			}
			evidence = append(evidence, "missing: "+store.Printable(n))
		}
		title := fmt.Sprintf("%s lacks %d roots of %s", s.Info.ID, len(names), store.Printable(p.Name))
		if len(names) == 1 {
			title = fmt.Sprintf("%s lacks a root of %s: %s", s.Info.ID, store.Printable(p.Name), store.Printable(names[0]))
		}
		found(Finding{Store: s.Info.ID, Key: "missing", Title: title,
			Evidence: evidence, Fixes: steps("update the system's package of roots", "with the package manager of the system")})
	}
}

func notCA(m *machine, _ *Store, e *store.Entry) *Finding {
	c := e.Cert
	if c.Version == 0 || c.IsCA() {
		return nil
	}
	severity := graded(m, e, High, Low)
	if !e.Trust.Has(store.Trusted) {
		severity = Low
	}
	return say(severity, name(c)+" is not a certificate authority", "its basic constraints do not say that it is one")
}

func weakKey(m *machine, _ *Store, e *store.Entry) *Finding {
	if !hasConcern(e.Cert, m.in.Now, "weak", "key") {
		return nil
	}
	return say(graded(m, e, High, Medium), fmt.Sprintf("%s has a weak key: %s", name(e.Cert), store.Printable(e.Cert.Key())))
}

func weakSignature(m *machine, _ *Store, e *store.Entry) *Finding {
	if !hasConcern(e.Cert, m.in.Now, "weak", "signature") {
		return nil
	}
	return say("", fmt.Sprintf("%s is signed with %s", name(e.Cert), store.Printable(e.Cert.SignatureAlgorithm)))
}

// hasConcern reports whether package store is concerned about a certificate,
// for a reason that has the word in it.
func hasConcern(c *store.Cert, now time.Time, code, word string) bool {
	return slices.ContainsFunc(store.Concerns(c, now), func(x store.Concern) bool {
		return x.Code == code && strings.Contains(x.Text, "its "+word)
	})
}

func notSelfSigned(_ *machine, _ *Store, e *store.Entry) *Finding {
	if !e.Cert.IsCA() || e.Cert.SelfIssued() {
		return nil
	}
	return say("", name(e.Cert)+" is an intermediate, trusted like a root", "issued by "+store.Printable(e.Cert.Issuer.String()))
}

func noKeyCertSign(m *machine, _ *Store, e *store.Entry) *Finding {
	usage, present := e.Cert.KeyUsage()
	if !present || !e.Cert.IsCA() || usage&x509.KeyUsageCertSign != 0 {
		return nil
	}
	return say(graded(m, e, Medium, Low), name(e.Cert)+" may not sign certificates, says its key usage")
}

func version1(_ *machine, _ *Store, e *store.Entry) *Finding {
	if e.Cert.Version != 1 {
		return nil
	}
	return say("", name(e.Cert)+" is of version 1")
}

func negativeSerial(_ *machine, _ *Store, e *store.Entry) *Finding {
	if e.Cert.Serial == nil || e.Cert.Serial.Sign() >= 0 {
		return nil
	}
	return say("", name(e.Cert)+" has a negative serial number")
}

func unparsable(_ *machine, _ *Store, e *store.Entry) *Finding {
	c := e.Cert
	if c.ParseError() == nil || c.Serial != nil && c.Serial.Sign() < 0 {
		return nil
	}
	return say("", name(c)+" cannot be read by strict programs", store.Printable(c.ParseError().Error()))
}

func expired(m *machine, _ *Store, e *store.Entry) *Finding {
	if e.Cert.NotAfter.IsZero() || !m.in.Now.After(e.Cert.NotAfter) {
		return nil
	}
	return say("", fmt.Sprintf("%s expired on %s", name(e.Cert), e.Cert.NotAfter.Format(time.DateOnly)))
}

// soon is from when on a root that will expire is told of.
const soon = 90 * 24 * time.Hour

func expiring(m *machine, _ *Store, e *store.Entry) *Finding {
	end := e.Cert.NotAfter
	if end.IsZero() || m.in.Now.After(end) || m.in.Now.Add(soon).Before(end) {
		return nil
	}
	f := say("", fmt.Sprintf("%s expires on %s", name(e.Cert), end.Format(time.DateOnly)))
	f.Fixes = steps("have its successor in place", "trust the renewed root, then remove this one")
	return f
}

func longValidity(m *machine, _ *Store, e *store.Entry) *Finding {
	c := e.Cert
	if !m.local(e) || m.in.Programme.knows(c) || c.NotAfter.IsZero() || c.NotBefore.AddDate(30, 0, 1).After(c.NotAfter) {
		return nil
	}
	return say("", fmt.Sprintf("%s is valid until %s", name(c), c.NotAfter.Format(time.DateOnly)), "from "+c.NotBefore.Format(time.DateOnly))
}

func nameUnconstrained(m *machine, _ *Store, e *store.Entry) *Finding {
	if !e.Cert.IsCA() || !m.local(e) || m.in.Programme.knows(e.Cert) || constrained(e) {
		return nil
	}
	f := say("", name(e.Cert)+" may vouch for any name")
	f.Fixes = steps("have it re-issued with name constraints", "its owner can limit it to names of his own")
	return f
}

func purposeAny(m *machine, s *Store, e *store.Entry) *Finding {
	if !slices.Contains(s.Info.Express.Purposes, store.PurposeCodeSigning) || !m.local(e) ||
		!forServers(e) || e.Trust.For(store.PurposeCodeSigning) != store.Trusted {
		return nil
	}
	f := say("", name(e.Cert)+" is trusted for servers, and to sign programs too", "trust: "+e.Trust.String())
	if limits := e.Cert.ExtendedKeyUsage(); limits != nil && !slices.Contains(limits, store.PurposeCodeSigning) && !slices.Contains(limits, store.PurposeAny) {
		return nil // it limits itself
	}
	if editable(s) && s.Info.Root == "" {
		fp, id, file := e.Cert.SHA256.String(), string(s.Info.ID), "./"+e.Cert.SHA256.Short()+".pem"
		f.Fixes = fix("trust it for servers alone", admin(s), run("certtrust", "export", fp, "--store", id, "--output", file),
			certtrust(s, "remove", fp), certtrust(s, "trust", file, "--purpose", "server-auth"))
	}
	return f
}
