package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// helpers are what the test binary does in a process of its own, called with
// the helper's name, the root directory and its arguments.
var helpers = map[string]func(root string, args []string) error{
	// begin begins a change and waits to be killed.
	"begin": func(root string, args []string) error {
		if _, err := New(host.Fake(root)).Begin(record(args[0], "test:store", store.ScopeSystem)); err != nil {
			return err
		}
		fmt.Println("begun")
		io.Copy(io.Discard, os.Stdin)
		return nil
	},
	// many makes so many changes.
	"many": func(root string, args []string) error {
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		j := New(host.Fake(root))
		for i := range n {
			if err := change(j, record(fmt.Sprintf("%s-%03d", args[0], i), "test:store", store.ScopeSystem)); err != nil {
				return err
			}
		}
		return nil
	},
	// serve is the child of a Journal with AsUser.
	"serve": func(root string, args []string) error {
		payload, err := io.ReadAll(os.Stdin)
		if err != nil {
			return err
		}
		h := host.Fake(root)
		h.EUID = os.Geteuid()
		reply, err := Serve(h, args[0], payload)
		if err == nil {
			_, err = os.Stdout.Write(reply)
		}
		return err
	},
}

func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		if help, ok := helpers[os.Args[1]]; ok {
			if err := help(os.Args[2], os.Args[3:]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			return
		}
	}
	os.Exit(m.Run())
}

func record(set string, id store.ID, scope store.Scope) Record {
	plan := store.Plan{
		Store: id, Basis: "sha256:00",
		Want:  []store.Change{{Fingerprint: store.FingerprintOf([]byte("x")), DER: []byte("x")}},
		Steps: []store.Step{{Action: store.ActionAdd, Label: "a \x1b label"}},
		Undo:  []store.Change{{Fingerprint: store.FingerprintOf([]byte("x")), Absent: true}},
	}
	return Record{Set: set, Store: id, Scope: scope, Command: []string{"certtrust", "trust", "ca.pem"}, Plan: plan}
}

func receipt(r Record) store.Receipt {
	return store.Receipt{Store: r.Store, Done: r.Plan.Steps, Undo: r.Plan.Undo}
}

func change(j *Journal, r Record) error {
	p, err := j.Begin(r)
	if err != nil {
		return err
	}
	return p.Done(receipt(r))
}

// done makes a change that the test needs.
func done(t *testing.T, j *Journal, r Record) {
	t.Helper()
	if err := change(j, r); err != nil {
		t.Fatal(err)
	}
}

func failed(t *testing.T, j *Journal, r Record, why error) {
	t.Helper()
	p, err := j.Begin(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Failed(why); err != nil {
		t.Fatal(err)
	}
}

func find(t *testing.T, j *Journal, id string) Set {
	t.Helper()
	s, err := j.Find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// all returns the IDs and states of all sets.
func all(t *testing.T, j *Journal) []string {
	t.Helper()
	sets, errs := j.Sets(t.Context())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var list []string
	for _, s := range sets {
		list = append(list, s.ID+" "+string(s.State()))
	}
	return list
}

func dirOf(h *host.Host, scope store.Scope) string {
	return filepath.Join(h.Root, filepath.FromSlash(h.StateDir(scope)), "journal")
}

func TestNewID(t *testing.T) {
	at := time.Date(2026, 11, 22, 22, 56, 12, 0, time.FixedZone("", 3600))
	a, b := NewID(at), NewID(at)
	if !regexp.MustCompile(`^20261122T215612Z-[0-9a-f]{6}$`).MatchString(a) || !isSetID(a) {
		t.Errorf("got %s", a)
	}
	if a == b {
		t.Errorf("twice %s", a)
	}
	if later := NewID(at.Add(time.Second)); later <= a {
		t.Errorf("%s sorts before %s", later, a)
	}
}

func TestRecordIsKept(t *testing.T) {
	for _, scope := range scopes {
		h := host.Fake(t.TempDir())
		now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", -3600))
		h.Now = func() time.Time { return now }
		h.User.Via = "doas"
		j := New(h)
		r := record("S1", "test:store", scope)
		p, err := j.Begin(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := all(t, j); !slices.Equal(got, []string{"S1 begun"}) {
			t.Errorf("while it is done: %v", got)
		}
		now = now.Add(time.Minute)
		if err := p.Done(receipt(r)); err != nil {
			t.Fatal(err)
		}
		if err := p.Failed(errors.New("too late")); err != nil {
			t.Fatal(err)
		}
		rc := receipt(r)
		want := r
		want.Schema, want.State, want.Receipt, want.Writer = Schema, Done, &rc, host.ThisProcess()
		want.By = By{User: "user", UID: 1000, Via: "doas"}
		want.Begun, want.Ended = now.Add(-time.Minute).UTC(), now.UTC()
		got := find(t, j, "S1")
		if diff := cmp.Diff(Set{"S1", []Record{want}}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", scope, diff)
		}
		if got.Records[0].By.String() != "user via doas" {
			t.Errorf("by %s", got.Records[0].By)
		}
		if runtime.GOOS == "windows" {
			continue
		}
		m := modes[scope]
		for path, mode := range map[string]fs.FileMode{"": fs.ModeDir | m.dir, stem("S1", "test:store") + ".json": m.file} {
			if info, err := os.Stat(filepath.Join(dirOf(h, scope), path)); err != nil || info.Mode() != mode {
				t.Errorf("%s %s: %v, %v; want %v", scope, path, info, err, mode)
			}
		}
	}
}

func TestReadingWritesNothing(t *testing.T) {
	h := host.Fake(t.TempDir())
	h.Fault = func(op, path string) error { t.Errorf("%s %s", op, path); return nil }
	j := New(h)
	if got := all(t, j); got != nil {
		t.Errorf("an empty journal holds %v", got)
	}
	if _, err := j.Find(t.Context(), ""); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if err := j.MarkUndone(t.Context(), record("S1", "test:store", store.ScopeSystem), "S2"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if records, err := j.Interrupted(t.Context()); records != nil || err != nil {
		t.Errorf("got %v, %v", records, err)
	}
}

// What cannot be recorded is not begun, and says why.
func TestBeginFails(t *testing.T) {
	fault := errors.New("injected")
	for _, op := range []string{"mkdir", "create", "write", "sync", "link"} {
		h := host.Fake(t.TempDir())
		h.Fault = func(o, path string) error {
			if o == op {
				return fault
			}
			return nil
		}
		if _, err := New(h).Begin(record("S1", "test:store", store.ScopeSystem)); !errors.Is(err, fault) {
			t.Errorf("%s: %v", op, err)
		}
		if got := all(t, New(h)); got != nil {
			t.Errorf("%s: recorded %v", op, got)
		}
	}
	j := New(host.Fake(t.TempDir()))
	for name, r := range map[string]Record{
		"no set":   record("", "test:store", store.ScopeSystem),
		"a path":   record("../x", "test:store", store.ScopeSystem),
		"no store": record("S1", "", store.ScopeSystem),
		"no scope": record("S1", "test:store", ""),
	} {
		if _, err := j.Begin(r); err == nil {
			t.Errorf("%s: recorded", name)
		}
	}
}

// If the end cannot be recorded, that is told and can be tried again.
func TestEndFails(t *testing.T) {
	h := host.Fake(t.TempDir())
	j := New(h)
	r := record("S1", "test:store", store.ScopeSystem)
	p, err := j.Begin(r)
	if err != nil {
		t.Fatal(err)
	}
	fault := errors.New("injected")
	h.Fault = func(op, path string) error { return fault }
	if err := p.Done(receipt(r)); !errors.Is(err, fault) {
		t.Errorf("got %v", err)
	}
	h.Fault = nil
	if got := all(t, j); !slices.Equal(got, []string{"S1 begun"}) {
		t.Errorf("got %v", got)
	}
	if err := p.Done(receipt(r)); err != nil {
		t.Error(err)
	}
	if got := all(t, j); !slices.Equal(got, []string{"S1 done"}) {
		t.Errorf("got %v", got)
	}
}

// A process that dies between Begin and Done is found out.
func TestInterrupted(t *testing.T) {
	root := t.TempDir()
	j := New(host.Fake(root))
	done(t, j, record("S0", "test:store", store.ScopeSystem))
	cmd := exec.Command(os.Args[0], "begin", root, "S1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(stdout, make([]byte, 5)); err != nil {
		t.Fatal("the helper began nothing:", err)
	}
	if got := all(t, j); !slices.Equal(got, []string{"S1 begun", "S0 done"}) {
		t.Errorf("while it runs: %v", got)
	}
	if records, err := j.Interrupted(t.Context()); len(records) != 0 || err != nil {
		t.Errorf("while it runs: %v, %v", records, err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	if got := all(t, j); !slices.Equal(got, []string{"S1 interrupted", "S0 done"}) {
		t.Errorf("after it was killed: %v", got)
	}
	records, err := j.Interrupted(t.Context())
	if err != nil || len(records) != 1 || records[0].Set != "S1" || len(records[0].Undo()) != 1 {
		t.Fatalf("after it was killed: %v, %v", records, err)
	}
	// The one that mends it closes the record.
	if err := j.MarkUndone(t.Context(), records[0], "S2"); err != nil {
		t.Fatal(err)
	}
	if s := find(t, j, "S1"); s.State() != Undone || s.Records[0].UndoneBy != "S2" || s.Records[0].Undo() != nil {
		t.Errorf("after mending: %v", s)
	}
}

func TestTwoWriters(t *testing.T) {
	root := t.TempDir()
	const n = 20
	var wait sync.WaitGroup
	for _, name := range []string{"A", "B"} {
		wait.Go(func() {
			cmd := exec.Command(os.Args[0], "many", root, name, strconv.Itoa(n))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	wait.Wait()
	if got := all(t, New(host.Fake(root))); len(got) != 2*n {
		t.Errorf("%d sets, want %d: %v", len(got), 2*n, got)
	}
	// Two that mark the same set: the first has done it.
	j := New(host.Fake(root))
	errs := make([]error, 8)
	r := find(t, j, "A-000").Records[0]
	for i := range errs {
		wait.Go(func() { errs[i] = j.MarkUndone(t.Context(), r, fmt.Sprint("M", i)) })
	}
	wait.Wait()
	marked := 0
	for _, err := range errs {
		switch {
		case err == nil:
			marked++
		case !errors.Is(err, store.ErrStale):
			t.Error(err)
		}
	}
	if marked != 1 {
		t.Errorf("marked %d times", marked)
	}
}

// What was taken back is so only as long as what has taken it back is not taken
// back itself; otherwise everything could be undone and the certificate there.
func TestUndoneNoMore(t *testing.T) {
	undo := func(j *Journal, set, of string) {
		t.Helper()
		r := record(set, "test:store", store.ScopeSystem)
		r.UndoOf = of
		done(t, j, r)
	}
	states := func(j *Journal, want ...string) {
		t.Helper()
		if got := all(t, j); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	j := New(host.Fake(t.TempDir()))
	done(t, j, record("S1", "test:store", store.ScopeSystem))
	undo(j, "S2", "S1")
	states(j, "S2 done", "S1 undone")
	undo(j, "S3", "S2")
	states(j, "S3 done", "S2 undone", "S1 done")
	if last := find(t, j, ""); last.ID != "S1" || len(last.Records[0].Undo()) == 0 {
		t.Errorf("the last one is %+v", last)
	}
	undo(j, "S4", "S1")
	states(j, "S4 done", "S3 done", "S2 undone", "S1 undone")
	undo(j, "S5", "S3")
	states(j, "S5 done", "S4 done", "S3 undone", "S2 done", "S1 undone")

	// One that fails in another store takes its own part back: nothing of the
	// first is undone then, and it can be taken back once more.
	j = New(host.Fake(t.TempDir()))
	done(t, j, record("S1", "test:store", store.ScopeSystem))
	undo(j, "S2", "S1")
	undo(j, "S2", "S2")
	states(j, "S2 failed", "S1 done")
	undo(j, "S3", "S1")
	states(j, "S3 done", "S2 failed", "S1 undone")

	// Out of order: what a later change has taken back comes back with it.
	j = New(host.Fake(t.TempDir()))
	done(t, j, record("S1", "test:store", store.ScopeSystem))
	done(t, j, record("S2", "test:store", store.ScopeSystem))
	done(t, j, record("S3", "test:store", store.ScopeSystem))
	if err := j.MarkUndone(t.Context(), find(t, j, "S1").Records[0], "S4"); err != nil {
		t.Fatal(err)
	}
	if by := find(t, j, "S1").Records[0].UndoneBy; by != "S2" {
		t.Errorf("taken back by %s", by)
	}
	undo(j, "S5", "S2")
	states(j, "S5 done", "S3 done", "S2 undone", "S1 done")
	// And can be taken back once more, though it says on the disk that it is.
	if err := j.MarkUndone(t.Context(), find(t, j, "S1").Records[0], "S6"); err != nil {
		t.Fatal(err)
	}
	if by := find(t, j, "S1").Records[0].UndoneBy; by != "S3" {
		t.Errorf("taken back by %s", by)
	}
}

func TestBothJournals(t *testing.T) {
	j := New(host.Fake(t.TempDir()))
	done(t, j, record("S1", "test:system", store.ScopeSystem))
	done(t, j, record("S1", "test:user", store.ScopeUser))
	done(t, j, record("S2", "test:user", store.ScopeUser))
	if got := all(t, j); !slices.Equal(got, []string{"S2 done", "S1 done"}) {
		t.Fatalf("got %v", got)
	}
	s := find(t, j, "S1")
	if len(s.Records) != 2 || s.Records[0].Store != "test:system" || s.Records[1].Store != "test:user" {
		t.Errorf("got %v", s)
	}
	if err := j.MarkUndone(t.Context(), s.Records[1], "S3"); err != nil {
		t.Fatal(err)
	}
	if s := find(t, j, "S1"); s.State() != Partial || s.Records[0].State != Done || s.Records[1].State != Undone {
		t.Errorf("half undone: %v %v", s.State(), s)
	}
	if err := j.MarkUndone(t.Context(), s.Records[0], "S3"); err != nil {
		t.Fatal(err)
	}
	if s := find(t, j, "S1"); s.State() != Undone {
		t.Errorf("undone: %v", s)
	}
}

func TestFind(t *testing.T) {
	j := New(host.Fake(t.TempDir()))
	done(t, j, record("20260101T000000Z-aaaaaa", "test:store", store.ScopeSystem))
	done(t, j, record("20260101T000000Z-ab0000", "test:store", store.ScopeUser))
	done(t, j, record("20260202T000000Z-cccccc", "test:store", store.ScopeSystem))
	failed(t, j, record("20260303T000000Z-dddddd", "test:store", store.ScopeSystem), store.ErrReadOnly)
	for id, want := range map[string]string{
		"":                        "20260202T000000Z-cccccc",
		"last":                    "20260202T000000Z-cccccc",
		"20260202":                "20260202T000000Z-cccccc",
		"20260303":                "20260303T000000Z-dddddd",
		"20260101T000000Z-aa":     "20260101T000000Z-aaaaaa",
		"20260101T000000Z-ab0000": "20260101T000000Z-ab0000",
	} {
		if s := find(t, j, id); s.ID != want {
			t.Errorf("%q is %s, want %s", id, s.ID, want)
		}
	}
	_, err := j.Find(t.Context(), "20260101")
	if !errors.Is(err, store.ErrInput) || !strings.Contains(err.Error(), "20260101T000000Z-ab0000, 20260101T000000Z-aaaaaa") {
		t.Errorf("ambiguous: %v", err)
	}
	if _, err := j.Find(t.Context(), "2025\x1b"); !errors.Is(err, store.ErrNotFound) || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("unknown: %v", err)
	}

	// What was undone is not the last any more, and undoing is not either.
	undo := record("20260404T000000Z-eeeeee", "test:store", store.ScopeSystem)
	undo.UndoOf = "20260202T000000Z-cccccc"
	done(t, j, undo)
	if s := find(t, j, "20260202"); s.State() != Undone || s.Records[0].UndoneBy != undo.Set {
		t.Errorf("undone: %v", s)
	}
	if s := find(t, j, "last"); s.ID != "20260101T000000Z-ab0000" {
		t.Errorf("the last is %s", s.ID)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := j.Find(ctx, "last"); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: %v", err)
	}
}

// A set of which one store failed, and the others were taken back.
func TestTakenBack(t *testing.T) {
	j := New(host.Fake(t.TempDir()))
	done(t, j, record("S1", "test:a", store.ScopeSystem))
	failed(t, j, record("S1", "test:b", store.ScopeSystem), store.ErrReadOnly)
	if s := find(t, j, "S1"); s.State() != Partial {
		t.Errorf("before: %v", s.State())
	}
	back := record("S1", "test:a", store.ScopeSystem)
	back.UndoOf = "S1"
	failed(t, j, back, store.ErrLocked)
	if s := find(t, j, "last"); s.ID != "S1" || s.State() != Partial || len(s.Records[0].Undo()) == 0 {
		t.Errorf("not taken back: %v %v", s.State(), s)
	}
	done(t, j, back)
	s := find(t, j, "S1")
	if s.State() != Failed || len(s.Records) != 3 {
		t.Errorf("taken back: %v %v", s.State(), s)
	}
	if got := []State{s.Records[0].State, s.Records[1].State, s.Records[2].State}; !slices.Equal(got, []State{Undone, Failed, Done}) {
		t.Errorf("the records are %v", got)
	}
	for _, r := range s.Records {
		if r.Undo() != nil {
			t.Errorf("there is something left to take back: %v", r)
		}
	}
	if _, err := j.Find(t.Context(), "last"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("it can still be taken back: %v", err)
	}
}

// Trying again replaces the failure; what was done is never replaced.
func TestTriedAgain(t *testing.T) {
	j := New(host.Fake(t.TempDir()))
	r := record("S1", "test:a", store.ScopeSystem)
	failed(t, j, r, store.ErrStale)
	failed(t, j, r, store.ErrStale)
	done(t, j, r)
	if s := find(t, j, "S1"); s.State() != Done || len(s.Records) != 1 || s.Records[0].Error != "" {
		t.Errorf("got %v %v", s.State(), s)
	}
	done(t, j, r)
	if s := find(t, j, "S1"); len(s.Records) != 2 {
		t.Errorf("got %v", s)
	}
	partial := record("S2", "test:a", store.ScopeSystem)
	failed(t, j, partial, store.ErrPartial)
	failed(t, j, partial, store.ErrStale)
	if s := find(t, j, "S2"); s.State() != Failed || len(s.Records) != 2 {
		t.Errorf("got %v %v", s.State(), s)
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"20261122T215612Z-4f3a9c-ffc07576.json":    "20261122T215612Z-4f3a9c",
		"20261122T215612Z-4f3a9c-ffc07576-2.json":  "20261122T215612Z-4f3a9c",
		"20261122T215612Z-4f3a9c-00007576-12.json": "20261122T215612Z-4f3a9c",
		"S5-ffc07576.json":                         "S5",
		"S5-ffc0757.json":                          "",
		"S5-ffc07576":                              "",
		"ffc07576.json":                            "",
		"-ffc07576.json":                           "",
		"../x-ffc07576.json":                       "",
		".json":                                    "",
		"":                                         "",
	} {
		if got := setOf(name); got != want {
			t.Errorf("%q is of %q, not %q", name, got, want)
		}
	}
}

func TestUnreadableFiles(t *testing.T) {
	h := host.Fake(t.TempDir())
	j := New(h)
	done(t, j, record("S5", "test:store", store.ScopeSystem))
	dir := dirOf(h, store.ScopeSystem)
	good, err := os.ReadFile(filepath.Join(dir, stem("S5", "test:store")+".json"))
	if err != nil {
		t.Fatal(err)
	}
	name := func(set string) string { return stem(set, "test:store") + ".json" }
	bad := map[string]string{
		name("S1"):  "",
		name("S2"):  string(good[:len(good)/2]),
		name("S3"):  string(good), // another's record
		name("S4"):  strings.Replace(strings.ReplaceAll(string(good), "S5", "S4"), "journal/v1", "journal/v2", 1),
		"what.json": string(good) + string(good),
		name("S0"):  strings.Replace(strings.ReplaceAll(string(good), "S5", "S0"), `"scope":"system"`, `"scope":"user"`, 1),
	}
	for name, content := range bad {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{host.TempPrefix + "1234.json", "README"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "dir.json"), 0o755); err != nil {
		t.Fatal(err)
	}
	sets, errs := j.Sets(t.Context())
	if len(sets) != 1 || sets[0].ID != "S5" || len(errs) != len(bad)+1 {
		t.Errorf("got %v and %d errors, want S5 and %d: %v", sets, len(errs), len(bad)+1, errs)
	}
	text := errors.Join(errs...).Error()
	for name := range bad {
		if path := "/var/lib/certtrust/journal/" + name; strings.Count(text, path) != 1 {
			t.Errorf("%s is not named once in\n%s", path, text)
		}
	}
	if !strings.Contains(text, "dir.json: not a regular file") {
		t.Errorf("the directory is not named in\n%s", text)
	}

	// The damaged ones are older, except those that could be anything.
	if _, err := j.Find(t.Context(), "S5"); err != nil {
		t.Error(err)
	}
	if _, err := j.Find(t.Context(), "last"); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("the last: %v", err)
	}
	os.Remove(filepath.Join(dir, "what.json"))
	os.Remove(filepath.Join(dir, "dir.json"))
	if s := find(t, j, "last"); s.ID != "S5" {
		t.Errorf("the last is %v", s)
	}
	os.Rename(filepath.Join(dir, name("S1")), filepath.Join(dir, name("S9")))
	if _, err := j.Find(t.Context(), "last"); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("with a newer one that is damaged: %v", err)
	}
	if records, err := j.Interrupted(t.Context()); len(records) != 0 || err == nil {
		t.Errorf("got %v, %v", records, err)
	}
}

func TestUnreadableJournal(t *testing.T) {
	h := host.Fake(t.TempDir())
	j := New(h)
	done(t, j, record("S1", "test:store", store.ScopeUser))
	dir := dirOf(h, store.ScopeSystem)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	want := store.ErrPermission
	if os.Geteuid() == 0 || runtime.GOOS == "windows" {
		// Rights do not keep root from reading: a file in place of it does.
		want = nil
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if err := os.Chmod(dir, 0); err != nil {
		t.Fatal(err)
	} else {
		defer os.Chmod(dir, 0o755)
	}
	sets, errs := j.Sets(t.Context())
	if len(sets) != 1 || len(errs) != 1 || !strings.Contains(errs[0].Error(), "/var/lib/certtrust/journal") {
		t.Fatalf("got %v, %v", sets, errs)
	}
	if want != nil && !errors.Is(errs[0], want) {
		t.Errorf("got %v, want %v", errs[0], want)
	}
	if _, err := j.Find(t.Context(), "last"); err == nil {
		t.Error("the last is told though one journal cannot be read")
	}
	if s := find(t, j, "S1"); len(s.Records) != 1 {
		t.Errorf("got %v", s)
	}
}

// The child's side answers for the parent's, errors with their kind included.
func TestAsUser(t *testing.T) {
	root := t.TempDir()
	h := host.Fake(root)
	h.User.Via = "sudo"
	j := New(h)
	var ops []string
	child := host.Fake(root)
	j.AsUser = func(_ context.Context, op string, payload []byte) ([]byte, error) {
		ops = append(ops, op)
		return Serve(child, op, payload)
	}
	// Root's own side writes only the machine's journal.
	h.Fault = func(op, path string) error {
		if strings.HasPrefix(path, h.User.Home) {
			t.Errorf("root did %s %s", op, path)
		}
		return nil
	}
	done(t, j, record("S1", "test:user", store.ScopeUser))
	done(t, j, record("S1", "test:system", store.ScopeSystem))
	s := find(t, j, "S1")
	if s.State() != Done || len(s.Records) != 2 {
		t.Errorf("got %v", s)
	}
	if err := j.MarkUndone(t.Context(), s.Records[0], "S2"); err != nil {
		t.Error(err)
	}
	if s := find(t, j, "S1"); s.State() != Partial {
		t.Errorf("got %v", s)
	}
	if want := "begin end read read mark read"; strings.Join(ops, " ") != want {
		t.Errorf("the child did %v, want %s", ops, want)
	}
	child.Fault = func(op, path string) error { return store.ErrReadOnly }
	if _, err := j.Begin(record("S3", "test:user", store.ScopeUser)); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("got %v", err)
	}

	// Without a need there is no child.
	h.User.Via, ops = "", nil
	h.Fault = nil
	done(t, j, record("S4", "test:user", store.ScopeUser))
	if len(ops) != 0 {
		t.Errorf("a child for one's own journal: %v", ops)
	}
}

// What the user's side says is not believed.
func TestHostileChild(t *testing.T) {
	h := host.Fake(t.TempDir())
	h.User.Via = "sudo"
	j := New(h)
	r := record("S1", "anchors:system", store.ScopeSystem)
	r.Schema, r.State = Schema, Done
	forged, err := json.Marshal([]item{{Name: "x.json", Path: "/x\x1b.json", Record: &r}, {Name: "none.json", Error: "\x1b[2J"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, reply := range []string{"", "null", "{}", "[]", `{"result":5}`, `{"error":"\u001b[2J","code":"x"}`, `{"result":` + string(forged) + `}`} {
		j.AsUser = func(context.Context, string, []byte) ([]byte, error) { return []byte(reply), nil }
		sets, errs := j.Sets(t.Context())
		if len(sets) != 0 {
			t.Errorf("%s: believed %v", reply, sets)
		}
		if text := fmt.Sprint(errs); strings.Contains(text, "\x1b") {
			t.Errorf("%s: an escape sequence in %q", reply, text)
		}
	}
}

func TestServeRefuses(t *testing.T) {
	h := host.Fake(t.TempDir())
	r := record("S1", "test:store", store.ScopeUser)
	r.Schema, r.State = Schema, Begun
	system := r
	system.Scope = store.ScopeSystem
	encode := func(v any) []byte {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for name, call := range map[string]struct {
		op      string
		payload []byte
	}{
		"unknown":       {"remove", nil},
		"no payload":    {"begin", nil},
		"other journal": {"begin", encode(system)},
		"a path":        {"end", encode(ending{Name: "../../x-" + stem("S1", "test:store")[3:] + ".json", Record: r})},
		"another name":  {"end", encode(ending{Name: stem("S2", "test:store") + ".json", Record: r})},
		"climbing mark": {"mark", encode(mark{Set: "../S1"})},
	} {
		reply, err := Serve(h, call.op, call.payload)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := opened(reply); err == nil {
			t.Errorf("%s: answered %s", name, reply)
		}
	}
	if got := all(t, New(h)); got != nil {
		t.Errorf("recorded %v", got)
	}
}

// For real: root keeps the journal of the user nobody by a child with that
// user's rights.
func TestChild(t *testing.T) {
	if runtime.GOOS == "windows" || os.Geteuid() != 0 {
		t.Skip("only root can act as another user")
	}
	const nobody = 65534
	root := t.TempDir()
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(root, "home", "user")
	for _, dir := range []string{"bin", "home/user"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "bin", "child"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(home, nobody, nobody); err != nil {
		t.Skip("cannot give a directory away:", err)
	}
	// The user must get at the program and the home, whatever the umask.
	for _, dir := range []string{"..", ".", "bin", "bin/child", "home", "home/user"} {
		if err := os.Chmod(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h := host.Fake(root)
	h.User = host.User{Name: "nobody", UID: nobody, GID: nobody, Home: "/home/user", Via: "sudo"}
	j := New(h)
	j.AsUser = Child(h, "/bin/child", "serve", root)
	r := record("S1", "test:user", store.ScopeUser)
	p, err := j.Begin(r)
	if err != nil {
		t.Fatal(err)
	}
	if got := all(t, j); !slices.Equal(got, []string{"S1 begun"}) {
		t.Errorf("got %v", got) // the child is gone, but not who writes
	}
	if err := p.Done(receipt(r)); err != nil {
		t.Fatal(err)
	}
	if s := find(t, j, "last"); s.ID != "S1" || s.Records[0].By.String() != "nobody via sudo" {
		t.Errorf("got %v", s)
	}
	dir := filepath.Join(home, ".local/state/certtrust/journal")
	var out bytes.Buffer
	list := exec.Command("stat", "-c", "%u %a", dir, filepath.Join(dir, stem("S1", "test:user")+".json"))
	list.Stdout = &out
	if err := list.Run(); err == nil && out.String() != "65534 700\n65534 600\n" {
		t.Errorf("owner and mode of the journal and its record:\n%s", out.String())
	}

	// The user's journal leads into a directory of root's: it stays closed.
	secret := filepath.Join(root, "secret")
	if err := os.Mkdir(secret, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/secret", dir); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Begin(record("S2", "test:user", store.ScopeUser)); !errors.Is(err, store.ErrPermission) {
		t.Errorf("written through the link: %v", err)
	}
	if _, errs := j.Sets(t.Context()); len(errs) != 1 || !errors.Is(errs[0], store.ErrPermission) {
		t.Errorf("read through the link: %v", errs)
	}
	if entries, err := os.ReadDir(secret); err != nil || len(entries) != 0 {
		t.Errorf("root's directory holds %v, %v", entries, err)
	}
}

// The plan of a record is encoded once, and what is on disk is the record all
// the same, at its beginning and at its end.
func TestRecordIsWhole(t *testing.T) {
	r := Record{Schema: Schema, Set: "S1", Store: "test:store", Scope: store.ScopeUser, State: Done, Begun: time.Unix(1, 0).UTC(),
		Plan:    store.Plan{Store: "test:store", Basis: "b<>&", Steps: []store.Step{{Action: store.ActionAdd, Label: "\"l\"\n"}}, Notices: []string{"n"}},
		Receipt: &store.Receipt{Store: "test:store"}, UndoOf: "S0"}
	plan, err := json.Marshal(r.Plan)
	if err != nil {
		t.Fatal(err)
	}
	for name, plan := range map[string]planText{"encoded before": plan, "not yet": nil} {
		data, err := r.encode(plan)
		if err != nil {
			t.Fatal(err)
		}
		var got Record
		if err := json.Unmarshal(data, &got); err != nil || data[len(data)-1] != '\n' {
			t.Fatalf("%s: %v in %s", name, err, data)
		}
		if diff := cmp.Diff(r, got); diff != "" {
			t.Errorf("%s: (-written +read)\n%s", name, diff)
		}
		if n := bytes.Count(data, []byte(`"plan":`)); n != 1 {
			t.Errorf("%s: there are %d plans in %s", name, n, data)
		}
	}
}
