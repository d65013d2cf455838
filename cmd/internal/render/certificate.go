package render

import (
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/store"
)

// Certificate is the record of a certificate. What a certificate that cannot
// be parsed does not tell is left out; for an item that has no certificate,
// that is all but the label.
type Certificate struct {
	SHA256        store.Fingerprint `json:"sha256,omitzero" jsonschema:"of the certificate's DER: its identity"`
	Label         string            `json:"label" jsonschema:"what the certificate calls itself; untrusted text"`
	Subject       string            `json:"subject,omitempty" jsonschema:"RFC 4514"`
	Issuer        string            `json:"issuer,omitempty" jsonschema:"RFC 4514"`
	Serial        string            `json:"serial,omitempty" jsonschema:"lower-case hex, after a minus sign if negative"`
	NotBefore     time.Time         `json:"notBefore,omitzero"`
	NotAfter      time.Time         `json:"notAfter,omitzero"`
	DaysLeft      *int              `json:"daysLeft,omitempty" jsonschema:"whole days until notAfter, negative once that is past"`
	CA            bool              `json:"ca"`
	SelfIssued    bool              `json:"selfIssued" jsonschema:"issuer and subject are the same"`
	Key           string            `json:"key,omitempty" jsonschema:"algorithm, and size or curve"`
	Signature     string            `json:"signature,omitempty" jsonschema:"algorithm"`
	PurposesLimit []store.Purpose   `json:"purposesLimit,omitempty" jsonschema:"the purposes that the certificate limits itself to; absent if it does not"`
	ParseError    string            `json:"parseError,omitempty" jsonschema:"why strict parsers refuse the certificate"`
	PEM           string            `json:"pem,omitempty" jsonschema:"on request"`
}

// NewCertificate describes c as it is at the time now.
func NewCertificate(c *store.Cert, now time.Time, withPEM bool) Certificate {
	out := Certificate{
		SHA256: c.SHA256, Label: c.Label(), Subject: c.Subject.String(), Issuer: c.Issuer.String(),
		Serial: serialText(c.Serial), NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		CA: c.IsCA(), SelfIssued: c.SelfIssued(), Key: c.Key(), Signature: c.SignatureAlgorithm,
		PurposesLimit: c.ExtendedKeyUsage(),
	}
	if !c.NotAfter.IsZero() {
		days := int(floorDiv(c.NotAfter.Unix()-now.Unix(), 24*60*60))
		out.DaysLeft = &days
	}
	if err := c.ParseError(); err != nil {
		out.ParseError = err.Error()
	}
	if withPEM {
		out.PEM = pemText(c.Raw)
	}
	return out
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func serialText(n *big.Int) string {
	if n == nil {
		return ""
	}
	digits := new(big.Int).Abs(n).Text(16)
	if len(digits)%2 == 1 {
		digits = "0" + digits
	}
	if n.Sign() < 0 {
		return "-" + digits
	}
	return digits
}

func pemText(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// soon is from when on the days are counted for people.
const soon = 30

// expires is a table's cell for when a certificate expires.
func (c Certificate) expires() Cell {
	if c.DaysLeft == nil {
		return Cell{}
	}
	date := c.NotAfter.UTC().Format(time.DateOnly)
	switch days := *c.DaysLeft; {
	case days < 0:
		return Cell{"expired " + date, term.Red}
	case days <= soon:
		return Cell{fmt.Sprintf("in %dd %s", days, date), term.Yellow}
	}
	return Cell{Text: date}
}

// daysText tells the days left in words.
func (c Certificate) daysText() Cell {
	switch days := *c.DaysLeft; {
	case days < 0:
		return Cell{"expired", term.Red}
	case days <= soon:
		return Cell{count(days, "day") + " left", term.Yellow}
	default:
		return Cell{Text: count(days, "day") + " left"}
	}
}

// short is the fingerprint for tables, "" if there is none.
func (c Certificate) short() string {
	if c.SHA256.IsZero() {
		return ""
	}
	return c.SHA256.Short()
}
