//go:build linux

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/certtrust/certtrust/store/storetest"
)

// page serves a page with just these certificates, and returns its address.
func page(t *testing.T, certificate tls.Certificate) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "hello") }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	s.StartTLS()
	t.Cleanup(s.Close)
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	return "https://localhost:" + port + "/"
}

// leaf is a server's certificate, sent alone.
func leaf(t *testing.T, issuer *storetest.CA) tls.Certificate {
	c := issuer.Leaf(t, "localhost")
	c.Certificate = c.Certificate[:1]
	return c
}

// withRoot is a server's certificate, sent with all above it.
func withRoot(t *testing.T, root *storetest.CA) tls.Certificate {
	c := leaf(t, root)
	c.Certificate = append(c.Certificate, root.DER())
	return c
}

// signs makes an authority's key fit for a server's.
var signs = storetest.Template(func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageDigitalSignature })

// at makes certtrust run for the user who has a home.
func at(home string, args ...string) *exec.Cmd {
	cmd := certtrust(args...)
	cmd.Env = append(cmd.Env, "HOME="+home)
	return cmd
}

// loads makes sure that a browser loads pages, or what it says instead.
func loads(t *testing.T, b browser, url string, refusal ...string) {
	t.Helper()
	got := b.load(t, url)
	for _, want := range refusal {
		if got == want {
			return
		}
	}
	if got != "" || len(refusal) > 0 {
		t.Errorf("%s: it says %q, not %q", url, got, refusal)
	}
}

const (
	unknownIssuer    = "SEC_ERROR_UNKNOWN_ISSUER"
	unknownAuthority = "net::ERR_CERT_AUTHORITY_INVALID"
)

// newerNSS makes a program use the NSS of Firefox, which is newer than the
// system's.
const newerNSS = "LD_LIBRARY_PATH=/usr/lib/firefox-esr"

// firefoxNSS makes certutil run with it.
func firefoxNSS(cmd *exec.Cmd) *exec.Cmd {
	cmd.Env = append(cmd.Env, newerNSS)
	return cmd
}

// Firefox heeds what is done to a profile that it has made itself, after it has
// been started again, and is not disturbed by it while it runs.
func TestFirefoxProfile(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		need(t, "firefox-esr", "certutil")
		home := t.TempDir()
		profile := filepath.Join(home, ".mozilla/firefox/abcdefgh.default-esr")
		if err := os.MkdirAll(profile, 0o755); err != nil {
			t.Fatal(err)
		}
		const id = "nss:firefox/abcdefgh.default-esr"
		a, other := newAuthority(t, "Firefox Test Root"), newAuthority(t, "Another Root")
		self := storetest.NewCA(t, storetest.CN("localhost"), storetest.NotCA(), storetest.Hosts("localhost"))
		middle := a.Intermediate(t, storetest.CN("Middle"))
		plain, root, wrong, short, own := page(t, leaf(t, a.CA)), page(t, withRoot(t, a.CA)), page(t, leaf(t, other.CA)), page(t, leaf(t, middle)), page(t, self.TLS())
		fingerprint := a.fingerprint
		run := func(what string, f func(t *testing.T, b browser)) {
			if !t.Run(what, func(t *testing.T) { f(t, startFirefox(t, profile, "localhost")) }) {
				t.FailNow()
			}
		}
		run("the browser makes the profile", func(t *testing.T, b browser) {
			for _, url := range []string{plain, root, short} {
				loads(t, b, url, unknownIssuer)
			}
			d := parse(t, expect(t, 0, at(home, "trust", a.file, "--store", id, "--json")))
			if d.Changed == nil || !*d.Changed {
				t.Errorf("nothing was changed: %+v", d)
			}
			loads(t, b, wrong, unknownIssuer)
		})
		run("trusted", func(t *testing.T, b browser) {
			loads(t, b, plain)
			loads(t, b, root)
			loads(t, b, wrong, unknownIssuer)
			loads(t, b, short, unknownIssuer)
			// What is taken away counts after a start, and that is said.
			r := expect(t, 0, at(home, "distrust", fingerprint, "--store", id))
			if !strings.Contains(r.stdout+r.stderr, "started again") {
				t.Errorf("it is not said that Firefox has to be started again: %v", r)
			}
		})
		if out := must(t, firefoxNSS(command("certutil", "-L", "-d", "sql:"+profile))).stdout; !strings.Contains(out, "p,p,p") {
			t.Errorf("certutil says %s", out)
		}
		run("distrusted", func(t *testing.T, b browser) {
			if got := b.load(t, plain); got == "" {
				t.Error("it loads")
			}
			expect(t, 0, at(home, "undo"))
			middleFile := write(t, "middle.pem", middle.PEM())
			expect(t, 0, at(home, "import", middleFile, a.file, "--store", id))
			expect(t, 0, at(home, "trust", write(t, "self.pem", self.PEM()), "--allow", "leaf", "--store", id))
		})
		run("with the intermediate and a server's own certificate", func(t *testing.T, b browser) {
			loads(t, b, plain)
			loads(t, b, short)
			loads(t, b, own)
			expect(t, 0, at(home, "remove", fingerprint, "--store", id))
		})
		run("removed", func(t *testing.T, b browser) {
			for _, url := range []string{plain, root, short} {
				loads(t, b, url, unknownIssuer)
			}
			expect(t, 0, at(home, "trust", a.file, "--store", id))
		})
		// Another tool takes out the certificate alone.
		must(t, command("certutil", "-D", "-n", a.name, "-d", "sql:"+profile))
		run("a ghost", func(t *testing.T, b browser) {
			loads(t, b, root)
		})
		r := expect(t, 0, at(home, "list", "--store", id, "--json"))
		if !strings.Contains(r.stdout, "ghost-trust") {
			t.Errorf("the ghost is not listed: %v", r)
		}
		if r := expect(t, 0, at(home, "stores", "--store", id, "--json")); !strings.Contains(r.stdout, "ghost-trust") {
			t.Errorf("stores does not tell of it: %v", r)
		}
		expect(t, 0, at(home, "repair", "--store", id))
		run("repaired", func(t *testing.T, b browser) {
			loads(t, b, root, unknownIssuer)
		})
	})
}

// Chromium heeds what is done to the database that it has made itself.
func TestChromiumDatabase(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		need(t, "chromium", "certutil", "firefox-esr")
		home := t.TempDir()
		const id = "nss:chromium"
		a, other := newAuthority(t, "Chromium Test Root"), newAuthority(t, "Another Root")
		self := storetest.NewCA(t, storetest.CN("localhost"), storetest.NotCA(), storetest.Hosts("localhost"))
		middle := a.Intermediate(t, storetest.CN("Middle"))
		plain, root, wrong, short, own := page(t, leaf(t, a.CA)), page(t, withRoot(t, a.CA)), page(t, leaf(t, other.CA)), page(t, leaf(t, middle)), page(t, self.TLS())
		run := func(what string, f func(t *testing.T, b browser)) {
			if !t.Run(what, func(t *testing.T) { f(t, startChromium(t, home)) }) {
				t.FailNow()
			}
		}
		run("the browser makes the database", func(t *testing.T, b browser) {
			for _, url := range []string{plain, root, short} {
				loads(t, b, url, unknownAuthority)
			}
		})
		expect(t, 0, at(home, "trust", a.file, "--store", id))
		var dir string
		for _, place := range []string{".pki/nssdb", ".local/share/pki/nssdb"} {
			if _, err := os.Stat(filepath.Join(home, place, "cert9.db")); err == nil {
				dir = filepath.Join(home, place)
			}
		}
		for _, cmd := range []*exec.Cmd{command("certutil", "-V", "-u", "L", "-n", a.name, "-d", "sql:"+dir), firefoxNSS(command("certutil", "-V", "-u", "L", "-n", a.name, "-d", "sql:"+dir))} {
			must(t, cmd)
		}
		run("trusted", func(t *testing.T, b browser) {
			loads(t, b, plain)
			loads(t, b, wrong, unknownAuthority)
			loads(t, b, short, unknownAuthority)
			expect(t, 0, at(home, "distrust", a.fingerprint, "--store", id))
		})
		run("distrusted", func(t *testing.T, b browser) {
			if got := b.load(t, plain); got == "" {
				t.Error("it loads")
			}
		})
		expect(t, 0, at(home, "undo"))
		expect(t, 0, at(home, "import", write(t, "middle.pem", middle.PEM()), a.file, "--store", id))
		expect(t, 0, at(home, "trust", write(t, "self.pem", self.PEM()), "--allow", "leaf", "--store", id))
		run("with the intermediate and a server's own certificate", func(t *testing.T, b browser) {
			loads(t, b, plain)
			loads(t, b, short)
			loads(t, b, own)
		})
		expect(t, 0, at(home, "remove", a.fingerprint, "--store", id))
		run("removed", func(t *testing.T, b browser) {
			for _, url := range []string{plain, root, short} {
				loads(t, b, url, unknownAuthority)
			}
		})
		// A diagnosis tells what it is about the database, and whose.
		for trust, code := range map[string]string{",,": "trust.present_not_trusted", ",C,": "trust.wrong_purpose", "p,p,p": "trust.distrusted"} {
			must(t, command("certutil", "-A", "-n", a.name, "-t", trust, "-i", a.file, "-d", "sql:"+dir))
			if r := output(t, at(home, "diagnose", "--store", id, "--json", plain)); r.code != 3 || !strings.Contains(r.stdout, `"code": "`+code+`"`) {
				t.Errorf("%s: %v", trust, r)
			}
			if r := output(t, at(home, "diagnose", "--store", id, plain)); !strings.Contains(r.stdout, "Chromium") {
				t.Errorf("%s: the browser is not named: %v", trust, r)
			}
			must(t, command("certutil", "-D", "-n", a.name, "-d", "sql:"+dir))
		}
		// Once a newer NSS has opened it, all versions have to agree on what is
		// written there.
		expect(t, 0, at(home, "trust", a.file, "--store", id))
		agree := func(what, shown string, refusal ...string) {
			t.Run(what, func(t *testing.T) {
				for nss, env := range map[string][]string{"newer": {newerNSS}, "older": nil} {
					t.Run(nss, func(t *testing.T) { loads(t, startChromium(t, home, env...), plain, refusal...) })
				}
				for _, cmd := range []*exec.Cmd{command("certutil", "-L", "-d", "sql:"+dir), firefoxNSS(command("certutil", "-L", "-d", "sql:"+dir))} {
					if out := must(t, cmd).stdout; !regexp.MustCompile(regexp.QuoteMeta(a.name) + ` +` + shown).MatchString(out) {
						t.Errorf("certutil says %s", out)
					}
				}
			})
		}
		agree("trusted, for both versions", "C,,")
		expect(t, 0, at(home, "distrust", a.fingerprint, "--store", id))
		agree("distrusted, for both versions", "p,p,p", "net::ERR_CERT_INVALID", unknownAuthority)
		expect(t, 0, at(home, "trust", a.file, "--store", id))
		agree("trusted again, for both versions", "pC,p,p") // for servers
	})
}

// Linked to the system's store, both browsers take what is trusted there, and
// no longer when that is taken back.
func TestLinkSystem(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		need(t, "firefox-esr", "chromium", "certutil", "update-ca-certificates")
		if found, _ := filepath.Glob("/usr/lib/*/pkcs11/p11-kit-trust.so"); len(found) == 0 {
			missing(t, "p11-kit's module is not installed")
		}
		home := t.TempDir()
		profile := filepath.Join(home, ".mozilla/firefox/abcdefgh.default-esr")
		shared := filepath.Join(home, ".pki/nssdb")
		for _, dir := range []string{profile, shared} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		must(t, command("certutil", "-N", "--empty-password", "-d", "sql:"+shared))
		a := newAuthority(t, "Linked Test Root")
		url := page(t, leaf(t, a.CA))
		both := func(what string, firefox, chromium []string) {
			t.Run(what, func(t *testing.T) {
				loads(t, startFirefox(t, profile, "localhost"), url, firefox...)
				loads(t, startChromium(t, home), url, chromium...)
			})
		}
		expect(t, 0, at(home, "trust", a.file, "--system"))
		both("not linked", []string{unknownIssuer}, []string{unknownAuthority})
		expect(t, 0, at(home, "link-system"))
		r := expect(t, 0, at(home, "stores", "--user", "--json"))
		if strings.Count(r.stdout, `"derivedFrom": "anchors:system"`) != 2 {
			t.Errorf("the stores do not say that they follow: %v", r)
		}
		both("linked", nil, nil)
		expect(t, 0, at(home, "undo"))
		both("taken back", []string{unknownIssuer}, []string{unknownAuthority})
		// The same for all users of Firefox, by policy.
		expect(t, 0, at(home, "link-system", "--store", "policy:firefox"))
		both("by policy", nil, []string{unknownAuthority})
		expect(t, 0, at(home, "undo"))
	})
}

// Firefox imports what its policies name, and keeps it.
func TestFirefoxPolicies(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		need(t, "firefox-esr")
		home := t.TempDir()
		a := newAuthority(t, "Policy Test Root")
		url := page(t, leaf(t, a.CA))
		if err := os.MkdirAll("/etc/firefox/policies", 0o755); err != nil {
			t.Fatal(err)
		}
		const before = `{"policies": {"DisableTelemetry": true, "Certificates": {"ImportEnterpriseRoots": true, "Install": ["e2e-named.pem", "e2e-bundle.pem"]}}}`
		byName, bundled := newAuthority(t, "Named Root"), newAuthority(t, "Bundled Root")
		named, inBundle := page(t, leaf(t, byName.CA)), page(t, leaf(t, bundled.CA))
		const dir = "/usr/lib/mozilla/certificates"
		for name, data := range map[string][]byte{"e2e-named.pem": byName.PEM(), "e2e-bundle.pem": append(bundled.PEM(), newAuthority(t, "Other Root").PEM()...)} {
			if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, name), data, 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile("/etc/firefox/policies/policies.json", []byte(before), 0o644); err != nil {
			t.Fatal(err)
		}
		fresh := func(name string) string {
			profile := filepath.Join(home, ".mozilla/firefox", name)
			if err := os.MkdirAll(profile, 0o755); err != nil {
				t.Fatal(err)
			}
			return profile
		}
		expect(t, 0, at(home, "trust", a.file, "--store", "policy:firefox"))
		text, err := os.ReadFile("/etc/firefox/policies/policies.json")
		if err != nil || !strings.Contains(string(text), "DisableTelemetry") || !strings.Contains(string(text), "ImportEnterpriseRoots") {
			t.Errorf("the policies are now %s (%v)", text, err)
		}
		t.Run("in force", func(t *testing.T) {
			b := startFirefox(t, fresh("aaaaaaaa.one"), "localhost")
			for deadline := time.Now().Add(browserPatience); (b.load(t, url) != "" || b.load(t, named) != "") && time.Now().Before(deadline); time.Sleep(time.Second) {
			}
			loads(t, b, url)
			loads(t, b, named)
			loads(t, b, inBundle, unknownIssuer) // of a file with several it imports none
		})
		if r := expect(t, 0, at(home, "list", "--store", "policy:firefox")); !strings.Contains(r.stdout, "several-certificates") || !strings.Contains(r.stdout, byName.name) {
			t.Errorf("the policies are listed as %v", r)
		}
		r := expect(t, 0, at(home, "list", "--store", "nss:firefox/aaaaaaaa.one", "--origin", "policy", "--json"))
		if !strings.Contains(r.stdout, a.fingerprint) {
			t.Errorf("what the policy left in the profile is not listed as of the policy: %v", r)
		}
		r = expect(t, 0, at(home, "remove", a.fingerprint, "--store", "policy:firefox"))
		if !strings.Contains(r.stdout+r.stderr, "keep it") {
			t.Errorf("it is not said that profiles keep it: %v", r)
		}
		if !strings.Contains(r.stdout+r.stderr, "it is in nss:firefox/aaaaaaaa.one") {
			t.Errorf("it is not said which: %v", r)
		}
		if r := expect(t, 0, at(home, "list", "--store", "nss:firefox/aaaaaaaa.one", "--fingerprint", a.fingerprint, "--json")); !strings.Contains(r.stdout, "a policy does or did") {
			t.Errorf("what it has left is listed as %v", r)
		}
		t.Run("taken out", func(t *testing.T) {
			loads(t, startFirefox(t, fresh("bbbbbbbb.two"), "localhost"), url, unknownIssuer)
		})
		expect(t, 0, at(home, "remove", a.fingerprint, "--store", "nss:firefox/aaaaaaaa.one"))
		t.Run("taken out of the profile", func(t *testing.T) {
			loads(t, startFirefox(t, fresh("aaaaaaaa.one"), "localhost"), url, unknownIssuer)
		})
	})
}

// Root changes what belongs to others as those: by name, for all, and for who
// is behind sudo.
func TestOtherUsersDatabases(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		need(t, "certutil", "sudo", "useradd")
		a := newAuthority(t, "Users Test Root")
		databases := map[string]string{}
		for _, name := range []string{"alice", "bob"} {
			must(t, command("useradd", "-m", name))
			dir := filepath.Join("/home", name, ".pki/nssdb")
			must(t, command("sudo", "-u", name, "mkdir", "-p", dir))
			must(t, command("sudo", "-u", name, "certutil", "-N", "--empty-password", "-d", "sql:"+dir))
			databases[name] = dir
		}
		shows := func(who, trust string) {
			t.Helper()
			out := must(t, command("sudo", "-u", who, "certutil", "-L", "-d", "sql:"+databases[who])).stdout
			if strings.Contains(out, a.name) != (trust != "") || !strings.Contains(out, trust) {
				t.Errorf("%s's certutil shows %s", who, out)
			}
			for _, f := range []string{"cert9.db", "key4.db"} {
				if got := must(t, command("stat", "-c", "%U", filepath.Join(databases[who], f))).stdout; got != who+"\n" {
					t.Errorf("%s belongs to %s", f, got)
				}
			}
		}
		// Who has put it there is known to the journal of whoever did.
		byCerttrust := func(cmd *exec.Cmd) {
			t.Helper()
			if r := expect(t, 0, cmd); !strings.Contains(r.stdout, `"by": "certtrust"`) {
				t.Errorf("it is listed as %v", r)
			}
		}
		expect(t, 0, certtrust("trust", a.file, "--for-user", "alice"))
		shows("alice", "C,,")
		shows("bob", "")
		byCerttrust(certtrust("list", "--for-user", "alice", "--json"))
		expect(t, 0, certtrust("undo"))
		shows("alice", "")
		expect(t, 0, certtrust("trust", a.file, "--all-users"))
		shows("alice", "C,,")
		shows("bob", "C,,")
		expect(t, 0, certtrust("remove", a.fingerprint, "--store", "nss:chromium@bob", "--for-user", "bob"))
		shows("alice", "C,,")
		shows("bob", "")
		// A primary password of a user's is given by the name that root knows the
		// database by.
		const profile = "/home/alice/.mozilla/firefox/locked.default"
		secret := write(t, "secret", []byte("alice's own\n"))
		must(t, command("chown", "alice", secret))
		must(t, command("sudo", "-u", "alice", "mkdir", "-p", profile))
		must(t, command("sudo", "-u", "alice", "certutil", "-N", "-f", secret, "-d", "sql:"+profile))
		const id = "nss:firefox/locked.default@alice"
		if r := output(t, certtrust("trust", a.file, "--store", id)); r.code != 5 || !strings.Contains(r.stderr, "--store-password-file "+id+"=FILE") {
			t.Errorf("without the password: %v", r)
		}
		expect(t, 3, certtrust("trust", a.file, "--store", id, "--store-password-file", strings.TrimSuffix(id, "@alice")+"="+secret))
		expect(t, 0, certtrust("trust", a.file, "--store", id, "--store-password-file", id+"="+secret))
		if out := must(t, command("sudo", "-u", "alice", "certutil", "-L", "-d", "sql:"+profile)).stdout; !strings.Contains(out, a.name) {
			t.Errorf("with the password, alice's certutil shows %s", out)
		}
		must(t, command("rm", "-r", profile))
		// Root itself opens nothing of theirs.
		r := output(t, certtrust("list", "--store", "nss:"+databases["bob"]))
		if r.code == 0 || !strings.Contains(r.stderr, "--for-user bob") {
			t.Errorf("root reads it: %v", r)
		}
		link := filepath.Join(databases["bob"], "cert9.db")
		must(t, command("sudo", "-u", "bob", "mv", link, link+".old"))
		must(t, command("sudo", "-u", "bob", "ln", "-s", "/etc/shadow", link))
		if r := output(t, certtrust("trust", a.file, "--for-user", "bob")); r.code == 0 {
			t.Errorf("a link is followed: %v", r)
		}
		// Behind sudo: the system's store, and the user's own as the user.
		sudoers := "alice ALL=(ALL) NOPASSWD: ALL\n"
		if err := os.WriteFile("/etc/sudoers.d/e2e", []byte(sudoers), 0o440); err != nil {
			t.Fatal(err)
		}
		b := newAuthority(t, "Sudo Test Root")
		must(t, command("sudo", "-u", "alice", "-i", "sudo", "/usr/local/bin/certtrust", "trust", b.file))
		out := must(t, command("sudo", "-u", "alice", "certutil", "-L", "-d", "sql:"+databases["alice"])).stdout
		if !strings.Contains(out, b.name) {
			t.Errorf("alice's certutil shows %s", out)
		}
		present(t, b)
		for _, cmd := range []*exec.Cmd{ // as root, by alice behind sudo, and by herself
			certtrust("list", "--for-user", "alice", "--fingerprint", b.fingerprint, "--json"),
			command("sudo", "-u", "alice", "-i", "sudo", "/usr/local/bin/certtrust", "list", "--store", "nss:chromium", "--fingerprint", b.fingerprint, "--json"),
			command("sudo", "-u", "alice", "-i", "/usr/local/bin/certtrust", "list", "--store", "nss:chromium", "--fingerprint", b.fingerprint, "--json"),
		} {
			byCerttrust(cmd)
		}
		must(t, command("sudo", "-u", "alice", "-i", "sudo", "/usr/local/bin/certtrust", "undo"))
		out = must(t, command("sudo", "-u", "alice", "certutil", "-L", "-d", "sql:"+databases["alice"])).stdout
		if strings.Contains(out, b.name) {
			t.Errorf("after undo alice's certutil shows %s", out)
		}
		absent(t, b)
		if found, _ := filepath.Glob("/home/alice/.local/state/certtrust/journal/*"); len(found) == 0 {
			t.Error("alice has no journal")
		}
	})
}
