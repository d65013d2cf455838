//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Whatever goes wrong, the trust store stays as it was and the exit code
// tells.
func TestFaults(t *testing.T) {
	for _, fault := range []struct {
		name   string
		codes  []int
		make   func(t *testing.T) error
		engine string // the native one, unless the tool has been changed
	}{
		{"package manager at work", []int{7}, func(t *testing.T) error {
			return errors.Join(lock(t, "/var/lib/dpkg/lock-frontend"), lock(t, "/var/lib/dpkg/lock"))
		}, ""},
		{"updater missing", []int{6}, func(*testing.T) error {
			return os.Remove("/usr/sbin/update-ca-certificates")
		}, ""},
		{"updater failing", []int{1}, func(*testing.T) error {
			return breakUpdater("echo no luck today >&2; exit 3")
		}, ""},
		{"updater doing nothing", []int{1}, func(*testing.T) error {
			return breakUpdater("exit 0")
		}, ""},
		{"Java's hook failing", []int{1}, func(*testing.T) error {
			return os.WriteFile("/etc/ca-certificates/update.d/jks-keystore", []byte("#!/bin/sh\ncat >/dev/null\nexit 1\n"), 0o755)
		}, ""},
		{"OpenSSL missing", []int{1, 6}, func(*testing.T) error {
			return os.Rename("/usr/bin/openssl", "/usr/bin/openssl.away")
		}, "distro"},
		{"/etc read-only", []int{1, 6}, func(*testing.T) error {
			return mounted("/etc", "", unix.MS_BIND, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY)
		}, ""},
		{"anchors read-only", []int{1, 6}, func(*testing.T) error {
			return mounted(anchorDir, "", unix.MS_BIND, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY)
		}, ""},
		{"no room for the bundle", []int{1}, func(t *testing.T) error { return fullDisk(t, certsDir, 64<<10) }, ""},
		{"no room for the keystore", []int{1}, func(t *testing.T) error { return fullDisk(t, filepath.Dir(keystore), 0) }, ""},
		{"no room for the bundle, by the tool", []int{1}, func(t *testing.T) error { return fullDisk(t, certsDir, 64<<10) }, "distro"},
	} {
		t.Run(strings.ReplaceAll(fault.name, "/", ""), func(t *testing.T) {
			Overlay(t, func(t *testing.T) {
				settle(t)
				args := []string{"trust", "--yes", "--engine", "auto"}
				if fault.engine != "" {
					args[3] = fault.engine
				}
				for i := range 8 { // so many that no file keeps its size in blocks
					args = append(args, newAuthority(t, fmt.Sprintf("Fault %d", i)).file)
				}
				if err := fault.make(t); err != nil {
					t.Fatal(err)
				}
				start := trust()
				r := output(t, certtrust(args...))
				t.Log(r)
				if !slices.Contains(fault.codes, r.code) {
					t.Errorf("exit code %d, not one of %d", r.code, fault.codes)
				}
				if !strings.Contains(r.stderr, "certtrust: error: ") {
					t.Error("it does not say what is wrong")
				}
				same(t, start)
			})
		})
	}
}

// lock holds the lock that dpkg takes on a file until the test ends. It
// belongs to this process, so a child of it sees it as another's.
func lock(t *testing.T, path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	t.Cleanup(func() { f.Close() })
	return unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart})
}

// mounted mounts a directory over itself, or a file system over it, and then
// mounts it again with other flags.
func mounted(dir, kind string, flags uintptr, data string, again uintptr) error {
	err := unix.Mount(dir, dir, kind, flags, data)
	if err == nil && again != 0 {
		err = unix.Mount("", dir, "", again, "")
	}
	return err
}

// breakUpdater makes the distribution's tool begin with a line of shell, and
// leaves the rest, by which it is known.
func breakUpdater(line string) error {
	const path = "/usr/sbin/update-ca-certificates"
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	first, rest, _ := strings.Cut(string(text), "\n")
	return os.WriteFile(path, []byte(first+"\n"+line+"\n"+rest), 0o755)
}

// fullDisk puts a directory on a file system with so many bytes left.
func fullDisk(t *testing.T, dir string, left int) error {
	must(t, command("cp", "-a", dir, "/tmp/copy"))
	if err := mounted(dir, "tmpfs", 0, "mode=0755", 0); err != nil {
		return err
	}
	must(t, command("cp", "-a", "/tmp/copy/.", dir))
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return err
	}
	used := int(fs.Blocks-fs.Bfree) * int(fs.Bsize)
	return mounted(dir, "", unix.MS_REMOUNT, fmt.Sprintf("mode=0755,size=%d", used+left), 0)
}

// An unrelated hook that fails is not certtrust's doing; what it must not do
// is claim more than is so.
func TestForeignHookFails(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		settle(t)
		if err := os.WriteFile("/etc/ca-certificates/update.d/a-broken-hook", []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		start := trust()
		a := newAuthority(t, "Hook")
		r := output(t, certtrust("trust", "--yes", a.file))
		switch r.code {
		case 0:
			present(t, a)
		case 1:
			same(t, start)
		default:
			t.Fatal(r)
		}
		if !strings.Contains(r.stderr, "a-broken-hook") {
			t.Errorf("it does not tell of the hook that failed: %v", r)
		}
	})
}
