//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// times is how often something is done: fewer times unless all of it is asked
// for.
func times(few, all int) int {
	if os.Getenv(allCasesVar) != "" {
		return all
	}
	return few
}

// withoutHooks makes the machine one on which nothing but the bundle and the
// links follows, so that what is tested here takes little time.
func withoutHooks(t *testing.T) (roots int) {
	t.Helper()
	need(t, "update-ca-certificates")
	must(t, command("sh", "-c", "mkdir /root/hooks && mv /etc/ca-certificates/update.d/* /root/hooks/"))
	must(t, command("update-ca-certificates", "--fresh"))
	return len(readBundle(t))
}

// inSystem reports whether a CA is in the bundle and found by its hash. One
// without the other is a failure.
func inSystem(t *testing.T, a *authority) bool {
	t.Helper()
	places := slices.DeleteFunc(found(t, a), func(p string) bool { return p == "java" })
	if len(places) == 1 {
		t.Errorf("%q is only in the %s", a.name, places[0])
	}
	return len(places) == 2
}

// clean fails the test if a file of certtrust's is left where it does not
// belong, or a link leads nowhere.
func clean(t *testing.T) {
	t.Helper()
	for _, dir := range []string{certsDir, filepath.Dir(certsDir), anchorDir} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".certtrust-") || strings.HasSuffix(e.Name(), ".new") {
				t.Errorf("%s is left in %s", e.Name(), dir)
			}
			if _, err := os.Stat(filepath.Join(dir, e.Name())); err != nil {
				t.Error(err)
			}
		}
	}
}

// Killed at a random point, the native engine leaves the old bundle or the new
// one, whole, and every other root trusted; the next run puts the rest right.
func TestNativeKilled(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		roots := withoutHooks(t)
		stays, a := newAuthority(t, "Stays"), newAuthority(t, "Killed")
		expect(t, 0, certtrust("trust", "--system", "--yes", stays.file))
		begin := time.Now()
		expect(t, 0, certtrust("trust", "--system", "--yes", a.file))
		full := time.Since(begin)
		expect(t, 0, certtrust("remove", "--system", "--yes", a.fingerprint))
		seed := uint64(begin.UnixNano())
		random := rand.New(rand.NewPCG(seed, 0))
		n, hits := times(40, 200), 0
		for i := range n {
			args := []string{"trust", "--system", "--yes", "--engine", "native", a.file}
			if i%2 == 1 {
				args = []string{"remove", "--system", "--yes", "--engine", "native", a.fingerprint}
			}
			delay := time.Duration(random.Int64N(int64(full)))
			if !killAfter(t, certtrust(args...), delay, true) {
				hits++
			}
			if got := len(readBundle(t)); got != roots+1 && got != roots+2 {
				t.Fatalf("killed after %v, %s left a bundle of %d certificates: seed %d", delay, args[0], got, seed)
			}
			if !inSystem(t, stays) {
				t.Fatalf("killed after %v, %s left another CA out: seed %d", delay, args[0], seed)
			}
			if i%4 < 2 { // by itself, or after a repair
				expect(t, 0, certtrust("repair", "--system", "--yes"))
			}
			if r := output(t, certtrust(args...)); r.code != 0 && !(r.code == 3 && i%2 == 1) { // it may be gone already
				t.Fatalf("after %v: %v", delay, r)
			}
			if inSystem(t, a) != (i%2 == 0) || !inSystem(t, stays) {
				t.Fatalf("killed after %v and done again, %s has not done it: seed %d", delay, args[0], seed)
			}
		}
		expect(t, 0, certtrust("repair", "--system", "--yes"))
		clean(t)
		t.Logf("%d of %d were killed before they had ended", hits, n)
	})
}

// Writers at the same time do not lose each other's work, and whoever reads
// meanwhile finds a whole bundle, and the roots that nobody changes.
func TestNativeWriters(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		roots := withoutHooks(t)
		const writers = 4
		rounds := times(4, 20)
		var done atomic.Bool
		var reading sync.WaitGroup
		reading.Go(func() {
			for !done.Load() {
				data, err := os.ReadFile(bundle)
				begun, ended := bytes.Count(data, []byte("-----BEGIN CERTIFICATE-----\n")), bytes.Count(data, []byte("-----END CERTIFICATE-----\n"))
				if err != nil || begun < roots || ended != begun || !bytes.HasSuffix(data, []byte("-----END CERTIFICATE-----\n")) {
					t.Errorf("a reader found %d certificates of %d: %v", ended, roots, err)
					return
				}
			}
		})
		last := make([]*authority, writers)
		for round := range rounds {
			var all sync.WaitGroup
			for w := range writers {
				before, a := last[w], newAuthority(t, fmt.Sprintf("Writer %d.%d", w, round))
				last[w] = a
				all.Go(func() {
					if r := output(t, certtrust("trust", "--system", "--yes", a.file)); r.code != 0 {
						t.Error(r)
					}
					if before == nil {
						return
					}
					if r := output(t, certtrust("remove", "--system", "--yes", before.fingerprint)); r.code != 0 {
						t.Error(r)
					}
				})
			}
			all.Wait()
			for _, a := range last {
				if !inSystem(t, a) {
					t.Errorf("round %d: %q is lost", round, a.name)
				}
			}
			if got := len(readBundle(t)); got != roots+writers {
				t.Errorf("round %d: %d certificates, not %d + %d", round, got, roots, writers)
			}
		}
		done.Store(true)
		reading.Wait()
		clean(t)
	})
}

// On a disk that is full, or nearly so, a change is done as a whole or not at
// all, and it is told which.
func TestNativeFullDisk(t *testing.T) {
	for _, dir := range []string{certsDir, anchorDir} {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			Overlay(t, func(t *testing.T) {
				withoutHooks(t)
				done, failed := 0, 0
				for i, left := range []int{0, 4 << 10, 32 << 10, 200 << 10, 280 << 10, 4 << 20} {
					if err := fullDisk(t, dir, left); err != nil {
						t.Fatal(err)
					}
					var all []*authority
					args := []string{"trust", "--system", "--yes", "--engine", "native"}
					for j := range 8 {
						all = append(all, newAuthority(t, fmt.Sprintf("Full %d.%d", i, j)))
						args = append(args, all[j].file)
					}
					start := trust()
					r := output(t, certtrust(args...))
					switch r.code {
					case 0:
						done++
						for _, a := range all {
							if !inSystem(t, a) {
								t.Errorf("with %d bytes left, %q is not there, and success is claimed", left, a.name)
							}
						}
					case 1:
						failed++
						if !strings.Contains(r.stderr, "certtrust: error: ") {
							t.Errorf("with %d bytes left, it does not say what is wrong: %v", left, r)
						}
						same(t, start)
					default:
						t.Errorf("with %d bytes left: %v", left, r)
					}
					clean(t)
					must(t, command("sh", "-c", "umount "+dir+"; rm -rf /tmp/copy; update-ca-certificates --fresh"))
				}
				if done == 0 || failed == 0 {
					t.Errorf("%d changes were done, %d failed", done, failed)
				}
			})
		})
	}
}
