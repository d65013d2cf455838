package render

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/platform/clients"
	"github.com/certtrust/certtrust/store/storetest"
)

// nasty are values that one dialect or another has a meaning for. What holds
// line breaks or control characters is refused in all of them.
var nasty = []string{
	"/home/ann/.local/state/certtrust/env/merged.pem", "1", "system,mozilla", "-Djavax.net.ssl.trustStore=/x.jks",
	`"-Djavax.net.ssl.trustStore=/My Documents/x.jks" -Xmx1g`, `C:\Users\Ann Smith\AppData\Local\certtrust\env\merged.pem`, `C:\new\table\r`, `\\server\share\x.pem`,
	" ", "  both  ends  ", "trailing ", " leading", "a  b", `it's`, `''`, `'`, `"`, `""`, `say "hi"`, `both ' and "`, "`id`", "$(id)", "$HOME", "${HOME}", "$$", "$", `\$HOME`, `\`, `a\`, `a\\`, `\'`, `\"`, `\n`, `\t`, `\\n`, `a\ b`,
	"%PATH%", "%%", "%", "%h %n", "50% off", "^", "a^b", "^^", "a&b", "a|b", "a<b>c", "a;b", "(a)", "a)b", "!PATH!", "!", "a!b", "#", "a #b", "#a", "a#b", "*", "?", "[a]", "{a,b}", "~", "~/x", "a=b", "=", "=a", "a,b", "@a", ":a", "-n",
	"größe", "日本語/証明書.pem", "\u2018q\u2019", "\u201cq\u201d", "\u00a0", "é\u0301", "𝔘", "export A=b", "a:b", "`", "a`b", "$'x'", "${A:-b}", "$env:PATH", "$(", "${", "\\u0041", "'''", "\\'\\", "%1", "%~dp0", "{{x}}", "<%= x %>",
}

// printVar makes this binary write its environment and do nothing else.
const printVar = "CERTTRUST_TEST_PRINT_ENVIRONMENT"

// printEnvironment writes this program's environment as a JSON object.
func printEnvironment() error {
	environ := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		environ[name] = value
	}
	return json.NewEncoder(os.Stdout).Encode(environ)
}

// envReader is a program that reads a dialect.
type envReader struct {
	dialect, program string
	// args are what makes it read FILE and write what it has read: as a JSON
	// object, or by running SELF.
	args   []string
	ending string   // of the file's name
	begin  string   // what stands before in the file
	end    string   // and after
	env    []string // it needs
	has    []string // what tells whether it is one that can do this
	root   bool     // it needs root
	windows,
	optional bool // it is not had everywhere that all tests run
	lines string // it writes lines that begin so, and no JSON
}

const (
	nodePrints = `console.log(JSON.stringify(process.env))`
	denoPrints = `console.log(JSON.stringify(Deno.env.toObject()))`
	pythonSays = `import dotenv, json, sys; print(json.dumps(dotenv.dotenv_values(sys.argv[1])))`
	rubySays   = `require "dotenv"; require "json"; puts JSON.dump(Dotenv::Parser.call(File.read(ARGV[0])))`
	// podman keeps all of its things in one directory; what it reads is in the
	// settings of an image or a container.
	podman      = `podman() { command podman --root "$1/root" --runroot "$1/run" --storage-driver vfs --cgroup-manager cgroupfs --events-backend file "${@:2}"; }; set -e; `
	podmanBuild = podman + `id=$(podman "$0" build -q --layers=false --isolation chroot -f "$1" "$0"); podman "$0" image inspect --format '{{json .Config.Env}}' "$id"`
	podmanFile  = podman + `echo 'FROM scratch' >"$0/empty"; id=$(podman "$0" build -q --layers=false --isolation chroot -f "$0/empty" "$0")
c=$(podman "$0" create --network none --env-file "$1" "$id" /none); podman "$0" container inspect --format '{{json .Config.Env}}' "$c"`
	newNode = `process.exit(process.versions.node.split('.')[0] < 20 ? 1 : 0)`
)

var envReaders = []envReader{
	{dialect: "sh", program: "dash", args: []string{"-c", `. "$0" && exec "$1"`, "FILE", "SELF"}},
	{dialect: "sh", program: "bash", args: []string{"-c", `. "$0" && exec "$1"`, "FILE", "SELF"}},
	{dialect: "sh", program: "zsh", args: []string{"-f", "-c", `. "$0" && exec "$1"`, "FILE", "SELF"}},
	{dialect: "fish", program: "fish", args: []string{"-c", `source $argv[1]; and exec $argv[2]`, "FILE", "SELF"}},
	{dialect: "cmd", program: "cmd.exe", ending: ".cmd", end: `@"SELF"`, args: []string{"/d", "/c", "FILE"}, windows: true},
	{dialect: "powershell", program: "powershell.exe", ending: ".ps1", begin: "\ufeff", end: `& 'SELF'`, args: []string{"-NoProfile", "-ExecutionPolicy", "Bypass", "-File", "FILE"}, has: []string{"-NoProfile", "-Command", "exit ($PSVersionTable.PSVersion.Major -lt 5)"}, windows: true, optional: true},
	{dialect: "powershell", program: "pwsh", ending: ".ps1", end: `& 'SELF'`, args: []string{"-NoProfile", "-File", "FILE"}, optional: true},
	{dialect: "dotenv", program: "node", args: []string{"--env-file=FILE", "-e", nodePrints}, has: []string{"-e", newNode}, optional: true},
	{dialect: "dotenv", program: "RUNTIMES/node", args: []string{"--env-file=FILE", "-e", nodePrints}},
	{dialect: "dotenv", program: "RUNTIMES/deno", args: []string{"eval", "--no-config", "--env-file=FILE", denoPrints}},
	{dialect: "dotenv", program: "RUNTIMES/bun", args: []string{"--env-file=FILE", "-e", nodePrints}},
	{dialect: "dotenv", program: "/usr/bin/python3", args: []string{"-c", pythonSays, "FILE"}, has: []string{"-c", "import dotenv"}},
	{dialect: "dotenv", program: "ruby", args: []string{"-e", rubySays, "FILE"}, has: []string{"-e", `require "dotenv"`}},
	{dialect: "dotenv", program: "dash", args: []string{"-c", `set -a; . "$0" && exec "$1"`, "FILE", "SELF"}},
	{dialect: "systemd", program: "systemd-analyze", ending: ".service", end: "Type=oneshot\nExecStart=/bin/true\n", args: []string{"verify", "FILE"}, env: []string{"SYSTEMD_LOG_LEVEL=debug", "SYSTEMD_LOG_TARGET=console"}, lines: "Environment: "},
	{dialect: "dockerfile", program: "bash", args: []string{"-c", podmanBuild, "DIR", "FILE"}, begin: "FROM scratch\n", has: []string{"-c", "podman --version"}, root: true},
	{dialect: "env-file", program: "bash", args: []string{"-c", podmanFile, "DIR", "FILE"}, has: []string{"-c", "podman --version"}, root: true},
}

// What real programs read is what was to be written, whatever it is, or it is
// not written.
func TestDialects(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	refused := map[string]func(v string) bool{
		"cmd": func(v string) bool {
			return strings.ContainsFunc(v, func(r rune) bool { return r == '"' || r > unicode.MaxASCII })
		},
		"dotenv": func(v string) bool { return strings.ContainsAny(v, `$\'`) },
	}
	read := map[string]bool{}
	for _, r := range envReaders {
		read[r.dialect] = true
		t.Run(r.dialect+"/"+filepath.Base(r.program), func(t *testing.T) {
			program := r.program
			absent := func(why string) {
				if os.Getenv("CI") == "true" && runtime.GOOS == "linux" && !r.optional {
					t.Fatal("nothing may be missing with CI set: " + why)
				}
				t.Skip(why)
			}
			switch {
			case r.windows && runtime.GOOS != "windows":
				t.Skip("it is part of Windows")
			case r.windows && r.optional && os.Getenv("CERTTRUST_WINE") != "":
				t.Skip("Wine has the name only")
			case r.root && os.Geteuid() != 0:
				t.Skip("it needs root")
			case strings.HasPrefix(program, "RUNTIMES"):
				cache, err := os.UserCacheDir()
				if err != nil {
					absent(err.Error())
				}
				program = strings.Replace(program, "RUNTIMES", filepath.Join(cache, "certtrust-runtimes", "bin"), 1)
			}
			program, err := exec.LookPath(program)
			if err != nil {
				absent(err.Error())
			}
			dir := storetest.TempDir(t)
			environ := append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "XDG_RUNTIME_DIR=" + dir, "LC_ALL=C.UTF-8", "DENO_DIR=" + dir, printVar + "=1"}, r.env...)
			if runtime.GOOS == "windows" {
				environ = append(os.Environ(), printVar+"=1")
			}
			run := func(args []string) (string, error) {
				cmd := exec.Command(program, args...)
				cmd.Env, cmd.Dir = environ, dir
				var out, log bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &log
				if err := cmd.Run(); err != nil {
					return log.String(), fmt.Errorf("%w\n%s%s", err, out.String(), log.String())
				}
				return cmp.Or(out.String(), log.String()), nil
			}
			if r.has != nil {
				if _, err := run(r.has); err != nil {
					absent(err.Error())
				}
			}

			// Each is written alone first: what a dialect refuses, it refuses whole.
			doc := NewEnvDoc(r.dialect, dir)
			doc.Files = []string{filepath.Join(dir, "merged.pem")}
			if err := os.WriteFile(doc.Files[0], []byte("x"), 0o644); err != nil {
				t.Fatal(err)
			}
			want := map[string]string{}
			text := func() (string, error) {
				var out bytes.Buffer
				err := doc.Text(&term.Streams{Out: &out, Err: &bytes.Buffer{}})
				return out.String(), err
			}
			var taken []clients.Variable
			for i, value := range nasty {
				v := clients.Variable{Name: fmt.Sprintf("CT_%d", i), Value: value}
				doc.Variables = []clients.Variable{v}
				if out, err := text(); err == nil {
					want[v.Name] = value
					taken = append(taken, v)
				} else if may := refused[r.dialect]; out != "" || may == nil || !may(value) {
					t.Errorf("%q is not written: %v, %q", value, err, out)
				}
			}
			doc.Variables = taken
			written, err := text()
			if err != nil {
				t.Fatal(err)
			}
			fill := strings.NewReplacer("SELF", self, "DIR", dir, "FILE", filepath.Join(dir, "certtrust"+r.ending))
			if err := os.WriteFile(fill.Replace("FILE"), []byte(r.begin+written+fill.Replace(r.end)), 0o644); err != nil {
				t.Fatal(err)
			}
			var args []string
			for _, arg := range r.args {
				args = append(args, fill.Replace(arg))
			}
			out, err := run(args)
			if err != nil {
				t.Fatal(err)
			}
			got := environment(out, r.lines)
			for name, value := range want {
				if have, ok := got[name]; have != value || !ok {
					t.Errorf("%q is read as %q", value, have)
				}
			}
			if len(want) < len(nasty)/2 {
				t.Errorf("only %d of %d values are written", len(want), len(nasty))
			}
		})
	}
	for _, d := range envDialects {
		if !read[d.name] {
			t.Errorf("nothing reads the dialect %s", d.name)
		}
	}
}

// environment reads what a program has written: lines that begin with a word, a
// JSON object, or a list.
func environment(out, lines string) map[string]string {
	environ := map[string]string{}
	var pairs []string
	if lines == "" && json.Unmarshal([]byte(out), &environ) == nil {
		return environ
	}
	if lines == "" {
		_ = json.Unmarshal([]byte(out), &pairs)
	}
	for line := range strings.Lines(out) {
		if _, pair, ok := strings.Cut(strings.TrimSuffix(line, "\n"), cmp.Or(lines, "\x00")); ok {
			pairs = append(pairs, pair)
		}
	}
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		environ[name] = value
	}
	return environ
}
