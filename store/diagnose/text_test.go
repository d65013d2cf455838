package diagnose

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// verbs are the verbs of fmt, with their argument indexes.
var verbs = regexp.MustCompile(`%(?:\[(\d+)\])?[+#]?[a-zA-Z%]`)

// Every text there is has both languages, with the same verbs, and Japanese
// that is Japanese where the English is more than a name.
func TestTexts(t *testing.T) {
	set := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			isText := false
			switch typ := lit.Type.(type) {
			case *ast.Ident:
				isText = typ.Name == "Text"
			case nil: // within a slice or a map of them: two strings
				isText = len(lit.Elts) == 2 && isString(lit.Elts[0]) && isString(lit.Elts[1]) && slices.ContainsFunc([]rune(text(lit.Elts[1])), func(r rune) bool { return r > unicode.MaxLatin1 })
			}
			if !isText || len(lit.Elts) == 0 { // an empty one says nothing in any language
				return true
			}
			count++
			at := set.Position(lit.Pos())
			if len(lit.Elts) != 2 {
				t.Errorf("%v: a text with %d languages", at, len(lit.Elts))
				return true
			}
			en, ja := text(lit.Elts[0]), text(lit.Elts[1])
			if strings.TrimSpace(en) == "" || strings.TrimSpace(ja) == "" {
				t.Errorf("%v: a language is missing: %q, %q", at, en, ja)
			}
			if a, b := verbsOf(en), verbsOf(ja); !slices.Equal(a, b) {
				t.Errorf("%v: %q has the verbs %v, %q has %v", at, en, a, ja, b)
			}
			if en == ja && strings.Contains(en, " ") && !strings.Contains(en, "%") {
				t.Errorf("%v: %q is not translated", at, en)
			}
			if strings.ContainsAny(en, "「」。、") {
				t.Errorf("%v: %q is not English", at, en)
			}
			return true
		})
	}
	if count < 250 {
		t.Errorf("only %d texts were found: the test looks in the wrong place", count)
	}
}

func isString(e ast.Expr) bool {
	b, ok := e.(*ast.BasicLit)
	return ok && b.Kind == token.STRING
}

func text(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, _ := strconv.Unquote(e.Value)
		return s
	case *ast.BinaryExpr:
		return text(e.X) + text(e.Y)
	}
	return "?"
}

// verbsOf returns the verbs of a format with the arguments that they are for.
func verbsOf(format string) []string {
	var out []string
	for i, m := range verbs.FindAllStringSubmatch(format, -1) {
		index := m[1]
		if index == "" {
			index = strconv.Itoa(i + 1)
		}
		if !strings.HasSuffix(m[0], "%%") {
			out = append(out, index+m[0][len(m[0])-1:])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// The tables refer to each other: no fix, no code and no client is named that
// there is not.
func TestTables(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range catalogue() {
		if seen[r.code] {
			t.Errorf("%s is there twice", r.code)
		}
		seen[r.code] = true
		if !regexp.MustCompile(`^(trust|chain|time|name|cert|revocation|policy|tls|net|store)\.[a-z0-9_]+$`).MatchString(r.code) {
			t.Errorf("%s is not a code of the contract", r.code)
		}
		if len(r.fixes) == 0 {
			t.Errorf("%s: nothing can be done about it?", r.code)
		}
		for _, id := range r.fixes {
			if fixOf(id) == nil {
				t.Errorf("%s: there is no fix %s", r.code, id)
			}
		}
	}
	for code := range words() {
		if !seen[code] {
			t.Errorf("clients have words for %s, which is no cause", code)
		}
	}
	for _, c := range clients {
		for _, mark := range slices.Concat(c.ignores, c.minds, c.order) {
			code, _, _ := strings.Cut(mark, "#")
			code, where, _ := strings.Cut(code, "@")
			known := seen[code] || strings.HasSuffix(code, ".") && slices.ContainsFunc(catalogue(), func(r codeRow) bool { return strings.HasPrefix(r.code, code) })
			if !known || !slices.Contains([]string{"", "leaf", "ca", "anchor"}, where) {
				t.Errorf("%s: %s means nothing", c.id, mark)
			}
		}
	}
	ids := map[string]bool{}
	for _, f := range fixTables() {
		if ids[f.id] {
			t.Errorf("the fix %s is there twice", f.id)
		}
		ids[f.id] = true
		if !slices.Contains([]string{"server", "client", "admin", "network"}, f.who) || !slices.Contains([]string{"none", "low", "high"}, f.risk) {
			t.Errorf("%s: %q, %q", f.id, f.who, f.risk)
		}
		if !regexp.MustCompile(`^[a-z]+\.[a-z0-9_]+$`).MatchString(f.id) {
			t.Errorf("%s is not an ID of the contract", f.id)
		}
	}
}

// Whatever the programs say is explained by a cause that there is.
func TestSuspectsAreCauses(t *testing.T) {
	for _, s := range symptomTable().all {
		for _, c := range s.causes {
			if row(c.code) == nil {
				t.Errorf("%s: there is no cause %s", s.name, c.code)
			}
		}
	}
}
