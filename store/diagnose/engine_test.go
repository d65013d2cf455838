package diagnose

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/roots"
	"github.com/certtrust/certtrust/store/storetest"
)

// said returns what a client is expected to do.
func said(t *testing.T, d *Document, id string) (accepts bool, message string) {
	t.Helper()
	for _, v := range d.Clients {
		if v.ID == id {
			if v.Accepts == nil {
				t.Fatalf("%s: not told", id)
			}
			return *v.Accepts, v.Error
		}
	}
	t.Fatalf("no client %s", id)
	return false, ""
}

// The words of clients that depend on the case.
func TestClientErrors(t *testing.T) {
	find := func(name string) func(*testing.T, *world) Input {
		return cases[slices.IndexFunc(cases, func(c diagnoseCase) bool { return c.name == name })].in
	}
	for _, c := range []struct {
		name   string
		client string
		want   string
	}{
		{"unknown issuer", "node", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"},
		{"unknown issuer of an intermediate", "node", "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"},
		{"unknown issuer", "curl", "curl: (60) SSL certificate problem: unable to get local issuer certificate"},
		{"self-signed", "openssl", "verify error:num=18:self-signed certificate"},
		{"self-signed", "node", "DEPTH_ZERO_SELF_SIGNED_CERT"},
		{"self-signed", "firefox", "MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT"},
		{"untrusted root, sent", "openssl", "verify error:num=19:self-signed certificate in certificate chain"},
		{"untrusted root, sent", "node", "SELF_SIGNED_CERT_IN_CHAIN"},
		{"old copy of the root", "firefox", "SEC_ERROR_BAD_SIGNATURE"},
		{"old copy of the root", "openssl", "verify error:num=20:unable to get local issuer certificate"},
		{"expired and wrong name", "chromium", "ERR_CERT_COMMON_NAME_INVALID"},
		{"expired and wrong name", "curl", "curl: (60) SSL certificate problem: certificate has expired"},
		{"expired and untrusted", "firefox", "SEC_ERROR_UNKNOWN_ISSUER"},
		{"expired leaf", "node", "CERT_HAS_EXPIRED"},
		{"expired intermediate", "firefox", "SEC_ERROR_EXPIRED_ISSUER_CERTIFICATE"},
		{"wrong name", "node", "ERR_TLS_CERT_ALTNAME_INVALID"},
		{"wrong name", "java", "No subject alternative DNS name matching other.test found"},
		{"CA as a server", "firefox", "MOZILLA_PKIX_ERROR_CA_CERT_USED_AS_END_ENTITY"},
		{"weak key", "openssl", "verify error:num=66:EE certificate key too weak"},
		{"common name only", "go", "x509: certificate relies on legacy Common Name field, use SANs instead"},
		{"name constraints", "openssl", "verify error:num=47:permitted subtree violation"},
	} {
		in := find(c.name)(t, newWorld(t))
		accepts, got := said(t, Diagnose(t.Context(), in), c.client)
		if accepts || got != c.want {
			t.Errorf("%s: %s accepts: %t, says %q; want %q", c.name, c.client, accepts, got, c.want)
		}
	}
}

// What a program reads decides, and what is set for it in the environment.
func TestClientStores(t *testing.T) {
	w := newWorld(t)
	other := storetest.NewCA(t)
	in := w.input(w.leaf(t, w.inter), w.inter)
	in.Views[0].Info.Readers = []string{"OpenSSL", "curl", "Java"}
	firefox := view("nss:firefox/x", other)
	firefox.Info.Readers, firefox.Counts, firefox.Programme = []string{"Firefox"}, false, true
	in.Views = append(in.Views, firefox)
	in.Overrides = []Override{
		{Client: "java", Source: "JAVA_TOOL_OPTIONS", Name: "javax.net.ssl.trustStore", Value: "/x", Effect: Replaces, Roots: []*store.Cert{other.Cert()}},
		{Client: "python", Source: "SSL_CERT_FILE", Name: "SSL_CERT_FILE", Value: "/y", Effect: Adds, Roots: []*store.Cert{w.root.Cert()}},
		{Client: "node", Source: "NODE_TLS_REJECT_UNAUTHORIZED", Name: "NODE_TLS_REJECT_UNAUTHORIZED", Value: "0", Effect: Disables},
	}
	d := Diagnose(t.Context(), in)
	for id, want := range map[string]bool{"openssl": true, "curl": true, "firefox": false, "chromium": false, "java": false, "python": true, "node": true} {
		if got, _ := said(t, d, id); got != want {
			t.Errorf("%s accepts: %t", id, got)
		}
	}
	if d.Verdict != Trusted || len(d.Overrides) != 3 || !slices.Contains(codes(d.Warnings), "store.verification_off") {
		t.Errorf("%s %v %v", d.Verdict, codes(d.Warnings), d.Overrides)
	}
}

// Without any store, the root programme is what is judged by.
func TestNoStores(t *testing.T) {
	w := newWorld(t)
	in := w.input(w.leaf(t, w.inter), w.inter)
	in.Views, in.Roots = nil, roots.New("Test", roots.Date(), []roots.Root{{Cert: w.root.Cert()}})
	d := Diagnose(t.Context(), in)
	if d.Verdict != Trusted || len(d.Stores) != 1 || !slices.Contains(codes(d.Warnings), "policy.ct_required") {
		t.Errorf("%s %v", d.Verdict, codes(d.Warnings))
	}
	if ok, _ := said(t, d, "chromium"); ok {
		t.Error("Chromium takes a public certificate that was not logged")
	}
	if ok, _ := said(t, d, "curl"); !ok {
		t.Error("curl looks for logs")
	}
	// And with the whole programme, a certificate of somebody else is nothing.
	in.Roots = nil
	if d := Diagnose(t.Context(), in); d.Verdict != Untrusted || d.Causes[0].Code != "trust.unknown_issuer" {
		t.Errorf("%s %v", d.Verdict, codes(d.Causes))
	}
}

// A clock is only called wrong if more than one lying witness says so, or what
// has passed for certain does.
func TestClock(t *testing.T) {
	w := newWorld(t)
	leaf := w.leaf(t, w.inter, storetest.Template(func(c *x509.Certificate) {
		c.IssuingCertificateURL, c.CRLDistributionPoints = []string{"http://ca.test/i.cer"}, []string{"http://crl.test/l"}
	}))
	later := w.now.AddDate(3, 0, 0)
	in := w.input(leaf)
	in.Now, in.Capture.HTTPDate = later, w.now
	w.web["http://ca.test/i.cer"] = w.inter.DER()
	in.Fetcher = dated{w, w.now.Add(time.Second)}
	d := Diagnose(t.Context(), in)
	if d.Causes[0].Code != "time.clock_wrong" || d.Causes[0].Confidence != Proven {
		t.Errorf("two witnesses: %v, %s", codes(d.Causes), d.Causes[0].Confidence)
	}
	in.Fetcher = dated{w, later}
	if d := Diagnose(t.Context(), in); d.Causes[0].Code == "time.clock_wrong" && d.Causes[0].Confidence == Proven {
		t.Errorf("one against one is no proof: %v", codes(d.Causes))
	}
	in.At = true
	if d := Diagnose(t.Context(), in); slices.Contains(codes(d.Causes), "time.clock_wrong") {
		t.Errorf("a time that was chosen is no clock: %v", codes(d.Causes))
	}
	in = w.input(w.leaf(t, w.inter), w.inter)
	in.Built = w.now.AddDate(1, 0, 0)
	if d := Diagnose(t.Context(), in); d.Verdict != Trusted || !slices.Contains(codes(d.Warnings), "time.clock_wrong") {
		t.Errorf("before this program was made: %v %v", codes(d.Causes), codes(d.Warnings))
	}
}

type dated struct {
	*world
	at time.Time
}

func (d dated) Fetch(ctx context.Context, r Request) (Response, error) {
	response, err := d.world.Fetch(ctx, r)
	response.Date = d.at
	return response, err
}

// An authority that is known to be bad is one wherever it is.
func TestKnownBad(t *testing.T) {
	if len(badRoots()) < 35 || len(interceptors()) < 25 {
		t.Errorf("%d bad roots, %d products", len(badRoots()), len(interceptors()))
	}
	w := newWorld(t)
	known := badRoots()
	for _, installed := range []bool{true, false} {
		// The program knows none of which a test has the key.
		root := storetest.NewCA(t)
		e := &engine{ctx: t.Context(), in: w.input(w.leaf(t, root), root), lang: English, now: w.now, programme: roots.Mozilla(),
			nodes: map[store.Fingerprint]*node{}, edges: map[[2]store.Fingerprint]edge{}, bad: map[string]badRoot{root.Cert().SHA256.String(): {"Its key is public", "a test"}}}
		if installed {
			e.in.Views = []View{view("anchors:system", root)}
		}
		d := e.run()
		if d.Verdict != Untrusted || d.Causes[0].Code != "trust.known_bad_root" {
			t.Errorf("installed %t: %s %v", installed, d.Verdict, codes(d.Causes))
		}
		if slices.ContainsFunc(d.Fixes, func(f Fix) bool { return f.ID == "trust.remove_root" }) != installed || slices.ContainsFunc(d.Fixes, func(f Fix) bool { return f.ID == "trust.import_root" }) {
			t.Errorf("installed %t: %+v", installed, d.Fixes)
		}
		if accepts, _ := said(t, d, "chromium"); accepts {
			t.Error("Chromium takes it")
		}
		if accepts, _ := said(t, d, "curl"); accepts != installed {
			t.Error("curl knows of bad roots")
		}
	}
	if len(known) != len(badRoots()) {
		t.Error("the table was changed")
	}
	c := storetest.NewCA(t).Cert()
	if KnownBad(c) != "" {
		t.Error("a new authority is known to be bad")
	}
	if product, kind := Intercepts(storetest.NewCA(t, storetest.CN("McAfee Web Gateway")).Cert().Subject); product != "McAfee Web Gateway" || kind != "proxy" {
		t.Errorf("%q %q", product, kind)
	}
}

// What is put into commands is one word of the shell, whatever it is.
func TestCommandsAreQuoted(t *testing.T) {
	for _, c := range []struct{ value, os, want string }{
		{"www.example.test", "linux", "www.example.test"},
		{"", "linux", "''"},
		{"a b", "linux", "'a b'"},
		{"$(id)", "linux", "'$(id)'"},
		{"it's", "linux", `'it'\''s'`},
		{"it's", "windows", "'it''s'"},
		{"it’s; id", "windows", "'it''s; id'"},
		{"-rf", "linux", "'-rf'"},
		{"a\nb\x1b[0m", "linux", "'a?b?[0m'"},
		{"a\u202eb", "linux", "'a?b'"},
		{"`id`", "linux", "'`id`'"},
		{"ünï", "linux", "'ünï'"},
	} {
		if got := shellQuote(c.value, c.os); got != c.want {
			t.Errorf("%q on %s: %s, want %s", c.value, c.os, got, c.want)
		}
	}
	for _, hostile := range storetest.HostileNames() {
		w := newWorld(t)
		ca := storetest.NewCA(t, storetest.CN(hostile))
		in := w.input(w.leaf(t, ca), ca)
		in.Capture.Target.Host = hostile
		in.Views[0].Info.ID = store.ID("java:" + hostile)
		for _, os := range []string{"linux", "darwin", "windows"} {
			in.OS = os
			d := Diagnose(t.Context(), in)
			checkDocument(t, d)
			for _, f := range d.Fixes {
				for _, c := range f.Commands {
					if hostile != "" && len(hostile) > 3 && strings.Contains(c, " "+hostile+" ") && shellQuote(hostile, os) != hostile {
						t.Errorf("%s: %q is in it as it is: %s", f.ID, hostile, c)
					}
					if strings.ContainsAny(c, "\n\x1b\x00\u202e") {
						t.Errorf("%s: control characters: %q", f.ID, c)
					}
				}
			}
		}
	}
}

// The commands of a fix are those of the system, the family and the store.
func TestFixes(t *testing.T) {
	w := newWorld(t)
	ca := storetest.NewCA(t)
	for _, c := range []struct{ id, os, family, want string }{
		{"anchors:system", "linux", "debian", "update-ca-certificates"},
		{"anchors:system", "linux", "fedora", "update-ca-trust"},
		{"nss:chromium", "linux", "debian", "certutil -d"},
		{"java:/opt/jdk/lib/security/cacerts", "linux", "debian", "keytool -importcert -keystore /opt/jdk/lib/security/cacerts"},
		{"keychain:system", "darwin", "", "security add-trusted-cert"},
		{"windows:LocalMachine", "windows", "", "certutil -addstore Root"},
	} {
		in := w.input(w.leaf(t, ca), ca)
		in.Views, in.OS, in.Family = []View{view(c.id, w.root)}, c.os, c.family
		d := Diagnose(t.Context(), in)
		// The server sends the root, which is the shortest way to have it.
		if len(d.Fixes) < 2 || d.Fixes[0].ID != AcceptRoot || !d.Fixes[0].Preferred || d.Fixes[1].ID != "trust.import_root" {
			t.Fatalf("%s: %+v", c.id, d.Fixes)
		}
		if d.Certificate(*d.Causes[0].Cert) == nil {
			t.Errorf("%s: the root is not at hand", c.id)
		}
		all := strings.Join(d.Fixes[1].Commands, "\n")
		if !strings.Contains(all, "certtrust trust ca.pem --store "+c.id) || !strings.Contains(all, c.want) {
			t.Errorf("%s: %s", c.id, all)
		}
		if strings.Index(all, "certtrust trust") > strings.Index(all, c.want) {
			t.Errorf("%s: our own command comes first: %s", c.id, all)
		}
	}
	// What nobody can write is not advised to be written, and what is generated
	// from another store is changed there.
	in := w.input(w.leaf(t, ca), ca)
	in.Views, in.OS = []View{view("anchors:system", w.root), view("java:/generated", w.root), view("builtin:nss", w.root), view("nss:chromium", w.root)}, "linux"
	in.Views[1].Info.DerivedFrom = "anchors:system"
	in.Views[2].Info.Access.Write = &store.Obstacle{Kind: store.ReadOnly}
	var stores []string
	for _, f := range Diagnose(t.Context(), in).Fixes {
		if f.ID == "trust.import_root" {
			stores = append(stores, *f.Store)
		}
	}
	if want := []string{"anchors:system", "nss:chromium"}; !slices.Equal(stores, want) {
		t.Errorf("the root is to be trusted in %q, not %q", stores, want)
	}
	// A browser's database follows the system by being linked to it, on Linux.
	in = w.input(w.leaf(t, w.inter), w.inter)
	in.Views = append(in.Views, view("nss:chromium", storetest.NewCA(t)))
	for _, os := range []string{"linux", "darwin"} {
		in.OS = os
		d := Diagnose(t.Context(), in)
		i := slices.IndexFunc(d.Fixes, func(f Fix) bool { return f.ID == "trust.use_system_store" })
		if i < 0 || slices.Contains(d.Fixes[i].Commands, "certtrust link-system --store nss:chromium") != (os == "linux") ||
			strings.Contains(strings.Join(d.Fixes[i].Commands, ""), "NODE") {
			t.Errorf("%s: %+v", os, d.Fixes)
		}
	}
	// None of the fixes there are is one that must not be made.
	for _, c := range cases {
		d := Diagnose(t.Context(), c.in(t, newWorld(t)))
		for _, f := range d.Fixes {
			if f.ID == "trust.leaf" || f.ID == "skip_verification" || f.Preferred && f.Risk == "high" {
				t.Errorf("%s: %s is offered", c.name, f.ID)
			}
			for _, command := range f.Commands {
				for _, bad := range []string{" -k ", "--insecure", "REJECT_UNAUTHORIZED", "verify=False", "--no-check-certificate"} {
					if strings.Contains(command, bad) {
						t.Errorf("%s: %s: %s", c.name, f.ID, command)
					}
				}
			}
		}
		if d.Verdict == Untrusted && !slices.ContainsFunc(d.NotRecommended, func(n Not) bool { return n.ID == "skip_verification" }) {
			t.Errorf("%s: nothing is said against switching verification off", c.name)
		}
		if d.Verdict != Trusted && len(d.Fixes) == 0 {
			t.Errorf("%s: nothing can be done?", c.name)
		}
	}
}

// A server can send certificates that fit together in more ways than can be
// tried; no diagnosis takes long.
func TestHostileChains(t *testing.T) {
	w := newWorld(t)
	name := func(i int) storetest.Option { return storetest.CN(fmt.Sprintf("Mesh %d", i)) }
	var mesh [][]byte
	var authorities []*storetest.CA
	for i := range 8 {
		authorities = append(authorities, storetest.NewCA(t, name(i)))
	}
	for i, below := range authorities {
		for j, above := range authorities {
			if i != j {
				mesh = append(mesh, above.Intermediate(t, name(i), storetest.Key(below.Key())).DER())
			}
		}
	}
	leaf := w.leaf(t, authorities[0])
	for what, list := range map[string][][]byte{
		"mesh":     append([][]byte{leaf.DER()}, mesh...),
		"the same": append([][]byte{leaf.DER()}, slices.Repeat([][]byte{authorities[0].DER()}, 5000)...),
		"garbage":  slices.Repeat([][]byte{{0x30}}, 5000),
		"empty":    {{}},
		"nothing":  {nil, nil},
	} {
		in := w.input()
		in.Capture.Certificates = list
		began := time.Now()
		d := Diagnose(t.Context(), in)
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%s: took %v", what, took)
		} else {
			t.Logf("%s: %v", what, took)
		}
		if d.Verdict != Untrusted {
			t.Errorf("%s: %s", what, d.Verdict)
		}
		checkDocument(t, d)
		if size, err := json.Marshal(d); err != nil || len(size) > 1<<20 {
			t.Errorf("%s: a document of %d bytes (%v)", what, len(size), err)
		}
	}
}

// A diagnosis that is cancelled comes to its end.
func TestCancelled(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	checkDocument(t, Diagnose(ctx, w.input(w.leaf(t, w.inter), w.inter)))
}

// Every document fits the contract.
func TestSchema(t *testing.T) {
	raw, err := os.ReadFile("../../testdata/schema/diagnose.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema jsonschema.Schema
	if err := json.Unmarshal(raw, &schema); err != nil {
		t.Fatal(err)
	}
	schema.ID = "https://certtrust.test/diagnose"
	resolved, err := schema.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		text, err := json.Marshal(Diagnose(t.Context(), c.in(t, newWorld(t))))
		if err != nil {
			t.Fatal(err)
		}
		var value any
		if err := json.Unmarshal(text, &value); err != nil {
			t.Fatal(err)
		}
		if err := resolved.Validate(value); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// The same input gives the same document.
func TestStable(t *testing.T) {
	for _, c := range cases {
		in := c.in(t, newWorld(t))
		a, _ := json.Marshal(Diagnose(t.Context(), in))
		b, _ := json.Marshal(Diagnose(t.Context(), in))
		if !bytes.Equal(a, b) {
			t.Errorf("%s: differs from run to run:\n%s\n%s", c.name, a, b)
		}
	}
}

func TestUnreadableStore(t *testing.T) {
	w := newWorld(t)
	in := w.input(w.leaf(t, w.inter), w.inter)
	in.Views = append([]View{{Info: store.Info{ID: "nss:broken"}, Err: errors.New("it is damaged"), Counts: true}}, in.Views...)
	d := Diagnose(t.Context(), in)
	if d.Verdict != Trusted || d.Stores[0].Verdict != "unknown" || d.Stores[1].Verdict != "trusted" || !slices.Contains(codes(d.Warnings), "store.unreadable") {
		t.Errorf("%s %+v %v", d.Verdict, d.Stores, codes(d.Warnings))
	}
	in.Views = in.Views[:1]
	if d := Diagnose(t.Context(), in); d.Verdict != Untrusted || d.Causes[0].Code != "store.unreadable" {
		t.Errorf("with no store that can be read: %s %v", d.Verdict, codes(d.Causes))
	}
}

func FuzzDiagnose(f *testing.F) {
	w := newWorld(f)
	leaf := w.leaf(f, w.inter)
	f.Add(leaf.DER(), w.inter.DER(), w.root.DER(), []byte{0x30, 3, 0x0a, 1, 1}, host)
	f.Add([]byte{0x30}, []byte{}, []byte("x"), []byte{}, "[::1]")
	f.Fuzz(func(t *testing.T, a, b, c, staple []byte, name string) {
		in := w.input()
		in.Capture.Target.Host, in.Capture.Certificates, in.Capture.Staple = name, [][]byte{a, b, c}, staple
		in.Fetcher = dated{&world{web: map[string][]byte{"http://ca.test/i.cer": b}}, w.now}
		d := Diagnose(t.Context(), in)
		checkDocument(t, d)
		if _, err := json.Marshal(d); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkDiagnose(b *testing.B) {
	w := newWorld(b)
	in := w.input(w.leaf(b, w.inter), w.inter)
	for _, c := range storetest.Many(b, 150) {
		in.Views[0].Entries = append(in.Views[0].Entries, store.Entry{Cert: c, Trust: store.TrustFor(store.Trusted, store.PurposeAny)})
	}
	b.Run("trusted", func(b *testing.B) {
		for b.Loop() {
			Diagnose(b.Context(), in)
		}
	})
	in.Views[0].Entries = in.Views[0].Entries[1:]
	b.Run("untrusted", func(b *testing.B) {
		for b.Loop() {
			Diagnose(b.Context(), in)
		}
	})
}

// What is wrong in a browser's database is told with the browser's name, in
// Japanese too, and with what is to be done in that browser and no other.
func TestBrowserStores(t *testing.T) {
	english := regexp.MustCompile(`[a-z]+ [a-z]+ [a-z]+`) // a sentence, not a name
	japanese := regexp.MustCompile(`[\x{3040}-\x{30ff}\x{4e00}-\x{9fff}]`)
	for _, browser := range []struct {
		id, title string
		readers   []string
		en, ja    string   // what it is called
		own       []string // in the fixes, and not in those of the others
	}{
		{"nss:firefox/abcdefgh.default", "Firefox profile default", []string{"Firefox"}, "Firefox profile default (nss:firefox/abcdefgh.default)", "Firefox (nss:firefox/abcdefgh.default)", []string{"Firefox: ", "about:config"}},
		{"nss:librewolf/abcdefgh.default", "LibreWolf profile default", []string{"LibreWolf"}, "LibreWolf profile default (nss:librewolf/abcdefgh.default)", "LibreWolf (nss:librewolf/abcdefgh.default)", []string{"Firefox: ", "about:config"}},
		{"nss:chromium", "Database of the Chromium family", []string{"Chromium", "Brave"}, "Database of the Chromium family (nss:chromium)", "Chromium 系ブラウザーのデータベース (nss:chromium)", []string{"Chrome: "}},
		{"nss:chromium-snap", "Database of Chromium (snap)", []string{"Chromium"}, "Database of Chromium (snap) (nss:chromium-snap)", "Chromium (nss:chromium-snap)", []string{"Chrome: "}},
		{"nss:/srv/db", "NSS database", nil, "NSS database (nss:/srv/db)", "NSS データベース (nss:/srv/db)", []string{"Firefox: ", "Chrome: "}},
	} {
		for code, trust := range map[string]store.Trust{
			"trust.not_in_this_store":   nil,
			"trust.present_not_trusted": {},
			"trust.wrong_purpose":       store.TrustFor(store.Trusted, store.PurposeEmail),
			"trust.distrusted":          store.TrustFor(store.Distrusted, store.PurposeServerAuth),
		} {
			for lang, called := range map[Lang]string{English: browser.en, Japanese: browser.ja} {
				t.Run(fmt.Sprint(browser.id, " ", code, " ", lang), func(t *testing.T) {
					w := newWorld(t)
					in := w.input(w.leaf(t, w.inter), w.inter)
					v := View{Info: store.Info{ID: store.ID(browser.id), Backend: "nss", Title: browser.title, Scope: store.ScopeUser, Readers: browser.readers}, Counts: true, Programme: true}
					if trust != nil {
						v.Entries = []store.Entry{{Cert: w.root.Cert(), Trust: trust}}
					}
					in.Views[0].Info.Title = "Debian's ca-certificates"
					in.Views, in.Lang = append(in.Views, v), lang
					d := Diagnose(t.Context(), in)
					if d.Verdict != Untrusted || len(d.Causes) != 1 || d.Causes[0].Code != code {
						t.Fatalf("%s %v", d.Verdict, codes(d.Causes))
					}
					c := d.Causes[0]
					if !strings.Contains(c.Summary, called) || !strings.Contains(c.Evidence[0].Text, called) {
						t.Errorf("%q, %q do not name %q", c.Summary, c.Evidence[0].Text, called)
					}
					sentences := []string{d.Summary, c.Summary, c.Meaning, c.Evidence[0].Text}
					var done []string
					for _, f := range d.Fixes {
						if f.Store == nil || *f.Store != browser.id {
							if f.Store != nil {
								t.Errorf("the fix %s is for %s", f.ID, *f.Store)
							}
							continue
						}
						sentences, done = append(append(sentences, f.Summary), f.Steps...), append(append(done, f.Commands...), f.Steps...)
					}
					for _, n := range d.NotRecommended {
						sentences = append(sentences, n.Why)
					}
					for _, s := range sentences {
						if lang == Japanese && (!japanese.MatchString(s) || english.MatchString(s)) {
							t.Errorf("%q is not Japanese", s)
						}
					}
					all := strings.Join(done, "\n")
					if code == "trust.distrusted" {
						if strings.Contains(all, "certtrust trust ") || !strings.Contains(all, "certtrust show "+w.root.Cert().SHA256.String()) {
							t.Errorf("what to do is\n%s", all)
						}
						return
					}
					if !strings.Contains(all, "--store "+browser.id) {
						t.Errorf("no command is for the store:\n%s", all)
					}
					for _, mark := range []string{"Firefox: ", "Chrome: ", "about:config"} {
						if strings.Contains(all, mark) && !slices.Contains(browser.own, mark) && !(mark == "about:config" && slices.Contains(browser.own, "Firefox: ")) {
							t.Errorf("%q is told, which is for another browser:\n%s", mark, all)
						}
						if code == "trust.not_in_this_store" && slices.Contains(browser.own, mark) && !strings.Contains(all, mark) {
							t.Errorf("%q is not told:\n%s", mark, all)
						}
					}
				})
			}
		}
	}
}
