//go:build linux

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/store/storetest"
)

// chrome runs a script with the rights of Firefox itself, as its own windows do,
// and returns what it returns. certdb is Firefox's database in it.
func (f *firefox) chrome(t *testing.T, script string, args ...any) string {
	t.Helper()
	if args == nil {
		args = []any{}
	}
	if _, err := f.call("Marionette:SetContext", map[string]any{"value": "chrome"}); err != nil {
		t.Fatal(err)
	}
	text, err := f.call("WebDriver:ExecuteScript", map[string]any{"args": args, "script": `
		const certdb = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
		const find = name => certdb.getCerts().find(c => c.commonName == name);
		const token = () => Cc["@mozilla.org/security/internalkeytoken;1"].createInstance(Ci.nsIPKCS11Token);
		` + script})
	var answer struct{ Value any }
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	if err == nil {
		_, err = f.call("Marionette:SetContext", map[string]any{"value": "content"})
	}
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return fmt.Sprint(answer.Value)
}

// What Firefox itself changes in its profile, between what certtrust changes
// there, is seen, stays, and can be changed; and the other way round. A primary
// password that is set, changed and taken away in Firefox is no matter.
func TestFirefoxChanges(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		need(t, "firefox-esr", "certutil")
		home := t.TempDir()
		profile := filepath.Join(home, ".mozilla/firefox/abcdefgh.default-esr")
		if err := os.MkdirAll(profile, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, ".mozilla/firefox/profiles.ini"), []byte("[Profile0]\nPath=abcdefgh.default-esr\nIsRelative=1\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		const id = "nss:firefox/abcdefgh.default-esr"
		ours, theirs, lost, sent := newAuthority(t, "Our Root"), newAuthority(t, "Root of Firefox"), newAuthority(t, "Lost Root"), newAuthority(t, "Sent Root")
		oursURL, theirsURL, lostURL, sentURL := page(t, leaf(t, ours.CA)), page(t, leaf(t, theirs.CA)), page(t, withRoot(t, lost.CA)), page(t, withRoot(t, sent.CA))
		run := func(what string, f func(t *testing.T, b *firefox)) {
			if !t.Run(what, func(t *testing.T) { f(t, startFirefox(t, profile, "localhost").(*firefox)) }) {
				t.FailNow()
			}
		}
		// native returns what is listed of a certificate, as one text.
		native := func(t *testing.T, a *authority, args ...string) string {
			t.Helper()
			r := expect(t, 0, at(home, append([]string{"list", "--store", id, "--fingerprint", a.fingerprint, "--json"}, args...)...))
			var doc struct {
				Entries []struct {
					Native   map[string]string
					Problems []struct{ Code string }
				}
			}
			if err := json.Unmarshal([]byte(r.stdout), &doc); err != nil {
				t.Fatalf("%v: %v", err, r)
			}
			if len(doc.Entries) != 1 {
				return fmt.Sprintf("%d entries", len(doc.Entries))
			}
			e := doc.Entries[0]
			text := e.Native["trust"] + " " + e.Native["integrity"]
			for _, p := range e.Problems {
				text += " " + p.Code
			}
			return text
		}
		listed := func(t *testing.T, a *authority, want string, args ...string) {
			t.Helper()
			if got := native(t, a, args...); got != want {
				t.Errorf("%s is listed as %q, not %q", a.name, got, want)
			}
		}
		says := func(t *testing.T, r result, want string) {
			t.Helper()
			if !strings.Contains(r.stdout+r.stderr, want) {
				t.Errorf("it does not say %q: %v", want, r)
			}
		}
		// The database is made before the browser has ever been started.
		early := newAuthority(t, "Early Root")
		earlyURL := page(t, leaf(t, early.CA))
		expect(t, 0, at(home, "trust", early.file, "--store", id))
		// An authority that is a server's certificate at the same time.
		self := storetest.NewCA(t, storetest.CN("localhost"), storetest.Hosts("localhost"), signs)
		selfURL := page(t, self.TLS())
		run("both add a root", func(t *testing.T, b *firefox) {
			loads(t, b, earlyURL)
			says(t, expect(t, 0, at(home, "trust", write(t, "self.pem", self.PEM()), "--store", id)), "does not accept it as a server's own certificate")
			loads(t, b, oursURL, unknownIssuer)
			says(t, expect(t, 0, at(home, "trust", ours.file, "--store", id)), `heeds at once that "Our Root" is added`)
			loads(t, b, oursURL) // at once
			// But not one whose certificate it has already been sent.
			loads(t, b, sentURL, unknownIssuer)
			says(t, expect(t, 0, at(home, "trust", sent.file, "--store", id)), `heeds at once that "Sent Root" is added, unless a server has sent it that certificate already: then it has to be started again`)
			loads(t, b, sentURL, unknownIssuer)
			b.chrome(t, `certdb.addCertFromBase64(arguments[0], "CT,,")`, base64.StdEncoding.EncodeToString(theirs.DER()))
			loads(t, b, theirsURL)
			listed(t, theirs, "CT,, ok")
			listed(t, ours, "C,, ok")
			// What is distrusted here counts only after a start.
			says(t, expect(t, 0, at(home, "distrust", theirs.fingerprint, "--store", id)), `only after it has been started again does it heed that "Root of Firefox" is distrusted`)
			loads(t, b, theirsURL)
		})
		run("theirs is distrusted here", func(t *testing.T, b *firefox) {
			if got := b.load(t, theirsURL); got == "" {
				t.Error("it loads")
			}
			loads(t, b, oursURL)
			loads(t, b, sentURL)
			if got := b.chrome(t, `return certdb.isCertTrusted(find("Root of Firefox"), Ci.nsIX509Cert.CA_CERT, Ci.nsIX509CertDB.TRUSTED_SSL)`); got != "false" {
				t.Errorf("Firefox says that it is trusted: %s", got)
			}
			// And ours there.
			b.chrome(t, `certdb.setCertTrustFromString(find("Our Root"), "p,p,p")`)
			listed(t, ours, "p,p,p ok")
			expect(t, 0, at(home, "undo")) // the distrust, and nothing else
			listed(t, theirs, "CT,, ok")
			listed(t, ours, "p,p,p ok")                               // what Firefox has set
			expect(t, 0, at(home, "trust", ours.file, "--store", id)) // for servers
			// One that an older tool adds, and Firefox removes.
			must(t, command("certutil", "-A", "-n", lost.name, "-t", "C,,", "-i", lost.file, "-d", "sql:"+profile))
			listed(t, lost, "C,, ok")
		})
		run("trusted again", func(t *testing.T, b *firefox) {
			loads(t, b, oursURL)
			loads(t, b, theirsURL)
			loads(t, b, lostURL)
			loads(t, b, earlyURL)
			if got := b.load(t, selfURL); got == "" {
				t.Error("an authority is accepted as a server's own certificate")
			}
			b.chrome(t, `certdb.deleteCertificate(find("Lost Root"))`)
			says(t, expect(t, 0, at(home, "list", "--store", id)), "ghost-trust")
			expect(t, 0, at(home, "repair", "--store", id))
			if got := b.chrome(t, `token().changePassword("", "first"); return token().hasPassword`); got != "true" {
				t.Errorf("there is no primary password: %s", got)
			}
		})
		first, second := "--store-password-file="+id+"="+write(t, "first", []byte("first\n")), "--store-password-file="+id+"="+write(t, "second", []byte("second\n"))
		listed(t, ours, "pC,p,p not checked")
		listed(t, ours, "pC,p,p ok", first)
		if r := output(t, at(home, "distrust", theirs.fingerprint, "--store", id)); r.code == 0 {
			t.Errorf("trust is changed without the password: %v", r)
		}
		expect(t, 0, at(home, "remove", theirs.fingerprint, "--store", id)) // needs none
		expect(t, 0, at(home, "trust", theirs.file, "--store", id, first))
		listed(t, theirs, "C,, ok", first)
		run("with a primary password", func(t *testing.T, b *firefox) {
			loads(t, b, lostURL, unknownIssuer) // it was a ghost
			loads(t, b, theirsURL)              // nobody has given the password to Firefox yet
			b.chrome(t, `token().changePassword("first", "second")`)
			loads(t, b, oursURL) // and now it has been given
			listed(t, ours, "pC,p,p ok", second)
			listed(t, theirs, "C,, ok", second)
			b.chrome(t, `token().changePassword("second", "")`)
			listed(t, ours, "pC,p,p ok")
			listed(t, theirs, "C,, ok")
		})
	})
}
