package bundles

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// DirBackend is what the IDs of directories begin with.
const DirBackend = "dir"

// Dir is a directory of files of certificates. If it has links by the hashes
// of subjects, OpenSSL finds in it what they lead to and nothing else, so they
// are kept as "openssl rehash" keeps them; without any, its readers take all
// files, and none are made. An empty one gets links.
type Dir struct {
	host *host.Host
	path string
	info store.Info
}

var _ store.Editor = (*Dir)(nil)

// OpenDir opens any directory by its name.
func OpenDir(h *host.Host, at string) (store.Store, []string, error) {
	info, err := h.Stat(at)
	switch {
	case err != nil:
		return nil, nil, err
	case !info.IsDir():
		return nil, nil, &store.Error{Path: at, Err: store.Because(store.ErrInput, "it is not a directory"), Hint: "a file is named as file:PATH"}
	}
	resolved, err := h.Resolve(at)
	if err != nil {
		return nil, nil, err
	}
	d := &Dir{host: h, path: resolved}
	d.info = store.Info{
		ID: store.ID(DirBackend + ":" + store.Printable(resolved)), Backend: DirBackend, Title: "Directory", Scope: store.ScopeUser, Owner: h.User.Name,
		Location: resolved,
		Express:  store.Express{Purposes: []store.Purpose{store.PurposeAny}, Decisions: []store.Decision{store.Trusted}},
	}
	if uid, known := h.Owner(resolved); known && uid == 0 && h.EUID == 0 {
		d.info.Scope, d.info.Owner = store.ScopeSystem, ""
	}
	if !h.Live {
		d.info.Root = h.Root
	}
	d.info.Access.Read, d.info.Access.Write = d.obstacles()
	reasons := []string{"it was named"}
	if d.info.Access.Read == nil {
		reasons = append(reasons, d.why()...)
	}
	return d, reasons, nil
}

// Info returns what was found when the directory was opened.
func (d *Dir) Info() store.Info { return d.info }

func (d *Dir) obstacles() (read, write *store.Obstacle) {
	if uid, foreign := d.host.Foreign(d.path); foreign {
		o := &store.Obstacle{Kind: store.NeedsElevation, Text: "it belongs to another user (" + userName(d.host, uid) + "), as whom root does not act by itself"}
		return o, o
	}
	switch {
	case !d.host.Live:
		write = &store.Obstacle{Kind: store.ReadOnly, Text: "an offline root is only read"}
	case !d.host.Writable(d.path):
		write = &store.Obstacle{Kind: store.ReadOnly, Text: "this user cannot write to it", Hint: "look at its permissions"}
		if d.host.EUID != 0 && d.host.OS != "windows" {
			write.Kind, write.Hint = store.NeedsElevation, "run it with sudo"
		}
	}
	return nil, write
}

func (d *Dir) fail(op string, err error) error { return store.At(op, d.info.ID, d.path, err) }

// maxMembers is how many names a directory may have.
const maxMembers = 100_000

// member is a name in the directory that is no hash link to another one.
type member struct {
	*text          // what it holds; nil if it cannot be read
	err      error // why it cannot
	mode     fs.FileMode
	target   string // of a link, what is written in it
	resolved string // where it lies
	key      bool   // a private key lies in it
}

// hashLink is a link by the hash of a subject.
type hashLink struct{ target, resolved string }

// dirState is what the directory holds.
type dirState struct {
	members map[string]*member
	links   map[string]hashLink
	// blocked are names that are neither file nor link, left what an
	// interrupted change has left, others what holds no certificate.
	blocked, left, others []string
	hashed                bool
	aliases               map[string]bool // files that links of other names in the directory lead to
}

// endings are those of files that hold certificates: what has another and holds
// none is passed over.
var endings = []string{".pem", ".crt", ".cer", ".der", ".cert"}

// linkable are those of the files that "openssl rehash" makes links to.
var linkable = []string{".pem", ".crt", ".cer"}

func hasEnding(name string, of []string) bool {
	return slices.Contains(of, strings.ToLower(path.Ext(name)))
}

func (d *Dir) read() (*dirState, error) {
	if now, err := d.host.Resolve(d.path); err != nil {
		return nil, err
	} else if now != d.path {
		return nil, store.Because(store.ErrConflict, "it has become a link to %s", store.Printable(now))
	}
	names, err := d.host.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	if len(names) > maxMembers {
		return nil, store.Because(store.ErrUnsupported, "it holds more than %d files", maxMembers)
	}
	st := &dirState{members: map[string]*member{}, links: map[string]hashLink{}, aliases: map[string]bool{}}
	lies := map[string]bool{} // where what was read lies
	for _, e := range names {
		name, full := e.Name(), path.Join(d.path, e.Name())
		_, _, isHash := hashName(name)
		m := &member{resolved: full}
		switch {
		case strings.HasPrefix(name, host.TempPrefix):
			st.left = append(st.left, name)
			continue
		case e.Type()&fs.ModeSymlink != 0:
			if m.target, err = d.host.Readlink(full); err != nil {
				return nil, err
			}
			m.resolved, m.err = d.host.Resolve(full)
			if isHash {
				st.links[name] = hashLink{m.target, m.resolved}
				continue
			}
			if m.err == nil && path.Dir(m.resolved) == d.path {
				st.aliases[path.Base(m.resolved)] = true
				st.others = append(st.others, name)
				continue // it is listed where it lies
			}
		case !e.Type().IsRegular():
			st.blocked = append(st.blocked, name)
			continue
		}
		if m.err == nil {
			d.fill(m)
		}
		if (m.text == nil || len(m.blocks) == 0) && !isHash && !hasEnding(name, endings) {
			st.others = append(st.others, name)
			continue
		}
		st.members[name] = m
		lies[m.resolved] = true
		st.hashed = st.hashed || isHash
	}
	// A link can lead to what lies elsewhere and has no other name here.
	for name, l := range st.links {
		if l.resolved == "" || lies[l.resolved] || path.Dir(l.resolved) == d.path {
			continue
		}
		m := &member{resolved: l.resolved, target: l.target}
		d.fill(m)
		st.members[name] = m
	}
	st.hashed = st.hashed || len(st.links) > 0 || !st.holdsAny()
	return st, nil
}

// fill reads what lies where a member lies.
func (d *Dir) fill(m *member) {
	info, err := d.host.Stat(m.resolved)
	var data []byte
	if err == nil {
		m.mode = info.Mode()
		data, err = d.host.ReadFile(m.resolved, certfile.MaxSize)
	}
	if err != nil {
		m.err = err
		return
	}
	m.set(data)
}

func (m *member) set(data []byte) {
	if m.text, m.err = parse(data); m.err == nil {
		m.key = m.text.key
	}
}

func (st *dirState) holdsAny() bool {
	for _, m := range st.members {
		if m.text != nil && len(m.blocks) > 0 {
			return true
		}
	}
	return false
}

// why says which kind of directory it is.
func (d *Dir) why() []string {
	names, _ := d.host.ReadDir(d.path)
	hashed := slices.ContainsFunc(names, func(e fs.DirEntry) bool {
		_, _, is := hashName(e.Name())
		return is && (e.Type()&fs.ModeSymlink != 0 || e.Type().IsRegular())
	})
	if hashed { // as in a large one, which takes long to read
		return []string{"names in it are hashes of subjects, by which OpenSSL finds certificates: they are kept as openssl rehash does"}
	}
	st, err := d.read()
	switch {
	case err != nil:
		return nil
	case !st.hashed:
		return []string{"no link in it is named by the hash of a subject: its readers take every file, and no links are made (OpenSSL finds nothing in it before openssl rehash)"}
	}
	return []string{"it is empty: what is put in gets links by the hash of its subject, without which OpenSSL would not find it"}
}

// hashName takes the name of a hash link apart.
func hashName(name string) (hash string, n int, is bool) {
	hash, number, _ := strings.Cut(name, ".")
	if len(hash) != 8 || strings.Trim(hash, "0123456789abcdef") != "" || number == "" || strings.Trim(number, "0123456789") != "" {
		return "", 0, false
	}
	n, err := strconv.Atoi(number)
	return hash, n, err == nil && strconv.Itoa(n) == number
}

func nameOf(hash string, n int) string { return hash + "." + strconv.Itoa(n) }

// hashes reports whether a certificate is looked for by a hash: OpenSSL before
// 1.0 had another one, and links by both can lie side by side.
func hashes(c *store.Cert, hash string) bool {
	return c.Version != 0 && (certfile.SubjectHash(c) == hash || certfile.OldSubjectHash(c) == hash)
}

// at returns the member that lies somewhere, the first by name.
func (st *dirState) at(resolved string) (first string, m *member) {
	for name, other := range st.members {
		if other.resolved == resolved && (m == nil || name < first) {
			first, m = name, other
		}
	}
	return first, m
}

// right reports whether something with a name of a hash leads to a certificate
// with that hash.
func (st *dirState) right(name string, m *member) bool {
	hash, _, is := hashName(name)
	return is && m != nil && m.text != nil && slices.ContainsFunc(m.blocks, func(b block) bool { return hashes(b.cert, hash) })
}

// found returns the certificates that OpenSSL finds, in whatever file: all of
// them where there are no hashes.
func (st *dirState) found() map[store.Fingerprint]bool {
	byHash := map[string]map[int]string{}
	put := func(name, resolved string) {
		hash, n, is := hashName(name)
		if !is {
			return
		}
		if byHash[hash] == nil {
			byHash[hash] = map[int]string{}
		}
		byHash[hash][n] = resolved
	}
	for name, m := range st.members {
		put(name, m.resolved)
	}
	for name, l := range st.links {
		if l.resolved != "" {
			put(name, l.resolved)
		}
	}
	reached := map[string]map[string]bool{} // by hash, where files lie
	for hash, numbers := range byHash {
		reached[hash] = map[string]bool{}
		for n := 0; numbers[n] != ""; n++ { // it stops at the first gap
			reached[hash][numbers[n]] = true
		}
	}
	found := map[store.Fingerprint]bool{}
	for _, m := range st.members {
		if m.text == nil {
			continue
		}
		for _, b := range m.blocks {
			if b.cert.Version != 0 && (!st.hashed || reached[certfile.SubjectHash(b.cert)][m.resolved]) {
				found[b.cert.SHA256] = true
			}
		}
	}
	return found
}

func (st *dirState) digest() string {
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(st.members)) {
		m := st.members[name]
		fmt.Fprintf(sum, "%q %q %q ", name, m.target, m.resolved)
		if m.text != nil {
			fmt.Fprintf(sum, "%x", sha256.Sum256(m.data))
		}
		fmt.Fprintln(sum)
	}
	for _, name := range slices.Sorted(maps.Keys(st.links)) {
		fmt.Fprintf(sum, "%q -> %q\n", name, st.links[name].target)
	}
	fmt.Fprintf(sum, "%t %q", st.hashed, st.blocked)
	return fmt.Sprintf("sha256:%x", sum.Sum(nil))
}

// Entries yields the certificates by the names of their files, and then what is
// wrong with links.
func (d *Dir) Entries(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(store.Entry{}, d.fail("read", err))
			return
		}
		if err := d.info.Access.Read.Err("read", d.info.ID); err != nil {
			yield(store.Entry{}, err)
			return
		}
		st, err := d.read()
		if err != nil {
			yield(store.Entry{}, d.fail("read", err))
			return
		}
		found := st.found()
		lying := map[string]*member{} // by where they lie
		for _, name := range slices.Backward(slices.Sorted(maps.Keys(st.members))) {
			lying[st.members[name].resolved] = st.members[name]
		}
		for _, name := range slices.Sorted(maps.Keys(st.members)) {
			if !d.fileEntries(st, found, name, yield) {
				return
			}
		}
		odd := func(name string, p store.Problem) bool {
			p.Path = path.Join(d.path, name)
			return yield(store.Entry{Label: name, Origin: store.Origin{By: store.ByUnknown}, Source: store.Source{Kind: "link", Path: p.Path}, Problems: []store.Problem{p}}, nil)
		}
		for _, name := range slices.Sorted(maps.Keys(st.links)) {
			l := st.links[name]
			m, goOn := lying[l.resolved], true
			switch {
			case l.resolved == "" || m == nil:
				goOn = odd(name, problem("dangling-link", "the link leads to no file of certificates: "+store.Printable(l.target)))
			case m.err == nil && !st.right(name, m):
				goOn = odd(name, problem("wrong-hash-link", "the link leads to "+store.Printable(l.target)+", whose subject has another hash: OpenSSL does not find it by this name"))
			}
			if !goOn {
				return
			}
		}
		for _, name := range st.left {
			if !odd(name, problem("left-behind", "an interrupted change has left it")) {
				return
			}
		}
	}
}

func (d *Dir) fileEntries(st *dirState, found map[store.Fingerprint]bool, name string, yield func(store.Entry, error) bool) bool {
	m, file := st.members[name], path.Join(d.path, name)
	if m.err != nil {
		return yield(store.Entry{Source: store.Source{Kind: "file", Path: file}}, &store.Error{Op: "read", Store: d.info.ID, Path: file, Err: m.err})
	}
	for i, b := range m.blocks {
		src := store.Source{Kind: "file", Path: file}
		if len(m.blocks) > 1 {
			src.Item = strconv.Itoa(i + 1)
		}
		if b.cert.Version == 0 {
			err := store.Because(store.ErrCorrupt, "part %d is no certificate", i+1)
			if !yield(store.Entry{Source: src}, &store.Error{Op: "read", Store: d.info.ID, Path: file, Err: err}) {
				return false
			}
			continue
		}
		e := store.Entry{Cert: b.cert, Label: b.cert.Label(), Trust: trusted(), Source: src, Origin: store.Origin{By: store.ByUnknown}}
		tell := func(p store.Problem) {
			p.Path, p.Fingerprint = file, &b.cert.SHA256
			e.Problems = append(e.Problems, p)
		}
		if ownName(b.cert) == name {
			e.Origin.By = store.ByCerttrust
		}
		if !found[b.cert.SHA256] {
			e.Trust = nil
			tell(problem("no-hash-link", "no link by the hash of its subject leads to this certificate, so OpenSSL does not find it"))
		}
		if m.key {
			tell(problem("private-key", "a private key lies in the same file"))
		}
		if !yield(e, nil) {
			return false
		}
	}
	return true
}

func problem(code, text string) store.Problem { return store.Problem{Code: code, Text: text} }

// ownName is the file that a certificate is written to.
func ownName(c *store.Cert) string { return "certtrust-" + c.SHA256.String()[:32] + ".pem" }

// Plan returns the steps to what is wanted.
func (d *Dir) Plan(ctx context.Context, want []store.Change) (store.Plan, error) {
	if err := ctx.Err(); err != nil {
		return store.Plan{}, d.fail("plan", err)
	}
	if err := d.info.Access.Read.Err("plan", d.info.ID); err != nil {
		return store.Plan{}, err
	}
	st, err := d.read()
	if err != nil {
		return store.Plan{}, d.fail("plan", err)
	}
	return d.planFor(st, want).plan, nil
}

// Apply plans again, and does it if the steps are the same.
func (d *Dir) Apply(ctx context.Context, p store.Plan) (store.Receipt, error) {
	receipt, err := d.apply(ctx, p)
	if err != nil {
		return store.Receipt{}, d.fail("apply", err)
	}
	return receipt, nil
}

func (d *Dir) apply(ctx context.Context, p store.Plan) (store.Receipt, error) {
	if err := p.Check(d.info.ID); err != nil {
		return store.Receipt{}, err
	}
	if !p.Empty() {
		if err := d.info.Access.Write.Err("apply", d.info.ID); err != nil {
			return store.Receipt{}, err
		}
		scope := store.ScopeSystem
		if d.host.EUID != 0 {
			scope = store.ScopeUser
		}
		unlock, err := d.host.Lock(ctx, path.Join(d.host.StateDir(scope), "dir-"+store.FingerprintOf([]byte(d.path)).Short()+".lock"), lockWait, "certtrust")
		if err != nil {
			return store.Receipt{}, err
		}
		defer unlock()
	}
	st, err := d.read()
	if err != nil {
		return store.Receipt{}, err
	}
	again := d.planFor(st, p.Want)
	switch {
	case !p.SameSteps(again.plan):
		return store.Receipt{}, store.ErrStale
	case again.plan.Empty():
		return store.Receipt{Store: d.info.ID}, nil
	}
	if err := ctx.Err(); err != nil {
		return store.Receipt{}, err
	}
	if err := d.host.Together(func(h *host.Host) error { return again.write(h, st) }); err != nil {
		return store.Receipt{}, err
	}
	return store.Receipt{Store: d.info.ID, Done: again.plan.Steps, Undo: again.plan.Undo, Notices: again.plan.Notices}, nil
}

// write does what was planned, reads it back, and puts everything back as it
// was if that fails.
func (p *dirPlan) write(h *host.Host, was *dirState) error {
	err := p.do(h, was, p.dirState)
	if err == nil {
		err = p.verify()
	}
	if err == nil {
		return nil
	}
	if left := p.do(h, nil, was); left != nil {
		return store.Because(store.ErrPartial, "%w; and not everything could be put back as it was: %v", err, left)
	}
	return err
}

// do makes the names that the plan touches what they are in next. What leads to
// a file comes after it and goes before it, and what readers find meanwhile has
// no gap. was is what is there, nil if that is not known.
func (p *dirPlan) do(h *host.Host, was, next *dirState) error {
	file := func(name string) string { return path.Join(p.d.path, name) }
	var links, gone []string
	for _, name := range slices.Sorted(maps.Keys(p.touched)) {
		l, link := next.links[name]
		m := next.members[name]
		switch {
		case link:
			if was == nil || was.links[name].target != l.target {
				links = append(links, name)
			}
		case m == nil:
			gone = append(gone, name)
		case was == nil || was.members[name] == nil || string(was.members[name].data) != string(m.data):
			o := host.WriteOptions{Mode: m.mode.Perm(), Exclusive: was != nil && was.members[name] == nil}
			if err := h.WriteFile(file(name), m.data, o); err != nil {
				return taken(err)
			}
		}
	}
	slices.SortStableFunc(links, func(a, b string) int { // those with new numbers first
		_, hadA := p.before.links[a]
		_, hadB := p.before.links[b]
		switch {
		case hadA == hadB:
			return 0
		case hadB:
			return -1
		}
		return 1
	})
	for _, name := range links {
		_, had := p.before.links[name]
		if err := h.Symlink(next.links[name].target, file(name), host.WriteOptions{Exclusive: was != nil && !had}); err != nil {
			return taken(err)
		}
	}
	slices.SortFunc(gone, func(a, b string) int { // links, the highest number first, and then files
		_, numberA, isA := hashName(a)
		_, numberB, isB := hashName(b)
		switch {
		case isA && isB:
			return numberB - numberA
		case isA:
			return -1
		case isB:
			return 1
		}
		return strings.Compare(a, b)
	})
	for _, name := range gone {
		if err := h.Remove(file(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func taken(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return store.Because(store.ErrConflict, "%w", err)
	}
	return err
}

// verify reads back what the plan touches.
func (p *dirPlan) verify() error {
	now, err := p.d.read()
	if err != nil {
		return err
	}
	for name := range p.touched {
		want, is := p.members[name], now.members[name]
		same := (want == nil) == (is == nil) && p.links[name].target == now.links[name].target
		if same && want != nil {
			same = is.text != nil && string(is.data) == string(want.data) && is.target == want.target
		}
		if !same {
			return store.Because(store.ErrFailed, "%s does not hold what was written", store.Printable(name))
		}
	}
	return nil
}
