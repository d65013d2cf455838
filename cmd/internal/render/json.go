package render

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/certtrust/certtrust/store"
)

// JSON writes doc as an indented JSON document. What could disturb a terminal
// is written as \u escapes, which is the same data; nil slices and maps are
// written empty, and times in UTC.
func JSON(w io.Writer, doc any) error { return newJSONWriter(w, "", "  ").write(doc, "\n") }

// JSONLine writes doc as [JSON] does, in a single line.
func JSONLine(w io.Writer, doc any) error { return newJSONWriter(w, "", "").write(doc, "\n") }

// jsonWriter writes JSON documents.
type jsonWriter struct {
	out io.Writer
	buf bytes.Buffer
	enc *json.Encoder
}

// newJSONWriter returns one that puts margin before each line but the first of a
// document.
func newJSONWriter(out io.Writer, margin, indent string) *jsonWriter {
	w := &jsonWriter{out: out}
	w.enc = json.NewEncoder(&w.buf)
	w.enc.SetEscapeHTML(false)
	w.enc.SetIndent(margin, indent)
	return w
}

// write writes doc, and what stands at its end.
func (w *jsonWriter) write(doc any, end string) error {
	w.buf.Reset()
	if err := w.enc.Encode(tidy(reflect.ValueOf(&doc).Elem()).Interface()); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	_, err := w.out.Write(append(escapeJSON(bytes.TrimSuffix(w.buf.Bytes(), []byte("\n"))), end...))
	return err
}

// escapeJSON escapes what [store.Printable] escapes, but the backslash. In a
// JSON document that can only be in strings, but for the newlines.
func escapeJSON(doc []byte) []byte {
	plain := 0 // most of them are, as a whole
	for plain < len(doc) && (doc[plain] == '\n' || doc[plain] >= ' ' && doc[plain] <= '~') {
		plain++
	}
	if plain == len(doc) {
		return doc
	}
	out := append(make([]byte, 0, len(doc)+64), doc[:plain]...)
	for doc = doc[plain:]; len(doc) > 0; {
		r, n := utf8.DecodeRune(doc)
		char := doc[:n]
		doc = doc[n:]
		if r == '\n' || r >= ' ' && r <= '~' || store.Printable(string(char)) == string(char) {
			out = append(out, char...)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			out = fmt.Appendf(out, `\u%04x`, unit)
		}
	}
	return out
}

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
	timeType      = reflect.TypeFor[time.Time]()
)

// tidy returns a copy of v in which slices and maps are never nil and times
// are in UTC. A time that JSON cannot hold, as a certificate may have it, is
// left out.
func tidy(v reflect.Value) reflect.Value {
	kind := v.Type()
	if kind == timeType {
		t := v.Interface().(time.Time).UTC()
		if t.Year() < 0 || t.Year() > 9999 {
			t = time.Time{}
		}
		return reflect.ValueOf(t)
	}
	if isPlain(kind) || kind.Implements(jsonMarshaler) || kind.Implements(textMarshaler) {
		return v
	}
	out := reflect.New(kind).Elem()
	out.Set(v)
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			out.Set(reflect.New(kind.Elem()))
			out.Elem().Set(tidy(v.Elem()))
		}
	case reflect.Interface:
		if !v.IsNil() {
			out.Set(tidy(v.Elem()))
		}
	case reflect.Slice:
		out.Set(reflect.MakeSlice(kind, v.Len(), v.Len()))
		for i := range v.Len() {
			out.Index(i).Set(tidy(v.Index(i)))
		}
	case reflect.Map:
		out.Set(reflect.MakeMapWithSize(kind, v.Len()))
		for key, value := range v.Seq2() {
			out.SetMapIndex(key, tidy(value))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if kind.Field(i).IsExported() {
				out.Field(i).Set(tidy(v.Field(i)))
			}
		}
	}
	return out
}

// isPlain reports whether there is nothing to tidy in values of a type.
func isPlain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Map, reflect.Struct, reflect.Array:
		return false
	}
	return true
}
