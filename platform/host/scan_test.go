package host

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certtrust/certtrust/store/storetest"
)

// Small files are looked through, and nothing but files: no link, no FIFO, none
// that is too large or too old.
func TestEachFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a root of another system")
	}
	root := t.TempDir()
	dir := filepath.Join(root, "lists")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	large := strings.Repeat("x", 200<<10)
	for name, text := range map[string]string{"b.list": "bee", "a.list": large, "c.txt": "no", "old.list": "old", "huge.list": large + large, "empty.list": ""} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		at := now
		if name == "old.list" {
			at = now.Add(-time.Hour)
		}
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link.list")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "dir.list"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, live := range []bool{true, false} {
		h := Fake(root)
		h.Live = live
		got := map[string]string{}
		var order []string
		err := h.EachFile("/lists", ".list", now, 300<<10, func(name string, data []byte) bool {
			got[name] = string(data)
			order = append(order, name)
			return name != "b.list"
		})
		if err != nil || !slices.Equal(order, []string{"a.list", "b.list"}) || got["a.list"] != large || got["b.list"] != "bee" {
			t.Errorf("error %v, %q", err, order)
		}
		order = nil
		if err := h.EachFile("/lists", ".list", time.Time{}, 300<<10, func(name string, data []byte) bool {
			order = append(order, name)
			return true
		}); err != nil || !slices.Equal(order, []string{"a.list", "b.list", "empty.list", "old.list"}) {
			t.Errorf("error %v, %q", err, order)
		}
		if err := h.EachFile("/missing", ".list", time.Time{}, 1, nil); err == nil {
			t.Error("a directory that is not there is read")
		}
	}
}

func TestEachLine(t *testing.T) {
	root := storetest.TempDir(t)
	if err := os.WriteFile(filepath.Join(root, "file"), []byte("one\n\n"+strings.Repeat("x", 100<<10)+"\nlast"), 0o644); err != nil {
		t.Fatal(err)
	}
	h := Fake(root)
	read := func(max int64, until string) (lines []string, err error) {
		err = h.EachLine("/file", max, func(line []byte) bool {
			lines = append(lines, string(line))
			return string(line) != until
		})
		return lines, err
	}
	if lines, err := read(1<<20, "none"); err != nil || len(lines) != 4 || lines[1] != "" || len(lines[2]) != 100<<10 || lines[3] != "last" {
		t.Errorf("error %v, %d lines", err, len(lines))
	}
	if lines, err := read(1<<20, ""); err != nil || len(lines) != 2 {
		t.Errorf("it goes on: error %v, %d lines", err, len(lines))
	}
	if lines, err := read(4, "none"); err != nil || len(lines) != 1 {
		t.Errorf("it goes beyond: error %v, %d lines", err, len(lines))
	}
	if err := h.EachLine("/", 1, nil); err == nil {
		t.Error("a directory is read")
	}
}
