package storetest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
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
