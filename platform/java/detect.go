package java

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// systemStore is what generated keystores are made of.
const systemStore store.ID = "anchors:system"

// DetectUser returns the keystores below the user's home directory, and the
// reasons. It is a function of the machine alone, runs nothing and changes
// nothing.
func DetectUser(ctx context.Context, h *host.Host) ([]store.Store, []string) {
	return detect(ctx, h, true)
}

// DetectSystem returns the keystores everywhere else.
func DetectSystem(ctx context.Context, h *host.Host) ([]store.Store, []string) {
	return detect(ctx, h, false)
}

// inHome reports whether a path is below the home of the user: root's own is
// the machine's.
func inHome(h *host.Host, p string) bool {
	home := h.User.Home
	if home == "" || home == "/" || h.EUID == 0 && h.User.UID == 0 {
		return false
	}
	if resolved, err := h.Resolve(home); err == nil {
		home = resolved
	}
	return strings.HasPrefix(p, strings.TrimSuffix(home, "/")+"/")
}

// javaHome is an installation of Java.
type javaHome struct {
	dir   string // without links
	below string // where in the directory that was looked at
	what  string // how it was found
	apart bool
}

// String names the installation for people.
func (j javaHome) String() string { return store.Printable(j.dir) }

// finder collects what is found.
type finder struct {
	h       *host.Host
	homes   []javaHome
	javas   map[string]bool // directories of the homes, as they were come upon
	listed  map[string][]fs.DirEntry
	reasons []string
}

func (f *finder) because(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(f.reasons, text) {
		f.reasons = append(f.reasons, text)
	}
}

func detect(ctx context.Context, h *host.Host, user bool) (out []store.Store, reasons []string) {
	found, reasons := find(ctx, h)
	for _, f := range found {
		if (f.o.scope == store.ScopeUser) == user {
			out = append(out, open(h, f.path, f.o))
		}
	}
	return out, reasons
}

// find looks for keystores everywhere, and opens none.
func find(ctx context.Context, h *host.Host) ([]keystore, []string) {
	f := &finder{h: h, javas: map[string]bool{}, listed: map[string][]fs.DirEntry{}}
	for _, p := range places {
		if p.systems != "" && !slices.Contains(strings.Fields(p.systems), h.OS) {
			continue
		}
		for _, base := range f.bases(p) {
			for _, pattern := range p.homes {
				for _, dir := range f.glob(base, pattern) {
					f.add(dir, p.what, p.apart)
				}
			}
		}
	}
	f.fromPath()
	f.fromRegistry(ctx)
	return f.keystores(), f.reasons
}

// env returns a variable that names a path; it is the user's own only if nobody
// lent other rights.
func (f *finder) env(key string) string {
	value := strings.ReplaceAll(f.h.Env(key), `\`, "/")
	if f.h.OS != "windows" {
		value = f.h.Env(key)
	}
	if f.h.User.Via != "" || !strings.HasPrefix(value, "/") && !(f.h.OS == "windows" && len(value) > 2 && value[1] == ':') {
		return ""
	}
	return path.Clean(value)
}

func (f *finder) bases(p place) (out []string) {
	for _, v := range p.vars {
		if dir := f.env(v); dir != "" {
			return []string{dir}
		}
	}
	for _, base := range p.base {
		if rest, ok := strings.CutPrefix(base, "~"); ok {
			if f.h.User.Home == "" {
				continue
			}
			base = path.Join(f.h.User.Home, rest)
		}
		out = append(out, base)
	}
	return out
}

// maxMatches is how many directories a pattern is taken to name.
const maxMatches = 2000

// glob returns what a pattern below base names, sorted.
func (f *finder) glob(base, pattern string) []string {
	found := []string{base}
	for _, part := range strings.Split(pattern, "/") {
		if part == "" {
			break
		}
		var next []string
		for _, dir := range found {
			if !strings.Contains(part, "*") {
				next = append(next, path.Join(dir, part))
				continue
			}
			if f.javas[dir] {
				continue // no other is inside of a Java, but for its own jre
			}
			for _, e := range f.list(dir) {
				if ok, _ := path.Match(part, e.Name()); ok && len(next) < maxMatches && (e.IsDir() || e.Type()&fs.ModeSymlink != 0) {
					next = append(next, path.Join(dir, e.Name()))
				}
			}
		}
		found = next
	}
	return found
}

// list returns what is in a directory, which many patterns may ask.
func (f *finder) list(dir string) []fs.DirEntry {
	entries, known := f.listed[dir]
	if !known {
		entries, _ = f.h.ReadDir(dir)
		f.listed[dir] = entries
	}
	return entries
}

// insides are where in the directory of an installation Java may lie.
var insides = []struct{ systems, dir string }{
	{"", ""},
	{darwin, "Contents/Home"},
	{darwin, "libexec/openjdk.jdk/Contents/Home"},
	{"linux darwin", "libexec"},
	{"", "jre"},
}

// findHome returns the installation in a directory, if there is one.
func findHome(h *host.Host, dir string) (javaHome, bool) {
	program := "bin/java"
	if h.OS == "windows" {
		program = "bin/java.exe"
	}
	for _, inside := range insides {
		if inside.systems != "" && !slices.Contains(strings.Fields(inside.systems), h.OS) {
			continue
		}
		at := path.Join(dir, inside.dir)
		if info, err := h.Stat(path.Join(at, program)); err != nil || !info.Mode().IsRegular() {
			continue
		}
		if len((javaHome{dir: at}).keystores(h)) == 0 && !isDir(h, path.Join(at, "lib")) {
			continue
		}
		resolved, err := h.Resolve(at)
		return javaHome{dir: resolved, below: inside.dir}, err == nil
	}
	return javaHome{}, false
}

func isDir(h *host.Host, p string) bool {
	info, err := h.Stat(p)
	return err == nil && info.IsDir()
}

// keystores returns the files with anchors, the one in force first: jssecacerts
// stands in for cacerts and does not add to it. Of an old JDK it is that of the
// JRE in it.
func (j javaHome) keystores(h *host.Host) (files []string) {
	for _, dir := range []string{"lib/security", "jre/lib/security"} {
		for _, name := range []string{"jssecacerts", "cacerts"} {
			file := path.Join(j.dir, dir, name)
			if info, err := h.Stat(file); err == nil && info.Mode().IsRegular() {
				files = append(files, file)
			}
		}
	}
	return files
}

// title tells what Java it is, without running it.
func (j javaHome) title(h *host.Host) string {
	title := "Java"
	data, err := h.ReadFile(path.Join(j.dir, "release"), 1<<20)
	if err != nil {
		return title
	}
	value := func(key string) string {
		for line := range strings.Lines(string(data)) {
			if v, ok := strings.CutPrefix(line, key+"="); ok {
				return store.Printable(strings.Trim(strings.TrimSpace(v), `"`))
			}
		}
		return ""
	}
	if v := value("JAVA_VERSION"); v != "" {
		title += " " + v
	}
	if v := value("IMPLEMENTOR"); v != "" && v != "N/A" {
		title += " (" + v + ")"
	}
	return title
}

func (f *finder) add(dir, what string, apart bool) {
	if !isDir(f.h, dir) {
		return
	}
	home, ok := findHome(f.h, dir)
	if !ok {
		return
	}
	f.javas[dir] = home.below == ""
	if i := slices.IndexFunc(f.homes, func(o javaHome) bool { return o.dir == home.dir }); i >= 0 {
		// One that a variable names, or that was found elsewhere too, is for all.
		f.homes[i].apart = f.homes[i].apart && apart
		return
	}
	home.what, home.apart = what, apart
	f.homes = append(f.homes, home)
}

// fromPath adds the programs called java in PATH. A script, such as those of
// jenv, asdf and mise, stands for Javas that are found where they are installed.
func (f *finder) fromPath() {
	list, separator, program := f.h.Env("PATH"), ":", "java"
	if f.h.OS == "windows" {
		separator, program = ";", "java.exe"
	}
	if f.h.User.Via != "" {
		return
	}
	for _, dir := range strings.Split(list, separator) {
		if f.h.OS == "windows" {
			dir = strings.ReplaceAll(dir, `\`, "/")
		}
		if dir == "" || dir == "." {
			continue
		}
		resolved, err := f.h.Resolve(path.Join(dir, program))
		if err != nil {
			continue
		}
		if home, ok := strings.CutSuffix(resolved, "/bin/"+program); ok {
			f.add(home, "PATH", false)
		}
	}
}

// fromRegistry adds what installers on Windows have told the registry.
func (f *finder) fromRegistry(ctx context.Context) {
	if f.h.OS != "windows" {
		return
	}
	for _, k := range registryKeys {
		f.registry(ctx, k.key, k.depth, k.values)
	}
}

func (f *finder) registry(ctx context.Context, key string, depth int, values []string) {
	names, subkeys := f.h.RegistryKey(key)
	for _, v := range values {
		if dir := names[v]; dir != "" {
			f.add(path.Clean(strings.ReplaceAll(dir, `\`, "/")), "the registry", false)
		}
	}
	for _, sub := range subkeys {
		if depth > 0 && ctx.Err() == nil {
			f.registry(ctx, key+`\`+sub, depth-1, values)
		}
	}
}

// keystore is one that was found, and not opened yet.
type keystore struct {
	path    string // without links
	o       options
	inForce bool
}

// keystores returns each once, however many installations and links lead to it.
func (f *finder) keystores() []keystore {
	var files []keystore
	for _, home := range f.homes {
		title := home.title(f.h)
		used := map[string]string{} // the file in force in each directory
		all := home.keystores(f.h)
		if len(all) == 0 {
			f.because("%s (%s) has no keystore of anchors", home, home.what)
		}
		for _, file := range all {
			resolved, err := f.h.Resolve(file)
			if err != nil {
				f.because("%s cannot be followed: %v", store.Printable(file), plain(err))
				continue
			}
			i := slices.IndexFunc(files, func(o keystore) bool { return o.path == resolved })
			if i < 0 {
				i = len(files)
				files = append(files, keystore{path: resolved, o: options{title: title, own: true}})
			}
			at := &files[i]
			first, replaced := used[path.Dir(file)]
			if replaced {
				f.because("%s (%s) has %s, which stands in for %s", home, home.what, store.Printable(first), store.Printable(file))
				continue
			}
			used[path.Dir(file)] = file
			f.because("%s was found by way of %s and uses %s", home, home.what, store.Printable(resolved))
			at.inForce = true
			at.o.isDefault = at.o.isDefault || !home.apart
			if home.apart {
				f.because("%s belongs to a program that brings its own Java along: %s is changed only if it is named", home, store.Printable(resolved))
			}
			at.o.readers = append(at.o.readers, title+" in "+home.String())
		}
	}
	for i := range files {
		at, o := &files[i], &files[i].o
		if n := len(o.readers); n > 1 {
			o.title += fmt.Sprintf(" and %d more", n-1)
		}
		if o.scope = store.ScopeSystem; inHome(f.h, at.path) {
			o.scope, o.owner = store.ScopeUser, f.h.User.Name
		}
		if !at.inForce {
			o.title += ", not in force"
		}
		var why string
		if o.derivedFrom, o.write, why = derived(f.h, at.path); why != "" {
			o.isDefault = false
			f.because("%s", why)
		}
		if o.write == nil && strings.HasPrefix(at.path, "/snap/") {
			o.write = &store.Obstacle{Kind: store.ReadOnly, Text: "it is in a snap, which nobody can write to"}
			o.isDefault = false
		}
	}
	if len(f.homes) == 0 {
		f.because("no Java was found in PATH, in JAVA_HOME or where it is usually installed")
	}
	return files
}

// derived tells whether a keystore is generated from the system's roots, and
// whether that keeps it from being written.
func derived(h *host.Host, resolved string) (from store.ID, write *store.Obstacle, why string) {
	for _, g := range generated {
		if g.path != resolved {
			continue
		}
		by := slices.IndexFunc(g.by, func(program string) bool { _, err := h.Lstat(program); return err == nil })
		if by < 0 || g.off != "" && says(h, g.conf, g.off) {
			continue
		}
		if g.lost {
			write = &store.Obstacle{Kind: store.Managed, Text: g.what + " makes it anew from the system's roots, and what else is in it is lost then", Hint: "change the system's: --store " + string(systemStore)}
		}
		return systemStore, write, fmt.Sprintf("%s is generated from the system's roots by %s", resolved, g.what)
	}
	return "", nil, ""
}

// says reports whether a file of settings has a line, whatever its blanks and
// quotes.
func says(h *host.Host, file, line string) bool {
	conf, err := h.ReadFile(file, 1<<20)
	if err != nil {
		return false
	}
	for l := range strings.Lines(string(conf)) {
		if strings.NewReplacer(" ", "", "\t", "", `"`, "", "'", "", "\n", "", "\r", "").Replace(l) == line {
			return true
		}
	}
	return false
}
