package probe

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/diagnose"
)

// plain finds out what it is that spoke instead of TLS.
func (p *prober) plain(ctx context.Context, s *shaken) {
	p.cap.Failure = s.failure
	if s.conn != nil { // some more of it
		s.stop()
		_ = s.wire.SetReadDeadline(time.Now().Add(min(500*time.Millisecond, p.o.Timeout/10)))
		for b := make([]byte, maxPlain); len(s.wire.recorded) < maxPlain; {
			if _, err := s.wire.Read(b); err != nil {
				break
			}
		}
	}
	s.close()
	p.cap.Plain = bytes.Clone(s.wire.recorded[:min(len(s.wire.recorded), maxPlain)])
	p.cap.Failure.Code, p.cap.Failure.Text = speaks(p.cap.Plain)
	if p.cap.Failure.Code == "tls.plain_http" {
		p.portal(ctx)
	}
}

// banners tell what a server speaks that begins to talk by itself, in place of
// TLS. The first that matches counts.
var banners = sync.OnceValue(func() []banner {
	return []banner{
		{regexp.MustCompile(`(?i)^(HTTP/[0-9]|\s*<(!doctype )?html)`), "tls.plain_http", "it speaks HTTP without TLS"},
		{regexp.MustCompile(`^SSH-`), "tls.not_tls", "it speaks SSH"},
		{regexp.MustCompile(`(?i)^220[ -].*\bFTP`), "tls.starttls", "it speaks FTP, which has to be upgraded"},
		{regexp.MustCompile(`^220[ -]`), "tls.starttls", "it speaks SMTP or FTP, which have to be upgraded"},
		{regexp.MustCompile(`^\* (OK|PREAUTH)`), "tls.starttls", "it speaks IMAP, which has to be upgraded"},
		{regexp.MustCompile(`^\+OK`), "tls.starttls", "it speaks POP3, which has to be upgraded"},
		{regexp.MustCompile(`^20[01] `), "tls.starttls", "it speaks NNTP, which has to be upgraded"},
		{regexp.MustCompile(`^"IMPLEMENTATION"`), "tls.starttls", "it speaks ManageSieve, which has to be upgraded"},
		{regexp.MustCompile(`^<(\?xml|stream)`), "tls.starttls", "it speaks XMPP, which has to be upgraded"},
		{regexp.MustCompile(`(?s)^...\x00\x0a[0-9]+\.`), "tls.starttls", "it speaks MySQL, which has to be upgraded"},
		{regexp.MustCompile(`^RFB [0-9]`), "tls.not_tls", "it speaks VNC"},
		{regexp.MustCompile(`^-ERR`), "tls.not_tls", "it speaks the protocol of Redis or POP3"},
	}
})

type banner struct {
	begins     *regexp.Regexp
	code, text string
}

// speaks tells what the first bytes of an answer are.
func speaks(first []byte) (code, text string) {
	for _, b := range banners() {
		if b.begins.Match(first) {
			return b.code, b.text
		}
	}
	return "tls.not_tls", fmt.Sprintf("it answers with something else: %q", store.Printable(string(first[:min(len(first), 40)])))
}

// silence looks behind a connection that was closed, or said nothing: some
// servers of plain HTTP do that.
func (p *prober) silence(ctx context.Context, s *shaken) {
	if s.wire == nil || s.wire.received() > 0 || p.target.StartTLS != "" || !p.target.HTTPS {
		return
	}
	before := p.cap.Failure
	p.cap.Failure = &diagnose.Failure{Code: "tls.plain_http", Text: "it speaks HTTP without TLS"}
	if !p.portal(ctx) {
		p.cap.Failure = before
	}
}

// portal speaks plain HTTP once, to see where it leads, and reports whether
// that was answered.
func (p *prober) portal(ctx context.Context) bool {
	ctx, cancel := p.share(ctx, 20)
	defer cancel()
	w, failed := p.connect(ctx)
	if failed != nil {
		return false
	}
	defer w.Close()
	defer cut(ctx, w)()
	r, err := ask(w, http.MethodGet, p.hostHeader())
	if err != nil {
		return false
	}
	p.cap.HTTPStatus, p.cap.PlainRedirect = r.StatusCode, location(r)
	elsewhere := false
	if r.StatusCode/100 == 3 {
		to, err := url.Parse(p.cap.PlainRedirect)
		elsewhere = err == nil && to.Hostname() != "" && !related(to.Hostname(), p.target.Host) && !related(to.Hostname(), p.target.Name())
	}
	if elsewhere || r.StatusCode == http.StatusNetworkAuthenticationRequired {
		p.cap.Failure = &diagnose.Failure{Code: "net.captive_portal", Text: "plain HTTP is answered with " + store.Printable(r.Status)}
	}
	return true
}

// related tells whether one of two names is the other, or below it.
func related(a, b string) bool {
	norm := func(s string) string {
		return strings.TrimPrefix(strings.TrimSuffix(strings.ToLower(s), "."), "www.")
	}
	a, b = norm(a), norm(b)
	return a == b || strings.HasSuffix(a, "."+b) || strings.HasSuffix(b, "."+a)
}

// hostHeader is what a client puts into Host.
func (p *prober) hostHeader() string {
	name := p.target.Name()
	if p.target.Port != 443 && p.target.Port != 80 {
		return net.JoinHostPort(name, strconv.Itoa(p.target.Port))
	}
	if strings.Contains(name, ":") {
		return "[" + name + "]"
	}
	return name
}

// head asks for nothing but the header of an answer and keeps what it says.
func (p *prober) head(conn io.ReadWriter) error {
	r, err := ask(conn, http.MethodHead, p.hostHeader())
	if err != nil {
		return err
	}
	p.cap.HTTPStatus, p.cap.Redirect = r.StatusCode, location(r)
	if date, err := http.ParseTime(r.Header.Get("Date")); err == nil {
		p.cap.HTTPDate = date.UTC()
	}
	return nil
}

func location(r *http.Response) string {
	return store.Printable(r.Header.Get("Location"))
}

// ask makes a request for / and reads the header of the answer. Nothing that
// tells who asks is sent.
func ask(conn io.ReadWriter, method, host string) (*http.Response, error) {
	_, sent := fmt.Fprintf(conn, "%s / HTTP/1.1\r\nHost: %s\r\nUser-Agent: certtrust\r\nAccept: */*\r\nConnection: close\r\n\r\n", method, host)
	r, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, maxHead)), &http.Request{Method: method})
	if err != nil {
		if sent != nil {
			return nil, sent
		}
		return nil, err
	}
	r.Body.Close()
	return r, nil
}

// readUntil reads byte by byte up to and with end, but no more than max bytes.
func readUntil(r io.Reader, end string, limit int) (*bytes.Reader, error) {
	var text []byte
	for b := make([]byte, 1); len(text) < limit; {
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		if text = append(text, b[0]); bytes.HasSuffix(text, []byte(end)) {
			return bytes.NewReader(text), nil
		}
	}
	return nil, fmt.Errorf("more than %d bytes", limit)
}
