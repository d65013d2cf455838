package host

import (
	"os"
	"path/filepath"

	"github.com/certtrust/certtrust/store"
)

// TempDir makes a directory of this process's own for what a program that is
// run needs as files, such as a profile: for the user that is given, or for
// this one if that is nil. remove takes it away, with all that was put there.
// It is store.ErrUnsupported but on this machine itself.
func (h *Host) TempDir(u *User) (dir string, remove func(), err error) {
	if !h.Live {
		return "", nil, pathError("mkdir", "", store.Because(store.ErrUnsupported, "programs of an offline root are not run"))
	}
	dir, err = os.MkdirTemp("", "certtrust-")
	if err != nil {
		return "", nil, pathError("mkdir", os.TempDir(), err)
	}
	if u != nil && u.UID > 0 {
		if err := os.Chown(dir, u.UID, u.GID); err != nil {
			os.RemoveAll(dir)
			return "", nil, pathError("chown", filepath.ToSlash(dir), err)
		}
	}
	return filepath.ToSlash(dir), func() { os.RemoveAll(dir) }, nil
}
