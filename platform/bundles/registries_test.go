package bundles

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// Files for single registries are told with the registry, and with who reads them.
// What containerd reads its settings say, if there are any that can be read, and
// not what lies beside; of several directories for a registry the first counts.
func TestRegistries(t *testing.T) {
	const certs, config = "/etc/containerd/certs.d", "/etc/containerd/config.toml"
	pem := string(storetest.NewCA(t).PEM())
	for _, c := range []struct {
		name  string
		files map[string]string
		root  bool                // whoever looks is root
		want  map[store.ID]string // the title, and who reads it
		why   []string
	}{
		{"nobody has said where", map[string]string{
			"/etc/docker/certs.d/r.example:5000/ca.crt": pem,
			certs + "/a.example_5000_/ca.crt":           pem,
			certs + "/b.example/hosts.toml":             "server = 'https://b.example'\nca = 'own.pem'\n[host.'https://mirror.example:8443/v2']\nca = [\"own.pem\", \"/srv/more.pem\"]\n",
			certs + "/b.example/own.pem":                pem,
			certs + "/b.example/other.crt":              pem,
			certs + "/c.example/hosts.toml":             "ca = 'own.pem\n",
			certs + "/c.example/ca.crt":                 pem,
			certs + "/_default/hosts.toml":              "ca = '/srv/all.pem'\n",
			"/srv/more.pem":                             pem,
			"/srv/all.pem":                              pem,
		}, false, map[store.ID]string{
			"file:/etc/docker/certs.d/r.example:5000/ca.crt": "Docker, for r.example:5000: Docker; root's Podman, Skopeo and Buildah; users' Podman, Skopeo and Buildah; containerd from version 2.2 on; nerdctl",
			"file:" + certs + "/a.example_5000_/ca.crt":      "containerd, for a.example:5000: containerd from version 2.2 on; nerdctl",
			"file:" + certs + "/b.example/own.pem":           "containerd, for b.example, mirror.example:8443: containerd from version 2.2 on; nerdctl",
			"file:" + certs + "/b.example/other.crt":         "containerd, for b.example, not in force: ",
			"file:/srv/more.pem":                             "containerd, for mirror.example:8443: containerd from version 2.2 on; nerdctl",
			"file:" + certs + "/c.example/ca.crt":            "containerd, for c.example: containerd from version 2.2 on; nerdctl",
			"file:/srv/all.pem":                              "containerd, for every other registry: containerd from version 2.2 on; nerdctl",
		}, []string{"b.example/other.crt (containerd, for b.example) is not read by nerdctl: hosts.toml beside it does not name it", "/etc/docker/certs.d/r.example:5000/ca.crt (Docker, for r.example:5000) is beside the system's roots", "c.example/hosts.toml is not heeded"}},

		{"containerd is told where, in version 3", map[string]string{
			config:                                "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/srv/first:/srv/second'\n",
			"/srv/first/r.example/ca.crt":         pem,
			"/srv/second/r.example/ca.crt":        pem,
			"/srv/second/s.example:1/ca.crt":      pem,
			"/srv/second/s.example_1_/own.crt":    pem,
			certs + "/r.example/ca.crt":           pem,
			"/etc/docker/certs.d/t.example/c.crt": pem,
		}, false, map[store.ID]string{
			"file:/srv/first/r.example/ca.crt":         "containerd, for r.example: containerd",
			"file:/srv/second/r.example/ca.crt":        "containerd, for r.example, not in force: ",
			"file:/srv/second/s.example_1_/own.crt":    "containerd, for s.example:1: containerd",
			"file:/srv/second/s.example:1/ca.crt":      "containerd, for s.example:1, not in force: ",
			"file:" + certs + "/r.example/ca.crt":      "containerd, for r.example: nerdctl",
			"file:/etc/docker/certs.d/t.example/c.crt": "Docker, for t.example: Docker; root's Podman, Skopeo and Buildah; users' Podman, Skopeo and Buildah; nerdctl",
		}, []string{"containerd looks for registries in /srv/first and /srv/second: /etc/containerd/config.toml:3 says so", "/srv/second/r.example/ca.crt (containerd, for r.example) is not read by containerd: /srv/first/r.example comes before it"}},

		{"containerd is told that there are none", map[string]string{
			config:                      "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry]\nconfig_path = ''\n",
			certs + "/r.example/ca.crt": pem,
		}, false, map[store.ID]string{"file:" + certs + "/r.example/ca.crt": "containerd, for r.example: nerdctl"},
			[]string{"containerd looks for no registries: config_path at /etc/containerd/config.toml:3 names no directory"}},

		{"containerd of old names files", map[string]string{
			config:        "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry.configs.'r.example:5000'.tls]\nca_file = '/srv/ca.crt'\n",
			"/srv/ca.crt": pem,
		}, false, map[store.ID]string{"file:/srv/ca.crt": "containerd, for r.example:5000: containerd before version 2"}, nil},

		{"Podman of a user", map[string]string{
			"/home/user/.config/containers/certs.d/a.example/ca.crt": pem,
			"/etc/containers/certs.rootful.d/a.example/ca.crt":       pem,
			"/etc/containers/certs.rootless.d/1000/b.example/ca.crt": pem,
			"/etc/containers/certs.rootless.d/b.example/ca.crt":      pem,
			"/etc/containers/certs.d/a.example/ca.crt":               pem,
			"/etc/containers/certs.d/c.example/README":               "nothing else",
			"/usr/share/containers/certs.d/c.example/ca.crt":         pem,
			"/usr/share/containers/certs.d/d.example/ca.crt":         pem,
			"/etc/docker/certs.d/d.example/ca.crt":                   pem,
			"/home/user/.config/docker/certs.d/e.example/ca.crt":     pem,
			"/home/user/.docker/certs.d/f.example/ca.crt":            pem,
		}, false, map[store.ID]string{
			"file:/home/user/.config/containers/certs.d/a.example/ca.crt": "Podman, for a.example: users' Podman, Skopeo and Buildah",
			"file:/etc/containers/certs.rootful.d/a.example/ca.crt":       "Podman, for a.example: root's Podman, Skopeo and Buildah",
			"file:/etc/containers/certs.rootless.d/1000/b.example/ca.crt": "Podman, for b.example: users' Podman, Skopeo and Buildah",
			"file:/etc/containers/certs.rootless.d/b.example/ca.crt":      "Podman, for b.example, not in force: ",
			"file:/etc/containers/certs.d/a.example/ca.crt":               "Podman, for a.example, not in force: ",
			"file:/usr/share/containers/certs.d/c.example/ca.crt":         "Podman, for c.example, not in force: ",
			"file:/usr/share/containers/certs.d/d.example/ca.crt":         "Podman, for d.example: root's Podman, Skopeo and Buildah; users' Podman, Skopeo and Buildah",
			"file:/etc/docker/certs.d/d.example/ca.crt":                   "Docker, for d.example: Docker; containerd from version 2.2 on; nerdctl",
			"file:/home/user/.config/docker/certs.d/e.example/ca.crt":     "Docker, for e.example: Docker without root's rights; nerdctl without root's rights",
			"file:/home/user/.docker/certs.d/f.example/ca.crt":            "Docker, for f.example: Docker Desktop",
		}, []string{"/etc/containers/certs.d/a.example/ca.crt (Podman, for a.example) is not read by root's Podman, Skopeo and Buildah: /etc/containers/certs.rootful.d/a.example comes before it", "/etc/containers/certs.rootful.d is read by Podman from version 6 on"}},

		{"Podman of root", map[string]string{
			"/root/.config/containers/certs.d/a.example/ca.crt": pem,
			"/etc/containers/certs.d/a.example/ca.crt":          pem,
		}, true, map[store.ID]string{
			"file:/root/.config/containers/certs.d/a.example/ca.crt": "Podman, for a.example: root's Podman, Skopeo and Buildah",
			"file:/etc/containers/certs.d/a.example/ca.crt":          "Podman, for a.example: users' Podman, Skopeo and Buildah",
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t)
			for file, text := range c.files {
				b.write(file, text)
			}
			if b.host.User.UID = 1000; c.root {
				b.host.EUID, b.host.User.UID, b.host.User.Home = 0, 0, "/root"
			}
			got := map[store.ID]string{}
			system, why := DetectSystem(t.Context(), b.host)
			user, _ := DetectUser(t.Context(), b.host)
			for _, s := range append(system, user...) {
				i := s.Info()
				got[i.ID] = i.Title + ": " + strings.Join(i.Readers, "; ")
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			for _, part := range c.why {
				if !strings.Contains(strings.Join(why, "\n"), part) {
					t.Errorf("%q is not among the reasons %q", part, why)
				}
			}
		})
	}
}
