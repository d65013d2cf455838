package render

import (
	"encoding/csv"
	"fmt"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/store/audit"
)

// DiffDoc tells what differs between two sets of certificates.
type DiffDoc struct {
	Schema      string             `json:"schema"`
	A           DiffSide           `json:"a"`
	B           DiffSide           `json:"b"`
	Differences []audit.Difference `json:"differences" jsonschema:"what has to happen to a to become b"`
	Summary     DiffSummary        `json:"summary"`
}

// DiffSide is one of the two.
type DiffSide struct {
	Name         string   `json:"name" jsonschema:"as it was given; untrusted text"`
	What         string   `json:"what" jsonschema:"a store, a machine, a listing, a file, a programme"`
	Certificates int      `json:"certificates"`
	Stores       []string `json:"stores"`
	Complete     bool     `json:"complete" jsonschema:"everything in it was read"`
}

// DiffSummary counts the differences.
type DiffSummary struct {
	Added     int `json:"added"`
	Removed   int `json:"removed"`
	Retrusted int `json:"retrusted"`
}

// NewDiffDoc returns the document.
func NewDiffDoc(a, b DiffSide, list []audit.Difference) DiffDoc {
	d := DiffDoc{Schema: Schema("diff"), A: a, B: b, Differences: list}
	for _, x := range list {
		switch x.Change {
		case audit.Added:
			d.Summary.Added++
		case audit.Removed:
			d.Summary.Removed++
		default:
			d.Summary.Retrusted++
		}
	}
	return d
}

// diffSigns are what stands before a difference, and its colour.
var diffSigns = map[string]struct {
	sign  string
	style term.Style
}{
	audit.Added: {"+", term.Green}, audit.Removed: {"-", term.Red}, audit.Retrusted: {"~", term.Yellow},
}

// Text writes a line for each difference.
func (d DiffDoc) Text(s *term.Streams) error {
	if err := diffTable(d.Differences).Write(s); err != nil {
		return err
	}
	s.Noticef("%s has %s, %s has %s: %d added, %d removed, %d retrusted", d.A.Name, count(d.A.Certificates, "certificate"),
		d.B.Name, count(d.B.Certificates, "certificate"), d.Summary.Added, d.Summary.Removed, d.Summary.Retrusted)
	for _, side := range []DiffSide{d.A, d.B} {
		if !side.Complete {
			s.Warningf("%s could not be read completely", side.Name)
		}
	}
	return nil
}

func diffTable(list []audit.Difference) *Table {
	t := NewTable(Column{}, Column{Title: "SHA-256"}, Column{Title: "NAME", Min: 24}, Column{Title: "TRUST", Min: 8}, Column{Title: "STORE", Min: 8, Drop: true})
	for _, x := range list {
		sign := diffSigns[x.Change]
		trust := x.Before
		switch x.Change {
		case audit.Added:
			trust = x.After
		case audit.Retrusted:
			trust = x.Before + " -> " + x.After
		}
		t.Row(Cell{sign.sign, sign.style}, Cell{x.SHA256.Short(), term.Dim}, Cell{Text: x.Label}, Cell{Text: trust}, Cell{Text: string(x.Store)})
	}
	return t
}

// differences writes them below a heading.
func (w *textWriter) differences(heading string, list []audit.Difference) {
	if len(list) == 0 {
		return
	}
	w.blank()
	w.line(w.s.Paint(term.Bold, heading))
	w.table(diffTable(list), "  ")
}

// DiffFormats are the formats of a comparison.
func DiffFormats() []string { return append(Formats(), "csv", "markdown") }

// WriteDiff writes a comparison in a format.
func WriteDiff(s *term.Streams, format string, d DiffDoc) error {
	switch format {
	case "csv":
		return d.csv(s)
	case "markdown":
		return d.markdown(s)
	}
	return Write(s, format, d)
}

func (d DiffDoc) csv(s *term.Streams) error {
	w := csv.NewWriter(s.Out)
	w.UseCRLF = true
	rows := [][]string{{"change", "sha256", "label", "store", "before", "after"}}
	for _, x := range d.Differences {
		rows = append(rows, []string{x.Change, x.SHA256.String(), csvCell(x.Label), csvCell(string(x.Store)), csvCell(x.Before), csvCell(x.After)})
	}
	return w.WriteAll(rows)
}

func (d DiffDoc) markdown(s *term.Streams) error {
	w := textWriter{s: s}
	w.line("# ", md(d.A.Name), " and ", md(d.B.Name))
	w.line()
	w.line(fmt.Sprintf("%d added, %d removed, %d retrusted", d.Summary.Added, d.Summary.Removed, d.Summary.Retrusted))
	if len(d.Differences) > 0 {
		w.line()
		w.line("| | name | trust | store | sha256 |")
		w.line("|---|---|---|---|---|")
		for _, x := range d.Differences {
			trust := x.Before + x.After
			if x.Change == audit.Retrusted {
				trust = x.Before + " → " + x.After
			}
			w.line("| ", x.Change, " | ", md(x.Label), " | ", md(trust), " | ", md(string(x.Store)), " | `", x.SHA256.Short(), "` |")
		}
	}
	return w.err
}
