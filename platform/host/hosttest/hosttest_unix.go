//go:build unix && !solaris && !aix

package hosttest

import (
	"io"
	"os"
	"syscall"
)

func mkfifo(file string) error { return syscall.Mkfifo(file, 0o644) }

func recordLock(file string) error {
	fd, err := syscall.Open(file, syscall.O_RDWR|syscall.O_CREAT|syscall.O_CLOEXEC, 0o640)
	if err != nil {
		return &os.PathError{Op: "open", Path: file, Err: err}
	}
	return syscall.FcntlFlock(uintptr(fd), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart})
}
