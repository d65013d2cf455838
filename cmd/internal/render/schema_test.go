package render

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/audit"
)

// schemas are the documents that have a schema in testdata/schema.
var schemas = []struct {
	name string // of the file
	doc  any
	ids  []string // what "schema" may say in it
}{
	{"list", ListDoc{}, []string{Schema("list")}},
	{"list-header", ListHeader{}, []string{Schema("list")}},
	{"entry", ListEntryLine{}, []string{Schema("entry")}},
	{"summary", ListSummaryLine{}, []string{Schema("summary")}},
	{"stores", StoresDoc{}, []string{Schema("stores")}},
	{"show", ShowDoc{}, []string{Schema("show")}},
	{"change", ChangeDoc{}, changeSchemas()},
	{"diagnose-list", struct {
		DiagnoseHeader
		Results []map[string]any `json:"results"`
	}{}, []string{Schema("diagnose-list")}},
	{"diagnose-list-header", DiagnoseHeader{}, []string{Schema("diagnose-list")}},
	{"audit", AuditDoc{}, []string{Schema("audit")}},
	{"audit-header", AuditHeader{}, []string{Schema("audit")}},
	{"finding", AuditFindingLine{}, []string{Schema("finding")}},
	{"audit-summary", AuditSummaryLine{}, []string{Schema("audit-summary")}},
	{"audit-rules", RulesDoc{}, []string{Schema("audit-rules")}},
	{"baseline", audit.Baseline{}, []string{audit.BaselineSchema}},
	{"inventory", InventoryDoc{}, []string{Schema("inventory")}},
	{"diff", DiffDoc{}, []string{Schema("diff")}},
	{"explain", ExplainDoc{}, []string{Schema("explain")}},
	{"export", ExportDoc{}, []string{Schema("export")}},
	{"fetch", FetchDoc{}, []string{Schema("fetch")}},
	{"history", HistoryDoc{}, []string{Schema("history")}},
	{"env", EnvDoc{}, []string{Schema("env")}},
	{"verify", VerifyDoc{}, []string{Schema("verify")}},
	{"version", VersionDoc{}, []string{Schema("version")}},
	{"error", ErrorDoc{}, []string{Schema("error")}},
}

func changeSchemas() []string {
	var ids []string
	for _, command := range ChangeCommands() {
		ids = append(ids, Schema(command))
	}
	return ids
}

// makeSchema makes the schema of a document's type.
func makeSchema(t testing.TB, doc any, ids []string) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.ForType(reflect.TypeOf(doc), &jsonschema.ForOptions{
		TypeSchemas: map[reflect.Type]*jsonschema.Schema{
			reflect.TypeFor[time.Time](): {Type: "string", Format: "date-time",
				Pattern: `^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$`},
			reflect.TypeFor[store.Fingerprint](): {Type: "string", Pattern: `^[0-9a-f]{64}$`},
			reflect.TypeFor[[]byte]():            {Type: "string", ContentEncoding: "base64"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	relax(schema)
	schema.Schema = "https://json-schema.org/draft/2020-12/schema"
	for _, id := range ids {
		schema.Properties["schema"].Enum = append(schema.Properties["schema"].Enum, id)
	}
	return schema
}

// relax lets objects have more fields, since some may be added, and takes null
// out, since it is never written.
func relax(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	if i := slices.Index(s.Types, "null"); i >= 0 && len(s.Types) == 2 {
		s.Type, s.Types = s.Types[1-i], nil
	}
	if s.Properties != nil {
		s.AdditionalProperties = nil
	}
	for _, property := range s.Properties {
		relax(property)
	}
	relax(s.Items)
	relax(s.AdditionalProperties)
}

func TestSchemasAreUpToDate(t *testing.T) {
	for _, s := range schemas {
		var buf bytes.Buffer
		if err := JSON(&buf, makeSchema(t, s.doc, s.ids)); err != nil {
			t.Fatal(err)
		}
		var indented bytes.Buffer // a schema marshals itself, in one line
		if err := json.Indent(&indented, buf.Bytes(), "", "  "); err != nil {
			t.Fatal(err)
		}
		compare(t, filepath.Join(schemaDir, s.name+".json"), indented.Bytes())
	}
}

// schemaFile reads a schema from testdata, as other programs would.
func schemaFile(t testing.TB, name string) *jsonschema.Resolved {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(schemaDir, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var schema jsonschema.Schema
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	return resolved
}

func TestGoldensFollowTheirSchemas(t *testing.T) {
	resolved := map[string]*jsonschema.Resolved{}
	byID := map[string]string{}
	for _, s := range schemas {
		resolved[s.name] = schemaFile(t, s.name)
		for _, id := range s.ids {
			if byID[id] == "" { // a listing as one document is the first
				byID[id] = s.name
			}
		}
	}
	// This one is a contract that is kept by hand: null has a meaning in it.
	resolved["diagnose"], byID[Schema("diagnose")] = schemaFile(t, "diagnose"), "diagnose"
	used := map[string]bool{}
	validate := func(file, schema string, doc []byte) {
		t.Helper()
		var instance map[string]any
		if err := json.Unmarshal(doc, &instance); err != nil {
			t.Errorf("%s: %v", file, err)
			return
		}
		if schema == "" {
			id, _ := instance["schema"].(string)
			schema = byID[id]
		}
		if resolved[schema] == nil {
			t.Errorf("%s: no schema for %v", file, instance["schema"])
			return
		}
		used[schema] = true
		if err := resolved[schema].Validate(instance); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	files, err := filepath.Glob(filepath.Join(goldenDir, "*.json*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(file) == ".json" {
			validate(file, "", data)
			continue
		}
		schema := "list-header"
		switch name := filepath.Base(file); {
		case strings.HasPrefix(name, "diagnose-"):
			schema = "diagnose-list-header"
		case strings.HasPrefix(name, "audit"):
			schema = "audit-header"
		}
		for line := range bytes.Lines(data) {
			validate(file, schema, line)
			schema = ""
		}
	}
	for _, s := range schemas {
		if !used[s.name] {
			t.Errorf("no golden has the schema %s", s.name)
		}
	}
}

func TestSchemasSayWhatIsWrong(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(goldenDir, "change-dry-run.json"))
	if err != nil {
		t.Fatal(err)
	}
	schema := schemaFile(t, "change")
	for _, test := range []struct {
		name, old, new string
		valid          bool
	}{
		{"as it is", "", "", true},
		{"a field more", `"dryRun":`, `"newField": [1], "dryRun":`, true},
		{"a field more further down", `"kind":`, `"newField": {}, "kind":`, true},
		{"a field missing", `"dryRun": true,`, ``, false},
		{"an upper-case fingerprint", `"sha256": "0`, `"sha256": "A`, false},
		{"a short fingerprint", `"sha256": "0`, `"sha256": "`, false},
		{"null for an array", `"concerns": []`, `"concerns": null`, false},
		{"a wrong type", `"dryRun": true`, `"dryRun": "yes"`, false},
		{"another document", `certtrust.trust/v1`, `certtrust.list/v1`, false},
	} {
		doc := strings.Replace(string(data), test.old, test.new, 1)
		if (doc == string(data)) != (test.old == test.new) {
			t.Fatalf("%s: %q is not in the document", test.name, test.old)
		}
		var instance map[string]any
		if err := json.Unmarshal([]byte(doc), &instance); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if err := schema.Validate(instance); (err == nil) != test.valid {
			t.Errorf("%s: %v", test.name, err)
		}
	}

	entry := makeSchema(t, ListEntryLine{}, nil)
	if p := entry.Properties["notAfter"]; p.Type != "string" || p.Format != "date-time" {
		t.Errorf("a time is %v %q", p.Type, p.Format)
	}
	if p := entry.Properties["match"].Properties["serial"]; p.Type != "string" || p.ContentEncoding != "base64" {
		t.Errorf("bytes are %v %q", p.Type, p.ContentEncoding)
	}
	if slices.Contains(entry.Required, "sha256") || !slices.Contains(entry.Required, "trust") {
		t.Errorf("required: %q", entry.Required)
	}
	if p := entry.Properties["native"]; p.Type != "object" || p.AdditionalProperties == nil || p.AdditionalProperties.Type != "string" {
		t.Errorf("a map is %v", p)
	}
}
