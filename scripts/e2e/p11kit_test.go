//go:build linux

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/certtrust/certtrust/store/certfile"
	"github.com/certtrust/certtrust/store/storetest"
)

// p11Layout is a family whose roots p11-kit manages: its directories, and what
// its update script extracts, in its order.
type p11Layout struct {
	name, release, tool string
	admin, vendor       string // p11-kit's directories
	bundle              string
	extract             []string // format, filter, purpose and destination
	header              string   // what the script writes before the bundle, whose certificates are then not named
	links               string   // what it does in the end
	linked              string   // where that makes links to what is found by hash
}

var p11Layouts = []p11Layout{
	{
		name: "fedora", release: "ID=fedora", tool: "/usr/bin/update-ca-trust",
		admin: "/etc/pki/ca-trust/source", vendor: "/usr/share/pki/ca-trust-source",
		bundle: "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
		extract: []string{
			"openssl-bundle certificates - /etc/pki/ca-trust/extracted/openssl/ca-bundle.trust.crt",
			"pem-bundle ca-anchors server-auth /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
			"pem-bundle ca-anchors email /etc/pki/ca-trust/extracted/pem/email-ca-bundle.pem",
			"pem-bundle ca-anchors code-signing /etc/pki/ca-trust/extracted/pem/objsign-ca-bundle.pem",
			"java-cacerts ca-anchors server-auth /etc/pki/ca-trust/extracted/java/cacerts",
			"edk2-cacerts ca-anchors server-auth /etc/pki/ca-trust/extracted/edk2/cacerts.bin",
			"pem-directory-hash ca-anchors server-auth /etc/pki/ca-trust/extracted/pem/directory-hash",
		},
		links: "ln -s ../tls-ca-bundle.pem /etc/pki/ca-trust/extracted/pem/directory-hash/ca-certificates.crt\nmkdir -p /etc/pki/tls/certs\n" +
			"find /etc/pki/tls/certs -type l -regextype posix-extended -regex '.*/[0-9a-f]{8}\\.[0-9]+' -exec rm -f {} ';'\n" +
			"find /etc/pki/ca-trust/extracted/pem/directory-hash -type l -regextype posix-extended -regex '.*/[0-9a-f]{8}\\.[0-9]+' -exec ln -s {} /etc/pki/tls/certs ';'",
		linked: "/etc/pki/tls/certs",
	},
	{
		name: "suse", release: "ID=opensuse-leap\nID_LIKE=\"suse opensuse\"", tool: "/usr/sbin/update-ca-certificates",
		admin: "/etc/pki/trust", vendor: "/usr/share/pki/trust",
		bundle: "/var/lib/ca-certificates/ca-bundle.pem",
		extract: []string{
			"java-cacerts ca-anchors server-auth /var/lib/ca-certificates/java-cacerts",
			"openssl-directory ca-anchors - /var/lib/ca-certificates/openssl",
			"pem-directory-hash ca-anchors server-auth /var/lib/ca-certificates/pem",
			"pem-bundle ca-anchors server-auth /var/lib/ca-certificates/ca-bundle.pem",
		},
		header: "#\n# automatically created. Do not edit!\n#\n",
	},
	{
		name: "arch", release: "ID=arch", tool: "/usr/bin/update-ca-trust",
		admin: "/etc/ca-certificates/trust-source", vendor: "/usr/share/ca-certificates/trust-source",
		bundle: "/etc/ca-certificates/extracted/tls-ca-bundle.pem",
		extract: []string{
			"openssl-bundle certificates - /etc/ca-certificates/extracted/ca-bundle.trust.crt",
			"pem-bundle ca-anchors server-auth /etc/ca-certificates/extracted/tls-ca-bundle.pem",
			"pem-bundle ca-anchors email /etc/ca-certificates/extracted/email-ca-bundle.pem",
			"pem-bundle ca-anchors code-signing /etc/ca-certificates/extracted/objsign-ca-bundle.pem",
			"java-cacerts ca-anchors server-auth /etc/ca-certificates/extracted/java-cacerts.jks",
			"edk2-cacerts ca-anchors server-auth /etc/ca-certificates/extracted/edk2-cacerts.bin",
			"pem-directory-hash ca-anchors server-auth /etc/ca-certificates/extracted/cadir",
		},
		links: "mkdir -p /etc/ssl/certs/java; for f in /etc/ca-certificates/extracted/cadir/*; do ln -fs $f /etc/ssl/certs; done\n" +
			"find -L /etc/ssl/certs -maxdepth 1 -type l -delete\nln -fs /etc/ca-certificates/extracted/java-cacerts.jks /etc/ssl/certs/java/cacerts",
		linked: "/etc/ssl/certs",
	},
}

// script is the family's update tool.
func (l p11Layout) script() string {
	mark := map[string]string{"fedora": "# /etc/pki/ca-trust/README", "suse": "# /usr/lib/ca-certificates/update.d", "arch": "# /etc/ca-certificates/extracted"}[l.name]
	lines := []string{"#!/bin/sh", "set -e", mark}
	for _, x := range l.extract {
		f := strings.Fields(x)
		purpose := ""
		if f[2] != "-" {
			purpose = " --purpose=" + f[2]
		}
		comment, to := "", f[3]
		switch {
		case to == l.bundle && l.header != "":
			to += ".tmp"
		case strings.HasSuffix(f[0], "-bundle"):
			comment = " --comment"
		}
		lines = append(lines, fmt.Sprintf("trust extract --format=%s --filter=%s --overwrite%s%s %s", f[0], f[1], comment, purpose, to))
		if to != f[3] {
			lines = append(lines, fmt.Sprintf("(printf '%s'; cat %s) >%s.new; rm -f %s; mv -f %s.new %s", l.header, to, f[3], to, f[3], f[3]))
		}
	}
	return strings.Join(append(lines, l.links), "\n") + "\n"
}

// enter makes the machine one of the family, with some of Debian's roots as the
// vendor's.
func (l p11Layout) enter(t *testing.T) (vendor []*vendorRoot) {
	t.Helper()
	module, _ := filepath.Glob("/usr/lib/*/pkcs11/p11-kit-trust.so")
	if len(module) == 0 {
		missing(t, "p11-kit's module is not installed")
	}
	need(t, "trust", "openssl")
	must(t, command("rm", "-f", "/usr/sbin/update-ca-certificates", "/usr/bin/dpkg"))
	must(t, command("find", certsDir, "-mindepth", "1", "-delete")) // what is Debian's
	place(t, "/etc/os-release", []byte(l.release+"\n"))
	for _, dir := range []string{l.admin + "/anchors", l.admin + "/blocklist", l.vendor + "/anchors", l.vendor + "/blocklist"} {
		must(t, command("mkdir", "-p", dir))
	}
	for _, x := range l.extract {
		must(t, command("mkdir", "-p", filepath.Dir(strings.Fields(x)[3])))
	}
	place(t, "/etc/pkcs11/modules/p11-kit-trust.module",
		[]byte(fmt.Sprintf("module: %s\ntrust-policy: yes\nx-init-reserved: paths='%s:%s'\n", module[0], l.admin, l.vendor)))
	must(t, command("chmod", "755", place(t, l.tool, []byte(l.script()))))
	files, err := filepath.Glob("/usr/share/ca-certificates/mozilla/*.crt")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d roots of Debian's, error %v", len(files), err)
	}
	var b bytes.Buffer
	for _, file := range files[:12] {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c := certfile.ReadPEM(data).Items[0].Cert
		vendor = append(vendor, &vendorRoot{c.SHA256.String(), c.Label()})
		fmt.Fprintf(&b, "[p11-kit-object-v1]\nlabel: \"x\"\ntrusted: true\nnss-mozilla-ca-policy: true\nmodifiable: false\n%s\n", certfile.EncodePEM(c))
	}
	place(t, l.vendor+"/ca-bundle.trust.p11-kit", b.Bytes())
	must(t, command(l.tool))
	return vendor
}

// place writes a file where it belongs.
func place(t *testing.T, file string, data []byte) string {
	t.Helper()
	must(t, command("mkdir", "-p", filepath.Dir(file)))
	_ = os.Remove(file)
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

type vendorRoot struct{ sha256, label string }

func (l p11Layout) trees() state {
	trees := []string{l.admin, l.vendor}
	if l.linked != "" {
		trees = append(trees, l.linked)
	}
	for _, x := range l.extract {
		trees = append(trees, strings.Fields(x)[3])
	}
	return snapshot(trees...)
}

// bundled returns the fingerprints in the family's bundle, sorted.
func (l p11Layout) bundled(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(l.bundle)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, i := range certfile.ReadPEM(data).Items {
		out = append(out, i.Cert.SHA256.String())
	}
	slices.Sort(out)
	return out
}

// blocks returns what the bundle holds, each certificate with its comment, sorted.
func (l p11Layout) blocks(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(l.bundle)
	if err != nil {
		t.Fatal(err)
	}
	out := strings.SplitAfter(string(data), "-----END CERTIFICATE-----\n")
	for i, b := range out {
		out[i] = strings.TrimPrefix(b, "\n")
	}
	slices.Sort(out)
	return out
}

// listed returns the fingerprints of what certtrust says is trusted.
func listed(t *testing.T) []string {
	t.Helper()
	var doc struct {
		Entries []struct {
			SHA256 string `json:"sha256"`
			Trust  []struct {
				Decision string `json:"decision"`
			} `json:"trust"`
		} `json:"entries"`
	}
	r := expect(t, 0, certtrust("list", "--system", "--trusted", "--json"))
	if err := json.Unmarshal([]byte(r.stdout), &doc); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range doc.Entries {
		out = append(out, e.SHA256)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Through the real p11-kit, this machine's and Debian 13's, in the layouts of
// the families that it manages the roots of: what is trusted, distrusted and
// removed is so in every output, what certtrust lists is what p11-kit extracts,
// and undo leaves nothing.
func TestP11KitFamilies(t *testing.T) {
	for i := range 2 * len(p11Layouts) {
		l, fresh := p11Layouts[i%len(p11Layouts)], i >= len(p11Layouts)
		name, prepare := l.name, []func(t *testing.T){}
		if fresh {
			name, prepare = name+"-trixie", append(prepare, addFresh(freshTrixie))
		}
		t.Run(name, func(t *testing.T) {
			Overlay(t, func(t *testing.T) {
				if fresh {
					enterFresh(t, freshTrixie)
				}
				vendor := l.enter(t)
				if r := expect(t, 0, certtrust("stores", "--system", "-v")); !strings.Contains(r.stdout+r.stderr, "of the family "+l.name) {
					t.Fatalf("it is not taken for %s: %s", l.name, r)
				}
				agree := func(what string) {
					t.Helper()
					if a, b := listed(t), l.bundled(t); !slices.Equal(a, b) {
						t.Errorf("%s: certtrust lists %d as trusted, p11-kit extracts %d", what, len(a), len(b))
					}
				}
				agree("at first")
				before := l.trees()
				holds := func(sha string) bool { return slices.Contains(l.bundled(t), sha) }
				undone := func(what string) {
					t.Helper()
					expect(t, 0, certtrust("undo"))
					if d := diff(before, l.trees()); d != "" {
						t.Errorf("%s is not undone:\n%s", what, d)
					}
				}

				ca := storetest.NewCA(t, storetest.CN("An authority"))
				sha := ca.Cert().SHA256.String()
				file := place(t, "/root/ca.pem", ca.PEM())
				expect(t, 0, certtrust("trust", "--system", file))
				if !holds(sha) {
					t.Error("the authority is not in the bundle")
				}
				must(t, command("openssl", "verify", "-no-CApath", "-no-CAstore", "-CAfile", l.bundle, file))
				agree("with an authority more")
				expect(t, 0, certtrust("trust", "--system", file)) // and once more
				undone("trust")

				// The vendor's is distrusted, and a plain anchor of it does not help.
				v := vendor[7]
				expect(t, 0, certtrust("distrust", "--system", v.sha256))
				if holds(v.sha256) {
					t.Errorf("the distrusted %s is in the bundle", v.label)
				}
				agree("with a distrust")
				undone("distrust")

				// A server's own certificate, on request.
				leaf := storetest.NewCA(t, storetest.CN("server.test"), storetest.NotCA(), storetest.Hosts("server.test"))
				own := place(t, "/root/leaf.pem", leaf.PEM())
				expect(t, 2, certtrust("trust", "--system", own))
				r := expect(t, 0, certtrust("trust", "--system", "--allow", "leaf", own))
				if !strings.Contains(r.stdout+r.stderr, "is better") {
					t.Errorf("nothing better is advised: %s", r)
				}
				if !holds(leaf.Cert().SHA256.String()) {
					t.Error("the server's certificate is not in the bundle")
				}
				must(t, command("openssl", "verify", "-no-CApath", "-no-CAstore", "-CAfile", l.bundle, own))
				agree("with a leaf")
				undone("the leaf")

				// An authority replaces another; what others have put there goes too.
				other := storetest.NewCA(t, storetest.CN("By hand"))
				place(t, l.admin+"/anchors/by hand.crt", other.PEM())
				must(t, command(l.tool))
				agree("with one by hand")
				hand := l.trees()
				expect(t, 0, certtrust("trust", "--system", file, "--replaces", other.Cert().SHA256.String()))
				if holds(other.Cert().SHA256.String()) || !holds(sha) {
					t.Error("the one does not stand in the place of the other")
				}
				expect(t, 0, certtrust("undo"))
				if d := diff(hand, l.trees()); d != "" {
					t.Errorf("the replacement is not undone:\n%s", d)
				}
				expect(t, 0, certtrust("remove", "--system", other.Cert().SHA256.String()))
				if d := diff(before, l.trees()); d != "" {
					t.Errorf("what was there by hand is not removed:\n%s", d)
				}

				// Without its tool, as in an image, the bundle is the same, but for the
				// order, in which this p11-kit reads its directories as they come.
				expect(t, 0, certtrust("trust", "--system", "--root", "/", file))
				native := l.blocks(t)
				must(t, command(l.tool))
				if tools := l.blocks(t); !slices.Equal(native, tools) {
					t.Errorf("made without the tool there are %d blocks, with it %d, or others", len(native), len(tools))
				}
				expect(t, 0, certtrust("remove", "--system", sha))
				if d := diff(before, l.trees()); d != "" {
					t.Errorf("what was done without the tool is not removed:\n%s", d)
				}

				// Killed at any moment, with all that was started, it leaves a whole
				// bundle, and what comes next puts everything right.
				begin := time.Now()
				expect(t, 0, certtrust("trust", "--system", file))
				full := time.Since(begin)
				expect(t, 0, certtrust("remove", "--system", sha))
				for i := range times(6, 60) {
					args := []string{"trust", "--system", file}
					if i%2 == 1 {
						args = []string{"remove", "--system", sha}
					}
					cmd := certtrust(args...)
					cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
					if err := cmd.Start(); err != nil {
						t.Fatal(err)
					}
					delay := rand.N(full)
					time.Sleep(delay)
					syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
					cmd.Wait()
					for _, v := range vendor {
						if !holds(v.sha256) {
							t.Fatalf("killed after %v, %s has left %s out of the bundle", delay, args[0], v.label)
						}
					}
					if r := output(t, certtrust(args...)); r.code != 0 && !(r.code == 3 && i%2 == 1) || holds(sha) != (i%2 == 0) { // it may be gone already
						t.Fatalf("after %s was killed after %v: %v", args[0], delay, r)
					}
				}
				expect(t, 0, certtrust("repair", "--system"))
				if d := diff(before, l.trees()); d != "" {
					t.Errorf("after it was killed:\n%s", d)
				}

				// A tool that does all but the bundle, and says that all is well.
				must(t, command("cp", l.bundle, "/root/before.pem"))
				must(t, command("chmod", "755", place(t, l.tool, []byte(l.script()+"cp /root/before.pem "+l.bundle+"\n"))))
				expect(t, 1, certtrust("trust", "--system", file))
				if d := diff(before, l.trees()); d != "" {
					t.Errorf("after a tool that did half:\n%s", d)
				}

				// A tool that does nothing, and says that all is well.
				must(t, command("chmod", "755", place(t, l.tool, []byte(strings.Replace(l.script(), "set -e", "exit 0", 1)))))
				expect(t, 1, certtrust("trust", "--system", file))
				if d := diff(before, l.trees()); d != "" {
					t.Errorf("after a tool that did nothing:\n%s", d)
				}
			}, prepare...)
		})
	}
}
