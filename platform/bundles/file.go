// Package bundles reads and writes files and directories of certificates that
// programs trust by themselves: the bundles that Python, gcloud or Homebrew
// bring along, Docker's certs.d, and any file or directory that is named. What a
// package manager owns is only changed by name. places.go tells where they are.
package bundles

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"path"
	"slices"
	"strconv"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// FileBackend is what the IDs of files begin with.
const FileBackend = "file"

// options tell what a bundle belongs to.
type options struct {
	title   string
	scope   store.Scope
	owner   string
	readers []string
	// managed is by whom it is owned, "" if by nobody: it is then only changed by
	// name.
	managed string
	fixed   string // why it is only read, "" if it is not
}

// File is a file of certificates: a [store.Editor] if it is PEM.
type File struct {
	host *host.Host
	path string
	o    options
	info store.Info
}

var _ store.Editor = (*File)(nil)

func openFile(h *host.Host, resolved string, o options) *File {
	f := &File{host: h, path: resolved, o: o}
	f.info = store.Info{
		ID: store.ID(FileBackend + ":" + store.Printable(resolved)), Backend: FileBackend, Title: o.title, Scope: o.scope, Owner: o.owner,
		Location: resolved, Readers: o.readers,
		Express: store.Express{Purposes: []store.Purpose{store.PurposeAny}, Decisions: []store.Decision{store.Trusted}},
	}
	if !h.Live {
		f.info.Root = h.Root
	}
	f.info.Access.Read, f.info.Access.Write = f.obstacles()
	return f
}

// OpenFile opens any file by its name.
func OpenFile(h *host.Host, at string) (store.Store, []string, error) {
	info, err := h.Stat(at)
	switch {
	case err != nil:
		return nil, nil, err
	case !info.Mode().IsRegular():
		return nil, nil, &store.Error{Path: at, Err: store.Because(store.ErrInput, "it is not a file")}
	}
	resolved, err := h.Resolve(at)
	if err != nil {
		return nil, nil, err
	}
	o := options{title: "File", scope: store.ScopeUser, owner: h.User.Name}
	if uid, known := h.Owner(resolved); known && uid == 0 && h.EUID == 0 {
		o.scope, o.owner = store.ScopeSystem, ""
	}
	return openFile(h, resolved, o), []string{"it was named"}, nil
}

// Named returns the bundle as it is for whoever has named it.
func (f *File) Named() store.Store {
	o := f.o
	o.managed = ""
	return openFile(f.host, f.path, o)
}

// Info returns what was found when the file was opened.
func (f *File) Info() store.Info { return f.info }

func (f *File) obstacles() (read, write *store.Obstacle) {
	if uid, foreign := f.host.Foreign(f.path); foreign {
		o := &store.Obstacle{Kind: store.NeedsElevation, Text: "it belongs to another user (" + userName(f.host, uid) + "), as whom root does not act by itself"}
		return o, o
	}
	dir := path.Dir(f.path)
	switch {
	case f.o.fixed != "":
		write = &store.Obstacle{Kind: store.ReadOnly, Text: f.o.fixed}
	case f.o.managed != "":
		write = &store.Obstacle{Kind: store.Managed, Text: f.o.managed + " owns it, and an update puts its own in its place", Hint: "certtrust env makes its programs trust more; or name it: --store " + store.ShellWord(string(f.info.ID))}
	case !f.host.Live:
		write = &store.Obstacle{Kind: store.ReadOnly, Text: "an offline root is only read"}
	case !f.host.Writable(dir) && f.o.scope == store.ScopeSystem && f.host.EUID != 0:
		write = &store.Obstacle{Kind: store.NeedsElevation, Text: "this user cannot write to " + dir, Hint: "run it with sudo"}
	case !f.host.Writable(dir):
		write = &store.Obstacle{Kind: store.ReadOnly, Text: "this user cannot write to " + dir, Hint: "look at its permissions"}
	}
	return nil, write
}

func userName(h *host.Host, uid int) string {
	if name := h.UserName(uid); name != "" {
		return name
	}
	return "the user ID " + strconv.Itoa(uid)
}

// block is a certificate in the text, with the lines before it that are ours.
type block struct {
	cert       *store.Cert
	label      string
	start, end int
	ours       bool
}

// text is the content of the file.
type text struct {
	data    []byte
	blocks  []block
	format  string
	notices []certfile.Notice
	key     bool // a private key lies in it
}

func (f *File) read() (*text, error) {
	data, err := f.host.ReadFile(f.path, certfile.MaxSize)
	if err != nil {
		return nil, err
	}
	return parse(data)
}

func parse(data []byte) (*text, error) {
	t := &text{data: data, format: "PEM"}
	if len(bytes.TrimSpace(data)) == 0 {
		return t, nil
	}
	file, err := certfile.Read(data)
	t.format, t.notices = file.Format, file.Notices
	if err != nil && len(file.Items) == 0 && !(file.Format == "" && plainText(data)) {
		return nil, err
	}
	if file.Format == "" {
		t.format = "PEM" // a text that has no certificate yet
	}
	t.key = slices.ContainsFunc(t.notices, func(n certfile.Notice) bool { return n.Code == certfile.PrivateKey })
	for _, item := range file.Items {
		t.key = t.key || item.HasKey
		b := block{cert: item.Cert, start: item.Start, end: item.End}
		b.label = item.Alias
		if item.End > 0 {
			b.start, b.ours = ownLines(data, item.Start)
		}
		t.blocks = append(t.blocks, b)
	}
	return t, nil
}

func plainText(data []byte) bool { return !bytes.Contains(data, []byte{0}) }

// The lines before a certificate that was put in here. The second form is for
// one whose text before did not end in a line break: that is ours, too.
const (
	mark      = "# certtrust: "
	markBreak = "# certtrust; "
	markSum   = "# sha256: "
)

// ownLines returns where the lines begin that were put before a certificate.
func ownLines(data []byte, start int) (int, bool) {
	head := data[:start]
	sum := bytes.LastIndexByte(bytes.TrimSuffix(head, []byte("\n")), '\n') + 1
	if !bytes.HasPrefix(head[sum:], []byte(markSum)) || sum == 0 {
		return start, false
	}
	first := bytes.LastIndexByte(head[:sum-1], '\n') + 1
	switch line := head[first:]; {
	case bytes.HasPrefix(line, []byte(mark)):
		return first, true
	case bytes.HasPrefix(line, []byte(markBreak)) && first > 0:
		return first - 1, true
	}
	return start, false
}

func (t *text) digest() string { return "sha256:" + store.FingerprintOf(t.data).String() }

// editable returns why the file cannot be changed, nil if it can.
func (t *text) editable() error {
	if t.format != "PEM" {
		hint := ""
		if slices.Contains([]string{"JKS", "JCEKS", "PKCS#12"}, t.format) {
			hint = "name it as a keystore: --store java:PATH"
		}
		return &store.Error{Err: store.Because(store.ErrUnsupported, "it is %s, and only a text (PEM) is changed", t.format), Hint: hint}
	}
	for _, b := range t.blocks {
		if b.end == 0 {
			return store.Because(store.ErrUnsupported, "its text is encoded in a way that would not survive a change")
		}
	}
	return nil
}

func trusted() store.Trust { return store.TrustFor(store.Trusted, store.PurposeAny) }

// Entries yields the certificates in the order of the file.
func (f *File) Entries(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(store.Entry{}, f.fail("read", err))
			return
		}
		if err := f.info.Access.Read.Err("read", f.info.ID); err != nil {
			yield(store.Entry{}, err)
			return
		}
		t, err := f.read()
		if err != nil {
			yield(store.Entry{}, f.fail("read", err))
			return
		}
		for i, b := range t.blocks {
			e := store.Entry{Cert: b.cert, Label: b.cert.Label(), Trust: trusted(), Source: store.Source{Kind: "bundle", Path: f.path, Item: strconv.Itoa(i + 1)}}
			switch {
			case b.cert.Version == 0:
				if !yield(store.Entry{Source: e.Source}, f.fail("read", store.Because(store.ErrCorrupt, "part %d is no certificate", i+1))) {
					return
				}
				continue
			case b.ours:
				e.Origin = store.Origin{By: store.ByCerttrust}
			case f.o.readers != nil:
				e.Origin = store.Origin{By: store.ByVendor, Detail: f.o.title}
			default:
				e.Origin = store.Origin{By: store.ByUnknown}
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (f *File) fail(op string, err error) error { return store.At(op, f.info.ID, f.path, err) }

// planner turns changes into steps and the text as it will be.
type planner struct {
	f    *File
	plan store.Plan
	t    *text
}

func (f *File) newPlanner(t *text) *planner {
	return &planner{f: f, plan: store.Plan{Store: f.info.ID, Basis: t.digest(), Steps: []store.Step{}},
		t: &text{data: bytes.Clone(t.data), blocks: slices.Clone(t.blocks), format: t.format}}
}

// Plan returns the steps to what is wanted.
func (f *File) Plan(ctx context.Context, want []store.Change) (store.Plan, error) {
	if err := ctx.Err(); err != nil {
		return store.Plan{}, f.fail("plan", err)
	}
	t, err := f.read()
	if err != nil {
		return store.Plan{}, f.fail("plan", err)
	}
	p := f.newPlanner(t)
	p.changes(want)
	return p.plan, nil
}

func (p *planner) changes(want []store.Change) {
	p.plan.Changes(want, p.change)
}

// content is a part of the text as it was, and where it began.
type content struct {
	Text  []byte `json:"text"`
	Start int    `json:"start"`
}

func (p *planner) change(c store.Change) error {
	if err := c.Check(); err != nil {
		return err
	}
	var found []int
	for i, b := range p.t.blocks {
		if b.cert.SHA256 == c.Fingerprint {
			found = append(found, i)
		}
	}
	switch {
	case c.Absent && len(found) == 0:
		return nil
	case c.Absent:
		return p.remove(found)
	case len(found) == 0 && c.DER == nil:
		return store.Because(store.ErrNotFound, "the file does not hold it, so the certificate itself is needed")
	}
	cert := c.Cert()
	if len(found) > 0 {
		cert = p.t.blocks[found[0]].cert
	}
	wanted, err := c.AnchorOnly(cert, len(found) > 0)
	switch {
	case err != nil:
		return err
	case !wanted && len(found) > 0:
		p.plan.Notice("a file cannot distrust: %s will not be in it at all", store.Printable(cert.Label()))
		return p.remove(found)
	case !wanted:
		p.plan.Notice("a file cannot distrust, and %s is not in it", store.Printable(cert.Label()))
		return nil
	case len(found) > 0 && c.Content == nil:
		return nil
	}
	if err := p.t.editable(); err != nil {
		return err
	}
	if c.Content != nil {
		return p.restore(c)
	}
	if cert.Parsed() == nil {
		return store.Because(store.ErrUnsupported, "it is not well-formed, and some programs would refuse the whole file for it")
	}
	label := cert.Label()
	if c.Label != nil {
		label = *c.Label
	}
	first := mark
	if n := len(p.t.data); n > 0 && p.t.data[n-1] != '\n' {
		first = "\n" + markBreak
	}
	p.insert(len(p.t.data), []byte(first+certfile.Comment(label)+"\n"+markSum+cert.SHA256.String()+"\n"+string(certfile.EncodePEM(cert))), cert)
	return nil
}

// restore puts a part of the text back where it was.
func (p *planner) restore(c store.Change) error {
	var kept content
	if err := json.Unmarshal(c.Content, &kept); err != nil {
		return store.Because(store.ErrInput, "the content that is given is not part of such a file")
	}
	t, err := parse(kept.Text)
	if err != nil || len(t.blocks) != 1 || t.blocks[0].cert.SHA256 != c.Fingerprint || len(t.notices) > 0 {
		return store.Because(store.ErrInput, "the content that is given is not that of this certificate")
	}
	at := min(max(kept.Start, 0), len(p.t.data))
	for _, b := range p.t.blocks {
		if at > b.start && at < b.end {
			at = b.end
		}
		if b.cert.SHA256 == c.Fingerprint && bytes.Equal(bytes.TrimPrefix(p.t.data[b.start:b.end], []byte("\n")), bytes.TrimPrefix(kept.Text, []byte("\n"))) {
			return nil
		}
	}
	p.insert(at, kept.Text, t.blocks[0].cert)
	return nil
}

func (p *planner) step(action store.Action, cert *store.Cert) store.Step {
	return store.Step{Action: action, Fingerprint: cert.SHA256, Label: cert.Label(), Files: []string{p.f.path},
		Elevated: p.f.info.Access.Write != nil && p.f.info.Access.Write.Kind == store.NeedsElevation}
}

func (p *planner) insert(at int, part []byte, cert *store.Cert) {
	step := p.step(store.ActionAdd, cert)
	step.Before, step.After = &store.State{}, &store.State{Present: true, Trust: trusted()}
	p.plan.Steps = append(p.plan.Steps, step)
	p.plan.Undo = append(p.plan.Undo, store.Change{Fingerprint: cert.SHA256, Absent: true})
	p.replace(at, at, part)
}

func (p *planner) remove(found []int) error {
	if err := p.t.editable(); err != nil {
		return err
	}
	for _, i := range slices.Backward(found) {
		b := p.t.blocks[i]
		if p.t.data[b.start] == '\n' && b.end < len(p.t.data) {
			b.start++ // what follows needs the line break now
		}
		kept := store.ContentOf(content{p.t.data[b.start:b.end], b.start})
		step := p.step(store.ActionRemove, b.cert)
		step.Before, step.After = &store.State{Present: true, Trust: trusted()}, &store.State{}
		p.plan.Steps = append(p.plan.Steps, step)
		trust := trusted()
		p.plan.Undo = append(p.plan.Undo, store.Change{Fingerprint: b.cert.SHA256, DER: b.cert.Raw, Trust: &trust, Content: kept})
		p.replace(b.start, b.end, nil)
	}
	return nil
}

// replace puts part in the place of a part of the text.
func (p *planner) replace(from, to int, part []byte) {
	p.t.data = slices.Concat(p.t.data[:from], part, p.t.data[to:])
	shift := len(part) - (to - from)
	var blocks []block
	added := false
	insert := func() {
		if added || len(part) == 0 {
			return
		}
		added = true
		if t, err := parse(part); err == nil && len(t.blocks) == 1 {
			b := t.blocks[0]
			b.start, b.end = b.start+from, b.end+from
			blocks = append(blocks, b)
		}
	}
	for _, b := range p.t.blocks {
		switch {
		case from != to && b.end <= to && b.end > from:
			continue
		case b.start >= from:
			insert()
			b.start, b.end = b.start+shift, b.end+shift
		}
		blocks = append(blocks, b)
	}
	insert()
	p.t.blocks = blocks
}

// lockWait is how long another certtrust that changes the same file is waited
// for.
const lockWait = 30 * time.Second

// Apply plans again, and does it if the steps are the same.
func (f *File) Apply(ctx context.Context, p store.Plan) (store.Receipt, error) {
	receipt, err := f.apply(ctx, p)
	if err != nil {
		return store.Receipt{}, f.fail("apply", err)
	}
	return receipt, nil
}

func (f *File) apply(ctx context.Context, p store.Plan) (store.Receipt, error) {
	if err := p.Check(f.info.ID); err != nil {
		return store.Receipt{}, err
	}
	if !p.Empty() {
		if err := f.info.Access.Write.Err("apply", f.info.ID); err != nil {
			return store.Receipt{}, err
		}
		scope := store.ScopeSystem
		if f.host.EUID != 0 {
			scope = store.ScopeUser
		}
		unlock, err := f.host.Lock(ctx, path.Join(f.host.StateDir(scope), "file-"+store.FingerprintOf([]byte(f.path)).Short()+".lock"), lockWait, "certtrust")
		if err != nil {
			return store.Receipt{}, err
		}
		defer unlock()
	}
	t, err := f.read()
	if err != nil {
		return store.Receipt{}, err
	}
	again := f.newPlanner(t)
	again.changes(p.Want)
	switch {
	case !p.SameSteps(again.plan):
		return store.Receipt{}, store.ErrStale
	case again.plan.Empty():
		return store.Receipt{Store: f.info.ID}, nil
	}
	if err := ctx.Err(); err != nil {
		return store.Receipt{}, err
	}
	if err := f.write(t.data, again.t); err != nil {
		return store.Receipt{}, err
	}
	return store.Receipt{Store: f.info.ID, Done: again.plan.Steps, Undo: again.plan.Undo, Notices: again.plan.Notices}, nil
}

// write puts the new text in the place of the old one, and reads it back.
func (f *File) write(old []byte, next *text) error {
	err := f.host.WriteFile(f.path, next.data, host.WriteOptions{})
	if err == nil {
		err = f.verify(next)
	}
	if err == nil {
		return nil
	}
	if now, wrong := f.host.ReadFile(f.path, certfile.MaxSize); wrong == nil && bytes.Equal(now, old) {
		return err
	}
	if left := f.host.WriteFile(f.path, old, host.WriteOptions{}); left != nil {
		return store.Because(store.ErrPartial, "%w; and the file could not be put back as it was: %v", err, left)
	}
	return err
}

func (f *File) verify(next *text) error {
	now, err := f.read()
	if err != nil {
		return err
	}
	same := bytes.Equal(now.data, next.data) && slices.EqualFunc(now.blocks, next.blocks, func(a, b block) bool { return a.cert.SHA256 == b.cert.SHA256 })
	if !same {
		return errors.Join(store.ErrFailed, store.Because(store.ErrFailed, "what was written does not hold what it should"))
	}
	return nil
}
