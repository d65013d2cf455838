package platform

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/journal"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// bench is a machine with stores in memory, the plan of one change in them, and
// a log of what happens to them.
type bench struct {
	*testing.T
	host    *host.Host
	journal *journal.Journal
	cert    *store.Cert
	stores  map[string]*spy
	parts   []*Part
	log     []string
}

// spy is a store that logs what is done to it.
type spy struct {
	*storetest.Memory
	bench  *bench
	name   string
	before func() error // called before the plan is applied, which it can prevent
	after  func(*store.Receipt)
}

func (s *spy) Plan(ctx context.Context, want []store.Change) (store.Plan, error) {
	s.bench.log = append(s.bench.log, "plan "+s.name)
	return s.Memory.Plan(ctx, want)
}

func (s *spy) Apply(ctx context.Context, p store.Plan) (store.Receipt, error) {
	s.bench.log = append(s.bench.log, "apply "+s.name)
	if s.before != nil {
		if err := s.before(); err != nil {
			return store.Receipt{}, err
		}
	}
	r, err := s.Memory.Apply(ctx, p)
	if err == nil && s.after != nil {
		s.after(&r)
	}
	return r, err
}

// fail makes every write from the n-th one on fail with err.
func (s *spy) fail(n int, err error) {
	s.Fault = func(op string) error {
		if op == "write" {
			if n--; n < 1 {
				return err
			}
		}
		return nil
	}
}

func (s *spy) holds(c *store.Cert) bool {
	for e, err := range s.Entries(context.Background()) {
		if err == nil && e.Cert.SHA256 == c.SHA256 {
			return true
		}
	}
	return false
}

// newBench makes stores of these names, and a part for each that trusts one
// certificate in it. What follows the name is what stands in the way of
// writing, or "user" for a store of the user's.
func newBench(t *testing.T, names ...string) *bench {
	h := host.Fake(t.TempDir())
	b := &bench{T: t, host: h, journal: journal.New(h), cert: storetest.NewCA(t).Cert(), stores: map[string]*spy{}}
	for _, name := range names {
		name, what, _ := strings.Cut(name, " ")
		info := store.Info{ID: store.ID("memory:" + name), Scope: store.ScopeSystem}
		switch what {
		case "":
		case "user":
			info.Scope = store.ScopeUser
		default:
			info.Access.Write = &store.Obstacle{Kind: store.ObstacleKind(what), Text: what + " of " + name}
		}
		s := &spy{Memory: storetest.NewMemory(info), bench: b, name: name}
		b.stores[name] = s
		b.parts = append(b.parts, &Part{Store: s, Named: true, Want: []store.Change{b.trusted(b.cert)}})
	}
	return b
}

func (b *bench) trusted(c *store.Cert) store.Change {
	trust := store.TrustFor(store.Trusted, store.PurposeServerAuth)
	return store.Change{Fingerprint: c.SHA256, DER: c.Raw, Trust: &trust}
}

const set = "20261122T215612Z-4f3a9c"

func (b *bench) options() Options {
	return Options{Journal: b.journal, Set: set, Record: journal.Record{Command: []string{"certtrust", "trust"}}}
}

// run plans and applies.
func (b *bench) run(o Options) error {
	b.Helper()
	PlanAll(b.Context(), b.parts)
	return ApplyAll(b.Context(), b.parts, o)
}

// results returns the results of the parts, in the order in which they were given.
func (b *bench) results() []Result {
	var all []Result
	for _, p := range b.parts {
		all = append(all, p.Result)
	}
	return all
}

func (b *bench) want(results ...Result) {
	b.Helper()
	if diff := cmp.Diff(results, b.results()); diff != "" {
		b.Errorf("results (-want +got):\n%s", diff)
	}
}

// holding checks which stores hold the certificate.
func (b *bench) holding(names ...string) {
	b.Helper()
	for name, s := range b.stores {
		if got, want := s.holds(b.cert), slices.Contains(names, name); got != want {
			b.Errorf("%s holds the certificate: %t", name, got)
		}
	}
}

// logged checks what happened, in order, of what the log says with prefix.
func (b *bench) logged(prefix string, want ...string) {
	b.Helper()
	got := slices.DeleteFunc(slices.Clone(b.log), func(s string) bool { return !strings.HasPrefix(s, prefix) })
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		b.Errorf("what happened (-want +got):\n%s", diff)
	}
}

// records returns the states in the journal, as "name state code" and for what
// was taken back "name state code undo".
func (b *bench) records() []string {
	b.Helper()
	sets, errs := b.journal.Sets(context.Background())
	if len(errs) > 0 {
		b.Fatal(errs)
	}
	var all []string
	for _, s := range sets {
		for _, r := range s.Records {
			if r.Set != set || len(r.Command) == 0 {
				b.Errorf("a record of the set %q with the command %q", r.Set, r.Command)
			}
			line := strings.TrimPrefix(string(r.Store), "memory:") + " " + string(r.State)
			if r.Code != "" {
				line += " " + r.Code
			}
			if r.UndoOf != "" {
				line += " undo"
			}
			all = append(all, line)
		}
	}
	slices.Sort(all)
	return all
}

func (b *bench) recorded(want ...string) {
	b.Helper()
	if diff := cmp.Diff(want, b.records(), cmpopts.EquateEmpty()); diff != "" {
		b.Errorf("the journal (-want +got):\n%s", diff)
	}
}

func TestApplyAll(t *testing.T) {
	b := newBench(t, "a", "b user", "c")
	b.parts[2].Want = nil
	if err := b.run(b.options()); err != nil {
		t.Fatal(err)
	}
	b.want(Changed, Changed, Unchanged)
	b.holding("a", "b")
	b.logged("", "plan a", "plan b", "plan c", "apply a", "apply b")
	b.recorded("a done", "b done")
	for _, p := range b.parts[:2] {
		if p.Err != nil || len(p.Receipt.Done) == 0 || len(p.Receipt.Undo) == 0 {
			t.Errorf("%s: error %v, receipt %+v", p.Store.Info().ID, p.Err, p.Receipt)
		}
	}
	// One set, in two journals.
	for _, scope := range []store.Scope{store.ScopeSystem, store.ScopeUser} {
		entries, err := b.host.ReadDir(b.host.StateDir(scope) + "/journal")
		if err != nil || len(entries) != 1 || !strings.HasPrefix(entries[0].Name(), set) {
			t.Errorf("the journal of the scope %s: %v, error %v", scope, entries, err)
		}
	}
}

// The stores that need rights come last, and are done by whoever gets them.
func TestElevate(t *testing.T) {
	b := newBench(t, "a needs-elevation", "b", "c needs-elevation", "d")
	o := b.options()
	o.Elevate = func(_ context.Context, p store.Plan, _ journal.Record) (store.Receipt, error) {
		b.log = append(b.log, "elevate "+string(p.Store))
		return store.Receipt{Store: p.Store, Done: p.Steps, Undo: p.Undo}, nil
	}
	if err := b.run(o); err != nil {
		t.Fatal(err)
	}
	b.want(Changed, Changed, Changed, Changed)
	b.logged("", "plan a", "plan b", "plan c", "plan d", "apply b", "apply d", "elevate memory:a", "elevate memory:c")
	b.recorded("b done", "d done") // the others are recorded by whoever did them
}

// Who gives no rights has what was done before taken back.
func TestElevateRefused(t *testing.T) {
	b := newBench(t, "a needs-elevation", "b")
	o := b.options()
	o.Elevate = func(context.Context, store.Plan, journal.Record) (store.Receipt, error) {
		return store.Receipt{}, store.Because(store.ErrPermission, "wrong password")
	}
	if err := b.run(o); !errors.Is(err, store.ErrPermission) {
		t.Errorf("error %v", err)
	}
	b.want(Failed, TakenBack)
	b.holding()
}

// What is known to stand in the way is told before anything is done.
func TestKnownBefore(t *testing.T) {
	refused := storetest.NewCA(t).Cert()
	for _, c := range []struct {
		name    string
		store   string
		prepare func(b *bench)
		kind    error
	}{
		{"rights", "b needs-elevation", func(*bench) {}, store.ErrPermission},
		{"consent", "b needs-consent", func(*bench) {}, store.ErrConsent},
		{"a missing tool", "b tool-missing", func(*bench) {}, store.ErrToolMissing},
		{"no plan", "b", func(b *bench) {
			b.stores["b"].Fault = func(string) error { return store.ErrCorrupt }
		}, store.ErrCorrupt},
		{"no editor", "b", func(b *bench) { b.parts[1].Store = readOnly{b.stores["b"]} }, store.ErrUnsupported},
		{"no repairer", "b", func(b *bench) {
			b.parts[1].Store, b.parts[1].Repair = onlyEditor{b.stores["b"]}, []store.Problem{{Code: "x", Mendable: true}}
		}, store.ErrUnsupported},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, "a", c.store, "c")
			c.prepare(b)
			err := b.run(b.options())
			if !errors.Is(err, c.kind) {
				t.Errorf("error %v, not %v", err, c.kind)
			}
			b.want(LeftOut, Failed, LeftOut)
			b.logged("apply")
			b.recorded()
			if err := b.parts[0].Err; err == nil || !strings.Contains(err.Error(), "memory:b cannot do its part") {
				t.Errorf("the first was left out for %v", err)
			}

			b = newBench(t, "a", c.store, "c")
			c.prepare(b)
			o := b.options()
			o.KeepGoing = true
			if err := b.run(o); !errors.Is(err, c.kind) {
				t.Errorf("keeping going: error %v, not %v", err, c.kind)
			}
			b.want(Changed, Failed, Changed)
			b.logged("apply", "apply a", "apply c")
		})
	}
	// A change that one store refuses is for the caller to judge.
	b := newBench(t, "a", "b")
	b.parts[0].Want = append(b.parts[0].Want, store.Change{Fingerprint: refused.SHA256, Trust: &store.Trust{}})
	if err := b.run(b.options()); err != nil || len(b.parts[0].Plan.Refused) != 1 {
		t.Errorf("error %v, refused %v", err, b.parts[0].Plan.Refused)
	}
	b.want(Changed, Changed)
}

type readOnly struct{ store.Store }

type onlyEditor struct{ store.Editor }

// scoped is a store with another scope.
type scoped struct {
	store.Editor
	scope   store.Scope
	backend string
}

func (s scoped) Info() store.Info {
	i := s.Editor.Info()
	i.Scope, i.Backend = s.scope, s.backend
	return i
}

// LeftOut is only for stores that nobody named, and that cannot be done now.
func TestLeftOut(t *testing.T) {
	for _, c := range []struct {
		err   error
		named bool
		want  Result
	}{
		{store.ErrCorrupt, false, LeftOut},
		{store.ErrLocked, false, LeftOut},
		{store.ErrCorrupt, true, Failed},
		{store.ErrLocked, true, Failed},
		{store.ErrPermission, false, Failed},
		{errors.New("anything else"), false, Failed},
	} {
		t.Run(fmt.Sprint(c.err, c.named), func(t *testing.T) {
			b := newBench(t, "a", "b")
			b.parts[0].Named = c.named
			b.stores["a"].Fault = func(string) error { return c.err }
			PlanAll(t.Context(), b.parts)
			b.want(c.want, Planned)
			if !errors.Is(b.parts[0].Err, c.err) {
				t.Errorf("error %v", b.parts[0].Err)
			}

			// And the same if it only turns out when the plan is applied.
			b = newBench(t, "a", "b")
			b.parts[0].Named = c.named
			b.stores["a"].fail(1, c.err)
			err := b.run(b.options())
			if c.want == LeftOut {
				b.want(LeftOut, Changed)
				b.recorded("a failed "+store.Code(c.err), "b done")
			} else {
				b.want(Failed, LeftOut)
			}
			if (err == nil) != (c.want == LeftOut) {
				t.Errorf("error %v", err)
			}
		})
	}
	// One of a user's programs that is not to be written keeps the others from
	// nothing; a system that is not to be written is news.
	for _, c := range []struct {
		scope   store.Scope
		backend string
		want    Result
	}{
		{store.ScopeUser, "memory", LeftOut},
		{store.ScopeSystem, "memory", Failed},
		{store.ScopeSystem, "anchors", Failed},
		{store.ScopeSystem, "java", LeftOut}, // of one of its programs
	} {
		b := newBench(t, "a", "b")
		b.parts[0].Named = false
		b.parts[0].Store = scoped{b.parts[0].Store.(store.Editor), c.scope, c.backend}
		b.stores["a"].Fault = func(string) error { return store.ErrReadOnly }
		PlanAll(t.Context(), b.parts)
		b.want(c.want, Planned)
	}
	// What nobody can help is known when it is planned: a dry run tells it too.
	b := newBench(t, "a read-only", "b needs-elevation")
	b.parts[0].Named = false
	PlanAll(t.Context(), b.parts)
	b.want(Failed, Planned)
	if !errors.Is(b.parts[0].Err, store.ErrReadOnly) {
		t.Errorf("error %v", b.parts[0].Err)
	}
	// What is half done is never left out.
	b = newBench(t, "a")
	b.parts[0].Named = false
	b.stores["a"].before = func() error { return store.Because(store.ErrPartial, "half done: %w", store.ErrCorrupt) }
	if err := b.run(b.options()); !errors.Is(err, store.ErrPartial) {
		t.Errorf("error %v", err)
	}
	b.want(Failed)
	b.recorded("a failed partial")
}

func TestRollBack(t *testing.T) {
	for i, c := range []struct {
		results []Result
		records []string
	}{
		{[]Result{Failed, LeftOut, LeftOut}, []string{"a failed failed"}},
		{[]Result{TakenBack, Failed, LeftOut}, []string{"a done undo", "a undone", "b failed failed"}},
		{[]Result{TakenBack, TakenBack, Failed}, []string{"a done undo", "a undone", "b done undo", "b undone", "c failed failed"}},
	} {
		t.Run(fmt.Sprint(i+1), func(t *testing.T) {
			b := newBench(t, "a", "b", "c user")
			names := []string{"a", "b", "c"}
			broken := errors.New("the disk is full")
			b.stores[names[i]].fail(1, broken)
			if err := b.run(b.options()); !errors.Is(err, broken) || errors.Is(err, store.ErrPartial) {
				t.Errorf("error %v", err)
			}
			b.want(c.results...)
			b.holding()
			b.recorded(c.records...)
			want := []string{}
			for _, name := range names[:i+1] {
				want = append(want, "apply "+name)
			}
			for _, name := range slices.Backward(names[:i]) { // the last one first
				want = append(want, "apply "+name)
			}
			b.logged("apply", want...)
			for _, p := range b.parts {
				if p.Result == LeftOut && (p.Err == nil || !strings.Contains(p.Err.Error(), "memory:"+names[i])) {
					t.Errorf("%s was left out for %v", p.Store.Info().ID, p.Err)
				}
			}
		})
	}
}

func TestKeepGoing(t *testing.T) {
	b := newBench(t, "a", "b", "c")
	broken := errors.New("the disk is full")
	b.stores["b"].fail(1, broken)
	o := b.options()
	o.KeepGoing = true
	if err := b.run(o); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	b.want(Changed, Failed, Changed)
	b.holding("a", "c")
	b.recorded("a done", "b failed failed", "c done")
}

// What cannot be taken back is told, and how to try again.
func TestTakeBackFails(t *testing.T) {
	for name, prepare := range map[string]func(b *bench){
		"the write":   func(b *bench) { b.stores["a"].fail(2, errors.New("the disk is full")) },
		"the reading": func(b *bench) { b.stores["c"].before = func() error { b.stores["a"].Fault = always; return nil } },
		"the plan": func(b *bench) {
			b.stores["a"].after = func(r *store.Receipt) {
				r.Undo = []store.Change{{Fingerprint: store.Fingerprint{1}, Trust: &store.Trust{}}}
			}
		},
		"the journal": func(b *bench) {
			b.stores["c"].before = func() error {
				state := filepath.Join(b.host.Root, "var/lib/certtrust/journal")
				if err := os.RemoveAll(state); err != nil {
					b.Fatal(err)
				}
				return os.WriteFile(state, nil, 0o600)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "a", "b user", "c user")
			broken := errors.New("broken on purpose")
			b.stores["c"].fail(1, broken)
			prepare(b)
			err := b.run(b.options())
			if !errors.Is(err, store.ErrPartial) || !errors.Is(err, broken) || !strings.Contains(err.Error(), "memory:a") {
				t.Errorf("error %v", err)
			}
			if hint := store.Hint(b.parts[0].Err); hint != "certtrust undo "+set {
				t.Errorf("hint %q", hint)
			}
			b.want(Changed, TakenBack, Failed)
			b.stores["a"].Fault = nil
			b.holding("a")
		})
	}
}

func always(string) error { return errors.New("the disk is full") }

// What was mended has nothing to take back, and is not called taken back.
func TestMendedStays(t *testing.T) {
	b := newBench(t, "a", "b")
	problem := store.Problem{Code: "stale", Text: "left behind", Mendable: true}
	if err := b.stores["a"].Memory.Plant(problem); err != nil {
		t.Fatal(err)
	}
	b.parts[0].Want, b.parts[0].Repair = nil, []store.Problem{problem}
	b.stores["b"].fail(1, errors.New("the disk is full"))
	if err := b.run(b.options()); err == nil || errors.Is(err, store.ErrPartial) {
		t.Errorf("error %v", err)
	}
	b.want(Changed, Failed)
}

func TestStale(t *testing.T) {
	other := storetest.NewCA(t).Cert()
	for _, c := range []struct {
		name     string
		reviewed bool
		meantime func(b *bench, s *spy) // what somebody else does before each try
		want     Result
		kind     error
		tries    int
	}{
		{"something else changed", false, func(b *bench, s *spy) { s.put(b.cert) }, Changed, nil, 2},
		{"reviewed, and the steps are others", true, func(b *bench, s *spy) { s.put(b.cert) }, Failed, store.ErrStale, 1},
		{"somebody else has done it", false, func(b *bench, s *spy) { s.do(b.trusted(b.cert)) }, Unchanged, nil, 1},
		{"reviewed, and somebody else has done it", true, func(b *bench, s *spy) { s.do(b.trusted(b.cert)) }, Unchanged, nil, 1},
		{"without end", false, nil, Failed, store.ErrStale, staleTries},
		{"reviewed, the same steps, without end", true, nil, Failed, store.ErrStale, staleTries},
		{"it cannot be read any more", false, func(b *bench, s *spy) {
			s.Fault = func(op string) error {
				if len(b.log) > 2 { // when it is planned anew
					return store.ErrCorrupt
				}
				return nil
			}
			s.put(b.cert)
		}, Failed, store.ErrCorrupt, 1},
		{"it cannot be done any more", false, func(b *bench, s *spy) {
			s.do(b.trusted(b.cert), b.trusted(other))
			s.Clash = func(x, y *store.Cert) bool { return true }
			s.do(store.Change{Fingerprint: b.cert.SHA256, Absent: true})
		}, Failed, store.ErrConflict, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, "a")
			s := b.stores["a"]
			s.before = func() error {
				if c.meantime == nil {
					return store.ErrStale
				}
				s.before = nil
				c.meantime(b, s)
				return nil
			}
			o := b.options()
			o.Reviewed = c.reviewed
			err := b.run(o)
			b.want(c.want)
			if !errors.Is(err, c.kind) || !errors.Is(b.parts[0].Err, c.kind) {
				t.Errorf("error %v, of the part %v; want %v", err, b.parts[0].Err, c.kind)
			}
			b.logged("apply", slices.Repeat([]string{"apply a"}, c.tries)...)
		})
	}
}

// put puts the certificate in past the rules, with no trust.
func (s *spy) put(c *store.Cert) {
	s.bench.Helper()
	if err := s.Memory.Put(store.Entry{Cert: c, Label: "put in by another"}); err != nil {
		s.bench.Fatal(err)
	}
}

// do does something behind the back of the bench.
func (s *spy) do(want ...store.Change) {
	s.bench.Helper()
	p, err := s.Memory.Plan(s.bench.Context(), want)
	if err == nil {
		_, err = s.Memory.Apply(s.bench.Context(), p)
	}
	if err != nil {
		s.bench.Fatal(err)
	}
}

// The journal knows of a change before it is made.
func TestJournal(t *testing.T) {
	b := newBench(t, "a", "b user")
	for name, s := range b.stores {
		s.before = func() error {
			if !slices.Contains(b.records(), name+" begun") {
				t.Errorf("while %s is changed, the journal has %q", name, b.records())
			}
			return nil
		}
	}
	if err := b.run(b.options()); err != nil {
		t.Fatal(err)
	}
	b.recorded("a done", "b done")
	found, err := b.journal.Find(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range found.Records {
		if diff := cmp.Diff(b.parts[i].Plan, r.Plan); diff != "" {
			t.Errorf("the plan in the journal (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(&b.parts[i].Receipt, r.Receipt); diff != "" {
			t.Errorf("the receipt in the journal (-want +got):\n%s", diff)
		}
	}
}

// Nothing is done that cannot be told of.
func TestJournalCannotBeWritten(t *testing.T) {
	b := newBench(t, "a", "b")
	state := filepath.Join(b.host.Root, "var/lib/certtrust")
	if err := os.MkdirAll(filepath.Dir(state), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(state, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := b.run(b.options())
	if err == nil || !strings.Contains(err.Error(), "nothing was done") || errors.Is(err, store.ErrPartial) {
		t.Errorf("error %v", err)
	}
	b.want(Failed, LeftOut)
	b.logged("apply")
	b.holding()
}

// What was done all the same is said to be.
func TestJournalBreaksOff(t *testing.T) {
	b := newBench(t, "a", "b")
	b.host.Fault = func(op, path string) error {
		if op == "rename" { // of the end: what begins is linked
			return errors.New("the disk is full")
		}
		return nil
	}
	err := b.run(b.options())
	if !errors.Is(err, store.ErrPartial) || !strings.Contains(err.Error(), "change was made") {
		t.Errorf("error %v", err)
	}
	b.want(Failed, LeftOut)
	b.holding("a")
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := newBench(t, "a", "b")
	PlanAll(ctx, b.parts)
	cancel()
	if err := ApplyAll(ctx, b.parts, b.options()); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	b.want(Failed, LeftOut)
	b.logged("apply")
	b.recorded()

	// In the middle: what is done is taken back, whatever the context says.
	ctx, cancel = context.WithCancel(t.Context())
	b = newBench(t, "a", "b")
	b.stores["a"].after = func(*store.Receipt) { cancel() }
	PlanAll(ctx, b.parts)
	if err := ApplyAll(ctx, b.parts, b.options()); !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrPartial) {
		t.Errorf("error %v", err)
	}
	b.want(TakenBack, Failed)
	b.holding()

	// Before planning.
	b = newBench(t, "a", "b")
	PlanAll(ctx, b.parts)
	b.want(Failed, Failed)
}

// Apply is also what a process with other rights is given its part by.
func TestApplyAlone(t *testing.T) {
	b := newBench(t, "a", "b needs-elevation")
	PlanAll(t.Context(), b.parts)
	r, err := Apply(t.Context(), b.stores["a"], b.parts[0].Plan, b.options())
	if err != nil || len(r.Done) == 0 {
		t.Errorf("receipt %+v, error %v", r, err)
	}
	if _, err := Apply(t.Context(), b.stores["b"], b.parts[1].Plan, b.options()); !errors.Is(err, store.ErrPermission) {
		t.Errorf("without rights: error %v", err)
	}
	b.recorded("a done")
	b.logged("apply", "apply a")
}

// What was done with other rights is taken back with them, and recorded as
// what takes back the set.
func TestElevatedTakenBack(t *testing.T) {
	b := newBench(t, "a needs-elevation", "b needs-elevation")
	o := b.options()
	var undoOf []string
	o.Elevate = func(_ context.Context, p store.Plan, r journal.Record) (store.Receipt, error) {
		if r.Set != o.Set {
			t.Errorf("the set is %q, not %q", r.Set, o.Set)
		}
		if p.Store == "memory:b" {
			return store.Receipt{}, store.Because(store.ErrPermission, "wrong password")
		}
		undoOf = append(undoOf, r.UndoOf)
		if r.UndoOf == "" {
			err := b.stores["a"].Put(store.Entry{Cert: b.cert, Trust: store.TrustFor(store.Trusted, store.PurposeAny)})
			return store.Receipt{Store: p.Store, Done: p.Steps, Undo: p.Undo}, err
		}
		return store.Receipt{Store: p.Store, Done: p.Steps}, nil
	}
	if err := b.run(o); !errors.Is(err, store.ErrPermission) {
		t.Errorf("got %v", err)
	}
	b.want(TakenBack, Failed)
	if !slices.Equal(undoOf, []string{"", o.Set}) {
		t.Errorf("recorded as what takes back %q", undoOf)
	}
}
