package nss

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/sqlite"
	"github.com/certtrust/certtrust/store"
)

// chunk is how many certificates are changed in one transaction: others do not
// have to wait long for it.
const chunk = 1000

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
	if err := ctx.Err(); err != nil {
		return store.Receipt{}, err
	}
	w := s.info.Access.Write
	writable := w == nil || w.Kind == store.NeedsSecret
	if writable && s.simple(p) {
		now, err := s.transaction(ctx, p, store.Plan.SameSteps, nil)
		if err == nil {
			err = s.readBack(context.WithoutCancel(ctx), now)
		}
		if err != errAsk {
			return s.receipt(now), err
		}
	}
	st, err := s.plannable(ctx)
	if err != nil {
		return store.Receipt{}, err
	}
	again := s.plan(st, p)
	switch {
	case !p.SameSteps(again.plan):
		return store.Receipt{}, store.ErrStale
	case again.plan.Empty():
		return store.Receipt{Store: s.info.ID}, nil
	case !writable:
		return store.Receipt{}, w.Err("apply", s.info.ID)
	}
	if again.edits.link != nil {
		if err := s.relink(again.edits.link); err != nil {
			return store.Receipt{}, err
		}
	}
	if !again.edits.empty() {
		if err := s.write(ctx, st, p, again); err != nil {
			if again.edits.link != nil {
				err = errors.Join(err, s.relink(again.edits.link.back()))
			}
			return store.Receipt{}, err
		}
	}
	return s.receipt(again), nil
}

// receipt is that of a plan that was carried out.
func (s *Store) receipt(made *planner) store.Receipt {
	if made == nil {
		return store.Receipt{}
	}
	return store.Receipt{Store: s.info.ID, Done: made.plan.Steps, Undo: made.plan.Undo, Notices: made.plan.Notices}
}

// simple reports whether a plan is for one transaction over files that are
// there, so that there is nothing to prepare.
func (s *Store) simple(p store.Plan) bool {
	return len(p.Steps) > 0 && len(p.Steps) <= chunk && sqlite.Exists(s.host, s.certs) &&
		!slices.ContainsFunc(p.Steps, func(step store.Step) bool { return step.Action == store.ActionLink })
}

// errAsk: the password is needed, and nobody is asked for it during a
// transaction.
var errAsk = errors.New("the primary password is needed")

// plan plans what p wants for a state.
func (s *Store) plan(st *state, p store.Plan) *planner {
	again := s.newPlanner(st)
	if len(p.Repair) > 0 {
		again.repair(p.Repair)
	} else {
		again.changes(p.Want)
	}
	return again
}

// write makes the edits of a plan, which is p.
func (s *Store) write(ctx context.Context, st *state, p store.Plan, first *planner) error {
	password, err := s.password(ctx, st, first.edits.signs())
	if err != nil {
		return err
	}
	undo, unlock, err := s.create(ctx, st)
	if err != nil {
		return err
	}
	defer unlock()
	parts := split(p, first)
	for i, part := range parts {
		made, err := s.transaction(ctx, part, sameButFiles, password)
		if err != nil {
			if i == 0 {
				return errors.Join(err, undo())
			}
			return errors.Join(err, s.takeBack(ctx, first, parts[:i]))
		}
		ctx = context.WithoutCancel(ctx) // from here on it is all or nothing
		if len(parts) == 1 {
			first.wrote = made.wrote
		}
	}
	return s.readBack(ctx, first)
}

// split makes a plan several, each of no more certificates than one transaction
// should hold. The record of the whole is the plan's own undo list, which is on
// disk before anything is begun if a journal is kept: if this process ends in
// between, that takes back what there is, and the same change anew does the
// rest.
func split(p store.Plan, first *planner) []store.Plan {
	number := map[store.Fingerprint]int{} // of the part, from 0
	for i, t := range first.edits.targets {
		number[t.cert.SHA256] = i / chunk
	}
	parts := make([]store.Plan, 1+max(0, len(first.edits.targets)-1)/chunk)
	for i := range parts {
		parts[i] = store.Plan{Store: p.Store}
	}
	for _, c := range p.Want {
		if c.Item != LinkItem {
			part := &parts[number[c.Fingerprint]]
			part.Want = append(part.Want, c)
		}
	}
	for _, x := range p.Repair {
		part := &parts[0]
		if x.Fingerprint != nil {
			part = &parts[number[*x.Fingerprint]]
		}
		part.Repair = append(part.Repair, x)
	}
	for _, step := range first.plan.Steps {
		if step.Action != store.ActionLink {
			part := &parts[number[step.Fingerprint]]
			part.Steps = append(part.Steps, step)
		}
	}
	return parts
}

// takeBack undoes the first parts of a change.
func (s *Store) takeBack(ctx context.Context, first *planner, done []store.Plan) error {
	changed := map[store.Fingerprint]bool{}
	for _, part := range done {
		for _, step := range part.Steps {
			changed[step.Fingerprint] = true
		}
	}
	var want []store.Change
	for _, c := range first.plan.Undo {
		if c.Item != LinkItem && changed[c.Fingerprint] {
			want = append(want, c)
		}
	}
	back, err := s.Plan(ctx, want)
	for _, r := range back.Refused {
		err = errors.Join(err, r.Err("", ""))
	}
	if err == nil {
		_, err = s.apply(ctx, back)
	}
	if err != nil {
		return store.Because(store.ErrPartial, "%d of %d certificates were changed, and that could not be taken back: %w", len(changed), len(first.plan.Steps), err)
	}
	return nil
}

// password returns the database's password if there is one and it is needed:
// the one that is at hand, or that a person gives.
func (s *Store) password(ctx context.Context, st *state, needed bool) (*host.Secret, error) {
	if st.login != locked || !needed || s.host.Secrets == nil {
		return nil, nil
	}
	secret, err := s.host.Secrets.Ask(ctx, string(s.o.ID), "Primary password of "+s.o.Title)
	if err != nil {
		return nil, store.Because(store.ErrSecret, "%w", err)
	}
	keys, err := s.unlock(*st.entry, secret)
	if err != nil {
		return nil, err
	}
	if keys == nil {
		return nil, store.Because(store.ErrSecret, "this is not the primary password of the database")
	}
	return &secret, nil
}

// transaction makes a part of a plan, if it is still the same: all of it, or
// nothing. It returns what it has made.
func (s *Store) transaction(ctx context.Context, part store.Plan, same func(a, b store.Plan) bool, password *host.Secret) (*planner, error) {
	attached := map[string]string{}
	src := source{certName: "main", keyName: "k"}
	if sqlite.Exists(s.host, s.keys) {
		attached["k"] = s.keys
	}
	db, err := sqlite.Write(ctx, s.host, s.certs, attached)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	src.certs = db
	if len(attached) > 0 {
		src.keys = db
	}
	inside := func() (*state, error) {
		st := newState(&s.parsed)
		st.exists, st.keydb = true, src.keys != nil
		if err := s.readModules(st); err != nil {
			return nil, err
		}
		if err := s.readObjects(ctx, src, st); err != nil {
			return nil, err
		}
		keys, err := s.readKeys(ctx, src, st)
		if err != nil {
			return nil, err
		}
		return st, s.check(ctx, st, keys, password)
	}
	st, err := inside()
	if err != nil {
		return nil, err
	}
	if st.fips {
		return nil, &store.Error{Err: store.Because(store.ErrReadOnly, fipsText), Hint: fipsHint}
	}
	// What others did since then is seen now, and nothing can come between.
	now := s.plan(st, part)
	if !same(part, now.plan) {
		return nil, store.ErrStale
	}
	if st.login == locked && now.edits.signs() {
		return nil, errAsk
	}
	ctx = context.WithoutCancel(ctx)
	w := &writer{ctx: ctx, s: s, db: db, src: src, st: st}
	if err := w.begin(); err != nil {
		return nil, err
	}
	defer w.end()
	for _, t := range now.edits.dropTrust {
		if err := w.dropTrust(t); err != nil {
			return nil, err
		}
	}
	for _, r := range now.edits.dropLost {
		if err := db.Exec(ctx, "DELETE FROM main.nssPublic WHERE id IS ?", r.number); err != nil {
			return nil, err
		}
	}
	for _, name := range now.edits.dropSigs {
		if err := db.Exec(ctx, "DELETE FROM k.metaData WHERE id = ?", name); err != nil {
			return nil, err
		}
	}
	for _, t := range now.edits.targets {
		if err := w.target(t); err != nil {
			return nil, err
		}
	}
	after, err := inside()
	if err != nil {
		return nil, err
	}
	if err := s.verify(after, now.edits.targets); err != nil {
		return nil, err
	}
	now.wrote = after.rows
	return now, db.Commit()
}

// sameButFiles compares plans of which the second may be made when the files
// are there already.
func sameButFiles(a, b store.Plan) bool {
	plain := func(p store.Plan) store.Plan {
		p.Steps = append([]store.Step{}, p.Steps...)
		for i := range p.Steps {
			p.Steps[i].Files = nil
		}
		return p
	}
	return plain(a).SameSteps(plain(b))
}

// readBack reads what was written as any other program would. What is, row by row,
// what was found to be right before it was committed needs no more to be found
// right.
func (s *Store) readBack(ctx context.Context, first *planner) error {
	if first.wrote != nil && s.still(ctx, first.wrote) {
		return nil
	}
	st, err := s.read(ctx)
	if err == nil {
		err = s.verify(st, first.edits.targets)
	}
	if err != nil {
		return store.Because(store.ErrPartial, "it was written, but what is there now is something else: %w", err)
	}
	return nil
}

// verify makes sure that targets are in a state.
func (s *Store) verify(st *state, targets []*target) error {
	for _, t := range targets {
		held := st.prints[t.cert.SHA256]
		if t.gone != (len(held) == 0) {
			return store.Because(store.ErrFailed, "whether %s is there is not as it was written", t.cert.SHA256.Short())
		}
		if t.gone {
			continue
		}
		c := held[len(held)-1]
		if t.setLabel && c.label != t.label {
			return store.Because(store.ErrFailed, "the name of %s is not as it was written", t.cert.SHA256.Short())
		}
		if !t.setTrust {
			continue
		}
		for _, o := range st.of(c.cert) {
			if o.bad+o.missing > 0 || o.matches(c.cert) && !o.levels.means(t.levels) {
				return store.Because(store.ErrFailed, "the trust of %s is not as it was written", t.cert.SHA256.Short())
			}
		}
		if got, _ := st.effective(c.cert); !got.means(t.levels) {
			return store.Because(store.ErrFailed, "the trust of %s is not as it was written", t.cert.SHA256.Short())
		}
	}
	return nil
}

// writer writes objects in a transaction.
type writer struct {
	ctx  context.Context
	s    *Store
	db   *sqlite.DB
	src  source
	st   *state
	sign *signer
	next int64

	statements map[string]func(args ...any) error // by text, or by the columns that are written
	closers    []func()
	key        []byte // room
	args       []any  // likewise
}

func (w *writer) begin() error {
	w.statements = map[string]func(args ...any) error{}
	w.next = w.s.host.Now().UnixMicro() & maxID
	if w.st.login == unlocked {
		var err error
		if w.sign, err = w.st.keys.signer(w.st.entry.iterations()); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) end() {
	for _, close := range w.closers {
		close()
	}
}

// maxID is the largest number of an object.
const maxID = 0x3fffffff

// newID returns a number that no object has.
func (w *writer) newID() int64 {
	for {
		if _, taken := w.st.ids[w.next]; !taken && w.next != 0 {
			w.st.ids[w.next] = nil
			return w.next
		}
		w.next = (w.next + 1) & maxID
	}
}

// prepared returns a statement by its key, which is prepared once.
func (w *writer) prepared(key []byte, text func() string) (func(args ...any) error, error) {
	if run := w.statements[string(key)]; run != nil {
		return run, nil
	}
	run, closer, err := w.db.Prepare(w.ctx, text())
	if err != nil {
		return nil, err
	}
	w.statements[string(key)] = run
	w.closers = append(w.closers, closer)
	return run, nil
}

// exec runs a statement.
func (w *writer) exec(statement string, args ...any) error {
	run, err := w.prepared([]byte(statement), func() string { return statement })
	if err != nil {
		return err
	}
	return run(args...)
}

// value is an attribute with its value.
type value struct {
	attr attribute
	data []byte
}

// insert writes an object. The values of alike are the same in many objects, and
// are part of the statement.
func (w *writer) insert(id int64, alike, own []value) error {
	w.key, w.args = w.key[:0], append(w.args[:0], id)
	for _, v := range alike {
		w.key = append(binary.BigEndian.AppendUint32(w.key, uint32(v.attr)), stored(v.data)...)
	}
	for _, v := range own {
		w.key = binary.BigEndian.AppendUint32(w.key, uint32(v.attr))
		w.args = append(w.args, stored(v.data))
	}
	run, err := w.prepared(w.key, func() string {
		columns, values := "id", "?"
		for _, v := range alike {
			columns, values = columns+", "+v.attr.column(), fmt.Sprintf("%s, x'%x'", values, stored(v.data))
		}
		for _, v := range own {
			columns, values = columns+", "+v.attr.column(), values+", ?"
		}
		return "INSERT INTO main.nssPublic (" + columns + ") VALUES (" + values + ")"
	})
	if err != nil {
		return err
	}
	return run(w.args...)
}

// vouch writes the signatures of an object's values.
func (w *writer) vouch(id int64, values []value) error {
	w.key, w.args = append(w.key[:0], byte(len(values))), w.args[:0]
	for _, v := range values {
		w.args = append(w.args, sigName(id, v.attr), w.sign.sign(signature{uint32(id), v.attr, v.data}))
	}
	run, err := w.prepared(w.key, func() string {
		const one = "(?, ?, NULL)"
		return "INSERT OR REPLACE INTO k.metaData (id, item1, item2) VALUES " + one + strings.Repeat(", "+one, len(values)-1)
	})
	if err != nil {
		return err
	}
	return run(w.args...)
}

// drop deletes an object and its signatures.
func (w *writer) drop(id int64) error {
	if err := w.exec("DELETE FROM main.nssPublic WHERE id = ?", id); err != nil || w.src.keys == nil {
		return err
	}
	prefix := fmt.Sprintf("sig_cert_%08x_", uint32(id))
	return w.exec("DELETE FROM k.metaData WHERE id >= ? AND id < ?", prefix, prefix[:len(prefix)-1]+"`")
}

func (w *writer) dropTrust(t *trustObject) error { return w.drop(t.id) }

// target makes one certificate what it shall be.
func (w *writer) target(t *target) error {
	if t.gone {
		for _, o := range t.objects {
			if err := w.drop(o.id); err != nil {
				return err
			}
		}
		for _, o := range w.st.of(t.cert) {
			if !w.st.keeps(o, t.cert) {
				if err := w.dropTrust(o); err != nil {
					return err
				}
			}
		}
		return nil
	}
	yes, no := []byte{1}, []byte{0}
	serial := serialOf(t.cert.Raw)
	if t.adds() {
		alike := []value{{aClass, be32(classCert)}, {aToken, yes}, {aPrivate, no}, {aCertType, be32(0)}, {aModifiable, yes}}
		own := []value{
			{aLabel, []byte(t.label)}, {aValue, t.cert.Raw}, {aIssuer, t.cert.Issuer.Raw}, {aSerial, serial},
			{aSubject, t.cert.Subject.Raw}, {aID, keyID(t.cert)},
		}
		if address := emailOf(t.cert); address != "" {
			own = append(own, value{aEmail, []byte(address)})
		}
		if err := w.insert(w.newID(), alike, own); err != nil {
			return err
		}
	} else if t.setLabel {
		for _, o := range t.objects {
			if err := w.exec("UPDATE main.nssPublic SET "+aLabel.column()+" = ? WHERE id = ?", stored([]byte(t.label)), o.id); err != nil {
				return err
			}
		}
	}
	if !t.setTrust {
		return nil
	}
	// An object that is written anew keeps its number.
	ids := map[int]int64{}
	for _, o := range w.st.of(t.cert) {
		if w.st.keeps(o, t.cert) {
			continue
		}
		if ids[o.kind] == 0 {
			ids[o.kind] = o.id
		}
		if err := w.dropTrust(o); err != nil {
			return err
		}
	}
	for _, kind := range w.s.writes(w.st) {
		id := ids[kind]
		if id == 0 {
			id = w.newID()
		}
		if err := w.trust(id, kind, t, serial); err != nil {
			return err
		}
	}
	return nil
}

// keeps reports whether a trust object with the issuer and serial number of c
// is about another certificate that is there, too.
func (st *state) keeps(t *trustObject, c *store.Cert) bool {
	for _, o := range st.holding(c.Issuer.Raw, serialOf(c.Raw)) {
		if o.cert.SHA256 != c.SHA256 && !t.matches(c) && t.matches(o.cert) {
			return true
		}
	}
	return false
}

// trust writes a trust object and signs it.
func (w *writer) trust(id int64, number int, t *target, serial []byte) error {
	k := kinds[number]
	alike := []value{{aClass, be32(k.class)}, {aToken, []byte{1}}, {aPrivate, []byte{0}}, {aLabel, nil}, {aModifiable, []byte{1}}}
	own := []value{{aIssuer, t.cert.Issuer.Raw}, {aSerial, serial}}
	var signed []value
	for i, l := range t.levels {
		if l == levelUnknown {
			l = levelNone
		}
		signed = append(signed, value{k.signed[i], be32(k.values[l])})
	}
	own = append(own, value{k.hash, hashFor(number, t.cert)})
	if number == newKind {
		signed = append(signed, value{aHashAlg, be32(hashSHA256)})
	} else {
		signed = append(signed, value{aStepUp, []byte{0}})
		own = append(own, value{aMD5, md5Of(t.cert.Raw)})
	}
	if err := w.insert(id, append(alike, signed...), own); err != nil || w.sign == nil {
		return err
	}
	return w.vouch(id, append(signed, own[2:]...))
}
