//go:build unix

package host

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/certtrust/certtrust/store"
)

const (
	// openPassive: opening a FIFO does not wait and a terminal does not
	// become ours.
	openPassive = unix.O_NONBLOCK | unix.O_NOCTTY

	defaultDir = "/"
)

// errOtherDevice is what renaming from one file system to another ends with.
var errOtherDevice error = unix.EXDEV

// kinds are the kinds of what the system reports, first match first.
var kinds = []struct{ system, kind error }{
	{unix.EROFS, store.ErrReadOnly},
	{fs.ErrPermission, store.ErrPermission},
}

// patiently: here nobody is kept from replacing or reading a file by who has it
// open.
func patiently(_ bool, do func() error) error { return do() }

func openFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	return os.OpenFile(name, flag, perm)
}

func rename(old, new string) error { return os.Rename(old, new) }

// ownerOf returns who a file belongs to.
func ownerOf(info fs.FileInfo) (uid, gid int, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(st.Uid), int(st.Gid), true
}

// names returns how many names a file has.
func names(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Nlink)
	}
	return 1
}

// keepOwner gives f the owner and group of the file that it is to replace.
func keepOwner(f *os.File, old fs.FileInfo) error {
	uid, gid, ok := ownerOf(old)
	if !ok {
		return nil
	}
	now, err := f.Stat()
	if err != nil {
		return err
	}
	if u, g, _ := ownerOf(now); u == uid && g == gid {
		return nil
	}
	return f.Chown(uid, gid)
}

// syncDir makes what was done in a directory durable, where the file system
// has such a thing.
func syncDir(dir *os.File) error {
	err := dir.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}

// mayWriteIn asks the system for the rights of the effective user.
func mayWriteIn(dir string) bool {
	return unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS) == nil
}

// tryLock locks the file unless somebody else has.
func tryLock(f *os.File) (bool, error) {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, unix.EINTR):
			return false, err
		}
	}
}

func releaseLock(f *os.File) { unix.Flock(int(f.Fd()), unix.LOCK_UN) }

// prepare sets whose rights a program has and how it is made to end.
func prepare(cmd *exec.Cmd, c Command) error {
	attr := &syscall.SysProcAttr{Setpgid: !c.Foreground}
	if u := c.Rights; u != nil && u.UID != os.Geteuid() {
		if os.Geteuid() != 0 {
			return store.Because(store.ErrPermission, "only root can run programs as another user")
		}
		attr.Credential = &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID), Groups: groupsOf(*u)}
	}
	cmd.SysProcAttr = attr
	cmd.Cancel = func() error {
		err := unix.Kill(target(cmd, c), unix.SIGTERM)
		if errors.Is(err, unix.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	}
	return nil
}

// target is what a signal is sent to: the program's group if it has one.
func target(cmd *exec.Cmd, c Command) int {
	if c.Foreground {
		return cmd.Process.Pid
	}
	return -cmd.Process.Pid
}

// killRest ends what a program that was made to end has left running.
func killRest(cmd *exec.Cmd, c Command) {
	if !c.Foreground {
		unix.Kill(target(cmd, c), unix.SIGKILL)
	}
}

// groupsOf returns the user's groups, if the user database knows them.
func groupsOf(u User) []uint32 {
	groups := []uint32{uint32(u.GID)}
	found, err := user.LookupId(strconv.Itoa(u.UID))
	if err != nil {
		return groups
	}
	ids, err := found.GroupIds()
	if err != nil {
		return groups
	}
	for _, id := range ids {
		if n, err := strconv.ParseUint(id, 10, 32); err == nil && int(n) != u.GID {
			groups = append(groups, uint32(n))
		}
	}
	return groups
}

// umask guards the umask, which is the process's own state.
var umask sync.Mutex

// start starts a program with the umask 022.
func start(cmd *exec.Cmd) error {
	umask.Lock()
	defer umask.Unlock()
	defer unix.Umask(unix.Umask(0o022))
	return cmd.Start()
}

// exists reports whether there is a process with that PID.
func exists(pid int) bool { return !errors.Is(unix.Kill(pid, 0), unix.ESRCH) }

// readlinkIn returns what is written in a link in an open directory. It takes
// room, which the caller gives, for all but very long ones.
func readlinkIn(_ tree, dir *os.File, _, name string, room []byte) (string, error) {
	for {
		n, err := unix.Readlinkat(int(dir.Fd()), name, room)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return "", err
		case n < len(room):
			return string(room[:n]), nil
		default:
			room = make([]byte, 2*len(room))
		}
	}
}

// readInto reads a file of an open directory, with as few calls as it takes. It
// follows no link.
func readInto(buf *bytes.Buffer, dir *os.File, name string, max int) error {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for {
		buf.Grow(64 << 10)
		free := buf.AvailableBuffer()
		n, err := unix.Read(fd, free[:cap(free)])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err
		case buf.Len()+n > max:
			return ErrTooLarge
		default:
			buf.Write(free[:n])
			if n < cap(free) {
				return nil // regular files give all that they have
			}
		}
	}
}
