package nss

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// The roots of NSS's own module are those of the system's package, which is
// made of the same list.
func TestBuiltin(t *testing.T) {
	h := host.Local()
	stores, reasons := DetectBuiltin(t.Context(), h)
	need(t, "NSS's module "+builtinFile, len(stores) == 1 || h.OS != "linux")
	if len(stores) == 0 {
		t.Skip(reasons)
	}
	trusted, names := 0, map[string]bool{}
	for e, err := range stores[0].Entries(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Cert == nil || e.Cert.Version == 0 || e.Label == "" || e.Origin.By != store.ByVendor {
			t.Errorf("an entry is %+v", e)
		}
		if e.Trust.For(store.PurposeServerAuth) == store.Trusted {
			trusted++
			names[e.Label] = true
		}
	}
	if trusted < 100 || trusted > 250 || !slices.ContainsFunc([]string{"ISRG Root X1", "DigiCert Global Root G2"}, func(n string) bool { return names[n] }) {
		t.Errorf("%d are trusted for servers: %v", trusted, names)
	}
}

// FuzzBuiltin reads modules of any content.
func FuzzBuiltin(f *testing.F) {
	f.Add([]byte("\x7fELF"))
	f.Fuzz(func(t *testing.T, data []byte) { builtinObjects(data) })
}

func TestDamagedBuiltin(t *testing.T) {
	h := host.Fake(storetest.TempDir(t))
	file := filepath.Join(h.Root, "usr/lib/x86_64-linux-gnu", builtinFile)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("no module"), 0o644); err != nil {
		t.Fatal(err)
	}
	stores, _ := DetectBuiltin(t.Context(), h)
	if len(stores) != 1 {
		t.Fatal("it is not found")
	}
	var failed error
	for _, err := range stores[0].Entries(t.Context()) {
		failed = err
	}
	if failed == nil || !strings.Contains(failed.Error(), builtinFile) {
		t.Errorf("it is read with %v", failed)
	}
}
