package diagnose

import (
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
}
