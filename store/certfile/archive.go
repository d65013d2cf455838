package certfile

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// Archives. No name in them becomes a path of this machine: nothing is written
// anywhere.

func isTar(data []byte) bool { return len(data) >= 512 && string(data[257:262]) == "ustar" }

// members reads what an archive holds.
type members struct {
	*reading
	file   *File
	count  int
	others int // members that hold nothing of interest
}

// add reads a member. Whether to go on is what it returns.
func (m *members) add(name string, content io.Reader) bool {
	if m.count++; m.count > maxMembers {
		m.file.notice(0, TooMuch, "it holds more than %d files: the others are not read", maxMembers)
		return false
	}
	at := join("", name)
	data, err := m.take(content)
	switch {
	case errors.Is(err, errUnpacked):
		m.file.Notices = append(m.file.Notices, Notice{Path: at, Code: TooMuch, Text: err.Error()})
		return m.unpack > 0
	case err != nil:
		m.file.Notices = append(m.file.Notices, Notice{Path: at, Code: Damaged, Text: "it is damaged: " + store.Printable(err.Error())})
		return true
	}
	if len(bytes.TrimSpace(data)) == 0 {
		m.others++
		return true
	}
	if _, err := m.inner(m.file, at, data); errors.Is(err, errForeign) {
		m.others++
	} else if err != nil {
		m.file.tell(at, err)
	}
	return true
}

var errUnpacked = errors.New("it unpacks to more than is read")

// take unpacks, within what may be unpacked.
func (r *reading) take(content io.Reader) ([]byte, error) {
	limit := min(r.unpack, MaxSize)
	data, err := io.ReadAll(io.LimitReader(content, int64(limit)+1))
	r.unpack -= len(data)
	if len(data) > limit {
		return nil, errUnpacked
	}
	return data, err
}

func (m *members) finish() *File {
	if m.others > 0 {
		what := "1 file holds no certificates"
		if m.others > 1 {
			what = "files hold no certificates"
			m.file.notice(0, OtherFiles, "%d %s", m.others, what)
		} else {
			m.file.notice(0, OtherFiles, "%s", what)
		}
	}
	return m.file
}

func readZIP(r *reading, data []byte) (*File, error) {
	f := &File{Format: "ZIP"}
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return f, store.Because(store.ErrCorrupt, "a damaged ZIP archive: %s", store.Printable(err.Error()))
	}
	m := members{reading: r, file: f}
	for _, member := range z.File {
		switch {
		case member.FileInfo().IsDir() || strings.HasPrefix(member.Name, "__MACOSX/"):
			continue
		case member.Flags&1 != 0:
			f.Notices = append(f.Notices, Notice{Path: join("", member.Name), Code: Encrypted, Text: "it is encrypted: not read"})
			continue
		}
		content, err := member.Open()
		if err != nil {
			f.Notices = append(f.Notices, Notice{Path: join("", member.Name), Code: Unread, Text: "it cannot be unpacked: " + store.Printable(err.Error())})
			continue
		}
		more := m.add(member.Name, content)
		content.Close()
		if !more {
			break
		}
	}
	return m.finish(), nil
}

func readTar(r *reading, data []byte) (*File, error) {
	m := members{reading: r, file: &File{Format: "tar"}}
	for t := tar.NewReader(bytes.NewReader(data)); ; {
		head, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			m.file.notice(0, Damaged, "the archive breaks off: %s", store.Printable(err.Error()))
			break
		}
		if head.Typeflag == tar.TypeReg && !m.add(head.Name, t) {
			break
		}
	}
	return m.finish(), nil
}

// readGzip reads one compressed file, which may be an archive.
func readGzip(r *reading, data []byte) (*File, error) {
	f := &File{Format: "gzip"}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return f, store.Because(store.ErrCorrupt, "a damaged gzip file: %s", store.Printable(err.Error()))
	}
	unpacked, err := r.take(z)
	if errors.Is(err, errUnpacked) {
		return f, store.Because(store.ErrInput, "a gzip file: %w", err)
	}
	broken := err
	format, err := r.inner(f, "", unpacked)
	if format != "" {
		f.Format = "gzip of " + format
	}
	if broken != nil {
		if len(f.Items) == 0 {
			return f, store.Because(store.ErrCorrupt, "a damaged gzip file: %s", store.Printable(broken.Error()))
		}
		f.notice(0, Damaged, "the compressed file breaks off: %s", store.Printable(broken.Error()))
	}
	return f, err
}
