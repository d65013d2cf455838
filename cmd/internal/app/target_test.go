package app

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/probe"
	"github.com/certtrust/certtrust/store/diagnose"
)

// readTarget reads a command line that names a server.
func readTarget(t *testing.T, env map[string]string, args ...string) (diagnose.Target, error) {
	t.Helper()
	streams, _, _ := term.Test("")
	a := &App{Host: host.Fake(t.TempDir()), Streams: streams}
	a.Host.Env = func(name string) string { return env[name] }
	var out diagnose.Target
	app := &cli.App{Flags: targetFlags(), Action: func(c *cli.Context) (err error) {
		out, err = a.target(c, c.Args().First())
		return err
	}}
	err := app.Run(append([]string{"certtrust"}, args...))
	out.Input = ""
	return out, err
}

// What the probe can upgrade is what a person can name, and the other way round.
func TestStartTLSNames(t *testing.T) {
	if names := slices.Sorted(slices.Values(startTLSNames())); !slices.Equal(names, probe.Protocols()) {
		t.Errorf("%q can be named, and %q upgraded", names, probe.Protocols())
	}
}

func TestTarget(t *testing.T) {
	for _, test := range []struct {
		args string
		want diagnose.Target
	}{
		{"www.example.com", diagnose.Target{Host: "www.example.com", Port: 443, HTTPS: true}},
		{"WWW.Example.COM.", diagnose.Target{Host: "www.example.com", Port: 443, HTTPS: true}},
		{"www.example.com:8443", diagnose.Target{Host: "www.example.com", Port: 8443, HTTPS: true}},
		{"www.example.com:8443/path?q", diagnose.Target{Host: "www.example.com", Port: 8443, HTTPS: true}},
		{"mail.example.com:993", diagnose.Target{Host: "mail.example.com", Port: 993}},
		{"https://user:pass@www.example.com/path?q#f", diagnose.Target{Host: "www.example.com", Port: 443, HTTPS: true}},
		{"HTTPS://www.example.com:444/", diagnose.Target{Host: "www.example.com", Port: 444, HTTPS: true}},
		{"http://www.example.com/", diagnose.Target{Host: "www.example.com", Port: 443, HTTPS: true}},
		{"http://www.example.com:80/", diagnose.Target{Host: "www.example.com", Port: 443, HTTPS: true}},
		{"ldaps://ldap.example.com", diagnose.Target{Host: "ldap.example.com", Port: 636}},
		{"postgres://db.example.com/name", diagnose.Target{Host: "db.example.com", Port: 5432, StartTLS: "postgres"}},
		{"smtp://mail.example.com:2525", diagnose.Target{Host: "mail.example.com", Port: 2525, StartTLS: "smtp"}},
		{"--starttls smtp mail.example.com", diagnose.Target{Host: "mail.example.com", Port: 25, StartTLS: "smtp"}},
		{"--starttls smtp mail.example.com:587", diagnose.Target{Host: "mail.example.com", Port: 587, StartTLS: "smtp"}},
		{"--starttls imap mail.example.com:443", diagnose.Target{Host: "mail.example.com", Port: 443, StartTLS: "imap"}},
		{"192.0.2.1", diagnose.Target{Host: "192.0.2.1", Port: 443, HTTPS: true}},
		{"2001:db8::1", diagnose.Target{Host: "2001:db8::1", Port: 443, HTTPS: true}},
		{"[2001:DB8::1]", diagnose.Target{Host: "2001:db8::1", Port: 443, HTTPS: true}},
		{"[2001:db8::1]:8443", diagnose.Target{Host: "2001:db8::1", Port: 8443, HTTPS: true}},
		{"https://[2001:db8::1]:8443/", diagnose.Target{Host: "2001:db8::1", Port: 8443, HTTPS: true}},
		{"日本語.jp", diagnose.Target{Host: "xn--wgv71a119e.jp", Port: 443, HTTPS: true}},
		{"my_host.internal", diagnose.Target{Host: "my_host.internal", Port: 443, HTTPS: true}},
		{"--sni Other.example --connect 127.0.0.1:8443 www.example.com", diagnose.Target{Host: "www.example.com", Port: 443, HTTPS: true, ServerName: "other.example", Connect: "127.0.0.1:8443"}},
		{"--proxy proxy.example:3128 www.example.com", diagnose.Target{Host: "www.example.com", Port: 443, HTTPS: true, Proxy: "proxy.example:3128"}},
	} {
		got, err := readTarget(t, nil, strings.Fields(test.args)...)
		if err != nil {
			t.Errorf("%s: %v", test.args, err)
		} else if d := cmp.Diff(test.want, got); d != "" {
			t.Errorf("%s: %s", test.args, d)
		}
	}
}

func TestTargetRefused(t *testing.T) {
	for _, args := range []string{
		"www.example.com:0", "www.example.com:65536", "www.example.com:https", "https://", "gopher://x", "exa\x1bmple.com", "a b",
		"--starttls telnet x", "--connect host:443 x", "--connect 127.0.0.1 x", "--proxy socks5://x:1 y", "[::1", "[::1]x", "a:b:c",
		"/path", strings.Repeat("a", 254), "--sni a/b x",
	} {
		fields := strings.Fields(args)
		if strings.HasPrefix(args, "a b") || strings.Contains(args, "\x1b") {
			fields = []string{args}
		}
		if got, err := readTarget(t, nil, fields...); err == nil || exitOf(err) != 2 {
			t.Errorf("%q: %+v, error %v", args, got, err)
		}
	}
}

// Programs go through the proxy of the environment, and not for every host.
func TestProxy(t *testing.T) {
	env := map[string]string{"https_proxy": "http://user:secret@proxy.example:3128", "NO_PROXY": "internal.example"}
	for _, test := range []struct{ args, want string }{
		{"www.example.com", "proxy.example:3128"},
		{"internal.example", ""},
		{"localhost", ""},
		{"127.0.0.1", ""},
		{"--proxy none www.example.com", ""},
		{"--proxy other:8080 www.example.com", "other:8080"},
		{"--connect 192.0.2.1:443 www.example.com", ""},
	} {
		got, err := readTarget(t, env, strings.Fields(test.args)...)
		if err != nil || got.Proxy != test.want {
			t.Errorf("%s: proxy %q, error %v", test.args, got.Proxy, err)
		}
	}
}

func FuzzTarget(f *testing.F) {
	for _, seed := range []string{"www.example.com:443", "https://[::1]:8443/x", "smtp://m", "::", "日本語.jp"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := readTarget(t, nil, "--", text)
		if err == nil && (got.Port < 1 || got.Port > 65535 || got.Host == "" || strings.ContainsAny(got.Host, " \r\n\x1b/")) {
			t.Errorf("%q: %+v", text, got)
		}
	})
}
