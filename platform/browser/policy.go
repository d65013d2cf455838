package browser

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"iter"
	"path"
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
	named   bool   // a module is named that makes it follow the system's store
	linked  bool   // and is there
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
			p.named = true
			p.linked = p.linked || nss.There(h, library)
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
		for _, c := range chromes() {
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
	return store.At(op, s.info.ID, s.info.Location, err)
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
