package anchors

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

var numberedLink = regexp.MustCompile(`(?m)^(.*/[0-9a-f]{8}\.)[0-9]+ `)

// unnumbered is a tree in which those links of one hash are the same that lead
// to the same: which has which number means nothing to anybody.
func unnumbered(tree string) string {
	lines := strings.Split(numberedLink.ReplaceAllString(tree, "${1}N "), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestConformance(t *testing.T) {
	for _, layout := range []struct {
		name, engine  string
		java, offline bool
	}{
		{"debian", host.EngineDistro, false, false}, {"debian with Java", host.EngineDistro, true, false},
		{"native", host.EngineNative, false, false}, {"native with Java", host.EngineNative, true, false},
		{"offline with Java", "", true, true},
	} {
		t.Run(layout.name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) storetest.Fixture {
				b := newBox(t, layout.java)
				b.host.Live = !layout.offline
				b.host.Engine = layout.engine
				var faults storetest.Faults
				b.host.Fault = faults.Fail
				reopen := func() store.Editor { return b.open() }
				return storetest.Fixture{
					Store: b.open(), Reopen: reopen, Parallel: reopen, Vendor: b.vendor,
					Snapshot: func() string { return unnumbered(b.tree()) },
					Fault:    faults.Set,
				}
			})
		})
	}
}
