//go:build linux

package e2e

import (
	"bytes"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/store/storetest"
)

// The first promise: what is trusted is trusted by every program, once and
// for all, and what is taken back is trusted by none and leaves no trace.
func TestTrustRemoveUndo(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		settle(t)
		a := newAuthority(t, "certtrust e2e")
		port := serve(t, a)
		start := trust()
		refused(t, port)

		first := parse(t, expect(t, 0, certtrust("trust", "--yes", "--json", a.file)))
		if first.Changed == nil || !*first.Changed {
			t.Error("the first trust does not say that it changed something")
		}
		present(t, a)
		accepted(t, port)

		before := trust()
		again := parse(t, expect(t, 0, certtrust("trust", "--yes", "--json", a.file)))
		if again.Changed == nil || *again.Changed {
			t.Error("the second trust does not say that it changed nothing")
		}
		if d := touched(before, trust()); d != "" {
			t.Errorf("the second trust touched files:\n%s", d)
		}

		expect(t, 0, certtrust("remove", "--yes", a.fingerprint))
		absent(t, a)
		refused(t, port)
		same(t, start)

		expect(t, 0, certtrust("trust", "--yes", a.file))
		accepted(t, port)
		expect(t, 0, certtrust("undo", "--yes"))
		absent(t, a)
		refused(t, port)
		same(t, start)
	})
}

func TestListTellsWhoTrusted(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		settle(t)
		roots := len(readBundle(t))
		a := newAuthority(t, "certtrust e2e")
		expect(t, 0, certtrust("trust", "--yes", a.file))
		list := parse(t, expect(t, 0, certtrust("list", "--system", "--json")))
		if list.Schema != "certtrust.list/v1" {
			t.Errorf("schema %q", list.Schema)
		}
		if len(list.Stores) != 1 || list.Stores[0].ID != "anchors:system" || list.Stores[0].Complete == nil || !*list.Stores[0].Complete {
			t.Errorf("stores: %+v", list.Stores)
		}
		if len(list.Entries) < roots+1 {
			t.Errorf("%d certificates of at least %d are listed", len(list.Entries), roots+1)
		}
		originIs(t, a, "certtrust")
	})
}

// originIs fails the test unless the list of what no vendor put there holds
// the CA once, as put there by that party.
func originIs(t *testing.T, a *authority, by string) {
	t.Helper()
	var origins []string
	for _, e := range parse(t, expect(t, 0, certtrust("list", "--system", "--added", "--json"))).Entries {
		if e.SHA256 == a.fingerprint {
			origins = append(origins, e.Origin.By)
		}
	}
	if !slices.Equal(origins, []string{by}) {
		t.Errorf("%q is listed with the origins %q, not once with %q", a.name, origins, by)
	}
}

// What another program installed is listed as the administrator's and can be
// removed.
func TestOtherProgramsCertificates(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		settle(t)
		a := newAuthority(t, "Other Program Root")
		port := serve(t, a)
		install := command(kitDir+"/e2e", a.file)
		install.Env = append(install.Env, roleVar+"=install")
		must(t, install)
		accepted(t, port)
		originIs(t, a, "admin")
		expect(t, 0, certtrust("remove", "--yes", a.fingerprint))
		absent(t, a)
		refused(t, port)
	})
}

// Names are untrusted text: they must not become paths, options or lines.
func TestHostileNames(t *testing.T) {
	// mayWrite is all that certtrust and the tools that it runs have to write;
	// /tmp and /run are not the machine's in here.
	mayWrite := regexp.MustCompile(`^(/etc/ssl/certs(/ca-certificates\.crt|/certtrust-[0-9a-f]{32}\.pem|/[0-9a-f]{8}\.\d+|/java|/java/cacerts)?` +
		`|/usr/local/share/ca-certificates(/certtrust-[0-9a-f]{32}\.crt)?` +
		`|/var/lib/(dpkg|ca-certificates-java|certtrust)(/.*)?|/var/log/dpkg\.log)$`)
	Overlay(t, func(t *testing.T) {
		settle(t)
		start, before := trust(), snapshot(upperDir)
		var all []*authority
		args := []string{"trust", "--yes"}
		for _, name := range append(storetest.HostileNames(), "Acme/Ops Root", "$(touch /pwned)", "a.crt\r\n+/etc/shadow") {
			a := newAuthority(t, name)
			all, args = append(all, a), append(args, a.file)
		}
		r := expect(t, 0, certtrust(args...))
		if i := strings.IndexFunc(r.stdout+r.stderr, func(c rune) bool { return c == 0x1b || c == 0x202e || c == 0 || c == '\a' }); i >= 0 {
			t.Errorf("control characters reach the terminal: %q", r.stdout+r.stderr)
		}
		args = []string{"remove", "--yes"}
		for _, a := range all {
			present(t, a)
			args = append(args, a.fingerprint)
		}
		for path, is := range snapshot(upperDir) {
			was := before[path]
			path = strings.TrimPrefix(path, upperDir)
			if was.what != is.what && !isParent(path) && !mayWrite.MatchString(path) {
				t.Errorf("written: %s: %s", path, is.what)
			}
		}
		expect(t, 0, certtrust(args...))
		for _, a := range all {
			absent(t, a)
		}
		same(t, start)
	})
}

// isParent tells whether a path is one of the directories that the upper
// layer holds only because there is something in them.
func isParent(path string) bool {
	return slices.Contains([]string{"", "/etc", "/etc/ssl", "/usr", "/usr/local", "/usr/local/share", "/var", "/var/lib", "/var/log"}, path)
}

func TestPrivateKeyStaysOut(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		settle(t)
		a := newAuthority(t, "With Key")
		both := append(a.PEM(), a.KeyPEM()...)
		expect(t, 0, certtrust("trust", "--yes", write(t, "both.pem", both)))
		present(t, a)
		block, _ := pem.Decode(a.KeyPEM())
		line := strings.Split(string(a.KeyPEM()), "\n")[1]
		filepath.WalkDir(upperDir, func(path string, d fs.DirEntry, err error) error {
			if data, _ := os.ReadFile(path); bytes.Contains(data, block.Bytes) || strings.Contains(string(data), line) ||
				strings.Contains(string(data), "PRIVATE KEY-----") && path != upperDir+"/usr/local/bin/certtrust" {
				t.Errorf("%s holds a private key", strings.TrimPrefix(path, upperDir))
			}
			return err
		})
	})
}

// What certtrust writes is for all users, whatever the caller's umask is: the
// clients are ordinary users.
func TestUmask(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		settle(t)
		a := newAuthority(t, "Umask")
		port := serve(t, a)
		must(t, command("sh", "-c", `umask 077 && certtrust trust --yes "$1"`, "sh", a.file))
		accepted(t, port)
		anchors, _ := filepath.Glob(anchorDir + "/certtrust-*")
		if len(anchors) != 1 || !strings.HasPrefix(describe(anchors[0]).what, "-rw-r--r-- 0:0 ") {
			t.Errorf("anchors: %q", anchors)
		}
	})
}

// A run that was killed leaves a part of a bundle behind, to which the
// distribution's tool appends.
func TestStaleBundlePart(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		settle(t)
		a := newAuthority(t, "Removed")
		port := serve(t, a)
		expect(t, 0, certtrust("trust", "--yes", a.file))
		old, err := os.ReadFile(bundle)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(bundle+".new", old, 0o644); err != nil {
			t.Fatal(err)
		}
		expect(t, 0, certtrust("remove", "--yes", a.fingerprint))
		absent(t, a)
		refused(t, port)
		must(t, command("update-ca-certificates"))
		absent(t, a)
		refused(t, port)
	})
}
