package host

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/certtrust/certtrust/store"
)

// TempPrefix is how the names of temporary files begin. What a crash leaves
// behind is known by it.
const TempPrefix = ".certtrust-"

// WriteOptions tell how a file or link is put in place.
type WriteOptions struct {
	// Mode is that of a new file, 0 = 0644; the umask plays no part. An
	// existing file keeps its mode unless ForceMode is set.
	Mode      fs.FileMode
	ForceMode bool
	// TempDir is where the temporary file goes, for directories in which
	// others take every file for theirs. If it turns out to be on another file
	// system, or read-only, a directory is made for it in the file's own. "" = the
	// file's own directory.
	TempDir string
	// Exclusive: fail with fs.ErrExist if there is something already.
	Exclusive bool
	// Volatile: it need not outlive a crash, as a file by which a program is
	// told something, so nobody waits for the disk.
	Volatile bool
}

// WriteFile replaces or creates a file in one step: whoever reads it, even
// after a crash at any time, finds the old content or the new, whole and on
// disk. An existing file's mode, owner, group, access list and SELinux label
// are kept; if they cannot be, it fails. On error the old file is as it was,
// unless the error is about the last step, making the new name durable.
//
// If path is a link to a file in the link's own directory, that file is
// replaced. A link that leads elsewhere is refused with store.ErrConflict: it
// belongs to whoever keeps the other place.
func (h *Host) WriteFile(p string, data []byte, o WriteOptions) error {
	final, err := h.finalName(p)
	if err != nil {
		return pathError("write", p, err)
	}
	return h.near(final, o, func(o WriteOptions) error { return h.writeFile(final, data, o) })
}

// near does something with a temporary file, if it must be with one in a
// directory that is made for it next to path.
func (h *Host) near(p string, o WriteOptions, do func(o WriteOptions) error) error {
	err := do(o)
	readOnly := errors.Is(err, store.ErrReadOnly) // where the temporary file was to be; the file itself may be elsewhere
	if o.TempDir == "" || !readOnly && !errors.Is(err, errOtherDevice) {
		return err
	}
	o.TempDir = tempName(p, WriteOptions{})
	own := func(op string, change func(t tree, name string) error) error {
		return h.at(op, o.TempDir, false, func(t tree, name string) error {
			if err := h.fault(op, o.TempDir); err != nil {
				return err
			}
			return change(t, name)
		})
	}
	if made := own("mkdir", func(t tree, name string) error { return t.Mkdir(name, 0o700) }); made != nil {
		if readOnly {
			return err
		}
		return made
	}
	err = do(o)
	if gone := own("remove", func(t tree, name string) error { return t.Remove(name) }); err == nil {
		err = gone
	}
	return err
}

func (h *Host) writeFile(final string, data []byte, o WriteOptions) error {
	return h.at("write", final, false, func(t tree, name string) (err error) {
		old, err := t.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			old = nil
		case err != nil:
			return err
		case o.Exclusive:
			return fs.ErrExist
		case !old.Mode().IsRegular():
			return errNotRegular
		}
		if err := h.fault("create", final); err != nil {
			return err
		}
		temp, err := t.locate(tempName(final, o), false)
		if err != nil {
			return err
		}
		f, err := t.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|openPassive, 0o600)
		if err != nil {
			return err
		}
		defer func() {
			if err != nil {
				f.Close()
				t.Remove(temp)
			}
		}()
		if err := h.fault("write", final); err != nil {
			return err
		}
		if _, err := f.Write(data); err != nil {
			return err
		}
		if err := dress(f, t, name, old, o); err != nil {
			return err
		}
		if err := h.fault("sync", final); err != nil {
			return err
		}
		if !o.Volatile {
			if err := f.Sync(); err != nil {
				return err
			}
		}
		if err := f.Close(); err != nil {
			return err
		}
		return h.put(t, temp, name, final, o)
	})
}

// put gives the finished temporary file its name, durably.
func (h *Host) put(t tree, temp, name, final string, o WriteOptions) error {
	sync := h.syncParent
	if o.Volatile {
		sync = func(tree, string) error { return nil }
	}
	if !o.Exclusive {
		if err := h.fault("rename", final); err != nil {
			return err
		}
		if err := t.Rename(temp, name); err != nil {
			return err
		}
		return sync(t, final)
	}
	// Unlike a rename, a hard link never replaces anything.
	if err := h.fault("link", final); err != nil {
		return err
	}
	if err := t.Link(temp, name); err != nil {
		return err
	}
	if err := t.Remove(temp); err != nil {
		return err
	}
	return sync(t, final)
}

// dress gives a new file the mode and, from the file that it replaces, the
// owner and attributes that it has to have.
func dress(f *os.File, t tree, name string, old fs.FileInfo, o WriteOptions) error {
	mode := o.Mode
	if mode == 0 {
		mode = 0o644
	}
	if old == nil {
		return f.Chmod(mode)
	}
	if !o.ForceMode {
		mode = old.Mode()
	}
	// A change of owner clears the set-ID bits, and an access list carries
	// the group's bits: the order matters.
	if err := keepOwner(f, old); err != nil {
		return fmt.Errorf("cannot keep the owner: %w", bare(err))
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	from, err := t.OpenFile(name, os.O_RDONLY|openPassive, 0)
	if errors.Is(err, fs.ErrPermission) {
		return nil // one's own file that one may not read: its label cannot be read either
	} else if err != nil {
		return err
	}
	defer from.Close()
	if err := keepAttributes(f, from); err != nil {
		return err
	}
	if o.ForceMode {
		return f.Chmod(mode)
	}
	return nil
}

// finalName follows path as long as it is a link to something in its own
// directory.
func (h *Host) finalName(p string) (string, error) {
	for range maxLinks {
		info, err := h.Lstat(p)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode()&fs.ModeSymlink == 0 {
			return p, nil
		} else if err != nil {
			return "", err
		}
		target, err := h.Readlink(p)
		if err != nil {
			return "", err
		}
		// Not path.Dir, which would cancel ".." against a link.
		own, _ := path.Split(p)
		if !absolute(h.OS, target) {
			target = own + target
		}
		other, base := path.Split(target)
		from, err := h.Resolve(own)
		if err != nil {
			return "", err
		}
		if to, err := h.Resolve(other); err != nil || to != from {
			return "", store.Because(store.ErrConflict, "a link that leads to another directory (%s) is not written through", store.Printable(target))
		}
		p = path.Join(from, base)
	}
	return "", errLoop
}

func tempName(final string, o WriteOptions) string {
	var tail [8]byte
	rand.Read(tail[:]) // never fails
	return path.Join(or(o.TempDir, path.Dir(final)), TempPrefix+hex.EncodeToString(tail[:]))
}

// syncParent makes the entry of path in its directory durable, or has that
// done later, see [Host.Together].
func (h *Host) syncParent(t tree, p string) error {
	if h.later != nil {
		h.later.add(above(p))
		return nil
	}
	return syncDirectory(t, above(p))
}

func syncDirectory(t tree, dir string) error {
	name, err := t.locate(dir, true)
	if err != nil {
		return err
	}
	f, err := t.OpenFile(name, os.O_RDONLY|openPassive, 0)
	if errors.Is(err, fs.ErrPermission) {
		return nil // a directory that may be written but not read
	} else if err != nil {
		return err
	}
	defer f.Close()
	return syncDir(f)
}

// above returns the directory that path is in; that of C:/x is C:/, the root
// of a drive.
func above(p string) string {
	dir := path.Dir(p)
	if len(dir) == 2 && dir[0] != '/' && dir[1] == ':' {
		return dir + "/"
	}
	return dir
}

// Symlink makes path a link to target, in one step: a file or link of that name
// is replaced, a directory is not. Of the options Mode and ForceMode mean
// nothing here.
func (h *Host) Symlink(target, p string, o WriteOptions) error {
	return h.near(p, o, func(o WriteOptions) error { return h.symlink(target, p, o) })
}

func (h *Host) symlink(target, p string, o WriteOptions) error {
	return h.at("link", p, false, func(t tree, name string) error {
		if err := h.fault("symlink", p); err != nil {
			return err
		}
		if o.Exclusive {
			if err := t.Symlink(target, name); err != nil {
				return err
			}
			return h.syncParent(t, p)
		}
		temp, err := t.locate(tempName(p, o), false)
		if err != nil {
			return err
		}
		if err := t.Symlink(target, temp); err != nil {
			return err
		}
		err = h.fault("rename", p)
		if err == nil {
			err = t.Rename(temp, name)
		}
		if err != nil {
			t.Remove(temp)
			return err
		}
		return h.syncParent(t, p)
	})
}

// Rename renames a file, link or directory, replacing a file or link that is
// called new. Fault is asked about new.
func (h *Host) Rename(old, new string) error {
	return h.at("rename", old, false, func(t tree, from string) error {
		to, err := t.locate(new, false)
		if err != nil {
			return err
		}
		if err := h.fault("rename", new); err != nil {
			return err
		}
		if err := t.Rename(from, to); err != nil {
			return err
		}
		if err := h.syncParent(t, new); err != nil {
			return err
		}
		return h.syncParent(t, old)
	})
}

// Remove removes a file or link, never a directory.
func (h *Host) Remove(p string) error { return h.remove(p, h.syncParent) }

// Discard is Remove of what was written with WriteOptions.Volatile.
func (h *Host) Discard(p string) error {
	return h.remove(p, func(tree, string) error { return nil })
}

func (h *Host) remove(p string, sync func(tree, string) error) error {
	return h.at("remove", p, false, func(t tree, name string) error {
		info, err := t.Lstat(name)
		if err != nil {
			return err
		}
		if info.IsDir() {
			return store.Because(store.ErrUnsupported, "is a directory")
		}
		if err := h.fault("remove", p); err != nil {
			return err
		}
		if err := t.Remove(name); err != nil {
			return err
		}
		return sync(t, p)
	})
}

// RemoveDir removes an empty directory.
func (h *Host) RemoveDir(p string) error {
	return h.at("remove", p, false, func(t tree, name string) error {
		if info, err := t.Lstat(name); err != nil {
			return err
		} else if !info.IsDir() {
			return errNotDir
		}
		if err := h.fault("remove", p); err != nil {
			return err
		}
		if err := t.Remove(name); err != nil {
			return err
		}
		return h.syncParent(t, p)
	})
}

// MkdirAll makes sure that there is a directory, with all above it. Those that
// it makes have the mode, whatever the umask; those that exist are left alone.
func (h *Host) MkdirAll(p string, mode fs.FileMode) error {
	info, err := h.Stat(p)
	if err == nil {
		if !info.IsDir() {
			return pathError("mkdir", p, errNotDir)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if parent := above(p); parent != p && parent != "." {
		if err := h.MkdirAll(parent, mode); err != nil {
			return err
		}
	}
	return h.at("mkdir", p, true, func(t tree, name string) error {
		if err := h.fault("mkdir", p); err != nil {
			return err
		}
		err := t.Mkdir(name, mode.Perm())
		if errors.Is(err, fs.ErrExist) {
			// Somebody else was faster, or it is a link that leads nowhere.
			if info, err := h.Stat(p); err != nil {
				return err
			} else if !info.IsDir() {
				return errNotDir
			}
			return nil
		} else if err != nil {
			return err
		}
		// Only if the umask took something away: what the system added, such
		// as an inherited set-group-ID bit, stays.
		if info, err := t.Lstat(name); err != nil {
			return err
		} else if info.Mode().Perm() != mode.Perm() {
			if err := t.Chmod(name, info.Mode()&^fs.ModePerm|mode.Perm()); err != nil {
				return err
			}
		}
		return h.syncParent(t, p)
	})
}

// Chmod sets the mode of the file or directory that path leads to.
func (h *Host) Chmod(p string, mode fs.FileMode) error {
	return h.at("chmod", p, true, func(t tree, name string) error {
		if err := h.fault("chmod", p); err != nil {
			return err
		}
		return t.Chmod(name, mode)
	})
}
