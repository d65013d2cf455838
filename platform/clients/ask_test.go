package clients

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// programs makes a machine with programs that do what run does.
func programs(t *testing.T, run func(name string, c host.Command) (string, int), names ...string) *host.Host {
	t.Helper()
	h := machine(t, nil)
	for _, name := range names {
		file := filepath.Join(h.Root, "usr", "bin", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("#!"), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	h.Runner = func(_ context.Context, c host.Command) (host.Output, error) {
		text, code := run(filepath.Base(c.Args[0]), c)
		out := host.Output{Stderr: []byte(text)}
		if code != 0 {
			return out, &host.ExecError{Args: c.Args, ExitCode: code, Stderr: out.Stderr}
		}
		return out, nil
	}
	return h
}

// A program that accepts everything verifies nothing, whatever it says of the
// server that it is asked about.
func TestControl(t *testing.T) {
	const refusal = "curl: (60) SSL certificate problem: self-signed certificate"
	h := programs(t, func(name string, c host.Command) (string, int) {
		own := slices.Contains(c.Env, "MINE=1")
		if languages := slices.DeleteFunc(slices.Clone(c.Env), func(pair string) bool { return !strings.HasPrefix(pair, "LC_ALL=") }); languages[len(languages)-1] != "LC_ALL=C.UTF-8" {
			t.Errorf("%s speaks another language than is understood: %q", name, languages)
		}
		switch last := c.Args[len(c.Args)-1]; {
		case last == "--version" || name == "openssl" && last == "version":
			return "Picked up _JAVA_OPTIONS: -Da=b\n" + name + " 1.0\x1b[31m", 0
		case name == "openssl": // it accepts everything
			return "", 0
		case name == "wget": // it never gets there
			return "no route to host", 4
		case strings.Contains(last, "localhost"):
			return refusal, 60
		case own:
			return "", 0
		}
		return refusal, 60
	}, "curl", "openssl", "wget")
	answers, err := Ask(t.Context(), h, Question{Host: "server.example", Port: 443, HTTP: true, Environ: []string{"MINE=1", "LC_ALL=de_DE.UTF-8", "PATH=/usr/bin"}, Clients: []string{"curl", "openssl", "wget", "git"}})
	if err != nil || len(answers) != 4 {
		t.Fatalf("%+v, %v", answers, err)
	}
	by := map[string]Answer{}
	for _, a := range answers {
		by[a.Client] = a
	}
	if c := by["curl"]; !c.Verifies() || c.Clean.Verdict != Refuses || c.Own.Verdict != Accepts || c.Clean.Words != refusal || strings.Contains(c.Version, "\x1b") || !strings.HasPrefix(c.Version, "curl 1.0") {
		t.Errorf("%+v", c)
	}
	if c := by["openssl"]; c.Verifies() || c.Control.Verdict != Accepts {
		t.Errorf("%+v", c)
	}
	if c := by["wget"]; c.Verifies() || c.Clean.Verdict != Unknown || !strings.Contains(c.Clean.Words, "no route") {
		t.Errorf("%+v", c)
	}
	if !by["git"].Absent {
		t.Errorf("%+v", by["git"])
	}
	if _, err := Ask(t.Context(), h, Question{Clients: []string{"no such"}}); !errors.Is(err, store.ErrInput) {
		t.Errorf("an unknown program: %v", err)
	}
}

// Nothing that a server sends is run: pip would run a source distribution, and a
// browser of root's has no sandbox.
func TestNothingIsRun(t *testing.T) {
	h := programs(t, func(_ string, c host.Command) (string, int) {
		if pip := strings.HasSuffix(c.Args[0], "pip3"); pip && len(c.Args) > 2 && (!strings.HasSuffix(c.Args[len(c.Args)-1], ".whl") || !slices.Contains(c.Args, ":all:")) {
			t.Errorf("pip is run as %q", c.Args)
		}
		return "", 0
	}, "pip3", "chromium")
	for euid, absent := range map[int]bool{0: true, 1000: false} {
		h.EUID, h.User.UID = euid, euid
		answers, err := Ask(t.Context(), h, Question{Host: "server.example", Port: 443, HTTP: true, Clients: []string{"pip", "chromium"}})
		if err != nil || answers[1].Absent != absent {
			t.Errorf("of the user %d: %+v, %v", euid, answers, err)
		}
	}
}

// Programs are asked beside one another, but not all at once, and none has more
// time than it is given.
func TestAtOnce(t *testing.T) {
	names := []string{"curl", "openssl", "gnutls-cli", "wget", "git", "python3", "node", "ruby", "php"}
	var running, most atomic.Int32
	full := make(chan struct{})
	h := programs(t, func(string, host.Command) (string, int) { return "", 0 }, names...)
	h.Runner = func(ctx context.Context, c host.Command) (host.Output, error) {
		if c.Timeout != 7*time.Second {
			t.Errorf("%q has %v", c.Args, c.Timeout)
		}
		n := running.Add(1)
		defer running.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if n == atOnce { // as many as may be: nobody waits any more
			select {
			case <-full:
			default:
				close(full)
			}
		}
		select {
		case <-full:
			return host.Output{}, nil
		case <-ctx.Done():
			return host.Output{}, ctx.Err()
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	answers, err := Ask(ctx, h, Question{Host: "server.example", Port: 443, HTTP: true, Timeout: 7 * time.Second, Clients: []string{"curl", "openssl", "gnutls", "wget", "git", "python", "node", "ruby", "php"}})
	if err != nil || len(answers) != len(names) || most.Load() != atOnce {
		t.Errorf("%d answers, %d at once: %v", len(answers), most.Load(), err)
	}
}

// A program that never got to the server says why in its own words: in whichever
// stream, on whichever line, before or after what it says of everything. One that
// ends as if all was well has not accepted anything.
func TestNoConnection(t *testing.T) {
	const trace = "Traceback (most recent call last):\n  File \"<string>\", line 2, in <module>\n    sock.connect(sa)\n"
	for _, c := range []struct {
		client, out, err string
		code             int
		want             string
	}{
		{"node", "ECONNREFUSED connect ECONNREFUSED 127.0.0.1:1\n", "Picked up JAVA_TOOL_OPTIONS: -Dx=refused\n", 1, "ECONNREFUSED connect ECONNREFUSED 127.0.0.1:1"},
		{"python", "", trace + "ConnectionRefusedError: [Errno 111] Connection refused\n", 1, "ConnectionRefusedError: [Errno 111] Connection refused"},
		{"curl", "", "curl: (35) error:0A00010B:SSL routines::wrong version number\x1b[1m\n", 35, "curl: (35) error:0A00010B:SSL routines::wrong version number" + store.Printable("\x1b[1m")},
		{"openssl", "", "first\nlast\n\n", 1, "last"},
		{"git", "", "", 128, "/usr/bin/git: exit code 128"},
		{"pip", "Looking in indexes: https://x/\nCould not fetch URL https://x/: connection error: [Errno 111] Connection refused\n", "ERROR: No matching distribution found for x\n", 1, "Could not fetch URL https://x/: connection error: [Errno 111] Connection refused"},
		{"w3m", "", "w3m: Can't load https://x/.\n", 0, "w3m: Can't load https://x/."},
		{"chromium", "<html><head></head><body></body></html>\n", "[1:1] Page load timed out.\n", 0, "[1:1] Page load timed out."},
		{"cargo", "", "error: download of config.json failed\n\nCaused by:\n  [7] Could not connect to server (connection refused)\n", 101, "[7] Could not connect to server (connection refused)"},
	} {
		h := programs(t, func(_ string, cmd host.Command) (string, int) { return "", 0 }, "node", "java", "python3", "curl", "openssl", "git", "pip3", "w3m", "chromium", "cargo")
		h.EUID = h.User.UID // root would give files to that user
		if err := os.MkdirAll(filepath.Join(h.Root, "tmp"), 0o755); err != nil {
			t.Fatal(err)
		}
		h.Runner = func(_ context.Context, cmd host.Command) (host.Output, error) {
			out := host.Output{Stdout: []byte(c.out), Stderr: []byte(c.err)}
			if c.code == 0 {
				return out, nil
			}
			return out, &host.ExecError{Args: cmd.Args, ExitCode: c.code, Stderr: out.Stderr}
		}
		answers, err := Ask(t.Context(), h, Question{Host: "server.example", Port: 443, HTTP: true, Clients: []string{c.client}})
		if err != nil {
			t.Fatal(err)
		}
		if got := answers[0].Clean; got.Verdict != Unknown || got.Words != c.want {
			t.Errorf("%s: %+v, want %q", c.client, got, c.want)
		}
	}
}

// Whatever a variable is for, its value names a file that holds what its effect
// says, and what was set before is told.
func TestEnvironment(t *testing.T) {
	h := machine(t, nil)
	at := Pointers{Extra: "/env/extra.pem", Merged: "/env/merged.pem", Java: "/env/merged.jks", Wget: "/env/wgetrc"}
	list, _ := Environment(h, []string{"SSL_CERT_FILE=/else\x1b[31m", "JAVA_TOOL_OPTIONS=-Xmx1g -Djavax.net.ssl.trustStore=/old"}, at, true, false)
	seen := map[string]Variable{}
	for _, v := range list {
		if _, twice := seen[v.Name]; twice {
			t.Errorf("%s is set twice", v.Name)
		}
		seen[v.Name] = v
		if v.Effect == "adds" && strings.Contains(v.Value, at.Merged) || v.Effect == "replaces" && strings.Contains(v.Value, at.Extra) {
			t.Errorf("%s %s the roots, and is %s", v.Name, v.Effect, v.Value)
		}
	}
	if v := seen["SSL_CERT_FILE"]; v.Now != store.Printable("/else\x1b[31m") {
		t.Errorf("%+v", v)
	}
	if v := seen["JAVA_TOOL_OPTIONS"]; v.Value != "-Xmx1g -Djavax.net.ssl.trustStore=/env/merged.jks" {
		t.Errorf("%+v", v)
	}
	// What Java is told beside it stays as Java takes it, and so does a path with
	// spaces or quotes.
	at.Java = "/Ann's files/merged.jks"
	list, _ = Environment(h, []string{`JAVA_TOOL_OPTIONS=-Xmx1g '-Da=b c' -Dd="it's"  -Djavax.net.ssl.trustStoreType=JKS`}, at, true, false)
	i := slices.IndexFunc(list, func(v Variable) bool { return v.Name == "JAVA_TOOL_OPTIONS" })
	if got, want := words(list[i].Value), []string{"-Xmx1g", "-Da=b c", "-Dd=it's", "-Djavax.net.ssl.trustStore=/Ann's files/merged.jks"}; !slices.Equal(got, want) {
		t.Errorf("Java gets %q of %s", got, list[i].Value)
	}
	for version, old := range map[string]bool{"v20.1.0": true, "v22.14.9": true, "v22.15.0": false, "v23.8.0": true, "v23.9.0": false, "v24.0.0": false, "?": true} {
		if NodeIsOld(version) != old {
			t.Errorf("%s: %t", version, !old)
		}
	}
}
