// Package toml reads settings in TOML (toml.io, 1.0) for those who look for a few
// of them: every value with the keys that lead to it. What is no TOML is refused;
// what TOML forbids beyond its syntax, such as a key that is given twice, is not
// looked for.
package toml

import (
	"fmt"
	"strconv"
	"strings"
)

// Value is a value that is no table.
type Value struct {
	// Keys lead to it. A table in an array has its number, from 0, for a key.
	Keys []string
	// Text is a string, or anything else as it is written; of an array the texts
	// are in List.
	Text string
	List []string
	// Line is where it begins, from 1.
	Line int
}

// Texts returns the text, or those of an array.
func (v Value) Texts() []string {
	if v.List != nil {
		return v.List
	}
	return []string{v.Text}
}

// maxDepth is how deep arrays and tables may be nested.
const maxDepth = 32

// Read returns the values in the order of the text. With an error it returns
// those before it.
func Read(text string) (out []Value, err error) {
	r := &reader{rest: strings.TrimPrefix(text, "\ufeff"), line: 1, tables: map[string]int{}}
	defer func() {
		out = r.out
		if p := recover(); p != nil {
			reason, mine := p.(syntax)
			if !mine {
				panic(p)
			}
			err = fmt.Errorf("line %d: %s", r.line, string(reason))
		}
	}()
	for r.blank(true); r.rest != ""; r.blank(true) {
		if r.skip("[") {
			r.header()
		} else {
			r.pair(r.table, 0)
		}
		r.blank(false)
		if r.rest != "" && !r.skip("\n") && !r.skip("\r\n") {
			r.fail("more than one thing in it")
		}
	}
	return r.out, nil
}

// syntax is why the reading is given up.
type syntax string

type reader struct {
	rest   string
	line   int
	table  []string       // the one that the lines belong to
	tables map[string]int // how many tables an array has had
	out    []Value
}

func (r *reader) fail(format string, args ...any) { panic(syntax(fmt.Sprintf(format, args...))) }

// skip goes on if what comes next is this.
func (r *reader) skip(what string) bool {
	if !strings.HasPrefix(r.rest, what) {
		return false
	}
	r.rest = r.rest[len(what):]
	r.line += strings.Count(what, "\n")
	return true
}

func (r *reader) expect(what string) {
	if r.blank(false); !r.skip(what) {
		r.fail("there is no %s where it should be", what)
	}
}

// blank skips what means nothing, line breaks only if they do not.
func (r *reader) blank(lines bool) {
	for {
		switch {
		case r.skip(" "), r.skip("\t"), lines && (r.skip("\n") || r.skip("\r\n")):
		case strings.HasPrefix(r.rest, "#"):
			end := strings.IndexByte(r.rest, '\n')
			if end < 0 {
				end = len(r.rest)
			}
			r.rest = r.rest[end:]
		default:
			return
		}
	}
}

// header reads the name of a table, behind its first bracket.
func (r *reader) header() {
	many := r.skip("[")
	keys := r.keys()
	r.expect("]")
	if r.table = r.within(keys[:len(keys)-1], keys[len(keys)-1]); !many {
		return
	}
	if !r.skip("]") {
		r.fail("there is no ] where it should be")
	}
	name := strings.Join(r.table, "\x00")
	r.table = append(r.table, strconv.Itoa(r.tables[name]))
	r.tables[name]++
}

// within returns the path of a table: in one of an array it is the last one of it.
func (r *reader) within(keys []string, last string) (out []string) {
	for _, k := range keys {
		out = append(out, k)
		if n := r.tables[strings.Join(out, "\x00")]; n > 0 {
			out = append(out, strconv.Itoa(n-1))
		}
	}
	return append(out, last)
}

// keys reads keys with dots between.
func (r *reader) keys() (out []string) {
	for {
		r.blank(false)
		switch {
		case strings.HasPrefix(r.rest, `"`), strings.HasPrefix(r.rest, "'"):
			out = append(out, r.quoted())
		default:
			end := strings.IndexFunc(r.rest, func(c rune) bool {
				return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-')
			})
			if end < 0 {
				end = len(r.rest)
			}
			if end == 0 {
				r.fail("there is no name where one should be")
			}
			out, r.rest = append(out, r.rest[:end]), r.rest[end:]
		}
		if r.blank(false); !r.skip(".") {
			return out
		}
	}
}

// pair reads a key and its value.
func (r *reader) pair(table []string, depth int) {
	keys := append(table[:len(table):len(table)], r.keys()...)
	r.expect("=")
	r.blank(false)
	v := Value{Keys: keys, Line: r.line}
	if table := r.value(&v, depth); !table {
		r.out = append(r.out, v)
	}
}

// value reads a value into v, unless it is a table.
func (r *reader) value(v *Value, depth int) (table bool) {
	switch {
	case depth > maxDepth:
		r.fail("it is nested too deeply")
	case strings.HasPrefix(r.rest, `"`), strings.HasPrefix(r.rest, "'"):
		v.Text = r.quoted()
	case r.skip("["):
		v.List = []string{}
		for n := 0; ; n++ {
			if r.blank(true); r.skip("]") {
				return false
			}
			in := Value{Keys: append(v.Keys[:len(v.Keys):len(v.Keys)], strconv.Itoa(n))}
			switch table := r.value(&in, depth+1); {
			case in.List != nil:
				v.List = append(v.List, in.List...)
			case !table:
				v.List = append(v.List, in.Text)
			}
			if r.blank(true); !r.skip(",") && !strings.HasPrefix(r.rest, "]") {
				r.fail("an array is not closed")
			}
		}
	case r.skip("{"):
		for r.blank(true); !r.skip("}"); r.blank(true) {
			r.pair(v.Keys, depth+1)
			if r.blank(true); !r.skip(",") && !strings.HasPrefix(r.rest, "}") {
				r.fail("a table is not closed")
			}
		}
		return true
	default:
		end := strings.IndexAny(r.rest, ",]}#\r\n")
		if end < 0 {
			end = len(r.rest)
		}
		if v.Text = strings.TrimSpace(r.rest[:end]); v.Text == "" || strings.ContainsAny(v.Text, `"'=[{`) {
			r.fail("there is no value where one should be")
		}
		r.rest = r.rest[end:]
	}
	return false
}

// quoted reads a string of any of the four kinds.
func (r *reader) quoted() string {
	quote := r.rest[:1]
	if long := strings.Repeat(quote, 3); r.skip(long) {
		quote = long
		_ = r.skip("\n") || r.skip("\r\n")
	} else {
		r.skip(quote)
	}
	var out strings.Builder
	for {
		switch {
		case r.rest == "" || len(quote) == 1 && r.rest[0] == '\n':
			r.fail("a string is not closed")
		case r.skip(quote):
			// Quotation marks of its own can stand before those that end it.
			for len(quote) == 3 && r.skip(quote[:1]) {
				out.WriteString(quote[:1])
			}
			return out.String()
		case quote[0] == '"' && r.skip(`\`):
			r.escape(&out)
		default:
			if r.rest[0] == '\n' {
				r.line++
			}
			out.WriteByte(r.rest[0])
			r.rest = r.rest[1:]
		}
	}
}

// escapes are those of one character.
var escapes = map[byte]string{'b': "\b", 't': "\t", 'n': "\n", 'f': "\f", 'r': "\r", 'e': "\x1b", '"': `"`, '\\': `\`}

func (r *reader) escape(out *strings.Builder) {
	if r.rest == "" {
		return
	}
	c := r.rest[0]
	if text, known := escapes[c]; known {
		out.WriteString(text)
		r.rest = r.rest[1:]
		return
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
	if digits > 0 && len(r.rest) > digits {
		if code, err := strconv.ParseUint(r.rest[1:1+digits], 16, 32); err == nil {
			out.WriteRune(rune(code))
			r.rest = r.rest[1+digits:]
			return
		}
	}
	// A line that ends so goes on with the next that is not empty.
	if end := strings.TrimLeft(r.rest, " \t\r"); strings.HasPrefix(end, "\n") {
		next := strings.TrimLeft(end, " \t\r\n")
		r.line += strings.Count(end[:len(end)-len(next)], "\n")
		r.rest = next
		return
	}
	r.fail("an escape that there is not")
}
