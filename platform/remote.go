package platform

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// What belongs to another user is looked at and changed by a process with that
// user's rights, and not by root: a user could turn what root opens into
// something else. That process is asked by a [RemoteRequest] and answers with a
// [RemoteReply].

// RemoteRequest is what the process is asked.
type RemoteRequest struct {
	Do       string            `json:"do"` // a key of remoteOps
	Store    store.ID          `json:"store,omitempty"`
	Want     []store.Change    `json:"want,omitempty"`
	Problems []store.Problem   `json:"problems,omitempty"`
	Plan     *store.Plan       `json:"plan,omitempty"`
	Secrets  map[string]string `json:"secrets,omitempty"` // of stores
}

// RemoteReply is what it answers.
type RemoteReply struct {
	Stores   []RemoteStore   `json:"stores,omitempty"`
	Reasons  []string        `json:"reasons,omitempty"`
	Entries  []RemoteEntry   `json:"entries,omitempty"`
	Problems []store.Problem `json:"problems,omitempty"`
	Plan     *store.Plan     `json:"plan,omitempty"`
	Receipt  *store.Receipt  `json:"receipt,omitempty"`
	Error    *RemoteError    `json:"error,omitempty"`
}

// RemoteStore is a store that it has found.
type RemoteStore struct {
	Info    store.Info `json:"info"`
	Reasons []string   `json:"reasons,omitempty"`
	Edits   bool       `json:"edits,omitempty"`   // a store.Editor
	Repairs bool       `json:"repairs,omitempty"` // a store.Repairer
}

// RemoteEntry is an entry of a store, or why it could not be read.
type RemoteEntry struct {
	DER      []byte            `json:"der,omitempty"`
	Label    string            `json:"label,omitempty"`
	Trust    store.Trust       `json:"trust,omitempty"`
	Origin   store.Origin      `json:"origin"`
	Source   store.Source      `json:"source"`
	Native   map[string]string `json:"native,omitempty"`
	Problems []store.Problem   `json:"problems,omitempty"`
	Match    *store.Match      `json:"match,omitempty"`
	Error    *RemoteError      `json:"error,omitempty"`
}

// RemoteError is an error.
type RemoteError struct {
	Code string `json:"code"`
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
}

func newRemoteError(err error) *RemoteError {
	if err == nil {
		return nil
	}
	return &RemoteError{store.Code(err), err.Error(), store.Hint(err)}
}

func (e *RemoteError) err() error {
	if e == nil {
		return nil
	}
	return &store.Error{Err: store.Because(store.Kind(e.Code), "%s", store.Printable(e.Text)), Hint: e.Hint}
}

// remoteOps is what the process can be asked to do.
var remoteOps = map[string]func(ctx context.Context, found []Found, r RemoteRequest) RemoteReply{
	"stores": func(_ context.Context, found []Found, _ RemoteRequest) (out RemoteReply) {
		for _, f := range found {
			_, edits := f.Store.(store.Editor)
			_, repairs := f.Store.(store.Repairer)
			out.Stores = append(out.Stores, RemoteStore{f.Info(), f.Reasons, edits, repairs})
		}
		return out
	},
	"entries": withStore(func(ctx context.Context, s Found, _ RemoteRequest) (out RemoteReply, err error) {
		for e, err := range s.Entries(ctx) {
			r := RemoteEntry{Label: e.Label, Trust: e.Trust, Origin: e.Origin, Source: e.Source, Native: e.Native, Problems: e.Problems, Match: e.Match, Error: newRemoteError(err)}
			if e.Cert != nil {
				r.DER = e.Cert.Raw
			}
			out.Entries = append(out.Entries, r)
		}
		return out, nil
	}),
	"plan": withEditor(func(ctx context.Context, e store.Editor, r RemoteRequest) (out RemoteReply, err error) {
		p, err := e.Plan(ctx, r.Want)
		return RemoteReply{Plan: &p}, err
	}),
	"apply": withEditor(func(ctx context.Context, e store.Editor, r RemoteRequest) (out RemoteReply, err error) {
		if r.Plan == nil {
			return out, store.ErrInput
		}
		receipt, err := e.Apply(ctx, *r.Plan)
		return RemoteReply{Receipt: &receipt}, err
	}),
	"problems": withStore(func(ctx context.Context, s Found, _ RemoteRequest) (out RemoteReply, err error) {
		r, ok := s.Store.(store.Repairer)
		if !ok {
			return out, store.ErrUnsupported
		}
		for p, err := range r.Problems(ctx) {
			if err != nil {
				return out, err
			}
			out.Problems = append(out.Problems, p)
		}
		return out, nil
	}),
	"repair": withStore(func(ctx context.Context, s Found, r RemoteRequest) (out RemoteReply, err error) {
		repairer, ok := s.Store.(store.Repairer)
		if !ok {
			return out, store.ErrUnsupported
		}
		p, err := repairer.PlanRepair(ctx, r.Problems)
		return RemoteReply{Plan: &p}, err
	}),
}

func withStore(do func(context.Context, Found, RemoteRequest) (RemoteReply, error)) func(context.Context, []Found, RemoteRequest) RemoteReply {
	return func(ctx context.Context, found []Found, r RemoteRequest) RemoteReply {
		for _, f := range found {
			if f.Info().ID == r.Store {
				reply, err := do(ctx, f, r)
				reply.Error = newRemoteError(err)
				return reply
			}
		}
		return RemoteReply{Error: newRemoteError(&store.Error{Store: r.Store, Err: store.ErrNotFound})}
	}
}

func withEditor(do func(context.Context, store.Editor, RemoteRequest) (RemoteReply, error)) func(context.Context, []Found, RemoteRequest) RemoteReply {
	return withStore(func(ctx context.Context, s Found, r RemoteRequest) (RemoteReply, error) {
		e, ok := s.Store.(store.Editor)
		if !ok {
			return RemoteReply{}, store.Because(store.ErrUnsupported, "this store can only be read")
		}
		return do(ctx, e, r)
	})
}

// ServeRemote answers a request with the stores of this process's user. What ours
// tells is [Found].Ours.
func ServeRemote(ctx context.Context, h *host.Host, backends []Backend, ours func(store.Info, store.Fingerprint) bool, r RemoteRequest) RemoteReply {
	op := remoteOps[r.Do]
	if op == nil {
		return RemoteReply{Error: newRemoteError(store.Because(store.ErrInput, "%s is nothing that can be asked", store.Printable(r.Do)))}
	}
	sel := Selector{User: true}
	if r.Store != "" {
		sel = Selector{Stores: []string{string(r.Store)}}
	}
	found, err := Detect(ctx, h, backends, sel)
	if err != nil && !(r.Store == "" && errors.Is(err, store.ErrUnsupported)) {
		return RemoteReply{Error: newRemoteError(err)}
	}
	for i := range found {
		found[i].Ours = ours
	}
	return op(ctx, found, r)
}

// AskRemote asks a process with another user's rights.
type AskRemote func(ctx context.Context, r RemoteRequest) (RemoteReply, error)

// Remote returns the backends for the stores of another user, which ask does
// everything with. The IDs of the stores end in suffix. Those of backends that
// are not the user's are left out.
func Remote(backends []Backend, suffix string, ask AskRemote) []Backend {
	stores := sync.OnceValues(func() ([]RemoteStore, error) {
		reply, err := ask(context.Background(), RemoteRequest{Do: "stores"})
		return reply.Stores, errors.Join(err, reply.Error.err())
	})
	var out []Backend
	for _, b := range backends {
		name := b.Name
		if !slices.Contains(b.Scopes, store.ScopeUser) || slices.ContainsFunc(out, func(o Backend) bool { return o.Name == name }) {
			continue
		}
		detect := func(context.Context, *host.Host) (d Detection) {
			list, err := stores()
			if err != nil {
				// It is told as a store that cannot be read, so that nothing is
				// passed over in silence.
				info := store.Info{ID: store.ID(name + ":unknown" + suffix), Backend: name, Title: "stores of another user", Scope: store.ScopeUser,
					Owner: strings.TrimPrefix(suffix, "@"), Express: store.Express{Purposes: []store.Purpose{store.PurposeAny}}}
				info.Access.Read = &store.Obstacle{Kind: store.NeedsElevation, Text: err.Error(), Hint: store.Hint(err)}
				info.Access.Write = info.Access.Read
				return Detection{Stores: []store.Store{&remoteStore{info: info}}, Reasons: []string{err.Error()}}
			}
			for _, s := range list {
				if s.Info.Backend != name || s.Info.Scope != store.ScopeUser {
					continue
				}
				d.Stores = append(d.Stores, newRemote(s, suffix, ask))
				for _, reason := range s.Reasons {
					if !slices.Contains(d.Reasons, reason) {
						d.Reasons = append(d.Reasons, reason)
					}
				}
			}
			return d
		}
		r := Backend{Name: name, Scopes: b.Scopes, Detect: detect}
		if b.Place != nil {
			r.Place = func(_ *host.Host, at string) (store.Store, []string, error) {
				return remotePlace(name, at, suffix, ask)
			}
		}
		out = append(out, r)
	}
	return out
}

// remotePlace opens the store in a place as another user.
func remotePlace(name, at, suffix string, ask AskRemote) (store.Store, []string, error) {
	if suffix != "" {
		short, own := strings.CutSuffix(at, suffix)
		if !own {
			short, own = strings.CutSuffix(at, "@*")
		}
		if !own {
			return nil, nil, fs.ErrNotExist
		}
		at = short
	}
	reply, err := ask(context.Background(), RemoteRequest{Do: "stores", Store: store.ID(name + ":" + at)})
	if err = errors.Join(err, reply.Error.err()); err != nil {
		if errors.Is(err, store.ErrNotFound) {
			err = fs.ErrNotExist
		}
		return nil, nil, err
	}
	for _, s := range reply.Stores {
		if s.Info.Backend == name {
			return newRemote(s, suffix, ask), s.Reasons, nil
		}
	}
	return nil, nil, fs.ErrNotExist
}

// remoteStore is a store of another user.
type remoteStore struct {
	id     store.ID // as that user's process calls it
	suffix string
	info   store.Info
	ask    AskRemote
}

type remoteEditor struct{ *remoteStore }

type remoteRepairer struct{ remoteEditor }

func newRemote(s RemoteStore, suffix string, ask AskRemote) store.Store {
	r := &remoteStore{id: s.Info.ID, suffix: suffix, info: s.Info, ask: ask}
	r.info.ID += store.ID(suffix)
	for _, o := range []**store.Obstacle{&r.info.Access.Read, &r.info.Access.Write} {
		if *o != nil {
			here := **o
			here.Hint = r.hint(here.Hint)
			*o = &here
		}
	}
	switch {
	case s.Repairs:
		return remoteRepairer{remoteEditor{r}}
	case s.Edits:
		return remoteEditor{r}
	}
	return r
}

func (s *remoteStore) Info() store.Info { return s.info }

// hint makes advice for the user's own command line one for this one, where the
// store is called something else.
func (s *remoteStore) hint(text string) string {
	return strings.ReplaceAll(text, string(s.id), string(s.info.ID))
}

func (s *remoteStore) call(ctx context.Context, op string, r RemoteRequest) (RemoteReply, error) {
	if s.ask == nil {
		return RemoteReply{}, s.info.Access.Read.Err(op, s.info.ID)
	}
	r.Store = s.id
	reply, err := s.ask(ctx, r)
	if err == nil {
		err = reply.Error.err()
	}
	if err != nil {
		return reply, &store.Error{Op: op, Store: s.info.ID, Err: err, Hint: s.hint(store.Hint(err))}
	}
	return reply, nil
}

func (s *remoteStore) Entries(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		reply, err := s.call(ctx, "read", RemoteRequest{Do: "entries"})
		if err != nil {
			yield(store.Entry{}, err)
			return
		}
		for _, r := range reply.Entries {
			e := store.Entry{Label: r.Label, Trust: r.Trust, Origin: r.Origin, Source: r.Source, Native: r.Native, Problems: r.Problems, Match: r.Match}
			if r.DER != nil {
				e.Cert = store.NewCert(r.DER)
			}
			if !yield(e, r.Error.err()) {
				return
			}
		}
	}
}

func (s remoteEditor) planned(ctx context.Context, r RemoteRequest) (store.Plan, error) {
	reply, err := s.call(ctx, "plan", r)
	if err != nil {
		return store.Plan{}, err
	}
	if reply.Plan == nil {
		return store.Plan{}, &store.Error{Op: "plan", Store: s.info.ID, Err: store.Because(store.ErrFailed, "it answered without a plan")}
	}
	p := *reply.Plan
	p.Store, p.Want, p.Repair = s.info.ID, r.Want, r.Problems
	for i := range p.Refused {
		p.Refused[i].Hint = s.hint(p.Refused[i].Hint)
	}
	if p.Steps == nil {
		p.Steps = []store.Step{}
	}
	return p, nil
}

func (s remoteEditor) Plan(ctx context.Context, want []store.Change) (store.Plan, error) {
	return s.planned(ctx, RemoteRequest{Do: "plan", Want: want})
}

func (s remoteEditor) Apply(ctx context.Context, p store.Plan) (store.Receipt, error) {
	if err := cmp.Or(p.Check(s.info.ID), ctx.Err()); err != nil {
		return store.Receipt{}, store.At("apply", s.info.ID, "", err)
	}
	p.Store = s.id
	reply, err := s.call(ctx, "apply", RemoteRequest{Do: "apply", Plan: &p})
	if err != nil {
		return store.Receipt{}, err
	}
	if reply.Receipt == nil {
		return store.Receipt{}, &store.Error{Op: "apply", Store: s.info.ID, Err: store.Because(store.ErrPartial, "it answered without saying what it did")}
	}
	receipt := *reply.Receipt
	receipt.Store = s.info.ID
	return receipt, nil
}

func (s remoteRepairer) Problems(ctx context.Context) iter.Seq2[store.Problem, error] {
	return func(yield func(store.Problem, error) bool) {
		reply, err := s.call(ctx, "read", RemoteRequest{Do: "problems"})
		if err != nil {
			yield(store.Problem{}, err)
			return
		}
		for _, p := range reply.Problems {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func (s remoteRepairer) PlanRepair(ctx context.Context, problems []store.Problem) (store.Plan, error) {
	return s.planned(ctx, RemoteRequest{Do: "repair", Problems: problems})
}
