package storetest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/certtrust/certtrust/store"
)

// Memory is a store for tests, in memory or in a file, and the example of how
// a backend is written: one pure function (plan) turns a state and a wish into
// steps, the state after them, and the way back; Plan returns the steps; Apply
// takes the lock, makes the plan again, compares, writes the whole new state
// at once, and reads it back.
//
// The fields may be set before the first use. A Memory may be used by several
// goroutines, and one File by several processes.
type Memory struct {
	// File keeps the state, as JSON, "" = in memory only. It is read on each
	// call. While it is changed there is a File.lock.
	File string
	// Fault is asked before each operation, "read", "lock", "write" (also to
	// take a write back) or "read back"; an error makes it fail. nil = never.
	Fault func(op string) error
	// Clash tells which two certificates the store cannot hold both, as
	// [SameSubject] does. nil = it holds any.
	Clash func(a, b *store.Cert) bool
	// VendorStays: what the vendor put there cannot be removed.
	VendorStays bool
	// OnlyVendorDistrust: only what the vendor put there can be distrusted;
	// instead of being distrusted, everything else is removed.
	OnlyVendorDistrust bool

	info store.Info

	editing sync.Mutex // held from the reading to the writing of an edit
	mu      sync.Mutex // guards data
	data    []byte     // the state without a File
}

// SameSubject reports whether the subjects are the same, byte for byte.
func SameSubject(a, b *store.Cert) bool { return bytes.Equal(a.Subject.Raw, b.Subject.Raw) }

// SameSerial reports whether issuer and serial number are the same.
func SameSerial(a, b *store.Cert) bool {
	return bytes.Equal(a.Issuer.Raw, b.Issuer.Raw) && a.Serial != nil && b.Serial != nil && a.Serial.Cmp(b.Serial) == 0
}

// contents is the state of a Memory. The items with a certificate are sorted
// by its fingerprint, so that equal states have equal bytes.
type contents struct {
	Items    []item          `json:"items,omitempty"`
	Problems []store.Problem `json:"problems,omitempty"`
}

type item struct {
	sha256 store.Fingerprint // of DER

	DER    []byte            `json:"der,omitempty"`
	Label  string            `json:"label,omitempty"`
	Trust  store.Trust       `json:"trust,omitempty"`
	Origin store.Origin      `json:"origin"`
	Source store.Source      `json:"source"`
	Native map[string]string `json:"native,omitempty"`
	Match  *store.Match      `json:"match,omitempty"`
}

// NewMemory returns an empty store. What info leaves empty is filled in: it is
// then "memory:test", a user's store with nothing in the way, and a zero
// Express means that it can hold everything.
func NewMemory(info store.Info) *Memory {
	fill := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	fill((*string)(&info.ID), "memory:test")
	fill(&info.Backend, info.ID.Backend())
	fill(&info.Title, "Test store "+string(info.ID))
	fill((*string)(&info.Scope), string(store.ScopeUser))
	fill(&info.Location, string(info.ID))
	if info.Express.Purposes == nil && info.Express.Decisions == nil {
		info.Express = store.Express{
			Purposes:  store.NamedPurposes(),
			Decisions: []store.Decision{store.Unspecified, store.Trusted, store.Peer, store.Distrusted},
			Labels:    true,
		}
	}
	return &Memory{info: info}
}

// Put puts entries in, past all rules. One with neither Cert nor Match is an
// item that cannot be read: it is listed as an error, with its Source. The
// problems of the entries are planted as with [Memory.Plant].
func (m *Memory) Put(entries ...store.Entry) error {
	return m.edit(func(c *contents) {
		for _, e := range entries {
			i := item{Label: e.Label, Trust: e.Trust.Normal(), Origin: e.Origin, Source: e.Source, Native: maps.Clone(e.Native), Match: e.Match}
			if i.Origin.By == "" {
				i.Origin.By = store.ByUnknown
			}
			if e.Cert != nil {
				i.DER, i.sha256 = e.Cert.Raw, e.Cert.SHA256
			}
			c.Items = append(c.Items, i)
			c.Problems = append(c.Problems, e.Problems...)
		}
		c.sort()
	})
}

// Plant plants problems. Those with a fingerprint are also listed with the
// entry that they are about.
func (m *Memory) Plant(problems ...store.Problem) error {
	return m.edit(func(c *contents) { c.Problems = append(c.Problems, problems...) })
}

// Info implements [store.Store].
func (m *Memory) Info() store.Info { return m.info }

// Entries implements [store.Store].
func (m *Memory) Entries(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		c, err := m.load(ctx, "read")
		if err != nil {
			yield(store.Entry{}, m.failed("read", err))
			return
		}
		for _, i := range c.Items {
			e := store.Entry{Label: i.Label, Trust: i.Trust, Origin: i.Origin, Source: i.Source, Native: i.Native, Match: i.Match}
			switch {
			case i.DER != nil:
				e.Cert = store.NewCert(i.DER)
				if e.Label == "" {
					e.Label = e.Cert.Label()
				}
				for _, p := range c.Problems {
					if p.Fingerprint != nil && *p.Fingerprint == e.Cert.SHA256 {
						e.Problems = append(e.Problems, p)
					}
				}
			case i.Match == nil:
				err = m.failed("read", store.Because(store.ErrCorrupt, "an item cannot be read"))
			}
			if !yield(e, err) {
				return
			}
			err = nil
		}
	}
}

// Plan implements [store.Editor].
func (m *Memory) Plan(ctx context.Context, want []store.Change) (store.Plan, error) {
	c, err := m.load(ctx, "read")
	if err != nil {
		return store.Plan{}, m.failed("plan", err)
	}
	p, _ := m.plan(c, want, nil)
	return p, nil
}

// Problems implements [store.Repairer].
func (m *Memory) Problems(ctx context.Context) iter.Seq2[store.Problem, error] {
	return func(yield func(store.Problem, error) bool) {
		c, err := m.load(ctx, "read")
		if err != nil {
			yield(store.Problem{}, m.failed("read", err))
			return
		}
		for _, p := range c.Problems {
			if !yield(p, nil) {
				return
			}
		}
	}
}

// PlanRepair implements [store.Repairer]: to mend a problem is to forget it.
func (m *Memory) PlanRepair(ctx context.Context, problems []store.Problem) (store.Plan, error) {
	c, err := m.load(ctx, "read")
	if err != nil {
		return store.Plan{}, m.failed("plan", err)
	}
	p, _ := m.plan(c, nil, problems)
	return p, nil
}

// Apply implements [store.Editor].
func (m *Memory) Apply(ctx context.Context, p store.Plan) (store.Receipt, error) {
	receipt, err := m.apply(ctx, p)
	if err != nil {
		return store.Receipt{}, m.failed("apply", err)
	}
	return receipt, nil
}

func (m *Memory) apply(ctx context.Context, p store.Plan) (store.Receipt, error) {
	if err := p.Check(m.info.ID); err != nil {
		return store.Receipt{}, err
	}
	if !p.Empty() { // an empty plan needs no rights and no lock
		if err := m.info.Access.Write.Err("apply", m.info.ID); err != nil {
			return store.Receipt{}, err
		}
		unlock, err := m.lock(ctx)
		if err != nil {
			return store.Receipt{}, err
		}
		defer unlock()
	}
	before, err := m.load(ctx, "read")
	if err != nil {
		return store.Receipt{}, err
	}
	again, after := m.plan(before, p.Want, p.Repair)
	switch {
	case p.Empty() && again.Empty():
		return store.Receipt{Store: m.info.ID}, nil
	case !p.SameSteps(again):
		return store.Receipt{}, store.ErrStale
	}
	if err := ctx.Err(); err != nil {
		return store.Receipt{}, err
	}
	if err := m.save(after); err != nil { // from here on the context is not asked: all or nothing
		return store.Receipt{}, err
	}
	if err := m.readBack(after); err != nil {
		if left := m.save(before); left != nil {
			return store.Receipt{}, store.Because(store.ErrPartial, "%w; and it could not be taken back (%v): what the plan says is in %s", err, left, m.info.Location)
		}
		return store.Receipt{}, err
	}
	return store.Receipt{Store: m.info.ID, Done: again.Steps, Undo: again.Undo, Notices: again.Notices}, nil
}

func (m *Memory) readBack(want contents) error {
	got, err := m.load(context.Background(), "read back")
	if err == nil && got.digest() != want.digest() {
		err = store.Because(store.ErrFailed, "what was written is not what is there")
	}
	return err
}

// plan returns what leads from c to what is wanted, and the state after it.
// It depends on nothing else and changes nothing.
func (m *Memory) plan(c contents, want []store.Change, repair []store.Problem) (store.Plan, contents) {
	p := store.Plan{Store: m.info.ID, Basis: c.digest(), Repair: repair, Steps: []store.Step{}}
	c = contents{slices.Clone(c.Items), slices.Clone(c.Problems)}
	p.Changes(want, func(w store.Change) error {
		at := slices.IndexFunc(c.Items, func(i item) bool { return i.DER != nil && i.sha256 == w.Fingerprint })
		var old *item
		if at >= 0 {
			was := c.Items[at]
			old = &was
		}
		next, notice, err := m.wanted(c, old, w)
		if err != nil {
			return err
		}
		if notice != "" {
			p.Notice("%s", notice)
		}
		step, undo, changes := m.step(w.Fingerprint, old, next)
		if !changes {
			return nil
		}
		p.Steps, p.Undo = append(p.Steps, step), append(p.Undo, undo)
		if old != nil {
			c.Items = slices.Delete(c.Items, at, at+1)
		}
		if next != nil {
			c.Items = append(c.Items, *next)
		}
		return nil
	})
	c.sort()
	for _, problem := range repair {
		at := slices.IndexFunc(c.Problems, problem.Same)
		switch {
		case at < 0: // mended already
		case !c.Problems[at].Mendable:
			p.RefuseProblem(problem, store.Because(store.ErrUnsupported, "%s cannot be mended", store.Printable(problem.Code)))
		default:
			step := m.newStep(store.ActionMend)
			step.Label = problem.Text
			if problem.Fingerprint != nil {
				step.Fingerprint = *problem.Fingerprint
			}
			p.Steps = append(p.Steps, step)
			c.Problems = slices.Delete(c.Problems, at, at+1)
		}
	}
	return p, c
}

// wanted returns what w makes of old; nil is a certificate that is not there.
// The error is the reason why it cannot be.
func (m *Memory) wanted(c contents, old *item, w store.Change) (next *item, notice string, err error) {
	elsewhere := old != nil && w.Item != "" && w.Item != old.Source.Item && w.Item != old.Source.Path
	vendor := old != nil && old.Origin.By == store.ByVendor
	switch {
	case w.Absent && (old == nil || elsewhere):
		return old, "", nil
	case elsewhere || old == nil && w.Item != "":
		return nil, "", store.Because(store.ErrNotFound, "there is no item %s with this certificate", store.Printable(w.Item))
	case w.Absent && vendor && m.VendorStays:
		return nil, "", &store.Error{Err: store.Because(store.ErrUnsupported, "it came with the system and cannot be removed"), Hint: "distrust it instead"}
	case w.Absent:
		return nil, "", nil
	}
	next, err = newItem(old, w)
	if err != nil {
		return nil, "", err
	}
	cert := store.NewCert(next.DER)
	if w.Trust != nil {
		next.Trust = next.Trust.With(*w.Trust, w.Exact)
	}
	if old == nil || w.Trust != nil {
		if next.Trust, err = m.holdable(next.Trust, cert.IsCA()); err != nil {
			return nil, "", err
		}
	}
	if m.OnlyVendorDistrust && next.Trust.Has(store.Distrusted) && !vendor {
		return nil, "only what came with the system can be distrusted: " + store.Printable(next.Label) + " will not be in the store at all", nil
	}
	if w.Label != nil && m.info.Express.Labels {
		next.Label = strings.ToValidUTF8(*w.Label, "\ufffd") // as JSON keeps it
	}
	if old != nil && old.Trust.Equal(next.Trust, cert.IsCA()) {
		next.Trust = old.Trust
	}
	for _, o := range c.Items {
		if old == nil && m.Clash != nil && o.DER != nil && m.Clash(store.NewCert(o.DER), cert) {
			return nil, "", store.Because(store.ErrConflict, "the store cannot hold it together with %s", o.sha256)
		}
	}
	return next, "", nil
}

// newItem returns a copy of old or, where there is none, the item that w
// brings, as yet without its trust.
func newItem(old *item, w store.Change) (*item, error) {
	if err := w.Check(); err != nil {
		return nil, err
	}
	switch {
	case old != nil:
		next := *old
		return &next, nil
	case w.DER == nil:
		return nil, store.Because(store.ErrNotFound, "the store does not hold it, and the change does not bring it")
	}
	cert := store.NewCert(w.DER)
	if cert.Version == 0 {
		return nil, store.Because(store.ErrInput, "it is not a certificate")
	}
	next := item{
		Label: cert.Label(), Origin: store.Origin{By: store.ByCerttrust},
		Source: store.Source{Kind: "memory", Item: cert.SHA256.Short()},
	}
	if w.Content != nil {
		next = item{}
		if err := json.Unmarshal(w.Content, &next); err != nil || store.FingerprintOf(next.DER) != w.Fingerprint {
			return nil, store.Because(store.ErrInput, "the content is not that of this certificate")
		}
	}
	next.DER, next.sha256 = w.DER, w.Fingerprint
	return &next, nil
}

// holdable returns t in the words that the store has, or an error if it cannot
// say just that. Nothing is ever widened to a purpose that t does not name.
func (m *Memory) holdable(t store.Trust, ca bool) (store.Trust, error) {
	can := m.info.Express
	var out store.Trust
	for _, r := range t.Normal() {
		if !slices.Contains(can.Decisions, r.Decision) && !ca { // they are the same for what is no CA
			if same := map[store.Decision]store.Decision{store.Peer: store.Trusted, store.Trusted: store.Peer}[r.Decision]; same != "" {
				r.Decision = same
			}
		}
		tellsAny := slices.Contains(can.Purposes, store.PurposeAny)
		switch {
		case !slices.Contains(can.Decisions, r.Decision):
			return nil, store.Because(store.ErrUnsupported, "the store cannot hold the decision %s", r.Decision)
		case slices.Contains(can.Purposes, r.Purpose):
			out = append(out, r)
		case r.Purpose == store.PurposeAny: // all that it can tell
			for _, p := range can.Purposes {
				if !slices.ContainsFunc(t, func(o store.Rule) bool { return o.Purpose == p }) {
					r.Purpose = p
					out = append(out, r)
				}
			}
		case r.Decision == store.Unspecified && !tellsAny: // it is nothing to this store anyway
		default:
			return nil, store.Because(store.ErrUnsupported, "the store cannot tell %s from other purposes", store.Printable(string(r.Purpose)))
		}
	}
	out = out.Normal()
	if len(out) == 0 && !slices.Contains(can.Decisions, store.Unspecified) {
		return nil, store.Because(store.ErrUnsupported, "the store cannot hold a certificate without trusting it")
	}
	return out, nil
}

// step returns the step from old to next and what takes it back; changes is
// false if there is no difference.
func (m *Memory) step(f store.Fingerprint, old, next *item) (step store.Step, undo store.Change, changes bool) {
	undo = store.Change{Fingerprint: f, Absent: true}
	if old != nil {
		trust := append(store.Trust{}, old.Trust...) // never nil: in JSON that would read as "keep what is there"
		undo = store.Change{Fingerprint: f, Trust: &trust, Exact: true}
		if m.info.Express.Labels {
			undo.Label = &old.Label
		}
	}
	switch {
	case old == nil && next == nil, old != nil && next != nil && bytes.Equal(encode(old), encode(next)):
		return step, undo, false
	case old == nil:
		step = m.newStep(store.ActionAdd)
	case next == nil:
		step = m.newStep(store.ActionRemove)
		undo.DER, undo.Content = old.DER, encode(old)
	default:
		step = m.newStep(store.ActionTrust)
	}
	step.Fingerprint, step.Before, step.After = f, old.state(), next.state()
	step.Label = step.After.Label
	if next == nil {
		step.Label = step.Before.Label
	}
	return step, undo, true
}

func (m *Memory) newStep(a store.Action) store.Step {
	s := store.Step{Action: a}
	if m.File != "" {
		s.Files = []string{m.File}
	}
	if o := m.info.Access.Write; o != nil {
		s.Elevated = o.Kind == store.NeedsElevation
	}
	return s
}

func (i *item) state() *store.State {
	if i == nil {
		return &store.State{}
	}
	return &store.State{Present: true, Label: i.Label, Trust: i.Trust}
}

func (c *contents) sort() {
	slices.SortStableFunc(c.Items, func(a, b item) int {
		if (a.DER == nil) != (b.DER == nil) {
			return cmp.Compare(len(b.DER), len(a.DER)) // those without come last
		}
		return bytes.Compare(a.sha256[:], b.sha256[:])
	})
}

func (c contents) digest() string {
	sum := sha256.Sum256(encode(c))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// encode writes what this file declares, which JSON can always hold.
func encode(v any) []byte {
	data, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		panic(fmt.Sprintf("storetest: %v", err))
	}
	return data
}

// failed gives err its place, unless it has one.
func (m *Memory) failed(op string, err error) error {
	var placed *store.Error
	if errors.As(err, &placed) && placed.Store != "" {
		return err
	}
	return &store.Error{Op: op, Store: m.info.ID, Path: m.File, Err: err}
}

func (m *Memory) fault(op string) error {
	if m.Fault == nil {
		return nil
	}
	return m.Fault(op)
}

// edit changes the state, for those who prepare a test.
func (m *Memory) edit(change func(*contents)) error {
	unlock, err := m.lock(context.Background())
	if err != nil {
		return err
	}
	defer unlock()
	c, err := m.load(context.Background(), "read")
	if err != nil {
		return err
	}
	change(&c)
	return m.save(c)
}

func (m *Memory) load(ctx context.Context, op string) (contents, error) {
	if err := ctx.Err(); err != nil {
		return contents{}, err
	}
	if err := m.info.Access.Read.Err(op, m.info.ID); err != nil {
		return contents{}, err
	}
	if err := m.fault(op); err != nil {
		return contents{}, err
	}
	m.mu.Lock()
	data := m.data
	m.mu.Unlock()
	if m.File != "" {
		err := patiently(func() (err error) { data, err = os.ReadFile(m.File); return err })
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return contents{}, err
		}
	}
	var c contents
	if len(data) == 0 {
		return c, nil
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return contents{}, store.Because(store.ErrCorrupt, "its JSON cannot be read: %w", err)
	}
	for i := range c.Items {
		c.Items[i].sha256 = store.FingerprintOf(c.Items[i].DER)
	}
	return c, nil
}

// save writes the whole state or nothing.
func (m *Memory) save(c contents) error {
	if err := m.fault("write"); err != nil {
		return err
	}
	data := encode(c)
	if m.File == "" {
		m.mu.Lock()
		m.data = data
		m.mu.Unlock()
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(m.File), filepath.Base(m.File)+".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = patiently(func() error { return os.Rename(f.Name(), m.File) })
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// patiently does something with a file again for as long as Windows refuses it
// because somebody else has that open.
func patiently(do func() error) error {
	for deadline := time.Now().Add(lockPatience); ; {
		err := do()
		if !inUse(err) || time.Now().After(deadline) {
			return err
		}
		<-time.After(lockInterval)
	}
}

// inUse reports whether an error is how Windows tells that somebody else has a
// file open.
func inUse(err error) bool {
	const sharingViolation = syscall.Errno(32)
	return runtime.GOOS == "windows" && (errors.Is(err, fs.ErrPermission) || errors.Is(err, sharingViolation))
}

const (
	lockPatience = 10 * time.Second
	lockInterval = 2 * time.Millisecond
)

// lock keeps other editors out, here and in other processes. It waits for
// them for a while, and gives up with ErrLocked.
func (m *Memory) lock(ctx context.Context) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := m.fault("lock"); err != nil {
		return nil, err
	}
	m.editing.Lock()
	if m.File == "" {
		return m.editing.Unlock, nil
	}
	name := m.File + ".lock"
	for deadline := time.Now().Add(lockPatience); ; {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err == nil {
			f.Close()
			return func() {
				patiently(func() error { return os.Remove(name) })
				m.editing.Unlock()
			}, nil
		}
		switch {
		case !errors.Is(err, fs.ErrExist) && !inUse(err):
		case time.Now().After(deadline):
			err = store.Because(store.ErrLocked, "%s is there: another program is at work, or was stopped", name)
		default:
			select {
			case <-time.After(lockInterval):
				continue
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		m.editing.Unlock()
		return nil, err
	}
}
