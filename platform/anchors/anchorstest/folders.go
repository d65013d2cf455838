package anchorstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// Layout is a family of systems that keep anchors in directories, as a stand-in
// for its update tool knows it.
type Layout struct {
	Name    string
	Tool    string
	text    string   // what the tool is known by
	release string   // of os-release
	os      string   // "" = linux
	vendor  string   // the directory of the vendor's certificates
	list    string   // the list of those that are in use
	sources []string // the directories that the tool reads
	blocked []string // and those of what it leaves out
	onlyCAs bool     // it leaves out what is no authority, but for p11-kit's objects
	bundles []string // what it makes
	others  []string // what its script also names
	hashes  string   // the directory of hash links that it makes
	Linked  string   // the directory that it makes links to these in, "" = there is none
	Rereads bool     // what is found there is an anchor, too
	prefix  string   // of the links by name that these lead to, "" = there are none
}

// Layouts returns the layouts of all families that have a tool and are written.
func Layouts() []Layout {
	p11 := func(name, tool, text, release, etc, usr, hashes, linked string, bundles ...string) Layout {
		return Layout{others: []string{"$DEST/java/cacerts", "$DEST/java-cacerts", "$DEST/openssl/ca-bundle.trust.crt"}, hashes: hashes, Linked: linked,
			Name: name, Tool: tool, text: text, release: release, vendor: usr + "/anchors",
			sources: []string{etc, etc + "/anchors", usr + "/anchors"}, blocked: []string{etc + "/blocklist", usr + "/blocklist"}, onlyCAs: true, bundles: bundles}
	}
	return []Layout{
		p11("fedora", "/usr/bin/update-ca-trust", "DEST=/etc/pki/ca-trust/extracted", "ID=fedora", "/etc/pki/ca-trust/source", "/usr/share/pki/ca-trust-source",
			"/etc/pki/ca-trust/extracted/pem/directory-hash", "/etc/pki/tls/certs",
			"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/pki/ca-trust/extracted/pem/email-ca-bundle.pem"),
		p11("suse", "/usr/sbin/update-ca-certificates", "hooksdir2=/usr/lib/ca-certificates/update.d", "ID=opensuse-leap\nID_LIKE=\"suse opensuse\"", "/etc/pki/trust", "/usr/share/pki/trust",
			"/var/lib/ca-certificates/pem", "",
			"/var/lib/ca-certificates/ca-bundle.pem"),
		p11("arch", "/usr/bin/update-ca-trust", "DEST=/etc/ca-certificates/extracted", "ID=arch", "/etc/ca-certificates/trust-source", "/usr/share/ca-certificates/trust-source",
			"/etc/ca-certificates/extracted/cadir", "/etc/ssl/certs",
			"/etc/ca-certificates/extracted/tls-ca-bundle.pem", "/etc/ca-certificates/extracted/email-ca-bundle.pem"),
		{Name: "alpine", Tool: "/usr/sbin/update-ca-certificates", text: "\x7fELF", release: "ID=alpine", vendor: "/usr/share/ca-certificates", list: "/etc/ca-certificates.conf",
			sources: []string{"/usr/local/share/ca-certificates"}, bundles: []string{"/etc/ssl/certs/ca-certificates.crt"}, hashes: "/etc/ssl/certs", prefix: "ca-cert-"},
		{Name: "clear", Tool: "/usr/bin/clrtrust", text: "clrtrust", release: "ID=clear-linux-os", vendor: "/usr/share/ca-certs/trusted",
			sources: []string{"/usr/share/ca-certs/trusted", "/etc/ca-certs/trusted"}, blocked: []string{"/etc/ca-certs/distrusted"},
			bundles: []string{"/var/cache/ca-certs/compat/ca-roots.pem"}},
		{Name: "flatcar", Tool: "/usr/sbin/update-ca-certificates", text: "--skip-rehash", release: "ID=flatcar\nID_LIKE=coreos",
			sources: []string{"/etc/ssl/certs"}, bundles: []string{"/etc/ssl/certs/ca-certificates.crt"}, hashes: "/etc/ssl/certs"},
		{Name: "photon", Tool: "/usr/bin/rehash_ca_certificates.sh", text: "/etc/pki/tls/certs/ca-bundle.crt", release: "ID=photon",
			sources: []string{"/etc/ssl/certs"}, bundles: []string{"/etc/pki/tls/certs/ca-bundle.crt"}, hashes: "/etc/ssl/certs"},
		{Name: "freebsd", Tool: "/usr/sbin/certctl", text: "rehash", release: "ID=freebsd", os: "freebsd", vendor: "/usr/share/certs/trusted",
			sources: []string{"/usr/share/certs/trusted", "/usr/local/share/certs"}, blocked: []string{"/usr/local/etc/ssl/untrusted"}, hashes: "/etc/ssl/certs"},
		{Name: "freebsd", Tool: "/usr/sbin/certctl", text: "\x7fELF", release: "ID=freebsd\nVERSION_ID=15", os: "freebsd", vendor: "/usr/share/certs/trusted",
			sources: []string{"/usr/share/certs/trusted", "/usr/local/share/certs"}, blocked: []string{"/usr/local/share/certs/untrusted"},
			bundles: []string{"/etc/ssl/cert.pem"}, hashes: "/etc/ssl/certs", Rereads: true},
		{Name: "bundle", release: "ID=debian", bundles: []string{"/etc/ssl/certs/ca-certificates.crt"}},
	}
}

// Folder stands in for the update tool of a layout in a fake root.
type Folder struct {
	Layout
	Root string

	Exit   int    // the tool fails before it has done anything
	Lie    bool   // it does nothing and says that all is well
	Short  bool   // it makes empty bundles, and all else as it should
	During func() // called before it writes
	Runs   int

	kept map[string][]byte
}

// Make makes a fake root of a layout in the directory root, with vendor
// certificates by name, and returns a host over it, on which the update tool is
// a [Folder], and has run.
func (l Layout) Make(root string, vendor map[string][]byte) (*host.Host, *Folder, error) {
	u := &Folder{Layout: l, Root: root}
	files := map[string]string{"/etc/os-release": l.release + "\n"}
	if l.Tool != "" {
		files[l.Tool] = "#!/bin/sh\n" + l.text + "\n" + strings.Join(slices.Concat(l.bundles, l.others, []string{l.hashes, l.Linked}), "\n") + "\n"
	}
	var list strings.Builder
	var bundle []byte
	for _, name := range sorted(vendor) {
		bundle = append(bundle, vendor[name]...)
		if l.vendor == "" {
			continue
		}
		files[l.vendor+"/"+name+".crt"] = string(vendor[name])
		fmt.Fprintf(&list, "%s.crt\n", name)
	}
	if l.list != "" {
		files[l.list] = list.String()
	}
	if l.Tool == "" {
		files[l.bundles[0]] = string(bundle)
	}
	dirs := slices.Concat(l.sources, l.blocked, []string{"/var/lib", "/tmp"})
	for _, b := range append(slices.Clone(l.bundles), l.hashes+"/x", l.Linked+"/x") {
		dirs = append(dirs, filepath.Dir(b))
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(u.path(dir), 0o755); err != nil {
			return nil, nil, err
		}
	}
	for _, name := range sorted(files) {
		if err := os.MkdirAll(filepath.Dir(u.path(name)), 0o755); err != nil {
			return nil, nil, err
		}
		if err := put(u.path(name), []byte(files[name])); err != nil {
			return nil, nil, err
		}
	}
	h := host.Fake(root)
	h.OS, h.Runner = "linux", u.Run
	if l.os != "" {
		h.OS = l.os
	}
	if l.Tool == "" {
		return h, u, nil
	}
	_, err := u.update()
	return h, u, err
}

// put writes a file that everybody can read, whatever the umask.
func put(file string, data []byte) error {
	if err := os.WriteFile(file, data, 0o644); err != nil {
		return err
	}
	return os.Chmod(file, 0o644)
}

func (u *Folder) path(p string) string { return filepath.Join(u.Root, filepath.FromSlash(p)) }

// Run is a [host.Host.Runner].
func (u *Folder) Run(_ context.Context, c host.Command) (host.Output, error) {
	if c.Args[0] != u.Tool {
		return host.Output{}, fmt.Errorf("%s is not to be run", c.Args[0])
	}
	return u.update()
}

func (u *Folder) update() (host.Output, error) {
	u.Runs++
	if u.Exit != 0 {
		return host.Output{}, &host.ExecError{Args: []string{u.Tool}, ExitCode: u.Exit, Err: errors.New("exit")}
	}
	if u.Lie {
		return host.Output{}, nil
	}
	if u.During != nil {
		u.During()
	}
	blocked := map[store.Fingerprint]bool{}
	for _, dir := range u.blocked {
		for _, f := range u.read(dir) {
			for _, i := range f.items {
				blocked[i.Cert.SHA256] = true
			}
		}
	}
	var all []folderFile
	if u.list != "" {
		conf, _ := os.ReadFile(u.path(u.list))
		for line := range strings.Lines(string(conf)) {
			line = strings.TrimSuffix(line, "\n")
			if line == "" || strings.HasPrefix(line, "!") || strings.HasPrefix(line, "#") {
				continue
			}
			all = append(all, readFolderFile(u.path(u.vendor), line))
		}
	}
	for _, dir := range u.sources {
		all = append(all, u.read(dir)...)
	}
	if u.Rereads {
		entries, _ := os.ReadDir(u.path(u.hashes))
		for _, e := range entries {
			if target, err := os.Readlink(filepath.Join(u.path(u.hashes), e.Name())); err == nil && hashLink.MatchString(e.Name()) {
				data, _ := os.ReadFile(u.path(target))
				if kept := u.kept[target]; len(data) == 0 {
					data = kept // the real one has a file there, and no link
				}
				all = append(all, folderFile{path: u.path(target), items: certfile.ReadPEM(data).Items})
			}
		}
		if u.kept == nil {
			u.kept = map[string][]byte{}
		}
		for _, f := range all {
			if data, err := os.ReadFile(f.path); err == nil {
				u.kept[strings.TrimPrefix(f.path, u.Root)] = data
			}
		}
	}
	var out bytes.Buffer
	links := map[string]string{}
	next := map[string]int{}
	seen := map[store.Fingerprint]bool{}
	for _, f := range all {
		for _, i := range f.items {
			fp := i.Cert.SHA256
			if seen[fp] || blocked[fp] || u.onlyCAs && !i.Cert.IsCA() && !f.object {
				continue
			}
			seen[fp] = true
			out.Write(certfile.EncodePEM(i.Cert))
			if len(f.items) == 1 {
				hash := certfile.SubjectHash(i.Cert)
				links[fmt.Sprintf("%s.%d", hash, next[hash])] = strings.TrimPrefix(f.path, u.Root)
				next[hash]++
			}
		}
	}
	if u.Short {
		out.Reset()
	}
	for _, b := range u.bundles {
		temp := u.path(filepath.Dir(b)) + ".new"
		if err := put(temp, out.Bytes()); err != nil {
			return host.Output{}, err
		}
		if err := os.Rename(temp, u.path(b)); err != nil {
			return host.Output{}, err
		}
	}
	if u.hashes == "" {
		return host.Output{}, nil
	}
	if u.prefix != "" {
		for _, hash := range sorted(links) {
			name := u.prefix + strings.NewReplacer(" ", "_", ",", "_", "(", "=", ")", "=").Replace(strings.TrimSuffix(filepath.Base(links[hash]), ".crt")) + ".pem"
			links[name], links[hash] = links[hash], name
		}
	}
	u.link(u.hashes, links)
	if u.Linked != "" {
		for name := range links {
			links[name] = u.hashes + "/" + name
		}
		u.link(u.Linked, links)
	}
	return host.Output{}, nil
}

// link makes the hash links in a directory these.
func (u *Folder) link(dir string, links map[string]string) {
	entries, _ := os.ReadDir(u.path(dir))
	for _, e := range entries {
		named := u.prefix != "" && strings.HasPrefix(e.Name(), u.prefix)
		if (hashLink.MatchString(e.Name()) || named) && links[e.Name()] == "" {
			os.Remove(filepath.Join(u.path(dir), e.Name()))
		}
	}
	for _, name := range sorted(links) {
		p := filepath.Join(u.path(dir), name)
		if target, err := os.Readlink(p); err == nil && target == links[name] {
			continue
		}
		os.Symlink(links[name], p+"~")
		os.Rename(p+"~", p)
	}
}

type folderFile struct {
	path   string
	items  []certfile.Item
	object bool // p11-kit's, which makes it an authority
}

func (u *Folder) read(dir string) []folderFile {
	entries, _ := os.ReadDir(u.path(dir))
	var out []folderFile
	for _, e := range entries {
		// Only p11-kit's own objects are read beside its anchors.
		beside := u.onlyCAs && filepath.Base(dir) != "anchors" && filepath.Base(dir) != "blocklist"
		if e.IsDir() || hashLink.MatchString(e.Name()) || slices.Contains(u.bundles, dir+"/"+e.Name()) || beside && !strings.HasSuffix(e.Name(), ".p11-kit") ||
			strings.HasPrefix(e.Name(), host.TempPrefix) {
			continue
		}
		out = append(out, readFolderFile(u.path(dir), e.Name()))
	}
	return out
}

func readFolderFile(dir, name string) folderFile {
	file := filepath.Join(dir, name)
	data, _ := os.ReadFile(file)
	return folderFile{file, certfile.ReadPEM(data).Items, strings.HasSuffix(name, ".p11-kit")}
}
