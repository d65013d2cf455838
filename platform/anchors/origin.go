package anchors

import (
	"bytes"
	"context"
	"encoding/hex"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/certtrust/certtrust/platform/rpm"
	"github.com/certtrust/certtrust/store"
)

// ownName is the name of an anchor that certtrust put there: half of its
// fingerprint, and nothing that a certificate says of itself.
var ownName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^certtrust-([0-9a-f]{32})\.`) })

func (s *base) ownPath(fp store.Fingerprint) string {
	return path.Join(s.family.adminDir, "certtrust-"+hex.EncodeToString(fp[:16])+s.family.suffix)
}

// knownNames are the file names by which other programs' anchors are known.
var knownNames = []struct {
	match func(base string, c *store.Cert) bool
	by    string
}{
	{func(base string, _ *store.Cert) bool { return strings.HasPrefix(base, "cloud-init-ca-cert") }, "cloud-init"},
	{func(base string, _ *store.Cert) bool { return strings.HasPrefix(base, "mkcert_development_CA_") }, "mkcert"},
	{func(base string, c *store.Cert) bool {
		// The library of step and Caddy names a file by subject, or a prefix of the
		// program's, and serial number.
		if c == nil || c.Serial == nil {
			return false
		}
		by, is := strings.CutSuffix(strings.TrimSuffix(base, path.Ext(base)), c.Serial.String())
		return is && (by == strings.ReplaceAll(c.Label(), " ", "_")+"_" || by == "Truststore_Development_CA_" || c.Serial.BitLen() >= 48)
	}, "step, Caddy or another user of smallstep/truststore"},
}

// byHand is said of what belongs to no program or package that is known.
const byHand = "by hand"

// origins tells who put an anchor there.
type origins struct {
	ctx      context.Context
	s        *base
	versions map[string]string // path -> package and version
	looked   bool              // every package was looked at that was installed since then
	since    time.Time
	sealed   bool // there are packages that cannot be looked at
}

func (s *base) newOrigins(ctx context.Context) *origins { return &origins{ctx: ctx, s: s} }

func (o *origins) of(a anchor, c *store.Cert) store.Origin {
	if a.vendor {
		pkg, _ := o.owner(a.path)
		return store.Origin{By: store.ByVendor, Detail: pkg}
	}
	base := path.Base(a.path)
	if m := ownName().FindStringSubmatch(base); m != nil && c != nil && strings.HasPrefix(c.SHA256.String(), m[1]) {
		return store.Origin{By: store.ByCerttrust}
	}
	for _, known := range knownNames {
		if known.match(base, c) {
			return store.Origin{By: store.ByAdmin, Detail: known.by}
		}
	}
	switch pkg, known := o.owner(a.path); {
	case pkg != "":
		return store.Origin{By: store.ByVendor, Detail: pkg}
	case !known:
		return store.Origin{By: store.ByAdmin, Detail: byHand + " or by a package"}
	}
	return store.Origin{By: store.ByAdmin, Detail: byHand}
}

// The package manager's records (dpkg(1), /var/lib/dpkg): the files of each
// package, and the versions.
const (
	dpkgLists  = "/var/lib/dpkg/info"
	dpkgStatus = "/var/lib/dpkg/status"
)

// owner returns the package that a file belongs to, with its version, "" if it
// belongs to none, and whether that can be told: not where the records of the
// package manager are in a database of its own. The package that nearly all
// vendor files are from is looked at first; all the others only for a file that
// it does not have.
func (o *origins) owner(file string) (pkg string, known bool) {
	if o.versions == nil {
		o.versions = map[string]string{}
		if data, err := o.s.host.ReadFile(path.Join(dpkgLists, "ca-certificates.list"), maxFile); err == nil {
			o.dpkg("ca-certificates.list", data)
		}
	}
	if pkg, ok := o.versions[file]; ok {
		return pkg, true
	}
	info, err := o.s.host.Lstat(file)
	if err != nil {
		return "", true
	}
	// What was written since a package was installed is not of it: files keep the
	// time at which their package was made. A day is for clocks.
	since := info.ModTime().Add(-24 * time.Hour)
	if o.looked && !since.Before(o.since) {
		return "", !o.sealed
	}
	o.looked, o.since = true, since
	for _, m := range managers {
		if slices.ContainsFunc(m.at, o.s.exists) {
			m.load(o, since)
		}
	}
	return o.versions[file], !o.sealed || o.versions[file] != ""
}

// managers are the package managers, by where their records may be.
var managers = []struct {
	at   []string
	load func(o *origins, since time.Time)
}{
	{[]string{dpkgLists}, func(o *origins, since time.Time) {
		_ = o.s.host.EachFile(dpkgLists, ".list", since, maxFile, func(name string, data []byte) bool {
			o.dpkg(name, data)
			return true
		})
	}},
	{[]string{"/var/lib/pacman/local"}, (*origins).pacman},
	{[]string{"/lib/apk/db/installed"}, func(o *origins, _ time.Time) { o.apk("/lib/apk/db/installed") }},
	{[]string{"/usr/lib/apk/db/installed"}, func(o *origins, _ time.Time) { o.apk("/usr/lib/apk/db/installed") }},
	{rpm.Places, (*origins).rpm},
	{[]string{"/var/db/pkg/local.sqlite"}, func(o *origins, _ time.Time) { o.sealed = true }},
}

// rpm reads rpm's database, if it is of the kind that can be.
func (o *origins) rpm(time.Time) {
	err := rpm.Files(o.ctx, o.s.host, o.dirs(), func(f rpm.File) {
		o.note(f.Path, strings.TrimSpace(f.Package+" "+f.Version))
	})
	o.sealed = o.sealed || err != nil
}

// dirs are the directories whose files' packages are asked for.
func (o *origins) dirs() []string {
	f := o.s.family
	dirs := []string{f.vendorDir, f.adminDir}
	for _, p := range f.places {
		if !p.file {
			dirs = append(dirs, p.path)
		}
	}
	return slices.DeleteFunc(dirs, func(d string) bool { return d == "" })
}

// dpkg notes the files of a package, as its list names them.
func (o *origins) dpkg(list string, data []byte) {
	pkg := ""
	dirs := o.dirs()
	// Hundreds of lists are looked at for what hardly any of them has.
	if len(dirs) > 0 && !slices.ContainsFunc(dirs, func(d string) bool { return path.Base(d) != path.Base(dirs[0]) }) && !bytes.Contains(data, []byte("/"+path.Base(dirs[0])+"/")) {
		return
	}
	for _, dir := range dirs {
		for rest := data; ; {
			i := bytes.Index(rest, []byte("\n"+dir+"/"))
			if i < 0 {
				break
			}
			line, after, _ := bytes.Cut(rest[i+1:], []byte("\n"))
			if pkg == "" {
				pkg = strings.TrimSuffix(list, ".list")
				pkg, _, _ = strings.Cut(pkg, ":")
				if v := o.s.packageField(pkg, "Version"); v != "" {
					pkg += " " + v
				}
			}
			o.versions[string(line)] = pkg
			if len(after) == 0 {
				break
			}
			rest = data[len(data)-len(after)-1:] // with the line break before it
		}
	}
}

// pacman reads the files of packages: alpm-files(5), a directory for each
// package that is called by its name, version and release.
func (o *origins) pacman(time.Time) {
	const local = "/var/lib/pacman/local"
	entries, _ := o.s.host.ReadDir(local)
	for _, e := range entries {
		data, err := o.s.host.ReadFile(path.Join(local, e.Name(), "files"), maxFile)
		if err != nil {
			continue
		}
		pkg := e.Name()
		if release := strings.LastIndexByte(pkg, '-'); release > 0 {
			if version := strings.LastIndexByte(pkg[:release], '-'); version > 0 {
				pkg = pkg[:version] + " " + pkg[version+1:]
			}
		}
		for line := range strings.Lines(string(data)) {
			o.note("/"+strings.TrimSuffix(line, "\n"), pkg)
		}
	}
}

// apk reads what is installed: blocks of lines of a letter and a value, P for
// the package, V for its version, F for a directory and R for a file in it.
func (o *origins) apk(file string) {
	data, err := o.s.host.ReadFile(file, maxFile)
	if err != nil {
		return
	}
	var pkg, version, dir string
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		switch key {
		case "P":
			pkg, version, dir = value, "", ""
		case "V":
			version = value
		case "F":
			dir = value
		case "R":
			o.note("/"+dir+"/"+value, strings.TrimSpace(pkg+" "+version))
		}
	}
}

// note notes whose a file is, if that will be asked for.
func (o *origins) note(file, pkg string) {
	if slices.ContainsFunc(o.dirs(), func(dir string) bool { return strings.HasPrefix(file, dir+"/") }) {
		o.versions[file] = pkg
	}
}

// packageField returns a field of an installed package, "" if there is none
// (dpkg(1), /var/lib/dpkg/status).
func (s *base) packageField(pkg, field string) string {
	value, block := "", false
	_ = s.host.EachLine(dpkgStatus, maxFile, func(line []byte) bool {
		if !block {
			name, is := bytes.CutPrefix(line, []byte("Package: "))
			block = is && string(name) == pkg
			return true
		}
		text, is := bytes.CutPrefix(line, []byte(field+": "))
		if is {
			value = string(text)
		}
		return !is && len(line) > 0
	})
	return value
}
