package store

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"iter"
	"math/big"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// Cert is a certificate as a store holds it. Real stores hold certificates
// that crypto/x509 refuses (negative serial numbers, odd encodings, unknown
// curves), so everything beyond Raw and SHA256 is read by a structural reader
// that takes what it can get, and [Cert.Parsed] may be nil.
//
// A Cert is not changed after [NewCert] has made it.
type Cert struct {
	Raw    []byte // as found; DER, or meant to be
	SHA256 Fingerprint

	// Strict asks crypto/x509 what it makes of Raw, the first time that somebody
	// wants to know: of most of what a store holds nobody does.
	Strict func() (*x509.Certificate, error) `json:"-"`

	// The loose fields. What Raw does not tell is zero.
	Version            int // 1, 2 or 3; 0 if even the outer structure is broken
	Serial             *big.Int
	Issuer, Subject    Name
	NotBefore          time.Time
	NotAfter           time.Time
	SPKI               []byte // DER of the SubjectPublicKeyInfo
	KeyAlgorithm       string // "RSA", "EC", "Ed25519", …, or a dotted OID
	KeyBits            int    // 0 if unknown
	Curve              string // "P-256", …, or a dotted OID, for EC
	SignatureAlgorithm string // "SHA256-RSA", …, or a dotted OID
	Extensions         []Extension
}

// Extension is a certificate extension as encoded.
type Extension struct {
	OID      string
	Critical bool
	Value    []byte
}

// NewCert reads der. It never fails: what cannot be read stays zero.
// The Cert keeps der; the caller must not change it afterwards.
func NewCert(der []byte) *Cert {
	c := &Cert{Raw: der, SHA256: FingerprintOf(der)}
	c.Strict = sync.OnceValues(func() (*x509.Certificate, error) { return x509.ParseCertificate(der) })
	c.readLoosely()
	return c
}

// Parsed returns what crypto/x509 makes of the certificate, nil if it refuses.
func (c *Cert) Parsed() *x509.Certificate {
	parsed, _ := c.Strict()
	return parsed
}

// ParseError returns why crypto/x509 refuses the certificate, nil if it does not.
func (c *Cert) ParseError() error {
	_, err := c.Strict()
	return err
}

// SelfIssued reports whether issuer and subject are the same, byte for byte.
func (c *Cert) SelfIssued() bool {
	return c.Version != 0 && bytes.Equal(c.Issuer.Raw, c.Subject.Raw)
}

// SelfSigned reports whether the certificate is self-issued and signed by its
// own key. Where that cannot be checked, because crypto/x509 refuses the
// certificate or its algorithm, the names decide.
func (c *Cert) SelfSigned() bool {
	if c.Parsed() == nil || !c.SelfIssued() {
		return c.SelfIssued()
	}
	err := c.Parsed().CheckSignature(c.Parsed().SignatureAlgorithm, c.Parsed().RawTBSCertificate, c.Parsed().Signature)
	var insecure x509.InsecureAlgorithmError
	return err == nil || errors.Is(err, x509.ErrUnsupportedAlgorithm) || errors.As(err, &insecure)
}

// IsCA reports whether the certificate may issue others: basicConstraints says
// so or, in a self-issued certificate of version 1, nothing can say otherwise.
func (c *Cert) IsCA() bool {
	ca, present := c.BasicConstraints()
	if present {
		return ca
	}
	return c.Version == 1 && c.SelfIssued()
}

// Kind returns what the certificate is in a chain: "root", "intermediate" or
// "leaf".
func (c *Cert) Kind() string {
	switch {
	case !c.IsCA():
		return "leaf"
	case c.SelfIssued():
		return "root"
	}
	return "intermediate"
}

// BasicConstraints returns the cA field of the basicConstraints extension and
// whether there is such an extension.
func (c *Cert) BasicConstraints() (ca, present bool) {
	ext := c.Extension("2.5.29.19")
	if ext == nil {
		return false, false
	}
	seq, _, ok := readTLV(ext.Value)
	if !ok || seq.tag != 0x30 {
		return false, true
	}
	field, _, ok := readTLV(seq.value)
	return ok && field.tag == 0x01 && len(field.value) == 1 && field.value[0] != 0, true
}

// Extension returns the first extension with that dotted OID, or nil.
func (c *Cert) Extension(oid string) *Extension {
	for i := range c.Extensions {
		if c.Extensions[i].OID == oid {
			return &c.Extensions[i]
		}
	}
	return nil
}

// ExtendedKeyUsage returns the purposes that the certificate limits itself to,
// nil if it does not; of an extension that cannot be read, those that can.
func (c *Cert) ExtendedKeyUsage() []Purpose {
	ext := c.Extension("2.5.29.37")
	if ext == nil {
		return nil
	}
	out := []Purpose{}
	seq, _, _ := readTLV(ext.Value)
	for rest := seq.value; ; {
		field, after, ok := readTLV(rest)
		if !ok {
			return out
		}
		if field.tag == 0x06 {
			out = append(out, purposeOfDotted(oidString(field.value)))
		}
		rest = after
	}
}

func purposeOfDotted(oid string) Purpose {
	for _, p := range purposes {
		if p.OID == oid {
			return p.Name
		}
	}
	return Purpose(oid)
}

// KeyUsage returns the bits of the keyUsage extension, bit 0
// (digitalSignature) lowest, and whether there is one.
func (c *Cert) KeyUsage() (x509.KeyUsage, bool) {
	ext := c.Extension("2.5.29.15")
	if ext == nil {
		return 0, false
	}
	var bits asn1.BitString
	if _, err := asn1.Unmarshal(ext.Value, &bits); err != nil {
		return 0, true
	}
	var usage x509.KeyUsage
	for i := range 9 {
		if bits.At(i) != 0 {
			usage |= 1 << i
		}
	}
	return usage, true
}

// Label returns what the certificate calls itself: the common name, or else
// the organisational unit, the organisation, any attribute of the subject, or
// "(no name)". It is untrusted text.
func (c *Cert) Label() string {
	for _, oid := range []string{"2.5.4.3", "2.5.4.11", "2.5.4.10", ""} {
		// The most specific one is written last.
		for i := len(c.Subject.Attributes) - 1; i >= 0; i-- {
			a := c.Subject.Attributes[i]
			if (oid == "" || a.OID == oid) && strings.TrimSpace(a.Value) != "" {
				return a.Value
			}
		}
	}
	if c.Version == 0 {
		return "(unreadable certificate)"
	}
	return "(no name)"
}

// Key describes the public key, such as "RSA 2048" or "EC P-256".
func (c *Cert) Key() string {
	switch {
	case c.Curve != "":
		return c.KeyAlgorithm + " " + c.Curve
	case c.KeyBits > 0:
		return fmt.Sprintf("%s %d", c.KeyAlgorithm, c.KeyBits)
	}
	return c.KeyAlgorithm
}

// Name is a distinguished name.
type Name struct {
	Raw        []byte // DER
	Attributes []Attribute
}

// Attribute is one attribute of a Name, in the order of encoding.
type Attribute struct {
	OID   string
	Value string // converted to UTF-8 as far as that goes; untrusted text
	// Joined: in one set with the attribute before it.
	Joined bool
}

// attributeNames are the short names of RFC 4514, section 3, and a few more
// that are in common use.
var attributeNames = sync.OnceValue(func() map[string]string {
	return map[string]string{
		"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C",
		"2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "street", "2.5.4.10": "O",
		"2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.42": "GN", "2.5.4.97": "organizationIdentifier",
		"1.2.840.113549.1.9.1": "emailAddress", "0.9.2342.19200300.100.1.25": "DC",
		"0.9.2342.19200300.100.1.1": "UID",
	}
})

// String writes the name as RFC 4514 does: the last attribute first. It is
// untrusted text: [Printable] makes it fit to be shown.
func (n Name) String() string {
	var b strings.Builder
	for end := len(n.Attributes); end > 0; {
		start := end - 1
		for start > 0 && n.Attributes[start].Joined {
			start--
		}
		for i, a := range n.Attributes[start:end] {
			switch {
			case i > 0:
				b.WriteByte('+')
			case b.Len() > 0:
				b.WriteByte(',')
			}
			name := attributeNames()[a.OID]
			if name == "" {
				name = a.OID
			}
			b.WriteString(name)
			b.WriteByte('=')
			for j, r := range a.Value {
				if strings.ContainsRune(`,+"\<>;`, r) || (r == ' ' && (j == 0 || j == len(a.Value)-1)) || (r == '#' && j == 0) {
					b.WriteByte('\\')
				}
				b.WriteRune(r)
			}
		}
		end = start
	}
	return b.String()
}

// tlv is one element of DER or of BER with definite lengths.
type tlv struct {
	tag   byte
	value []byte
	full  []byte
}

// readTLV reads the first element of data. Tags above 30, which no certificate
// field has, and indefinite lengths are refused.
func readTLV(data []byte) (e tlv, rest []byte, ok bool) {
	if len(data) < 2 || data[0]&0x1f == 0x1f {
		return tlv{}, nil, false
	}
	length, head := int(data[1]), 2
	if length >= 0x80 {
		n := length & 0x7f
		if n == 0 || n > 4 || len(data) < 2+n {
			return tlv{}, nil, false
		}
		length = 0
		for _, b := range data[2 : 2+n] {
			length = length<<8 | int(b)
		}
		head += n
	}
	if length < 0 || length > len(data)-head {
		return tlv{}, nil, false
	}
	return tlv{data[0], data[head : head+length], data[:head+length]}, data[head+length:], true
}

// maxChildren is more elements than any part of a certificate has. It bounds
// the memory that hostile input costs.
const maxChildren = 4096

// children yields the elements of a constructed value, as many as are whole.
func children(value []byte) iter.Seq2[int, tlv] {
	return func(yield func(int, tlv) bool) {
		for n := 0; len(value) > 0 && n < maxChildren; n++ {
			e, rest, ok := readTLV(value)
			if !ok || !yield(n, e) {
				return
			}
			value = rest
		}
	}
}

// fields puts the elements of a constructed value into room, as many as there is
// room for, and returns how many the value has.
func fields(room []tlv, value []byte) (n int) {
	for i, e := range children(value) {
		if i < len(room) {
			room[i] = e
		}
		n++
	}
	return n
}

// readLoosely fills the loose fields (RFC 5280, 4.1).
func (c *Cert) readLoosely() {
	outer, _, ok := readTLV(c.Raw)
	if !ok || outer.tag != 0x30 {
		return
	}
	var parts [2]tlv
	n := fields(parts[:], outer.value)
	if n == 0 || parts[0].tag != 0x30 {
		return
	}
	if n > 1 {
		c.SignatureAlgorithm = signatureName(parts[1])
	}
	version, body := 1, parts[0].value
	if first, rest, ok := readTLV(body); ok && first.tag == 0xa0 {
		if v, _, ok := readTLV(first.value); ok && v.tag == 0x02 && len(v.value) == 1 {
			version = int(v.value[0]) + 1
		}
		body = rest
	}
	var f [6]tlv // serial number, signature, issuer, validity, subject, key
	// A revocation list begins alike, but has other types in these places.
	if fields(f[:], body) < len(f) || f[0].tag != 0x02 || f[2].tag != 0x30 || f[4].tag != 0x30 || f[5].tag != 0x30 {
		return
	}
	c.Version = version
	c.Serial = integer(f[0].value)
	c.Issuer = readName(f[2])
	var times [2]tlv
	if fields(times[:], f[3].value) == len(times) {
		c.NotBefore, c.NotAfter = readTime(times[0]), readTime(times[1])
	}
	c.Subject = readName(f[4])
	c.SPKI = f[5].full
	c.readKey(f[5])
	for i, e := range children(body) {
		if i < len(f) || e.tag != 0xa3 {
			continue
		}
		list, _, _ := readTLV(e.value)
		c.Extensions = slices.Grow(c.Extensions, fields(nil, list.value))
		for _, e := range children(list.value) {
			if ext, ok := readExtension(e); ok {
				c.Extensions = append(c.Extensions, ext)
			}
		}
	}
}

func integer(b []byte) *big.Int {
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return n
}

// bitLen returns how many bits a positive integer has.
func bitLen(b []byte) int {
	b = bytes.TrimLeft(b, "\x00")
	if len(b) == 0 {
		return 0
	}
	return 8*(len(b)-1) + bits.Len8(b[0])
}

func readExtension(e tlv) (Extension, bool) {
	var parts [3]tlv
	n := fields(parts[:], e.value)
	if n < 2 || parts[0].tag != 0x06 {
		return Extension{}, false
	}
	ext, value := Extension{OID: oidString(parts[0].value)}, parts[1]
	if value.tag == 0x01 {
		ext.Critical = len(value.value) == 1 && value.value[0] != 0
		value = parts[2]
	}
	if value.tag != 0x04 {
		return Extension{}, false
	}
	ext.Value = value.value
	return ext, true
}

func readName(e tlv) Name {
	n := Name{Raw: e.full, Attributes: make([]Attribute, 0, min(fields(nil, e.value), 8))}
	for _, set := range children(e.value) {
		joined := false
		for _, pair := range children(set.value) {
			var parts [2]tlv
			if fields(parts[:], pair.value) != len(parts) || parts[0].tag != 0x06 {
				continue
			}
			n.Attributes = append(n.Attributes, Attribute{
				OID: oidString(parts[0].value), Value: text(parts[1]), Joined: joined,
			})
			joined = true
		}
	}
	return n
}

// text converts a string of any of ASN.1's types to UTF-8.
func text(e tlv) string {
	switch e.tag {
	case 0x1e: // BMPString
		units := make([]uint16, len(e.value)/2)
		for i := range units {
			units[i] = uint16(e.value[2*i])<<8 | uint16(e.value[2*i+1])
		}
		return string(utf16.Decode(units))
	case 0x1c: // UniversalString
		var runes []rune
		for v := e.value; len(v) >= 4; v = v[4:] {
			runes = append(runes, rune(uint32(v[0])<<24|uint32(v[1])<<16|uint32(v[2])<<8|uint32(v[3])))
		}
		return string(runes)
	}
	if utf8.Valid(e.value) {
		return string(e.value)
	}
	// TeletexString and mislabelled strings are Latin-1 in practice.
	runes := make([]rune, len(e.value))
	for i, b := range e.value {
		runes[i] = rune(b)
	}
	return string(runes)
}

func readTime(e tlv) time.Time {
	s := string(e.value)
	layouts := []string{"20060102150405Z0700", "200601021504Z0700", "20060102150405"}
	if e.tag == 0x17 { // UTCTime
		layouts = []string{"060102150405Z0700", "0601021504Z0700", "060102150405"}
	}
	for _, layout := range layouts {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		if e.tag == 0x17 && t.Year() >= 2050 { // RFC 5280, 4.1.2.5.1
			t = t.AddDate(-100, 0, 0)
		}
		return t.UTC()
	}
	return time.Time{}
}

func oidString(b []byte) string {
	var room [64]byte
	out := room[:0]
	var arc uint64
	for _, v := range b {
		if arc >= 1<<56 {
			return fmt.Sprintf("oid:%x", b)
		}
		arc = arc<<7 | uint64(v&0x7f)
		if v&0x80 != 0 {
			continue
		}
		if len(out) == 0 {
			top := min(arc/40, 2)
			out = strconv.AppendUint(out, top, 10)
			arc -= 40 * top
		}
		out = strconv.AppendUint(append(out, '.'), arc, 10)
		arc = 0
	}
	return string(out)
}

var keyAlgorithms = sync.OnceValue(func() map[string]string {
	return map[string]string{
		"1.2.840.113549.1.1.1": "RSA", "1.2.840.113549.1.1.10": "RSA-PSS", "1.2.840.10045.2.1": "EC",
		"1.2.840.10040.4.1": "DSA", "1.3.101.112": "Ed25519", "1.3.101.113": "Ed448",
		"2.16.840.1.101.3.4.3.17": "ML-DSA-44", "2.16.840.1.101.3.4.3.18": "ML-DSA-65", "2.16.840.1.101.3.4.3.19": "ML-DSA-87",
	}
})

var curves = map[string]struct {
	name string
	bits int
}{
	"1.3.132.0.33":          {"P-224", 224},
	"1.2.840.10045.3.1.7":   {"P-256", 256},
	"1.3.132.0.34":          {"P-384", 384},
	"1.3.132.0.35":          {"P-521", 521},
	"1.2.840.10045.3.1.1":   {"P-192", 192},
	"1.3.132.0.10":          {"secp256k1", 256},
	"1.3.36.3.3.2.8.1.1.7":  {"brainpoolP256r1", 256},
	"1.3.36.3.3.2.8.1.1.11": {"brainpoolP384r1", 384},
	"1.3.36.3.3.2.8.1.1.13": {"brainpoolP512r1", 512},
	"1.2.156.10197.1.301":   {"SM2", 256},
	"1.2.643.7.1.2.1.1.1":   {"GOST 256A", 256},
	"1.3.36.3.3.2.8.1.1.9":  {"brainpoolP320r1", 320},
	"1.3.36.3.3.2.8.1.1.5":  {"brainpoolP224r1", 224},
	"1.3.132.0.31":          {"secp192k1", 192},
	"1.3.132.0.32":          {"secp224k1", 224},
}

func (c *Cert) readKey(spki tlv) {
	var parts, algorithm [2]tlv
	if fields(parts[:], spki.value) != len(parts) {
		return
	}
	n := fields(algorithm[:], parts[0].value)
	if n == 0 || algorithm[0].tag != 0x06 {
		return
	}
	oid := oidString(algorithm[0].value)
	c.KeyAlgorithm = keyAlgorithms()[oid]
	if c.KeyAlgorithm == "" {
		c.KeyAlgorithm = oid
	}
	var numbers [3]tlv
	switch c.KeyAlgorithm {
	case "RSA", "RSA-PSS":
		if len(parts[1].value) > 1 {
			key, _, _ := readTLV(parts[1].value[1:])
			if fields(numbers[:], key.value) == 2 {
				c.KeyBits = bitLen(numbers[0].value)
			}
		}
	case "DSA":
		if n == 2 && fields(numbers[:], algorithm[1].value) == 3 {
			c.KeyBits = bitLen(numbers[0].value)
		}
	case "EC":
		c.Curve = "explicit parameters"
		if n == 2 && algorithm[1].tag == 0x06 {
			c.Curve = oidString(algorithm[1].value)
			if known, ok := curves[c.Curve]; ok {
				c.Curve, c.KeyBits = known.name, known.bits
			}
		}
	case "Ed25519":
		c.KeyBits = 256
	}
}

var signatureNames = sync.OnceValue(func() map[string]string {
	return map[string]string{
		"1.2.840.113549.1.1.2": "MD2-RSA", "1.2.840.113549.1.1.4": "MD5-RSA", "1.2.840.113549.1.1.5": "SHA1-RSA",
		"1.2.840.113549.1.1.11": "SHA256-RSA", "1.2.840.113549.1.1.12": "SHA384-RSA", "1.2.840.113549.1.1.13": "SHA512-RSA",
		"1.2.840.113549.1.1.14": "SHA224-RSA", "1.2.840.113549.1.1.10": "RSA-PSS",
		"1.2.840.10045.4.1": "SHA1-ECDSA", "1.2.840.10045.4.3.2": "SHA256-ECDSA", "1.2.840.10045.4.3.3": "SHA384-ECDSA",
		"1.2.840.10045.4.3.4": "SHA512-ECDSA", "1.2.840.10045.4.3.1": "SHA224-ECDSA",
		"1.2.840.10040.4.3": "SHA1-DSA", "2.16.840.1.101.3.4.3.2": "SHA256-DSA", "1.3.101.112": "Ed25519", "1.3.101.113": "Ed448",
		"1.3.14.3.2.29": "SHA1-RSA",
	}
})

func signatureName(e tlv) string {
	algorithm, _, ok := readTLV(e.value)
	if !ok || algorithm.tag != 0x06 {
		return ""
	}
	oid := oidString(algorithm.value)
	if name := signatureNames()[oid]; name != "" {
		return name
	}
	return oid
}
