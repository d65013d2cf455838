package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/store"
)

// ListHeader begins a listing.
type ListHeader struct {
	Schema string      `json:"schema"`
	Host   string      `json:"host" jsonschema:"the machine that was looked at"`
	Root   []string    `json:"root,omitempty" jsonschema:"the offline roots that were looked at instead of the machine itself"`
	Stores []ListStore `json:"stores"`
}

// ListStore is a store of a listing, and how reading it went.
type ListStore struct {
	store.Info
	Complete bool       `json:"complete" jsonschema:"everything in the store was read"`
	Error    *ErrorInfo `json:"error,omitempty" jsonschema:"why it was not"`
}

// NewListHeader returns the header for stores that have been read.
func NewListHeader(host string, root []string, stores []ListStore) ListHeader {
	return ListHeader{Schema: Schema("list"), Host: host, Root: root, Stores: stores}
}

// ListRecord is an entry of a store.
type ListRecord struct {
	Certificate
	StoreLabel string            `json:"storeLabel,omitempty" jsonschema:"what the store calls it, where that differs; untrusted text"`
	Store      store.ID          `json:"store"`
	Trust      store.Trust       `json:"trust"`
	Origin     store.Origin      `json:"origin"`
	Source     store.Source      `json:"source"`
	Native     map[string]string `json:"native,omitempty" jsonschema:"what only this kind of store knows"`
	Problems   []store.Problem   `json:"problems"`
	Match      *store.Match      `json:"match,omitempty" jsonschema:"what an item without a certificate applies to"`

	raw  []byte // DER
	cert *store.Cert
}

// Cert returns the certificate, nil if the record has none.
func (r ListRecord) Cert() *store.Cert { return r.cert }

// NewListRecord describes an entry of a store at the time now.
func NewListRecord(id store.ID, e store.Entry, now time.Time) ListRecord {
	r := ListRecord{
		Store: id, Trust: e.Trust, Origin: e.Origin, Source: e.Source,
		Native: e.Native, Problems: e.Problems, Match: e.Match,
	}
	if e.Cert != nil {
		r.Certificate = NewCertificate(e.Cert, now, false)
		r.raw, r.cert = e.Cert.Raw, e.Cert
	} else {
		r.Label = e.Label
	}
	if e.Label != r.Label {
		r.StoreLabel = e.Label
	}
	return r
}

// name is what a person knows the record by.
func (r ListRecord) name() string {
	if r.Label == "" {
		return "(no certificate)"
	}
	return r.Label
}

// pem returns the certificate as PEM, "" if the record has none: one that was
// read from JSON has it only if it was asked for then.
func (r ListRecord) pem() string {
	if r.raw == nil {
		return r.PEM
	}
	return pemText(r.raw)
}

// ListSummary ends a listing. All but entries and problems count certificates,
// however many stores they are in.
type ListSummary struct {
	Entries      int  `json:"entries"`
	Certificates int  `json:"certificates"`
	Trusted      int  `json:"trusted" jsonschema:"trusted by any store for any purpose"`
	Distrusted   int  `json:"distrusted" jsonschema:"distrusted by any store for any purpose"`
	Unparsed     int  `json:"unparsed" jsonschema:"refused by strict parsers"`
	Problems     int  `json:"problems"`
	Complete     bool `json:"complete" jsonschema:"every store was read to its end"`
}

// NewListSummary sums up a listing.
func NewListSummary(stores []ListStore, records []ListRecord) ListSummary {
	sum := ListSummary{
		Entries:  len(records),
		Complete: !slices.ContainsFunc(stores, func(s ListStore) bool { return !s.Complete }),
	}
	counted := map[store.Fingerprint]*struct{ trusted, distrusted bool }{}
	once := func(flag *bool, is bool, n *int) {
		if is && !*flag {
			*flag = true
			*n++
		}
	}
	for _, r := range records {
		sum.Problems += len(r.Problems)
		if r.SHA256.IsZero() {
			continue
		}
		seen := counted[r.SHA256]
		if seen == nil {
			seen = &struct{ trusted, distrusted bool }{}
			counted[r.SHA256] = seen
			sum.Certificates++
			if r.ParseError != "" {
				sum.Unparsed++
			}
		}
		once(&seen.trusted, r.Trust.Has(store.Trusted) || r.Trust.Has(store.Peer), &sum.Trusted)
		once(&seen.distrusted, r.Trust.Has(store.Distrusted), &sum.Distrusted)
	}
	return sum
}

// ListView writes a listing in a format. Header is called once, Record for
// each entry, End once. The header tells how reading went: the stores are read
// before it is called.
type ListView interface {
	Header(ListHeader) error
	Record(ListRecord) error
	End(ListSummary) error
}

// ListOptions are the options of the views; those that a format cannot heed
// are ignored.
type ListOptions struct {
	ByStore bool // tables: what each store holds, not which stores hold each certificate
	PEM     bool // json and jsonl: with the certificates themselves
}

// listViews are the formats of a listing.
var listViews = []struct {
	name string
	view func(s *term.Streams, o ListOptions) ListView
}{
	{"table", newTableView},
	{"json", newJSONView},
	{"jsonl", newLinesView},
	{"csv", newCSVView},
	{"pem", newPEMView},
}

// exportViews are views that are asked for by export alone.
var exportViews = map[string]func(s *term.Streams, o ListOptions) ListView{"sqlite": newSQLiteView, "none": newSilentView}

// silentView writes nothing but what is wrong.
type silentView struct {
	listing
	s *term.Streams
}

func newSilentView(s *term.Streams, _ ListOptions) ListView { return &silentView{s: s} }

func (v *silentView) End(ListSummary) error {
	incomplete(v.s, v.header.Stores)
	return nil
}

// ListFormats returns the names of the formats that [NewListView] knows, the
// default first.
func ListFormats() []string {
	var names []string
	for _, v := range listViews {
		names = append(names, v.name)
	}
	return names
}

// NewListView returns the view of a name; "" is the first of [ListFormats].
// The error for an unknown one is [store.ErrInput].
func NewListView(name string, s *term.Streams, o ListOptions) (ListView, error) {
	for _, v := range listViews {
		if v.name == name || name == "" {
			return v.view(s, o), nil
		}
	}
	if view := exportViews[name]; view != nil {
		return view(s, o), nil
	}
	return nil, unknownFormat(name, ListFormats())
}

// List shows a whole listing to a view.
func List(v ListView, h ListHeader, records []ListRecord) error {
	if err := v.Header(h); err != nil {
		return err
	}
	for _, r := range records {
		if err := v.Record(r); err != nil {
			return err
		}
	}
	return v.End(NewListSummary(h.Stores, records))
}

// listing collects what a view can only write at the end.
type listing struct {
	header  ListHeader
	records []ListRecord
}

func (l *listing) Header(h ListHeader) error { l.header = h; return nil }
func (l *listing) Record(r ListRecord) error { l.records = append(l.records, r); return nil }

// group is a certificate, or an item without one, with what the stores that
// hold it say about it.
type group struct {
	ListRecord
	stores                    []store.ID
	trusts, origins, problems []string
}

// groups returns the records by certificate, sorted by label and fingerprint. A
// store that follows another may not know who put a certificate there: that is
// told only if no other store knows.
func groups(stores []ListStore, records []ListRecord) []*group {
	var out []*group
	known := map[store.Fingerprint]*group{}
	unsaid := map[*group][]string{}
	follows := func(id store.ID) bool {
		return slices.ContainsFunc(stores, func(s ListStore) bool { return s.ID == id && s.DerivedFrom != "" })
	}
	for _, r := range records {
		g := known[r.SHA256]
		if g == nil {
			g = &group{ListRecord: r}
			out = append(out, g)
			if !r.SHA256.IsZero() {
				known[r.SHA256] = g
			}
		}
		g.stores = include(g.stores, r.Store)
		g.trusts = include(g.trusts, trustText(r.Trust))
		if r.Origin.By == store.ByUnknown && follows(r.Store) {
			unsaid[g] = include(unsaid[g], originText(r.Origin))
		} else {
			g.origins = include(g.origins, originText(r.Origin))
		}
		for _, p := range r.Problems {
			g.problems = include(g.problems, p.Code)
		}
		if g.raw == nil && g.PEM == "" {
			g.raw, g.PEM = r.raw, r.PEM
		}
	}
	for g, origins := range unsaid {
		if len(g.origins) == 0 {
			g.origins = origins
		}
	}
	slices.SortStableFunc(out, func(a, b *group) int {
		return cmp.Or(
			strings.Compare(strings.ToLower(a.name()), strings.ToLower(b.name())),
			strings.Compare(a.name(), b.name()),
			slices.Compare(a.SHA256[:], b.SHA256[:]),
		)
	})
	return out
}

// trustText writes trust for people: "trusted" is for any purpose.
func trustText(t store.Trust) string {
	text := t.String()
	if text == "" {
		return string(store.Unspecified)
	}
	return strings.TrimSuffix(text, ": "+string(store.PurposeAny))
}

// originText writes an origin for people.
func originText(o store.Origin) string {
	if o.Detail == "" {
		return string(o.By)
	}
	return string(o.By) + ": " + store.Printable(o.Detail)
}

// incomplete warns of the stores that were not read to their end, in the
// formats that have no place for it.
func incomplete(s *term.Streams, stores []ListStore) {
	for _, st := range stores {
		switch {
		case st.Complete:
		case st.Error == nil:
			s.Warningf("%s could not be read completely", st.ID)
		default:
			s.Warningf("%s could not be read completely: %s", st.ID, st.Error.reason())
			if st.Error.Hint != "" {
				s.Hintf("%s", st.Error.Hint)
			}
		}
	}
}

// tableView writes tables for people.
type tableView struct {
	listing
	s       *term.Streams
	byStore bool
}

func newTableView(s *term.Streams, o ListOptions) ListView {
	return &tableView{s: s, byStore: o.ByStore}
}

func (v *tableView) End(sum ListSummary) error {
	write := v.writeCertificates
	if v.byStore {
		write = v.writeStores
	}
	if err := write(); err != nil {
		return err
	}
	v.s.Noticef("%s in %s: %d trusted, %d distrusted, %s",
		count(sum.Certificates, "certificate"), count(len(v.header.Stores), "store"),
		sum.Trusted, sum.Distrusted, count(sum.Problems, "problem"))
	incomplete(v.s, v.header.Stores)
	return nil
}

func (v *tableView) writeCertificates() error {
	return listTable(groups(v.header.Stores, v.records)).Write(v.s)
}

func (v *tableView) writeStores() error {
	for i, st := range v.header.Stores {
		var records []ListRecord
		for _, r := range v.records {
			if r.Store == st.ID {
				// A name that somebody has given in the store is not the
				// certificate's own, whatever it looks like.
				if r.Label == "" {
					r.Label = r.StoreLabel
				} else if r.StoreLabel != "" {
					r.Label += " (here \"" + r.StoreLabel + "\")"
				}
				records = append(records, r)
			}
		}
		if i > 0 {
			fmt.Fprintln(v.s.Out)
		}
		title := fmt.Sprintf("%s  %s, %s", st.ID, st.Title, entries(len(records)))
		if _, err := fmt.Fprintln(v.s.Out, v.s.Paint(term.Bold, term.Safe(title))); err != nil {
			return err
		}
		groups := groups(v.header.Stores, records)
		for _, g := range groups {
			g.stores = nil // the heading says it
		}
		if err := listTable(groups).Write(v.s); err != nil {
			return err
		}
	}
	return nil
}

func entries(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

func listTable(groups []*group) *Table {
	t := NewTable(
		Column{Title: "SHA-256"},
		Column{Title: "NAME", Min: 24},
		Column{Title: "EXPIRES", Min: 10, Drop: true},
		Column{Title: "TRUST", Min: 8},
		Column{Title: "ORIGIN", Min: 8, Drop: true},
		Column{Title: "STORES", Min: 8, Drop: true},
		Column{Title: "PROBLEMS", Min: 8},
	)
	for _, g := range groups {
		var trust term.Style
		if slices.ContainsFunc(g.trusts, func(t string) bool { return strings.Contains(t, string(store.Distrusted)) }) {
			trust = term.Red
		}
		t.Row(
			Cell{g.short(), term.Dim},
			Cell{Text: store.Printable(g.name())},
			g.expires(),
			Cell{strings.Join(g.trusts, " / "), trust},
			Cell{Text: strings.Join(g.origins, " / ")},
			Cell{Text: join(g.stores, " ")},
			Cell{strings.Join(g.problems, " "), term.Yellow},
		)
	}
	return t
}
