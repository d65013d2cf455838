package wincert

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"path"
	"slices"

	"github.com/certtrust/certtrust/store"
)

// Apply implements [store.Editor]. Each edit is made by itself, all are read
// back from stores that are opened anew, and if one fails those before it are
// taken back: what Windows says of its own success is not relied on.
func (s *Store) Apply(ctx context.Context, plan store.Plan) (store.Receipt, error) {
	receipt := store.Receipt{Store: s.info.ID}
	fail := func(err error) (store.Receipt, error) { return store.Receipt{Store: s.info.ID}, s.failed("apply", err) }
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	if err := plan.Check(s.info.ID); err != nil {
		return fail(err)
	}
	if !plan.Empty() {
		if err := s.info.Access.Write.Err("apply", s.info.ID); err != nil {
			return receipt, err
		}
		s.editing.Lock()
		defer s.editing.Unlock()
		unlock, err := s.host.Lock(ctx, path.Join(s.host.StateDir(s.at.scope), "lock"), s.Wait, "certtrust")
		if err != nil {
			return fail(err)
		}
		defer unlock()
	}
	p, err := s.newPlanner(ctx, plan.Want)
	if err != nil {
		return fail(err)
	}
	if !p.plan.SameSteps(plan) {
		return fail(&store.Error{Err: store.Because(store.ErrStale, "the store has changed since the plan was made"), Hint: "look at the plan again"})
	}
	if err := s.execute(ctx, p); err != nil {
		return fail(err)
	}
	receipt.Notices = p.plan.Notices
	if !plan.Empty() {
		receipt.Done, receipt.Undo = p.plan.Steps, p.plan.Undo
	}
	return receipt, nil
}

// execute makes the edits, or leaves everything as it was.
func (s *Store) execute(ctx context.Context, p *planner) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // all or nothing
	if err := s.makeAll(p.edits); err != nil {
		return s.back(ctx, p, p.edits, err)
	}
	if err := s.readBack(ctx, p, func(at place) *record { return p.now[at] }); err != nil {
		return s.back(ctx, p, p.edits, err)
	}
	return nil
}

// back takes edits back that cause made useless, each of which may have been
// made or not.
func (s *Store) back(ctx context.Context, p *planner, edits []edit, cause error) error {
	var errs []error
	for _, e := range slices.Backward(edits) {
		now, err := s.find(ctx, e.place)
		if err == nil && !same(now, e.before) {
			err = s.makeAll([]edit{{e.place, now, e.before}})
		}
		errs = append(errs, err)
	}
	errs = append(errs, s.readBack(ctx, p, func(at place) *record { return p.prior[at] }))
	if left := errors.Join(errs...); left != nil {
		return &store.Error{Err: store.Because(store.ErrPartial, "%w; and it could not be taken back: %v", cause, left),
			Hint: "certtrust list shows what is there"}
	}
	return cause
}

// readBack compares the edited places with what is wanted there.
func (s *Store) readBack(ctx context.Context, p *planner, want func(place) *record) error {
	read := map[*item]map[store.Fingerprint]*record{}
	for _, e := range p.edits {
		if read[e.item] == nil {
			list, err := s.read(ctx, s.at, e.item)
			if err != nil {
				return err
			}
			read[e.item] = map[store.Fingerprint]*record{}
			for _, h := range list {
				if h.record != nil {
					read[e.item][h.cert.SHA256] = h.record
				}
			}
		}
		if !same(read[e.item][e.cert], want(e.place)) {
			return store.Because(store.ErrFailed, "Windows said that it had changed %s, and has not: what was written is not what is there", s.at.path(e.item))
		}
	}
	return nil
}

// find returns what is in a place now.
func (s *Store) find(ctx context.Context, at place) (*record, error) {
	list, err := s.read(ctx, s.at, at.item)
	for _, h := range list {
		if h.record != nil && h.cert.SHA256 == at.cert {
			return h.record, nil
		}
	}
	return nil, err
}

// makeAll makes edits in their order, those that follow each other in one item
// with the item open once.
func (s *Store) makeAll(edits []edit) error {
	for len(edits) > 0 {
		n := 1
		for n < len(edits) && edits[n].item == edits[0].item && s.asks(edits[n]) == s.asks(edits[0]) {
			n++
		}
		if err := s.make(edits[:n]); err != nil {
			return err
		}
		edits = edits[n:]
	}
	return nil
}

// asks tells that a user's roots are added to, which is done through the
// collection, as Windows has its own programs do it: it asks the user then.
// Everything else is done in the one store that is meant.
func (s *Store) asks(e edit) bool {
	return s.at.user && e.item.name == itemRoot && e.before == nil
}

// make makes edits of one item.
func (s *Store) make(edits []edit) (err error) {
	h, err := s.api.OpenStore(s.asks(edits[0]), s.at.flag, edits[0].item.name)
	if err != nil {
		return err
	}
	defer func() {
		if closed := s.api.CloseStore(h); err == nil {
			err = closed
		}
	}()
	for _, e := range edits {
		switch {
		case e.after == nil:
			err = s.delete(h, e.before.cert.Raw)
		case e.before == nil:
			err = s.api.AddSerialized(h, e.after.blob(), AddNew)
		default:
			err = s.api.AddSerialized(h, e.after.blob(), AddReplace)
		}
		if err != nil {
			break
		}
	}
	// What is not committed is not always written, and what was done before a
	// failure has to be there for it to be taken back. A store that cannot be
	// told to has written it already.
	if committed := s.api.Commit(h); err == nil && committed != errUnable {
		err = committed
	}
	return err
}

// delete takes exactly the certificate out that is meant.
func (s *Store) delete(h Handle, der []byte) error {
	for c := Context(0); ; {
		var err error
		if c, err = s.api.FindCertificate(h, sha1.Sum(der), c); err != nil {
			return err
		}
		if c == 0 {
			return store.Because(store.ErrStale, "the certificate is not there any more")
		}
		blob, err := s.api.Serialize(c)
		if err != nil {
			s.api.FreeCertificate(c)
			return err
		}
		if r, err := parseBlob(blob); err == nil && bytes.Equal(r.cert.Raw, der) {
			return s.api.DeleteCertificate(c)
		}
	}
}
