package browser

import "sync"

// A place is a directory in which a program keeps profiles or a database. It
// begins with a variable: $HOME, $CONFIG and $DATA (the XDG directories), or one
// of Windows.
type place struct {
	path string
	// form tells packages apart that have another home, and channels: "snap",
	// "flatpak", "beta", "dev".
	form string
}

// product is a program of the Firefox family. Its releases, such as ESR,
// Developer Edition and Nightly, share the places and have a profile each.
type product struct {
	id, title string
	// apart: it does without the database on purpose, so that it is told of
	// and left alone.
	apart  bool
	places map[string][]place // by operating system
}

// products are the programs of the Firefox family.
var products = sync.OnceValue(func() []product {
	return []product{
		{id: "firefox", title: "Firefox", places: map[string][]place{
			"linux": {
				{"$HOME/.mozilla/firefox", ""}, {"$CONFIG/mozilla/firefox", ""},
				{"$HOME/snap/firefox/common/.mozilla/firefox", "snap"}, {"$HOME/snap/firefox/common/.config/mozilla/firefox", "snap"},
				{"$HOME/.var/app/org.mozilla.firefox/.mozilla/firefox", "flatpak"}, {"$HOME/.var/app/org.mozilla.firefox/config/mozilla/firefox", "flatpak"},
			},
			"darwin":  {{"$HOME/Library/Application Support/Firefox", ""}},
			"windows": {{"$APPDATA/Mozilla/Firefox", ""}, {"$LOCALAPPDATA/Packages/Mozilla.Firefox_n80bbvh6b1yt2/LocalCache/Roaming/Mozilla/Firefox", "store"}},
		}},
		{id: "librewolf", title: "LibreWolf", places: map[string][]place{
			"linux": {
				{"$HOME/.librewolf", ""}, {"$CONFIG/librewolf/librewolf", ""},
				{"$HOME/.var/app/io.gitlab.librewolf-community/.librewolf", "flatpak"}, {"$HOME/.var/app/io.gitlab.librewolf-community/config/librewolf/librewolf", "flatpak"},
			},
			"darwin":  {{"$HOME/Library/Application Support/LibreWolf", ""}, {"$HOME/Library/Application Support/librewolf", ""}},
			"windows": {{"$APPDATA/librewolf", ""}},
		}},
		{id: "waterfox", title: "Waterfox", places: map[string][]place{
			"linux":   {{"$HOME/.waterfox", ""}, {"$CONFIG/waterfox", ""}, {"$HOME/.var/app/net.waterfox.waterfox/.waterfox", "flatpak"}},
			"darwin":  {{"$HOME/Library/Application Support/Waterfox", ""}},
			"windows": {{"$APPDATA/Waterfox", ""}},
		}},
		{id: "zen", title: "Zen", places: map[string][]place{
			"linux":   {{"$HOME/.zen", ""}, {"$CONFIG/zen", ""}, {"$HOME/.var/app/app.zen_browser.zen/.zen", "flatpak"}, {"$HOME/.var/app/app.zen_browser.zen/config/zen", "flatpak"}},
			"darwin":  {{"$HOME/Library/Application Support/zen", ""}},
			"windows": {{"$APPDATA/zen", ""}},
		}},
		{id: "floorp", title: "Floorp", places: map[string][]place{
			"linux":   {{"$HOME/.floorp", ""}, {"$CONFIG/floorp", ""}, {"$HOME/.var/app/one.ablaze.floorp/.floorp", "flatpak"}},
			"darwin":  {{"$HOME/Library/Application Support/Floorp", ""}},
			"windows": {{"$APPDATA/Floorp", ""}},
		}},
		{id: "thunderbird", title: "Thunderbird", places: map[string][]place{
			"linux": {
				{"$HOME/.thunderbird", ""}, {"$CONFIG/thunderbird", ""}, {"$HOME/snap/thunderbird/common/.thunderbird", "snap"},
				{"$HOME/.var/app/org.mozilla.Thunderbird/.thunderbird", "flatpak"}, {"$HOME/.var/app/org.mozilla.thunderbird/.thunderbird", "flatpak"},
			},
			"darwin":  {{"$HOME/Library/Thunderbird", ""}},
			"windows": {{"$APPDATA/Thunderbird", ""}},
		}},
		{id: "tor-browser", title: "Tor Browser", apart: true, places: map[string][]place{
			"linux": {
				{"$HOME/.tor project/firefox", ""}, {"$HOME/tor-browser/Browser/TorBrowser/Data/Browser", ""},
				{"$DATA/torbrowser/tbb/x86_64/tor-browser/Browser/TorBrowser/Data/Browser", ""},
				{"$HOME/.local/opt/tor-browser/app/Browser/TorBrowser/Data/Browser", ""},
				{"$HOME/.var/app/org.torproject.torbrowser-launcher/data/torbrowser/tbb/x86_64/tor-browser/Browser/TorBrowser/Data/Browser", "flatpak"},
			},
			"darwin":  {{"$HOME/Library/Application Support/TorBrowser-Data/Browser", ""}},
			"windows": {{"$HOME/Desktop/Tor Browser/Browser/TorBrowser/Data/Browser", ""}},
		}},
		{id: "mullvad-browser", title: "Mullvad Browser", apart: true, places: map[string][]place{
			"linux":   {{"$HOME/.mullvad/mullvadbrowser", ""}, {"$HOME/.var/app/net.mullvad.MullvadBrowser/.mullvad/mullvadbrowser", "flatpak"}},
			"darwin":  {{"$HOME/Library/Application Support/MullvadBrowser-Data/Browser", ""}},
			"windows": {{"$APPDATA/Mullvad/MullvadBrowser", ""}},
		}},
	}
})

// chrome is a program of the Chromium family. On Linux they share the user's
// NSS database, and each keeps a database of its own in every profile, too.
type chrome struct {
	id, title string
	program   string             // by which it is known to be installed, on Linux
	data      map[string][]place // user data directories, by operating system
	policies  string             // the directory of its policies, on Linux
	snap      string             // the name of its snap, which has a home of its own
	flatpak   string             // likewise
}

var chromes = sync.OnceValue(func() []chrome {
	return []chrome{
		{id: "chromium", title: "Chromium", program: "chromium", policies: "/etc/chromium/policies", snap: "chromium", flatpak: "org.chromium.Chromium",
			data: map[string][]place{"linux": {{"$CONFIG/chromium", ""}, {"$HOME/snap/chromium/common/chromium", "snap"}, {"$HOME/.var/app/org.chromium.Chromium/config/chromium", "flatpak"}},
				"darwin": {{"$HOME/Library/Application Support/Chromium", ""}}, "windows": {{"$LOCALAPPDATA/Chromium/User Data", ""}}}},
		{id: "chrome", title: "Google Chrome", program: "google-chrome", policies: "/etc/opt/chrome/policies", flatpak: "com.google.Chrome",
			data: map[string][]place{"linux": {{"$CONFIG/google-chrome", ""}, {"$CONFIG/google-chrome-beta", "beta"}, {"$CONFIG/google-chrome-unstable", "dev"}, {"$HOME/.var/app/com.google.Chrome/config/google-chrome", "flatpak"}},
				"darwin": {{"$HOME/Library/Application Support/Google/Chrome", ""}}, "windows": {{"$LOCALAPPDATA/Google/Chrome/User Data", ""}}}},
		{id: "brave", title: "Brave", program: "brave-browser", policies: "/etc/brave/policies", snap: "brave", flatpak: "com.brave.Browser",
			data: map[string][]place{"linux": {{"$CONFIG/BraveSoftware/Brave-Browser", ""}, {"$HOME/snap/brave/current/.config/BraveSoftware/Brave-Browser", "snap"}, {"$HOME/.var/app/com.brave.Browser/config/BraveSoftware/Brave-Browser", "flatpak"}},
				"darwin": {{"$HOME/Library/Application Support/BraveSoftware/Brave-Browser", ""}}, "windows": {{"$LOCALAPPDATA/BraveSoftware/Brave-Browser/User Data", ""}}}},
		{id: "edge", title: "Microsoft Edge", program: "microsoft-edge", policies: "/etc/opt/edge/policies", flatpak: "com.microsoft.Edge",
			data: map[string][]place{"linux": {{"$CONFIG/microsoft-edge", ""}, {"$CONFIG/microsoft-edge-beta", "beta"}, {"$CONFIG/microsoft-edge-dev", "dev"}, {"$HOME/.var/app/com.microsoft.Edge/config/microsoft-edge", "flatpak"}},
				"darwin": {{"$HOME/Library/Application Support/Microsoft Edge", ""}}, "windows": {{"$LOCALAPPDATA/Microsoft/Edge/User Data", ""}}}},
		{id: "vivaldi", title: "Vivaldi", program: "vivaldi", policies: "/etc/vivaldi/policies", flatpak: "com.vivaldi.Vivaldi",
			data: map[string][]place{"linux": {{"$CONFIG/vivaldi", ""}, {"$HOME/.var/app/com.vivaldi.Vivaldi/config/vivaldi", "flatpak"}},
				"darwin": {{"$HOME/Library/Application Support/Vivaldi", ""}}, "windows": {{"$LOCALAPPDATA/Vivaldi/User Data", ""}}}},
		{id: "opera", title: "Opera", program: "opera", policies: "/etc/opera/policies", snap: "opera", flatpak: "com.opera.Opera",
			data: map[string][]place{"linux": {{"$CONFIG/opera", ""}, {"$HOME/snap/opera/current/.config/opera", "snap"}, {"$HOME/.var/app/com.opera.Opera/config/opera", "flatpak"}},
				"darwin": {{"$HOME/Library/Application Support/com.operasoftware.Opera", ""}}, "windows": {{"$APPDATA/Opera Software/Opera Stable", ""}}}},
	}
})

// The user's NSS databases that the Chromium family shares: the first of the
// two that exists is used, and the other one by nobody.
const (
	sharedOld = "$HOME/.pki/nssdb"
	sharedNew = "$DATA/pki/nssdb"
)

// systemDatabases are NSS databases for all users of a machine.
var systemDatabases = []string{"/etc/pki/nssdb"}

// followed is the store that the Firefox family follows by itself, by operating
// system.
var followed = map[string]string{"darwin": "keychain:system", "windows": "windows:LocalMachine"}
