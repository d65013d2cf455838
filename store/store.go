// Package store is the model of certtrust: what a trust store is, what is in
// it, and how a change to it is planned, made and taken back.
//
// Every place that certificates are trusted from is a [Store]. A store can be
// listed; most can be edited ([Editor]). A change is a wanted end state, given
// as [Change] values. [Editor.Plan] turns it into a [Plan]: the steps from
// today's state to the wanted one, as plain data that can be printed, kept and
// applied later. [Editor.Apply] does all of a plan or nothing, reads the result
// back, and returns a [Receipt] that says how to undo it.
//
// Identity is the SHA-256 of a certificate's DER ([Fingerprint]) and nothing
// else: not a serial number, a subject, a nickname or a file name.
//
// The package needs only the standard library and does no I/O.
package store

import (
	"context"
	"iter"
	"time"
)

// Store is a place that certificates are trusted from.
//
// Methods may be called from several goroutines at once.
type Store interface {
	// Info returns what was found out about the store when it was opened.
	// It does no I/O.
	Info() Info

	// Entries yields what the store holds, in the store's own order, reading
	// lazily. Nothing is dropped in silence: an item that cannot be read is
	// yielded as an error, with Entry.Source naming it, and the iteration goes
	// on. An error with a zero Source means that the store as a whole could
	// not be read (further). Listing changes nothing.
	Entries(ctx context.Context) iter.Seq2[Entry, error]
}

// Editor is a Store that can be changed.
type Editor interface {
	Store

	// Plan returns the steps that lead from the present state to want. It
	// changes nothing and needs no more rights than Entries. What the store
	// cannot do is in Plan.Refused, with the reason; an error means that no
	// plan could be made at all.
	Plan(ctx context.Context, want []Change) (Plan, error)

	// Apply plans p.Want again and does it if, and only if, the steps come out
	// the same ([ErrStale] otherwise): nothing in p but Want is ever acted on.
	// Either all of it is done and was read back, or the store is as it was
	// and the error says why; only an error that is [ErrPartial] leaves
	// anything behind, and it says what. An empty plan does nothing and needs
	// no rights. A context that is done before the first write means that
	// nothing is done.
	Apply(ctx context.Context, p Plan) (Receipt, error)
}

// Verifier is a Store whose platform passes its own judgement on a chain.
type Verifier interface {
	// Verify judges chain (leaf first) for purpose, for the DNS name or IP
	// address host ("" = any), at the time at. The error tells that no
	// judgement could be had; a refusal is a Verdict.
	Verify(ctx context.Context, chain []*Cert, purpose Purpose, host string, at time.Time) (Verdict, error)
}

// Verdict is a platform's judgement of a chain.
type Verdict struct {
	Trusted bool          `json:"trusted"`
	Reasons []string      `json:"reasons,omitempty"` // the platform's own words or codes
	Path    []Fingerprint `json:"path,omitempty"`    // leaf to root, if there is one
}

// Repairer is a Store that knows what a crash or another tool can leave
// behind in it, and can mend that.
type Repairer interface {
	// Problems yields what is wrong with the store itself.
	Problems(ctx context.Context) iter.Seq2[Problem, error]

	// PlanRepair returns the steps that mend those of the problems that can be
	// mended; the others are in Plan.Refused. The plan is applied with Apply.
	PlanRepair(ctx context.Context, problems []Problem) (Plan, error)
}

// ID names a store for good, such as "anchors:system" or
// "nss:firefox/abcd.default-release": the backend, a colon, and the place.
type ID string

// Backend returns the part before the colon.
func (id ID) Backend() string {
	for i := range id {
		if id[i] == ':' {
			return string(id[:i])
		}
	}
	return string(id)
}

// Scope tells whom a store is for.
type Scope string

// The scopes.
const (
	ScopeSystem Scope = "system" // all users and services of the machine
	ScopeUser   Scope = "user"   // one user
)

// Info describes a store as it was found.
type Info struct {
	ID          ID       `json:"id"`
	Backend     string   `json:"backend"`
	Title       string   `json:"title"`
	Scope       Scope    `json:"scope"`
	Owner       string   `json:"owner,omitempty"`       // the user, for ScopeUser
	Root        string   `json:"root,omitempty"`        // the offline root that it lies in
	Location    string   `json:"location"`              // the path or name under which the platform knows it
	Default     bool     `json:"default"`               // commands that change something choose it unasked
	DerivedFrom ID       `json:"derivedFrom,omitempty"` // it is generated from, or follows, that store
	Access      Access   `json:"access"`
	Asks        string   `json:"asks,omitempty"` // what the system asks a person for when it is changed, said beforehand
	Express     Express  `json:"express"`
	Readers     []string `json:"readers,omitempty"` // the programs that trust what is in it
}

// Access tells what stands in the way, known before anything fails. nil means
// that nothing does.
type Access struct {
	Read  *Obstacle `json:"read,omitempty"`
	Write *Obstacle `json:"write,omitempty"`
}

// Obstacle is a reason why a store cannot be read or written as things are.
type Obstacle struct {
	Kind ObstacleKind `json:"kind"`
	Text string       `json:"text"`
	Hint string       `json:"hint,omitempty"` // what to do about it
}

// ObstacleKind says what sort of obstacle it is.
type ObstacleKind string

// The kinds of obstacles.
const (
	NeedsElevation ObstacleKind = "needs-elevation" // another user's rights
	NeedsConsent   ObstacleKind = "needs-consent"   // a person must answer a dialog
	NeedsSecret    ObstacleKind = "needs-secret"    // a password
	ToolMissing    ObstacleKind = "tool-missing"    // a program that must do it is not installed
	ReadOnly       ObstacleKind = "read-only"       // cannot be written by anybody as things are
	Managed        ObstacleKind = "managed"         // something else declares its content
	Damaged        ObstacleKind = "damaged"         // the format is broken
)

// Yields reports whether rights, a person's yes or a password get the obstacle
// out of the way, in the same command.
func (o *Obstacle) Yields() bool {
	return o.Kind == NeedsElevation || o.Kind == NeedsConsent || o.Kind == NeedsSecret
}

// Err returns the obstacle as an error of the matching kind, nil for nil.
func (o *Obstacle) Err(op string, id ID) error {
	if o == nil {
		return nil
	}
	kinds := map[ObstacleKind]error{
		NeedsElevation: ErrPermission, NeedsConsent: ErrConsent, NeedsSecret: ErrSecret,
		ToolMissing: ErrToolMissing, ReadOnly: ErrReadOnly, Managed: ErrManaged, Damaged: ErrCorrupt,
	}
	return &Error{Op: op, Store: id, Err: Because(kinds[o.Kind], "%s", o.Text), Hint: o.Hint}
}

// Express tells what a store can hold.
type Express struct {
	Purposes  []Purpose  `json:"purposes"`  // what it can tell apart; only PurposeAny if nothing
	Decisions []Decision `json:"decisions"` // the decisions it can hold
	Labels    bool       `json:"labels"`    // it keeps a label for each certificate
}

// Entry is one item of a store.
type Entry struct {
	// Cert is the certificate, nil for an item that has none (see Match).
	Cert *Cert
	// Label is what the store calls it or, where a store has no names, what
	// the certificate calls itself. It is untrusted text.
	Label string
	// Trust is how the store's readers take it now.
	Trust  Trust
	Origin Origin
	Source Source
	// Native is what only this kind of store knows: shown, and carried
	// unchanged through edits.
	Native   map[string]string
	Problems []Problem
	// Match is set for an item without a certificate, such as a distrust by
	// issuer and serial number.
	Match *Match
}

// Origin tells who put an entry there.
type Origin struct {
	By     OriginBy `json:"by"`
	Detail string   `json:"detail,omitempty"` // a package with its version, a tool, a user
}

// OriginBy is the sort of party that put an entry there.
type OriginBy string

// The parties.
const (
	ByVendor    OriginBy = "vendor"    // came with the system or program
	ByPolicy    OriginBy = "policy"    // a management system
	ByAdmin     OriginBy = "admin"     // the machine's administrator, by hand or with a tool
	ByUser      OriginBy = "user"      // the user
	ByCerttrust OriginBy = "certtrust" // this program
	ByUnknown   OriginBy = "unknown"
)

// Source is where in a store an entry lies.
type Source struct {
	Kind string `json:"kind"`           // the backend's word, such as "anchor", "bundle", "stray"
	Path string `json:"path,omitempty"` // as seen on the machine the store belongs to
	Item string `json:"item,omitempty"` // which of several in Path: a number, alias or object ID
}

// Match identifies certificates by something other than themselves. Fields
// are raw DER; nil means any.
type Match struct {
	Issuer  []byte `json:"issuer,omitempty"`
	Serial  []byte `json:"serial,omitempty"`
	Subject []byte `json:"subject,omitempty"`
	SPKI    []byte `json:"spki,omitempty"`
}

// Problem is something wrong with an entry or a store. Code is stable.
type Problem struct {
	Code string `json:"code"`
	Path string `json:"path,omitempty"`
	Text string `json:"text"`
	// Fingerprint is the certificate that it is about, if it is about one.
	Fingerprint *Fingerprint `json:"sha256,omitempty"`
	// Mendable tells that PlanRepair knows what to do about it.
	Mendable bool `json:"mendable,omitempty"`
}
