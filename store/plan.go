package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"slices"
)

// Change is the wanted end state of one certificate in one store. nil fields
// keep what is there.
type Change struct {
	Fingerprint Fingerprint `json:"sha256"`
	// DER is the certificate, needed where the store does not hold it yet.
	DER []byte `json:"der,omitempty"`
	// Known is what DER holds, if somebody has read it already.
	Known *Cert `json:"-"`
	// Item limits the change to one item of the store (Source.Path or
	// Source.Item, as the store takes it); "" = wherever the certificate is.
	Item string `json:"item,omitempty"`
	// Content is an item's bytes as they were before it was removed, so that
	// undo brings it back unchanged. It never holds a private key; a store
	// takes it only if it holds this certificate and no other.
	Content []byte `json:"content,omitempty"`
	// Aside is where a repair has put what was the item: it is brought back from
	// there. There is no fingerprint then, for it may hold no certificate.
	Aside string `json:"aside,omitempty"`
	// Absent: the certificate is not in the store. Label and Trust are
	// ignored.
	Absent bool    `json:"absent,omitempty"`
	Label  *string `json:"label,omitempty"`
	Trust  *Trust  `json:"trust,omitempty"`
	// Exact: Trust is all there is. Without it the named purposes are ensured
	// and the others left alone.
	Exact bool `json:"exact,omitempty"`
}

// Wanted returns the change that makes c trusted so.
func (c *Cert) Wanted(trust Trust) Change {
	return Change{Fingerprint: c.SHA256, DER: c.Raw, Known: c, Trust: &trust}
}

// Cert returns the certificate that DER holds.
func (c Change) Cert() *Cert {
	if c.Known != nil && bytes.Equal(c.Known.Raw, c.DER) {
		return c.Known
	}
	return NewCert(c.DER)
}

// Plan is the steps from a store's present state to a wanted one. It is plain
// data.
type Plan struct {
	Store ID `json:"store"`
	// Basis is a digest of the state that the plan was made for.
	Basis string `json:"basis"`
	// Want is what the plan leads to. Repair is what it mends. Only these two
	// are acted upon.
	Want   []Change  `json:"want,omitempty"`
	Repair []Problem `json:"repair,omitempty"`
	// Steps is what will be done, for people to read.
	Steps []Step `json:"steps"`
	// Undo is what would take it back.
	Undo []Change `json:"undo,omitempty"`
	// Refused is what this store cannot do.
	Refused []Refused `json:"refused,omitempty"`
	// Notices is what a person should know beforehand.
	Notices []string `json:"notices,omitempty"`
}

// Empty reports whether there is nothing to do.
func (p Plan) Empty() bool { return len(p.Steps) == 0 }

// Digest returns a digest of the plan's store, basis and steps: plans with the
// same digest do the same to the same state.
func (p Plan) Digest() string {
	sum := sha256.Sum256(ContentOf(struct {
		Store ID
		Basis string
		Steps []Step
	}{p.Store, p.Basis, p.Steps}))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// SameSteps reports whether p and q do the same. Which rights a step needs
// depends on who asks and does not count.
func (p Plan) SameSteps(q Plan) bool {
	equal := func(a, b Step) bool {
		a.Elevated, b.Elevated = false, false
		return reflect.DeepEqual(a, b)
	}
	if p.Store == q.Store && slices.EqualFunc(p.Steps, q.Steps, equal) {
		return true
	}
	// One that was read from a file may have nothing where the other has an
	// empty list.
	plain := func(p Plan) string {
		p.Basis, p.Steps = "", append([]Step{}, p.Steps...)
		for i := range p.Steps {
			p.Steps[i].Elevated = false
		}
		return p.Digest()
	}
	return plain(p) == plain(q)
}

// Step is one thing that a plan does: what --dry-run prints.
type Step struct {
	Action      Action      `json:"action"`
	Fingerprint Fingerprint `json:"sha256,omitzero"`
	Label       string      `json:"label,omitempty"` // untrusted text
	Before      *State      `json:"before,omitempty"`
	After       *State      `json:"after,omitempty"`
	Files       []string    `json:"files,omitempty"`    // written, replaced or deleted
	Commands    [][]string  `json:"commands,omitempty"` // run, or what one would run to do it by hand
	Elevated    bool        `json:"elevated,omitempty"` // needs rights that this process lacks
}

// State is how a certificate stands in a store.
type State struct {
	Present bool   `json:"present"`
	Label   string `json:"label,omitempty"`
	Trust   Trust  `json:"trust,omitempty"`
}

// Action is the sort of a step.
type Action string

// The actions.
const (
	ActionAdd     Action = "add"     // put a certificate in
	ActionTrust   Action = "trust"   // change the trust of one that is there
	ActionRemove  Action = "remove"  // take it out
	ActionRebuild Action = "rebuild" // bring what is generated up to date
	ActionMend    Action = "mend"    // remove or correct what is broken
	ActionLink    Action = "link"    // make the store follow another, or no longer
)

// Refused is a change or a problem that a store cannot do anything about.
type Refused struct {
	Fingerprint Fingerprint `json:"sha256,omitzero"`
	Problem     string      `json:"problem,omitempty"` // Problem.Code
	Code        string      `json:"code"`              // see [Code]
	Reason      string      `json:"reason"`
	Hint        string      `json:"hint,omitempty"`
}

// Refuse makes a Refused of an error.
func Refuse(f Fingerprint, err error) Refused {
	return Refused{Fingerprint: f, Code: Code(err), Reason: err.Error(), Hint: Hint(err)}
}

// Err returns the refusal as an error of its kind.
func (r Refused) Err(op string, id ID) error {
	return &Error{Op: op, Store: id, Err: Because(Kind(r.Code), "%s", r.Reason), Hint: r.Hint}
}

// Receipt tells what was done, and how to take it back.
type Receipt struct {
	Store   ID       `json:"store"`
	Done    []Step   `json:"done,omitempty"`
	Undo    []Change `json:"undo,omitempty"` // to be planned anew when the time comes
	Notices []string `json:"notices,omitempty"`
}
