// Package probetest runs TLS servers on this machine that have, each, one of
// the faults that a diagnosis must find, or several, or none although it looks
// like it. They are real servers: whatever speaks TLS may connect, as often as
// it likes, and their certificates are made for the real clock.
//
// [Cases] is the table; [Start] runs a row of it. What a row says of the
// outcome is what a diagnosis has to come to with the certificates of
// [Server.Entries] as the only store.
package probetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/diagnose"
)

// Case is a server, and what is right to say of it.
type Case struct {
	Name  string // in lower case, with hyphens
	About string // what the server is like, in a few words
	Host  string // the name that is asked for: a DNS name that does not resolve, or an address

	StartTLS string        // the protocol that is upgraded, "" = TLS from the start
	NoHTTP   bool          // it does not answer HTTP after the handshake
	Proxy    bool          // it is reached through the HTTP proxy of the target
	Now      time.Duration // how far the clock of the machine that asks is off

	// Failure has the codes of which one ends the probe, nil if the handshake
	// goes through.
	Failure []string
	Sent    int // how many certificates a probe gets; -1: not told

	Verdict  diagnose.Verdict
	Verdicts []diagnose.Verdict // those that are right as well
	// Want has the codes of the causes, the one to act on first. There may be
	// more of them.
	Want   []string
	Accept []string // codes that may be the first one instead
	Warn   []string // codes that must be among the warnings (or the causes)

	// Clients has what real clients were seen to do with it, or are known to;
	// the IDs are those of the diagnosis. A client that is missing was not
	// tried.
	Clients map[string]bool

	// Slow tells that the server keeps a probe waiting until its time is up.
	Slow bool
	// Hostile tells that the server attacks the one who asks.
	Hostile bool

	build func(*builder)
}

// Options are wishes for a server. The zero value is fine.
type Options struct {
	Addr string // where it listens; "" = a free port of 127.0.0.1
}

// Server is a case that runs.
type Server struct {
	Case   Case
	Addr   string          // "127.0.0.1:PORT"
	Target diagnose.Target // what to ask for

	// Entries is what the store that is judged against holds, and Other what a
	// second store does, which does not count; nil: there is no second one.
	Entries []store.Entry
	Other   []store.Entry

	// Sent has the certificates that the server sends to who names its host.
	Sent [][]byte

	mu     sync.Mutex
	conns  map[net.Conn]bool
	hits   map[string]int
	closed bool
	stop   []func()
	wait   sync.WaitGroup
}

// Start runs a case until Close or until ctx is done.
func Start(ctx context.Context, c Case, o Options) (s *Server, err error) {
	s = &Server{Case: c, conns: map[net.Conn]bool{}, hits: map[string]int{}}
	defer func() {
		if p := recover(); p != nil {
			failed, ok := p.(buildError)
			if !ok {
				panic(p)
			}
			s.Close()
			s, err = nil, fmt.Errorf("probetest: %s: %w", c.Name, failed.error)
		}
	}()
	if c.build == nil {
		return nil, errors.New("probetest: not a case of the table")
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("probetest: %w", err)
	}
	s.Addr = l.Addr().String()
	s.stop = append(s.stop, func() { l.Close() })
	port := l.Addr().(*net.TCPAddr).Port
	s.Target = diagnose.Target{
		Input: fmt.Sprintf("%s:%d", c.Host, port), Host: c.Host, Port: port, StartTLS: c.StartTLS,
		Connect: s.Addr, HTTPS: c.StartTLS == "" && !c.NoHTTP,
	}
	b := &builder{s: s, now: time.Now().UTC().Truncate(time.Second)}
	c.build(b)
	if b.handle == nil { // nobody is there
		l.Close()
	} else {
		s.wait.Go(func() { s.accept(l, b.handle) })
	}
	if c.Proxy && s.Target.Proxy == "" {
		s.Target.Proxy = b.listen(forwardProxy(s.Addr))
	}
	stop := context.AfterFunc(ctx, s.Close)
	s.stop = append(s.stop, func() { stop() })
	return s, nil
}

// Close stops the server and closes its connections.
func (s *Server) Close() {
	s.mu.Lock()
	stop := s.stop
	s.stop, s.closed = nil, true
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	for _, f := range stop {
		f()
	}
	s.wait.Wait()
}

// Now is the time on the clock of the machine that asks.
func (s *Server) Now() time.Time { return time.Now().Add(s.Case.Now) }

// Views returns the stores as a diagnosis gets them.
func (s *Server) Views() []diagnose.View {
	views := []diagnose.View{{
		Info: store.Info{ID: "anchors:system", Backend: "anchors", Title: "System", Scope: store.ScopeSystem,
			Location: "/etc/ssl/certs", Default: true},
		Entries: s.Entries, Counts: true,
	}}
	if s.Other != nil {
		views = append(views, diagnose.View{
			Info: store.Info{ID: "nss:firefox/test", Backend: "nss", Title: "Firefox", Scope: store.ScopeUser,
				Location: "/home/user/.mozilla/firefox/test"},
			Entries: s.Other,
		})
	}
	return views
}

// Roots returns the certificates that the store trusts for servers: what to
// give to a client that takes a list of roots.
func (s *Server) Roots() []*store.Cert {
	var roots []*store.Cert
	for _, e := range s.Entries {
		switch e.Trust.Rule(store.PurposeServerAuth).Decision {
		case store.Trusted, store.Peer:
			roots = append(roots, e.Cert)
		}
	}
	return roots
}

// Hits returns how often a path of the server's own AIA, OCSP and CRL
// responders was asked for.
func (s *Server) Hits() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	hits := map[string]int{}
	for path, n := range s.hits {
		hits[path] = n
	}
	return hits
}

// Find returns a case by its name.
func Find(name string) (Case, bool) {
	for _, c := range Cases() {
		if c.Name == name {
			return c, true
		}
	}
	return Case{}, false
}

// accept gives each connection to handle, which need not close it.
func (s *Server) accept(l net.Listener, handle func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed {
			c.Close()
		}
		s.conns[c] = true
		s.mu.Unlock()
		s.wait.Go(func() {
			defer func() {
				c.Close()
				s.mu.Lock()
				delete(s.conns, c)
				s.mu.Unlock()
			}()
			handle(c)
		})
	}
}

// builder makes a case. Its methods panic with a buildError.
type builder struct {
	s      *Server
	now    time.Time
	handle func(net.Conn) // nil: the port is closed
	answer answer         // to an HTTP request
	web    string         // "http://127.0.0.1:PORT", once it was asked for
	mux    *http.ServeMux
	serial int64
}

type buildError struct{ error }

func check(err error) {
	if err != nil {
		panic(buildError{err})
	}
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

// listen runs another server beside the first and returns its address.
func (b *builder) listen(handle func(net.Conn)) string {
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	b.s.stop = append(b.s.stop, func() { l.Close() })
	b.s.wait.Go(func() { b.s.accept(l, handle) })
	return l.Addr().String()
}

// free returns the address of a port that nobody listens on.
func (b *builder) free() string {
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	return l.Addr().String()
}

// serveHTTP answers path over plain HTTP and returns the URL.
func (b *builder) serveHTTP(path string, handle http.HandlerFunc) string {
	if b.mux == nil {
		b.mux = http.NewServeMux()
		l := must(net.Listen("tcp", "127.0.0.1:0"))
		b.web = "http://" + l.Addr().String()
		server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b.s.mu.Lock()
			b.s.hits[r.URL.Path]++
			b.s.mu.Unlock()
			b.mux.ServeHTTP(w, r)
		})}
		b.s.stop = append(b.s.stop, func() { server.Close() })
		b.s.wait.Go(func() { _ = server.Serve(l) })
	}
	b.mux.HandleFunc(path, handle)
	return b.web + path
}

// offer answers path with data and returns the URL.
func (b *builder) offer(path string, data []byte) string {
	return b.serveHTTP(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) })
}

// trust puts certificates into the store as anchors.
func (b *builder) trust(certs ...*cert) {
	b.add(store.TrustFor(store.Trusted, store.PurposeAny), certs...)
}

// add puts certificates into the store.
func (b *builder) add(t store.Trust, certs ...*cert) {
	for _, c := range certs {
		b.s.Entries = append(b.s.Entries, entry(t, c))
	}
}

// addOther puts certificates into the second store.
func (b *builder) addOther(t store.Trust, certs ...*cert) {
	for _, c := range certs {
		b.s.Other = append(b.s.Other, entry(t, c))
	}
}

func entry(t store.Trust, c *cert) store.Entry {
	parsed := store.NewCert(c.der)
	return store.Entry{
		Cert: parsed, Label: c.template.Subject.CommonName, Trust: t,
		Origin: store.Origin{By: store.ByAdmin}, Source: store.Source{Kind: "anchor", Path: "/usr/local/share/ca-certificates/test.crt"},
	}
}
