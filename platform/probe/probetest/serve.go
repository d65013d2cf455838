package probetest

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// patience is how long a server that is not slow waits for the other side.
const patience = 10 * time.Second

// serveTLS answers with a chain. Changes to the configuration come after that.
func (b *builder) serveTLS(c tls.Certificate, changes ...func(*tls.Config)) {
	config := &tls.Config{
		MinVersion:     tls.VersionTLS10,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &c, nil },
	}
	for _, change := range changes {
		change(config)
	}
	b.s.Sent = c.Certificate
	b.handle = func(conn net.Conn) { b.speak(conn, config) }
}

// speak upgrades the connection if the case wants that, makes the handshake and
// answers one HTTP request.
func (b *builder) speak(conn net.Conn, config *tls.Config) {
	_ = conn.SetDeadline(time.Now().Add(patience))
	if p := b.s.Case.StartTLS; p != "" {
		if err := upgrade(p, conn, ""); err != nil {
			return
		}
	}
	secured := tls.Server(conn, config)
	defer secured.Close()
	if secured.Handshake() != nil {
		return
	}
	if b.s.Case.NoHTTP || b.s.Case.StartTLS != "" {
		// Until the other side goes away, or says what nobody understands.
		_, _ = io.CopyN(io.Discard, secured, 1)
		return
	}
	answerHTTP(secured, b.answer)
}

// answer is what is said to an HTTP request; the zero value is "200 OK".
type answer struct {
	date             time.Time // zero: the right one
	status, location string
}

// answerHTTP reads one request and answers it.
func answerHTTP(conn io.ReadWriter, a answer) {
	r, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	if a.date.IsZero() {
		a.date = time.Now()
	}
	if a.status == "" {
		a.status = "200 OK"
	}
	const body = "<!doctype html><title>certtrust test</title><p>certtrust test\n"
	var head strings.Builder
	fmt.Fprintf(&head, "HTTP/1.1 %s\r\nDate: %s\r\nContent-Type: text/html\r\nContent-Length: %d\r\nConnection: close\r\n", a.status, a.date.UTC().Format(http.TimeFormat), len(body))
	if a.location != "" {
		fmt.Fprintf(&head, "Location: %s\r\n", a.location)
	}
	head.WriteString("\r\n")
	if r.Method != http.MethodHead {
		head.WriteString(body)
	}
	_, _ = io.WriteString(conn, head.String())
}

// plainHTTP speaks HTTP without TLS: to what is no request it says so, as web
// servers do.
func plainHTTP(status, location string) func(net.Conn) {
	return func(conn net.Conn) {
		_ = conn.SetDeadline(time.Now().Add(patience))
		r := bufio.NewReader(conn)
		if first, err := r.Peek(1); err != nil {
			return
		} else if first[0] < ' ' {
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n400 Bad Request")
			drain(conn)
			return
		}
		answerHTTP(struct {
			io.Reader
			io.Writer
		}{r, conn}, answer{status: status, location: location})
	}
}

// drain reads until the other side is done, so that the answer is not lost to a
// reset.
func drain(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_, _ = io.CopyN(io.Discard, conn, 1<<16)
}

// says sends a banner as soon as it is connected to, and nothing else.
func says(banner string) func(net.Conn) {
	return func(conn net.Conn) {
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, banner)
		drain(conn)
	}
}

// silent accepts everything and says nothing.
func silent(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// hello reads a ClientHello, as far as it is one.
func hello(conn net.Conn) (record []byte, err error) {
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	var head [5]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, err
	}
	record = make([]byte, binary.BigEndian.Uint16(head[3:]))
	_, err = io.ReadFull(conn, record)
	return record, err
}

// afterHello answers a ClientHello with bytes and is done.
func afterHello(answer ...byte) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := hello(conn); err != nil {
			return
		}
		_, _ = conn.Write(answer)
		drain(conn)
	}
}

// alert is a fatal alert in a record.
func alert(code byte) []byte { return []byte{21, 3, 3, 0, 2, 2, code} }

// record wraps handshake data for TLS 1.2 in records.
func record(data []byte) []byte {
	var out []byte
	for len(data) > 0 {
		n := min(len(data), 1<<14)
		out = append(out, 22, 3, 3, byte(n>>8), byte(n))
		out = append(out, data[:n]...)
		data = data[n:]
	}
	return out
}

// message is a handshake message.
func message(kind byte, body []byte) []byte {
	n := len(body)
	return append([]byte{kind, byte(n >> 16), byte(n >> 8), byte(n)}, body...)
}

// serverHello chooses a suite of TLS 1.2 or what older version is given.
func serverHello(version, suite uint16) []byte {
	body := binary.BigEndian.AppendUint16(nil, version)
	body = append(body, make([]byte, 32)...) // random
	body = append(body, 0)                   // no session
	body = binary.BigEndian.AppendUint16(body, suite)
	return message(2, append(body, 0)) // no compression
}

// certificates is the Certificate message of TLS 1.2.
func certificates(chain ...[]byte) []byte {
	var list []byte
	for _, der := range chain {
		list = append(list, byte(len(der)>>16), byte(len(der)>>8), byte(len(der)))
		list = append(list, der...)
	}
	return message(11, append([]byte{byte(len(list) >> 16), byte(len(list) >> 8), byte(len(list))}, list...))
}

// drip sends a valid beginning, one byte every now and then.
func drip(conn net.Conn) {
	if _, err := hello(conn); err != nil {
		return
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for _, c := range record(serverHello(tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)) {
		<-tick.C
		if _, err := conn.Write([]byte{c}); err != nil {
			return
		}
	}
	silent(conn)
}

// forwardProxy lets through to the address alone, whatever is asked for.
func forwardProxy(to string) func(net.Conn) {
	return func(conn net.Conn) {
		_ = conn.SetDeadline(time.Now().Add(patience))
		in := bufio.NewReader(conn)
		r, err := http.ReadRequest(in)
		if err != nil || r.Method != http.MethodConnect {
			return
		}
		out, err := net.Dial("tcp", to)
		if err != nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
			return
		}
		defer out.Close()
		_ = out.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(out, in)
			out.Close()
		}()
		_, _ = io.Copy(conn, out)
		conn.Close()
		<-done
	}
}

// refusingProxy answers every request with a status.
func refusingProxy(status string) func(net.Conn) {
	return func(conn net.Conn) {
		_ = conn.SetDeadline(time.Now().Add(patience))
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\n\r\n")
			drain(conn)
		}
	}
}
