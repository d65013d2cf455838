package keychain

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

const (
	lockWait = 30 * time.Second
	batch    = 500 // certificates in one run of the tool: its command line has a limit
)

// Apply plans again, and does it if the steps are the same.
func (s *Store) Apply(ctx context.Context, p store.Plan) (store.Receipt, error) {
	receipt, err := s.apply(ctx, p)
	if err != nil {
		return store.Receipt{}, s.fail("apply", err)
	}
	return receipt, nil
}

// again plans what p wants for the state of now.
func (s *Store) again(ctx context.Context, p store.Plan) (*state, *planner, error) {
	st, err := s.readable(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := s.borrowWanted(ctx, st, p.Want); err != nil {
		return nil, nil, err
	}
	before := *st
	before.held = slices.Clone(st.held)
	again := s.newPlanner(st)
	if len(p.Repair) > 0 {
		again.repair(p.Repair)
	} else {
		again.changes(p.Want)
	}
	if !p.SameSteps(again.plan) {
		return nil, nil, store.ErrStale
	}
	return &before, again, nil
}

func (s *Store) apply(ctx context.Context, p store.Plan) (store.Receipt, error) {
	none := store.Receipt{}
	if err := p.Check(s.info.ID); err != nil {
		return none, err
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if p.Empty() {
		return store.Receipt{Store: s.info.ID}, nil
	}
	_, again, err := s.again(ctx, p)
	if err != nil {
		return none, err
	}
	if err := s.info.Access.Write.Err("apply", s.info.ID); err != nil {
		return none, err
	}
	if len(again.edits.records) > 0 {
		if err := s.somebody(ctx); err != nil {
			return none, err
		}
	}
	unlock, err := s.host.Lock(ctx, s.lockPath(), lockWait, "keychain")
	if err != nil {
		return none, err
	}
	defer unlock()
	before, again, err := s.again(ctx, p)
	if err != nil {
		return none, err
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if err := s.write(ctx, before, &again.edits); err != nil {
		return none, err
	}
	return store.Receipt{Store: s.info.ID, Done: again.plan.Steps, Undo: again.plan.Undo, Notices: again.plan.Notices}, nil
}

func (s *Store) lockPath() string {
	name := "file"
	if s.domain != nil {
		name = s.domain.name
	}
	scope := s.info.Scope
	if s.domain == nil && s.host.EUID != 0 {
		scope = store.ScopeUser
	}
	return path.Join(s.host.StateDir(scope), "keychain-"+name+".lock")
}

// somebody asks launchd whether this is a session with a screen, where macOS is
// going to ask something. Only an answer that says no counts.
func (s *Store) somebody(ctx context.Context) error {
	a := authorizationFor(s.domain, s.version)
	if !a.dialog || s.info.Asks == "" {
		return nil
	}
	out, err := s.host.Run(ctx, host.Command{Args: []string{"/bin/launchctl", "managername"}, Timeout: s.readLimit})
	name := strings.TrimSpace(string(out.Stdout))
	if err != nil || !slices.Contains([]string{"Background", "System", "StandardIO"}, name) || s.opened(ctx) {
		return ctx.Err()
	}
	return (&store.Obstacle{Kind: store.NeedsConsent, Text: "macOS asks a person at the screen, and this session (" + name + ") has none", Hint: a.hint}).Err("apply", s.info.ID)
}

// write makes the edits: what nobody is asked for first, and the trust settings
// last, in one step. Whatever fails, the keychains are as they were before.
func (s *Store) write(ctx context.Context, before *state, e *edits) error {
	careful := context.WithoutCancel(ctx) // from here on it is all or nothing
	err := s.fill(careful, e)
	if err == nil && len(e.records) > 0 {
		err = s.set(ctx, before, e)
	}
	if err == nil {
		err = s.readBack(careful, before, e)
		if err != nil && len(e.records) > 0 {
			if back := s.unset(careful, before, e); back != nil {
				err = partial(err, back)
			}
		}
	}
	if err == nil {
		return nil
	}
	if back := s.refill(careful, before, e); back != nil {
		if errors.Is(err, store.ErrPartial) {
			return err
		}
		return partial(err, back)
	}
	return err
}

// fill takes certificates out of keychains, puts others in, and makes sure of
// both.
func (s *Store) fill(ctx context.Context, e *edits) error {
	for _, d := range e.drop {
		if err := s.take(ctx, d); err != nil {
			return err
		}
	}
	perKeychain := map[string][]*store.Cert{}
	for _, a := range e.add {
		perKeychain[a.keychain] = append(perKeychain[a.keychain], a.cert)
	}
	for _, k := range slices.Sorted(maps.Keys(perKeychain)) {
		if err := s.put(ctx, k, perKeychain[k]); err != nil {
			return err
		}
	}
	return s.filled(ctx, e)
}

// take takes all copies of a certificate out of a keychain.
func (s *Store) take(ctx context.Context, d place) error {
	if !exists(s.host, d.keychain) { // the tool would look everywhere else
		return &store.Error{Path: d.keychain, Err: store.Because(store.ErrNotFound, "the keychain is not there")}
	}
	_, err := s.security(ctx, "delete-certificate", "-Z", sha1Of(d.cert.Raw), d.keychain)
	if err == nil {
		return nil
	}
	if items, failed := s.certificates(ctx, d.keychain); failed == nil && !slices.ContainsFunc(items, func(f found) bool { return store.FingerprintOf(f.der) == d.cert.SHA256 }) {
		return nil // it is gone
	}
	return &store.Error{Path: d.keychain, Err: err, Hint: store.Hint(err)}
}

// put puts certificates into a keychain. What it says is not believed: see
// filled.
func (s *Store) put(ctx context.Context, keychain string, certs []*store.Cert) error {
	for part := range slices.Chunk(certs, batch) {
		args := []string{"add-certificates", "-k", keychain}
		var removes []func()
		free := func() {
			for _, remove := range removes {
				remove()
			}
		}
		for _, c := range part {
			p, remove, err := s.temporary(c.Raw, ".der")
			if err != nil {
				free()
				return err
			}
			args, removes = append(args, p), append(removes, remove)
		}
		_, err := s.security(ctx, args...)
		free()
		if err != nil && status(err) != statusDuplicate {
			return &store.Error{Path: keychain, Err: err, Hint: store.Hint(err)}
		}
	}
	return nil
}

// filled makes sure that the keychains hold what they should, by the whole
// certificates.
func (s *Store) filled(ctx context.Context, e *edits) error {
	holds := map[string]map[store.Fingerprint]bool{}
	for _, x := range slices.Concat(e.add, e.drop) {
		if holds[x.keychain] != nil {
			continue
		}
		items, err := s.certificates(ctx, x.keychain)
		if err != nil {
			return err
		}
		there := map[store.Fingerprint]bool{}
		for _, item := range items {
			if item.err == nil {
				there[store.FingerprintOf(item.der)] = true
			}
		}
		holds[x.keychain] = there
	}
	for _, a := range e.add {
		if !holds[a.keychain][a.cert.SHA256] {
			return &store.Error{Path: a.keychain, Err: store.Because(store.ErrFailed, "macOS did not take the certificate %s (\"%s\"), without a reason that is known", a.cert.SHA256.Short(), store.Printable(a.cert.Label()))}
		}
	}
	for _, d := range e.drop {
		if holds[d.keychain][d.cert.SHA256] {
			return &store.Error{Path: d.keychain, Err: store.Because(store.ErrFailed, "the certificate %s is still there", d.cert.SHA256.Short())}
		}
	}
	return nil
}

// refill brings the keychains back to what they were.
func (s *Store) refill(ctx context.Context, before *state, e *edits) error {
	var errs []error
	for _, a := range e.add {
		if !before.holds(a) {
			errs = append(errs, s.takeIfThere(ctx, a))
		}
	}
	for _, d := range e.drop {
		items, err := s.certificates(ctx, d.keychain)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if !slices.ContainsFunc(items, func(f found) bool { return store.FingerprintOf(f.der) == d.cert.SHA256 }) {
			errs = append(errs, s.put(ctx, d.keychain, []*store.Cert{d.cert}))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	now, err := s.read(ctx)
	if err != nil {
		return err
	}
	return before.same(now, nil)
}

func (st *state) holds(p place) bool {
	return slices.ContainsFunc(st.held, func(h *held) bool { return h.cert.SHA256 == p.cert.SHA256 && h.in(p.keychain) })
}

func (s *Store) takeIfThere(ctx context.Context, d place) error {
	items, err := s.certificates(ctx, d.keychain)
	if err != nil {
		items, err = s.certificates(ctx, d.keychain)
	}
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(items, func(f found) bool { return store.FingerprintOf(f.der) == d.cert.SHA256 }) {
		return nil
	}
	return s.take(ctx, d)
}

// set replaces the trust settings of the domain by those with the new records.
// The tool replaces all there is, so what others have set meanwhile would be
// lost: it is looked at once more right before.
func (s *Store) set(ctx context.Context, before *state, e *edits) error {
	now, err := s.export(ctx, s.domain)
	if err != nil {
		return err
	}
	if err := sameSettings(before.settings, now, nil); err != nil {
		return store.Because(store.ErrStale, "%w", err)
	}
	data, err := now.encode(e.records)
	if err != nil {
		return err
	}
	err = s.importSettings(ctx, data)
	if err == nil {
		return nil
	}
	// Whether it was done is not told by how it ended.
	careful := context.WithoutCancel(ctx)
	after, failed := s.export(careful, s.domain)
	if failed != nil {
		after, failed = s.export(careful, s.domain)
	}
	if failed != nil {
		return store.Because(store.ErrPartial, "%w; whether the trust settings were changed cannot be found out: %w", err, failed)
	}
	if s.changed(after, e) == nil && sameSettings(before.settings, after, touched(e)) == nil {
		return nil // it was
	}
	if sameSettings(before.settings, after, nil) == nil {
		return err
	}
	if back := s.unset(careful, before, e); back != nil {
		return partial(err, back)
	}
	return err
}

func touched(e *edits) map[string]bool {
	out := map[string]bool{}
	for key := range e.records {
		out[key] = true
	}
	return out
}

func (s *Store) importSettings(ctx context.Context, data []byte) error {
	p, remove, err := s.temporary(data, ".plist")
	if err != nil {
		return err
	}
	defer remove()
	return s.asking(ctx, append(append([]string{"trust-settings-import"}, s.domain.flag...), p)...)
}

// unset brings the records back that were changed, and leaves the others as
// they are now.
func (s *Store) unset(ctx context.Context, before *state, e *edits) error {
	now, err := s.export(ctx, s.domain)
	if err != nil {
		return err
	}
	old := map[string]map[string]any{}
	for key := range e.records {
		old[key] = nil
		if r := before.settings.records[key]; r != nil {
			old[key] = r.raw
		}
	}
	data, err := now.encode(old)
	if err != nil {
		return err
	}
	if err := s.importSettings(ctx, data); err != nil {
		return err
	}
	now, err = s.export(ctx, s.domain)
	if err != nil {
		return err
	}
	return sameSettings(before.settings, now, nil)
}

// changed reports whether the settings hold the new records.
func (s *Store) changed(now *settings, e *edits) error {
	for key, raw := range e.records {
		r := now.records[key]
		switch {
		case raw == nil && r == nil:
		case raw == nil:
			return store.Because(store.ErrFailed, "macOS has kept the trust settings of the certificate with the SHA-1 %s", key)
		case r == nil || !sameRecord(parsedAgain(raw), r.raw):
			return store.Because(store.ErrFailed, "macOS has not taken the trust settings of the certificate with the SHA-1 %s as they were given", key)
		}
	}
	return nil
}

// parsedAgain returns a record as it is read from a property list.
func parsedAgain(raw map[string]any) map[string]any {
	s := noSettings()
	data, err := s.encode(map[string]map[string]any{"x": raw})
	if err != nil {
		return raw
	}
	read, err := parseSettings(data)
	if err != nil || read.records["x"] == nil {
		return raw
	}
	return read.records["x"].raw
}

// readBack makes sure that all is as it was wanted, and nothing else has
// changed. A reading that fails is tried once more.
func (s *Store) readBack(ctx context.Context, before *state, e *edits) error {
	now, err := s.read(ctx)
	if err != nil {
		now, err = s.read(ctx)
	}
	if err != nil {
		return fmt.Errorf("what was done could not be read back: %w", err)
	}
	except := map[store.Fingerprint]bool{}
	for _, a := range e.add {
		except[a.cert.SHA256] = true
		if !now.holds(a) {
			return store.Because(store.ErrFailed, "the certificate %s was put in and is not there", a.cert.SHA256.Short())
		}
	}
	for _, d := range e.drop {
		except[d.cert.SHA256] = true
	}
	if err := s.changed(now.settings, e); err != nil {
		return err
	}
	if err := sameSettings(before.settings, now.settings, touched(e)); err != nil {
		return err
	}
	return before.same(now, except)
}
