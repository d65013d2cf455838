package store

import (
	"errors"
	"io/fs"
	"reflect"
	"testing"
)

func TestChanges(t *testing.T) {
	a, b := FingerprintOf([]byte("a")), FingerprintOf([]byte("b"))
	want := []Change{{Fingerprint: a}, {Fingerprint: a}, {Fingerprint: b, DER: []byte("other")}, {Fingerprint: a, Absent: true}, {Fingerprint: a, Item: "1"}, {Fingerprint: b}}
	var p Plan
	p.Changes(want, Once(func(c Change) error {
		if err := c.Check(); err != nil {
			return err
		}
		p.Undo = append(p.Undo, Change{Fingerprint: c.Fingerprint, Item: c.Item, Absent: true})
		p.Notice("once")
		return nil
	}))
	if !reflect.DeepEqual(p.Want, want) {
		t.Errorf("want %v", p.Want)
	}
	// What is wanted again is planned once, and a second wish that contradicts
	// the first, even one that could not be planned, is not.
	if len(p.Undo) != 2 || p.Undo[0].Item != "1" || p.Undo[1].Item != "" {
		t.Errorf("undo, the last first: %v", p.Undo)
	}
	var codes []string
	for _, r := range p.Refused {
		codes = append(codes, r.Code)
	}
	if !reflect.DeepEqual(codes, []string{"input", "conflict", "conflict"}) {
		t.Errorf("refused %q", codes)
	}
	if len(p.Notices) != 1 {
		t.Errorf("notices %q", p.Notices)
	}
}

func TestSameProblem(t *testing.T) {
	a, again, b := FingerprintOf([]byte("a")), FingerprintOf([]byte("a")), FingerprintOf([]byte("b"))
	x := Problem{Code: "code", Path: "path", Text: "text", Fingerprint: &a}
	for _, c := range []struct {
		y    Problem
		same bool
	}{
		{Problem{Code: "code", Path: "path", Text: "text", Fingerprint: &again, Mendable: true}, true},
		{Problem{Code: "code", Path: "path", Text: "text", Fingerprint: &b}, false},
		{Problem{Code: "code", Path: "path", Text: "text"}, false},
		{Problem{Code: "other", Path: "path", Text: "text", Fingerprint: &a}, false},
		{Problem{Code: "code", Path: "other", Text: "text", Fingerprint: &a}, false},
		{Problem{Code: "code", Path: "path", Text: "other", Fingerprint: &a}, false},
	} {
		if x.Same(c.y) != c.same || c.y.Same(x) != c.same {
			t.Errorf("%v: not %v", c.y, c.same)
		}
	}
}

func TestAt(t *testing.T) {
	why := errors.New("why")
	for _, c := range []struct {
		err  error
		want string
		hint string
	}{
		{why, "read anchors:x: /file: why", ""},
		{&Error{Op: "open", Path: "/other", Err: why, Hint: "do"}, "read anchors:x: /other: why", "do"},
		{&Error{Op: "open", Err: why}, "read anchors:x: /file: why", ""},
		{&Error{Op: "open", Store: "nss:y", Err: why}, "open nss:y: why", ""}, // it is told already
		{Because(ErrReadOnly, "%w", &Error{Err: why, Hint: "do"}), "read anchors:x: /file: why", "do"},
		{fs.ErrPermission, "read anchors:x: /file: permission denied", ""},
	} {
		got := At("read", "anchors:x", "/file", c.err)
		if got.Error() != c.want || Hint(got) != c.hint || Code(got) != Code(c.err) {
			t.Errorf("%v: got %q with the hint %q and the code %s", c.err, got, Hint(got), Code(got))
		}
	}
}
