//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is in the way, or makes trusted what nobody asked for, is set aside, and
// undo brings it back. The distribution's tool works again then.
func TestRepairSetsAside(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		settle(t)
		expect(t, 0, certtrust("repair", "--system", "--yes")) // what the machine has brought along
		snake := newAuthority(t, "Server")
		plant := func(file string, data []byte) {
			if err := os.WriteFile(file, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		plant(certsDir+"/a-server.pem", snake.PEM())
		begin := trust()
		blocking, copied := newAuthority(t, "Blocking"), newAuthority(t, "Copied")
		plant(anchorDir+"/a\nb.crt", blocking.PEM())
		plant(bundle+".bak", copied.PEM())
		plant(bundle+".new", copied.PEM())
		if err := os.Symlink("/nowhere", certsDir+"/gone.pem"); err != nil {
			t.Fatal(err)
		}
		if r := output(t, command("update-ca-certificates")); r.code == 0 {
			t.Fatal("the tool does not mind the file that is to block it")
		}
		plant(bundle+".new", copied.PEM()) // the tool has taken it away
		start := trust()
		repaired := expect(t, 0, certtrust("repair", "--system", "--yes"))
		mended := trust()
		for file := range mended {
			if strings.HasPrefix(file, "/etc/ssl/certtrust-set-aside") {
				delete(mended, file)
			}
		}
		if d := diff(begin, mended); d != "" {
			t.Errorf("after the repair:\n%s", d)
		}
		must(t, command("update-ca-certificates"))
		_, id, _ := strings.Cut(repaired.stderr, "certtrust undo ")
		expect(t, 0, certtrust("undo", strings.Fields(id)[0]))
		must(t, command("rm", "-r", "/etc/ssl/certtrust-set-aside")) // with the half bundle, which nobody wants back
		delete(start, bundle+".new")
		same(t, start)
		expect(t, 0, certtrust("repair", "--system", "--yes"))

		// A key that was copied into the bundle is out of it, and its
		// certificate stays trusted.
		leaky := newAuthority(t, "Leaky")
		plant(anchorDir+"/leaky.crt", append(leaky.PEM(), leaky.KeyPEM()...))
		must(t, command("update-ca-certificates"))
		leaks := func() bool {
			data, err := os.ReadFile(bundle)
			if err != nil {
				t.Fatal(err)
			}
			return strings.Contains(string(data), "PRIVATE KEY")
		}
		if !leaks() {
			t.Fatal("the tool does not copy the key")
		}
		expect(t, 0, certtrust("repair", "--system", "--yes"))
		must(t, command("update-ca-certificates"))
		if leaks() {
			t.Error("the key is still in the bundle")
		}
		present(t, leaky)
		kept, err := filepath.Glob(filepath.Dir(anchorDir) + "/certtrust-set-aside/*leaky.crt")
		if err != nil || len(kept) != 1 {
			t.Errorf("the file was not kept: %q, %v", kept, err)
		}
	})
}
