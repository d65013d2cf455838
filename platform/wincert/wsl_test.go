package wincert_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/wincert"
	"github.com/certtrust/certtrust/store/storetest"
)

func TestWSL(t *testing.T) {
	const kernel = "Linux version 5.15.90.1-microsoft-standard-WSL2"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string // "" = nothing is told
	}{
		{"Linux", map[string]string{"proc/version": "Linux version 6.1"}, ""},
		{"WSL", map[string]string{"proc/version": kernel, "proc/sys/fs/binfmt_misc/WSLInterop": "", "mnt/c/Windows/System32/certutil.exe": ""}, "'/mnt/c/Windows/System32/certutil.exe' -user -addstore Root"},
		{"WSL with systemd", map[string]string{"proc/version": kernel, "proc/sys/fs/binfmt_misc/WSLInterop-late": "", "mnt/c/Windows/System32/certutil.exe": ""}, "-store Root"},
		{"drives elsewhere", map[string]string{"proc/version": kernel, "proc/sys/fs/binfmt_misc/WSLInterop": "", "etc/wsl.conf": "[automount]\nroot = /win dows/\n", "win dows/c/Windows/System32/certutil.exe": ""}, "'/win dows/c/Windows/System32/certutil.exe' -store Root"},
		{"programs switched off", map[string]string{"proc/version": kernel, "mnt/c/Windows/System32/certutil.exe": ""}, "cannot be run from here"},
	} {
		root := storetest.TempDir(t)
		for name, text := range c.files {
			p := filepath.Join(root, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got := strings.Join(wincert.WSL(host.Fake(root)), "\n")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, not %q", c.name, got, c.want)
		}
	}
}
