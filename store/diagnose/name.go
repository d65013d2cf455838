package diagnose

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/certtrust/certtrust/store"
)

// matchDNS tells whether a name of a certificate, which may begin with a
// wildcard label, is for a host (RFC 6125, 6.4).
func matchDNS(pattern, host string) bool {
	pattern, host = strings.ToLower(strings.TrimSuffix(pattern, ".")), strings.ToLower(strings.TrimSuffix(host, "."))
	if pattern == "" || host == "" {
		return false
	}
	if rest, ok := strings.CutPrefix(pattern, "*."); ok {
		_, parent, found := strings.Cut(host, ".")
		return found && rest == parent && strings.Contains(rest, ".")
	}
	return pattern == host
}

// address reads a host that is an IP address.
func address(host string) (netip.Addr, bool) {
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return ip.Unmap().WithZone(""), err == nil
}

// covers tells whether the leaf's alternative names are for the host.
func covers(n *node, host string) bool {
	if ip, ok := address(host); ok {
		return slices.Contains(n.ips, ip)
	}
	// Go takes "*.com" and the like, which nobody else does.
	return (n.Parsed() == nil || n.Parsed().VerifyHostname(host) == nil) && slices.ContainsFunc(n.dns, func(p string) bool { return matchDNS(p, host) })
}

// defaults are the certificates that servers present when they have none for
// the name: of the subject or the issuer.
var defaults = sync.OnceValue(func() []defaultName {
	return []defaultName{
		{"Kubernetes Ingress", regexp.MustCompile(`(?i)^Kubernetes Ingress Controller Fake Certificate$`)},
		{"Traefik", regexp.MustCompile(`^TRAEFIK DEFAULT CERT$`)},
		{"Plesk", regexp.MustCompile(`^(Plesk|Parallels Panel)$`)},
		{"badssl", regexp.MustCompile(`^badssl-fallback-unknown-subdomain-or-no-sni$`)},
		{"Apache", regexp.MustCompile(`^localhost\.localdomain$`)},
		{"cPanel", regexp.MustCompile(`(?i)^cpanel default`)},
		{"HAProxy", regexp.MustCompile(`(?i)^haproxy default`)},
		{"IIS", regexp.MustCompile(`^WMSvc-`)},
		{"Azure", regexp.MustCompile(`^\*\.azurewebsites\.net$`)},
		{"Debian", regexp.MustCompile(`(?i)^(ssl-cert-)?snakeoil`)},
	}
})

type defaultName struct {
	product string
	pattern *regexp.Regexp
}

// judgeName tells whether the certificate is for the host, and if not, why.
func (e *engine) judgeName() (out []finding) {
	n, host := e.leaf, e.host
	if host == "" || n.Version == 0 || covers(n, host) {
		return nil
	}
	names := e.names(n)
	add := func(code string, args ...any) *finding {
		out = append(out, finding{code: code, severity: Error, confidence: Proven, cert: n, place: atLeaf, args: args,
			evidence: []Evidence{{Kind: "name", Text: e.t(evNames, store.Printable(host), names),
				Data: map[string]string{"certificate": n.SHA256.String(), "field": "subjectAltName", "value": names, "expected": host}}}})
		return &out[len(out)-1]
	}
	shown := store.Printable(host)
	if product := e.defaultProduct(n); product != "" {
		f := add("name.default_certificate", e.name(n), product, shown)
		f.identified = product
		e.addSNIProof(f)
	}
	add("name.mismatch", shown, names)
	if code, args := e.nameReason(n, host); code != "" {
		add(code, args...)
	}
	return out
}

func (e *engine) defaultProduct(n *node) string {
	for _, d := range defaults() {
		if d.pattern.MatchString(n.common()) || slices.ContainsFunc(n.dns[:min(len(n.dns), 20)], d.pattern.MatchString) {
			return d.product
		}
	}
	return ""
}

func (e *engine) addSNIProof(f *finding) {
	without := e.in.Capture.WithoutSNI
	switch {
	case len(without) == 0:
	case store.FingerprintOf(without[0]) == e.leaf.SHA256:
		f.evidence = append(f.evidence, e.evidence("name", evSameWithoutSNI))
	default:
		f.evidence = append(f.evidence, e.evidence("name", evOtherWithoutSNI, e.name(newNode(store.NewCert(without[0]), "", -1))))
	}
}

// nameReason says in which way the names do not fit; "" if it is simply
// another name.
func (e *engine) nameReason(n *node, host string) (code string, args []any) {
	shown := store.Printable(host)
	if ip, ok := address(host); ok {
		if slices.Contains(n.dns, ip.String()) {
			return "name.ip_in_dns_san", []any{shown}
		}
		return "name.ip_not_in_san", []any{shown}
	}
	if len(n.dns) == 0 && len(n.ips) == 0 && matchDNS(n.common(), host) {
		return "name.cn_only", []any{shown}
	}
	has := func(name string) bool {
		return slices.ContainsFunc(n.dns, func(p string) bool { return matchDNS(p, name) })
	}
	if rest, ok := strings.CutPrefix(host, "www."); ok && slices.ContainsFunc(n.dns, func(p string) bool { return strings.EqualFold(p, rest) }) {
		return "name.www_missing", []any{shown, store.Printable(rest)}
	}
	for _, p := range n.dns {
		base, wild := strings.CutPrefix(strings.ToLower(p), "*.")
		if !wild || base == "" {
			continue
		}
		if base == host {
			return "name.apex_missing", []any{shown, store.Printable(p)}
		}
		if strings.HasSuffix(host, "."+base) {
			return "name.wildcard_depth", []any{shown, store.Printable(p)}
		}
	}
	if has("www." + host) {
		return "name.apex_missing", []any{shown, "www." + shown}
	}
	return "", nil
}

// names writes the alternative names, as many as one wants to read.
func (e *engine) names(n *node) string {
	const most = 8
	all := slices.Clone(n.dns)
	for _, ip := range n.ips {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		if cn := n.common(); cn != "" {
			return e.t(wordOnlyCN, store.Printable(shorten(cn)))
		}
		return e.t(wordNone)
	}
	more := ""
	if len(all) > most {
		more = fmt.Sprintf(" … (%d)", len(all))
		all = all[:most]
	}
	for i := range all {
		all[i] = store.Printable(shorten(all[i]))
	}
	return strings.Join(all, ", ") + more
}
