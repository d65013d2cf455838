package java

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// aliasPrefix begins the aliases that are given here.
const aliasPrefix = "certtrust-"

// alias returns the name of a certificate in a keystore: one that can be read,
// that no other has, and that needs no quotes anywhere. Java takes upper and
// lower case for the same.
func alias(c *store.Cert, label string) string {
	const longest = 40
	var out []rune
	for _, r := range store.Printable(label) {
		r = unicode.ToLower(r)
		switch {
		case len(out) == longest:
		case r <= 0xffff && (unicode.IsLetter(r) && !unicode.IsUpper(r) || unicode.IsDigit(r)):
			out = append(out, r)
		case len(out) > 0 && out[len(out)-1] != '-':
			out = append(out, '-')
		}
	}
	name := strings.Trim(string(out), "-")
	if name != "" {
		name += "-"
	}
	return aliasPrefix + name + c.SHA256.Short()
}

// planner turns changes into steps and the entries as they will be.
type planner struct {
	s       *Store
	plan    store.Plan
	edit    *certfile.Edit
	entries []certfile.KeystoreEntry
	temps   []string // files that a kill has left, to be removed
}

func (s *Store) newPlanner(st *state) *planner {
	return &planner{s: s, edit: st.edit, entries: slices.Clone(st.edit.Entries),
		plan: store.Plan{Store: s.info.ID, Basis: st.digest(), Steps: []store.Step{}}}
}

// Plan returns the steps to what is wanted.
func (s *Store) Plan(ctx context.Context, want []store.Change) (store.Plan, error) {
	if err := s.ask(ctx, true); err != nil {
		return store.Plan{}, s.fail("plan", err)
	}
	st, err := s.readable(ctx)
	if err != nil {
		return store.Plan{}, s.fail("plan", err)
	}
	p := s.newPlanner(st)
	p.changes(want)
	if !p.plan.Empty() && errors.Is(st.edit.Locked, store.ErrSecret) && !s.mayAsk() {
		return store.Plan{}, s.fail("plan", s.needsSecret(false).Err("plan", s.info.ID))
	}
	return p.plan, nil
}

func (p *planner) changes(want []store.Change) {
	p.plan.Changes(want, p.change)
	if len(p.plan.Steps) > 0 && p.s.o.own {
		p.plan.Notice("programs in Java that run already heed this after they have been started again")
	}
}

// find returns the entries that a change is about, by their index.
func (p *planner) find(c store.Change) (found []int) {
	for i, e := range p.entries {
		if e.DER != nil && !e.Key && e.SHA256 == c.Fingerprint && (c.Item == "" || c.Item == e.Alias || c.Item == p.s.path) {
			found = append(found, i)
		}
	}
	return found
}

func (p *planner) change(c store.Change) error {
	if err := c.Check(); err != nil {
		return err
	}
	found := p.find(c)
	anchor := slices.ContainsFunc(found, func(i int) bool { return p.entries[i].Trusted })
	if c.Absent {
		p.remove(found)
		return nil
	}
	if c.Content != nil {
		return p.restore(c)
	}
	if len(found) == 0 && c.DER == nil {
		return store.Because(store.ErrNotFound, "the keystore does not hold it, so the certificate itself is needed")
	}
	cert := c.Cert()
	if len(found) > 0 {
		cert = store.NewCert(p.entries[found[0]].DER)
	}
	wanted, err := c.AnchorOnly(cert, anchor)
	switch {
	case err != nil:
		return err
	case !wanted:
		p.plan.Notice("a keystore cannot distrust: %s will not be in it at all", store.Printable(cert.Label()))
		p.remove(found)
		return nil
	case anchor || c.Trust == nil:
		return nil
	case c.Item != "":
		return store.Because(store.ErrNotFound, "there is no entry %s with this certificate", store.Printable(c.Item))
	case cert.Parsed() == nil:
		return store.Because(store.ErrUnsupported, "Java would refuse the whole keystore for a certificate that is not well-formed")
	}
	label := cert.Label()
	if c.Label != nil {
		label = *c.Label
	}
	name := alias(cert, label)
	for n := 2; p.taken(name); n++ {
		name = fmt.Sprintf("%s-%d", alias(cert, label), n)
	}
	p.insert(len(p.entries), p.edit.NewEntry(name, cert, p.s.host.Now()))
	return nil
}

func (p *planner) taken(name string) bool {
	return slices.ContainsFunc(p.entries, func(e certfile.KeystoreEntry) bool { return strings.EqualFold(e.Alias, name) })
}

// content is an entry as it was, and where.
type content struct {
	Raw   []byte `json:"raw"`
	Part  int    `json:"part,omitempty"`
	Index int    `json:"index"`
}

// restore puts an entry back as it was.
func (p *planner) restore(c store.Change) error {
	var kept content
	if err := json.Unmarshal(c.Content, &kept); err != nil {
		return store.Because(store.ErrInput, "the content that is given is not that of an entry")
	}
	e, err := p.edit.ParseEntry(kept.Raw, kept.Part)
	switch {
	case err != nil:
		return err
	case e.SHA256 != c.Fingerprint:
		return store.Because(store.ErrInput, "the content that is given is not that of this certificate")
	case slices.ContainsFunc(p.entries, func(o certfile.KeystoreEntry) bool { return bytes.Equal(o.Raw, e.Raw) }):
		return nil
	case p.taken(e.Alias):
		return store.Because(store.ErrConflict, "another entry is called \"%s\"", store.Printable(e.Alias))
	}
	p.insert(min(max(kept.Index, 0), len(p.entries)), e)
	return nil
}

func (p *planner) step(action store.Action, e certfile.KeystoreEntry) store.Step {
	return store.Step{Action: action, Fingerprint: e.SHA256, Label: e.Alias, Files: []string{p.s.path},
		Elevated: p.s.info.Access.Write != nil && p.s.info.Access.Write.Kind == store.NeedsElevation}
}

func stateOf(e certfile.KeystoreEntry) *store.State {
	st := &store.State{Present: true, Label: e.Alias}
	if e.Trusted {
		st.Trust = trusted()
	}
	return st
}

func (p *planner) insert(at int, e certfile.KeystoreEntry) {
	step := p.step(store.ActionAdd, e)
	step.Before, step.After = &store.State{}, stateOf(e)
	p.plan.Steps = append(p.plan.Steps, step)
	p.plan.Undo = append(p.plan.Undo, store.Change{Fingerprint: e.SHA256, Item: e.Alias, Absent: true})
	p.entries = slices.Insert(p.entries, at, e)
}

// remove takes entries out, the last one first so that the indices hold.
func (p *planner) remove(found []int) {
	for _, i := range slices.Backward(found) {
		e := p.entries[i]
		step := p.step(store.ActionRemove, e)
		step.Before, step.After = stateOf(e), &store.State{}
		p.plan.Steps = append(p.plan.Steps, step)
		trust := step.Before.Trust
		p.plan.Undo = append(p.plan.Undo, store.Change{Fingerprint: e.SHA256, DER: e.DER, Trust: &trust, Content: store.ContentOf(content{e.Raw, e.Part, i})})
		p.entries = slices.Delete(p.entries, i, i+1)
	}
}
