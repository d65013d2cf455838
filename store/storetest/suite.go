// Package storetest is for those who write a backend: a conformance suite for
// the contract of package store ([Run]), certificates of all sorts made on the
// spot ([NewCA]), a store in memory ([Memory]) that is also the example of how
// a backend is written, and a temporary directory ([TempDir]).
//
// A backend's test is a function that makes a place and opens the store in it:
//
//	storetest.Run(t, func(t *testing.T) storetest.Fixture {
//		dir := storetest.TempDir(t)
//		open := func() store.Editor { return mybackend.Open(dir) }
//		return storetest.Fixture{Store: open(), Reopen: open, Parallel: open}
//	})
package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"github.com/certtrust/certtrust/store"
)

// Fixture is a store to be tested, in a place of its own.
type Fixture struct {
	Store store.Editor

	// Reopen opens the same place anew, as another process would; nil = Store
	// is used again, which finds less.
	Reopen func() store.Editor
	// Snapshot returns a byte-exact description, line by line, of everything
	// that the store could have touched; nil = there is none, and entries are
	// compared instead.
	Snapshot func() string
	// Fault makes the n-th write or program run from now on fail, once; none
	// for n <= 0. nil = faults are not tested.
	Fault func(n int)
	// Vendor is the certificates that the vendor of the place has put there,
	// trusted; there may be none.
	Vendor []*store.Cert
	// Parallel opens the same place anew, to be used at the same time; nil =
	// concurrency is only tested within Store.
	Parallel func() store.Editor
}

// The contract, in the sentences that a failing check quotes.
const (
	planIsPure       = "Plan changes nothing."
	planSaysRefused  = "What the store cannot do is in Plan.Refused, with the reason."
	planIsOne        = "Of wishes that contradict each other none is planned, and all others are; what is wanted twice is planned once."
	planIsData       = "A plan is plain data: it can be written down, read again and applied elsewhere, and its digest stays the same."
	planIsComplete   = "Plan returns the steps that lead from the present state to want."
	pathsAreSafe     = "No file name is made of what a certificate or a label says, unless it is made safe."
	applyDoes        = "When Apply returns nil, all of the plan is done and was read back, for whoever opens the store."
	applyAgain       = "What is as wanted needs no steps: a second plan is empty."
	applyEmpty       = "An empty plan does nothing and needs no rights."
	applyStale       = "Apply refuses with ErrStale unless the steps come out the same, and then does nothing."
	applyOnlyWant    = "Nothing in a plan but Want is ever acted on."
	applyAll         = "Apply does all of it or leaves the store as it was."
	applyPartial     = "Only an error that is ErrPartial leaves anything behind, and it says what."
	applyErrors      = "An Apply that did not do what it should returns an error."
	applyCancelled   = "A context that is done before the first write means that nothing is done."
	receiptMatches   = "A receipt tells what was done and how to take it back, and nothing if nothing was done."
	undoRestores     = "The undo list of a receipt, planned and applied, restores the state."
	infoIsStable     = "Info is what was found when the store was opened."
	infoIsComplete   = "Info has an ID (the backend, a colon, the place), a title, a scope, and what the store can express."
	entriesBreak     = "Entries ends when the caller has had enough, and holds nothing that other methods need."
	entriesChange    = "Listing changes nothing."
	entriesComplete  = "Nothing in the store is dropped in silence."
	identity         = "Identity is the SHA-256 of the DER and nothing else: each certificate keeps its own trust, or the second is refused with ErrConflict."
	othersUntouched  = "A change to one certificate leaves the others alone, with what only this store knows about them."
	trustAsWanted    = "The trust of an entry is what was wanted, as far as Info.Express says that the store can hold it."
	neverWidened     = "Trust is never widened to a purpose that was not wanted."
	limitsAreKept    = "A rule that is limited to hosts or dates stays limited, or the change is refused."
	neverUnasked     = "What nobody wants trusted does not become trusted."
	leafPeer         = "For a certificate that is no CA, peer and trusted are the same."
	labelKept        = "A store with Express.Labels keeps the label of each certificate."
	originIsOurs     = "What this program put there has the origin certtrust, or unknown where the store cannot tell."
	originVendor     = "What the vendor put there has the origin vendor, or unknown where the store cannot tell."
	absentIsGone     = "Absent: the certificate is not in the store."
	distrustHolds    = "What is distrusted is distrusted afterwards, or not in the store and a notice says so, or refused with the reason; it is never trusted."
	notACertificate  = "What is not a certificate, or not the one that the fingerprint names, is refused."
	looseCertificate = "A certificate that crypto/x509 refuses is refused with the reason, or listed, and can be removed."
	concurrent       = "Methods may be called from several goroutines and openers at once: each Apply does what it says, or returns ErrStale or ErrLocked and does nothing."
)

// Faults is what makes the n-th write fail: its Set is for [Fixture.Fault], and
// its Fail is called at every write, from any goroutine.
type Faults struct{ left atomic.Int64 }

// Set makes the n-th call of Fail from now on an error, none for n <= 0.
func (f *Faults) Set(n int) { f.left.Store(int64(n)) }

// Fail returns an error if it is this call's turn.
func (f *Faults) Fail(op, path string) error {
	if f.left.Add(-1) == 0 {
		return fmt.Errorf("%s %s: a fault was asked for", op, path)
	}
	return nil
}

// Run tests a store against the contract of package store. open is called for
// each subtest, and more than once by some, and returns a fixture in a fresh
// place each time.
func Run(t *testing.T, open func(t *testing.T) Fixture) {
	for _, c := range []struct {
		name string
		run  func(*run)
	}{
		{"Info", testInfo},
		{"PlanChangesNothing", testPlanChangesNothing},
		{"Add", testAdd},
		{"Label", testLabel},
		{"EmptyPlan", testEmptyPlan},
		{"Undo", testUndo},
		{"Remove", testRemove},
		{"RemoveAbsent", testRemoveAbsent},
		{"VendorDistrust", testVendorDistrust},
		{"VendorRemove", testVendorRemove},
		{"Contradiction", testContradiction},
		{"DistrustUnknown", testDistrustUnknown},
		{"DistrustAdded", testDistrustAdded},
		{"NotTrustedUnasked", testNotTrustedUnasked},
		{"NeverWidened", testNeverWidened},
		{"Limits", testLimits},
		{"Leaf", testLeaf},
		{"Stale", testStale},
		{"Tampered", testTampered},
		{"PlainData", testPlainData},
		{"Cancelled", testCancelled},
		{"EarlyBreak", testEarlyBreak},
		{"Faults", testFaults},
		{"Many", testMany},
		{"HostileNames", testHostileNames},
		{"Unparsable", testUnparsable},
		{"Garbage", testGarbage},
		{"Alike", testAlike},
		{"Concurrent", testConcurrent},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.run(&run{T: t, Fixture: open(t), open: open})
		})
	}
}

// run is one subtest: a fixture, and the helpers that speak of it.
type run struct {
	*testing.T
	Fixture
	open func(*testing.T) Fixture
}

// check fails the test, quoting the contract, unless ok.
func (r *run) check(contract string, ok bool, format string, args ...any) {
	r.Helper()
	if !ok {
		r.Fatalf("the contract says: %s\nbut %s", contract, fmt.Sprintf(format, args...))
	}
}

func (r *run) reopen() store.Editor {
	if r.Reopen == nil {
		return r.Store
	}
	return r.Reopen()
}

func (r *run) express() store.Express { return r.Store.Info().Express }

// purpose is what certificates are trusted for in most tests.
func (r *run) purpose() store.Purpose {
	can := r.express().Purposes
	for _, p := range []store.Purpose{store.PurposeServerAuth, store.PurposeAny} {
		if slices.Contains(can, p) {
			return p
		}
	}
	return can[0]
}

// The wishes.

func trusted(c *store.Cert, purposes ...store.Purpose) store.Change {
	t := store.TrustFor(store.Trusted, purposes...)
	return store.Change{Fingerprint: c.SHA256, DER: c.Raw, Trust: &t}
}

func (r *run) trusted(c *store.Cert) store.Change { return trusted(c, r.purpose()) }

func (r *run) distrusted(c *store.Cert) store.Change {
	purposes := r.express().Purposes
	if slices.Contains(purposes, store.PurposeAny) {
		purposes = []store.Purpose{store.PurposeAny}
	}
	t := store.TrustFor(store.Distrusted, purposes...)
	return store.Change{Fingerprint: c.SHA256, DER: c.Raw, Trust: &t}
}

func absent(c *store.Cert) store.Change { return store.Change{Fingerprint: c.SHA256, Absent: true} }

// The doing.

// plan makes a plan and checks what holds for every plan.
func (r *run) plan(want ...store.Change) store.Plan {
	r.Helper()
	p, err := r.Store.Plan(r.Context(), want)
	r.check(planSaysRefused, err == nil, "Plan returned the error %v", err)
	r.check(planIsComplete, p.Store == r.Store.Info().ID, "the plan is for %q", p.Store)
	r.check(planIsComplete, p.Basis != "", "the plan has no basis")
	for _, refused := range p.Refused {
		r.check(planSaysRefused, refused.Reason != "" && refused.Code != "", "this has none: %+v", refused)
	}
	for _, s := range p.Steps {
		r.check(planIsComplete, s.Action != "", "this step has no action: %+v", s)
		for _, f := range s.Files {
			unsafe := strings.ContainsFunc(f, unicode.IsControl) || slices.Contains(strings.FieldsFunc(f, func(c rune) bool { return c == '/' || c == '\\' }), "..")
			r.check(pathsAreSafe, !unsafe, "a step touches %q", f)
		}
	}
	return p
}

// apply applies a plan and checks what holds for every receipt.
func (r *run) apply(p store.Plan) store.Receipt {
	r.Helper()
	receipt, err := r.Store.Apply(r.Context(), p)
	r.check(applyDoes, err == nil, "Apply returned the error %v", err)
	r.check(receiptMatches, receipt.Store == p.Store, "the receipt is for %q", receipt.Store)
	r.check(receiptMatches, (len(receipt.Done) > 0) == !p.Empty(), "of %d steps, %d are in the receipt", len(p.Steps), len(receipt.Done))
	r.check(receiptMatches, (len(receipt.Undo) > 0) == !p.Empty(), "for %d steps, there are %d changes to take them back", len(p.Steps), len(receipt.Undo))
	for who, ed := range map[string]store.Editor{"the store": r.Store, "another opener": r.reopen()} {
		second, err := ed.Plan(r.Context(), p.Want)
		r.check(applyAgain, err == nil && second.Empty(), "for %s there is %v to do (error %v)", who, second.Steps, err)
	}
	return receipt
}

// do plans and applies what every store must be able to do.
func (r *run) do(want ...store.Change) store.Receipt {
	r.Helper()
	p := r.plan(want...)
	r.check(trustAsWanted, len(p.Refused) == 0, "this was refused: %+v", p.Refused)
	r.check(planIsComplete, !p.Empty(), "there are no steps")
	return r.apply(p)
}

// undo takes a receipt back as it comes out of a journal, and compares.
func (r *run) undo(receipt store.Receipt, before look) {
	r.Helper()
	data, err := json.Marshal(receipt.Undo)
	var undo []store.Change
	if err == nil {
		err = json.Unmarshal(data, &undo)
	}
	r.check(undoRestores, err == nil, "the list cannot be kept as JSON: %v", err)
	p := r.plan(undo...)
	r.check(undoRestores, len(p.Refused) == 0, "this was refused: %+v", p.Refused)
	r.apply(p)
	r.same(undoRestores, before)
}

// The seeing.

// list returns the entries of one opener.
func (r *run) list(ed store.Store) []store.Entry {
	r.Helper()
	var out []store.Entry
	for e, err := range ed.Entries(r.Context()) {
		r.check(entriesComplete, err == nil || e.Source != store.Source{}, "the store cannot be read: %v", err)
		if err == nil {
			out = append(out, e)
		}
	}
	return out
}

// find returns the entries with the certificate.
func (r *run) find(c *store.Cert) []store.Entry {
	r.Helper()
	return slices.DeleteFunc(r.list(r.reopen()), func(e store.Entry) bool { return !holds(e, c) })
}

func holds(e store.Entry, c *store.Cert) bool { return e.Cert != nil && e.Cert.SHA256 == c.SHA256 }

// hasTrust reports whether any of the entries is trusted for anything.
func hasTrust(entries []store.Entry) bool {
	return slices.ContainsFunc(entries, func(e store.Entry) bool { return e.Trust.Has(store.Trusted) || e.Trust.Has(store.Peer) })
}

// isTrusted reports whether one of the entries is trusted for p.
func isTrusted(entries []store.Entry, p store.Purpose) bool {
	return slices.ContainsFunc(entries, func(e store.Entry) bool {
		d := e.Trust.For(p)
		return d == store.Trusted || d == store.Peer && !e.Cert.IsCA()
	})
}

// describe writes what of the entries must not change unasked, sorted, a line
// each, without those of the certificates.
func describe(entries []store.Entry, native bool, without ...*store.Cert) []string {
	var lines []string
	for _, e := range entries {
		if slices.ContainsFunc(without, func(c *store.Cert) bool { return holds(e, c) }) {
			continue
		}
		line := fmt.Sprintf("%q %s by %s", e.Label, e.Trust, e.Origin.By)
		if e.Cert != nil {
			line = e.Cert.SHA256.String() + " " + line
		}
		if e.Match != nil {
			line += fmt.Sprintf(" matching %+v", *e.Match)
		}
		if native {
			line += fmt.Sprint(" ", e.Native) // maps are printed sorted
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

// look is a state as far as it can be seen.
type look struct{ snapshot, entries []string }

func (r *run) look() look {
	r.Helper()
	var l look
	if r.Snapshot != nil {
		l.snapshot = strings.Split(r.Snapshot(), "\n")
	}
	l.entries = describe(r.list(r.reopen()), false)
	own := describe(r.list(r.Store), false)
	r.check(applyDoes, slices.Equal(own, l.entries), "the store and another opener see different entries:%s", difference(own, l.entries))
	if r.Snapshot != nil {
		after := strings.Split(r.Snapshot(), "\n")
		r.check(entriesChange, slices.Equal(l.snapshot, after), "it did:%s", difference(l.snapshot, after))
	}
	return l
}

// same checks that the state is what it was before.
func (r *run) same(contract string, before look) {
	r.Helper()
	now := r.look()
	r.check(contract, slices.Equal(before.entries, now.entries), "the entries differ:%s", difference(before.entries, now.entries))
	r.check(contract, slices.Equal(before.snapshot, now.snapshot), "the place differs:%s", difference(before.snapshot, now.snapshot))
}

// difference shows the lines that only one side has, the first few of them.
func difference(before, now []string) string {
	var b strings.Builder
	for _, side := range []struct {
		sign      string
		has, asks []string
	}{{"-", before, now}, {"+", now, before}} {
		shown := 0
		for _, line := range side.has {
			if slices.Contains(side.asks, line) {
				continue
			}
			if shown++; shown > 10 {
				b.WriteString("\n" + side.sign + " …")
				break
			}
			fmt.Fprintf(&b, "\n%s %.400s", side.sign, line)
		}
	}
	if b.Len() == 0 {
		return "\nonly the order or number of equal lines"
	}
	return b.String()
}

// The subtests.

func testInfo(r *run) {
	info := r.Store.Info()
	r.check(infoIsComplete, info.ID.Backend() != "" && info.ID.Backend() != string(info.ID) && info.Backend == info.ID.Backend(), "the ID is %q of backend %q", info.ID, info.Backend)
	r.check(infoIsComplete, info.Title != "" && info.Location != "", "title %q, location %q", info.Title, info.Location)
	r.check(infoIsComplete, info.Scope == store.ScopeSystem || info.Scope == store.ScopeUser, "the scope is %q", info.Scope)
	r.check(infoIsComplete, len(info.Express.Purposes) > 0 && len(info.Express.Decisions) > 0, "it can express %+v", info.Express)
	r.do(r.trusted(NewCA(r).Cert()))
	r.look()
	r.check(infoIsStable, reflect.DeepEqual(r.Store.Info(), info), "it was\n%+v\nand is\n%+v", info, r.Store.Info())
	r.check(infoIsStable, r.reopen().Info().ID == info.ID, "opened again it is %q, not %q", r.reopen().Info().ID, info.ID)
	for _, v := range r.Vendor {
		entries := r.find(v)
		r.check(entriesComplete, len(entries) > 0, "the vendor's %s is not listed", v.SHA256)
		for _, e := range entries {
			r.check(originVendor, e.Origin.By == store.ByVendor || e.Origin.By == store.ByUnknown, "the origin of %s is %+v", v.SHA256, e.Origin)
		}
	}
}

func testPlanChangesNothing(r *run) {
	a := NewCA(r).Cert()
	r.do(r.trusted(a))
	want := []store.Change{r.trusted(NewCA(r).Cert()), r.distrusted(NewCA(r).Cert()), absent(a)}
	for _, v := range r.Vendor {
		want = append(want, r.distrusted(v))
	}
	before := r.look()
	p := r.plan(want...)
	r.same(planIsPure, before)
	again := r.plan(want...)
	r.check(planIsPure, p.Digest() == again.Digest(), "planned twice, it has two digests, for the steps\n%+v\n%+v", p.Steps, again.Steps)
}

func testAdd(r *run) {
	ca := NewCA(r)
	c := ca.Cert()
	before := describe(r.list(r.reopen()), true)
	r.do(r.trusted(c))
	found := r.find(c)
	r.check(applyDoes, len(found) > 0, "the certificate is not listed")
	r.check(trustAsWanted, isTrusted(found, r.purpose()), "it is listed with trust %q", found[0].Trust)
	for _, e := range found {
		r.check(identity, bytes.Equal(e.Cert.Raw, ca.DER()), "the DER is another one")
		r.check(originIsOurs, e.Origin.By == store.ByCerttrust || e.Origin.By == store.ByUnknown, "it is %+v", e.Origin)
		r.check(entriesComplete, e.Label != "" && e.Source != store.Source{}, "the entry has label %q and source %+v", e.Label, e.Source)
	}
	after := describe(r.list(r.reopen()), true, c)
	r.check(othersUntouched, slices.Equal(before, after), "they differ:%s", difference(before, after))
}

func testLabel(r *run) {
	if !r.express().Labels {
		r.Skip("the store keeps no labels")
	}
	a, b := NewCA(r).Cert(), NewCA(r).Cert()
	label := "A label of my own"
	first := r.trusted(a)
	first.Label = &label
	r.do(first, r.trusted(b))
	before := r.look()
	labelled := func(c *store.Cert, want string) {
		for _, e := range r.find(c) {
			r.check(labelKept, strings.EqualFold(e.Label, want), "it is %q, not %q", e.Label, want)
			r.check(trustAsWanted, e.Trust.For(r.purpose()) == store.Trusted, "with a label of its own the trust is %q", e.Trust)
		}
	}
	labelled(a, label)
	other := "Another label"
	receipt := r.do(store.Change{Fingerprint: b.SHA256, Label: &other})
	labelled(a, label)
	labelled(b, other)
	r.undo(receipt, before)
}

func testEmptyPlan(r *run) {
	c := NewCA(r).Cert()
	r.do(r.trusted(c))
	before := r.look()
	for _, want := range [][]store.Change{nil, {r.trusted(c)}, {{Fingerprint: c.SHA256}}} {
		p := r.plan(want...)
		r.check(applyAgain, p.Empty(), "there is still to do: %+v", p.Steps)
		if r.Fault != nil {
			r.Fault(1)
		}
		receipt, err := r.Store.Apply(r.Context(), p)
		if r.Fault != nil {
			r.Fault(0)
		}
		r.check(applyEmpty, err == nil, "with all writes failing it returned the error %v", err)
		r.check(receiptMatches, len(receipt.Done)+len(receipt.Undo) == 0, "for nothing it is %+v", receipt)
		r.same(applyEmpty, before)
	}
}

func testUndo(r *run) {
	empty := r.look()
	a, b, c := NewCA(r).Cert(), NewCA(r).Cert(), NewCA(r).Cert()
	first := r.do(r.trusted(a), r.trusted(b))
	before := r.look()
	r.undo(r.do(absent(a), r.trusted(c)), before)
	r.undo(first, empty)
}

func testRemove(r *run) {
	a, b := NewCA(r).Cert(), NewCA(r).Cert()
	r.do(r.trusted(a), r.trusted(b))
	before := r.look()
	others := describe(r.list(r.reopen()), true, a)
	receipt := r.do(absent(a))
	r.check(absentIsGone, len(r.find(a)) == 0, "it is still listed")
	now := describe(r.list(r.reopen()), true)
	r.check(othersUntouched, slices.Equal(others, now), "they differ:%s", difference(others, now))
	r.undo(receipt, before)
}

func testRemoveAbsent(r *run) {
	before := r.look()
	p := r.plan(absent(NewCA(r).Cert()))
	r.check(applyAgain, p.Empty() && len(p.Refused) == 0, "to remove what is absent needs %+v, refused %+v", p.Steps, p.Refused)
	r.apply(p)
	r.same(applyEmpty, before)
}

// refusable plans and applies one wish that a store may refuse. If it does, it
// must not have done anything, and refused is true.
func (r *run) refusable(c *store.Cert, want store.Change) (p store.Plan, receipt store.Receipt, refused bool) {
	r.Helper()
	before := r.look()
	p = r.plan(want)
	receipt = r.apply(p)
	for _, no := range p.Refused {
		r.check(planSaysRefused, no.Fingerprint == c.SHA256, "it is about %s, not %s", no.Fingerprint, c.SHA256)
		r.same(planSaysRefused, before)
		refused = true
	}
	return p, receipt, refused
}

// distrust wants c distrusted and checks what the contract allows.
func (r *run) distrust(c *store.Cert) (receipt store.Receipt, refused bool) {
	r.Helper()
	p, receipt, refused := r.refusable(c, r.distrusted(c))
	if refused {
		return receipt, true
	}
	found := r.find(c)
	r.check(distrustHolds, !hasTrust(found), "it is trusted")
	said := len(p.Notices) > 0 && len(found) == 0
	r.check(distrustHolds, said || slices.ContainsFunc(found, func(e store.Entry) bool {
		return !slices.ContainsFunc(r.express().Purposes, func(p store.Purpose) bool { return e.Trust.For(p) != store.Distrusted })
	}), "it is listed %d times, none of them distrusted, and no notice says so", len(found))
	return receipt, false
}

func testVendorDistrust(r *run) {
	if len(r.Vendor) == 0 {
		r.Skip("the vendor ships nothing")
	}
	v := r.Vendor[0]
	before := r.look()
	others := describe(r.list(r.reopen()), true, v)
	receipt, refused := r.distrust(v)
	now := describe(r.list(r.reopen()), true, v)
	r.check(othersUntouched, slices.Equal(others, now), "they differ:%s", difference(others, now))
	if can := slices.Contains(r.express().Decisions, store.Distrusted); refused {
		r.check(trustAsWanted, !can, "the store can hold distrust, but refuses it for what the vendor put there")
		return
	}
	r.undo(receipt, before)
}

func testVendorRemove(r *run) {
	if len(r.Vendor) == 0 {
		r.Skip("the vendor ships nothing")
	}
	v := r.Vendor[0]
	before := r.look()
	p, receipt, refused := r.refusable(v, absent(v))
	if refused {
		return
	}
	r.check(planSaysRefused, !p.Empty(), "to remove what the vendor put there is neither refused nor planned")
	r.check(absentIsGone, !hasTrust(r.find(v)), "it is still trusted")
	r.undo(receipt, before)
}

func testContradiction(r *run) {
	a, b, c := NewCA(r).Cert(), NewCA(r).Cert(), NewCA(r).Cert()
	r.do(r.trusted(a))
	before := r.look()
	for _, pair := range [][2]store.Change{
		{r.trusted(a), absent(a)}, {absent(a), r.trusted(a)},
		{r.trusted(b), absent(b)}, {absent(b), r.trusted(b)},
		{r.trusted(a), r.distrusted(a)}, {r.distrusted(b), r.trusted(b)},
	} {
		p := r.plan(pair[0], r.trusted(c), pair[1], r.trusted(c))
		r.check(planIsOne, len(p.Refused) == 1 && p.Refused[0].Fingerprint == pair[0].Fingerprint && p.Refused[0].Code == store.Code(store.ErrConflict),
			"for %+v it was refused: %+v", pair, p.Refused)
		r.check(planIsOne, slices.ContainsFunc(p.Steps, func(s store.Step) bool { return s.Fingerprint == c.SHA256 }) &&
			!slices.ContainsFunc(p.Steps, func(s store.Step) bool { return s.Fingerprint == pair[0].Fingerprint }), "for %+v the steps are %+v", pair, p.Steps)
		once := r.plan(r.trusted(c))
		r.check(planIsOne, reflect.DeepEqual(p.Undo, once.Undo) && p.SameSteps(once), "for %+v the steps are %+v, not %+v", pair, p.Steps, once.Steps)
	}
	r.same(planIsPure, before)
}

func testDistrustUnknown(r *run) {
	before := r.look()
	if receipt, refused := r.distrust(NewCA(r).Cert()); !refused && len(receipt.Done) > 0 {
		r.undo(receipt, before)
	}
}

func testDistrustAdded(r *run) {
	c := NewCA(r).Cert()
	r.do(r.trusted(c))
	before := r.look()
	if receipt, refused := r.distrust(c); !refused {
		r.undo(receipt, before)
	}
}

func testNotTrustedUnasked(r *run) {
	c := NewCA(r).Intermediate(r).Cert()
	before := r.look()
	_, receipt, refused := r.refusable(c, store.Change{Fingerprint: c.SHA256, DER: c.Raw})
	found := r.find(c)
	r.check(neverUnasked, !hasTrust(found), "it is")
	if !refused {
		r.check(applyDoes, len(found) > 0, "what was put in is not listed")
		untrusted := r.look()
		r.undo(r.do(r.trusted(c)), untrusted)
		r.undo(receipt, before)
	}
}

func testNeverWidened(r *run) {
	for _, p := range append(store.NamedPurposes()[1:], "1.3.6.1.4.1.99999.1") {
		c := NewCA(r).Cert()
		_, _, refused := r.refusable(c, trusted(c, p))
		found := r.find(c)
		mayRefuse := !slices.Contains(r.express().Purposes, p)
		r.check(trustAsWanted, refused && mayRefuse || isTrusted(found, p), "wanted for %s, it is trusted for %q, refused: %t", p, r.trusts(found), refused)
		for _, other := range append(store.NamedPurposes(), r.express().Purposes...) {
			r.check(neverWidened, other == p || !isTrusted(found, other), "wanted for %s, it is trusted for %s", p, other)
		}
	}
}

func testLimits(r *run) {
	rule := store.Rule{Purpose: r.purpose(), Decision: store.Trusted}
	hosts, dates := rule, rule
	hosts.Hosts = []string{"only.test"}
	dates.DistrustAfter = time.Date(2030, 1, 2, 0, 0, 0, 0, time.UTC)
	for _, limited := range []store.Rule{hosts, dates} {
		c := NewCA(r).Cert()
		before := r.look()
		_, receipt, refused := r.refusable(c, store.Change{Fingerprint: c.SHA256, DER: c.Raw, Trust: &store.Trust{limited}})
		for _, e := range r.find(c) {
			got := e.Trust.Rule(r.purpose())
			same := slices.Equal(got.Hosts, limited.Hosts) && got.DistrustAfter.Equal(limited.DistrustAfter)
			r.check(limitsAreKept, !hasTrust([]store.Entry{e}) || same, "wanted %q, it is %q", store.Trust{limited}, e.Trust)
		}
		if !refused {
			r.undo(receipt, before)
		}
	}
}

func (r *run) trusts(entries []store.Entry) (out []string) {
	for _, e := range entries {
		out = append(out, e.Trust.String())
	}
	return out
}

func testLeaf(r *run) {
	for _, c := range []*store.Cert{NewCA(r, NotCA(), Hosts("localhost")).Cert(), NewCA(r).Issue(r, NotCA(), Hosts("localhost")).Cert()} {
		before := r.look()
		_, receipt, refused := r.refusable(c, r.trusted(c))
		if refused {
			continue
		}
		r.check(trustAsWanted, isTrusted(r.find(c), r.purpose()), "it is %q", r.trusts(r.find(c)))
		peer := store.TrustFor(store.Peer, r.purpose())
		p := r.plan(store.Change{Fingerprint: c.SHA256, Trust: &peer})
		r.check(leafPeer, p.Empty() && len(p.Refused) == 0, "after the one the other needs %+v, refused %+v", p.Steps, p.Refused)
		r.undo(receipt, before)
	}
}

// other does something behind the back of the store.
func (r *run) other(want ...store.Change) {
	r.Helper()
	ed := r.reopen()
	p, err := ed.Plan(r.Context(), want)
	if err == nil {
		_, err = ed.Apply(r.Context(), p)
	}
	r.check(applyDoes, err == nil, "for another opener Apply returned the error %v", err)
}

func testStale(r *run) {
	c := NewCA(r).Cert()
	for _, want := range []store.Change{r.trusted(c), absent(c)} {
		p := r.plan(want)
		r.other(want)
		before := r.look()
		_, err := r.Store.Apply(r.Context(), p)
		r.check(applyStale, errors.Is(err, store.ErrStale), "after another had done the same, Apply returned the error %v", err)
		r.same(applyStale, before)
	}
}

func testTampered(r *run) {
	c, stranger := NewCA(r).Cert(), NewCA(r).Cert()
	before := r.look()
	for name, tamper := range map[string]func(*store.Plan){
		"fewer steps":          func(p *store.Plan) { p.Steps = p.Steps[:len(p.Steps)-1] },
		"a step twice":         func(p *store.Plan) { p.Steps = append(p.Steps, p.Steps[0]) },
		"another label":        func(p *store.Plan) { p.Steps[0].Label += "!" },
		"another action":       func(p *store.Plan) { p.Steps[0].Action = "nothing" },
		"another file":         func(p *store.Plan) { p.Steps[0].Files = append(slices.Clone(p.Steps[0].Files), "elsewhere") },
		"another command":      func(p *store.Plan) { p.Steps[0].Commands = [][]string{{"another-command"}} },
		"another certificate":  func(p *store.Plan) { p.Want = []store.Change{r.trusted(stranger)} },
		"one certificate more": func(p *store.Plan) { p.Want = append(slices.Clip(p.Want), r.trusted(stranger)) },
		"another wish":         func(p *store.Plan) { p.Want = []store.Change{absent(c)} },
	} {
		p := r.plan(r.trusted(c))
		r.check(planIsComplete, !p.Empty(), "there are no steps")
		p.Steps = slices.Clone(p.Steps)
		tamper(&p)
		if p.Empty() { // it is allowed to do nothing
			continue
		}
		_, err := r.Store.Apply(r.Context(), p)
		r.check(applyStale, errors.Is(err, store.ErrStale), "with %s Apply returned the error %v", name, err)
		r.same(applyStale, before)
	}
	p := r.plan(r.trusted(c))
	p.Undo = []store.Change{r.trusted(stranger)}
	p.Notices = []string{"tampered"}
	receipt := r.apply(p)
	r.check(applyOnlyWant, !slices.Contains(receipt.Notices, "tampered"), "a notice of the plan came back in the receipt")
	r.undo(receipt, before)
}

func testPlainData(r *run) {
	label := "Ünïcödé <&> \u2028"
	want := r.trusted(NewCA(r, CN(label)).Cert())
	if r.express().Labels {
		want.Label = &label
	}
	p := r.plan(want)
	data, err := json.Marshal(p)
	var read store.Plan
	if err == nil {
		err = json.Unmarshal(data, &read)
	}
	r.check(planIsData, err == nil, "it cannot be kept as JSON: %v", err)
	r.check(planIsData, read.Digest() == p.Digest(), "the digest is another one afterwards")
	for i := range read.Steps { // who applies it may have other rights than who made it
		read.Steps[i].Elevated = !read.Steps[i].Elevated
	}
	_, err = r.reopen().Apply(r.Context(), read)
	r.check(planIsData, err == nil, "applied elsewhere, it returned the error %v", err)
	second := r.plan(want)
	r.check(applyDoes, second.Empty(), "there is still to do: %+v", second.Steps)
}

func testCancelled(r *run) {
	c := NewCA(r).Cert()
	before := r.look()
	p := r.plan(r.trusted(c))
	ctx, cancel := context.WithCancel(r.Context())
	cancel()
	receipt, err := r.Store.Apply(ctx, p)
	r.check(applyCancelled, errors.Is(err, context.Canceled), "Apply returned the receipt %+v and the error %v", receipt, err)
	r.same(applyCancelled, before)
	r.apply(p) // the plan is still good
}

func testEarlyBreak(r *run) {
	c := NewCA(r).Cert()
	r.do(r.trusted(c), r.trusted(NewCA(r).Cert()))
	all := len(r.list(r.Store))
	for enough := 1; enough <= min(all, 3); enough++ {
		calls := 0
		r.Store.Entries(r.Context())(func(store.Entry, error) bool {
			calls++
			return calls < enough
		})
		r.check(entriesBreak, calls == enough, "when %d were enough, there were %d", enough, calls)
	}
	for range r.Store.Entries(r.Context()) { // within the loop, everything else works
		r.list(r.Store)
		r.do(absent(c))
		break
	}
	r.check(entriesBreak, len(r.find(c)) == 0, "what was done meanwhile was not done")
}

func testFaults(r *run) {
	if r.Fault == nil {
		r.Skip("the fixture cannot make anything fail")
	}
	a, b, c := NewCA(r).Cert(), NewCA(r).Cert(), NewCA(r).Cert()
	r.eachFault(func(r *run) []store.Change {
		r.do(r.trusted(a))
		return []store.Change{r.trusted(b), r.trusted(c), absent(a)}
	})
	if len(r.Vendor) == 0 || !slices.Contains(r.express().Decisions, store.Distrusted) {
		return
	}
	r.eachFault(func(r *run) []store.Change { return []store.Change{r.distrusted(r.Vendor[0])} })
}

// eachFault does what prepare wants with the first write failing, then with
// the second, and so on, until it goes through.
func (r *run) eachFault(prepare func(*run) []store.Change) {
	r.Helper()
	const most = 5000
	fresh := func() *run { return &run{T: r.T, Fixture: r.open(r.T), open: r.open} }
	place := fresh()
	want := prepare(place)
	for n := 1; ; n++ {
		r.check(applyErrors, n < most, "even the %dth write fails", n)
		before := place.look()
		p := place.plan(want...)
		place.Fault(n)
		receipt, err := place.Store.Apply(r.Context(), p)
		place.Fault(0)
		if err == nil {
			r.check(applyErrors, n > 1, "with the first write failing it returned none")
			second := place.plan(want...)
			r.check(applyErrors, second.Empty(), "with write %d failing it returned none, and there is still to do: %+v", n, second.Steps)
			place.undo(receipt, before)
			return
		}
		if errors.Is(err, store.ErrPartial) {
			var e *store.Error
			said := errors.As(err, &e) && (e.Path != "" || e.Err.Error() != store.ErrPartial.Error())
			r.check(applyPartial, said, "it says only %q", err)
			place = fresh()
			want = prepare(place)
			continue
		}
		place.same(applyAll, before)
		again := place.plan(want...)
		r.check(applyAll, again.Digest() == p.Digest(), "after the %dth write had failed (%v), the plan is another one", n, err)
	}
}

func testMany(r *run) {
	before := r.look()
	certs := Many(r, 100)
	var want []store.Change
	for _, c := range certs {
		want = append(want, r.trusted(c))
	}
	receipt := r.do(want...)
	held := map[store.Fingerprint]bool{}
	for _, e := range r.list(r.reopen()) {
		if e.Cert != nil && e.Trust.For(r.purpose()) == store.Trusted {
			held[e.Cert.SHA256] = true
		}
	}
	for i, c := range certs {
		r.check(applyDoes, held[c.SHA256], "of %d certificates, number %d is not listed as trusted", len(certs), i+1)
	}
	r.undo(receipt, before)
}

func testHostileNames(r *run) {
	before := r.look()
	others := describe(r.list(r.reopen()), true)
	certs := map[string]*store.Cert{}
	var want []store.Change
	for _, name := range HostileNames() {
		c := NewCA(r, CN(name)).Cert()
		certs[name] = c
		w := r.trusted(c)
		if r.express().Labels {
			w.Label = &name
		}
		want = append(want, w)
	}
	p := r.plan(want...)
	receipt := r.apply(p)
	var all []*store.Cert
	for name, c := range certs {
		all = append(all, c)
		refused := slices.ContainsFunc(p.Refused, func(no store.Refused) bool { return no.Fingerprint == c.SHA256 })
		found := r.find(c)
		if refused {
			r.check(planSaysRefused, len(found) == 0, "%q was refused, and is there", name)
			continue
		}
		r.check(applyDoes, isTrusted(found, r.purpose()), "%q was not refused, and is not trusted", name)
	}
	now := describe(r.list(r.reopen()), true, all...)
	r.check(othersUntouched, slices.Equal(others, now), "they differ:%s", difference(others, now))
	r.undo(receipt, before)
}

func testUnparsable(r *run) {
	c := Unparsable(r).Cert()
	before := r.look()
	_, _, refused := r.refusable(c, r.trusted(c))
	if refused {
		return
	}
	r.check(looseCertificate, isTrusted(r.find(c), r.purpose()), "it was not refused, and is not listed as trusted")
	r.do(absent(c))
	r.check(looseCertificate, len(r.find(c)) == 0, "it was removed, and is still listed")
	r.same(looseCertificate, before)
	r.undo(r.do(r.trusted(c)), before)
}

func testGarbage(r *run) {
	good, other := NewCA(r).Cert(), NewCA(r).Cert()
	garbage, fingerprint := Garbage()
	any := store.TrustFor(store.Trusted, r.purpose())
	before := r.look()
	for name, w := range map[string]store.Change{
		"garbage":                   {Fingerprint: fingerprint, DER: garbage, Trust: &any},
		"half a certificate":        {Fingerprint: store.FingerprintOf(good.Raw[:len(good.Raw)/2]), DER: good.Raw[:len(good.Raw)/2], Trust: &any},
		"the DER of another one":    {Fingerprint: good.SHA256, DER: other.Raw, Trust: &any},
		"no DER of an unknown one":  {Fingerprint: good.SHA256, Trust: &any},
		"content that is not of it": {Fingerprint: good.SHA256, DER: good.Raw, Content: other.Raw, Trust: &any},
	} {
		p, err := r.Store.Plan(r.Context(), []store.Change{w})
		if err != nil {
			continue // that is a refusal too
		}
		// A store that has no use for Content need not look at it.
		useless := w.Content != nil && len(p.Refused) == 0
		r.check(notACertificate, useless || p.Empty() && len(p.Refused) == 1 && p.Refused[0].Reason != "",
			"for %s there are the steps %+v, refused %+v", name, p.Steps, p.Refused)
		r.apply(p)
		if useless {
			r.check(identity, len(r.find(good)) > 0 && len(r.find(other)) == 0, "with the content of another one, that is what was put in")
			r.do(absent(good))
		}
		r.same(notACertificate, before)
	}
}

func testAlike(r *run) {
	subject, serial := CN("The same subject"), Serial(big.NewInt(4711))
	twin := NewCA(r)
	pairs := []struct {
		name  string
		a, b  *CA
		label string
	}{
		{"the same subject", NewCA(r, subject), NewCA(r, subject), ""},
		{"the same serial number", NewCA(r, serial), NewCA(r, serial), ""},
		{"the same subject and serial number", twin, Twin(r, twin), ""},
	}
	if r.express().Labels {
		pairs = append(pairs, pairs[0])
		last := &pairs[len(pairs)-1]
		last.name, last.a, last.b, last.label = "the same label", NewCA(r), NewCA(r), "The same label"
	}
	empty := r.look()
	for _, pair := range pairs {
		wish := func(c *store.Cert) store.Change {
			w := r.trusted(c)
			if pair.label != "" {
				w.Label = &pair.label
			}
			return w
		}
		for _, order := range [][2]*store.Cert{{pair.a.Cert(), pair.b.Cert()}, {pair.b.Cert(), pair.a.Cert()}} {
			a, b := order[0], order[1]
			first := r.do(wish(a))
			one := r.look()
			p, err := r.Store.Plan(r.Context(), []store.Change{wish(b)})
			if err == nil && len(p.Refused) > 0 {
				err = p.Refused[0].Err("plan", p.Store)
			}
			var second store.Receipt
			if err == nil {
				second, err = r.Store.Apply(r.Context(), p)
			}
			if err != nil {
				r.check(identity, errors.Is(err, store.ErrConflict), "with %s, the second gave the error %v", pair.name, err)
				r.same(identity, one)
				// It can take the place of the first, in whatever order that is wanted.
				for _, want := range [][]store.Change{{wish(b), absent(a)}, {absent(a), wish(b)}} {
					swapped := r.do(want...)
					r.check(identity, len(r.find(a)) == 0 && isTrusted(r.find(b), r.purpose()), "with %s, the second did not take the place of the first", pair.name)
					r.undo(swapped, one)
				}
				r.undo(first, empty)
				continue
			}
			for _, c := range order {
				r.check(identity, isTrusted(r.find(c), r.purpose()), "with %s, not both are trusted", pair.name)
			}
			both := r.look()
			removed := r.do(absent(a))
			r.check(identity, len(r.find(a)) == 0 && isTrusted(r.find(b), r.purpose()), "with %s, removing one did not leave just the other", pair.name)
			r.undo(removed, both)
			r.undo(second, one)
			r.undo(first, empty)
		}
	}
}

func testConcurrent(r *run) {
	openers := []store.Editor{r.Store}
	if r.Fixture.Parallel != nil {
		openers = append(openers, r.Fixture.Parallel())
	}
	certs := Many(r, 8)
	results := make([]error, len(certs))
	reads := make([]error, len(certs))
	var wait sync.WaitGroup
	for i, c := range certs {
		ed, want := openers[i%len(openers)], []store.Change{r.trusted(c)}
		wait.Go(func() {
			p, err := ed.Plan(r.Context(), want)
			if err == nil {
				_, err = ed.Apply(r.Context(), p)
			}
			results[i] = err
		})
		wait.Go(func() {
			ed.Info()
			for _, err := range ed.Entries(r.Context()) {
				reads[i] = errors.Join(reads[i], err)
			}
		})
	}
	wait.Wait()
	done := 0
	for i, c := range certs {
		err, there := results[i], len(r.find(c)) > 0
		clean := err == nil || errors.Is(err, store.ErrStale) || errors.Is(err, store.ErrLocked)
		r.check(concurrent, clean, "one returned the error %v", err)
		r.check(concurrent, there == (err == nil), "one returned the error %v, and whether its certificate is there: %t", err, there)
		clean = reads[i] == nil || errors.Is(reads[i], store.ErrLocked)
		r.check(concurrent, clean, "reading meanwhile gave the error %v", reads[i])
		if err == nil {
			done++
		}
	}
	r.check(concurrent, done > 0, "none was done, the first for %v", results[0])
}
