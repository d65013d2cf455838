package storetest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/certtrust/certtrust/store"
)

// CA is a certificate with its private key, made for a test. It is usually a
// certificate authority; [NotCA] makes it something else. It is not changed
// after it was made and may be used by several goroutines.
type CA struct {
	spec     spec
	issuer   *CA // nil: self-signed
	key      crypto.Signer
	template *x509.Certificate
	cert     *store.Cert
}

// Option is a wish for a new certificate. A later one overrides an earlier one.
type Option func(*spec)

type spec struct {
	seed     string
	subject  []byte
	serial   *big.Int
	key      crypto.Signer // given, instead of made by newKey
	newKey   func(io.Reader) (crypto.Signer, error)
	v1       bool
	template []func(*x509.Certificate)
}

// CN makes the subject a single common name, a UTF8String that holds s byte
// for byte, whatever it is; "" gives an attribute with an empty value.
func CN(s string) Option {
	value := asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(s)}
	return RawSubject(must(asn1.Marshal(pkix.RDNSequence{{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: value}}})))
}

// Subject sets the subject.
func Subject(n pkix.Name) Option { return RawSubject(must(asn1.Marshal(n.ToRDNSequence()))) }

// RawSubject sets the DER of the subject.
func RawSubject(der []byte) Option { return func(s *spec) { s.subject = der } }

// Serial sets the serial number, of any size and sign. crypto/x509 refuses a
// certificate with a negative one.
func Serial(n *big.Int) Option { return func(s *spec) { s.serial = n } }

// Seed makes the key, the default subject and the default serial number follow
// from seed alone, so that the same options give the same certificate, byte
// for byte (for one that is not a CA only with [Validity] too).
func Seed(seed string) Option { return func(s *spec) { s.seed = seed } }

// Key uses a key that exists already.
func Key(key crypto.Signer) Option { return func(s *spec) { s.key = key } }

// RSA makes an RSA key of that many bits, at least 1024.
func RSA(bits int) Option {
	return func(s *spec) { s.newKey = func(r io.Reader) (crypto.Signer, error) { return newRSA(r, bits) } }
}

// ECDSA makes a key on that curve. P-256 is the default.
func ECDSA(curve elliptic.Curve) Option {
	return func(s *spec) {
		s.newKey = func(r io.Reader) (crypto.Signer, error) {
			n := curve.Params().N
			random := make([]byte, (n.BitLen()+7)/8)
			if _, err := io.ReadFull(r, random); err != nil {
				return nil, err
			}
			one := big.NewInt(1)
			d := new(big.Int).SetBytes(random)
			d.Mod(d, new(big.Int).Sub(n, one)).Add(d, one)
			return ecdsa.ParseRawPrivateKey(curve, d.FillBytes(random))
		}
	}
}

// Ed25519 makes an Ed25519 key.
func Ed25519() Option {
	return func(s *spec) {
		s.newKey = func(r io.Reader) (crypto.Signer, error) {
			seed := make([]byte, ed25519.SeedSize)
			_, err := io.ReadFull(r, seed)
			return ed25519.NewKeyFromSeed(seed), err
		}
	}
}

// newRSA makes a key that depends on nothing but r, which [rsa.GenerateKey]
// does not promise.
func newRSA(r io.Reader, bits int) (crypto.Signer, error) {
	prime := func(bits int) (*big.Int, error) {
		b := make([]byte, (bits+7)/8)
		for {
			if _, err := io.ReadFull(r, b); err != nil {
				return nil, err
			}
			p := new(big.Int).SetBytes(b)
			p.Rsh(p, uint(8*len(b)-bits))
			// Two top bits, so that the product has all its bits.
			p.SetBit(p, bits-1, 1).SetBit(p, bits-2, 1).SetBit(p, 0, 1)
			if p.ProbablyPrime(20) {
				return p, nil
			}
		}
	}
	one, e := big.NewInt(1), big.NewInt(65537)
	for {
		p, err := prime((bits + 1) / 2)
		if err != nil {
			return nil, err
		}
		q, err := prime(bits / 2)
		if err != nil {
			return nil, err
		}
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		d := new(big.Int).ModInverse(e, phi)
		if d == nil || p.Cmp(q) == 0 {
			continue
		}
		key := &rsa.PrivateKey{
			PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: int(e.Int64())},
			D:         d, Primes: []*big.Int{p, q},
		}
		key.Precompute()
		return key, key.Validate()
	}
}

// V1 makes it a certificate of version 1, which has no extensions.
func V1() Option { return func(s *spec) { s.v1 = true } }

// Template changes what is given to [x509.CreateCertificate]. Subject, serial
// number and version have options of their own.
func Template(change func(*x509.Certificate)) Option {
	return func(s *spec) { s.template = append(slices.Clip(s.template), change) }
}

// Validity sets both dates. Without it a CA is valid from 2020 to 2049, and
// what is not a CA from an hour ago for 90 days.
func Validity(from, to time.Time) Option {
	return Template(func(t *x509.Certificate) { t.NotBefore, t.NotAfter = from, to })
}

// NotCA makes it a server's certificate, with basicConstraints that say that
// it is no certificate authority. With [NewCA] it is self-signed.
func NotCA() Option {
	return Template(func(t *x509.Certificate) {
		t.IsCA, t.KeyUsage = false, x509.KeyUsageDigitalSignature
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		now := time.Now().UTC().Truncate(time.Second)
		t.NotBefore, t.NotAfter = now.Add(-time.Hour), now.AddDate(0, 0, 90)
	})
}

// NoBasicConstraints leaves the basicConstraints extension out.
func NoBasicConstraints() Option {
	return Template(func(t *x509.Certificate) { t.IsCA, t.BasicConstraintsValid = false, false })
}

// EKU sets the extended key usages.
func EKU(usages ...x509.ExtKeyUsage) Option {
	return Template(func(t *x509.Certificate) { t.ExtKeyUsage = usages })
}

// PermittedDNS adds critical name constraints.
func PermittedDNS(domains ...string) Option {
	return Template(func(t *x509.Certificate) {
		t.PermittedDNSDomainsCritical, t.PermittedDNSDomains = true, domains
	})
}

// Hosts sets the subject alternative names: DNS names and IP addresses.
func Hosts(hosts ...string) Option {
	return Template(func(t *x509.Certificate) {
		for _, h := range hosts {
			if ip := net.ParseIP(h); ip != nil {
				t.IPAddresses = append(t.IPAddresses, ip)
			} else {
				t.DNSNames = append(t.DNSNames, h)
			}
		}
	})
}

// NewCA makes a self-signed certificate: without options an authority with a
// P-256 key, and with a subject and serial number that no other one has.
func NewCA(tb testing.TB, opts ...Option) *CA {
	tb.Helper()
	return build(tb, nil, "Test CA", opts)
}

// Issue makes a certificate that ca has signed.
func (ca *CA) Issue(tb testing.TB, opts ...Option) *CA {
	tb.Helper()
	return build(tb, ca, "Test Certificate", opts)
}

// Intermediate makes an authority that ca has signed.
func (ca *CA) Intermediate(tb testing.TB, opts ...Option) *CA {
	tb.Helper()
	return build(tb, ca, "Test Intermediate CA", opts)
}

// Leaf makes a server certificate for hosts (DNS names and IP addresses) that
// ca has signed. The chain has all certificates but the root.
func (ca *CA) Leaf(tb testing.TB, hosts ...string) tls.Certificate {
	tb.Helper()
	name := "leaf"
	if len(hosts) > 0 {
		name = hosts[0]
	}
	return ca.Issue(tb, CN(name), NotCA(), Hosts(hosts...)).TLS()
}

// Twin makes a certificate like ca, by the same issuer, with the same subject
// and the same serial number, but with another key.
func Twin(tb testing.TB, ca *CA) *CA {
	tb.Helper()
	s := ca.spec
	s.key, s.seed = nil, s.seed+" twin"
	return create(tb, ca.issuer, s)
}

// Unparsable makes an authority whose certificate is well-formed and correctly
// self-signed, but which crypto/x509 refuses, because its serial number is
// negative (unless the program is built with the setting x509negativeserial=1).
func Unparsable(tb testing.TB) *CA {
	tb.Helper()
	return NewCA(tb, Serial(big.NewInt(-12345)))
}

// Many makes n authorities that share one key, so that it is fast.
func Many(tb testing.TB, n int) []*store.Cert {
	tb.Helper()
	key := NewCA(tb).key
	out := make([]*store.Cert, n)
	for i := range out {
		out[i] = NewCA(tb, Key(key), CN(fmt.Sprintf("Test CA %d of %d", i+1, n))).cert
	}
	return out
}

// Garbage returns bytes that are no certificate, and their fingerprint as if
// they were.
func Garbage() ([]byte, store.Fingerprint) {
	b := []byte("\x30\x82\x01\x00 this is not a certificate")
	return b, store.FingerprintOf(b)
}

// HostileNames returns texts to be used as names: what breaks file names,
// command lines, terminals and line-based formats that do not expect it.
func HostileNames() []string {
	long := make([]byte, 300)
	for i := range long {
		long[i] = 'a' + byte(i%26)
	}
	return []string{
		"", " ", ".", "..", "../../etc/cron.d/x", "/etc/passwd", `..\..\windows\x`, "-rf", "--help",
		"two\nlines", "carriage\rreturn", "nul\x00byte", "tab\there",
		"\x1b[31mred\x1b[0m\x1b]0;title\x07", "\u202ereversed\u202c", "zero\u200bwidth", "non-ASCII: Zertifizierungsstelle Köln 证书",
		"-----BEGIN CERTIFICATE-----", "# comment", "!deselected", "a=b,c+d;e<f>", `"quoted" 'too' \back`, "$(id) `id` ; id | id & id",
		"*?[x]{y}", "%s%n%00", "CON", "name.", "x:y", string(long),
	}
}

// Cert returns the certificate.
func (ca *CA) Cert() *store.Cert { return ca.cert }

// DER returns the certificate's DER.
func (ca *CA) DER() []byte { return slices.Clone(ca.cert.Raw) }

// PEM returns the certificate as a PEM block.
func (ca *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})
}

// Key returns the private key.
func (ca *CA) Key() crypto.Signer { return ca.key }

// KeyPEM returns the private key as a PEM block of PKCS #8.
func (ca *CA) KeyPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(ca.key))})
}

// TLS returns what a server needs: the key, and the chain without the root.
func (ca *CA) TLS() tls.Certificate {
	c := tls.Certificate{Certificate: [][]byte{ca.DER()}, PrivateKey: ca.key, Leaf: ca.cert.Parsed()}
	for up := ca.issuer; up != nil && up.issuer != nil; up = up.issuer {
		c.Certificate = append(c.Certificate, up.DER())
	}
	return c
}

func build(tb testing.TB, issuer *CA, name string, opts []Option) *CA {
	tb.Helper()
	s := spec{seed: rand.Text()}
	ECDSA(elliptic.P256())(&s)
	for _, o := range opts {
		o(&s)
	}
	id := sha256.Sum256([]byte("name " + s.seed))
	if s.subject == nil {
		CN(fmt.Sprintf("%s %x", name, id[:4]))(&s)
	}
	if s.serial == nil {
		s.serial = new(big.Int).SetBytes(append([]byte{1}, id[16:]...)) // positive, 17 octets
	}
	return create(tb, issuer, s)
}

func create(tb testing.TB, issuer *CA, s spec) *CA {
	tb.Helper()
	ca, err := sign(issuer, s)
	if err != nil {
		tb.Fatalf("storetest: making a certificate: %v", err)
	}
	return ca
}

func sign(issuer *CA, s spec) (*CA, error) {
	ca := &CA{spec: s, issuer: issuer, key: s.key}
	if ca.key == nil {
		var err error
		if ca.key, err = s.newKey(mathrand.NewChaCha8(sha256.Sum256([]byte("key " + s.seed)))); err != nil {
			return nil, err
		}
	}
	public, err := x509.MarshalPKIXPublicKey(ca.key.Public())
	if err != nil {
		return nil, err
	}
	keyID := sha256.Sum256(public)
	ca.template = &x509.Certificate{
		SerialNumber: big.NewInt(1), RawSubject: s.subject, PublicKey: ca.key.Public(), SubjectKeyId: keyID[:20],
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if s.serial.Sign() > 0 {
		ca.template.SerialNumber = s.serial
	}
	parent, key := ca.template, ca.key
	if issuer != nil {
		parent, key = issuer.template, issuer.key
	}
	switch key.(type) {
	case *rsa.PrivateKey:
		ca.template.SignatureAlgorithm = x509.SHA256WithRSA
	case *ecdsa.PrivateKey:
		ca.template.SignatureAlgorithm = x509.ECDSAWithSHA256
	}
	for _, change := range s.template {
		change(ca.template)
	}
	der, err := x509.CreateCertificate(nil, ca.template, parent, ca.key.Public(), sameEachTime{key})
	if err == nil && (s.v1 || s.serial.Sign() <= 0) {
		der, err = patch(der, s, key)
	}
	if err != nil {
		return nil, err
	}
	ca.cert = store.NewCert(der)
	return ca, nil
}

// sameEachTime signs without randomness.
type sameEachTime struct{ crypto.Signer }

func (k sameEachTime) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.Signer.Sign(nil, digest, opts)
}

// patch puts in what x509.CreateCertificate refuses to make: any serial number,
// and version 1. It signs the result with key and SHA-256.
func patch(der []byte, s spec, key crypto.Signer) ([]byte, error) {
	var outer, fields []asn1.RawValue // RFC 5280, 4.1: tbsCertificate, signatureAlgorithm, signature
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		return nil, err
	}
	if _, err := asn1.Unmarshal(outer[0].FullBytes, &fields); err != nil {
		return nil, err
	}
	serial, err := asn1.Marshal(s.serial)
	if err != nil {
		return nil, err
	}
	fields[1] = asn1.RawValue{FullBytes: serial} // after [0] version
	if s.v1 {
		fields = slices.DeleteFunc(fields, func(f asn1.RawValue) bool { return f.Class == asn1.ClassContextSpecific })
	}
	tbs, err := asn1.Marshal(fields)
	if err != nil {
		return nil, err
	}
	message, hash := tbs, crypto.Hash(0)
	if _, whole := key.(ed25519.PrivateKey); !whole {
		digest := sha256.Sum256(tbs)
		message, hash = digest[:], crypto.SHA256
	}
	signature, err := sameEachTime{key}.Sign(nil, message, hash)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(struct {
		TBS, Algorithm asn1.RawValue
		Signature      asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, outer[1], asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}})
}

// must is for encoding what cannot fail to be encoded.
func must(der []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return der
}
