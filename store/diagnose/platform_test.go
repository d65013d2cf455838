package diagnose

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// says is a platform with a fixed opinion.
type says struct {
	verdict store.Verdict
	err     error
}

func (s says) Verify(_ context.Context, chain []*store.Cert, purpose store.Purpose, host string, _ time.Time) (store.Verdict, error) {
	if len(chain) == 0 || purpose != store.PurposeServerAuth || host != "" {
		return store.Verdict{}, errors.New("asked for something else")
	}
	return s.verdict, s.err
}

// Where the platform judges for itself, its word counts.
func TestPlatform(t *testing.T) {
	root := storetest.NewCA(t)
	middle := root.Intermediate(t)
	leaf := middle.Issue(t, storetest.NotCA(), storetest.Hosts("a.test"))
	trusts := []store.Entry{{Cert: root.Cert(), Trust: store.TrustFor(store.Trusted, store.PurposeAny)}}
	yes, no := says{verdict: store.Verdict{Trusted: true}}, says{verdict: store.Verdict{Reasons: []string{"a rule\x1b[31m of its own"}}}
	for _, c := range []struct {
		name     string
		entries  []store.Entry
		sent     [][]byte
		platform store.Verifier
		verdict  Verdict
		cause    string
		warning  string
	}{
		{"both trust", trusts, [][]byte{leaf.DER(), middle.DER()}, yes, Trusted, "", ""},
		{"it refuses", trusts, [][]byte{leaf.DER(), middle.DER()}, no, Untrusted, "trust.platform_refuses", ""},
		{"both refuse", nil, [][]byte{leaf.DER(), middle.DER()}, no, Untrusted, "trust.", ""},
		{"it fetches a root", nil, [][]byte{leaf.DER(), middle.DER()}, yes, Trusted, "", ""},
		{"it fetches an intermediate", trusts, [][]byte{leaf.DER()}, yes, Trusted, "", "chain.missing_intermediate"},
		{"it has no word", trusts, [][]byte{leaf.DER(), middle.DER()}, says{err: errors.New("no")}, Trusted, "", ""},
	} {
		d := Diagnose(t.Context(), Input{
			Capture: Capture{Target: Target{Input: "a.test", Host: "a.test"}, Certificates: c.sent}, Now: time.Now(),
			Views: []View{{Info: store.Info{ID: "windows:LocalMachine", Backend: "windows"}, Entries: c.entries, Counts: true, Verifier: c.platform}},
		})
		has := func(list []Cause, code string) bool {
			return slices.ContainsFunc(list, func(x Cause) bool {
				return x.Code == code || code[len(code)-1] == '.' && len(x.Code) > len(code) && x.Code[:len(code)] == code
			})
		}
		if d.Verdict != c.verdict || c.cause == "" && len(d.Causes) > 0 || c.cause != "" && !has(d.Causes, c.cause) || c.warning != "" && !has(d.Warnings, c.warning) {
			t.Errorf("%s: %s because of %+v, warnings %+v", c.name, d.Verdict, d.Causes, d.Warnings)
		}
		if s, asked := d.Stores[0], c.platform.(says).err == nil; (s.Platform != nil) != asked || asked && s.Platform.Trusted != (s.Verdict == "trusted") {
			t.Errorf("%s: the store is %+v", c.name, s)
		}
	}
}
