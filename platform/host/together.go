package host

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"sync"
)

// later is a set of directories in which names have changed.
type later struct {
	mu   sync.Mutex
	dirs map[string]bool
}

func (l *later) add(dir string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dirs[dir] = true
}

// Together calls do with a Host whose changes of directories are made durable
// all at once when do returns, whatever it returns, and not each by itself.
// Every single one is in one step all the same, and what files hold is on disk
// before they get their names.
func (h *Host) Together(do func(h *Host) error) error {
	if h.later != nil {
		return do(h)
	}
	both := *h
	both.later = &later{dirs: map[string]bool{}}
	err := do(&both)
	for _, dir := range slices.Sorted(maps.Keys(both.later.dirs)) {
		synced := h.at("sync", dir, true, func(t tree, _ string) error { return syncDirectory(t, dir) })
		if err == nil && !errors.Is(synced, fs.ErrNotExist) {
			err = synced
		}
	}
	return err
}
