package anchors

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

const hosts = "../../testdata/hosts"

// detection is what each of testdata/hosts is: its family ("" = none of those
// that are known), what stands in the way of writing, and the telling reason.
var detection = map[string]struct {
	family   string
	obstacle store.ObstacleKind
	reason   string
}{
	"debian-12":    {"debian", "", "/usr/sbin/update-ca-certificates is that of Debian's ca-certificates"},
	"debian-13":    {"debian", "", "os-release names debian"},
	"ubuntu-24.04": {"debian", "", "os-release names ubuntu, debian"},
	"linuxmint":    {"debian", "", "os-release names linuxmint, ubuntu, debian"},
	"devuan":       {"debian", "", "os-release names devuan, debian"},
	"kali":         {"debian", "", "os-release names kali, debian"},
	"raspbian":     {"debian", "", "os-release names raspbian, debian"},
	"proxmox":      {"debian", "", "os-release names debian"},
	"debian-bare":  {"debian", store.ToolMissing, "no bundle at /etc/ssl/certs/ca-certificates.crt"},

	// They have Debian's tool, and say of themselves that they are something else.
	"gentoo":    {"debian", "", "/usr/sbin/update-ca-certificates is that of Debian's ca-certificates"},
	"void":      {"debian", "", "os-release names void"},
	"slackware": {"debian", "", "os-release names slackware"},

	"fedora":           {"fedora", "", "os-release names fedora"},
	"rhel-9":           {"fedora", "", "/usr/bin/update-ca-trust is that of Fedora's ca-certificates"},
	"centos-7":         {"fedora", "", "os-release names centos, rhel, fedora"},
	"rocky-9":          {"fedora", "", "os-release names rocky, rhel, centos, fedora"},
	"almalinux-9":      {"fedora", "", "os-release names almalinux, rhel, centos, fedora"},
	"oraclelinux-9":    {"fedora", "", "os-release names ol, fedora"},
	"amazonlinux-2":    {"fedora", "", "os-release names amzn, centos, rhel, fedora"},
	"amazonlinux-2023": {"fedora", "", "os-release names amzn, fedora"},
	"azurelinux-3":     {"fedora", "", "os-release names azurelinux"},
	"sailfish":         {"fedora", "", "os-release names sailfishos, fedora"},
	"coreos":           {"fedora", "", "/run/ostree-booted: only /etc and /var can be written, which is enough"},
	"silverblue":       {"fedora", "", "/run/ostree-booted: only /etc and /var can be written, which is enough"},
	"fedora-bare":      {"fedora", store.ToolMissing, "no /usr/bin/update-ca-trust"},
	"rhel-6":           {"fedora", store.Managed, "/etc/pki/tls/certs/ca-bundle.crt is no link: an old release, in which the anchors are not in force"},

	"opensuse":      {"suse", "", "/usr/sbin/update-ca-certificates is that of openSUSE's ca-certificates"},
	"opensuse-leap": {"suse", "", "os-release names opensuse-leap, suse, opensuse"},
	"sles-15":       {"suse", "", "/usr/sbin/update-ca-certificates is that of openSUSE's ca-certificates"},
	"sles-12":       {"suse", "", "/usr/sbin/update-ca-certificates is that of openSUSE's ca-certificates"},
	"microos":       {"suse", "", "os-release names opensuse-microos, suse, opensuse, opensuse-tumbleweed"},

	"arch":        {"arch", "", "/usr/bin/update-ca-trust is that of Arch's ca-certificates"},
	"manjaro":     {"arch", "", "os-release names manjaro, arch"},
	"endeavouros": {"arch", "", "os-release names endeavouros, arch"},

	"alpine": {"alpine", "", "/usr/sbin/update-ca-certificates is that of Alpine's ca-certificates"},
	"wolfi":  {"alpine", "", "os-release names wolfi"},

	"clear":        {"clear", "", "/usr/bin/clrtrust is that of Clear Linux's clrtrust"},
	"photon-5":     {"photon", "", "/usr/bin/rehash_ca_certificates.sh is that of Photon's ca-certificates"},
	"flatcar":      {"flatcar", "", "/usr/sbin/update-ca-certificates is that of Flatcar's ca-certificates"},
	"nixos":        {"nixos", store.Managed, "there is /etc/NIXOS"},
	"bottlerocket": {"bottlerocket", store.Managed, "os-release names bottlerocket"},

	"freebsd-15": {"freebsd", "", "/usr/sbin/certctl is that of FreeBSD's certctl, since 15"},
	"freebsd-14": {"freebsd", "", "how it works is known from its manual and source, and not tried"},
	"netbsd-10":  {"netbsd", "", "how it works is known from its manual, and not tried"},
	"openbsd-7":  {"openbsd", "", "how it works is known from documents, and not tried"},
	"termux":     {"termux", "", "there is the bundle /data/data/com.termux/files/usr/etc/tls/cert.pem"},
	"android":    {"android", store.Managed, "there is /system/etc/security/cacerts"},

	"distroless":    {"bundle", "", "no /usr/bin/dpkg to install it with"},
	"scratch":       {"bundle", "", "there is the bundle /etc/ssl/certs/ca-certificates.crt"},
	"solus":         {"bundle", "", "there is the bundle /etc/ssl/certs/ca-certificates.crt"},
	"alpine-bundle": {"bundle", "", "none of its directories is there"},
	"chainguard":    {"bundle", "", "os-release names chainguard, wolfi"},
	"unknown-tool":  {"bundle", store.Managed, "/usr/sbin/update-ca-certificates is not a tool that is known, so the bundle is only read"},

	"macos": {"", "", "no os-release"},
	"empty": {"", "", "no known family"},
}

func TestDetect(t *testing.T) {
	entries, err := os.ReadDir(hosts)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := detection[e.Name()]; !ok {
			t.Errorf("there is no row for %s", e.Name())
		}
	}
	for name, want := range detection {
		t.Run(name, func(t *testing.T) {
			root, err := filepath.Abs(filepath.Join(hosts, name))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(root); err != nil {
				t.Fatal(err)
			}
			h, err := host.Offline(root)
			if err != nil {
				t.Fatal(err)
			}
			system := h.OS
			h = host.Fake(root)
			h.OS = system
			s, reasons := Detect(h)
			if !slices.Contains(reasons, want.reason) {
				t.Errorf("the reasons are %q, without %q", reasons, want.reason)
			}
			if want.family == "" {
				if s != nil {
					t.Errorf("taken for %s, for %q", s.Family(), reasons)
				}
				return
			}
			if s == nil || s.Family() != want.family {
				t.Fatalf("found %+v, for %q", s, reasons)
			}
			info := s.Info()
			var kind store.ObstacleKind
			if w := info.Access.Write; w != nil {
				kind = w.Kind
				if w.Text == "" || w.Hint == "" {
					t.Errorf("the obstacle is %+v", w)
				}
			}
			// Where the tree cannot be written, that is one, too.
			if kind != want.obstacle && !(want.obstacle == "" && kind == store.ReadOnly && os.Geteuid() != 0) {
				t.Errorf("the obstacle is %q, not %q", kind, want.obstacle)
			}
			if info.ID != SystemID || info.Scope != store.ScopeSystem || !info.Default || info.Location == "" || info.Root != "" {
				t.Errorf("info %+v", info)
			}
			for _, err := range s.Entries(t.Context()) {
				if err != nil {
					t.Errorf("an empty store: %v", err)
				}
			}
		})
	}
}

// The tool itself is enough: many systems use it under another name.
func TestDetectByTool(t *testing.T) {
	b := newBox(t, false)
	b.write("/etc/os-release", []byte("ID=void\n"))
	b.open()
	b.remove("/etc/os-release")
	b.open()
	b.write("/usr/sbin/update-ca-certificates", []byte("#!/bin/sh\necho another tool\n"))
	for _, release := range []string{"", "ID=debian\n"} {
		b.write("/etc/os-release", []byte(release))
		if s, reasons := Detect(b.host); s == nil || s.Family() != "bundle" || s.Info().Access.Write == nil {
			t.Errorf("with another tool it is %v, for %q", s, reasons)
		}
	}
}

func TestObstacles(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(b *box)
		kind    store.ObstacleKind
		err     error
	}{
		{"another user", func(b *box) { b.host.EUID = 1000 }, store.NeedsElevation, store.ErrPermission},
		{"no tool", func(b *box) { b.remove("/usr/sbin/update-ca-certificates") }, store.ToolMissing, store.ErrToolMissing},
		{"a directory that is a link to nothing", func(b *box) {
			b.remove(adminDir)
			b.link("/nowhere", strings.TrimSuffix(adminDir, "/"))
		}, store.ReadOnly, store.ErrReadOnly},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t, false)
			cert := newCA(t, "New").Cert()
			plan := b.plan(b.open(), trust(cert))
			c.prepare(b)
			s := b.open()
			if w := s.Info().Access.Write; w == nil || w.Kind != c.kind {
				t.Fatalf("the obstacle is %+v", w)
			}
			if _, err := s.Apply(t.Context(), plan); store.Code(err) != store.Code(c.err) || store.Hint(err) == "" {
				t.Errorf("Apply: error %v", err)
			}
			if b.updater.Runs > 1 || b.bundled(cert) > 0 {
				t.Error("something was done")
			}
			// What is already so needs no rights.
			empty := b.plan(s, absentOf(cert))
			if _, err := s.Apply(t.Context(), empty); !empty.Empty() || err != nil {
				t.Errorf("an empty plan: error %v", err)
			}
		})
	}
}

func TestReleaseIDs(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"ID=debian", "debian"},
		{"ID=\"linuxmint\"\nID_LIKE='ubuntu debian'\n", "linuxmint ubuntu debian"},
		{"# ID=a\nXID=b\nID_LIKES=c\n  ID=d\r\n", "d"},
		{"NAME=" + strings.Repeat("x", 1<<17) + "\nID=debian\n", "debian"},
		{"ID=\nID", ""},
	} {
		if got := strings.Join(releaseIDs(c.text), " "); got != c.want {
			t.Errorf("%.80q: %q, not %q", c.text, got, c.want)
		}
	}
}

func FuzzOSRelease(f *testing.F) {
	entries, err := os.ReadDir(hosts)
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		for _, p := range []string{"etc/os-release", "usr/lib/os-release"} {
			if data, err := os.ReadFile(filepath.Join(hosts, e.Name(), p)); err == nil {
				f.Add(string(data))
			}
		}
	}
	f.Add("ID='debian'\r\nID_LIKE=\n=\nID")
	f.Add("# ID=debian\nXID=debian\nID=x\nID_LIKE=ubuntu")
	f.Fuzz(func(t *testing.T, text string) {
		ids := releaseIDs(text)
		for _, id := range ids {
			if id == "" || strings.ContainsAny(id, " \t\n\r\v\f") {
				t.Errorf("an ID is %q", id)
			}
		}
		// What comes after does not change what was read before, and is read.
		more := releaseIDs(text + "\nID=\"x y\"\n")
		if !slices.Equal(more, append(ids, "x", "y")) {
			t.Errorf("first %q, with another line %q", ids, more)
		}
	})
}
