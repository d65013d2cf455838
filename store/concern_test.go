package store_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certtrust/certtrust/store"
)

func TestConcerns(t *testing.T) {
	key := newKey(t)
	weakKey, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	root := func() *x509.Certificate {
		return &x509.Certificate{Subject: pkix.Name{CommonName: "Root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	}
	good := issue(t, root(), nil, key)
	intermediate := root()
	intermediate.Subject.CommonName = "Inter\u202e"
	leaf := &x509.Certificate{Subject: pkix.Name{CommonName: "leaf"}, DNSNames: []string{"a.example"}}
	evilIssuer := root()
	evilIssuer.Subject.CommonName = "Evil\u202e"

	wrongSignature := slices.Clone(good.Raw)
	wrongSignature[len(wrongSignature)-1] ^= 1
	negative := newRaw(t)
	negative.serial = []byte{0xff, 0}
	negative.extensions = [][]byte{extension(t, "2.5.29.19", true, der(0x30, der(0x01, []byte{0xff})))}
	timeless := negative
	timeless.times = [][]byte{der(0x17, []byte("x")), der(0x17, []byte("y"))}
	dsaRoot := newRaw(t)
	dsaRoot.version = nil
	dsaRoot.spki = der(0x30, der(0x30, oid(t, "1.2.840.10040.4.1")), der(0x03, []byte{0}))

	tests := []struct {
		name string
		cert *store.Cert
		at   time.Time
		want []string
		text string // part of the first text
	}{
		{"in order", good, day(2025), nil, ""},
		{"at its very end", good, good.NotAfter, nil, ""},
		{"at its very beginning", good, good.NotBefore, nil, ""},
		{"nothing", store.NewCert(nil), day(2025), []string{"malformed"}, "not a certificate"},
		{"garbage", store.NewCert([]byte("garbage")), day(2025), []string{"malformed"}, ""},
		{"expired", good, day(2050), []string{"expired"}, "expired on 2044-01-01"},
		{"too early", good, day(2000), []string{"not-yet-valid"}, "2024-01-01T00:00:00Z"},
		{"leaf", issue(t, leaf, good.Parsed(), key), day(2025), []string{"leaf"}, "leaf certificate"},
		{"self-signed leaf", issue(t, leaf, nil, key), day(2025), []string{"leaf"}, "self-signed server certificate"},
		{"intermediate", issue(t, intermediate, good.Parsed(), key), day(2025), []string{"intermediate"}, `"CN=Root"`},
		{"hostile issuer", issue(t, root(), issue(t, evilIssuer, nil, key).Parsed(), key), day(2025), []string{"intermediate"}, `CN=Evil\u202e`},
		{"expired leaf", issue(t, leaf, good.Parsed(), key), day(2050), []string{"leaf", "expired"}, ""},
		{"wrong signature", store.NewCert(wrongSignature), day(2025), []string{"bad-signature"}, ""},
		{"weak key", issue(t, root(), nil, weakKey), day(2025), []string{"weak"}, "RSA 1024"},
		{"negative serial", store.NewCert(negative.encode(t)), day(2025), []string{"unparsable"}, "not well-formed"},
		{"no dates", store.NewCert(timeless.encode(t)), day(2025), []string{"unparsable"}, ""},
		{"DSA", store.NewCert(dsaRoot.encode(t)), day(2025), []string{"unparsable", "weak"}, ""},
	}
	t.Setenv("GODEBUG", "x509negativeserial=0")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var codes []string
			concerns := store.Concerns(tt.cert, tt.at)
			for _, c := range concerns {
				codes = append(codes, c.Code)
				if c.Text == "" || c.Never != (c.Code == "malformed") || slices.Contains(store.ConcernCodes(), c.Code) == c.Never {
					t.Errorf("%+v", c)
				}
			}
			if !slices.Equal(codes, tt.want) {
				t.Fatalf("got %+v, want %v", concerns, tt.want)
			}
			if len(concerns) > 0 && !strings.Contains(concerns[0].Text, tt.text) {
				t.Errorf("text is %q, want something with %q", concerns[0].Text, tt.text)
			}
		})
	}
}

// TestConcernsOldSignature: a signature of an algorithm that is not checked
// any more is not a wrong one, but a weak one where it matters.
func TestConcernsOldSignature(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	// The same length of OID makes one out of the other.
	md5 := func(c *store.Cert) *store.Cert {
		data := strings.ReplaceAll(string(c.Raw), "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04")
		return store.NewCert([]byte(data))
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Root"}, IsCA: true, BasicConstraintsValid: true}
	root := issue(t, template, nil, key)
	if c := md5(root); c.SignatureAlgorithm != "MD5-RSA" || len(store.Concerns(c, day(2025))) != 0 {
		t.Errorf("%s: %+v", c.SignatureAlgorithm, store.Concerns(c, day(2025)))
	}
	template = &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true}
	concerns := store.Concerns(md5(issue(t, template, root.Parsed(), key)), day(2025))
	if len(concerns) != 2 || concerns[1].Code != "weak" || !strings.Contains(concerns[1].Text, "MD5-RSA") {
		t.Errorf("%+v", concerns)
	}
}

func TestKnownTool(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for want, subject := range map[string]pkix.Name{
		"mkcert":   {Organization: []string{"mkcert development CA"}, CommonName: "mkcert user@host"},
		"Caddy":    {CommonName: "Caddy Local Authority - 2026 ECC Root"},
		"minikube": {CommonName: "minikubeCA"},
		"":         {CommonName: "Some Root", Organization: []string{"Some"}},
	} {
		if got := store.KnownTool(issue(t, &x509.Certificate{Subject: subject}, nil, key)); got != want {
			t.Errorf("%v is of %q, want %q", subject, got, want)
		}
	}
	dotnet := newRaw(t)
	dotnet.extensions = [][]byte{extension(t, "1.3.6.1.4.1.311.84.1.1", false, []byte{2})}
	if got := store.KnownTool(store.NewCert(dotnet.encode(t))); got != "dotnet" {
		t.Errorf("got %q", got)
	}
	if got := store.KnownTool(store.NewCert(nil)); got != "" {
		t.Errorf("got %q", got)
	}
}
