package browser

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/sqlite"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// machine makes a fake machine with files; one that ends in a slash is a
// directory, and "db" stands for an NSS database.
func machine(t *testing.T, system string, files map[string]string) *host.Host {
	t.Helper()
	h := host.Fake(storetest.TempDir(t))
	h.OS = system
	h.EUID = 1000
	if system == "windows" {
		h.User.Home = "C:/Users/user"
	} else if system == "darwin" {
		h.User.Home = "/Users/user"
	}
	db, err := sqlite.New(t.Context(), 512, []string{"CREATE TABLE nssPublic (id PRIMARY KEY UNIQUE ON CONFLICT ABORT, a0)"})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		name = strings.Replace(name, "~", h.User.Home, 1)
		real := filepath.Join(h.Root, strings.TrimPrefix(name, "C:"))
		dir := filepath.Dir(real)
		if strings.HasSuffix(name, "/") {
			dir = real
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			continue
		}
		data := []byte(text)
		if text == "db" {
			data = db
		}
		if err := os.WriteFile(real, data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// found describes a store as the table below does: its ID and, if it is not
// written by default, why.
func found(s store.Store) string {
	i := s.Info()
	text := string(i.ID)
	switch {
	case i.DerivedFrom != "":
		text += " follows " + string(i.DerivedFrom)
		if w := i.Access.Write; w != nil && w.Kind == store.Managed && strings.Contains(w.Hint, "--store "+string(i.DerivedFrom)) {
			text += " alone"
		}
	case !i.Default:
		text += " by request"
	}
	return text
}

// What is found, and whether it follows the system's store, so that it is not
// written to by default, or not at all.
func TestDetectUser(t *testing.T) {
	const legacy = "~/.mozilla/firefox/"
	for name, row := range map[string]struct {
		system string
		files  map[string]string
		env    map[string]string
		want   []string
		reason string // is among the reasons
	}{
		"nothing":                {"linux", nil, nil, nil, "no browser of the Chromium family"},
		"the old place":          {"linux", map[string]string{legacy + "profiles.ini": "[Profile0]\nName=x\nIsRelative=1\nPath=abcdefgh.default\n", legacy + "abcdefgh.default/": ""}, nil, []string{"nss:firefox/abcdefgh.default"}, "Firefox is in /home/user/.mozilla/firefox"},
		"the new place":          {"linux", map[string]string{"~/.config/mozilla/firefox/abcdefgh.default-release/cert9.db": "db"}, nil, []string{"nss:firefox/abcdefgh.default-release"}, ""},
		"XDG":                    {"linux", map[string]string{"/elsewhere/mozilla/firefox/abcdefgh.default/cert9.db": "db"}, map[string]string{"XDG_CONFIG_HOME": "/elsewhere"}, []string{"nss:firefox/abcdefgh.default"}, ""},
		"both places":            {"linux", map[string]string{legacy + "a/cert9.db": "db", "~/.config/mozilla/firefox/a/cert9.db": "db"}, nil, []string{"nss:firefox/a", "nss:firefox/a-2"}, ""},
		"a path of its own":      {"linux", map[string]string{legacy + "profiles.ini": "\ufeff; comment\r\n[Profile0]\r\nIsRelative=0\r\nPath=/srv/my profile\r\n", "/srv/my profile/": ""}, nil, []string{"nss:firefox/my profile"}, ""},
		"installs.ini":           {"linux", map[string]string{legacy + "installs.ini": "[4F96D1932A9F858E]\nDefault=abcdefgh.default\nLocked=1\n", legacy + "abcdefgh.default/": ""}, nil, []string{"nss:firefox/abcdefgh.default"}, ""},
		"a lost profile":         {"linux", map[string]string{legacy + "profiles.ini": "[Profile0]\nIsRelative=1\nPath=gone\n"}, nil, nil, "with 0 profiles"},
		"without a database":     {"linux", map[string]string{legacy + "a/cert9.db": "db", legacy + "a/prefs.js": `user_pref("security.nocertdb", true);`}, nil, nil, "security.nocertdb"},
		"the user's file counts": {"linux", map[string]string{legacy + "a/cert9.db": "db", legacy + "a/prefs.js": `user_pref("security.nocertdb", true);`, legacy + "a/user.js": "// x\nuser_pref(\"security.nocertdb\",false);"}, nil, []string{"nss:firefox/a"}, ""},
		"the old database alone": {"linux", map[string]string{legacy + "a/cert8.db": "x"}, nil, []string{"nss:firefox/a"}, ""},
		"snap and flatpak":       {"linux", map[string]string{"~/snap/firefox/common/.mozilla/firefox/a/cert9.db": "db", "~/.var/app/org.mozilla.firefox/.mozilla/firefox/b/cert9.db": "db"}, nil, []string{"nss:firefox-snap/a", "nss:firefox-flatpak/b"}, ""},
		"the family": {"linux", map[string]string{"~/.librewolf/a/cert9.db": "db", "~/.waterfox/b/cert9.db": "db", "~/.zen/c/cert9.db": "db", "~/.floorp/d/cert9.db": "db", "~/.thunderbird/e/cert9.db": "db"}, nil,
			[]string{"nss:librewolf/a", "nss:waterfox/b", "nss:zen/c", "nss:floorp/d", "nss:thunderbird/e"}, ""},
		"their new places": {"linux", map[string]string{"~/.config/librewolf/librewolf/a/cert9.db": "db", "~/.config/waterfox/b/cert9.db": "db", "~/.config/zen/c/cert9.db": "db", "~/.var/app/app.zen_browser.zen/.zen/d/cert9.db": "db",
			"~/.var/app/io.gitlab.librewolf-community/.librewolf/e/cert9.db": "db", "~/.var/app/one.ablaze.floorp/.floorp/f/cert9.db": "db", "~/.var/app/net.waterfox.waterfox/.waterfox/g/cert9.db": "db",
			"~/snap/firefox/common/.config/mozilla/firefox/h/cert9.db": "db", "~/.var/app/org.mozilla.firefox/config/mozilla/firefox/i/cert9.db": "db"}, nil,
			[]string{"nss:firefox-snap/h", "nss:firefox-flatpak/i", "nss:librewolf/a", "nss:librewolf-flatpak/e", "nss:waterfox/b", "nss:waterfox-flatpak/g", "nss:zen/c", "nss:zen-flatpak/d", "nss:floorp-flatpak/f"}, ""},
		"releases side by side": {"linux", map[string]string{legacy + "profiles.ini": "[Install1]\nDefault=a.default-release\n[Profile0]\nPath=a.default-release\nIsRelative=1\n[Profile1]\nPath=b.default-esr\nIsRelative=1\n[Profile2]\nPath=c.dev-edition-default\nIsRelative=1\n[Profile3]\nPath=d.default-nightly\nIsRelative=1\n",
			legacy + "a.default-release/": "", legacy + "b.default-esr/": "", legacy + "c.dev-edition-default/": "", legacy + "d.default-nightly/": ""}, nil,
			[]string{"nss:firefox/a.default-release", "nss:firefox/b.default-esr", "nss:firefox/c.dev-edition-default", "nss:firefox/d.default-nightly"}, ""},
		"Mullvad Browser":        {"linux", map[string]string{"~/.mullvad/mullvadbrowser/p/cert9.db": "db"}, nil, nil, "is left alone"},
		"Tor Browser":            {"linux", map[string]string{"~/tor-browser/Browser/TorBrowser/Data/Browser/profile.default/cert9.db": "db"}, nil, nil, "is left alone"},
		"linked":                 {"linux", map[string]string{"/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-trust.so": "", legacy + "a/cert9.db": "db", legacy + "a/pkcs11.txt": "library=/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-trust.so\nname=x\n\n"}, nil, []string{"nss:firefox/a follows anchors:system"}, "pkcs11.txt"},
		"linked to what is gone": {"linux", map[string]string{legacy + "a/cert9.db": "db", legacy + "a/pkcs11.txt": "library=/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-trust.so\nname=x\n\n"}, nil, []string{"nss:firefox/a"}, ""},
		"packed, and linked": {"linux", map[string]string{"/usr/lib64/pkcs11/p11-kit-trust.so": "", "~/snap/firefox/common/.mozilla/firefox/a/cert9.db": "db", "~/snap/firefox/common/.mozilla/firefox/a/pkcs11.txt": "library=/usr/lib64/pkcs11/p11-kit-trust.so\nname=x\n\n",
			"~/snap/chromium/current/.pki/nssdb/pkcs11.txt": "library=/usr/lib64/pkcs11/p11-kit-trust.so\nname=x\n\n"}, nil, []string{"nss:firefox-snap/a", "nss:chromium-snap"}, ""},
		"by policy":                 {"linux", map[string]string{"/usr/lib/pkcs11/p11-kit-trust.so": "", legacy + "a/cert9.db": "db", "/etc/firefox/policies/policies.json": `{"policies":{"SecurityDevices":{"Add":{"x":"/usr/lib/pkcs11/p11-kit-trust.so"}}}}`}, nil, []string{"nss:firefox/a follows anchors:system"}, "policies.json"},
		"by policy, which is gone":  {"linux", map[string]string{legacy + "a/cert9.db": "db", "/etc/firefox/policies/policies.json": `{"policies":{"SecurityDevices":{"Add":{"x":"/usr/lib/pkcs11/p11-kit-trust.so"}}}}`}, nil, []string{"nss:firefox/a"}, ""},
		"a bad policy":              {"linux", map[string]string{legacy + "a/cert9.db": "db", "/etc/firefox/policies/policies.json": `{"policies`}, nil, []string{"nss:firefox/a"}, ""},
		"Chromium, the old place":   {"linux", map[string]string{"~/.pki/nssdb/": ""}, nil, []string{"nss:chromium"}, ""},
		"Chromium, the new place":   {"linux", map[string]string{"~/.local/share/pki/nssdb/": "", "~/.pki/": ""}, nil, []string{"nss:chromium"}, "/home/user/.local/share/pki/nssdb is the database"},
		"Chromium, both":            {"linux", map[string]string{"~/.local/share/pki/nssdb/": "", "~/.pki/nssdb/": ""}, nil, []string{"nss:chromium", "nss:chromium-unused by request"}, "/home/user/.pki/nssdb is the database"},
		"Chromium, never started":   {"linux", map[string]string{"/usr/bin/chromium": "x", "~/": ""}, nil, []string{"nss:chromium"}, "will be made"},
		"Chromium, without a home":  {"linux", map[string]string{"/usr/bin/chromium": "x"}, nil, nil, "cannot be made"},
		"Chromium, packed":          {"linux", map[string]string{"~/snap/chromium/current/.pki/nssdb/": "", "~/.var/app/com.google.Chrome/data/pki/nssdb/": ""}, nil, []string{"nss:chromium-snap", "nss:chrome-flatpak"}, ""},
		"Chromium, linked":          {"linux", map[string]string{"/usr/lib64/pkcs11/p11-kit-trust.so": "", "~/.pki/nssdb/pkcs11.txt": "library=/usr/lib64/pkcs11/p11-kit-trust.so\nname=x\n"}, nil, []string{"nss:chromium follows anchors:system"}, ""},
		"macOS":                     {"darwin", map[string]string{"~/Library/Application Support/Firefox/Profiles/abcdefgh.default/cert9.db": "db", "~/Library/Application Support/zen/Profiles/a/cert9.db": "db"}, nil, []string{"nss:firefox/abcdefgh.default follows keychain:system alone", "nss:zen/a follows keychain:system alone"}, "follows the system's store"},
		"macOS, told not to follow": {"darwin", map[string]string{"~/Library/Application Support/Firefox/Profiles/a/cert9.db": "db", "~/Library/Application Support/Firefox/Profiles/a/user.js": `user_pref("security.enterprise_roots.enabled", false);`}, nil, []string{"nss:firefox/a"}, "is set not to follow"},
		"Windows": {"windows", map[string]string{"~/AppData/Roaming/Mozilla/Firefox/profiles.ini": "[Profile0]\r\nIsRelative=1\r\nPath=Profiles/abcdefgh.default\r\n", "~/AppData/Roaming/Mozilla/Firefox/Profiles/abcdefgh.default/": "",
			"~/AppData/Roaming/Thunderbird/Profiles/t/cert9.db": "db"}, nil, []string{"nss:firefox/abcdefgh.default follows windows:LocalMachine alone", "nss:thunderbird/t follows windows:LocalMachine alone"}, ""},
		"Windows, from the store": {"windows", map[string]string{"~/AppData/Local/Packages/Mozilla.Firefox_n80bbvh6b1yt2/LocalCache/Roaming/Mozilla/Firefox/Profiles/s/cert9.db": "db", "~/AppData/Roaming/zen/Profiles/z/cert9.db": "db", "~/AppData/Roaming/librewolf/Profiles/l/cert9.db": "db", "~/AppData/Roaming/Waterfox/Profiles/w/cert9.db": "db"}, nil,
			[]string{"nss:firefox-store/s follows windows:LocalMachine alone", "nss:librewolf/l follows windows:LocalMachine alone", "nss:waterfox/w follows windows:LocalMachine alone", "nss:zen/z follows windows:LocalMachine alone"}, ""},
		"Windows, by policy": {"windows", map[string]string{"~/AppData/Roaming/Mozilla/Firefox/Profiles/a/cert9.db": "db", "C:/Program Files/Mozilla Firefox/distribution/policies.json": `{"policies":{"Certificates":{"ImportEnterpriseRoots":false}}}`}, nil, []string{"nss:firefox/a"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := machine(t, row.system, row.files)
			h.Env = func(key string) string { return row.env[key] }
			stores, reasons := DetectUser(t.Context(), h)
			var got []string
			for _, s := range stores {
				got = append(got, found(s))
				// One that names none is taken for one that all programs read.
				if len(s.Info().Readers) == 0 {
					t.Errorf("%s is read by nobody", s.Info().ID)
				}
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("it finds %q, not %q, for\n%s", got, row.want, strings.Join(reasons, "\n"))
			}
			if !strings.Contains(strings.Join(reasons, "\n"), row.reason) || len(reasons) == 0 {
				t.Errorf("%q is not among the reasons\n%s", row.reason, strings.Join(reasons, "\n"))
			}
		})
	}
}

// The whole Chromium family reads one database, in either place; what the user has
// of it is told.
func TestSharedByAll(t *testing.T) {
	dirs := map[string]string{"chromium": "Chromium", "google-chrome": "Google Chrome", "BraveSoftware/Brave-Browser": "Brave", "microsoft-edge": "Microsoft Edge", "vivaldi": "Vivaldi", "opera": "Opera"}
	for _, place := range []string{"~/.pki/nssdb/", "~/.local/share/pki/nssdb/"} {
		files := map[string]string{place: ""}
		var want []string
		for dir, title := range dirs {
			files["~/.config/"+dir+"/"], want = "", append(want, title)
		}
		stores, _ := DetectUser(t.Context(), machine(t, "linux", files))
		if len(stores) != 1 || stores[0].Info().ID != "nss:chromium" {
			t.Fatalf("%s: it finds %d", place, len(stores))
		}
		got := slices.Sorted(slices.Values(stores[0].Info().Readers))
		if slices.Sort(want); !slices.Equal(got, want) {
			t.Errorf("%s: it is read by %q, not %q", place, got, want)
		}
	}
}

// Newer versions of Firefox keep some profiles in a database, with a log that
// is not yet part of it.
func TestProfileGroups(t *testing.T) {
	h := machine(t, "linux", map[string]string{"~/.mozilla/firefox/m6HNcCab.Profile 1/": "", "~/.mozilla/firefox/Profile Groups/": ""})
	data, err := sqlite.New(t.Context(), 512, []string{"CREATE TABLE Profiles (id INTEGER NOT NULL PRIMARY KEY, path TEXT NOT NULL UNIQUE, name TEXT NOT NULL)",
		"INSERT INTO Profiles VALUES (1, 'm6HNcCab.Profile 1', 'x')"})
	if err != nil {
		t.Fatal(err)
	}
	data[18], data[19] = 2, 2 // as with a log
	if err := os.WriteFile(filepath.Join(h.Root, "home/user/.mozilla/firefox/Profile Groups/ab12cd34.sqlite"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	stores, reasons := DetectUser(t.Context(), h)
	if len(stores) != 1 || stores[0].Info().ID != "nss:firefox/m6HNcCab.Profile 1" {
		t.Errorf("it finds %d, for %q", len(stores), reasons)
	}
}

func TestDetectSystem(t *testing.T) {
	if stores, reasons := DetectSystem(t.Context(), machine(t, "linux", nil)); len(stores) != 0 || len(reasons) == 0 {
		t.Errorf("on an empty machine it finds %d, for %q", len(stores), reasons)
	}
	stores, _ := DetectSystem(t.Context(), machine(t, "linux", map[string]string{"/etc/pki/nssdb/cert9.db": "db"}))
	if len(stores) != 1 || stores[0].Info().ID != "nss:/etc/pki/nssdb" || stores[0].Info().Scope != store.ScopeSystem {
		t.Errorf("it finds %+v", stores)
	}
}

func TestOpenDir(t *testing.T) {
	h := machine(t, "linux", map[string]string{"/srv/db/cert9.db": "db", "/srv/profile/cert9.db": "db", "/srv/profile/prefs.js": "", "/srv/file": "x"})
	for place, title := range map[string]string{"/srv/db": "NSS database", "/srv/profile": "Profile of the Firefox family"} {
		s, _, err := OpenDir(h, place)
		if err != nil || s.Info().ID != store.ID("nss:"+place) || s.Info().Title != title {
			t.Errorf("%s is %+v (%v)", place, s, err)
		} else if len(s.Info().Readers) == 0 {
			t.Errorf("%s is read by nobody", place)
		}
	}
	if _, _, err := OpenDir(h, "/srv/file"); !errors.Is(err, store.ErrInput) {
		t.Errorf("a file gives %v", err)
	}
}

// The policies of Firefox are a store like any other.
func TestFirefoxPolicyConformance(t *testing.T) {
	for name, text := range map[string]string{
		"no policies": "",
		"policies":    `{"policies": {"DisableTelemetry": true, "Certificates": {"ImportEnterpriseRoots": true, "Install": ["not-there.pem"]}}, "other": [1, 2]}`,
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) storetest.Fixture {
				files := map[string]string{"/usr/bin/firefox": "x"}
				if text != "" {
					files[policyFile] = text
				}
				h := machine(t, "linux", files)
				h.EUID = 0
				var faults storetest.Faults
				h.Fault = faults.Fail
				open := func() store.Editor {
					stores, _ := DetectPolicies(context.Background(), h)
					return stores[0].(store.Editor)
				}
				return storetest.Fixture{Store: open(), Reopen: open, Parallel: open, Snapshot: func() string { return policySnapshot(t, h) },
					Fault: faults.Set}
			})
		})
	}
}

// A policy names certificates by a path, or by a name that is looked for in a few
// places; what it names in vain is told.
func TestFirefoxPolicyNames(t *testing.T) {
	a, b := storetest.NewCA(t, storetest.CN("Alpha")), storetest.NewCA(t, storetest.CN("Bravo"))
	own, far := storetest.NewCA(t, storetest.CN("Own")), storetest.NewCA(t, storetest.CN("Far"))
	h := machine(t, "linux", map[string]string{
		policyFile:        `{"policies": {"Certificates": {"Install": ["/srv/far.pem", "beside.pem", "system.der", "own.pem", "bundle.pem", "gone.pem", "text.pem"]}}}`,
		"/srv/far.pem":    string(far.PEM()),
		"/srv/bundle.pem": "",
		"/etc/firefox/policies/certificates/beside.pem":         string(b.PEM()), // is not looked at
		"/usr/lib/firefox/distribution/certificates/beside.pem": string(a.PEM()),
		"/usr/lib/mozilla/certificates/system.der":              string(b.DER()),
		"/usr/lib/mozilla/certificates/bundle.pem":              string(a.PEM()) + string(b.PEM()),
		"/usr/lib/mozilla/certificates/text.pem":                "nothing",
		"~/.mozilla/certificates/own.pem":                       string(own.PEM()),
	})
	stores, _ := DetectPolicies(t.Context(), h)
	if len(stores) != 1 {
		t.Fatalf("it finds %d", len(stores))
	}
	var got []string
	for e, err := range stores[0].Entries(t.Context()) {
		switch {
		case err != nil:
			got = append(got, "an error about "+e.Source.Path)
		case e.Cert != nil:
			got = append(got, e.Label+" "+e.Trust.String())
		default:
			got = append(got, e.Label+" "+e.Problems[0].Code)
		}
	}
	want := []string{"Far trusted: any", "Alpha trusted: any", "Bravo trusted: any", "Own trusted: any", "bundle.pem several-certificates", "gone.pem no-file", "an error about /usr/lib/mozilla/certificates/text.pem"}
	if !slices.Equal(got, want) {
		t.Errorf("it lists %q, not %q", got, want)
	}
}

// When a policy no longer has a certificate trusted, the profiles that have
// imported it are told of.
func TestFirefoxPolicyLeftBehind(t *testing.T) {
	c := storetest.NewCA(t, storetest.CN("Alpha")).Cert()
	h := machine(t, "linux", map[string]string{"/usr/bin/firefox": "x", "~/.mozilla/firefox/a/prefs.js": "", "~/.mozilla/firefox/b/prefs.js": "",
		"~/.mozilla/firefox/profiles.ini": "[Profile0]\nPath=a\nIsRelative=1\n[Profile1]\nPath=b\nIsRelative=1\n"})
	do := func(s store.Store, want store.Change) store.Receipt {
		t.Helper()
		p, err := s.(store.Editor).Plan(t.Context(), []store.Change{want})
		if err != nil || len(p.Refused) > 0 {
			t.Fatalf("%v, %+v", err, p.Refused)
		}
		r, err := s.(store.Editor).Apply(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	trust := store.TrustFor(store.Trusted, store.PurposeAny)
	policies := func() store.Store {
		stores, _ := DetectPolicies(t.Context(), h)
		return stores[0]
	}
	do(policies(), store.Change{Fingerprint: c.SHA256, DER: c.Raw, Trust: &trust})
	profile := func() store.Entry {
		t.Helper()
		stores, _ := DetectUser(t.Context(), h)
		if len(stores) != 2 || stores[1].Info().ID != "nss:firefox/b" {
			t.Fatalf("it finds %d", len(stores))
		}
		all := store.TrustFor(store.Trusted, store.PurposeServerAuth, store.PurposeClientAuth, store.PurposeEmail)
		do(stores[1], store.Change{Fingerprint: c.SHA256, DER: c.Raw, Trust: &all}) // as Firefox imports it
		for e, err := range stores[1].Entries(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		t.Fatal("it lists nothing")
		return store.Entry{}
	}
	if e := profile(); e.Origin.By != store.ByPolicy || e.Origin.Detail != policyFile {
		t.Errorf("while the policy is in force, it is of %+v", e.Origin)
	}
	r := do(policies(), store.Change{Fingerprint: c.SHA256, Absent: true})
	if all := strings.Join(r.Notices, "; "); !strings.Contains(all, "keep it") || !strings.Contains(all, "it is in nss:firefox/b") || strings.Contains(all, "firefox/a") {
		t.Errorf("it says %s", all)
	}
	if e := profile(); e.Origin.By != store.ByUnknown || !strings.Contains(e.Origin.Detail, "a policy does or did") {
		t.Errorf("after the policy, it is of %+v", e.Origin)
	}
}

const policyFile = "/etc/firefox/policies/policies.json"

// policySnapshot describes the policies, however they are spaced, and the
// files beside them.
func policySnapshot(t *testing.T, h *host.Host) string {
	t.Helper()
	var lines []string
	dir := filepath.Join(h.Root, filepath.Dir(policyFile))
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if e.Name() == "policies.json" {
			doc, err := parseObject(data)
			if err != nil {
				t.Fatal(err)
			}
			data = doc.pretty()
		}
		lines = append(lines, e.Name(), string(data))
	}
	return strings.Join(lines, "\n")
}

func TestChromeProfile(t *testing.T) {
	h := machine(t, "linux", map[string]string{"~/.config/chromium/Default/": "", "~/.config/chromium/System Profile/": ""})
	a, b, c := storetest.NewCA(t).Cert(), storetest.NewCA(t).Cert(), storetest.NewCA(t).Cert()
	settings := func(text string) []byte {
		data, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	row := "INSERT INTO certificates VALUES (?, ?, ?)"
	data, err := sqlite.New(t.Context(), 4096, []string{"CREATE TABLE certificates (sha256hash_hex TEXT PRIMARY KEY, der_cert BLOB NOT NULL, trust_settings BLOB NOT NULL)", row, row, row, row},
		nil, []any{a.SHA256.String(), a.Raw, settings("0a020803")}, []any{b.SHA256.String(), b.Raw, settings("0a020803120b0a096c6f63616c686f7374")},
		[]any{c.SHA256.String(), c.Raw, settings("0a020802")}, []any{"00", c.Raw, settings("ffffff")})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.Root, "home/user/.config/chromium/Default/ServerCertificate"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	stores, reasons := DetectProfiles(t.Context(), h)
	if len(stores) != 1 || stores[0].Info().ID != "chromium:chromium/Default" {
		t.Fatalf("it finds %d, for %q", len(stores), reasons)
	}
	want := map[store.Fingerprint]string{a.SHA256: "trusted: server-auth", b.SHA256: "trusted: server-auth only for localhost", c.SHA256: "distrusted: server-auth"}
	bad := 0
	for e, err := range stores[0].Entries(t.Context()) {
		if err != nil {
			bad++
			continue
		}
		if got := e.Trust.String(); got != want[e.Cert.SHA256] {
			t.Errorf("%s is %s", e.Label, got)
		}
		delete(want, e.Cert.SHA256)
	}
	if len(want) > 0 || bad != 1 {
		t.Errorf("%d are missing, %d are bad", len(want), bad)
	}
}

func TestChromePolicies(t *testing.T) {
	a := storetest.NewCA(t).Cert()
	text := `{"CACertificates": ["` + base64Of(a.Raw) + `", "nonsense", 7], "CAPlatformIntegrationEnabled": false,
		"CACertificatesWithConstraints": [{"certificate": "` + base64Of(a.Raw) + `", "constraints": {"permitted_dns_names": ["only.test"]}}],
		"CADistrustedCertificates": ["` + base64Of(a.Raw) + `"]}`
	h := machine(t, "linux", map[string]string{"/etc/chromium/policies/managed/a.json": text, "/etc/chromium/policies/managed/b.json": "{"})
	stores, _ := DetectPolicies(t.Context(), h)
	if len(stores) != 1 || stores[0].Info().ID != "policy:chromium" {
		t.Fatalf("it finds %+v", stores)
	}
	var got []string
	bad := 0
	for e, err := range stores[0].Entries(t.Context()) {
		if err != nil {
			bad++
			continue
		}
		for _, p := range e.Problems {
			got = append(got, p.Code)
		}
		got = append(got, e.Trust.String())
	}
	want := []string{"platform-off", "", "trusted: server-auth", "trusted: server-auth only for only.test", "distrusted: server-auth"}
	if !slices.Equal(got, want) || bad != 3 {
		t.Errorf("it lists %q and %d errors", got, bad)
	}
}

// FuzzText reads the text files of browsers.
func FuzzText(f *testing.F) {
	f.Add([]byte("[Profile0]\nPath=x\nIsRelative=1\n"), []byte(`{"policies":{"Certificates":{"Install":["x"]}}}`), []byte{0x0a, 0x02, 0x08, 0x03})
	f.Fuzz(func(t *testing.T, ini, policies, settings []byte) {
		parseIni(ini)
		pref().FindAllSubmatch(ini, -1)
		trustOf(settings)
		doc, err := parseObject(policies)
		if err != nil {
			return
		}
		(&firefoxPolicy{doc: doc}).names()
		if changed, err := doc.set(encodeJSON([]string{"x"}), installKeys...); err == nil {
			if again, err := parseObject(changed.pretty()); err != nil || again.in(installKeys[:2]...).get("Install") == nil {
				t.Errorf("of %q it makes %q (%v)", policies, changed.pretty(), err)
			}
		}
	})
}

func base64Of(data []byte) string { return base64.StdEncoding.EncodeToString(data) }
