package inspect

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/certtrust/certtrust/platform/rpm"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/audit"
)

const (
	maxRecords = 64 << 20 // of a package manager's records
	maxFile    = 64 << 20
)

// manager is a package manager that keeps digests of its files.
type manager struct {
	name string
	// digests returns the files of a package with their digests in hexadecimal,
	// at least those in some directories; nil if it does not have the package.
	digests func(i *inspector, pkg string, dirs map[string]bool) (map[string]string, error)
	// reinstall are commands that install a package anew, by the program that
	// there has to be for it, "" for none.
	reinstall []struct{ program, command string }
}

// managers are in the order in which they are looked at.
var managers = []manager{
	{"dpkg", dpkgDigests, []struct{ program, command string }{{"", "apt-get install --reinstall --yes "}}},
	{"apk", apkDigests, []struct{ program, command string }{{"", "apk fix --reinstall "}}},
	{"pacman", pacmanDigests, []struct{ program, command string }{{"", "pacman -S --noconfirm "}}},
	{"rpm", rpmDigests, []struct{ program, command string }{
		{"/usr/bin/dnf", "dnf reinstall -y "}, {"/usr/bin/zypper", "zypper --non-interactive install --force "},
		{"/usr/bin/tdnf", "tdnf reinstall -y "}, {"/usr/bin/microdnf", "microdnf reinstall -y "}, {"/usr/bin/yum", "yum reinstall -y "}}},
}

// sums are the digests that package managers keep, by their length in bytes.
var sums = map[int]func([]byte) []byte{
	md5.Size:       func(b []byte) []byte { s := md5.Sum(b); return s[:] },
	sha1.Size:      func(b []byte) []byte { s := sha1.Sum(b); return s[:] },
	sha256.Size224: func(b []byte) []byte { s := sha256.Sum224(b); return s[:] },
	sha256.Size:    func(b []byte) []byte { s := sha256.Sum256(b); return s[:] },
	sha512.Size384: func(b []byte) []byte { s := sha512.Sum384(b); return s[:] },
	sha512.Size:    func(b []byte) []byte { s := sha512.Sum512(b); return s[:] },
}

// hasDigest reports whether a file's content has a digest.
func hasDigest(data []byte, want string) bool {
	sum := sums[len(want)/2]
	return sum != nil && hex.EncodeToString(sum(data)) == want
}

// packageName is what can be put into a command, and into a path.
var packageName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9+._-]{0,99}$`)
})

// packages compares the vendor's files with what their packages have.
func (i *inspector) packages() {
	for n := range i.stores {
		s := &i.stores[n]
		if s.Info.Scope != store.ScopeSystem {
			continue
		}
		dirs := map[string]map[string]bool{} // by package
		for j := range s.Entries {
			e := &s.Entries[j]
			if e.Origin.By != store.ByVendor || !strings.HasPrefix(e.Source.Path, "/") {
				continue
			}
			pkg, _, _ := strings.Cut(e.Origin.Detail, " ")
			if !packageName().MatchString(pkg) {
				continue
			}
			if dirs[pkg] == nil {
				dirs[pkg] = map[string]bool{}
			}
			dirs[pkg][path.Dir(e.Source.Path)] = true
		}
		for pkg, in := range dirs {
			i.compare(s, pkg, in)
		}
	}
}

// compare looks at the files of a package in some directories.
func (i *inspector) compare(s *audit.Store, pkg string, dirs map[string]bool) {
	for _, m := range managers {
		digests, err := m.digests(i, pkg, dirs)
		if err != nil {
			i.failed(err)
			continue
		}
		if digests == nil {
			continue
		}
		reinstall := ""
		for _, r := range m.reinstall {
			if _, err := i.h.Stat(r.program); r.program == "" || err == nil {
				reinstall = r.command + pkg
				break
			}
		}
		for file, want := range digests {
			if !dirs[path.Dir(file)] || i.ctx.Err() != nil {
				continue
			}
			mod := audit.Modified{Store: s.Info.ID, Path: file, Package: pkg, Reinstall: reinstall}
			data, err := i.h.ReadFile(file, maxFile)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				mod.Missing = true
			case err != nil:
				i.failed(err)
				continue
			case hasDigest(data, want):
				continue
			}
			i.facts.Modified = append(i.facts.Modified, mod)
		}
		return
	}
}

// dpkgDigests reads what dpkg has (deb-md5sums(5)).
func dpkgDigests(i *inspector, pkg string, _ map[string]bool) (map[string]string, error) {
	for _, name := range []string{pkg, pkg + ":amd64", pkg + ":arm64", pkg + ":all"} {
		data, err := i.h.ReadFile("/var/lib/dpkg/info/"+name+".md5sums", maxRecords)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		out := map[string]string{}
		for line := range strings.Lines(string(data)) {
			if sum, file, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  "); ok {
				out["/"+file] = sum
			}
		}
		return out, nil
	}
	return nil, nil
}

// apkDigests reads what apk has: of each package "P:" is the name, "F:" a
// directory, "R:" a file in it, "Z:Q1" the base64 of its SHA-1
// (https://wiki.alpinelinux.org/wiki/Apk_spec).
func apkDigests(i *inspector, pkg string, _ map[string]bool) (map[string]string, error) {
	data, err := i.h.ReadFile("/lib/apk/db/installed", maxRecords)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var out map[string]string
	dir, file, in := "", "", false
	for line := range strings.Lines(string(data)) {
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		switch field {
		case "P":
			if in = value == pkg; in {
				out = map[string]string{}
			}
		case "F":
			dir = value
		case "R":
			file = path.Join("/", dir, value)
		case "Z":
			if sum, ok := strings.CutPrefix(value, "Q1"); ok && in {
				if raw, err := base64.StdEncoding.DecodeString(sum); err == nil {
					out[file] = hex.EncodeToString(raw)
				}
			}
		}
	}
	return out, nil
}

// mtreeEscape is a byte in mtree(5).
var mtreeEscape = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\\[0-7]{3}`) })

// pacmanDigests reads what pacman has: a compressed mtree(5) for each package.
func pacmanDigests(i *inspector, pkg string, _ map[string]bool) (map[string]string, error) {
	const local = "/var/lib/pacman/local"
	list, err := i.h.ReadDir(local)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	for _, e := range list {
		// NAME-VERSION-RELEASE
		name := e.Name()
		for range 2 {
			name = name[:max(strings.LastIndexByte(name, '-'), 0)]
		}
		if name != pkg {
			continue
		}
		data, err := i.h.ReadFile(path.Join(local, e.Name(), "mtree"), maxRecords)
		if err != nil {
			return nil, err
		}
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, &store.Error{Op: "read", Path: path.Join(local, e.Name(), "mtree"), Err: store.Because(store.ErrCorrupt, "%w", err)}
		}
		out := map[string]string{}
		lines := bufio.NewScanner(io.LimitReader(z, maxRecords))
		for lines.Scan() {
			words := strings.Fields(lines.Text())
			if len(words) == 0 || !strings.HasPrefix(words[0], "./") {
				continue
			}
			file := mtreeEscape().ReplaceAllStringFunc(words[0][1:], func(s string) string {
				b, _ := strconv.ParseUint(s[1:], 8, 8)
				return string([]byte{byte(b)})
			})
			for _, w := range words[1:] {
				if sum, ok := strings.CutPrefix(w, "sha256digest="); ok {
					out[file] = sum
				}
			}
		}
		return out, nil
	}
	return nil, nil
}

// rpmDigests reads what rpm has.
func rpmDigests(i *inspector, pkg string, dirs map[string]bool) (map[string]string, error) {
	var out map[string]string
	err := rpm.Files(i.ctx, i.h, slices.Collect(maps.Keys(dirs)), func(f rpm.File) {
		if f.Package != pkg {
			return
		}
		if out == nil {
			out = map[string]string{}
		}
		if f.Digest != "" {
			out[f.Path] = f.Digest
		}
	})
	if errors.Is(err, store.ErrUnsupported) {
		err = nil
	}
	return out, err
}
