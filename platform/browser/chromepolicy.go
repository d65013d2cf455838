package browser

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"iter"
	"path"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// ChromePolicy is the policies of a browser of the Chromium family. They are
// listed: whoever manages the machine writes them.
type ChromePolicy struct {
	host *host.Host
	dir  string
	info store.Info
}

// chromeLists are the policies that hold certificates, and what they make of
// them.
var chromeLists = []struct {
	policy   string
	decision store.Decision
}{
	{"CACertificates", store.Trusted},
	{"CACertificatesWithConstraints", store.Trusted},
	{"CADistrustedCertificates", store.Distrusted},
	{"CAHintCertificates", store.Unspecified},
}

// constrained is an item of CACertificatesWithConstraints.
type constrained struct {
	Certificate string `json:"certificate"`
	Constraints struct {
		Names []string `json:"permitted_dns_names"`
		CIDRs []string `json:"permitted_cidrs"`
	} `json:"constraints"`
}

// openChromePolicy returns the policies of a browser, nil if there are none.
func openChromePolicy(h *host.Host, c chrome) *ChromePolicy {
	there := false
	for _, level := range []string{"managed", "recommended"} {
		entries, err := h.ReadDir(path.Join(c.policies, level))
		there = there || err != nil && !errors.Is(err, fs.ErrNotExist)
		for _, e := range entries {
			there = there || path.Ext(e.Name()) == ".json"
		}
	}
	if !there {
		return nil
	}
	s := &ChromePolicy{host: h, dir: c.policies}
	s.info = store.Info{
		ID: store.ID(PolicyBackend + ":" + c.id), Backend: PolicyBackend, Title: "Policies of " + c.title, Scope: store.ScopeSystem, Location: c.policies,
		Express: store.Express{Purposes: []store.Purpose{store.PurposeServerAuth},
			Decisions: []store.Decision{store.Trusted, store.Distrusted, store.Unspecified}},
		Readers: []string{c.title},
	}
	s.info.Access.Write = &store.Obstacle{Kind: store.Managed, Text: "policies are written by whoever manages the machine", Hint: "edit the files in " + c.policies}
	if !h.Live {
		s.info.Root = h.Root
	}
	return s
}

// Info returns what was found when the store was opened.
func (s *ChromePolicy) Info() store.Info { return s.info }

// Entries yields what the policies say, file by file.
func (s *ChromePolicy) Entries(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(store.Entry{}, &store.Error{Op: "read", Store: s.info.ID, Err: err})
			return
		}
		for _, level := range []string{"managed", "recommended"} {
			dir := path.Join(s.dir, level)
			entries, err := s.host.ReadDir(dir)
			if err != nil && !errors.Is(err, fs.ErrNotExist) && !yield(store.Entry{Source: store.Source{Kind: "policy", Path: dir}}, err) {
				return
			}
			for _, e := range entries {
				if path.Ext(e.Name()) == ".json" && !s.file(path.Join(dir, e.Name()), yield) {
					return
				}
			}
		}
	}
}

func (s *ChromePolicy) file(file string, yield func(store.Entry, error) bool) bool {
	src := store.Source{Kind: "policy", Path: file}
	text, err := s.host.ReadFile(file, maxPolicy)
	var doc object
	if err == nil {
		doc, err = parseObject(text)
	}
	if err != nil {
		return yield(store.Entry{Source: src}, &store.Error{Op: "read", Store: s.info.ID, Path: file, Err: err})
	}
	origin := store.Origin{By: store.ByPolicy, Detail: file}
	if string(doc.get("CAPlatformIntegrationEnabled")) == "false" {
		e := store.Entry{Label: "CAPlatformIntegrationEnabled", Source: src, Origin: origin, Problems: []store.Problem{{
			Code: "platform-off", Path: file, Text: "the policy keeps the browser from heeding what its user has trusted in the NSS database"}}}
		if !yield(e, nil) {
			return false
		}
	}
	for _, list := range chromeLists {
		var items []json.RawMessage
		if json.Unmarshal(doc.get(list.policy), &items) != nil {
			continue
		}
		for _, item := range items {
			src.Item = list.policy
			var c constrained
			if json.Unmarshal(item, &c.Certificate) != nil && json.Unmarshal(item, &c) != nil {
				c.Certificate = ""
			}
			der, err := base64.StdEncoding.DecodeString(c.Certificate)
			cert := store.NewCert(der)
			if err != nil || cert.Version == 0 {
				bad := &store.Error{Op: "read", Store: s.info.ID, Path: file, Err: store.Because(store.ErrCorrupt, "an item of %s is no certificate", list.policy)}
				if !yield(store.Entry{Source: src}, bad) {
					return false
				}
				continue
			}
			rule := store.Rule{Purpose: store.PurposeServerAuth, Decision: list.decision, Hosts: append(c.Constraints.Names, c.Constraints.CIDRs...)}
			e := store.Entry{Cert: cert, Label: cert.Label(), Source: src, Origin: origin, Trust: store.Trust{rule}.Normal()}
			if !yield(e, nil) {
				return false
			}
		}
	}
	return true
}
