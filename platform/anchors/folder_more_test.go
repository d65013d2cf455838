package anchors

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
	"github.com/certtrust/certtrust/store/storetest"
)

func (b *folderBox) write(p string, data []byte) {
	b.Helper()
	file := filepath.Join(b.root, filepath.FromSlash(p))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		b.Fatal(err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		b.Fatal(err)
	}
}

func (b *folderBox) read(p string) string {
	b.Helper()
	data, err := os.ReadFile(filepath.Join(b.root, filepath.FromSlash(p)))
	if err != nil {
		b.Fatal(err)
	}
	return string(data)
}

func (b *folderBox) entries() []store.Entry {
	b.Helper()
	var out []store.Entry
	for e, err := range b.open().Entries(b.Context()) {
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

// of returns the entries of a certificate.
func (b *folderBox) of(c *store.Cert) []store.Entry {
	b.Helper()
	return slices.DeleteFunc(b.entries(), func(e store.Entry) bool { return e.Cert == nil || e.Cert.SHA256 != c.SHA256 })
}

func (b *folderBox) do(want ...store.Change) (store.Receipt, error) {
	b.Helper()
	s := b.open()
	p, err := s.Plan(b.Context(), want)
	if err != nil {
		b.Fatal(err)
	}
	for _, r := range p.Refused {
		return store.Receipt{}, r.Err("", p.Store)
	}
	return s.Apply(b.Context(), p)
}

func codes(list []store.Problem) string {
	var out []string
	for _, p := range list {
		out = append(out, p.Code)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

const (
	fedoraSource = "/etc/pki/ca-trust/source"
	fedoraVendor = "/usr/share/pki/ca-trust-source"
	fedoraBundle = "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"
	fedoraEmail  = "/etc/pki/ca-trust/extracted/pem/email-ca-bundle.pem"
)

// p11Object writes a certificate as an object of p11-kit's.
func p11Object(c *store.Cert, more string) string {
	return "[p11-kit-object-v1]\nclass: certificate\ncertificate-type: x-509\n" + more + string(certfile.EncodePEM(c)) + "\n"
}

func percent(b []byte) string {
	var out strings.Builder
	for _, x := range b {
		fmt.Fprintf(&out, "%%%02x", x)
	}
	return `"` + out.String() + `"`
}

// What p11-kit's files say is told: how far a certificate is trusted, what that
// comes to in each bundle, and what is wrong.
func TestP11KitEntries(t *testing.T) {
	b := newFolderBox(t, layout(t, "fedora"))
	limited, late, leaf, plain, dropped := newCA(t, "Limited").Cert(), newCA(t, "Late").Cert(), newCA(t, "Leaf", storetest.NotCA()).Cert(), newCA(t, "Plain").Cert(), newCA(t, "Dropped").Cert()
	blocked, extra, rejected := newCA(t, "Blocked").Cert(), newCA(t, "Extra").Cert(), newCA(t, "Rejected").Cert()
	usages, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 4}})
	if err != nil {
		t.Fatal(err)
	}
	ext, err := asn1.Marshal(struct {
		ID    asn1.ObjectIdentifier
		Value []byte
	}{asn1.ObjectIdentifier{2, 5, 29, 37}, usages})
	if err != nil {
		t.Fatal(err)
	}
	serial, err := asn1.Marshal(b.vendor[2].Serial)
	if err != nil {
		t.Fatal(err)
	}
	b.write(fedoraVendor+"/bundle.p11-kit", []byte(
		p11Object(limited, "label: \"Its label\"\ntrusted: true\n")+
			"[p11-kit-object-v1]\nclass: x-certificate-extension\nobject-id: 2.5.29.37\nvalue: "+percent(ext)+"\npublic-key-info: "+percent(limited.SPKI)+"\n"+
			p11Object(late, "trusted: true\nnss-server-distrust-after: \"241130235959Z\"\n")+
			"[p11-kit-object-v1]\nlabel: \"broken\n"))
	b.write(fedoraSource+"/anchors/leaf.pem", certfile.EncodePEM(leaf))
	b.write(fedoraSource+"/plain.pem", certfile.EncodePEM(plain))
	b.write(fedoraSource+"/anchors/dropped.pem", certfile.EncodePEM(dropped))
	b.write(fedoraSource+"/anchors/blocked.pem", certfile.EncodePEM(blocked))
	b.write(fedoraSource+"/blocklist/blocked.pem", certfile.EncodePEM(blocked))
	b.write(fedoraSource+"/anchors/rejected.p11-kit", []byte(p11Object(rejected, "x-distrusted: true\n")))
	b.write(fedoraSource+"/serial.p11-kit", []byte("[p11-kit-object-v1]\nclass: certificate\ncertificate-type: x-509\nx-distrusted: true\nissuer: "+
		percent(b.vendor[2].Issuer.Raw)+"\nserial-number: "+percent(serial)+"\n"))
	b.write(fedoraSource+"/anchors/nothing.txt", []byte("nothing"))
	b.write(fedoraBundle, slices.Concat(certfile.EncodePEM(b.vendor[0]), certfile.EncodePEM(b.vendor[2]), certfile.EncodePEM(late), certfile.EncodePEM(extra)))
	b.write(fedoraEmail, slices.Concat(certfile.EncodePEM(b.vendor[0]), certfile.EncodePEM(late), certfile.EncodePEM(limited)))

	for _, c := range []struct {
		cert     *store.Cert
		trust    string
		native   map[string]string
		problems string
	}{
		{b.vendor[0], "trusted: any", map[string]string{"in": "tls-ca-bundle.pem, email-ca-bundle.pem"}, ""},
		{b.vendor[2], "trusted: any", map[string]string{"in": "tls-ca-bundle.pem", "distrusted-by": fedoraSource + "/serial.p11-kit"}, "still-in-bundle"},
		{limited, "trusted: email", map[string]string{"in": "email-ca-bundle.pem"}, "p11-kit-object p11-kit-object"},
		{late, "trusted: any", map[string]string{"in": "tls-ca-bundle.pem, email-ca-bundle.pem", "server-distrust-after": "2024-11-30T23:59:59Z, heeded by NSS alone"}, ""},
		{leaf, "", nil, "no-authority"},
		{plain, "", nil, ""},
		{dropped, "", nil, "anchor-not-in-bundle"},
		{extra, "trusted: any", nil, "no-anchor"},
		{rejected, "distrusted: any", map[string]string{"distrusted-by": fedoraSource + "/anchors/rejected.p11-kit"}, ""},
	} {
		found := b.of(c.cert)
		if len(found) != 1 {
			t.Errorf("%s is listed %d times", c.cert.Label(), len(found))
			continue
		}
		e := found[0]
		if e.Trust.String() != c.trust || !maps.Equal(e.Native, c.native) || codes(e.Problems) != c.problems {
			t.Errorf("%s: trust %q, native %v, problems %q", c.cert.Label(), e.Trust, e.Native, codes(e.Problems))
		}
	}
	if e := b.of(limited)[0]; e.Label != "Its label" || e.Origin.By != store.ByVendor {
		t.Errorf("it is %+v", e)
	}
	for _, e := range b.of(blocked) {
		want := map[string]string{kindAnchor: "distrusted-anchor", kindBlock: ""}[e.Source.Kind]
		if e.Trust.String() != "distrusted: any" || codes(e.Problems) != want {
			t.Errorf("in %s it is %q, with %q", e.Source.Path, e.Trust, codes(e.Problems))
		}
	}
	all := b.entries()
	match := slices.IndexFunc(all, func(e store.Entry) bool { return e.Match != nil })
	if match < 0 || !all[match].Trust.Has(store.Distrusted) || len(all[match].Match.Serial) == 0 || all[match].Source.Path != fedoraSource+"/serial.p11-kit" {
		t.Error("the distrust by issuer and serial number is not listed")
	}
	if !slices.ContainsFunc(all, func(e store.Entry) bool { return e.Cert == nil && codes(e.Problems) == "no-certificate" }) {
		t.Error("the file without a certificate is not listed")
	}

	// What was not finished is; what is for a person to decide is refused.
	s := b.open()
	var list []store.Problem
	for p, err := range s.Problems(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	p, err := s.PlanRepair(t.Context(), list)
	if err != nil || len(p.Refused) == 0 {
		t.Fatalf("error %v, refused %+v", err, p.Refused)
	}
	if !slices.ContainsFunc(p.Steps, func(s store.Step) bool { return strings.HasPrefix(s.Label, "no-anchor: Extra: it is in the bundle") }) {
		t.Errorf("the steps are %+v", p.Steps)
	}
}

// mend repairs all problems.
func (b *folderBox) mend() {
	b.Helper()
	s := b.open()
	p, err := s.PlanRepair(b.Context(), b.problems())
	if err == nil {
		_, err = s.Apply(b.Context(), p)
	}
	if err != nil || len(p.Refused) > 0 {
		b.Fatalf("error %v, refused %+v", err, p.Refused)
	}
}

// A missing update is made good.
func TestFolderRepair(t *testing.T) {
	b := newFolderBox(t, layout(t, "alpine"))
	late, extra := newCA(t, "Late"), newCA(t, "Extra")
	b.write("/usr/local/share/ca-certificates/late.crt", late.PEM())
	b.write("/usr/local/share/ca-certificates/"+host.TempPrefix+"x", []byte("half"))
	b.write("/etc/ssl/certs/ca-certificates.crt", []byte(b.read("/etc/ssl/certs/ca-certificates.crt")+string(extra.PEM())))
	s := b.open()
	var list []store.Problem
	for p, err := range s.Problems(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	if got := codes(list); got != "anchor-not-in-bundle left-behind no-anchor" {
		t.Fatalf("the problems are %q", got)
	}
	p, err := s.PlanRepair(t.Context(), list)
	if err == nil {
		_, err = s.Apply(t.Context(), p)
	}
	if err != nil || len(p.Refused) > 0 {
		t.Fatalf("error %v, refused %+v", err, p.Refused)
	}
	for p := range b.open().Problems(t.Context()) {
		t.Errorf("there is still %+v", p)
	}
	if !b.of(late.Cert())[0].Trust.Has(store.Trusted) || len(b.of(extra.Cert())) > 0 {
		t.Error("it is not as the anchors say")
	}
}

// What cannot be done without a person is refused, and nothing is done.
func TestFolderRefusals(t *testing.T) {
	key := "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\n"
	for _, c := range []struct {
		name, layout string
		plant        func(b *folderBox, corp *storetest.CA)
		want         func(b *folderBox, corp *store.Cert) store.Change
		kind         error
		says         string
	}{
		{"a private key beside it", "alpine",
			func(b *folderBox, corp *storetest.CA) {
				b.write("/usr/local/share/ca-certificates/corp.crt", []byte(string(corp.PEM())+key))
			},
			func(_ *folderBox, corp *store.Cert) store.Change { return absentOf(corp) }, store.ErrConflict, "private key"},
		{"others in a file of p11-kit's", "fedora",
			func(b *folderBox, corp *storetest.CA) {
				b.write(fedoraSource+"/two.p11-kit", []byte(p11Object(corp.Cert(), "trusted: true\n")+p11Object(newCA(b, "Other").Cert(), "trusted: true\n")))
			},
			func(_ *folderBox, corp *store.Cert) store.Change { return absentOf(corp) }, store.ErrUnsupported, "holds other things"},
		{"the vendor's", "fedora", nil,
			func(b *folderBox, _ *store.Cert) store.Change { return absentOf(b.vendor[0]) }, store.ErrManaged, "belongs to the vendor"},
		{"what another file distrusts", "fedora",
			func(b *folderBox, corp *storetest.CA) {
				b.write(fedoraVendor+"/blocklist/x.pem", corp.PEM())
			},
			func(_ *folderBox, corp *store.Cert) store.Change { return trust(corp) }, store.ErrConflict, "counts more than an anchor"},
		{"a file of the name that it would have", "suse",
			func(b *folderBox, corp *storetest.CA) {
				b.write("/etc/pki/trust/anchors/certtrust-"+corp.Cert().SHA256.String()[:32]+".pem", []byte("else"))
			},
			func(_ *folderBox, corp *store.Cert) store.Change { return trust(corp) }, store.ErrConflict, "another file of that name"},
		{"a purpose", "arch", nil,
			func(_ *folderBox, corp *store.Cert) store.Change {
				c := trust(corp)
				limited := store.TrustFor(store.Trusted, store.PurposeEmail)
				c.Trust = &limited
				return c
			}, store.ErrUnsupported, "cannot tell purposes apart"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newFolderBox(t, layout(t, c.layout))
			corp := newCA(t, "Corp")
			if c.plant != nil {
				c.plant(b, corp)
			}
			before := b.tree()
			if _, err := b.do(c.want(b, corp.Cert())); !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v", err)
			}
			if b.tree() != before {
				t.Error("something was done")
			}
		})
	}
}

// A tool that fails, or only says that it did it, fails the change, and all is
// as it was before.
func TestFolderTool(t *testing.T) {
	for _, name := range []string{"fedora", "suse", "arch", "alpine", "clear", "photon"} {
		t.Run(name, func(t *testing.T) {
			b := newFolderBox(t, layout(t, name))
			c := newCA(t, "Corp").Cert()
			if dir := b.tool.Linked; dir != "" { // what is not the tool's stays
				b.write(dir+"/localhost.crt", newCA(t, "localhost").PEM())
			}
			before := b.tree()
			b.tool.Lie = true
			if _, err := b.do(trust(c)); !errors.Is(err, store.ErrFailed) || !strings.Contains(err.Error(), "everything was put back") {
				t.Errorf("a tool that lies: error %v", err)
			}
			b.tool.Lie, b.tool.Short = false, true
			if _, err := b.do(trust(c)); !errors.Is(err, store.ErrFailed) || !strings.Contains(err.Error(), "everything was put back") {
				t.Errorf("a tool that does half: error %v", err)
			}
			b.tool.Short, b.tool.Exit = false, 3
			if _, err := b.do(trust(c)); err == nil {
				t.Error("a tool that fails: no error")
			}
			if b.tree() != before {
				t.Error("it is not as it was")
			}
		})
	}
}

// Of several certificates in a file only the one goes.
func TestFolderSeveral(t *testing.T) {
	b := newFolderBox(t, layout(t, "fedora"))
	one, two := newCA(t, "One"), newCA(t, "Two")
	b.write(fedoraSource+"/anchors/both.pem", []byte("# one\n"+string(one.PEM())+"# two\n"+string(two.PEM())))
	if _, err := b.do(absentOf(one.Cert())); err != nil {
		t.Fatal(err)
	}
	if got := b.read(fedoraSource + "/anchors/both.pem"); got != "# one\n# two\n"+string(two.PEM()) {
		t.Errorf("the file is %q", got)
	}
	// What p11-kit's own program has made is removed, too.
	b.write(fedoraSource+"/Three.p11-kit", []byte(p11Object(newCA(t, "Three").Cert(), "trusted: true\n")))
	before := b.tree()
	r, err := b.do(absentOf(newCA(t, "Three").Cert()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(b.root, fedoraSource, "Three.p11-kit")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file: %v", err)
	}
	// The bundle was not brought up to date with it before, so it differs.
	if _, err := b.do(r.Undo...); err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(before, "\n") {
		if strings.Contains(line, "Three") && !strings.Contains(b.tree(), line) {
			t.Errorf("%s is not put back", line)
		}
	}
}

// Links in an image lead inside of it, wherever they want to lead: nothing is
// written outside, and what is made inside leads nowhere but there.
func TestOfflineLinks(t *testing.T) {
	for _, name := range []string{"fedora", "alpine", "bundle"} {
		t.Run(name, func(t *testing.T) {
			b := newFolderBox(t, layout(t, name))
			outside := storetest.TempDir(t)
			b.host.Live = false
			s := b.open()
			dir := s.family.adminDir
			if dir == "" {
				dir = "/etc/ssl/certs"
			}
			moved := filepath.Join(b.root, "moved")
			at := filepath.Join(b.root, filepath.FromSlash(dir))
			if err := os.Rename(at, moved); err != nil {
				t.Fatal(err)
			}
			// As the image sees it that is one of its own directories.
			if err := os.MkdirAll(filepath.Join(b.root, outside), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(moved, filepath.Join(b.root, outside, "x")); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("../../../../../../../../../../../../.."+outside+"/x", at); err != nil {
				t.Fatal(err)
			}
			c := newCA(t, "Corp").Cert()
			if _, err := b.do(trust(c)); err != nil {
				t.Fatal(err)
			}
			if len(b.of(c)) != 1 || !b.of(c)[0].Trust.Has(store.Trusted) {
				t.Errorf("it is %+v", b.of(c))
			}
			if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
				t.Errorf("outside there are %v, error %v", entries, err)
			}
			err := filepath.WalkDir(b.root, func(p string, d os.DirEntry, err error) error {
				if err != nil || d.Type()&os.ModeSymlink == 0 {
					return err
				}
				if _, err := b.host.Stat(strings.TrimPrefix(p, b.root)); err != nil {
					t.Errorf("a link leads nowhere: %v", err)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// An image of which certain outputs cannot be made from outside says what is
// left to be run in it.
func TestOfflineLeft(t *testing.T) {
	b := newFolderBox(t, layout(t, "fedora"))
	b.host.Live = false
	b.write("/etc/pki/ca-trust/extracted/java/cacerts", []byte("a key store"))
	r, err := b.do(trust(newCA(t, "Corp").Cert()))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(r.Notices, func(n string) bool {
		return strings.Contains(n, "/etc/pki/ca-trust/extracted/java/cacerts, /etc/pki/ca-trust/extracted/pem/directory-hash, /etc/pki/tls/certs cannot be made from outside: run \"/usr/bin/update-ca-trust extract\"")
	}) {
		t.Errorf("the notices are %q", r.Notices)
	}
	if b.tool.Runs != 1 {
		t.Error("a program of the image was run")
	}
}

// A bundle keeps the form that the tool gives it: what it writes before the
// certificates, whichever of them is the first, and a comment before each or
// none.
func TestBundleForm(t *testing.T) {
	const head = "#\n# automatically created. Do not edit!\n#\n"
	first, corp := newCA(t, "Vendor Alpha"), newCA(t, "Corp")
	for _, c := range []struct{ family, before, alone, with string }{
		{"suse", head + "FIRST", head + "CORP", head + "CORPFIRST"},
		{"suse", head, head + "CORP", head + "CORPFIRST"},
		{"suse", "", "CORP", "CORPFIRST"},
		{"fedora", "# Vendor Alpha\nFIRST", "# Corp\nCORP", "# Corp\nCORP\n# Vendor Alpha\nFIRST"},
		{"fedora", "", "# Corp\nCORP", "# Corp\nCORP\n# Vendor Alpha\nFIRST"},
		{"fedora", "FIRST", "CORP", "CORPFIRST"}, // as of another tool
	} {
		fill := strings.NewReplacer("FIRST", string(first.PEM()), "CORP", string(corp.PEM())).Replace
		for _, vendor := range []bool{false, true} {
			b := newFolderBox(t, layout(t, c.family))
			b.host.Live = false
			location, want := b.open().family.location(), fill(c.alone)
			if vendor {
				want = fill(c.with)
			}
			for _, p := range b.open().family.places {
				files, _ := filepath.Glob(filepath.Join(b.root, p.path, "*.crt"))
				for _, file := range files {
					if vendor && filepath.Base(file) == "Alpha.crt" {
						continue
					}
					if err := os.Remove(file); err != nil {
						t.Fatal(err)
					}
				}
			}
			b.write(location, []byte(fill(c.before)))
			if _, err := b.do(trust(corp.Cert())); err != nil {
				t.Fatal(err)
			}
			if got := b.read(location); got != want {
				t.Errorf("%s, of %q there is made\n%s\nand not\n%s", c.family, c.before, got, want)
			}
		}
	}
}

// What the tool makes, its script names: a bundle that is missing is made, and
// what an older release has left does not stand in the way.
func TestMakes(t *testing.T) {
	const (
		tls, email = "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/pki/ca-trust/extracted/pem/email-ca-bundle.pem"
		objsign    = "/etc/pki/ca-trust/extracted/pem/objsign-ca-bundle.pem"
		old        = "/etc/pki/ca-trust/extracted/openssl/ca-bundle.trust.crt"
	)
	b := newFolderBox(t, layout(t, "fedora"))
	b.host.Live = false
	count := strings.Count(b.read(email), "BEGIN")
	for _, file := range []string{tls, email} {
		if err := os.Remove(filepath.Join(b.root, file)); err != nil {
			t.Fatal(err)
		}
	}
	b.mend()
	if n, m := strings.Count(b.read(tls), "BEGIN"), strings.Count(b.read(email), "BEGIN"); count == 0 || n != count || m != count {
		t.Errorf("of the bundles with %d there are made again %d and %d", count, n, m)
	}
	if _, err := os.Stat(filepath.Join(b.root, objsign)); err == nil {
		t.Error("a bundle is made that the tool does not make")
	}

	for _, named := range []bool{true, false} {
		b := newFolderBox(t, layout(t, "fedora"))
		b.write(old, []byte("-----BEGIN TRUSTED CERTIFICATE-----\n-----END TRUSTED CERTIFICATE-----\n"))
		if !named {
			b.write("/usr/bin/update-ca-trust", []byte(strings.ReplaceAll(b.read("/usr/bin/update-ca-trust"), "ca-bundle.trust.crt", "other")))
		}
		if _, err := b.do(trust(newCA(t, "Corp").Cert())); (err == nil) == named {
			t.Errorf("with a bundle that the tool makes, %t, and that lacks it: %v", named, err)
		}
	}
	b = newFolderBox(t, layout(t, "suse"))
	b.write("/usr/lib/ca-certificates/update.d/certbundle.run", []byte("cafile=\"$statedir/ca-bundle.pem\"\n"))
	b.write("/usr/lib/ca-certificates/update.d/etc_ssl.run", []byte("pemdir=\"$statedir/pem\"\n"))
	b.write("/usr/sbin/update-ca-certificates", []byte("hooksdir2=/usr/lib/ca-certificates/update.d\n"))
	s := b.open()
	makes := s.makes()
	for i, want := range []bool{true, true, false, false} { // ca-bundle.pem, pem, openssl, java-cacerts
		if o := s.family.outputs[i]; makes(o) != want {
			t.Errorf("SUSE's scripts make %s: %t", o.path, !want)
		}
	}
}

// Where the vendor's and the administrator's lie side by side, a link tells whose
// something is, or nothing does.
func TestShared(t *testing.T) {
	b := newFolderBox(t, layout(t, "flatcar"))
	vendor, mine := newCA(t, "Vendor"), newCA(t, "Mine")
	b.write("/usr/share/ca-certificates/vendor.pem", vendor.PEM())
	if err := os.Symlink("../../../usr/share/ca-certificates/vendor.pem", filepath.Join(b.root, "etc/ssl/certs/vendor.pem")); err != nil {
		t.Fatal(err)
	}
	b.write("/etc/ssl/certs/mine.pem", mine.PEM())
	if got := b.of(vendor.Cert())[0].Origin.By; got != store.ByVendor {
		t.Errorf("what a link leads to is of %s", got)
	}
	if got := b.of(mine.Cert())[0].Origin.By; got != store.ByAdmin {
		t.Errorf("what is a file is of %s", got)
	}
	if _, err := b.do(absentOf(vendor.Cert())); err == nil {
		t.Error("the vendor's is removed")
	}
	b = newFolderBox(t, layout(t, "photon"))
	b.write("/etc/ssl/certs/mine.pem", mine.PEM())
	if got := b.of(mine.Cert())[0].Origin.By; got != store.ByUnknown {
		t.Errorf("where nothing tells, it is of %s", got)
	}
}

// The directory of what is distrusted had another name before p11-kit 0.24, and
// each release reads the one that it knows.
func TestElder(t *testing.T) {
	for _, c := range []struct {
		module        string // "" = it is not there
		both, trusted bool
	}{
		{"", false, false},
		{"... blacklist ...", false, false},
		{"... blacklist ...", true, false},
		{"... blocklist ...", false, true},
		{"... blocklist ...", true, true},
	} {
		b := newFolderBox(t, layout(t, "fedora"))
		v := b.vendor[0]
		b.write(fedoraSource+"/blacklist/v.pem", certfile.EncodePEM(v))
		if !c.both {
			if err := os.Remove(filepath.Join(b.root, fedoraSource, "blocklist")); err != nil {
				t.Fatal(err)
			}
		}
		if c.module != "" {
			b.write("/usr/lib64/pkcs11/p11-kit-trust.so", []byte(c.module))
		}
		for _, e := range b.of(v) {
			distrusted := codes(e.Problems) == "still-in-bundle" || e.Source.Kind == kindBlock
			if distrusted == c.trusted {
				t.Errorf("with %+v it is %q, with %q", c, e.Trust, codes(e.Problems))
			}
		}
		// What is written goes to where it is read.
		want := "/blocklist/"
		if !c.trusted {
			want = "/blacklist/"
		}
		if at := b.open().blockFile(v.SHA256); !strings.Contains(at, want) {
			t.Errorf("with %+v it is written to %s", c, at)
		}
	}
}

// A bundle with comments stays one: a comment before each, an empty line between.
func TestOfflineComments(t *testing.T) {
	b := newFolderBox(t, layout(t, "fedora"))
	b.host.Live = false
	var text strings.Builder
	for i, v := range b.vendor {
		if i > 0 {
			text.WriteString("\n")
		}
		fmt.Fprintf(&text, "# %s\n%s", v.Label(), certfile.EncodePEM(v))
	}
	b.write(fedoraBundle, []byte(text.String()))
	c := newCA(t, "Corp")
	r, err := b.do(trust(c.Cert()))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := b.read(fedoraBundle), "# Corp\n"+string(c.PEM())+"\n"+text.String(); got != want {
		t.Errorf("the bundle is\n%s", got)
	}
	if _, err := b.do(r.Undo...); err != nil || b.read(fedoraBundle) != text.String() {
		t.Errorf("error %v, and the bundle is\n%s", err, b.read(fedoraBundle))
	}
}

// Each problem of these families is in a test.
func TestFolderProblemTable(t *testing.T) {
	for code, row := range folderProblems {
		if p := problem(code, "/x"); p.Text != row.text || p.Text == "" || p.Mendable != row.mendable {
			t.Errorf("%s is %+v", code, p)
		}
	}
}
