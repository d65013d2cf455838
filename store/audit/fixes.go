package audit

import (
	"path"
	"regexp"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// option is an option as commands here have them. What comes from elsewhere is a
// fingerprint, an ID or an absolute path, and none of these looks like one.
var option = regexp.MustCompile(`^-[-a-z]*$`)

// quote writes an argument of a shell command. What cannot be written safely,
// and read by a person, is not ok.
func quote(arg string) (string, bool) {
	if arg == "" || store.Printable(arg) != arg && strings.ReplaceAll(store.Printable(arg), `\\`, `\`) != arg {
		return "", false
	}
	if option.MatchString(arg) {
		return arg, true
	}
	if strings.Trim(arg, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-:@+,=%") == "" && !strings.HasPrefix(arg, "-") {
		return arg, true
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'", true
}

// run writes a command; "" if one of the arguments cannot be written.
func run(args ...string) string {
	var words []string
	for _, a := range args {
		word, ok := quote(a)
		if !ok {
			return ""
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// fix makes a Fix of commands, or of nothing if one of them is missing.
func fix(summary string, admin bool, commands ...string) []Fix {
	for _, c := range commands {
		if c == "" {
			return []Fix{{Summary: summary, Steps: []string{"its name holds characters that no command can be given safely: do it by hand"}, Admin: admin}}
		}
	}
	return []Fix{{Summary: summary, Commands: commands, Admin: admin}}
}

func steps(summary string, list ...string) []Fix { return []Fix{{Summary: summary, Steps: list}} }

// editable reports whether certtrust can change a store.
func editable(s *Store) bool {
	w := s.Info.Access.Write
	return w == nil || w.Kind == store.NeedsElevation || w.Kind == store.NeedsSecret || w.Kind == store.NeedsConsent
}

func admin(s *Store) bool { return s.Info.Scope == store.ScopeSystem }

// offline returns what to do where the store lies in an offline root, nil if it
// does not.
func offline(s *Store) []Fix {
	if s.Info.Root == "" {
		return nil
	}
	return steps("change the image", "mount it and do it there, or build it anew without this")
}

// certtrust writes a command that changes the store, in its root if it has one.
func certtrust(s *Store, command ...string) string {
	id := strings.TrimSuffix(string(s.Info.ID), "["+s.Info.Root+"]")
	args := append([]string{"certtrust"}, command...)
	args = append(args, "--store", id)
	if s.Info.Root != "" {
		args = append(args, "--root", s.Info.Root)
	}
	return run(append(args, "--yes")...)
}

// withdraw is the fix for what should not be trusted: taken out or, where the
// vendor would bring it back, distrusted.
func withdraw(s *Store, e *store.Entry) []Fix {
	if s.Info.DerivedFrom != "" {
		return steps("change the store that it follows", "take it out of "+string(s.Info.DerivedFrom))
	}
	if !editable(s) {
		where := s.Info.Access.Write.Text
		if s.Info.Access.Write.Hint != "" {
			where = s.Info.Access.Write.Hint
		}
		return steps("take it out", store.Printable(where))
	}
	fp := e.Cert.SHA256.String()
	if e.Origin.By == store.ByVendor {
		return fix("distrust it: the next update would bring it back if it were removed", admin(s), certtrust(s, "distrust", fp))
	}
	return fix("take it out", admin(s), certtrust(s, "remove", fp))
}

// mend is the fix for what repair can do.
func mend(s *Store) []Fix {
	if !editable(s) {
		return steps("mend it", s.Info.Access.Write.Text)
	}
	return fix("let certtrust mend it", admin(s), repair(s))
}

func repair(s *Store) string {
	return certtrust(s, "repair")
}

// discard is the fix for a file that should not be there.
func discard(s *Store, file string) []Fix {
	if list := offline(s); list != nil {
		return list
	}
	return fix("delete the file", admin(s), run("rm", "--", file), repair(s))
}

// reimport is the fix for a file that holds what is wanted, in a form that is
// not: out of the store with it, and in again as it should be.
func reimport(s *Store, file string) []Fix {
	if list := offline(s); list != nil {
		return list
	}
	aside := "/root/" + path.Base(file)
	return fix("take it out of the store, and import what it holds", admin(s),
		run("mv", "--", file, aside), repair(s), certtrust(s, "import", aside))
}
