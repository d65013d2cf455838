// Package anchors is the backend for systems that keep their trusted roots as
// files: a directory of anchors, from which a tool of the distribution makes a
// bundle and a directory of links. families.go tells what differs between
// them.
//
// Reading needs no program. Writing puts one file per certificate into the
// anchor directory, named by its fingerprint, runs the distribution's tool,
// and believes only what it then reads back.
package anchors

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// SystemID is the ID of the machine's own store.
const SystemID store.ID = "anchors:system"

// Detect returns the system's anchor store, nil if the machine has none of a
// known family, and the reasons for either. It runs nothing and changes
// nothing.
func Detect(h *host.Host) (System, []string) {
	var reasons []string
	ids := osRelease(h)
	if len(ids) > 0 {
		reasons = append(reasons, "os-release names "+store.Printable(strings.Join(ids, ", ")))
	} else {
		reasons = append(reasons, "no os-release")
	}
	for _, f := range families {
		if or(f.system, "linux") != h.OS {
			continue
		}
		f, sys, why := f.detect(h, ids)
		for _, reason := range why {
			if !slices.Contains(reasons, reason) {
				reasons = append(reasons, reason)
			}
		}
		if sys == nil {
			continue
		}
		if f.about != "" {
			reasons = append(reasons, "how it works is "+f.about)
		}
		return sys, append(reasons, "so it is of the family "+f.name)
	}
	return nil, append(reasons, "no known family")
}

func or(s, fallback string) string {
	if s != "" {
		return s
	}
	return fallback
}

// detect returns the store if the machine is of this family, with the row as it
// is there, and what speaks for or against it.
func (f family) detect(h *host.Host, ids []string) (family, System, []string) {
	var reasons []string
	there := func(p string) bool {
		_, err := h.Stat(p)
		return err == nil
	}
	marked := ""
	for _, m := range f.marks {
		if there(m) {
			marked = m
		}
	}
	named := slices.ContainsFunc(f.ids, func(id string) bool { return slices.Contains(ids, id) })
	if f.tool == "" {
		switch {
		case marked != "":
			return f, newFolder(h, f, true), append(reasons, "there is "+marked)
		case f.only == nil && named:
			return f, newFolder(h, f, true), nil
		}
		for _, file := range f.only {
			if !there(file) {
				continue
			}
			f.places = []place{{path: file, file: true}}
			reasons = append(reasons, "there is the bundle "+file)
			s := newFolder(h, f, true)
			if tool := knownTool(there); tool != "" && f.name == "bundle" {
				s.info.Access.Write = &store.Obstacle{Kind: store.Managed, Text: tool + " makes the bundle, and is not a tool that is known",
					Hint: "see its documentation for where it takes certificates from"}
				reasons = append(reasons, tool+" is not a tool that is known, so the bundle is only read")
			}
			return f, s, reasons
		}
		return f, nil, nil
	}
	var tool []byte
	err := error(nil)
	for _, at := range append([]string{f.tool}, f.tools...) {
		if tool, err = h.ReadFile(at, maxFile); err == nil {
			f.tool = at
			break
		}
	}
	hasTool := err == nil && bytes.Contains(tool, []byte(f.toolMark))
	switch {
	case hasTool:
		reasons = append(reasons, fmt.Sprintf("%s is that of %s", f.tool, f.title))
	case err == nil:
		reasons = append(reasons, fmt.Sprintf("%s is not that of %s", f.tool, f.title))
	default:
		reasons = append(reasons, fmt.Sprintf("no %s", f.tool))
	}
	if !hasTool && !(named && err != nil) {
		return f, nil, reasons
	}
	if f.manager != "" && !hasTool && !there(f.manager) {
		return f, nil, append(reasons, fmt.Sprintf("no %s to install it with", f.manager))
	}
	if f.manager == "" && !hasTool && !slices.ContainsFunc(f.places, func(p place) bool { return there(p.path) }) {
		return f, nil, append(reasons, "none of its directories is there")
	}
	if !there(f.location()) {
		reasons = append(reasons, fmt.Sprintf("no bundle at %s", f.location()))
	}
	if there("/run/ostree-booted") {
		reasons = append(reasons, "/run/ostree-booted: only /etc and /var can be written, which is enough")
	}
	if f.places == nil {
		return f, newStore(h, f, hasTool), reasons
	}
	s := newFolder(h, f, hasTool)
	if f.legacy.mark != "" && bytes.Contains(tool, []byte(f.legacy.mark)) {
		if info, err := h.Lstat(f.legacy.link); err == nil && info.Mode().IsRegular() {
			s.info.Access.Write = &store.Obstacle{Kind: store.Managed, Text: f.legacy.link + " is still the old bundle, which the anchors are not built into",
				Hint: "run once: " + f.tool + " " + f.legacy.mark}
			reasons = append(reasons, f.legacy.link+" is no link: an old release, in which the anchors are not in force")
		}
	}
	return f, s, reasons
}

// knownTool returns the path of a tool that is called like one of those known,
// "" if there is none.
func knownTool(there func(string) bool) string {
	for _, f := range families {
		for _, at := range append([]string{f.tool}, f.tools...) {
			if at != "" && f.system == "" && there(at) {
				return at
			}
		}
	}
	return ""
}

// osRelease returns ID and ID_LIKE of os-release(5).
func osRelease(h *host.Host) []string {
	for _, path := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		data, err := h.ReadFile(path, 1<<20)
		if err != nil {
			continue
		}
		return releaseIDs(string(data))
	}
	return nil
}

func releaseIDs(text string) []string {
	var ids []string
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if key == "ID" || key == "ID_LIKE" {
			ids = append(ids, strings.Fields(strings.Trim(value, `"'`))...)
		}
	}
	return ids
}
