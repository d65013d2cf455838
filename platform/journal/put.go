package journal

import (
	"context"
	"slices"

	"github.com/certtrust/certtrust/store"
)

// Put is what this program has put into stores and neither taken out again nor
// taken back, as its records say. It is for stores that do not tell themselves
// who put something there.
type Put map[place]bool

type place struct {
	scope store.Scope
	store store.ID
	cert  store.Fingerprint
}

// Has reports whether the certificate was put into the store.
func (p Put) Has(i store.Info, fp store.Fingerprint) bool { return p[place{i.Scope, i.ID, fp}] }

// Put returns what the records of both journals say. One that cannot be read
// says nothing.
func (j *Journal) Put(ctx context.Context) Put {
	put := Put{}
	sets, _ := j.read(ctx)
	for _, s := range slices.Backward(sets) { // the oldest first
		for _, r := range s.Records {
			// What takes something back is not told as well as what it has taken
			// back, which is marked: that somebody else's is there again is not
			// this program's doing.
			if r.UndoOf == "" {
				put.heed(r)
			}
		}
	}
	return put
}

func (p Put) heed(r Record) {
	var steps []store.Step
	switch {
	case r.State == Done && r.Receipt != nil:
		steps = r.Receipt.Done
	case r.State == Interrupted: // what is there of it was not there before
		steps = r.Plan.Steps
	}
	for _, step := range steps {
		at := place{r.Scope, r.Store, step.Fingerprint}
		switch {
		case step.Action == store.ActionRemove:
			delete(p, at)
		case step.Action == store.ActionAdd && (step.Before == nil || !step.Before.Present):
			p[at] = true
		}
	}
}
