package certfile

import (
	"bytes"
	"errors"
	"slices"
	"unicode/utf16"

	"github.com/certtrust/certtrust/store"
)

// The object identifiers of PKCS#12, in DER without tag and length.
const (
	oidData          = "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"             // 1.2.840.113549.1.7.1
	oidX509          = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x16\x01"         // 1.2.840.113549.1.9.22.1
	oidEncryptedData = "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x06"             // 1.2.840.113549.1.7.6
	oidLocalKeyID    = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x15"             // 1.2.840.113549.1.9.21
	oidFriendlyName  = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x14"             // 1.2.840.113549.1.9.20
	oidTrusted       = "\x60\x86\x48\x01\x86\xf9\x66\xad\xca\x7b\x01\x01" // 2.16.840.1.113894.746875.1.1, Oracle's trustedKeyUsage
	oidBags          = "\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01"         // 1.2.840.113549.1.12.10.1, and one arc more
)

// maxBagDepth is how deep bags may be nested. None are in practice.
const maxBagDepth = 8

// readPKCS12 reads PKCS#12 (RFC 7292, 4): what is encrypted with one of the
// passwords, and what is not encrypted.
//
//	PFX ::= SEQUENCE { version INTEGER (3), authSafe ContentInfo, macData OPTIONAL }
//	ContentInfo ::= SEQUENCE { OID, [0] content OPTIONAL }
//	authSafe is data: an OCTET STRING with SEQUENCE OF ContentInfo, each
//	data (an OCTET STRING with SEQUENCE OF SafeBag) or encrypted.
func readPKCS12(r *reading, data []byte) (*File, error) {
	p := p12Reader{reading: r, file: &File{Format: "PKCS#12"}, passwords: r.candidates()}
	pfx, after, ok := asDER(data)
	body, _, found := take(pfx, tagSequence)
	if !ok || !found {
		return p.file, store.Because(store.ErrCorrupt, "damaged PKCS#12: it is cut short")
	}
	_, body, _ = take(body, tagInteger)
	info, macData, ok := take(body, tagSequence)
	kind, content, found := contentInfo(info)
	switch {
	case !ok || !found:
		return p.file, store.Because(store.ErrCorrupt, "damaged PKCS#12")
	case kind != oidData:
		return p.file, refusal("PKCS#12 with a signature in place of a password", store.ErrUnsupported)
	}
	safe, _, ok := take(content, tagOctetString)
	if ok {
		p.macData, _, p.hasMAC = take(macData, tagSequence)
		p.signed = safe
		if safe, _, ok = asDER(safe); ok {
			safe, _, ok = take(safe, tagSequence)
		}
	}
	for ok && len(safe) > 0 {
		var info []byte
		if info, safe, ok = take(safe, tagSequence); ok {
			ok = p.content(info)
		}
	}
	p.markKeys()
	switch {
	case !ok:
		return p.file, store.Because(store.ErrCorrupt, "damaged PKCS#12")
	case p.encrypted > 0 && len(p.file.Items) == 0:
		if p.reason != nil {
			return p.file, store.Because(p.reason, "encrypted PKCS#12: %w", p.reason)
		}
		return p.file, store.Because(store.ErrSecret, "encrypted PKCS#12: %s", r.passwordText())
	case p.encrypted > 0:
		p.file.notice(0, Encrypted, "%d parts are encrypted: a password is needed to read them", p.encrypted)
	}
	if len(after) > 0 {
		p.file.notice(0, TrailingData, "%d bytes follow its end", len(after))
	}
	return p.file, nil
}

// passwordText tells that none of the passwords is right.
func (r *reading) passwordText() string {
	if len(r.passwords) == 0 {
		return "a password is needed"
	}
	return "the password is wrong"
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
	*reading
	file      *File
	passwords []password
	signed    []byte // what the MAC is of
	macData   []byte
	hasMAC    bool
	chosen    bool  // the MAC has told which of the passwords it is
	encrypted int   // parts that cannot be read
	reason    error // why, if not for want of a password
	bags      int
	keyIDs    []string       // of keys
	ids       map[int]string // of the certificates in the file, by their index
}

// content reads one ContentInfo of the authenticated safe.
func (p *p12Reader) content(info []byte) bool {
	kind, content, ok := contentInfo(info)
	switch {
	case !ok:
		return false
	case kind == oidData:
		bags, _, ok := take(content, tagOctetString)
		if ok {
			bags, _, ok = asDER(bags)
		}
		return ok && p.safeContents(bags, 0)
	case kind != oidEncryptedData: // for a recipient's key
		p.encrypted++
		p.reason = store.Because(store.ErrUnsupported, "it is encrypted for the holder of a key")
		return true
	}
	bags, err := p.open(content)
	switch {
	case err == nil:
		return p.safeContents(bags, 0)
	case !errors.Is(err, store.ErrSecret):
		p.reason = err
	}
	p.encrypted++
	return true
}

// choose finds the password with which the MAC was made.
func (p *p12Reader) choose() {
	if p.chosen || !p.hasMAC {
		return
	}
	p.chosen = true
	for i, candidate := range p.passwords {
		_, fits, err := p.macFits(p.macData, p.signed, candidate)
		if fits {
			p.passwords = p.passwords[i : i+1]
			return
		}
		if err != nil {
			return // then decrypting has to tell
		}
	}
	p.passwords = nil
}

// open decrypts EncryptedData ::= SEQUENCE { version INTEGER, SEQUENCE { OID,
// AlgorithmIdentifier, [0] IMPLICIT OCTET STRING } } (RFC 5652, 8).
func (p *p12Reader) open(content []byte) ([]byte, error) {
	damaged := store.Because(store.ErrCorrupt, "what is encrypted cannot be read")
	body, _, ok := take(content, tagSequence)
	_, body, hasVersion := take(body, tagInteger)
	info, _, found := take(body, tagSequence)
	_, info, hasType := take(info, tagOID)
	algorithm, rest, known := take(info, tagSequence)
	e, _, there := next(rest)
	if !ok || !hasVersion || !found || !hasType || !known || !there {
		return nil, damaged
	}
	data := e.value
	if e.tag == tagContext0 { // in pieces
		data = pieces(e.value)
	} else if e.tag != tagContext0&^0x20 {
		return nil, damaged
	}
	p.choose()
	for _, candidate := range p.passwords {
		out, err := p.decrypt(algorithm, data, candidate)
		if err == nil {
			if der, _, ok := asDER(out); ok && der[0] == tagSequence {
				return der, nil
			}
			continue
		}
		if !errors.Is(err, store.ErrSecret) {
			return nil, err
		}
	}
	return nil, errPassword
}

// markKeys tells which certificates are said to belong to the keys.
func (p *p12Reader) markKeys() {
	for i, id := range p.ids {
		p.file.Items[i].HasKey = slices.Contains(p.keyIDs, id)
	}
}

// safeContents reads a SEQUENCE OF SafeBag.
func (p *p12Reader) safeContents(data []byte, depth int) bool {
	bags, _, ok := take(data, tagSequence)
	for ok && len(bags) > 0 {
		var bag []byte
		if bag, bags, ok = take(bags, tagSequence); ok {
			ok = p.bag(bag, depth)
		}
	}
	return ok
}

// bag reads a SafeBag ::= SEQUENCE { OID, [0] value, attributes SET OPTIONAL }.
func (p *p12Reader) bag(bag []byte, depth int) bool {
	oid, rest, ok := take(bag, tagOID)
	if !ok {
		return false
	}
	value, rest, ok := take(rest, tagContext0)
	if !ok {
		return false
	}
	p.bags++
	item := Item{Block: p.bags}
	var id string
	if attributes, _, ok := take(rest, tagSet); ok {
		item.Alias, item.TrustedEntry, id = bagAttributes(attributes)
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
		if id != "" {
			p.keyIDs = append(p.keyIDs, id)
		}
		if number == 1 {
			p.file.sawKey(value)
		}
		p.file.notice(0, KeyEntry, "%s is a key: not read", name)
	case 3:
		before := len(p.file.Items)
		p.certBag(value, item, name)
		if id != "" && len(p.file.Items) > before {
			if p.ids == nil {
				p.ids = map[int]string{}
			}
			p.ids[before] = id
		}
	case 4:
		p.file.notice(0, CRL, "%s: %s: not read", name, nameOf(CRL))
	case 6:
		return depth < maxBagDepth && p.safeContents(value, depth+1)
	default:
		p.file.notice(0, UnreadableEntry, "%s is of an unknown kind", name)
	}
	return true
}

// certBag reads a CertBag ::= SEQUENCE { OID, [0] OCTET STRING with DER }.
func (p *p12Reader) certBag(value []byte, item Item, name string) {
	seq, _, ok := take(value, tagSequence)
	kind, content, found := contentInfo(seq)
	der, _, whole := take(content, tagOctetString)
	if !ok || !found || !whole || kind != oidX509 {
		p.file.notice(0, UnreadableEntry, "%s is a certificate of a kind other than X.509, or damaged", name)
		return
	}
	p.file.addFound(item, bytes.Clone(der), name)
}

// bagAttributes reads a SET OF SEQUENCE { OID, SET OF value }.
func bagAttributes(data []byte) (alias string, trusted bool, id string) {
	for len(data) > 0 {
		attribute, rest, ok := take(data, tagSequence)
		if !ok {
			return alias, trusted, id
		}
		data = rest
		oid, values, _ := take(attribute, tagOID)
		switch string(oid) {
		case oidTrusted:
			trusted = true
		case oidLocalKeyID:
			set, _, _ := take(values, tagSet)
			octets, _, _ := take(set, tagOctetString)
			id = string(octets)
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
	return alias, trusted, id
}
