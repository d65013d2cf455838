package app

import (
	"cmp"
	"embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/store"
)

// The scripts only pass the words of the command line to "certtrust
// __complete" and hand its answer to their shell.
//
//go:embed completions
var completions embed.FS

// shells are the shells that have a script.
var shells = []struct {
	name, script, install string

	// quoting is how the words come in from the script and values go out.
	// Fish and zsh quote what they insert themselves.
	quoting quoting
}{
	{"bash", "certtrust.bash", "source <(certtrust completion bash)          # in ~/.bashrc, or\n" +
		"certtrust completion bash > ~/.local/share/bash-completion/completions/certtrust",
		quoting{in: unquoteAll, out: bashWord}},
	{"zsh", "certtrust.zsh", "source <(certtrust completion zsh)           # in ~/.zshrc, after compinit, or\n" +
		"certtrust completion zsh > DIR/_certtrust    # a directory of $fpath",
		quoting{}},
	{"fish", "certtrust.fish", "certtrust completion fish > ~/.config/fish/completions/certtrust.fish",
		quoting{in: unquoteLast}},
	{"powershell", "certtrust.ps1", "certtrust completion powershell | Out-String | Invoke-Expression  # in $PROFILE",
		quoting{in: powershellLast, out: powershellWord}},
}

// completionCommand is "certtrust completion SHELL", which prints the script.
func completionCommand() *cli.Command {
	group := &cli.Command{Name: "completion", Usage: "print the script that makes a shell complete certtrust's command lines"}
	for _, shell := range shells {
		group.Subcommands = append(group.Subcommands, &cli.Command{
			Name:        shell.name,
			Usage:       "print the script for " + shell.name,
			Description: "To use it:\n\n" + shell.install,
			Action: func(c *cli.Context) error {
				if c.Args().Present() {
					return usage("completion %s takes no arguments", shell.name)
				}
				script, err := completions.ReadFile("completions/" + shell.script)
				if err != nil {
					return fmt.Errorf("completion: %w", err)
				}
				_, err = c.App.Writer.Write(script)
				return err
			},
		})
	}
	return group
}

const completeCommandName = "__complete"

// completeCommand is the hidden command that the scripts call. It prints a
// line "VALUE" or "VALUE\tDESCRIPTION" for each candidate, and then the
// directive of [complete].
func completeCommand(values func(flag, command string) []candidate) *cli.Command {
	return &cli.Command{
		Name: completeCommandName, Hidden: true, ArgsUsage: "WORD...",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "shell", Usage: "take words as typed in `SHELL`, and print them to be put in there"},
			&cli.StringFlag{Name: "breaks", Usage: "bash's COMP_WORDBREAKS"},
		},
		Action: func(c *cli.Context) error {
			var q quoting
			for _, shell := range shells {
				if shell.name == c.String("shell") {
					q = shell.quoting
				}
			}
			words, typed := c.Args().Slice(), ""
			if len(words) > 0 {
				typed = words[len(words)-1]
			}
			if q.in != nil {
				words = q.in(words)
			}
			found, directive := complete(c.App, words, values)
			if q.out != nil {
				for i := range found {
					found[i].value = q.out(found[i].value, typed, c.String("breaks"))
				}
			}
			return printCandidates(c.App.Writer, found, directive)
		},
	}
}

func printCandidates(w io.Writer, found []candidate, directive string) error {
	var out strings.Builder
	for _, c := range found {
		out.WriteString(c.value)
		if c.about != "" {
			out.WriteString("\t" + c.about)
		}
		out.WriteByte('\n')
	}
	_, err := io.WriteString(w, out.String()+directive+"\n")
	return err
}

// candidate is a word that may stand where one is being completed.
type candidate struct {
	value string
	about string // what it is, in a few words; may be ""
}

// The directives say what else may stand there. After one of the first two, a
// tab and the beginning of the word that is not part of the file's name may
// follow.
const (
	completeFiles = ":files"
	completeDirs  = ":dirs"
	completeNone  = ":none"
)

// complete returns what the last of words, which may be "", can become. words
// are those of a command line, without the program's name. values returns what
// a flag (its first name, without dashes), or an argument (flag is ""), of a
// command (such as "completion bash", "" for the root) can be, nil if that is
// not a list; of a value that ends with ":" it is the beginning, before a file
// name.
//
// Else the placeholder in the flag's usage or the command's ArgsUsage tells
// whether names of files, of directories or none of them are wanted; a string
// flag without one wants a file, a command without one has no arguments.
//
// Candidates that could not be typed, or would be shown as something else than
// they are, are left out. Nothing is read or changed here.
func complete(app *cli.App, words []string, values func(flag, command string) []candidate) (found []candidate, directive string) {
	current := ""
	if n := len(words); n > 0 {
		words, current = words[:n-1], words[n-1]
	}
	l := parseLine(app, words)
	c := completer{line: l, command: fullName(l.path[1:]), values: values}
	if c.values == nil {
		c.values = func(string, string) []candidate { return nil }
	}
	here := l.here()
	switch name, joined := flagName(current); {
	case l.open != nil:
		found, directive = c.flagValue(l.open, "", current)
	case l.lost:
		directive = completeNone
	case !l.ended && joined:
		directive = completeNone
		if f, _ := l.find(name); f != nil {
			head, value, _ := strings.Cut(current, "=")
			found, directive = c.flagValue(f, head+"=", value)
		}
	case !l.ended && strings.HasPrefix(current, "-"):
		found, directive = c.flags(current), completeNone
	case len(here.Subcommands) > 0:
		found, directive = commandsFor(here.Subcommands, current), completeNone
	default:
		found = candidatesFrom(c.values("", c.command), "", current)
		directive = cmp.Or(filesFor(here.ArgsUsage), completeNone)
		if here.ArgsUsage == "" && here.Args {
			directive = completeFiles
		}
	}
	return presentable(found), directive
}

// completer is what the parts of complete share.
type completer struct {
	line    commandLine
	command string
	values  func(flag, command string) []candidate
}

// flagValue completes the value of f, of which typed is there already, after
// head, which is part of the same word.
func (c *completer) flagValue(f cli.Flag, head, typed string) ([]candidate, string) {
	if !takesValue(f) {
		return candidatesFrom([]candidate{{value: "true"}, {value: "false"}}, head, typed), completeNone
	}
	list := c.values(f.Names()[0], c.command)
	for _, v := range list {
		if strings.HasSuffix(v.value, ":") && strings.HasPrefix(typed, v.value) {
			return candidatesFrom(list, head, typed), directiveAfter(completeFiles, head+v.value)
		}
	}
	directive := ""
	if doc, ok := f.(cli.DocGenerationFlag); ok {
		_, usage, _ := strings.Cut(doc.GetUsage(), "`")
		placeholder, _, _ := strings.Cut(usage, "`")
		directive = filesFor(placeholder)
	}
	switch f.(type) {
	case *cli.StringFlag, *cli.StringSliceFlag, *cli.PathFlag, *cli.GenericFlag:
		if len(list) == 0 {
			directive = cmp.Or(directive, completeFiles)
		}
	}
	return candidatesFrom(list, head, typed), directiveAfter(cmp.Or(directive, completeNone), head)
}

// directiveAfter adds to a directive what of the word stands before the file's name.
func directiveAfter(directive, head string) string {
	if head == "" || directive == completeNone {
		return directive
	}
	return directive + "\t" + head
}

// filesFor returns what a placeholder such as "FILE|-" asks for, "" if there is
// none.
func filesFor(placeholder string) string {
	if placeholder == "" {
		return ""
	}
	for _, p := range []struct{ text, directive string }{
		{"FILE", completeFiles}, {"PATH", completeFiles}, {"CHAIN", completeFiles}, {"CERT", completeFiles}, {"PEM", completeFiles},
		{"DIR", completeDirs},
	} {
		if strings.Contains(strings.ToUpper(placeholder), p.text) {
			return p.directive
		}
	}
	return completeNone
}

// flags completes the name of a flag. Those that are there already are left
// out, unless they can be repeated.
func (c *completer) flags(typed string) []candidate {
	var out []candidate
	for level := len(c.line.path) - 1; level >= 0; level-- {
		for _, f := range visibleFlags(c.line.path[level].Flags) {
			slice, ok := f.(cli.DocGenerationSliceFlag)
			repeatable := ok && slice.IsSliceFlag()
			given := slices.ContainsFunc(c.line.words, func(w lineWord) bool { return w.flag == f })
			if given && !repeatable {
				continue
			}
			about := ""
			if doc, ok := f.(cli.DocGenerationFlag); ok {
				about = strings.ReplaceAll(doc.GetUsage(), "`", "")
			}
			for _, name := range f.Names() {
				if in, _ := c.line.find(name); in == f {
					out = append(out, candidate{dashed(name), about})
				}
			}
		}
	}
	return candidatesFrom(out, "", typed)
}

// commandsFor completes the name of a command. Aliases are only for those who
// began to type one.
func commandsFor(commands []*cli.Command, typed string) []candidate {
	var out []candidate
	for _, c := range commands {
		switch {
		case c.Hidden:
		case typed == "" || strings.HasPrefix(c.Name, typed):
			out = append(out, candidate{c.Name, c.Usage})
		default:
			for _, alias := range c.Aliases {
				out = append(out, candidate{alias, c.Usage})
			}
		}
	}
	return candidatesFrom(out, "", typed)
}

// candidatesFrom returns those of list that begin with typed, with head before them.
func candidatesFrom(list []candidate, head, typed string) []candidate {
	var out []candidate
	for _, c := range list {
		if strings.HasPrefix(c.value, typed) {
			out = append(out, candidate{head + c.value, c.about})
		}
	}
	return out
}

// presentable leaves out candidates that are empty, that are there twice, or
// that hold characters that cannot be shown, and makes the descriptions short
// and safe to print.
func presentable(list []candidate) []candidate {
	const longest = 80
	var out []candidate
	seen := map[string]bool{"": true}
	for _, c := range list {
		// Of what Printable escapes, only the backslash is harmless.
		bare := strings.ReplaceAll(c.value, `\`, "")
		if seen[c.value] || store.Printable(bare) != bare {
			continue
		}
		seen[c.value] = true
		about := []rune(store.Printable(strings.Join(strings.Fields(c.about), " ")))
		if len(about) > longest {
			about = append(about[:longest-1], '…')
		}
		out = append(out, candidate{c.value, string(about)})
	}
	return out
}

// quoting is how a shell writes words.
type quoting struct {
	// in turns words as they were typed into what they mean; nil if the script
	// does it.
	in func(words []string) []string
	// out returns what the shell is to put in the place of the word being
	// completed, typed so far, so that it comes to mean value; nil if the
	// shell sees to that. breaks are the characters at which the shell cuts
	// words: it only replaces what stands after the last of them.
	out func(value, typed, breaks string) string
}

func unquoteAll(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i], _, _ = unquote(w, "")
	}
	return out
}

func unquoteLast(words []string) []string {
	n := max(0, len(words)-1)
	return slices.Concat(words[:n], unquoteAll(words[n:]))
}

// unquote returns what a word means that may be unfinished, in the quoting
// that bash and fish have in common. open is the quote that is not closed yet,
// 0 if there is none. kept is how much of the result stands before the open
// quote or, without one, up to the last unquoted character of breaks.
func unquote(typed, breaks string) (text string, kept int, open byte) {
	var b strings.Builder
	opened := 0
	for i := 0; i < len(typed); i++ {
		switch ch := typed[i]; {
		case open == 0 && (ch == '\'' || ch == '"'):
			open, opened = ch, b.Len()
		case open != 0 && ch == open:
			open = 0
		case ch == '\\' && open != '\'':
			i++
			if i == len(typed) {
				break // it escapes what is not there yet
			}
			if open == '"' && !strings.ContainsRune("\"\\$`", rune(typed[i])) {
				b.WriteByte('\\')
			}
			b.WriteByte(typed[i])
		default:
			start := b.Len()
			b.WriteByte(ch)
			switch {
			case open != 0 || strings.IndexByte(breaks, ch) < 0:
			case ch == '@': // readline counts it to what stands after it
				kept = start
			default:
				kept = b.Len()
			}
		}
	}
	if open != 0 {
		kept = opened
	}
	return b.String(), kept, open
}

// insideQuotes are what bash needs in an open quote of either kind. Within
// double quotes "!" would recall the history.
var insideQuotes = map[byte]*strings.Replacer{
	'\'': strings.NewReplacer("'", `'\''`),
	'"':  strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`", `!`, `"'!'"`),
}

// bashWord is the quoting.out of bash.
func bashWord(value, typed, breaks string) string {
	text, kept, open := unquote(typed, breaks)
	if strings.HasPrefix(value, text) {
		value = value[kept:]
	}
	if open != 0 {
		return insideQuotes[open].Replace(value)
	}
	var b strings.Builder
	for _, r := range value {
		if r < 0x80 && !plainInShells(r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// plainInShells reports whether an ASCII character means nothing special to a shell,
// wherever it stands in a word.
func plainInShells(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_./:=+@%", r)
}

// singleQuotes are the characters that PowerShell takes for a single quote.
const singleQuotes = "'\u2018\u2019\u201a\u201b"

// powershellLast undoes the quoting of the last word, which may be unfinished:
// the script knows what the others mean.
func powershellLast(words []string) []string {
	if len(words) == 0 {
		return nil
	}
	last := words[len(words)-1]
	open := rune(0)
	var b strings.Builder
	escaped := false
	for _, r := range last {
		switch {
		case escaped:
			b.WriteRune(r)
			escaped = false
		case r == '`' && open != '\'':
			escaped = true
		case open == 0 && strings.ContainsRune(singleQuotes, r):
			open = '\''
		case open == 0 && r == '"':
			open = '"'
		case open == '\'' && strings.ContainsRune(singleQuotes, r), open == '"' && r == '"':
			open = 0
		default:
			b.WriteRune(r)
		}
	}
	return append(slices.Clone(words[:len(words)-1]), b.String())
}

// powershellWord is the quoting.out of PowerShell, which replaces the whole
// word.
func powershellWord(value, _, _ string) string {
	special := strings.ContainsFunc(value, func(r rune) bool { return !plainInShells(r) && r != '\\' })
	if !special && !strings.HasPrefix(value, "@") {
		return value
	}
	var b strings.Builder
	for _, r := range value {
		if strings.ContainsRune(singleQuotes, r) {
			b.WriteRune(r)
		}
		b.WriteRune(r)
	}
	return "'" + b.String() + "'"
}
