//go:build linux

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// keystoreForms are the keystores that keytool makes, and how people tell Java
// of them.
var keystoreForms = []struct {
	name           string
	make           []string // options of keytool
	key            bool     // with a key of its own beside the certificate
	kind, password string   // what Java has to be told
}{
	{"jks", []string{"-storetype", "JKS"}, false, "", ""},
	{"jks-key", []string{"-storetype", "JKS"}, true, "", ""},
	{"jceks", []string{"-storetype", "JCEKS"}, true, "JCEKS", ""},
	{"p12", []string{"-storetype", "PKCS12"}, true, "", "changeit"},
	{"p12-legacy", []string{"-storetype", "PKCS12", "-J-Dkeystore.pkcs12.legacy"}, false, "", "changeit"},
	{"p12-free", []string{"-storetype", "PKCS12", "-J-Dkeystore.pkcs12.certProtectionAlgorithm=NONE", "-J-Dkeystore.pkcs12.macAlgorithm=NONE"}, false, "", ""},
}

// quick makes a JVM start sooner.
var quick = []string{"-XX:TieredStopAtLevel=1", "-Xshare:auto"}

// askJava has a Java, whose bin directory is given, make keystores in all forms,
// and then a real client of it ask a server with each: before a root is trusted
// in them, after, and after it was removed, when the file is what it was.
func askJava(t *testing.T, home, classes string) {
	port, a := "", newAuthority(t, "Of Java")
	port = serve(t, a)
	other := newAuthority(t, "Somebody else")
	dir := filepath.Dir(write(t, "x", nil))
	ca, others := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "other.pem")
	for file, pem := range map[string][]byte{ca: a.PEM(), others: other.PEM()} {
		if err := os.WriteFile(file, pem, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	keytool := func(args ...string) {
		t.Helper()
		must(t, command(home+"/bin/keytool", append([]string{"-J-XX:TieredStopAtLevel=1"}, args...)...))
	}
	files, before := map[string]string{}, map[string][]byte{}
	for _, f := range keystoreForms {
		file := filepath.Join(dir, f.name+".ks")
		files[f.name] = file
		common := append([]string{"-keystore", file, "-storepass", "changeit", "-noprompt"}, f.make...)
		if f.key {
			keytool(append([]string{"-genkeypair", "-alias", "own", "-keyalg", "EC", "-dname", "CN=own", "-keypass", "changeit"}, common...)...)
		}
		keytool(append([]string{"-importcert", "-alias", "other", "-file", others}, common...)...)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		before[file] = data
	}

	// The order of the answers is that of the forms.
	check := func(state string, certificates int, verdict string) {
		t.Helper()
		args := append(append([]string{}, quick...), "-cp", classes, "TrustStores", "https://localhost:"+port+"/")
		for _, f := range keystoreForms {
			args = append(args, files[f.name], f.kind, f.password)
		}
		out := must(t, command(home+"/bin/java", args...)).stdout
		for _, f := range keystoreForms {
			keys := 0
			if f.key {
				keys = 1
			}
			want := fmt.Sprintf("%s %d certificates %d keys %s", files[f.name], certificates, keys, verdict)
			if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(want)).MatchString(out) {
				t.Errorf("%s: %q is not in\n%s", state, want, out)
			}
		}
	}
	check("before", 1, "refused javax.net.ssl.SSLHandshakeException: ")
	for _, file := range files {
		expect(t, 0, certtrust("trust", ca, "--store", "java:"+file))
	}
	check("after", 2, "accepted")
	for _, file := range files {
		expect(t, 0, certtrust("remove", a.fingerprint, "--store", "java:"+file))
		if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, before[file]) {
			t.Errorf("%s is not what it was (%v)", file, err)
		}
	}
	check("after removal", 1, "refused javax.net.ssl.SSLHandshakeException: ")
}

// askOwn changes the keystore that a Java takes unasked.
func askOwn(t *testing.T, home, classes string) {
	t.Helper()
	a := newAuthority(t, "Of Java unasked")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, a.PEM(), 0o644); err != nil {
		t.Fatal(err)
	}
	port := serve(t, a)
	probe := func(accept bool) {
		t.Helper()
		r := output(t, command(home+"/bin/java", append(append([]string{}, quick...), "-cp", classes, "Probe", "https://localhost:"+port+"/")...))
		if (r.code == 0) != accept || !accept && !strings.Contains(r.stdout, "unable to find valid certification path") {
			t.Errorf("accepts: %t expected of %v", accept, r)
		}
	}
	probe(false)
	expect(t, 0, certtrust("trust", ca, "--store", "java:"+home))
	probe(true)
	expect(t, 0, certtrust("undo"))
	probe(false)
}

// The Java of this machine, with a keystore of its own as other vendors have it.
func TestJava(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		need(t, "java", "keytool", "javac")
		resolved, err := filepath.EvalSymlinks("/usr/bin/java")
		if err != nil {
			t.Fatal(err)
		}
		home := strings.TrimSuffix(resolved, "/bin/java")
		askJava(t, home, kitDir)

		own, err := filepath.EvalSymlinks(home + "/lib/security/cacerts")
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(own)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(home + "/lib/security/cacerts"); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(home+"/lib/security/cacerts", data, 0o644); err != nil {
			t.Fatal(err)
		}
		listed := must(t, certtrust("stores", "--store", "java", "--json")).stdout
		if !strings.Contains(listed, home+"/lib/security/cacerts") {
			t.Errorf("the Java's own keystore is not found:\n%s", listed)
		}
		askOwn(t, home, kitDir)
	})
}

// The newer Javas of Debian 13.
func TestJava21And25(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		need(t, "javac")
		compiled, err := os.ReadFile(kitDir + "/TrustStores.class")
		if err != nil {
			t.Fatal(err)
		}
		enterFresh(t, freshJava)
		const classes = "/classes"
		if err := errors.Join(os.Mkdir(classes, 0o755), os.WriteFile(classes+"/TrustStores.class", compiled, 0o644)); err != nil {
			t.Fatal(err)
		}
		for _, version := range []string{"21", "25"} {
			home := "/usr/lib/jvm/java-" + version + "-openjdk-amd64"
			out := must(t, command(home+"/bin/java", "-version")).stderr
			if !strings.Contains(out, `"`+version+".") {
				t.Fatalf("%s is another version: %s", home, out)
			}
			askJava(t, home, classes)
		}
	}, addFresh(freshJava))
}
