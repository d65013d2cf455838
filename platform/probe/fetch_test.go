package probe_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certtrust/certtrust/platform/probe"
	"github.com/certtrust/certtrust/platform/probe/probetest"
	"github.com/certtrust/certtrust/store/diagnose"
)

var local = netip.MustParseAddr("127.0.0.1")

// web is a server whose paths do what tests want, and that notes what it got.
func web(t *testing.T) (*httptest.Server, func() []*http.Request) {
	t.Helper()
	var mu sync.Mutex
	var got []*http.Request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		mu.Lock()
		got = append(got, r)
		mu.Unlock()
		var n int
		switch {
		case r.URL.Path == "/hang":
			<-r.Context().Done()
		case r.URL.Path == "/empty":
		case sscan(r.URL.Path, "/size/%d", &n):
			_, _ = w.Write(make([]byte, n))
		case sscan(r.URL.Path, "/status/%d", &n):
			w.WriteHeader(n)
		case sscan(r.URL.Path, "/hops/%d", &n) && n > 0:
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
			http.Redirect(w, r, fmt.Sprintf("/hops/%d", n-1), http.StatusTemporaryRedirect)
		case r.URL.Path == "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case r.URL.Path == "/to":
			w.Header().Set("Location", r.URL.RawQuery)
			w.WriteHeader(http.StatusFound)
		default:
			fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, body)
		}
	}))
	t.Cleanup(s.Close)
	return s, func() []*http.Request {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(got)
	}
}

func sscan(s, format string, n *int) bool { _, err := fmt.Sscanf(s, format, n); return err == nil }

func reasonOf(err error) probe.Reason {
	var f *probe.FetchError
	if errors.As(err, &f) {
		return f.Reason
	}
	if err != nil {
		return "untyped"
	}
	return ""
}

func TestFetch(t *testing.T) {
	t.Parallel()
	s, _ := web(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, c := range []struct {
		url  string // from / on: of the server
		want probe.Reason
		body string
	}{
		{"/a", "", "GET /a "},
		{"/empty", "", ""},
		{"/a#fragment", "", "GET /a "},
		{"/size/65536", "", strings.Repeat("\x00", 65536)},
		{"/size/65537", probe.TooLarge, ""},
		{"/size/5000000", probe.TooLarge, ""},
		{"/status/404", probe.BadStatus, ""},
		{"/status/204", probe.BadStatus, ""},
		{"/status/302", probe.BadStatus, ""},
		{"/hops/3", "", "GET /hops/0 "},
		{"/hops/4", probe.Redirects, ""},
		{"/loop", probe.Redirects, ""},
		{"/to?http://169.254.169.254/latest", probe.BadAddress, ""},
		{"/to?http://[fd00:ec2::254]/latest", probe.BadAddress, ""},
		{"/to?http://[::ffff:169.254.169.254]/latest", probe.BadAddress, ""},
		{"/to?http://[64:ff9b::a9fe:a9fe]/latest", probe.BadAddress, ""},
		{"/to?http://0.0.0.0/", probe.BadAddress, ""},
		{"/to?http://224.0.0.1/", probe.BadAddress, ""},
		{"/to?http://[fe80::1]/", probe.BadAddress, ""},
		{"/to?https://127.0.0.1/", probe.BadScheme, ""},
		{"/to?file:///etc/passwd", probe.BadScheme, ""},
		{"/to?http://%zz/", probe.BadURL, ""},
		{"file:///etc/passwd", probe.BadScheme, ""},
		{"ldap://127.0.0.1/", probe.BadScheme, ""},
		{"/etc/passwd", "", "GET /etc/passwd "},
		{"http:///x", probe.BadURL, ""},
		{"://", probe.BadURL, ""},
		{"http://" + strings.Repeat("x", 5000), probe.BadURL, ""},
		{"http://" + closed.Addr().String() + "/", probe.Unreachable, ""},
		{"http://no-such-name.invalid/", probe.Unreachable, ""},
	} {
		url := c.url
		if strings.HasPrefix(url, "/") {
			url = s.URL + url
		}
		f := probe.NewFetcher(probe.FetchOptions{Target: local, Resolve: func(_ context.Context, name string) ([]netip.Addr, error) {
			return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
		}})
		got, err := f.Fetch(t.Context(), diagnose.Request{URL: url})
		if reasonOf(err) != c.want || err == nil && string(got.Body) != c.body {
			t.Errorf("%.80s: %v, %.80q", c.url, err, got.Body)
		}
		if err == nil && (time.Since(got.Date) > time.Minute || got.Date.IsZero()) {
			t.Errorf("%s: date %v", c.url, got.Date)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("%.80s: a long error: %d bytes", c.url, len(err.Error()))
		}
	}
}

// Nothing that tells who asks leaves, not even what a certificate or a server
// says should.
func TestFetchSaysNothing(t *testing.T) {
	t.Parallel()
	s, requests := web(t)
	f := probe.NewFetcher(probe.FetchOptions{Target: local})
	u := strings.Replace(s.URL, "http://", "http://user:secret@", 1) + "/hops/2"
	got, err := f.Fetch(t.Context(), diagnose.Request{URL: u, Body: []byte("question"), Accept: "application/ocsp-request"})
	if err != nil || string(got.Body) != "POST /hops/0 question" {
		t.Fatalf("%q, %v", got.Body, err)
	}
	if n := len(requests()); n != 3 {
		t.Errorf("%d requests", n)
	}
	for _, r := range requests() {
		for _, h := range []string{"Cookie", "Authorization", "Referer", "Proxy-Authorization", "Accept-Encoding"} {
			if r.Header.Get(h) != "" {
				t.Errorf("%s: %s", h, r.Header.Get(h))
			}
		}
		if r.Header.Get("Content-Type") != "application/ocsp-request" || r.UserAgent() != "certtrust" {
			t.Errorf("%v", r.Header)
		}
	}
}

func TestFetchBudget(t *testing.T) {
	t.Parallel()
	s, requests := web(t)
	f := probe.NewFetcher(probe.FetchOptions{Target: local})
	var wait sync.WaitGroup
	for i := range 16 { // each of four addresses by four at once
		wait.Go(func() {
			if got, err := f.Fetch(t.Context(), diagnose.Request{URL: fmt.Sprintf("%s/%d", s.URL, i%4)}); err != nil || len(got.Body) == 0 {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	wait.Wait()
	if n := len(requests()); n != 4 {
		t.Errorf("%d requests for 4 addresses", n)
	}
	for i := range 10 {
		_, err := f.Fetch(t.Context(), diagnose.Request{URL: fmt.Sprintf("%s/more/%d", s.URL, i)})
		if want := map[bool]probe.Reason{true: probe.Budget}[i >= 4]; reasonOf(err) != want {
			t.Errorf("%d more: %v", i, err)
		}
	}
	if n := len(requests()); n != probe.MaxFetches {
		t.Errorf("%d requests", n)
	}
	if _, err := f.Fetch(t.Context(), diagnose.Request{URL: s.URL + "/1"}); err != nil {
		t.Errorf("what is known is not told: %v", err)
	}
}

func TestFetchContext(t *testing.T) {
	t.Parallel()
	s, _ := web(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := probe.NewFetcher(probe.FetchOptions{Target: local}).Fetch(ctx, diagnose.Request{URL: s.URL + "/hang"})
	if reasonOf(err) != probe.TimedOut || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 20*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

// A name is checked by what is connected to: an answer of the name server that
// changes is no way round, and of several addresses only good ones are used.
func TestFetchRebinding(t *testing.T) {
	t.Parallel()
	s, requests := web(t)
	public := netip.MustParseAddr("198.41.0.4")
	for name, c := range map[string]struct {
		target  netip.Addr
		answers [][]netip.Addr
		want    probe.Reason
		dialled string
	}{
		"loopback":              {public, [][]netip.Addr{{local}}, probe.BadAddress, ""},
		"unknown target":        {netip.Addr{}, [][]netip.Addr{{local}}, probe.BadAddress, ""},
		"private for public":    {public, [][]netip.Addr{{netip.MustParseAddr("10.0.0.1")}}, probe.BadAddress, ""},
		"private for private":   {netip.MustParseAddr("192.168.1.1"), [][]netip.Addr{{netip.MustParseAddr("10.0.0.1")}}, "", "10.0.0.1:80"},
		"public for private":    {netip.MustParseAddr("192.168.1.1"), [][]netip.Addr{{public}}, "", "198.41.0.4:80"},
		"public, then loopback": {public, [][]netip.Addr{{public}, {local}}, "", "198.41.0.4:80"},
		"one of both":           {public, [][]netip.Addr{{local, public}}, "", "198.41.0.4:80"},
		"this machine":          {local, [][]netip.Addr{{local}}, "", "127.0.0.1:80"},
		"other interface":       {public, [][]netip.Addr{{netip.MustParseAddr("::1")}}, probe.BadAddress, ""},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(requests())
			var dialled []string
			lookups := 0
			f := probe.NewFetcher(probe.FetchOptions{Target: c.target,
				Resolve: func(context.Context, string) ([]netip.Addr, error) {
					lookups++
					return c.answers[min(lookups, len(c.answers))-1], nil
				},
				Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
					dialled = append(dialled, address)
					return new(net.Dialer).DialContext(ctx, network, s.Listener.Addr().String())
				}})
			_, err := f.Fetch(t.Context(), diagnose.Request{URL: "http://rebind.test/x"})
			if reasonOf(err) != c.want || strings.Join(dialled, " ") != c.dialled || lookups > 1 {
				t.Errorf("%v, dialled %q, %d lookups", err, dialled, lookups)
			}
			if c.want != "" && len(requests()) != before {
				t.Error("a request was made")
			}
		})
	}
}

// A proxy is asked for what is public, and for nothing else.
func TestFetchThroughProxy(t *testing.T) {
	t.Parallel()
	proxy, requests := web(t)
	public := netip.MustParseAddr("198.41.0.4")
	for _, c := range []struct {
		url  string
		want probe.Reason
	}{
		{"http://known.test/a", ""},
		{"http://only.the.proxy.knows/a", ""},
		{"http://198.41.0.4/a", ""},
		{"http://inner.test/a", probe.BadAddress},
		{"http://10.0.0.1/a", probe.BadAddress},
		{"http://127.0.0.1/a", probe.BadAddress},
		{"http://169.254.169.254/a", probe.BadAddress},
		{"http://metadata.google.internal/a", probe.BadAddress},
		{"http://intranet/a", probe.BadAddress},
		{"http://localhost/a", probe.BadAddress},
	} {
		before := len(requests())
		f := probe.NewFetcher(probe.FetchOptions{Proxy: proxy.Listener.Addr().String(), Target: public,
			Resolve: func(_ context.Context, name string) ([]netip.Addr, error) {
				switch name {
				case "known.test":
					return []netip.Addr{public}, nil
				case "inner.test":
					return []netip.Addr{public, netip.MustParseAddr("192.168.0.1")}, nil
				}
				return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
			}})
		_, err := f.Fetch(t.Context(), diagnose.Request{URL: c.url})
		if reasonOf(err) != c.want {
			t.Errorf("%s: %v", c.url, err)
		}
		if got := len(requests()) - before; (got == 1) != (c.want == "") {
			t.Errorf("%s: the proxy was asked %d times", c.url, got)
		}
	}
}

// The addresses of issuers in the table's certificates that attack the one who
// follows them: each fails for its own reason.
func TestHostileAddresses(t *testing.T) {
	t.Parallel()
	want := map[string]probe.Reason{
		"aia-404": probe.BadStatus, "aia-garbage": "", "aia-empty": "", "aia-huge": probe.TooLarge, "aia-hang": probe.TimedOut, "aia-trickle": probe.TimedOut,
		"aia-refused": probe.Unreachable, "aia-redirect-loop": probe.Redirects, "aia-redirects": probe.Redirects, "aia-metadata": probe.BadAddress,
		"aia-schemes": probe.BadScheme, "aia-endless": "", "aia-circle": "", "aia-many": probe.BadStatus,
	}
	for _, c := range probetest.Cases() {
		if !strings.HasPrefix(c.Name, "aia-") {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			s := run(t, c)
			leaf, err := x509.ParseCertificate(s.Sent[0])
			if err != nil {
				t.Fatal(err)
			}
			ctx := t.Context()
			if c.Slow {
				limited, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
				defer cancel()
				ctx = limited
			}
			f := probe.NewFetcher(probe.FetchOptions{Target: local})
			expected, ok := want[c.Name]
			if _, err := f.Fetch(ctx, diagnose.Request{URL: leaf.IssuingCertificateURL[0]}); !ok || reasonOf(err) != expected {
				t.Errorf("%v, want %q", err, expected)
			}
			// Following what comes ends, too.
			urls := leaf.IssuingCertificateURL
			for n := 0; len(urls) > 0; n++ {
				if n > 200 {
					t.Fatal("no end")
				}
				got, err := f.Fetch(ctx, diagnose.Request{URL: urls[0]})
				urls = urls[1:]
				if next, bad := x509.ParseCertificate(got.Body); err == nil && bad == nil && f != nil && n < 50 {
					urls = append(urls, next.IssuingCertificateURL...)
				}
			}
			total := 0
			for _, hits := range s.Hits() {
				total += hits
			}
			if total > probe.MaxFetches*(probe.MaxRedirects+1) {
				t.Errorf("%d requests", total)
			}
		})
	}
}

func TestTargetAddr(t *testing.T) {
	for address, want := range map[string]netip.Addr{"127.0.0.1:443": local, "[::ffff:127.0.0.1]:443": local, "": {}, "name:443": {}} {
		if got := probe.TargetAddr(&diagnose.Capture{Address: address}); got != want {
			t.Errorf("%q: %v", address, got)
		}
	}
	if got := probe.TargetAddr(&diagnose.Capture{Address: "127.0.0.1:443", Target: diagnose.Target{Proxy: "p:1"}}); got.IsValid() {
		t.Errorf("through a proxy: %v", got)
	}
}
