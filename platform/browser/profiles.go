package browser

import (
	"context"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/sqlite"
	"github.com/certtrust/certtrust/store"
)

// The largest files that are read, and the most profiles of one program.
const (
	maxIni      = 1 << 20
	maxPrefs    = 16 << 20
	maxProfiles = 500
)

// section is a part of an ini file.
type section struct {
	name   string
	values map[string]string
}

// parseIni reads an ini file as Firefox does: no quotes, no continued lines.
func parseIni(text []byte) []section {
	var list []section
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == ';' || line[0] == '#':
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			list = append(list, section{line[1 : len(line)-1], map[string]string{}})
		case len(list) > 0:
			if key, value, ok := strings.Cut(line, "="); ok {
				list[len(list)-1].values[strings.TrimSpace(key)] = strings.TrimSpace(value)
			}
		}
	}
	return list
}

// profiles returns the directories of profiles below a program's directory: those
// that its files name, and those that lie there and have a database.
func (f *finder) profiles(dir string) []string {
	var list []string
	add := func(p string, relative bool) {
		p = strings.ReplaceAll(p, `\`, "/")
		if relative {
			p = path.Join(dir, p)
		}
		if p = path.Clean(p); !slices.Contains(list, p) && len(list) < maxProfiles && f.isDir(p) {
			list = append(list, p)
		}
	}
	for _, file := range []string{"profiles.ini", "installs.ini"} {
		text, err := f.h.ReadFile(path.Join(dir, file), maxIni)
		if err != nil {
			continue
		}
		for _, s := range parseIni(text) {
			switch {
			case s.values["Path"] != "":
				add(s.values["Path"], s.values["IsRelative"] != "0")
			case s.values["Default"] != "" && s.values["Default"] != "1":
				add(s.values["Default"], true)
			}
		}
	}
	for _, p := range f.groups(path.Join(dir, "Profile Groups")) {
		add(p, !path.IsAbs(p))
	}
	for _, below := range []string{dir, path.Join(dir, "Profiles")} {
		entries, err := f.h.ReadDir(below)
		if err != nil {
			continue
		}
		for _, e := range entries {
			p := path.Join(below, e.Name())
			if sqlite.Exists(f.h, path.Join(p, "cert9.db")) || sqlite.Exists(f.h, path.Join(p, "cert8.db")) {
				add(p, false)
			}
		}
	}
	return list
}

// groups returns the profiles that newer versions of Firefox keep in databases
// of their own instead of profiles.ini.
func (f *finder) groups(dir string) (list []string) {
	entries, err := f.h.ReadDir(dir)
	if err != nil {
		return nil
	}
	ctx := context.Background()
	for _, e := range entries {
		if path.Ext(e.Name()) != ".sqlite" {
			continue
		}
		file := path.Join(dir, e.Name())
		// A copy, because reading a file with a log would make other files.
		db, err := sqlite.ReadImage(ctx, f.h, file)
		if err == nil {
			err = db.Query(ctx, "SELECT path FROM Profiles LIMIT 500", nil, func(scan func(...any) error) error {
				var value any
				if err := scan(&value); err != nil {
					return err
				}
				if p, ok := value.(string); ok && p != "" {
					list = append(list, p)
				}
				return nil
			})
			db.Close()
		}
		if err != nil {
			f.because("%s cannot be read (%v)", store.Printable(file), err)
		}
	}
	return list
}

var pref = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?m)^\s*(?:user_|lock|sticky_)?[pP]ref\(\s*"([^"\\]+)"\s*,\s*([^)\r\n]*?)\s*\)`)
})

// readPrefs returns the settings of a profile: what the user's own file says
// counts most.
func readPrefs(h *host.Host, dir string) map[string]string {
	prefs := map[string]string{}
	for _, name := range []string{"prefs.js", "user.js"} {
		text, err := h.ReadFile(path.Join(dir, name), maxPrefs)
		if err != nil {
			continue
		}
		for _, m := range pref().FindAllSubmatch(text, -1) {
			prefs[string(m[1])] = string(m[2])
		}
	}
	return prefs
}
