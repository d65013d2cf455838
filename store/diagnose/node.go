package diagnose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"net/netip"

	_ "crypto/md5"    // signatures of old certificates are checked, to tell what is wrong with them
	_ "crypto/sha1"   // the same
	_ "crypto/sha512" // SHA-384 and SHA-512

	"github.com/certtrust/certtrust/store"
)

// node is a certificate with what the judgement needs of it, read leniently:
// it is there for certificates, too, that crypto/x509 refuses.
type node struct {
	*store.Cert
	spki       [sha256.Size]byte
	keyID      []byte // subjectKeyIdentifier
	authority  []byte // authorityKeyIdentifier, the key's
	signed     []byte // what is signed
	algorithm  string // OID of the signature
	parameters []byte
	signature  []byte
	key        crypto.PublicKey // nil if it is of no known kind
	dns        []string         // subject alternative names, as encoded
	ips        []netip.Addr
	hasNames   bool // there is a subjectAltName extension
	position   int  // in what the server sent, -1 otherwise
	source     string
	url        string // for source aia
}

func newNode(c *store.Cert, source string, position int) *node {
	n := &node{Cert: c, source: source, position: position, spki: sha256.Sum256(c.SPKI)}
	var outer struct {
		Signed    asn1.RawValue
		Algorithm struct {
			OID        asn1.ObjectIdentifier
			Parameters asn1.RawValue `asn1:"optional"`
		}
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.Raw, &outer); err == nil {
		n.signed, n.algorithm = outer.Signed.FullBytes, outer.Algorithm.OID.String()
		n.parameters, n.signature = outer.Algorithm.Parameters.FullBytes, outer.Signature.RightAlign()
	}
	if key, err := x509.ParsePKIXPublicKey(c.SPKI); err == nil {
		n.key = key
	}
	if e := c.Extension("2.5.29.14"); e != nil {
		_, _ = asn1.Unmarshal(e.Value, &n.keyID)
	}
	if e := c.Extension("2.5.29.35"); e != nil {
		var id struct {
			KeyID []byte `asn1:"optional,tag:0"`
		}
		if _, err := asn1.Unmarshal(e.Value, &id); err == nil {
			n.authority = id.KeyID
		}
	}
	n.readNames()
	return n
}

// maxNames is how many alternative names are looked at.
const maxNames = 4096

func (n *node) readNames() {
	e := n.Extension("2.5.29.17")
	if e == nil {
		return
	}
	n.hasNames = true
	var list asn1.RawValue
	if _, err := asn1.Unmarshal(e.Value, &list); err != nil {
		return
	}
	for rest := list.Bytes; len(rest) > 0 && len(n.dns)+len(n.ips) < maxNames; {
		var name asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &name); err != nil {
			return
		}
		switch {
		case name.Class == asn1.ClassContextSpecific && name.Tag == 2:
			n.dns = append(n.dns, string(name.Bytes))
		case name.Class == asn1.ClassContextSpecific && name.Tag == 7 && (len(name.Bytes) == 4 || len(name.Bytes) == 16):
			ip, _ := netip.AddrFromSlice(name.Bytes)
			n.ips = append(n.ips, ip.Unmap())
		}
	}
}

// common returns the subject's common name.
func (n *node) common() string {
	for i := len(n.Subject.Attributes) - 1; i >= 0; i-- {
		if n.Subject.Attributes[i].OID == "2.5.4.3" {
			return n.Subject.Attributes[i].Value
		}
	}
	return ""
}

// signatureState is what came of checking a signature.
type signatureState int

const (
	badSignature     signatureState = iota
	goodSignature                   //
	unknownSignature                // of a kind that cannot be checked here
)

// schemes are the signature algorithms, by OID.
var schemes = map[string]struct {
	hash crypto.Hash
	kind string
}{
	"1.2.840.113549.1.1.4":  {crypto.MD5, "rsa"},
	"1.2.840.113549.1.1.5":  {crypto.SHA1, "rsa"},
	"1.3.14.3.2.29":         {crypto.SHA1, "rsa"},
	"1.2.840.113549.1.1.14": {crypto.SHA224, "rsa"},
	"1.2.840.113549.1.1.11": {crypto.SHA256, "rsa"},
	"1.2.840.113549.1.1.12": {crypto.SHA384, "rsa"},
	"1.2.840.113549.1.1.13": {crypto.SHA512, "rsa"},
	"1.2.840.10045.4.1":     {crypto.SHA1, "ecdsa"},
	"1.2.840.10045.4.3.1":   {crypto.SHA224, "ecdsa"},
	"1.2.840.10045.4.3.2":   {crypto.SHA256, "ecdsa"},
	"1.2.840.10045.4.3.3":   {crypto.SHA384, "ecdsa"},
	"1.2.840.10045.4.3.4":   {crypto.SHA512, "ecdsa"},
	"1.3.101.112":           {0, "ed25519"},
	"1.2.840.113549.1.1.10": {0, "pss"},
}

var pssHashes = map[string]crypto.Hash{
	"1.3.14.3.2.26": crypto.SHA1, "2.16.840.1.101.3.4.2.1": crypto.SHA256,
	"2.16.840.1.101.3.4.2.2": crypto.SHA384, "2.16.840.1.101.3.4.2.3": crypto.SHA512,
}

// maxKeyBits is the largest RSA key that a signature is checked with. TLS
// libraries have the same limit: a larger one costs a verifier seconds.
const maxKeyBits = 8192

// checkSignature checks a signature over message.
func checkSignature(key crypto.PublicKey, algorithm string, parameters, message, signature []byte) signatureState {
	s, known := schemes[algorithm]
	if !known || len(message) == 0 {
		return unknownSignature
	}
	hash := s.hash
	if s.kind == "pss" {
		var p struct {
			Hash struct {
				OID        asn1.ObjectIdentifier
				Parameters asn1.RawValue `asn1:"optional"`
			} `asn1:"optional,explicit,tag:0"`
			MGF  asn1.RawValue `asn1:"optional,explicit,tag:1"`
			Salt int           `asn1:"optional,explicit,tag:2,default:20"`
		}
		if _, err := asn1.Unmarshal(parameters, &p); err != nil {
			return unknownSignature
		}
		if hash = crypto.SHA1; len(p.Hash.OID) > 0 {
			hash = pssHashes[p.Hash.OID.String()]
		}
	}
	digest := message
	if s.kind != "ed25519" {
		if !hash.Available() {
			return unknownSignature
		}
		h := hash.New()
		h.Write(message)
		digest = h.Sum(nil)
	}
	ok := false
	switch k := key.(type) {
	case *rsa.PublicKey:
		switch {
		case k.N.BitLen() > maxKeyBits || k.E < 3:
			return unknownSignature
		case s.kind == "rsa" && k.N.BitLen() < 1024:
			ok = checkSmallRSA(k, hash, digest, signature)
		case s.kind == "rsa":
			ok = rsa.VerifyPKCS1v15(k, hash, digest, signature) == nil
		case s.kind == "pss":
			ok = rsa.VerifyPSS(k, hash, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto}) == nil
		}
	case *ecdsa.PublicKey:
		ok = s.kind == "ecdsa" && ecdsa.VerifyASN1(k, digest, signature)
	case ed25519.PublicKey:
		ok = s.kind == "ed25519" && ed25519.Verify(k, message, signature)
	default:
		return unknownSignature
	}
	if ok {
		return goodSignature
	}
	return badSignature
}

// digestPrefixes are the DER that comes before a digest in PKCS #1 v1.5.
var digestPrefixes = map[crypto.Hash][]byte{
	crypto.MD5:    {0x30, 0x20, 0x30, 0x0c, 0x06, 0x08, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x05, 0x05, 0x00, 0x04, 0x10},
	crypto.SHA1:   {0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14},
	crypto.SHA256: {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20},
}

// checkSmallRSA checks a signature with a key that crypto/rsa refuses, being
// below 1024 bits: that the link is there is said apart from the key being weak.
func checkSmallRSA(k *rsa.PublicKey, hash crypto.Hash, digest, signature []byte) bool {
	size, prefix := k.Size(), digestPrefixes[hash]
	padding := size - 3 - len(prefix) - len(digest)
	if prefix == nil || padding < 8 || len(signature) != size {
		return false
	}
	m := new(big.Int).Exp(new(big.Int).SetBytes(signature), big.NewInt(int64(k.E)), k.N).FillBytes(make([]byte, size))
	want := []byte{0, 1}
	for range padding {
		want = append(want, 0xff)
	}
	want = append(append(append(want, 0), prefix...), digest...)
	return string(m) == string(want)
}
