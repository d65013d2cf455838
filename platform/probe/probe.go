// Package probe finds out what a TLS server really sends. It speaks to servers
// that other clients refuse, and keeps what they send even where nothing can
// read it: judging is for others (package diagnose).
//
// Everything is bounded: the time, the number of connections, and the bytes
// that are read from each. Whatever a server does, [Probe] returns.
package probe

import (
	"context"
	"crypto/x509"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/certtrust/certtrust/store/diagnose"
)

// DefaultTimeout is how long a probe takes at most, if nothing else is said.
const DefaultTimeout = 15 * time.Second

// Bounds of one connection.
const (
	maxRead     = 1 << 20 // bytes that are read from it
	maxRecorded = 5 << 16 // bytes of these that are kept: a Certificate message of crypto/tls's limit fits
	maxPlain    = 1 << 10 // bytes of what is not TLS that are kept
	maxHead     = 16 << 10
	maxPartial  = 16 // certificates that are kept of a list that did not come to its end
)

// NameMode says when a server is asked again without a name.
type NameMode int

// The modes.
const (
	IfUseful NameMode = iota // the certificate is for another name or a stand-in, or there is none
	Never
	Always
)

// Options are wishes for a probe. The zero value is fine.
type Options struct {
	Timeout    time.Duration // for all of it; 0 = DefaultTimeout
	WithoutSNI NameMode

	// Dial connects to an address ("IP:PORT"), and Resolve finds the
	// addresses of a name. nil: as this machine does.
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
}

// withDefaults fills in what is not set.
func (o Options) withDefaults() Options {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	if o.Resolve == nil {
		o.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	return o
}

// Probe connects to a server and returns what it showed. What goes wrong is in
// Capture.Failure, with the code of the cause: net.dns, net.refused,
// net.timeout, net.reset, net.unreachable, net.proxy, net.captive_portal if
// there was no connection to it; tls.plain_http, tls.not_tls, tls.starttls if
// it does not speak TLS; tls.protocol_version, tls.no_shared_cipher,
// tls.unrecognized_name, tls.client_cert_required, tls.client_cert_rejected,
// tls.alert, tls.closed, tls.handshake_timeout if the handshake failed, and
// tls.client_cert_required even if it went through and the server wanted
// nothing more afterwards. A certificate that nobody can read is no failure.
//
// Capture.Certificates may hold something with every failure of the handshake.
// Of a list that broke off they are the first few.
func Probe(ctx context.Context, t diagnose.Target, o Options) *diagnose.Capture {
	o = o.withDefaults()
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	p := &prober{target: t, o: o, cap: &diagnose.Capture{Target: t}}
	p.run(ctx)
	p.cap.Took = time.Since(start)
	return p.cap
}

// prober is one probe.
type prober struct {
	target diagnose.Target
	o      Options
	cap    *diagnose.Capture
	known  netip.AddrPort // the address that answered
}

// share is a part of the whole time, for one step.
func (p *prober) share(ctx context.Context, percent int) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, p.o.Timeout*time.Duration(percent)/100)
}

// sni is the name that is sent, "" for an address.
func (p *prober) sni() string {
	name := strings.TrimSuffix(p.target.Name(), ".")
	if _, err := netip.ParseAddr(name); err == nil {
		return ""
	}
	return name
}

func (p *prober) run(ctx context.Context) {
	first := p.shake(ctx, hello{sni: p.sni()})
	defer func() { first.close() }()
	switch {
	case first.done():
		p.take(first)
		p.afterwards(ctx, first)
	case first.failure.Code == "tls.not_tls":
		p.plain(ctx, first)
	case first.failure.Code == "tls.handshake_timeout" || first.wire == nil:
		p.cap.Failure = first.failure
		p.silence(ctx, first)
	case strings.HasPrefix(first.failure.Code, "net.proxy") || first.failure.Code == "tls.starttls":
		p.cap.Failure = first.failure
	default:
		first = p.insist(ctx, first)
	}
	if p.cap.WithoutSNI == nil && p.wantsNameless() {
		nameless := p.shake(ctx, hello{})
		p.cap.WithoutSNI = nameless.certs
		nameless.close()
	}
}

// take keeps what an attempt brought.
func (p *prober) take(s *shaken) {
	c := p.cap
	c.Certificates, c.TLSVersion, c.CipherSuite = s.certs, s.version, s.suite
	c.Staple, c.SCTs = s.staple, s.scts
	c.ClientCertRequested, c.AcceptableCAs = s.requested, s.acceptable
	c.Failure = s.failure
}

// insist tries again in other ways where a handshake failed: old servers
// stumble over new extensions, and crypto/tls has not all ciphers.
func (p *prober) insist(ctx context.Context, first *shaken) *shaken {
	p.take(first)
	if len(first.certs) > 0 {
		return first // it is known whom we speak to, and why it failed
	}
	again := p.shake(ctx, hello{sni: p.sni(), old: true})
	switch {
	case again.done():
		first.close()
		p.take(again)
		p.afterwards(ctx, again)
		return again
	case len(again.certs) > 0:
		first.close()
		p.take(again)
		return again
	}
	again.close()
	code := first.failure.Code
	if code == "tls.unrecognized_name" || code == "tls.no_shared_cipher" || code == "tls.alert" {
		if p.o.WithoutSNI != Never && p.sni() != "" {
			nameless := p.shake(ctx, hello{})
			nameless.close()
			if p.cap.WithoutSNI = nameless.certs; len(nameless.certs) > 0 {
				p.cap.Failure = &diagnose.Failure{Code: "tls.unrecognized_name", Alert: first.failure.Alert, HasAlert: first.failure.HasAlert,
					Text: first.failure.Text + "; without a server name it answers"}
				return first
			}
		}
	}
	if code != "tls.unrecognized_name" {
		p.anyCipher(ctx)
	}
	if first.wire.received() == 0 {
		p.silence(ctx, first)
	}
	return first
}

// standIns begin the common names of certificates that servers show before
// somebody gave them one.
var standIns = []string{
	"Kubernetes Ingress Controller Fake Certificate", "TRAEFIK DEFAULT CERT", "Plesk", "localhost", "badssl-fallback",
	"example.com", "default", "SomeOrganization", "ingress.local", "invalid", "*.invalid",
}

// wantsNameless tells whether the server is to be asked without a name.
func (p *prober) wantsNameless() bool {
	c := p.cap
	switch {
	case p.o.WithoutSNI == Never, p.sni() == "", c.TLSVersion == 0 && c.Failure != nil:
		return false
	case p.o.WithoutSNI == Always:
		return true
	case len(c.Certificates) == 0:
		return false
	}
	leaf, err := x509.ParseCertificate(c.Certificates[0])
	if err != nil {
		return false
	}
	if leaf.VerifyHostname(p.target.Name()) != nil {
		return true
	}
	for _, s := range standIns {
		if strings.HasPrefix(leaf.Subject.CommonName, s) {
			return true
		}
	}
	return false
}
