package render

import (
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/platform/clients"
	"github.com/certtrust/certtrust/store"
)

// EnvDoc tells which variables make programs trust the chosen roots.
type EnvDoc struct {
	Schema    string             `json:"schema"`
	Roots     []EnvRoot          `json:"roots" jsonschema:"the chosen ones"`
	Dir       string             `json:"dir" jsonschema:"where the files are that the variables name"`
	Changed   bool               `json:"changed" jsonschema:"the files were written, or with --check would be"`
	Variables []clients.Variable `json:"variables"`
	Unmended  []clients.Unmended `json:"unmended,omitempty" jsonschema:"programs that no variable helps"`
	Files     []string           `json:"files" jsonschema:"that the variables name"`
	dialect   string
}

// EnvRoot is a chosen root.
type EnvRoot struct {
	SHA256 store.Fingerprint `json:"sha256"`
	Label  string            `json:"label"`
}

// NewEnvDoc returns the document, which people get in a dialect.
func NewEnvDoc(dialect, dir string) EnvDoc {
	return EnvDoc{Schema: Schema("env"), Dir: dir, dialect: dialect}
}

// envDialects are the ways in which variables are set, the first being the
// default. A value is a path or a list of options, and may hold anything but
// line breaks, which are refused before. What a dialect has no way to write
// gives "", and so does what its readers take differently.
var envDialects = []struct {
	name   string
	before func(d EnvDoc) []string
	line   func(name, value string) string
	image  bool              // it is for a container, which has the files in a directory of its own
	notes  map[string]string // what should be known of variables in it
}{
	{name: "sh", line: func(name, value string) string { return "export " + name + "=" + quoteSh(value) }},
	{name: "fish", line: func(name, value string) string {
		return "set -gx " + name + " '" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
	}},
	{name: "powershell", line: func(name, value string) string {
		// What is not ASCII is written by number: PowerShell on Windows takes what a
		// program writes, and files without a mark, to be in whatever code page there is.
		// So the four other characters that it takes for quotation marks do not appear.
		if !utf8.ValidString(value) {
			return ""
		}
		var out strings.Builder
		for _, r := range value {
			switch {
			case r == '\'':
				out.WriteString("''")
			case r <= unicode.MaxASCII:
				out.WriteRune(r)
			default:
				for _, unit := range utf16.Encode([]rune{r}) {
					fmt.Fprintf(&out, "' + [char]0x%04x + '", unit)
				}
			}
		}
		return "$env:" + name + " = '" + out.String() + "'"
	}},
	{name: "cmd", line: func(name, value string) string {
		// It reads a file in the code page that its console happens to have.
		if strings.ContainsFunc(value, func(r rune) bool { return r == '"' || r > unicode.MaxASCII }) {
			return ""
		}
		return `@set "` + name + "=" + strings.ReplaceAll(value, "%", "%%") + `"`
	}},
	{name: "systemd", before: func(EnvDoc) []string { return []string{"[Service]"} }, line: func(name, value string) string {
		return `Environment="` + name + "=" + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace(value) + `"`
	}},
	{name: "dockerfile", image: true, before: func(d EnvDoc) []string {
		lines := []string{"# the files are in " + store.Printable(d.Dir) + ": copy them beside the Dockerfile"}
		var names []string
		for _, file := range d.Files {
			if path.Base(file) == "wgetrc" {
				continue
			}
			names = append(names, path.Base(file))
		}
		return append(lines, "COPY "+strings.Join(names, " ")+" "+ImageDir+"/")
	}, line: func(name, value string) string {
		return "ENV " + name + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`).Replace(value) + `"`
	}},
	{name: "env-file", image: true, line: func(name, value string) string { return name + "=" + value }}, // of docker run: nothing is quoted
	{name: "dotenv", notes: map[string]string{
		"NODE_EXTRA_CA_CERTS": "Node.js and Bun heed it only if they are started with it: of --env-file it comes too late, unless NODE_OPTIONS=--use-system-ca is in that file, too (Node.js 22.15 or newer)",
	}, line: func(name, value string) string {
		// There are many readers, and shells among them. Of escapes, some take none
		// and some take them between single quotes as well, as some do variables.
		switch {
		case strings.ContainsRune(value, '$') || strings.Contains(value, `\\`) || strings.HasSuffix(value, `\`):
			return ""
		case !strings.ContainsFunc(value, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-:,=+@%", r))
		}):
			return name + "=" + value
		case !strings.Contains(value, "'"):
			return name + "='" + value + "'"
		case !strings.ContainsAny(value, "\"\\`"):
			return name + `="` + value + `"`
		}
		return ""
	}},
}

// EnvForImage reports whether a dialect is for a container and not for this
// machine: it has other programs, and nothing of the caller's environment.
func EnvForImage(dialect string) bool {
	for _, d := range envDialects {
		if d.name == dialect {
			return d.image
		}
	}
	return false
}

// ImageDir is where a container has the files that are in EnvDoc.Dir here.
const ImageDir = "/etc/certtrust"

func quoteSh(value string) string { return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'" }

// EnvFormats returns the dialects, and the formats of data.
func EnvFormats() []string {
	var names []string
	for _, d := range envDialects {
		names = append(names, d.name)
	}
	return append(names, "json", "jsonl")
}

// Text writes the variables in the dialect.
func (d EnvDoc) Text(s *term.Streams) error {
	for _, dialect := range envDialects {
		if dialect.name != d.dialect {
			continue
		}
		var lines []string
		if dialect.before != nil {
			lines = dialect.before(d)
		}
		for _, v := range d.Variables {
			value := v.Value
			if dialect.image && v.Name == "WGETRC" {
				continue // it is this machine's user's
			}
			line := ""
			if !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				line = dialect.line(v.Name, value)
			}
			if line == "" {
				return store.Because(store.ErrUnsupported, "%s cannot be written for %s: its value holds what that cannot hold: %s", v.Name, dialect.name, store.Printable(value))
			}
			lines = append(lines, line)
		}
		for _, line := range lines {
			if _, err := fmt.Fprintln(s.Out, line); err != nil {
				return err
			}
		}
		d.tell(s)
		return nil
	}
	return unknownFormat(d.dialect, EnvFormats())
}

// tell says beside the result what a person should know.
func (d EnvDoc) tell(s *term.Streams) {
	for _, v := range d.Variables {
		if v.Now != "" {
			s.Warningf("%s is set to something else now: %s", v.Name, store.Printable(v.Now))
		}
		if v.Note != "" {
			s.Noticef("%s: %s", v.Name, v.Note)
		}
		for _, dialect := range envDialects {
			if note := dialect.notes[v.Name]; note != "" && dialect.name == d.dialect {
				s.Noticef("%s: %s", v.Name, note)
			}
		}
	}
	if d.dialect == "env-file" {
		s.Noticef("the container has to have the files: docker run --volume %s --env-file FILE ...", store.Printable(quoteSh(d.Dir+":"+ImageDir+":ro")))
	}
	if d.dialect == "systemd" {
		s.Noticef("the service has to be able to read the files in %s", store.Printable(d.Dir))
	}
	for _, u := range d.Unmended {
		s.Noticef("%s: not by a variable: %s (%s)", u.Title, u.Why, u.Hint)
	}
}
