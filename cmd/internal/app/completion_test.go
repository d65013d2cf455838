package app

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Store IDs, some of them as odd as the names of files can be.
const (
	oddID    = `java:/opt/my jdk/it's "$(touch OOPS)" & co; !x/cacerts`
	spacedID = `nss:firefox/ab cd.default`
)

func toyValues(flag, command string) []candidate {
	switch flag {
	case "store":
		return []candidate{
			{"anchors:system", "the system's anchors"},
			{"java:/opt/jdk-21/cacerts", "of `java` 21"},
			{oddID, ""},
			{spacedID, "Firefox"},
			{"nss:chromium", ""},
			{"nss:chromium@bob", ""},
			{`win:C:\certs`, ""},
			{"uni:/ünï", ""},
			{"bad:\x1b[31m", ""}, {"bad:\ttab", ""}, {"bad:\nline", ""}, {"bad:\u202eltr", ""}, {"bad:\xff", ""}, {"", ""},
			{"anchors:system", "twice"},
			{"file:", "a\x1b[31m\nfile\t" + strings.Repeat("long ", 50)},
		}
	case "format":
		return []candidate{{"json", "one document"}, {"jsonl", "a line each"}, {"table", ""}}
	case "purpose":
		return []candidate{{"server-auth", command}, {"email", command}}
	case "":
		if command == "remove" {
			return []candidate{{"0123456789abcdef", "Some Root"}}
		}
	}
	return nil
}

func TestComplete(t *testing.T) {
	for _, test := range []struct {
		words     string // separated by "|"
		values    string // separated by space
		directive string
	}{
		// Commands; aliases only once they are begun.
		{"", "list trust remove fleet raw completion", ":none"},
		{"l", "list", ":none"},
		{"un", "untrust", ":none"},
		{"__", "", ":none"},
		{"zz", "", ":none"},
		{"--json|t", "trust", ":none"},
		{"--root|/x|t", "trust", ":none"},
		{"fleet|", "ansible dsc", ":none"},
		{"fleet|dsc|--json|", "get", ":none"},
		{"completion|", "bash zsh fish powershell", ":none"},
		{"lst|", "", ":none"},
		{"lst|--j", "", ":none"},
		// Flags: the command's, then those of the commands around it.
		{"list|-", "--store -s --format --at --count --since --help -h --json --debug --timeout --root --version -v", ":none"},
		{"list|--s", "--store --since", ":none"},
		{"list|x|--js", "--json", ":none"},
		{"--js", "--json", ":none"},
		{"list|--json|--js", "", ":none"},
		{"trust|-n|--dr", "", ":none"},
		{"list|--store|a|--sto", "--store", ":none"},
		{"list|--secr", "", ":none"},
		{"trust|--|--dr", "", ":files"},
		{"fleet|ansible|--c", "--check", ":none"},
		// Values.
		{"list|--format|", "json jsonl table", ":none"},
		{"list|--format|j", "json jsonl", ":none"},
		{"list|--format=j", "--format=json --format=jsonl", ":none"},
		{"list|-format=ta", "-format=table", ":none"},
		{"list|--format|x", "", ":none"},
		{"list|-s|anch", "anchors:system", ":none"},
		{"list|-s|bad", "", ":none"},
		{"list|-s|fi", "file:", ":none"},
		{"list|-s|file:/etc/c", "", ":files\tfile:"},
		{"list|--store=file:/etc/c", "", ":files\t--store=file:"},
		{"trust|--purpose|s", "server-auth", ":none"},
		{"list|--json=", "--json=true --json=false", ":none"},
		{"list|--nosuch=", "", ":none"},
		{"list|--timeout|", "", ":none"},
		{"list|--timeout=", "", ":none"},
		{"list|--count|", "", ":none"},
		{"list|--at|", "", ":none"},
		{"list|--at|--js", "", ":none"},
		{"--root|", "", ":dirs"},
		{"--root=/t", "", ":dirs\t--root="},
		{"list|--root|", "", ":dirs"},
		{"trust|--replaces|", "", ":none"},
		// Arguments.
		{"list|", "", ":none"},
		{"trust|", "", ":files"},
		{"trust|a|-n|", "", ":files"},
		{"remove|01", "0123456789abcdef", ":files"},
		{"untrust|01", "0123456789abcdef", ":files"},
		{"remove|--|01", "0123456789abcdef", ":files"},
	} {
		app := toy(new(toyRun))
		app.Commands = append(app.Commands, completeCommand(toyValues))
		harden(app)
		found, directive := complete(app, strings.Split(test.words, "|"), toyValues)
		var values []string
		for _, c := range found {
			values = append(values, c.value)
		}
		if got := strings.Join(values, " "); got != test.values || directive != test.directive {
			t.Errorf("%s:\n got %q, %q\nwant %q, %q", test.words, got, directive, test.values, test.directive)
		}
	}
}

func TestCompleteDescriptions(t *testing.T) {
	app := toy(new(toyRun))
	harden(app)
	found, _ := complete(app, []string{"list", "--store", ""}, toyValues)
	want := []candidate{
		{"anchors:system", "the system's anchors"},
		{"java:/opt/jdk-21/cacerts", "of `java` 21"},
		{oddID, ""}, {spacedID, "Firefox"},
		{"nss:chromium", ""}, {"nss:chromium@bob", ""},
		{`win:C:\certs`, ""}, {"uni:/ünï", ""},
		{"file:", (`a\u001b[31m file ` + strings.Repeat("long ", 50))[:79] + "…"},
	}
	if diff := cmp.Diff(want, found, cmp.AllowUnexported(candidate{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	found, _ = complete(app, []string{"list", "--sto"}, nil)
	if want := []candidate{{"--store", "only ID"}}; !slices.Equal(found, want) {
		t.Errorf("got %q, want %q", found, want)
	}
	if found, directive := complete(app, nil, nil); len(found) != 6 || directive != ":none" {
		t.Errorf("without words: %q %q", found, directive)
	}
}

func TestCompleteCommand(t *testing.T) {
	complete := func(words ...string) string {
		var out bytes.Buffer
		app := toy(new(toyRun))
		app.Commands = append(app.Commands, completeCommand(toyValues))
		app.Writer = &out
		harden(app)
		if err := app.Run(append([]string{"certtrust"}, permute(app, words)...)); err != nil {
			t.Errorf("%q: %v", words, err)
		}
		return out.String()
	}
	for _, test := range []struct {
		words []string
		want  string
	}{
		{[]string{"__complete", "--", "list", "--format", "json"}, "json\tone document\njsonl\ta line each\n:none\n"},
		{[]string{"__complete", "--", "trust", "--", "--dry-run", ""}, ":files\n"},
		{[]string{"__complete", "--", "trust", "--help", "--dry"}, "--dry-run\tonly say what would be done\n:none\n"},
		{[]string{"__complete", "--", "--version", "--shell"}, ":none\n"},
		{[]string{"__complete", "--shell=bash", "--breaks= :", "--", "list", "--st'ore'", `nss:fire`}, "firefox/ab\\ cd.default\tFirefox\n:none\n"},
		{[]string{"__complete", "--shell=fish", "--", "list", "--store", `"nss:fire`}, spacedID + "\tFirefox\n:none\n"},
		{[]string{"__complete", "--shell=powershell", "--", "list", "--store", `"nss:fire`}, "'" + spacedID + "'\tFirefox\n:none\n"},
		{[]string{"__complete", "--shell=zsh", "--", "list", "--store", `nss:fire`}, spacedID + "\tFirefox\n:none\n"},
		{[]string{"__complete", "--shell=other", "--"}, "list\twhat is trusted\ntrust\tmake trusted\nremove\nfleet\tfor other programs\nraw\n" +
			"completion\tprint the script that makes a shell complete certtrust's command lines\n:none\n"},
	} {
		if got := complete(test.words...); got != test.want {
			t.Errorf("%q:\n got %q\nwant %q", test.words, got, test.want)
		}
	}
}

func TestCompletionCommand(t *testing.T) {
	for _, shell := range shells {
		_, stdout, stderr, err := runToy(t, "completion", shell.name)
		if err != nil || stderr != "" || !strings.Contains(stdout, "__complete") || !strings.Contains(stdout, "--shell="+shell.name) {
			t.Errorf("%s: %v, stderr %q, stdout\n%s", shell.name, err, stderr, stdout)
		}
	}
	files, err := completions.ReadDir("completions")
	if err != nil || len(files) != len(shells) {
		t.Errorf("%d files for %d shells, %v", len(files), len(shells), err)
	}
}

func TestBashWord(t *testing.T) {
	const breaks = " \t\n\"'@><=;|&(:"
	for _, test := range []struct{ value, typed, want string }{
		{"list", "li", "list"},
		{"anchors:system", "an", "anchors:system"},
		{"anchors:system", "anchors:", "system"},
		{"anchors:system", "anchors:sy", "system"},
		{"anchors:system", `anchors\:sy`, "anchors:system"},
		{"anchors:system", `"anchors:sy`, "anchors:system"},
		{"anchors:system", `'anchors:sy`, "anchors:system"},
		{"anchors:system", `anchors:"sy`, "system"},
		{"anchors:system", `anch"ors:"sy`, "anchors:system"},
		{"nss:chromium@bob", "nss:chromium@", "@bob"},
		{"nss:chromium@bob", "nss:chromium@b", "@bob"},
		{"--store=nss:a b", "--store=", `nss:a\ b`},
		{"--store=nss:a b", "--store=nss:", `a\ b`},
		{"nss:a b", `"nss:`, `nss:a b`},
		{"nss:a b", `nss:a\ `, `a\ b`},
		{"nss:a b", `nss:a\`, `a\ b`},
		{`it's`, `"it`, `it's`},
		{`it's`, `'it`, `it'\''s`},
		{`a"$b` + "`" + `\c!`, `"a`, `a\"\$b` + "\\`" + `\\c"'!'"`},
		{`a;b|c&d>e<f(g)h*i?j[k]l{m}n~o#p!q`, "", `a\;b\|c\&d\>e\<f\(g\)h\*i\?j\[k\]l\{m\}n\~o\#p\!q`},
		{"ünï", "", "ünï"},
	} {
		if got := bashWord(test.value, test.typed, breaks); got != test.want {
			t.Errorf("bashWord(%q, %q) = %q, want %q", test.value, test.typed, got, test.want)
		}
	}
}

func TestUnquote(t *testing.T) {
	for typed, want := range map[string]string{
		"": "", "a": "a", `a\ b`: "a b", `'a b'`: "a b", `"a b"c`: "a bc", `'a\b`: `a\b`, `"a\b\"\$`: `a\b"$`, `a\`: "a", `"`: "", `''`: "",
	} {
		if got, _, _ := unquote(typed, ""); got != want {
			t.Errorf("unquote(%q) = %q, want %q", typed, got, want)
		}
	}
}

func TestPowerShellWords(t *testing.T) {
	for value, want := range map[string]string{
		"anchors:system": "anchors:system", "--format=json": "--format=json", `win:C:\certs`: `win:C:\certs`,
		"a b": "'a b'", "it's": "'it''s'", "a’b": "'a’’b'", "$(x)": "'$(x)'", "@a": "'@a'", "a,b": "'a,b'", "ü": "'ü'",
	} {
		if got := powershellWord(value, "", ""); got != want {
			t.Errorf("powershellWord(%q) = %q, want %q", value, got, want)
		}
	}
	for typed, want := range map[string]string{
		"": "", "a": "a", "'a b": "a b", "'a b'": "a b", `"a b`: "a b", "a` b": "a b", "--store='a b": "--store=a b", `C:\x`: `C:\x`, "‘a b’": "a b",
	} {
		if got := powershellLast([]string{"'x", typed}); !slices.Equal(got, []string{"'x", want}) {
			t.Errorf("powershellLast(%q) = %q, want %q", typed, got, want)
		}
	}
	if got := powershellLast(nil); len(got) != 0 {
		t.Errorf("no words: %q", got)
	}
}

func FuzzComplete(f *testing.F) {
	f.Add("list --store nss:f")
	f.Add(`list --store="a'b\`)
	f.Add("-- fleet -- --=")
	f.Fuzz(func(t *testing.T, s string) {
		app := toy(new(toyRun))
		harden(app)
		words := strings.Split(s, " ")
		for _, q := range []quoting{{}, shells[0].quoting, shells[2].quoting, shells[3].quoting} {
			in := words
			if q.in != nil {
				in = q.in(words)
			}
			if len(in) != len(words) {
				t.Fatalf("%q became %q", words, in)
			}
			found, directive := complete(app, in, toyValues)
			if !strings.HasPrefix(directive, ":") || strings.Contains(directive, "\n") {
				t.Fatalf("%q: directive %q", in, directive)
			}
			for _, c := range found {
				if !strings.HasPrefix(c.value, in[len(in)-1]) || strings.ContainsAny(c.value+c.about, "\x1b\t\n\r") {
					t.Fatalf("%q: %q", in, c)
				}
				if q.out != nil {
					q.out(c.value, words[len(words)-1], " \t\n\"'@><=;|&(:")
				}
			}
		}
	})
}

// TestToyProgram is not a test: stubProgram makes this binary run as certtrust
// with it.
func TestToyProgram(t *testing.T) {
	log := os.Getenv("CERTTRUST_TEST_TOY")
	if log == "" {
		t.Skip("only run by other tests")
	}
	code := 0
	if args := flag.Args(); len(args) > 0 && args[0] == "__complete" {
		app := toy(new(toyRun))
		app.Writer = os.Stdout
		app.Commands = append(app.Commands, completeCommand(toyValues))
		harden(app)
		if err := app.Run(append([]string{"certtrust"}, permute(app, args)...)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	} else if file, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600); err != nil {
		code = 1
	} else {
		_ = json.NewEncoder(file).Encode(args)
	}
	os.Exit(code)
}

// stub is a directory with a program named certtrust, and the environment in
// which a shell finds it. Calls other than for completion are logged.
type stub struct {
	dir string
	env []string
}

func newStub(t *testing.T) stub {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\nexec '%s' -test.run='^TestToyProgram$' -- \"$@\"\n", self)
	if err := os.WriteFile(filepath.Join(dir, "certtrust"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, shell := range shells {
		data, err := completions.ReadFile("completions/" + shell.script)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, shell.script), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "work", "some dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "work", "ca file.pem"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return stub{dir, []string{
		"PATH=" + dir + ":/usr/local/bin:/usr/bin:/bin", "HOME=" + dir, "ZDOTDIR=" + dir, "INPUTRC=/dev/null",
		// A race-enabled binary sleeps for a second before it exits, else.
		"GORACE=atexit_sleep_ms=0",
		"LC_ALL=C.UTF-8", "TERM=xterm", "CERTTRUST_TEST_TOY=" + filepath.Join(dir, "log"),
	}}
}

// command prepares a run of a program in the work directory of the stub. A
// shell that waits for an answer that never comes is ended after a minute.
func (s stub) command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	cmd.Dir, cmd.Env = filepath.Join(s.dir, "work"), s.env
	return cmd
}

// needShell skips the test where a program is not installed, except in CI.
func needShell(t *testing.T, names ...string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the stub is a script for /bin/sh")
	}
	for _, name := range names {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
}

// typeInto types lines into an interactive shell on a terminal and returns the
// arguments of each certtrust that it ran.
func (s stub) typeInto(t *testing.T, shell string, lines []string) (calls [][]string, screen string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("script(1) takes other options here")
	}
	needShell(t, "script")
	cmd := s.command(t, "script", "-qec", shell, "/dev/null")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\nexit\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	for _, line := range strings.Split(strings.TrimSpace(string(log)), "\n") {
		var call []string
		if err := json.Unmarshal([]byte(line), &call); err != nil {
			t.Fatalf("log %q: %v\n%s", log, err, out)
		}
		calls = append(calls, call)
	}
	return calls, string(out)
}

// typed are lines as one types them, and what must have been run then, in
// every shell.
var typed = []struct {
	line string
	want []string
}{
	{"certtrust tru\tx", []string{"trust", "x"}},
	{"certtrust list --form\tta\t", []string{"list", "--format", "table"}},
	{"certtrust list --format=ta\t", []string{"list", "--format=table"}},
	{"certtrust list --store anch\t", []string{"list", "--store", "anchors:system"}},
	{"certtrust list --store anchors:\t", []string{"list", "--store", "anchors:system"}},
	{"certtrust list --store=anchors:sy\t", []string{"list", "--store=anchors:system"}},
	{"certtrust list --store nss:f\t", []string{"list", "--store", spacedID}},
	{`certtrust list --store nss:firefox/ab\ ` + "\t", []string{"list", "--store", spacedID}},
	{`certtrust list --store "nss:f` + "\t", []string{"list", "--store", spacedID}},
	{`certtrust list --store 'nss:firefox/ab c` + "\t", []string{"list", "--store", spacedID}},
	{"certtrust list --store java:/opt/m\t", []string{"list", "--store", oddID}},
	{`certtrust list --store "java:/opt/my j` + "\t", []string{"list", "--store", oddID}},
	{"certtrust list --store 'java:/opt/my j\t", []string{"list", "--store", oddID}},
	{"certtrust list --store=java:/opt/m\t", []string{"list", "--store=" + oddID}},
	{"certtrust list --store nss:chromium@\t", []string{"list", "--store", "nss:chromium@bob"}},
	{"certtrust list --store w\t", []string{"list", "--store", `win:C:\certs`}},
	{"certtrust list --store uni\t", []string{"list", "--store", "uni:/ünï"}},
	{"certtrust list --store uni:/ü\t", []string{"list", "--store", "uni:/ünï"}},
	{"certtrust trust ca\t", []string{"trust", "ca file.pem"}},
	{"certtrust trust -n ./ca\t", []string{"trust", "-n", "./ca file.pem"}},
	{"certtrust list --store file:ca\t", []string{"list", "--store", "file:ca file.pem"}},
	{"certtrust list --root so\t", []string{"list", "--root", "some dir"}},
	{"certtrust list --root=so\t", []string{"list", "--root=some dir"}},
	// Nothing fits: nothing is put in, not even the name of a file.
	{"certtrust list --format ca\t", []string{"list", "--format", "ca"}},
	{"certtrust list --store bad\t", []string{"list", "--store", "bad"}},
	{"certtrust list ca\t", []string{"list", "ca"}},
}

func (s stub) checkTyped(t *testing.T, shell string, setUp ...string) {
	t.Helper()
	lines := setUp
	for _, test := range typed {
		lines = append(lines, test.line)
	}
	calls, screen := s.typeInto(t, shell, lines)
	for i, test := range typed {
		if i >= len(calls) {
			t.Errorf("%q and those after it were not run", test.line)
			break
		}
		got := slices.Clone(calls[i])
		if n := len(got); n > 0 { // some shells leave out the "/" after a directory
			got[n-1] = strings.TrimSuffix(got[n-1], "/")
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%q ran %q, want %q", test.line, calls[i], test.want)
		}
	}
	if len(calls) != len(typed) {
		t.Errorf("%d lines, %d calls: %q", len(typed), len(calls), calls)
	}
	if t.Failed() {
		t.Logf("the terminal showed:\n%q", screen)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "work", "OOPS")); err == nil {
		t.Error("a store's ID was run as a command")
	}
}

func TestBashInteractive(t *testing.T) {
	needShell(t, "bash")
	newStub(t).checkTyped(t, "bash --norc --noprofile -i", "source ../certtrust.bash")
}

func TestZshInteractive(t *testing.T) {
	needShell(t, "zsh")
	newStub(t).checkTyped(t, "zsh -f -i",
		"autoload -Uz compinit; compinit -u -D; source ../certtrust.zsh; zstyle ':completion:*' insert-tab false")
}

func TestFishInteractive(t *testing.T) {
	needShell(t, "fish")
	newStub(t).checkTyped(t, "fish --no-config -i", "source ../certtrust.fish")
}

// Bash's completion function, called as bash calls it.
func TestBashFunction(t *testing.T) {
	needShell(t, "bash")
	s := newStub(t)
	for _, test := range []struct {
		line  string // "^" is the cursor
		words string // as bash cuts the line, separated by "|"
		at    int
		want  string // COMPREPLY and the options that were set
	}{
		{"certtrust un^", "certtrust|un", 1, "untrust\n+o default\n"},
		{"certtrust tru^st ca.pem", "certtrust|trust|ca.pem", 1, "trust\n+o default\n"},
		{"certtrust  list --store   anchors:^", "certtrust|list|--store|anchors|:", 4, "system\n+o default\n"},
		{"certtrust list --store anchors:s^", "certtrust|list|--store|anchors|:|s", 5, "system\n+o default\n"},
		{"certtrust list --store nss:^", "certtrust|list|--store|nss|:", 4,
			"firefox/ab\\ cd.default\nchromium\nchromium@bob\n+o default\n"},
		{"certtrust list --store=nss:chr^", "certtrust|list|--store|=|nss|:|chr", 6, "chromium\nchromium@bob\n+o default\n"},
		{"certtrust list --store f^", "certtrust|list|--store|f", 3, "file:\n+o default\n-o nospace\n"},
		{"certtrust list --store file:/e^", "certtrust|list|--store|file|:|/e", 5, ""},
		{"certtrust trust ^", "certtrust|trust|", 2, ""},
		{"certtrust --root ^", "certtrust|--root|", 2, "+o default -o dirnames\n"},
		{"certtrust list ^", "certtrust|list|", 2, "+o default\n"},
		{"./no\\ such list --form^", "./no\\ such|list|--form", 2, "--format\n+o default\n"},
	} {
		before, rest, _ := strings.Cut(test.line, "^")
		program, _, _ := strings.Cut(test.words, "|")
		cmd := s.command(t, "bash", "--norc", "--noprofile", "-c", `
			source ../certtrust.bash
			compopt() { options+="$*"$'\n'; }
			options=
			_certtrust "$PROGRAM"
			((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}"
			printf %s "$options"`)
		// In the script's own words, so that arrays and empty elements survive.
		cmd.Args[len(cmd.Args)-1] = fmt.Sprintf("COMP_LINE='%s' COMP_POINT=%d COMP_CWORD=%d PROGRAM='%s'; COMP_WORDS=('%s')\n",
			before+rest, len(before), test.at, program, strings.ReplaceAll(test.words, "|", "' '")) + cmd.Args[len(cmd.Args)-1]
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != test.want {
			t.Errorf("%s: %v\n got %q\nwant %q", test.line, err, out, test.want)
		}
	}
}

// Fish's own view of what it can complete, with the descriptions.
func TestFishFunction(t *testing.T) {
	needShell(t, "fish")
	s := newStub(t)
	for line, want := range map[string]string{
		"certtrust un":                         "untrust\n",
		"certtrust list --form":                "--format\n",
		"certtrust list --format=j":            "--format=json\tone document\n--format=jsonl\ta line each\n",
		"certtrust list --store anch":          "anchors:system\tthe system's anchors\n",
		`certtrust list --store "nss:fi`:       spacedID + "\tFirefox\n",
		`certtrust list --store win`:           `win:C:\certs` + "\n",
		"certtrust trust ca":                   "ca file.pem\n",
		"certtrust list --store=file:ca":       "--store=file:ca file.pem\n",
		"certtrust --root ":                    "some dir/\n",
		"certtrust list --format ca":           "",
		"certtrust list --store bad":           "",
		"/no/such/certtrust list --store anch": "anchors:system\tthe system's anchors\n",
	} {
		cmd := s.command(t, "fish", "--no-config", "-c", "source ../certtrust.fish; complete -C $argv[1]", line)
		out, err := cmd.CombinedOutput()
		if err != nil || strings.ReplaceAll(string(out), "\tDirectory", "") != want {
			t.Errorf("%s: %v\n got %q\nwant %q", line, err, out, want)
		}
	}
}

// PowerShell's script is not run here: it can only be had with PowerShell. What
// it relies on is checked in its text.
func TestPowerShellScript(t *testing.T) {
	data, err := completions.ReadFile("completions/certtrust.ps1")
	if err != nil {
		t.Fatal(err)
	}
	script := string(data)
	for _, want := range []string{
		"Register-ArgumentCompleter -Native -CommandName 'certtrust'", "'__complete', '--shell=powershell', '--'",
		completeNone, "CompletionResult]::new(",
	} {
		if !strings.Contains(script, want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(script, "Invoke-Expression") {
		t.Error("text from the command line is run")
	}
	// Brackets outside of strings and comments come in pairs.
	var open []byte
	quote := byte(0)
	for i := 0; i < len(script); i++ {
		switch ch := script[i]; {
		case quote == '#':
			if ch == '\n' {
				quote = 0
			}
		case quote != 0:
			if ch == quote {
				quote = 0
			}
		case ch == '#', ch == '"', ch == '\'':
			quote = ch
		case strings.IndexByte("([{", ch) >= 0:
			open = append(open, ch)
		case strings.IndexByte(")]}", ch) >= 0:
			if n := len(open); n == 0 || strings.IndexByte("([{", open[n-1]) != strings.IndexByte(")]}", ch) {
				t.Fatalf("%q closes nothing: %s", ch, script[:i+1])
			} else {
				open = open[:n-1]
			}
		}
	}
	if len(open) > 0 || quote != 0 {
		t.Errorf("left open: %q %q", open, quote)
	}
}
