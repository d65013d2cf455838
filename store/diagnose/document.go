package diagnose

import (
	"time"

	"github.com/certtrust/certtrust/store"
)

// Document is a diagnosis as data: the JSON document certtrust.diagnose/v1.
type Document struct {
	Schema         string       `json:"schema"`
	Time           time.Time    `json:"time"` // that validity was judged at
	Target         DocTarget    `json:"target"`
	Address        *string      `json:"address"`
	Connection     *Connection  `json:"connection"`
	Verdict        Verdict      `json:"verdict"`
	Summary        string       `json:"summary"`
	Causes         []Cause      `json:"causes"` // empty when trusted; the first is the one to act on
	Warnings       []Cause      `json:"warnings"`
	Fixes          []Fix        `json:"fixes"`
	NotRecommended []Not        `json:"not_recommended"`
	Chain          []ChainCert  `json:"chain"`
	Paths          []Path       `json:"paths"`
	Stores         []StoreView  `json:"stores"`
	Clients        []ClientView `json:"clients"`
	Overrides      []DocOver    `json:"overrides,omitempty"`

	certs map[store.Fingerprint]*store.Cert
}

// Certificate returns a certificate that the server sent or that was fetched,
// nil if none of them has that SHA-256.
func (d *Document) Certificate(sha256 string) *store.Cert {
	for fp, c := range d.certs {
		if fp.String() == sha256 {
			return c
		}
	}
	return nil
}

// DocTarget is the target as it was taken.
type DocTarget struct {
	Input      string  `json:"input"`
	Host       string  `json:"host"`
	Port       int     `json:"port"`
	ServerName string  `json:"servername"`
	StartTLS   *string `json:"starttls"`
	Connect    *string `json:"connect"`
	Proxy      *string `json:"proxy"`
}

// Connection tells what TLS came to.
type Connection struct {
	TLSVersion          string     `json:"tls_version"`
	Cipher              string     `json:"cipher"`
	Alert               *string    `json:"alert"`
	ClientCertRequested bool       `json:"client_cert_requested"`
	OCSPStapled         bool       `json:"ocsp_stapled"`
	HTTPDate            *time.Time `json:"http_date"`
}

// Verdict is the outcome for the selected stores.
type Verdict string

// The verdicts.
const (
	Trusted         Verdict = "trusted" // by every selected store
	Untrusted       Verdict = "untrusted"
	HandshakeFailed Verdict = "handshake_failed"
	NotTLS          Verdict = "not_tls"
	Unreachable     Verdict = "unreachable"
)

// Severity is how much a cause matters.
type Severity string

// The severities.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Info    Severity = "info"
)

// Confidence is how sure a cause is.
type Confidence string

// The confidences.
const (
	Proven   Confidence = "proven"
	Likely   Confidence = "likely"
	Possible Confidence = "possible"
)

// Cause is one reason why the server is not trusted, with its proof.
type Cause struct {
	Code         string            `json:"code"`
	Severity     Severity          `json:"severity"`
	Confidence   Confidence        `json:"confidence"`
	Cert         *string           `json:"cert"`  // SHA-256 of the certificate that is meant
	Depth        *int              `json:"depth"` // 0 = leaf
	Summary      string            `json:"summary"`
	Meaning      string            `json:"meaning,omitempty"`
	Evidence     []Evidence        `json:"evidence"`
	Hint         string            `json:"hint,omitempty"`
	IdentifiedAs string            `json:"identified_as,omitempty"`
	Repairable   bool              `json:"repairable,omitempty"`
	Repair       *Repair           `json:"repair,omitempty"`
	ClientErrors map[string]string `json:"client_errors,omitempty"` // what clients call it
	Fixes        []string          `json:"fixes,omitempty"`         // IDs, best first
	Stores       []string          `json:"stores,omitempty"`        // IDs of the stores that it is about; empty = all
}

// Evidence is one observed fact.
type Evidence struct {
	Kind string `json:"kind"` // field, signature, fetch, clock, store, alert, ocsp, crl, socket, name
	Text string `json:"text"`
	Data any    `json:"data,omitempty"` // {"certificate","field","value","expected"} and the like
}

// Repair is what would complete the chain.
type Repair struct {
	URL          string   `json:"url,omitempty"`
	Certificates []string `json:"certificates,omitempty"` // PEM
}

// Fix is something that somebody can do.
type Fix struct {
	ID            string   `json:"id"`
	For           []string `json:"for,omitempty"` // codes of causes
	Who           string   `json:"who"`           // server, client, admin, network
	OS            string   `json:"os,omitempty"`
	Store         *string  `json:"store"`
	Summary       string   `json:"summary"`
	Commands      []string `json:"commands,omitempty"`
	Steps         []string `json:"steps,omitempty"` // by hand
	RequiresAdmin bool     `json:"requires_admin"`
	Risk          string   `json:"risk"` // none, low, high
	Preferred     bool     `json:"preferred"`
}

// Not is a fix that must not be made.
type Not struct {
	ID  string `json:"id"`
	Why string `json:"why"`
}

// ChainCert is a certificate of the chain, or one that was found elsewhere.
type ChainCert struct {
	Position  *int      `json:"position"` // in what the server sent
	Source    string    `json:"source"`   // sent, aia, store, unparsed
	Role      string    `json:"role"`     // leaf, intermediate, root, extra
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	SHA256    string    `json:"sha256"`
	SPKI      string    `json:"spki_sha256"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Key       string    `json:"key"`
	Signature string    `json:"signature"`
	Names     []string  `json:"names,omitempty"`    // subject alternative names
	Problems  []string  `json:"problems,omitempty"` // codes
	Store     string    `json:"store,omitempty"`    // for source store: which
}

// Path is a way from the leaf up, as far as it goes.
type Path struct {
	Store  string   `json:"store"`
	Certs  []string `json:"certs"` // SHA-256, leaf first
	Anchor bool     `json:"anchor"`
}

// StoreView is the outcome for one store.
type StoreView struct {
	ID      string   `json:"id"`
	Name    string   `json:"name,omitempty"`
	Kind    string   `json:"kind,omitempty"`
	Scope   string   `json:"scope,omitempty"`
	UsedBy  []string `json:"used_by,omitempty"`
	Verdict string   `json:"verdict"` // trusted, untrusted, unknown
	Causes  []string `json:"causes,omitempty"`
	Anchor  *string  `json:"anchor"`
	Error   *string  `json:"error"`
	// Counts tells that the verdict and the exit code depend on it.
	Counts bool `json:"counts"`
	// Platform is what the store's platform says itself, where it judges.
	Platform *PlatformView `json:"platform,omitempty"`
}

// PlatformView is the verdict of a platform.
type PlatformView struct {
	Trusted bool     `json:"trusted"`
	Reasons []string `json:"reasons,omitempty"`
}

// ClientView is what a client of that kind is expected to do.
type ClientView struct {
	ID      string `json:"id"`
	Accepts *bool  `json:"accepts"` // null: cannot be told
	Error   string `json:"error,omitempty"`
	Why     string `json:"why,omitempty"`
	Store   string `json:"store,omitempty"`
}

// DocOver is an override of the caller's environment.
type DocOver struct {
	Client string `json:"client"`
	Source string `json:"source"`
	Name   string `json:"name"`
	Value  string `json:"value"`
	Effect string `json:"effect"`
	Error  string `json:"error,omitempty"`
}
