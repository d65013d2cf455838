//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The environment that tells this binary what it was started again for.
const (
	roleVar  = "CERTTRUST_E2E_ROLE"  // a key of roles
	stageVar = "CERTTRUST_E2E_STAGE" // an empty directory of the host to mount on
	kitVar   = "CERTTRUST_E2E_KIT"   // the directory that is seen as kitDir inside
)

// What the overlay shows besides the machine.
const (
	kitDir   = "/e2e"       // what buildKit made
	upperDir = "/e2e-upper" // the overlay's upper layer: each file that was written
)

// roles is what this binary does when it is started.
var roles = map[string]func(m *testing.M) int{
	"":        outside,
	"inside":  inside,
	"get":     roleGet,
	"install": roleInstall,
	"library": roleLibrary,
}

func TestMain(m *testing.M) { os.Exit(roles[os.Getenv(roleVar)](m)) }

// outside runs the tests on the host, which sends each into its overlay, and
// then makes sure that the host is as it was.
func outside(m *testing.M) int {
	before := hostState()
	code := m.Run()
	cleanKit()
	if d := diff(before, hostState()); d != "" {
		fmt.Printf("the host was changed while the tests ran:\n%s", d)
		return 1
	}
	return code
}

// inside enters the overlay and runs the one test that it is there for.
func inside(m *testing.M) int {
	if err := enter(os.Getenv(stageVar), os.Getenv(kitVar)); err != nil {
		fmt.Println("the overlay could not be made:", err)
		return 1
	}
	return m.Run()
}

// Overlay runs f in an overlay of the machine: in a process of its own that
// is root there, sees the machine's files, can change all of them, and has an
// empty network but for the loopback device. Nothing that f or a process that
// it starts does outlives it. What prepare does first, on the host, is done
// beside other tests.
func Overlay(t *testing.T, f func(t *testing.T), prepare ...func(t *testing.T)) {
	t.Helper()
	if os.Getenv(roleVar) == "inside" {
		f(t)
		return
	}
	if os.Geteuid() != 0 {
		missing(t, "an overlay of the machine needs root")
	}
	t.Parallel()
	for _, p := range prepare {
		p(t)
	}
	kit, err := buildKit()
	if err != nil {
		t.Fatal(err)
	}

	stage, err := os.MkdirTemp("", "certtrust-e2e-stage-") // not t.TempDir: a comma in a name would end a mount option
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(stage)
	var pattern []string
	for part := range strings.SplitSeq(t.Name(), "/") {
		pattern = append(pattern, "^"+regexp.QuoteMeta(part)+"$")
	}
	timeout := 10 * time.Minute
	if deadline, ok := t.Deadline(); ok {
		timeout = time.Until(deadline) * 9 / 10 // so that it is the inner one that tells where it hung
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.v",
		"-test.run="+strings.Join(pattern, "/"), "-test.timeout="+timeout.String())
	cmd.Env = append(scrubbed(), roleVar+"=inside", stageVar+"="+stage, kitVar+"="+kit, "CI="+os.Getenv("CI"), allCasesVar+"="+os.Getenv(allCasesVar))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	runtime.LockOSThread() // Pdeathsig is sent when the thread ends, not the process
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	t.Logf("in the overlay:\n%s", out)
	switch {
	case err != nil:
		t.Fatalf("in the overlay: %v", err)
	case strings.Contains(string(out), "--- SKIP: "+t.Name()+" "):
		missing(t, "skipped in the overlay, see above")
	case !strings.Contains(string(out), "--- PASS: "+t.Name()+" "):
		t.Fatal("the test did not run in the overlay")
	}
}

// missing skips the test for a reason, or fails it where nothing may be
// missing.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("nothing may be missing with CI set: "+format, args...)
	}
	t.Skipf(format, args...)
}

// need makes sure that programs are installed.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			missing(t, "%s is not installed", p)
		}
	}
}

// scrubbed is the environment of every process of these tests: of the
// caller's nothing, because a dozen variables change what programs trust.
func scrubbed() []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb"}
}

// enter makes the overlay in stage and goes there, in a process that has just
// got its own namespaces.
func enter(stage, kit string) error {
	root, upper, work := filepath.Join(stage, "root"), filepath.Join(stage, "upper"), filepath.Join(stage, "work")
	for _, m := range []struct {
		source, target, kind string
		flags                uintptr
		data                 string
	}{
		{"", "/", "", unix.MS_REC | unix.MS_PRIVATE, ""},
		{"tmpfs", stage, "tmpfs", 0, "mode=0755"},
		{"overlay", root, "overlay", 0, "lowerdir=/,upperdir=" + upper + ",workdir=" + work},
		{"proc", root + "/proc", "proc", 0, ""},
		{"/dev", root + "/dev", "", unix.MS_BIND | unix.MS_REC, ""},
		{"tmpfs", root + "/tmp", "tmpfs", 0, "mode=1777"},
		{"tmpfs", root + "/run", "tmpfs", 0, "mode=0755"},
		{kit, root + kitDir, "", unix.MS_BIND, ""},
		{upper, root + upperDir, "", unix.MS_BIND, ""},
	} {
		if m.kind == "overlay" {
			if err := errors.Join(os.Mkdir(upper, 0o755), os.Mkdir(work, 0o755)); err != nil {
				return err
			}
		}
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mount on %s: %w", m.target, err)
		}
	}
	// What browsers and certtrust have left in the home of whoever runs the tests
	// would be changed unasked, and is not there on other machines.
	for _, dir := range []string{".pki", ".local/share/pki", ".mozilla", ".config/mozilla", ".local/state/certtrust"} {
		dir = filepath.Join(root, "/root", dir)
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700"); err != nil {
			return fmt.Errorf("mount on %s: %w", dir, err)
		}
	}
	unix.Umask(0o022)
	return errors.Join(
		unix.Chroot(root),
		os.Chdir("/"),
		loopbackUp(),
		os.Mkdir("/run/lock", 0o755),
		os.Chmod("/run/lock", 0o777|fs.ModeSticky),
		// Where it is mounted over, as in containers, the file beneath is empty.
		os.WriteFile("/etc/hosts", []byte("127.0.0.1 localhost\n"), 0o644),
		copyFile(kitDir+"/certtrust", "/usr/local/bin/certtrust"),
	)
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// kit is a directory with what the tests bring along: certtrust itself, the
// Java client, this test binary. It is made when the first test needs it.
var kit struct {
	sync.Once
	dir string
	err error
}

func buildKit() (string, error) {
	kit.Do(func() {
		if kit.dir, kit.err = os.MkdirTemp("", "certtrust-e2e-"); kit.err != nil {
			return
		}
		self, err := os.Executable()
		kit.err = errors.Join(err,
			os.Chmod(kit.dir, 0o755),
			copyFile(self, filepath.Join(kit.dir, "e2e")),
			tool([]string{"CGO_ENABLED=0"}, "go", "build", "-buildvcs=false", "-o", filepath.Join(kit.dir, "certtrust"), "../../cmd/certtrust"),
		)
		if _, err := exec.LookPath("javac"); err == nil {
			kit.err = errors.Join(kit.err, tool(nil, "javac", "--release", "11", "-d", kit.dir, "testdata/Probe.java", "testdata/TrustStores.java"))
		}
	})
	return kit.dir, kit.err
}

func cleanKit() {
	if kit.dir != "" {
		os.RemoveAll(kit.dir)
	}
}

// tool runs a program that makes something for the tests, in the environment
// of the tests with env added.
func tool(env []string, argv ...string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, out)
	}
	return nil
}

// copyFile copies a program.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
