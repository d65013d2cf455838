package keychain

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"howett.net/plist"

	"github.com/certtrust/certtrust/store"
)

// edits is what a plan does.
type edits struct {
	add     []place
	drop    []place
	records map[string]map[string]any // by SHA-1; nil = removed
}

// place is a certificate in a keychain.
type place struct {
	cert     *store.Cert
	keychain string
}

type planner struct {
	s     *Store
	st    *state
	plan  store.Plan
	edits edits
}

func (s *Store) newPlanner(st *state) *planner {
	return &planner{s: s, st: st, edits: edits{records: map[string]map[string]any{}},
		plan: store.Plan{Store: s.info.ID, Basis: st.digest(), Steps: []store.Step{}}}
}

// Plan returns the steps to what is wanted.
func (s *Store) Plan(ctx context.Context, want []store.Change) (store.Plan, error) {
	st, err := s.readable(ctx)
	if err == nil {
		err = s.borrowWanted(ctx, st, want)
	}
	if err != nil {
		return store.Plan{}, s.fail("plan", err)
	}
	p := s.newPlanner(st)
	p.changes(want)
	return p.plan, nil
}

func (p *planner) changes(want []store.Change) {
	p.plan.Changes(want, p.change)
	p.finish()
}

// finish adds the step that a person is asked for, and what should be known
// beforehand.
func (p *planner) finish() {
	if len(p.plan.Steps) == 0 {
		return
	}
	if len(p.edits.records) > 0 {
		p.plan.Steps = append(p.plan.Steps, store.Step{Action: store.ActionRebuild, Label: "trust settings: " + p.s.domain.whose,
			Commands: [][]string{p.s.domain.importLine()}, Elevated: p.elevated()})
		if asks := p.s.info.Asks; asks != "" && authorizationFor(p.s.domain, p.s.version).dialog {
			p.plan.Notice("macOS asks once for all of this: %s", asks)
		}
		if text := homebrewNotice(p.s.host); text != "" {
			p.plan.Notice("%s", text)
		}
	}
}

func (p *planner) elevated() bool {
	w := p.s.info.Access.Write
	return w != nil && w.Kind == store.NeedsElevation
}

// content is what undo needs beside the trust that all stores know: the record
// as it was, and the keychains that held the certificate.
type content struct {
	Certificate store.Fingerprint `json:"sha256"`
	Record      []byte            `json:"record,omitempty"` // a property list; none = there was none
	Keychains   []string          `json:"keychains,omitempty"`
}

// readContent returns the record that is to be brought back, and whether there
// is one.
func readContent(c store.Change, cert *store.Cert) (raw map[string]any, given bool, keychains []string, err error) {
	bad := store.Because(store.ErrInput, "the content that is given is not that of this certificate")
	if c.Content == nil {
		return nil, false, nil, nil
	}
	var kept content
	if err := json.Unmarshal(c.Content, &kept); err != nil || kept.Certificate != c.Fingerprint {
		return nil, false, nil, bad
	}
	if kept.Record == nil {
		return nil, true, kept.Keychains, nil
	}
	if err := unmarshal(kept.Record, &raw); err != nil {
		return nil, false, nil, bad
	}
	if r := parseRecord(sha1Of(cert.Raw), raw); r.bad != "" || !r.concerns(cert) {
		return nil, false, nil, bad
	}
	return raw, true, kept.Keychains, nil
}

// change plans one change. The error says why it cannot be.
func (p *planner) change(c store.Change) error {
	if err := c.Check(); err != nil {
		return err
	}
	h := p.st.byCert[c.Fingerprint]
	if c.Item != "" && (h == nil || !h.in(c.Item) && c.Item != h.sha1) {
		if c.Absent {
			return nil
		}
		return store.Because(store.ErrNotFound, "it is not in %s", store.Printable(c.Item))
	}
	if c.Absent {
		return p.remove(c, h)
	}
	switch {
	case h != nil:
	case c.DER == nil:
		return store.Because(store.ErrNotFound, "the keychain does not hold it, so the certificate itself is needed")
	default:
		h = newHeld(c.Cert())
		if err := p.storable(h); err != nil {
			return err
		}
	}
	before := p.state(h)
	record := p.st.settings.records[h.sha1]
	kept, given, keychains, err := readContent(c, h.cert)
	if err != nil {
		return err
	}
	after, trusting := before, false
	next := map[string]any(nil)
	if c.Trust != nil && !(p.s.domain == nil && c.Trust.Normal().Equal(store.Trust{}, true)) {
		if next, after.Trust, err = p.wanted(h, record, kept, given, *c.Trust, c.Exact); err != nil {
			return err
		}
		trusting = (record == nil) != (next == nil) || record != nil && !sameRecord(record.raw, next)
	}
	after.Present = true
	adds := len(h.places) == 0 || h.lent && next == nil
	after.Label = h.cert.Label()
	if !adds && !trusting {
		return nil
	}
	step := store.Step{Action: store.ActionTrust, Fingerprint: h.cert.SHA256, Label: h.cert.Label(), Before: &before, After: &after, Elevated: p.elevated()}
	undo := store.Change{Fingerprint: h.cert.SHA256, Absent: true}
	if adds {
		step.Action = store.ActionAdd
		keychains = slices.DeleteFunc(keychains, func(k string) bool { return k == rootsPath || !slices.Contains(p.st.keychains, k) })
		if len(keychains) == 0 {
			keychains = []string{p.s.main}
		}
		for _, k := range slices.Compact(sorted(keychains)) {
			step.Files = append(step.Files, k)
			step.Commands = append(step.Commands, []string{tool, "add-certificates", "-k", k, h.cert.SHA256.Short() + ".der"})
			p.edits.add = append(p.edits.add, place{h.cert, k})
		}
		p.st.byCert[h.cert.SHA256], p.st.bySHA1[h.sha1] = h, h // for what else is wanted
		h.places = append(h.places, step.Files...)
		if !h.lent {
			p.st.held = append(p.st.held, h)
		}
		h.lent = false
	} else if before.Present {
		undo = p.back(h, record, before.Trust)
	}
	if trusting {
		p.edits.records[h.sha1] = next
	}
	p.plan.Steps = append(p.plan.Steps, step)
	p.plan.Undo = append(p.plan.Undo, undo)
	return nil
}

// back is the change that restores a certificate and its record.
func (p *planner) back(h *held, r *record, trust store.Trust) store.Change {
	kept := content{Certificate: h.cert.SHA256}
	for _, k := range h.places {
		if k != rootsPath && !h.lent {
			kept.Keychains = append(kept.Keychains, k)
		}
	}
	if r != nil && r.raw != nil {
		if data, err := plist.Marshal(r.raw, plist.XMLFormat); err == nil {
			kept.Record = data
		}
	}
	undo := store.Change{Fingerprint: h.cert.SHA256, DER: h.cert.Raw, Content: store.ContentOf(kept)}
	if p.s.domain != nil {
		undo.Trust, undo.Exact = &trust, true
	}
	return undo
}

// state is how a certificate stands.
func (p *planner) state(h *held) store.State {
	if len(h.places) == 0 || h.lent && p.st.settings.records[h.sha1] == nil {
		return store.State{}
	}
	return store.State{Present: true, Label: h.cert.Label(), Trust: p.st.trust(h)}
}

// storable returns why a keychain could not hold a certificate.
func (p *planner) storable(h *held) error {
	if h.cert.Version == 0 || len(serialOf(h.cert.Raw)) == 0 || len(h.cert.Issuer.Raw) == 0 || len(h.cert.SPKI) == 0 {
		return store.Because(store.ErrInput, "it is not a certificate: its structure cannot be read")
	}
	if twin := p.st.bySHA1[h.sha1]; twin != nil {
		return store.Because(store.ErrConflict, "another certificate here (%s) has the same SHA-1, by which trust settings go", twin.cert.SHA256.Short())
	}
	for _, other := range p.st.held {
		if issuedAs(other.cert) != issuedAs(h.cert) || !other.in(p.s.main) || p.leaves(other) {
			continue
		}
		return &store.Error{Err: store.Because(store.ErrConflict,
			"it has the same issuer and serial number as %s (\"%s\"), and a keychain cannot hold both", other.cert.SHA256.Short(), store.Printable(other.cert.Label())),
			Hint: fmt.Sprintf("certtrust remove %s --store %s, if this one replaces it", other.cert.SHA256.Short(), p.s.info.ID)}
	}
	return nil
}

// leaves reports whether the plan takes a certificate out of the keychain.
func (p *planner) leaves(h *held) bool {
	return slices.ContainsFunc(p.edits.drop, func(d place) bool { return d.cert.SHA256 == h.cert.SHA256 && d.keychain == p.s.main })
}

// wanted returns the record that says what is wanted, nil for none, and what
// it says.
func (p *planner) wanted(h *held, old *record, kept map[string]any, given bool, trust store.Trust, exact bool) (map[string]any, store.Trust, error) {
	c := h.cert
	if p.s.domain == nil {
		return nil, nil, &store.Error{Err: store.Because(store.ErrUnsupported, "a keychain file by itself says nothing about trust"),
			Hint: "trust it in " + string(LoginID) + " or " + string(SystemID)}
	}
	for _, r := range trust {
		switch {
		case !r.DistrustAfter.IsZero():
			return nil, nil, store.Because(store.ErrUnsupported, "macOS cannot limit trust to dates")
		case len(r.Hosts) > 0 && r.Purpose != store.PurposeServerAuth:
			return nil, nil, store.Because(store.ErrUnsupported, "macOS can limit trust to hosts for server-auth only")
		case len(r.Hosts) > 0 && r.Decision != store.Trusted:
			return nil, nil, store.Because(store.ErrUnsupported, "only trust can be limited to hosts")
		case r.Purpose != store.PurposeAny && !hasPolicy(r.Purpose) && r.Decision != store.Unspecified:
			return nil, nil, store.Because(store.ErrUnsupported, "macOS has no policy for %s", store.Printable(string(r.Purpose)))
		case r.Decision == store.Peer && c.IsCA():
			return nil, nil, store.Because(store.ErrUnsupported, "macOS cannot trust a certificate authority as a single certificate alone")
		case !slices.Contains([]store.Decision{store.Trusted, store.Peer, store.Distrusted, store.Unspecified}, r.Decision):
			return nil, nil, store.Because(store.ErrUnsupported, "the decision %s is unknown", store.Printable(string(r.Decision)))
		case r.Purpose != store.PurposeAny && len(r.Hosts) > 0 && slices.ContainsFunc(r.Hosts, func(h string) bool {
			return h == "" || strings.ContainsFunc(h, func(c rune) bool { return c <= ' ' || c > '~' })
		}):
			return nil, nil, store.Because(store.ErrInput, "a host name that trust is limited to is none")
		}
	}
	base, now := p.st.base(h), p.st.trust(h)
	want := now.With(trust, exact)
	want = withoutBasic(want)
	for i := range want {
		if want[i].Decision == store.Peer {
			want[i].Decision = store.Trusted
		}
	}
	if h.apple && exact && trust.Normal().Equal(store.Trust{}, c.IsCA()) || h.apple && base.Has(store.Trusted) && !want.Has(store.Trusted) && !want.Has(store.Distrusted) {
		return nil, nil, &store.Error{Err: store.Because(store.ErrUnsupported, "it is one of Apple's roots, which is trusted unless it is distrusted"),
			Hint: "certtrust distrust " + c.SHA256.Short()}
	}
	if given {
		r := (*record)(nil)
		if kept != nil {
			r = parseRecord(h.sha1, kept)
		}
		if r.trust(h, base).Equal(want, c.IsCA()) {
			return kept, want, nil
		}
	}
	if old != nil && old.bad != "" {
		old = nil // what cannot be understood is replaced
	}
	if now.Equal(want, c.IsCA()) && (old != nil || base.Equal(want, c.IsCA())) && !p.idle(h, old) {
		if old == nil {
			return nil, want, nil
		}
		return old.raw, want, nil
	}
	var entries []entry
	if old != nil {
		entries = old.entries
	}
	bare := old != nil && len(entries) == 0
	if want.Equal(base, c.IsCA()) && !slices.ContainsFunc(entries, func(e entry) bool { return e.own }) {
		return nil, want, nil
	}
	next, err := rewrite(entries, bare, h, base, want)
	if err != nil {
		return nil, nil, err
	}
	if len(next) == 0 {
		return nil, want, nil
	}
	return newRecord(old, c, next, p.s.host.Now()), want, nil
}

// idle reports whether a record says that a certificate is trusted, and is
// ignored.
func (p *planner) idle(h *held, r *record) bool {
	self := h.self()
	return r != nil && (slices.ContainsFunc(r.entries, func(e entry) bool { return e.idle(self) }) || len(r.entries) == 0 && !self && !h.apple)
}

// remove plans to take a certificate out, and what is set for it.
func (p *planner) remove(c store.Change, h *held) error {
	if h == nil {
		return nil
	}
	record := p.st.settings.records[h.sha1]
	if h.apple {
		return &store.Error{Err: store.Because(store.ErrUnsupported, "it is one of Apple's roots, which macOS protects"),
			Hint: "certtrust distrust " + h.cert.SHA256.Short()}
	}
	places := h.places
	if h.lent {
		places = nil
	}
	all := true
	if c.Item != "" && h.in(c.Item) {
		places = []string{c.Item}
		all = !slices.ContainsFunc(h.places, func(p string) bool { return p != c.Item })
	}
	places = slices.Compact(sorted(places))
	if len(places) == 0 && record == nil {
		return nil
	}
	before := p.state(h)
	step := store.Step{Action: store.ActionRemove, Fingerprint: h.cert.SHA256, Label: h.cert.Label(), Before: &before, After: &store.State{},
		Files: places, Elevated: p.elevated()}
	for _, k := range places {
		step.Commands = append(step.Commands, []string{tool, "delete-certificate", "-Z", h.sha1, k})
		p.edits.drop = append(p.edits.drop, place{h.cert, k})
	}
	if !all {
		step.After = &before
		record = nil
	}
	undo := p.back(h, record, before.Trust)
	if record != nil && p.s.domain != nil {
		p.edits.records[h.sha1] = nil
	}
	p.plan.Steps = append(p.plan.Steps, step)
	p.plan.Undo = append(p.plan.Undo, undo)
	return nil
}
