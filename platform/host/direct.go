package host

import (
	"errors"
	"io/fs"
	"os/user"
	"strconv"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// Direct returns the name under which this process finds what path leads to,
// for a library that opens files by itself. It is store.ErrUnsupported for an
// offline root, whose links only this package follows safely.
func (h *Host) Direct(p string) (string, error) {
	if !h.Live {
		return "", pathError("open", p, store.Because(store.ErrUnsupported, "an offline root is only read"))
	}
	resolved, err := h.Resolve(p)
	if err != nil {
		return "", err
	}
	return h.outside(resolved), nil
}

// Foreign reports whether path, or the nearest directory above it that there
// is, belongs to another user while this process is root: root does not follow
// what that user could turn into something else. The root directory of a fake
// or offline machine belongs to whoever made it.
func (h *Host) Foreign(p string) (uid int, foreign bool) {
	if h.EUID != 0 || h.Root != "" {
		return 0, false
	}
	for {
		info, err := h.Lstat(p)
		if err == nil {
			uid, _, ok := ownerOf(info)
			return uid, ok && uid != 0
		}
		parent := above(p)
		if !errors.Is(err, fs.ErrNotExist) || parent == p {
			return 0, false
		}
		p = parent
	}
}

// Owner returns the user that path belongs to, where that is known.
func (h *Host) Owner(p string) (uid int, known bool) {
	info, err := h.Stat(p)
	if err != nil {
		return 0, false
	}
	uid, _, known = ownerOf(info)
	return uid, known
}

// UserName returns the name of a user of this machine, "" if it is unknown.
func (h *Host) UserName(uid int) string {
	if !h.Live || h.Root != "" {
		return ""
	}
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return ""
	}
	return u.Username
}

// LookupUser returns a user of this machine by name; store.ErrNotFound if there
// is none.
func (h *Host) LookupUser(name string) (User, error) {
	if !h.Live {
		return User{}, &store.Error{Err: store.Because(store.ErrUnsupported, "an offline root has no users to act as")}
	}
	found, err := user.Lookup(name)
	if err != nil {
		return User{}, &store.Error{Err: store.Because(store.ErrNotFound, "there is no user %s here", store.Printable(name))}
	}
	return fromDatabase(found), nil
}

// firstUser and lastUser bound the user IDs of people on Linux and BSD; macOS
// begins at 501.
const (
	firstUser    = 1000
	firstUserMac = 501
	lastUser     = 59999
)

// Users returns the people who have a home directory on this machine, as far as
// its own user database knows them.
func (h *Host) Users() ([]User, error) {
	first := firstUser
	switch {
	case !h.Live || h.OS == "windows":
		return nil, &store.Error{Err: store.Because(store.ErrUnsupported, "the users of this system cannot be listed"), Hint: "name them with --for-user"}
	case h.OS == "darwin":
		first = firstUserMac
	}
	var users []User
	text, err := h.ReadFile("/etc/passwd", 16<<20)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		part := strings.Split(strings.TrimSpace(line), ":")
		if len(part) < 7 || strings.HasPrefix(line, "#") {
			continue
		}
		uid, errUID := strconv.Atoi(part[2])
		gid, errGID := strconv.Atoi(part[3])
		if errUID != nil || errGID != nil || uid < first || uid > lastUser {
			continue
		}
		if info, err := h.Stat(part[5]); err != nil || !info.IsDir() {
			continue
		}
		users = append(users, User{Name: part[0], UID: uid, GID: gid, Home: part[5]})
	}
	return users, nil
}
