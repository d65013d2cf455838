package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes are the extended attributes that a replaced file hands on: the
// SELinux label, without which its readers may be refused, and the access list.
var attributes = []string{"security.selinux", "system.posix_acl_access"}

// keepAttributes copies the attributes that from has.
func keepAttributes(f, from *os.File) error {
	for _, name := range attributes {
		want, ok := attribute(from, name)
		if !ok {
			continue
		}
		if have, ok := attribute(f, name); ok && string(have) == string(want) {
			continue
		}
		if err := unix.Fsetxattr(int(f.Fd()), name, want, 0); err != nil {
			return fmt.Errorf("cannot keep %s: %w", name, err)
		}
	}
	return nil
}

func attribute(f *os.File, name string) ([]byte, bool) {
	n, err := unix.Fgetxattr(int(f.Fd()), name, nil)
	if err != nil || n == 0 { // as nearly always
		return nil, err == nil
	}
	value := make([]byte, 64<<10) // XATTR_SIZE_MAX: it may have become longer
	n, err = unix.Fgetxattr(int(f.Fd()), name, value)
	return value[:max(n, 0)], err == nil
}

// recordLock asks for the lock that stands in the way of a write lock on the
// whole file.
func recordLock(f *os.File) (int, bool) {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	for {
		err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || lock.Type != unix.F_WRLCK {
			return 0, false
		}
		return int(lock.Pid), true
	}
}

// identity tells which file something is, and when its content, mode or name was
// changed last.
func identity(info fs.FileInfo) (device, inode uint64, changed int64, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, 0, false
	}
	return uint64(st.Dev), st.Ino, st.Ctim.Nano(), true
}

// commandLine returns the arguments of a process, each with a NUL after it, nil
// if they cannot be read. All processes are looked at more than once in a
// change, so this takes the fewest calls, and room that the caller gives.
func commandLine(pid string, room []byte) []byte {
	return smallFile("/proc/"+pid+"/cmdline", room)
}

// smallFile reads a file of /proc as far as 1 MiB, nil if it cannot be read.
func smallFile(path string, room []byte) []byte {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	text := room[:0]
	for len(text) < 1<<20 {
		text = slices.Grow(text, 512)
		n, err := unix.Read(fd, text[len(text):cap(text)])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			break
		}
		text = text[:len(text)+n]
	}
	return text
}

// kernelThread is the flag of a thread of the kernel in the ninth field of
// /proc/PID/stat (PF_KTHREAD).
const kernelThread = 0x00200000

// kernelThreads returns the PIDs of the kernel's threads as far as they are
// known to be that: most of what runs on many a machine, with no arguments to be
// read. Their parent is process 2, unless that is another one, as in a container.
// So is that of a program which the kernel itself starts, but of no other.
func kernelThreads() map[int]bool {
	room := make([]byte, 4096)
	stat := smallFile("/proc/2/stat", room)
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 7 {
		return nil
	}
	if flags, err := strconv.ParseUint(string(fields[6]), 10, 64); err != nil || flags&kernelThread == 0 {
		return nil
	}
	threads := map[int]bool{2: true}
	for field := range bytes.FieldsSeq(smallFile("/proc/2/task/2/children", room)) {
		if pid, err := strconv.Atoi(string(field)); err == nil {
			threads[pid] = true
		}
	}
	return threads
}

// processStart returns when a process began, "" if that cannot be read, and
// whether it is there: the boot and the 22nd field of /proc/PID/stat, in ticks
// since then (proc_pid_stat(5)).
func processStart(pid int) (string, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", exists(pid) // /proc may hide other users' processes
	}
	// The second field is the name, in parentheses, and may hold anything.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 {
		return "", true
	}
	if strings.ContainsAny(fields[0], "ZX") {
		return "", false // dead, only its parent does not know yet
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", true
	}
	return strings.TrimSpace(string(boot)) + "/" + fields[19], true
}
