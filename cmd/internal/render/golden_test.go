package render

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/platform/clients"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/diagnose"
)

func TestList(t *testing.T) {
	header, records := makeListing(t)
	for _, test := range []struct {
		file, format string
		width        int
		options      ListOptions
	}{
		{"list-piped.txt", "table", 0, ListOptions{}},
		{"list-160.txt", "", 160, ListOptions{}},
		{"list-100.txt", "table", 100, ListOptions{}},
		{"list-60.txt", "table", 60, ListOptions{}},
		{"list-by-store.txt", "table", 120, ListOptions{ByStore: true}},
		{"list.json", "json", 80, ListOptions{}},
		{"list-pem.json", "json", 0, ListOptions{PEM: true}},
		{"list.jsonl", "jsonl", 80, ListOptions{}},
		{"list.csv", "csv", 80, ListOptions{}},
		{"list.pem", "pem", 80, ListOptions{}},
	} {
		t.Run(test.file, func(t *testing.T) {
			s, out, errs := term.Test("")
			s.Width = test.width
			view, err := NewListView(test.format, s, test.options)
			if err != nil {
				t.Fatal(err)
			}
			if err := List(view, header, records); err != nil {
				t.Fatal(err)
			}
			golden(t, test.file, out, errs)
		})
	}
}

func TestEmptyList(t *testing.T) {
	for _, format := range ListFormats() {
		s, out, errs := term.Test("")
		view, err := NewListView(format, s, ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := List(view, NewListHeader("host", []string{"/mnt"}, nil), nil); err != nil {
			t.Fatal(err)
		}
		golden(t, "list-empty."+format, out, errs)
	}
}

// docs are the documents of the goldens. Those whose name ends in ".txt" are
// written for people.
func docs(t *testing.T) map[string]Doc {
	c := makeCerts(t)

	systemInfo := info(system, "Debian's CA certificates", store.ScopeSystem)
	systemInfo.Access.Write = &store.Obstacle{Kind: store.NeedsElevation, Text: "only root may write it", Hint: "run it with sudo"}
	firefoxInfo := info(firefox, "Firefox, profile 既定", store.ScopeUser)
	firefoxInfo.Owner, firefoxInfo.Readers = "ann", []string{"Firefox"}
	followInfo := info("java:/etc/ssl/certs/java/cacerts", "Debian's Java CA certificates", store.ScopeSystem)
	followInfo.Default, followInfo.DerivedFrom = false, system
	jdkInfo := info(jdk, "JDK 21", store.ScopeSystem)
	jdkInfo.Access.Read = &store.Obstacle{Kind: store.Damaged, Text: "the digest does not match"}
	stores := []StoreRecord{
		{Info: systemInfo, Reasons: []string{"/etc/debian_version is there"}},
		{Info: firefoxInfo, Reasons: []string{"profiles.ini names it", "it is the default"}},
		{Info: followInfo, Reasons: nil},
		{Info: jdkInfo, Reasons: []string{"/opt is looked through"}},
	}
	otherInfo := info("java:/opt/jdk-25/lib/security/cacerts", "JDK 25", store.ScopeSystem)
	stores = append(stores, StoreRecord{Info: otherInfo, Reasons: []string{"/opt is looked through"}})
	elsewhere := []string{"no Chromium: /home/ann/.pki/nssdb is not there"}

	in := []Holding{
		NewHolding(system, store.Entry{Label: c.root.Label(), Trust: store.TrustFor(store.Trusted, store.PurposeAny),
			Origin: store.Origin{By: store.ByVendor, Detail: "ca-certificates"}, Source: store.Source{Kind: "bundle", Path: "/etc/ssl/certs/ca-certificates.crt"}}),
		NewHolding(firefox, store.Entry{Label: "evil\x1b[31m", Trust: store.TrustFor(store.Distrusted, store.PurposeAny),
			Origin: store.Origin{By: store.ByUser}, Problems: []store.Problem{{Code: "stale", Text: "left over\n"}}}),
	}
	root := NewShowCertificate(c.root, in, now, true)
	shown := []ShowCertificate{
		root,
		NewShowCertificate(c.sub, nil, now, false),
		NewShowCertificate(c.leaf, nil, now, false),
		NewShowCertificate(c.odd, nil, now, false),
		NewShowCertificate(c.evil, nil, now, false),
		NewShowCertificate(store.NewCert([]byte("not DER")), nil, now, false),
	}
	shown[5].ParseError = "x509: malformed certificate"
	shown[5].Concerns = shown[5].Concerns[:1]
	for i := range shown {
		for j, concern := range shown[i].Concerns {
			if concern.Code == "unparsable" {
				shown[i].Concerns[j].Text = "it is not well-formed: x509: negative serial number"
			}
		}
	}

	step := store.Step{
		Action: store.ActionAdd, Fingerprint: c.root.SHA256, Label: c.evil.Label(),
		Before: &store.State{}, After: &store.State{Present: true, Label: c.evil.Label(), Trust: store.TrustFor(store.Trusted, store.PurposeAny)},
		Files: []string{"/usr/local/share/ca-certificates/Example Root\u202e.crt"}, Elevated: true,
	}
	rebuild := store.Step{Action: store.ActionRebuild, Files: []string{"/etc/ssl/certs/ca-certificates.crt"},
		Commands: [][]string{{"/usr/sbin/update-ca-certificates", "--hooksdir", "it's"}}, Elevated: true}
	trust := store.Step{Action: store.ActionTrust, Fingerprint: c.cjk.SHA256, Label: c.cjk.Label(),
		Before: &store.State{Present: true}, After: &store.State{Present: true, Trust: store.TrustFor(store.Trusted, store.PurposeServerAuth)}}
	plan := store.Plan{
		Store: system, Basis: "sha256:00", Steps: []store.Step{step, rebuild},
		Want:    []store.Change{{Fingerprint: c.root.SHA256, DER: c.root.Raw, Trust: &step.After.Trust}},
		Undo:    []store.Change{{Fingerprint: c.root.SHA256, Absent: true}},
		Notices: []string{"this store holds for all purposes"},
	}
	firefoxPlan := store.Plan{Store: firefox, Steps: []store.Step{trust}, Refused: []store.Refused{
		store.Refuse(c.odd.SHA256, &store.Error{Err: store.Because(store.ErrUnsupported, "negative serial numbers cannot be held"), Hint: "get a new certificate"}),
		{Problem: "orphan", Code: "failed", Reason: "its key is missing"},
	}}
	certificates := []ChangeCertificate{
		NewChangeCertificate(c.root, "trusted", "", nil),
		NewChangeCertificate(c.cjk, "trusted", "", store.Concerns(c.cjk, now)),
		NewChangeCertificate(c.sub, "stored", "", nil),
		NewChangeCertificate(c.leaf, "refused", "it is a leaf", store.Concerns(c.leaf, now)),
		NewChangeCertificate(c.long, "trusted", "", nil),
	}

	dry := NewChangeDoc("trust")
	dry.DryRun, dry.Changed, dry.Certificates = true, true, certificates[:2]
	dry.Stores = []ChangeStore{
		{Store: system, Result: Changed, Plan: &plan},
		{Store: firefox, Result: Changed, Plan: &firefoxPlan},
		{Store: "nss:chromium", Result: Unchanged, Plan: &store.Plan{Store: "nss:chromium"}},
		{Store: jdk, Result: LeftOut, Error: NewErrorInfo(errJDK)},
	}

	done := NewChangeDoc("import")
	done.Set, done.Changed, done.Certificates = "20260615-1", true, certificates
	done.Stores = []ChangeStore{
		{Store: system, Result: Changed, Plan: &plan, Receipt: &store.Receipt{Store: system, Done: []store.Step{step, trust, rebuild,
			{Action: store.ActionAdd, After: &store.State{Present: true}}, {Action: store.ActionRemove}, {Action: store.ActionMend}},
			Undo: plan.Undo, Notices: []string{"running programs read it when they start anew"}}},
		{Store: firefox, Result: Changed, Plan: &firefoxPlan, Receipt: &store.Receipt{Store: firefox, Done: []store.Step{trust}}, Notices: []string{"Firefox is running"}},
		{Store: "nss:chromium", Result: Unchanged},
		{Store: jdk, Result: LeftOut, Error: NewErrorInfo(errJDK)},
	}

	failed := NewChangeDoc("trust")
	failed.Certificates = certificates[:1]
	failed.Error = NewErrorInfo(&store.Error{Op: "trust", Err: store.ErrPermission, Hint: "run it with sudo"})
	failed.Stores = []ChangeStore{
		{Store: firefox, Result: TakenBack},
		{Store: system, Result: Failed, Error: NewErrorInfo(&store.Error{Op: "apply", Store: system, Path: "/etc/ssl/certs",
			Err: store.Because(store.ErrPermission, "permission denied"), Hint: "run it with sudo"})},
		{Store: "nss:chromium", Result: Failed, Error: NewErrorInfo(&store.Error{Op: "apply", Store: "nss:chromium", Err: store.ErrLocked, Hint: "close Chromium"})},
		{Store: jdk, Result: Refused, Error: NewErrorInfo(errors.New("two certificates want one alias"))},
	}

	history := NewHistoryDoc([]HistorySet{
		{ID: "20260615-1", Time: now, By: "root", Command: []string{"certtrust", "trust", "my ca.pem"}, State: "done", Stores: []HistoryStore{
			{Store: system, State: "done", Done: []store.Step{step}}, {Store: firefox, State: "undone", UndoneBy: "20260615-2"}}},
		{ID: "20260614-1", Time: now.AddDate(0, 0, -1), By: "ann\u202e", Command: []string{"certtrust", "remove", "0123456789abcdef"}, State: "undone", Stores: []HistoryStore{{Store: firefox}}},
	})
	dotnet := diagnose.Explain("機関 'intra.example' との SSL/TLS のセキュリティで保護されているチャネルに対する信頼関係を確立できませんでした。")
	curl := diagnose.Explain("$ curl https://intra.example:8443/\ncurl: (60) SSL certificate problem: unable to get\n  local issuer certificate \x1b[31m\nVerify return code: 21 (unable to verify the first certificate)")
	export := NewExportDoc("p12", "trust.p12")
	export.Certificates = []ExportCertificate{{c.root.SHA256, c.root.Label()}, {c.evil.SHA256, c.evil.Label()}}
	version := NewVersionDoc("1.2.3", "go1.26.0", "linux/amd64")

	fetched := NewFetchDoc("www.example.com", "192.0.2.1:443")
	fetched.Certificates = []FetchCertificate{NewFetchCertificate(c.leaf, "sent", now), NewFetchCertificate(c.root, "aia", now)}

	verify := NewVerifyDoc("ca.pem", "www.example.com")
	verify.Time, verify.Verdict, verify.Summary = now, "untrusted", "\"Root\x1b[31m\" is not trusted."
	verify.Causes = []VerifyCause{{Code: "trust.untrusted_root", Summary: "\"Root\x1b[31m\" is not trusted there.", Stores: []string{string(system)}}}
	verify.Stores = []VerifyStore{{ID: string(system), Verdict: "untrusted", Counts: true, Causes: []string{"trust.untrusted_root"}}, {ID: string(jdk), Verdict: "unknown", Error: "it is damaged"}, {ID: string(firefox), Verdict: "trusted"}}
	verify.Platform = []VerifyPlatform{{Store: "windows:CurrentUser", Verdict: store.Verdict{Reasons: []string{"CERT_TRUST_IS_UNTRUSTED_ROOT"}}}}
	yes, no, unknown := clients.Outcome{Verdict: clients.Accepts}, clients.Outcome{Verdict: clients.Refuses, Words: "no\x1b[31m"}, clients.Outcome{Verdict: clients.Unknown, Words: "it took too long"}
	for _, c := range []VerifyClient{
		{Answer: clients.Answer{Client: "curl", Title: "curl", Program: "/usr/bin/curl", Version: "curl 8", Clean: yes, Own: yes, Control: no, OwnControl: no}},
		{Answer: clients.Answer{Client: "openssl", Title: "OpenSSL", Clean: no, Own: yes, Control: no, OwnControl: no}, Because: []string{"SSL_CERT_FILE"}},
		{Answer: clients.Answer{Client: "node", Title: "Node.js", Clean: no, Own: no, Control: no, OwnControl: no}},
		{Answer: clients.Answer{Client: "git", Title: "Git", Clean: yes, Own: yes, Control: no, OwnControl: yes}, Because: []string{"/home/ann/.gitconfig:2: http.sslVerify"}},
		{Answer: clients.Answer{Client: "java", Title: "Java", Clean: unknown, Own: unknown, Control: unknown, OwnControl: unknown}},
		{Answer: clients.Answer{Client: "deno", Title: "Deno", Absent: true, Clean: clients.Outcome{Verdict: clients.Unknown, Words: "it is not installed"}}},
	} {
		verify.Clients = append(verify.Clients, c.Judged())
	}

	env := func(dialect string) EnvDoc {
		d := NewEnvDoc(dialect, "/home/o'neil x/env")
		d.Roots = []EnvRoot{{c.root.SHA256, c.root.Label()}}
		d.Files = []string{d.Dir + "/merged.pem", d.Dir + "/merged.jks"}
		d.Variables = []clients.Variable{
			{Name: "SSL_CERT_FILE", Value: d.Dir + "/merged.pem", Effect: diagnose.Replaces, For: []string{"OpenSSL"}, Now: "/elsewhere\x1b[31m"},
			{Name: "JAVA_TOOL_OPTIONS", Value: "-Da=50% '-Djavax.net.ssl.trustStore=" + d.Dir + "/merged.jks'", Effect: diagnose.Replaces, For: []string{"Java"}, Note: "Java tells of it"},
			{Name: "NODE_USE_SYSTEM_CA", Value: "1", Effect: diagnose.Adds, For: []string{"Node.js"}},
			{Name: "BACK", Value: `C:\Users\me#1`, Effect: diagnose.Adds, For: []string{"x"}},
		}
		if EnvForImage(dialect) {
			d.Variables[0].Value, d.Variables[1].Value = ImageDir+"/merged.pem", "-Djavax.net.ssl.trustStore="+ImageDir+"/merged.jks"
		}
		d.Unmended = []clients.Unmended{{Title: "Erlang", Why: "it reads no variable", Hint: "certtrust trust FILE --system"}}
		return d
	}

	all := map[string]Doc{
		"env.json":           env("sh"),
		"stores-verbose.txt": NewStoresDoc(stores, elsewhere, true),
		"diagnose-ja.txt":    diagnoses(t, diagnose.Japanese)[0],
		"diagnose-good.txt":  diagnoses(t, diagnose.English)[1],
		"diagnose-gone.txt":  diagnoses(t, diagnose.English)[2],
	}
	for name, doc := range map[string]Doc{
		"stores": NewStoresDoc(stores, elsewhere, false), "show": NewShowDoc(shown),
		"change-dry-run": dry, "change-done": done, "change-failed": failed,
		"history": history, "version": version, "verify": verify,
		"diagnose": diagnoses(t, diagnose.English)[0], "fetch": fetched,
		"diagnose-list": DiagnoseListDoc{NewDiagnoseHeader("host", now), diagnoses(t, diagnose.English), diagnose.English},
		"explain":       NewExplainDoc(curl, diagnose.English), "explain-ja": NewExplainDoc(dotnet, diagnose.Japanese),
		"explain-number":  NewExplainDoc(diagnose.Explain("20"), diagnose.English),
		"explain-unknown": NewExplainDoc(diagnose.Explain(strings.Repeat("?", diagnose.MaxExplained+1)), diagnose.Japanese),
		"error":           NewErrorDoc(fmt.Errorf("list: %w", errJDK)),
	} {
		all[name+".txt"], all[name+".json"] = doc, doc
	}
	all["export.json"] = export
	for _, d := range envDialects {
		all["env-"+d.name+".txt"] = env(d.name)
	}
	return all
}

func TestDocs(t *testing.T) {
	formats := map[string]string{"txt": "table", "json": "json"}
	for file, doc := range docs(t) {
		t.Run(file, func(t *testing.T) {
			s, out, errs := term.Test("")
			for extension, format := range formats {
				if len(file) > len(extension) && file[len(file)-len(extension):] == extension {
					if err := Write(s, format, doc); err != nil {
						t.Fatal(err)
					}
				}
			}
			golden(t, file, out, errs)
		})
	}
}

// diagnoses are documents as package diagnose makes them, with everything in
// them that there can be.
func diagnoses(t *testing.T, lang diagnose.Lang) []DiagnoseDoc {
	c := makeCerts(t)
	yes, no, zero, one := true, false, 0, 1
	root, address, jdkError, protocol := c.root.SHA256.String(), "192.0.2.1:443", "the digest does not match", "smtp"
	date := now
	bad := &diagnose.Document{
		Schema: diagnose.Schema, Time: now,
		Target:  diagnose.DocTarget{Input: "https://www.example.com/", Host: "www.example.com", Port: 443, ServerName: "www.example.com"},
		Address: &address, Connection: &diagnose.Connection{TLSVersion: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256", ClientCertRequested: true, HTTPDate: &date},
		Verdict: diagnose.Untrusted, Summary: "The chain is complete, but its root is not trusted.",
		Causes: []diagnose.Cause{
			{Code: "trust.untrusted_root", Severity: diagnose.Error, Confidence: diagnose.Proven, Cert: &root, Depth: &one,
				Summary: "The chain is complete, but its root is not trusted.", Meaning: "Nobody here trusts it.", Hint: "Browsers show the root.",
				Evidence:     []diagnose.Evidence{{Kind: "store", Text: "it is in no store: evil\u202e", Data: map[string]string{"certificate": root}}},
				ClientErrors: map[string]string{"firefox": "SEC_ERROR_UNKNOWN_ISSUER"}, Fixes: []string{"trust.import_root"}, Stores: []string{string(system)}},
			{Code: "time.leaf_expired", Severity: diagnose.Error, Confidence: diagnose.Likely, Depth: &zero,
				Summary: "It has expired.", Evidence: []diagnose.Evidence{{Kind: "field", Text: "notAfter is past"}}},
		},
		Warnings: []diagnose.Cause{
			{Code: "chain.root_included", Severity: diagnose.Info, Confidence: diagnose.Proven, Summary: "The root is sent.", Evidence: []diagnose.Evidence{{Kind: "field", Text: "it is the last one"}}},
			{Code: "store.override", Severity: diagnose.Info, Confidence: diagnose.Proven, Summary: "Not for people.", Evidence: []diagnose.Evidence{{Kind: "store", Text: "a variable"}}},
		},
		Fixes: []diagnose.Fix{{ID: "trust.import_root", For: []string{"trust.untrusted_root"}, Who: "client", OS: "linux", Store: ptr(string(system)), Summary: "Trust the root.",
			Commands: []string{"certtrust trust ca.pem", "one\ntwo"}, Steps: []string{"Compare the fingerprint first."}, RequiresAdmin: true, Risk: "low", Preferred: true}},
		NotRecommended: []diagnose.Not{{ID: "skip_verification", Why: "It protects from nothing then."}},
		Chain: []diagnose.ChainCert{
			{Position: &zero, Source: "sent", Role: "leaf", Subject: `CN=www.example.com,O=Example\, Inc.`, Issuer: "CN=Example Root", SHA256: c.leaf.SHA256.String(), SPKI: c.leaf.SHA256.String(),
				NotBefore: now.AddDate(-2, 0, 0), NotAfter: now.AddDate(-1, 0, 0), Key: "EC P-256", Signature: "SHA256-ECDSA", Names: []string{"www.example.com"}, Problems: []string{"time.leaf_expired"}},
			{Position: &one, Source: "sent", Role: "root", Subject: "CN=Example Root", Issuer: "CN=Example Root", SHA256: root, SPKI: root,
				NotBefore: now.AddDate(0, 1, 0), NotAfter: now.AddDate(1, 0, 0), Key: "RSA 2048", Problems: []string{"trust.untrusted_root"}},
			{Position: ptr(2), Source: "sent", Role: "extra", Subject: "O=No common name", Issuer: "CN=x", SHA256: c.cjk.SHA256.String(), SPKI: root},
		},
		Paths: []diagnose.Path{{Store: string(system), Certs: []string{c.leaf.SHA256.String(), root}}},
		Stores: []diagnose.StoreView{
			{ID: string(system), Kind: "anchors", Scope: "system", Verdict: "untrusted", Causes: []string{"trust.untrusted_root"}, Counts: true},
			{ID: string(jdk), Kind: "java", Scope: "system", Verdict: "unknown", Error: &jdkError},
		},
		Clients: []diagnose.ClientView{
			{ID: "firefox", Accepts: &no, Error: "SEC_ERROR_UNKNOWN_ISSUER", Why: "The chain is complete, but its root is not trusted."},
			{ID: "java", Accepts: &yes, Store: string(jdk)}, {ID: "go"},
		},
		Overrides: []diagnose.DocOver{
			{Client: "openssl", Source: "SSL_CERT_FILE", Name: "SSL_CERT_FILE", Value: "/x", Effect: "replaces"},
			{Client: "go", Source: "SSL_CERT_FILE", Name: "SSL_CERT_FILE", Value: "/x", Effect: "replaces"},
			{Client: "git", Source: "GIT_SSL_NO_VERIFY", Name: "GIT_SSL_NO_VERIFY", Value: "1", Effect: "disables"},
		},
	}
	good := &diagnose.Document{
		Schema: diagnose.Schema, Time: now, Target: diagnose.DocTarget{Input: "mail.example.com", Host: "2001:db8::1", Port: 25, StartTLS: &protocol},
		Address: &address, Verdict: diagnose.Trusted, Summary: "It is trusted.",
		Chain: []diagnose.ChainCert{
			{Position: &zero, Source: "sent", Role: "leaf", Subject: "CN=mail.example.com", Issuer: "CN=Example Root", SHA256: c.leaf.SHA256.String(), SPKI: root, NotBefore: now, NotAfter: now.AddDate(0, 1, 0)},
			{Source: "store", Store: string(system), Role: "root", Subject: "CN=Example Root", Issuer: "CN=Example Root", SHA256: root, SPKI: root, NotBefore: now, NotAfter: now.AddDate(1, 0, 0)},
		},
		Paths:  []diagnose.Path{{Store: string(system), Certs: []string{c.leaf.SHA256.String(), root}, Anchor: true}},
		Stores: []diagnose.StoreView{{ID: string(system), Kind: "anchors", Scope: "system", Verdict: "trusted", Anchor: &root, Counts: true}},
	}
	gone := &diagnose.Document{
		Schema: diagnose.Schema, Time: now, Target: diagnose.DocTarget{Input: "gone.example", Host: "gone.example", Port: 443}, Verdict: diagnose.Unreachable, Summary: "Nobody answers.",
		Causes: []diagnose.Cause{{Code: "net.refused", Severity: diagnose.Error, Confidence: diagnose.Proven, Summary: "Nobody answers.", Evidence: []diagnose.Evidence{{Kind: "socket", Text: "connection refused"}}}},
	}
	return []DiagnoseDoc{{bad, lang}, {good, lang}, {gone, lang}}
}

func ptr[T any](v T) *T { return &v }

// Many diagnoses are a line each, after one that says who asked.
func TestDiagnoseLines(t *testing.T) {
	s, out, errs := term.Test("")
	if err := JSONLine(s.Out, NewDiagnoseHeader("host", now)); err != nil {
		t.Fatal(err)
	}
	for _, d := range diagnoses(t, diagnose.English) {
		if err := Write(s, "jsonl", d); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "diagnose-list.jsonl", out, errs)
}
