package keychain

import (
	"context"
	"strconv"
	"strings"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// version is that of macOS; zero = unknown.
type version struct{ major, minor int }

// since reports whether it is that version or a newer one. What is not known
// is taken for new: newer versions only ask for more.
func (v version) since(major, minor int) bool {
	return v == version{} || v.major > major || v.major == major && v.minor >= minor
}

func readVersion(h *host.Host) (version, string) {
	data, err := h.ReadFile(versionPath, 1<<20)
	if err != nil {
		return version{}, "no " + versionPath + ", so the version of macOS is unknown"
	}
	var dict struct {
		ProductVersion string
	}
	if err := unmarshal(data, &dict); err != nil {
		return version{}, versionPath + " cannot be read, so the version of macOS is unknown"
	}
	var v version
	parts := strings.Split(dict.ProductVersion, ".")
	if v.major, err = strconv.Atoi(parts[0]); err != nil {
		return version{}, versionPath + " tells no version"
	}
	if len(parts) > 1 {
		v.minor, _ = strconv.Atoi(parts[1])
	}
	return v, "macOS " + store.Printable(dict.ProductVersion)
}

// authorization is what a change of trust settings takes.
type authorization struct {
	text   string // said beforehand
	dialog bool   // a person must answer
	hint   string // what to do where nobody can
}

// profile is the way that works without anybody at the screen.
const profile = "install them by a configuration profile of your device management: certtrust export --input FILE --format mobileconfig makes one"

// authorizations tells what macOS asks for (authorization.plist and server.m of
// authd), newest first: the first row that fits counts.
var authorizations = []struct {
	domain *domain
	since  version
	authorization
}{
	{adminDomain, version{15, 0}, authorization{"an administrator's password in a dialog, even of root; scripts cannot lift that", true, profile}},
	{adminDomain, version{11, 0}, authorization{"an administrator's password in a dialog, even of root", true,
		profile + "; on a machine for tests: sudo security authorizationdb write com.apple.trust-settings.admin allow"}},
	{adminDomain, version{}, authorization{"nothing more than to be root", false, ""}},
	{userDomain, version{11, 0}, authorization{"the user's password in a dialog", true,
		profile + "; on a machine for tests: sudo security authorizationdb write com.apple.trust-settings.user allow"}},
	{userDomain, version{}, authorization{"the user's password in a dialog", true, "run it in a terminal on the screen; or " + profile}},
}

func authorizationFor(d *domain, v version) authorization {
	for _, row := range authorizations {
		if row.domain == d && v.since(row.since.major, row.since.minor) {
			return row.authorization
		}
	}
	return authorization{}
}

// nobody returns why nobody can answer a dialog, "" if that is not known.
func nobody(h *host.Host) string {
	env := func(keys ...string) bool {
		for _, k := range keys {
			if h.Env(k) != "" {
				return true
			}
		}
		return false
	}
	service := h.Env("XPC_SERVICE_NAME")
	switch {
	case env("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"):
		return "this is a session over ssh"
	case env("CI", "GITHUB_ACTIONS", "BUILDKITE", "TF_BUILD", "JENKINS_URL"):
		return "this is a run of continuous integration"
	case service != "" && service != "0" && !strings.HasPrefix(service, "application.") && !env("TERM"):
		return "this is a job of launchd (" + store.Printable(service) + ")"
	}
	if uid, known := h.Owner("/dev/console"); known && uid == 0 && h.Root == "" {
		return "nobody is logged in at the screen"
	}
	return ""
}

// opened reports whether the right that a change takes was opened to everybody,
// as is done on machines for tests.
func (s *Store) opened(ctx context.Context) bool {
	out, err := s.security(ctx, "authorizationdb", "read", s.domain.right)
	if err != nil {
		return false
	}
	var rule struct {
		Class string   `plist:"class"`
		Rule  []string `plist:"rule"`
	}
	if err := unmarshal(out.Stdout, &rule); err != nil {
		return false
	}
	return rule.Class == "allow" || rule.Class == "rule" && len(rule.Rule) == 1 && rule.Rule[0] == "allow"
}

// userTrustDisabled reports whether users' own settings count for nothing.
func userTrustDisabled(h *host.Host) bool {
	data, err := h.ReadFile(prefsPath, 1<<20)
	if err != nil {
		return false
	}
	var prefs struct{ DisableUserTrustSettings bool }
	err = unmarshal(data, &prefs)
	return err == nil && prefs.DisableUserTrustSettings
}

// bundles are the files that Homebrew's OpenSSL reads instead of the keychain.
var bundles = []string{
	"/opt/homebrew/etc/ca-certificates/cert.pem", "/opt/homebrew/etc/openssl@3/cert.pem", "/opt/homebrew/etc/openssl@1.1/cert.pem",
	"/usr/local/etc/ca-certificates/cert.pem", "/usr/local/etc/openssl@3/cert.pem", "/usr/local/etc/openssl@1.1/cert.pem",
}

// homebrew returns the bundles that there are, each once.
func homebrew(h *host.Host) []string {
	var out []string
	seen := map[string]bool{}
	for _, p := range bundles {
		real, err := h.Resolve(p)
		if err != nil || seen[real] || !exists(h, real) {
			continue
		}
		seen[real] = true
		out = append(out, p)
	}
	return out
}

func homebrewReasons(h *host.Host) []string {
	if found := homebrew(h); len(found) > 0 {
		return []string{"Homebrew's OpenSSL, and what is built with it, reads " + strings.Join(found, ", ") + " and not the keychain"}
	}
	return nil
}

// homebrewNotice tells who will not heed a change.
func homebrewNotice(h *host.Host) string {
	found := homebrew(h)
	if len(found) == 0 {
		return ""
	}
	return "Homebrew's OpenSSL, and curl, Python and others that are built with it, do not heed the keychain but " + strings.Join(found, ", ") +
		", which certtrust does not change; brew postinstall ca-certificates makes it anew"
}
