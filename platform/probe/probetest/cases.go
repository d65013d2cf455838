package probetest

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/diagnose"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// clients makes the table of what clients do.
func clients(accepts bool, ids ...string) map[string]bool {
	m := map[string]bool{}
	for _, id := range ids {
		m[id] = accepts
	}
	return m
}

// but changes some of them.
func but(m map[string]bool, accepts bool, ids ...string) map[string]bool {
	for _, id := range ids {
		m[id] = accepts
	}
	return m
}

func everyone(accepts bool) map[string]bool {
	return clients(accepts, "chromium", "firefox", "openssl", "curl", "python", "node", "gnutls", "java", "go")
}

func codes(c ...string) []string { return c }

// Cases returns the table.
func Cases() []Case {
	all := slices.Concat(goodCases(), trustCases(), chainCases(), timeCases(), nameCases(), certCases(),
		revocationCases(), connectionCases(), startTLSCases())
	for i := range all {
		c := &all[i]
		if c.Host == "" {
			c.Host = c.Name + ".certtrust.test"
		}
		if c.Verdict == "" && len(c.Want) == 0 {
			c.Verdict = diagnose.Trusted
		} else if c.Verdict == "" {
			c.Verdict = diagnose.Untrusted
		}
	}
	return all
}

// twoTier is the usual hierarchy: a root in the store and an authority below.
func (b *builder) twoTier(options ...option) (root, sub *cert) {
	root = b.root("Root of " + b.s.Case.Name)
	b.trust(root)
	return root, b.sub(root, "Issuing CA of "+b.s.Case.Name, options...)
}

// usual serves a leaf of the usual hierarchy.
func usual(options ...option) func(*builder) {
	return func(b *builder) {
		_, sub := b.twoTier()
		b.serveTLS(chain(b.leaf(sub, options...), sub))
	}
}

// goodCases are to be trusted, whatever they look like.
func goodCases() []Case {
	return []Case{
		{Name: "good", About: "leaf and intermediate, root in the store", Sent: 2, Clients: everyone(true), build: usual()},
		{Name: "good-direct", About: "the root issued the leaf", Sent: 1, Clients: everyone(true), build: func(b *builder) {
			root := b.root("Root of good-direct")
			b.trust(root)
			b.serveTLS(chain(b.leaf(root)))
		}},
		{Name: "good-rsa", About: "RSA all the way", Sent: 2, Clients: everyone(true), build: func(b *builder) {
			root := b.root("RSA Root", rsaKey(2048))
			b.trust(root)
			sub := b.sub(root, "RSA Issuing CA", sameKey(root))
			b.serveTLS(chain(b.leaf(sub, rsaKey(2048)), sub))
		}},
		{Name: "good-tls12", About: "nothing newer than TLS 1.2", Sent: 2, Clients: everyone(true), build: func(b *builder) {
			_, sub := b.twoTier()
			b.serveTLS(chain(b.leaf(sub), sub), func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })
		}},
		{Name: "good-tls13", About: "nothing older than TLS 1.3", Sent: 2, Clients: everyone(true), build: func(b *builder) {
			_, sub := b.twoTier()
			b.serveTLS(chain(b.leaf(sub), sub), func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 })
		}},
		{Name: "good-retry", About: "the server asks for another key share", Sent: 2, Clients: everyone(true), build: func(b *builder) {
			_, sub := b.twoTier()
			b.serveTLS(chain(b.leaf(sub), sub), func(c *tls.Config) {
				c.MinVersion, c.CurvePreferences = tls.VersionTLS13, []tls.CurveID{tls.CurveP384}
			})
		}},
		{Name: "good-wildcard", About: "a wildcard that covers the name", Sent: 2, Clients: everyone(true),
			build: usual(dnsNames("*.certtrust.test"))},
		{Name: "good-ip", About: "asked for by address", Host: "127.0.0.1", Sent: 2, Clients: everyone(true), build: usual()},
		{Name: "good-idn", About: "an internationalised name", Host: "xn--bcher-kva.certtrust.test", Sent: 2, Clients: everyone(true), build: usual()},
		{Name: "good-extra-certs", About: "a certificate that nobody needs is sent", Sent: 3, Warn: codes("chain.extra_certs"), Clients: everyone(true), build: func(b *builder) {
			_, sub := b.twoTier()
			b.serveTLS(chain(b.leaf(sub), sub, b.root("Unrelated Root")))
		}},
		{Name: "good-extra-expired", About: "an expired certificate that nobody needs is sent", Sent: 3, Warn: codes("chain.extra_certs"), Clients: clients(true, "node", "openssl", "curl", "python", "gnutls", "java", "go"), build: func(b *builder) {
			_, sub := b.twoTier()
			b.serveTLS(chain(b.leaf(sub), sub, b.root("Expired Unrelated Root", valid(b.now.AddDate(-5, 0, 0), b.now.AddDate(-1, 0, 0)))))
		}},
		{Name: "good-root-included", About: "the root is sent, too", Sent: 3, Warn: codes("chain.root_included"), Clients: everyone(true), build: func(b *builder) {
			root, sub := b.twoTier()
			b.serveTLS(chain(b.leaf(sub), sub, root))
		}},
		{Name: "good-misordered", About: "the intermediates are sent the wrong way round", Sent: 3, Warn: codes("chain.misordered"), Clients: everyone(true), build: func(b *builder) {
			_, upper := b.twoTier()
			lower := b.sub(upper, "Lower CA")
			b.serveTLS(chain(b.leaf(lower), upper, lower))
		}},
		{Name: "good-duplicate", About: "the intermediate is sent twice", Sent: 3, Clients: clients(true, "node", "openssl", "curl", "python", "gnutls", "java", "go"), build: func(b *builder) {
			_, sub := b.twoTier()
			b.serveTLS(chain(b.leaf(sub), sub, sub))
		}},
		{Name: "good-long-chain", About: "six intermediates", Sent: 7, Clients: everyone(true), build: func(b *builder) {
			_, sub := b.twoTier()
			subs := []*cert{sub}
			for i := range 5 {
				sub = b.sub(sub, "Level "+string(rune('1'+i)))
				subs = slices.Insert(subs, 0, sub)
			}
			b.serveTLS(chain(b.leaf(sub), subs...))
		}},
		{Name: "ok-branching", About: "two cross-signed intermediates, the dead one first", Sent: 3, Warn: codes("chain.cross_sign_dead_end"),
			Clients: but(everyone(true), false, "openssl", "curl", "python", "node", "gnutls"), build: func(b *builder) {
				root, sub := b.twoTier()
				dead := b.sub(b.root("Forgotten Root"), sub.template.Subject.CommonName, sameKey(sub), subject(sub.template.Subject))
				_ = root
				b.serveTLS(chain(b.leaf(sub), dead, sub))
			}},
		{Name: "ok-branching-alive-first", About: "two cross-signed intermediates, the live one first", Sent: 3, Clients: everyone(true), build: func(b *builder) {
			_, sub := b.twoTier()
			dead := b.sub(b.root("Forgotten Root"), sub.template.Subject.CommonName, sameKey(sub), subject(sub.template.Subject))
			b.serveTLS(chain(b.leaf(sub), sub, dead))
		}},
		{Name: "good-new-root-old-cross", About: "a cross-signature of an expired root is sent, the new root is in the store", Sent: 3, Clients: everyone(true), build: func(b *builder) {
			root, sub := b.twoTier()
			old := b.root("Old External Root", valid(b.now.AddDate(-20, 0, 0), b.now.AddDate(0, -6, 0)))
			b.trust(old)
			cross := b.sub(old, root.template.Subject.CommonName, sameKey(root), subject(root.template.Subject),
				valid(b.now.AddDate(-8, 0, 0), b.now.AddDate(0, -6, 0)))
			b.serveTLS(chain(b.leaf(sub), sub, cross))
		}},
		{Name: "good-two-roots-one-name", About: "the store has an old copy of the root as well", Sent: 1, Clients: everyone(true), build: func(b *builder) {
			old := b.root("Company Root")
			root := b.root("Company Root")
			b.trust(old, root)
			b.serveTLS(chain(b.leaf(root)))
		}},
		{Name: "good-other-distrusted", About: "the store distrusts somebody else", Sent: 2, build: func(b *builder) {
			_, sub := b.twoTier()
			b.add(store.TrustFor(store.Distrusted, store.PurposeAny), b.root("Distrusted Root"))
			b.serveTLS(chain(b.leaf(sub), sub))
		}},
		{Name: "good-clock-lies", About: "the server's clock stands in 2020", Sent: 2, Clients: everyone(true), build: func(b *builder) {
			_, sub := b.twoTier()
			b.date(chain(b.leaf(sub), sub), time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))
		}},
		{Name: "good-leaf-named-like-proxy", About: "the leaf's own subject is that of an interception product", Sent: 2, Clients: everyone(true),
			build: usual(subject(pkix.Name{CommonName: "Zscaler Root CA", Organization: []string{"Zscaler Inc."}}))},
		{Name: "good-name-constraints", About: "the intermediate may issue for this name", Sent: 2, Clients: everyone(true), build: func(b *builder) {
			_, sub := b.twoTier(with(func(t *x509.Certificate) {
				t.PermittedDNSDomainsCritical, t.PermittedDNSDomains = true, []string{"certtrust.test"}
			}))
			b.serveTLS(chain(b.leaf(sub), sub))
		}},
		{Name: "good-many-names", About: "a certificate with 1,000 names", Hostile: true, Sent: 2, Clients: everyone(true), build: func(b *builder) {
			_, sub := b.twoTier()
			b.serveTLS(chain(b.leaf(sub, names(many(b.s.Case.Host, 1000)...)), sub))
		}},
		{Name: "good-client-cert-optional", About: "a client certificate is asked for, but not needed", Sent: 2, Clients: everyone(true), build: func(b *builder) {
			root, sub := b.twoTier()
			b.serveTLS(chain(b.leaf(sub), sub), clientCert(tls.RequestClientCert, root))
		}},
		{Name: "client-cert-required", About: "a client certificate is needed (TLS 1.3)", Sent: 2, Warn: codes("tls.client_cert_required"),
			Failure: codes("tls.client_cert_required"), build: func(b *builder) {
				root, sub := b.twoTier()
				b.serveTLS(chain(b.leaf(sub), sub), clientCert(tls.RequireAndVerifyClientCert, root))
			}},
		{Name: "client-cert-required-tls12", About: "a client certificate is needed (TLS 1.2)", Sent: 2, Warn: codes("tls.client_cert_required"),
			Failure: codes("tls.client_cert_required"), build: func(b *builder) {
				root, sub := b.twoTier()
				b.serveTLS(chain(b.leaf(sub), sub), clientCert(tls.RequireAndVerifyClientCert, root), func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })
			}},
		{Name: "good-leaf-pinned", About: "the store trusts the self-signed leaf as a peer", Sent: 1, Clients: clients(true, "node", "openssl", "curl", "python", "gnutls", "java", "go"), build: func(b *builder) {
			leaf := b.leaf(nil)
			b.add(store.TrustFor(store.Peer, store.PurposeServerAuth), leaf)
			b.serveTLS(chain(leaf))
		}},
		{Name: "leaf-as-anchor", About: "the self-signed leaf is installed as a root", Sent: 1, Warn: codes("trust.leaf_as_anchor"),
			Clients: but(everyone(true), false, "firefox"), build: func(b *builder) {
				leaf := b.leaf(nil)
				b.trust(leaf)
				b.serveTLS(chain(leaf))
			}},
		{Name: "intermediate-as-anchor", About: "the store has the intermediate, but not the root", Sent: 2, Clients: but(clients(true, "curl", "gnutls", "java", "go"), false, "node", "openssl", "python"), build: func(b *builder) {
			sub := b.sub(b.root("Absent Root"), "Installed Issuing CA")
			b.trust(sub)
			b.serveTLS(chain(b.leaf(sub), sub))
		}},
		{Name: "interception-trusted", About: "a company's proxy, whose root is installed", Sent: 1, Warn: codes("trust.interception"), Clients: everyone(true), build: func(b *builder) {
			root := b.root("Zscaler Root CA", subject(zscaler()))
			b.trust(root)
			b.serveTLS(chain(b.leaf(root)))
		}},
		{Name: "expiring-soon", About: "expires in three days", Sent: 2, Warn: codes("time.expiring_soon"), Clients: everyone(true), build: func(b *builder) {
			_, sub := b.twoTier()
			b.serveTLS(chain(b.leaf(sub, valid(b.now.AddDate(0, 0, -87), b.now.AddDate(0, 0, 3))), sub))
		}},
		{Name: "validity-too-long", About: "valid for five years", Sent: 2, Warn: codes("time.validity_too_long"), Clients: clients(true, "node", "openssl", "curl", "python", "gnutls", "java", "go"), build: func(b *builder) {
			_, sub := b.twoTier()
			b.serveTLS(chain(b.leaf(sub, valid(b.now.AddDate(0, 0, -30), b.now.AddDate(5, 0, 0))), sub))
		}},
		{Name: "good-static-rsa", About: "the only key exchange is the old one of RSA", Sent: 1, Clients: but(clients(true, "node", "openssl", "curl", "gnutls", "java"), false, "python", "go"), build: func(b *builder) {
			root := b.root("Root of good-static-rsa")
			b.trust(root)
			b.serveTLS(chain(b.leaf(root, rsaKey(2048), usage(x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment))), func(c *tls.Config) {
				c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
			})
		}},
		{Name: "good-drops-nameless", About: "who sends no name gets no certificate", Sent: 2, Clients: everyone(true), build: func(b *builder) {
			_, sub := b.twoTier()
			b.serveTLS(chain(b.leaf(sub), sub), func(c *tls.Config) {
				get := c.GetCertificate
				c.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
					if h.ServerName == "" {
						return nil, io.ErrUnexpectedEOF
					}
					return get(h)
				}
			})
		}},
		{Name: "good-nobody-speaks-http", About: "what is spoken over TLS is not HTTP", NoHTTP: true, Sent: 2, build: usual()},
		{Name: "good-through-proxy", About: "reached through a proxy", Proxy: true, Sent: 2, build: usual()},
	}
}

func zscaler() pkix.Name {
	return pkix.Name{Country: []string{"US"}, Organization: []string{"Zscaler Inc."}, OrganizationalUnit: []string{"Zscaler Inc."}, CommonName: "Zscaler Root CA"}
}

func clientCert(auth tls.ClientAuthType, ca *cert) func(*tls.Config) {
	return func(c *tls.Config) {
		c.ClientAuth, c.ClientCAs = auth, x509.NewCertPool()
		c.ClientCAs.AddCert(must(x509.ParseCertificate(ca.der)))
	}
}

func trustCases() []Case {
	untrusted := everyone(false)
	distrusted := store.TrustFor(store.Distrusted, store.PurposeAny)
	return []Case{
		{Name: "self-signed", About: "the leaf signs itself", Sent: 1, Want: codes("trust.self_signed_leaf"), Clients: untrusted, build: func(b *builder) {
			b.twoTier()
			b.serveTLS(chain(b.leaf(nil)))
		}},
		{Name: "self-signed-ca", About: "a root is used as the server's certificate", Sent: 1, Want: codes("trust.self_signed_leaf"), Accept: codes("trust.untrusted_root"), Clients: untrusted, build: func(b *builder) {
			b.twoTier()
			b.serveTLS(chain(b.leaf(nil, with(func(t *x509.Certificate) { t.IsCA, t.KeyUsage = true, t.KeyUsage|x509.KeyUsageCertSign }))))
		}},
		{Name: "self-signed-expired", About: "the leaf signs itself and is expired", Sent: 1, Want: codes("trust.self_signed_leaf", "time.leaf_expired"), Clients: untrusted, build: func(b *builder) {
			b.twoTier()
			b.serveTLS(chain(b.leaf(nil, expired(b))))
		}},
		{Name: "self-signed-wrong-name", About: "the leaf signs itself and is for another name", Sent: 1, Want: codes("trust.self_signed_leaf", "name.mismatch"), Clients: untrusted, build: func(b *builder) {
			b.twoTier()
			b.serveTLS(chain(b.leaf(nil, names("other.test"), cn("other.test"))))
		}},
		{Name: "self-signed-ip", About: "a device asked for by address, that signs itself for another name", Host: "127.0.0.1", Sent: 1,
			Want: codes("trust.self_signed_leaf", "name.ip_not_in_san"), Clients: untrusted, build: func(b *builder) {
				b.twoTier()
				b.serveTLS(chain(b.leaf(nil, names("printer.local"), cn("printer.local"))))
			}},
		{Name: "untrusted-root", About: "the root is sent, but not in the store", Sent: 3, Want: codes("trust.untrusted_root"), Clients: untrusted, build: func(b *builder) {
			b.twoTier()
			root := b.root("Private Root")
			sub := b.sub(root, "Private Issuing CA")
			b.serveTLS(chain(b.leaf(sub), sub, root))
		}},
		{Name: "untrusted-root-direct", About: "leaf and root are sent, the root is not in the store", Sent: 2, Want: codes("trust.untrusted_root"), Clients: untrusted, build: func(b *builder) {
			b.twoTier()
			root := b.root("Private Root")
			b.serveTLS(chain(b.leaf(root), root))
		}},
		{Name: "untrusted-root-aia", About: "the root can be fetched, but is not in the store", Sent: 2, Want: codes("trust.untrusted_root"), Clients: untrusted, build: func(b *builder) {
			b.twoTier()
			root := b.root("Private Root")
			sub := b.sub(root, "Private Issuing CA", aia(b.offer("/root.cer", root.der)))
			b.serveTLS(chain(b.leaf(sub), sub))
		}},
		{Name: "untrusted-root-expired-leaf", About: "the root is not in the store and the leaf is expired", Sent: 2, Want: codes("trust.untrusted_root", "time.leaf_expired"), Clients: untrusted, build: func(b *builder) {
			b.twoTier()
			root := b.root("Private Root")
			b.serveTLS(chain(b.leaf(root, expired(b)), root))
		}},
		{Name: "untrusted-root-wrong-name", About: "the root is not in the store and the name is another", Sent: 2, Want: codes("trust.untrusted_root", "name.mismatch"), Clients: untrusted, build: func(b *builder) {
			b.twoTier()
			root := b.root("Private Root")
			b.serveTLS(chain(b.leaf(root, names("other.test")), root))
		}},
		{Name: "everything-wrong", About: "unknown root, another name, expired", Sent: 2, Want: codes("trust.untrusted_root", "name.mismatch", "time.leaf_expired"), Clients: untrusted, build: func(b *builder) {
			b.twoTier()
			root := b.root("Private Root")
			b.serveTLS(chain(b.leaf(root, names("other.test"), expired(b)), root))
		}},
		{Name: "unknown-issuer", About: "the root is nowhere to be had", Sent: 2, Want: codes("trust.unknown_issuer"), Clients: untrusted, build: func(b *builder) {
			b.twoTier()
			sub := b.sub(b.root("Absent Root"), "Issuing CA of somebody")
			b.serveTLS(chain(b.leaf(sub), sub))
		}},
		{Name: "unknown-issuer-leaf-only", About: "the leaf alone, its issuer is nowhere to be had", Sent: 1, Want: codes("trust.unknown_issuer"), Accept: codes("chain.missing_intermediate"), Clients: untrusted, build: func(b *builder) {
			b.twoTier()
			b.serveTLS(chain(b.leaf(b.sub(b.root("Absent Root"), "Absent Issuing CA"))))
		}},
		{Name: "dev-ca", About: "mkcert on a machine where it was not installed", Sent: 1, Want: codes("trust.unknown_issuer"), Accept: codes("trust.untrusted_root"), Clients: untrusted, build: func(b *builder) {
			b.twoTier()
			root := b.root("", subject(pkix.Name{Organization: []string{"mkcert development CA"}, OrganizationalUnit: []string{"user@host (User)"}, CommonName: "mkcert user@host (User)"}))
			b.serveTLS(chain(b.leaf(root, subject(pkix.Name{Organization: []string{"mkcert development certificate"}, OrganizationalUnit: []string{"user@host (User)"}}))))
		}},
		{Name: "stale-root", About: "the store has an old copy of the root, with another key", Sent: 1, Want: codes("trust.same_name_other_key"), Clients: untrusted, build: func(b *builder) {
			b.trust(b.root("Company Root"))
			b.serveTLS(chain(b.leaf(b.root("Company Root"))))
		}},
		{Name: "stale-root-sub", About: "an old copy of the root, and an intermediate below the new one", Sent: 2, Want: codes("trust.same_name_other_key"), Clients: untrusted, build: func(b *builder) {
			b.trust(b.root("Company Root"))
			sub := b.sub(b.root("Company Root"), "Company Issuing CA")
			b.serveTLS(chain(b.leaf(sub), sub))
		}},
		{Name: "stale-root-sent", About: "an old copy of the root, and the new one is sent", Sent: 2, Want: codes("trust.same_name_other_key"), Accept: codes("trust.untrusted_root"), Clients: untrusted, build: func(b *builder) {
			b.trust(b.root("Company Root"))
			root := b.root("Company Root")
			b.serveTLS(chain(b.leaf(root), root))
		}},
		{Name: "interception", About: "a proxy signs again, and sends its root", Sent: 2, Want: codes("trust.interception"), Clients: untrusted, build: func(b *builder) {
			b.twoTier()
			root := b.root("", subject(zscaler()))
			b.serveTLS(chain(b.leaf(root), root))
		}},
		{Name: "interception-leaf-only", About: "a proxy signs again, and sends the leaf alone", Sent: 1, Want: codes("trust.interception"), Clients: untrusted, build: func(b *builder) {
			b.twoTier()
			b.serveTLS(chain(b.leaf(b.root("", subject(zscaler())))))
		}},
		{Name: "interception-intermediate", About: "a proxy's intermediate below its root", Sent: 2, Want: codes("trust.interception"), Clients: untrusted, build: func(b *builder) {
			b.twoTier()
			sub := b.sub(b.root("", subject(zscaler())), "", subject(pkix.Name{Organization: []string{"Zscaler Inc."}, CommonName: "Zscaler Intermediate Root CA (zscaler.net)"}))
			b.serveTLS(chain(b.leaf(sub), sub))
		}},
		{Name: "interception-antivirus", About: "an antivirus program signs again", Sent: 1, Want: codes("trust.interception"), Clients: untrusted, build: func(b *builder) {
			b.twoTier()
			b.serveTLS(chain(b.leaf(b.root("", subject(pkix.Name{Organization: []string{"Avast Software"}, CommonName: "avast! Web/Mail Shield Root", OrganizationalUnit: []string{"generated by avast! antivirus for SSL/TLS scanning"}})))))
		}},
		{Name: "distrusted-root", About: "the store distrusts the root", Sent: 2, Want: codes("trust.distrusted"), Clients: untrusted, build: func(b *builder) {
			b.twoTier()
			root := b.root("Distrusted Root")
			b.add(distrusted, root)
			sub := b.sub(root, "Issuing CA of a distrusted root")
			b.serveTLS(chain(b.leaf(sub), sub))
		}},
		{Name: "distrusted-intermediate", About: "the store trusts the root and distrusts the intermediate", Sent: 2, Want: codes("trust.distrusted"), build: func(b *builder) {
			_, sub := b.twoTier()
			b.add(distrusted, sub)
			b.serveTLS(chain(b.leaf(sub), sub))
		}},
		{Name: "distrusted-leaf", About: "the store distrusts the leaf", Sent: 2, Want: codes("trust.distrusted"), build: func(b *builder) {
			_, sub := b.twoTier()
			leaf := b.leaf(sub)
			b.add(distrusted, leaf)
			b.serveTLS(chain(leaf, sub))
		}},
		{Name: "distrust-after", About: "the store distrusts what the root issued since last year", Sent: 1, Want: codes("trust.distrust_after"), build: func(b *builder) {
			root := b.root("Root with a limit")
			b.add(store.Trust{{Purpose: store.PurposeServerAuth, Decision: store.Trusted, DistrustAfter: b.now.AddDate(-1, 0, 0)}}, root)
			b.serveTLS(chain(b.leaf(root)))
		}},
		{Name: "distrust-later", About: "the limit of the root lies after the leaf", Sent: 1, build: func(b *builder) {
			root := b.root("Root with a limit")
			b.add(store.Trust{{Purpose: store.PurposeServerAuth, Decision: store.Trusted, DistrustAfter: b.now.AddDate(0, 0, -1)}}, root)
			b.serveTLS(chain(b.leaf(root)))
		}},
		{Name: "present-not-trusted", About: "the root is in the store, without trust", Sent: 1, Want: codes("trust.present_not_trusted"), Clients: untrusted, build: func(b *builder) {
			b.twoTier()
			root := b.root("Root without trust")
			b.add(nil, root)
			b.serveTLS(chain(b.leaf(root)))
		}},
		{Name: "wrong-purpose", About: "the root is trusted for e-mail alone", Sent: 1, Want: codes("trust.wrong_purpose"), Clients: untrusted, build: func(b *builder) {
			b.twoTier()
			root := b.root("Root for e-mail")
			b.add(store.TrustFor(store.Trusted, store.PurposeEmail), root)
			b.serveTLS(chain(b.leaf(root)))
		}},
		{Name: "not-in-this-store", About: "only the second store trusts the root", Sent: 1, Want: codes("trust.not_in_this_store"), Accept: codes("trust.unknown_issuer", "trust.untrusted_root"), Clients: untrusted, build: func(b *builder) {
			b.twoTier()
			root := b.root("Root of the other store")
			b.addOther(store.TrustFor(store.Trusted, store.PurposeAny), root)
			b.serveTLS(chain(b.leaf(root)))
		}},
		{Name: "empty-store", About: "the store is empty", Sent: 2, Want: codes("store.empty"), Accept: codes("trust.untrusted_root", "trust.unknown_issuer"), Clients: untrusted, build: func(b *builder) {
			root := b.root("Root")
			b.serveTLS(chain(b.leaf(root), root))
		}},
	}
}

func expired(b *builder) option {
	return valid(b.now.AddDate(0, 0, -100), b.now.AddDate(0, 0, -10))
}

// withheld serves a leaf whose issuer is not sent, but may be had from where
// the options say.
func withheld(at func(b *builder, sub *cert) option) func(*builder) {
	return func(b *builder) {
		_, sub := b.twoTier()
		b.serveTLS(chain(b.leaf(sub, at(b, sub))))
	}
}

func chainCases() []Case {
	onlyChromium := func() map[string]bool { return but(everyone(false), true, "chromium") }
	missing := codes("chain.missing_intermediate")
	hostile := func(name, about string, at func(b *builder, sub *cert) option) Case {
		return Case{Name: "aia-" + name, About: "the intermediate is missing; its address " + about, Sent: 1, Hostile: true,
			Want: codes("trust.unknown_issuer"), Accept: missing, Warn: codes("chain.aia_unreachable"),
			Clients: everyone(false), build: withheld(at)}
	}
	hang := hostile("hang", "hangs", func(b *builder, _ *cert) option {
		return aia(b.serveHTTP("/hang.cer", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	})
	hang.Slow = true
	trickle := hostile("trickle", "answers byte by byte", func(b *builder, sub *cert) option {
		return aia(b.serveHTTP("/trickle.cer", func(w http.ResponseWriter, r *http.Request) {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-r.Context().Done():
					return
				case <-tick.C:
					_, _ = w.Write([]byte{0})
					_ = http.NewResponseController(w).Flush()
				}
			}
		}))
	})
	trickle.Slow = true
	return []Case{
		{Name: "missing-intermediate", About: "the intermediate is not sent, but can be fetched", Sent: 1, Want: missing, Clients: onlyChromium(),
			build: withheld(func(b *builder, sub *cert) option { return aia(b.offer("/sub.cer", sub.der)) })},
		{Name: "missing-intermediate-pem", About: "the intermediate can be fetched as PEM", Sent: 1, Want: missing, Clients: onlyChromium(),
			build: withheld(func(b *builder, sub *cert) option { return aia(b.offer("/sub.pem", sub.pem())) })},
		{Name: "missing-intermediate-pkcs7", About: "the intermediate can be fetched as PKCS #7", Sent: 1, Want: missing, Clients: onlyChromium(),
			build: withheld(func(b *builder, sub *cert) option { return aia(b.offer("/sub.p7c", pkcs7(sub))) })},
		{Name: "missing-intermediate-second-url", About: "the second address has the intermediate", Sent: 1, Want: missing,
			Clients: clients(false, "node", "openssl", "curl", "python", "gnutls", "java", "go"), build: withheld(func(b *builder, sub *cert) option {
				return aia(b.serveHTTP("/gone.cer", http.NotFound), b.offer("/sub.cer", sub.der))
			})},
		{Name: "missing-intermediate-redirect", About: "the address of the intermediate leads on", Sent: 1, Want: missing, Clients: onlyChromium(),
			build: withheld(func(b *builder, sub *cert) option {
				to := b.offer("/sub.cer", sub.der)
				return aia(b.serveHTTP("/moved.cer", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }))
			})},
		{Name: "missing-intermediate-two-hops", About: "two intermediates are to be fetched", Sent: 1, Want: missing, Clients: onlyChromium(), build: func(b *builder) {
			_, upper := b.twoTier()
			lower := b.sub(upper, "Lower CA", aia(b.offer("/upper.cer", upper.der)))
			b.serveTLS(chain(b.leaf(lower, aia(b.offer("/lower.cer", lower.der)))))
		}},
		{Name: "missing-upper-intermediate", About: "the upper one of two intermediates is to be fetched", Sent: 2, Want: missing, Clients: onlyChromium(), build: func(b *builder) {
			_, upper := b.twoTier()
			lower := b.sub(upper, "Lower CA", aia(b.offer("/upper.cer", upper.der)))
			b.serveTLS(chain(b.leaf(lower), lower))
		}},
		{Name: "missing-intermediate-no-aia", About: "the intermediate is not sent, and nobody says where it is", Sent: 1, Want: codes("trust.unknown_issuer"), Accept: missing, Clients: everyone(false),
			build: withheld(func(*builder, *cert) option { return aia() })},
		{Name: "missing-intermediate-expired-leaf", About: "the intermediate is not sent and the leaf is expired", Sent: 1,
			Want: codes("chain.missing_intermediate", "time.leaf_expired"), Clients: everyone(false), build: func(b *builder) {
				_, sub := b.twoTier()
				b.serveTLS(chain(b.leaf(sub, expired(b), aia(b.offer("/sub.cer", sub.der)))))
			}},
		{Name: "missing-intermediate-wrong-name", About: "the intermediate is not sent and the name is another", Sent: 1,
			Want: codes("chain.missing_intermediate", "name.mismatch"), Clients: everyone(false), build: func(b *builder) {
				_, sub := b.twoTier()
				b.serveTLS(chain(b.leaf(sub, names("other.test"), aia(b.offer("/sub.cer", sub.der)))))
			}},
		{Name: "missing-intermediate-root-sent", About: "the root is sent in place of the intermediate", Sent: 2, Want: missing, Clients: onlyChromium(), build: func(b *builder) {
			root, sub := b.twoTier()
			b.serveTLS(chain(b.leaf(sub, aia(b.offer("/sub.cer", sub.der))), root))
		}},
		{Name: "wrong-intermediate", About: "an intermediate of the right name with another key is sent", Sent: 2, Want: codes("chain.wrong_intermediate"), Clients: everyone(false), build: func(b *builder) {
			root, sub := b.twoTier()
			b.serveTLS(chain(b.leaf(sub), b.sub(root, sub.template.Subject.CommonName, subject(sub.template.Subject))))
		}},
		{Name: "wrong-intermediate-aia", About: "the wrong intermediate is sent, the right one can be fetched", Sent: 2, Want: codes("chain.wrong_intermediate"), Clients: onlyChromium(), build: func(b *builder) {
			root, sub := b.twoTier()
			b.serveTLS(chain(b.leaf(sub, aia(b.offer("/sub.cer", sub.der))), b.sub(root, sub.template.Subject.CommonName, subject(sub.template.Subject))))
		}},
		{Name: "unrelated-intermediate", About: "an intermediate of somebody else is sent, the right one can be fetched", Sent: 2,
			Want: missing, Accept: codes("chain.wrong_intermediate"), Clients: onlyChromium(), build: func(b *builder) {
				root, sub := b.twoTier()
				b.serveTLS(chain(b.leaf(sub, aia(b.offer("/sub.cer", sub.der))), b.sub(root, "Another Issuing CA")))
			}},
		{Name: "cross-sign-dead-end", About: "the only intermediate that is sent leads to a forgotten root; the other can be fetched", Sent: 2,
			Want: missing, Accept: codes("chain.cross_sign_dead_end", "trust.unknown_issuer", "chain.wrong_intermediate"), Clients: onlyChromium(), build: func(b *builder) {
				_, sub := b.twoTier()
				dead := b.sub(b.root("Forgotten Root"), sub.template.Subject.CommonName, sameKey(sub), subject(sub.template.Subject))
				b.serveTLS(chain(b.leaf(sub, aia(b.offer("/sub.cer", sub.der))), dead))
			}},
		hostile("404", "is gone", func(b *builder, _ *cert) option { return aia(b.serveHTTP("/gone.cer", http.NotFound)) }),
		hostile("garbage", "has something else", func(b *builder, _ *cert) option {
			return aia(b.offer("/garbage.cer", []byte("<html>no certificate</html>")))
		}),
		hostile("empty", "has nothing", func(b *builder, _ *cert) option { return aia(b.offer("/empty.cer", nil)) }),
		hostile("huge", "never ends", func(b *builder, sub *cert) option {
			return aia(b.serveHTTP("/huge.cer", func(w http.ResponseWriter, r *http.Request) {
				block := make([]byte, 1<<16)
				copy(block, sub.der)
				for range 1 << 10 {
					if _, err := w.Write(block); err != nil {
						return
					}
				}
			}))
		}),
		hang, trickle,
		hostile("refused", "is a closed port", func(b *builder, _ *cert) option { return aia("http://" + b.free() + "/sub.cer") }),
		hostile("redirect-loop", "leads to itself", func(b *builder, _ *cert) option {
			return aia(b.serveHTTP("/loop.cer", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop.cer", http.StatusFound) }))
		}),
		hostile("redirects", "leads on and on", func(b *builder, _ *cert) option {
			return aia(b.serveHTTP("/on/", func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
			}))
		}),
		hostile("metadata", "leads to a cloud's metadata", func(b *builder, _ *cert) option {
			return aia(b.serveHTTP("/meta.cer", func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
			}))
		}),
		hostile("schemes", "is none of HTTP", func(b *builder, _ *cert) option {
			return aia("file:///etc/passwd", "ldap://127.0.0.1/cn=x", "https://127.0.0.1/x", "gopher://127.0.0.1/", "http:///x", "://")
		}),
		hostile("endless", "has another one that needs yet another", func(b *builder, _ *cert) option {
			// Each fetch gives an authority that the next one issued.
			return aia(b.endless(func(n string) string { return n + "x" }))
		}),
		hostile("circle", "has one that leads back to it", func(b *builder, _ *cert) option {
			return aia(b.endless(func(n string) string {
				if n == "x" {
					return "xx"
				}
				return "x"
			}))
		}),
		hostile("many", "is one of a hundred", func(b *builder, _ *cert) option {
			first := b.serveHTTP("/many/", http.NotFound)
			var urls []string
			for i := range 100 {
				urls = append(urls, first+string(rune('a'+i%26))+strings.Repeat("x", i/26))
			}
			return aia(urls...)
		}),
	}
}

// endless is the address of a certificate with the address of its issuer, which
// follows from its own name; none of them issued anything here.
func (b *builder) endless(next func(string) string) string {
	key := withKey(b.root("key").key)
	base := b.serveHTTP("/endless/", func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/endless/")
		var lock builder // make counts
		lock.s, lock.now = b.s, b.now
		issuer := lock.root("Endless "+next(name), key)
		c := lock.sub(issuer, "Endless "+name, key, aia(b.web+"/endless/"+next(name)))
		_, _ = w.Write(c.der)
	})
	return base + "x"
}

func timeCases() []Case {
	long := func(b *builder) []option { return []option{valid(b.now.AddDate(-20, 0, 0), b.now.AddDate(20, 0, 0))} }
	return []Case{
		{Name: "expired", About: "the leaf is expired", Sent: 2, Want: codes("time.leaf_expired"), Clients: everyone(false), build: func(b *builder) {
			_, sub := b.twoTier()
			b.serveTLS(chain(b.leaf(sub, expired(b)), sub))
		}},
		{Name: "expired-today", About: "the leaf expired an hour ago", Sent: 2, Want: codes("time.leaf_expired"), Clients: everyone(false), build: func(b *builder) {
			_, sub := b.twoTier()
			b.serveTLS(chain(b.leaf(sub, valid(b.now.AddDate(0, 0, -90), b.now.Add(-time.Hour))), sub))
		}},
		{Name: "not-yet-valid", About: "the leaf is not yet valid", Sent: 2, Want: codes("time.not_yet_valid"), Clients: everyone(false), build: func(b *builder) {
			_, sub := b.twoTier()
			b.serveTLS(chain(b.leaf(sub, valid(b.now.AddDate(0, 0, 5), b.now.AddDate(0, 0, 95))), sub))
		}},
		{Name: "intermediate-expired", About: "the intermediate is expired", Sent: 2, Want: codes("time.intermediate_expired"), Clients: everyone(false), build: func(b *builder) {
			_, sub := b.twoTier(expired(b))
			b.serveTLS(chain(b.leaf(sub), sub))
		}},
		{Name: "intermediate-expired-aia", About: "an expired intermediate is sent, a new one of the same key can be fetched", Sent: 2, Want: codes("time.intermediate_expired"),
			Accept: codes("chain.missing_intermediate"), Clients: but(everyone(false), true, "chromium"), build: func(b *builder) {
				root, old := b.twoTier(expired(b))
				sub := b.sub(root, "", sameKey(old), subject(old.template.Subject))
				b.serveTLS(chain(b.leaf(sub, aia(b.offer("/sub.cer", sub.der))), old))
			}},
		{Name: "root-expired", About: "the root in the store is expired", Sent: 2, Want: codes("time.root_expired"), Clients: but(everyone(false), true, "java"), build: func(b *builder) {
			root := b.root("Expired Root", expired(b))
			b.trust(root)
			sub := b.sub(root, "Issuing CA of an expired root")
			b.serveTLS(chain(b.leaf(sub), sub))
		}},
		{Name: "expired-wrong-name", About: "the leaf is expired and for another name", Sent: 2, Want: codes("name.mismatch", "time.leaf_expired"), Clients: everyone(false), build: func(b *builder) {
			_, sub := b.twoTier()
			b.serveTLS(chain(b.leaf(sub, expired(b), names("other.test")), sub))
		}},
		{Name: "expired-leaf-and-intermediate", About: "the leaf and the intermediate are expired", Sent: 2, Want: codes("time.leaf_expired", "time.intermediate_expired"),
			Accept: codes("time.intermediate_expired"), Clients: everyone(false), build: func(b *builder) {
				_, sub := b.twoTier(expired(b))
				b.serveTLS(chain(b.leaf(sub, expired(b)), sub))
			}},
		{Name: "expired-server-clock-lies", About: "the leaf is expired, and the server's clock stands in 2020, when it was valid", Sent: 2, Want: codes("time.leaf_expired"), Clients: everyone(false), build: func(b *builder) {
			root := b.root("Old Root", long(b)...)
			b.trust(root)
			sub := b.sub(root, "Old Issuing CA", long(b)...)
			b.date(chain(b.leaf(sub, valid(time.Date(2019, 12, 1, 0, 0, 0, 0, time.UTC), time.Date(2020, 3, 1, 0, 0, 0, 0, time.UTC))), sub), time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))
		}},
		{Name: "clock-behind", About: "this machine's clock is 400 days behind", Now: -400 * day, Sent: 2, Want: codes("time.clock_wrong"), build: func(b *builder) {
			root := b.root("Root", long(b)...)
			b.trust(root)
			sub := b.sub(root, "Issuing CA", long(b)...)
			b.serveTLS(chain(b.leaf(sub), sub))
		}},
		{Name: "clock-ahead", About: "this machine's clock is 400 days ahead", Now: 400 * day, Sent: 2, Want: codes("time.clock_wrong"), Accept: codes("time.leaf_expired"), build: func(b *builder) {
			root := b.root("Root", long(b)...)
			b.trust(root)
			sub := b.sub(root, "Issuing CA", long(b)...)
			b.serveTLS(chain(b.leaf(sub, ocsp()), sub))
		}},
		{Name: "clock-behind-wrong-name", About: "the clock is behind, and the name is another", Now: -400 * day, Sent: 2, Want: codes("name.mismatch"), Accept: codes("time.clock_wrong"), build: func(b *builder) {
			root := b.root("Root", long(b)...)
			b.trust(root)
			b.serveTLS(chain(b.leaf(root, names("other.test")), b.sub(root, "Unused CA")))
		}},
		{Name: "clock-ahead-still-valid", About: "the clock is ten days ahead, which does no harm", Now: 10 * day, Sent: 2, build: usual()},
	}
}

func nameCases() []Case {
	leafFor := func(hosts ...string) func(*builder) { return usual(names(hosts...), cn("leaf")) }
	browsersAndGo := func() map[string]bool { return but(everyone(true), false, "chromium", "firefox", "go") }
	standIn := func(name, about string, n pkix.Name, sans ...string) Case {
		return Case{Name: "default-" + name, About: "the default certificate of " + about, Sent: 1,
			Want: codes("trust.self_signed_leaf", "name.default_certificate"), Accept: codes("name.default_certificate", "name.mismatch", "trust.unknown_issuer"),
			Clients: everyone(false), build: func(b *builder) {
				b.twoTier()
				b.serveTLS(chain(b.leaf(nil, subject(n), dnsNames(sans...))))
			}}
	}
	return []Case{
		{Name: "wrong-name", About: "the certificate is for another name", Sent: 2, Want: codes("name.mismatch"), Clients: everyone(false), build: leafFor("other.test", "www.other.test")},
		{Name: "www-missing", About: "www is asked for, the certificate is for the domain", Host: "www.shop.certtrust.test", Sent: 2, Want: codes("name.www_missing"), Accept: codes("name.mismatch"), Clients: everyone(false), build: leafFor("shop.certtrust.test")},
		{Name: "apex-missing", About: "the domain is asked for, the certificate is for www", Host: "shop.certtrust.test", Sent: 2, Want: codes("name.apex_missing"), Accept: codes("name.mismatch"), Clients: everyone(false), build: leafFor("www.shop.certtrust.test")},
		{Name: "apex-missing-wildcard", About: "the domain is asked for, the certificate is for what is below", Host: "shop.certtrust.test", Sent: 2, Want: codes("name.apex_missing"), Accept: codes("name.mismatch", "name.wildcard_depth"), Clients: everyone(false), build: leafFor("*.shop.certtrust.test")},
		{Name: "wildcard-depth", About: "a wildcard covers one label only", Host: "a.b.shop.certtrust.test", Sent: 2, Want: codes("name.wildcard_depth"), Accept: codes("name.mismatch"), Clients: everyone(false), build: leafFor("*.shop.certtrust.test", "shop.certtrust.test")},
		{Name: "ip-not-in-san", About: "asked for by address, the certificate has only a name", Host: "127.0.0.1", Sent: 2, Want: codes("name.ip_not_in_san"), Accept: codes("name.mismatch"), Clients: everyone(false), build: leafFor("device.certtrust.test")},
		{Name: "ip-in-dns-san", About: "the address stands among the DNS names", Host: "127.0.0.1", Sent: 2, Want: codes("name.ip_in_dns_san"), Accept: codes("name.mismatch", "name.ip_not_in_san"),
			Clients: clients(false, "node", "openssl", "curl", "python", "gnutls", "java", "go"), build: usual(dnsNames("127.0.0.1"), cn("127.0.0.1"))},
		{Name: "cn-only", About: "the name stands in the common name alone", Sent: 2, Want: codes("name.cn_only"), Accept: codes("name.mismatch"), Clients: browsersAndGo(), build: usual(dnsNames())},
		{Name: "no-names", About: "the certificate has no name at all", Sent: 2, Want: codes("name.mismatch"), Clients: everyone(false),
			build: usual(dnsNames(), subject(pkix.Name{Organization: []string{"Nameless"}}))},
		{Name: "email-only", About: "the certificate has an e-mail address for a name", Sent: 2, Want: codes("name.mismatch"), Clients: everyone(false),
			build: usual(dnsNames(), cn("Somebody"), with(func(t *x509.Certificate) { t.EmailAddresses = []string{"a@certtrust.test"} }))},
		{Name: "wrong-name-many", About: "the certificate has 1,000 other names", Hostile: true, Sent: 2, Want: codes("name.mismatch"), Clients: everyone(false), build: func(b *builder) {
			_, sub := b.twoTier()
			b.serveTLS(chain(b.leaf(sub, names(many("other.test", 1000)...), cn("other.test")), sub))
		}},
		standIn("kubernetes", "a Kubernetes ingress", pkix.Name{Organization: []string{"Acme Co"}, CommonName: "Kubernetes Ingress Controller Fake Certificate"}, "ingress.local"),
		standIn("traefik", "Traefik", pkix.Name{CommonName: "TRAEFIK DEFAULT CERT"}, "0123456789abcdef0123456789abcdef.fedcba9876543210fedcba9876543210.traefik.default"),
		standIn("plesk", "Plesk", pkix.Name{Organization: []string{"Plesk"}, CommonName: "Plesk"}),
		standIn("localhost", "a system's installer", pkix.Name{Organization: []string{"SomeOrganization"}, CommonName: "localhost.localdomain"}, "localhost.localdomain"),
		{Name: "vhost-ignores-name", About: "whoever sends a name gets the certificate of another site", Sent: 2, Want: codes("name.mismatch"), Accept: codes("name.default_certificate"), Clients: everyone(false), build: func(b *builder) {
			_, sub := b.twoTier()
			right := chain(b.leaf(sub), sub)
			b.serveTLS(chain(b.leaf(sub, names("other.test")), sub), func(c *tls.Config) {
				get := c.GetCertificate
				c.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
					if h.ServerName == "" {
						return &right, nil
					}
					return get(h)
				}
			})
		}},
	}
}

func certCases() []Case {
	rejected := everyone(false)
	return []Case{
		{Name: "weak-rsa-1024", About: "the leaf has an RSA key of 1024 bits", Sent: 1, Verdict: diagnose.Untrusted, Verdicts: []diagnose.Verdict{diagnose.Trusted}, Warn: codes("cert.weak_key"),
			Clients: but(everyone(true), false, "openssl", "curl", "python"), build: func(b *builder) {
				root := b.root("Root of weak-rsa-1024")
				b.trust(root)
				b.serveTLS(chain(b.leaf(root, rsaKey(1024))))
			}},
		{Name: "weak-intermediate", About: "the intermediate has an RSA key of 1024 bits", Sent: 2, Verdict: diagnose.Untrusted, Verdicts: []diagnose.Verdict{diagnose.Trusted}, Warn: codes("cert.weak_key"), Clients: but(clients(true, "node", "gnutls", "java", "go"), false, "openssl", "curl", "python"), build: func(b *builder) {
			_, sub := b.twoTier(rsaKey(1024))
			b.serveTLS(chain(b.leaf(sub), sub))
		}},
		{Name: "sha1-leaf", About: "the leaf is signed with SHA-1", Sent: 2, Want: codes("cert.weak_signature"), Clients: but(everyone(false), true, "java"), build: usual(signedSHA1())},
		{Name: "sha1-intermediate", About: "the intermediate is signed with SHA-1", Sent: 2, Want: codes("cert.weak_signature"), Clients: but(clients(true, "java"), false, "node", "openssl", "curl", "python", "gnutls", "go"), build: func(b *builder) {
			_, sub := b.twoTier(signedSHA1())
			b.serveTLS(chain(b.leaf(sub), sub))
		}},
		{Name: "good-sha1-root", About: "the root signs itself with SHA-1, which means nothing", Sent: 1, Clients: everyone(true), build: func(b *builder) {
			root := b.root("Root of good-sha1-root", signedSHA1())
			b.trust(root)
			b.serveTLS(chain(b.leaf(root)))
		}},
		{Name: "eku-client-only", About: "the leaf is for clients", Sent: 2, Want: codes("cert.eku"), Clients: rejected, build: usual(eku(x509.ExtKeyUsageClientAuth))},
		{Name: "eku-intermediate", About: "the intermediate is for e-mail", Sent: 2, Want: codes("cert.eku"), Clients: but(everyone(false), true, "java"), build: func(b *builder) {
			_, sub := b.twoTier(eku(x509.ExtKeyUsageEmailProtection))
			b.serveTLS(chain(b.leaf(sub), sub))
		}},
		{Name: "good-no-eku", About: "the leaf does not say what it is for", Sent: 2, Clients: clients(true, "node", "openssl", "curl", "python", "gnutls", "java", "go"), build: usual(eku())},
		{Name: "key-usage-intermediate", About: "the intermediate may not sign certificates", Sent: 2, Want: codes("cert.key_usage"), Accept: codes("cert.not_a_ca"), Clients: clients(false, "node", "openssl", "curl", "python", "gnutls", "java", "go"), build: func(b *builder) {
			_, sub := b.twoTier(usage(x509.KeyUsageDigitalSignature))
			b.serveTLS(chain(b.leaf(sub), sub))
		}},
		{Name: "not-a-ca", About: "the intermediate is no authority", Sent: 2, Want: codes("cert.not_a_ca"), Clients: rejected, build: func(b *builder) {
			_, sub := b.twoTier(notCA(), usage(x509.KeyUsageDigitalSignature))
			b.serveTLS(chain(b.leaf(sub), sub))
		}},
		{Name: "leaf-issues-leaf", About: "a server's certificate issued another", Sent: 3, Want: codes("cert.not_a_ca"), Clients: rejected, build: func(b *builder) {
			_, sub := b.twoTier()
			first := b.leaf(sub, names("evil.test"), cn("evil.test"))
			b.serveTLS(chain(b.leaf(first), first, sub))
		}},
		{Name: "v1-intermediate", About: "the intermediate is a certificate of version 1", Sent: 2, Want: codes("cert.not_a_ca"), Clients: rejected, build: func(b *builder) {
			_, sub := b.twoTier(version1())
			b.serveTLS(chain(b.leaf(sub), sub))
		}},
		{Name: "path-length", About: "the upper intermediate allows none below it", Sent: 3, Want: codes("cert.path_length"), Clients: rejected, build: func(b *builder) {
			_, upper := b.twoTier(pathLength(0))
			lower := b.sub(upper, "One too many")
			b.serveTLS(chain(b.leaf(lower), lower, upper))
		}},
		{Name: "name-constraints", About: "the intermediate may issue for another domain only", Sent: 2, Want: codes("cert.name_constraints"), Clients: rejected, build: func(b *builder) {
			_, sub := b.twoTier(with(func(t *x509.Certificate) {
				t.PermittedDNSDomainsCritical, t.PermittedDNSDomains = true, []string{"example.org"}
			}))
			b.serveTLS(chain(b.leaf(sub), sub))
		}},
		{Name: "name-constraints-excluded", About: "the intermediate may not issue for this domain", Sent: 2, Want: codes("cert.name_constraints"), Clients: rejected, build: func(b *builder) {
			_, sub := b.twoTier(with(func(t *x509.Certificate) {
				t.PermittedDNSDomainsCritical, t.ExcludedDNSDomains = true, []string{"certtrust.test"}
			}))
			b.serveTLS(chain(b.leaf(sub), sub))
		}},
		{Name: "name-constraints-root", About: "the root may issue for another domain only", Sent: 1, Want: codes("cert.name_constraints"), Clients: but(everyone(false), true, "java"), build: func(b *builder) {
			root := b.root("Constrained Root", with(func(t *x509.Certificate) {
				t.PermittedDNSDomainsCritical, t.PermittedDNSDomains = true, []string{"example.org"}
			}))
			b.trust(root)
			b.serveTLS(chain(b.leaf(root)))
		}},
		{Name: "critical-extension", About: "the leaf has a critical extension that nobody knows", Sent: 2, Want: codes("cert.critical_extension"), Clients: rejected,
			build: usual(extension(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, true, []byte{5, 0}))},
		{Name: "critical-extension-intermediate", About: "the intermediate has a critical extension that nobody knows", Sent: 2, Want: codes("cert.critical_extension"), Clients: rejected, build: func(b *builder) {
			_, sub := b.twoTier(extension(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, true, []byte{5, 0}))
			b.serveTLS(chain(b.leaf(sub), sub))
		}},
		{Name: "ca-as-leaf", About: "the server's certificate is an authority's", Sent: 2, Warn: codes("cert.ca_as_leaf"), Clients: clients(true, "node", "openssl", "curl", "python", "gnutls", "java", "go"), build: usual(with(func(t *x509.Certificate) { t.IsCA, t.KeyUsage = true, t.KeyUsage|x509.KeyUsageCertSign }))},
		{Name: "bad-signature", About: "the leaf was altered after it was signed", Sent: 2, Want: codes("chain.wrong_intermediate"), Accept: codes("cert.malformed", "trust.same_name_other_key", "trust.unknown_issuer"), Clients: rejected, build: func(b *builder) {
			_, sub := b.twoTier()
			b.serveTLS(chain(b.leaf(sub).spoilt(), sub))
		}},
		{Name: "negative-serial", About: "the leaf's serial number is negative", Sent: 2, Verdict: diagnose.Untrusted, Verdicts: []diagnose.Verdict{diagnose.Trusted}, Warn: codes("cert.malformed"), Clients: but(clients(true, "node", "openssl", "curl", "python", "gnutls", "java"), false, "go"), build: usual(serial(-4711))},
		{Name: "negative-serial-tls12", About: "the leaf's serial number is negative, TLS 1.2", Sent: 2, Verdict: diagnose.Untrusted, Verdicts: []diagnose.Verdict{diagnose.Trusted}, Warn: codes("cert.malformed"), Clients: but(clients(true, "node", "openssl", "curl", "python", "gnutls", "java"), false, "go"), build: func(b *builder) {
			_, sub := b.twoTier()
			b.serveTLS(chain(b.leaf(sub, serial(-4711)), sub), func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })
		}},
		{Name: "malformed-leaf", About: "the leaf is no certificate", Hostile: true, Sent: 2, Want: codes("cert.malformed"), Clients: rejected, build: func(b *builder) {
			_, sub := b.twoTier()
			c := chain(b.leaf(sub), sub)
			c.Certificate[0] = []byte("\x30\x82\x01\x00 this is not a certificate")
			b.serveTLS(c)
		}},
		{Name: "malformed-extra", About: "one of the certificates is none", Hostile: true, Sent: 3, Want: codes("cert.malformed"), Clients: clients(false, "node", "openssl", "curl", "python", "gnutls", "java", "go"), build: func(b *builder) {
			_, sub := b.twoTier()
			c := chain(b.leaf(sub), sub)
			c.Certificate = append(c.Certificate, []byte("garbage"))
			b.serveTLS(c)
		}},
	}
}

func revocationCases() []Case {
	stapled := func(make func(b *builder, root, leaf *cert) []byte, options ...option) func(*builder) {
		return func(b *builder) {
			root := b.root("Root of " + b.s.Case.Name)
			b.trust(root)
			leaf := b.leaf(root, options...)
			c := chain(leaf)
			c.OCSPStaple = make(b, root, leaf)
			b.serveTLS(c)
		}
	}
	fetched := func(answer func(b *builder, root *cert, leaf **cert, w http.ResponseWriter, r *http.Request)) func(*builder) {
		return func(b *builder) {
			root := b.root("Root of " + b.s.Case.Name)
			b.trust(root)
			var leaf *cert
			url := b.serveHTTP("/ocsp", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/ocsp-response")
				answer(b, root, &leaf, w, r)
			})
			leaf = b.leaf(root, ocsp(url))
			b.serveTLS(chain(leaf))
		}
	}
	fresh := func(b *builder) (time.Time, time.Time) { return b.now.Add(-time.Hour), b.now.AddDate(0, 0, 7) }
	onlyFirefox := func() map[string]bool { return but(everyone(true), false, "firefox") }
	hang := Case{Name: "ocsp-hangs", About: "the OCSP responder hangs", Slow: true, Hostile: true, Sent: 1, Warn: codes("revocation.unavailable"), Clients: everyone(true),
		build: fetched(func(_ *builder, _ *cert, _ **cert, _ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		})}
	return []Case{
		{Name: "good-stapled", About: "a staple that says good", Sent: 1, Clients: everyone(true), build: stapled(func(b *builder, root, leaf *cert) []byte {
			from, to := fresh(b)
			return ocspResponse(root, root, leaf, good, from, to)
		})},
		{Name: "revoked-stapled", About: "a staple that says revoked", Sent: 1, Want: codes("revocation.revoked"),
			Clients: but(everyone(true), false, "chromium", "firefox", "gnutls"), build: stapled(func(b *builder, root, leaf *cert) []byte {
				from, to := fresh(b)
				return ocspResponse(root, root, leaf, revoked, from, to)
			})},
		{Name: "staple-expired", About: "a staple of last month", Sent: 1, Warn: codes("revocation.staple_invalid"), Verdicts: []diagnose.Verdict{diagnose.Untrusted},
			Clients: but(everyone(true), false, "firefox", "gnutls"), build: stapled(func(b *builder, root, leaf *cert) []byte {
				return ocspResponse(root, root, leaf, good, b.now.AddDate(0, -1, 0), b.now.AddDate(0, 0, -20))
			})},
		{Name: "staple-forged", About: "a staple that says revoked and is signed by nobody who may", Sent: 1, Warn: codes("revocation.staple_invalid"), Verdicts: []diagnose.Verdict{diagnose.Untrusted}, Clients: but(clients(true, "node", "openssl", "curl", "python", "java", "go"), false, "gnutls"), build: stapled(func(b *builder, root, leaf *cert) []byte {
			from, to := fresh(b)
			return ocspResponse(root, b.root("Forger"), leaf, revoked, from, to)
		})},
		{Name: "good-stapled-delegated", About: "a staple of a responder that the authority has named", Sent: 1, Clients: everyone(true), build: stapled(func(b *builder, root, leaf *cert) []byte {
			from, to := fresh(b)
			return ocspResponse(root, b.responder(root, x509.ExtKeyUsageOCSPSigning), leaf, good, from, to)
		})},
		{Name: "revoked-stapled-delegated", About: "a staple that says revoked, of a responder that the authority has named", Sent: 1, Want: codes("revocation.revoked"),
			Clients: but(everyone(true), false, "chromium", "firefox", "gnutls"), build: stapled(func(b *builder, root, leaf *cert) []byte {
				from, to := fresh(b)
				return ocspResponse(root, b.responder(root, x509.ExtKeyUsageOCSPSigning), leaf, revoked, from, to)
			})},
		{Name: "staple-by-sibling", About: "a staple that says revoked, signed by another server of the same authority", Hostile: true, Sent: 1, Warn: codes("revocation.staple_invalid"), Verdicts: []diagnose.Verdict{diagnose.Untrusted}, build: stapled(func(b *builder, root, leaf *cert) []byte {
			from, to := fresh(b)
			return ocspResponse(root, b.responder(root, x509.ExtKeyUsageServerAuth), leaf, revoked, from, to)
		})},
		{Name: "staple-of-other", About: "a staple for another certificate, that says revoked", Sent: 1, Warn: codes("revocation.staple_invalid"), Verdicts: []diagnose.Verdict{diagnose.Untrusted}, build: stapled(func(b *builder, root, _ *cert) []byte {
			from, to := fresh(b)
			return ocspResponse(root, root, b.leaf(root), revoked, from, to)
		})},
		{Name: "staple-garbage", About: "a staple that is none", Hostile: true, Sent: 1, Warn: codes("revocation.staple_invalid"), Verdicts: []diagnose.Verdict{diagnose.Untrusted},
			Clients: but(clients(true, "node", "openssl", "curl", "python", "go"), false, "gnutls", "java"), build: stapled(func(*builder, *cert, *cert) []byte { return []byte("garbage") })},
		{Name: "must-staple-missing", About: "the certificate asks for a staple, and there is none", Sent: 1, Warn: codes("revocation.must_staple_missing"), Verdicts: []diagnose.Verdict{diagnose.Untrusted},
			Clients: but(everyone(true), false, "firefox", "gnutls"), build: stapled(func(*builder, *cert, *cert) []byte { return nil }, mustStaple())},
		{Name: "good-must-staple", About: "the certificate asks for a staple, and there is one", Sent: 1, Clients: everyone(true), build: stapled(func(b *builder, root, leaf *cert) []byte {
			from, to := fresh(b)
			return ocspResponse(root, root, leaf, good, from, to)
		}, mustStaple())},
		{Name: "good-ocsp", About: "an OCSP responder that says good", Sent: 1, Clients: everyone(true), build: fetched(func(b *builder, root *cert, leaf **cert, w http.ResponseWriter, _ *http.Request) {
			from, to := fresh(b)
			_, _ = w.Write(ocspResponse(root, root, *leaf, good, from, to))
		})},
		{Name: "revoked-ocsp", About: "an OCSP responder that says revoked", Sent: 1, Want: codes("revocation.revoked"), Clients: onlyFirefox(), build: fetched(func(b *builder, root *cert, leaf **cert, w http.ResponseWriter, _ *http.Request) {
			from, to := fresh(b)
			_, _ = w.Write(ocspResponse(root, root, *leaf, revoked, from, to))
		})},
		{Name: "revoked-expired", About: "revoked, says OCSP, and expired", Sent: 1, Want: codes("revocation.revoked", "time.leaf_expired"), Clients: everyone(false), build: func(b *builder) {
			root := b.root("Root of revoked-expired")
			b.trust(root)
			leaf := b.leaf(root, expired(b))
			c := chain(leaf)
			from, to := fresh(b)
			c.OCSPStaple = ocspResponse(root, root, leaf, revoked, from, to)
			b.serveTLS(c)
		}},
		{Name: "ocsp-forged", About: "an OCSP answer that says revoked and is signed by nobody who may", Hostile: true, Sent: 1, Warn: codes("revocation.unavailable"), Clients: everyone(true), build: fetched(func(b *builder, root *cert, leaf **cert, w http.ResponseWriter, _ *http.Request) {
			from, to := fresh(b)
			_, _ = w.Write(ocspResponse(root, (&builder{s: b.s, now: b.now}).root("Forger"), *leaf, revoked, from, to))
		})},
		{Name: "ocsp-unavailable", About: "the OCSP responder fails", Sent: 1, Warn: codes("revocation.unavailable"), Clients: everyone(true), build: fetched(func(_ *builder, _ *cert, _ **cert, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
		})},
		hang,
		{Name: "good-crl", About: "a revocation list with somebody else on it", Sent: 1, Clients: everyone(true), build: func(b *builder) {
			root := b.root("Root of good-crl")
			b.trust(root)
			from, to := fresh(b)
			b.serveTLS(chain(b.leaf(root, crl(b.offer("/list.crl", b.crlOf(root, from, to, b.leaf(root)))))))
		}},
		{Name: "revoked-crl", About: "the leaf is on the revocation list", Sent: 1, Want: codes("revocation.revoked"), Clients: everyone(true), build: func(b *builder) {
			root := b.root("Root of revoked-crl")
			b.trust(root)
			var list []byte
			url := b.serveHTTP("/list.crl", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(list) })
			leaf := b.leaf(root, crl(url))
			from, to := fresh(b)
			list = b.crlOf(root, from, to, leaf)
			b.serveTLS(chain(leaf))
		}},
		{Name: "revoked-intermediate", About: "the intermediate is on the root's revocation list", Sent: 2, Want: codes("revocation.revoked"), build: func(b *builder) {
			root := b.root("Root of revoked-intermediate")
			b.trust(root)
			var list []byte
			url := b.serveHTTP("/list.crl", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(list) })
			sub := b.sub(root, "Revoked Issuing CA", crl(url))
			from, to := fresh(b)
			list = b.crlOf(root, from, to, sub)
			b.serveTLS(chain(b.leaf(sub), sub))
		}},
	}
}

func connectionCases() []Case {
	failed := func(name, about string, failure []string, handle func(net.Conn)) Case {
		return Case{Name: name, About: about, Failure: failure, Verdict: diagnose.HandshakeFailed, Verdicts: []diagnose.Verdict{diagnose.NotTLS, diagnose.Unreachable},
			Want: failure[:1], Accept: failure[1:], Clients: everyone(false),
			build: func(b *builder) {
				b.twoTier()
				b.handle = handle
			}}
	}
	hostile := func(c Case) Case { c.Hostile = true; return c }
	slow := func(c Case) Case { c.Slow, c.Hostile = true, true; return c }
	notTLS := func(c Case) Case {
		c.Verdict, c.Verdicts = diagnose.NotTLS, nil
		return c
	}
	alerted := func(name, about string, code byte, want ...string) Case {
		return failed("alert-"+name, "answers with the alert "+about, want, afterHello(alert(code)...))
	}
	limited := func(name, about string, sent int, want []string, verdicts []diagnose.Verdict, key option, change func(*tls.Config)) Case {
		refused := clients(false, "openssl", "curl", "python", "node", "java", "go")
		return Case{Name: name, About: about, Sent: sent, Want: want, Verdict: diagnose.HandshakeFailed, Verdicts: verdicts, Clients: refused, build: func(b *builder) {
			root := b.root("Root of " + name)
			b.trust(root)
			b.serveTLS(chain(b.leaf(root, key, usage(x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment))), change)
		}}
	}
	eitherWay := []diagnose.Verdict{diagnose.Trusted, diagnose.Untrusted}
	closed := codes("tls.closed", "net.reset")
	portal := func(c Case) Case {
		c.Verdict, c.Verdicts = diagnose.NotTLS, []diagnose.Verdict{diagnose.Unreachable}
		return c
	}
	hello12 := serverHello(tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)

	refused := failed("refused", "nobody listens", codes("net.refused"), nil)
	refused.Verdict, refused.Verdicts = diagnose.Unreachable, nil
	nothere := Case{Name: "no-such-name", About: "the name does not exist", Host: "no-such-name.invalid", Failure: codes("net.dns"), Verdict: diagnose.Unreachable,
		Want: codes("net.dns"), Clients: everyone(false), build: func(b *builder) { b.s.Target.Connect = "" }}
	proxied := func(name, about string, address func(*builder) string) Case {
		return Case{Name: name, About: about, Failure: codes("net.proxy"), Proxy: true, Verdict: diagnose.Unreachable, Want: codes("net.proxy"), build: func(b *builder) {
			_, sub := b.twoTier()
			b.serveTLS(chain(b.leaf(sub), sub))
			b.s.Sent = nil
			b.s.Target.Proxy = address(b)
		}}
	}
	return []Case{
		limited("tls10-only", "nothing newer than TLS 1.0", 1, codes("tls.protocol_version"), eitherWay, rsaKey(2048), func(c *tls.Config) { c.MaxVersion = tls.VersionTLS10 }),
		limited("tls11-only", "nothing newer than TLS 1.1", 1, codes("tls.protocol_version"), eitherWay, rsaKey(2048), func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 }),
		limited("rc4-only", "RC4 is the only cipher", 1, codes("tls.no_shared_cipher"), eitherWay, rsaKey(2048), func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_RC4_128_SHA}
		}),
		limited("3des-only", "3DES is the only cipher", 1, codes("tls.no_shared_cipher"), eitherWay, rsaKey(2048), func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}
		}),
		{Name: "dhe-only", About: "the only key exchange is that of finite fields", Sent: 1, Failure: codes("tls.no_shared_cipher"), Verdict: diagnose.HandshakeFailed,
			Want: codes("tls.no_shared_cipher"), build: func(b *builder) {
				root := b.root("Root of dhe-only")
				b.trust(root)
				leaf := b.leaf(root, rsaKey(2048))
				b.s.Sent = [][]byte{leaf.der}
				b.handle = choosy(tls.VersionTLS12, 0x009e, leaf.der)
			}},
		{Name: "sslv3-only", About: "nothing newer than SSL 3.0", Sent: 1, Failure: codes("tls.protocol_version"), Verdict: diagnose.HandshakeFailed,
			Want: codes("tls.protocol_version"), Clients: everyone(false), build: func(b *builder) {
				root := b.root("Root of sslv3-only")
				b.trust(root)
				leaf := b.leaf(root, rsaKey(2048))
				b.s.Sent = [][]byte{leaf.der}
				b.handle = choosy(0x0300, 0x0035, leaf.der)
			}},
		{Name: "key-mismatch", About: "the server's key is not that of its certificate", Sent: 1, Failure: codes("tls.alert"), Verdict: diagnose.HandshakeFailed, Verdicts: eitherWay,
			Want: codes("tls.alert"), Clients: everyone(false), build: func(b *builder) {
				root := b.root("Root of key-mismatch")
				b.trust(root)
				c := chain(b.leaf(root))
				c.PrivateKey = b.leaf(root).key
				b.serveTLS(c)
			}},
		alerted("handshake-failure", "handshake_failure", 40, "tls.no_shared_cipher"),
		alerted("insufficient-security", "insufficient_security", 71, "tls.no_shared_cipher"),
		alerted("protocol-version", "protocol_version", 70, "tls.protocol_version"),
		alerted("unrecognized-name", "unrecognized_name", 112, "tls.unrecognized_name"),
		alerted("internal-error", "internal_error", 80, "tls.alert"),
		alerted("unknown-ca", "unknown_ca", 48, "tls.client_cert_rejected"),
		alerted("access-denied", "access_denied", 49, "tls.alert"),
		alerted("no-application-protocol", "no_application_protocol", 120, "tls.alert"),
		{Name: "unknown-name-refused", About: "only who sends another name, or none, is served", Failure: codes("tls.unrecognized_name"), Verdict: diagnose.HandshakeFailed,
			Want: codes("tls.unrecognized_name"), Clients: everyone(false), build: func(b *builder) {
				_, sub := b.twoTier()
				b.serveTLS(chain(b.leaf(sub, names("other.test")), sub), func(c *tls.Config) {
					c.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
						if h.ServerName != "" {
							return &tls.Config{MinVersion: tls.VersionTLS12}, nil // without a certificate: unrecognized_name
						}
						return nil, nil
					}
				})
				b.s.Sent = nil
			}},
		notTLS(failed("plain-http", "HTTP without TLS", codes("tls.plain_http"), plainHTTP("200 OK", ""))),
		notTLS(failed("plain-http-redirect", "HTTP without TLS, that leads to HTTPS", codes("tls.plain_http"), plainHTTP("301 Moved Permanently", "https://plain-http-redirect.certtrust.test/"))),
		portal(failed("portal-redirect", "a captive portal: HTTP that leads elsewhere", codes("net.captive_portal", "tls.plain_http"), plainHTTP("302 Found", "http://login.portal.test/welcome"))),
		portal(failed("portal-511", "a captive portal that says so", codes("net.captive_portal", "tls.plain_http"), plainHTTP("511 Network Authentication Required", ""))),
		notTLS(failed("ssh", "SSH", codes("tls.not_tls"), says("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"))),
		notTLS(failed("smtp-banner", "SMTP that was not upgraded", codes("tls.starttls", "tls.not_tls"), says("220 mail.test ESMTP Postfix\r\n"))),
		notTLS(failed("imap-banner", "IMAP that was not upgraded", codes("tls.starttls", "tls.not_tls"), says("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n"))),
		notTLS(failed("pop3-banner", "POP3 that was not upgraded", codes("tls.starttls", "tls.not_tls"), says("+OK ready\r\n"))),
		notTLS(failed("mysql-banner", "MySQL that was not upgraded", codes("tls.starttls", "tls.not_tls"), says("\x4a\x00\x00\x00\x0a8.0.0-test\x00\x01\x00\x00\x00saltsalt\x00\x00\x8a!\x02\x00\xff\x81\x15"))),
		hostile(notTLS(failed("garbage", "sends garbage", codes("tls.not_tls"), says(strings.Repeat("\xde\xad\xbe\xef", 1000))))),
		hostile(notTLS(failed("banner-endless", "a banner of 5 MB", codes("tls.not_tls", "tls.starttls"), says("SSH-"+strings.Repeat("x", 5<<20))))),
		slow(failed("silent", "accepts, and says nothing", codes("tls.handshake_timeout"), silent)),
		slow(failed("drip", "sends a byte ten times a second", codes("tls.handshake_timeout"), drip)),
		hostile(failed("close-on-accept", "closes at once", closed, func(net.Conn) {})),
		hostile(failed("close-after-hello", "closes after the ClientHello", closed, afterHello())),
		hostile(failed("close-in-record", "closes in the middle of a record", closed, afterHello(record(hello12)[:20]...))),
		hostile(failed("close-after-server-hello", "closes after its ServerHello", closed, afterHello(record(hello12)...))),
		hostile(failed("garbage-after-server-hello", "sends garbage after its ServerHello", codes("tls.alert", "tls.not_tls"), afterHello(append(record(hello12), "garbage garbage"...)...))),
		hostile(failed("plain-alert-garbage", "sends an alert of the wrong length", codes("tls.alert", "tls.not_tls", "tls.closed"), afterHello(21, 3, 3, 0, 1, 2))),
		{Name: "close-after-certificate", About: "closes after its certificates", Hostile: true, Failure: closed, Sent: 2, Verdict: diagnose.HandshakeFailed, Verdicts: eitherWay,
			Want: closed[:1], Accept: closed[1:], Clients: clients(false, "node", "openssl", "curl", "python", "java", "go"), build: func(b *builder) {
				_, sub := b.twoTier()
				leaf := b.leaf(sub)
				b.s.Sent = [][]byte{leaf.der, sub.der}
				b.handle = afterHello(record(append(slices.Clone(hello12), certificates(leaf.der, sub.der)...))...)
			}},
		{Name: "reset-after-hello", About: "resets the connection", Hostile: true, Failure: codes("net.reset", "tls.closed"), Verdict: diagnose.Unreachable, Verdicts: []diagnose.Verdict{diagnose.HandshakeFailed},
			Want: codes("net.reset"), Accept: codes("tls.closed"), Clients: everyone(false), build: func(b *builder) {
				b.twoTier()
				b.handle = func(conn net.Conn) {
					_, _ = hello(conn)
					if t, ok := conn.(*net.TCPConn); ok {
						_ = t.SetLinger(0)
					}
				}
			}},
		{Name: "chain-5mb", About: "sends 5 MB of certificates", Hostile: true, Sent: -1, Failure: codes("tls.alert", "tls.not_tls", "tls.closed"), Verdict: diagnose.HandshakeFailed,
			Verdicts: []diagnose.Verdict{diagnose.NotTLS}, Want: codes("tls.alert"), Accept: codes("tls.not_tls", "tls.closed"), Clients: everyone(false), build: func(b *builder) {
				_, sub := b.twoTier()
				leaf := b.leaf(sub)
				all := [][]byte{leaf.der}
				for size := 0; size < 5<<20; size += len(sub.der) {
					all = append(all, sub.der)
				}
				b.handle = afterHello(record(append(slices.Clone(hello12), certificates(all...)...))...)
			}},
		{Name: "chain-200kb", About: "sends 200 KB of certificates", Hostile: true, Sent: -1, Warn: codes("chain.extra_certs"), Clients: but(clients(true, "go"), false, "node", "openssl", "curl", "python", "gnutls", "java"), build: func(b *builder) {
			_, sub := b.twoTier()
			all := chain(b.leaf(sub), sub)
			for size := 0; size < 200<<10; size += len(sub.der) {
				all.Certificate = append(all.Certificate, sub.der)
			}
			b.serveTLS(all)
		}},
		refused, nothere,
		proxied("proxy-denies", "the proxy does not let it through", func(b *builder) string { return b.listen(refusingProxy("403 Forbidden")) }),
		proxied("proxy-asks", "the proxy wants a password", func(b *builder) string {
			return b.listen(refusingProxy("407 Proxy Authentication Required\r\nProxy-Authenticate: Basic"))
		}),
		proxied("proxy-gone", "there is no proxy", func(b *builder) string { return b.free() }),
		proxied("proxy-not-http", "the proxy is none", func(b *builder) string { return b.listen(says("SSH-2.0-x\r\n")) }),
	}
}

// choosy is a server of an old version that finishes no handshake: it gives its
// certificate to who offers the suite, and an alert to everybody else.
func choosy(version, suite uint16, der []byte) func(net.Conn) {
	return func(conn net.Conn) {
		in, err := hello(conn)
		if err != nil {
			return
		}
		if !offers(in, suite) {
			_, _ = conn.Write(alert(40))
			drain(conn)
			return
		}
		out := record(slices.Concat(serverHello(version, suite), certificates(der), message(14, nil)))
		for i := 0; i < len(out); { // the version of the records
			out[i+1], out[i+2] = byte(version>>8), byte(version)
			i += 5 + int(out[i+3])<<8 + int(out[i+4])
		}
		_, _ = conn.Write(out)
		drain(conn)
	}
}

// offers tells whether a ClientHello has a suite.
func offers(hello []byte, suite uint16) bool {
	if len(hello) < 39 || len(hello) < 41+int(hello[38]) {
		return false
	}
	rest := hello[39+int(hello[38]):]
	n := int(rest[0])<<8 | int(rest[1])
	rest = rest[2:]
	for i := 0; i+1 < min(n, len(rest)); i += 2 {
		if uint16(rest[i])<<8|uint16(rest[i+1]) == suite {
			return true
		}
	}
	return false
}

func startTLSCases() []Case {
	var all []Case
	for _, protocol := range []string{"smtp", "lmtp", "imap", "pop3", "ftp", "xmpp", "xmpp-server", "ldap", "postgres", "mysql", "nntp", "sieve"} {
		all = append(all, Case{Name: "starttls-" + protocol, About: protocol + " that is upgraded", StartTLS: protocol, Sent: 2, build: usual()})
		if protocol == "mysql" {
			continue // it cannot refuse
		}
		all = append(all, Case{Name: "starttls-" + protocol + "-refused", About: protocol + " that will not be upgraded", StartTLS: protocol, Failure: codes("tls.starttls"),
			Want: codes("tls.starttls"), Verdict: diagnose.HandshakeFailed, Verdicts: []diagnose.Verdict{diagnose.NotTLS}, build: func(b *builder) {
				b.twoTier()
				refuse := map[string]string{"imap": "%s NO not here\r\n", "pop3": "-ERR not here\r\n", "nntp": "580 not here\r\n", "sieve": "NO \"not here\"\r\n",
					"xmpp": "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>", "xmpp-server": "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>"}[protocol]
				if refuse == "" {
					refuse = "454 not here\r\n"
				}
				b.handle = func(conn net.Conn) {
					_ = conn.SetDeadline(time.Now().Add(patience))
					_ = upgrade(protocol, conn, refuse)
				}
			}})
	}
	for _, c := range []struct {
		name, about string
		slow        bool
		failure     []string
		handle      func(net.Conn)
	}{
		{"silent", "says nothing", true, codes("tls.starttls", "tls.handshake_timeout"), silent},
		{"closes", "closes at once", false, codes("tls.starttls", "tls.closed", "net.reset"), func(net.Conn) {}},
		{"banner-endless", "has a banner without an end", false, codes("tls.starttls"), says("220-" + strings.Repeat("x", 5<<20))},
		{"lines-endless", "has a banner of too many lines", false, codes("tls.starttls"), says(strings.Repeat("220-x\r\n", 1<<18))},
		{"garbage", "sends garbage", false, codes("tls.starttls"), says(strings.Repeat("\x00\xff\r\n", 100))},
		{"busy", "has no time", false, codes("tls.starttls"), says("421 too busy\r\n")},
		{"expects-tls", "speaks TLS from the start", true, codes("tls.starttls", "tls.handshake_timeout"), func(conn net.Conn) { _, _ = hello(conn); silent(conn) }},
	} {
		all = append(all, Case{Name: "starttls-" + c.name, About: "SMTP that " + c.about, StartTLS: "smtp", Slow: c.slow, Hostile: true, Failure: c.failure,
			Want: c.failure[:1], Accept: c.failure[1:], Verdict: diagnose.HandshakeFailed, Verdicts: []diagnose.Verdict{diagnose.NotTLS, diagnose.Unreachable},
			build: func(b *builder) {
				b.twoTier()
				b.handle = c.handle
			}})
	}
	return append(all, Case{Name: "starttls-smtp-expired", About: "SMTP with an expired leaf", StartTLS: "smtp", Sent: 2, Want: codes("time.leaf_expired"), build: func(b *builder) {
		_, sub := b.twoTier()
		b.serveTLS(chain(b.leaf(sub, expired(b)), sub))
	}})
}
