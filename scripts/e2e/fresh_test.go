//go:build linux

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const freshDir = "/fresh" // where a test unpacks a fresh root

// Fresh roots of Debian 13: with p11-kit, and with the Javas that it has.
const (
	freshTrixie = "trixie-p11"
	freshJava   = "trixie-java"
)

// more is what fresh roots hold beside the minimum; the release is before the
// first dash.
var more = map[string]string{
	freshTrixie: ",p11-kit,p11-kit-modules",
	freshJava:   ",openjdk-21-jre-headless,openjdk-25-jre-headless",
}

// enterFresh unpacks a fresh root of a release, which [addFresh] has put into
// the kit, and goes there, with locales that were made.
func enterFresh(t *testing.T, release string, locales ...string) {
	t.Helper()
	if err := os.Mkdir(freshDir, 0o755); err != nil {
		t.Fatal(err)
	}
	must(t, command("tar", "-C", freshDir, "-xf", kitDir+"/"+release+".tar"))
	for _, m := range []struct {
		source, target, kind string
		flags                uintptr
	}{
		{"proc", "/proc", "proc", 0},
		{"/dev", "/dev", "", unix.MS_BIND | unix.MS_REC},
	} {
		if err := unix.Mount(m.source, freshDir+m.target, m.kind, m.flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(freshDir+"/usr/local/bin", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := copyFile(kitDir+"/certtrust", freshDir+"/usr/local/bin/certtrust"); err != nil {
		t.Fatal(err)
	}
	for _, l := range locales {
		must(t, command("cp", "-r", l, freshDir+"/usr/lib/locale/"))
	}
	if err := unix.Chroot(freshDir); err != nil {
		t.Fatal(err)
	}
	if err := os.Chdir("/"); err != nil {
		t.Fatal(err)
	}
}

// A machine that was set up a minute ago, with nothing on it but the
// distribution's minimum and its certificates: no Java, no other client.
func TestFreshDebian(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		a := newAuthority(t, "Fresh")
		enterFresh(t, "bookworm")
		if err := os.WriteFile("/ca.pem", a.PEM(), 0o644); err != nil {
			t.Fatal(err)
		}

		start, roots := trust(), readBundle(t)
		run := func(args ...string) result { return expect(t, 0, certtrust(args...)) }
		listed := map[string]bool{}
		for _, e := range parse(t, run("list", "--system", "--json")).Entries {
			listed[e.SHA256] = true
		}
		for _, f := range roots {
			if !listed[f] {
				t.Errorf("root %s is not listed", f)
			}
		}
		if len(roots) < 100 || len(listed) != len(roots) {
			t.Errorf("%d certificates are listed of %d", len(listed), len(roots))
		}
		if r := run("list", "--system"); strings.Contains(r.stderr, "error") {
			t.Error(r)
		}
		run("trust", "--yes", "/ca.pem")
		must(t, command("openssl", "verify", "/ca.pem"))
		run("remove", "--yes", a.fingerprint)
		if r := output(t, command("openssl", "verify", "/ca.pem")); r.code == 0 {
			t.Error("still trusted")
		}
		same(t, start)
	}, addFresh("bookworm"))
}

// addFresh puts an archive of a fresh root of a release into the kit. It is
// made once and kept in the user's cache.
func addFresh(release string) func(t *testing.T) {
	return func(t *testing.T) {
		t.Helper()
		addFreshDebian(t, release)
	}
}

var making sync.Mutex

// cacheDir is where what takes long to make or to fetch is kept.
func cacheDir() string {
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return dir
	}
	return filepath.Join(os.Getenv("HOME"), ".cache")
}

func addFreshDebian(t *testing.T, release string) {
	t.Helper()
	need(t, "debootstrap")
	making.Lock()
	defer making.Unlock()
	archive := filepath.Join(cacheDir(), "certtrust-e2e", release+".tar")
	if _, err := os.Stat(archive); err != nil {
		makeFreshDebian(t, release, archive)
	}
	kit, err := buildKit()
	if err != nil {
		t.Fatal(err)
	}
	inKit := filepath.Join(kit, release+".tar")
	if _, err := os.Stat(inKit); err == nil {
		return // for another test
	}
	if os.Link(archive, inKit) != nil { // another file system
		if err := copyFile(archive, inKit); err != nil {
			t.Fatal(err)
		}
	}
}

func makeFreshDebian(t *testing.T, release, archive string) {
	t.Helper()
	targets := exec.Command("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian", "Label: Debian", "Component: main")
	mirrors, err := targets.Output()
	mirror, _, _ := strings.Cut(string(mirrors), "\n")
	if err != nil || mirror == "" {
		missing(t, "no mirror of Debian is set up: %v", err)
	}
	if err := os.MkdirAll(filepath.Dir(archive), 0o755); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(t.TempDir(), "root")
	suite, _, _ := strings.Cut(release, "-")
	make := exec.Command("debootstrap", "--variant=minbase", "--include=ca-certificates"+more[release], suite, root, mirror)
	// What it mounts is not seen outside, and gone with it.
	make.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS}
	if out, err := make.CombinedOutput(); err != nil {
		t.Fatalf("debootstrap: %v\n%s", err, out)
	}
	part := archive + ".part"
	if err := tool(nil, "tar", "-C", root, "--one-file-system", "-cf", part, "."); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(part, archive); err != nil {
		t.Fatal(err)
	}
}
