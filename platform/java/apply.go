package java

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// lockWait is how long another certtrust that changes the same keystore is
// waited for.
const lockWait = 30 * time.Second

// Apply plans again, and does it if the steps are the same.
func (s *Store) Apply(ctx context.Context, p store.Plan) (store.Receipt, error) {
	receipt, err := s.apply(ctx, p)
	if err != nil {
		return store.Receipt{}, s.fail("apply", err)
	}
	return receipt, nil
}

func (s *Store) apply(ctx context.Context, p store.Plan) (store.Receipt, error) {
	if err := p.Check(s.info.ID); err != nil {
		return store.Receipt{}, err
	}
	if !p.Empty() {
		if w := s.info.Access.Write; w != nil && w.Kind != store.NeedsSecret {
			return store.Receipt{}, w.Err("apply", s.info.ID)
		}
		if err := s.ask(ctx, false); err != nil {
			return store.Receipt{}, err
		}
		unlock, err := s.host.Lock(ctx, s.lock(), lockWait, "certtrust")
		if err != nil {
			return store.Receipt{}, err
		}
		defer unlock()
	}
	st, err := s.readable(ctx)
	if err != nil {
		return store.Receipt{}, err
	}
	again := s.newPlanner(st)
	if len(p.Repair) > 0 {
		again.repair(p.Repair)
	} else {
		again.changes(p.Want)
	}
	switch {
	case !p.SameSteps(again.plan):
		return store.Receipt{}, store.ErrStale
	case again.plan.Empty():
		return store.Receipt{Store: s.info.ID}, nil
	}
	if err := ctx.Err(); err != nil {
		return store.Receipt{}, err
	}
	if len(p.Repair) > 0 {
		err = s.clear(again.temps)
	} else {
		err = s.write(st, again)
	}
	if err != nil {
		return store.Receipt{}, err
	}
	return store.Receipt{Store: s.info.ID, Done: again.plan.Steps, Undo: again.plan.Undo, Notices: again.plan.Notices}, nil
}

// lock is the file that stands for the keystore's directory while something in it
// is changed.
func (s *Store) lock() string {
	scope := store.ScopeSystem
	if s.host.EUID != 0 {
		scope = store.ScopeUser
	}
	return path.Join(s.host.StateDir(scope), "java-"+store.FingerprintOf([]byte(path.Dir(s.path))).Short()+".lock")
}

// ask asks a person for the password, if one is needed as far as is known by now,
// and refuses one that does not fit. Only the reading of encrypted certificates
// needs it to plan.
func (s *Store) ask(ctx context.Context, toRead bool) error {
	st := s.known()
	if st == nil || !errors.Is(st.edit.Locked, store.ErrSecret) || toRead && !st.edit.Encrypted {
		return nil // what is wrong is told by whoever reads it next
	}
	if s.mayAsk() {
		if _, err := s.host.Secrets.Ask(ctx, string(s.info.ID), "Password of the keystore "+store.Printable(s.path)); err != nil {
			return store.Because(store.ErrSecret, "%w", err)
		}
	}
	st, err := s.read()
	if err != nil {
		return err
	}
	if errors.Is(st.edit.Locked, store.ErrSecret) {
		return s.needsSecret(st.edit.Encrypted).Err("read", s.info.ID)
	}
	return st.edit.Locked
}

// write puts the new keystore in the place of the old one and reads it back.
func (s *Store) write(st *state, p *planner) error {
	data, err := st.edit.Encode(p.entries)
	if err != nil {
		return err
	}
	if err = s.host.WriteFile(s.path, data, host.WriteOptions{}); err == nil {
		err = s.verify(data, p)
	}
	if err == nil {
		return nil
	}
	if now, wrong := s.host.ReadFile(s.path, int64(len(st.data)+len(data))); wrong == nil && bytes.Equal(now, st.data) {
		return err
	}
	if left := s.host.WriteFile(s.path, st.data, host.WriteOptions{}); left != nil {
		return store.Because(store.ErrPartial, "%w; and the keystore could not be put back as it was: %v", err, left)
	}
	return err
}

// verify reads the keystore as anybody would: it has just the entries that it
// should have, and its digest is right.
func (s *Store) verify(data []byte, p *planner) error {
	now, err := s.host.ReadFile(s.path, int64(len(data)))
	if err != nil {
		return err
	}
	if !bytes.Equal(now, data) {
		return store.Because(store.ErrFailed, "what was written is not what is there")
	}
	st, err := s.decode(now)
	if err != nil {
		return err
	}
	// Those of one part are together, so the order of all may be another one.
	have, want := slices.Clone(st.edit.Entries), slices.Clone(p.entries)
	byBytes := func(a, b certfile.KeystoreEntry) int { return bytes.Compare(a.Raw, b.Raw) }
	slices.SortFunc(have, byBytes)
	slices.SortFunc(want, byBytes)
	same := st.edit.Locked == nil && slices.EqualFunc(have, want, func(a, b certfile.KeystoreEntry) bool { return bytes.Equal(a.Raw, b.Raw) })
	if !same {
		return store.Because(store.ErrFailed, "what was written does not hold what it should")
	}
	return nil
}

// Problems yields what a kill at the wrong moment has left beside the keystore.
func (s *Store) Problems(ctx context.Context) iter.Seq2[store.Problem, error] {
	return func(yield func(store.Problem, error) bool) {
		if r := s.info.Access.Read; r != nil && r.Kind == store.NeedsElevation {
			yield(store.Problem{}, s.fail("read", r.Err("read", s.info.ID)))
			return
		}
		for _, file := range s.leftovers() {
			if !yield(leftover(file), nil) {
				return
			}
		}
	}
}

func leftover(file string) store.Problem {
	return store.Problem{Code: "java-leftover", Path: file, Mendable: true, Text: "a temporary file that a killed certtrust has left beside the keystore"}
}

// leftovers are the temporary files in the keystore's directory. One that is
// being written is young, and its writer holds the lock.
func (s *Store) leftovers() (files []string) {
	entries, err := s.host.ReadDir(path.Dir(s.path))
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), host.TempPrefix) && e.Type().IsRegular() {
			files = append(files, path.Join(path.Dir(s.path), e.Name()))
		}
	}
	return files
}

// PlanRepair returns the steps that remove what was left.
func (s *Store) PlanRepair(ctx context.Context, problems []store.Problem) (store.Plan, error) {
	st, err := s.readable(ctx)
	if err != nil {
		return store.Plan{}, s.fail("plan", err)
	}
	p := s.newPlanner(st)
	p.repair(problems)
	return p.plan, nil
}

func (p *planner) repair(problems []store.Problem) {
	p.plan.Repair = problems
	left := p.s.leftovers()
	for _, x := range problems {
		if x.Code != leftover("").Code {
			p.plan.RefuseProblem(x, store.Because(store.ErrUnsupported, "this is for a person to decide: %s", store.Printable(x.Text)))
			continue
		}
		if !slices.Contains(left, x.Path) || slices.Contains(p.temps, x.Path) {
			continue // mended already
		}
		p.temps = append(p.temps, x.Path)
		p.plan.Steps = append(p.plan.Steps, store.Step{Action: store.ActionMend, Label: leftover(x.Path).Text, Files: []string{x.Path}})
	}
}

func (s *Store) clear(files []string) error {
	for i, file := range files {
		if err := s.host.Remove(file); err != nil {
			if i > 0 {
				err = fmt.Errorf("%w: %d of %d were removed: %w", store.ErrPartial, i, len(files), err)
			}
			return err
		}
	}
	return nil
}
