package probetest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// cert is a certificate with its key.
type cert struct {
	der      []byte
	key      crypto.Signer
	template *x509.Certificate
}

func (c *cert) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.der})
}

// recipe is how a certificate is made.
type recipe struct {
	*x509.Certificate
	key    crypto.Signer
	serial *big.Int // if x509 would refuse it
	v1     bool
}

type option func(*recipe)

// root makes a self-signed authority.
func (b *builder) root(cn string, options ...option) *cert { return b.make(nil, cn, true, options) }

// sub makes an authority below ca.
func (b *builder) sub(ca *cert, cn string, options ...option) *cert {
	return b.make(ca, cn, true, options)
}

// leaf makes a server certificate below ca for the host of the case; with nil
// it is self-signed.
func (b *builder) leaf(ca *cert, options ...option) *cert {
	return b.make(ca, b.s.Case.Host, false, append([]option{names(b.s.Case.Host)}, options...))
}

func (b *builder) make(issuer *cert, cn string, isCA bool, options []option) *cert {
	b.serial++
	var random [8]byte
	_, _ = rand.Read(random[:])
	r := &recipe{Certificate: &x509.Certificate{
		Subject:      pkix.Name{CommonName: cn},
		SerialNumber: new(big.Int).Add(new(big.Int).SetBytes(random[:]), big.NewInt(1<<62)),
		NotBefore:    b.now.AddDate(-2, 0, 0), NotAfter: b.now.AddDate(10, 0, 0),
		IsCA: isCA, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}}
	if isCA {
		r.Subject.Organization = []string{"certtrust test " + b.s.Case.Name}
	} else {
		r.NotBefore, r.NotAfter = b.now.AddDate(0, 0, -30), b.now.AddDate(0, 0, 60)
		r.KeyUsage = x509.KeyUsageDigitalSignature
		r.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	for _, o := range options {
		o(r)
	}
	if r.key == nil {
		r.key = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	}
	r.SubjectKeyId = keyID(r.key)
	if r.RawSubject == nil {
		r.RawSubject = must(asn1.Marshal(r.Subject.ToRDNSequence()))
	}
	parent, key := r.Certificate, r.key
	if issuer != nil {
		parent, key = issuer.template, issuer.key
	}
	if r.SignatureAlgorithm != 0 && r.SignatureAlgorithm != x509.PureEd25519 {
		// As it was asked for.
	} else if _, ok := key.(*rsa.PrivateKey); ok {
		r.SignatureAlgorithm = x509.SHA256WithRSA
	}
	der := must(x509.CreateCertificate(rand.Reader, r.Certificate, parent, r.key.Public(), key))
	if r.serial != nil || r.v1 {
		der = patch(der, r, key)
	}
	return &cert{der, r.key, r.Certificate}
}

// keyID is the SHA-1 of the key: what OCSP calls a responder by, too, and there
// are clients that expect both to be the same.
func keyID(key crypto.Signer) []byte {
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	_ = must(asn1.Unmarshal(must(x509.MarshalPKIXPublicKey(key.Public())), &spki))
	id := sha1.Sum(spki.Key.Bytes)
	return id[:]
}

// patch puts in what x509 refuses to make, and signs again.
func patch(der []byte, r *recipe, key crypto.Signer) []byte {
	var outer, fields []asn1.RawValue
	_ = must(asn1.Unmarshal(der, &outer))
	_ = must(asn1.Unmarshal(outer[0].FullBytes, &fields))
	if r.serial != nil {
		fields[1] = asn1.RawValue{FullBytes: must(asn1.Marshal(r.serial))}
	}
	if r.v1 {
		kept := fields[:0]
		for _, f := range fields {
			if f.Class != asn1.ClassContextSpecific {
				kept = append(kept, f)
			}
		}
		fields = kept
	}
	tbs := must(asn1.Marshal(fields))
	return signed(tbs, outer[1], key)
}

// signed puts a signature (SHA-256) under what is to be signed.
func signed(tbs []byte, algorithm asn1.RawValue, key crypto.Signer) []byte {
	digest := sha256.Sum256(tbs)
	signature := must(key.Sign(rand.Reader, digest[:], crypto.SHA256))
	return must(asn1.Marshal(struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, algorithm, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}}))
}

// spoilt returns the certificate with a signature that does not verify.
func (c *cert) spoilt() *cert {
	der := bytes.Clone(c.der)
	der[len(der)-3] ^= 0x55
	return &cert{der, c.key, c.template}
}

func names(hosts ...string) option {
	return func(r *recipe) {
		r.DNSNames, r.IPAddresses = nil, nil
		for _, h := range hosts {
			if ip := net.ParseIP(h); ip != nil {
				r.IPAddresses = append(r.IPAddresses, ip)
			} else {
				r.DNSNames = append(r.DNSNames, h)
			}
		}
	}
}

func dnsNames(hosts ...string) option {
	return func(r *recipe) { r.DNSNames, r.IPAddresses = hosts, nil }
}

func subject(n pkix.Name) option { return func(r *recipe) { r.Subject = n } }
func cn(s string) option         { return subject(pkix.Name{CommonName: s}) }

func valid(from, to time.Time) option {
	return func(r *recipe) { r.NotBefore, r.NotAfter = from, to }
}

func withKey(k crypto.Signer) option        { return func(r *recipe) { r.key = k } }
func sameKey(c *cert) option                { return withKey(c.key) }
func with(f func(*x509.Certificate)) option { return func(r *recipe) { f(r.Certificate) } }
func aia(urls ...string) option {
	return with(func(t *x509.Certificate) { t.IssuingCertificateURL = urls })
}
func ocsp(urls ...string) option { return with(func(t *x509.Certificate) { t.OCSPServer = urls }) }
func crl(urls ...string) option {
	return with(func(t *x509.Certificate) { t.CRLDistributionPoints = urls })
}
func usage(u x509.KeyUsage) option     { return with(func(t *x509.Certificate) { t.KeyUsage = u }) }
func eku(u ...x509.ExtKeyUsage) option { return with(func(t *x509.Certificate) { t.ExtKeyUsage = u }) }
func serial(n int64) option            { return func(r *recipe) { r.serial = big.NewInt(n) } }
func version1() option                 { return func(r *recipe) { r.v1 = true } }

func signedSHA1() option {
	return func(r *recipe) {
		r.SignatureAlgorithm = x509.ECDSAWithSHA1
	}
}

func notCA() option {
	return with(func(t *x509.Certificate) { t.IsCA = false })
}

func pathLength(n int) option {
	return with(func(t *x509.Certificate) { t.MaxPathLen, t.MaxPathLenZero = n, n == 0 })
}

func extension(oid asn1.ObjectIdentifier, critical bool, value []byte) option {
	return with(func(t *x509.Certificate) {
		t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: oid, Critical: critical, Value: value})
	})
}

func rsaKey(bits int) option {
	return func(r *recipe) { r.key = must(rsa.GenerateKey(rand.Reader, bits)) }
}

// chain is what a server sends, with the key of the first.
func chain(leaf *cert, rest ...*cert) tls.Certificate {
	c := tls.Certificate{Certificate: [][]byte{leaf.der}, PrivateKey: leaf.key}
	for _, r := range rest {
		c.Certificate = append(c.Certificate, r.der)
	}
	return c
}

// The object identifiers of PKCS #7 (RFC 2315).
var (
	oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidData       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
)

// pkcs7 returns a degenerate SignedData with certificates alone.
func pkcs7(certs ...*cert) []byte {
	var all []byte
	for _, c := range certs {
		all = append(all, c.der...)
	}
	type contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"optional"`
	}
	emptySet := asn1.RawValue{Tag: asn1.TagSet, IsCompound: true}
	inner := must(asn1.Marshal(struct {
		Version      int
		Digests      asn1.RawValue
		Content      contentInfo
		Certificates asn1.RawValue
		Signers      asn1.RawValue
	}{1, emptySet, contentInfo{Type: oidData}, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: all}, emptySet}))
	return must(asn1.Marshal(contentInfo{oidSignedData, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: inner}}))
}

// many returns n names, the host the last. They are short, so that clients with a
// limit of 32 KiB go along.
func many(host string, n int) []string {
	var all []string
	for i := range n - 1 {
		all = append(all, fmt.Sprintf("n%d.test", i))
	}
	return append(all, host)
}
