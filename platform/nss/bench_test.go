package nss

import (
	"fmt"
	"os"
	"strings"
	"testing"

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

// A thousand roots that are put in at once are all there for NSS, of each version.
func TestThousandRoots(t *testing.T) {
	var want []store.Change
	for _, c := range storetest.Many(t, 1000) {
		want = append(want, trusted(c))
	}
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			x, _, dir := l.newDatabase(t, false, "")
			do(t, x.open(), want...)
			if got := strings.Count(l.must(t, dir, "-L"), " C,, "); got != len(want) {
				t.Errorf("certutil shows %d", got)
			}
		})
	}
}
