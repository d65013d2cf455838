//go:build linux

package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certtrust/certtrust/store/storetest"
)

// authority is a CA that every client takes once it is trusted.
type authority struct {
	*storetest.CA
	name        string // its common name
	file        string // a PEM file with the certificate
	fingerprint string // hexadecimal SHA-256
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	ca := storetest.NewCA(t, storetest.CN(name))
	return &authority{ca, name, write(t, "ca.pem", ca.PEM()), ca.Cert().SHA256.String()}
}

// serve starts a server with a certificate of a for localhost, and returns
// its port.
func serve(t *testing.T, a *authority) string {
	t.Helper()
	// What it answers is what git takes for the references of a repository.
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%040d\trefs/heads/main\n", 1)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{a.Leaf(t, "localhost", "127.0.0.1")}}
	s.StartTLS()
	t.Cleanup(s.Close)
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	return port
}

// clients are programs that use the system's trust store, as ordinary users
// run them. PORT stands for the server's port on localhost. A client accepts
// the server if it exits with 0; it refuses it if it does not and its own
// words match refusal; anything else is a fault of the test.
var clients = []struct {
	name    string
	program string
	args    []string
	refusal *regexp.Regexp
}{
	{
		"curl", "curl",
		[]string{"-sS", "-o", "/dev/null", "https://localhost:PORT/"},
		regexp.MustCompile(`curl: \(60\) SSL certificate problem`),
	}, {
		"OpenSSL", "openssl",
		[]string{"s_client", "-connect", "localhost:PORT", "-verify_hostname", "localhost", "-verify_return_error", "-brief"},
		regexp.MustCompile(`verify error:num=`),
	}, {
		"OpenSSL, hash directory alone", "openssl",
		[]string{"s_client", "-connect", "localhost:PORT", "-verify_hostname", "localhost", "-verify_return_error", "-brief", "-no-CAfile", "-no-CAstore", "-CApath", certsDir},
		regexp.MustCompile(`verify error:num=`),
	}, {
		"GnuTLS", "gnutls-cli",
		[]string{"--port", "PORT", "localhost"},
		regexp.MustCompile(`(?i)the certificate is NOT trusted`),
	}, {
		"Python", "/usr/bin/python3",
		[]string{"-I", "-c", "import urllib.request; urllib.request.urlopen('https://localhost:PORT/')"},
		regexp.MustCompile(`CERTIFICATE_VERIFY_FAILED`),
	}, {
		"wget", "wget",
		[]string{"-nv", "--tries=1", "-O", "/dev/null", "https://localhost:PORT/"},
		regexp.MustCompile(`certificate of .localhost. is not trusted|cannot verify localhost's certificate`),
	}, {
		"git", "git",
		[]string{"ls-remote", "https://localhost:PORT/repository.git"},
		regexp.MustCompile(`certificate verification failed|SSL certificate problem`),
	}, {
		"Go", kitDir + "/e2e",
		[]string{"https://localhost:PORT/"},
		regexp.MustCompile(`certificate signed by unknown authority`),
	}, {
		"Java", "java",
		[]string{"-XX:TieredStopAtLevel=1", "-cp", kitDir, "Probe", "https://localhost:PORT/"},
		regexp.MustCompile(`unable to find valid certification path`),
	},
}

// ask asks all clients whether they accept the server at a port.
func ask(t *testing.T, port string, accept bool) {
	t.Helper()
	var all sync.WaitGroup
	for _, c := range clients {
		need(t, c.program)
		var args []string
		for _, a := range c.args {
			args = append(args, strings.ReplaceAll(a, "PORT", port))
		}
		all.Go(func() {
			cmd := asUser(command(c.program, args...), nobody, "/nonexistent")
			cmd.Env = append(cmd.Env, roleVar+"=get") // for the client that is this binary
			r := output(t, cmd)
			switch words := c.refusal.FindString(r.stdout + r.stderr); {
			case r.code == 0 && !accept:
				t.Errorf("%s accepts the server", c.name)
			case r.code != 0 && words == "":
				t.Errorf("%s neither accepts nor refuses the server: %v", c.name, r)
			case r.code != 0 && accept:
				t.Errorf("%s refuses the server: %s", c.name, words)
			}
		})
	}
	all.Wait()
}

func accepted(t *testing.T, port string) { t.Helper(); ask(t, port, true) }

func refused(t *testing.T, port string) { t.Helper(); ask(t, port, false) }

// roleGet is a Go client: it fetches a URL with the system's roots.
func roleGet(*testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, os.Args[1], nil)
	if err == nil {
		_, err = http.DefaultClient.Do(req)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}
