package anchors

import (
	"bytes"
	"io/fs"
	"maps"
	"runtime"
	"slices"
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

	// settle is how long ago a file must have been changed to be the same
	// without being read: times have a grain, and two changes can lie in one.
	settle time.Duration
}

type cachedFile struct {
	mark host.Mark
	raw  []byte
	file *certfile.File
	der  bool
}

func newCache() *cache {
	return &cache{files: map[string]cachedFile{}, settle: 2 * time.Second}
}

// file reads a file of certificates that info describes.
func (s *base) file(path string, info fs.FileInfo) (cachedFile, error) {
	c := s.cache
	mark := host.MarkOf(info, time.Now().Add(-c.settle))
	c.mu.Lock()
	before, known := c.files[path]
	c.mu.Unlock()
	if known && mark.Settled && mark == before.mark {
		return before, nil
	}
	raw, err := s.host.ReadFile(path, maxFile)
	if err != nil {
		return cachedFile{}, err
	}
	now := cachedFile{mark, raw, before.file, before.der}
	if !known || !bytes.Equal(raw, before.raw) {
		now.file, now.der = certfile.ReadPEM(raw), false
		if len(now.file.Items) == 0 && len(raw) > 0 && raw[0] == 0x30 {
			if file, err := certfile.Read(raw); err == nil && file.Format == "DER" { // nobody reads anchors in other formats
				now.file, now.der = file, true
			}
		}
	}
	c.mu.Lock()
	c.files[path] = now
	c.mu.Unlock()
	return now, nil
}

// dirAt returns what the hash directory has, if that is what it was when it was
// read: a link cannot be changed without its directory.
func (c *cache) dirAt(mark host.Mark) (links map[string]string, others []string, same bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !mark.Settled || mark != c.dir {
		return nil, nil, false
	}
	return maps.Clone(c.links), slices.Clone(c.others), true
}

func (c *cache) keepDir(mark host.Mark, links map[string]string, others []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dir, c.links, c.others = mark, maps.Clone(links), slices.Clone(others)
}

// each calls do for the numbers below n, on all cores where there are many.
func each(n int, do func(i int)) {
	workers := min(runtime.GOMAXPROCS(0), n/16)
	if workers < 2 {
		for i := range n {
			do(i)
		}
		return
	}
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			for i := w; i < n; i += workers {
				do(i)
			}
		})
	}
	wait.Wait()
}
