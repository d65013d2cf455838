// Package roots knows the root programme of Mozilla, which most systems'
// stores are made from, so that a store can be compared with it. It is data of
// a certain day ([Date]), not what anything is verified against, and importing
// it changes nothing.
package roots

import (
	"bytes"
	"crypto/x509"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"

	"github.com/certtrust/certtrust/store"
)

// Root is a root of the programme, trusted for server authentication.
type Root struct {
	Cert *store.Cert
	// DistrustAfter: certificates that were issued later are not trusted; zero
	// = no limit.
	DistrustAfter time.Time
}

// Programme is a root programme at one time. It is not changed once made, and
// may be used by several goroutines.
type Programme struct {
	Name string
	Date time.Time // of the data
	All  []Root    // in the programme's own order

	byFingerprint map[store.Fingerprint]int
	bySubject     map[string][]int
}

// Date is when the data of [Mozilla] was taken: the date of the module's
// version. A machine whose clock is before it has a wrong clock.
func Date() time.Time { return time.Date(2026, 10, 30, 15, 31, 54, 0, time.UTC) }

// Mozilla returns Mozilla's programme.
func Mozilla() *Programme { return mozilla() }

var mozilla = sync.OnceValue(func() *Programme {
	p := &Programme{Name: "Mozilla", Date: Date()}
	for r := range bundle.Roots() {
		p.All = append(p.All, Root{Cert: store.NewCert(bytes.Clone(r.Certificate)), DistrustAfter: limit(r.Constraint)})
	}
	return index(p)
})

// New makes a programme of roots, for tests and for other sources.
func New(name string, date time.Time, all []Root) *Programme {
	return index(&Programme{Name: name, Date: date, All: slices.Clone(all)})
}

func index(p *Programme) *Programme {
	p.byFingerprint = map[store.Fingerprint]int{}
	p.bySubject = map[string][]int{}
	for i, r := range p.All {
		p.byFingerprint[r.Cert.SHA256] = i
		p.bySubject[string(r.Cert.Subject.Raw)] = append(p.bySubject[string(r.Cert.Subject.Raw)], i)
	}
	return p
}

// ByFingerprint returns the root with that fingerprint.
func (p *Programme) ByFingerprint(f store.Fingerprint) (Root, bool) {
	i, ok := p.byFingerprint[f]
	if !ok {
		return Root{}, false
	}
	return p.All[i], true
}

// BySubject returns the roots with that subject (DER).
func (p *Programme) BySubject(raw []byte) (out []Root) {
	for _, i := range p.bySubject[string(raw)] {
		out = append(out, p.All[i])
	}
	return out
}

// limit finds the date that a constraint is about. The bundle gives only a
// function, and it goes by when the certificates were issued; the date is
// where its answer changes.
func limit(constraint func([]*x509.Certificate) error) time.Time {
	if constraint == nil {
		return time.Time{}
	}
	refuses := func(issued int64) bool {
		return constraint([]*x509.Certificate{{NotBefore: time.Unix(issued, 0)}}) != nil
	}
	low, high := int64(0), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	if refuses(low) || !refuses(high) {
		// It is about something else: what it is for cannot be told, so
		// nothing of this root is taken for unlimited.
		return time.Unix(low, 0).UTC()
	}
	for high-low > 1 {
		if middle := (low + high) / 2; refuses(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return time.Unix(low, 0).UTC()
}
