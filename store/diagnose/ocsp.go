package diagnose

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"time"

	"github.com/certtrust/certtrust/store"
)

// The parts of an OCSP response that are needed (RFC 6960, 4.2.1).
type ocspResponse struct {
	Status asn1.Enumerated
	Bytes  struct {
		Type     asn1.ObjectIdentifier
		Response []byte
	} `asn1:"explicit,tag:0,optional"`
}

type ocspBasic struct {
	Data         ocspData
	Algorithm    pkix.AlgorithmIdentifier
	Signature    asn1.BitString
	Certificates []asn1.RawValue `asn1:"explicit,tag:0,optional"`
}

type ocspData struct {
	Raw       asn1.RawContent
	Version   int `asn1:"optional,default:0,explicit,tag:0"`
	Responder asn1.RawValue
	Produced  time.Time `asn1:"generalized"`
	Responses []ocspSingle
	Exts      asn1.RawValue `asn1:"optional,explicit,tag:1"`
}

type ocspSingle struct {
	ID      ocspID
	Good    asn1.Flag     `asn1:"tag:0,optional"`
	Revoked ocspRevoked   `asn1:"tag:1,optional"`
	Unknown asn1.Flag     `asn1:"tag:2,optional"`
	This    time.Time     `asn1:"generalized"`
	Next    time.Time     `asn1:"generalized,explicit,tag:0,optional"`
	Exts    asn1.RawValue `asn1:"optional,explicit,tag:1"`
}

type ocspID struct {
	Hash     pkix.AlgorithmIdentifier
	NameHash []byte
	KeyHash  []byte
	Serial   *big.Int
}

type ocspRevoked struct {
	Time   time.Time       `asn1:"generalized"`
	Reason asn1.Enumerated `asn1:"explicit,tag:0,optional"`
}

// ocspAnswer is what a responder says of a certificate.
type ocspAnswer struct {
	status     string // good, revoked, unknown
	revokedAt  time.Time
	this, next time.Time
}

var (
	errOCSPForm      = errors.New("not an OCSP response")
	errOCSPStatus    = errors.New("the responder did not answer the question")
	errOCSPOther     = errors.New("it is about another certificate")
	errOCSPSignature = errors.New("it is not signed by the issuer or its responder")
)

// readOCSP reads a response about n and checks that issuer vouches for it. It
// does not look at its age.
func (e *engine) readOCSP(der []byte, n, issuer *node) (ocspAnswer, error) {
	var r ocspResponse
	if _, err := asn1.Unmarshal(der, &r); err != nil {
		return ocspAnswer{}, errOCSPForm
	}
	if r.Status != 0 {
		return ocspAnswer{}, errOCSPStatus
	}
	var b ocspBasic
	if _, err := asn1.Unmarshal(r.Bytes.Response, &b); err != nil {
		return ocspAnswer{}, errOCSPForm
	}
	var single *ocspSingle
	for i := range b.Data.Responses {
		if s := &b.Data.Responses[i]; n.Serial != nil && s.ID.Serial != nil && s.ID.Serial.Cmp(n.Serial) == 0 {
			single = s
			break
		}
	}
	if single == nil {
		return ocspAnswer{}, errOCSPOther
	}
	signed := func(by *node) bool {
		return by.key != nil && checkSignature(by.key, b.Algorithm.Algorithm.String(), b.Algorithm.Parameters.FullBytes, b.Data.Raw, b.Signature.RightAlign()) == goodSignature
	}
	ok := signed(issuer)
	for i := 0; !ok && i < len(b.Certificates) && i < 4; i++ {
		c := newNode(store.NewCert(b.Certificates[i].FullBytes), "", -1)
		delegated := false
		for _, p := range c.ExtendedKeyUsage() {
			delegated = delegated || p == store.PurposeOCSPSigning
		}
		ok = delegated && bytes.Equal(c.Issuer.Raw, issuer.Subject.Raw) && e.link(c, issuer).signature == goodSignature && signed(c)
	}
	if !ok {
		return ocspAnswer{}, errOCSPSignature
	}
	a := ocspAnswer{status: "unknown", this: single.This.UTC(), next: single.Next.UTC()}
	switch {
	case bool(single.Good):
		a.status = "good"
	case !single.Revoked.Time.IsZero():
		a.status, a.revokedAt = "revoked", single.Revoked.Time.UTC()
	}
	return a, nil
}

// ocspRequest makes the question about n (RFC 6960, 4.1.1). Its names are
// hashed with SHA-1, the only hash that every responder knows.
func ocspRequest(n, issuer *node) []byte {
	var key struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(issuer.SPKI, &key); err != nil || n.Serial == nil {
		return nil
	}
	nameHash, keyHash := sha1.Sum(issuer.Subject.Raw), sha1.Sum(key.Key.RightAlign())
	type request struct{ ID ocspID }
	type tbs struct{ List []request }
	der, err := asn1.Marshal(struct{ TBS tbs }{tbs{[]request{{ocspID{
		Hash:     pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, Parameters: asn1.NullRawValue},
		NameHash: nameHash[:], KeyHash: keyHash[:], Serial: n.Serial,
	}}}}})
	if err != nil {
		return nil
	}
	return der
}
