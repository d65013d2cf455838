package securitytest

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// The statuses that the tool meets (SecBase.h, Authorization.h), with the text
// that it has for them (SecErrorMessages.strings, made of those headers by
// generateErrStrings.pl; one without a comment there has its name).
const (
	errNoTrustSettings = -25263
	errInvalidTrust    = -25262
	errItemNotFound    = -25300
	errNoSuchKeychain  = -25294
	errBadKeychain     = -25295
	errAuthFailed      = -25293
	errDuplicateItem   = -25299
	errNotAllowed      = -25308
	errWrPerm          = -61
	errParam           = -50
	errUnknownFormat   = -25257
	errInternal        = -2070
	errDenied          = -60005
	errCanceled        = -60006
	errNoInteraction   = -60007
)

var texts = map[int]string{
	errNoTrustSettings: "No Trust Settings were found.",
	errInvalidTrust:    "The Trust Settings Record was corrupted.",
	errItemNotFound:    "The specified item could not be found in the keychain.",
	errNoSuchKeychain:  "The specified keychain could not be found.",
	errBadKeychain:     "The specified keychain is not a valid keychain file.",
	errAuthFailed:      "The user name or passphrase you entered is not correct.",
	errDuplicateItem:   "The specified item already exists in the keychain.",
	errNotAllowed:      "User interaction is not allowed.",
	errWrPerm:          "Write permissions error.",
	errParam:           "One or more parameters passed to a function were not valid.",
	errUnknownFormat:   "Unknown format in import.",
	errInternal:        "errSecInternalComponent",
	errDenied:          "The authorization was denied.",
	errCanceled:        "The authorization was canceled by the user.",
	errNoInteraction:   "The authorization was denied since no user interaction was possible.",
}

// command is a row of the table in security.c.
type command struct {
	name    string
	options string // for getopt
	usage   string
	run     func(c *call, opts []option, rest []string) int
}

// commands are those that are here, in the order of security.c, in which the
// first that begins with what was typed is meant.
func commands() []command {
	return []command{
		{"help", "", "", nil}, {"show-keychain-info", "", "", nil},
		{"list-keychains", "d:hs", "[-d user|system|common|dynamic] [-s [keychain...]]", (*call).listKeychains},
		{"default-keychain", "d:hs", "[-d user|system|common|dynamic] [-s [keychain]]", (*call).loginKeychain},
		{"login-keychain", "d:hs", "[-d user|system|common|dynamic] [-s [keychain]]", (*call).loginKeychain},
		{"create-keychain", "hp:P", "[-P] [-p password] [keychains...]", (*call).createKeychain},
		{"delete-keychain", "h", "[keychains...]", (*call).deleteKeychain},
		{"lock-keychain", "", "", nil}, {"unlock-keychain", "", "", nil}, {"set-keychain-settings", "", "", nil},
		{"dump-keychain", "", "", nil}, {"create-keypair", "", "", nil}, {"add-generic-password", "", "", nil}, {"add-internet-password", "", "", nil},
		{"add-certificates", "hk:", "[-k keychain] file...", (*call).addCertificates},
		{"find-generic-password", "", "", nil}, {"find-internet-password", "", "", nil}, {"find-key", "", "", nil},
		{"find-certificate", "hac:e:mpZ", "[-a] [-c name] [-e emailAddress] [-m] [-p] [-Z] [keychain...]", (*call).findCertificate},
		{"find-identity", "", "", nil},
		{"delete-certificate", "hc:Z:t", "[-c name] [-Z hash] [-t] [keychain...]", (*call).deleteCertificate},
		{"delete-identity", "", "", nil}, {"import", "", "", nil}, {"export", "", "", nil},
		{"add-trusted-cert", "dr:a:p:s:e:u:k:i:o:h", "[<options>] [certFile]", (*call).addTrusted},
		{"remove-trusted-cert", "dh", "[-d] [-D] [certFile]", (*call).removeTrusted},
		{"dump-trust-settings", "sdh", "[-s] [-d]", (*call).dumpTrust},
		{"user-trust-settings-enable", "deh", "[-d] [-e]", (*call).userTrustEnable},
		{"trust-settings-export", "dsh", " [-s] [-d] settings_file", (*call).exportTrust},
		{"trust-settings-import", "dh", "[-d] settings_file", (*call).importTrust},
		{"verify-cert", "", "", (*call).verifyCert},
		{"authorize", "", "", nil},
		{"authorizationdb", "", "read <right-name> | write <right-name> [allow|deny|<rulename>]", (*call).authorizationdb},
		{"error", "", "", nil},
	}
}

// option is one that getopt found.
type option struct {
	letter byte
	value  string
}

// getopt is that of BSD: it stops at the first word that is no option, and
// options may be put together (getopt(3)).
func getopt(args []string, letters string) (opts []option, rest []string, fault string) {
	for len(args) > 0 {
		word := args[0]
		if len(word) < 2 || word[0] != '-' {
			break
		}
		args = args[1:]
		if word == "--" {
			break
		}
		for i := 1; i < len(word); i++ {
			at := strings.IndexByte(letters, word[i])
			if at < 0 || word[i] == ':' {
				return nil, nil, fmt.Sprintf("illegal option -- %c", word[i])
			}
			if at+1 == len(letters) || letters[at+1] != ':' {
				opts = append(opts, option{letter: word[i]})
				continue
			}
			value := word[i+1:]
			if value == "" {
				if len(args) == 0 {
					return nil, nil, fmt.Sprintf("option requires an argument -- %c", word[i])
				}
				value, args = args[0], args[1:]
			}
			opts = append(opts, option{word[i], value})
			break
		}
	}
	return opts, args, ""
}

func has(opts []option, letter byte) bool {
	return slices.ContainsFunc(opts, func(o option) bool { return o.letter == letter })
}

func value(opts []option, letter byte) (last string) {
	for _, o := range opts {
		if o.letter == letter {
			last = o.value
		}
	}
	return last
}

func (c *call) print(format string, args ...any) { fmt.Fprintf(&c.out, format, args...) }
func (c *call) warn(format string, args ...any)  { fmt.Fprintf(&c.err, format, args...) }

// secError is sec_perror (security_tool): with the name of the program.
func (c *call) secError(api string, status int) int {
	c.warn("security: %s: %s\n", api, texts[status])
	return status
}

// cssmError is cssmPerror (trusted_cert_utils.c): without.
func (c *call) cssmError(api string, status int) int {
	c.warn("%s: %s\n", api, texts[status])
	return 1
}

// exitCode is the low byte of what a handler returns (exit(3)).
func exitCode(status int) int { return status & 0xff }

// dispatch is main of security.c.
func (c *call) dispatch() int {
	if len(c.args) > 0 && c.args[0] == "/bin/launchctl" {
		return c.launchctl()
	}
	opts, rest, fault := getopt(c.args[1:], "hilp:qR:v")
	if fault != "" || has(opts, 'h') || len(rest) == 0 {
		if fault != "" {
			c.warn("security: %s\n", fault)
		}
		c.warn("Usage: security [-h] [-i] [-l] [-p prompt] [-q] [-v] [command] [opt ...]\n")
		return 2
	}
	c.quiet = has(opts, 'q')
	for _, cmd := range commands() {
		if !strings.HasPrefix(cmd.name, rest[0]) {
			continue
		}
		if cmd.run == nil {
			c.warn("securitytest: %s is not emulated\n", cmd.name)
			return 99
		}
		say, told := c.st.Say[cmd.name]
		if told && say.Times > 0 {
			left := say
			if left.Times--; left.Times == 0 {
				delete(c.st.Say, cmd.name)
			} else {
				c.st.Say[cmd.name] = left
			}
		}
		if told && !say.After {
			c.print("%s", say.Stdout)
			c.warn("%s", say.Stderr)
			return say.Code
		}
		code := c.start(cmd, rest[1:])
		if told {
			c.print("%s", say.Stdout)
			c.warn("%s", say.Stderr)
			return say.Code
		}
		return code
	}
	c.warn("security: unknown command \"%s\"\n", rest[0])
	return 1
}

// start reads the options as the handlers do; one that returns 2 has its usage
// printed (security.c).
func (c *call) start(cmd command, args []string) int {
	if cmd.options == "" {
		return exitCode(cmd.run(c, nil, args))
	}
	opts, rest, fault := getopt(args, cmd.options)
	if fault != "" {
		c.warn("security: %s\n", fault)
	}
	code := 2
	if fault == "" && !has(opts, 'h') {
		code = cmd.run(c, opts, rest)
	}
	if code == 2 {
		c.warn("Usage: %s %s\n        %s\n", cmd.name, cmd.usage, strings.ReplaceAll(cmd.name, "-", " "))
	}
	return exitCode(code)
}

// launchctl is launchctl(1), managername: it answers in which sort of session a process is.
func (c *call) launchctl() int {
	if len(c.args) != 2 || c.args[1] != "managername" {
		c.warn("securitytest: this of launchctl is not emulated\n")
		return 99
	}
	name := "Aqua"
	if c.st.Screen == "none" {
		name = "Background"
	}
	c.print("%s\n", name)
	return 0
}

// authorize asks for a right, as authd does by the version's rules
// (OSX/authd/authorization.plist and engine.m). 0 is yes.
func (c *call) authorize(domain string) int {
	rule := c.st.UserRight
	if domain == "admin" {
		rule = c.st.AdminRight
	}
	switch {
	case rule == "allow":
		return 0
	case domain == "admin" && !c.st.since(11, 0) && c.euid == 0:
		return 0 // allow-root, until 10.15
	}
	screen := c.st.Screen
	switch screen {
	case "none":
		return errNoInteraction
	case "internal":
		return errInternal
	}
	c.st.Log = append(c.st.Log, "dialog for the "+domain+" domain")
	// While it is open others go on.
	c.m.save(c.st)
	c.unlock()
	c.unlock = func() {}
	if c.m.Moment != nil {
		c.m.Moment("dialog")
	}
	if screen == "hang" {
		<-c.ctx.Done()
	}
	unlock, err := c.m.lock(c.ctx)
	if err != nil {
		unlock, err = c.m.lock(withoutEnd{c.ctx})
	}
	if err == nil {
		c.unlock = unlock
		if st, err := c.m.load(); err == nil {
			c.st = st
		}
	}
	switch screen {
	case "cancel", "hang":
		return errCanceled
	case "deny":
		return errDenied
	}
	return 0
}

// keychainPath is where a name of a keychain leads to: relative ones are the
// user's (StorageManager.cpp).
func keychainPath(name string) string {
	if !strings.HasPrefix(name, "/") {
		return path.Join(Home, "Library/Keychains", name)
	}
	if name == strings.TrimSuffix(LoginKeychain, "-db") {
		return LoginKeychain // mungeDLDbIdentifier
	}
	return path.Clean(name)
}

// searchList is what is looked through without keychains on the command line:
// the user's list and the system's, but not Apple's roots.
func (c *call) searchList() []string {
	return append(slices.Clone(c.st.Search), SystemKeychain)
}

// open returns the keychains for names (keychain_utilities.c,
// keychain_create_array): all of the search list for none, and also if the only
// one cannot be opened at all, which is not noticed there.
func (c *call) open(names []string) (paths []string, status int) {
	if len(names) == 0 {
		return c.searchList(), 0
	}
	missing := 0
	for _, name := range names {
		p := keychainPath(name)
		k := c.st.Keychains[p]
		switch {
		case k == nil:
			missing++ // among several it is skipped (KCCursor.cpp)
		case k.Broken:
			return nil, errBadKeychain
		default:
			paths = append(paths, p)
		}
	}
	if missing == len(names) {
		return nil, errNoSuchKeychain
	}
	return paths, 0
}

// writable tells why a keychain cannot be written to.
func (c *call) writable(p string) int {
	k := c.st.Keychains[p]
	switch {
	case k == nil:
		return errNoSuchKeychain
	case k.Broken:
		return errBadKeychain
	case k.Locked:
		return errNotAllowed
	case k.Sealed, c.euid != 0 && k.Owner != c.euid:
		return errWrPerm
	}
	return 0
}

// listKeychains is keychain_list.c: each path in quotes, and no escapes.
func (c *call) listKeychains(opts []option, _ []string) int {
	if has(opts, 's') {
		c.warn("securitytest: setting the list is not emulated\n")
		return 99
	}
	list := c.searchList()
	switch value(opts, 'd') {
	case "user":
		list = c.st.Search
	case "system":
		list = []string{SystemKeychain}
	}
	for _, p := range list {
		c.print("    \"%s\"\n", p)
	}
	return 0
}

// loginKeychain is as security(1) describes it: the path as above.
func (c *call) loginKeychain(_ []option, _ []string) int {
	c.print("    \"%s\"\n", LoginKeychain)
	return 0
}

// createKeychain is keychain_create.c; new ones in a home have the new form
// (StorageManager.cpp, mungeDLDbIdentifier).
func (c *call) createKeychain(opts []option, rest []string) int {
	for _, name := range rest {
		p := keychainPath(name)
		if !strings.HasSuffix(p, ".keychain") && !strings.HasSuffix(p, "-db") && strings.HasPrefix(p, Home) {
			p += "-db"
		}
		c.st.Keychains[p] = &Keychain{Owner: c.euid, Format: 512}
		if err := c.m.project(c.st, p); err != nil {
			c.warn("%v\n", err)
			return 99
		}
	}
	return 0
}

// deleteKeychain is keychain_delete.c.
func (c *call) deleteKeychain(_ []option, rest []string) int {
	for _, name := range rest {
		p := keychainPath(name)
		if c.st.Keychains[p] == nil {
			return c.secError("SecKeychainDelete", errNoSuchKeychain)
		}
		delete(c.st.Keychains, p)
		if err := removeFile(c.m.path(p)); err != nil {
			c.warn("%v\n", err)
			return 99
		}
	}
	return 0
}

// userTrustEnable is user_trust_enable.cpp.
func (c *call) userTrustEnable(opts []option, _ []string) int {
	if has(opts, 'd') || has(opts, 'e') {
		if c.euid != 0 {
			c.warn("You must be root to set this preference.\n")
			return 1
		}
		c.st.UserDisabled = has(opts, 'd')
		return 0
	}
	word := "Enabled"
	if c.st.UserDisabled {
		word = "Disabled"
	}
	c.print("User-level Trust Settings are %s\n", word)
	return 0
}

// authorizationdb is authz.c; that the right is protected since 15 is server.m
// of authd.
func (c *call) authorizationdb(_ []option, args []string) int {
	if len(args) < 2 {
		return 2
	}
	rules := map[string]*string{"com.apple.trust-settings.admin": &c.st.AdminRight, "com.apple.trust-settings.user": &c.st.UserRight}
	rule := rules[args[1]]
	no := func(status int) int {
		c.warn("NO (%d)\n", status)
		return -1
	}
	switch {
	case rule == nil:
		return no(errDenied)
	case args[0] == "read":
		d := dict{"class": "rule", "rule": []any{"entitled-admin-or-authenticate-admin"}, "k-of-n": int64(1)}
		if *rule == "allow" {
			d = dict{"class": "rule", "rule": []any{"allow"}}
		}
		c.print("%s", xmlPlist(d))
	case args[0] == "write" && len(args) == 3:
		if c.euid != 0 || args[1] == "com.apple.trust-settings.admin" && c.st.since(15, 0) {
			return no(errDenied)
		}
		*rule = args[2]
	default:
		c.warn("securitytest: this of authorizationdb is not emulated\n")
		return 99
	}
	c.warn("YES (0)\n")
	return 0
}
