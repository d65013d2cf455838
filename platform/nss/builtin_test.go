package nss

import (
	"os"
	"os/exec"
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

// What a database distrusts is so for every version of NSS, although the module of
// roots goes on trusting it, and no longer when that is taken back.
func TestBuiltinIsDistrusted(t *testing.T) {
	h := host.Local()
	stores, _ := DetectBuiltin(t.Context(), h)
	need(t, "NSS's module "+builtinFile, len(stores) == 1 || h.OS != "linux")
	_, err := exec.LookPath("modutil")
	need(t, "modutil", err == nil)
	if len(stores) == 0 {
		t.Skip("this system has none")
	}
	var root store.Entry
	for e, err := range stores[0].Entries(t.Context()) {
		if err == nil && e.Label == "ISRG Root X1" {
			root = e
		}
	}
	if root.Cert == nil {
		t.Fatal("ISRG Root X1 is not among them")
	}
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			b, s, dir := l.newDatabase(t, false, "")
			cmd := exec.CommandContext(t.Context(), "modutil", "-dbdir", "sql:"+dir, "-add", "roots", "-libfile", stores[0].Info().Location, "-force")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("modutil: %v: %s", err, out)
			}
			valid := func(want bool) {
				t.Helper()
				out, err := l.certutil(t, dir, "-V", "-n", "Builtin Object Token:"+root.Label, "-u", "L")
				if (err == nil) != want {
					t.Errorf("certutil says %s", out)
				}
			}
			valid(true)
			r := do(t, s, wish(root.Cert, store.Distrusted, fields...))
			valid(false)
			do(t, b.open(), r.Undo...)
			valid(true)
		})
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
