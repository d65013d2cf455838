// Package inspect gathers what an audit has to know of a machine beside what
// its stores hold: who may write to their files, which private keys lie near
// them, which files differ from their packages, and what keeps programs from
// heeding the stores. It reads, and runs nothing.
package inspect

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/certtrust/certtrust/platform/clients"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/wincert"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/audit"
)

// Machine gathers the facts of a machine whose stores have been read. environ
// is the environment of whoever asks. What could not be looked at is in the
// errors; what is not there is no error.
func Machine(ctx context.Context, h *host.Host, stores []audit.Store, environ []string) (audit.Facts, []error) {
	return machine(ctx, h, wincert.System(), stores, environ)
}

// machine is Machine with the calls to Windows, nil where there is none.
func machine(ctx context.Context, h *host.Host, api wincert.API, stores []audit.Store, environ []string) (audit.Facts, []error) {
	i := &inspector{ctx: ctx, h: h, stores: stores, facts: audit.Facts{Overrides: clients.Overrides(ctx, h, environ)}}
	if !h.Live {
		i.facts.Root = h.Root
	}
	i.people()
	if h.OS != "windows" { // rights are not modes there
		i.rights()
	}
	i.keys()
	i.packages()
	i.autoUpdate(api)
	slices.SortFunc(i.facts.Modified, func(a, b audit.Modified) int { return strings.Compare(a.Path, b.Path) })
	return i.facts, i.errs
}

type inspector struct {
	ctx    context.Context
	h      *host.Host
	stores []audit.Store
	facts  audit.Facts
	errs   []error
}

// failed keeps an error, unless it says that there is nothing, or that only
// root may look.
func (i *inspector) failed(err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		i.errs = append(i.errs, err)
	}
}

func (i *inspector) people() {
	if users, err := i.h.Users(); err == nil {
		i.facts.People = len(users)
	}
}

// paths returns the files that a store depends on: where it is, and where its
// entries lie.
func (i *inspector) paths(s *audit.Store) []string {
	var out []string
	add := func(p string) {
		if strings.HasPrefix(p, "/") && !slices.Contains(out[max(0, len(out)-4):], p) {
			out = append(out, p)
		}
	}
	add(s.Info.Location)
	for j := range s.Entries {
		if s.Entries[j].Source.Kind != "stray" || s.Entries[j].Cert != nil {
			add(s.Entries[j].Source.Path)
		}
	}
	return out
}

// rights looks at who may write to the files of stores and to the directories
// above them.
func (i *inspector) rights() {
	seen := map[string]bool{}
	own, known := i.h.Owner("/") // of an unpacked image, whoever unpacked it
	for n := range i.stores {
		s := &i.stores[n]
		allowed := []int{0}
		if known {
			allowed = append(allowed, own)
		}
		checkOwner := known
		if s.Info.Scope == store.ScopeUser {
			uid, ok := i.uid(s.Info.Owner)
			allowed, checkOwner = append(allowed, uid), known && ok
		}
		var todo []string
		for _, p := range i.paths(s) {
			todo = append(todo, p)
			if resolved, err := i.h.Resolve(p); err == nil && resolved != p {
				todo = append(todo, resolved)
			}
		}
		for _, p := range todo {
			for first := true; !seen[p]; first = false {
				if i.ctx.Err() != nil {
					return
				}
				seen[p] = true
				i.right(s, p, allowed, checkOwner)
				if p == "/" || first && path.Dir(p) == p {
					break
				}
				p = path.Dir(p)
			}
		}
	}
}

func (i *inspector) right(s *audit.Store, p string, allowed []int, checkOwner bool) {
	info, err := i.h.Stat(p)
	if err != nil {
		i.failed(err)
		return
	}
	f := audit.File{Store: s.Info.ID, Path: p, Dir: info.IsDir()}
	// In a sticky directory only its owner can take a file away.
	f.WorldWritable = info.Mode().Perm()&0o002 != 0 && !(info.IsDir() && info.Mode()&fs.ModeSticky != 0)
	if uid, known := i.h.Owner(p); checkOwner && known && !slices.Contains(allowed, uid) {
		f.Owner, f.ShouldBe = i.userName(uid), "root"
		if s.Info.Scope == store.ScopeUser {
			f.ShouldBe = s.Info.Owner
		}
	}
	if f.WorldWritable || f.Owner != "" {
		i.facts.Files = append(i.facts.Files, f)
	}
}

func (i *inspector) uid(name string) (int, bool) {
	if name == i.h.User.Name && name != "" {
		return i.h.User.UID, true
	}
	u, err := i.h.LookupUser(name)
	return u.UID, err == nil && name != ""
}

func (i *inspector) userName(uid int) string {
	if name := i.h.UserName(uid); name != "" {
		return name
	}
	return "the user " + strconv.Itoa(uid)
}
