package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/certtrust/certtrust/store/storetest"
)

// A file is read anew when it is another one, was written again, or has become
// something else, and not when it is what it was: by calls on its directory as
// by paths.
func TestReadChanged(t *testing.T) {
	root := storetest.TempDir(t)
	for name, h := range map[string]*Host{"here": Local(), "in a root": Fake(root)} {
		t.Run(name, func(t *testing.T) {
			dir := storetest.TempDir(t)
			d := h.Dir(filepath.ToSlash(dir))
			if h.Root != "" {
				dir = filepath.Join(root, "dir")
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				d = h.Dir("/dir")
			}
			defer d.Close()
			file := filepath.Join(dir, "a")
			write := func(text string) {
				t.Helper()
				if err := os.WriteFile(file, []byte(text), 0o640); err != nil {
					t.Fatal(err)
				}
				// As if that had been long ago; the change time stays.
				if err := os.Chtimes(file, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
			read := func(known Mark, since time.Time) (string, Mark, bool) {
				t.Helper()
				data, now, changed, err := d.ReadChanged("a", known, since, 100)
				if err != nil {
					t.Fatal(err)
				}
				return string(data), now, changed
			}
			later := time.Now().Add(time.Hour)
			write("one")
			text, mark, changed := read(Mark{}, later)
			if text != "one" || !changed {
				t.Fatalf("first read: %q, %v", text, changed)
			}
			if runtime.GOOS != "windows" && mark.Mode() != 0o640 {
				t.Errorf("mode %v", mark.Mode())
			}
			if info, err := os.Stat(file); err != nil || mark != MarkOf(info, later) {
				t.Errorf("the mark is %+v, that of the same description %+v (%v)", mark, MarkOf(info, later), err)
			}
			if text, again, changed := read(mark, later); mark.Settled && (changed || text != "" || again != mark) {
				t.Errorf("unchanged: %q, %v", text, changed)
			}
			// Not settled: two changes can have the same time.
			_, fresh, _ := read(Mark{}, time.Now().Add(-time.Hour))
			if text, _, changed := read(fresh, time.Now().Add(-time.Hour)); !changed || text != "one" {
				t.Errorf("changed a moment ago: %q, %v", text, changed)
			}
			storetest.Tick(t)
			write("two")
			if text, again, changed := read(mark, later); !changed || text != "two" || again == mark {
				t.Errorf("rewritten in place, with its time put back: %q, %v", text, changed)
			}
			if err := os.Rename(file, file+".old"); err != nil {
				t.Fatal(err)
			}
			write("two")
			_, mark, _ = read(Mark{}, later)
			if err := os.Rename(file+".old", file); err != nil {
				t.Fatal(err)
			}
			if _, _, changed := read(mark, later); !changed {
				t.Error("another file of that name is taken for the first")
			}
		})
	}
}

// What is no plain file of a bounded size is refused, and nothing is waited for.
func TestReadChangedRefuses(t *testing.T) {
	dir := storetest.TempDir(t)
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "large"), make([]byte, 101), 0o644); err != nil {
		t.Fatal(err)
	}
	d := Local().Dir(filepath.ToSlash(dir))
	defer d.Close()
	if _, now, changed, err := d.ReadChanged("sub", Mark{}, time.Now(), 100); err != nil || changed || !now.Mode().IsDir() {
		t.Errorf("directory: %v, %v, %v", now.Mode(), changed, err)
	}
	if _, _, _, err := d.ReadChanged("large", Mark{}, time.Now(), 100); !errors.Is(err, ErrTooLarge) {
		t.Errorf("large: %v", err)
	}
	if _, _, _, err := d.ReadChanged("none", Mark{}, time.Now(), 100); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "none") {
		t.Errorf("missing: %v", err)
	}
	gone := Local().Dir(filepath.ToSlash(filepath.Join(dir, "gone")))
	defer gone.Close()
	if _, _, _, err := gone.ReadChanged("a", Mark{}, time.Now(), 100); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a directory that is not there: %v", err)
	}
}

// The links of a directory are read with what they say.
func TestReadLinks(t *testing.T) {
	root := storetest.TempDir(t)
	h := Fake(root)
	long := strings.Repeat("x/", 2040)
	for name, target := range map[string]string{"a": "/etc/b", "b": "nowhere", "c": long} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Skip("no symbolic links here:", err)
		}
		if _, err := os.Readlink(filepath.Join(root, name)); err != nil { // Wine only says that it has made one
			t.Skip("no symbolic links here:", err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	entries, targets, err := h.ReadLinks("/")
	if err != nil || len(entries) != 4 || entries[3].Name() != "file" {
		t.Fatalf("%v, %v", entries, err)
	}
	if len(targets) != 3 || targets["a"] != "/etc/b" || targets["b"] != "nowhere" || targets["c"] != long {
		t.Errorf("%v", targets)
	}
	if _, _, err := h.ReadLinks("/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
}
