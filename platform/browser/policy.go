package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/nss"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// PolicyBackend is what the IDs of policies begin with.
const PolicyBackend = "policy"

// firefoxPolicies are the files that Firefox takes its policies from, by
// operating system: the first that exists, and no other.
var firefoxPolicies = map[string][]string{
	"linux": {"/etc/firefox/policies/policies.json", "/usr/share/firefox-esr/distribution/policies.json", "/usr/lib/firefox-esr/distribution/policies.json",
		"/usr/lib/firefox/distribution/policies.json", "/usr/lib64/firefox/distribution/policies.json", "/opt/firefox/distribution/policies.json"},
	"darwin":  {"/Applications/Firefox.app/Contents/Resources/distribution/policies.json"},
	"windows": {"C:/Program Files/Mozilla Firefox/distribution/policies.json"},
}

// firefoxPrograms is what shows that Firefox is installed.
var firefoxPrograms = map[string][]string{
	"linux":   {"/usr/bin/firefox", "/usr/bin/firefox-esr", "/usr/local/bin/firefox", "/opt/firefox/firefox"},
	"darwin":  {"/Applications/Firefox.app"},
	"windows": {"C:/Program Files/Mozilla Firefox/firefox.exe"},
}

// certificateDirs are where Firefox looks for a certificate that a policy names
// without a path.
var certificateDirs = map[string][]string{
	"linux":  {"/usr/lib/mozilla/certificates", "/usr/lib64/mozilla/certificates"},
	"darwin": {"/Library/Application Support/Mozilla/Certificates"},
}

// ownPrefix begins the names of certificates that certtrust puts beside the
// policies.
const ownPrefix = "certtrust-"

// policyWait is how long another change of the policies is waited for.
const policyWait = 30 * time.Second

const (
	maxPolicy      = 4 << 20
	maxCertificate = 1 << 20
)

// The places in the policies.
var (
	installKeys = []string{"policies", "Certificates", "Install"}
	rootsKeys   = []string{"policies", "Certificates", "ImportEnterpriseRoots"}
	deviceKeys  = []string{"policies", "SecurityDevices", "Add", "System trust"}
)

// installed is a certificate that a policy names.
type installed struct {
	name string // as written
	path string // "" = there is no such file
	cert *store.Cert
	err  error
	many bool // the file holds several, and Firefox imports none
}

// firefoxPolicy is what Firefox's policies say about trust.
type firefoxPolicy struct {
	path   string
	exists bool
	text   []byte
	doc    object
	err    error

	install []installed
	roots   string // of ImportEnterpriseRoots: "true", "false" or "" for nothing
	linked  bool   // a module makes it follow the system's store
}

// readFirefoxPolicy reads the policies that are in force.
func readFirefoxPolicy(h *host.Host) *firefoxPolicy {
	p := &firefoxPolicy{}
	for _, file := range firefoxPolicies[h.OS] {
		text, err := h.ReadFile(file, maxPolicy)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		p.path, p.text, p.exists, p.err = file, text, true, err
		break
	}
	if !p.exists {
		if list := firefoxPolicies[h.OS]; len(list) > 0 {
			p.path = list[0]
		}
		return p
	}
	if p.err == nil {
		p.doc, p.err = parseObject(p.text)
	}
	if p.err != nil {
		return p
	}
	certificates := p.doc.in("policies", "Certificates")
	if v := string(certificates.get("ImportEnterpriseRoots")); v == "true" || v == "false" {
		p.roots = v
	}
	for _, name := range p.names() {
		p.install = append(p.install, p.resolve(h, name))
	}
	devices := p.doc.in("policies", "SecurityDevices")
	for _, m := range append(devices.in("Add"), devices...) {
		var library string
		if json.Unmarshal(m.value, &library) == nil && strings.HasPrefix(path.Base(library), "p11-kit-trust.") {
			p.linked = true
		}
	}
	return p
}

// names returns what the policy names.
func (p *firefoxPolicy) names() (names []string) {
	var list []json.RawMessage
	if json.Unmarshal(p.doc.in("policies", "Certificates").get("Install"), &list) != nil {
		return nil
	}
	for _, item := range list {
		var name string
		if json.Unmarshal(item, &name) == nil {
			names = append(names, name)
		}
	}
	return names
}

func (p *firefoxPolicy) resolve(h *host.Host, name string) installed {
	i := installed{name: name}
	candidates := []string{name}
	if !path.IsAbs(name) && !(h.OS == "windows" && strings.Contains(name, ":")) {
		candidates = nil
		for _, file := range firefoxPolicies[h.OS] { // beside Firefox, and not in /etc
			if dir := path.Dir(file); path.Base(dir) == "distribution" {
				candidates = append(candidates, path.Join(dir, "certificates", name))
			}
		}
		for _, dir := range certificateDirs[h.OS] {
			candidates = append(candidates, path.Join(dir, name))
		}
		if own := path.Join(h.User.Home, ".mozilla/certificates"); h.OS == "linux" && h.User.Home != "" {
			if _, foreign := h.Foreign(own); !foreign {
				candidates = append(candidates, path.Join(own, name))
			}
		}
	}
	for _, file := range candidates {
		data, err := h.ReadFile(strings.ReplaceAll(file, `\`, "/"), maxCertificate)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		i.path, i.err = file, err
		if err != nil {
			return i
		}
		read, err := certfile.Read(data)
		if err != nil {
			i.err = err
			return i
		}
		switch len(read.Items) {
		case 0:
			i.err = store.Because(store.ErrCorrupt, "there is no certificate in it")
		case 1:
			i.cert = read.Items[0].Cert
		default:
			i.many = true
		}
		return i
	}
	return i
}

// origin tells of a certificate in a profile whether a policy has put it there.
func (p *firefoxPolicy) origin(fp store.Fingerprint) (store.Origin, bool) {
	for _, i := range p.install {
		if i.cert != nil && i.cert.SHA256 == fp {
			return store.Origin{By: store.ByPolicy, Detail: p.path}, true
		}
	}
	return store.Origin{}, false
}

// FirefoxPolicy is the policies of a machine-wide Firefox: a [store.Editor].
type FirefoxPolicy struct {
	host *host.Host
	info store.Info
}

var _ store.Editor = (*FirefoxPolicy)(nil)

// DetectPolicies returns the policies of browsers that are or could be in force.
func DetectPolicies(_ context.Context, h *host.Host) ([]store.Store, []string) {
	var stores []store.Store
	var reasons []string
	p := readFirefoxPolicy(h)
	there := p.exists
	if p.exists {
		reasons = append(reasons, p.path+" is there")
	}
	for _, program := range firefoxPrograms[h.OS] {
		if _, err := h.Stat(program); err == nil && !there {
			there = true
			reasons = append(reasons, program+" is installed, which would heed "+p.path)
		}
	}
	if there {
		stores = append(stores, openFirefoxPolicy(h, p))
	} else {
		reasons = append(reasons, "Firefox is not installed for the machine, and has no policies")
	}
	if h.OS == "linux" {
		for _, c := range chromes {
			if s := openChromePolicy(h, c); s != nil {
				stores = append(stores, s)
				reasons = append(reasons, c.policies+" is there")
			}
		}
	}
	return stores, reasons
}

func openFirefoxPolicy(h *host.Host, p *firefoxPolicy) *FirefoxPolicy {
	s := &FirefoxPolicy{host: h}
	s.info = store.Info{
		ID: PolicyBackend + ":firefox", Backend: PolicyBackend, Title: "Policies of Firefox", Scope: store.ScopeSystem, Location: p.path,
		Express: store.Express{Purposes: []store.Purpose{store.PurposeAny}, Decisions: []store.Decision{store.Trusted}},
		Readers: []string{"Firefox"},
	}
	if !h.Live {
		s.info.Root = h.Root
	}
	if p.linked {
		s.info.DerivedFrom = systemStore
	}
	switch {
	case !h.Live:
		s.info.Access.Write = &store.Obstacle{Kind: store.ReadOnly, Text: "an offline root is only read"}
	case p.err != nil:
		s.info.Access.Write = &store.Obstacle{Kind: store.Damaged, Text: p.path + ": " + p.err.Error(), Hint: "mend it with an editor"}
	case !h.Writable(path.Dir(p.path)) && h.EUID != 0:
		s.info.Access.Write = &store.Obstacle{Kind: store.NeedsElevation, Text: "the policies belong to root", Hint: "run it with sudo"}
	case !h.Writable(path.Dir(p.path)):
		s.info.Access.Write = &store.Obstacle{Kind: store.ReadOnly, Text: path.Dir(p.path) + " cannot be written, not even by root"}
	}
	return s
}

// Info returns what was found when the store was opened.
func (s *FirefoxPolicy) Info() store.Info { return s.info }

func (s *FirefoxPolicy) fail(op string, err error) error {
	e := &store.Error{Op: op, Store: s.info.ID, Path: s.info.Location, Err: err}
	if inner, ok := err.(*store.Error); ok && inner.Store == "" {
		e.Err, e.Hint = inner.Err, inner.Hint
		if inner.Path != "" {
			e.Path = inner.Path
		}
	}
	return e
}

// Entries yields the certificates that the policies name.
func (s *FirefoxPolicy) Entries(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		p := readFirefoxPolicy(s.host)
		if err := ctx.Err(); err != nil || p.err != nil {
			yield(store.Entry{}, s.fail("read", errors.Join(err, p.err)))
			return
		}
		for _, i := range p.install {
			at := i.path
			if at == "" {
				at = p.path
			}
			e := store.Entry{Label: i.name, Source: store.Source{Kind: "policy", Path: at, Item: i.name}, Origin: store.Origin{By: store.ByPolicy, Detail: p.path}}
			var failed error
			switch {
			case i.err != nil:
				failed = s.fail("read", &store.Error{Path: at, Err: i.err})
			case i.path == "":
				e.Problems = []store.Problem{{Code: "no-file", Path: p.path, Text: "the policy names a file that is not there: " + store.Printable(i.name)}}
			case i.many:
				e.Problems = []store.Problem{{Code: "several-certificates", Path: at, Text: "the file holds several certificates: Firefox imports none of them"}}
			default:
				e.Cert, e.Label, e.Trust = i.cert, i.cert.Label(), store.TrustFor(store.Trusted, store.PurposeAny)
				if strings.HasPrefix(path.Base(i.path), ownPrefix) {
					e.Origin.By = store.ByCerttrust
				}
			}
			if failed != nil {
				e = store.Entry{Source: e.Source}
			}
			if !yield(e, failed) {
				return
			}
		}
	}
}

// policyEdits is what a plan comes down to.
type policyEdits struct {
	names  []string          // of Install
	writes map[string][]byte // certificates
	drops  []string
	doc    object
}

type policyPlanner struct {
	ctx   context.Context
	s     *FirefoxPolicy
	p     *firefoxPolicy
	plan  store.Plan
	edits policyEdits
}

// Plan returns the steps to what is wanted.
func (s *FirefoxPolicy) Plan(ctx context.Context, want []store.Change) (store.Plan, error) {
	if err := ctx.Err(); err != nil {
		return store.Plan{}, s.fail("plan", err)
	}
	pl, err := s.planner(ctx, want)
	if err != nil {
		return store.Plan{}, s.fail("plan", err)
	}
	return pl.plan, nil
}

func (s *FirefoxPolicy) planner(ctx context.Context, want []store.Change) (*policyPlanner, error) {
	p := readFirefoxPolicy(s.host)
	if p.err != nil {
		return nil, p.err
	}
	pl := &policyPlanner{ctx: ctx, s: s, p: p, plan: store.Plan{Store: s.info.ID, Basis: "sha256:" + store.FingerprintOf(append([]byte(fmt.Sprint(p.exists)), p.text...)).String(), Want: want, Steps: []store.Step{}}}
	pl.edits = policyEdits{names: p.names(), writes: map[string][]byte{}, doc: p.doc}
	for _, c := range want {
		if err := pl.change(c); err != nil {
			pl.plan.Refused = append(pl.plan.Refused, store.Refuse(c.Fingerprint, err))
		}
	}
	slices.Reverse(pl.plan.Undo)
	return pl, nil
}

func (pl *policyPlanner) holds(fp store.Fingerprint) (list []installed) {
	for _, i := range pl.p.install {
		if i.cert != nil && i.cert.SHA256 == fp && slices.Contains(pl.edits.names, i.name) {
			list = append(list, i)
		}
	}
	return list
}

func (pl *policyPlanner) change(c store.Change) error {
	if c.Item == nss.LinkItem {
		return pl.link(c)
	}
	if c.DER != nil && store.FingerprintOf(c.DER) != c.Fingerprint {
		return store.Because(store.ErrInput, "the certificate does not have the fingerprint that is given with it")
	}
	held := pl.holds(c.Fingerprint)
	if c.Absent {
		return pl.remove(c, held)
	}
	if c.Trust == nil {
		if len(held) == 0 && c.DER != nil {
			return store.Because(store.ErrUnsupported, "what a policy names is trusted: it cannot hold a certificate without trusting it")
		}
		if len(held) == 0 {
			return store.Because(store.ErrNotFound, "the policies do not name it")
		}
		return nil
	}
	t := c.Trust.Normal()
	if len(t) != 1 || t[0].Purpose != store.PurposeAny || t[0].Decision != store.Trusted && t[0].Decision != store.Peer || len(t[0].Hosts) > 0 || !t[0].DistrustAfter.IsZero() {
		return &store.Error{Err: store.Because(store.ErrUnsupported, "a policy can only have a certificate trusted, without limits"),
			Hint: "change the profiles themselves: --store 'nss:*'"}
	}
	if len(held) > 0 {
		return nil
	}
	if c.DER == nil {
		return store.Because(store.ErrNotFound, "the policies do not name it, so the certificate itself is needed")
	}
	cert := c.Cert()
	if t[0].Decision == store.Peer && cert.IsCA() {
		return store.Because(store.ErrUnsupported, "a policy cannot have an authority trusted for itself alone")
	}
	if cert.Version == 0 {
		return store.Because(store.ErrInput, "it is not a certificate: its structure cannot be read")
	}
	name := path.Join(path.Dir(pl.p.path), ownPrefix+c.Fingerprint.String()+".pem")
	if back := c.Item; back != "" {
		if i := pl.p.resolve(pl.s.host, back); i.cert != nil && i.cert.SHA256 == c.Fingerprint {
			name = back
		}
	}
	files := []string{pl.p.path}
	if path.IsAbs(name) && strings.HasPrefix(path.Base(name), ownPrefix) {
		files = append(files, name)
		pl.edits.writes[name] = certfile.EncodePEM(cert)
	}
	if slices.Contains(pl.edits.names, name) {
		return nil // wanted twice
	}
	pl.edits.names = append(pl.edits.names, name)
	// The order means nothing: what is ours comes last, in an order that does
	// not depend on what was done when.
	slices.SortStableFunc(pl.edits.names, func(a, b string) int {
		own := func(name string) string {
			if strings.HasPrefix(path.Base(name), ownPrefix) {
				return "1" + name
			}
			return "0"
		}
		return strings.Compare(own(a), own(b))
	})
	pl.add(store.Step{Action: store.ActionAdd, Fingerprint: c.Fingerprint, Label: cert.Label(), Files: files, Before: &store.State{},
		After: &store.State{Present: true, Trust: store.TrustFor(store.Trusted, store.PurposeAny)}},
		store.Change{Fingerprint: c.Fingerprint, Absent: true})
	return nil
}

func (pl *policyPlanner) add(step store.Step, undo store.Change) {
	step.Elevated = pl.s.info.Access.Write != nil && pl.s.info.Access.Write.Kind == store.NeedsElevation
	pl.plan.Steps = append(pl.plan.Steps, step)
	pl.plan.Undo = append(pl.plan.Undo, undo)
	pl.notice("Firefox heeds policies when it is started")
}

func (pl *policyPlanner) notice(text string) {
	if !slices.Contains(pl.plan.Notices, text) {
		pl.plan.Notices = append(pl.plan.Notices, text)
	}
}

// holding returns the profiles of the user that hold a certificate, as far as
// they can be read.
func holding(ctx context.Context, h *host.Host, fp store.Fingerprint) (ids []string) {
	stores, _ := DetectUser(ctx, h)
	for _, s := range stores {
		if s.Info().Access.Read != nil {
			continue
		}
		for e, err := range s.Entries(ctx) {
			if err == nil && e.Cert != nil && e.Cert.SHA256 == fp {
				ids = append(ids, string(s.Info().ID))
				break
			}
		}
	}
	return ids
}

func (pl *policyPlanner) remove(c store.Change, held []installed) error {
	for _, i := range held {
		if c.Item != "" && c.Item != i.name && c.Item != i.path {
			continue
		}
		files := []string{pl.p.path}
		own := strings.HasPrefix(path.Base(i.path), ownPrefix)
		if own {
			files = append(files, i.path)
			pl.edits.drops = append(pl.edits.drops, i.path)
		}
		pl.edits.names = slices.DeleteFunc(pl.edits.names, func(name string) bool { return name == i.name })
		trust := store.TrustFor(store.Trusted, store.PurposeAny)
		undo := store.Change{Fingerprint: c.Fingerprint, DER: i.cert.Raw, Trust: &trust, Item: i.name}
		if own {
			undo.Item = ""
		}
		pl.add(store.Step{Action: store.ActionRemove, Fingerprint: c.Fingerprint, Label: i.cert.Label(), Files: files,
			Before: &store.State{Present: true, Trust: trust}, After: &store.State{}}, undo)
		pl.notice("profiles that were used while the policy was in force have imported the certificate and keep it: remove it there too (--store 'nss:*')")
		if holders := holding(pl.ctx, pl.s.host, c.Fingerprint); len(holders) > 0 {
			pl.notice("it is in " + strings.Join(holders, ", "))
		}

	}
	return nil
}

// link makes Firefox follow the system's store, or no longer.
func (pl *policyPlanner) link(c store.Change) error {
	keys, value, on := rootsKeys, encodeJSON(true), pl.p.roots == "true"
	if pl.s.host.OS == "linux" {
		module := nss.Module(pl.s.host)
		keys, value, on = deviceKeys, encodeJSON(module), pl.p.linked
		if module == "" && !c.Absent {
			return &store.Error{Err: store.Because(store.ErrToolMissing, "p11-kit's module is not installed"), Hint: "install it: apt-get install p11-kit-modules"}
		}
	}
	if c.Absent != on {
		return nil
	}
	label := "follow the system's store"
	if c.Absent {
		value, label = nil, "no longer follow the system's store"
	}
	doc, err := pl.edits.doc.set(value, keys...)
	if err != nil {
		return err
	}
	if c.Absent && len(doc.in(keys[:len(keys)-1]...)) == len(pl.edits.doc.in(keys[:len(keys)-1]...)) && value == nil {
		return store.Because(store.ErrUnsupported, "%s makes Firefox follow the system's store in a way of its own", pl.p.path)
	}
	pl.edits.doc = doc
	pl.add(store.Step{Action: store.ActionLink, Label: label, Files: []string{pl.p.path}}, store.Change{Item: nss.LinkItem, Absent: !c.Absent})
	return nil
}

// Apply plans again, and does it if the steps are the same.
func (s *FirefoxPolicy) Apply(ctx context.Context, p store.Plan) (store.Receipt, error) {
	if p.Store != s.info.ID {
		return store.Receipt{}, s.fail("apply", store.Because(store.ErrInput, "the plan is for %s", store.Printable(string(p.Store))))
	}
	if !p.Empty() {
		if err := s.info.Access.Write.Err("apply", s.info.ID); err != nil {
			return store.Receipt{}, err
		}
		if err := ctx.Err(); err != nil {
			return store.Receipt{}, s.fail("apply", err)
		}
		unlock, err := s.host.Lock(ctx, path.Join(s.host.StateDir(store.ScopeSystem), "policy.lock"), policyWait, "changing Firefox's policies")
		if err != nil {
			return store.Receipt{}, s.fail("apply", err)
		}
		defer unlock()
	}
	pl, err := s.planner(ctx, p.Want)
	switch {
	case err != nil:
	case !p.SameSteps(pl.plan):
		err = store.ErrStale
	case pl.plan.Empty():
		return store.Receipt{Store: s.info.ID}, nil
	default:
		err = pl.write()
	}
	if err != nil {
		return store.Receipt{}, s.fail("apply", err)
	}
	return store.Receipt{Store: s.info.ID, Done: pl.plan.Steps, Undo: pl.plan.Undo, Notices: pl.plan.Notices}, nil
}

// write writes new certificates, then the policies, then takes out what is no
// longer named: at no time does a policy name what is not there.
func (pl *policyPlanner) write() (err error) {
	h, p := pl.s.host, pl.p
	var install json.RawMessage
	if len(pl.edits.names) > 0 {
		install = encodeJSON(pl.edits.names)
	}
	doc, err := pl.edits.doc.set(install, installKeys...)
	if err != nil {
		return err
	}
	var made []string
	defer func() {
		if err == nil {
			return
		}
		for _, file := range made {
			err = errors.Join(err, h.Remove(file))
		}
	}()
	if err := h.MkdirAll(path.Dir(p.path), 0o755); err != nil {
		return err
	}
	for _, file := range sortedKeys(pl.edits.writes) {
		if now, err := h.ReadFile(file, maxCertificate); err == nil && string(now) == string(pl.edits.writes[file]) {
			continue
		}
		if err := h.WriteFile(file, pl.edits.writes[file], host.WriteOptions{Mode: 0o644, ForceMode: true}); err != nil {
			return err
		}
		made = append(made, file)
	}
	text := doc.pretty()
	if len(doc) == 0 && p.exists {
		// An empty file would keep the other places from being looked at.
		if err := h.Remove(p.path); err != nil {
			return err
		}
	} else if err := h.WriteFile(p.path, text, host.WriteOptions{Mode: 0o644}); err != nil {
		return err
	}
	now := readFirefoxPolicy(h)
	if now.err != nil || len(doc) > 0 && string(now.text) != string(text) {
		back := p.restore(h)
		return errors.Join(store.Because(store.ErrFailed, "what is read back from %s is not what was written", p.path), back)
	}
	gone := map[string][]byte{}
	for _, file := range pl.edits.drops {
		text, err := h.ReadFile(file, maxCertificate)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = h.Remove(file)
		}
		if err == nil {
			gone[file] = text
			continue
		}
		back := p.restore(h)
		for _, file := range sortedKeys(gone) {
			back = errors.Join(back, h.WriteFile(file, gone[file], host.WriteOptions{Mode: 0o644, ForceMode: true}))
		}
		if back != nil {
			return store.Because(store.ErrPartial, "%w; and %s could not be put back: %w", err, p.path, back)
		}
		return err
	}
	return nil
}

// restore puts the policies back.
func (p *firefoxPolicy) restore(h *host.Host) error {
	if !p.exists {
		return h.Remove(p.path)
	}
	return h.WriteFile(p.path, p.text, host.WriteOptions{Mode: 0o644})
}

func sortedKeys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
