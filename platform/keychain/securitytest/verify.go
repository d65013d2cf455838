package securitytest

import (
	"crypto/x509"
	"fmt"
	"strings"
)

// Decisions on a certificate for a policy.
const (
	undecided = iota
	anchor
	denied
)

// decide is what trustd makes of the trust settings of a certificate for a
// policy (SecPolicyServer.c, SecPVCGetTrustSettingsResult and
// SecPVCIsAnchorPerConstraints; Apple's TrustSettingsTests.m agree). Settings
// of the administrator go before the user's since macOS 11, and after them
// until 10.15 (SecCertificateSource.c).
func (c *call) decide(item cert, number byte, name, hostname string) int {
	hash := sha1Hex(item.der)
	user := c.st.Trust[fmt.Sprintf("user:%d", c.euid)]
	if c.st.UserDisabled {
		user = nil
	}
	order := []*List{c.st.Trust["admin"], user}
	if !c.st.since(11, 0) {
		order[0], order[1] = order[1], order[0]
	}
	var r *Record
	for _, l := range order {
		if l != nil && l.Records[hash] != nil {
			r = l.Records[hash]
			break
		}
	}
	apple := undecided
	if k := c.st.Keychains[RootsKeychain]; k != nil {
		for _, der := range k.Certs {
			if sha1Hex(der) == hash {
				apple = anchor
			}
		}
	}
	if r == nil {
		return apple
	}
	settings := r.settings()
	if len(settings) == 0 {
		if item.selfSigned() {
			return anchor
		}
		return apple
	}
	for _, s := range settings {
		if oid, ok := s["kSecTrustSettingsPolicy"].([]byte); ok && string(oid) != string(applePolicy(number)) {
			continue
		}
		if n, ok := s["kSecTrustSettingsPolicyName"].(string); ok && name != "" && n != name {
			continue
		}
		if text, ok := s["kSecTrustSettingsPolicyString"].(string); ok && !strings.EqualFold(strings.TrimRight(text, "\x00"), hostname) {
			continue
		}
		if _, ok := s["kSecTrustSettingsApplication"]; ok {
			continue // the tool is another application
		}
		if n, ok := s["kSecTrustSettingsKeyUsage"].(int64); ok && n != -1 && n&8 == 0 {
			continue
		}
		result, ok := s["kSecTrustSettingsResult"].(int64)
		if !ok {
			result = 1
		}
		switch {
		case result == 3:
			return denied
		case result == 1 && item.selfSigned(), result == 2 && !item.selfSigned():
			return anchor
		}
		return apple
	}
	return apple
}

// verifyCert is verify_cert.c: a chain is made of what is given and what the
// keychains hold.
func (c *call) verifyCert(_ []option, args []string) int {
	letters := "Cc:r:p:k:e:s:d:LlNnqR:"
	if c.st.since(10, 15) {
		letters = "Cc:r:p:k:e:s:d:LlNn:qR:Ptv"
	}
	opts, rest, fault := getopt(args, letters)
	if fault != "" || len(rest) > 0 || !has(opts, 'c') {
		c.warn("Usage: verify-cert [<options>] [<url>]\n")
		return 2
	}
	var given []cert
	for _, o := range opts {
		if o.letter != 'c' {
			continue
		}
		data, err := c.readFile(o.value)
		der, ok := readCertFile(data)
		if err != nil || !ok {
			c.warn("***Error reading file %s\n", o.value)
			return 1
		}
		parsed, _ := parseCert(der)
		given = append(given, parsed)
	}
	number, name := byte(2), ""
	hostname := value(opts, 's')
	if p := value(opts, 'p'); p != "" {
		row, ok := policyOIDs[p]
		if !ok {
			return 2
		}
		number, name = row.number, row.name
	}
	roots, inters := x509.NewCertPool(), x509.NewCertPool()
	all := c.searchAll()
	for _, g := range given {
		all = append(all, g.der)
	}
	banned := map[string]bool{}
	for _, der := range all {
		item, err := parseCert(der)
		parsed, failed := x509.ParseCertificate(der)
		if err != nil || failed != nil {
			continue
		}
		switch c.decide(item, number, name, hostname) {
		case anchor:
			roots.AddCert(parsed)
		case denied:
			banned[sha1Hex(der)] = true
		}
		inters.AddCert(parsed)
	}
	refuse := func(text string) int {
		c.warn("%s\n", text)
		return 1
	}
	leaf, err := x509.ParseCertificate(given[0].der)
	if err != nil {
		return refuse("Cert Verify Result: CSSMERR_TP_INVALID_CERTIFICATE")
	}
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	o := x509.VerifyOptions{Roots: roots, Intermediates: inters, KeyUsages: usages}
	if number == 3 {
		o.DNSName = hostname
	}
	chains, err := leaf.Verify(o)
	if err != nil {
		return refuse("Cert Verify Result: CSSMERR_TP_NOT_TRUSTED")
	}
	for _, chain := range chains {
		good := true
		for _, link := range chain {
			good = good && !banned[sha1Hex(link.Raw)]
		}
		if good {
			if !c.quietly(opts) {
				c.print("...certificate verification successful.\n")
			}
			return 0
		}
	}
	return refuse("SecTrustEvaluate result: kSecTrustResultDeny")
}

func (c *call) quietly(opts []option) bool { return c.quiet || has(opts, 'q') }
