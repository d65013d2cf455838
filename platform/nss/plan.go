package nss

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// target is what one certificate shall be.
type target struct {
	cert    *store.Cert
	objects []*certObject // as it is now
	gone    bool
	label   string
	levels  levels

	setLabel, setTrust bool
}

func (t *target) adds() bool { return !t.gone && len(t.objects) == 0 }

// edits is what a plan comes down to.
type edits struct {
	targets   []*target
	dropTrust []*trustObject
	dropLost  []*lostRow
	dropSigs  []string
	link      *linkEdit
}

func (e *edits) empty() bool {
	return len(e.targets)+len(e.dropTrust)+len(e.dropLost)+len(e.dropSigs) == 0
}

// signs reports whether something has to be signed.
func (e *edits) signs() bool {
	return slices.ContainsFunc(e.targets, func(t *target) bool { return t.setTrust })
}

// trust plans that the trust of a certificate that is there is written anew.
func (e *edits) trust(st *state, c *certObject, l levels) {
	if slices.ContainsFunc(e.targets, func(t *target) bool { return t.cert.SHA256 == c.cert.SHA256 }) {
		return
	}
	e.targets = append(e.targets, &target{cert: c.cert, objects: st.prints[c.cert.SHA256], label: c.label, levels: l, setTrust: true})
}

// planner turns changes into steps and edits.
type planner struct {
	s     *Store
	st    *state
	plan  store.Plan
	edits edits

	files  []string // that a change writes
	names  *names   // as they will be
	adding map[issue]*store.Cert
	wrote  *rows // that were there when it was done and not committed yet; nil if it was not done at once
}

func (s *Store) newPlanner(st *state) *planner {
	names := newNames()
	for _, c := range st.certs {
		names.add(c.cert, c.label)
	}
	return &planner{s: s, st: st, files: s.files(st), names: names, adding: map[issue]*store.Cert{}, plan: store.Plan{Store: s.info.ID, Basis: st.digest(), Steps: []store.Step{}}}
}

// Plan returns the steps to what is wanted.
func (s *Store) Plan(ctx context.Context, want []store.Change) (store.Plan, error) {
	st, err := s.plannable(ctx)
	if err != nil {
		return store.Plan{}, s.fail("plan", err)
	}
	p := s.newPlanner(st)
	p.changes(want)
	return p.plan, nil
}

// PlanRepair returns the steps that mend what can be mended.
func (s *Store) PlanRepair(ctx context.Context, problems []store.Problem) (store.Plan, error) {
	st, err := s.plannable(ctx)
	if err != nil {
		return store.Plan{}, s.fail("plan", err)
	}
	p := s.newPlanner(st)
	p.repair(problems)
	return p.plan, nil
}

func (p *planner) repair(problems []store.Problem) {
	p.plan.Repair = problems
	now := p.s.findings(p.st)
	for _, x := range problems {
		i := slices.IndexFunc(now, func(f finding) bool { return f.problem.Same(x) })
		if i < 0 {
			continue // mended already
		}
		f := now[i]
		if f.mend == nil {
			p.plan.RefuseProblem(x, store.Because(store.ErrUnsupported, "this is for a person to decide: %s", f.problem.Text))
			continue
		}
		var own edits
		f.mend(&own)
		if err := p.signable(own.signs()); err != nil {
			p.plan.RefuseProblem(x, err)
			continue
		}
		step := store.Step{Action: store.ActionMend, Label: f.problem.Text, Files: p.files}
		if f.problem.Fingerprint != nil {
			step.Fingerprint = *f.problem.Fingerprint
		}
		p.plan.Steps, p.plan.Undo = append(p.plan.Steps, step), append(p.plan.Undo, f.undo...)
		f.mend(&p.edits)
	}
	p.restart()
}

func (p *planner) changes(want []store.Change) {
	p.plan.Changes(want, p.change)
	p.restart()
}

// restart tells a person whose program uses the database what it heeds at once,
// and what only after it has been started again. A program of the Firefox family
// looks for what it does not know, but not again at what it does, be it that a
// server has sent it, as one that has made its certificate itself does; one of
// the Chromium family keeps its verdict on a site.
func (p *planner) restart() {
	if len(p.plan.Steps) == 0 || p.s.o.Program == "" || p.s.o.Running == nil || !p.s.o.Running() {
		return
	}
	program := p.s.o.Program
	if p.edits.link != nil {
		p.plan.Notice("%s is running: it heeds the link after it has been started again", program)
		return
	}
	if !p.s.o.Profile {
		p.plan.Notice("%s is running: it heeds this at once for sites that it has not looked at yet, and for others after it has been started again", program)
		return
	}
	var added, others []string
	for _, step := range p.plan.Steps {
		name := "\"" + store.Printable(step.Label) + "\""
		switch distrusted := step.After != nil && step.After.Trust.Has(store.Distrusted); {
		case step.Action == store.ActionMend:
			others = append(others, "it is mended")
		case step.Action == store.ActionRemove:
			others = append(others, name+" is removed")
		case distrusted:
			others = append(others, name+" is distrusted")
		case step.Action == store.ActionAdd && p.isAuthority(step.Fingerprint):
			added = append(added, name+" is added")
		case step.Action == store.ActionAdd:
			others = append(others, name+" is added")
		default:
			others = append(others, name+" is changed")
		}
	}
	if len(added) > 0 {
		p.plan.Notice("%s is running: it heeds at once that %s, unless a server has sent it that certificate already: then it has to be started again", program, some(added))
	}
	if len(others) > 0 {
		p.plan.Notice("%s is running: only after it has been started again does it heed that %s", program, some(slices.Compact(others)))
	}
}

// isAuthority reports whether the plan adds a certificate authority by that
// fingerprint.
func (p *planner) isAuthority(fp store.Fingerprint) bool {
	return slices.ContainsFunc(p.edits.targets, func(t *target) bool { return t.cert.SHA256 == fp && t.cert.IsCA() })
}

// some names the first of many.
func some(list []string) string {
	const most = 3
	if n := len(list); n > most {
		return fmt.Sprintf("%s, and %d more", strings.Join(list[:most], ", "), n-most)
	}
	return strings.Join(list, ", ")
}

// signable returns why trust cannot be written as things are.
func (p *planner) signable(needed bool) error {
	if !needed || p.st.login != locked || p.s.mayAsk() {
		return nil
	}
	if _, given := p.s.givenPassword(); given {
		return &store.Error{Err: store.Because(store.ErrSecret, "the primary password that was given is not the right one")}
	}
	return &store.Error{Err: store.Because(store.ErrSecret, "the database has a primary password, which is needed to change trust"),
		Hint: p.s.passwordHint()}
}

// change plans one change. The error says why it cannot be.
func (p *planner) change(c store.Change) error {
	if c.Item == LinkItem {
		return p.link(c)
	}
	if err := c.Check(); err != nil {
		return err
	}
	objects := p.st.prints[c.Fingerprint]
	if c.Item != "" {
		objects = slices.DeleteFunc(slices.Clone(objects), func(o *certObject) bool {
			src := p.s.source(kindCert, o.id)
			return c.Item != src.Path && c.Item != src.Item
		})
	}
	if c.Absent {
		return p.remove(c, objects)
	}
	t := &target{objects: objects}
	switch {
	case len(objects) > 0:
		t.cert, t.label = objects[0].cert, objects[0].label
		t.levels, _ = p.st.effective(t.cert)
	case c.DER == nil:
		return store.Because(store.ErrNotFound, "the database does not hold it, so the certificate itself is needed")
	default:
		t.cert = p.s.parsed.cert(c.Fingerprint, c.Cert)
		t.setTrust, t.setLabel = true, true
		if err := p.storable(t.cert); err != nil {
			return err
		}
	}
	before := t.levels
	kept, err := readContent(c)
	if err != nil {
		return err
	}
	if c.Trust != nil {
		if t.levels, err = p.s.wanted(t.cert, before, kept, *c.Trust, c.Exact); err != nil {
			return err
		}
		t.setTrust = t.setTrust || t.levels != before || !p.aligned(t.cert, t.levels)
	}
	if t.adds() && t.levels[server] == levelAnchor && t.levels[client] == levelNone && t.cert.IsCA() {
		t.levels[client] = levelValid // as NSS itself writes it: it tells nothing to readers
	}
	if c.Label != nil || t.adds() {
		label := p.label(t.cert, c.Label)
		t.setLabel = t.setLabel || label != t.label
		t.label = label
	}
	if !t.setLabel && !t.setTrust {
		return nil
	}
	if err := p.signable(t.setTrust); err != nil {
		return err
	}
	p.tell(t, before, c.Trust != nil)
	return nil
}

// storable returns why NSS could not use a certificate.
func (p *planner) storable(c *store.Cert) error {
	serial := serialOf(c.Raw)
	switch {
	case c.Version == 0 || len(serial) == 0 || len(c.Issuer.Raw) == 0 || len(c.SPKI) == 0:
		return store.Because(store.ErrInput, "it is not a certificate: its structure cannot be read")
	case c.KeyAlgorithm == "Ed448", c.KeyAlgorithm == "Ed25519" && p.st.exists && !p.st.modern:
		return store.Because(store.ErrUnsupported, "the programs that use this database cannot use an %s key", c.KeyAlgorithm)
	}
	clash := func(other *store.Cert) error {
		return &store.Error{Err: store.Because(store.ErrConflict,
			"it has the same issuer and serial number as %s (\"%s\"), and NSS cannot hold both", other.SHA256.Short(), store.Printable(other.Label())),
			Hint: "if this one takes its place: certtrust trust FILE --replaces " + other.SHA256.Short()}
	}
	for _, o := range p.st.holding(c.Issuer.Raw, serial) {
		if o.cert.SHA256 != c.SHA256 && !p.leaves(o) {
			return clash(o.cert)
		}
	}
	if other := p.adding[issueOf(c)]; other != nil {
		return clash(other)
	}
	return nil
}

// leaves reports whether the plan removes an object.
func (p *planner) leaves(o *certObject) bool {
	return slices.ContainsFunc(p.edits.targets, func(t *target) bool { return t.gone && slices.Contains(t.objects, o) })
}

// content is what undo needs beside the trust that all stores know: levels that
// mean the same to readers, but are written differently.
type content struct {
	Certificate store.Fingerprint `json:"sha256"`
	Levels      levels            `json:"levels"`
}

func readContent(c store.Change) (*content, error) {
	if c.Content == nil {
		return nil, nil
	}
	var kept content
	if err := json.Unmarshal(c.Content, &kept); err != nil || kept.Certificate != c.Fingerprint {
		return nil, store.Because(store.ErrInput, "the content that is given is not that of this certificate")
	}
	for _, l := range kept.Levels {
		if l < levelNone || l > levelUnknown {
			return nil, store.Because(store.ErrInput, "the content that is given is not that of this certificate")
		}
	}
	return &kept, nil
}

// wanted returns the levels that a wish makes of the present ones.
func (s *Store) wanted(c *store.Cert, now levels, kept *content, want store.Trust, exact bool) (levels, error) {
	next := now.trust().With(want, exact)
	can := s.info.Express.Purposes
	for _, r := range next {
		switch {
		case len(r.Hosts) > 0 || !r.DistrustAfter.IsZero():
			return now, store.Because(store.ErrUnsupported, "the database cannot limit trust to hosts or dates")
		case r.Purpose == store.PurposeAny || slices.Contains(can, r.Purpose) || r.Decision == store.Unspecified:
		default:
			return now, store.Because(store.ErrUnsupported, "the database cannot tell %s from other purposes, only %s", store.Printable(string(r.Purpose)), purposeWords(can))
		}
		if !slices.Contains(s.info.Express.Decisions, r.Decision) {
			return now, store.Because(store.ErrUnsupported, "the database cannot hold the decision %s", store.Printable(string(r.Decision)))
		}
	}
	if slices.ContainsFunc(want, func(r store.Rule) bool { return len(r.Hosts) > 0 || !r.DistrustAfter.IsZero() }) {
		return now, store.Because(store.ErrUnsupported, "the database cannot limit trust to hosts or dates")
	}
	same := func(a, b store.Decision) bool {
		fold := func(d store.Decision) store.Decision {
			if d == store.Peer && !c.IsCA() {
				return store.Trusted
			}
			return d
		}
		return fold(a) == fold(b)
	}
	out, was := now, now.heeded()
	for i, purpose := range fields {
		d := next.For(purpose)
		switch {
		case kept != nil && same(decisions[kept.Levels.heeded()[i]], d):
			out[i] = kept.Levels[i]
		case same(decisions[was[i]], d) && now[i] != levelUnknown:
		default:
			out[i] = s.levelFor(c, d)
		}
	}
	if d := decisions[out.heeded()[server]]; !same(d, next.For(store.PurposeServerAuth)) {
		return now, &store.Error{Err: store.Because(store.ErrUnsupported, "NSS would take it as %s for servers, too: it does not tell them from clients there", d),
			Hint: "if that is meant, name both: server-auth and client-auth"}
	}
	return out, nil
}

func purposeWords(list []store.Purpose) string {
	var words []string
	for _, p := range list {
		words = append(words, string(p))
	}
	return strings.Join(words, ", ")
}

// levelFor returns how a decision is written. A server's own certificate is
// trusted in the form that the readers accept.
func (s *Store) levelFor(c *store.Cert, d store.Decision) level {
	switch {
	case d == store.Distrusted:
		return levelDistrusted
	case d == store.Unspecified:
		return levelNone
	case !c.IsCA() && s.o.Profile, c.IsCA() && d == store.Trusted:
		return levelAnchor
	}
	return levelPeer
}

// writes returns the kinds of trust objects that the readers of this database
// need, by their place in kinds.
func (s *Store) writes(st *state) []int {
	switch {
	case !st.modern:
		return []int{oldKind}
	case s.o.Profile:
		return []int{newKind}
	}
	return []int{newKind, oldKind}
}

// aligned reports whether every reader takes the certificate for the same.
func (p *planner) aligned(c *store.Cert, l levels) bool {
	have := map[int]bool{}
	for _, t := range p.st.of(c) {
		if !t.matches(c) || t.missing+t.bad > 0 || !t.levels.means(l) {
			return !t.said.says() && t.missing+t.bad == 0 && !l.says()
		}
		have[t.kind] = true
	}
	if p.s.o.Profile {
		return len(have) > 0 || !l.says()
	}
	return !l.says() || !slices.ContainsFunc(p.s.writes(p.st), func(k int) bool { return !have[k] })
}

// label returns the nickname for a certificate: one that no certificate with
// another subject has, as NSS demands, and the one that its subject has already.
func (p *planner) label(c *store.Cert, want *string) string {
	if own, has := p.names.of[c.SHA256]; has {
		p.names.drop(c)
		defer p.names.add(c, own)
	}
	base := ""
	if want != nil {
		base = nickname(*want)
	}
	if base == "" {
		if label := p.names.ofSubject(c); label != "" {
			return label
		}
		base = nickname(c.Label())
	}
	label := base
	for n := 2; ; n++ {
		if !p.names.taken(label, c) {
			return label
		}
		label = fmt.Sprintf("%s #%d", base, n)
	}
}

// maxNickname is longer than any name that people give.
const maxNickname = 1000

// nickname makes a label fit for NSS, which takes it for text in one line.
func nickname(label string) string {
	label = strings.ToValidUTF8(label, "\ufffd")
	label = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, label))
	if runes := []rune(label); len(runes) > maxNickname {
		label = strings.TrimSpace(string(runes[:maxNickname]))
	}
	return label
}

// remove plans to take a certificate out, with all that says what it is trusted
// for.
func (p *planner) remove(c store.Change, objects []*certObject) error {
	if len(objects) == 0 {
		if p.removeLost(c, true) || c.Item != "" {
			return nil
		}
		return p.removeGhost(c)
	}
	t := &target{cert: objects[0].cert, objects: objects, gone: true, label: objects[0].label}
	if objects[0].key {
		return &store.Error{Err: store.Because(store.ErrUnsupported, "its private key is in the database too: it is a person's own certificate"),
			Hint: "remove it in the program that it belongs to"}
	}
	p.removeLost(c, false)
	before, _ := p.st.effective(t.cert)
	p.tell(t, before, true)
	return nil
}

// removeLost takes out the rows with the certificate that readers do not find. If
// they are all that there is, they are what the plan tells of.
func (p *planner) removeLost(c store.Change, alone bool) (found bool) {
	for _, r := range p.st.lost {
		if r.cert == nil || r.cert.SHA256 != c.Fingerprint || c.Item != "" && c.Item != p.s.certs && c.Item != r.name() || slices.Contains(p.edits.dropLost, r) {
			continue
		}
		p.edits.dropLost = append(p.edits.dropLost, r)
		if alone && !found {
			p.plan.Steps = append(p.plan.Steps, store.Step{Action: store.ActionRemove, Fingerprint: c.Fingerprint, Label: r.label,
				Before: &store.State{Present: true, Label: r.label}, After: &store.State{}, Files: p.files})
			p.plan.Undo = append(p.plan.Undo, r.back())
		}
		found = true
	}
	return found
}

// back returns what puts the certificate in again, under a number of its own and
// without trust, as it had none.
func (r *lostRow) back() store.Change {
	return store.Change{Fingerprint: r.cert.SHA256, DER: r.cert.Raw, Label: &r.label, Trust: &store.Trust{}, Exact: true}
}

// removeGhost takes out trust that is left of a certificate.
func (p *planner) removeGhost(c store.Change) error {
	for _, t := range p.st.ghosts() {
		if t.kind == newKind && bytes.Equal(t.hash, c.Fingerprint[:]) && !slices.Contains(p.edits.dropTrust, t) {
			before := store.State{Present: true, Trust: t.levels.trust()}
			p.plan.Steps = append(p.plan.Steps, store.Step{Action: store.ActionRemove, Fingerprint: c.Fingerprint,
				Label: "(trust without its certificate)", Before: &before, After: &store.State{}, Files: p.files})
			p.edits.dropTrust = append(p.edits.dropTrust, t)
			p.plan.Undo = append(p.plan.Undo, store.Change{Fingerprint: c.Fingerprint, Absent: true})
		}
	}
	return nil
}

// tell adds the step of a target, and how it is taken back.
func (p *planner) tell(t *target, before levels, trusting bool) {
	step := store.Step{Fingerprint: t.cert.SHA256, Files: p.files, Before: &store.State{}, After: &store.State{}}
	undo := store.Change{Fingerprint: t.cert.SHA256, Absent: true}
	if len(t.objects) > 0 {
		label, trust := t.objects[0].label, before.trust()
		step.Before = &store.State{Present: true, Label: label, Trust: trust}
		undo = store.Change{Fingerprint: t.cert.SHA256, Label: &label, Trust: &trust, Exact: true, Content: store.ContentOf(content{t.cert.SHA256, before})}
		if t.gone {
			undo.DER = t.cert.Raw
		} else if !trusting {
			undo.Trust, undo.Exact, undo.Content = nil, false, nil
		}
	}
	if !t.gone {
		step.After = &store.State{Present: true, Label: t.label, Trust: t.levels.trust()}
	}
	step.Label = t.label
	switch {
	case t.gone:
		step.Action = store.ActionRemove
	case t.adds():
		step.Action = store.ActionAdd
	default:
		step.Action = store.ActionTrust
	}
	step.Elevated = p.s.info.Access.Write != nil && p.s.info.Access.Write.Kind == store.NeedsElevation
	if len(p.plan.Undo) == 0 {
		p.plan.Steps, p.plan.Undo = slices.Grow(p.plan.Steps, len(p.plan.Want)), slices.Grow(p.plan.Undo, len(p.plan.Want))
	}
	p.plan.Steps = append(p.plan.Steps, step)
	p.plan.Undo = append(p.plan.Undo, undo)
	p.edits.targets = append(p.edits.targets, t)
	p.names.drop(t.cert)
	if !t.gone {
		p.names.add(t.cert, t.label)
	}
	if t.adds() {
		p.adding[issueOf(t.cert)] = t.cert
	}
	if p.s.o.Profile && !t.gone && t.levels.trusts() && t.cert.IsCA() && t.cert.SelfIssued() && namesHosts(t.cert) {
		p.plan.Notice("\"%s\" is a certificate authority that names hosts: %s does not accept it as a server's own certificate, whatever it is trusted for; issue one that is no authority",
			store.Printable(t.cert.Label()), p.s.program())
	}
}

func (s *Store) program() string {
	if s.o.Program != "" {
		return s.o.Program
	}
	return "Firefox"
}
