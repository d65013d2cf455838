package anchors

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// state is everything that the store consists of, as it was read at one time.
type state struct {
	conf    []byte
	anchors []anchor // in the order in which the tool takes them
	ignored []string // files in the administrator's directory that the tool passes over
	left    []string // temporary files of ours there, see leftovers

	bundle     *certfile.File
	bundleRaw  []byte
	bundleErr  error
	inBundle   map[store.Fingerprint]bool
	bundleMode fs.FileMode

	links   map[string]string          // in the hash directory: name -> target
	strays  []stray                    // what is in the hash directory and is not the tool's
	indexed map[store.Fingerprint]bool // found by who looks it up by the hash of its subject
}

// anchor is a file that holds certificates to be trusted.
type anchor struct {
	path    string
	vendor  bool
	line    string // the vendor's: its line in the vendor's list
	listed  bool   // the vendor's list has that line
	enabled bool   // the tool takes it
	raw     []byte
	mode    fs.FileMode
	file    *certfile.File
	der     bool // not PEM, so what the tool makes of it is of no use
	err     error
}

// stray is a file in the hash directory that the tool did not put there.
type stray struct {
	path  string
	to    string   // where it is, if path is a link that leads elsewhere
	names []string // of all the links that lead there
	stale bool     // a temporary file of the tool
	raw   []byte
	mode  fs.FileMode
	file  *certfile.File
	err   error
}

// errNoFile is the error of an anchor that is not there, is a directory, or is a
// link to nothing: there is nothing to be read.
var errNoFile = errors.New("no file")

// certs returns the anchor's certificates that count: not those with a trust
// list of their own.
func (a anchor) certs() []*store.Cert { return plainCerts(a.file) }

func plainCerts(f *certfile.File) []*store.Cert {
	if f == nil {
		return nil
	}
	var out []*store.Cert
	for _, item := range f.Items {
		if !item.TrustedLabel {
			out = append(out, item.Cert)
		}
	}
	return out
}

func holds(f *certfile.File, fp store.Fingerprint) bool {
	return f != nil && slices.ContainsFunc(f.Items, func(i certfile.Item) bool { return i.Cert.SHA256 == fp })
}

// read reads the whole store. Only what makes the rest meaningless is an
// error; a file that cannot be read keeps its error.
func (s *Store) read(ctx context.Context) (*state, error) {
	return s.readParts(ctx, s.readVendor, s.readAdmin, s.readBundle, s.readHashDir)
}

func (s *Store) readParts(ctx context.Context, parts ...func(*state) error) (*state, error) {
	st := &state{inBundle: make(map[store.Fingerprint]bool, 200), links: map[string]string{}}
	for _, part := range parts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := part(st); err != nil {
			return nil, err
		}
	}
	return st, nil
}

func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) }

func unlessAbsent(err error) error {
	if absent(err) {
		return nil
	}
	return err
}

// readVendor reads the vendor's list and the certificates that it names, then
// those that it does not name.
func (s *Store) readVendor(st *state) error {
	conf, err := s.host.ReadFile(s.family.vendorConf, maxFile)
	if err != nil && !absent(err) {
		return fmt.Errorf("%s: %w", s.family.vendorConf, err)
	}
	st.conf = conf
	names, enabled := readConf(conf)
	st.anchors = make([]anchor, 0, len(names))
	for _, name := range names {
		st.anchors = append(st.anchors, anchor{
			path: path.Join(s.family.vendorDir, name), vendor: true, line: name, listed: true, enabled: enabled[name],
		})
	}
	files, err := s.walk(s.family.vendorDir)
	if err != nil && !absent(err) {
		return fmt.Errorf("%s: %w", s.family.vendorDir, err)
	}
	for _, file := range files {
		name := strings.TrimPrefix(file.path, s.family.vendorDir+"/")
		_, listed := enabled[name]
		if !listed && (file.err != nil || strings.HasSuffix(name, s.family.suffix)) {
			st.anchors = append(st.anchors, anchor{path: file.path, vendor: true, line: name, err: file.err})
		}
	}
	s.readAnchors(st.anchors)
	return nil
}

func (s *Store) readAdmin(st *state) error {
	files, err := s.walk(s.family.adminDir)
	if err != nil && !absent(err) {
		return fmt.Errorf("%s: %w", s.family.adminDir, err)
	}
	vendors := len(st.anchors)
	for _, file := range files {
		switch {
		case file.err != nil || strings.HasSuffix(file.path, s.family.suffix):
			st.anchors = append(st.anchors, anchor{path: file.path, enabled: true, err: file.err})
		case strings.HasPrefix(path.Base(file.path), host.TempPrefix):
			st.left = append(st.left, file.path)
		default:
			st.ignored = append(st.ignored, file.path)
		}
	}
	s.readAnchors(st.anchors[vendors:])
	return nil
}

const (
	maxLinks = 32  // how many links may lead to one another
	maxDirs  = 250 // how many directories are looked for anchors in, each way to one counted
)

// found is a file, or a directory with the error for which it was not read.
type found struct {
	path string
	err  error
}

// walk returns the files under dir, sorted by path, links followed as find -L
// does: those that lead to a directory that they lie in are left out. A
// directory that is called like an anchor is returned, too, and the first of
// those that are too many.
func (s *base) walk(dir string) ([]found, error) {
	var files []found
	visited := 0
	var visit func(dir string, above []string) error
	visit = func(dir string, above []string) error {
		if visited++; visited > maxDirs {
			if visited == maxDirs+1 {
				return store.Because(store.ErrCorrupt, "more than %d directories, or links to them, are not looked into", maxDirs)
			}
			return nil
		}
		entries, err := s.list(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			p, isDir, real := dir+"/"+e.Name(), e.IsDir(), ""
			if e.Type()&fs.ModeSymlink != 0 {
				info, err := s.host.Stat(p)
				if isDir = err == nil && info.IsDir(); isDir {
					if real, err = s.host.Resolve(p); err != nil {
						return err
					}
				}
			}
			if !isDir || strings.HasSuffix(p, s.family.suffix) {
				files = append(files, found{path: p})
			}
			if !isDir {
				continue
			}
			if real == "" {
				real = path.Join(above[len(above)-1], e.Name())
			}
			if slices.Contains(above, real) {
				continue
			}
			if err := visit(p, append(slices.Clip(above), real)); err != nil {
				files = append(files, found{p, err})
			}
		}
		return nil
	}
	real, err := s.host.Resolve(dir)
	if err == nil {
		err = visit(dir, []string{real})
	}
	slices.SortFunc(files, func(a, b found) int { return strings.Compare(a.path, b.path) })
	return files, err
}

// readAnchors reads anchors that are known by their paths.
func (s *base) readAnchors(list []anchor) {
	since := s.cache.since()
	known := make([]cachedFile, len(list))
	cold := 0
	for i, a := range list {
		if known[i] = s.cache.fileAt(a.path); known[i].file == nil {
			cold++
		}
	}
	read := func(from, to int) {
		var dir *host.Dir
		at := ""
		for i := from; i < to; i++ {
			if list[i].err != nil {
				continue
			}
			if in := path.Dir(list[i].path); dir == nil || in != at {
				if dir != nil {
					dir.Close()
				}
				dir, at = s.host.Dir(in), in
			}
			s.readAnchor(dir, &list[i], known[i], since)
		}
		if dir != nil {
			dir.Close()
		}
	}
	if cold*2 > len(list) {
		share(len(list), read)
	} else { // there is so little to do that to share it costs more
		read(0, len(list))
	}
}

func (s *base) readAnchor(dir *host.Dir, a *anchor, f cachedFile, since time.Time) {
	raw, mark, changed, err := dir.ReadChanged(path.Base(a.path), f.mark, since, maxFile)
	a.mode = mark.Mode()
	switch {
	case a.mode.IsDir(), absent(err):
		a.err = errNoFile
		return
	case err != nil:
		a.err = err
		return
	case changed:
		f = s.cache.renew(a.path, f, raw, mark)
	}
	f = s.parsed(a.path, f)
	a.raw, a.file, a.der = f.raw, f.file, f.der
}

func (s *Store) readBundle(st *state) error {
	info, err := s.host.Stat(s.family.bundle)
	var f cachedFile
	if err == nil {
		f, err = s.content(s.family.bundle, info)
	}
	if err != nil {
		if absent(err) {
			st.bundle = &certfile.File{}
		}
		st.bundleErr = err
		return nil
	}
	st.bundleMode = info.Mode()
	st.bundle, st.bundleRaw = st.split(f.raw), f.raw
	for _, c := range plainCerts(st.bundle) {
		st.inBundle[c.SHA256] = true
	}
	return nil
}

// split reads a bundle. As far as it is the anchors one after the other, as the
// tool makes it, they are not read a second time.
func (st *state) split(data []byte) *certfile.File {
	f := &certfile.File{Items: make([]certfile.Item, 0, len(st.anchors))}
	rest := data
	for _, a := range st.anchors {
		after, same := bytes.CutPrefix(rest, a.raw)
		if !a.enabled || !same || a.file == nil || len(a.file.Notices) > 0 || !bytes.HasPrefix(a.raw, []byte("-----BEGIN ")) {
			continue
		}
		if !bytes.HasSuffix(a.raw, []byte("\n")) {
			if after, same = bytes.CutPrefix(after, []byte("\n")); !same {
				continue
			}
		}
		f.Items, rest = append(f.Items, a.file.Items...), after
	}
	head := len(data) - len(rest)
	if head > 0 {
		head-- // with a line break before it: a byte order mark only counts at the start of a file
	}
	lines := bytes.Count(data[:head], []byte("\n"))
	tail := certfile.ReadPEM(data[head:])
	for _, n := range tail.Notices {
		n.Line += lines
		f.Notices = append(f.Notices, n)
	}
	f.Items = append(f.Items, tail.Items...)
	return f
}

// readLinks returns the links in the hash directory, which nobody changes, and
// the names of the other things in it that are not directories.
func (s *Store) readLinks() (links map[string]string, others []string, err error) {
	mark := host.Mark{}
	if info, err := s.host.Stat(s.family.hashDir); err == nil {
		mark = host.MarkOf(info, s.cache.since())
	}
	if links, others, same := s.cache.dirAt(mark); same {
		return links, others, nil
	}
	entries, links, err := s.host.ReadLinks(s.family.hashDir)
	if err != nil && !absent(err) {
		return nil, nil, fmt.Errorf("%s: %w", s.family.hashDir, err)
	}
	for _, e := range entries {
		if e.Type()&fs.ModeSymlink == 0 && !e.IsDir() {
			others = append(others, e.Name())
		}
	}
	s.cache.keepDir(mark, links, others)
	return links, others, nil
}

// readHashDir reads what the hash directory has, after the anchors.
func (s *Store) readHashDir(st *state) error {
	links, others, err := s.readLinks()
	if err != nil {
		return err
	}
	st.links = links
	for _, name := range others {
		if s.link(name) != s.family.bundle {
			st.strays = append(st.strays, s.readStray(s.link(name), nil))
		}
	}
	// An update that runs meanwhile takes its temporary files away.
	st.strays = slices.DeleteFunc(st.strays, func(x stray) bool { return absent(x.err) })
	// Links of the tool's lead to anchors in use; others bring something in.
	own := map[string]bool{s.family.bundle: true}
	for _, a := range st.anchors {
		if a.enabled {
			own[a.path] = true
		}
	}
	elsewhere := map[string][]string{}
	for name := range links {
		if to := s.leadsTo(st, name); to != "" && !own[to] && path.Dir(to) != s.family.hashDir && s.exists(to) {
			elsewhere[to] = append(elsewhere[to], name)
		}
	}
	for _, to := range sortedKeys(elsewhere) {
		slices.SortFunc(elsewhere[to], byNumber) // of several, it goes by a name
		st.strays = append(st.strays, s.readStray(to, elsewhere[to]))
	}
	st.indexed = s.index(st)
	return nil
}

// readStray reads a file in the hash directory, or one that links in it lead to.
func (s *Store) readStray(file string, names []string) stray {
	x := stray{path: file, names: names, stale: file == s.newBundle()}
	info, err := s.host.Stat(file)
	if x.err = err; err == nil {
		var f cachedFile
		f, x.err = s.file(file, info)
		x.raw, x.file, x.mode = f.raw, f.file, info.Mode()
		if f.der {
			x.file = &certfile.File{} // in that directory nobody reads it
		}
	}
	if len(names) > 0 {
		x.path, x.to = s.link(names[0]), file
	}
	return x
}

// leftovers returns the temporary files of ours that a crash has left, wherever
// they are made.
func (s *Store) leftovers(st *state) []string {
	left := slices.Clip(st.left)
	for _, dir := range []string{path.Dir(s.family.vendorConf), path.Dir(s.family.hashDir), path.Dir(s.family.java.path)} {
		entries, err := s.host.ReadDir(dir)
		if err != nil {
			continue // then nothing is written there, either
		}
		for _, e := range entries {
			if p := path.Join(dir, e.Name()); strings.HasPrefix(e.Name(), host.TempPrefix) && !slices.Contains(left, p) {
				left = append(left, p)
			}
		}
	}
	return left
}

func (s *base) exists(file string) bool {
	_, err := s.host.Stat(file)
	return err == nil
}

// newBundle is where the tool makes a bundle before it replaces the old one.
func (s *base) newBundle() string { return s.family.bundle + ".new" }

// expected returns what the bundle holds once the tool has run.
func (st *state) expected() map[store.Fingerprint]bool {
	out := map[store.Fingerprint]bool{}
	for _, a := range st.anchors {
		if a.enabled && !a.der {
			for _, c := range a.certs() {
				if c.Version != 0 {
					out[c.SHA256] = true
				}
			}
		}
	}
	return out
}

// missing returns what the bundle should hold and does not.
func (st *state) missing() []store.Fingerprint {
	var out []store.Fingerprint
	for fp := range st.expected() {
		if !st.inBundle[fp] {
			out = append(out, fp)
		}
	}
	return out
}

// doubled reports whether the bundle holds a certificate more often than the
// anchors do: two runs of the tool have written into one file.
func (st *state) doubled() bool {
	more := map[store.Fingerprint]int{}
	for _, c := range plainCerts(st.bundle) {
		more[c.SHA256]++
	}
	if len(more) == len(st.bundle.Items) {
		return false
	}
	for _, a := range st.anchors {
		if a.enabled {
			for _, c := range a.certs() {
				more[c.SHA256]--
			}
		}
	}
	expected := st.expected()
	for fp, n := range more {
		if n > 0 && (n > 1 || expected[fp]) {
			return true
		}
	}
	return false
}

// built returns what can be read in a bundle that the tool makes: it copies the
// anchors one after the other, whatever they are, and one can spoil the next.
func (st *state) built() map[store.Fingerprint]bool {
	var text bytes.Buffer
	for _, a := range st.anchors {
		if a.enabled && a.err == nil {
			text.Write(a.raw)
			if len(a.raw) > 0 && a.raw[len(a.raw)-1] != '\n' {
				text.WriteByte('\n')
			}
		}
	}
	out := map[store.Fingerprint]bool{}
	for _, c := range plainCerts(certfile.ReadPEM(text.Bytes())) {
		out[c.SHA256] = true
	}
	return out
}

// index finds out which certificates a program finds that looks them up by the
// hash of their subject: those that are alone in a file that everybody can read
// and that a hash link leads to.
func (s *Store) index(st *state) map[store.Fingerprint]bool {
	alone := map[string]store.Fingerprint{}
	put := func(file string, content *certfile.File, mode fs.FileMode) {
		if content != nil && len(content.Items) == 1 && forEverybody(mode) {
			alone[file] = content.Items[0].Cert.SHA256
		}
	}
	for _, a := range st.anchors {
		if !a.der {
			put(a.path, a.file, a.mode)
		}
	}
	for _, x := range st.strays {
		put(x.path, x.file, x.mode)
		put(x.to, x.file, x.mode)
	}
	out := make(map[store.Fingerprint]bool, len(alone))
	for link := range st.links {
		if isHashLink(link) && st.contiguous(link) {
			if fp, ok := alone[s.leadsTo(st, link)]; ok {
				out[fp] = true
			}
		}
	}
	return out
}

func forEverybody(mode fs.FileMode) bool { return mode.Perm()&0o004 != 0 }

// contiguous reports whether the numbers below that of a hash link are there:
// lookups stop at the first that is not.
func (st *state) contiguous(link string) bool {
	hash, number, _ := strings.Cut(link, ".")
	n, err := strconv.Atoi(number)
	for i := range n {
		if _, ok := st.links[hash+"."+strconv.Itoa(i)]; !ok {
			return false
		}
	}
	return err == nil
}

// leadsTo returns the path that a link in the hash directory leads to in the
// end, which may not exist, "" for a loop and for what is no link.
func (s *Store) leadsTo(st *state, name string) string {
	for range maxLinks {
		target, isLink := st.links[name]
		if !isLink {
			return ""
		}
		if _, isLink = st.links[target]; isLink { // as most of them
			name = target
			continue
		}
		if !path.IsAbs(target) {
			target = path.Join(s.family.hashDir, target)
		}
		if _, isLink = st.links[path.Base(target)]; !isLink || path.Dir(target) != s.family.hashDir {
			return target
		}
		name = path.Base(target)
	}
	return ""
}

// dangles reports whether a link in the hash directory leads nowhere.
func (s *Store) dangles(st *state, name string) bool {
	to := s.leadsTo(st, name)
	return to == "" || !s.exists(to)
}

// digest identifies the state.
func (st *state) digest() string {
	h := sha256.New()
	var buf []byte
	length := func(n int) []byte { return append(strconv.AppendInt(buf[:0], int64(n), 10), ':') }
	put := func(parts ...string) {
		for _, p := range parts {
			buf = append(length(len(p)), p...)
			h.Write(buf)
		}
	}
	putRaw := func(raw []byte) {
		buf = length(len(raw))
		h.Write(buf)
		h.Write(raw)
	}
	put("conf")
	putRaw(st.conf)
	for _, a := range st.anchors {
		put("anchor", a.path)
		putRaw(a.raw)
		put(fmt.Sprint(a.err))
	}
	if st.bundle != nil {
		for _, i := range st.bundle.Items {
			put("bundle")
			putRaw(i.Cert.SHA256[:])
		}
	}
	for _, name := range sortedKeys(st.links) {
		put("link", name, st.links[name])
	}
	for _, x := range st.strays {
		put("stray", x.path)
		putRaw(x.raw)
		put(fmt.Sprint(x.err))
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
