package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// write makes a file of a fake machine, with its directories.
func write(t *testing.T, root, path, content string, mode fs.FileMode) {
	t.Helper()
	name := filepath.Join(root, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, root, target, path string) {
	t.Helper()
	name := filepath.Join(root, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, name); err != nil {
		t.Skip("no symbolic links here:", err)
	}
}

// contents lists everything below dir: mode, link target or content.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String()
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(p)
			text += " -> " + target
		case info.Mode().IsRegular():
			data, _ := os.ReadFile(p)
			text += " " + string(data)
		}
		all[p] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// hostile returns an offline root full of links that try to get out, and the
// directory that they try to get into.
func hostile(t *testing.T) (root, outside string) {
	t.Helper()
	base := storetest.TempDir(t)
	root, outside = filepath.Join(base, "root"), filepath.Join(base, "outside")
	write(t, outside, "/secret", "secret", 0o644)
	write(t, root, "/etc/file", "inside", 0o644)
	write(t, root, outside+"/inner", "inner", 0o644) // the same path, but inside
	link(t, root, outside+"/secret", "/etc/absolute")
	link(t, root, "../../outside/secret", "/etc/relative")
	link(t, root, strings.Repeat("../", 30)+outside[1:]+"/secret", "/etc/climbing")
	link(t, root, outside, "/etc/directory")
	link(t, root, "../../outside", "/etc/relative-directory")
	link(t, root, "loop2", "/etc/loop1")
	link(t, root, "loop1", "/etc/loop2")
	link(t, root, "../..//./../etc/file", "/etc/clamped")
	link(t, root, "/etc/file", "/etc/good")
	link(t, root, "/etc", "/conf")
	return root, outside
}

func TestLinksStayInside(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("paths with a drive cannot be nested")
	}
	root, outside := hostile(t)
	before := contents(t, outside)
	h, err := Offline(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		path, want string
		err        error
	}{
		{path: "/etc/file", want: "inside"},
		{path: "/etc/good", want: "inside"},
		{path: "/conf/good", want: "inside"},
		{path: "/etc/clamped", want: "inside"},
		{path: "/etc/../../../etc/./file", want: "inside"},
		{path: "/etc/directory/inner", want: "inner"},
		{path: "/etc/absolute", err: fs.ErrNotExist},
		{path: "/etc/relative", err: fs.ErrNotExist},
		{path: "/etc/climbing", err: fs.ErrNotExist},
		{path: "/etc/directory/secret", err: fs.ErrNotExist},
		{path: "/etc/relative-directory/secret", err: fs.ErrNotExist},
		{path: "/../outside/secret", err: fs.ErrNotExist},
		{path: "/etc/loop1", err: errLoop},
		{path: "/etc/loop1/x", err: errLoop},
		{path: "/etc/file/x", err: errNotDir},
		{path: "/missing/../etc/file", err: fs.ErrNotExist},
		{path: "/etc", err: errNotRegular},
		{path: "etc/file", err: store.ErrInput},
	} {
		got, err := h.ReadFile(test.path, 100)
		if string(got) != test.want || !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
			t.Errorf("ReadFile(%s) = %q, %v; want %q, %v", test.path, got, err, test.want, test.err)
		}
		if err != nil && strings.Contains(err.Error(), root) {
			t.Errorf("ReadFile(%s): the error names a path that is none on the machine: %v", test.path, err)
		}
	}
	if got, err := h.Resolve("/conf/clamped"); got != "/etc/file" || err != nil {
		t.Errorf("Resolve = %q, %v", got, err)
	}
	if info, err := h.Stat("/etc/directory"); err != nil || !info.IsDir() {
		t.Errorf("Stat(/etc/directory) = %v, %v; want the directory inside", info, err)
	}
	if _, err := h.ReadDir("/etc/relative-directory"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadDir of a link that leads out: %v", err)
	}

	// Nothing that writes gets out, and nothing panics; most of it fails.
	for _, p := range []string{
		"/etc/absolute", "/etc/relative", "/etc/climbing", "/etc/directory/secret", "/etc/relative-directory/secret",
		"/../outside/secret", "/etc/loop1", "/etc/loop1/x", "/etc/file/x", "/etc/relative-directory/new/x",
	} {
		h.Chmod(p, 0o700)
		h.WriteFile(p, []byte("changed"), WriteOptions{})
		h.WriteFile(p, []byte("changed"), WriteOptions{TempDir: "/etc/relative-directory"})
		h.Symlink("x", p+".link", WriteOptions{})
		h.Symlink("x", p, WriteOptions{TempDir: "/etc/directory"})
		h.Rename("/etc/file", p)
		h.Rename(p, "/etc/file")
		h.MkdirAll(p+"/a/b", 0o755)
		h.Remove(p)
		if unlock, err := h.Lock(t.Context(), p, 0, "test"); err == nil {
			unlock()
		}
	}
	if diff := cmp.Diff(before, contents(t, outside)); diff != "" {
		t.Errorf("something outside of the root was changed (-before +after):\n%s", diff)
	}
}

// While one changes a directory into a link that leads out and back, the other
// never gets out.
func TestRaceStaysInside(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an open directory cannot be renamed")
	}
	base := storetest.TempDir(t)
	root, outside := filepath.Join(base, "root"), filepath.Join(base, "outside")
	write(t, outside, "/file", "secret", 0o644)
	write(t, root, "/dir/file", "inside", 0o644)
	link(t, root, outside, "/link")
	before := contents(t, outside)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		in := func(name string) string { return filepath.Join(root, name) }
		for {
			select {
			case <-stop:
				return
			default:
			}
			os.Rename(in("dir"), in("kept"))
			os.Rename(in("link"), in("dir"))
			os.Rename(in("dir"), in("link"))
			os.Rename(in("kept"), in("dir"))
		}
	}()
	h, err := Offline(root)
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for i := range 3000 {
		data, err := h.ReadFile("/dir/file", 100)
		if err == nil && strings.HasPrefix(string(data), "secret") {
			t.Error("read outside of the root")
			break
		}
		if err == nil {
			read++
		}
		if i%10 == 0 {
			h.WriteFile("/dir/file", []byte("inside"), WriteOptions{})
		}
	}
	close(stop)
	<-stopped
	if read == 0 {
		t.Error("the file was never read: the test proves nothing")
	}
	if diff := cmp.Diff(before, contents(t, outside)); diff != "" {
		t.Errorf("something outside of the root was changed:\n%s", diff)
	}
}

func TestReadFileLimit(t *testing.T) {
	root := storetest.TempDir(t)
	h := Fake(root)
	write(t, root, "/big", strings.Repeat("x", 10<<20), 0o644)
	write(t, root, "/fits", "12345", 0o644)
	if data, err := h.ReadFile("/big", 1<<20); !errors.Is(err, ErrTooLarge) || data != nil {
		t.Errorf("10 MB with a limit of 1 MB: %d bytes, %v", len(data), err)
	}
	if data, err := h.ReadFile("/fits", 5); err != nil || string(data) != "12345" {
		t.Errorf("5 bytes with a limit of 5: %q, %v", data, err)
	}
	if _, err := h.ReadFile("/fits", 4); !errors.Is(err, ErrTooLarge) {
		t.Errorf("5 bytes with a limit of 4: %v", err)
	}
}

func TestReadDirIsSorted(t *testing.T) {
	root := storetest.TempDir(t)
	for _, name := range []string{"c", "a", "b"} {
		write(t, root, "/dir/"+name, "", 0o644)
	}
	entries, err := Fake(root).ReadDir("/dir")
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if err != nil || strings.Join(got, "") != "abc" {
		t.Errorf("got %v, %v", got, err)
	}
}

// Both kinds of trees do the same.
func eachTree(t *testing.T, test func(t *testing.T, h *Host, dir string)) {
	t.Run("root", func(t *testing.T) { test(t, Fake(storetest.TempDir(t)), "/") })
	t.Run("machine", func(t *testing.T) {
		h := Local()
		dir, err := h.Resolve(filepath.ToSlash(storetest.TempDir(t)))
		if err != nil {
			t.Fatal(err)
		}
		test(t, h, dir+"/")
	})
}

func TestWriteFile(t *testing.T) {
	eachTree(t, func(t *testing.T, h *Host, dir string) {
		p := dir + "a/b/file"
		if err := h.WriteFile(p, nil, WriteOptions{}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("in a missing directory: %v", err)
		}
		if err := h.MkdirAll(dir+"a/b", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := h.WriteFile(p, []byte("one"), WriteOptions{Exclusive: true, Mode: 0o640}); err != nil {
			t.Fatal(err)
		}
		if err := h.WriteFile(p, []byte("two"), WriteOptions{Exclusive: true}); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Exclusive over a file: %v", err)
		}
		if data, err := h.ReadFile(p, 10); err != nil || string(data) != "one" {
			t.Errorf("after Exclusive: %q, %v", data, err)
		}
		if err := h.WriteFile(p, []byte("three"), WriteOptions{TempDir: dir + "a", Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if data, err := h.ReadFile(p, 10); err != nil || string(data) != "three" {
			t.Errorf("after writing: %q, %v", data, err)
		}
		if err := h.WriteFile(dir+"a", nil, WriteOptions{}); !errors.Is(err, errNotRegular) {
			t.Errorf("over a directory: %v", err)
		}
		for _, d := range []string{"a", "a/b"} {
			entries, err := h.ReadDir(dir + d)
			if err != nil || len(entries) != 1 {
				t.Errorf("%s holds %v, %v; want one entry", d, entries, err)
			}
		}
	})
}

// A file can be replaced and removed while others read it, and read while it is
// replaced: nobody is in the way for longer than a moment. Windows refuses that
// to who does not ask for it in the right way.
func TestReplacedWhileRead(t *testing.T) {
	eachTree(t, func(t *testing.T, h *Host, dir string) {
		file := dir + "file"
		contents := []string{strings.Repeat("a", 5000), strings.Repeat("b", 7000)}
		put := func(n int) error { return h.WriteFile(file, []byte(contents[n%2]), WriteOptions{}) }
		if err := put(0); err != nil {
			t.Fatal(err)
		}
		var done atomic.Bool
		var reading sync.WaitGroup
		for range 3 {
			reading.Go(func() {
				// In a Windows that cannot replace what is open, somebody has to
				// be the first to let go: there has to be a moment without readers.
				for ; !done.Load(); <-time.After(20 * time.Millisecond) {
					data, err := h.ReadFile(file, 1<<20)
					if err != nil || string(data) != contents[0] && string(data) != contents[1] {
						t.Errorf("%d bytes were read: %v", len(data), err)
						return
					}
				}
			})
		}
		for n := range 100 {
			if err := put(n); err != nil {
				t.Errorf("it was not replaced: %v", err)
				break
			}
		}
		done.Store(true)
		reading.Wait()
		// Others do not share what they read, but they come to an end.
		f, err := os.Open(h.outside(file))
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(50*time.Millisecond, func() { f.Close() })
		if err := put(0); err != nil {
			t.Errorf("it was not replaced: %v", err)
		}
		if err := h.Remove(file); err != nil {
			t.Error(err)
		}
	})
}

func TestWriteThroughLinks(t *testing.T) {
	eachTree(t, func(t *testing.T, h *Host, dir string) {
		for _, d := range []string{"own", "other"} {
			if err := h.MkdirAll(dir+d, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := h.WriteFile(dir+d+"/file", []byte("old"), WriteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		for name, target := range map[string]string{
			"own/near": "file", "own/far": "../other/file", "own/new": "made", "own/same": dir + "own/file", "own/chain": "near",
			"own/up": "../own/file", "own/loop": "loop", "own/parent": "..", "way": "own",
		} {
			if err := h.Symlink(target, dir+name, WriteOptions{}); err != nil {
				t.Skip("no symbolic links here:", err)
			}
		}
		for _, test := range []struct {
			path, changed string
			err           error
		}{
			{"own/near", "own/file", nil},
			{"own/same", "own/file", nil},
			{"own/up", "own/file", nil},
			{"own/chain", "own/file", nil},
			{"way/near", "own/file", nil}, // links among the directories do not matter
			{"own/new", "own/made", nil},
			{"own/far", "", store.ErrConflict},
			{"own/loop", "", errLoop},
			{"own/parent", "", errNotRegular},
		} {
			err := h.WriteFile(dir+test.path, []byte(test.path), WriteOptions{})
			if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
				t.Errorf("%s: got %v, want %v", test.path, err, test.err)
				continue
			}
			if info, err := h.Lstat(dir + test.path); err != nil || info.Mode()&fs.ModeSymlink == 0 {
				t.Errorf("%s is not a link any more: %v, %v", test.path, info, err)
			}
			if test.changed == "" {
				continue
			}
			if data, err := h.ReadFile(dir+test.changed, 100); err != nil || string(data) != test.path {
				t.Errorf("%s: %s holds %q, %v", test.path, test.changed, data, err)
			}
		}
		if data, _ := h.ReadFile(dir+"other/file", 100); string(data) != "old" {
			t.Errorf("the other directory's file was changed to %q", data)
		}
	})
}

func TestLinksRenameRemove(t *testing.T) {
	eachTree(t, func(t *testing.T, h *Host, dir string) {
		for _, target := range []string{"one", "two", "/absolute/and/missing"} {
			if err := h.Symlink(target, dir+"link", WriteOptions{}); err != nil {
				t.Skip("no symbolic links here:", err)
			}
			if got, err := h.Readlink(dir + "link"); err != nil || got != target {
				t.Errorf("Readlink = %q, %v; want %q", got, err, target)
			}
		}
		if err := h.Symlink("x", dir+"link", WriteOptions{Exclusive: true}); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Exclusive over a link: %v", err)
		}
		if err := h.MkdirAll(dir+"dir", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := h.Symlink("x", dir+"dir", WriteOptions{}); err == nil {
			t.Error("a directory was replaced by a link")
		}
		if err := h.Rename(dir+"link", dir+"dir/renamed"); err != nil {
			t.Error(err)
		}
		if err := h.Remove(dir + "dir"); !errors.Is(err, store.ErrUnsupported) {
			t.Errorf("Remove of a directory: %v", err)
		}
		if err := h.Remove(dir + "dir/renamed"); err != nil {
			t.Error(err)
		}
		if err := h.Remove(dir + "dir/renamed"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Remove of what is gone: %v", err)
		}
		if entries, err := h.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("left: %v, %v", entries, err)
		}
	})
}

// A fault at each step in turn: all is as it was.
func TestFaults(t *testing.T) {
	fault := errors.New("injected")
	for name, do := range map[string]func(h *Host) error{
		"replace":   func(h *Host) error { return h.WriteFile("/dir/file", []byte("new"), WriteOptions{}) },
		"create":    func(h *Host) error { return h.WriteFile("/dir/new", []byte("new"), WriteOptions{TempDir: "/tmp"}) },
		"exclusive": func(h *Host) error { return h.WriteFile("/dir/new", []byte("new"), WriteOptions{Exclusive: true}) },
		"symlink":   func(h *Host) error { return h.Symlink("file", "/dir/link", WriteOptions{}) },
		"over file": func(h *Host) error { return h.Symlink("x", "/dir/file", WriteOptions{TempDir: "/tmp"}) },
		"rename":    func(h *Host) error { return h.Rename("/dir/file", "/dir/new") },
		"remove":    func(h *Host) error { return h.Remove("/dir/file") },
		"chmod":     func(h *Host) error { return h.Chmod("/dir/file", 0o600) },
		"mkdir":     func(h *Host) error { return h.MkdirAll("/dir/sub", 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			prepared := func() (*Host, string) {
				root := storetest.TempDir(t)
				write(t, root, "/dir/file", "old", 0o644)
				write(t, root, "/tmp/other", "", 0o644)
				return Fake(root), root
			}
			steps := 0
			h, _ := prepared()
			h.Fault = func(op, path string) error { steps++; return nil }
			if err := do(h); err != nil {
				t.Skip("cannot be done here:", err)
			}
			if steps == 0 {
				t.Fatal("no step asked for a fault")
			}
			for at := range steps {
				h, root := prepared()
				before := contents(t, root)
				n := 0
				h.Fault = func(op, path string) error {
					if n++; n == at+1 {
						return fault
					}
					return nil
				}
				if err := do(h); !errors.Is(err, fault) {
					t.Errorf("step %d: got %v", at+1, err)
				}
				if diff := cmp.Diff(before, contents(t, root)); diff != "" {
					t.Errorf("step %d left traces (-before +after):\n%s", at+1, diff)
				}
			}
		})
	}
}

func TestErrorKinds(t *testing.T) {
	h := Fake(storetest.TempDir(t))
	_, err := h.ReadFile("/\x1b[31mmissing", 1)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if strings.Contains(err.Error(), "\x1b") {
		t.Errorf("an escape sequence in %q", err)
	}
	denied := pathError("read", "/x", &fs.PathError{Op: "open", Path: "/elsewhere", Err: fs.ErrPermission})
	if !errors.Is(denied, fs.ErrPermission) || !errors.Is(denied, store.ErrPermission) || strings.Contains(denied.Error(), "elsewhere") {
		t.Errorf("got %v", denied)
	}
}

func TestOffline(t *testing.T) {
	for path, want := range map[string]string{
		"/etc/os-release": "linux", "/System/Library/x": "darwin", "/Windows/System32/x": "windows", "/nothing": "linux",
	} {
		root := storetest.TempDir(t)
		write(t, root, path, "ID=debian\n", 0o644)
		h, err := Offline(root)
		if err != nil || h.OS != want || h.Live || h.Root != root {
			t.Errorf("%s: %+v, %v; want %s", path, h, err, want)
		}
		t.Setenv("HOME_OF_TEST", "x")
		if h.Env("HOME_OF_TEST") != "" {
			t.Error("an offline root has this process's environment")
		}
		if _, err := h.Run(t.Context(), Command{Args: []string{"true"}}); !errors.Is(err, store.ErrUnsupported) {
			t.Errorf("Run: %v", err)
		}
	}
	root := storetest.TempDir(t)
	write(t, root, "/etc/os-release", "NAME=FreeBSD\nID=freebsd\n", 0o644)
	if h, err := Offline(root); err != nil || h.OS != "freebsd" {
		t.Errorf("got %v, %v", h, err)
	}
	write(t, root, "/file", "", 0o644)
	if _, err := Offline(filepath.Join(root, "file")); !errors.Is(err, store.ErrInput) {
		t.Errorf("a file as root: %v", err)
	}
	if _, err := Offline(filepath.Join(root, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing root: %v", err)
	}
}

// A Windows disk has paths with a drive and links with one.
func TestOfflineWindows(t *testing.T) {
	root := storetest.TempDir(t)
	write(t, root, "/Windows/System32/config/SOFTWARE", "hive", 0o644)
	h, err := Offline(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"C:/Windows/System32/config/SOFTWARE", "/Windows/System32/config/SOFTWARE"} {
		if data, err := h.ReadFile(p, 10); err != nil || string(data) != "hive" {
			t.Errorf("%s: %q, %v", p, data, err)
		}
	}
}

func TestStateDir(t *testing.T) {
	for _, test := range []struct {
		os, via      string
		env          map[string]string
		system, user string
	}{
		{os: "linux", system: "/var/lib/certtrust", user: "/home/u/.local/state/certtrust"},
		{os: "freebsd", system: "/var/lib/certtrust", user: "/home/u/.local/state/certtrust"},
		{os: "linux", env: map[string]string{"XDG_STATE_HOME": "/state"}, system: "/var/lib/certtrust", user: "/state/certtrust"},
		{os: "linux", env: map[string]string{"XDG_STATE_HOME": "state"}, system: "/var/lib/certtrust", user: "/home/u/.local/state/certtrust"},
		{os: "linux", via: "sudo", env: map[string]string{"XDG_STATE_HOME": "/root/state"}, system: "/var/lib/certtrust", user: "/home/u/.local/state/certtrust"},
		{os: "darwin", system: "/Library/Application Support/certtrust", user: "/home/u/.local/state/certtrust"},
		{os: "windows", system: "C:/ProgramData/certtrust", user: "/home/u/AppData/Local/certtrust"},
		{os: "windows", env: map[string]string{"ProgramData": "D:/Data", "LOCALAPPDATA": "D:/L"}, system: "D:/Data/certtrust", user: "D:/L/certtrust"},
	} {
		h := Fake(storetest.TempDir(t))
		h.OS, h.User = test.os, User{Home: "/home/u", Via: test.via}
		h.Env = func(key string) string { return test.env[key] }
		if got := h.StateDir(store.ScopeSystem); got != test.system {
			t.Errorf("%+v: system %s", test, got)
		}
		if got := h.StateDir(store.ScopeUser); got != test.user {
			t.Errorf("%+v: user %s", test, got)
		}
	}
}

func TestWhoAsked(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no sudo")
	}
	alice := &user.User{Uid: "1000", Gid: "1001", Username: "alice", HomeDir: "/home/alice"}
	root := &user.User{Uid: "0", Gid: "0", Username: "root", HomeDir: "/root"}
	find := func(s string) (*user.User, error) {
		switch s {
		case "1000", "alice":
			return alice, nil
		case "0", "root":
			return root, nil
		}
		return nil, errors.New("unknown user")
	}
	foreign := storetest.TempDir(t)
	if os.Geteuid() == 0 {
		if err := os.Chown(foreign, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	gid := os.Getegid()
	for name, test := range map[string]struct {
		euid int
		env  map[string]string
		want User
	}{
		"sudo":             {0, map[string]string{"SUDO_UID": "1000", "SUDO_USER": "mallory", "HOME": "/evil"}, User{"alice", 1000, 1001, "/home/alice", "sudo"}},
		"doas":             {0, map[string]string{"DOAS_USER": "alice"}, User{"alice", 1000, 1001, "/home/alice", "doas"}},
		"pkexec":           {0, map[string]string{"PKEXEC_UID": "1000"}, User{"alice", 1000, 1001, "/home/alice", "pkexec"}},
		"directory user":   {0, map[string]string{"SUDO_UID": "70000", "SUDO_GID": "70001", "SUDO_USER": "far"}, User{"far", 70000, 70001, "", "sudo"}},
		"root behind root": {0, map[string]string{"SUDO_UID": "0", "SUDO_GID": "0", "SUDO_USER": "root"}, User{"root", 0, gid, "/root", ""}},
		"nonsense":         {0, map[string]string{"SUDO_UID": "x", "SUDO_USER": "x"}, User{"root", 0, gid, "/root", ""}},
		"negative":         {0, map[string]string{"SUDO_UID": "-1", "SUDO_GID": "-1"}, User{"root", 0, gid, "/root", ""}},
		"root, plain":      {0, map[string]string{"HOME": "/srv/home"}, User{"root", 0, gid, "/srv/home", ""}},
		"not believed":     {1000, map[string]string{"SUDO_UID": "0", "DOAS_USER": "root", "PKEXEC_UID": "0"}, User{"alice", 1000, gid, "/home/alice", ""}},
		"own HOME":         {1000, map[string]string{"HOME": "/elsewhere/"}, User{"alice", 1000, gid, "/elsewhere", ""}},
		"relative HOME":    {1000, map[string]string{"HOME": "home"}, User{"alice", 1000, gid, "/home/alice", ""}},
	} {
		current := alice
		if test.euid == 0 {
			current = root
		}
		db := lookup{find, find, func() (*user.User, error) { return current, nil }}
		got := whoAsked(test.euid, func(key string) string { return test.env[key] }, db)
		if got != test.want {
			t.Errorf("%s: got %+v, want %+v", name, got, test.want)
		}
	}
	if os.Geteuid() == 0 {
		db := lookup{find, find, func() (*user.User, error) { return root, nil }}
		got := whoAsked(0, func(key string) string { return map[string]string{"HOME": foreign}[key] }, db)
		if got.Home != "/root" {
			t.Errorf("root took another user's home for its own: %+v", got)
		}
	}
}

func TestWritable(t *testing.T) {
	root := storetest.TempDir(t)
	h := Fake(root)
	write(t, root, "/file", "", 0o644)
	for path, want := range map[string]bool{"/": true, "/missing/a/b": true, "/file": false, "/file/x": false} {
		if got := h.Writable(path); got != want {
			t.Errorf("Writable(%s) = %v", path, got)
		}
	}
	if entries, err := h.ReadDir("/"); err != nil || len(entries) != 1 {
		t.Errorf("asking has written: %v, %v", entries, err)
	}
}

func TestLockInOneProcess(t *testing.T) {
	h := Fake(storetest.TempDir(t))
	unlock, err := h.Lock(t.Context(), "/run/lock", 0, "first")
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Lock(t.Context(), "/run/lock", 0, "second")
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("held by pid %d (first)", os.Getpid())) {
		t.Errorf("the second got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Lock(ctx, "/run/lock", time.Hour, "third"); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: %v", err)
	}
	unlock()
	unlock() // does no harm
	again, err := h.Lock(t.Context(), "/run/lock", 0, "fourth")
	if err != nil {
		t.Fatal(err)
	}
	again()
	if data, err := h.ReadFile("/run/lock", 100); err != nil || len(data) != 0 {
		t.Errorf("the free lock's file: %q, %v; want it there and empty", data, err)
	}
}

func TestLockTellsHowLong(t *testing.T) {
	h := Fake(storetest.TempDir(t))
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	h.Now = func() time.Time { return now }
	unlock, err := h.Lock(t.Context(), "/lock", 0, "certtrust \x1b[2Jtrust")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	now = now.Add(12 * time.Second)
	_, err = h.Lock(t.Context(), "/lock", 0, "x")
	want := fmt.Sprintf(`lock: /lock: held by pid %d (certtrust \u001b[2Jtrust), for 12s`, os.Getpid())
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestLockRefusesLinks(t *testing.T) {
	eachTree(t, func(t *testing.T, h *Host, dir string) {
		victims := []string{dir + "victim", dir + "linked"}
		for _, p := range victims {
			if err := h.WriteFile(p, []byte("precious"), WriteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		for name, target := range map[string]string{"soft": "linked", "dangling": "missing"} {
			if err := h.Symlink(target, dir+name, WriteOptions{}); err != nil {
				t.Skip("no symbolic links here:", err)
			}
		}
		if err := os.Link(h.outside(dir+"victim"), h.outside(dir+"hard")); err != nil {
			t.Skip("no hard links here:", err)
		}
		for _, name := range []string{"soft", "hard", "dangling"} {
			if name == "hard" && runtime.GOOS == "windows" {
				continue // how many names a file has is not told
			}
			if unlock, err := h.Lock(t.Context(), dir+name, 0, "x"); err == nil {
				unlock()
				t.Errorf("%s was taken for a lock", name)
			}
		}
		for _, p := range victims {
			if data, _ := h.ReadFile(p, 100); string(data) != "precious" {
				t.Errorf("%s was overwritten with %q", p, data)
			}
		}
		if _, err := h.Lstat(dir + "missing"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a dangling link's target was made: %v", err)
		}
	})
}

func TestSecretIsNeverPrinted(t *testing.T) {
	s := NewSecret([]byte("hunter2"))
	if string(s.Bytes()) != "hunter2" {
		t.Fatalf("Bytes = %q", s.Bytes())
	}
	type holder struct {
		hidden Secret
		Shown  Secret
	}
	values := []any{s, &s, []Secret{s}, map[string]Secret{"a": s}, holder{s, s}, &holder{s, s}}
	var out bytes.Buffer
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%t", "%w"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		data, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		out.Write(data)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "value", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "value", v)
	}
	fmt.Fprintln(&out, errors.Join(fmt.Errorf("with %v", s)))
	text := strings.ToLower(out.String())
	for _, leak := range []string{"hunter2", "68756e74657232", "104 117 110", "0x68, 0x75"} {
		if strings.Contains(text, leak) {
			t.Errorf("%q leaked in\n%s", leak, text)
		}
	}
	if !strings.Contains(text, "[secret]") {
		t.Error("nothing was printed: the test proves nothing")
	}
}

func TestReadSecretFile(t *testing.T) {
	dir := storetest.TempDir(t)
	read := func(content string, mode fs.FileMode) (Secret, error) {
		write(t, dir, "/pw", content, mode)
		return ReadSecretFile(filepath.Join(dir, "pw"))
	}
	for content, want := range map[string]string{
		"secret\n": "secret", "secret": "secret", "secret\r\nmore\n": "secret", "": "", " a b \n": " a b ",
	} {
		if s, err := read(content, 0o600); err != nil || string(s.Bytes()) != want {
			t.Errorf("%q: %q, %v", content, s.Bytes(), err)
		}
	}
	s, err := read(strings.Repeat("hunter2", maxSecret), 0o600)
	if !errors.Is(err, store.ErrInput) || s.Bytes() != nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a line without end: %v", err)
	}
	if runtime.GOOS != "windows" {
		for _, mode := range []fs.FileMode{0o620, 0o602} {
			if _, err := read("hunter2", mode); !errors.Is(err, store.ErrPermission) || !strings.Contains(err.Error(), "pw") {
				t.Errorf("mode %o: %v", mode, err)
			}
		}
	}
	if _, err := ReadSecretFile(dir); !errors.Is(err, store.ErrInput) {
		t.Errorf("a directory: %v", err)
	}
	if _, err := ReadSecretFile(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestExecErrorText(t *testing.T) {
	e := &ExecError{
		Args: []string{"/bin/x\x1b[31m"}, ExitCode: 3,
		Stderr: []byte("first\n\nsecond \x1b]0;title\x07\n" + strings.Repeat("ä", 1000) + "\n\n"),
	}
	want := `/bin/x\u001b[31m: exit code 3: second \u001b]0;title\u0007: ` + strings.Repeat("ä", 300) + "…"
	if e.Error() != want {
		t.Errorf("got  %q\nwant %q", e.Error(), want)
	}
	ended := &ExecError{Args: []string{"x"}, ExitCode: -1, Err: context.DeadlineExceeded}
	if !strings.Contains(ended.Error(), context.DeadlineExceeded.Error()) || !errors.Is(ended, context.DeadlineExceeded) {
		t.Errorf("got %v", ended)
	}
	_ = (&ExecError{}).Error()
}

func TestRunner(t *testing.T) {
	h := Fake(storetest.TempDir(t))
	var got Command
	h.Runner = func(_ context.Context, c Command) (Output, error) {
		got = c
		return Output{Stdout: []byte("out")}, nil
	}
	out, err := h.Run(t.Context(), Command{Args: []string{"tool", "-x"}, Env: []string{"A=1"}})
	if err != nil || string(out.Stdout) != "out" || strings.Join(got.Args, " ") != "tool -x" {
		t.Errorf("%q, %v, %v", out.Stdout, err, got)
	}
	fault := errors.New("injected")
	h.Fault = func(op, path string) error {
		if op == "run" && path == "tool" {
			return fault
		}
		return nil
	}
	if _, err := h.Run(t.Context(), Command{Args: []string{"tool"}}); !errors.Is(err, fault) {
		t.Errorf("got %v", err)
	}
	h.Fault, h.Runner = nil, nil
	if _, err := h.Run(t.Context(), Command{Args: []string{"no-such-tool"}}); !errors.Is(err, store.ErrToolMissing) {
		t.Errorf("a missing program: %v", err)
	}
	if _, err := h.Run(t.Context(), Command{}); !errors.Is(err, store.ErrInput) {
		t.Errorf("no program: %v", err)
	}
}

func TestRightsCommand(t *testing.T) {
	alice, bob := &User{Name: "alice", UID: 1000}, &User{Name: "bob", UID: 1001}
	args := []string{"/usr/bin/certtrust", "apply"}
	for name, test := range map[string]struct {
		euid   int
		rights Rights
		have   []string
		os     string
		want   Command
		err    error
	}{
		"root to user":       {euid: 0, rights: Rights{User: alice}, want: Command{Args: args, Rights: alice}},
		"root to root":       {euid: 0, want: Command{Args: args}},
		"user to self":       {euid: 1000, rights: Rights{User: alice}, want: Command{Args: args}},
		"user to other":      {euid: 1000, rights: Rights{User: bob}, have: []string{"sudo"}, err: store.ErrPermission},
		"user, sudo":         {euid: 1000, have: []string{"sudo", "doas"}, want: Command{Args: append([]string{"/usr/bin/sudo", "-n", "--"}, args...)}},
		"user, sudo, prompt": {euid: 1000, rights: Rights{Interactive: true}, have: []string{"sudo"}, want: Command{Args: append([]string{"/usr/bin/sudo", "--"}, args...), Foreground: true}},
		"user, doas":         {euid: 1000, have: []string{"doas"}, want: Command{Args: append([]string{"/usr/bin/doas", "-n", "--"}, args...)}},
		"user, nothing":      {euid: 1000, err: store.ErrToolMissing},
		"windows":            {euid: -1, os: "windows", want: Command{Args: args, Elevated: true}},
		"windows, to other":  {euid: -1, os: "windows", rights: Rights{User: alice}, err: store.ErrUnsupported},
	} {
		root := storetest.TempDir(t)
		h := Fake(root)
		h.EUID = test.euid
		if test.os != "" {
			h.OS = test.os
		}
		for _, tool := range test.have {
			write(t, root, "/usr/bin/"+tool, "#!/bin/sh\n", 0o755)
		}
		if runtime.GOOS == "windows" && test.have != nil {
			continue // no executable bits
		}
		got, err := h.RightsCommand(test.rights, args)
		if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
			t.Errorf("%s: %v, want %v", name, err, test.err)
		}
		if err != nil && store.Hint(err) == "" {
			t.Errorf("%s: no hint in %v", name, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}
