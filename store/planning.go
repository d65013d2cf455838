package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// What the editors' Plan and Apply have in common.

// Check returns an ErrInput if the certificate that comes with the change is
// not the one that it names.
func (c Change) Check() error {
	if c.DER != nil && FingerprintOf(c.DER) != c.Fingerprint {
		return Because(ErrInput, "the certificate does not have the fingerprint that is given with it")
	}
	return nil
}

// Check returns an ErrInput if the plan was made for another store than id.
func (p Plan) Check(id ID) error {
	if p.Store != id {
		return Because(ErrInput, "the plan is for %s", Printable(string(p.Store)))
	}
	return nil
}

// Changes plans what is wanted, one change after the other. one adds to Steps
// and Undo what a change takes, or adds nothing and returns why it cannot be,
// which is then in Refused. Undo is turned round: what is done last is taken
// back first.
func (p *Plan) Changes(want []Change, one func(Change) error) {
	p.Want = want
	for _, c := range want {
		if err := one(c); err != nil {
			p.Refused = append(p.Refused, Refuse(c.Fingerprint, err))
		}
	}
	slices.Reverse(p.Undo)
}

// Once makes of one, which plans a change, a function that plans each item of a
// certificate once: what is wanted again is passed over, and what is wanted
// differently is an ErrConflict.
func Once(one func(Change) error) func(Change) error {
	type place struct {
		certificate Fingerprint
		item        string
	}
	seen := map[place]Change{}
	return func(c Change) error {
		at := place{c.Fingerprint, c.Item}
		before, twice := seen[at]
		switch {
		case !twice:
			seen[at] = c
			return one(c)
		case !bytes.Equal(ContentOf(before), ContentOf(c)):
			return Because(ErrConflict, "%s is wanted in two ways at once", c.Fingerprint.Short())
		}
		return nil
	}
}

// ContentOf returns plain data, which no field can keep from being JSON, as the
// Content of a change.
func ContentOf(plain any) []byte {
	data, err := json.Marshal(plain)
	if err != nil {
		panic(fmt.Sprintf("certtrust: this is no plain data: %v", err))
	}
	return data
}

// RefuseProblem adds to Refused a problem that is not mended, with the reason.
func (p *Plan) RefuseProblem(x Problem, err error) {
	r := Refuse(Fingerprint{}, err)
	if x.Fingerprint != nil {
		r.Fingerprint = *x.Fingerprint
	}
	r.Problem = x.Code
	p.Refused = append(p.Refused, r)
}

// Notice adds to Notices what a person should know beforehand, once.
func (p *Plan) Notice(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(p.Notices, text) {
		p.Notices = append(p.Notices, text)
	}
}

// Same reports whether both are the same problem, found at two times.
func (x Problem) Same(y Problem) bool {
	about := x.Fingerprint == y.Fingerprint || x.Fingerprint != nil && y.Fingerprint != nil && *x.Fingerprint == *y.Fingerprint
	return about && x.Code == y.Code && x.Path == y.Path && x.Text == y.Text
}
