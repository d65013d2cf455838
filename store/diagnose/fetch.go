package diagnose

import (
	"encoding/asn1"
	"encoding/pem"
	"net/url"
	"slices"
	"time"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// maxFetches is how much a diagnosis fetches at most. The Fetcher has limits
// of its own.
const maxFetches = 8

// fetches is what was fetched in one diagnosis: nothing twice.
type fetches struct {
	e     *engine
	done  map[string]fetched
	count int
}

type fetched struct {
	url  string
	body []byte
	date time.Time
	text string // why it failed, "" if it did not
}

func newFetches(e *engine) *fetches { return &fetches{e: e, done: map[string]fetched{}} }

// get fetches; ok is false if it failed, or nothing (more) may be fetched.
func (f *fetches) get(r Request) (out fetched, ok bool) {
	key := r.URL + "\x00" + string(r.Body)
	if out, known := f.done[key]; known {
		return out, out.text == ""
	}
	out.url = r.URL
	if f.e.in.Fetcher == nil || f.count >= maxFetches || f.e.ctx.Err() != nil {
		return out, false
	}
	f.count++
	response, err := f.e.in.Fetcher.Fetch(f.e.ctx, r)
	if err != nil {
		out.text = store.Printable(err.Error())
	} else {
		out.body, out.date = response.Body, response.Date
	}
	f.done[key] = out
	return out, err == nil
}

// failures returns what went wrong with those of the addresses that were
// tried.
func (f *fetches) failures(urls []string) (out []fetched) {
	for _, u := range urls {
		if d, ok := f.done[u+"\x00"]; ok && d.text != "" {
			out = append(out, d)
		}
	}
	return out
}

// issuerURLs returns where the certificate says that its issuer's certificate
// is.
func issuerURLs(n *node) []string { return access(n, "1.3.6.1.5.5.7.48.2") }

// access returns the addresses of the authorityInfoAccess extension that may be
// fetched from.
func access(n *node, method string) (out []string) {
	for _, a := range accessAll(n, method) {
		if u, err := url.Parse(a); err == nil && u.Scheme == "http" && u.Host != "" && len(out) < maxFetches {
			out = append(out, a)
		}
	}
	return out
}

func accessAll(n *node, method string) (out []string) {
	x := n.Extension("1.3.6.1.5.5.7.1.1")
	if x == nil {
		return nil
	}
	var all []struct {
		Method   asn1.ObjectIdentifier
		Location asn1.RawValue
	}
	if _, err := asn1.Unmarshal(x.Value, &all); err != nil {
		return nil
	}
	for _, a := range all {
		if a.Method.String() == method && a.Location.Class == asn1.ClassContextSpecific && a.Location.Tag == 6 && len(out) < 100 {
			out = append(out, string(a.Location.Bytes))
		}
	}
	return out
}

// complete fetches the issuers that the server has not sent, until each store
// that can be satisfied is, or nothing is left to be fetched.
func (e *engine) complete() {
	if e.leaf.SelfIssued() && e.selfSigned(e.leaf) {
		return
	}
	tried := map[*node]bool{}
	for range maxFetches {
		progress := false
		for _, n := range e.incomplete() {
			if tried[n] {
				continue
			}
			tried[n] = true
			if e.fetchIssuer(n) {
				progress = true
				break
			}
		}
		if !progress || e.satisfied() {
			return
		}
	}
}

// incomplete returns the certificates whose issuers are worth fetching: the
// ends of paths first, then those below, which may have another issuer.
func (e *engine) incomplete() (out []*node) {
	_, all := e.search(e.everything(), e.leaf)
	for _, p := range all {
		if top := p.top(); !e.selfSigned(top) && !slices.Contains(out, top) {
			out = append(out, top)
		}
	}
	for _, p := range all {
		for i := len(p.certs) - 2; i >= 0; i-- {
			if n := p.certs[i]; !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	return out
}

// satisfied tells whether every store that counts has a path without a fault
// above the leaf.
func (e *engine) satisfied() bool {
	for _, o := range e.outcomes {
		if o.unknown || o.accepted {
			continue
		}
		if p := e.repair(o); p == nil {
			return false
		}
	}
	return true
}

// repair returns a path that what was fetched makes possible, without a fault
// above the leaf; nil if there is none.
func (e *engine) repair(o *outcome) *path {
	anchored, _ := e.search(pool{shelf: o.shelf, certs: slices.Concat(e.sent, e.fetched)}, e.leaf)
	for _, p := range anchored {
		if !slices.ContainsFunc(e.judge(p, o.shelf, e.now), func(f finding) bool { return f.severity == Error && f.depth > 0 }) {
			return &p
		}
	}
	return nil
}

// fetchIssuer fetches what is said to be the issuer of a certificate, and
// tells whether it is.
func (e *engine) fetchIssuer(n *node) bool {
	for _, u := range issuerURLs(n) {
		answer, ok := e.net.get(Request{URL: u})
		if !ok {
			continue
		}
		found := false
		for _, c := range certificatesIn(answer.body) {
			issuer := e.nodes[c.SHA256]
			if issuer == nil {
				issuer = newNode(c, "aia", -1)
				issuer.url = u
				e.nodes[c.SHA256] = issuer
			}
			if !slices.Contains(e.fetched, issuer) && !slices.Contains(e.sent, issuer) {
				e.fetched = append(e.fetched, issuer)
			}
			if string(issuer.Subject.Raw) == string(n.Issuer.Raw) && e.link(n, issuer).follow() {
				found = true
			}
		}
		if found {
			return true
		}
		answer.text = e.t(evNotTheIssuer)
		e.net.done[u+"\x00"] = answer
	}
	return false
}

// maxInAnswer is how many certificates of one answer are looked at.
const maxInAnswer = 16

// certificatesIn reads certificates in any of the forms that servers give them:
// DER, PEM, PKCS #7.
func certificatesIn(body []byte) (out []*store.Cert) {
	if c := store.NewCert(body); c.Version != 0 {
		return []*store.Cert{c}
	}
	raw := pkcs7Certificates(body)
	if block, _ := pem.Decode(body); block != nil && (block.Type == "PKCS7" || block.Type == "CMS") {
		raw = pkcs7Certificates(block.Bytes)
	}
	for len(raw) > 0 && len(out) < maxInAnswer {
		var one asn1.RawValue
		var err error
		if raw, err = asn1.Unmarshal(raw, &one); err != nil {
			return out
		}
		if c := store.NewCert(one.FullBytes); c.Version != 0 {
			out = append(out, c)
		}
	}
	if len(out) > 0 {
		return out
	}
	file, err := certfile.Read(body)
	if err != nil {
		return nil
	}
	for _, item := range file.Items {
		if item.Cert != nil && item.Cert.Version != 0 && len(out) < maxInAnswer {
			out = append(out, item.Cert)
		}
	}
	return out
}

// pkcs7Certificates returns the certificates field of a SignedData (RFC 5652,
// 5.1) in DER, nil if it is none.
func pkcs7Certificates(body []byte) []byte {
	var info struct {
		Type    asn1.ObjectIdentifier
		Content struct {
			Version      int
			Digests      asn1.RawValue
			Content      asn1.RawValue
			Certificates asn1.RawValue `asn1:"optional,tag:0"`
			CRLs         asn1.RawValue `asn1:"optional,tag:1"`
			Signers      asn1.RawValue
		} `asn1:"explicit,tag:0"`
	}
	if _, err := asn1.Unmarshal(body, &info); err != nil || info.Type.String() != "1.2.840.113549.1.7.2" {
		return nil
	}
	return info.Content.Certificates.Bytes
}

func encodePEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
