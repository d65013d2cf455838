package probe_test

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/certtrust/certtrust/platform/probe"
	"github.com/certtrust/certtrust/platform/probe/probetest"
	"github.com/certtrust/certtrust/store/diagnose"
)

// start runs a case of the table.
func start(t *testing.T, name string) *probetest.Server {
	t.Helper()
	c, ok := probetest.Find(name)
	if !ok {
		t.Fatalf("no case %q", name)
	}
	return run(t, c)
}

func run(t *testing.T, c probetest.Case) *probetest.Server {
	t.Helper()
	s, err := probetest.Start(t.Context(), c, probetest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// options are those of most tests: no name is looked up outside.
func options(c probetest.Case) probe.Options {
	o := probe.Options{Timeout: 8 * time.Second, Resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}}
	if c.Slow {
		o.Timeout = 1500 * time.Millisecond
	}
	return o
}

// What every server of the table sends arrives, and what goes wrong has the
// right name, in bounded time.
func TestCases(t *testing.T) {
	t.Parallel()
	for _, c := range probetest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			if c.Slow {
				t.Parallel()
			}
			s := run(t, c)
			o := options(c)
			began := time.Now()
			got := probe.Probe(t.Context(), s.Target, o)
			if took := time.Since(began); took > o.Timeout+15*time.Second {
				t.Errorf("took %v", took)
			}
			switch {
			case c.Failure == nil && got.Failure != nil:
				t.Errorf("failed: %+v", *got.Failure)
			case c.Failure != nil && got.Failure == nil:
				t.Errorf("no failure, want %q", c.Failure)
			case c.Failure != nil && !slices.Contains(c.Failure, got.Failure.Code):
				t.Errorf("%+v, want %q", *got.Failure, c.Failure)
			case c.Failure != nil && got.Failure.Text == "":
				t.Error("a failure without a text")
			}
			if c.Sent >= 0 && !slices.EqualFunc(got.Certificates, s.Sent, bytes.Equal) {
				t.Errorf("%d certificates, the server sends %d", len(got.Certificates), len(s.Sent))
			}
			if got.Failure == nil {
				if got.TLSVersion == 0 || got.CipherSuite == 0 || got.Address != s.Addr {
					t.Errorf("%#x %#x %q", got.TLSVersion, got.CipherSuite, got.Address)
				}
				if malformed := slices.Contains(slices.Concat(c.Want, c.Warn), "cert.malformed"); s.Target.HTTPS && !malformed && got.HTTPStatus == 0 {
					t.Error("no HTTP status")
				}
			}
		})
	}
}

func probed(t *testing.T, name string, change ...func(*probe.Options)) (*diagnose.Capture, *probetest.Server) {
	t.Helper()
	s := start(t, name)
	o := options(s.Case)
	for _, c := range change {
		c(&o)
	}
	return probe.Probe(t.Context(), s.Target, o), s
}
