// Package audit checks what trust stores hold against a table of rules, and
// tells what it finds: with evidence, how much it matters, and what to do. It
// also compares sets of certificates, and adds up the listings of many
// machines.
//
// It is pure: what is to be checked is given to it, and it reads nothing
// itself. What the entries of a store do not tell, such as who may write to
// its files, is in [Facts].
package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/diagnose"
)

// Severity is how much a finding matters.
type Severity string

// The severities.
const (
	Critical Severity = "critical" // somebody else can be trusted here now
	High     Severity = "high"     // to be looked at today
	Medium   Severity = "medium"   // to be decided upon
	Low      Severity = "low"      // to be tidied up
	Info     Severity = "info"     // to be known
)

// Severities returns all of them, the weightiest first.
func Severities() []Severity { return []Severity{Critical, High, Medium, Low, Info} }

// AtLeast reports whether s matters as much as t, or more.
func (s Severity) AtLeast(t Severity) bool {
	return slices.Index(Severities(), s) <= slices.Index(Severities(), t)
}

// Finding is something that a rule has found. All of its text is safe to
// print.
type Finding struct {
	ID       string   `json:"id" jsonschema:"the rule"`
	Key      string   `json:"key" jsonschema:"stays the same as long as the finding is about the same thing in the same store"`
	Severity Severity `json:"severity"`
	Title    string   `json:"title"`
	Store    store.ID `json:"store,omitempty"`
	Root     string   `json:"root,omitempty" jsonschema:"the offline root that the store lies in"`

	SHA256  store.Fingerprint `json:"sha256,omitzero" jsonschema:"of the certificate that it is about"`
	SPKI    store.Fingerprint `json:"spki_sha256,omitzero" jsonschema:"of that certificate's public key"`
	Subject string            `json:"subject,omitempty" jsonschema:"RFC 4514; untrusted text"`
	File    string            `json:"file,omitempty"`

	Evidence   []string    `json:"evidence"`
	Fixes      []Fix       `json:"fixes"`
	References []string    `json:"references,omitempty"`
	State      State       `json:"state"`
	Accepted   *Acceptance `json:"accepted,omitempty"`
}

// Fix is one way to make a finding go away; the first one is the best.
type Fix struct {
	Summary string `json:"summary"`
	// Commands do it, one after the other, in a POSIX shell.
	Commands []string `json:"commands,omitempty"`
	// Steps are for a person, where no command would do.
	Steps []string `json:"steps,omitempty"`
	// Admin tells that the commands need the administrator's rights.
	Admin bool `json:"requires_admin"`
}

// State is what a baseline makes of a finding.
type State string

// The states.
const (
	New      State = "new"
	Known    State = "known"    // it is in the baseline
	Accepted State = "accepted" // somebody has accepted it
)

// Store is a store as it was read.
type Store struct {
	Info    store.Info
	Entries []store.Entry
	// Problems are those of the store itself that no entry has.
	Problems []store.Problem
}

// Facts are what is known of a machine beside its stores' entries.
type Facts struct {
	Root string // the offline root; "" = this machine
	// Files are those that a store depends on, and the directories above them,
	// where something is wrong with their rights.
	Files []File
	// Keys are the private keys that lie near anchors, or where the tools that
	// make local authorities keep theirs.
	Keys []Key
	// Modified are files of packages that are not as the package has them.
	Modified []Modified
	// Overrides are settings that keep programs from heeding the stores.
	Overrides []diagnose.Override
	// AutoUpdate is where the update of the system's roots is switched off.
	AutoUpdate []Setting
	// People is how many people have a home on the machine.
	People int
}

// File is a file or directory with rights that it should not have.
type File struct {
	Store         store.ID
	Path          string
	Dir           bool
	WorldWritable bool
	Owner         string // who owns it, if that is neither root nor the store's user
	ShouldBe      string // who should
}

// Key is a private key.
type Key struct {
	Path      string
	SPKI      store.Fingerprint // the SHA-256 of its public key
	Beside    bool              // it lies beside anchors
	ForOthers bool              // other users may read it
	Mode      string
	// Store is the store whose anchors it lies beside.
	Store store.ID
}

// Modified is a file that differs from what its package has.
type Modified struct {
	Store   store.ID
	Path    string
	Package string
	Missing bool
	// Reinstall is the command that puts it back, "" if that is not known.
	Reinstall string
}

// Setting is a setting of a system.
type Setting struct{ Path, Name, Value string }

// Input is all that an audit looks at.
type Input struct {
	Stores []Store
	Facts  []Facts
	// Programme is the root programme that the stores are compared with; nil =
	// Mozilla's.
	Programme *Programme
	Now       time.Time
}

// Run returns what the rules find, the weightiest first and always in the same
// order.
func Run(in Input) []Finding {
	if in.Programme == nil {
		in.Programme = Mozilla()
	}
	var out []Finding
	for _, m := range machines(in) {
		for _, r := range rules {
			seen := map[string]bool{}
			r.find(m, func(f Finding) {
				f.ID, f.References = r.ID, r.References
				if f.Severity == "" {
					f.Severity = r.Severity
				}
				f.Root, f.State = m.root, New
				if seen[f.Key] {
					return
				}
				seen[f.Key] = true
				f.Key = key(f.ID, f.Store, f.Key)
				if f.Evidence == nil {
					f.Evidence = []string{r.Title}
				}
				out = append(out, f)
			})
		}
	}
	slices.SortStableFunc(out, func(a, b Finding) int {
		all := Severities()
		if d := slices.Index(all, a.Severity) - slices.Index(all, b.Severity); d != 0 {
			return d
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out
}

// key is what a finding is known by.
func key(id string, s store.ID, subject string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s", id, s, subject))
	return hex.EncodeToString(sum[:])
}

// machine is one system: this one, or that in an offline root.
type machine struct {
	in     *Input
	root   string
	stores []*Store
	facts  Facts

	// held is where each certificate is.
	held    map[store.Fingerprint][]holding
	shipped map[store.Fingerprint]bool // a vendor put it there, in any store
}

type holding struct {
	store *Store
	entry *store.Entry
}

func machines(in Input) []*machine {
	var out []*machine
	at := func(root string) *machine {
		for _, m := range out {
			if m.root == root {
				return m
			}
		}
		m := &machine{in: &in, root: root, facts: Facts{Root: root}, held: map[store.Fingerprint][]holding{}, shipped: map[store.Fingerprint]bool{}}
		out = append(out, m)
		return m
	}
	for i := range in.Stores {
		s := &in.Stores[i]
		m := at(s.Info.Root)
		m.stores = append(m.stores, s)
		for j := range s.Entries {
			e := &s.Entries[j]
			if e.Cert == nil {
				continue
			}
			m.held[e.Cert.SHA256] = append(m.held[e.Cert.SHA256], holding{s, e})
			if e.Origin.By == store.ByVendor {
				m.shipped[e.Cert.SHA256] = true
			}
		}
	}
	for _, f := range in.Facts {
		at(f.Root).facts = f
	}
	return out
}

// trusts reports whether an entry makes anything trusted.
func trusts(e *store.Entry) bool {
	return e.Trust.Has(store.Trusted) || e.Trust.Has(store.Peer)
}

// forServers reports whether an entry is trusted for servers.
func forServers(e *store.Entry) bool {
	d := e.Trust.For(store.PurposeServerAuth)
	return d == store.Trusted || d == store.Peer
}

// local reports whether no vendor put the certificate on the machine.
func (m *machine) local(e *store.Entry) bool {
	return e.Origin.By != store.ByVendor && !m.shipped[e.Cert.SHA256]
}

// repeated reports whether a store only holds the certificate because it
// follows another store, where it is told of.
func (m *machine) repeated(s *Store, e *store.Entry) bool {
	if s.Info.DerivedFrom == "" {
		return false
	}
	return slices.ContainsFunc(m.held[e.Cert.SHA256], func(h holding) bool { return h.store.Info.ID == s.Info.DerivedFrom })
}

// name is what a person calls a certificate.
func name(c *store.Cert) string { return `"` + store.Printable(c.Label()) + `"` }

// about begins a finding about an entry.
func about(s *Store, e *store.Entry) Finding {
	f := Finding{Store: s.Info.ID, File: store.Printable(e.Source.Path)}
	if e.Cert != nil {
		f.SHA256, f.Subject, f.Key = e.Cert.SHA256, store.Printable(e.Cert.Subject.String()), e.Cert.SHA256.String()
		if len(e.Cert.SPKI) > 0 {
			f.SPKI = sha256.Sum256(e.Cert.SPKI)
		}
	}
	return f
}

// whence tells who put an entry there, and where it lies.
func whence(e *store.Entry) []string {
	origin := string(e.Origin.By)
	if e.Origin.Detail != "" {
		origin += ", " + store.Printable(e.Origin.Detail)
	}
	out := []string{"put there by: " + origin}
	if e.Source.Path != "" {
		place := store.Printable(e.Source.Path)
		if e.Source.Item != "" {
			place += " (" + store.Printable(e.Source.Item) + ")"
		}
		out = append(out, "lies in "+place)
	}
	return out
}
