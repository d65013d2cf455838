// Package clients knows the programs that verify servers, and what in a
// person's environment and files makes them look elsewhere than at the stores,
// or not look at all. It runs none of them, and changes nothing.
package clients

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store/diagnose"
)

// Overrides returns what makes the programs of this user trust other roots than
// the stores', more of them, or anything: environ, the caller's environment as
// of os.Environ, and the programs' own files. Of several settings of one thing,
// the one that the program heeds is returned. What cannot be read has an error.
//
// An offline root has no caller: only its system-wide files count there.
func Overrides(ctx context.Context, h *host.Host, environ []string) []diagnose.Override {
	c := &collector{ctx: ctx, h: h, env: map[string]string{}, roots: map[string]rootsRead{}, heeded: map[slot]int{}}
	if h.Live {
		c.readEnviron(environ)
	}
	// From what a program heeds least to what it heeds most.
	for _, f := range files {
		if !f.beforeEnv {
			c.readFile(f)
		}
	}
	for _, r := range variables {
		c.variable(r)
	}
	for _, f := range files {
		if f.beforeEnv {
			c.readFile(f)
		}
	}
	return c.result()
}

// collector gathers overrides.
type collector struct {
	ctx    context.Context
	h      *host.Host
	env    map[string]string // nothing for an offline root
	cwd    string            // "" if unknown
	roots  map[string]rootsRead
	found  []candidate
	heeded map[slot]int // the index in found of what counts
}

// candidate is an override that another setting may take the place of.
type candidate struct {
	diagnose.Override
	rule  *rule
	empty bool // it only takes back what was set before
}

// slot is what there is one setting of.
type slot struct{ client, topic, only, value string }

func (c *collector) readEnviron(environ []string) {
	for _, pair := range environ {
		// On Windows "=C:" is the current directory of a drive.
		name, value, ok := strings.Cut(pair, "=")
		if c.h.OS == "windows" {
			name = strings.ToUpper(name)
		}
		if _, twice := c.env[name]; ok && name != "" && !twice {
			c.env[name] = value
		}
	}
	if dir := c.env["PWD"]; path.IsAbs(dir) {
		c.cwd = path.Clean(dir)
	}
}

// getenv returns a variable.
func (c *collector) getenv(name string) (string, bool) {
	if c.h.OS == "windows" {
		name = strings.ToUpper(name)
	}
	value, ok := c.env[name]
	return value, ok
}

// variable looks at a variable of the environment.
func (c *collector) variable(r rule) {
	for _, name := range r.names {
		value, ok := c.getenv(name)
		if !ok || value == "" && !r.evenEmpty {
			continue
		}
		if r.unless != "" {
			if other, _ := c.getenv(r.unless); other != "" {
				continue
			}
		}
		c.apply(&r, setting{name: name, value: value}, name)
		return // the other spelling does not count
	}
}

// readFile looks at a file of a program's settings.
func (c *collector) readFile(f file) {
	for _, p := range c.places(f) {
		if c.ctx.Err() != nil {
			return
		}
		data, err := c.h.ReadFile(p, maxSettings)
		if err != nil {
			if !isMissing(err) {
				for _, client := range f.clients {
					c.add(candidate{Override: diagnose.Override{
						Client: client, Source: p, Name: f.about, Effect: diagnose.Replaces, Err: err,
					}, rule: &rule{topic: "file " + p}})
				}
			}
			continue
		}
		for _, s := range f.parse(data) {
			if f.beside != nil {
				f.beside(&s, path.Dir(p))
			}
			for i := range f.rules {
				r := &f.rules[i]
				if (r.section == "" || r.section == s.section) && slices.Contains(r.names, s.name) && (f.section == nil || f.section(c) == s.section) {
					c.apply(r, s, fmt.Sprintf("%s:%d", p, s.line))
				}
			}
		}
	}
}

// places returns where a file is, weakest first.
func (c *collector) places(f file) (found []string) {
	for _, p := range f.places {
		if p.system != "" && p.system != c.h.OS {
			continue
		}
		at, ok := c.expand(p.path)
		if !ok || slices.Contains(found, at) {
			continue
		}
		if strings.Contains(at, "*") {
			found = append(found, c.glob(at)...)
			continue
		}
		if last := len(found) - 1; p.instead && last >= 0 && !strings.HasPrefix(found[last], "/etc/") {
			if _, err := c.h.Stat(at); err != nil {
				continue
			}
			found = found[:last]
		}
		found = append(found, at)
	}
	if f.where != nil {
		for _, at := range f.where(c) {
			found = append(found, c.glob(at)...)
		}
	}
	return found
}

// maxMatches is how many files a pattern is taken to name.
const maxMatches = 1000

// glob returns the files that a pattern names, in which each part can be for any
// name; one without is returned as it is.
func (c *collector) glob(pattern string) (found []string) {
	found = []string{"/"}
	if c.h.OS == "windows" {
		found = []string{""}
	}
	for part := range strings.SplitSeq(strings.TrimPrefix(pattern, "/"), "/") {
		var next []string
		for _, dir := range found {
			if !strings.Contains(part, "*") {
				next = append(next, path.Join(dir, part))
				continue
			}
			entries, err := c.h.ReadDir(dir)
			if err != nil {
				continue
			}
			for _, e := range entries {
				if ok, _ := path.Match(part, e.Name()); ok && len(next) < maxMatches {
					next = append(next, path.Join(dir, e.Name()))
				}
			}
		}
		found = next
	}
	return found
}

// expand turns "~/x", "./x" and "$VARIABLE/x" into a path. It is not ok where
// there is no such directory or variable.
func (c *collector) expand(p string) (string, bool) {
	first, rest, _ := strings.Cut(p, "/")
	var base string
	switch {
	case first == "":
		return p, true
	case !c.h.Live:
		return "", false // the files of a user, who is not at that machine
	case first == "~":
		base = c.h.User.Home
	case first == "." && strings.HasPrefix(rest, ".git/"):
		return c.gitFile(strings.TrimPrefix(rest, ".git/"))
	case first == ".":
		base = c.cwd
	case strings.HasPrefix(first, "$"):
		base, _ = c.getenv(first[1:])
		base = c.slashed(base)
	}
	if !c.absolute(base) {
		return "", false
	}
	return path.Join(base, rest), true
}

// gitFile returns where a file of the repository lies that the current directory
// is the top of. In a worktree, .git is a file that says where the repository
// is, and that says where the part is that all worktrees have in common.
func (c *collector) gitFile(name string) (string, bool) {
	if !c.absolute(c.cwd) {
		return "", false
	}
	dir := path.Join(c.cwd, ".git")
	line := func(file, prefix string) (string, bool) {
		data, err := c.h.ReadFile(file, maxSettings)
		text, ok := strings.CutPrefix(strings.TrimSpace(string(data)), prefix)
		text = c.slashed(strings.TrimSpace(text))
		if err != nil || !ok || text == "" || strings.ContainsAny(text, "\x00\n") {
			return "", false
		}
		if !c.absolute(text) {
			text = path.Join(path.Dir(file), text)
		}
		return text, true
	}
	if info, err := c.h.Stat(dir); err == nil && !info.IsDir() {
		at, ok := line(dir, "gitdir:")
		if !ok {
			return "", false
		}
		if dir, ok = line(path.Join(at, "commondir"), ""); !ok {
			dir = at
		}
	}
	return path.Join(dir, name), true
}

func (c *collector) slashed(p string) string {
	if c.h.OS == "windows" {
		return strings.ReplaceAll(p, `\`, "/")
	}
	return p
}

func (c *collector) absolute(p string) bool {
	if c.h.OS == "windows" && len(p) > 2 && p[1] == ':' {
		return p[2] == '/'
	}
	return path.IsAbs(p)
}

// apply makes overrides of a setting.
func (c *collector) apply(r *rule, s setting, source string) {
	if r.systems != nil && !slices.Contains(r.systems, c.h.OS) {
		return
	}
	value, effect := s.value, r.effect
	if r.take != nil {
		var ok bool
		if value, effect, ok = r.take(s); !ok {
			return
		}
	}
	for _, client := range r.clients {
		o := diagnose.Override{Client: client, Source: source, Name: cmp.Or(s.shown, s.name), Value: cut(value), Effect: effect, Only: cut(s.only)}
		if r.everyHost != nil {
			o.Only = cut(r.everyHost(s))
		}
		if effect != "" && effect != diagnose.Disables {
			o.Roots, o.Err = c.read(r, value)
		}
		c.add(candidate{Override: o, rule: r, empty: effect == ""})
	}
}

// add puts a candidate in the place of what was set before.
func (c *collector) add(n candidate) {
	key := slot{n.Client, n.rule.topic, n.Only, ""}
	if n.rule.each {
		key.value = n.Value
	}
	if n.rule.over {
		for i, o := range c.found {
			if o.Client == n.Client && o.rule.topic == n.rule.topic {
				c.found[i].empty = true
			}
		}
	}
	if i, ok := c.heeded[key]; ok {
		if n.rule.weak && !c.found[i].empty {
			return
		}
		c.found[i].empty = true
	}
	c.heeded[key] = len(c.found)
	c.found = append(c.found, n)
}

// result returns what counts. Of a file and a directory of roots, each is in
// addition to the system's other one; where both are set, the system's count
// no more.
func (c *collector) result() (out []diagnose.Override) {
	for _, n := range c.found {
		if n.empty || n.Client == "npm" && (n.rule.topic == more || n.rule.topic == system) && c.has("npm", roots, "inline") {
			continue // npm hands its own roots to Node, which adds nothing to them
		}
		if n.rule.half != "" && n.Effect == diagnose.Replaces {
			other := c.other(n)
			switch {
			case other && n.rule.half == "directory":
				n.Effect = diagnose.Adds // to the file
			case !other && c.systemHas(n.Client, n.rule.half):
				n.Effect = diagnose.Adds
			}
		}
		out = append(out, n.Override)
	}
	return out
}

// has tells that something of the topics is set for a client.
func (c *collector) has(client string, topics ...string) bool {
	return slices.ContainsFunc(c.found, func(o candidate) bool {
		return !o.empty && o.Client == client && slices.Contains(topics, o.rule.topic)
	})
}

// other tells that the other half of a client's roots is set too.
func (c *collector) other(n candidate) bool {
	return slices.ContainsFunc(c.found, func(o candidate) bool {
		return !o.empty && o.Client == n.Client && o.rule.half != "" && o.rule.half != n.rule.half && o.Only == n.Only
	})
}

// cut bounds a text that is shown.
func cut(s string) string {
	if len(s) > maxValue {
		return strings.ToValidUTF8(s[:maxValue], "") + "…"
	}
	return s
}

// isMissing tells that a file is not there.
func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
