package scripts_test

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/store/audit"
)

// TestProblemsAreAudited: every problem that a backend can tell of has a row in
// the audit's table, with a rule, a severity and what to do. Without one it
// would only be told in the store's own words.
func TestProblemsAreAudited(t *testing.T) {
	rows := audit.ProblemCodes()
	told := map[string]bool{}
	for _, s := range sources(t) {
		if s.test() || !strings.HasPrefix(s.path, "platform/") {
			continue
		}
		for _, p := range problemCodes(s.file) {
			told[p.code] = true
			if !slices.Contains(rows, p.code) {
				t.Errorf("%s: the problem %q has no row in ofProblem of store/audit/problems.go: add one, with the rule that it belongs to", s.at(p.node), p.code)
			}
		}
	}
	for _, code := range rows {
		if !told[code] {
			t.Errorf("store/audit/problems.go has a row for %q, which no backend tells of", code)
		}
	}
	if len(told) < 30 {
		t.Errorf("only %d codes of problems were found in the sources: the test no longer sees them", len(told))
	}
}

type problemCode struct {
	code string
	node ast.Node
}

// constant are the names of constants that are codes of problems.
var constant = regexp.MustCompile(`^code[A-Z]`)

// problemCodes finds the codes in a file: the keys of a map called problems,
// the field Code of a store.Problem, what is given to a function called
// problem, and the constants of the keychain's.
func problemCodes(file *ast.File) (out []problemCode) {
	add := func(e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if code, err := strconv.Unquote(lit.Value); err == nil && code != "" {
				out = append(out, problemCode{code, lit})
			}
		}
	}
	fields := func(lit *ast.CompositeLit) {
		for _, e := range lit.Elts {
			if kv, ok := e.(*ast.KeyValueExpr); ok {
				if key, ok := kv.Key.(*ast.Ident); ok && key.Name == "Code" {
					add(kv.Value)
				}
			}
		}
	}
	isProblem := func(e ast.Expr) bool {
		sel, ok := e.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		pkg, ok := sel.X.(*ast.Ident)
		return ok && pkg.Name == "store" && sel.Sel.Name == "Problem"
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			for i, name := range n.Names {
				if i < len(n.Values) && constant.MatchString(name.Name) && file.Name.Name == "keychain" {
					add(n.Values[i])
				}
				if name.Name != "problems" || i >= len(n.Values) {
					continue
				}
				if lit, ok := n.Values[i].(*ast.CompositeLit); ok {
					for _, e := range lit.Elts {
						if kv, ok := e.(*ast.KeyValueExpr); ok {
							add(kv.Key)
						}
					}
				}
			}
		case *ast.CompositeLit:
			if isProblem(n.Type) {
				fields(n)
			}
			if list, ok := n.Type.(*ast.ArrayType); ok && isProblem(list.Elt) {
				for _, e := range n.Elts {
					if lit, ok := e.(*ast.CompositeLit); ok {
						fields(lit)
					}
				}
			}
		case *ast.CallExpr:
			name := ""
			switch f := n.Fun.(type) {
			case *ast.Ident:
				name = f.Name
			case *ast.SelectorExpr:
				name = f.Sel.Name
			}
			if strings.EqualFold(name, "problem") && len(n.Args) > 0 {
				add(n.Args[0])
			}
		}
		return true
	})
	return out
}
