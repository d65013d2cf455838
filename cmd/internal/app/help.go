package app

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/render"
	"github.com/certtrust/certtrust/store"
)

func (a *App) helpCommand() *cli.Command {
	return &cli.Command{
		Name:      "help",
		Usage:     "show help for certtrust or one of its commands",
		ArgsUsage: "[COMMAND]",
		Description: `   certtrust help
   certtrust help trust`,
		Action: func(c *cli.Context) error {
			top := &cli.Command{Subcommands: c.App.Commands, CustomHelpTemplate: c.App.CustomAppHelpTemplate}
			for _, name := range c.Args().Slice() {
				next := top.Command(name)
				if next == nil || next.Hidden {
					return usageHint("see certtrust --help", "there is no command \"%s\"", store.Printable(name))
				}
				top = next
			}
			_, err := io.WriteString(c.App.Writer, unescapeTemplate(top.CustomHelpTemplate))
			return err
		},
	}
}

func (a *App) versionCommand() *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "show the version",
		Description: `   certtrust version
   certtrust version --json`,
		Flags: []cli.Flag{formatFlag(render.Formats())},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usage("version takes no arguments")
			}
			return a.write(c, render.NewVersionDoc(a.Version, runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH))
		},
	}
}

// helpWidth is how many columns help takes.
const helpWidth = 80

// setHelp gives the tree, which is complete, the help that the cli package
// prints where it is asked for. Putting it together takes longer than many a
// command, so that it is left out if nothing on the command line asks for it.
func setHelp(tree *cli.App, args []string) {
	if !slices.ContainsFunc(args, mayAskForHelp) {
		return
	}
	tree.CustomAppHelpTemplate = escapeTemplate(helpText(tree, nil))
	var set func(path []*cli.Command)
	set = func(path []*cli.Command) {
		c := path[len(path)-1]
		c.CustomHelpTemplate = escapeTemplate(helpText(tree, path))
		for _, sub := range c.Subcommands {
			set(append(slices.Clip(path), sub))
		}
	}
	for _, c := range tree.Commands {
		set([]*cli.Command{c})
	}
}

// mayAskForHelp reports whether an argument could be the command or flag for help,
// or several flags in one that end with it.
func mayAskForHelp(arg string) bool {
	return arg == "help" || arg == "h" || strings.HasPrefix(arg, "-") && strings.Contains(arg, "h")
}

// The cli package takes help for a text/template.
func escapeTemplate(text string) string   { return strings.ReplaceAll(text, "{{", `{{"{{"}}`) }
func unescapeTemplate(text string) string { return strings.ReplaceAll(text, `{{"{{"}}`, "{{") }

// helpText returns the help for the command that path leads to, nil for the
// whole program. Every line is in helpWidth, but for what a description sets
// in lines of its own.
func helpText(tree *cli.App, path []*cli.Command) string {
	c := rootCommand(tree)
	c.Usage, c.ArgsUsage, c.Description = tree.Usage, "", tree.Description
	name := tree.Name
	if len(path) > 0 {
		c = path[len(path)-1]
		name += " " + fullName(path)
	}
	var b strings.Builder
	for _, line := range fill(name+" - "+c.Usage, helpWidth) {
		b.WriteString(line + "\n")
	}
	call := name
	if len(c.Subcommands) > 0 {
		call += " COMMAND"
	}
	call += " [FLAGS]"
	if c.ArgsUsage != "" {
		call += " " + c.ArgsUsage
	} else if len(path) == 0 {
		call += " [ARGUMENTS]"
	}
	fmt.Fprintf(&b, "\nUsage:\n   %s\n", call)
	if c.Description != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.Trim(c.Description, "\n"))
	}
	var commands []helpRow
	for _, sub := range c.Subcommands {
		if !sub.Hidden {
			commands = append(commands, helpRow{strings.Join(sub.Names(), ", "), sub.Usage})
		}
	}
	writeRows(&b, "Commands", commands)
	if len(path) == 0 {
		writeRows(&b, "Flags of every command", flagRows(tree.Flags))
		return b.String()
	}
	own := slices.DeleteFunc(slices.Clone(c.Flags), func(f cli.Flag) bool { return isHelp(f, "") })
	writeRows(&b, "Flags", flagRows(own))
	writeRows(&b, "Flags of every command", flagRows(tree.Flags))
	return b.String()
}

// helpRow is a name and what it is.
type helpRow struct{ name, about string }

// flagRows describes flags: the placeholder of a value is what stands in
// backquotes in the usage.
func flagRows(flags []cli.Flag) []helpRow {
	var rows []helpRow
	for _, f := range visibleFlags(flags) {
		doc, ok := f.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		var names []string
		for _, n := range f.Names() {
			names = append(names, dashed(n))
		}
		row := helpRow{strings.Join(names, ", "), strings.ReplaceAll(doc.GetUsage(), "`", "")}
		if takesValue(f) {
			_, value, _ := strings.Cut(doc.GetUsage(), "`")
			value, _, _ = strings.Cut(value, "`")
			row.name += " " + value
			if text := doc.GetDefaultText(); text != "" && text != `""` {
				row.about += " (default: " + text + ")"
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// writeRows writes rows under a heading, nothing if there are none.
func writeRows(b *strings.Builder, heading string, rows []helpRow) {
	if len(rows) == 0 {
		return
	}
	width := 0
	for _, r := range rows {
		width = max(width, utf8.RuneCountInString(r.name))
	}
	fmt.Fprintf(b, "\n%s:\n", heading)
	for _, r := range rows {
		name := r.name
		for _, line := range fill(r.about, helpWidth-width-5) {
			fmt.Fprintf(b, "   %-*s  %s\n", width, name, line)
			name = ""
		}
	}
}

// fill breaks a text into lines of at most width characters, where its words
// are not longer.
func fill(text string, width int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case utf8.RuneCountInString(*last)+1+utf8.RuneCountInString(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}
