package app

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/store"
)

// ran is what reached the action of a command.
type toyRun struct {
	Command string
	Args    []string
	Flags   string // those that are set, "name=value", sorted
}

// toy is a small command tree with one of every kind. Its actions write to
// *got.
func toy(got *toyRun) *cli.App {
	action := func(c *cli.Context) error {
		*got = toyRun{Command: c.Command.Name, Args: c.Args().Slice()}
		var set []string
		for _, name := range []string{"json", "debug", "timeout", "root", "dry-run", "purpose", "at", "store", "format", "count"} {
			if c.IsSet(name) {
				value := c.Value(name)
				if s, ok := value.(cli.StringSlice); ok {
					value = s.Value()
				}
				set = append(set, fmt.Sprintf("%s=%v", name, value))
			}
		}
		slices.Sort(set)
		got.Flags = strings.Join(set, " ")
		return nil
	}
	return &cli.App{
		Name: "certtrust", Usage: "toy", Version: "1.2.3",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "write JSON"},
			&cli.BoolFlag{Name: "debug"},
			&cli.DurationFlag{Name: "timeout", Usage: "give up after `DURATION`"},
			&cli.StringFlag{Name: "root", Usage: "work in `DIR`"},
		},
		Commands: []*cli.Command{
			{
				Name: "list", Usage: "what is trusted", Action: action,
				Flags: []cli.Flag{
					&cli.StringSliceFlag{Name: "store", Aliases: []string{"s"}, Usage: "only `ID`"},
					&cli.StringFlag{Name: "format"},
					&cli.StringFlag{Name: "at", Usage: "as of `TIME`"},
					&cli.IntFlag{Name: "count"},
					&cli.TimestampFlag{Name: "since", Layout: time.DateOnly},
					&cli.BoolFlag{Name: "secret", Hidden: true},
				},
			},
			{
				Name: "trust", Usage: "make trusted", ArgsUsage: "FILE...", Action: action,
				Flags: []cli.Flag{
					&cli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Usage: "only say what would be done"},
					&cli.StringSliceFlag{Name: "purpose"},
					&cli.StringFlag{Name: "replaces", Usage: "the one with `FINGERPRINT`"},
				},
			},
			{
				Name: "remove", Aliases: []string{"untrust"}, ArgsUsage: "FILE|FINGERPRINT", Action: action,
				Flags: []cli.Flag{&cli.BoolFlag{Name: "dry-run"}},
			},
			{
				Name: "fleet", Usage: "for other programs",
				Flags: []cli.Flag{&cli.BoolFlag{Name: "check"}},
				Subcommands: []*cli.Command{
					{Name: "ansible", ArgsUsage: "FILE", Action: action},
					{Name: "dsc", Subcommands: []*cli.Command{{Name: "get", Action: action}}},
				},
			},
			{Name: "raw", Action: action, SkipFlagParsing: true},
			completionCommand(),
		},
	}
}

var permuted = []struct{ in, want string }{
	{"", ""},
	{"list", "list"},
	// The words of this one run for real if the flag is taken for a file.
	{"trust ca.pem --dry-run", "trust --dry-run ca.pem"},
	{"trust ca.pem -n other.pem", "trust -n ca.pem other.pem"},
	{"trust ca.pem --dry-run=false", "trust --dry-run=false ca.pem"},
	{"trust --dry-run false", "trust --dry-run false"},
	{"untrust ca.pem --dry-run", "untrust --dry-run ca.pem"},
	// Flags of the root go before the command.
	{"list --json", "--json list"},
	{"--json list", "--json list"},
	{"trust a --root /x --json b -n", "--root /x --json trust -n a b"},
	{"trust a --root=/x", "--root=/x trust a"},
	{"trust a -root /x", "-root /x trust a"},
	{"fleet ansible f --check --json", "--json fleet --check ansible f"},
	{"fleet dsc get --debug", "--debug fleet dsc get"},
	{"list --version", "--version list"},
	{"list -v", "-v list"},
	// Repeated ones keep their order.
	{"list x --store a --format json --store b", "list --store a --format json --store b x"},
	// A value is whatever comes next, as in package flag.
	{"list x --at -5m", "list --at -5m x"},
	{"list x --at -- y", "list --at -- x y"},
	{"list x --at --json", "list --at --json x"},
	{"list --format list", "list --format list"},
	{"--root list list", "--root list list"},
	// "--" ends the flags, and stays.
	{"trust -- ca.pem --dry-run", "trust -- ca.pem --dry-run"},
	{"trust a.pem -- -b.pem", "trust -- a.pem -b.pem"},
	{"trust a -n -- -- -n", "trust -n -- a -- -n"},
	{"-- list --json", "list -- --json"},
	{"list --", "list --"},
	// "-" is an argument.
	{"trust - -n", "trust -n -"},
	{"list --at - x", "list --at - x"},
	// A negative number is one too, whatever the cli package thinks.
	{"list -5 --json", "--json list -- -5"},
	{"list x --json -67843 -n5", "--json list -n5 -- x -67843"},
	{"list -- -5", "list -- -5"},
	{"list --at -5 x", "list --at -5 x"},
	{"raw -5", "raw -5"},
	// An unknown flag goes where it is refused, and takes nothing with it.
	{"trust ca.pem --dryrun", "trust --dryrun ca.pem"},
	{"trust ca.pem --bogus x", "trust --bogus ca.pem x"},
	{"trust ca.pem --bogus=x y", "trust --bogus=x ca.pem y"},
	{"trust ca.pem ---n", "trust ---n ca.pem"},
	{"trust ca.pem --=n", "trust --=n ca.pem"},
	{"trust ca.pem -=", "trust -= ca.pem"},
	{"trust ca.pem -nx", "trust -nx ca.pem"},
	{"--dry-run trust ca.pem", "--dry-run trust ca.pem"},
	// Help is for the innermost command.
	{"trust ca.pem --help", "trust --help ca.pem"},
	{"--help trust", "trust --help"},
	{"-h fleet dsc", "fleet dsc -h"},
	// With a command that does not exist the rest has no meaning.
	{"lst --dry-run x", "lst --dry-run x"},
	{"--json lst -- x", "--json lst -- x"},
	{"fleet nosuch --json", "fleet nosuch --json"},
	// A flag that lacks its value must not get an argument for one.
	{"trust ca.pem --purpose", "trust --purpose"},
	{"trust ca.pem -n --root", "--root"},
	{"list --json --at", "--json list --at"},
	// A command that reads its own flags gets them.
	{"--json raw --json -- --root", "--json raw --json -- --root"},
}

func TestPermute(t *testing.T) {
	for _, test := range permuted {
		for _, hardened := range []bool{false, true} {
			app := toy(new(toyRun))
			if hardened {
				harden(app)
			}
			in := strings.Fields(test.in)
			before := slices.Clone(in)
			got := strings.Join(permute(app, in), " ")
			if got != test.want {
				t.Errorf("permute(%q), hardened %v:\n got %q\nwant %q", test.in, hardened, got, test.want)
			}
			if !slices.Equal(in, before) {
				t.Errorf("permute(%q) changed its argument", test.in)
			}
		}
	}
	if got := permute(toy(new(toyRun)), nil); len(got) != 0 {
		t.Errorf("permute of nothing = %q", got)
	}
	if got := permute(toy(new(toyRun)), []string{"trust", "", "-n"}); !slices.Equal(got, []string{"trust", "-n", ""}) {
		t.Errorf("an empty argument: %q", got)
	}
}

// runToy runs a hardened toy as the program does.
func runToy(t testing.TB, words ...string) (got toyRun, stdout, stderr string, err error) {
	t.Helper()
	app := toy(&got)
	var out, errOut bytes.Buffer
	app.Writer, app.ErrWriter = &out, &errOut
	harden(app)
	err = app.Run(append([]string{"certtrust"}, permute(app, words)...))
	return got, out.String(), errOut.String(), err
}

func TestRunToy(t *testing.T) {
	for _, test := range []struct {
		line string
		want toyRun
	}{
		{"trust ca.pem --dry-run", toyRun{"trust", []string{"ca.pem"}, "dry-run=true"}},
		{"trust ca.pem -n=false", toyRun{"trust", []string{"ca.pem"}, "dry-run=false"}},
		{"untrust ca.pem --dry-run --json", toyRun{"remove", []string{"ca.pem"}, "dry-run=true json=true"}},
		{"trust a.pem -- -b.pem --dry-run", toyRun{"trust", []string{"a.pem", "-b.pem", "--dry-run"}, ""}},
		{"trust - --root /x b", toyRun{"trust", []string{"-", "b"}, "root=/x"}},
		{"list --at -5m --timeout 3s", toyRun{"list", []string{}, "at=-5m timeout=3s"}},
		{"list --json --store a,b -s c", toyRun{}}, // two forms of one flag
		{"list --json --store a,b --store c", toyRun{"list", []string{}, "json=true store=[a,b c]"}},
		{"fleet ansible f --debug", toyRun{"ansible", []string{"f"}, "debug=true"}},
		{"fleet dsc get --root=/x", toyRun{"get", []string{}, "root=/x"}},
		{"-- fleet ansible --json", toyRun{"ansible", []string{"--json"}, ""}},
		// Names of commands are arguments like others.
		{"trust help h list -n", toyRun{"trust", []string{"help", "h", "list"}, "dry-run=true"}},
		{"trust trust", toyRun{"trust", []string{"trust"}, ""}},
		{"raw --json -x", toyRun{"raw", []string{"--json", "-x"}, ""}},
	} {
		got, stdout, stderr, err := runToy(t, strings.Fields(test.line)...)
		if (err != nil) != (test.want.Command == "") {
			t.Errorf("%s: %v", test.line, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", test.line, diff)
		}
		if stdout+stderr != "" {
			t.Errorf("%s: printed %q %q", test.line, stdout, stderr)
		}
	}
}

func TestUsageErrors(t *testing.T) {
	for _, test := range []struct{ line, text, hint string }{
		{"", "certtrust needs a command", "see certtrust --help"},
		{"lst", `unknown command "lst"`, "did you mean certtrust list?"},
		{"lst --help", `unknown command "lst"`, "did you mean certtrust list?"},
		{"untrsut x", `unknown command "untrsut"`, "did you mean certtrust untrust?"},
		{"frobnicate", `unknown command "frobnicate"`, "see certtrust --help"},
		{"comp", `unknown command "comp"`, "did you mean certtrust completion?"},
		{"fleet", "certtrust fleet needs a command", "see certtrust fleet --help"},
		{"fleet ansibel", `unknown command "fleet ansibel"`, "did you mean certtrust fleet ansible?"},
		{"fleet dsc x", `unknown command "fleet dsc x"`, "see certtrust fleet dsc --help"},
		{"lst\x1b[31m", `unknown command "lst\x1b[31m"`, "see certtrust --help"},
		{"trust ca.pem --dryrun", "unknown flag --dryrun", "did you mean --dry-run?"},
		{"trust ca.pem --dr", "unknown flag --dr", "see certtrust trust --help"},
		{"trust ca.pem --dry", "unknown flag --dry", "did you mean --dry-run?"},
		{"trust ca.pem --jsno", "unknown flag --jsno", "did you mean --json?"},
		{"trust ca.pem -x", "unknown flag -x", "see certtrust trust --help"},
		{"trust ca.pem -nx", "unknown flag --nx", "see certtrust trust --help"},
		{"trust ca.pem --dryrun=1", "unknown flag --dryrun", "did you mean --dry-run?"},
		{"list --secre", "unknown flag --secre", "see certtrust list --help"},
		{"list --x\x1b[31m", `unknown flag --x\u001b[31m`, "see certtrust list --help"},
		{"--dry-run trust ca.pem", "unknown flag --dry-run", "it is a flag of trust, remove: put it after the command"},
		{"trust ca.pem --purpose", "--purpose needs a value", ""},
		{"trust ca.pem --root", "--root needs a value", ""},
		{"list --timeout", "--timeout needs a value", "a duration is written like 30s, 5m or 48h"},
		{"trust ca.pem -n=maybe", `-n: "maybe" is not true or false`, ""},
		{"list --json=maybe", `--json: "maybe" is not true or false`, ""},
		{"list --timeout 5minutes", `--timeout: "5minutes" is not a duration`, "a duration is written like 30s, 5m or 48h"},
		{"list --timeout=", `--timeout: "" is not a duration`, "a duration is written like 30s, 5m or 48h"},
		{"list --count many", `--count: "many" is not a whole number`, ""},
		{"list --since friday", `--since: "friday" is not a time`, "a time is written like 2006-01-02"},
		{"trust ---x", `"---x" is no flag`, "if it is an argument, put -- before it"},
		{"list --store a -s b", "--store and -s are the same flag: give one of them", ""},
		{"completion tcsh", `unknown command "completion tcsh"`, "see certtrust completion --help"},
		{"completion bash extra", "completion bash takes no arguments", ""},
	} {
		got, stdout, stderr, err := runToy(t, strings.Fields(test.line)...)
		var u *usageError
		if !errors.As(err, &u) || !errors.Is(err, store.ErrInput) {
			t.Errorf("%s: %T %v is no usage error", test.line, err, err)
			continue
		}
		if err.Error() != test.text || store.Hint(err) != test.hint {
			t.Errorf("%s:\n got %q, hint %q\nwant %q, hint %q", test.line, err, store.Hint(err), test.text, test.hint)
		}
		if stdout+stderr != "" || got.Command != "" {
			t.Errorf("%s: printed %q %q, ran %q", test.line, stdout, stderr, got.Command)
		}
	}
}

func TestHardenHelp(t *testing.T) {
	for _, test := range []struct {
		line string
		want []string
		not  string
	}{
		{"--help", []string{"certtrust - toy", "GLOBAL OPTIONS", "--root DIR", "--help, -h", "--version", "untrust"}, "secret"},
		{"-h", []string{"GLOBAL OPTIONS"}, ""},
		{"trust --help", []string{"certtrust trust - make trusted", "certtrust trust [command options] FILE...", "--dry-run, -n"}, "COMMANDS"},
		{"trust ca.pem --help", []string{"certtrust trust - make trusted"}, "COMMANDS"},
		{"trust list --help", []string{"certtrust trust - make trusted"}, "what is trusted"},
		{"--help trust -n", []string{"certtrust trust - make trusted"}, ""},
		{"fleet --help", []string{"certtrust fleet - for other programs", "ansible", "--check"}, "GLOBAL"},
		{"--help fleet ansible", []string{"certtrust fleet ansible"}, ""},
		{"fleet dsc get x -h", []string{"certtrust fleet dsc get"}, ""},
		{"completion bash --help", []string{"certtrust completion bash", "source <(certtrust completion bash)"}, ""},
		{"--version", []string{"1.2.3"}, "COMMANDS"},
		{"list --version", []string{"1.2.3"}, "COMMANDS"},
	} {
		got, stdout, stderr, err := runToy(t, strings.Fields(test.line)...)
		if err != nil || stderr != "" || got.Command != "" {
			t.Errorf("%s: %v, stderr %q, ran %q", test.line, err, stderr, got.Command)
		}
		for _, want := range test.want {
			if !strings.Contains(stdout, want) {
				t.Errorf("%s: no %q in\n%s", test.line, want, stdout)
			}
		}
		if test.not != "" && strings.Contains(stdout, test.not) {
			t.Errorf("%s: %q in\n%s", test.line, test.not, stdout)
		}
	}
}

// Errors of actions come back as they are: nothing is printed, nothing exits.
func TestHardenErrors(t *testing.T) {
	for _, err := range []error{errors.New("x"), cli.Exit("gone", 7), usage("%s no", "oh")} {
		var out bytes.Buffer
		app := &cli.App{Writer: &out, ErrWriter: &out, Commands: []*cli.Command{
			{Name: "do", Action: func(*cli.Context) error { return err }},
			{Name: "nothing"},
		}}
		harden(app)
		if got := app.Run([]string{"certtrust", "do"}); got != err || out.Len() > 0 {
			t.Errorf("%v came back as %v, printed %q", err, got, out.String())
		}
		var u *usageError
		if got := app.Run([]string{"certtrust", "nothing"}); !errors.As(got, &u) {
			t.Errorf("a command without an action: %v", got)
		}
	}
}

// A root with an action of its own keeps it, but not for unknown commands.
func TestHardenBareRoot(t *testing.T) {
	calls := 0
	app := &cli.App{Action: func(*cli.Context) error { calls++; return nil }, Commands: []*cli.Command{{Name: "do"}}}
	harden(app)
	if err := app.Run([]string{"certtrust"}); err != nil || calls != 1 {
		t.Errorf("%v, %d calls", err, calls)
	}
	var u *usageError
	if err := app.Run([]string{"certtrust", "dont"}); !errors.As(err, &u) || calls != 1 {
		t.Errorf("%v, %d calls", err, calls)
	}
}

type onOff struct{ on bool }

func (o *onOff) Set(s string) error { o.on = s == "true"; return nil }
func (o *onOff) String() string     { return fmt.Sprint(o.on) }
func (o *onOff) IsBoolFlag() bool   { return true }

type choice struct{ value string }

func (c *choice) Set(s string) error {
	if s != "red" {
		return errors.New("only red\x07 will do")
	}
	c.value = s
	return nil
}
func (c *choice) String() string { return c.value }

// Which flags take a value is decided as package flag decides it.
func TestGenericFlags(t *testing.T) {
	newApp := func() (*cli.App, *[]string) {
		args := new([]string)
		app := &cli.App{Commands: []*cli.Command{{
			Name: "do",
			Flags: []cli.Flag{
				&cli.GenericFlag{Name: "switch", Value: &onOff{}},
				&cli.GenericFlag{Name: "colour", Value: &choice{}},
			},
			Action: func(c *cli.Context) error { *args = c.Args().Slice(); return nil },
		}}}
		harden(app)
		return app, args
	}
	for line, want := range map[string]string{
		"do a --switch b":           "a b",
		"do a --colour red b":       "a b",
		"do a --colour=red b":       "a b",
		"do --switch=false a -- -b": "a -b",
	} {
		app, args := newApp()
		if err := app.Run(append([]string{"certtrust"}, permute(app, strings.Fields(line))...)); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if got := strings.Join(*args, " "); got != want {
			t.Errorf("%s: args %q, want %q", line, got, want)
		}
	}
	app, _ := newApp()
	err := app.Run(append([]string{"certtrust"}, permute(app, []string{"do", "x", "--colour", "blue"})...))
	if err == nil || err.Error() != `--colour: "blue": only red\u0007 will do` {
		t.Errorf("got %v", err)
	}
}

// A value from the environment can be wrong too.
func TestFlagFromEnvironment(t *testing.T) {
	t.Setenv("CERTTRUST_TEST_TIMEOUT", "soon")
	var out bytes.Buffer
	app := &cli.App{Writer: &out, Commands: []*cli.Command{{
		Name:   "do",
		Flags:  []cli.Flag{&cli.DurationFlag{Name: "timeout", EnvVars: []string{"CERTTRUST_TEST_TIMEOUT"}}},
		Action: func(*cli.Context) error { return nil },
	}}}
	harden(app)
	err := app.Run([]string{"certtrust", "do"})
	var u *usageError
	if !errors.As(err, &u) || !strings.Contains(err.Error(), "CERTTRUST_TEST_TIMEOUT") || out.Len() > 0 {
		t.Errorf("got %v, printed %q", err, out.String())
	}
}

func TestNearest(t *testing.T) {
	names := []string{"list", "trust", "untrust", "distrust", "remove", "completion", "x"}
	for word, want := range map[string]string{
		"lsit": "list", "trsut": "trust", "unturst": "untrust", "removed": "remove", "com": "completion",
		"y": "", "": "", "zzz": "", "trusting": "", strings.Repeat("l", 1000): "",
	} {
		if got := nearest(word, names); got != want {
			t.Errorf("nearest(%.20q) = %q, want %q", word, got, want)
		}
	}
	for _, d := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abd", 1}, {"abc", "acb", 1}, {"kitten", "sitting", 3}} {
		if got := distance(d.a, d.b); got != d.want {
			t.Errorf("distance(%q, %q) = %d, want %d", d.a, d.b, got, d.want)
		}
	}
}

// subsequence reports whether the elements of part are in whole, in order.
func subsequence(part, whole []string) bool {
	for _, s := range whole {
		if len(part) > 0 && part[0] == s {
			part = part[1:]
		}
	}
	return len(part) == 0
}

func FuzzPermute(f *testing.F) {
	for _, test := range permuted {
		f.Add(test.in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		in := strings.Split(s, " ") // with empty ones
		var got toyRun
		app := toy(&got)
		app.Writer, app.ErrWriter = &bytes.Buffer{}, &bytes.Buffer{}
		harden(app)
		out := permute(app, in)
		if again := permute(app, out); !slices.Equal(again, out) {
			t.Fatalf("permute(%q) = %q, and again %q", in, out, again)
		}
		l := parseLine(app, in)
		end := slices.IndexFunc(l.words, func(w lineWord) bool { return w.role == isEnd })
		if end >= 0 && !subsequence(in[end+1:], out) {
			t.Fatalf("permute(%q) = %q: the words after -- are in another order", in, out)
		}
		err := app.Run(append([]string{"certtrust"}, out...))
		var u *usageError
		if err != nil && !errors.As(err, &u) {
			t.Fatalf("%q: %v is no usage error", out, err)
		}
		if l.open != nil {
			if len(out) == 0 || out[len(out)-1] != in[len(in)-1] || err == nil {
				t.Fatalf("permute(%q) = %q lacks a value, but: %v", in, out, err)
			}
			return
		}
		same := slices.Sorted(slices.Values(in))
		if l.negative && end < 0 {
			same = slices.Sorted(slices.Values(append(same, "--")))
		}
		if !slices.Equal(same, slices.Sorted(slices.Values(out))) {
			t.Fatalf("permute(%q) = %q has other words", in, out)
		}
		// What reaches a command that reads flags has none left in it.
		if end < 0 && got.Command != "" && got.Command != "raw" {
			for _, arg := range got.Args {
				if strings.HasPrefix(arg, "-") && arg != "-" && !negative().MatchString(arg) {
					t.Fatalf("%q became an argument of %q", arg, out)
				}
			}
		}
	})
}

// A command that goes by another name than its own would not be found.
func TestCommandNames(t *testing.T) {
	a := &App{Streams: &term.Streams{}}
	for _, n := range a.commands() {
		if tree := a.tree(n.name); tree.Command(n.name) == nil {
			t.Errorf("%s is called %s", n.name, tree.Commands[0].Name)
		}
	}
	if all := len(a.tree().Commands); all != len(a.commands()) || len(a.tree("trust").Commands) != 1 || len(a.tree("help").Commands) != all {
		t.Error("not the commands that are asked for")
	}
}
