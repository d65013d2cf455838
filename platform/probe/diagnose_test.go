package probe_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certtrust/certtrust/platform/probe"
	"github.com/certtrust/certtrust/platform/probe/probetest"
	"github.com/certtrust/certtrust/store/diagnose"
)

// What a diagnosis makes of every server of the table: the verdict, the cause
// to act on first, all that are wanted, and what each client does.
func TestDiagnose(t *testing.T) {
	t.Parallel()
	for _, c := range probetest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			s := run(t, c)
			captured := probe.Probe(t.Context(), s.Target, options(c))
			fetcher := probe.NewFetcher(probe.FetchOptions{Target: probe.TargetAddr(captured)})
			in := diagnose.Input{Capture: *captured, Views: s.Views(), Now: s.Now(), Fetcher: fetcher, OS: "linux", Family: "debian"}
			began := time.Now()
			d := diagnose.Diagnose(t.Context(), in)
			if took := time.Since(began); took > 20*time.Second && !c.Slow {
				t.Errorf("took %v", took)
			}
			if d.Verdict != c.Verdict && !slices.Contains(c.Verdicts, d.Verdict) {
				t.Errorf("verdict %q, want %q", d.Verdict, c.Verdict)
			}
			causes, warnings := codesOf(d.Causes), codesOf(d.Warnings)
			for i, want := range c.Want {
				if i == 0 && len(causes) > 0 && slices.Contains(c.Accept, causes[0]) {
					continue // such as a reset, which is how some closed connections look
				}
				if !slices.Contains(causes, want) && !(d.Verdict == diagnose.Trusted && slices.Contains(warnings, want)) {
					t.Errorf("%s is not among the causes", want)
				}
			}
			if len(c.Want) > 0 && len(causes) > 0 && causes[0] != c.Want[0] && !slices.Contains(c.Accept, causes[0]) {
				t.Errorf("the first is %s, want %s", causes[0], c.Want[0])
			}
			for _, want := range c.Warn {
				if !slices.Contains(slices.Concat(causes, warnings), want) {
					t.Errorf("%s is not among the warnings", want)
				}
			}
			for _, v := range d.Clients {
				want, tried := c.Clients[v.ID]
				if tried && v.Accepts != nil && *v.Accepts != want {
					t.Errorf("%s accepts: %t, want %t (%s; %s)", v.ID, *v.Accepts, want, v.Error, v.Why)
				}
				if tried && v.Accepts == nil && want {
					t.Errorf("%s: not told, want %t", v.ID, want)
				}
			}
			if t.Failed() {
				t.Logf("%s: %s\nbecause of %s\nwarnings %s\n%s", d.Verdict, d.Summary, strings.Join(causes, " "), strings.Join(warnings, " "), c.About)
			}
		})
	}
}

func codesOf(list []diagnose.Cause) (out []string) {
	for _, c := range list {
		out = append(out, c.Code)
	}
	return out
}
