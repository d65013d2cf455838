package app

import (
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/platform"
	"github.com/certtrust/certtrust/store"
)

func (a *App) repairCommand() *cli.Command {
	return &cli.Command{
		Name:  "repair",
		Usage: "mend what a crash, an interrupted update or another tool has left behind",
		Description: `What is not mended is told: it is for a person to decide.

   certtrust repair --dry-run
   sudo certtrust repair`,
		Flags:  slices.Concat(selectFlags(), changeFlags()),
		Action: a.repair,
	}
}

func (a *App) repair(c *cli.Context) error {
	if c.Args().Present() {
		return usageHint("certtrust repair --store ID", "repair takes no arguments")
	}
	found, err := a.changedStores(c)
	if err != nil {
		return err
	}
	ch := &change{app: a, c: c, command: c.Command.Name, repair: map[store.ID][]store.Problem{}}
	var repairable []platform.Found
	for _, f := range found {
		r, ok := f.Store.(store.Repairer)
		if !ok {
			continue
		}
		repairable = append(repairable, f)
		for p, err := range r.Problems(c.Context) {
			if err != nil {
				a.Streams.Warningf("%v", err)
				continue
			}
			ch.repair[f.Info().ID] = append(ch.repair[f.Info().ID], p)
		}
	}
	ch.after = func([]*platform.Part, string) error {
		a.tellInterrupted(c, found)
		return nil
	}
	return ch.run(repairable)
}
