package certfile

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// exhaustive makes the tests of damage try every place and every bit, which
// takes a quarter of an hour.
var exhaustive = flag.Bool("exhaustive", false, "damage fixtures in every place")

const fixtureDir = "../../testdata/formats"

// fixture is a line of the manifest: scripts/fixtures tells what it means.
type fixture struct {
	File, By, Format, Password string
	Certificates, Distrusted   []string
	WithKey, Aliases, Notices  []string
	Unordered                  bool
	Error, Says, Check         string
}

func manifest(t testing.TB) []fixture {
	text, err := os.ReadFile(filepath.Join(fixtureDir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []fixture
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func (f fixture) data(t testing.TB) []byte {
	data, err := os.ReadFile(filepath.Join(fixtureDir, f.File))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (f fixture) options() Options {
	if f.Password == "" {
		return Options{}
	}
	return Options{Passwords: [][]byte{[]byte("not this one"), []byte(f.Password)}}
}

// TestFixtures reads each fixture as the manifest, which was written from what
// was put in, says.
func TestFixtures(t *testing.T) {
	list := manifest(t)
	files, err := filepath.Glob(filepath.Join(fixtureDir, "*"))
	if err != nil || len(files) != len(list)+1 || len(list) < 80 {
		t.Errorf("%d files, %d lines in the manifest: %v", len(files), len(list), err)
	}
	for _, want := range list {
		t.Run(want.File, func(t *testing.T) {
			data := want.data(t)
			f, err := want.options().Read(data)
			check(t, data, f)
			if store.Code(err) != want.Error || err != nil && !strings.Contains(err.Error(), want.Says) {
				t.Errorf("error %v (%s), want %s: %s", err, store.Code(err), want.Error, want.Says)
			}
			if err == nil && f.Format != want.Format {
				t.Errorf("format %q, want %q", f.Format, want.Format)
			}
			got := map[string][]string{"certificates": {}}
			for _, i := range f.Items {
				sum := i.Cert.SHA256.String()
				got["certificates"] = append(got["certificates"], sum)
				got["aliases"] = append(got["aliases"], i.Alias)
				if i.Distrusted {
					got["distrusted"] = append(got["distrusted"], sum)
				}
				if i.HasKey {
					got["withKey"] = append(got["withKey"], sum)
				}
				if i.Cert.Version == 0 {
					t.Errorf("a malformed certificate at %s", i.Place())
				}
			}
			for _, n := range f.Notices {
				got["notices"] = append(got["notices"], n.Code)
				if strings.ContainsRune(n.Place()+n.Text, 0x1b) {
					t.Errorf("an escape in %+v", n)
				}
			}
			slices.Sort(got["notices"])
			if want.Unordered {
				slices.Sort(got["certificates"])
				slices.Sort(want.Certificates)
			}
			same := func(what string, want []string) {
				if !slices.Equal(got[what], want) {
					t.Errorf("%s %q, want %q", what, got[what], want)
				}
			}
			if err == nil {
				same("certificates", want.Certificates)
			}
			same("distrusted", want.Distrusted)
			same("withKey", want.WithKey)
			same("notices", want.Notices)
			if want.Aliases != nil {
				same("aliases", want.Aliases)
			}
			if t.Failed() {
				t.Logf("notices %v", f.Notices)
			}
			noKeyOf(t, want, f)
		})
	}
}

// noKeyOf fails if what was returned holds a private key of the fixtures.
func noKeyOf(t *testing.T, of fixture, f *File) {
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range fixtureKeys(t) {
		for _, form := range []string{string(secret), hex.EncodeToString(secret)} {
			if bytes.Contains(text, []byte(form)) {
				t.Errorf("%s: the private key is in what was returned", of.File)
			}
		}
		for _, i := range f.Items {
			if bytes.Contains(i.Cert.Raw[:cap(i.Cert.Raw)], secret) {
				t.Errorf("%s: the private key is behind a certificate", of.File)
			}
		}
		for _, k := range f.keys {
			if strings.Contains(k, string(secret)) {
				t.Errorf("%s: the private key was kept", of.File)
			}
		}
	}
}

// fixtureKeys returns the secret part of the key that most fixtures with a key
// hold.
func fixtureKeys(t *testing.T) [][]byte {
	data, err := os.ReadFile(filepath.Join(fixtureDir, "der-key.key"))
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(data, []byte("\x02\x01\x01\x04\x20"))
	if i < 0 {
		t.Fatal("der-key.key is not as expected")
	}
	return [][]byte{data[i+5 : i+5+32]}
}

// others reads fixtures with the programs that people have for that.
var otherReaders = map[string]func(f fixture, path string) []string{
	"openssl x509": func(_ fixture, path string) []string {
		return []string{"openssl", "x509", "-in", path, "-outform", "PEM"}
	},
	"openssl storeutl": func(_ fixture, path string) []string { return []string{"openssl", "storeutl", "-certs", path} },
	"openssl pkcs7 DER": func(_ fixture, path string) []string {
		return []string{"openssl", "pkcs7", "-in", path, "-inform", "DER", "-print_certs"}
	},
	"openssl pkcs7 PEM": func(_ fixture, path string) []string {
		return []string{"openssl", "pkcs7", "-in", path, "-print_certs"}
	},
	"openssl pkcs12": func(f fixture, path string) []string {
		return []string{"openssl", "pkcs12", "-in", path, "-nokeys", "-passin", "pass:" + f.Password}
	},
	"openssl pkcs12 -legacy": func(f fixture, path string) []string {
		return []string{"openssl", "pkcs12", "-legacy", "-in", path, "-nokeys", "-passin", "pass:" + f.Password}
	},
	"keytool JKS":    keytoolList("JKS"),
	"keytool JCEKS":  keytoolList("JCEKS"),
	"keytool PKCS12": keytoolList("PKCS12"),
	"keytool -printcert": func(_ fixture, path string) []string {
		return []string{"keytool", "-printcert", "-rfc", "-file", path}
	},
}

func keytoolList(kind string) func(f fixture, path string) []string {
	return func(f fixture, path string) []string {
		return []string{"keytool", "-J-Xshare:auto", "-J-XX:TieredStopAtLevel=1", "-list", "-rfc", "-keystore", path, "-storetype", kind, "-storepass", f.Password}
	}
}

// needs skips a test without a program, but not where tests run unattended.
func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// TestFixturesElsewhere reads fixtures with OpenSSL and keytool: they must find
// the same certificates.
func TestFixturesElsewhere(t *testing.T) {
	checked := map[string]int{}
	for _, f := range manifest(t) {
		if f.Check == "" {
			continue
		}
		command := otherReaders[f.Check]
		if command == nil {
			t.Fatalf("%s: unknown check %q", f.File, f.Check)
		}
		checked[f.Check]++
		t.Run(f.File, func(t *testing.T) {
			t.Parallel()
			args := command(f, filepath.Join(fixtureDir, f.File))
			needs(t, args[0])
			cmd := exec.Command(args[0], args[1:]...)
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + storetest.TempDir(t), "LC_ALL=C.UTF-8"}
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, &stderr)
			}
			found := map[string]bool{}
			for block, rest := pem.Decode(out); block != nil; block, rest = pem.Decode(rest) {
				if strings.HasSuffix(block.Type, "CERTIFICATE") {
					found[store.FingerprintOf(block.Bytes).String()] = true
				}
			}
			if len(found) != len(f.Certificates) {
				t.Errorf("it found %d certificates, we %d", len(found), len(f.Certificates))
			}
			for _, sum := range f.Certificates {
				if !found[sum] {
					t.Errorf("it did not find %s", sum)
				}
			}
		})
	}
	if len(checked) != len(otherReaders) {
		t.Errorf("not every program reads a fixture: %v", checked)
	}
}

// TestFixtureDamage cuts the fixtures short and flips bits in them, in some
// places or, with -exhaustive, in all.
func TestFixtureDamage(t *testing.T) {
	for _, f := range manifest(t) {
		t.Run(f.File, func(t *testing.T) {
			t.Parallel()
			whole := f.data(t)
			step := 1
			if !*exhaustive {
				step = max(1, len(whole)/60)
			}
			read := func(data []byte) {
				r := newReading(f.options().Passwords, len(data))
				if r.derivation = 30_000; !*exhaustive {
					r.derivation = 3000
				}
				got, _ := r.read(data)
				got.markKeys()
				check(t, data, got)
			}
			for n := 0; n < len(whole); n += step {
				read(bytes.Clone(whole[:n]))
				for bit := range 8 {
					if !*exhaustive && bit != n/step%8 {
						continue
					}
					flipped := bytes.Clone(whole)
					flipped[n] ^= 1 << bit
					read(flipped)
				}
			}
		})
	}
}

// FuzzFormats is for all formats: the fixtures are its seeds.
func FuzzFormats(f *testing.F) {
	for _, fixture := range manifest(f) {
		if data := fixture.data(f); len(data) < 8<<10 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkAll(t, data) })
}
