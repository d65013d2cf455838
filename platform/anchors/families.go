package anchors

// family is one way in which systems keep their trusted roots. A row holds
// what differs between families; how it is read and written is the same code.
// Paths are absolute.
type family struct {
	name  string
	title string

	// How the family is recognised: by ID or ID_LIKE of os-release, and by a
	// text that only its own update tool contains.
	ids      []string
	toolMark string

	vendorDir  string // certificates that packages ship
	vendorConf string // which of them are in use: a line each, "!" before those that are not
	adminDir   string // certificates of the administrator, at any depth
	suffix     string // the only file names in adminDir that count

	bundle  string // all trusted certificates in one file
	hashDir string // a link for each, and one by the hash of its subject (openssl-rehash)

	tool    string            // brings bundle and hashDir up to date
	hookDir string            // programs the tool tells of additions and removals
	proven  map[string]string // the tools that the native engine was seen to be identical with: the SHA-256 of the program and what has it
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
}
