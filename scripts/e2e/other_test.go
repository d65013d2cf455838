//go:build !linux

package e2e

import "testing"

func TestOverlay(t *testing.T) {
	t.Skip("the overlay of the machine needs Linux namespaces")
}
