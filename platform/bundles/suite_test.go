package bundles

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

type box struct {
	t    testing.TB
	root string
	host *host.Host
}

func newBox(t testing.TB) *box {
	b := &box{t: t, root: storetest.TempDir(t)}
	b.host = host.Fake(b.root)
	return b
}

func (b *box) file(p string) string { return filepath.Join(b.root, filepath.FromSlash(p)) }

func (b *box) write(p string, data string) {
	b.t.Helper()
	if err := os.MkdirAll(filepath.Dir(b.file(p)), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(b.file(p), []byte(data), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) snapshot(dir string) string {
	var lines []string
	err := filepath.WalkDir(b.file(dir), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := os.Lstat(name)
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(name)
			lines = append(lines, d.Name()+" -> "+target)
			return err
		}
		data, err := os.ReadFile(name)
		lines = append(lines, fmt.Sprintf("%s %v %q", d.Name(), info.Mode(), data))
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

func TestConformance(t *testing.T) {
	for _, l := range []struct{ name, before, after string }{
		{"a bundle", "# of somebody\n", "# the end\n"},
		{"without a line break at its end", "", "the end"},
		{"empty", "-", ""},
		{"with CRLF", "# of somebody\r\n", "\r\n"},
	} {
		t.Run(l.name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) storetest.Fixture {
				b := newBox(t)
				text := ""
				if l.before != "-" {
					text = l.before + string(storetest.NewCA(t).PEM()) + string(storetest.NewCA(t).PEM()) + l.after
				}
				b.write("/srv/bundle/ca.pem", text)
				var faults storetest.Faults
				b.host.Fault = faults.Fail
				open := func() store.Editor {
					s, _, err := OpenFile(b.host, "/srv/bundle/ca.pem")
					if err != nil {
						t.Fatal(err)
					}
					return s.(store.Editor)
				}
				return storetest.Fixture{Store: open(), Reopen: open, Parallel: open, Snapshot: func() string { return b.snapshot("/srv/bundle") },
					Fault: faults.Set}
			})
		})
	}
}
