package render

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"time"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// TestShowExtensions are extensions that no golden has.
func TestShowExtensions(t *testing.T) {
	sct := append([]byte{0}, bytes.Repeat([]byte{0xab}, 32)...)
	sct = append(sct, 0, 0, 1, 0x90, 0, 0, 0, 0) // 2024
	sct = append(sct, 0, 0, 4, 3, 0, 0)
	list := append([]byte{0, byte(len(sct) + 2), 0, byte(len(sct))}, sct...)
	value, err := asn1.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	make := func(value []byte) ShowCertificate {
		c := storetest.NewCA(t, storetest.Template(func(c *x509.Certificate) {
			policy, _ := x509.OIDFromInts([]uint64{2, 23, 140, 1, 2, 1})
			c.Policies = []x509.OID{policy}
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: value}}
		})).Cert()
		return NewShowCertificate(store.NewCert(c.Raw), nil, now, false)
	}
	got := make(value)
	if len(got.SCTs) != 1 || got.SCTs[0].Log != strings.Repeat("ab", 32) || !got.SCTs[0].Time.Equal(time.UnixMilli(0x19000000000)) {
		t.Errorf("timestamps %+v", got.SCTs)
	}
	if len(got.Policies) != 1 || got.Policies[0] != "2.23.140.1.2.1" {
		t.Errorf("policies %q", got.Policies)
	}
	for n := range value { // whatever breaks off
		make(append([]byte{4, byte(n)}, list[:min(n, len(list))]...))
	}
}
