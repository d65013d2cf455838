package certfile

import (
	"bytes"
	"math/bits"
	"slices"
)

// maxNesting is how deep elements may be nested in BER. PKCS#7 and PKCS#12
// have less than twenty levels.
const maxNesting = 64

// asDER returns the first element of data with definite lengths and octet
// strings in one piece, and what follows it. Elements that are so already are
// not changed, so a certificate stays what it was signed as. ok is false if
// the element is not whole.
func asDER(data []byte) (der, rest []byte, ok bool) {
	if e, rest, ok := next(data); ok && settled(e.full, 0) {
		return e.full, rest, true
	}
	out, rest, changed, ok := definite(nil, data, 0)
	if ok && !changed {
		return data[:len(data)-len(rest)], rest, true
	}
	return out, rest, ok
}

// settled reports whether there is nothing in elements that [definite] would put
// into another form, as in nearly all files, which need not be copied then.
func settled(data []byte, depth int) bool {
	for len(data) > 0 {
		e, rest, ok := next(data)
		if !ok || depth > maxNesting || e.tag == tagOctetString|0x20 || e.tag&0x20 != 0 && !settled(e.value, depth+1) {
			return false
		}
		data = rest
	}
	return true
}

// definite appends the first element of data to dst, and tells whether that is
// another form of it.
func definite(dst, data []byte, depth int) (out, rest []byte, changed, ok bool) {
	tag, size, length, ok := header(data)
	switch {
	case !ok || depth > maxNesting || length > len(data)-size || length < 0 && tag&0x20 == 0:
		return dst, data, false, false
	case tag&0x20 == 0:
		return append(dst, data[:size+length]...), data[size+length:], false, true
	}
	start := len(dst)
	inside := clip(data[size:], length)
	changed = length < 0
	for {
		if length >= 0 && len(inside) == 0 {
			break
		}
		if length < 0 && bytes.HasPrefix(inside, []byte{0, 0}) {
			inside = inside[2:]
			break
		}
		var inner, good bool
		dst, inside, inner, good = definite(dst, inside, depth+1)
		if !good {
			if length < 0 {
				return dst[:start], data, false, false
			}
			// It may hold anything: only what can be read is put in order.
			return append(dst[:start], data[:size+length]...), data[size+length:], false, true
		}
		changed = changed || inner
	}
	rest = inside
	if length >= 0 {
		rest = data[size+length:]
	}
	switch {
	case tag == tagOctetString|0x20:
		dst, changed = append(dst[:start], encode(tagOctetString, pieces(dst[start:]))...), true
	case changed:
		dst = append(dst[:start], encode(tag, dst[start:])...)
	default:
		dst = append(dst[:start], data[:size+length]...)
	}
	return dst, rest, changed, true
}

// pieces joins the values of the elements in data.
func pieces(data []byte) []byte {
	var out []byte
	for len(data) > 0 {
		e, rest, ok := next(data)
		if !ok {
			break
		}
		out = append(out, e.value...)
		data = rest
	}
	return out
}

// encode returns an element in DER.
func encode(tag byte, parts ...[]byte) []byte { return wrap(tag, parts).join() }

// rope is bytes in pieces, so that what goes around many certificates does not
// copy them at each level: memory that is touched anew takes longer than
// encrypting what is in it.
type rope [][]byte

// wrap returns an element in DER with these contents.
func wrap(tag byte, parts ...rope) rope {
	length := 0
	for _, p := range parts {
		length += p.len()
	}
	head := appendHead(nil, tag, length)
	return append(rope{head}, slices.Concat(parts...)...)
}

// appendHead appends the tag and length of an element in DER.
func appendHead(out []byte, tag byte, length int) []byte {
	if length < 0x80 {
		return append(out, tag, byte(length))
	}
	digits := (bits.Len(uint(length)) + 7) / 8
	out = append(out, tag, 0x80|byte(digits))
	for n := digits - 1; n >= 0; n-- {
		out = append(out, byte(length>>(8*n)))
	}
	return out
}

func (r rope) len() (n int) {
	for _, piece := range r {
		n += len(piece)
	}
	return n
}

func (r rope) join() []byte { return bytes.Join(r, nil) }

// is reports whether these are the bytes of data.
func (r rope) is(data []byte) bool {
	for _, piece := range r {
		rest, ok := bytes.CutPrefix(data, piece)
		if !ok {
			return false
		}
		data = rest
	}
	return len(data) == 0
}
