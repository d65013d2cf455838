package keychain

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/certtrust/certtrust/store"
)

// finding is a problem, and the record by which it is mended; nil for one that
// is for a person to decide.
type finding struct {
	problem store.Problem
	key     string
}

// The codes of problems.
const (
	codeOrphan    = "orphaned-settings"    // settings without their certificate
	codeCorrupt   = "damaged-settings"     // settings that cannot be understood
	codeIdle      = "ineffective-settings" // they say trusted, and macOS ignores them
	codeMismatch  = "mismatched-settings"  // they name another issuer or serial number
	codeTwice     = "duplicate"            // the same certificate in several keychains
	codeOverruled = "overruled-settings"   // another domain says something else
)

// Problems yields what is wrong with the trust settings.
func (s *Store) Problems(ctx context.Context) iter.Seq2[store.Problem, error] {
	return func(yield func(store.Problem, error) bool) {
		st, err := s.readable(ctx)
		if err != nil {
			yield(store.Problem{}, s.fail("read", err))
			return
		}
		for _, f := range s.findings(st) {
			if !yield(f.problem, nil) {
				return
			}
		}
	}
}

// denies reports whether settings distrust something: without them more would
// be trusted than with them.
func (r *record) denies() bool {
	return r.bad != "" && r.raw != nil && r.entries == nil && r.raw[keySettings] != nil ||
		slices.ContainsFunc(r.entries, func(e entry) bool { return e.result == resultDeny || e.result == resultInvalid })
}

func orphan(r *record) finding {
	f := finding{problem: store.Problem{Code: codeOrphan, Path: r.key, Mendable: !r.denies(),
		Text: fmt.Sprintf("trust settings (%s) for a certificate that is in no keychain here, with the SHA-1 %s: they still hold for it", r.describe(), store.Printable(r.key))}}
	if f.problem.Mendable {
		f.key = r.key
	}
	return f
}

func (s *Store) findings(st *state) []finding {
	var out []finding
	if s.domain == nil {
		return nil
	}
	for _, h := range st.held {
		fp := h.cert.SHA256
		tell := func(code string, mendable bool, format string, args ...any) {
			f := finding{problem: store.Problem{Code: code, Path: h.places[0], Text: fmt.Sprintf(format, args...), Fingerprint: &fp, Mendable: mendable}}
			if mendable {
				f.key = h.sha1
			}
			out = append(out, f)
		}
		if len(h.places) > 1 && !h.lent {
			tell(codeTwice, false, "it is in a keychain more than once: %s", store.Printable(fmt.Sprint(h.places)))
		}
		r := st.settings.records[h.sha1]
		if r == nil {
			continue
		}
		self := h.self()
		switch {
		case r.bad != "":
			tell(codeCorrupt, !r.denies(), "its trust settings cannot be understood: %s", r.bad)
		case slices.ContainsFunc(r.entries, func(e entry) bool { return e.idle(self) }) || len(r.entries) == 0 && !self && !h.apple:
			tell(codeIdle, !r.denies(), "its trust settings (%s) say that it is trusted, and macOS ignores that: only self-signed certificates are taken for roots, and only others may be trusted as roots", r.describe())
		case !r.concerns(h.cert):
			tell(codeMismatch, false, "its trust settings name another issuer or serial number")
		}
		if st.other == nil {
			continue
		}
		if other := st.other.records[h.sha1]; other != nil {
			a, b := r.trust(h, st.base(h)), other.trust(h, st.base(h))
			if !a.Equal(b, h.cert.IsCA()) {
				first, heeds := "the user's are heeded by all", ""
				if s.version.since(11, 0) {
					first, heeds = "the administrator's are what Safari, Go and curl heed", ", and the user's what Chrome heeds"
				}
				tell(codeOverruled, false, "the user's trust settings (%s) and the administrator's (%s) differ: %s%s", said(a), said(b), first, heeds)
			}
		}
	}
	for _, r := range st.orphans() {
		out = append(out, orphan(r))
	}
	return out
}

func said(t store.Trust) string {
	if text := t.String(); text != "" {
		return text
	}
	return "no decision"
}

// PlanRepair returns the steps that mend problems: settings that have no
// certificate or no effect are taken out, unless they distrust something.
func (s *Store) PlanRepair(ctx context.Context, problems []store.Problem) (store.Plan, error) {
	st, err := s.readable(ctx)
	if err != nil {
		return store.Plan{}, s.fail("repair", err)
	}
	p := s.newPlanner(st)
	p.repair(problems)
	return p.plan, nil
}

func (p *planner) repair(problems []store.Problem) {
	p.plan.Repair = problems
	now := p.s.findings(p.st)
	for _, x := range problems {
		i := slices.IndexFunc(now, func(f finding) bool { return f.problem.Same(x) })
		if i < 0 {
			continue // mended already
		}
		f := now[i]
		if f.key == "" {
			p.plan.RefuseProblem(x, store.Because(store.ErrUnsupported, "this is for a person to decide: %s", f.problem.Text))
			continue
		}
		if _, twice := p.edits.records[f.key]; twice {
			continue
		}
		p.edits.records[f.key] = nil
		var fp store.Fingerprint
		if x.Fingerprint != nil {
			fp = *x.Fingerprint
		}
		p.plan.Steps = append(p.plan.Steps, store.Step{Action: store.ActionMend, Fingerprint: fp, Label: f.problem.Text, Elevated: p.elevated()})
	}
	p.finish()
}
