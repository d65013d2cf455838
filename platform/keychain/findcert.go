package keychain

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// found is what the security tool printed of one item of a keychain.
type found struct {
	sha1 string // as the tool says
	der  []byte
	err  error // it is no certificate, or not the one that the tool says
}

// The lines that `security find-certificate -a -Z -p` prints of an item: since
// 10.15 its SHA-256, its SHA-1, and a PEM block.
const (
	sha256Line = "SHA-256 hash: "
	sha1Line   = "SHA-1 hash: "
	pemBegin   = "-----BEGIN CERTIFICATE-----"
	pemEnd     = "-----END CERTIFICATE-----"
)

// parseFound reads that output. What does not fit is an item with an error:
// nothing is passed over.
func parseFound(out []byte) []found {
	var items []found
	var open *found
	var sum256 string
	var body strings.Builder
	inside := false
	bad := func(format string, args ...any) {
		if open == nil {
			open = &found{}
		}
		if open.err == nil {
			open.err = store.Because(store.ErrCorrupt, format, args...)
		}
	}
	end := func() {
		if open == nil {
			return
		}
		if open.der == nil {
			bad("an item without a certificate")
		}
		items, open, sum256 = append(items, *open), nil, ""
	}
	for line := range bytes.Lines(out) {
		text := strings.TrimRight(string(line), "\r\n")
		switch {
		case inside && text == pemEnd:
			inside = false
			der, err := base64.StdEncoding.DecodeString(body.String())
			if err != nil {
				bad("the text of the certificate is damaged")
				der = nil
			}
			if open == nil {
				open = &found{}
			}
			open.der = der
			sum := sha1.Sum(der)
			own := strings.ToUpper(hex.EncodeToString(sum[:]))
			switch {
			case der == nil:
			case open.sha1 == "":
				bad("a certificate without its hash")
			case own != open.sha1, sum256 != "" && !strings.EqualFold(sum256, store.FingerprintOf(der).String()):
				bad("the certificate has another hash than it should have")
			}
			end()
		case inside:
			if strings.HasPrefix(text, "-----") || strings.HasPrefix(text, "SHA-") {
				bad("the text of the certificate breaks off")
				inside = false
				open.der = []byte{}
				end()
			} else {
				body.WriteString(strings.TrimSpace(text))
				continue
			}
			fallthrough
		default:
			switch {
			case strings.HasPrefix(text, sha256Line):
				end()
				open, sum256 = &found{}, strings.TrimSpace(text[len(sha256Line):])
			case strings.HasPrefix(text, sha1Line):
				if open == nil || open.sha1 != "" {
					end()
					open = &found{}
				}
				open.sha1 = strings.ToUpper(strings.TrimSpace(text[len(sha1Line):]))
			case text == pemBegin:
				inside = true
				body.Reset()
				if open == nil {
					open = &found{}
				}
			case strings.TrimSpace(text) == "":
			default:
				bad("the security tool printed \"%s\", which is nothing that it should", store.Printable(shorten(text)))
				open.der = []byte{}
				end()
			}
		}
	}
	if inside {
		bad("the text of the certificate breaks off")
		open.der = []byte{}
	}
	end()
	return items
}

func shorten(s string) string {
	if runes := []rune(s); len(runes) > 80 {
		return string(runes[:80]) + "…"
	}
	return s
}

// parsePaths reads the lists of keychains that the tool prints: a path in
// quotes in each line.
func parsePaths(out []byte) []string {
	var paths []string
	for line := range bytes.Lines(out) {
		text := strings.TrimSpace(string(line))
		if len(text) > 2 && text[0] == '"' && text[len(text)-1] == '"' && text[1] == '/' {
			paths = append(paths, text[1:len(text)-1])
		}
	}
	return paths
}
