package p11kit

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
	"github.com/certtrust/certtrust/store/storetest"
)

// quoted writes a value as p11-kit does.
func quoted(b []byte) string {
	return `"` + strings.ReplaceAll(url.QueryEscape(string(b)), "+", "%20") + `"`
}

func object(c *store.Cert, more string) string {
	return "[p11-kit-object-v1]\nclass: certificate\ncertificate-type: x-509\n" + more + string(certfile.EncodePEM(c)) + "\n"
}

// staple writes an extension that is stapled to a certificate's key.
func staple(t testing.TB, c *store.Cert, oid string, value []byte) string {
	t.Helper()
	id, err := parseOID(oid)
	if err != nil {
		t.Fatal(err)
	}
	ext, err := asn1.Marshal(struct {
		ID    asn1.ObjectIdentifier
		Value []byte
	}{id, value})
	if err != nil {
		t.Fatal(err)
	}
	return "[p11-kit-object-v1]\nclass: x-certificate-extension\nobject-id: " + oid + "\nvalue: " + quoted(ext) + "\n" +
		string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: c.SPKI})) + "\n"
}

// trusted writes a TRUSTED CERTIFICATE.
func trusted(t testing.TB, c *store.Cert, trust, reject []string) string {
	t.Helper()
	aux := struct {
		Trust  []asn1.ObjectIdentifier `asn1:"optional,omitempty"`
		Reject []asn1.ObjectIdentifier `asn1:"optional,omitempty,tag:0"`
	}{}
	for _, d := range trust {
		oid, _ := parseOID(d)
		aux.Trust = append(aux.Trust, oid)
	}
	for _, d := range reject {
		oid, _ := parseOID(d)
		aux.Reject = append(aux.Reject, oid)
	}
	der, err := asn1.Marshal(aux)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "TRUSTED CERTIFICATE", Bytes: slices.Concat(c.Raw, der)}))
}

const (
	server = "1.3.6.1.5.5.7.3.1"
	client = "1.3.6.1.5.5.7.3.2"
	email  = "1.3.6.1.5.5.7.3.4"
)

// layout is what a test puts into p11-kit's two directories: the path below the
// directory, and the content.
type layout struct {
	name          string
	admin, vendor map[string]string
}

func layouts(t testing.TB) []layout {
	ca := func(name string, o ...storetest.Option) *store.Cert {
		return storetest.NewCA(t, append([]storetest.Option{storetest.CN(name), storetest.Seed(name)}, o...)...).Cert()
	}
	a, b, c, d := ca("A"), ca("B"), ca("C"), ca("D")
	leaf := ca("Leaf", storetest.NotCA())
	text := func(c *store.Cert) string { return string(certfile.EncodePEM(c)) }
	must := func(v any) []byte {
		der, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	oid := func(d string) asn1.ObjectIdentifier { o, _ := parseOID(d); return o }
	constraints := func(isCA bool) []byte {
		if !isCA {
			return must(struct{}{})
		}
		return must(struct{ CA bool }{true})
	}
	vendor := map[string]string{"ca-bundle.trust.p11-kit": object(a, "label: \"Vendor A\"\ntrusted: true\nnss-server-distrust-after: \"241130235959Z\"\n") +
		object(b, "trusted: true\nnss-server-distrust-after: \"%00\"\n") + object(c, "x-distrusted: true\n")}
	serial, _ := asn1.Marshal(b.Serial)
	one := func(name string, file, content string) layout {
		return layout{name, map[string]string{file: content}, vendor}
	}
	return []layout{
		{"vendor only", nil, vendor},
		one("an anchor", "anchors/d.pem", text(d)),
		one("an anchor with any name", "anchors/.d", text(d)),
		one("an anchor as DER", "anchors/d.crt", string(d.Raw)),
		one("several in one file", "anchors/d.pem", "# both\n"+text(d)+text(leaf)),
		one("a leaf", "anchors/leaf.pem", text(leaf)),
		one("a plain file that is in no anchors directory", "d.pem", text(d)),
		one("the vendor's once more", "anchors/a.pem", text(a)),
		one("blocked by certificate", "blocklist/a.pem", text(a)),
		one("blocked by an object", "a.p11-kit", object(a, "x-distrusted: true\n")),
		one("blocked by issuer and serial number", "b.p11-kit",
			"[p11-kit-object-v1]\nclass: certificate\ncertificate-type: x-509\nx-distrusted: true\nissuer: "+quoted(b.Issuer.Raw)+"\nserial-number: "+quoted(serial)+"\n"),
		one("blocked by what has no type", "b.p11-kit",
			"[p11-kit-object-v1]\nclass: certificate\nx-distrusted: true\nissuer: "+quoted(b.Issuer.Raw)+"\nserial-number: "+quoted(serial)+"\n"),
		one("distrusted in the anchors", "anchors/d.p11-kit", object(d, "x-distrusted: true\n")),
		one("trusted in the blocklist", "blocklist/d.p11-kit", object(d, "trusted: true\n")),
		one("what the vendor distrusts is an anchor", "anchors/c.pem", text(c)),
		one("for email only", "d.pem", trusted(t, d, []string{email}, nil)),
		one("the vendor's for email only", "a.pem", trusted(t, a, []string{email}, nil)),
		one("for servers, and not for clients", "d.pem", trusted(t, d, []string{server, client}, []string{client})),
		one("rejected for servers", "d.pem", trusted(t, d, nil, []string{server})),
		one("rejected for servers, in the anchors", "anchors/d.pem", trusted(t, d, nil, []string{server})),
		one("with an empty trust list", "anchors/d.pem", trusted(t, d, nil, nil)),
		one("for email only, in the anchors", "anchors/d.pem", trusted(t, d, []string{email}, nil)),
		one("stapled purposes", "d.p11-kit", object(d, "trusted: true\n")+staple(t, d, oidUsages, must([]asn1.ObjectIdentifier{oid(email)}))),
		one("any purpose, stapled", "d.p11-kit", object(d, "trusted: true\n")+staple(t, d, oidUsages, must([]asn1.ObjectIdentifier{oid("2.5.29.37.0")}))),
		one("stapled purposes in another token", "a.p11-kit", staple(t, a, oidUsages, must([]asn1.ObjectIdentifier{oid(email)}))),
		one("a leaf that is stapled to be an authority", "leaf.p11-kit", object(leaf, "trusted: true\n")+staple(t, leaf, oidConstraints, constraints(true))),
		one("an authority that is stapled to be none", "d.p11-kit", object(d, "trusted: true\n")+staple(t, d, oidConstraints, constraints(false))),
		one("a limited authority", "anchors/e.pem", text(ca("E", storetest.EKU(x509.ExtKeyUsageEmailProtection)))),
		one("garbage", "anchors/x.pem", "no certificate"),
		one("a value", "d.p11-kit", "[p11-kit-object-v1]\nclass: certificate\ncertificate-type: x-509\ntrusted: true\nvalue: "+quoted(d.Raw)+"\n"),
	}
}

var filters = []struct {
	args    []string
	purpose store.Purpose
}{
	{[]string{"--filter=ca-anchors", "--purpose=server-auth"}, store.PurposeServerAuth},
	{[]string{"--filter=ca-anchors", "--purpose=email"}, store.PurposeEmail},
	{[]string{"--filter=ca-anchors", "--purpose=code-signing"}, store.PurposeCodeSigning},
}

// What p11-kit itself extracts is what is said of it.
func TestOracle(t *testing.T) {
	module, err := filepath.Glob("/usr/lib/*/pkcs11/p11-kit-trust.so")
	trust, missing := exec.LookPath("trust")
	if err != nil || missing != nil || len(module) == 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("there is no p11-kit")
		}
		t.Skip("there is no p11-kit: apt-get install p11-kit p11-kit-modules")
	}
	for _, l := range layouts(t) {
		t.Run(l.name, func(t *testing.T) {
			dir := storetest.TempDir(t)
			inputs := l.write(t, dir)
			got := Evaluate(inputs)
			for _, f := range filters {
				want := extract(t, trust, module[0], dir, f.args)
				var have []string
				for _, c := range got.Certs {
					if c.For(f.purpose) {
						have = append(have, c.SHA256.String())
					}
				}
				slices.Sort(have)
				if !slices.Equal(have, want) {
					t.Errorf("for %s there are %s, and p11-kit extracts %s", f.purpose, names(got, have), names(got, want))
				}
			}
		})
	}
}

func names(t *Trust, prints []string) string {
	var out []string
	for _, p := range prints {
		name := p[:8]
		for _, c := range t.Certs {
			if c.SHA256.String() == p {
				name = c.Cert.Label()
			}
		}
		out = append(out, name)
	}
	return fmt.Sprint(out)
}

// write makes the layout's files, and returns them as inputs.
func (l layout) write(t *testing.T, dir string) []Input {
	t.Helper()
	var inputs []Input
	for token, files := range []map[string]string{l.admin, l.vendor} {
		base := filepath.Join(dir, []string{"etc", "usr"}[token])
		for _, sub := range []string{"anchors", "blocklist"} {
			if err := os.MkdirAll(filepath.Join(base, sub), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for name, content := range files {
			if err := os.WriteFile(filepath.Join(base, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			standing := map[string]Standing{"anchors": Anchor, "blocklist": Blocked}[filepath.Dir(name)]
			inputs = append(inputs, Input{Token: token, Path: name, Standing: standing, File: Parse([]byte(content))})
		}
	}
	return inputs
}

// extract returns the fingerprints of what p11-kit extracts from a directory.
func extract(t *testing.T, trust, module, dir string, args []string) []string {
	t.Helper()
	config := filepath.Join(dir, "config", "pkcs11", "modules")
	if err := os.MkdirAll(config, 0o755); err != nil {
		t.Fatal(err)
	}
	conf := fmt.Sprintf("module: %s\ntrust-policy: yes\nx-init-reserved: paths='%s/etc:%s/usr'\n", module, dir, dir)
	if err := os.WriteFile(filepath.Join(config, "p11-kit-trust.module"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	line := slices.Concat([]string{trust, "extract", "--format=pem-bundle"}, args, []string{"/proc/self/fd/1"})
	if os.Geteuid() == 0 { // root's own configuration does not count
		line = append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"}, line...)
	}
	out := filepath.Join(dir, "out")
	_ = os.Mkdir(out, 0o777)
	if err := os.Chmod(out, 0o777); err != nil {
		t.Fatal(err)
	}
	bundle := filepath.Join(out, "bundle.pem")
	_ = os.Remove(bundle)
	line[len(line)-1] = bundle
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = []string{"HOME=" + dir, "XDG_CONFIG_HOME=" + filepath.Join(dir, "config"), "PATH=" + os.Getenv("PATH")}
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", line, err, text)
	}
	data, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	var prints []string
	for _, i := range certfile.ReadPEM(bytes.Clone(data)).Items {
		prints = append(prints, i.Cert.SHA256.String())
	}
	slices.Sort(prints)
	return prints
}

// What no bundle shows.
func TestEvaluate(t *testing.T) {
	all := layouts(t)
	serial := slices.IndexFunc(all, func(l layout) bool { return l.name == "blocked by issuer and serial number" })
	got := Evaluate(all[serial].write(t, storetest.TempDir(t)))
	if len(got.Distrusts) != 1 || len(got.Distrusts[0].Serial) == 0 {
		t.Errorf("the distrusts are %+v", got.Distrusts)
	}
	for _, c := range got.Certs {
		switch c.Cert.Label() {
		case "A":
			if c.ServerAfter.Format("2006-01-02") != "2024-11-30" || c.Label != "Vendor A" || c.Distrusted {
				t.Errorf("A is %+v", c)
			}
		case "B":
			if !c.Distrusted || c.DistrustedBy != "b.p11-kit" || !c.ServerAfter.IsZero() {
				t.Errorf("B is %+v", c)
			}
		case "C":
			if !c.Distrusted || c.DistrustedBy != "ca-bundle.trust.p11-kit" {
				t.Errorf("C is %+v", c)
			}
		}
	}
	for text, want := range map[string]string{
		"[p11-kit-object-v1]\nlabel: \"%4\"\n":                                                 "wrong %",
		"[p11-kit-object-v1]\nlabel: \"abc\n":                                                  "does not end",
		"[p11-kit-object-v1]\nlabel\n":                                                         "no attribute",
		"[p11-kit-object-v1]\nclass: x-certificate-extension\nvalue: \"%30\"\n":                "cannot be read",
		"[p11-kit-object-v1]\nclass: certificate\ncertificate-type: x-509\nvalue: \"nothing\"": "not a certificate",
		"[p11-kit-object-v1]\nclass: data\n":                                                   "says nothing",
	} {
		f := Parse([]byte(text))
		if len(f.Problems) == 0 || !strings.Contains(f.Problems[0].Text, want) {
			t.Errorf("%q: the problems are %v, without %q", text, f.Problems, want)
		}
	}
}

// Whatever a file holds, it is read without a fault, and each certificate is
// one that is in it.
func FuzzParse(f *testing.F) {
	for _, l := range layouts(f) {
		for _, content := range l.admin {
			f.Add([]byte(content))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file := Parse(data)
		for _, standing := range []Standing{AsWritten, Anchor, Blocked} {
			out := Evaluate([]Input{{Path: "x", Standing: standing, File: file}})
			if len(out.Certs) != len(file.Certs()) {
				t.Errorf("%d certificates of %d", len(out.Certs), len(file.Certs()))
			}
			for _, c := range out.Certs {
				if standing == Blocked && (!c.Distrusted || c.For(store.PurposeServerAuth)) {
					t.Error("what is blocked is trusted")
				}
				if c.For(store.PurposeServerAuth) && (c.Distrusted || !c.Trusted) {
					t.Error("it is for servers, and not trusted")
				}
			}
		}
	})
}
