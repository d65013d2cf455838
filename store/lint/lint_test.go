package lint

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// anchors are roots that break one rule each, made by edit or, if Go cannot,
// by OpenSSL.
var anchors = []struct {
	codes   []string // all that is to be found
	edit    func(*x509.Certificate)
	key     func(t *testing.T) crypto.Signer
	openssl []string // options of openssl req
	strict  bool     // OpenSSL refuses it only if it is strict, as Python's is
}{
	{codes: nil},
	{codes: []string{"no-key-usage"}, edit: func(c *x509.Certificate) { c.KeyUsage = 0 }, strict: true},
	{codes: []string{"no-subject-key-id"}, openssl: []string{"subjectKeyIdentifier=none", "keyUsage=critical,keyCertSign", "basicConstraints=critical,CA:TRUE"}, strict: true},
	{codes: []string{"basic-constraints-not-critical"}, openssl: []string{"keyUsage=critical,keyCertSign", "basicConstraints=CA:TRUE"}, strict: true},
	{codes: []string{"cannot-sign"}, edit: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }},
	{codes: []string{"not-for-servers"}, edit: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }},
	{codes: []string{"expired"}, edit: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }},
	{codes: []string{"small-rsa"}, key: func(t *testing.T) crypto.Signer { return rsaKey(t, 1024) }},
	{codes: []string{"negative-serial"}, openssl: []string{"-set_serial=-5", "keyUsage=critical,keyCertSign", "basicConstraints=critical,CA:TRUE"}},
	{codes: []string{"curve"}, openssl: []string{"-curve=brainpoolP256r1", "keyUsage=critical,keyCertSign", "basicConstraints=critical,CA:TRUE"}},
	{codes: []string{"no-basic-constraints"}, openssl: []string{"keyUsage=critical,keyCertSign"}},
	{codes: []string{"no-basic-constraints"}, openssl: []string{"subjectKeyIdentifier=hash"}},
	{codes: []string{"encoding"}, edit: func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 32}, Value: []byte{4, 0}}}
	}},
	{codes: []string{"key-algorithm"}, openssl: []string{"-algorithm=ED448", "keyUsage=critical,keyCertSign", "basicConstraints=critical,CA:TRUE"}},
}

func rsaKey(t *testing.T, bits int) *rsa.PrivateKey {
	key, ok := storetest.NewCA(t, storetest.RSA(bits)).Key().(*rsa.PrivateKey)
	if !ok {
		t.Fatal("no RSA key")
	}
	return key
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestRules makes an anchor that breaks each rule, and has OpenSSL and Go
// verify a server's certificate that it issued: those that a finding names must
// refuse it, those that none names must not.
func TestRules(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	broken := map[string]bool{}
	for _, a := range anchors {
		t.Run(strings.Join(append(a.codes, ""), " "), func(t *testing.T) {
			dir := t.TempDir()
			run := func(args ...string) (string, error) {
				cmd := exec.Command("openssl", args...)
				cmd.Dir = dir
				cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			write := func(name string, label string, der []byte) {
				if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if a.openssl != nil {
				makeRoot(t, run, a.openssl)
			} else {
				template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Root"}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
					IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
				if a.edit != nil {
					a.edit(template)
				}
				var signer crypto.Signer = newKey(t)
				if a.key != nil {
					signer = a.key(t)
				}
				root, key := selfSign(t, template, signer)
				write("root.pem", "CERTIFICATE", root)
				write("root.key", "PRIVATE KEY", key)
			}
			leaf(t, run, dir)
			text, err := os.ReadFile(filepath.Join(dir, "root.pem"))
			if err != nil {
				t.Fatal(err)
			}
			block, _ := pem.Decode(text)
			cert := store.NewCert(block.Bytes)
			var codes []string
			refused := map[string]bool{}
			for _, f := range Check(cert, time.Now()) {
				codes = append(codes, f.Code)
				broken[f.Code] = true
				for _, r := range f.Refused {
					refused[r] = true
				}
				if f.Source == "" || f.Text == "" || !strings.Contains(f.String(), "will refuse it") {
					t.Errorf("%+v", f)
				}
			}
			if !slices.Equal(codes, a.codes) {
				t.Errorf("found %q, want %q: %v", codes, a.codes, cert.ParseError())
			}
			verify := func(options ...string) bool {
				out, err := run(append(append([]string{"verify", "-auth_level", "2", "-purpose", "sslserver"}, options...), "-CAfile", "root.pem", "leaf.pem")...)
				t.Logf("openssl verify %v: %s", options, out)
				return err == nil
			}
			if got := verify(); got == refused[openssl] {
				t.Errorf("OpenSSL accepts it: %t", got)
			}
			if got := verify("-x509_strict"); got == refused[python313] {
				t.Errorf("OpenSSL, strictly, accepts it: %t", got)
			}
			if got := goAccepts(t, dir, cert); got == refused[golang] {
				t.Errorf("Go accepts it: %t", got)
			}
		})
	}
	// These need no trial: the first is the certificate of version 1 that Go
	// cannot make, the others are not about roots.
	for _, r := range Rules() {
		if !broken[r.Code] && !slices.Contains([]string{"version-1", "intermediate", "self-signed-server"}, r.Code) {
			t.Errorf("no anchor breaks the rule %s", r.Code)
		}
	}
}

func selfSign(t *testing.T, template *x509.Certificate, signer crypto.Signer) (cert, key []byte) {
	cert, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	if key, err = x509.MarshalPKCS8PrivateKey(signer); err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// makeRoot has OpenSSL make a root with certain extensions. An option that
// begins with a dash is one of the program.
func makeRoot(t *testing.T, run func(...string) (string, error), options []string) {
	algorithm := []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"}
	request := []string{"req", "-x509", "-new", "-key", "root.key", "-out", "root.pem", "-subj", "/CN=Root", "-days", "30", "-config", os.DevNull}
	for _, o := range options {
		name, value, _ := strings.Cut(o, "=")
		switch name {
		case "-curve":
			algorithm[3] = "ec_paramgen_curve:" + value
		case "-algorithm":
			algorithm = []string{"-algorithm", value}
		case "-set_serial":
			request = append(request, name, value)
		default:
			request = append(request, "-addext", o)
		}
	}
	if !strings.Contains(strings.Join(options, " "), "subjectKeyIdentifier") {
		request = append(request, "-addext", "subjectKeyIdentifier=hash")
	}
	if out, err := run(append([]string{"genpkey", "-out", "root.key"}, algorithm...)...); err != nil {
		t.Fatal(out)
	}
	if out, err := run(request...); err != nil {
		t.Fatal(out)
	}
}

// leaf has the root issue a certificate that nothing is wrong with.
func leaf(t *testing.T, run func(...string) (string, error), dir string) {
	ext := "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nsubjectAltName=DNS:www.example.com\nextendedKeyUsage=serverAuth\nauthorityKeyIdentifier=keyid,issuer\nsubjectKeyIdentifier=hash\n"
	if err := os.WriteFile(filepath.Join(dir, "ext"), []byte(ext), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "leaf.key", "-subj", "/CN=www.example.com", "-config", os.DevNull, "-out", "leaf.csr"},
		{"x509", "-req", "-in", "leaf.csr", "-CA", "root.pem", "-CAkey", "root.key", "-set_serial", "7", "-days", "20", "-extfile", "ext", "-out", "leaf.pem"},
	} {
		if out, err := run(args...); err != nil {
			t.Fatal(out)
		}
	}
}

func goAccepts(t *testing.T, dir string, root *store.Cert) bool {
	if root.Parsed() == nil {
		return false
	}
	text, err := os.ReadFile(filepath.Join(dir, "leaf.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(root.Parsed())
	_, err = leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: "www.example.com"})
	t.Logf("Go: %v", err)
	return err == nil
}

// TestOthers are the rules about what is no root of version 3.
func TestOthers(t *testing.T) {
	root := storetest.NewCA(t)
	for _, c := range []struct {
		cert *store.Cert
		want string
	}{
		{storetest.NewCA(t, storetest.V1()).Cert(), "version-1"},
		{root.Intermediate(t).Cert(), "intermediate"},
		{storetest.NewCA(t, storetest.NotCA()).Cert(), "self-signed-server"},
		{storetest.Unparsable(t).Cert(), "negative-serial"},
		{root.Cert(), ""},
	} {
		var codes []string
		for _, f := range Check(c.cert, time.Now()) {
			codes = append(codes, f.Code)
		}
		if got := strings.Join(codes, " "); got != c.want {
			t.Errorf("%s: found %q, want %q", c.cert.Label(), got, c.want)
		}
	}
	garbage, _ := storetest.Garbage()
	if found := Check(store.NewCert(garbage), time.Now()); found != nil {
		t.Errorf("of what is no certificate: %v", found)
	}
}
