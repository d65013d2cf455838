package toml

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store/storetest"
)

// What containerd is told of registries is read as the version of each file has
// it, and what it imports counts more.
func TestReadContainerd(t *testing.T) {
	const config, more = "/etc/containerd/config.toml", "/etc/containerd/conf.d/10-registry.toml"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"nothing", nil, ""},
		{"version 3", map[string]string{config: "version = 3\n[plugins]\n  [plugins.'io.containerd.cri.v1.images'.registry]\n    config_path = '/etc/containerd/certs.d:/etc/docker/certs.d'\n"},
			"/etc/containerd/certs.d /etc/docker/certs.d by /etc/containerd/config.toml:4"},
		{"version 2", map[string]string{config: "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = \"/srv/certs.d/\"\n"}, "/srv/certs.d by /etc/containerd/config.toml:3"},
		{"version 1", map[string]string{config: "[plugins.cri.registry]\nconfig_path = '/srv/one'\n"}, "/srv/one by /etc/containerd/config.toml:2"},
		{"the key of another version", map[string]string{config: "version = 2\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/srv/three'\n"}, ""},
		{"of something else", map[string]string{config: "version = 3\n[plugins.'io.containerd.nri.v1.nri']\nplugin_config_path = '/etc/nri'\n[plugins.'io.containerd.transfer.v1.local']\nconfig_path = '/srv/transfer'\n"}, ""},
		{"none", map[string]string{config: "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = ''\n"}, "none by /etc/containerd/config.toml:3"},
		{"relative", map[string]string{config: "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = 'certs.d:/srv/c'\n"}, "/srv/c by /etc/containerd/config.toml:3"},
		{"imported, in another version", map[string]string{
			config: "version = 2\nimports = ['conf.d/*.toml', '/none/*.toml']\n[plugins.'io.containerd.grpc.v1.cri'.registry]\nconfig_path = '/srv/two'\n",
			more:   "version = 3\nimports = ['/etc/containerd/config.toml']\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/srv/three'\n", "/etc/containerd/conf.d/20-damaged.toml": "version = 3\n= x"},
			"/srv/three by " + more + ":4"},
		{"imported, something else of the plugin", map[string]string{
			config: "version = 2\nimports = ['/etc/containerd/conf.d/*.toml']\n[plugins.'io.containerd.grpc.v1.cri'.registry]\nconfig_path = '/srv/two'\n",
			more:   "version = 2\n[plugins.'io.containerd.grpc.v1.cri']\nsandbox_image = 'x'\n"},
			"/srv/two by /etc/containerd/config.toml:4, lost by " + more},
		{"without the main file", map[string]string{more: "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/srv/part'\n"}, "/srv/part by " + more + ":3"},
		{"single registries", map[string]string{config: "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry.configs.'r.example:5000'.tls]\nca_file = '/srv/ca.crt'\ninsecure_skip_verify = true\n[plugins.'io.containerd.grpc.v1.cri'.registry.configs.'r.example:5000'.auth]\nusername = 'x'\n"},
			"\nr.example:5000 ca=/srv/ca.crt of /etc/containerd/config.toml:3\nr.example:5000 skip_verify=true of /etc/containerd/config.toml:4"},
		{"directories stand in for them", map[string]string{config: "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry]\nconfig_path = '/srv/two'\n[plugins.'io.containerd.grpc.v1.cri'.registry.configs.'r.example'.tls]\nca_file = '/srv/ca.crt'\n"}, "/srv/two by /etc/containerd/config.toml:3"},
		{"damaged", map[string]string{config: "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry]\nconfig_path = '/srv\n"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := storetest.TempDir(t)
			for name, text := range c.files {
				file := filepath.Join(root, filepath.FromSlash(name))
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			read := ReadContainerd(host.Fake(root))
			got := strings.Join(read.Dirs, " ")
			if read.From != "" {
				if got == "" {
					got = "none"
				}
				got += " by " + read.From
				if read.Lost != "" {
					got += ", lost by " + read.Lost
				}
			}
			for _, h := range read.Hosts {
				got += fmt.Sprintf("\n%s %s=%s of %s:%d", h.Server, h.Name, h.Text, h.File, h.Line)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
