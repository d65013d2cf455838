package render

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/platform/clients"
)

// assignments reads lines of PowerShell that assign strings to variables of the
// environment. It knows of the language what its specification (2.3.5.2.2, verbatim
// strings; 7.2.8 and 7.7, casts and sums) and about_Quoting_Rules tell: five
// characters begin and end a string, any two of them in a row in it are one, and
// nothing else has a meaning there. What is anything else is refused.
func assignments(text string) (map[string]string, error) {
	out := map[string]string{}
	rest := []rune(text)
	skip := func(what string) bool {
		if !strings.HasPrefix(string(rest), what) {
			return false
		}
		rest = rest[len([]rune(what)):]
		return true
	}
	quote := func(at int) bool {
		return at < len(rest) && strings.ContainsRune("'\u2018\u2019\u201a\u201b", rest[at])
	}
	for len(rest) > 0 {
		if !skip("$env:") {
			return nil, errors.New("it assigns to something else")
		}
		name := ""
		for len(rest) > 0 && (rest[0] == '_' || rest[0] >= '0' && rest[0] <= '9' || rest[0] >= 'A' && rest[0] <= 'Z' || rest[0] >= 'a' && rest[0] <= 'z') {
			name, rest = name+string(rest[0]), rest[1:]
		}
		if name == "" || !skip(" = ") {
			return nil, errors.New("it is no assignment")
		}
		var units []uint16
		for first := true; first || skip(" + "); first = false {
			switch {
			case quote(0):
				rest = rest[1:]
				for !quote(0) || quote(1) {
					if len(rest) == 0 {
						return nil, errors.New("a string is not closed")
					}
					if quote(0) {
						rest = rest[1:]
					}
					units = append(units, utf16.Encode(rest[:1])...)
					rest = rest[1:]
				}
				rest = rest[1:]
			case !first && skip("[char]0x"): // first, it would make the sum one of numbers
				if len(rest) < 4 {
					return nil, errors.New("a number is missing")
				}
				n, err := strconv.ParseUint(string(rest[:4]), 16, 16)
				if err != nil {
					return nil, err
				}
				units, rest = append(units, uint16(n)), rest[4:]
			default:
				return nil, fmt.Errorf("what is neither a string nor a character: %q", string(rest))
			}
		}
		out[name] = string(utf16.Decode(units))
		if !skip("\n") {
			return nil, fmt.Errorf("a command goes on behind the string: %q", string(rest))
		}
	}
	return out, nil
}

// What PowerShell reads is what was to be written, whatever code page it takes
// the text to be in.
func TestPowerShell(t *testing.T) {
	doc := NewEnvDoc("powershell", "/env")
	values := append([]string{"a\u2019; Remove-Item x; \u2018", "\u201aa\u201b", "\u2018", "'\u2019'", "`'", "@'", "'@", "\u2019\u2019"}, nasty...)
	for i, v := range values {
		doc.Variables = append(doc.Variables, clients.Variable{Name: fmt.Sprintf("CT_%d", i), Value: v})
	}
	var out bytes.Buffer
	if err := doc.Text(&term.Streams{Out: &out, Err: &bytes.Buffer{}}); err != nil {
		t.Fatal(err)
	}
	for _, r := range out.String() {
		if r > 0x7e || r < ' ' && r != '\n' {
			t.Fatalf("%q is not the same in every code page", r)
		}
	}
	got, err := assignments(out.String())
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range values {
		if have, ok := got[fmt.Sprintf("CT_%d", i)]; have != v || !ok {
			t.Errorf("%q is read as %q", v, have)
		}
	}

	// What is written without care is seen to be another thing, so the reader would
	// tell.
	for text, want := range map[string]string{
		"$env:A = 'a'b'\n":                       "",
		"$env:A = 'it\u2019s'\n":                 "",
		"$env:A = 'x\u2018; calc\n":              "",
		"$env:A = \"a\"\n":                       "",
		"$env:A = [char]0x0041 + 'b'\n":          "",
		"$env:A = 'a' + [char]0x00zz\n":          "",
		"$env:A = 'a'; b\n":                      "",
		"$env:A = 'it''s'\n":                     "it's",
		"$env:A = \u2018it\u2019\u2019s\u201b\n": "it\u2019s",
	} {
		got, err := assignments(text)
		if (err == nil) != (want != "") || got["A"] != want {
			t.Errorf("%q: %q, %v", text, got["A"], err)
		}
	}
	if doc.Variables = []clients.Variable{{Name: "A", Value: "/home/\xff"}}; doc.Text(&term.Streams{Out: &out, Err: &bytes.Buffer{}}) == nil {
		t.Error("bytes that are no text are written as something else")
	}
}
