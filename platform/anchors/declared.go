package anchors

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// declaration is how one changes a system whose roots are declared somewhere,
// so that a file that is written is not heeded, or does not last.
type declaration struct {
	text, hint string
	trust      func(c *store.Cert) string // what exactly is to be declared
	distrust   func(c *store.Cert) string // nil = that cannot be
}

var (
	nixDeclaration = &declaration{
		text: "NixOS makes its roots out of its configuration: a file that is written here does not last",
		hint: "declare it with security.pki in /etc/nixos/configuration.nix, and run nixos-rebuild switch",
		trust: func(c *store.Cert) string {
			return "add to /etc/nixos/configuration.nix, and run nixos-rebuild switch: " +
				"security.pki.certificates = [ " + nixString(string(certfile.EncodePEM(c))) + " ];"
		},
		distrust: func(c *store.Cert) string {
			return "add to /etc/nixos/configuration.nix, and run nixos-rebuild switch: " +
				"security.pki.caCertificateBlacklist = [ " + nixString(c.Label()) + " ];"
		},
	}
	bottlerocketDeclaration = &declaration{
		text: "Bottlerocket makes its roots out of its settings",
		hint: "set settings.pki with apiclient",
		trust: func(c *store.Cert) string {
			return fmt.Sprintf("run: apiclient set settings.pki.%[1]s.data=%[2]s settings.pki.%[1]s.trusted=true", pkiName(c), base64.StdEncoding.EncodeToString(certfile.EncodePEM(c)))
		},
		distrust: func(c *store.Cert) string {
			return fmt.Sprintf("run: apiclient set settings.pki.%[1]s.data=%[2]s settings.pki.%[1]s.trusted=false", pkiName(c), base64.StdEncoding.EncodeToString(certfile.EncodePEM(c)))
		},
	}
	androidDeclaration = &declaration{
		text: "Android's system certificates are part of its image",
		hint: "add it in the settings: Security, Encryption & credentials, Install a certificate",
	}
)

// pkiName is a name for a setting: nothing that a certificate says of itself.
func pkiName(c *store.Cert) string { return "certtrust-" + hex.EncodeToString(c.SHA256[:8]) }

// nixString writes a text as a string of Nix, in one line.
func nixString(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "${", `\${`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(text) + `"`
}

// declare refuses a change that is to be declared, and tells what exactly.
func (p *folderPlan) declare(c store.Change, decision store.Decision) error {
	d := p.s.family.declared
	cert := p.find(c.Fingerprint)
	if cert == nil && c.DER != nil {
		cert = c.Cert()
	}
	held := p.state(c.Fingerprint)
	tell := d.distrust
	switch {
	case c.Absent && cert == nil:
		return nil
	case decision != store.Distrusted:
		if held.Trust.Has(store.Trusted) {
			return nil
		}
		tell = d.trust
	}
	hint := d.hint
	if cert != nil && cert.Version != 0 && tell != nil {
		hint = tell(cert)
	}
	return &store.Error{Err: store.Because(store.ErrManaged, "%s", d.text), Hint: hint}
}
