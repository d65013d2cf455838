package anchors

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/platform/anchors/p11kit"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// readWhole are the directories of which some programs, such as Go's, take every
// file for roots, whatever the system makes of them.
var readWhole = []string{"/etc/ssl/certs", "/etc/pki/tls/certs"}

// readStrays finds what lies in such directories and is none of the system's.
func (s *folder) readStrays(st *folderState) {
	known := map[string]bool{s.family.legacy.link: true}
	for _, o := range s.family.outputs {
		known[o.path] = true
	}
	for _, x := range st.sources {
		known[x.path] = true
		if to, err := s.host.Resolve(x.path); err == nil {
			known[to] = true
		}
	}
	for _, o := range s.family.outputs {
		if !o.directory() || !slices.Contains(readWhole, o.path) {
			continue
		}
		if at, err := s.host.Resolve(o.path); err != nil || at != o.path {
			continue // it is not there, or is another directory, which is looked at as such
		}
		entries, err := s.host.ReadDir(o.path)
		if err != nil {
			st.strays = append(st.strays, stray{path: o.path, err: err})
		}
		own := slices.IndexFunc(s.family.places, func(p place) bool { return s.at(&p) == o.path })
		for _, e := range entries {
			x := stray{path: path.Join(o.path, e.Name())}
			source := own >= 0 && (s.family.places[own].counts(e.Name()) || strings.HasPrefix(e.Name(), host.TempPrefix))
			switch {
			case source || known[x.path]:
			case strings.HasPrefix(e.Name(), host.TempPrefix):
				st.left = append(st.left, x.path)
			case e.Type()&fs.ModeSymlink != 0:
				x.to, err = s.host.Resolve(x.path)
				if absent(err) {
					st.dangling = append(st.dangling, x.path)
				} else if err == nil && !known[x.to] && !s.isRead(path.Dir(x.to)) {
					s.readInto(st, x)
				}
			case o.kind == hashDirectory && isHashLink(e.Name()): // a copy, as FreeBSD's tool makes it
			case e.Type().IsRegular():
				s.readInto(st, x)
			}
		}
	}
}

// readInto reads what may be a stray: what holds no certificate is none.
func (s *folder) readInto(st *folderState, x stray) {
	info, err := s.host.Stat(x.path)
	if err == nil && !info.Mode().IsRegular() {
		return
	}
	if err == nil {
		x.mode = info.Mode()
		x.raw, err = s.host.ReadFile(x.path, maxFile)
	}
	if x.err = err; err == nil {
		if x.file = certfile.ReadPEM(x.raw); len(plainCerts(x.file)) == 0 {
			return
		}
	}
	st.strays = append(st.strays, x)
}

// strayWith returns a stray that holds a certificate, nil if none does.
func (st *folderState) strayWith(fp store.Fingerprint) *stray {
	i := slices.IndexFunc(st.strays, func(x stray) bool { return holds(x.file, fp) })
	if i < 0 {
		return nil
	}
	return &st.strays[i]
}

// strayEntries yields what of them is trusted through them alone, or else one
// entry for each, and links that lead nowhere.
func (s *folder) strayEntries(st *folderState, yield func(store.Entry, error) bool) bool {
	for _, x := range st.strays {
		kind, code := kindStray, "stray-file"
		if x.to != "" {
			kind = kindLink
		}
		if isBackup(x) {
			code = "stray-backup"
		}
		if x.err != nil {
			if !yield(store.Entry{Source: store.Source{Kind: kind, Path: x.path}}, s.fail("read", x.path, x.err)) {
				return false
			}
			continue
		}
		extra := false
		for _, c := range plainCerts(x.file) {
			if meant, is := st.effective(st.first(c.SHA256)); c.Version == 0 || meant && is || len(st.inOutputs(c.SHA256)) > 0 {
				continue
			}
			extra = true
			e := blank(kind, x.path, store.Origin{By: store.ByUnknown}, problem(code, x.path))
			e.Cert, e.Label, e.Trust = c, c.Label(), trustedForAny
			if !yield(e, nil) {
				return false
			}
		}
		if !extra && !yield(blank(kind, x.path, store.Origin{By: store.ByUnknown}, problem(code, x.path)), nil) {
			return false
		}
	}
	for _, at := range st.dangling {
		if !yield(blank(kindLink, at, store.Origin{By: store.ByUnknown}, problem("dangling-link", at)), nil) {
			return false
		}
	}
	return true
}

// stillTrusted returns the error for a certificate that is to go and lies in a
// file that may be somebody's: it is not taken away.
func stillTrusted(x *stray) error {
	return &store.Error{Path: x.path, Err: store.Because(store.ErrConflict, "it lies there too, and programs that read the whole directory, such as Go's, trust it"),
		Hint: "take it away from there first, if no program needs it"}
}

// keyCanGo reports whether a file with a private key, which the tool copies into
// a bundle, can be set aside.
func (x *source) keyCanGo() bool {
	return x.err == nil && !x.vendor && !x.place.shared && !x.place.file && x.place.standing != p11kit.Blocked
}

// mendAside plans the repair of what is to be set aside. It reports whether
// there is anything to do.
func (p *folderPlan) mendAside(x store.Problem, step *store.Step) bool {
	for _, y := range p.st.strays {
		if y.path == x.Path && x.Code == "stray-backup" && isBackup(y) {
			return p.edits.moves.setAside(&p.s.base, &p.plan, y.path, y.raw, step)
		}
	}
	if x.Code == "dangling-link" && slices.Contains(p.st.dangling, x.Path) {
		target, _ := p.s.host.Readlink(x.Path)
		ofTool := slices.ContainsFunc(p.s.family.places, func(pl place) bool { return strings.HasPrefix(target, p.s.at(&pl)+"/") })
		if isHashLink(path.Base(x.Path)) || ofTool || p.s.isRead(path.Dir(target)) { // those are made anew of what is there
			step.Files = append(step.Files, x.Path)
			p.edits.removes = append(p.edits.removes, x.Path)
			return true
		}
		return p.edits.moves.setAside(&p.s.base, &p.plan, x.Path, []byte(target), step)
	}
	i := slices.IndexFunc(p.st.sources, func(y source) bool { return y.path == x.Path && y.keyCanGo() })
	if x.Code != "private-key" || i < 0 || !p.edits.moves.setAside(&p.s.base, &p.plan, x.Path, p.st.sources[i].raw, step) {
		return false
	}
	for _, c := range p.st.sources[i].file.Certs() {
		elsewhere := slices.ContainsFunc(p.st.of(c.SHA256), func(h *p11kit.Cert) bool { return p.st.source(h).path != x.Path })
		own, content, err := p.s.ownFile(c)
		if meant, _ := p.st.effective(p.st.first(c.SHA256)); !meant || elsewhere || err != nil || p.taken(own) {
			continue
		}
		p.edits.writes[own] = content
		p.edits.have = append(p.edits.have, c)
		step.Files = append(step.Files, own)
		p.plan.Undo = append(p.plan.Undo, store.Change{Fingerprint: c.SHA256, Absent: true, Item: own})
	}
	p.edits.rebuild = true
	return true
}
