package anchors

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

func TestConformance(t *testing.T) {
	for _, layout := range []struct {
		name string
		java bool
	}{{"debian", false}, {"debian with Java", true}} {
		t.Run(layout.name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) storetest.Fixture {
				b := newBox(t, layout.java)
				var countdown atomic.Int64
				b.host.Fault = func(op, path string) error {
					if countdown.Add(-1) == 0 {
						return errors.New("a fault was asked for")
					}
					return nil
				}
				reopen := func() store.Editor { return b.open() }
				return storetest.Fixture{
					Store: b.open(), Reopen: reopen, Parallel: reopen, Vendor: b.vendor,
					Snapshot: b.tree,
					Fault:    func(n int) { countdown.Store(int64(n)) },
				}
			})
		})
	}
}
