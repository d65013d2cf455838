package app

import (
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/platform"
	"github.com/certtrust/certtrust/platform/nss"
	"github.com/certtrust/certtrust/store"
)

func (a *App) linkCommand() *cli.Command {
	return &cli.Command{
		Name:  "link-system",
		Usage: "make browsers follow the system's store",
		Description: `On Linux, Firefox and the Chromium family do not heed what the system trusts.
Once they are linked to it by p11-kit's module, what is trusted or removed there
holds for them too, after they have been started again. Without a choice of
stores it is the user's browsers; for all users of Firefox on the machine it is
the policies:

   certtrust link-system --dry-run
   certtrust link-system
   sudo certtrust link-system --store policy:firefox
   certtrust link-system --unlink`,
		Flags: slices.Concat(selectFlags(), changeFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "unlink", Usage: "make them no longer follow it"},
		}),
		Action: a.link,
	}
}

func (a *App) link(c *cli.Context) error {
	if c.Args().Present() {
		return usageHint("certtrust link-system --store ID", "link-system takes no arguments")
	}
	found, err := a.stores(c)
	if err != nil {
		return err
	}
	var chosen []platform.Found
	for _, f := range found {
		i := f.Info()
		_, edits := f.Store.(store.Editor)
		can := edits && (i.Backend == nss.Backend || i.Backend == "policy")
		if can && (chosenByHand(c) || i.Scope == store.ScopeUser && (i.Default || i.DerivedFrom != "")) {
			chosen = append(chosen, f)
		}
	}
	if len(chosen) == 0 {
		return &store.Error{Err: store.Because(store.ErrUnsupported, "there is no browser here that could be linked to the system's store"),
			Hint: "certtrust stores -v shows what was looked at"}
	}
	want := []store.Change{{Item: nss.LinkItem, Absent: c.Bool("unlink")}}
	ch := &change{app: a, c: c, command: c.Command.Name, lenient: true, want: func(store.Info) []store.Change { return want }}
	return ch.run(chosen)
}
