package render

import (
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/audit"
)

// AuditDoc tells what an audit has found.
type AuditDoc struct {
	Schema   string          `json:"schema"`
	Time     time.Time       `json:"time"`
	Host     AuditHost       `json:"host"`
	Data     AuditData       `json:"data" jsonschema:"what stores were compared with"`
	Stores   []AuditStore    `json:"stores"`
	Findings []audit.Finding `json:"findings"`
	Diff     *AuditDiff      `json:"diff,omitempty" jsonschema:"what has changed in the stores since the baseline"`
	Summary  AuditSummary    `json:"summary"`

	Version string            `json:"-"` // of certtrust
	FailOn  audit.Severity    `json:"-"`
	All     bool              `json:"-"` // people are told each finding
	Listing []ListRecord      `json:"-"` // what was looked at, for html
	Certs   []ShowCertificate `json:"-"` // the same by certificate
}

// AuditHost is the machine that was looked at.
type AuditHost struct {
	Name    string `json:"name"`
	OS      string `json:"os"`
	Version string `json:"version,omitempty"`
}

// AuditData is what stores were compared with.
type AuditData struct {
	MozillaRoots string `json:"mozilla_roots" jsonschema:"the day of the data on Mozilla's programme"`
	Programme    string `json:"programme" jsonschema:"what the stores were compared with; untrusted text"`
	Roots        int    `json:"roots" jsonschema:"how many that has"`
	AgeDays      int    `json:"age_days"`
}

// AuditStore is a store that was looked at.
type AuditStore struct {
	ID       store.ID    `json:"id"`
	Kind     string      `json:"kind"`
	Title    string      `json:"title"`
	Scope    store.Scope `json:"scope"`
	Root     string      `json:"root,omitempty"`
	Count    int         `json:"count" jsonschema:"certificates"`
	Digest   string      `json:"digest" jsonschema:"of the certificates and their trust, whatever their order"`
	Complete bool        `json:"complete" jsonschema:"everything in the store was read"`
	Error    string      `json:"error,omitempty" jsonschema:"why it was not"`
}

// AuditDiff is what has changed since a baseline.
type AuditDiff struct {
	Added   []audit.Difference `json:"added"`
	Removed []audit.Difference `json:"removed"`
	Changed []audit.Difference `json:"changed"`
}

// NewAuditDiff sorts differences by what they are.
func NewAuditDiff(list []audit.Difference) *AuditDiff {
	out := new(AuditDiff)
	for _, d := range list {
		switch d.Change {
		case audit.Added:
			out.Added = append(out.Added, d)
		case audit.Removed:
			out.Removed = append(out.Removed, d)
		default:
			out.Changed = append(out.Changed, d)
		}
	}
	return out
}

// AuditSummary counts findings. Those that are known or accepted are in no
// severity.
type AuditSummary struct {
	Critical int `json:"critical"`
	High     int `json:"high"`
	Medium   int `json:"medium"`
	Low      int `json:"low"`
	Info     int `json:"info"`

	Known    int  `json:"known" jsonschema:"in the baseline"`
	Accepted int  `json:"accepted" jsonschema:"somebody has answered for it"`
	Complete bool `json:"complete" jsonschema:"every store was read to its end"`
}

// Of returns the number of new findings of a severity.
func (s AuditSummary) Of(severity audit.Severity) int { return *s.counter(severity) }

func (s *AuditSummary) counter(severity audit.Severity) *int {
	switch severity {
	case audit.Critical:
		return &s.Critical
	case audit.High:
		return &s.High
	case audit.Medium:
		return &s.Medium
	case audit.Low:
		return &s.Low
	}
	return &s.Info
}

// Sum counts the findings.
func (d *AuditDoc) Sum() {
	d.Schema = Schema("audit")
	d.Summary = AuditSummary{Complete: !slices.ContainsFunc(d.Stores, func(s AuditStore) bool { return !s.Complete })}
	for _, f := range d.Findings {
		switch f.State {
		case audit.Known:
			d.Summary.Known++
		case audit.Accepted:
			d.Summary.Accepted++
		default:
			*d.Summary.counter(f.Severity)++
		}
	}
}

// counts tells it in a line.
func (d AuditDoc) counts() string {
	var parts []string
	for _, s := range audit.Severities() {
		if n := d.Summary.Of(s); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	if parts == nil {
		parts = []string{"nothing found"}
		if d.Summary.Known+d.Summary.Accepted > 0 {
			parts[0] = "nothing new found"
		}
	}
	if n := d.Summary.Known; n > 0 {
		parts = append(parts, fmt.Sprintf("%d known", n))
	}
	if n := d.Summary.Accepted; n > 0 {
		parts = append(parts, fmt.Sprintf("%d accepted", n))
	}
	n := 0
	for _, s := range d.Stores {
		n += s.Count
	}
	return fmt.Sprintf("%s in %s: %s", count(n, "certificate"), count(len(d.Stores), "store"), strings.Join(parts, ", "))
}

// auditFormats are the ways to write an audit.
var auditFormats = []format[AuditDoc]{
	{"table", func(s *term.Streams, d AuditDoc) error { return d.Text(s) }},
	{"json", func(s *term.Streams, d AuditDoc) error { return JSON(s.Out, d) }},
	{"jsonl", auditLines},
	{"csv", auditCSV},
	{"sarif", auditSARIF},
	{"junit", auditJUnit},
	{"markdown", auditMarkdown},
	{"html", auditHTML},
}

// AuditFormats returns the names of the formats of an audit, the default first.
func AuditFormats() []string { return formatNames(auditFormats) }

// WriteAudit writes an audit in a format; "" is the first of [AuditFormats].
func WriteAudit(s *term.Streams, format string, d AuditDoc) error {
	return writeAs(s, auditFormats, format, d)
}

var severityStyles = map[audit.Severity]term.Style{audit.Critical: term.Red, audit.High: term.Red, audit.Medium: term.Yellow, audit.Info: term.Dim}

// few is how many findings of one rule people are told each of, where they
// matter little.
const few = 3

// Text writes the findings, the weightiest first, with what to do.
func (d AuditDoc) Text(s *term.Streams) error {
	w := textWriter{s: s}
	shown := slices.DeleteFunc(slices.Clone(d.Findings), func(f audit.Finding) bool { return f.State != audit.New && !d.All })
	for i := 0; i < len(shown); {
		n := i
		for n < len(shown) && shown[n].ID == shown[i].ID && shown[n].Severity == shown[i].Severity {
			n++
		}
		group := shown[i:n]
		if !d.All && len(group) > few && (!group[0].Severity.AtLeast(audit.Medium) || sameFix(group)) {
			writeGroup(&w, group)
		} else {
			for _, f := range group {
				writeFinding(&w, f, d.All)
			}
		}
		i = n
	}
	if d.Diff != nil {
		w.differences("since the baseline", slices.Concat(d.Diff.Added, d.Diff.Removed, d.Diff.Changed))
	}
	if w.err != nil {
		return w.err
	}
	s.Noticef("%s", d.counts())
	if len(shown) > 0 && !d.All {
		s.Noticef("--all tells each finding with its key, --rules what the rules are for")
	}
	for _, st := range d.Stores {
		if !st.Complete {
			s.Warningf("%s could not be read completely: %s", st.ID, st.Error)
		}
	}
	return nil
}

func writeFinding(w *textWriter, f audit.Finding, all bool) {
	w.blank()
	state := ""
	switch {
	case f.State == audit.Known:
		state = "  known"
	case f.Accepted != nil:
		state = "  accepted by " + f.Accepted.By + ": " + f.Accepted.Reason
		if f.Accepted.Until != "" {
			state += " (until " + f.Accepted.Until + ")"
		}
	}
	w.line(w.s.Paint(severityStyles[f.Severity], fmt.Sprintf("%-9s", f.Severity)), w.s.Paint(term.Bold, term.Safe(f.Title)), "  ", w.s.Paint(term.Dim, "["+f.ID+"]"), term.Safe(state))
	if f.Store != "" {
		w.line("  in ", term.Safe(string(f.Store)))
	}
	for _, e := range f.Evidence {
		w.line("  - ", term.Safe(e))
	}
	if !f.SHA256.IsZero() {
		w.line("  - sha256 ", f.SHA256.String())
	}
	writeFixes(w, f)
	if all {
		w.line("  ", w.s.Paint(term.Dim, "key "+f.Key))
	}
}

func writeFixes(w *textWriter, f audit.Finding) {
	for _, fix := range f.Fixes {
		w.line("  ", term.Safe(fix.Summary), ":")
		for _, c := range fix.Commands {
			w.line("      ", term.Safe(sudo(fix, c)))
		}
		for _, step := range fix.Steps {
			w.line("      ", term.Safe(step))
		}
	}
}

// sudo writes a command as a user would give it.
func sudo(f audit.Fix, command string) string {
	if f.Admin {
		return "sudo " + command
	}
	return command
}

// sameFix reports whether the same commands make all of the findings go away.
func sameFix(group []audit.Finding) bool {
	first := group[0].Fixes
	return len(first) > 0 && len(first[0].Commands) > 0 && !slices.ContainsFunc(group, func(f audit.Finding) bool {
		return len(f.Fixes) == 0 || !slices.Equal(f.Fixes[0].Commands, first[0].Commands)
	})
}

// writeGroup tells of many findings of one rule.
func writeGroup(w *textWriter, group []audit.Finding) {
	f := group[0]
	w.blank()
	w.line(w.s.Paint(severityStyles[f.Severity], fmt.Sprintf("%-9s", f.Severity)), w.s.Paint(term.Bold, fmt.Sprintf("%s, %d times", audit.RuleOf(f.ID).Title, len(group))), "  ", w.s.Paint(term.Dim, "["+f.ID+"]"))
	for i, f := range group {
		if i == few {
			w.line(fmt.Sprintf("  and %d more", len(group)-few))
			break
		}
		w.line("  - ", term.Safe(f.Title), ", in ", term.Safe(string(f.Store)))
	}
	if sameFix(group) {
		writeFixes(w, f)
	}
}

// AuditHeader begins an audit in JSON lines.
type AuditHeader struct {
	Schema string       `json:"schema"`
	Time   time.Time    `json:"time"`
	Host   AuditHost    `json:"host"`
	Data   AuditData    `json:"data"`
	Stores []AuditStore `json:"stores"`
}

// AuditFindingLine is a finding in JSON lines.
type AuditFindingLine struct {
	Schema string `json:"schema"`
	audit.Finding
}

// AuditSummaryLine ends an audit in JSON lines: without it it was cut off.
type AuditSummaryLine struct {
	Schema string `json:"schema"`
	AuditSummary
}

func auditLines(s *term.Streams, d AuditDoc) error {
	if err := JSONLine(s.Out, AuditHeader{d.Schema, d.Time, d.Host, d.Data, d.Stores}); err != nil {
		return err
	}
	for _, f := range d.Findings {
		if err := JSONLine(s.Out, AuditFindingLine{Schema("finding"), f}); err != nil {
			return err
		}
	}
	return JSONLine(s.Out, AuditSummaryLine{Schema("audit-summary"), d.Summary})
}

// auditColumns are the columns in CSV. New ones are added at the end.
var auditColumns = []struct {
	name  string
	value func(f audit.Finding) string
}{
	{"severity", func(f audit.Finding) string { return string(f.Severity) }},
	{"id", func(f audit.Finding) string { return f.ID }},
	{"title", func(f audit.Finding) string { return f.Title }},
	{"state", func(f audit.Finding) string { return string(f.State) }},
	{"store", func(f audit.Finding) string { return string(f.Store) }},
	{"root", func(f audit.Finding) string { return f.Root }},
	{"sha256", func(f audit.Finding) string { return fingerprintText(f.SHA256) }},
	{"subject", func(f audit.Finding) string { return f.Subject }},
	{"file", func(f audit.Finding) string { return f.File }},
	{"evidence", func(f audit.Finding) string { return strings.Join(f.Evidence, "; ") }},
	{"fix", func(f audit.Finding) string {
		if len(f.Fixes) == 0 {
			return ""
		}
		return f.Fixes[0].Summary + ": " + strings.Join(slices.Concat(f.Fixes[0].Commands, f.Fixes[0].Steps), " && ")
	}},
	{"acceptedBy", func(f audit.Finding) string {
		if f.Accepted == nil {
			return ""
		}
		return f.Accepted.By
	}},
	{"key", func(f audit.Finding) string { return f.Key }},
}

func fingerprintText(f store.Fingerprint) string {
	if f.IsZero() {
		return ""
	}
	return f.String()
}

func auditCSV(s *term.Streams, d AuditDoc) error {
	w := csv.NewWriter(s.Out)
	w.UseCRLF = true
	var names []string
	for _, c := range auditColumns {
		names = append(names, c.name)
	}
	if err := w.Write(names); err != nil {
		return err
	}
	for _, f := range d.Findings {
		var cells []string
		for _, c := range auditColumns {
			cells = append(cells, csvCell(c.value(f)))
		}
		if err := w.Write(cells); err != nil {
			return err
		}
	}
	w.Flush()
	d.warn(s)
	return w.Error()
}

// warn tells of the stores that were not read to their end, in the formats
// that have no place for it.
func (d AuditDoc) warn(s *term.Streams) {
	for _, st := range d.Stores {
		if !st.Complete {
			s.Warningf("%s could not be read completely: %s", st.ID, st.Error)
		}
	}
}

// RulesDoc tells what an audit looks for.
type RulesDoc struct {
	Schema string       `json:"schema"`
	Rules  []audit.Rule `json:"rules"`
}

// NewRulesDoc returns the document of the rules.
func NewRulesDoc() RulesDoc { return RulesDoc{Schema("audit-rules"), audit.Rules()} }

// Text writes a block for each rule.
func (d RulesDoc) Text(s *term.Streams) error {
	w := textWriter{s: s}
	for _, r := range d.Rules {
		w.blank()
		severity := string(r.Severity)
		if r.Grades != "" {
			severity += "; " + r.Grades
		}
		w.line(w.s.Paint(term.Bold, r.ID), "  ", r.Title)
		w.line("  ", w.s.Paint(severityStyles[r.Severity], severity))
		w.line("  ", r.Why)
		for _, ref := range r.References {
			w.line("  ", w.s.Paint(term.Dim, ref))
		}
	}
	return w.err
}
