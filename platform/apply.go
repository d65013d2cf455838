package platform

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/certtrust/certtrust/platform/journal"
	"github.com/certtrust/certtrust/store"
)

// Result says how it went with a store.
type Result string

// The results.
const (
	Planned   Result = "planned"    // it was planned, and nothing else was asked for
	Changed   Result = "changed"    // done and read back
	Unchanged Result = "unchanged"  // it was so already
	LeftOut   Result = "left-out"   // not tried, for the reason in Err
	Failed    Result = "failed"     // tried, and it is as it was, unless Err is ErrPartial
	TakenBack Result = "taken-back" // done, and undone because another store failed
)

// Part is the change of one store.
type Part struct {
	Store  store.Store
	Named  bool // asked for by name: it is not left out
	Want   []store.Change
	Repair []store.Problem // instead of Want

	Plan    store.Plan
	Receipt store.Receipt
	Result  Result
	Err     error
}

// PlanAll plans every part. What goes wrong is in its Err, with the Result
// LeftOut for a store that was not named and is damaged or locked, or a user's
// that cannot be written by anybody as it is, and Failed
// for everything else. Nothing is changed.
func PlanAll(ctx context.Context, parts []*Part) {
	for _, p := range parts {
		p.plan(ctx)
	}
}

func (p *Part) plan(ctx context.Context) {
	id := p.Store.Info().ID
	editor, ok := p.Store.(store.Editor)
	if !ok {
		err := p.Store.Info().Access.Write.Err("plan", id)
		if err == nil {
			err = &store.Error{Op: "plan", Store: id, Err: store.Because(store.ErrUnsupported, "this store can only be read")}
		}
		p.fail(err)
		return
	}
	var err error
	if len(p.Repair) > 0 {
		repairer, ok := p.Store.(store.Repairer)
		if !ok {
			p.fail(&store.Error{Op: "repair", Store: id, Err: store.ErrUnsupported})
			return
		}
		p.Plan, err = repairer.PlanRepair(ctx, p.Repair)
	} else {
		p.Plan, err = editor.Plan(ctx, p.Want)
	}
	if err != nil {
		p.fail(err)
		return
	}
	p.Result, p.Err = Planned, nil
	if p.Plan.Empty() {
		p.Result = Unchanged
	} else if w := p.Store.Info().Access.Write; w != nil && !w.Yields() {
		p.fail(w.Err("plan", id))
	}
}

func (p *Part) fail(err error) {
	p.Err, p.Result = err, Failed
	untouched := !errors.Is(err, store.ErrPartial)
	frozen := errors.Is(err, store.ErrReadOnly) && !ofTheSystem(p.Store.Info())
	if untouched && !p.Named && (errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrLocked) || frozen) {
		p.Result = LeftOut
	}
}

// HoldBack leaves a part out because another has failed.
func (p *Part) HoldBack(failed *Part) {
	p.Result = LeftOut
	p.Err = &store.Error{Err: fmt.Errorf("not done, because %s cannot do its part", failed.Store.Info().ID),
		Hint: "--keep-going does it wherever it can be done"}
}

// Options are the terms of a change.
type Options struct {
	// Journal records what is done, under the change-set ID Set.
	Journal *journal.Journal
	Set     string
	Record  journal.Record // what all records have in common
	// KeepGoing: each store for itself. Without it, a store that fails makes
	// all others be taken back.
	KeepGoing bool
	// Reviewed: a person has seen the plans, so nothing else may be done.
	// Otherwise a plan that has become stale is made anew.
	Reviewed bool
	// Elevate applies a plan with the rights it needs, and records it in the
	// journal; nil if that is not to be done.
	Elevate func(ctx context.Context, p store.Plan, r journal.Record) (store.Receipt, error)
}

// staleTries is how often a plan is made anew for a store that others change
// at the same time.
const staleTries = 10

// ApplyAll applies the planned parts. Those whose store needs rights or a
// person's consent come last. Nothing is begun if it is known already that one
// will fail; if one fails later, what was done before is taken back. With
// KeepGoing set, each store is for itself. How it went is in each part. The
// error is [store.ErrPartial] if something could not be taken back, and that
// of the first failed part otherwise.
func ApplyAll(ctx context.Context, parts []*Part, o Options) error {
	order := slices.Clone(parts)
	slices.SortStableFunc(order, func(a, b *Part) int { return a.late() - b.late() })
	var failed *Part
	note := func(p *Part) {
		if p.Result == Failed && failed == nil {
			failed = p
		}
	}
	for _, p := range order {
		if err := p.obstacle(o); err != nil && p.Result == Planned {
			p.fail(err)
		}
		note(p)
	}
	for _, p := range order {
		switch {
		case p.Result != Planned:
		case failed != nil && !o.KeepGoing:
			p.HoldBack(failed)
		default:
			p.apply(ctx, o)
			note(p)
		}
	}
	switch {
	case failed == nil:
		return nil
	case o.KeepGoing:
		return failed.Err
	}
	return o.takeBack(ctx, order, failed)
}

// takeBack undoes the parts that were done, the last one first. What was only
// mended has nothing to take back and stays.
func (o Options) takeBack(ctx context.Context, done []*Part, failed *Part) error {
	ctx = context.WithoutCancel(ctx) // an interrupted change is taken back all the same
	err := failed.Err
	o.Record.UndoOf, o.Reviewed = o.Set, false
	for _, p := range slices.Backward(done) {
		if p.Result != Changed || len(p.Receipt.Undo) == 0 {
			continue
		}
		if back := p.undo(ctx, o); back != nil {
			p.Err = &store.Error{Op: "take back", Store: p.Store.Info().ID, Err: store.Because(store.ErrPartial, "%w", back),
				Hint: "certtrust undo " + o.Set}
			err = errors.Join(err, p.Err)
			continue
		}
		p.Result = TakenBack
	}
	return err
}

// undo takes back what the part did, and returns why it cannot.
func (p *Part) undo(ctx context.Context, o Options) error {
	back := &Part{Store: p.Store, Want: p.Receipt.Undo, Named: true}
	back.plan(ctx)
	errs := []error{back.Err}
	for _, r := range back.Plan.Refused {
		errs = append(errs, r.Err("", ""))
	}
	if back.Result == Planned {
		back.apply(ctx, o)
		errs = append(errs, back.Err)
	}
	return errors.Join(errs...)
}

// obstacle returns what is known to keep the part from being applied.
func (p *Part) obstacle(o Options) error {
	info := p.Store.Info()
	w := info.Access.Write
	if w == nil || w.Kind == store.NeedsElevation && o.Elevate != nil || w.Kind == store.NeedsSecret {
		return nil // what needs a secret is refused in the plan, and the rest is not
	}
	return info.Access.Write.Err("apply", info.ID)
}

// late puts stores that need rights or a person after those that do not.
func (p *Part) late() int {
	if p.Store.Info().Access.Write != nil {
		return 1
	}
	return 0
}

func (p *Part) apply(ctx context.Context, o Options) {
	for try := 1; ; try++ {
		p.Receipt, p.Err = p.once(ctx, o)
		if !errors.Is(p.Err, store.ErrStale) || try == staleTries {
			break
		}
		old := p.Plan
		p.plan(ctx)
		for _, r := range p.Plan.Refused {
			if !slices.Contains(old.Refused, r) { // that it cannot be done is news
				p.fail(r.Err("apply", p.Plan.Store))
				return
			}
		}
		if p.Result != Planned {
			return
		}
		if o.Reviewed && !p.Plan.SameSteps(old) {
			p.Err = &store.Error{Op: "apply", Store: p.Plan.Store, Err: store.ErrStale, Hint: "look at the plan again"}
			break
		}
	}
	if p.Err != nil {
		p.fail(p.Err)
		return
	}
	p.Result = Changed
}

// once applies the plan with the right rights, between two entries of the
// journal.
func (p *Part) once(ctx context.Context, o Options) (store.Receipt, error) {
	if w := p.Store.Info().Access.Write; w != nil && w.Kind == store.NeedsElevation && o.Elevate != nil {
		r := o.Record
		r.Set = o.Set
		return o.Elevate(ctx, p.Plan, r)
	}
	return Apply(ctx, p.Store.(store.Editor), p.Plan, o)
}

// Apply applies one plan and records it in the journal, before and after.
// A plan that cannot be recorded is not applied.
func Apply(ctx context.Context, e store.Editor, plan store.Plan, o Options) (store.Receipt, error) {
	info := e.Info()
	if err := ctx.Err(); err != nil {
		return store.Receipt{}, &store.Error{Op: "apply", Store: info.ID, Err: err}
	}
	if w := info.Access.Write; w != nil && w.Kind != store.NeedsSecret {
		return store.Receipt{}, w.Err("apply", info.ID)
	}
	r := o.Record
	r.Set, r.Store, r.Scope, r.Plan = o.Set, info.ID, info.Scope, plan
	pending, err := o.Journal.Begin(r)
	if err != nil {
		return store.Receipt{}, &store.Error{Op: "record", Store: info.ID, Err: fmt.Errorf("the journal cannot be written, so nothing was done: %w", err)}
	}
	receipt, err := e.Apply(ctx, plan)
	if err != nil {
		return receipt, errors.Join(err, pending.Failed(err))
	}
	if err := pending.Done(receipt); err != nil {
		return receipt, &store.Error{Op: "record", Store: info.ID, Err: store.Because(store.ErrPartial, "the change was made, but the journal could not be written: %w", err)}
	}
	return receipt, nil
}
