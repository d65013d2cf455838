package certfile

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"unicode/utf16"
	"unicode/utf8"

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
	return hashName(sum[:])
}

// hashName writes the beginning of a hash as a number, the lowest byte first.
func hashName(sum []byte) string {
	return hex.EncodeToString([]byte{sum[3], sum[2], sum[1], sum[0]})
}

// OldSubjectHash returns what OpenSSL before 1.0, and Android, find it by: the
// beginning of the MD5 of the subject as encoded.
func OldSubjectHash(c *store.Cert) string {
	sum := md5.Sum(c.Subject.Raw)
	return hashName(sum[:])
}

// normalName returns the content of a name, its strings in normal form.
func normalName(name []byte) []byte {
	out := make([]byte, 0, len(name)+len(name)/2)
	var room []byte
	sets, _, _ := take(name, tagSequence)
	for len(sets) > 0 {
		set, rest, ok := take(sets, tagSet)
		if !ok {
			break
		}
		sets = rest
		var pairs [][]byte
		length := 0
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
				if s, ok := normalText(room[:0], text); ok {
					room = append(appendHead(s, tagUTF8String, len(s)), s...)
					value = room[len(s):]
				}
			}
			one := make([]byte, 0, len(oid.full)+len(value)+6)
			one = appendHead(one, tagSequence, len(oid.full)+len(value))
			pairs = append(pairs, append(append(one, oid.full...), value...))
			length += len(pairs[len(pairs)-1])
		}
		slices.SortFunc(pairs, bytes.Compare) // DER: a set has the order of what is encoded
		out = appendHead(out, tagSet, length)
		for _, pair := range pairs {
			out = append(out, pair...)
		}
	}
	return out
}

// normalText appends a string in normal form; values of other types have none.
func normalText(out []byte, e element) ([]byte, bool) {
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
		return out, false
	}
	// Only what is white space and a letter in ASCII counts.
	blank := false
	for _, r := range s {
		switch {
		case r == ' ' || r >= '\t' && r <= '\r':
			blank = len(out) > 0
			continue
		case r >= 'A' && r <= 'Z':
			r += 'a' - 'A'
		}
		if blank {
			out, blank = append(out, ' '), false
		}
		out = utf8.AppendRune(out, r)
	}
	return out, true
}
