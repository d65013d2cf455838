package anchors

import (
	"fmt"
	"testing"

	"github.com/certtrust/certtrust/platform/anchors/anchorstest"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
	"github.com/certtrust/certtrust/store/storetest"
)

// manyVendors is as many certificates as vendors ship.
const manyVendors = 150

func benchmark(b *testing.B, read func(s *Store) error) {
	root := storetest.TempDir(b)
	files := map[string][]byte{}
	for i, c := range storetest.Many(b, manyVendors) {
		files[fmt.Sprintf("Vendor_%d", i)] = certfile.EncodePEM(c)
	}
	h, _, err := anchorstest.Debian(root, files, false)
	if err != nil {
		b.Fatal(err)
	}
	s, reasons := Detect(h)
	if s == nil {
		b.Fatal(reasons)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := read(s.(*Store)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEntries(b *testing.B) {
	benchmark(b, func(s *Store) error {
		n := 0
		for _, err := range s.Entries(b.Context()) {
			if err != nil {
				return err
			}
			n++
		}
		if n != manyVendors {
			return fmt.Errorf("%d entries", n)
		}
		return nil
	})
}

func BenchmarkProblems(b *testing.B) {
	benchmark(b, func(s *Store) error {
		for p, err := range s.Problems(b.Context()) {
			if err != nil {
				return err
			}
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
}

func BenchmarkPlan(b *testing.B) {
	c := newCA(b, "New").Cert()
	benchmark(b, func(s *Store) error {
		_, err := s.Plan(b.Context(), []store.Change{trust(c)})
		return err
	})
}
