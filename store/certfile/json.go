package certfile

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

func isJSON(data []byte) bool {
	t := bytes.TrimSpace(decodeText(data).data)
	return len(t) > 0 && (t[0] == '{' || t[0] == '[') && json.Valid(t)
}

// fields are the names of values in JSON and YAML that hold base64 of a file or
// of DER. A value that holds PEM is found under any name.
var fields = []struct {
	name, format string
	key          bool // a private key
}{
	{"x5c", "JWK", false},                                 // RFC 7517, 4.7
	{"certificate-authority-data", "kubeconfig", false},   // kubectl
	{"client-certificate-data", "kubeconfig", false},      //
	{"client-key-data", "kubeconfig", true},               //
	{"caBundle", "Kubernetes manifest", false},            // webhooks and API services
	{"ca.crt", "Kubernetes manifest", false},              // secrets
	{"tls.crt", "Kubernetes manifest", false},             //
	{"tls.key", "Kubernetes manifest", true},              //
	{"ca-bundle.crt", "Kubernetes manifest", false},       //
	{"ca-certificates.crt", "Kubernetes manifest", false}, //
}

// jwkPrivate are the members of a JWK that are private (RFC 7518, 6).
const jwkPrivate = "d"

// readJSON reads the certificates in a JSON text of any shape: PEM in strings,
// and base64 in the fields that are known to hold it.
func readJSON(r *reading, data []byte) (*File, error) {
	f := &File{Format: "JSON"}
	w := jsonWalk{reading: r, file: f, decoder: json.NewDecoder(bytes.NewReader(decodeText(data).data))}
	w.decoder.UseNumber()
	w.walk()
	if len(f.Items) == 0 && len(f.Notices) == 0 {
		return f, refusal("a text without a certificate", errForeign)
	}
	return f, nil
}

// jsonWalk goes through a JSON text token by token.
type jsonWalk struct {
	*reading
	file    *File
	decoder *json.Decoder
}

// jsonLevel is an object or array that the walk is in.
type jsonLevel struct {
	array bool
	key   string // of the value that comes next
	named bool   // there is a key
	index int
	jwk   bool // an object with "kty"
	d     bool // and with "d"
}

func (w *jsonWalk) walk() {
	var levels []jsonLevel
	for {
		token, err := w.decoder.Token()
		if err != nil {
			return // the text is valid: it is at its end
		}
		top := len(levels) - 1
		if delim, ok := token.(json.Delim); ok {
			switch delim {
			case '{', '[':
				levels = append(levels, jsonLevel{array: delim == '['})
				continue
			}
			if l := levels[top]; l.jwk && l.d {
				w.file.Notices = append(w.file.Notices, Notice{Path: path(levels[:top]), Code: PrivateKey, Text: "a private key (JWK): not read"})
			}
			levels = levels[:top]
			top--
		} else if s, ok := token.(string); ok && top >= 0 {
			if l := &levels[top]; !l.array && !l.named {
				l.key, l.named = s, true
				l.jwk, l.d = l.jwk || s == "kty", l.d || s == jwkPrivate
				continue
			}
			w.text(levels, s)
		}
		if top >= 0 {
			levels[top].named = false
			levels[top].index++
		}
	}
}

// text reads a value.
func (w *jsonWalk) text(levels []jsonLevel, s string) {
	switch {
	case strings.Contains(s, begin):
		at := path(levels)
		if _, err := w.inner(w.file, at, []byte(s)); err != nil {
			w.file.tell(at, err)
		}
	case len(s) > 40:
		for i := len(levels) - 1; i >= 0; i-- {
			if !levels[i].array {
				w.file.field(w.reading, levels[i].key, s, path(levels))
				return
			}
		}
	}
}

// path writes where a value is, such as keys/0/x5c/1. Only the innermost
// levels count, so that it costs little.
func path(levels []jsonLevel) string {
	const deepest = 12
	out := ""
	if len(levels) > deepest {
		out, levels = "…", levels[len(levels)-deepest:]
	}
	for _, l := range levels {
		if l.array {
			out = join(out, strconv.Itoa(l.index))
		} else {
			out = join(out, l.key)
		}
	}
	return out
}

// field reads the base64 in a field, if it is one that is known.
func (f *File) field(r *reading, name, value, at string) {
	for _, known := range fields {
		if known.name != name {
			continue
		}
		f.Format = known.format
		if known.key {
			f.Notices = append(f.Notices, Notice{Path: at, Code: PrivateKey, Text: "a private key: not read"})
			if der, err := decodeBase64([]byte(value)); err == nil {
				in := ReadPEM(der)
				f.keys = append(f.keys, in.keys...)
			}
			return
		}
		data, err := decodeBase64([]byte(value))
		if err != nil {
			f.Notices = append(f.Notices, Notice{Path: at, Code: UnreadableEntry, Text: "its base64 is damaged"})
			return
		}
		if _, err := r.inner(f, at, data); err != nil {
			f.tell(at, err)
		}
		return
	}
}
