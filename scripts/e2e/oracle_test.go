//go:build linux

package e2e

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/smallstep/truststore"

	"github.com/certtrust/certtrust/platform/smallstep"

	"github.com/certtrust/certtrust/platform"
	"github.com/certtrust/certtrust/platform/host"
)

// roleLibrary is a program that is built on github.com/smallstep/truststore:
// "install FILE" or "uninstall FILE", and then what of "system", "nss", "java"
// and "bridge", which is the system's store through platform/smallstep.
func roleLibrary(*testing.M) int {
	do := map[string]func(*x509.Certificate, ...truststore.Option) error{"install": truststore.Install, "uninstall": truststore.Uninstall}[os.Args[1]]
	cert, err := truststore.ReadCertificate(os.Args[2])
	var options []truststore.Option
	if !slices.Contains(os.Args, "system") {
		options = append(options, truststore.WithNoSystem())
	}
	if slices.Contains(os.Args, "nss") {
		options = append(options, truststore.WithFirefox())
	}
	if slices.Contains(os.Args, "java") {
		options = append(options, truststore.WithJava())
	}
	if slices.Contains(os.Args, "bridge") {
		var trusts []*smallstep.Trust
		var found error
		trusts, found = smallstep.Detect(context.Background(), host.Local(), platform.Selector{System: true})
		if found != nil {
			err = found
		}
		options = append(options, smallstep.Options(trusts)...)
	}
	if err == nil {
		err = do(cert, options...)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// library runs such a program.
func library(args ...string) *exec.Cmd {
	cmd := command(kitDir+"/e2e", args...)
	cmd.Env = append(cmd.Env, roleVar+"=library", "JAVA_HOME=/usr/lib/jvm/default-java")
	return cmd
}

// addMkcert puts mkcert into the kit: this machine's, or one that is built.
func addMkcert(t *testing.T) {
	t.Helper()
	kit, err := buildKit()
	if err != nil {
		t.Fatal(err)
	}
	making.Lock()
	defer making.Unlock()
	if mkcert, err := exec.LookPath("mkcert"); err == nil {
		if err := copyFile(mkcert, filepath.Join(kit, "mkcert")); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := tool([]string{"CGO_ENABLED=0", "GOFLAGS=", "GOBIN=" + kit}, "go", "install", "filippo.io/mkcert@v1.4.4"); err != nil {
		missing(t, "mkcert is not installed, and cannot be built: %v", err)
	}
}

// listedIn returns the stores that certtrust lists a certificate in, with who
// put it there.
func listedIn(t *testing.T, fingerprint string, filter ...string) map[string]string {
	t.Helper()
	stores := map[string]string{}
	for _, e := range parse(t, expect(t, 0, certtrust(append([]string{"list", "--json"}, filter...)...))).Entries {
		if e.SHA256 == fingerprint {
			stores[e.Store] = strings.TrimSpace(e.Origin.By + " " + e.Origin.Detail)
		}
	}
	return stores
}

// makeDatabase makes the NSS database that programs of the user share.
func makeDatabase(t *testing.T) (db string) {
	t.Helper()
	db = "/root/.pki/nssdb"
	must(t, command("sh", "-c", "rm -rf /root/.pki /root/.mozilla && mkdir -p "+db+" && certutil -N --empty-password -d sql:"+db))
	return "sql:" + db
}

// What the library of step and Caddy installs, certtrust lists with its
// origin, and removes everywhere; what certtrust installs, the library does not
// disturb.
func TestLibraryOracle(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		settle(t)
		need(t, "certutil")
		db := makeDatabase(t)
		expect(t, 0, certtrust("repair", "--system", "--yes")) // what the machine has brought along
		start := trust()
		for i, name := range []string{"Smallstep Root", "Smallstep a 'b' (c), d"} {
			a := newAuthority(t, name)
			must(t, library("install", a.file, "system", "nss"))
			present(t, a)
			stores := listedIn(t, a.fingerprint)
			if got := stores["anchors:system"]; !strings.Contains(got, "smallstep/truststore") {
				t.Errorf("the system's store has it from %q", got)
			}
			if _, in := stores["nss:chromium"]; !in {
				t.Errorf("it is listed in %v only", stores)
			}
			expect(t, 0, certtrust("remove", "--yes", "--store", "anchors:system", "--store", "nss:chromium", a.fingerprint))
			absent(t, a)
			if out := must(t, command("certutil", "-L", "-d", db)).stdout; strings.Contains(out, name) {
				t.Errorf("NSS still has it:\n%s", out)
			}
			if i == 0 {
				expect(t, 0, certtrust("undo"))
				present(t, a)
				must(t, library("uninstall", a.file, "system", "nss"))
				expect(t, 0, certtrust("repair", "--system", "--yes")) // the link and Java's, which the tool leaves
				absent(t, a)
			}
			same(t, start)
		}
		// And the other way round: beside certtrust's own the library has its
		// file, and takes only that away.
		a := newAuthority(t, "Both Ways")
		expect(t, 0, certtrust("trust", "--system", "--yes", a.file))
		must(t, library("install", a.file, "system"))
		must(t, library("uninstall", a.file, "system"))
		if !slices.Contains(readBundle(t), a.fingerprint) {
			t.Error("the library has removed what certtrust installed")
		}
		expect(t, 0, certtrust("repair", "--system", "--yes"))
		expect(t, 0, certtrust("remove", "--system", "--yes", a.fingerprint))
		absent(t, a)
		same(t, start)
		// Through the bridge.
		a = newAuthority(t, "Bridge ../../x")
		must(t, library("install", a.file, "bridge"))
		present(t, a)
		must(t, library("install", a.file, "bridge"))
		must(t, library("uninstall", a.file, "bridge"))
		absent(t, a)
		same(t, start)
		if out := expect(t, 0, certtrust("history")).stdout; !strings.Contains(out, "smallstep/truststore") {
			t.Errorf("the journal does not tell of it:\n%s", out)
		}
	})
}

// The same of Java's keystore, in a tree that is a Java's own: what the library
// has keytool put in, and the reverse. keytool says what there is.
func TestJavaLibraryOracle(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		need(t, "keytool")
		const home, keystore = "/root/jdk", "/root/jdk/lib/security/cacerts"
		must(t, command("sh", "-c", `set -e; mkdir -p "$0/bin" "$0/lib/security"; real=$(readlink -f "$(command -v keytool)")
			ln -s "$real" "$0/bin/keytool"; cp -L "${real%/bin/keytool}/lib/security/cacerts" "$1"`, home, keystore))
		truststore := func(do string, a *authority) {
			t.Helper()
			cmd := command(kitDir+"/e2e", do, a.file, "java")
			cmd.Env = append(cmd.Env, roleVar+"=library", "JAVA_HOME="+home)
			must(t, cmd)
		}
		// holds counts the entries with a certificate.
		holds := func(when string, a *authority, want int) {
			t.Helper()
			list := must(t, command("keytool", "-list", "-keystore", keystore, "-storepass", "changeit")).stdout
			if n := strings.Count(strings.ToLower(strings.ReplaceAll(list, ":", "")), a.fingerprint); n != want {
				t.Errorf("%s: keytool lists it %d times, want %d", when, n, want)
			}
		}
		at := "java:" + keystore
		for _, name := range []string{"Smallstep Java", "Smallstep -alias 'b' (c), d"} {
			a := newAuthority(t, name)
			truststore("install", a)
			holds("installed by the library", a, 1)
			if got := listedIn(t, a.fingerprint, "--store", at)[at]; !strings.Contains(got, "smallstep/truststore") {
				t.Errorf("it is listed as from %q", got)
			}
			expect(t, 0, certtrust("remove", "--yes", "--store", at, a.fingerprint))
			holds("removed by certtrust", a, 0)
			expect(t, 0, certtrust("undo"))
			holds("undone", a, 1)
			truststore("uninstall", a) // which goes by the alias
			holds("uninstalled by the library", a, 0)
			// And the other way round: the library sees it, adds no second, and
			// takes away only what it put in.
			expect(t, 0, certtrust("trust", "--yes", "--store", at, a.file))
			holds("trusted by certtrust", a, 1)
			truststore("install", a)
			holds("installed where it is", a, 1)
			truststore("uninstall", a)
			holds("uninstalled where certtrust put it", a, 1)
			if got := listedIn(t, a.fingerprint, "--store", at)[at]; !strings.HasPrefix(got, "certtrust") {
				t.Errorf("it is listed as from %q", got)
			}
			expect(t, 0, certtrust("remove", "--yes", "--store", at, a.fingerprint))
			holds("removed by certtrust again", a, 0)
		}
	})
}

// The same of mkcert.
func TestMkcertOracle(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		settle(t)
		need(t, "certutil")
		db := makeDatabase(t)
		expect(t, 0, certtrust("repair", "--system", "--yes")) // what the machine has brought along
		start := trust()
		mkcert := func(arg string) result {
			cmd := command(kitDir+"/mkcert", arg)
			cmd.Env = append(cmd.Env, "CAROOT=/root/mkcert", "TRUST_STORES=system,nss")
			return must(t, cmd)
		}
		mkcert("-install")
		fingerprint := strings.TrimSpace(must(t, command("sh", "-c", "openssl x509 -in /root/mkcert/rootCA.pem -outform DER | sha256sum | cut -c1-64")).stdout)
		stores := listedIn(t, fingerprint, "--known-tools")
		if _, in := stores["nss:chromium"]; !in || !strings.Contains(stores["anchors:system"], "mkcert") {
			t.Errorf("it is listed in %v", stores)
		}
		expect(t, 0, certtrust("remove", "--yes", "--store", "anchors:system", "--store", "nss:chromium", fingerprint))
		if slices.Contains(readBundle(t), fingerprint) || strings.Contains(must(t, command("certutil", "-L", "-d", db)).stdout, "mkcert") {
			t.Error("it is still there")
		}
		same(t, start)
		mkcert("-uninstall")
		// The other way round.
		expect(t, 0, certtrust("trust", "--yes", "--store", "anchors:system", "--store", "nss:chromium", "/root/mkcert/rootCA.pem"))
		if out := mkcert("-install").stderr; !strings.Contains(out, "already") {
			t.Errorf("mkcert does not see it:\n%s", out)
		}
		expect(t, 0, certtrust("undo"))
		expect(t, 0, certtrust("repair", "--system", "--yes"))
	}, addMkcert)
}
