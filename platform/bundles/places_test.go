package bundles

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/platform/clients"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// Each bundle is found once, owned by whom it should be, and is for whoever names
// it; what follows the system is told and is no store.
func TestPlaces(t *testing.T) {
	b := newBox(t)
	pem := string(storetest.NewCA(t).PEM())
	for _, file := range []string{
		"/etc/ssl/certs/ca-certificates.crt",
		"/usr/lib/python3.13/site-packages/certifi/cacert.pem",
		"/home/user/.pyenv/versions/3.12.1/lib/python3.12/site-packages/pip/_vendor/certifi/cacert.pem",
		"/usr/lib/google-cloud-sdk/lib/third_party/certifi/cacert.pem",
		"/usr/lib/google-cloud-sdk/platform/gsutil/gslib/data/cacerts.txt",
		"/usr/lib/google-cloud-sdk/platform/bundledpythonunix/lib/python3.12/site-packages/grpc/_cython/_credentials/roots.pem",
		"/usr/local/aws-cli/v2/current/dist/awscli/botocore/cacert.pem",
		"/home/user/miniforge3/ssl/cacert.pem",
		"/home/user/miniforge3/envs/x/lib/python3.12/site-packages/certifi/cacert.pem",
		"/home/user/code/.venv/lib/python3.12/site-packages/certifi/cacert.pem",
		"/home/linuxbrew/.linuxbrew/etc/openssl@3/cert.pem",
		"/usr/lib/python3.12/site-packages/pip/_vendor/certifi/cacert.pem",
		"/usr/lib/python3.9/site-packages/pip/_vendor/certifi/cacert.pem",
		"/etc/docker/certs.d/registry.example:5000/ca.crt",
		"/home/user/.config/containers/certs.d/registry.example/ca.crt",
		"/usr/lib/python3/dist-packages/certifi/cacert.pem",
	} {
		b.write(file, pem)
	}
	b.write("/usr/lib/python3/dist-packages/certifi/core.py", `return "/etc/ssl/certs/ca-certificates.crt"`)
	linked := "/usr/local/lib/python3.11/site-packages/certifi/cacert.pem"
	b.write(linked, "")
	if err := errors.Join(os.Remove(b.file(linked)), os.Symlink("/etc/ssl/certs/ca-certificates.crt", b.file(linked))); err != nil {
		t.Fatal(err)
	}
	// pip of one version, for a Python that it takes the system's roots with and for
	// one that it does not.
	b.write("/usr/lib/python3.12/site-packages/pip/__init__.py", "from x import y\n\n__version__ = \"24.2\"\n")
	b.write("/usr/lib/python3.9/site-packages/pip/__init__.py", "__version__ = \"24.2\"\n")
	b.host.Env = func(name string) string { return map[string]string{"PWD": "/home/user/code"}[name] }
	b.write("/home/user/.deno/bin/deno", "")
	b.write("/home/user/.nvm/versions/node/v24.1.0/bin/node", "")
	user, whyUser := DetectUser(t.Context(), b.host)
	system, why := DetectSystem(t.Context(), b.host)
	want := map[store.ID]string{ // by whom it is owned
		"file:/usr/lib/python3.13/site-packages/certifi/cacert.pem":                                                                  "certifi",
		"file:/usr/lib/google-cloud-sdk/lib/third_party/certifi/cacert.pem":                                                          "gcloud",
		"file:/usr/lib/google-cloud-sdk/platform/gsutil/gslib/data/cacerts.txt":                                                      "gcloud",
		"file:/usr/lib/google-cloud-sdk/platform/bundledpythonunix/lib/python3.12/site-packages/grpc/_cython/_credentials/roots.pem": "gcloud",
		"file:/usr/local/aws-cli/v2/current/dist/awscli/botocore/cacert.pem":                                                         "the AWS CLI",
		"file:/home/user/miniforge3/ssl/cacert.pem":                                                                                  "conda",
		"file:/home/user/miniforge3/envs/x/lib/python3.12/site-packages/certifi/cacert.pem":                                          "certifi",
		"file:/home/user/code/.venv/lib/python3.12/site-packages/certifi/cacert.pem":                                                 "certifi",
		"file:/home/linuxbrew/.linuxbrew/etc/openssl@3/cert.pem":                                                                     "Homebrew",
		"file:/usr/lib/python3.12/site-packages/pip/_vendor/certifi/cacert.pem":                                                      "pip",
		"file:/usr/lib/python3.9/site-packages/pip/_vendor/certifi/cacert.pem":                                                       "pip",
		"file:/etc/docker/certs.d/registry.example:5000/ca.crt":                                                                      "",
		"file:/home/user/.pyenv/versions/3.12.1/lib/python3.12/site-packages/pip/_vendor/certifi/cacert.pem":                         "pip",
		"file:/home/user/.config/containers/certs.d/registry.example/ca.crt":                                                         "",
	}
	for _, s := range append(user, system...) {
		i := s.Info()
		owner, expected := want[i.ID]
		delete(want, i.ID)
		w := i.Access.Write
		if !expected || i.Default || (w != nil) != (owner != "") || w != nil && (w.Kind != store.Managed || !strings.Contains(w.Text, owner)) {
			t.Errorf("%+v", i)
		}
		if (i.Scope == store.ScopeUser) != strings.Contains(i.Location, "/home/user/") {
			t.Errorf("%s is for the %s", i.ID, i.Scope)
		}
		if named := s.(*File).Named().Info(); named.Access.Write != nil {
			t.Errorf("named: %+v", named.Access.Write)
		}
	}
	if len(want) > 0 {
		t.Errorf("not found: %v", want)
	}
	for _, part := range []string{linked + " (certifi) follows the system", "dist-packages/certifi/cacert.pem (certifi) is read by nobody",
		"python3.12/site-packages/pip/_vendor/certifi/cacert.pem (pip's certifi) is beside the system's roots: pip from version 24.2 on", "python3.9/site-packages/pip/_vendor/certifi/cacert.pem (pip's certifi) does not follow the system: PIP_CERT names another"} {
		if !strings.Contains(strings.Join(why, "\n"), part) {
			t.Errorf("%q is not among the reasons %q", part, why)
		}
	}
	// Programs that bring their roots along, which users install for themselves.
	for program, here := range map[string]bool{"Deno": true, "Node.js": true, "Bun": false} {
		if strings.Contains(strings.Join(whyUser, "\n"), program+" brings roots along") != here || strings.Contains(strings.Join(why, "\n"), program) {
			t.Errorf("%s: %q, of the system %q", program, whyUser, why)
		}
	}
}

// Windows writes its paths in another way.
func TestWindows(t *testing.T) {
	b := newBox(t)
	b.host.OS, b.host.User.Home = "windows", "C:/Users/user"
	b.host.Env = func(name string) string { return map[string]string{"VIRTUAL_ENV": `C:\code\venv`}[name] }
	pem := string(storetest.NewCA(t).PEM())
	for _, file := range []string{"/code/venv/Lib/site-packages/certifi/cacert.pem", "/Users/user/AppData/Local/Programs/Python/Python313/Lib/site-packages/certifi/cacert.pem", "/Program Files/Git/mingw64/etc/ssl/certs/ca-bundle.crt", "/Users/user/miniconda3/Library/ssl/cacert.pem"} {
		b.write(file, pem)
	}
	system, _ := DetectSystem(t.Context(), b.host)
	user, _ := DetectUser(t.Context(), b.host)
	if len(system) != 2 || len(user) != 2 {
		t.Errorf("%d of the system and %d of the user are found", len(system), len(user))
	}
}

// A variable that is said to make programs take another file is one that env sets.
func TestVariables(t *testing.T) {
	for _, system := range []string{"linux", "darwin", "windows"} {
		h := newBox(t).host
		h.OS = system
		known, _ := clients.Environment(h, nil, clients.Pointers{}, true, false)
		for _, p := range places() {
			if p.variable != "" && !slices.ContainsFunc(known, func(v clients.Variable) bool { return v.Name == p.variable }) {
				t.Errorf("%s: %s: env does not set %s", system, p.title, p.variable)
			}
		}
	}
}

// What .NET trusts for a user is listed, as .NET writes it, and only read. Of its
// other directories none holds anchors.
func TestDotNet(t *testing.T) {
	b := newBox(t)
	data, err := os.ReadFile("../../testdata/formats/p12-empty-password.p12")
	if err != nil {
		t.Fatal(err)
	}
	at := "/home/user/.dotnet/corefx/cryptography/x509stores/"
	for _, name := range []string{"root/0123456789ABCDEF.pfx", "ca/0123456789ABCDEF.pfx", "my/0123456789ABCDEF.pfx"} {
		b.write(at+name, string(data))
	}
	stores, _ := DetectUser(t.Context(), b.host)
	if len(stores) != 1 || stores[0].Info().ID != store.ID("file:"+at+"root/0123456789ABCDEF.pfx") {
		t.Fatalf("%d stores", len(stores))
	}
	if w := stores[0].(*File).Named().Info().Access.Write; w == nil || w.Kind != store.ReadOnly {
		t.Errorf("it may be written: %+v", w)
	}
	n := 0
	for e, err := range stores[0].Entries(t.Context()) {
		if err != nil || len(e.Trust) == 0 {
			t.Errorf("%+v, %v", e, err)
		}
		n++
	}
	if n == 0 {
		t.Error("nothing is listed")
	}
}

// What is no text is read, and not changed.
func TestOtherFormats(t *testing.T) {
	b := newBox(t)
	c := storetest.NewCA(t)
	b.write("/srv/ca.der", string(c.DER()))
	s, _, err := OpenFile(b.host, "/srv/ca.der")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for e, err := range s.Entries(t.Context()) {
		if err != nil || e.Cert.SHA256 != c.Cert().SHA256 {
			t.Errorf("%+v, %v", e, err)
		}
		n++
	}
	p, err := s.(store.Editor).Plan(t.Context(), []store.Change{{Fingerprint: c.Cert().SHA256, Absent: true}})
	if n != 1 || err != nil || len(p.Refused) != 1 || !strings.Contains(p.Refused[0].Reason, "only a text (PEM) is changed") {
		t.Errorf("%d entries, %+v, %v", n, p, err)
	}
	b.write("/srv/damaged.bin", "\x00\x01\x02")
	s, _, err = OpenFile(b.host, "/srv/damaged.bin")
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range s.Entries(t.Context()) {
		if err == nil {
			t.Error("nonsense is listed")
		}
	}
}
