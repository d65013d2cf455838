package app

import (
	"errors"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/render"
	"github.com/certtrust/certtrust/platform"
	"github.com/certtrust/certtrust/platform/journal"
	"github.com/certtrust/certtrust/store"
)

func (a *App) historyCommand() *cli.Command {
	return &cli.Command{
		Name:  "history",
		Usage: "show what certtrust has changed here, by whom and when",
		Description: `   certtrust history
   certtrust history --json`,
		Flags: []cli.Flag{formatFlag(render.Formats()), rootFlag()},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usage("history takes no arguments")
			}
			if _, err := a.machine(c); err != nil {
				return err
			}
			sets, errs := a.journal().Sets(c.Context)
			if err := c.Context.Err(); err != nil {
				return err
			}
			var out []render.HistorySet
			for _, s := range sets {
				out = append(out, historySet(s))
			}
			if err := a.write(c, render.NewHistoryDoc(out)); err != nil {
				return err
			}
			for _, err := range errs {
				a.Streams.Warningf("%v", err)
			}
			if len(errs) > 0 {
				resultOf(c).told = true
				return store.Because(store.ErrPartial, "the journal was not read completely: %w", errs[0])
			}
			return nil
		},
	}
}

func (a *App) undoCommand() *cli.Command {
	return &cli.Command{
		Name:      "undo",
		Usage:     "take back a change that certtrust made, the last one if none is named",
		ArgsUsage: "[CHANGE]",
		Description: `The change is named by its ID, or the beginning of it, as history shows it. How
it is taken back is planned for the stores as they are today.

   certtrust history
   certtrust undo --dry-run
   sudo certtrust undo`,
		Flags:  append(changeFlags(), secretFlag(), rootFlag()),
		Action: a.undo,
	}
}

func (a *App) undo(c *cli.Context) error {
	if c.Args().Len() > 1 {
		return usage("undo takes one change at a time")
	}
	h, err := a.machine(c)
	if err != nil {
		return err
	}
	set, err := a.journal().Find(c.Context, c.Args().First())
	if err != nil {
		return err
	}
	if err := heedEngine(c, h); err != nil {
		return err
	}
	var ids []store.ID
	for _, r := range set.Records {
		ids = append(ids, r.Store)
	}
	found, err := a.detect(c, h, func() ([]platform.Found, error) { return a.changed(c.Context, ids) })
	if err == nil {
		err = a.passwordsHeeded(found)
	}
	if err != nil {
		return err
	}
	ch := &change{app: a, c: c, command: c.Command.Name, undoOf: set.ID, named: true}
	wants := map[store.ID][]store.Change{}
	ch.want = func(i store.Info) []store.Change { return wants[i.ID] }
	var chosen []platform.Found
	for _, r := range set.Records {
		changes := r.Undo()
		if len(changes) == 0 {
			continue
		}
		i := slices.IndexFunc(found, func(f platform.Found) bool { return f.Info().ID == r.Store })
		if i < 0 {
			return &store.Error{Op: "undo", Store: r.Store, Err: store.Because(store.ErrNotFound, "the store that was changed is not here any more")}
		}
		if found[i].Info().Scope != r.Scope {
			return &store.Error{Op: "undo", Store: r.Store, Err: store.Because(store.ErrCorrupt, "the record is about a store of the scope \"%s\", which this is not", store.Printable(string(r.Scope)))}
		}
		if wants[r.Store] == nil {
			chosen = append(chosen, found[i])
		}
		wants[r.Store] = append(wants[r.Store], changes...)
	}
	if len(chosen) == 0 {
		return &store.Error{Err: store.Because(store.ErrNotFound, "there is nothing left to take back of %s", store.Printable(set.ID)),
			Hint: "certtrust history shows what was changed"}
	}
	ch.after = func(parts []*platform.Part, by string) error {
		var errs []error
		for _, p := range parts {
			for _, r := range set.Records {
				if p.Result == platform.Unchanged && r.Store == p.Store.Info().ID && len(r.Undo()) > 0 { // somebody else has taken it back
					errs = append(errs, a.journal().MarkUndone(c.Context, r, by))
				}
			}
		}
		return errors.Join(errs...)
	}
	return ch.run(chosen)
}

func historySet(s journal.Set) render.HistorySet {
	first := s.Records[0]
	out := render.HistorySet{ID: s.ID, Time: first.Begun, By: first.By.String(), Command: first.Command, State: string(s.State())}
	for _, r := range s.Records {
		st := render.HistoryStore{Store: r.Store, State: string(r.State), Error: r.Error}
		if r.State == journal.Undone {
			st.UndoneBy = r.UndoneBy
		}
		if r.Receipt != nil {
			st.Done = r.Receipt.Done
		}
		out.Stores = append(out.Stores, st)
	}
	return out
}

// tellInterrupted tells of the changes in stores that a crash has interrupted.
// Nothing of them is half done once the store is mended, but whether they came
// about is for a person to look at.
func (a *App) tellInterrupted(c *cli.Context, found []platform.Found) {
	records, err := a.journal().Interrupted(c.Context)
	if err != nil {
		a.Streams.Warningf("%v", err)
	}
	for _, r := range records {
		if slices.ContainsFunc(found, func(f platform.Found) bool { return f.Info().ID == r.Store && f.Info().Scope == r.Scope }) {
			a.Streams.Noticef("the change %s (%s) was interrupted: certtrust undo %s takes back what there is of it", r.Set, shellLine(r.Command), r.Set)
		}
	}
}
