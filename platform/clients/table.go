package clients

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/platform/toml"
	"github.com/certtrust/certtrust/store/diagnose"
)

// rule is a variable, or a setting in a file.
type rule struct {
	names     []string // of the variable, or of the setting, in the spelling of its parser
	section   string   // the setting is in; "" = anywhere
	clients   []string // who heeds it
	topic     string   // what it is about: of several settings of one topic the last counts
	effect    diagnose.OverrideKind
	reads     reading
	half      string   // "file" or "directory": the system's other one still counts
	systems   []string // where it has an effect; nil = everywhere
	unless    string   // a variable that takes its place
	evenEmpty bool     // it counts when it is empty, too
	weak      bool     // what is set already counts more
	each      bool     // every value counts, and not the last alone
	over      bool     // it counts more than what is said of single servers
	// take decides on the value and what it does: nothing if it is not ok,
	// and "" takes back what was set before.
	take func(s setting) (value string, effect diagnose.OverrideKind, ok bool)
	// everyHost returns the servers that the setting is for.
	everyHost func(s setting) string
}

// reading is how the roots are read that a setting names.
type reading int

const (
	noRoots     reading = iota
	fromFile            // a file of certificates
	fromHome            // the same, where "~/" is the home and ${NAME} a variable; or a directory of hashed names
	fromDir             // all files of a directory, or of several
	fromHashed          // those that are named by hashes
	fromEither          // a file, or a directory of hashed names
	fromStore           // a Java keystore
	fromSystem          // the system's bundle
	fromOpenSSL         // what OpenSSL reads by default
	inline              // the setting itself
)

// Topics.
const (
	verify = "verification"
	roots  = "roots"
	more   = "more roots"
	system = "system roots"
)

// unix are the systems without a verifier of their own.
var unix = []string{"linux", "freebsd", "openbsd", "netbsd", "dragonfly", "solaris", "illumos", "aix"}

// variables are those of the environment, from what is heeded least to what is
// heeded most. What each does was tried with the program itself, but for those
// that are marked with *: that is from its documentation or source.
var variables = []rule{
	// OpenSSL. curl reads them only without its own variable.
	{names: []string{"SSL_CERT_FILE"}, clients: []string{"openssl", "python", "ruby", "php", "http-tiny", "w3m", "cargo"}, topic: "file", effect: diagnose.Replaces, reads: fromFile, half: "file"},
	{names: []string{"SSL_CERT_DIR"}, clients: []string{"openssl", "python", "ruby", "php", "http-tiny", "w3m", "cargo"}, topic: "directory", effect: diagnose.Replaces, reads: fromHashed, half: "directory"},
	{names: []string{"SSL_CERT_FILE"}, clients: []string{"curl"}, topic: "file", effect: diagnose.Replaces, reads: fromFile, half: "file", unless: "CURL_CA_BUNDLE"},
	{names: []string{"SSL_CERT_DIR"}, clients: []string{"curl"}, topic: "directory", effect: diagnose.Replaces, reads: fromHashed, half: "directory", unless: "CURL_CA_BUNDLE"},
	{names: []string{"CURL_CA_BUNDLE"}, clients: []string{"curl"}, topic: "file", effect: diagnose.Replaces, reads: fromFile, half: "file"},

	// Bun has its own roots beside them. Of the system it reads the directory, and
	// not the file of OpenSSL.
	{names: []string{"SSL_CERT_FILE"}, clients: []string{"bun"}, topic: "file", effect: diagnose.Replaces, reads: fromFile, half: "file"},
	{names: []string{"SSL_CERT_DIR"}, clients: []string{"bun"}, topic: "directory", effect: diagnose.Replaces, reads: fromHashed},

	// Go and .NET(*) take any file of the directories, and the variables only
	// where the system has no verifier of its own.
	{names: []string{"SSL_CERT_FILE"}, clients: []string{"go"}, topic: "file", effect: diagnose.Replaces, reads: fromFile, half: "file", systems: unix},
	{names: []string{"SSL_CERT_DIR"}, clients: []string{"go"}, topic: "directory", effect: diagnose.Replaces, reads: fromDir, half: "directory", systems: unix},
	{names: []string{"SSL_CERT_FILE"}, clients: []string{"dotnet"}, topic: "file", effect: diagnose.Replaces, reads: fromFile, half: "file", systems: unix},
	{names: []string{"SSL_CERT_DIR"}, clients: []string{"dotnet"}, topic: "directory", effect: diagnose.Replaces, reads: fromDir, half: "directory", systems: unix},
	{names: []string{"GODEBUG"}, clients: []string{"go"}, topic: roots, effect: diagnose.Replaces, take: debugging("x509usefallbackroots")}, // *

	// Python: Requests and what is built on it bring roots along. What Requests
	// reads counts more than what pip and conda(*) are told, as they only hand
	// that on to it; the AWS tools look for themselves.
	{names: []string{"PIP_CERT"}, clients: []string{"pip"}, topic: roots, effect: diagnose.Replaces, reads: fromHome},
	{names: []string{"PIP_TRUSTED_HOST"}, clients: []string{"pip"}, topic: verify, effect: diagnose.Disables, everyHost: value},
	{names: []string{"CONDA_SSL_VERIFY"}, clients: []string{"conda"}, topic: roots, effect: diagnose.Replaces, reads: fromHome, take: sslVerify}, // *
	{names: []string{"CURL_CA_BUNDLE"}, clients: []string{"requests", "pip", "conda"}, topic: roots, effect: diagnose.Replaces, reads: fromEither, unless: "REQUESTS_CA_BUNDLE"},
	{names: []string{"REQUESTS_CA_BUNDLE"}, clients: []string{"requests", "pip", "conda"}, topic: roots, effect: diagnose.Replaces, reads: fromEither},
	{names: []string{"REQUESTS_CA_BUNDLE"}, clients: []string{"aws"}, topic: roots, effect: diagnose.Replaces, reads: fromEither, weak: true},
	{names: []string{"AWS_CA_BUNDLE"}, clients: []string{"aws"}, topic: roots, effect: diagnose.Replaces, reads: fromHome},
	{names: []string{"PYTHONHTTPSVERIFY"}, clients: []string{"python2"}, topic: verify, take: is("0", diagnose.Disables)}, // * Python 3 does not read it

	// Node and Deno. On Linux the system's roots are what SSL_CERT_FILE names.
	{names: []string{"NODE_OPTIONS"}, clients: []string{"node", "npm"}, topic: system, effect: diagnose.Adds, reads: fromOpenSSL, take: option("--use-system-ca", diagnose.Adds)},
	{names: []string{"NODE_USE_SYSTEM_CA"}, clients: []string{"node", "npm"}, topic: system, reads: fromOpenSSL, take: is("1", diagnose.Adds)},
	{names: []string{"NODE_OPTIONS"}, clients: []string{"node", "npm"}, topic: roots, reads: fromOpenSSL, take: option("--use-openssl-ca", diagnose.Replaces)},
	{names: []string{"NODE_EXTRA_CA_CERTS"}, clients: []string{"node", "npm", "deno", "bun"}, topic: more, effect: diagnose.Adds, reads: fromFile},
	{names: []string{"NODE_TLS_REJECT_UNAUTHORIZED"}, clients: []string{"node", "bun"}, topic: verify, take: is("0", diagnose.Disables)}, // npm has a setting of its own
	{names: []string{"npm_config_cafile", "NPM_CONFIG_CAFILE"}, clients: []string{"npm"}, topic: roots, effect: diagnose.Replaces, reads: fromHome},
	{names: []string{"npm_config_strict_ssl", "NPM_CONFIG_STRICT_SSL", "npm_config_strict-ssl"}, clients: []string{"npm"}, topic: verify, take: off},
	{names: []string{"DENO_CERT"}, clients: []string{"deno"}, topic: "own", effect: diagnose.Adds, reads: fromFile},
	{names: []string{"DENO_TLS_CA_STORE"}, clients: []string{"deno"}, topic: system, reads: fromOpenSSL, take: denoStore},

	// Git. It looks only whether the first one is set.
	{names: []string{"GIT_SSL_CAINFO"}, clients: []string{"git"}, topic: "file", effect: diagnose.Replaces, reads: fromFile, half: "file", over: true},
	{names: []string{"GIT_SSL_CAPATH"}, clients: []string{"git"}, topic: "directory", effect: diagnose.Replaces, reads: fromHashed, half: "directory", over: true},
	{names: []string{"GIT_SSL_NO_VERIFY"}, clients: []string{"git"}, topic: verify, effect: diagnose.Disables, evenEmpty: true, over: true},

	// Java: what the launcher and the library pick up.
	{names: []string{"JAVA_TOOL_OPTIONS"}, clients: []string{"java"}, topic: roots, effect: diagnose.Replaces, reads: fromStore, take: javaStore},
	{names: []string{"JDK_JAVA_OPTIONS"}, clients: []string{"java"}, topic: roots, effect: diagnose.Replaces, reads: fromStore, take: javaStore},
	{names: []string{"_JAVA_OPTIONS"}, clients: []string{"java"}, topic: roots, effect: diagnose.Replaces, reads: fromStore, take: javaStore}, // *

	// gcloud hands what it is told on to Requests, to gsutil and to bq.
	{names: []string{"CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE"}, clients: []string{"gcloud"}, topic: roots, effect: diagnose.Replaces, reads: fromFile},
	{names: []string{"CURL_CA_BUNDLE"}, clients: []string{"gcloud"}, topic: roots, effect: diagnose.Replaces, reads: fromEither, unless: "REQUESTS_CA_BUNDLE"},
	{names: []string{"REQUESTS_CA_BUNDLE"}, clients: []string{"gcloud"}, topic: roots, effect: diagnose.Replaces, reads: fromEither},
	{names: []string{"CLOUDSDK_AUTH_DISABLE_SSL_VALIDATION"}, clients: []string{"gcloud"}, topic: verify, take: yes},

	// Perl's LWP looks at nothing of OpenSSL's.
	{names: []string{"PERL_LWP_SSL_CA_FILE", "HTTPS_CA_FILE"}, clients: []string{"perl"}, topic: "file", effect: diagnose.Replaces, reads: fromFile},

	// Ruby: gem and Bundler
	{names: []string{"BUNDLE_SSL_CA_CERT"}, clients: []string{"bundler"}, topic: roots, effect: diagnose.Replaces, reads: fromEither}, // *
	{names: []string{"BUNDLE_SSL_VERIFY_MODE"}, clients: []string{"bundler"}, topic: verify, take: is("0", diagnose.Disables)},        // *

	// Others
	{names: []string{"COMPOSER_CAFILE"}, clients: []string{"composer"}, topic: roots, effect: diagnose.Replaces, reads: fromFile}, // *
	{names: []string{"CARGO_HTTP_CAINFO"}, clients: []string{"cargo"}, topic: "file", effect: diagnose.Replaces, reads: fromFile, half: "file"},
}

// place is where a file of settings can be.
type place struct {
	path    string
	system  string // only on this one
	instead bool   // if it is there, the user's one before it is not read
}

// file is a file of settings.
type file struct {
	about   string
	clients []string
	places  []place // from the weakest to the strongest; * stands for any name
	// where returns more of them, which other settings name.
	where func(c *collector) []string
	parse func(data []byte) []setting
	// beside says more of a setting by the directory that the file is in.
	beside func(s *setting, dir string)
	rules  []rule
	// section returns the one of several sections that is heeded.
	section func(c *collector) string
	// beforeEnv tells that it counts more than the environment.
	beforeEnv bool
}

// files are the files of settings of programs. Those of curl, wget, npm, pip,
// Git, AWS, gcloud, PHP, gem and Cargo were tried with the program itself; those of
// Yarn, conda, Bundler, Docker, containerd and Podman, PHP's curl.cainfo and wget's
// ca_directory are from the documentation, or from the source.
var files = []file{
	{about: "curl's settings", clients: []string{"curl"}, parse: parseCurl, beforeEnv: true,
		places: []place{{path: "~/.curlrc"}, {path: "$XDG_CONFIG_HOME/.curlrc", instead: true}, {path: "$CURL_HOME/.curlrc", instead: true}},
		rules: []rule{
			{names: []string{"cacert"}, clients: []string{"curl"}, topic: "file", effect: diagnose.Replaces, reads: fromFile, half: "file"},
			{names: []string{"capath"}, clients: []string{"curl"}, topic: "directory", effect: diagnose.Replaces, reads: fromHashed, half: "directory"},
			{names: []string{"insecure"}, clients: []string{"curl"}, topic: verify, effect: diagnose.Disables, take: flag(diagnose.Disables)},
			{names: []string{"ca-native"}, clients: []string{"curl"}, topic: system, effect: diagnose.Adds, reads: fromSystem, take: flag(diagnose.Adds)},
		}},
	{about: "wget's settings", clients: []string{"wget"}, parse: parseWget, beforeEnv: true,
		places: []place{{path: "/etc/wgetrc"}, {path: "~/.wgetrc"}, {path: "$WGETRC", instead: true}},
		rules: []rule{
			{names: []string{"cacertificate"}, clients: []string{"wget"}, topic: "file", effect: diagnose.Adds, reads: fromHome},
			{names: []string{"cadirectory"}, clients: []string{"wget"}, topic: "directory", effect: diagnose.Replaces, reads: fromDir, half: "directory"},
			{names: []string{"checkcertificate"}, clients: []string{"wget"}, topic: verify, take: wgetCheck},
		}},
	{about: "npm's settings", clients: []string{"npm"}, parse: parseINI,
		places: []place{{path: "/etc/npmrc"}, {path: "/usr/etc/npmrc"}, {path: "/usr/local/etc/npmrc"}, {path: "$PREFIX/etc/npmrc"}, {path: "$npm_config_globalconfig"},
			{path: "~/.npmrc"}, {path: "$npm_config_userconfig"}, {path: "./.npmrc"}},
		rules: []rule{
			{names: []string{"cafile"}, clients: []string{"npm"}, topic: roots, effect: diagnose.Replaces, reads: fromHome},
			{names: []string{"ca", "ca[]"}, clients: []string{"npm"}, topic: "inline", effect: diagnose.Replaces, reads: inline, take: notNull},
			{names: []string{"strict-ssl"}, clients: []string{"npm"}, topic: verify, take: off},
		}},
	{about: "Yarn's settings", clients: []string{"yarn"}, parse: parseYarn,
		places: []place{{path: "~/.yarnrc"}, {path: "~/.config/yarn/config"}, {path: "~/.yarnrc.yml"}, {path: "./.yarnrc"}, {path: "./.yarnrc.yml"}},
		rules: []rule{
			{names: []string{"cafile", "httpsCaFilePath", "caFilePath"}, clients: []string{"yarn"}, topic: roots, effect: diagnose.Replaces, reads: fromHome},
			{names: []string{"strict-ssl", "enableStrictSsl"}, clients: []string{"yarn"}, topic: verify, take: off},
		}},
	{about: "pip's settings", clients: []string{"pip"}, parse: parseINI,
		places: []place{
			{path: "/etc/xdg/pip/pip.conf"}, {path: "/etc/pip.conf"}, {path: "/Library/Application Support/pip/pip.conf", system: "darwin"}, {path: "$ProgramData/pip/pip.ini", system: "windows"},
			{path: "~/.pip/pip.conf"}, {path: "~/.config/pip/pip.conf"}, {path: "$XDG_CONFIG_HOME/pip/pip.conf"}, {path: "~/Library/Application Support/pip/pip.conf", system: "darwin"},
			{path: "$APPDATA/pip/pip.ini", system: "windows"}, {path: "$VIRTUAL_ENV/pip.conf"}, {path: "$PIP_CONFIG_FILE"},
		},
		rules: []rule{
			{names: []string{"cert"}, clients: []string{"pip"}, topic: roots, effect: diagnose.Replaces, reads: fromHome},
			{names: []string{"trusted-host"}, clients: []string{"pip"}, topic: verify, effect: diagnose.Disables, everyHost: value},
		}},
	{about: "Git's settings", clients: []string{"git"}, parse: parseGit,
		places: []place{{path: "/etc/gitconfig"}, {path: "$XDG_CONFIG_HOME/git/config"}, {path: "~/.config/git/config"}, {path: "~/.gitconfig"}, {path: "./.git/config"}},
		rules: []rule{
			{section: "http", names: []string{"sslcainfo"}, clients: []string{"git"}, topic: "file", effect: diagnose.Replaces, reads: fromHome, half: "file"},
			{section: "http", names: []string{"sslcapath"}, clients: []string{"git"}, topic: "directory", effect: diagnose.Replaces, reads: fromHashed, half: "directory"},
			{section: "http", names: []string{"sslverify"}, clients: []string{"git"}, topic: verify, take: off},
		}},
	{about: "conda's settings", clients: []string{"conda"}, parse: parseYAML,
		places: slices.Concat(condarcs("/etc/conda"), condarcs("/var/lib/conda"), condarcs("/opt/conda"), condarcs("$CONDA_ROOT"), condarcs("~/.config/conda"), condarcs("$XDG_CONFIG_HOME/conda"),
			condarcs("~/.conda"), []place{{path: "~/.condarc"}}, condarcs("$CONDA_PREFIX"), []place{{path: "$CONDARC"}}),
		rules: []rule{
			{names: []string{"ssl_verify", "verify_ssl"}, clients: []string{"conda"}, topic: roots, effect: diagnose.Replaces, reads: fromHome, take: sslVerify},
		}},
	{about: "the AWS tools' settings", clients: []string{"aws"}, parse: parseINI,
		places: []place{{path: "~/.aws/config"}, {path: "$AWS_CONFIG_FILE", instead: true}}, section: awsProfile,
		rules: []rule{
			{names: []string{"ca_bundle"}, clients: []string{"aws"}, topic: roots, effect: diagnose.Replaces, reads: fromHome},
		}},
	{about: "gcloud's settings", clients: []string{"gcloud"}, parse: parseINI, where: gcloudFiles,
		rules: []rule{
			{section: "core", names: []string{"custom_ca_certs_file"}, clients: []string{"gcloud"}, topic: roots, effect: diagnose.Replaces, reads: fromFile},
			{section: "auth", names: []string{"disable_ssl_validation"}, clients: []string{"gcloud"}, topic: verify, take: yes},
		}},
	{about: "gem's settings", clients: []string{"gem", "bundler"}, parse: parseYAML,
		places: []place{{path: "/etc/gemrc"}, {path: "~/.config/gem/gemrc"}, {path: "$XDG_CONFIG_HOME/gem/gemrc"}, {path: "~/.gemrc"}},
		rules: []rule{
			{names: []string{":ssl_ca_cert"}, clients: []string{"gem"}, topic: roots, effect: diagnose.Adds, reads: fromEither},
			{names: []string{":ssl_ca_cert"}, clients: []string{"bundler"}, topic: roots, effect: diagnose.Replaces, reads: fromEither},
			{names: []string{":ssl_verify_mode"}, clients: []string{"gem", "bundler"}, topic: verify, take: is("0", diagnose.Disables)},
		}},
	{about: "Bundler's settings", clients: []string{"bundler"}, parse: parseYAML, places: []place{{path: "~/.bundle/config"}}, rules: ofBundler},
	{about: "Bundler's settings of the project", clients: []string{"bundler"}, parse: parseYAML, places: []place{{path: "./.bundle/config"}}, rules: ofBundler, beforeEnv: true},
	{about: "PHP's settings", clients: []string{"php", "php-curl"}, parse: parseINI, beforeEnv: true,
		places: []place{{path: "/etc/php.ini"}, {path: "/etc/php.d/*.ini"}, {path: "/etc/php/*/cli/php.ini"}, {path: "/etc/php/*/cli/conf.d/*.ini"}, {path: "/usr/local/etc/php/php.ini"}, {path: "/usr/local/etc/php/conf.d/*.ini"},
			{path: "/opt/homebrew/etc/php/*/php.ini", system: "darwin"}, {path: "/usr/local/etc/php/*/php.ini", system: "darwin"}, {path: "$PHPRC/php.ini"}},
		rules: []rule{
			{names: []string{"openssl.cafile"}, clients: []string{"php"}, topic: "file", effect: diagnose.Replaces, reads: fromFile},
			{names: []string{"curl.cainfo"}, clients: []string{"php-curl"}, topic: roots, effect: diagnose.Replaces, reads: fromFile},
		}},
	{about: "Cargo's settings", clients: []string{"cargo"}, parse: parseTOML,
		places: []place{{path: "~/.cargo/config"}, {path: "~/.cargo/config.toml"}, {path: "$CARGO_HOME/config"}, {path: "$CARGO_HOME/config.toml"}, {path: "./.cargo/config"}, {path: "./.cargo/config.toml"}},
		rules: []rule{
			{section: "http", names: []string{"cainfo"}, clients: []string{"cargo"}, topic: "file", effect: diagnose.Replaces, reads: fromFile, half: "file"},
		}},
	{about: "the Docker daemon's settings", clients: []string{"docker"}, parse: parseDocker,
		places: []place{{path: "/etc/docker/daemon.json"}, {path: "~/.docker/daemon.json"}},
		rules: []rule{
			{names: []string{"insecure-registries"}, clients: []string{"docker"}, topic: verify, effect: diagnose.Disables, everyHost: value},
		}},
	{about: "containerd's settings for registries", clients: []string{"containerd"}, parse: parseRegistryHosts,
		where: func(c *collector) []string { return toml.ReadContainerd(c.h).Files() }, rules: ofContainerd},
	{about: "containerd's settings for a registry", clients: []string{"containerd"}, parse: parseContainerd, beside: ofRegistry,
		where: func(c *collector) []string { return toml.ReadContainerd(c.h).HostsFiles() }, rules: ofContainerd},
	{about: "the registries of Podman, Skopeo and Buildah", clients: []string{"podman"}, parse: parseRegistries,
		places: []place{{path: "/usr/share/containers/registries.conf"}, {path: "/etc/containers/registries.conf"}, {path: "/etc/containers/registries.conf.d/*.conf"},
			{path: "~/.config/containers/registries.conf"}, {path: "~/.config/containers/registries.conf.d/*.conf"}},
		rules: []rule{
			{names: []string{"insecure"}, clients: []string{"podman"}, topic: verify, take: on},
		}},
}

// ofBundler are what Bundler is told.
var ofBundler = []rule{
	{names: []string{"BUNDLE_SSL_CA_CERT"}, clients: []string{"bundler"}, topic: roots, effect: diagnose.Replaces, reads: fromEither},
	{names: []string{"BUNDLE_SSL_VERIFY_MODE"}, clients: []string{"bundler"}, topic: verify, take: is("0", diagnose.Disables)},
}

// condarcs are what conda reads in a directory.
func condarcs(dir string) []place {
	return []place{{path: dir + "/.condarc"}, {path: dir + "/condarc"}, {path: dir + "/condarc.d/*.yml"}, {path: dir + "/condarc.d/*.yaml"}}
}

// gcloudFiles are the settings of the installation and of the configuration that
// is active.
func gcloudFiles(c *collector) (out []string) {
	for _, sdk := range []string{"/usr/lib/google-cloud-sdk", "/usr/lib64/google-cloud-sdk", "/opt/google-cloud-sdk", "/snap/google-cloud-cli/current", "~/google-cloud-sdk", "$CLOUDSDK_ROOT_DIR"} {
		if at, ok := c.expand(sdk + "/properties"); ok {
			out = append(out, at)
		}
	}
	dir, ok := c.expand("$CLOUDSDK_CONFIG/x")
	if !ok && c.h.OS == "windows" {
		dir, ok = c.expand("$APPDATA/gcloud/x")
	} else if !ok {
		dir, ok = c.expand("~/.config/gcloud/x")
	}
	if !ok {
		return out
	}
	dir = path.Dir(dir)
	name, _ := c.getenv("CLOUDSDK_ACTIVE_CONFIG_NAME")
	if name == "" {
		data, _ := c.h.ReadFile(dir+"/active_config", maxSettings)
		name = strings.TrimSpace(string(data))
	}
	if name = cmp.Or(name, "default"); strings.ContainsAny(name, "/\\*\x00\n") || len(name) > 255 {
		return out
	}
	return append(out, dir+"/configurations/config_"+name)
}

// awsProfile is the section with the settings of the profile that is chosen.
func awsProfile(c *collector) string {
	for _, variable := range []string{"AWS_PROFILE", "AWS_DEFAULT_PROFILE"} {
		if name, _ := c.getenv(variable); name != "" && name != "default" {
			return "profile " + strings.ToLower(name)
		}
	}
	return "default"
}

// ofContainerd are what containerd is told of registries.
var ofContainerd = []rule{
	{names: []string{"ca"}, clients: []string{"containerd"}, topic: more, effect: diagnose.Adds, reads: fromFile, each: true},
	{names: []string{"skip_verify"}, clients: []string{"containerd"}, topic: verify, take: on},
}

// What settings mean.

func value(s setting) string { return s.value }

// is heeds one value only.
func is(want string, effect diagnose.OverrideKind) func(setting) (string, diagnose.OverrideKind, bool) {
	return func(s setting) (string, diagnose.OverrideKind, bool) {
		if s.value != want {
			return s.value, "", true
		}
		return s.value, effect, true
	}
}

// falsehoods are the words for "no".
var falsehoods = []string{"false", "no", "off", "0", "null", ""}

// off is for what verifies unless it is switched off.
func off(s setting) (string, diagnose.OverrideKind, bool) {
	if !s.bare && slices.Contains(falsehoods, strings.ToLower(s.value)) {
		return s.value, diagnose.Disables, true
	}
	return s.value, "", true
}

// on is for what verifies until it is told not to.
func on(s setting) (string, diagnose.OverrideKind, bool) {
	if s.value == "true" {
		return s.value, diagnose.Disables, true
	}
	return s.value, "", true
}

// yes is the same, where there is more than one word for it.
func yes(s setting) (string, diagnose.OverrideKind, bool) {
	if slices.Contains([]string{"true", "1", "on", "yes", "y"}, strings.ToLower(s.value)) {
		return s.value, diagnose.Disables, true
	}
	return s.value, "", true
}

// flag is for what has an effect if it is there.
func flag(effect diagnose.OverrideKind) func(setting) (string, diagnose.OverrideKind, bool) {
	return func(s setting) (string, diagnose.OverrideKind, bool) {
		if s.value == "false" {
			return s.value, "", true
		}
		return s.value, effect, true
	}
}

func notNull(s setting) (string, diagnose.OverrideKind, bool) {
	if s.value == "" || s.value == "null" {
		return s.value, "", true
	}
	return s.value, diagnose.Replaces, true
}

// wgetCheck is for check_certificate, which can be on, off or quiet.
func wgetCheck(s setting) (string, diagnose.OverrideKind, bool) {
	if v := strings.ToLower(s.value); v == "quiet" || slices.Contains(falsehoods, v) {
		return s.value, diagnose.Disables, true
	}
	return s.value, "", true
}

// sslVerify is for what is false, true, "truststore", "<system>" or a file.
func sslVerify(s setting) (string, diagnose.OverrideKind, bool) {
	switch strings.ToLower(s.value) {
	case "true", "yes", "on", "1":
		return s.value, "", true
	case "false", "no", "off", "0":
		return s.value, diagnose.Disables, true
	}
	return s.value, diagnose.Replaces, s.value != ""
}

// option is for an option among others.
func option(name string, effect diagnose.OverrideKind) func(setting) (string, diagnose.OverrideKind, bool) {
	return func(s setting) (string, diagnose.OverrideKind, bool) {
		for _, word := range words(s.value) {
			if word == name {
				return name, effect, true
			}
		}
		return "", "", false
	}
}

// denoStore is for a list of "system" and "mozilla".
func denoStore(s setting) (string, diagnose.OverrideKind, bool) {
	stores := strings.FieldsFunc(s.value, func(r rune) bool { return r == ',' || r == ' ' })
	switch {
	case !slices.Contains(stores, "system"):
		return s.value, "", true
	case slices.Contains(stores, "mozilla"):
		return s.value, diagnose.Adds, true
	}
	return s.value, diagnose.Replaces, true
}

// javaStore finds the trust store among Java's options. The last one counts.
func javaStore(s setting) (path string, effect diagnose.OverrideKind, ok bool) {
	for _, word := range words(s.value) {
		for _, name := range []string{"-Djavax.net.ssl.trustStore=", "-Djavax.net.ssl.trustStoreType="} {
			v, found := strings.CutPrefix(word, name)
			// Of these types there is no file: they are the system's store.
			if systemType := strings.HasPrefix(v, "Windows-ROOT") || strings.HasPrefix(v, "KeychainStore"); found && v != "" && systemType == strings.HasSuffix(name, "Type=") {
				path, ok = v, true
			}
		}
	}
	return path, diagnose.Replaces, ok
}

// debugging finds a setting of GODEBUG that is switched on.
func debugging(name string) func(setting) (string, diagnose.OverrideKind, bool) {
	return func(s setting) (string, diagnose.OverrideKind, bool) {
		for _, pair := range strings.Split(s.value, ",") {
			if key, v, _ := strings.Cut(strings.TrimSpace(pair), "="); key == name && v == "1" {
				return key + "=" + v, diagnose.Replaces, true
			}
		}
		return "", "", false
	}
}

// words takes a line of options apart, with quotes as shells and Java have
// them.
func words(line string) (out []string) {
	var b strings.Builder
	open, any := rune(0), false
	for _, r := range line {
		switch {
		case open != 0 && r == open:
			open = 0
		case open == 0 && (r == '"' || r == '\''):
			open, any = r, true
		case open == 0 && (r == ' ' || r == '\t' || r == '\n'):
			if any {
				out = append(out, b.String())
			}
			b.Reset()
			any = false
		default:
			b.WriteRune(r)
			any = true
		}
	}
	if any {
		out = append(out, b.String())
	}
	return out
}
