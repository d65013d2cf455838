package anchors

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// state is everything that the store consists of, as it was read at one time.
type state struct {
	conf    []byte
	anchors []anchor // in the order in which the tool takes them
	ignored []string // files in the administrator's directory that the tool passes over

	bundle     *certfile.File
	bundleErr  error
	inBundle   map[store.Fingerprint]bool
	bundleMode fs.FileMode

	links  map[string]string // in the hash directory: name -> target
	byLink map[string]string // name -> a hash link that leads to it and is found
	strays []stray           // files in the hash directory that are not the tool's

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
	stale bool // a temporary file of the tool
	raw   []byte
	mode  fs.FileMode
	file  *certfile.File
	err   error
}

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
	st := &state{inBundle: map[store.Fingerprint]bool{}, links: map[string]string{}}
	for _, part := range []func(*state) error{s.readVendor, s.readAdmin, s.readBundle, s.readHashDir} {
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

// readVendor reads the vendor's list and the certificates that it names, then
// those that it does not name.
func (s *Store) readVendor(st *state) error {
	conf, err := s.host.ReadFile(s.family.vendorConf, maxFile)
	if err != nil && !absent(err) {
		return fmt.Errorf("%s: %w", s.family.vendorConf, err)
	}
	st.conf = conf
	named := map[string]bool{}
	for lines := bufio.NewScanner(bytes.NewReader(conf)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, disabled := strings.CutPrefix(line, "!")
		named[name] = true
		st.anchors = append(st.anchors, s.readAnchor(anchor{
			path: path.Join(s.family.vendorDir, name), vendor: true, line: name, listed: true, enabled: !disabled,
		}))
	}
	files, err := s.walk(s.family.vendorDir)
	if err != nil && !absent(err) {
		return fmt.Errorf("%s: %w", s.family.vendorDir, err)
	}
	for _, file := range files {
		name := strings.TrimPrefix(file, s.family.vendorDir+"/")
		if !named[name] && strings.HasSuffix(name, s.family.suffix) {
			st.anchors = append(st.anchors, s.readAnchor(anchor{path: file, vendor: true, line: name}))
		}
	}
	return nil
}

func (s *Store) readAdmin(st *state) error {
	files, err := s.walk(s.family.adminDir)
	if err != nil && !absent(err) {
		return fmt.Errorf("%s: %w", s.family.adminDir, err)
	}
	for _, file := range files {
		if !strings.HasSuffix(file, s.family.suffix) {
			st.ignored = append(st.ignored, file)
			continue
		}
		st.anchors = append(st.anchors, s.readAnchor(anchor{path: file, enabled: true}))
	}
	return nil
}

// maxDepth is how deep links and directories may lie in the anchor directory:
// deeper is taken for a loop.
const maxDepth = 32

// walk returns the files under dir, sorted, links followed as find -L does.
func (s *Store) walk(dir string) ([]string, error) {
	var files []string
	var visit func(dir string, depth int) error
	visit = func(dir string, depth int) error {
		entries, err := s.host.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			p := path.Join(dir, e.Name())
			isDir, regular := e.IsDir(), e.Type().IsRegular()
			if e.Type()&fs.ModeSymlink != 0 {
				info, err := s.host.Stat(p)
				if err != nil {
					files = append(files, p) // readAnchor tells why
					continue
				}
				isDir, regular = info.IsDir(), info.Mode().IsRegular()
			}
			switch {
			case isDir && depth < maxDepth:
				if err := visit(p, depth+1); err != nil {
					files = append(files, p)
				}
			case regular, !isDir:
				files = append(files, p)
			}
		}
		return nil
	}
	err := visit(dir, 0)
	sort.Strings(files)
	return files, err
}

func (s *Store) readAnchor(a anchor) anchor {
	a.raw, a.err = s.host.ReadFile(a.path, maxFile)
	if a.err != nil {
		return a
	}
	if info, err := s.host.Stat(a.path); err == nil {
		a.mode = info.Mode()
	}
	a.file = certfile.ReadPEM(a.raw)
	if len(a.file.Items) == 0 && len(a.raw) > 0 && a.raw[0] == 0x30 {
		if file, err := certfile.Read(a.raw); err == nil {
			a.file, a.der = file, true
		}
	}
	return a
}

func (s *Store) readBundle(st *state) error {
	data, err := s.host.ReadFile(s.family.bundle, maxFile)
	if err != nil {
		if absent(err) {
			st.bundle = &certfile.File{}
		}
		st.bundleErr = err
		return nil
	}
	if info, err := s.host.Stat(s.family.bundle); err == nil {
		st.bundleMode = info.Mode()
	}
	st.bundle = certfile.ReadPEM(data)
	for _, c := range plainCerts(st.bundle) {
		st.inBundle[c.SHA256] = true
	}
	return nil
}

var hashLink = regexp.MustCompile(`^([0-9a-f]{8})\.([0-9]+)$`)

func (s *Store) readHashDir(st *state) error {
	entries, err := s.host.ReadDir(s.family.hashDir)
	if err != nil {
		if absent(err) {
			return nil
		}
		return fmt.Errorf("%s: %w", s.family.hashDir, err)
	}
	for _, e := range entries {
		p := path.Join(s.family.hashDir, e.Name())
		switch {
		case e.Type()&fs.ModeSymlink != 0:
			target, err := s.host.Readlink(p)
			if err != nil {
				return fmt.Errorf("%s: %w", p, err)
			}
			st.links[e.Name()] = target
		case e.IsDir() || p == s.family.bundle:
		default:
			x := stray{path: p, stale: p == s.newBundle()}
			x.raw, x.err = s.host.ReadFile(p, maxFile)
			if x.err == nil {
				x.file = certfile.ReadPEM(x.raw)
				if info, err := s.host.Stat(p); err == nil {
					x.mode = info.Mode()
				}
			}
			st.strays = append(st.strays, x)
		}
	}
	st.byLink = map[string]string{}
	for link, target := range st.links {
		if hashLink.MatchString(link) && st.contiguous(link) {
			st.byLink[target] = link
		}
	}
	return nil
}

// newBundle is where the tool makes a bundle before it replaces the old one.
func (s *Store) newBundle() string { return s.family.bundle + ".new" }

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

// hashed reports whether a program that looks a certificate up by the hash of
// its subject finds the anchor.
func (s *Store) hashed(st *state, a anchor) bool {
	name := linkName(a.path, s.family.suffix)
	if st.byLink[name] == "" {
		return false
	}
	if target, isLink := st.links[name]; isLink {
		return target == a.path
	}
	return slices.ContainsFunc(st.strays, func(x stray) bool {
		return x.path == s.link(name) && x.mode.Perm()&0o004 != 0 && bytes.Equal(x.raw, a.raw)
	})
}

// contiguous reports whether the numbers below that of a hash link are there:
// lookups stop at the first that is not.
func (st *state) contiguous(link string) bool {
	parts := hashLink.FindStringSubmatch(link)
	var n int
	fmt.Sscan(parts[2], &n)
	for i := range n {
		if _, ok := st.links[fmt.Sprintf("%s.%d", parts[1], i)]; !ok {
			return false
		}
	}
	return true
}

// final returns where a link in the hash directory leads in the end, "" if
// nowhere.
func (s *Store) final(st *state, name string) string {
	for range maxDepth {
		target, ok := st.links[name]
		if !ok {
			break
		}
		if !path.IsAbs(target) {
			target = path.Join(s.family.hashDir, target)
		}
		if path.Dir(target) != s.family.hashDir {
			if _, err := s.host.Stat(target); err != nil {
				return ""
			}
			return target
		}
		name = path.Base(target)
		if _, isLink := st.links[name]; !isLink {
			if _, err := s.host.Stat(target); err != nil {
				return ""
			}
			return target
		}
	}
	return ""
}

// digest identifies the state.
func (st *state) digest() string {
	h := sha256.New()
	put := func(parts ...string) {
		for _, p := range parts {
			fmt.Fprintf(h, "%d:%s", len(p), p)
		}
	}
	put("conf", string(st.conf))
	for _, a := range st.anchors {
		put("anchor", a.path, string(a.raw), fmt.Sprint(a.err))
	}
	if st.bundle != nil {
		for _, i := range st.bundle.Items {
			put("bundle", i.Cert.SHA256.String())
		}
	}
	for _, name := range sortedKeys(st.links) {
		put("link", name, st.links[name])
	}
	for _, x := range st.strays {
		put("stray", x.path, string(x.raw), fmt.Sprint(x.err))
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
