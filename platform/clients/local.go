package clients

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Issuer is an authority that can issue: a certificate with its private key,
// which stays in memory.
type Issuer = tls.Certificate

// localNames are what a local server goes by.
const localName = "localhost"

// newControl makes an authority that nobody trusts, good in every other way.
func newControl() (Issuer, error) {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "certtrust control: nobody trusts this"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	return issue(template, nil)
}

// issue makes a certificate that begins a day ago and ends tomorrow; without an
// issuer it is self-signed.
func issue(template *x509.Certificate, by *Issuer) (Issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Issuer{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return Issuer{}, err
	}
	template.SerialNumber = serial
	template.NotBefore, template.NotAfter = time.Now().Add(-24*time.Hour), time.Now().Add(24*time.Hour)
	parent, signer := template, any(key)
	var chain [][]byte
	if by != nil {
		if parent, err = x509.ParseCertificate(by.Certificate[0]); err != nil {
			return Issuer{}, err
		}
		if parent.NotBefore.After(template.NotBefore) {
			template.NotBefore = parent.NotBefore
		}
		if parent.NotAfter.Before(template.NotAfter) && parent.NotAfter.After(time.Now()) {
			template.NotAfter = parent.NotAfter
		}
		signer, chain = by.PrivateKey, by.Certificate
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return Issuer{}, err
	}
	return Issuer{Certificate: append([][]byte{der}, chain...), PrivateKey: key}, nil
}

// issueLocal makes a certificate of an authority for a server on this machine.
func issueLocal(by *Issuer) (tls.Certificate, error) {
	return issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: localName}, DNSNames: []string{localName}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, by)
}

// local is a server on this machine, which tells what has reached it.
type local struct {
	port   int
	server *http.Server
	mu     sync.Mutex
	asked  map[string]bool // the first part of the path
	// first is what came first: "" for a request, or the alert with which a
	// client has ended a handshake.
	first chan string
}

// serveLocal starts a server with a certificate, on the loopback device only.
func serveLocal(cert tls.Certificate) (*local, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &local{port: listener.Addr().(*net.TCPAddr).Port, asked: map[string]bool{}, first: make(chan string, 1)}
	l.server = &http.Server{
		ErrorLog: log.New(alerts{l}, "", 0), ReadHeaderTimeout: time.Minute,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
			l.mu.Lock()
			l.asked[first] = true
			l.mu.Unlock()
			l.tell("")
			// It is what git takes for a repository, and anybody for a page.
			fmt.Fprintf(w, "%040d\trefs/heads/main\n", 1)
		}),
	}
	go l.server.ServeTLS(listener, "", "")
	return l, nil
}

func (l *local) tell(what string) {
	select {
	case l.first <- what:
	default: // it is not the first
	}
}

// alerts takes what the HTTP server logs: which alerts clients send is told
// nowhere else.
type alerts struct{ *local }

func (a alerts) Write(line []byte) (int, error) {
	if _, alert, ok := strings.Cut(string(line), "remote error: tls: "); ok {
		a.tell("it ended the handshake with the alert " + strings.TrimSpace(alert))
	}
	return len(line), nil
}

func (l *local) close() { l.server.Close() }

func (l *local) reached(token string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked[token]
}
