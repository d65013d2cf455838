package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/certtrust/certtrust/store"
)

const (
	runTimeout = 2 * time.Minute // of a program, unless the command says otherwise
	killDelay  = 2 * time.Second // between asking a program to end and making it
	keepOutput = 1 << 20         // bytes of each output that are kept, unless the command says otherwise
)

// Command is a program to be run.
type Command struct {
	// Args[0] is an absolute path or a name that [Host.LookPath] finds.
	Args  []string
	Stdin io.Reader // nil = nothing to read
	// Env is added to the environment, which is otherwise only PATH, HOME,
	// USER, LOGNAME and LC_ALL=C (on Windows what the system needs).
	Env     []string
	Dir     string        // working directory; "" = the root directory
	Timeout time.Duration // 0 = 2 minutes
	Keep    int64         // bytes of each output that are kept; 0 = 1 MiB
	// Rights: run it as that user. Only root can.
	Rights *User
	// Foreground: a person may be asked something on the terminal, so the
	// program stays in this process's group; a time-out then ends only the
	// program itself.
	Foreground bool
	// Elevated: Windows asks a person and runs it as administrator. Its last
	// argument is then the name of a pipe, which [ElevatedPipe] opens.
	Elevated bool
}

// Output is what a program wrote, of each stream the first Command.Keep bytes.
type Output struct {
	Stdout, Stderr []byte
	Dropped        int64 // bytes beyond that, of both
}

// ExecError is the error of a program that could not be run, ended with
// another code than 0, or was made to end.
type ExecError struct {
	Args     []string
	ExitCode int    // -1 if it did not end by itself
	Stderr   []byte // untrusted text
	Err      error  // context.DeadlineExceeded after a time-out
}

// Error returns the program, the reason and the last lines that the program
// wrote. It is safe to print.
func (e *ExecError) Error() string {
	var b strings.Builder
	if len(e.Args) > 0 {
		b.WriteString(store.Printable(e.Args[0]) + ": ")
	}
	if e.ExitCode >= 0 {
		fmt.Fprintf(&b, "exit code %d", e.ExitCode)
	} else {
		b.WriteString(store.Printable(fmt.Sprint(e.Err)))
	}
	for _, line := range lastLines(e.Stderr, 2) {
		b.WriteString(": " + line)
	}
	return b.String()
}

// Unwrap returns Err.
func (e *ExecError) Unwrap() error { return e.Err }

// lastLines returns the last lines that have text, fit to be shown.
func lastLines(text []byte, n int) []string {
	const width = 300
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if runes := []rune(line); len(runes) > width {
			line = string(runes[:width]) + "…"
		}
		lines = append(lines, store.Printable(line))
	}
	return lines[max(len(lines)-n, 0):]
}

// systemPath are the directories that programs are looked for in and that
// programs get as PATH, never the caller's own.
var systemPath = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// windowsPath is the same below %SystemRoot%.
var windowsPath = []string{"System32", "", "System32/Wbem", "System32/WindowsPowerShell/v1.0"}

// windowsEnv is what programs of Windows do not run without.
var windowsEnv = []string{
	"SystemRoot", "SystemDrive", "windir", "ComSpec", "PATHEXT", "TEMP", "TMP",
	"USERPROFILE", "APPDATA", "LOCALAPPDATA", "ProgramData",
}

func (h *Host) programDirs() []string {
	if h.OS != "windows" {
		return systemPath
	}
	var dirs []string
	for _, dir := range windowsPath {
		dirs = append(dirs, path.Join(or(slashed(h.Env("SystemRoot")), "C:/Windows"), dir))
	}
	return dirs
}

// LookPath returns the path of a program that lies in one of the system's own
// directories. A name that is an absolute path is only looked at. What is not
// there is store.ErrToolMissing.
func (h *Host) LookPath(name string) (string, error) {
	dirs := h.programDirs()
	if absolute(h.OS, name) {
		dirs = []string{""}
	} else if strings.Contains(name, "/") || name == "" {
		return "", pathError("run", name, store.Because(store.ErrInput, "neither a path nor a name"))
	}
	endings := []string{""}
	if h.OS == "windows" && path.Ext(name) == "" {
		endings = []string{".exe", ".cmd", ".bat"}
	}
	for _, dir := range dirs {
		for _, ending := range endings {
			p := name + ending
			if dir != "" {
				p = path.Join(dir, p)
			}
			info, err := h.Stat(p)
			if err == nil && info.Mode().IsRegular() && (h.OS == "windows" || info.Mode()&0o111 != 0) {
				return p, nil
			}
		}
	}
	return "", &store.Error{Op: "run", Err: store.Because(store.ErrToolMissing, "the program %s is not installed", store.Printable(name))}
}

// Run runs a program and waits for it. An error is an [*ExecError],
// store.ErrToolMissing for a program that is not there, store.ErrUnsupported on
// a machine that is not live. After the time-out, or when ctx is done, the
// program and all that it started are made to end.
//
// The program gets a scrubbed environment (see [Command]) and the umask 022,
// so that what it generates can be read by those it is for. The umask belongs
// to the whole process: it is changed for as long as the program takes to
// start. The writers of this package do not depend on it.
func (h *Host) Run(ctx context.Context, c Command) (Output, error) {
	if len(c.Args) == 0 {
		return Output{}, pathError("run", "", store.Because(store.ErrInput, "no program given"))
	}
	if !h.Live {
		return Output{}, pathError("run", c.Args[0], store.Because(store.ErrUnsupported, "programs of an offline root are not run"))
	}
	if err := ctx.Err(); err != nil {
		return Output{}, &ExecError{Args: c.Args, ExitCode: -1, Err: err}
	}
	if err := h.fault("run", c.Args[0]); err != nil {
		return Output{}, err
	}
	if h.Runner != nil {
		return h.Runner(ctx, c)
	}
	if c.Elevated {
		return h.runElevated(ctx, c)
	}
	program, err := h.LookPath(c.Args[0])
	if err != nil {
		return Output{}, err
	}
	file, err := h.Resolve(program)
	if err != nil {
		return Output{}, err
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = runTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	keep := c.Keep
	if keep == 0 {
		keep = keepOutput
	}
	stdout, stderr := keeper{limit: keep}, keeper{limit: keep}
	// A program of many names goes by the one it was called.
	cmd := exec.CommandContext(ctx, h.outside(file))
	cmd.Args = append([]string{program}, c.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, &stdout, &stderr
	cmd.Env = h.environ(c)
	cmd.Dir = c.Dir
	if cmd.Dir == "" {
		cmd.Dir = defaultDir
	}
	cmd.WaitDelay = killDelay
	fail := func(err error) (Output, error) {
		e := &ExecError{Args: c.Args, ExitCode: -1, Stderr: stderr.kept, Err: err}
		if cmd.ProcessState != nil && ctx.Err() == nil {
			e.ExitCode = cmd.ProcessState.ExitCode()
		}
		return output(&stdout, &stderr), e
	}
	if err := prepare(cmd, c); err != nil {
		return fail(err)
	}
	if err := start(cmd); err != nil {
		err = bare(err)
		switch {
		case errors.Is(err, fs.ErrNotExist): // the interpreter of a script
			err = store.Because(store.ErrToolMissing, "%w", err)
		case errors.Is(err, fs.ErrPermission):
			err = store.Because(store.ErrPermission, "%w", err)
		}
		return fail(err)
	}
	err = cmd.Wait()
	if ctx.Err() != nil && err != nil {
		killRest(cmd, c)
		return fail(ctx.Err())
	}
	// It went well, but something that it started still has its output open.
	if errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState.Success() {
		err = nil
	}
	if err != nil {
		return fail(err)
	}
	return output(&stdout, &stderr), nil
}

func output(stdout, stderr *keeper) Output {
	return Output{Stdout: stdout.kept, Stderr: stderr.kept, Dropped: stdout.dropped + stderr.dropped}
}

// keeper keeps what comes first and counts the rest.
type keeper struct {
	kept           []byte
	limit, dropped int64
}

func (k *keeper) Write(p []byte) (int, error) {
	keep := min(int64(len(p)), k.limit-int64(len(k.kept)))
	k.dropped += int64(len(p)) - keep
	k.kept = append(k.kept, p[:keep]...)
	return len(p), nil
}

// environ returns the environment that a command is run with.
func (h *Host) environ(c Command) []string {
	if h.OS == "windows" {
		var env []string
		for _, key := range windowsEnv {
			if value := h.Env(key); value != "" {
				env = append(env, key+"="+value)
			}
		}
		dirs := strings.ReplaceAll(strings.Join(h.programDirs(), ";"), "/", `\`)
		return append(append(env, "PATH="+dirs), c.Env...)
	}
	u := h.User
	switch {
	case c.Rights != nil:
		u = *c.Rights
	case u.Via != "":
		u = User{Name: "root", Home: rootHome(h.OS)}
	}
	env := []string{
		"PATH=" + strings.Join(systemPath, ":"), "LC_ALL=C",
		"HOME=" + or(u.Home, "/"), "USER=" + u.Name, "LOGNAME=" + u.Name,
	}
	return slices.Concat(env, c.Env)
}

func rootHome(system string) string {
	if system == "darwin" {
		return "/var/root"
	}
	return "/root"
}
