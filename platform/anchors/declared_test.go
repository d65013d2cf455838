package anchors

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// What is declared elsewhere is refused, with exactly what is to be declared.
func TestDeclared(t *testing.T) {
	for _, c := range []struct {
		family, file    string
		trust, distrust string
	}{
		{"nixos", "/etc/NIXOS", `security.pki.certificates = [ "-----BEGIN CERTIFICATE-----\n`, `security.pki.caCertificateBlacklist = [ "Held \"\${x}\\" ];`},
		{"bottlerocket", "", "apiclient set settings.pki.certtrust-", ".trusted=false"},
		{"android", "/system/etc/security/cacerts/x.0", "in the settings", "in the settings"},
	} {
		t.Run(c.family, func(t *testing.T) {
			root := storetest.TempDir(t)
			held := newCA(t, `Held "${x}\`)
			files := map[string]string{"/etc/os-release": "ID=" + c.family + "\n", "/etc/ssl/certs/ca-certificates.crt": string(held.PEM()), "/etc/pki/tls/certs/ca-bundle.crt": string(held.PEM())}
			if c.file != "" {
				files[c.file] = string(held.PEM())
			}
			for name, text := range files {
				file := filepath.Join(root, filepath.FromSlash(name))
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			s, reasons := Detect(host.Fake(root))
			if s == nil || s.Family() != c.family {
				t.Fatalf("%v, for %q", s, reasons)
			}
			if w := s.Info().Access.Write; w == nil || w.Kind != store.Managed {
				t.Errorf("the obstacle is %+v", w)
			}
			fresh := newCA(t, "Fresh").Cert()
			for _, x := range []struct {
				want store.Change
				hint string
			}{{trust(fresh), c.trust}, {distrust(held.Cert()), c.distrust}} {
				p, err := s.Plan(t.Context(), []store.Change{x.want})
				if err != nil || !p.Empty() || len(p.Refused) != 1 || p.Refused[0].Code != "managed" {
					t.Fatalf("the plan is %+v, error %v", p, err)
				}
				if hint := p.Refused[0].Hint; !strings.Contains(hint, x.hint) || strings.Contains(hint, "\n") {
					t.Errorf("the hint is %q, without %q", hint, x.hint)
				}
			}
			// What is as wanted needs nothing.
			p, err := s.Plan(t.Context(), []store.Change{trust(held.Cert()), absentOf(fresh)})
			if err != nil || !p.Empty() || len(p.Refused) > 0 {
				t.Errorf("the plan is %+v, error %v", p, err)
			}
		})
	}
}
