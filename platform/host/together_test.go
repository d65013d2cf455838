package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/certtrust/certtrust/store/storetest"
)

// Where the directory for temporary files turns out to be on another file
// system, one is made next to the file, and is gone afterwards.
func TestTempDirElsewhere(t *testing.T) {
	root := storetest.TempDir(t)
	write(t, root, "/certs/file", "old", 0o644)
	h := Fake(root)
	o := WriteOptions{TempDir: "/"}
	for name, put := range map[string]func() error{
		"/certs/file": func() error { return h.WriteFile("/certs/file", []byte("new"), o) },
		"/certs/link": func() error { return h.Symlink("file", "/certs/link", o) },
	} {
		if runtime.GOOS == "windows" && name == "/certs/link" {
			continue // links need a right there
		}
		var ops []string
		h.Fault = func(op, path string) error {
			ops = append(ops, op)
			if op == "rename" && !slices.Contains(ops, "mkdir") {
				return errOtherDevice
			}
			return nil
		}
		if err := put(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if data, _ := os.ReadFile(filepath.Join(root, name)); !slices.Contains([]string{"old", "new"}, string(data)) {
			t.Errorf("%s holds %q", name, data)
		}
		if !slices.Contains(ops, "mkdir") || ops[len(ops)-1] != "remove" {
			t.Errorf("%s took %q", name, ops)
		}
	}
	if data, _ := os.ReadFile(filepath.Join(root, "certs/file")); string(data) != "new" {
		t.Errorf("content %q", data)
	}
	for _, dir := range []string{root, filepath.Join(root, "certs")} {
		left, err := filepath.Glob(filepath.Join(dir, TempPrefix+"*"))
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %q, %v", left, err)
		}
	}
}

// What is done together is done, and what fails of it is told.
func TestTogether(t *testing.T) {
	root := storetest.TempDir(t)
	h := Fake(root)
	err := h.Together(func(h *Host) error {
		for _, name := range []string{"/a", "/b", "/gone"} {
			if err := h.WriteFile(name, []byte(name), WriteOptions{}); err != nil {
				return err
			}
		}
		return h.Together(func(h *Host) error { return h.Remove("/gone") })
	})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := h.ReadDir("/")
	if err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
	if err := h.Together(func(h *Host) error { return h.Remove("/not there") }); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
