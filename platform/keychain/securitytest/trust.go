package securitytest

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// policyOIDs are what -p takes (trusted_cert_utils.c, policyStringToOid): the
// last number of the OID, and the name that goes with it.
var policyOIDs = map[string]struct {
	number byte
	name   string
}{
	"ssl": {3, "sslServer"}, "basic": {2, "basicX509"}, "smime": {8, "SMIME"}, "eap": {9, "eapServer"}, "swUpdate": {10, ""}, "IPSec": {11, "ipsecServer"},
	"codeSign": {16, "CodeSigning"}, "pkgSign": {17, ""}, "appleID": {18, ""}, "macappstore": {19, ""}, "timestamping": {20, ""},
}

var resultWords = map[string]int64{"trustRoot": 1, "trustAsRoot": 2, "deny": 3, "unspecified": 4}

var allowedErrors = map[string]int64{"certExpired": -2147409654, "hostnameMismatch": -2147408896}

func applePolicy(number byte) []byte {
	return []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x63, 0x64, 0x01, number}
}

// domainOf is whose trust settings a call is about: the user's are those of the
// process's own user ID (trustd.c), also under sudo.
func (c *call) domainOf(opts []option) string {
	if has(opts, 'd') {
		return "admin"
	}
	return fmt.Sprintf("user:%d", c.euid)
}

// list returns a copy of the settings of a domain, nil if there is no file.
func (c *call) list(domain string) *List {
	old := c.st.Trust[domain]
	if old == nil {
		return nil
	}
	return &List{Records: maps.Clone(old.Records)}
}

// flush writes the settings of a domain (TrustSettings.cpp, flushToDisk): until
// macOS 11 a list that is empty is deleted.
func (c *call) flush(domain string, l *List) int {
	if len(l.Records) == 0 && !c.st.since(12, 0) {
		delete(c.st.Trust, domain)
	} else {
		c.st.Trust[domain] = l
	}
	if err := c.m.projectTrust(c.st); err != nil {
		c.warn("%v\n", err)
	}
	return 0
}

// addTrusted is trusted_cert_add.c.
func (c *call) addTrusted(opts []option, rest []string) int {
	result, resultGiven := int64(1), false
	var policies, strings_ []string
	var errs []int64
	var usage *int64
	for _, o := range opts {
		switch o.letter {
		case 'r':
			n, ok := resultWords[o.value]
			if !ok {
				return 2
			}
			result, resultGiven = n, true
		case 'p':
			if _, ok := policyOIDs[o.value]; !ok {
				if !c.st.since(15, 0) {
					c.print("***unknown policy spec (%s)\n", o.value)
				}
				return 2
			}
			policies = append(policies, o.value)
		case 's':
			strings_ = append(strings_, o.value)
		case 'e':
			n, ok := allowedErrors[o.value]
			if !ok {
				parsed, err := strconv.ParseInt(o.value, 0, 32)
				if err != nil {
					return 2
				}
				n = parsed
			}
			errs = append(errs, n)
		case 'u':
			n, err := strconv.ParseInt(o.value, 0, 64)
			if err != nil {
				return 2
			}
			usage = &n
		case 'a':
			c.warn("securitytest: -a is not emulated\n")
			return 99
		}
	}
	if len(policies) > 16 || len(strings_) > 128 || len(errs) > 128 || len(rest) > 1 {
		return 2
	}
	in, out := value(opts, 'i'), value(opts, 'o')
	switch {
	case has(opts, 'o') && has(opts, 'd'):
		c.warn("Can't specify both domain and a settingsFile\n")
		return 2
	case has(opts, 'i') && !has(opts, 'o'):
		return 2
	case len(rest) == 0 && !has(opts, 'o'):
		c.warn("No cert file specified.\n")
		return 2
	}
	var der []byte
	if len(rest) == 1 {
		data, err := c.readFile(rest[0])
		var ok bool
		if der, ok = readCertFile(data); err != nil || !ok {
			c.print("***Error reading file %s\n", rest[0])
			c.warn("Error reading file %s\n", rest[0])
			return 1
		}
	}
	// One setting for each combination; without a policy, only the last error
	// counts and strings do not.
	var settings []any
	setting := func(policy, text string, allowed *int64) {
		d := dict{}
		if policy != "" {
			row := policyOIDs[policy]
			d["kSecTrustSettingsPolicy"] = applePolicy(row.number)
			if row.name != "" {
				d["kSecTrustSettingsPolicyName"] = row.name
			}
		}
		if text != "" {
			d["kSecTrustSettingsPolicyString"] = text
		}
		if allowed != nil {
			d["kSecTrustSettingsAllowedError"] = *allowed
		}
		if usage != nil {
			d["kSecTrustSettingsKeyUsage"] = *usage
		}
		if result != 1 {
			d["kSecTrustSettingsResult"] = result // a missing one is trustRoot
		}
		if len(d) > 0 { // one that says nothing is dropped
			settings = append(settings, d)
		}
	}
	pointers := []*int64{nil}
	if len(errs) > 0 {
		pointers = nil
		for i := range errs {
			pointers = append(pointers, &errs[i])
		}
	}
	if len(policies) == 0 {
		setting("", "", pointers[len(pointers)-1])
	}
	texts := strings_
	if len(texts) == 0 {
		texts = []string{""}
	}
	for _, p := range policies {
		for _, s := range texts {
			for _, e := range pointers {
				setting(p, s, e)
			}
		}
	}
	const api = "SecTrustSettingsSetTrustSettings"
	null := !resultGiven && len(policies) == 0 && usage == nil && len(errs) == 0
	if der != nil {
		if parsed, err := parseCert(der); err != nil {
			return c.cssmError("SecCertificateCreateFromData", errUnknownFormat)
		} else if status := validate(settings, null, parsed.selfSigned()); status != 0 {
			if has(opts, 'k') && out == "" { // the keychain comes first
				if status := c.keychainFirst(opts, der); status != 0 {
					return status
				}
			}
			return c.cssmError(api, status)
		}
	}
	if out != "" {
		return c.toFile(in, out, der, settings)
	}
	if has(opts, 'k') {
		if status := c.keychainFirst(opts, der); status != 0 {
			return status
		}
	}
	domain := c.domainOf(opts)
	l := c.list(domain)
	if l == nil {
		l = NewList()
	}
	if status := c.authorize(domainWord(domain)); status != 0 {
		return c.cssmError(api, status)
	}
	if err := l.set(der, settings, c.st.now()); err != nil {
		return c.cssmError(api, errParam)
	}
	return c.flush(domain, l)
}

func domainWord(domain string) string { return strings.SplitN(domain, ":", 2)[0] }

// keychainFirst adds the certificate before it is trusted; that it is there
// already is no failure.
func (c *call) keychainFirst(opts []option, der []byte) int {
	switch status := c.add(keychainPath(value(opts, 'k')), der); status {
	case 0, errDuplicateItem:
		return 0
	default:
		c.cssmError("SecCertificateAddToKeychain", status)
		return 1
	}
}

// validate is TrustSettings::validateTrustSettingsArray with what
// SecTrustSettingsSetTrustSettings asks of the certificate: what is not
// self-signed is no root, and the reverse. An array that has become empty is
// not looked at: it is stored, and does nothing.
func validate(settings []any, null, selfSigned bool) int {
	if null && !selfSigned {
		return errParam
	}
	for _, e := range settings {
		result, given := e.(dict)["kSecTrustSettingsResult"].(int64)
		if !given {
			result = 1
		}
		if result == 1 && !selfSigned || result == 2 && selfSigned {
			return errParam
		}
	}
	return 0
}

// toFile writes settings to a file, for which nobody is asked.
func (c *call) toFile(in, out string, der []byte, settings []any) int {
	l := NewList()
	if in != "" {
		data, err := c.readFile(in)
		if err != nil {
			c.warn("***Error reading file %s\n", in)
			return 1
		}
		read, ok := valid(data)
		if !ok {
			return c.cssmError("SecTrustSettingsSetTrustSettingsExternal", errInvalidTrust)
		}
		l = read
	}
	if der != nil {
		if err := l.set(der, settings, c.st.now()); err != nil {
			return c.cssmError("SecTrustSettingsSetTrustSettingsExternal", errParam)
		}
	}
	data := l.XML()
	if err := os.WriteFile(c.m.path(out), data, 0o644); err != nil {
		c.warn("Error (13) writing %s.\n", out)
		return 1
	}
	if !c.quiet {
		c.print("...wrote %d bytes to %s\n", len(data), out)
	}
	return 0
}

// removeTrusted is trusted_cert_add.c, trusted_cert_remove: what is not there is
// noticed before anybody is asked.
func (c *call) removeTrusted(opts []option, rest []string) int {
	const api = "SecTrustSettingsRemoveTrustSettings"
	if len(rest) != 1 {
		return 2
	}
	data, err := c.readFile(rest[0])
	der, ok := readCertFile(data)
	if err != nil || !ok {
		c.print("***Error reading file %s\n", rest[0])
		c.warn("Error reading file %s\n", rest[0])
		return 1
	}
	domain := c.domainOf(opts)
	l := c.list(domain)
	if l == nil {
		return c.cssmError(api, errNoTrustSettings)
	}
	if l.Records[sha1Hex(der)] == nil {
		return c.cssmError(api, errItemNotFound)
	}
	if status := c.authorize(domainWord(domain)); status != 0 {
		return c.cssmError(api, status)
	}
	delete(l.Records, sha1Hex(der))
	return c.flush(domain, l)
}

// exportTrust is trust_settings_impexp.c.
func (c *call) exportTrust(opts []option, rest []string) int {
	if len(rest) != 1 {
		return 2
	}
	var data []byte
	if has(opts, 's') {
		var err error
		if data, err = os.ReadFile(c.m.path(RootsTrust)); err != nil {
			return c.cssmError("SecTrustSettingsCreateExternalRepresentation", errNoTrustSettings)
		}
	} else {
		l := c.list(c.domainOf(opts))
		if l == nil {
			return c.cssmError("SecTrustSettingsCreateExternalRepresentation", errNoTrustSettings)
		}
		data = l.XML()
	}
	if err := os.WriteFile(c.m.path(rest[0]), data, 0o644); err != nil {
		c.warn("Error (13) writing %s.\n", rest[0])
		return 13
	}
	if !c.quiet {
		c.print("...Trust Settings exported successfully.\n")
	}
	return 0
}

// importTrust is trust_settings_impexp.c: it replaces all of a domain, and does
// not ask whether there are such certificates.
func (c *call) importTrust(opts []option, rest []string) int {
	const api = "SecTrustSettingsImportExternalRepresentation"
	if len(rest) != 1 {
		return 2
	}
	data, err := c.readFile(rest[0])
	if err != nil {
		c.warn("Error (2) reading %s.\n", rest[0])
		return 2
	}
	l, ok := valid(data)
	if !ok {
		return c.cssmError(api, errInvalidTrust)
	}
	domain := c.domainOf(opts)
	if status := c.authorize(domainWord(domain)); status != 0 {
		return c.cssmError(api, status)
	}
	if status := c.flush(domain, l); status != 0 {
		return status
	}
	if !c.quiet {
		c.print("...Trust Settings imported successfully.\n")
	}
	return 0
}

// dumpNames are the names of policies (trusted_cert_dump.c).
var dumpNames = map[byte]string{
	2: "Apple X509 Basic", 3: "SSL", 8: "SMIME", 9: "EAP", 10: "SW Update Signing", 11: "IPSec", 12: "iChat", 13: "Resource Signing",
	14: "PKINIT Client", 15: "PKINIT Server", 16: "Code Signing", 17: "Package Signing", 18: "AppleID Sharing", 19: "Mac App Store",
}

// dumpTrust is trusted_cert_dump.c: it shows only certificates that it finds.
func (c *call) dumpTrust(opts []option, rest []string) int {
	const api = "SecTrustSettingsCopyCertificates"
	if len(rest) > 0 || has(opts, 's') && has(opts, 'd') {
		return 2
	}
	l, where := c.list(c.domainOf(opts)), append(c.searchList(), RootsKeychain)
	switch {
	case has(opts, 's'):
		data, err := os.ReadFile(c.m.path(RootsTrust))
		if err == nil {
			l, _ = ParseList(data)
		}
		where = []string{RootsKeychain}
	case has(opts, 'd'):
		where = []string{SystemKeychain, RootsKeychain}
	}
	var certs []cert
	seen := map[string]bool{}
	for _, p := range where {
		k := c.st.Keychains[p]
		if l == nil || k == nil {
			continue
		}
		for _, der := range k.Certs {
			if hash := sha1Hex(der); l.Records[hash] != nil && !seen[hash] {
				seen[hash] = true
				parsed, _ := parseCert(der)
				parsed.der = der
				certs = append(certs, parsed)
			}
		}
	}
	if len(certs) == 0 {
		return c.cssmError(api, errNoTrustSettings)
	}
	code := 0
	c.print("Number of trusted certs = %d\n", len(certs))
	for i, item := range certs {
		c.print("Cert %d: %s\n", i, item.label)
		r := l.Records[sha1Hex(item.der)]
		if !r.valid() {
			c.cssmError("SecTrustSettingsCopyTrustSettings", errInvalidTrust)
			code = -1
			continue
		}
		settings := r.settings()
		c.print("   Number of trust settings : %d\n", len(settings))
		for j, s := range settings {
			c.print("   Trust Setting %d:\n", j)
			if oid, ok := s["kSecTrustSettingsPolicy"].([]byte); ok {
				name := fmt.Sprintf("Unknown OID length %d, value { % X  }", len(oid), oid)
				if known := dumpNames[oid[len(oid)-1]]; known != "" && len(oid) == 9 {
					name = known
				}
				c.print("      %-22s: %s\n", "Policy OID", name)
			}
			if text, ok := s["kSecTrustSettingsPolicyString"].(string); ok {
				c.print("      %-22s: %s\n", "Policy String", text)
			}
			if n, ok := s["kSecTrustSettingsAllowedError"].(int64); ok {
				word := strconv.FormatInt(n, 10)
				switch n {
				case -2147409654:
					word = "CSSMERR_TP_CERT_EXPIRED"
				case -2147408896:
					word = "Host name mismatch"
				}
				c.print("      %-22s: %s\n", "Allowed Error", word)
			}
			if n, ok := s["kSecTrustSettingsResult"].(int64); ok {
				c.print("      %-22s: kSecTrustSettingsResult%s\n", "Result Type", []string{"Invalid", "TrustRoot", "TrustAsRoot", "Deny", "Unspecified"}[n])
			}
		}
	}
	return code
}

// searchAll are all the certificates that a chain can be made of.
func (c *call) searchAll() [][]byte {
	var out [][]byte
	for _, p := range slices.Sorted(maps.Keys(c.st.Keychains)) {
		out = append(out, c.st.Keychains[p].Certs...)
	}
	return out
}
