package nss

import "github.com/certtrust/certtrust/store"

// names is who has which nickname. NSS wants one to be that of a single
// subject, which may have several certificates.
type names struct {
	of       map[store.Fingerprint]string
	labels   map[string]map[string]int // how many of each subject have a label
	subjects map[string]map[store.Fingerprint]string
}

func newNames() *names {
	return &names{map[store.Fingerprint]string{}, map[string]map[string]int{}, map[string]map[store.Fingerprint]string{}}
}

func (n *names) add(c *store.Cert, label string) {
	n.drop(c)
	subject := string(c.Subject.Raw)
	n.of[c.SHA256] = label
	if n.labels[label] == nil {
		n.labels[label] = map[string]int{}
	}
	n.labels[label][subject]++
	if n.subjects[subject] == nil {
		n.subjects[subject] = map[store.Fingerprint]string{}
	}
	n.subjects[subject][c.SHA256] = label
}

func (n *names) drop(c *store.Cert) {
	label, known := n.of[c.SHA256]
	if !known {
		return
	}
	subject := string(c.Subject.Raw)
	delete(n.of, c.SHA256)
	delete(n.subjects[subject], c.SHA256)
	if n.labels[label][subject]--; n.labels[label][subject] == 0 {
		delete(n.labels[label], subject)
	}
}

// ofSubject returns a nickname that the subject of c has, the first in order,
// "" if it has none.
func (n *names) ofSubject(c *store.Cert) string {
	first := ""
	for _, label := range n.subjects[string(c.Subject.Raw)] {
		if label != "" && (first == "" || label < first) {
			first = label
		}
	}
	return first
}

// taken reports whether another subject than that of c has the nickname.
func (n *names) taken(label string, c *store.Cert) bool {
	owners := n.labels[label]
	_, own := owners[string(c.Subject.Raw)]
	return len(owners) > 1 || len(owners) == 1 && !own
}
