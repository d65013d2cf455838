package certfile

import (
	"bytes"

	"github.com/certtrust/certtrust/store"
)

// The types of PKCS#7 (RFC 2315, 14), which have all but the last arc in
// common with oidData.
const oidPKCS7 = "\x2a\x86\x48\x86\xf7\x0d\x01\x07"

// otherPKCS7 are the types that hold no certificates that can be had.
var otherPKCS7 = map[byte]string{
	3: "a PKCS#7 message that is encrypted for its recipient",
	4: "a PKCS#7 message that is signed and encrypted for its recipient",
	5: "a PKCS#7 digest",
	6: "an encrypted PKCS#7 message",
}

// readPKCS7 reads the certificates in PKCS#7 or CMS (RFC 5652, 5), whatever
// that is the signature of. If it is the signature of a file that holds
// certificates, such as a configuration profile, these are meant, and not those
// of the signer.
//
//	ContentInfo ::= SEQUENCE { OID, [0] content }
//	SignedData ::= SEQUENCE { version INTEGER, digestAlgorithms SET,
//	    encapContentInfo SEQUENCE { OID, [0] OCTET STRING OPTIONAL },
//	    certificates [0] IMPLICIT SET OPTIONAL, crls [1] IMPLICIT SET OPTIONAL,
//	    signerInfos SET }
func readPKCS7(r *reading, data []byte) (*File, error) {
	f := &File{Format: "PKCS#7"}
	der, rest, ok := asDER(data)
	body, _, found := take(der, tagSequence)
	if !ok || !found {
		return f, store.Because(store.ErrCorrupt, "damaged PKCS#7: it is cut short")
	}
	if oid, content, ok := take(body, tagOID); ok { // otherwise SignedData alone
		inside, _, found := take(content, tagContext0)
		kind := byte(0)
		if len(oid) == len(oidPKCS7)+1 && string(oid[:len(oidPKCS7)]) == oidPKCS7 {
			kind = oid[len(oidPKCS7)]
		}
		switch {
		case otherPKCS7[kind] != "":
			return f, refusal(otherPKCS7[kind], store.ErrUnsupported)
		case kind == 1 && found: // data
			octets, _, _ := take(inside, tagOctetString)
			_, err := r.inner(f, "", octets)
			return f, err
		case kind != 2 || !found:
			return f, store.Because(store.ErrCorrupt, "damaged PKCS#7")
		}
		if body, _, ok = take(inside, tagSequence); !ok {
			return f, store.Because(store.ErrCorrupt, "damaged PKCS#7")
		}
	}
	_, body, hasVersion := take(body, tagInteger)
	_, body, hasAlgorithms := take(body, tagSet)
	content, body, hasContent := take(body, tagSequence)
	if !hasVersion || !hasAlgorithms || !hasContent {
		return f, store.Because(store.ErrCorrupt, "damaged PKCS#7")
	}
	list, _, _ := take(body, tagContext0)
	if payload := signedContent(content); recognise(payload) != nil {
		format, err := r.inner(f, "", payload)
		f.Format = "PKCS#7 around " + format
		if len(list) > 0 {
			f.notice(0, Signature, "the certificates of the signature around it are not what it holds: not read")
		}
		return f, err
	} else if len(payload) > 0 {
		f.notice(0, Signature, "the certificates are those of a signature")
	}
	for block := 1; len(list) > 0; block++ {
		e, after, ok := next(list)
		if !ok {
			f.notice(0, Damaged, "certificate %d and what follows it cannot be read", block)
			break
		}
		list = after
		if e.tag != tagSequence {
			f.notice(0, UnreadableEntry, "certificate %d is of a kind other than X.509", block)
			continue
		}
		f.addFound(Item{Block: block}, bytes.Clone(e.full), "PKCS#7")
	}
	if len(rest) > 0 && len(bytes.Trim(rest, "\x00\r\n")) > 0 {
		f.notice(0, TrailingData, "%d bytes follow its end", len(rest))
	}
	return f, nil
}

// signedContent returns what is signed, nil if that is elsewhere.
func signedContent(info []byte) []byte {
	_, rest, _ := take(info, tagOID)
	content, _, _ := take(rest, tagContext0)
	octets, _, ok := take(content, tagOctetString)
	if !ok {
		return nil
	}
	return octets
}
