package anchors

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// What is generated from the anchors can be made by the distribution's tool or
// by certtrust itself: the native engine makes the same bundle, byte for byte
// as the tool does in the C locale, the same links, and tells the same hooks
// the same. It starts no program but the hooks, holds certtrust's lock, never
// takes away what readers need meanwhile, and replaces the bundle in one step.

func toolSum(program []byte) string {
	sum := sha256.Sum256(program)
	return hex.EncodeToString(sum[:])
}

// native reports whether the native engine is to be used for a state, and why
// it is or is not.
func (s *Store) native(st *state) (bool, string) {
	if !s.host.Live {
		return true, "no program of an offline root is run"
	}
	switch s.host.Engine {
	case host.EngineDistro:
		return false, "the distribution's tool was asked for"
	case host.EngineNative:
		return true, "the native engine was asked for"
	}
	tool, err := s.host.ReadFile(s.family.tool, maxFile)
	if err != nil {
		return false, err.Error()
	}
	release, known := s.family.proven[toolSum(tool)]
	if !known {
		return false, s.family.tool + " is not one that the native engine is known to be identical with"
	}
	if odd := s.odd(st); odd != "" {
		return false, odd
	}
	return true, s.family.tool + " is that of " + release
}

// odd returns what in a state the tool makes something of that the native
// engine does not, "" if nothing.
func (s *Store) odd(st *state) string {
	if len(st.conf) == 0 {
		return s.family.vendorConf + " is empty, so that the tool begins afresh"
	}
	if info, err := s.host.Lstat(s.family.bundle); err == nil && !info.Mode().IsRegular() {
		return s.family.bundle + " is no plain file"
	}
	names := map[string]bool{}
	for _, a := range st.anchors {
		switch name := linkName(a.path, s.family.suffix); {
		case !a.enabled:
		case a.listed && path.Clean(a.line) != a.line, path.Base(a.path) == s.family.suffix, strings.ContainsAny(a.path, "\n\\"):
			return store.Printable(a.path) + " has a name that the tool takes in its own way"
		case a.err == errNoFile:
		case a.err != nil:
			return store.Printable(a.path) + " cannot be read"
		case names[name]:
			return "two anchors are called " + store.Printable(name)
		default:
			names[name] = true
		}
	}
	return ""
}

// followNatively does what the tool does.
func (s *Store) followNatively(ctx context.Context, p *planner) (wrong, err error) {
	st, err := s.edited(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := s.collate(ctx, st); err != nil {
		return nil, err
	}
	made, err := s.generate(st, p.edits)
	if err != nil {
		return nil, err
	}
	if err := s.putLinks(st.links, made.links); err != nil {
		return nil, err
	}
	// What an interrupted update has left, programs that read the whole
	// directory trust.
	if err := s.host.Remove(s.newBundle()); err != nil && !absent(err) {
		return nil, err
	}
	if st.bundleErr != nil || !bytes.Equal(st.bundleRaw, made.bundle) || st.bundleMode.Perm() != anchorMode {
		o := s.options(s.family.bundle)
		o.ForceMode = true
		if err := s.host.WriteFile(s.family.bundle, made.bundle, o); err != nil {
			return nil, err
		}
	}
	if !s.host.Live {
		return nil, nil
	}
	return s.tellHooks(ctx, p, made.lines)
}

// edited returns the state after the edits of p. The first time, and if all that
// they did was to write anchors of the administrator's, that is what was read
// under the lock a moment ago, with that directory read anew. What others may
// have changed in between is found when everything is read back, as what they
// change after this is; and then it is done again, with what is there.
func (s *Store) edited(ctx context.Context, p *planner) (*state, error) {
	e := p.edits
	plain := !p.again && len(e.removes)+len(e.drops)+len(e.moves) == 0
	for file := range e.writes {
		plain = plain && strings.HasPrefix(file, s.family.adminDir+"/")
	}
	p.again = true
	if !plain {
		return s.read(ctx)
	}
	st := *p.st
	st.anchors = slices.DeleteFunc(slices.Clone(st.anchors), func(a anchor) bool { return !a.vendor })
	st.ignored, st.left = nil, nil
	links, _, err := s.readLinks()
	if err == nil {
		err = s.readAdmin(&st)
	}
	st.links = links
	return &st, err
}

// collate brings the administrator's anchors into the order in which the tool
// takes them: that of sort(1) in the caller's locale.
func (s *Store) collate(ctx context.Context, st *state) error {
	vendors := slices.IndexFunc(st.anchors, func(a anchor) bool { return !a.vendor })
	if locale := s.locale(); vendors < 0 || len(locale) == 0 {
		return nil
	} else if list := st.anchors[vendors:]; len(list) > 1 {
		var paths strings.Builder
		for _, a := range list {
			paths.WriteString(a.path + "\x00")
		}
		out, err := s.host.Run(ctx, host.Command{Args: []string{"sort", "-z"}, Stdin: strings.NewReader(paths.String()), Env: locale, Keep: int64(paths.Len())})
		if err != nil {
			return err
		}
		rank := map[string]int{}
		for i, path := range strings.Split(string(out.Stdout), "\x00") {
			rank[path] = i
		}
		slices.SortStableFunc(list, func(a, b anchor) int { return rank[a.path] - rank[b.path] })
	}
	return nil
}

// locale returns what makes programs order and take text as the caller's locale
// does, nil where that is as the C locale does. What they say stays English.
func (s *Store) locale() []string {
	order := s.category("LC_COLLATE")
	if name, _, _ := strings.Cut(order, "."); name == "" || name == "C" || name == "POSIX" {
		return nil
	}
	return []string{"LC_ALL=", "LC_COLLATE=" + order, "LC_CTYPE=" + s.category("LC_CTYPE"), "LOCPATH=" + s.host.Env("LOCPATH")}
}

// category returns the name of the caller's locale for a category.
func (s *Store) category(name string) string {
	return or(s.host.Env("LC_ALL"), or(s.host.Env(name), s.host.Env("LANG")))
}

// generated is what the tool makes of the anchors.
type generated struct {
	bundle []byte
	links  map[string]string // all that are to be in the hash directory
	lines  []string          // what the hooks are told
}

// generate returns what the tool makes of a state, after an edit.
func (s *Store) generate(st *state, e edits) (generated, error) {
	g := generated{links: map[string]string{}}
	for name, target := range st.links {
		g.links[name] = target
	}
	var added, removed []string
	for _, a := range st.anchors {
		// The tool replaces nothing in the names of those that it takes out.
		name := strings.TrimSuffix(path.Base(a.path), s.family.suffix) + ".pem"
		if _, is := g.links[name]; is && a.listed && !a.enabled {
			delete(g.links, name)
			removed = append(removed, "-"+s.link(name))
		}
	}
	size := 0
	for _, a := range st.anchors {
		size += len(a.raw) + 1
	}
	bundle := bytes.NewBuffer(make([]byte, 0, size))
	for _, a := range st.anchors {
		if !a.enabled || a.err == errNoFile {
			continue
		}
		if a.err != nil {
			return g, fmt.Errorf("%s: %w", a.path, a.err)
		}
		name := linkName(a.path, s.family.suffix)
		if line := "+" + s.link(name); (st.links[name] != a.path || slices.Contains(e.renew, name)) && !strings.Contains(name, "\n") {
			added = append(added, line)
		}
		g.links[name] = a.path
		bundle.Write(a.raw)
		if len(a.raw) > 0 && a.raw[len(a.raw)-1] != '\n' {
			bundle.WriteByte('\n')
		}
	}
	g.bundle = bundle.Bytes()
	for _, line := range e.lines {
		if !slices.Contains(removed, line) && !slices.Contains(added, line) {
			g.lines = append(g.lines, line)
		}
	}
	g.lines = slices.Concat(g.lines, added, removed)
	if len(g.lines) > 0 || len(e.drops) > 0 {
		s.rehash(st, g.links)
	}
	return g, nil
}

// putLinks makes the links of the hash directory those that are wanted. At no
// moment is one that stays not there, and the numbers of a hash have no gap.
func (s *Store) putLinks(have, want map[string]string) error {
	return s.host.Together(func(h *host.Host) error {
		put := func(hashes bool) error {
			for _, name := range sortedKeys(want) {
				had, is := have[name]
				if is && had == want[name] || isHashLink(name) != hashes {
					continue
				}
				if err := h.Symlink(want[name], s.link(name), s.options(s.link(name))); err != nil {
					return err
				}
			}
			return nil
		}
		if err := put(false); err != nil {
			return err
		}
		if err := put(true); err != nil {
			return err
		}
		// The hash links go first, the highest number before the others.
		gone := slices.DeleteFunc(sortedKeys(have), func(name string) bool { _, stays := want[name]; return stays })
		slices.SortFunc(gone, byNumber)
		for _, name := range slices.Backward(gone) {
			if err := h.Remove(s.link(name)); err != nil && !absent(err) {
				return err
			}
		}
		return nil
	})
}
