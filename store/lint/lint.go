// Package lint tells which well-known programs will refuse a certificate as a
// trust anchor although a store trusts it, and why. Every rule of the table
// says what it is known from; those that concern OpenSSL and Go are tried
// against them by the package's test.
//
// What speaks against trusting a certificate at all is not here but in
// [store.Concerns].
package lint

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/certtrust/certtrust/store"
)

// Finding is a reason for which programs refuse an anchor.
type Finding struct {
	Code    string   `json:"code"`
	Text    string   `json:"text" jsonschema:"what it is about the certificate; safe to print"`
	Refused []string `json:"refusedBy" jsonschema:"the programs that do"`
	Source  string   `json:"source" jsonschema:"from what that is known"`
}

// The programs, as they were tried. A name stands for what is built alike:
// OpenSSL for curl, wget2, nginx and others that use it with its own defaults.
const (
	openssl   = "OpenSSL (curl and others)"
	python313 = "Python 3.13 and newer"
	python    = "Python before 3.13, Ruby, PHP"
	gnutls    = "GnuTLS (git, wget and apt on Debian)"
	golang    = "Go"
	java      = "Java"
	node      = "Node"
	bun       = "Bun"
	rustls    = "Deno (rustls)"
	erlang    = "Erlang"
)

// tried is the source of what was found by giving the programs an anchor of
// this kind and a server with a certificate that it issued.
const tried = "tried with curl 7.88 on OpenSSL 3.0, GnuTLS 3.7, Go 1.26, Java 17 and 25, Node 24, Bun 1.4, Deno 2.9, Python 3.11 and 3.13, Erlang/OTP 25"

// Rule is a line of the table.
type Rule struct {
	Code    string
	Refused []string
	Source  string

	check func(c *store.Cert, at time.Time) string // the text, "" if it does not apply
}

// Rules returns the table.
func Rules() []Rule { return slices.Clone(rules) }

var rules = []Rule{
	{"negative-serial", []string{golang}, "Go 1.23 release notes, crypto/x509; " + tried,
		func(c *store.Cert, _ time.Time) string {
			if c.Serial != nil && c.Serial.Sign() < 0 {
				return "its serial number is negative"
			}
			return ""
		}},
	{"curve", []string{gnutls, golang, java, node, bun, rustls}, "RFC 8446, 4.2.7 and what the programs implement; " + tried + ", with brainpoolP256r1",
		func(c *store.Cert, _ time.Time) string {
			if c.KeyAlgorithm == "EC" && !slices.Contains([]string{"P-224", "P-256", "P-384", "P-521"}, c.Curve) {
				return "its key is on the curve " + store.Printable(c.Curve)
			}
			return ""
		}},
	{"encoding", []string{golang}, "Go's crypto/x509 on this certificate",
		func(c *store.Cert, _ time.Time) string {
			if c.Version == 0 || c.Parsed() != nil || c.Serial != nil && c.Serial.Sign() < 0 || strings.Contains(c.ParseError().Error(), "elliptic curve") {
				return ""
			}
			return "its encoding is not as prescribed: " + store.Printable(c.ParseError().Error())
		}},
	{"key-algorithm", []string{golang}, "Go's crypto/x509 on this certificate",
		func(c *store.Cert, _ time.Time) string {
			if c.Parsed() == nil || c.Parsed().PublicKeyAlgorithm != x509.UnknownPublicKeyAlgorithm && c.Parsed().PublicKeyAlgorithm != x509.DSA {
				return ""
			}
			return "its key is of the kind " + store.Printable(c.Key())
		}},
	{"small-rsa", []string{openssl, python, python313, node, rustls}, "OpenSSL, SSL_CTX_set_security_level(3): level 2, Debian's default, wants 112 bits of security; " + tried,
		func(c *store.Cert, _ time.Time) string {
			if (c.KeyAlgorithm == "RSA" || c.KeyAlgorithm == "RSA-PSS") && c.KeyBits > 0 && c.KeyBits < 2048 {
				return fmt.Sprintf("its RSA key has only %d bits", c.KeyBits)
			}
			return ""
		}},
	{"no-basic-constraints", []string{openssl, python, python313, golang, java, node, bun}, "RFC 5280, 4.2.1.9; " + tried,
		func(c *store.Cert, _ time.Time) string {
			return unconstrained(c, false)
		}},
	{"no-basic-constraints", []string{python313, golang}, "RFC 5280, 4.2.1.9; OpenSSL, X509_check_ca(3): a key usage that allows to sign is enough for others",
		func(c *store.Cert, _ time.Time) string {
			return unconstrained(c, true)
		}},
	{"version-1", []string{python313}, "Python, What's new in 3.13, ssl: VERIFY_X509_STRICT is the default; " + tried,
		func(c *store.Cert, _ time.Time) string {
			if c.Version == 1 {
				return "it is of version 1, without any extensions"
			}
			return ""
		}},
	{"no-key-usage", []string{python313}, "Python, What's new in 3.13, ssl: VERIFY_X509_STRICT is the default; " + tried,
		func(c *store.Cert, _ time.Time) string {
			if _, present := c.KeyUsage(); !present && c.Version == 3 && c.IsCA() {
				return "it has no key usage"
			}
			return ""
		}},
	{"basic-constraints-not-critical", []string{python313}, "RFC 5280, 4.2.1.9; Python, What's new in 3.13, ssl: VERIFY_X509_STRICT is the default; " + tried,
		func(c *store.Cert, _ time.Time) string {
			if ext := c.Extension("2.5.29.19"); ext != nil && !ext.Critical && c.IsCA() {
				return "its basic constraints are not marked as critical"
			}
			return ""
		}},
	{"no-subject-key-id", []string{python313}, "RFC 5280, 4.2.1.2; OpenSSL, X509_VERIFY_PARAM_set_flags(3): X509_V_FLAG_X509_STRICT, which Python 3.13 sets",
		func(c *store.Cert, _ time.Time) string {
			if c.Version == 3 && c.IsCA() && c.Extension("2.5.29.14") == nil {
				return "it has no subject key identifier"
			}
			return ""
		}},
	{"cannot-sign", []string{openssl, python, python313, golang}, "RFC 5280, 4.2.1.3",
		func(c *store.Cert, _ time.Time) string {
			if usage, present := c.KeyUsage(); present && c.IsCA() && usage&x509.KeyUsageCertSign == 0 {
				return "its key usage does not allow to sign certificates"
			}
			return ""
		}},
	{"not-for-servers", []string{openssl, python, python313, golang, node, bun}, tried,
		func(c *store.Cert, _ time.Time) string {
			limits := c.ExtendedKeyUsage()
			if limits == nil || slices.Contains(limits, store.PurposeServerAuth) || slices.Contains(limits, store.PurposeAny) {
				return ""
			}
			return "it limits itself to other uses than servers"
		}},
	{"intermediate", []string{python, node, bun, erlang}, tried,
		func(c *store.Cert, _ time.Time) string {
			if c.IsCA() && !c.SelfIssued() {
				return "it is an intermediate, and they want the root that issued it"
			}
			return ""
		}},
	{"self-signed-server", []string{erlang}, tried,
		func(c *store.Cert, _ time.Time) string {
			if _, present := c.BasicConstraints(); present && !c.IsCA() && c.SelfIssued() {
				return "it is no certificate authority"
			}
			return ""
		}},
	{"expired", []string{openssl, gnutls, python, python313, golang, node, bun, erlang}, tried,
		func(c *store.Cert, at time.Time) string {
			if !c.NotAfter.IsZero() && at.After(c.NotAfter) {
				return "it expired on " + c.NotAfter.Format(time.DateOnly)
			}
			return ""
		}},
}

// unconstrained applies to a root that has no basic constraints, and whose key
// usage allows to sign certificates or not.
func unconstrained(c *store.Cert, signs bool) string {
	usage, _ := c.KeyUsage()
	_, present := c.BasicConstraints()
	if present || c.Version != 3 || !c.SelfIssued() || signs != (usage&x509.KeyUsageCertSign != 0) {
		return ""
	}
	return "it does not say that it is a certificate authority: there are no basic constraints"
}

// Check returns why programs will refuse c as an anchor for servers at the time
// at, nil if none is known to.
func Check(c *store.Cert, at time.Time) []Finding {
	var out []Finding
	for _, r := range rules {
		if text := r.check(c, at); text != "" {
			out = append(out, Finding{r.Code, text, r.Refused, r.Source})
		}
	}
	return out
}

// String says it in a line.
func (f Finding) String() string {
	return strings.Join(f.Refused, ", ") + " will refuse it: " + f.Text
}
