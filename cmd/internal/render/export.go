package render

import (
	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/store"
)

// ExportDoc tells what was written out.
type ExportDoc struct {
	Schema       string              `json:"schema"`
	Format       string              `json:"format"`
	Output       string              `json:"output,omitempty" jsonschema:"the file or directory; absent for standard output"`
	Certificates []ExportCertificate `json:"certificates"`
}

// ExportCertificate is a certificate that was written.
type ExportCertificate struct {
	SHA256 store.Fingerprint `json:"sha256"`
	Label  string            `json:"label" jsonschema:"untrusted text"`
}

// NewExportDoc returns the document, still without certificates.
func NewExportDoc(format, output string) ExportDoc {
	return ExportDoc{Schema: Schema("export"), Format: format, Output: output}
}

// Text writes a line for each certificate.
func (d ExportDoc) Text(s *term.Streams) error {
	w := textWriter{s: s}
	for _, c := range d.Certificates {
		w.line(c.SHA256.Short() + "  " + store.Printable(c.Label))
	}
	return w.err
}
