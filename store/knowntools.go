package store

import "strings"

// knownTools are the development tools that make CAs of their own, and what is
// in the subjects of these.
var knownTools = []struct{ tool, oid, part string }{
	{"mkcert", "2.5.4.10", "mkcert development CA"},
	{"Caddy", "2.5.4.3", "Caddy Local Authority"},
	{"step", "2.5.4.10", "Smallstep"},
	{"step", "2.5.4.3", "Step Online CA"},
	{"minikube", "2.5.4.3", "minikubeCA"},
	{"devcert", "2.5.4.3", "devcert"},
	{"OrbStack", "2.5.4.3", "OrbStack Development Root CA"},
	{"truststore", "2.5.4.3", "Truststore Development CA"},
	{"mitmproxy", "2.5.4.3", "mitmproxy"},
	{"Charles", "2.5.4.3", "Charles Proxy CA"},
	{"Fiddler", "2.5.4.3", "DO_NOT_TRUST_FiddlerRoot"},
	{"Burp Suite", "2.5.4.3", "PortSwigger CA"},
	{"Laravel Valet", "2.5.4.3", "Laravel Valet CA Self Signed"},
	{"Symfony", "2.5.4.3", "symfony dev cert"},
	{"puma-dev", "2.5.4.3", "Puma-dev CA"},
	{"anchor", "2.5.4.10", "lcl.host"},
}

// dotnetOID marks the certificates of "dotnet dev-certs".
const dotnetOID = "1.3.6.1.4.1.311.84.1.1"

// KnownTool returns the development tool that made c for its own use, "" if c
// is not known to be of one. It goes by what c says of itself.
func KnownTool(c *Cert) string {
	if c.Extension(dotnetOID) != nil {
		return "dotnet"
	}
	for _, known := range knownTools {
		for _, a := range c.Subject.Attributes {
			if a.OID == known.oid && strings.Contains(strings.ToLower(a.Value), strings.ToLower(known.part)) {
				return known.tool
			}
		}
	}
	return ""
}
