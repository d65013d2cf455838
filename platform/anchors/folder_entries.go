package anchors

import (
	"errors"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/certtrust/certtrust/platform/anchors/p11kit"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// folderProblems are the problems that only families with directories have.
var folderProblems = map[string]struct {
	text     string
	mendable bool
}{
	"no-authority":      {"it is an anchor, but no certificate authority: it is left out of every bundle, so programs do not trust it", false},
	"distrusted-anchor": {"it lies among the anchors, but is distrusted elsewhere, which counts more", false},
	"p11-kit-object":    {"p11-kit passes it over", false},
	"unfinished-update": {"it is not what the anchors say: an update was interrupted before it came to it", true},
}

// trustOf returns how the readers of a store take a certificate; c is nil if no
// source has it, and inside tells that a bundle does.
func (s *folder) trustOf(st *folderState, c *p11kit.Cert, inside bool) store.Trust {
	switch {
	case c == nil && inside:
		return trustedForAny
	case c == nil:
		return nil
	case c.Distrusted:
		if inside {
			return trustedForAny // until the next update
		}
		return distrustedForAny
	case !c.Trusted:
		if x := st.source(c); x.listed && !x.enabled {
			if inside {
				return trustedForAny
			}
			return distrustedForAny
		}
		return nil
	}
	if meant, is := st.effective(c); !meant || !is {
		return nil
	}
	if !c.Narrowed {
		return trustedForAny
	}
	return store.TrustFor(store.Trusted, c.Purposes...).Normal()
}

func (s *folder) entries(st *folderState, of originOf, yield func(store.Entry, error) bool) {
	byInput := map[int][]*p11kit.Cert{}
	for i := range st.trust.Certs {
		c := &st.trust.Certs[i]
		byInput[st.inputs[c.Input]] = append(byInput[st.inputs[c.Input]], c)
	}
	distrusts := map[int][]p11kit.Distrust{}
	for _, d := range st.trust.Distrusts {
		distrusts[st.inputs[d.Input]] = append(distrusts[st.inputs[d.Input]], d)
	}
	for i := range st.sources {
		x := &st.sources[i]
		if !s.sourceEntries(st, x, byInput[i], distrusts[i], of, yield) {
			return
		}
	}
	for _, file := range st.left {
		if !yield(blank(kindStray, file, store.Origin{By: store.ByCerttrust}, problem("left-behind", file)), nil) {
			return
		}
	}
	if s.strayEntries(st, yield) {
		s.outputEntries(st, yield)
	}
}

// origin returns who put a certificate there. In the one file of a system it
// cannot be told, nor where all certificates lie side by side.
func (s *folder) origin(x *source, c *store.Cert, of originOf) store.Origin {
	if x.place.file {
		return store.Origin{By: store.ByUnknown}
	}
	by := of(anchor{path: x.path, vendor: x.vendor}, c)
	if x.place.shared && s.family.vendorDir == "" && by.By == store.ByAdmin && strings.HasPrefix(by.Detail, byHand) {
		return store.Origin{By: store.ByUnknown}
	}
	return by
}

func (x *source) kind() string {
	switch {
	case x.place.file:
		return kindBundle
	case x.place.standing == p11kit.Blocked:
		return kindBlock
	}
	return kindAnchor
}

func (s *folder) sourceEntries(st *folderState, x *source, certs []*p11kit.Cert, distrusts []p11kit.Distrust, of originOf, yield func(store.Entry, error) bool) bool {
	src := store.Source{Kind: x.kind(), Path: x.path}
	switch {
	case errors.Is(x.err, errNoFile) && x.place.file:
		return true
	case errors.Is(x.err, errNoFile):
		return yield(blank(src.Kind, x.path, s.origin(x, nil, of), problem("not-a-file", x.path)), nil)
	case x.err != nil:
		return yield(store.Entry{Source: src}, s.fail("read", x.path, x.err))
	}
	ofFile := s.fileProblems(x)
	if x.vendor && x.place.list != "" && !x.listed {
		ofFile = append(ofFile, problem("not-listed", x.path))
	}
	if len(certs)+len(distrusts) == 0 && !x.place.file {
		if len(x.file.Objects) > 0 && len(ofFile) == 0 {
			return true // only extensions, which are told of where they count
		}
		return yield(blank(src.Kind, x.path, s.origin(x, nil, of), append(ofFile, problem("no-certificate", x.path))...), nil)
	}
	for _, c := range certs {
		e := store.Entry{Cert: c.Cert, Label: c.Label, Source: src, Origin: s.origin(x, c.Cert, of)}
		if len(certs) > 1 {
			e.Source.Item = strconv.Itoa(c.Item)
		}
		counts := c
		if first := st.first(c.SHA256); c.Again && first != nil {
			counts = first
		}
		in := st.inOutputs(c.SHA256)
		e.Trust = s.trustOf(st, counts, len(in) > 0)
		e.Native = s.native(c, in)
		e.Problems = append(append([]store.Problem{}, ofFile...), s.certProblems(st, x, c, counts, in)...)
		ofFile = nil // once
		if !yield(e, nil) {
			return false
		}
	}
	for _, d := range distrusts {
		e := store.Entry{Label: d.Label, Source: src, Origin: s.origin(x, nil, of), Trust: distrustedForAny,
			Match: &store.Match{Issuer: d.Issuer, Serial: d.Serial, SPKI: d.SPKI}, Problems: ofFile}
		e.Source.Item = "line " + strconv.Itoa(d.Line)
		if e.Label == "" {
			e.Label = path.Base(x.path)
		}
		ofFile = nil
		if !yield(e, nil) {
			return false
		}
	}
	return true
}

// native returns what only this family knows of a certificate.
func (s *folder) native(c *p11kit.Cert, in []string) map[string]string {
	out := map[string]string{}
	if len(in) > 0 {
		out["in"] = strings.Join(in, ", ")
	}
	date := func(name string, at time.Time) {
		if !at.IsZero() {
			out[name] = at.UTC().Format(time.RFC3339) + ", heeded by NSS alone"
		}
	}
	date("server-distrust-after", c.ServerAfter)
	date("email-distrust-after", c.EmailAfter)
	if c.NameConstraints {
		out["name-constraints"] = "attached, which those who read a bundle do not see"
	}
	if c.Stapled {
		out["authority"] = "by an attached extension"
	}
	if c.DistrustedBy != "" {
		out["distrusted-by"] = c.DistrustedBy
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// certProblems returns what is wrong with a certificate of a source; counts is
// what counts of it if it stands in several.
func (s *folder) certProblems(st *folderState, x *source, c, counts *p11kit.Cert, in []string) []store.Problem {
	meant, is := st.effective(counts)
	switch {
	case meant && !is && c.Cert.Version != 0:
		return []store.Problem{problem("anchor-not-in-bundle", x.path)}
	case c.Trusted && !c.Distrusted && !c.CA:
		return []store.Problem{problem("no-authority", x.path)}
	case !meant && len(in) > 0:
		return []store.Problem{problem("still-in-bundle", x.path)}
	case c.Trusted && c.Distrusted && x.place.standing == p11kit.Anchor:
		return []store.Problem{problem("distrusted-anchor", x.path)}
	}
	return nil
}

func (s *folder) fileProblems(x *source) []store.Problem {
	var list []store.Problem
	if !forEverybody(x.mode) && !s.family.p11 {
		list = append(list, problem("not-for-everybody", x.path))
	}
	if len(x.file.Objects) > 1 && s.family.alone && !x.place.file {
		list = append(list, problem("several-certificates", x.path))
	}
	for _, n := range x.file.Notices {
		if _, known := problems[n.Code]; known && !(s.family.p11 && n.Code == certfile.PrivateKey) {
			p := problem(n.Code, x.path)
			p.Text = "line " + strconv.Itoa(n.Line) + ": " + p.Text
			list = append(list, p)
		}
	}
	for _, n := range x.file.Problems {
		p := problem("p11-kit-object", x.path)
		p.Text = "line " + strconv.Itoa(n.Line) + ": " + n.Text
		list = append(list, p)
	}
	return mendableIf(x.keyCanGo(), list)
}

// outputEntries yields what only the bundles hold, and what is wrong with these.
func (s *folder) outputEntries(st *folderState, yield func(store.Entry, error) bool) {
	for _, o := range st.outputs {
		if o.err != nil && !absent(o.err) {
			if !yield(store.Entry{Source: store.Source{Kind: kindBundle, Path: o.path}}, s.fail("read", o.path, o.err)) {
				return
			}
		}
		if o.err == nil && !forEverybody(o.mode) {
			if !yield(blank(kindBundle, o.path, store.Origin{By: store.ByUnknown}, problem("not-for-everybody", o.path)), nil) {
				return
			}
		}
	}
	for _, x := range st.extras() {
		e := store.Entry{Cert: x.cert, Label: x.cert.Label(), Origin: store.Origin{By: store.ByUnknown},
			Source:   store.Source{Kind: kindBundle, Path: x.path, Item: strconv.Itoa(x.item)},
			Trust:    trustedForAny,
			Problems: []store.Problem{problem("no-anchor", x.path)}}
		if !yield(e, nil) {
			return
		}
	}
}
