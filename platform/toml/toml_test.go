package toml

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func show(values []Value, err error) string {
	var out strings.Builder
	for _, v := range values {
		fmt.Fprintf(&out, "%d %q", v.Line, v.Keys)
		if v.List != nil {
			fmt.Fprintf(&out, " %q\n", v.List)
		} else {
			fmt.Fprintf(&out, " %q\n", v.Text)
		}
	}
	if err != nil {
		fmt.Fprintf(&out, "%v\n", err)
	}
	return out.String()
}

func TestRead(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"containerd's own example", "server = \"https://docker.io\" # the default\n\n[host.\"https://mirror:5000\"]\n  capabilities = [\"pull\", \"resolve\"]\n  ca = \"docker-mirror.crt\"\n  skip_verify = false\n  [host.\"https://mirror:5000\".header]\n    x-custom-2 = [\"value2\"]\n",
			`1 ["server"] "https://docker.io"
4 ["host" "https://mirror:5000" "capabilities"] ["pull" "resolve"]
5 ["host" "https://mirror:5000" "ca"] "docker-mirror.crt"
6 ["host" "https://mirror:5000" "skip_verify"] "false"
8 ["host" "https://mirror:5000" "header" "x-custom-2"] ["value2"]
`},
		{"arrays over lines", "ca = [ # of both\n\t'a#b.crt', # one\n\n\t\"c.crt\",\n]\nclient = [[\"a\", \"b\"], [\"c\", \"d\"]]\r\nnone = []\n",
			"1 [\"ca\"] [\"a#b.crt\" \"c.crt\"]\n6 [\"client\"] [\"a\" \"b\" \"c\" \"d\"]\n7 [\"none\"] []\n"},
		{"tables in arrays", "[[registry]]\nlocation='a'\n[[registry.mirror]]\nlocation='b'\n[[registry.mirror]]\ninsecure=true\n[[registry]]\nlocation='c'\n[[registry.mirror]]\nx=1\n[other]\ny=2\n",
			`2 ["registry" "0" "location"] "a"
4 ["registry" "0" "mirror" "0" "location"] "b"
6 ["registry" "0" "mirror" "1" "insecure"] "true"
8 ["registry" "1" "location"] "c"
10 ["registry" "1" "mirror" "0" "x"] "1"
12 ["other" "y"] "2"
`},
		{"tables in a line", "host.\"https://a\" = { ca = 'x', skip_verify = true }\na.b . 'c' = 1979-05-27 07:32:00 # then\n", `1 ["host" "https://a" "ca"] "x"
1 ["host" "https://a" "skip_verify"] "true"
2 ["a" "b" "c"] "1979-05-27 07:32:00"
`},
		{"strings", "a = \"q\\\"\\u00e9\\t[x] # no\"\nb = '''\none\n'two''''\nc = \"\"\"x \\\n   y\"\"\"\nd = 4\n", `1 ["a"] "q\"é\t[x] # no"
2 ["b"] "one\n'two'"
5 ["c"] "x y"
7 ["d"] "4"
`},
		{"a header in a string is none", "a = '''\n[host]\nskip_verify = true\n'''\nb = 1\n", `1 ["a"] "[host]\nskip_verify = true\n"
5 ["b"] "1"
`},
		{"not closed", "a = 1\nb = \"x\nskip_verify = true\n", "1 [\"a\"] \"1\"\nline 2: a string is not closed\n"},
		{"no value", "a =\nb = 1", "line 1: there is no value where one should be\n"},
		{"two in a line", "a = 1 b = 2", "line 1: there is no value where one should be\n"},
		{"more behind a string", "a = 'x' b", "1 [\"a\"] \"x\"\nline 1: more than one thing in it\n"},
		{"an array that is not closed", "a = [1, 2\n", "line 2: an array is not closed\n"},
		{"a table that is not closed", "[a\nb = 1\n", "line 1: there is no ] where it should be\n"},
		{"too deep", "a = " + strings.Repeat("[", 1000), "line 1: it is nested too deeply\n"},
		{"not text", "\x00\x01", "line 1: there is no name where one should be\n"},
	} {
		if got := show(Read(c.text)); got != c.want {
			t.Errorf("%s:\n%s\nis not\n%s", c.name, got, c.want)
		}
	}
}

// Python reads the same, and refuses what is refused here.
func TestAsPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not here")
	}
	const program = `
import sys, json, tomllib
def walk(keys, v):
    if isinstance(v, dict):
        for k, w in v.items(): yield from walk(keys + [k], w)
    elif isinstance(v, list) and v and all(isinstance(x, dict) for x in v):
        for i, x in enumerate(v): yield from walk(keys + [str(i)], x)
    else: yield "/".join(keys) + " " + (json.dumps(v, separators=(",", ":")) if isinstance(v, list) else str(v))
for text in json.load(sys.stdin):
    try: print(json.dumps(list(walk([], tomllib.loads(text)))))
    except tomllib.TOMLDecodeError: print("null")
`
	texts := []string{
		"a = 1\n[b]\nc = 'x'\n[[d]]\ne = [\"1\", '2']\n[[d]]\nf = \"\"\"\nlong\n\\u0041\"\"\"\ng = { h = 'i', \"j k\" = 'l' }\n",
		"[host.\"https://a:1\"]\nca = ['/x', \"y\"]\nclient = []\n",
		"a = \"\"\"x\"\"\"\"\nb.'c'.\"d\" = 'e' # f\n[ g . h ]\r\ni = \"\"\"j \\\n\n  k\"\"\"\n",
		"a = [\n", "a = 'x\n", "= 1", "[a", "a = {b = 1", "a", "a = \"\\q\"", "a = ]", "[[a]", "a = 'x' b = 'y'",
	}
	in, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-c", program)
	cmd.Stdin = bytes.NewReader(in)
	said, err := cmd.Output()
	if err != nil {
		t.Skipf("this Python reads no TOML: %v", err)
	}
	answers := json.NewDecoder(bytes.NewReader(said))
	for _, text := range texts {
		var want []string
		if err := answers.Decode(&want); err != nil {
			t.Fatal(err)
		}
		values, err := Read(text)
		if (err != nil) != (want == nil) {
			t.Errorf("%q: %v, and Python reads %q", text, err, want)
		}
		if want == nil {
			continue
		}
		var got []string
		for _, v := range values {
			shown := v.Text
			if v.List != nil {
				list, _ := json.Marshal(v.List)
				shown = string(list)
			}
			got = append(got, strings.Join(v.Keys, "/")+" "+shown)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q is read as\n%q\nPython reads\n%q", text, got, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("[host.\"https://a\"]\nca = ['x', \"y\"]\nskip_verify = true\n[[b]]\nc = {d = 1}\n")
	f.Fuzz(func(t *testing.T, text string) {
		values, _ := Read(text)
		for _, v := range values {
			if len(v.Keys) == 0 || v.Line < 1 || v.Line > 1+strings.Count(text, "\n") {
				t.Errorf("%+v", v)
			}
		}
	})
}
