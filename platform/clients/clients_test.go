package clients

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/host/hosttest"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/diagnose"
	"github.com/certtrust/certtrust/store/storetest"
)

// machine makes a fake machine of files.
func machine(t testing.TB, files map[string]string) *host.Host {
	t.Helper()
	root := storetest.TempDir(t)
	for name, text := range files {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return host.Fake(root)
}

// line writes an override for comparison: "client source name=value effect",
// the server that it is for, the number of roots, "!" for an error.
func line(o diagnose.Override) string {
	s := fmt.Sprintf("%s %s %s=%s %s", o.Client, o.Source, o.Name, o.Value, o.Effect)
	if o.Only != "" {
		s += " for " + o.Only
	}
	if len(o.Roots) > 0 {
		s += fmt.Sprintf(" %d", len(o.Roots))
	}
	if o.Err != nil {
		s += " !"
	}
	return s
}

func TestOverrides(t *testing.T) {
	one, two := storetest.NewCA(t, storetest.CN("One")), storetest.NewCA(t, storetest.CN("Two"))
	pem, both := string(one.PEM()), string(one.PEM())+string(two.PEM())
	inline := `"` + strings.ReplaceAll(strings.TrimSpace(pem), "\n", `\n`) + `"`
	debian := map[string]string{"/etc/ssl/certs/ca-certificates.crt": both, "/etc/ssl/certs/5ad8a5d6.0": pem}
	for _, test := range []struct {
		name  string
		files map[string]string
		env   string // separated by "|"
		want  string // lines; "" = none
	}{
		{"nothing", debian, "", ""},
		{"unrelated variables", debian, "SSL_CERT=x|CURL_CA=y|=C:=z|garbage|PATH=/bin|HTTPS_PROXY=x|SSL_CERT_FILE=", ""},

		// OpenSSL and those that share its variables
		{"a file beside the system's directory", map[string]string{"/etc/ssl/certs/5ad8a5d6.0": pem, "/my.pem": both}, "SSL_CERT_FILE=/my.pem", `
openssl SSL_CERT_FILE SSL_CERT_FILE=/my.pem adds 2
python SSL_CERT_FILE SSL_CERT_FILE=/my.pem adds 2
ruby SSL_CERT_FILE SSL_CERT_FILE=/my.pem adds 2
php SSL_CERT_FILE SSL_CERT_FILE=/my.pem adds 2
http-tiny SSL_CERT_FILE SSL_CERT_FILE=/my.pem adds 2
w3m SSL_CERT_FILE SSL_CERT_FILE=/my.pem adds 2
cargo SSL_CERT_FILE SSL_CERT_FILE=/my.pem adds 2
curl SSL_CERT_FILE SSL_CERT_FILE=/my.pem adds 2
bun SSL_CERT_FILE SSL_CERT_FILE=/my.pem adds 2
go SSL_CERT_FILE SSL_CERT_FILE=/my.pem adds 2
dotnet SSL_CERT_FILE SSL_CERT_FILE=/my.pem adds 2`},
		{"a file where there is nothing else", map[string]string{"/my.pem": pem, "/etc/ssl/certs/x.pem": pem}, "SSL_CERT_FILE=/my.pem", `
openssl SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
python SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
ruby SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
php SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
http-tiny SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
w3m SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
cargo SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
curl SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
bun SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
go SSL_CERT_FILE SSL_CERT_FILE=/my.pem adds 1
dotnet SSL_CERT_FILE SSL_CERT_FILE=/my.pem adds 1`},
		{"a file and a directory", map[string]string{"/etc/ssl/certs/5ad8a5d6.0": pem, "/my.pem": pem, "/d/00000000.0": pem, "/d/named.pem": string(two.PEM()), "/d/sub/x": ""}, "SSL_CERT_FILE=/my.pem|SSL_CERT_DIR=/missing:/d", `
openssl SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
python SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
ruby SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
php SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
http-tiny SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
w3m SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
cargo SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
openssl SSL_CERT_DIR SSL_CERT_DIR=/missing:/d adds 1
python SSL_CERT_DIR SSL_CERT_DIR=/missing:/d adds 1
ruby SSL_CERT_DIR SSL_CERT_DIR=/missing:/d adds 1
php SSL_CERT_DIR SSL_CERT_DIR=/missing:/d adds 1
http-tiny SSL_CERT_DIR SSL_CERT_DIR=/missing:/d adds 1
w3m SSL_CERT_DIR SSL_CERT_DIR=/missing:/d adds 1
cargo SSL_CERT_DIR SSL_CERT_DIR=/missing:/d adds 1
curl SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
curl SSL_CERT_DIR SSL_CERT_DIR=/missing:/d adds 1
bun SSL_CERT_FILE SSL_CERT_FILE=/my.pem adds 1
bun SSL_CERT_DIR SSL_CERT_DIR=/missing:/d replaces 1
go SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
go SSL_CERT_DIR SSL_CERT_DIR=/missing:/d adds 2
dotnet SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
dotnet SSL_CERT_DIR SSL_CERT_DIR=/missing:/d adds 2`},
		{"curl's own variable", map[string]string{"/my.pem": pem}, "CURL_CA_BUNDLE=/my.pem|REQUESTS_CA_BUNDLE=/other.pem", `
curl CURL_CA_BUNDLE CURL_CA_BUNDLE=/my.pem replaces 1
requests REQUESTS_CA_BUNDLE REQUESTS_CA_BUNDLE=/other.pem replaces !
pip REQUESTS_CA_BUNDLE REQUESTS_CA_BUNDLE=/other.pem replaces !
conda REQUESTS_CA_BUNDLE REQUESTS_CA_BUNDLE=/other.pem replaces !
aws REQUESTS_CA_BUNDLE REQUESTS_CA_BUNDLE=/other.pem replaces !
gcloud REQUESTS_CA_BUNDLE REQUESTS_CA_BUNDLE=/other.pem replaces !`},
		{"Requests in a relative path", map[string]string{"/proj/my.pem": pem}, "PWD=/proj|REQUESTS_CA_BUNDLE=my.pem|PIP_CERT=/none.pem|AWS_CA_BUNDLE=/proj/my.pem", `
requests REQUESTS_CA_BUNDLE REQUESTS_CA_BUNDLE=my.pem replaces 1
pip REQUESTS_CA_BUNDLE REQUESTS_CA_BUNDLE=my.pem replaces 1
conda REQUESTS_CA_BUNDLE REQUESTS_CA_BUNDLE=my.pem replaces 1
aws AWS_CA_BUNDLE AWS_CA_BUNDLE=/proj/my.pem replaces 1
gcloud REQUESTS_CA_BUNDLE REQUESTS_CA_BUNDLE=my.pem replaces 1`},
		{"pip's and conda's own variables", map[string]string{"/home/user/my.pem": pem}, "PIP_CERT=~/my.pem|PIP_TRUSTED_HOST=pypi.example|CONDA_SSL_VERIFY=false", `
pip PIP_CERT PIP_CERT=~/my.pem replaces 1
pip PIP_TRUSTED_HOST PIP_TRUSTED_HOST=pypi.example disables for pypi.example
conda CONDA_SSL_VERIFY CONDA_SSL_VERIFY=false disables`},
		{"AWS's file counts more than what Requests has", map[string]string{"/home/user/.aws/config": "[default]\nca_bundle = ~/my.pem\n", "/home/user/my.pem": pem}, "REQUESTS_CA_BUNDLE=/home/user/my.pem", `
aws /home/user/.aws/config:2 ca_bundle=~/my.pem replaces 1
requests REQUESTS_CA_BUNDLE REQUESTS_CA_BUNDLE=/home/user/my.pem replaces 1
pip REQUESTS_CA_BUNDLE REQUESTS_CA_BUNDLE=/home/user/my.pem replaces 1
conda REQUESTS_CA_BUNDLE REQUESTS_CA_BUNDLE=/home/user/my.pem replaces 1
gcloud REQUESTS_CA_BUNDLE REQUESTS_CA_BUNDLE=/home/user/my.pem replaces 1`},
		{"npm's own roots are all that it has", map[string]string{"/home/user/.npmrc": "cafile=/my.pem\n", "/my.pem": pem, "/etc/ssl/certs/ca-certificates.crt": both}, "NODE_EXTRA_CA_CERTS=/my.pem|NODE_USE_SYSTEM_CA=1", `
npm /home/user/.npmrc:1 cafile=/my.pem replaces 1
node NODE_USE_SYSTEM_CA NODE_USE_SYSTEM_CA=1 adds 2
node NODE_EXTRA_CA_CERTS NODE_EXTRA_CA_CERTS=/my.pem adds 1
deno NODE_EXTRA_CA_CERTS NODE_EXTRA_CA_CERTS=/my.pem adds 1
bun NODE_EXTRA_CA_CERTS NODE_EXTRA_CA_CERTS=/my.pem adds 1`},

		// Node
		{"Node", map[string]string{"/my.pem": pem, "/etc/ssl/certs/ca-certificates.crt": both}, "NODE_EXTRA_CA_CERTS=/my.pem|NODE_TLS_REJECT_UNAUTHORIZED=0|NODE_OPTIONS=--max-old-space-size=99 --use-system-ca", `
node NODE_OPTIONS NODE_OPTIONS=--use-system-ca adds 2
npm NODE_OPTIONS NODE_OPTIONS=--use-system-ca adds 2
node NODE_EXTRA_CA_CERTS NODE_EXTRA_CA_CERTS=/my.pem adds 1
npm NODE_EXTRA_CA_CERTS NODE_EXTRA_CA_CERTS=/my.pem adds 1
deno NODE_EXTRA_CA_CERTS NODE_EXTRA_CA_CERTS=/my.pem adds 1
bun NODE_EXTRA_CA_CERTS NODE_EXTRA_CA_CERTS=/my.pem adds 1
node NODE_TLS_REJECT_UNAUTHORIZED NODE_TLS_REJECT_UNAUTHORIZED=0 disables
bun NODE_TLS_REJECT_UNAUTHORIZED NODE_TLS_REJECT_UNAUTHORIZED=0 disables`},
		{"Node verifies", nil, "NODE_TLS_REJECT_UNAUTHORIZED=1|NODE_OPTIONS=--no-warnings|NODE_USE_SYSTEM_CA=0", ""},
		{"the system's roots are what SSL_CERT_FILE names", map[string]string{"/etc/ssl/certs/ca-certificates.crt": both, "/my.pem": pem}, "SSL_CERT_FILE=/my.pem|NODE_USE_SYSTEM_CA=1|DENO_TLS_CA_STORE=system", `
openssl SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
python SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
ruby SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
php SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
http-tiny SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
w3m SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
cargo SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
curl SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
bun SSL_CERT_FILE SSL_CERT_FILE=/my.pem replaces 1
go SSL_CERT_FILE SSL_CERT_FILE=/my.pem adds 1
dotnet SSL_CERT_FILE SSL_CERT_FILE=/my.pem adds 1
node NODE_USE_SYSTEM_CA NODE_USE_SYSTEM_CA=1 adds 1
npm NODE_USE_SYSTEM_CA NODE_USE_SYSTEM_CA=1 adds 1
deno DENO_TLS_CA_STORE DENO_TLS_CA_STORE=system replaces 1`},
		{"Node with OpenSSL's roots", map[string]string{"/etc/ssl/certs/ca-certificates.crt": both}, "NODE_OPTIONS=--use-openssl-ca", `
node NODE_OPTIONS NODE_OPTIONS=--use-openssl-ca replaces 2
npm NODE_OPTIONS NODE_OPTIONS=--use-openssl-ca replaces 2`},
		{"Deno", map[string]string{"/etc/ssl/certs/ca-certificates.crt": both}, "DENO_TLS_CA_STORE=system,mozilla|DENO_CERT=/none", `
deno DENO_CERT DENO_CERT=/none adds !
deno DENO_TLS_CA_STORE DENO_TLS_CA_STORE=system,mozilla adds 2`},

		// npm: the project's file before the user's, and the environment before both.
		{"npm's files", map[string]string{"/home/user/.npmrc": "; mine\n\nregistry=https://r.example\ncafile = ${HOME}/my.pem\nstrict-ssl=false\n", "/home/user/my.pem": pem, "/proj/.npmrc": "strict-ssl = true\n"}, "PWD=/proj|HOME=/home/user", `
npm /home/user/.npmrc:4 cafile=${HOME}/my.pem replaces 1`},
		{"npm's files and the environment", map[string]string{"/home/user/.npmrc": "cafile=/one.pem\nstrict-ssl=false", "/one.pem": pem, "/two.pem": both}, "npm_config_cafile=/two.pem", `
npm /home/user/.npmrc:2 strict-ssl=false disables
npm npm_config_cafile npm_config_cafile=/two.pem replaces 2`},
		{"npm's certificates in the file", map[string]string{"/home/user/.npmrc": "ca[]=" + inline + "\n"}, "", `
npm /home/user/.npmrc:1 ca[]=` + cut(strings.TrimSpace(pem)) + ` replaces 1`},
		{"Yarn", map[string]string{"/home/user/.yarnrc": "# yarn lockfile v1\ncafile \"/my.pem\"\nstrict-ssl false\n", "/proj/.yarnrc.yml": "nodeLinker: node-modules\nenableStrictSsl: true\n", "/my.pem": pem}, "PWD=/proj", `
yarn /home/user/.yarnrc:2 cafile=/my.pem replaces 1`},

		// pip
		{"pip", map[string]string{"/etc/pip.conf": "[global]\ncert = /my.pem\n", "/home/user/.config/pip/pip.conf": "[global]\ntimeout = 60\n[install]\ntrusted-host =\n    pypi.example\n    other.example:8443\n", "/my.pem": pem}, "", `
pip /etc/pip.conf:2 cert=/my.pem replaces 1
pip /home/user/.config/pip/pip.conf:5 trusted-host=pypi.example disables for pypi.example
pip /home/user/.config/pip/pip.conf:6 trusted-host=other.example:8443 disables for other.example:8443`},

		// Git
		{"Git", map[string]string{
			"/etc/gitconfig":        "[http]\n\tsslVerify = false\n",
			"/home/user/.gitconfig": "[user]\n\tname = Ann\n[http]\n\tsslVerify = true ; again\n\tsslCAInfo = \"~/my.pem\"\n[http \"https://git.example/\"]\n\tsslVerify = off # mine\n[https]\nsslVerify=false\n",
			"/home/user/my.pem":     pem, "/proj/.git/config": "[http]\nsslCAInfo=/two.pem\n", "/two.pem": both,
		}, "PWD=/proj", `
git /home/user/.gitconfig:7 http.https://git.example/.sslVerify=off disables for https://git.example/
git /proj/.git/config:2 http.sslCAInfo=/two.pem replaces 2`},
		{"Git, in a worktree", map[string]string{"/proj/.git": "gitdir: /main/.git/worktrees/proj\n", "/main/.git/worktrees/proj/commondir": "../..\n", "/main/.git/config": "[http]\nsslVerify=false\n"}, "PWD=/proj", `
git /main/.git/config:2 http.sslVerify=false disables`},
		{"Git, a file that leads nowhere", map[string]string{"/proj/.git": "something else\n"}, "PWD=/proj", ``},
		{"Git, one line and no value", map[string]string{"/home/user/.gitconfig": "[http] sslVerify\n[http \"https://b.example\"] sslVerify = no\n"}, "", `
git /home/user/.gitconfig:2 http.https://b.example.sslVerify=no disables for https://b.example`},
		{"Git's variables", map[string]string{"/etc/ssl/certs/5ad8a5d6.0": pem, "/my.pem": pem}, "GIT_SSL_NO_VERIFY=|GIT_SSL_CAINFO=/my.pem", `
git GIT_SSL_CAINFO GIT_SSL_CAINFO=/my.pem adds 1
git GIT_SSL_NO_VERIFY GIT_SSL_NO_VERIFY= disables`},

		// curl and wget: their files count more than the environment.
		{"curl's file", map[string]string{"/home/user/.curlrc": "# mine\n-sSk\nuser-agent = \"k\"\ncacert: \"/my.pem\"\n", "/my.pem": pem}, "CURL_CA_BUNDLE=/other.pem", `
requests CURL_CA_BUNDLE CURL_CA_BUNDLE=/other.pem replaces !
pip CURL_CA_BUNDLE CURL_CA_BUNDLE=/other.pem replaces !
conda CURL_CA_BUNDLE CURL_CA_BUNDLE=/other.pem replaces !
gcloud CURL_CA_BUNDLE CURL_CA_BUNDLE=/other.pem replaces !
curl /home/user/.curlrc:2 insecure= disables
curl /home/user/.curlrc:4 cacert=/my.pem replaces 1`},
		{"curl's file takes it back", map[string]string{"/home/user/.curlrc": "insecure\n--no-insecure\n-o k\n-K k\n"}, "", ""},
		{"curl's file elsewhere", map[string]string{"/home/user/.curlrc": "insecure\n", "/c/.curlrc": "capath /certs\n", "/certs/00000000.0": pem}, "CURL_HOME=/c", `
curl /c/.curlrc:1 capath=/certs replaces 1`},
		{"wget", map[string]string{"/etc/wgetrc": "check_certificate = on\n", "/home/user/.wgetrc": "ca-certificate = ~/my.pem\ncheckcertificate=off\n", "/home/user/my.pem": pem}, "", `
wget /home/user/.wgetrc:1 ca-certificate=~/my.pem adds 1
wget /home/user/.wgetrc:2 checkcertificate=off disables`},
		{"wget's file elsewhere", map[string]string{"/home/user/.wgetrc": "check_certificate=off\n", "/w": "ca_certificate=/my.pem\n", "/my.pem": pem}, "WGETRC=/w", `
wget /w:1 ca_certificate=/my.pem adds 1`},

		// Java, Go, conda, Cargo, Docker, AWS, old Python
		{"Java without the file", nil, "JAVA_TOOL_OPTIONS=-Xmx1g \"-Djavax.net.ssl.trustStore=/my store.jks\"", `
java JAVA_TOOL_OPTIONS JAVA_TOOL_OPTIONS=/my store.jks replaces !`},
		{"Java, no keystore, and the last of them", map[string]string{"/my.pem": pem}, "JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=/x|_JAVA_OPTIONS=-Djavax.net.ssl.trustStore=/my.pem -Djavax.net.ssl.trustStoreType=JKS", `
java _JAVA_OPTIONS _JAVA_OPTIONS=/my.pem replaces !`},
		{"Go", nil, "GODEBUG=http2client=0,x509usefallbackroots=1", `
go GODEBUG GODEBUG=x509usefallbackroots=1 replaces !`},
		{"conda", map[string]string{"/home/user/.condarc": "channels:\n  - defaults\nssl_verify: /my.pem # ours\n", "/my.pem": pem}, "", `
conda /home/user/.condarc:3 ssl_verify=/my.pem replaces 1`},
		{"conda with the system's roots", map[string]string{"/home/user/.condarc": "ssl_verify: truststore\n", "/etc/ssl/certs/ca-certificates.crt": both}, "", `
conda /home/user/.condarc:1 ssl_verify=truststore replaces 2`},
		{"Cargo", map[string]string{"/home/user/.cargo/config.toml": "[net]\nretry = 2\n[http]\ncainfo = \"/my.pem\" # ours\n", "/my.pem": pem}, "", `
cargo /home/user/.cargo/config.toml:4 cainfo=/my.pem replaces 1`},
		{"Docker", map[string]string{"/etc/docker/daemon.json": "{\n \"insecure-registries\": [\"10.0.0.0/8\", \"r.example:5000\"]}"}, "", `
docker /etc/docker/daemon.json:2 insecure-registries=10.0.0.0/8 disables for 10.0.0.0/8
docker /etc/docker/daemon.json:2 insecure-registries=r.example:5000 disables for r.example:5000`},
		{"containerd", map[string]string{"/etc/containerd/certs.d/r.example_5000_/hosts.toml": "server = \"https://r.example:5000\"\nca = ['/my.pem', 'ca.crt']\n\n[host.\"https://mirror.example/v2\"]\nca = \"gone.crt\"\nskip_verify = true\n",
			"/etc/containerd/certs.d/r.example_5000_/ca.crt": pem, "/etc/containerd/certs.d/_default/hosts.toml": "skip_verify = true", "/etc/containerd/certs.d/b.example/hosts.toml": "skip_verify = true\n= damaged", "/my.pem": pem}, "", `
containerd /etc/containerd/certs.d/_default/hosts.toml:1 skip_verify=true disables
containerd /etc/containerd/certs.d/r.example_5000_/hosts.toml:2 ca=/my.pem adds for r.example:5000 1
containerd /etc/containerd/certs.d/r.example_5000_/hosts.toml:2 ca=/etc/containerd/certs.d/r.example_5000_/ca.crt adds for r.example:5000 1
containerd /etc/containerd/certs.d/r.example_5000_/hosts.toml:5 ca=/etc/containerd/certs.d/r.example_5000_/gone.crt adds for mirror.example !
containerd /etc/containerd/certs.d/r.example_5000_/hosts.toml:6 skip_verify=true disables for mirror.example`},
		{"containerd, where its settings say", map[string]string{"/etc/containerd/config.toml": "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/srv/c'\n", "/srv/c/r.example/hosts.toml": "skip_verify = true\n", "/etc/containerd/certs.d/s.example/hosts.toml": "skip_verify = true\n"}, "", `
containerd /srv/c/r.example/hosts.toml:1 skip_verify=true disables for r.example`},
		{"containerd of old", map[string]string{"/etc/containerd/config.toml": "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry.configs.'r.example:5000'.tls]\ninsecure_skip_verify = true\nca_file = '/my.pem'\n", "/my.pem": pem}, "", `
containerd /etc/containerd/config.toml:3 skip_verify=true disables for r.example:5000
containerd /etc/containerd/config.toml:4 ca=/my.pem adds for r.example:5000 1`},
		{"Podman", map[string]string{"/etc/containers/registries.conf": "unqualified-search-registries = ['docker.io']\n[[registry]]\nlocation = \"a.example:5000/team\"\ninsecure = true\n[[registry.mirror]]\nlocation = 'm.example'\ninsecure = true\n[[registry]]\nprefix = \"b.example\"\nlocation = 'c.example'\ninsecure = true\n",
			"/etc/containers/registries.conf.d/50-mine.conf": "[[registry]]\nlocation = 'b.example'\ninsecure = false\n"}, "", `
podman /etc/containers/registries.conf:4 insecure=true disables for a.example:5000
podman /etc/containers/registries.conf:7 insecure=true disables for m.example`},
		{"AWS", map[string]string{"/home/user/.aws/config": "[default]\nregion = x\nca_bundle = /my.pem\n", "/my.pem": pem}, "", `
aws /home/user/.aws/config:3 ca_bundle=/my.pem replaces 1`},
		{"AWS, another profile", map[string]string{"/home/user/.aws/config": "[default]\nca_bundle = /one.pem\n[profile work]\nca_bundle = /two.pem\n", "/one.pem": pem, "/two.pem": both}, "AWS_PROFILE=work", `
aws /home/user/.aws/config:4 ca_bundle=/two.pem replaces 2`},
		{"AWS, a file elsewhere", map[string]string{"/home/user/.aws/config": "[default]\nca_bundle = /one.pem\n", "/srv/aws": "[default]\nca_bundle = /two.pem\n", "/one.pem": pem, "/two.pem": both}, "AWS_CONFIG_FILE=/srv/aws", `
aws /srv/aws:2 ca_bundle=/two.pem replaces 2`},
		{"gcloud", map[string]string{"/usr/lib/google-cloud-sdk/properties": "[core]\ncustom_ca_certs_file = /one.pem\n", "/home/user/.config/gcloud/active_config": "work\n",
			"/home/user/.config/gcloud/configurations/config_work":    "[auth]\ndisable_ssl_validation = True\n[core]\ncustom_ca_certs_file = /two.pem\n",
			"/home/user/.config/gcloud/configurations/config_default": "[core]\ncustom_ca_certs_file = /none.pem\n", "/one.pem": pem, "/two.pem": both}, "", `
gcloud /home/user/.config/gcloud/configurations/config_work:2 disable_ssl_validation=True disables
gcloud /home/user/.config/gcloud/configurations/config_work:4 custom_ca_certs_file=/two.pem replaces 2`},
		{"gcloud's variables", map[string]string{"/usr/lib/google-cloud-sdk/properties": "[core]\ncustom_ca_certs_file = /one.pem\n", "/srv/g/configurations/config_x": "[auth]\ndisable_ssl_validation = true\n", "/one.pem": pem, "/two.pem": both},
			"CLOUDSDK_CONFIG=/srv/g|CLOUDSDK_ACTIVE_CONFIG_NAME=x|CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE=/two.pem|CLOUDSDK_AUTH_DISABLE_SSL_VALIDATION=0", `
gcloud CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE=/two.pem replaces 2`},
		{"gcloud, a name that is a path", map[string]string{"/home/user/.config/gcloud/active_config": "../../../srv/x", "/home/user/.config/gcloud/configurations/config_default": "[core]\ncustom_ca_certs_file = /one.pem\n"}, "", ""},
		{"Git's variable and a server of its own", map[string]string{"/etc/ssl/certs/5ad8a5d6.0": pem, "/home/user/.gitconfig": "[http \"https://git.example/\"]\n\tsslCAInfo = /two.pem\n\tsslCAPath = /d\n", "/my.pem": pem, "/two.pem": both, "/d/00000000.0": pem}, "GIT_SSL_CAINFO=/my.pem", `
git /home/user/.gitconfig:3 http.https://git.example/.sslCAPath=/d replaces for https://git.example/ 1
git GIT_SSL_CAINFO GIT_SSL_CAINFO=/my.pem adds 1`},
		{"Ruby: gem and Bundler", map[string]string{"/home/user/.gemrc": "---\n:ssl_ca_cert: /my.pem\n:ssl_verify_mode: 0\ngem: --no-document\n", "/my.pem": pem}, "", `
gem /home/user/.gemrc:2 :ssl_ca_cert=/my.pem adds 1
bundler /home/user/.gemrc:2 :ssl_ca_cert=/my.pem replaces 1
gem /home/user/.gemrc:3 :ssl_verify_mode=0 disables
bundler /home/user/.gemrc:3 :ssl_verify_mode=0 disables`},
		{"Bundler: the project, the environment, the user", map[string]string{"/home/user/.bundle/config": "---\nBUNDLE_SSL_CA_CERT: \"/my.pem\"\nBUNDLE_SSL_VERIFY_MODE: \"0\"\n", "/proj/.bundle/config": "---\nBUNDLE_SSL_CA_CERT: \"/two.pem\"\n", "/my.pem": pem, "/two.pem": both}, "PWD=/proj|BUNDLE_SSL_CA_CERT=/my.pem|BUNDLE_SSL_VERIFY_MODE=1", `
bundler /proj/.bundle/config:2 BUNDLE_SSL_CA_CERT=/two.pem replaces 2`},
		{"PHP", map[string]string{"/etc/php/8.2/cli/php.ini": "[openssl]\nopenssl.cafile = /one.pem\n[curl]\ncurl.cainfo=/none.pem\n", "/etc/php/8.2/cli/conf.d/99-mine.ini": "openssl.cafile = \"/two.pem\"\n", "/one.pem": pem, "/two.pem": both}, "", `
php-curl /etc/php/8.2/cli/php.ini:4 curl.cainfo=/none.pem replaces !
php /etc/php/8.2/cli/conf.d/99-mine.ini:1 openssl.cafile=/two.pem replaces 2`},
		{"Perl", map[string]string{"/my.pem": pem}, "HTTPS_CA_FILE=/other.pem|PERL_LWP_SSL_CA_FILE=/my.pem", `
perl PERL_LWP_SSL_CA_FILE PERL_LWP_SSL_CA_FILE=/my.pem replaces 1`},
		{"conda, the other name of it, in a directory of files", map[string]string{"/home/user/.conda/condarc.d/10.yml": "ssl_verify: false\n", "/home/user/.conda/condarc.d/20.yaml": "verify_ssl: <system>\n", "/etc/ssl/certs/ca-certificates.crt": both}, "", `
conda /home/user/.conda/condarc.d/20.yaml:1 verify_ssl=<system> replaces 2`},
		{"Cargo, as TOML has it", map[string]string{"/home/user/.cargo/config.toml": "http.cainfo = '/my.pem' # ours\nregistry = { default = 'x' }\n", "/proj/.cargo/config.toml": "[http]\ncainfo = \"\n", "/my.pem": pem}, "PWD=/proj", `
cargo /home/user/.cargo/config.toml:1 cainfo=/my.pem replaces 1`},
		{"Python 2", nil, "PYTHONHTTPSVERIFY=0", `
python2 PYTHONHTTPSVERIFY PYTHONHTTPSVERIFY=0 disables`},

		// What is not as it should be
		{"not certificates", map[string]string{"/my.pem": "hello"}, "NODE_EXTRA_CA_CERTS=/my.pem|AWS_CA_BUNDLE=/|DENO_CERT=relative.pem", `
aws AWS_CA_BUNDLE AWS_CA_BUNDLE=/ replaces !
node NODE_EXTRA_CA_CERTS NODE_EXTRA_CA_CERTS=/my.pem adds !
npm NODE_EXTRA_CA_CERTS NODE_EXTRA_CA_CERTS=/my.pem adds !
deno NODE_EXTRA_CA_CERTS NODE_EXTRA_CA_CERTS=/my.pem adds !
bun NODE_EXTRA_CA_CERTS NODE_EXTRA_CA_CERTS=/my.pem adds !
deno DENO_CERT DENO_CERT=relative.pem adds !`},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := machine(t, test.files)
			var got []string
			for _, o := range Overrides(t.Context(), h, strings.Split(test.env, "|")) {
				got = append(got, line(o))
				if o.Effect == diagnose.Disables && (o.Roots != nil || o.Err != nil) || o.Err == nil && o.Effect != diagnose.Disables && len(o.Roots) == 0 {
					t.Errorf("%+v", o)
				}
			}
			if want := strings.TrimPrefix(test.want, "\n"); strings.Join(got, "\n") != want {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
			}
		})
	}
}

func TestJavaStore(t *testing.T) {
	keystore, err := pkcs12.Passwordless.EncodeTrustStore([]*x509.Certificate{storetest.NewCA(t).Cert().Parsed()}, "")
	if err != nil {
		t.Fatal(err)
	}
	h := machine(t, map[string]string{"/trust.p12": string(keystore)})
	got := Overrides(t.Context(), h, []string{"JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=/trust.p12"})
	if len(got) != 1 || line(got[0]) != "java JAVA_TOOL_OPTIONS JAVA_TOOL_OPTIONS=/trust.p12 replaces 1" {
		t.Errorf("%+v", got)
	}
}

// An offline root has no caller: neither an environment nor a home.
func TestOffline(t *testing.T) {
	h := machine(t, map[string]string{"/etc/gitconfig": "[http]\nsslVerify=false\n", "/home/user/.npmrc": "strict-ssl=false\n", "/my.pem": "x"})
	h.Live = false
	var got []string
	for _, o := range Overrides(t.Context(), h, []string{"PWD=/", "SSL_CERT_FILE=/my.pem", "GIT_SSL_CAINFO=/my.pem"}) {
		got = append(got, line(o))
	}
	if want := []string{"git /etc/gitconfig:2 http.sslVerify=false disables"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWindows(t *testing.T) {
	h := machine(t, map[string]string{"/C:/Users/ann/pip/pip.ini": "[global]\r\ncert = C:\\ca.pem\r\n"})
	h.OS = "windows"
	env := []string{`=C:=C:\work`, `AppData=C:\Users\ann`, `ssl_cert_file=C:\ca.pem`}
	var got []string
	for _, o := range Overrides(t.Context(), h, env) {
		got = append(got, o.Client)
	}
	// Go and .NET have the system's verifier there.
	if !slices.Contains(got, "openssl") || slices.Contains(got, "go") || slices.Contains(got, "dotnet") {
		t.Errorf("%q", got)
	}
}

func TestUnreadable(t *testing.T) {
	h := machine(t, map[string]string{"/home/user/.npmrc": "strict-ssl=false\n" + strings.Repeat("#", maxSettings)})
	got := Overrides(t.Context(), h, nil)
	if len(got) != 1 || got[0].Client != "npm" || got[0].Source != "/home/user/.npmrc" || !errors.Is(got[0].Err, host.ErrTooLarge) {
		t.Errorf("%+v", got)
	}
	if os.Geteuid() != 0 {
		h = machine(t, map[string]string{"/home/user/.curlrc": "insecure\n"})
		if err := os.Chmod(filepath.Join(h.Root, "home/user/.curlrc"), 0); err != nil {
			t.Fatal(err)
		}
		if got := Overrides(t.Context(), h, nil); len(got) != 1 || !errors.Is(got[0].Err, store.ErrPermission) {
			t.Errorf("%+v", got)
		}
	}
	// A FIFO is not waited for.
	h = machine(t, map[string]string{"/home/user/x": ""})
	if err := hosttest.Mkfifo(filepath.Join(h.Root, "home/user/.curlrc")); err != nil {
		t.Skip(err)
	}
	if got := Overrides(t.Context(), h, []string{"NODE_EXTRA_CA_CERTS=/home/user/.curlrc"}); len(got) != 5 {
		t.Errorf("%+v", got)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h := machine(t, map[string]string{"/my.pem": string(storetest.NewCA(t).PEM())})
	for _, o := range Overrides(ctx, h, []string{"SSL_CERT_FILE=/my.pem"}) {
		if !errors.Is(o.Err, context.Canceled) {
			t.Errorf("%+v", o)
		}
	}
}

// Directories and lists of any size are bounded.
func TestBounds(t *testing.T) {
	files := map[string]string{}
	pem := string(storetest.NewCA(t).PEM())
	for i := range maxDir + 10 {
		files[fmt.Sprintf("/d/%08x.0", i)] = pem
	}
	h := machine(t, files)
	got := Overrides(t.Context(), h, []string{"GIT_SSL_CAPATH=" + strings.Repeat("/d:", 1000), "GODEBUG=" + strings.Repeat("x509usefallbackroots=1,", 10_000)})
	if len(got) != 2 || len(got[1].Value) > maxValue+10 {
		t.Errorf("%d overrides", len(got))
	}
}

// Every row says who, what and where, so that nothing is looked at in vain.
func TestTable(t *testing.T) {
	check := func(r rule) {
		if len(r.names) == 0 || len(r.clients) == 0 || r.topic == "" || r.effect == "" && r.take == nil {
			t.Errorf("%+v", r)
		}
		if r.half != "" && r.half != "file" && r.half != "directory" {
			t.Errorf("%v: half %q", r.names, r.half)
		}
	}
	for _, r := range variables {
		check(r)
	}
	for _, f := range files {
		if f.about == "" || len(f.places) == 0 && f.where == nil || f.parse == nil || len(f.rules) == 0 {
			t.Errorf("%+v", f)
		}
		for _, r := range f.rules {
			check(r)
		}
	}
}

func FuzzParsers(f *testing.F) {
	for _, text := range []string{"[http \"a]b\"] x = \"y\\\"", "-k\n--cacert = \"", "a: b\n", "[x]\ny=\n  z\n", "{\"insecure-registries\":[\"x\"]}", "\xff=\xfe\n", "\"", "ca[]=\"\\", "[http"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n := bytes.Count(data, []byte("\n")) + 1
		for _, file := range files {
			for _, s := range file.parse(data) {
				if s.line < 1 || s.line > n {
					t.Fatalf("%s: %+v is not among %d lines", file.about, s, n)
				}
			}
		}
	})
}

func FuzzOverrides(f *testing.F) {
	f.Add("SSL_CERT_FILE=/x\nPWD=/\nNODE_OPTIONS='--use-system-ca\nJAVA_TOOL_OPTIONS=\"-Djavax.net.ssl.trustStore=\nSSL_CERT_DIR=::/:~", "[http]\nsslverify=0")
	h := machine(f, nil)
	f.Fuzz(func(t *testing.T, env, config string) {
		if err := os.MkdirAll(filepath.Join(h.Root, "home/user"), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{".npmrc", ".curlrc", ".gitconfig", ".condarc"} {
			if err := os.WriteFile(filepath.Join(h.Root, "home/user", name), []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, o := range Overrides(t.Context(), h, strings.Split(env, "\n")) {
			if o.Client == "" || o.Source == "" || o.Name == "" && !strings.Contains(o.Source, ":") || o.Effect == "" {
				t.Errorf("%+v", o)
			}
			if o.Err == nil && o.Effect != diagnose.Disables && len(o.Roots) == 0 {
				t.Errorf("%+v has neither roots nor an error", o)
			}
			o.Concerns(diagnose.Target{Host: "a.example", Port: 443})
		}
	})
}
