//go:build !windows

package wincert

// System returns the calls of this machine's Windows, nil for another system.
func System() API { return nil }
