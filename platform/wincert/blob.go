package wincert

import (
	"bytes"
	"crypto/sha1"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/certtrust/certtrust/store"
)

// A certificate in a Windows store is a sequence of elements, little endian:
//
//	property u4, encoding u4 (1), length u4, data
//
// The certificate itself is the element 32, its properties are the others. The
// registry holds it as the value Blob, .sst files as one after the other.

// element is one of them.
type element struct {
	id    uint32
	value []byte
}

// The elements that this package knows something about.
const (
	propSHA1          = 3
	propEKU           = 9
	propFriendlyName  = 11
	propDescription   = 13
	propArchived      = 19
	elementCert       = 32
	elementCRL        = 33
	elementCTL        = 34
	propDisallowed    = 104
	propDisallowedEKU = 122
	propNotBefore     = 126
	propNotBeforeEKU  = 127
)

// properties are what certificates have besides themselves, with what they are
// called here. Derived ones follow from the certificate: Windows writes them
// for itself, and they say nothing.
var properties = []struct {
	id      uint32
	name    string
	derived bool
	show    func([]byte) string
}{
	{2, "keyProvider", false, showHex},
	{propSHA1, "sha1", true, nil},
	{4, "md5", true, nil},
	{5, "keyContext", true, nil},
	{propEKU, "usages", false, showEKU},
	{propFriendlyName, "friendlyName", false, utf16Text},
	{propDescription, "description", false, utf16Text},
	{15, "signatureHash", true, nil},
	{propArchived, "archived", false, func([]byte) string { return "true" }},
	{20, "keyIdentifier", true, nil},
	{24, "subjectPublicKeyHash", true, nil},
	{25, "subjectPublicKeyMD5", true, nil},
	{27, "dateStamp", false, showTime},
	{28, "issuerKeyMD5", true, nil},
	{29, "subjectNameMD5", true, nil},
	{83, "rootProgramPolicies", false, showHex},
	{84, "rootProgramNameConstraints", false, showHex},
	{98, "authRootSHA256", true, nil},
	{propDisallowed, "disallowedAfter", false, showTime},
	{105, "rootProgramChainPolicies", false, showHex},
	{107, "sha256", true, nil},
	{propDisallowedEKU, "disallowedUsages", false, showEKU},
	{propNotBefore, "distrustedIfIssuedAfter", false, showTime},
	{propNotBeforeEKU, "distrustedIfIssuedAfterFor", false, showEKU},
}

// derived reports whether a property follows from the certificate.
func derived(id uint32) bool {
	for _, p := range properties {
		if p.id == id {
			return p.derived
		}
	}
	return false
}

// maxShown bounds what is shown of a property that nothing is known about.
const maxShown = 64

func showHex(b []byte) string {
	if len(b) > maxShown {
		return fmt.Sprintf("%x… (%d bytes)", b[:maxShown], len(b))
	}
	return hex.EncodeToString(b)
}

func showEKU(b []byte) string {
	list, ok := parseEKU(b)
	switch {
	case !ok:
		return "unreadable: " + showHex(b)
	case len(list) == 0:
		return "none"
	}
	var out []string
	for _, p := range list {
		out = append(out, string(p))
	}
	return strings.Join(out, ", ")
}

func showTime(b []byte) string {
	if t, ok := fileTime(b); ok {
		return t.Format(time.RFC3339)
	}
	return "unreadable: " + showHex(b)
}

// fileTime reads a FILETIME: 100 ns since 1601.
func fileTime(b []byte) (time.Time, bool) {
	const toUnix = 116444736000000000
	if len(b) != 8 {
		return time.Time{}, false
	}
	n := int64(binary.LittleEndian.Uint64(b))
	if n < 0 {
		return time.Time{}, false
	}
	n -= toUnix
	return time.Unix(n/1e7, n%1e7*100).UTC(), true
}

// parseEKU reads an extended key usage; one that lists any purpose is no limit
// in it, and then there is PurposeAny in the list.
func parseEKU(der []byte) ([]store.Purpose, bool) {
	var oids []asn1.ObjectIdentifier
	if rest, err := asn1.Unmarshal(der, &oids); err != nil || len(rest) > 0 {
		return nil, false
	}
	out := []store.Purpose{}
	for _, oid := range oids {
		out = append(out, store.PurposeOfOID(oid))
	}
	return out, true
}

// encodeEKU writes one. The purposes are sorted, so that equal wishes have
// equal bytes.
func encodeEKU(list []store.Purpose) ([]byte, error) {
	oids := []asn1.ObjectIdentifier{}
	list = slices.Clone(list)
	slices.Sort(list)
	for _, p := range slices.Compact(list) {
		oid, err := oidOf(p)
		if err != nil {
			return nil, err
		}
		oids = append(oids, oid)
	}
	return asn1.Marshal(oids)
}

func oidOf(p store.Purpose) (asn1.ObjectIdentifier, error) {
	dotted := string(p)
	for oid, name := range oidNames {
		if name == p {
			dotted = oid
		}
	}
	var oid asn1.ObjectIdentifier
	for arc := range strings.SplitSeq(dotted, ".") {
		n := 0
		for _, r := range arc {
			if r < '0' || r > '9' || n > 1<<27 {
				return nil, store.Because(store.ErrInput, "%s is no purpose", store.Printable(string(p)))
			}
			n = 10*n + int(r-'0')
		}
		if arc == "" {
			return nil, store.Because(store.ErrInput, "%s is no purpose", store.Printable(string(p)))
		}
		oid = append(oid, n)
	}
	return oid, nil
}

const serverAuthOID = "1.3.6.1.5.5.7.3.1"

// oidNames are the OIDs of the purposes that have a name.
var oidNames = map[string]store.Purpose{
	serverAuthOID: store.PurposeServerAuth, "1.3.6.1.5.5.7.3.2": store.PurposeClientAuth,
	"1.3.6.1.5.5.7.3.3": store.PurposeCodeSigning, "1.3.6.1.5.5.7.3.4": store.PurposeEmail,
	"1.3.6.1.5.5.7.3.8": store.PurposeTimeStamping, "1.3.6.1.5.5.7.3.9": store.PurposeOCSPSigning,
}

// utf16Text reads little-endian UTF-16 up to its end or a zero.
func utf16Text(b []byte) string {
	var units []uint16
	for ; len(b) >= 2; b = b[2:] {
		u := binary.LittleEndian.Uint16(b)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}

// maxLabel is how many characters of a label are kept.
const maxLabel = 512

// keepable returns the label as a property can hold it.
func keepable(label string) string {
	runes := []rune(strings.ToValidUTF8(label, "\ufffd"))
	if len(runes) > maxLabel {
		runes = runes[:maxLabel]
	}
	return strings.ReplaceAll(string(runes), "\x00", "\ufffd")
}

// utf16Bytes writes text as utf16Text reads it.
func utf16Bytes(s string) []byte {
	var out []byte
	for _, u := range append(utf16.Encode([]rune(s)), 0) {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}

// record is a certificate in a store, with its properties.
type record struct {
	cert     *store.Cert
	elements []element // without that of the certificate
}

var errCutShort = store.Because(store.ErrCorrupt, "it is cut short")

// nextElement reads the first element of data.
func nextElement(data []byte) (e element, rest []byte, err error) {
	if len(data) < 12 {
		return e, nil, errCutShort
	}
	e.id = binary.LittleEndian.Uint32(data)
	encoding, length := binary.LittleEndian.Uint32(data[4:]), binary.LittleEndian.Uint32(data[8:])
	switch {
	case e.id != 0 && encoding != 1:
		return e, nil, store.Because(store.ErrCorrupt, "its element %d has the unknown encoding %d", e.id, encoding)
	case uint64(length) > uint64(len(data)-12):
		return e, nil, errCutShort
	}
	e.value = bytes.Clone(data[12 : 12+length])
	return e, data[12+length:], nil
}

// parseBlob reads one certificate with its properties, and nothing else.
func parseBlob(data []byte) (*record, error) {
	r := &record{}
	for len(data) > 0 {
		e, rest, err := nextElement(data)
		if err != nil {
			return nil, err
		}
		data = rest
		switch {
		case e.id == elementCert && r.cert == nil:
			r.cert = store.NewCert(e.value)
		case e.id == elementCert || e.id == elementCRL || e.id == elementCTL || e.id == 0:
			return nil, store.Because(store.ErrCorrupt, "it is not just one certificate")
		default:
			r.elements = append(r.elements, e)
		}
	}
	if r.cert == nil {
		return nil, store.Because(store.ErrCorrupt, "there is no certificate in it")
	}
	return r, nil
}

// blob writes the record as parseBlob reads it: without what Windows derives.
func (r *record) blob() []byte {
	var out []byte
	add := func(e element) {
		out = binary.LittleEndian.AppendUint32(out, e.id)
		out = binary.LittleEndian.AppendUint32(out, 1)
		out = binary.LittleEndian.AppendUint32(out, uint32(len(e.value)))
		out = append(out, e.value...)
	}
	own := slices.DeleteFunc(slices.Clone(r.elements), func(e element) bool { return derived(e.id) })
	slices.SortStableFunc(own, func(a, b element) int { return int(a.id) - int(b.id) })
	for _, e := range own {
		add(e)
	}
	add(element{elementCert, r.cert.Raw})
	return out
}

// same reports whether two records say the same; nil is none.
func same(a, b *record) bool {
	if a == nil || b == nil {
		return a == b
	}
	return bytes.Equal(a.blob(), b.blob())
}

// get returns a property, nil if there is none.
func (r *record) get(id uint32) []byte {
	for _, e := range r.elements {
		if e.id == id {
			return append([]byte{}, e.value...)
		}
	}
	return nil
}

// with returns the record with one property set to value, or without it if
// value is nil.
func (r *record) with(id uint32, value []byte) *record {
	out := &record{cert: r.cert, elements: slices.DeleteFunc(slices.Clone(r.elements), func(e element) bool { return e.id == id })}
	if value != nil {
		out.elements = append(out.elements, element{id, value})
	}
	return out
}

// thumbprint is the name of a certificate in Windows: the SHA-1 of its DER. It
// identifies nothing here.
func (r *record) thumbprint() string { return thumbprint(r.cert.Raw) }

func thumbprint(der []byte) string {
	sum := sha1.Sum(der)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// label is the friendly name, or what the certificate calls itself.
func (r *record) label() string {
	if name := utf16Text(r.get(propFriendlyName)); strings.TrimSpace(name) != "" {
		return name
	}
	return r.cert.Label()
}

// usages returns what the property limits the certificate to: all (limited
// false), or a list, empty for nothing. A property that cannot be read is taken
// for a limit to nothing.
func (r *record) usages() (list []store.Purpose, limited bool) {
	der := r.get(propEKU)
	if der == nil {
		return nil, false
	}
	list, ok := parseEKU(der)
	if ok && slices.Contains(list, store.PurposeAny) {
		return nil, false
	}
	return list, true
}

// allows reports whether the certificate's own extension allows a purpose.
func allows(c *store.Cert, p store.Purpose) bool {
	own := c.ExtendedKeyUsage()
	return own == nil || slices.Contains(own, store.PurposeAny) || slices.Contains(own, p)
}

// native is what only Windows knows of it.
func (r *record) native() map[string]string {
	out := map[string]string{"sha1": strings.ToLower(r.thumbprint())}
	for _, e := range r.elements {
		if derived(e.id) || e.id == propFriendlyName {
			continue
		}
		name, show := fmt.Sprintf("property%d", e.id), showHex
		for _, p := range properties {
			if p.id == e.id {
				name, show = p.name, p.show
			}
		}
		out[name] = show(e.value)
	}
	return out
}

// asAnchor returns the trust that a record in a store of roots has: the
// property's purposes, as far as the certificate's own extension allows them,
// and what the root programme has taken away.
func (r *record) asAnchor() store.Trust {
	var trust store.Trust
	list, limited := r.usages()
	if !limited {
		list = []store.Purpose{store.PurposeAny}
		if own := r.cert.ExtendedKeyUsage(); own != nil && !slices.Contains(own, store.PurposeAny) {
			list, limited = own, true
		}
	}
	for _, p := range list {
		if !limited || allows(r.cert, p) {
			trust = append(trust, store.Rule{Purpose: p, Decision: store.Trusted})
		}
	}
	if ended, ok := fileTime(r.get(propDisallowed)); ok {
		trust = until(trust, ended, nil)
	}
	if last, ok := fileTime(r.get(propNotBefore)); ok {
		only, _ := parseEKU(r.get(propNotBeforeEKU))
		trust = until(trust, last, only)
	}
	if never, ok := parseEKU(r.get(propDisallowedEKU)); ok {
		for _, p := range never {
			trust = append(store.Trust{{Purpose: p, Decision: store.Distrusted}}, trust...)
		}
	}
	return trust.Normal()
}

// until limits the trust for some purposes, or all, to what was issued by a
// day.
func until(trust store.Trust, last time.Time, only []store.Purpose) store.Trust {
	var out store.Trust
	limit := func(r store.Rule) store.Rule {
		if r.DistrustAfter.IsZero() || last.Before(r.DistrustAfter) {
			r.DistrustAfter = last
		}
		return r
	}
	for _, p := range only { // those that only the general rule covers
		if rule := trust.Rule(p); rule.Decision == store.Trusted {
			out = append(out, limit(rule))
		}
	}
	for _, r := range trust {
		if len(only) == 0 {
			r = limit(r)
		}
		out = append(out, r)
	}
	return out.Normal()
}
