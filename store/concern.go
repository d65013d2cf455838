package store

import (
	"slices"
	"time"
)

// Concern is a reason not to make a certificate a trust anchor without having
// thought about it.
type Concern struct {
	// Code is stable. For a concern that a person may overrule it is also
	// what that person has to allow.
	Code string `json:"code"`
	Text string `json:"text"`
	// Advice says what would be better; it may be "".
	Advice string `json:"advice,omitempty"`
	// Never: nobody can overrule it.
	Never bool `json:"never,omitempty"`
}

// concerns is the one place for the rules of what is refused as an anchor.
var concerns = []struct {
	code   string
	check  func(c *Cert, at time.Time) string // the reason, "" if it is in order
	advice string
	never  bool
}{
	{code: "malformed", never: true,
		check: func(c *Cert, _ time.Time) string {
			if c.Version == 0 {
				return "it is not a certificate: its structure cannot be read"
			}
			return ""
		}},
	{code: "unparsable", advice: "many programs will refuse it too",
		check: func(c *Cert, _ time.Time) string {
			if c.Version != 0 && c.Parsed() == nil {
				return "it is not well-formed: " + Printable(c.ParseError().Error())
			}
			return ""
		}},
	{code: "leaf", advice: "trust the certificate authority that issued it, or make a small local one",
		check: func(c *Cert, _ time.Time) string {
			switch {
			case c.Version == 0 || c.IsCA():
				return ""
			case c.SelfIssued():
				return "it is a self-signed server certificate, not a certificate authority"
			}
			return "it is a leaf certificate, not a certificate authority"
		}},
	{code: "intermediate", advice: "trust the root that issued it",
		check: func(c *Cert, _ time.Time) string {
			if c.IsCA() && !c.SelfIssued() {
				return "it is an intermediate, issued by " + quote(c.Issuer.String())
			}
			return ""
		}},
	{code: "bad-signature", advice: "get it again from its owner",
		check: func(c *Cert, _ time.Time) string {
			if !c.SelfIssued() || c.SelfSigned() {
				return ""
			}
			return "it names itself as its issuer, but its signature is not by its own key"
		}},
	{code: "expired", advice: "get the renewed one",
		check: func(c *Cert, at time.Time) string {
			if !c.NotAfter.IsZero() && at.After(c.NotAfter) {
				return "it expired on " + c.NotAfter.Format(time.DateOnly)
			}
			return ""
		}},
	{code: "not-yet-valid", advice: "check the clock of this machine and of the one that issued it",
		check: func(c *Cert, at time.Time) string {
			if at.Before(c.NotBefore) {
				return "it is not valid before " + c.NotBefore.Format(time.RFC3339)
			}
			return ""
		}},
	{code: "weak", advice: "have it re-issued with an RSA key of 2048 bits or more, or an EC key",
		check: func(c *Cert, _ time.Time) string {
			switch {
			case (c.KeyAlgorithm == "RSA" || c.KeyAlgorithm == "RSA-PSS") && c.KeyBits < 2048,
				c.KeyAlgorithm == "EC" && c.KeyBits > 0 && c.KeyBits < 224,
				c.KeyAlgorithm == "DSA":
				return "its key is weak: " + c.Key()
			case !c.SelfIssued() && slices.Contains([]string{"MD2-RSA", "MD5-RSA", "SHA1-RSA", "SHA1-ECDSA", "SHA1-DSA"}, c.SignatureAlgorithm):
				return "its signature is weak: " + c.SignatureAlgorithm
			}
			return ""
		}},
}

// ConcernCodes returns the codes of the concerns that a person may overrule.
func ConcernCodes() []string {
	var codes []string
	for _, c := range concerns {
		if !c.never {
			codes = append(codes, c.code)
		}
	}
	return codes
}

// Concerns returns what speaks against making c a trust anchor at the time at,
// the weightiest first; nil if nothing does.
func Concerns(c *Cert, at time.Time) []Concern {
	var out []Concern
	for _, rule := range concerns {
		if text := rule.check(c, at); text != "" {
			out = append(out, Concern{Code: rule.code, Text: text, Advice: rule.advice, Never: rule.never})
		}
	}
	return out
}
