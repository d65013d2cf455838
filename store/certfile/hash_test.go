package certfile

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"os/exec"
	"testing"
	"time"

	"github.com/certtrust/certtrust/store"
)

// TestSubjectHash compares with OpenSSL.
func TestSubjectHash(t *testing.T) {
	needs(t, "openssl")
	m := testMaterial()
	named := func(tag int, value string) []byte {
		name, err := asn1.Marshal(pkix.RDNSequence{
			{{Type: asn1.ObjectIdentifier{2, 5, 4, 10}, Value: "An  Organisation\t of\nus "}},
			{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: asn1.RawValue{Tag: tag, Bytes: []byte(value)}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), RawSubject: name, NotAfter: time.Unix(1<<31, 0)}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, m.key.Public(), m.key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	for name, der := range map[string][]byte{
		"printable": m.a, "UTF-8": named(12, "  ÄÖ  Root\tX "), "Teletex": named(20, "Caf\xc9 Root"), "BMP": named(30, "\x00R\x00\xdc\x20\xac"),
		"IA5": named(22, "a@B.example"), "universal": named(28, "\x00\x00\x00A\x00\x00\x01\x00"), "number": named(18, "12 34"), "empty": named(12, ""),
	} {
		t.Run(name, func(t *testing.T) {
			c := store.NewCert(der)
			cmd := exec.Command("openssl", "x509", "-noout", "-subject_hash", "-subject_hash_old")
			cmd.Stdin = bytes.NewReader(EncodePEM(c))
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%s\n%s\n", SubjectHash(c), OldSubjectHash(c)); got != string(out) {
				t.Errorf("got\n%swant\n%s", got, out)
			}
		})
	}
}
