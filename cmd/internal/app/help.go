package app

import (
	"runtime"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/render"
)

func (a *App) helpCommand() *cli.Command {
	return &cli.Command{
		Name:      "help",
		Usage:     "show help for certtrust or one of its commands",
		ArgsUsage: "COMMAND",
		Action: func(c *cli.Context) error {
			path := c.Args().Slice()
			if len(path) == 0 {
				return cli.ShowAppHelp(c)
			}
			commands := c.App.Commands
			for i, name := range path {
				var found *cli.Command
				for _, cmd := range commands {
					if cmd.HasName(name) && !cmd.Hidden {
						found = cmd
					}
				}
				switch {
				case found == nil:
					return usageHint("certtrust help", "there is no command %q", name)
				case i == len(path)-1:
					if len(found.Subcommands) > 0 {
						cli.HelpPrinter(c.App.Writer, cli.SubcommandHelpTemplate, found)
						return nil
					}
					cli.HelpPrinter(c.App.Writer, cli.CommandHelpTemplate, found)
				}
				commands = found.Subcommands
			}
			return nil
		},
	}
}

func (a *App) versionCommand() *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "show the version",
		Flags: []cli.Flag{formatFlag(render.Formats())},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usage("version takes no arguments")
			}
			return a.write(c, render.NewVersionDoc(a.Version, runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH))
		},
	}
}
