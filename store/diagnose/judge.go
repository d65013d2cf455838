package diagnose

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/certtrust/certtrust/store"
)

// place is where in a path a certificate stands. Clients differ in what they
// mind where.
type place int

const (
	atLeaf   place = iota
	atCA           // between the leaf and the top
	atAnchor       // the top, if it is trusted
	nowhere        // it is about the server or the store
)

// finding is a cause before it is put in words.
type finding struct {
	code       string
	severity   Severity
	confidence Confidence
	cert       *node
	depth      int
	place      place
	detail     string // tells apart what clients tell apart
	args       []any  // of the sentence of the code
	evidence   []Evidence
	hint       string
	identified string
	repair     *Repair
	repairable bool
	stores     []store.ID
}

// judge tells what is wrong with a path, at a time and for a store. It does
// not tell whether the path ends where it should: see [engine.untrusted].
func (e *engine) judge(p path, s *shelf, now time.Time) (out []finding) {
	for i, n := range p.certs {
		where := atCA
		switch {
		case i == 0:
			where = atLeaf
		case i == len(p.certs)-1 && p.anchor != nil:
			where = atAnchor
		}
		add := func(code string, severity Severity, args []any, evidence ...Evidence) *finding {
			out = append(out, finding{code: code, severity: severity, confidence: Proven, cert: n, depth: i, place: where, args: args, evidence: evidence})
			return &out[len(out)-1]
		}
		name := e.name(n)

		e.judgeForm(n, name, add)
		e.judgeTime(p, i, now, add)
		if i > 0 {
			e.judgeIssuer(p, i, where, add)
		}
		if i+1 < len(p.certs) {
			e.judgeLink(p, i, add)
		}
		e.judgeKey(n, name, add)
		e.judgePurpose(n, i, name, add)
		if s != nil {
			e.judgeDistrust(p, i, s, add)
		}
	}
	return out
}

type adder = func(code string, severity Severity, args []any, evidence ...Evidence) *finding

// handled are the extensions that verifiers know, and may therefore be critical.
var handled = map[string]bool{
	"2.5.29.14": true, "2.5.29.15": true, "2.5.29.17": true, "2.5.29.18": true, "2.5.29.19": true, "2.5.29.30": true,
	"2.5.29.31": true, "2.5.29.32": true, "2.5.29.33": true, "2.5.29.35": true, "2.5.29.36": true, "2.5.29.37": true,
	"2.5.29.54": true, "1.3.6.1.5.5.7.1.1": true, "1.3.6.1.5.5.7.1.24": true,
}

func (e *engine) judgeForm(n *node, name string, add adder) {
	negative := n.Serial != nil && n.Serial.Sign() < 0
	switch {
	case n.Parsed() == nil && n.Version == 0:
		add("cert.malformed", Error, []any{name, e.t(wordUnreadable)}, e.field(n, "certificate", e.t(wordUnreadable), e.t(wordDER)))
	case negative:
		f := add("cert.malformed", Warning, []any{name, e.t(wordNegativeSerial)}, e.field(n, "serialNumber", n.Serial.String(), "> 0"))
		f.detail = "negative-serial"
	case n.Parsed() == nil:
		reason := store.Printable(n.ParseError().Error())
		f := add("cert.malformed", Error, []any{name, reason}, e.field(n, "certificate", reason, e.t(wordDER)))
		if n.KeyAlgorithm == "EC" && n.key == nil {
			f.detail = "curve"
		}
	}
	var unknown []string
	for _, x := range n.Extensions {
		if x.Critical && !handled[x.OID] {
			unknown = append(unknown, x.OID)
		}
	}
	if n.Parsed() != nil { // it knows which parts of a known extension it did not take
		for _, oid := range n.Parsed().UnhandledCriticalExtensions {
			if !slices.Contains(unknown, oid.String()) {
				unknown = append(unknown, oid.String())
			}
		}
	}
	if len(unknown) > 0 {
		add("cert.critical_extension", Error, []any{name, strings.Join(unknown, ", ")}, e.field(n, "extensions", strings.Join(unknown, ", "), e.t(wordNotCritical)))
	}
}

func (e *engine) judgeTime(p path, i int, now time.Time, add adder) {
	n := p.certs[i]
	name := e.name(n)
	switch {
	case !n.NotAfter.IsZero() && now.After(n.NotAfter):
		code := "time.intermediate_expired"
		switch {
		case i == 0:
			code = "time.leaf_expired"
		case n.SelfIssued():
			code = "time.root_expired"
		}
		add(code, Error, []any{name, e.day(n.NotAfter), e.age(now.Sub(n.NotAfter))},
			e.field(n, "notAfter", n.NotAfter.Format(time.RFC3339), "> "+now.UTC().Format(time.RFC3339)))
	case now.Before(n.NotBefore):
		add("time.not_yet_valid", Error, []any{name, e.day(n.NotBefore), e.age(n.NotBefore.Sub(now))},
			e.field(n, "notBefore", n.NotBefore.Format(time.RFC3339), "< "+now.UTC().Format(time.RFC3339)))
	}
}

// judgeIssuer tells whether what has issued another certificate of the path
// may do so.
func (e *engine) judgeIssuer(p path, i int, where place, add adder) {
	n := p.certs[i]
	name, below := e.name(n), e.name(p.certs[i-1])
	ca, present := n.BasicConstraints()
	switch {
	case present && !ca:
		add("cert.not_a_ca", Error, []any{name, below}, e.field(n, "basicConstraints", "CA:FALSE", "CA:TRUE"))
	case !present && n.Version >= 3:
		f := add("cert.not_a_ca", Error, []any{name, below}, e.field(n, "basicConstraints", e.t(wordMissing), "CA:TRUE"))
		f.detail = "no-bc"
		if _, has := n.KeyUsage(); has && signs(n) {
			f.detail = "no-bc-usage" // which OpenSSL takes for an authority's
		}
	case !present && where != atAnchor:
		f := add("cert.not_a_ca", Error, []any{name, below}, e.field(n, "version", fmt.Sprint(n.Version), "3"))
		f.detail = "v1"
	}
	if !signs(n) {
		add("cert.key_usage", Error, []any{name, e.t(wordKeyCertSign)}, e.field(n, "keyUsage", usages(n), "keyCertSign"))
	}
	if limit := pathLength(n); limit >= 0 && i-1 > limit {
		add("cert.path_length", Error, []any{name, limit, i - 1}, e.field(n, "pathLenConstraint", fmt.Sprint(limit), fmt.Sprintf(">= %d", i-1)))
	}
	e.judgeConstraints(p, i, add)
}

// pathLength returns the pathLenConstraint, -1 if there is none.
func pathLength(n *node) int {
	x := n.Extension("2.5.29.19")
	if x == nil {
		return -1
	}
	var v struct {
		CA     bool `asn1:"optional"`
		Length int  `asn1:"optional,default:-1"`
	}
	if _, err := asn1.Unmarshal(x.Value, &v); err != nil {
		return -1
	}
	return v.Length
}

var usageNames = []string{"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement", "keyCertSign", "cRLSign", "encipherOnly", "decipherOnly"}

func usages(n *node) string {
	var out []string
	usage, _ := n.KeyUsage()
	for i, name := range usageNames {
		if usage&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return strings.Join(out, ", ")
}

func weakSignature(name string) bool {
	return strings.HasPrefix(name, "SHA1-") || strings.HasPrefix(name, "MD5-") || strings.HasPrefix(name, "MD2-")
}

// judgeLink tells what is wrong with the signature between i and i+1.
func (e *engine) judgeLink(p path, i int, add adder) {
	n, issuer := p.certs[i], p.certs[i+1]
	d := e.link(n, issuer)
	switch {
	case d.signature == unknownSignature:
		add("cert.unsupported_algorithm", Error, []any{e.name(n), n.SignatureAlgorithm}, e.field(n, "signatureAlgorithm", n.SignatureAlgorithm, "RSA, ECDSA, Ed25519"))
	case weakSignature(n.SignatureAlgorithm):
		f := add("cert.weak_signature", Error, []any{e.name(n), n.SignatureAlgorithm}, e.field(n, "signatureAlgorithm", n.SignatureAlgorithm, e.t(wordSHA2)))
		if f.detail = "md5"; strings.HasPrefix(n.SignatureAlgorithm, "SHA1-") {
			f.detail = "sha1"
		}
	}
	if d.ids < 0 {
		add("cert.key_id_mismatch", Warning, []any{e.name(n), e.name(issuer)},
			e.field(n, "authorityKeyIdentifier", fmt.Sprintf("%x", n.authority), fmt.Sprintf("%x", issuer.keyID)))
	}
}

func (e *engine) judgeKey(n *node, name string, add adder) {
	severity := Severity("")
	switch {
	case n.KeyAlgorithm == "RSA" || n.KeyAlgorithm == "RSA-PSS":
		if n.KeyBits > 0 && n.KeyBits < 2048 {
			severity = Warning
		}
		if n.KeyBits > 0 && n.KeyBits < 1024 {
			severity = Error
		}
	case n.KeyAlgorithm == "DSA":
		severity = Error
	case n.KeyAlgorithm == "EC" && n.KeyBits > 0 && n.KeyBits < 224:
		severity = Error
	}
	if severity != "" {
		add("cert.weak_key", severity, []any{name, n.Key()}, e.field(n, "subjectPublicKeyInfo", n.Key(), e.t(wordStrongKey)))
	}
}

func (e *engine) judgePurpose(n *node, i int, name string, add adder) {
	if eku := n.ExtendedKeyUsage(); eku != nil && !slices.Contains(eku, store.PurposeServerAuth) && !slices.Contains(eku, store.PurposeAny) {
		var list []string
		for _, p := range eku {
			list = append(list, string(p))
		}
		add("cert.eku", Error, []any{name, strings.Join(list, ", ")}, e.field(n, "extendedKeyUsage", strings.Join(list, ", "), "server-auth"))
	}
	if i > 0 {
		return
	}
	usage, present := n.KeyUsage()
	switch {
	case present && usage&(x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment|x509.KeyUsageKeyAgreement) == 0:
		add("cert.key_usage", Error, []any{name, e.t(wordDigitalSignature)}, e.field(n, "keyUsage", usages(n), "digitalSignature"))
	case present && usage&x509.KeyUsageDigitalSignature == 0 && !(e.in.Capture.TLSVersion != 0 && strings.HasPrefix(e.cipher(), "TLS_RSA_")):
		f := add("cert.key_usage", Warning, []any{name, e.t(wordDigitalSignature)}, e.field(n, "keyUsage", usages(n), "digitalSignature"))
		f.detail = "no-signature"
	}
	if n.IsCA() {
		add("cert.ca_as_leaf", Warning, []any{name}, e.field(n, "basicConstraints", "CA:TRUE", "CA:FALSE"))
	}
	days := int(n.NotAfter.Sub(n.NotBefore).Hours() / 24)
	if days > 825 && n.NotBefore.After(time.Date(2019, 7, 1, 0, 0, 0, 0, time.UTC)) {
		add("time.validity_too_long", Warning, []any{name, days, 825}, e.field(n, "validity", fmt.Sprint(days), "<= 825"))
	}
}

// judgeDistrust tells what the store has against a certificate of the path.
func (e *engine) judgeDistrust(p path, i int, s *shelf, add adder) {
	n := p.certs[i]
	if s.refuses(n) {
		f := add("trust.distrusted", Error, []any{e.name(n), s.shown()}, e.evidence("store", evDistrusted, s.shown(), e.name(n)))
		f.stores = []store.ID{s.id}
	}
	if i != len(p.certs)-1 || p.anchor == nil {
		return
	}
	issued := p.certs[0].NotBefore
	if limit := p.anchor.rule.DistrustAfter; !limit.IsZero() && issued.After(limit) {
		f := add("trust.distrust_after", Error, []any{e.name(n), e.day(limit), e.day(issued)},
			e.field(p.certs[0], "notBefore", issued.Format(time.RFC3339), "<= "+limit.Format(time.RFC3339)))
		f.stores = []store.ID{s.id}
	} else if root, ok := e.programme.ByFingerprint(n.SHA256); ok && limit.IsZero() && !root.DistrustAfter.IsZero() && issued.After(root.DistrustAfter) {
		f := add("trust.distrust_after", Warning, []any{e.name(n), e.day(root.DistrustAfter), e.day(issued)},
			e.field(p.certs[0], "notBefore", issued.Format(time.RFC3339), "<= "+root.DistrustAfter.Format(time.RFC3339)))
		f.detail = "programme"
	}
	if hosts := p.anchor.rule.Hosts; len(hosts) > 0 && !slices.ContainsFunc(hosts, func(h string) bool { return hostIn(h, e.host) }) {
		f := add("trust.wrong_purpose", Error, []any{e.name(n), s.shown(), strings.Join(hosts, ", ")}, e.evidence("store", evOnlyHosts, s.shown(), e.name(n), strings.Join(hosts, ", ")))
		f.stores = []store.ID{s.id}
		f.detail = "hosts"
	}
}

func hostIn(pattern, host string) bool {
	return strings.EqualFold(pattern, host) || matchDNS(pattern, host)
}

// judgeConstraints holds the names of the leaf against the name constraints of
// the authority i.
func (e *engine) judgeConstraints(p path, i int, add adder) {
	c := p.certs[i].Parsed()
	if c == nil || p.certs[i].Extension("2.5.29.30") == nil {
		return
	}
	leaf := p.certs[0]
	bad := func(name, rule string, excluded bool) {
		f := add("cert.name_constraints", Error, []any{e.name(p.certs[i]), name}, e.field(p.certs[i], "nameConstraints", name, rule))
		if f.detail = "permitted"; excluded {
			f.detail = "excluded"
		}
	}
	// One name is enough to tell what is wrong, and hostile lists are long.
	for _, name := range leaf.dns[:min(len(leaf.dns), 200)] {
		for _, x := range c.ExcludedDNSDomains {
			if inDomain(name, x) {
				bad(name, e.t(wordExcluded, x), true)
				return
			}
		}
		if len(c.PermittedDNSDomains) > 0 && !slices.ContainsFunc(c.PermittedDNSDomains, func(d string) bool { return inDomain(name, d) }) {
			bad(name, strings.Join(c.PermittedDNSDomains, ", "), false)
			return
		}
	}
	for _, ip := range leaf.ips[:min(len(leaf.ips), 200)] {
		for _, x := range c.ExcludedIPRanges {
			if x.Contains(ip.AsSlice()) {
				bad(ip.String(), e.t(wordExcluded, x), true)
				return
			}
		}
		if len(c.PermittedIPRanges) > 0 && !permitted(c, ip) {
			bad(ip.String(), fmt.Sprint(c.PermittedIPRanges), false)
			return
		}
	}
}

func permitted(c *x509.Certificate, ip netip.Addr) bool {
	for _, r := range c.PermittedIPRanges {
		if r.Contains(ip.AsSlice()) {
			return true
		}
	}
	return false
}

// inDomain tells whether a DNS name lies in a domain of a name constraint
// (RFC 5280, 4.2.1.10). A wildcard stands for any of its names.
func inDomain(name, domain string) bool {
	name, domain = strings.ToLower(strings.TrimSuffix(name, ".")), strings.ToLower(domain)
	if domain == "" {
		return true
	}
	if strings.HasPrefix(domain, ".") { // widely used, though not of the RFC: only below
		return strings.HasSuffix(name, domain)
	}
	return name == domain || strings.HasSuffix(name, "."+domain)
}
