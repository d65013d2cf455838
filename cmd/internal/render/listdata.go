package render

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// ListDoc is a listing as one document.
type ListDoc struct {
	ListHeader
	Entries []ListRecord `json:"entries"`
	Summary ListSummary  `json:"summary"`
}

// jsonView writes a [ListDoc], entry by entry: as a whole, a large one would be in
// memory several times over.
type jsonView struct {
	header  ListHeader
	out     *bufio.Writer
	entries *jsonWriter
	o       ListOptions
	more    bool // an entry was written
}

func newJSONView(s *term.Streams, o ListOptions) ListView {
	out := bufio.NewWriterSize(s.Out, 32<<10)
	return &jsonView{out: out, entries: newJSONWriter(out, entryMargin, "  "), o: o}
}

// entryMargin is how far the lines of an entry are indented.
const entryMargin = "    "

// around returns what stands before and after the entries. No string has the mark
// between them: its quotation marks would be escaped.
func (v *jsonView) around(sum ListSummary) (before, after []byte, err error) {
	var doc bytes.Buffer
	err = JSON(&doc, ListDoc{v.header, nil, sum})
	before, after, _ = bytes.Cut(doc.Bytes(), []byte(`"entries": []`))
	return before, after, err
}

func (v *jsonView) Header(h ListHeader) error {
	v.header = h
	before, _, err := v.around(ListSummary{})
	v.out.Write(before)
	v.out.WriteString(`"entries": [`)
	return err
}

func (v *jsonView) Record(r ListRecord) error {
	if v.more {
		v.out.WriteByte(',')
	}
	v.more = true
	v.out.WriteString("\n" + entryMargin)
	return v.entries.write(withPEM(r, v.o), "")
}

func (v *jsonView) End(sum ListSummary) error {
	_, after, err := v.around(sum)
	if err != nil {
		return err
	}
	if v.more {
		v.out.WriteString("\n  ")
	}
	v.out.WriteByte(']')
	v.out.Write(after)
	return v.out.Flush()
}

func withPEM(r ListRecord, o ListOptions) ListRecord {
	if o.PEM {
		r.PEM = r.pem()
	}
	return r
}

// ListEntryLine is a line of a listing in JSON lines.
type ListEntryLine struct {
	Schema string `json:"schema"`
	ListRecord
}

// ListSummaryLine is the last line of a listing in JSON lines: without it the
// listing was cut off.
type ListSummaryLine struct {
	Schema string `json:"schema"`
	ListSummary
}

// linesView writes a [ListHeader], a [ListEntryLine] for each entry, and a
// [ListSummaryLine].
type linesView struct {
	s *term.Streams
	o ListOptions
}

func newLinesView(s *term.Streams, o ListOptions) ListView { return linesView{s, o} }

func (v linesView) Header(h ListHeader) error { return JSONLine(v.s.Out, h) }

func (v linesView) Record(r ListRecord) error {
	return JSONLine(v.s.Out, ListEntryLine{Schema("entry"), withPEM(r, v.o)})
}

func (v linesView) End(sum ListSummary) error {
	return JSONLine(v.s.Out, ListSummaryLine{Schema("summary"), sum})
}

// csvColumns are the columns of a listing in CSV. New ones are added at the
// end.
var csvColumns = []struct {
	name  string
	value func(r ListRecord) string
}{
	{"sha256", func(r ListRecord) string {
		if r.SHA256.IsZero() {
			return ""
		}
		return r.SHA256.String()
	}},
	{"label", func(r ListRecord) string { return store.Printable(r.Label) }},
	{"subject", func(r ListRecord) string { return r.Subject }},
	{"issuer", func(r ListRecord) string { return r.Issuer }},
	{"serial", func(r ListRecord) string { return r.Serial }},
	{"notBefore", func(r ListRecord) string { return timeText(r.NotBefore) }},
	{"notAfter", func(r ListRecord) string { return timeText(r.NotAfter) }},
	{"daysLeft", func(r ListRecord) string {
		if r.DaysLeft == nil {
			return ""
		}
		return strconv.Itoa(*r.DaysLeft)
	}},
	{"ca", func(r ListRecord) string { return strconv.FormatBool(r.CA) }},
	{"selfIssued", func(r ListRecord) string { return strconv.FormatBool(r.SelfIssued) }},
	{"key", func(r ListRecord) string { return r.Key }},
	{"signature", func(r ListRecord) string { return r.Signature }},
	{"purposesLimit", func(r ListRecord) string { return join(r.PurposesLimit, " ") }},
	{"parseError", func(r ListRecord) string { return r.ParseError }},
	{"store", func(r ListRecord) string { return string(r.Store) }},
	{"storeLabel", func(r ListRecord) string { return store.Printable(r.StoreLabel) }},
	{"trust", func(r ListRecord) string { return trustText(r.Trust) }},
	{"origin", func(r ListRecord) string { return string(r.Origin.By) }},
	{"originDetail", func(r ListRecord) string { return r.Origin.Detail }},
	{"sourceKind", func(r ListRecord) string { return r.Source.Kind }},
	{"sourcePath", func(r ListRecord) string { return r.Source.Path }},
	{"sourceItem", func(r ListRecord) string { return r.Source.Item }},
	{"problems", func(r ListRecord) string {
		var codes []string
		for _, p := range r.Problems {
			codes = include(codes, p.Code)
		}
		return strings.Join(codes, " ")
	}},
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// csvCell makes text fit for a cell: printable, and not to be taken for a
// formula by a spreadsheet. A number is none.
func csvCell(text string) string {
	text = term.Safe(text)
	if _, err := strconv.Atoi(text); err == nil {
		return text
	}
	if strings.IndexAny(text, "=+-@\t\r＝＋－＠") == 0 {
		return "'" + text
	}
	return text
}

// csvView writes a line for each entry, as RFC 4180 has it.
type csvView struct {
	s      *term.Streams
	w      *csv.Writer
	stores []ListStore
}

func newCSVView(s *term.Streams, _ ListOptions) ListView {
	w := csv.NewWriter(s.Out)
	w.UseCRLF = true
	return &csvView{s: s, w: w}
}

func (v *csvView) Header(h ListHeader) error {
	v.stores = h.Stores
	var names []string
	for _, c := range csvColumns {
		names = append(names, c.name)
	}
	return v.w.Write(names)
}

func (v *csvView) Record(r ListRecord) error {
	var cells []string
	for _, c := range csvColumns {
		cells = append(cells, csvCell(c.value(r)))
	}
	return v.w.Write(cells)
}

func (v *csvView) End(ListSummary) error {
	v.w.Flush()
	if err := v.w.Error(); err != nil {
		return err
	}
	incomplete(v.s, v.stores)
	return nil
}

// pemView writes each certificate once, under comments that tell its name.
type pemView struct {
	listing
	s *term.Streams
}

func newPEMView(s *term.Streams, _ ListOptions) ListView { return &pemView{s: s} }

func (v *pemView) End(ListSummary) error {
	between := ""
	for _, g := range groups(v.header.Stores, v.records) {
		pem := g.pem()
		if pem == "" {
			continue
		}
		_, err := fmt.Fprintf(v.s.Out, "%s# label: %s\n# sha256: %s\n# stores: %s\n%s", between,
			certfile.Comment(g.name()), g.SHA256, term.Safe(join(g.stores, " ")), pem)
		if err != nil {
			return err
		}
		between = "\n"
	}
	incomplete(v.s, v.header.Stores)
	return nil
}
