package host

import (
	"errors"
	"io/fs"
	"os/user"
	"path"
	"strconv"

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
		parent := path.Dir(p)
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
