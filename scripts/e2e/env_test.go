//go:build linux

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	nethttp "net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// envClients are the programs that `certtrust env` is proved with, by their names
// in `verify --with`. Debian has all of them.
var envClients = []string{"curl", "openssl", "wget", "git", "python", "requests", "pip", "node", "npm", "java", "go", "ruby", "php", "perl", "w3m"}

// newRuntimes are those of scripts/runtimes, of which Node.js is newer than
// Debian's. Where the kit's are first in PATH, they are the ones that are asked.
var newRuntimes = []string{"node", "deno", "bun"}

const runtimesDir = kitDir + "/runtimes"

// addRuntimes puts the programs that scripts/runtimes has fetched into the kit.
func addRuntimes(t *testing.T) {
	t.Helper()
	kit, err := buildKit()
	if err != nil {
		t.Fatal(err)
	}
	making.Lock()
	defer making.Unlock()
	dir := filepath.Join(kit, filepath.Base(runtimesDir))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range newRuntimes {
		from, err := filepath.EvalSymlinks(filepath.Join(cacheDir(), "certtrust-runtimes", "bin", name))
		if err != nil {
			missing(t, "%s is not there, which scripts/runtimes fetches: %v", name, err)
		}
		to := filepath.Join(dir, name)
		if err := os.Link(from, to); err == nil || errors.Is(err, fs.ErrExist) {
			continue
		}
		if err := copyFile(from, to); err != nil { // another file system
			t.Fatal(err)
		}
	}
}

// withoutEnv are programs that no variable helps, and that are told as such.
var withoutEnv = []string{"gnutls"}

// verified is what the tests look at in the answer of verify.
type verified struct {
	Verdict string
	Clients []struct {
		Client, Title, Program, Version, Finding string
		Absent                                   bool
		Clean, Own, Control, OwnControl          struct{ Verdict, Words string }
		Because                                  []string
	}
}

// withKey writes a CA with its key, as people have it who made one themselves.
func withKey(t *testing.T, a *authority) (cert, key string) {
	t.Helper()
	return write(t, "ca.pem", a.PEM()), write(t, "ca.key", a.KeyPEM())
}

func verifyWith(t *testing.T, environ []string, args ...string) verified {
	t.Helper()
	cmd := certtrust(append([]string{"verify", "--json", "--timeout", "2m"}, args...)...) // of each program
	cmd.Env = append(cmd.Env, environ...)
	r := output(t, cmd)
	var v verified
	if err := json.Unmarshal([]byte(r.stdout), &v); err != nil {
		t.Fatalf("%v\n%v", err, r)
	}
	return v
}

// Real programs are asked about a server whose root is chosen, and about one
// whose root is in the system's store: both must be accepted in the environment
// that env prints, and neither control.
func TestEnv(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		need(t, "curl", "openssl", "wget", "git", "python3", "pip3", "node", "npm", "java", "ruby", "php", "perl", "w3m", "gnutls-cli", "fish", "dash")
		chosen, systems := newAuthority(t, "Chosen"), newAuthority(t, "Of the system")
		file, key := withKey(t, chosen)
		systemFile, systemKey := withKey(t, systems)
		expect(t, 0, certtrust("trust", "--system", systemFile))

		helped := slices.Clone(envClients)
		if _, err := exec.LookPath("gcloud"); err == nil { // Debian has it not
			helped = append(helped, "gcloud")
		}
		names := strings.Join(slices.Concat(helped, withoutEnv), ",")
		r := expect(t, 0, certtrust("env", file, "--json"))
		var doc struct {
			Variables []struct{ Name, Value, Effect string }
			Unmended  []struct{ Title string }
			Dir       string
		}
		if err := json.Unmarshal([]byte(r.stdout), &doc); err != nil {
			t.Fatal(err)
		}
		var environ []string
		for _, v := range doc.Variables {
			environ = append(environ, v.Name+"="+v.Value)
		}
		for _, x := range []struct {
			what, file, key string
			chosen          bool
		}{{"the chosen root", file, key, true}, {"the system's root", systemFile, systemKey, false}} {
			v := verifyWith(t, environ, x.file, "--key", x.key, "--with", names)
			if len(v.Clients) != len(helped)+len(withoutEnv) {
				t.Errorf("%d programs answered", len(v.Clients))
			}
			for _, c := range v.Clients {
				what := x.what + ", " + c.Title + " (" + c.Version + ")"
				mended := slices.Contains(helped, c.Client)
				switch {
				case c.Absent:
					missing(t, "%s: %s", what, c.Clean.Words)
				case c.Control.Verdict != "refuses" || c.OwnControl.Verdict != "refuses":
					t.Errorf("%s does not verify: %+v", what, c)
				case x.chosen && c.Clean.Verdict != "refuses":
					t.Errorf("%s: without the variables: %+v", what, c.Clean)
				case mended && c.Own.Verdict != "accepts":
					t.Errorf("%s: with the variables: %+v", what, c.Own)
				case x.chosen && mended && len(c.Because) == 0:
					t.Errorf("%s: which variables make the difference is not told", what)
				case x.chosen && !mended && c.Own.Verdict != "refuses":
					t.Errorf("%s is helped, though it is said that nothing helps: %+v", what, c.Own)
				}
			}
		}
		if !strings.Contains(r.stdout, "GnuTLS") {
			t.Error("that GnuTLS is not helped is not told")
		}

		// The files follow the system's store.
		merged := filepath.Join(doc.Dir, "merged.pem")
		holds := func(a *authority) bool {
			data, err := os.ReadFile(merged)
			return err == nil && strings.Contains(string(data), "# sha256: "+a.fingerprint)
		}
		if !holds(chosen) || !holds(systems) {
			t.Error("the merged file lacks a root")
		}
		expect(t, 0, certtrust("remove", systems.fingerprint, "--system"))
		if holds(systems) || !holds(chosen) {
			t.Error("the merged file did not follow the system's store")
		}
		expect(t, 0, certtrust("env", "--check"))
		if err := os.WriteFile(merged, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		expect(t, 3, certtrust("env", "--check"))

		// What shells make of their dialect is what the variables should be.
		expect(t, 0, certtrust("env", file))
		for _, shell := range []struct{ dialect, program, read string }{
			{"sh", "dash", `eval "$(certtrust env $0 --format sh)"; env`},
			{"sh", "bash", `eval "$(certtrust env $0 --format sh)"; env`},
			{"fish", "fish", `certtrust env $argv[1] --format fish | source; env`},
		} {
			need(t, shell.program)
			out := must(t, command(shell.program, "-c", shell.read, file)).stdout
			for _, pair := range environ {
				if !slices.Contains(strings.Split(out, "\n"), pair) {
					t.Errorf("%s has not %s", shell.program, pair)
				}
			}
		}
	})
}

// What Node.js 24, Deno and Bun are told to have, by stores and by env, they
// have: before anything is set, with the variables, once a root is in the
// system's store, and once it is trusted no more.
func TestEnvOfRuntimes(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		path := "PATH=" + runtimesDir + ":/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
		chosen, systems, other := newAuthority(t, "Chosen"), newAuthority(t, "Of the system"), newAuthority(t, "Another")
		file, key := withKey(t, chosen)
		systemFile, systemKey := withKey(t, systems)

		// verdicts asks them, where no variable is set and with those that env gives
		// for a root; each in the words of verify.
		verdicts := func(root, file, key string) (clean, own []string) {
			cmd := certtrust("env", root, "--json")
			cmd.Env = append(cmd.Env, path)
			var doc struct {
				Variables []struct{ Name, Value string }
			}
			if err := json.Unmarshal([]byte(must(t, cmd).stdout), &doc); err != nil {
				t.Fatal(err)
			}
			environ := []string{path}
			for _, v := range doc.Variables {
				environ = append(environ, v.Name+"="+v.Value)
				if v.Name == "NODE_EXTRA_CA_CERTS" && filepath.Base(v.Value) != "extra.pem" {
					t.Errorf("Node.js 24 reads the system's roots itself, and gets %s", v.Value)
				}
			}
			for _, c := range verifyWith(t, environ, file, "--key", key, "--with", strings.Join(newRuntimes, ",")).Clients {
				if c.Absent || filepath.Dir(c.Program) != runtimesDir || c.Control.Verdict != "refuses" || c.OwnControl.Verdict != "refuses" {
					t.Fatalf("%+v", c)
				}
				if c.Finding == "environment" && len(c.Because) == 0 {
					t.Errorf("%s: which variables make the difference is not told", c.Title)
				}
				clean, own = append(clean, c.Client+" "+c.Clean.Verdict), append(own, c.Client+" "+c.Own.Verdict)
			}
			return clean, own
		}
		all := func(verdict string) []string {
			return []string{"node " + verdict, "deno " + verdict, "bun " + verdict}
		}
		for _, x := range []struct {
			when            string
			do              []string
			root, file, key string
			clean, own      []string
		}{
			{"nothing is trusted", nil, other.file, file, key, all("refuses"), all("refuses")},
			{"chosen by env", nil, file, file, key, all("refuses"), all("accepts")},
			{"another is chosen", nil, other.file, file, key, all("refuses"), all("refuses")},
			// Bun follows the system by itself.
			{"in the system's store", []string{"trust", "--system", systemFile}, other.file, systemFile, systemKey, []string{"node refuses", "deno refuses", "bun accepts"}, all("accepts")},
			{"chosen, beside the system's", nil, file, file, key, all("refuses"), all("accepts")},
			{"in the store no more", []string{"remove", "--system", systemFile}, other.file, systemFile, systemKey, all("refuses"), all("refuses")},
		} {
			if x.do != nil {
				expect(t, 0, certtrust(x.do...))
			}
			clean, own := verdicts(x.root, x.file, x.key)
			if !slices.Equal(clean, x.clean) || !slices.Equal(own, x.own) {
				t.Errorf("%s: %v, with the variables %v", x.when, clean, own)
			}
		}

		// What is said of Node.js and a dotenv file, and of what helps.
		cmd := certtrust("env", file, "--format", "dotenv")
		cmd.Env = append(cmd.Env, path)
		dotenv := must(t, cmd).stdout
		for more, accept := range map[string]bool{"": false, "NODE_OPTIONS=--use-system-ca\n": true} {
			r := output(t, command(runtimesDir+"/node", "--env-file="+write(t, "env", []byte(dotenv+more)), "-e", "fetch(process.argv[1]).catch(e => { console.log(e.cause); process.exit(1) })", "https://localhost:"+serve(t, chosen)+"/"))
			if (r.code == 0) != accept {
				t.Errorf("Node.js with the file and %q: %v", more, r)
			}
		}
	}, addRuntimes)
}

// Where the files lie in a place whose name means something to shells and to
// the programs, the variables do what they do elsewhere, and an image has the
// files themselves.
func TestEnvInAnOddPlace(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		need(t, "curl", "openssl", "wget", "git", "python3", "pip3", "node", "npm", "java", "ruby", "perl", "dash", "podman")
		a := newAuthority(t, "Chosen")
		file, key := withKey(t, a)
		state := `/srv/Ann's "own" 100% $HOME ~ #1 &; größe`
		env := func(args ...string) *exec.Cmd {
			cmd := certtrust(append([]string{"env", file}, args...)...)
			cmd.Env = append(cmd.Env, "XDG_STATE_HOME="+state, "JAVA_TOOL_OPTIONS=-Dmine='a b'")
			return cmd
		}
		script := write(t, "env.sh", []byte(must(t, env("--format", "sh")).stdout))
		var environ []string
		for pair := range strings.SplitSeq(must(t, command("dash", "-c", `. "$0" && env -0`, script)).stdout, "\x00") {
			if !strings.HasPrefix(pair, "PATH=") && strings.Contains(pair, "=") {
				environ = append(environ, pair)
			}
		}
		for _, c := range verifyWith(t, environ, file, "--key", key, "--with", "curl,openssl,wget,git,python,requests,pip,node,npm,java,go,ruby,perl").Clients {
			if c.Clean.Verdict != "refuses" || c.Own.Verdict != "accepts" || c.Control.Verdict != "refuses" || c.OwnControl.Verdict != "refuses" {
				t.Errorf("%s (%s): %+v", c.Title, c.Version, c)
			}
		}
		expect(t, 6, env("--format", "dotenv"))

		// The image gets what is named, and no option of the caller's.
		dir := filepath.Join(state, "certtrust", "env")
		text := "FROM scratch\n" + must(t, env("--format", "dockerfile")).stdout
		if strings.Contains(text, "mine") {
			t.Errorf("options of the caller are in\n%s", text)
		}
		dockerfile := write(t, "Dockerfile", []byte(text))
		podman := func(args ...string) string {
			return strings.TrimSpace(must(t, command("podman", append([]string{"--root", "/tmp/images", "--runroot", "/tmp/run", "--storage-driver", "vfs", "--events-backend", "file", "--cgroup-manager", "cgroupfs"}, args...)...)).stdout)
		}
		id := podman("build", "-q", "--layers=false", "--isolation", "chroot", "-f", dockerfile, dir)
		image := podman("image", "mount", id)
		var variables []string
		if err := json.Unmarshal([]byte(podman("image", "inspect", "--format", "{{json .Config.Env}}", id)), &variables); err != nil {
			t.Fatal(err)
		}
		named := map[string]bool{}
		for _, pair := range variables {
			name, value, _ := strings.Cut(pair, "=")
			if _, path, ok := strings.Cut(value, "/etc/certtrust/"); ok {
				named[path] = true
				have, err := os.ReadFile(filepath.Join(image, "etc/certtrust", path))
				want, _ := os.ReadFile(filepath.Join(dir, path))
				if err != nil || len(want) == 0 || !bytes.Equal(have, want) {
					t.Errorf("%s: the image has not %s: %v", name, path, err)
				}
			}
		}
		if len(named) != 3 {
			t.Errorf("the image is told of %v", named)
		}
	})
}

// A program that verifies nothing is found, and so is one that does something
// else in the caller's environment.
func TestVerifyWith(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		need(t, "curl", "openssl", "git", "python3", "chromium", "firefox-esr")
		a := newAuthority(t, "Verified")
		file, key := withKey(t, a)

		v := verifyWith(t, []string{"GIT_SSL_NO_VERIFY=1", "SSL_CERT_FILE=" + file}, file, "--key", key, "--with", "curl,openssl,git,go")
		want := map[string]string{"curl": "environment", "openssl": "environment", "git": "does-not-verify", "go": "environment"}
		for _, c := range v.Clients {
			if c.Finding != want[c.Client] || len(c.Because) == 0 {
				t.Errorf("%s: %+v", c.Title, c)
			}
		}
		if len(v.Clients) != len(want) || v.Verdict != "untrusted" {
			t.Errorf("%+v", v)
		}
		// A file of the user's own that switches verification off.
		home := t.TempDir()
		if err := os.WriteFile(filepath.Join(home, ".curlrc"), []byte("insecure\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		v = verifyWith(t, []string{"HOME=" + home}, file, "--key", key, "--with", "curl")
		if c := v.Clients[0]; c.Finding != "does-not-verify" || c.Control.Verdict != "refuses" {
			t.Errorf("curl with a ~/.curlrc: %+v", c)
		}

		// Trusted, and asked at once; the browsers among them.
		r := expect(t, 3, certtrust("trust", file, "--system", "--verify", "--timeout", "2m", "--key", key, "--with", "curl,python,chromium,firefox"))
		for _, line := range []string{`(?m)^curl +accepts +accepts +refused`, `(?m)^Python +accepts +accepts +refused`, `(?m)^Chromium +refuses +refuses +refused`, `(?m)^Firefox, a new profile +refuses +refuses +refused`} {
			if !regexp.MustCompile(line).MatchString(r.stderr) {
				t.Errorf("%s is not in\n%s", line, r.stderr)
			}
		}
		expect(t, 0, certtrust("verify", file, "--with", "openssl,gnutls,python,java,go", "--system"))
		expect(t, 0, certtrust("undo"))
		expect(t, 3, certtrust("verify", file, "--with", "openssl,gnutls,python,java,go", "--system"))
	})
}

// Programs that do not get to a server, or to one that speaks no TLS, have no
// verdict, whatever their exit code is, and say why in their own words.
func TestVerifyWithoutAnswer(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		all := "curl,openssl,gnutls,wget,git,python,requests,pip,node,npm,java,go,ruby,php,perl,http-tiny,w3m"
		need(t, "curl", "openssl", "wget", "git", "python3", "pip3", "node", "npm", "java", "ruby", "php", "perl", "w3m", "gnutls-cli")
		listen := func() (net.Listener, string) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			return l, fmt.Sprintf("localhost:%d", l.Addr().(*net.TCPAddr).Port)
		}
		closed, refused := listen()
		closed.Close()
		plain, http := listen()
		go nethttp.Serve(plain, nil)
		silent, silence := listen() // it is connected to, and never answers
		defer plain.Close()
		defer silent.Close()
		for _, x := range []struct{ what, target, programs, timeout string }{
			{"nothing listens", refused, all, "2m"},
			{"a name that there is not", "nowhere.invalid:443", all, "2m"},
			{"no TLS", http, all, "2m"},
			{"silence", silence, "curl,openssl,python,node,java", "6s"},
		} {
			r := expect(t, 8, certtrust("verify", x.target, "--json", "--with", x.programs, "--timeout", x.timeout))
			var v verified
			if err := json.Unmarshal([]byte(r.stdout), &v); err != nil {
				t.Fatalf("%v\n%v", err, r)
			}
			if len(v.Clients) != strings.Count(x.programs, ",")+1 {
				t.Errorf("%s: %d programs answered", x.what, len(v.Clients))
			}
			for _, c := range v.Clients {
				// Debian's HTTP::Tiny verifies nothing, which the control tells all the same.
				finding := map[bool]string{true: "does-not-verify", false: "unknown"}[c.Client == "http-tiny"]
				if c.Clean.Verdict != "unknown" || c.Own.Verdict != "unknown" || c.Finding != finding || c.Clean.Words == "" || strings.Contains(c.Clean.Words, "exit code") {
					t.Errorf("%s, %s (%s): %+v", x.what, c.Title, c.Version, c)
				}
			}
		}
	})
}

// The drop-in that env prints is one that systemd understands.
func TestEnvForSystemd(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		need(t, "systemd-analyze")
		file := newAuthority(t, "Of a service").file
		unit := "/etc/systemd/system/probe.service"
		dropIn := must(t, certtrust("env", file, "--format", "systemd", "--all")).stdout
		for name, text := range map[string]string{unit: "[Service]\nType=oneshot\nExecStart=/bin/true\n", unit + ".d/trust.conf": dropIn} {
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		check := func() string {
			out, _ := exec.Command("systemd-analyze", "verify", unit).CombinedOutput()
			return string(out)
		}
		if out := check(); strings.Contains(out, "trust.conf") {
			t.Errorf("systemd says:\n%s", out)
		}
		if err := os.WriteFile(unit+".d/trust.conf", []byte("[Service]\nEnvironment=\"A=1\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if out := check(); !strings.Contains(out, "trust.conf") {
			t.Errorf("the control: systemd says nothing of a broken drop-in:\n%s", out)
		}
	})
}
