package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/nss"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// policyEdits is what a plan comes down to.
type policyEdits struct {
	names  []string          // of Install
	writes map[string][]byte // certificates
	drops  []string
	doc    object
}

type policyPlanner struct {
	ctx   context.Context
	s     *FirefoxPolicy
	p     *firefoxPolicy
	plan  store.Plan
	edits policyEdits
}

// Plan returns the steps to what is wanted.
func (s *FirefoxPolicy) Plan(ctx context.Context, want []store.Change) (store.Plan, error) {
	if err := ctx.Err(); err != nil {
		return store.Plan{}, s.fail("plan", err)
	}
	pl, err := s.planner(ctx, want)
	if err != nil {
		return store.Plan{}, s.fail("plan", err)
	}
	return pl.plan, nil
}

func (s *FirefoxPolicy) planner(ctx context.Context, want []store.Change) (*policyPlanner, error) {
	p := readFirefoxPolicy(s.host)
	if p.err != nil {
		return nil, p.err
	}
	pl := &policyPlanner{ctx: ctx, s: s, p: p, plan: store.Plan{Store: s.info.ID, Basis: "sha256:" + store.FingerprintOf(append([]byte(fmt.Sprint(p.exists)), p.text...)).String(), Steps: []store.Step{}}}
	pl.edits = policyEdits{names: p.names(), writes: map[string][]byte{}, doc: p.doc}
	pl.plan.Changes(want, pl.change)
	return pl, nil
}

func (pl *policyPlanner) holds(fp store.Fingerprint) (list []installed) {
	for _, i := range pl.p.install {
		if i.cert != nil && i.cert.SHA256 == fp && slices.Contains(pl.edits.names, i.name) {
			list = append(list, i)
		}
	}
	return list
}

func (pl *policyPlanner) change(c store.Change) error {
	if c.Item == nss.LinkItem {
		return pl.link(c)
	}
	if err := c.Check(); err != nil {
		return err
	}
	held := pl.holds(c.Fingerprint)
	if c.Absent {
		return pl.remove(c, held)
	}
	if c.Trust == nil {
		if len(held) == 0 && c.DER != nil {
			return store.Because(store.ErrUnsupported, "what a policy names is trusted: it cannot hold a certificate without trusting it")
		}
		if len(held) == 0 {
			return store.Because(store.ErrNotFound, "the policies do not name it")
		}
		return nil
	}
	t := c.Trust.Normal()
	if len(t) != 1 || t[0].Purpose != store.PurposeAny || t[0].Decision != store.Trusted && t[0].Decision != store.Peer || len(t[0].Hosts) > 0 || !t[0].DistrustAfter.IsZero() {
		return &store.Error{Err: store.Because(store.ErrUnsupported, "a policy can only have a certificate trusted, without limits"),
			Hint: "change the profiles themselves: --store 'nss:*'"}
	}
	if len(held) > 0 {
		return nil
	}
	if c.DER == nil {
		return store.Because(store.ErrNotFound, "the policies do not name it, so the certificate itself is needed")
	}
	cert := c.Cert()
	if t[0].Decision == store.Peer && cert.IsCA() {
		return store.Because(store.ErrUnsupported, "a policy cannot have an authority trusted for itself alone")
	}
	if cert.Version == 0 {
		return store.Because(store.ErrInput, "it is not a certificate: its structure cannot be read")
	}
	name := path.Join(path.Dir(pl.p.path), ownPrefix+c.Fingerprint.String()+".pem")
	if back := c.Item; back != "" {
		if i := pl.p.resolve(pl.s.host, back); i.cert != nil && i.cert.SHA256 == c.Fingerprint {
			name = back
		}
	}
	files := []string{pl.p.path}
	if path.IsAbs(name) && strings.HasPrefix(path.Base(name), ownPrefix) {
		files = append(files, name)
		pl.edits.writes[name] = certfile.EncodePEM(cert)
	}
	if slices.Contains(pl.edits.names, name) {
		return nil // wanted twice
	}
	pl.edits.names = append(pl.edits.names, name)
	// The order means nothing: what is ours comes last, in an order that does
	// not depend on what was done when.
	slices.SortStableFunc(pl.edits.names, func(a, b string) int {
		own := func(name string) string {
			if strings.HasPrefix(path.Base(name), ownPrefix) {
				return "1" + name
			}
			return "0"
		}
		return strings.Compare(own(a), own(b))
	})
	pl.add(store.Step{Action: store.ActionAdd, Fingerprint: c.Fingerprint, Label: cert.Label(), Files: files, Before: &store.State{},
		After: &store.State{Present: true, Trust: store.TrustFor(store.Trusted, store.PurposeAny)}},
		store.Change{Fingerprint: c.Fingerprint, Absent: true})
	return nil
}

func (pl *policyPlanner) add(step store.Step, undo store.Change) {
	step.Elevated = pl.s.info.Access.Write != nil && pl.s.info.Access.Write.Kind == store.NeedsElevation
	pl.plan.Steps = append(pl.plan.Steps, step)
	pl.plan.Undo = append(pl.plan.Undo, undo)
	pl.plan.Notice("Firefox heeds policies when it is started")
}

// holding returns the profiles of the user that hold a certificate, as far as
// they can be read.
func holding(ctx context.Context, h *host.Host, fp store.Fingerprint) (ids []string) {
	stores, _ := DetectUser(ctx, h)
	for _, s := range stores {
		if s.Info().Access.Read != nil {
			continue
		}
		for e, err := range s.Entries(ctx) {
			if err == nil && e.Cert != nil && e.Cert.SHA256 == fp {
				ids = append(ids, string(s.Info().ID))
				break
			}
		}
	}
	return ids
}

func (pl *policyPlanner) remove(c store.Change, held []installed) error {
	for _, i := range held {
		if c.Item != "" && c.Item != i.name && c.Item != i.path {
			continue
		}
		files := []string{pl.p.path}
		own := strings.HasPrefix(path.Base(i.path), ownPrefix)
		if own {
			files = append(files, i.path)
			pl.edits.drops = append(pl.edits.drops, i.path)
		}
		pl.edits.names = slices.DeleteFunc(pl.edits.names, func(name string) bool { return name == i.name })
		trust := store.TrustFor(store.Trusted, store.PurposeAny)
		undo := store.Change{Fingerprint: c.Fingerprint, DER: i.cert.Raw, Trust: &trust, Item: i.name}
		if own {
			undo.Item = ""
		}
		pl.add(store.Step{Action: store.ActionRemove, Fingerprint: c.Fingerprint, Label: i.cert.Label(), Files: files,
			Before: &store.State{Present: true, Trust: trust}, After: &store.State{}}, undo)
		pl.plan.Notice("profiles that were used while the policy was in force have imported the certificate and keep it: remove it there too (--store 'nss:*')")
		if holders := holding(pl.ctx, pl.s.host, c.Fingerprint); len(holders) > 0 {
			pl.plan.Notice("it is in %s", strings.Join(holders, ", "))
		}

	}
	return nil
}

// link makes Firefox follow the system's store, or no longer.
func (pl *policyPlanner) link(c store.Change) error {
	keys, value, on := rootsKeys, encodeJSON(true), pl.p.roots == "true"
	if pl.s.host.OS == "linux" {
		module := nss.Module(pl.s.host)
		keys, value, on = deviceKeys, encodeJSON(module), pl.p.linked || c.Absent && pl.p.named
		if module == "" && !c.Absent {
			return &store.Error{Err: store.Because(store.ErrToolMissing, "p11-kit's module is not installed"), Hint: "install it: apt-get install p11-kit-modules"}
		}
	}
	if c.Absent != on {
		return nil
	}
	label := "follow the system's store"
	if c.Absent {
		value, label = nil, "no longer follow the system's store"
	}
	doc, err := pl.edits.doc.set(value, keys...)
	if err != nil {
		return err
	}
	if c.Absent && len(doc.in(keys[:len(keys)-1]...)) == len(pl.edits.doc.in(keys[:len(keys)-1]...)) && value == nil {
		return store.Because(store.ErrUnsupported, "%s makes Firefox follow the system's store in a way of its own", pl.p.path)
	}
	pl.edits.doc = doc
	pl.add(store.Step{Action: store.ActionLink, Label: label, Files: []string{pl.p.path}}, store.Change{Item: nss.LinkItem, Absent: !c.Absent})
	return nil
}

// Apply plans again, and does it if the steps are the same.
func (s *FirefoxPolicy) Apply(ctx context.Context, p store.Plan) (store.Receipt, error) {
	if err := p.Check(s.info.ID); err != nil {
		return store.Receipt{}, s.fail("apply", err)
	}
	if !p.Empty() {
		if err := s.info.Access.Write.Err("apply", s.info.ID); err != nil {
			return store.Receipt{}, err
		}
		if err := ctx.Err(); err != nil {
			return store.Receipt{}, s.fail("apply", err)
		}
		unlock, err := s.host.Lock(ctx, path.Join(s.host.StateDir(store.ScopeSystem), "policy.lock"), policyWait, "changing Firefox's policies")
		if err != nil {
			return store.Receipt{}, s.fail("apply", err)
		}
		defer unlock()
	}
	pl, err := s.planner(ctx, p.Want)
	switch {
	case err != nil:
	case !p.SameSteps(pl.plan):
		err = store.ErrStale
	case pl.plan.Empty():
		return store.Receipt{Store: s.info.ID}, nil
	default:
		err = pl.write()
	}
	if err != nil {
		return store.Receipt{}, s.fail("apply", err)
	}
	return store.Receipt{Store: s.info.ID, Done: pl.plan.Steps, Undo: pl.plan.Undo, Notices: pl.plan.Notices}, nil
}

// write writes new certificates, then the policies, then takes out what is no
// longer named: at no time does a policy name what is not there.
func (pl *policyPlanner) write() (err error) {
	h, p := pl.s.host, pl.p
	var install json.RawMessage
	if len(pl.edits.names) > 0 {
		install = encodeJSON(pl.edits.names)
	}
	doc, err := pl.edits.doc.set(install, installKeys...)
	if err != nil {
		return err
	}
	var made []string
	defer func() {
		if err == nil {
			return
		}
		for _, file := range made {
			err = errors.Join(err, h.Remove(file))
		}
	}()
	if err := h.MkdirAll(path.Dir(p.path), 0o755); err != nil {
		return err
	}
	for _, file := range slices.Sorted(maps.Keys(pl.edits.writes)) {
		if now, err := h.ReadFile(file, maxCertificate); err == nil && string(now) == string(pl.edits.writes[file]) {
			continue
		}
		if err := h.WriteFile(file, pl.edits.writes[file], host.WriteOptions{Mode: 0o644, ForceMode: true}); err != nil {
			return err
		}
		made = append(made, file)
	}
	text := doc.pretty()
	if len(doc) == 0 && p.exists {
		// An empty file would keep the other places from being looked at.
		if err := h.Remove(p.path); err != nil {
			return err
		}
	} else if err := h.WriteFile(p.path, text, host.WriteOptions{Mode: 0o644}); err != nil {
		return err
	}
	now := readFirefoxPolicy(h)
	if now.err != nil || len(doc) > 0 && string(now.text) != string(text) {
		back := p.restore(h)
		return errors.Join(store.Because(store.ErrFailed, "what is read back from %s is not what was written", p.path), back)
	}
	gone := map[string][]byte{}
	for _, file := range pl.edits.drops {
		text, err := h.ReadFile(file, maxCertificate)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = h.Remove(file)
		}
		if err == nil {
			gone[file] = text
			continue
		}
		back := p.restore(h)
		for _, file := range slices.Sorted(maps.Keys(gone)) {
			back = errors.Join(back, h.WriteFile(file, gone[file], host.WriteOptions{Mode: 0o644, ForceMode: true}))
		}
		if back != nil {
			return store.Because(store.ErrPartial, "%w; and %s could not be put back: %w", err, p.path, back)
		}
		return err
	}
	return nil
}

// restore puts the policies back.
func (p *firefoxPolicy) restore(h *host.Host) error {
	if !p.exists {
		return h.Remove(p.path)
	}
	return h.WriteFile(p.path, p.text, host.WriteOptions{Mode: 0o644})
}
