package nss

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// LinkItem is the Item of a change that makes the programs that use a database
// follow the system's store, by p11-kit's module, or with Absent no longer.
const LinkItem = "system-link"

// moduleName is what the module is called in pkcs11.txt and in programs.
const moduleName = "System trust"

// moduleDirs are where p11-kit's module lies, below the library directories.
var moduleDirs = []string{"/usr/lib64", "/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib/arm-linux-gnueabihf", "/usr/lib/i386-linux-gnu", "/usr/lib/riscv64-linux-gnu", "/usr/lib/powerpc64le-linux-gnu", "/usr/lib/s390x-linux-gnu"}

// Module returns the path of p11-kit's module, "" if it is not installed.
func Module(h *host.Host) string {
	for _, dir := range moduleDirs {
		file := dir + "/pkcs11/p11-kit-trust.so"
		if _, err := h.Stat(file); err == nil {
			return file
		}
	}
	return ""
}

// Linked reports whether the programs that use the database in a directory
// follow the system's store. They do not by a module that is gone.
func Linked(h *host.Host, dir string) bool {
	text, err := h.ReadFile(dir+"/pkcs11.txt", maxModules)
	return err == nil && slices.ContainsFunc(parseModules(text), func(m module) bool { return m.linked() && There(h, m.value("library")) })
}

// There reports whether a module is there, as far as its name tells.
func There(h *host.Host, library string) bool {
	if !strings.HasPrefix(library, "/") {
		return true // the system's linker looks for it
	}
	_, err := h.Stat(library)
	return err == nil
}

// linkEdit is a change of pkcs11.txt.
type linkEdit struct {
	before, after []byte // nil = there is none
}

func (e *linkEdit) back() *linkEdit { return &linkEdit{before: e.after, after: e.before} }

// link plans to add or drop p11-kit's module.
func (p *planner) link(c store.Change) error {
	file := p.s.path("pkcs11.txt")
	text, err := p.s.host.ReadFile(file, maxModules)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var linked []module
	modules := parseModules(text)
	for _, m := range modules {
		if m.linked() && (c.Absent || There(p.s.host, m.value("library"))) {
			linked = append(linked, m)
		}
	}
	if c.Absent == (len(linked) == 0) {
		return nil
	}
	edit := &linkEdit{before: text}
	step := store.Step{Action: store.ActionLink, Label: "follow the system's store", Files: []string{file}}
	undo := store.Change{Item: LinkItem, Absent: true}
	if c.Absent {
		step.Label = "no longer follow the system's store"
		undo.Absent = false
		out := bytes.Clone(text)
		for i := len(linked) - 1; i >= 0; i-- {
			out = append(out[:linked[i].start:linked[i].start], out[linked[i].end:]...)
		}
		edit.after = out
	} else {
		module := Module(p.s.host)
		switch {
		case p.s.host.OS != "linux":
			return store.Because(store.ErrUnsupported, "p11-kit's module is for Linux")
		case p.s.o.Packed != "":
			return &store.Error{Err: store.Because(store.ErrUnsupported, "%s is packed as a %s, which has files of its own: whether p11-kit's module is among them is not known", p.s.program(), p.s.o.Packed),
				Hint: "trust in its own database what it is to trust: certtrust trust FILE --store " + store.ShellWord(string(p.s.info.ID))}
		case module == "":
			return &store.Error{Err: store.Because(store.ErrToolMissing, "p11-kit's module is not installed"), Hint: "install it: apt-get install p11-kit-modules"}
		case !p.st.exists:
			return &store.Error{Err: store.Because(store.ErrUnsupported, "there is no database yet"), Hint: "start the program once"}
		}
		if len(modules) == 0 {
			direct, err := p.s.host.Direct(p.s.dir)
			if err != nil {
				return err
			}
			text = []byte(modulesText(direct))
		}
		out := bytes.TrimRight(text, "\r\n")
		edit.after = append(bytes.Clone(out), "\n\nlibrary="+module+"\nname="+moduleName+"\nNSS=trustOrder=100\n\n"...)
	}
	p.edits.link = edit
	p.plan.Steps = append(p.plan.Steps, step)
	p.plan.Undo = append(p.plan.Undo, undo)
	return nil
}

// relink writes pkcs11.txt and reads it back.
func (s *Store) relink(e *linkEdit) error {
	file := s.path("pkcs11.txt")
	now, err := s.host.ReadFile(file, maxModules)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !bytes.Equal(now, e.before) {
		return store.ErrStale
	}
	if e.after == nil {
		return s.host.Remove(file)
	}
	if err := s.host.WriteFile(file, e.after, host.WriteOptions{Mode: 0o600}); err != nil {
		return err
	}
	if now, err = s.host.ReadFile(file, maxModules); err != nil || !bytes.Equal(now, e.after) {
		return store.Because(store.ErrPartial, "%s was written, but something else is there now", file)
	}
	return nil
}
