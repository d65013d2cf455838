package audit

import (
	"slices"

	"github.com/certtrust/certtrust/store"
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
