package wincert

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// place is a certificate in an item.
type place struct {
	item *item
	cert store.Fingerprint
}

// edit changes what is in a place; a nil record is nothing.
type edit struct {
	place
	before, after *record
}

// planner turns changes into edits for Apply and steps for people.
type planner struct {
	s     *Store
	now   map[place]*record            // as it is, and will be after the edits so far
	prior map[place]*record            // as it is
	other map[store.Fingerprint]string // where it is distrusted in other locations
	wide  map[store.Fingerprint][]*record
	begun []edit // of the change that is being planned
	edits []edit
	plan  store.Plan
}

// Plan implements [store.Editor].
func (s *Store) Plan(ctx context.Context, want []store.Change) (store.Plan, error) {
	p, err := s.newPlanner(ctx, want)
	if err != nil {
		return store.Plan{}, s.failed("plan", err)
	}
	return p.plan, nil
}

func (s *Store) newPlanner(ctx context.Context, want []store.Change) (*planner, error) {
	p := &planner{s: s, now: map[place]*record{}, prior: map[place]*record{}, other: map[store.Fingerprint]string{}, wide: map[store.Fingerprint][]*record{}}
	sum := sha256.New()
	looked := s.items()
	if s.only != nil && s.only.name == itemRoot {
		looked = append(looked, itemNamed(itemDisallowed)) // what is there is not trusted in Root
	}
	for _, i := range looked {
		list, err := s.read(ctx, s.at, i)
		if err != nil {
			return nil, err
		}
		for _, h := range list {
			fmt.Fprintf(sum, "%s %s\n", i.name, h.name)
			if h.record != nil {
				sum.Write(h.blob())
				p.now[place{i, h.cert.SHA256}], p.prior[place{i, h.cert.SHA256}] = h.record, h.record
			}
		}
	}
	if err := p.lookAround(ctx); err != nil {
		return nil, err
	}
	p.plan = store.Plan{Store: s.info.ID, Basis: "sha256:" + hex.EncodeToString(sum.Sum(nil)), Steps: []store.Step{}}
	p.plan.Changes(want, p.change)
	return p, nil
}

// lookAround reads what counts of the other locations: their Disallowed and,
// for a user, the roots that all users have.
func (p *planner) lookAround(ctx context.Context) error {
	for _, l := range locations {
		if l == p.s.at {
			continue
		}
		denied := itemNamed(itemDisallowed)
		list, err := p.s.read(ctx, l, denied)
		if err != nil {
			return err
		}
		for _, h := range list {
			if h.record != nil {
				p.other[h.cert.SHA256] = l.path(denied)
			}
		}
		if !p.s.at.user {
			continue
		}
		for _, name := range []string{itemRoot, itemAuthRoot} {
			list, err := p.s.read(ctx, l, itemNamed(name))
			if err != nil {
				return err
			}
			for _, h := range list {
				if h.record != nil {
					p.wide[h.cert.SHA256] = append(p.wide[h.cert.SHA256], h.record)
				}
			}
		}
	}
	return nil
}

// change plans one change: all of it, or it is refused.
func (p *planner) change(w store.Change) error {
	p.begun = nil
	before := p.state(w.Fingerprint)
	err := p.decide(w)
	if err == nil {
		err = p.possible()
	}
	if err != nil {
		for _, e := range slices.Backward(p.begun) {
			p.now[e.place] = e.before
		}
		var code Errno
		if errors.As(err, &code) {
			err = p.s.failed("plan", err)
		}
		return err
	}
	if len(p.begun) == 0 {
		return nil
	}
	after := p.state(w.Fingerprint)
	step := store.Step{Action: store.ActionTrust, Fingerprint: w.Fingerprint, Label: after.Label, Before: before, After: after}
	switch {
	case !before.Present:
		step.Action = store.ActionAdd
	case !after.Present:
		step.Action, step.Label = store.ActionRemove, before.Label
	}
	if o := p.s.info.Access.Write; o != nil {
		step.Elevated = o.Kind == store.NeedsElevation
	}
	for _, e := range p.begun {
		step.Files = append(step.Files, p.s.at.keyOf(e.item, e.thumbprint()))
		step.Commands = append(step.Commands, commands(p.s.at, e)...)
		p.plan.Undo = append(p.plan.Undo, e.undo())
	}
	p.edits = append(p.edits, p.begun...)
	p.plan.Steps = append(p.plan.Steps, step)
	return nil
}

// thumbprint is that of the certificate of an edit.
func (e edit) thumbprint() string {
	if e.after != nil {
		return e.after.thumbprint()
	}
	return e.before.thumbprint()
}

// undo returns the change that takes the edit back.
func (e edit) undo() store.Change {
	if e.before == nil {
		return store.Change{Fingerprint: e.cert, Item: e.item.name, Absent: true}
	}
	return store.Change{Fingerprint: e.cert, DER: e.before.cert.Raw, Item: e.item.name, Content: e.before.blob()}
}

// set plans an edit.
func (p *planner) set(i *item, f store.Fingerprint, after *record) {
	at := place{i, f}
	before := p.now[at]
	if same(before, after) {
		return
	}
	p.now[at] = after
	for n := range p.begun { // one edit for each place
		if p.begun[n].place == at {
			if p.begun[n].after = after; same(p.begun[n].before, after) {
				p.begun = slices.Delete(p.begun, n, n+1)
			}
			return
		}
	}
	p.begun = append(p.begun, edit{at, before, after})
}

// state tells how a certificate stands, for the steps.
func (p *planner) state(f store.Fingerprint) *store.State {
	out := &store.State{}
	for _, i := range p.s.items() {
		r := p.now[place{i, f}]
		if r == nil {
			continue
		}
		if !out.Present {
			out.Label = r.label()
		}
		out.Present = true
		for _, rule := range describe(p.s.at, i, r, store.Source{}).Trust {
			if i.name == itemDisallowed {
				out.Trust = nil
			}
			out.Trust = append(out.Trust, rule)
		}
		if i.name == itemDisallowed {
			break
		}
	}
	out.Trust = out.Trust.Normal()
	if len(out.Trust) == 0 {
		out.Trust = nil
	}
	return out
}

// decide plans what a change wants, or says why it cannot be.
func (p *planner) decide(w store.Change) error {
	if err := w.Check(); err != nil {
		return err
	}
	only := p.s.only
	if w.Item != "" {
		if only = p.itemOf(w.Item); only == nil {
			return store.Because(store.ErrNotFound, "there is no store %s in %s", store.Printable(w.Item), p.s.at.name)
		}
	}
	if w.Absent {
		return p.remove(w.Fingerprint, only)
	}
	var content *record
	if w.Content != nil {
		var err error
		if content, err = parseBlob(w.Content); err != nil || content.cert.SHA256 != w.Fingerprint {
			return store.Because(store.ErrInput, "the content is not that of this certificate")
		}
	}
	cert, err := p.certificate(w)
	if err != nil {
		return err
	}
	switch {
	case content != nil && only != nil:
		if only.vendor != "" {
			return p.vendorStays(only)
		}
		p.set(only, w.Fingerprint, content)
		return nil
	case only != nil:
		err = p.into(only, cert, w)
	default:
		err = p.entrust(cert, w)
	}
	if err != nil || w.Label == nil {
		return err
	}
	return p.rename(w.Fingerprint, only, *w.Label)
}

// itemOf returns the item of the store that a change names.
func (p *planner) itemOf(name string) *item {
	for _, i := range p.s.items() {
		if strings.EqualFold(name, i.name) || strings.EqualFold(name, p.s.at.path(i)) || strings.EqualFold(name, p.s.at.certPath(i)) {
			return i
		}
	}
	return nil
}

// certificate returns the certificate that a change is about.
func (p *planner) certificate(w store.Change) (*store.Cert, error) {
	for _, i := range p.s.items() {
		if r := p.now[place{i, w.Fingerprint}]; r != nil {
			return r.cert, nil
		}
	}
	if w.DER == nil {
		return nil, store.Because(store.ErrNotFound, "the store does not hold it, and the change does not bring it")
	}
	cert := w.Cert()
	if cert.Version == 0 {
		return nil, store.Because(store.ErrInput, "it is not a certificate")
	}
	if cert.Parsed() == nil {
		return nil, store.Because(store.ErrUnsupported, "it is not a well-formed certificate: %w", cert.ParseError())
	}
	for at, r := range p.now {
		if r != nil && at.cert != w.Fingerprint && r.thumbprint() == thumbprint(w.DER) {
			return nil, store.Because(store.ErrConflict, "%s holds another certificate with the same SHA-1, by which Windows tells them apart", p.s.at.path(at.item))
		}
	}
	return cert, nil
}

func (p *planner) remove(f store.Fingerprint, only *item) error {
	for _, i := range p.s.items() {
		if only != nil && i != only || p.now[place{i, f}] == nil {
			continue
		}
		if i.vendor != "" {
			return p.vendorStays(i)
		}
		p.set(i, f, nil)
	}
	return nil
}

func (p *planner) vendorStays(i *item) error {
	return &store.Error{Err: store.Because(store.ErrManaged, "%s puts it into %s, and brings it back when a server needs it", i.vendor, i.name),
		Hint: "distrust it instead: certtrust distrust"}
}

// fresh is a record of a certificate that this program puts in.
func fresh(c *store.Cert) *record {
	return (&record{cert: c}).with(propDescription, utf16Bytes(mark))
}

// current returns the trust that the location gives a certificate, as it can be
// changed there: what its own extension or the root programme take away is not
// looked at.
func (p *planner) current(f store.Fingerprint) store.Trust {
	if p.now[place{itemNamed(itemDisallowed), f}] != nil {
		return store.TrustFor(store.Distrusted, store.PurposeAny)
	}
	if r := p.now[place{itemNamed(itemRoot), f}]; r != nil {
		return r.wished()
	}
	if r := p.now[place{itemNamed(itemAuthRoot), f}]; r != nil {
		return r.wished()
	}
	return store.Trust{}
}

// wished is the trust that the property 9 says.
func (r *record) wished() store.Trust {
	list, limited := r.usages()
	if !limited {
		list = []store.Purpose{store.PurposeAny}
	}
	return store.TrustFor(store.Trusted, list...).Normal()
}

// entrust plans a wish about a certificate in the whole location.
func (p *planner) entrust(c *store.Cert, w store.Change) error {
	f := c.SHA256
	present := slices.ContainsFunc(p.s.items(), func(i *item) bool { return p.now[place{i, f}] != nil })
	if w.Trust == nil {
		if !present {
			p.set(itemNamed(itemCA), f, fresh(c))
		}
		return nil
	}
	now := p.current(f)
	next := target(c, now, w)
	if present && next.Equal(now, c.IsCA()) {
		if where := p.other[f]; where != "" && next.Has(store.Trusted) {
			return p.distrustedElsewhere(where)
		}
		return nil
	}
	root, authRoot, denied := itemNamed(itemRoot), itemNamed(itemAuthRoot), itemNamed(itemDisallowed)
	switch {
	case next.Has(store.Distrusted):
		if len(next) != 1 || next[0].Purpose != store.PurposeAny {
			return store.Because(store.ErrUnsupported, "Windows distrusts a certificate for all purposes or for none")
		}
		return p.into(denied, c, w)
	case len(next) == 0:
		p.set(denied, f, nil)
		switch {
		case p.now[place{root, f}] != nil:
			return p.limit(c, nil)
		case p.now[place{authRoot, f}] != nil:
			return p.vendorStays(authRoot)
		case p.now[place{itemNamed(itemCA), f}] == nil:
			p.set(itemNamed(itemCA), f, fresh(c))
		}
		return nil
	}
	if where := p.other[f]; where != "" {
		return p.distrustedElsewhere(where)
	}
	purposes, err := p.trustable(c, next)
	if err != nil {
		return err
	}
	p.set(denied, f, nil)
	if p.now[place{root, f}] == nil {
		if r := p.now[place{authRoot, f}]; r != nil {
			if w.Exact && !next.Equal(r.wished(), c.IsCA()) || !covers(r, purposes) {
				return p.vendorStays(authRoot)
			}
			return nil
		}
		if slices.ContainsFunc(p.wide[f], func(r *record) bool { return covers(r, purposes) }) {
			p.plan.Notice("\"%s\" is trusted already, because this machine trusts it for all its users", store.Printable(c.Label()))
			return nil
		}
	}
	return p.limit(c, purposes)
}

// target returns the trust that a wish leads to.
func target(c *store.Cert, now store.Trust, w store.Change) store.Trust {
	next := now.With(*w.Trust, w.Exact)
	if now.Has(store.Distrusted) && !w.Trust.Has(store.Distrusted) {
		next = w.Trust.Normal() // it is distrusted for everything, or not at all
	}
	for i := range next {
		if next[i].Decision == store.Peer && !c.IsCA() {
			next[i].Decision = store.Trusted
		}
	}
	return next.Normal()
}

func (p *planner) distrustedElsewhere(where string) error {
	location, _, _ := strings.Cut(where, `\`)
	return &store.Error{Err: store.Because(store.ErrConflict, "%s distrusts it, which counts everywhere", where),
		Hint: "first take that back: certtrust remove --store " + Backend + ":" + location + "/" + itemDisallowed}
}

// trustable returns the purposes of a trust that Root can hold.
func (p *planner) trustable(c *store.Cert, next store.Trust) ([]store.Purpose, error) {
	var out []store.Purpose
	for _, r := range next {
		switch {
		case r.Decision == store.Peer:
			return nil, store.Because(store.ErrUnsupported, "Windows trusts an authority as one, or not at all")
		case r.Decision == store.Unspecified:
			return nil, store.Because(store.ErrUnsupported, "Windows cannot trust it for everything but %s", store.Printable(string(r.Purpose)))
		case len(r.Hosts) > 0 || !r.DistrustAfter.IsZero():
			return nil, store.Because(store.ErrUnsupported, "Windows cannot limit a root to hosts or days")
		case r.Purpose != store.PurposeAny && !allows(c, r.Purpose):
			return nil, store.Because(store.ErrUnsupported, "the certificate limits itself to other purposes than %s", store.Printable(string(r.Purpose)))
		}
		out = append(out, r.Purpose)
	}
	if !c.SelfIssued() {
		p.plan.Notice("\"%s\" has not issued itself: Windows expects only such certificates in Root, and programs differ in whether they take another for an anchor", store.Printable(c.Label()))
	}
	return out, nil
}

// covers reports whether a root is trusted for all the purposes.
func covers(r *record, purposes []store.Purpose) bool {
	trust := r.wished()
	for _, p := range purposes {
		if trust.For(p) != store.Trusted {
			return false
		}
	}
	return true
}

// limit puts a certificate into Root, trusted for the purposes and no others.
func (p *planner) limit(c *store.Cert, purposes []store.Purpose) error {
	root := itemNamed(itemRoot)
	r := p.now[place{root, c.SHA256}]
	if r == nil {
		r = fresh(c)
	}
	if slices.Contains(purposes, store.PurposeAny) {
		p.set(root, c.SHA256, r.with(propEKU, nil))
		return nil
	}
	der, err := encodeEKU(purposes)
	if err != nil {
		return err
	}
	p.set(root, c.SHA256, r.with(propEKU, der))
	return nil
}

// into plans a wish about one item.
func (p *planner) into(i *item, c *store.Cert, w store.Change) error {
	at := place{i, c.SHA256}
	r := p.now[at]
	if i.vendor != "" {
		return p.vendorStays(i)
	}
	trust := store.Trust{}
	if w.Trust != nil {
		trust = w.Trust.Normal()
	} else if r != nil {
		return nil // only its label is to change
	}
	if i.name == itemRoot {
		if r == nil && w.Trust == nil {
			return store.Because(store.ErrUnsupported, "what is in %s is trusted", p.s.at.path(i))
		}
		now := store.Trust{}
		if r != nil {
			now = r.wished()
		}
		next := target(c, now, w)
		if next.Has(store.Distrusted) {
			return &store.Error{Err: store.Because(store.ErrUnsupported, "what is distrusted is in %s, and not in %s", itemDisallowed, i.name), Hint: "name the whole location: --store " + Backend + ":" + p.s.at.name}
		}
		if next.Equal(now, c.IsCA()) && r != nil {
			return nil
		}
		if p.now[place{itemNamed(itemDisallowed), c.SHA256}] != nil && next.Has(store.Trusted) {
			return p.distrustedElsewhere(p.s.at.path(itemNamed(itemDisallowed)))
		}
		purposes, err := p.trustable(c, next)
		if err != nil {
			return err
		}
		return p.limit(c, purposes)
	}
	means := store.Trust{}
	if i.decision != store.Unspecified {
		means = store.TrustFor(i.decision, i.purpose)
	}
	if w.Trust == nil && i.decision != store.Unspecified || !trust.Equal(means, c.IsCA()) {
		return &store.Error{Err: store.Because(store.ErrUnsupported, "what is in %s is %s, and nothing else", p.s.at.path(i), cmp.Or(means.String(), "not trusted by itself")),
			Hint: "name the whole location: --store " + Backend + ":" + p.s.at.name}
	}
	if r == nil {
		p.set(i, c.SHA256, fresh(c))
	}
	return nil
}

// rename gives the certificate another friendly name, wherever it may be
// changed.
func (p *planner) rename(f store.Fingerprint, only *item, label string) error {
	label = keepable(label)
	for _, i := range p.s.items() {
		r := p.now[place{i, f}]
		if r == nil || i.vendor != "" || only != nil && i != only || label == r.label() {
			continue
		}
		var value []byte
		if strings.TrimSpace(label) != "" {
			value = utf16Bytes(label)
		}
		p.set(i, f, r.with(propFriendlyName, value))
	}
	return nil
}

// possible tells what keeps the edits of a change from being made that is
// known beforehand.
func (p *planner) possible() error {
	if len(p.begun) == 0 {
		return nil
	}
	if p.s.at.managed != "" {
		return &store.Error{Err: store.Because(store.ErrManaged, "%s", p.s.at.managed), Hint: p.s.at.hint}
	}
	asks := p.s.at.user && slices.ContainsFunc(p.begun, func(e edit) bool { return e.item.name == itemRoot })
	if !asks {
		return nil
	}
	if !p.s.api.Desktop() {
		return &store.Error{Err: store.Because(store.ErrConsent, "Windows asks a person before it changes %s, and there is no desktop on which it could", p.s.at.path(itemNamed(itemRoot))),
			Hint: consentHint + ", or use Group Policy"}
	}
	p.plan.Notice("Windows will ask on the desktop whether this user's roots are to be changed")
	return nil
}
