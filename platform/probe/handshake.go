package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store/diagnose"
)

// hello is what a handshake is begun with.
type hello struct {
	sni string
	old bool // TLS 1.2 at most, and as small as it was then
}

// shaken is what came of a handshake.
type shaken struct {
	wire *wire // nil: there was no connection
	conn *tls.Conn
	stop func()

	certs          [][]byte
	version, suite uint16
	staple         []byte
	scts           [][]byte
	requested      bool
	acceptable     [][]byte
	failure        *diagnose.Failure
}

// done tells whether the server showed its certificates and nothing was wrong
// but what is in them.
func (s *shaken) done() bool { return s.failure == nil }

func (s *shaken) close() {
	if s.stop != nil {
		s.stop()
	}
	if s.wire != nil {
		s.wire.Close()
	}
}

// shake connects and makes a handshake that takes whatever the server has.
func (p *prober) shake(ctx context.Context, h hello) *shaken {
	s := &shaken{}
	opening, cancel := p.share(ctx, 60)
	w, failed := p.connect(opening)
	cancel()
	if failed != nil {
		s.failure = failed
		return s
	}
	s.wire = w
	ctx, cancel = p.share(ctx, 45)
	end := cut(ctx, w)
	s.stop = func() { end(); cancel() }
	if p.target.StartTLS != "" {
		if err := startTLS(w, p.target.StartTLS, p.target.Name()); err != nil {
			s.failure = failure("tls.starttls", err)
			return s
		}
		w.mark()
	}
	var secrets keyLog
	config := &tls.Config{
		ServerName:         h.sni,
		InsecureSkipVerify: true, // whom we speak to is judged by others
		MinVersion:         tls.VersionTLS10,
		CipherSuites:       allSuites(),
		KeyLogWriter:       &secrets,
		Renegotiation:      tls.RenegotiateOnceAsClient,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			if s.certs == nil {
				s.certs = raw
			}
			return nil
		},
		GetClientCertificate: func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			s.requested, s.acceptable = true, r.AcceptableCAs
			return new(tls.Certificate), nil
		},
	}
	if h.old {
		config.MaxVersion = tls.VersionTLS12
		config.CurvePreferences = []tls.CurveID{tls.CurveP256, tls.CurveP384, tls.CurveP521, tls.X25519}
	}
	s.conn = tls.Client(w, config)
	err := s.conn.HandshakeContext(ctx)
	state := s.conn.ConnectionState()
	s.version, s.suite, s.staple, s.scts = state.Version, state.CipherSuite, state.OCSPResponse, state.SignedCertificateTimestamps
	if err == nil {
		return s
	}
	seen := sniff(w.recorded, secrets.secret())
	if len(s.certs) == 0 {
		s.certs = seen.certs
	}
	if seen.version != 0 {
		s.version, s.suite = seen.version, seen.suite
	}
	s.failure = p.classify(err, s, seen)
	return s
}

// allSuites returns every cipher suite that crypto/tls can speak.
func allSuites() []uint16 {
	var ids []uint16
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		ids = append(ids, s.ID)
	}
	return ids
}

// keyLog catches the secret that a server's handshake messages of TLS 1.3 are
// encrypted with.
type keyLog struct{ last []byte }

func (k *keyLog) Write(line []byte) (int, error) {
	if rest, ok := bytes.CutPrefix(line, []byte("SERVER_HANDSHAKE_TRAFFIC_SECRET ")); ok {
		k.last = bytes.Clone(rest)
	}
	return len(line), nil
}

func (k *keyLog) secret() []byte {
	_, text, _ := bytes.Cut(bytes.TrimSpace(k.last), []byte(" "))
	secret := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(secret, text); err != nil || len(secret) == 0 {
		return nil
	}
	return secret
}

// ourLimits are parts of the errors with which crypto/tls refuses a certificate
// that came all right.
var ourLimits = []string{
	"failed to parse certificate from server", "certificate containing RSA key larger", "unsupported type of public key",
	"server certificate contains incorrect key type",
}

// refusals are parts of the errors with which crypto/tls refuses what a server
// chose, and what that is.
var refusals = []struct{ text, code string }{
	{"selected unsupported protocol version", "tls.protocol_version"},
	{"unconfigured cipher suite", "tls.no_shared_cipher"},
	{"selected unsupported group", "tls.no_shared_cipher"},
	{"selected unsupported curve", "tls.no_shared_cipher"},
	{"selected unoffered curve", "tls.no_shared_cipher"},
	{"server selected unsupported compression", "tls.no_shared_cipher"},
}

// classify tells why a handshake failed; nil if it was only that crypto/tls
// cannot read what came.
func (p *prober) classify(err error, s *shaken, seen sniffed) *diagnose.Failure {
	if alert, ok := remoteAlert(err); ok {
		return alertFailure(alert, err, s.requested)
	}
	text := err.Error()
	for _, limit := range ourLimits {
		if strings.Contains(text, limit) && len(s.certs) > 0 {
			return nil
		}
	}
	for _, r := range refusals {
		if strings.Contains(text, r.text) {
			return failure(r.code, err)
		}
	}
	var header tls.RecordHeaderError
	if !seen.tls && (errors.As(err, &header) || len(s.wire.recorded) > 0 && !begunAsTLS(s.wire.recorded) && !errors.Is(err, errTooMuch)) {
		return failure("tls.not_tls", err)
	}
	switch host.SocketError(err) {
	case host.SocketTimeout:
		return failure("tls.handshake_timeout", err)
	case host.SocketReset:
		return failure("net.reset", err)
	case host.SocketClosed:
		return failure("tls.closed", err)
	}
	return failure("tls.alert", err) // the one that we sent
}

// begunAsTLS tells whether what came is the beginning of a record's header, and
// nothing more.
func begunAsTLS(b []byte) bool {
	return len(b) < 5 && b[0] >= 20 && b[0] <= 23 && (len(b) < 2 || b[1] == 3)
}

// remoteAlert returns the alert that the server sent. crypto/tls hides it in a
// type of its own, which is a number.
func remoteAlert(err error) (uint8, bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return 0, false
	}
	if v := reflect.ValueOf(op.Err); v.IsValid() && v.Kind() == reflect.Uint8 {
		return uint8(v.Uint()), true
	}
	return 0, false
}

// alertFailure tells what an alert means (RFC 8446, 6.2). No client certificate
// was sent, so one that speaks of it means that one is needed.
func alertFailure(alert uint8, err error, requested bool) *diagnose.Failure {
	code := "tls.alert"
	switch alert {
	case 70: // protocol_version
		code = "tls.protocol_version"
	case 40: // handshake_failure
		code = "tls.no_shared_cipher"
		if requested {
			code = "tls.client_cert_required"
		}
	case 71: // insufficient_security
		code = "tls.no_shared_cipher"
	case 112: // unrecognized_name
		code = "tls.unrecognized_name"
	case 116: // certificate_required
		code = "tls.client_cert_required"
	case 41, 42: // no_certificate, bad_certificate
		code = "tls.client_cert_rejected"
		if requested {
			code = "tls.client_cert_required"
		}
	case 43, 44, 45, 46, 48: // unsupported, revoked, expired, unknown certificate; unknown_ca
		code = "tls.client_cert_rejected"
	case 49: // access_denied
		if requested {
			code = "tls.client_cert_rejected"
		}
	}
	f := failure(code, err)
	f.Alert, f.HasAlert = alert, true
	return f
}

// clientCertWait is how long the server of TLS 1.3 has to say that it does not
// go on without a client certificate.
const clientCertWait = 300 * time.Millisecond

// afterwards uses the connection that stands.
func (p *prober) afterwards(ctx context.Context, s *shaken) {
	if s.conn == nil || !s.conn.ConnectionState().HandshakeComplete {
		return
	}
	s.stop()
	ctx, cancel := p.share(ctx, 30)
	defer cancel()
	stop := cut(ctx, s.wire)
	defer stop()
	if s.requested && s.version == tls.VersionTLS13 {
		_ = s.conn.SetReadDeadline(time.Now().Add(min(clientCertWait, p.o.Timeout/5)))
		var b [1]byte
		_, err := s.conn.Read(b[:])
		if alert, ok := remoteAlert(err); ok {
			p.cap.Failure = alertFailure(alert, err, true)
		}
		if err == nil || host.SocketError(err) != host.SocketTimeout {
			return // the server speaks first, or not at all
		}
		if deadline, ok := ctx.Deadline(); ok {
			_ = s.conn.SetReadDeadline(deadline)
		}
	}
	if p.target.HTTPS {
		err := p.head(s.conn)
		if alert, ok := remoteAlert(err); ok && s.requested {
			p.cap.Failure = alertFailure(alert, err, true)
		}
	}
	p.cap.ClientCertRequested, p.cap.AcceptableCAs = s.requested, s.acceptable // it may ask again
}
