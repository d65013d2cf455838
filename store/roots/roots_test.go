package roots

import (
	"os"
	"regexp"
	"testing"
	"time"
)

func TestMozilla(t *testing.T) {
	p := Mozilla()
	if len(p.All) < 100 {
		t.Fatalf("%d roots: the programme has more than a hundred", len(p.All))
	}
	limited := 0
	for _, r := range p.All {
		if r.Cert.Parsed() == nil || !r.Cert.IsCA() {
			t.Errorf("%s: not a CA that can be read", r.Cert.Label())
		}
		if got, ok := p.ByFingerprint(r.Cert.SHA256); !ok || got.Cert != r.Cert {
			t.Errorf("%s is not found by its fingerprint", r.Cert.Label())
		}
		if len(p.BySubject(r.Cert.Subject.Raw)) == 0 {
			t.Errorf("%s is not found by its name", r.Cert.Label())
		}
		if r.DistrustAfter.IsZero() {
			continue
		}
		limited++
		if r.Cert.Label() == "Izenpe.com" && !r.DistrustAfter.Equal(time.Date(2026, 4, 15, 23, 59, 59, 0, time.UTC)) {
			t.Errorf("Izenpe.com is limited to %v", r.DistrustAfter)
		}
	}
	if limited == 0 || limited > 20 {
		t.Errorf("%d roots have a limit", limited)
	}
}

// The date is that of the module's version, which is when its data was made.
func TestDateIsThatOfTheModule(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`x509roots/fallback v0\.0\.0-(\d{14})-`).FindSubmatch(mod)
	if version == nil {
		t.Fatal("go.mod does not name the module")
	}
	date, err := time.Parse("20060102150405", string(version[1]))
	if err != nil || !date.Equal(Date()) {
		t.Errorf("the data is of %v (%v), Date says %v", date, err, Date())
	}
}
