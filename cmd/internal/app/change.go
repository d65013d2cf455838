package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/render"
	"github.com/certtrust/certtrust/platform"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/journal"
	"github.com/certtrust/certtrust/store"
)

// changeFlags are those of all commands that change something.
func changeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Usage: "only show what would be done"},
		&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"},
		&cli.BoolFlag{Name: "elevate", Usage: "do the part that needs administrator rights through sudo, doas or, on Windows, UAC"},
		&cli.StringFlag{Name: "engine", Usage: "`WHO` makes bundles and links out of anchors: " + words(host.Engines()) + " (auto: certtrust itself, where it is known to do the same as the system's tool)"},
		&cli.BoolFlag{Name: "keep-going", Usage: "each store for itself: one that fails does not take the others back"},
		formatFlag(render.Formats()),
	}
}

// change is what a command wants changed, and how that goes.
type change struct {
	app     *App
	c       *cli.Context
	command string

	certificates []render.ChangeCertificate
	want         func(store.Info) []store.Change                // in a store
	named        bool                                           // every store is asked for by name
	lenient      bool                                           // a store that cannot do it is left out, unless it is named
	repair       map[store.ID][]store.Problem                   // or to be mended
	undoOf       string                                         // the change set that is taken back
	after        func(parts []*platform.Part, set string) error // once all is done
	verdict      func(parts []*platform.Part) error             // if all went as planned, and was still not all that was asked for
}

// refuse tells that nothing is done, and what is thought of each certificate:
// people are told of a single one by the error.
func (ch *change) refuse(err error) error {
	if f := format(ch.c); (f == "" || f == "table") && len(ch.certificates) < 2 {
		return err
	}
	return ch.tell(nil, "", err)
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
		if slices.ContainsFunc(parts, func(p *platform.Part) bool {
			return p.Result == platform.Changed && p.Store.Info().Scope == store.ScopeSystem
		}) {
			a.refreshMerged(c.Context, c)
		}
		if err == nil && ch.after != nil {
			err = ch.after(parts, set)
		}
	}
	ch.hold(parts)
	if err == nil && ch.verdict != nil {
		err = ch.verdict(parts)
	}
	return ch.tell(parts, set, err)
}

// hold marks what is not done although it could be: all of it if one store
// fails, unless each is for itself.
func (ch *change) hold(parts []*platform.Part) {
	failed := slices.IndexFunc(parts, func(p *platform.Part) bool { return p.Result == platform.Failed })
	if failed < 0 || ch.c.Bool("keep-going") {
		return
	}
	for _, p := range parts {
		if p.Result == platform.Planned {
			p.HoldBack(parts[failed])
		}
	}
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
		if ch.lenient && !p.Named && p.Plan.Empty() {
			p.Err, p.Result = several(own), platform.LeftOut
			continue
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
			if ch.repair == nil {
				for _, r := range p.Plan.Refused { // the rest of the plan was not
					errs = append(errs, store.Because(store.ErrPartial, "%w", r.Err(ch.command, p.Plan.Store)))
				}
			}
			continue
		}
		err := p.Err
		if p.Result == platform.LeftOut && achieved(parts) {
			err = leftOut(p.Store.Info(), err)
		}
		errs = append(errs, err)
	}
	return errs
}

// leftOut tells that a store was, whatever was being done when that turned out.
func leftOut(i store.Info, err error) error {
	out := &store.Error{Store: i.ID, Hint: store.Hint(err)}
	var e *store.Error
	if errors.As(err, &e) {
		out.Path, err = e.Path, e.Err
	}
	out.Err = store.Because(store.ErrPartial, "left out: %w", err)
	return out
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
		if p.Result != platform.Planned || w == nil || w.Kind == store.NeedsSecret {
			continue
		}
		if w.Kind == store.NeedsElevation {
			missing = append(missing, p)
			continue
		}
		p.Err, p.Result = w.Err(ch.command, p.Plan.Store), platform.Failed // it needs a person's yes
		if !c.Bool("keep-going") {
			return p.Err
		}
	}
	if len(missing) == 0 {
		return nil
	}
	// What has the rights would be asked about this machine.
	elevate := c.Bool("elevate") && a.image == nil
	if !elevate && a.image == nil && a.Streams.CanAsk() {
		if elevate = c.Bool("yes"); !elevate {
			plan := ch.doc(parts, "", nil)
			plan.DryRun, plan.Preview = true, true
			// It belongs to the question: results are yet to come.
			if err := plan.Text(a.Streams.Aside()); err != nil {
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
		o.Elevate = a.elevated
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
	failed := ch.app.write(ch.c, doc)
	if failed != nil && err == nil && doc.Changed && !doc.DryRun {
		return store.Because(store.ErrPartial, "the change was made, but could not be told: %w", failed)
	}
	return errors.Join(err, failed)
}

func (ch *change) doc(parts []*platform.Part, set string, err error) render.ChangeDoc {
	doc := render.NewChangeDoc(ch.command)
	doc.DryRun = ch.c.Bool("dry-run")
	if ch.app.image != nil {
		doc.Where = " --root " + store.ShellWord(ch.app.image.Root)
	}
	doc.Certificates = ch.certificates
	if !achieved(parts) {
		doc.Certificates = slices.Clone(ch.certificates)
		for i := range doc.Certificates {
			if c := &doc.Certificates[i]; slices.Contains(achievements, c.Action) {
				c.Action = actNotDone
			}
		}
	}
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

// achieved reports whether certificates are as was asked for, or would be, in
// any store.
func achieved(parts []*platform.Part) bool {
	results := map[platform.Result]bool{}
	for _, p := range parts {
		results[p.Result] = true
	}
	return results[platform.Changed] || results[platform.Planned] || results[platform.Unchanged] && !results[platform.Failed]
}

// journal returns the journals of the machine and of the user. That of an image
// is in the image.
func (a *App) journal() *journal.Journal {
	if a.image != nil {
		return journal.New(a.image)
	}
	j := journal.New(a.Host)
	j.AsUser = journal.Child(a.Host, append(slices.Clone(a.Self), journalCommandName)...)
	return j
}

// ours returns what tells which certificates the journals of a machine say that
// certtrust has put into its stores. They are read when that is first asked.
func (a *App) ours(h *host.Host) func(store.Info, store.Fingerprint) bool {
	put := sync.OnceValue(func() journal.Put {
		if h == a.Host {
			return a.journal().Put(context.Background())
		}
		return journal.New(h).Put(context.Background())
	})
	return func(i store.Info, fp store.Fingerprint) bool { return put().Has(i, fp) }
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
	if a.Host.OS == "windows" {
		return windowsLine(program, a.args)
	}
	line := []string{"sudo", store.ShellWord(program)}
	return strings.Join(line, " ") + " " + shellLine(a.args)
}

// windowsLine returns the command that has Windows ask for the rights.
func windowsLine(program string, args []string) string {
	line := append([]string{program}, args...)
	if !slices.Contains(args, "--elevate") {
		at := slices.Index(line, "--")
		if at < 0 {
			at = len(line)
		}
		line = slices.Insert(line, at, "--elevate")
	}
	for i, arg := range line {
		if arg == "" || strings.ContainsAny(arg, " \t\"&|<>^()%!;,=") {
			line[i] = `"` + strings.ReplaceAll(arg, `"`, `\"`) + `"`
		}
	}
	return strings.Join(line, " ")
}

// shellLine writes arguments for a POSIX shell.
func shellLine(args []string) string {
	var line []string
	for _, arg := range args {
		line = append(line, store.ShellWord(arg))
	}
	return strings.Join(line, " ")
}
