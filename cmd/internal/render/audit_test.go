package render

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/audit"
)

// auditStores are stores with something of every sort in them.
func auditStores(t testing.TB) []audit.Store {
	c := makeCerts(t)
	all := store.TrustFor(store.Trusted, store.PurposeAny)
	admin := store.Origin{By: store.ByAdmin, Detail: "by hand"}
	anchor := func(name string) store.Source {
		return store.Source{Kind: "anchor", Path: "/usr/local/share/ca-certificates/" + name}
	}
	script := makeCert(t, 20, `<script>alert(1)</script>"><img src=x onerror=alert(2)>`, day(2030, 1, 1), nil, nil)
	pipe := makeCert(t, 21, "a | b ](javascript:x) `c` **d**", day(2031, 1, 1), nil, nil)
	return []audit.Store{
		{Info: info(system, "Debian's CA certificates", store.ScopeSystem), Entries: []store.Entry{
			{Cert: c.root, Label: c.root.Label(), Trust: all, Origin: store.Origin{By: store.ByVendor, Detail: "ca-certificates"}, Source: store.Source{Kind: "anchor", Path: "/usr/share/ca-certificates/root.crt"}},
			{Cert: c.cjk, Label: c.cjk.Label(), Trust: all, Origin: admin, Source: anchor("jp.crt")},
			{Cert: c.evil, Label: c.evil.Label(), Trust: all, Origin: admin, Source: anchor("evil.crt"), Problems: []store.Problem{{Code: "anchor-not-in-bundle", Path: "/usr/local/share/ca-certificates/evil.crt", Text: "it is an anchor, but not in the bundle", Mendable: true}}},
			{Cert: c.formula, Label: c.formula.Label(), Trust: all, Origin: admin, Source: anchor("=formula.crt")},
			{Cert: script, Label: script.Label(), Trust: all, Origin: admin, Source: anchor("it's <b>.crt")},
			{Cert: pipe, Label: pipe.Label(), Trust: all, Origin: admin, Source: anchor("a|b`c.crt")},
		}},
		{Info: info(firefox, "Firefox, profile <既定>", store.ScopeUser), Entries: []store.Entry{
			{Cert: c.root, Label: "root", Trust: store.TrustFor(store.Distrusted, store.PurposeServerAuth), Origin: store.Origin{By: store.ByUser}},
			{Cert: c.leaf, Label: "leaf", Trust: store.TrustFor(store.Peer, store.PurposeServerAuth), Origin: store.Origin{By: store.ByUnknown}},
			{Cert: c.odd, Label: "odd", Trust: store.TrustFor(store.Trusted, store.PurposeServerAuth), Origin: store.Origin{By: store.ByUnknown}},
			{Label: "Ghost", Trust: store.TrustFor(store.Trusted, store.PurposeServerAuth), Problems: []store.Problem{{Code: "ghost-trust", Text: "trust without a certificate", Mendable: true}}},
		}},
	}
}

// auditDoc is an audit of them, after a baseline.
func auditDoc(t testing.TB) AuditDoc {
	stores := auditStores(t)
	in := audit.Input{Stores: stores, Now: now, Facts: []audit.Facts{{
		Files: []audit.File{{Store: system, Path: "/etc/ssl/certs", Dir: true, WorldWritable: true}},
	}}}
	findings := audit.Run(in)
	var known []audit.Finding
	for _, f := range findings {
		if f.ID == "cert.name_unconstrained" {
			known = append(known, f)
		}
	}
	b := audit.NewBaseline([]audit.Store{{Info: stores[0].Info, Entries: stores[0].Entries[:5]}}, known, nil, now)
	for _, f := range findings {
		if f.ID == "prog.not_in_any" && strings.Contains(f.Title, "証明書") {
			b.Accept(audit.Acceptance{Key: f.Key, Reason: "our own <CA>", By: "ann | ops", Until: "2027-06-30"})
		}
	}
	b.Mark(findings, now)
	d := AuditDoc{
		Time: now, Host: AuditHost{Name: "host<1>.example.com", OS: "linux", Version: "Debian GNU/Linux 12"},
		Data:     AuditData{MozillaRoots: "2026-10-30", Programme: "Mozilla", Roots: audit.Mozilla().Len(), AgeDays: 3},
		Findings: findings, Diff: NewAuditDiff(b.Drift(stores)), Version: "1.2.3", FailOn: audit.High,
	}
	for _, s := range stores {
		set := audit.NewSet(s.Entries)
		d.Stores = append(d.Stores, AuditStore{ID: s.Info.ID, Kind: s.Info.Backend, Title: s.Info.Title, Scope: s.Info.Scope, Count: len(set.Items), Digest: set.Digest(), Complete: true})
		for _, e := range s.Entries {
			if e.Cert != nil {
				d.Certs = append(d.Certs, NewShowCertificate(e.Cert, []Holding{NewHolding(s.Info.ID, e)}, now, true))
			}
		}
	}
	d.Stores = append(d.Stores, AuditStore{ID: jdk, Kind: "java", Title: "JDK", Scope: store.ScopeSystem, Digest: audit.NewSet(nil).Digest(), Error: "the digest does not match"})
	d.Sum()
	return d
}

// auditFiles are the goldens by format.
var auditFiles = map[string]string{
	"table": "audit.txt", "json": "audit.json", "jsonl": "audit.jsonl", "csv": "audit.csv", "sarif": "audit.sarif",
	"junit": "audit.xml", "markdown": "audit.md", "html": "audit.html",
}

func TestAudit(t *testing.T) {
	d := auditDoc(t)
	for _, format := range AuditFormats() {
		t.Run(format, func(t *testing.T) {
			s, out, errs := term.Test("")
			if err := WriteAudit(s, format, d); err != nil {
				t.Fatal(err)
			}
			golden(t, auditFiles[format], out, errs)
		})
	}
	t.Run("all", func(t *testing.T) {
		d := d
		d.All = true
		s, out, errs := term.Test("")
		if err := WriteAudit(s, "", d); err != nil {
			t.Fatal(err)
		}
		golden(t, "audit-all.txt", out, errs)
	})
	t.Run("clean", func(t *testing.T) {
		clean := AuditDoc{Time: now, Host: AuditHost{Name: "host"}, Data: d.Data, Stores: d.Stores[:1], FailOn: audit.High}
		clean.Sum()
		for _, format := range AuditFormats() {
			s, out, _ := term.Test("")
			if err := WriteAudit(s, format, clean); err != nil {
				t.Fatal(err)
			}
			if out.Len() == 0 && format != "table" {
				t.Errorf("%s: nothing is written for an audit that found nothing", format)
			}
		}
	})
}

func written(t *testing.T, format string) string {
	t.Helper()
	s, out, _ := term.Test("")
	if err := WriteAudit(s, format, auditDoc(t)); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// A certificate that calls itself <script> is text in the page, and the only
// script is the one that the policy names.
func TestAuditHTMLIsSafe(t *testing.T) {
	page := written(t, "html")
	if n := strings.Count(page, "<script"); n != 1 {
		t.Errorf("%d scripts", n)
	}
	for _, alien := range []string{"<img", "alert(1)</script>", `onerror=alert(2)>"`} {
		if strings.Contains(page, alien) {
			t.Errorf("%q is in the page as it is", alien)
		}
	}
	if !strings.Contains(page, "&lt;script&gt;alert(1)") {
		t.Error("the hostile certificate is not there")
	}
	js, err := os.ReadFile("report/report.js")
	if err != nil {
		t.Fatal(err)
	}
	css, err := os.ReadFile("report/report.css")
	if err != nil {
		t.Fatal(err)
	}
	for kind, text := range map[string][]byte{"script": js, "style": css} {
		if !strings.Contains(page, "<"+kind+">"+string(text)+"</"+kind+">") {
			t.Errorf("the %s is not there as it is in the file, which its digest is of", kind)
		}
	}
	policy := regexp.MustCompile(`Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(page)
	if policy == nil || !strings.Contains(policy[1], "default-src &#39;none&#39;") || strings.Contains(policy[1], "unsafe") {
		t.Errorf("policy: %q", policy)
	}
	if m := regexp.MustCompile(`(?i)(src|href|action|srcset|data)=["']?(https?:|//|javascript:|data:)`).FindString(page); m != "" {
		t.Errorf("something is loaded or led to: %s", m)
	}
	for _, tag := range regexp.MustCompile(`<[a-zA-Z][^<>]*>`).FindAllString(page, -1) {
		bare := regexp.MustCompile(`"[^"]*"`).ReplaceAllString(tag, `""`)
		if m := regexp.MustCompile(`(?i)\s(on[a-z]+|style)\s*=`).FindString(bare); m != "" {
			t.Errorf("an attribute with code or style: %s", tag)
		}
	}
}

func TestAuditCSVIsSafe(t *testing.T) {
	rows, err := csv.NewReader(strings.NewReader(written(t, "csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) < 10 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		for _, cell := range row {
			if strings.IndexAny(cell, "=+-@\t\r") == 0 {
				t.Errorf("a spreadsheet takes %q for a formula", cell)
			}
		}
	}
}

func TestAuditJUnit(t *testing.T) {
	text := written(t, "junit")
	d := xml.NewDecoder(strings.NewReader(text))
	cases, failures, errs := 0, 0, 0
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok {
			switch start.Name.Local {
			case "testcase":
				cases++
			case "failure":
				failures++
			case "error":
				errs++
			}
		}
	}
	var suites junitSuites
	if err := xml.Unmarshal([]byte(text), &suites); err != nil {
		t.Fatal(err)
	}
	if cases != suites.Tests || failures != suites.Failures || errs != suites.Errors || failures == 0 || errs != 1 {
		t.Errorf("%d tests, %d failures, %d errors, but it says %d, %d, %d", cases, failures, errs, suites.Tests, suites.Failures, suites.Errors)
	}
	if want := 3*len(audit.Rules()) + 1; cases != want {
		t.Errorf("%d tests, not %d: one for each store and rule, and one that could not be read", cases, want)
	}
}

// What a certificate is called makes no link, no code, no cell and no heading.
func TestAuditMarkdownIsSafe(t *testing.T) {
	text := written(t, "markdown")
	for _, alien := range []string{"<script", "](javascript", " | b ", "**d**"} {
		if strings.Contains(text, alien) {
			t.Errorf("%q is in it as it is", alien)
		}
	}
}

func TestRulesInventoryDiffBaseline(t *testing.T) {
	stores := auditStores(t)
	b := audit.NewBaseline(stores, audit.Run(audit.Input{Stores: stores, Now: now})[:3], nil, now)
	b.Accept(audit.Acceptance{Key: b.Findings[0].Key, Reason: "known", By: "ann", Until: "2027-01-31"})
	var buf bytes.Buffer
	if err := JSON(&buf, b); err != nil {
		t.Fatal(err)
	}
	golden(t, "baseline.json", &buf, new(bytes.Buffer))
	again, err := audit.ParseBaseline(buf.Bytes())
	if err != nil || len(again.Stores) != 2 || again.Accepted[0] != b.Accepted[0] {
		t.Errorf("what is written is not read: %v, %+v", err, again)
	}

	v := audit.NewInventory()
	header, records := makeListing(t)
	for _, host := range []string{"a", "b", "c", "d"} {
		s, out, _ := term.Test("")
		header.Host = host
		some := records
		if host == "c" {
			some = records[1:]
		}
		if host != "d" {
			some = append([]ListRecord{}, some...)[:len(some)-3]
		}
		view, err := NewListView("jsonl", s, ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := List(view, header, some); err != nil {
			t.Fatal(err)
		}
		if err := v.Read(host+".jsonl", out); err != nil {
			t.Fatal(err)
		}
	}
	prefix, err := store.ParseFingerprintPrefix(records[0].SHA256.String())
	if err != nil {
		t.Fatal(err)
	}
	inventory := NewInventoryDoc(now, v.Report([]store.FingerprintPrefix{prefix}))

	a, c := audit.NewSet(stores[0].Entries), audit.NewSet(append(stores[1].Entries, stores[0].Entries[2:4]...))
	diff := NewDiffDoc(DiffSide{Name: "anchors:system", What: "a store", Certificates: 6, Stores: []string{"anchors:system"}, Complete: true},
		DiffSide{Name: "evil\\u001b.jsonl", What: "a listing", Certificates: 5, Stores: []string{"nss:x"}}, audit.Compare("", a, c))
	for name, doc := range map[string]Doc{"audit-rules": NewRulesDoc(), "inventory": inventory, "diff": diff} {
		for extension, format := range map[string]string{".txt": "table", ".json": "json"} {
			s, out, errs := term.Test("")
			if err := Write(s, format, doc); err != nil {
				t.Fatal(err)
			}
			golden(t, name+extension, out, errs)
		}
	}
	for extension, format := range map[string]string{".csv": "csv", ".md": "markdown"} {
		s, out, errs := term.Test("")
		if err := WriteDiff(s, format, diff); err != nil {
			t.Fatal(err)
		}
		golden(t, "diff"+extension, out, errs)
	}
}

// The SARIF that a schema of its own would not find fault with must also be
// consistent: rules by index, and a level for each.
func TestAuditSARIF(t *testing.T) {
	var log sarifLog
	d := json.NewDecoder(strings.NewReader(written(t, "sarif")))
	d.DisallowUnknownFields()
	if err := d.Decode(&log); err != nil {
		t.Fatal(err)
	}
	run := log.Runs[0]
	suppressed, states := 0, map[string]int{}
	for _, r := range run.Results {
		if run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID {
			t.Errorf("rule %d is not %s", r.RuleIndex, r.RuleID)
		}
		if len(r.Fingerprints["certtrust/v1"]) != 64 || r.Message.Text == "" || r.Level == "" {
			t.Errorf("%+v", r)
		}
		suppressed += len(r.Suppressions)
		states[r.BaselineState]++
	}
	if suppressed != 1 || states["new"] == 0 || states["unchanged"] == 0 || states[""] > 0 {
		t.Errorf("%d suppressed, states %v", suppressed, states)
	}
	if run.Invocations[0].Successful || len(run.Invocations[0].Notifications) != 1 {
		t.Errorf("that a store could not be read is not told: %+v", run.Invocations)
	}
	if _, err := os.Stat(filepath.Join(goldenDir, "audit.sarif")); err != nil {
		t.Error(err)
	}
}
