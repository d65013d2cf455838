package diagnose

import (
	"crypto/tls"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// cause puts a finding in words.
func (e *engine) cause(f finding) Cause {
	c := Cause{
		Code: f.code, Severity: f.severity, Confidence: f.confidence, Evidence: f.evidence, Hint: f.hint,
		IdentifiedAs: store.Printable(f.identified), Repairable: f.repairable, Repair: f.repair,
		ClientErrors: clientErrors(f.code),
	}
	for id, text := range c.ClientErrors {
		c.ClientErrors[id] = e.withNames(text)
	}
	if f.cert != nil {
		print := f.cert.SHA256.String()
		c.Cert = &print
		if f.depth >= 0 {
			depth := f.depth
			c.Depth = &depth
		}
	}
	for _, id := range f.stores {
		c.Stores = append(c.Stores, string(id))
	}
	r := row(f.code)
	if r == nil { // a test keeps this from happening
		c.Summary = f.code
		return c
	}
	c.Summary, c.Meaning = r.say.In(e.lang, f.args...), r.meaning.In(e.lang)
	c.Fixes = slices.Clone(r.fixes)
	if c.Hint == "" {
		c.Hint = r.tell.In(e.lang)
	}
	if len(c.Evidence) == 0 {
		c.Evidence = []Evidence{{Kind: "field", Text: c.Summary}}
	}
	return c
}

// withNames puts the names of the case into what a client says.
func (e *engine) withNames(text string) string {
	other := ""
	if e.leaf != nil && strings.Contains(text, "OTHER") {
		other = e.names(e.leaf)
	}
	return strings.NewReplacer("HOST", store.Printable(shorten(e.host)), "OTHER", other).Replace(text)
}

// document puts everything together.
func (e *engine) document() *Document {
	c := &e.in.Capture
	d := &Document{
		Schema: Schema, Time: e.now,
		Target: DocTarget{Input: c.Target.Input, Host: c.Target.Host, Port: c.Target.Port, ServerName: c.Target.Name(),
			StartTLS: optional(c.Target.StartTLS), Connect: optional(c.Target.Connect), Proxy: optional(c.Target.Proxy)},
		Address: optional(c.Address),
		Causes:  []Cause{}, Warnings: []Cause{}, Fixes: []Fix{}, NotRecommended: []Not{}, Chain: []ChainCert{}, Paths: []Path{}, Stores: []StoreView{}, Clients: []ClientView{},
		certs: map[store.Fingerprint]*store.Cert{},
	}
	for _, n := range slices.Concat(e.sent, e.fetched) {
		d.certs[n.SHA256] = n.Cert
	}
	if c.TLSVersion != 0 {
		d.Connection = &Connection{TLSVersion: tls.VersionName(c.TLSVersion), Cipher: e.cipher(), ClientCertRequested: c.ClientCertRequested, OCSPStapled: len(c.Staple) > 0}
		if !c.HTTPDate.IsZero() {
			t := c.HTTPDate.UTC()
			d.Connection.HTTPDate = &t
		}
		if c.Failure != nil && c.Failure.HasAlert {
			d.Connection.Alert = optional(c.Failure.Text)
		}
	}
	e.sorted()
	// Those of a store that does not count are told, but do not decide.
	var errors []finding
	for _, f := range e.findings {
		if f.severity == Error && e.counts(f) {
			errors = append(errors, f)
			d.Causes = append(d.Causes, e.cause(f))
		} else {
			if f.severity == Error {
				f.severity = Warning
			}
			d.Warnings = append(d.Warnings, e.cause(f))
		}
	}
	d.Verdict = e.verdict(errors)
	if d.Verdict == Trusted && len(d.Causes) > 0 {
		d.Warnings = append(d.Causes, d.Warnings...)
		d.Causes = []Cause{}
	}
	e.describeChain(d)
	e.describeStores(d)
	d.Clients = e.judgeClients()
	for _, list := range [][]Cause{d.Causes, d.Warnings} {
		for _, c := range list {
			for id := range c.ClientErrors {
				if said := e.reported[reportKey{c.Code, id}]; said != "" {
					c.ClientErrors[id] = said
				}
			}
		}
	}
	d.Overrides = e.describeOverrides()
	e.fixes(d)
	d.Summary = e.summary(d)
	return d
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// verdictOf are the verdicts of failures, by the group of their code.
func (e *engine) verdict(errors []finding) Verdict {
	f := e.in.Capture.Failure
	if e.leaf == nil || f != nil && !strings.HasPrefix(f.Code, "tls.client_cert") {
		switch {
		case f == nil:
			return HandshakeFailed
		case f.Code == "tls.plain_http" || f.Code == "tls.not_tls" || f.Code == "tls.starttls" || f.Code == "net.captive_portal":
			return NotTLS
		case strings.HasPrefix(f.Code, "net."):
			return Unreachable
		}
		return HandshakeFailed
	}
	if len(errors) > 0 && strings.HasPrefix(errors[0].code, "tls.") {
		return HandshakeFailed
	}
	if len(errors) > 0 {
		return Untrusted
	}
	// A store that could not be read has no say; that none could is an error.
	for _, o := range e.outcomes {
		if o.shelf.view.Counts && !o.unknown && !o.accepted {
			return Untrusted
		}
	}
	return Trusted
}

var (
	sayTrusted  = Text{"%s is trusted.", "%s は信頼されています。"}
	sayWarnings = Text{"%[1]s is trusted, but: %[2]s", "%[1]s は信頼されていますが、注意点があります。%[2]s"}
	sayNothing  = Text{"%s showed no certificate.", "%s は証明書を送信しませんでした。"}
)

// summary says in a sentence what is wrong.
func (e *engine) summary(d *Document) string {
	host := store.Printable(shorten(d.Target.Host))
	switch {
	case len(d.Causes) > 0:
		return d.Causes[0].Summary
	case d.Verdict == Trusted:
		if i := slices.IndexFunc(d.Warnings, func(c Cause) bool { return c.Severity == Warning }); i >= 0 {
			return e.t(sayWarnings, host, d.Warnings[i].Summary)
		}
		return e.t(sayTrusted, host)
	}
	return e.t(sayNothing, host)
}

// describeChain lists the certificates that were sent, and those of the best
// path that were not.
func (e *engine) describeChain(d *Document) {
	if e.leaf == nil {
		return
	}
	o := e.mainOutcome()
	p := o.path
	if o.repaired != nil {
		p = *o.repaired
	}
	list := slices.Clone(e.sent)
	for _, n := range slices.Concat(p.certs, e.fetched) {
		if !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	if o.repaired == nil && p.anchor == nil {
		if _, all := e.search(e.everything(), e.leaf); len(all) > 0 {
			for _, n := range all[0].certs {
				if !slices.Contains(list, n) {
					list = append(list, n)
				}
			}
			if len(all[0].certs) > len(p.certs) {
				p = all[0]
			}
		}
	}
	for _, n := range list {
		c := ChainCert{
			Source: n.source, Subject: store.Printable(n.Subject.String()), Issuer: store.Printable(n.Issuer.String()), SHA256: n.SHA256.String(),
			SPKI: hex.EncodeToString(n.spki[:]), NotBefore: n.NotBefore, NotAfter: n.NotAfter, Key: n.Key(), Signature: n.SignatureAlgorithm,
		}
		if n.position >= 0 {
			position := n.position
			c.Position = &position
		}
		if n.Version == 0 {
			c.Source = "unparsed"
		}
		switch {
		case n == e.leaf:
			c.Role = "leaf"
		case !slices.Contains(p.certs, n):
			c.Role = "extra"
		case n == p.top() && (n.SelfIssued() || p.anchor != nil):
			c.Role = "root"
		default:
			c.Role = "intermediate"
		}
		for _, name := range n.dns[:min(len(n.dns), 100)] {
			c.Names = append(c.Names, store.Printable(shorten(name)))
		}
		for _, ip := range n.ips[:min(len(n.ips), 100)] {
			c.Names = append(c.Names, ip.String())
		}
		for _, f := range e.findings {
			if f.cert == n && f.severity != Info && !slices.Contains(c.Problems, f.code) {
				c.Problems = append(c.Problems, f.code)
			}
		}
		if n.source == "store" {
			for _, o := range e.outcomes {
				if o.shelf.items[n.SHA256] != nil {
					c.Store = string(o.shelf.id)
					break
				}
			}
		}
		d.Chain = append(d.Chain, c)
	}
}

func (e *engine) describeStores(d *Document) {
	for _, o := range e.outcomes {
		info := o.shelf.view.Info
		v := StoreView{ID: string(info.ID), Name: info.Title, Kind: info.Backend, Scope: string(info.Scope), UsedBy: info.Readers, Counts: o.shelf.view.Counts}
		if v.Kind == "" {
			v.Kind = info.ID.Backend()
		}
		bad := false
		for _, f := range e.findings {
			if f.severity != Error || len(f.stores) > 0 && !slices.Contains(f.stores, o.shelf.id) || o.unknown {
				continue
			}
			bad = true
			if !slices.Contains(v.Causes, f.code) {
				v.Causes = append(v.Causes, f.code)
			}
		}
		switch {
		case o.unknown || e.leaf == nil:
			v.Verdict = "unknown"
		case o.accepted && !bad:
			v.Verdict = "trusted"
		default:
			v.Verdict = "untrusted"
		}
		if o.path.anchor != nil {
			v.Anchor = optional(o.path.top().SHA256.String())
		}
		if o.platform != nil {
			v.Platform = &PlatformView{Trusted: o.platform.Trusted, Reasons: o.platform.Reasons}
			for i, r := range v.Platform.Reasons {
				v.Platform.Reasons[i] = store.Printable(r)
			}
		}
		if o.shelf.view.Err != nil {
			v.Error = optional(e.errText(o.shelf.view.Err))
		}
		d.Stores = append(d.Stores, v)
		for _, p := range o.paths[:min(len(o.paths), 8)] {
			out := Path{Store: string(info.ID), Anchor: p.anchor != nil}
			for _, n := range p.certs {
				out.Certs = append(out.Certs, n.SHA256.String())
			}
			d.Paths = append(d.Paths, out)
		}
	}
}

func (e *engine) describeOverrides() (out []DocOver) {
	for _, o := range e.in.Overrides {
		v := DocOver{Client: o.Client, Source: store.Printable(o.Source), Name: store.Printable(o.Name), Value: store.Printable(shorten(o.Value)), Effect: string(o.Effect)}
		if o.Err != nil {
			v.Error = e.errText(o.Err)
		}
		out = append(out, v)
	}
	return out
}

// storeFinding reports something about a store.
func (e *engine) storeFinding(code string, severity Severity, o *outcome, args ...any) {
	e.report(finding{code: code, severity: severity, confidence: Proven, depth: -1, place: nowhere, args: args, detail: string(o.shelf.id), stores: []store.ID{o.shelf.id},
		evidence: []Evidence{e.evidence("store", evStoreError, o.shelf.shown(), e.errText(o.shelf.view.Err))}})
}
