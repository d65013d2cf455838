package app

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/store"
)

// wordRole is what a word of a command line is.
type wordRole int

const (
	isArg     wordRole = iota
	isFlag             // with its value, if that is joined by "="
	isValue            // of the flag before it
	isCommand          // the name of a command
	isEnd              // the "--" after which there are no flags
)

// lineWord is a word of a command line.
type lineWord struct {
	text  string
	role  wordRole
	level int      // the index in commandLine.path of the command that a flag or value belongs to
	flag  cli.Flag // nil for a flag that no command of the path has
}

// commandLine is a command line taken apart.
type commandLine struct {
	path     []*cli.Command // the root and the commands that were named, outermost first
	words    []lineWord
	open     cli.Flag // the last word, if that is a flag that lacks its value
	ended    bool     // there was a "--"
	negative bool     // an argument is a negative number, and there was no "--" before it
	lost     bool     // a word that had to name a command does not; it and all after it are arguments
}

// here returns the innermost command that was named.
func (l *commandLine) here() *cli.Command { return l.path[len(l.path)-1] }

// find returns the flag of that name that is in force, the innermost command's
// first, and the level of its command. A flag that nobody knows is nil and
// belongs to the innermost command, so that it is refused there.
func (l *commandLine) find(name string) (cli.Flag, int) {
	for level := len(l.path) - 1; level >= 0; level-- {
		if f := flagNamed(l.path[level].Flags, name); f != nil {
			return f, level
		}
	}
	return nil, len(l.path) - 1
}

// parseLine takes apart the words of a command line, without the program's name. It
// reads every single flag as package flag does, and finds flags anywhere.
func parseLine(app *cli.App, words []string) commandLine {
	l := commandLine{path: []*cli.Command{rootCommand(app)}}
	for _, text := range words {
		w := lineWord{text: text}
		name, joined := flagName(text)
		switch {
		case l.lost || l.here().SkipFlagParsing:
		case l.open != nil:
			last := l.words[len(l.words)-1]
			w.role, w.level, w.flag, l.open = isValue, last.level, last.flag, nil
		case l.ended || text == "-" || !strings.HasPrefix(text, "-") || negative().MatchString(text):
			l.negative = l.negative || !l.ended && negative().MatchString(text)
			if c := l.here().Command(text); c != nil {
				w.role = isCommand
				l.path = append(l.path, c)
			} else {
				l.lost = len(l.here().Subcommands) > 0
			}
		case text == "--":
			w.role = isEnd
			l.ended = true
		default:
			w.role = isFlag
			w.flag, w.level = l.find(name)
			if w.flag != nil && !joined && takesValue(w.flag) {
				l.open = w.flag
			}
		}
		l.words = append(l.words, w)
	}
	return l
}

// negative are the words that look like flags and are none: negative numbers,
// as error codes are. No flag has such a name.
var negative = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^-[0-9]+$`) })

// permute returns argv, the words of a command line without the program's
// name, in the order that the cli package needs: it stops at the first argument
// and would take the flags after that for arguments. Each flag goes to the
// command that defines it, --help to the innermost, an unknown one to where it
// is refused; "--" goes before the arguments. No word is added but a "--" before
// negative numbers, which the cli package would take for flags. Words are only
// left out if the last one is a flag that lacks its value: the result then ends
// with that flag, for otherwise it would take one of the arguments for its
// value.
func permute(app *cli.App, argv []string) []string {
	l := parseLine(app, argv)
	var names, args []string
	flags := make([][]string, len(l.path))
	for _, w := range l.words {
		switch w.role {
		case isCommand:
			names = append(names, w.text)
		case isFlag, isValue:
			level := w.level
			if name, _ := flagName(w.text); w.role == isFlag && isHelp(w.flag, name) && !l.here().SkipFlagParsing {
				level = len(l.path) - 1
			}
			flags[level] = append(flags[level], w.text)
		case isArg:
			args = append(args, w.text)
		}
	}
	out := make([]string, 0, len(argv))
	for level := range l.path {
		if level > 0 {
			out = append(out, names[level-1])
		}
		out = append(out, flags[level]...)
		if l.open != nil && l.words[len(l.words)-1].level == level {
			return out
		}
	}
	if l.ended || l.negative {
		out = append(out, "--")
	}
	return append(out, args...)
}

// rootCommand returns what of the app is the same as in a command. The cli package
// adds --version only when it runs.
func rootCommand(app *cli.App) *cli.Command {
	flags := slices.Clone(app.Flags)
	if app.Version != "" && !app.HideVersion && !slices.Contains(flags, cli.VersionFlag) {
		flags = append(flags, cli.VersionFlag)
	}
	return &cli.Command{
		Name: app.Name, Flags: flags, Subcommands: app.Commands, Action: app.Action, SkipFlagParsing: app.SkipFlagParsing,
	}
}

// flagName returns the name of the flag that a word is, "" if it cannot be
// one, and whether the word also holds its value.
func flagName(text string) (name string, joined bool) {
	name, found := strings.CutPrefix(text, "-")
	if !found {
		return "", false
	}
	name, _, joined = strings.Cut(strings.TrimPrefix(name, "-"), "=")
	if strings.HasPrefix(name, "-") {
		return "", false
	}
	return name, joined
}

// flagNamed returns the flag with that name or alias, nil if there is none.
func flagNamed(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		if isNamed(f, name) {
			return f
		}
	}
	return nil
}

// isNamed reports whether a flag has a name. The cli package has a regular
// expression at each, which takes a tenth of the time that the program starts in.
func isNamed(f cli.Flag, name string) bool {
	switch f := f.(type) {
	case *cli.BoolFlag:
		return f.Name == name || slices.Contains(f.Aliases, name)
	case *cli.StringFlag:
		return f.Name == name || slices.Contains(f.Aliases, name)
	case *cli.StringSliceFlag:
		return f.Name == name || slices.Contains(f.Aliases, name)
	}
	return slices.Contains(f.Names(), name)
}

func isHelp(f cli.Flag, name string) bool {
	if f == nil {
		return name == "help" || name == "h"
	}
	return isNamed(f, "help")
}

// takesValue reports whether the word after a flag is its value.
func takesValue(f cli.Flag) bool {
	if generic, ok := f.(*cli.GenericFlag); ok {
		b, ok := generic.Value.(interface{ IsBoolFlag() bool })
		return !ok || !b.IsBoolFlag()
	}
	doc, ok := f.(cli.DocGenerationFlag)
	return !ok || doc.TakesValue()
}

// usageError says that the command line is wrong. It matches store.ErrInput,
// and store.Hint returns its hint. Its text is safe to print.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usage returns a *usageError with the formatted text. Arguments that come
// from outside need %q or store.Printable.
func usage(format string, args ...any) error {
	return usageHint("", format, args...)
}

// usageHint is usage with a hint: what to do next, without a full stop.
func usageHint(hint, format string, args ...any) error {
	return &usageError{&store.Error{Err: store.Because(store.ErrInput, format, args...), Hint: hint}}
}

// harden makes the app return a *usageError for every wrong command line,
// print nothing of its own but help that was asked for, never exit, and take
// no value apart at its commas. Every command gets --help; a command of a
// group that does not exist is refused with the nearest one as a hint. Call it
// once the tree is complete and before it runs. Flags must not be Required:
// the cli package answers a missing one with help on standard output.
func harden(app *cli.App) {
	if app.Name == "" {
		app.Name = "certtrust"
	}
	app.HelpName = app.Name
	app.ExitErrHandler = func(*cli.Context, error) {}
	app.EnableBashCompletion, app.Suggest, app.UseShortOptionHandling = false, false, false
	app.DisableSliceFlagSeparator = true
	// With --help, arguments count as a help topic.
	app.CommandNotFound = func(c *cli.Context, _ string) {
		if c.Command.Name == app.Name {
			_ = cli.ShowAppHelp(c)
		} else {
			_ = cli.ShowSubcommandHelp(c)
		}
	}
	top := rootCommand(app)
	hardenCommand([]*cli.Command{top})
	app.Flags, app.Action, app.OnUsageError = top.Flags, top.Action, top.OnUsageError
	app.HideHelp, app.HideHelpCommand = true, true
}

// hardenCommand hardens the last command of path and those below it.
func hardenCommand(path []*cli.Command) {
	c := path[len(path)-1]
	// The help flag of the cli package is one variable for all commands; and
	// its help command would take arguments named "help" and "h".
	c.HideHelp, c.HideHelpCommand, c.UseShortOptionHandling = true, true, false
	if flagNamed(c.Flags, "help") == nil {
		help := &cli.BoolFlag{Name: "help", Usage: "show help", DisableDefaultText: true}
		if flagNamed(c.Flags, "h") == nil {
			help.Aliases = []string{"h"}
		}
		c.Flags = append(slices.Clip(c.Flags), help)
	}
	c.OnUsageError = func(_ *cli.Context, err error, _ bool) error { return explainFlagError(path, err) }
	if len(c.Subcommands) == 0 {
		// Not nil: else the root's commands are taken for this one's.
		c.Subcommands = []*cli.Command{}
	}
	if len(c.Subcommands) > 0 || c.Action == nil {
		c.Action = needsCommand(path, c.Action)
	}
	for _, sub := range c.Subcommands {
		sub.HelpName = "" // the cli package puts the parent's before it
		if len(path) > 1 {
			sub.HelpName = fullName(path) + " " + sub.Name
		}
		hardenCommand(append(slices.Clip(path), sub))
	}
}

func fullName(path []*cli.Command) string {
	var names []string
	for _, c := range path {
		names = append(names, c.Name)
	}
	return strings.Join(names, " ")
}

// needsCommand is the action of a group of commands when none of them was
// named. bare runs if there are no arguments at all; it may be nil.
func needsCommand(path []*cli.Command, bare cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		see := fmt.Sprintf("see %s --help", fullName(path))
		if c.Args().Present() {
			name := c.Args().First()
			var names []string
			for _, sub := range path[len(path)-1].Subcommands {
				if !sub.Hidden {
					names = append(names, sub.Names()...)
				}
			}
			if best := nearest(name, names); best != "" {
				see = fmt.Sprintf("did you mean %s %s?", fullName(path), best)
			}
			return usageHint(see, "unknown command %q", fullName(append(slices.Clip(path), &cli.Command{Name: name})[1:]))
		}
		if bare != nil {
			return bare(c)
		}
		return usageHint(see, "%s needs a command", fullName(path))
	}
}

// complaints are the ways in which packages flag and cli say what is wrong
// with a flag: text before it, perhaps a quoted value, the flag, perhaps a
// reason.
var complaints = []struct {
	before string
	quoted string // the text between the quoted value and the flag
	say    func(path []*cli.Command, name, value, reason string) error
}{
	{"flag provided but not defined: -", "", unknownFlag},
	{"flag needs an argument: -", "", func(path []*cli.Command, name, _, _ string) error {
		return usageHint(kindOf(path, name).hint, "%s needs a value", dashed(name))
	}},
	{"invalid value ", " for flag -", badValue},
	{"invalid boolean value ", " for -", badValue},
	{"bad flag syntax: ", "", func(_ []*cli.Command, text, _, _ string) error {
		return usageHint("if it is an argument, put -- before it", "%q is no flag", text)
	}},
	{"Cannot use two forms of the same flag: ", "", func(_ []*cli.Command, names, _, _ string) error {
		a, b, _ := strings.Cut(names, " ")
		return usage("%s and %s are the same flag: give one of them", dashed(b), dashed(a))
	}},
}

// explainFlagError turns an error of the cli package about the flags of the last
// command of path into a *usageError.
func explainFlagError(path []*cli.Command, err error) error {
	for _, c := range complaints {
		name, found := strings.CutPrefix(err.Error(), c.before)
		if !found {
			continue
		}
		if c.quoted == "" {
			return c.say(path, name, "", "")
		}
		quoted, err := strconv.QuotedPrefix(name)
		if err != nil {
			continue
		}
		value, _ := strconv.Unquote(quoted)
		name, reason, _ := strings.Cut(strings.TrimPrefix(name[len(quoted):], c.quoted), ": ")
		return c.say(path, name, value, reason)
	}
	return usage("%s", store.Printable(err.Error()))
}

func unknownFlag(path []*cli.Command, name, _, _ string) error {
	hint := fmt.Sprintf("see %s --help", fullName(path))
	var names, owners []string
	for _, c := range path {
		for _, f := range visibleFlags(c.Flags) {
			names = append(names, f.Names()...)
		}
	}
	for _, c := range path[len(path)-1].Subcommands {
		if f := flagNamed(c.Flags, name); f != nil && !c.Hidden {
			owners = append(owners, c.Name)
		}
	}
	if len(owners) > 0 {
		hint = fmt.Sprintf("it is a flag of %s: put it after the command", strings.Join(owners, ", "))
	} else if best := nearest(name, names); best != "" {
		hint = fmt.Sprintf("did you mean %s?", dashed(best))
	}
	return usageHint(hint, "unknown flag %s", store.Printable(dashed(name)))
}

func badValue(path []*cli.Command, name, value, reason string) error {
	kind := kindOf(path, name)
	switch {
	case kind.text != "":
		return usageHint(kind.hint, "%s: %q is not %s", dashed(name), value, kind.text)
	case reason == "":
		reason = "not usable"
	}
	return usage("%s: %q: %s", dashed(name), value, store.Printable(reason))
}

// valueKind is what a flag wants for a value, in words; "" for free text.
type valueKind struct{ text, hint string }

// kindOf returns the kind of the value of a flag of the path's last command.
func kindOf(path []*cli.Command, name string) valueKind {
	switch f := flagNamed(path[len(path)-1].Flags, name).(type) {
	case *cli.BoolFlag:
		return valueKind{"true or false", ""}
	case *cli.DurationFlag:
		return valueKind{"a duration", "a duration is written like 30s, 5m or 48h"}
	case *cli.TimestampFlag:
		return valueKind{"a time", fmt.Sprintf("a time is written like %s", f.Layout)}
	case *cli.IntFlag, *cli.Int64Flag, *cli.IntSliceFlag, *cli.Int64SliceFlag:
		return valueKind{"a whole number", ""}
	case *cli.UintFlag, *cli.Uint64Flag, *cli.UintSliceFlag, *cli.Uint64SliceFlag:
		return valueKind{"a whole number from 0 on", ""}
	case *cli.Float64Flag, *cli.Float64SliceFlag:
		return valueKind{"a number", ""}
	}
	return valueKind{}
}

func visibleFlags(flags []cli.Flag) []cli.Flag {
	return slices.DeleteFunc(slices.Clone(flags), func(f cli.Flag) bool {
		v, ok := f.(cli.VisibleFlag)
		return ok && !v.IsVisible()
	})
}

// dashed returns a flag's name as it is written on the command line.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// nearest returns the name that was most likely meant by word, "" if none is
// near: a single one that word begins, or one at an edit distance of at most a
// third of its length.
func nearest(word string, names []string) string {
	best, least, begun := "", max(1, len(word)/3)+1, []string(nil)
	for _, name := range names {
		if len(name) == 1 {
			continue
		}
		if len(word) >= 3 && strings.HasPrefix(name, word) {
			begun = append(begun, name)
		}
		if d := distance(word, name); d < least {
			best, least = name, d
		}
	}
	if len(begun) == 1 {
		return begun[0]
	}
	return best
}

// distance returns how many bytes must be put in, taken out, replaced or
// swapped with their neighbour to make b of a.
func distance(a, b string) int {
	if len(a) > 100 {
		return len(a)
	}
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
