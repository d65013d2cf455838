package host

import (
	"bufio"
	"bytes"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// EachFile calls do with what is in each regular file of a directory whose name
// has that suffix and that was last written at the time since or later, in the
// order of names, until do returns false. It is for
// directories with many small files that are only looked through: links are
// passed over, and so is what cannot be read or is larger than max. data is only
// good until do returns.
func (h *Host) EachFile(dir, suffix string, since time.Time, max int, do func(name string, data []byte) bool) error {
	return h.at("list", dir, true, func(t tree, name string) error {
		f, err := t.OpenFile(name, os.O_RDONLY|openPassive, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		entries, err := f.ReadDir(-1)
		if err != nil {
			return err
		}
		entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return !e.Type().IsRegular() || !strings.HasSuffix(e.Name(), suffix) })
		slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
		var buf bytes.Buffer
		for _, e := range entries {
			if info, err := e.Info(); err != nil || info.ModTime().Before(since) {
				continue
			}
			buf.Reset()
			if readInto(&buf, f, e.Name(), max) == nil && !do(e.Name(), buf.Bytes()) {
				return nil
			}
		}
		return nil
	})
}

// EachLine calls do with each line of a regular file, without its line break,
// until do returns false. It is for large files of which little is wanted: they
// are not in memory as a whole. What is behind max bytes is not looked at, and line
// is only good until do returns.
func (h *Host) EachLine(path string, max int64, do func(line []byte) bool) error {
	return h.at("read", path, true, func(t tree, name string) error {
		f, err := t.OpenFile(name, os.O_RDONLY|openPassive, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		if info, err := f.Stat(); err != nil {
			return err
		} else if !info.Mode().IsRegular() {
			return errNotRegular
		}
		lines := bufio.NewScanner(io.LimitReader(f, max))
		lines.Buffer(make([]byte, 32<<10), maxLine)
		for lines.Scan() {
			if !do(lines.Bytes()) {
				return nil
			}
		}
		return lines.Err()
	})
}

// maxLine is how long a line may be.
const maxLine = 1 << 20
