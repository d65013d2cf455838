package rpm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/rpm/rpmtest"
	"github.com/certtrust/certtrust/store"
)

const dir = "/usr/share/pki/ca-trust-source"

var (
	md5sum = strings.Repeat("0a", 16)
	sha256 = strings.Repeat("0b", 32)
	roots  = rpmtest.Package{Name: "ca-certificates", Version: "2024", Release: "1", Algorithm: 8, Files: []rpmtest.File{
		{Path: "/usr/bin/tool", Digest: sha256},
		{Path: dir}, // a directory
		{Path: dir + "/bundle", Digest: sha256},
		{Path: dir + "/deep/er", Digest: strings.ToUpper(sha256)},
		{Path: dir + "/settings", Digest: sha256, Flags: 1 | 1<<4},
		{Path: dir + "/ghost", Digest: sha256, Flags: 1 << 6},
		{Path: dir + "/optional", Digest: sha256, Flags: 1 << 3},
		{Path: dir + "/readme", Digest: sha256, Flags: 1 << 1},
		{Path: dir + "/link"},
		{Path: dir + "/wrong", Digest: md5sum},
		{Path: dir + "/left-out", Digest: sha256, State: 2},
		{Path: dir + "-not/x", Digest: sha256},
	}}
)

// machine is one with some files, seen from outside.
func machine(t *testing.T, files map[string][]byte) *host.Host {
	t.Helper()
	root := t.TempDir()
	for name, data := range files {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return &host.Host{Root: root, OS: "linux"}
}

func database(t *testing.T, packages ...rpmtest.Package) []byte {
	t.Helper()
	data, err := rpmtest.Database(t.Context(), packages...)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// list is what Files tells, a line for each.
func list(t *testing.T, h *host.Host, below ...string) (out []string, err error) {
	t.Helper()
	err = Files(t.Context(), h, below, func(f File) {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", f.Package, f.Version, f.Path, f.Digest)))
	})
	return out, err
}

func TestFiles(t *testing.T) {
	other := rpmtest.Package{Name: "corp", Version: "1", Files: []rpmtest.File{{Path: "/etc/pki/x", Digest: md5sum}}}
	future := rpmtest.Package{Name: "future", Version: "1", Release: "2", Algorithm: 12, Files: []rpmtest.File{{Path: "/etc/pki/y", Digest: sha256}}}
	is := func(name string, digest string) string {
		return strings.TrimSpace("ca-certificates 2024-1 " + dir + name + " " + digest)
	}
	want := []string{
		is("/bundle", sha256), is("/deep/er", sha256), is("/settings", ""), is("/ghost", ""), is("/optional", ""), is("/readme", sha256), is("/link", ""), is("/wrong", ""),
		"corp 1 /etc/pki/x " + md5sum, "future 1-2 /etc/pki/y",
	}
	for _, place := range Places {
		h := machine(t, map[string][]byte{place + "/rpmdb.sqlite": database(t, roots, rpmtest.Package{Name: "empty", Version: "1"}, other, future)})
		got, err := list(t, h, dir, "/etc/pki")
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v\n%s\nnot\n%s", place, err, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if got, err := list(t, h); err != nil || len(got) != 0 {
			t.Errorf("below nothing: %q %v", got, err)
		}
	}
}

// What is no database of the kind is told apart from none, and from a damaged one.
func TestKinds(t *testing.T) {
	short := database(t, roots)
	for name, c := range map[string]struct {
		files map[string][]byte
		want  error
	}{
		"none":          {nil, nil},
		"empty":         {map[string][]byte{"/var/lib/rpm/.rpm.lock": nil}, nil},
		"Berkeley DB":   {map[string][]byte{"/var/lib/rpm/Packages": {0}}, store.ErrUnsupported},
		"ndb":           {map[string][]byte{"/usr/lib/sysimage/rpm/Packages.db": {0}}, store.ErrUnsupported},
		"migrated":      {map[string][]byte{"/var/lib/rpm/Packages": {0}, "/var/lib/rpm/rpmdb.sqlite": database(t)}, nil},
		"damaged":       {map[string][]byte{"/var/lib/rpm/rpmdb.sqlite": []byte("SQLite format 3\x00")}, store.ErrCorrupt},
		"short":         {map[string][]byte{"/var/lib/rpm/rpmdb.sqlite": short[:len(short)/2]}, store.ErrCorrupt},
		"without index": {map[string][]byte{"/var/lib/rpm/rpmdb.sqlite": other(t)}, store.ErrCorrupt},
	} {
		if got, err := list(t, machine(t, c.files), dir); !errors.Is(err, c.want) || c.want == nil && (err != nil || len(got) > 0) {
			t.Errorf("%s: %v, %q", name, err, got)
		}
	}
}

// other is a database that is not rpm's.
func other(t *testing.T) []byte {
	t.Helper()
	return []byte(strings.ReplaceAll(string(database(t, roots)), "Dirnames", "Basename"))
}

// Hostile headers are refused, and cost no more than they are long.
func TestHostileHeaders(t *testing.T) {
	good, _ := rpmtest.Header(roots)
	at := func(tag uint32, field int, value uint32) []byte {
		b := slices.Clone(good)
		for e := 8; ; e += entrySize {
			if binary.BigEndian.Uint32(b[e:]) == tag {
				binary.BigEndian.PutUint32(b[e+4*field:], value)
				return b
			}
		}
	}
	for name, blob := range map[string][]byte{
		"empty": {}, "short": good[:len(good)-1], "entries": append([]byte{0, 1, 0, 1}, good[4:]...),
		"most entries": append([]byte{0xff, 0xff, 0xff, 0xff}, good[4:]...), "most data": append(slices.Clone(good[:4]), append([]byte{0xff, 0xff, 0xff, 0xff}, good[8:]...)...),
		"offset": at(tagName, 2, 1<<31), "type": at(tagName, 1, typeInt32), "count": at(tagBaseNames, 3, 1<<31),
		"more files": at(tagBaseNames, 3, 13), "fewer directories": at(tagDirNames, 3, 1), "many numbers": at(tagFileFlags, 3, 1000),
		"long name": func() []byte {
			b, _ := rpmtest.Header(rpmtest.Package{Name: strings.Repeat("x", maxName+1)})
			return b
		}(),
	} {
		head, err := parse(blob)
		if err == nil {
			err = head.files([]string{dir}, func(File) error { return nil })
		}
		if err == nil {
			t.Errorf("%s: it is read", name)
		}
	}
	// Many files of a directory with a long name.
	long := rpmtest.Package{Name: "long", Version: "1"}
	for i := range 10000 {
		long.Files = append(long.Files, rpmtest.File{Path: fmt.Sprintf("%s/%s/%d", dir, strings.Repeat("x", 4000), i)})
	}
	h := machine(t, map[string][]byte{"/var/lib/rpm/rpmdb.sqlite": database(t, long)})
	if got, err := list(t, h, dir); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("%d files: %v", len(got), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	h = machine(t, map[string][]byte{"/var/lib/rpm/rpmdb.sqlite": database(t, roots)})
	n := 0
	if err := Files(ctx, h, []string{dir}, func(File) { n++; cancel() }); !errors.Is(err, context.Canceled) || n != 1 {
		t.Errorf("ended after %d files: %v", n, err)
	}
}

func FuzzHeader(f *testing.F) {
	good, _ := rpmtest.Header(roots)
	f.Add(good)
	f.Add(good[:40])
	f.Fuzz(func(t *testing.T, blob []byte) {
		head, err := parse(blob)
		if err != nil {
			return
		}
		_ = head.files([]string{dir}, func(f File) error {
			if !strings.HasPrefix(f.Path, dir+"/") || strings.Contains(f.Path, "/../") || len(f.Path) > 2*maxName || strings.ContainsRune(f.Path, 0) {
				t.Errorf("%q", f.Path)
			}
			return nil
		})
	})
}
