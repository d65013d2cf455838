package anchors

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// The kinds of sources.
const (
	kindAnchor = "anchor" // a file that the tool reads
	kindBundle = "bundle" // an entry of the bundle that comes from no anchor
	kindLink   = "link"   // a link in the hash directory
	kindStray  = "stray"  // a file in the hash directory that is not the tool's
	kindBlock  = "blocklist"
)

// The problems, by code: what they mean, and whether a repair can mend them.
var problems = map[string]struct {
	text     string
	mendable bool
}{
	"anchor-not-in-bundle": {"it is an anchor, but not in the bundle: programs do not trust it before the next update", true},
	"no-anchor":            {"it is in the bundle, but comes from no anchor: the next update drops it", true},
	"doubled-bundle":       {"it holds certificates more than once: two updates have run at the same time", true},
	"still-in-bundle":      {"the vendor's list disables it, but the bundle still holds it until the next update", true},
	"no-hash-link":         {"no hash link leads to it: programs that look certificates up in the directory do not find it", true},
	"same-name":            {"another anchor has the same file name, and the one link for it: programs that look certificates up in the directory do not find this one", false},
	"dangling-link":        {"the link leads nowhere", true},
	"stale-temporary":      {"an interrupted update left it behind: the next update adds to it, and programs that read the whole directory trust it", true},
	"stray-file":           {"the update tool did not put it there, but programs that read the whole directory, such as Go's, trust what is in it", false},
	"stray-backup":         {"a copy that somebody has kept where programs that read the whole directory, such as Go's, trust what is in it", true},
	"left-behind":          {"an interrupted change of certtrust left it behind", true},
	"not-pem":              {"it is DER, which the update tool copies as it is: nothing trusts it; import it with certtrust", false},
	"several-certificates": {"the file holds more than one certificate, so none of them gets a hash link", false},
	"private-key":          {"the file holds a private key, and its content is copied into a file that everybody can read", true},
	"no-certificate":       {"there is no certificate in it", false},
	"unreadable-block":     {"part of it cannot be read", false},
	"trusted-certificate":  {"a TRUSTED CERTIFICATE: it has a trust list of its own, which some programs follow and others do not", false},
	"not-for-everybody":    {"only root can read it: programs of other users do not trust it", false},
	"ignored-name":         {"its name does not end in .crt, so the update tool passes it over", false},
	"not-a-file":           {"it is a directory or a link to nothing, so the update tool passes it over", false},
	"not-listed":           {"the vendor's list does not name it", false},
	"listed-but-missing":   {"the vendor's list names it, but it is not there", false},
	"newline-in-name":      {"its name holds a line break, with which every update fails until the file is gone", true},
	"java-lacks":           {"Java's generated key store lacks it", true},
	"java-keeps":           {"Java's generated key store still holds it", true},
	"java-unreadable":      {"Java's generated key store cannot be read", false},
	"update-pending":       {"an update of Java's key store was put off and is still to be done", true},
}

func problem(code, path string) store.Problem {
	p, ok := problems[code]
	if !ok {
		p = folderProblems[code]
	}
	return store.Problem{Code: code, Path: path, Text: p.text, Mendable: p.mendable}
}

// entries yields the entries of a state. Who put an anchor there is what of
// says.
func (s *Store) entries(st *state, of originOf, yield func(store.Entry, error) bool) {
	for _, part := range []func(*state, originOf, func(store.Entry, error) bool) bool{
		s.anchorEntries, s.bundleEntries, s.strayEntries, s.linkEntries,
	} {
		if !part(st, of, yield) {
			return
		}
	}
}

// originOf tells who put an anchor there; the certificate is nil for a file
// without one.
type originOf func(a anchor, c *store.Cert) store.Origin

// blank returns the entry for something without a certificate.
func blank(kind, file string, by store.Origin, problems ...store.Problem) store.Entry {
	return store.Entry{Label: path.Base(file), Source: store.Source{Kind: kind, Path: file}, Origin: by, Problems: problems}
}

func (s *Store) anchorEntries(st *state, of originOf, yield func(store.Entry, error) bool) bool {
	for _, a := range st.anchors {
		src := store.Source{Kind: kindAnchor, Path: a.path}
		if a.err != nil {
			e, err := blank(kindAnchor, a.path, of(a, nil)), error(nil)
			switch {
			case !errors.Is(a.err, errNoFile):
				e, err = store.Entry{Source: src}, s.fail("read", a.path, a.err)
			case a.listed && !a.enabled:
				continue // neither there nor wanted
			case a.listed:
				e.Problems = []store.Problem{problem("listed-but-missing", a.path)}
			default:
				e.Problems = []store.Problem{problem("not-a-file", a.path)}
			}
			if !yield(e, err) {
				return false
			}
			continue
		}
		ofFile := mendableIf(canBeRewritten(a), s.fileProblems(a.path, a.file, forEverybody(a.mode)))
		if a.vendor && !a.listed {
			ofFile = append(ofFile, problem("not-listed", a.path))
		}
		if len(a.file.Items) == 0 {
			if !yield(blank(kindAnchor, a.path, of(a, nil), append(ofFile, problem("no-certificate", a.path))...), nil) {
				return false
			}
			continue
		}
		for i, item := range a.file.Items {
			e := store.Entry{Cert: item.Cert, Label: item.Cert.Label(), Origin: of(a, item.Cert), Source: src}
			if len(a.file.Items) > 1 {
				e.Source.Item = strconv.Itoa(i + 1)
			}
			e.Problems = slices.Clone(ofFile)
			e.Trust, e.Problems = s.anchorTrust(st, a, item, e.Problems)
			if !yield(e, nil) {
				return false
			}
		}
	}
	for _, file := range st.ignored {
		if !yield(blank(kindAnchor, file, store.Origin{By: store.ByAdmin}, problem("ignored-name", file)), nil) {
			return false
		}
	}
	for _, file := range s.leftovers(st) {
		if !yield(blank(kindStray, file, store.Origin{By: store.ByCerttrust}, problem("left-behind", file)), nil) {
			return false
		}
	}
	return true
}

// anchorTrust returns how readers take an anchor's certificate, and adds what
// is wrong with it.
func (s *Store) anchorTrust(st *state, a anchor, item certfile.Item, list []store.Problem) (store.Trust, []store.Problem) {
	fp := item.Cert.SHA256
	switch {
	case item.TrustedLabel:
		return auxTrust(item), append(list, problem("trusted-certificate", a.path))
	case a.der:
		return nil, append(list, problem("not-pem", a.path))
	case !a.enabled && st.inBundle[fp] && !st.expected()[fp]:
		list = append(list, problem("still-in-bundle", a.path))
	case !a.enabled && !st.inBundle[fp] && a.listed:
		return store.TrustFor(store.Distrusted, store.PurposeAny), list
	case !a.enabled && !st.inBundle[fp]:
		return nil, list
	case !st.inBundle[fp] && item.Cert.Version == 0:
		return nil, append(list, problem("no-certificate", a.path))
	case !st.inBundle[fp]:
		return nil, append(list, problem("anchor-not-in-bundle", a.path))
	}
	if a.enabled && len(a.file.Items) == 1 && !st.indexed[fp] {
		code := "no-hash-link"
		if s.shadowed(st, a) {
			code = "same-name"
		}
		list = append(list, problem(code, a.path))
	}
	return store.TrustFor(store.Trusted, store.PurposeAny), list
}

// auxTrust reads the trust list of a TRUSTED CERTIFICATE as OpenSSL does
// (openssl-x509, Trust Settings).
func auxTrust(item certfile.Item) store.Trust {
	var t store.Trust
	if item.Aux == nil || (len(item.Aux.Trust) == 0 && len(item.Aux.Reject) == 0) {
		return nil
	}
	for _, oid := range item.Aux.Reject {
		if p, err := store.ParsePurpose(oid); err == nil {
			t = append(t, store.Rule{Purpose: p, Decision: store.Distrusted})
		}
	}
	for _, oid := range item.Aux.Trust {
		if p, err := store.ParsePurpose(oid); err == nil {
			t = append(t, store.Rule{Purpose: p, Decision: store.Trusted})
		}
	}
	return t.Normal()
}

// fileProblems returns what is wrong with a file that holds certificates.
func (s *Store) fileProblems(file string, content *certfile.File, forEverybody bool) []store.Problem {
	var list []store.Problem
	if !forEverybody {
		list = append(list, problem("not-for-everybody", file))
	}
	if strings.ContainsAny(file, "\n\r") {
		list = append(list, problem("newline-in-name", file))
	}
	if len(content.Items) > 1 {
		list = append(list, problem("several-certificates", file))
	}
	for _, n := range content.Notices {
		if _, known := problems[n.Code]; known {
			p := problem(n.Code, file)
			p.Text = fmt.Sprintf("line %d: %s", n.Line, p.Text)
			list = append(list, p)
		}
	}
	return list
}

// shadowed reports whether another anchor has the link that is the anchor's by
// its name: the last one that the tool takes.
func (s *Store) shadowed(st *state, a anchor) bool {
	name := linkName(a.path, s.family.suffix)
	return slices.ContainsFunc(st.anchors, func(b anchor) bool {
		return b.enabled && b.err == nil && b.path != a.path && linkName(b.path, s.family.suffix) == name
	})
}

func (s *Store) bundleEntries(st *state, _ originOf, yield func(store.Entry, error) bool) bool {
	src := store.Source{Kind: kindBundle, Path: s.family.bundle}
	if st.bundleErr != nil && !absent(st.bundleErr) {
		return yield(store.Entry{Source: src}, s.fail("read", s.family.bundle, st.bundleErr))
	}
	var ofFile []store.Problem
	if st.bundleErr == nil {
		for _, p := range mendableIf(!st.keepsKey(), s.fileProblems(s.family.bundle, st.bundle, forEverybody(st.bundleMode))) {
			if p.Code != "several-certificates" {
				ofFile = append(ofFile, p)
			}
		}
		if st.doubled() {
			ofFile = append(ofFile, problem("doubled-bundle", s.family.bundle))
		}
	}
	if len(ofFile) > 0 && !yield(blank(kindBundle, s.family.bundle, store.Origin{By: store.ByUnknown}, ofFile...), nil) {
		return false
	}
	known := map[store.Fingerprint]bool{}
	for _, a := range st.anchors {
		if a.file != nil && !a.der {
			for _, item := range a.file.Items {
				known[item.Cert.SHA256] = true
			}
		}
	}
	for i, item := range st.bundle.Items {
		if known[item.Cert.SHA256] {
			continue
		}
		known[item.Cert.SHA256] = true
		e := store.Entry{Cert: item.Cert, Label: item.Cert.Label(), Source: src, Origin: store.Origin{By: store.ByUnknown},
			Trust:    store.TrustFor(store.Trusted, store.PurposeAny),
			Problems: []store.Problem{problem("no-anchor", s.family.bundle)}}
		e.Source.Item = strconv.Itoa(i + 1)
		if item.TrustedLabel {
			e.Trust = auxTrust(item)
		}
		if !yield(e, nil) {
			return false
		}
	}
	return true
}

// strayEntries yields what is in the hash directory and is not the tool's: one
// entry for each certificate that is trusted only through it, or else one for
// the file.
func (s *Store) strayEntries(st *state, _ originOf, yield func(store.Entry, error) bool) bool {
	for _, x := range st.strays {
		src := store.Source{Kind: kindStray, Path: x.path}
		if x.to != "" {
			src.Kind = kindLink
		}
		if x.err != nil {
			if !yield(store.Entry{Source: src}, s.fail("read", x.path, x.err)) {
				return false
			}
			continue
		}
		if !s.yieldStray(st, src, x, yield) {
			return false
		}
	}
	return true
}

func (s *Store) yieldStray(st *state, src store.Source, x stray, yield func(store.Entry, error) bool) bool {
	code := "stray-file"
	switch {
	case x.stale:
		code = "stale-temporary"
	case isBackup(x):
		code = "stray-backup"
	}
	certs := plainCerts(x.file)
	if len(certs) == 0 && !x.stale {
		return true // such as a README: no program takes anything from it
	}
	e := blank(src.Kind, x.path, store.Origin{By: store.ByUnknown}, append(mendableIf(false, s.fileProblems(x.path, x.file, true)), problem(code, x.path))...)
	e.Problems = slices.DeleteFunc(e.Problems, func(p store.Problem) bool { return p.Code == "several-certificates" })
	extra := false
	for i, c := range certs {
		if st.inBundle[c.SHA256] || c.Version == 0 {
			continue
		}
		extra = true
		e.Cert, e.Label, e.Trust = c, c.Label(), store.TrustFor(store.Trusted, store.PurposeAny)
		e.Source.Item = strconv.Itoa(i + 1)
		if !yield(e, nil) {
			return false
		}
	}
	// What is in the bundle all the same is told of there, if it should not be.
	if extra || st.isAnchor(x) {
		return true
	}
	return yield(e, nil)
}

// isAnchor reports whether a link leads to an anchor, one that is not in use.
func (st *state) isAnchor(x stray) bool {
	return slices.ContainsFunc(st.anchors, func(a anchor) bool { return a.path == x.to })
}

// linkEntries yields the links in the hash directory that lead nowhere.
func (s *Store) linkEntries(st *state, _ originOf, yield func(store.Entry, error) bool) bool {
	there := map[string]bool{}
	for _, a := range st.anchors {
		there[a.path] = a.err == nil
	}
	for _, name := range sortedKeys(st.links) {
		at := s.link(name)
		if there[s.leadsTo(st, name)] || !s.dangles(st, name) {
			continue
		}
		if !yield(blank(kindLink, at, store.Origin{By: store.ByUnknown}, problem("dangling-link", at)), nil) {
			return false
		}
	}
	return true
}
