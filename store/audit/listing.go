package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// Listing is what "list" wrote about a machine, read for a comparison.
type Listing struct {
	Host     string
	Stores   []store.ID
	Sets     map[store.ID]Set
	Complete bool
}

// IsListing reports whether data begins as a listing in JSON or JSON lines
// does.
func IsListing(data []byte) bool { return schemaOf(data) == "certtrust.list/v1" }

// IsBaseline reports whether data is a baseline.
func IsBaseline(data []byte) bool { return schemaOf(data) == BaselineSchema }

// schemaOf returns the schema that the first object in data names.
func schemaOf(data []byte) string {
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))
	if len(data) == 0 || data[0] != '{' {
		return ""
	}
	var head struct {
		Schema string `json:"schema"`
	}
	if json.NewDecoder(bytes.NewReader(data)).Decode(&head) != nil {
		return ""
	}
	return head.Schema
}

// listedEntry is what is read of an entry.
type listedEntry struct {
	Schema string            `json:"schema"`
	SHA256 store.Fingerprint `json:"sha256"`
	Label  string            `json:"label"`
	CA     bool              `json:"ca"`
	Store  store.ID          `json:"store"`
	Trust  store.Trust       `json:"trust"`
}

// listedHead is the beginning of a listing, or all of one.
type listedHead struct {
	Schema string `json:"schema"`
	Host   string `json:"host"`
	Stores []struct {
		ID       store.ID `json:"id"`
		Complete bool     `json:"complete"`
	} `json:"stores"`
	Entries []listedEntry `json:"entries"`
}

// ReadListing reads one listing, in JSON or JSON lines.
func ReadListing(data []byte) (*Listing, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	d := json.NewDecoder(bufio.NewReader(bytes.NewReader(data)))
	var head listedHead
	if err := d.Decode(&head); err != nil || head.Schema != "certtrust.list/v1" {
		return nil, store.Because(store.ErrInput, "it is no listing")
	}
	l := &Listing{Host: head.Host, Sets: map[store.ID]Set{}, Complete: true}
	for _, s := range head.Stores {
		l.Stores = append(l.Stores, s.ID)
		l.Sets[s.ID] = Set{Items: map[store.Fingerprint]Item{}}
		l.Complete = l.Complete && s.Complete
	}
	add := func(e listedEntry) {
		if e.SHA256.IsZero() {
			return
		}
		set, ok := l.Sets[e.Store]
		if !ok {
			set = Set{Items: map[store.Fingerprint]Item{}}
			l.Sets[e.Store] = set
			l.Stores = append(l.Stores, e.Store)
		}
		set.Add(e.SHA256, e.Label, e.Trust, e.CA)
	}
	for _, e := range head.Entries {
		add(e)
	}
	if head.Entries != nil {
		return l, nil
	}
	for ended := false; ; {
		var e listedEntry
		err := d.Decode(&e)
		switch {
		case err == io.EOF:
			l.Complete = l.Complete && ended
			return l, nil
		case err != nil:
			return nil, store.Because(store.ErrInput, "it is a damaged listing: %w", err)
		case strings.HasPrefix(e.Schema, "certtrust.summary/"):
			ended = true
		case e.Schema == "certtrust.entry/v1":
			add(e)
		default:
			return nil, store.Because(store.ErrInput, "there is more than one listing in it")
		}
	}
}

// Pool puts sets together.
func Pool(sets ...Set) Set {
	out := Set{Items: map[store.Fingerprint]Item{}}
	for _, s := range sets {
		for f, item := range s.Items {
			if item.set {
				out.Add(f, item.Label, item.trust, item.CA)
			} else if _, there := out.Items[f]; !there {
				out.Items[f] = item
			}
		}
	}
	return out
}

// ForServers returns what a set trusts for servers, and no more: what can be
// compared with a list that only says what is trusted. What is distrusted is
// not in it.
func (s Set) ForServers() Set {
	out := Set{Items: map[store.Fingerprint]Item{}}
	for f, item := range s.Items {
		trusted := strings.HasPrefix(item.Trust, "trusted")
		if item.set {
			d := item.trust.For(store.PurposeServerAuth)
			trusted = d == store.Trusted || d == store.Peer
		}
		if trusted {
			out.Add(f, item.Label, store.TrustFor(store.Trusted, store.PurposeServerAuth), item.CA)
		}
	}
	return out
}

// Set returns the roots of a programme.
func (p *Programme) Set() Set {
	out := Set{Items: map[store.Fingerprint]Item{}}
	for f, r := range p.roots {
		out.Add(f, r.Name, store.TrustFor(store.Trusted, store.PurposeServerAuth), true)
	}
	return out
}
