package render

import (
	"fmt"
	"strings"

	"github.com/certtrust/certtrust/cmd/internal/term"
)

// textWriter writes blocks of lines to Out. The first error ends it.
type textWriter struct {
	s     *term.Streams
	err   error
	begun bool
	// record is told of fields, instead of their being written; nil = they are.
	record func(key string, values []Cell)
}

// line writes its words, which must be safe, as one line.
func (w *textWriter) line(words ...string) {
	if w.err == nil {
		_, w.err = fmt.Fprintln(w.s.Out, strings.TrimRight(strings.Join(words, ""), " "))
	}
	w.begun = true
}

// blank separates what follows from what was written before, if any.
func (w *textWriter) blank() {
	if w.begun {
		w.line()
	}
}

// section writes a heading and lines under it, nothing if there are none.
func (w *textWriter) section(heading string, lines []string) {
	if len(lines) == 0 {
		return
	}
	w.line()
	w.line(w.s.Paint(term.Bold, term.Safe(heading)))
	for _, l := range lines {
		w.line("  ", term.Safe(l))
	}
}

// keyWidth is the width of the keys of a block, with the colon and the space.
const keyWidth = 20

// field writes "key: value", further values below the first one, and nothing
// if there is none.
func (w *textWriter) field(key string, values ...Cell) {
	if w.record != nil {
		w.record(key, values)
		return
	}
	label := w.s.Paint(term.Dim, fmt.Sprintf("%-*s", keyWidth, key+":"))
	for _, v := range values {
		if v.Text == "" {
			continue
		}
		w.line(label, w.s.Paint(v.Style, term.Safe(v.Text)))
		label = strings.Repeat(" ", keyWidth)
	}
}

// table writes a table with each line indented.
func (w *textWriter) table(t *Table, indent string) {
	if w.err == nil {
		w.err = t.writeTo(w.s.Out, w.s, indent)
	}
	w.begun = true
}
