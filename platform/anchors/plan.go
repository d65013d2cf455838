package anchors

import (
	"bytes"
	"context"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// edits is what a plan comes down to.
type edits struct {
	writes  map[string][]byte // files, by path
	removes []string          // files and links, by path
	drops   []string          // names of links in the hash directory that go, with the hash links to them
	moves   moves
	renew   []string // names of links that the tool shall make anew
	lines   []string // what the hooks are told: "-" and the path of a link
	rebuild bool

	have []store.Fingerprint // afterwards trusted
	lack []store.Fingerprint // afterwards not
}

func (e edits) clone() edits {
	e.writes = maps.Clone(e.writes)
	e.removes, e.drops, e.renew, e.lines = slices.Clip(e.removes), slices.Clip(e.drops), slices.Clip(e.renew), slices.Clip(e.lines)
	e.moves = slices.Clip(e.moves)
	e.have, e.lack = slices.Clip(e.have), slices.Clip(e.lack)
	return e
}

// planner turns changes into steps and edits.
type planner struct {
	s     *Store
	st    *state
	java  *javaStore
	plan  store.Plan
	edits edits
	again bool // what is generated was made once

	engine struct{ known, native bool } // who generates it
}

// native reports whether it is the native engine that generates what follows.
func (p *planner) native() bool {
	if !p.engine.known {
		p.engine.native, _ = p.s.native(p.st)
		p.engine.known = true
	}
	return p.engine.native
}

func (s *Store) newPlanner(ctx context.Context) (*planner, error) {
	st, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	return &planner{
		s: s, st: st, java: s.readJava(),
		plan:  store.Plan{Store: s.info.ID, Steps: []store.Step{}},
		edits: edits{writes: map[string][]byte{}},
	}, nil
}

// Plan returns the steps to what is wanted.
func (s *Store) Plan(ctx context.Context, want []store.Change) (store.Plan, error) {
	p, err := s.newPlanner(ctx)
	if err != nil {
		return store.Plan{}, s.fail("plan", "", err)
	}
	p.plan.Basis = p.st.digest()
	p.changes(want)
	return p.plan, nil
}

func (p *planner) changes(want []store.Change) {
	p.plan.Changes(want, func(c store.Change) error {
		before := p.edits.clone()
		err := p.change(c)
		if err != nil {
			p.edits = before // nothing of what is refused is done
		}
		return err
	})
	p.finish()
}

// finish adds the step that all changes share, and says what else it brings.
func (p *planner) finish() {
	if !p.edits.rebuild {
		return
	}
	p.plan.Steps = append(p.plan.Steps, store.Step{
		Action: store.ActionRebuild, Files: []string{p.s.family.bundle, p.s.family.hashDir},
		Commands: p.commands(), Elevated: p.s.host.EUID != 0,
	})
	if !p.s.host.Live && p.s.hasJava() {
		p.plan.Notice("Java's key store %s is not changed from outside: in the system itself, run %s", p.s.family.java.path, p.javaCommand())
	}
	after := p.st.expected()
	for _, a := range p.st.anchors {
		if p.edits.moves.sets(a.path) {
			continue
		}
		for _, c := range a.certs() {
			if a.enabled && !a.der && !p.st.inBundle[c.SHA256] && after[c.SHA256] && !slices.Contains(p.edits.have, c.SHA256) && !slices.Contains(p.edits.lack, c.SHA256) {
				p.plan.Notice("the update also brings in \"%s\" (%s), which lies in %s", store.Printable(c.Label()), c.SHA256.Short(), store.Printable(a.path))
			}
		}
	}
	for _, c := range plainCerts(p.st.bundle) {
		if !after[c.SHA256] && !slices.Contains(p.edits.lack, c.SHA256) && !slices.Contains(p.edits.have, c.SHA256) {
			p.plan.Notice("the update also drops \"%s\" (%s), which comes from no anchor", store.Printable(c.Label()), c.SHA256.Short())
		}
	}
}

// commands returns the programs that the update will run: the tool, or the hooks
// where the native engine does what the tool does, or nothing in an offline root.
func (p *planner) commands() (run [][]string) {
	if !p.s.host.Live {
		return nil
	}
	if !p.native() {
		return [][]string{p.s.family.command()}
	}
	hooks, _ := p.s.hooks() // an error is told when they are to be run
	for _, hook := range hooks {
		run = append(run, []string{hook})
	}
	return run
}

// javaCommand returns what is to be run in a system so that Java's key store
// follows the plan.
func (p *planner) javaCommand() string {
	lines := slices.Clone(p.edits.lines)
	for _, name := range p.edits.renew {
		lines = append(lines, "+"+p.s.link(name))
	}
	lines = slices.DeleteFunc(lines, func(l string) bool { return l == "" })
	quoted := make([]string, len(lines))
	for i, l := range lines {
		quoted[i] = "'" + strings.ReplaceAll(store.Printable(l), "'", `'\''`) + "'"
	}
	return "printf '%s\\n' " + strings.Join(quoted, " ") + " | " + p.s.family.java.hook
}

// change plans one change. The error says why it cannot be.
func (p *planner) change(c store.Change) error {
	if c.Aside != "" {
		return p.edits.moves.bringBack(&p.s.base, &p.plan, c)
	}
	if err := c.Check(); err != nil {
		return err
	}
	if c.Absent {
		return p.withdraw(c, true)
	}
	if c.Trust == nil {
		if c.Label != nil {
			p.plan.Notice("this store keeps no labels")
		}
		if c.DER != nil && p.find(c.Fingerprint) == nil {
			return errOnlyTrusted
		}
		return nil
	}
	switch decision, err := onlyDecision(*c.Trust); {
	case err != nil:
		return err
	case decision == store.Distrusted:
		return p.withdraw(c, false)
	}
	return p.entrust(c)
}

var errOnlyTrusted = store.Because(store.ErrUnsupported, "this store trusts what it holds: it cannot hold a certificate without trusting it")

func wantedPurposes(t store.Trust) string {
	var names []string
	for _, r := range t {
		names = append(names, string(r.Purpose))
	}
	return strings.Join(names, ", ")
}

// find returns the certificate of a fingerprint, nil if the store lacks it.
func (p *planner) find(fp store.Fingerprint) *store.Cert {
	files := []*certfile.File{p.st.bundle}
	for _, a := range p.st.anchors {
		files = append(files, a.file)
	}
	for _, x := range p.st.strays {
		files = append(files, x.file)
	}
	for _, f := range files {
		if f == nil {
			continue
		}
		for _, item := range f.Items {
			if item.Cert.SHA256 == fp {
				return item.Cert
			}
		}
	}
	return nil
}

// state returns how a certificate stands now.
func (p *planner) state(fp store.Fingerprint) store.State {
	st := store.State{}
	for _, a := range p.st.anchors {
		if holds(a.file, fp) {
			st.Present = true
			if a.listed && !a.enabled {
				st.Trust = store.TrustFor(store.Distrusted, store.PurposeAny)
			}
		}
	}
	if p.st.inBundle[fp] || p.inStray(fp) {
		st.Present = true
		st.Trust = store.TrustFor(store.Trusted, store.PurposeAny)
	}
	return st
}

func (p *planner) inStray(fp store.Fingerprint) bool {
	return slices.ContainsFunc(p.st.strays, func(x stray) bool { return holds(x.file, fp) })
}

// sound reports whether an anchor makes its one certificate trusted by every
// reader.
func (a anchor) sound() bool {
	return a.err == nil && a.enabled && !a.der && len(a.file.Items) == 1 && !a.file.Items[0].TrustedLabel &&
		len(a.file.Notices) == 0 && forEverybody(a.mode)
}

// entrust plans to make a certificate trusted.
func (p *planner) entrust(c store.Change) error {
	cert := p.find(c.Fingerprint)
	if c.DER != nil {
		cert = c.Cert()
	}
	if cert == nil {
		return store.Because(store.ErrNotFound, "the store does not hold it, so the certificate itself is needed")
	}
	if cert.Version == 0 {
		return store.Because(store.ErrInput, "it is not a certificate: its structure cannot be read")
	}
	step := store.Step{Action: store.ActionAdd, Fingerprint: c.Fingerprint, Label: cert.Label(), Elevated: p.s.host.EUID != 0}
	before := p.state(c.Fingerprint)
	step.Before, step.After = &before, &store.State{Present: true, Trust: store.TrustFor(store.Trusted, store.PurposeAny)}
	undo := store.Change{Fingerprint: c.Fingerprint, Absent: true}

	p.edits.have = append(p.edits.have, c.Fingerprint)
	for _, a := range p.st.anchors {
		if !holds(a.file, c.Fingerprint) || !a.sound() || c.Item != "" && c.Item != a.path {
			continue
		}
		name := linkName(a.path, p.s.family.suffix)
		switch {
		case !p.st.indexed[c.Fingerprint] && p.s.shadowed(p.st, a):
			continue // no update will give it a link
		case !p.st.inBundle[c.Fingerprint] || !p.st.indexed[c.Fingerprint]:
			// It is an anchor, and was not built in (fully).
			step.Action = store.ActionRebuild
			step.Files = []string{p.s.family.bundle}
			p.buildIn(&step, name, cert)
			undo.Absent = !a.vendor
			if a.vendor {
				distrusted := store.TrustFor(store.Distrusted, store.PurposeAny)
				undo.Trust = &distrusted
			}
		case p.java.lacks(cert):
			step.Action = store.ActionRebuild
			step.Files = []string{p.s.family.java.path}
			p.edits.lines = append(p.edits.lines, "+"+p.s.link(name))
			undo = store.Change{}
		default:
			return nil
		}
		p.add(step, undo)
		return nil
	}
	for _, a := range p.st.anchors {
		if a.vendor && !a.enabled && a.err == nil && !a.der && len(a.file.Items) == 1 && holds(a.file, c.Fingerprint) && canBeListed(a.line) {
			step.Action = store.ActionTrust
			step.Files = []string{p.s.family.vendorConf}
			p.editConf(a.line, true)
			p.edits.rebuild = true
			distrusted := store.TrustFor(store.Distrusted, store.PurposeAny)
			p.add(step, store.Change{Fingerprint: c.Fingerprint, Trust: &distrusted})
			return nil
		}
	}
	file, content := p.s.ownPath(c.Fingerprint), certfile.EncodePEM(cert)
	if c.Item != "" {
		var err error
		if file, content, err = p.restore(c, content); err != nil {
			return err
		}
	}
	for _, a := range p.st.anchors {
		if a.path == file {
			return &store.Error{Path: file, Err: store.Because(store.ErrConflict, "there is another file of that name"),
				Hint: "look what it is, and move it away"}
		}
	}
	step.Files = []string{file}
	p.edits.writes[file] = content
	p.renew(linkName(file, p.s.family.suffix))
	p.add(step, undo)
	return nil
}

// restore returns where and with which content an anchor is put back.
func (p *planner) restore(c store.Change, content []byte) (string, []byte, error) {
	dir := p.s.family.adminDir + "/"
	if path.Clean(c.Item) != c.Item || !strings.HasPrefix(c.Item, dir) || !strings.HasSuffix(c.Item, p.s.family.suffix) || strings.ContainsAny(c.Item, "\n\r\x00") {
		return "", nil, store.Because(store.ErrInput, "%s is no place for an anchor", store.Printable(c.Item))
	}
	if c.Content == nil {
		return c.Item, content, nil
	}
	f := certfile.ReadPEM(c.Content)
	if len(f.Items) != 1 || len(f.Notices) > 0 || f.Items[0].TrustedLabel || f.Items[0].Cert.SHA256 != c.Fingerprint {
		return "", nil, store.Because(store.ErrInput, "the content for %s is not this certificate alone", store.Printable(c.Item))
	}
	return c.Item, c.Content, nil
}

func (p *planner) add(step store.Step, undo store.Change) {
	p.plan.Steps = append(p.plan.Steps, step)
	if !undo.Fingerprint.IsZero() {
		p.plan.Undo = append(p.plan.Undo, undo)
	}
}

func (p *planner) renew(name string) {
	p.edits.renew = append(p.edits.renew, name)
	p.edits.rebuild = true
}

// buildIn plans to have an anchor built in that is there already. Its link
// stays where programs find the certificate by it: Java's hook is told of it
// then, if it has to be.
func (p *planner) buildIn(step *store.Step, name string, c *store.Cert) {
	switch {
	case !p.st.indexed[c.SHA256]:
		p.renew(name)
		step.Files = append(step.Files, p.s.link(name))
	case p.java.lacks(c):
		p.edits.lines = append(p.edits.lines, "+"+p.s.link(name))
	}
	p.edits.rebuild = true
}

func (s *base) link(name string) string { return s.family.hashDir + "/" + name }

// noList begins what is said where a certificate is to be distrusted and the
// store can only take it out.
const noList = "this store has no list of distrusted certificates: "

// withdraw plans to make a certificate not trusted: with gone, that nothing of
// it is left; otherwise the vendor's files stay and are disabled.
func (p *planner) withdraw(c store.Change, gone bool) error {
	fp := c.Fingerprint
	cert := p.find(fp)
	if cert == nil {
		if !gone {
			p.plan.Notice(noList+"%s is not in it, and that is all it can say", fp.Short())
		}
		p.dropJavaOrphan(fp)
		return nil
	}
	step := store.Step{Action: store.ActionRemove, Fingerprint: fp, Label: cert.Label(), Elevated: p.s.host.EUID != 0}
	before := p.state(fp)
	step.Before, step.After = &before, &store.State{}
	trusted := store.TrustFor(store.Trusted, store.PurposeAny)
	var undo []store.Change
	vendor, stays := false, false
	for _, a := range p.st.anchors {
		if !holds(a.file, fp) {
			continue
		}
		switch {
		case c.Item != "" && c.Item != a.path:
			stays = stays || a.enabled && !a.der
		case a.vendor && !a.enabled:
			vendor = true
		case a.vendor && gone:
			return &store.Error{Path: a.path, Err: store.Because(store.ErrManaged, "it belongs to the vendor, whose next update would bring it back"),
				Hint: "distrust it instead: certtrust distrust " + fp.String()}
		case a.vendor && len(a.file.Items) > 1:
			return &store.Error{Path: a.path, Err: store.Because(store.ErrUnsupported, "the vendor's file holds other certificates too, which would be distrusted with it")}
		case a.vendor:
			vendor = true
			step.Action, step.After = store.ActionTrust, &store.State{Present: true, Trust: store.TrustFor(store.Distrusted, store.PurposeAny)}
			step.Files = append(step.Files, p.s.family.vendorConf)
			p.editConf(a.line, false)
			p.dropLink(a.path)
			undo = append(undo, store.Change{Fingerprint: fp, Trust: &trusted})
		default:
			back, err := p.takeOut(a, fp)
			if err != nil {
				return err
			}
			step.Files = append(step.Files, a.path)
			undo = append(undo, store.Change{Fingerprint: fp, DER: cert.Raw, Trust: &trusted, Item: back.item, Content: back.content})
		}
	}
	for _, x := range p.st.strays {
		if !holds(x.file, fp) || x.stale {
			continue
		}
		if c.Item != "" && c.Item != x.path {
			stays = true
			continue
		}
		if err := p.takeOutStray(x, fp); err != nil {
			return err
		}
		step.Files = append(step.Files, x.path)
		if len(undo) == 0 {
			undo = append(undo, store.Change{Fingerprint: fp, DER: cert.Raw, Trust: &trusted})
		}
	}
	if len(step.Files) == 0 && p.st.inBundle[fp] && c.Item == "" { // a leftover of the bundle
		step.Files = []string{p.s.family.bundle}
		undo = append(undo, store.Change{Fingerprint: fp, DER: cert.Raw, Trust: &trusted})
	}
	if len(step.Files) == 0 {
		return nil
	}
	if stays {
		step.After = &before // by what else holds it
	} else {
		p.edits.lack = append(p.edits.lack, fp)
		p.dropJava(fp)
	}
	if !gone && !vendor {
		p.plan.Notice(noList+"\"%s\" is removed from it", store.Printable(cert.Label()))
	}
	p.edits.rebuild = true
	p.plan.Steps = append(p.plan.Steps, step)
	p.plan.Undo = append(p.plan.Undo, undo...)
	return nil
}

// takeOutStray plans to take a certificate out of what is in the hash
// directory. Of a file elsewhere only the links to it go.
func (p *planner) takeOutStray(x stray, fp store.Fingerprint) error {
	if x.to == "" {
		_, err := p.takeOut(anchor{path: x.path, raw: x.raw, file: x.file}, fp)
		return err
	}
	if len(x.file.Items) > 1 {
		return &store.Error{Path: x.path, Err: store.Because(store.ErrUnsupported, "the link leads to other certificates too, which would be removed with it"),
			Hint: "take it out of " + store.Printable(x.to)}
	}
	for _, name := range x.names {
		p.drop(name)
	}
	return nil
}

// original is where an anchor was and what it held, if that can be kept.
type original struct {
	item    string
	content []byte
}

// takeOut plans to take a certificate out of a file: the file goes if it holds
// nothing else. Private keys are neither deleted nor written.
func (p *planner) takeOut(a anchor, fp store.Fingerprint) (original, error) {
	raw, file := a.raw, a.file
	if data, edited := p.edits.writes[a.path]; edited { // by another change of this plan
		raw, file = data, certfile.ReadPEM(data)
	}
	if slices.ContainsFunc(file.Notices, func(n certfile.Notice) bool { return n.Code == certfile.PrivateKey }) {
		return original{}, &store.Error{Path: a.path, Err: store.Because(store.ErrConflict, "the file also holds a private key"),
			Hint: "move the key elsewhere, if it is still needed, and take it out of the file"}
	}
	others := slices.DeleteFunc(slices.Clone(file.Items), func(i certfile.Item) bool { return i.Cert.SHA256 == fp })
	if len(others) == 0 {
		delete(p.edits.writes, a.path)
		p.edits.removes = append(p.edits.removes, a.path)
		p.dropLink(a.path)
		back := original{}
		if path.Dir(a.path) != p.s.family.hashDir && a.path != p.s.ownPath(fp) {
			back.item = a.path
			if len(file.Items) == 1 && len(file.Notices) == 0 && !a.der && len(a.file.Items) == 1 {
				back.content = a.raw
			}
		}
		return back, nil
	}
	if a.der {
		return original{}, &store.Error{Path: a.path, Err: store.Because(store.ErrUnsupported, "the file holds several certificates and is not PEM, so one cannot be taken out of it"),
			Hint: "replace the file by one for each certificate"}
	}
	var out bytes.Buffer
	at := 0
	for _, item := range file.Items {
		if item.Cert.SHA256 == fp {
			out.Write(raw[at:item.Start])
			at = item.End
		}
	}
	out.Write(raw[at:])
	p.edits.writes[a.path] = out.Bytes()
	p.dropLink(a.path)
	return original{}, nil
}

// dropLink plans to drop the links to an anchor.
func (p *planner) dropLink(file string) {
	name := linkName(file, p.s.family.suffix)
	if path.Dir(file) == p.s.family.hashDir {
		name = path.Base(file)
	} else if p.st.links[name] != file {
		return
	}
	p.drop(name)
}

// drop plans to drop a link, and to tell the hooks.
func (p *planner) drop(name string) {
	if !slices.Contains(p.edits.drops, name) {
		p.edits.drops = append(p.edits.drops, name)
		p.edits.lines = append(p.edits.lines, "-"+p.s.link(name))
	}
}

// editConf plans to enable or disable a name of the vendor's list.
func (p *planner) editConf(name string, enable bool) {
	conf, edited := p.edits.writes[p.s.family.vendorConf]
	if !edited {
		conf = p.st.conf
	}
	p.edits.writes[p.s.family.vendorConf] = setConf(conf, name, enable)
}
