package certfile

import (
	"bytes"
	"encoding/hex"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// registryHeads begin files that the registry editor of Windows exports.
var registryHeads = []string{"Windows Registry Editor", "REGEDIT4"}

func isRegistry(data []byte) bool {
	for _, head := range registryHeads {
		if text(prefix(head))(data) {
			return true
		}
	}
	return false
}

// readRegistry reads the certificates that the registry holds as serialized
// certificates (see [readSST]), below
// …\SystemCertificates\STORE\Certificates\THUMBPRINT. Those of the store
// Disallowed are distrusted.
func readRegistry(_ *reading, data []byte) (*File, error) {
	f := &File{Format: "registry file"}
	rest, key, line := decodeText(data).data, "", 0
	for len(rest) > 0 {
		var text []byte
		text, rest = nextLine(rest)
		line++
		text = bytes.TrimSpace(text)
		if bytes.HasPrefix(text, []byte("[")) {
			key = string(bytes.Trim(text, "[]"))
			continue
		}
		name, value, ok := bytes.Cut(text, []byte("="))
		if !ok || !bytes.EqualFold(name, []byte(`"Blob"`)) {
			continue
		}
		begun := line
		digits := bytes.Clone(value)
		for bytes.HasSuffix(text, []byte(`\`)) && len(rest) > 0 {
			text, rest = nextLine(rest)
			line++
			text = bytes.TrimSpace(text)
			digits = append(digits[:len(digits)-1], text...)
		}
		blob, ok := registryBinary(digits)
		if !ok {
			f.notice(begun, UnreadableEntry, "the value Blob is damaged")
			continue
		}
		item := Item{Path: registryPlace(key), Line: begun}
		item.Distrusted = strings.HasPrefix(strings.ToLower(item.Path), "disallowed/")
		in := &File{Format: "serialized certificate", Items: f.Items}
		if err := in.serialized(blob, item); err != nil {
			in.Notices = append(in.Notices, Notice{Path: item.Path, Line: begun, Code: Damaged, Text: err.Error()})
		}
		for i := range in.Notices {
			in.Notices[i].Path, in.Notices[i].Line = item.Path, begun
		}
		f.Items, f.keys = in.Items, append(f.keys, in.keys...)
		f.Notices = append(f.Notices, in.Notices...)
	}
	if len(f.Items) == 0 && len(f.Notices) == 0 {
		return f, store.Because(store.ErrInput, "a registry file without certificates")
	}
	return f, nil
}

// registryBinary reads a value such as hex:0f,00.
func registryBinary(value []byte) ([]byte, bool) {
	kind, digits, ok := bytes.Cut(value, []byte(":"))
	if !ok || !bytes.HasPrefix(bytes.ToLower(kind), []byte("hex")) {
		return nil, false
	}
	digits = bytes.Map(func(r rune) rune {
		if r == ',' || r == ' ' || r == '\t' {
			return -1
		}
		return r
	}, digits)
	out := make([]byte, hex.DecodedLen(len(digits)))
	n, err := hex.Decode(out, digits)
	return out[:n], err == nil
}

// registryPlace returns the store and the thumbprint of a key.
func registryPlace(key string) string {
	parts := strings.Split(key, `\`)
	for i, p := range parts {
		if strings.EqualFold(p, "SystemCertificates") && i+1 < len(parts) {
			return join(parts[i+1], parts[len(parts)-1])
		}
	}
	return join("", parts[len(parts)-1])
}
