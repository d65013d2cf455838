// Package render turns what certtrust found out into what it prints: tables
// and blocks of text for people, JSON, JSON lines, CSV and PEM for programs.
//
// Every document is a struct with JSON tags. Its "schema" names the command
// and a version; within a version fields are only ever added. Times are RFC
// 3339 in UTC, fingerprints the lower-case hex of SHA-256, arrays and objects
// never null. The JSON Schemas in testdata/schema are generated from the types
// of this package by its tests.
//
// Results go to Streams.Out, summaries and complaints to Streams.Err. Labels
// and names out of certificates are untrusted text: they are escaped for
// people and for CSV, and in JSON written so that they are the same data and
// yet safe to print.
package render

import (
	"fmt"
	"strings"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/store"
)

// Schema returns the name of a command's JSON document.
func Schema(command string) string { return "certtrust." + command + "/v1" }

// Doc is a document that people can read too.
type Doc interface {
	// Text writes the document for people.
	Text(s *term.Streams) error
}

// format is a way to write a document.
type format[D any] struct {
	name  string
	write func(s *term.Streams, d D) error
}

// formatNames returns the names of formats.
func formatNames[D any](list []format[D]) []string {
	var names []string
	for _, f := range list {
		names = append(names, f.name)
	}
	return names
}

// writeAs writes a document in the format of a name; "" is the first one. The
// error for an unknown one is [store.ErrInput].
func writeAs[D any](s *term.Streams, list []format[D], name string, d D) error {
	for _, f := range list {
		if f.name == name || name == "" {
			return f.write(s, d)
		}
	}
	return unknownFormat(name, formatNames(list))
}

// formats are the ways to write any [Doc].
var formats = []format[Doc]{
	{"table", func(s *term.Streams, d Doc) error { return d.Text(s) }},
	{"json", func(s *term.Streams, d Doc) error { return JSON(s.Out, d) }},
	{"jsonl", func(s *term.Streams, d Doc) error { return JSONLine(s.Out, d) }},
}

// Formats returns the names of the formats that [Write] knows, the default
// first.
func Formats() []string { return formatNames(formats) }

// Write writes a document in a format; "" is the first of [Formats]. The error
// for an unknown one is [store.ErrInput].
func Write(s *term.Streams, format string, d Doc) error { return writeAs(s, formats, format, d) }

func unknownFormat(name string, known []string) error {
	return store.Because(store.ErrInput, "unknown format %q: not one of %s", store.Printable(name), strings.Join(known, ", "))
}

// count writes a number of things: "1 store", "2 stores".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// join joins words of any string type.
func join[T ~string](words []T, separator string) string {
	var b strings.Builder
	for i, word := range words {
		if i > 0 {
			b.WriteString(separator)
		}
		b.WriteString(string(word))
	}
	return b.String()
}

// include appends what words lacks, leaving out "".
func include[T ~string](words []T, more ...T) []T {
next:
	for _, word := range more {
		for _, have := range words {
			if have == word {
				continue next
			}
		}
		if word != "" {
			words = append(words, word)
		}
	}
	return words
}
