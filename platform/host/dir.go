package host

import (
	"fmt"
	"os"
	"path"
	"time"
)

// Dir is a directory of which many files are read: where the system has calls
// for that, they are looked for in it, and not each by its whole path.
type Dir struct {
	host *Host
	path string
	open *os.File // nil: by their paths
}

// Dir returns a directory, which need not be there. The caller closes it.
func (h *Host) Dir(path string) *Dir {
	d := &Dir{host: h, path: path}
	if h.Root == "" {
		d.open = openDir(path)
	}
	return d
}

// Close ends its use.
func (d *Dir) Close() {
	if d.open != nil {
		d.open.Close()
	}
}

// ReadChanged is ReadFile of a file in the directory, unless it is still what it
// was when it had the mark known: then it is not changed, and there is no data.
// The mark that it has now is returned, too, even if it cannot be read, and of
// a directory nothing else. For since see [MarkOf].
func (d *Dir) ReadChanged(name string, known Mark, since time.Time, max int64) (data []byte, now Mark, changed bool, err error) {
	p := path.Join(d.path, name)
	if d.open != nil {
		data, now, changed, err = readChangedIn(d.open, name, known, since, max)
		return data, now, changed, pathError("read", p, err)
	}
	info, err := d.host.Stat(p)
	if err != nil {
		return nil, Mark{}, false, err
	}
	now = MarkOf(info, since)
	if now.same(known) || info.IsDir() {
		return nil, now, false, nil
	}
	data, err = d.host.ReadFile(p, max)
	return data, now, err == nil, err
}

func tooLarge(size, max int64) error {
	return fmt.Errorf("%w: %d bytes, at most %d are read", ErrTooLarge, size, max)
}
