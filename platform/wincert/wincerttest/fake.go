// Package wincerttest has a Windows in memory, as far as certificate stores
// go, for tests on every system.
package wincerttest

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/certtrust/certtrust/platform/wincert"
)

// The codes that Windows refuses with.
const (
	NotThere    = wincert.Errno(2)
	Denied      = wincert.Errno(5)
	NoDesktop   = wincert.Errno(50)
	Declined    = wincert.Errno(1223)
	Unsupported = wincert.Errno(0)
)

// The flags of locations.
const (
	LocalMachine            = 0x20000
	CurrentUser             = 0x10000
	LocalMachineGroupPolicy = 0x80000
	CurrentUserGroupPolicy  = 0x70000
	LocalMachineEnterprise  = 0x90000

	locationMask = 0xff0000
)

// Fake is a Windows. What it holds is shared by all that use it.
type Fake struct {
	// NoDesktop: nobody is there to be asked.
	NoDesktop bool
	// NotAdministrator: the machine's stores cannot be written.
	NotAdministrator bool
	// Refuse is asked before each call with its name ("open", "add", "delete",
	// "commit", …) and the store that it is about, such as "0x20000/Root"; an
	// error makes the call fail. nil = never.
	Refuse func(call, store string) error
	// Lie makes calls of that name succeed without doing anything.
	Lie string
	// Registry holds values by KEY\NAME, without regard to case.
	Registry map[string][]byte
	// Missing are the locations that this Windows does not have.
	Missing []uint32
	// Judge answers Chain; nil = chains to a root that is in Root are good.
	Judge func(r wincert.ChainRequest) (wincert.ChainResult, error)

	mu       sync.Mutex
	stores   map[string][][]byte // elements, by location and lower-case name
	handles  map[wincert.Handle]*opened
	contexts map[wincert.Context]*held
	last     uintptr
	calls    []string
	fail     int // the n-th write from now on fails, once
}

type opened struct {
	name     string
	readOnly bool
}

type held struct {
	store   string
	element []byte
}

// New returns a Windows with empty stores.
func New() *Fake {
	return &Fake{stores: map[string][][]byte{}, handles: map[wincert.Handle]*opened{}, contexts: map[wincert.Context]*held{}, Registry: map[string][]byte{}}
}

func key(flags uint32, name string) string {
	return fmt.Sprintf("%#x/%s", flags&locationMask, strings.ToLower(name))
}

// Put puts an element into a store, past all rules.
func (f *Fake) Put(location uint32, name string, element []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := key(location, name)
	f.stores[k] = append(f.stores[k], bytes.Clone(element))
}

// PutCert puts a certificate without properties into a store.
func (f *Fake) PutCert(location uint32, name string, der []byte, properties ...Property) {
	f.Put(location, name, Element(der, properties...))
}

// Property is a property of a certificate.
type Property struct {
	ID    uint32
	Value []byte
}

// Element writes a certificate with properties as Windows serializes it.
func Element(der []byte, properties ...Property) []byte {
	var out []byte
	for _, p := range append(properties, Property{32, der}) {
		out = binary.LittleEndian.AppendUint32(out, p.ID)
		out = binary.LittleEndian.AppendUint32(out, 1)
		out = binary.LittleEndian.AppendUint32(out, uint32(len(p.Value)))
		out = append(out, p.Value...)
	}
	return out
}

// Snapshot describes everything that is in the stores, a line each.
func (f *Fake) Snapshot() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lines []string
	for k, elements := range f.stores {
		lines = append(lines, k)
		for _, e := range elements {
			lines = append(lines, fmt.Sprintf("%s %x", k, e))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// Calls returns the names of the calls so far, with the stores, but for those
// that read.
func (f *Fake) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// FailWrite makes the n-th write from now on fail, once; none for n <= 0.
func (f *Fake) FailWrite(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = n
}

// Leaks returns how many handles and contexts were not given back.
func (f *Fake) Leaks() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.handles) + len(f.contexts)
}

// may is asked before a call. The lock is held.
func (f *Fake) may(call, store string, write bool) error {
	if write {
		f.calls = append(f.calls, call+" "+store)
		if f.fail > 0 {
			if f.fail--; f.fail == 0 {
				return wincert.Errno(1450) // ERROR_NO_SYSTEM_RESOURCES
			}
		}
	}
	if f.Refuse != nil {
		return f.Refuse(call, store)
	}
	return nil
}

// OpenStore implements [wincert.API]. The collection of a user's roots is, for
// what is added, the user's own store.
func (f *Fake) OpenStore(collection bool, flags uint32, name string) (wincert.Handle, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	const readOnly, existing = 0x8000, 0x4000
	k := key(flags, name)
	if slices.Contains(f.Missing, flags&locationMask) {
		return 0, Unsupported
	}
	if err := f.may("open", k, false); err != nil {
		return 0, err
	}
	machine := flags&locationMask != CurrentUser && flags&locationMask != CurrentUserGroupPolicy
	if machine && f.NotAdministrator && flags&readOnly == 0 {
		return 0, Denied
	}
	if _, ok := f.stores[k]; !ok {
		if flags&existing != 0 {
			return 0, NotThere
		}
		f.stores[k] = nil
	}
	f.last++
	f.handles[wincert.Handle(f.last)] = &opened{k, flags&readOnly != 0}
	return wincert.Handle(f.last), nil
}

// CloseStore implements [wincert.API].
func (f *Fake) CloseStore(h wincert.Handle) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.handles[h] == nil {
		return wincert.Errno(6)
	}
	delete(f.handles, h)
	return nil
}

// next returns the element after prev that fits.
func (f *Fake) next(h wincert.Handle, prev wincert.Context, fits func(element []byte) bool) (wincert.Context, error) {
	s := f.handles[h]
	if s == nil {
		return 0, wincert.Errno(6)
	}
	if err := f.may("read", s.name, false); err != nil {
		delete(f.contexts, prev)
		return 0, err
	}
	elements := f.stores[s.name]
	if p := f.contexts[prev]; p != nil {
		delete(f.contexts, prev)
		for i, e := range elements {
			if &e[0] == &p.element[0] {
				elements = elements[i+1:]
				break
			}
		}
	}
	for _, e := range elements {
		if fits(e) {
			f.last++
			f.contexts[wincert.Context(f.last)] = &held{s.name, e}
			return wincert.Context(f.last), nil
		}
	}
	return 0, nil
}

// NextCertificate implements [wincert.API].
func (f *Fake) NextCertificate(h wincert.Handle, prev wincert.Context) (wincert.Context, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next(h, prev, func([]byte) bool { return true })
}

// FindCertificate implements [wincert.API].
func (f *Fake) FindCertificate(h wincert.Handle, thumb [20]byte, prev wincert.Context) (wincert.Context, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next(h, prev, func(e []byte) bool { return sha1.Sum(certificate(e)) == thumb })
}

// certificate returns the certificate in an element.
func certificate(element []byte) []byte {
	for len(element) >= 12 {
		id, n := binary.LittleEndian.Uint32(element), int(binary.LittleEndian.Uint32(element[8:]))
		if n > len(element)-12 {
			return nil
		}
		if id == 32 {
			return element[12 : 12+n]
		}
		element = element[12+n:]
	}
	return nil
}

// Serialize implements [wincert.API].
func (f *Fake) Serialize(c wincert.Context) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.contexts[c]
	if h == nil {
		return nil, wincert.Errno(6)
	}
	if err := f.may("serialize", h.store, false); err != nil {
		return nil, err
	}
	return bytes.Clone(h.element), nil
}

// AddSerialized implements [wincert.API].
func (f *Fake) AddSerialized(h wincert.Handle, element []byte, disposition uint32) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.handles[h]
	switch {
	case s == nil:
		return wincert.Errno(6)
	case s.readOnly:
		return Denied
	}
	if err := f.may("add", s.name, true); err != nil {
		return err
	}
	if f.Lie == "add" {
		return nil
	}
	elements := slices.Clone(f.stores[s.name])
	at := slices.IndexFunc(elements, func(e []byte) bool { return sha1.Sum(certificate(e)) == sha1.Sum(certificate(element)) })
	switch {
	case at < 0:
		elements = append(elements, bytes.Clone(element))
	case disposition == wincert.AddNew:
		return wincert.Errno(0x80092005)
	default:
		elements[at] = bytes.Clone(element)
	}
	// The order in which they were added says nothing.
	slices.SortFunc(elements, func(a, b []byte) int { return bytes.Compare(certificate(a), certificate(b)) })
	f.stores[s.name] = elements
	return nil
}

// DeleteCertificate implements [wincert.API].
func (f *Fake) DeleteCertificate(c wincert.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.contexts[c]
	if h == nil {
		return wincert.Errno(6)
	}
	delete(f.contexts, c)
	if err := f.may("delete", h.store, true); err != nil {
		return err
	}
	if f.Lie == "delete" {
		return nil
	}
	f.stores[h.store] = slices.DeleteFunc(slices.Clone(f.stores[h.store]), func(e []byte) bool { return bytes.Equal(certificate(e), certificate(h.element)) })
	return nil
}

// FreeCertificate implements [wincert.API].
func (f *Fake) FreeCertificate(c wincert.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.contexts, c)
}

// Commit implements [wincert.API].
func (f *Fake) Commit(h wincert.Handle) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.handles[h]
	if s == nil {
		return wincert.Errno(6)
	}
	return f.may("commit", s.name, true)
}

// RegistryValue implements [wincert.API].
func (f *Fake) RegistryValue(key, name string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for k, v := range f.Registry {
		if strings.EqualFold(k, key+`\`+name) {
			return bytes.Clone(v), nil
		}
	}
	return nil, NotThere
}

// RegistryWritable implements [wincert.API].
func (f *Fake) RegistryWritable(user bool, _ string) error {
	if f.NotAdministrator && !user {
		return Denied
	}
	return nil
}

// Desktop implements [wincert.API].
func (f *Fake) Desktop() bool { return !f.NoDesktop }

// Chain implements [wincert.API]: a chain is good if one of its certificates,
// or who issued the last, is in a Root and none in a Disallowed.
func (f *Fake) Chain(r wincert.ChainRequest) (wincert.ChainResult, error) {
	if f.Judge != nil {
		return f.Judge(r)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	const untrusted, partial, distrusted, expired = 0x20, 0x10000, 0x4000000, 1
	roots, pool := [][]byte{}, [][]byte{}
	denied := map[string]bool{}
	for k, elements := range f.stores {
		for _, e := range elements {
			switch _, name, _ := strings.Cut(k, "/"); name {
			case "root", "authroot":
				roots = append(roots, certificate(e))
			case "ca":
				pool = append(pool, certificate(e))
			case "disallowed":
				denied[string(certificate(e))] = true
			}
		}
	}
	out := wincert.ChainResult{Status: partial}
	current, err := x509.ParseCertificate(r.Chain[0])
	for err == nil && len(out.Path) < 10 {
		out.Path = append(out.Path, current.Raw)
		at := r.At
		if at.IsZero() {
			at = time.Now()
		}
		if at.Before(current.NotBefore) || at.After(current.NotAfter) {
			out.Status |= expired
		}
		if denied[string(current.Raw)] {
			out.Status |= distrusted
		}
		if slices.ContainsFunc(roots, func(der []byte) bool { return bytes.Equal(der, current.Raw) }) {
			out.Status &^= partial
			break
		}
		if bytes.Equal(current.RawIssuer, current.RawSubject) {
			out.Status = out.Status&^partial | untrusted
			break
		}
		var issuer *x509.Certificate
		for _, der := range slices.Concat(roots, r.Chain, pool) {
			if c, bad := x509.ParseCertificate(der); bad == nil && bytes.Equal(c.RawSubject, current.RawIssuer) && current.CheckSignatureFrom(c) == nil {
				issuer = c
				break
			}
		}
		if issuer == nil {
			break
		}
		current = issuer
	}
	return out, nil
}
