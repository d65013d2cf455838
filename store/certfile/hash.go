package certfile

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/certtrust/certtrust/store"
)

// SubjectHash returns the eight hex digits by which OpenSSL 1.0 and newer finds
// a certificate in a directory: the beginning of the SHA-1 of the subject in a
// normal form, in which letters are small and white space is single (OpenSSL,
// X509_NAME_hash_ex).
func SubjectHash(c *store.Cert) string { return NameHash(c.Subject.Raw) }

// NameHash is SubjectHash of a name in DER.
func NameHash(name []byte) string {
	sum := sha1.Sum(normalName(name))
	return fmt.Sprintf("%08x", binary.LittleEndian.Uint32(sum[:]))
}

// OldSubjectHash returns what OpenSSL before 1.0, and Android, find it by: the
// beginning of the MD5 of the subject as encoded.
func OldSubjectHash(c *store.Cert) string {
	sum := md5.Sum(c.Subject.Raw)
	return fmt.Sprintf("%08x", binary.LittleEndian.Uint32(sum[:]))
}

// normalName returns the content of a name, its strings in normal form.
func normalName(name []byte) []byte {
	var out []byte
	sets, _, _ := take(name, tagSequence)
	for len(sets) > 0 {
		set, rest, ok := take(sets, tagSet)
		if !ok {
			break
		}
		sets = rest
		var pairs [][]byte
		for len(set) > 0 {
			pair, rest, ok := take(set, tagSequence)
			if !ok {
				break
			}
			set = rest
			oid, value, _ := next(pair)
			text, _, whole := next(value)
			if whole {
				value = text.full
				if s, ok := normalText(text); ok {
					value = encode(tagUTF8String, []byte(s))
				}
			}
			pairs = append(pairs, encode(tagSequence, oid.full, value))
		}
		slices.SortFunc(pairs, bytes.Compare) // DER: a set has the order of what is encoded
		out = append(out, encode(tagSet, pairs...)...)
	}
	return out
}

// normalText returns a string in normal form; values of other types have none.
func normalText(e element) (string, bool) {
	var s string
	switch e.tag {
	case tagUTF8String, 0x13, 0x16, 0x1a: // PrintableString, IA5String, VisibleString
		s = string(e.value)
	case 0x14: // TeletexString, as Latin-1
		for _, c := range e.value {
			s += string(rune(c))
		}
	case tagBMPString:
		units := make([]uint16, len(e.value)/2)
		for i := range units {
			units[i] = binary.BigEndian.Uint16(e.value[2*i:])
		}
		s = string(utf16.Decode(units))
	case 0x1c: // UniversalString
		for v := e.value; len(v) >= 4; v = v[4:] {
			s += string(rune(binary.BigEndian.Uint32(v)))
		}
	default:
		return "", false
	}
	// Only what is white space and a letter in ASCII counts.
	words := strings.FieldsFunc(s, func(r rune) bool { return r < 0x80 && bytes.IndexByte([]byte(" \t\n\v\f\r"), byte(r)) >= 0 })
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, strings.Join(words, " ")), true
}
