package diagnose

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/roots"
	"github.com/certtrust/certtrust/store/storetest"
)

// world is what the cases are made from.
type world struct {
	now   time.Time
	root  *storetest.CA
	inter *storetest.CA
	web   map[string][]byte // what can be fetched
}

const host = "www.example.test"

func newWorld(t testing.TB) *world {
	w := &world{now: time.Now().UTC().Truncate(time.Second), web: map[string][]byte{}}
	w.root = storetest.NewCA(t, storetest.CN("Example Root"))
	w.inter = w.root.Intermediate(t, storetest.CN("Example Intermediate"))
	return w
}

// Fetch serves what the world has.
func (w *world) Fetch(_ context.Context, r Request) (Response, error) {
	body, ok := w.web[r.URL]
	if !ok {
		return Response{}, errors.New("404 Not Found")
	}
	return Response{Body: body}, nil
}

func aia(url string) storetest.Option {
	return storetest.Template(func(c *x509.Certificate) { c.IssuingCertificateURL = []string{url} })
}

func (w *world) leaf(t testing.TB, by *storetest.CA, opts ...storetest.Option) *storetest.CA {
	return by.Issue(t, append([]storetest.Option{storetest.CN(host), storetest.NotCA(), storetest.Hosts(host)}, opts...)...)
}

func view(id string, certs ...*storetest.CA) View {
	v := View{Info: store.Info{ID: store.ID(id), Backend: store.ID(id).Backend(), Scope: store.ScopeSystem}, Counts: true}
	for _, c := range certs {
		v.Entries = append(v.Entries, store.Entry{Cert: c.Cert(), Trust: store.TrustFor(store.Trusted, store.PurposeAny)})
	}
	return v
}

func (w *world) input(sent ...*storetest.CA) Input {
	in := Input{
		Capture: Capture{Target: Target{Input: host, Host: host, Port: 443, HTTPS: true}, Address: "192.0.2.1:443", TLSVersion: 0x0304, CipherSuite: 0x1301},
		Views:   []View{view("anchors:system", w.root)}, Now: w.now, Fetcher: w, OS: "linux", Family: "debian",
	}
	for _, c := range sent {
		in.Capture.Certificates = append(in.Capture.Certificates, c.DER())
	}
	return in
}

func codes(list []Cause) []string {
	out := []string{}
	for _, c := range list {
		out = append(out, c.Code)
	}
	return out
}

// errorsAndWarnings are the codes of a document, those of the warnings (but
// for notes) behind a bar.
func errorsAndWarnings(d *Document) string {
	text := strings.Join(codes(d.Causes), " ")
	for _, c := range d.Warnings {
		if c.Severity == Warning {
			text += " |" + c.Code
		}
	}
	return strings.TrimSpace(text)
}

type diagnoseCase struct {
	name string
	in   func(t *testing.T, w *world) Input
	want string // as errorsAndWarnings writes
}

var day = 24 * time.Hour

var cases = []diagnoseCase{
	{"in order", func(t *testing.T, w *world) Input { return w.input(w.leaf(t, w.inter), w.inter) }, ""},
	{"root sent along", func(t *testing.T, w *world) Input { return w.input(w.leaf(t, w.inter), w.inter, w.root) }, ""},
	{"self-signed", func(t *testing.T, w *world) Input {
		return w.input(storetest.NewCA(t, storetest.CN(host), storetest.NotCA(), storetest.Hosts(host)))
	}, "trust.self_signed_leaf"},
	{"untrusted root, sent", func(t *testing.T, w *world) Input {
		ca := storetest.NewCA(t, storetest.CN("Other Root"))
		return w.input(w.leaf(t, ca), ca)
	}, "trust.untrusted_root"},
	{"unknown issuer", func(t *testing.T, w *world) Input {
		return w.input(w.leaf(t, storetest.NewCA(t, storetest.CN("Unseen"))))
	}, "trust.unknown_issuer chain.missing_intermediate"},
	{"unknown issuer of an intermediate", func(t *testing.T, w *world) Input {
		i := storetest.NewCA(t, storetest.CN("Unseen")).Intermediate(t)
		return w.input(w.leaf(t, i), i)
	}, "trust.unknown_issuer"},
	{"missing intermediate, fetched", func(t *testing.T, w *world) Input {
		w.web["http://ca.test/i.cer"] = w.inter.DER()
		return w.input(w.leaf(t, w.inter, aia("http://ca.test/i.cer")))
	}, "chain.missing_intermediate"},
	{"missing intermediate, fetched as PEM", func(t *testing.T, w *world) Input {
		w.web["http://ca.test/i.cer"] = w.inter.PEM()
		return w.input(w.leaf(t, w.inter, aia("http://ca.test/i.cer")))
	}, "chain.missing_intermediate"},
	{"missing intermediate, two hops", func(t *testing.T, w *world) Input {
		second := w.inter.Intermediate(t, storetest.CN("Second"), aia("http://ca.test/1.cer"))
		w.web["http://ca.test/1.cer"], w.web["http://ca.test/2.cer"] = w.inter.DER(), second.DER()
		return w.input(w.leaf(t, second, aia("http://ca.test/2.cer")))
	}, "chain.missing_intermediate"},
	{"missing intermediate, not to be had", func(t *testing.T, w *world) Input {
		return w.input(w.leaf(t, w.inter, aia("http://ca.test/i.cer")))
	}, "chain.missing_intermediate trust.unknown_issuer |chain.aia_unreachable"},
	{"missing intermediate and untrusted root", func(t *testing.T, w *world) Input {
		ca := storetest.NewCA(t, storetest.CN("Other Root"))
		i := ca.Intermediate(t, storetest.CN("Other Intermediate"), aia("http://ca.test/r.cer"))
		w.web["http://ca.test/r.cer"], w.web["http://ca.test/i.cer"] = ca.DER(), i.DER()
		return w.input(w.leaf(t, i, aia("http://ca.test/i.cer")))
	}, "trust.untrusted_root chain.missing_intermediate"},
	{"wrong intermediate", func(t *testing.T, w *world) Input {
		return w.input(w.leaf(t, w.inter), storetest.Twin(t, w.inter))
	}, "chain.wrong_intermediate"},
	{"wrong intermediate, the right one fetched", func(t *testing.T, w *world) Input {
		w.web["http://ca.test/i.cer"] = w.inter.DER()
		return w.input(w.leaf(t, w.inter, aia("http://ca.test/i.cer")), storetest.Twin(t, w.inter))
	}, "chain.wrong_intermediate"},
	{"old copy of the root", func(t *testing.T, w *world) Input {
		ca := storetest.NewCA(t, storetest.CN("Example Root"))
		return w.input(w.leaf(t, ca))
	}, "trust.same_name_other_key"},
	{"old copy of the root, new one sent", func(t *testing.T, w *world) Input {
		ca := storetest.NewCA(t, storetest.CN("Example Root"))
		return w.input(w.leaf(t, ca), ca)
	}, "trust.same_name_other_key"},
	{"interception", func(t *testing.T, w *world) Input {
		ca := storetest.NewCA(t, storetest.Subject(pkix.Name{CommonName: "mitmproxy", Organization: []string{"mitmproxy"}}))
		return w.input(w.leaf(t, ca), ca)
	}, "trust.interception trust.untrusted_root"},
	{"interception, trusted", func(t *testing.T, w *world) Input {
		ca := storetest.NewCA(t, storetest.CN("McAfee Web Gateway"))
		in := w.input(w.leaf(t, ca), ca)
		in.Views = []View{view("anchors:system", ca)}
		return in
	}, "|trust.interception"},
	{"a name like a proxy's on the leaf", func(t *testing.T, w *world) Input {
		return w.input(w.inter.Issue(t, storetest.CN("mitmproxy"), storetest.NotCA(), storetest.Hosts(host)), w.inter)
	}, ""},
	{"distrusted", func(t *testing.T, w *world) Input {
		in := w.input(w.leaf(t, w.inter), w.inter)
		in.Views[0].Entries[0].Trust = store.TrustFor(store.Distrusted, store.PurposeAny)
		return in
	}, "trust.distrusted store.empty"},
	{"distrusted intermediate", func(t *testing.T, w *world) Input {
		in := w.input(w.leaf(t, w.inter), w.inter)
		in.Views[0].Entries = append(in.Views[0].Entries, store.Entry{Cert: w.inter.Cert(), Trust: store.TrustFor(store.Distrusted, store.PurposeAny)})
		return in
	}, "trust.distrusted"},
	{"distrusted by issuer and serial number", func(t *testing.T, w *world) Input {
		leaf := w.leaf(t, w.inter)
		in := w.input(leaf, w.inter)
		in.Views[0].Entries = append(in.Views[0].Entries, store.Entry{
			Match: &store.Match{Issuer: leaf.Cert().Issuer.Raw, Serial: leaf.Cert().Serial.Bytes()}, Trust: store.TrustFor(store.Distrusted, store.PurposeAny)})
		return in
	}, "trust.distrusted"},
	{"distrust after", func(t *testing.T, w *world) Input {
		in := w.input(w.leaf(t, w.inter), w.inter)
		in.Views[0].Entries[0].Trust = store.Trust{{Purpose: store.PurposeServerAuth, Decision: store.Trusted, DistrustAfter: w.now.AddDate(-1, 0, 0)}}
		return in
	}, "trust.distrust_after"},
	{"present, not trusted", func(t *testing.T, w *world) Input {
		in := w.input(w.leaf(t, w.inter), w.inter)
		in.Views[0].Entries[0].Trust = nil
		in.Views[0].Entries = append(in.Views[0].Entries, view("x", storetest.NewCA(t)).Entries...)
		return in
	}, "trust.present_not_trusted"},
	{"wrong purpose", func(t *testing.T, w *world) Input {
		in := w.input(w.leaf(t, w.inter), w.inter)
		in.Views[0].Entries[0].Trust = store.TrustFor(store.Trusted, store.PurposeEmail)
		in.Views[0].Entries = append(in.Views[0].Entries, view("x", storetest.NewCA(t)).Entries...)
		return in
	}, "trust.wrong_purpose"},
	{"not in this store", func(t *testing.T, w *world) Input {
		in := w.input(w.leaf(t, w.inter), w.inter)
		in.Views = append(in.Views, view("java:/jdk", storetest.NewCA(t)))
		return in
	}, "trust.not_in_this_store"},
	{"not in a store that does not count", func(t *testing.T, w *world) Input {
		in := w.input(w.leaf(t, w.inter), w.inter)
		in.Views = append(in.Views, view("java:/jdk", storetest.NewCA(t)))
		in.Views[1].Counts = false
		return in
	}, "|trust.not_in_this_store"},
	{"wrong scope", func(t *testing.T, w *world) Input {
		in := w.input(w.leaf(t, w.inter), w.inter)
		in.Views[0].Info.ID, in.Views[0].Info.Scope = "windows:CurrentUser", store.ScopeUser
		in.Views = append(in.Views, view("windows:LocalMachine", storetest.NewCA(t)))
		return in
	}, "trust.wrong_scope"},
	{"outdated store", func(t *testing.T, w *world) Input {
		in := w.input(w.leaf(t, w.inter), w.inter)
		in.Views = []View{view("anchors:system", storetest.NewCA(t))}
		in.Roots = roots.New("Test", roots.Date(), []roots.Root{{Cert: w.root.Cert()}})
		return in
	}, "trust.store_outdated"},
	{"leaf as anchor", func(t *testing.T, w *world) Input {
		leaf := storetest.NewCA(t, storetest.CN(host), storetest.NotCA(), storetest.Hosts(host))
		in := w.input(leaf)
		in.Views = []View{view("anchors:system", leaf)}
		return in
	}, "|trust.leaf_as_anchor"},
	{"empty store", func(t *testing.T, w *world) Input {
		in := w.input(w.leaf(t, w.inter), w.inter)
		in.Views = []View{view("anchors:system")}
		return in
	}, "trust.unknown_issuer store.empty"},

	{"expired leaf", func(t *testing.T, w *world) Input {
		return w.input(w.leaf(t, w.inter, storetest.Validity(w.now.Add(-60*day), w.now.Add(-3*day))), w.inter)
	}, "time.leaf_expired"},
	{"expired intermediate", func(t *testing.T, w *world) Input {
		i := w.root.Intermediate(t, storetest.Validity(w.now.Add(-60*day), w.now.Add(-3*day)))
		return w.input(w.leaf(t, i), i)
	}, "time.intermediate_expired"},
	{"expired root", func(t *testing.T, w *world) Input {
		w.root = storetest.NewCA(t, storetest.Validity(w.now.Add(-60*day), w.now.Add(-3*day)))
		return w.input(w.leaf(t, w.root))
	}, "time.root_expired"},
	{"not yet valid", func(t *testing.T, w *world) Input {
		return w.input(w.leaf(t, w.inter, storetest.Validity(w.now.Add(3*day), w.now.Add(60*day))), w.inter)
	}, "time.not_yet_valid"},
	{"expired and untrusted", func(t *testing.T, w *world) Input {
		ca := storetest.NewCA(t)
		return w.input(w.leaf(t, ca, storetest.Validity(w.now.Add(-60*day), w.now.Add(-3*day))), ca)
	}, "trust.untrusted_root time.leaf_expired"},
	{"expired and wrong name", func(t *testing.T, w *world) Input {
		in := w.input(w.leaf(t, w.inter, storetest.Validity(w.now.Add(-60*day), w.now.Add(-3*day))), w.inter)
		in.Capture.Target.Host = "other.test"
		return in
	}, "name.mismatch time.leaf_expired"},
	{"expiring soon", func(t *testing.T, w *world) Input {
		return w.input(w.leaf(t, w.inter, storetest.Validity(w.now.Add(-80*day), w.now.Add(3*day))), w.inter)
	}, "|time.expiring_soon"},
	{"valid for too long", func(t *testing.T, w *world) Input {
		return w.input(w.leaf(t, w.inter, storetest.Validity(w.now.Add(-80*day), w.now.Add(3000*day))), w.inter)
	}, "|time.validity_too_long"},
	{"clock behind", func(t *testing.T, w *world) Input {
		in := w.input(w.leaf(t, w.inter), w.inter)
		in.Now = time.Date(2020, 5, 1, 0, 0, 0, 0, time.UTC)
		in.Capture.HTTPDate = w.now
		return in
	}, "time.clock_wrong"},
	{"clock ahead, one witness", func(t *testing.T, w *world) Input {
		in := w.input(w.leaf(t, w.inter), w.inter)
		in.Now = w.now.AddDate(5, 0, 0)
		in.Capture.HTTPDate = w.now
		return in
	}, "time.clock_wrong time.leaf_expired"},
	{"expired, and a server that lies", func(t *testing.T, w *world) Input {
		in := w.input(w.leaf(t, w.inter, storetest.Validity(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2020, 12, 1, 0, 0, 0, 0, time.UTC))), w.inter)
		in.Capture.HTTPDate = time.Date(2020, 6, 1, 0, 0, 0, 0, time.UTC)
		return in
	}, "time.leaf_expired"},
	{"in order, and a server that lies", func(t *testing.T, w *world) Input {
		in := w.input(w.leaf(t, w.inter), w.inter)
		in.Capture.HTTPDate = time.Date(2020, 6, 1, 0, 0, 0, 0, time.UTC)
		return in
	}, ""},

	{"wrong name", named("other.test", host), "name.mismatch"},
	{"www missing", named("www.a.test", "a.test"), "name.mismatch name.www_missing"},
	{"apex missing", named("a.test", "www.a.test"), "name.mismatch name.apex_missing"},
	{"apex and a wildcard", named("a.test", "*.a.test"), "name.mismatch name.apex_missing"},
	{"wildcard depth", named("x.y.a.test", "*.a.test"), "name.mismatch name.wildcard_depth"},
	{"wildcard", named("y.a.test", "*.a.test"), ""},
	{"address not in the certificate", named("192.0.2.7", host), "name.mismatch name.ip_not_in_san"},
	{"address", named("192.0.2.7", "192.0.2.7"), ""},
	{"address as a name", func(t *testing.T, w *world) Input {
		in := w.input(w.leaf(t, w.inter, storetest.Template(func(c *x509.Certificate) { c.DNSNames = []string{"192.0.2.7"} })), w.inter)
		in.Capture.Target.Host = "192.0.2.7"
		return in
	}, "name.mismatch name.ip_in_dns_san"},
	{"common name only", func(t *testing.T, w *world) Input {
		return w.input(w.inter.Issue(t, storetest.CN(host), storetest.NotCA()), w.inter)
	}, "name.mismatch name.cn_only"},
	{"default certificate", func(t *testing.T, w *world) Input {
		return w.input(storetest.NewCA(t, storetest.CN("TRAEFIK DEFAULT CERT"), storetest.NotCA(), storetest.Hosts("x.traefik.default")))
	}, "name.default_certificate trust.self_signed_leaf name.mismatch"},

	{"weak key", func(t *testing.T, w *world) Input {
		return w.input(w.leaf(t, w.inter, storetest.RSA(1024)), w.inter)
	}, "|cert.weak_key"},
	{"for clients", func(t *testing.T, w *world) Input {
		return w.input(w.leaf(t, w.inter, storetest.EKU(x509.ExtKeyUsageClientAuth)), w.inter)
	}, "cert.eku"},
	{"intermediate for e-mail", func(t *testing.T, w *world) Input {
		i := w.root.Intermediate(t, storetest.EKU(x509.ExtKeyUsageEmailProtection))
		return w.input(w.leaf(t, i), i)
	}, "cert.eku"},
	{"issued by a leaf", func(t *testing.T, w *world) Input {
		i := w.root.Intermediate(t, storetest.Template(func(c *x509.Certificate) { c.IsCA = false }))
		return w.input(w.leaf(t, i), i)
	}, "cert.not_a_ca"},
	{"issued by one without keyCertSign", func(t *testing.T, w *world) Input {
		i := w.root.Intermediate(t, storetest.Template(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }))
		return w.input(w.leaf(t, i), i)
	}, "cert.key_usage"},
	{"path length", func(t *testing.T, w *world) Input {
		i := w.root.Intermediate(t, storetest.Template(func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true }))
		j := i.Intermediate(t)
		return w.input(w.leaf(t, j), j, i)
	}, "cert.path_length"},
	{"name constraints", func(t *testing.T, w *world) Input {
		i := w.root.Intermediate(t, storetest.PermittedDNS("other.test"))
		return w.input(w.leaf(t, i), i)
	}, "cert.name_constraints"},
	{"name constraints that are kept", func(t *testing.T, w *world) Input {
		i := w.root.Intermediate(t, storetest.PermittedDNS("example.test"))
		return w.input(w.leaf(t, i), i)
	}, ""},
	{"CA as a server", func(t *testing.T, w *world) Input {
		return w.input(w.leaf(t, w.inter, storetest.Template(func(c *x509.Certificate) { c.IsCA = true })), w.inter)
	}, "|cert.ca_as_leaf"},
	{"negative serial number", func(t *testing.T, w *world) Input {
		ca := storetest.Unparsable(t)
		in := w.input(w.leaf(t, ca), ca)
		in.Views = []View{view("anchors:system", ca)}
		return in
	}, "|cert.malformed"},
	{"garbage", func(t *testing.T, w *world) Input {
		in := w.input()
		der, _ := storetest.Garbage()
		in.Capture.Certificates = [][]byte{der}
		return in
	}, "cert.malformed"},

	{"no connection", func(_ *testing.T, w *world) Input {
		in := w.input()
		in.Capture.TLSVersion, in.Capture.Failure = 0, &Failure{Code: "net.refused", Text: "connection refused"}
		return in
	}, "net.refused"},
	{"client certificate", func(t *testing.T, w *world) Input {
		in := w.input(w.leaf(t, w.inter), w.inter)
		in.Capture.ClientCertRequested = true
		return in
	}, ""},
	{"client certificate refused", func(t *testing.T, w *world) Input {
		in := w.input(w.leaf(t, w.inter), w.inter)
		in.Capture.Failure = &Failure{Code: "tls.client_cert_rejected", Text: "unknown ca", Alert: 48, HasAlert: true}
		return in
	}, "|tls.client_cert_rejected"},
	{"verification switched off", func(t *testing.T, w *world) Input {
		in := w.input(w.leaf(t, w.inter), w.inter)
		in.Overrides = []Override{{Client: "node", Source: "NODE_TLS_REJECT_UNAUTHORIZED", Name: "NODE_TLS_REJECT_UNAUTHORIZED", Value: "0", Effect: Disables}}
		return in
	}, "|store.verification_off"},
	{"other roots for curl", func(t *testing.T, w *world) Input {
		in := w.input(w.leaf(t, w.inter), w.inter)
		in.Overrides = []Override{{Client: "curl", Source: "CURL_CA_BUNDLE", Name: "CURL_CA_BUNDLE", Value: "/x.pem", Effect: Replaces, Roots: []*store.Cert{storetest.NewCA(t).Cert()}}}
		return in
	}, "|store.override"},
}

func named(wanted string, in ...string) func(*testing.T, *world) Input {
	return func(t *testing.T, w *world) Input {
		i := w.input(w.inter.Issue(t, storetest.CN("server"), storetest.NotCA(), storetest.Hosts(in...)), w.inter)
		i.Capture.Target.Host = wanted
		return i
	}
}

func TestCauses(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := c.in(t, newWorld(t))
			for _, lang := range []Lang{English, Japanese} {
				in.Lang = lang
				d := Diagnose(t.Context(), in)
				if got := errorsAndWarnings(d); got != c.want {
					t.Errorf("found %q, want %q", got, c.want)
				}
				checkDocument(t, d)
				if t.Failed() {
					for _, c := range append(slices.Clone(d.Causes), d.Warnings...) {
						t.Log(c.Code, c.Summary, c.Evidence)
					}
				}
			}
		})
	}
}

// checkDocument checks what holds for every diagnosis.
func checkDocument(t *testing.T, d *Document) {
	t.Helper()
	if (d.Verdict == Trusted) != (len(d.Causes) == 0) {
		t.Errorf("%s with the causes %v", d.Verdict, codes(d.Causes))
	}
	if d.Summary == "" {
		t.Error("no summary")
	}
	text := fmt.Sprintf("%+v", d)
	if i := strings.Index(text, "%!"); i >= 0 {
		t.Errorf("an argument is missing or too much: …%s…", text[max(0, i-60):min(len(text), i+60)])
	}
	for _, c := range append(slices.Clone(d.Causes), d.Warnings...) {
		if _, ok := Lookup(c.Code, English); !ok {
			t.Errorf("%s is not in the catalogue", c.Code)
		}
		if len(c.Evidence) == 0 || c.Summary == "" || c.Meaning == "" {
			t.Errorf("%s: without evidence or words", c.Code)
		}
	}
}
