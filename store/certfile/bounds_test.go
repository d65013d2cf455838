package certfile

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/base64"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/store"
)

// zeros returns so many MiB of zeros as a deflated stream (RFC 1951): the same
// piece again and again, which costs less than deflating them.
func zeros(t *testing.T, mebibytes int) []byte {
	var piece bytes.Buffer
	w, err := flate.NewWriter(&piece, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return append(bytes.Repeat(piece.Bytes(), mebibytes), 1, 0, 0, 0xff, 0xff)
}

// gzipBomb is a gzip file of a deflated stream; its reader never gets to the
// checksum.
func gzipBomb(stream []byte) []byte {
	return append([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"), append(stream, make([]byte, 8)...)...)
}

func zipOf(t *testing.T, members ...any) []byte {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for i := 0; i < len(members); i += 2 {
		name, content := members[i].(string), members[i+1]
		var w io.Writer
		var err error
		if stream, raw := content.([]byte); raw { // deflated already
			w, err = z.CreateRaw(&zip.FileHeader{Name: name, Method: zip.Deflate, CompressedSize64: uint64(len(stream)), UncompressedSize64: 300 << 20})
			content = bytes.NewReader(stream)
		} else {
			w, err = z.Create(name)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(w, content.(io.Reader)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// allocated returns how many bytes a reading takes from the heap, all in all.
func allocated(read func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	read()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestBounds reads files that claim or unpack to much more than they are.
func TestBounds(t *testing.T) {
	m := testMaterial()
	const bomb = 300 << 20
	a := func() io.Reader { return strings.NewReader(armoured("CERTIFICATE", m.a)) }
	tarBomb := func() []byte {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		if err := w.WriteHeader(&tar.Header{Name: "big", Size: bomb, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		return append(out.Bytes(), make([]byte, 4096)...)
	}
	stream := zeros(t, 300)
	packed := gzipBomb(stream)
	tests := []struct {
		name string
		in   []byte
		most uint64 // bytes of memory
		want string // a notice's code or a part of the error
		kind error
	}{
		{"gzip bomb", packed, 64 << 20, "unpacks to more", store.ErrInput},
		{"zip bomb", zipOf(t, "a.pem", a(), "bomb", stream, "b.pem", a()), 64 << 20, TooMuch, nil},
		{"bomb in gzip in zip", zipOf(t, "bomb.gz", bytes.NewReader(packed)), 96 << 20, "unpacks to more", store.ErrInput},
		{"tar that claims", tarBomb(), 4 << 20, Damaged, store.ErrInput},
		{"many members", zipOf(t, func() (list []any) {
			for range maxMembers + 10 {
				list = append(list, "x", strings.NewReader("x"))
			}
			return list
		}()...), 256 << 20, TooMuch, store.ErrInput},
		{"4 GiB of DER", append([]byte("\x30\x84\xff\xff\xff\xff"), m.a[4:]...), 1 << 20, "cut short", store.ErrInput},
		{"4 GiB of SST", []byte("\x00\x00\x00\x00CERT\x20\x00\x00\x00\x01\x00\x00\x00\xff\xff\xff\xff"), 1 << 20, "cut short", store.ErrCorrupt},
		{"property list of 4 G objects", append([]byte("bplist00\xd1\x01\x02"), "\x00\x00\x00\x00\x00\x00\x01\x01\x00\x00\x00\x00\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x08"...), 1 << 20, "damaged", store.ErrCorrupt},
		{"entities", []byte("<?xml version=\"1.0\"?><!DOCTYPE plist [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]><plist><dict><key>x</key><string>&b;</string></dict></plist>"), 1 << 20, Damaged, store.ErrInput},
		{"two thousand million hashes", hungry(t, 1<<31-1), 4 << 20, "hashed 2147483647 times", store.ErrUnsupported},
		{"nested base64", func() []byte {
			b := []byte(armoured("CERTIFICATE", m.a))
			for range 12 {
				b = []byte(base64.StdEncoding.EncodeToString(b))
			}
			return b
		}(), 8 << 20, "without a certificate", store.ErrInput},
		{"nested BER", bytes.Repeat([]byte("\x30\x80"), 1<<20), 16 << 20, "", store.ErrInput},
		{"nested PKCS#7", append([]byte("\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\xa0\x80"), bytes.Repeat([]byte("\x30\x80"), 1<<20)...), 64 << 20, "cut short", store.ErrCorrupt},
		{"nested JSON", []byte(strings.Repeat("[", 9000) + `"x"` + strings.Repeat("]", 9000)), 8 << 20, "without a certificate", store.ErrInput},
		{"one long line of keys", []byte(strings.Repeat("ca.crt: ", 1<<17)), 16 << 20, "without a certificate", store.ErrInput},
		{"empty dictionaries", []byte("<plist>" + strings.Repeat("<dict>", 50_000)), 64 << 20, "", store.ErrInput},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var f *File
			var err error
			took := allocated(func() { f, err = Read(tt.in) })
			if took > tt.most {
				t.Errorf("%d MiB for %d KiB", took>>20, len(tt.in)>>10)
			}
			if !errors.Is(err, tt.kind) || (err == nil) != (tt.kind == nil) {
				t.Errorf("error %v, want %v", err, tt.kind)
			}
			text := ""
			if err != nil {
				text = err.Error()
			}
			for _, n := range f.Notices {
				text += " " + n.Code
			}
			if !strings.Contains(text, tt.want) {
				t.Errorf("%s: want %s", text, tt.want)
			}
		})
	}
}

// hungry returns PKCS#12 whose password is to be hashed so often.
func hungry(t *testing.T, times int) []byte {
	t.Helper()
	count := []byte{byte(times >> 24), byte(times >> 16), byte(times >> 8), byte(times)}
	kdf := der(0x30, der(6, []byte(oidPBKDF2)), der(0x30, der(4, []byte("salt")), der(2, count)))
	aes := der(0x30, der(6, []byte(oidAES+"\x2a")), der(4, make([]byte, 16)))
	info := der(0x30, oid(1, 2, 840, 113549, 1, 7, 1), der(0x30, der(6, []byte(oidPBES2)), der(0x30, kdf, aes)), der(0x80, make([]byte, 32)))
	return pfx(plainData(der(0x30, der(0x30, oid(1, 2, 840, 113549, 1, 7, 6), der(0xa0, der(0x30, der(2, []byte{0}), info))))))
}

// TestZipBombKeepsTheRest: what lies before and after a part that is too large
// is read.
func TestZipBombKeepsTheRest(t *testing.T) {
	m := testMaterial()
	in := zipOf(t, "a.pem", strings.NewReader(armoured("CERTIFICATE", m.a)), "notes.txt", strings.NewReader("x"), "b.cer", bytes.NewReader(m.b))
	f, err := Read(in)
	if err != nil || len(f.Items) != 2 || f.Items[1].Path != "b.cer" {
		t.Fatalf("%s: %v", summary(f), err)
	}
}

func TestRC2(t *testing.T) { // RFC 2268, 5, with all bits of the key effective
	for _, v := range []struct{ key, plain, cipher string }{
		{"\x88\xbc\xa9\x0e\x90\x87\x5a\x7f\x0f\x79\xc3\x84\x62\x7b\xaf\xb2", "\x00\x00\x00\x00\x00\x00\x00\x00", "\x22\x69\x55\x2a\xb0\xf8\x5c\xa6"},
		{"\x30\x00\x00\x00\x00\x00\x00\x00", "\x10\x00\x00\x00\x00\x00\x00\x01", "\x30\x64\x9e\xdf\x9b\xe7\xd2\xc2"},
	} {
		out := make([]byte, 8)
		newRC2([]byte(v.key)).Decrypt(out, []byte(v.cipher))
		if string(out) != v.plain {
			t.Errorf("%x, want %x", out, v.plain)
		}
	}
}
