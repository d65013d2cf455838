package probe_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/certtrust/certtrust/platform/probe"
	"github.com/certtrust/certtrust/platform/probe/probetest"
	"github.com/certtrust/certtrust/store/diagnose"
)

// covers tells whether a chain's leaf is for a name.
func covers(t *testing.T, chain [][]byte, name string) bool {
	t.Helper()
	if len(chain) == 0 {
		return false
	}
	leaf, err := x509.ParseCertificate(chain[0])
	return err == nil && leaf.VerifyHostname(name) == nil
}

func TestDetails(t *testing.T) {
	t.Parallel()
	for name, check := range map[string]func(t *testing.T, c *diagnose.Capture, s *probetest.Server){
		"good": func(t *testing.T, c *diagnose.Capture, s *probetest.Server) {
			if c.TLSVersion != tls.VersionTLS13 || c.WithoutSNI != nil || c.Staple != nil || c.ClientCertRequested || c.Took <= 0 {
				t.Errorf("%+v", c)
			}
			if d := time.Since(c.HTTPDate); d < -time.Minute || d > time.Minute {
				t.Errorf("date %v", c.HTTPDate)
			}
		},
		"good-clock-lies": func(t *testing.T, c *diagnose.Capture, _ *probetest.Server) {
			if c.HTTPDate.Year() != 2020 {
				t.Errorf("date %v", c.HTTPDate)
			}
		},
		"good-redirect": func(t *testing.T, c *diagnose.Capture, _ *probetest.Server) {
			if c.Redirect != "https://www.other.test/" || c.HTTPStatus != 302 {
				t.Errorf("%d %q", c.HTTPStatus, c.Redirect)
			}
		},
		"good-stapled": func(t *testing.T, c *diagnose.Capture, _ *probetest.Server) {
			if len(c.Staple) == 0 {
				t.Error("no staple")
			}
		},
		"good-client-cert-optional": func(t *testing.T, c *diagnose.Capture, _ *probetest.Server) {
			if !c.ClientCertRequested || len(c.AcceptableCAs) != 1 {
				t.Errorf("requested %v, %d names", c.ClientCertRequested, len(c.AcceptableCAs))
			}
		},
		"client-cert-required": func(t *testing.T, c *diagnose.Capture, _ *probetest.Server) {
			if !c.ClientCertRequested || len(c.AcceptableCAs) != 1 || !c.Failure.HasAlert || c.Failure.Alert != 116 {
				t.Errorf("requested %v, %d names, %+v", c.ClientCertRequested, len(c.AcceptableCAs), c.Failure)
			}
		},
		"vhost-ignores-name": func(t *testing.T, c *diagnose.Capture, s *probetest.Server) {
			if covers(t, c.Certificates, s.Case.Host) || !covers(t, c.WithoutSNI, s.Case.Host) {
				t.Errorf("with a name %d certificates, without %d", len(c.Certificates), len(c.WithoutSNI))
			}
		},
		"default-kubernetes": func(t *testing.T, c *diagnose.Capture, _ *probetest.Server) {
			if len(c.WithoutSNI) != 1 {
				t.Errorf("%d certificates without a name", len(c.WithoutSNI))
			}
		},
		"unknown-name-refused": func(t *testing.T, c *diagnose.Capture, _ *probetest.Server) {
			if !covers(t, c.WithoutSNI, "other.test") || c.Failure.Alert != 112 {
				t.Errorf("%d certificates without a name, %+v", len(c.WithoutSNI), c.Failure)
			}
		},
		"ip-not-in-san": func(t *testing.T, c *diagnose.Capture, _ *probetest.Server) {
			if c.WithoutSNI != nil {
				t.Error("asked again without the name that it was not sent")
			}
		},
		"tls10-only": func(t *testing.T, c *diagnose.Capture, _ *probetest.Server) {
			if c.TLSVersion != tls.VersionTLS10 {
				t.Errorf("%#x", c.TLSVersion)
			}
		},
		"rc4-only": func(t *testing.T, c *diagnose.Capture, _ *probetest.Server) {
			if c.CipherSuite != tls.TLS_RSA_WITH_RC4_128_SHA {
				t.Errorf("%#x", c.CipherSuite)
			}
		},
		"dhe-only": func(t *testing.T, c *diagnose.Capture, _ *probetest.Server) {
			if c.TLSVersion != tls.VersionTLS12 || c.CipherSuite != 0x009e || c.Failure.Alert != 40 {
				t.Errorf("%#x %#x %+v", c.TLSVersion, c.CipherSuite, c.Failure)
			}
		},
		"sslv3-only": func(t *testing.T, c *diagnose.Capture, _ *probetest.Server) {
			if c.TLSVersion != 0x0300 {
				t.Errorf("%#x", c.TLSVersion)
			}
		},
		"alert-unknown-ca": func(t *testing.T, c *diagnose.Capture, _ *probetest.Server) {
			if !c.Failure.HasAlert || c.Failure.Alert != 48 {
				t.Errorf("%+v", c.Failure)
			}
		},
		"portal-redirect": func(t *testing.T, c *diagnose.Capture, _ *probetest.Server) {
			if c.PlainRedirect != "http://login.portal.test/welcome" || !strings.HasPrefix(string(c.Plain), "HTTP/") {
				t.Errorf("%q, %q", c.PlainRedirect, c.Plain)
			}
		},
		"plain-http-redirect": func(t *testing.T, c *diagnose.Capture, _ *probetest.Server) {
			if c.PlainRedirect != "https://plain-http-redirect.certtrust.test/" {
				t.Errorf("%q", c.PlainRedirect)
			}
		},
		"ssh": func(t *testing.T, c *diagnose.Capture, _ *probetest.Server) {
			if string(c.Plain) != "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n" {
				t.Errorf("%q", c.Plain)
			}
		},
		"banner-endless": func(t *testing.T, c *diagnose.Capture, _ *probetest.Server) {
			if len(c.Plain) > 1<<10 {
				t.Errorf("%d bytes kept", len(c.Plain))
			}
		},
		"chain-5mb": func(t *testing.T, c *diagnose.Capture, s *probetest.Server) {
			if n := len(c.Certificates); n == 0 || n > 16 || !covers(t, c.Certificates, s.Case.Host) {
				t.Errorf("%d certificates", n)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, s := probed(t, name)
			if c.Target != s.Target {
				t.Errorf("target %+v", c.Target)
			}
			check(t, c, s)
		})
	}
}

func TestNameModes(t *testing.T) {
	t.Parallel()
	never, _ := probed(t, "vhost-ignores-name", func(o *probe.Options) { o.WithoutSNI = probe.Never })
	if never.WithoutSNI != nil {
		t.Error("asked without a name")
	}
	always, s := probed(t, "good", func(o *probe.Options) { o.WithoutSNI = probe.Always })
	if !covers(t, always.WithoutSNI, s.Case.Host) {
		t.Error("not asked without a name")
	}
}

// dialer connects to one server whatever the address is, except to those that
// fail, and counts.
type dialer struct {
	to    string
	fail  map[string]error
	hang  map[string]bool
	dials atomic.Int32
	read  atomic.Int64
	cut   int // bytes of a connection after which it is closed; 0: never
	flip  int // the byte that is changed; 0: none
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d.dials.Add(1)
	if err := d.fail[address]; err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	if d.hang[address] {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	c, err := new(net.Dialer).DialContext(ctx, "tcp", d.to)
	if err != nil {
		return nil, err
	}
	return &counted{Conn: c, d: d}, nil
}

type counted struct {
	net.Conn
	d *dialer
	n int
}

func (c *counted) Read(b []byte) (int, error) {
	if c.d.cut > 0 {
		if c.n >= c.d.cut {
			return 0, io.EOF
		}
		b = b[:min(len(b), c.d.cut-c.n)]
	}
	n, err := c.Conn.Read(b)
	if at := c.d.flip - 1; at >= c.n && at < c.n+n {
		b[at-c.n] ^= 0xff
	}
	c.n += n
	c.d.read.Add(int64(n))
	return n, err
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	s := start(t, "good")
	six, four := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.1")
	for name, c := range map[string]struct {
		found     []netip.Addr
		lookup    error
		fail      map[string]error
		hang      map[string]bool
		code, hit string
	}{
		"first":            {found: []netip.Addr{six, four}, hit: "[2001:db8::1]:443"},
		"second":           {found: []netip.Addr{six, four}, fail: map[string]error{"[2001:db8::1]:443": syscall.ENETUNREACH}, hit: "192.0.2.1:443"},
		"first hangs":      {found: []netip.Addr{six, four}, hang: map[string]bool{"[2001:db8::1]:443": true}, hit: "192.0.2.1:443"},
		"mapped":           {found: []netip.Addr{netip.MustParseAddr("::ffff:192.0.2.1")}, hit: "192.0.2.1:443"},
		"all refuse":       {found: []netip.Addr{four}, fail: map[string]error{"192.0.2.1:443": syscall.ECONNREFUSED}, code: "net.refused"},
		"reset":            {found: []netip.Addr{four}, fail: map[string]error{"192.0.2.1:443": syscall.ECONNRESET}, code: "net.reset"},
		"unreachable":      {found: []netip.Addr{four}, fail: map[string]error{"192.0.2.1:443": syscall.EHOSTUNREACH}, code: "net.unreachable"},
		"timeout":          {found: []netip.Addr{four}, fail: map[string]error{"192.0.2.1:443": syscall.ETIMEDOUT}, code: "net.timeout"},
		"all hang":         {found: []netip.Addr{four}, hang: map[string]bool{"192.0.2.1:443": true}, code: "net.timeout"},
		"no such name":     {lookup: &net.DNSError{Err: "no such host", IsNotFound: true}, code: "net.dns"},
		"no name server":   {lookup: &net.DNSError{Err: "timeout", IsTimeout: true}, code: "net.dns"},
		"no address":       {code: "net.dns"},
		"something is off": {found: []netip.Addr{four}, fail: map[string]error{"192.0.2.1:443": errors.New("odd")}, code: "net.unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &dialer{to: s.Addr, fail: c.fail, hang: c.hang}
			target := s.Target
			target.Connect, target.Port = "", 443
			got := probe.Probe(t.Context(), target, probe.Options{Timeout: 3 * time.Second, Dial: d.dial,
				Resolve: func(context.Context, string) ([]netip.Addr, error) { return c.found, c.lookup }})
			code := ""
			if got.Failure != nil {
				code = got.Failure.Code
			}
			if code != c.code || c.hit != "" && got.Address != c.hit {
				t.Errorf("%q at %q, want %q at %q", code, got.Address, c.code, c.hit)
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	s := start(t, "silent")
	ctx, cancel := context.WithCancel(t.Context())
	began := time.Now()
	time.AfterFunc(50*time.Millisecond, cancel)
	got := probe.Probe(ctx, s.Target, probe.Options{Timeout: time.Minute})
	if took := time.Since(began); took > 20*time.Second || got.Failure == nil {
		t.Errorf("%v, %+v", took, got.Failure)
	}
}

// A server that closes at any step, or sends one wrong byte, gives a failure or
// certificates, and what is there is what was sent.
func TestEveryStep(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"good", "good-tls12", "negative-serial", "negative-serial-tls12", "good-retry", "starttls-smtp", "starttls-xmpp", "starttls-mysql", "starttls-ldap"} {
		s := start(t, name)
		whole := &dialer{to: s.Addr}
		o := options(s.Case)
		o.Timeout, o.WithoutSNI, o.Dial = 2*time.Second, probe.Never, whole.dial
		if got := probe.Probe(t.Context(), s.Target, o); got.Failure != nil {
			t.Fatalf("%s: %+v", name, got.Failure)
		}
		total := int(whole.read.Load())
		var wait sync.WaitGroup
		room := make(chan bool, 8)
		for at := 1; at < total; at += 127 {
			for _, d := range []*dialer{{to: s.Addr, cut: at}, {to: s.Addr, flip: at}} {
				room <- true
				wait.Go(func() {
					defer func() { <-room }()
					o := o
					o.Dial = d.dial
					got := probe.Probe(t.Context(), s.Target, o)
					if got.Failure == nil && len(got.Certificates) == 0 {
						t.Errorf("%s: at byte %d of %d: neither a failure nor certificates", name, at, total)
					}
					if d.cut > 0 && len(got.Certificates) > 0 && string(got.Certificates[0]) != string(s.Sent[0]) {
						t.Errorf("%s: at byte %d of %d: another leaf", name, at, total)
					}
				})
			}
		}
		wait.Wait()
	}
}

// Whatever a server sends, little of it is read, and not many connections are
// made.
func TestBounds(t *testing.T) {
	t.Parallel()
	for _, c := range probetest.Cases() {
		if !c.Hostile || c.Slow || strings.HasPrefix(c.Name, "aia-") {
			continue
		}
		s := run(t, c)
		d := &dialer{to: s.Addr}
		o := options(c)
		o.Dial = d.dial
		probe.Probe(t.Context(), s.Target, o)
		if dials, read := d.dials.Load(), d.read.Load(); dials > 6 || read > 3<<20 {
			t.Errorf("%s: %d connections, %d bytes", c.Name, dials, read)
		}
	}
}

func TestUnknownProtocol(t *testing.T) {
	s := start(t, "good")
	s.Target.StartTLS = "gopher\x1b[31m"
	got := probe.Probe(t.Context(), s.Target, probe.Options{Timeout: time.Second})
	if got.Failure == nil || got.Failure.Code != "tls.starttls" || strings.Contains(got.Failure.Text, "\x1b") {
		t.Errorf("%+v", got.Failure)
	}
}
