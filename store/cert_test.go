package store_test

import (
	"bytes"
	"crypto"
	//lint:ignore SA1019 old certificates have such keys
	"crypto/dsa"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certtrust/certtrust/store"
)

// der is an element of DER.
func der(tag byte, parts ...[]byte) []byte {
	value := bytes.Join(parts, nil)
	size := big.NewInt(int64(len(value))).Bytes()
	head := append([]byte{tag, 0x80 | byte(len(size))}, size...)
	if len(value) < 0x80 {
		head = []byte{tag, byte(len(value))}
	}
	return append(head, value...)
}

func oid(t testing.TB, dotted string) []byte {
	t.Helper()
	parsed, err := x509.ParseOID(dotted)
	if err != nil {
		t.Fatal(err)
	}
	value, err := parsed.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return der(0x06, value)
}

// raw is a certificate in parts, so that it can be one that no library makes.
// Its signature is never right.
type raw struct {
	version         []byte // DER with the [0]; nil for version 1
	serial          []byte // content of the INTEGER
	issuer, subject []byte // DER
	times           [][]byte
	spki            []byte
	extensions      [][]byte
}

func attribute(t testing.TB, dotted string, tag byte, value string) []byte {
	return der(0x30, oid(t, dotted), der(tag, []byte(value)))
}

func commonName(t testing.TB, tag byte, value string) []byte {
	return der(0x30, der(0x31, attribute(t, "2.5.4.3", tag, value)))
}

func newRaw(t testing.TB) raw {
	name := commonName(t, 0x0c, "Raw")
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return raw{
		version: der(0xa0, der(0x02, []byte{2})), serial: []byte{1}, issuer: name, subject: name,
		times: [][]byte{der(0x17, []byte("240101000000Z")), der(0x17, []byte("440101000000Z"))},
		spki:  spki,
	}
}

func (r raw) encode(t testing.TB) []byte {
	algorithm := der(0x30, oid(t, "1.3.101.112"))
	parts := [][]byte{r.version, der(0x02, r.serial), algorithm, r.issuer, der(0x30, r.times...), r.subject, r.spki}
	if r.extensions != nil {
		parts = append(parts, der(0xa3, der(0x30, r.extensions...)))
	}
	return der(0x30, der(0x30, parts...), algorithm, der(0x03, make([]byte, 65)))
}

func extension(t testing.TB, dotted string, critical bool, value ...[]byte) []byte {
	parts := [][]byte{oid(t, dotted)}
	if critical {
		parts = append(parts, der(0x01, []byte{0xff}))
	}
	return der(0x30, append(parts, der(0x04, value...))...)
}

// issue makes a certificate that crypto/x509 can make; with no parent it is
// self-signed.
func issue(t testing.TB, template, parent *x509.Certificate, key crypto.Signer) *store.Cert {
	t.Helper()
	if parent == nil {
		parent = template
	}
	if template.SerialNumber == nil {
		template.SerialNumber = big.NewInt(1)
	}
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = day(2024), day(2044)
	}
	data, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return store.NewCert(data)
}

func day(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestNewCert(t *testing.T) {
	key := newKey(t)
	c := issue(t, &x509.Certificate{
		SerialNumber: big.NewInt(0x1234), NotBefore: day(2024), NotAfter: day(2060),
		Subject: pkix.Name{Country: []string{"DE"}, Organization: []string{"An, Org"}, CommonName: "Root"},
		IsCA:    true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDecipherOnly,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, UnknownExtKeyUsage: []asn1.ObjectIdentifier{{1, 2, 3, 4}},
	}, nil, key)
	if c.Parsed() == nil || c.ParseError() != nil || c.SHA256 != store.FingerprintOf(c.Raw) {
		t.Fatalf("%+v", c)
	}
	agrees(t, c)
	usage, present := c.KeyUsage()
	if !present || usage != c.Parsed().KeyUsage {
		t.Errorf("key usage %b, want %b", usage, c.Parsed().KeyUsage)
	}
	if got := c.ExtendedKeyUsage(); !slices.Equal(got, []store.Purpose{store.PurposeServerAuth, "1.2.3.4"}) {
		t.Errorf("extended key usage %v", got)
	}
	if ca, present := c.BasicConstraints(); !ca || !present || !c.IsCA() || !c.SelfIssued() {
		t.Error("it is a self-issued CA")
	}
	for _, want := range []struct{ what, got, want string }{
		{"label", c.Label(), "Root"},
		{"subject", c.Subject.String(), `CN=Root,O=An\, Org,C=DE`},
		{"key", c.Key(), "EC P-256"},
		{"signature", c.SignatureAlgorithm, "SHA256-ECDSA"},
	} {
		if want.got != want.want {
			t.Errorf("%s is %q, want %q", want.what, want.got, want.want)
		}
	}
	if c.KeyBits != 256 || c.Extension("2.5.29.19") == nil || !c.Extension("2.5.29.19").Critical || c.Extension("1.2.3") != nil {
		t.Errorf("%+v", c)
	}
}

// agrees fails if the loose fields are not what crypto/x509 says, where that
// has something to say.
func agrees(t testing.TB, c *store.Cert) {
	t.Helper()
	p := c.Parsed()
	if (p == nil) != (c.ParseError() != nil) || c.SHA256 != store.FingerprintOf(c.Raw) {
		t.Fatal("there is either a Parsed or a ParseError, and always a fingerprint")
	}
	if p == nil {
		return
	}
	if c.Version != p.Version || c.Serial.Cmp(p.SerialNumber) != 0 || len(c.Extensions) != len(p.Extensions) {
		t.Errorf("version %d, serial %v, %d extensions; want %d, %v, %d", c.Version, c.Serial, len(c.Extensions), p.Version, p.SerialNumber, len(p.Extensions))
	}
	if !c.NotBefore.Equal(p.NotBefore) || !c.NotAfter.Equal(p.NotAfter) {
		t.Errorf("valid %v to %v, want %v to %v", c.NotBefore, c.NotAfter, p.NotBefore, p.NotAfter)
	}
	if !bytes.Equal(c.Issuer.Raw, p.RawIssuer) || !bytes.Equal(c.Subject.Raw, p.RawSubject) || !bytes.Equal(c.SPKI, p.RawSubjectPublicKeyInfo) {
		t.Error("names or key are not those of crypto/x509")
	}
	for i, e := range p.Extensions {
		if own := c.Extensions[i]; own.OID != e.Id.String() || own.Critical != e.Critical || !bytes.Equal(own.Value, e.Value) {
			t.Errorf("extension %d is %+v, want %+v", i, own, e)
		}
	}
}

func TestNewCertLenient(t *testing.T) {
	t.Setenv("GODEBUG", "x509negativeserial=0")
	const bmp, t61, universal = 0x1e, 0x14, 0x1c
	tests := []struct {
		name   string
		change func(r *raw)
		parsed bool // crypto/x509 takes it
		check  func(c *store.Cert) bool
	}{
		{"unchanged", func(*raw) {}, true, func(c *store.Cert) bool { return c.Version == 3 && c.Key() == "Ed25519 256" }},
		{"negative serial", func(r *raw) { r.serial = []byte{0xee, 0x2b} }, false, func(c *store.Cert) bool { return c.Serial.Int64() == 0xee2b-0x10000 }},
		{"long serial", func(r *raw) { r.serial = bytes.Repeat([]byte{0x7f}, 40) }, true, func(c *store.Cert) bool { return c.Serial.BitLen() == 319 }},
		{"empty serial", func(r *raw) { r.serial = nil }, false, func(c *store.Cert) bool { return c.Serial.Sign() == 0 }},
		{"version 1", func(r *raw) { r.version = nil }, true, func(c *store.Cert) bool { return c.Version == 1 && c.IsCA() }},
		{"version 1, issued", func(r *raw) { r.version, r.issuer = nil, commonName(t, 0x0c, "Other") }, true, func(c *store.Cert) bool { return !c.IsCA() }},
		{"version 9", func(r *raw) { r.version = der(0xa0, der(0x02, []byte{8})) }, false, func(c *store.Cert) bool { return c.Version == 9 }},
		{"BMP", func(r *raw) { r.subject = commonName(t, bmp, "\x00\xfc\xd8\x3d\xde\x00\x00") }, false, func(c *store.Cert) bool { return c.Label() == "ü😀" }},
		{"T61", func(r *raw) { r.subject = commonName(t, t61, "M\xfcller") }, true, func(c *store.Cert) bool { return c.Label() == "Müller" }},
		{"Universal", func(r *raw) { r.subject = commonName(t, universal, "\x00\x01\xf6\x00\xff\xff\xff\xff") }, false, func(c *store.Cert) bool { return c.Label() == "😀\ufffd" }},
		{"at sign in PrintableString", func(r *raw) { r.subject = commonName(t, 0x13, "a@b_c") }, false, func(c *store.Cert) bool { return c.Label() == "a@b_c" }},
		{"empty subject", func(r *raw) { r.subject = der(0x30) }, true, func(c *store.Cert) bool { return c.Label() == "(no name)" && !c.SelfIssued() }},
		{"blank name", func(r *raw) {
			r.subject = der(0x30, der(0x31, attribute(t, "2.5.4.10", 0x0c, "Org")), der(0x31, attribute(t, "2.5.4.3", 0x0c, " ")))
		}, true, func(c *store.Cert) bool { return c.Label() == "Org" }},
		{"any attribute", func(r *raw) { r.subject = der(0x30, der(0x31, attribute(t, "1.2.3.4", 0x0c, "x"))) }, true, func(c *store.Cert) bool { return c.Label() == "x" && c.Subject.String() == "1.2.3.4=x" }},
		{"several in one set", func(r *raw) {
			r.subject = der(0x30, der(0x31, attribute(t, "2.5.4.10", 0x0c, "Org")),
				der(0x31, der(0x05), attribute(t, "2.5.4.3", 0x0c, "#a "), attribute(t, "2.5.4.11", 0x0c, "b+c")))
		}, false, func(c *store.Cert) bool { return c.Subject.String() == `CN=\#a\ +OU=b\+c,O=Org` }},
		{"1950", func(r *raw) { r.times[0] = der(0x17, []byte("500101000000Z")) }, true, func(c *store.Cert) bool { return c.NotBefore.Equal(day(1950)) }},
		{"2049", func(r *raw) { r.times[1] = der(0x17, []byte("490101000000Z")) }, true, func(c *store.Cert) bool { return c.NotAfter.Equal(day(2049)) }},
		{"no seconds", func(r *raw) { r.times[0] = der(0x17, []byte("2401010000Z")) }, true, func(c *store.Cert) bool { return c.NotBefore.Equal(day(2024)) }},
		{"zone", func(r *raw) { r.times[0] = der(0x18, []byte("20240101020000+0200")) }, true, func(c *store.Cert) bool { return c.NotBefore.Equal(day(2024)) }},
		{"fraction", func(r *raw) { r.times[0] = der(0x18, []byte("20240101000000.0Z")) }, false, func(c *store.Cert) bool { return c.NotBefore.Equal(day(2024)) }},
		{"no time", func(r *raw) { r.times[0] = der(0x17, []byte("soon")) }, false, func(c *store.Cert) bool { return c.NotBefore.IsZero() && c.NotAfter.Equal(day(2044)) }},
		{"one time", func(r *raw) { r.times = r.times[:1] }, false, func(c *store.Cert) bool { return c.NotBefore.IsZero() && c.NotAfter.IsZero() }},
		{"twice the same extension", func(r *raw) {
			r.extensions = [][]byte{extension(t, "1.2.3", false, []byte("a")), extension(t, "1.2.3", true, []byte("b"))}
		}, false, func(c *store.Cert) bool {
			return len(c.Extensions) == 2 && string(c.Extension("1.2.3").Value) == "a" && c.Extensions[1].Critical
		}},
		{"broken extension", func(r *raw) {
			r.extensions = [][]byte{der(0x30, der(0x05)), extension(t, "2.5.29.19", true, der(0x30, der(0x01, []byte{1})))}
		}, false, func(c *store.Cert) bool { return len(c.Extensions) == 1 && c.IsCA() }},
		{"unreadable basic constraints", func(r *raw) { r.extensions = [][]byte{extension(t, "2.5.29.19", true, []byte{1})} }, false, func(c *store.Cert) bool { ca, present := c.BasicConstraints(); return !ca && present && !c.IsCA() }},
		{"unreadable key usage", func(r *raw) { r.extensions = [][]byte{extension(t, "2.5.29.15", true, []byte{1})} }, false, func(c *store.Cert) bool { u, present := c.KeyUsage(); return u == 0 && present }},
		{"no purpose", func(r *raw) { r.extensions = [][]byte{extension(t, "2.5.29.37", true, der(0x30))} }, true, func(c *store.Cert) bool { e := c.ExtendedKeyUsage(); return e != nil && len(e) == 0 }},
		{"unreadable purposes", func(r *raw) { r.extensions = [][]byte{extension(t, "2.5.29.37", true, []byte{1})} }, false, func(c *store.Cert) bool { e := c.ExtendedKeyUsage(); return e != nil && len(e) == 0 }},
		{"huge OID", func(r *raw) {
			r.extensions = [][]byte{der(0x30, der(0x06, bytes.Repeat([]byte{0xff}, 20), []byte{1}), der(0x04))}
		}, false, func(c *store.Cert) bool {
			return len(c.Extensions) == 1 && strings.HasPrefix(c.Extensions[0].OID, "oid:ffff")
		}},
		{"unknown key", func(r *raw) { r.spki = der(0x30, der(0x30, oid(t, "2.999.5")), der(0x03, []byte{0})) }, true, func(c *store.Cert) bool { return c.Key() == "2.999.5" }},
		{"unknown curve", func(r *raw) {
			r.spki = der(0x30, der(0x30, oid(t, "1.2.840.10045.2.1"), oid(t, "1.2.3.4")), der(0x03, []byte{0}))
		}, false, func(c *store.Cert) bool { return c.Key() == "EC 1.2.3.4" && c.KeyBits == 0 }},
		{"brainpool", func(r *raw) {
			r.spki = der(0x30, der(0x30, oid(t, "1.2.840.10045.2.1"), oid(t, "1.3.36.3.3.2.8.1.1.7")), der(0x03, []byte{0}))
		}, false, func(c *store.Cert) bool { return c.Key() == "EC brainpoolP256r1" && c.KeyBits == 256 }},
		{"explicit parameters", func(r *raw) {
			r.spki = der(0x30, der(0x30, oid(t, "1.2.840.10045.2.1"), der(0x30)), der(0x03, []byte{0}))
		}, false, func(c *store.Cert) bool { return c.Key() == "EC explicit parameters" }},
		{"no key", func(r *raw) { r.spki = der(0x30) }, false, func(c *store.Cert) bool { return c.Version == 3 && c.Key() == "" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRaw(t)
			tt.change(&r)
			c := store.NewCert(r.encode(t))
			agrees(t, c)
			if (c.Parsed() != nil) != tt.parsed {
				t.Errorf("crypto/x509 says %v", c.ParseError())
			}
			if c.Version == 0 || !tt.check(c) {
				t.Errorf("label %q, subject %q, %+v", c.Label(), c.Subject, c)
			}
		})
	}
}

func TestNewCertKeys(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for want, key := range map[string]crypto.Signer{"RSA 1024": rsaKey, "Ed25519 256": edKey, "EC P-384": p384} {
		if c := issue(t, &x509.Certificate{}, nil, key); c.Key() != want {
			t.Errorf("key is %q, want %q", c.Key(), want)
		}
	}
	p, err := asn1.Marshal(dsa.Parameters{P: new(big.Int).Lsh(big.NewInt(1), 1023), Q: big.NewInt(3), G: big.NewInt(2)})
	if err != nil {
		t.Fatal(err)
	}
	r := newRaw(t)
	r.spki = der(0x30, der(0x30, oid(t, "1.2.840.10040.4.1"), p), der(0x03, []byte{0}, der(0x02, []byte{1})))
	if c := store.NewCert(r.encode(t)); c.Key() != "DSA 1024" {
		t.Errorf("key is %q", c.Key())
	}
}

func TestNewCertBroken(t *testing.T) {
	whole := newRaw(t).encode(t)
	key := newKey(t)
	ca := issue(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, SubjectKeyId: []byte{1}, KeyUsage: x509.KeyUsageCRLSign}, nil, key)
	crl, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: day(2024), NextUpdate: day(2025),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(1), RevocationTime: day(2024)}},
	}, ca.Parsed(), key)
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string][]byte{
		"nothing": nil, "garbage": []byte("garbage"), "empty sequence": {0x30, 0},
		"cut short": whole[:len(whole)-1], "no inner sequence": der(0x30, der(0x02, []byte{1})), "few fields": der(0x30, der(0x30, der(0x02, []byte{1}))),
		"revocation list": crl, "request": request,
		"indefinite length": append([]byte{0x30, 0x80}, whole[2:]...), "4 GiB": {0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0},
		"long tag":           {0x3f, 0x01, 0x00},
		"a million elements": der(0x30, der(0x30, bytes.Repeat([]byte{5, 0}, 1<<20))),
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			c := store.NewCert(data)
			agrees(t, c)
			if c.Version != 0 || c.Parsed() != nil || c.Serial != nil || c.SelfIssued() || c.IsCA() || c.Label() != "(unreadable certificate)" {
				t.Errorf("%+v", c)
			}
			if c.ExtendedKeyUsage() != nil {
				t.Error("no extension limits nothing")
			}
			if _, present := c.KeyUsage(); present {
				t.Error("there is no key usage")
			}
		})
	}
	for n := range whole {
		if c := store.NewCert(whole[:n:n]); c.Version != 0 {
			t.Fatalf("%d of %d bytes are version %d", n, len(whole), c.Version)
		}
	}
}

func TestTrailingData(t *testing.T) {
	c := store.NewCert(append(newRaw(t).encode(t), 0))
	if c.Parsed() != nil || c.Version != 3 || c.Label() != "Raw" {
		t.Errorf("%+v", c)
	}
}

func FuzzNewCert(f *testing.F) {
	r := newRaw(f)
	f.Add(r.encode(f))
	r.extensions = [][]byte{extension(f, "2.5.29.37", true, der(0x30, oid(f, "2.5.29.37.0"))), extension(f, "2.5.29.15", true, der(0x03, []byte{1, 6}))}
	f.Add(r.encode(f))
	r.version, r.serial = nil, []byte{0x80}
	f.Add(r.encode(f))
	f.Add(issue(f, &x509.Certificate{Subject: pkix.Name{CommonName: "x"}, IsCA: true, BasicConstraintsValid: true}, nil, newKey(f)).Raw)
	f.Fuzz(func(t *testing.T, data []byte) {
		c := store.NewCert(data)
		agrees(t, c)
		c.IsCA()
		c.KeyUsage()
		c.ExtendedKeyUsage()
		store.KnownTool(c)
		for _, concern := range store.Concerns(c, day(2024)) {
			if concern.Text != store.Printable(concern.Text) && !strings.Contains(concern.Text, `\`) {
				t.Errorf("%q", concern.Text)
			}
		}
		if c.Label() == "" || c.Version == 0 && c.Serial != nil {
			t.Errorf("%+v", c)
		}
		_ = c.Subject.String() + c.Key()
	})
}
