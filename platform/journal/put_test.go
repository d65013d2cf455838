package journal

import (
	"testing"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// What the records say about who has put a certificate into a store is no more
// than what was done and is still so.
func TestPut(t *testing.T) {
	ours, theirs := store.FingerprintOf([]byte("ours")), store.FingerprintOf([]byte("theirs"))
	info := store.Info{ID: "test:store", Scope: store.ScopeUser}
	add := func(fp store.Fingerprint) store.Step {
		return store.Step{Action: store.ActionAdd, Fingerprint: fp, Before: &store.State{}, After: &store.State{Present: true}}
	}
	remove := func(fp store.Fingerprint) store.Step {
		return store.Step{Action: store.ActionRemove, Fingerprint: fp, Before: &store.State{Present: true}, After: &store.State{}}
	}
	j := New(host.Fake(t.TempDir()))
	did := func(set, undoOf string, steps ...store.Step) {
		t.Helper()
		r := record(set, info.ID, info.Scope)
		r.Plan.Steps, r.Plan.Undo, r.UndoOf = steps, nil, undoOf
		for _, s := range steps {
			r.Plan.Undo = append(r.Plan.Undo, store.Change{Fingerprint: s.Fingerprint, Absent: true})
		}
		done(t, j, r)
	}
	holds := func(when string, oursIs, theirsIs bool) {
		t.Helper()
		put := j.Put(t.Context())
		if put.Has(info, ours) != oursIs || put.Has(info, theirs) != theirsIs {
			t.Errorf("%s: ours %t, theirs %t", when, put.Has(info, ours), put.Has(info, theirs))
		}
	}
	holds("in the beginning", false, false)
	did("a1", "", add(ours), store.Step{Action: store.ActionTrust, Fingerprint: theirs, Before: &store.State{Present: true}, After: &store.State{Present: true}})
	holds("put there, and changed what was there", true, false)
	did("a2", "", remove(ours), remove(theirs))
	holds("removed", false, false)
	did("a3", "a2", add(ours), add(theirs))
	holds("that was taken back", true, false)
	did("a4", "a1", remove(ours))
	holds("and that it was put there, too", false, false)
	did("a5", "a4", add(ours))
	holds("and that again", true, false)
	failed(t, j, record("a6", info.ID, info.Scope), store.ErrFailed)
	holds("after a failure", true, false)

	put := j.Put(t.Context())
	for _, other := range []store.Info{{ID: "test:other", Scope: store.ScopeUser}, {ID: info.ID, Scope: store.ScopeSystem}} {
		if put.Has(other, ours) {
			t.Errorf("what is said of one store is taken for %+v, too", other)
		}
	}
	// Nobody knows how far an interrupted one came: what is there now was put
	// there by it, for it was not there before.
	r := record("a7", info.ID, info.Scope)
	r.State, r.Plan.Steps = Interrupted, []store.Step{add(theirs)}
	if put.heed(r); !put.Has(info, theirs) {
		t.Error("what an interrupted change was to put there is not known")
	}
}
