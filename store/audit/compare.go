package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// Set is certificates, each with how it is taken.
type Set struct {
	Items map[store.Fingerprint]Item
}

// Item is a certificate of a set.
type Item struct {
	Label string // untrusted text
	Trust string // as of [store.Trust], in words; "unspecified" for none
	CA    bool

	trust store.Trust
	set   bool // trust is known, and not only its words
}

// NewSet returns what entries say of certificates. Of several entries of one
// certificate, what is distrusted counts before what is trusted.
func NewSet(entries []store.Entry) Set {
	s := Set{Items: map[store.Fingerprint]Item{}}
	for i := range entries {
		e := &entries[i]
		if e.Cert == nil {
			continue
		}
		s.Add(e.Cert.SHA256, e.Cert.Label(), e.Trust, e.Cert.IsCA())
	}
	return s
}

// Add adds a certificate, or what another entry says of it.
func (s Set) Add(f store.Fingerprint, label string, trust store.Trust, ca bool) {
	item := Item{Label: label, CA: ca, trust: trust.Normal(), set: true}
	if old, ok := s.Items[f]; ok {
		item.Label = old.Label
		item.trust = strictest(old.trust, item.trust)
	}
	item.Trust = words(item.trust)
	s.Items[f] = item
}

// strictest joins what two entries say of one certificate.
func strictest(a, b store.Trust) store.Trust {
	rank := []store.Decision{store.Unspecified, store.Peer, store.Trusted, store.Distrusted}
	var out store.Trust
	for _, r := range append(slices.Clone(a), b...) {
		x, y := a.Rule(r.Purpose), b.Rule(r.Purpose)
		if slices.Index(rank, y.Decision) > slices.Index(rank, x.Decision) {
			x = y
		}
		x.Purpose = r.Purpose
		out = append(out, x)
	}
	return out.Normal()
}

func words(t store.Trust) string {
	if text := t.String(); text != "" {
		return text
	}
	return string(store.Unspecified)
}

// Digest is the same for sets with the same certificates and the same trust,
// however their entries are ordered.
func (s Set) Digest() string {
	var lines []string
	for f, item := range s.Items {
		lines = append(lines, f.String()+" "+item.Trust+"\n")
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// What can have happened to a certificate.
const (
	Added     = "added"
	Removed   = "removed"
	Retrusted = "retrusted" // it is there, and taken for something else
)

// Difference is what differs between two sets in one certificate. Its text is
// safe to print.
type Difference struct {
	Change string            `json:"change" jsonschema:"added, removed or retrusted"`
	SHA256 store.Fingerprint `json:"sha256"`
	Label  string            `json:"label" jsonschema:"untrusted text"`
	Store  store.ID          `json:"store,omitempty"`
	Before string            `json:"before,omitempty" jsonschema:"its trust then"`
	After  string            `json:"after,omitempty" jsonschema:"its trust now"`
}

// Compare returns what has to happen to a to become b, sorted by what it is, by
// label and by fingerprint.
func Compare(id store.ID, a, b Set) []Difference {
	var out []Difference
	for f, was := range a.Items {
		is, there := b.Items[f]
		d := Difference{SHA256: f, Label: store.Printable(was.Label), Store: id, Before: was.Trust}
		switch {
		case !there:
			d.Change = Removed
		case !same(was, is):
			d.Change, d.After = Retrusted, is.Trust
		default:
			continue
		}
		out = append(out, d)
	}
	for f, is := range b.Items {
		if _, there := a.Items[f]; !there {
			out = append(out, Difference{Change: Added, SHA256: f, Label: store.Printable(is.Label), Store: id, After: is.Trust})
		}
	}
	slices.SortFunc(out, func(x, y Difference) int {
		if d := strings.Compare(x.Change, y.Change); d != 0 {
			return d
		}
		if d := strings.Compare(x.Label, y.Label); d != 0 {
			return d
		}
		return bytes.Compare(x.SHA256[:], y.SHA256[:])
	})
	return out
}

func same(a, b Item) bool {
	if a.set && b.set {
		return a.trust.Equal(b.trust, a.CA || b.CA)
	}
	return a.Trust == b.Trust
}
