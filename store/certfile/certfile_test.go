package certfile

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/certtrust/certtrust/store"
)

// material is what the fixtures are made of.
type material struct {
	a, b           []byte // certificates
	key            *ecdsa.PrivateKey
	pkcs8, ec      []byte
	csr, crl, spki []byte
}

var testMaterial = sync.OnceValue(func() material {
	var m material
	must := func(der []byte, err error) []byte {
		if err != nil {
			panic(err)
		}
		return der
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	signer := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) // its signatures are all of one length
	root := func(name string, serial int64) []byte {
		t := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2044, 1, 1, 0, 0, 0, 0, time.UTC),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
			SubjectKeyId: []byte{1, 2, 3, 4},
		}
		return must(x509.CreateCertificate(rand.Reader, t, t, signer.Public(), signer))
	}
	m.key = key
	m.a, m.b = root("Root A", 1), root("Root B", 2)
	m.pkcs8 = must(x509.MarshalPKCS8PrivateKey(key))
	m.ec = must(x509.MarshalECPrivateKey(key))
	m.csr = must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "Request"}, DNSNames: []string{"a.example"}}, signer))
	ca, err := x509.ParseCertificate(m.a)
	if err != nil {
		panic(err)
	}
	m.crl = must(x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Unix(1, 0), NextUpdate: time.Unix(2, 0)}, ca, signer))
	m.spki = must(x509.MarshalPKIXPublicKey(key.Public()))
	return m
})

func armoured(label string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

func utf16Of(s, mark string, order binary.AppendByteOrder) []byte {
	out := []byte(mark)
	for _, u := range utf16.Encode([]rune(s)) {
		out = order.AppendUint16(out, u)
	}
	return out
}

func der(tag byte, parts ...[]byte) []byte {
	value := bytes.Join(parts, nil)
	head := []byte{tag, byte(len(value))}
	if len(value) >= 0x80 {
		head = []byte{tag, 0x82, byte(len(value) >> 8), byte(len(value))}
	}
	return append(head, value...)
}

func oid(arcs ...int) []byte {
	out, err := asn1.Marshal(asn1.ObjectIdentifier(arcs))
	if err != nil {
		panic(err)
	}
	return out
}

var (
	serverAuth = []int{1, 3, 6, 1, 5, 5, 7, 3, 1}
	clientAuth = []int{1, 3, 6, 1, 5, 5, 7, 3, 2}
)

// summary is a File in a line: "LABEL@line" for each item, then the notices as
// "code@line".
func summary(f *File) string {
	var out []string
	for _, i := range f.Items {
		s := fmt.Sprintf("%s@%d", i.Cert.Label(), i.Line)
		if i.Distrusted {
			s += "!"
		}
		out = append(out, s)
	}
	for _, n := range f.Notices {
		out = append(out, fmt.Sprintf("%s@%d", n.Code, n.Line))
	}
	return strings.Join(out, " ")
}

func TestReadPEM(t *testing.T) {
	m := testMaterial()
	a, b := armoured("CERTIFICATE", m.a), armoured("CERTIFICATE", m.b)
	oneLine := "-----BEGIN CERTIFICATE-----" + base64.StdEncoding.EncodeToString(m.a) + "-----END CERTIFICATE-----"
	body := strings.TrimSuffix(strings.TrimPrefix(a, "-----BEGIN CERTIFICATE-----\n"), "-----END CERTIFICATE-----\n")
	aux := func(parts ...[]byte) []byte { return append(bytes.Clone(m.a), der(0x30, parts...)...) }
	tests := []struct{ name, in, want string }{
		{"two", a + b, "Root A@1 Root B@9"},
		{"nothing", "just a text\n", ""},
		{"empty", "", ""},
		{"byte order mark", "\xef\xbb\xbf" + a, "Root A@1"},
		{"CR LF", strings.ReplaceAll("one\n"+a+b, "\n", "\r\n"), "Root A@2 Root B@10"},
		{"CR", strings.ReplaceAll("one\n"+a+b, "\n", "\r"), "Root A@2 Root B@10"},
		{"UTF-16 LE", string(utf16Of("é\n"+a+"ü\n"+b, "\xff\xfe", binary.LittleEndian)), "Root A@2 Root B@11"},
		{"UTF-16 BE", string(utf16Of("é\n"+a+b, "\xfe\xff", binary.BigEndian)), "Root A@2 Root B@10"},
		{"UTF-16 LE unmarked", string(utf16Of(a+b, "", binary.LittleEndian)), "Root A@1 Root B@9"},
		{"UTF-16 BE unmarked", string(utf16Of(a+b, "", binary.BigEndian)), "Root A@1 Root B@9"},
		{"indented", "  ca: |\n    " + strings.ReplaceAll(a, "\n", "\n    "), "Root A@2"},
		{"tabs", strings.ReplaceAll(a, "\n", "\t\n\t"), "Root A@1"},
		{"one line", oneLine, "Root A@1"},
		{"glued", strings.TrimSuffix(a, "\n") + b, "Root A@1 Root B@8"},
		{"all in one line", oneLine + oneLine, "Root A@1 Root A@1"},
		{"more dashes", "-" + strings.TrimSuffix(a, "\n") + "---\n" + b, "Root A@1 Root B@9"},
		{"no final newline", strings.TrimSuffix(a, "\n"), "Root A@1"},
		{"blanks in the base64", "-----BEGIN CERTIFICATE-----\n" + strings.ReplaceAll(body, "A", "A ") + "-----END CERTIFICATE-----\n", "Root A@1"},
		{"blank lines", strings.ReplaceAll(a, "\n", "\n\n"), "Root A@1"},
		{"text around", "# Root A\nsubject= -----\n" + a + "tail", "Root A@3"},
		{"X509", armoured("X509 CERTIFICATE", m.a), "Root A@1"},
		{"headers", "-----BEGIN CERTIFICATE-----\nProc-Type: 4,CLEAR\nX: y\n z\n\n" + body + "-----END CERTIFICATE-----\n", "Root A@1"},
		{"headers without empty line", "-----BEGIN CERTIFICATE-----\nX: y\n" + body + "-----END CERTIFICATE-----\n", "Root A@1"},
		{"indented headers CR LF", strings.ReplaceAll("  -----BEGIN CERTIFICATE-----\n  X: y\n  \n  "+strings.ReplaceAll(body, "\n", "\n  ")+"-----END CERTIFICATE-----\n", "\n", "\r\n"), "Root A@1"},

		{"no END", strings.TrimSuffix(a, "-----END CERTIFICATE-----\n"), "unreadable-block@1"},
		{"no END, another follows", strings.TrimSuffix(a, "-----END CERTIFICATE-----\n") + b, "Root B@8 unreadable-block@1"},
		{"END cut short", strings.TrimSuffix(a, "--\n") + "\n" + b, "Root B@9 unreadable-block@1"},
		{"other END", strings.Replace(a, "END CERT", "END X509 CERT", 1) + b, "Root B@9 unreadable-block@1"},
		{"BEGIN cut short", strings.Replace(a, "CERTIFICATE-----", "CERTIFICATE--", 1) + b, "Root B@9 unreadable-block@1"},
		{"dashes inside", "-----BEGIN CERTIFICATE-----\n" + body + "-----\n" + b, "Root B@9 unreadable-block@1"},
		{"damaged base64", strings.Replace(a, "MII", "M*I", 1) + b, "Root B@9 unreadable-block@1"},
		{"base64 cut short", "-----BEGIN CERTIFICATE-----\n" + strings.TrimRight(body, "=\n")[:102] + "\n-----END CERTIFICATE-----\n" + b, "Root B@5 unreadable-block@1"},
		{"empty block", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "unreadable-block@1"},
		{"header only", "-----BEGIN CERTIFICATE-----\nA: b\n\n-----END CERTIFICATE-----\n", "unreadable-block@1"},
		{"no certificate", armoured("CERTIFICATE", []byte("something else")), "(unreadable certificate)@1 not-a-certificate@1"},
		{"certificate cut short", armoured("CERTIFICATE", m.a[:200]), "(unreadable certificate)@1 not-a-certificate@1"},
		{"request labelled certificate", armoured("CERTIFICATE", m.csr), "(unreadable certificate)@1 not-a-certificate@1"},
		{"CRL labelled certificate", armoured("CERTIFICATE", m.crl), "(unreadable certificate)@1 not-a-certificate@1"},
		{"trailing data", armoured("CERTIFICATE", append(bytes.Clone(m.a), 0, 0)), "Root A@1 trailing-data@1"},

		{"key", armoured("PRIVATE KEY", m.pkcs8) + a, "Root A@6 private-key@1"},
		{"encrypted key", armoured("ENCRYPTED PRIVATE KEY", m.pkcs8), "private-key@1"},
		{"EC key with parameters", armoured("EC PARAMETERS", oid(1, 2, 3)) + armoured("EC PRIVATE KEY", m.ec), "parameters@1 private-key@4"},
		{"key without END", strings.TrimSuffix(armoured("RSA PRIVATE KEY", m.ec), "-----END RSA PRIVATE KEY-----\n"), "private-key@1"},
		{"other keys", armoured("OPENSSH PRIVATE KEY", []byte("x")) + armoured("PGP PRIVATE KEY BLOCK", []byte("x")), "private-key@1 private-key@4"},
		{"key labelled certificate", armoured("CERTIFICATE", m.pkcs8) + armoured("CERTIFICATE", m.ec), "private-key@1 private-key@6"},
		{"part of a key labelled certificate", armoured("CERTIFICATE", m.pkcs8[:60]), "private-key@1"},

		{"request", armoured("CERTIFICATE REQUEST", m.csr) + armoured("NEW CERTIFICATE REQUEST", m.csr), "certificate-request@1 certificate-request@7"},
		{"others", armoured("X509 CRL", m.crl[:9]) + armoured("PKCS7", nil) + armoured("PUBLIC KEY", nil) + armoured("X", nil), "crl@1 pkcs7@4 public-key@6 other-block@8"},

		{"trusted label alone", armoured("TRUSTED CERTIFICATE", m.a), "Root A@1"},
		{"trusted for a purpose", armoured("TRUSTED CERTIFICATE", aux(der(0x30, oid(serverAuth...)))), "Root A@1"},
		{"trusted, none named", armoured("TRUSTED CERTIFICATE", aux(der(0x0c, []byte("name")))), "Root A@1"},
		{"empty trust", armoured("TRUSTED CERTIFICATE", aux(der(0x30))), "Root A@1!"},
		{"rejected", armoured("TRUSTED CERTIFICATE", aux(der(0xa0, oid(serverAuth...)))), "Root A@1!"},
		{"trusted and rejected", armoured("TRUSTED CERTIFICATE", aux(der(0x30, oid(serverAuth...)), der(0xa0, oid(serverAuth...)))), "Root A@1!"},
		{"one of two rejected", armoured("TRUSTED CERTIFICATE", aux(der(0x30, oid(serverAuth...), oid(clientAuth...)), der(0xa0, oid(serverAuth...)))), "Root A@1"},
		{"all rejected", armoured("TRUSTED CERTIFICATE", aux(der(0x30, oid(serverAuth...)), der(0xa0, oid(2, 5, 29, 37, 0)))), "Root A@1!"},
		{"unreadable trust", armoured("TRUSTED CERTIFICATE", aux(der(0x05))), "Root A@1! unreadable-trust@1"},
		{"rejected under the plain label", armoured("CERTIFICATE", aux(der(0xa0, oid(serverAuth...)))), "Root A@1! trailing-data@1"},

		{"p11-kit", "[p11-kit-object-v1]\ntrusted: true\n" + a + "[p11-kit-object-v1]\n" + b + "x-distrusted: true\n", "Root A@3 Root B@12!"},
		{"p11-kit, first of two", "[p11-kit-object-v1]\nx-distrusted: true\n" + a + "[p11-kit-object-v1]\n" + b, "Root A@3! Root B@12"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := ReadPEM([]byte(tt.in))
			if got := summary(f); got != tt.want {
				t.Errorf("got  %s\nwant %s\nnotices %v", got, tt.want, f.Notices)
			}
			for i, item := range f.Items {
				if item.Cert.Version != 0 && !bytes.Equal(item.Cert.Raw, m.a) && !bytes.Equal(item.Cert.Raw, m.b) {
					t.Errorf("item %d has more, or less, than the certificate", i)
				}
			}
			hasNoKey(t, f)
		})
	}
}

// hasNoKey fails if anything in f, or in the arrays behind it, holds the
// private key.
func hasNoKey(t *testing.T, v any) {
	t.Helper()
	secret := testMaterial().ec[7 : 7+32]
	if key, err := testMaterial().key.Bytes(); err != nil || !bytes.Equal(key, secret) {
		t.Fatal("the secret is not where it should be")
	}
	if f, ok := v.(*File); ok {
		for _, i := range f.Items {
			if bytes.Contains(i.Cert.Raw[:cap(i.Cert.Raw)], secret[:8]) {
				t.Error("a certificate's array holds the private key")
			}
		}
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{base64.StdEncoding.EncodeToString(secret)[:12], string(secret[:8]), fmt.Sprintf("%x", secret[:8])} {
		if bytes.Contains(text, []byte(part)) {
			t.Error("what was returned holds the private key")
		}
	}
}

func TestReadPEMSpans(t *testing.T) {
	m := testMaterial()
	a, b := armoured("CERTIFICATE", m.a), armoured("CERTIFICATE", m.b)
	text := "é intro\r\n" + a + "middle " + strings.TrimSuffix(b, "\n") + "\t\r\ntail " + strings.TrimSuffix(a, "\n") + " x"
	want := []string{a, strings.TrimSuffix(b, "\n") + "\t\r\n", strings.TrimSuffix(a, "\n")}
	encodings := map[string]func(string) []byte{
		"UTF-8":     func(s string) []byte { return []byte(s) },
		"marked":    func(s string) []byte { return []byte("\xef\xbb\xbf" + s) },
		"UTF-16 LE": func(s string) []byte { return utf16Of(s, "\xff\xfe", binary.LittleEndian) },
		"UTF-16 BE": func(s string) []byte { return utf16Of(s, "\xfe\xff", binary.BigEndian) },
	}
	for name, encode := range encodings {
		in := encode(text)
		f := ReadPEM(in)
		if len(f.Items) != len(want) {
			t.Fatalf("%s: %s", name, summary(f))
		}
		for i, item := range f.Items {
			part := encode(want[i])
			part = bytes.TrimPrefix(part, encode(""))
			if got := in[item.Start:item.End]; !bytes.Equal(got, part) {
				t.Errorf("%s: item %d spans %q, want %q", name, i, got, part)
			}
			if item.Block != i+1 {
				t.Errorf("%s: item %d is block %d", name, i, item.Block)
			}
		}
	}
}

func TestDamagedBase64Line(t *testing.T) {
	a := armoured("CERTIFICATE", testMaterial().a)
	lines := strings.Split(a, "\n")
	lines[3] = "é" + lines[3][1:]
	f := ReadPEM([]byte("\n" + strings.Join(lines, "\n")))
	if len(f.Notices) != 1 || f.Notices[0].Line != 2 || !strings.Contains(f.Notices[0].Text, "line 5") {
		t.Errorf("%+v", f.Notices)
	}
}

func TestAux(t *testing.T) {
	m := testMaterial()
	data := append(bytes.Clone(m.a), der(0x30, der(0x30, oid(serverAuth...)), der(0xa0, oid(clientAuth...)), der(0x0c, []byte("an alias")), der(0x04, []byte{1}))...)
	for name, in := range map[string][]byte{"PEM": []byte(armoured("TRUSTED CERTIFICATE", data)), "DER": data} {
		f, err := Read(in)
		if err != nil || len(f.Items) != 1 || len(f.Notices) != 0 {
			t.Fatalf("%s: %v %v", name, summary(f), err)
		}
		item := f.Items[0]
		if item.Aux == nil || item.Distrusted || item.TrustedLabel != (name == "PEM") || !bytes.Equal(item.Cert.Raw, m.a) {
			t.Fatalf("%s: %+v", name, item)
		}
		if got := fmt.Sprintf("%q", *item.Aux); got != `{["1.3.6.1.5.5.7.3.1"] ["1.3.6.1.5.5.7.3.2"] "an alias"}` {
			t.Errorf("%s: %s", name, got)
		}
	}
	f := ReadPEM([]byte(armoured("TRUSTED CERTIFICATE", append(bytes.Clone(m.a), der(0x30, der(0x0c, []byte("n")))...))))
	if aux := f.Items[0].Aux; aux.Trust != nil || aux.Reject != nil {
		t.Errorf("no list is not an empty list: %+v", aux)
	}
}

func TestRead(t *testing.T) {
	m := testMaterial()
	a := armoured("CERTIFICATE", m.a)
	b64 := base64.StdEncoding.EncodeToString
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	pkcs7 := der(0x30, oid(1, 2, 840, 113549, 1, 7, 2), der(0xa0, der(0x30)))
	encryptedKey := der(0x30, der(0x30, oid(1, 2, 840, 113549, 1, 5, 13), der(0x30)), der(0x04, m.ec))
	bcfks := der(0x30, der(0x30, der(0x30, oid(1, 2, 3)), der(0x04, []byte("x"))), der(0x30, der(0x30)))
	tests := []struct {
		name   string
		in     []byte
		format string
		want   string
		err    error
		text   string // part of the error's text
	}{
		{"PEM", []byte(a), "PEM", "Root A@1", nil, ""},
		{"DER", m.a, "DER", "Root A@0", nil, ""},
		{"two DER", join(m.a, m.b), "DER", "Root A@0 Root B@0", nil, ""},
		{"DER and zeros", join(m.a, make([]byte, 5)), "DER", "Root A@0 trailing-data@0", nil, ""},
		{"DER and half of one", join(m.a, m.b[:99]), "DER", "Root A@0 damaged@0", nil, ""},
		{"DER and a key and DER", join(m.a, m.pkcs8, m.b), "DER", "Root A@0 Root B@0 private-key@0", nil, ""},
		{"DER and text", join(m.a, []byte("\n"+a)), "DER", "Root A@0 trailing-data@0", nil, ""},
		{"base64", []byte(b64(m.a)), "base64 of DER", "Root A@0", nil, ""},
		{"base64 in lines", []byte(" " + strings.ReplaceAll(b64(join(m.a, m.b)), "A", "A\r\n ")), "base64 of DER", "Root A@0 Root B@0", nil, ""},
		{"base64 in UTF-16", utf16Of(b64(m.a)+"\r\n", "\xff\xfe", binary.LittleEndian), "base64 of DER", "Root A@0", nil, ""},
		{"base64 of PEM", []byte(b64([]byte(a))), "base64 of PEM", "Root A@0", nil, ""},
		{"base64 of JKS", []byte(b64(jks(magicJKS, 2, trusted("x", m.a)))), "base64 of JKS", "Root A@0", nil, ""},
		{"HTML with PEM", []byte("<!DOCTYPE html><pre>" + a + "</pre>"), "PEM", "Root A@1", nil, ""},

		{"empty", nil, "", "", store.ErrInput, "empty"},
		{"blank", []byte(" \r\n\t"), "", "", store.ErrInput, "empty"},
		{"too large", make([]byte, MaxSize+1), "", "", store.ErrInput, "larger than 16 MiB"},
		{"text", []byte("hello\n"), "", "", store.ErrInput, "text without a certificate"},
		{"base64 of nothing known", []byte("aGVsbG8gd29ybGQ="), "", "", store.ErrInput, "text without a certificate"},
		{"text in UTF-16", utf16Of("hello world", "\xff\xfe", binary.LittleEndian), "", "", store.ErrInput, "text without a certificate"},
		{"digits", []byte("00000000000000000000"), "", "", store.ErrInput, "text without a certificate"},
		{"HTML", []byte("\n<!doctype HTML><title>404</title>"), "", "", store.ErrInput, "HTML"},
		{"damaged armour", []byte(strings.ReplaceAll(a, "-----", "----")), "", "", store.ErrInput, "BEGIN line is damaged"},
		{"binary", []byte{0, 1, 2, 0xff, 0xfe}, "", "", store.ErrInput, "binary"},
		{"DER cut short", m.a[:100], "DER", "", store.ErrInput, fmt.Sprintf("cut short: 100 of %d", len(m.a))},
		{"BER", join([]byte{0x30, 0x80}, m.a[4:], []byte{0, 0}), "DER", "", store.ErrUnsupported, "BER"},
		{"key", []byte(armoured("PRIVATE KEY", m.pkcs8)), "PEM", "private-key@1", store.ErrInput, "a private key, not a certificate"},
		{"key in DER", m.pkcs8, "DER", "private-key@0", store.ErrInput, "a private key, not a certificate"},
		{"EC key in DER", m.ec, "DER", "private-key@0", store.ErrInput, "a private key, not a certificate"},
		{"RSA key in DER", der(0x30, der(2, []byte{0}), der(2, []byte{1}), der(2, []byte{1}), der(2, []byte{1})), "DER", "private-key@0", store.ErrInput, "a private key"},
		{"encrypted key in DER", encryptedKey, "DER", "private-key@0", store.ErrInput, "a private key"},
		{"public key in DER", m.spki, "DER", "public-key@0", store.ErrInput, "a public key"},
		{"request", []byte(armoured("CERTIFICATE REQUEST", m.csr)), "PEM", "certificate-request@1", store.ErrInput, "a certificate request, not a certificate"},
		{"request in DER", m.csr, "DER", "certificate-request@0", store.ErrInput, "a certificate request, not a certificate"},
		{"CRL in DER", m.crl, "DER", "crl@0", store.ErrInput, "revocation list"},
		{"PKCS#7", pkcs7, "PKCS#7", "", store.ErrCorrupt, "damaged PKCS#7"},
		{"PKCS#7 in BER", []byte("\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\xa0\x80"), "PKCS#7", "", store.ErrCorrupt, "cut short"},
		{"PKCS#7 in PEM", []byte(armoured("PKCS7", pkcs7)), "PEM", "damaged@1", store.ErrInput, "damaged PKCS#7"},
		{"BCFKS", bcfks, "a BCFKS keystore", "", store.ErrUnsupported, "BCFKS"},
		{"SST", []byte("\x00\x00\x00\x00CERT"), "SST", "", store.ErrInput, "no certificate"},
		{"registry", utf16Of("Windows Registry Editor Version 5.00\r\n", "\xff\xfe", binary.LittleEndian), "registry file", "", store.ErrInput, "registry file"},
		{"profile", []byte("<?xml version=\"1.0\"?>\n<plist version=\"1.0\">"), "property list", "damaged@0", store.ErrInput, "breaks off"},
		{"ZIP", []byte("PK\x03\x04\x00\x00"), "ZIP", "", store.ErrCorrupt, "damaged ZIP"},
		{"no END", []byte(a[:200]), "PEM", "unreadable-block@1", store.ErrInput, "line 1: the block CERTIFICATE cannot be read: its END line is missing"},
		{"not one", []byte(armoured("CERTIFICATE", []byte("junk"))), "PEM", "(unreadable certificate)@1 not-a-certificate@1", store.ErrInput, "something else where a certificate should be"},
		{"CRL labelled certificate", []byte(armoured("CERTIFICATE", m.crl)), "PEM", "(unreadable certificate)@1 not-a-certificate@1", store.ErrInput, "revocation list where"},
		{"keystore without certificates", jks(magicJKS, 2), "JKS", "", store.ErrInput, "no certificate"},
		{"keystore with a key", jks(magicJKS, 2, keyEntry("k", m.ec, m.a)), "JKS", "Root A@0 key-entry@0", nil, ""},
		{"keystore with a key alone", jks(magicJKS, 2, keyEntry("k", m.ec)), "JKS", "key-entry@0", store.ErrInput, "keys only"},
		{"keystore cut short", jks(magicJKS, 2, trusted("x", m.a), trusted("y", m.b))[:len(m.a)+60], "JKS", "Root A@0 damaged@0", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Read(tt.in)
			if f == nil {
				t.Fatal("no File")
			}
			if got := summary(f); got != tt.want || f.Format != tt.format {
				t.Errorf("got %q: %s\nwant %q: %s\nnotices %v", f.Format, got, tt.format, tt.want, f.Notices)
			}
			if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Errorf("got error %v, want %v", err, tt.err)
			}
			if err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error is %q, want something with %q", err, tt.text)
			}
			hasNoKey(t, f)
			hasNoKey(t, fmt.Sprint(err))
		})
	}
}

func TestReadDERSpans(t *testing.T) {
	m := testMaterial()
	in := bytes.Join([][]byte{m.a, m.spki, m.b}, nil)
	f, err := Read(in)
	if err != nil || len(f.Items) != 2 {
		t.Fatal(summary(f), err)
	}
	for i, block := range []int{1, 3} {
		if item := f.Items[i]; item.Block != block || !bytes.Equal(in[item.Start:item.End], item.Cert.Raw) {
			t.Errorf("item %d: block %d, %d to %d", i, item.Block, item.Start, item.End)
		}
	}
}

func TestEncodePEM(t *testing.T) {
	c := store.NewCert(testMaterial().a)
	text := EncodePEM(c)
	if want := armoured("CERTIFICATE", c.Raw); string(text) != want {
		t.Errorf("got\n%s", text)
	}
	for line := range strings.Lines(string(text)) {
		if len(line) > 65 || strings.Contains(line, "\r") {
			t.Errorf("line %q", line)
		}
	}
}

// fixtures are whole files of every shape, for the tests that damage them.
func fixtures(t testing.TB) map[string][]byte {
	m := testMaterial()
	trusted12, err := pkcs12.Passwordless.EncodeTrustStoreEntries([]pkcs12.TrustStoreEntry{{Cert: store.NewCert(m.a).Parsed(), FriendlyName: "first ü"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	aux := func(parts ...[]byte) []byte { return append(bytes.Clone(m.a), der(0x30, parts...)...) }
	return map[string][]byte{
		"PEM":         []byte("text\n" + armoured("CERTIFICATE", m.a) + armoured("PRIVATE KEY", m.pkcs8)),
		"PEM headers": []byte("-----BEGIN CERTIFICATE-----\nA: b\n\n" + strings.SplitN(armoured("CERTIFICATE", m.a), "\n", 2)[1]),
		"trusted":     []byte(armoured("TRUSTED CERTIFICATE", aux(der(0x30, oid(serverAuth...)), der(0xa0, oid(clientAuth...))))),
		"UTF-16":      utf16Of(armoured("CERTIFICATE", m.a), "\xff\xfe", binary.LittleEndian),
		"p11-kit":     []byte(p11Section + "\nx-distrusted: true\n" + armoured("CERTIFICATE", m.a) + p11Section),
		"DER":         append(bytes.Clone(m.a), m.b...),
		"DER trusted": aux(der(0x30, oid(serverAuth...))),
		"base64":      []byte(base64.StdEncoding.EncodeToString(m.a)),
		"request":     m.csr,
		"key":         m.pkcs8,
		"JKS":         jks(magicJKS, 2, keyEntry("k", m.ec, m.a, m.b), trusted("ca", m.a)),
		"JKS 1":       jks(magicJKS, 1, trustedV1("ca", m.a)),
		"JCEKS":       jks(magicJCEKS, 2, trusted("ca", m.a), secretEntry("s")),
		"PKCS#12":     trusted12,
	}
}

// check fails if what a reader returned is not as promised.
func check(t testing.TB, data []byte, f *File) {
	if f == nil {
		t.Fatal("no File")
	}
	line, block, path := 0, 0, ""
	for i, item := range f.Items {
		if item.Cert == nil || item.Start < 0 || item.End < item.Start || item.End > len(data) || item.Path == path && (item.Line < line || item.Block < block) {
			t.Fatalf("item %d: %+v", i, item)
		}
		line, block, path = item.Line, item.Block, item.Path
		if item.Cert.Version == 0 {
			continue
		}
		again := ReadPEM(EncodePEM(item.Cert))
		if len(again.Items) != 1 || len(again.Notices) != 0 || !bytes.Equal(again.Items[0].Cert.Raw, item.Cert.Raw) {
			t.Fatalf("item %d does not survive being written: %s", i, summary(again))
		}
	}
	for _, n := range f.Notices {
		if n.Code == "" || n.Text == "" || n.Text != store.Printable(n.Text) && !strings.Contains(n.Text, `\`) {
			t.Fatalf("notice %+v", n)
		}
	}
}

func checkAll(t testing.TB, data []byte) {
	r := newReading(nil, len(data))
	r.derivation = 3000 // a flipped bit may ask for much more than the file did
	f, err := r.read(data)
	f.markKeys()
	check(t, data, f)
	usable := false
	for _, i := range f.Items {
		usable = usable || i.Cert.Version != 0
	}
	if usable != (err == nil) {
		t.Fatalf("%d items, error %v", len(f.Items), err)
	}
	check(t, data, ReadPEM(data))
	r = newReading(nil, len(data))
	r.derivation = 3000
	f, _ = r.keystore(data)
	check(t, data, f)
}

func TestDamage(t *testing.T) {
	for name, whole := range fixtures(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := range whole {
				checkAll(t, bytes.Clone(whole[:n]))
				if !testing.Short() {
					for bit := range 8 {
						if !*exhaustive && bit != n%8 && bit != (n/8+n)%8 {
							continue
						}
						flipped := bytes.Clone(whole)
						flipped[n] ^= 1 << bit
						checkAll(t, flipped)
					}
				}
			}
		})
	}
}

// TestHostile reads what would take a reader hours that looks at anything more
// often than a few times.
func TestHostile(t *testing.T) {
	const size = 3 << 20
	fill := func(s string) []byte { return bytes.Repeat([]byte(s), size/len(s)) }
	m := testMaterial()
	open := "-----BEGIN CERTIFICATE-----\n"
	tests := map[string][]byte{
		"dashes":            fill("-"),
		"open and dashes":   append([]byte(open), fill("-")...),
		"dashes in lines":   append([]byte(open), fill("-----\n")...),
		"begin":             fill("-----BEGIN "),
		"begin lines":       fill(open),
		"end lines":         append([]byte(open), fill("-----END CERTIFICATE----\n")...),
		"other end lines":   fill(open + "-----END X-----\n"),
		"empty blocks":      fill(open + "-----END CERTIFICATE-----\n"),
		"base64":            append([]byte(open), fill("MII")...),
		"base64 in a block": append(append([]byte(open), fill("MIIB")...), "\n-----END CERTIFICATE-----\n"...),
		"blanks":            append(append([]byte(open), fill("A ")...), "\n-----END CERTIFICATE-----\n"...),
		"colons":            append(append([]byte(open), fill(":\r\n")...), "\n-----END CERTIFICATE-----\n"...),
		"CR":                append(fill("\r"), open...),
		"sections":          fill(p11Section),
		"distrusts":         fill(p11Section + "\nx-distrusted: true\n"),
		"UTF-16":            fill("-\x00"),
		"sequences":         fill("0\x84"),
		"nested":            fill("\x30\x80"),
		"tiny elements":     append([]byte{0x30, 0x84, 0, size >> 16, 0, 0}, fill("\x05\x00")...),
		"DER":               fill(string(m.spki)),
		"JKS":               append([]byte("\xfe\xed\xfe\xed\x00\x00\x00\x02\xff\xff\xff\xff"), fill("\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")...),
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			check(t, data, ReadPEM(data))
			f, _ := Read(data)
			check(t, data, f)
		})
	}
}

func bundle(t testing.TB, n int) []byte {
	m := testMaterial()
	var out bytes.Buffer
	for i := range n {
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: fmt.Sprint("Root ", i)}, NotAfter: time.Unix(1<<31, 0), IsCA: true, BasicConstraintsValid: true}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, m.key.Public(), m.key)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "# Root %d\n%s\n", i, armoured("CERTIFICATE", der))
	}
	return out.Bytes()
}

func TestBundle(t *testing.T) {
	f, err := Read(bundle(t, 150))
	if err != nil || len(f.Items) != 150 || len(f.Notices) != 0 {
		t.Fatalf("%d items, %v, %v", len(f.Items), f.Notices, err)
	}
	for i, item := range f.Items {
		if item.Cert.Label() != fmt.Sprint("Root ", i) || item.Block != i+1 {
			t.Errorf("item %d is %s, block %d", i, item.Cert.Label(), item.Block)
		}
	}
}

func BenchmarkReadPEM(b *testing.B) {
	data := bundle(b, 150)
	b.SetBytes(int64(len(data)))
	b.Run("certfile", func(b *testing.B) {
		for b.Loop() {
			if f := ReadPEM(data); len(f.Items) != 150 {
				b.Fatal(summary(f))
			}
		}
	})
	b.Run("encoding-pem", func(b *testing.B) { // the least that any reader can do
		for b.Loop() {
			n := 0
			for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
				if _, err := x509.ParseCertificate(block.Bytes); err == nil {
					n++
				}
			}
			if n != 150 {
				b.Fatal(n)
			}
		}
	})
}

func FuzzRead(f *testing.F) {
	for _, data := range fixtures(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkAll(t, data) })
}

func FuzzReadPEM(f *testing.F) {
	for _, data := range fixtures(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { check(t, data, ReadPEM(data)) })
}

func FuzzKeystore(f *testing.F) {
	for _, data := range fixtures(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := newReading(nil, len(data))
		r.derivation = 3000
		file, _ := r.keystore(data)
		check(t, data, file)
	})
}
