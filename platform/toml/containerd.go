package toml

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/platform/host"
)

// Containerd is what containerd's own settings say of registries.
type Containerd struct {
	// Dirs are where it looks for a directory of a registry: the first that has one
	// counts. They are nil if nothing says so.
	Dirs []string
	From string // file and line
	// Lost is an imported file that sets something else of the same plugin: versions
	// before 2.0 then forget what files before it have said of it.
	Lost string
	// Hosts are settings for single registries in the same files, which versions
	// before 2 heed if no Dirs are set.
	Hosts []Host
}

// Files returns the files that Hosts are from.
func (c Containerd) Files() (out []string) {
	for _, s := range c.Hosts {
		if !slices.Contains(out, s.File) {
			out = append(out, s.File)
		}
	}
	return out
}

// HostsFiles returns patterns of the files that say more of single registries.
func (c Containerd) HostsFiles() (out []string) {
	dirs := c.Dirs
	if c.From == "" {
		dirs = DefaultDirs
	}
	for _, dir := range dirs {
		out = append(out, dir+"/*/hosts.toml")
	}
	return out
}

// DefaultDirs are where containerd looks without being told to, from version 2.2
// on, and nerdctl always; older ones look nowhere.
var DefaultDirs = []string{"/etc/containerd/certs.d", "/etc/docker/certs.d"}

const (
	containerdConfig = "/etc/containerd/config.toml"
	containerdParts  = "/etc/containerd/conf.d/*.toml" // what is read without it, from version 2.2 on
	maxConfig        = 1 << 20
	maxImports       = 100
)

// registryTables are the tables with what is said of registries, by the version
// that a file says it is of (containerd, docs/cri/registry.md and docs/hosts.md).
var registryTables = map[string][]string{
	"":  {"plugins", "cri", "registry"},
	"1": {"plugins", "cri", "registry"},
	"2": {"plugins", "io.containerd.grpc.v1.cri", "registry"},
	"3": {"plugins", "io.containerd.cri.v1.images", "registry"},
	"4": {"plugins", "io.containerd.cri.v1.images", "registry"},
}

// ReadContainerd reads the settings of containerd, and the files that they import,
// which count more. A file that is no TOML says nothing.
func ReadContainerd(h *host.Host) (out Containerd) {
	files := []string{containerdConfig}
	if _, err := h.Stat(containerdConfig); errors.Is(err, fs.ErrNotExist) {
		files = imported(h, "/", containerdParts, nil)
	}
	for i := 0; i < len(files) && i < maxImports; i++ {
		data, err := h.ReadFile(files[i], maxConfig)
		if err != nil {
			continue
		}
		values, err := Read(string(data))
		if err != nil {
			continue
		}
		for _, v := range values {
			if !slices.Equal(v.Keys, []string{"imports"}) {
				continue
			}
			for _, pattern := range v.Texts() {
				files = append(files, imported(h, path.Dir(files[i]), pattern, files)...)
			}
		}
		if out.From != "" && ofPlugin(values) {
			out.Lost = files[i]
		}
		for _, s := range registrySettings(values, versionOf(values)) {
			switch {
			case s.Name == "config_path":
				out.Dirs, out.Lost, out.From = nil, "", fmt.Sprintf("%s:%d", files[i], s.Line)
				for dir := range strings.SplitSeq(s.Text, ":") {
					if path.IsAbs(dir) {
						out.Dirs = append(out.Dirs, path.Clean(dir))
					}
				}
			default:
				s.File = files[i]
				out.Hosts = append(out.Hosts, s)
			}
		}
	}
	if len(out.Dirs) > 0 {
		out.Hosts = nil // it refuses to start with both
	}
	return out
}

// registrySettings returns what the values of a file say of registries: where
// directories for them are (without a Server), and of single ones.
func registrySettings(values []Value, version string) (out []Host) {
	table := registryTables[version]
	for _, v := range values {
		if table == nil || len(v.Keys) <= len(table) || !slices.Equal(v.Keys[:len(table)], table) {
			continue
		}
		switch keys := v.Keys[len(table):]; {
		case len(keys) == 1 && keys[0] == "config_path":
			out = append(out, Host{Name: keys[0], Text: v.Text, Line: v.Line})
		case len(keys) == 4 && keys[0] == "configs" && keys[2] == "tls":
			if name := map[string]string{"ca_file": "ca", "insecure_skip_verify": "skip_verify"}[keys[3]]; name != "" {
				out = append(out, Host{Server: Address(keys[1]), Name: name, Text: v.Text, Line: v.Line})
			}
		}
	}
	return out
}

// ofPlugin reports whether a file of a version before 3 sets anything of the plugin
// that knows registries.
func ofPlugin(values []Value) bool {
	table := registryTables[versionOf(values)]
	return slices.ContainsFunc(values, func(v Value) bool {
		return len(v.Keys) > 2 && table != nil && versionOf(values) < "3" && slices.Equal(v.Keys[:2], table[:2])
	})
}

// imported returns the files that a pattern names, less those that are known.
func imported(h *host.Host, dir, pattern string, known []string) (out []string) {
	if !path.IsAbs(pattern) {
		pattern = path.Join(dir, pattern)
	}
	entries, err := h.ReadDir(path.Dir(pattern))
	if err != nil {
		return nil
	}
	for _, e := range entries {
		file := path.Join(path.Dir(pattern), e.Name())
		if ok, _ := path.Match(path.Base(pattern), e.Name()); ok && !slices.Contains(known, file) {
			out = append(out, file)
		}
	}
	return out
}

// RegistryHosts returns what a config.toml itself says of single registries.
func RegistryHosts(text string) (out []Host) {
	values, err := Read(text)
	if err != nil {
		return nil
	}
	for _, s := range registrySettings(values, versionOf(values)) {
		if s.Server != "" {
			out = append(out, s)
		}
	}
	return out
}

func versionOf(values []Value) string {
	for _, v := range values {
		if slices.Equal(v.Keys, []string{"version"}) {
			return v.Text
		}
	}
	return ""
}
