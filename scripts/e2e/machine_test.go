//go:build linux

package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The places of Debian's trust store.
const (
	anchorDir = "/usr/local/share/ca-certificates"
	certsDir  = "/etc/ssl/certs"
	bundle    = certsDir + "/ca-certificates.crt"
	keystore  = certsDir + "/java/cacerts"

	pendingList = "/var/lib/ca-certificates-java/pending" // of Java's hook
)

// trustTrees is all that trust on a Debian machine depends on.
var trustTrees = []string{
	"/etc/ssl", anchorDir, "/etc/ca-certificates", "/etc/ca-certificates.conf",
	"/usr/share/ca-certificates", "/var/lib/ca-certificates-java",
}

// A state is what a set of files is: a path and what is there.
type state map[string]item

type item struct {
	what  string // mode, owner, size, and a digest or a link's target
	mtime time.Time
}

// snapshot reads trees; what does not exist is not in it.
func snapshot(trees ...string) state {
	s := state{}
	for _, tree := range trees {
		filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				if !errors.Is(err, fs.ErrNotExist) {
					s[path] = item{what: err.Error()}
				}
				return nil
			}
			s[path] = describe(path)
			return nil
		})
	}
	return s
}

func describe(path string) item {
	info, err := os.Lstat(path)
	if err != nil {
		return item{what: err.Error()}
	}
	owner := info.Sys().(*syscall.Stat_t)
	what := fmt.Sprintf("%v %d:%d", info.Mode(), owner.Uid, owner.Gid)
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, _ := os.Readlink(path)
		what += " -> " + target
	case info.Mode().IsRegular():
		data, err := os.ReadFile(path)
		if err != nil {
			what += " " + err.Error()
			break
		}
		if entries, err := readJKS(data); err == nil {
			// Java writes the entries in the order of a hash table, which
			// depends on what was in there before.
			slices.Sort(entries)
			data = []byte(strings.Join(entries, "\n"))
		}
		what += fmt.Sprintf(" %d bytes, %x", info.Size(), sha256.Sum256(data))
	}
	return item{what, info.ModTime()}
}

// trust is the state of everything that trust depends on.
func trust() state { return snapshot(trustTrees...) }

// hostState is what must not change on the host.
func hostState() state { return snapshot(append([]string{"/var/lib/dpkg/status"}, trustTrees...)...) }

// diff tells what differs between two states, "" if nothing; times do not
// count.
func diff(before, after state) string {
	return compare(before, after, func(i item) string { return i.what })
}

// touched is diff with the times of modification.
func touched(before, after state) string {
	return compare(before, after, func(i item) string { return i.what + ", " + i.mtime.Format(time.RFC3339Nano) })
}

func compare(before, after state, text func(item) string) string {
	var b strings.Builder
	paths := slices.AppendSeq(slices.Collect(maps.Keys(before)), maps.Keys(after))
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		was, had := before[path]
		is, has := after[path]
		switch {
		case !had:
			fmt.Fprintf(&b, "+ %s: %s\n", path, text(is))
		case !has:
			fmt.Fprintf(&b, "- %s: %s\n", path, text(was))
		case text(was) != text(is):
			fmt.Fprintf(&b, "! %s: %s\n  now: %s\n", path, text(was), text(is))
		}
	}
	return b.String()
}

// same fails the test if the trust store is not what it was.
func same(t *testing.T, before state) {
	t.Helper()
	if d := diff(before, trust()); d != "" {
		t.Errorf("the trust store is not what it was:\n%s", d)
	}
}

// readJKS returns the entries of a Java keystore of certificates (format:
// sun.security.provider.JavaKeyStore), each as "alias SHA-256". When an entry
// was made is left out: it is new in a keystore that had to be made again.
func readJKS(data []byte) (entries []string, err error) {
	r := bytes.NewReader(data)
	read := func(v any) {
		if err == nil {
			err = binary.Read(r, binary.BigEndian, v)
		}
	}
	text := func(n int) []byte {
		if err != nil || n > r.Len() {
			err = errors.Join(err, errors.New("cut off"))
			return nil
		}
		b := make([]byte, n)
		read(b)
		return b
	}
	short := func() []byte {
		var n uint16
		read(&n)
		return text(int(n))
	}
	var head struct{ Magic, Version, Count uint32 }
	read(&head)
	if err != nil || head.Magic != 0xfeedfeed {
		return nil, errors.Join(err, errors.New("no JKS"))
	}
	for range head.Count {
		var tag, size uint32
		read(&tag)
		alias := short()
		text(8) // the date
		short() // the certificate's type
		read(&size)
		cert := text(int(size))
		if err != nil || tag != 2 {
			return nil, errors.Join(err, fmt.Errorf("entry of kind %d", tag))
		}
		entries = append(entries, fmt.Sprintf("%s %x", alias, sha256.Sum256(cert)))
	}
	return entries, nil
}

// readBundle returns the certificates of the system bundle as hexadecimal
// SHA-256, and fails the test if anything else is in it.
func readBundle(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for len(bytes.TrimSpace(data)) > 0 {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil || block.Type != "CERTIFICATE" {
			t.Fatalf("after %d certificates, the bundle holds something else", len(all))
		}
		all = append(all, fmt.Sprintf("%x", sha256.Sum256(block.Bytes)))
	}
	if begun, _ := os.ReadFile(bundle); bytes.Count(begun, []byte("-----BEGIN ")) != len(all) {
		t.Fatal("the bundle holds broken certificates")
	}
	return all
}

// everywhere is where a trusted certificate is to be found.
var everywhere = []string{"bundle", "hash directory", "java"}

// found returns in which of the places of everywhere a CA is.
func found(t *testing.T, a *authority) []string {
	t.Helper()
	var places []string
	if slices.Contains(readBundle(t), a.fingerprint) {
		places = append(places, "bundle")
	}
	// OpenSSL reads HASH.0, HASH.1 and so on up to the first that is missing.
	hash := strings.TrimSpace(must(t, command("openssl", "x509", "-in", a.file, "-noout", "-subject_hash")).stdout)
	for n := 0; ; n++ {
		data, err := os.ReadFile(fmt.Sprintf("%s/%s.%d", certsDir, hash, n))
		if err != nil {
			break
		}
		if block, _ := pem.Decode(data); block != nil && bytes.Equal(block.Bytes, a.DER()) {
			places = append(places, "hash directory")
			break
		}
	}
	data, err := os.ReadFile(keystore)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := readJKS(data)
	if err != nil {
		t.Fatalf("%s: %v", keystore, err)
	}
	if slices.ContainsFunc(entries, func(e string) bool { return strings.HasSuffix(e, a.fingerprint) }) {
		places = append(places, "java")
	}
	return places
}

// present and absent fail the test if a CA is not in all places, or in any.
func present(t *testing.T, a *authority) {
	t.Helper()
	if places := found(t, a); !slices.Equal(places, everywhere) {
		t.Errorf("%q is only in %q", a.name, places)
	}
}

func absent(t *testing.T, a *authority) {
	t.Helper()
	if places := found(t, a); len(places) > 0 {
		t.Errorf("%q is still in %q", a.name, places)
	}
}

// settle lets the distribution's tool catch up with what is there, so that
// what changes afterwards is the change that is tested.
func settle(t *testing.T) {
	t.Helper()
	need(t, "update-ca-certificates", "java")
	must(t, command("update-ca-certificates"))
}

// nobody is the user that ordinary people's programs are run as.
const nobody = 65534

// command makes a command with the scrubbed environment, as root.
func command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = scrubbed()
	return cmd
}

// asUser makes cmd run as an ordinary user whose home is home.
func asUser(cmd *exec.Cmd, id uint32, home string) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
	cmd.Env = append(cmd.Env, "HOME="+home)
	return cmd
}

// A result is how a command ended.
type result struct {
	argv           []string
	code           int // -1 if it was killed
	stdout, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("%s: exit code %d\n%s%s", strings.Join(r.argv, " "), r.code, r.stdout, r.stderr)
}

// output runs a command to its end.
func output(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", cmd.Path, err)
	}
	return result{cmd.Args, cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// must runs a command that has to succeed.
func must(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	r := output(t, cmd)
	if r.code != 0 {
		t.Fatal(r)
	}
	return r
}

// certtrust makes a certtrust command.
func certtrust(args ...string) *exec.Cmd { return command("/usr/local/bin/certtrust", args...) }

// expect runs a command that has to end with an exit code.
func expect(t *testing.T, code int, cmd *exec.Cmd) result {
	t.Helper()
	r := output(t, cmd)
	if r.code != code {
		t.Fatalf("exit code %d was expected of %v", code, r)
	}
	return r
}

// document is what the tests look at in certtrust's JSON.
type document struct {
	Schema  string `json:"schema"`
	Changed *bool  `json:"changed"`
	Stores  []struct {
		ID       string `json:"id"`
		Complete *bool  `json:"complete"`
		Store    string `json:"store"`
		Result   string `json:"result"`
	} `json:"stores"`
	Entries []struct {
		SHA256 string `json:"sha256"`
		Label  string `json:"label"`
		Store  string `json:"store"`
		Origin struct {
			By     string `json:"by"`
			Detail string `json:"detail"`
		} `json:"origin"`
	} `json:"entries"`
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Hint    string `json:"hint"`
	} `json:"error"`
}

// parse reads the one JSON document that a command printed.
func parse(t *testing.T, r result) document {
	t.Helper()
	var d document
	if err := json.Unmarshal([]byte(r.stdout), &d); err != nil {
		t.Fatalf("not one JSON document: %v\n%v", err, r)
	}
	return d
}

// write makes a file that everybody can read, in a directory that everybody
// can enter, and returns its path.
func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e-")
	path := filepath.Join(dir, name)
	if err := errors.Join(err, os.Chmod(dir, 0o755), os.WriteFile(path, data, 0o644)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return path
}
