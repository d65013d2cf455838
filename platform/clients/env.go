package clients

import (
	"context"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/diagnose"
)

// Variable is a variable to be set, so that programs trust chosen roots.
type Variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// Effect is what it does to the roots that its readers have otherwise.
	Effect diagnose.OverrideKind `json:"effect"`
	For    []string              `json:"for"`            // titles of those who read it
	Note   string                `json:"note,omitempty"` // what a person should know
	Now    string                `json:"now,omitempty"`  // what it is set to in the caller's environment, if that is something else
}

// Unmended is a program that no variable helps, and what does.
type Unmended struct {
	Title string `json:"title"`
	Why   string `json:"why"`
	Hint  string `json:"hint"`
}

// Pointers are the files that variables name: the chosen roots, those and the
// system's, the same for Java, and settings of wget.
type Pointers struct{ Extra, Merged, Java, Wget string }

// envRow is a row of the table of variables.
type envRow struct {
	name     string
	value    func(Pointers) string
	effect   diagnose.OverrideKind
	programs []string // any of them makes the row count; nil = it always does
	titles   []string
	systems  []string // nil = all
	note     string
}

func extra(p Pointers) string   { return p.Extra }
func merged(p Pointers) string  { return p.Merged }
func wgetrc(p Pointers) string  { return p.Wget }
func javaOpt(p Pointers) string { return quoteJava("-Djavax.net.ssl.trustStore=" + p.Java) }

// quoteJava writes an option as Java takes it out of a variable: there are
// quotes of two kinds, and nothing else means anything.
func quoteJava(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\"'") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'"'"'`) + "'"
}

func literal(text string) func(Pointers) string { return func(Pointers) string { return text } }

// envRows are the variables, each as its programs were seen to take it but for
// those marked with *, which are from their documentation. What replaces the
// roots that a program has gets them merged, what adds to them gets the chosen
// ones alone.
var envRows = []envRow{
	{name: "SSL_CERT_FILE", value: merged, effect: diagnose.Replaces, titles: []string{"OpenSSL", "Python", "Ruby", "PHP", "Perl", "Go", "Cargo", "Bun", ".NET"}, systems: unix},
	{name: "SSL_CERT_FILE", value: merged, effect: diagnose.Replaces, titles: []string{"OpenSSL", "Python", "Ruby", "PHP", "Cargo"}, systems: []string{"darwin", "windows"}},
	{name: "CURL_CA_BUNDLE", value: merged, effect: diagnose.Replaces, programs: []string{"curl"}, titles: []string{"curl"}},
	{name: "GIT_SSL_CAINFO", value: merged, effect: diagnose.Replaces, programs: []string{"git"}, titles: []string{"Git"}},
	{name: "WGETRC", value: wgetrc, effect: diagnose.Replaces, programs: []string{"wget"}, titles: []string{"wget"}, note: "it holds your ~/.wgetrc as it is now"},
	{name: "REQUESTS_CA_BUNDLE", value: merged, effect: diagnose.Replaces, programs: []string{"python3", "python", "pip3", "pip", "aws", "conda", "gcloud"}, titles: []string{"Requests", "pip", "AWS tools", "conda", "gcloud"}},
	{name: "PIP_CERT", value: merged, effect: diagnose.Replaces, programs: []string{"pip3", "pip"}, titles: []string{"pip"}},
	{name: "AWS_CA_BUNDLE", value: merged, effect: diagnose.Replaces, programs: []string{"aws"}, titles: []string{"AWS tools"}},
	{name: "CONDA_SSL_VERIFY", value: merged, effect: diagnose.Replaces, programs: []string{"conda", "mamba"}, titles: []string{"conda"}}, // *
	{name: "NODE_EXTRA_CA_CERTS", value: extra, effect: diagnose.Adds, programs: []string{"node", "nodejs", "npm", "deno", "bun"}, titles: []string{"Node.js", "npm", "Deno", "Bun"}},
	{name: "NODE_USE_SYSTEM_CA", value: literal("1"), effect: diagnose.Adds, programs: []string{"node", "nodejs", "npm"}, titles: []string{"Node.js 22.15 or newer"}},
	{name: "npm_config_cafile", value: merged, effect: diagnose.Replaces, programs: []string{"npm"}, titles: []string{"npm"}},
	{name: "DENO_CERT", value: extra, effect: diagnose.Adds, programs: []string{"deno"}, titles: []string{"Deno"}},
	{name: "DENO_TLS_CA_STORE", value: literal("system,mozilla"), effect: diagnose.Adds, programs: []string{"deno"}, titles: []string{"Deno"}},
	{name: "JAVA_TOOL_OPTIONS", value: javaOpt, effect: diagnose.Replaces, programs: []string{"java"}, titles: []string{"Java"}, note: "Java tells on standard error that it has picked it up"},
	{name: "PERL_LWP_SSL_CA_FILE", value: merged, effect: diagnose.Replaces, programs: []string{"perl"}, titles: []string{"Perl's LWP"}},
	{name: "CARGO_HTTP_CAINFO", value: merged, effect: diagnose.Replaces, programs: []string{"cargo"}, titles: []string{"Cargo"}},
	{name: "PGSSLROOTCERT", value: merged, effect: diagnose.Replaces, programs: []string{"psql"}, titles: []string{"PostgreSQL's clients"}, note: "without PGSSLMODE=verify-full they verify no name"},
	{name: "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", value: merged, effect: diagnose.Replaces, programs: []string{"gcloud", "gsutil", "bq"}, titles: []string{"gcloud", "gsutil", "bq"}},
	{name: "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", value: merged, effect: diagnose.Replaces, programs: []string{"gcloud", "grpc_cli"}, titles: []string{"gRPC"}}, // *
	{name: "NIX_SSL_CERT_FILE", value: merged, effect: diagnose.Replaces, programs: []string{"nix", "nix-env"}, titles: []string{"Nix"}},                     // *
	{name: "HEX_CACERTS_PATH", value: merged, effect: diagnose.Replaces, programs: []string{"mix"}, titles: []string{"Hex"}},                                 // *
	{name: "BUNDLE_SSL_CA_CERT", value: merged, effect: diagnose.Replaces, programs: []string{"bundle"}, titles: []string{"Bundler"}},                        // *
	{name: "COMPOSER_CAFILE", value: merged, effect: diagnose.Replaces, programs: []string{"composer"}, titles: []string{"Composer"}},                        // *
}

// unmended are programs that no variable helps.
var unmended = []struct {
	programs []string
	systems  []string
	Unmended
}{
	{[]string{"firefox", "firefox-esr"}, nil, Unmended{"Firefox", "it reads no variable", "certtrust trust FILE --user"}},
	{[]string{"chromium", "google-chrome", "chrome"}, nil, Unmended{"Chromium", "it reads no variable", "certtrust trust FILE --user"}},
	{[]string{"gnutls-cli"}, nil, Unmended{"GnuTLS", "it reads the system's store and no variable", "certtrust trust FILE --system"}},
	{[]string{"apt-get"}, nil, Unmended{"apt", "it reads the system's store; Acquire::https::CaInfo in its settings names another file", "certtrust trust FILE --system"}},
	{[]string{"erl", "elixir"}, nil, Unmended{"Erlang", "it reads the system's store and no variable", "certtrust trust FILE --system"}},
	{[]string{"dockerd", "docker"}, nil, Unmended{"Docker", "its daemon has an environment of its own", "certtrust trust FILE --system, or /etc/docker/certs.d/HOST:PORT/ca.crt"}},
	{[]string{"containerd"}, nil, Unmended{"containerd", "its daemon has an environment of its own", "certtrust trust FILE --system, or /etc/containerd/certs.d/HOST/hosts.toml"}},
	{[]string{"go"}, []string{"darwin", "windows"}, Unmended{"programs in Go", "they ask the system, and no variable counts", "certtrust trust FILE --system"}},
	{[]string{"snap"}, nil, Unmended{"snaps", "a strictly confined snap sees neither these files nor the system's store", "look at how the snap takes certificates"}},
}

// Environment returns the variables for the programs that are present, or all of
// them, and the programs that no variable helps. nodeOld tells that Node cannot
// read the system's roots beside its own.
func Environment(h *host.Host, environ []string, at Pointers, all, nodeOld bool) (out []Variable, not []Unmended) {
	a := &asking{h: h, q: Question{Environ: environ}}
	a.readEnviron()
	present := func(programs []string) bool {
		if all || programs == nil {
			return true
		}
		_, err := a.find(programs)
		return err == nil
	}
	now := map[string]string{}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		now[name] = value
	}
	for _, r := range envRows {
		if r.systems != nil && !slices.Contains(r.systems, h.OS) || !present(r.programs) {
			continue
		}
		v := Variable{Name: r.name, Value: r.value(at), Effect: r.effect, For: r.titles, Note: r.note}
		switch {
		case r.name == "NODE_EXTRA_CA_CERTS" && nodeOld:
			v.Value, v.Note = at.Merged, "with the system's roots, which this Node does not read by itself"
		case r.name == "JAVA_TOOL_OPTIONS":
			// What else is in it stays.
			var keep []string
			for _, word := range words(now[r.name]) {
				if !strings.HasPrefix(word, "-Djavax.net.ssl.trustStore") {
					keep = append(keep, quoteJava(word))
				}
			}
			v.Value = strings.Join(append(keep, v.Value), " ")
		}
		if was := now[r.name]; was != "" && was != v.Value {
			v.Now = store.Printable(cut(was))
		}
		out = append(out, v)
	}
	for _, u := range unmended {
		if (u.systems == nil || slices.Contains(u.systems, h.OS)) && !all && present(u.programs) {
			not = append(not, u.Unmended)
		}
	}
	return out, not
}

// Outdone returns what counts more for a program than a variable that it heeds
// otherwise, and does not hold the chosen roots: with it the variable is set in vain.
func Outdone(ctx context.Context, h *host.Host, environ []string, variables []Variable, chosen []*store.Cert) (out []diagnose.Override) {
	names, after, heed := []string{}, []string{}, map[string]bool{}
	for _, v := range variables {
		names, after = append(names, v.Name), append(after, v.Name+"="+v.Value)
		for _, r := range variablesOf(v.Name) {
			for _, client := range r.clients {
				heed[client] = true
			}
		}
	}
	for _, pair := range environ {
		if name, _, _ := strings.Cut(pair, "="); !slices.Contains(names, name) {
			after = append(after, pair)
		}
	}
	all := Overrides(ctx, h, after)
	for _, o := range all {
		if slices.Contains(names, o.Source) {
			heed[o.Client] = false // it does
		}
	}
	for _, o := range all {
		lacks := slices.ContainsFunc(chosen, func(c *store.Cert) bool {
			return !slices.ContainsFunc(o.Roots, func(r *store.Cert) bool { return r.SHA256 == c.SHA256 })
		})
		if heed[o.Client] && o.Effect != diagnose.Disables && lacks {
			out = append(out, o)
		}
	}
	return out
}

// variablesOf returns the rules of a variable.
func variablesOf(name string) (out []rule) {
	for _, r := range variables {
		if slices.Contains(r.names, name) {
			out = append(out, r)
		}
	}
	return out
}

var nodeVersion = re(`^v(\d+)\.(\d+)\.`)

// NodeIsOld reports whether a version that Node tells of itself is one that does
// not know NODE_USE_SYSTEM_CA.
func NodeIsOld(version string) bool {
	m := nodeVersion().FindStringSubmatch(version)
	if m == nil {
		return true
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	return major < 22 || major == 22 && minor < 15 || major == 23 && minor < 9
}

// FindProgram returns the path of a program as the caller would run it, "" if it
// is not installed.
func FindProgram(h *host.Host, environ []string, names ...string) string {
	a := &asking{h: h, q: Question{Environ: environ}}
	a.readEnviron()
	p, err := a.find(names)
	if err != nil {
		return ""
	}
	return path.Clean(p)
}
