package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

func TestBaseline(t *testing.T) {
	root, second := ca(t), ca(t, storetest.CN("Second"))
	first := one(entry(root, byAdmin, all))
	findings := Run(first)
	b := NewBaseline(first.Stores, findings, nil, now)
	data, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if b, err = ParseBaseline(data); err != nil {
		t.Fatal(err)
	}

	later := one(entry(root, byAdmin, store.TrustFor(store.Distrusted, store.PurposeAny)), entry(second, byAdmin, all))
	found := Run(later)
	key := of("prog.not_in_any", found)[0].Key
	b.Accept(Acceptance{Key: key, Reason: "ours", By: "ann", Until: "2027-01-15"})
	b.Mark(found, now)
	if f := of("prog.not_in_any", found)[0]; f.State != Accepted || f.Accepted == nil || f.Accepted.By != "ann" {
		t.Errorf("%+v", f)
	}
	// To the end of its last day, and not longer.
	for at, want := range map[time.Time]State{
		time.Date(2027, 1, 15, 23, 59, 59, 0, time.UTC): Accepted,
		time.Date(2027, 1, 16, 0, 0, 0, 0, time.UTC):    New,
	} {
		found := Run(later)
		b.Mark(found, at)
		if f := of("prog.not_in_any", found)[0]; f.State != want {
			t.Errorf("at %s it is %s", at, f.State)
		}
	}
	same := Run(first)
	b.Mark(same, now)
	for _, f := range same {
		if f.State != Known {
			t.Errorf("%s is %s, though nothing has changed", f.ID, f.State)
		}
	}
	changes := map[string]int{}
	for _, d := range b.Drift(later.Stores) {
		changes[d.Change]++
	}
	if changes[Added] != 1 || changes[Retrusted] != 1 || len(changes) != 2 {
		t.Errorf("drift: %v", changes)
	}
	if d := b.Drift(first.Stores); len(d) > 0 {
		t.Errorf("drift of what has not changed: %v", d)
	}
	again := NewBaseline(later.Stores, found, b, now)
	if len(again.Accepted) != 1 {
		t.Error("a new baseline forgets what was accepted")
	}
}

func TestParseBaselineRefuses(t *testing.T) {
	for _, text := range []string{
		``, `{}`, `[]`, `{"schema":"certtrust.list/v1"}`,
		`{"schema":"certtrust.baseline/v1","accepted":[{"key":"k","reason":"","by":"x"}]}`,
		`{"schema":"certtrust.baseline/v1","accepted":[{"key":"k","reason":"r","by":""}]}`,
		`{"schema":"certtrust.baseline/v1","accepted":[{"key":"k","reason":"r","by":"x","until":"soon"}]}`,
		`{"schema":"certtrust.baseline/v1","stores":[{"id":"x","entries":[{"sha256":"00"}]}]}`,
	} {
		if _, err := ParseBaseline([]byte(text)); !errors.Is(err, store.ErrInput) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestCompare(t *testing.T) {
	root, leaf := ca(t), ca(t, storetest.NotCA(), storetest.Hosts("x.example"))
	set := func(entries ...store.Entry) Set { return NewSet(entries) }
	peer := store.TrustFor(store.Peer, store.PurposeServerAuth)
	for _, test := range []struct {
		name string
		a, b Set
		want string
	}{
		{"the same", set(entry(root, byAdmin, all)), set(entry(root, byVendor, all)), ""},
		{"added", set(), set(entry(root, byAdmin, all)), "added  -> trusted: any"},
		{"removed", set(entry(root, byAdmin, all)), set(), "removed trusted: any -> "},
		{"retrusted", set(entry(root, byAdmin, all)), set(entry(root, byAdmin, servers)), "retrusted trusted: any -> trusted: server-auth"},
		{"a leaf that is trusted is the same as a peer", set(entry(leaf, byAdmin, peer)), set(entry(leaf, byAdmin, servers)), ""},
		{"of two entries the stricter counts", set(entry(root, byAdmin, all), entry(root, byAdmin, store.TrustFor(store.Distrusted, store.PurposeAny))), set(entry(root, byAdmin, all)), "retrusted distrusted: any -> trusted: any"},
		{"untrusted is something else than not there", set(entry(root, byAdmin, nil)), set(entry(root, byAdmin, all)), "retrusted unspecified -> trusted: any"},
	} {
		var got []string
		for _, d := range Compare("", test.a, test.b) {
			got = append(got, fmt.Sprintf("%s %s -> %s", d.Change, d.Before, d.After))
		}
		if strings.Join(got, "; ") != test.want {
			t.Errorf("%s: %q, not %q", test.name, got, test.want)
		}
		if same := test.a.Digest() == test.b.Digest(); same != (test.want == "") && !strings.Contains(test.name, "peer") {
			t.Errorf("%s: the digests are the same: %v", test.name, same)
		}
	}
}

// listingLines writes a listing as list does.
func listingLines(host string, certs []*store.Cert, entries func(i int) (trust, origin string)) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"schema":"certtrust.list/v1","host":%q,"stores":[{"id":"anchors:system","complete":true}]}`+"\n", host)
	for i, c := range certs {
		trust, origin := entries(i)
		if trust == "" {
			continue
		}
		label, _ := json.Marshal(c.Label())
		fmt.Fprintf(&b, `{"schema":"certtrust.entry/v1","sha256":"%s","label":%s,"store":"anchors:system","trust":[{"purpose":"any","decision":"%s"}],"origin":{"by":"%s"},"source":{"kind":"anchor","path":"/\"}{/x"},"problems":[]}`+"\n",
			c.SHA256, label, trust, origin)
	}
	b.WriteString(`{"schema":"certtrust.summary/v1","entries":1}` + "\n")
	return b.Bytes()
}

func TestInventory(t *testing.T) {
	certs := storetest.Many(t, 60)
	v := NewInventory()
	var wait sync.WaitGroup
	// Fifty machines of two sorts, of which two differ.
	for n := range 50 {
		wait.Go(func() {
			text := listingLines(fmt.Sprintf("host%02d", n), certs, func(i int) (string, string) {
				switch {
				case i == 59 && n == 7:
					return "trusted", "admin"
				case i == 59, n%2 == 0 && i >= 29, n%2 == 1 && i < 29:
					return "", ""
				case n == 8 && i == 3:
					return "distrusted", "vendor"
				}
				return "trusted", "vendor"
			})
			if err := v.Read("file", bytes.NewReader(text)); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	prefix, err := store.ParseFingerprintPrefix(certs[3].SHA256.String())
	if err != nil {
		t.Fatal(err)
	}
	r := v.Report([]store.FingerprintPrefix{prefix})
	s := r.Summary
	if s.Machines != 50 || s.Certificates != 60 || s.Groups != 2 || s.Differing != 2 || s.Incomplete != 0 || s.Entries != 25*29+25*30+1 {
		t.Errorf("%+v", s)
	}
	if len(r.Single) != 1 || r.Single[0].SHA256 != certs[59].SHA256 || strings.Join(r.Single[0].Machines, " ") != "host07" || !r.Single[0].Added {
		t.Errorf("single: %+v", r.Single)
	}
	if len(r.Asked) != 1 || r.Asked[0].Trusted != 24 || r.Asked[0].Distrusted != 1 || len(r.Asked[0].Machines) != 25 {
		t.Errorf("asked: %+v", r.Asked)
	}
	if len(r.Differing) != 2 || r.Differing[0].Name != "host07" || len(r.Differing[0].More) != 1 || len(r.Differing[0].Missing) != 0 ||
		r.Differing[1].Name != "host08" || len(r.Differing[1].Missing) != 1 || len(r.Differing[1].More) != 1 || !r.Differing[1].More[0].Distrusted {
		t.Errorf("differing: %+v", r.Differing)
	}
	// What is kept of a machine is what it differs in.
	for _, m := range v.machines {
		if len(m.differs) > 2 {
			t.Errorf("%s is kept with %d items", m.name, len(m.differs))
		}
	}
}

func TestInventoryRefuses(t *testing.T) {
	good := listingLines("a", storetest.Many(t, 2), func(int) (string, string) { return "trusted", "vendor" })
	lines := bytes.SplitAfter(good, []byte("\n"))
	for name, text := range map[string][]byte{
		"nothing":              {},
		"something else":       []byte("hello\n"),
		"another document":     []byte(`{"schema":"certtrust.show/v1"}` + "\n"),
		"no header":            lines[1],
		"a bad fingerprint":    bytes.Replace(good, []byte(`"sha256":"`), []byte(`"sha256":"zz`), 1),
		"a line that is cut":   good[:len(lines[0])+20],
		"a bad trust":          bytes.Replace(good, []byte(`"trust":[`), []byte(`"trust":[3,`), 1),
		"a document, not ours": []byte("{\n \"schema\": \"x\"\n}"),
		"a null":               []byte("null\n"),
	} {
		if err := NewInventory().Read("x", bytes.NewReader(text)); !errors.Is(err, store.ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
	v := NewInventory()
	if err := v.Read("x", bytes.NewReader(bytes.Join(lines[:2], nil))); err != nil {
		t.Fatal(err)
	}
	if r := v.Report(nil); r.Summary.Incomplete != 1 || r.Summary.Machines != 1 {
		t.Errorf("a listing without its last line counts as whole: %+v", r.Summary)
	}
	// Machines of one name are several.
	for range 2 {
		if err := v.Read("y", bytes.NewReader(good)); err != nil {
			t.Fatal(err)
		}
	}
	if r := v.Report(nil); r.Summary.Machines != 3 {
		t.Errorf("%+v", r.Summary)
	}
}

func TestReadListing(t *testing.T) {
	certs := storetest.Many(t, 3)
	text := listingLines("web", certs, func(i int) (string, string) { return "trusted", "vendor" })
	l, err := ReadListing(text)
	if err != nil || l.Host != "web" || len(l.Sets["anchors:system"].Items) != 3 || !l.Complete {
		t.Fatalf("%v %+v", err, l)
	}
	if l, err = ReadListing(text[:bytes.LastIndex(text[:len(text)-1], []byte("\n"))+1]); err != nil || l.Complete {
		t.Errorf("a listing that is cut off is complete: %v", err)
	}
	if _, err := ReadListing(append(bytes.Clone(text), text...)); !errors.Is(err, store.ErrInput) {
		t.Errorf("two listings in one file: %v", err)
	}
	if !IsListing(text) || IsListing([]byte("x")) || IsBaseline(text) {
		t.Error("what is a listing is not recognised, or something else is")
	}
}

func TestReadCCADB(t *testing.T) {
	text := "\ufeffCA Owner,Common Name or Certificate Name,SHA-256 Fingerprint,Trust Bits,Distrust for TLS After Date\n" +
		"\"A, Inc.\",Root A,AA" + strings.Repeat("00", 31) + ",Websites;Email,2026.04.15\n" +
		"B,Root B,BB" + strings.Repeat("00", 31) + ",Email,\n" +
		"C,Root C,broken,Websites,\n"
	p, ok := ReadCCADB("report.csv", []byte(text))
	if !ok || p.Len() != 1 {
		t.Fatalf("%v %+v", ok, p)
	}
	for _, r := range p.roots {
		if r.Name != "Root A" || r.DistrustAfter != time.Date(2026, 4, 15, 0, 0, 0, 0, time.UTC) {
			t.Errorf("%+v", r)
		}
	}
	if _, ok := ReadCCADB("x", []byte("-----BEGIN CERTIFICATE-----\n")); ok {
		t.Error("something else is taken for a report")
	}
}

// FuzzScan: where the scanner takes a line, it gives what encoding/json does.
func FuzzScan(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1}`, ` { "a" : [1,"]",{"}":"\""}] , "b":"\\" } `, `{"a":tru`, `{"a":"\\\""}`, `{"sha256":"x","trust":[]}`, `{"a":1}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		got := map[string]string{}
		ok := scanObject(line, func(key, value []byte) { got[string(key)] = string(value) })
		var want map[string]json.RawMessage
		if json.Unmarshal(line, &want) != nil || want == nil {
			return // it may be taken: what matters is checked when it is used
		}
		if !ok {
			if bytes.Contains(line, []byte(`\`)) {
				return // an escape in a key
			}
			t.Fatalf("%q is refused", line)
		}
		if !json.Valid(line) {
			return
		}
		for key, value := range want {
			if raw, there := got[key]; there && raw != string(value) {
				t.Fatalf("%q: %q is %q, not %q", line, key, raw, value)
			}
		}
	})
}
