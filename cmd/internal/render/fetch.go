package render

import (
	"fmt"
	"time"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// FetchDoc is the chain that a server sends, or what is in a file.
type FetchDoc struct {
	Schema       string             `json:"schema"`
	Target       string             `json:"target" jsonschema:"as it was asked for"`
	Address      string             `json:"address,omitempty" jsonschema:"that was connected to"`
	Certificates []FetchCertificate `json:"certificates" jsonschema:"in the order sent, then what was got from elsewhere"`
}

// FetchCertificate is a certificate of a chain.
type FetchCertificate struct {
	Certificate
	Kind   string `json:"kind" jsonschema:"root, intermediate or leaf"`
	Source string `json:"source" jsonschema:"sent, aia: from where another certificate says that its issuer is, or file"`
}

// NewFetchDoc returns the document for a server, still without certificates.
func NewFetchDoc(target, address string) FetchDoc {
	return FetchDoc{Schema: Schema("fetch"), Target: target, Address: address}
}

// NewFetchCertificate describes a certificate that was got from source.
func NewFetchCertificate(c *store.Cert, source string, now time.Time) FetchCertificate {
	return FetchCertificate{Certificate: NewCertificate(c, now, true), Kind: c.Kind(), Source: source}
}

// Text writes a table, a row for each certificate.
func (d FetchDoc) Text(s *term.Streams) error {
	t := NewTable(Column{Title: "SHA-256", Min: 16}, Column{Title: "KIND"}, Column{Title: "NAME", Min: 20},
		Column{Title: "ISSUER", Min: 20, Drop: true}, Column{Title: "EXPIRES"}, Column{Title: "SOURCE"})
	for _, c := range d.Certificates {
		t.Row(Cell{Text: c.SHA256.String()}, Cell{Text: c.Kind}, Cell{Text: store.Printable(c.Label)},
			Cell{Text: commonName(c.Issuer)}, c.expires(), Cell{Text: c.Source})
	}
	return t.Write(s)
}

// PEM writes the certificates in PEM, each after lines that tell what it is.
func (d FetchDoc) PEM(s *term.Streams) error {
	for _, c := range d.Certificates {
		_, err := fmt.Fprintf(s.Out, "# %s: %s\n# sha256: %s\n# source: %s\n%s", c.Kind, certfile.Comment(c.Label), c.SHA256, c.Source, c.PEM)
		if err != nil {
			return err
		}
	}
	return nil
}
