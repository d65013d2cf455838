//go:build linux

package e2e

import (
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certtrust/certtrust/platform/probe"
	"github.com/certtrust/certtrust/platform/probe/probetest"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/diagnose"
)

// A judgement is what a client made of a server.
type judgement struct {
	accepts bool
	words   string // its own, if it refuses
}

// sameAsked are the servers that real clients and certtrust are asked about.
func sameAsked() []probetest.Case {
	var cases []probetest.Case
	for _, c := range probetest.Cases() {
		// What a clock that is wrong does only certtrust can be told, which has
		// a clock for tests; the others need something else than HTTPS.
		// How a browser takes a leaf depends on how it is stored, and where a
		// page leads to on what is there: neither is what this is about.
		if c.Name != "leaf-as-anchor" && c.Name != "good-redirect" && c.Now == 0 && c.StartTLS == "" && !c.Proxy && !c.NoHTTP && !c.Hostile && !c.Slow && len(c.Failure) == 0 && len(c.Clients) > 0 {
			cases = append(cases, c)
		}
	}
	if all := os.Getenv(allCasesVar); all != "" {
		return cases
	}
	// Which ones are in is the same every time, and of each kind there are some.
	const sample = 5
	return slices.DeleteFunc(cases, func(c probetest.Case) bool {
		sum := sha256.Sum256([]byte(c.Name))
		return sum[0]%sample != 0 && !slices.Contains(always, c.Name)
	})
}

// allCasesVar asks for all servers, and not only for a sample.
const allCasesVar = "CERTTRUST_E2E_ALL"

// always has the servers that clients are least of one mind about.
var always = []string{
	"good", "self-signed", "untrusted-root", "stale-root", "missing-intermediate-pem", "cross-sign-dead-end", "expired", "intermediate-expired", "root-expired",
	"expired-wrong-name", "wrong-name", "cn-only", "sha1-leaf", "weak-rsa-1024", "eku-client-only", "not-a-ca", "name-constraints", "ca-as-leaf", "revoked-stapled",
	"must-staple-missing", "path-length",
}

// Certtrust foretells what real clients do, which ask the same servers with
// the same roots, and what each of them calls it.
func TestDiagnoseAgreesWithClients(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		settle(t)
		need(t, "certutil", "firefox-esr", "chromium", "curl", "openssl", "java")
		profile, home := t.TempDir(), t.TempDir()
		shared := filepath.Join(home, ".pki", "nssdb")
		for _, dir := range []string{profile, shared} {
			os.MkdirAll(dir, 0o700)
			must(t, command("certutil", "-N", "--empty-password", "-d", "sql:"+dir))
		}
		hosts := "127.0.0.1 localhost\n"
		var servers []*probetest.Server
		var urls, names []string
		var everywhere []store.Entry
		for _, c := range sameAsked() {
			s, err := probetest.Start(t.Context(), c, probetest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			// What certtrust itself takes for granted is tried with its one store.
			if slices.ContainsFunc(s.Entries, func(e store.Entry) bool {
				return e.Cert == nil || !e.Trust.Equal(store.TrustFor(store.Trusted, store.PurposeAny), true) && !e.Trust.Equal(store.TrustFor(store.Trusted, store.PurposeServerAuth), true)
			}) || s.Other != nil {
				continue
			}
			servers = append(servers, s)
			urls = append(urls, "https://"+net.JoinHostPort(c.Host, fmt.Sprint(s.Target.Port))+"/")
			if net.ParseIP(c.Host) == nil {
				hosts += "127.0.0.1 " + c.Host + "\n"
				names = append(names, c.Host)
			}
			everywhere = append(everywhere, s.Entries...)
			for i, root := range s.Roots() {
				anchor := filepath.Join(anchorDir, fmt.Sprintf("%s-%d.crt", c.Name, i))
				file := write(t, "root.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}))
				if err := copyFile(file, anchor); err != nil {
					t.Fatal(err)
				}
				for _, dir := range []string{profile, shared} {
					must(t, command("certutil", "-A", "-n", c.Name+fmt.Sprint(i), "-t", "C,,", "-i", file, "-d", "sql:"+dir))
				}
			}
		}
		if len(servers) < 15 {
			t.Fatalf("%d servers are too few", len(servers))
		}
		if err := os.WriteFile("/etc/hosts", []byte(hosts), 0o644); err != nil {
			t.Fatal(err)
		}
		must(t, command("update-ca-certificates"))

		real := map[string]map[string]judgement{}
		begin := time.Now()
		took := func(what string) { t.Logf("%s took %v", what, time.Since(begin)); begin = time.Now() }
		real["firefox"] = ofBrowser(t, startFirefox(t, profile, names...), urls)
		took("Firefox")
		real["chromium"] = ofBrowser(t, startChromium(t, home), urls)
		took("Chromium")
		real["curl"], real["openssl"] = map[string]judgement{}, map[string]judgement{}
		for i, url := range urls {
			real["curl"][url] = ofCurl(t, url)
			real["openssl"][url] = ofOpenSSL(t, servers[i].Target)
		}
		took("curl and OpenSSL")
		real["java"] = ofJava(t, urls)
		took("Java")

		agreed := 0
		for i, s := range servers {
			doc := diagnosed(t, s)
			// The databases that the browsers have here are none that certtrust
			// is shown: it is told what is in them.
			doc.Clients = append(doc.Clients[:0:0], doc.Clients...)
			for j, c := range doc.Clients {
				if c.ID == "firefox" || c.ID == "chromium" {
					doc.Clients[j] = foretold(t, s, c.ID, everywhere)
				}
			}
			for _, client := range slices.Sorted(maps.Keys(real)) {
				was := real[client][urls[i]]
				at := slices.IndexFunc(doc.Clients, func(c diagnose.ClientView) bool { return c.ID == client })
				if at < 0 || doc.Clients[at].Accepts == nil {
					t.Errorf("%s: nothing is said of %s", s.Case.Name, client)
					continue
				}
				said := doc.Clients[at]
				switch {
				case *said.Accepts != was.accepts:
					t.Errorf("%s: %s accepts %v, not %v as foretold (%s %s): %s", s.Case.Name, client, was.accepts, *said.Accepts, said.Error, said.Why, was.words)
				case !was.accepts && !wordless(client, was.words) && !sameWords(said.Error, was.words):
					t.Errorf("%s: %s says %q, and not %q", s.Case.Name, client, was.words, said.Error)
				default:
					agreed++
				}
				if want, known := s.Case.Clients[client]; known && want != was.accepts {
					t.Errorf("%s: the table says of %s %v, and it says %v: %s", s.Case.Name, client, want, was.accepts, was.words)
				}
			}
		}
		took("certtrust")
		t.Logf("%d servers, %d judgements of %d agree", len(servers), agreed, len(servers)*len(real))
	})
}

// foretold is what certtrust says of a browser whose database holds what is
// installed everywhere.
func foretold(t *testing.T, s *probetest.Server, browser string, everywhere []store.Entry) diagnose.ClientView {
	t.Helper()
	capture := probe.Probe(t.Context(), s.Target, probe.Options{})
	doc := diagnose.Diagnose(t.Context(), diagnose.Input{
		Capture: *capture, Now: time.Now(), OS: "linux", Fetcher: probe.NewFetcher(probe.FetchOptions{Target: probe.TargetAddr(capture)}),
		Views: []diagnose.View{{Info: store.Info{ID: store.ID("nss:" + browser), Backend: "nss", Scope: store.ScopeUser, Readers: []string{browser}},
			Entries: everywhere, Counts: true, Programme: true}},
	})
	at := slices.IndexFunc(doc.Clients, func(c diagnose.ClientView) bool { return c.ID == browser })
	if at < 0 {
		t.Fatalf("nothing is said of %s", browser)
	}
	return doc.Clients[at]
}

// diagnosed asks certtrust about a server.
func diagnosed(t *testing.T, s *probetest.Server) diagnose.Document {
	t.Helper()
	r := output(t, certtrust("diagnose", "--json", "--system", "--connect", s.Addr, s.Target.Input))
	if r.code != 0 && r.code != 3 && r.code != 8 {
		t.Fatal(r)
	}
	var doc diagnose.Document
	if err := json.Unmarshal([]byte(r.stdout), &doc); err != nil {
		t.Fatalf("%v: %v", r, err)
	}
	return doc
}

// wordless tells whether a client's own words are not to be compared: Firefox's
// page for some errors has none, and which of several things Java complains of
// depends on how it happens to look.
func wordless(client, words string) bool {
	return client == "java" || strings.Contains(words, "about:neterror?e=nssFailure")
}

// noWords is what is in an error beside its words: Java's classes.
var noWords = regexp.MustCompile(`[a-z.]*exception: |[^a-z0-9]+`)

// sameWords tells whether one of two ways to write an error is part of the
// other.
func sameWords(a, b string) bool {
	a, b = noWords.ReplaceAllString(strings.ToLower(a), ""), noWords.ReplaceAllString(strings.ToLower(b), "")
	return a != "" && b != "" && (strings.Contains(a, b) || strings.Contains(b, a))
}

func ofBrowser(t *testing.T, b browser, urls []string) map[string]judgement {
	t.Helper()
	out := map[string]judgement{}
	for _, url := range urls {
		words := b.load(t, url)
		out[url] = judgement{words == "", words}
	}
	return out
}

func ofCurl(t *testing.T, url string) judgement {
	t.Helper()
	r := output(t, command("curl", "-sS", "--max-time", "30", "-o", "/dev/null", url))
	return judgement{r.code == 0, strings.TrimSpace(r.stderr)}
}

var verifyError = regexp.MustCompile(`verify error:num=\d+:.*|Verification error: .*`)

func ofOpenSSL(t *testing.T, target diagnose.Target) judgement {
	t.Helper()
	name := []string{"-servername", target.Host, "-verify_hostname", target.Host}
	if net.ParseIP(target.Host) != nil {
		name = []string{"-verify_ip", target.Host}
	}
	r := output(t, command("openssl", append([]string{"s_client", "-connect", target.Connect, "-verify_return_error", "-brief"}, name...)...))
	return judgement{r.code == 0, verifyError.FindString(r.stdout + r.stderr)}
}

// ofJava has one machine ask all.
func ofJava(t *testing.T, urls []string) map[string]judgement {
	t.Helper()
	r := output(t, command("java", append([]string{"-cp", kitDir, "Probe"}, urls...)...))
	out := map[string]judgement{}
	for line := range strings.Lines(r.stdout) {
		verdict, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		url, words, _ := strings.Cut(rest, " ")
		out[url] = judgement{verdict == "accepted", words}
	}
	if len(out) != len(urls) {
		t.Fatalf("Java said %v", r)
	}
	return out
}

// What --fix does is the right thing: a client that refused the server takes it
// then, and refuses it again after undo.
func TestDiagnoseFix(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		settle(t)
		need(t, "curl")
		c, known := probetest.Find("untrusted-root")
		if !known {
			t.Fatal("there is no such server")
		}
		s, err := probetest.Start(t.Context(), c, probetest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		if err := os.WriteFile("/etc/hosts", []byte("127.0.0.1 localhost "+c.Host+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		url := "https://" + s.Target.Input + "/"
		curl := func(accept bool) {
			t.Helper()
			if was := ofCurl(t, url); was.accepts != accept {
				t.Errorf("curl accepts %v: %s", was.accepts, was.words)
			}
		}
		start := trust()
		curl(false)
		expect(t, 3, certtrust("diagnose", s.Target.Input))
		expect(t, 5, certtrust("diagnose", "--fix", s.Target.Input))
		same(t, start)
		root := store.FingerprintOf(s.Sent[len(s.Sent)-1]).String()
		expect(t, 0, certtrust("diagnose", "--fix", "--fingerprint", root, s.Target.Input))
		curl(true)
		expect(t, 0, certtrust("diagnose", "--system", s.Target.Input))
		expect(t, 0, certtrust("undo"))
		curl(false)
		same(t, start)
	})
}
