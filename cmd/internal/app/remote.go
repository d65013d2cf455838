package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/platform/probe"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
	"github.com/certtrust/certtrust/store/diagnose"
)

// What comes over the network. Anybody may have sent it: it is only trusted if
// its fingerprint was known before, or a person says so after having seen it.

// takesRemote tells which commands take addresses. What is withdrawn is never
// what a server says: that would be the whole chain, its root too.
func takesRemote(c *cli.Context) bool {
	return slices.Contains([]string{"show", "trust", "import"}, c.Command.Name)
}

// isURL tells what is meant as the address of a file.
func isURL(arg string) bool {
	lower := strings.ToLower(arg)
	return strings.HasPrefix(lower, "https://") || strings.HasPrefix(lower, "http://")
}

// hostPort is a host with its port, which no file is called.
var hostPort = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(\[[0-9a-fA-F:.]+\]|[^/:\\\s]+):[0-9]{1,5}$`) })

// isServer tells what names a server, whose own certificates are meant: a host
// with a port, or a URL that names no file there.
func isServer(arg string) bool {
	if hostPort().MatchString(arg) {
		return true
	}
	u, err := url.Parse(arg)
	return err == nil && isURL(arg) && strings.Trim(u.Path, "/") == "" && u.RawQuery == ""
}

// The limits of a download.
const (
	downloadTimeout   = time.Minute
	downloadRedirects = 5
)

// download gets a file. A server whose certificate is not trusted is refused,
// unless the fingerprint of what is wanted is known: then it does not matter
// who sends it.
func (a *App) download(c *cli.Context, address string) ([]byte, error) {
	data, err := a.get(c.Context, address, false)
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		if len(pins(c)) > 0 {
			data, err = a.get(c.Context, address, true)
		} else {
			return nil, &store.Error{Op: "fetch", Path: address, Err: store.Because(store.ErrNoVerdict, "the server's certificate is not trusted: %s", store.Printable(untrusted.Err.Error())),
				Hint: "get it in another way, or give its whole SHA-256 --fingerprint: then it does not matter who sends it"}
		}
	}
	if err == nil {
		return data, nil
	}
	var already *store.Error
	if errors.As(err, &already) {
		return nil, err
	}
	if c.Context.Err() != nil {
		return nil, err
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return nil, &store.Error{Op: "fetch", Path: address, Err: store.Because(store.ErrNoVerdict, "%s", store.Printable(err.Error()))}
}

func (a *App) get(ctx context.Context, address string, unverified bool) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, downloadTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, usage("%s: not an address", store.Printable(address))
	}
	request.Header.Set("User-Agent", "certtrust")
	request.Header.Set("Accept-Encoding", "identity")
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: unverified}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		switch {
		case len(via) > downloadRedirects:
			return fmt.Errorf("it leads from one place to the next more than %d times", downloadRedirects)
		case next.URL.Scheme != "https" && (next.URL.Scheme != "http" || via[0].URL.Scheme == "https"):
			return fmt.Errorf("it leads to %s", next.URL.Redacted())
		}
		return nil
	}}
	a.Streams.Status("getting " + address)
	defer a.Streams.Status("")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answers %s", response.Status)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, certfile.MaxSize+1))
	if err == nil && len(data) > certfile.MaxSize {
		return nil, &store.Error{Op: "fetch", Path: address, Err: store.Because(store.ErrInput, "larger than %d MiB", certfile.MaxSize>>20)}
	}
	return data, err
}

// served gets the certificates that a server sends and, if there is no root
// among them, those that they say have issued them.
func (a *App) served(c *cli.Context, arg string, _ reader) ([]given, error) {
	t, err := a.target(c, arg)
	if err != nil {
		return nil, err
	}
	t.HTTPS = false
	timeout := probeTimeout
	if d := resultOf(c).timeout; d > 0 {
		timeout = d
	}
	a.Streams.Status("asking " + store.Printable(t.Input))
	defer a.Streams.Status("")
	capture := probe.Probe(c.Context, t, probe.Options{Timeout: timeout})
	if err := c.Context.Err(); err != nil {
		return nil, err
	}
	if len(capture.Certificates) == 0 {
		return nil, noChain(capture)
	}
	var chain []*store.Cert
	for _, der := range capture.Certificates {
		chain = append(chain, store.NewCert(der))
	}
	if top := chain[len(chain)-1]; !top.SelfIssued() {
		more, err := diagnose.Complete(c.Context, chain, probe.NewFetcher(probe.FetchOptions{Target: probe.TargetAddr(capture)}))
		if err != nil {
			a.Streams.Warningf("%s: the chain could not be completed: %s", store.Printable(arg), store.Printable(err.Error()))
		}
		chain = append(chain, more...)
	}
	var out []given
	for i, cert := range chain {
		out = append(out, given{cert: cert, from: arg, item: certfile.Item{Cert: cert}, remote: true, server: i == 0})
	}
	return out, nil
}

// pins returns the fingerprints that are given in full.
func pins(c *cli.Context) []store.FingerprintPrefix {
	var out []store.FingerprintPrefix
	for _, text := range c.StringSlice("fingerprint") {
		if p, err := store.ParseFingerprintPrefix(text); err == nil && p.Full() {
			out = append(out, p)
		}
	}
	return out
}

// vouch makes sure of what came over the network: it is what a fingerprint was
// given for, or a person says that it is what it should be. A part of a
// fingerprint is not enough, as another certificate can be made to fit it.
func (a *App) vouch(c *cli.Context, list []given) error {
	known := pins(c)
	for _, g := range list {
		if !g.remote || c.Bool("dry-run") {
			continue
		}
		pinned := false
		for _, p := range known {
			pinned = pinned || p.Matches(g.cert.SHA256)
		}
		if pinned {
			continue
		}
		if !a.Streams.CanAsk() {
			return &store.Error{Err: store.Because(store.ErrConsent, "%s: \"%s\" came over the network, and nobody has said that it is the right one: its SHA-256 is %s",
				store.Printable(g.source()), store.Printable(g.cert.Label()), g.cert.SHA256),
				Hint: "compare that with what its owner says, and give it with --fingerprint"}
		}
		a.Streams.Noticef("from %s over the network:", store.Printable(g.source()))
		a.Streams.Noticef("  name     %s", store.Printable(g.cert.Label()))
		a.Streams.Noticef("  subject  %s", store.Printable(g.cert.Subject.String()))
		a.Streams.Noticef("  valid    %s to %s", g.cert.NotBefore.Format(time.DateOnly), g.cert.NotAfter.Format(time.DateOnly))
		a.Streams.Noticef("  sha-256  %s", g.cert.SHA256)
		yes, err := a.Streams.Confirm("Has its owner told you this fingerprint?", false)
		if err != nil {
			return err
		}
		if !yes {
			return store.Because(store.ErrConsent, "%s: not trusted, because its fingerprint is not confirmed", store.Printable(g.source()))
		}
	}
	return nil
}
