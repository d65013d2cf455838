// Package browser finds where browsers keep what they trust: the profiles of the
// Firefox family, the database that the Chromium family shares, the policies of
// both, and Chromium's own database in each profile. places.go tells where.
package browser

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/nss"
	"github.com/certtrust/certtrust/platform/sqlite"
	"github.com/certtrust/certtrust/store"
)

// systemStore is what Firefox and Chromium follow on Linux once they have been
// linked to it.
const systemStore store.ID = "anchors:system"

// finder collects what is found for one user.
type finder struct {
	h       *host.Host
	stores  []store.Store
	reasons []string
	ids     map[store.ID]bool
	dirs    map[string]bool
	policy  *firefoxPolicy
}

func newFinder(h *host.Host) *finder {
	return &finder{h: h, ids: map[store.ID]bool{}, dirs: map[string]bool{}}
}

func (f *finder) because(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(f.reasons, text) {
		f.reasons = append(f.reasons, text)
	}
}

// expand returns the path of a place, "" if the machine has no such variable.
// The environment is the user's own only if nobody lent other rights.
func (f *finder) expand(p string) string {
	variable, rest, _ := strings.Cut(strings.TrimPrefix(p, "$"), "/")
	home := f.h.User.Home
	env := func(key, fallback string) string {
		if value := strings.ReplaceAll(f.h.Env(key), `\`, "/"); f.h.User.Via == "" && (strings.HasPrefix(value, "/") || f.h.OS == "windows" && value != "") {
			return value
		}
		if home == "" {
			return ""
		}
		return path.Join(home, fallback)
	}
	base := map[string]func() string{
		"HOME":         func() string { return home },
		"CONFIG":       func() string { return env("XDG_CONFIG_HOME", ".config") },
		"DATA":         func() string { return env("XDG_DATA_HOME", ".local/share") },
		"APPDATA":      func() string { return env("APPDATA", "AppData/Roaming") },
		"LOCALAPPDATA": func() string { return env("LOCALAPPDATA", "AppData/Local") },
	}[variable]()
	if base == "" {
		return ""
	}
	return path.Join(base, rest)
}

func (f *finder) isDir(p string) bool {
	if p == "" {
		return false
	}
	info, err := f.h.Stat(p)
	return err == nil && info.IsDir()
}

// id returns an ID that no store has yet.
func (f *finder) id(text string) store.ID {
	id := store.ID(store.Printable(text))
	for n := 2; f.ids[id]; n++ {
		id = store.ID(store.Printable(text) + "-" + strconv.Itoa(n))
	}
	f.ids[id] = true
	return id
}

// DetectUser returns the stores of the user's browsers, and the reasons. It is
// a function of the machine alone, runs nothing and changes nothing.
func DetectUser(_ context.Context, h *host.Host) ([]store.Store, []string) {
	f := newFinder(h)
	if h.User.Home == "" {
		return nil, []string{"the user's home directory is unknown"}
	}
	f.policy = readFirefoxPolicy(h)
	for _, p := range products() {
		for _, at := range p.places[h.OS] {
			if dir := f.expand(at.path); f.isDir(dir) {
				f.product(p, at, dir)
			}
		}
	}
	f.shared()
	return f.stores, f.reasons
}

// DetectSystem returns the NSS databases for all users of the machine.
func DetectSystem(_ context.Context, h *host.Host) ([]store.Store, []string) {
	f := newFinder(h)
	for _, dir := range systemDatabases {
		if !sqlite.Exists(h, dir+"/cert9.db") {
			f.because("there is no %s/cert9.db", dir)
			continue
		}
		o := nss.Options{ID: f.id(nss.Backend + ":" + dir), Title: "NSS database of the machine", Scope: store.ScopeSystem,
			Readers: []string{"programs with NSS that ask for the machine's database"}}
		if nss.Linked(h, dir) {
			o.DerivedFrom = systemStore
		}
		f.stores = append(f.stores, nss.Open(h, dir, o))
		f.because("%s/cert9.db is there", dir)
	}
	return f.stores, f.reasons
}

// OpenDir opens the database in any directory.
func OpenDir(h *host.Host, dir string) (store.Store, []string, error) {
	info, err := h.Stat(dir)
	if err != nil {
		return nil, nil, err
	}
	if !info.IsDir() {
		return nil, nil, &store.Error{Path: dir, Err: store.Because(store.ErrInput, "it is not a directory"), Hint: "name the directory that cert9.db is in"}
	}
	scope := store.ScopeUser
	if uid, known := h.Owner(dir); known && uid == 0 && !strings.HasPrefix(dir+"/", path.Clean(h.User.Home)+"/") {
		scope = store.ScopeSystem
	}
	o := nss.Options{ID: store.ID(nss.Backend + ":" + dir), Title: "NSS database", Scope: scope, Program: "the program that uses it",
		Readers: []string{"programs with NSS that are told to use it"}}
	reasons := []string{"it was named"}
	for _, mark := range []string{"prefs.js", "compatibility.ini", "times.json"} {
		if sqlite.Exists(h, path.Join(dir, mark)) {
			o.Profile, o.Readers, o.Title, o.Program = true, []string{"Firefox"}, "Profile of the Firefox family", "Firefox"
			o.Running = running(h, dir)
			reasons = append(reasons, mark+" is that of a profile of the Firefox family")
			break
		}
	}
	if nss.Linked(h, dir) {
		o.DerivedFrom = systemStore
	}
	return nss.Open(h, dir, o), reasons, nil
}

// running tells whether a program of the Firefox family uses a profile. A lock
// that a killed one has left does not count.
func running(h *host.Host, profile string) func() bool {
	return func() bool {
		_, held := h.RecordLock(path.Join(profile, ".parentlock"))
		return held
	}
}

// product finds the profiles of a program in one of its places.
func (f *finder) product(p product, at place, dir string) {
	if p.apart {
		f.because("%s is in %s: it does without certificates of its user on purpose, and is left alone", p.title, dir)
		return
	}
	found := 0
	for _, profile := range f.profiles(dir) {
		resolved, err := f.h.Resolve(profile)
		if err != nil || f.dirs[resolved] {
			continue
		}
		f.dirs[resolved] = true
		if f.profile(p, at, profile) {
			found++
		}
	}
	f.because("%s is in %s, with %d profiles that can hold certificates", p.title, dir, found)
}

func (f *finder) profile(p product, at place, dir string) bool {
	prefs := readPrefs(f.h, dir)
	if prefs["security.nocertdb"] == "true" {
		f.because("the profile %s is set to do without a database (security.nocertdb), and is left alone", store.Printable(dir))
		return false
	}
	name := p.id
	if at.form != "" {
		name += "-" + at.form
	}
	title := fmt.Sprintf("%s profile %s", p.title, store.Printable(profileName(dir)))
	o := nss.Options{
		ID: f.id(nss.Backend + ":" + name + "/" + path.Base(dir)), Title: title, Scope: store.ScopeUser, Owner: f.h.User.Name,
		Readers: []string{p.title}, Profile: true, Program: p.title, Packed: packed(at.form), Running: running(f.h, dir), Default: true,
	}
	follows := store.ID(followed[f.h.OS])
	roots := prefs["security.enterprise_roots.enabled"]
	if f.policy.roots != "" {
		roots = f.policy.roots
	}
	switch {
	case follows != "" && roots == "false":
		f.because("%s is set not to follow the system's store (security.enterprise_roots.enabled), so that it is written to itself", o.ID)
	case follows != "":
		o.DerivedFrom, o.Default = follows, false
		o.Write = &store.Obstacle{Kind: store.Managed, Text: p.title + " follows the system's store here", Hint: "change that one: --store " + string(follows)}
		f.because("%s follows the system's store, as %s does on this system unless it is told otherwise", o.ID, p.title)
	case o.Packed != "": // it may be told to follow it, but not whether it can
	case nss.Linked(f.h, dir):
		o.DerivedFrom, o.Default = systemStore, false
		f.because("%s follows the system's store by a module in pkcs11.txt", o.ID)
	case f.policy.linked:
		o.DerivedFrom, o.Default = systemStore, false
		f.because("%s follows the system's store by a module in %s", o.ID, f.policy.path)
	}
	o.Origin = f.policy.origin
	f.stores = append(f.stores, nss.Open(f.h, dir, o))
	return true
}

// packed returns the form of a place if what is there has a file system of its
// own.
func packed(form string) string {
	if form == "snap" || form == "flatpak" {
		return form
	}
	return ""
}

// profileName returns the name of a profile from that of its directory, which
// has eight random letters before it.
func profileName(dir string) string {
	base := path.Base(dir)
	if random, name, ok := strings.Cut(base, "."); ok && len(random) == 8 && name != "" {
		return name
	}
	return base
}

// shared finds the databases of the Chromium family.
func (f *finder) shared() {
	if f.h.OS != "linux" {
		return
	}
	var readers, installed []string
	var running []string
	for _, c := range chromes() {
		present := false
		for _, at := range c.data["linux"] {
			if dir := f.expand(at.path); at.form != "snap" && at.form != "flatpak" && f.isDir(dir) {
				present = true
				running = append(running, dir)
			}
		}
		if _, err := f.h.LookPath(c.program); err == nil {
			present = true
			installed = append(installed, c.program)
		}
		if present {
			readers = append(readers, c.title)
		}
	}
	old, newer := f.expand(sharedOld), f.expand(sharedNew)
	base := nss.Options{Scope: store.ScopeUser, Owner: f.h.User.Name, Program: programs(readers), Readers: readers, Running: f.anyRunning(running)}
	if len(readers) == 0 { // none that is seen, but it is of no other program
		for _, c := range chromes() {
			base.Readers = append(base.Readers, c.title)
		}
	}
	used, other := "", ""
	switch {
	case f.isDir(old):
		used = old
		if f.isDir(newer) {
			other = newer
		}
	case f.isDir(newer):
		used = newer
	case len(readers) > 0 && !(f.isDir(f.h.User.Home) && f.h.Writable(f.h.User.Home)):
		f.because("%s is not there, and cannot be made", old)
	case len(readers) > 0:
		used = old // the one that every version looks at
		f.because("%s is used by %s, and will be made", old, strings.Join(slices.Concat(installed, readers), ", "))
	default:
		f.because("neither %s nor %s is there, and no browser of the Chromium family", old, newer)
	}
	if used != "" {
		o := base
		o.ID, o.Title = f.id(nss.Backend+":chromium"), "Database of the Chromium family"
		// Nobody browses as root: a database for that is made only if asked for.
		o.Default = f.isDir(used) || f.h.EUID != 0
		f.open(used, o)
		f.because("%s is the database that the Chromium family uses", used)
	}
	if other != "" {
		o := base
		o.ID, o.Title, o.Readers = f.id(nss.Backend+":chromium-unused"), "Database that no browser uses", []string{"no browser"}
		f.open(other, o)
		f.because("%s is used by nobody as long as %s is there", other, used)
	}
	for _, c := range chromes() {
		var dirs []string
		if c.snap != "" {
			dirs = append(dirs, "$HOME/snap/"+c.snap+"/current/.pki/nssdb")
		}
		if c.flatpak != "" {
			dirs = append(dirs, "$HOME/.var/app/"+c.flatpak+"/.pki/nssdb", "$HOME/.var/app/"+c.flatpak+"/data/pki/nssdb")
		}
		for i, at := range dirs {
			dir := f.expand(at)
			if !f.isDir(dir) {
				continue
			}
			form := "snap"
			if i > 0 || c.snap == "" {
				form = "flatpak"
			}
			o := base
			o.ID, o.Title, o.Readers, o.Default = f.id(nss.Backend+":"+c.id+"-"+form), "Database of "+c.title+" ("+form+")", []string{c.title}, true
			o.Program, o.Packed, o.Running = c.title, form, f.anyRunning(f.dataOf(c, form))
			f.open(dir, o)
			f.because("%s is the database of %s as a %s", dir, c.title, form)
		}
	}
}

// programs names the readers of a database, one of which is running.
func programs(readers []string) string {
	if len(readers) == 0 {
		return "the browser"
	}
	return strings.Join(readers, " or ")
}

func (f *finder) open(dir string, o nss.Options) {
	if o.Packed == "" && nss.Linked(f.h, dir) {
		o.DerivedFrom, o.Default = systemStore, false
		f.because("%s follows the system's store by a module in pkcs11.txt", o.ID)
	}
	f.stores = append(f.stores, nss.Open(f.h, dir, o))
}

// dataOf returns the user data directories of a browser as a package.
func (f *finder) dataOf(c chrome, form string) (dirs []string) {
	for _, at := range c.data[f.h.OS] {
		if dir := f.expand(at.path); at.form == form && f.isDir(dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// anyRunning tells whether a browser uses one of the user data directories: its
// lock names its process.
func (f *finder) anyRunning(dirs []string) func() bool {
	return func() bool {
		for _, dir := range dirs {
			if chromeRunning(f.h, dir) {
				return true
			}
		}
		return false
	}
}

func chromeRunning(h *host.Host, dir string) bool {
	target, err := h.Readlink(path.Join(dir, "SingletonLock"))
	if err != nil {
		return false
	}
	pid, err := strconv.Atoi(target[strings.LastIndexByte(target, '-')+1:])
	return err == nil && slices.ContainsFunc(h.Processes(), func(p host.Process) bool { return p.PID == pid })
}
