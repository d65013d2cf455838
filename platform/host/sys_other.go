//go:build !linux

package host

import (
	"io/fs"
	"os"
)

// Other systems' files have no attributes that their readers depend on.
func keepAttributes(f, from *os.File) error { return nil }

// identity: elsewhere everything is read anew.
func identity(fs.FileInfo) (device, inode uint64, changed int64, ok bool) { return 0, 0, 0, false }

// commandLine: only Linux has them in files.
func commandLine(string, []byte) []byte { return nil }

func kernelThreads() map[int]bool { return nil }

func recordLock(*os.File) (int, bool) { return 0, false }
