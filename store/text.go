package store

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable returns s with everything escaped that could move a terminal's
// cursor, change its state, or make text read in another order than it is
// written: control and format characters (escape sequences, bidirectional
// marks, zero-width characters), line and paragraph separators, bytes that are
// not UTF-8, and the backslash, so that the escapes are unambiguous. Text
// without any of these is returned as it is.
func Printable(s string) string {
	clean := true
	for _, r := range s {
		if mustEscape(r) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\\':
			b.WriteString(`\\`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case !mustEscape(r):
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		i += n
	}
	return b.String()
}

// quote returns s in quotation marks, fit to be shown.
func quote(s string) string { return `"` + Printable(s) + `"` }

func mustEscape(r rune) bool {
	return r == utf8.RuneError || r == '\\' || !printable(r)
}

func printable(r rune) bool {
	return unicode.IsPrint(r) // letters, marks, numbers, punctuation, symbols, and the ASCII space
}

// ShellWord returns s as one word of a POSIX shell.
func ShellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=@%+,", r)
	}
	if s != "" && strings.TrimFunc(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
