package storetest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TempDir returns a new directory, with symbolic links resolved, that is
// removed at the end of the test. Unlike tb.TempDir it only logs it if that
// fails, as it does where files stay busy for a while (Windows under Wine).
func TempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "certtrust-test-")
	if err != nil {
		tb.Fatal(err)
	}
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		dir = resolved
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil && !removeEach(dir) {
			tb.Logf("the temporary directory stays: %v", err)
		}
	})
	return dir
}

// removeEach removes a directory as [os.RemoveAll] does, but each file by its
// name, and reports whether it could.
func removeEach(dir string) bool {
	var names []string
	filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err == nil {
			names = append(names, name)
		}
		return nil
	})
	for _, name := range slices.Backward(names) {
		if os.Remove(name) != nil && os.Chmod(name, 0o600) == nil { // what is read-only is not removed on Windows
			os.Remove(name)
		}
	}
	_, err := os.Lstat(dir)
	return errors.Is(err, fs.ErrNotExist)
}

// Tick returns when a file that is changed from now on gets a later time than one
// that was changed before: the system's clock for files goes in steps.
func Tick(tb testing.TB) {
	tb.Helper()
	file := filepath.Join(TempDir(tb), "tick")
	now := func() time.Time {
		if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
			tb.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil {
			tb.Fatal(err)
		}
		return info.ModTime()
	}
	for began := now(); !now().After(began); {
	}
}
