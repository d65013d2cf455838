package render

import (
	"fmt"
	"path"
	"strings"

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
// line breaks, which are refused before.
var envDialects = []struct {
	name   string
	before func(d EnvDoc) []string
	line   func(name, value string) string
}{
	{"sh", nil, func(name, value string) string { return "export " + name + "=" + quoteSh(value) }},
	{"fish", nil, func(name, value string) string {
		return "set -gx " + name + " '" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
	}},
	{"powershell", nil, func(name, value string) string {
		// Its single quotes are four characters.
		return "$env:" + name + " = '" + strings.NewReplacer("'", "''", "\u2018", "\u2018\u2018", "\u2019", "\u2019\u2019", "\u201a", "\u201a\u201a", "\u201b", "\u201b\u201b").Replace(value) + "'"
	}},
	{"cmd", nil, func(name, value string) string {
		return `set "` + name + "=" + strings.ReplaceAll(value, "%", "%%") + `"`
	}},
	{"systemd", func(EnvDoc) []string { return []string{"[Service]"} }, func(name, value string) string {
		return `Environment="` + name + "=" + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace(value) + `"`
	}},
	{"dockerfile", func(d EnvDoc) []string {
		lines := []string{"# the files are in " + store.Printable(d.Dir) + ": copy them beside the Dockerfile"}
		var names []string
		for _, file := range d.Files {
			if path.Base(file) == "wgetrc" {
				continue
			}
			names = append(names, path.Base(file))
		}
		return append(lines, "COPY "+strings.Join(names, " ")+" "+dockerDir+"/")
	}, func(name, value string) string {
		return "ENV " + name + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`).Replace(value) + `"`
	}},
	{"env-file", nil, func(name, value string) string { return name + "=" + value }}, // of docker run: nothing is quoted
	{"dotenv", nil, func(name, value string) string {
		if !strings.ContainsAny(value, " #'\"\\$`") {
			return name + "=" + value
		}
		if !strings.Contains(value, "'") {
			return name + "='" + value + "'"
		}
		return name + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(value) + `"`
	}},
}

// dockerDir is where an image has the files.
const dockerDir = "/etc/certtrust"

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
			if dialect.name == "dockerfile" && v.Name == "WGETRC" {
				continue // it is this machine's user's
			}
			if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) || dialect.name == "cmd" && strings.Contains(value, `"`) {
				return store.Because(store.ErrUnsupported, "%s cannot be written for %s: its value holds what that cannot hold", v.Name, dialect.name)
			}
			if dialect.name == "dockerfile" {
				value = strings.ReplaceAll(value, d.Dir, dockerDir)
			}
			lines = append(lines, dialect.line(v.Name, value))
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
	}
	for _, u := range d.Unmended {
		s.Noticef("%s: not by a variable: %s (%s)", u.Title, u.Why, u.Hint)
	}
}
