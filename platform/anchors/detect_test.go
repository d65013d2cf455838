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
	"debian-bare":  {"debian", store.ToolMissing, "no bundle at /etc/ssl/certs/ca-certificates.crt"},

	"distroless": {"", "", "no /usr/bin/dpkg to install it with"},
	"scratch":    {"", "", "no os-release"},
	"alpine":     {"", "", "/usr/sbin/update-ca-certificates is not that of Debian's ca-certificates"},
	"opensuse":   {"", "", "/usr/sbin/update-ca-certificates is not that of Debian's ca-certificates"},
	"fedora":     {"", "", "os-release names fedora"},
	"arch":       {"", "", "os-release names arch"},
	"nixos":      {"", "", "os-release names nixos"},
	"macos":      {"", "", "no os-release"},
	"empty":      {"", "", "no known family"},
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
			s, reasons := Detect(host.Fake(root))
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
	if s, reasons := Detect(b.host); s != nil {
		t.Errorf("found a store, for %q", reasons)
	}
	b.write("/etc/os-release", []byte("ID=debian\n"))
	if s, reasons := Detect(b.host); s != nil {
		t.Errorf("with another tool it is Debian's, for %q", reasons)
	}
}

func TestObstacles(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(b *box)
		kind    store.ObstacleKind
		err     error
	}{
		{"an offline root", func(b *box) { b.host.Live = false }, store.ReadOnly, store.ErrReadOnly},
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
			if c.name == "an offline root" && s.Info().Root != b.root {
				t.Errorf("the root is %q", s.Info().Root)
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
