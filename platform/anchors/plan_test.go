package anchors

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/certtrust/certtrust/platform/anchors/anchorstest"
	"github.com/certtrust/certtrust/store"
)

// One of several certificates in a file goes; all else in it stays, byte for
// byte.
func TestSeveralInAFile(t *testing.T) {
	a, c, d := newCA(t, "A"), newCA(t, "C"), newCA(t, "D")
	crlf := func(pem []byte) string { return strings.ReplaceAll(string(pem), "\n", "\r\n") }
	for name, parts := range map[string][3]string{ // before, the certificate that goes, behind
		"comments":    {"# roots of the company\n\n# A\n" + string(a.PEM()) + "\n# C\n", string(c.PEM()), "\n\n# D\n" + string(d.PEM()) + "# the end"},
		"the first":   {"", string(c.PEM()), string(a.PEM()) + string(d.PEM())},
		"the last":    {string(a.PEM()) + string(d.PEM()), strings.TrimSuffix(string(c.PEM()), "\n"), ""},
		"CR LF":       {crlf(a.PEM()) + "# C\r\n", crlf(c.PEM()), "\r\n# D\r\n" + crlf(d.PEM())},
		"twice":       {string(a.PEM()), string(c.PEM()) + string(c.PEM()), "x\n" + string(d.PEM())},
		"on one line": {strings.TrimSuffix(string(a.PEM()), "\n"), string(c.PEM()), string(d.PEM())},
		"indented":    {"\xef\xbb\xbfroots:\n" + string(a.PEM()) + "  ", strings.TrimSuffix(strings.ReplaceAll(string(c.PEM()), "\n", "\n  "), "  "), "  # D\n" + string(d.PEM())},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, false)
			b.write(adminDir+"all.crt", []byte(parts[0]+parts[1]+parts[2]))
			b.chmod(adminDir+"all.crt", 0o664)
			b.update()
			r := b.do(absentOf(c.Cert()))
			want := parts[0] + parts[2]
			if diff := cmp.Diff(want, b.read(adminDir+"all.crt")); diff != "" {
				t.Errorf("the file (-want +got):\n%s", diff)
			}
			if info, err := os.Stat(b.path(adminDir + "all.crt")); err != nil || info.Mode().Perm() != 0o664 {
				t.Errorf("its mode is %v, error %v", info.Mode(), err)
			}
			for _, ca := range []*store.Cert{a.Cert(), d.Cert()} {
				if b.bundled(ca) != 1 {
					t.Errorf("%s is not in the bundle", ca.Label())
				}
			}
			b.trusted(c.Cert(), false)
			b.do(r.Undo...)
			b.trusted(c.Cert(), true)
		})
	}
	// Several at once, and in the end the file goes, too.
	b := newBox(t, false)
	b.write(adminDir+"all.crt", concat("# all\n", a.PEM(), c.PEM(), d.PEM()))
	b.update()
	b.do(absentOf(a.Cert()), absentOf(d.Cert()))
	if got, want := b.read(adminDir+"all.crt"), "# all\n"+string(c.PEM()); got != want {
		t.Errorf("the file is %q", got)
	}
	b.do(absentOf(c.Cert()))
	if _, err := os.Stat(b.path(adminDir + "all.crt")); err == nil {
		t.Error("the file is still there")
	}
	b.clean()
}

// A private key is in no file that certtrust writes, and none that it deletes.
func TestPrivateKeys(t *testing.T) {
	b := newBox(t, false)
	ca, other := newCA(t, "With key"), newCA(t, "Other")
	stray := newCA(t, "Stray")
	b.write(adminDir+"key.crt", concat(ca.KeyPEM(), ca.PEM()))
	b.write(adminDir+"more.crt", concat(other.PEM(), ca.KeyPEM(), newCA(t, "Third").PEM()))
	b.write(certsDir+"server.pem", concat(stray.PEM(), stray.KeyPEM()))
	b.update()
	unchanged := b.unchanged()
	for _, c := range []*store.Cert{ca.Cert(), other.Cert(), stray.Cert()} {
		if r := b.refused(store.ErrConflict, absentOf(c)); !strings.Contains(r.Reason, "private key") || r.Hint == "" {
			t.Errorf("refused for %+v", r)
		}
	}
	unchanged()
	// To trust it as well as can be makes a file without the key.
	b.do(trust(ca.Cert()))
	own := b.read(b.open().ownPath(ca.Cert().SHA256))
	if own != string(ca.PEM()) {
		t.Errorf("the file is %q", own)
	}
	// Nor does one come in by the way back.
	restore := trust(newCA(t, "New").Cert())
	restore.Item, restore.Content = adminDir+"new.crt", concat(newCA(t, "New").PEM(), newCA(t, "New").KeyPEM())
	b.refused(store.ErrInput, restore)
	// What is only a key of somebody else's is in nothing of ours.
	err := filepath.WalkDir(b.path("/var/lib/certtrust"), func(p string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if data, err := os.ReadFile(p); err != nil || strings.Contains(string(data), "PRIVATE") {
				t.Errorf("%s, error %v", p, err)
			}
		}
		return err
	})
	b.must(err)
}

// Nothing of a change that is refused is done, while others are.
func TestRefusedIsNotDone(t *testing.T) {
	b := newBox(t, false)
	ca, other := newCA(t, "Refused"), newCA(t, "New").Cert()
	b.write(adminDir+"a.crt", ca.PEM())
	b.write(adminDir+"b.crt", concat(ca.PEM(), ca.KeyPEM()))
	b.update()
	taken := newCA(t, "Taken").Cert()
	own := b.open().ownPath(taken.SHA256)
	b.write(own, []byte("# another file of that name\n"))
	s := b.open()
	p, err := s.Plan(t.Context(), []store.Change{absentOf(ca.Cert()), trust(taken), trust(other)})
	if err != nil || len(p.Refused) != 2 || p.Refused[0].Code != "conflict" || p.Refused[1].Code != "conflict" {
		t.Fatalf("plan %+v, error %v", p, err)
	}
	if _, err := s.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	b.trusted(other, true)
	for _, p := range []string{adminDir + "a.crt", adminDir + "b.crt", own} {
		if _, err := os.Stat(b.path(p)); err != nil {
			t.Error(err)
		}
	}
}

// A change of one item leaves the others, and is taken back as it was.
func TestItem(t *testing.T) {
	b := newJavaBox(t)
	ca := newCA(t, "Twice")
	b.write(adminDir+"a.crt", concat("# first\n", ca.PEM()))
	b.write(adminDir+"sub/b.crt", concat("# second\n", ca.PEM()))
	b.update()
	unchanged := b.unchanged()
	one := absentOf(ca.Cert())
	one.Item = adminDir + "sub/b.crt"
	r := b.do(one)
	b.trusted(ca.Cert(), true)
	if after := r.Done[0].After; !after.Present || !after.Trust.Has(store.Trusted) {
		t.Errorf("afterwards it is said to be %+v", after)
	}
	if _, err := os.Stat(b.path(one.Item)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the item: %v", err)
	}
	b.clean()
	b.do(r.Undo...)
	b.clean()
	if got := b.read(one.Item); got != "# second\n"+string(ca.PEM()) {
		t.Errorf("the item is %q", got)
	}
	// Both, and back.
	r = b.do(absentOf(ca.Cert()))
	b.trusted(ca.Cert(), false)
	if len(b.java(ca.Cert())) > 0 {
		t.Error("Java still has it")
	}
	b.do(r.Undo...)
	unchanged()
	// A place that is none.
	for _, item := range []string{"/etc/passwd", adminDir + "../x.crt", adminDir + "x.pem", adminDir + "a\nb.crt", "x.crt"} {
		want := trust(newCA(t, "New").Cert())
		want.Item = item
		b.refused(store.ErrInput, want)
	}
}

func TestRefusals(t *testing.T) {
	b := newBox(t, false)
	c := newCA(t, "New").Cert()
	b.write(vendorDir+"Two.crt", concat(newCA(t, "V1").PEM(), newCA(t, "V2").PEM()))
	b.edit(confFile, "mozilla/Alpha", "mozilla/Two.crt\nmozilla/Alpha")
	b.write(adminDir+"der.crt", newCA(t, "DER").DER())
	b.write("/opt/two.pem", concat(newCA(t, "E1").PEM(), newCA(t, "E2").PEM()))
	b.link("/opt/two.pem", certsDir+"two.pem")
	b.update()
	rule := func(r store.Rule) store.Change {
		return store.Change{Fingerprint: c.SHA256, DER: c.Raw, Trust: &store.Trust{r}}
	}
	for name, x := range map[string]struct {
		kind error
		want store.Change
	}{
		"a purpose":               {store.ErrUnsupported, rule(store.Rule{Purpose: store.PurposeServerAuth, Decision: store.Trusted})},
		"a host":                  {store.ErrUnsupported, rule(store.Rule{Purpose: store.PurposeAny, Decision: store.Trusted, Hosts: []string{"x.test"}})},
		"no trust":                {store.ErrUnsupported, store.Change{Fingerprint: c.SHA256, DER: c.Raw, Trust: &store.Trust{}}},
		"no wish":                 {store.ErrUnsupported, store.Change{Fingerprint: c.SHA256, DER: c.Raw}},
		"the vendor's":            {store.ErrManaged, absentOf(b.vendor[0])},
		"the vendor's, of a file": {store.ErrUnsupported, distrust(newCA(t, "V1").Cert())},
		"unknown":                 {store.ErrNotFound, store.Change{Fingerprint: c.SHA256, Trust: trust(c).Trust}},
		"another's DER":           {store.ErrInput, store.Change{Fingerprint: c.SHA256, DER: b.vendor[0].Raw, Trust: trust(c).Trust}},
		"linked with others":      {store.ErrUnsupported, absentOf(newCA(t, "E1").Cert())},
	} {
		t.Run(name, func(t *testing.T) { b := *b; b.TB = t; b.refused(x.kind, x.want) })
	}
	// DER alone can be replaced by what the tool understands.
	b.do(trust(newCA(t, "DER").Cert()))
	b.trusted(newCA(t, "DER").Cert(), true)
}

// What a change also brings about is said before.
func TestNotices(t *testing.T) {
	b := newBox(t, false)
	b.write(adminDir+"gone.crt", newCA(t, "Gone").PEM())
	b.update()
	b.remove(adminDir + "gone.crt")
	b.write(adminDir+"late.crt", newCA(t, "Late \x1b[31m").PEM())
	p := b.plan(b.open(), trust(newCA(t, "New").Cert()))
	text := strings.Join(p.Notices, "\n")
	for _, part := range []string{`also drops "Gone"`, `also brings in "Late \u001b[31m"`, adminDir + "late.crt"} {
		if !strings.Contains(text, part) {
			t.Errorf("the notices do not say %q:\n%s", part, text)
		}
	}
	p = b.plan(b.open(), distrust(newCA(t, "Unknown").Cert()))
	if !p.Empty() || !strings.Contains(strings.Join(p.Notices, "\n"), "no list of distrusted") {
		t.Errorf("plan %+v", p)
	}
	r := b.do(distrust(newCA(t, "Late \x1b[31m").Cert()))
	if !strings.Contains(strings.Join(r.Notices, "\n"), "is removed from it") {
		t.Errorf("notices %q", r.Notices)
	}
}

// The vendor's list is edited in the one line that it is about.
func TestVendorList(t *testing.T) {
	b := newBox(t, false)
	conf := "# a comment without an end of its own line\r\n\n!mozilla/Alpha.crt\n  mozilla/Beta (2).crt \nmozilla/None.crt\nmozilla/Gamma.crt\n# last"
	b.write(confFile, []byte(conf))
	b.update()
	before := b.unchanged()
	r := b.do(trust(b.vendor[0]), distrust(b.vendor[1]))
	want := strings.NewReplacer("!mozilla/Alpha", "mozilla/Alpha", "  mozilla/Beta", "!  mozilla/Beta").Replace(conf)
	if diff := cmp.Diff(want, b.read(confFile)); diff != "" {
		t.Errorf("the list (-want +got):\n%s", diff)
	}
	b.trusted(b.vendor[0], true)
	b.trusted(b.vendor[1], false)
	b.do(r.Undo...)
	before()

	// One that is not listed comes in, without bringing another one along.
	b = newBox(t, false)
	b.write(vendorDir+"New.crt", newCA(t, "New").PEM())
	b.edit(confFile, "mozilla/Gamma.crt\n", "mozilla/Gamma.crt")
	b.update()
	b.do(trust(newCA(t, "New").Cert()))
	b.trusted(newCA(t, "New").Cert(), true)
	if b.bundled(b.vendor[2]) > 0 {
		t.Error("a last line without an end has come into use")
	}
	b.do(trust(b.vendor[2]))
	b.trusted(b.vendor[2], true)

	// One whose name no line can hold comes in as a file of ours.
	b = newBox(t, false)
	b.write(vendorDir+"a\nb.crt", newCA(t, "New").PEM())
	b.do(trust(newCA(t, "New").Cert()))
	b.trusted(newCA(t, "New").Cert(), true)
	if strings.Contains(b.read(confFile), "b.crt") {
		t.Errorf("the list is %q", b.read(confFile))
	}
}

// A link that the tool forgets to remove does not keep its certificate trusted.
func TestForgottenLink(t *testing.T) {
	b := newBox(t, false)
	b.edit(confFile, "mozilla/Beta", "!mozilla/Beta")
	b.update()
	if !b.lookup(b.vendor[1]) {
		t.Fatal("the tool has removed the link")
	}
	all, _ := b.entries()
	if !slices.ContainsFunc(all, func(e store.Entry) bool {
		return e.Cert != nil && e.Cert.SHA256 == b.vendor[1].SHA256 && e.Source.Kind == kindLink && e.Trust.Has(store.Trusted)
	}) {
		t.Error("it is not listed as trusted")
	}
	b.do(distrust(b.vendor[1]))
	b.trusted(b.vendor[1], false)
	b.clean()
}

// What lies there and was not built in yet is built in, and not put in twice.
func TestNotYetUpdated(t *testing.T) {
	b := newBox(t, false)
	ca := newCA(t, "Late")
	b.edit(confFile, "mozilla/Gamma", "!mozilla/Gamma")
	b.update()
	b.write(adminDir+"late.crt", ca.PEM())
	b.edit(confFile, "!mozilla/Gamma", "mozilla/Gamma")
	b.clean("anchor-not-in-bundle "+adminDir+"late.crt", "anchor-not-in-bundle "+vendorDir+"Gamma.crt")
	r := b.do(trust(ca.Cert()), trust(b.vendor[2]), trust(ca.Cert())) // twice the same is once
	if len(r.Done) != 3 {
		t.Errorf("done was %+v", r.Done)
	}
	b.trusted(ca.Cert(), true)
	b.trusted(b.vendor[2], true)
	b.clean()
	b.do(r.Undo...)
	b.trusted(ca.Cert(), false)
	b.trusted(b.vendor[2], false)
	if b.read(confFile) == strings.ReplaceAll(b.read(confFile), "!", "") {
		t.Error("the vendor's is not disabled")
	}
}

// A leftover of the bundle can be removed, and comes back as an anchor.
func TestLeftover(t *testing.T) {
	b := newJavaBox(t)
	ca := newCA(t, "Left")
	b.write(adminDir+"left.crt", ca.PEM())
	b.update()
	b.remove(adminDir + "left.crt")
	r := b.do(absentOf(ca.Cert()))
	b.trusted(ca.Cert(), false)
	if len(b.java(ca.Cert())) > 0 {
		t.Error("Java still has it")
	}
	b.clean("dangling-link "+certsDir+"left.pem", "dangling-link "+certsDir+anchorstest.SubjectHash(ca.Cert())+".0")
	b.do(r.Undo...)
	b.trusted(ca.Cert(), true)
	b.clean()
}

// A DER file is removed as it is, and comes back as what the tool understands.
func TestDERAnchor(t *testing.T) {
	b := newBox(t, false)
	ca := newCA(t, "DER")
	b.write(adminDir+"der.crt", ca.DER())
	r := b.do(absentOf(ca.Cert()))
	if _, err := os.Stat(b.path(adminDir + "der.crt")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file: %v", err)
	}
	b.do(r.Undo...)
	if got := b.read(adminDir + "der.crt"); got != string(ca.PEM()) {
		t.Errorf("the file is %q", got)
	}
	b.trusted(ca.Cert(), true)
	b.clean()
	b.write(adminDir+"two.crt", concat(newCA(t, "One").DER(), newCA(t, "Two").DER()))
	b.refused(store.ErrUnsupported, absentOf(newCA(t, "One").Cert()))
}

// What lies in the hash directory by hand is removed from there, alone or from
// among others, and by its place.
func TestStrays(t *testing.T) {
	b := newBox(t, false)
	one, two := newCA(t, "One"), newCA(t, "Two")
	b.write(certsDir+"both.pem", concat("# both\n", one.PEM(), two.PEM()))
	b.write(certsDir+"one.pem", one.PEM())
	b.link("one.pem", certsDir+anchorstest.SubjectHash(one.Cert())+".0")
	here := absentOf(one.Cert())
	here.Item = certsDir + "both.pem"
	b.do(here)
	if got := b.read(here.Item); got != "# both\n"+string(two.PEM()) {
		t.Errorf("the file is %q", got)
	}
	if !b.lookup(one.Cert()) {
		t.Error("the other file is not found any more")
	}
	b.do(absentOf(one.Cert()), absentOf(two.Cert()))
	b.trusted(one.Cert(), false)
	b.clean()
}
