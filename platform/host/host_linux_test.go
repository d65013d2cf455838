package host

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// What is passed over as a thread of the kernel is no program that counts.
func TestKernelThreads(t *testing.T) {
	threads := kernelThreads()
	if len(threads) == 0 {
		t.Skip("they are not told here")
	}
	if threads[os.Getpid()] || threads[os.Getppid()] || threads[1] || !threads[2] {
		t.Errorf("a program is taken for a thread of the kernel: %v", threads)
	}
	room := make([]byte, 4096)
	for pid := range threads {
		if line := commandLine(strconv.Itoa(pid), room); len(line) > 0 {
			t.Logf("%d is %q", pid, line) // one that the kernel has started
		}
	}
}

func TestWriteFileKeepsLabel(t *testing.T) {
	root := t.TempDir()
	write(t, root, "/file", "old", 0o644)
	name := filepath.Join(root, "file")
	label := "system_u:object_r:cert_t:s0\x00"
	if err := unix.Setxattr(name, "security.selinux", []byte(label), 0); err != nil {
		t.Skip("labels cannot be set here:", err)
	}
	if err := Fake(root).WriteFile("/file", []byte("new"), WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, _ := attribute(f, "security.selinux"); string(got) != label {
		t.Errorf("the label is %q", got)
	}
	if data, _ := os.ReadFile(name); string(data) != "new" {
		t.Errorf("content %q", data)
	}
}

// A container's processes are listed too, but work on files of their own.
func TestShares(t *testing.T) {
	h := Local()
	self := Process{PID: os.Getpid()}
	if !h.Shares(self, "/proc/self/root/") {
		t.Error("this process does not share its own root")
	}
	if h.Shares(Process{PID: 1 << 30}, "/") {
		t.Error("a process that is not there shares the root")
	}
}
