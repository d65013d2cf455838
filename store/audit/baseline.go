package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/certtrust/certtrust/store"
)

// BaselineSchema is what a baseline says that it is.
const BaselineSchema = "certtrust.baseline/v1"

// Baseline is a state that is known: what is as it was then is not told again.
type Baseline struct {
	Schema string          `json:"schema"`
	Time   time.Time       `json:"time"`
	Stores []BaselineStore `json:"stores"`
	// Findings are those that there were.
	Findings []BaselineFinding `json:"findings"`
	// Accepted are those that somebody has answered for.
	Accepted []Acceptance `json:"accepted"`
}

// BaselineStore is what a store trusted or distrusted.
type BaselineStore struct {
	ID      store.ID        `json:"id"`
	Entries []BaselineEntry `json:"entries"`
}

// BaselineEntry is a certificate, and how it was taken.
type BaselineEntry struct {
	SHA256 store.Fingerprint `json:"sha256"`
	Trust  string            `json:"trust"`
	Label  string            `json:"label" jsonschema:"untrusted text"`
}

// BaselineFinding is a finding that is known. All but the key is for people.
type BaselineFinding struct {
	Key   string   `json:"key"`
	ID    string   `json:"id"`
	Store store.ID `json:"store,omitempty"`
	Title string   `json:"title"`
}

// Acceptance is somebody's decision to live with a finding.
type Acceptance struct {
	Key    string `json:"key"`
	Reason string `json:"reason"`
	By     string `json:"by"`
	// Until is the last day on which it holds (2006-01-02); "" = for good.
	Until string `json:"until,omitempty"`
}

// NewBaseline returns the present state as a baseline. What was accepted in an
// older one stays so.
func NewBaseline(stores []Store, findings []Finding, old *Baseline, now time.Time) *Baseline {
	b := &Baseline{Schema: BaselineSchema, Time: now.UTC().Truncate(time.Second)}
	for _, s := range stores {
		out := BaselineStore{ID: s.Info.ID}
		for f, item := range NewSet(s.Entries).Items {
			out.Entries = append(out.Entries, BaselineEntry{f, item.Trust, item.Label})
		}
		slices.SortFunc(out.Entries, func(a, b BaselineEntry) int { return bytes.Compare(a.SHA256[:], b.SHA256[:]) })
		b.Stores = append(b.Stores, out)
	}
	slices.SortFunc(b.Stores, func(x, y BaselineStore) int { return strings.Compare(string(x.ID), string(y.ID)) })
	for _, f := range findings {
		b.Findings = append(b.Findings, BaselineFinding{f.Key, f.ID, f.Store, f.Title})
	}
	slices.SortFunc(b.Findings, func(x, y BaselineFinding) int {
		return strings.Compare(x.ID+string(x.Store)+x.Key, y.ID+string(y.Store)+y.Key)
	})
	if old != nil {
		b.Accepted = slices.Clone(old.Accepted)
	}
	return b
}

// ParseBaseline reads a baseline.
func ParseBaseline(data []byte) (*Baseline, error) {
	b := new(Baseline)
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	if err := d.Decode(b); err != nil {
		return nil, store.Because(store.ErrInput, "it is no baseline: %w", err)
	}
	if b.Schema != BaselineSchema {
		return nil, store.Because(store.ErrInput, "it is no baseline: its schema is \"%s\", and not %s", store.Printable(b.Schema), BaselineSchema)
	}
	for _, a := range b.Accepted {
		if _, err := a.end(); err != nil {
			return nil, store.Because(store.ErrInput, "the acceptance of %s: %w", store.Printable(short(a.Key)), err)
		}
		if a.Reason == "" || a.By == "" {
			return nil, store.Because(store.ErrInput, "the acceptance of %s lacks a reason, or who is answerable for it", store.Printable(short(a.Key)))
		}
	}
	return b, nil
}

func short(key string) string { return key[:min(len(key), 16)] }

// end returns when an acceptance ends, zero = never.
func (a Acceptance) end() (time.Time, error) {
	if a.Until == "" {
		return time.Time{}, nil
	}
	day, err := time.Parse(time.DateOnly, a.Until)
	if err != nil {
		return time.Time{}, fmt.Errorf("\"%s\" is no day such as 2027-06-30", store.Printable(a.Until))
	}
	return day.AddDate(0, 0, 1), nil
}

// Holds reports whether an acceptance still holds.
func (a Acceptance) Holds(now time.Time) bool {
	end, err := a.end()
	return err == nil && (end.IsZero() || now.Before(end))
}

// Mark tells the findings apart: new ones, those that are in the baseline, and
// those that somebody has accepted. An acceptance that has ended is told of in
// the evidence, and its finding is new again.
func (b *Baseline) Mark(findings []Finding, now time.Time) {
	known := map[string]bool{}
	for _, f := range b.Findings {
		known[f.Key] = true
	}
	for i := range findings {
		f := &findings[i]
		if known[f.Key] {
			f.State = Known
		}
		for _, a := range b.Accepted {
			if a.Key != f.Key {
				continue
			}
			if a.Holds(now) {
				f.State = Accepted
				f.Accepted = &Acceptance{a.Key, store.Printable(a.Reason), store.Printable(a.By), a.Until}
			} else {
				f.State = New
				f.Evidence = append(slices.Clip(f.Evidence), fmt.Sprintf("it was accepted by %s until %s: %s", store.Printable(a.By), a.Until, store.Printable(a.Reason)))
			}
		}
	}
}

// Accept adds an acceptance, in the place of an older one of the same finding.
func (b *Baseline) Accept(a Acceptance) {
	b.Accepted = slices.DeleteFunc(b.Accepted, func(o Acceptance) bool { return o.Key == a.Key })
	b.Accepted = append(b.Accepted, a)
	slices.SortFunc(b.Accepted, func(x, y Acceptance) int { return strings.Compare(x.Key, y.Key) })
}

// Drift tells what has changed in the stores since.
func (b *Baseline) Drift(stores []Store) []Difference {
	var out []Difference
	for _, s := range stores {
		i := slices.IndexFunc(b.Stores, func(o BaselineStore) bool { return o.ID == s.Info.ID })
		if i < 0 {
			continue // a new store: its findings are new
		}
		out = append(out, Compare(s.Info.ID, b.Stores[i].Set(), NewSet(s.Entries))...)
	}
	return out
}

// Set returns what the store trusted.
func (s BaselineStore) Set() Set {
	out := Set{Items: map[store.Fingerprint]Item{}}
	for _, e := range s.Entries {
		out.Items[e.SHA256] = Item{Label: e.Label, Trust: e.Trust}
	}
	return out
}
