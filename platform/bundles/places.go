package bundles

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/toml"
	"github.com/certtrust/certtrust/store"
)

// place is where programs keep bundles of their own. In patterns * stands for
// any name, and ~ for the user's home.
type place struct {
	patterns []string
	title    string
	managed  string // who owns them, "" = whoever put them there
	readers  []string
	registry bool   // the directory tells which registry they are for
	fixed    string // why they are only read
}

var places = sync.OnceValue(func() []place {
	return []place{
		{patterns: pythons("certifi/cacert.pem"), title: "certifi", managed: "Python's package certifi", readers: []string{"Requests and others in Python"}},
		{patterns: pythons("pip/_vendor/certifi/cacert.pem"), title: "pip's certifi", managed: "pip", readers: []string{"pip"}},
		{patterns: pythons("botocore/cacert.pem"), title: "botocore", managed: "the AWS CLI", readers: []string{"AWS tools"}},
		{patterns: []string{"/usr/lib/google-cloud-sdk/lib/third_party/certifi/cacert.pem", "/opt/google-cloud-sdk/lib/third_party/certifi/cacert.pem", "/snap/google-cloud-cli/current/lib/third_party/certifi/cacert.pem",
			"~/google-cloud-sdk/lib/third_party/certifi/cacert.pem", "/usr/lib/google-cloud-sdk/lib/third_party/grpc/_cython/_credentials/roots.pem", "~/google-cloud-sdk/lib/third_party/grpc/_cython/_credentials/roots.pem"},
			title: "gcloud", managed: "gcloud", readers: []string{"gcloud", "gsutil"}},
		{patterns: []string{"/opt/conda/ssl/cacert.pem", "~/miniconda3/ssl/cacert.pem", "~/anaconda3/ssl/cacert.pem", "~/miniforge3/ssl/cacert.pem", "~/.conda/envs/*/ssl/cacert.pem", "~/miniconda3/envs/*/ssl/cacert.pem", "~/miniforge3/envs/*/ssl/cacert.pem"},
			title: "conda's OpenSSL", managed: "conda", readers: []string{"programs of the conda environment"}},
		{patterns: []string{"/opt/homebrew/etc/ca-certificates/cert.pem", "/opt/homebrew/etc/openssl@3/cert.pem", "/usr/local/etc/ca-certificates/cert.pem", "/usr/local/etc/openssl@3/cert.pem", "/home/linuxbrew/.linuxbrew/etc/ca-certificates/cert.pem", "/home/linuxbrew/.linuxbrew/etc/openssl@3/cert.pem"},
			title: "Homebrew's OpenSSL", managed: "Homebrew, which makes it of the system's roots when it is installed (brew postinstall ca-certificates)", readers: []string{"programs of Homebrew"}},
		{patterns: []string{"C:/Program Files/Git/mingw64/etc/ssl/certs/ca-bundle.crt", "C:/Program Files/Git/mingw64/ssl/certs/ca-bundle.crt", "C:/Program Files/Git/usr/ssl/certs/ca-bundle.crt"},
			title: "Git for Windows", managed: "Git for Windows", readers: []string{"Git with http.sslBackend=openssl"}},
		{patterns: []string{"/usr/lib/ruby/vendor_ruby/rubygems/ssl_certs/*/*.pem", "/usr/lib/ruby/*/rubygems/ssl_certs/*/*.pem", "~/.rbenv/versions/*/lib/ruby/*/rubygems/ssl_certs/*/*.pem", "~/.rvm/rubies/*/lib/ruby/*/rubygems/ssl_certs/*/*.pem"},
			title: "RubyGems", managed: "RubyGems", readers: []string{"gem, beside what OpenSSL has"}},
		{patterns: []string{"~/.nvm/versions/node/*/lib/node_modules/*/cacert.pem", "/usr/share/php/composer/ca-bundle/res/cacert.pem", "/usr/share/php/Composer/CaBundle/../res/cacert.pem", "~/.composer/vendor/composer/ca-bundle/res/cacert.pem", "~/.config/composer/vendor/composer/ca-bundle/res/cacert.pem"},
			title: "Composer", managed: "Composer", readers: []string{"Composer, where the system has no bundle"}},
		{patterns: []string{"/etc/docker/certs.d/*/*.crt", "~/.docker/certs.d/*/*.crt", "~/.config/docker/certs.d/*/*.crt"}, title: "Docker", readers: []string{"Docker", "Podman, Skopeo, Buildah, if they have none of their own"}, registry: true},
		{patterns: []string{"/etc/containers/certs.d/*/*.crt", "/usr/share/containers/certs.d/*/*.crt", "~/.config/containers/certs.d/*/*.crt"}, title: "Podman", readers: []string{"Podman, Skopeo, Buildah"}, registry: true},
		{patterns: []string{"/etc/containerd/certs.d/*/" + hostsFile, "/etc/containerd/certs.d/*/*.crt"}, title: "containerd", readers: []string{"containerd"}, registry: true},
		// Each is a certificate of its own. What is in "ca" beside it is no anchor, in
		// "my" are keys, and "disallowed" .NET refuses to open if there is anything in it
		// (dotnet/runtime, OpenSslDirectoryBasedStoreProvider).
		{patterns: []string{"~/.dotnet/corefx/cryptography/x509stores/root/*.pfx"}, title: ".NET, for this user", readers: []string{".NET, beside what the system has"},
			fixed: "it is .NET's own, in a form that is only read here: X509Store changes it, from a program or PowerShell"},
		{patterns: []string{"~/.postgresql/root.crt"}, title: "PostgreSQL's clients", readers: []string{"psql and what uses libpq"}},
	}
})

// hostsFile is what containerd heeds in place of the other files beside it.
const hostsFile = "hosts.toml"

// found is a file, and the registries that it is for.
type found struct {
	path       string
	registries []string
}

// files returns what a place has.
func (p place) files(ctx context.Context, h *host.Host, because func(string, ...any)) (out []found) {
	add := func(file, registry string) {
		i := slices.IndexFunc(out, func(o found) bool { return o.path == file })
		if i < 0 {
			i, out = len(out), append(out, found{path: file})
		}
		if p.registry && !slices.Contains(out[i].registries, registry) {
			out[i].registries = append(out[i].registries, registry)
		}
	}
	heeded := map[string]bool{} // directories with a hosts.toml
	for _, pattern := range p.patterns {
		for _, file := range glob(ctx, h, pattern) {
			dir := path.Dir(file)
			registry := cmp.Or(toml.Registry(path.Base(dir)), "every other registry")
			switch {
			case path.Base(file) != hostsFile && !heeded[dir]:
				add(file, registry)
			case path.Base(file) != hostsFile:
				if !slices.ContainsFunc(out, func(o found) bool { return o.path == file }) {
					because("%s (%s) is read by nobody: %s beside it does not name it", store.Printable(file), p.title, hostsFile)
				}
			default:
				data, err := h.ReadFile(file, 1<<20)
				if err != nil || len(data) == 0 {
					continue
				}
				settings, err := toml.Hosts(string(data))
				if err != nil {
					because("%s is not heeded, for it is no TOML: %v", store.Printable(file), err)
					continue
				}
				heeded[dir] = true
				for _, s := range settings {
					if s = s.In(dir); s.Name == "ca" {
						add(s.Text, cmp.Or(s.Server, registry))
					}
				}
			}
		}
	}
	return out
}

// pythons are the places of a package in every Python environment.
func pythons(file string) (out []string) {
	for _, dir := range []string{
		"/usr/lib/python3*/dist-packages", "/usr/lib/python3/dist-packages", "/usr/lib/python3*/site-packages", "/usr/lib64/python3*/site-packages",
		"/usr/local/lib/python3*/dist-packages", "/usr/local/lib/python3*/site-packages", "/opt/*/lib/python3*/site-packages", "/opt/conda/envs/*/lib/python3*/site-packages",
		"/opt/homebrew/lib/python3*/site-packages", "/Library/Frameworks/Python.framework/Versions/*/lib/python3*/site-packages",
		"~/.local/lib/python3*/site-packages", "~/.pyenv/versions/*/lib/python3*/site-packages", "~/.local/share/pipx/venvs/*/lib/python3*/site-packages", "~/.local/pipx/venvs/*/lib/python3*/site-packages",
		"~/.local/share/uv/tools/*/lib/python3*/site-packages", "~/.local/share/uv/python/*/lib/python3*/site-packages", "~/.virtualenvs/*/lib/python3*/site-packages",
		"~/miniconda3/lib/python3*/site-packages", "~/miniconda3/envs/*/lib/python3*/site-packages", "~/miniforge3/lib/python3*/site-packages", "~/miniforge3/envs/*/lib/python3*/site-packages", "~/anaconda3/lib/python3*/site-packages",
		"$VIRTUAL_ENV/lib/python3*/site-packages", "$CONDA_PREFIX/lib/python3*/site-packages",
		"~/AppData/Local/Programs/Python/*/Lib/site-packages", "~/.venv/lib/python3*/site-packages",
	} {
		out = append(out, dir+"/"+file)
	}
	return out
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
	for _, p := range places() {
		for _, f := range p.files(ctx, h, because) {
			file, title := f.path, p.title
			if len(f.registries) > 0 {
				title += ", for " + store.Printable(strings.Join(f.registries, ", "))
			}
			info, err := h.Stat(file)
			if err != nil || !info.Mode().IsRegular() {
				continue
			}
			resolved, err := h.Resolve(file)
			if err != nil || own(file) != user || seen[resolved] || len(out) >= maxFound {
				continue
			}
			seen[resolved] = true
			switch {
			case slices.Contains(system, resolved):
				because("%s (%s) follows the system: it is the system's own bundle", store.Printable(file), title)
				continue
			case patched(h, file):
				because("%s (%s) is read by nobody: the distribution has its package follow the system", store.Printable(file), title)
				continue
			}
			o := options{title: title, scope: store.ScopeSystem, readers: p.readers, managed: p.managed, fixed: p.fixed}
			if user {
				o.scope, o.owner = store.ScopeUser, h.User.Name
			}
			because("%s (%s) does not follow the system", store.Printable(file), title)
			out = append(out, openFile(h, resolved, o))
		}
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
		if base = h.Env(first[1:]); h.User.Via != "" || !path.IsAbs(base) {
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
