package certfile

import (
	"bytes"
	"crypto/x509"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// element is one element of DER, or of BER with definite lengths.
type element struct {
	tag   byte
	value []byte
	full  []byte // with the tag and length
}

// header reads the tag and length at the start of data. A length that is
// indefinite is -1. Tags above 30, which no format here has, are refused.
func header(data []byte) (tag byte, size, length int, ok bool) {
	if len(data) < 2 || data[0]&0x1f == 0x1f {
		return 0, 0, 0, false
	}
	tag, length, size = data[0], int(data[1]), 2
	switch {
	case length < 0x80:
		return tag, size, length, true
	case length == 0x80:
		return tag, size, -1, true
	}
	n := length & 0x7f
	if n > 4 || len(data) < size+n {
		return 0, 0, 0, false
	}
	var claimed uint64
	for _, b := range data[size : size+n] {
		claimed = claimed<<8 | uint64(b)
	}
	// More than any file here has is all the same.
	return tag, size + n, int(min(claimed, 1<<31-1)), true
}

// next reads the first element of data.
func next(data []byte) (e element, rest []byte, ok bool) {
	tag, size, length, ok := header(data)
	if !ok || length < 0 || length > len(data)-size {
		return element{}, nil, false
	}
	return element{tag, data[size : size+length], data[:size+length]}, data[size+length:], true
}

// take reads the first element of data if it has that tag.
func take(data []byte, tag byte) (value, rest []byte, ok bool) {
	e, rest, ok := next(data)
	if !ok || e.tag != tag {
		return nil, data, false
	}
	return e.value, rest, true
}

// The tags that are needed.
const (
	tagInteger     = 0x02
	tagBitString   = 0x03
	tagOctetString = 0x04
	tagOID         = 0x06
	tagUTF8String  = 0x0c
	tagBMPString   = 0x1e
	tagSequence    = 0x30
	tagSet         = 0x31
	tagContext0    = 0xa0
	tagContext1    = 0xa1
)

// certificate is the derKind of a certificate; the other kinds are codes of
// notices.
const certificate = "certificate"

// shapes tells DER values apart: outer is how the tags inside the outermost
// SEQUENCE begin, inner how the content of its first element begins, as tags
// if that is constructed. The first that fits is it, so a value that is cut
// short is known by its beginning.
var shapes = []struct{ kind, outer, inner string }{
	{certificate, "\x30", "\xa0\x02\x30"},                   // RFC 5280, 4.1
	{certificate, "\x30", "\x02\x30\x30\x30\x30"},           // version 1
	{CertificateRequest, "\x30", "\x02\x30\x30\xa0"},        // RFC 2986, 4
	{CRL, "\x30", "\x02\x30\x30\x17"},                       // RFC 5280, 5.1
	{CRL, "\x30", "\x02\x30\x30\x18"},                       //
	{CRL, "\x30", "\x30\x30\x17"},                           // version 1
	{CRL, "\x30", "\x30\x30\x18"},                           //
	{PrivateKey, "\x30\x04", "\x06"},                        // RFC 5958, 3: encrypted
	{PublicKey, "\x30\x03", "\x06"},                         // RFC 5280, 4.1
	{BCFKS, "\x30\x30", "\x30\x04"},                         // Bouncy Castle's ObjectStore
	{BCFKS, "\x30\xa0", "\x30\x04"},                         //
	{PKCS7, "\x06\xa0", "\x2a\x86\x48\x86\xf7\x0d\x01\x07"}, // RFC 5652, 3
	{PKCS7, "\x02\x31\x30", "\x01"},                         // SignedData without ContentInfo
	{PKCS12, "\x02\x30", "\x03"},                            // RFC 7292, 4
	{PrivateKey, "\x02\x30\x04", ""},                        // RFC 5958, 2
	{PrivateKey, "\x02\x04", "\x01"},                        // RFC 5915, 3
	{PrivateKey, "\x02\x02\x02\x02", ""},                    // RFC 8017, A.1.2; DSA
	{PublicKey, "\x02\x02", ""},                             // RFC 8017, A.1.1
}

// derKind returns what a DER value is by its shape, "" if that is unknown.
func derKind(data []byte) string {
	tag, size, length, ok := header(data)
	if !ok || tag != tagSequence {
		return ""
	}
	value := clip(data[size:], length)
	outer, inner := tags(value), []byte(nil)
	if tag, size, length, ok := header(value); ok {
		inner = clip(value[size:], length)
		if tag&0x20 != 0 {
			inner = []byte(tags(inner))
		}
	}
	for _, s := range shapes {
		if strings.HasPrefix(outer, s.outer) && bytes.HasPrefix(inner, []byte(s.inner)) {
			return s.kind
		}
	}
	return ""
}

// clip returns as much of a value as is there; all there is if its length is
// indefinite.
func clip(data []byte, length int) []byte {
	if length < 0 || length > len(data) {
		return data
	}
	return data[:length]
}

// tags returns the first few tags in a constructed value, up to one whose end
// is not known.
func tags(value []byte) string {
	var out []byte
	for len(out) < 5 {
		tag, size, length, ok := header(value)
		if !ok {
			break
		}
		out = append(out, tag)
		if length < 0 || length > len(value)-size {
			break
		}
		value = value[size+length:]
	}
	return string(out)
}

// mayHoldKey reports whether bytes that are no certificate may be a private
// key, or a part of one: no certificate begins with an INTEGER, and all forms
// of keys but one do.
func mayHoldKey(data []byte) bool {
	tag, size, length, ok := header(data)
	return derKind(data) == PrivateKey ||
		ok && tag == tagSequence && strings.HasPrefix(tags(clip(data[size:], length)), "\x02") && derKind(data) != PublicKey
}

// readDER reads one or several certificates in DER, and tells what else there
// is.
func readDER(_ *reading, data []byte) (*File, error) {
	f := &File{Format: "DER"}
	for rest, block := data, 1; len(rest) > 0; block++ {
		kind := derKind(rest)
		if kind != certificate {
			if code := kind; code != "" {
				f.notice(0, code, "%s: not read", nameOf(code))
				if code == PrivateKey {
					f.sawKey(rest)
				}
				if e, after, ok := next(rest); ok && len(e.full) > 0 {
					rest = after
					continue
				}
			} else {
				f.notice(0, TrailingData, "%d bytes of something else follow", len(rest))
			}
			return f, nil
		}
		e, after, ok := next(rest)
		if !ok {
			return f, brokenDER(rest)
		}
		item := Item{Block: block, Start: len(data) - len(rest), End: len(data) - len(after)}
		if aux, ok := readAux(after); ok { // OpenSSL writes its trusted format in DER too
			item.setAux(aux)
			item.End, after = len(data), nil
		}
		f.add(item, bytes.Clone(e.full))
		rest = after
	}
	return f, nil
}

func brokenDER(data []byte) error {
	_, size, length, ok := header(data)
	switch {
	case !ok:
		return store.Because(store.ErrInput, "the beginning of a certificate")
	case length < 0:
		return store.Because(store.ErrUnsupported, "a certificate in BER with an indefinite length")
	}
	return store.Because(store.ErrInput, "a certificate cut short: %d of %d bytes", len(data), size+length)
}

// add appends item with the certificate in der, which is kept.
func (f *File) add(item Item, der []byte) {
	item.Cert = store.NewCert(der)
	if item.Cert.Version == 0 {
		what := "a damaged certificate"
		if kind := derKind(der); kind != certificate {
			what = nameOf(kind) + " where a certificate should be"
		}
		f.notice(item.Line, NotACertificate, "%s", what)
	}
	f.Items = append(f.Items, item)
}

// addFound appends item with the certificate that content begins with, which
// is kept unless it may be a private key. what says whose content it is.
func (f *File) addFound(item Item, content []byte, what string) {
	if mayHoldKey(content) {
		f.sawKey(content)
		f.notice(item.Line, PrivateKey, "%s holds what looks like a private key: not read", what)
		return
	}
	e, rest, ok := next(content)
	if !ok {
		f.add(item, content)
		return
	}
	if len(rest) > 0 {
		aux, ok := readAux(rest)
		switch {
		case ok:
			item.setAux(aux)
		case item.TrustedLabel:
			item.setAux(nil)
			f.notice(item.Line, UnreadableTrust, "what %s says of the certificate's trust cannot be read", what)
		}
		if !item.TrustedLabel {
			f.notice(item.Line, TrailingData, "%d bytes follow the certificate", len(rest))
		}
		// The rest may be anything: nothing returned may refer to it.
		e.full = bytes.Clone(e.full)
	}
	f.add(item, e.full)
}

// nameOf returns what people call the thing that a code stands for.
func nameOf(code string) string {
	for _, what := range instead {
		if what.code == code && what.name != "" {
			return what.name
		}
	}
	return "something else"
}

// setAux sets Aux and Distrusted; nil is one that cannot be read.
func (i *Item) setAux(aux *Aux) {
	if aux == nil {
		i.Aux, i.Distrusted = &Aux{}, true
		return
	}
	i.Aux, i.Distrusted = aux, aux.nothingTrusted()
}

// nothingTrusted reports whether there is a list, and no purpose is left.
func (a *Aux) nothingTrusted() bool {
	if a.Trust == nil && a.Reject == nil {
		return false
	}
	for _, t := range a.Trust {
		rejected := false
		for _, r := range a.Reject {
			rejected = rejected || r == t || r == anyPurpose
		}
		if !rejected {
			return false
		}
	}
	return true
}

// anyPurpose is anyExtendedKeyUsage (RFC 5280, 4.2.1.12).
const anyPurpose = "2.5.29.37.0"

// readAux reads what follows the certificate in OpenSSL's trusted format, if
// data is that and nothing more:
//
//	X509_CERT_AUX ::= SEQUENCE {
//	    trust   SEQUENCE OF OBJECT IDENTIFIER OPTIONAL,
//	    reject  [0] SEQUENCE OF OBJECT IDENTIFIER OPTIONAL,
//	    alias   UTF8String OPTIONAL,
//	    keyid   OCTET STRING OPTIONAL,
//	    other   [1] SEQUENCE OF AlgorithmIdentifier OPTIONAL }
func readAux(data []byte) (*Aux, bool) {
	data, rest, ok := take(data, tagSequence)
	if !ok || len(rest) > 0 {
		return nil, false
	}
	aux := &Aux{}
	if list, after, ok := take(data, tagSequence); ok {
		if aux.Trust, ok = oids(list); !ok {
			return nil, false
		}
		data = after
	}
	if list, after, ok := take(data, tagContext0); ok {
		if aux.Reject, ok = oids(list); !ok {
			return nil, false
		}
		data = after
	}
	if alias, after, ok := take(data, tagUTF8String); ok {
		aux.Alias, data = strings.ToValidUTF8(string(alias), "\ufffd"), after
	}
	_, data, _ = take(data, tagOctetString)
	_, data, _ = take(data, tagContext1)
	return aux, len(data) == 0
}

// oids reads a list of object identifiers; it is never nil.
func oids(list []byte) ([]string, bool) {
	out := []string{}
	for len(list) > 0 {
		value, rest, ok := take(list, tagOID)
		var oid x509.OID
		if !ok || oid.UnmarshalBinary(value) != nil {
			return nil, false
		}
		out, list = append(out, oid.String()), rest
	}
	return out, true
}
