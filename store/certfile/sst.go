package certfile

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf16"

	"github.com/certtrust/certtrust/store"
)

// magicSST begins a serialized certificate store of Windows: version 0 and the
// letters CERT.
const magicSST = "\x00\x00\x00\x00CERT"

// The elements of a serialized certificate.
const (
	sstEnd          = 0x00
	sstFriendlyName = 0x0b
	sstCertificate  = 0x20
	sstCRL          = 0x21
	sstCTL          = 0x22
)

// readSST reads a serialized store: after the magic a sequence of elements,
// little endian, the properties of a certificate before the certificate:
//
//	element: property u4, encoding u4 (1), length u4, data
//	end: an element of property 0, all zero
func readSST(_ *reading, data []byte) (*File, error) {
	f := &File{Format: "SST"}
	return f, f.serialized(data[len(magicSST):], Item{})
}

// isSerialized recognises the elements of a single certificate without
// anything before them, as in the registry.
func isSerialized(data []byte) bool {
	if len(data) < 24 || binary.LittleEndian.Uint32(data) > 0xffff {
		return false
	}
	found := false
	for len(data) > 0 {
		e, rest, ok := sstElement(data)
		if !ok {
			return false
		}
		found = found || e.property == sstCertificate
		data = rest
	}
	return found
}

func readSerialized(_ *reading, data []byte) (*File, error) {
	f := &File{Format: "serialized certificate"}
	return f, f.serialized(data, Item{})
}

type sstField struct {
	property uint32
	value    []byte
}

// sstElement reads the first element of data.
func sstElement(data []byte) (e sstField, rest []byte, ok bool) {
	if len(data) < 12 {
		return sstField{}, nil, false
	}
	e.property = binary.LittleEndian.Uint32(data)
	encoding, length := binary.LittleEndian.Uint32(data[4:]), binary.LittleEndian.Uint32(data[8:])
	if uint64(length) > uint64(len(data)-12) || e.property != sstEnd && encoding != 1 {
		return sstField{}, nil, false
	}
	e.value = data[12 : 12+length]
	return e, data[12+length:], true
}

// serialized adds the certificates in a sequence of elements; each is an item
// like like.
func (f *File) serialized(data []byte, like Item) error {
	item, block := like, len(f.Items)+1
	for len(data) > 0 {
		e, rest, ok := sstElement(data)
		if !ok {
			return store.Because(store.ErrCorrupt, "damaged %s: it is cut short", f.Format)
		}
		data = rest
		switch e.property {
		case sstEnd:
			return nil
		case sstFriendlyName:
			item.Alias = utf16Text(e.value)
		case sstCertificate:
			item.Block = block
			f.addFound(item, bytes.Clone(e.value), f.Format)
			item = like
			block++
		case sstCRL:
			f.notice(0, CRL, "%s: not read", nameOf(CRL))
		case sstCTL:
			f.notice(0, Unread, "a certificate trust list: not read")
		}
	}
	return nil
}

// utf16Text converts little-endian UTF-16 that ends with zero.
func utf16Text(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return strings.TrimRight(string(utf16.Decode(units)), "\x00")
}
