package render

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/audit"
)

//go:embed report
var report embed.FS

// What the page is made of. It is one file: nothing is loaded from elsewhere,
// nothing is run but the script whose digest the policy names, and text out of
// certificates is only ever escaped text.
type (
	htmlPage struct {
		Doc                AuditDoc
		Policy             string
		CSS                template.CSS
		JS                 template.JS
		Host, Time, Counts string
		Version, Programme string
		Tiles              []htmlTile
		Incomplete         []AuditStore
		Groups             []htmlGroup
		Diff               []audit.Difference
		Width              int
		Years              []htmlYear
		Soon               []htmlSoon
		Certs              []htmlCert
	}
	htmlTile struct {
		Severity audit.Severity
		N        int
	}
	// htmlGroup is findings of one rule, under one heading where they are many.
	htmlGroup struct {
		Title, ID string
		Severity  audit.Severity
		N         int
		Findings  []htmlFinding
	}
	htmlFinding struct {
		F      audit.Finding
		Rule   audit.Rule
		State  string
		Search string
		SHA256 string
		Open   bool
		Fixes  []audit.Fix
	}
	htmlYear struct {
		Label, Title              string
		N, X, Y, W, H, Mid, TextY int
		Past                      bool
	}
	htmlSoon struct{ Name, When, SHA256 string }
	htmlCert struct {
		SHA256, Short, Name, When, Local, Search, PEM string
		Cells                                         []htmlCell
		Fields                                        []htmlField
	}
	htmlCell  struct{ Sign, Class, Title string }
	htmlField struct {
		Key    string
		Values []string
	}
)

// readReport reads one of the files of the page. They are part of the program.
func readReport(name string) (string, error) {
	data, err := report.ReadFile("report/" + name)
	return string(data), err
}

func cspHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func auditHTML(s *term.Streams, d AuditDoc) error {
	page, err := readReport("report.html")
	if err != nil {
		return err
	}
	css, err := readReport("report.css")
	if err != nil {
		return err
	}
	js, err := readReport("report.js")
	if err != nil {
		return err
	}
	t, err := template.New("report").Parse(page)
	if err != nil {
		return err
	}
	p := htmlPage{Doc: d, CSS: template.CSS(css), JS: template.JS(js),
		Policy: "default-src 'none'; style-src " + cspHash(css) + "; script-src " + cspHash(js) + "; base-uri 'none'; form-action 'none'",
		Host:   term.Safe(cmp.Or(d.Host.Name, "this machine")), Time: timeText(d.Time), Version: d.Version, Programme: term.Safe(d.Data.Programme), Counts: d.counts()}
	for i := range p.Doc.Stores {
		st := &p.Doc.Stores[i]
		st.Title, st.Root, st.Error = term.Safe(st.Title), term.Safe(st.Root), term.Safe(st.Error)
		st.ID = store.ID(term.Safe(string(st.ID)))
		if !st.Complete {
			p.Incomplete = append(p.Incomplete, *st)
		}
	}
	for _, severity := range audit.Severities() {
		p.Tiles = append(p.Tiles, htmlTile{severity, d.Summary.Of(severity)})
	}
	p.findings()
	if d.Diff != nil {
		p.Diff = slices.Concat(d.Diff.Added, d.Diff.Removed, d.Diff.Changed)
	}
	p.certs()
	p.expiry()
	var out bytes.Buffer
	if err := t.Execute(&out, p); err != nil {
		return err
	}
	_, err = s.Out.Write(out.Bytes())
	d.warn(s)
	return err
}

func lower(words ...string) string { return strings.ToLower(strings.Join(words, " ")) }

func (p *htmlPage) findings() {
	list := slices.Clone(p.Doc.Findings)
	slices.SortStableFunc(list, func(a, b audit.Finding) int { // what is new comes first
		return cmp.Compare(b2i(a.State != audit.New), b2i(b.State != audit.New))
	})
	for _, f := range list {
		h := htmlFinding{F: f, Rule: audit.RuleOf(f.ID), State: string(f.State), SHA256: fingerprintText(f.SHA256),
			Open: f.State == audit.New && f.Severity.AtLeast(audit.High)}
		h.Search = lower(f.Title, f.ID, string(f.Severity), string(f.Store), f.Subject, f.File, h.SHA256, h.State, strings.Join(f.Evidence, " "))
		for _, fix := range f.Fixes {
			commands := slices.Clone(fix.Commands)
			for i := range commands {
				commands[i] = term.Safe(sudo(fix, commands[i]))
			}
			fix.Commands = commands
			h.Fixes = append(h.Fixes, fix)
		}
		if n := len(p.Groups); n > 0 && p.Groups[n-1].ID == f.ID && p.Groups[n-1].Severity == f.Severity {
			p.Groups[n-1].Findings = append(p.Groups[n-1].Findings, h)
		} else {
			p.Groups = append(p.Groups, htmlGroup{ID: f.ID, Severity: f.Severity, Findings: []htmlFinding{h}})
		}
	}
	for i := range p.Groups {
		if g := &p.Groups[i]; len(g.Findings) > few {
			g.Title, g.N = audit.RuleOf(g.ID).Title, len(g.Findings)
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (p *htmlPage) certs() {
	for _, c := range p.Doc.Certs {
		h := htmlCert{SHA256: c.SHA256.String(), Short: c.SHA256.Short(), Name: store.Printable(c.Label), When: c.expires().Text, PEM: c.PEM}
		if h.Name == "" {
			h.Name = "(without a name)"
		}
		var stores []string
		for _, st := range p.Doc.Stores {
			cell := htmlCell{}
			for _, in := range c.In {
				if term.Safe(string(in.Store)) != string(st.ID) {
					continue
				}
				next := htmlCell{"○", "other", trustText(in.Trust)}
				switch {
				case in.Trust.Has(store.Distrusted):
					next = htmlCell{"⊘", "no", trustText(in.Trust)}
				case in.Trust.Has(store.Trusted) || in.Trust.Has(store.Peer):
					next = htmlCell{"●", "yes", trustText(in.Trust)}
				}
				if cell.Class == "" || next.Class == "no" {
					cell = next
				}
				stores = append(stores, string(st.ID))
			}
			h.Cells = append(h.Cells, cell)
		}
		if !slices.ContainsFunc(c.In, func(in Holding) bool { return in.Origin.By == store.ByVendor }) && len(c.In) > 0 {
			h.Local = string(c.In[0].Origin.By)
		}
		w := textWriter{s: &term.Streams{}, record: func(key string, values []Cell) {
			f := htmlField{Key: key}
			for _, v := range values {
				if v.Text != "" {
					f.Values = append(f.Values, term.Safe(v.Text))
				}
			}
			if f.Values != nil {
				h.Fields = append(h.Fields, f)
			}
		}}
		pem := c.PEM
		c.PEM = ""
		c.write(&w)
		c.PEM = pem
		h.Search = lower(h.Name, term.Safe(c.Subject), term.Safe(c.Issuer), h.SHA256, c.SHA1, strings.Join(stores, " "), h.Local, c.Key)
		p.Certs = append(p.Certs, h)
	}
}

// maxYears is how many bars there are; what expires later is in the last one.
const maxYears = 40

// expiry draws how many certificates expire in each year.
func (p *htmlPage) expiry() {
	now := p.Doc.Time.UTC()
	counts, names := map[int]int{}, map[int][]string{}
	first, last := now.Year(), now.Year()
	var next []ShowCertificate
	for _, c := range p.Doc.Certs {
		if c.NotAfter.IsZero() {
			continue
		}
		year := min(c.NotAfter.UTC().Year(), now.Year()+maxYears-5)
		year = max(year, now.Year()-4)
		first, last = min(first, year), max(last, year)
		counts[year]++
		names[year] = append(names[year], store.Printable(c.Label))
		if c.NotAfter.After(now) {
			next = append(next, c)
		}
	}
	if len(counts) == 0 {
		return
	}
	const step, left, top, base = 30, 24, 22, 160
	most := 1
	for _, n := range counts {
		most = max(most, n)
	}
	for year := first; year <= last; year++ {
		n := counts[year]
		y := htmlYear{Label: fmt.Sprint(year), N: n, X: left + (year-first)*step, W: step - 8, Past: year < now.Year()}
		y.H = n * (base - top) / most
		y.Y, y.Mid = base-y.H, y.X+y.W/2
		y.TextY = y.Y - 4
		switch {
		case year == now.Year()+maxYears-5:
			y.Label += "+"
		case year == now.Year()-4:
			y.Label = "≤" + y.Label
		}
		y.Title = y.Label + ": " + strings.Join(names[year][:min(len(names[year]), 12)], ", ")
		if more := len(names[year]) - 12; more > 0 {
			y.Title += fmt.Sprintf(" and %d more", more)
		}
		p.Years = append(p.Years, y)
	}
	p.Width = max(left+len(p.Years)*step, 400)
	slices.SortStableFunc(next, func(a, b ShowCertificate) int { return a.NotAfter.Compare(b.NotAfter) })
	for _, c := range next[:min(len(next), 5)] {
		p.Soon = append(p.Soon, htmlSoon{store.Printable(c.Label), c.NotAfter.UTC().Format(time.DateOnly), c.SHA256.String()})
	}
}
