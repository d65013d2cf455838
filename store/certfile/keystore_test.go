package certfile

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

func jks(magic string, version uint32, entries ...[]byte) []byte {
	out := binary.BigEndian.AppendUint32([]byte(magic), version)
	out = binary.BigEndian.AppendUint32(out, uint32(len(entries)))
	return append(append(out, bytes.Join(entries, nil)...), make([]byte, jksDigest)...)
}

func utf(s string) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...) }

func sized(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }

func entry(tag uint32, alias string, parts ...[]byte) []byte {
	out := append(binary.BigEndian.AppendUint32(nil, tag), utf(alias)...)
	return append(append(out, make([]byte, 8)...), bytes.Join(parts, nil)...)
}

func trusted(alias string, der []byte) []byte {
	return entry(jksCert, alias, utf("X.509"), sized(der))
}

func trustedV1(alias string, der []byte) []byte { return entry(jksCert, alias, sized(der)) }

func secretEntry(alias string) []byte {
	return entry(jksSecret, alias, []byte("\xac\xed\x00\x05object"))
}

func keyEntry(alias string, key []byte, chain ...[]byte) []byte {
	parts := [][]byte{sized(key), binary.BigEndian.AppendUint32(nil, uint32(len(chain)))}
	for _, c := range chain {
		parts = append(parts, utf("X.509"), sized(c))
	}
	return entry(jksKey, alias, parts...)
}

// listing is a keystore in a line: "alias=LABEL" for each item, "*" added to
// what Java trusts, then the codes of the notices.
func listing(f *File) string {
	var out []string
	for _, i := range f.Items {
		s := i.Alias + "=" + i.Cert.Label()
		if i.TrustedEntry {
			s += "*"
		}
		out = append(out, s)
	}
	for _, n := range f.Notices {
		out = append(out, n.Code)
	}
	return strings.Join(out, ", ")
}

// The parts of PKCS#12.
func pfx(info []byte) []byte     { return der(0x30, der(0x02, []byte{3}), info) }
func octets(b []byte) []byte     { return der(0x04, b) }
func plainData(b []byte) []byte  { return der(0x30, der(0x06, []byte(oidData)), der(0xa0, octets(b))) }
func safe(bags ...[]byte) []byte { return plainData(der(0x30, bags...)) }

func p12Bag(kind byte, value []byte, attributes ...[]byte) []byte {
	return der(0x30, der(0x06, []byte(oidBags), []byte{kind}), der(0xa0, value), der(0x31, attributes...))
}

func certBag(c []byte, attributes ...[]byte) []byte {
	return p12Bag(3, der(0x30, der(0x06, []byte(oidX509)), der(0xa0, octets(c))), attributes...)
}

func friendly(name string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(name)) {
		b = binary.BigEndian.AppendUint16(b, u)
	}
	return der(0x30, der(0x06, []byte(oidFriendlyName)), der(0x31, der(tagBMPString, b)))
}

func TestKeystore(t *testing.T) {
	m := testMaterial()
	mark := der(0x30, der(0x06, []byte(oidTrusted)), der(0x31, oid(2, 5, 29, 37, 0)))
	encrypted := der(0x30, oid(1, 2, 840, 113549, 1, 7, 6), der(0xa0, der(0x30, der(2, []byte{0}), der(0x30, oid(1, 2, 840, 113549, 1, 7, 1),
		der(0x30, oid(1, 2, 840, 113549, 1, 12, 1, 3), der(0x30, der(4, []byte("salt")), der(2, []byte{1}))), der(0x80, make([]byte, 16))))))
	forKey := der(0x30, oid(1, 2, 840, 113549, 1, 7, 3), der(0xa0, der(0x30)))
	strange := der(0x30, oid(1, 2, 840, 113549, 1, 7, 6), der(0xa0, der(0x30)))
	authSafe := func(infos ...[]byte) []byte { return pfx(plainData(der(0x30, infos...))) }
	nested := certBag(m.a)
	for range maxBagDepth + 1 {
		nested = p12Bag(6, der(0x30, nested))
	}
	big := func(field int) []byte { // a JKS in which the length at that place is 4 GiB
		b := jks(magicJKS, 2, trusted("x", m.a))
		copy(b[field:], "\xff\xff\xff\xff")
		return b
	}
	tests := []struct {
		name string
		in   []byte
		want string
		err  error
	}{
		{"JKS", jks(magicJKS, 2, trusted("one", m.a), trusted("two", m.b)), "one=Root A*, two=Root B*", nil},
		{"JKS 1", jks(magicJKS, 1, trustedV1("one", m.a)), "one=Root A*", nil},
		{"JCEKS", jks(magicJCEKS, 2, trusted("one", m.a)), "one=Root A*", nil},
		{"no entries", jks(magicJKS, 2), "", nil},
		{"Java's strings", jks(magicJKS, 2, trusted("\xc3\xbc\xc0\x80\xe2\x82\xac\xed\xa0\xbd\xed\xb8\x80\xff", m.a)), "ü\x00€😀\ufffd=Root A*", nil},
		{"key between", jks(magicJKS, 2, keyEntry("k", m.ec, m.a, m.b), trusted("two", m.b)), "two=Root B*, key-entry", nil},
		{"key as certificate", jks(magicJKS, 2, trusted("k", m.ec)), "private-key", nil},
		{"junk as certificate", jks(magicJKS, 2, trusted("x", []byte("junk"))), "x=(unreadable certificate)*, not-a-certificate", nil},
		{"other kind", jks(magicJKS, 2, entry(jksCert, "x", utf("PGP"), sized(m.a)), trusted("two", m.b)), "two=Root B*, unreadable-entry", nil},
		{"secret key last", jks(magicJCEKS, 2, trusted("one", m.a), secretEntry("s")), "one=Root A*, key-entry", nil},
		{"secret key first", jks(magicJCEKS, 2, secretEntry("s"), trusted("one", m.a)), "one=Root A*, key-entry", nil},
		{"secret key before nothing", jks(magicJCEKS, 2, secretEntry("s"), entry(9, "x")), "key-entry, unreadable-entry", nil},
		{"secret key in JKS", jks(magicJKS, 2, secretEntry("s")), "", store.ErrCorrupt},
		{"unknown entry", jks(magicJKS, 2, trusted("one", m.a), entry(9, "s")), "one=Root A*", store.ErrCorrupt},
		{"version 3", jks(magicJKS, 3), "", store.ErrUnsupported},
		{"magic alone", []byte(magicJKS), "", store.ErrCorrupt},
		{"no digest", jks(magicJKS, 2, trusted("one", m.a))[:len(m.a)+4+4+4+28+19], "one=Root A*", store.ErrCorrupt},
		{"more behind", append(jks(magicJKS, 2, trusted("one", m.a)), 0), "one=Root A*", store.ErrCorrupt},
		{"4 GiB of entries", big(8), "x=Root A*", store.ErrCorrupt},
		{"4 GiB of certificate", big(4 + 4 + 4 + 4 + 3 + 8 + 7), "", store.ErrCorrupt},

		{"PKCS#12", authSafe(safe(certBag(m.a, friendly("é one"), mark), certBag(m.b))), "é one=Root A*, =Root B", nil},
		{"PKCS#12 empty", authSafe(), "", nil},
		{"PKCS#12 with keys", authSafe(safe(p12Bag(1, m.pkcs8), p12Bag(2, m.pkcs8, friendly("k")), certBag(m.a))), "=Root A, key-entry, key-entry", nil},
		{"PKCS#12 other bags", authSafe(safe(p12Bag(4, m.crl), p12Bag(9, nil), certBag(m.a), p12Bag(3, der(0x30, oid(1, 2))))), "=Root A, crl, unreadable-entry, unreadable-entry", nil},
		{"PKCS#12 nested", authSafe(safe(p12Bag(6, der(0x30, certBag(m.a))))), "=Root A", nil},
		{"PKCS#12 nested too deep", authSafe(safe(nested)), "", store.ErrCorrupt},
		{"PKCS#12 key as certificate", authSafe(safe(certBag(m.pkcs8))), "private-key", nil},
		{"PKCS#12 encrypted", authSafe(encrypted), "", store.ErrSecret},
		{"PKCS#12 encrypted for a key", authSafe(forKey), "", store.ErrUnsupported},
		{"PKCS#12 strange", authSafe(strange), "", store.ErrCorrupt},
		{"PKCS#12 partly encrypted", authSafe(encrypted, safe(certBag(m.a))), "=Root A, encrypted", nil},
		{"PKCS#12 signed", pfx(der(0x30, oid(1, 2, 840, 113549, 1, 7, 2), der(0xa0, der(0x30)))), "", store.ErrUnsupported},
		{"PKCS#12 in BER", []byte("\x30\x80\x02\x01\x03\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"), "", store.ErrCorrupt},
		{"PKCS#12 damaged inside", authSafe(der(0x30, der(0x05)), safe(certBag(m.a))), "", store.ErrCorrupt},
		{"PKCS#12 and more", append(authSafe(safe(certBag(m.a))), 0), "=Root A, trailing-data", nil},

		{"PEM", []byte(armoured("CERTIFICATE", m.a)), "", store.ErrCorrupt},
		{"empty", nil, "", store.ErrInput},
		{"too large", make([]byte, MaxSize+1), "", store.ErrInput},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Keystore(tt.in)
			if f == nil {
				t.Fatal("no File")
			}
			if got := listing(f); got != tt.want {
				t.Errorf("got  %s\nwant %s\nnotices %v", got, tt.want, f.Notices)
			}
			if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Errorf("got error %v, want %v", err, tt.err)
			}
			for i, item := range f.Items {
				if item.Cert.Version != 0 && !bytes.Equal(item.Cert.Raw, m.a) && !bytes.Equal(item.Cert.Raw, m.b) {
					t.Errorf("item %d has more, or less, than the certificate", i)
				}
			}
			hasNoKey(t, f)
		})
	}
	if f, _ := Keystore(jks(magicJKS, 2, keyEntry("k", m.ec), trusted("t", m.a))); f.Items[0].Block != 2 {
		t.Errorf("block %d, want the number of the entry", f.Items[0].Block)
	}
}

func TestPKCS12Files(t *testing.T) {
	m := testMaterial()
	a, b := store.NewCert(m.a).Parsed(), store.NewCert(m.b).Parsed()
	entries := []pkcs12.TrustStoreEntry{{Cert: a, FriendlyName: "the first"}, {Cert: b, FriendlyName: "名前"}}
	tests := []struct {
		name   string
		encode func() ([]byte, error)
		want   string
		err    error
	}{
		{"trust store", func() ([]byte, error) { return pkcs12.Passwordless.EncodeTrustStoreEntries(entries, "") }, "the first=Root A*, 名前=Root B*", nil},
		{"key and chain", func() ([]byte, error) {
			return pkcs12.Passwordless.Encode(m.key, a, []*x509.Certificate{b}, "")
		}, "=Root A, =Root B, key-entry", nil},
		{"encrypted trust store", func() ([]byte, error) { return pkcs12.Modern2023.EncodeTrustStoreEntries(entries, "changeit") }, "", store.ErrSecret},
		{"encrypted key and chain", func() ([]byte, error) { return pkcs12.LegacyDES.Encode(m.key, a, nil, "changeit") }, "key-entry", store.ErrSecret},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data, err := tt.encode()
			if err != nil {
				t.Fatal(err)
			}
			for name, read := range map[string]func([]byte) (*File, error){"Read": Read, "Keystore": Keystore} {
				f, err := read(data)
				if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
					t.Errorf("%s: got error %v, want %v", name, err, tt.err)
				}
				if got := listing(f); got != tt.want || f.Format != "PKCS#12" {
					t.Errorf("%s: got %s, want %s", name, got, tt.want)
				}
				hasNoKey(t, f)
			}
		})
	}
}

// keytool returns a function that runs the JDK's keytool. Where tests run
// unattended it must be there.
func keytool(t *testing.T) func(args ...string) {
	t.Helper()
	path, err := exec.LookPath("keytool")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("keytool is not installed: ", err)
		}
		t.Skip("keytool is not installed: ", err)
	}
	return func(args ...string) {
		t.Helper()
		cmd := exec.Command(path, append(args, "-J-Xshare:auto", "-J-XX:TieredStopAtLevel=1")...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + storetest.TempDir(t), "LC_ALL=C.UTF-8"}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("keytool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

func TestKeytool(t *testing.T) {
	run := keytool(t)
	m := testMaterial()
	tests := []struct {
		name, kind string
		options    []string
		want       string
		err        error
	}{
		{"JKS", "JKS", nil, "root-ü=Root A*, key-entry", nil},
		{"JCEKS", "JCEKS", nil, "root-ü=Root A*, key-entry", nil},
		{"PKCS#12", "PKCS12", []string{"-J-Dkeystore.pkcs12.certProtectionAlgorithm=NONE", "-J-Dkeystore.pkcs12.macAlgorithm=NONE"}, "root-ü=Root A*, a key=Key, key-entry", nil},
		{"PKCS#12", "PKCS12", nil, "key-entry", store.ErrSecret},
	}
	for _, tt := range tests {
		t.Run(tt.name+fmt.Sprint(len(tt.options)), func(t *testing.T) {
			t.Parallel()
			dir := storetest.TempDir(t)
			ca, path := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "keystore")
			if err := os.WriteFile(ca, []byte(armoured("CERTIFICATE", m.a)), 0o600); err != nil {
				t.Fatal(err)
			}
			common := append([]string{"-keystore", path, "-storetype", tt.kind, "-storepass", "changeit", "-noprompt"}, tt.options...)
			run(append([]string{"-importcert", "-file", ca, "-alias", "root-ü"}, common...)...)
			run(append([]string{"-genkeypair", "-keyalg", "EC", "-dname", "CN=Key", "-keypass", "changeit", "-alias", "a key"}, common...)...)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f, err := Keystore(data)
			if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Errorf("got error %v, want %v", err, tt.err)
			}
			if f.Format != tt.name {
				t.Errorf("format %s", f.Format)
			}
			if got, want := sorted(listing(f)), sorted(tt.want); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// TestMachineCacerts reads this machine's own keystore, if it is one that
// follows the system bundle.
func TestMachineCacerts(t *testing.T) {
	data, err := os.ReadFile("/etc/ssl/certs/java/cacerts")
	if err != nil {
		t.Skip("no generated cacerts here: ", err)
	}
	pem, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil {
		t.Skip("no system bundle here: ", err)
	}
	f, err := Keystore(data)
	if errors.Is(err, store.ErrSecret) {
		t.Skip("this machine's cacerts is encrypted")
	}
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(f.Items), len(ReadPEM(pem).Items); got != want {
		t.Skipf("cacerts has %d certificates, the bundle %d: they do not follow one another here", got, want)
	}
}

func sorted(list string) string {
	parts := strings.Split(list, ", ")
	for i := range parts {
		for j := range parts[:i] {
			if parts[i] < parts[j] {
				parts[i], parts[j] = parts[j], parts[i]
			}
		}
	}
	return strings.Join(parts, ", ")
}
