package audit

import (
	"bufio"
	"crypto/sha256"
	_ "embed"
	"encoding/csv"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/roots"
)

// Programme is a set of roots that stores are compared with.
type Programme struct {
	Name string
	Date time.Time // of the data; zero = not known
	// ByUser tells that it was given, and is not what systems' stores are made
	// from.
	ByUser bool

	roots map[store.Fingerprint]ProgrammeRoot
	keys  map[store.Fingerprint]bool
}

// ProgrammeRoot is a root of a programme.
type ProgrammeRoot struct {
	Name string
	// DistrustAfter: what was issued later is not trusted; zero = no limit.
	DistrustAfter time.Time
}

// NewProgramme returns a programme without roots.
func NewProgramme(name string, date time.Time) *Programme {
	return &Programme{Name: name, Date: date, roots: map[store.Fingerprint]ProgrammeRoot{}, keys: map[store.Fingerprint]bool{}}
}

// Add adds a root.
func (p *Programme) Add(c *store.Cert, distrustAfter time.Time) {
	p.roots[c.SHA256] = ProgrammeRoot{c.Label(), distrustAfter}
	if len(c.SPKI) > 0 {
		p.keys[sha256.Sum256(c.SPKI)] = true
	}
}

// Has returns the root with that fingerprint.
func (p *Programme) Has(f store.Fingerprint) (ProgrammeRoot, bool) {
	r, ok := p.roots[f]
	return r, ok
}

// Len returns how many roots there are.
func (p *Programme) Len() int { return len(p.roots) }

// knows reports whether the certificate, or another of the same key, is in it.
func (p *Programme) knows(c *store.Cert) bool {
	_, ok := p.roots[c.SHA256]
	return ok || len(c.SPKI) > 0 && p.keys[sha256.Sum256(c.SPKI)]
}

// sorted returns the fingerprints by name.
func (p *Programme) sorted() []store.Fingerprint {
	var list []store.Fingerprint
	for f := range p.roots {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b store.Fingerprint) int {
		if d := strings.Compare(p.roots[a].Name, p.roots[b].Name); d != 0 {
			return d
		}
		return slices.Compare(a[:], b[:])
	})
	return list
}

// Mozilla returns Mozilla's programme, as this version of certtrust has it.
var Mozilla = sync.OnceValue(func() *Programme {
	m := roots.Mozilla()
	p := NewProgramme(m.Name, m.Date)
	for _, r := range m.All {
		p.Add(r.Cert, r.DistrustAfter)
	}
	return p
})

// ReadCCADB reads a report of the CCADB (https://www.ccadb.org/resources): CSV
// with a column "SHA-256 Fingerprint". Rows whose trust bits do not hold
// websites are left out. It is not ok if data is something else.
func ReadCCADB(name string, data []byte) (p *Programme, ok bool) {
	first, _, _ := strings.Cut(string(data[:min(len(data), 1<<16)]), "\n")
	if !strings.Contains(first, "SHA-256 Fingerprint") {
		return nil, false
	}
	r := csv.NewReader(bufio.NewReader(strings.NewReader(strings.TrimPrefix(string(data), "\ufeff"))))
	r.FieldsPerRecord, r.LazyQuotes = -1, true
	header, err := r.Read()
	if err != nil {
		return nil, false
	}
	column := func(row []string, names ...string) string {
		for _, n := range names {
			if i := slices.Index(header, n); i >= 0 && i < len(row) && row[i] != "" {
				return row[i]
			}
		}
		return ""
	}
	p = NewProgramme(name, time.Time{})
	for {
		row, err := r.Read()
		if err == io.EOF {
			break
		} else if err != nil {
			return nil, false
		}
		var f store.Fingerprint
		if f.UnmarshalText([]byte(strings.ToLower(strings.ReplaceAll(column(row, "SHA-256 Fingerprint"), ":", "")))) != nil {
			continue
		}
		if bits := column(row, "Trust Bits"); bits != "" && !strings.Contains(bits, "Websites") && !strings.Contains(bits, "Server") {
			continue
		}
		root := ProgrammeRoot{Name: column(row, "Common Name or Certificate Name", "Certificate Name", "CA Owner")}
		for _, layout := range []string{"2006.01.02", time.DateOnly, "2006 Jan 02"} {
			if t, err := time.Parse(layout, column(row, "Distrust for TLS After Date")); err == nil {
				root.DistrustAfter = t
			}
		}
		p.roots[f] = root
	}
	return p, len(p.roots) > 0
}

// removedTable is what Mozilla once trusted for servers and no longer does.
//
//go:embed data/removed.tsv
var removedTable string

// removed is a root that has left Mozilla's programme.
type removed struct{ name, last string }

var removedRoots = sync.OnceValue(func() map[store.Fingerprint]removed {
	out := map[store.Fingerprint]removed{}
	for line := range strings.Lines(removedTable) {
		part := strings.Split(strings.TrimSpace(line), "\t")
		var f store.Fingerprint
		if len(part) == 3 && f.UnmarshalText([]byte(part[0])) == nil {
			out[f] = removed{part[1], part[2]}
		}
	}
	return out
})
