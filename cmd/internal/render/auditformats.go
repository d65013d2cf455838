package render

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/audit"
)

// home is where the program is from.
const home = "https://github.com/certtrust/certtrust"

// SARIF 2.1.0, https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html:
// as much of it as there is to say.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []sarifResult     `json:"results"`
		ColumnKind  string            `json:"columnKind"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string         `json:"id"`
		ShortDescription sarifText      `json:"shortDescription"`
		FullDescription  sarifText      `json:"fullDescription"`
		HelpURI          string         `json:"helpUri,omitempty"`
		Help             sarifText      `json:"help"`
		Default          sarifLevel     `json:"defaultConfiguration"`
		Properties       map[string]any `json:"properties"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifLevel struct {
		Level string `json:"level"`
	}
	sarifInvocation struct {
		Successful    bool                `json:"executionSuccessful"`
		Notifications []sarifNotification `json:"toolExecutionNotifications"`
	}
	sarifNotification struct {
		Level   string    `json:"level"`
		Message sarifText `json:"message"`
	}
	sarifResult struct {
		RuleID        string             `json:"ruleId"`
		RuleIndex     int                `json:"ruleIndex"`
		Level         string             `json:"level"`
		Message       sarifText          `json:"message"`
		Locations     []sarifLocation    `json:"locations"`
		Fingerprints  map[string]string  `json:"partialFingerprints"`
		BaselineState string             `json:"baselineState,omitempty"`
		Suppressions  []sarifSuppression `json:"suppressions"`
		Properties    map[string]any     `json:"properties"`
	}
	sarifLocation struct {
		Physical *sarifPhysical `json:"physicalLocation,omitempty"`
		Logical  []sarifLogical `json:"logicalLocations"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifLogical struct {
		FullyQualifiedName string `json:"fullyQualifiedName"`
		Kind               string `json:"kind"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Status        string `json:"status"`
		Justification string `json:"justification"`
	}
)

// sarifLevels and securityScores are what severities are there: the levels of
// SARIF, and the scores by which GitHub sorts.
var sarifLevels = map[audit.Severity]string{audit.Critical: "error", audit.High: "error", audit.Medium: "warning", audit.Low: "note", audit.Info: "note"}
var securityScores = map[audit.Severity]string{audit.Critical: "9.5", audit.High: "8.0", audit.Medium: "5.5", audit.Low: "2.5", audit.Info: "0.0"}

func auditSARIF(s *term.Streams, d AuditDoc) error {
	run := sarifRun{
		Tool:       sarifTool{sarifDriver{Name: "certtrust", Version: d.Version, InformationURI: home}},
		ColumnKind: "utf16CodeUnits",
	}
	index := map[string]int{}
	for i, r := range audit.Rules() {
		index[r.ID] = i
		rule := sarifRule{ID: r.ID, ShortDescription: sarifText{r.Title}, FullDescription: sarifText{r.Why}, Help: sarifText{r.Why},
			Default:    sarifLevel{sarifLevels[r.Severity]},
			Properties: map[string]any{"security-severity": securityScores[r.Severity], "tags": []string{"security", "certificates"}}}
		if r.Grades != "" {
			rule.Help.Text += " Severity: " + string(r.Severity) + "; " + r.Grades + "."
		}
		if len(r.References) > 0 {
			rule.HelpURI = r.References[0]
		}
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, rule)
	}
	call := sarifInvocation{Successful: d.Summary.Complete}
	for _, st := range d.Stores {
		if !st.Complete {
			call.Notifications = append(call.Notifications, sarifNotification{"error", sarifText{fmt.Sprintf("%s could not be read completely: %s", st.ID, term.Safe(st.Error))}})
		}
	}
	run.Invocations = []sarifInvocation{call}
	for _, f := range d.Findings {
		r := sarifResult{RuleID: f.ID, RuleIndex: index[f.ID], Level: sarifLevels[f.Severity],
			Message: sarifText{strings.Join(append([]string{f.Title}, f.Evidence...), "\n")}, Fingerprints: map[string]string{"certtrust/v1": f.Key},
			Properties: map[string]any{"severity": f.Severity, "security-severity": securityScores[f.Severity]}}
		if !f.SHA256.IsZero() {
			r.Properties["sha256"] = f.SHA256.String()
		}
		for _, fix := range f.Fixes {
			r.Message.Text += "\n" + fix.Summary + ": " + strings.Join(slices.Concat(fix.Commands, fix.Steps), "; ")
		}
		location := sarifLocation{Logical: []sarifLogical{{string(cmpOr(f.Store, store.ID("machine"))), "resource"}}}
		if strings.HasPrefix(f.File, "/") {
			location.Physical = &sarifPhysical{sarifArtifact{(&url.URL{Scheme: "file", Path: f.File}).String()}}
		}
		r.Locations = []sarifLocation{location}
		if d.Diff != nil {
			r.BaselineState = map[audit.State]string{audit.New: "new", audit.Known: "unchanged", audit.Accepted: "unchanged"}[f.State]
		}
		if f.Accepted != nil {
			r.Suppressions = []sarifSuppression{{"external", "accepted", f.Accepted.Reason + " (" + f.Accepted.By + ")"}}
		}
		run.Results = append(run.Results, r)
	}
	return JSON(s.Out, sarifLog{"https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json", "2.1.0", []sarifRun{run}})
}

func cmpOr[T comparable](a, b T) T {
	var zero T
	if a == zero {
		return b
	}
	return a
}

// JUnit's XML, as CI systems read it.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name      string      `xml:"name,attr"`
		Tests     int         `xml:"tests,attr"`
		Failures  int         `xml:"failures,attr"`
		Errors    int         `xml:"errors,attr"`
		Timestamp string      `xml:"timestamp,attr"`
		Cases     []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Failure *junitMessage `xml:"failure"`
		Error   *junitMessage `xml:"error"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// auditJUnit writes a test for each store and rule. It fails if there is a new
// finding of the severity that makes the audit fail.
func auditJUnit(s *term.Streams, d AuditDoc) error {
	all := junitSuites{Name: "certtrust audit"}
	stores := append([]AuditStore{}, d.Stores...)
	if slices.ContainsFunc(d.Findings, func(f audit.Finding) bool { return f.Store == "" }) {
		stores = append(stores, AuditStore{ID: "machine", Complete: true})
	}
	for _, st := range stores {
		suite := junitSuite{Name: string(st.ID), Timestamp: d.Time.UTC().Format("2006-01-02T15:04:05")}
		if !st.Complete {
			suite.Cases = append(suite.Cases, junitCase{Class: string(st.ID), Name: "read", Error: &junitMessage{Message: term.Safe(st.Error), Type: "incomplete"}})
			suite.Errors++
		}
		for _, r := range audit.Rules() {
			c := junitCase{Class: string(st.ID), Name: r.ID}
			var failing, others []string
			worst := audit.Info
			for _, f := range d.Findings {
				if cmpOr(f.Store, "machine") != st.ID || f.ID != r.ID {
					continue
				}
				text := fmt.Sprintf("%s: %s (%s)", f.Severity, f.Title, strings.Join(f.Evidence, "; "))
				if f.State == audit.New && f.Severity.AtLeast(d.FailOn) {
					failing = append(failing, text)
					if f.Severity.AtLeast(worst) {
						worst = f.Severity
					}
				} else {
					others = append(others, string(f.State)+" "+text)
				}
			}
			if failing != nil {
				c.Failure = &junitMessage{Message: count(len(failing), "finding") + ": " + r.Title, Type: string(worst), Text: strings.Join(failing, "\n")}
				suite.Failures++
			}
			c.Out = strings.Join(others, "\n")
			suite.Cases = append(suite.Cases, c)
		}
		suite.Tests = len(suite.Cases)
		all.Tests, all.Failures, all.Errors = all.Tests+suite.Tests, all.Failures+suite.Failures, all.Errors+suite.Errors
		all.Suites = append(all.Suites, suite)
	}
	text, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	_, err = io.WriteString(s.Out, xml.Header+string(text)+"\n")
	return err
}

// md escapes text for Markdown, so that it is shown as it is, in a cell too.
func md(text string) string {
	var b strings.Builder
	for _, r := range term.Safe(text) {
		switch {
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '&':
			b.WriteString("&amp;")
		case strings.ContainsRune("\\`*_{}[]()#+!|~:@", r):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// mdCode writes code for Markdown, in as many backquotes as it needs.
func mdCode(text string) string {
	fence := "`"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	if len(fence) > 1 {
		text = " " + text + " "
	}
	return fence + strings.ReplaceAll(term.Safe(text), "|", "\\|") + fence
}

func auditMarkdown(s *term.Streams, d AuditDoc) error {
	w := textWriter{s: s}
	w.line("# Audit of ", md(cmpOr(d.Host.Name, "a machine")))
	w.line()
	w.line(timeText(d.Time), ": ", md(d.counts()), ".")
	w.line(fmt.Sprintf("Compared with the %d roots of %s, whose data is %d days old.", d.Data.Roots, md(d.Data.Programme), d.Data.AgeDays))
	w.line()
	w.line("| store | certificates | read |")
	w.line("|---|---|---|")
	for _, st := range d.Stores {
		read := "completely"
		if !st.Complete {
			read = "**not completely**: " + md(st.Error)
		}
		w.line("| ", mdCode(string(st.ID)), " | ", fmt.Sprint(st.Count), " | ", read, " |")
	}
	for _, severity := range audit.Severities() {
		group := slices.DeleteFunc(slices.Clone(d.Findings), func(f audit.Finding) bool { return f.Severity != severity || f.State != audit.New })
		if len(group) == 0 {
			continue
		}
		w.line()
		w.line(fmt.Sprintf("## %s (%d)", severity, len(group)))
		for _, f := range group {
			w.line()
			w.line("- **", md(f.Title), "** ", mdCode(f.ID))
			if f.Store != "" {
				w.line("  - in ", mdCode(string(f.Store)))
			}
			for _, e := range f.Evidence {
				w.line("  - ", md(e))
			}
			for _, fix := range f.Fixes {
				w.line("  - ", md(fix.Summary), "\\:")
				for _, c := range fix.Commands {
					w.line("    - ", mdCode(sudo(fix, c)))
				}
				for _, step := range fix.Steps {
					w.line("    - ", md(step))
				}
			}
		}
	}
	if n := d.Summary.Known + d.Summary.Accepted; n > 0 {
		w.line()
		w.line("## known or accepted (", fmt.Sprint(n), ")")
		w.line()
		for _, f := range d.Findings {
			if f.State == audit.New {
				continue
			}
			text := "- " + md(f.Title) + " " + mdCode(f.ID)
			if f.Accepted != nil {
				text += ", accepted by " + md(f.Accepted.By) + md(": "+f.Accepted.Reason)
			}
			w.line(text)
		}
	}
	return w.err
}
