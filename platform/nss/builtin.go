package nss

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// BuiltinBackend is what the ID of the roots begins with that NSS brings along.
const BuiltinBackend = "builtin"

// builtinFile is NSS's module with its roots. What Firefox has built
// into itself is the same list, but cannot be read.
const builtinFile = "libnssckbi.so"

const maxBuiltin = 64 << 20

// aDistrustAfter is what a root issued later is no longer trusted for (of
// servers).
const aDistrustAfter attribute = 0xce534373

// Builtin is the roots that NSS brings along: a list of its module, which is
// read without running it.
type Builtin struct {
	host *host.Host
	file string
	info store.Info
}

// DetectBuiltin returns the roots that NSS brings along.
func DetectBuiltin(_ context.Context, h *host.Host) ([]store.Store, []string) {
	if h.OS != "linux" {
		return nil, []string{"NSS's module is looked for on Linux only"}
	}
	for _, dir := range moduleDirs {
		for _, file := range []string{dir + "/" + builtinFile, dir + "/nss/" + builtinFile} {
			resolved, err := h.Resolve(file)
			if err != nil {
				continue
			}
			if bytes.Contains([]byte(resolved), []byte("p11-kit")) {
				return nil, []string{file + " is p11-kit's module, which shows the system's store"}
			}
			b := &Builtin{host: h, file: file}
			b.info = store.Info{
				ID: BuiltinBackend + ":nss", Backend: BuiltinBackend, Title: "Roots that NSS brings along", Scope: store.ScopeSystem, Location: file,
				Express: store.Express{Purposes: slices.Clone(fields), Decisions: []store.Decision{store.Trusted, store.Distrusted, store.Unspecified}, Labels: true},
				Readers: []string{"programs that use the system's NSS"},
			}
			if !h.Live {
				b.info.Root = h.Root
			}
			b.info.Access.Write = &store.Obstacle{Kind: store.ReadOnly, Text: "it is part of a program", Hint: "distrust a root in the databases: --store 'nss:*'"}
			return []store.Store{b}, []string{file + " is there"}
		}
	}
	return nil, []string{"NSS's module " + builtinFile + " is not installed"}
}

// Info returns what was found when the store was opened.
func (b *Builtin) Info() store.Info { return b.info }

// Entries yields the certificates in the order of the module.
func (b *Builtin) Entries(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		fail := func(err error) {
			yield(store.Entry{}, &store.Error{Op: "read", Store: b.info.ID, Path: b.file, Err: err})
		}
		data, err := b.host.ReadFile(b.file, maxBuiltin)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			fail(err)
			return
		}
		objects, err := builtinObjects(data)
		if err != nil {
			fail(err)
			return
		}
		st := newState(&certCache{})
		limits := map[int64]time.Time{}
		for i, o := range objects {
			if after, err := time.Parse("060102150405Z", string(o[aDistrustAfter])); err == nil {
				limits[int64(i+1)] = after
			}
			delete(o, aDistrustAfter)
			st.add(int64(i+1), objectOf(o))
		}
		for _, c := range st.certs {
			l, _ := st.effective(c.cert)
			e := store.Entry{Cert: c.cert, Label: c.label, Trust: l.trust(), Origin: store.Origin{By: store.ByVendor, Detail: "NSS"},
				Source: store.Source{Kind: "module", Path: b.file, Item: fmt.Sprint(c.id)}, Native: map[string]string{"trust": l.String()}}
			if after, limited := limits[c.id]; limited {
				for i := range e.Trust {
					if e.Trust[i].Purpose == store.PurposeServerAuth && e.Trust[i].Decision == store.Trusted {
						e.Trust[i].DistrustAfter = after
					}
				}
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// memory is a module as it is loaded.
type memory struct {
	order    binary.ByteOrder
	segments []segment
}

type segment struct {
	at   uint64
	data []byte
}

func (m *memory) bytes(at, size uint64) []byte {
	for _, s := range m.segments {
		if at >= s.at && size <= uint64(len(s.data)) && at-s.at <= uint64(len(s.data))-size {
			return s.data[at-s.at : at-s.at+size]
		}
	}
	return nil
}

func (m *memory) word(at uint64) (uint64, bool) {
	b := m.bytes(at, 8)
	if b == nil {
		return 0, false
	}
	return m.order.Uint64(b), true
}

// relative are the relocations that add the address at which the module is
// loaded, by machine. Here that is 0.
var relative = map[elf.Machine]uint64{elf.EM_X86_64: 8, elf.EM_AARCH64: 1027, elf.EM_PPC64: 22, elf.EM_S390: 12, elf.EM_RISCV: 3}

// builtinObjects returns the objects in NSS's module. Its list is of structures
// (ckfw/builtins): a number of attributes, where their types are, and where
// their values are, which are a place and a size each.
func builtinObjects(data []byte) (objects []map[attribute][]byte, err error) {
	defer func() {
		if recover() != nil { // package elf does not promise to bear everything
			objects, err = nil, store.Because(store.ErrCorrupt, "it cannot be read as a module")
		}
	}()
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, store.Because(store.ErrCorrupt, "%w", err)
	}
	if f.Class != elf.ELFCLASS64 {
		return nil, store.Because(store.ErrUnsupported, "modules of 32-bit systems are not read")
	}
	m := &memory{order: f.ByteOrder}
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD || p.Filesz > uint64(len(data)) || p.Off > uint64(len(data))-p.Filesz {
			continue
		}
		m.segments = append(m.segments, segment{p.Vaddr, bytes.Clone(data[p.Off : p.Off+p.Filesz])})
	}
	for _, s := range f.Sections {
		if s.Type != elf.SHT_RELA {
			continue
		}
		text, err := s.Data()
		if err != nil {
			return nil, store.Because(store.ErrCorrupt, "%w", err)
		}
		for ; len(text) >= 24; text = text[24:] {
			at, kind, addend := m.order.Uint64(text), m.order.Uint64(text[8:]), m.order.Uint64(text[16:])
			if b := m.bytes(at, 8); b != nil && kind&0xffffffff == relative[f.Machine] {
				m.order.PutUint64(b, addend)
			}
		}
	}
	for _, s := range m.segments {
		for off := uint64(0); off+24 <= uint64(len(s.data)); off += 8 {
			if o := m.object(s.at + off); o != nil {
				objects = append(objects, o)
			}
		}
	}
	if len(objects) == 0 {
		return nil, store.Because(store.ErrCorrupt, "there is no list of roots in it")
	}
	return objects, nil
}

// object reads one structure, nil if there is none at that place.
func (m *memory) object(at uint64) map[attribute][]byte {
	n, _ := m.word(at)
	types, _ := m.word(at + 8)
	items, _ := m.word(at + 16)
	if n < 5 || n > 40 || m.bytes(types, 8*n) == nil || m.bytes(items, 16*n) == nil {
		return nil
	}
	if first, _ := m.word(types); attribute(first) != aClass || first != 0 {
		return nil
	}
	if second, _ := m.word(types + 8); attribute(second) != aToken || second != uint64(aToken) {
		return nil
	}
	o := map[attribute][]byte{}
	for i := range n {
		kind, _ := m.word(types + 8*i)
		place, _ := m.word(items + 16*i)
		size, _ := m.word(items + 16*i + 8)
		value := m.bytes(place, size&0xffffffff)
		if kind > 0xffffffff || value == nil {
			return nil
		}
		a := attribute(kind)
		if a == aLabel {
			value = bytes.TrimRight(value, "\x00")
		}
		if isNumber(a) && len(value) == 8 { // as in memory, not as in a database
			value = be32(uint32(m.order.Uint64(value)))
		}
		o[a] = bytes.Clone(value)
	}
	return o
}

func isNumber(a attribute) bool {
	for _, k := range kinds {
		if slices.Contains(k.signed[:len(fields)], a) {
			return true
		}
	}
	return a == aClass || a == aCertType || a == aHashAlg
}
