package app

import (
	"errors"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/render"
	"github.com/certtrust/certtrust/platform"
	"github.com/certtrust/certtrust/platform/journal"
	"github.com/certtrust/certtrust/store"
)

// changeFlags are those of all commands that change something.
func changeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Usage: "only show what would be done"},
		&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"},
		&cli.BoolFlag{Name: "elevate", Usage: "do the part that needs administrator rights through sudo or doas"},
		&cli.BoolFlag{Name: "keep-going", Usage: "each store for itself: one that fails does not take the others back"},
		formatFlag(render.Formats()),
	}
}

func checkChangeFlags(c *cli.Context) error {
	if f := format(c); f != "" && !slices.Contains(render.Formats(), f) {
		return usage("--format %s: not one of %s", store.Printable(f), words(render.Formats()))
	}
	return nil
}

// change is what a command wants changed, and how that goes.
type change struct {
	app     *App
	c       *cli.Context
	command string

	certificates []render.ChangeCertificate
	want         func(store.Info) []store.Change                // in a store
	named        bool                                           // every store is asked for by name
	repair       map[store.ID][]store.Problem                   // or to be mended
	undoOf       string                                         // the change set that is taken back
	after        func(parts []*platform.Part, set string) error // once all is done
	changed      bool                                           // something was changed, or would be
}

// tellNothing shows what became of each certificate if nothing was done.
func (ch *change) tellNothing() {
	if f := format(ch.c); (f == "" || f == "table") && len(ch.certificates) > 1 {
		doc := render.NewChangeDoc(ch.command)
		doc.Certificates = ch.certificates
		render.Write(ch.app.Streams, f, doc)
	}
}

// run plans the change for the stores, does it, and tells the result.
func (ch *change) run(found []platform.Found) error {
	a, c := ch.app, ch.c
	sel := selector(c)
	var parts []*platform.Part
	for _, f := range found {
		id := f.Info().ID
		p := &platform.Part{Store: f.Store, Named: sel.Names(f.Info()) || ch.named, Repair: ch.repair[id]}
		if ch.want != nil {
			p.Want = ch.want(f.Info())
		}
		parts = append(parts, p)
	}
	a.Streams.Status("planning")
	platform.PlanAll(c.Context, parts)
	a.Streams.Status("")
	set := ""
	if !c.Bool("dry-run") {
		set = journal.NewID(a.Host.Now())
	}
	if err := c.Context.Err(); err != nil {
		return err
	}
	err := ch.refused(parts)
	switch {
	case err != nil && !c.Bool("keep-going"):
	case c.Bool("dry-run"):
		err = several(ch.errors(parts))
	default:
		err = ch.apply(parts, set)
		if err == nil && ch.after != nil {
			err = ch.after(parts, set)
		}
	}
	return ch.tell(parts, set, err)
}

// refused marks the stores that cannot do their part, and returns why.
func (ch *change) refused(parts []*platform.Part) error {
	var errs []error
	for _, p := range parts {
		if len(p.Plan.Refused) == 0 || ch.repair != nil {
			continue
		}
		var own []error
		for _, r := range p.Plan.Refused {
			own = append(own, r.Err(ch.command, p.Plan.Store))
		}
		errs = append(errs, own...)
		if !ch.c.Bool("keep-going") || p.Plan.Empty() {
			p.Err = several(own)
			p.Result = platform.Failed
		}
	}
	return several(errs)
}

// errors returns how planning failed.
func (ch *change) errors(parts []*platform.Part) []error {
	var errs []error
	for _, p := range parts {
		if p.Err == nil {
			continue
		}
		err := p.Err
		if p.Result == platform.LeftOut {
			err = store.Because(store.ErrPartial, "%w", err)
		}
		errs = append(errs, err)
	}
	return errs
}

// apply does what was planned, after it has made sure of the rights.
func (ch *change) apply(parts []*platform.Part, set string) error {
	a, c := ch.app, ch.c
	options := platform.Options{
		Journal: a.journal(), Set: set, KeepGoing: c.Bool("keep-going"),
		Record: journal.Record{Command: a.commandLine(), UndoOf: ch.undoOf},
	}
	if err := ch.rights(parts, &options); err != nil {
		if !c.Bool("keep-going") {
			return err
		}
	}
	a.Streams.Status("changing " + summary(parts))
	err := platform.ApplyAll(c.Context, parts, options)
	a.Streams.Status("")
	if err != nil && !c.Bool("keep-going") {
		return err
	}
	return several(ch.errors(parts))
}

func summary(parts []*platform.Part) string {
	var ids []string
	for _, p := range parts {
		if p.Result == platform.Planned {
			ids = append(ids, string(p.Plan.Store))
		}
	}
	return strings.Join(ids, ", ")
}

// rights makes sure that every part can be done before the first one is:
// either with the rights that there are, or by a person's yes to getting them.
func (ch *change) rights(parts []*platform.Part, o *platform.Options) error {
	a, c := ch.app, ch.c
	var missing []*platform.Part
	for _, p := range parts {
		w := p.Store.Info().Access.Write
		if p.Result != platform.Planned || w == nil {
			continue
		}
		if w.Kind == store.NeedsElevation {
			missing = append(missing, p)
			continue
		}
		p.Err, p.Result = w.Err(ch.command, p.Plan.Store), platform.Failed
		if !c.Bool("keep-going") {
			return p.Err
		}
	}
	if len(missing) == 0 {
		return nil
	}
	elevate := c.Bool("elevate")
	if !elevate && a.Streams.CanAsk() {
		if elevate = c.Bool("yes"); !elevate {
			plan := ch.doc(parts, "", nil)
			plan.DryRun = true
			if err := plan.Text(a.Streams); err != nil {
				return err
			}
			var err error
			if elevate, err = a.Streams.Confirm("This needs administrator rights. Get them and do it?", true); err != nil {
				return err
			}
			o.Reviewed = true
		}
	}
	if elevate {
		o.Elevate = a.elevate(o)
		return nil
	}
	err := &store.Error{Op: ch.command, Store: missing[0].Plan.Store,
		Err:  store.Because(store.ErrPermission, "%s", missing[0].Store.Info().Access.Write.Text),
		Hint: "run: " + a.sudoLine()}
	for _, p := range missing {
		p.Err, p.Result = err, platform.Failed
	}
	return err
}

// tell writes the result, and returns the error for the exit code.
func (ch *change) tell(parts []*platform.Part, set string, err error) error {
	doc := ch.doc(parts, set, err)
	ch.changed = doc.Changed
	if failed := ch.app.write(ch.c, doc); failed != nil {
		return errors.Join(err, failed)
	}
	if err != nil && !ch.toldByStores(parts) {
		return err
	}
	if err != nil {
		// The document says it; people want it once more, where errors are.
		render.NewErrorDoc(err).Text(ch.app.Streams)
		resultOf(ch.c).told = true
	}
	return err
}

func (ch *change) toldByStores(parts []*platform.Part) bool {
	return slices.ContainsFunc(parts, func(p *platform.Part) bool { return p.Err != nil })
}

func (ch *change) doc(parts []*platform.Part, set string, err error) render.ChangeDoc {
	doc := render.NewChangeDoc(ch.command)
	doc.DryRun = ch.c.Bool("dry-run")
	doc.Certificates = ch.certificates
	doc.Error = render.NewErrorInfo(err)
	for _, p := range parts {
		st := render.ChangeStore{Store: p.Store.Info().ID, Result: render.Result(p.Result), Error: render.NewErrorInfo(p.Err), Notices: p.Plan.Notices}
		if p.Result == platform.Planned {
			st.Result = render.Changed // what is to be expected
		}
		if p.Result == platform.Failed && len(p.Plan.Refused) > 0 {
			st.Result = render.Refused
		}
		if p.Plan.Store != "" {
			st.Plan = &p.Plan
		}
		if p.Result == platform.Changed {
			st.Receipt = &p.Receipt
			for _, n := range p.Receipt.Notices {
				if !slices.Contains(st.Notices, n) {
					st.Notices = append(st.Notices, n)
				}
			}
		}
		doc.Changed = doc.Changed || st.Result == render.Changed
		doc.Stores = append(doc.Stores, st)
	}
	if doc.Changed {
		doc.Set = set
	}
	return doc
}

// journal returns the journals of the machine and of the user.
func (a *App) journal() *journal.Journal {
	j := journal.New(a.Host)
	j.AsUser = journal.Child(a.Host, append(slices.Clone(a.Self), journalCommandName)...)
	return j
}

// commandLine returns the command as it was given, for the journal.
func (a *App) commandLine() []string {
	return append([]string{"certtrust"}, a.args...)
}

// sudoLine returns the command that does the same with administrator rights.
func (a *App) sudoLine() string {
	program := "certtrust"
	if found, err := a.Host.LookPath(program); err != nil || found != a.Self[0] {
		program = a.Self[0]
	}
	line := []string{"sudo", shellQuote(program)}
	return strings.Join(line, " ") + " " + shellLine(a.args)
}

// shellLine writes arguments for a POSIX shell.
func shellLine(args []string) string {
	var line []string
	for _, arg := range args {
		line = append(line, shellQuote(arg))
	}
	return strings.Join(line, " ")
}

// shellQuote writes an argument for a POSIX shell.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=@%+,", r)
	}
	if s != "" && strings.TrimFunc(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
