package audit

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/diagnose"
	"github.com/certtrust/certtrust/store/storetest"
)

var (
	now      = time.Date(2027, 1, 15, 12, 0, 0, 0, time.UTC)
	all      = store.TrustFor(store.Trusted, store.PurposeAny)
	servers  = store.TrustFor(store.Trusted, store.PurposeServerAuth)
	byAdmin  = store.Origin{By: store.ByAdmin, Detail: "by hand"}
	byVendor = store.Origin{By: store.ByVendor, Detail: "ca-certificates 1"}
)

// planted is the input in which a rule must find something, and the finding.
type planted struct {
	in       Input
	severity Severity
	// title is a part of it.
	title string
	// quiet is the same without what is wrong: the rule finds nothing.
	quiet Input
}

func system(entries ...store.Entry) Store {
	return Store{Info: store.Info{ID: "anchors:system", Backend: "anchors", Scope: store.ScopeSystem, Location: "/etc/ssl/certs/ca-certificates.crt", Default: true,
		Express: store.Express{Purposes: []store.Purpose{store.PurposeAny}}, Readers: []string{"curl"}}, Entries: entries}
}

func browser(entries ...store.Entry) Store {
	return Store{Info: store.Info{ID: "nss:firefox/x", Backend: "nss", Scope: store.ScopeUser, Owner: "ann", Default: true,
		Express: store.Express{Purposes: store.NamedPurposes()}, Readers: []string{"Firefox"}}, Entries: entries}
}

func one(entries ...store.Entry) Input { return Input{Stores: []Store{system(entries...)}, Now: now} }

func entry(c *store.Cert, origin store.Origin, trust store.Trust) store.Entry {
	return store.Entry{Cert: c, Label: c.Label(), Trust: trust, Origin: origin,
		Source: store.Source{Kind: "anchor", Path: "/usr/local/share/ca-certificates/" + c.SHA256.Short() + ".crt"}}
}

func ca(t *testing.T, opts ...storetest.Option) *store.Cert {
	t.Helper()
	return storetest.NewCA(t, append([]storetest.Option{storetest.CN("Planted Root")}, opts...)...).Cert()
}

// posing returns a certificate that has another one's fingerprint, as only the
// table of a rule knows it.
func posing(t *testing.T, fingerprint string) *store.Cert {
	t.Helper()
	c := *ca(t)
	if err := c.SHA256.UnmarshalText([]byte(fingerprint)); err != nil {
		t.Fatal(err)
	}
	return &c
}

func withFacts(in Input, f Facts) Input {
	in.Facts = []Facts{f}
	return in
}

func withProblem(e store.Entry, code string) store.Entry {
	e.Problems = []store.Problem{{Code: code, Path: "/usr/local/share/ca-certificates/it.crt", Text: "it is not as it should be"}}
	return e
}

// cases are the planted ones: each rule has at least one.
func cases(t *testing.T) map[string][]planted {
	good := entry(ca(t), byVendor, all)
	root := ca(t)
	local := entry(root, byAdmin, all)
	expiredCA := ca(t, storetest.Validity(time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)))
	soonCA := ca(t, storetest.Validity(time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC), now.AddDate(0, 0, 89)))
	laterCA := ca(t, storetest.Validity(time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC), now.AddDate(0, 0, 91)))
	longCA := ca(t, storetest.Validity(time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2049, 1, 1, 0, 0, 0, 0, time.UTC)))
	leaf := ca(t, storetest.NotCA(), storetest.Hosts("host.example"))
	parent := storetest.NewCA(t, storetest.RSA(2048))
	sub := parent.Intermediate(t).Cert()
	sha1Sub := parent.Intermediate(t, storetest.Template(func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA256WithRSA })).Cert()
	weakSub := *sha1Sub
	weakSub.SignatureAlgorithm = "SHA1-RSA" // which Go does not sign with any more
	noSign := ca(t, storetest.Template(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }))
	odd := *ca(t)
	odd.Strict = func() (*x509.Certificate, error) { return nil, errOdd }
	dev := ca(t, storetest.CN("Caddy Local Authority - 2024 ECC Root"))
	mitm := fortinet(t)
	limited := fortinet(t, storetest.PermittedDNS("example.com"))
	twin := ca(t)

	programme := NewProgramme("Mozilla", now)
	ending := ca(t)
	programme.Add(ending, time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC))
	given := NewProgramme("ours.pem", time.Time{})
	given.ByUser = true
	given.Add(root, time.Time{})
	other := ca(t, storetest.CN("Other Root"))
	given.Add(other, time.Time{})

	spki := store.Fingerprint(sha256.Sum256(root.SPKI))
	devKey := Key{Path: "/root/.local/share/caddy/root.key", SPKI: sha256.Sum256(dev.SPKI), Mode: "-rw-------"}

	distrusting := entry(root, store.Origin{By: store.ByUser}, store.TrustFor(store.Distrusted, store.PurposeServerAuth))
	keyed := entry(root, store.Origin{By: store.ByUnknown}, servers)
	keyed.Native = map[string]string{"key": "its private key is here"}
	second := local
	second.Source.Path += "2"

	mozillaBased := func(entries ...store.Entry) Input {
		var list []store.Entry
		for _, f := range Mozilla().sorted()[:10] {
			c := *ca(t)
			c.SHA256 = f
			list = append(list, entry(&c, byVendor, all))
		}
		return one(append(list, entries...)...)
	}
	everything := Input{Stores: []Store{system()}, Now: now}
	for _, f := range Mozilla().sorted() {
		c := *ca(t)
		c.SHA256 = f
		everything.Stores[0].Entries = append(everything.Stores[0].Entries, entry(&c, byVendor, all))
	}
	override := func(o diagnose.Override) Input { return withFacts(one(good), Facts{Overrides: []diagnose.Override{o}}) }

	problem := func(code string, severity Severity) planted {
		return planted{one(withProblem(local, code)), severity, "it is not as it should be", one(local)}
	}
	return map[string][]planted{
		"known.bad_root": {{one(entry(posing(t, "b6fe9151402bad1c06d7e66db67a26aa7356f2e6c644dbcf9f98968ff632e1b7"), byAdmin, all)), Critical, "Superfish", one(good)},
			{one(entry(posing(t, "b6fe9151402bad1c06d7e66db67a26aa7356f2e6c644dbcf9f98968ff632e1b7"), byVendor, all)), Critical, "Superfish",
				one(entry(posing(t, "b6fe9151402bad1c06d7e66db67a26aa7356f2e6c644dbcf9f98968ff632e1b7"), byVendor, store.TrustFor(store.Distrusted, store.PurposeAny)))}},
		"known.interception": {{one(entry(mitm, byAdmin, all)), High, "Fortigate", one(local)}, {one(entry(limited, byAdmin, all)), Medium, "Fortigate", one(local)}},
		"known.dev_ca": {{one(entry(dev, byAdmin, all)), Medium, "Caddy", one(local)},
			{withFacts(one(entry(dev, byAdmin, all)), Facts{Keys: []Key{devKey}, People: 2}), High, "Caddy", one(local)},
			{withFacts(one(entry(dev, byAdmin, all)), Facts{Keys: []Key{devKey}, People: 1}), Medium, "Caddy", one(local)}},
		"prog.removed": {{one(entry(posing(t, "16af57a9f676b0ab126095aa5ebadef22ab31119d644ac95cd4b93dbf3f26aeb"), byAdmin, all)), High, "no longer in Mozilla", one(local)},
			{one(entry(posing(t, "16af57a9f676b0ab126095aa5ebadef22ab31119d644ac95cd4b93dbf3f26aeb"), byVendor, all)), Low, "no longer in Mozilla",
				one(entry(posing(t, "16af57a9f676b0ab126095aa5ebadef22ab31119d644ac95cd4b93dbf3f26aeb"), byVendor, store.TrustFor(store.Trusted, store.PurposeEmail)))},
			{mozillaBased(entry(root, byVendor, all)), Low, "not in Mozilla's programme", mozillaBased()}},
		"prog.distrust_after": {{Input{Stores: []Store{system(entry(ending, byAdmin, all))}, Programme: programme, Now: now}, Medium, "2026-06-01",
			Input{Stores: []Store{system(entry(ending, byAdmin, store.Trust{{Purpose: store.PurposeAny, Decision: store.Trusted, DistrustAfter: now}}))}, Programme: programme, Now: now}},
			{Input{Stores: []Store{system(entry(ending, byVendor, all))}, Programme: programme, Now: now}, Low, "2026-06-01", one(good)}},
		"prog.not_in_any": {{one(local), Medium, "somebody added it", one(good)}, {Input{Stores: []Store{browser(local)}, Now: now}, Low, "somebody added it", Input{Stores: []Store{system(entry(root, byVendor, all)), browser(local)}, Now: now}},
			{Input{Stores: []Store{system(good)}, Programme: given, Now: now}, Medium, "not in ours.pem", Input{Stores: []Store{system(local)}, Programme: given, Now: now}}},
		"prog.missing": {{mozillaBased(), Info, "lacks 1", everything}, {Input{Stores: []Store{system(local)}, Programme: given, Now: now}, Info, "Other Root", Input{Stores: []Store{system(local, entry(other, byAdmin, all))}, Programme: given, Now: now}}},

		"cert.not_ca": {{one(entry(leaf, byAdmin, all)), High, "not a certificate authority", one(local)},
			{one(entry(leaf, byAdmin, store.TrustFor(store.Peer, store.PurposeServerAuth))), Low, "not a certificate authority", one(local)},
			{one(entry(leaf, byVendor, all)), Low, "not a certificate authority", one(good)}},
		"cert.weak_key": {{one(entry(ca(t, storetest.RSA(1024)), byAdmin, all)), High, "RSA 1024", one(local)},
			{one(entry(ca(t, storetest.RSA(1024)), byVendor, all)), Medium, "RSA 1024", one(entry(ca(t, storetest.RSA(2048)), byVendor, all))}},
		"cert.weak_signature":     {{one(entry(&weakSub, byAdmin, all)), Medium, "SHA1-RSA", one(entry(sub, byAdmin, all))}},
		"cert.not_self_signed":    {{one(entry(sub, byAdmin, all)), Low, "intermediate", one(local)}},
		"cert.no_keycertsign":     {{one(entry(noSign, byAdmin, all)), Medium, "key usage", one(local)}, {one(entry(noSign, byVendor, all)), Low, "key usage", one(good)}},
		"cert.v1":                 {{one(entry(ca(t, storetest.V1()), byVendor, all)), Low, "version 1", one(good)}},
		"cert.negative_serial":    {{one(entry(ca(t, storetest.Serial(big.NewInt(-5))), byVendor, all)), Low, "negative", one(good)}},
		"cert.unparsable":         {{one(entry(&odd, byVendor, all)), Low, "strict programs", one(entry(ca(t, storetest.Serial(big.NewInt(-5))), byVendor, all))}},
		"cert.expired":            {{one(entry(expiredCA, byVendor, all)), Low, "2020-01-01", one(entry(soonCA, byVendor, all))}},
		"cert.expiring":           {{one(entry(soonCA, byVendor, all)), Info, "expires on", one(entry(laterCA, byVendor, all), entry(expiredCA, byVendor, all))}},
		"cert.long_validity":      {{one(entry(longCA, byAdmin, all)), Info, "2049", one(entry(longCA, byVendor, all), local)}},
		"cert.name_unconstrained": {{one(local), Info, "any name", one(entry(ca(t, storetest.PermittedDNS("example.com")), byAdmin, all), good)}},

		"store.world_writable": {{withFacts(one(good), Facts{Files: []File{{Store: "anchors:system", Path: "/etc/ssl", WorldWritable: true}}}), Critical, "/etc/ssl", one(good)}},
		"store.not_root_owned": {{withFacts(one(good), Facts{Files: []File{{Store: "anchors:system", Path: "/etc/ssl", Owner: "eve", ShouldBe: "root"}}}), High, "belongs to eve", one(good)}},
		"store.private_key_present": {problem("private-key", Critical),
			{withFacts(one(local), Facts{Keys: []Key{{Path: "/usr/local/share/ca-certificates/root.key", SPKI: spki, Beside: true, Mode: "-rw-------"}}}), Critical, "root.key", withFacts(one(good), Facts{Keys: []Key{{Path: "/x", SPKI: spki, Beside: true}}})},
			{withFacts(one(local), Facts{Keys: []Key{{Path: "/home/a/key.pem", SPKI: spki, ForOthers: true}}}), Critical, "/home/a/key.pem", withFacts(one(local), Facts{Keys: []Key{{Path: "/home/a/key.pem", SPKI: spki}}})},
			{Input{Stores: []Store{browser(keyed)}, Now: now}, Critical, "is in nss:firefox/x", Input{Stores: []Store{browser(local)}, Now: now}}},
		"store.ghost_trust": {problem("ghost-trust", Medium)},
		"store.trust_conflict": {problem("kinds-differ", Medium),
			{Input{Stores: []Store{browser(local, distrusting)}, Now: now}, Medium, "both trusted and distrusted",
				Input{Stores: []Store{browser(entry(root, byAdmin, store.TrustFor(store.Trusted, store.PurposeEmail)), distrusting)}, Now: now}}},
		"store.trust_unsigned":  {problem("no-integrity", Medium), problem("bad-integrity", High)},
		"store.orphan_settings": {problem("orphan-trust", Low)},
		"store.ineffective":     {problem("not-pem", Medium), problem("newline-in-name", High), problem("ignored-name", Low)},
		"store.same_subject_different_key": {{one(local, entry(twin, byAdmin, all)), Medium, "two roots of the name", one(local, entry(ca(t, storetest.CN("Another")), byAdmin, all))},
			{one(good, entry(twin, byVendor, all)), Info, "two roots of the name", one(good)}},
		"store.duplicate": {{one(local, second), Info, "more than once", one(local, good)}},
		"store.problem":   {problem("a-code-that-nobody-knows", Low)},

		"drift.package_modified": {{withFacts(one(good), Facts{Modified: []Modified{{Store: "anchors:system", Path: "/usr/share/x.crt", Package: "ca-certificates", Reinstall: "apt-get install --reinstall --yes ca-certificates"}}}), High, "not as the package", one(good)},
			{withFacts(one(good), Facts{Modified: []Modified{{Store: "anchors:system", Path: "/usr/share/x.crt", Package: "ca-certificates", Missing: true}}}), Medium, "missing", one(good)}},
		"drift.anchor_not_in_bundle": {problem("anchor-not-in-bundle", Medium)},
		"drift.bundle_only":          {problem("no-anchor", Medium)},
		"drift.not_up_to_date":       {problem("still-in-bundle", Medium), problem("doubled-bundle", Low)},
		"drift.stray_file":           {problem("stray-file", Medium)},
		"drift.stale_temp":           {problem("stale-temporary", Medium), problem("left-behind", Low)},
		"drift.dangling_link":        {problem("dangling-link", Low)},

		"diverge.missing_in_store": {{Input{Stores: []Store{system(local), browser()}, Now: now}, Info, "not in nss:firefox/x", Input{Stores: []Store{system(local), browser(local)}, Now: now}}},
		"diverge.distrusted": {{Input{Stores: []Store{system(local), browser(distrusting)}, Now: now}, Medium, "is distrusted in nss:firefox/x", Input{Stores: []Store{system(local), browser(local)}, Now: now}},
			{Input{Stores: []Store{system(entry(root, byVendor, all)), browser(distrusting)}, Now: now}, Low, "is distrusted in", one(good)}},

		"policy.env_override": {{override(diagnose.Override{Client: "openssl", Source: "SSL_CERT_FILE", Name: "SSL_CERT_FILE", Value: "/x.pem", Effect: diagnose.Replaces, Roots: []*store.Cert{root}}), Medium, "other roots", one(good)},
			{override(diagnose.Override{Client: "node", Source: "NODE_EXTRA_CA_CERTS", Name: "NODE_EXTRA_CA_CERTS", Value: "/x.pem", Effect: diagnose.Adds}), Low, "more roots", one(good)},
			{override(diagnose.Override{Client: "openssl", Source: "SSL_CERT_FILE", Name: "SSL_CERT_FILE", Value: "/x.pem", Effect: diagnose.Replaces, Roots: []*store.Cert{good.Cert}}), Info, "other roots", one(good)}},
		"policy.verification_off": {{override(diagnose.Override{Client: "git", Source: "/root/.gitconfig:3", Name: "sslverify", Value: "false", Effect: diagnose.Disables}), High, "git does not verify",
			override(diagnose.Override{Client: "node", Source: "NODE_EXTRA_CA_CERTS", Name: "NODE_EXTRA_CA_CERTS", Effect: diagnose.Adds})},
			{override(diagnose.Override{Client: "git", Source: "/root/.gitconfig:3", Name: "sslverify", Value: "false", Effect: diagnose.Disables, Only: "https://x"}), Medium, "https://x", one(good)}},
		"policy.autoupdate_disabled": {{withFacts(one(good), Facts{AutoUpdate: []Setting{{`HKLM\SOFTWARE\Policies\Microsoft\SystemCertificates\AuthRoot`, "DisableRootAutoUpdate", "1"}}}), Medium, "switched off", one(good)}},
		"policy.purpose_any":         {{Input{Stores: []Store{browser(local)}, Now: now}, Medium, "sign programs too", Input{Stores: []Store{browser(entry(root, byAdmin, servers)), system(local)}, Now: now}}},
	}
}

type oddError struct{}

func (oddError) Error() string { return "x509: odd" }

var errOdd error = oddError{}

// fortinetName is a name of the table of products.
var fortinetName = pkix.Name{CommonName: "FortiGate CA", Organization: []string{"Fortinet"}}

// fortinet makes an authority of a known product's name.
func fortinet(t *testing.T, opts ...storetest.Option) *store.Cert {
	t.Helper()
	return storetest.NewCA(t, append(opts, storetest.Subject(fortinetName))...).Cert()
}

func TestPlanted(t *testing.T) {
	planted := cases(t)
	for _, r := range Rules() {
		list := planted[r.ID]
		if len(list) == 0 {
			t.Errorf("%s has no planted case", r.ID)
		}
		for i, p := range list {
			hits := of(r.ID, Run(p.in))
			if len(hits) == 0 {
				t.Errorf("%s, case %d: it was not found", r.ID, i)
				continue
			}
			f := hits[0]
			if k := slices.IndexFunc(hits, func(f Finding) bool { return strings.Contains(f.Title, p.title) && f.Severity == p.severity }); k >= 0 {
				f = hits[k]
			}
			if f.Severity != p.severity || p.title != "lacks 1" && !strings.Contains(f.Title, p.title) {
				t.Errorf("%s, case %d: %s %q, not %s …%s…", r.ID, i, f.Severity, f.Title, p.severity, p.title)
			}
			if len(f.Evidence) == 0 || len(f.Key) != 64 || f.State != New {
				t.Errorf("%s, case %d: %+v", r.ID, i, f)
			}
			if len(f.Fixes) == 0 && r.ID != "store.problem" {
				t.Errorf("%s, case %d: nothing tells what to do", r.ID, i)
			}
			if quiet := of(r.ID, Run(p.quiet)); len(quiet) > 0 {
				t.Errorf("%s, case %d: it is found where it is not: %q", r.ID, i, quiet[0].Title)
			}
		}
	}
	for id := range planted {
		if RuleOf(id).Title == id {
			t.Errorf("%s is no rule", id)
		}
	}
}

func of(id string, all []Finding) (out []Finding) {
	for _, f := range all {
		if f.ID == id {
			out = append(out, f)
		}
	}
	return out
}

func TestRulesAreInOrder(t *testing.T) {
	id := regexp.MustCompile(`^(known|prog|origin|cert|store|drift|diverge|policy)\.[a-z0-9_]+$`)
	seen := map[string]bool{}
	for _, r := range Rules() {
		if !id.MatchString(r.ID) || seen[r.ID] || r.Title == "" || r.Why == "" || !slices.Contains(Severities(), r.Severity) {
			t.Errorf("%+v", r)
		}
		seen[r.ID] = true
	}
	for _, code := range ProblemCodes() {
		row := ofProblem[code]
		if !seen[row.rule] {
			t.Errorf("the problem %s belongs to %s, which is no rule", code, row.rule)
		}
		// The rule looks the problem up.
		e := withProblem(store.Entry{Label: "x"}, code)
		if len(of(row.rule, Run(one(e)))) != 1 {
			t.Errorf("the problem %s is not found by %s", code, row.rule)
		}
	}
}

// A finding keeps its key as long as it is about the same thing, and not
// because of what else there is.
func TestKeys(t *testing.T) {
	root := ca(t)
	before := Run(one(entry(root, byAdmin, all)))
	later := one(entry(ca(t), byAdmin, all), entry(root, byAdmin, all))
	later.Now = now.AddDate(0, 1, 0)
	keys := map[string]bool{}
	for _, f := range Run(later) {
		if keys[f.Key] {
			t.Errorf("two findings have one key: %s", f.Title)
		}
		keys[f.Key] = true
	}
	for _, f := range before {
		if !keys[f.Key] {
			t.Errorf("the key of %s has changed", f.ID)
		}
	}
}

// What a certificate or a file is called reaches no finding unescaped, and
// becomes no part of a command.
func TestHostileText(t *testing.T) {
	for _, hostile := range append(storetest.HostileNames(), "$(touch x)", "`id`", "a'b", "a\x1b[31m") {
		c := ca(t, storetest.CN(hostile))
		e := withProblem(entry(c, byAdmin, all), "stray-file")
		e.Label, e.Origin.Detail = hostile, hostile
		e.Source.Path, e.Source.Item = "/x/"+hostile, hostile
		e.Problems[0].Path, e.Problems[0].Text = "/x/"+hostile, hostile
		in := Input{Stores: []Store{system(e), browser(e)}, Now: now, Facts: []Facts{{
			Files:      []File{{Store: "anchors:system", Path: "/x/" + hostile, WorldWritable: true, Owner: hostile, ShouldBe: "root"}},
			Modified:   []Modified{{Path: "/x/" + hostile, Package: hostile}},
			Overrides:  []diagnose.Override{{Client: "curl", Source: "/x/" + hostile, Name: hostile, Value: hostile, Effect: diagnose.Disables, Only: hostile}},
			AutoUpdate: []Setting{{hostile, hostile, hostile}},
		}}}
		for _, f := range Run(in) {
			text := append([]string{f.Title, f.Subject, f.File}, f.Evidence...)
			for _, fix := range f.Fixes {
				text = append(append(text, fix.Summary), fix.Steps...)
				for _, command := range fix.Commands {
					if i := strings.IndexFunc(command, func(r rune) bool { return r != '\\' && store.Printable(string(r)) != string(r) }); i >= 0 {
						t.Errorf("%s: a command holds %q", f.ID, command[i:])
					}
					if unquoted := regexp.MustCompile(`'[^']*'|\\'`).ReplaceAllString(command, ""); strings.ContainsAny(unquoted, "$`;|&<>(){}!\n") {
						t.Errorf("%s: a shell would read more than a name in %q", f.ID, command)
					}
				}
			}
			for _, s := range text {
				if i := strings.IndexFunc(s, func(r rune) bool { return r != '\\' && store.Printable(string(r)) != string(r) }); i >= 0 {
					t.Errorf("%s: %q is not escaped", f.ID, s)
				}
			}
		}
	}
}

// What an audit of an offline root says is to be done leaves this machine alone.
func TestOfflineRoots(t *testing.T) {
	e := withProblem(entry(ca(t), byAdmin, all), "not-pem")
	s := system(e, e)
	s.Info.Root, s.Info.ID = "/mnt/image", "anchors:system[/mnt/image]"
	in := Input{Stores: []Store{s}, Now: now, Facts: []Facts{{Root: "/mnt/image", Files: []File{{Store: "anchors:system", Path: "/etc", WorldWritable: true, Owner: "x", ShouldBe: "root"}},
		Modified: []Modified{{Path: "/x", Package: "p", Reinstall: "apt-get install p"}}}}}
	found := Run(in)
	if len(found) < 5 {
		t.Fatalf("only %d findings", len(found))
	}
	for _, f := range found {
		if f.Root != "/mnt/image" {
			t.Errorf("%s is of the root %q", f.ID, f.Root)
		}
		for _, fix := range f.Fixes {
			for _, c := range fix.Commands {
				if !strings.HasPrefix(c, "certtrust ") || !strings.Contains(c, " --root /mnt/image ") || strings.Contains(c, "[") {
					t.Errorf("%s: %q", f.ID, c)
				}
			}
		}
	}
}

// A store that follows another does not tell everything twice.
func TestDerivedStores(t *testing.T) {
	root := entry(ca(t), byAdmin, all)
	java := Store{Info: store.Info{ID: "java:/x", Scope: store.ScopeSystem, DerivedFrom: "anchors:system"}, Entries: []store.Entry{root}}
	if n := len(of("prog.not_in_any", Run(Input{Stores: []Store{system(root), java}, Now: now}))); n != 1 {
		t.Errorf("it is told %d times", n)
	}
	if n := len(of("prog.not_in_any", Run(Input{Stores: []Store{system(), java}, Now: now}))); n != 1 {
		t.Errorf("what only the store that follows holds is told %d times", n)
	}
}
