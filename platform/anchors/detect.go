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
		tool, err := h.ReadFile(f.tool, maxFile)
		hasTool := err == nil && bytes.Contains(tool, []byte(f.toolMark))
		named := slices.ContainsFunc(f.ids, func(id string) bool { return slices.Contains(ids, id) })
		switch {
		case hasTool:
			reasons = append(reasons, fmt.Sprintf("%s is that of %s", f.tool, f.title))
		case err == nil:
			reasons = append(reasons, fmt.Sprintf("%s is not that of %s", f.tool, f.title))
		default:
			reasons = append(reasons, fmt.Sprintf("no %s", f.tool))
		}
		if !hasTool && !(named && err != nil) {
			continue
		}
		if _, err := h.Stat(f.manager); !hasTool && err != nil {
			reasons = append(reasons, fmt.Sprintf("no %s to install it with", f.manager))
			continue
		}
		if _, err := h.Stat(f.bundle); err != nil {
			reasons = append(reasons, fmt.Sprintf("no bundle at %s", f.bundle))
		}
		return newStore(h, f, hasTool), append(reasons, "so it is of the family "+f.name)
	}
	return nil, append(reasons, "no known family")
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
