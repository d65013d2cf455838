package anchors

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestReadConf(t *testing.T) {
	for _, c := range []struct{ conf, on, off string }{
		{"", "", ""},
		{"# comment\n\n \t\na.crt\n!b.crt\n", "a.crt", "b.crt"},
		{"  m/a.crt \t\n! m/b.crt\n", "m/a.crt", "m/b.crt"},
		{"a b.crt\n", "a b.crt", ""},
		{" !a.crt\n #b.crt\n", "!a.crt #b.crt", ""}, // only the very beginning counts
		{"a.crt\r\n", "a.crt\r", ""},                // a name that no file has
		{"a.crt\nb.crt", "a.crt", ""},               // the last line is not seen
		{"a.crt\n!a.crt\n", "a.crt", ""},            // removed first, then added
		{"b.crt\na.crt\nb.crt\n", "b.crt a.crt", ""},
		{strings.Repeat("x", 1<<17) + ".crt\na.crt\n", strings.Repeat("x", 1<<17) + ".crt a.crt", ""},
	} {
		names, enabled := readConf([]byte(c.conf))
		var on, off []string
		for _, name := range names {
			if enabled[name] {
				on = append(on, name)
			} else {
				off = append(off, name)
			}
		}
		if strings.Join(on, " ") != c.on || strings.Join(off, " ") != c.off {
			t.Errorf("%.80q: in use %.80q, not %.80q", c.conf, on, off)
		}
	}
}

func TestSetConf(t *testing.T) {
	for _, c := range []struct {
		conf   string
		enable bool
		want   string
	}{
		{"a\nx\nb\n", false, "a\n!x\nb\n"},
		{"a\n!x\nb\n", true, "a\nx\nb\n"},
		{"a\nx\n", true, "a\nx\n"},
		{"a\n!x\n", false, "a\n!x\n"},
		{" x \n", false, "! x \n"}, // and back, as it was
		{"! x \n", true, " x \n"},
		{"x\nx\n", false, "!x\n!x\n"},
		{"a\n", true, "a\nx\n"},
		{"", true, "x\n"},
		{"a\n", false, "a\n"},
		{"a\nb", true, "a\nx\nb"}, // b does not come into use
		{"a\nx", false, "a\nx"},   // it is not in use
		{"a\r\n#x\n", true, "a\r\n#x\nx\n"},
	} {
		if got := setConf([]byte(c.conf), "x", c.enable); string(got) != c.want {
			t.Errorf("%q, enable %t: %q, not %q", c.conf, c.enable, got, c.want)
		}
	}
	for _, name := range []string{"", "a\nb", "!a", "#a", " a", "a\t", `a\b`} {
		if got := setConf([]byte("y\n"), name, true); canBeListed(name) || string(got) != "y\n" {
			t.Errorf("%q was listed: %q", name, got)
		}
	}
}

func FuzzVendorConf(f *testing.F) {
	f.Add([]byte("# comment\nmozilla/A.crt\n!mozilla/B.crt\n\n"), "mozilla/A.crt")
	f.Add([]byte("! a \n\ta\na"), "a")
	f.Add([]byte("a\r\n!!b\n#c\n !d"), "d")
	f.Fuzz(func(t *testing.T, conf []byte, name string) {
		names, before := readConf(conf)
		for _, enable := range []bool{true, false} {
			out := setConf(conf, name, enable)
			if !canBeListed(name) {
				if !bytes.Equal(out, conf) {
					t.Fatalf("%q cannot be listed, and %q became %q", name, conf, out)
				}
				continue
			}
			_, after := readConf(out)
			_, listed := before[name]
			if on, still := after[name]; on != enable || still != (listed || enable) {
				t.Fatalf("enable %t: in %q, made of %q, %q is in use: %t", enable, out, conf, name, on)
			}
			// All other lines are the same, in the same order.
			others := func(conf []byte) []string {
				return slices.DeleteFunc(strings.SplitAfter(string(conf), "\n"), func(line string) bool {
					read, _ := confLine(line)
					return read == name
				})
			}
			if !slices.Equal(others(conf), others(out)) {
				t.Fatalf("enable %t, %q: %q became %q", enable, name, conf, out)
			}
			for _, n := range names {
				if n != name && before[n] != after[n] {
					t.Fatalf("enable %t, %q: %q came in or out of use", enable, name, n)
				}
			}
			// Twice is once, and there and back is as it was.
			if again := setConf(out, name, enable); !bytes.Equal(again, out) {
				t.Fatalf("twice: %q, then %q", out, again)
			}
			if listed && before[name] != enable && bytes.Count(conf, []byte(name)) == 1 {
				if back := setConf(out, name, !enable); !bytes.Equal(back, conf) {
					t.Fatalf("there and back: %q became %q", conf, back)
				}
			}
		}
	})
}
