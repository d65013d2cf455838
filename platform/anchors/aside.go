package anchors

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// A repair deletes nothing that is not certtrust's own: it sets files aside, in
// a directory that only root can enter, beside the one that they were in. Undo
// brings them back, but for what an interrupted update has left.

// asideName is that directory's name.
const asideName = "certtrust-set-aside"

// move is a file or link that is renamed.
type move struct{ from, to string }

// moves is what is set aside, or brought back.
type moves []move

// backupName is what the names of files look like that editors, package
// managers and people keep as copies. On real machines the hash directory has
// server certificates in it, too: nothing else is taken for a copy.
var backupName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)(~|\.(bak|backup|old|orig|save|saved|swp|dpkg-(old|dist|new|tmp)|ucf-(old|dist)|rpm(save|orig|new)))(\.?[0-9]+)?$` +
		`|^ca-certificates\.crt[.-]`)
})

// isBackup reports whether a stray is clearly a copy that was kept: a file of
// such a name, with no private key that some program might want.
func isBackup(x stray) bool {
	return x.err == nil && x.to == "" && !x.stale && backupName().MatchString(path.Base(x.path)) && !hasKey(x.file)
}

func hasKey(f *certfile.File) bool {
	return f != nil && slices.ContainsFunc(f.Notices, func(n certfile.Notice) bool { return n.Code == certfile.PrivateKey })
}

// canBeRewritten reports whether all that an anchor of the administrator makes
// trusted can be kept in files of certtrust's own.
func canBeRewritten(a anchor) bool {
	return a.err == nil && !a.vendor && a.enabled && !a.der &&
		!slices.ContainsFunc(a.file.Items, func(i certfile.Item) bool { return i.TrustedLabel || i.Cert.Version == 0 })
}

// mendableIf says of the problems of a file, whether those that setting it aside
// mends can be mended.
func mendableIf(can bool, list []store.Problem) []store.Problem {
	for i := range list {
		if !can && (list[i].Code == "private-key" || list[i].Code == "newline-in-name") {
			list[i].Mendable = false
		}
	}
	return list
}

// keepsKey reports whether a private key is in the bundle whatever is mended.
func (st *state) keepsKey() bool {
	return slices.ContainsFunc(st.anchors, func(a anchor) bool { return a.enabled && hasKey(a.file) && !canBeRewritten(a) })
}

// asideDir returns where a file of the store is set aside: on the same file
// system, and where no program looks for certificates.
func (s *base) asideDir(file string) string {
	top := s.family.adminDir
	if dir := path.Dir(file); s.isRead(dir) {
		top = dir
	}
	return path.Join(path.Dir(top), asideName)
}

// isRead reports whether programs take what lies in a directory for roots.
func (s *base) isRead(dir string) bool {
	return dir == s.family.hashDir || slices.ContainsFunc(s.family.outputs, func(o output) bool { return o.directory() && o.path == dir })
}

var unsafeName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^A-Za-z0-9._-]+`) })

// asidePath returns where a file with that content is set aside.
func (s *base) asidePath(file string, raw []byte) string {
	sum := sha256.Sum256(append([]byte(file+"\x00"), raw...))
	name := unsafeName().ReplaceAllString(path.Base(file), "_")
	return path.Join(s.asideDir(file), hex.EncodeToString(sum[:8])+"-"+name[:min(len(name), 64)])
}

// setAside plans to set a file or link aside. It reports whether that is not
// planned already.
func (p *planner) setAside(file string, raw []byte, step *store.Step) bool {
	return p.edits.moves.setAside(&p.s.base, &p.plan, file, raw, step)
}

func (m *moves) setAside(s *base, plan *store.Plan, file string, raw []byte, step *store.Step) bool {
	if m.sets(file) {
		return false
	}
	to := s.asidePath(file, raw)
	for s.lies(to) { // another time that it was the same
		to += "+"
	}
	*m = append(*m, move{file, to})
	step.Files = append(step.Files, file, to)
	if file != s.newBundle() { // half a bundle, which nobody wants back
		plan.Undo = append(plan.Undo, store.Change{Item: file, Aside: to})
	}
	return true
}

// sets reports whether a file is set aside.
func (m moves) sets(file string) bool {
	return slices.ContainsFunc(m, func(m move) bool { return m.from == file })
}

func (s *base) lies(file string) bool {
	_, err := s.host.Lstat(file)
	return !absent(err)
}

// bringBack plans to bring back what was set aside.
func (m *moves) bringBack(s *base, plan *store.Plan, c store.Change) error {
	inside := strings.HasPrefix(c.Item, s.family.adminDir+"/") || s.isRead(path.Dir(c.Item))
	switch {
	case !inside || path.Clean(c.Item) != c.Item || strings.Contains(c.Item, "\x00") || path.Clean(c.Aside) != c.Aside || path.Dir(c.Aside) != s.asideDir(c.Item):
		return store.Because(store.ErrInput, "%s was not set aside in %s", store.Printable(c.Item), store.Printable(c.Aside))
	case !s.lies(c.Aside) && s.lies(c.Item):
		return nil // it is back
	case !s.lies(c.Aside):
		return &store.Error{Path: c.Aside, Err: store.Because(store.ErrNotFound, "what was set aside there is not there any more")}
	case s.lies(c.Item):
		return &store.Error{Path: c.Item, Err: store.Because(store.ErrConflict, "there is another file of that name"),
			Hint: "look what it is, and move it away"}
	}
	if data, err := s.host.ReadFile(c.Aside, maxFile); err == nil && strings.HasPrefix(c.Item, s.family.adminDir+"/") && hasKey(certfile.ReadPEM(data)) {
		return &store.Error{Path: c.Aside, Err: store.Because(store.ErrUnsupported, "it holds a private key, which would be copied into a file that everybody can read"),
			Hint: "take the certificates from it, if they are needed, and leave the key there"}
	}
	*m = append(*m, move{c.Aside, c.Item})
	plan.Steps = append(plan.Steps, store.Step{Action: store.ActionMend, Label: "set-aside", Files: []string{c.Item, c.Aside}, Elevated: s.host.EUID != 0})
	return nil
}

// rewrite plans to keep the certificates of a file that is set aside trusted, in
// files of certtrust's own.
func (p *planner) rewrite(a anchor, keep func(fp store.Fingerprint) bool, step *store.Step) {
	for _, c := range a.certs() {
		other := slices.ContainsFunc(p.st.anchors, func(b anchor) bool { return b.path != a.path && b.sound() && holds(b.file, c.SHA256) })
		file := p.s.ownPath(c.SHA256)
		if _, written := p.edits.writes[file]; written || other || !keep(c.SHA256) {
			continue
		}
		p.edits.writes[file] = certfile.EncodePEM(c)
		p.edits.have = append(p.edits.have, c.SHA256)
		p.renew(linkName(file, p.s.family.suffix))
		step.Files = append(step.Files, file)
		p.plan.Undo = append(p.plan.Undo, store.Change{Fingerprint: c.SHA256, Absent: true, Item: file})
	}
}

// mendAside plans the repair of what is to be set aside. It reports whether
// there is anything to do.
func (p *planner) mendAside(x store.Problem, step *store.Step) bool {
	for _, y := range p.st.strays {
		if y.path == x.Path && (y.stale || x.Code == "stray-backup" && isBackup(y)) {
			return p.setAside(y.path, y.raw, step)
		}
	}
	for _, a := range p.st.anchors {
		if a.path != x.Path || a.vendor {
			continue
		}
		// What stops every update was never built in, unless it came later.
		keep := func(fp store.Fingerprint) bool { return p.st.inBundle[fp] }
		switch {
		case x.Code == "newline-in-name" && strings.ContainsAny(path.Base(a.path), "\n\r") && (a.err != nil || canBeRewritten(a)):
		case x.Code == "private-key" && hasKey(a.file) && canBeRewritten(a):
			keep = func(store.Fingerprint) bool { return true }
		default:
			continue
		}
		if !p.setAside(a.path, a.raw, step) {
			return false
		}
		if a.err == nil {
			p.rewrite(a, keep, step)
			p.dropLink(a.path)
		}
		p.edits.rebuild = true
		return true
	}
	return false
}

// doMoves renames what is to be set aside or brought back.
func (s *base) doMoves(list moves) error {
	for _, m := range list {
		if path.Base(path.Dir(m.to)) == asideName {
			if err := s.host.MkdirAll(path.Dir(m.to), 0o700); err != nil {
				return err
			}
		}
		if err := s.host.Rename(m.from, m.to); err != nil {
			return err
		}
		if err := s.tidy(path.Dir(m.from)); err != nil {
			return err
		}
	}
	return nil
}

// undoMoves puts back what doMoves has renamed, the last first.
func (s *base) undoMoves(list moves) error {
	var errs []error
	for _, m := range slices.Backward(list) {
		if s.lies(m.to) && !s.lies(m.from) {
			if path.Base(path.Dir(m.from)) == asideName {
				errs = append(errs, s.host.MkdirAll(path.Dir(m.from), 0o700))
			}
			errs = append(errs, s.host.Rename(m.to, m.from))
		}
		errs = append(errs, s.tidy(path.Dir(m.to)))
	}
	return errors.Join(errs...)
}

// tidy removes the directory of what is set aside once nothing is in it.
func (s *base) tidy(dir string) error {
	if path.Base(dir) != asideName {
		return nil
	}
	entries, err := s.host.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		return unlessAbsent(err)
	}
	return s.host.RemoveDir(dir)
}

// checkMoves reads back what doMoves has done.
func (s *base) checkMoves(list moves) []string {
	var wrong []string
	for _, m := range list {
		if s.lies(m.from) || !s.lies(m.to) {
			wrong = append(wrong, store.Printable(m.from)+" is still there")
		}
	}
	return wrong
}
