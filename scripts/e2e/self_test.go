//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The tests of this file prove the tools of the others, with the
// distribution's own program in certtrust's place.

func TestOverlayHidesItsWrites(t *testing.T) {
	const mark = "/usr/local/share/certtrust-e2e-mark"
	Overlay(t, func(t *testing.T) {
		if err := os.WriteFile(mark, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(upperDir + mark); err != nil {
			t.Errorf("what is written is not in the upper layer: %v", err)
		}
		if err := os.RemoveAll("/etc/ssl"); err != nil {
			t.Fatal(err)
		}
		if os.Getpid() != 1 {
			t.Error("not in a process namespace of its own")
		}
	})
	if _, err := os.Stat(mark); err == nil && os.Getenv(roleVar) == "" {
		os.Remove(mark)
		t.Error("a file that was written in the overlay is on the host")
	}
}

// Clients that accept everything, or refuse everything, prove nothing.
func TestClients(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		settle(t)
		known, unknown := newAuthority(t, "Known"), newAuthority(t, "Unknown")
		port, strange := serve(t, known), serve(t, unknown)
		refused(t, port)
		anchor := filepath.Join(anchorDir, "known.crt")
		if err := os.WriteFile(anchor, known.PEM(), 0o644); err != nil {
			t.Fatal(err)
		}
		settle(t)
		accepted(t, port)
		refused(t, strange)
		present(t, known)
		absent(t, unknown)
	})
}

func TestSnapshot(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		settle(t)
		a := newAuthority(t, "Snapshot")
		anchor, link := filepath.Join(anchorDir, "snapshot.crt"), filepath.Join(certsDir, "snapshot.pem")
		cycle := func() {
			if err := os.WriteFile(anchor, a.PEM(), 0o644); err != nil {
				t.Fatal(err)
			}
			settle(t)
			present(t, a)
			if err := os.Remove(anchor); err != nil {
				t.Fatal(err)
			}
			settle(t)
		}
		start := trust()
		cycle()
		// The distribution's tool leaves the link, and the CA in Java.
		if d := diff(start, trust()); d == "" {
			t.Error("what a removed certificate leaves behind is not seen")
		}
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
		hook := command("/etc/ca-certificates/update.d/jks-keystore")
		hook.Stdin = strings.NewReader("-" + link + "\n")
		must(t, hook)
		must(t, command("openssl", "rehash", certsDir))
		same(t, start)
		absent(t, a)
		if touched(start, trust()) == "" {
			t.Error("times of modification are not seen")
		}
	})
}
