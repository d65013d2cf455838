package nss

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// The kinds of sources.
const (
	kindCert  = "certificate"
	kindTrust = "trust" // a trust object without its certificate
)

func itoa(n int) string { return strconv.Itoa(n) }

func (s *Store) source(kind string, id int64) store.Source {
	return store.Source{Kind: kind, Path: s.certs, Item: fmt.Sprintf("%08x", uint32(id))}
}

func (s *Store) entries(st *state, yield func(store.Entry, error) bool) {
	problems := map[any][]store.Problem{}
	for _, f := range s.findings(st) {
		problems[f.about] = append(problems[f.about], f.problem)
	}
	for _, c := range st.certs {
		l, t := st.effective(c.cert)
		e := store.Entry{
			Cert: c.cert, Label: c.label, Trust: l.trust(), Source: s.source(kindCert, c.id),
			Origin: store.Origin{By: store.ByUnknown}, Problems: problems[c],
			Native: map[string]string{"trust": l.String(), "kinds": kindNames(st.of(c.cert)), "integrity": st.integrity(t)},
		}
		if e.Label == "" {
			e.Label = c.cert.Label()
		}
		if s.o.Profile && l.imported() {
			e.Origin.Detail = "imported by the program itself: a person has it trusted there, or a policy does or did"
		}
		if s.o.Origin != nil {
			if by, known := s.o.Origin(c.cert.SHA256); known {
				e.Origin = by
			}
		}
		if c.key {
			e.Native["key"] = "its private key is here"
		}
		if !yield(e, nil) {
			return
		}
	}
	for _, t := range st.ghosts() {
		e := store.Entry{
			Label: "(trust without its certificate)", Trust: t.levels.trust(), Source: s.source(kindTrust, t.id),
			Origin: store.Origin{By: store.ByUnknown}, Problems: problems[t],
			Match:  &store.Match{Issuer: t.issuer, Serial: t.serial},
			Native: map[string]string{"trust": t.levels.String(), "kinds": kinds[t.kind].name, "integrity": st.integrity(t)},
		}
		if !yield(e, nil) {
			return
		}
	}
	for _, r := range st.lost {
		e := store.Entry{
			Cert: r.cert, Label: r.label, Source: store.Source{Kind: kindTrust, Path: s.certs, Item: r.name()},
			Origin: store.Origin{By: store.ByUnknown}, Problems: problems[r],
		}
		if r.cert == nil {
			e.Label = "(trust that no program finds)"
		} else {
			e.Source.Kind = kindCert
		}
		if !yield(e, nil) {
			return
		}
	}
	for _, b := range st.broken {
		src := s.source(kindCert, b.id)
		if !yield(store.Entry{Source: src}, s.fail("read", &store.Error{Path: s.certs + " object " + src.Item, Err: b.err})) {
			return
		}
	}
	if len(problems[nil]) > 0 {
		yield(store.Entry{Label: "(the database itself)", Source: store.Source{Kind: "database", Path: s.keys},
			Origin: store.Origin{By: store.ByUnknown}, Problems: problems[nil]}, nil)
	}
}

func kindNames(list []*trustObject) string {
	var names []string
	for _, t := range list {
		if name := kinds[t.kind].name; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// integrity tells what is known of an object's signatures.
func (st *state) integrity(t *trustObject) string {
	switch {
	case t == nil:
		return ""
	case st.login == noKeys:
		return "unsigned"
	case st.login == locked:
		return "not checked"
	case t.bad > 0:
		return "bad"
	case t.missing > 0:
		return "missing"
	case t.unchecked > 0:
		return "not checked"
	}
	return "ok"
}

// finding is something wrong, and what mends it.
type finding struct {
	problem store.Problem
	about   any // a *certObject or *trustObject; nil = the database
	mend    func(e *edits)
	undo    []store.Change // what takes that back
}

// The problems, by code.
var problems = map[string]struct {
	text     string
	mendable bool
}{
	"ghost-trust":      {"trust for a certificate that is not here: a browser still honours it when a server sends the certificate", true},
	"orphan-trust":     {"a trust object without its certificate, which says nothing", true},
	"kinds-differ":     {"its two trust objects differ, so that older and newer programs take it for different things; the stricter counts when it is mended", true},
	"new-kind-only":    {"programs with an older NSS do not see that it is trusted: trust it again to have it in both forms", false},
	"hash-mismatch":    {"a trust object is about another certificate with the same issuer and serial number: nothing heeds it", true},
	"no-integrity":     {"nothing vouches for what it is trusted for, so programs do not heed it", true},
	"bad-integrity":    {"what it is trusted for was changed by somebody who could not vouch for it, so programs do not heed it", true},
	"costly-integrity": {"what vouches for what it is trusted for is made so that checking it takes too long, so that it was not checked", false},
	"fips-mode":        {"it is in FIPS mode: it is listed, and only its own programs may change it", false},
	"lost-object":      {"its number is none that an object can have: no program finds it, and a certificate of that kind keeps those that list all from finding any", true},
	"orphan-signature": {"signatures of trust objects that are not there", true},
}

func (s *Store) problem(code string, c *store.Cert, detail string) store.Problem {
	p := problems[code]
	out := store.Problem{Code: code, Path: s.certs, Text: p.text, Mendable: p.mendable}
	if detail != "" {
		out.Text += " (" + detail + ")"
	}
	if c != nil {
		fp := c.SHA256
		out.Fingerprint = &fp
	}
	return out
}

// findings returns what is wrong with a state, always in the same order.
func (s *Store) findings(st *state) (list []finding) {
	done := map[store.Fingerprint]bool{}
	for _, c := range st.certs {
		if done[c.cert.SHA256] {
			continue
		}
		done[c.cert.SHA256] = true
		list = append(list, s.certFindings(st, c)...)
	}
	for _, t := range st.ghosts() {
		code := "orphan-trust"
		switch {
		case t.said.trusts():
			code = "ghost-trust"
		case t.said.says():
			continue // distrust needs no certificate
		}
		list = append(list, finding{
			s.problem(code, nil, fmt.Sprintf("object %08x, %s", uint32(t.id), t.said)), t,
			func(e *edits) { e.dropTrust = append(e.dropTrust, t) }, nil,
		})
	}
	for _, r := range st.lost {
		f := finding{problem: s.problem("lost-object", r.cert, "object "+r.name()), about: r, mend: func(e *edits) { e.dropLost = append(e.dropLost, r) }}
		if r.cert != nil && len(st.prints[r.cert.SHA256]) == 0 {
			f.undo = []store.Change{r.back()}
		}
		list = append(list, f)
	}
	if st.fips {
		list = append(list, finding{problem: s.problem("fips-mode", nil, "")})
	}
	if len(st.orphans) > 0 {
		list = append(list, finding{
			s.problem("orphan-signature", nil, fmt.Sprintf("%d, the first is %s", len(st.orphans), store.Printable(st.orphans[0]))), nil,
			func(e *edits) { e.dropSigs = append(e.dropSigs, st.orphans...) }, nil,
		})
	}
	return list
}

func (s *Store) certFindings(st *state, c *certObject) (list []finding) {
	var byKind [2]*trustObject
	missing, bad, unchecked := 0, 0, 0
	for _, t := range st.of(c.cert) {
		if !t.matches(c.cert) {
			if t.said.says() && !st.heldElsewhere(t, c) {
				list = append(list, finding{
					s.problem("hash-mismatch", c.cert, fmt.Sprintf("object %08x", uint32(t.id))), c,
					func(e *edits) { e.dropTrust = append(e.dropTrust, t) }, nil,
				})
			}
			continue
		}
		if byKind[t.kind] == nil {
			byKind[t.kind] = t
		}
		missing, bad, unchecked = missing+t.missing, bad+t.bad, unchecked+t.unchecked
	}
	rewrite := func(l levels) func(e *edits) {
		return func(e *edits) { e.trust(st, c, l) }
	}
	newer, older := byKind[newKind], byKind[oldKind]
	now, _ := st.effective(c.cert)
	switch {
	case missing > 0 || bad > 0:
		code, l := "no-integrity", now
		if bad > 0 {
			code = "bad-integrity"
		}
		for i := range l { // distrust is kept, whoever wrote it
			if (newer != nil && newer.said[i] == levelDistrusted) || (older != nil && older.said[i] == levelDistrusted) {
				l[i] = levelDistrusted
			}
		}
		list = append(list, finding{s.problem(code, c.cert, ""), c, rewrite(l), nil})
	case newer != nil && older != nil && !newer.levels.means(older.levels):
		list = append(list, finding{s.problem("kinds-differ", c.cert,
			fmt.Sprintf("%s for newer programs, %s for older ones", newer.levels, older.levels)), c, rewrite(stricter(newer.levels, older.levels)), nil})
	case newer != nil && older == nil && !s.o.Profile && newer.levels.says():
		list = append(list, finding{s.problem("new-kind-only", c.cert, ""), c, nil, nil})
	}
	if unchecked > 0 {
		list = append(list, finding{s.problem("costly-integrity", c.cert, ""), c, nil, nil})
	}
	return list
}

// heldElsewhere reports whether another certificate here is the one that the
// object is about.
func (st *state) heldElsewhere(t *trustObject, not *certObject) bool {
	return slices.ContainsFunc(st.holding(t.issuer, t.serial), func(c *certObject) bool {
		return c.cert.SHA256 != not.cert.SHA256 && t.matches(c.cert)
	})
}

// stricter returns the levels that trust the least.
func stricter(a, b levels) levels {
	for i := range a {
		switch {
		case a[i] == levelDistrusted || b[i] == levelDistrusted:
			a[i] = levelDistrusted
		case decisions[a[i]] != decisions[b[i]]:
			if decisions[b[i]] == store.Unspecified || a[i] == levelAnchor {
				a[i] = b[i]
			}
		}
	}
	return a
}
