package certfile

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/certtrust/certtrust/store"
)

// What the files begin with.
const (
	magicJKS   = "\xfe\xed\xfe\xed"
	magicJCEKS = "\xce\xce\xce\xce"
)

// The tags of entries in JKS and JCEKS.
const (
	jksKey    = 1
	jksCert   = 2
	jksSecret = 3 // JCEKS only
)

// jksDigest is the length of the digest at the end.
const jksDigest = 20

// walkJKS goes through what sun.security.provider.JavaKeyStore and
// com.sun.crypto.provider.JceKeyStore write, big endian:
//
//	magic u4, version u4 (1 or 2), number of entries u4, entries, digest
//	entry: tag u4, alias UTF, date u8 (milliseconds), and
//	  a key:          length u4, key, number of certificates u4, certificates
//	  a certificate:  certificate
//	  a secret key:   a serialized Java object, whose length is not told
//	certificate: type UTF (not in version 1), length u4, DER
//
// UTF is a u2 length and Java's modified UTF-8.
//
// It calls certificate for each, and then entry with the bytes of the entry
// that they are in. left is how many entries more are in the bytes of the last
// one, a secret key behind which nothing is known for the beginning of another.
func walkJKS(data []byte, certificate func(e *jksEntry, i uint32, der []byte, x509 bool), entry func(e jksEntry, raw []byte, left uint32)) error {
	format := formatJKS(data)
	r := jksReader{rest: data[4:]}
	r.version = r.u4()
	if r.version != 1 && r.version != 2 && !r.short {
		return store.Because(store.ErrUnsupported, "%s version %d", format, r.version)
	}
	count := r.u4()
	for number := uint32(1); number <= count && !r.short; number++ {
		start := r.rest
		e := r.entry(certificate)
		left := uint32(0)
		switch {
		case r.short:
			continue
		case e.tag == jksSecret && format == "JCEKS":
			if left = count - number; left > 0 && r.skipObject() {
				left = 0
			} else if end := len(r.rest) - jksDigest; end >= 0 {
				r.rest, number = r.rest[end:], count
			} else {
				r.short = true
				continue
			}
		case e.tag != jksKey && e.tag != jksCert:
			return store.Because(store.ErrCorrupt, "damaged %s keystore: entry %d of %d is of an unknown kind", format, number, count)
		}
		entry(e, start[:len(start)-len(r.rest)], left)
	}
	switch {
	case r.short || len(r.rest) < jksDigest:
		return store.Because(store.ErrCorrupt, "damaged %s keystore: it is cut short", format)
	case len(r.rest) > jksDigest:
		return store.Because(store.ErrCorrupt, "damaged %s keystore: %d bytes follow its end", format, len(r.rest)-jksDigest)
	}
	return nil
}

// formatJKS tells the two formats apart.
func formatJKS(data []byte) string {
	if data[0] == magicJCEKS[0] {
		return "JCEKS"
	}
	return "JKS"
}

// readJKS reads the certificates in what [walkJKS] goes through.
func readJKS(reading *reading, data []byte) (*File, error) {
	f := &File{Format: formatJKS(data)}
	number := 1 // of the entry that the certificates are in
	err := walkJKS(data, func(e *jksEntry, i uint32, der []byte, x509 bool) {
		switch {
		case e.tag == jksKey && (reading.anchors || !x509):
		case e.tag == jksKey:
			before := len(f.Items)
			f.addFound(Item{Alias: e.alias, Block: number}, bytes.Clone(der), "entry "+store.Printable(e.alias))
			if i == 0 && len(f.Items) > before {
				f.Items[before].HasKey = true
			}
		case x509:
			f.addFound(Item{Alias: e.alias, Block: number, TrustedEntry: true}, bytes.Clone(der), "entry "+store.Printable(e.alias))
		default:
			f.notice(0, UnreadableEntry, "entry %s is a certificate of a kind other than X.509", store.Printable(e.alias))
		}
	}, func(e jksEntry, _ []byte, left uint32) {
		number++
		switch {
		case e.tag == jksKey && reading.anchors:
			f.notice(0, KeyEntry, "entry %s is a key with its own certificates: not read", store.Printable(e.alias))
		case e.tag == jksKey:
			f.notice(0, KeyEntry, "entry %s is a key: not read", store.Printable(e.alias))
		case e.tag == jksSecret:
			f.notice(0, KeyEntry, "entry %s is a secret key: not read", store.Printable(e.alias))
		}
		if left > 0 {
			f.notice(0, UnreadableEntry, "the %d entries after entry %s cannot be read: it does not tell its length", left, store.Printable(e.alias))
		}
	})
	return f, err
}

// jksReader reads big-endian fields. Once there is less left than a field
// needs it is short, and all further fields are zero.
type jksReader struct {
	rest    []byte
	version uint32
	short   bool
}

func (r *jksReader) bytes(n uint32) []byte {
	if r.short || uint64(n) > uint64(len(r.rest)) {
		r.short = true
		return nil
	}
	field := r.rest[:n]
	r.rest = r.rest[n:]
	return field
}

func (r *jksReader) u4() uint32 {
	if b := r.bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *jksReader) utf() string {
	if b := r.bytes(2); b != nil {
		return javaString(r.bytes(uint32(binary.BigEndian.Uint16(b))))
	}
	return ""
}

// jksEntry is what an entry begins with.
type jksEntry struct {
	tag   uint32
	alias string
}

// entry reads an entry, of a secret key only the beginning, and calls each for
// every certificate in it.
func (r *jksReader) entry(each func(e *jksEntry, i uint32, der []byte, x509 bool)) jksEntry {
	e := jksEntry{tag: r.u4(), alias: r.utf()}
	r.bytes(8)
	length := uint32(1)
	switch e.tag {
	case jksKey:
		r.bytes(r.u4())
		length = r.u4()
	case jksCert:
	default:
		return e
	}
	for i := uint32(0); i < length && !r.short; i++ {
		if der, x509 := r.certificate(); !r.short {
			each(&e, i, der, x509)
		}
	}
	return e
}

// skipObject goes to the entry that follows a serialized object, whose length
// is not told: the first place that looks like the beginning of one.
func (r *jksReader) skipObject() bool {
	for at := range r.rest {
		if !bytes.HasPrefix(r.rest[at:], []byte{0, 0, 0}) {
			continue
		}
		try := jksReader{rest: r.rest[at:], version: r.version}
		tag := try.u4()
		name := try.bytes(2)
		if try.short || tag < jksKey || tag > jksSecret || name[0] > 3 { // a long name would make this slow
			continue
		}
		alias := try.bytes(uint32(binary.BigEndian.Uint16(name)))
		date := try.bytes(8) // milliseconds: three centuries from 1970 on
		if try.short || !utf8.Valid(alias) || date[0] != 0 || date[1] != 0 || date[2] > 9 {
			continue
		}
		switch tag {
		case jksCert:
			if der, x509 := try.certificate(); try.short || !x509 || len(der) == 0 {
				continue
			}
		case jksKey:
			if key := try.bytes(try.u4()); try.short || len(key) == 0 || key[0] != tagSequence {
				continue
			}
		case jksSecret:
			if !bytes.HasPrefix(try.rest, []byte("\xac\xed\x00\x05")) {
				continue
			}
		}
		r.rest = r.rest[at:]
		return true
	}
	return false
}

// certificate reads a certificate; x509 tells whether it is of that type.
func (r *jksReader) certificate() (der []byte, x509 bool) {
	x509 = true
	if r.version == 2 {
		kind := r.utf()
		x509 = kind == "X.509" || kind == "X509"
	}
	return r.bytes(r.u4()), x509
}

// javaString converts modified UTF-8, which is CESU-8 with NUL in two bytes.
func javaString(b []byte) string {
	units := make([]uint16, 0, len(b))
	for len(b) > 0 {
		c, n := uint16(b[0]), 1
		switch {
		case c >= 0xe0 && c < 0xf0 && len(b) >= 3:
			c, n = c<<12|uint16(b[1]&0x3f)<<6|uint16(b[2]&0x3f), 3
		case c >= 0xc0 && c < 0xe0 && len(b) >= 2:
			c, n = c&0x1f<<6|uint16(b[1]&0x3f), 2
		case c >= 0x80:
			c = 0xfffd
		}
		units, b = append(units, c), b[n:]
	}
	return string(utf16.Decode(units))
}
