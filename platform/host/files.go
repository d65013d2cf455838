package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// maxLinks is how many links a path may lead through (Linux: MAXSYMLINKS).
const maxLinks = 40

// tree is a file system below some root. Names are what its locate returned.
// [*os.Root] has all of it but locate, and never leaves its directory, even if
// that is changed at the same time.
type tree interface {
	locate(path string, follow bool) (string, error)
	OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error)
	Lstat(name string) (fs.FileInfo, error)
	Readlink(name string) (string, error)
	Mkdir(name string, perm fs.FileMode) error
	Chmod(name string, mode fs.FileMode) error
	Remove(name string) error
	Rename(old, new string) error
	Link(old, new string) error
	Symlink(target, name string) error
	Close() error
}

// tree opens the machine's file system; the caller closes it.
func (h *Host) tree() (tree, error) {
	if h.Root == "" {
		return whole{}, nil
	}
	root, err := os.OpenRoot(h.Root)
	if err != nil {
		return nil, err
	}
	return inside{root, h.OS}, nil
}

// whole is this machine's own file system.
type whole struct{}

func (whole) locate(p string, _ bool) (string, error) {
	name := filepath.FromSlash(p)
	if !filepath.IsAbs(name) {
		return "", errRelative(p)
	}
	return name, nil // the system follows the links
}

func (whole) OpenFile(name string, flag int, perm fs.FileMode) (f *os.File, err error) {
	err = patiently(false, func() (err error) { f, err = openFile(name, flag, perm); return err })
	return f, err
}
func (whole) Lstat(name string) (fs.FileInfo, error)    { return os.Lstat(name) }
func (whole) Readlink(name string) (string, error)      { return os.Readlink(name) }
func (whole) Mkdir(name string, perm fs.FileMode) error { return os.Mkdir(name, perm) }
func (whole) Chmod(name string, mode fs.FileMode) error { return os.Chmod(name, mode) }
func (whole) Remove(name string) error {
	return patiently(true, func() error { return os.Remove(name) })
}
func (whole) Rename(old, new string) error {
	return patiently(true, func() error { return rename(old, new) })
}
func (whole) Link(old, new string) error        { return os.Link(old, new) }
func (whole) Symlink(target, name string) error { return os.Symlink(target, name) }
func (whole) Close() error                      { return nil }

// inside is the file system below Host.Root.
type inside struct {
	*os.Root
	os string
}

func (t inside) OpenFile(name string, flag int, perm fs.FileMode) (f *os.File, err error) {
	err = patiently(false, func() (err error) { f, err = t.Root.OpenFile(name, flag, perm); return err })
	return f, err
}
func (t inside) Rename(old, new string) error {
	return patiently(true, func() error { return t.Root.Rename(old, new) })
}

// locate returns the name, relative to the root, that path leads to: all links
// are followed, the last one only if asked for. What does not exist is taken
// literally, so that it can be created. [os.Root] alone would refuse absolute
// links and those that climb above the root, which mean something in a chroot.
func (t inside) locate(p string, follow bool) (string, error) {
	if !absolute(t.os, p) {
		return "", errRelative(p)
	}
	todo := components(t.os, p)
	var done []string
	for links := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		if part == ".." {
			done = done[:max(len(done)-1, 0)]
			continue
		}
		name := path.Join(append(slices.Clone(done), part)...)
		info, err := t.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !slices.Contains(todo, ".."):
			return path.Join(append([]string{name}, todo...)...), nil
		case err != nil:
			return "", err
		case info.Mode()&fs.ModeSymlink != 0 && (follow || len(todo) > 0):
			if links++; links > maxLinks {
				return "", errLoop
			}
			target, err := t.Readlink(name)
			if err != nil {
				return "", err
			}
			target = slashed(target)
			if absolute(t.os, target) {
				done = nil
			}
			todo = append(components(t.os, target), todo...)
		case !info.IsDir() && len(todo) > 0:
			return "", errNotDir
		default:
			done = append(done, part)
		}
	}
	return or(path.Join(done...), "."), nil
}

func errRelative(p string) error {
	return store.Because(store.ErrInput, "%q is not an absolute path", store.Printable(p))
}

// components splits a path. The drive of a Windows path is dropped: an offline
// root is one drive.
func components(system, p string) []string {
	if system == "windows" && len(p) > 1 && p[1] == ':' {
		p = p[2:]
	}
	return slices.DeleteFunc(strings.Split(p, "/"), func(s string) bool { return s == "" || s == "." })
}

func absolute(system, p string) bool {
	if system == "windows" && len(p) > 2 && p[1] == ':' {
		p = p[2:]
	}
	return strings.HasPrefix(p, "/")
}

// at calls do with the file system and the name in it that path leads to. What
// goes wrong is reported for op on path.
func (h *Host) at(op, p string, follow bool, do func(t tree, name string) error) error {
	t, err := h.tree()
	if err != nil {
		return pathError(op, p, err)
	}
	defer t.Close()
	name, err := t.locate(p, follow)
	if err == nil {
		err = do(t, name)
	}
	return pathError(op, p, err)
}

// ReadFile returns what is in a regular file of at most max bytes, following
// links. A larger one is [ErrTooLarge]. Directories, FIFOs, devices and sockets
// are refused without waiting for anything.
func (h *Host) ReadFile(path string, max int64) ([]byte, error) {
	var data []byte
	err := h.at("read", path, true, func(t tree, name string) error {
		f, err := t.OpenFile(name, os.O_RDONLY|openPassive, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		switch {
		case err != nil:
			return err
		case !info.Mode().IsRegular():
			return errNotRegular
		case info.Size() > max:
			return tooLarge(info.Size(), max)
		}
		// It may grow, and files of /proc say that they are empty.
		content := bytes.NewBuffer(make([]byte, 0, info.Size()+1))
		if info.Size() > 0 {
			n, err := f.Read(content.AvailableBuffer()[:info.Size()+1])
			if err != nil && err != io.EOF {
				return err
			}
			content.Write(content.AvailableBuffer()[:n])
			if int64(n) == info.Size() { // there was room for more
				data = content.Bytes()
				return nil
			}
		}
		if _, err := content.ReadFrom(io.LimitReader(f, max+1-int64(content.Len()))); err != nil {
			return err
		}
		if int64(content.Len()) > max {
			return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, max)
		}
		data = content.Bytes()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return data, nil
}

// ReadStart returns the first bytes of a file, at most n of them.
func (h *Host) ReadStart(path string, n int) (data []byte, err error) {
	err = h.at("read", path, true, func(t tree, name string) error {
		f, err := t.OpenFile(name, os.O_RDONLY|openPassive, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		data, err = io.ReadAll(io.LimitReader(f, int64(n)))
		return err
	})
	return data, err
}

// ReadDir returns the entries of a directory, sorted by name.
func (h *Host) ReadDir(path string) ([]fs.DirEntry, error) {
	return h.readDir(path, func(tree, string, *os.File, []fs.DirEntry) error { return nil })
}

// ReadLinks is ReadDir for a directory of links, and also returns what is
// written in these, by name. One that goes meanwhile is left out there.
func (h *Host) ReadLinks(path string) (entries []fs.DirEntry, targets map[string]string, err error) {
	room := make([]byte, 4096)
	entries, err = h.readDir(path, func(t tree, name string, dir *os.File, entries []fs.DirEntry) error {
		targets = make(map[string]string, len(entries))
		for _, e := range entries {
			if e.Type()&fs.ModeSymlink == 0 {
				continue
			}
			target, err := readlinkIn(t, dir, name, e.Name(), room)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			} else if err != nil {
				return err
			}
			targets[e.Name()] = slashed(target)
		}
		return nil
	})
	return entries, targets, err
}

// readDir is ReadDir that calls also while the directory is open.
func (h *Host) readDir(path string, also func(t tree, name string, dir *os.File, entries []fs.DirEntry) error) ([]fs.DirEntry, error) {
	var entries []fs.DirEntry
	err := h.at("list", path, true, func(t tree, name string) error {
		f, err := t.OpenFile(name, os.O_RDONLY|openPassive, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		if info, err := f.Stat(); err != nil {
			return err
		} else if !info.IsDir() {
			return errNotDir
		}
		if entries, err = f.ReadDir(-1); err != nil {
			return err
		}
		return also(t, name, f, entries)
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// Stat describes what path leads to.
func (h *Host) Stat(path string) (info fs.FileInfo, err error) {
	err = h.at("stat", path, true, func(t tree, name string) (err error) {
		if _, ok := t.(whole); ok {
			info, err = os.Stat(name)
		} else {
			info, err = t.Lstat(name) // no link is left
		}
		return err
	})
	return info, err
}

// Lstat describes path itself, even if it is a link.
func (h *Host) Lstat(path string) (info fs.FileInfo, err error) {
	err = h.at("stat", path, false, func(t tree, name string) (err error) {
		info, err = t.Lstat(name)
		return err
	})
	return info, err
}

// Readlink returns what is written in a link.
func (h *Host) Readlink(path string) (target string, err error) {
	err = h.at("read link", path, false, func(t tree, name string) (err error) {
		target, err = t.Readlink(name)
		return err
	})
	return slashed(target), err
}

// Resolve returns path with all links followed, as seen on the machine. It must
// exist.
func (h *Host) Resolve(p string) (resolved string, err error) {
	err = h.at("resolve", p, true, func(t tree, name string) (err error) {
		if _, ok := t.(whole); ok {
			name, err = filepath.EvalSymlinks(name)
			resolved = filepath.ToSlash(name)
			return err
		}
		resolved = path.Join("/", name)
		_, err = t.Lstat(name)
		return err
	})
	if err != nil {
		return "", err
	}
	return resolved, nil
}

// Writable reports whether this process could create and replace files in the
// directory path or, if that is missing, create it: rights and read-only
// mounts are looked at, nothing is written.
func (h *Host) Writable(dir string) bool {
	for {
		_, err := h.Lstat(dir)
		parent := above(dir)
		if !errors.Is(err, fs.ErrNotExist) || parent == dir || parent == "." {
			break
		}
		dir = parent
	}
	resolved, err := h.Resolve(dir)
	if err != nil {
		return false
	}
	info, err := h.Stat(resolved)
	return err == nil && info.IsDir() && mayWriteIn(h.outside(resolved))
}

// outside returns where a resolved path lies for this process.
func (h *Host) outside(resolved string) string {
	if h.Root == "" {
		return filepath.FromSlash(resolved)
	}
	return filepath.Join(append([]string{h.Root}, components(h.OS, resolved)...)...)
}
