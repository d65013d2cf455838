package host

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
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
	fd, err := unix.Open("/proc/"+pid+"/cmdline", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	line := room[:0]
	for len(line) < 1<<20 {
		line = slices.Grow(line, 512)
		n, err := unix.Read(fd, line[len(line):cap(line)])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			break
		}
		line = line[:len(line)+n]
	}
	return line
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
