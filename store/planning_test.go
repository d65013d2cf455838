package store

import (
	"errors"
	"io/fs"
	"reflect"
	"testing"
)

func TestChanges(t *testing.T) {
	a, b := FingerprintOf([]byte("a")), FingerprintOf([]byte("b"))
	c, d := FingerprintOf([]byte("c")), FingerprintOf([]byte("d"))
	one, other := "one", "other"
	want := []Change{
		{Fingerprint: a, Item: "again"}, {Fingerprint: a, Item: "again", DER: []byte("a")}, // the same wish
		{Fingerprint: b, DER: []byte("other")},           // refused
		{Fingerprint: c}, {Fingerprint: c, Absent: true}, // neither
		{Fingerprint: c, Item: "elsewhere", Content: []byte("1")}, // what lay in two places
		{Fingerprint: c, Item: "elsewhere", Content: []byte("2")},
		{Fingerprint: d, Label: &one}, {Fingerprint: d, Label: &other}, // neither
		{Fingerprint: d, Absent: true, Item: "first"},
	}
	var p Plan
	p.Changes(want, func(c Change) error {
		if err := c.Check(); err != nil {
			return err
		}
		p.Undo = append(p.Undo, Change{Item: c.Item, Content: c.Content})
		p.Notice("once")
		return nil
	})
	if !reflect.DeepEqual(p.Want, want) {
		t.Errorf("want %v", p.Want)
	}
	var undo, refused []string
	for _, c := range p.Undo {
		undo = append(undo, c.Item+string(c.Content))
	}
	if !reflect.DeepEqual(undo, []string{"elsewhere2", "elsewhere1", "again", "first"}) {
		t.Errorf("undo, what was done last first: %q", undo)
	}
	for _, r := range p.Refused {
		refused = append(refused, r.Code+" "+r.Fingerprint.Short())
	}
	if !reflect.DeepEqual(refused, []string{"conflict " + c.Short(), "input " + b.Short(), "conflict " + d.Short()}) {
		t.Errorf("refused %q", refused)
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
