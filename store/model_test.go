package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/certtrust/certtrust/store"
)

func TestParseFingerprintPrefix(t *testing.T) {
	full := store.FingerprintOf([]byte("x")).String()
	var colons []string
	for i := 0; i < len(full); i += 2 {
		colons = append(colons, strings.ToUpper(full[i:i+2]))
	}
	printed := strings.Join(colons, ":")
	tests := []struct{ in, want, err string }{
		{full, full, ""},
		{strings.ToUpper(full), full, ""},
		{printed, full, ""},
		{strings.Join(colons, " "), full, ""},
		{" " + full + "\n", full, ""},
		{"sha256:" + full, full, ""},
		{"SHA256: " + printed, full, ""},
		{"SHA-256:" + full, full, ""},
		{"sha256 Fingerprint=" + printed, full, ""},
		{"SHA256 Fingerprint: " + printed, full, ""},
		{"abcdef01", "abcdef01", ""},
		{"ABCDEF012", "abcdef012", ""},
		{"AB:CD:EF:01", "abcdef01", ""},
		{"abcdef0", "", "8 to 64 hex digits"},
		{"", "", "8 to 64 hex digits"},
		{"sha256:", "", "8 to 64 hex digits"},
		{full + "0", "", "8 to 64 hex digits"},
		{full[:40], "", "SHA-1"},
		{"SHA1 Fingerprint=" + printed[:59], "", "something other than hex digits"},
		{"ca.pem", "", "something other than hex digits"},
		{"\x1b[2Jabcdef01", "", `\u001b`},
	}
	for _, tt := range tests {
		got, err := store.ParseFingerprintPrefix(tt.in)
		if string(got) != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q: got %q, %v; want %q, %q", tt.in, got, err, tt.want, tt.err)
		}
	}
}

func TestFingerprint(t *testing.T) {
	f := store.FingerprintOf([]byte("x"))
	const hex = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
	if f.String() != hex || f.Short() != hex[:16] || f.IsZero() || !(store.Fingerprint{}).IsZero() {
		t.Errorf("%v %s", f, f.Short())
	}
	for _, tt := range []struct {
		prefix        string
		matches, full bool
	}{
		{hex, true, true}, {hex[:8], true, false}, {hex[:9], true, false}, {"2d711643", false, false},
		{hex[:63] + "2", false, true},
	} {
		p := store.FingerprintPrefix(tt.prefix)
		if p.Matches(f) != tt.matches || p.Full() != tt.full {
			t.Errorf("%s: matches %v, full %v", p, p.Matches(f), p.Full())
		}
	}
	data, err := json.Marshal(map[string]store.Fingerprint{"a": f})
	if err != nil || string(data) != `{"a":"`+hex+`"}` {
		t.Errorf("%s %v", data, err)
	}
	var back map[string]store.Fingerprint
	if err := json.Unmarshal(data, &back); err != nil || back["a"] != f {
		t.Errorf("%v %v", back, err)
	}
	for _, bad := range []string{"", hex[:62], hex[:63], hex + "00", "zz" + hex[2:]} {
		if err := new(store.Fingerprint).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is taken for a fingerprint", bad)
		}
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "",
		"plain text, \"ü\" 名前 😀": "plain text, \"ü\" 名前 😀",
		"a\x1b[31mb":             `a\u001b[31mb`,
		"a\nb\rc\td":             `a\nb\rc\td`,
		"a\x00\x7f\u0085":        `a\u0000\u007f\u0085`,
		"abc\u202edef":           `abc\u202edef`,
		"\u2066x\u2069\u200f":    `\u2066x\u2069\u200f`,
		"zero\u200bwidth\ufeff":  `zero\u200bwidth\ufeff`,
		"line\u2028para\u2029":   `line\u2028para\u2029`,
		"no\u00a0break":          `no\u00a0break`,
		"\xff\xfe":               `\xff\xfe`,
		"\ufffd":                 `\ufffd`,
		`back\slash`:             `back\\slash`,
		"tag\U000e0041":          `tag\U000e0041`,
	} {
		if got := store.Printable(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("a\x1b[31m\u202e\xff\\")
	f.Fuzz(func(t *testing.T, s string) {
		out := store.Printable(s)
		if !utf8.ValidString(out) || strings.ContainsFunc(out, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) {
			t.Errorf("%q gives %q", s, out)
		}
		if !strings.Contains(s, `\`) && !strings.Contains(out, `\`) && s != out {
			t.Errorf("%q became %q", s, out)
		}
	})
}

var (
	anyTrusted    = store.TrustFor(store.Trusted, store.PurposeAny)
	serverTrusted = store.TrustFor(store.Trusted, store.PurposeServerAuth)
)

func TestPurposes(t *testing.T) {
	for _, p := range store.NamedPurposes() {
		if got, err := store.ParsePurpose(string(p)); got != p || err != nil {
			t.Errorf("%s: %s, %v", p, got, err)
		}
	}
	for in, want := range map[string]store.Purpose{
		"1.3.6.1.5.5.7.3.1": store.PurposeServerAuth, "2.5.29.37.0": store.PurposeAny, "1.2.3": "1.2.3",
		"": "", "tls": "", "1.2": "", "1..2": "", "1.2.x": "", "1.2.-3": "", "Server-Auth": "", "1.2.99999999999": "",
	} {
		got, err := store.ParsePurpose(in)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: got %q, %v; want %q", in, got, err, want)
		}
	}
	if p := store.PurposeOfOID([]int{1, 3, 6, 1, 5, 5, 7, 3, 4}); p != store.PurposeEmail {
		t.Error(p)
	}
	if p := store.PurposeOfOID([]int{1, 2, 3}); p != "1.2.3" {
		t.Error(p)
	}
}

func TestTrustFor(t *testing.T) {
	trust := store.Trust{
		{Purpose: store.PurposeAny, Decision: store.Trusted, Hosts: []string{"a.example"}},
		{Purpose: store.PurposeEmail, Decision: store.Distrusted},
		{Purpose: store.PurposeCodeSigning, Decision: store.Unspecified},
	}
	for p, want := range map[store.Purpose]store.Decision{
		store.PurposeAny: store.Trusted, store.PurposeServerAuth: store.Trusted, "1.2.3": store.Trusted,
		store.PurposeEmail: store.Distrusted, store.PurposeCodeSigning: store.Unspecified,
	} {
		if got := trust.For(p); got != want {
			t.Errorf("%s: %s, want %s", p, got, want)
		}
	}
	if r := trust.Rule("1.2.3"); r.Purpose != "1.2.3" || len(r.Hosts) != 1 {
		t.Errorf("%+v", r)
	}
	if r := (store.Trust)(nil).Rule(store.PurposeEmail); r.Decision != store.Unspecified || r.Purpose != store.PurposeEmail {
		t.Errorf("%+v", r)
	}
	if !trust.Has(store.Distrusted) || trust.Has(store.Peer) {
		t.Error("Has")
	}
}

func TestTrustNormal(t *testing.T) {
	server, email, any := store.PurposeServerAuth, store.PurposeEmail, store.PurposeAny
	tests := []struct {
		name     string
		in, want store.Trust
	}{
		{"none", nil, nil},
		{"unspecified", store.TrustFor(store.Unspecified, any, server), nil},
		{"sorted", store.TrustFor(store.Trusted, server, email), store.TrustFor(store.Trusted, email, server)},
		{"general first", append(store.TrustFor(store.Distrusted, email), anyTrusted...), append(anyTrusted, store.Rule{Purpose: email, Decision: store.Distrusted})},
		{"the first counts", append(store.TrustFor(store.Peer, server), serverTrusted...), store.TrustFor(store.Peer, server)},
		{"follows from the general", append(store.TrustFor(store.Trusted, server, email), anyTrusted...), anyTrusted},
		{"an exception", append(store.TrustFor(store.Unspecified, email), anyTrusted...), append(anyTrusted, store.Rule{Purpose: email, Decision: store.Unspecified})},
		{"general unspecified", append(store.TrustFor(store.Unspecified, any), serverTrusted...), serverTrusted},
		{"hosts sorted", store.Trust{{Purpose: server, Decision: store.Trusted, Hosts: []string{"b", "a"}}}, store.Trust{{Purpose: server, Decision: store.Trusted, Hosts: []string{"a", "b"}}}},
		{"hosts differ", append(store.Trust{{Purpose: server, Decision: store.Trusted, Hosts: []string{"a"}}}, anyTrusted...), append(anyTrusted, store.Rule{Purpose: server, Decision: store.Trusted, Hosts: []string{"a"}})},
		{"date differs", append(store.Trust{{Purpose: server, Decision: store.Trusted, DistrustAfter: day(2030)}}, anyTrusted...), append(anyTrusted, store.Rule{Purpose: server, Decision: store.Trusted, DistrustAfter: day(2030)})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := fmt.Sprint(tt.in)
			got := tt.in.Normal()
			if len(got)+len(tt.want) > 0 && !cmp.Equal(got, tt.want) {
				t.Error(cmp.Diff(tt.want, got))
			}
			if again := got.Normal(); len(got)+len(again) > 0 && !cmp.Equal(got, again) {
				t.Error("the normal form is not normal", cmp.Diff(got, again))
			}
			if fmt.Sprint(tt.in) != before {
				t.Error("the input was changed")
			}
			if !tt.in.Equal(got, true) {
				t.Error("it says something else than the input")
			}
		})
	}
}

func TestTrustEqual(t *testing.T) {
	peer := store.TrustFor(store.Peer, store.PurposeServerAuth)
	if peer.Equal(serverTrusted, true) || !peer.Equal(serverTrusted, false) || !serverTrusted.Equal(peer, false) {
		t.Error("peer and trusted are the same for a certificate that is no CA, and only then")
	}
	mixed := append(store.TrustFor(store.Peer, store.PurposeAny), serverTrusted...)
	if !mixed.Equal(anyTrusted, false) || mixed.Equal(anyTrusted, true) {
		t.Error("rules that become the same are one")
	}
	if anyTrusted.Equal(serverTrusted, true) || serverTrusted.Equal(nil, true) || !store.Trust(nil).Equal(store.Trust{}, true) {
		t.Error("different trust is different")
	}
	utc := store.Trust{{Purpose: store.PurposeAny, Decision: store.Trusted, DistrustAfter: day(2030)}}
	zoned := store.Trust{{Purpose: store.PurposeAny, Decision: store.Trusted, DistrustAfter: day(2030).In(time.FixedZone("x", 3600))}}
	if !utc.Equal(zoned, true) || utc.Equal(anyTrusted, true) {
		t.Error("times are compared as times")
	}
}

func TestTrustWith(t *testing.T) {
	server, email, any := store.PurposeServerAuth, store.PurposeEmail, store.PurposeAny
	tests := []struct {
		name       string
		have, want store.Trust
		exact      bool
		result     store.Trust
	}{
		{"added", store.TrustFor(store.Distrusted, email), serverTrusted, false, store.Trust{{Purpose: email, Decision: store.Distrusted}, {Purpose: server, Decision: store.Trusted}}},
		{"exact", store.TrustFor(store.Distrusted, email), serverTrusted, true, serverTrusted},
		{"replaced", store.TrustFor(store.Distrusted, server), serverTrusted, false, serverTrusted},
		{"withdrawn", serverTrusted, store.TrustFor(store.Unspecified, server), false, nil},
		{"general replaces all", store.TrustFor(store.Distrusted, server, email), anyTrusted, false, anyTrusted},
		{"exception from the general", anyTrusted, store.TrustFor(store.Distrusted, email), false, store.Trust{{Purpose: any, Decision: store.Trusted}, {Purpose: email, Decision: store.Distrusted}}},
		{"exception of unspecified", anyTrusted, store.TrustFor(store.Unspecified, email), false, store.Trust{{Purpose: any, Decision: store.Trusted}, {Purpose: email, Decision: store.Unspecified}}},
		{"nothing wanted", serverTrusted, nil, false, serverTrusted},
		{"nothing wanted, exactly", serverTrusted, nil, true, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := fmt.Sprint(tt.have, tt.want)
			got := tt.have.With(tt.want, tt.exact)
			if len(got)+len(tt.result) > 0 && !cmp.Equal(got, tt.result) {
				t.Error(cmp.Diff(tt.result, got))
			}
			if again := got.With(tt.want, tt.exact); !again.Equal(got, true) {
				t.Error("the second time it is something else")
			}
			if fmt.Sprint(tt.have, tt.want) != before {
				t.Error("the input was changed")
			}
		})
	}
}

// TestTrustJSON: "trusted for nothing" and "as it was" must stay different.
func TestTrustJSON(t *testing.T) {
	for _, trust := range []store.Trust{store.Trust(nil).Normal(), store.Trust(nil).With(nil, false), anyTrusted.With(nil, true), anyTrusted, {{Purpose: store.PurposeAny, Decision: store.Trusted, DistrustAfter: day(2030), Hosts: []string{"a"}}}} {
		data, err := json.Marshal(store.Change{Trust: &trust})
		if err != nil {
			t.Fatal(err)
		}
		var back store.Change
		if err := json.Unmarshal(data, &back); err != nil || back.Trust == nil || !back.Trust.Equal(trust, true) {
			t.Errorf("%s: %v, %v", data, back.Trust, err)
		}
	}
	if data, err := json.Marshal(store.Change{}); err != nil || strings.Contains(string(data), "trust") {
		t.Errorf("%s %v", data, err)
	}
	if data, err := json.Marshal(store.State{}); err != nil || string(data) != `{"present":false}` {
		t.Errorf("%s %v", data, err)
	}
}

func TestTrustString(t *testing.T) {
	for want, trust := range map[string]store.Trust{
		"":             store.TrustFor(store.Unspecified, store.PurposeAny),
		"trusted: any": anyTrusted,
		"trusted: server-auth; distrusted: email":              {{Purpose: store.PurposeEmail, Decision: store.Distrusted}, {Purpose: store.PurposeServerAuth, Decision: store.Trusted}},
		`peer: any only for a b\u202e if issued by 2030-01-01`: {{Purpose: store.PurposeAny, Decision: store.Peer, DistrustAfter: day(2030), Hosts: []string{"b\u202e", "a"}}},
	} {
		if got := trust.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	inner := errors.New("the reason")
	err := store.Because(store.ErrLocked, "busy: %w", inner)
	if err.Error() != "busy: the reason" || !errors.Is(err, store.ErrLocked) || !errors.Is(err, inner) || errors.Is(err, store.ErrStale) {
		t.Errorf("%v", err)
	}
	plain := store.Because(store.ErrInput, "no %s", "certificate")
	if plain.Error() != "no certificate" || !errors.Is(plain, store.ErrInput) {
		t.Errorf("%v", plain)
	}
	full := &store.Error{Op: "read", Store: "java:\x1b", Path: "/a\nb", Err: err, Hint: "try again"}
	if got := full.Error(); got != `read java:\u001b: /a\nb: busy: the reason` {
		t.Error(got)
	}
	for want, e := range map[string]*store.Error{
		"read: the reason":     {Op: "read", Err: inner},
		"the reason":           {Err: inner},
		"java:x: the reason":   {Store: "java:x", Err: inner},
		"read: /a: the reason": {Op: "read", Path: "/a", Err: inner},
		// A place is told once.
		"read java:/a: the reason":       {Op: "read", Store: "java:/a", Path: "/a", Err: inner},
		"read java:/a: /a/b: the reason": {Op: "read", Store: "java:/a", Path: "/a/b", Err: inner},
	} {
		if got := e.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	var as *store.Error
	if !errors.As(fmt.Errorf("more: %w", full), &as) || as != full || !errors.Is(full, store.ErrLocked) {
		t.Error("an Error is not found in a chain")
	}
}

func TestCode(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code string
	}{
		{nil, ""},
		{errors.New("x"), "failed"},
		{store.ErrSecret, "secret"},
		{&store.Error{Err: store.Because(store.ErrManaged, "x")}, "managed"},
		{fmt.Errorf("x: %w", context.Canceled), "interrupted"},
		{context.DeadlineExceeded, "timeout"},
		{errors.Join(store.ErrNotFound, store.ErrPartial), "partial"},
		{store.Because(store.ErrCorrupt, "x: %w", store.ErrPermission), "permission"},
		{&fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission}, "permission"},
	} {
		if got := store.Code(tt.err); got != tt.code {
			t.Errorf("%v is %q, want %q", tt.err, got, tt.code)
		}
	}
	for _, kind := range []error{
		store.ErrPermission, store.ErrUnsupported, store.ErrToolMissing, store.ErrReadOnly, store.ErrManaged, store.ErrConsent, store.ErrSecret,
		store.ErrStale, store.ErrLocked, store.ErrPartial, store.ErrCorrupt, store.ErrConflict, store.ErrNotFound, store.ErrInput, store.ErrFailed,
	} {
		if got := store.Kind(store.Code(kind)); got != kind {
			t.Errorf("%v becomes %v", kind, got)
		}
	}
	if store.Kind("no such code") != store.ErrFailed {
		t.Error("an unknown code is a failure")
	}
}

func TestHint(t *testing.T) {
	hinted := &store.Error{Err: errors.New("x"), Hint: "do this"}
	for want, err := range map[string][]error{
		"":        {nil, errors.New("x"), &store.Error{Err: errors.New("x")}, errors.Join(errors.New("a"), errors.New("b"))},
		"do this": {hinted, fmt.Errorf("x: %w", hinted), &store.Error{Err: hinted}, errors.Join(errors.New("a"), hinted), store.Because(store.ErrInput, "%w", hinted)},
		"first":   {&store.Error{Err: hinted, Hint: "first"}},
	} {
		for _, err := range err {
			if got := store.Hint(err); got != want {
				t.Errorf("%v: got %q, want %q", err, got, want)
			}
		}
	}
}

func TestObstacleAndRefusal(t *testing.T) {
	if err := (*store.Obstacle)(nil).Err("plan", "x:y"); err != nil {
		t.Error(err)
	}
	for kind, want := range map[store.ObstacleKind]error{
		store.NeedsElevation: store.ErrPermission, store.NeedsConsent: store.ErrConsent, store.NeedsSecret: store.ErrSecret, store.ToolMissing: store.ErrToolMissing,
		store.ReadOnly: store.ErrReadOnly, store.Managed: store.ErrManaged, store.Damaged: store.ErrCorrupt,
	} {
		err := (&store.Obstacle{Kind: kind, Text: "100% so", Hint: "h"}).Err("plan", "x:y")
		if !errors.Is(err, want) || err.Error() != "plan x:y: 100% so" || store.Hint(err) != "h" {
			t.Errorf("%s: %v", kind, err)
		}
	}
	f := store.FingerprintOf(nil)
	refused := store.Refuse(f, &store.Error{Err: store.Because(store.ErrConflict, "taken"), Hint: "h"})
	if want := (store.Refused{Fingerprint: f, Code: "conflict", Reason: "taken", Hint: "h"}); refused != want {
		t.Errorf("%+v", refused)
	}
	if err := refused.Err("plan", "x:y"); !errors.Is(err, store.ErrConflict) || err.Error() != "plan x:y: taken" || store.Hint(err) != "h" {
		t.Error(err)
	}
}

func TestID(t *testing.T) {
	for id, want := range map[store.ID]string{"anchors:system": "anchors", "java:/a:b": "java", "nss": "nss", "": "", ":x": ""} {
		if got := id.Backend(); got != want {
			t.Errorf("%q: %q", id, got)
		}
	}
}

func TestPlanDigest(t *testing.T) {
	make := func() store.Plan {
		trust := anyTrusted
		return store.Plan{
			Store: "anchors:system", Basis: "b", Want: []store.Change{{Trust: &trust}},
			Steps: []store.Step{{
				Action: store.ActionAdd, Fingerprint: store.FingerprintOf(nil), Label: "l", Before: &store.State{}, After: &store.State{Present: true, Trust: trust},
				Files: []string{"/a"}, Commands: [][]string{{"update", "x"}}, Elevated: true,
			}},
		}
	}
	// Plans are kept in files and compared by later versions: the digest of
	// the same plan must not change.
	const known = "sha256:378d3e412f22885a4ea6d0e74f8549d9018633897f702aba54315d1254bc932e"
	if got := make().Digest(); got != known {
		t.Errorf("digest is %s, want %s", got, known)
	}
	data, err := json.Marshal(make())
	if err != nil {
		t.Fatal(err)
	}
	var back store.Plan
	if err := json.Unmarshal(data, &back); err != nil || back.Digest() != known {
		t.Errorf("a plan that was kept as JSON has the digest %s (%v)", back.Digest(), err)
	}
	for name, tt := range map[string]struct {
		change          func(p *store.Plan)
		same, sameSteps bool
	}{
		"store":    {func(p *store.Plan) { p.Store = "x" }, false, false},
		"basis":    {func(p *store.Plan) { p.Basis = "x" }, false, true},
		"action":   {func(p *store.Plan) { p.Steps[0].Action = store.ActionRemove }, false, false},
		"file":     {func(p *store.Plan) { p.Steps[0].Files[0] = "/b" }, false, false},
		"command":  {func(p *store.Plan) { p.Steps[0].Commands[0] = []string{"update x"} }, false, false},
		"trust":    {func(p *store.Plan) { p.Steps[0].After.Trust = serverTrusted }, false, false},
		"elevated": {func(p *store.Plan) { p.Steps[0].Elevated = false }, false, true},
		"no steps": {func(p *store.Plan) { p.Steps = nil }, false, false},
		"notices":  {func(p *store.Plan) { p.Notices = []string{"x"} }, true, true},
		"undo":     {func(p *store.Plan) { p.Undo = []store.Change{{Absent: true}} }, true, true},
	} {
		p, q := make(), make()
		tt.change(&q)
		if (q.Digest() == known) != tt.same || p.SameSteps(q) != tt.sameSteps || q.SameSteps(p) != tt.sameSteps {
			t.Errorf("%s: same digest %v, same steps %v", name, q.Digest() == known, p.SameSteps(q))
		}
		if p.Digest() != known {
			t.Errorf("%s: comparing changed the plan", name)
		}
	}
	if p := make(); p.Empty() || !(store.Plan{}).Empty() {
		t.Error("a plan is empty if it has no steps")
	}
}
