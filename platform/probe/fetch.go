package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/diagnose"
)

// Bounds of a [Fetcher].
const (
	MaxFetches   = 8        // in its lifetime
	MaxRedirects = 3        // of each
	MaxBody      = 64 << 10 // bytes of each answer
	FetchTimeout = 5 * time.Second
)

// Reason is why something was not fetched.
type Reason string

// The reasons.
const (
	BadURL      Reason = "url"       // it is none
	BadScheme   Reason = "scheme"    // it is not http
	BadAddress  Reason = "address"   // nothing is fetched from there, see [FetchOptions.Target]
	Redirects   Reason = "redirects" // too many, or in a circle
	Budget      Reason = "budget"    // enough was fetched already
	TooLarge    Reason = "size"
	TimedOut    Reason = "timeout"
	BadStatus   Reason = "status"  // the answer is not 200
	Unreachable Reason = "network" // there was no answer
)

// FetchError is the error of a [Fetcher].
type FetchError struct {
	URL    string // that was asked for
	At     string // where it led to, if that is what the error is about
	Reason Reason
	Status int // for BadStatus
	Err    error
}

func (e *FetchError) Error() string {
	text := "fetching " + store.Printable(e.URL)
	if e.At != "" && e.At != e.URL {
		text += ", which leads to " + store.Printable(e.At)
	}
	if e.Err != nil {
		return text + ": " + store.Printable(e.Err.Error())
	}
	return text + ": " + string(e.Reason)
}

func (e *FetchError) Unwrap() error { return e.Err }

// FetchOptions are wishes for a [Fetcher].
type FetchOptions struct {
	// Target is the address of the server that is diagnosed. What is not on
	// the public Internet is fetched only for a target that is not there
	// either: private addresses for a private target, this machine's own for
	// a target on this machine, link-local ones for one that is link-local.
	// The addresses at which clouds keep a machine's secrets are never asked.
	Target netip.Addr

	// As in [Options].
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)

	timeout time.Duration
}

// TargetAddr returns what FetchOptions.Target is to be for a capture; the zero
// value, with which everything that is not public is refused, if it connected
// to no address or through a proxy.
func TargetAddr(c *diagnose.Capture) netip.Addr {
	to, err := netip.ParseAddrPort(c.Address)
	if err != nil || c.Target.Proxy != "" {
		return netip.Addr{}
	}
	return to.Addr().Unmap()
}

// NewFetcher returns a fetcher for one diagnosis. It speaks plain HTTP alone,
// goes through no proxy, sends nothing that tells who asks, and keeps to the
// bounds of this package. What was fetched once, or failed, is not asked for
// again: the same answer is given. Its errors are [*FetchError].
func NewFetcher(o FetchOptions) *Fetcher {
	d := Options{Dial: o.Dial, Resolve: o.Resolve}.withDefaults()
	o.Dial, o.Resolve = d.Dial, d.Resolve
	if o.timeout == 0 {
		o.timeout = FetchTimeout
	}
	return &Fetcher{o: o, known: map[string]*fetched{}}
}

// Fetcher implements [diagnose.Fetcher].
type Fetcher struct {
	o     FetchOptions
	mu    sync.Mutex
	known map[string]*fetched
}

var _ diagnose.Fetcher = (*Fetcher)(nil)

// fetched is an answer, once done is closed.
type fetched struct {
	done     chan struct{}
	response diagnose.Response
	err      error
}

// Fetch implements [diagnose.Fetcher].
func (f *Fetcher) Fetch(ctx context.Context, r diagnose.Request) (diagnose.Response, error) {
	u, err := f.parse(r.URL)
	if err != nil {
		return diagnose.Response{}, err
	}
	key := u.String() + "\x00" + string(r.Body)
	f.mu.Lock()
	got, ok := f.known[key]
	if !ok && len(f.known) >= MaxFetches {
		f.mu.Unlock()
		return diagnose.Response{}, &FetchError{URL: r.URL, Reason: Budget, Err: fmt.Errorf("%d addresses were asked already", MaxFetches)}
	}
	if !ok {
		got = &fetched{done: make(chan struct{})}
		f.known[key] = got
	}
	f.mu.Unlock()
	if !ok {
		got.response, got.err = f.get(ctx, u, r)
		close(got.done)
	}
	select {
	case <-got.done:
		response := got.response
		response.Body = bytes.Clone(response.Body)
		return response, got.err
	case <-ctx.Done():
		return diagnose.Response{}, &FetchError{URL: r.URL, Reason: TimedOut, Err: ctx.Err()}
	}
}

// parse reads a URL and refuses what is not to be fetched.
func (f *Fetcher) parse(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case len(text) > 2048:
		return nil, &FetchError{URL: text[:64] + "…", Reason: BadURL, Err: errors.New("it is too long")}
	case err != nil:
		return nil, &FetchError{URL: text, Reason: BadURL, Err: errors.Unwrap(err)}
	case !strings.EqualFold(u.Scheme, "http"):
		return nil, &FetchError{URL: text, Reason: BadScheme, Err: fmt.Errorf("%q is not http", u.Scheme)}
	case u.Hostname() == "":
		return nil, &FetchError{URL: text, Reason: BadURL, Err: errors.New("it names no host")}
	}
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	return u, nil
}

// get does what Fetch says, once.
func (f *Fetcher) get(ctx context.Context, u *url.URL, r diagnose.Request) (diagnose.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, f.o.timeout)
	defer cancel()
	at := u.String()
	fail := func(reason Reason, err error) (diagnose.Response, error) {
		var refused *FetchError
		if errors.As(err, &refused) { // from below
			refused.URL = r.URL
			if refused.At == "" {
				refused.At = at
			}
			return diagnose.Response{}, refused
		}
		return diagnose.Response{}, &FetchError{URL: r.URL, At: at, Reason: reason, Err: err}
	}
	transport := &http.Transport{
		DialContext: f.dial, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 16 << 10,
	}
	defer transport.CloseIdleConnections()
	seen := map[string]bool{}
	for hop := 0; ; hop++ {
		if seen[at] {
			return fail(Redirects, errors.New("it leads in a circle"))
		}
		seen[at] = true
		method, body := http.MethodGet, io.Reader(nil)
		if r.Body != nil {
			method, body = http.MethodPost, bytes.NewReader(r.Body)
		}
		request, err := http.NewRequestWithContext(ctx, method, at, body)
		if err != nil {
			return fail(BadURL, err)
		}
		request.Header.Set("User-Agent", "certtrust")
		if r.Body != nil && r.Accept != "" {
			request.Header.Set("Content-Type", r.Accept)
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			if host.SocketError(err) == host.SocketTimeout {
				return fail(TimedOut, err)
			}
			return fail(Unreachable, err)
		}
		if to := response.Header.Get("Location"); response.StatusCode/100 == 3 && to != "" {
			response.Body.Close()
			if hop == MaxRedirects {
				return fail(Redirects, fmt.Errorf("more than %d redirects", MaxRedirects))
			}
			next, err := request.URL.Parse(to)
			if err != nil {
				return fail(BadURL, errors.New("it leads to what is no address"))
			}
			if next, err = f.parse(next.String()); err != nil {
				at = to
				return fail(BadURL, err)
			}
			at = next.String()
			continue
		}
		data, err := io.ReadAll(io.LimitReader(response.Body, MaxBody+1))
		response.Body.Close()
		switch {
		case response.StatusCode != http.StatusOK:
			refused := &FetchError{URL: r.URL, At: at, Reason: BadStatus, Status: response.StatusCode, Err: errors.New(response.Status)}
			return diagnose.Response{}, refused
		case len(data) > MaxBody:
			return fail(TooLarge, fmt.Errorf("more than %d KiB", MaxBody>>10))
		case err != nil && host.SocketError(err) == host.SocketTimeout:
			return fail(TimedOut, err)
		case err != nil:
			return fail(Unreachable, err)
		}
		date, _ := http.ParseTime(response.Header.Get("Date"))
		return diagnose.Response{Body: data, Date: date.UTC()}, nil
	}
}

// dial connects to an address of the name in to that may be asked. The name is
// resolved here and nowhere else, so that it cannot mean something else once it
// was checked.
func (f *Fetcher) dial(ctx context.Context, _, to string) (net.Conn, error) {
	name, port, err := net.SplitHostPort(to)
	if err != nil {
		return nil, err
	}
	var found []netip.Addr
	if ip, err := netip.ParseAddr(name); err == nil {
		found = []netip.Addr{ip}
	} else if found, err = f.o.Resolve(ctx, name); err != nil {
		return nil, err
	}
	var allowed []netip.AddrPort
	var why error = &net.DNSError{Err: "no addresses", Name: name, IsNotFound: true}
	for _, ip := range found {
		place, err := netip.ParseAddrPort(net.JoinHostPort(ip.String(), port))
		if err != nil {
			return nil, err
		}
		if kind := refuse(ip, f.o.Target); kind != "" {
			why = &FetchError{Reason: BadAddress, Err: fmt.Errorf("%s is %s", ip, kind)}
			continue
		}
		allowed = append(allowed, place)
	}
	if len(allowed) == 0 {
		return nil, why
	}
	conn, _, err := race(ctx, f.o.Dial, allowed)
	return conn, err
}

// metadata are the addresses at which clouds keep what a machine must not give
// away.
var metadata = []netip.Addr{
	netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("169.254.170.2"), netip.MustParseAddr("169.254.170.23"),
	netip.MustParseAddr("169.254.0.23"), netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("168.63.129.16"),
	netip.MustParseAddr("192.0.0.192"), netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd00:ec2::23"),
	netip.MustParseAddr("fd20:ce::254"),
}

// never are networks in which nothing can be fetched (RFC 6890), and shared
// those that are as good as private.
var (
	never = []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("192.0.2.0/24"),
		netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
		netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("2001:db8::/32"),
	}
	shared = []netip.Prefix{
		netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("fec0::/10"),
	}
	nat64  = netip.MustParsePrefix("64:ff9b::/96")
	sixto4 = netip.MustParsePrefix("2002::/16")
)

// refuse tells what an address is that must not be asked for the sake of a
// target, "" if it may be.
func refuse(ip, target netip.Addr) string {
	ip, target = embedded(ip), embedded(target)
	in := func(networks []netip.Prefix, ip netip.Addr) bool {
		for _, n := range networks {
			if n.Contains(ip) {
				return true
			}
		}
		return false
	}
	private := func(ip netip.Addr) bool { return ip.IsPrivate() || in(shared, ip) }
	for _, m := range metadata {
		if ip == m {
			return "an address for the secrets of cloud machines"
		}
	}
	switch {
	case !ip.IsValid(), ip.IsUnspecified(), in(never, ip):
		return "no address of a server"
	case ip.IsMulticast():
		return "a multicast address"
	case ip.IsLoopback() && !target.IsLoopback():
		return "an address of this machine"
	case ip.IsLinkLocalUnicast() && !target.IsLinkLocalUnicast():
		return "a link-local address"
	case private(ip) && !private(target) && !target.IsLoopback():
		return "a private address"
	}
	return ""
}

// embedded returns the IPv4 address that an IPv6 address stands for, without a
// zone; else itself.
func embedded(ip netip.Addr) netip.Addr {
	ip = ip.Unmap().WithZone("")
	if !ip.Is6() {
		return ip
	}
	b := ip.As16()
	switch {
	case nat64.Contains(ip):
		return netip.AddrFrom4([4]byte(b[12:]))
	case sixto4.Contains(ip):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return ip
}
