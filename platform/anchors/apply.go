package anchors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// anchorMode is the mode of what certtrust writes: everybody must be able to
// read what everybody is to trust.
const anchorMode fs.FileMode = 0o644

// toolTimeout is how long the update tool may take.
const toolTimeout = 5 * time.Minute

// lockWaits is how much longer than for another program a change waits for
// another certtrust: there may be several before it, and each comes to its end.
const lockWaits = 4

// Apply does a plan. What it writes is an anchor file for each certificate;
// the rest is made by the distribution's tool, whose success is believed only
// when the bundle, the links, the modes and Java's key store say the same. If
// they do not, everything is put back.
func (s *Store) Apply(ctx context.Context, plan store.Plan) (store.Receipt, error) {
	return s.apply(ctx, plan, s.quiet, func(ctx context.Context) (job, error) { return s.newPlanner(ctx) })
}

func (p *planner) planned() *store.Plan { return &p.plan }

func (p *planner) save() (func(context.Context) error, error) {
	before, err := p.s.snapshot(p)
	// What an interrupted update had left comes last: putting back what is
	// generated takes it away.
	var early, late moves
	for _, m := range p.edits.moves {
		if m.from == p.s.newBundle() {
			late = append(late, m)
			before.aside = m.to
		} else {
			early = append(early, m)
		}
	}
	return func(ctx context.Context) error {
		return errors.Join(p.s.undoMoves(early), p.s.putBack(ctx, p, before), p.s.undoMoves(late))
	}, err
}

func (p *planner) do(ctx context.Context) error {
	if err := p.s.edit(p); err != nil {
		return err
	}
	return p.s.update(ctx, p)
}

// edit makes the changes that are ours: files and links.
func (s *Store) edit(p *planner) error {
	if err := s.doMoves(p.edits.moves); err != nil {
		return err
	}
	for _, file := range sortedKeys(p.edits.writes) {
		if path.Dir(file) != s.family.hashDir && path.Dir(file) != path.Dir(s.family.vendorConf) {
			if err := s.host.MkdirAll(path.Dir(file), 0o755); err != nil {
				return err
			}
		}
		if err := s.host.WriteFile(file, p.edits.writes[file], s.options(file)); err != nil {
			return err
		}
	}
	// The links first: where one leads nowhere, lookups stop.
	if err := s.dropLinks(p.edits.drops); err != nil {
		return err
	}
	for _, file := range p.edits.removes {
		if err := s.host.Remove(file); err != nil && !absent(err) {
			return err
		}
	}
	return nil
}

// options tells how a file is written. A temporary file must not lie where
// programs read every file there is.
func (s *base) options(file string) host.WriteOptions {
	o := host.WriteOptions{Mode: anchorMode}
	dir := path.Dir(file)
	temp := dir
	for temp != "/" && (s.isRead(temp) || s.isPlace(temp) || s.single() && temp == dir) {
		temp = path.Dir(temp)
	}
	if temp != dir {
		o.TempDir = temp
	}
	return o
}

// isPlace reports whether files that lie in a directory are taken for anchors,
// whatever they are called: p11-kit reads hidden ones, too.
func (s *base) isPlace(dir string) bool {
	return slices.ContainsFunc(s.family.places, func(p place) bool {
		at := s.at(&p)
		return !p.file && (at == dir || p.deep && strings.HasPrefix(dir, at+"/"))
	})
}

// dropLinks removes links and the hash links that lead to them.
func (s *Store) dropLinks(names []string) error {
	if len(names) == 0 {
		return nil
	}
	links, _, err := s.readLinks()
	if err != nil {
		return err
	}
	var own []string
	gone := map[string][]int{} // by hash, the numbers that go
	for _, link := range sortedKeys(links) {
		named := slices.Contains(names, link)
		if hash, n, is := hashNumber(link); is && (named || slices.Contains(names, links[link])) {
			gone[hash] = append(gone[hash], n)
		} else if named {
			own = append(own, link)
		}
	}
	for _, hash := range sortedKeys(gone) {
		if err := s.dropNumbers(links, hash, gone[hash]); err != nil {
			return err
		}
	}
	for _, link := range own {
		if err := s.host.Remove(s.link(link)); err != nil && !absent(err) {
			return err
		}
	}
	return nil
}

// dropNumbers removes those of the links of one hash that have these numbers.
// Lookups stop at the first number that is missing, so the last link takes the
// place of one that goes: whoever reads meanwhile finds all that stay.
func (s *Store) dropNumbers(links map[string]string, hash string, gone []int) error {
	var stay []int
	for link := range links {
		if of, n, is := hashNumber(link); is && of == hash && !slices.Contains(gone, n) {
			stay = append(stay, n)
		}
	}
	slices.Sort(gone)
	slices.Sort(stay)
	name := func(n int) string { return s.link(hash + "." + strconv.Itoa(n)) }
	var ends []int
	for _, n := range gone {
		last := len(stay) - 1
		if last < 0 || stay[last] < n {
			ends = append(ends, n)
			continue
		}
		if err := s.host.Rename(name(stay[last]), name(n)); err != nil {
			return err
		}
		stay = stay[:last]
	}
	for _, n := range slices.Backward(ends) {
		if err := s.host.Remove(name(n)); err != nil && !absent(err) {
			return err
		}
	}
	return nil
}

// hookName is what run-parts(8) takes for a program.
var hookName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z0-9_-]+$`) })

// tellHooks runs the tool's hooks with lines on their standard input, where the
// tool does. What it returns is what [Store.hookFailed] does.
func (s *Store) tellHooks(ctx context.Context, p *planner, lines []string) (wrong, err error) {
	hooks, err := s.hooks()
	if err != nil {
		return nil, err
	}
	for _, file := range hooks {
		input := strings.Join(lines, "\n")
		if input != "" {
			input += "\n"
		}
		_, err = s.host.Run(ctx, host.Command{Args: []string{file}, Stdin: strings.NewReader(input), Env: s.locale(), Dir: s.family.hashDir, Timeout: toolTimeout})
		if err == nil {
			continue
		}
		again, err := s.hookFailed(p, file, err)
		if err != nil {
			return nil, err
		}
		wrong = errors.Join(wrong, again)
	}
	return wrong, nil
}

// hooks returns the files of the hooks that run-parts(8) runs, in its order.
func (s *Store) hooks() (files []string, err error) {
	entries, err := s.host.ReadDir(s.family.hookDir)
	if err != nil && !absent(err) {
		return nil, err
	}
	for _, e := range entries {
		file := path.Join(s.family.hookDir, e.Name())
		info, err := s.host.Stat(file)
		if err == nil && hookName().MatchString(e.Name()) && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			files = append(files, file)
		}
	}
	return files, nil
}

// hookFailed returns what the failure of a hook means for the change: nothing
// if Java's key store was broken before. Java's hook fails where the package
// manager or another run of it is at work, so that it is wrong now can be made
// good; the failure of another hook is an error.
func (s *Store) hookFailed(p *planner, hook string, failure error) (wrong, err error) {
	err = &store.Error{Path: hook, Err: store.Because(store.ErrFailed, "the update hook failed: %w", failure),
		Hint: "mend the hook, or take it away, and try again"}
	if hook != s.family.java.hook {
		return nil, err
	}
	if pid, held := s.javaLocked(); held {
		return locked(pid), nil
	}
	if p.java.err != nil {
		return nil, nil // checkJava says so
	}
	return err, nil
}

func locked(pid int) error {
	return &store.Error{Err: store.Because(store.ErrLocked, "the package manager is at work (process %d), and Java's key store cannot follow until it has finished", pid),
		Hint: "try again when it has finished"}
}

// javaLocked reports whether a package manager keeps the hook from its work.
func (s *Store) javaLocked() (pid int, held bool) {
	for _, lock := range s.family.java.locks {
		if pid, held := s.host.RecordLock(lock); held {
			return pid, true
		}
	}
	return 0, false
}

// quiet waits until nobody else is at work on the store.
func (s *Store) quiet(ctx context.Context) error { return s.wait(ctx, s.busy) }

// wait waits until busy returns nil, as long as Wait says, and returns what it
// returned last.
func (s *base) wait(ctx context.Context, busy func() error) error {
	for deadline := time.Now().Add(s.Wait); ; {
		err := busy()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// busy returns who is at work on the store, nil if nobody is.
func (s *Store) busy() error {
	if err := s.updating(); err != nil {
		return err
	}
	return s.javaBusy()
}

// javaBusy returns who keeps Java's key store from following, nil if nobody
// does.
func (s *Store) javaBusy() error {
	if s.javaFollows() {
		if pid, held := s.javaLocked(); held {
			return locked(pid)
		}
	}
	return nil
}

// updating returns who runs the update tool, nil if nobody does.
func (s *base) updating() error {
	for _, p := range s.updaters() {
		return &store.Error{Err: store.Because(store.ErrLocked, "%s is running (process %d)", path.Base(s.family.tool), p.PID),
			Hint: "try again when it has finished"}
	}
	return nil
}

// liveUpdaters returns the processes that run the tool, by itself or by an
// interpreter, on the files of this machine and not in a container.
func (s *base) liveUpdaters() []host.Process {
	all := s.host.Processes()
	s.seen.Store(&all)
	return slices.DeleteFunc(slices.Clone(all), func(p host.Process) bool {
		run := slices.ContainsFunc(p.Args[:min(3, len(p.Args))], func(arg string) bool { return path.Base(arg) == path.Base(s.family.tool) })
		return !run || !s.host.Shares(p, path.Dir(s.family.location()))
	})
}

// attempts is how often the store is brought up to date until it is as it
// should be: another run at the same time can spoil one. Where there is one,
// that does not count, up to a limit.
const attempts, besideOthers = 3, 10

var hookError = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?m)^E: (\S+) exited with code (\d+)`) })

// update has all that is generated follow what was edited, until it is right.
func (s *Store) update(ctx context.Context, p *planner) error {
	var wrong, other error
	for alone, beside := 0, 0; alone < attempts && beside < besideOthers; {
		var err error
		if !p.native() || alone+beside > 0 { // otherwise that was waited for a moment ago
			err = s.quiet(ctx)
		}
		if err == nil {
			wrong, err = s.follow(ctx, p)
		}
		if other = s.updating(); other == nil {
			alone++
		} else {
			beside++
		}
		if err == nil && (other != nil || s.javaBusy() != nil) {
			err = s.quiet(ctx)
		}
		if err != nil {
			return err
		}
		if wrong == nil {
			wrong = s.check(ctx, p)
		}
		if wrong == nil {
			return nil
		}
	}
	if other != nil {
		return &store.Error{Err: store.Because(store.ErrLocked, "%w at the same time, and spoils it: %w", other, wrong), Hint: store.Hint(other)}
	}
	return wrong
}

// follow tells the hooks what the tool does not tell them, and runs the tool.
// Another run of them at the same time can make either fail, and can take from
// Java's hook what it was told: that is wrong then, and another go, which tells
// it again, may make it good. No go helps against an error.
func (s *Store) follow(ctx context.Context, p *planner) (wrong, err error) {
	if p.edits.rebuild && p.native() {
		return s.followNatively(ctx, p)
	}
	if err := s.dropLinks(p.edits.renew); err != nil {
		return nil, err
	}
	if len(p.edits.lines) > 0 {
		if wrong, err = s.tellHooks(ctx, p, p.edits.lines); err != nil {
			return nil, err
		}
	}
	if !p.edits.rebuild {
		return wrong, nil
	}
	// What an interrupted update has left would be added to.
	if err := s.host.Remove(s.newBundle()); err != nil && !absent(err) {
		return nil, err
	}
	out, err := s.host.Run(ctx, host.Command{Args: []string{s.family.tool}, Env: s.locale(), Timeout: toolTimeout})
	if exit := (*host.ExecError)(nil); errors.As(err, &exit) && exit.ExitCode > 0 {
		return err, nil
	}
	if err != nil {
		return nil, err
	}
	// The hooks have run once more: how they have fared now is what counts.
	wrong = nil
	text := bytes.Join([][]byte{out.Stdout, out.Stderr}, []byte("\n"))
	for _, m := range hookError().FindAllSubmatch(text, -1) {
		again, err := s.hookFailed(p, string(m[1]), fmt.Errorf("exit code %s", m[2]))
		if err != nil {
			return nil, err
		}
		wrong = errors.Join(wrong, again)
	}
	return wrong, nil
}

// readBack reads the store after edits. Of the hash directory all is looked at
// where something is to be gone from it, or is not found as it should be;
// otherwise only what those programs follow that look the new anchors up there.
func (s *Store) readBack(ctx context.Context, e edits) (*state, error) {
	if len(e.lack)+len(e.drops)+len(e.moves) > 0 {
		return s.read(ctx)
	}
	st, err := s.readParts(ctx, s.readVendor, s.readAdmin, s.readBundle)
	if err == nil && !s.lookUp(st, e.have) {
		err = s.readHashDir(st)
	}
	return st, err
}

// lookUp finds certificates in the hash directory by the links that programs
// follow to their anchors, and notes which it has found. It reports whether it
// has found all of them.
func (s *Store) lookUp(st *state, list []store.Fingerprint) bool {
	st.indexed = map[store.Fingerprint]bool{}
	wanted := map[store.Fingerprint]bool{}
	for _, fp := range list {
		wanted[fp] = true
	}
	for _, a := range st.anchors {
		if !a.sound() {
			continue
		}
		c := a.file.Items[0].Cert
		if !wanted[c.SHA256] || st.indexed[c.SHA256] {
			continue
		}
		hash := certfile.SubjectHash(c)
		for n := 0; !st.indexed[c.SHA256]; n++ {
			to, isLink := s.follows(s.link(hash + "." + strconv.Itoa(n)))
			if !isLink {
				return false // lookups stop there
			}
			st.indexed[c.SHA256] = to == a.path
		}
	}
	return len(st.indexed) == len(wanted)
}

// follows returns what a link in the hash directory leads to in the end, as
// leadsTo does, and whether there is such a link.
func (s *Store) follows(link string) (to string, isLink bool) {
	at := link
	for range maxLinks {
		target, err := s.host.Readlink(at)
		if err != nil {
			return at, at != link
		}
		if !path.IsAbs(target) {
			target = path.Join(s.family.hashDir, target)
		}
		if at = target; path.Dir(at) != s.family.hashDir {
			return at, true
		}
	}
	return "", true
}

// check reads everything back and returns what is not as it should be.
func (s *Store) check(ctx context.Context, p *planner) error {
	st, err := s.readBack(ctx, p.edits)
	if err != nil {
		return err
	}
	if st.bundleErr != nil {
		return fmt.Errorf("%s: %w", s.family.bundle, st.bundleErr)
	}
	var wrong []string
	fault := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if !forEverybody(st.bundleMode) {
		fault("%s cannot be read by everybody", s.family.bundle)
	}
	if p.edits.rebuild {
		expected := st.expected()
		missing, extra := 0, 0
		if out := st.missing(); len(out) > 0 {
			if err := s.collate(ctx, st); err != nil {
				return err
			}
			built := st.built()
			for _, fp := range out {
				// What the tool cannot build in for what it is, such as UTF-16,
				// does not keep others out.
				if built[fp] || p.st.inBundle[fp] || slices.Contains(p.edits.have, fp) {
					missing++
				}
			}
		}
		for _, c := range plainCerts(st.bundle) {
			if c.Version != 0 && !expected[c.SHA256] {
				extra++
			}
		}
		if missing > 0 || extra > 0 {
			fault("%s lacks %d of %d certificates and holds %d that come from no anchor", s.family.bundle, missing, len(expected), extra)
		}
		if hasKey(st.bundle) && !slices.ContainsFunc(st.anchors, func(a anchor) bool { return a.enabled && hasKey(a.file) }) {
			fault("%s holds a private key", s.family.bundle)
		}
		if st.doubled() {
			fault("%s holds certificates twice", s.family.bundle)
		}
	}
	sound := map[store.Fingerprint]bool{}
	for _, a := range st.anchors {
		if a.sound() {
			fp := a.file.Items[0].Cert.SHA256
			sound[fp] = st.indexed[fp]
		}
	}
	for _, fp := range p.edits.have {
		if !st.inBundle[fp] || !sound[fp] {
			fault("%s is not trusted by every program: in the bundle %v, found by its hash %v", fp.Short(), st.inBundle[fp], sound[fp])
		}
	}
	for _, fp := range p.edits.lack {
		if st.inBundle[fp] || slices.ContainsFunc(st.strays, func(x stray) bool { return holds(x.file, fp) }) {
			fault("%s is still trusted", fp.Short())
		}
	}
	for _, name := range p.edits.drops {
		if st.links[name] != "" && s.dangles(st, name) {
			fault("the link %s leads nowhere", s.link(name))
		}
	}
	wrong = append(wrong, s.checkMoves(p.edits.moves)...)
	if len(wrong) > 0 {
		return store.Because(store.ErrFailed, "the update did not do it: %s", strings.Join(wrong, "; "))
	}
	err = s.checkJava(st, p)
	if err != nil && s.finishJava(ctx) {
		err = s.checkJava(st, p)
	}
	return err
}

// checkJava reads back whether Java's key store has followed.
func (s *Store) checkJava(st *state, p *planner) error {
	j := s.readJava()
	if p.java.readable() && j.err != nil {
		return &store.Error{Path: s.family.java.path,
			Err:  store.Because(store.ErrFailed, "Java's key store was broken: %w", j.err),
			Hint: "look what " + s.family.java.hook + " says"}
	}
	if !j.readable() {
		if j.follows {
			p.plan.Notice("Java's key store %s cannot be read (%v), so it is not known whether Java follows", s.family.java.path, j.err)
		}
		return nil
	}
	var wrong []string
	for _, fp := range p.edits.have {
		for _, a := range st.anchors {
			for _, c := range a.certs() {
				if c.SHA256 != fp {
					continue
				}
				if !j.takes(c) {
					p.plan.Notice("Java cannot read %s and does not trust it", fp.Short())
				} else if j.lacks(c) && !slices.Contains(wrong, "lacks "+fp.Short()) {
					wrong = append(wrong, "lacks "+fp.Short())
				}
			}
		}
	}
	for _, fp := range p.edits.lack {
		generated, others := j.keeps(fp)
		if generated {
			wrong = append(wrong, "still holds "+fp.Short())
		}
		for _, alias := range others {
			p.plan.Notice("Java's key store %s also holds %s as \"%s\", which was not generated and stays", s.family.java.path, fp.Short(), store.Printable(alias))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	if pid, held := s.javaLocked(); held {
		return locked(pid)
	}
	return &store.Error{Path: s.family.java.path,
		Err:  store.Because(store.ErrFailed, "Java's key store did not follow: it %s", strings.Join(wrong, ", ")),
		Hint: "look what " + s.family.java.hook + " says"}
}

// finishJava finishes what a crash has interrupted in the package that Java's
// hook is of: as long as it is not done, the hook does nothing. It reports
// whether there was anything to do.
func (s *Store) finishJava(ctx context.Context) bool {
	row := s.family.java
	status := s.packageField(row.pkg, "Status")
	if status == "" || strings.HasSuffix(status, " installed") {
		return false
	}
	_, err := s.host.Run(ctx, host.Command{Args: row.finish, Timeout: toolTimeout})
	return err == nil
}

// saved is a file or link as it was, absent if both are unset.
type saved struct {
	data []byte
	link string
	mode fs.FileMode
	has  bool
}

// snapshot is what a change can touch, as it was before.
type snapshot struct {
	own       map[string]saved // what the change itself writes
	generated map[string]saved // what the tool and its hooks make
	links     map[string]string
	aside     string // where the change sets aside what an interrupted update has left
}

func (s *Store) snapshot(p *planner) (snapshot, error) {
	snap := snapshot{own: map[string]saved{}, generated: map[string]saved{}, links: p.st.links}
	for _, x := range p.st.strays { // the tool may put a link in its place
		if x.err == nil && !x.stale && x.to == "" {
			snap.generated[x.path] = saved{data: x.raw, mode: x.mode.Perm(), has: true}
		}
	}
	own := slices.Concat(sortedKeys(p.edits.writes), p.edits.removes)
	return snap, errors.Join(
		s.saveAll(snap.own, own...),
		s.saveAll(snap.generated, s.family.bundle, s.family.java.path, s.family.java.pending))
}

func (s *base) saveAll(into map[string]saved, files ...string) error {
	for _, file := range files {
		if file == "" {
			continue
		}
		x, err := s.save(file)
		if err != nil {
			return err
		}
		into[file] = x
	}
	return nil
}

func (s *base) save(file string) (saved, error) {
	info, err := s.host.Lstat(file)
	if absent(err) {
		return saved{}, nil
	}
	if err != nil {
		return saved{}, err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		link, err := s.host.Readlink(file)
		return saved{link: link, has: true}, err
	}
	f, err := s.content(file, info)
	return saved{data: f.raw, mode: info.Mode().Perm(), has: true}, err
}

// putBack puts everything back as it was: first the anchors, so that whoever
// runs the tool from now on does so on the old ones, then what is generated. A
// run that has begun before may bring in yet what is taken back here, so it is
// waited for.
func (s *Store) putBack(ctx context.Context, p *planner, before snapshot) error {
	if err := s.restore(before.own); err != nil {
		return errors.Join(err, s.restoreGenerated(before))
	}
	for range attempts {
		busy := s.wait(ctx, s.updating)
		now, err := s.newPlanner(ctx)
		if err == nil && overtaken(p.st, now.st) {
			return s.regenerate(ctx, p, now)
		}
		if err := errors.Join(s.restoreGenerated(before), busy); err != nil {
			return err
		}
		if s.updating() == nil {
			break
		}
	}
	return nil
}

// overtaken reports whether what was generated meanwhile has in it, or lacks,
// what others have changed: to put that back would undo their work.
func overtaken(before, now *state) bool {
	was, is := before.expected(), now.expected()
	for _, either := range []map[store.Fingerprint]bool{was, is} {
		for fp := range either {
			if was[fp] != is[fp] && now.inBundle[fp] == is[fp] {
				return true
			}
		}
	}
	return false
}

// regenerate has the tool make everything from the anchors of now, which those
// of the change p are not among.
func (s *Store) regenerate(ctx context.Context, p, now *planner) error {
	expected := now.st.expected()
	now.edits.rebuild = true
	for _, fp := range p.edits.have {
		if !expected[fp] {
			now.edits.lack = append(now.edits.lack, fp)
			now.dropJava(fp)
		}
	}
	for name := range now.st.links {
		if _, was := p.st.links[name]; !was && s.dangles(now.st, name) {
			now.edits.drops = append(now.edits.drops, name)
		}
	}
	for _, fp := range p.edits.lack {
		for _, a := range now.st.anchors {
			if a.sound() && holds(a.file, fp) {
				now.edits.have = append(now.edits.have, fp)
				now.edits.renew = append(now.edits.renew, linkName(a.path, s.family.suffix))
			}
		}
	}
	if err := s.edit(now); err != nil {
		return err
	}
	return s.update(ctx, now)
}

// restoreGenerated puts back what the tool and its hooks make.
func (s *Store) restoreGenerated(snap snapshot) error {
	return errors.Join(s.restore(snap.generated), s.restoreLinks(snap.links, snap.aside == "" || s.lies(snap.aside)))
}

// restore puts files back as they were, as far as it can, and returns what it
// could not.
func (s *base) restore(files map[string]saved) error {
	var errs []error
	keep := func(err error) { errs = append(errs, unlessAbsent(err)) }
	for _, file := range sortedKeys(files) {
		was := files[file]
		now, err := s.save(file)
		switch {
		case err == nil && now.has == was.has && now.link == was.link && now.mode == was.mode && bytes.Equal(now.data, was.data):
		case !was.has:
			keep(s.host.Remove(file))
		case was.link != "":
			keep(s.host.Symlink(was.link, file, s.options(file)))
		default:
			if now.link != "" {
				keep(s.host.Remove(file))
			}
			o := s.options(file)
			o.Mode, o.ForceMode = was.mode, true
			err := s.host.WriteFile(file, was.data, o)
			if err != nil && file == s.family.java.path && s.host.Remove(file) == nil {
				// On a full disk the broken one is in the way of the good one.
				err = s.host.WriteFile(file, was.data, o)
			}
			keep(err)
		}
	}
	return errors.Join(errs...)
}

// restoreLinks puts the links of the hash directory back as they were, and
// takes away the bundle that was begun, if there is one, unless somebody is at it.
func (s *Store) restoreLinks(was map[string]string, begun bool) error {
	var errs []error
	keep := func(err error) { errs = append(errs, unlessAbsent(err)) }
	if begun && s.updating() == nil {
		keep(s.host.Remove(s.newBundle()))
	}
	links, _, err := s.readLinks()
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, name := range sortedKeys(links) {
		if _, had := was[name]; !had {
			keep(s.host.Remove(s.link(name)))
		}
	}
	for _, name := range sortedKeys(was) {
		if links[name] != was[name] {
			keep(s.host.Symlink(was[name], s.link(name), s.options(s.link(name))))
		}
	}
	return errors.Join(errs...)
}
