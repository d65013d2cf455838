//go:build linux

package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/sqlite"
	"github.com/certtrust/certtrust/store/storetest"
)

// Chromium's own database in each profile, and its policies, are listed as the
// browser takes them; with the browser running, too.
func TestChromiumOwn(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		need(t, "chromium")
		home := t.TempDir()
		// Chromium is not told by remote what to do with the data that it has
		// where it looks unasked.
		if err := os.MkdirAll(filepath.Join(home, ".config"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(home, "chromium"), filepath.Join(home, ".config/chromium")); err != nil {
			t.Fatal(err)
		}
		const own, shared, policy = "chromium:chromium/Default", "nss:chromium", "policy:chromium"
		fitting, limited, refused, plain := newAuthority(t, "Fitting Root"), newAuthority(t, "Limited Root"), newAuthority(t, "Refused Root"), newAuthority(t, "Plain Root")
		url := map[*authority]string{}
		for _, a := range []*authority{fitting, limited, refused, plain} {
			url[a] = page(t, leaf(t, a.CA))
		}
		lists := func(t *testing.T, store string, want map[*authority]string) {
			t.Helper()
			out := expect(t, 0, at(home, "list", "--store", store)).stdout
			for a, trust := range want {
				if !regexp.MustCompile(regexp.QuoteMeta(a.name) + `.* ` + regexp.QuoteMeta(trust)).MatchString(out) {
					t.Errorf("%s is not listed as %s:\n%s", a.name, trust, out)
				}
			}
		}
		t.Run("the browser makes the profile", func(t *testing.T) {
			b := startChromium(t, home)
			for _, u := range url {
				loads(t, b, u, unknownAuthority)
			}
			// It keeps the file locked for as long as it runs.
			for deadline := time.Now().Add(browserPatience); output(t, at(home, "list", "--store", own)).code != 0 && time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
			}
			lists(t, own, nil)
		})
		db, err := sqlite.Write(t.Context(), host.Local(), filepath.Join(home, "chromium/Default/ServerCertificate"), nil)
		if err != nil {
			t.Fatal(err)
		}
		for a, settings := range map[*authority]string{
			fitting: "0a020803" + "120b0a09" + hex.EncodeToString([]byte("localhost")),
			limited: "0a020803" + "120c0a0a" + hex.EncodeToString([]byte("other.test")),
			refused: "0a020802",
		} {
			raw, err := hex.DecodeString(settings)
			if err == nil {
				err = db.Exec(t.Context(), "INSERT INTO certificates (sha256hash_hex, der_cert, trust_settings) VALUES (?, ?, ?)", a.fingerprint, a.DER(), raw)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Commit(); err != nil {
			t.Fatal(err)
		}
		db.Close()
		// An authority that is a server's certificate at the same time: Chromium
		// accepts it, other than Firefox.
		self := storetest.NewCA(t, storetest.CN("localhost"), storetest.Hosts("localhost"), signs)
		selfURL := page(t, self.TLS())
		expect(t, 0, at(home, "trust", refused.file, plain.file, write(t, "self.pem", self.PEM()), "--all", "--store", shared))
		t.Run("its own database", func(t *testing.T) {
			b := startChromium(t, home)
			loads(t, b, url[fitting])
			loads(t, b, url[plain])
			loads(t, b, selfURL)
			for _, a := range []*authority{limited, refused} {
				if got := b.load(t, url[a]); got == "" {
					t.Errorf("that of %s loads", a.name)
				}
			}
			lists(t, own, map[*authority]string{fitting: "trusted: server-auth only for localhost", limited: "trusted: server-auth only for other.test", refused: "distrusted: server-auth"})
			r := expect(t, 0, at(home, "stores", "--user"))
			if !strings.Contains(r.stdout, own) || !strings.Contains(r.stdout, shared) {
				t.Errorf("the stores are %v", r)
			}
			if r := output(t, at(home, "remove", fitting.fingerprint, "--store", own)); r.code == 0 || !strings.Contains(r.stderr, "chrome://certificate-manager") {
				t.Errorf("it is not said where it is changed: %v", r)
			}
			r = expect(t, 0, at(home, "distrust", plain.fingerprint, "--store", shared))
			if r := r.stdout + r.stderr; !strings.Contains(r, "is running") {
				t.Errorf("it is not said that the browser runs: %s", r)
			}
			expect(t, 0, at(home, "undo"))
		})
		if err := os.Remove(filepath.Join(home, "chromium/Default/ServerCertificate")); err != nil {
			t.Fatal(err)
		}
		policies := func(t *testing.T, doc map[string]any) {
			t.Helper()
			text, err := json.Marshal(doc)
			if err == nil {
				err = os.MkdirAll("/etc/chromium/policies/managed", 0o755)
			}
			if err == nil {
				err = os.WriteFile("/etc/chromium/policies/managed/ca.json", text, 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		der := func(a *authority) string { return base64.StdEncoding.EncodeToString(a.DER()) }
		t.Run("its policies", func(t *testing.T) {
			policies(t, map[string]any{
				"CACertificates": []string{der(fitting)}, "CADistrustedCertificates": []string{der(refused)},
				"CACertificatesWithConstraints": []any{map[string]any{"certificate": der(limited), "constraints": map[string]any{"permitted_dns_names": []string{"other.test"}}}},
			})
			b := startChromium(t, home)
			loads(t, b, url[fitting])
			loads(t, b, url[plain])
			for _, a := range []*authority{limited, refused} { // the latter is trusted in the shared one
				if got := b.load(t, url[a]); got == "" {
					t.Errorf("that of %s loads", a.name)
				}
			}
			lists(t, policy, map[*authority]string{fitting: "trusted: server-auth", limited: "trusted: server-auth only for other.test", refused: "distrusted: server-auth"})
		})
		t.Run("policies that keep it from the shared one", func(t *testing.T) {
			policies(t, map[string]any{"CAPlatformIntegrationEnabled": false})
			loads(t, startChromium(t, home), url[plain], unknownAuthority)
			r := output(t, at(home, "diagnose", "--json", url[plain]))
			if !strings.Contains(r.stdout, "/etc/chromium/policies/managed/ca.json sets CAPlatformIntegrationEnabled to false") {
				t.Errorf("diagnose does not say so: %v", r)
			}
		})
	})
}
