package wincert

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// registryText writes a registry as its editor exports it.
func registryText(values map[string][]byte) string {
	var b strings.Builder
	b.WriteString("Windows Registry Editor Version 5.00\r\n\r\n")
	for key, blob := range values {
		fmt.Fprintf(&b, "[%s]\r\n\"Blob\"=hex:", key)
		for i, x := range blob {
			fmt.Fprintf(&b, "%02x", x)
			if i < len(blob)-1 {
				b.WriteByte(',')
				if i%20 == 19 {
					b.WriteString("\\\r\n  ")
				}
			}
		}
		b.WriteString("\r\n\r\n")
	}
	return b.String()
}

func inUTF16(s string) []byte {
	out := []byte("\xff\xfe")
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return out
}

// exported opens a file with that content, and returns its entries and errors.
func entriesOf(t *testing.T, data []byte) (entries []store.Entry, lost []error) {
	t.Helper()
	root := storetest.TempDir(t)
	if err := os.WriteFile(filepath.Join(root, "x.reg"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	s, _, err := OpenExport(host.Fake(root), "/x.reg")
	if err != nil {
		t.Fatal(err)
	}
	if i := s.Info(); i.ID != "reg:/x.reg" || i.Access.Write == nil {
		t.Errorf("it is %+v", i)
	}
	for e, err := range s.Entries(t.Context()) {
		if err != nil {
			lost = append(lost, err)
		} else {
			entries = append(entries, e)
		}
	}
	return entries, lost
}

func TestExport(t *testing.T) {
	a, b, c, d := storetest.NewCA(t).Cert(), storetest.NewCA(t).Cert(), storetest.NewCA(t).Cert(), storetest.NewCA(t).Cert()
	plain := func(c *store.Cert) []byte { return (&record{cert: c}).blob() }
	named := (&record{cert: a}).with(propFriendlyName, utf16Bytes("Ünïcödé")).with(propSHA1, []byte("derived")).with(104, make([]byte, 8)).with(122, []byte{0x30, 0})
	lm := `HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SystemCertificates\`
	values := map[string][]byte{
		lm + `Root\Certificates\` + thumbprint(a.Raw):                                                              named.blob(),
		lm + `Disallowed\Certificates\` + thumbprint(b.Raw):                                                        plain(b),
		lm + `Root\Certificates\` + thumbprint(b.Raw):                                                              plain(b),
		`HKEY_CURRENT_USER\Software\Microsoft\SystemCertificates\CA\Certificates\` + thumbprint(c.Raw):             plain(c),
		`HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\SystemCertificates\root\Certificates\` + thumbprint(c.Raw): plain(c),
		`HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\EnterpriseCertificates\Root\Certificates\` + thumbprint(d.Raw):      plain(d),
		`HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SystemCertificates\Root\Certificates\0123456789`:                    plain(d),
		lm + `AuthRoot\Certificates\` + strings.ToLower(thumbprint(d.Raw)):                                         plain(d),
		lm + `Root\Certificates\CUT`:                 plain(d)[:40],
		lm + `Root\Certificates\EMPTY`:               {},
		`HKEY_LOCAL_MACHINE\SOFTWARE\Something\Else`: plain(d),
		`HKEY_USERS\S-1-5-21-1-2-3-1000\Software\Microsoft\SystemCertificates\TrustedPeople\Certificates\` + thumbprint(d.Raw): plain(d),
	}
	text := registryText(values)
	wine := "WINE REGISTRY Version 2\n;; All keys relative to \\\\Machine\n\n" +
		"[Software\\\\Microsoft\\\\SystemCertificates\\\\Root\\\\Certificates\\\\" + thumbprint(a.Raw) + "] 1699999999\n#time=1da0\n\"Blob\"=hex:" + hexList(named.blob()) + "\n"
	for name, data := range map[string][]byte{"UTF-16": inUTF16(text), "bytes": []byte(text)} {
		entries, lost := entriesOf(t, data)
		got := map[string]string{}
		for _, e := range entries {
			line := string(e.Origin.By) + " " + e.Trust.String()
			for _, p := range e.Problems {
				line += " " + p.Code
			}
			got[e.Source.Path+" "+e.Cert.SHA256.Short()] = strings.TrimSpace(line)
		}
		want := map[string]string{
			`LocalMachine\Root ` + b.SHA256.Short():            "admin distrusted: any",
			`LocalMachine\Disallowed ` + b.SHA256.Short():      "admin distrusted: any",
			`CurrentUser\CA ` + c.SHA256.Short():               "user",
			`LocalMachineGroupPolicy\root ` + c.SHA256.Short(): "policy trusted: any",
			`LocalMachineEnterprise\Root ` + d.SHA256.Short():  "policy trusted: any",
			`LocalMachine\Root ` + d.SHA256.Short():            "admin trusted: any key-name",
			`LocalMachine\AuthRoot ` + d.SHA256.Short():        "vendor trusted: any key-name-case",
			`CurrentUser\TrustedPeople ` + d.SHA256.Short():    "user peer: any",
			`LocalMachine\Root ` + a.SHA256.Short():            "admin trusted: any if issued by 1601-01-01",
		}
		for k, v := range want {
			if got[k] != v {
				t.Errorf("%s: %s is %q, not %q", name, k, got[k], v)
			}
		}
		if len(got) != len(want) || len(lost) != 2 {
			t.Errorf("%s: %d entries and %d errors: %v", name, len(got), len(lost), lost)
		}
		for _, err := range lost {
			if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "line ") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	entries, lost := entriesOf(t, []byte(wine))
	if len(entries) != 1 || len(lost) != 0 || entries[0].Label != "Ünïcödé" || entries[0].Source.Path != `LocalMachine\Root` || entries[0].Native["disallowedUsages"] != "none" {
		t.Errorf("of Wine: %+v, %v", entries, lost)
	}
	for _, bad := range []string{"", "something else", "\xff\xfe"} {
		if _, lost := entriesOf(t, []byte(bad)); len(lost) != 1 || !errors.Is(lost[0], store.ErrInput) {
			t.Errorf("%q: %v", bad, lost)
		}
	}
}

func hexList(b []byte) string {
	var out []string
	for _, x := range b {
		out = append(out, hex.EncodeToString([]byte{x}))
	}
	return strings.Join(out, ",")
}

func TestSST(t *testing.T) {
	a, b := storetest.NewCA(t).Cert(), storetest.NewCA(t).Cert()
	data := []byte(sstMagic)
	data = append(data, (&record{cert: a}).with(propFriendlyName, utf16Bytes("A")).blob()...)
	data = append(data, (&record{cert: b}).blob()...)
	whole := append(bytes.Clone(data), make([]byte, 12)...)
	entries, lost := entriesOf(t, whole)
	if len(entries) != 2 || len(lost) != 0 || entries[0].Label != "A" || entries[1].Label == "A" || entries[0].Trust.Has(store.Trusted) {
		t.Errorf("%+v, %v", entries, lost)
	}
	entries, lost = entriesOf(t, data)
	if len(entries) != 2 || len(lost) != 1 {
		t.Errorf("without an end: %d entries, %v", len(entries), lost)
	}
	entries, lost = entriesOf(t, data[:len(data)-3])
	if len(entries) != 1 || len(lost) != 1 {
		t.Errorf("cut short: %d entries, %v", len(entries), lost)
	}
}

// FuzzExport reads anything without failing, and what it can read it can write.
func FuzzExport(f *testing.F) {
	ca := storetest.NewCA(f).Cert()
	blob := (&record{cert: ca}).with(propFriendlyName, utf16Bytes("A")).with(propEKU, []byte{0x30, 0}).blob()
	f.Add(append([]byte(sstMagic), blob...))
	f.Add([]byte(registryText(map[string][]byte{`HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SystemCertificates\Root\Certificates\X`: blob})))
	f.Add(blob)
	f.Fuzz(func(t *testing.T, data []byte) {
		found, _ := readExport(data)
		for _, x := range found {
			if x.record != nil {
				x.entry(nil)
			}
		}
		parseTrustList(data)
		if r, err := parseBlob(data); err == nil {
			again, err := parseBlob(r.blob())
			if err != nil || !same(r, again) {
				t.Errorf("written and read again it is %v (%v)", again, err)
			}
			r.asAnchor()
			r.native()
		}
	})
}

// trustListOf writes a list of roots, signed by nobody.
func trustListOf(t *testing.T, roots ...*store.Cert) []byte {
	t.Helper()
	must := func(v any, params string) []byte {
		der, err := asn1.MarshalWithParams(v, params)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	seq := func(parts ...[]byte) []byte {
		return must(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: bytes.Join(parts, nil)}, "")
	}
	explicit := func(der []byte) []byte {
		return must(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: der}, "")
	}
	var entries [][]byte
	for _, c := range roots {
		id, _ := hex.DecodeString(thumbprint(c.Raw))
		attribute := seq(must(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 10, 11, 98}, ""),
			must(asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: must(c.SHA256[:], "")}, ""))
		entries = append(entries, seq(must(id, ""), must(asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: attribute}, "")))
	}
	list := seq(seq(must(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 10, 3, 9}, "")), must([]byte("list"), ""), must(7, ""),
		must(time.Date(2025, 3, 4, 0, 0, 0, 0, time.UTC), "utc"), seq(must(asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, "")), seq(entries...))
	signed := seq(must(1, ""), must(asn1.RawValue{Tag: asn1.TagSet, IsCompound: true}, ""), seq(must(oidTrustList, ""), explicit(list)))
	return seq(must(oidSignedData, ""), explicit(signed))
}

func TestTrustList(t *testing.T) {
	a, b := storetest.NewCA(t).Cert(), storetest.NewCA(t).Cert()
	list, err := parseTrustList(trustListOf(t, a))
	if err != nil || len(list.subjects) != 1 || !list.holds(a) || list.holds(b) || list.issued.Year() != 2025 {
		t.Errorf("%+v, %v", list, err)
	}
	der := trustListOf(t, a, b)
	for n := range der {
		if _, err := parseTrustList(der[:n]); err == nil {
			t.Fatalf("cut at %d it is still a list", n)
		}
	}
}
