package render

import (
	"io"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/certtrust/certtrust/cmd/internal/term"
)

// Column describes a column of a [Table].
type Column struct {
	Title string // in upper case; a table without any titles has no header
	// Min is the width to which the column may be shrunk where the table is
	// too wide for the terminal; 0 = it is not.
	Min int
	// Drop: the column may be left out if shrinking was not enough; the last
	// one goes first.
	Drop bool
	// Open: the text may run over the edge, as is right for sentences. Only
	// for the last column.
	Open bool
}

// Cell is a cell of a [Table].
type Cell struct {
	Text  string
	Style term.Style
}

// plain returns cells without a style.
func plain(texts ...string) []Cell {
	cells := make([]Cell, len(texts))
	for i, text := range texts {
		cells[i].Text = text
	}
	return cells
}

// Table is how all tables look: no borders, two spaces between the columns, a
// dim header. A column that is empty in all rows is left out.
type Table struct {
	columns []Column
	rows    [][]Cell
}

// NewTable returns an empty table.
func NewTable(columns ...Column) *Table { return &Table{columns: columns} }

// Row adds a row, with a cell for each column.
func (t *Table) Row(cells ...Cell) {
	for i := range cells {
		cells[i].Text = term.Safe(cells[i].Text)
	}
	t.rows = append(t.rows, cells)
}

// gap is the space between columns.
const gap = 2

// Write writes the table to Out, cut to the width of its terminal if it has
// one. A table without rows is nothing.
func (t *Table) Write(s *term.Streams) error { return t.writeTo(s.Out, s, "") }

// writeTo writes the table with each line indented.
func (t *Table) writeTo(w io.Writer, s *term.Streams, indent string) error {
	if len(t.rows) == 0 {
		return nil
	}
	shown, widths := t.fit(s.Width - len(indent))
	out := table.NewWriter()
	out.SetStyle(table.Style{
		Box:     table.BoxStyle{PaddingRight: "  "},
		Options: table.OptionsNoBordersAndSeparators,
	})
	out.SuppressTrailingSpaces()
	line := func(cells []Cell) table.Row {
		var row table.Row
		for _, i := range shown {
			cell := text.Snip(cells[i].Text, widths[i], "…")
			row = append(row, s.Paint(cells[i].Style, cell))
		}
		row[0] = indent + row[0].(string)
		return row
	}
	if slices.ContainsFunc(t.columns, func(c Column) bool { return c.Title != "" }) {
		var header []Cell
		for _, c := range t.columns {
			header = append(header, Cell{c.Title, term.Dim})
		}
		out.AppendHeader(line(header))
	}
	for _, row := range t.rows {
		out.AppendRow(line(row))
	}
	_, err := io.WriteString(w, out.Render()+"\n")
	return err
}

// fit returns the columns to show, and for each column the width to cut it to,
// 0 for none. limit is the space there is; 0 or less = unlimited.
func (t *Table) fit(limit int) (shown, widths []int) {
	widths = make([]int, len(t.columns))
	for i, c := range t.columns {
		for _, row := range t.rows {
			widths[i] = max(widths[i], text.StringWidthWithoutEscSequences(row[i].Text))
		}
		if widths[i] > 0 {
			shown = append(shown, i)
		}
		widths[i] = max(widths[i], len(c.Title))
	}
	if len(shown) == 0 {
		shown = []int{0}
	}
	if limit <= 0 {
		return shown, make([]int, len(widths))
	}
	least := func(i int) int {
		switch c := t.columns[i]; {
		case c.Open:
			return 0
		case c.Min > 0:
			return min(c.Min, widths[i])
		}
		return widths[i]
	}
	excess := func(width func(i int) int) int {
		total := -gap - limit
		for _, i := range shown {
			total += gap + width(i)
		}
		return total
	}
	for at := len(shown) - 1; at > 0 && excess(least) > 0; at-- {
		if t.columns[shown[at]].Drop {
			shown = slices.Delete(shown, at, at+1)
		}
	}
	for i, c := range t.columns {
		if c.Open {
			widths[i] = 0
		}
	}
	// The widest of those that can gives way first.
	for excess(func(i int) int { return widths[i] }) > 0 {
		widest := -1
		for _, i := range shown {
			if widths[i] > least(i) && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return shown, widths
}
