package audit

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/diagnose"
)

// InventorySummary is what the listings come to.
type InventorySummary struct {
	Machines     int `json:"machines"`
	Entries      int `json:"entries"`
	Certificates int `json:"certificates" jsonschema:"different ones that any machine trusts or distrusts"`
	Groups       int `json:"groups" jsonschema:"sorts of machines that trust about the same"`
	Differing    int `json:"differing" jsonschema:"machines that differ from most of their group"`
	Incomplete   int `json:"incomplete" jsonschema:"machines whose listing was not complete"`
}

// InventoryCert is a certificate, and how many machines have it.
type InventoryCert struct {
	SHA256     store.Fingerprint `json:"sha256"`
	Label      string            `json:"label" jsonschema:"untrusted text"`
	Trusted    int               `json:"trusted" jsonschema:"machines that trust it"`
	Distrusted int               `json:"distrusted" jsonschema:"machines that distrust it"`
	Added      bool              `json:"added" jsonschema:"on some machine no vendor put it there"`
	Note       string            `json:"note,omitempty" jsonschema:"what is known of it"`
	// Machines are those that have it, where there are few, or it was asked for.
	Machines []string `json:"machines"`
}

// InventoryMachine is a machine that differs from most of its group.
type InventoryMachine struct {
	Name    string          `json:"name"`
	Group   int             `json:"group"`
	Of      int             `json:"of" jsonschema:"machines in the group"`
	More    []InventoryItem `json:"more" jsonschema:"what most of the group do not have"`
	Missing []InventoryItem `json:"missing" jsonschema:"what most of the group have"`
}

// InventoryItem is a certificate and how it is taken.
type InventoryItem struct {
	SHA256     store.Fingerprint `json:"sha256"`
	Label      string            `json:"label" jsonschema:"untrusted text"`
	Distrusted bool              `json:"distrusted"`
}

// InventoryReport is what the listings of many machines come to.
type InventoryReport struct {
	Summary InventorySummary `json:"summary"`
	// Single are the certificates that one machine alone trusts.
	Single []InventoryCert `json:"single"`
	// Added are those that no vendor put there, on any machine.
	Added []InventoryCert `json:"added"`
	// Suspect are those of which something bad is known.
	Suspect    []InventoryCert    `json:"suspect"`
	Differing  []InventoryMachine `json:"differing"`
	Incomplete []string           `json:"incomplete"`
	// Asked are the certificates that were asked for, with all their machines.
	Asked []InventoryCert `json:"asked"`
}

// namedMachines is how many machines of a certificate are named unasked.
const namedMachines = 5

// Report adds up what has been read, and tells where the certificates are that
// wanted names.
func (v *Inventory) Report(wanted []store.FingerprintPrefix) InventoryReport {
	v.mu.Lock()
	defer v.mu.Unlock()
	slices.SortStableFunc(v.machines, func(a, b invMachine) int { return strings.Compare(a.name, b.name) })
	r := InventoryReport{Summary: InventorySummary{Machines: len(v.machines), Entries: v.entries, Certificates: len(v.certs)}}

	// How many machines of each group have an item.
	perGroup := make([]map[uint32]int, len(v.bases))
	size := make([]int, len(v.bases))
	for i := range v.machines {
		size[v.machines[i].base]++
	}
	for b, base := range v.bases {
		perGroup[b] = map[uint32]int{}
		for _, item := range base {
			perGroup[b][item] = size[b]
		}
		if size[b] > 0 {
			r.Summary.Groups++
		}
	}
	for i := range v.machines {
		m := &v.machines[i]
		for _, item := range m.differs {
			if _, in := slices.BinarySearch(v.bases[m.base], item); in {
				perGroup[m.base][item]--
			} else {
				perGroup[m.base][item]++
			}
		}
		if !m.complete {
			r.Incomplete = append(r.Incomplete, m.name)
		}
	}
	r.Summary.Incomplete = len(r.Incomplete)
	counts := make([]int, 2*len(v.certs))
	for _, group := range perGroup {
		for item, n := range group {
			counts[item] += n
		}
	}
	v.certificates(&r, counts, wanted)
	v.differing(&r, perGroup, size)
	return r
}

func (v *Inventory) certificates(r *InventoryReport, counts []int, wanted []store.FingerprintPrefix) {
	names := map[uint32][]string{} // of the certificates that machines are named for
	ask := map[uint32]bool{}
	cert := func(i uint32) InventoryCert {
		c := v.certs[i]
		return InventoryCert{SHA256: c.fingerprint, Label: c.label, Trusted: counts[2*i], Distrusted: counts[2*i+1], Added: c.added, Note: note(c.fingerprint), Machines: names[i]}
	}
	for i := range v.certs {
		i := uint32(i)
		asked := slices.ContainsFunc(wanted, func(p store.FingerprintPrefix) bool { return p.Matches(v.certs[i].fingerprint) })
		if asked {
			ask[i] = true
		}
		if asked || counts[2*i]+counts[2*i+1] <= namedMachines {
			names[i] = []string{}
		}
	}
	v.nameMachines(names)
	for i := range v.certs {
		i := uint32(i)
		c := cert(i)
		if c.Trusted == 1 {
			r.Single = append(r.Single, c)
		}
		if c.Added && c.Trusted > 0 {
			r.Added = append(r.Added, c)
		}
		if c.Note != "" && c.Trusted > 0 {
			r.Suspect = append(r.Suspect, c)
		}
		if ask[i] {
			r.Asked = append(r.Asked, c)
		}
	}
	byCount := func(a, b InventoryCert) int {
		return cmp.Or(cmp.Compare(b.Trusted, a.Trusted), strings.Compare(a.Label, b.Label), bytes.Compare(a.SHA256[:], b.SHA256[:]))
	}
	for _, list := range [][]InventoryCert{r.Single, r.Added, r.Suspect, r.Asked} {
		slices.SortFunc(list, byCount)
	}
}

// nameMachines fills in the machines that have certificates.
func (v *Inventory) nameMachines(names map[uint32][]string) {
	inBase := make([][]uint32, len(v.bases)) // those of names that the base has
	for b, base := range v.bases {
		for _, item := range base {
			if _, ok := names[item/2]; ok {
				inBase[b] = append(inBase[b], item)
			}
		}
	}
	for i := range v.machines {
		m := &v.machines[i]
		told := map[uint32]bool{}
		tell := func(item uint32) {
			if _, ok := names[item/2]; ok && !told[item/2] && v.has(m, item) {
				told[item/2] = true
				names[item/2] = append(names[item/2], m.name)
			}
		}
		for _, item := range inBase[m.base] {
			tell(item)
		}
		for _, item := range m.differs {
			tell(item)
		}
	}
}

// note tells what is known against a certificate.
func note(f store.Fingerprint) string {
	if bad := diagnose.KnownBadHash(f); bad != "" {
		return store.Printable(bad)
	}
	if was, ok := removedRoots()[f]; ok {
		return "no longer in Mozilla's programme; last seen in " + was.last
	}
	return ""
}

// differing finds machines that have what most of their group have not, or the
// reverse. Of a group of two nobody is most.
func (v *Inventory) differing(r *InventoryReport, perGroup []map[uint32]int, size []int) {
	most := make([][]uint32, len(v.bases)) // what differs between a base and most of its group
	for b, group := range perGroup {
		for item, n := range group {
			_, in := slices.BinarySearch(v.bases[b], item)
			if (2*n > size[b]) != in {
				most[b] = append(most[b], item)
			}
		}
		slices.Sort(most[b])
	}
	for i := range v.machines {
		m := &v.machines[i]
		if size[m.base] < 3 {
			continue
		}
		out := InventoryMachine{Name: m.name, Group: int(m.base) + 1, Of: size[m.base]}
		walk(m.differs, most[m.base], func(item uint32) {
			c := v.certs[item/2]
			x := InventoryItem{c.fingerprint, c.label, item%2 == 1}
			if v.has(m, item) {
				out.More = append(out.More, x)
			} else {
				out.Missing = append(out.Missing, x)
			}
		})
		if len(out.More)+len(out.Missing) > 0 {
			r.Differing = append(r.Differing, out)
		}
	}
	r.Summary.Differing = len(r.Differing)
}
