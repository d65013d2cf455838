package certfile

import (
	"bytes"
	"strings"
)

// isYAML recognises the fields that hold base64. The rest of YAML does not
// matter: PEM in a block of text is read as any PEM is.
func isYAML(data []byte) bool {
	t := decodeText(data).data
	for _, f := range fields {
		if f.name == "x5c" {
			continue
		}
		for rest := t; ; {
			i := bytes.Index(rest, []byte(f.name))
			if i < 0 {
				break
			}
			rest = rest[i+len(f.name):]
			// A part is enough, and keeps a text without line breaks cheap.
			if value := yamlValue(rest[:min(len(rest), 160)]); len(value) > 40 {
				return true
			}
		}
	}
	return false
}

// yamlValue returns the plain or quoted value that follows a key's name, "" if
// there is none.
func yamlValue(after []byte) string {
	line, _ := nextLine(after)
	line = bytes.TrimLeft(line, `"'`)
	line = bytes.TrimLeft(line, " ")
	rest, ok := bytes.CutPrefix(line, []byte(":"))
	if !ok {
		return ""
	}
	value := bytes.Trim(rest, " \t\"',")
	for _, c := range value {
		if !(c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("+/=", c) >= 0) {
			return ""
		}
	}
	return string(value)
}

// readYAML reads a kubeconfig or a manifest of Kubernetes: the fields that hold
// base64, and all PEM blocks.
func readYAML(r *reading, data []byte) (*File, error) {
	t := decodeText(data).data
	f := readPEMWith(r, t)
	f.unplaced()
	f.Format = "YAML"
	number := 0
	for rest := t; len(rest) > 0; {
		var line []byte
		line, rest = nextLine(rest)
		number++
		name, _, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		key := strings.Trim(string(name), " \t-\"'")
		if value := yamlValue(line[len(name):]); len(value) > 40 {
			items, notices := len(f.Items), len(f.Notices)
			f.field(r, key, value, key)
			for i := range f.Items[items:] {
				f.Items[items+i].Line = number
			}
			for i := range f.Notices[notices:] {
				f.Notices[notices+i].Line = number
			}
		}
	}
	return f, nil
}

// isEscapedPEM recognises PEM in a string in which line breaks are written as
// \n, as in environment files and quoted YAML.
func isEscapedPEM(data []byte) bool {
	t := decodeText(data).data
	return bytes.Contains(t, []byte(begin)) && bytes.Contains(t, []byte(dashes+`\n`))
}

func readEscapedPEM(r *reading, data []byte) (*File, error) {
	t := bytes.ReplaceAll(decodeText(data).data, []byte(`\r`), nil)
	f := readPEMWith(r, bytes.ReplaceAll(t, []byte(`\n`), []byte("\n")))
	f.Format = "PEM with escapes"
	f.unplaced()
	for i := range f.Items {
		f.Items[i].Line = 0
	}
	for i := range f.Notices {
		f.Notices[i].Line = 0
	}
	return f, nil
}
