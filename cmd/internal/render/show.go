package render

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
	"github.com/certtrust/certtrust/store/lint"
)

// ShowDoc tells all about certificates.
type ShowDoc struct {
	Schema       string            `json:"schema"`
	Certificates []ShowCertificate `json:"certificates"`
}

// NewShowDoc returns the document for certificates.
func NewShowDoc(certs []ShowCertificate) ShowDoc {
	return ShowDoc{Schema: Schema("show"), Certificates: certs}
}

// ShowCertificate is a certificate in full, and where it is trusted.
type ShowCertificate struct {
	Certificate
	Version         int              `json:"version,omitempty"`
	SHA1            string           `json:"sha1" jsonschema:"of the certificate's DER, lower-case hex; to compare, not to rely on"`
	SPKISHA256      string           `json:"spkiSha256,omitempty" jsonschema:"of the public key, base64: the pin of RFC 7469"`
	PathLength      *int             `json:"pathLength,omitempty" jsonschema:"how many intermediates may follow"`
	KeyUsage        []string         `json:"keyUsage,omitempty" jsonschema:"the names of RFC 5280"`
	SubjectKeyID    string           `json:"subjectKeyId,omitempty" jsonschema:"lower-case hex"`
	AuthorityKeyID  string           `json:"authorityKeyId,omitempty" jsonschema:"lower-case hex"`
	SubjectAltNames []string         `json:"subjectAltNames,omitempty" jsonschema:"each with its type, such as DNS:www.example.com; untrusted text"`
	NameConstraints *NameConstraints `json:"nameConstraints,omitempty"`
	IssuerURLs      []string         `json:"issuerURLs,omitempty"`
	OCSPURLs        []string         `json:"ocspURLs,omitempty"`
	RevocationURLs  []string         `json:"revocationURLs,omitempty"`
	Policies        []string         `json:"policies,omitempty" jsonschema:"certificate policies, dotted OIDs"`
	SCTs            []SCT            `json:"scts,omitempty" jsonschema:"proofs that certificate transparency logs have it"`
	SubjectHash     string           `json:"subjectHash,omitempty" jsonschema:"the name of its link in a directory of OpenSSL"`
	SubjectHashOld  string           `json:"subjectHashOld,omitempty" jsonschema:"the same for OpenSSL before 1.0 and Android"`
	Kind            string           `json:"kind" jsonschema:"root, intermediate or leaf"`
	From            string           `json:"from,omitempty" jsonschema:"where it was found in what was given; untrusted text"`
	PrivateKey      bool             `json:"privateKey,omitempty" jsonschema:"its private key is beside it in the file"`
	Extensions      []ShowExtension  `json:"extensions" jsonschema:"all of them, in the order of the certificate"`
	In              []Holding        `json:"in" jsonschema:"the stores that hold the certificate"`
	Concerns        []store.Concern  `json:"concerns" jsonschema:"what speaks against making it a trust anchor"`
	Lint            []lint.Finding   `json:"lint,omitempty" jsonschema:"on request: programs that will refuse it as an anchor although a store trusts it"`

	linted bool
}

// SCT is a signed certificate timestamp (RFC 6962, 3.2).
type SCT struct {
	Log  string    `json:"log" jsonschema:"the log's ID, lower-case hex"`
	Time time.Time `json:"time"`
}

// WithLint adds what programs will refuse it.
func (c *ShowCertificate) WithLint(findings []lint.Finding) { c.Lint, c.linted = findings, true }

// NameConstraints are the names that a CA is limited to. Those that could not
// be read are missing.
type NameConstraints struct {
	Critical  bool     `json:"critical"`
	Permitted []string `json:"permitted"`
	Excluded  []string `json:"excluded"`
}

// ShowExtension is an extension of a certificate.
type ShowExtension struct {
	OID      string `json:"oid"`
	Critical bool   `json:"critical"`
}

// Holding tells how a store holds a certificate.
type Holding struct {
	Store    store.ID        `json:"store"`
	Label    string          `json:"label,omitempty" jsonschema:"what the store calls it; untrusted text"`
	Trust    store.Trust     `json:"trust"`
	Origin   store.Origin    `json:"origin"`
	Source   store.Source    `json:"source"`
	Problems []store.Problem `json:"problems"`
}

// NewHolding describes an entry that holds the certificate.
func NewHolding(id store.ID, e store.Entry) Holding {
	return Holding{Store: id, Label: e.Label, Trust: e.Trust, Origin: e.Origin, Source: e.Source, Problems: e.Problems}
}

// NewShowCertificate describes c as it is at the time now, and the entries
// that hold it.
func NewShowCertificate(c *store.Cert, in []Holding, now time.Time, withPEM bool) ShowCertificate {
	sum := sha1.Sum(c.Raw)
	out := ShowCertificate{
		Certificate: NewCertificate(c, now, withPEM),
		Version:     c.Version,
		SHA1:        hex.EncodeToString(sum[:]),
		Kind:        c.Kind(),
		In:          in,
		Concerns:    store.Concerns(c, now),
	}
	if c.SPKI != nil {
		pin := sha256.Sum256(c.SPKI)
		out.SPKISHA256 = base64.StdEncoding.EncodeToString(pin[:])
	}
	if c.Version != 0 {
		out.SubjectHash, out.SubjectHashOld = certfile.SubjectHash(c), certfile.OldSubjectHash(c)
	}
	for i, name := range keyUsages {
		if usage, _ := c.KeyUsage(); usage&(1<<i) != 0 {
			out.KeyUsage = append(out.KeyUsage, name)
		}
	}
	for _, ext := range c.Extensions {
		out.Extensions = append(out.Extensions, ShowExtension{ext.OID, ext.Critical})
		if read := extensionReaders[ext.OID]; read != nil {
			read(&out, ext)
		}
	}
	return out
}

// keyUsages are the names of the bits (RFC 5280, 4.2.1.3), lowest first.
var keyUsages = []string{
	"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
	"keyCertSign", "cRLSign", "encipherOnly", "decipherOnly",
}

// Text writes a block of lines for each certificate.
func (d ShowDoc) Text(s *term.Streams) error {
	w := textWriter{s: s}
	for _, c := range d.Certificates {
		w.blank()
		c.write(&w)
	}
	return w.err
}

func (c ShowCertificate) write(w *textWriter) {
	text := func(s string) Cell { return Cell{Text: store.Printable(s)} }
	texts := func(list []string) (cells []Cell) {
		for _, s := range list {
			cells = append(cells, text(s))
		}
		return cells
	}
	w.field("name", Cell{store.Printable(c.Label), term.Bold})
	// Distinguished names have escapes of their own.
	w.field("subject", Cell{Text: c.Subject})
	if c.SelfIssued {
		w.field("issuer", Cell{Text: "itself"})
	} else {
		w.field("issuer", Cell{Text: c.Issuer})
	}
	w.field("serial", text(c.Serial))
	if c.DaysLeft != nil {
		valid, left := "", c.daysText()
		if !c.NotBefore.IsZero() {
			valid = timeText(c.NotBefore) + " "
		}
		w.field("valid", Cell{fmt.Sprintf("%sto %s, %s", valid, timeText(c.NotAfter), left.Text), left.Style})
	}
	w.field("key", text(c.Key))
	w.field("signature", text(c.Signature))
	w.field("CA", Cell{Text: c.authority()})
	if c.PrivateKey {
		w.field("private key", Cell{"beside it in the file: keep it safe", term.Yellow})
	}
	w.field("found in", text(c.From))
	w.field("key usage", text(strings.Join(c.KeyUsage, ", ")))
	w.field("only for", text(join(c.PurposesLimit, ", ")))
	w.field("names", texts(c.SubjectAltNames)...)
	w.field("policies", text(strings.Join(c.Policies, ", ")))
	w.field("name constraints", texts(c.NameConstraints.lines())...)
	w.field("sha-256", Cell{Text: c.SHA256.String()})
	w.field("sha-1", text(c.SHA1))
	w.field("public key pin", text(prefixed("sha256/", c.SPKISHA256)))
	w.field("subject key id", text(c.SubjectKeyID))
	w.field("authority key id", text(c.AuthorityKeyID))
	w.field("issuer at", texts(c.IssuerURLs)...)
	w.field("ocsp", texts(c.OCSPURLs)...)
	w.field("revocation list", texts(c.RevocationURLs)...)
	for _, sct := range c.SCTs {
		w.field("logged", Cell{Text: timeText(sct.Time) + " in " + sct.Log})
	}
	w.field("openssl hash", text(hashText(c.SubjectHash, c.SubjectHashOld)))
	w.field("refused", Cell{store.Printable(prefixed("by strict parsers: ", c.ParseError)), term.Red})
	for _, concern := range c.Concerns {
		w.field("concern", Cell{concernText(concern), term.Yellow})
	}
	for _, f := range c.Lint {
		w.field("lint", Cell{f.Code + ": " + f.String(), term.Yellow}, Cell{"source: " + f.Source, term.Dim})
	}
	if c.linted && len(c.Lint) == 0 {
		w.field("lint", Cell{Text: "no program is known that will refuse it as an anchor"})
	}
	w.field("in", c.holdings()...)
	if c.PEM != "" {
		w.line()
		for line := range strings.Lines(c.PEM) {
			w.line(strings.TrimSuffix(line, "\n"))
		}
	}
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

func (c ShowCertificate) authority() string {
	switch {
	case !c.CA:
		return "no"
	case c.PathLength == nil:
		return "yes"
	}
	return fmt.Sprintf("yes, path length %d", *c.PathLength)
}

func (n *NameConstraints) lines() []string {
	if n == nil {
		return nil
	}
	var lines []string
	for _, name := range n.Permitted {
		lines = append(lines, "permitted "+name)
	}
	for _, name := range n.Excluded {
		lines = append(lines, "excluded "+name)
	}
	if lines == nil {
		return []string{"present"}
	}
	return lines
}

func concernText(c store.Concern) string {
	text := c.Code + ": " + c.Text
	if c.Advice != "" {
		text += " (" + c.Advice + ")"
	}
	return text
}

// holdings writes where a certificate is trusted.
func (c ShowCertificate) holdings() []Cell {
	if len(c.In) == 0 {
		return plain("no store")
	}
	var cells []Cell
	for _, h := range c.In {
		parts := []string{string(h.Store), trustText(h.Trust), originText(h.Origin), h.Source.Path}
		for _, p := range h.Problems {
			parts = append(parts, "problem "+p.Code+": "+p.Text)
		}
		cell := Cell{Text: strings.Join(include(nil, parts...), ", ")}
		if h.Trust.Has(store.Distrusted) {
			cell.Style = term.Red
		}
		cells = append(cells, cell)
	}
	return cells
}

func hashText(now, old string) string {
	if now == "" {
		return ""
	}
	return now + ", old " + old
}
