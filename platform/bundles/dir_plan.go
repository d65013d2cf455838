package bundles

import (
	"encoding/json"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// dirPlan turns changes into steps and the directory as it will be.
type dirPlan struct {
	*dirState
	d       *Dir
	before  *dirState
	plan    store.Plan
	touched map[string]bool // names that are written, made or removed
}

func (st *dirState) clone() *dirState {
	c := *st
	c.members, c.links = maps.Clone(st.members), maps.Clone(st.links)
	return &c
}

func (d *Dir) planFor(st *dirState, want []store.Change) *dirPlan {
	p := &dirPlan{dirState: st.clone(), d: d, before: st, touched: map[string]bool{},
		plan: store.Plan{Store: d.info.ID, Basis: st.digest(), Steps: []store.Step{}}}
	p.plan.Changes(want, func(c store.Change) error {
		was, plan, touched := p.dirState.clone(), p.plan, maps.Clone(p.touched)
		err := p.change(c)
		if err != nil {
			p.dirState, p.plan, p.touched = was, plan, touched
		}
		p.uncovered(was, c.Fingerprint)
		return err
	})
	return p
}

// uncovered tells of certificates that a change makes known, too: those whose
// numbers had come after a gap.
func (p *dirPlan) uncovered(was *dirState, f store.Fingerprint) {
	if !p.hashed {
		return
	}
	before, now := was.found(), p.found()
	for _, name := range slices.Sorted(maps.Keys(p.members)) {
		if p.members[name].text == nil {
			continue
		}
		for _, b := range p.members[name].blocks {
			if s := b.cert.SHA256; s != f && now[s] && !before[s] {
				before[s] = true
				p.plan.Notice("OpenSSL will find %s (%s), too: a gap in the numbers before its link is closed", store.Printable(b.cert.Label()), s.Short())
			}
		}
	}
}

// keptFile is what is remembered of a certificate that was taken out: the file
// or the part of it, and the names by hash, so that all of it can be as it was.
type keptFile struct {
	Name  string      `json:"name"`
	Text  []byte      `json:"text"`
	Start int         `json:"start"`
	Part  bool        `json:"part,omitempty"` // the file has others
	Mode  fs.FileMode `json:"mode,omitempty"`
	Links []string    `json:"links,omitempty"`
}

func (p *dirPlan) change(c store.Change) error {
	if err := c.Check(); err != nil {
		return err
	}
	if _, is := p.links[c.Item]; is && c.Absent {
		return p.unlink(c)
	}
	var in []string // the files that hold it
	var cert *store.Cert
	reached := p.found()[c.Fingerprint]
	for _, name := range slices.Sorted(maps.Keys(p.members)) {
		m := p.members[name]
		if m.text == nil || c.Item != "" && c.Item != name && c.Item != path.Join(p.d.path, name) {
			continue
		}
		for _, b := range m.blocks {
			if b.cert.SHA256 == c.Fingerprint {
				cert = b.cert
				if !slices.Contains(in, name) {
					in = append(in, name)
				}
			}
		}
	}
	switch {
	case c.Absent && cert == nil:
		return nil
	case c.Absent:
		return p.remove(c.Fingerprint, in)
	case cert == nil && c.DER == nil:
		return store.Because(store.ErrNotFound, "the directory does not hold it, so the certificate itself is needed")
	case cert == nil:
		cert = c.Cert()
	}
	wanted, err := c.AnchorOnly(cert, reached)
	switch {
	case err != nil:
		return err
	case !wanted && len(in) > 0:
		p.plan.Notice("a directory cannot distrust: %s will not be in it at all", store.Printable(cert.Label()))
		return p.remove(c.Fingerprint, in)
	case !wanted:
		p.plan.Notice("a directory cannot distrust, and %s is not in it", store.Printable(cert.Label()))
		return nil
	case c.Content != nil:
		return p.restore(c, cert)
	case reached:
		return nil
	case cert.Parsed() == nil:
		return store.Because(store.ErrUnsupported, "it is not well-formed, and some programs would refuse the whole directory for it")
	}
	return p.add(cert, in)
}

// add writes a file for a certificate, or takes one that has it alone, and
// makes the link.
func (p *dirPlan) add(cert *store.Cert, in []string) error {
	name, made := ownName(cert), true
	for _, n := range in {
		if m := p.members[n]; len(m.blocks) == 1 && m.target == "" && m.format == "PEM" && hasEnding(n, linkable) {
			name, made = n, false
			break
		}
	}
	undo := store.Change{Fingerprint: cert.SHA256, Absent: true}
	var files []string
	if made {
		if err := p.put(name, certfile.EncodePEM(cert), 0o644); err != nil {
			return err
		}
		files = append(files, name)
	}
	if p.hashed {
		hash := certfile.SubjectHash(cert)
		changed, err := p.renumber(hash, name, -1)
		if err != nil {
			return err
		}
		files = append(files, changed...)
		if !made {
			undo.Item = p.linkTo(hash, name)
		}
	}
	if made && len(in) > 0 {
		undo.Item = name
	}
	p.step(store.ActionAdd, cert, files)
	p.plan.Undo = append(p.plan.Undo, undo)
	return nil
}

// put plans a new file.
func (p *dirPlan) put(name string, data []byte, mode fs.FileMode) error {
	if p.members[name] != nil || slices.Contains(p.blocked, name) || slices.Contains(p.others, name) || p.links[name].target != "" {
		return store.Because(store.ErrConflict, "something else is called %s", store.Printable(name))
	}
	m := &member{resolved: path.Join(p.d.path, name), mode: mode}
	if m.set(data); m.err != nil {
		return m.err
	}
	p.members[name], p.touched[name] = m, true
	return nil
}

// linkTo returns the link by a hash that leads to a file, "" if none does.
func (p *dirPlan) linkTo(hash, name string) string {
	for _, link := range slices.Sorted(maps.Keys(p.links)) {
		if h, _, _ := hashName(link); h == hash && p.links[link].resolved == p.members[name].resolved {
			return link
		}
	}
	return ""
}

func (p *dirPlan) step(action store.Action, cert *store.Cert, names []string) {
	slices.Sort(names)
	step := store.Step{Action: action, Fingerprint: cert.SHA256, Label: cert.Label(),
		Elevated: p.d.info.Access.Write != nil && p.d.info.Access.Write.Kind == store.NeedsElevation}
	for _, name := range slices.Compact(names) {
		step.Files = append(step.Files, path.Join(p.d.path, name))
	}
	has, no := &store.State{Present: true, Trust: trusted()}, &store.State{}
	if step.Before, step.After = no, has; action == store.ActionRemove {
		step.Before, step.After = has, no
	}
	p.plan.Steps = append(p.plan.Steps, step)
}

// renumber makes the numbers of a hash those from 0 without a gap. What has a
// number that is low enough keeps it, as with openssl rehash; add is a file
// that gets one, at the number or, if that is negative, the lowest that is free.
// It returns the names that change.
func (p *dirPlan) renumber(hash, add string, at int) (changed []string, err error) {
	type place struct {
		n     int
		link  hashLink
		fixed bool // a file, which is not moved
	}
	var have []place
	for name, l := range p.links {
		h, n, _ := hashName(name)
		if h != hash || l.resolved == "" {
			continue
		}
		if _, m := p.at(l.resolved); p.rightFor(hash, m) {
			have = append(have, place{n, l, false})
		}
	}
	for name, m := range p.members {
		if h, n, is := hashName(name); is && h == hash && p.links[name].target == "" {
			have = append(have, place{n, hashLink{"", m.resolved}, true})
		}
	}
	slices.SortFunc(have, func(a, b place) int { return a.n - b.n })
	seen := map[string]bool{}
	have = slices.DeleteFunc(have, func(x place) bool {
		twice := seen[x.link.resolved] && !x.fixed
		seen[x.link.resolved] = true
		return twice
	})
	if add != "" && !seen[p.members[add].resolved] {
		have = append(have, place{at, hashLink{add, p.members[add].resolved}, false})
	}
	out := make([]*place, len(have))
	if n := len(have) - 1; at >= 0 && n >= 0 && have[n].n == at && have[n].link.target == add {
		out[min(at, n)] = &have[n]
	}
	var rest []*place
	for i := range have {
		switch x := &have[i]; {
		case slices.Contains(out, x):
		case x.n >= 0 && x.n < len(out) && out[x.n] == nil:
			out[x.n] = x
		default:
			rest = append(rest, x)
		}
	}
	next := map[string]hashLink{}
	for n := range out {
		if out[n] == nil {
			out[n], rest = rest[0], rest[1:]
		}
		name := nameOf(hash, n)
		switch {
		case out[n].fixed && out[n].n != n:
			return nil, store.Because(store.ErrUnsupported, "%s is a file and no link, and would have to be called %s", nameOf(hash, out[n].n), name)
		case slices.Contains(p.blocked, name):
			return nil, store.Because(store.ErrConflict, "%s is neither a file nor a link", name)
		case !out[n].fixed:
			next[name] = out[n].link
		}
	}
	for name, l := range p.links {
		if h, _, _ := hashName(name); h == hash && next[name] != l {
			p.touched[name] = true
			changed = append(changed, name)
			delete(p.links, name)
		}
	}
	for name, l := range next {
		if p.links[name] != l {
			p.links[name], p.touched[name] = l, true
			changed = append(changed, name)
		}
	}
	return changed, nil
}

// rightFor reports whether a file holds a certificate with a hash.
func (p *dirPlan) rightFor(hash string, m *member) bool { return p.right(nameOf(hash, 0), m) }

// hashesOf returns the hashes by which names lead to a file.
func (p *dirPlan) hashesOf(m *member) (hashes []string) {
	for name, l := range p.links {
		if h, _, _ := hashName(name); l.resolved == m.resolved && !slices.Contains(hashes, h) {
			hashes = append(hashes, h)
		}
	}
	slices.Sort(hashes)
	return hashes
}

// linksTo returns the names of the right links that lead to a file.
func (p *dirPlan) linksTo(m *member) (names []string) {
	for name, l := range p.links {
		if l.resolved == m.resolved && p.right(name, m) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// remove takes a certificate out of all files that hold it.
func (p *dirPlan) remove(f store.Fingerprint, in []string) error {
	for _, name := range in {
		m := p.members[name]
		var its []int
		for i, b := range m.blocks {
			if b.cert.SHA256 == f {
				its = append(its, i)
			}
		}
		cert := m.blocks[its[0]].cert
		switch {
		case m.target != "":
			return &store.Error{Path: path.Join(p.d.path, name), Err: store.Because(store.ErrConflict, "%s is a link to %s, which is not in the directory", store.Printable(name), store.Printable(m.target)), Hint: "change it where it lies"}
		case m.key:
			return store.Because(store.ErrUnsupported, "%s holds a private key, too, and is left alone", store.Printable(name))
		}
		linked := p.linksTo(m)
		if len(its) < len(m.blocks) {
			if err := p.cut(name, m, cert, its, linked); err != nil {
				return err
			}
			continue
		}
		if p.aliases[name] {
			return store.Because(store.ErrConflict, "another link in the directory leads to %s", store.Printable(name))
		}
		kept := store.ContentOf(keptFile{Name: name, Text: m.data, Mode: m.mode.Perm(), Links: linked})
		hashes := p.hashesOf(m)
		if h, _, is := hashName(name); is && !slices.Contains(hashes, h) {
			hashes = append(hashes, h)
		}
		delete(p.members, name)
		p.touched[name] = true
		files := []string{name}
		for _, hash := range hashes {
			changed, err := p.renumber(hash, "", -1)
			if err != nil {
				return err
			}
			files = append(files, changed...)
		}
		if p.links[name].target != "" {
			return store.Because(store.ErrUnsupported, "%s is a file and no link, and others have numbers after it", name)
		}
		p.removed(cert, files, kept)
	}
	return nil
}

func (p *dirPlan) removed(cert *store.Cert, files []string, kept []byte) {
	trust := trusted()
	p.step(store.ActionRemove, cert, files)
	p.plan.Undo = append(p.plan.Undo, store.Change{Fingerprint: cert.SHA256, DER: cert.Raw, Trust: &trust, Content: kept})
}

// cut takes a certificate out of a file that has others.
func (p *dirPlan) cut(name string, m *member, cert *store.Cert, its []int, linked []string) error {
	if err := m.editable(); err != nil {
		return err
	}
	fp := (&File{path: m.resolved}).newPlanner(m.text)
	if err := fp.remove(its); err != nil {
		return err
	}
	hashes := p.hashesOf(m)
	next := *m
	next.text = fp.t
	p.members[name], p.touched[name] = &next, true
	files := []string{name}
	for _, hash := range hashes {
		if p.rightFor(hash, &next) {
			continue
		}
		changed, err := p.renumber(hash, "", -1)
		if err != nil {
			return err
		}
		files = append(files, changed...)
	}
	for _, u := range fp.plan.Undo {
		var part content
		if err := json.Unmarshal(u.Content, &part); err != nil {
			return err
		}
		p.removed(cert, files, store.ContentOf(keptFile{Name: name, Text: part.Text, Start: part.Start, Part: true, Links: linked}))
	}
	return nil
}

// restore puts a file, or a part of one, back.
func (p *dirPlan) restore(c store.Change, cert *store.Cert) error {
	var kept keptFile
	if err := json.Unmarshal(c.Content, &kept); err != nil {
		return store.Because(store.ErrInput, "the content that is given is not that of such a file")
	}
	back := &member{}
	back.set(kept.Text)
	not := func(b block) bool { return b.cert.SHA256 != c.Fingerprint }
	if back.err != nil || back.key || len(back.blocks) == 0 || slices.ContainsFunc(back.blocks, not) {
		return store.Because(store.ErrInput, "the content that is given is not that of this certificate")
	}
	if kept.Name == "" || strings.ContainsAny(kept.Name, "/\\\x00") || kept.Name == "." || kept.Name == ".." || strings.HasPrefix(kept.Name, host.TempPrefix) {
		return store.Because(store.ErrInput, "the content that is given has the name of no such file")
	}
	m := p.members[kept.Name]
	files := []string{kept.Name}
	undo := store.Change{Fingerprint: c.Fingerprint, Absent: true, Item: kept.Name}
	switch {
	case m != nil && m.text != nil && slices.ContainsFunc(m.blocks, func(b block) bool { return b.cert.SHA256 == c.Fingerprint }) && (kept.Part || string(m.data) == string(kept.Text)):
		files = nil
	case kept.Part && (m == nil || m.text == nil || m.target != "" || m.key):
		return store.Because(store.ErrConflict, "%s is no longer the file that it was taken out of", store.Printable(kept.Name))
	case kept.Part:
		part := store.ContentOf(content{kept.Text, kept.Start})
		fp := (&File{path: m.resolved}).newPlanner(m.text)
		if err := fp.restore(store.Change{Fingerprint: c.Fingerprint, Content: part}); err != nil {
			return err
		}
		next := *m
		next.text = fp.t
		p.members[kept.Name], p.touched[kept.Name] = &next, true
	default:
		mode := kept.Mode & 0o777
		if mode == 0 {
			mode = 0o644
		}
		if err := p.put(kept.Name, kept.Text, mode); err != nil {
			return err
		}
	}
	for _, link := range kept.Links {
		hash, n, is := hashName(link)
		if !is || !p.rightFor(hash, p.members[kept.Name]) {
			return store.Because(store.ErrInput, "the content that is given has the name of no such link")
		}
		changed, err := p.renumber(hash, kept.Name, n)
		if err != nil {
			return err
		}
		files = append(files, changed...)
	}
	if len(files) > 0 {
		p.step(store.ActionAdd, cert, files)
		p.plan.Undo = append(p.plan.Undo, undo)
	}
	return nil
}

// unlink takes a link away that a plan had made to a file that was there.
func (p *dirPlan) unlink(c store.Change) error {
	l := p.links[c.Item]
	name, m := p.at(l.resolved)
	if m == nil || m.text == nil {
		return nil
	}
	i := slices.IndexFunc(m.blocks, func(b block) bool { return b.cert.SHA256 == c.Fingerprint })
	if i < 0 {
		return nil
	}
	hash, _, _ := hashName(c.Item)
	kept := store.ContentOf(keptFile{Name: name, Text: m.data, Mode: m.mode.Perm(), Links: []string{c.Item}})
	delete(p.links, c.Item)
	p.touched[c.Item] = true
	changed, err := p.renumber(hash, "", -1)
	if err != nil {
		return err
	}
	p.removed(m.blocks[i].cert, append(changed, c.Item), kept)
	return nil
}
