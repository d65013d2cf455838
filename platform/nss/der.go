package nss

import (
	"crypto/sha1"
	"encoding/asn1"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// element reads the first element of DER: its tag, its value, and the whole of
// it. crypto/x509 is of no use here: it refuses certificates that NSS takes.
func element(der []byte) (tag byte, value, whole, rest []byte, ok bool) {
	if len(der) < 2 || der[0]&0x1f == 0x1f {
		return 0, nil, nil, nil, false
	}
	length, head := int(der[1]), 2
	if length >= 0x80 {
		n := length & 0x7f
		if n == 0 || n > 4 || len(der) < 2+n {
			return 0, nil, nil, nil, false
		}
		length = 0
		for _, b := range der[2 : 2+n] {
			length = length<<8 | int(b)
		}
		head += n
	}
	if length < 0 || length > len(der)-head {
		return 0, nil, nil, nil, false
	}
	return der[0], der[head : head+length], der[:head+length], der[head+length:], true
}

// serialOf returns a certificate's serial number as it is encoded, with its tag
// and length: NSS compares it byte by byte.
func serialOf(der []byte) []byte {
	_, value, _, _, ok := element(der)
	if !ok {
		return nil
	}
	_, value, _, _, ok = element(value)
	if !ok {
		return nil
	}
	tag, _, whole, rest, ok := element(value)
	if ok && tag == 0xa0 { // the version
		tag, _, whole, _, ok = element(rest)
	}
	if !ok || tag != 0x02 {
		return nil
	}
	return whole
}

// keyID returns what NSS calls the CKA_ID of a certificate: the SHA-1 of the
// bare public value.
func keyID(c *store.Cert) []byte {
	_, value, _, _, ok := element(c.SPKI)
	if !ok {
		return nil
	}
	_, _, _, rest, ok := element(value) // past the algorithm
	if !ok {
		return nil
	}
	tag, bits, _, _, ok := element(rest)
	if !ok || tag != 0x03 || len(bits) == 0 {
		return nil
	}
	public := bits[1:]
	switch c.KeyAlgorithm {
	case "RSA", "RSA-PSS":
		if tag, seq, _, _, ok := element(public); ok && tag == 0x30 {
			if tag, n, _, _, ok := element(seq); ok && tag == 0x02 {
				public = trimZero(n)
			}
		}
	case "DSA":
		if tag, y, _, _, ok := element(public); ok && tag == 0x02 {
			public = trimZero(y)
		}
	}
	if len(public) <= sha1.Size {
		return public
	}
	sum := sha1.Sum(public)
	return sum[:]
}

func trimZero(n []byte) []byte {
	for len(n) > 1 && n[0] == 0 {
		n = n[1:]
	}
	return n
}

const (
	oidEmailAddress = "1.2.840.113549.1.9.1"
	oidAltName      = "2.5.29.17"
)

// emailOf returns the address that NSS keeps of a certificate: that of its
// subject or else the first of its alternative names, in lower case.
func emailOf(c *store.Cert) string {
	for _, a := range c.Subject.Attributes {
		if a.OID == oidEmailAddress && a.Value != "" {
			return strings.ToLower(a.Value)
		}
	}
	ext := c.Extension(oidAltName)
	if ext == nil {
		return ""
	}
	_, names, _, _, ok := element(ext.Value)
	for ok && len(names) > 0 {
		var tag byte
		var value []byte
		tag, value, _, names, ok = element(names)
		if ok && tag == 0x81 {
			return strings.ToLower(string(value))
		}
	}
	return ""
}

// namesHosts reports whether a certificate is made for servers: it names hosts
// or addresses.
func namesHosts(c *store.Cert) bool {
	ext := c.Extension(oidAltName)
	if ext == nil {
		return false
	}
	var names []asn1.RawValue
	if _, err := asn1.Unmarshal(ext.Value, &names); err != nil {
		return false
	}
	for _, n := range names {
		if n.Class == asn1.ClassContextSpecific && (n.Tag == 2 || n.Tag == 7) {
			return true
		}
	}
	return false
}
