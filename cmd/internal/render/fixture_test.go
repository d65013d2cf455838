package render

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"flag"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/store"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

const (
	goldenDir = "../../../testdata/golden"
	schemaDir = "../../../testdata/schema"
)

func TestMain(m *testing.M) {
	if os.Getenv(printVar) != "" {
		if err := printEnvironment(); err != nil {
			os.Exit(1)
		}
		return
	}
	// The width of some characters depends on the locale.
	text.OverrideRuneWidthEastAsianWidth(false)
	os.Exit(m.Run())
}

// compare compares got with a file, or rewrites the file.
func compare(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is out of date (rewrite it with -update) (-want +got):\n%s", file, diff)
	}
}

// golden compares what was written to Out with a file, and what was written to
// Err with the same file's neighbour, which only exists if anything was.
func golden(t *testing.T, name string, out, errs *bytes.Buffer) {
	t.Helper()
	file := filepath.Join(goldenDir, name)
	compare(t, file, out.Bytes())
	if errs.Len() > 0 {
		compare(t, file+".stderr", errs.Bytes())
	} else if _, err := os.Stat(file + ".stderr"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s.stderr is there, but nothing was written to Err", file)
	}
	for _, r := range out.String() + errs.String() {
		if strings.HasSuffix(name, ".csv") && r == '\r' || r == '\n' {
			continue
		}
		if s := string(r); term.Safe(s) != s {
			t.Errorf("%s: %U was written", name, r)
		}
	}
}

// now is the time of all goldens.
var now = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

func day(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

func key(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

// makeCert returns the same DER each time: key and identifiers follow from the
// serial number. Without a parent it is a root.
func makeCert(t testing.TB, serial int64, name string, notAfter time.Time, edit func(c *x509.Certificate), parent *store.Cert) *store.Cert {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name, Organization: []string{"Example, Inc."}},
		NotBefore: day(2020, 1, 1), NotAfter: notAfter,
		IsCA: true, BasicConstraintsValid: true, SubjectKeyId: []byte{byte(serial), 1, 2, 3},
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if edit != nil {
		edit(template)
	}
	signer, issuer := key(byte(serial)), template
	if parent != nil {
		signer, issuer = key(byte(parent.Serial.Int64())), parent.Parsed()
	}
	der, err := x509.CreateCertificate(nil, template, issuer, key(byte(serial)).Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return store.NewCert(der)
}

type certs struct {
	root, cjk, evil, long, formula, odd, sub, leaf *store.Cert
}

func makeCerts(t testing.TB) certs {
	var c certs
	c.root = makeCert(t, 1, "Example Root CA", day(2040, 1, 1), nil, nil)
	c.cjk = makeCert(t, 2, "証明書認証局ルート第一", now.AddDate(0, 0, 12), nil, nil)
	c.evil = makeCert(t, 3, "evil\x1b]0;owned\x07\u202egnp.exe\u200b\\\r\n-----BEGIN", day(2024, 2, 29), nil, nil)
	c.long = makeCert(t, 4, strings.TrimSpace(strings.Repeat("A Very Long Name Of Thirty Chs ", 10))[:300], day(2049, 12, 31), nil, nil)
	c.formula = makeCert(t, 5, "=cmd|' /C calc'!A0", day(2030, 1, 1), nil, nil)
	c.sub = makeCert(t, 6, "Example Sub CA", day(2030, 1, 1), func(c *x509.Certificate) {
		c.MaxPathLenZero = true
		c.PermittedDNSDomainsCritical = true
		c.PermittedDNSDomains = []string{"example.com"}
		c.ExcludedIPRanges = []*net.IPNet{{IP: net.IP{10, 0, 0, 0}, Mask: net.CIDRMask(8, 32)}}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		c.OCSPServer = []string{"http://ocsp.example.com"}
		c.IssuingCertificateURL = []string{"http://ca.example.com/root.cer"}
		c.CRLDistributionPoints = []string{"http://ca.example.com/root.crl"}
	}, c.root)
	c.leaf = makeCert(t, 7, "www.example.com", day(2026, 6, 14), func(c *x509.Certificate) {
		c.IsCA = false
		c.KeyUsage = x509.KeyUsageDigitalSignature
		c.DNSNames = []string{"www.example.com", "*.example.com"}
		c.IPAddresses = []net.IP{{127, 0, 0, 1}, net.ParseIP("2001:db8::1")}
		c.EmailAddresses = []string{"admin@example.com"}
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: "example.com", Path: "/web"}}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 2, 3, 4}}
	}, c.sub)
	// A negative serial number is what strict parsers refuse most.
	der := slices.Clone(makeCert(t, 0x55, "Old Root", day(2038, 1, 19), nil, nil).Raw)
	at := bytes.Index(der, []byte{0x02, 0x01, 0x55})
	der[at+2] = 0xaa
	c.odd = store.NewCert(der)
	if c.odd.ParseError() == nil {
		t.Skip("this Go was told to take negative serial numbers")
	}
	c.odd.Strict = func() (*x509.Certificate, error) { return nil, errors.New("x509: negative serial number") } // the words change between releases
	return c
}

func info(id store.ID, title string, scope store.Scope) store.Info {
	return store.Info{
		ID: id, Backend: id.Backend(), Title: title, Scope: scope, Location: "/etc/" + id.Backend(), Default: true,
		Express: store.Express{
			Purposes:  []store.Purpose{store.PurposeAny},
			Decisions: []store.Decision{store.Trusted, store.Distrusted},
		},
	}
}

const (
	system  = store.ID("anchors:system")
	firefox = store.ID("nss:firefox/abcd.default-release")
	jdk     = store.ID("java:/opt/jdk-21/lib/security/cacerts")
)

var errJDK = &store.Error{
	Op: "read", Store: jdk, Path: "/opt/jdk-21/lib/security/cacerts",
	Err:  store.Because(store.ErrCorrupt, "the digest does not match\x1b[2J"),
	Hint: "restore it from the JDK's package",
}

// makeListing returns a listing with everything that is hard to print.
func makeListing(t testing.TB) (ListHeader, []ListRecord) {
	c := makeCerts(t)
	firefoxInfo := info(firefox, "Firefox, profile default-release", store.ScopeUser)
	firefoxInfo.Owner = "ann"
	header := NewListHeader("host.example.com", nil, []ListStore{
		{Info: info(system, "Debian's CA certificates", store.ScopeSystem), Complete: true},
		{Info: firefoxInfo, Complete: true},
		{Info: info(jdk, "JDK 21", store.ScopeSystem), Error: NewErrorInfo(errJDK)},
	})
	vendor := store.Origin{By: store.ByVendor, Detail: "ca-certificates"}
	all := store.TrustFor(store.Trusted, store.PurposeAny)
	bundle := store.Source{Kind: "bundle", Path: "/etc/ssl/certs/ca-certificates.crt"}
	add := func(id store.ID, e store.Entry) ListRecord { return NewListRecord(id, e, now) }
	return header, []ListRecord{
		add(system, store.Entry{Cert: c.root, Label: c.root.Label(), Trust: all, Origin: vendor, Source: bundle}),
		add(system, store.Entry{Cert: c.cjk, Label: c.cjk.Label(), Trust: all, Origin: store.Origin{By: store.ByAdmin, Detail: "by hand"}, Source: store.Source{Kind: "anchor", Path: "/usr/local/share/ca-certificates/jp.crt"}}),
		add(system, store.Entry{Cert: c.evil, Label: c.evil.Label(), Trust: all, Origin: store.Origin{By: store.ByUnknown}, Source: bundle,
			Problems: []store.Problem{{Code: "stray", Text: "in the bundle only", Mendable: true}, {Code: "expired-anchor", Text: "it expired"}}}),
		add(system, store.Entry{Cert: c.long, Label: c.long.Label(), Trust: all, Origin: vendor, Source: bundle}),
		add(system, store.Entry{Cert: c.formula, Label: c.formula.Label(), Trust: store.TrustFor(store.Trusted, store.PurposeServerAuth), Origin: store.Origin{By: store.ByCerttrust}, Source: bundle}),
		add(firefox, store.Entry{Cert: c.root, Label: "@corp root", Trust: store.TrustFor(store.Trusted, store.PurposeServerAuth, store.PurposeEmail),
			Origin: store.Origin{By: store.ByUser, Detail: "ann"}, Source: store.Source{Kind: "object", Path: "/home/ann/cert9.db", Item: "7"},
			Native: map[string]string{"CKA_TRUST_STEP_UP_APPROVED": "false"}}),
		add(firefox, store.Entry{Cert: c.odd, Label: "Old Root", Trust: store.TrustFor(store.Distrusted, store.PurposeAny), Origin: store.Origin{By: store.ByUser, Detail: "ann"}}),
		add(firefox, store.Entry{Label: "Ghost", Trust: store.TrustFor(store.Distrusted, store.PurposeServerAuth), Origin: store.Origin{By: store.ByUnknown},
			Match:    &store.Match{Issuer: []byte{0x30, 0}, Serial: []byte{2, 1, 1}},
			Problems: []store.Problem{{Code: "ghost", Text: "trust without a certificate"}}}),
		add(jdk, store.Entry{Cert: c.sub, Label: "example sub", Trust: nil, Origin: store.Origin{By: store.ByUnknown}, Source: store.Source{Kind: "keystore", Path: "/opt/jdk-21/lib/security/cacerts", Item: "example sub"}}),
	}
}
