package audit

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/certtrust/certtrust/store"
)

// Inventory adds up the listings of many machines. Each certificate is kept
// once, and of each machine only in what it differs from one of a few others:
// its size grows with the certificates and the machines, not with the entries.
// Its methods may be called from several goroutines.
type Inventory struct {
	mu       sync.Mutex
	certs    []invCert
	index    map[store.Fingerprint]uint32
	bases    [][]uint32 // sorted
	machines []invMachine
	hosts    map[string]int
	entries  int
}

// invCert is a certificate, wherever it is.
type invCert struct {
	fingerprint store.Fingerprint
	label       string
	added       bool // on some machine, no vendor put it there
}

// An item of a set is the index of a certificate, twice, and one more if it is
// not trusted but distrusted.
type invMachine struct {
	name     string
	base     uint32
	differs  []uint32 // items that it has and the base lacks, or the reverse; sorted
	complete bool
}

// NewInventory returns an empty inventory.
func NewInventory() *Inventory {
	return &Inventory{index: map[store.Fingerprint]uint32{}, hosts: map[string]int{}}
}

const (
	maxLine    = 16 << 20 // of a listing
	maxListing = 512 << 20
	maxBases   = 24
	maxSorts   = 10000 // sorts of trust and of origin that are remembered
	maxSort    = 4096  // the length of one, in bytes
	maxName    = 255   // of a machine
)

// invEntry is what is read of an entry.
type invEntry struct {
	fingerprint store.Fingerprint
	label       string
	distrusted  bool
	added       bool
}

// reading is a listing being read.
type reading struct {
	inventory *Inventory
	from      string
	begun     bool
	host      string
	complete  bool
	summed    bool
	items     []invEntry
	entries   int
	// What has been read before: there are few sorts.
	trust  map[string]int8
	origin map[string]bool
}

// Read adds the listings in r, as "list --format jsonl" or "list --json" writes
// them; there may be several, one after the other. from names them. What is
// wrong is [store.ErrInput], and the listings before that count.
func (v *Inventory) Read(from string, r io.Reader) error {
	rd := &reading{inventory: v, from: from, trust: map[string]int8{}, origin: map[string]bool{}}
	in := bufio.NewReaderSize(r, 1<<18)
	for n := 1; ; n++ {
		line, err := readLine(in)
		if len(bytes.TrimSpace(line)) > 0 {
			if n == 1 {
				line = bytes.TrimPrefix(line, []byte("\ufeff"))
			}
			if !rd.begun && n == 1 && !json.Valid(line) {
				return rd.document(io.MultiReader(bytes.NewReader(line), in))
			}
			if bad := rd.line(line); bad != nil {
				rd.end()
				return store.Because(store.ErrInput, "line %d: %w", n, bad)
			}
		}
		if err == io.EOF {
			break
		} else if err != nil {
			rd.end()
			return err
		}
	}
	if !rd.begun && rd.entries == 0 && !rd.summed {
		return store.Because(store.ErrInput, "it holds no listing")
	}
	rd.end()
	return nil
}

// readLine returns the next line, which is good until the next call.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if err != bufio.ErrBufferFull {
		return line, err
	}
	long := bytes.Clone(line)
	for err == bufio.ErrBufferFull {
		line, err = in.ReadSlice('\n')
		if long = append(long, line...); len(long) > maxLine {
			return nil, store.Because(store.ErrInput, "a line is longer than %d MiB", maxLine>>20)
		}
	}
	return long, err
}

// line reads a line of a listing in JSON lines.
func (rd *reading) line(line []byte) error {
	var schema, fingerprint, label, trust, origin []byte
	ok := scanObject(line, func(key, value []byte) {
		switch string(key) {
		case "schema":
			schema = value
		case "sha256":
			fingerprint = value
		case "label":
			label = value
		case "trust":
			trust = value
		case "origin":
			origin = value
		}
	})
	if !ok {
		return errors.New("it is no JSON object")
	}
	switch string(schema) {
	case `"certtrust.entry/v1"`:
		if !rd.begun {
			return errors.New("an entry stands before the header of its listing")
		}
		return rd.entry(fingerprint, label, trust, origin)
	case `"certtrust.list/v1"`:
		rd.end()
		var doc listing
		if err := json.Unmarshal(line, &doc); err != nil {
			return err
		}
		if doc.Entries != nil { // a whole document in one line
			return rd.whole(doc)
		}
		rd.header(doc)
	case `"certtrust.summary/v1"`:
		rd.summed = true
	default:
		return fmt.Errorf("it is of no listing: its schema is %s", store.Printable(string(schema[:min(len(schema), 60)])))
	}
	return nil
}

// listing is what is read of a listing as one document.
type listing struct {
	Schema string `json:"schema"`
	Host   string `json:"host"`
	Root   []string
	Stores []struct {
		Complete bool `json:"complete"`
	} `json:"stores"`
	Entries []struct {
		SHA256 json.RawMessage `json:"sha256"`
		Label  json.RawMessage `json:"label"`
		Trust  json.RawMessage `json:"trust"`
		Origin json.RawMessage `json:"origin"`
	} `json:"entries"`
}

func (rd *reading) document(r io.Reader) error {
	limited := &io.LimitedReader{R: r, N: maxListing}
	var doc listing
	if err := json.NewDecoder(limited).Decode(&doc); err != nil {
		if limited.N <= 0 {
			return store.Because(store.ErrInput, "it is larger than %d MiB", maxListing>>20)
		}
		return store.Because(store.ErrInput, "it is no listing: %w", err)
	}
	if doc.Schema != "certtrust.list/v1" {
		return store.Because(store.ErrInput, "it is no listing: its schema is \"%s\"", store.Printable(doc.Schema))
	}
	if err := rd.whole(doc); err != nil {
		return store.Because(store.ErrInput, "%w", err)
	}
	return nil
}

func (rd *reading) whole(doc listing) error {
	rd.header(doc)
	rd.summed = true
	for _, e := range doc.Entries {
		if err := rd.entry(e.SHA256, e.Label, e.Trust, e.Origin); err != nil {
			return err
		}
	}
	rd.end()
	return nil
}

func (rd *reading) header(doc listing) {
	rd.begun, rd.host, rd.complete = true, doc.Host, true
	for _, s := range doc.Stores {
		rd.complete = rd.complete && s.Complete
	}
	if len(doc.Root) > 0 && rd.host == "" {
		rd.host = strings.Join(doc.Root, " ")
	}
}

// How an entry is taken.
const (
	takenOther int8 = iota
	takenTrusted
	takenDistrusted
)

func (rd *reading) entry(fingerprint, label, trust, origin []byte) error {
	rd.entries++
	if len(fingerprint) == 0 {
		return nil // an item without a certificate
	}
	var e invEntry
	if len(fingerprint) != 2+hex.EncodedLen(len(e.fingerprint)) {
		return errors.New("sha256 is no fingerprint")
	}
	if _, err := hex.Decode(e.fingerprint[:], fingerprint[1:len(fingerprint)-1]); err != nil {
		return errors.New("sha256 is no fingerprint")
	}
	taken, known := rd.trust[string(trust)]
	if !known {
		var t store.Trust
		if err := json.Unmarshal(trust, &t); err != nil {
			return fmt.Errorf("trust: %w", err)
		}
		switch {
		case t.Has(store.Distrusted):
			taken = takenDistrusted
		case t.Has(store.Trusted) || t.Has(store.Peer):
			taken = takenTrusted
		}
		if len(rd.trust) < maxSorts && len(trust) < maxSort {
			rd.trust[string(trust)] = taken
		}
	}
	if taken == takenOther {
		return nil
	}
	added, known := rd.origin[string(origin)]
	if !known {
		var o store.Origin
		if err := json.Unmarshal(origin, &o); err != nil {
			return fmt.Errorf("origin: %w", err)
		}
		added = o.By != store.ByVendor
		if len(rd.origin) < maxSorts && len(origin) < maxSort {
			rd.origin[string(origin)] = added
		}
	}
	e.distrusted, e.added = taken == takenDistrusted, added
	if !rd.inventory.known(e.fingerprint) {
		if err := json.Unmarshal(label, &e.label); err != nil {
			return fmt.Errorf("label: %w", err)
		}
		e.label = store.Printable(strings.ToValidUTF8(e.label[:min(len(e.label), 500)], ""))
	}
	rd.items = append(rd.items, e)
	return nil
}

func (v *Inventory) known(f store.Fingerprint) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, ok := v.index[f]
	return ok
}

// end adds the machine that has been read.
func (rd *reading) end() {
	if !rd.begun {
		return
	}
	name := store.Printable(strings.ToValidUTF8(rd.host[:min(len(rd.host), maxName)], ""))
	if name == "" {
		name = store.Printable(rd.from)
	}
	rd.inventory.add(name, store.Printable(rd.from), rd.complete && rd.summed, rd.items, rd.entries)
	rd.begun, rd.summed, rd.host, rd.items, rd.entries = false, false, "", rd.items[:0], 0
}

func (v *Inventory) add(name, from string, complete bool, list []invEntry, entries int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.entries += entries
	if n := v.hosts[name]; n > 0 { // several listings of one name are several machines
		v.hosts[name] = n + 1
		name = fmt.Sprintf("%s (%s, %d)", name, from, n+1)
	} else {
		v.hosts[name] = 1
	}
	set := make([]uint32, 0, len(list))
	for _, e := range list {
		i, ok := v.index[e.fingerprint]
		if !ok {
			i = uint32(len(v.certs))
			v.index[e.fingerprint] = i
			v.certs = append(v.certs, invCert{fingerprint: e.fingerprint, label: e.label})
		}
		v.certs[i].added = v.certs[i].added || e.added
		item := 2 * i
		if e.distrusted {
			item++
		}
		set = append(set, item)
	}
	slices.Sort(set)
	set = slices.Compact(set)
	m := invMachine{name: name, complete: complete}
	best := -1
	for b, base := range v.bases {
		if n := distance(base, set); best < 0 || n < best {
			best, m.base = n, uint32(b)
		}
	}
	if (best < 0 || best > len(set)/4+8) && len(v.bases) < maxBases {
		m.base = uint32(len(v.bases))
		v.bases = append(v.bases, slices.Clone(set))
	}
	m.differs = slices.Clip(difference(v.bases[m.base], set))
	v.machines = append(v.machines, m)
}

// walk goes over two sorted sets, and tells what is in one of them alone.
func walk(a, b []uint32, alone func(x uint32)) {
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			alone(a[0])
			a = a[1:]
		case len(a) == 0 || b[0] < a[0]:
			alone(b[0])
			b = b[1:]
		default:
			a, b = a[1:], b[1:]
		}
	}
}

func distance(a, b []uint32) (n int) {
	walk(a, b, func(uint32) { n++ })
	return n
}

func difference(a, b []uint32) (out []uint32) {
	walk(a, b, func(x uint32) { out = append(out, x) })
	return out
}

// has reports whether a machine has an item.
func (v *Inventory) has(m *invMachine, item uint32) bool {
	_, in := slices.BinarySearch(v.bases[m.base], item)
	_, differs := slices.BinarySearch(m.differs, item)
	return in != differs
}
