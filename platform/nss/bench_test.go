package nss

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// BenchmarkTrust opens a database and makes certificates trusted in it, as a
// command does.
func BenchmarkTrust(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var want []store.Change
			for _, c := range storetest.Many(b, n) {
				want = append(want, trusted(c))
			}
			x := newBox(b, layout{columns: columnsShared})
			empty := map[string][]byte{}
			for _, name := range []string{"cert9.db", "key4.db"} {
				data, err := os.ReadFile(x.file(name))
				if err != nil {
					b.Fatal(err)
				}
				empty[name] = data
			}
			for b.Loop() {
				b.StopTimer()
				for name, data := range empty {
					x.write(name, data)
				}
				b.StartTimer()
				s := x.open()
				p, err := s.Plan(b.Context(), want)
				if err == nil {
					_, err = s.Apply(b.Context(), p)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A thousand roots are put in at least forty times as fast as by a call of
// certutil for each, of which some are timed in the same run: the first ones,
// which are its fastest.
func TestThousandRoots(t *testing.T) {
	const calls, least = 40, 40
	l := libraries[0]
	certs := storetest.Many(t, 1000)
	var want []store.Change
	for _, c := range certs {
		want = append(want, trusted(c))
	}
	best := 0.0
	for range 3 {
		theirs, _, dir := l.newDatabase(t, false, "")
		file := filepath.Join(theirs.host.Root, "ca.der")
		began := time.Now()
		for i, c := range certs[:calls] {
			if err := os.WriteFile(file, c.Raw, 0o644); err != nil {
				t.Fatal(err)
			}
			l.must(t, dir, "-A", "-n", fmt.Sprint("Root ", i), "-t", "C,,", "-i", file)
		}
		one := time.Since(began) / calls
		ours, _, real := l.newDatabase(t, false, "")
		began = time.Now()
		do(t, ours.open(), want...)
		took := time.Since(began)
		if got := l.shown(t, real, "Test CA 1000 of 1000"); got != "C,," {
			t.Fatalf("certutil shows %s", got)
		}
		best = max(best, float64(one)*float64(len(certs))/float64(took))
		t.Logf("%.0f times: %s against %s for each", best, took, one)
		if best >= least {
			return
		}
	}
	t.Errorf("it is only %.0f times as fast", best)
}

// Others wait for no longer than half a second for 500 certificates: a browser
// that is started meanwhile would do without its database.
func TestNobodyWaitsLong(t *testing.T) {
	var want []store.Change
	for _, c := range storetest.Many(t, 500) {
		want = append(want, trusted(c))
	}
	best := time.Hour
	for range 3 {
		s := newBox(t, layout{columns: columnsShared}).open()
		p, err := s.Plan(t.Context(), want)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := s.Apply(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if best = min(best, time.Since(began)); best < 500*time.Millisecond {
			return
		}
	}
	t.Errorf("it took %s", best)
}
