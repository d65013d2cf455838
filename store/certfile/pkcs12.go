package certfile

import (
	"bytes"
	"unicode/utf16"

	"github.com/certtrust/certtrust/store"
)

// The object identifiers of PKCS#12, in DER without tag and length.
const (
	oidData         = "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"             // 1.2.840.113549.1.7.1
	oidX509         = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x16\x01"         // 1.2.840.113549.1.9.22.1
	oidFriendlyName = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x14"             // 1.2.840.113549.1.9.20
	oidTrusted      = "\x60\x86\x48\x01\x86\xf9\x66\xad\xca\x7b\x01\x01" // 2.16.840.1.113894.746875.1.1, Oracle's trustedKeyUsage
	oidBags         = "\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01"         // 1.2.840.113549.1.12.10.1, and one arc more
)

// maxBagDepth is how deep bags may be nested. None are in practice.
const maxBagDepth = 8

// readPKCS12 reads the parts of a PKCS#12 file that are not encrypted (RFC
// 7292, 4). Its integrity is not checked.
//
//	PFX ::= SEQUENCE { version INTEGER (3), authSafe ContentInfo, macData OPTIONAL }
//	ContentInfo ::= SEQUENCE { OID, [0] content OPTIONAL }
//	authSafe is data: an OCTET STRING with SEQUENCE OF ContentInfo, each
//	data (an OCTET STRING with SEQUENCE OF SafeBag) or encrypted.
func readPKCS12(data []byte) (*File, error) {
	r := p12Reader{file: &File{Format: "PKCS#12"}}
	pfx, _, ok := next(data)
	if _, _, length, known := header(data); known && length < 0 {
		return r.file, refusal("PKCS#12 in BER with indefinite lengths", store.ErrUnsupported)
	}
	if !ok {
		return r.file, store.Because(store.ErrCorrupt, "damaged PKCS#12: it is cut short")
	}
	_, body, _ := take(pfx.value, tagInteger)
	info, _, ok := take(body, tagSequence)
	kind, content, found := contentInfo(info)
	switch {
	case !ok || !found:
		return r.file, store.Because(store.ErrCorrupt, "damaged PKCS#12")
	case kind != oidData:
		return r.file, refusal("PKCS#12 with a signature in place of a password", store.ErrUnsupported)
	}
	safe, _, ok := take(content, tagOctetString)
	if ok {
		safe, _, ok = take(safe, tagSequence)
	}
	for ok && len(safe) > 0 {
		var info []byte
		if info, safe, ok = take(safe, tagSequence); ok {
			ok = r.content(info)
		}
	}
	switch {
	case !ok:
		return r.file, store.Because(store.ErrCorrupt, "damaged PKCS#12")
	case r.encrypted > 0 && len(r.file.Items) == 0:
		return r.file, store.Because(store.ErrSecret, "encrypted PKCS#12: a password is needed")
	case r.encrypted > 0:
		r.file.notice(0, Encrypted, "%d parts are encrypted: a password is needed to read them", r.encrypted)
	}
	if len(pfx.full) < len(data) {
		r.file.notice(0, TrailingData, "%d bytes follow its end", len(data)-len(pfx.full))
	}
	return r.file, nil
}

// contentInfo returns the type and the content, in its tag, of a ContentInfo.
func contentInfo(info []byte) (kind string, content []byte, ok bool) {
	oid, rest, ok := take(info, tagOID)
	if !ok {
		return "", nil, false
	}
	content, _, _ = take(rest, tagContext0)
	return string(oid), content, true
}

type p12Reader struct {
	file      *File
	encrypted int // parts that cannot be read
	bags      int
}

// content reads one ContentInfo of the authenticated safe.
func (r *p12Reader) content(info []byte) bool {
	kind, content, ok := contentInfo(info)
	switch {
	case !ok:
		return false
	case kind != oidData: // encrypted with a password, or for a recipient's key
		r.encrypted++
		return true
	}
	bags, _, ok := take(content, tagOctetString)
	return ok && r.safeContents(bags, 0)
}

// safeContents reads a SEQUENCE OF SafeBag.
func (r *p12Reader) safeContents(data []byte, depth int) bool {
	bags, _, ok := take(data, tagSequence)
	for ok && len(bags) > 0 {
		var bag []byte
		if bag, bags, ok = take(bags, tagSequence); ok {
			ok = r.bag(bag, depth)
		}
	}
	return ok
}

// bag reads a SafeBag ::= SEQUENCE { OID, [0] value, attributes SET OPTIONAL }.
func (r *p12Reader) bag(bag []byte, depth int) bool {
	oid, rest, ok := take(bag, tagOID)
	if !ok {
		return false
	}
	value, rest, ok := take(rest, tagContext0)
	if !ok {
		return false
	}
	r.bags++
	item := Item{Block: r.bags}
	if attributes, _, ok := take(rest, tagSet); ok {
		item.Alias, item.TrustedEntry = bagAttributes(attributes)
	}
	name := "bag"
	if item.Alias != "" {
		name += " " + store.Printable(item.Alias)
	}
	number := byte(0)
	if len(oid) == len(oidBags)+1 && string(oid[:len(oidBags)]) == oidBags {
		number = oid[len(oidBags)]
	}
	switch number {
	case 1, 2, 5: // keyBag, pkcs8ShroudedKeyBag, secretBag
		r.file.notice(0, KeyEntry, "%s is a key: not read", name)
	case 3:
		r.certBag(value, item, name)
	case 4:
		r.file.notice(0, CRL, "%s: %s: not read", name, nameOf(CRL))
	case 6:
		return depth < maxBagDepth && r.safeContents(value, depth+1)
	default:
		r.file.notice(0, UnreadableEntry, "%s is of an unknown kind", name)
	}
	return true
}

// certBag reads a CertBag ::= SEQUENCE { OID, [0] OCTET STRING with DER }.
func (r *p12Reader) certBag(value []byte, item Item, name string) {
	seq, _, ok := take(value, tagSequence)
	kind, content, found := contentInfo(seq)
	der, _, whole := take(content, tagOctetString)
	if !ok || !found || !whole || kind != oidX509 {
		r.file.notice(0, UnreadableEntry, "%s is a certificate of a kind other than X.509, or damaged", name)
		return
	}
	r.file.addFound(item, bytes.Clone(der), name)
}

// bagAttributes reads a SET OF SEQUENCE { OID, SET OF value }.
func bagAttributes(data []byte) (alias string, trusted bool) {
	for len(data) > 0 {
		attribute, rest, ok := take(data, tagSequence)
		if !ok {
			return alias, trusted
		}
		data = rest
		oid, values, _ := take(attribute, tagOID)
		switch string(oid) {
		case oidTrusted:
			trusted = true
		case oidFriendlyName:
			set, _, _ := take(values, tagSet)
			name, _, _ := take(set, tagBMPString)
			units := make([]uint16, len(name)/2)
			for i := range units {
				units[i] = uint16(name[2*i])<<8 | uint16(name[2*i+1])
			}
			alias = string(utf16.Decode(units))
		}
	}
	return alias, trusted
}
