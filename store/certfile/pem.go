package certfile

import (
	"bytes"
	"encoding/pem"
	"strconv"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// The parts of the armour (RFC 7468, 2).
const (
	dashes   = "-----"
	begin    = "-----BEGIN "
	end      = "-----END "
	maxLabel = 64
)

// labels tells what a PEM block holds. All others with "PRIVATE KEY" in their
// label are private keys too.
var labels = []struct{ label, code string }{
	{"CERTIFICATE", certificate},
	{"X509 CERTIFICATE", certificate},
	{trustedLabel, certificate},
	{"CERTIFICATE REQUEST", CertificateRequest},
	{"NEW CERTIFICATE REQUEST", CertificateRequest},
	{"X509 CRL", CRL},
	{"PUBLIC KEY", PublicKey},
	{"RSA PUBLIC KEY", PublicKey},
	{"PKCS7", PKCS7},
	{"PKCS #7 SIGNED DATA", PKCS7},
	{"CMS", PKCS7},
	{"PKCS12", PKCS12},
	{"EC PARAMETERS", Parameters},
	{"DH PARAMETERS", Parameters},
	{"DSA PARAMETERS", Parameters},
	{"X9.42 DH PARAMETERS", Parameters},
}

const trustedLabel = "TRUSTED CERTIFICATE"

func labelCode(label []byte) string {
	for _, l := range labels {
		if string(label) == l.label {
			return l.code
		}
	}
	if bytes.Contains(label, []byte("PRIVATE KEY")) {
		return PrivateKey
	}
	return OtherBlock
}

// ReadPEM reads the PEM blocks of a text, whatever is between them. It takes
// UTF-8 and UTF-16 with or without byte order mark, line breaks of every kind,
// indented blocks, base64 in one line or with blanks in it, RFC 1421 headers,
// and blocks that begin on the line another ends on. The time it takes is
// proportional to the length of data.
//
// A block labelled as a certificate that decodes gives an Item, well-formed or
// not, unless it looks like a private key; each other block gives a notice.
func ReadPEM(data []byte) *File { return readPEMWith(nil, data) }

// readPEM is ReadPEM that also reads the files in blocks: PKCS#7 and PKCS#12.
func readPEM(r *reading, data []byte) (*File, error) { return readPEMWith(r, data), nil }

func readPEMWith(r *reading, data []byte) *File {
	t := decodeText(data)
	f := &File{Format: "PEM"}
	line, counted, number := 1, 0, 0
	for at := 0; ; {
		i := bytes.Index(t.data[at:], []byte(begin))
		if i < 0 {
			break
		}
		start := at + i
		line += lineBreaks(t.data[counted:start])
		counted = start
		var b block
		b, at = scanBlock(t.data, start)
		number++
		f.readBlock(r, b, Item{Line: line, Block: number, Start: start, End: at})
	}
	markP11(f, t.data)
	for i := range f.Items {
		f.Items[i].Start, f.Items[i].End = t.at(f.Items[i].Start), t.at(f.Items[i].End)
	}
	return f
}

// block is a PEM block as scanned.
type block struct {
	label   []byte // nil if even that cannot be read
	body    []byte // between the BEGIN and END lines
	problem string // why there is no body
}

// scanBlock scans the block whose "-----BEGIN " is at start, and returns where
// to go on. It looks at no byte after that point but the few of an END line.
func scanBlock(data []byte, start int) (block, int) {
	label, body := armour(data, start+len(begin))
	if label == nil {
		return block{problem: "its BEGIN line is broken"}, start + len(begin)
	}
	i := bytes.Index(data[body:], []byte(dashes))
	if i < 0 {
		return block{label: label, problem: "its END line is missing"}, len(data)
	}
	stop := body + i
	for at := stop; ; at++ { // a row of dashes: the last five count
		switch {
		case at+len(dashes) < len(data) && data[at+len(dashes)] == '-':
			continue
		case bytes.HasPrefix(data[at:], []byte(begin)):
			return block{label: label, problem: "its END line is missing"}, at
		case !bytes.HasPrefix(data[at:], []byte(end)):
			return block{label: label, problem: "a line of it begins like an END line but is none"}, at + len(dashes)
		}
		endLabel, after := armour(data, at+len(end))
		switch {
		case endLabel == nil:
			return block{label: label, problem: "its END line is broken"}, at + len(end)
		case !bytes.Equal(label, endLabel):
			return block{label: label, problem: "its END line is that of another kind of block"}, after
		}
		return block{label: label, body: data[body:stop]}, lineEnd(data, after)
	}
}

// armour reads a label that begins at start, and the dashes behind it, and
// returns where these end. The label is nil if there is none on that line.
func armour(data []byte, start int) (label []byte, after int) {
	window := data[start:min(len(data), start+maxLabel+len(dashes))]
	window, _ = nextLine(window)
	i := bytes.Index(window, []byte(dashes))
	if i < 0 {
		return nil, start
	}
	return window[:i:i], start + i + len(dashes)
}

// lineEnd returns where the line ends that at is on, its line break included,
// or at if there is more than blanks on it.
func lineEnd(data []byte, at int) int {
	for i := at; i < len(data); i++ {
		switch {
		case data[i] == '\n':
			return i + 1
		case data[i] == '\r' && i+1 < len(data) && data[i+1] == '\n':
			return i + 2
		case data[i] == '\r':
			return i + 1
		case strings.IndexByte(blanks, data[i]) < 0:
			return at
		}
	}
	return len(data)
}

// readBlock adds what is in a block: an item made from at, or a notice.
func (f *File) readBlock(r *reading, b block, at Item) {
	code, name := labelCode(b.label), store.Printable(string(b.label))
	if b.body != nil && code == PrivateKey {
		if der, err := decodeBase64(withoutHeaders(b.body)); err == nil {
			f.sawKey(der)
		}
	}
	switch {
	case code == PrivateKey:
		f.notice(at.Line, PrivateKey, "a private key (%s): not read", name)
	case b.label == nil:
		f.notice(at.Line, UnreadableBlock, "a block cannot be read: %s", b.problem)
	case b.problem != "":
		f.notice(at.Line, UnreadableBlock, "the block %s cannot be read: %s", name, b.problem)
	case code == OtherBlock:
		f.notice(at.Line, OtherBlock, "a block of another kind: %s", name)
	case r != nil && (code == PKCS7 || code == PKCS12):
		f.readInner(r, b, at, name)
	case code != certificate:
		f.notice(at.Line, code, "%s: not read", nameOf(code))
	default:
		body := withoutHeaders(b.body)
		der, err := decodeBase64(body)
		switch {
		case err != nil:
			f.notice(at.Line, UnreadableBlock, "the block %s cannot be read: %s", name, base64Problem(b.body, body, at.Line))
		case len(der) == 0:
			f.notice(at.Line, UnreadableBlock, "the block %s is empty", name)
		default:
			at.TrustedLabel = name == trustedLabel
			f.addFound(at, der, "the block "+name)
		}
	}
}

// readInner adds what is in a block that holds a file.
func (f *File) readInner(r *reading, b block, at Item, name string) {
	der, err := decodeBase64(withoutHeaders(b.body))
	if err != nil {
		f.notice(at.Line, UnreadableBlock, "the block %s cannot be read: %s", name, base64Problem(b.body, withoutHeaders(b.body), at.Line))
		return
	}
	in := &File{}
	_, err = r.inner(in, "", der)
	for _, item := range in.Items {
		item.Line, item.Block, item.Start, item.End = at.Line, at.Block, at.Start, at.End
		f.Items = append(f.Items, item)
	}
	for _, n := range in.Notices {
		n.Line = at.Line
		f.Notices = append(f.Notices, n)
	}
	f.keys = append(f.keys, in.keys...)
	if err != nil && len(in.Notices) == 0 {
		f.Notices = append(f.Notices, Notice{Line: at.Line, Code: codeOf(err), Text: "the block " + name + ": " + err.Error()})
	}
}

// withoutHeaders returns what follows the headers of RFC 1421, 4.4: these end
// with an empty line or, where that was lost, with the last colon's line.
func withoutHeaders(body []byte) []byte {
	if bytes.IndexByte(body, ':') < 0 {
		return body
	}
	begun := false
	for rest := body; len(rest) > 0; {
		var line []byte
		line, rest = nextLine(rest)
		if len(bytes.TrimSpace(line)) > 0 {
			begun = true
		} else if begun {
			return rest
		}
	}
	_, rest := nextLine(body[bytes.LastIndexByte(body, ':'):])
	return rest
}

// base64Problem tells what is wrong with the base64 in the latter part of body,
// for a block that begins on a line.
func base64Problem(body, base64 []byte, line int) string {
	bad := bytes.IndexFunc(base64, func(r rune) bool {
		return !(r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("+/=\r\n"+blanks, r))
	})
	if bad < 0 {
		return "its base64 is cut short"
	}
	return "its base64 is damaged in line " + strconv.Itoa(line+lineBreaks(body[:len(body)-len(base64)+bad]))
}

// p11Section begins each object in the persistence format of p11-kit.
const p11Section = "[p11-kit-object-v1]"

// markP11 marks the certificates that a file of p11-kit says are distrusted.
// What else such a file says of trust is not read.
func markP11(f *File, data []byte) {
	if !bytes.Contains(data, []byte(p11Section)) {
		return
	}
	f.Format = "PEM in a p11-kit file"
	items := f.Items
	for start := 0; start < len(data); {
		stop := len(data)
		if i := bytes.Index(data[start+1:], []byte(p11Section)); i >= 0 {
			stop = start + 1 + i
		}
		distrusted := p11Distrusts(data[start:stop])
		for len(items) > 0 && items[0].Start < stop {
			items[0].Distrusted = items[0].Distrusted || distrusted
			items = items[1:]
		}
		start = stop
	}
}

func p11Distrusts(section []byte) bool {
	for rest := section; len(rest) > 0; {
		var line []byte
		line, rest = nextLine(rest)
		key, value, _ := bytes.Cut(line, []byte(":"))
		if string(bytes.TrimSpace(key)) == "x-distrusted" && string(bytes.TrimSpace(value)) == "true" {
			return true
		}
	}
	return false
}

// EncodePEM returns the certificate as PEM in its normal form: the one label,
// lines of 64 characters that end with LF, and nothing else.
func EncodePEM(c *store.Cert) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
