package diagnose

import (
	"crypto/tls"
	"fmt"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// judgeConnection puts in words what ended the connection, or what was odd
// about it.
func (e *engine) judgeConnection() {
	c := &e.in.Capture
	where := c.Address
	if where == "" {
		where = fmt.Sprintf("%s:%d", c.Target.Host, c.Target.Port)
	}
	where = store.Printable(where)
	if f := c.Failure; f != nil {
		code := f.Code
		if _, known := Lookup(code, English); !known {
			code = "tls.alert"
		}
		kind := "socket"
		if f.HasAlert {
			kind = "alert"
		}
		text := store.Printable(shorten(f.Text))
		out := finding{code: code, severity: Error, confidence: Proven, depth: -1, place: nowhere, args: []any{where, text},
			evidence: []Evidence{e.evidence(kind, evSaid, where, text)}}
		if f.HasAlert {
			out.evidence[0].Data = map[string]any{"alert": f.Alert}
		}
		if len(c.Plain) > 0 {
			out.evidence = append(out.evidence, e.evidence("socket", evPlain, store.Printable(shorten(string(c.Plain)))))
		}
		if c.PlainRedirect != "" {
			out.evidence = append(out.evidence, e.evidence("socket", evRedirect, store.Printable(shorten(c.PlainRedirect))))
		}
		if len(c.Certificates) > 0 && strings.HasPrefix(code, "tls.client_cert") {
			// The server showed who it is: that can be judged, and it is not
			// what the failure is about.
			out.severity = Warning
		}
		e.findings = append(e.findings, out)
	} else if c.ClientCertRequested {
		f := finding{code: "tls.client_cert_required", severity: Info, confidence: Proven, depth: -1, place: nowhere, args: []any{where, ""},
			evidence: []Evidence{e.evidence("alert", evAsksForCert, where)}}
		e.findings = append(e.findings, f)
	}
	e.judgeProtocol(where)
	e.judgeSize(where)
}

// oldCiphers are those that no current client offers.
func oldCipher(name string) bool {
	return strings.Contains(name, "_RC4_") || strings.Contains(name, "_3DES_")
}

// judgeProtocol tells what of the connection only a probe puts up with: it
// takes whatever it gets, to see the certificates.
func (e *engine) judgeProtocol(where string) {
	c := &e.in.Capture
	if c.TLSVersion == 0 || c.Failure != nil && !strings.HasPrefix(c.Failure.Code, "tls.client_cert") {
		return
	}
	add := func(code string, severity Severity, confidence Confidence, detail, what string) {
		e.findings = append(e.findings, finding{code: code, severity: severity, confidence: confidence, depth: -1, place: nowhere, detail: detail, args: []any{where, what},
			evidence: []Evidence{e.evidence("socket", evNegotiated, where, tls.VersionName(c.TLSVersion), e.cipher())}})
	}
	switch {
	case c.TLSVersion < tls.VersionTLS12:
		add("tls.protocol_version", Error, Proven, "old", e.t(evOnlyOffers, tls.VersionName(c.TLSVersion)))
	case oldCipher(e.cipher()):
		add("tls.no_shared_cipher", Error, Proven, "old", e.t(evOnlyOffers, e.cipher()))
	case c.TLSVersion == tls.VersionTLS12 && strings.HasPrefix(e.cipher(), "TLS_RSA_"):
		// The probe offers others before it: the server has none of them, or
		// wants its own way.
		add("tls.no_shared_cipher", Info, Likely, "static-rsa", e.t(evOnlyOffers, e.cipher()))
	}
}

// maxList is how many bytes of certificates OpenSSL takes.
const maxList = 100 << 10

// judgeSize tells of more certificates than clients take.
func (e *engine) judgeSize(where string) {
	size := 0
	for _, der := range e.in.Capture.Certificates {
		size += 3 + len(der)
	}
	if size <= maxList || e.leaf == nil {
		return
	}
	e.findings = append(e.findings, finding{code: "chain.extra_certs", severity: Warning, confidence: Proven, depth: -1, place: nowhere, detail: "size",
		args: []any{e.t(wordCertificates, len(e.in.Capture.Certificates))}, evidence: []Evidence{e.evidence("socket", evTooMuch, where, size, maxList)}})
}
