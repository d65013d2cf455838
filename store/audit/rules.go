package audit

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/diagnose"
)

// Rule is a row of the table: what is looked for, and how much it matters.
type Rule struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity" jsonschema:"the highest that a finding of the rule can have, unless the grades say more"`
	// Grades tells when it is another severity.
	Grades string `json:"grades,omitempty"`
	Title  string `json:"title"`
	Why    string `json:"why"`

	References []string `json:"references,omitempty"`

	find func(m *machine, found func(Finding))
}

// Rules returns the table.
func Rules() []Rule { return slices.Clone(rules) }

// RuleOf returns the rule of a finding.
func RuleOf(id string) Rule {
	for _, r := range rules {
		if r.ID == id {
			return r
		}
	}
	return Rule{ID: id, Severity: Low, Title: id}
}

const (
	rfc5280 = "https://www.rfc-editor.org/rfc/rfc5280"
	mozilla = "https://www.mozilla.org/about/governance/policies/security-group/certs/policy/"
)

// rules is the table. A function finds what it says; all that is common to
// findings is done by Run.
var rules = []Rule{
	{ID: "known.bad_root", Severity: Critical, Title: "an authority that nobody should trust",
		Why:        "Its private key is public, or it has issued certificates for servers of others: whoever has the key can pose as any server.",
		References: []string{"https://chromium.googlesource.com/chromium/src/+/HEAD/net/data/ssl/blocklist/README.md"}, find: trusted(badRoot)},
	{ID: "known.interception", Severity: High, Grades: "medium where it is limited to some names", Title: "an authority of a product that opens encrypted connections",
		Why: "Everything that is sent can be read and changed on the way. That may be wanted, by whoever owns the machine; then accept it.", find: trusted(interception)},
	{ID: "known.dev_ca", Severity: Medium, Grades: "high if its private key lies on a machine of several people", Title: "an authority that a development tool has made",
		Why: "Whoever reads the file with its key can pose as any server to this machine. It should be on no machine but the developer's.", find: trusted(devCA)},

	{ID: "prog.removed", Severity: High, Grades: "low if the system's vendor ships it", Title: "Mozilla has removed it from its programme",
		Why: "Roots are removed for misconduct, or because they are given up. An old package still has them; somebody else must not.", References: []string{mozilla}, find: trusted(removedFromProgramme)},
	{ID: "prog.distrust_after", Severity: Medium, Grades: "low if the system's vendor ships it", Title: "the programme no longer trusts what it issues",
		Why: "It is on its way out of the programme: certificates issued after a date are refused by browsers, though not by programs that know no such date.", References: []string{mozilla}, find: trusted(distrustAfter)},
	{ID: "prog.not_in_any", Severity: Medium, Grades: "low in a user's own store", Title: "a root that is in no programme",
		Why: "Somebody added it. It can vouch for every server, and no programme watches over it.", find: trusted(inNoProgramme)},
	{ID: "prog.missing", Severity: Info, Title: "the store lacks roots of the programme",
		Why: "Servers whose certificates come from them are refused. The system's package of roots is older than the programme's data, or somebody took them out.", find: programmeMissing},

	{ID: "cert.not_ca", Severity: High, Grades: "low if only this certificate itself is trusted", Title: "it is not a certificate authority",
		Why: "A server's own certificate among the roots: some programs let it vouch for others, some refuse it, and it will not be renewed.", References: []string{rfc5280 + "#section-4.2.1.9"}, find: trusted(notCA)},
	{ID: "cert.weak_key", Severity: High, Grades: "medium if the system's vendor ships it", Title: "its key can be broken",
		Why: "RSA keys of less than 2048 bits, EC keys of less than 224 and DSA keys do not protect any more.", References: []string{"https://csrc.nist.gov/pubs/sp/800/57/pt1/r5/final"}, find: trusted(weakKey)},
	{ID: "cert.weak_signature", Severity: Medium, Title: "its signature is by a broken algorithm",
		Why: "Only of certificates that another one has signed: nobody verifies the signature of a root.", find: trusted(weakSignature)},
	{ID: "cert.not_self_signed", Severity: Low, Title: "an intermediate is trusted like a root",
		Why: "It goes on being trusted when its root is distrusted or it is revoked, and several programs want the root all the same.", find: trusted(notSelfSigned)},
	{ID: "cert.no_keycertsign", Severity: Medium, Grades: "low if the system's vendor ships it", Title: "its key usage does not allow to sign certificates",
		Why: "Most programs refuse what it issued.", References: []string{rfc5280 + "#section-4.2.1.3"}, find: trusted(noKeyCertSign)},
	{ID: "cert.v1", Severity: Low, Title: "a certificate of version 1",
		Why: "It cannot say that it is an authority, or limit itself; strict programs refuse it.", find: trusted(version1)},
	{ID: "cert.negative_serial", Severity: Low, Title: "its serial number is negative",
		Why: "Go and others refuse it.", References: []string{rfc5280 + "#section-4.1.2.2"}, find: trusted(negativeSerial)},
	{ID: "cert.unparsable", Severity: Low, Title: "strict programs cannot read it",
		Why: "Programs disagree about what it says.", find: trusted(unparsable)},
	{ID: "cert.expired", Severity: Low, Title: "it has expired",
		Why: "Most programs refuse it, but not all: Java and rustls do not look at the dates of a root.", find: trusted(expired)},
	{ID: "cert.expiring", Severity: Info, Title: "it expires within 90 days", Why: "Its successor should be in place by then.", find: trusted(expiring)},
	{ID: "cert.long_validity", Severity: Info, Title: "it is valid for more than 30 years",
		Why: "A key that is kept for so long outlives its algorithm, and whoever made it. Only of what no vendor ships.", find: trusted(longValidity)},
	{ID: "cert.name_unconstrained", Severity: Info, Title: "a local authority that is not limited to names",
		Why: "With name constraints its key could only be misused for names of one's own.", References: []string{rfc5280 + "#section-4.2.1.10"}, find: trusted(nameUnconstrained)},

	{ID: "store.world_writable", Severity: Critical, Title: "everybody may write to what is trusted from",
		Why: "Every user and every program of the machine can make itself trusted.", find: worldWritable},
	{ID: "store.not_root_owned", Severity: High, Title: "what is trusted from belongs to somebody else",
		Why: "Its owner can add roots for everybody.", find: notRootOwned},
	{ID: "store.private_key_present", Severity: Critical, Title: "the private key of an authority lies here",
		Why: "Whoever reads it can pose as any server to all that trust the authority.", find: privateKey},
	{ID: "store.ghost_trust", Severity: Medium, Title: "trust for a certificate that is not there",
		Why: "A browser still honours it when a server sends the certificate, and no list shows it.", find: problemRule("store.ghost_trust")},
	{ID: "store.trust_conflict", Severity: Medium, Title: "two settings of one store contradict each other",
		Why: "Programs take the certificate for different things.", find: trustConflict},
	{ID: "store.trust_unsigned", Severity: Medium, Grades: "high if what vouches for it is wrong", Title: "nothing vouches for what it is trusted for",
		Why: "Programs do not heed it; somebody without the rights may have written it.", find: problemRule("store.trust_unsigned")},
	{ID: "store.orphan_settings", Severity: Low, Title: "settings without what they are about", Why: "Left behind by another program.", find: problemRule("store.orphan_settings")},
	{ID: "store.ineffective", Severity: Medium, Grades: "high if it keeps the store from being updated, low or info if few programs are concerned", Title: "it does not do what it is there for",
		Why: "Some programs do not see it, so that they and others disagree about what is trusted.", find: problemRule("store.ineffective")},
	{ID: "store.same_subject_different_key", Severity: Medium, Grades: "info if a vendor ships both", Title: "two roots of the same name with different keys",
		Why: "Programs that look for an issuer by its name may take the wrong one, and refuse what the other one issued.", find: sameSubject},
	{ID: "store.duplicate", Severity: Info, Title: "a store holds it more than once", Why: "It has to be taken out as often.", find: duplicate},
	{ID: "store.problem", Severity: Low, Title: "the store tells of a problem", Why: "It is told in the store's own words.", find: problemRule("store.problem")},

	{ID: "drift.package_modified", Severity: High, Grades: "medium if it is missing", Title: "a file of a package was changed",
		Why: "Somebody changed what the vendor ships, where nobody looks for it.", find: packageModified},
	{ID: "drift.anchor_not_in_bundle", Severity: Medium, Title: "an anchor that was not built in", Why: "Programs do not trust it before the next update, and then all of a sudden.", find: problemRule("drift.anchor_not_in_bundle")},
	{ID: "drift.bundle_only", Severity: Medium, Title: "it is in the bundle and comes from nowhere", Why: "Somebody wrote to the generated file. The next update drops it.", find: problemRule("drift.bundle_only")},
	{ID: "drift.not_up_to_date", Severity: Medium, Grades: "low if nothing more is trusted than should be", Title: "what is generated is not up to date", Why: "Programs that read the generated files trust something else than the store says.", find: problemRule("drift.not_up_to_date")},
	{ID: "drift.stray_file", Severity: Medium, Title: "a file that only some programs trust", Why: "Those that read the whole directory, such as Go's, trust what is in it.", find: problemRule("drift.stray_file")},
	{ID: "drift.stale_temp", Severity: Medium, Grades: "low if no program heeds it", Title: "an interrupted change left it behind", Why: "The next update may take it for its own.", find: problemRule("drift.stale_temp")},
	{ID: "drift.dangling_link", Severity: Low, Title: "a link that leads nowhere", Why: "What it led to is gone without the store's knowledge.", find: problemRule("drift.dangling_link")},

	{ID: "diverge.missing_in_store", Severity: Info, Title: "what was added to the system is not in another store", Why: "Programs that use the other store refuse its servers.", find: missingInStore},
	{ID: "diverge.distrusted", Severity: Medium, Grades: "low if a vendor ships it", Title: "one store distrusts what another one trusts", Why: "Somebody decided against it, and not all programs know.", find: distrustedElsewhere},

	{ID: "policy.env_override", Severity: Medium, Grades: "low if it only adds roots", Title: "a setting makes programs trust other roots",
		Why: "What the stores hold does not count for them.", find: overrides(false)},
	{ID: "policy.verification_off", Severity: High, Grades: "medium if it is for one server", Title: "a setting keeps a program from verifying servers",
		Why: "Anybody in between can read and change what it sends and gets.", find: overrides(true)},
	{ID: "policy.autoupdate_disabled", Severity: Medium, Title: "the system's roots are not updated",
		Why: "New roots do not arrive, and what is distrusted stays trusted.", References: []string{"https://learn.microsoft.com/windows-server/identity/ad-cs/configure-trusted-roots-disallowed-certificates"}, find: autoUpdate},
	{ID: "policy.purpose_any", Severity: Medium, Title: "an added root may vouch for programs too",
		Why: "It was added for servers, most likely; the store could tell, but trusts it to sign programs as well.", find: trusted(purposeAny)},
}

// trusted makes a rule of a function that looks at each certificate that is
// trusted. It returns nil if there is nothing to tell.
func trusted(check func(m *machine, s *Store, e *store.Entry) *Finding) func(m *machine, found func(Finding)) {
	return func(m *machine, found func(Finding)) {
		for _, s := range m.stores {
			for i := range s.Entries {
				e := &s.Entries[i]
				if e.Cert == nil || !trusts(e) || m.repeated(s, e) {
					continue
				}
				f := check(m, s, e)
				if f == nil {
					continue
				}
				base := about(s, e)
				base.Title, base.Severity, base.Evidence, base.Fixes = f.Title, f.Severity, append(f.Evidence, whence(e)...), f.Fixes
				if base.Fixes == nil {
					base.Fixes = withdraw(s, e)
				}
				found(base)
			}
		}
	}
}

// say makes what a check returns.
func say(severity Severity, title string, evidence ...string) *Finding {
	return &Finding{Severity: severity, Title: title, Evidence: evidence}
}

// graded is severity for what is local, and another one for what a vendor ships.
func graded(m *machine, e *store.Entry, local, shipped Severity) Severity {
	if m.local(e) {
		return local
	}
	return shipped
}

func badRoot(_ *machine, _ *Store, e *store.Entry) *Finding {
	bad := diagnose.KnownBad(e.Cert)
	if bad == "" {
		return nil
	}
	return say("", name(e.Cert)+" is known to be bad: "+store.Printable(bad), "known by its fingerprint or its key")
}

func interception(m *machine, _ *Store, e *store.Entry) *Finding {
	product, kind := diagnose.Intercepts(e.Cert.Subject)
	if product == "" || !m.local(e) {
		return nil
	}
	severity := High
	if constrained(e) {
		severity = Medium
	}
	return say(severity, fmt.Sprintf("%s is an authority of %s, which opens encrypted connections", name(e.Cert), product), "its name is that of a product of the sort "+kind)
}

// constrained reports whether it is limited to names, by itself or by the store.
func constrained(e *store.Entry) bool {
	if e.Cert.Extension("2.5.29.30") != nil {
		return true
	}
	return slices.ContainsFunc(e.Trust, func(r store.Rule) bool { return len(r.Hosts) > 0 })
}

func devCA(m *machine, _ *Store, e *store.Entry) *Finding {
	tool := store.KnownTool(e.Cert)
	if tool == "" {
		return nil
	}
	f := say(Medium, fmt.Sprintf("%s was made by %s, for development", name(e.Cert), tool))
	for _, k := range m.keysOf(e.Cert) {
		f.Evidence = append(f.Evidence, "its private key lies in "+store.Printable(k.Path))
		if m.facts.People > 1 {
			f.Severity = High
			f.Evidence = append(f.Evidence, fmt.Sprintf("%d people have a home on this machine", m.facts.People))
		}
	}
	return f
}

// keysOf returns the private keys of a certificate.
func (m *machine) keysOf(c *store.Cert) (out []Key) {
	if len(c.SPKI) == 0 {
		return nil
	}
	spki := store.Fingerprint(sha256.Sum256(c.SPKI))
	for _, k := range m.facts.Keys {
		if k.SPKI == spki {
			out = append(out, k)
		}
	}
	return out
}

func removedFromProgramme(m *machine, s *Store, e *store.Entry) *Finding {
	p := m.in.Programme
	if p.ByUser || !forServers(e) || p.knows(e.Cert) {
		return nil
	}
	was, gone := removedRoots()[e.Cert.SHA256]
	switch {
	case gone:
		return say(graded(m, e, High, Low), fmt.Sprintf("%s is no longer in Mozilla's programme", name(e.Cert)), "last seen in "+was.last, data(p))
	case !m.local(e) && m.mozillaBased(s):
		return say(Low, fmt.Sprintf("%s is shipped, but not in Mozilla's programme", name(e.Cert)), data(p))
	}
	return nil
}

// mozillaBased reports whether most of what the vendor ships in a store is from
// Mozilla's programme: Windows and macOS have programmes of their own.
func (m *machine) mozillaBased(s *Store) bool {
	shipped, known := 0, 0
	for i := range s.Entries {
		if e := &s.Entries[i]; e.Cert != nil && e.Origin.By == store.ByVendor && forServers(e) {
			shipped++
			if _, gone := removedRoots()[e.Cert.SHA256]; gone || Mozilla().knows(e.Cert) {
				known++
			}
		}
	}
	return shipped > 0 && known*4 > shipped*3
}

// data tells what a comparison rests on.
func data(p *Programme) string {
	text := "compared with the " + fmt.Sprint(p.Len()) + " roots of " + store.Printable(p.Name)
	if !p.Date.IsZero() {
		text += " of " + p.Date.Format(time.DateOnly)
	}
	return text
}

func distrustAfter(m *machine, _ *Store, e *store.Entry) *Finding {
	r, ok := m.in.Programme.Has(e.Cert.SHA256)
	if !ok || r.DistrustAfter.IsZero() || !forServers(e) || !e.Trust.Rule(store.PurposeServerAuth).DistrustAfter.IsZero() {
		return nil
	}
	return say(graded(m, e, Medium, Low), fmt.Sprintf("%s is distrusted for what it issues after %s", name(e.Cert), r.DistrustAfter.Format(time.DateOnly)),
		"the store knows no such date", data(m.in.Programme))
}

func inNoProgramme(m *machine, s *Store, e *store.Entry) *Finding {
	p := m.in.Programme
	if p.knows(e.Cert) || !e.Cert.IsCA() && !p.ByUser {
		return nil // what is no authority has a rule of its own
	}
	if p.ByUser {
		return say(programmeSeverity(s), fmt.Sprintf("%s is not in %s", name(e.Cert), store.Printable(p.Name)), data(p))
	}
	if !m.local(e) {
		return nil
	}
	if _, gone := removedRoots()[e.Cert.SHA256]; gone {
		return nil
	}
	return say(programmeSeverity(s), name(e.Cert)+" is in no root programme: somebody added it", data(p))
}

func programmeSeverity(s *Store) Severity {
	if s.Info.Scope == store.ScopeUser {
		return Low
	}
	return Medium
}

// programmeMissing tells which roots of the programme a store lacks that is
// made from it.
func programmeMissing(m *machine, found func(Finding)) {
	p := m.in.Programme
	for _, s := range m.stores {
		if s.Info.DerivedFrom != "" || !p.ByUser && (s.Info.Scope != store.ScopeSystem || !m.mozillaBased(s)) {
			continue
		}
		have := map[store.Fingerprint]bool{}
		keys := map[store.Fingerprint]bool{}
		for i := range s.Entries {
			if c := s.Entries[i].Cert; c != nil {
				have[c.SHA256] = true
				keys[sha256.Sum256(c.SPKI)] = true
			}
		}
		var names []string
		for _, f := range p.sorted() {
			if !have[f] {
				names = append(names, p.roots[f].Name)
			}
		}
		if len(names) == 0 {
			continue
		}
		evidence := []string{data(p)}
		for i, n := range names {
			if i == 20 {
				evidence = append(evidence, fmt.Sprintf("and %d more", len(names)-i))
				break
			}
			evidence = append(evidence, "missing: "+store.Printable(n))
		}
		title := fmt.Sprintf("%s lacks %d roots of %s", s.Info.ID, len(names), store.Printable(p.Name))
		if len(names) == 1 {
			title = fmt.Sprintf("%s lacks a root of %s: %s", s.Info.ID, store.Printable(p.Name), store.Printable(names[0]))
		}
		found(Finding{Store: s.Info.ID, Key: "missing", Title: title,
			Evidence: evidence, Fixes: steps("update the system's package of roots", "with the package manager of the system")})
	}
}

func notCA(m *machine, _ *Store, e *store.Entry) *Finding {
	c := e.Cert
	if c.Version == 0 || c.IsCA() {
		return nil
	}
	severity := graded(m, e, High, Low)
	if !e.Trust.Has(store.Trusted) {
		severity = Low
	}
	return say(severity, name(c)+" is not a certificate authority", "its basic constraints do not say that it is one")
}

func weakKey(m *machine, _ *Store, e *store.Entry) *Finding {
	if !hasConcern(e.Cert, m.in.Now, "weak", "key") {
		return nil
	}
	return say(graded(m, e, High, Medium), fmt.Sprintf("%s has a weak key: %s", name(e.Cert), store.Printable(e.Cert.Key())))
}

func weakSignature(m *machine, _ *Store, e *store.Entry) *Finding {
	if !hasConcern(e.Cert, m.in.Now, "weak", "signature") {
		return nil
	}
	return say("", fmt.Sprintf("%s is signed with %s", name(e.Cert), store.Printable(e.Cert.SignatureAlgorithm)))
}

// hasConcern reports whether package store is concerned about a certificate,
// for a reason that has the word in it.
func hasConcern(c *store.Cert, now time.Time, code, word string) bool {
	return slices.ContainsFunc(store.Concerns(c, now), func(x store.Concern) bool {
		return x.Code == code && strings.Contains(x.Text, "its "+word)
	})
}

func notSelfSigned(_ *machine, _ *Store, e *store.Entry) *Finding {
	if !e.Cert.IsCA() || e.Cert.SelfIssued() {
		return nil
	}
	return say("", name(e.Cert)+" is an intermediate, trusted like a root", "issued by "+store.Printable(e.Cert.Issuer.String()))
}

func noKeyCertSign(m *machine, _ *Store, e *store.Entry) *Finding {
	usage, present := e.Cert.KeyUsage()
	if !present || !e.Cert.IsCA() || usage&x509.KeyUsageCertSign != 0 {
		return nil
	}
	return say(graded(m, e, Medium, Low), name(e.Cert)+" may not sign certificates, says its key usage")
}

func version1(_ *machine, _ *Store, e *store.Entry) *Finding {
	if e.Cert.Version != 1 {
		return nil
	}
	return say("", name(e.Cert)+" is of version 1")
}

func negativeSerial(_ *machine, _ *Store, e *store.Entry) *Finding {
	if e.Cert.Serial == nil || e.Cert.Serial.Sign() >= 0 {
		return nil
	}
	return say("", name(e.Cert)+" has a negative serial number")
}

func unparsable(_ *machine, _ *Store, e *store.Entry) *Finding {
	c := e.Cert
	if c.ParseError() == nil || c.Serial != nil && c.Serial.Sign() < 0 {
		return nil
	}
	return say("", name(c)+" cannot be read by strict programs", store.Printable(c.ParseError().Error()))
}

func expired(m *machine, _ *Store, e *store.Entry) *Finding {
	if e.Cert.NotAfter.IsZero() || !m.in.Now.After(e.Cert.NotAfter) {
		return nil
	}
	return say("", fmt.Sprintf("%s expired on %s", name(e.Cert), e.Cert.NotAfter.Format(time.DateOnly)))
}

// soon is from when on a root that will expire is told of.
const soon = 90 * 24 * time.Hour

func expiring(m *machine, _ *Store, e *store.Entry) *Finding {
	end := e.Cert.NotAfter
	if end.IsZero() || m.in.Now.After(end) || m.in.Now.Add(soon).Before(end) {
		return nil
	}
	f := say("", fmt.Sprintf("%s expires on %s", name(e.Cert), end.Format(time.DateOnly)))
	f.Fixes = steps("have its successor in place", "trust the renewed root, then remove this one")
	return f
}

func longValidity(m *machine, _ *Store, e *store.Entry) *Finding {
	c := e.Cert
	if !m.local(e) || m.in.Programme.knows(c) || c.NotAfter.IsZero() || c.NotBefore.AddDate(30, 0, 1).After(c.NotAfter) {
		return nil
	}
	return say("", fmt.Sprintf("%s is valid until %s", name(c), c.NotAfter.Format(time.DateOnly)), "from "+c.NotBefore.Format(time.DateOnly))
}

func nameUnconstrained(m *machine, _ *Store, e *store.Entry) *Finding {
	if !e.Cert.IsCA() || !m.local(e) || m.in.Programme.knows(e.Cert) || constrained(e) {
		return nil
	}
	f := say("", name(e.Cert)+" may vouch for any name")
	f.Fixes = steps("have it re-issued with name constraints", "its owner can limit it to names of his own")
	return f
}

func purposeAny(m *machine, s *Store, e *store.Entry) *Finding {
	if !slices.Contains(s.Info.Express.Purposes, store.PurposeCodeSigning) || !m.local(e) ||
		!forServers(e) || e.Trust.For(store.PurposeCodeSigning) != store.Trusted {
		return nil
	}
	f := say("", name(e.Cert)+" is trusted for servers, and to sign programs too", "trust: "+e.Trust.String())
	if limits := e.Cert.ExtendedKeyUsage(); limits != nil && !slices.Contains(limits, store.PurposeCodeSigning) && !slices.Contains(limits, store.PurposeAny) {
		return nil // it limits itself
	}
	if editable(s) && s.Info.Root == "" {
		fp, id, file := e.Cert.SHA256.String(), string(s.Info.ID), "./"+e.Cert.SHA256.Short()+".pem"
		f.Fixes = fix("trust it for servers alone", admin(s), run("certtrust", "export", fp, "--store", id, "--output", file),
			certtrust(s, "remove", fp), certtrust(s, "trust", file, "--purpose", "server-auth"))
	}
	return f
}

func worldWritable(m *machine, found func(Finding)) {
	for _, file := range m.facts.Files {
		if !file.WorldWritable {
			continue
		}
		f := ofFile(m, file)
		f.Title = "everybody may write to " + f.File
		f.Fixes = m.change("take that right away", run("chmod", "o-w", "--", file.Path))
		found(f)
	}
}

func notRootOwned(m *machine, found func(Finding)) {
	for _, file := range m.facts.Files {
		if file.Owner == "" {
			continue
		}
		f := ofFile(m, file)
		f.Title = fmt.Sprintf("%s belongs to %s", f.File, store.Printable(file.Owner))
		f.Fixes = m.change("give it to "+store.Printable(file.ShouldBe), run("chown", file.ShouldBe, "--", file.Path))
		found(f)
	}
}

func ofFile(_ *machine, file File) Finding {
	f := Finding{Store: file.Store, File: store.Printable(file.Path), Key: file.Path}
	what := "a file that the store depends on"
	if file.Dir {
		what = "a directory on the way to the store's files"
	}
	f.Evidence = []string{what}
	return f
}

// change is a fix of files, which cannot be done in an offline root.
func (m *machine) change(summary string, commands ...string) []Fix {
	if m.root != "" {
		return offline(&Store{Info: store.Info{Root: m.root}})
	}
	return fix(summary, true, commands...)
}

// privateKey finds keys of what is trusted: in files of the stores, beside
// them, in databases, and those of tools that others may read.
func privateKey(m *machine, found func(Finding)) {
	problemRule("store.private_key_present")(m, found)
	told := map[string]bool{}
	for _, s := range m.stores {
		for i := range s.Entries {
			e := &s.Entries[i]
			if e.Cert == nil || !trusts(e) || !e.Cert.IsCA() {
				continue
			}
			if e.Native["key"] != "" {
				f := about(s, e)
				f.Title = "the private key of " + name(e.Cert) + " is in " + string(s.Info.ID)
				f.Evidence = whence(e)
				f.Fixes = steps("move the key to where certificates are issued", "export it with the program that the store is of, and delete it there")
				found(f)
			}
			for _, k := range m.keysOf(e.Cert) {
				if !k.Beside && !k.ForOthers || told[k.Path] {
					continue
				}
				told[k.Path] = true
				f := about(s, e)
				f.Title = "the private key of " + name(e.Cert) + " lies in " + store.Printable(k.Path)
				f.File, f.Key = store.Printable(k.Path), k.Path
				f.Evidence = append([]string{"its public key is that of the certificate", "mode " + k.Mode}, whence(e)...)
				if k.Beside {
					f.Fixes = m.change("move it to where nobody else comes", run("install", "-d", "-m", "700", "/root/keys"), run("mv", "--", k.Path, "/root/keys/"))
				} else {
					f.Fixes = m.change("let nobody else read it", run("chmod", "go=", "--", k.Path))
				}
				found(f)
			}
		}
	}
}

// trustConflict finds what a store tells of, and entries that contradict each
// other.
func trustConflict(m *machine, found func(Finding)) {
	problemRule("store.trust_conflict")(m, found)
	for _, s := range m.stores {
		first := map[store.Fingerprint]*store.Entry{}
		for i := range s.Entries {
			e := &s.Entries[i]
			if e.Cert == nil || len(e.Trust.Normal()) == 0 {
				continue
			}
			before := first[e.Cert.SHA256]
			if before == nil {
				first[e.Cert.SHA256] = e
				continue
			}
			if trusts(before) && e.Trust.Has(store.Distrusted) || trusts(e) && before.Trust.Has(store.Distrusted) {
				if sameServers(before, e) {
					continue
				}
				f := about(s, e)
				f.Title = name(e.Cert) + " is both trusted and distrusted in " + string(s.Info.ID)
				f.Evidence = append([]string{before.Trust.String() + ": " + store.Printable(before.Source.Path), e.Trust.String() + ": " + store.Printable(e.Source.Path)}, whence(e)...)
				f.Fixes = withdraw(s, e)
				found(f)
			}
		}
	}
}

// sameServers reports whether two entries are about different purposes or
// hosts, so that they do not contradict each other.
func sameServers(a, b *store.Entry) bool {
	for _, p := range append(store.NamedPurposes(), store.PurposeAny) {
		x, y := a.Trust.Rule(p), b.Trust.Rule(p)
		if len(x.Hosts) > 0 || len(y.Hosts) > 0 {
			continue
		}
		if x.Decision == store.Distrusted && (y.Decision == store.Trusted || y.Decision == store.Peer) ||
			y.Decision == store.Distrusted && (x.Decision == store.Trusted || x.Decision == store.Peer) {
			return false
		}
	}
	return true
}

func sameSubject(m *machine, found func(Finding)) {
	for _, s := range m.stores {
		bySubject := map[string][]*store.Entry{}
		var order []string
		for i := range s.Entries {
			e := &s.Entries[i]
			if e.Cert == nil || !trusts(e) || !e.Cert.IsCA() || m.repeated(s, e) || len(e.Cert.Subject.Attributes) == 0 {
				continue
			}
			k := string(e.Cert.Subject.Raw)
			if bySubject[k] == nil {
				order = append(order, k)
			}
			bySubject[k] = append(bySubject[k], e)
		}
		for _, k := range order {
			list := bySubject[k]
			old := slices.MinFunc(list, func(a, b *store.Entry) int {
				// What a vendor ships is not the one to go.
				if la, lb := m.local(a), m.local(b); la != lb {
					if la {
						return -1
					}
					return 1
				}
				return a.Cert.NotBefore.Compare(b.Cert.NotBefore)
			})
			for _, other := range list {
				if bytes.Equal(other.Cert.SPKI, old.Cert.SPKI) {
					continue
				}
				f := about(s, old)
				f.Severity = graded(m, old, Medium, Info)
				f.Title = "there are two roots of the name " + name(old.Cert) + ", with different keys"
				f.Evidence = append([]string{"this one is valid from " + old.Cert.NotBefore.Format(time.DateOnly),
					"the other one, " + other.Cert.SHA256.Short() + ", from " + other.Cert.NotBefore.Format(time.DateOnly)}, whence(old)...)
				f.Fixes = withdraw(s, old)
				found(f)
				break
			}
		}
	}
}

func duplicate(m *machine, found func(Finding)) {
	problemRule("store.duplicate")(m, found)
	for _, s := range m.stores {
		first := map[store.Fingerprint]*store.Entry{}
		for i := range s.Entries {
			e := &s.Entries[i]
			if e.Cert == nil || !trusts(e) {
				continue
			}
			before := first[e.Cert.SHA256]
			if before == nil || before.Source.Path == e.Source.Path && before.Source.Item == e.Source.Item {
				first[e.Cert.SHA256] = e
				continue
			}
			extra := e
			if m.shippedBy(e) && !m.shippedBy(before) {
				extra = before // the vendor's stays
			}
			f := about(s, extra)
			f.Key += "\n" + extra.Source.Path + "\n" + extra.Source.Item
			f.Title = name(e.Cert) + " is in " + string(s.Info.ID) + " more than once"
			f.Evidence = append([]string{"it also lies in " + store.Printable(before.Source.Path)}, whence(extra)...)
			switch {
			case s.Info.Root != "":
				f.Fixes = offline(s)
			case extra.Source.Kind == "anchor" && !m.shippedBy(extra) && extra.Source.Item == "":
				f.Fixes = fix("delete the second file", admin(s), run("rm", "--", extra.Source.Path), repair(s))
			default:
				f.Fixes = steps("take one of them out", "with the program that put it there")
			}
			found(f)
		}
	}
}

func (m *machine) shippedBy(e *store.Entry) bool { return e.Origin.By == store.ByVendor }

func packageModified(m *machine, found func(Finding)) {
	for _, mod := range m.facts.Modified {
		f := Finding{Store: mod.Store, File: store.Printable(mod.Path), Key: mod.Path, Severity: High}
		f.Title = fmt.Sprintf("%s is not as the package %s has it", f.File, store.Printable(mod.Package))
		f.Evidence = []string{"its digest differs from the one in the package manager's records"}
		if mod.Missing {
			f.Severity = Medium
			f.Title = fmt.Sprintf("%s of the package %s is missing", f.File, store.Printable(mod.Package))
			f.Evidence = []string{"the package manager's records list it"}
		}
		if mod.Reinstall != "" && m.root == "" {
			commands := []string{mod.Reinstall}
			if i := slices.IndexFunc(m.stores, func(s *Store) bool { return s.Info.ID == mod.Store }); i >= 0 {
				commands = append(commands, repair(m.stores[i]))
			}
			f.Fixes = fix("install the package anew", true, commands...)
		} else {
			f.Fixes = steps("put back what the package has", "install it anew with the system's package manager")
		}
		found(f)
	}
}

// missingInStore finds what was added to the system's store, and lacks in
// another that is changed unasked.
func missingInStore(m *machine, found func(Finding)) {
	for _, from := range m.stores {
		if from.Info.Scope != store.ScopeSystem || !from.Info.Default {
			continue
		}
		for i := range from.Entries {
			e := &from.Entries[i]
			if e.Cert == nil || !e.Cert.IsCA() || !forServers(e) || !m.local(e) {
				continue
			}
			for _, s := range m.stores {
				if s == from || !s.Info.Default || s.Info.DerivedFrom != "" ||
					slices.ContainsFunc(m.held[e.Cert.SHA256], func(h holding) bool { return h.store == s }) {
					continue
				}
				f := about(s, e)
				f.File = ""
				f.Title = fmt.Sprintf("%s is trusted in %s, and not in %s", name(e.Cert), from.Info.ID, s.Info.ID)
				f.Evidence = append([]string{"programs that read " + string(s.Info.ID) + " refuse its servers: " + strings.Join(s.Info.Readers, ", ")}, whence(e)...)
				if editable(s) && s.Info.Root == "" {
					f.Fixes = fix("trust it there too", admin(s), run("certtrust", "export", e.Cert.SHA256.String(), "--store", string(from.Info.ID), "--output", "./"+e.Cert.SHA256.Short()+".pem"),
						certtrust(s, "trust", "./"+e.Cert.SHA256.Short()+".pem"))
				}
				found(f)
			}
		}
	}
}

func distrustedElsewhere(m *machine, found func(Finding)) {
	for _, s := range m.stores {
		for i := range s.Entries {
			e := &s.Entries[i]
			if e.Cert == nil || !forServers(e) || m.repeated(s, e) {
				continue
			}
			for _, h := range m.held[e.Cert.SHA256] {
				if h.store == s || h.entry.Trust.For(store.PurposeServerAuth) != store.Distrusted || len(h.entry.Trust.Rule(store.PurposeServerAuth).Hosts) > 0 {
					continue
				}
				f := about(s, e)
				f.Severity = graded(m, e, Medium, Low)
				f.Title = fmt.Sprintf("%s is distrusted in %s, and trusted in %s", name(e.Cert), h.store.Info.ID, s.Info.ID)
				f.Evidence = append([]string{"distrusted by: " + string(h.entry.Origin.By) + ", in " + store.Printable(h.entry.Source.Path)}, whence(e)...)
				f.Fixes = withdraw(s, e)
				found(f)
				break
			}
		}
	}
}

// overrides finds settings of programs: those that switch verification off, or
// the others.
func overrides(off bool) func(m *machine, found func(Finding)) {
	return func(m *machine, found func(Finding)) {
		type group struct {
			first   diagnose.Override
			clients []string
		}
		var groups []*group
	next:
		for _, o := range m.facts.Overrides {
			if (o.Effect == diagnose.Disables) != off {
				continue
			}
			for _, g := range groups {
				if g.first.Source == o.Source && g.first.Name == o.Name && g.first.Effect == o.Effect && g.first.Only == o.Only {
					if !slices.Contains(g.clients, o.Client) {
						g.clients = append(g.clients, o.Client)
					}
					continue next
				}
			}
			groups = append(groups, &group{o, []string{o.Client}})
		}
		for _, g := range groups {
			found(overrideFinding(m, g.first, g.clients))
		}
	}
}

func overrideFinding(m *machine, o diagnose.Override, clients []string) Finding {
	source, setting := store.Printable(o.Source), store.Printable(o.Name)
	who := strings.Join(clients, ", ")
	f := Finding{Key: o.Source + "\n" + o.Name + "\n" + string(o.Effect) + "\n" + o.Only,
		Evidence: []string{"set in " + source, setting + " = " + store.Printable(o.Value)}}
	if strings.HasPrefix(o.Source, "/") {
		f.File = source
		f.Key = strings.TrimRight(strings.TrimRight(o.Source, "0123456789"), ":") + "\n" + o.Name + "\n" + string(o.Effect) + "\n" + o.Only
	}
	switch o.Effect {
	case diagnose.Disables:
		f.Severity, f.Title = High, fmt.Sprintf("%s: %s does not verify servers", source, who)
		if o.Only != "" {
			f.Severity, f.Title = Medium, f.Title+" such as "+store.Printable(o.Only)
		}
	case diagnose.Adds:
		f.Severity, f.Title = Low, fmt.Sprintf("%s: %s trusts more roots than the stores'", source, who)
	default:
		f.Severity, f.Title = Medium, fmt.Sprintf("%s: %s trusts other roots than the stores'", source, who)
	}
	if o.Err != nil {
		f.Evidence = append(f.Evidence, "what it names cannot be read: "+store.Printable(o.Err.Error()))
	} else if o.Effect != diagnose.Disables {
		f.Evidence = append(f.Evidence, m.rootsOf(o))
		if o.Effect == diagnose.Replaces && m.sameAsSystem(o) {
			f.Severity = Info
		}
	}
	switch {
	case f.File != "":
		f.Fixes = steps("take the setting out", "delete it from "+source)
	case o.Source == o.Name:
		f.Fixes = fix("unset it, and take it out of where it is set", false, run("unset", o.Name))
	default:
		f.Fixes = steps("take the setting out", "it is in "+source)
	}
	return f
}

// rootsOf tells which roots an override is about.
func (m *machine) rootsOf(o diagnose.Override) string {
	alien := 0
	for _, c := range o.Roots {
		if !slices.ContainsFunc(m.held[c.SHA256], func(h holding) bool { return trusts(h.entry) }) {
			alien++
		}
	}
	return fmt.Sprintf("it names %d roots, of which the stores do not trust %d", len(o.Roots), alien)
}

// sameAsSystem reports whether an override names just what the system's store
// trusts.
func (m *machine) sameAsSystem(o diagnose.Override) bool {
	set := map[store.Fingerprint]bool{}
	for _, c := range o.Roots {
		set[c.SHA256] = true
	}
	for _, s := range m.stores {
		if s.Info.Scope != store.ScopeSystem || !s.Info.Default {
			continue
		}
		n := 0
		counted := map[store.Fingerprint]bool{}
		for i := range s.Entries {
			e := &s.Entries[i]
			if e.Cert == nil || !forServers(e) || counted[e.Cert.SHA256] {
				continue
			}
			if !set[e.Cert.SHA256] {
				return false
			}
			counted[e.Cert.SHA256] = true
			n++
		}
		return n > 0 && n == len(set)
	}
	return false
}

func autoUpdate(m *machine, found func(Finding)) {
	for _, s := range m.facts.AutoUpdate {
		place := store.Printable(s.Path)
		f := Finding{Key: s.Path + "\n" + s.Name, File: place, Title: "the update of the system's roots is switched off",
			Evidence: []string{store.Printable(s.Name) + " = " + store.Printable(s.Value), "set in " + place}}
		f.Fixes = steps("let them be updated", "delete "+store.Printable(s.Name)+" from "+place+", or have whoever manages the machine do so")
		if strings.HasPrefix(s.Path, "HKLM") && m.root == "" {
			f.Fixes = fix("let them be updated", true, `reg delete "`+place+`" /v `+store.Printable(s.Name)+` /f`)
		}
		found(f)
	}
}
