package certfile

import (
	"bytes"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// The attached extensions by which p11-kit narrows what a certificate is
// trusted for.
const (
	p11Usages  = "\x55\x1d\x25"                             // 2.5.29.37, extKeyUsage
	p11Rejects = "\x2b\x06\x01\x04\x01\x99\x77\x06\x0a\x01" // 1.3.6.1.4.1.3319.6.10.1, OpenSSL's reject list
)

// p11Object is a section of a file in p11-kit's persistence format.
type p11Object struct {
	class, label, value        string
	distrusted                 bool
	issuer, serial, publicInfo string
}

// readP11 reads p11-kit's persistence format: objects of lines "name: value",
// in which strings are in quotation marks with % escapes, and of PEM blocks.
// What it says of trust is in the items.
func readP11(r *reading, data []byte) (*File, error) {
	t := decodeText(data).data
	f := &File{Format: "p11-kit"}
	stapled := map[string]*Aux{} // by the DER of the public key
	line := 1
	for start := 0; start < len(t); {
		stop := len(t)
		if i := bytes.Index(t[start+1:], []byte(p11Section)); i >= 0 {
			stop = start + 1 + i
		}
		section := t[start:stop]
		if bytes.Contains(section, []byte(p11Section)) {
			f.p11Section(r, section, line, stapled)
		}
		line += lineBreaks(section)
		start = stop
	}
	for i := range f.Items {
		if aux := stapled[string(f.Items[i].Cert.SPKI)]; aux != nil && !f.Items[i].Distrusted {
			f.Items[i].setAux(aux)
		}
	}
	return f, nil
}

func (f *File) p11Section(r *reading, section []byte, line int, stapled map[string]*Aux) {
	o := p11Attributes(section)
	if o.class == "x-certificate-extension" {
		o.staple(section, stapled)
		return
	}
	in := &File{}
	switch {
	case bytes.Contains(section, []byte(begin)):
		in = readPEMWith(r, section)
	case o.value != "" && (o.class == "certificate" || o.class == ""):
		in.addFound(Item{}, []byte(o.value), "the object")
	case o.distrusted:
		in.notice(1, Distrust, "a distrust of what has a certain issuer and serial number: not read")
	case o.class == "" || o.class == "certificate":
	default:
		in.notice(1, OtherBlock, "an object of another kind: %s", store.Printable(o.class))
	}
	for _, item := range in.Items {
		item.Line = max(item.Line, 1) + line - 1
		item.Block, item.Start, item.End = len(f.Items)+1, 0, 0
		item.Distrusted = item.Distrusted || o.distrusted
		if item.Alias == "" {
			item.Alias = o.label
		}
		f.Items = append(f.Items, item)
	}
	for _, n := range in.Notices {
		n.Line = max(n.Line, 1) + line - 1
		f.Notices = append(f.Notices, n)
	}
	f.keys = append(f.keys, in.keys...)
}

// p11Attributes reads the lines of a section that matter.
func p11Attributes(section []byte) p11Object {
	var o p11Object
	for rest := section; len(rest) > 0; {
		var line []byte
		line, rest = nextLine(rest)
		key, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		text := string(bytes.TrimSpace(value))
		switch string(bytes.TrimSpace(key)) {
		case "class":
			o.class = text
		case "label":
			o.label = unpercent(text)
		case "value":
			o.value = unpercent(text)
		case "issuer":
			o.issuer = unpercent(text)
		case "serial-number":
			o.serial = unpercent(text)
		case "public-key-info":
			o.publicInfo = unpercent(text)
		case "x-distrusted":
			o.distrusted = text == "true"
		}
	}
	return o
}

// staple notes what an attached extension says of the certificates with its
// public key. One that cannot be read distrusts them.
func (o p11Object) staple(section []byte, stapled map[string]*Aux) {
	key := o.publicInfo
	if i := bytes.Index(section, []byte(begin)); key == "" && i >= 0 {
		b, _ := scanBlock(section, i)
		if der, err := decodeBase64(b.body); err == nil && labelCode(b.label) == PublicKey {
			key = string(der)
		}
	}
	if key == "" {
		return
	}
	aux := stapled[key]
	if aux == nil {
		aux = &Aux{}
		stapled[key] = aux
	}
	body, _, _ := take([]byte(o.value), tagSequence)
	oid, rest, ok := take(body, tagOID)
	if _, after, critical := take(rest, 0x01); critical {
		rest = after
	}
	octets, _, _ := take(rest, tagOctetString)
	list, _, whole := take(octets, tagSequence)
	usages, readable := oids(list)
	switch {
	case !ok || (string(oid) == p11Usages || string(oid) == p11Rejects) && (!whole || !readable):
		aux.Trust = []string{}
	case string(oid) == p11Usages:
		aux.Trust = usages
	case string(oid) == p11Rejects:
		aux.Reject = usages
	}
}

// unpercent reads a value, which may be in quotation marks and then has % and
// two hex digits for any byte.
func unpercent(s string) string {
	inner, ok := strings.CutPrefix(s, `"`)
	if !ok {
		return s
	}
	inner = strings.TrimSuffix(inner, `"`)
	var out strings.Builder
	for i := 0; i < len(inner); i++ {
		if inner[i] == '%' && i+2 < len(inner) {
			high, low := hexDigit(inner[i+1]), hexDigit(inner[i+2])
			if high >= 0 && low >= 0 {
				out.WriteByte(byte(high<<4 | low))
				i += 2
				continue
			}
		}
		out.WriteByte(inner[i])
	}
	return out.String()
}

func hexDigit(c byte) int {
	if i := strings.IndexByte("0123456789abcdef", c); i >= 0 {
		return i
	}
	if i := strings.IndexByte("ABCDEF", c); i >= 0 {
		return 10 + i
	}
	return -1
}
