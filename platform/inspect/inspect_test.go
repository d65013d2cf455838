package inspect

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/rpm/rpmtest"
	"github.com/certtrust/certtrust/platform/wincert"
	"github.com/certtrust/certtrust/platform/wincert/wincerttest"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/audit"
	"github.com/certtrust/certtrust/store/diagnose"
	"github.com/certtrust/certtrust/store/storetest"
)

const (
	anchorDir = "/usr/local/share/ca-certificates"
	vendorDir = "/usr/share/ca-certificates/mozilla"
)

// fake makes a machine of files.
func fake(t *testing.T, files map[string][]byte) *host.Host {
	t.Helper()
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil { // whatever the umask
		t.Fatal(err)
	}
	h := host.Fake(root)
	for name, data := range files {
		put(t, h, name, data, 0o644)
	}
	return h
}

func put(t *testing.T, h *host.Host, name string, data []byte, mode os.FileMode) {
	t.Helper()
	file := filepath.Join(h.Root, filepath.FromSlash(name))
	for dir := filepath.Dir(file); ; dir = filepath.Dir(dir) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if dir == h.Root {
			break
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
}

func anchorStore(entries ...store.Entry) []audit.Store {
	return []audit.Store{{Info: store.Info{ID: "anchors:system", Backend: "anchors", Scope: store.ScopeSystem, Location: "/etc/ssl/certs/ca-certificates.crt"}, Entries: entries}}
}

func anchor(c *store.Cert, path string, by store.OriginBy, detail string) store.Entry {
	return store.Entry{Cert: c, Trust: store.TrustFor(store.Trusted, store.PurposeAny), Origin: store.Origin{By: by, Detail: detail}, Source: store.Source{Kind: "anchor", Path: path}}
}

func look(t *testing.T, h *host.Host, stores []audit.Store, environ ...string) audit.Facts {
	t.Helper()
	facts, errs := Machine(context.Background(), h, stores, environ)
	for _, err := range errs {
		t.Error(err)
	}
	return facts
}

func TestRights(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("rights are not modes there")
	}
	root := storetest.NewCA(t).Cert()
	h := fake(t, map[string][]byte{anchorDir + "/a.crt": {}, "/etc/ssl/certs/ca-certificates.crt": {}})
	stores := anchorStore(anchor(root, anchorDir+"/a.crt", store.ByAdmin, ""))
	if f := look(t, h, stores).Files; len(f) > 0 {
		t.Errorf("of a machine in order: %+v", f)
	}
	chmod := func(name string, mode os.FileMode) {
		if err := os.Chmod(filepath.Join(h.Root, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	chmod(anchorDir+"/a.crt", 0o666)
	chmod("/etc", 0o777)
	chmod("/usr/local", 0o777|os.ModeSticky)
	var got []string
	for _, f := range look(t, h, stores).Files {
		got = append(got, fmt.Sprintf("%s %v %v %s", f.Path, f.WorldWritable, f.Dir, f.Store))
	}
	slices.Sort(got)
	want := []string{"/etc true true anchors:system", anchorDir + "/a.crt true false anchors:system"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, not %q", got, want)
	}

	if os.Geteuid() != 0 {
		return // nobody else can give files away
	}
	if err := os.Chown(filepath.Join(h.Root, "/etc/ssl"), 12345, 12345); err != nil {
		t.Fatal(err)
	}
	files := look(t, h, stores).Files
	i := slices.IndexFunc(files, func(f audit.File) bool { return f.Path == "/etc/ssl" })
	if i < 0 || files[i].Owner != "the user 12345" || files[i].ShouldBe != "root" {
		t.Errorf("%+v", files)
	}
}

// What a link leads to counts as well as where the link is.
func TestRightsBehindLinks(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("rights are not modes there")
	}
	h := fake(t, map[string][]byte{"/srv/real/bundle.crt": {}, "/etc/ssl/certs/x": {}})
	if err := os.Symlink("/srv/real/bundle.crt", filepath.Join(h.Root, "/etc/ssl/certs/ca-certificates.crt")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(h.Root, "/srv/real"), 0o777); err != nil {
		t.Fatal(err)
	}
	files := look(t, h, anchorStore()).Files
	if len(files) != 1 || files[0].Path != "/srv/real" {
		t.Errorf("%+v", files)
	}
}

func TestKeys(t *testing.T) {
	ca, rsa, p12, other := storetest.NewCA(t), storetest.NewCA(t, storetest.RSA(1024)), storetest.NewCA(t), storetest.NewCA(t)
	keystore, err := pkcs12.Modern.Encode(p12.Key(), p12.Cert().Parsed(), nil, "changeit")
	if err != nil {
		t.Fatal(err)
	}
	ec, err := x509.MarshalPKCS8PrivateKey(ca.Key())
	if err != nil {
		t.Fatal(err)
	}
	h := fake(t, map[string][]byte{
		anchorDir + "/a.crt":        ca.PEM(),
		anchorDir + "/a.key":        ca.KeyPEM(),
		anchorDir + "/rsa.pem":      append(rsa.PEM(), rsa.KeyPEM()...),
		anchorDir + "/store.p12":    keystore,
		anchorDir + "/der.key":      ec,
		anchorDir + "/notes.txt":    []byte("-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n"),
		vendorDir + "/vendor.key":   other.KeyPEM(), // nobody added anything there
		anchorDir + "/sub/deep.pem": other.KeyPEM(),
	})
	put(t, h, "/home/user/.local/share/mkcert/rootCA-key.pem", other.KeyPEM(), 0o644)
	put(t, h, "/home/user/.minikube/ca.key", ca.KeyPEM(), 0o600)
	put(t, h, "/home/user/.step/secrets/root_ca_key", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: []byte("x")}), 0o600)
	facts := look(t, h, anchorStore(anchor(ca.Cert(), anchorDir+"/a.crt", store.ByAdmin, ""), anchor(other.Cert(), vendorDir+"/x.crt", store.ByVendor, "")))
	spki := func(c *store.Cert) store.Fingerprint { return sha256.Sum256(c.SPKI) }
	var got []string
	for _, k := range facts.Keys {
		name := map[store.Fingerprint]string{spki(ca.Cert()): "ca", spki(rsa.Cert()): "rsa", spki(p12.Cert()): "p12", spki(other.Cert()): "other"}[k.SPKI]
		got = append(got, fmt.Sprintf("%s %s beside=%v others=%v", k.Path, name, k.Beside, k.ForOthers))
	}
	slices.Sort(got)
	want := []string{
		"/home/user/.local/share/mkcert/rootCA-key.pem other beside=false others=true",
		"/home/user/.minikube/ca.key ca beside=false others=false",
		anchorDir + "/a.key ca beside=true others=true",
		anchorDir + "/der.key ca beside=true others=true",
		anchorDir + "/rsa.pem rsa beside=true others=true",
		anchorDir + "/store.p12 p12 beside=true others=true",
	}
	if runtime.GOOS != "windows" && !slices.Equal(got, want) {
		t.Errorf("%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// A home that others cannot enter keeps what is in it.
	if err := os.Chmod(filepath.Join(h.Root, "/home/user"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, k := range look(t, h, anchorStore()).Keys {
		if k.ForOthers && runtime.GOOS != "windows" {
			t.Errorf("others are said to be able to read %s", k.Path)
		}
	}
}

func TestPackages(t *testing.T) {
	a, b, gone := []byte("a"), []byte("b"), []byte("gone")
	mtree := new(bytes.Buffer)
	z := gzip.NewWriter(mtree)
	fmt.Fprintf(z, "#mtree\n/set type=file\n./usr/share/ca-certificates/mozilla/a.crt time=1.0 sha256digest=%x\n./usr/share/ca-certificates/mozilla/b\\040b.crt sha256digest=%x\n./usr/share/ca-certificates/mozilla/gone.crt sha256digest=%x\n./usr/bin/tool sha256digest=00\n", sha256.Sum256(a), sha256.Sum256(b), sha256.Sum256(gone))
	z.Close()
	sha := func(b []byte) string { s := sha1.Sum(b); return base64.StdEncoding.EncodeToString(s[:]) }
	rpms, err := rpmtest.Database(t.Context(),
		rpmtest.Package{Name: "other", Version: "1", Release: "1", Files: []rpmtest.File{{Path: vendorDir + "/a.crt", Digest: fmt.Sprintf("%x", md5.Sum(b))}}},
		rpmtest.Package{Name: "ca-certificates", Version: "20240618", Release: "1", Algorithm: 8, Files: []rpmtest.File{
			{Path: vendorDir + "/a.crt", Digest: fmt.Sprintf("%x", sha256.Sum256(a))},
			{Path: vendorDir + "/b b.crt", Digest: fmt.Sprintf("%x", sha256.Sum256(b))},
			{Path: vendorDir + "/gone.crt", Digest: fmt.Sprintf("%x", sha256.Sum256(gone))},
			{Path: vendorDir + "/settings", Digest: fmt.Sprintf("%x", sha256.Sum256(b)), Flags: 1},
			{Path: "/usr/bin/tool", Digest: fmt.Sprintf("%x", sha256.Sum256(b))},
		}})
	if err != nil {
		t.Fatal(err)
	}
	for name, records := range map[string]map[string][]byte{
		"rpm":    {"/usr/lib/sysimage/rpm/rpmdb.sqlite": rpms, vendorDir + "/settings": []byte("changed"), "/usr/bin/zypper": {}},
		"dpkg":   {"/var/lib/dpkg/info/ca-certificates.md5sums": fmt.Appendf(nil, "%x  usr/share/ca-certificates/mozilla/a.crt\n%x  usr/share/ca-certificates/mozilla/b b.crt\n%x  usr/share/ca-certificates/mozilla/gone.crt\n00  usr/bin/tool\n", md5.Sum(a), md5.Sum(b), md5.Sum(gone))},
		"apk":    {"/lib/apk/db/installed": fmt.Appendf(nil, "P:other\nF:usr/share/ca-certificates/mozilla\nR:a.crt\nZ:Q1AAAA\n\nP:ca-certificates\nV:1\nF:usr/share/ca-certificates/mozilla\nR:a.crt\nZ:Q1%s\nR:b b.crt\nZ:Q1%s\nR:gone.crt\nZ:Q1%s\nF:usr/bin\nR:tool\nZ:Q1AA\n\nP:last\n", sha(a), sha(b), sha(gone))},
		"pacman": {"/var/lib/pacman/local/ca-certificates-20240618-1/mtree": mtree.Bytes(), "/var/lib/pacman/local/ca-certificates-utils-1-1/mtree": {}},
	} {
		t.Run(name, func(t *testing.T) {
			h := fake(t, records)
			put(t, h, vendorDir+"/a.crt", a, 0o644)
			put(t, h, vendorDir+"/b b.crt", []byte("changed"), 0o644)
			root := storetest.NewCA(t).Cert()
			stores := anchorStore(anchor(root, vendorDir+"/a.crt", store.ByVendor, "ca-certificates 20240618"), anchor(root, "/etc/x", store.ByVendor, "../../etc 1"))
			var got []string
			for _, m := range look(t, h, stores).Modified {
				got = append(got, fmt.Sprintf("%s %s %v %s", m.Path, m.Package, m.Missing, m.Reinstall))
			}
			if len(got) != 2 || !strings.HasPrefix(got[0], vendorDir+"/b b.crt ca-certificates false ") || !strings.HasPrefix(got[1], vendorDir+"/gone.crt ca-certificates true ") || !strings.HasSuffix(got[0], " ca-certificates") {
				t.Errorf("%q", got)
			}
		})
	}
}

// Damaged records of a package manager are told of, and are no crash.
func TestDamagedRecords(t *testing.T) {
	root := storetest.NewCA(t).Cert()
	h := fake(t, map[string][]byte{"/var/lib/pacman/local/ca-certificates-1-1/mtree": []byte("no gzip"), vendorDir + "/a.crt": {}})
	facts, errs := Machine(context.Background(), h, anchorStore(anchor(root, vendorDir+"/a.crt", store.ByVendor, "ca-certificates 1")), nil)
	if len(errs) != 1 || len(facts.Modified) != 0 {
		t.Errorf("%v, %+v", errs, facts.Modified)
	}
}

func TestOverridesAndOffline(t *testing.T) {
	h := fake(t, map[string][]byte{"/etc/gitconfig": []byte("[http]\n\tsslVerify = false\n"), "/home/user/.gitconfig": []byte("[http]\n\tsslCAInfo = /x\n")})
	has := func(f audit.Facts, client string, effect diagnose.OverrideKind) bool {
		return slices.ContainsFunc(f.Overrides, func(o diagnose.Override) bool { return o.Client == client && o.Effect == effect })
	}
	f := look(t, h, nil, "NODE_TLS_REJECT_UNAUTHORIZED=0")
	if !has(f, "git", diagnose.Disables) || !has(f, "node", diagnose.Disables) {
		t.Errorf("%+v", f.Overrides)
	}
	h.Live = false
	f = look(t, h, nil, "NODE_TLS_REJECT_UNAUTHORIZED=0")
	if !has(f, "git", diagnose.Disables) || has(f, "node", diagnose.Disables) || f.Root != h.Root {
		t.Errorf("of an offline root: %+v", f)
	}
}

// The policy is found in this machine's registry and in exports of others'.
func TestAutoUpdate(t *testing.T) {
	utf16le := func(text string) []byte {
		out := []byte{0xff, 0xfe}
		for _, u := range utf16.Encode([]rune(text)) {
			out = append(out, byte(u), byte(u>>8))
		}
		return out
	}
	const head = "Windows Registry Editor Version 5.00\r\n\r\n"
	const off = "\"DisableRootAutoUpdate\"=dword:00000001\r\n"
	const key = `[HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\SystemCertificates\AuthRoot]` + "\r\n"
	for name, test := range map[string]struct {
		data []byte
		want bool
	}{
		"off":             {utf16le(head + key + off), true},
		"off, UTF-8":      {[]byte(head + strings.ToUpper(key) + strings.ToLower(off)), true},
		"off, Wine":       {[]byte("WINE REGISTRY Version 2\n\n" + `[Software\\Policies\\Microsoft\\SystemCertificates\\AuthRoot] 1700000000` + "\n" + off), true},
		"on":              {utf16le(head + key + strings.Replace(off, "00000001", "00000000", 1)), false},
		"not set":         {utf16le(head + key), false},
		"of another key":  {utf16le(head + key + "\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\x]\r\n" + off), false},
		"a text, and not": {[]byte(head + key + "\"DisableRootAutoUpdate\"=\"1\"\r\n"), false},
	} {
		h := fake(t, map[string][]byte{"/export.reg": test.data})
		stores := []audit.Store{{Info: store.Info{ID: "reg:/export.reg", Backend: "reg", Location: "/export.reg", Scope: store.ScopeSystem}}}
		f := look(t, h, stores)
		if got := len(f.AutoUpdate) == 1; got != test.want {
			t.Errorf("%s: %+v", name, f.AutoUpdate)
		}
	}

	h := &host.Host{OS: "windows", Live: true, Env: func(string) string { return "" }}
	api := wincerttest.New()
	facts, _ := machine(context.Background(), h, api, nil, nil)
	if len(facts.AutoUpdate) != 0 {
		t.Errorf("of a Windows in order: %+v", facts.AutoUpdate)
	}
	api.Registry[wincert.AutoUpdateKey+`\`+wincert.AutoUpdateValue] = []byte{1, 0, 0, 0}
	facts, _ = machine(context.Background(), h, api, nil, nil)
	if len(facts.AutoUpdate) != 1 || !strings.HasPrefix(facts.AutoUpdate[0].Path, "HKLM") {
		t.Errorf("of a Windows that is told not to: %+v", facts.AutoUpdate)
	}
}
