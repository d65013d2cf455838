//go:build linux

package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An image of Debian is changed from outside: no program of it is run, every
// link is right inside of it, what the image's own programs make of it is what
// was asked for, its own update tool has nothing to add, and this machine and,
// after undo, the image are as before.
func TestOfflineImage(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		const image = freshDir
		must(t, command("mkdir", "-p", image))
		must(t, command("tar", "-C", image, "-xf", kitDir+"/"+freshTrixie+".tar"))
		a := newAuthority(t, "Offline")
		here := hostState()
		inside := func() state {
			s := snapshot(image+"/etc/ssl", image+"/usr/local/share/ca-certificates", image+"/etc/ca-certificates.conf")
			return s
		}
		before := inside()
		// Its tool would leave a trace.
		tool := image + "/usr/sbin/update-ca-certificates"
		real, err := os.ReadFile(tool)
		if err != nil {
			t.Fatal(err)
		}
		trap := strings.Replace(string(real), "\n", "\ntouch /was-run /tmp/was-run\n", 1)
		if err := os.WriteFile(tool, []byte(trap), 0o755); err != nil {
			t.Fatal(err)
		}

		expect(t, 0, certtrust("trust", "--root", image, a.file))
		expect(t, 0, certtrust("distrust", "--root", image, vendorIn(t, image)))
		if r := expect(t, 0, certtrust("list", "--root", image, "--added")); !strings.Contains(r.stdout, "Offline") {
			t.Error(r)
		}
		for _, trace := range []string{image + "/was-run", "/was-run", "/tmp/was-run"} {
			if _, err := os.Stat(trace); err == nil {
				t.Errorf("%s: a program of the image was run", trace)
			}
		}
		// As the image sees it.
		if err := os.WriteFile(image+"/ca.pem", a.PEM(), 0o644); err != nil {
			t.Fatal(err)
		}
		chroot := func(args ...string) result { return output(t, command("chroot", append([]string{image}, args...)...)) }
		if r := chroot("find", "-L", "/etc/ssl/certs", "-type", "l"); r.code != 0 || r.stdout != "" {
			t.Errorf("links that lead nowhere: %s", r)
		}
		for _, how := range [][]string{{"-no-CApath", "-no-CAstore", "-CAfile", bundle}, {"-no-CAfile", "-no-CAstore", "-CApath", certsDir}} {
			if r := chroot(append(append([]string{"openssl", "verify"}, how...), "/ca.pem")...); r.code != 0 {
				t.Errorf("%v: %s", how, r)
			}
		}
		changed := inside()
		if err := os.WriteFile(tool, real, 0o755); err != nil {
			t.Fatal(err)
		}
		if r := chroot("update-ca-certificates"); r.code != 0 || !strings.Contains(r.stdout, "0 added, 0 removed") {
			t.Errorf("its own tool: %s", r)
		}
		if d := diff(changed, inside()); d != "" {
			t.Errorf("its own tool makes something else of it:\n%s", d)
		}
		expect(t, 0, certtrust("undo", "--root", image))
		expect(t, 0, certtrust("undo", "--root", image))
		if d := diff(before, inside()); d != "" {
			t.Errorf("the image is not as it was:\n%s", d)
		}
		if d := diff(here, hostState()); d != "" {
			t.Errorf("this machine was changed:\n%s", d)
		}
	}, addFresh(freshTrixie))
}

// vendorIn returns the file of one of the vendor's roots in an image.
func vendorIn(t *testing.T, image string) string {
	t.Helper()
	found := ""
	err := filepath.WalkDir(image+"/usr/share/ca-certificates/mozilla", func(p string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(p, ".crt") && found == "" {
			found = p
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("no root of the vendor's: %v", err)
	}
	return found
}
