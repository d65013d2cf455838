package probetest

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"time"
)

// status is what an OCSP response says of a certificate.
type status int

const (
	good    status = iota // [0]
	revoked               // [1]
	unknown               // [2]
)

var (
	oidOCSPBasic       = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
	oidSHA1            = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidECDSAWithSHA256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	oidTLSFeature      = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}
)

// ocspResponse answers for a certificate of ca, with the signature of signer,
// whose certificate is in it if it is not ca itself (RFC 6960, 4.2.1).
func ocspResponse(ca, signer, subject *cert, s status, from, to time.Time) []byte {
	nameHash, keyHash := sha1.Sum(ca.template.RawSubject), keyID(ca.key)

	answer := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: int(s)}
	if s == revoked { // revocationTime
		answer.IsCompound, answer.Bytes = true, must(asn1.MarshalWithParams(from.Add(-time.Hour), "generalized"))
	}
	type certID struct {
		Hash          pkix.AlgorithmIdentifier
		NameHash, Key []byte
		Serial        *big.Int
	}
	type single struct {
		ID         certID
		Status     asn1.RawValue
		ThisUpdate time.Time `asn1:"generalized"`
		NextUpdate time.Time `asn1:"generalized,explicit,tag:0"`
	}
	responder, certs := ca, []asn1.RawValue(nil)
	if !bytes.Equal(signer.template.RawSubject, ca.template.RawSubject) {
		certs = []asn1.RawValue{{FullBytes: signer.der}}
		responder = signer
	}
	tbs := must(asn1.Marshal(struct {
		Responder  asn1.RawValue
		ProducedAt time.Time `asn1:"generalized"`
		Responses  []single
	}{asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, IsCompound: true, Bytes: responder.template.RawSubject}, from, []single{{
		certID{pkix.AlgorithmIdentifier{Algorithm: oidSHA1, Parameters: asn1.NullRawValue}, nameHash[:], keyHash, subject.template.SerialNumber},
		answer, from, to,
	}}}))
	digest := sha256.Sum256(tbs)
	signature := must(signer.key.Sign(rand.Reader, digest[:], crypto.SHA256))
	body := must(asn1.Marshal(struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
		Certs     []asn1.RawValue `asn1:"optional,omitempty,explicit,tag:0"`
	}{asn1.RawValue{FullBytes: tbs}, pkix.AlgorithmIdentifier{Algorithm: oidECDSAWithSHA256}, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}, certs}))
	return must(asn1.Marshal(struct {
		Status asn1.Enumerated
		Bytes  struct {
			Type asn1.ObjectIdentifier
			Body []byte
		} `asn1:"explicit,tag:0"`
	}{0, struct {
		Type asn1.ObjectIdentifier
		Body []byte
	}{oidOCSPBasic, body}}))
}

// responder is somebody whom ca has made a certificate for that usage.
func (b *builder) responder(ca *cert, usage x509.ExtKeyUsage) *cert {
	return b.make(ca, "Responder", false, []option{eku(usage)})
}

// crlOf returns a revocation list of ca.
func (b *builder) crlOf(ca *cert, from, to time.Time, revoked ...*cert) []byte {
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: from, NextUpdate: to}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.template.SerialNumber, RevocationTime: from})
	}
	return must(x509.CreateRevocationList(rand.Reader, list, ca.template, ca.key))
}

// mustStaple is the extension that asks for a staple (RFC 7633).
func mustStaple() option { return extension(oidTLSFeature, false, []byte{0x30, 3, 2, 1, 5}) }
