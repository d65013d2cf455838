package anchors

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// problems returns what is wrong with the store.
func (b *folderBox) problems() (list []store.Problem) {
	b.Helper()
	for p, err := range b.open().Problems(b.Context()) {
		if err != nil {
			b.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

// Where programs such as Go's take every file for roots, what the system did not
// put there is told. Copies that somebody has kept, and links that lead nowhere,
// are mended; what may be some program's own is left alone.
func TestFolderStrays(t *testing.T) {
	for name, dir := range map[string]string{"fedora": "/etc/pki/tls/certs", "arch": "/etc/ssl/certs", "alpine": "/etc/ssl/certs"} {
		t.Run(name, func(t *testing.T) {
			b := newFolderBox(t, layout(t, name))
			sound := b.tree()
			if list := b.problems(); len(list) > 0 {
				t.Fatalf("at first there is %+v", list)
			}
			stray, kept, leads, key := newCA(t, "Stray"), newCA(t, "Kept"), newCA(t, "Leads"), newCA(t, "Server")
			b.write(dir+"/stray.pem", stray.PEM())
			b.write(dir+"/ca.pem.bak", kept.PEM())
			b.write(dir+"/server.bak", append(key.PEM(), key.KeyPEM()...)) // some program may want the key
			b.write(dir+"/README", []byte("nothing"))
			b.write("/opt/leads.pem", leads.PEM())
			for link, target := range map[string]string{"/leads.pem": "/opt/leads.pem", "/gone.pem": "/nowhere", "/01234567.0": "gone.pem"} {
				if err := os.Symlink(target, filepath.Join(b.root, dir+link)); err != nil {
					t.Fatal(err)
				}
			}
			told := func() string {
				var out []string
				for _, p := range b.problems() {
					out = append(out, p.Code+" "+strings.TrimPrefix(p.Path, dir+"/"))
				}
				slices.Sort(out)
				return strings.Join(out, ", ")
			}
			if got := told(); got != "dangling-link 01234567.0, dangling-link gone.pem, stray-backup ca.pem.bak, stray-file leads.pem, stray-file server.bak, stray-file stray.pem" {
				t.Errorf("the problems are %s", got)
			}
			for _, c := range []*store.Cert{stray.Cert(), kept.Cert(), leads.Cert()} {
				if found := b.of(c); len(found) != 1 || !found[0].Trust.Has(store.Trusted) || found[0].Origin.By != store.ByUnknown {
					t.Errorf("%s is listed as %+v", c.Label(), found)
				}
				for _, want := range []store.Change{absentOf(c), distrust(c)} {
					if _, err := b.do(want); !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), "read the whole directory") {
						t.Errorf("%s, absent %t: %v", c.Label(), want.Absent, err)
					}
				}
			}
			before := b.tree()
			s := b.open()
			p, err := s.PlanRepair(t.Context(), b.problems())
			if err != nil || len(p.Refused) != 3 {
				t.Fatalf("error %v, refused %+v", err, p.Refused)
			}
			r, err := s.Apply(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			if got := told(); got != "stray-file leads.pem, stray-file server.bak, stray-file stray.pem" {
				t.Errorf("after the repair: %s", got)
			}
			if len(b.of(kept.Cert())) > 0 {
				t.Error("what was kept is still listed")
			}
			if _, err := b.do(r.Undo...); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("gone.pem", filepath.Join(b.root, dir+"/01234567.0")); err != nil { // nobody wants that back
				t.Fatal(err)
			}
			if b.tree() != before {
				t.Error("undo does not bring back what it was")
			}
			// Whose certificate is an anchor, too, is told of, and no more.
			for _, file := range []string{"stray.pem", "ca.pem.bak", "server.bak", "leads.pem", "gone.pem", "01234567.0"} {
				if err := os.Remove(filepath.Join(b.root, dir, file)); err != nil {
					t.Fatal(err)
				}
			}
			for _, file := range []string{dir + "/README", "/opt/leads.pem", "/opt"} {
				if err := os.Remove(filepath.Join(b.root, file)); err != nil {
					t.Fatal(err)
				}
			}
			if b.tree() != sound {
				t.Error("something else was changed")
			}
			b.write(dir+"/vendor.pem", certfile.EncodePEM(b.vendor[0]))
			if found := b.of(b.vendor[0]); len(found) != 1 || told() != "stray-file vendor.pem" {
				t.Errorf("a root that is an anchor, too: %+v, %s", found, told())
			}
		})
	}
}

// An update that was killed after it had made the bundles left the other outputs
// as they were, and was taken for done: what was removed was found by its hash.
func TestUnfinishedUpdate(t *testing.T) {
	for name, dir := range map[string]string{"fedora": "/etc/pki/ca-trust/extracted/pem/directory-hash", "suse": "/var/lib/ca-certificates/pem", "arch": "/etc/ca-certificates/extracted/cadir"} {
		t.Run(name, func(t *testing.T) {
			b := newFolderBox(t, layout(t, name))
			c := newCA(t, "Corp").Cert()
			without := b.tree()
			if _, err := b.do(trust(c)); err != nil {
				t.Fatal(err)
			}
			with := b.tree()
			link := filepath.Join(b.root, dir, certfile.SubjectHash(c)+".0")
			target, err := os.Readlink(link)
			if err == nil {
				err = os.Remove(link)
			}
			if err != nil {
				t.Fatal(err)
			}
			unfinished := func(p store.Problem) bool { return p.Code == "unfinished-update" && p.Path == dir }
			if list := b.problems(); !slices.ContainsFunc(list, unfinished) {
				t.Errorf("with a link missing, the problems are %+v", list)
			}
			if _, err := b.do(trust(c)); err != nil || b.tree() != with {
				t.Errorf("trusted again: error %v, or it is not as it was", err)
			}
			if dir := b.tool.Linked; dir != "" {
				if err := os.Remove(filepath.Join(b.root, dir, certfile.SubjectHash(c)+".0")); err != nil {
					t.Fatal(err)
				}
				b.mend()
				if b.tree() != with {
					t.Error("the links to the hash directory are not mended")
				}
			}
			// Removed, and still found by its hash.
			if _, err := b.do(absentOf(c)); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("/corp.pem", link); err != nil {
				t.Fatal(err)
			}
			b.write("/corp.pem", certfile.EncodePEM(c))
			if list := b.problems(); !slices.ContainsFunc(list, unfinished) {
				t.Errorf("with a link too many to %s, the problems are %+v", target, list)
			}
			b.mend()
			if err := os.Remove(filepath.Join(b.root, "corp.pem")); err != nil {
				t.Fatal(err)
			}
			if b.tree() != without || len(b.problems()) > 0 {
				t.Errorf("it is not as it was before: %+v", b.problems())
			}
		})
	}
}

// p11-kit takes hidden files for anchors, too: what a killed write had left among
// them stayed trusted, whatever was removed. It lies elsewhere, and is found there.
func TestTemporariesAreNoAnchors(t *testing.T) {
	for name, temp := range map[string]string{"fedora": "/etc/pki/ca-trust", "suse": "/etc/pki", "arch": "/etc/ca-certificates", "alpine": "/usr/local/share", "clear": "/etc/ca-certs", "photon": "/etc/ssl"} {
		b := newFolderBox(t, layout(t, name))
		s := b.open()
		if got := s.options(s.family.adminDir + "/x.pem").TempDir; got != temp {
			t.Errorf("%s: %q", name, got)
		}
		if block := s.blockFile(b.vendor[0].SHA256); block != "" {
			if got := s.options(block).TempDir; got != temp {
				t.Errorf("%s, to distrust: %q", name, got)
			}
		}
		b.write(temp+"/"+host.TempPrefix+"0123", newCA(t, "Left").PEM())
		if got := codes(b.problems()); got != "left-behind" {
			t.Errorf("%s: %q", name, got)
		}
		b.mend()
		if list := b.problems(); len(list) > 0 {
			t.Errorf("%s: %+v", name, list)
		}
	}
}

// A file with a private key, which Alpine's tool copies into a bundle that
// everybody can read, is set aside, and its certificate stays trusted. A failure
// puts it back.
func TestFolderKey(t *testing.T) {
	b := newFolderBox(t, layout(t, "alpine"))
	ca := newCA(t, "Key")
	const file = "/usr/local/share/ca-certificates/key.crt"
	b.write(file, append(ca.PEM(), ca.KeyPEM()...))
	if _, err := b.tool.Run(t.Context(), host.Command{Args: []string{b.tool.Tool}}); err != nil {
		t.Fatal(err)
	}
	before := b.tree()
	b.tool.Short = true
	s := b.open()
	p, err := s.PlanRepair(t.Context(), b.problems())
	if err == nil {
		_, err = s.Apply(t.Context(), p)
	}
	if !errors.Is(err, store.ErrFailed) || b.tree() != before {
		t.Errorf("error %v, or it was not put back", err)
	}
	b.tool.Short = false
	b.mend()
	if list := b.problems(); len(list) > 0 {
		t.Errorf("there is still %+v", list)
	}
	if found := b.of(ca.Cert()); len(found) != 1 || !found[0].Trust.Has(store.Trusted) || found[0].Origin.By != store.ByCerttrust {
		t.Errorf("it is listed as %+v", found)
	}
	aside, err := filepath.Glob(filepath.Join(b.root, "usr/local/share/certtrust-set-aside/*key.crt"))
	if err != nil || len(aside) != 1 {
		t.Errorf("set aside is %q, %v", aside, err)
	}
}
