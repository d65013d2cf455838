package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
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

// Changes plans what is wanted, each wish once, and those to take something out
// first: that makes room for what comes. one adds to Steps and Undo what a
// change takes, or adds nothing and returns why it cannot be, which is then in
// Refused. Of wishes that contradict each other none is planned, for nobody can
// tell which is meant. Undo is turned round: what is done last is taken back
// first.
func (p *Plan) Changes(want []Change, one func(Change) error) {
	p.Want = want
	type place struct {
		certificate Fingerprint
		item        string
	}
	wishes := map[place][]Change{}
	for _, c := range want {
		at := place{c.Fingerprint, c.Item}
		wishes[at] = append(wishes[at], c)
	}
	for _, c := range absentFirst(want) {
		at := place{c.Fingerprint, c.Item}
		all := wishes[at]
		switch {
		case len(all) == 0:
			continue // it was told already
		case slices.ContainsFunc(all, c.contradicts):
			p.Refused = append(p.Refused, Refuse(c.Fingerprint, Because(ErrConflict, "%s is wanted in two ways at once", c.name())))
			wishes[at] = nil
			continue
		}
		// What is wanted again goes with the first.
		wishes[at] = slices.DeleteFunc(all, func(other Change) bool { return bytes.Equal(other.Content, c.Content) })
		if len(wishes[at]) == len(all) {
			continue
		}
		if err := one(c); err != nil {
			p.Refused = append(p.Refused, Refuse(c.Fingerprint, err))
		}
	}
	slices.Reverse(p.Undo)
}

// contradicts reports whether two wishes for one item of a certificate cannot
// both come true. Content is what lies in one of several places that a store
// can hold a certificate in.
func (c Change) contradicts(other Change) bool {
	if c.Absent || other.Absent {
		return c.Absent != other.Absent
	}
	for _, x := range []*Change{&c, &other} {
		x.DER, x.Known, x.Content = nil, nil, nil
	}
	return !reflect.DeepEqual(c, other)
}

// name returns what the change is about, for people.
func (c Change) name() string {
	if c.Fingerprint.IsZero() {
		return Printable(c.Item)
	}
	return c.Fingerprint.Short()
}

// absentFirst returns the changes with those first that take something out.
func absentFirst(want []Change) []Change {
	out := slices.Clone(want)
	slices.SortStableFunc(out, func(a, b Change) int {
		switch {
		case a.Absent == b.Absent:
			return 0
		case a.Absent:
			return -1
		}
		return 1
	})
	return out
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
