package certfile

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"io"
	"math/bits"
	"strings"
	"unicode/utf16"

	"github.com/certtrust/certtrust/store"
)

// magicPlist begins a property list in Apple's binary form.
const magicPlist = "bplist0"

func isPlist(data []byte) bool { return text(holds("<plist"))(data) }

// plistDict is what matters of a dictionary in a property list. In a
// configuration profile, a payload is one.
type plistDict struct {
	texts map[string]string // values of the keys in profileTexts
	data  []plistData
}

type plistData struct {
	key   string
	value []byte
}

// The keys that matter (Apple, "Configuration Profile Reference").
var profileTexts = []string{"PayloadType", "PayloadDisplayName", "PayloadCertificateFileName", "Password", "PayloadIdentifier"}

// profiled reads the certificates that a configuration profile or another
// property list holds: the content of payloads, and any data that is a
// certificate.
func (r *reading) profiled(f *File, dicts []plistDict) error {
	for _, d := range dicts {
		payload := strings.HasPrefix(d.texts["PayloadType"], "com.apple.")
		for _, data := range d.data {
			name := d.texts["PayloadDisplayName"]
			if name == "" {
				name = d.texts["PayloadCertificateFileName"]
			}
			switch {
			case data.key == "EncryptedPayloadContent":
				f.Notices = append(f.Notices, Notice{Path: join("", name), Code: Encrypted, Text: "the payloads are encrypted for a device"})
			case payload && data.key == "PayloadContent":
				r.payload(f, name, d.texts["Password"], data.value)
			case derKind(data.value) == certificate:
				if _, err := r.inner(f, join("", data.key), data.value); err != nil {
					f.tell(join("", data.key), err)
				}
			}
		}
		if payload && strings.HasPrefix(d.texts["PayloadType"], "com.apple.") && d.texts["PayloadType"] != "" {
			f.Format = strings.Replace(f.Format, "property list", "configuration profile", 1)
		}
	}
	if len(f.Items) == 0 && len(f.Notices) == 0 {
		return store.Because(store.ErrInput, "a %s without certificates", f.Format)
	}
	return nil
}

// payload reads a certificate, or a keystore with the password that comes with
// it.
func (r *reading) payload(f *File, name, password string, content []byte) {
	own := *r
	if password != "" {
		own.passwords = append([][]byte{[]byte(password)}, r.passwords...)
	}
	before := len(f.Items)
	_, err := own.inner(f, "", content)
	r.unpack, r.derivation = own.unpack, own.derivation
	for i := range f.Items[before:] {
		if item := &f.Items[before+i]; item.Alias == "" {
			item.Alias = name
		}
	}
	if err != nil {
		f.tell(join("", name), err)
	}
}

// readPlist reads a property list in XML. It is read as a stream: entities are
// not expanded and nesting costs no more than its text.
func readPlist(r *reading, data []byte) (*File, error) {
	f := &File{Format: "property list"}
	d := xml.NewDecoder(bytes.NewReader(decodeText(data).data))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	var done, open []plistDict
	var keys []string // the pending key of each open dictionary
	var text *strings.Builder
	wanted := func() bool { return len(open) > 0 }
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			f.notice(0, Damaged, "it breaks off: %s", store.Printable(err.Error()))
			break
		}
		switch t := token.(type) {
		case xml.StartElement:
			text = nil
			switch t.Name.Local {
			case "dict":
				open, keys = append(open, plistDict{}), append(keys, "")
			case "key", "string", "data":
				if wanted() {
					text = &strings.Builder{}
				}
			}
		case xml.CharData:
			if text != nil {
				text.Write(t)
			}
		case xml.EndElement:
			switch top := len(open) - 1; {
			case top < 0:
			case t.Name.Local == "dict":
				if len(open[top].data) > 0 || open[top].texts != nil {
					done = append(done, open[top])
				}
				open, keys = open[:top], keys[:top]
			case text == nil:
			case t.Name.Local == "key":
				keys[top] = text.String()
			default:
				open[top].set(keys[top], t.Name.Local == "data", text.String())
			}
			text = nil
		}
	}
	return f, r.profiled(f, append(done, open...))
}

// set sets a value, if it is one that matters.
func (d *plistDict) set(key string, isData bool, value string) {
	if isData {
		if der, err := decodeBase64([]byte(value)); err == nil {
			d.data = append(d.data, plistData{key, der})
		}
		return
	}
	for _, k := range profileTexts {
		if k == key {
			if d.texts == nil {
				d.texts = map[string]string{}
			}
			d.texts[key] = value
		}
	}
}

// readBinaryPlist reads a property list in Apple's binary form: objects, a
// table of where each begins, and a trailer. The objects are looked at one by
// one, never followed into one another, so it does not matter how often one
// refers to another.
func readBinaryPlist(r *reading, data []byte) (*File, error) {
	f := &File{Format: "binary property list"}
	p, ok := newBinaryPlist(data)
	if !ok {
		return f, store.Because(store.ErrCorrupt, "damaged property list")
	}
	var dicts []plistDict
	budget := len(data)
	for i := range p.count {
		kind, n, body, ok := p.object(i)
		if !ok || kind != 0xd || n > len(body)/(2*p.refSize) {
			continue
		}
		if budget -= 2 * n; budget < 0 {
			f.notice(0, TooMuch, "its dictionaries are larger than the file")
			break
		}
		var d plistDict
		for j := range n {
			key, isText := p.text(p.uint(body[j*p.refSize:], p.refSize))
			value := p.uint(body[(n+j)*p.refSize:], p.refSize)
			if !isText {
				continue
			}
			if kind, size, content, ok := p.object(value); ok && kind == 0x4 && size <= len(content) {
				d.data = append(d.data, plistData{key, content[:size]})
			} else if s, ok := p.text(value); ok {
				d.set(key, false, s)
			}
		}
		dicts = append(dicts, d)
	}
	return f, r.profiled(f, dicts)
}

type binaryPlist struct {
	data                []byte
	offsetSize, refSize int
	count, table        int
}

func newBinaryPlist(data []byte) (*binaryPlist, bool) {
	const trailer = 32
	if len(data) < trailer+8 {
		return nil, false
	}
	end := data[len(data)-trailer:]
	p := &binaryPlist{data: data, offsetSize: int(end[6]), refSize: int(end[7])}
	count, table := binary.BigEndian.Uint64(end[8:]), binary.BigEndian.Uint64(end[24:])
	room := uint64(len(data) - trailer)
	if p.offsetSize < 1 || p.offsetSize > 8 || p.refSize < 1 || p.refSize > 8 || table > room || count > (room-table)/uint64(p.offsetSize) {
		return nil, false
	}
	p.count, p.table = int(count), int(table)
	return p, true
}

// uint reads an unsigned number; one that is too large for anything is -1.
func (p *binaryPlist) uint(b []byte, size int) int {
	var n uint64
	for _, c := range b[:size] {
		if bits.LeadingZeros64(n) < 8 {
			return -1
		}
		n = n<<8 | uint64(c)
	}
	if n > uint64(len(p.data)) {
		return -1
	}
	return int(n)
}

// object returns the kind of an object, its count, and all that follows that.
func (p *binaryPlist) object(i int) (kind byte, n int, body []byte, ok bool) {
	if i < 0 || i >= p.count {
		return 0, 0, nil, false
	}
	at := p.uint(p.data[p.table+i*p.offsetSize:], p.offsetSize)
	if at < 0 || at >= p.table {
		return 0, 0, nil, false
	}
	marker, body := p.data[at], p.data[at+1:p.table]
	kind, n = marker>>4, int(marker&0xf)
	if n == 0xf && kind != 0 {
		if len(body) == 0 || body[0]>>4 != 1 || body[0]&0xf > 3 || len(body) < 1+1<<(body[0]&0xf) {
			return 0, 0, nil, false
		}
		size := 1 << (body[0] & 0xf)
		if n = p.uint(body[1:], size); n < 0 {
			return 0, 0, nil, false
		}
		body = body[1+size:]
	}
	return kind, n, body, true
}

// text returns a short string.
func (p *binaryPlist) text(i int) (string, bool) {
	const longest = 1 << 10
	kind, n, body, ok := p.object(i)
	switch {
	case !ok || n > longest:
	case kind == 0x5 && n <= len(body):
		return string(body[:n]), true
	case kind == 0x6 && 2*n <= len(body):
		units := make([]uint16, n)
		for j := range units {
			units[j] = binary.BigEndian.Uint16(body[2*j:])
		}
		return string(utf16.Decode(units)), true
	}
	return "", false
}
