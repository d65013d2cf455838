package anchors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/certtrust/certtrust/platform/anchors/p11kit"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// save remembers all that the change and the tool can touch.
func (p *folderPlan) save() (func(context.Context) error, error) {
	s := p.s
	own, generated := map[string]saved{}, map[string]saved{}
	files := append(sortedKeys(p.edits.writes), p.edits.removes...)
	err := s.saveAll(own, files...)
	for _, o := range s.family.outputs {
		if o.directory() {
			err = errors.Join(err, s.saveDir(generated, o))
		} else {
			err = errors.Join(err, s.saveAll(generated, o.path))
		}
	}
	return func(ctx context.Context) error {
		// First the anchors, so that whoever runs the tool from now on does so on
		// the old ones, and then what is generated.
		if err := errors.Join(s.undoMoves(p.edits.moves), s.restore(own)); err != nil {
			return errors.Join(err, s.putBackOutputs(generated))
		}
		return errors.Join(s.wait(ctx, s.updating), s.putBackOutputs(generated))
	}, err
}

// saveDir remembers what is made in a directory.
func (s *folder) saveDir(into map[string]saved, o output) error {
	files, err := s.madeIn(o)
	return errors.Join(err, s.saveAll(into, files...))
}

// madeIn returns the files and links of a directory that can be the tool's.
func (s *folder) madeIn(o output) (files []string, err error) {
	entries, err := s.host.ReadDir(o.path)
	for _, e := range entries {
		if e.Type()&fs.ModeSymlink != 0 || e.Type().IsRegular() && o.kind == hashDirectory {
			files = append(files, path.Join(o.path, e.Name()))
		}
	}
	return files, unlessAbsent(err)
}

func (s *folder) putBackOutputs(was map[string]saved) error {
	var errs []error
	for _, o := range s.family.outputs {
		if !o.directory() {
			continue
		}
		files, err := s.madeIn(o)
		errs = append(errs, err)
		for _, file := range files {
			if !was[file].has {
				errs = append(errs, unlessAbsent(s.host.Remove(file)))
			}
		}
	}
	return errors.Join(errors.Join(errs...), s.restore(was))
}

// do writes the files, has the outputs follow, and reads them back.
func (p *folderPlan) do(ctx context.Context) error {
	s := p.s
	if err := s.doMoves(p.edits.moves); err != nil {
		return err
	}
	for _, file := range sortedKeys(p.edits.writes) {
		if err := s.host.MkdirAll(path.Dir(file), 0o755); err != nil {
			return err
		}
		if err := s.host.WriteFile(file, p.edits.writes[file], s.options(file)); err != nil {
			return err
		}
	}
	for _, file := range p.edits.removes {
		if err := s.host.Remove(file); err != nil && !absent(err) {
			return err
		}
	}
	var wrong error
	for range attempts {
		if p.edits.rebuild && len(s.family.outputs) > 0 {
			if err := s.quiet(ctx); err != nil {
				return err
			}
			if err := s.forget(ctx, p); err != nil {
				return err
			}
			err := s.generate(ctx, p)
			exit := (*host.ExecError)(nil)
			if err != nil && !(errors.As(err, &exit) && exit.ExitCode > 0) {
				return err
			}
			if wrong = err; wrong != nil {
				continue
			}
		}
		if wrong = s.check(ctx, p); wrong == nil {
			return nil
		}
	}
	return wrong
}

// forget takes what is to go out of a hash directory that the tool would take it
// from again.
func (s *folder) forget(ctx context.Context, p *folderPlan) error {
	if !s.family.rereads || len(p.edits.lack) == 0 || !s.host.Live {
		return nil
	}
	st, err := s.read(ctx)
	if err != nil {
		return err
	}
	for _, o := range s.family.outputs {
		if o.kind == hashDirectory {
			if err := s.linkUp(st, o.path, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// generate brings the outputs up to date: by the distribution's tool or, where
// none can be run, or it is asked for, by what is known of them.
func (s *folder) generate(ctx context.Context, p *folderPlan) error {
	if !s.host.Live || s.host.Engine == host.EngineNative {
		return s.generateHere(ctx, p)
	}
	_, err := s.host.Run(ctx, host.Command{Args: s.family.command(), Timeout: toolTimeout})
	return err
}

// check reads everything back and returns what is not as it should be.
func (s *folder) check(ctx context.Context, p *folderPlan) error {
	st, err := s.read(ctx)
	if err != nil {
		return err
	}
	var wrong []string
	fault := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for i, o := range st.outputs {
		if !p.edits.rebuild {
			break
		}
		if o.err != nil && (o.required || p.st.outputs[i].err == nil) {
			return fmt.Errorf("%s: %w", o.path, o.err)
		}
		if o.err == nil && !forEverybody(o.mode) {
			fault("%s cannot be read by everybody", o.path)
		}
		lost := 0
		for n := range st.trust.Certs {
			if c := &st.trust.Certs[n]; o.wants(c) && !o.has[c.SHA256] && p.st.outputs[i].has[c.SHA256] {
				lost++
			}
		}
		if lost > 0 {
			fault("%s has lost %d certificates that it should hold", o.path, lost)
		}
	}
	for _, c := range p.edits.have {
		if _, is := st.effective(st.first(c.SHA256)); !is {
			fault("%s is not in every bundle that it should be in", c.SHA256.Short())
		}
		s.checkOthers(p, c, true, fault)
	}
	for _, c := range p.edits.lack {
		if in := st.inOutputs(c.SHA256); len(in) > 0 {
			fault("%s is still in %s", c.SHA256.Short(), strings.Join(in, ", "))
		}
		if meant, _ := st.effective(st.first(c.SHA256)); meant && s.single() {
			fault("%s is still in %s", c.SHA256.Short(), s.info.Location)
		}
		s.checkOthers(p, c, false, fault)
	}
	if wrong = append(wrong, s.checkMoves(p.edits.moves)...); len(wrong) > 0 {
		return store.Because(store.ErrFailed, "the update did not do it: %s", strings.Join(wrong, "; "))
	}
	return nil
}

// checkOthers looks whether a certificate is, or is not, in the outputs that are
// not read otherwise, as far as they are there.
func (s *folder) checkOthers(p *folderPlan, c *store.Cert, in bool, fault func(string, ...any)) {
	if !s.host.Live {
		return
	}
	makes := s.makes()
	for _, o := range s.family.outputs {
		is, known := false, false
		if in && !makes(o) {
			continue // left by an older release
		}
		switch o.kind {
		case hashDirectory:
			if is, known = s.hashed(o.path, c); in && known && !is && !s.hasHashes(o.path) {
				known = false // it is made by something that is not installed
			}
		case linkDirectory: // not every release makes the links
			is, known = s.hashed(o.path, c)
			known = known && !in
		case javaKeystore:
			data, err := s.host.ReadFile(o.path, maxFile)
			if err != nil {
				continue
			}
			ks, err := certfile.Keystore(data)
			known = err == nil && (!in || c.Parsed() != nil)
			is = err == nil && holds(ks, c.SHA256)
		case bundleTrusted:
			data, err := s.host.ReadFile(o.path, maxFile)
			// What is distrusted stands in it, too, and says so.
			known = err == nil && in
			is = err == nil && bytes.Contains(data, []byte("TRUSTED CERTIFICATE")) && holds(certfile.ReadPEM(data), c.SHA256)
		}
		if known && is != in {
			if in {
				fault("%s does not hold %s", o.path, c.SHA256.Short())
			} else {
				fault("%s still holds %s", o.path, c.SHA256.Short())
			}
		}
	}
}

// hashed reports whether a program finds a certificate by the hash of its
// subject, and whether there is a directory to find it in.
func (s *folder) hashed(dir string, c *store.Cert) (is, known bool) {
	if info, err := s.host.Stat(dir); err != nil || !info.IsDir() {
		return false, false
	}
	hash := s.subjectHash(c)
	for n := 0; ; n++ {
		data, err := s.host.ReadFile(path.Join(dir, hash+"."+strconv.Itoa(n)), maxFile)
		if err != nil {
			return false, true
		}
		if holds(certfile.ReadPEM(data), c.SHA256) {
			return true, true
		}
	}
}

func (s *folder) hasHashes(dir string) bool {
	entries, _ := s.host.ReadDir(dir)
	for _, e := range entries {
		if isHashLink(e.Name()) {
			return true
		}
	}
	return false
}

func (s *folder) subjectHash(c *store.Cert) string { return certfile.SubjectHash(c) }

// generateHere makes the outputs of a system of which no program is run, as far
// as they are known to be made so, and says what is left to be done there.
func (s *folder) generateHere(ctx context.Context, p *folderPlan) error {
	st, err := s.read(ctx)
	if err != nil {
		return err
	}
	var left []string
	makes := s.makes()
	for i, o := range s.family.outputs {
		switch {
		case i > 0 && (!makes(o) || o.kind != bundlePEM && !s.exists(o.path)):
		case o.kind == bundlePEM:
			if err := s.writeBundle(st, o); err != nil {
				return err
			}
		case o.kind == hashDirectory && !s.family.p11:
			if err := s.linkUp(st, o.path, p); err != nil {
				return err
			}
		case o.directory() && !s.hasHashes(o.path):
		default:
			left = append(left, o.path)
		}
	}
	if len(left) > 0 && s.host.Live {
		return &store.Error{Err: store.Because(store.ErrUnsupported, "the native engine cannot make %s", strings.Join(left, ", ")),
			Hint: "leave --engine out: " + strings.Join(s.family.command(), " ") + " makes them"}
	}
	if len(left) > 0 {
		p.plan.Notice("%s cannot be made from outside: run \"%s\" in %s at its next start", strings.Join(left, ", "), strings.Join(s.family.command(), " "), s.host.Root)
	}
	return nil
}

// writeBundle writes what belongs into a bundle: what is there already stays as
// it is, and what is new comes after what is before it among the sources.
func (s *folder) writeBundle(st *folderState, o output) error {
	var now made
	for _, m := range st.outputs {
		if m.path == o.path {
			now = m
		}
	}
	if now.err != nil && !absent(now.err) {
		return now.err
	}
	wanted := map[store.Fingerprint]bool{}
	var order []*p11kit.Cert
	for i := range st.trust.Certs {
		if c := &st.trust.Certs[i]; o.wants(c) && !wanted[c.SHA256] {
			wanted[c.SHA256] = true
			order = append(order, c)
		}
	}
	text := map[store.Fingerprint][]byte{}
	var stay []store.Fingerprint
	head, comments := bundleForm(now.raw, s.family.named)
	for _, b := range blocksOf(now.raw) {
		if fp := b.cert.SHA256; wanted[fp] && text[fp] == nil {
			text[fp] = now.raw[max(b.start, len(head)):b.end]
			stay = append(stay, fp)
		}
	}
	for i, c := range order {
		if text[c.SHA256] != nil {
			continue
		}
		text[c.SHA256] = certfile.EncodePEM(c.Cert)
		if comments {
			text[c.SHA256] = fmt.Appendf(nil, "# %s\n%s", certfile.Comment(c.Label), text[c.SHA256])
		}
		at := 0
		for _, before := range slices.Backward(order[:i]) {
			if n := slices.Index(stay, before.SHA256); n >= 0 {
				at = n + 1
				break
			}
		}
		stay = slices.Insert(stay, at, c.SHA256)
	}
	var out bytes.Buffer
	out.Write(head)
	for i, fp := range stay {
		switch {
		case comments: // with an empty line between two
			if i > 0 {
				out.WriteByte('\n')
			}
			out.Write(append(bytes.TrimRight(text[fp], "\r\n"), '\n'))
			continue
		case out.Len() > 0 && out.Bytes()[out.Len()-1] != '\n':
			out.WriteByte('\n')
		}
		out.Write(text[fp])
	}
	if bytes.Equal(out.Bytes(), now.raw) && now.err == nil {
		return nil
	}
	if err := s.host.MkdirAll(path.Dir(o.path), 0o755); err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if now.err == nil && forEverybody(now.mode) {
		mode = now.mode.Perm()
	}
	w := s.options(o.path)
	w.Mode = mode
	return s.host.WriteFile(o.path, out.Bytes(), w)
}

// bundleForm returns what a bundle holds before its certificates, and whether
// each of these has a comment that names it; named is the answer where there is
// none.
func bundleForm(text []byte, named bool) (head []byte, comments bool) {
	at := bytes.Index(text, []byte("-----BEGIN "))
	if at < 0 {
		if !bytes.HasPrefix(text, []byte("#")) {
			text = nil
		}
		return text, named
	}
	head = text[:at]
	last := bytes.LastIndexByte(bytes.TrimSuffix(head, []byte("\n")), '\n') + 1
	if bytes.HasPrefix(head[last:], []byte("# ")) {
		return head[:last], true
	}
	return head, false
}

// linkUp makes the hash links in a directory that concern the change: for each
// hash, numbered without a gap, in the order of sources.
func (s *folder) linkUp(st *folderState, dir string, p *folderPlan) error {
	concerned := map[string]bool{}
	for _, c := range slices.Concat(p.edits.have, p.edits.lack) {
		concerned[s.subjectHash(c)] = true
	}
	for _, c := range p.edits.lack {
		if err := s.dropNamed(st, dir, c); err != nil {
			return err
		}
	}
	wanted := map[string][]*p11kit.Cert{}
	seen := map[store.Fingerprint]bool{}
	for i := range st.trust.Certs {
		c := &st.trust.Certs[i]
		alone := len(st.source(c).file.Objects) == 1 || !s.family.alone
		if hash := s.subjectHash(c.Cert); c.Trusted && !c.Distrusted && alone && !seen[c.SHA256] && concerned[hash] {
			seen[c.SHA256] = true
			wanted[hash] = append(wanted[hash], c)
		}
	}
	for _, hash := range sortedKeys(concerned) {
		if err := s.linkHash(st, dir, hash, wanted[hash]); err != nil {
			return err
		}
	}
	return nil
}

func (s *folder) linkHash(st *folderState, dir, hash string, certs []*p11kit.Cert) error {
	name := func(n int) string { return path.Join(dir, hash+"."+strconv.Itoa(n)) }
	targets := map[store.Fingerprint]string{} // that there are
	count := 0
	for ; ; count++ {
		target, err := s.host.Readlink(name(count))
		if absent(err) {
			break
		} else if err != nil {
			continue // a file: it stays what it is, and is replaced if it is in the way
		}
		if text, err := s.host.ReadFile(name(count), maxFile); err == nil {
			eachPEM(text, func(_ int, der []byte) { targets[store.FingerprintOf(der)] = target })
		}
	}
	for n, c := range certs {
		target := targets[c.SHA256]
		if target == "" {
			var err error
			if target, err = s.linkNamed(st, dir, c); err != nil {
				return err
			}
		}
		if now, err := s.host.Readlink(name(n)); err == nil && now == target {
			continue
		}
		if err := s.host.Symlink(target, name(n), host.WriteOptions{TempDir: path.Dir(dir)}); err != nil {
			return err
		}
	}
	for n := count - 1; n >= len(certs); n-- {
		if err := s.host.Remove(name(n)); err != nil && !absent(err) {
			return err
		}
	}
	return nil
}

// linkNamed returns what the hash link of a certificate leads to: its file or,
// in a family that has them, a link by the file's name, which is made.
func (s *folder) linkNamed(st *folderState, dir string, c *p11kit.Cert) (string, error) {
	file := st.source(c).path
	if path.Dir(file) == dir {
		return path.Base(file), nil
	}
	if s.family.linkPrefix == "" {
		return file, nil
	}
	name := s.family.linkPrefix + linkName(file, s.family.suffix)
	if now, err := s.host.Readlink(path.Join(dir, name)); err == nil && now == file {
		return name, nil
	}
	return name, s.host.Symlink(file, path.Join(dir, name), host.WriteOptions{TempDir: path.Dir(dir)})
}

// dropNamed removes the link by its file's name of a certificate that goes.
func (s *folder) dropNamed(st *folderState, dir string, c *store.Cert) error {
	if s.family.linkPrefix == "" {
		return nil
	}
	entries, err := s.host.ReadDir(dir)
	if err != nil {
		return unlessAbsent(err)
	}
	for _, e := range entries {
		at := path.Join(dir, e.Name())
		target, err := s.host.Readlink(at)
		if err != nil || !strings.HasPrefix(e.Name(), s.family.linkPrefix) || path.Dir(target) == "." {
			continue
		}
		text, err := s.host.ReadFile(at, maxFile)
		gone := absent(err)
		eachPEM(text, func(_ int, der []byte) { gone = gone || store.FingerprintOf(der) == c.SHA256 })
		if gone {
			if err := s.host.Remove(at); err != nil {
				return err
			}
		}
	}
	return nil
}
