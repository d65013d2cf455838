// Package scripts_test holds the rules of the house: what may import, print,
// exit and vary by system, and where. The rules are the tables below; each
// says why it exists, and so does each finding.
package scripts_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/certtrust/certtrust"

// systems are those that everything compiles on.
var systems = []string{"linux", "darwin", "windows", "freebsd"}

// imports tells what a package may import: the first row that matches it
// counts. Names are relative to the module; "std" is the standard library, and
// "/..." stands for a package and all below it. Tests may import anything.
var imports = []struct {
	packages string
	may      []string
	why      string
}{
	{`store`, []string{"std"},
		"programs that use the model must not get anything else along with it"},
	{`store/audit`, []string{"std", "store", "store/roots", "store/diagnose"},
		"what is known of authorities and of programs' settings has one place, the diagnosis"},
	{`store/.+`, []string{"std", "store", "store/certfile", "store/roots",
		"software.sslmate.com/src/go-pkcs12", "github.com/smallstep/pkcs7", "howett.net/plist",
		"golang.org/x/crypto/x509roots/fallback/bundle", "go.yaml.in/yaml/v3"},
		"formats and judgements are the same on every system and need no store"},
	{`platform/host`, []string{"std", "store", "golang.org/x/sys/..."},
		"the seam to the machine knows of no kind of store"},
	{`platform/smallstep`, []string{"std", "store", "platform", "platform/host", "platform/journal", "github.com/smallstep/truststore"},
		"the bridge to the other library is a leaf: nothing else gets that library along with it"},
	{`platform/sqlite`, []string{"std", "store", "platform/host", "modernc.org/sqlite/..."},
		"one place knows how files of a foreign program are opened without trusting them"},
	{`platform/rpm/rpmtest`, []string{"std", "platform/sqlite"},
		"databases for tests are made without what reads them"},
	{`platform/rpm`, []string{"std", "store", "platform/host", "platform/sqlite"},
		"who owns a file is asked by several, and of them it needs to know nothing"},
	{`platform/nss`, []string{"std", "store", "store/certfile", "platform/host", "platform/sqlite"},
		"a backend is built on the model, the formats and the seam only, and this one on a format of files that others have too"},
	{`platform/browser`, []string{"std", "store", "store/certfile", "platform/host", "platform/sqlite", "platform/nss"},
		"a backend is built on the model, the formats and the seam only, and this one on the database that it has in common with others"},
	{`platform/java`, []string{"std", "store", "store/certfile", "platform/host", "software.sslmate.com/src/go-pkcs12"},
		"a backend is built on the model, the formats and the seam only"},
	{`platform/keychain`, []string{"std", "store", "store/certfile", "platform/host", "howett.net/plist"},
		"a backend is built on the model, the formats and the seam only"},
	{`platform/keychain/securitytest`, []string{"std", "platform/host"},
		"an emulator that shared code with what is tested by it would share its mistakes"},
	{`platform/wincert`, []string{"std", "store", "store/certfile", "platform/host", "golang.org/x/sys/windows/..."},
		"a backend is built on the model, the formats and the seam only"},
	{`platform/wincert/wincerttest`, []string{"std", "platform/wincert"},
		"a Windows in memory is what the backend asks of the real one, and no more"},
	{`platform/probe(/probetest)?`, []string{"std", "store", "store/certfile", "store/diagnose", "platform/host"},
		"what a server showed is evidence for a diagnosis and told in its words; the probe knows no store"},
	{`platform/clients`, []string{"std", "store", "store/certfile", "store/diagnose", "platform/host", "platform/toml"},
		"what programs read is told in the words of a diagnosis, which needs it as evidence"},
	{`platform/inspect`, []string{"std", "store", "store/certfile", "store/audit", "store/diagnose", "platform/host", "platform/clients", "platform/rpm", "platform/wincert"},
		"it gathers facts for an audit, which needs them in its own words; of stores it knows only what Windows' registry says of their update"},
	{`platform/bundles`, []string{"std", "store", "store/certfile", "platform/host", "platform/toml"},
		"a backend is built on the model, the formats and the seam only, and this one on what containerd's settings say of its files"},
	{`platform/anchors`, []string{"std", "store", "store/certfile", "platform/host", "platform/rpm", "platform/anchors/p11kit"},
		"a backend is built on the model, the formats and the seam only, and this one on the files of p11-kit, which stand for themselves, and on who owns a file"},
	{`platform/.+`, []string{"std", "store", "store/certfile", "platform/host"},
		"a backend is built on the model, the formats and the seam only: it can be read, tested and left out by itself"},
	{`platform`, []string{"std", "store/...", "platform/..."},
		"what puts the backends together must not know of commands"},
	{`cmd/internal/.+`, []string{"std", "store/...", "platform/...", "cmd/internal/...",
		"github.com/urfave/cli/v2", "github.com/jedib0t/go-pretty/v6/...", "golang.org/x/term", "golang.org/x/sys/...",
		"golang.org/x/net/idna", "golang.org/x/net/http/httpproxy",
		"github.com/google/jsonschema-go/jsonschema", "go.yaml.in/yaml/v3"},
		"what the program is built with is a short list that is decided upon, not grown"},
	{`cmd/certtrust`, []string{"std", "cmd/internal/app"},
		"main is a few lines: all that can be tested is elsewhere"},
	{`scripts(/.+)?`, []string{"std", "store/...", "platform/...", "cmd/...", "golang.org/x/sys/..."},
		"what builds and proves the project must not need more than the project"},
}

// uses tells what source files must not use, or only where. A use is "import
// PATH", "PATH.NAME" for a name of a package, "func init", "println", or
// "go:build" for a file that is not for every system, "go:build PROCESSOR" for one
// that is not for every processor; * stands for anything.
var uses = []struct {
	uses    []string
	in      string // files that the rule is for
	except  string // files of these that may
	inTests bool   // it holds for tests, too
	why     string
}{
	{[]string{"import os", "import os/exec", "import os/user", "import os/signal", "import syscall", "import io/ioutil", "runtime.GOOS", "runtime.GOARCH"},
		`platform/.+/.+`, `platform/(host|smallstep)/.+|platform/.+/[a-z]+test/.+|.+/api_windows\.go`, false,
		"a backend sees the machine through platform/host, so that it works on another root, another system and a test's fake"},
	{[]string{"import os", "import os/exec", "import net", "import net/http", "import syscall", "runtime.GOOS"},
		`store/.+`, `store/storetest/.+`, false,
		"the model and the formats do no I/O"},
	{[]string{"fmt.Print*", "os.Stdout", "os.Stderr", "log.Print*", "log.Default", "log/slog.Default", "print", "println"},
		`.+`, `cmd/internal/(term|render)/.+|scripts/.+`, false,
		"one place knows what goes where, how wide it is, in which colour, and what must be escaped"},
	{[]string{"os.Exit", "syscall.Exit", "runtime.Goexit", "log.Fatal*", "github.com/urfave/cli/v2.Exit", "github.com/urfave/cli/v2.HandleExitCoder"},
		`.+`, `cmd/certtrust/main\.go|cmd/internal/app/exit\.go|scripts/.+`, false,
		"exit codes are a contract, kept in exit.go: everything else returns errors"},
	{[]string{"func init"}, `.+`, ``, true,
		"importing a package does nothing: what there is stands in explicit lists"},
	{[]string{"go:build"}, `.+`, `platform/host/.+|.+/(api|paths)_[a-z]+\.go|.+/realmac_test\.go|scripts/e2e/.+`, true,
		"everything else is compiled, vetted and tested on every system"},
	{[]string{"go:build PROCESSOR"}, `.+`, ``, true,
		"a system is checked on one of its processors, which then holds for all of as many bits"},
	{[]string{"import testing", "import testing/*"}, `.+`, `store/storetest/.+`, false,
		"a program does not carry the test harness and its flags"},
	{[]string{"import github.com/smallstep/truststore"}, `.+`, `platform/smallstep/.+`, false,
		"importing that library looks at the file system and the environment"},
	{[]string{"import golang.org/x/crypto/x509roots/fallback"}, `.+`, ``, true,
		"importing that package changes what the whole program trusts"},
	{[]string{"time.Sleep"}, `.+_test\.go`, `scripts/e2e/.+`, true,
		"a test that sleeps is slow on a fast machine and fails on a slow one"},
}

// neverInProgram is what certtrust must not be linked with, whoever imports it.
var neverInProgram = []struct{ path, why string }{
	{"github.com/smallstep/truststore", "importing that library looks at the file system and the environment"},
	{"golang.org/x/crypto/x509roots/fallback", "importing that package changes what the whole program trusts"},
	{"testing", "a program does not carry the test harness and its flags"},
	{module + "/platform/smallstep", "the bridge is for other programs"},
	{"runtime/cgo", "the program is one static file that is built for every system on any"},
}

// listed is what `go list` tells of a package.
type listed struct {
	ImportPath string
	Imports    []string
}

// list runs `go list` for a system.
func list(t *testing.T, system string, args ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-e", "-json=ImportPath,Imports"}, args...)...)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0", "GOFLAGS=")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
}

func TestImports(t *testing.T) {
	for _, system := range systems {
		t.Run(system, func(t *testing.T) {
			t.Parallel()
			packages := list(t, system, "./...")
			if len(packages) == 0 {
				t.Fatal("no packages found")
			}
			for _, p := range packages {
				for _, finding := range checkImports(p) {
					t.Error(finding)
				}
			}
		})
	}
}

// checkImports returns the violations of the first table.
func checkImports(p listed) (findings []string) {
	name := relative(p.ImportPath)
	for _, rule := range imports {
		if !matches(rule.packages, name) {
			continue
		}
		for _, i := range p.Imports {
			if !slices.ContainsFunc(rule.may, func(may string) bool { return covers(may, i) }) {
				findings = append(findings, fmt.Sprintf("%s imports %s: it may import only %s, because %s",
					name, relative(i), strings.Join(rule.may, ", "), rule.why))
			}
		}
		return findings
	}
	return []string{fmt.Sprintf("%s: no rule says what it may import; add a row to the table, because a package without a place has none in the design", name)}
}

// covers tells whether an entry of a may list covers an import.
func covers(may, path string) bool {
	if may == "std" {
		first, _, _ := strings.Cut(path, "/")
		return !strings.Contains(first, ".")
	}
	path = relative(path)
	tree, isTree := strings.CutSuffix(may, "/...")
	return path == tree || isTree && strings.HasPrefix(path, tree+"/")
}

func relative(path string) string { return strings.TrimPrefix(path, module+"/") }

func matches(pattern, s string) bool { return regexp.MustCompile(`^(` + pattern + `)$`).MatchString(s) }

func TestProgramDependencies(t *testing.T) {
	for _, system := range systems {
		t.Run(system, func(t *testing.T) {
			t.Parallel()
			deps := list(t, system, "-deps", "./cmd/certtrust")
			for _, never := range neverInProgram {
				for _, d := range deps {
					if d.ImportPath == never.path {
						t.Errorf("cmd/certtrust depends on %s on %s, because of %s: it must not, because %s",
							never.path, system, importersOf(deps, never.path), never.why)
					}
				}
			}
		})
	}
}

func importersOf(deps []listed, path string) (by []string) {
	for _, d := range deps {
		if slices.Contains(d.Imports, path) {
			by = append(by, relative(d.ImportPath))
		}
	}
	return by
}

// source is a Go file of the module.
type source struct {
	path string         // from the module's root, with slashes
	set  *token.FileSet // the same for all
	file *ast.File
}

func (s source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

func (s source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.path, s.set.Position(n.Pos()).Line)
}

// sources reads all Go files, whatever system they are for.
func sources(t *testing.T) (all []source) {
	t.Helper()
	set := token.NewFileSet()
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != ".." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case !d.Type().IsRegular() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		s, err := parse(set, strings.TrimPrefix(filepath.ToSlash(name), "../"), text)
		all = append(all, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func parse(set *token.FileSet, name string, text []byte) (source, error) {
	file, err := parser.ParseFile(set, name, text, parser.ParseComments)
	return source{name, set, file}, err
}

func TestUses(t *testing.T) {
	for _, s := range sources(t) {
		for _, finding := range checkUses(s) {
			t.Error(finding)
		}
	}
}

// checkUses returns the violations of the second table.
func checkUses(s source) (findings []string) {
	for _, rule := range uses {
		if s.test() && !rule.inTests || !matches(rule.in, s.path) || rule.except != "" && matches(rule.except, s.path) {
			continue
		}
		for _, u := range usesOf(s) {
			if slices.ContainsFunc(rule.uses, func(pattern string) bool { return globMatch(pattern, u.what) }) {
				findings = append(findings, fmt.Sprintf("%s: %s: not here, because %s", s.at(u.node), u.what, rule.why))
			}
		}
	}
	return findings
}

func globMatch(pattern, s string) bool {
	ok, err := path.Match(pattern, s)
	return ok && err == nil
}

type use struct {
	what string
	node ast.Node
}

// usesOf returns what a file uses, in the words of the table.
func usesOf(s source) (all []use) {
	names := map[string]string{} // what the file calls a package -> its path
	for _, i := range s.file.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		all = append(all, use{"import " + p, i})
		name := path.Base(p)
		if matches(`v\d+`, name) {
			name = path.Base(path.Dir(p))
		}
		if i.Name != nil {
			name = i.Name.Name
		}
		names[name] = p
	}
	all = append(all, constraints(s)...)
	fake := slices.Contains(slices.Collect(maps.Values(names)), "testing/synctest") // its time is simulated
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Name.Name == "init" && n.Recv == nil {
				all = append(all, use{"func init", n})
			}
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "print" || f.Name == "println") && f.Obj == nil {
				all = append(all, use{f.Name, n})
			}
		case *ast.SelectorExpr:
			// An identifier that the file declares itself is no package.
			if x, ok := n.X.(*ast.Ident); ok && x.Obj == nil && names[x.Name] != "" && !(fake && names[x.Name] == "time") {
				all = append(all, use{names[x.Name] + "." + n.Sel.Name, n})
			}
		}
		return true
	})
	return all
}

// processors are the names that limit a file to some.
const processors = `386|amd64|arm|arm64|loong64|mips|mips64|mips64le|mipsle|ppc64|ppc64le|riscv64|s390x|wasm`

// constraints returns what keeps a file from being compiled everywhere.
func constraints(s source) (all []use) {
	for _, group := range s.file.Comments {
		for _, c := range group.List {
			if expr, err := constraint.Parse(c.Text); err == nil && c.Pos() < s.file.Package {
				all = append(all, use{"go:build", s.file})
				if regexp.MustCompile(`\b(` + processors + `)\b`).MatchString(expr.String()) {
					all = append(all, use{"go:build PROCESSOR", s.file})
				}
			}
		}
	}
	name := strings.TrimSuffix(strings.TrimSuffix(path.Base(s.path), ".go"), "_test")
	parts := strings.Split(name, "_")
	if last := parts[len(parts)-1]; len(parts) == 1 {
		return all
	} else if matches(processors, last) {
		return append(all, use{"go:build PROCESSOR", s.file})
	} else if matches(`aix|android|darwin|dragonfly|freebsd|illumos|ios|js|linux|netbsd|openbsd|plan9|solaris|wasip1|windows`, last) {
		return append(all, use{"go:build", s.file})
	}
	return all
}

func TestPackageComments(t *testing.T) {
	for dir, files := range byDirectory(sources(t)) {
		for _, finding := range checkComment(dir, files) {
			t.Error(finding)
		}
	}
}

func byDirectory(all []source) map[string][]source {
	dirs := map[string][]source{}
	for _, s := range all {
		dirs[path.Dir(s.path)] = append(dirs[path.Dir(s.path)], s)
	}
	return dirs
}

// checkComment returns what is wrong with the package comment of a directory:
// there is one, and only one, because it is what people read first and two
// tell different stories after a year.
func checkComment(dir string, files []source) []string {
	const why = "each package has exactly one package comment, because that is where its contract is looked for"
	code := slices.DeleteFunc(slices.Clone(files), source.test)
	if len(code) == 0 {
		code = files // a directory of tests alone
	}
	var found []string
	for _, s := range code {
		if s.file.Doc == nil {
			continue
		}
		found = append(found, s.path)
		if name := s.file.Name.Name; name != "main" && !strings.HasPrefix(s.file.Doc.Text(), "Package "+name+" ") {
			return []string{fmt.Sprintf("%s: the package comment does not begin with %q, as the documentation tools want it", s.path, "Package "+name)}
		}
	}
	if len(found) != 1 {
		return []string{fmt.Sprintf("%s: %d package comments %q: %s", dir, len(found), found, why)}
	}
	return nil
}

func TestNoMutableState(t *testing.T) {
	for _, files := range byDirectory(sources(t)) {
		if strings.HasPrefix(files[0].path, "scripts/") {
			continue
		}
		for _, finding := range checkState(slices.DeleteFunc(files, source.test)) {
			t.Error(finding)
		}
	}
}

// checkState returns the package-level variables that are changed, or that are
// made for it.
func checkState(files []source) (findings []string) {
	const why = "package-level variables are constants in effect, because state that belongs to nobody makes two tests, or two callers, one"
	if len(files) == 0 {
		return nil
	}
	// Only what the identifiers of this package stand for is asked, so the
	// imported packages may be empty and files for several systems may clash.
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Error: func(error) {}, Importer: emptyPackages{}}
	set := files[0].set
	var trees []*ast.File
	for _, s := range files {
		trees = append(trees, s.file)
	}
	p, _ := config.Check(path.Dir(files[0].path), set, trees, info)
	changed := func(e ast.Expr) {
		for {
			switch x := e.(type) {
			case *ast.ParenExpr:
				e = x.X
			case *ast.SelectorExpr:
				e = x.X
			case *ast.IndexExpr:
				e = x.X
			case *ast.StarExpr:
				e = x.X
			case *ast.Ident:
				if v, ok := info.Uses[x].(*types.Var); ok && v.Parent() == p.Scope() {
					findings = append(findings, fmt.Sprintf("%v: %s is changed: %s", set.Position(x.Pos()), x.Name, why))
				}
				return
			default:
				return
			}
		}
	}
	for _, f := range trees {
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
				for _, spec := range g.Specs {
					if s, ok := spec.(*ast.ValueSpec).Type.(*ast.SelectorExpr); ok {
						x, ok := s.X.(*ast.Ident)
						if ok && (x.Name == "sync" || x.Name == "atomic") && !guardsProcess(files[0].path) {
							findings = append(findings, fmt.Sprintf("%v: a %s.%s: %s", set.Position(spec.Pos()), x.Name, s.Sel.Name, why))
						}
					}
				}
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					for _, left := range n.Lhs {
						changed(left)
					}
				}
			case *ast.IncDecStmt:
				changed(n.X)
			}
			return true
		})
	}
	return findings
}

// guardsProcess tells whether a package may have locks for what belongs to the
// whole process, such as its umask: the seam to the machine, and no other.
func guardsProcess(file string) bool { return strings.HasPrefix(file, "platform/host/") }

type emptyPackages struct{}

func (emptyPackages) Import(p string) (*types.Package, error) {
	name := path.Base(p)
	if matches(`v\d+`, name) {
		name = path.Base(path.Dir(p))
	}
	q := types.NewPackage(p, name)
	q.MarkComplete()
	return q, nil
}

// A rule that never fires is none: each check finds what it is for, and lets
// pass what it is not for.
func TestRulesFire(t *testing.T) {
	for _, c := range []struct {
		path, text string
		want       string // part of the only finding; "" for none
	}{
		{"platform/java/a.go", `import "os"`, "import os"},
		{"platform/host/a.go", `import "os"`, ""},
		{"platform/java/a_test.go", `import "os"`, ""},
		{"platform/java/a.go", `import "runtime"; var a = runtime.GOOS`, "runtime.GOOS"},
		{"platform/java/a.go", `import "runtime"; var a = runtime.NumCPU()`, ""},
		{"store/certfile/a.go", `import "net/http"`, "import net/http"},
		{"cmd/internal/app/a.go", `import "fmt"; func f() { fmt.Println() }`, "fmt.Println"},
		{"cmd/internal/app/a.go", `import "fmt"; func f() { fmt.Errorf("") }`, ""},
		{"cmd/internal/app/a.go", `type s struct{ Exit func(int) }; func f(os s) { os.Exit(1) }`, ""},
		{"cmd/internal/app/a.go", `import o "os"; func f() { o.Exit(1) }`, "os.Exit"},
		{"cmd/internal/app/a.go", `import "github.com/urfave/cli/v2"; var e = cli.Exit("", 1)`, "cli/v2.Exit"},
		{"cmd/internal/app/exit.go", `import "github.com/urfave/cli/v2"; var e = cli.Exit("", 1)`, ""},
		{"cmd/internal/term/a.go", `import "os"; var out = os.Stdout`, ""},
		{"platform/a.go", `func f() { println() }`, "println"},
		{"platform/a.go", `func init() {}`, "func init"},
		{"platform/a_test.go", `func init() {}`, "func init"},
		{"platform/a.go", `type t int; func (t) init() {}`, ""},
		{"platform/nss/a_linux.go", ``, "go:build"},
		{"platform/nss/linux.go", ``, ""},
		{"platform/host/a_linux_amd64.go", ``, "go:build PROCESSOR"},
		{"platform/wincert/api_windows.go", ``, ""},
		{"store/storetest/a.go", `import "testing"`, ""},
		{"store/a.go", `import "testing"`, "import testing"},
		{"platform/a_test.go", `import "time"; func f() { time.Sleep(1) }`, "time.Sleep"},
		{"platform/a_test.go", `import ("testing/synctest"; "time"); func f() { synctest.Test(nil, nil); time.Sleep(1) }`, ""},
	} {
		s, err := parse(token.NewFileSet(), c.path, []byte("package p; "+c.text))
		if err != nil {
			t.Fatal(err)
		}
		only(t, c.path+": "+c.text, checkUses(s), c.want)
	}
	tagged, err := parse(token.NewFileSet(), "platform/a.go", []byte("//go:build linux\n\npackage p"))
	if err != nil {
		t.Fatal(err)
	}
	only(t, "a tagged file", checkUses(tagged), "go:build")
	tagged, err = parse(token.NewFileSet(), "platform/host/a.go", []byte("//go:build linux && !arm64\n\npackage p"))
	if err != nil {
		t.Fatal(err)
	}
	only(t, "a file for some processors", checkUses(tagged), "go:build PROCESSOR")

	for _, c := range []struct{ name, imports, want string }{
		{"store", "crypto/x509", ""},
		{"store", module + "/platform", "may import only std"},
		{"store", "golang.org/x/sys/unix", "may import only std"},
		{"platform/java", module + "/platform/nss", "may import only"},
		{"platform/browser", module + "/platform/nss", ""},
		{"platform/host", "golang.org/x/sys/unix", ""},
		{"platform/keychain/securitytest", module + "/platform/keychain", "may import only"},
		{"platform/keychain/securitytest", "howett.net/plist", "may import only"},
		{"platform", module + "/cmd/internal/app", "may import only"},
		{"elsewhere", "fmt", "no rule"},
	} {
		only(t, c.name+" imports "+c.imports, checkImports(listed{module + "/" + c.name, []string{c.imports}}), c.want)
	}

	for _, c := range []struct{ text, want string }{
		{`var a = map[string]int{}; func f() { a["x"] = 1 }`, "a is changed"},
		{`var a struct{ n int }; func f() { a.n++ }`, "a is changed"},
		{`var a int; func f() { a := 1; a = 2; _ = a }`, ""},
		{`var a []int; func f() { b := a; b[0] = 1 }`, ""},
		{`import "sync"; var m sync.Mutex`, "sync.Mutex"},
		{`import "sync"; var f = sync.OnceValue(func() int { return 1 })`, ""},
	} {
		s, err := parse(token.NewFileSet(), "platform/a.go", []byte("package p; "+c.text))
		if err != nil {
			t.Fatal(err)
		}
		only(t, c.text, checkState([]source{s}), c.want)
	}

	for _, c := range []struct {
		texts []string
		want  string
	}{
		{[]string{"// Package p is.\npackage p", "package p"}, ""},
		{[]string{"// Package p is.\npackage p", "// Package p was.\npackage p"}, "2 package comments"},
		{[]string{"package p", "// A licence.\n\npackage p"}, "0 package comments"},
		{[]string{"// It is.\npackage p"}, "does not begin"},
	} {
		var files []source
		for i, text := range c.texts {
			s, err := parse(token.NewFileSet(), fmt.Sprintf("p/%d.go", i), []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, s)
		}
		only(t, strings.Join(c.texts, " | "), checkComment("p", files), c.want)
	}
}

// only fails the test unless there is one finding and it holds want, or none
// if want is "".
func only(t *testing.T, name string, findings []string, want string) {
	t.Helper()
	if want == "" && len(findings) > 0 || want != "" && (len(findings) != 1 || !strings.Contains(findings[0], want)) {
		t.Errorf("%s: findings %q, want %q", name, findings, want)
	}
}

// What commands say in more than one language they say in all of them.
func TestTextsHaveAllLanguages(t *testing.T) {
	set := token.NewFileSet()
	count := 0
	err := filepath.WalkDir(filepath.Join("..", "cmd"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") {
			return err
		}
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			isText := false
			for _, typ := range []ast.Expr{lit.Type, elementOf(lit.Type)} {
				if sel, ok := typ.(*ast.SelectorExpr); ok && sel.Sel.Name == "Text" && fmt.Sprint(sel.X) == "diagnose" {
					isText = true
					if typ == lit.Type {
						count++
						checkText(t, set, lit)
						return false
					}
				}
			}
			if !isText {
				return true
			}
			for _, element := range lit.Elts { // of a map or a slice: without the type
				if pair, ok := element.(*ast.KeyValueExpr); ok {
					element = pair.Value
				}
				if text, ok := element.(*ast.CompositeLit); ok {
					count++
					checkText(t, set, text)
				}
			}
			return false
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if count < 20 {
		t.Errorf("only %d texts were found", count)
	}
}

// elementOf returns the type of the elements of a map or a slice.
func elementOf(typ ast.Expr) ast.Expr {
	switch typ := typ.(type) {
	case *ast.MapType:
		return typ.Value
	case *ast.ArrayType:
		return typ.Elt
	}
	return nil
}

func checkText(t *testing.T, set *token.FileSet, lit *ast.CompositeLit) {
	t.Helper()
	verbs := map[string]string{}
	for _, element := range lit.Elts {
		if pair, ok := element.(*ast.KeyValueExpr); ok {
			element = pair.Value
		}
		if text, ok := element.(*ast.BasicLit); ok && text.Value != `""` {
			found := regexp.MustCompile(`%[a-z]`).FindAllString(text.Value, -1)
			verbs[text.Value] = strings.Join(found, "")
		}
	}
	values := slices.Collect(maps.Values(verbs))
	if len(lit.Elts) != 2 || len(values) != 2 || values[0] != values[1] {
		t.Errorf("%v: a text that is not in both languages, or has other verbs: %v", set.Position(lit.Pos()), verbs)
	}
}
