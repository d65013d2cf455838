package anchors

import (
	"bytes"
	"slices"
	"strings"
)

// The vendor's list, as update-ca-certificates(8) reads it, a script that
// takes it apart with sed and read: a name on a line; blanks around it do not
// count; "#" at the very beginning makes it a comment, and "!" there that the
// name is not in use. A last line without an end is not seen at all.

// confLine returns the name on a line that is given with its end, "" if there
// is none, and whether it is in use.
func confLine(line string) (name string, enabled bool) {
	text, whole := strings.CutSuffix(line, "\n")
	if !whole || strings.HasPrefix(text, "#") {
		return "", false
	}
	text, disabled := strings.CutPrefix(text, "!")
	return strings.Trim(text, " \t"), !disabled
}

// readConf returns the names in a vendor's list, each once, in its order, and
// which of them are in use.
func readConf(conf []byte) (names []string, enabled map[string]bool) {
	enabled = map[string]bool{}
	for line := range strings.Lines(string(conf)) {
		name, on := confLine(line)
		if name == "" {
			continue
		}
		before, listed := enabled[name]
		if !listed {
			names = append(names, name)
		}
		enabled[name] = before || on
	}
	return names, enabled
}

// canBeListed reports whether a line of the list can name that.
func canBeListed(name string) bool {
	read, on := confLine(name + "\n")
	return on && read == name && name != "" && !strings.ContainsAny(name, "\n\\")
}

// setConf returns a vendor's list in which a name is in use, or is not. Every
// other line stays as it is, byte for byte.
func setConf(conf []byte, name string, enable bool) []byte {
	if !canBeListed(name) {
		return conf
	}
	var out []byte
	found := false
	for line := range strings.Lines(string(conf)) {
		if read, on := confLine(line); read == name {
			found = true
			switch {
			case enable && !on:
				line = line[1:]
			case on && !enable:
				line = "!" + line
			}
		}
		out = append(out, line...)
	}
	if !found && enable {
		// Before a last line without an end, which would else become one.
		at := bytes.LastIndexByte(out, '\n') + 1
		out = slices.Insert(out, at, []byte(name+"\n")...)
	}
	return out
}
