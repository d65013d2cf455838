package storetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

var (
	_ store.Editor   = (*storetest.Memory)(nil)
	_ store.Repairer = (*storetest.Memory)(nil)
)

func wish(c *store.Cert, d store.Decision, purposes ...store.Purpose) store.Change {
	t := store.TrustFor(d, purposes...)
	return store.Change{Fingerprint: c.SHA256, DER: c.Raw, Trust: &t}
}

func mustPlan(t *testing.T, ed store.Editor, want ...store.Change) store.Plan {
	t.Helper()
	p, err := ed.Plan(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// listing returns the trust of each certificate, and the errors.
func listing(t *testing.T, s store.Store) (trust map[store.Fingerprint]string, errs []error) {
	t.Helper()
	trust = map[store.Fingerprint]string{}
	for e, err := range s.Entries(t.Context()) {
		if err != nil {
			errs = append(errs, err)
		} else if e.Cert != nil {
			trust[e.Cert.SHA256] = e.Trust.String()
		}
	}
	return trust, errs
}

func TestMemoryInfo(t *testing.T) {
	i := storetest.NewMemory(store.Info{}).Info()
	if i.ID != "memory:test" || i.Backend != "memory" || i.Scope != store.ScopeUser || i.Default || !i.Express.Labels {
		t.Errorf("by default it is %+v", i)
	}
	want := store.Info{ID: "nss:x", Backend: "b", Title: "t", Scope: store.ScopeSystem, Location: "l", Default: true, DerivedFrom: "memory:y", Express: store.Express{Purposes: anyOnly}}
	if got := storetest.NewMemory(want).Info(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("given %+v, it is %+v", want, got)
	}
}

func TestMemoryTrust(t *testing.T) {
	ca, leaf := storetest.NewCA(t), storetest.NewCA(t, storetest.NotCA())
	noPeer := []store.Decision{store.Unspecified, store.Trusted}
	for name, c := range map[string]struct {
		express store.Express
		cert    *store.Cert
		trust   store.Trust
		want    string // the trust afterwards, or "refused"
	}{
		"any in a store that tells some":   {store.Express{Purposes: someOnly, Decisions: all}, ca.Cert(), store.TrustFor(store.Trusted, "any"), "trusted: email, server-auth"},
		"any but one":                      {store.Express{Purposes: someOnly, Decisions: all}, ca.Cert(), append(store.TrustFor(store.Trusted, "any"), store.TrustFor(store.Distrusted, "email")...), "trusted: server-auth; distrusted: email"},
		"one of some":                      {store.Express{Purposes: someOnly, Decisions: all}, ca.Cert(), store.TrustFor(store.Trusted, "email"), "trusted: email"},
		"another one":                      {store.Express{Purposes: someOnly, Decisions: all}, ca.Cert(), store.TrustFor(store.Trusted, "client-auth"), "refused"},
		"another one not at all":           {store.Express{Purposes: someOnly, Decisions: all}, ca.Cert(), append(store.TrustFor(store.Trusted, "any"), store.TrustFor(store.Unspecified, "client-auth")...), "trusted: email, server-auth"},
		"any but one that cannot be told":  {store.Express{Purposes: anyOnly, Decisions: all}, ca.Cert(), append(store.TrustFor(store.Trusted, "any"), store.TrustFor(store.Unspecified, "email")...), "refused"},
		"one that cannot be told":          {store.Express{Purposes: anyOnly, Decisions: all}, ca.Cert(), store.TrustFor(store.Trusted, "email"), "refused"},
		"distrust of what cannot be told":  {store.Express{Purposes: anyOnly, Decisions: all}, ca.Cert(), store.TrustFor(store.Distrusted, "email"), "refused"},
		"peer of a CA without peer":        {store.Express{Purposes: anyOnly, Decisions: noPeer}, ca.Cert(), store.TrustFor(store.Peer, "any"), "refused"},
		"peer of a leaf without peer":      {store.Express{Purposes: anyOnly, Decisions: noPeer}, leaf.Cert(), store.TrustFor(store.Peer, "any"), "trusted: any"},
		"distrust without distrust":        {store.Express{Purposes: anyOnly, Decisions: noPeer}, ca.Cert(), store.TrustFor(store.Distrusted, "any"), "refused"},
		"nothing":                          {store.Express{Purposes: anyOnly, Decisions: noPeer}, ca.Cert(), nil, ""},
		"nothing where all that is is so":  {store.Express{Purposes: anyOnly, Decisions: noPeer[1:]}, ca.Cert(), nil, "refused"},
		"nothing by name where all are so": {store.Express{Purposes: anyOnly, Decisions: noPeer[1:]}, ca.Cert(), store.TrustFor(store.Unspecified, "any"), "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			m := storetest.NewMemory(store.Info{Express: c.express})
			p := mustPlan(t, m, store.Change{Fingerprint: c.cert.SHA256, DER: c.cert.Raw, Trust: &c.trust})
			if _, err := m.Apply(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			got, _ := listing(t, m)
			trust, there := got[c.cert.SHA256]
			if c.want == "refused" {
				if there || len(p.Refused) != 1 || p.Refused[0].Code != "unsupported" {
					t.Errorf("there: %t, refused: %+v", there, p.Refused)
				}
			} else if !there || trust != c.want {
				t.Errorf("there: %t, trust %q, not %q; refused: %+v", there, trust, c.want, p.Refused)
			}
		})
	}
}

// Without Exact the purposes that are not named stay.
func TestMemoryExact(t *testing.T) {
	c := storetest.NewCA(t).Cert()
	for exact, want := range map[bool]string{true: "trusted: email", false: "trusted: email, server-auth"} {
		m := storetest.NewMemory(store.Info{})
		for _, p := range []store.Purpose{store.PurposeServerAuth, store.PurposeEmail} {
			w := wish(c, store.Trusted, p)
			w.Exact = exact
			if _, err := m.Apply(t.Context(), mustPlan(t, m, w)); err != nil {
				t.Fatal(err)
			}
		}
		if got, _ := listing(t, m); got[c.SHA256] != want {
			t.Errorf("exact %t: %q, not %q", exact, got[c.SHA256], want)
		}
	}
}

func TestMemoryUnreadableItem(t *testing.T) {
	m := storetest.NewMemory(store.Info{})
	c := storetest.NewCA(t).Cert()
	if err := m.Put(store.Entry{Source: store.Source{Kind: "stray", Item: "7"}}, store.Entry{Cert: c}); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for e, err := range m.Entries(t.Context()) {
		seen++
		if (e.Cert == nil) != (err != nil) || err != nil && (e.Source.Item != "7" || !errors.Is(err, store.ErrCorrupt)) {
			t.Errorf("%+v, %v", e, err)
		}
	}
	if seen != 2 {
		t.Errorf("there are %d items", seen)
	}
}

func TestMemoryItem(t *testing.T) {
	m := storetest.NewMemory(store.Info{})
	c := storetest.NewCA(t).Cert()
	if err := m.Put(store.Entry{Cert: c, Source: store.Source{Path: "/a", Item: "1"}}); err != nil {
		t.Fatal(err)
	}
	for _, k := range []struct {
		item    string
		absent  bool
		steps   int
		refused int
	}{{"1", true, 1, 0}, {"/a", true, 1, 0}, {"2", true, 0, 0}, {"2", false, 0, 1}, {"1", false, 1, 0}} {
		w := wish(c, store.Trusted, store.PurposeAny)
		w.Item, w.Absent = k.item, k.absent
		if p := mustPlan(t, m, w); len(p.Steps) != k.steps || len(p.Refused) != k.refused {
			t.Errorf("item %q, absent %t: %+v", k.item, k.absent, p)
		}
	}
}

func TestMemoryRepair(t *testing.T) {
	m := storetest.NewMemory(store.Info{})
	c := storetest.NewCA(t).Cert()
	mendable := store.Problem{Code: "ghost", Text: "left behind", Fingerprint: &c.SHA256, Mendable: true}
	hopeless := store.Problem{Code: "broken", Path: "/x", Text: "broken"}
	if err := errors.Join(m.Put(store.Entry{Cert: c}), m.Plant(mendable, hopeless)); err != nil {
		t.Fatal(err)
	}
	problems := func() (out []store.Problem) {
		for p, err := range m.Problems(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, p)
		}
		return out
	}
	for e := range m.Entries(t.Context()) {
		if len(e.Problems) != 1 || e.Problems[0].Code != "ghost" {
			t.Errorf("the entry has %+v", e.Problems)
		}
	}
	p, err := m.PlanRepair(t.Context(), problems())
	if err != nil || len(p.Steps) != 1 || len(p.Refused) != 1 || p.Refused[0].Problem != "broken" || len(problems()) != 2 {
		t.Fatalf("%+v, %v, with %d problems left", p, err, len(problems()))
	}
	if _, err := m.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if left := problems(); len(left) != 1 || left[0].Code != "broken" {
		t.Errorf("what is left is %+v", left)
	}
	if _, err := m.Apply(t.Context(), p); !errors.Is(err, store.ErrStale) {
		t.Errorf("mended twice: %v", err)
	}
}

func TestMemoryObstacles(t *testing.T) {
	c := storetest.NewCA(t).Cert()
	file := filepath.Join(storetest.TempDir(t), "store.json")
	unprivileged := storetest.NewMemory(store.Info{Access: store.Access{Write: &store.Obstacle{Kind: store.NeedsElevation, Text: "it is root's", Hint: "use sudo"}}})
	privileged := storetest.NewMemory(store.Info{})
	unreadable := storetest.NewMemory(store.Info{Access: store.Access{Read: &store.Obstacle{Kind: store.NeedsSecret, Text: "it has a password"}}})
	unprivileged.File, privileged.File = file, file

	p := mustPlan(t, unprivileged, wish(c, store.Trusted, store.PurposeAny))
	if len(p.Steps) != 1 || !p.Steps[0].Elevated || !slices.Equal(p.Steps[0].Files, []string{file}) {
		t.Errorf("the steps are %+v", p.Steps)
	}
	if _, err := unprivileged.Apply(t.Context(), p); !errors.Is(err, store.ErrPermission) || store.Hint(err) != "use sudo" {
		t.Errorf("without rights: %v", err)
	}
	if _, err := unprivileged.Apply(t.Context(), mustPlan(t, unprivileged)); err != nil {
		t.Errorf("nothing needs no rights: %v", err)
	}
	if _, err := privileged.Apply(t.Context(), p); err != nil {
		t.Errorf("with rights: %v", err)
	}
	if _, errs := listing(t, unreadable); len(errs) != 1 || !errors.Is(errs[0], store.ErrSecret) {
		t.Errorf("reading gave %v", errs)
	}
	if _, err := unreadable.Plan(t.Context(), nil); !errors.Is(err, store.ErrSecret) {
		t.Errorf("planning gave %v", err)
	}
	p.Store = "memory:other"
	if _, err := privileged.Apply(t.Context(), p); !errors.Is(err, store.ErrInput) {
		t.Errorf("another store's plan gave %v", err)
	}
}

// If what was written cannot be read back it is taken back, and if that fails
// too, the error says so.
func TestMemoryPartial(t *testing.T) {
	c := storetest.NewCA(t).Cert()
	for restore, want := range map[bool]error{true: store.ErrFailed, false: store.ErrPartial} {
		m := storetest.NewMemory(store.Info{})
		p := mustPlan(t, m, wish(c, store.Trusted, store.PurposeAny))
		writes := 0
		m.Fault = func(op string) error {
			if op == "write" {
				writes++
			}
			if op == "read back" || op == "write" && writes > 1 && !restore {
				return store.ErrFailed
			}
			return nil
		}
		_, err := m.Apply(t.Context(), p)
		if !errors.Is(err, want) || errors.Is(err, store.ErrPartial) == restore {
			t.Errorf("taken back %t: %v", restore, err)
		}
		if got, _ := listing(t, m); (len(got) == 0) != restore {
			t.Errorf("taken back %t: it holds %v", restore, got)
		}
	}
}

func TestMemoryFile(t *testing.T) {
	dir := storetest.TempDir(t)
	m := storetest.NewMemory(store.Info{})
	m.File = filepath.Join(dir, "store.json")
	p := mustPlan(t, m, wish(storetest.NewCA(t).Cert(), store.Trusted, store.PurposeAny))

	// Another program's lock is waited for until the caller has had enough.
	if err := os.WriteFile(m.File+".lock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	m.Fault = func(op string) error {
		if op == "lock" {
			cancel()
			m.Fault = nil
		}
		return nil
	}
	if _, err := m.Apply(ctx, p); !errors.Is(err, context.Canceled) {
		// The first look at the context comes before the lock, the second after.
		t.Errorf("waiting for the lock ended with %v", err)
	}
	if err := os.Remove(m.File + ".lock"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("there are %v (%v)", files, err)
	}

	if err := os.WriteFile(m.File, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs := listing(t, m); len(errs) != 1 || !errors.Is(errs[0], store.ErrCorrupt) || !strings.Contains(errs[0].Error(), "store.json") {
		t.Errorf("a damaged file gave %v", errs)
	}
	if _, err := m.Apply(t.Context(), p); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("applied to a damaged file: %v", err)
	}
}

const processEnv = "STORETEST_FILE"

// TestProcessChild adds certificates to a file, run by TestProcesses.
func TestProcessChild(t *testing.T) {
	file := os.Getenv(processEnv)
	if file == "" {
		t.Skip("only run by TestProcesses")
	}
	m := storetest.NewMemory(store.Info{})
	m.File = file
	for _, c := range storetest.Many(t, 20) {
		if _, err := m.Apply(t.Context(), mustPlan(t, m, wish(c, store.Trusted, store.PurposeAny))); err != nil {
			t.Fatal(err)
		}
	}
}

// Several processes share one file and lose nothing.
func TestProcesses(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Skip(err)
	}
	file := filepath.Join(storetest.TempDir(t), "store.json")
	var wait sync.WaitGroup
	for range 3 {
		wait.Go(func() {
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestProcessChild$")
			cmd.Env = append(os.Environ(), processEnv+"="+file)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
	wait.Wait()
	m := storetest.NewMemory(store.Info{})
	m.File = file
	if got, errs := listing(t, m); len(got) != 60 || errs != nil {
		t.Errorf("there are %d, and the errors %v", len(got), errs)
	}
}

// What is kept as JSON is plain enough to come back as it was.
func TestMemoryReceiptIsData(t *testing.T) {
	m := storetest.NewMemory(store.Info{})
	c := storetest.NewCA(t).Cert()
	if err := m.Put(store.Entry{Cert: c}); err != nil {
		t.Fatal(err)
	}
	r, err := m.Apply(t.Context(), mustPlan(t, m, wish(c, store.Trusted, store.PurposeAny)))
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back store.Receipt
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if len(back.Undo) != 1 || back.Undo[0].Trust == nil {
		t.Errorf("the way back to no trust is lost: %s", data)
	}
}
