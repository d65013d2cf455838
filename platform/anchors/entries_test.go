package anchors

import (
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"maps"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/certtrust/certtrust/platform/anchors/anchorstest"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/host/hosttest"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
	"github.com/certtrust/certtrust/store/storetest"
)

// planted is something that goes wrong with a store: how it comes about, the problems that
// are found then ("code path"), and what is left of them after a repair.
type planted struct {
	mendable map[string]bool // by code, where it is not as the table says
	java     bool
	plant    func(b *box)
	want     []string
	left     []string
}

func plantings(t testing.TB) map[string]planted {
	// hash returns the hash link of an authority of newCA, own the name without
	// ending of the file that certtrust gives it.
	hash := func(name string) string {
		return certsDir + anchorstest.SubjectHash(newCA(t, name).Cert()) + ".0"
	}
	own := func(name string) string {
		fp := newCA(t, name).Cert().SHA256
		return "certtrust-" + hex.EncodeToString(fp[:16])
	}
	return map[string]planted{
		"a clean root":           {plant: func(*box) {}},
		"a clean root with Java": {java: true, plant: func(*box) {}},

		"anchor-not-in-bundle": {
			plant: func(b *box) { b.write(adminDir+"corp.crt", newCA(b, "Corp").PEM()) },
			want:  []string{"anchor-not-in-bundle " + adminDir + "corp.crt"},
		},
		"no-anchor": {
			plant: func(b *box) {
				b.write(adminDir+"corp.crt", newCA(b, "Corp").PEM())
				b.update()
				b.remove(adminDir + "corp.crt")
			},
			want: []string{"dangling-link " + hash("Corp"), "dangling-link " + certsDir + "corp.pem", "no-anchor " + bundle},
		},
		"doubled-bundle": {
			plant: func(b *box) {
				b.write(adminDir+"one.crt", []byte(b.read(vendorDir+"Alpha.crt"))) // which is not what is meant
				b.update()
				b.write(bundle, []byte(b.read(bundle)+b.read(vendorDir+"Gamma.crt")))
			},
			want: []string{"doubled-bundle " + bundle},
		},
		"still-in-bundle": {
			plant: func(b *box) { b.edit(confFile, "mozilla/Gamma", "!mozilla/Gamma") },
			want:  []string{"still-in-bundle " + vendorDir + "Gamma.crt"},
		},
		// The tool forgets the link of a disabled certificate if its name has blanks.
		"stray-file, a link to what is disabled": {
			plant: func(b *box) {
				b.edit(confFile, "mozilla/Beta", "!mozilla/Beta")
				b.update()
			},
			want: []string{"stray-file " + certsDir + "Beta_=2=.pem"},
			left: []string{"stray-file " + certsDir + "Beta_=2=.pem"},
		},
		"no-hash-link": {
			plant: func(b *box) { b.remove(hash("Vendor Alpha")) },
			want:  []string{"no-hash-link " + vendorDir + "Alpha.crt"},
		},
		"no-hash-link, because of a gap": {
			plant: func(b *box) {
				b.must(os.Rename(b.path(hash("Vendor Alpha")), b.path(strings.TrimSuffix(hash("Vendor Alpha"), "0")+"1")))
			},
			want: []string{"no-hash-link " + vendorDir + "Alpha.crt"},
		},
		"same-name": {
			plant: func(b *box) {
				b.write(adminDir+"a/corp.crt", newCA(b, "One").PEM())
				b.write(adminDir+"b/corp.crt", newCA(b, "Other").PEM())
				b.update()
			},
			want: []string{"same-name " + adminDir + "a/corp.crt"},
			left: []string{"same-name " + adminDir + "a/corp.crt"},
		},
		"dangling-link": {
			plant: func(b *box) { b.link("/nowhere.pem", certsDir+"gone.pem") },
			want:  []string{"dangling-link " + certsDir + "gone.pem"},
		},
		"dangling-link, a loop": {
			plant: func(b *box) {
				b.link("b.pem", certsDir+"a.pem")
				b.link(certsDir+"a.pem", certsDir+"b.pem")
			},
			want: []string{"dangling-link " + certsDir + "a.pem", "dangling-link " + certsDir + "b.pem"},
		},
		"stale-temporary": {
			plant: func(b *box) { b.write(bundle+".new", newCA(b, "Left").PEM()) },
			want:  []string{"stale-temporary " + bundle + ".new"},
		},
		"stale-temporary, cut short": {
			plant: func(b *box) { b.write(bundle+".new", newCA(b, "Left").PEM()[:99]) },
			want:  []string{"stale-temporary " + bundle + ".new", "unreadable-block " + bundle + ".new"},
		},
		"left-behind": {
			plant: func(b *box) {
				for _, p := range []string{adminDir, "/etc/", "/etc/ssl/"} {
					b.write(p+host.TempPrefix+"0123456789abcdef", newCA(b, "Half").PEM()[:99])
				}
			},
			want: []string{"left-behind /etc/.certtrust-0123456789abcdef", "left-behind /etc/ssl/.certtrust-0123456789abcdef", "left-behind " + adminDir + ".certtrust-0123456789abcdef"},
		},
		"stray-backup": {
			plant: func(b *box) {
				for _, name := range []string{"ca-certificates.crt.bak", "ca-certificates.crt-2024", "corp.pem.old", "corp.pem~", "x.dpkg-old", "y.crt.ORIG.1"} {
					b.write(certsDir+name, newCA(b, name).PEM())
				}
			},
			want: []string{
				"stray-backup " + certsDir + "ca-certificates.crt.bak", "stray-backup " + certsDir + "ca-certificates.crt-2024", "stray-backup " + certsDir + "corp.pem.old",
				"stray-backup " + certsDir + "corp.pem~", "stray-backup " + certsDir + "x.dpkg-old", "stray-backup " + certsDir + "y.crt.ORIG.1",
			},
		},
		"stray-file, and no backup": { // a server's certificate, one with its key, and a link
			plant: func(b *box) {
				b.write(certsDir+"ssl-cert-snakeoil.pem", newCA(b, "Snakeoil").PEM())
				key := newCA(b, "With a key")
				b.write(certsDir+"server.pem.bak", concat(key.PEM(), key.KeyPEM()))
				b.write("/opt/linked.pem", newCA(b, "Linked").PEM())
				b.link("/opt/linked.pem", certsDir+"linked.bak")
			},
			mendable: map[string]bool{"private-key": false},
			want:     []string{"private-key " + certsDir + "server.pem.bak", "stray-file " + certsDir + "linked.bak", "stray-file " + certsDir + "server.pem.bak", "stray-file " + certsDir + "ssl-cert-snakeoil.pem"},
			left:     []string{"private-key " + certsDir + "server.pem.bak", "stray-file " + certsDir + "linked.bak", "stray-file " + certsDir + "server.pem.bak", "stray-file " + certsDir + "ssl-cert-snakeoil.pem"},
		},
		"stray-file": {
			plant: func(b *box) { b.write(certsDir+"mine.pem", newCA(b, "Mine").PEM()) },
			want:  []string{"stray-file " + certsDir + "mine.pem"},
			left:  []string{"stray-file " + certsDir + "mine.pem"},
		},
		"stray-file, a link to elsewhere": {
			plant: func(b *box) {
				b.write("/opt/mine.pem", newCA(b, "Mine").PEM())
				b.link("/opt/mine.pem", certsDir+"mine.pem")
				b.link("mine.pem", hash("Mine"))
			},
			want: []string{"stray-file " + certsDir + "mine.pem"},
			left: []string{"stray-file " + certsDir + "mine.pem"},
		},
		"stray-file, of what is trusted anyway": {
			plant: func(b *box) { b.write(certsDir+"copy.pem", newCA(b, "Vendor Alpha").PEM()) },
			want:  []string{"stray-file " + certsDir + "copy.pem"},
			left:  []string{"stray-file " + certsDir + "copy.pem"},
		},
		"not-pem": {
			plant: func(b *box) { b.write(adminDir+"der.crt", newCA(b, "DER").DER()) },
			want:  []string{"not-pem " + adminDir + "der.crt"},
			left:  []string{"not-pem " + adminDir + "der.crt"},
		},
		"several-certificates": {
			plant: func(b *box) {
				b.write(adminDir+"two.crt", concat(newCA(b, "One").PEM(), newCA(b, "Two").PEM()))
				b.update()
			},
			want: []string{"several-certificates " + adminDir + "two.crt", "several-certificates " + adminDir + "two.crt"},
			left: []string{"several-certificates " + adminDir + "two.crt", "several-certificates " + adminDir + "two.crt"},
		},
		"private-key": {
			plant: func(b *box) {
				ca := newCA(b, "Key")
				b.write(adminDir+"key.crt", concat(ca.PEM(), ca.KeyPEM()))
				b.update()
			},
			// The tool copies it into what everybody can read.
			want: []string{"private-key " + bundle, "private-key " + adminDir + "key.crt"},
		},
		"private-key, only in the bundle": {
			plant: func(b *box) {
				b.write(bundle, append([]byte(b.read(bundle)), newCA(b, "Key").KeyPEM()...))
			},
			want: []string{"private-key " + bundle},
		},
		"no-certificate": {
			plant: func(b *box) { b.write(adminDir+"text.crt", []byte("nothing of the kind\n")) },
			want:  []string{"no-certificate " + adminDir + "text.crt"},
			left:  []string{"no-certificate " + adminDir + "text.crt"},
		},
		"no-certificate, but a block of that name": {
			plant: func(b *box) {
				b.write(adminDir+"junk.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("junk")}))
			},
			want: []string{"no-certificate " + adminDir + "junk.crt"},
			left: []string{"no-certificate " + adminDir + "junk.crt"},
		},
		"unreadable-block": {
			plant: func(b *box) {
				b.write(adminDir+"half.crt", concat(newCA(b, "Whole").PEM(), "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"))
				b.update()
			},
			want: []string{"unreadable-block " + bundle, "unreadable-block " + adminDir + "half.crt"},
			left: []string{"unreadable-block " + bundle, "unreadable-block " + adminDir + "half.crt"},
		},
		"trusted-certificate": {
			plant: func(b *box) {
				b.write(adminDir+"aux.crt", pem.EncodeToMemory(&pem.Block{Type: "TRUSTED CERTIFICATE", Bytes: newCA(b, "Aux").DER()}))
			},
			want: []string{"trusted-certificate " + adminDir + "aux.crt"},
			left: []string{"trusted-certificate " + adminDir + "aux.crt"},
		},
		"not-for-everybody": {
			plant: func(b *box) {
				b.write(adminDir+"corp.crt", newCA(b, "Corp").PEM())
				b.update()
				b.chmod(adminDir+"corp.crt", 0o600)
			},
			want: []string{"no-hash-link " + adminDir + "corp.crt", "not-for-everybody " + adminDir + "corp.crt"},
			left: []string{"no-hash-link " + adminDir + "corp.crt", "not-for-everybody " + adminDir + "corp.crt"},
		},
		"not-for-everybody, the bundle": {
			plant: func(b *box) { b.chmod(bundle, 0o600) },
			want:  []string{"not-for-everybody " + bundle},
			left:  []string{"not-for-everybody " + bundle},
		},
		"ignored-name": {
			plant: func(b *box) { b.write(adminDir+"corp.pem", newCA(b, "Corp").PEM()) },
			want:  []string{"ignored-name " + adminDir + "corp.pem"},
			left:  []string{"ignored-name " + adminDir + "corp.pem"},
		},
		"not-a-file, a directory": {
			plant: func(b *box) { b.must(os.Mkdir(b.path(adminDir+"x.crt"), 0o755)) },
			want:  []string{"not-a-file " + adminDir + "x.crt"},
			left:  []string{"not-a-file " + adminDir + "x.crt"},
		},
		"not-a-file, a link to nothing": {
			plant: func(b *box) { b.link("/nowhere", adminDir+"x.crt") },
			want:  []string{"not-a-file " + adminDir + "x.crt"},
			left:  []string{"not-a-file " + adminDir + "x.crt"},
		},
		"not-a-file, a link to itself": {
			plant: func(b *box) {
				b.must(os.Mkdir(b.path(adminDir+"sub"), 0o755))
				b.link("..", adminDir+"sub/up")
				b.link(".", adminDir+"sub/here")
			},
		},
		"not-listed": {
			plant: func(b *box) { b.write(vendorDir+"New.crt", newCA(b, "New").PEM()) },
			want:  []string{"not-listed " + vendorDir + "New.crt"},
			left:  []string{"not-listed " + vendorDir + "New.crt"},
		},
		"listed-but-missing": {
			plant: func(b *box) { b.edit(confFile, "mozilla/Alpha", "mozilla/None.crt\nmozilla/Alpha") },
			want:  []string{"listed-but-missing " + vendorDir + "None.crt"},
			left:  []string{"listed-but-missing " + vendorDir + "None.crt"},
		},
		"newline-in-name": {
			plant: func(b *box) { b.write(adminDir+"a\nb.crt", newCA(b, "Corp").PEM()) },
			want:  []string{"anchor-not-in-bundle " + adminDir + "a\nb.crt", "newline-in-name " + adminDir + "a\nb.crt"},
		},
		"java-lacks": {
			java: true,
			plant: func(b *box) {
				b.write(cacerts, anchorstest.JKS(map[string][]byte{"debian:alpha.pem": b.vendor[0].Raw}))
			},
			want: []string{"java-lacks " + cacerts, "java-lacks " + cacerts},
		},
		"java-keeps": {
			java: true,
			plant: func(b *box) {
				b.write(cacerts, anchorstest.JKS(map[string][]byte{
					"debian:alpha.pem": b.vendor[0].Raw, "debian:beta_=2=.pem": b.vendor[1].Raw, "debian:gamma.pem": b.vendor[2].Raw,
					"debian:old.pem":   newCA(b, "Old").DER(),
					"debian:older.pem": newCA(b, "Old").DER(),
					"imported by hand": newCA(b, "By hand").DER(),
				}))
			},
			want: []string{"java-keeps " + cacerts},
		},
		"no-anchor, and Java has it, too": {
			java: true,
			plant: func(b *box) {
				b.do(trust(newCA(b, "Gone").Cert()))
				b.remove(adminDir + own("Gone") + ".crt")
			},
			want: []string{"dangling-link " + hash("Gone"), "dangling-link " + certsDir + own("Gone") + ".pem", "no-anchor " + bundle},
		},
		"java-unreadable": {
			java: true,
			plant: func(b *box) {
				b.write(cacerts, []byte("\xfe\xed\xfe\xed\x00\x00\x00\x02\x00\x00\x00\x09"))
			},
			want: []string{"java-unreadable " + cacerts},
			left: []string{"java-unreadable " + cacerts},
		},
		"update-pending": {
			java: true,
			plant: func(b *box) {
				b.write(pending, []byte("+/etc/ssl/certs/Alpha.pem\n"))
				b.updater.Hook = func([]string) error { return os.Remove(b.path(pending)) }
			},
			want: []string{"update-pending " + pending},
		},
	}
}

// canMend returns what is expected of a problem: where it is not what the table
// says, the planting does.
func canMend(planted map[string]bool, code string, table bool) bool {
	if is, said := planted[code]; said {
		return is
	}
	return table
}

func TestProblems(t *testing.T) {
	all := plantings(t)
	for name, c := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t, c.java)
			c.plant(b)
			unchanged := b.unchanged()
			b.clean(c.want...)
			unchanged()
			for _, p := range b.problems() {
				if row := problems[p.Code]; p.Text == "" || !strings.Contains(p.Text, row.text) || p.Mendable != canMend(c.mendable, p.Code, row.mendable) {
					t.Errorf("the problem is %+v, in the table it is %+v", p, row)
				}
			}
			if code, _, _ := strings.Cut(name, ","); len(c.want) > 0 && !slices.ContainsFunc(c.want, func(w string) bool { return strings.HasPrefix(w, code+" ") }) {
				t.Errorf("there is no %s among %q", code, c.want)
			}
			b.repair()
			b.clean(c.left...)
		})
	}
	for code := range problems {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(all)), func(name string) bool { name, _, _ = strings.Cut(name, ","); return name == code }) {
			t.Errorf("there is no row for %s", code)
		}
	}
}

// What is not for certtrust to mend is refused, with the reason.
func TestRepairRefuses(t *testing.T) {
	b := newBox(t, false)
	b.write(adminDir+"corp.pem", newCA(b, "Corp").PEM())
	b.write(adminDir+"two.crt", concat(newCA(b, "One").PEM(), newCA(b, "Two").PEM()))
	b.update()
	unchanged := b.unchanged()
	s := b.open()
	p, err := s.PlanRepair(t.Context(), b.problems())
	several := func(r store.Refused) bool { return r.Problem == "several-certificates" }
	if i := slices.IndexFunc(p.Refused, several); i < 0 || slices.ContainsFunc(p.Refused[i+1:], several) {
		t.Errorf("that a file holds several certificates is not told once: %+v", p.Refused)
	}
	p.Refused = slices.DeleteFunc(p.Refused, several)
	if err != nil || !p.Empty() || len(p.Refused) != 1 || p.Refused[0].Problem != "ignored-name" || p.Refused[0].Reason == "" {
		t.Errorf("plan %+v, error %v", p, err)
	}
	// What is mended already needs nothing, whoever says so.
	p, err = s.PlanRepair(t.Context(), []store.Problem{
		{Code: "dangling-link", Path: certsDir + "Alpha.pem", Mendable: true},
		{Code: "dangling-link", Path: "/etc/passwd", Mendable: true},
		{Code: "stale-temporary", Path: "/etc/passwd", Mendable: true},
		{Code: "left-behind", Path: "/etc/passwd", Mendable: true},
		{Code: "java-keeps", Path: cacerts, Mendable: true},
		{Code: "update-pending", Path: pending, Mendable: true},
		{Code: "no-anchor", Path: bundle, Fingerprint: &store.Fingerprint{1}, Mendable: true},
		{Code: "no-hash-link", Path: adminDir, Fingerprint: &b.vendor[0].SHA256, Mendable: true},
	})
	if err != nil || !p.Empty() {
		t.Errorf("plan %+v, error %v", p, err)
	}
	if r, err := s.Apply(t.Context(), p); err != nil || len(r.Done) > 0 {
		t.Errorf("receipt %+v, error %v", r, err)
	}
	unchanged()
}

func TestOrigins(t *testing.T) {
	b := newBox(t, false)
	certs := map[string]*store.Cert{}
	add := func(name, file string) *storetest.CA {
		ca := newCA(t, name)
		certs[name] = ca.Cert()
		b.write(file, ca.PEM())
		return ca
	}
	add("By hand", adminDir+"corp.crt")
	add("Cloud", adminDir+"cloud-init-ca-cert-1.crt")
	add("mkcert development CA", adminDir+"mkcert_development_CA_1234.crt")
	add("A package", adminDir+"example/shipped.crt")
	add("Another package", "/usr/share/ca-certificates/other/other.crt")
	add("Nobody's", vendorDir+"nobody.crt")
	step := newCA(t, "Smallstep Root CA")
	certs["Smallstep"] = step.Cert()
	b.write(adminDir+"Smallstep_Root_CA_"+step.Cert().Serial.String()+".crt", step.PEM())
	prefixed := newCA(t, "Prefixed", storetest.Serial(new(big.Int).Lsh(big.NewInt(3), 90)))
	certs["Prefixed"] = prefixed.Cert()
	b.write(adminDir+"corp"+prefixed.Cert().Serial.String()+".crt", prefixed.PEM())
	pretender := newCA(t, "Pretender")
	certs["Pretender"] = pretender.Cert()
	b.write(adminDir+"certtrust-0123456789abcdef0123456789abcdef.crt", pretender.PEM())
	b.write(certsDir+"stray.pem", newCA(t, "Stray").PEM())
	certs["Stray"] = newCA(t, "Stray").Cert()
	b.write("/var/lib/dpkg/info/example-roots:amd64.list", []byte("/.\n/usr/local/share/ca-certificates/example\n/usr/local/share/ca-certificates/example/shipped.crt\n"))
	b.write("/var/lib/dpkg/info/other.list", []byte("/.\n/usr/share/ca-certificates/other/other.crt\n")) // not in the status
	b.edit("/var/lib/dpkg/status", "Package: zsh", "Package: example-roots\nArchitecture: amd64\nVersion: 1:2.3-4\n\nPackage: zsh")
	b.edit(confFile, "mozilla/Alpha", "other/other.crt\nmozilla/nobody.crt\nmozilla/Alpha")
	b.update()
	own := newCA(t, "Own").Cert()
	b.do(trust(own))
	certs["Own"], certs["Vendor"] = own, b.vendor[1]

	for name, want := range map[string]store.Origin{
		"Vendor":                {By: store.ByVendor, Detail: "ca-certificates 20230311"},
		"Another package":       {By: store.ByVendor, Detail: "other"},
		"Nobody's":              {By: store.ByVendor},
		"A package":             {By: store.ByVendor, Detail: "example-roots 1:2.3-4"},
		"By hand":               {By: store.ByAdmin, Detail: "by hand"},
		"Cloud":                 {By: store.ByAdmin, Detail: "cloud-init"},
		"mkcert development CA": {By: store.ByAdmin, Detail: "mkcert"},
		"Smallstep":             {By: store.ByAdmin, Detail: "step, Caddy or another user of smallstep/truststore"},
		"Prefixed":              {By: store.ByAdmin, Detail: "step, Caddy or another user of smallstep/truststore"},
		"Pretender":             {By: store.ByAdmin, Detail: "by hand"}, // the name is not its fingerprint's
		"Stray":                 {By: store.ByUnknown},
		"Own":                   {By: store.ByCerttrust},
	} {
		e := b.entry(certs[name])
		if diff := cmp.Diff(want, e.Origin); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if e.Trust.For(store.PurposeAny) != store.Trusted || e.Label != e.Cert.Label() {
			t.Errorf("%s: trust %q, label %q", name, e.Trust, e.Label)
		}
	}
	// Which package it is from makes no difference to what may be done.
	b.do(absentOf(certs["A package"]))
	b.refused(store.ErrManaged, absentOf(certs["Another package"]))
}

func TestTrustOfEntries(t *testing.T) {
	b := newBox(t, false)
	b.do(distrust(b.vendor[1]))
	b.write(vendorDir+"New.crt", newCA(t, "New").PEM())
	b.write(adminDir+"late.crt", newCA(t, "Late").PEM())
	// X509_CERT_AUX: trusted for email, rejected for server-auth.
	purpose := func(n byte) []byte { return []byte{0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, n} }
	aux := concat(newCA(t, "Aux").DER(), []byte{0x30, 0x18, 0x30, 0x0a}, purpose(4), []byte{0xa0, 0x0a}, purpose(1))
	b.write(adminDir+"aux.crt", pem.EncodeToMemory(&pem.Block{Type: "TRUSTED CERTIFICATE", Bytes: aux}))
	for _, c := range []struct {
		cert *store.Cert
		want string
	}{
		{b.vendor[0], "trusted: any"},
		{b.vendor[1], "distrusted: any"},
		{newCA(t, "New").Cert(), ""},
		{newCA(t, "Late").Cert(), ""},
		{newCA(t, "Aux").Cert(), "trusted: email; distrusted: server-auth"},
	} {
		if e := b.entry(c.cert); e.Trust.String() != c.want {
			t.Errorf("%s: %q, not %q", e.Label, e.Trust, c.want)
		}
	}
	// The order is the vendor's, the administrator's, and then what lies about.
	all, _ := b.entries()
	var paths []string
	for _, e := range all {
		paths = append(paths, e.Source.Path)
	}
	want := []string{vendorDir + "Alpha.crt", vendorDir + "Beta (2).crt", vendorDir + "Gamma.crt", vendorDir + "New.crt", adminDir + "aux.crt", adminDir + "late.crt"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// What cannot be read is told, and the rest is listed all the same.
func TestUnreadable(t *testing.T) {
	for name, plant := range map[string]func(b *box, p string) error{
		"a FIFO":           func(b *box, p string) error { return hosttest.Mkfifo(b.path(p)) },
		"too large a file": func(b *box, p string) error { b.write(p, nil); return os.Truncate(b.path(p), maxFile+1) },
		"a locked file":    func(b *box, p string) error { b.write(p, nil); return b.lockOut(p) },
		"a locked directory": func(b *box, p string) error {
			b.must(os.Mkdir(b.path(p), 0o755))
			return b.lockOut(p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, p := range []string{adminDir + "x.crt", certsDir + "x.pem"} {
				b := newBox(t, false)
				if err := plant(b, p); errors.Is(err, errors.ErrUnsupported) {
					t.Skip(err)
				} else if err != nil {
					t.Fatal(err)
				}
				all, errs := b.entries()
				inHashDir := strings.HasPrefix(p, certsDir)
				if strings.HasSuffix(name, "directory") && inHashDir {
					continue // nobody looks into those
				}
				var e *store.Error
				if len(errs) != 1 || !errors.As(errs[0], &e) || e.Path != p {
					t.Errorf("%s: errors %v", p, errs)
				}
				for _, c := range b.vendor {
					if !slices.ContainsFunc(all, func(e store.Entry) bool { return e.Cert != nil && e.Cert.SHA256 == c.SHA256 }) {
						t.Errorf("%s: %s is not listed", p, c.Label())
					}
				}
				// It does not keep others from being trusted, unless the tool
				// makes all of it a part of the bundle.
				if !strings.HasPrefix(name, "too large") || inHashDir {
					b.do(trust(newCA(t, "New").Cert()))
				}
			}
		})
	}
}

// lockOut takes this process's right to read something, which root always has.
func (b *box) lockOut(p string) error {
	if os.Geteuid() == 0 {
		return errors.ErrUnsupported
	}
	b.Cleanup(func() { os.Chmod(b.path(p), 0o700) })
	return os.Chmod(b.path(p), 0)
}

// A store that cannot be read as a whole says so.
func TestUnreadableStore(t *testing.T) {
	b := newBox(t, false)
	s := b.open()
	b.remove(adminDir)
	b.write(strings.TrimSuffix(adminDir, "/"), nil)
	for e, err := range s.Entries(t.Context()) {
		if err == nil || e.Source != (store.Source{}) || !strings.Contains(err.Error(), "not a directory") {
			t.Errorf("entry %+v, error %v", e, err)
		}
	}
	for _, err := range s.Problems(t.Context()) {
		if err == nil {
			t.Error("there is no error")
		}
	}
	if _, err := s.Plan(t.Context(), nil); err == nil {
		t.Error("a plan was made")
	}
	// What is not there is empty.
	b = newBox(t, false)
	for _, p := range []string{"/etc/ssl", "/usr/share/ca-certificates", adminDir, confFile} {
		b.must(os.RemoveAll(b.path(p)))
	}
	if all, errs := b.entries(); len(all)+len(errs) > 0 {
		t.Errorf("entries %v, errors %v", all, errs)
	}
}

// Reading the bundle along the anchors finds what reading it alone does.
func TestSplit(t *testing.T) {
	b := newBox(t, false)
	b.write(adminDir+"1.crt", concat("# comment\r\n", newCA(t, "One").PEM()))
	b.write(adminDir+"2.crt", concat(newCA(t, "Two").PEM(), newCA(t, "Three").PEM(), "behind\n"))
	b.write(adminDir+"3.crt", concat(strings.TrimSpace(string(newCA(t, "Four").PEM()))))
	b.write(adminDir+"4.crt", concat(newCA(t, "Five").PEM(), newCA(t, "Five").KeyPEM()))
	b.write(adminDir+"5.crt", pem.EncodeToMemory(&pem.Block{Type: "TRUSTED CERTIFICATE", Bytes: newCA(t, "Aux").DER()}))
	b.update()
	whole := b.read(bundle)
	for name, text := range map[string]string{
		"as it is":         whole,
		"one more before":  string(newCA(t, "Six").PEM()) + whole,
		"one more behind":  whole + string(newCA(t, "Six").PEM()),
		"the first gone":   whole[strings.Index(whole, "-----END")+26:],
		"twice":            whole + whole,
		"cut short":        whole[:len(whole)-99],
		"with CR LF":       strings.ReplaceAll(whole, "\n", "\r\n"),
		"something before": "# a comment\n\n" + whole,
		"empty":            "",
	} {
		b.write(bundle, []byte(text))
		st, err := b.open().read(t.Context())
		b.must(err)
		want := certfile.ReadPEM([]byte(text))
		if diff := cmp.Diff(want.Notices, st.bundle.Notices); diff != "" {
			t.Errorf("%s: notices (-want +got):\n%s", name, diff)
		}
		if len(want.Items) != len(st.bundle.Items) {
			t.Errorf("%s: %d items, not %d", name, len(st.bundle.Items), len(want.Items))
			continue
		}
		for i, item := range want.Items {
			if got := st.bundle.Items[i]; got.Cert.SHA256 != item.Cert.SHA256 || got.TrustedLabel != item.TrustedLabel {
				t.Errorf("%s: item %d is another one", name, i)
			}
		}
	}
}

// Each of a file's mode, content and place is read anew each time.
func TestFresh(t *testing.T) {
	b := newBox(t, false)
	s := b.open()
	b.write(adminDir+"corp.crt", newCA(t, "Corp").PEM())
	n := 0
	for _, err := range s.Entries(t.Context()) {
		b.must(err)
		n++
	}
	if n != 4 {
		t.Errorf("%d entries", n)
	}
	if _, err := os.Stat(b.path("/var/lib/certtrust")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading has made something: %v", err)
	}
}

// Who has had enough can stop at any entry and at any problem.
func TestEarlyBreak(t *testing.T) {
	b := newJavaBox(t)
	b.write(adminDir+"corp.pem", newCA(t, "Ignored").PEM())
	b.write(adminDir+"text.crt", []byte("text"))
	b.write(adminDir+".certtrust-0123", nil)
	b.link("/nowhere", adminDir+"nowhere.crt")
	b.link("/nowhere", certsDir+"nowhere.pem")
	b.write(certsDir+"stray.pem", newCA(t, "Stray").PEM())
	b.write(certsDir+"copy.pem", newCA(t, "Vendor Alpha").PEM())
	b.write(certsDir+"large.pem", nil)
	b.must(os.Truncate(b.path(certsDir+"large.pem"), maxFile+1))
	b.write(bundle, concat(b.read(bundle), newCA(t, "No anchor").PEM(), "-----BEGIN CERTIFICATE-----\n"))
	b.write(cacerts, anchorstest.JKS(nil))
	s := b.open()
	for name, count := range map[string]func(enough int) int{
		"entries": func(enough int) (n int) {
			s.Entries(t.Context())(func(store.Entry, error) bool { n++; return n != enough })
			return n
		},
		"problems": func(enough int) (n int) {
			s.Problems(t.Context())(func(store.Problem, error) bool { n++; return n != enough })
			return n
		},
	} {
		all := count(0)
		if all < 10 {
			t.Errorf("there are only %d %s", all, name)
		}
		for enough := 1; enough <= all; enough++ {
			if got := count(enough); got != enough {
				t.Errorf("when %d %s were enough, there were %d", enough, name, got)
			}
		}
	}
}
