package clients

import (
	"encoding/json"
	"strings"

	"github.com/certtrust/certtrust/platform/toml"
)

// What is read at most.
const (
	maxSettings = 256 << 10 // of a file of settings
	maxLines    = 10_000
	maxValue    = 1 << 10 // of a value that is shown
)

// setting is a line of a file of settings, or a variable.
type setting struct {
	section string // in lower case
	only    string // the address that the section is for; "" = all
	name    string
	shown   string // what a person would call it; "" = name
	value   string
	line    int  // from 1
	bare    bool // there was no value
}

// lines calls do for every line that is not empty or a comment, without the
// white space around it.
func lines(data []byte, comments string, do func(n int, line string)) {
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) {
		n++
		if n > maxLines {
			return
		}
		line = strings.TrimSpace(strings.ToValidUTF8(line, "\ufffd"))
		if line == "" || strings.ContainsRune(comments, rune(line[0])) {
			continue
		}
		do(n, line)
	}
}

// unquote takes the quotation marks off a value.
func unquote(v string) string {
	v = strings.TrimSpace(v)
	if len(v) < 2 || v[0] != '"' && v[0] != '\'' {
		return v
	}
	quote := v[0]
	var b strings.Builder
	for i := 1; i < len(v); i++ {
		switch {
		case v[i] == quote:
			return b.String()
		case v[i] == '\\' && quote == '"' && i+1 < len(v):
			i++
			switch v[i] {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			default:
				b.WriteByte(v[i])
			}
		default:
			b.WriteByte(v[i])
		}
	}
	return v // it is not closed
}

// parseINI reads "name = value" lines, in sections or without: pip, npm, AWS,
// Cargo. A line that is indented and has no "=" continues the value above, as
// another one.
func parseINI(data []byte) (out []setting) {
	section, name := "", ""
	indented := map[int]bool{}
	n := 0
	for line := range strings.Lines(string(data)) {
		if n++; n > maxLines {
			break
		}
		indented[n] = line[0] == ' ' || line[0] == '\t'
	}
	lines(data, "#;", func(n int, line string) {
		if rest, ok := strings.CutPrefix(line, "["); ok && !strings.Contains(line, "=") {
			section, _, _ = strings.Cut(rest, "]")
			section, name = strings.ToLower(strings.TrimSpace(section)), ""
			return
		}
		key, v, found := strings.Cut(line, "=")
		if !found && indented[n] && name != "" {
			for _, word := range strings.Fields(line) {
				out = append(out, setting{section: section, name: name, value: unquote(word), line: n})
			}
			return
		}
		name = strings.ToLower(strings.TrimSpace(key))
		if v = strings.TrimSpace(v); v == "" && found {
			return // what follows is the value
		}
		if name == "trusted-host" {
			for _, word := range strings.Fields(v) {
				out = append(out, setting{section: section, name: name, value: word, line: n})
			}
			return
		}
		out = append(out, setting{section: section, name: name, value: unquote(v), line: n, bare: !found})
	})
	return out
}

// parseWget reads wget's settings, whose names may be written with and without
// underscores.
func parseWget(data []byte) (out []setting) {
	lines(data, "#", func(n int, line string) {
		key, v, found := strings.Cut(line, "=")
		key = strings.TrimSpace(key)
		if found {
			out = append(out, setting{name: strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(key)), shown: key, value: unquote(v), line: n})
		}
	})
	return out
}

// parseCurl reads curl's settings: options as on the command line, with or
// without the dashes of the long ones.
func parseCurl(data []byte) (out []setting) {
	lines(data, "#", func(n int, line string) {
		end := strings.IndexAny(line, " \t=:")
		if end < 0 {
			end = len(line)
		}
		name, v := line[:end], strings.TrimLeft(line[end:], " \t=:")
		if long, ok := strings.CutPrefix(name, "--"); ok {
			name = long
		} else if short, ok := strings.CutPrefix(name, "-"); ok {
			// Letters of options without values can stand together.
			before, _, found := strings.Cut(short, "k")
			if !found || strings.Trim(before, "0123456afgGiIjJlLMnNOqRsSvZ#") != "" {
				return
			}
			name = "insecure"
		}
		s := setting{name: strings.ToLower(name), value: unquote(v), line: n, bare: v == ""}
		if rest, ok := strings.CutPrefix(s.name, "no-"); ok && s.bare {
			s.name, s.value = rest, "false"
		}
		out = append(out, s)
	})
	return out
}

// parseGit reads Git's settings. Files that it includes are not followed.
func parseGit(data []byte) (out []setting) {
	section, only := "", ""
	lines(data, "#;", func(n int, line string) {
		if rest, ok := strings.CutPrefix(line, "["); ok {
			head, after, _ := strings.Cut(rest, "]")
			if i := strings.IndexByte(rest, '"'); i >= 0 && i < len(head) { // a subsection may hold "]"
				if j := strings.Index(rest[i+1:], `"`); j >= 0 {
					head, after = rest[:i+1+j+1], strings.TrimPrefix(strings.TrimSpace(rest[i+1+j+1:]), "]")
				}
			}
			name, sub, _ := strings.Cut(head, `"`)
			section, only = strings.ToLower(strings.TrimSpace(name)), strings.TrimSuffix(sub, `"`)
			if line = strings.TrimSpace(after); line == "" {
				return
			}
		}
		key, v, found := strings.Cut(line, "=")
		v = strings.TrimSpace(v)
		if !strings.HasPrefix(v, `"`) {
			if i := strings.IndexAny(v, "#;"); i >= 0 {
				v = strings.TrimSpace(v[:i])
			}
		}
		key = strings.TrimSpace(key)
		shown := section + "." + key
		if only != "" {
			shown = section + "." + only + "." + key
		}
		out = append(out, setting{section: section, only: only, name: strings.ToLower(key), shown: cut(shown), value: unquote(v), line: n, bare: !found})
	})
	return out
}

// parseYAML reads the scalars at the top of a YAML file.
func parseYAML(data []byte) (out []setting) {
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) {
		if n++; n > maxLines {
			break
		}
		line = strings.ToValidUTF8(line, "\ufffd")
		if strings.ContainsAny(line[:1], " \t#-\r\n") {
			continue // deeper, a list or nothing
		}
		symbol := strings.HasPrefix(line, ":") // as Ruby writes keys
		key, v, found := strings.Cut(strings.TrimPrefix(line, ":"), ":")
		if symbol {
			key = ":" + key
		}
		v = strings.TrimSpace(v)
		if i := strings.Index(v, " #"); i >= 0 && !strings.HasPrefix(v, `"`) && !strings.HasPrefix(v, "'") {
			v = strings.TrimSpace(v[:i])
		}
		if found && v != "" {
			out = append(out, setting{name: unquote(key), value: unquote(v), line: n})
		}
	}
	return out
}

// parseYarn reads both kinds of Yarn's settings: "name value" lines, and YAML.
func parseYarn(data []byte) []setting {
	out := parseYAML(data)
	lines(data, "#", func(n int, line string) {
		key, v, found := strings.Cut(line, " ")
		if found && !strings.HasSuffix(key, ":") {
			out = append(out, setting{name: unquote(key), value: unquote(v), line: n})
		}
	})
	return out
}

// parseTOML reads the values in the tables of a TOML file, each in one table. One
// that is no TOML its program does not read either.
func parseTOML(data []byte) (out []setting) {
	values, err := toml.Read(string(data))
	if err != nil {
		return nil
	}
	for _, v := range values {
		if len(v.Keys) == 2 && v.List == nil {
			out = append(out, setting{section: v.Keys[0], name: v.Keys[1], value: v.Text, line: v.Line})
		}
	}
	return out
}

// parseDocker reads the registries that the Docker daemon does not verify.
func parseDocker(data []byte) (out []setting) {
	var doc struct {
		Registries []string `json:"insecure-registries"`
	}
	if json.Unmarshal(data, &doc) != nil {
		return nil
	}
	line := 1 + strings.Count(string(data[:max(0, strings.Index(string(data), `"insecure-registries"`))]), "\n")
	for _, r := range doc.Registries[:min(len(doc.Registries), 1000)] {
		out = append(out, setting{name: "insecure-registries", value: r, line: line})
	}
	return out
}

// parseContainerd reads a hosts.toml; one that is none containerd passes over, too.
func parseContainerd(data []byte) (out []setting) {
	hosts, _ := toml.Hosts(string(data))
	for _, h := range hosts {
		out = append(out, setting{name: h.Name, only: h.Server, value: h.Text, line: h.Line})
	}
	return out
}

// parseRegistryHosts reads what containerd's config.toml says of single registries.
func parseRegistryHosts(data []byte) (out []setting) {
	for _, h := range toml.RegistryHosts(string(data)) {
		out = append(out, setting{name: h.Name, only: h.Server, value: h.Text, line: h.Line})
	}
	return out
}

// ofRegistry is for what parseContainerd has read.
func ofRegistry(s *setting, dir string) {
	h := toml.Host{Server: s.only, Name: s.name, Text: s.value}.In(dir)
	s.only, s.value = h.Server, h.Text
}

// parseRegistries reads registries.conf of its second version.
func parseRegistries(data []byte) (out []setting) {
	values, err := toml.Read(string(data))
	if err != nil {
		return nil
	}
	table := func(v toml.Value) string { return strings.Join(v.Keys[:len(v.Keys)-1], "\x00") }
	last := func(v toml.Value) string { return v.Keys[len(v.Keys)-1] }
	of := map[string]string{} // which registry a table is about
	for _, v := range values {
		if v.Keys[0] == "registry" && (last(v) == "prefix" && v.Text != "" || last(v) == "location" && of[table(v)] == "") {
			of[table(v)] = v.Text
		}
	}
	for _, v := range values {
		if only := of[table(v)]; only != "" && last(v) == "insecure" {
			out = append(out, setting{name: "insecure", only: toml.Address(only), value: v.Text, line: v.Line})
		}
	}
	return out
}
