//go:build !linux

package host

import "os"

// Other systems' files have no attributes that their readers depend on.
func keepAttributes(f, from *os.File) error { return nil }

func recordLock(*os.File) (int, bool) { return 0, false }
