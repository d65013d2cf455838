package securitytest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/store/storetest"
)

// said is what a run of the tool is to give.
type said struct {
	uid      int
	args     string
	code     int
	out, err string // parts of it; "" = nothing at all
}

func newTest(t *testing.T, version string) (*Machine, map[string][]byte) {
	t.Helper()
	root := storetest.NewCA(t, storetest.CN("Own Root"))
	apple := storetest.NewCA(t, storetest.CN("Apple Root"))
	m, err := New(storetest.TempDir(t), version, apple.DER())
	if err != nil {
		t.Fatal(err)
	}
	certs := map[string][]byte{"root.der": root.DER(), "twin.der": storetest.Twin(t, root).DER(), "inter.der": root.Intermediate(t).DER(), "apple.der": apple.DER()}
	for name, der := range certs {
		if err := os.WriteFile(filepath.Join(m.Root, name), der, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return m, certs
}

func check(t *testing.T, m *Machine, list ...said) {
	t.Helper()
	for _, s := range list {
		out, errs, code := m.Run(t.Context(), s.uid, append([]string{Tool}, strings.Fields(s.args)...))
		if code != s.code || s.out == "" != (len(out) == 0) || !strings.Contains(string(out), s.out) || s.err == "" != (len(errs) == 0) || !strings.Contains(string(errs), s.err) {
			t.Errorf("security %s: exit code %d\n%s! %s\nwanted %+v", s.args, code, out, errs, s)
		}
	}
}

func edit(t *testing.T, m *Machine, change func(*State)) {
	t.Helper()
	if err := m.Edit(change); err != nil {
		t.Fatal(err)
	}
}

// Rules that the backend does not go by, because it goes around them: other
// tools do, and what they leave is what the backend finds.
func TestRules(t *testing.T) {
	const (
		ok     = "successfully"
		login  = LoginKeychain
		system = SystemKeychain
	)
	for _, version := range Versions() {
		t.Run(version, func(t *testing.T) {
			m, certs := newTest(t, version)
			st, err := m.State()
			if err != nil {
				t.Fatal(err)
			}
			// Half a state: the certificate comes first, and stays.
			edit(t, m, func(s *State) { s.Screen = "cancel" })
			check(t, m, said{501, "add-trusted-cert -r trustRoot -p ssl -k " + login + " /root.der", 1, "", "SecTrustSettingsSetTrustSettings: The authorization was canceled by the user.\n"})
			held := func(keychain string) int {
				now, err := m.State()
				if err != nil {
					t.Fatal(err)
				}
				return len(now.Keychains[keychain].Certs)
			}
			if held(login) != 1 {
				t.Error("after the dialog was cancelled the certificate is not there")
			}
			edit(t, m, func(s *State) { s.Screen = "present" })
			check(t, m,
				// A duplicate by issuer and serial number is passed over, and the
				// other one is trusted.
				said{501, "add-trusted-cert -r trustRoot -p ssl -k " + login + " /twin.der", 0, "", ""},
				said{501, "find-certificate -a -Z " + login, 0, sha1Hex(certs["root.der"]), ""},
				said{501, "dump-trust-settings", 1, "", "SecTrustSettingsCopyCertificates: No Trust Settings were found.\n"}, // in no keychain
				said{501, "remove-trusted-cert /root.der", 1, "", "SecTrustSettingsRemoveTrustSettings: The specified item could not be found in the keychain.\n"},
				said{501, "remove-trusted-cert /twin.der", 0, "", ""},
				// What is not self-signed and has no policy is taken, and does nothing.
				said{501, "add-trusted-cert -r trustRoot -k " + login + " /inter.der", 0, "", ""},
				said{501, "dump-trust-settings", 0, "   Number of trust settings : 0\n", ""},
				said{501, "verify-cert -c /inter.der -L -q", 1, "", "CSSMERR_TP_NOT_TRUSTED"},
				said{501, "add-trusted-cert -r trustAsRoot -p ssl -p basic /inter.der", 0, "", ""},
				said{501, "dump-trust-settings", 0, "      Policy OID            : SSL\n      Result Type           : kSecTrustSettingsResultTrustAsRoot\n", ""},
				said{501, "verify-cert -c /inter.der -L", 0, "successful", ""},
				said{501, "-q verify-cert -c /inter.der -p smime", 1, "", "NOT_TRUSTED"},
				// A user reads and changes the user's own; root's is another.
				said{0, "dump-trust-settings", 1, "", "No Trust Settings were found."},
				said{0, "remove-trusted-cert /inter.der", 1, "", "SecTrustSettingsRemoveTrustSettings: No Trust Settings were found.\n"},
				// Apple's roots need no copy to be distrusted.
				said{0, "add-trusted-cert -d -r deny /apple.der", 0, "", ""},
				said{501, "dump-trust-settings -d", 0, "Cert 0: Apple Root\n", ""},
				said{501, "dump-trust-settings -s", 0, "Cert 0: Apple Root\n", ""},
				said{501, "verify-cert -c /apple.der", 1, "", "CSSMERR_TP_NOT_TRUSTED"},
				// Who may write where.
				said{501, "add-certificates -k " + system + " /root.der", 1, "", "security: SecCertificateAddToKeychain: Write permissions error.\n"},
				said{0, "add-certificates -k " + RootsKeychain + " /root.der", 1, "", "Write permissions error."},
				said{0, "delete-certificate -Z " + sha1Hex(certs["apple.der"]) + " " + RootsKeychain, 195, "", "security: SecKeychainItemDelete: Write permissions error."},
				said{0, "add-certificates -k " + system + " /root.der", 0, "", ""},
				// Of a keychain that is not there, the whole list is searched.
				said{0, "delete-certificate -Z " + sha1Hex(certs["root.der"]) + " /missing.keychain", 0, "", ""},
				said{0, "delete-certificate -Z " + strings.Repeat("x", 40) + " " + system, 1, "", "Unable to delete certificate matching"},
				said{501, "find-certificate -a /missing.keychain", 50, "", "The specified keychain could not be found."},
				said{501, "find-c -a -c NOBODY", 0, "", ""}, // the beginning of a name is enough
				said{501, "find-certificate " + login, 0, "\"alis\"<blob>=\"Test Intermediate", ""},
				said{501, "list-keychains -d user", 0, "    \"" + login + "\"\n", ""},
				said{501, "login-keychain", 0, "    \"" + login + "\"\n", ""},
				// Settings that are switched off.
				said{501, "user-trust-settings-enable", 0, "User-level Trust Settings are Enabled\n", ""},
				said{501, "user-trust-settings-enable -d", 1, "", "You must be root to set this preference.\n"},
				said{0, "user-trust-settings-enable -d", 0, "", ""},
				said{501, "user-trust-settings-enable", 0, "User-level Trust Settings are Disabled\n", ""},
				said{501, "verify-cert -c /inter.der", 1, "", "NOT_TRUSTED"},
				said{0, "user-trust-settings-enable -e", 0, "", ""},
				// What an import looks at, and what it does not.
				said{501, "trust-settings-export /x.plist", 0, "...Trust Settings exported " + ok + ".\n", ""},
				said{501, "trust-settings-import /x.plist", 0, "...Trust Settings imported " + ok + ".\n", ""},
				said{501, "trust-settings-import /root.der", 1, "", "SecTrustSettingsImportExternalRepresentation: The Trust Settings Record was corrupted.\n"},
				said{501, "trust-settings-export -s /y.plist", 0, ok, ""},
				said{501, "authorizationdb read com.apple.trust-settings.user", 0, "entitled-admin", "YES (0)\n"},
				said{501, "authorizationdb write com.apple.trust-settings.user allow", 255, "", "NO (-60005)\n"},
				said{0, "authorizationdb write com.apple.trust-settings.user allow", 0, "", "YES (0)\n"},
				// What is not emulated says so.
				said{501, "dump-keychain", 99, "", "not emulated"},
			)
			if held(login)+held(system) != 2 {
				t.Error("of a keychain that is not there, nothing was deleted elsewhere")
			}
			// An opened right asks nobody.
			before, err := m.Dialogs()
			if err != nil {
				t.Fatal(err)
			}
			edit(t, m, func(s *State) { s.Screen = "none" })
			check(t, m, said{501, "remove-trusted-cert /inter.der", 0, "", ""})
			if after, err := m.Dialogs(); after != before || err != nil {
				t.Errorf("%d dialogs, %v", after-before, err)
			}
			// Nobody is there: root is asked since 11.
			code, text := 0, ""
			if st.since(11, 0) {
				code, text = 1, "SecTrustSettingsRemoveTrustSettings: The authorization was denied since no user interaction was possible.\n"
			}
			check(t, m, said{0, "remove-trusted-cert -d /apple.der", code, "", text})
		})
	}
}

// Every list of settings that is written is read as the same.
func TestPlist(t *testing.T) {
	m, certs := newTest(t, "15")
	check(t, m, said{501, "add-trusted-cert -r deny -p ssl -s a&b<c -e certExpired -u 9 /root.der", 0, "", ""})
	st, err := m.State()
	if err != nil {
		t.Fatal(err)
	}
	text := st.Trust["user:501"].XML()
	again, ok := valid(text)
	if !ok || string(again.XML()) != string(text) || len(again.Records[sha1Hex(certs["root.der"])].settings()) != 1 {
		t.Errorf("%t\n%s", ok, text)
	}
	for _, bad := range []string{"", "<plist/>", "<plist><dict/></plist>", "<plist><array/></plist>", strings.Replace(string(text), "<integer>1</integer>", "<integer>2</integer>", 1), strings.Replace(string(text), "issuerName", "issuer", 1)} {
		if _, ok := valid([]byte(bad)); ok {
			t.Errorf("%q is taken", bad)
		}
	}
}
