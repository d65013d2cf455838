package clients

import (
	"regexp"
	"sync"
)

// consumer is a program that verifies servers, and how it is asked about one.
// In its arguments HOST, PORT and URL stand for the server, DIR for a directory
// of its own, SELF for this program and SECONDS, also in what it is to run, for how
// long it may take.
type consumer struct {
	id, title string
	programs  []string // the names that it goes by, the first that is there is asked
	args      []string
	env       []string // what it needs to be asked at all
	clean     []string // and where nothing of the user's is to count
	version   []string // what makes it tell its version; nil = --version
	http      bool     // it has to speak HTTP, and not only TLS
	dir       bool     // DIR is needed
	bare      bool     // what it has in the user's home directory changes whom it trusts
	// module is a program text that fails if what is asked is not installed.
	module []string
	// accepts and refuses are what it writes. Without a word of either, the exit
	// code 0 is yes, and everything else no answer.
	accepts, refuses pattern
	// fails is what it writes where there was no TLS connection, if it ends then as
	// if all was well, or says what it says of an answer.
	fails pattern
	// byRequest: only what reached the server tells; its exit code says nothing.
	byRequest bool
	files     map[string][]byte // to be put into DIR
	// holds is how it is asked whether it trusts the certificate in DIR/ca.pem,
	// where there is no server; nil = it cannot be asked that.
	holds *holding
}

// holding is a question about a certificate.
type holding struct {
	program string // "" = the same
	args    []string
	lists   bool // it writes all that it trusts, in PEM; else its exit code tells
}

// pattern is a regular expression that is compiled when it is first used: most
// commands use none of them.
type pattern func() *regexp.Regexp

func re(text string) pattern {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

const pythonSSL = `import socket, ssl, sys
s = ssl.create_default_context().wrap_socket(socket.create_connection((sys.argv[1], int(sys.argv[2])), SECONDS), server_hostname=sys.argv[1])
print("accepted", s.version())`

const pythonRequests = `import sys, requests
requests.get(sys.argv[1], timeout=SECONDS, allow_redirects=False)
print("accepted")`

const pythonHolds = `import ssl
for c in ssl.create_default_context().get_ca_certs(True):
    print(ssl.DER_cert_to_PEM_cert(c))`

const requestsHolds = `import requests.utils
print(open(requests.utils.DEFAULT_CA_BUNDLE_PATH).read())`

const nodeHolds = `const t = require('tls'), x = process.env.NODE_EXTRA_CA_CERTS
console.log((t.getCACertificates ? t.getCACertificates('default') : t.rootCertificates).join('\n'))
if (!t.getCACertificates && x) console.log(require('fs').readFileSync(x, 'utf8'))`

const nodeTLS = `const s = require('tls').connect({host: process.argv[1], port: +process.argv[2], servername: process.argv[1]}, () => { console.log('accepted'); process.exit(0) })
s.setTimeout(SECONDS000, () => { console.log('timeout'); process.exit(2) })
s.on('error', e => { console.log(e.code + ' ' + e.message); process.exit(1) })`

const denoTLS = `try { const r = await fetch(Deno.args[0], {redirect: "manual", signal: AbortSignal.timeout(SECONDS000)}); await r.body?.cancel(); console.log("accepted"); } catch (e) { console.log(String(e) + " " + String(e.cause ?? "")); Deno.exit(1); }`

const bunTLS = `try { await fetch(process.argv[process.argv.length-1], {redirect: "manual", signal: AbortSignal.timeout(SECONDS000)}); console.log("accepted"); } catch (e) { console.log(String(e.code) + " " + String(e)); process.exit(1); }`

const rubyTLS = `require 'net/http'
u = URI(ARGV[0])
Net::HTTP.start(u.host, u.port, use_ssl: true, open_timeout: SECONDS, read_timeout: SECONDS) { |h| h.get('/') }
puts 'accepted'`

const phpTLS = `set_error_handler(function ($n, $m) { echo $m, "\n"; return true; });
$c = stream_context_create(['ssl' => ['SNI_enabled' => true, 'peer_name' => $argv[1]]]);
$s = stream_socket_client('tls://' . $argv[1] . ':' . $argv[2], $n, $e, SECONDS, STREAM_CLIENT_CONNECT, $c);
if ($s) { echo "accepted\n"; exit(0); }
echo $e, "\n"; exit(1);`

const perlLWP = `use LWP::UserAgent;
my $r = LWP::UserAgent->new(timeout => SECONDS, max_redirect => 0)->get($ARGV[0]);
if (($r->header('Client-Warning') || '') eq '') { print "accepted\n"; exit 0 }
print $r->status_line, " ", $r->decoded_content, "\n"; exit 1`

const perlTiny = `use HTTP::Tiny;
my $r = HTTP::Tiny->new(timeout => SECONDS, max_redirect => 0)->get($ARGV[0]);
if ($r->{status} != 599) { print "accepted\n"; exit 0 }
print $r->{content}, "\n"; exit 1`

// consumers are the programs that can be asked. Each was held against the
// program itself with a server that it must accept and one that it must not.
var consumers = sync.OnceValue(func() []consumer {
	return []consumer{
		{id: "curl", bare: true, title: "curl", programs: []string{"curl"}, http: true,
			args: []string{"-sS", "-o", "/dev/null", "--max-time", "SECONDS", "URL"}, refuses: re(`curl: \((51|58|60|77|83|91)\)|curl: \(35\).*(?i:cert|untrusted)`)},
		{id: "openssl", title: "OpenSSL", programs: []string{"openssl"}, version: []string{"version"},
			args:    []string{"s_client", "-connect", "HOST:PORT", "-servername", "HOST", "-verify_hostname", "HOST", "-verify_return_error", "-brief"},
			refuses: re(`verify error:num=`), holds: &holding{args: []string{"verify", "DIR/ca.pem"}}},
		{id: "gnutls", bare: true, title: "GnuTLS", programs: []string{"gnutls-cli"},
			args: []string{"--port", "PORT", "HOST"}, refuses: re(`(?i)certificate is NOT trusted|Status: The certificate`),
			holds: &holding{program: "certtool", args: []string{"--verify", "--infile", "DIR/ca.pem"}}},
		{id: "wget", bare: true, title: "wget", programs: []string{"wget"}, http: true,
			args:    []string{"-nv", "--tries=1", "--timeout=SECONDS", "--max-redirect=0", "-O", "/dev/null", "URL"},
			accepts: re(`(?m)ERROR [345]\d\d|redirections exceeded|URL:`), refuses: re(`certificate of .* is not trusted|cannot verify .* certificate|Unable to locally verify|certificate (has|common)`)},
		{id: "git", bare: true, title: "Git", programs: []string{"git"}, http: true, env: []string{"GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=true"},
			args:    []string{"-c", "http.followRedirects=false", "ls-remote", "URLrepository.git"},
			accepts: re(`not found|is this a git repository|requested URL returned error|Authentication failed|could not read Username|redirect`), refuses: re(`certificate verification failed|SSL certificate problem|SSL peer certificate|schannel: .*(trust|CERT)`)},
		{id: "python", title: "Python", programs: []string{"python3", "python"},
			args: []string{"-c", pythonSSL, "HOST", "PORT"}, refuses: re(`CERTIFICATE_VERIFY_FAILED`),
			holds: &holding{args: []string{"-c", pythonHolds}, lists: true}},
		{id: "requests", title: "Requests", programs: []string{"python3", "python"}, http: true, module: []string{"-c", "import requests; print(requests.__version__)"},
			args: []string{"-W", "ignore", "-c", pythonRequests, "URL"}, refuses: re(`CERTIFICATE_VERIFY_FAILED|certificate verify failed`),
			holds: &holding{args: []string{"-W", "ignore", "-c", requestsHolds}, lists: true}},
		// A wheel, and nothing else: of a source distribution pip runs what the server
		// has put into it.
		{id: "pip", title: "pip", programs: []string{"pip3", "pip"}, http: true, dir: true, clean: []string{"PIP_CONFIG_FILE=/dev/null"},
			args:    []string{"--disable-pip-version-check", "--no-input", "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--retries", "0", "--timeout", "SECONDS", "-d", "DIR", "URLcerttrust_probe-0-py3-none-any.whl"},
			accepts: re(`[1-5]\d\d (Client|Server) Error|HTTP error [1-5]\d\d|Downloading https:|BadZipFile|\.whl is invalid`), refuses: re(`CERTIFICATE_VERIFY_FAILED|certificate verify failed|CertificateError`)},
		{id: "node", title: "Node.js", programs: []string{"node", "nodejs"},
			args: []string{"-e", nodeTLS, "HOST", "PORT"}, refuses: re(`UNABLE_TO|SELF_SIGNED|CERT_|ERR_TLS_CERT|DEPTH_ZERO`),
			holds: &holding{args: []string{"-e", nodeHolds}, lists: true}},
		{id: "npm", bare: true, title: "npm", programs: []string{"npm"}, http: true, dir: true, env: []string{"npm_config_cache=DIR", "npm_config_update_notifier=false", "npm_config_fetch_retries=0", "npm_config_fetch_timeout=SECONDS000"},
			args:    []string{"ping", "--registry", "URL"},
			accepts: re(`PONG|E40\d|E50\d|invalid json|Unexpected token`), refuses: re(`UNABLE_TO|SELF_SIGNED|CERT_|ERR_TLS_CERT|DEPTH_ZERO`)},
		{id: "deno", title: "Deno", programs: []string{"deno"}, http: true, dir: true, env: []string{"DENO_DIR=DIR", "DENO_NO_UPDATE_CHECK=1", "NO_COLOR=1"},
			args: []string{"run", "--no-config", "--no-lock", "--allow-net", "--allow-env", "DIR/probe.mjs", "URL"}, files: map[string][]byte{"probe.mjs": []byte(denoTLS)},
			refuses: re(`invalid peer certificate|UnknownIssuer|CaUsedAsEndEntity|NotValidForName`)},
		{id: "bun", title: "Bun", programs: []string{"bun"}, http: true, dir: true, files: map[string][]byte{"probe.mjs": []byte(bunTLS)},
			args: []string{"run", "DIR/probe.mjs", "URL"}, refuses: re(`UNABLE_TO|SELF_SIGNED|CERT_|ERR_TLS_CERT|DEPTH_ZERO`)},
		{id: "java", title: "Java", programs: []string{"java"}, http: true, dir: true, version: []string{"-version"}, files: map[string][]byte{"CerttrustProbe.class": probeClass},
			args:    []string{"-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp", "DIR", "CerttrustProbe", "URL", "SECONDS"},
			refuses: re(`PKIX|trustAnchors|CertificateException|CertPathValidator|ValidatorException`),
			holds:   &holding{program: "keytool", args: []string{"-J-XX:TieredStopAtLevel=1", "-list", "-cacerts", "-rfc", "-storepass", "changeit"}, lists: true}},
		{id: "go", title: "Go", programs: []string{"SELF"}, args: []string{"__dial", "HOST", "PORT", "SECONDSs"}, version: []string{"version"}, refuses: re(`x509: `),
			holds: &holding{args: []string{"__holds", "DIR/ca.pem"}}},
		{id: "ruby", title: "Ruby", programs: []string{"ruby"}, http: true, args: []string{"-W0", "-e", rubyTLS, "URL"}, refuses: re(`certificate verify failed`)},
		{id: "php", title: "PHP", programs: []string{"php"}, args: []string{"-r", phpTLS, "--", "HOST", "PORT"}, refuses: re(`certificate verify failed|Peer certificate`)},
		{id: "perl", title: "Perl's LWP", programs: []string{"perl"}, http: true, module: []string{"-MLWP::Protocol::https", "-e", `print "LWP $LWP::UserAgent::VERSION"`},
			args: []string{"-e", perlLWP, "URL"}, refuses: re(`certificate verify failed|hostname verification failed`)},
		{id: "http-tiny", title: "Perl's HTTP::Tiny", programs: []string{"perl"}, http: true, module: []string{"-MHTTP::Tiny", "-MIO::Socket::SSL", "-e", `print "HTTP::Tiny $HTTP::Tiny::VERSION"`},
			args: []string{"-e", perlTiny, "URL"}, refuses: re(`certificate verify failed|hostname verification failed`)},
		{id: "cargo", title: "Cargo", programs: []string{"cargo"}, http: true, dir: true, env: []string{"CARGO_HOME=DIR", "CARGO_NET_RETRY=0", "CARGO_HTTP_TIMEOUT=SECONDS"},
			args:    []string{"search", "--index", "sparse+URL", "certtrust-probe-that-is-nowhere"},
			accepts: re(`failed to (parse|fetch|get)|got (40|30|50|20)\d|expected|no such|config\.json|api`), refuses: re(`(?i)SSL (peer )?certificate|certificate problem|\[60\]`), fails: re(`(?m)^\s*\[\d+\] `)},
		{id: "w3m", bare: true, title: "w3m", programs: []string{"w3m"}, http: true, args: []string{"-dump", "-o", "ssl_forbid_method=2", "URL"}, refuses: re(`(?i)certificate`), fails: re(`w3m: Can't load`)},
		{id: "aria2", title: "aria2", programs: []string{"aria2c"}, http: true, dir: true, args: []string{"--no-conf", "--max-tries=1", "--timeout=SECONDS", "-d", "DIR", "-o", "out", "URL"},
			accepts: re(`errorCode=(3|22|23)\b`), refuses: re(`(?i)certificate|not trusted|issuer is not known`)},
		{id: "aws", bare: true, title: "AWS tools", programs: []string{"aws"}, http: true, env: []string{"AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x", "AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1"},
			args:    []string{"--endpoint-url", "URL", "--cli-connect-timeout", "SECONDS", "--cli-read-timeout", "SECONDS", "sts", "get-caller-identity"},
			accepts: re(`An error occurred|Unable to parse|ParserError|not well-formed`), refuses: re(`CERTIFICATE_VERIFY_FAILED|certificate verify failed|CertificateError`)},
		// What it is given as a token is none, and its own ones are not looked at.
		{id: "gcloud", bare: true, title: "gcloud", programs: []string{"gcloud"}, http: true, dir: true, files: map[string][]byte{"token": []byte("none")},
			env:     []string{"CLOUDSDK_AUTH_ACCESS_TOKEN_FILE=DIR/token", "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE=URL", "CLOUDSDK_CORE_DISABLE_PROMPTS=1", "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING=1", "CLOUDSDK_CORE_HTTP_TIMEOUT=SECONDS"},
			args:    []string{"compute", "zones", "list", "--project", "certtrust-probe", "--format", "json"},
			accepts: re(`(?i)HTTPError.? [1-5]\d\d|some requests did not succeed|does not have permission|was not found|JSONDecodeError`), refuses: re(`CERTIFICATE_VERIFY_FAILED|certificate verify failed|CertificateError`)},
		{id: "chromium", title: "Chromium", programs: []string{"chromium", "google-chrome", "chrome", "microsoft-edge", "brave-browser"}, http: true, dir: true,
			args: []string{"--headless", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
				"--disable-features=HttpsUpgrades,CaptivePortalInterstitial,OptimizationHints", "--user-data-dir=DIR", "--timeout=SECONDS000", "--dump-dom", "URL"},
			refuses: re(`ERR_CERT`), fails: re(`net::ERR_|(?m)^<html><head></head><body></body></html>$`), byRequest: true},
		{id: "firefox", title: "Firefox, a new profile", programs: []string{"firefox-esr", "firefox"}, http: true, dir: true, byRequest: true, env: []string{"MOZ_HEADLESS=1", "MOZ_CRASHREPORTER_DISABLE=1", "HOME=DIR"},
			args:  []string{"--headless", "--no-remote", "--profile", "DIR", "--screenshot", "DIR/page.png", "URL"},
			files: map[string][]byte{"user.js": []byte(firefoxQuiet)}},
	}
})

// firefoxQuiet keeps Firefox from talking to anybody but the server.
const firefoxQuiet = `user_pref("app.normandy.enabled", false);
user_pref("app.update.enabled", false);
user_pref("browser.safebrowsing.malware.enabled", false);
user_pref("browser.safebrowsing.phishing.enabled", false);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("network.dns.disableIPv6", true);
user_pref("services.settings.server", "data:,");
user_pref("toolkit.telemetry.server", "data:,");
`
