package render

import (
	"fmt"
	"strings"
	"time"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/store/audit"
)

// InventoryDoc tells what the listings of many machines come to.
type InventoryDoc struct {
	Schema string    `json:"schema"`
	Time   time.Time `json:"time"`
	audit.InventoryReport

	All bool `json:"-"` // people are told everything
}

// NewInventoryDoc returns the document.
func NewInventoryDoc(now time.Time, r audit.InventoryReport) InventoryDoc {
	return InventoryDoc{Schema: Schema("inventory"), Time: now, InventoryReport: r}
}

// manyRows is how many rows of a list people are told unasked.
const manyRows = 15

// Text writes a table for each question.
func (d InventoryDoc) Text(s *term.Streams) error {
	w := textWriter{s: s}
	certs := func(heading string, list []audit.InventoryCert, all bool) {
		if len(list) == 0 {
			return
		}
		t := NewTable(Column{Title: "SHA-256"}, Column{Title: "NAME", Min: 24}, Column{Title: "TRUSTED BY"}, Column{Title: "DISTRUSTED BY"}, Column{Title: "ON", Min: 8, Drop: true}, Column{Title: "NOTE", Min: 8, Drop: true})
		for i, c := range list {
			if i == manyRows && !all {
				break
			}
			on := strings.Join(c.Machines, " ")
			distrusted := ""
			if c.Distrusted > 0 {
				distrusted = fmt.Sprint(c.Distrusted)
			}
			t.Row(Cell{c.SHA256.Short(), term.Dim}, Cell{Text: c.Label}, Cell{Text: fmt.Sprint(c.Trusted)}, Cell{Text: distrusted}, Cell{Text: on}, Cell{c.Note, term.Yellow})
		}
		w.blank()
		w.line(s.Paint(term.Bold, fmt.Sprintf("%s (%d)", heading, len(list))))
		w.table(t, "  ")
		if more := len(list) - manyRows; more > 0 && !all {
			w.line(fmt.Sprintf("  and %d more", more))
		}
	}
	certs("asked for", d.Asked, true)
	certs("of these something is known", d.Suspect, d.All)
	certs("put there by no vendor", d.Added, d.All)
	certs("trusted by one machine alone", d.Single, d.All)
	if len(d.Differing) > 0 {
		w.blank()
		w.line(s.Paint(term.Bold, fmt.Sprintf("machines that differ from most of their group (%d)", len(d.Differing))))
		for i, m := range d.Differing {
			if i == manyRows && !d.All {
				w.line(fmt.Sprintf("  and %d more", len(d.Differing)-manyRows))
				break
			}
			w.line("  ", term.Safe(m.Name), s.Paint(term.Dim, fmt.Sprintf("  group %d of %d", m.Group, m.Of)))
			items := func(sign string, style term.Style, list []audit.InventoryItem) {
				for i, x := range list {
					if i == 5 && !d.All {
						w.line(fmt.Sprintf("    %s and %d more", sign, len(list)-5))
						break
					}
					state := ""
					if x.Distrusted {
						state = "  distrusted"
					}
					w.line("    ", s.Paint(style, sign), " ", s.Paint(term.Dim, x.SHA256.Short()), "  ", term.Safe(x.Label), state)
				}
			}
			items("+", term.Green, m.More)
			items("-", term.Red, m.Missing)
		}
	}
	if w.err != nil {
		return w.err
	}
	s.Noticef("%s, %s, %s in %s of machines, %d differ", count(d.Summary.Machines, "machine"), entries(d.Summary.Entries),
		count(d.Summary.Certificates, "certificate"), count(d.Summary.Groups, "group"), d.Summary.Differing)
	for i, name := range d.Incomplete {
		if i == manyRows {
			s.Warningf("and %d more listings are not complete", len(d.Incomplete)-i)
			break
		}
		s.Warningf("the listing of %s is not complete", name)
	}
	return nil
}
