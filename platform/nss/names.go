package nss

import (
	"slices"

	"github.com/certtrust/certtrust/store"
)

// names is who has which nickname. NSS wants one to be that of a single
// subject, which may have several certificates.
type names struct {
	of       map[store.Fingerprint]string
	subjects map[string][]store.Fingerprint
	owned    map[owned]int  // how many certificates of a subject have a nickname
	owners   map[string]int // how many subjects have it
}

// owned is a nickname that a subject has.
type owned struct{ label, subject string }

func newNames() *names {
	return &names{map[store.Fingerprint]string{}, map[string][]store.Fingerprint{}, map[owned]int{}, map[string]int{}}
}

func (n *names) add(c *store.Cert, label string) {
	n.drop(c)
	subject := string(c.Subject.Raw)
	n.of[c.SHA256] = label
	n.subjects[subject] = append(n.subjects[subject], c.SHA256)
	if n.owned[owned{label, subject}]++; n.owned[owned{label, subject}] == 1 {
		n.owners[label]++
	}
}

func (n *names) drop(c *store.Cert) {
	label, known := n.of[c.SHA256]
	if !known {
		return
	}
	subject := string(c.Subject.Raw)
	delete(n.of, c.SHA256)
	n.subjects[subject] = slices.DeleteFunc(n.subjects[subject], func(fp store.Fingerprint) bool { return fp == c.SHA256 })
	if n.owned[owned{label, subject}]--; n.owned[owned{label, subject}] == 0 {
		n.owners[label]--
	}
}

// ofSubject returns a nickname that the subject of c has, the first in order,
// "" if it has none.
func (n *names) ofSubject(c *store.Cert) string {
	first := ""
	for _, fp := range n.subjects[string(c.Subject.Raw)] {
		if label := n.of[fp]; label != "" && (first == "" || label < first) {
			first = label
		}
	}
	return first
}

// taken reports whether another subject than that of c has the nickname.
func (n *names) taken(label string, c *store.Cert) bool {
	owners := n.owners[label]
	if n.owned[owned{label, string(c.Subject.Raw)}] > 0 {
		owners--
	}
	return owners > 0
}
