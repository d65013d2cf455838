package render

import (
	"fmt"
	"time"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/store"
)

// HistoryDoc tells what was changed on this machine.
type HistoryDoc struct {
	Schema string       `json:"schema"`
	Sets   []HistorySet `json:"sets"`
}

// NewHistoryDoc returns the document for sets of changes, in the order in
// which they are to be shown.
func NewHistoryDoc(sets []HistorySet) HistoryDoc {
	return HistoryDoc{Schema: Schema("history"), Sets: sets}
}

// HistorySet is what one run of a command changed.
type HistorySet struct {
	ID      string         `json:"id" jsonschema:"for undo"`
	Time    time.Time      `json:"time"`
	By      string         `json:"by" jsonschema:"the user who ran it"`
	Command []string       `json:"command" jsonschema:"as it was given"`
	State   string         `json:"state" jsonschema:"done, undone, …"`
	Stores  []HistoryStore `json:"stores"`
}

// HistoryStore is a store of a [HistorySet].
type HistoryStore struct {
	Store    store.ID     `json:"store"`
	State    string       `json:"state,omitempty" jsonschema:"where it differs from that of the set"`
	Done     []store.Step `json:"done"`
	Error    string       `json:"error,omitempty"`
	UndoneBy string       `json:"undoneBy,omitempty" jsonschema:"the ID of the set that took it back"`
}

// Text writes a table.
func (d HistoryDoc) Text(s *term.Streams) error {
	t := NewTable(
		Column{Title: "ID"},
		Column{Title: "TIME (UTC)", Drop: true},
		Column{Title: "BY", Min: 6, Drop: true},
		Column{Title: "COMMAND", Min: 12},
		Column{Title: "STATE"},
		Column{Title: "STORES", Min: 12, Drop: true},
	)
	for _, set := range d.Sets {
		var stores []store.ID
		for _, st := range set.Stores {
			id := st.Store
			if st.State != "" && st.State != set.State {
				id += store.ID(" (" + st.State + ")")
			}
			stores = append(stores, id)
		}
		t.Row(plain(set.ID, set.Time.UTC().Format("2006-01-02 15:04"), store.Printable(set.By),
			commandText(set.Command), set.State, join(stores, " "))...)
	}
	if err := t.Write(s); err != nil {
		return err
	}
	s.Noticef("%s", count(len(d.Sets), "change"))
	return nil
}

// VersionDoc tells which program this is.
type VersionDoc struct {
	Schema   string `json:"schema"`
	Version  string `json:"version"`
	Go       string `json:"go" jsonschema:"the Go release it was built with"`
	Platform string `json:"platform" jsonschema:"operating system and architecture, such as linux/amd64"`
}

// NewVersionDoc returns the document of a program of that version, built with
// that Go release for that platform.
func NewVersionDoc(version, goVersion, platform string) VersionDoc {
	return VersionDoc{Schema("version"), version, goVersion, platform}
}

// Text writes one line.
func (d VersionDoc) Text(s *term.Streams) error {
	_, err := fmt.Fprintln(s.Out, term.Safe(fmt.Sprintf("certtrust %s (%s, %s)", d.Version, d.Go, d.Platform)))
	return err
}
