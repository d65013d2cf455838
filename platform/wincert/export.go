package wincert

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"strings"
	"unicode/utf16"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// maxExport bounds how large an export may be: more than the largest whole
// registry there is.
const maxExport = 1 << 30

// Export is the certificate stores in a file that was exported from a Windows:
// by its registry editor (or "reg export"), as a store in one file (.sst), or
// the registry file of a Wine. It can be looked at on every system.
type Export struct {
	host *host.Host
	info store.Info
}

// OpenExport returns the stores in the file path.
func OpenExport(h *host.Host, path string) (store.Store, []string, error) {
	info, err := h.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if info.IsDir() {
		return nil, nil, store.Because(store.ErrInput, "it is a directory, and not a file that was exported from a Windows")
	}
	return &Export{host: h, info: store.Info{
		ID: store.ID(ExportBackend + ":" + path), Backend: ExportBackend, Title: "Exported from Windows: " + path, Scope: store.ScopeSystem,
		Location: path, Root: h.Root, Express: express(nil),
		Access: store.Access{Write: &store.Obstacle{Kind: store.ReadOnly, Text: "it is a copy: what is changed is the Windows that it comes from"}},
	}}, []string{"named as a file"}, nil
}

// Info implements [store.Store].
func (x *Export) Info() store.Info { return x.info }

// Entries implements [store.Store].
func (x *Export) Entries(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		fail := func(err error) error {
			return &store.Error{Op: "read", Store: x.info.ID, Err: err, Hint: store.Hint(err)}
		}
		data, err := x.host.ReadFile(x.info.Location, maxExport)
		if err == nil {
			err = ctx.Err()
		}
		var found []exported
		if err == nil {
			found, err = readExport(data)
		}
		if err != nil {
			yield(store.Entry{}, fail(err))
			return
		}
		denied := map[store.Fingerprint]string{}
		for _, f := range found {
			if f.record != nil && f.item != nil && f.item.name == itemDisallowed {
				denied[f.cert.SHA256] = f.source.Path
			}
		}
		for _, f := range found {
			if ctx.Err() != nil {
				yield(store.Entry{}, fail(ctx.Err()))
				return
			}
			if f.record == nil {
				if !yield(store.Entry{Source: f.source}, fail(f.err)) {
					return
				}
				continue
			}
			if !yield(f.entry(denied), nil) {
				return
			}
		}
	}
}

// exported is a certificate in an export, or what should have been one.
type exported struct {
	held
	at     *location // nil = it is not known where it was
	item   *item     // nil = one that means nothing here
	source store.Source
	key    string // the name of its key, "" for what has none
}

func (f exported) entry(denied map[store.Fingerprint]string) store.Entry {
	at, in := f.at, f.item
	if at == nil {
		at = &location{by: store.ByUnknown}
	}
	if in == nil {
		in = &item{decision: store.Unspecified}
	}
	e := describe(at, in, f.record, f.source)
	if where := denied[f.cert.SHA256]; where != "" && in.name != itemDisallowed {
		e.Trust = store.TrustFor(store.Distrusted, store.PurposeAny)
		e.Native["distrustedBy"] = where
	}
	problem := func(code, format string, a ...any) {
		e.Problems = append(e.Problems, store.Problem{Code: code, Path: f.source.Path, Text: fmt.Sprintf(format, a...), Fingerprint: &f.cert.SHA256})
	}
	switch is := f.thumbprint(); {
	case f.key == "" || f.key == is:
	case strings.EqualFold(f.key, is):
		problem("key-name-case", "its key is written in small letters, so that not every reader finds it")
	default:
		problem("key-name", "its key is called %s, but its SHA-1 is %s", store.Printable(f.key), is)
	}
	return e
}

const sstMagic = "\x00\x00\x00\x00CERT"

// readExport reads a file of any of the formats.
func readExport(data []byte) ([]exported, error) {
	if bytes.HasPrefix(data, []byte(sstMagic)) {
		return readSST(data[len(sstMagic):]), nil
	}
	text := plainText(data)
	head, _, _ := strings.Cut(strings.TrimLeft(string(text[:min(len(text), 200)]), "\r\n \t"), "\n")
	head = strings.TrimSpace(head)
	wine := strings.HasPrefix(head, "WINE REGISTRY Version 2")
	if !wine && !strings.HasPrefix(head, "Windows Registry Editor") && !strings.HasPrefix(head, "REGEDIT4") {
		return nil, &store.Error{Err: store.Because(store.ErrInput, "it is neither an export of a registry nor a serialized store"),
			Hint: `make one with: reg export HKLM\SOFTWARE\Microsoft\SystemCertificates FILE.reg`}
	}
	return readRegistry(text, wine), nil
}

// plainText returns the text of a file in UTF-16 with a mark, or in bytes.
func plainText(data []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		order = binary.BigEndian
	default:
		return bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	}
	units := make([]uint16, 0, len(data)/2)
	for data = data[2:]; len(data) >= 2; data = data[2:] {
		units = append(units, order.Uint16(data))
	}
	return []byte(string(utf16.Decode(units)))
}

// readRegistry reads the certificates in the text of a registry. That of Wine
// doubles the backslashes in names of keys, which begin below a root that its
// head names.
func readRegistry(text []byte, wine bool) []exported {
	var out []exported
	key, root, number := "", "", 0
	next := func() string {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		text = rest
		number++
		return strings.TrimSpace(string(line))
	}
	for len(text) > 0 {
		line := next()
		switch {
		case wine && strings.HasPrefix(line, ";; All keys relative to "):
			root = strings.ReplaceAll(strings.TrimPrefix(line, ";; All keys relative to "), `\\`, `\`)
			continue
		case strings.HasPrefix(line, "["):
			key = strings.TrimPrefix(line, "[")
			if end := strings.LastIndexByte(key, ']'); end >= 0 {
				key = key[:end]
			}
			if wine {
				key = root + `\` + strings.ReplaceAll(key, `\\`, `\`)
			}
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || !strings.EqualFold(name, `"Blob"`) {
			continue
		}
		begun := number
		var digits strings.Builder
		for strings.HasSuffix(value, `\`) && len(text) > 0 {
			digits.WriteString(strings.TrimSuffix(value, `\`))
			value = next()
		}
		digits.WriteString(value)
		at, system, thumb, ok := placeOf(key)
		if !ok {
			continue
		}
		f := exported{at: at, item: itemNamed(system), key: thumb, source: store.Source{Kind: system, Path: system, Item: thumb}}
		if at != nil {
			f.source.Path = at.name + `\` + system
		}
		if f.item != nil {
			f.source.Kind = f.item.name
		}
		blob, ok := binaryValue(digits.String())
		if !ok {
			f.err = store.Because(store.ErrCorrupt, "line %d: the value Blob is damaged", begun)
		} else if f.record, f.err = parseBlob(blob); f.err != nil {
			f.err = store.Because(store.ErrCorrupt, "line %d: %w", begun, f.err)
		}
		out = append(out, f)
	}
	return out
}

// binaryValue reads a value such as hex:0f,00 or hex(3):0f,00.
func binaryValue(value string) ([]byte, bool) {
	kind, digits, ok := strings.Cut(value, ":")
	kind = strings.ToLower(strings.TrimSpace(kind))
	if !ok || kind != "hex" && kind != "hex(3)" {
		return nil, false
	}
	out, err := hex.DecodeString(strings.Map(func(r rune) rune {
		if r == ',' || r == ' ' || r == '\t' {
			return -1
		}
		return r
	}, digits))
	return out, err == nil
}

// placeOf tells what a key of the registry is, such as
// HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SystemCertificates\Root\Certificates\THUMBPRINT:
// the location (nil if that cannot be told), the system store and the name.
func placeOf(key string) (at *location, system, thumb string, ok bool) {
	parts := strings.Split(key, `\`)
	n := len(parts)
	if n < 4 || !strings.EqualFold(parts[n-2], "Certificates") {
		return nil, "", "", false
	}
	system, thumb = parts[n-3], parts[n-1]
	lower := strings.ToLower(strings.Join(parts[:n-3], `\`))
	lower = strings.ReplaceAll(lower, `\wow6432node\`, `\`)
	user := strings.Contains(lower, "current_user") || strings.Contains(lower, "hkey_users") || strings.HasPrefix(lower, `\user`)
	machine := strings.Contains(lower, "local_machine") || strings.HasPrefix(lower, `\machine`)
	if !strings.HasSuffix(lower, "certificates") {
		return nil, "", "", false
	}
	for _, l := range locations {
		if (l.user && user || !l.user && machine) && strings.HasSuffix(lower, `\`+strings.ToLower(l.key)) {
			return l, system, thumb, true
		}
	}
	return nil, system, thumb, true
}

// readSST reads the certificates of a serialized store.
func readSST(data []byte) []exported {
	var out []exported
	begun := exported{held: held{record: &record{}}}
	number := 1
	add := func(f exported) {
		f.source = store.Source{Kind: "SST", Path: "SST", Item: fmt.Sprintf("number %d", number)}
		out = append(out, f)
		number++
		begun = exported{held: held{record: &record{}}}
	}
	lost := func(err error) { add(exported{held: held{err: err}}) }
	for {
		e, rest, err := nextElement(data)
		switch {
		case len(data) == 0:
			lost(store.Because(store.ErrCorrupt, "the end of the store is missing"))
			return out
		case err != nil:
			lost(err)
			return out
		case e.id == 0:
			return out
		}
		data = rest
		switch e.id {
		case elementCert:
			begun.cert = store.NewCert(e.value)
			add(begun)
		case elementCRL, elementCTL:
			begun = exported{held: held{record: &record{}}} // its properties are not a certificate's
		default:
			begun.elements = append(begun.elements, e)
		}
	}
}
