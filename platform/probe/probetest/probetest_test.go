package probetest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/certtrust/certtrust/platform/probe/probetest"
	"github.com/certtrust/certtrust/store/diagnose"
)

var code = regexp.MustCompile(`^(trust|chain|time|name|cert|revocation|policy|tls|net|store)\.[a-z0-9_]+$`)

// The table is what others measure themselves by, so it must not have holes.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	cases := probetest.Cases()
	if len(cases) < 60 {
		t.Errorf("%d cases", len(cases))
	}
	for _, c := range cases {
		if seen[c.Name] {
			t.Errorf("%s is there twice", c.Name)
		}
		seen[c.Name] = true
		if c.About == "" || c.Host == "" || c.Verdict == "" {
			t.Errorf("%s: incomplete: %+v", c.Name, c)
		}
		for _, list := range [][]string{c.Want, c.Accept, c.Warn, c.Failure} {
			for _, w := range list {
				if !code.MatchString(w) {
					t.Errorf("%s: %q is no code", c.Name, w)
				}
			}
		}
		if trusted := c.Verdict == diagnose.Trusted; trusted != (len(c.Want) == 0) && len(c.Verdicts) == 0 {
			t.Errorf("%s: %s because of %q", c.Name, c.Verdict, c.Want)
		}
	}
}

func TestStartAll(t *testing.T) {
	for _, c := range probetest.Cases() {
		s, err := probetest.Start(t.Context(), c, probetest.Options{})
		if err != nil {
			t.Error(err)
			continue
		}
		if c.Sent >= 0 && len(s.Sent) != c.Sent {
			t.Errorf("%s: sends %d certificates, and says %d", c.Name, len(s.Sent), c.Sent)
		}
		if !strings.HasPrefix(s.Addr, "127.0.0.1:") || s.Now().IsZero() || len(s.Views()) == 0 {
			t.Errorf("%s: %+v", c.Name, s.Target)
		}
		s.Close()
		s.Close() // twice is once
	}
}

// What the table says of clients is true at least of the one that is here.
func TestGo(t *testing.T) {
	tried := 0
	for _, c := range probetest.Cases() {
		want, known := c.Clients["go"]
		if !known || c.Slow || c.StartTLS != "" || c.Proxy || c.Now != 0 {
			continue
		}
		s, err := probetest.Start(t.Context(), c, probetest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		for _, r := range s.Roots() {
			if r.Parsed() != nil {
				roots.AddCert(r.Parsed())
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: c.Host}}).DialContext(ctx, "tcp", s.Addr)
		if err == nil {
			conn.Close()
		}
		if (err == nil) != want {
			t.Errorf("%s: %v", c.Name, err)
		}
		tried++
		cancel()
		s.Close()
	}
	if tried < 100 {
		t.Errorf("%d cases", tried)
	}
}

func TestUnknown(t *testing.T) {
	if _, ok := probetest.Find("no such case"); ok {
		t.Error("found")
	}
	if _, err := probetest.Start(t.Context(), probetest.Case{Name: "mine"}, probetest.Options{}); err == nil {
		t.Error("started what is not in the table")
	}
}
