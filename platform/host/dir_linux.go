package host

import (
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// openDir opens a directory for looking up names in it, nil if it cannot be.
func openDir(path string) *os.File {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	return os.NewFile(uintptr(fd), path)
}

// readChangedIn is ReadChanged in an open directory, with as few calls as it
// takes: what is known is described first, anything else is opened.
func readChangedIn(dir *os.File, name string, known Mark, since time.Time, max int64) (data []byte, now Mark, changed bool, err error) {
	var st unix.Stat_t
	at := int(dir.Fd())
	if known.Settled {
		err := again(func() error { return unix.Fstatat(at, name, &st, 0) })
		if err != nil {
			return nil, Mark{}, false, err
		}
		if now = markOf(&st, since); now.same(known) {
			return nil, now, false, nil
		}
	}
	var fd int
	err = again(func() (err error) {
		fd, err = unix.Openat(at, name, unix.O_RDONLY|unix.O_CLOEXEC|openPassive, 0)
		return err
	})
	if err != nil {
		if unix.Fstatat(at, name, &st, 0) == nil {
			now = markOf(&st, since)
		}
		return nil, now, false, err
	}
	defer unix.Close(fd)
	if err := again(func() error { return unix.Fstat(fd, &st) }); err != nil {
		return nil, Mark{}, false, err
	}
	now = markOf(&st, since)
	switch {
	case now.mode.IsDir():
		return nil, now, false, nil
	case !now.mode.IsRegular():
		return nil, now, false, errNotRegular
	case st.Size > max:
		return nil, now, false, tooLarge(st.Size, max)
	}
	data = make([]byte, 0, st.Size+1) // it may grow
	for {
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		var n int
		err := again(func() (err error) {
			n, err = unix.Read(fd, data[len(data):cap(data)])
			return err
		})
		if err != nil {
			return nil, now, false, err
		}
		full := n == cap(data)-len(data)
		data = data[:len(data)+n]
		if int64(len(data)) > max {
			return nil, now, false, tooLarge(int64(len(data)), max)
		}
		if n == 0 || !full && int64(len(data)) == st.Size { // there was room for more
			return data, now, true, nil
		}
	}
}

// again repeats a call for as long as it is interrupted.
func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// markOf is MarkOf of what the system tells.
func markOf(st *unix.Stat_t, since time.Time) Mark {
	m := Mark{device: uint64(st.Dev), inode: st.Ino, size: st.Size, modified: st.Mtim.Nano(), change: st.Ctim.Nano(), mode: modeOf(st.Mode)}
	m.Settled = max(m.change, m.modified) < since.UnixNano()
	return m
}

// modeOf returns a mode as package os has it.
func modeOf(mode uint32) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
		m |= fs.ModeDir
	case unix.S_IFLNK:
		m |= fs.ModeSymlink
	case unix.S_IFIFO:
		m |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		m |= fs.ModeSocket
	case unix.S_IFBLK:
		m |= fs.ModeDevice
	case unix.S_IFCHR:
		m |= fs.ModeDevice | fs.ModeCharDevice
	}
	for _, bit := range []struct {
		of uint32
		is fs.FileMode
	}{{unix.S_ISUID, fs.ModeSetuid}, {unix.S_ISGID, fs.ModeSetgid}, {unix.S_ISVTX, fs.ModeSticky}} {
		if mode&bit.of != 0 {
			m |= bit.is
		}
	}
	return m
}
