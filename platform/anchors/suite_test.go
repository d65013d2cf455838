package anchors_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certtrust/certtrust/platform/anchors"
	"github.com/certtrust/certtrust/platform/anchors/anchorstest"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// vendorCerts makes certificates for the vendor's directory.
func vendorCerts(t testing.TB, names ...string) (map[string][]byte, []*store.Cert) {
	files := map[string][]byte{}
	var certs []*store.Cert
	for _, name := range names {
		ca := storetest.NewCA(t, storetest.CN("Vendor "+name), storetest.Seed("vendor "+name))
		files[name] = ca.PEM()
		certs = append(certs, ca.Cert())
	}
	return files, certs
}

// open opens the store of a fake root.
func open(t testing.TB, h *host.Host) *anchors.Store {
	t.Helper()
	s, reasons := anchors.Detect(h)
	if s == nil {
		t.Fatalf("no store: %v", reasons)
	}
	s.Wait = 5 * time.Second
	return s
}

func TestConformance(t *testing.T) {
	for _, layout := range []struct {
		name string
		java bool
	}{{"debian", false}, {"debian with Java", true}} {
		t.Run(layout.name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) storetest.Fixture {
				root := storetest.TempDir(t)
				files, certs := vendorCerts(t, "Alpha", "Beta (2)", "Gamma")
				h, _ := debian(t, root, files, layout.java)
				var countdown atomic.Int64
				h.Fault = func(op, path string) error {
					if countdown.Add(-1) == 0 {
						return errors.New("a fault was asked for")
					}
					return nil
				}
				reopen := func() store.Editor { return open(t, h) }
				return storetest.Fixture{
					Store: open(t, h), Reopen: reopen, Parallel: reopen, Vendor: certs,
					Snapshot: func() string { return tree(t, root) },
					Fault:    func(n int) { countdown.Store(int64(n)) },
				}
			})
		})
	}
}

func debian(t testing.TB, root string, vendor map[string][]byte, java bool) (*host.Host, *anchorstest.Updater) {
	t.Helper()
	h, u, err := anchorstest.Debian(root, vendor, java)
	if err != nil {
		t.Fatal(err)
	}
	return h, u
}

func tree(t testing.TB, root string) string {
	t.Helper()
	text, err := anchorstest.Tree(root)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
