package bundles

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// place is where programs keep bundles of their own. In patterns * stands for
// any name, and ~ for the user's home.
type place struct {
	patterns []string
	title    string
	managed  string // who owns them, "" = whoever put them there
	readers  []string
	fixed    string // why they are only read
	variable string // makes the readers take another file
	// beside tells of a file why its readers have the system's roots, too.
	beside func(h *host.Host, file string) string
}

var places = sync.OnceValue(func() []place {
	return []place{
		{patterns: pythons("certifi/cacert.pem"), title: "certifi", variable: "REQUESTS_CA_BUNDLE", managed: "Python's package certifi", readers: []string{"Requests and others in Python"}},
		{patterns: pythons("pip/_vendor/certifi/cacert.pem"), title: "pip's certifi", variable: "PIP_CERT", managed: "pip", readers: []string{"pip"}, beside: besideSystem},
		{patterns: slices.Concat(pythons("botocore/cacert.pem"), pythons("awscli/botocore/cacert.pem"), []string{"/usr/local/aws-cli/v2/current/dist/awscli/botocore/cacert.pem", "~/.local/share/aws-cli/v2/current/dist/awscli/botocore/cacert.pem", "C:/Program Files/Amazon/AWSCLIV2/awscli/botocore/cacert.pem"}),
			title: "botocore", variable: "AWS_CA_BUNDLE", managed: "the AWS CLI", readers: []string{"AWS tools"}},
		{patterns: below(sdks, "lib/third_party/certifi/cacert.pem"), title: "gcloud", variable: "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", managed: "gcloud", readers: []string{"gcloud"}},
		{patterns: below(sdks, "platform/gsutil/gslib/data/cacerts.txt"), title: "gsutil", variable: "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", managed: "gcloud", readers: []string{"gsutil"}},
		{patterns: below(sdks, "platform/bq/third_party/certifi/cacert.pem"), title: "bq", variable: "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", managed: "gcloud", readers: []string{"bq"}},
		{patterns: below(sdks, "platform/bundledpythonunix/lib/python3*/site-packages/grpc/_cython/_credentials/roots.pem"), title: "gcloud's gRPC", variable: "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", managed: "gcloud", readers: []string{"commands of gcloud that use gRPC"}},
		{patterns: pythons("grpc/_cython/_credentials/roots.pem"), title: "gRPC", variable: "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", managed: "Python's package grpcio", readers: []string{"programs in Python that use gRPC"}},
		{patterns: slices.Concat(below(condas, "ssl/cacert.pem"), below(condas, "envs/*/ssl/cacert.pem"), below(condas, "Library/ssl/cacert.pem"), below(condas, "envs/*/Library/ssl/cacert.pem"), []string{"~/.conda/envs/*/ssl/cacert.pem", "$CONDA_PREFIX/ssl/cacert.pem"}),
			title: "conda's OpenSSL", variable: "SSL_CERT_FILE", managed: "conda", readers: []string{"programs of the conda environment"}},
		{patterns: slices.Concat(below(brews, "etc/ca-certificates/cert.pem"), below(brews, "etc/openssl@3/cert.pem"), below(brews, "etc/openssl@1.1/cert.pem")),
			title: "Homebrew's OpenSSL", variable: "SSL_CERT_FILE", managed: "Homebrew, which makes it of the system's roots when it is installed (brew postinstall ca-certificates)", readers: []string{"programs of Homebrew"}},
		{patterns: []string{"C:/Program Files/Git/mingw64/etc/ssl/certs/ca-bundle.crt", "C:/Program Files/Git/mingw64/ssl/certs/ca-bundle.crt", "C:/Program Files/Git/usr/ssl/certs/ca-bundle.crt"},
			title: "Git for Windows", variable: "GIT_SSL_CAINFO", managed: "Git for Windows", readers: []string{"Git with http.sslBackend=openssl"}},
		{patterns: []string{"/usr/lib/ruby/vendor_ruby/rubygems/ssl_certs/*/*.pem", "/usr/lib/ruby/*/rubygems/ssl_certs/*/*.pem", "~/.rbenv/versions/*/lib/ruby/*/rubygems/ssl_certs/*/*.pem", "~/.rvm/rubies/*/lib/ruby/*/rubygems/ssl_certs/*/*.pem"},
			title: "RubyGems", managed: "RubyGems", readers: []string{"gem"}, beside: func(*host.Host, string) string { return "gem has those of OpenSSL, too" }},
		{patterns: []string{"~/.nvm/versions/node/*/lib/node_modules/*/cacert.pem", "/usr/share/php/composer/ca-bundle/res/cacert.pem", "/usr/share/php/Composer/CaBundle/../res/cacert.pem", "~/.composer/vendor/composer/ca-bundle/res/cacert.pem", "~/.config/composer/vendor/composer/ca-bundle/res/cacert.pem"},
			title: "Composer", variable: "COMPOSER_CAFILE", managed: "Composer", readers: []string{"Composer, where the system has no bundle"}},
		// Each is a certificate of its own. What is in "ca" beside it is no anchor, in
		// "my" are keys, and "disallowed" .NET refuses to open if there is anything in it
		// (dotnet/runtime, OpenSslDirectoryBasedStoreProvider).
		{patterns: []string{"~/.dotnet/corefx/cryptography/x509stores/root/*.pfx"}, title: ".NET, for this user", readers: []string{".NET, beside what the system has"},
			fixed: "it is .NET's own, in a form that is only read here: X509Store changes it, from a program or PowerShell"},
		{patterns: []string{"~/.postgresql/root.crt"}, title: "PostgreSQL's clients", variable: "PGSSLROOTCERT", readers: []string{"psql and what uses libpq"}},
	}
})

// files returns what a place has.
func (p place) files(ctx context.Context, h *host.Host) (out []string) {
	for _, pattern := range p.patterns {
		out = append(out, glob(ctx, h, pattern)...)
	}
	return out
}

// sdks are where gcloud is installed, condas conda and what is like it, and brews
// Homebrew.
var (
	sdks = []string{"/usr/lib/google-cloud-sdk", "/usr/lib64/google-cloud-sdk", "/opt/google-cloud-sdk", "/usr/local/google-cloud-sdk", "/snap/google-cloud-cli/current", "/snap/google-cloud-sdk/current",
		"/opt/homebrew/share/google-cloud-sdk", "/usr/local/share/google-cloud-sdk", "~/google-cloud-sdk", "$CLOUDSDK_ROOT_DIR", "C:/Program Files (x86)/Google/Cloud SDK/google-cloud-sdk", "~/AppData/Local/Google/Cloud SDK/google-cloud-sdk"}
	condas = []string{"/opt/conda", "/opt/miniconda3", "/opt/anaconda3", "/opt/miniforge3", "/opt/homebrew/Caskroom/miniconda/base", "/opt/homebrew/Caskroom/miniforge/base",
		"~/miniconda3", "~/anaconda3", "~/miniforge3", "~/mambaforge", "~/micromamba", "~/.local/share/mamba", "$CONDA_ROOT", "$MAMBA_ROOT_PREFIX", "C:/ProgramData/miniconda3", "C:/ProgramData/anaconda3"}
	brews = []string{"/opt/homebrew", "/usr/local", "/home/linuxbrew/.linuxbrew", "~/.linuxbrew", "$HOMEBREW_PREFIX"}
)

// below returns where a file is in each of some directories.
func below(dirs []string, file string) (out []string) {
	for _, dir := range dirs {
		out = append(out, dir+"/"+file)
	}
	return out
}

// pythons are the places of a package in every Python environment.
func pythons(file string) []string {
	const packages = "lib/python3*/site-packages/"
	return slices.Concat(
		below([]string{"/usr/lib/python3*/dist-packages", "/usr/lib/python3/dist-packages", "/usr/local/lib/python3*/dist-packages", "/usr/lib64/python3*/site-packages"}, file),
		below([]string{"/usr", "/usr/local", "/opt/*", "/opt/homebrew", "/opt/homebrew/Cellar/*/*/libexec", "/home/linuxbrew/.linuxbrew", "/Library/Frameworks/Python.framework/Versions/*",
			"~/.local", "~/.venv", "~/.pyenv/versions/*", "~/.pyenv/versions/*/envs/*", "~/.local/share/pipx/venvs/*", "~/.local/pipx/venvs/*", "~/.local/share/uv/tools/*", "~/.local/share/uv/python/*",
			"~/.local/share/mise/installs/python/*", "~/.asdf/installs/python/*", "~/.local/share/hatch/env/virtual/*/*/*", "~/.cache/pypoetry/virtualenvs/*", "~/.virtualenvs/*", "~/.local/share/virtualenvs/*",
			"$VIRTUAL_ENV", "$CONDA_PREFIX", "$PWD/.venv", "$PWD/venv", "$PWD/env"}, packages+file),
		below(condas, packages+file), below(condas, "envs/*/"+packages+file), below([]string{"~/.conda/envs/*"}, packages+file),
		below([]string{"~/AppData/Local/Programs/Python/*", "C:/Program Files/Python3*", "C:/Python3*", "$VIRTUAL_ENV", "$CONDA_PREFIX", "$PWD/.venv", "$PWD/venv"}, "Lib/site-packages/"+file),
		below(condas, "Lib/site-packages/"+file), below(condas, "envs/*/Lib/site-packages/"+file),
	)
}

// besideSystem tells of pip's certifi that this pip takes the system's roots as
// well, as it does from 24.2 on with Python 3.10 or newer.
func besideSystem(h *host.Host, file string) string {
	code, err := h.ReadFile(path.Join(path.Dir(file), "../../__init__.py"), 1<<16)
	pip := regexp.MustCompile(`(?m)^__version__ = "(\d+)\.(\d+)`).FindSubmatch(code)
	python := regexp.MustCompile(`(?i)/python3\.?(\d+)[^/]*/`).FindStringSubmatch(file)
	if err != nil || pip == nil || python == nil {
		return ""
	}
	major, _ := strconv.Atoi(string(pip[1]))
	minor, _ := strconv.Atoi(string(pip[2]))
	if n, _ := strconv.Atoi(python[1]); n < 10 || major < 24 || major == 24 && minor < 2 {
		return ""
	}
	return "pip from version 24.2 on reads them, too"
}

// systemBundles are the files of the system's own store, to which packages of
// distributions link instead of bringing roots along.
var systemBundles = []string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/var/lib/ca-certificates/ca-bundle.pem",
	"/etc/ca-certificates/extracted/tls-ca-bundle.pem", "/etc/ssl/cert.pem", "/etc/ssl/certs/ca-bundle.crt",
}

// within are programs whose roots are in no file of their own, where the system
// has them or in a home directory, as their installers put them there.
var within = []struct {
	program string
	homes   []string
	why     string
}{
	{"node", []string{"~/.nvm/versions/node/*/bin/node", "~/.volta/bin/node", "~/.local/share/fnm/node-versions/*/installation/bin/node"}, "Node.js brings roots along inside the program: NODE_USE_SYSTEM_CA=1 or NODE_EXTRA_CA_CERTS adds to them (certtrust env)"},
	{"npm", nil, "npm has Node's roots, unless cafile is set (certtrust env)"},
	{"deno", []string{"~/.deno/bin/deno"}, "Deno brings roots along inside the program: DENO_TLS_CA_STORE=system,mozilla makes it follow the system (certtrust env)"},
	{"bun", []string{"~/.bun/bin/bun"}, "Bun brings roots along inside the program and reads the system's too: NODE_EXTRA_CA_CERTS adds to them (certtrust env)"},
	{"ruby", nil, "Ruby follows the system, by OpenSSL's defaults"},
	{"php", nil, "PHP follows the system, by OpenSSL's defaults, unless openssl.cafile is set"},
	{"git", nil, "Git follows the system, unless http.sslCAInfo is set"},
	{"cargo", []string{"~/.cargo/bin/cargo"}, "Cargo follows the system, unless http.cainfo is set"},
	{"dotnet", []string{"~/.dotnet/dotnet"}, ".NET follows the system on Linux, with what is in ~/.dotnet/corefx/cryptography/x509stores beside it"},
}

// maxFound is how many bundles are told, and maxMatches how many directories a
// pattern is taken to name.
const (
	maxFound   = 500
	maxMatches = 2000
)

// DetectUser returns the bundles below the user's home directory, and the
// reasons. It runs nothing and changes nothing.
func DetectUser(ctx context.Context, h *host.Host) ([]store.Store, []string) {
	return detect(ctx, h, true)
}

// DetectSystem returns the bundles everywhere else.
func DetectSystem(ctx context.Context, h *host.Host) ([]store.Store, []string) {
	return detect(ctx, h, false)
}

func detect(ctx context.Context, h *host.Host, user bool) (out []store.Store, reasons []string) {
	because := func(format string, args ...any) {
		if text := fmt.Sprintf(format, args...); !slices.Contains(reasons, text) {
			reasons = append(reasons, text)
		}
	}
	home := h.User.Home
	own := func(p string) bool {
		return home != "" && home != "/" && !(h.EUID == 0 && h.User.UID == 0) && strings.HasPrefix(p, strings.TrimSuffix(home, "/")+"/")
	}
	var system []string
	for _, p := range systemBundles {
		if resolved, err := h.Resolve(p); err == nil {
			system = append(system, resolved)
		}
	}
	seen := map[string]bool{}
	add := func(file string, p place) {
		info, err := h.Stat(file)
		if err != nil || !info.Mode().IsRegular() {
			return
		}
		resolved, err := h.Resolve(file)
		if err != nil || own(file) != user || seen[resolved] || len(out) >= maxFound {
			return
		}
		seen[resolved] = true
		switch {
		case slices.Contains(system, resolved):
			because("%s (%s) follows the system: it is the system's own bundle", store.Printable(file), p.title)
			return
		case patched(h, file):
			because("%s (%s) is read by nobody: the distribution has its package follow the system", store.Printable(file), p.title)
			return
		}
		o := options{title: p.title, scope: store.ScopeSystem, readers: p.readers, managed: p.managed, fixed: p.fixed}
		if user {
			o.scope, o.owner = store.ScopeUser, h.User.Name
		}
		why := ""
		if p.beside != nil {
			why = p.beside(h, file)
		}
		switch {
		case why != "":
			if p.managed != "" { // of the others that goes without saying
				o.title += ", beside the system's roots"
			}
			because("%s (%s) is beside the system's roots: %s", store.Printable(file), p.title, why)
		case p.variable != "":
			because("%s (%s) does not follow the system: %s names another (certtrust env)", store.Printable(file), p.title, p.variable)
		default:
			because("%s (%s) does not follow the system", store.Printable(file), p.title)
		}
		out = append(out, openFile(h, resolved, o))
	}
	for _, p := range places() {
		for _, file := range p.files(ctx, h) {
			add(file, p)
		}
	}
	for _, f := range registryFiles(ctx, h, because) {
		title := f.title + ", for " + store.Printable(strings.Join(f.registries, ", "))
		if len(f.readers) == 0 {
			title += ", not in force"
		}
		add(f.path, place{title: title, readers: f.readers, beside: func(*host.Host, string) string { return "who reads it has those, too" }})
	}
	if len(out) == 0 {
		because("no program was found that has a file of roots for itself")
	}
	for _, w := range within {
		_, err := h.LookPath(w.program)
		here := err == nil
		if user {
			here = slices.ContainsFunc(w.homes, func(pattern string) bool {
				return slices.ContainsFunc(glob(ctx, h, pattern), func(file string) bool { _, err := h.Stat(file); return err == nil })
			})
		}
		if here {
			because("%s", w.why)
		}
	}
	return out, reasons
}

// patched reports whether certifi was changed to name the system's bundle, as
// Debian and others do, whatever file lies beside.
func patched(h *host.Host, file string) bool {
	code, err := h.ReadFile(path.Join(path.Dir(file), "core.py"), 1<<18)
	return err == nil && slices.ContainsFunc(systemBundles, func(p string) bool { return strings.Contains(string(code), p) })
}

// glob returns what a pattern names.
func glob(ctx context.Context, h *host.Host, pattern string) []string {
	first, rest, _ := strings.Cut(pattern, "/")
	base := "/"
	switch {
	case first == "~":
		if h.User.Home == "" {
			return nil
		}
		base = h.User.Home
	case strings.HasPrefix(first, "$"):
		base = h.Env(first[1:])
		drive := false
		if h.OS == "windows" {
			base = strings.ReplaceAll(base, `\`, "/")
			drive = len(base) > 2 && base[1:3] == ":/"
		}
		if h.User.Via != "" || !path.IsAbs(base) && !drive {
			return nil
		}
	case strings.HasSuffix(first, ":"):
		if h.OS != "windows" {
			return nil
		}
		base = first + "/"
	}
	found := []string{path.Clean(base)}
	parts := strings.Split(rest, "/")
	for i, part := range parts {
		var next []string
		for _, dir := range found {
			if !strings.Contains(part, "*") {
				next = append(next, path.Join(dir, part))
				continue
			}
			entries, err := h.ReadDir(dir)
			if err != nil || ctx.Err() != nil {
				continue
			}
			for _, e := range entries {
				ok, _ := path.Match(part, e.Name())
				if ok && len(next) < maxMatches && (i == len(parts)-1 || e.IsDir() || e.Type()&fs.ModeSymlink != 0) {
					next = append(next, path.Join(dir, e.Name()))
				}
			}
		}
		found = next
	}
	return found
}
