package host

import (
	"io/fs"
	"time"
)

// Mark tells whether a file or directory is still what it was: two that are
// equal and settled are of the same one, unchanged between.
type Mark struct {
	// Settled: it had not been changed since the time that was given, so a
	// change after it was looked at is seen by its times.
	Settled bool

	device, inode          uint64
	size, modified, change int64
	mode                   fs.FileMode
}

// MarkOf returns the mark of what info describes. It is not settled where the
// system does not tell when something was changed.
func MarkOf(info fs.FileInfo, since time.Time) Mark {
	m := Mark{size: info.Size(), modified: info.ModTime().UnixNano(), mode: info.Mode()}
	var known bool
	m.device, m.inode, m.change, known = identity(info)
	m.Settled = known && max(m.change, m.modified) < since.UnixNano()
	return m
}

// Mode returns the mode that was found.
func (m Mark) Mode() fs.FileMode { return m.mode }

// same reports whether what has this mark is what it was when it had the other.
func (m Mark) same(known Mark) bool { return m.Settled && m == known }
