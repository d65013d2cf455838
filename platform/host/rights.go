package host

import (
	"errors"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// Rights are whose rights something is to be done with.
type Rights struct {
	User        *User // nil = the administrator (root)
	Interactive bool  // a person can answer a prompt for a password
}

// elevators are the programs that let a user act as root, best first, and how
// they are called when nobody can answer. Their "--" ends their own options.
var elevators = []struct {
	name  string
	quiet string
}{
	{"sudo", "-n"},
	{"doas", "-n"},
}

// RightsCommand returns the command that runs the program args with those
// rights. Root becomes any user without a program's help, with that user's
// groups and home; who has the rights already runs it as it is; a user becomes
// root by sudo or doas (store.ErrToolMissing where there is neither), and never
// another user (store.ErrPermission). On Windows the system itself asks (UAC).
//
// args[0] is an absolute path. sudo and doas pass nothing on from Command.Env.
// Rights are those of processes of this machine: for a machine that is not live
// it is store.ErrUnsupported, use [Local].
func (h *Host) RightsCommand(r Rights, args []string) (Command, error) {
	fail := func(kind error, hint, format string, a ...any) (Command, error) {
		return Command{}, &store.Error{Op: "elevate", Err: store.Because(kind, format, a...), Hint: hint}
	}
	uid := 0
	if r.User != nil {
		uid = r.User.UID
	}
	switch {
	case len(args) == 0:
		return fail(store.ErrInput, "", "no program given")
	case !h.Live:
		return fail(store.ErrUnsupported, "", "an offline root has no users to act as")
	case h.OS == "windows" && r.User == nil:
		return Command{Args: args, Elevated: true}, nil
	case h.OS == "windows":
		return fail(store.ErrUnsupported, "run it as that user", "on Windows nobody acts as another user")
	case h.EUID == uid:
		return Command{Args: args}, nil
	case h.EUID == 0:
		return Command{Args: args, Rights: r.User}, nil
	case r.User != nil:
		return fail(store.ErrPermission, "run it as that user, or as root", "only root can act as the user %s", store.Printable(r.User.Name))
	}
	var names []string
	for _, e := range elevators {
		program, err := h.LookPath(e.name)
		if errors.Is(err, store.ErrToolMissing) {
			names = append(names, e.name)
			continue
		} else if err != nil {
			return Command{}, err
		}
		line := []string{program}
		if !r.Interactive {
			line = append(line, e.quiet)
		}
		return Command{Args: append(append(line, "--"), args...), Foreground: r.Interactive}, nil
	}
	return fail(store.ErrToolMissing, "run it as root", "none of %s is installed", strings.Join(names, ", "))
}
