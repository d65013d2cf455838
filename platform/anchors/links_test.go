package anchors

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/platform/anchors/anchorstest"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// numbers returns the numbers of the hash links of a subject, with what they
// lead to.
func (b *box) numbers(c *store.Cert) []string {
	b.Helper()
	entries, err := b.host.ReadDir(certsDir)
	b.must(err)
	var all []string
	for _, e := range entries {
		if n, ok := strings.CutPrefix(e.Name(), anchorstest.SubjectHash(c)+"."); ok {
			target, err := b.host.Readlink(certsDir + e.Name())
			b.must(err)
			all = append(all, n+" "+target)
		}
	}
	return all
}

// siblings are authorities with the same subject and other keys.
func siblings(t testing.TB, n int) (all []*store.Cert) {
	for i := range n {
		all = append(all, storetest.NewCA(t, storetest.CN("Twin"), storetest.Seed(fmt.Sprint("Twin", i))).Cert())
	}
	return all
}

// Whichever of several with the same subject goes, the others are found: at
// numbers without a gap.
func TestTwins(t *testing.T) {
	all := siblings(t, 4)
	for gone := range 1 << len(all) {
		t.Run(fmt.Sprintf("%04b", gone), func(t *testing.T) {
			t.Parallel()
			b := newBox(t, false)
			var in, out []store.Change
			for i, c := range all {
				in = append(in, trust(c))
				if gone&(1<<i) != 0 {
					out = append(out, absentOf(c))
				}
			}
			b.do(in...)
			if len(out) == 0 {
				return
			}
			b.do(out...)
			for i, c := range all {
				b.trusted(c, gone&(1<<i) == 0)
			}
			for i, link := range b.numbers(all[0]) {
				if n, _, _ := strings.Cut(link, " "); n != fmt.Sprint(i) {
					t.Errorf("the numbers are %q", b.numbers(all[0]))
				}
			}
			b.clean()
		})
	}
}

// At no moment of a removal is another certificate not found.
func TestTwinsAreNeverMissing(t *testing.T) {
	all := siblings(t, 4)
	for gone := range all {
		b := newBox(t, false)
		var in []store.Change
		for _, c := range all {
			in = append(in, trust(c))
		}
		b.do(in...)
		steps := 0
		look := func() {
			steps++
			for i, c := range all {
				if i != gone && (!b.lookup(c) || b.bundled(c) != 1) {
					t.Errorf("while %d of %v goes, %d is not found at step %d", gone, b.numbers(c), i, steps)
				}
			}
		}
		b.host.Fault = func(string, string) error { look(); return nil }
		b.updater.During = look
		b.do(absentOf(all[gone]))
		if steps < 3 {
			t.Errorf("there were only %d steps", steps)
		}
	}
}

// Who reads while a change is made always finds the bundle and the links of
// all that the change is not about.
func TestReaders(t *testing.T) {
	b := newJavaBox(t)
	there, other := newCA(t, "There").Cert(), newCA(t, "Other").Cert()
	b.do(trust(there), trust(other))
	for _, step := range []struct {
		name string
		want store.Change
	}{
		{"trust", trust(newCA(t, "New").Cert())}, {"remove", absentOf(there)},
		{"distrust", distrust(b.vendor[1])}, {"trust again", trust(there)},
	} {
		name, want := step.name, step.want
		during := 0
		look := func() {
			for _, c := range []*store.Cert{b.vendor[0], b.vendor[2], other} {
				if b.bundled(c) != 1 || !b.lookup(c) || len(b.java(c)) != 1 {
					t.Errorf("%s: %s is not found", name, c.Label())
				}
			}
		}
		b.host.Fault = func(string, string) error { look(); return nil }
		b.updater.During = func() { during++; look() }
		b.do(want)
		if during == 0 {
			t.Errorf("%s: the tool was not run", name)
		}
		// The same while it is put back.
		b.updater.Exit = 1
		if want.Absent {
			want = trust(there)
		} else {
			want = trust(newCA(t, "Another").Cert())
		}
		b.try(b.open(), store.ErrFailed, want)
		b.updater.Exit = 0
	}
}

// What is done to links by hand, or in their place, is put back as it was.
func TestOddLinks(t *testing.T) {
	b := newBox(t, false)
	own := newCA(t, "Own")
	fp := own.Cert().SHA256
	name := linkName(b.open().ownPath(fp), ".crt")
	b.write(certsDir+name, []byte("in place of the link\n"))
	b.link("/nowhere", certsDir+"dangling.pem")
	b.link("dangling.pem", certsDir+"0a0b0c0d.0")
	b.link("../certs/Alpha.pem", certsDir+"0a0b0c0d.1")
	b.link("/etc/ssl/certs/java", certsDir+"directory")
	unchanged := b.unchanged()
	b.updater.Lie = true
	b.try(b.open(), store.ErrFailed, trust(own.Cert()))
	unchanged()
	b.updater.Lie = false
	tool := b.host.Runner
	b.host.Runner = failAfter(tool)
	b.try(b.open(), store.ErrFailed, trust(own.Cert()))
	unchanged()
	b.host.Runner = tool
	b.do(trust(own.Cert()))
	b.trusted(own.Cert(), true)
	b.clean()
}

// An anchor that is a link: the link goes, what it leads to stays.
func TestLinkedAnchor(t *testing.T) {
	b := newBox(t, false)
	ca := newCA(t, "Linked")
	b.write("/opt/ca.crt", ca.PEM())
	b.link("../../../../opt/ca.crt", adminDir+"linked.crt")
	b.update()
	b.trusted(ca.Cert(), true)
	unchanged := b.unchanged()
	b.updater.Lie = true
	b.try(b.open(), store.ErrFailed, absentOf(ca.Cert()))
	b.updater.Lie = false
	unchanged() // it is a link again
	r := b.do(absentOf(ca.Cert()))
	b.trusted(ca.Cert(), false)
	if got := b.read("/opt/ca.crt"); got != string(ca.PEM()) {
		t.Errorf("the file is now %q", got)
	}
	if _, err := os.Lstat(b.path(adminDir + "linked.crt")); err == nil {
		t.Error("the link is still there")
	}
	b.do(r.Undo...)
	b.trusted(ca.Cert(), true)
	b.clean()
}

// A directory of anchors that is a link is followed, but not in circles.
func TestLinkedDirectory(t *testing.T) {
	b := newBox(t, false)
	ca := newCA(t, "Linked")
	b.write("/opt/roots/ca.crt", ca.PEM())
	b.link("/opt/roots", adminDir+"roots")
	b.link("..", "/opt/roots/up")
	b.link(".", "/opt/roots/here")
	b.link("/", adminDir+"root")
	var paths []string
	all, errs := b.entries()
	for _, e := range all {
		if e.Cert != nil && e.Cert.SHA256 == ca.Cert().SHA256 {
			paths = append(paths, e.Source.Path)
		}
	}
	want := []string{adminDir + "root/opt/roots/ca.crt", adminDir + "roots/ca.crt"}
	if !slices.Equal(paths, want) || len(errs) > 0 {
		t.Errorf("found %q, errors %v", paths, errs)
	}

	// Directories that all lead to one another have more ways through them
	// than anybody can go: what was not looked into is told, once.
	b = newBox(t, false)
	const n = 8
	for i := range n {
		for j := range n {
			if i != j {
				b.link(fmt.Sprintf("../%d", j), fmt.Sprintf("%sd/%d/to-%d", adminDir, i, j))
			}
		}
	}
	all, errs = b.entries()
	if len(all) != len(b.vendor) || len(errs) != 1 || !errors.Is(errs[0], store.ErrCorrupt) {
		t.Errorf("%d entries, errors %v", len(all), errs)
	}
}

// What links from elsewhere bring in is listed, and removing it removes the
// links to it alone.
func TestLinksToElsewhere(t *testing.T) {
	b := newBox(t, false)
	ca, one, two := newCA(t, "Elsewhere"), newCA(t, "One"), newCA(t, "Two")
	b.write("/opt/ca.pem", ca.PEM())
	b.link("/opt/ca.pem", certsDir+"elsewhere.pem")
	b.link("elsewhere.pem", certsDir+anchorstest.SubjectHash(ca.Cert())+".0")
	b.link("../../../opt/ca.pem", certsDir+"again.pem")
	b.write("/opt/two.pem", concat(one.PEM(), two.PEM()))
	b.link("/opt/two.pem", certsDir+"two.pem")
	e := b.entry(ca.Cert())
	if e.Source.Kind != kindLink || !e.Trust.Has(store.Trusted) {
		t.Errorf("entry %+v", e)
	}
	b.refused(store.ErrUnsupported, absentOf(one.Cert()))
	r := b.do(absentOf(ca.Cert()))
	for _, e := range func() []store.Entry { all, _ := b.entries(); return all }() {
		if e.Cert != nil && e.Cert.SHA256 == ca.Cert().SHA256 {
			t.Errorf("it is still there: %+v", e)
		}
	}
	if b.lookup(ca.Cert()) || b.read("/opt/ca.pem") != string(ca.PEM()) {
		t.Error("it is still found, or its file is not what it was")
	}
	b.do(r.Undo...)
	b.trusted(ca.Cert(), true)
}

// Two files of one name have one link: who wants the other one trusted gets it
// under a name of its own.
func TestSameName(t *testing.T) {
	b := newBox(t, false)
	one, other := newCA(t, "One"), newCA(t, "Other")
	b.write(adminDir+"a/corp.crt", one.PEM())
	b.write(adminDir+"b/corp.crt", other.PEM())
	b.update()
	if b.lookup(one.Cert()) || !b.lookup(other.Cert()) {
		t.Fatal("the tool gives the link to another one than was thought")
	}
	b.do(trust(one.Cert()))
	if !b.lookup(one.Cert()) || !b.lookup(other.Cert()) {
		t.Error("not both are found")
	}
	b.clean()
	b.do(absentOf(one.Cert()))
	b.trusted(one.Cert(), false)
	b.trusted(other.Cert(), true)
}

// The same certificate in two files has one link, and that is enough.
func TestSameCertificate(t *testing.T) {
	b := newBox(t, false)
	b.write(adminDir+"copy.crt", newCA(t, "Vendor Alpha").PEM())
	b.update()
	b.clean()
	if p := b.plan(b.open(), trust(b.vendor[0])); !p.Empty() {
		t.Errorf("there is still to do: %+v", p.Steps)
	}
}
