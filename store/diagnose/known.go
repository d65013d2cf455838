package diagnose

import (
	"embed"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/certtrust/certtrust/store"
)

// data holds what is known of certain authorities; each row has its source.
//
//go:embed data/*.tsv
var data embed.FS

// tableRows reads a table, without its header.
func tableRows(name string) (out [][]string) {
	text, err := data.ReadFile("data/" + name)
	if err != nil {
		return nil
	}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		out = append(out, strings.Split(line, "\t"))
	}
	return out
}

// interceptor is a product that decrypts connections and signs them anew.
type interceptor struct {
	product string
	cn, o   *regexp.Regexp // nil: any
	kind    string         // antivirus, proxy, debugging
}

var interceptors = sync.OnceValue(func() (out []interceptor) {
	compile := func(s string) *regexp.Regexp {
		if s == "" {
			return nil
		}
		return regexp.MustCompile("^(?:" + s + ")$")
	}
	for _, r := range tableRows("interception.tsv") {
		out = append(out, interceptor{r[0], compile(r[1]), compile(r[2]), r[3]})
	}
	return out
})

// intercepted returns the product that an authority of that name is of.
func intercepted(n store.Name) *interceptor {
	var cn, o string
	for _, a := range n.Attributes {
		switch a.OID {
		case "2.5.4.3":
			cn = a.Value
		case "2.5.4.10":
			o = a.Value
		}
	}
	list := interceptors()
	for i := range list {
		k := &list[i]
		if (k.cn == nil || k.cn.MatchString(cn)) && (k.o == nil || k.o.MatchString(o)) {
			return k
		}
	}
	return nil
}

// badRoot is an authority that nobody should trust, such as one whose private
// key everybody has.
type badRoot struct{ name, source string }

var badRoots = sync.OnceValue(func() map[string]badRoot {
	out := map[string]badRoot{}
	for _, r := range tableRows("knownbad.tsv") {
		for _, hash := range r[1:3] {
			if hash != "" {
				out[hash] = badRoot{r[3], r[4]}
			}
		}
	}
	return out
})

// KnownBad returns what is known against a certificate, by its fingerprint or
// its key: a name with the reason, "" if nothing is.
func KnownBad(c *store.Cert) string {
	n := newNode(c, "", -1)
	bad, _ := knownBad(badRoots(), n)
	return bad.name
}

// KnownBadHash returns what is known against a certificate by its fingerprint
// alone, where there is nothing more of it.
func KnownBadHash(f store.Fingerprint) string { return badRoots()[f.String()].name }

func knownBad(list map[string]badRoot, n *node) (badRoot, bool) {
	if b, ok := list[n.SHA256.String()]; ok {
		return b, true
	}
	b, ok := list[hex.EncodeToString(n.spki[:])]
	return b, ok
}

// Intercepts returns the product that decrypts connections and has an
// authority of that name, and its kind (antivirus, proxy, debugging); "" if
// none is known.
func Intercepts(n store.Name) (product, kind string) {
	if k := intercepted(n); k != nil {
		return k.product, k.kind
	}
	return "", ""
}

// judgeKnown looks for authorities that are known to be bad, or to be those of
// proxies. What a server calls itself proves nothing: only issuers are asked.
func (e *engine) judgeKnown() {
	trusted := false
	var seen []*node // not what is sent besides: it vouches for nothing
	see := func(p path) {
		for _, n := range p.certs {
			if !slices.Contains(seen, n) {
				seen = append(seen, n)
			}
		}
	}
	for _, o := range e.outcomes {
		trusted = trusted || o.path.anchor != nil && o.shelf.view.Counts
		see(o.path)
	}
	if !trusted {
		_, all := e.search(e.everything(), e.leaf)
		for _, p := range all[:min(len(all), 4)] {
			see(p)
		}
	}
	for _, n := range seen {
		if bad, ok := knownBad(e.bad, n); ok {
			depth := max(slices.Index(e.mainOutcome().path.certs, n), 0)
			f := finding{code: "trust.known_bad_root", severity: Error, confidence: Proven, cert: n, depth: depth, place: atCA,
				args: []any{e.name(n), bad.name}, identified: bad.name,
				evidence: []Evidence{e.evidenceData("field", evKnownBad, n, e.name(n), n.SHA256.String(), bad.name, bad.source)}}
			e.report(f)
		}
	}
	var found *interceptor
	var by *node
	issuer := ""
	for _, n := range seen {
		if k := intercepted(n.Issuer); k != nil && !(n == e.leaf && n.SelfIssued()) {
			found, by, issuer = k, n, e.distinguished(n.Issuer)
			break
		}
	}
	if found == nil {
		return
	}
	f := finding{code: "trust.interception", severity: Error, confidence: Likely, cert: by, depth: max(slices.Index(e.sent, by), 0), place: atCA,
		args: []any{issuer, found.product}, identified: found.product, detail: found.kind,
		evidence: []Evidence{e.evidenceData("field", evIntercepts, by, issuer, found.product)}}
	if trusted {
		f.severity = Warning
	}
	e.report(f)
}
