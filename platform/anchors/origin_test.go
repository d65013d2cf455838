package anchors

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/certtrust/certtrust/platform/rpm/rpmtest"
	"github.com/certtrust/certtrust/store"
)

// Which package a file is of is read out of the package manager's records, as
// far as these can be.
func TestOwners(t *testing.T) {
	rpms, err := rpmtest.Database(t.Context(),
		rpmtest.Package{Name: "other", Version: "1", Release: "1", Files: []rpmtest.File{{Path: "/usr/bin/x"}}},
		rpmtest.Package{Name: "corp-ca", Version: "2.0", Release: "1", Files: []rpmtest.File{
			{Path: "/etc/pki/ca-trust/source/anchors/corp.crt"}, {Path: "/etc/pki/trust/anchors/corp.crt"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		layout, record, text string
		by                   store.OriginBy
		detail               string
	}{
		{"alpine", "/lib/apk/db/installed",
			"C:Q1abc=\nP:other\nV:1-r0\nF:usr/bin\nR:x\n\nP:corp-ca\nV:2.0-r1\nF:usr/local/share/ca-certificates\nR:corp.crt\nZ:Q1x=\n\n",
			store.ByVendor, "corp-ca 2.0-r1"},
		{"arch", "/var/lib/pacman/local/corp-ca-2.0-1/files", "%FILES%\netc/\netc/ca-certificates/trust-source/anchors/corp.crt\n", store.ByVendor, "corp-ca 2.0-1"},
		{"fedora", "/usr/lib/sysimage/rpm/rpmdb.sqlite", "SQLite format 3\x00", store.ByAdmin, "by hand or by a package"},
		{"fedora", "/usr/lib/sysimage/rpm/rpmdb.sqlite", string(rpms), store.ByVendor, "corp-ca 2.0-1"},
		{"suse", "/var/lib/rpm/rpmdb.sqlite", string(rpms), store.ByVendor, "corp-ca 2.0-1"},
		{"fedora", "/var/lib/rpm/Packages", "\x00\x00", store.ByAdmin, "by hand or by a package"},
		{"suse", "/usr/lib/sysimage/rpm/Packages.db", "RpmP", store.ByAdmin, "by hand or by a package"},
		{"fedora", "/var/lib/rpm/.rpm.lock", "", store.ByAdmin, "by hand"},
		{"suse", "/usr/share/nothing", "", store.ByAdmin, "by hand"},
	} {
		t.Run(c.layout, func(t *testing.T) {
			b := newFolderBox(t, layout(t, c.layout))
			corp := newCA(t, "Corp").Cert()
			write := func(name string, text []byte) {
				file := filepath.Join(b.root, filepath.FromSlash(name))
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			s := b.open()
			write(s.family.adminDir+"/corp.crt", newCA(t, "Corp").PEM())
			write(c.record, []byte(c.text))
			found := false
			for e, err := range s.Entries(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				if e.Cert != nil && e.Cert.SHA256 == corp.SHA256 {
					found = true
					if e.Origin != (store.Origin{By: c.by, Detail: c.detail}) {
						t.Errorf("the origin is %+v", e.Origin)
					}
				}
			}
			if !found {
				t.Error("it is not listed")
			}
		})
	}
}
