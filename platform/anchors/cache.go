package anchors

import (
	"bytes"
	"io/fs"
	"runtime"
	"sync"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store/certfile"
)

// A change reads the store four times: to plan it, to plan it again alone, to
// generate, and to see what came of it. Each time every file is looked at, but
// one that is the same as before is neither read nor parsed again.

// cache is what was read of files and links.
type cache struct {
	mu     sync.Mutex
	files  map[string]cachedFile
	links  map[string]string // of the hash directory
	others []string          // what else is in it
	dir    host.Mark         // of the hash directory when they were read

	lists map[string]listing // of other directories, by path

	// settle is how long ago a file must have been changed to be the same
	// without being read: times have a grain, and two changes can lie in one.
	settle time.Duration
}

type cachedFile struct {
	mark host.Mark
	raw  []byte
	file *certfile.File // nil if it was not taken for certificates
	der  bool
}

// listing is what a directory had when it had that mark.
type listing struct {
	mark    host.Mark
	entries []fs.DirEntry
}

func newCache() *cache {
	return &cache{files: map[string]cachedFile{}, lists: map[string]listing{}, settle: 2 * time.Second}
}

// since is the time before which a file must have been changed last.
func (c *cache) since() time.Time { return time.Now().Add(-c.settle) }

// file reads a file of certificates that info describes.
func (s *base) file(path string, info fs.FileInfo) (cachedFile, error) {
	f, err := s.content(path, info)
	if err == nil {
		f = s.parsed(path, f)
	}
	return f, err
}

// parsed takes what was read of a file for certificates, if it was not yet.
func (s *base) parsed(path string, f cachedFile) cachedFile {
	if f.file != nil {
		return f
	}
	f.file = certfile.ReadPEM(f.raw)
	if len(f.file.Items) == 0 && len(f.raw) > 0 && f.raw[0] == 0x30 {
		if file, err := certfile.Read(f.raw); err == nil && file.Format == "DER" { // nobody reads anchors in other formats
			f.file, f.der = file, true
		}
	}
	s.cache.keepFile(path, f)
	return f
}

// content reads a file that info describes. It has been taken for certificates if
// it was before, and is the same.
func (s *base) content(path string, info fs.FileInfo) (cachedFile, error) {
	mark := host.MarkOf(info, s.cache.since())
	f := s.cache.fileAt(path)
	if mark.Settled && mark == f.mark {
		return f, nil
	}
	raw, err := s.host.ReadFile(path, maxFile)
	if err != nil {
		return cachedFile{}, err
	}
	return s.cache.renew(path, f, raw, mark), nil
}

// renew takes in what was read of a file, which was known as f.
func (c *cache) renew(path string, f cachedFile, raw []byte, mark host.Mark) cachedFile {
	if !bytes.Equal(raw, f.raw) {
		f = cachedFile{raw: raw}
	}
	f.mark = mark
	c.keepFile(path, f)
	return f
}

func (c *cache) fileAt(path string) cachedFile {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.files[path]
}

func (c *cache) keepFile(path string, f cachedFile) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.files[path] = f
}

// list returns the entries of a directory, sorted by name. They are those that it
// had before if it is what it was then: no name in it comes or goes without it.
func (s *base) list(dir string) ([]fs.DirEntry, error) {
	now := listing{}
	if info, err := s.host.Stat(dir); err == nil {
		now.mark = host.MarkOf(info, s.cache.since())
	}
	s.cache.mu.Lock()
	known := s.cache.lists[dir]
	s.cache.mu.Unlock()
	if now.mark.Settled && now.mark == known.mark {
		return known.entries, nil
	}
	var err error
	if now.entries, err = s.host.ReadDir(dir); err != nil {
		return nil, err
	}
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	s.cache.lists[dir] = now
	return now.entries, nil
}

// dirAt returns what the hash directory has, if that is what it was when it was
// read: a link cannot be changed without its directory.
func (c *cache) dirAt(mark host.Mark) (links map[string]string, others []string, same bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !mark.Settled || mark != c.dir {
		return nil, nil, false
	}
	return c.links, c.others, true
}

func (c *cache) keepDir(mark host.Mark, links map[string]string, others []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dir, c.links, c.others = mark, links, others
}

// share has do work on parts of n things, on all cores where there are so many
// that it pays: to wake another takes as long as to read a hundred files.
func share(n int, do func(from, to int)) {
	workers := max(1, min(runtime.GOMAXPROCS(0), n/320))
	var wait sync.WaitGroup
	for w := range workers - 1 {
		wait.Go(func() { do(n*w/workers, n*(w+1)/workers) })
	}
	do(n*(workers-1)/workers, n)
	wait.Wait()
}
