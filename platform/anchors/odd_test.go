package anchors

import (
	"slices"
	"testing"
	"unicode/utf16"
)

// An anchor that the tool copies in a form that nobody can read is told, and
// keeps no other certificate from being trusted.
func TestOddAnchor(t *testing.T) {
	b := newBox(t, false)
	odd, ca := newCA(t, "Odd"), newCA(t, "Acme").Cert()
	data := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(string(odd.PEM()))) {
		data = append(data, byte(unit), byte(unit>>8))
	}
	b.write(adminDir+"odd.crt", data)
	b.do(trust(ca))
	if b.bundled(ca) != 1 || b.bundled(odd.Cert()) != 0 {
		t.Error("not what was wanted is in the bundle")
	}
	var codes []string
	for p, err := range b.open().Problems(t.Context()) {
		if err != nil {
			t.Error(err)
		}
		codes = append(codes, p.Code)
	}
	if !slices.Contains(codes, "anchor-not-in-bundle") {
		t.Errorf("the problems are %q", codes)
	}
}
