package probetest

import (
	"crypto/rand"
	"crypto/sha1"
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

// ocspResponse answers for a certificate of ca, with the signature of signer
// (RFC 6960, 4.2.1).
func ocspResponse(ca, signer, subject *cert, s status, from, to time.Time) []byte {
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	_ = must(asn1.Unmarshal(must(x509.MarshalPKIXPublicKey(ca.key.Public())), &spki))
	nameHash, keyHash := sha1.Sum(ca.template.RawSubject), sha1.Sum(spki.Key.Bytes)

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
	tbs := must(asn1.Marshal(struct {
		ResponderKey []byte    `asn1:"explicit,tag:2"`
		ProducedAt   time.Time `asn1:"generalized"`
		Responses    []single
	}{keyHash[:], from, []single{{
		certID{pkix.AlgorithmIdentifier{Algorithm: oidSHA1, Parameters: asn1.NullRawValue}, nameHash[:], keyHash[:], subject.template.SerialNumber},
		answer, from, to,
	}}}))
	algorithm := asn1.RawValue{FullBytes: must(asn1.Marshal(pkix.AlgorithmIdentifier{Algorithm: oidECDSAWithSHA256}))}
	return must(asn1.Marshal(struct {
		Status asn1.Enumerated
		Bytes  struct {
			Type asn1.ObjectIdentifier
			Body []byte
		} `asn1:"explicit,tag:0"`
	}{0, struct {
		Type asn1.ObjectIdentifier
		Body []byte
	}{oidOCSPBasic, signed(tbs, algorithm, signer.key)}}))
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
