package bundles

import (
	"cmp"
	"context"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/toml"
	"github.com/certtrust/certtrust/store"
)

// registryReader is a program that has roots for single registries, in
// directories that are named after them.
type registryReader struct {
	title string // of the files
	who   string
	// dirs are where it looks for the directory of a registry: the first that has
	// one counts, and nothing is read of the others. ~ is the user's home, $CONFIG
	// what XDG_CONFIG_HOME names, and $UID the user's number.
	dirs []string
	// rights are whose it runs with, "root" or "user": a home counts only if it is
	// that of such a one. "" = it makes no difference.
	rights string
	// hosts: what a hosts.toml names counts, and not what lies beside it.
	hosts bool
	// set: containerd's own settings say where it looks.
	set bool
}

// registryReaders are those programs, as their documentation has it: that of
// Docker and Docker Desktop, containers-certs.d(5) of Podman, containerd's
// docs/hosts.md, and nerdctl's docs/registry.md. Podman before version 6 knows
// neither certs.rootful.d nor certs.rootless.d, nor anything in /usr/share.
var registryReaders = []registryReader{
	{title: "Docker", who: "Docker", dirs: []string{"/etc/docker/certs.d"}},
	{title: "Docker", who: "Docker on Windows", dirs: []string{"$ProgramData/docker/certs.d"}},
	{title: "Docker", who: "Docker without root's rights", rights: "user", dirs: []string{"$CONFIG/docker/certs.d"}},
	{title: "Docker", who: "Docker Desktop", dirs: []string{"~/.docker/certs.d"}},
	{title: "Podman", who: "root's Podman, Skopeo and Buildah", rights: "root", dirs: []string{
		"$CONFIG/containers/certs.d", "/etc/containers/certs.rootful.d", "/etc/containers/certs.d",
		"/usr/share/containers/certs.rootful.d", "/usr/share/containers/certs.d", "/etc/docker/certs.d",
	}},
	{title: "Podman", who: "users' Podman, Skopeo and Buildah", rights: "user", dirs: []string{
		"$CONFIG/containers/certs.d", "/etc/containers/certs.rootless.d/$UID", "/etc/containers/certs.rootless.d", "/etc/containers/certs.d",
		"/usr/share/containers/certs.rootless.d/$UID", "/usr/share/containers/certs.rootless.d", "/usr/share/containers/certs.d", "/etc/docker/certs.d",
	}},
	{title: "containerd", who: "containerd", hosts: true, set: true},
	{title: "containerd", who: "nerdctl", hosts: true, dirs: toml.DefaultDirs},
	{title: "containerd", who: "nerdctl without root's rights", rights: "user", hosts: true, dirs: []string{"$CONFIG/containerd/certs.d", "$CONFIG/docker/certs.d"}},
}

// everyOther stands for the registries without a directory of their own.
const everyOther = "every other registry"

// hostsFile is what containerd heeds in place of the other files beside it.
const hostsFile = "hosts.toml"

// expand returns where the reader looks on this machine.
func (r registryReader) expand(h *host.Host) (out []string) {
	user := r.rights == "" || (r.rights == "root") == (h.User.UID == 0)
	for _, dir := range r.dirs {
		base, rest, _ := strings.Cut(dir, "/")
		switch {
		case strings.HasSuffix(dir, "/$UID"):
			if !user || h.User.UID <= 0 {
				continue
			}
			dir = path.Join(path.Dir(dir), strconv.Itoa(h.User.UID))
		case base == "":
		case base == "$ProgramData":
			if h.OS != "windows" {
				continue
			}
			dir = path.Join(strings.ReplaceAll(h.Env("ProgramData"), `\`, "/"), rest)
		case !user || h.User.Home == "":
			continue
		case base == "$CONFIG":
			config := path.Join(h.User.Home, ".config")
			if own := h.Env("XDG_CONFIG_HOME"); h.User.Via == "" && path.IsAbs(own) {
				config = own
			}
			dir = path.Join(config, rest)
		default:
			dir = path.Join(h.User.Home, rest)
		}
		out = append(out, dir)
	}
	return out
}

// registryFile is a file of roots for registries, which somebody reads or could.
type registryFile struct {
	path, title string
	registries  []string
	readers     []string
}

// registryFiles returns the files, and the reasons for which some are not read.
func registryFiles(ctx context.Context, h *host.Host, because func(string, ...any)) (out []registryFile) {
	add := func(r registryReader, file, registry string, read bool) {
		i := slices.IndexFunc(out, func(o registryFile) bool { return o.path == file })
		if i < 0 {
			i, out = len(out), append(out, registryFile{path: file, title: r.title})
		}
		if !slices.Contains(out[i].registries, registry) {
			out[i].registries = append(out[i].registries, registry)
		}
		if read && !slices.Contains(out[i].readers, r.who) {
			out[i].readers = append(out[i].readers, r.who)
		}
	}
	for _, r := range registryReaders {
		dirs := r.expand(h)
		if r.set {
			settings := toml.ReadContainerd(h)
			switch {
			case len(settings.Dirs) > 0:
				dirs = settings.Dirs
				because("containerd looks for registries in %s: %s says so", store.Printable(strings.Join(dirs, " and ")), store.Printable(settings.From))
				if settings.Lost != "" {
					because("containerd before version 2.0 forgets that: %s sets something else of the same plugin", store.Printable(settings.Lost))
				}
			case settings.From != "":
				because("containerd looks for no registries: config_path at %s names no directory", store.Printable(settings.From))
			default:
				dirs, r.who = toml.DefaultDirs, "containerd from version 2.2 on"
			}
			for _, s := range settings.Hosts {
				if s.Name == "ca" && path.IsAbs(s.Text) {
					add(registryReader{title: r.title, who: "containerd before version 2"}, s.Text, s.Server, true)
				}
			}
		}
		first := map[string]string{} // the directory that counts for a registry
		for _, dir := range dirs {
			entries, err := h.ReadDir(dir)
			if err != nil || ctx.Err() != nil {
				continue
			}
			// What containerd looks for first goes before what has the same meaning.
			slices.SortStableFunc(entries, func(a, b fs.DirEntry) int {
				return cmp.Compare(strings.Count(b.Name(), "_"), strings.Count(a.Name(), "_"))
			})
			if strings.Contains(dir, "/certs.root") && len(entries) > 0 {
				because("%s is read by Podman from version 6 on; older ones go on to the next directory", store.Printable(dir))
			}
			for _, e := range entries[:min(len(entries), maxMatches)] {
				at := path.Join(dir, e.Name())
				if info, err := h.Stat(at); err != nil || !info.IsDir() || ofUser(at) {
					continue
				}
				registry := cmp.Or(toml.Registry(e.Name()), everyOther)
				if first[registry] == "" {
					first[registry] = at
				}
				r.files(h, at, first[registry], registry, add, because)
			}
		}
	}
	return out
}

// ofUser reports whether a directory holds those of a user, by number, and is none
// of a registry.
func ofUser(dir string) bool {
	_, err := strconv.Atoi(path.Base(dir))
	return err == nil && path.Base(path.Dir(dir)) == "certs.rootless.d"
}

// files adds what is in the directory of a registry; counts is the one that is
// heeded.
func (r registryReader) files(h *host.Host, at, counts, registry string, add func(registryReader, string, string, bool), because func(string, ...any)) {
	entries, err := h.ReadDir(at)
	if err != nil {
		return
	}
	named := map[string]bool{}
	heeded := false
	if r.hosts {
		data, err := h.ReadFile(path.Join(at, hostsFile), 1<<20)
		if err == nil && len(data) > 0 {
			settings, err := toml.Hosts(string(data))
			if heeded = err == nil; !heeded {
				because("%s is not heeded, for it is no TOML: %v", store.Printable(path.Join(at, hostsFile)), err)
				settings = nil
			}
			for _, s := range settings {
				if s = s.In(at); s.Name == "ca" {
					named[s.Text] = true
					add(r, s.Text, cmp.Or(s.Server, registry), at == counts)
				}
			}
		}
	}
	for _, e := range entries[:min(len(entries), maxMatches)] {
		file := path.Join(at, e.Name())
		if !strings.HasSuffix(file, ".crt") || named[file] {
			continue
		}
		why := ""
		switch {
		case at != counts:
			why = store.Printable(counts) + " comes before it"
		case heeded:
			why = hostsFile + " beside it does not name it"
		}
		if add(r, file, registry, why == ""); why != "" {
			because("%s (%s, for %s) is not read by %s: %s", store.Printable(file), r.title, store.Printable(registry), r.who, why)
		}
	}
}
