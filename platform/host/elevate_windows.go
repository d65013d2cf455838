package host

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/certtrust/certtrust/store"
)

// A program that Windows starts as administrator (UAC) inherits nothing of who
// asked: not its input and output either. They go through a named pipe, whose
// name is the program's last argument. It can be opened by this user and by
// administrators, once, and only by the program that was started.

var procShellExecuteEx = windows.NewLazySystemDLL("shell32.dll").NewProc("ShellExecuteExW")

// shellExecuteInfo is SHELLEXECUTEINFOW.
type shellExecuteInfo struct {
	size, mask                  uint32
	window                      uintptr
	verb, file, parameters, dir *uint16
	show                        int32
	instance, list              uintptr
	class                       *uint16
	classKey                    uintptr
	hotKey                      uint32
	icon                        uintptr
	process                     windows.Handle
}

func (h *Host) runElevated(ctx context.Context, c Command) (Output, error) {
	fail := func(err error) (Output, error) {
		return Output{}, &ExecError{Args: c.Args, ExitCode: -1, Err: err}
	}
	var request []byte
	if c.Stdin != nil {
		var err error
		if request, err = io.ReadAll(c.Stdin); err != nil {
			return fail(err)
		}
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = runTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	name, pipe, err := newPipe()
	if err != nil {
		return fail(err)
	}
	server := os.NewFile(uintptr(pipe), name)
	defer server.Close()
	process, err := startElevated(append(append([]string{}, c.Args...), name))
	if err != nil {
		return fail(err)
	}
	defer windows.CloseHandle(process)
	pid, _ := windows.GetProcessId(process)

	type answer struct {
		data []byte
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		data, err := converse(pipe, server, pid, request, c.Keep)
		done <- answer{data, err}
	}()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if event, err := windows.WaitForSingleObject(process, 200); err != nil || event == windows.WAIT_OBJECT_0 {
				return
			}
		}
	}()
	select {
	case a := <-done:
		cancel()
		<-ended
		if a.err != nil {
			return fail(a.err)
		}
		return Output{Stdout: a.data}, nil
	case <-ended:
	}
	if ctx.Err() == nil { // its answer may still be on its way
		select {
		case a := <-done:
			if a.err != nil {
				return fail(a.err)
			}
			return Output{Stdout: a.data}, nil
		case <-time.After(time.Second):
		}
	}
	// Nobody has come, or nobody goes on: whoever waits at the pipe is woken.
	if text, err := windows.UTF16PtrFromString(name); err == nil {
		if own, err := windows.CreateFile(text, windows.GENERIC_READ, 0, nil, windows.OPEN_EXISTING, 0, 0); err == nil {
			windows.CloseHandle(own)
		}
	}
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	return fail(errors.New("it ended without an answer"))
}

// newPipe makes the pipe.
func newPipe() (string, windows.Handle, error) {
	var tail [16]byte
	rand.Read(tail[:]) // never fails
	name := `\\.\pipe\certtrust-` + hex.EncodeToString(tail[:])
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return "", 0, err
	}
	descriptor, err := windows.SecurityDescriptorFromString("D:P(A;;GA;;;" + user.User.Sid.String() + ")(A;;GA;;;BA)")
	if err != nil {
		return "", 0, err
	}
	attributes := windows.SecurityAttributes{SecurityDescriptor: descriptor}
	attributes.Length = uint32(unsafe.Sizeof(attributes))
	text, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return "", 0, err
	}
	const buffer = 1 << 16
	pipe, err := windows.CreateNamedPipe(text, windows.PIPE_ACCESS_DUPLEX|windows.FILE_FLAG_FIRST_PIPE_INSTANCE,
		windows.PIPE_TYPE_BYTE|windows.PIPE_WAIT|windows.PIPE_REJECT_REMOTE_CLIENTS, 1, buffer, buffer, 0, &attributes)
	runtime.KeepAlive(descriptor)
	return name, pipe, err
}

// startElevated has Windows ask the person, and start the program.
func startElevated(args []string) (windows.Handle, error) {
	const keepProcess, noAsync = 0x40, 0x100 // SEE_MASK_NOCLOSEPROCESS, SEE_MASK_NOASYNC
	var texts [3]*uint16
	for i, s := range []string{"runas", args[0], windows.ComposeCommandLine(args[1:])} {
		var err error
		if texts[i], err = windows.UTF16PtrFromString(s); err != nil {
			return 0, err
		}
	}
	info := shellExecuteInfo{mask: keepProcess | noAsync, verb: texts[0], file: texts[1], parameters: texts[2]}
	info.size = uint32(unsafe.Sizeof(info))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ok, _, err := procShellExecuteEx.Call(uintptr(unsafe.Pointer(&info)))
	switch {
	case ok != 0 && info.process != 0:
		return info.process, nil
	case errors.Is(err, windows.ERROR_CANCELLED):
		return 0, store.Because(store.ErrConsent, "administrator rights were declined in the Windows dialog")
	case ok != 0:
		return 0, errors.New("it is not told which program was started")
	}
	return 0, err
}

// converse gives the program that comes to the pipe its input, and returns its
// output.
func converse(pipe windows.Handle, server *os.File, pid uint32, request []byte, keep int64) ([]byte, error) {
	if err := windows.ConnectNamedPipe(pipe, nil); err != nil && !errors.Is(err, windows.ERROR_PIPE_CONNECTED) {
		return nil, err
	}
	var client uint32
	if err := windows.GetNamedPipeClientProcessId(pipe, &client); err == nil && client != pid {
		return nil, store.Because(store.ErrPermission, "another program (process %d) came instead of the one that was started", client)
	}
	head := binary.LittleEndian.AppendUint64(nil, uint64(len(request)))
	if _, err := server.Write(append(head, request...)); err != nil {
		return nil, err
	}
	if keep == 0 {
		keep = keepOutput
	}
	data, err := io.ReadAll(io.LimitReader(server, keep))
	if errors.Is(err, windows.ERROR_BROKEN_PIPE) {
		err = nil
	}
	return data, err
}

// ElevatedPipe opens the pipe of a program that was started with other rights,
// and returns its input, and where its output goes.
func ElevatedPipe(name string) (io.Reader, io.WriteCloser, error) {
	const prefix = `\\.\pipe\certtrust-`
	if len(name) != len(prefix)+32 || name[:len(prefix)] != prefix {
		return nil, nil, store.Because(store.ErrInput, "this is not the name of such a pipe")
	}
	text, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, nil, err
	}
	// Who serves the pipe may know who this is, but not act as that.
	const identify = 0x00100000 | 0x00010000 // SECURITY_SQOS_PRESENT, SECURITY_IDENTIFICATION
	handle, err := windows.CreateFile(text, windows.GENERIC_READ|windows.GENERIC_WRITE, 0, nil, windows.OPEN_EXISTING, identify, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("the pipe to who has asked: %w", err)
	}
	pipe := os.NewFile(uintptr(handle), name)
	var head [8]byte
	if _, err := io.ReadFull(pipe, head[:]); err != nil {
		pipe.Close()
		return nil, nil, err
	}
	return io.LimitReader(pipe, int64(binary.LittleEndian.Uint64(head[:])&(1<<62-1))), pipe, nil
}
