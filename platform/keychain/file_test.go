package keychain

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/certtrust/certtrust/platform/keychain/securitytest"
	"github.com/certtrust/certtrust/store/storetest"
)

func TestReadKeychain(t *testing.T) {
	a, b := storetest.NewCA(t), storetest.Unparsable(t)
	whole := securitytest.KeychainFile([][]byte{a.DER(), b.DER()})
	items, err := readKeychain(whole)
	if err != nil || len(items) != 2 || !bytes.Equal(items[0].der, a.DER()) || !bytes.Equal(items[1].der, b.DER()) {
		t.Fatalf("%v %v", items, err)
	}
	if items, err := readKeychain(securitytest.KeychainFile(nil)); err != nil || len(items) != 0 {
		t.Fatalf("without certificates: %v %v", items, err)
	}
	// Wherever it breaks off, it is told, and what is whole is kept.
	for n := range len(whole) {
		items, err := readKeychain(whole[:n])
		good := 0
		for _, item := range items {
			if item.err == nil {
				good++
			}
		}
		if err == nil && good == len(items) {
			t.Fatalf("of %d bytes %d, and nothing is said", len(whole), n)
		}
	}
	// Two slots that lead to one record, and records that lead out of the file.
	table := bytes.Index(whole, []byte{0x80, 0x00, 0x10, 0x00}) - 4
	for _, to := range []uint32{binary.BigEndian.Uint32(whole[table+28+4:]), 0x7ffffffe, 2} {
		damaged := bytes.Clone(whole)
		binary.BigEndian.PutUint32(damaged[table+28:], to)
		items, err := readKeychain(damaged)
		if err != nil || len(items) != 2 || items[0].err == nil && items[1].err == nil {
			t.Errorf("a slot that leads to %d: %v %v", to, items, err)
		}
	}
}

// A property list of a few hundred bytes, or one that is very deep, costs
// nothing.
func TestPlistsAreBounded(t *testing.T) {
	bomb := func(levels int) []byte {
		out := []byte("bplist00")
		var table []byte
		for i := range levels { // each an array that holds the next one twice
			table = binary.BigEndian.AppendUint16(table, uint16(len(out)))
			out = append(out, 0xa2, byte(i+1), byte(i+1))
		}
		table = binary.BigEndian.AppendUint16(table, uint16(len(out)))
		at := len(out) + 1
		out = append(append(out, 0x09), table...)
		trailer := make([]byte, 32)
		trailer[6], trailer[7] = 2, 1
		binary.BigEndian.PutUint64(trailer[8:], uint64(levels+1))
		binary.BigEndian.PutUint64(trailer[24:], uint64(at))
		return append(out, trailer...)
	}
	var v any
	if err := unmarshal(bomb(10), &v); err != nil {
		t.Errorf("a small one: %v", err)
	}
	for _, data := range [][]byte{bomb(60), bytes.Repeat([]byte("<array>"), 1<<20), append([]byte("bplist00"), make([]byte, 40)...), []byte("{a=1;}"), nil} {
		if err := unmarshal(data, &v); err == nil {
			t.Errorf("%.20q is read", data)
		}
	}
	// A zero at the end of a text is no reason to lose all.
	s, err := parseSettings([]byte("<plist><dict><key>trustVersion</key><integer>1</integer><key>trustList</key><dict><key>A</key><dict>" +
		"<key>trustSettings</key><array><dict><key>kSecTrustSettingsPolicyString</key><string>a.test\x00</string></dict></array></dict></dict></dict></plist>"))
	if err != nil || s.records["A"].entries[0].host != "a.test" {
		t.Errorf("%+v %v", s, err)
	}
}

func FuzzReadKeychain(f *testing.F) {
	ca := storetest.NewCA(f)
	f.Add(securitytest.KeychainFile([][]byte{ca.DER(), []byte("0junk")}))
	f.Add(securitytest.KeychainFile(nil))
	f.Add([]byte("kych"))
	f.Fuzz(func(t *testing.T, data []byte) {
		items, _ := readKeychain(data)
		total := 0
		for _, item := range items {
			if (item.err == nil) == (len(item.der) == 0) {
				t.Fatalf("neither a certificate nor an error: %+v", item)
			}
			total += len(item.der)
		}
		if len(items) > len(data)/4 {
			t.Fatalf("%d items of %d bytes", len(items), len(data))
		}
	})
}

func FuzzParseFound(f *testing.F) {
	ca := storetest.NewCA(f)
	f.Add([]byte("SHA-256 hash: AA\nSHA-1 hash: BB\n" + string(ca.PEM())))
	f.Add([]byte("SHA-1 hash: " + sha1Of(ca.DER()) + "\n" + string(ca.PEM())))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, item := range parseFound(data) {
			if item.err == nil && (len(item.der) == 0 || sha1Of(item.der) != item.sha1) {
				t.Fatalf("%+v", item)
			}
		}
	})
}

func FuzzParseSettings(f *testing.F) {
	ca := storetest.NewCA(f).Cert()
	l := securitytest.NewList()
	if err := l.Put(ca.Raw, []map[string]any{{"kSecTrustSettingsResult": int64(3)}, {"kSecTrustSettingsPolicy": []byte{0x2a, 0x86}}}); err != nil {
		f.Fatal(err)
	}
	f.Add(l.XML())
	f.Add([]byte("bplist00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		s, err := parseSettings(data)
		if err != nil {
			return
		}
		for _, r := range s.records {
			r.describe()
			r.trust(newHeld(ca), nil)
		}
		// What was read is written so that it reads the same.
		text, err := s.encode(nil)
		if err != nil {
			return
		}
		again, err := parseSettings(text)
		if err != nil || len(again.records) != len(s.records) {
			t.Fatalf("%v: %d records, not %d\n%s", err, len(again.records), len(s.records), text)
		}
	})
}
