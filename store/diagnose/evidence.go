package diagnose

import (
	"context"
	"time"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/roots"
)

// Target is the server that is asked about.
type Target struct {
	Input      string // as the caller wrote it
	Host       string // DNS name (ASCII) or IP address, without brackets
	Port       int
	ServerName string // sent as SNI, and the name that must be in the certificate; "" = Host
	StartTLS   string // protocol that is upgraded: "smtp", "imap", …; "" = TLS from the start
	Connect    string // "IP:PORT" to connect to instead of asking DNS
	Proxy      string // the HTTP proxy that is gone through, "host:port"
	HTTPS      bool   // HTTP may be spoken once TLS stands
}

// Name returns the name that the certificate must be for.
func (t Target) Name() string {
	if t.ServerName != "" {
		return t.ServerName
	}
	return t.Host
}

// Capture is what a server showed: evidence, without judgement.
type Capture struct {
	Target  Target
	Address string // "IP:PORT" that was connected to

	// Failure tells what ended the attempt, nil if the handshake went through.
	// Certificates may be there all the same, where the failure came later.
	Failure *Failure

	Certificates [][]byte // DER, in the order sent; as they are, whatever they are
	TLSVersion   uint16   // 0 if no handshake got that far
	CipherSuite  uint16
	Staple       []byte   // OCSP response, DER
	SCTs         [][]byte // from the TLS extension

	ClientCertRequested bool
	AcceptableCAs       [][]byte // DER names that the server takes client certificates of

	HTTPDate   time.Time // the Date of an HTTP answer on this connection
	HTTPStatus int
	Redirect   string // the Location of that answer

	Plain         []byte // the first bytes of what came instead of TLS
	PlainRedirect string // where plain HTTP on this port leads to

	// WithoutSNI is the chain that a client gets that sends no name; nil if it
	// was not asked for.
	WithoutSNI [][]byte
	Took       time.Duration
}

// Failure is what ended an attempt. Code is one of the tls.* and net.* codes.
type Failure struct {
	Code  string
	Text  string // the words of the system or the library, for people
	Alert uint8  // the TLS alert that the server sent, with HasAlert
	// HasAlert tells that Alert was received.
	HasAlert bool
}

// Request is what a [Fetcher] is asked for.
type Request struct {
	URL    string
	Body   []byte // for a POST (OCSP); nil = GET
	Accept string // the type of Body
}

// Response is what came back.
type Response struct {
	Body []byte
	Date time.Time // the Date header, zero if there was none
}

// Fetcher gets what certificates point at (AIA, OCSP, CRL). It bounds itself:
// schemes, addresses, redirects, time, size and number of requests. It may be
// used by several goroutines at once.
type Fetcher interface {
	Fetch(ctx context.Context, r Request) (Response, error)
}

// View is a store as it was read, to be judged against.
type View struct {
	Info    store.Info
	Entries []store.Entry
	Err     error  // the store could not be read, or not completely
	Counts  bool   // the verdict depends on it
	Package string // what the store came with, such as "ca-certificates 20230311", "" if unknown
	// Programme: besides what it holds, its readers trust the public roots:
	// they bring them along, as Firefox and Chromium do, or fetch them when
	// they are needed, as Windows does.
	Programme bool
	// Verifier is the platform's own judgement of the store, nil = there is
	// none. The verdict on the store is then the platform's; why it is so is
	// still found out here.
	Verifier store.Verifier
}

// Override is something in the caller's environment that makes a program look
// elsewhere than at the stores, or not look at all.
type Override struct {
	Client string       // "openssl", "curl", "python", "node", "git", …: an ID of [Clients]
	Source string       // "SSL_CERT_FILE", or a file with its line: "/home/x/.npmrc:3"
	Name   string       // the variable or setting: "cafile", "strict-ssl", …
	Value  string       // untrusted text
	Effect OverrideKind // what it does
	// Only is the server or the address that it is for, as it is written there;
	// "" = all.
	Only string
	// Roots are the anchors that it makes the client use, for Replaces and
	// Adds; nil if they could not be read, with Err.
	Roots []*store.Cert
	Err   error
	// Programme: what Replaces names comes on top of the roots that the client
	// brings along.
	Programme bool
}

// OverrideKind is what an override does to a client.
type OverrideKind string

// The kinds of overrides.
const (
	Replaces OverrideKind = "replaces" // the client's roots are these and no others
	Adds     OverrideKind = "adds"     // these roots come in addition
	Disables OverrideKind = "disables" // nothing is verified
)

// Input is all that a diagnosis is made from.
type Input struct {
	Capture   Capture
	Views     []View // the first is the one to fix first
	Overrides []Override
	Now       time.Time // this machine's clock
	// At tells that Now is no clock but a time that somebody has chosen to
	// judge at: it proves nothing about this machine.
	At bool
	// Built is when this program was made: a clock that is before it is wrong.
	// Zero: not known.
	Built   time.Time
	Fetcher Fetcher // nil: nothing is fetched
	// Expiring is from when on it is told that a certificate of the chain will
	// expire; 0 is 14 days.
	Expiring time.Duration
	OS       string // as runtime.GOOS
	Family   string // family of the system store: "debian", "fedora", …; "" if unknown
	Lang     Lang   // "" is English
	// Roots is the root programme that stores are compared with; nil: Mozilla's.
	Roots *roots.Programme
}
