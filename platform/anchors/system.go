package anchors

import (
	"context"
	"path"
	"sync/atomic"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// System is a system's anchor store, in whichever way it is kept.
type System interface {
	store.Editor
	store.Repairer

	// Family returns the name of the family of systems that the store's machine
	// is of, such as "debian".
	Family() string
}

var _ System = (*Store)(nil)

// base is what all ways of keeping anchors share.
type base struct {
	host   *host.Host
	family family
	info   store.Info

	cache *cache

	updaters func() []host.Process           // that are running the update tool on the same files
	seen     *atomic.Pointer[[]host.Process] // all that were running when that was looked at last

	// Wait is how long a change waits for another program to finish with the
	// store before it gives up with [store.ErrLocked].
	Wait time.Duration
}

// job is a change that is planned against the state of a store as it was read.
type job interface {
	planned() *store.Plan
	changes(want []store.Change)
	mend(list []store.Problem)

	// save remembers all that do can touch, and returns what puts it back.
	save() (putBack func(context.Context) error, err error)
	// do makes the change, has what is generated follow, and reads it back.
	do(ctx context.Context) error
}

// apply is Apply for every way of keeping anchors: alone, planned once more,
// all of it or nothing. begin reads the store.
func (s *base) apply(ctx context.Context, plan store.Plan, quiet func(context.Context) error, begin func(context.Context) (job, error)) (store.Receipt, error) {
	receipt := store.Receipt{Store: s.info.ID}
	if err := ctx.Err(); err != nil {
		return receipt, s.fail("apply", "", err)
	}
	if !plan.Empty() {
		if err := s.info.Access.Write.Err("apply", s.info.ID); err != nil {
			return receipt, err
		}
		unlock, err := s.host.Lock(ctx, path.Join(s.host.StateDir(store.ScopeSystem), "lock"), lockWaits*s.Wait, "certtrust")
		if err != nil {
			return receipt, s.fail("apply", "", err)
		}
		defer unlock()
		if err := quiet(ctx); err != nil {
			return receipt, s.fail("apply", "", err)
		}
	}
	j, err := begin(ctx)
	if err != nil {
		return receipt, s.fail("apply", "", err)
	}
	if len(plan.Repair) > 0 {
		j.mend(plan.Repair)
	} else {
		j.changes(plan.Want)
	}
	if !j.planned().SameSteps(plan) {
		return receipt, &store.Error{Op: "apply", Store: s.info.ID,
			Err:  store.Because(store.ErrStale, "the store has changed since the plan was made"),
			Hint: "look at the plan again"}
	}
	if !plan.Empty() {
		if err := s.execute(ctx, j); err != nil {
			return receipt, err
		}
		receipt.Done, receipt.Undo = j.planned().Steps, j.planned().Undo
		for _, n := range s.toRestart() {
			j.planned().Notice("%s", n)
		}
	}
	receipt.Notices = j.planned().Notices
	return receipt, nil
}

// execute does a job or puts everything back.
func (s *base) execute(ctx context.Context, j job) error {
	putBack, err := j.save()
	if err != nil {
		return s.fail("apply", "", err)
	}
	if err = j.do(ctx); err == nil {
		return nil
	}
	// A cancelled context must not keep the store from being put back.
	if back := putBack(context.WithoutCancel(ctx)); back != nil {
		return &store.Error{Op: "apply", Store: s.info.ID,
			Err:  store.Because(store.ErrPartial, "%w; and it could not be taken back: %v", err, back),
			Hint: "run certtrust repair"}
	}
	return &store.Error{Op: "apply", Store: s.info.ID, Err: store.Because(store.Kind(store.Code(err)), "%w; everything was put back", err), Hint: store.Hint(err)}
}

// onlyDecision returns the decision that a store is to make that knows no
// purposes, and cannot hold a certificate without trusting it.
func onlyDecision(wanted store.Trust) (store.Decision, error) {
	t := wanted.Normal()
	switch {
	case len(t) == 0:
		return "", errOnlyTrusted
	case len(t) > 1 || t[0].Purpose != store.PurposeAny:
		return "", &store.Error{Err: store.Because(store.ErrUnsupported, "this store cannot tell purposes apart: what it trusts is trusted for any, not only for %s", wantedPurposes(t)),
			Hint: "leave --purpose out, or say --purpose any"}
	case len(t[0].Hosts) > 0 || !t[0].DistrustAfter.IsZero():
		return "", store.Because(store.ErrUnsupported, "this store cannot limit trust to hosts or dates")
	}
	return t[0].Decision, nil
}

// problemsOf yields what is wrong with a store's entries.
func problemsOf(entries func(func(store.Entry, error) bool), yield func(store.Problem, error) bool) bool {
	more := true
	entries(func(e store.Entry, err error) bool {
		if err != nil {
			more = yield(store.Problem{}, err)
			return more
		}
		for _, p := range e.Problems {
			if e.Cert != nil {
				p.Fingerprint = &e.Cert.SHA256
			}
			if more = more && yield(p, nil); !more {
				return false
			}
		}
		return true
	})
	return more
}
