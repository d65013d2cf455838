//go:build unix

package host

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/certtrust/certtrust/store"
)

// helpers are what the test binary does in a process of its own: it is run with
// the helper's name in helperVar and a root directory as its argument.
var helpers = map[string]func(root string) error{
	"write": func(root string) error {
		h := Fake(root)
		for i := 0; ; i++ {
			content := bytes.Repeat([]byte{"ab"[i%2]}, 1<<16)
			if err := h.WriteFile("/file", content, WriteOptions{}); err != nil {
				return err
			}
			fmt.Println(i)
		}
	},
	"lock": func(root string) error {
		unlock, err := Fake(root).Lock(context.Background(), "/lock", 0, "certtrust trust")
		if err != nil {
			return err
		}
		defer unlock()
		fmt.Println("locked")
		io.Copy(io.Discard, os.Stdin)
		return nil
	},
	"record lock": func(root string) error {
		f, err := os.OpenFile(filepath.Join(root, "lock"), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
		if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &lock); err != nil {
			return err
		}
		fmt.Println("locked")
		io.Copy(io.Discard, os.Stdin)
		return nil
	},
	"umask": func(root string) error {
		unix.Umask(0o077)
		h := Fake(root)
		if err := h.MkdirAll("/a/b", 0o755); err != nil {
			return err
		}
		if err := h.WriteFile("/a/b/file", nil, WriteOptions{Mode: 0o644}); err != nil {
			return err
		}
		unlock, err := h.Lock(context.Background(), "/a/lock", 0, "x")
		if err != nil {
			return err
		}
		unlock()
		out, err := h.Run(context.Background(), Command{Args: []string{"print-umask"}})
		fmt.Printf("%s", out.Stdout)
		if old := unix.Umask(0); old != 0o077 {
			return fmt.Errorf("the umask is %o after running a program", old)
		}
		return err
	},
}

const helperVar = "HOST_TEST_HELPER"

func TestMain(m *testing.M) {
	help, ok := helpers[os.Getenv(helperVar)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := help(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// helper starts a helper and returns it with its input and what it prints.
func helper(t *testing.T, name, root string) (*exec.Cmd, io.Closer, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0], root)
	cmd.Env = []string{helperVar + "=" + name}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd, stdin, bufio.NewScanner(stdout)
}

func script(t *testing.T, root, path, text string) {
	t.Helper()
	write(t, root, path, "#!/bin/sh\n"+text+"\n", 0o755)
}

func TestSpecialFilesDoNotBlock(t *testing.T) {
	root, err := os.MkdirTemp("", "host") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(root)
	if err := unix.Mkfifo(filepath.Join(root, "fifo"), 0o666); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(root, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	offline, err := Offline(root)
	if err != nil {
		t.Fatal(err)
	}
	for h, dir := range map[*Host]string{Local(): root, offline: ""} {
		for _, name := range []string{"/fifo", "/socket"} {
			p := dir + name
			if _, err := h.ReadFile(p, 10); err == nil {
				t.Errorf("ReadFile(%s) read something", p)
			}
			if _, err := h.ReadDir(p); err == nil {
				t.Errorf("ReadDir(%s) read something", p)
			}
			if err := h.WriteFile(p, nil, WriteOptions{}); !errors.Is(err, errNotRegular) {
				t.Errorf("WriteFile(%s): %v", p, err)
			}
			if _, err := h.Lock(t.Context(), p, 0, "x"); err == nil {
				t.Errorf("Lock(%s) took it", p)
			}
			if _, held := h.RecordLock(p); held {
				t.Errorf("RecordLock(%s) is held", p)
			}
		}
	}
	if _, err := Local().ReadFile("/dev/null", 10); !errors.Is(err, errNotRegular) {
		t.Errorf("a device: %v", err)
	}
}

func TestWriteFileKeepsMode(t *testing.T) {
	root := t.TempDir()
	h := Fake(root)
	write(t, root, "/file", "old", 0o604)
	mode := func() fs.FileMode {
		info, err := h.Stat("/file")
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode()
	}
	if err := h.WriteFile("/file", []byte("new"), WriteOptions{Mode: 0o640}); err != nil || mode() != 0o604 {
		t.Errorf("mode %v, %v", mode(), err)
	}
	if err := h.WriteFile("/file", []byte("new"), WriteOptions{Mode: 0o640, ForceMode: true}); err != nil || mode() != 0o640 {
		t.Errorf("ForceMode: mode %v, %v", mode(), err)
	}
	if err := h.WriteFile("/new", nil, WriteOptions{}); err != nil {
		t.Error(err)
	}
	if info, err := h.Stat("/new"); err != nil || info.Mode() != 0o644 {
		t.Errorf("a new file: %v, %v", info.Mode(), err)
	}
}

func TestWriteFileKeepsOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	root := t.TempDir()
	h := Fake(root)
	write(t, root, "/file", "old", 0o644)
	name := filepath.Join(root, "file")
	if err := os.Chown(name, 65534, 12345); err != nil {
		t.Skip("cannot give a file away:", err)
	}
	if err := os.Chmod(name, 0o640|fs.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	if err := h.WriteFile("/file", []byte("new"), WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, gid, _ := ownerOf(info)
	if uid != 65534 || gid != 12345 || info.Mode() != 0o640|fs.ModeSetgid {
		t.Errorf("owner %d:%d, mode %v", uid, gid, info.Mode())
	}
}

func TestUmaskPlaysNoPart(t *testing.T) {
	root := t.TempDir()
	script(t, root, "/bin/print-umask", "umask")
	cmd, _, out := helper(t, "umask", root)
	if !out.Scan() || strings.TrimLeft(out.Text(), "0") != "22" {
		t.Errorf("a program was run with the umask %q", out.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{
		"a": fs.ModeDir | 0o755, "a/b": fs.ModeDir | 0o755, "a/b/file": 0o644, "a/lock": 0o600,
	} {
		info, err := os.Stat(filepath.Join(root, path))
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
}

// A process that is killed while it writes leaves a whole file.
func TestKilledWriter(t *testing.T) {
	root := t.TempDir()
	h := Fake(root)
	for kill := range 12 {
		cmd, _, out := helper(t, "write", root)
		for range kill + 1 {
			if !out.Scan() {
				t.Fatal("the writer stopped by itself")
			}
		}
		cmd.Process.Kill()
		cmd.Wait()
		data, err := h.ReadFile("/file", 1<<20)
		if err != nil || len(data) != 1<<16 || len(bytes.Trim(data, string(data[:1]))) != 0 {
			t.Fatalf("after kill %d: %d bytes, %v", kill, len(data), err)
		}
	}
	entries, err := h.ReadDir("/")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "file" && !strings.HasPrefix(e.Name(), TempPrefix) {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}

func TestLockBetweenProcesses(t *testing.T) {
	root := t.TempDir()
	h := Fake(root)
	for name, end := range map[string]func(cmd *exec.Cmd, stdin io.Closer){
		"unlocked": func(_ *exec.Cmd, stdin io.Closer) { stdin.Close() },
		"killed":   func(cmd *exec.Cmd, _ io.Closer) { cmd.Process.Kill() },
	} {
		cmd, stdin, out := helper(t, "lock", root)
		if !out.Scan() {
			t.Fatal("the helper got no lock")
		}
		_, err := h.Lock(t.Context(), "/lock", 0, "other")
		want := fmt.Sprintf("held by pid %d (certtrust trust), for ", cmd.Process.Pid)
		if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
		end(cmd, stdin)
		unlock, err := h.Lock(t.Context(), "/lock", time.Minute, "other")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		unlock()
		cmd.Wait()
	}
}

func TestRecordLock(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only told on Linux")
	}
	root := t.TempDir()
	h := Fake(root)
	write(t, root, "/lock", "", 0o640)
	if pid, held := h.RecordLock("/lock"); held {
		t.Errorf("free, but held by %d", pid)
	}
	cmd, stdin, out := helper(t, "record lock", root)
	if !out.Scan() {
		t.Fatal("the helper got no lock")
	}
	if pid, held := h.RecordLock("/lock"); !held || pid != cmd.Process.Pid {
		t.Errorf("got %d, %v; want %d", pid, held, cmd.Process.Pid)
	}
	stdin.Close()
	cmd.Wait()
	if _, held := h.RecordLock("/lock"); held {
		t.Error("still held")
	}
	if _, held := h.RecordLock("/missing"); held {
		t.Error("a missing file is locked")
	}
}

func TestRunning(t *testing.T) {
	if !Running(ThisProcess()) {
		t.Errorf("this process (%s) is not running", ThisProcess())
	}
	root := t.TempDir()
	cmd, _, out := helper(t, "lock", root)
	if !out.Scan() {
		t.Fatal("the helper did not start")
	}
	start, _ := processStart(cmd.Process.Pid)
	mark := fmt.Sprintf("%d %s", cmd.Process.Pid, start)
	if !Running(mark) {
		t.Errorf("the helper (%s) is not running", mark)
	}
	if start != "" && Running(fmt.Sprintf("%d another boot/123", cmd.Process.Pid)) {
		t.Error("another process with the same PID was taken for it")
	}
	cmd.Process.Kill()
	cmd.Wait()
	if Running(mark) {
		t.Error("a dead process is running")
	}
	for _, mark := range []string{"", "x y", "-1 x", "0 x", "99999999999999999999 x"} {
		if Running(mark) {
			t.Errorf("%q is running", mark)
		}
	}
}

func TestProcesses(t *testing.T) {
	if Fake(t.TempDir()).Processes() != nil {
		t.Error("a directory has processes")
	}
	h := Local()
	if h.OS != "linux" {
		t.Skip("only listed on Linux")
	}
	if !slices.ContainsFunc(h.Processes(), func(p Process) bool { return p.PID == os.Getpid() && slices.Equal(p.Args, os.Args) }) {
		t.Error("this process is not among the processes")
	}
}

func TestWritableAsksForRights(t *testing.T) {
	root := t.TempDir()
	h := Fake(root)
	if err := os.Mkdir(filepath.Join(root, "closed"), 0o555); err != nil {
		t.Fatal(err)
	}
	if got, want := h.Writable("/closed/new"), os.Geteuid() == 0; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRun(t *testing.T) {
	for _, key := range []string{"SSL_CERT_FILE", "LD_PRELOAD_TEST", "TERM", "SUDO_UID", "LANG"} {
		t.Setenv(key, "leaked")
	}
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	elsewhere := filepath.Join(dir, "elsewhere")
	script(t, elsewhere, "/tool", "echo wrong")
	t.Setenv("PATH", elsewhere+":"+os.Getenv("PATH"))
	script(t, root, "/usr/bin/environment", "exec env")
	script(t, root, "/usr/bin/where", "pwd; cat; echo \"$0\" \"$@\"")
	script(t, root, "/usr/bin/fails", "echo first >&2; printf 'last \\033[31m\\n' >&2; echo out; exit 7")
	script(t, root, "/usr/bin/much", "head -c 3000000 /dev/zero; head -c 1048577 /dev/zero >&2")
	write(t, root, "/usr/bin/orphan", "#!/no/such/interpreter\n", 0o755)
	write(t, root, "/usr/bin/data", "not a program", 0o644)
	link(t, root, "/usr/bin/where", "/usr/sbin/alias")
	h := Fake(root)
	run := func(args ...string) (Output, error) { return h.Run(t.Context(), Command{Args: args}) }

	out, err := h.Run(t.Context(), Command{Args: []string{"environment"}, Env: []string{"EXTRA=1"}})
	got := strings.Fields(string(out.Stdout))
	// The shell adds its own.
	got = slices.DeleteFunc(got, func(s string) bool {
		return strings.HasPrefix(s, "PWD=") || strings.HasPrefix(s, "_=") || strings.HasPrefix(s, "SHLVL=") || strings.HasPrefix(s, "OLDPWD=")
	})
	slices.Sort(got)
	want := []string{
		"EXTRA=1", "HOME=/home/user", "LC_ALL=C", "LOGNAME=user",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "USER=user",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("environment %q, %v", got, err)
	}

	if out, err := run("/usr/sbin/alias", "a b"); err != nil || !strings.HasPrefix(string(out.Stdout), "/\n") || !strings.HasSuffix(string(out.Stdout), " a b\n") {
		t.Errorf("got %q, %v", out.Stdout, err)
	}
	if out, err := h.Run(t.Context(), Command{Args: []string{"where"}, Stdin: strings.NewReader("input\n"), Dir: "/usr"}); err != nil || !strings.HasPrefix(string(out.Stdout), "/usr\ninput\n") {
		t.Errorf("got %q, %v", out.Stdout, err)
	}

	out, err = run("fails", "x")
	var failed *ExecError
	if !errors.As(err, &failed) || failed.ExitCode != 7 || string(out.Stdout) != "out\n" {
		t.Fatalf("got %v, %q", err, out.Stdout)
	}
	if want := `fails: exit code 7: first: last \u001b[31m`; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}

	out, err = run("much")
	if err != nil || len(out.Stdout) != 1<<20 || len(out.Stderr) != 1<<20 || out.Dropped != 3000000-1<<20+1 {
		t.Errorf("got %d and %d bytes, %d dropped, %v", len(out.Stdout), len(out.Stderr), out.Dropped, err)
	}

	for _, name := range []string{"tool", "data", "/usr/bin/data", "/missing", "orphan"} {
		if _, err := run(name); !errors.Is(err, store.ErrToolMissing) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := run("../usr/bin/where"); !errors.Is(err, store.ErrInput) {
		t.Errorf("a relative path: %v", err)
	}
}

func TestRunTimeout(t *testing.T) {
	root := t.TempDir()
	script(t, root, "/bin/hang", "exec sleep 1000")
	_, err := Fake(root).Run(t.Context(), Command{Args: []string{"hang"}, Timeout: time.Millisecond})
	var failed *ExecError
	if !errors.As(err, &failed) || !errors.Is(err, context.DeadlineExceeded) || failed.ExitCode != -1 {
		t.Errorf("got %v", err)
	}
}

// Cancelling ends what the program has started, too: the pipe that all of them
// have open comes to its end.
func TestCancelEndsGrandchildren(t *testing.T) {
	root := t.TempDir()
	fifo := filepath.Join(root, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	script(t, root, "/bin/tree", `exec 3>"$1"; (sleep 1000 & wait) & echo started >&3; wait`)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := Fake(root).Run(ctx, Command{Args: []string{"tree", fifo}})
		done <- err
	}()
	pipe, err := os.Open(fifo)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	if line, err := bufio.NewReader(pipe).ReadString('\n'); err != nil || line != "started\n" {
		t.Fatal(line, err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	io.Copy(io.Discard, pipe)
}

func TestRunWithRights(t *testing.T) {
	root := t.TempDir()
	script(t, root, "/bin/who", `id -u; id -g; id -G; echo "$HOME $USER"`)
	h := Fake(root)
	other := &User{Name: "nobody", UID: 65534, GID: 65533, Home: "/nonexistent"}
	if os.Geteuid() == other.UID {
		other.UID-- // another one than this
	}
	if os.Geteuid() != 0 {
		if _, err := h.Run(t.Context(), Command{Args: []string{"who"}, Rights: other}); !errors.Is(err, store.ErrPermission) {
			t.Errorf("got %v", err)
		}
		t.Skip("only root can act as another user")
	}
	// The other user must get at the program, whatever the umask.
	for _, dir := range []string{"..", ".", "bin"} {
		if err := os.Chmod(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	out, err := h.Run(t.Context(), Command{Args: []string{"who"}, Rights: other})
	if errors.Is(err, syscall.EPERM) {
		t.Skip("this root cannot become another user:", err)
	}
	lines := strings.Split(string(out.Stdout), "\n")
	if err != nil || len(lines) < 4 || lines[0] != "65534" || lines[1] != "65533" || lines[3] != "/nonexistent nobody" {
		t.Fatalf("got %q, %v", out.Stdout, err)
	}
	if slices.Contains(strings.Fields(lines[2]), "0") {
		t.Errorf("root's groups are kept: %s", lines[2])
	}
}
