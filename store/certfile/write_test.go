package certfile

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// written are certificates of every sort that has to be written.
func written(t *testing.T) []Written {
	var list []Written
	add := func(c *store.Cert) { list = append(list, Written{c, c.Label()}) }
	root := storetest.NewCA(t, storetest.CN("Root Ä & <b>'"))
	add(root.Cert())
	add(storetest.Twin(t, root).Cert()) // the same name
	add(root.Intermediate(t).Cert())
	add(storetest.Unparsable(t).Cert())
	for _, name := range storetest.HostileNames() {
		add(storetest.NewCA(t, storetest.CN(name), storetest.Serial(big.NewInt(7))).Cert())
	}
	return list
}

var writeTime = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

func sumsOf(list []Written) (out []string) {
	for _, w := range list {
		out = append(out, w.Cert.SHA256.String())
	}
	slices.Sort(out)
	return out
}

// TestEncode reads what is written: all is there again.
func TestEncode(t *testing.T) {
	list := written(t)
	for _, w := range Writers() {
		for _, password := range []string{"", "pässword"} {
			list := list
			if w.One {
				list = list[:1]
			}
			o := WriteOptions{Password: []byte(password), Now: writeTime}
			data, err := Encode(w.Name, list, o)
			if err != nil {
				t.Fatalf("%s: %v", w.Name, err)
			}
			if again, _ := Encode(w.Name, list, o); !bytes.Equal(data, again) && password == "" {
				t.Errorf("%s: the same certificates do not give the same bytes", w.Name)
			}
			if w.Name == "powershell" {
				scriptData(t, list, data)
				continue
			}
			f, err := Options{Passwords: [][]byte{o.Password}}.Read(data)
			if err != nil {
				t.Errorf("%s: %v", w.Name, err)
			}
			var got []string
			for _, i := range f.Items {
				got = append(got, i.Cert.SHA256.String())
				if (w.Name == "jks" || w.Name == "p12") && !i.TrustedEntry {
					t.Errorf("%s: %s is no anchor to Java", w.Name, i.Alias)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, sumsOf(list)) || len(f.Notices) > 0 {
				t.Errorf("%s: %d of %d certificates, %v", w.Name, len(got), len(list), f.Notices)
			}
			if !w.Binary && strings.ContainsAny(string(data), "\x1b\x07\u202e") {
				t.Errorf("%s: a control character was written", w.Name)
			}
		}
	}
	if _, err := Encode("der", list, WriteOptions{}); !errors.Is(err, store.ErrInput) || store.Hint(err) == "" {
		t.Errorf("several in DER: %v", err)
	}
	if _, err := Encode("x", list, WriteOptions{}); !errors.Is(err, store.ErrInput) {
		t.Errorf("an unknown format: %v", err)
	}
}

// scriptData checks the script: it has a line for each certificate, and
// nothing but comments and data depends on what is in them.
func scriptData(t *testing.T, list []Written, script []byte) {
	var got []string
	for line := range strings.Lines(string(script)) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "    @{ Store = '"); ok {
			parts := strings.Split(rest, "'")
			if len(parts) != 6 || parts[0] != "Root" && parts[0] != "CA" || parts[5] != " }" {
				t.Errorf("line %q", line)
				continue
			}
			f, err := Read([]byte(parts[4]))
			if err != nil || f.Items[0].Cert.SHA256.String() != parts[2] {
				t.Errorf("%s: %v", parts[2], err)
			}
			got = append(got, parts[2])
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, sumsOf(list)) {
		t.Errorf("the script has %d of %d certificates", len(got), len(list))
	}
}

func TestYAML(t *testing.T) {
	list := written(t)
	var cloud struct {
		CACerts struct{ Trusted []string } `yaml:"ca_certs"`
	}
	data, _ := Encode("cloud-init", list, WriteOptions{})
	if err := yaml.Unmarshal(data, &cloud); err != nil || !bytes.HasPrefix(data, []byte("#cloud-config\n")) || len(cloud.CACerts.Trusted) != len(list) {
		t.Fatalf("%v\n%s", err, data)
	}
	for i, text := range cloud.CACerts.Trusted {
		if block, rest := pem.Decode([]byte(text)); block == nil || !bytes.Equal(block.Bytes, list[i].Cert.Raw) || len(rest) > 0 {
			t.Errorf("certificate %d: %q", i, text)
		}
	}
	var config struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   struct{ Name string }
		Data       map[string]string
	}
	data, _ = Encode("configmap", list, WriteOptions{})
	if err := yaml.Unmarshal(data, &config); err != nil || config.Kind != "ConfigMap" || config.APIVersion != "v1" || config.Metadata.Name == "" {
		t.Fatalf("%v\n%s", err, data)
	}
	if f := ReadPEM([]byte(config.Data["ca-certificates.crt"])); len(f.Items) != len(list) {
		t.Errorf("%d certificates", len(f.Items))
	}
}

// TestWrittenElsewhere has the programs that files are written for read them.
func TestWrittenElsewhere(t *testing.T) {
	list := written(t)
	dir := storetest.TempDir(t)
	file := func(format string, o WriteOptions) string {
		o.Now = writeTime
		data, err := Encode(format, list, o)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, format)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		name string
		args []string
	}{
		{"p7b", []string{"openssl", "pkcs7", "-inform", "DER", "-print_certs", "-in", file("p7b", WriteOptions{})}},
		{"jks", []string{"keytool", "-list", "-rfc", "-storepass", "changeit", "-keystore", file("jks", WriteOptions{})}},
		{"p12", []string{"keytool", "-list", "-rfc", "-keystore", file("p12", WriteOptions{})}},
	} {
		t.Run(c.name, func(t *testing.T) {
			needs(t, c.args[0])
			cmd := exec.Command(c.args[0], c.args[1:]...)
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C.UTF-8"}
			cmd.Stdin = strings.NewReader("\n")
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			var got []string
			for block, rest := pem.Decode(out); block != nil; block, rest = pem.Decode(rest) {
				got = append(got, store.FingerprintOf(block.Bytes).String())
			}
			slices.Sort(got)
			if !slices.Equal(got, sumsOf(list)) {
				t.Errorf("%d of %d certificates", len(got), len(list))
			}
		})
	}
}

// TestJavaDefault has Java take the keystores for its default trust store,
// which it opens without a password.
func TestJavaDefault(t *testing.T) {
	needs(t, "java")
	needs(t, "javac")
	dir := storetest.TempDir(t)
	source := `import javax.net.ssl.*;
public class Anchors {
  public static void main(String[] args) throws Exception {
    TrustManagerFactory f = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    f.init((java.security.KeyStore) null);
    for (var c : ((X509TrustManager) f.getTrustManagers()[0]).getAcceptedIssuers())
      System.out.println(java.util.HexFormat.of().formatHex(java.security.MessageDigest.getInstance("SHA-256").digest(c.getEncoded())));
  }
}`
	if err := os.WriteFile(filepath.Join(dir, "Anchors.java"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	list := written(t)
	for _, format := range []string{"p12", "jks"} {
		data, err := Encode(format, list, WriteOptions{Now: writeTime})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "trust."+format)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("java", "-XX:TieredStopAtLevel=1", "-Djavax.net.ssl.trustStore="+path, filepath.Join(dir, "Anchors.java"))
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C.UTF-8"}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		got := strings.Fields(string(out))
		slices.Sort(got)
		if !slices.Equal(got, sumsOf(list)) {
			t.Errorf("%s: Java trusts %d of %d certificates", format, len(got), len(list))
		}
	}
}

// TestDirectory has OpenSSL verify by a directory.
func TestDirectory(t *testing.T) {
	needs(t, "openssl")
	root := storetest.NewCA(t, storetest.CN("A  Root Ä"))
	twin := storetest.NewCA(t, storetest.CN("a root Ä")) // OpenSSL's hash is the same
	dir := storetest.TempDir(t)
	files := Directory([]Written{{root.Cert(), ""}, {twin.Cert(), ""}})
	if len(files) != 4 {
		t.Fatalf("%d files", len(files))
	}
	for _, f := range files {
		var err error
		if path := filepath.Join(dir, f.Name); f.Link != "" {
			err = os.Symlink(f.Link, path)
		} else {
			err = os.WriteFile(path, f.Content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, ca := range []*storetest.CA{root, twin} {
		leaf := filepath.Join(dir, fmt.Sprint("leaf", i))
		if err := os.WriteFile(leaf, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Leaf(t, "a.example").Certificate[0]}), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("openssl", "verify", "-CApath", dir, "-no-CAfile", leaf).CombinedOutput(); err != nil {
			t.Errorf("%s", out)
		}
	}
}
