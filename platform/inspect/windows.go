package inspect

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf16"

	"github.com/certtrust/certtrust/platform/wincert"
	"github.com/certtrust/certtrust/store/audit"
)

// maxExport bounds how much of an export is looked through for a policy.
const maxExport = 64 << 20

// autoUpdate looks whether the update of Windows' roots is switched off: by a
// policy of this machine, or in an export of another's registry.
func (i *inspector) autoUpdate(api wincert.API) {
	if api != nil && i.h.OS == "windows" && i.h.Live && i.h.Root == "" && wincert.AutoUpdateOff(api) {
		i.facts.AutoUpdate = append(i.facts.AutoUpdate, audit.Setting{Path: `HKLM\` + wincert.AutoUpdateKey, Name: wincert.AutoUpdateValue, Value: "1"})
	}
	for _, s := range i.stores {
		if s.Info.Backend != wincert.ExportBackend {
			continue
		}
		data, err := i.h.ReadFile(s.Info.Location, maxExport)
		if err != nil {
			i.failed(err)
			continue
		}
		if value, off := exportedValue(data, wincert.AutoUpdateKey, wincert.AutoUpdateValue); off {
			i.facts.AutoUpdate = append(i.facts.AutoUpdate, audit.Setting{Path: s.Info.Location, Name: wincert.AutoUpdateValue, Value: value})
		}
	}
}

// exportedValue finds a number that is not 0 in an export of the registry: a
// line "NAME"=dword:HEX below a line [KEY]. Neither's case counts.
func exportedValue(data []byte, key, name string) (value string, found bool) {
	if bytes.HasPrefix(data, []byte{0xff, 0xfe}) {
		units := make([]uint16, len(data)/2)
		for n := range units {
			units[n] = binary.LittleEndian.Uint16(data[2*n:])
		}
		data = []byte(string(utf16.Decode(units)))
	}
	in := false
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			// Wine writes two backslashes, and the time after the key.
			at, _, _ := strings.Cut(strings.ReplaceAll(line[1:], `\\`, `\`), "]")
			at = strings.ToLower(at)
			in = at == strings.ToLower(key) || strings.HasSuffix(at, strings.ToLower(`\`+key))
			continue
		}
		what, v, ok := strings.Cut(line, "=")
		if !in || !ok || !strings.EqualFold(strings.Trim(what, `"`), name) {
			continue
		}
		if v = strings.ToLower(v); strings.HasPrefix(v, "dword:") && strings.Trim(v[6:], "0") != "" {
			value, found = v, true
		}
	}
	return value, found
}
