package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/windows"

	"github.com/certtrust/certtrust/store"
)

const (
	openPassive = 0

	defaultDir = "" // there is no root directory that all programs can be in
)

// errOtherDevice is what renaming from one volume to another ends with.
var errOtherDevice error = windows.ERROR_NOT_SAME_DEVICE

var kinds = []struct{ system, kind error }{
	{windows.ERROR_WRITE_PROTECT, store.ErrReadOnly},
	{windows.ERROR_SHARING_VIOLATION, store.ErrLocked},
	{windows.ERROR_INVALID_NAME, fs.ErrNotExist}, // no file can be called that
	{fs.ErrPermission, store.ErrPermission},
}

// patience is how long is waited for others who have a file open.
const patience, patienceStep = time.Second, 2 * time.Millisecond

// patiently does something again for as long as Windows refuses it because
// somebody else has the file open, be it for a moment: a reader who does not
// share it, a writer who gives it its name, a scanner for viruses. With denied,
// that can be told as a lack of rights, too: so it is if a file that is open is
// to be replaced or removed.
func patiently(denied bool, do func() error) error {
	for deadline := time.Now().Add(patience); ; {
		err := do()
		busy := errors.Is(err, windows.ERROR_SHARING_VIOLATION) || denied && errors.Is(err, windows.ERROR_ACCESS_DENIED)
		if !busy || time.Now().After(deadline) {
			return err
		}
		<-time.After(patienceStep)
	}
}

// openFile opens a file as [os.Root] does it: unlike [os.OpenFile], so that
// others may replace and remove it meanwhile.
func openFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	if dir, base := filepath.Split(name); base != "" && flag == os.O_RDONLY {
		if root, err := os.OpenRoot(dir); err == nil {
			defer root.Close()
			if f, err := root.OpenFile(base, flag, perm); err == nil {
				return f, nil
			} // or a link that leads out of the directory
		}
	}
	return os.OpenFile(name, flag, perm)
}

// rename renames a file as os.Root does it: unlike [os.Rename], over one that
// is open, if that is shared.
func rename(old, new string) error {
	if dir, base := filepath.Split(old); filepath.Dir(new) == filepath.Clean(dir) {
		if root, err := os.OpenRoot(dir); err == nil {
			defer root.Close()
			if root.Rename(base, filepath.Base(new)) == nil {
				return nil
			}
		}
	}
	return os.Rename(old, new)
}

func ownerOf(fs.FileInfo) (uid, gid int, ok bool) { return 0, 0, false }
func names(fs.FileInfo) uint64                    { return 1 }

// keepOwner: a new file inherits its rights from the directory.
func keepOwner(*os.File, fs.FileInfo) error { return nil }

// syncDir: directories cannot be flushed.
func syncDir(*os.File) error { return nil }

// mayWriteIn opens the directory for adding files, without adding one.
func mayWriteIn(dir string) bool {
	const addFile = 0x2 // FILE_ADD_FILE
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return false
	}
	handle, err := windows.CreateFile(name, addFile, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE,
		nil, windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		return false
	}
	windows.CloseHandle(handle)
	return true
}

var procReOpenFile = windows.NewLazySystemDLL("kernel32.dll").NewProc("ReOpenFile")

// Remove removes a file, link or empty directory. Systems that do not know how [os.Root] has it
// done (Wine) are told in the old way, by the handle of the file: the name is
// looked up by os.Root alone, so that it leads to nothing outside either way.
func (t inside) Remove(name string) error {
	err := t.Root.Remove(name)
	if !errors.Is(err, windows.ERROR_INVALID_FUNCTION) {
		return err
	}
	named, e := t.Lstat(name)
	if e != nil || !named.Mode().IsRegular() && !named.IsDir() {
		return err
	}
	f, e := t.OpenFile(name, os.O_RDONLY, 0)
	if e != nil {
		return e
	}
	defer f.Close()
	if opened, e := f.Stat(); e != nil || !os.SameFile(opened, named) {
		return err
	}
	share := uintptr(windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE)
	handle, _, e := procReOpenFile.Call(f.Fd(), windows.DELETE, share, windows.FILE_FLAG_BACKUP_SEMANTICS)
	if windows.Handle(handle) == windows.InvalidHandle {
		return e
	}
	defer windows.CloseHandle(windows.Handle(handle))
	remove := byte(1) // FILE_DISPOSITION_INFO
	return windows.SetFileInformationByHandle(windows.Handle(handle), windows.FileDispositionInfo, &remove, 1)
}

// lockAt is the byte that is locked: far behind the content, which others must
// be able to read.
var lockAt = windows.Overlapped{OffsetHigh: 0x7fffffff}

func tryLock(f *os.File) (bool, error) {
	at := lockAt
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return false, nil
	}
	return err == nil, err
}

func releaseLock(f *os.File) {
	at := lockAt
	windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, &at)
}

func prepare(cmd *exec.Cmd, c Command) error {
	if c.Rights != nil {
		return store.Because(store.ErrUnsupported, "programs are not run as another user here")
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{HideWindow: !c.Foreground}
	return nil
}

func killRest(*exec.Cmd, Command) {}

func start(cmd *exec.Cmd) error { return cmd.Start() }

// processStart returns when a process began (100 ns since 1601).
func processStart(pid int) (string, bool) {
	const stillActive = 259 // STILL_ACTIVE
	handle, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		return "", errors.Is(err, windows.ERROR_ACCESS_DENIED)
	}
	defer windows.CloseHandle(handle)
	var code uint32
	if windows.GetExitCodeProcess(handle, &code) == nil && code != stillActive {
		return "", false // somebody still has it open
	}
	var created, exited, kernel, user windows.Filetime
	if windows.GetProcessTimes(handle, &created, &exited, &kernel, &user) != nil {
		return "", true
	}
	return fmt.Sprintf("%d.%d", created.HighDateTime, created.LowDateTime), true
}

// readlinkIn returns what is written in a link in an open directory, whose name
// in the tree is at.
func readlinkIn(t tree, _ *os.File, at, name string, _ []byte) (string, error) {
	return t.Readlink(filepath.Join(at, name))
}

// readInto reads a file of an open directory.
func readInto(buf *bytes.Buffer, dir *os.File, name string, max int) error {
	f, err := whole{}.OpenFile(filepath.Join(dir.Name(), name), os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := buf.ReadFrom(io.LimitReader(f, int64(max)+1)); err != nil {
		return err
	}
	if buf.Len() > max {
		return ErrTooLarge
	}
	return nil
}
