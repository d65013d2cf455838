package nss

import (
	"bytes"
	"slices"
	"strings"
)

// maxModules is the largest pkcs11.txt that is read.
const maxModules = 1 << 20

// module is one module in pkcs11.txt: lines of "key=value", ended by an empty
// one.
type module struct {
	lines      []string
	start, end int // in the text
}

// parseModules takes pkcs11.txt apart.
func parseModules(text []byte) []module {
	var list []module
	var m module
	at := 0
	flush := func() {
		if len(m.lines) > 0 {
			m.end = at
			list = append(list, m)
		}
		m = module{}
	}
	for _, line := range bytes.SplitAfter(text, []byte("\n")) {
		trimmed := strings.TrimSpace(string(line))
		switch {
		case trimmed == "":
			flush()
		case trimmed[0] != '#':
			if len(m.lines) == 0 {
				m.start = at
			}
			m.lines = append(m.lines, trimmed)
		}
		at += len(line)
	}
	flush()
	return list
}

func (m module) value(key string) string {
	for _, line := range m.lines {
		if k, v, ok := strings.Cut(line, "="); ok && strings.EqualFold(strings.TrimSpace(k), key) {
			return strings.Trim(strings.TrimSpace(v), `"'`)
		}
	}
	return ""
}

// has reports whether the module's Flags have a flag.
func (m module) has(flag string) bool {
	for _, word := range strings.Fields(m.value("NSS")) {
		key, flags, ok := strings.Cut(word, "=")
		if ok && strings.EqualFold(key, "flags") && slices.ContainsFunc(strings.Split(flags, ","), func(f string) bool { return strings.EqualFold(f, flag) }) {
			return true
		}
	}
	return false
}

// fipsMode reports whether a pkcs11.txt has the module of the database itself in
// FIPS mode.
func fipsMode(text []byte) bool {
	return slices.ContainsFunc(parseModules(text), func(m module) bool { return m.internal() && m.has("fips") })
}

// internal reports whether it is the module of the database itself.
func (m module) internal() bool { return m.has("internal") || m.value("library") == "" }

// linked reports whether the module is the one by which programs follow the
// system's store.
func (m module) linked() bool {
	library := strings.ReplaceAll(m.value("library"), `\`, "/")
	return strings.HasPrefix(library[strings.LastIndexByte(library, '/')+1:], "p11-kit-trust.")
}
