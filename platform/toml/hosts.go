package toml

import (
	"path"
	"strings"
)

// Host is a setting in a hosts.toml of containerd, which has one in a directory
// for each registry (containerd, docs/hosts.md).
type Host struct {
	// Server is the address of the registry, or of what stands in for it.
	Server string
	Name   string
	Text   string // of an array each is a setting
	Line   int
	File   string // "" = the one that was read
}

// Hosts returns what a hosts.toml says. What is said of the registry itself has no
// Server unless it is told: see [Host.In].
func Hosts(text string) (out []Host, err error) {
	values, err := Read(text)
	if err != nil {
		return nil, err
	}
	server := ""
	for _, v := range values {
		if len(v.Keys) == 1 && v.Keys[0] == "server" {
			server = v.Text
		}
	}
	for _, v := range values {
		of := server
		switch {
		case len(v.Keys) == 3 && v.Keys[0] == "host":
			of = v.Keys[1]
		case len(v.Keys) != 1:
			continue
		}
		for _, text := range v.Texts() {
			out = append(out, Host{Server: Address(of), Name: v.Keys[len(v.Keys)-1], Text: text, Line: v.Line})
		}
	}
	return out, nil
}

// In returns the setting as it is in a directory: that is named after the
// registry, and files are looked for in it.
func (h Host) In(dir string) Host {
	if h.Server == "" {
		h.Server = Registry(path.Base(dir))
	}
	if h.Name == "ca" && !path.IsAbs(h.Text) {
		h.Text = path.Join(dir, h.Text)
	}
	return h
}

// Address takes the scheme and the path off the address of a registry.
func Address(url string) string {
	if _, rest, ok := strings.Cut(url, "://"); ok {
		url = rest
	}
	url, _, _ = strings.Cut(url, "/")
	return url
}

// Registry returns the registry after which a directory of containerd, Docker or
// Podman is named, "" for the one that is for all others.
func Registry(dir string) string {
	if dir == "_default" {
		return ""
	}
	if name, ok := strings.CutSuffix(dir, "_"); ok {
		if i := strings.LastIndexByte(name, '_'); i > 0 {
			return name[:i] + ":" + name[i+1:]
		}
	}
	return dir
}
