package platform

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/journal"
	"github.com/certtrust/certtrust/platform/nss"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// killedVar tells a process of this test what it is started for: the root of a
// machine, and at which write to the database it is to stop.
const killedVar = "CERTTRUST_KILLED"

const (
	killedDir = "/home/user/db"
	killedSet = "20261129T120000Z-abcdef"
	// A transaction has this many certificates, and for each three writes; one
	// begins it, and one ends it.
	perTransaction = 1000
	writes         = 3*perTransaction + 2
	wanted         = perTransaction + 100
)

func openKilled(h *host.Host) *nss.Store {
	return nss.Open(h, killedDir, nss.Options{ID: "nss:test", Title: "Test database", Scope: store.ScopeUser})
}

func trusting(certs ...*store.Cert) (want []store.Change) {
	for _, c := range certs {
		trust := store.TrustFor(store.Trusted, store.PurposeServerAuth)
		want = append(want, store.Change{Fingerprint: c.SHA256, DER: c.Raw, Trust: &trust})
	}
	return want
}

// TestKilledHelper is not a test: it is the process that is killed.
func TestKilledHelper(t *testing.T) {
	text := os.Getenv(killedVar)
	if text == "" {
		t.Skip("it is for another test")
	}
	number, root, _ := strings.Cut(text, " ")
	stop, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	h := host.Fake(root)
	n := 0
	part := &Part{Store: openKilled(h), Named: true, Want: trusting(storetest.Many(t, wanted)...)}
	PlanAll(t.Context(), []*Part{part})
	h.Fault = func(op, path string) error {
		if !strings.HasSuffix(path, "cert9.db") {
			return nil
		}
		if n++; n == stop {
			fmt.Println("at", n)
			io.Copy(io.Discard, os.Stdin) // which does not end before this process
		}
		return nil
	}
	if err := ApplyAll(t.Context(), []*Part{part}, Options{Journal: journal.New(h), Set: killedSet}); err != nil {
		t.Fatal(err)
	}
	t.Errorf("it is done after %d writes", n)
}

// A change of more certificates than one transaction holds, of which the process
// is killed, is known from its record: it can be taken back as far as it came,
// or made whole by the same change once more, and what others have written since
// then stays.
func TestKilledBetweenTransactions(t *testing.T) {
	for name, row := range map[string]struct {
		stop int
		left int
	}{
		"before the first is ended": {writes, 0},
		"between two":               {writes + 1, perTransaction},
		"within the second":         {writes + 200, perTransaction},
	} {
		t.Run(name, func(t *testing.T) {
			root := storetest.TempDir(t)
			h := host.Fake(root)
			if err := os.MkdirAll(filepath.Join(root, killedDir), 0o755); err != nil {
				t.Fatal(err)
			}
			apply := func(set, undoOf string, want []store.Change) {
				t.Helper()
				part := &Part{Store: openKilled(h), Named: true, Want: want}
				PlanAll(t.Context(), []*Part{part})
				for _, r := range part.Plan.Refused {
					t.Fatalf("it is refused: %s", r.Reason)
				}
				o := Options{Journal: journal.New(h), Set: set, Record: journal.Record{UndoOf: undoOf}}
				if err := errors.Join(part.Err, ApplyAll(t.Context(), []*Part{part}, o)); err != nil {
					t.Fatal(err)
				}
				if part.Result == Unchanged && undoOf != "" {
					r, err := journal.New(h).Find(t.Context(), undoOf)
					if err == nil {
						err = journal.New(h).MarkUndone(t.Context(), r.Records[0], set)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			count := func() (n int) {
				t.Helper()
				for e, err := range openKilled(h).Entries(t.Context()) {
					if err != nil {
						t.Fatal(err)
					}
					if len(e.Problems) > 0 || e.Trust.For(store.PurposeServerAuth) != store.Trusted {
						t.Fatalf("%s is listed as %s, with %+v", e.Label, e.Trust, e.Problems)
					}
					n++
				}
				return n
			}
			before := storetest.NewCA(t, storetest.CN("There before")).Cert()
			apply("20261129T110000Z-aaaaaa", "", trusting(before))

			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledHelper$", "-test.v")
			cmd.Env = append(os.Environ(), killedVar+"="+strconv.Itoa(row.stop)+" "+root)
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			var said []string
			lines := bufio.NewScanner(out)
			for lines.Scan() && !strings.HasPrefix(lines.Text(), "at ") {
				said = append(said, lines.Text())
			}
			err = cmd.Process.Kill()
			cmd.Wait()
			if !strings.HasPrefix(lines.Text(), "at ") || err != nil {
				t.Fatalf("it was not killed (%v), and said %q", err, said)
			}
			if n := count(); n != row.left+1 {
				t.Errorf("%d certificates are there", n)
			}

			own := storetest.NewCA(t, storetest.CN("The browser's own")).Cert()
			apply("20261129T130000Z-bbbbbb", "", trusting(own))
			records, err := journal.New(h).Interrupted(t.Context())
			if err != nil || len(records) != 1 || records[0].Set != killedSet {
				t.Fatalf("%d changes were interrupted (%v)", len(records), err)
			}
			want := records[0].Plan.Want
			apply("20261129T140000Z-cccccc", killedSet, records[0].Undo())
			if n := count(); n != 2 {
				t.Errorf("after it was taken back %d certificates are there", n)
			}
			if records, err := journal.New(h).Interrupted(t.Context()); err != nil || len(records) != 0 {
				t.Errorf("after that %d changes were interrupted (%v)", len(records), err)
			}
			apply("20261129T150000Z-dddddd", "", want)
			if n := count(); n != wanted+2 {
				t.Errorf("done once more, %d certificates are there", n)
			}
		})
	}
}
