package render

import (
	"slices"
	"strings"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/store"
)

// StoresDoc tells which stores there are.
type StoresDoc struct {
	Schema  string        `json:"schema"`
	Stores  []StoreRecord `json:"stores"`
	Reasons []string      `json:"reasons" jsonschema:"why other stores were not found"`

	Verbose bool `json:"-"` // people are told the reasons
}

// StoreRecord is a store, and why it was found.
type StoreRecord struct {
	store.Info
	Reasons []string `json:"reasons"`
	// Problems are those of the store itself, which repair may mend.
	Problems []store.Problem `json:"problems,omitempty"`
}

// NewStoresDoc returns the document for the stores found, and the reasons that
// are about none of them.
func NewStoresDoc(stores []StoreRecord, reasons []string, verbose bool) StoresDoc {
	return StoresDoc{Schema: Schema("stores"), Stores: stores, Reasons: reasons, Verbose: verbose}
}

// Text writes a table and, if Verbose, the reasons below.
func (d StoresDoc) Text(s *term.Streams) error {
	t := NewTable(
		Column{Title: "ID", Min: 20},
		Column{Title: "WHAT", Min: 12},
		Column{Title: "SCOPE", Drop: true},
		Column{Title: "WRITE", Min: 8},
		Column{Title: "DEFAULT", Drop: true},
		Column{Title: "NOTE", Open: true},
	)
	for _, st := range d.Stores {
		scope := string(st.Scope)
		if st.Owner != "" {
			scope += " " + st.Owner
		}
		byDefault := ""
		if st.Default {
			byDefault = "yes"
		}
		t.Row(append(plain(string(st.ID), st.Title, scope), writeAccess(st.Access), Cell{Text: byDefault}, Cell{Text: st.note()})...)
	}
	if err := t.Write(s); err != nil {
		return err
	}
	if d.Verbose {
		w := textWriter{s: s}
		for i, st := range d.Stores {
			// One look finds all of a kind: its reasons are told once.
			same := func(o StoreRecord) bool { return slices.Equal(o.Reasons, st.Reasons) }
			if slices.ContainsFunc(d.Stores[:i], same) {
				continue
			}
			var ids []string
			for _, o := range d.Stores[i:] {
				if same(o) {
					ids = append(ids, string(o.ID))
				}
			}
			w.section(strings.Join(ids, ", "), st.Reasons)
		}
		w.section("not found", d.Reasons)
		if w.err != nil {
			return w.err
		}
	}
	s.Noticef("%s", count(len(d.Stores), "store"))
	return nil
}

func writeAccess(a store.Access) Cell {
	switch {
	case a.Read != nil:
		return Cell{string(a.Read.Kind), term.Red}
	case a.Write != nil:
		return Cell{string(a.Write.Kind), term.Yellow}
	}
	return Cell{"yes", term.Green}
}

// note tells what a person should know of a store as it was found.
func (r StoreRecord) note() string {
	text := note(r.Info)
	if len(r.Problems) == 0 {
		return text
	}
	mendable := slices.ContainsFunc(r.Problems, func(p store.Problem) bool { return p.Mendable })
	problems := count(len(r.Problems), "problem")
	if mendable {
		problems += " (certtrust repair)"
	}
	return strings.Join(include([]string{problems}, text), "; ")
}

// note tells what a person should know of a store.
func note(i store.Info) string {
	var notes []string
	if i.DerivedFrom != "" {
		notes = append(notes, "follows "+string(i.DerivedFrom))
	}
	if i.Asks != "" {
		notes = append(notes, "a change takes "+i.Asks)
	}
	for _, o := range []*store.Obstacle{i.Access.Read, i.Access.Write} {
		if o == nil {
			continue
		}
		text := o.Text
		if o.Hint != "" {
			text += " (" + o.Hint + ")"
		}
		notes = include(notes, text)
	}
	return strings.Join(notes, "; ")
}
