package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/certtrust/certtrust/store"
)

// lockPoll is how often a lock that somebody holds is tried again.
const lockPoll = 50 * time.Millisecond

// Lock takes the lock that the file path stands for (flock; on Windows
// LockFileEx), making the file and its directory if they are missing, and
// returns what frees it. It waits no longer than wait, or until ctx is done.
// When the time is over the error is store.ErrLocked and says who holds it.
//
// While it is held the file holds "pid what since". The lock is this process's
// and not this goroutine's only in that a second Lock in the same process
// excludes the first as any other would; it ends with the process. The file is
// never deleted: somebody could be waiting for it.
func (h *Host) Lock(ctx context.Context, p string, wait time.Duration, what string) (unlock func(), err error) {
	if err := h.fault("lock", p); err != nil {
		return nil, pathError("lock", p, err)
	}
	if err := h.MkdirAll(path.Dir(p), 0o755); err != nil {
		return nil, err
	}
	var f *os.File
	err = h.at("lock", p, false, func(t tree, name string) (err error) {
		f, err = openLock(t, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := h.acquire(ctx, f, wait); err != nil {
		f.Close()
		return nil, pathError("lock", p, err)
	}
	holder := fmt.Sprintf("%d %s %s\n", os.Getpid(), store.Printable(what), h.Now().UTC().Format(time.RFC3339))
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(holder), 0)
	}
	free := sync.OnceFunc(func() {
		f.Truncate(0) // only for people: a stale text does no harm
		releaseLock(f)
		f.Close()
	})
	if err != nil {
		free()
		return nil, pathError("lock", p, err)
	}
	return free, nil
}

// openLock opens a lock file, making it if need be. As its content is going to
// be overwritten it must be a plain file of one name, and this one: in a
// directory that others can write to, a link could lead to anything.
func openLock(t tree, name string) (*os.File, error) {
	f, err := t.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|openPassive, 0o600)
	if err == nil {
		err = f.Chmod(0o600) // whoever can open it can lock it
	} else if errors.Is(err, fs.ErrExist) {
		f, err = t.OpenFile(name, os.O_RDWR|openPassive, 0)
	}
	if f == nil {
		return nil, err
	}
	if err == nil {
		err = isItself(f, t, name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// isItself refuses an open file that is no plain one, or that name only led to.
func isItself(f *os.File, t tree, name string) error {
	opened, err := f.Stat()
	if err != nil {
		return err
	}
	named, err := t.Lstat(name)
	if err != nil {
		return err
	}
	if !opened.Mode().IsRegular() || names(opened) > 1 || !os.SameFile(opened, named) {
		return errNotRegular
	}
	return nil
}

// acquire tries until it has the lock, the time is over or ctx is done.
func (h *Host) acquire(ctx context.Context, f *os.File, wait time.Duration) error {
	over := time.NewTimer(wait)
	defer over.Stop()
	again := time.NewTicker(lockPoll)
	defer again.Stop()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if ok, err := tryLock(f); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-over.C:
			return store.Because(store.ErrLocked, "%s", h.holder(f))
		case <-again.C:
		}
	}
}

// holder says who holds the lock, by what is written in it.
func (h *Host) holder(f *os.File) string {
	text, _ := io.ReadAll(io.NewSectionReader(f, 0, 1<<10))
	words := strings.Fields(string(text))
	if len(words) < 3 {
		return "held by another process"
	}
	last := len(words) - 1
	held := fmt.Sprintf("held by pid %s (%s)", store.Printable(words[0]), strings.Join(words[1:last], " "))
	if since, err := time.Parse(time.RFC3339, words[last]); err == nil {
		held += fmt.Sprintf(", for %s", max(h.Now().Sub(since), 0).Round(time.Second))
	}
	return held
}

// RecordLock reports whether some other process holds an fcntl write lock on
// the file, and which: the kind of lock that dpkg and rpm use. It is false
// where that cannot be told: on other systems than Linux, without the right to
// open the file, in an offline root. It must not be called by a process that
// holds such a lock on the file itself, because closing the file would free it.
func (h *Host) RecordLock(p string) (pid int, held bool) {
	if !h.Live {
		return 0, false
	}
	err := h.at("lock", p, true, func(t tree, name string) error {
		f, err := t.OpenFile(name, os.O_RDONLY|openPassive, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		pid, held = recordLock(f)
		return nil
	})
	return pid, held && err == nil
}

// Process is a running program.
type Process struct {
	PID  int
	Args []string
}

// Processes returns the running programs whose arguments can be read, sorted by
// PID; nil where they cannot be listed (anything but this machine with Linux).
func (h *Host) Processes() []Process {
	if h.Root != "" || h.OS != "linux" {
		return nil
	}
	entries, err := h.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var list []Process
	room := make([]byte, 4096)
	kernels := kernelThreads() // after they were listed: what ends meanwhile does no harm
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || kernels[pid] {
			continue
		}
		line := commandLine(e.Name(), room)
		if len(line) == 0 {
			continue // gone meanwhile, or a thread of the kernel
		}
		list = append(list, Process{pid, strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")})
	}
	slices.SortFunc(list, func(a, b Process) int { return a.PID - b.PID })
	return list
}

// Shares reports whether a process sees the same file or directory at path as
// this one does: one in a container has another. Where that cannot be found
// out it is taken to.
func (h *Host) Shares(p Process, path string) bool {
	own, err := h.Stat(path)
	if err != nil {
		return true
	}
	others, err := os.Stat(fmt.Sprintf("/proc/%d/root%s", p.PID, path))
	if errors.Is(err, fs.ErrNotExist) {
		return false // or the process is gone
	}
	return err != nil || os.SameFile(own, others)
}

// ThisProcess returns a mark that names this process for good: no later one
// has it, not even with the same PID.
func ThisProcess() string {
	start, _ := processStart(os.Getpid())
	return fmt.Sprintf("%d %s", os.Getpid(), start)
}

// Running reports whether the process that a mark of [ThisProcess] names is
// still there. Where the system does not tell when a process began, another
// one with the same PID is taken for it.
func Running(mark string) bool {
	number, start, _ := strings.Cut(mark, " ")
	pid, err := strconv.Atoi(number)
	if err != nil || pid <= 0 {
		return false
	}
	now, alive := processStart(pid)
	return alive && (now == start || now == "")
}
