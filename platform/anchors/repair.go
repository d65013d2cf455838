package anchors

import (
	"context"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// Problems yields what is wrong with the store: what its entries tell, and
// where Java's generated key store differs from it.
func (s *Store) Problems(ctx context.Context) iter.Seq2[store.Problem, error] {
	return func(yield func(store.Problem, error) bool) {
		st, err := s.read(ctx)
		if err != nil {
			yield(store.Problem{}, s.fail("read", "", err))
			return
		}
		unasked := func(anchor, *store.Cert) store.Origin { return store.Origin{} }
		if !problemsOf(func(yield func(store.Entry, error) bool) { s.entries(st, unasked, yield) }, yield) {
			return
		}
		for _, p := range s.javaProblems(st) {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func (s *Store) javaProblems(st *state) []store.Problem {
	j := s.readJava()
	if !j.follows {
		return nil
	}
	file := s.family.java.path
	if j.err != nil {
		p := problem("java-unreadable", file)
		p.Text += ": " + store.Printable(j.err.Error())
		return []store.Problem{p}
	}
	var list []store.Problem
	if s.pendingUpdate() {
		list = append(list, problem("update-pending", s.family.java.pending))
	}
	told := map[store.Fingerprint]bool{}
	add := func(code string, fp store.Fingerprint) {
		if !told[fp] {
			told[fp] = true
			p := problem(code, file)
			p.Fingerprint = &fp
			list = append(list, p)
		}
	}
	for _, a := range st.anchors {
		if a.sound() && st.inBundle[a.file.Items[0].Cert.SHA256] && j.lacks(a.file.Items[0].Cert) {
			add("java-lacks", a.file.Items[0].Cert.SHA256)
		}
	}
	expected := st.expected()
	for _, item := range j.file.Items {
		// An anchor that a spoilt bundle lacks is not one that is gone.
		if generated, _ := j.keeps(item.Cert.SHA256); generated && !st.inBundle[item.Cert.SHA256] && !expected[item.Cert.SHA256] {
			add("java-keeps", item.Cert.SHA256)
		}
	}
	return list
}

// PlanRepair plans to mend problems.
func (s *Store) PlanRepair(ctx context.Context, list []store.Problem) (store.Plan, error) {
	p, err := s.newPlanner(ctx)
	if err != nil {
		return store.Plan{}, s.fail("plan", "", err)
	}
	p.plan.Basis = p.st.digest()
	p.mend(list)
	return p.plan, nil
}

// mend plans the repair of problems. Those that are there no more are passed
// over.
func (p *planner) mend(list []store.Problem) {
	mendEach(&p.plan, list, p.s.host.EUID != 0, p.find, p.mendOne)
	p.finish()
}

// mendEach makes plan one that mends what of the list can be mended: one adds
// to a step what it does, and reports whether there is anything to do. find
// returns the certificate of a fingerprint, nil if the store lacks it.
func mendEach(plan *store.Plan, list []store.Problem, elevated bool, find func(store.Fingerprint) *store.Cert, one func(store.Problem, *store.Step) bool) {
	plan.Repair = list
	for _, x := range list {
		if !x.Mendable {
			no := store.Refused{
				Problem: x.Code, Code: store.Code(store.ErrUnsupported), Reason: x.Path + ": " + x.Text,
				Hint: "this is for a person to decide",
			}
			if !slices.Contains(plan.Refused, no) { // of a file it is told once, however many certificates it holds
				plan.Refused = append(plan.Refused, no)
			}
			continue
		}
		step := store.Step{Action: store.ActionMend, Label: x.Code + ": " + x.Text, Elevated: elevated}
		if x.Fingerprint != nil {
			step.Fingerprint = *x.Fingerprint
			if c := find(*x.Fingerprint); c != nil {
				step.Label = x.Code + ": " + c.Label() + ": " + x.Text
			}
		}
		if one(x, &step) {
			plan.Steps = append(plan.Steps, step)
		}
	}
}

// mendOne plans the repair of one problem and reports whether there is
// anything to do.
func (p *planner) mendOne(x store.Problem, step *store.Step) bool {
	s := p.s
	switch x.Code {
	case "dangling-link":
		name := path.Base(x.Path)
		if s.link(name) != x.Path || p.st.links[name] == "" || !s.dangles(p.st, name) {
			return false
		}
		if !isHashLink(name) && !s.ofTool(p.st.links[name]) { // those are made anew of what is there
			p.setAside(x.Path, []byte(p.st.links[name]), step)
		} else {
			step.Files = []string{x.Path}
		}
		p.edits.drops = append(p.edits.drops, name)
	case "stale-temporary", "stray-backup", "newline-in-name":
		return p.mendAside(x, step)
	case "private-key":
		if x.Path != s.family.bundle {
			return p.mendAside(x, step)
		}
		if !hasKey(p.st.bundle) {
			return false
		}
		step.Files = []string{x.Path}
		p.edits.rebuild = true
	case "left-behind":
		if !slices.Contains(s.leftovers(p.st), x.Path) {
			return false
		}
		step.Files = []string{x.Path}
		p.edits.removes = append(p.edits.removes, x.Path)
	case "doubled-bundle":
		if !p.st.doubled() {
			return false
		}
		step.Files = []string{x.Path}
		p.edits.rebuild = true
	case "java-lacks", "java-keeps", "update-pending":
		step.Files = []string{s.family.java.path}
		return p.mendJava(x)
	default: // the tool's work was not finished
		step.Files = []string{s.family.bundle}
		if x.Fingerprint != nil {
			return p.mendAnchor(x, *x.Fingerprint, step)
		}
		p.edits.rebuild = true
	}
	return true
}

// ofTool reports whether a link that leads to target is one as the tool makes.
func (s *Store) ofTool(target string) bool {
	return strings.HasSuffix(target, s.family.suffix) &&
		(strings.HasPrefix(target, s.family.adminDir+"/") || strings.HasPrefix(target, s.family.vendorDir+"/"))
}

func (p *planner) mendAnchor(x store.Problem, fp store.Fingerprint, step *store.Step) bool {
	if x.Code == "no-anchor" || x.Code == "still-in-bundle" {
		if !p.st.inBundle[fp] {
			return false
		}
		p.edits.rebuild = true
		p.edits.lack = append(p.edits.lack, fp)
		for _, a := range p.st.anchors {
			if !a.enabled && holds(a.file, fp) {
				p.dropLink(a.path)
			}
		}
		p.dropJava(fp)
		if cert := p.find(fp); x.Code == "no-anchor" && cert != nil {
			trusted := store.TrustFor(store.Trusted, store.PurposeAny)
			p.plan.Undo = append(p.plan.Undo, store.Change{Fingerprint: fp, DER: cert.Raw, Trust: &trusted})
		}
		return true
	}
	for _, a := range p.st.anchors {
		if a.path == x.Path && holds(a.file, fp) && !strings.ContainsAny(a.path, "\n\r") && !p.edits.moves.sets(a.path) {
			p.edits.rebuild = true
			if len(a.file.Items) == 1 {
				p.buildIn(step, linkName(a.path, p.s.family.suffix), a.file.Items[0].Cert)
			}
			return true
		}
	}
	return false
}

func (p *planner) mendJava(x store.Problem) bool {
	switch {
	case x.Code == "update-pending":
		if !p.s.pendingUpdate() {
			return false
		}
		p.edits.lines = append(p.edits.lines, "")
	case x.Fingerprint == nil:
		return false
	case x.Code == "java-keeps":
		if !p.dropJava(*x.Fingerprint) {
			return false
		}
		p.edits.lack = append(p.edits.lack, *x.Fingerprint)
	default:
		for _, a := range p.st.anchors {
			if a.sound() && holds(a.file, *x.Fingerprint) && p.java.lacks(a.file.Items[0].Cert) {
				p.edits.lines = append(p.edits.lines, "+"+p.s.link(linkName(a.path, p.s.family.suffix)))
				p.edits.have = append(p.edits.have, *x.Fingerprint)
				return true
			}
		}
		return false
	}
	return true
}
