package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Fingerprint is the SHA-256 of a certificate's DER: its identity.
type Fingerprint [sha256.Size]byte

// FingerprintOf returns the fingerprint of a certificate's DER.
func FingerprintOf(der []byte) Fingerprint { return sha256.Sum256(der) }

// String returns 64 lower-case hex digits.
func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// Short returns the first 16 hex digits, for tables.
func (f Fingerprint) Short() string { return f.String()[:16] }

// IsZero reports whether f is not set.
func (f Fingerprint) IsZero() bool { return f == Fingerprint{} }

// MarshalText returns String.
func (f Fingerprint) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (f *Fingerprint) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(f) {
		return fmt.Errorf("a SHA-256 fingerprint has %d hex digits, not %d", 2*len(f), len(text))
	}
	_, err := hex.Decode(f[:], text)
	return err
}

// MinPrefix is how many hex digits a [FingerprintPrefix] must at least have.
const MinPrefix = 8

// FingerprintPrefix is the beginning of a fingerprint as people give it:
// lower-case hex digits, at least MinPrefix of them.
type FingerprintPrefix string

// ParseFingerprintPrefix reads a fingerprint, or the beginning of one, in the
// forms that programs print: upper or lower case, with colons or spaces, with
// "sha256:", "sha256 Fingerprint=" or the like before it.
func ParseFingerprintPrefix(s string) (FingerprintPrefix, error) {
	digits := strings.ToLower(strings.TrimSpace(s))
	for _, lead := range []string{"sha-256", "sha256", "fingerprint"} {
		digits = strings.TrimLeft(strings.TrimPrefix(digits, lead), " :=")
	}
	digits = strings.NewReplacer(":", "", " ", "").Replace(digits)
	if strings.Trim(digits, "0123456789abcdef") != "" {
		return "", fmt.Errorf("%s is no fingerprint: it holds something other than hex digits", quote(s))
	}
	if len(digits) == 40 {
		return "", fmt.Errorf("%s looks like a SHA-1 fingerprint: the SHA-256 fingerprint is needed", quote(s))
	}
	if len(digits) < MinPrefix || len(digits) > 2*len(Fingerprint{}) {
		return "", fmt.Errorf("%s is no fingerprint: %d to %d hex digits are needed", quote(s), MinPrefix, 2*len(Fingerprint{}))
	}
	return FingerprintPrefix(digits), nil
}

// Matches reports whether f begins with p.
func (p FingerprintPrefix) Matches(f Fingerprint) bool {
	return strings.HasPrefix(f.String(), string(p))
}

// Full reports whether p is a whole fingerprint.
func (p FingerprintPrefix) Full() bool { return len(p) == 2*len(Fingerprint{}) }
