// Package journal records what was changed, by whom and when, so that it can be
// told and taken back, even after a crash in the middle.
//
// What one command changes is a set: one record for each store, all with the
// same set ID. Each record is a file of its own below "journal" in
// [host.Host.StateDir] of its store's scope, so writers never wait for each
// other: <set ID>-<hash of the store ID>.json, with -2 and so on before the
// ending where a set has several for a store. The machine's journal can be read
// by all, as it holds only certificates, the user's by the user alone. Records
// never hold a private key.
//
// The user's journal is the user's own: what it says about who did what is only
// as true as the user. Its records are only ever about stores of the user's
// scope; whoever acts on one must see that the store which it names has that
// scope too.
package journal

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// Schema is the schema of a record.
const Schema = "certtrust.journal/v1"

// Record is one store's part of a set.
type Record struct {
	Schema  string      `json:"schema"`
	Set     string      `json:"set"`
	Store   store.ID    `json:"store"`
	Scope   store.Scope `json:"scope"`
	Command []string    `json:"command,omitempty"` // the command line, as given
	By      By          `json:"by"`
	Begun   time.Time   `json:"begun"`
	Ended   time.Time   `json:"ended,omitzero"`
	State   State       `json:"state"`
	Plan    store.Plan  `json:"plan"`
	// Receipt is set when it is done.
	Receipt *store.Receipt `json:"receipt,omitempty"`
	Error   string         `json:"error,omitempty"` // why it failed; untrusted text
	Code    string         `json:"code,omitempty"`  // the kind of that, see store.Code
	// UndoOf is the set that this takes back. It may be the record's own: then
	// another store failed.
	UndoOf string `json:"undoOf,omitempty"`
	// UndoneBy is the set that has taken this back. If that was itself taken
	// back, the record is not undone any more.
	UndoneBy string `json:"undoneBy,omitempty"`
	// Writer is the mark of the process that does it, see host.Running.
	Writer string `json:"writer,omitempty"`
}

// By is who did it.
type By struct {
	User string `json:"user"`
	UID  int    `json:"uid"`
	Via  string `json:"via,omitempty"` // "sudo", …: whose rights were used, see host.User
}

// String returns the user, as in "alice" or "alice via sudo", fit to be shown.
func (b By) String() string {
	if b.Via != "" {
		return store.Printable(b.User + " via " + b.Via)
	}
	return store.Printable(b.User)
}

// Undo returns what takes the record's change back: nothing if it was undone,
// did not come about or is still being made, or is itself how its set took
// something back. Of an interrupted one nobody knows how far it came, so it is
// what would take back all of it.
func (r Record) Undo() []store.Change {
	switch {
	case r.UndoOf == r.Set:
		return nil
	case r.State == Done && r.Receipt != nil:
		return r.Receipt.Undo
	case r.State == Interrupted:
		return r.Plan.Undo
	}
	return nil
}

// State tells how far something has come.
type State string

// The states of records and sets.
const (
	Begun  State = "begun" // and still being done
	Done   State = "done"
	Failed State = "failed" // nothing was changed, unless Code is "partial"
	Undone State = "undone"
	// Interrupted is a record that was begun by a process that is gone. It is
	// never written.
	Interrupted State = "interrupted"
	// Partial is a set of which some is done and some is not.
	Partial State = "partial"
)

// NewID returns a new set ID such as "20261122T215612Z-4f3a9c". Those of a later
// second sort after those of an earlier one.
func NewID(now time.Time) string {
	var tail [3]byte
	rand.Read(tail[:]) // never fails
	return now.UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(tail[:])
}

// Journal is the machine's journal and the user's. Its methods may be called
// from several goroutines, and by several processes, at once.
type Journal struct {
	// AsUser, if set, does [Serve] with the rights of the user who asked. It is
	// used for the user's journal when this process is root on that user's
	// behalf: root opens no path that the user could turn into a link to
	// something else. See [Child].
	AsUser func(ctx context.Context, op string, payload []byte) ([]byte, error)

	host *host.Host
}

// New returns the journals of a machine. It does no I/O.
func New(h *host.Host) *Journal { return &Journal{host: h} }

// Pending is a change that is being made.
type Pending struct {
	journal *Journal
	record  Record
	plan    planText
	name    string // of the file
	ended   bool
}

// Begin records that a store is going to be changed. When it returns, that is
// on disk: should this process end without a word, the record is found to be
// interrupted. The caller sets Set, Store, Scope, Plan, and Command and UndoOf
// as they apply; By and Begun if they are not the host's user and now.
func (j *Journal) Begin(r Record) (*Pending, error) {
	r.Schema, r.State, r.Writer = Schema, Begun, host.ThisProcess()
	r.Ended, r.Receipt, r.Error, r.Code, r.UndoneBy = time.Time{}, nil, "", "", ""
	if r.By == (By{}) {
		u := j.host.User
		r.By = By{User: u.Name, UID: u.UID, Via: u.Via}
	}
	if r.Begun.IsZero() {
		r.Begun = j.host.Now()
	}
	r.Begun = r.Begun.UTC()
	if err := r.check(r.Scope); err != nil {
		return nil, &store.Error{Op: "record", Store: r.Store, Err: err}
	}
	p := &Pending{journal: j, record: r}
	var err error
	if p.plan, err = json.Marshal(r.Plan); err != nil {
		return nil, &store.Error{Op: "record", Store: r.Store, Err: err}
	}
	if p.name, err = do[string](context.Background(), j, r.Scope, "begin", &beginning{r, p.plan}); err != nil {
		return nil, err
	}
	return p, nil
}

// Done records that the change was made. If it takes back another, that one is
// marked as undone.
func (p *Pending) Done(rc store.Receipt) error {
	p.record.State, p.record.Receipt = Done, &rc
	ended := p.ended
	if err := p.end(); err != nil || ended || p.record.UndoOf == "" {
		return err
	}
	r := p.record
	_, err := do[int](context.Background(), p.journal, r.Scope, "mark", &mark{Set: r.UndoOf, By: r.Set, Store: r.Store, Anyway: true})
	return err
}

// Failed records that the change was not made, and why.
func (p *Pending) Failed(err error) error {
	p.record.State, p.record.Code = Failed, store.Code(err)
	if err != nil {
		p.record.Error = err.Error()
	}
	return p.end()
}

// end writes the record once; what is said after that is not heard.
func (p *Pending) end() error {
	if p.ended {
		return nil
	}
	p.record.Ended = p.journal.host.Now().UTC()
	_, err := do[any](context.Background(), p.journal, p.record.Scope, "end", &ending{p.name, p.record, p.plan})
	p.ended = err == nil
	return err
}

// MarkUndone records that what a record says was done is not so any more: the
// first later change of the same certificates has taken it back, or else the
// set by. It returns store.ErrStale if the record has been marked since it was
// read, and store.ErrNotFound if it is not there. [Pending.Done] marks what a
// record with UndoOf has taken back.
func (j *Journal) MarkUndone(ctx context.Context, r Record, by string) error {
	sets, problems := j.read(ctx)
	found := false
	for _, s := range slices.Backward(sets) { // the oldest first
		for _, later := range s.Records {
			found = found || later.Set == r.Set && later.Store == r.Store
			if later.Set != r.Set && later.Store == r.Store && later.State == Done && later.Begun.After(r.Begun) && sameCertificates(later, r) {
				return j.mark(r, later.Set)
			}
		}
	}
	if !found {
		errs := []error{&store.Error{Op: "mark as undone", Store: r.Store, Err: store.Because(store.ErrNotFound, "the set %s did nothing here", store.Printable(r.Set))}}
		for _, p := range problems {
			errs = append(errs, p.err)
		}
		return errors.Join(errs...)
	}
	return j.mark(r, by)
}

func (j *Journal) mark(r Record, by string) error {
	marked, err := do[int](context.Background(), j, r.Scope, "mark", &mark{Set: r.Set, By: by, Store: r.Store, Was: r.UndoneBy})
	if err == nil && marked == 0 {
		err = &store.Error{Op: "mark as undone", Store: r.Store,
			Err:  store.Because(store.ErrStale, "%s has been taken back by another command meanwhile", store.Printable(r.Set)),
			Hint: "see certtrust history"}
	}
	return err
}

// sameCertificates reports whether two records changed the same certificates.
func sameCertificates(a, b Record) bool {
	return slices.ContainsFunc(a.Undo(), func(x store.Change) bool {
		return slices.ContainsFunc(b.Undo(), func(y store.Change) bool { return x.Fingerprint == y.Fingerprint })
	})
}

// settle finds the records that are undone no more, because what had taken them
// back was itself taken back. The sets are the newest first.
func settle(sets []Set) {
	type part struct {
		set   string
		store store.ID
	}
	undone := map[part]bool{}
	for _, s := range sets {
		done := map[part]bool{}
		for i := range s.Records {
			r := &s.Records[i]
			if r.State == Undone && undone[part{r.UndoneBy, r.Store}] {
				r.State = Done
				if r.Receipt == nil { // it was never said how far it came
					r.State = Interrupted
				}
			}
			at := part{s.ID, r.Store}
			undone[at] = undone[at] || r.State == Undone
			// What took back the set's own record has left nothing done.
			done[at] = done[at] || r.State == Done && r.UndoOf != s.ID
		}
		for at := range done {
			undone[at] = undone[at] && !done[at]
		}
	}
}

var scopes = []store.Scope{store.ScopeSystem, store.ScopeUser}

// Set is what one command changed.
type Set struct {
	ID      string
	Records []Record // in the order in which they were begun
}

// State sums the records up: [Begun] while any is being done, else [Interrupted]
// if any is, [Done], [Undone] or [Failed] if nothing is left to be said, and
// [Partial] if some is done and some is not.
func (s Set) State() State {
	count := map[State]int{}
	total := 0
	for _, r := range s.Records {
		if r.UndoOf == s.ID && (r.State == Done || r.State == Failed) {
			continue // what it has taken back is marked, or else still done
		}
		state := r.State
		if state == Undone && r.UndoneBy == s.ID {
			state = Failed // as a whole
		}
		count[state]++
		total++
	}
	for _, state := range []State{Begun, Interrupted} {
		if count[state] > 0 {
			return state
		}
	}
	switch {
	case count[Done] > 0 && count[Done] == total:
		return Done
	case count[Done] > 0:
		return Partial
	case count[Undone] > 0:
		return Undone
	}
	return Failed
}

// undoable reports whether there is something of the set to take back, and it
// has not itself taken back another.
func (s Set) undoable() bool {
	return s.State() != Begun && slices.ContainsFunc(s.Records, func(r Record) bool { return r.UndoOf == "" && len(r.Undo()) > 0 })
}

// mends reports whether the set only mended something.
func (s Set) mends() bool {
	return !slices.ContainsFunc(s.Records, func(r Record) bool { return len(r.Plan.Repair) == 0 })
}

// Sets returns all sets of both journals, the newest first. What cannot be read
// is an error with its path; the others are returned all the same. A journal
// that does not exist is empty.
func (j *Journal) Sets(ctx context.Context) (sets []Set, errs []error) {
	sets, problems := j.read(ctx)
	for _, p := range problems {
		errs = append(errs, p.err)
	}
	return sets, errs
}

// problem is something that cannot be read.
type problem struct {
	set string // the set that it is about, "" if that is unknown
	err error
}

func (j *Journal) read(ctx context.Context) ([]Set, []problem) {
	byID := map[string]*Set{}
	var problems []problem
	for _, scope := range scopes {
		var items []item
		err := ctx.Err()
		if err == nil {
			items, err = do[[]item](ctx, j, scope, "read", nil)
		}
		if err != nil {
			problems = append(problems, problem{err: err})
			continue
		}
		for _, i := range items {
			if i.Record != nil && i.Error == "" {
				// The user's side may say anything.
				if err := i.Record.check(scope); err != nil {
					i.Error, i.Code = err.Error(), store.Code(err)
				}
			}
			if i.Record == nil || i.Error != "" {
				set := setOf(i.Name)
				problems = append(problems, problem{set, &store.Error{Op: "read the journal", Path: i.Path, Err: store.Because(store.Kind(i.Code), "%s", store.Printable(i.Error))}})
				continue
			}
			s := byID[i.Record.Set]
			if s == nil {
				s = &Set{ID: i.Record.Set}
				byID[s.ID] = s
			}
			s.Records = append(s.Records, *i.Record)
		}
	}
	var sets []Set
	for _, s := range byID {
		slices.SortStableFunc(s.Records, func(a, b Record) int { return a.Begun.Compare(b.Begun) })
		sets = append(sets, *s)
	}
	// Not by ID alone, which does not order what was begun in the same second.
	slices.SortFunc(sets, func(a, b Set) int {
		return cmp.Or(b.Records[0].Begun.Compare(a.Records[0].Begun), cmp.Compare(b.ID, a.ID))
	})
	settle(sets)
	return sets, problems
}

// Find returns the set whose ID is, or alone begins with, id: store.ErrNotFound
// if there is none, store.ErrInput if there are several. "" and "last" mean the
// newest that did something which is still so, other than taking back another; an
// interrupted one comes before what has mended it. It is an error if one that
// may be newer cannot be read.
func (j *Journal) Find(ctx context.Context, id string) (Set, error) {
	sets, problems := j.read(ctx)
	fail := func(err error) (Set, error) {
		errs := []error{&store.Error{Err: err, Hint: "see certtrust history"}}
		for _, p := range problems {
			errs = append(errs, p.err)
		}
		return Set{}, errors.Join(errs...)
	}
	if id == "" || id == "last" {
		i := slices.IndexFunc(sets, Set.undoable)
		if i < 0 {
			return fail(store.Because(store.ErrNotFound, "there is nothing to take back"))
		}
		if k := slices.IndexFunc(sets, func(s Set) bool { return s.undoable() && !s.mends() }); k > i && sets[k].State() == Interrupted {
			i = k
		}
		second, _, _ := strings.Cut(sets[i].ID, "-") // within one the IDs have no order
		if slices.ContainsFunc(problems, func(p problem) bool { return p.set == "" || p.set >= second }) {
			return fail(store.Because(store.ErrCorrupt, "which change was the last cannot be told, because some cannot be read"))
		}
		return sets[i], nil
	}
	var found []Set
	var ids []string
	for _, s := range sets {
		if s.ID == id {
			return s, nil
		}
		if strings.HasPrefix(s.ID, id) {
			found, ids = append(found, s), append(ids, s.ID)
		}
	}
	switch len(found) {
	case 0:
		return fail(store.Because(store.ErrNotFound, "no change %s is recorded", store.Printable(id)))
	case 1:
		return found[0], nil
	}
	return fail(store.Because(store.ErrInput, "%s could be any of %s", store.Printable(id), strings.Join(ids, ", ")))
}

// Interrupted returns the records of changes that were begun by a process that
// is gone, the newest first. An error is about what could not be read; the
// records are valid all the same.
func (j *Journal) Interrupted(ctx context.Context) ([]Record, error) {
	sets, errs := j.Sets(ctx)
	var records []Record
	for _, s := range sets {
		for _, r := range s.Records {
			if r.State == Interrupted {
				records = append(records, r)
			}
		}
	}
	return records, errors.Join(errs...)
}
