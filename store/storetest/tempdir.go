package storetest

import (
	"os"
	"path/filepath"
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
		if err := os.RemoveAll(dir); err != nil {
			tb.Logf("the temporary directory stays: %v", err)
		}
	})
	return dir
}
