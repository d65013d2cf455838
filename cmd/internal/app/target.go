package app

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/net/http/httpproxy"
	"golang.org/x/net/idna"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/diagnose"
)

// services are the protocols that a URL or --starttls can name: the port that
// they are found at (IANA), and by which command TLS begins, "" if at once.
var services = []service{
	{"https", 443, "", true},
	{"wss", 443, "", true},
	{"ldaps", 636, "", false},
	{"smtps", 465, "", false},
	{"submissions", 465, "", false},
	{"imaps", 993, "", false},
	{"pop3s", 995, "", false},
	{"ftps", 990, "", false},
	{"dot", 853, "", false},
	{"sips", 5061, "", false},
	{"amqps", 5671, "", false},
	{"mqtts", 8883, "", false},
	{"ircs", 6697, "", false},
	{"smtp", 25, "smtp", false},
	{"submission", 587, "smtp", false},
	{"lmtp", 24, "lmtp", false},
	{"imap", 143, "imap", false},
	{"pop3", 110, "pop3", false},
	{"ftp", 21, "ftp", false},
	{"nntp", 119, "nntp", false},
	{"sieve", 4190, "sieve", false},
	{"ldap", 389, "ldap", false},
	{"xmpp", 5222, "xmpp", false},
	{"xmpp-server", 5269, "xmpp-server", false},
	{"postgres", 5432, "postgres", false},
	{"postgresql", 5432, "postgres", false},
	{"mysql", 3306, "mysql", false},
	{"mariadb", 3306, "mysql", false},
}

type service struct {
	name     string
	port     int
	startTLS string
	http     bool // HTTP is spoken on top
}

// startTLSNames are the values of --starttls.
func startTLSNames() []string {
	var names []string
	for _, s := range services {
		if s.startTLS != "" && !slices.Contains(names, s.startTLS) {
			names = append(names, s.startTLS)
		}
	}
	return names
}

func targetFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "sni", Usage: "ask for, and expect, the `NAME` instead of the host"},
		&cli.StringFlag{Name: "connect", Usage: "connect to `IP:PORT` instead of what the name leads to"},
		&cli.StringFlag{Name: "starttls", Usage: "begin in the clear, as `PROTOCOL` does: " + words(startTLSNames())},
		&cli.StringFlag{Name: "proxy", Usage: "go through the HTTP proxy `HOST:PORT`, or \"none\"", DefaultText: "that of https_proxy and no_proxy"},
	}
}

// target reads how a person names a server, HOST, HOST:PORT or a URL, and what
// the flags add to that.
func (a *App) target(c *cli.Context, text string) (diagnose.Target, error) {
	t := diagnose.Target{Input: text}
	wrong := func(format string, args ...any) (diagnose.Target, error) {
		return t, usageHint("give HOST, HOST:PORT or a URL", "\"%s\": "+format, append([]any{store.Printable(text)}, args...)...)
	}
	authority, kind := strings.TrimSpace(text), services[0]
	if scheme, _, isURL := strings.Cut(authority, "://"); isURL {
		u, err := url.Parse(authority)
		if err != nil || u.Host == "" {
			return wrong("not a URL that names a host")
		}
		i := slices.IndexFunc(services, func(s service) bool { return s.name == strings.ToLower(scheme) })
		switch {
		case i >= 0:
			kind = services[i]
		case strings.EqualFold(scheme, "http"):
			// Whoever has trouble with certificates there was led to HTTPS.
		default:
			return wrong("no service of that name is known")
		}
		authority = u.Host
		if strings.EqualFold(scheme, "http") && u.Port() == "80" {
			authority = strings.TrimSuffix(authority, ":80")
		}
	}
	authority, _, _ = strings.Cut(authority, "/")
	host, port := splitPort(authority)
	t.Port, t.StartTLS, t.HTTPS = kind.port, kind.startTLS, kind.http
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return wrong("%s is no port", store.Printable(port))
		}
		t.Port = int(n)
		for _, s := range services {
			t.HTTPS = t.HTTPS && (s.port != t.Port || s.http)
		}
	}
	var err error
	if t.Host, err = asciiHost(host); err != nil {
		return wrong("%s", err)
	}
	if c.IsSet("starttls") {
		name := c.String("starttls")
		i := slices.Index(startTLSNames(), name)
		if i < 0 {
			return t, usage("--starttls %s: not one of %s", store.Printable(name), words(startTLSNames()))
		}
		t.StartTLS, t.HTTPS = name, false
		for _, s := range services {
			if port == "" && t.Port == services[0].port && s.startTLS == name {
				t.Port = s.port
			}
		}
	}
	if c.IsSet("sni") {
		if t.ServerName, err = asciiHost(c.String("sni")); err != nil {
			return t, usage("--sni %s: %s", store.Printable(c.String("sni")), err)
		}
	}
	if t.Connect = c.String("connect"); c.IsSet("connect") {
		if _, err := netip.ParseAddrPort(t.Connect); err != nil {
			return t, usage("--connect %s: not IP:PORT", store.Printable(t.Connect))
		}
		return t, nil
	}
	t.Proxy, err = a.proxy(c, t)
	return t, err
}

// splitPort takes HOST:PORT apart. An IPv6 address with a port has brackets;
// what does not fit is left in the host.
func splitPort(authority string) (host, port string) {
	if _, err := netip.ParseAddr(authority); err == nil {
		return authority, ""
	}
	if inner, rest, closed := strings.Cut(strings.TrimPrefix(authority, "["), "]"); closed && strings.HasPrefix(authority, "[") {
		if rest == "" {
			return inner, ""
		}
		if port, isPort := strings.CutPrefix(rest, ":"); isPort {
			return inner, port
		}
		return authority, ""
	}
	if i := strings.LastIndexByte(authority, ':'); i >= 0 {
		return authority[:i], authority[i+1:]
	}
	return authority, ""
}

// asciiHost returns a host as the network knows it: international names in
// their ASCII form (RFC 5891), IP addresses as they are.
func asciiHost(host string) (string, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.String(), nil
	}
	name, err := idna.Lookup.ToASCII(strings.TrimSuffix(host, "."))
	if err != nil {
		// Names with an underscore are none by the rules, and yet in use.
		name = strings.ToLower(strings.TrimSuffix(host, "."))
	}
	if name == "" {
		return "", usage("there is no host name in it")
	}
	if len(name) > 253 || strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_' || r == '*')
	}) {
		return "", usage("that is no host name")
	}
	return name, nil
}

// proxy returns the proxy that programs here go through to reach a server.
func (a *App) proxy(c *cli.Context, t diagnose.Target) (string, error) {
	raw := c.String("proxy")
	if c.IsSet("proxy") {
		if raw == "none" {
			return "", nil
		}
	} else {
		env := func(name string) string {
			if v := a.Host.Env(strings.ToLower(name)); v != "" {
				return v
			}
			return a.Host.Env(name)
		}
		config := httpproxy.Config{HTTPSProxy: env("HTTPS_PROXY"), NoProxy: env("NO_PROXY")}
		host := t.Host
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		u, err := config.ProxyFunc()(&url.URL{Scheme: "https", Host: host + ":" + strconv.Itoa(t.Port)})
		if err != nil || u == nil {
			return "", nil
		}
		raw = u.String()
	}
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" {
		return "", usage("the proxy %s is not HOST:PORT of an HTTP proxy", store.Printable(raw))
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	host := u.Hostname()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + port, nil
}
