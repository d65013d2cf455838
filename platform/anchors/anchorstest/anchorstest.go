// Package anchorstest makes machines with an anchor store for tests: a fake
// root of a Debian system, and a stand-in for its update tool.
package anchorstest

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// Updater stands in for update-ca-certificates and its Java hook in a fake
// root. It does what the script does, in its order, with what that has for
// consequences: no lock, a bundle that is appended to under a fixed name, hooks
// that hear of new links only.
//
// That it behaves as the real one is what the end-to-end tests show, which run
// the same suite with that.
type Updater struct {
	Root string
	mu   sync.Mutex // the hook is the package manager's, which has a lock

	Exit   int                        // the tool fails before it has done anything
	Lie    bool                       // it does nothing and says that all is well
	During func()                     // called while the new bundle is half written
	Hook   func(lines []string) error // instead of what Java's hook has done with the lines
	Runs   int                        // how often the tool was run
}

// Run is a [host.Host.Runner].
func (u *Updater) Run(_ context.Context, c host.Command) (host.Output, error) {
	input := ""
	if c.Stdin != nil {
		data, err := io.ReadAll(c.Stdin)
		if err != nil {
			return host.Output{}, err
		}
		input = string(data)
	}
	switch c.Args[0] {
	case "/usr/sbin/update-ca-certificates":
		return u.update()
	case "/etc/ca-certificates/update.d/jks-keystore":
		return host.Output{}, u.java(strings.Split(strings.TrimSpace(input), "\n"))
	}
	return host.Output{}, fmt.Errorf("%s is not to be run", c.Args[0])
}

func (u *Updater) path(p string) string { return filepath.Join(u.Root, p) }

func (u *Updater) update() (host.Output, error) {
	u.Runs++
	if u.Exit != 0 {
		return host.Output{}, &host.ExecError{Args: []string{"update-ca-certificates"}, ExitCode: u.Exit, Err: errors.New("exit")}
	}
	if u.Lie {
		return host.Output{Stdout: []byte("1 added, 0 removed; done.\n")}, nil
	}
	certs := u.path("/etc/ssl/certs")
	bundle := filepath.Join(certs, "ca-certificates.crt")
	out, err := os.OpenFile(bundle+".new", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return host.Output{}, err
	}
	defer out.Close()
	var changed []string
	add := func(crt string) {
		name := strings.NewReplacer(" ", "_", "(", "=", ")", "=", ",", "_").Replace(strings.TrimSuffix(filepath.Base(crt), ".crt")) + ".pem"
		link := filepath.Join(certs, name)
		if target, err := os.Readlink(link); err != nil || target != crt {
			os.Remove(link)
			os.Symlink(crt, link)
			changed = append(changed, "+/etc/ssl/certs/"+name)
		}
		data, _ := os.ReadFile(u.path(crt))
		if len(data) > 0 && data[len(data)-1] != '\n' {
			data = append(data, '\n')
		}
		out.Write(data)
	}
	conf, _ := os.ReadFile(u.path("/etc/ca-certificates.conf"))
	var on []string
	for line := range strings.Lines(string(conf)) {
		line, whole := strings.CutSuffix(line, "\n")
		if !whole || line == "" || line[0] == '#' {
			continue
		}
		name, off := strings.CutPrefix(line, "!")
		name = strings.Trim(name, " \t")
		if !off {
			on = append(on, name)
			continue
		}
		link := strings.TrimSuffix(filepath.Base(name), ".crt") + ".pem" // blanks are not replaced here
		if os.Remove(filepath.Join(certs, link)) == nil {
			changed = append(changed, "-/etc/ssl/certs/"+link)
		}
	}
	for _, name := range on {
		if info, err := os.Stat(u.path("/usr/share/ca-certificates/" + name)); err == nil && info.Mode().IsRegular() {
			add("/usr/share/ca-certificates/" + name)
		}
	}
	if u.During != nil {
		u.During()
	}
	var local []string
	filepath.WalkDir(u.path("/usr/local/share/ca-certificates"), func(p string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(p, ".crt") && !d.IsDir() {
			if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() {
				local = append(local, strings.TrimPrefix(p, u.Root))
			}
		}
		return nil
	})
	sort.Strings(local)
	for _, crt := range local {
		if strings.Contains(crt, "\n") {
			return host.Output{}, &host.ExecError{Args: []string{"update-ca-certificates"}, ExitCode: 2, Err: errors.New("exit")}
		}
		add(crt)
	}
	if len(changed) > 0 {
		u.rehash(certs)
	}
	if err := os.Rename(bundle+".new", bundle); err != nil {
		return host.Output{}, err
	}
	os.Chmod(bundle, 0o644)
	text := fmt.Sprintf("%d added; done.\n", len(changed))
	if _, err := os.Stat(u.path("/etc/ca-certificates/update.d/jks-keystore")); err == nil {
		if err := u.java(changed); err != nil {
			text += "E: /etc/ca-certificates/update.d/jks-keystore exited with code 2.\n"
		}
	}
	return host.Output{Stdout: []byte(text)}, nil
}

// rehash makes the hash links that are missing, for the files with one
// certificate, and removes those that are not to be.
func (u *Updater) rehash(certs string) {
	entries, _ := os.ReadDir(certs)
	want, next, seen := map[string]string{}, map[string]int{}, map[string]bool{}
	for _, e := range entries {
		file := filepath.Join(certs, e.Name())
		target, err := os.Readlink(file)
		isLink := err == nil
		if isLink && !filepath.IsAbs(target) {
			target = filepath.Join("/etc/ssl/certs", target)
		}
		if isLink {
			file = u.path(target)
		}
		info, err := os.Stat(file)
		var data []byte
		if err == nil && info.Mode().IsRegular() {
			data, err = os.ReadFile(file)
		}
		switch {
		case err != nil && isLink:
			os.Remove(filepath.Join(certs, e.Name()))
			continue
		case err != nil, hashLink.MatchString(e.Name()), e.Name() == "ca-certificates.crt", strings.HasSuffix(e.Name(), ".new"):
			continue
		}
		f := certfile.ReadPEM(data)
		if len(f.Items) != 1 || seen[f.Items[0].Cert.SHA256.String()] {
			continue
		}
		seen[f.Items[0].Cert.SHA256.String()] = true
		hash := SubjectHash(f.Items[0].Cert)
		want[fmt.Sprintf("%s.%d", hash, next[hash])] = e.Name()
		next[hash]++
	}
	for _, link := range sorted(want) {
		p := filepath.Join(certs, link)
		if target, err := os.Readlink(p); err == nil && target == want[link] {
			continue
		}
		os.Symlink(want[link], p+"~")
		os.Rename(p+"~", p)
	}
	for _, e := range entries {
		if hashLink.MatchString(e.Name()) && want[e.Name()] == "" {
			os.Remove(filepath.Join(certs, e.Name()))
		}
	}
}

// SubjectHash is what an [Updater] names hash links by.
func SubjectHash(c *store.Cert) string { return certfile.SubjectHash(c) }

// java does what the hook makes of the lines that it is told: it adds them to
// those that are pending, and has the package manager do them all. What that
// fails to do stays pending.
func (u *Updater) java(lines []string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	pending := u.path("/var/lib/ca-certificates-java/pending")
	before, _ := os.ReadFile(pending)
	all := string(before)
	for _, line := range lines {
		if line != "" {
			all += line + "\n"
		}
	}
	if err := os.WriteFile(pending, []byte(all), 0o644); err != nil {
		return err
	}
	do := u.Hook
	if do == nil {
		do = func([]string) error { return u.keystore(strings.Split(all, "\n")) }
	}
	if err := do(lines); err != nil {
		return err
	}
	os.Remove(pending)
	return nil
}

// keystore brings Java's key store up to date.
func (u *Updater) keystore(lines []string) error {
	file := u.path("/etc/ssl/certs/java/cacerts")
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	have := map[string][]byte{}
	ks, err := certfile.Keystore(data)
	if err != nil {
		return err
	}
	for _, i := range ks.Items {
		have[i.Alias] = i.Cert.Raw
	}
	for _, line := range lines {
		if line == "" {
			continue
		}
		alias := "debian:" + strings.ToLower(filepath.Base(line[1:]))
		if line[0] == '-' {
			delete(have, alias)
			continue
		}
		target, err := os.Readlink(u.path(line[1:]))
		if err != nil {
			continue
		}
		if data, err := os.ReadFile(u.path(target)); err == nil {
			if f := certfile.ReadPEM(data); len(f.Items) > 0 {
				have[alias] = f.Items[0].Cert.Raw
			}
		}
	}
	return os.WriteFile(file, JKS(have), 0o644)
}

// JKS writes a Java key store with certificates, in the order of aliases.
func JKS(certs map[string][]byte) []byte {
	var b bytes.Buffer
	put := func(v any) { binary.Write(&b, binary.BigEndian, v) }
	text := func(s string) {
		put(uint16(len(s)))
		b.WriteString(s)
	}
	put(uint32(0xfeedfeed))
	put(uint32(2))
	put(uint32(len(certs)))
	for _, alias := range sorted(certs) {
		put(uint32(2))
		text(alias)
		put(uint64(0))
		text("X.509")
		put(uint32(len(certs[alias])))
		b.Write(certs[alias])
	}
	salted := slices.Concat([]byte("\x00c\x00h\x00a\x00n\x00g\x00e\x00i\x00t"), []byte("Mighty Aphrodite"), b.Bytes())
	sum := sha1.Sum(salted)
	b.Write(sum[:])
	return b.Bytes()
}

// Debian makes a fake root of a Debian system in the directory root, with
// vendor certificates (PEM, by name), and with the Java hook and an empty key
// store if java is set. It returns a host over it, on which the update tool is
// an [Updater], and has run.
func Debian(root string, vendor map[string][]byte, java bool) (*host.Host, *Updater, error) {
	var conf, list strings.Builder
	conf.WriteString("# a comment\n")
	files := map[string]string{
		"/etc/os-release":                  "ID=debian\nVERSION_ID=\"12\"\n",
		"/usr/bin/dpkg":                    "#!/bin/sh\n",
		"/usr/sbin/update-ca-certificates": "#!/bin/sh\nLOCALCERTSDIR=/usr/local/share/ca-certificates\n",
		"/var/lib/dpkg/status":             "Package: ca-certificates\nStatus: install ok installed\nVersion: 20230311\n\nPackage: zsh\nVersion: 5\n\n",
	}
	for _, name := range sorted(vendor) {
		fmt.Fprintf(&conf, "mozilla/%s.crt\n", name)
		fmt.Fprintf(&list, "/usr/share/ca-certificates/mozilla/%s.crt\n", name)
		files["/usr/share/ca-certificates/mozilla/"+name+".crt"] = string(vendor[name])
	}
	files["/etc/ca-certificates.conf"] = conf.String()
	files["/var/lib/dpkg/info/ca-certificates.list"] = "/.\n/usr/share/ca-certificates\n" + list.String()
	if java {
		files["/etc/ca-certificates/update.d/jks-keystore"] = "#!/bin/sh\n"
		files["/etc/ssl/certs/java/cacerts"] = string(JKS(nil))
	}
	for _, dir := range []string{"/usr/local/share/ca-certificates", "/etc/ssl/certs", "/etc/ca-certificates/update.d", "/var/lib/ca-certificates-java", "/tmp"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return nil, nil, err
		}
	}
	for _, name := range sorted(files) {
		p, mode := filepath.Join(root, name), os.FileMode(0o644)
		if strings.HasPrefix(files[name], "#!") {
			mode = 0o755
		}
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return nil, nil, err
		}
		if err := os.WriteFile(p, []byte(files[name]), mode); err != nil {
			return nil, nil, err
		}
		if err := os.Chmod(p, mode); err != nil { // whatever the umask
			return nil, nil, err
		}
	}
	h, u := Open(root)
	if _, err := u.update(); err != nil {
		return nil, nil, err
	}
	return h, u, nil
}

// Open returns a host over a root that [Debian] has made.
func Open(root string) (*host.Host, *Updater) {
	h, u := host.Fake(root), &Updater{Root: root}
	h.OS, h.Runner = "linux", u.Run
	return h, u
}

// Tree describes every file under a root, line by line, but for what certtrust
// keeps for itself.
func Tree(root string) (string, error) {
	var b strings.Builder
	err := filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(p, root)
		if rel == "/var/lib/certtrust" {
			return filepath.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %s", rel, info.Mode())
		switch {
		case info.Mode()&os.ModeSymlink != 0:
			target, _ := os.Readlink(p)
			fmt.Fprintf(&b, " -> %s", target)
		case info.Mode().IsRegular():
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %x", sha1.Sum(data))
		}
		b.WriteByte('\n')
		return nil
	})
	return b.String(), err
}

var hashLink = regexp.MustCompile(`^[0-9a-f]{8}\.[0-9]+$`)

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
