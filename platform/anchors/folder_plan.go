package anchors

import (
	"bytes"
	"context"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/certtrust/certtrust/platform/anchors/p11kit"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// folderEdits is what a plan for a folder comes down to.
type folderEdits struct {
	writes  map[string][]byte
	removes []string
	moves   moves
	rebuild bool
	have    []*store.Cert // afterwards trusted
	lack    []*store.Cert // afterwards in no output
}

func (e folderEdits) clone() folderEdits {
	e.writes = maps.Clone(e.writes)
	e.removes, e.moves, e.have, e.lack = slices.Clip(e.removes), slices.Clip(e.moves), slices.Clip(e.have), slices.Clip(e.lack)
	return e
}

// folderPlan turns changes into steps and edits.
type folderPlan struct {
	s     *folder
	st    *folderState
	plan  store.Plan
	edits folderEdits
}

func (s *folder) newPlan(ctx context.Context) (*folderPlan, error) {
	st, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	return &folderPlan{s: s, st: st,
		plan:  store.Plan{Store: s.info.ID, Basis: st.digest(), Steps: []store.Step{}},
		edits: folderEdits{writes: map[string][]byte{}}}, nil
}

func (p *folderPlan) planned() *store.Plan { return &p.plan }

func (p *folderPlan) changes(want []store.Change) {
	p.plan.Changes(want, func(c store.Change) error {
		before, steps, undo := p.edits.clone(), len(p.plan.Steps), len(p.plan.Undo)
		err := p.change(c)
		if err != nil {
			p.edits, p.plan.Steps, p.plan.Undo = before, p.plan.Steps[:steps], p.plan.Undo[:undo]
		}
		return err
	})
	p.finish()
}

// finish adds the step that all changes share.
func (p *folderPlan) finish() {
	f := p.s.family
	if !p.edits.rebuild || len(f.outputs) == 0 {
		return
	}
	step := store.Step{Action: store.ActionRebuild, Elevated: p.s.host.EUID != 0}
	for _, o := range f.outputs {
		there := o.kind != otherOutput && p.s.exists(o.path) && (o.kind != linkDirectory || p.s.hasHashes(o.path))
		if there || o == f.outputs[0] {
			step.Files = append(step.Files, o.path)
		}
	}
	if p.s.host.Live && p.s.host.Engine != host.EngineNative {
		step.Commands = [][]string{p.s.family.command()}
	}
	p.plan.Steps = append(p.plan.Steps, step)
	for _, x := range p.st.extras() {
		if !has(p.edits.lack, x.cert.SHA256) && !has(p.edits.have, x.cert.SHA256) {
			p.plan.Notice("the update also drops \"%s\" (%s), which comes from no anchor", store.Printable(x.cert.Label()), x.cert.SHA256.Short())
		}
	}
	for i := range p.st.trust.Certs {
		c := &p.st.trust.Certs[i]
		if meant, is := p.st.effective(c); meant && !is && !has(p.edits.have, c.SHA256) && !has(p.edits.lack, c.SHA256) {
			p.plan.Notice("the update also brings in \"%s\" (%s), which lies in %s", store.Printable(c.Label), c.SHA256.Short(), store.Printable(p.st.source(c).path))
		}
	}
}

func has(list []*store.Cert, fp store.Fingerprint) bool {
	return slices.ContainsFunc(list, func(c *store.Cert) bool { return c.SHA256 == fp })
}

// change plans one change. The error says why it cannot be.
func (p *folderPlan) change(c store.Change) error {
	if c.Aside != "" {
		return p.edits.moves.bringBack(&p.s.base, &p.plan, c)
	}
	if err := c.Check(); err != nil {
		return err
	}
	if !c.Absent && c.Trust == nil {
		if c.DER != nil && p.find(c.Fingerprint) == nil {
			return errOnlyTrusted
		}
		return nil
	}
	decision := store.Distrusted
	if !c.Absent {
		d, err := onlyDecision(*c.Trust)
		if err != nil {
			return err
		}
		decision = d
	}
	if p.s.family.declared != nil {
		return p.declare(c, decision)
	}
	switch {
	case c.Absent:
		return p.remove(c)
	case decision == store.Distrusted:
		return p.distrust(c)
	}
	return p.entrust(c)
}

// find returns the certificate of a fingerprint, nil if the store lacks it.
func (p *folderPlan) find(fp store.Fingerprint) *store.Cert {
	if c := p.st.first(fp); c != nil {
		return c.Cert
	}
	for _, x := range p.st.extras() {
		if x.cert.SHA256 == fp {
			return x.cert
		}
	}
	return nil
}

// state returns how a certificate stands now.
func (p *folderPlan) state(fp store.Fingerprint) store.State {
	c := p.st.first(fp)
	inside := len(p.st.inOutputs(fp)) > 0
	return store.State{Present: c != nil || inside, Trust: p.s.trustOf(p.st, c, inside)}
}

func (p *folderPlan) step(action store.Action, cert *store.Cert, after store.State, files ...string) {
	before := p.state(cert.SHA256)
	p.plan.Steps = append(p.plan.Steps, store.Step{Action: action, Fingerprint: cert.SHA256, Label: cert.Label(), Files: files,
		Before: &before, After: &after, Elevated: p.s.host.EUID != 0})
	p.edits.rebuild = true
}

var (
	trustedForAny    = store.TrustFor(store.Trusted, store.PurposeAny)
	distrustedForAny = store.TrustFor(store.Distrusted, store.PurposeAny)
)

// entrust plans to make a certificate trusted.
func (p *folderPlan) entrust(c store.Change) error {
	fp := c.Fingerprint
	cert := p.find(fp)
	if cert == nil && c.DER != nil {
		cert = c.Cert()
	}
	if cert == nil {
		return store.Because(store.ErrNotFound, "the store does not hold it, so the certificate itself is needed")
	}
	if cert.Version == 0 {
		return store.Because(store.ErrInput, "it is not a certificate: its structure cannot be read")
	}
	first := p.st.first(fp)
	meant, is := p.st.effective(first)
	if is && !first.Narrowed && !p.lacking(cert) {
		return nil
	}
	after := store.State{Present: true, Trust: trustedForAny}
	if meant && !first.Narrowed {
		p.step(store.ActionRebuild, cert, after, p.s.family.outputs[0].path)
		switch {
		case is: // all but what came after the bundles when an update was interrupted
		case p.st.source(first).vendor:
			p.plan.Undo = append(p.plan.Undo, store.Change{Fingerprint: fp, Trust: &distrustedForAny})
		default:
			p.plan.Undo = append(p.plan.Undo, store.Change{Fingerprint: fp, Absent: true})
		}
		p.edits.have = append(p.edits.have, cert)
		return nil
	}
	var files []string
	var undo []store.Change
	anchored := first != nil && first.Trusted && first.CA && !first.Narrowed
	for _, held := range p.st.of(fp) {
		x := p.st.source(held)
		switch {
		case x.place.list != "" && !x.enabled && canBeListed(x.line) && len(x.file.Objects) == 1:
			p.editList(x, true)
			files = append(files, x.place.list)
			undo = append(undo, store.Change{Fingerprint: fp, Trust: &distrustedForAny})
			anchored = true
		case held.Distrusted && held.DistrustedBy == x.path && !x.vendor:
			back, err := p.takeOut(x, fp)
			if err != nil {
				return err
			}
			files = append(files, x.path)
			undo = append(undo, store.Change{Fingerprint: fp, DER: cert.Raw, Trust: &distrustedForAny, Item: back.item, Content: back.content})
		case held.Distrusted:
			if !p.blockedBy(fp, held.DistrustedBy) {
				return &store.Error{Path: held.DistrustedBy, Err: store.Because(store.ErrConflict, "it is distrusted by %s, which counts more than an anchor", store.Printable(held.DistrustedBy)),
					Hint: "look what that file says, and take it out"}
			}
		}
	}
	if !anchored {
		own, content, err := p.s.ownFile(cert)
		if err != nil {
			return err
		}
		if p.s.single() {
			if own, content, err = p.inserted(c, cert); err != nil {
				return err
			}
		} else if c.Item != "" {
			if own, content, err = p.restore(c, content, own); err != nil {
				return err
			}
		}
		if !p.s.single() && p.taken(own) {
			return &store.Error{Path: own, Err: store.Because(store.ErrConflict, "there is another file of that name"), Hint: "look what it is, and move it away"}
		}
		if !p.s.single() && p.s.family.p11 && !cert.IsCA() {
			p.plan.Notice("\"%s\" is no certificate authority, and p11-kit would leave it out of every bundle: it is told that it is one", store.Printable(cert.Label()))
		}
		p.edits.writes[own] = content
		files = append(files, own)
		if len(undo) == 0 {
			undo = append(undo, store.Change{Fingerprint: fp, Absent: true})
		}
	}
	p.step(store.ActionAdd, cert, after, files...)
	if first != nil && p.plan.Steps[len(p.plan.Steps)-1].Before.Present {
		p.plan.Steps[len(p.plan.Steps)-1].Action = store.ActionTrust
	}
	p.plan.Undo = append(p.plan.Undo, undo...)
	p.edits.have = append(p.edits.have, cert)
	return nil
}

// lacking reports whether one of the outputs that are not bundles lacks an
// anchor.
func (p *folderPlan) lacking(c *store.Cert) (lacks bool) {
	if servers := (output{purpose: store.PurposeServerAuth}); p.s.family.p11 && servers.wants(p.st.first(c.SHA256)) {
		p.s.checkOthers(p, c, true, func(string, ...any) { lacks = true })
	}
	return lacks
}

// blockedBy reports whether what distrusts a certificate is a file that holds
// that certificate, and is the administrator's: it goes with the change.
func (p *folderPlan) blockedBy(fp store.Fingerprint, file string) bool {
	return slices.ContainsFunc(p.st.of(fp), func(c *p11kit.Cert) bool {
		x := p.st.source(c)
		return x.path == file && !x.vendor
	})
}

// single reports whether the family has one file and nothing else.
func (s *base) single() bool { return len(s.family.places) > 0 && s.family.places[0].file }

// inserted returns the one file of a family and what is in it with a certificate
// more: at its end, or where it was before.
func (p *folderPlan) inserted(c store.Change, cert *store.Cert) (string, []byte, error) {
	file := p.s.at(&p.s.family.places[0])
	text, edited := p.edits.writes[file]
	if !edited {
		for _, x := range p.st.sources {
			if x.path == file {
				text = x.raw
			}
		}
	}
	block := certfile.EncodePEM(cert)
	if c.Content != nil {
		f := certfile.ReadPEM(c.Content)
		if len(f.Items) != 1 || len(f.Notices) > 0 || f.Items[0].Cert.SHA256 != c.Fingerprint {
			return "", nil, store.Because(store.ErrInput, "the content is not this certificate alone")
		}
		block = c.Content
	}
	blocks := blocksOf(text)
	if n, err := strconv.Atoi(c.Item); err == nil && n > 0 && n <= len(blocks) {
		at := blocks[n-1].start
		return file, slices.Concat(text[:at], block, text[at:]), nil
	}
	text = slices.Clip(text)
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	return file, append(text, block...), nil
}

// span is where a certificate lies in a bundle, with the comment before it and
// the empty lines after it.
type span struct {
	start, end int
	cert       *store.Cert
}

func blocksOf(text []byte) []span {
	var out []span
	at := 0
	for _, item := range certfile.ReadPEM(text).Items {
		end := item.End
		for end < len(text) && (text[end] == '\n' || text[end] == '\r') {
			end++
		}
		out = append(out, span{at, end, item.Cert})
		at = end
	}
	return out
}

// taken reports whether there is a file at a path that the plan does not remove.
func (p *folderPlan) taken(file string) bool {
	if slices.Contains(p.edits.removes, file) {
		return false
	}
	_, err := p.s.host.Lstat(file)
	return err == nil
}

// restore returns where and with which content a file is put back.
func (p *folderPlan) restore(c store.Change, content []byte, own string) (string, []byte, error) {
	for i := range p.s.family.places {
		pl := &p.s.family.places[i]
		name, inside := strings.CutPrefix(c.Item, p.s.at(pl)+"/")
		if pl.vendor || pl.file || !inside || path.Clean(c.Item) != c.Item || strings.ContainsAny(name, "\n\r\x00") ||
			!pl.deep && strings.Contains(name, "/") || !pl.counts(path.Base(name)) {
			continue
		}
		if c.Content == nil {
			if p.s.family.p11 && path.Ext(own) == ".p11-kit" {
				return own, content, nil
			}
			return c.Item, content, nil
		}
		var certs []*store.Cert
		if p.s.family.p11 {
			certs = p11kit.Parse(c.Content).Certs()
		} else {
			for _, i := range certfile.ReadPEM(c.Content).Items {
				certs = append(certs, i.Cert)
			}
		}
		if len(certs) != 1 || certs[0].SHA256 != c.Fingerprint || bytes.Contains(c.Content, []byte("PRIVATE KEY")) {
			return "", nil, store.Because(store.ErrInput, "the content for %s is not this certificate alone", store.Printable(c.Item))
		}
		return c.Item, c.Content, nil
	}
	return "", nil, store.Because(store.ErrInput, "%s is no place for an anchor", store.Printable(c.Item))
}

// remove plans that nothing of a certificate is left.
func (p *folderPlan) remove(c store.Change) error {
	fp := c.Fingerprint
	if x := p.st.strayWith(fp); x != nil && (c.Item == "" || c.Item == x.path) {
		return stillTrusted(x)
	}
	cert := p.find(fp)
	if cert == nil {
		return nil
	}
	held := p.st.of(fp)
	vendor := slices.ContainsFunc(held, func(h *p11kit.Cert) bool { return p.st.source(h).vendor })
	var files []string
	var undo []store.Change
	stays := false
	for _, h := range held {
		x := p.st.source(h)
		switch {
		case c.Item != "" && c.Item != x.path && !x.place.file:
			stays = stays || h.Trusted && x.place.standing != p11kit.Blocked
		case x.vendor && h.Trusted && !h.Distrusted && x.enabled:
			return &store.Error{Path: x.path, Err: store.Because(store.ErrManaged, "it belongs to the vendor, whose next update would bring it back"),
				Hint: "distrust it instead: certtrust distrust " + fp.String()}
		case x.vendor, vendor && h.DistrustedBy == x.path && c.Item == "":
			stays = true // without that, the vendor's would be trusted
		default:
			trust := &trustedForAny
			if h.DistrustedBy == x.path {
				trust = &distrustedForAny
			}
			back, err := p.takeOut(x, fp)
			if err != nil {
				return err
			}
			files = append(files, x.path)
			undo = append(undo, store.Change{Fingerprint: fp, DER: cert.Raw, Trust: trust, Item: back.item, Content: back.content})
		}
	}
	if len(files) == 0 && len(held) == 0 && c.Item == "" { // a leftover of the bundle
		files = append(files, p.s.family.outputs[0].path)
		undo = append(undo, store.Change{Fingerprint: fp, DER: cert.Raw, Trust: &trustedForAny})
	}
	if len(files) == 0 {
		return nil
	}
	after := store.State{}
	if stays {
		after = p.state(fp)
	} else {
		p.edits.lack = append(p.edits.lack, cert)
	}
	p.step(store.ActionRemove, cert, after, files...)
	p.plan.Undo = append(p.plan.Undo, undo...)
	return nil
}

// distrust plans that a certificate is refused: by the system's list of such, or
// else by taking it out.
func (p *folderPlan) distrust(c store.Change) error {
	fp := c.Fingerprint
	if x := p.st.strayWith(fp); x != nil {
		return stillTrusted(x)
	}
	cert := p.find(fp)
	if cert == nil && c.DER != nil {
		cert = c.Cert()
	}
	first := p.st.first(fp)
	block := p.s.blockFile(fp)
	if c.Item != "" && block != "" {
		if path.Dir(c.Item) != path.Dir(block) && !p.s.family.p11 {
			return store.Because(store.ErrInput, "%s is no place for what is distrusted", store.Printable(c.Item))
		}
	}
	if block == "" {
		return p.withdraw(c, cert)
	}
	if first != nil && first.Distrusted {
		return nil
	}
	if cert == nil || cert.Version == 0 {
		return store.Because(store.ErrNotFound, "the store does not hold it, so the certificate itself is needed")
	}
	content := certfile.EncodePEM(cert)
	if c.Item != "" {
		var err error
		if block, content, err = p.restore(c, content, block); err != nil {
			return err
		}
	}
	if p.taken(block) {
		return &store.Error{Path: block, Err: store.Because(store.ErrConflict, "there is another file of that name"), Hint: "look what it is, and move it away"}
	}
	undo := store.Change{Fingerprint: fp, Absent: true}
	if before := p.state(fp); before.Trust.Has(store.Trusted) {
		undo = store.Change{Fingerprint: fp, Trust: &trustedForAny}
	} else if first != nil {
		undo = store.Change{Fingerprint: fp, Absent: true, Item: block}
	}
	p.edits.writes[block] = content
	p.edits.lack = append(p.edits.lack, cert)
	p.step(store.ActionTrust, cert, store.State{Present: true, Trust: distrustedForAny}, block)
	p.plan.Undo = append(p.plan.Undo, undo)
	return nil
}

// withdraw plans a distrust where there is no list of such: the vendor's are
// struck from its list, others are taken out.
func (p *folderPlan) withdraw(c store.Change, cert *store.Cert) error {
	fp := c.Fingerprint
	held := p.st.of(fp)
	if p.find(fp) == nil {
		p.plan.Notice(noList+"%s is not in it, and that is all it can say", fp.Short())
		return nil
	}
	vendor := false
	var files []string
	var undo []store.Change
	for _, h := range held {
		x := p.st.source(h)
		switch {
		case x.vendor && x.place.list != "" && x.enabled && len(x.file.Objects) == 1 && canBeListed(x.line):
			p.editList(x, false)
			vendor = true
			files = append(files, x.place.list)
			undo = append(undo, store.Change{Fingerprint: fp, Trust: &trustedForAny})
		case x.vendor && x.place.list != "" && !x.enabled:
			vendor = true
		case x.vendor:
			return &store.Error{Path: x.path, Err: store.Because(store.ErrUnsupported, "it belongs to the vendor, and this family has no list of distrusted certificates"),
				Hint: "remove its package, or the file"}
		default:
			back, err := p.takeOut(x, fp)
			if err != nil {
				return err
			}
			files = append(files, x.path)
			undo = append(undo, store.Change{Fingerprint: fp, DER: cert.Raw, Trust: &trustedForAny, Item: back.item, Content: back.content})
		}
	}
	if len(held) == 0 {
		files = append(files, p.s.family.outputs[0].path)
		undo = append(undo, store.Change{Fingerprint: fp, DER: cert.Raw, Trust: &trustedForAny})
	}
	if len(files) == 0 {
		return nil
	}
	after := store.State{}
	if vendor {
		after = store.State{Present: true, Trust: distrustedForAny}
	} else {
		p.plan.Notice(noList+"\"%s\" is removed from it", store.Printable(cert.Label()))
	}
	p.edits.lack = append(p.edits.lack, cert)
	p.step(store.ActionTrust, cert, after, files...)
	p.plan.Undo = append(p.plan.Undo, undo...)
	return nil
}

func (p *folderPlan) editList(x *source, enable bool) {
	list, edited := p.edits.writes[x.place.list]
	if !edited {
		list = p.st.lists[x.place.list]
	}
	p.edits.writes[x.place.list] = setConf(list, x.line, enable)
}

// takeOut plans to take a certificate out of a file: the file goes if it holds
// nothing else. Private keys are neither deleted nor written.
func (p *folderPlan) takeOut(x *source, fp store.Fingerprint) (original, error) {
	raw := x.raw
	if data, edited := p.edits.writes[x.path]; edited {
		raw = data
	}
	if slices.ContainsFunc(x.file.Notices, func(n certfile.Notice) bool { return n.Code == certfile.PrivateKey }) {
		return original{}, &store.Error{Path: x.path, Err: store.Because(store.ErrConflict, "the file also holds a private key"),
			Hint: "move the key elsewhere, if it is still needed, and take it out of the file"}
	}
	others := 0
	var key []byte
	for _, o := range x.file.Objects {
		if o.Cert != nil && o.Cert.SHA256 == fp {
			key = o.Cert.SPKI
		}
	}
	for _, o := range x.file.Objects {
		mine := o.Cert != nil && o.Cert.SHA256 == fp || o.Extension != nil && bytes.Equal(o.SPKI, key)
		if !mine {
			others++
		}
	}
	pem := certfile.ReadPEM(raw)
	if x.file.Format == "PEM" && !x.place.file {
		others = len(slices.DeleteFunc(slices.Clone(pem.Items), func(i certfile.Item) bool { return i.Cert.SHA256 == fp }))
	}
	switch {
	case x.place.file:
		for n, b := range blocksOf(raw) {
			if b.cert.SHA256 == fp {
				p.edits.writes[x.path] = slices.Concat(raw[:b.start], raw[b.end:])
				return original{item: strconv.Itoa(n + 1), content: bytes.Clone(raw[b.start:b.end])}, nil
			}
		}
		return original{}, nil
	case others == 0:
		delete(p.edits.writes, x.path)
		p.edits.removes = append(p.edits.removes, x.path)
		back := original{}
		if !ownName().MatchString(path.Base(x.path)) {
			back.item = x.path
			if len(x.file.Certs()) == 1 {
				back.content = x.raw
			}
		}
		return back, nil
	case x.file.Format != "PEM":
		return original{}, &store.Error{Path: x.path, Err: store.Because(store.ErrUnsupported, "the file holds other things too, and one cannot be taken out of a file of its format (%s)", x.file.Format),
			Hint: "take it out by hand"}
	}
	var out bytes.Buffer
	at := 0
	for _, item := range pem.Items {
		if item.Cert.SHA256 == fp {
			out.Write(raw[at:item.Start])
			at = item.End
		}
	}
	out.Write(raw[at:])
	p.edits.writes[x.path] = out.Bytes()
	return original{}, nil
}

// mend plans the repair of problems.
func (p *folderPlan) mend(list []store.Problem) {
	mendEach(&p.plan, list, p.s.host.EUID != 0, p.find, p.mendOne)
	p.finish()
}

func (p *folderPlan) mendOne(x store.Problem, step *store.Step) bool {
	if x.Code == "left-behind" {
		if !slices.Contains(p.st.left, x.Path) {
			return false
		}
		step.Files = []string{x.Path}
		p.edits.removes = append(p.edits.removes, x.Path)
		return true
	}
	if x.Code == "unfinished-update" {
		is := slices.ContainsFunc(p.s.unfinished(p.st), func(y store.Problem) bool { return y.Path == x.Path })
		step.Files = []string{x.Path}
		p.edits.rebuild = p.edits.rebuild || is
		return is
	}
	if p.mendAside(x, step) {
		return true
	}
	if len(p.s.family.outputs) == 0 || x.Fingerprint == nil {
		return false
	}
	fp := *x.Fingerprint
	cert, first := p.find(fp), p.st.first(fp)
	if cert == nil {
		return false
	}
	step.Files = []string{p.s.family.outputs[0].path}
	switch meant, is := p.st.effective(first); {
	case meant && !is:
		p.edits.have = append(p.edits.have, cert)
	case !meant && len(p.st.inOutputs(fp)) > 0:
		p.edits.lack = append(p.edits.lack, cert)
		if first == nil {
			p.plan.Undo = append(p.plan.Undo, store.Change{Fingerprint: fp, DER: cert.Raw, Trust: &trustedForAny})
		}
	default:
		return false
	}
	p.edits.rebuild = true
	return true
}
