package scripts_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
	"github.com/xeipuuv/gojsonschema"
)

// TestSARIFFollowsItsSchema validates the SARIF of an audit against the schema
// that OASIS has published for version 2.1.0 (with errata 01). A Go module
// carries it, as a constant that it keeps to itself; it is read from there.
func TestSARIFFollowsItsSchema(t *testing.T) {
	schema := sarifSchema(t)
	text, err := os.ReadFile("../testdata/golden/audit.sarif")
	if err != nil {
		t.Fatal(err)
	}
	validate := func(text []byte) []gojsonschema.ResultError {
		t.Helper()
		r, err := gojsonschema.Validate(gojsonschema.NewStringLoader(schema), gojsonschema.NewBytesLoader(text))
		if err != nil {
			t.Fatal(err)
		}
		return r.Errors()
	}
	for _, e := range validate(text) {
		t.Error(e)
	}
	// The schema sees what is wrong.
	for old, bad := range map[string]string{`"level": "error"`: `"level": "fatal"`, `"ruleId"`: `"rule"`, `"version": "2.1.0"`: `"version": "2.0.0"`, `"executionSuccessful"`: `"successful"`} {
		broken := bytes.Replace(text, []byte(old), []byte(bad), 1)
		if bytes.Equal(broken, text) {
			t.Errorf("%s is not in the report", old)
		} else if len(validate(broken)) == 0 {
			t.Errorf("the schema takes %s", bad)
		}
	}
	// Another program's reader takes it.
	r, err := sarif.FromBytes(text)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Runs) != 1 || len(r.Runs[0].Results) == 0 {
		t.Errorf("it is read as %d runs", len(r.Runs))
	}
}

// sarifSchema returns the constant of the module.
func sarifSchema(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif")
	cmd.Dir = ".."
	dir, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), "schema.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, s := range decl.Specs {
			spec, ok := s.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || spec.Names[0].Name != "schema" {
				continue
			}
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
				text, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(text, "docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json") {
					t.Fatal("the module carries another schema than that of OASIS")
				}
				return text
			}
		}
	}
	t.Fatal("the module has no schema in the place where it was")
	return ""
}
