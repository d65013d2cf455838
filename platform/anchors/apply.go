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
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// anchorMode is the mode of what certtrust writes: everybody must be able to
// read what everybody is to trust.
const anchorMode fs.FileMode = 0o644

// toolTimeout is how long the update tool may take.
const toolTimeout = 5 * time.Minute

// Apply does a plan. What it writes is an anchor file for each certificate;
// the rest is made by the distribution's tool, whose success is believed only
// when the bundle, the links, the modes and Java's key store say the same. If
// they do not, everything is put back.
func (s *Store) Apply(ctx context.Context, plan store.Plan) (store.Receipt, error) {
	receipt := store.Receipt{Store: s.info.ID}
	if err := ctx.Err(); err != nil {
		return receipt, s.fail("apply", "", err)
	}
	if !plan.Empty() {
		if err := s.info.Access.Write.Err("apply", s.info.ID); err != nil {
			return receipt, err
		}
		unlock, err := s.host.Lock(ctx, path.Join(s.host.StateDir(store.ScopeSystem), "lock"), s.Wait, "certtrust")
		if err != nil {
			return receipt, s.fail("apply", "", err)
		}
		defer unlock()
		if err := s.quiet(ctx); err != nil {
			return receipt, s.fail("apply", "", err)
		}
	}
	p, err := s.newPlanner(ctx)
	if err != nil {
		return receipt, s.fail("apply", "", err)
	}
	if len(plan.Repair) > 0 {
		p.mend(plan.Repair)
	} else if err := p.changes(plan.Want); err != nil {
		return receipt, s.fail("apply", "", err)
	}
	if !p.plan.SameSteps(plan) {
		return receipt, &store.Error{Op: "apply", Store: s.info.ID,
			Err:  store.Because(store.ErrStale, "the store has changed since the plan was made"),
			Hint: "look at the plan again"}
	}
	if !plan.Empty() {
		if err := s.execute(ctx, p); err != nil {
			return receipt, err
		}
		receipt.Done, receipt.Undo = p.plan.Steps, p.plan.Undo
	}
	receipt.Notices = p.plan.Notices
	return receipt, nil
}

// execute does the edits or puts everything back.
func (s *Store) execute(ctx context.Context, p *planner) error {
	before, err := s.snapshot(p)
	if err != nil {
		return s.fail("apply", "", err)
	}
	err = s.edit(ctx, p)
	if err == nil && p.edits.rebuild {
		err = s.rebuild(ctx, p)
	} else if err == nil {
		err = s.check(ctx, p)
	}
	if err == nil {
		return nil
	}
	// A cancelled context must not keep the store from being put back.
	if back := s.restore(before); back != nil {
		return &store.Error{Op: "apply", Store: s.info.ID,
			Err:  store.Because(store.ErrPartial, "%w; and it could not be taken back: %v", err, back),
			Hint: "run certtrust repair"}
	}
	return &store.Error{Op: "apply", Store: s.info.ID, Err: store.Because(store.Kind(store.Code(err)), "%w; everything was put back", err), Hint: store.Hint(err)}
}

// edit makes the changes that are ours: files, links, and what the hooks must
// be told that the tool does not tell them.
func (s *Store) edit(ctx context.Context, p *planner) error {
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
	for _, name := range p.edits.renew {
		if _, isLink := p.st.links[name]; isLink {
			if err := s.host.Remove(s.link(name)); err != nil && !absent(err) {
				return err
			}
		}
	}
	if len(p.edits.lines) > 0 {
		return s.tellHooks(ctx, p)
	}
	return nil
}

// options tells how a file is written. A temporary file must not lie where
// programs read every file there is.
func (s *Store) options(file string) host.WriteOptions {
	o := host.WriteOptions{Mode: anchorMode}
	if path.Dir(file) == s.family.hashDir {
		o.TempDir = path.Dir(s.family.hashDir)
	}
	return o
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
		if m := hashLink.FindStringSubmatch(link); m != nil && (named || slices.Contains(names, links[link])) {
			if n, err := strconv.Atoi(m[2]); err == nil {
				gone[m[1]] = append(gone[m[1]], n)
			}
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
		m := hashLink.FindStringSubmatch(link)
		if m == nil || m[1] != hash {
			continue
		}
		if n, err := strconv.Atoi(m[2]); err == nil && !slices.Contains(gone, n) {
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
var hookName = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)

// tellHooks runs the tool's hooks with the plan's lines on their standard
// input, as the tool does.
func (s *Store) tellHooks(ctx context.Context, p *planner) error {
	hooks, err := s.host.ReadDir(s.family.hookDir)
	if err != nil && !absent(err) {
		return err
	}
	for _, hook := range hooks {
		file := path.Join(s.family.hookDir, hook.Name())
		info, err := s.host.Stat(file)
		if err != nil || !hookName.MatchString(hook.Name()) || !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
			continue
		}
		input := strings.Join(p.edits.lines, "\n")
		if input != "" {
			input += "\n"
		}
		_, err = s.host.Run(ctx, host.Command{Args: []string{file}, Stdin: strings.NewReader(input), Timeout: toolTimeout})
		if err != nil {
			if err := s.hookFailed(p, file, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// hookFailed returns what the failure of a hook means for the change: nothing
// if Java's key store was broken before.
func (s *Store) hookFailed(p *planner, hook string, err error) error {
	if hook == s.family.java.hook {
		if pid, held := s.javaLocked(); held {
			return locked(pid)
		}
		if p.java.err != nil {
			return nil // checkJava says so
		}
	}
	return &store.Error{Path: hook, Err: store.Because(store.ErrFailed, "the update hook failed: %w", err),
		Hint: "mend the hook, or take it away, and try again"}
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
func (s *Store) quiet(ctx context.Context) error {
	deadline := time.Now().Add(s.Wait)
	for {
		busy := s.busy()
		if busy == nil {
			break
		}
		if time.Now().After(deadline) {
			return busy
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

// busy returns who is at work on the store, nil if nobody is.
func (s *Store) busy() error {
	for _, p := range s.updaters() {
		return &store.Error{Err: store.Because(store.ErrLocked, "%s is running (process %d)", path.Base(s.family.tool), p.PID),
			Hint: "try again when it has finished"}
	}
	if s.javaFollows() {
		if pid, held := s.javaLocked(); held {
			return locked(pid)
		}
	}
	return nil
}

// liveUpdaters returns the processes that run the tool, by itself or by an
// interpreter, on the files of this machine and not in a container.
func (s *Store) liveUpdaters() []host.Process {
	return slices.DeleteFunc(s.host.Processes(), func(p host.Process) bool {
		run := slices.ContainsFunc(p.Args[:min(3, len(p.Args))], func(arg string) bool { return path.Base(arg) == path.Base(s.family.tool) })
		return !run || !s.host.Shares(p, s.family.hashDir)
	})
}

// attempts is how often the tool is run until the store is as it should be:
// another run at the same time can spoil one.
const attempts = 3

var hookError = regexp.MustCompile(`(?m)^E: (\S+) exited with code (\d+)`)

// rebuild runs the tool until what it made is right.
func (s *Store) rebuild(ctx context.Context, p *planner) error {
	var wrong error
	for range attempts {
		if err := s.quiet(ctx); err != nil {
			return errors.Join(wrong, err)
		}
		// What an interrupted update has left would be added to.
		if err := s.host.Remove(s.newBundle()); err != nil && !absent(err) {
			return err
		}
		out, err := s.host.Run(ctx, host.Command{Args: []string{s.family.tool}, Timeout: toolTimeout})
		if err != nil {
			return err
		}
		wrong = nil
		text := bytes.Join([][]byte{out.Stdout, out.Stderr}, []byte("\n"))
		if m := hookError.FindSubmatch(text); m != nil {
			// Java's hook fails where another run of it is at work. What it was
			// told it keeps for the next run.
			hook := string(m[1])
			if wrong = s.hookFailed(p, hook, fmt.Errorf("exit code %s", m[2])); wrong != nil && hook != s.family.java.hook {
				return wrong
			}
		}
		if err := s.quiet(ctx); err != nil {
			return errors.Join(wrong, err)
		}
		if wrong == nil {
			wrong = s.check(ctx, p)
		}
		if wrong == nil {
			return nil
		}
	}
	return wrong
}

// check reads everything back and returns what is not as it should be.
func (s *Store) check(ctx context.Context, p *planner) error {
	st, err := s.read(ctx)
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
		for fp := range expected {
			// What was not built in before for what it is, such as UTF-16,
			// does not keep others out.
			if !st.inBundle[fp] && (p.st.inBundle[fp] || slices.Contains(p.edits.have, fp)) {
				missing++
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
	}
	for _, fp := range p.edits.have {
		sound := slices.ContainsFunc(st.anchors, func(a anchor) bool {
			return holds(a.file, fp) && a.sound() && st.indexed[fp]
		})
		if !st.inBundle[fp] || !sound {
			fault("%s is not trusted by every program: in the bundle %v, found by its hash %v", fp.Short(), st.inBundle[fp], sound)
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
	if !j.readable() {
		if j.follows {
			p.notice("Java's key store %s cannot be read (%v), so it is not known whether Java follows", s.family.java.path, j.err)
		}
		return nil
	}
	var wrong []string
	for _, fp := range p.edits.have {
		for _, a := range st.anchors {
			for _, item := range a.file.Items {
				if item.Cert.SHA256 != fp {
					continue
				}
				if !j.takes(item.Cert) {
					p.notice("Java cannot read %s and does not trust it", fp.Short())
				} else if j.lacks(item.Cert) && !slices.Contains(wrong, "lacks "+fp.Short()) {
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
			p.notice("Java's key store %s also holds %s as \"%s\", which was not generated and stays", s.family.java.path, fp.Short(), store.Printable(alias))
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
	files map[string]saved
	links map[string]string
}

func (s *Store) snapshot(p *planner) (snapshot, error) {
	snap := snapshot{files: map[string]saved{}, links: p.st.links}
	files := slices.Concat(sortedKeys(p.edits.writes), p.edits.removes, []string{s.family.bundle, s.family.java.path, s.family.java.pending})
	for _, file := range files {
		if file == "" {
			continue
		}
		x, err := s.save(file)
		if err != nil {
			return snap, err
		}
		snap.files[file] = x
	}
	for _, x := range p.st.strays { // the tool may put a link in its place
		if x.err == nil && !x.stale && x.to == "" {
			snap.files[x.path] = saved{data: x.raw, mode: x.mode.Perm(), has: true}
		}
	}
	return snap, nil
}

func (s *Store) save(file string) (saved, error) {
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
	data, err := s.host.ReadFile(file, maxFile)
	return saved{data: data, mode: info.Mode().Perm(), has: true}, err
}

// restore puts everything back as it was, as far as it can, and returns what
// it could not.
func (s *Store) restore(snap snapshot) error {
	var errs []error
	keep := func(err error) {
		if err != nil && !absent(err) {
			errs = append(errs, err)
		}
	}
	for _, file := range sortedKeys(snap.files) {
		was := snap.files[file]
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
	keep(s.host.Remove(s.newBundle()))
	links, _, err := s.readLinks()
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, name := range sortedKeys(links) {
		if _, was := snap.links[name]; !was {
			keep(s.host.Remove(s.link(name)))
		}
	}
	for _, name := range sortedKeys(snap.links) {
		if links[name] != snap.links[name] {
			keep(s.host.Symlink(snap.links[name], s.link(name), s.options(s.link(name))))
		}
	}
	return errors.Join(errs...)
}
