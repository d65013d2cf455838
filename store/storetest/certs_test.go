package storetest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

func TestOptions(t *testing.T) {
	day := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	big200 := new(big.Int).Lsh(big.NewInt(1), 199)
	shared := storetest.NewCA(t).Key()
	for name, c := range map[string]struct {
		opts []storetest.Option
		test func(c *store.Cert) bool
	}{
		"default":     {nil, func(c *store.Cert) bool { return c.IsCA() && c.SelfIssued() && c.Key() == "EC P-256" && c.Version == 3 }},
		"no concerns": {nil, func(c *store.Cert) bool { return store.Concerns(c, day) == nil }},
		"subject":     {[]storetest.Option{storetest.Subject(pkix.Name{Organization: []string{"O"}, CommonName: "C"})}, func(c *store.Cert) bool { return c.Subject.String() == "CN=C,O=O" }},
		"raw subject": {[]storetest.Option{storetest.RawSubject([]byte{0x30, 0})}, func(c *store.Cert) bool {
			return bytes.Equal(c.Subject.Raw, []byte{0x30, 0}) && c.Label() == "(no name)"
		}},
		"serial":         {[]storetest.Option{storetest.Serial(big200)}, func(c *store.Cert) bool { return c.Serial.Cmp(big200) == 0 && c.Parsed() != nil }},
		"serial 0":       {[]storetest.Option{storetest.Serial(new(big.Int))}, func(c *store.Cert) bool { return c.Serial.Sign() == 0 && c.Version == 3 }},
		"serial -1":      {[]storetest.Option{storetest.Serial(big.NewInt(-1)), storetest.RSA(1024)}, func(c *store.Cert) bool { return c.Serial.Int64() == -1 && c.KeyBits == 1024 }},
		"RSA":            {[]storetest.Option{storetest.RSA(2048)}, func(c *store.Cert) bool { return c.Key() == "RSA 2048" && c.SignatureAlgorithm == "SHA256-RSA" }},
		"RSA odd":        {[]storetest.Option{storetest.RSA(1031)}, func(c *store.Cert) bool { return c.KeyBits == 1031 }},
		"P-384":          {[]storetest.Option{storetest.ECDSA(elliptic.P384())}, func(c *store.Cert) bool { return c.Key() == "EC P-384" }},
		"P-521":          {[]storetest.Option{storetest.ECDSA(elliptic.P521())}, func(c *store.Cert) bool { return c.Key() == "EC P-521" }},
		"Ed25519":        {[]storetest.Option{storetest.Ed25519()}, func(c *store.Cert) bool { return c.KeyAlgorithm == "Ed25519" }},
		"key":            {[]storetest.Option{storetest.Key(shared)}, func(c *store.Cert) bool { return c.Parsed().PublicKey.(*ecdsa.PublicKey).Equal(shared.Public()) }},
		"validity":       {[]storetest.Option{storetest.Validity(day, day.Add(time.Hour))}, func(c *store.Cert) bool { return c.NotBefore.Equal(day) && c.NotAfter.Equal(day.Add(time.Hour)) }},
		"not a CA":       {[]storetest.Option{storetest.NotCA()}, func(c *store.Cert) bool { ca, present := c.BasicConstraints(); return !ca && present && c.SelfIssued() }},
		"no constraints": {[]storetest.Option{storetest.NoBasicConstraints()}, func(c *store.Cert) bool { _, present := c.BasicConstraints(); return !present && c.Version == 3 }},
		"version 1": {[]storetest.Option{storetest.V1()}, func(c *store.Cert) bool {
			return c.Version == 1 && c.Extensions == nil && c.IsCA() && c.Parsed() != nil
		}},
		"version 1 by Ed25519": {[]storetest.Option{storetest.V1(), storetest.Ed25519()}, func(c *store.Cert) bool {
			return c.Version == 1 && store.Concerns(c, day) == nil
		}},
		"usages": {[]storetest.Option{storetest.EKU(x509.ExtKeyUsageEmailProtection)}, func(c *store.Cert) bool {
			return fmt.Sprint(c.ExtendedKeyUsage()) == "[email]"
		}},
		"name constraints": {[]storetest.Option{storetest.PermittedDNS("example.test")}, func(c *store.Cert) bool {
			return c.Extension("2.5.29.30").Critical && c.Parsed().PermittedDNSDomains[0] == "example.test"
		}},
		"hosts": {[]storetest.Option{storetest.Hosts("a.test", "127.0.0.1", "::1")}, func(c *store.Cert) bool {
			return fmt.Sprint(c.Parsed().DNSNames, c.Parsed().IPAddresses) == "[a.test] [127.0.0.1 ::1]"
		}},
		"template": {[]storetest.Option{storetest.Template(func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA512 })}, func(c *store.Cert) bool {
			return c.SignatureAlgorithm == "SHA512-ECDSA"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c1 := storetest.NewCA(t, c.opts...).Cert()
			if !c.test(c1) {
				t.Errorf("not as wished: %+v (%v)", c1, c1.ParseError())
			}
		})
	}
}

func TestHostileNames(t *testing.T) {
	for _, name := range storetest.HostileNames() {
		c := storetest.NewCA(t, storetest.CN(name)).Cert()
		if c.Parsed() == nil || len(c.Subject.Attributes) != 1 || c.Subject.Attributes[0].Value != name || c.Parsed().Subject.CommonName != name {
			t.Errorf("%q became %q (%v)", name, c.Subject, c.ParseError())
		}
	}
}

func TestSeed(t *testing.T) {
	for name, key := range map[string]storetest.Option{
		"P-256": storetest.ECDSA(elliptic.P256()), "RSA": storetest.RSA(1024), "Ed25519": storetest.Ed25519(),
	} {
		a := storetest.NewCA(t, key, storetest.Seed("a"))
		if again := storetest.NewCA(t, key, storetest.Seed("a")); !bytes.Equal(a.DER(), again.DER()) || !bytes.Equal(a.KeyPEM(), again.KeyPEM()) {
			t.Errorf("%s: the same seed made two certificates", name)
		}
		if other := storetest.NewCA(t, key, storetest.Seed("b")); bytes.Equal(a.Cert().SPKI, other.Cert().SPKI) || bytes.Equal(a.Cert().Subject.Raw, other.Cert().Subject.Raw) {
			t.Errorf("%s: two seeds made the same key or name", name)
		}
		if i, again := a.Intermediate(t, storetest.Seed("i")), a.Intermediate(t, storetest.Seed("i")); !bytes.Equal(i.DER(), again.DER()) {
			t.Errorf("%s: the same seed made two intermediates", name)
		}
	}
}

func TestLeaf(t *testing.T) {
	for name, root := range map[string]*storetest.CA{
		"P-256": storetest.NewCA(t), "RSA": storetest.NewCA(t, storetest.RSA(1024)), "negative serial": storetest.Unparsable(t),
	} {
		between := root.Intermediate(t).Intermediate(t)
		leaf := between.Leaf(t, "a.test", "127.0.0.1")
		if len(leaf.Certificate) != 3 || !bytes.Equal(leaf.Certificate[1], between.DER()) {
			t.Fatalf("%s: the chain has %d certificates", name, len(leaf.Certificate))
		}
		if root.Cert().Parsed() == nil {
			continue // it cannot be put in a pool
		}
		roots, others := x509.NewCertPool(), x509.NewCertPool()
		if !roots.AppendCertsFromPEM(root.PEM()) {
			t.Fatalf("%s: the PEM cannot be read", name)
		}
		for _, der := range leaf.Certificate[1:] {
			others.AddCert(store.NewCert(der).Parsed())
		}
		for _, host := range []string{"a.test", "127.0.0.1"} {
			if _, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: others, DNSName: host}); err != nil {
				t.Errorf("%s: %s: %v", name, host, err)
			}
		}
	}
	ca := storetest.NewCA(t)
	if _, err := tls.X509KeyPair(ca.PEM(), ca.KeyPEM()); err != nil {
		t.Error(err)
	}
}

func TestTwin(t *testing.T) {
	root := storetest.NewCA(t)
	for name, a := range map[string]*storetest.CA{"root": root, "intermediate": root.Intermediate(t), "given key": storetest.NewCA(t, storetest.Key(root.Key()))} {
		b := storetest.Twin(t, a)
		if !storetest.SameSubject(a.Cert(), b.Cert()) || !storetest.SameSerial(a.Cert(), b.Cert()) {
			t.Errorf("%s: the subject or serial number differs", name)
		}
		if bytes.Equal(a.Cert().SPKI, b.Cert().SPKI) {
			t.Errorf("%s: it is the same key", name)
		}
	}
}

func TestUnparsable(t *testing.T) {
	c := storetest.Unparsable(t).Cert()
	if c.Version != 3 || c.Serial.Sign() >= 0 || !c.IsCA() || !c.SelfIssued() {
		t.Fatalf("it is %+v", c)
	}
	if c.Parsed() != nil {
		t.Error("crypto/x509 takes it")
	}
	var outer struct {
		TBS, Algorithm asn1.RawValue
		Signature      asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.Raw, &outer); err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKIXPublicKey(c.SPKI)
	if err != nil {
		t.Fatal(err)
	}
	if digest := sha256.Sum256(outer.TBS.FullBytes); !ecdsa.VerifyASN1(key.(*ecdsa.PublicKey), digest[:], outer.Signature.Bytes) {
		t.Error("its signature is wrong")
	}
}

func TestMany(t *testing.T) {
	seen := map[store.Fingerprint]bool{}
	for _, c := range storetest.Many(t, 50) {
		if c.Parsed() == nil || !c.IsCA() {
			t.Fatalf("it is no authority: %v", c.ParseError())
		}
		seen[c.SHA256] = true
	}
	if len(seen) != 50 {
		t.Errorf("there are %d", len(seen))
	}
}

func TestGarbage(t *testing.T) {
	der, f := storetest.Garbage()
	if c := store.NewCert(der); c.Version != 0 || c.SHA256 != f {
		t.Errorf("it is %+v", c)
	}
}

func TestTempDir(t *testing.T) {
	var dir string
	t.Run("inner", func(t *testing.T) {
		dir = storetest.TempDir(t)
		if resolved, err := filepath.EvalSymlinks(dir); err != nil || resolved != dir {
			t.Errorf("%s is %s (%v)", dir, resolved, err)
		}
		if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
			t.Error(err)
		}
	})
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Logf("it is still there: %v", err) // which some systems cannot help
	}
}
