package anchors

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certtrust/certtrust/platform/anchors/anchorstest"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// folderBox is a fake machine of a family that keeps its anchors in directories.
type folderBox struct {
	testing.TB
	root   string
	host   *host.Host
	tool   *anchorstest.Folder
	vendor []*store.Cert
}

func newFolderBox(t testing.TB, l anchorstest.Layout) *folderBox {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("a root of another system needs links, and names with a colon")
	}
	b := &folderBox{TB: t, root: storetest.TempDir(t)}
	files := map[string][]byte{}
	for _, name := range []string{"Alpha", "Beta (2)", "Gamma"} {
		ca := newCA(t, "Vendor "+name)
		files[name] = ca.PEM()
		b.vendor = append(b.vendor, ca.Cert())
	}
	var err error
	if b.host, b.tool, err = l.Make(b.root, files); err != nil {
		t.Fatal(err)
	}
	return b
}

func layout(t testing.TB, name string) anchorstest.Layout {
	t.Helper()
	all := anchorstest.Layouts()
	i := slices.IndexFunc(all, func(l anchorstest.Layout) bool { return l.Name == name })
	if i < 0 {
		t.Fatalf("there is no layout %s", name)
	}
	return all[i]
}

func (b *folderBox) open() *folder {
	b.Helper()
	found, reasons := Detect(b.host)
	s, ok := found.(*folder)
	if !ok || s.family.name != b.tool.Name {
		b.Fatalf("%T %v, for %q", found, found, reasons)
	}
	s.Wait = 5 * time.Second
	return s
}

func (b *folderBox) tree() string {
	b.Helper()
	text, err := anchorstest.Tree(b.root)
	if err != nil {
		b.Fatal(err)
	}
	return text
}

// usual are the layouts that the conformance suite runs in unasked: one of each
// kind. With CERTTRUST_TEST_ALL it runs in all.
var usual = []string{"fedora", "fedora offline", "alpine offline", "freebsd", "bundle offline"}

func TestFolderConformance(t *testing.T) {
	for _, l := range anchorstest.Layouts() {
		for _, live := range []bool{true, false} {
			name := l.Name
			if l.Rereads {
				name += " 15"
			}
			if !live {
				name += " offline"
			}
			if !slices.Contains(usual, name) && os.Getenv("CERTTRUST_TEST_ALL") == "" {
				continue
			}
			t.Run(name, func(t *testing.T) {
				storetest.Run(t, func(t *testing.T) storetest.Fixture {
					b := newFolderBox(t, l)
					b.host.Live = live
					var faults storetest.Faults
					b.host.Fault = faults.Fail
					reopen := func() store.Editor { return b.open() }
					f := storetest.Fixture{
						Store: b.open(), Reopen: reopen, Parallel: reopen, Vendor: b.vendor,
						Snapshot: b.tree,
						Fault:    faults.Set,
					}
					if strings.Contains("bundle flatcar photon", l.Name) {
						f.Vendor = nil // it cannot be told who put them there
					}
					return f
				})
			})
		}
	}
}
