package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/diagnose"
)

// stagger is how long an address has before the next one is tried beside it
// (RFC 8305, 5).
const stagger = 300 * time.Millisecond

// errTooMuch ends a connection that does not stop to send.
var errTooMuch = errors.New("more than 1 MiB were received")

// wire is a connection whose bytes are counted, bounded, and kept from mark on.
type wire struct {
	net.Conn
	in       int
	recorded []byte
}

func (w *wire) Read(b []byte) (int, error) {
	if w.in >= maxRead {
		return 0, errTooMuch
	}
	n, err := w.Conn.Read(b[:min(len(b), maxRead-w.in)])
	w.in += n
	w.recorded = append(w.recorded, b[:min(n, maxRecorded-len(w.recorded))]...)
	return n, err
}

// mark forgets what was recorded: TLS begins here.
func (w *wire) mark() { w.recorded = nil }

// received is how many bytes came since the mark, up to a limit.
func (w *wire) received() int {
	if w == nil {
		return 0
	}
	return len(w.recorded)
}

// failure makes one.
func failure(code string, err error) *diagnose.Failure {
	return &diagnose.Failure{Code: code, Text: store.Printable(err.Error())}
}

// connect opens a connection to the server, through the proxy if there is one.
func (p *prober) connect(ctx context.Context) (*wire, *diagnose.Failure) {
	if p.target.Proxy != "" {
		return p.tunnel(ctx)
	}
	var addresses []netip.AddrPort
	switch port := uint16(p.target.Port); {
	case p.known.IsValid():
		addresses = []netip.AddrPort{p.known}
	case p.target.Connect != "":
		to, err := netip.ParseAddrPort(p.target.Connect)
		if err != nil {
			return nil, failure("net.unreachable", err)
		}
		addresses = []netip.AddrPort{to}
	default:
		if ip, err := netip.ParseAddr(p.target.Host); err == nil {
			addresses = []netip.AddrPort{netip.AddrPortFrom(ip, port)}
			break
		}
		found, err := p.o.Resolve(ctx, p.target.Host)
		if err == nil && len(found) == 0 {
			err = &net.DNSError{Err: "no addresses", Name: p.target.Host, IsNotFound: true}
		}
		if err != nil {
			return nil, failure("net.dns", err)
		}
		for _, ip := range found {
			addresses = append(addresses, netip.AddrPortFrom(ip.Unmap(), port))
		}
	}
	conn, to, err := race(ctx, p.o.Dial, addresses)
	if p.cap.Address == "" || err == nil {
		p.cap.Address = to.String()
	}
	if err != nil {
		return nil, failure(netCode(err), err)
	}
	p.known = to
	return &wire{Conn: conn}, nil
}

// race connects to the first address that answers. Each has a head start over
// the next one, which begins at once if it fails. If none answers, the error
// and the address are the first one's.
func race(ctx context.Context, dial func(context.Context, string, string) (net.Conn, error), to []netip.AddrPort) (net.Conn, netip.AddrPort, error) {
	type result struct {
		conn net.Conn
		n    int
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	to = to[:min(len(to), 16)]
	results := make(chan result, len(to))
	start := func(n int) {
		go func() {
			conn, err := dial(ctx, "tcp", to[n].String())
			results <- result{conn, n, err}
		}()
	}
	start(0)
	timer := time.NewTimer(stagger)
	defer timer.Stop()
	started, failed := 1, 0
	errs := make([]error, len(to))
	for {
		next := false
		select {
		case r := <-results:
			if r.err == nil {
				waiting := started - failed - 1
				go func() { // those that are still on their way
					for range waiting {
						if late := <-results; late.conn != nil {
							late.conn.Close()
						}
					}
				}()
				return r.conn, to[r.n], nil
			}
			errs[r.n] = r.err
			if failed++; failed == len(to) {
				return nil, to[0], errs[0]
			}
			next = true
		case <-timer.C:
			next = true
		}
		if next && started < len(to) {
			start(started)
			started++
			timer.Reset(stagger)
		}
	}
}

// tunnel connects through the proxy.
func (p *prober) tunnel(ctx context.Context) (*wire, *diagnose.Failure) {
	destination := net.JoinHostPort(p.target.Host, strconv.Itoa(p.target.Port))
	if p.target.Connect != "" {
		destination = p.target.Connect
	}
	proxyHost, proxyPort, err := net.SplitHostPort(p.target.Proxy)
	if err != nil {
		return nil, failure("net.proxy", err)
	}
	port, err := strconv.ParseUint(proxyPort, 10, 16)
	if err != nil {
		return nil, failure("net.proxy", err)
	}
	ip, err := netip.ParseAddr(proxyHost)
	found := []netip.Addr{ip}
	if err != nil {
		found, err = p.o.Resolve(ctx, proxyHost)
		if err == nil && len(found) == 0 {
			err = &net.DNSError{Err: "no addresses", Name: proxyHost, IsNotFound: true}
		}
	}
	if err != nil {
		return nil, failure("net.proxy", err)
	}
	var addresses []netip.AddrPort
	for _, ip := range found {
		addresses = append(addresses, netip.AddrPortFrom(ip.Unmap(), uint16(port)))
	}
	conn, _, err := race(ctx, p.o.Dial, addresses)
	if err != nil {
		return nil, failure("net.proxy", err)
	}
	w := &wire{Conn: conn}
	stop := cut(ctx, conn)
	defer stop()
	_, err = fmt.Fprintf(w, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\nUser-Agent: certtrust\r\n\r\n", destination)
	if err == nil {
		var status string
		if status, err = connected(w); err == nil && status != "" {
			err = fmt.Errorf("the proxy answered %s", status)
		}
	}
	if err != nil {
		conn.Close()
		return nil, failure("net.proxy", err)
	}
	p.cap.Address = destination
	w.mark()
	return w, nil
}

// connected reads a proxy's answer, byte by byte, since what follows it is the
// server's. It returns the status if the proxy did not agree.
func connected(r io.Reader) (status string, err error) {
	head, err := readUntil(r, "\r\n\r\n", maxHead)
	if err != nil {
		return "", fmt.Errorf("no answer of a proxy: %w", err)
	}
	response, err := http.ReadResponse(bufio.NewReader(head), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return "", fmt.Errorf("no answer of a proxy: %w", err)
	}
	response.Body.Close()
	if response.StatusCode/100 != 2 {
		return response.Status, nil
	}
	return "", nil
}

// cut ends what waits on a connection when ctx is done, until it is called off.
func cut(ctx context.Context, conn net.Conn) (stop func()) {
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	past := time.Unix(1, 0)
	end := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(past) })
	return func() { end() }
}

// netCode is the code for what went wrong before TLS.
func netCode(err error) string {
	switch host.SocketError(err) {
	case host.SocketName:
		return "net.dns"
	case host.SocketRefused:
		return "net.refused"
	case host.SocketTimeout:
		return "net.timeout"
	case host.SocketReset, host.SocketClosed:
		return "net.reset"
	}
	return "net.unreachable"
}
