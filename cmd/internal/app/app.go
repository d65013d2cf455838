// Package app is the certtrust program: the tree of its commands, and what
// each of them does. A command has a file; what several share has one too.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/render"
	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/platform"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// App is what a run of the program works with.
type App struct {
	Version  string
	Host     *host.Host
	Backends []platform.Backend
	Streams  *term.Streams
	// Environ is the environment of whoever asks, as os.Environ has it.
	Environ []string
	// Self is the command line by which the program runs itself with other
	// rights.
	Self []string
	// ReadFile reads the files that are named as input.
	ReadFile func(path string, max int64) ([]byte, error)
	// WriteFile writes the files that are named as output.
	WriteFile func(path string, data []byte) error
	// WriteDir writes the directories that are named as output, which are new
	// or empty.
	WriteDir func(dir string, files []certfile.DirFile) error

	args  []string   // the arguments as given
	image *host.Host // the offline root that the command is about, nil for this machine
}

// Main runs the program on this machine with the arguments args, the first
// being its own name, and returns its exit code.
func Main(version string, args []string) int {
	if version == "" {
		version = builtVersion()
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	return here(version, args[0]).interruptibly(args)
}

// garbage is how much of it may gather, in percent of what is in use, before it is
// collected: a command ends soon, and most of them before that.
const garbage = 400

// here returns the program on this machine, which was called by the name self.
func here(version, self string) *App {
	h := host.Local()
	if at, err := time.Parse(time.RFC3339, os.Getenv("CERTTRUST_TEST_NOW")); err == nil {
		h.Now = func() time.Time { return at } // for tests of what depends on the day
	}
	if path, err := os.Executable(); err == nil {
		self = path
	}
	a := &App{
		Version: version, Host: h, Backends: platform.Backends(), Streams: term.System(), Self: []string{self},
		Environ: os.Environ(),
	}
	// Input and output files are the caller's, not those of a root that is
	// looked at.
	a.ReadFile = func(name string, max int64) ([]byte, error) {
		name, err := filepath.Abs(name)
		if err != nil {
			return nil, err
		}
		return host.Local().ReadFile(name, max)
	}
	a.WriteFile = func(name string, data []byte) error {
		name, err := filepath.Abs(name)
		if err != nil {
			return err
		}
		return host.Local().WriteFile(name, data, host.WriteOptions{Mode: 0o644})
	}
	a.WriteDir = func(dir string, files []certfile.DirFile) error {
		dir, err := filepath.Abs(dir)
		if err != nil {
			return err
		}
		return writeDir(host.Local(), dir, files)
	}
	return a
}

// interruptibly is Run until the process is asked to end.
func (a *App) interruptibly(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	return a.Run(ctx, args)
}

func builtVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(unknown)"
}

// Run runs one command line and returns the exit code.
func (a *App) Run(ctx context.Context, args []string) int {
	a.Streams.Stop = ctx.Done()
	if len(args) > 0 {
		a.args = args[1:]
	}
	tree := a.tree(a.args...)
	if len(args) > 0 {
		args = append([]string{args[0]}, permute(tree, args[1:])...)
	}
	r := &result{stop: func() {}}
	defer func() { r.stop() }()
	err := tree.RunContext(context.WithValue(ctx, resultKey{}, r), args)
	a.Streams.Status("")
	switch {
	case err == nil || errors.Is(err, store.ErrPartial):
	case ctx.Err() != nil:
		err = store.Because(context.Canceled, "interrupted: %w", err)
	case errors.Is(err, context.DeadlineExceeded) && r.timeout > 0:
		err = fmt.Errorf("it took longer than %s: %w", r.timeout, err)
	}
	if err != nil && !r.told {
		a.report(err, r)
	}
	return exitCode(err, r)
}

// result is what a command leaves behind besides its error.
type result struct {
	json     bool     // results are JSON
	written  bool     // a result is on standard output
	told     bool     // the error has been told as part of the result
	exitZero bool     // findings are no failure
	placed   []string // IDs of stores that were named by another path
	timeout  time.Duration
	stop     context.CancelFunc
	untimed  context.Context // without --timeout, for what has to keep it for each of many things
}

type resultKey struct{}

func resultOf(c *cli.Context) *result { return c.Context.Value(resultKey{}).(*result) }

// report tells an error: to people on standard error, and to a program that
// asked for JSON on standard output too, unless there is a document already or
// its command line was wrong.
func (a *App) report(err error, r *result) {
	doc := render.NewErrorDoc(err)
	var wrong *usageError
	if r.json && !r.written && !errors.As(err, &wrong) {
		render.JSON(a.Streams.Out, doc)
	}
	doc.Text(a.Streams)
}

// commands returns those of the program in the order of the help, by name: to
// make all of them would take longer than to run many a one.
func (a *App) commands() []named {
	return []named{
		{"list", a.listCommand}, {"show", a.showCommand}, {"stores", a.storesCommand},
		{"trust", a.trustCommand}, {"import", a.importCommand}, {"distrust", a.distrustCommand}, {"remove", a.removeCommand},
		{"verify", a.verifyCommand}, {"env", a.envCommand}, {"diagnose", a.diagnoseCommand}, {"explain", a.explainCommand},
		{"fetch", a.fetchCommand}, {"audit", a.auditCommand}, {"diff", a.diffCommand},
		{"export", a.exportCommand}, {"history", a.historyCommand}, {"undo", a.undoCommand}, {"repair", a.repairCommand},
		{"link-system", a.linkCommand},
		{"completion", completionCommand}, {"help", a.helpCommand}, {"version", a.versionCommand},
		{completeCommandName, func() *cli.Command { return completeCommand(a.values) }},
		{partCommandName, a.partCommand}, {journalCommandName, a.journalCommand}, {userCommandName, a.userCommand},
		{dialCommandName, a.dialCommand}, {holdsCommandName, a.holdsCommand},
	}
}

type named struct {
	name string
	make func() *cli.Command
}

// telling are the commands that look at the others.
var telling = []string{"completion", "help", completeCommandName}

// tree returns the tree of all commands or, if the first of the words of a command
// line is the name of one, of that one alone.
func (a *App) tree(words ...string) *cli.App {
	commands := a.commands()
	if len(words) > 0 && !slices.Contains(telling, words[0]) {
		if i := slices.IndexFunc(commands, func(n named) bool { return n.name == words[0] }); i >= 0 {
			commands = commands[i : i+1]
		}
	}
	tree := &cli.App{
		Name:  "certtrust",
		Usage: "list, trust, distrust and remove certificates in the trust stores of a machine",
		Description: `   certtrust list --added              what no vendor put there
   certtrust trust ca.pem --dry-run    what would be done
   sudo certtrust trust ca.pem
   sudo certtrust undo

Flags may stand before or after arguments; "-" is standard input, and after "--"
there are no flags. "certtrust help COMMAND" tells more of a command.

Exit codes: 0 done, or already so; 1 failed; 2 wrong usage or unusable input;
3 not found, not trusted, or findings; 4 partly done; 5 permission or consent
needed; 6 not supported here, or a program is missing; 7 busy or stale; 8 no
verdict: not reachable, or no TLS; 130 interrupted.`,
		Version:     a.Version,
		HideVersion: true,
		Writer:      a.Streams.Out,
		ErrWriter:   io.Discard, // the cli package has nothing to say that we do not
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "write results as JSON (the same as --format json)"},
			&cli.BoolFlag{Name: "no-color", Usage: "do not colour what is written to a terminal"},
			&cli.DurationFlag{Name: "timeout", Usage: "give up after `DURATION`, such as 30s", DefaultText: "none"},
			&cli.BoolFlag{Name: "exit-zero", Usage: "exit with 0 instead of 3"},
			&cli.BoolFlag{Name: "debug", Usage: "tell on standard error what is looked at and why"},
		},
		Before: a.before,
	}
	for _, n := range commands {
		cmd := n.make()
		tree.Commands = append(tree.Commands, cmd)
		if flagNamed(cmd.Flags, "format") != nil {
			cmd.Before = checkFormat
		}
	}
	harden(tree)
	setHelp(tree, a.args)
	return tree
}

// before heeds the flags that all commands have.
func (a *App) before(c *cli.Context) error {
	r := resultOf(c)
	r.untimed = c.Context
	r.json, r.exitZero = c.Bool("json"), c.Bool("exit-zero")
	if c.Bool("no-color") {
		a.Streams.Color = false
	}
	if d := c.Duration("timeout"); d < 0 {
		return usage("--timeout must not be negative")
	} else if d > 0 {
		r.timeout = d
		c.Context, r.stop = context.WithTimeout(c.Context, d)
	}
	return nil
}

// checkFormat refuses a format that the command does not have.
func checkFormat(c *cli.Context) error {
	known := formatsOf(c.Command.Name)
	if f := c.String("format"); f != "" && !slices.Contains(known, f) {
		return usage("--format %s: not one of %s", store.Printable(f), words(known))
	} else if f != "" && f != "json" && c.Bool("json") && c.Command.Name != "export" { // its result is no document
		return usage("--json is --format json, and not %s", f)
	}
	return nil
}

// formatsOf returns the formats that a command writes its result in.
func formatsOf(command string) []string {
	switch command {
	case "list":
		return render.ListFormats()
	case "export":
		return exportFormats()
	case "fetch":
		return fetchFormats
	case "env":
		return render.EnvFormats()
	case "audit":
		return render.AuditFormats()
	case "diff":
		return render.DiffFormats()
	}
	return render.Formats()
}

// format returns the format that a command's flags ask for.
func format(c *cli.Context) string {
	if f := c.String("format"); f != "" {
		return f
	}
	if c.Bool("json") {
		return "json"
	}
	return ""
}

func formatFlag(formats []string) cli.Flag {
	return &cli.StringFlag{Name: "format", Usage: "write results as `FORMAT`: " + words(formats)}
}

// write writes a result in the format that was asked for.
func (a *App) write(c *cli.Context, d render.Doc) error {
	f := format(c)
	r := resultOf(c)
	r.json = r.json || f == "json" || f == "jsonl"
	r.written = true
	return render.Write(a.Streams, f, d)
}
