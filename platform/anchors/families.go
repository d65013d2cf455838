package anchors

import (
	"slices"

	"github.com/certtrust/certtrust/platform/anchors/p11kit"
	"github.com/certtrust/certtrust/store"
)

// family is one way in which systems keep their trusted roots. A row holds
// what differs between families; how it is read and written is the same code.
// Paths are absolute.
type family struct {
	name  string
	title string

	// How the family is recognised: by files that only it has, by ID or ID_LIKE
	// of os-release, and by a text that only its own update tool contains. Of
	// a system without any of these it takes that one of the paths in only is
	// there.
	system   string // of the host, "" = linux
	marks    []string
	ids      []string
	toolMark string
	only     []string

	vendorDir  string // certificates that packages ship
	vendorConf string // which of them are in use: a line each, "!" before those that are not
	adminDir   string // certificates of the administrator, at any depth
	suffix     string // the only file names in adminDir that count

	bundle  string // all trusted certificates in one file
	hashDir string // a link for each, and one by the hash of its subject (openssl-rehash)

	// For families that keep anchors in directories or in one file, instead of
	// vendorDir and vendorConf. The first of the outputs is what most programs
	// read.
	places  []place
	outputs []output
	p11     bool // p11-kit reads the places
	named   bool // comments name the certificates in its bundles
	alone   bool // only what is alone in its file is found by its hash
	// rereads: the tool takes what is in the hash directory for anchors, too, so
	// that what is to go has to be taken out of there first.
	rereads bool
	// linkPrefix begins the names of links to the anchors that the hash links
	// lead to; "" = these lead to the anchors.
	linkPrefix string

	// declared is what declares the content of a system that is not changed by
	// writing files, nil for others.
	declared *declaration
	// legacy is an obstacle of old releases: what the tool's text holds in these,
	// and the link that is none as long as they are not told.
	legacy struct{ mark, link string }
	about  string // what has to be said of how it is known

	tool    string   // brings bundle and hashDir up to date
	parts   []string // directories of scripts that it runs to make the outputs
	tools   []string // where else it may be
	args    []string
	proven  map[string]string // the tools that the native engine was seen to be identical with: the SHA-256 of the program and what has it
	hookDir string            // programs the tool tells of additions and removals
	install string            // how one gets the tool
	manager string            // what that takes: a system without it is of another kind, whatever it calls itself

	java keystore

	readers []string
}

// keystore is a Java key store that is generated from the system's roots.
type keystore struct {
	path    string
	hook    string   // the hook that generates it
	conf    string   // says whether it is to be generated
	off     string   // the line of conf, without blanks and quotes, that says it is not
	pending string   // what the hook has still to do
	pkg     string   // the package that the hook is of
	finish  []string // finishes what of that package a crash has interrupted
	locks   []string // held by a package manager, which keeps the hook from its work
}

// families lists the known families, the most telling first.
var families = []family{
	{
		name:  "debian",
		title: "Debian's ca-certificates",

		// Debian itself and what is made from it: os-release(5), ID_LIKE.
		ids:      []string{"debian", "ubuntu"},
		toolMark: "LOCALCERTSDIR=",

		// update-ca-certificates(8)
		vendorDir:  "/usr/share/ca-certificates",
		vendorConf: "/etc/ca-certificates.conf",
		adminDir:   "/usr/local/share/ca-certificates",
		suffix:     ".crt",
		bundle:     "/etc/ssl/certs/ca-certificates.crt",
		hashDir:    "/etc/ssl/certs",
		tool:       "/usr/sbin/update-ca-certificates",
		hookDir:    "/etc/ca-certificates/update.d",
		proven: map[string]string{
			"395364bffc7ce85ccbe2de71215f9c6c85c024af3bbd991c75a01c2d2aa3080a": "ca-certificates 20230311 (Debian 12)",
			"2cb06c85b5f01c4f6b72c3983d9f66d44aac0a7ac997ee55e7e429aedbc3934d": "ca-certificates 20250419 (Debian 12 and 13)",
		},
		install: "apt-get install ca-certificates",
		manager: "/usr/bin/dpkg",

		// ca-certificates-java: its README.Debian and hook
		java: keystore{
			path:    "/etc/ssl/certs/java/cacerts",
			hook:    "/etc/ca-certificates/update.d/jks-keystore",
			conf:    "/etc/default/cacerts",
			off:     "cacerts_updates=no",
			pending: "/var/lib/ca-certificates-java/pending",
			pkg:     "ca-certificates-java",
			finish:  []string{"/usr/bin/dpkg", "--configure", "ca-certificates-java"},
			locks:   []string{"/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock"},
		},

		readers: []string{"OpenSSL", "curl", "wget", "git", "GnuTLS", "Python", "Go", "Java"},
	},
	{
		// security.pki of NixOS's manual
		name: "nixos", title: "NixOS's configuration",
		marks: []string{"/etc/NIXOS"}, ids: []string{"nixos"},
		places:   []place{{path: "/etc/ssl/certs/ca-certificates.crt", file: true}},
		declared: nixDeclaration,
		readers:  systemReaders,
	},
	{
		// settings.pki of Bottlerocket's documentation
		name: "bottlerocket", title: "Bottlerocket's settings",
		ids:      []string{"bottlerocket"},
		places:   []place{{path: "/etc/pki/tls/certs/ca-bundle.crt", file: true}},
		declared: bottlerocketDeclaration,
		readers:  systemReaders,
	},
	{
		// update-ca-trust(8), ca-certificates.spec
		name: "fedora", title: "Fedora's ca-certificates",
		ids:      []string{"fedora", "rhel", "centos", "rocky", "almalinux", "ol", "amzn", "azurelinux", "mariner", "sailfishos"},
		toolMark: "/etc/pki/ca-trust", tool: "/usr/bin/update-ca-trust", tools: []string{"/usr/sbin/update-ca-trust"}, args: []string{"extract"},
		install: "dnf install ca-certificates p11-kit-trust",
		places:  slices.Concat(p11Places("/etc/pki/ca-trust/source", 0, false), p11Places("/usr/share/pki/ca-trust-source", 1, true)),
		p11:     true, named: true,
		outputs: []output{
			{bundlePEM, "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", store.PurposeServerAuth},
			{bundlePEM, "/etc/pki/ca-trust/extracted/pem/email-ca-bundle.pem", store.PurposeEmail},
			{bundlePEM, "/etc/pki/ca-trust/extracted/pem/objsign-ca-bundle.pem", store.PurposeCodeSigning},
			{bundleTrusted, "/etc/pki/ca-trust/extracted/openssl/ca-bundle.trust.crt", ""},
			{javaKeystore, "/etc/pki/ca-trust/extracted/java/cacerts", ""},
			{hashDirectory, "/etc/pki/ca-trust/extracted/pem/directory-hash", ""},
			{linkDirectory, "/etc/pki/tls/certs", ""},
			{otherOutput, "/etc/pki/ca-trust/extracted/edk2/cacerts.bin", ""},
		},
		adminDir: "/etc/pki/ca-trust/source/anchors", suffix: ".pem",
		legacy:  struct{ mark, link string }{"force-enable", "/etc/pki/tls/certs/ca-bundle.crt"},
		readers: systemReaders,
	},
	{
		// update-ca-certificates(8) of openSUSE/ca-certificates
		name: "suse", title: "openSUSE's ca-certificates",
		ids:      []string{"opensuse", "suse", "sles", "sled", "opensuse-microos"},
		toolMark: "/usr/lib/ca-certificates/update.d", tool: "/usr/sbin/update-ca-certificates", tools: []string{"/usr/bin/update-ca-certificates"},
		install: "zypper install ca-certificates",
		places:  slices.Concat(p11Places("/etc/pki/trust", 0, false), p11Places("/usr/share/pki/trust", 1, true)),
		p11:     true,
		parts:   []string{"/etc/ca-certificates/update.d", "/usr/lib/ca-certificates/update.d"},
		outputs: []output{
			{bundlePEM, "/var/lib/ca-certificates/ca-bundle.pem", store.PurposeServerAuth},
			{hashDirectory, "/var/lib/ca-certificates/pem", ""},
			{hashDirectory, "/var/lib/ca-certificates/openssl", ""},
			{javaKeystore, "/var/lib/ca-certificates/java-cacerts", ""},
		},
		adminDir: "/etc/pki/trust/anchors", suffix: ".pem",
		readers: systemReaders,
	},
	{
		// update-ca-trust(8) of Arch's ca-certificates-utils
		name: "arch", title: "Arch's ca-certificates",
		ids:      []string{"arch", "archarm", "manjaro", "endeavouros", "artix"},
		toolMark: "/etc/ca-certificates", tool: "/usr/bin/update-ca-trust",
		install: "pacman -S ca-certificates-utils",
		places:  slices.Concat(p11Places("/etc/ca-certificates/trust-source", 0, false), p11Places("/usr/share/ca-certificates/trust-source", 1, true)),
		p11:     true, named: true,
		outputs: []output{
			{bundlePEM, "/etc/ca-certificates/extracted/tls-ca-bundle.pem", store.PurposeServerAuth},
			{bundlePEM, "/etc/ca-certificates/extracted/email-ca-bundle.pem", store.PurposeEmail},
			{bundlePEM, "/etc/ca-certificates/extracted/objsign-ca-bundle.pem", store.PurposeCodeSigning},
			{bundleTrusted, "/etc/ca-certificates/extracted/ca-bundle.trust.crt", ""},
			{hashDirectory, "/etc/ca-certificates/extracted/cadir", ""},
			{linkDirectory, "/etc/ssl/certs", ""},
			{javaKeystore, "/etc/ca-certificates/extracted/java-cacerts.jks", ""},
			{javaKeystore, "/etc/ssl/certs/java/cacerts", ""}, // a link to that, or in its place before there was that
			{otherOutput, "/etc/ca-certificates/extracted/edk2-cacerts.bin", ""},
		},
		adminDir: "/etc/ca-certificates/trust-source/anchors", suffix: ".pem",
		readers: systemReaders,
	},
	{
		// update-ca.c of alpinelinux/ca-certificates
		name: "alpine", title: "Alpine's ca-certificates",
		ids:      []string{"alpine", "wolfi", "chainguard", "postmarketos"},
		toolMark: "\x7fELF", tool: "/usr/sbin/update-ca-certificates", tools: []string{"/usr/bin/update-ca-certificates"},
		install: "apk add ca-certificates",
		places: []place{
			{path: "/usr/share/ca-certificates", vendor: true, deep: true, suffixes: []string{".crt"}, list: "/etc/ca-certificates.conf"},
			{path: "/usr/local/share/ca-certificates", visible: true},
		},
		outputs: []output{
			{bundlePEM, "/etc/ssl/certs/ca-certificates.crt", ""},
			{hashDirectory, "/etc/ssl/certs", ""},
		},
		alone: true, linkPrefix: "ca-cert-",
		adminDir: "/usr/local/share/ca-certificates", suffix: ".crt",
		readers: systemReaders,
	},
	{
		// clrtrust(1)
		name: "clear", title: "Clear Linux's clrtrust",
		ids:      []string{"clear-linux-os", "clear-linux"},
		toolMark: "clrtrust", tool: "/usr/bin/clrtrust", args: []string{"generate"},
		install: "swupd bundle-add os-core",
		places: []place{
			{path: "/usr/share/ca-certs/trusted", vendor: true},
			{path: "/etc/ca-certs/trusted"},
			{path: "/etc/ca-certs/distrusted", standing: p11kit.Blocked},
		},
		outputs: []output{
			{bundlePEM, "/var/cache/ca-certs/compat/ca-roots.pem", ""},
			{hashDirectory, "/var/cache/ca-certs/anchors", ""},
		},
		adminDir: "/etc/ca-certs/trusted", suffix: ".pem",
		readers: systemReaders,
		about:   "known from its documentation, and not tried",
	},
	{
		// update-ca-certificates of flatcar/init
		name: "flatcar", title: "Flatcar's ca-certificates",
		ids:      []string{"flatcar", "coreos"},
		toolMark: "--skip-rehash", tool: "/usr/sbin/update-ca-certificates", tools: []string{"/usr/bin/update-ca-certificates"},
		install: "it is part of the image",
		places:  []place{{path: "/etc/ssl/certs", suffixes: []string{".pem"}, shared: true}},
		outputs: []output{
			{bundlePEM, "/etc/ssl/certs/ca-certificates.crt", ""},
			{hashDirectory, "/etc/ssl/certs", ""},
		},
		alone:     true,
		vendorDir: "/usr/share/ca-certificates",
		adminDir:  "/etc/ssl/certs", suffix: ".pem",
		readers: systemReaders,
		about:   "known from its script, and not tried",
	},
	{
		// rehash_ca_certificates.sh of Photon's ca-certificates
		name: "photon", title: "Photon's ca-certificates",
		ids:      []string{"photon"},
		toolMark: "ca-bundle.crt", tool: "/usr/bin/rehash_ca_certificates.sh", tools: []string{"/usr/sbin/rehash_ca_certificates.sh"},
		install: "tdnf install ca-certificates",
		places:  []place{{path: "/etc/ssl/certs", suffixes: []string{".pem"}, shared: true}},
		outputs: []output{
			{bundlePEM, "/etc/pki/tls/certs/ca-bundle.crt", ""},
			{hashDirectory, "/etc/ssl/certs", ""},
		},
		alone:    true,
		adminDir: "/etc/ssl/certs", suffix: ".pem",
		readers: systemReaders,
		about:   "known from its script, and not tried",
	},
	{
		// certctl(8) of FreeBSD 15, a program in C
		name: "freebsd", title: "FreeBSD's certctl, since 15", system: "freebsd",
		toolMark: "\x7fELF", tool: "/usr/sbin/certctl", args: []string{"rehash"},
		install: "it is part of the base system",
		places: []place{
			{path: "/usr/share/certs/trusted", vendor: true, deep: true},
			{path: "/usr/share/certs/untrusted", vendor: true, standing: p11kit.Blocked},
			{path: "/usr/local/share/certs"},
			{path: "/usr/local/share/certs/trusted", deep: true},
			{path: "/usr/local/share/certs/untrusted", standing: p11kit.Blocked},
		},
		outputs: []output{
			{hashDirectory, "/etc/ssl/certs", ""},
			{bundlePEM, "/etc/ssl/cert.pem", ""},
		},
		rereads:  true,
		adminDir: "/usr/local/share/certs", suffix: ".pem",
		readers: systemReaders,
		about:   "known from its manual and source, and not tried",
	},
	{
		// certctl(8)
		name: "freebsd", title: "FreeBSD's certctl", system: "freebsd",
		toolMark: "rehash", tool: "/usr/sbin/certctl", args: []string{"rehash"},
		install: "it is part of the base system",
		places: []place{
			{path: "/usr/share/certs/trusted", vendor: true, deep: true},
			{path: "/usr/share/certs/untrusted", vendor: true, standing: p11kit.Blocked, elder: "/usr/share/certs/blacklisted"},
			{path: "/usr/local/share/certs", deep: true, suffixes: []string{".pem", ".crt", ".cer", ".0"}},
			{path: "/usr/local/etc/ssl/certs", deep: true, suffixes: []string{".pem", ".crt", ".cer", ".0"}},
			{path: "/usr/local/etc/ssl/untrusted", standing: p11kit.Blocked, elder: "/usr/local/etc/ssl/blacklisted"},
		},
		outputs: []output{
			{hashDirectory, "/etc/ssl/certs", ""},
			{bundlePEM, "/etc/ssl/cert.pem", ""},
		},
		adminDir: "/usr/local/share/certs", suffix: ".pem",
		readers: systemReaders,
		about:   "known from its manual and source, and not tried",
	},
	{
		// certctl(8)
		name: "netbsd", title: "NetBSD's certctl", system: "netbsd",
		toolMark: "rehash", tool: "/usr/sbin/certctl", args: []string{"rehash"},
		install: "it is part of the base system",
		places: []place{
			{path: "/usr/share/certs/mozilla/server", vendor: true, elder: "/usr/share/certs/mozilla/all"},
			{path: "/usr/local/share/certs"},
			{path: "/etc/openssl/untrusted", standing: p11kit.Blocked},
		},
		outputs: []output{
			{hashDirectory, "/etc/openssl/certs", ""},
			{bundlePEM, "/etc/openssl/certs/ca-certificates.crt", ""},
		},
		adminDir: "/usr/local/share/certs", suffix: ".pem",
		declared: nil,
		readers:  systemReaders,
		about:    "known from its manual, and not tried",
	},
	{
		// crypto/x509, root_bsd.go
		name: "openbsd", title: "OpenBSD's bundle", system: "openbsd",
		only:    []string{"/etc/ssl/cert.pem"},
		readers: systemReaders,
		about:   "known from documents, and not tried",
	},
	{
		name: "termux", title: "Termux's bundle",
		only:    []string{"/data/data/com.termux/files/usr/etc/tls/cert.pem"},
		readers: []string{"the programs of Termux"},
		about:   "known from documents, and not tried",
	},
	{
		name: "android", title: "Android's system certificates",
		marks:    []string{"/system/etc/security/cacerts"},
		places:   []place{{path: "/system/etc/security/cacerts", vendor: true}},
		declared: androidDeclaration,
		readers:  []string{"Android"},
		about:    "known from documents, and not tried",
	},
	{
		// An image without a tool, and without what could install one.
		name: "bundle", title: "a bundle of roots and no tool",
		only: []string{
			"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
			"/etc/pki/tls/cacert.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
		},
		readers: systemReaders,
	},
}

var systemReaders = []string{"OpenSSL", "curl", "wget", "git", "GnuTLS", "Python", "Go"}

// p11Places are the places in a directory of p11-kit's.
func p11Places(dir string, token int, vendor bool) []place {
	return []place{
		{path: dir, token: token, vendor: vendor},
		{path: dir + "/anchors", token: token, vendor: vendor, standing: p11kit.Anchor},
		// Before p11-kit 0.24 it had another name.
		{path: dir + "/blocklist", elder: dir + "/blacklist", token: token, vendor: vendor, standing: p11kit.Blocked},
	}
}

// location is where most programs find the roots.
func (f *family) location() string {
	for _, o := range f.outputs {
		if o.kind == bundlePEM {
			return o.path
		}
	}
	if len(f.places) > 0 {
		return f.places[0].path
	}
	return f.bundle
}

// command is how the tool is run.
func (f *family) command() []string { return append([]string{f.tool}, f.args...) }
