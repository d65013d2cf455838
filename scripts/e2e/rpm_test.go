//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/store/storetest"
)

// corpSpec is what a package is made from that has roots, as Fedora's has them,
// with the directory of its files in the place of @.
const corpSpec = `Name: corp-roots
Version: 2.0
Release: 1
Summary: Roots
License: none
BuildArch: noarch
%description
Roots.
%install
cp -a @/. %{buildroot}/
%files
/usr/share/pki/ca-trust-source/*.p11-kit
%doc /usr/share/pki/ca-trust-source/README
%config(noreplace) /etc/pki/ca-trust/source/anchors/corp.pem
%ghost /usr/share/pki/ca-trust-source/later
`

// Whose a file is, and that it was changed, is known from the database that the
// real rpm makes, on a running machine and in an image, and nothing is changed in it.
func TestRPM(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		need(t, "rpmbuild", "rpm")
		fedora := p11Layouts[slices.IndexFunc(p11Layouts, func(l p11Layout) bool { return l.name == "fedora" })]
		vendor := fedora.enter(t)
		const (
			roots    = "/usr/share/pki/ca-trust-source/ca-bundle.trust.p11-kit"
			readme   = "/usr/share/pki/ca-trust-source/README"
			settings = "/etc/pki/ca-trust/source/anchors/corp.pem"
			byHand   = "/etc/pki/ca-trust/source/anchors/own.pem"
			records  = "/usr/lib/sysimage/rpm"
			image    = "/image"
		)
		corp, own := storetest.NewCA(t, storetest.CN("Corp")), storetest.NewCA(t, storetest.CN("Own"))
		bundle, err := os.ReadFile(roots)
		if err != nil {
			t.Fatal(err)
		}
		place(t, "/content"+roots, bundle)
		place(t, "/content"+readme, []byte("Roots.\n"))
		place(t, "/content"+settings, corp.PEM())
		place(t, "/content/usr/share/pki/ca-trust-source/later", nil)
		place(t, byHand, own.PEM())
		place(t, "/usr/bin/dnf", nil)
		spec := place(t, "/build/corp.spec", []byte(strings.ReplaceAll(corpSpec, "@", "/content")))
		must(t, command("rpmbuild", "-bb", "--quiet", "--define", "_topdir /build", spec))
		built, _ := filepath.Glob("/build/RPMS/noarch/*.rpm")
		if len(built) != 1 {
			t.Fatalf("%q were built", built)
		}
		must(t, command("mkdir", image))
		must(t, command("cp", "-a", "--parents", "/etc/os-release", "/etc/pki/ca-trust", fedora.tool, image))

		for _, root := range []string{"/", image} {
			must(t, command("rpm", "--root", root, "--dbpath", records, "-i", "--force", "--nodeps", built[0]))
			database := filepath.Join(root, records, "rpmdb.sqlite")
			// Readers' locks are in a file of their own, which is no part of the data.
			untouched := func() state {
				s := snapshot(filepath.Join(root, records))
				if root == "/" {
					delete(s, database+"-shm")
				}
				return s
			}
			before := untouched()
			if _, ok := before[database]; !ok {
				t.Fatalf("rpm has made no database of the SQLite kind: %v", before)
			}
			at := func(args ...string) result {
				if root != "/" {
					args = append(args, "--root", root)
				}
				return output(t, certtrust(args...))
			}
			origins := func(r result) map[string]string {
				out := map[string]string{}
				for _, e := range parse(t, r).Entries {
					out[e.SHA256] = e.Origin.By + " " + e.Origin.Detail
				}
				return out
			}
			whose := func(r result) {
				t.Helper()
				got := origins(r)
				for sha, want := range map[string]string{
					vendor[0].sha256: "vendor corp-roots 2.0-1", corp.Cert().SHA256.String(): "vendor corp-roots 2.0-1", own.Cert().SHA256.String(): "admin by hand",
				} {
					if got[sha] != want {
						t.Errorf("%s: %s is said to be of %q, not %q", root, sha, got[sha], want)
					}
				}
			}
			modified := func() (titles string, commands []string) {
				t.Helper()
				for _, f := range auditOf(t, at("audit", "--json", "--system")) {
					if f.ID == "drift.package_modified" {
						titles += f.Title + "\n"
						for _, fix := range f.Fixes {
							commands = append(commands, fix.Commands...)
						}
					}
				}
				return titles, commands
			}

			whose(at("list", "--system", "--json"))
			if root == "/" {
				whose(output(t, asUser(certtrust("list", "--system", "--json"), nobody, "/nonexistent")))
			}
			if titles, _ := modified(); titles != "" {
				t.Errorf("%s: nothing was changed:\n%s", root, titles)
			}

			for _, file := range []string{roots, settings} {
				data, err := os.ReadFile(filepath.Join(root, file))
				if err != nil {
					t.Fatal(err)
				}
				place(t, filepath.Join(root, file), append([]byte("# changed\n"), data...))
			}
			must(t, command("rm", filepath.Join(root, readme)))
			titles, commands := modified()
			for _, want := range []string{roots + " is not as the package corp-roots has it\n", readme + " of the package corp-roots is missing\n"} {
				if !strings.Contains(titles, want) {
					t.Errorf("%s: it is not found that %s", root, want)
				}
			}
			if strings.Count(titles, "\n") != 2 {
				t.Errorf("%s: it is found that\n%s", root, titles)
			}
			if root == "/" && !slices.Contains(commands, "dnf reinstall -y corp-roots") {
				t.Errorf("%q are to mend it", commands)
			}
			if d := touched(before, untouched()); d != "" {
				t.Errorf("%s: rpm's database was touched:\n%s", root, d)
			}
			// Without the file of the locks, none is made.
			must(t, command("rm", "-f", database+"-shm", database+"-wal"))
			whose(at("list", "--system", "--json"))
			for _, suffix := range []string{"-shm", "-wal"} {
				if _, err := os.Lstat(database + suffix); err == nil {
					t.Errorf("%s%s was made", database, suffix)
				}
			}
			// What rpm itself says of them.
			if r := output(t, command("rpm", "--root", root, "--dbpath", records, "-V", "corp-roots")); !strings.Contains(r.stdout, "5") || !strings.Contains(r.stdout, roots) || !strings.Contains(r.stdout, "missing") {
				t.Errorf("rpm does not find it: %v", r)
			}
		}
	})
}
