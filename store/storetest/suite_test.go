package storetest_test

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

var (
	anyOnly  = []store.Purpose{store.PurposeAny}
	someOnly = []store.Purpose{store.PurposeServerAuth, store.PurposeEmail}
	all      = []store.Decision{store.Unspecified, store.Trusted, store.Peer, store.Distrusted}
)

// options are the ways in which a Memory can be limited.
var options = map[string]struct {
	express store.Express
	setup   func(*storetest.Memory)
}{
	"everything":    {},
	"any only":      {express: store.Express{Purposes: anyOnly, Decisions: all}},
	"some purposes": {express: store.Express{Purposes: someOnly, Decisions: all, Labels: true}},
	"no distrust":   {express: store.Express{Purposes: anyOnly, Decisions: []store.Decision{store.Trusted}}},
	"no labels":     {express: store.Express{Purposes: store.NamedPurposes(), Decisions: all}},
	"vendor stays":  {setup: func(m *storetest.Memory) { m.VendorStays = true }},
	"vendor distrust only": {
		express: store.Express{Purposes: anyOnly, Decisions: []store.Decision{store.Trusted, store.Distrusted}},
		setup:   func(m *storetest.Memory) { m.VendorStays, m.OnlyVendorDistrust = true, true },
	},
	"one of each subject": {setup: func(m *storetest.Memory) { m.Clash = storetest.SameSubject }},
	"one of each serial":  {setup: func(m *storetest.Memory) { m.Clash = storetest.SameSerial }},
}

// fixture returns a Memory with a vendor's and an administrator's entry; in a
// file if there is one.
func fixture(t *testing.T, option, file string) (storetest.Fixture, *storetest.Memory) {
	o, ok := options[option]
	if !ok {
		t.Fatalf("there is no option %q", option)
	}
	purpose := store.PurposeAny
	if len(o.express.Purposes) > 0 {
		purpose = o.express.Purposes[0]
	}
	var mu sync.Mutex
	left := 0
	open := func() *storetest.Memory {
		m := storetest.NewMemory(store.Info{Express: o.express})
		m.File = file
		if o.setup != nil {
			o.setup(m)
		}
		m.Fault = func(op string) error {
			if op != "write" && op != "read back" {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			if left--; left == 0 {
				return errors.New("a fault")
			}
			return nil
		}
		return m
	}
	m := open()
	vendor, admin := storetest.NewCA(t).Cert(), storetest.NewCA(t).Cert()
	if err := m.Put(
		store.Entry{Cert: vendor, Label: "Vendor", Trust: store.TrustFor(store.Trusted, purpose), Origin: store.Origin{By: store.ByVendor}, Native: map[string]string{"bits": "7"}},
		store.Entry{Cert: admin, Label: "Admin", Trust: store.TrustFor(store.Trusted, purpose), Origin: store.Origin{By: store.ByAdmin}, Native: map[string]string{"bits": "9"}},
		store.Entry{Match: &store.Match{Serial: []byte{1}}, Trust: store.TrustFor(store.Distrusted, purpose), Source: store.Source{Kind: "ghost", Item: "1"}},
	); err != nil {
		t.Fatal(err)
	}
	f := storetest.Fixture{
		Store:    m,
		Reopen:   func() store.Editor { return m },
		Parallel: func() store.Editor { return m },
		Vendor:   []*store.Cert{vendor},
		Fault:    func(n int) { mu.Lock(); left = n; mu.Unlock() },
	}
	if file != "" {
		f.Reopen = func() store.Editor { return open() }
		f.Parallel = f.Reopen
		f.Snapshot = func() string { return directory(t, filepath.Dir(file)) }
	}
	return f, m
}

// directory writes out the files of a directory.
func directory(t *testing.T, dir string) string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(f.Name() + ":\n" + string(data) + "\n")
	}
	return b.String()
}

func TestMemoryConforms(t *testing.T) {
	for name := range options {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) storetest.Fixture {
				f, _ := fixture(t, name, filepath.Join(storetest.TempDir(t), "store.json"))
				return f
			})
		})
	}
}

func TestMemoryWithoutFileConforms(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Fixture {
		f, _ := fixture(t, "everything", "")
		return f
	})
}

// A fixture that offers nothing but a store is enough.
func TestBareFixture(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Fixture {
		return storetest.Fixture{Store: storetest.NewMemory(store.Info{ID: "memory:bare"})}
	})
}

// editor is a store of which single methods can be broken.
type editor struct {
	*storetest.Memory
	info    func() store.Info
	entries func(context.Context) iter.Seq2[store.Entry, error]
	plan    func(context.Context, []store.Change) (store.Plan, error)
	apply   func(context.Context, store.Plan) (store.Receipt, error)
}

func (e *editor) Info() store.Info { return e.info() }
func (e *editor) Entries(ctx context.Context) iter.Seq2[store.Entry, error] {
	return e.entries(ctx)
}
func (e *editor) Plan(ctx context.Context, want []store.Change) (store.Plan, error) {
	return e.plan(ctx, want)
}
func (e *editor) Apply(ctx context.Context, p store.Plan) (store.Receipt, error) {
	return e.apply(ctx, p)
}

// changeWant breaks a store by having it act on other wishes.
func changeWant(e *editor, change func([]store.Change) []store.Change) {
	m := e.Memory
	e.plan = func(ctx context.Context, want []store.Change) (store.Plan, error) {
		p, err := m.Plan(ctx, change(want))
		p.Want = want
		return p, err
	}
	e.apply = func(ctx context.Context, p store.Plan) (store.Receipt, error) {
		p.Want = change(p.Want)
		return m.Apply(ctx, p)
	}
}

// eachWant is changeWant for one wish at a time.
func eachWant(e *editor, change func(*store.Change)) {
	changeWant(e, func(want []store.Change) []store.Change {
		want = slices.Clone(want)
		for i := range want {
			change(&want[i])
		}
		return want
	})
}

// changeEntries breaks a store by having it show other entries; keep false
// drops one.
func changeEntries(e *editor, change func(*store.Entry) (keep bool)) {
	m := e.Memory
	e.entries = func(ctx context.Context) iter.Seq2[store.Entry, error] {
		return func(yield func(store.Entry, error) bool) {
			for entry, err := range m.Entries(ctx) {
				if change(&entry) && !yield(entry, err) {
					return
				}
			}
		}
	}
}

// changeReceipt breaks a store by having it return another receipt.
func changeReceipt(e *editor, change func(*store.Receipt)) {
	m := e.Memory
	e.apply = func(ctx context.Context, p store.Plan) (store.Receipt, error) {
		r, err := m.Apply(ctx, p)
		if err == nil {
			change(&r)
		}
		return r, err
	}
}

func changePlan(e *editor, change func(*store.Plan)) {
	m := e.Memory
	e.plan = func(ctx context.Context, want []store.Change) (store.Plan, error) {
		p, err := m.Plan(ctx, want)
		change(&p)
		return p, err
	}
}

func subject(e store.Entry) string {
	if e.Cert == nil {
		return ""
	}
	return string(e.Cert.Subject.Raw)
}

// broken is stores that each break one sentence of the contract. The test
// named must fail and quote it.
var broken = map[string]struct {
	option string // of the Memory; "" = everything
	test   string
	quote  string
	breaks func(t *testing.T, f *storetest.Fixture, e *editor)
}{
	"writes when planning": {test: "PlanChangesNothing", quote: "Plan changes nothing.",
		breaks: func(t *testing.T, _ *storetest.Fixture, e *editor) {
			m := e.Memory
			e.plan = func(ctx context.Context, want []store.Change) (store.Plan, error) {
				p, err := m.Plan(ctx, want)
				return p, errors.Join(err, m.Put(store.Entry{Cert: storetest.NewCA(t).Cert()}))
			}
		}},
	"plans differently each time": {test: "PlanChangesNothing", quote: "Plan changes nothing.",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			var n atomic.Int32
			changePlan(e, func(p *store.Plan) { p.Basis += strings.Repeat("x", int(n.Add(1))) })
		}},
	"changes things when listing": {test: "PlanChangesNothing", quote: "Listing changes nothing.",
		breaks: func(t *testing.T, _ *storetest.Fixture, e *editor) {
			m := e.Memory
			e.entries = func(ctx context.Context) iter.Seq2[store.Entry, error] {
				entries := m.Entries(ctx)
				if err := m.Plant(store.Problem{Code: "listed"}); err != nil {
					t.Error(err)
				}
				return entries
			}
		}},
	"forgets to add": {test: "Add", quote: "What is as wanted needs no steps",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			e.apply = func(_ context.Context, p store.Plan) (store.Receipt, error) {
				return store.Receipt{Store: p.Store, Done: p.Steps, Undo: []store.Change{{}}}, nil
			}
		}},
	"adds only where it cannot be seen": {test: "Add", quote: "When Apply returns nil, all of the plan is done",
		breaks: func(t *testing.T, f *storetest.Fixture, e *editor) {
			seen := map[store.Fingerprint]bool{}
			for entry := range e.Memory.Entries(t.Context()) {
				if entry.Cert != nil {
					seen[entry.Cert.SHA256] = true
				}
			}
			changeEntries(e, func(entry *store.Entry) bool { return entry.Cert == nil || seen[entry.Cert.SHA256] })
		}},
	"keeps changes to itself": {test: "Add", quote: "a second plan is empty",
		breaks: func(t *testing.T, f *storetest.Fixture, _ *editor) {
			other, _ := fixture(t, "everything", "")
			f.Reopen = func() store.Editor { return other.Store }
		}},
	"never has enough to do": {test: "EmptyPlan", quote: "What is as wanted needs no steps",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			changePlan(e, func(p *store.Plan) {
				p.Steps = append(p.Steps, store.Step{Action: store.ActionRebuild})
			})
			m := e.Memory
			e.apply = func(ctx context.Context, p store.Plan) (store.Receipt, error) {
				p.Steps = p.Steps[:len(p.Steps)-1]
				return m.Apply(ctx, p)
			}
		}},
	"writes for an empty plan": {test: "EmptyPlan", quote: "An empty plan does nothing and needs no rights.",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			m := e.Memory
			e.apply = func(ctx context.Context, p store.Plan) (store.Receipt, error) {
				r, err := m.Apply(ctx, p)
				return r, errors.Join(err, m.Put())
			}
		}},
	"has a receipt for nothing": {test: "EmptyPlan", quote: "A receipt tells what was done",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			changeReceipt(e, func(r *store.Receipt) { r.Undo = append(r.Undo, store.Change{}) })
		}},
	"writes no receipt": {test: "Add", quote: "A receipt tells what was done",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			changeReceipt(e, func(r *store.Receipt) { r.Done = nil })
		}},
	"says ours is the vendor's": {test: "Add", quote: "has the origin certtrust",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			changeEntries(e, func(entry *store.Entry) bool { entry.Origin.By = store.ByVendor; return true })
		}},
	"says the vendor's is ours": {test: "Info", quote: "has the origin vendor",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			changeEntries(e, func(entry *store.Entry) bool { entry.Origin.By = store.ByCerttrust; return true })
		}},
	"does not list the vendor's": {test: "Info", quote: "Nothing in the store is dropped in silence.",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			changeEntries(e, func(entry *store.Entry) bool { return entry.Origin.By != store.ByVendor })
		}},
	"has entries from nowhere": {test: "Add", quote: "Nothing in the store is dropped in silence.",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			changeEntries(e, func(entry *store.Entry) bool { entry.Source = store.Source{}; return true })
		}},
	"re-encodes": {test: "Add", quote: "Identity is the SHA-256",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			changeEntries(e, func(entry *store.Entry) bool {
				if entry.Cert != nil {
					c := *entry.Cert
					c.Raw = append(slices.Clone(c.Raw), 0)
					entry.Cert = &c
				}
				return true
			})
		}},
	"loses what only it knows": {test: "Add", quote: "A change to one certificate leaves the others alone",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			var applied atomic.Bool
			changeReceipt(e, func(*store.Receipt) { applied.Store(true) })
			changeEntries(e, func(entry *store.Entry) bool {
				if applied.Load() {
					entry.Native = nil
				}
				return true
			})
		}},
	"loses labels": {test: "Label", quote: "A store with Express.Labels keeps the label",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			changeEntries(e, func(entry *store.Entry) bool { entry.Label = "the same for all"; return true })
		}},
	"forgets to undo": {test: "Undo", quote: "A receipt tells what was done and how to take it back",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			changeReceipt(e, func(r *store.Receipt) { r.Undo = nil })
		}},
	"undoes half": {test: "Undo", quote: "The undo list of a receipt, planned and applied, restores the state.",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			changeReceipt(e, func(r *store.Receipt) { r.Undo = r.Undo[:len(r.Undo)/2+len(r.Undo)%2] })
		}},
	"undoes with another trust": {test: "Remove", quote: "The undo list of a receipt, planned and applied, restores the state.",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			changeReceipt(e, func(r *store.Receipt) {
				for i := range r.Undo {
					t := store.TrustFor(store.Distrusted, store.PurposeAny)
					r.Undo[i].Trust = &t
				}
			})
		}},
	"undoes without the old bytes": {test: "VendorRemove", quote: "The undo list of a receipt, planned and applied, restores the state.",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			changeReceipt(e, func(r *store.Receipt) {
				for i := range r.Undo {
					r.Undo[i].Content = nil
				}
			})
		}},
	"undoes to nil in JSON": {test: "NotTrustedUnasked", quote: "The undo list of a receipt, planned and applied, restores the state.",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			changeReceipt(e, func(r *store.Receipt) {
				for i := range r.Undo {
					if t := r.Undo[i].Trust; t != nil && len(*t) == 0 {
						r.Undo[i].Trust = new(store.Trust)
					}
				}
			})
		}},
	"does not remove": {test: "Remove", quote: "Absent: the certificate is not in the store.",
		breaks: func(t *testing.T, _ *storetest.Fixture, e *editor) {
			m := e.Memory
			e.apply = func(ctx context.Context, p store.Plan) (store.Receipt, error) {
				var gone []store.Entry
				for entry := range m.Entries(ctx) {
					if slices.ContainsFunc(p.Want, func(w store.Change) bool { return w.Absent && entry.Cert != nil && w.Fingerprint == entry.Cert.SHA256 }) {
						gone = append(gone, entry)
					}
				}
				r, err := m.Apply(ctx, p)
				changeEntriesBack(e, gone)
				return r, err
			}
		}},
	"removes with steps what is absent": {test: "RemoveAbsent", quote: "What is as wanted needs no steps",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			changePlan(e, func(p *store.Plan) {
				if p.Empty() {
					p.Steps = []store.Step{{Action: store.ActionRemove}}
				}
			})
		}},
	"refuses in silence": {option: "vendor stays", test: "VendorRemove", quote: "What the store cannot do is in Plan.Refused",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			changePlan(e, func(p *store.Plan) { p.Refused = nil })
		}},
	"refuses without a reason": {option: "vendor stays", test: "VendorRemove", quote: "What the store cannot do is in Plan.Refused, with the reason.",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			changePlan(e, func(p *store.Plan) {
				for i := range p.Refused {
					p.Refused[i].Reason = ""
				}
			})
		}},
	"refuses what it says that it can": {test: "VendorDistrust", quote: "The trust of an entry is what was wanted",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			eachWant(e, func(w *store.Change) {
				if w.Trust != nil && w.Trust.Has(store.Distrusted) {
					*w = store.Change{Fingerprint: w.Fingerprint, DER: []byte("other")}
				}
			})
		}},
	"trusts what is to be distrusted": {test: "DistrustUnknown", quote: "What is distrusted is distrusted afterwards",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			eachWant(e, func(w *store.Change) {
				if w.Trust != nil && w.Trust.Has(store.Distrusted) {
					t := store.TrustFor(store.Trusted, store.PurposeAny)
					w.Trust = &t
				}
			})
		}},
	"does what was said last": {test: "Contradiction", quote: "Of wishes that contradict each other none is planned",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			changeWant(e, func(want []store.Change) []store.Change {
				last := map[store.Fingerprint]store.Change{}
				for _, w := range want {
					last[w.Fingerprint] = w
				}
				return slices.Collect(maps.Values(last))
			})
		}},
	"fails for a contradiction": {test: "Contradiction", quote: "What the store cannot do is in Plan.Refused",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			m := e.Memory
			e.plan = func(ctx context.Context, want []store.Change) (store.Plan, error) {
				p, err := m.Plan(ctx, want)
				if len(p.Refused) > 0 {
					err = store.ErrConflict
				}
				return p, err
			}
		}},
	"drops distrust in silence": {option: "vendor distrust only", test: "DistrustUnknown", quote: "What is distrusted is distrusted afterwards",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			changePlan(e, func(p *store.Plan) { p.Notices = nil })
		}},
	"leaves trusted what it distrusts": {test: "DistrustAdded", quote: "it is never trusted",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			changeEntries(e, func(entry *store.Entry) bool {
				if entry.Trust.Has(store.Distrusted) && entry.Cert != nil {
					entry.Trust = append(slices.Clone(entry.Trust), store.Rule{Purpose: store.PurposeEmail, Decision: store.Trusted})
				}
				return true
			})
		}},
	"trusts unasked": {test: "NotTrustedUnasked", quote: "What nobody wants trusted does not become trusted.",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			eachWant(e, func(w *store.Change) {
				if w.Trust == nil && !w.Absent {
					t := store.TrustFor(store.Trusted, store.PurposeAny)
					w.Trust = &t
				}
			})
		}},
	"widens purposes": {option: "any only", test: "NeverWidened", quote: "Trust is never widened to a purpose that was not wanted.",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			eachWant(e, func(w *store.Change) {
				if w.Trust != nil && w.Trust.Has(store.Trusted) {
					t := store.TrustFor(store.Trusted, store.PurposeAny)
					w.Trust = &t
				}
			})
		}},
	"takes every purpose for server-auth": {test: "NeverWidened", quote: "The trust of an entry is what was wanted",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			eachWant(e, func(w *store.Change) {
				if w.Trust != nil && w.Trust.Has(store.Trusted) {
					t := store.TrustFor(store.Trusted, store.PurposeServerAuth)
					w.Trust = &t
				}
			})
		}},
	"forgets limits": {test: "Limits", quote: "A rule that is limited to hosts or dates stays limited",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			eachWant(e, func(w *store.Change) {
				if w.Trust != nil && len(*w.Trust) > 0 {
					t := store.TrustFor((*w.Trust)[0].Decision, (*w.Trust)[0].Purpose)
					w.Trust = &t
				}
			})
		}},
	"tells peer from trusted": {test: "Leaf", quote: "For a certificate that is no CA, peer and trusted are the same.",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			changePlan(e, func(p *store.Plan) {
				for _, w := range p.Want {
					if w.Trust != nil && w.Trust.Has(store.Peer) {
						p.Steps = []store.Step{{Action: store.ActionTrust}}
					}
				}
			})
		}},
	"ignores that a plan is stale": {test: "Stale", quote: "Apply refuses with ErrStale",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			m := e.Memory
			e.apply = func(ctx context.Context, p store.Plan) (store.Receipt, error) {
				now, err := m.Plan(ctx, p.Want)
				if err != nil {
					return store.Receipt{}, err
				}
				return m.Apply(ctx, now)
			}
		}},
	"only counts the steps": {test: "Tampered", quote: "Apply refuses with ErrStale unless the steps come out the same",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			m := e.Memory
			e.apply = func(ctx context.Context, p store.Plan) (store.Receipt, error) {
				now, err := m.Plan(ctx, p.Want)
				if err == nil && len(now.Steps) == len(p.Steps) {
					p = now
				}
				return m.Apply(ctx, p)
			}
		}},
	"acts on more than what is wanted": {test: "Tampered", quote: "Nothing in a plan but Want is ever acted on.",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			m := e.Memory
			e.apply = func(ctx context.Context, p store.Plan) (store.Receipt, error) {
				r, err := m.Apply(ctx, p)
				r.Notices = p.Notices
				return r, err
			}
		}},
	"takes the way back from the plan": {test: "Tampered", quote: "The undo list of a receipt",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			m := e.Memory
			e.apply = func(ctx context.Context, p store.Plan) (store.Receipt, error) {
				r, err := m.Apply(ctx, p)
				r.Undo = p.Undo
				return r, err
			}
		}},
	"knows only plans of its own": {test: "PlainData", quote: "A plan is plain data",
		breaks: func(_ *testing.T, f *storetest.Fixture, e *editor) {
			own := map[*store.Step]bool{}
			m := e.Memory
			e.plan = func(ctx context.Context, want []store.Change) (store.Plan, error) {
				p, err := m.Plan(ctx, want)
				if !p.Empty() {
					own[&p.Steps[0]] = true
				}
				return p, err
			}
			e.apply = func(ctx context.Context, p store.Plan) (store.Receipt, error) {
				if !p.Empty() && !own[&p.Steps[0]] {
					return store.Receipt{}, store.ErrStale
				}
				return m.Apply(ctx, p)
			}
		}},
	"minds who has planned": {test: "PlainData", quote: "A plan is plain data",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			m := e.Memory
			e.apply = func(ctx context.Context, p store.Plan) (store.Receipt, error) {
				if slices.ContainsFunc(p.Steps, func(s store.Step) bool { return s.Elevated }) {
					return store.Receipt{}, store.ErrStale
				}
				return m.Apply(ctx, p)
			}
		}},
	"ignores the context": {test: "Cancelled", quote: "A context that is done before the first write",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			m := e.Memory
			e.apply = func(ctx context.Context, p store.Plan) (store.Receipt, error) {
				return m.Apply(context.WithoutCancel(ctx), p)
			}
		}},
	"asks the context too late": {test: "Cancelled", quote: "A context that is done before the first write",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			m := e.Memory
			e.apply = func(ctx context.Context, p store.Plan) (store.Receipt, error) {
				r, err := m.Apply(context.WithoutCancel(ctx), p)
				return r, errors.Join(err, ctx.Err())
			}
		}},
	"does not know when it is enough": {test: "EarlyBreak", quote: "Entries ends when the caller has had enough",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			m := e.Memory
			e.entries = func(ctx context.Context) iter.Seq2[store.Entry, error] {
				return func(yield func(store.Entry, error) bool) {
					for entry, err := range m.Entries(ctx) {
						yield(entry, err)
					}
				}
			}
		}},
	"half applies": {test: "Faults", quote: "Apply does all of it or leaves the store as it was.",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) { oneByOne(e, nil) }},
	"does not say what is left": {test: "Faults", quote: "Only an error that is ErrPartial leaves anything behind, and it says what.",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) { oneByOne(e, store.ErrPartial) }},
	"drops an error": {test: "Faults", quote: "An Apply that did not do what it should returns an error.",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			m := e.Memory
			e.apply = func(ctx context.Context, p store.Plan) (store.Receipt, error) {
				if r, err := m.Apply(ctx, p); err == nil {
					return r, nil
				}
				return store.Receipt{Store: p.Store, Done: p.Steps, Undo: p.Undo}, nil
			}
		}},
	"does the first hundred but one": {test: "Many", quote: "a second plan is empty",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			m := e.Memory
			e.apply = func(ctx context.Context, p store.Plan) (store.Receipt, error) {
				want := p.Want[:min(99, len(p.Want))]
				less, err := m.Plan(ctx, want)
				if err != nil {
					return store.Receipt{}, err
				}
				return m.Apply(ctx, less)
			}
		}},
	"makes file names of labels": {test: "HostileNames", quote: "No file name is made of what a certificate or a label says",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			changePlan(e, func(p *store.Plan) {
				for i := range p.Steps {
					p.Steps[i].Files = []string{"/etc/anchors/" + p.Steps[i].Label + ".crt"}
				}
			})
		}},
	"lists a label as two items": {test: "HostileNames", quote: "A change to one certificate leaves the others alone",
		breaks: func(t *testing.T, _ *storetest.Fixture, e *editor) {
			c := storetest.NewCA(t).Cert()
			m := e.Memory
			e.entries = func(ctx context.Context) iter.Seq2[store.Entry, error] {
				return func(yield func(store.Entry, error) bool) {
					for entry, err := range m.Entries(ctx) {
						if !yield(entry, err) || strings.Contains(entry.Label, "\n") && !yield(store.Entry{Cert: c, Source: entry.Source}, nil) {
							return
						}
					}
				}
			}
		}},
	"does not list what it cannot parse": {test: "Unparsable", quote: "A certificate that crypto/x509 refuses",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			changeEntries(e, func(entry *store.Entry) bool { return entry.Cert == nil || entry.Cert.Parsed() != nil })
		}},
	"takes garbage": {test: "Garbage", quote: "What is not a certificate",
		breaks: func(t *testing.T, _ *storetest.Fixture, e *editor) {
			changePlan(e, func(p *store.Plan) {
				if len(p.Refused) > 0 && p.Want[0].Content == nil {
					p.Refused, p.Steps = nil, []store.Step{{Action: store.ActionAdd}}
				}
			})
		}},
	"removes by subject": {test: "Alike", quote: "Identity is the SHA-256 of the DER and nothing else",
		breaks: func(t *testing.T, _ *storetest.Fixture, e *editor) {
			m := e.Memory
			changeWant(e, func(want []store.Change) []store.Change {
				names := map[string]bool{}
				for _, w := range want {
					for entry := range m.Entries(t.Context()) {
						if w.Absent && entry.Cert != nil && entry.Cert.SHA256 == w.Fingerprint {
							names[subject(entry)] = true
						}
					}
				}
				for entry := range m.Entries(t.Context()) {
					if names[subject(entry)] {
						want = append(slices.Clip(want), store.Change{Fingerprint: entry.Cert.SHA256, Absent: true})
					}
				}
				return want
			})
		}},
	"takes turns badly": {test: "Concurrent", quote: "Methods may be called from several goroutines and openers at once",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			m := e.Memory
			var mu sync.Mutex
			var last []store.Change
			e.apply = func(ctx context.Context, p store.Plan) (store.Receipt, error) {
				mu.Lock()
				defer mu.Unlock()
				r, err := m.Apply(ctx, p)
				if back, planErr := m.Plan(ctx, last); err == nil && planErr == nil { // writes over what another one wrote
					_, err = m.Apply(ctx, back)
				}
				last = r.Undo
				return r, err
			}
		}},
	"has no time for others": {test: "Concurrent", quote: "returns ErrStale or ErrLocked",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			m := e.Memory
			var once atomic.Bool
			e.apply = func(ctx context.Context, p store.Plan) (store.Receipt, error) {
				if once.Swap(true) {
					return store.Receipt{}, errors.New("some text")
				}
				return m.Apply(ctx, p)
			}
		}},
	"changes its mind": {test: "Info", quote: "Info is what was found when the store was opened.",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			m := e.Memory
			var n atomic.Int32
			e.info = func() store.Info {
				i := m.Info()
				i.Title += strings.Repeat("!", int(n.Add(1)))
				return i
			}
		}},
	"has no name": {test: "Info", quote: "Info has an ID",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			m := e.Memory
			e.info = func() store.Info {
				i := m.Info()
				i.ID = "nothing"
				return i
			}
		}},
	"says nothing of where": {test: "Add", quote: "Plan returns the steps",
		breaks: func(_ *testing.T, _ *storetest.Fixture, e *editor) {
			changePlan(e, func(p *store.Plan) { p.Store, p.Basis = "", "" })
		}},
}

// changeEntriesBack lists what is gone as if it were not.
func changeEntriesBack(e *editor, gone []store.Entry) {
	m := e.Memory
	e.entries = func(ctx context.Context) iter.Seq2[store.Entry, error] {
		return func(yield func(store.Entry, error) bool) {
			for entry, err := range m.Entries(ctx) {
				if !yield(entry, err) {
					return
				}
			}
			for _, entry := range gone {
				if !yield(entry, nil) {
					return
				}
			}
		}
	}
}

// oneByOne applies each wish for itself and, if one fails, leaves the others
// done; the error is then fails, or else that of the one.
func oneByOne(e *editor, fails error) {
	m := e.Memory
	e.apply = func(ctx context.Context, p store.Plan) (store.Receipt, error) {
		total := store.Receipt{Store: p.Store}
		for _, w := range p.Want {
			one, err := m.Plan(ctx, []store.Change{w})
			if err != nil {
				return store.Receipt{}, err
			}
			r, err := m.Apply(ctx, one)
			if err != nil && fails != nil {
				return store.Receipt{}, fails
			}
			if err != nil {
				return store.Receipt{}, err
			}
			total.Done = append(total.Done, r.Done...)
			total.Undo = append(r.Undo, total.Undo...)
		}
		return total, nil
	}
}

const brokenEnv = "STORETEST_BROKEN"

// TestBrokenChild is the suite on a broken store, run by TestBroken.
func TestBrokenChild(t *testing.T) {
	b, ok := broken[os.Getenv(brokenEnv)]
	if !ok {
		t.Skip("only run by TestBroken")
	}
	storetest.Run(t, func(t *testing.T) storetest.Fixture {
		f, m := fixture(t, cmp.Or(b.option, "everything"), filepath.Join(storetest.TempDir(t), "store.json"))
		e := &editor{m, m.Info, m.Entries, m.Plan, m.Apply}
		f.Store = e
		f.Reopen = func() store.Editor { return e }
		f.Parallel = f.Reopen
		b.breaks(t, &f, e)
		return f
	})
}

// Each broken store makes the suite fail with the sentence that it breaks.
func TestBroken(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Skip(err)
	}
	for _, name := range slices.Sorted(maps.Keys(broken)) {
		b := broken[name]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestBrokenChild$/^"+b.test+"$", "-test.v")
			cmd.Env = append(os.Environ(), brokenEnv+"="+name)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				t.Fatalf("the suite did not fail (%v):\n%s", err, out)
			}
			if !strings.Contains(string(out), b.quote) {
				t.Fatalf("the suite does not quote %q:\n%s", b.quote, out)
			}
		})
	}
}
