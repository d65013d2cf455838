package anchors

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/platform/anchors/p11kit"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// folder is the anchor store of a system that keeps its anchors in directories,
// or in one file, as the places of its family tell, and generates outputs from
// them.
type folder struct{ base }

var _ System = (*folder)(nil)

func newFolder(h *host.Host, f family, hasTool bool) *folder {
	s := &folder{newBase(h, f, hasTool)}
	s.updaters = s.liveUpdaters
	s.info.Location = f.location()
	return s
}

// place is where certificates are kept.
type place struct {
	path     string
	token    int // p11-kit's: extensions are stapled within one
	standing p11kit.Standing
	vendor   bool
	file     bool     // path is one file, and not a directory
	deep     bool     // at any depth
	visible  bool     // names that begin with a dot do not count
	suffixes []string // of the names that count; nil = all
	list     string   // says which of them are in use, a line each; "" = all are
	shared   bool     // the vendor's and the administrator's lie side by side
	elder    string   // takes the place of path where that is not there
}

// output is a file or a directory that is generated from the anchors.
type output struct {
	kind    outputKind
	path    string
	purpose store.Purpose // of a bundle that is for one only; "" = any
}

// directory reports whether the output is files or links in a directory.
func (o output) directory() bool { return o.kind == hashDirectory || o.kind == linkDirectory }

type outputKind int

const (
	bundlePEM     outputKind = iota // certificates one after the other
	bundleTrusted                   // as TRUSTED CERTIFICATE, distrusted ones too
	hashDirectory                   // found by the hash of the subject
	linkDirectory                   // links to what is found so, among other things
	javaKeystore
	otherOutput // is not read
)

// source is a file in a place.
type source struct {
	place   *place
	vendor  bool // of a place of the vendor's, or a link to what is
	path    string
	line    string // its line in the place's list
	listed  bool   // the list has that line
	enabled bool   // the list, if there is one, says so
	raw     []byte
	mode    fs.FileMode
	file    *p11kit.File
	err     error
}

// folderState is everything as it was read at one time.
type folderState struct {
	sources []source
	inputs  []int // of the trust's inputs, the indexes in sources
	trust   *p11kit.Trust
	lists   map[string][]byte
	outputs []made
	left    []string // temporary files of ours that a crash has left

	strays   []stray  // what lies where some programs take every file for roots
	dangling []string // and links there that lead nowhere
}

// made is an output as it was found.
type made struct {
	output
	required bool // the tool makes it; others may be missing
	raw      []byte
	mode     fs.FileMode
	has      map[store.Fingerprint]bool
	err      error
}

func (s *folder) read(ctx context.Context) (*folderState, error) {
	st := &folderState{lists: map[string][]byte{}}
	for i := range s.family.places {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := s.readPlace(st, &s.family.places[i]); err != nil {
			return nil, err
		}
	}
	s.readLeft(st)
	s.evaluate(st)
	s.readStrays(st)
	makes := s.makes()
	for i, o := range s.family.outputs {
		if i == 0 || o.kind == bundlePEM {
			m := s.readOutput(o)
			m.required = i == 0 || makes(o)
			st.outputs = append(st.outputs, m)
		}
	}
	return st, ctx.Err()
}

// at returns where the place is on this machine.
func (s *base) at(p *place) string {
	if p.elder == "" || !s.exists(p.elder) {
		return p.path
	}
	if s.family.p11 {
		// p11-kit reads the one or the other, whichever is there.
		for _, module := range p11Modules {
			if program, err := s.host.ReadFile(module, maxFile); err == nil {
				if bytes.Contains(program, []byte(path.Base(p.path))) {
					return p.path
				}
				return p.elder
			}
		}
	}
	if s.exists(p.path) {
		return p.path
	}
	return p.elder
}

// p11Modules is where p11-kit's trust module can be.
var p11Modules = []string{
	"/usr/lib64/pkcs11/p11-kit-trust.so", "/usr/lib/pkcs11/p11-kit-trust.so",
	"/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-trust.so", "/usr/lib/aarch64-linux-gnu/pkcs11/p11-kit-trust.so",
}

func (s *folder) readPlace(st *folderState, p *place) error {
	dir := s.at(p)
	if p.file {
		st.sources = append(st.sources, s.readSource(source{place: p, path: dir, enabled: true}))
		return nil
	}
	var on map[string]bool
	var order []string
	if p.list != "" {
		list, err := s.host.ReadFile(p.list, maxFile)
		if err != nil && !absent(err) {
			return fmt.Errorf("%s: %w", p.list, err)
		}
		st.lists[p.list] = list
		order, on = readConf(list)
	}
	files, err := s.files(p, dir)
	if err != nil && !absent(err) {
		return fmt.Errorf("%s: %w", dir, err)
	}
	rank := map[string]int{}
	for i, name := range order {
		rank[name] = i - len(order)
	}
	slices.SortStableFunc(files, func(a, b found) int {
		return rank[strings.TrimPrefix(a.path, dir+"/")] - rank[strings.TrimPrefix(b.path, dir+"/")]
	})
	for _, f := range files {
		name := strings.TrimPrefix(f.path, dir+"/")
		base := path.Base(name)
		switch {
		case strings.HasPrefix(base, host.TempPrefix):
			st.left = append(st.left, f.path)
			continue
		case f.err == nil && !p.counts(base):
			continue
		}
		st.sources = append(st.sources, s.readSource(source{place: p, path: f.path, line: name, listed: slices.Contains(order, name), enabled: p.list == "" || on[name], err: f.err}))
	}
	return nil
}

// readLeft finds what a crash has left where temporary files are made.
func (s *folder) readLeft(st *folderState) {
	looked := map[string]bool{"": true}
	for i := range s.family.places {
		p := &s.family.places[i]
		dir := s.options(s.at(p) + "/x").TempDir
		if p.vendor || p.file || looked[dir] {
			continue
		}
		looked[dir] = true
		entries, _ := s.host.ReadDir(dir)
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), host.TempPrefix) && !e.IsDir() {
				st.left = append(st.left, path.Join(dir, e.Name()))
			}
		}
	}
}

// counts reports whether a file of that name counts in the place.
func (p *place) counts(name string) bool {
	if p.visible && strings.HasPrefix(name, ".") {
		return false
	}
	return p.suffixes == nil || slices.ContainsFunc(p.suffixes, func(x string) bool { return strings.HasSuffix(name, x) })
}

// files returns what lies in a directory, sorted by path.
func (s *folder) files(p *place, dir string) ([]found, error) {
	if p.deep {
		return s.walk(dir)
	}
	entries, err := s.host.ReadDir(dir)
	var out []found
	for _, e := range entries {
		if !e.IsDir() {
			out = append(out, found{path: path.Join(dir, e.Name())})
		}
	}
	return out, err
}

func (s *folder) readSource(x source) source {
	x.vendor = x.place.vendor
	if x.err != nil {
		return x
	}
	if x.place.shared && s.family.vendorDir != "" {
		to, err := s.host.Resolve(x.path)
		x.vendor = err == nil && strings.HasPrefix(to, s.family.vendorDir+"/")
	}
	info, err := s.host.Stat(x.path)
	switch {
	case err == nil && info.IsDir(), absent(err):
		x.err = errNoFile
	case err != nil:
		x.err = err
	default:
		x.mode = info.Mode()
		x.raw, x.err = s.host.ReadFile(x.path, maxFile)
	}
	if x.err != nil {
		return x
	}
	if s.family.p11 {
		x.file = p11kit.Parse(x.raw)
		return x
	}
	in := certfile.ReadPEM(x.raw)
	x.file = &p11kit.File{Format: in.Format, Notices: in.Notices}
	for _, item := range in.Items {
		o := p11kit.Object{Class: "certificate", Line: item.Line, Cert: item.Cert, SPKI: item.Cert.SPKI}
		if item.TrustedLabel {
			o.Distrusted = item.Aux != nil && len(item.Aux.Trust) == 0
		}
		x.file.Objects = append(x.file.Objects, o)
	}
	return x
}

// evaluate finds out what the system makes of the files together.
func (s *folder) evaluate(st *folderState) {
	var inputs []p11kit.Input
	for i, x := range st.sources {
		if x.err == nil {
			inputs = append(inputs, p11kit.Input{Token: x.place.token, Path: x.path, Standing: x.place.standing, File: x.file})
			st.inputs = append(st.inputs, i)
		}
	}
	if s.family.p11 {
		st.trust = p11kit.Evaluate(inputs)
		return
	}
	// Others take every certificate for an anchor, whatever it is for, but those
	// that stand in a place of what is distrusted.
	st.trust = &p11kit.Trust{}
	blocked := map[store.Fingerprint]string{}
	for i, in := range inputs {
		x := st.sources[st.inputs[i]]
		for n, o := range in.File.Objects {
			distrusted := in.Standing == p11kit.Blocked || !x.enabled
			if in.Standing == p11kit.Blocked {
				blocked[o.Cert.SHA256] = in.Path
			}
			st.trust.Certs = append(st.trust.Certs, p11kit.Cert{
				Cert: o.Cert, Label: o.Cert.Label(), Input: i, Item: n + 1, CA: true,
				Trusted: !distrusted && !o.Distrusted, Distrusted: in.Standing == p11kit.Blocked,
			})
		}
	}
	for i := range st.trust.Certs {
		c := &st.trust.Certs[i]
		if by, ok := blocked[c.SHA256]; ok {
			c.Distrusted, c.DistrustedBy = true, by
		}
	}
}

func (s *folder) readOutput(o output) made {
	m := made{output: o, has: map[store.Fingerprint]bool{}}
	if o.kind == hashDirectory {
		m.mode = 0o755
		m.err = s.readHashes(o.path, m.has)
		return m
	}
	m.raw, m.err = s.host.ReadFile(o.path, maxFile)
	if m.err != nil {
		return m
	}
	if info, err := s.host.Stat(o.path); err == nil {
		m.mode = info.Mode()
	}
	eachPEM(m.raw, func(_ int, der []byte) { m.has[store.FingerprintOf(der)] = true })
	return m
}

// makes returns whether the system's tool makes an output: releases of p11-kit's
// families differ in that, and their scripts name what they make. Where that is
// not known, it is what is there.
func (s *folder) makes() func(output) bool {
	there := func(o output) bool { return s.exists(o.path) }
	if !s.family.p11 || len(s.family.outputs) == 0 {
		return there
	}
	var script []byte
	for _, file := range s.scripts() {
		if text, err := s.host.ReadFile(file, maxFile); err == nil {
			script = append(append(script, text...), '\n')
		}
	}
	named := func(o output) bool {
		for rest := script; ; {
			_, after, found := bytes.Cut(rest, []byte("/"+path.Base(o.path)))
			if !found || len(after) == 0 || !bytes.ContainsRune([]byte("-._/"), rune(after[0])) {
				return found
			}
			rest = after
		}
	}
	if !named(s.family.outputs[0]) {
		return there
	}
	return named
}

// scripts returns the files that the outputs are made by.
func (s *folder) scripts() []string {
	files := []string{s.family.tool}
	for _, dir := range s.family.parts {
		entries, _ := s.host.ReadDir(dir)
		for _, e := range entries {
			if path.Ext(e.Name()) == ".run" {
				files = append(files, path.Join(dir, e.Name()))
			}
		}
	}
	return files
}

// readHashes reads what programs find in a directory by the hash of a subject.
func (s *folder) readHashes(dir string, has map[store.Fingerprint]bool) error {
	entries, err := s.host.ReadDir(dir)
	for _, e := range entries {
		if !isHashLink(e.Name()) {
			continue
		}
		if text, err := s.host.ReadFile(path.Join(dir, e.Name()), maxFile); err == nil {
			eachPEM(text, func(_ int, der []byte) { has[store.FingerprintOf(der)] = true })
		}
	}
	return err
}

// source returns the file that a certificate is in.
func (st *folderState) source(c *p11kit.Cert) *source { return &st.sources[st.inputs[c.Input]] }

// of returns what there is of a certificate in all sources.
func (st *folderState) of(fp store.Fingerprint) []*p11kit.Cert {
	var out []*p11kit.Cert
	for i := range st.trust.Certs {
		if c := &st.trust.Certs[i]; c.SHA256 == fp {
			out = append(out, c)
		}
	}
	return out
}

// first returns what counts of a certificate, nil if no source has it: of the
// same in several places the first anchor.
func (st *folderState) first(fp store.Fingerprint) *p11kit.Cert {
	var first *p11kit.Cert
	for _, c := range st.of(fp) {
		if first == nil || c.Trusted && !first.Trusted {
			first = c
		}
	}
	return first
}

// wanted reports whether an output is to hold a certificate that is as c says.
func (o output) wants(c *p11kit.Cert) bool {
	if c == nil || !c.Trusted || c.Distrusted || !c.CA {
		return false
	}
	return o.purpose == "" || c.Allows(o.purpose)
}

// effective reports whether a certificate is trusted by those who read the
// outputs, as far as its purposes are theirs, and whether it is meant to be at
// all.
func (st *folderState) effective(c *p11kit.Cert) (meant, is bool) {
	if c == nil || !c.Trusted || c.Distrusted || !c.CA {
		return false, false
	}
	is = true
	for _, o := range st.outputs {
		if !o.wants(c) || o.err != nil && !o.required {
			continue
		}
		is = is && o.has[c.SHA256]
	}
	return true, is
}

// inOutputs returns the bundles that hold a certificate.
func (st *folderState) inOutputs(fp store.Fingerprint) []string {
	var out []string
	for _, o := range st.outputs {
		if o.has[fp] {
			out = append(out, path.Base(o.path))
		}
	}
	return out
}

// extras returns the certificates that bundles hold and no source accounts for,
// with the path of the first bundle.
func (st *folderState) extras() []extra {
	var out []extra
	seen := map[store.Fingerprint]bool{}
	for _, c := range st.trust.Certs {
		seen[c.SHA256] = true
	}
	for _, o := range st.outputs {
		n := 0
		eachPEM(o.raw, func(_ int, der []byte) {
			n++
			if fp := store.FingerprintOf(der); !seen[fp] {
				seen[fp] = true
				out = append(out, extra{store.NewCert(bytes.Clone(der)), o.path, n})
			}
		})
	}
	return out
}

type extra struct {
	cert *store.Cert
	path string
	item int
}

func (st *folderState) digest() string {
	h := sha256.New()
	put := func(parts ...string) {
		for _, p := range parts {
			fmt.Fprintf(h, "%d:%s", len(p), p)
		}
	}
	for _, x := range st.sources {
		put("source", x.path, string(x.raw), fmt.Sprint(x.enabled, x.err))
	}
	for _, o := range st.outputs {
		put("output", o.path)
		h.Write(o.raw)
	}
	for _, x := range st.strays {
		put("stray", x.path, x.to, string(x.raw))
	}
	put(st.dangling...)
	put(st.left...)
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// Plan returns the steps to what is wanted.
func (s *folder) Plan(ctx context.Context, want []store.Change) (store.Plan, error) {
	p, err := s.newPlan(ctx)
	if err != nil {
		return store.Plan{}, s.fail("plan", "", err)
	}
	p.changes(want)
	return p.plan, nil
}

// PlanRepair plans to mend problems.
func (s *folder) PlanRepair(ctx context.Context, list []store.Problem) (store.Plan, error) {
	p, err := s.newPlan(ctx)
	if err != nil {
		return store.Plan{}, s.fail("plan", "", err)
	}
	p.mend(list)
	return p.plan, nil
}

// Apply does a plan: it writes a file for each certificate, has the outputs
// follow, and believes only what it then reads in them.
func (s *folder) Apply(ctx context.Context, plan store.Plan) (store.Receipt, error) {
	return s.apply(ctx, plan, s.quiet, func(ctx context.Context) (job, error) { return s.newPlan(ctx) })
}

func (s *folder) quiet(ctx context.Context) error { return s.wait(ctx, s.updating) }

// Entries yields what is in the sources, in their order, and then what only the
// bundles hold.
func (s *folder) Entries(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		st, err := s.read(ctx)
		if err != nil {
			yield(store.Entry{}, s.fail("read", "", err))
			return
		}
		s.entries(st, s.newOrigins(ctx).of, yield)
	}
}

// Problems yields what is wrong with the store.
func (s *folder) Problems(ctx context.Context) iter.Seq2[store.Problem, error] {
	return func(yield func(store.Problem, error) bool) {
		st, err := s.read(ctx)
		if err != nil {
			yield(store.Problem{}, s.fail("read", "", err))
			return
		}
		unasked := func(anchor, *store.Cert) store.Origin { return store.Origin{} }
		if !problemsOf(func(yield func(store.Entry, error) bool) { s.entries(st, unasked, yield) }, yield) {
			return
		}
		for _, p := range s.unfinished(st) {
			if !yield(p, nil) {
				return
			}
		}
	}
}

// eachPEM calls do with the DER of each plain certificate of a bundle, and where
// its block begins. Bundles hold hundreds, so it does no more than that takes.
func eachPEM(text []byte, do func(start int, der []byte)) {
	const begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
	buf := make([]byte, 0, 4096)
	for at := 0; ; {
		i := bytes.Index(text[at:], []byte(begin))
		if i < 0 {
			return
		}
		start := at + i
		body := text[start+len(begin):]
		j := bytes.Index(body, []byte(end))
		if j < 0 {
			return
		}
		at = start + len(begin) + j + len(end)
		if der, ok := decode(buf[:0], body[:j]); ok {
			do(start, der)
		}
	}
}

// decode decodes base64 with whatever blanks in it, into buf.
func decode(buf, text []byte) ([]byte, bool) {
	var acc uint32
	bits := 0
	for _, c := range text {
		var v byte
		switch {
		case c >= 'A' && c <= 'Z':
			v = c - 'A'
		case c >= 'a' && c <= 'z':
			v = c - 'a' + 26
		case c >= '0' && c <= '9':
			v = c - '0' + 52
		case c == '+':
			v = 62
		case c == '/':
			v = 63
		case c == '=' || c == '\n' || c == '\r' || c == ' ' || c == '\t':
			continue
		default:
			return nil, false
		}
		acc, bits = acc<<6|uint32(v), bits+6
		if bits >= 8 {
			bits -= 8
			buf = append(buf, byte(acc>>bits))
		}
	}
	return buf, true
}

// ownFile returns the name of the file that is written for a certificate in a
// place, and what is in it.
func (s *folder) ownFile(c *store.Cert) (string, []byte, error) {
	name := "certtrust-" + hex.EncodeToString(c.SHA256[:16])
	if !s.family.p11 || c.IsCA() {
		return path.Join(s.family.adminDir, name+s.family.suffix), certfile.EncodePEM(c), nil
	}
	object, err := p11kit.Authority(c)
	if err != nil {
		return "", nil, err
	}
	// Beside the anchors: there, an object is believed what it says of itself.
	return path.Join(path.Dir(s.family.adminDir), name+".p11-kit"), object, nil
}

// blockFile returns the path of the file that distrusts a certificate.
func (s *folder) blockFile(fp store.Fingerprint) string {
	for i := range s.family.places {
		if p := &s.family.places[i]; p.standing == p11kit.Blocked && !p.vendor {
			return path.Join(s.at(p), "certtrust-"+hex.EncodeToString(fp[:16])+s.family.suffix)
		}
	}
	return ""
}
