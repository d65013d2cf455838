package keychain

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"howett.net/plist"

	"github.com/certtrust/certtrust/store"
)

// The keys of a property list with trust settings (TrustSettingsSchema.h).
const (
	keyVersion  = "trustVersion"
	keyList     = "trustList"
	keyIssuer   = "issuerName"
	keySerial   = "serialNumber"
	keyModified = "modDate"
	keySettings = "trustSettings"

	keyPolicy       = "kSecTrustSettingsPolicy"
	keyPolicyName   = "kSecTrustSettingsPolicyName"
	keyPolicyString = "kSecTrustSettingsPolicyString"
	keyApplication  = "kSecTrustSettingsApplication"
	keyAllowedError = "kSecTrustSettingsAllowedError"
	keyKeyUsage     = "kSecTrustSettingsKeyUsage"
	keyResult       = "kSecTrustSettingsResult"

	// defaultRoot may stand for a certificate in old files. It means nothing
	// any more, and is kept.
	defaultRoot = "kSecTrustRecordDefaultRootCert"
)

// The results that a setting can have (SecTrustSettings.h).
const (
	resultInvalid = iota
	resultTrustRoot
	resultTrustAsRoot
	resultDeny
	resultUnspecified
)

var resultNames = []string{"invalid", "trustRoot", "trustAsRoot", "deny", "unspecified"}

// applePolicies is what the OIDs of Apple's policies begin with.
const applePolicies = "1.2.840.113635.100.1."

// policy is what a setting can be limited to. A purpose without a name of its
// own is the policy's OID.
type policy struct {
	oid     string
	name    string // limits it further; "" = no more than the OID
	word    string // as the security tool calls it
	purpose store.Purpose
}

var policies = []policy{
	{applePolicies + "3", "sslServer", "ssl", store.PurposeServerAuth},
	{applePolicies + "3", "sslClient", "", store.PurposeClientAuth},
	{applePolicies + "8", "", "smime", store.PurposeEmail},
	{applePolicies + "16", "", "codeSign", store.PurposeCodeSigning},
	{applePolicies + "20", "", "timestamping", store.PurposeTimeStamping},
	{basicOID, "", "basic", basicOID},
	{applePolicies + "9", "", "eap", applePolicies + "9"},
	{applePolicies + "10", "", "swUpdate", applePolicies + "10"},
	{applePolicies + "11", "", "IPSec", applePolicies + "11"},
	{applePolicies + "17", "", "pkgSign", applePolicies + "17"},
	{applePolicies + "18", "", "appleID", applePolicies + "18"},
	{applePolicies + "19", "", "macappstore", applePolicies + "19"},
}

// basicOID is the policy by which a chain is judged for no purpose at all. It
// goes along with every purpose that is trusted: programs that judge by it
// would else refuse what the purpose's own policy lets pass.
const basicOID = applePolicies + "2"

// namedPurposes are those that the stores tell apart in the model's words.
func namedPurposes() []store.Purpose {
	var out []store.Purpose
	for _, p := range policies {
		if !strings.HasPrefix(string(p.purpose), applePolicies) {
			out = append(out, p.purpose)
		}
	}
	return out
}

func hasPolicy(p store.Purpose) bool {
	return slices.ContainsFunc(policies, func(row policy) bool { return row.purpose == p })
}

// settings is the trust settings of a domain.
type settings struct {
	present bool // there is a list, which may be empty
	top     map[string]any
	records map[string]*record
}

// record is what is set for one certificate.
type record struct {
	key     string // SHA-1 of the certificate, upper-case hex
	raw     map[string]any
	entries []entry
	bad     string // why it cannot be understood
}

// entry is one setting: what it is limited to, and its result.
type entry struct {
	raw    map[string]any
	policy string // dotted OID; "" = any
	name   string
	host   string // or an address, for e-mail
	own    bool   // limited to an application or a use of the key: it says nothing in general
	result int
}

// noSettings is a domain without any.
func noSettings() *settings {
	return &settings{top: map[string]any{keyVersion: uint64(1)}, records: map[string]*record{}}
}

// parseSettings reads a property list. What is wrong with a record stays with
// it; an error is about the whole.
func parseSettings(data []byte) (*settings, error) {
	s := noSettings()
	top := map[string]any{}
	if err := unmarshal(data, &top); err != nil {
		return nil, store.Because(store.ErrCorrupt, "the trust settings are no property list that can be read: %v", err)
	}
	version, ok := number(top[keyVersion])
	if !ok || version != 1 {
		return nil, store.Because(store.ErrCorrupt, "the trust settings have the version %v, and only 1 is known", top[keyVersion])
	}
	list, ok := top[keyList].(map[string]any)
	if !ok {
		return nil, store.Because(store.ErrCorrupt, "the trust settings hold no list")
	}
	s.present, s.top = true, top
	for key, value := range list {
		s.records[key] = parseRecord(key, value)
	}
	return s, nil
}

func parseRecord(key string, value any) *record {
	r := &record{key: key}
	raw, ok := value.(map[string]any)
	if !ok {
		r.bad = "it is no dictionary"
		return r
	}
	r.raw = raw
	_, issuer := raw[keyIssuer].([]byte)
	_, serial := raw[keySerial].([]byte)
	_, date := raw[keyModified].(time.Time)
	if key != defaultRoot && (!issuer || !serial || !date) {
		r.bad = "its issuer, serial number or date is missing"
	}
	value, has := raw[keySettings]
	if !has {
		return r
	}
	list, ok := value.([]any)
	if !ok {
		r.bad = "its settings are no list"
		return r
	}
	for _, value := range list {
		raw, ok := value.(map[string]any)
		if !ok {
			r.bad = "one of its settings is no dictionary"
			continue
		}
		e, bad := parseEntry(raw)
		if bad != "" {
			r.bad = bad
		}
		r.entries = append(r.entries, e)
	}
	return r
}

func parseEntry(raw map[string]any) (e entry, bad string) {
	e = entry{raw: raw, result: resultTrustRoot}
	switch v := raw[keyPolicy].(type) {
	case nil:
	case []byte:
		e.policy = dotted(v)
	case string:
		e.policy = v
	default:
		bad = "the policy of a setting is neither data nor text"
	}
	if raw[keyPolicy] != nil && e.policy == "" {
		bad = "the policy of a setting is no object identifier"
	}
	text := func(key string) string {
		v, ok := raw[key].(string)
		if !ok && raw[key] != nil {
			bad = "a setting has something else than text in " + key
		}
		return strings.TrimRight(v, "\x00")
	}
	e.name, e.host = text(keyPolicyName), text(keyPolicyString)
	if e.policy == "" && e.name != "" {
		// A name without an OID limits it to that policy all the same.
		if i := slices.IndexFunc(policies, func(p policy) bool { return p.name == e.name }); i >= 0 {
			e.policy = policies[i].oid
		} else {
			e.own = true
		}
	}
	if v, has := raw[keyApplication]; has {
		e.own = true
		if _, ok := v.([]byte); !ok {
			bad = "the application of a setting is no data"
		}
	}
	if v, has := raw[keyAllowedError]; has {
		if _, ok := number(v); !ok {
			bad = "the allowed error of a setting is no number"
		}
	}
	if v, has := raw[keyKeyUsage]; has {
		const signs, any = 8, -1
		n, ok := number(v)
		if !ok {
			bad = "the key usage of a setting is no number"
		}
		e.own = e.own || n != any && n != 0xffffffff && n&signs == 0
	}
	if v, has := raw[keyResult]; has {
		n, ok := number(v)
		if !ok || n <= resultInvalid || n > resultUnspecified {
			bad = "the result of a setting is none of those that there are"
			n = resultInvalid
		}
		e.result = int(n)
	}
	return e, bad
}

// number reads the numbers of a property list.
func number(v any) (int64, bool) {
	switch n := v.(type) {
	case uint64:
		return int64(n), n < 1<<63
	case int64:
		return n, true
	}
	return 0, false
}

// dotted writes the content bytes of an object identifier, "" if it is none.
func dotted(content []byte) string {
	der := append([]byte{asn1.TagOID, byte(len(content))}, content...)
	var oid asn1.ObjectIdentifier
	if len(content) > 127 {
		return ""
	}
	if rest, err := asn1.Unmarshal(der, &oid); err != nil || len(rest) > 0 {
		return ""
	}
	return oid.String()
}

// oidContent is the reverse of dotted.
func oidContent(s string) []byte {
	var oid asn1.ObjectIdentifier
	for part := range strings.SplitSeq(s, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil
		}
		oid = append(oid, n)
	}
	der, err := asn1.Marshal(oid)
	if err != nil || len(der) < 2 {
		return nil
	}
	return der[2:]
}

// encode writes the settings as a property list, with some records replaced by
// others; nil = removed.
func (s *settings) encode(records map[string]map[string]any) ([]byte, error) {
	top := map[string]any{}
	for k, v := range s.top {
		top[k] = v
	}
	list := map[string]any{}
	if old, ok := top[keyList].(map[string]any); ok {
		for k, v := range old {
			list[k] = v
		}
	}
	for k, raw := range records {
		if raw == nil {
			delete(list, k)
			continue
		}
		list[k] = raw
	}
	top[keyList] = list
	return plist.MarshalIndent(top, plist.XMLFormat, "\t")
}

// matches reports whether the setting is about a purpose.
func (e entry) matches(p policy) bool {
	return e.policy == "" || e.policy == p.oid && (e.name == "" || p.name == "" || e.name == p.name)
}

// decision is what the result of a setting means for a certificate: it is
// believed only if it is the one that fits.
func (e entry) decision(selfSigned bool) store.Decision {
	switch {
	case e.result == resultDeny:
		return store.Distrusted
	case e.result == resultTrustRoot && selfSigned, e.result == resultTrustAsRoot && !selfSigned:
		return store.Trusted
	}
	return store.Unspecified
}

// idle reports whether the setting says that the certificate is trusted, and
// is ignored.
func (e entry) idle(selfSigned bool) bool {
	return (e.result == resultTrustRoot || e.result == resultTrustAsRoot) && e.decision(selfSigned) == store.Unspecified
}

// rule returns what the settings say for a policy. Without an own rule, found
// is false.
func ruleOf(entries []entry, p policy, selfSigned bool) (r store.Rule, found bool) {
	r = store.Rule{Purpose: p.purpose, Decision: store.Unspecified}
	var hosts []string
	limited := store.Unspecified
	for _, e := range entries {
		switch d := e.decision(selfSigned); {
		case e.own || !e.matches(p):
		case e.host != "":
			if hosts == nil {
				limited = d
			}
			if d == limited {
				hosts = append(hosts, e.host)
			}
		default:
			r.Decision = d
			return r, true
		}
	}
	if hosts != nil {
		r.Decision, r.Hosts = limited, hosts
		return r, true
	}
	return r, false
}

// general is the policy of a setting that is limited to none.
var general = policy{purpose: store.PurposeAny}

func generalRule(entries []entry, selfSigned bool) (store.Rule, bool) {
	return ruleOf(slices.DeleteFunc(slices.Clone(entries), func(e entry) bool { return e.policy != "" }), general, selfSigned)
}

// trust is what a record makes of a certificate that is trusted as base says
// without it.
func (r *record) trust(h *held, base store.Trust) store.Trust {
	if r == nil {
		return base
	}
	return trustOf(r.entries, len(r.entries) == 0, h.self(), base)
}

// trustOf is trust; bare says that the record holds no settings, which means
// that a root is trusted for everything.
func trustOf(entries []entry, bare, selfSigned bool, base store.Trust) store.Trust {
	if bare {
		if selfSigned {
			return store.TrustFor(store.Trusted, store.PurposeAny)
		}
		return base
	}
	out := slices.Clone(base)
	if r, found := generalRule(entries, selfSigned); found && (r.Decision != store.Unspecified || len(base) == 0) {
		out = store.Trust{r}
	}
	named := map[store.Decision]bool{}
	for _, p := range universe(entries, nil) {
		r, found := ruleOf(entries, p, selfSigned)
		if !found {
			continue
		}
		if r.Decision == store.Unspecified && len(base) > 0 {
			r = base.Rule(p.purpose) // judged as if nothing were set
		}
		if p.purpose == basicOID && (named[r.Decision] || r.Decision == store.Unspecified) {
			continue // it goes along
		}
		if len(r.Hosts) == 0 {
			named[r.Decision] = true
		}
		out = out.With(store.Trust{r}, false)
	}
	return out.Normal()
}

// withoutBasic leaves the basic policy out where it only goes along.
func withoutBasic(t store.Trust) store.Trust {
	basic := t.For(basicOID)
	along := slices.ContainsFunc(t, func(r store.Rule) bool {
		return r.Decision == basic && len(r.Hosts) == 0 && slices.Contains(namedPurposes(), r.Purpose)
	})
	if !along {
		return t
	}
	return slices.DeleteFunc(slices.Clone(t), func(r store.Rule) bool { return r.Purpose == basicOID })
}

// universe is the policies that entries or a trust are about, and all named
// ones; the basic policy comes after those.
func universe(entries []entry, t store.Trust) []policy {
	out := slices.DeleteFunc(slices.Clone(policies), func(p policy) bool { return strings.HasPrefix(string(p.purpose), applePolicies) })
	add := func(oid string) {
		if !slices.ContainsFunc(out, func(p policy) bool { return p.oid == oid }) {
			out = append(out, policy{oid: oid, purpose: store.Purpose(oid)})
		}
	}
	for _, e := range entries {
		if e.policy != "" && !e.own {
			add(e.policy)
		}
	}
	for _, r := range t {
		if hasPolicy(r.Purpose) && strings.HasPrefix(string(r.Purpose), applePolicies) {
			add(string(r.Purpose))
		}
	}
	slices.SortStableFunc(out, func(a, b policy) int { return rank(a) - rank(b) })
	return out
}

func rank(p policy) int {
	if p.purpose == basicOID {
		return 1
	}
	return 0
}

// rewrite returns the settings that make a record say want, keeping what says
// so already and what is none of want's business.
func rewrite(old []entry, bare bool, h *held, base, want store.Trust) ([]entry, error) {
	c, self := h.cert, h.self()
	now := trustOf(old, bare, self, base)
	if bare {
		old = nil
		if self {
			old = []entry{newEntry(general, store.Trusted, self, "")}
		}
	}
	differs := func(p store.Purpose) bool {
		a, b := now.Rule(p), want.Rule(p)
		return !store.Trust{a}.Equal(store.Trust{b}, c.IsCA())
	}
	all := universe(old, append(store.Trust{{Purpose: basicOID}}, want...))
	wants := func(p policy) store.Rule {
		if p.purpose != basicOID || slices.ContainsFunc(want, func(r store.Rule) bool { return r.Purpose == basicOID }) {
			return want.Rule(p.purpose)
		}
		r := want.Rule(store.PurposeAny)
		for _, q := range all {
			if own := want.Rule(q.purpose); q.purpose != basicOID && own.Decision == store.Trusted && len(own.Hosts) == 0 {
				r = store.Rule{Decision: store.Trusted}
			}
		}
		r.Purpose = basicOID
		return r
	}
	// What contradicts is dropped; what is limited to an application too, if it
	// would let pass what is not to pass.
	var next []entry
	for _, e := range old {
		keep := !e.idle(self)
		for _, p := range all {
			if e.policy == "" || !e.matches(p) || p.purpose == basicOID {
				continue
			}
			if differs(p.purpose) && (!e.own || want.For(p.purpose) != store.Trusted) {
				keep = false
			}
		}
		if e.policy == "" && differs(store.PurposeAny) && (!e.own || want.For(store.PurposeAny) != store.Trusted) {
			keep = false
		}
		if e.policy == basicOID && !e.own {
			r, _ := ruleOf([]entry{e}, policy{oid: basicOID}, self)
			keep = r.Decision == wants(policy{purpose: basicOID}).Decision
		}
		if keep {
			next = append(next, e)
		}
	}
	if d := want.Rule(store.PurposeAny); d.Decision != base.Rule(store.PurposeAny).Decision || len(d.Hosts) > 0 {
		if r, found := generalRule(next, self); !found || r.Decision != d.Decision {
			next = append(next, newEntries(general, d, self)...)
		}
	}
	for _, p := range all {
		r := wants(p)
		have, found := ruleOf(next, p, self)
		if !found {
			have = base.Rule(p.purpose)
		}
		if have.Decision == r.Decision && slices.Equal(sorted(have.Hosts), sorted(r.Hosts)) {
			continue
		}
		// In front of all that would decide before it.
		at := slices.IndexFunc(next, func(e entry) bool { return e.matches(p) && (!e.own || r.Decision != store.Trusted) })
		if at < 0 {
			at = len(next)
		}
		next = slices.Insert(next, at, newEntries(p, r, self)...)
	}
	got := trustOf(next, false, self, base)
	if !got.Equal(want, c.IsCA()) {
		return nil, store.Because(store.ErrUnsupported, "the trust settings of macOS cannot say \"%s\" (what they hold besides is in the way)", want)
	}
	return next, nil
}

func sorted(list []string) []string {
	out := slices.Clone(list)
	slices.Sort(out)
	return out
}

// newEntries makes the settings for a rule, one for each host.
func newEntries(p policy, r store.Rule, self bool) []entry {
	if len(r.Hosts) == 0 {
		return []entry{newEntry(p, r.Decision, self, "")}
	}
	var out []entry
	for _, h := range r.Hosts {
		out = append(out, newEntry(p, r.Decision, self, h))
	}
	return out
}

func newEntry(p policy, d store.Decision, self bool, host string) entry {
	e := entry{policy: p.oid, name: p.name, host: host, raw: map[string]any{}}
	switch {
	case d == store.Distrusted:
		e.result = resultDeny
	case d == store.Unspecified:
		e.result = resultUnspecified
	case self:
		e.result = resultTrustRoot
	default:
		e.result = resultTrustAsRoot
	}
	if p.oid != "" {
		e.raw[keyPolicy] = oidContent(p.oid)
	}
	if p.name != "" {
		e.raw[keyPolicyName] = p.name
	}
	if host != "" {
		e.raw[keyPolicyString] = host
	}
	e.raw[keyResult] = uint64(e.result)
	return e
}

// newRecord makes the record of a certificate, in the place of an old one.
func newRecord(old *record, c *store.Cert, entries []entry, now time.Time) map[string]any {
	raw := map[string]any{}
	if old != nil {
		for k, v := range old.raw { // also what nobody knows of
			raw[k] = v
		}
	}
	raw[keyIssuer], raw[keySerial] = c.Issuer.Raw, serialOf(c.Raw)
	raw[keyModified] = now.UTC().Truncate(time.Second)
	list := []any{}
	for _, e := range entries {
		list = append(list, e.raw)
	}
	raw[keySettings] = list
	return raw
}

// describe writes settings for people, as the tool's words have it.
func (r *record) describe() string {
	if r.bad != "" {
		return r.bad
	}
	if len(r.entries) == 0 {
		return "no limits"
	}
	var out []string
	for _, e := range r.entries {
		what := e.policy
		for _, p := range policies {
			if p.oid == e.policy && (e.name == "" || p.name == "" || p.name == e.name) {
				what = p.word
				if p.word == "" {
					what = p.name
				}
				break
			}
		}
		if what == "" {
			what = "everything"
		}
		if e.host != "" {
			what += " " + e.host
		}
		for _, extra := range []struct{ key, word string }{{keyApplication, "one application"}, {keyKeyUsage, "key usage"}, {keyAllowedError, "allowed error"}} {
			if v, has := e.raw[extra.key]; has {
				what += ", " + extra.word
				if n, ok := number(v); ok {
					what += " " + strconv.FormatInt(n, 10)
				}
			}
		}
		result := "invalid"
		if e.result < len(resultNames) {
			result = resultNames[e.result]
		}
		text := what + ": " + result
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return store.Printable(strings.Join(out, "; "))
}

// sha1Of is the name that trust settings have for a certificate. It finds the
// record; what is done is decided by the whole certificate.
func sha1Of(der []byte) string {
	sum := sha1.Sum(der)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// serialOf returns the content of a certificate's serial number, nil if it
// cannot be found.
func serialOf(der []byte) []byte {
	var outer, tbs, first asn1.RawValue
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		return nil
	}
	if _, err := asn1.Unmarshal(outer.Bytes, &tbs); err != nil {
		return nil
	}
	rest, err := asn1.Unmarshal(tbs.Bytes, &first)
	if err == nil && first.Class == asn1.ClassContextSpecific && first.Tag == 0 {
		_, err = asn1.Unmarshal(rest, &first)
	}
	if err != nil || first.Class != asn1.ClassUniversal || first.Tag != asn1.TagInteger {
		return nil
	}
	return first.Bytes
}

// issuedAs tells which certificates a keychain takes for the same: those with
// the same issuer and serial number.
func issuedAs(c *store.Cert) string {
	return string(c.Issuer.Raw) + "\x00" + string(serialOf(c.Raw))
}

// selfSigned reports whether a certificate is signed by its own key: macOS
// takes one of the two trusting results for it, and ignores the other. What
// cannot be checked is taken by the names.
func selfSigned(c *store.Cert) bool {
	if !c.SelfIssued() {
		return false
	}
	if c.Parsed == nil {
		return true
	}
	err := c.Parsed.CheckSignature(c.Parsed.SignatureAlgorithm, c.Parsed.RawTBSCertificate, c.Parsed.Signature)
	var insecure x509.InsecureAlgorithmError
	return err == nil || errors.As(err, &insecure) || errors.Is(err, x509.ErrUnsupportedAlgorithm)
}

// concerns reports whether a record names the issuer and serial number of a
// certificate.
func (r *record) concerns(c *store.Cert) bool {
	issuer, _ := r.raw[keyIssuer].([]byte)
	serial, _ := r.raw[keySerial].([]byte)
	return bytes.Equal(issuer, c.Issuer.Raw) && bytes.Equal(serial, serialOf(c.Raw))
}

// sameRecord reports whether two records are the same in every value.
func sameRecord(a, b map[string]any) bool {
	x, errX := plist.Marshal(a, plist.XMLFormat)
	y, errY := plist.Marshal(b, plist.XMLFormat)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// text is the whole of the settings, for comparing.
func (s *settings) text() string {
	data, err := s.encode(nil)
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(data)
}
