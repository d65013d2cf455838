package certfile

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/certtrust/certtrust/store/storetest"
)

// Every keystore in DER survives a change, whatever it is encrypted with: an
// entry that is put in is there, the others have the bytes that they had, and
// once it is taken out the file is the same again.
func TestEditEveryKeystore(t *testing.T) {
	c := storetest.NewCA(t, storetest.CN("Another")).Cert()
	edited := 0
	for _, f := range manifest(t) {
		data, err := os.ReadFile(filepath.Join(fixtureDir, f.File))
		if err != nil {
			t.Fatal(err)
		}
		if format := recognise(data); format == nil || !format.keystore {
			continue
		}
		passwords := f.options().Passwords
		e, err := EditKeystore(data, passwords)
		if err != nil || e.Locked != nil {
			// Those that are damaged, in BER, or have another password.
			if !slices.Contains([]string{"java-cut.jks", "p12-cut.p12", "p12-wrong-password.p12", "p12-no-password.p12", "p12-nss.p12", "p12-nss-rc2.p12"}, f.File) {
				t.Errorf("%s: %v, %+v", f.File, err, e)
			}
			continue
		}
		edited++
		added, err := e.Encode(append(slices.Clip(e.Entries), e.NewEntry("another", c, time.Unix(1e9, 0))))
		if err != nil {
			t.Errorf("%s: %v", f.File, err)
			continue
		}
		again, err := EditKeystore(added, passwords)
		if err != nil || again.Locked != nil || len(again.Entries) != len(e.Entries)+1 {
			t.Errorf("%s: with one more: %v, %+v", f.File, err, again)
			continue
		}
		found := false
		again.Entries = slices.DeleteFunc(again.Entries, func(entry KeystoreEntry) bool {
			mine := entry.DER != nil && entry.SHA256 == c.SHA256 && entry.Trusted && entry.Alias == "another"
			found = found || mine
			return mine
		})
		if !found {
			t.Errorf("%s: what was put in is not there", f.File)
		}
		// Any other reader finds it, too.
		read, err := Options{Passwords: passwords}.Read(added)
		if err != nil || !slices.ContainsFunc(read.Items, func(i Item) bool { return i.Cert.SHA256 == c.SHA256 && i.TrustedEntry }) {
			t.Errorf("%s: read anew, it is not there (%v)", f.File, err)
		}
		if back, err := again.Encode(again.Entries); err != nil || !bytes.Equal(back, data) {
			t.Errorf("%s: taken out again, the file is another one (%v)", f.File, err)
		}
	}
	if edited < 15 {
		t.Errorf("only %d keystores were edited", edited)
	}
}
