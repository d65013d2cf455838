package keychain

import (
	"bytes"
	"crypto/sha1"
	"encoding/asn1"
	"encoding/hex"
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
