package keychain

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// A keychain file (AppleDatabase.h and MetaRecord.h of Apple's Security) is big
// endian and made of 32-bit words: a header, a schema that says where the
// tables are, and tables of records. Certificates are in the table of type
// certificateTable, as plain DER, whatever password the keychain has.
const (
	fileMagic        = "kych"
	fileVersion      = 0x00010000
	certificateTable = 0x80001000
	recordHeader     = 60 // with the offsets of the nine attributes
	maxTables        = 1 << 12
	maxCertificate   = 1 << 20
)

// words are the bytes of a part of a keychain file.
type words []byte

// at returns the word at an offset, false if it is not within.
func (w words) at(offset uint64) (uint32, bool) {
	if offset > uint64(len(w)) || uint64(len(w))-offset < 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(w[offset:]), true
}

// from returns what begins at an offset.
func (w words) from(offset uint32) (words, bool) {
	if uint64(offset) > uint64(len(w)) {
		return nil, false
	}
	return w[offset:], true
}

// readKeychain returns the certificates in a keychain file, and an error for
// each that cannot be read; the second error is about the whole.
func readKeychain(data []byte) ([]found, error) {
	damaged := func(what string) error { return store.Because(store.ErrCorrupt, "damaged keychain: %s", what) }
	file := words(data)
	if !strings.HasPrefix(string(data), fileMagic) {
		return nil, store.Because(store.ErrInput, "it is no keychain")
	}
	if v, ok := file.at(4); !ok || v != fileVersion {
		return nil, damaged("an unknown version")
	}
	offset, ok := file.at(12)
	schema, inside := file.from(offset)
	if !ok || !inside {
		return nil, damaged("the schema lies outside of it")
	}
	count, ok := schema.at(4)
	if !ok || count > maxTables {
		return nil, damaged("the number of tables")
	}
	var out []found
	for i := range uint64(count) {
		offset, ok := schema.at(8 + 4*i)
		table, inside := schema.from(offset)
		if !ok || !inside {
			return out, damaged("a table lies outside of it")
		}
		kind, ok := table.at(4)
		if !ok {
			return out, damaged("a table breaks off")
		}
		if kind != certificateTable {
			continue
		}
		size, _ := table.at(0)
		if uint64(size) > uint64(len(table)) {
			return out, damaged("the table of certificates breaks off")
		}
		items, err := table[:size].certificates()
		out = append(out, items...)
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// certificates reads a table.
func (w words) certificates() ([]found, error) {
	slots, ok := w.at(24)
	if !ok || uint64(slots) > uint64(len(w))/4 {
		return nil, store.Because(store.ErrCorrupt, "damaged keychain: the number of slots")
	}
	var out []found
	seen := map[uint32]bool{}
	for i := range uint64(slots) {
		offset, ok := w.at(28 + 4*i)
		if !ok {
			return out, store.Because(store.ErrCorrupt, "damaged keychain: the slots break off")
		}
		if offset == 0 || offset%2 != 0 {
			continue // free
		}
		if seen[offset] {
			out = append(out, found{err: store.Because(store.ErrCorrupt, "two slots lead to one record")})
			continue
		}
		seen[offset] = true
		record, inside := w.from(offset)
		if !inside {
			out = append(out, found{err: store.Because(store.ErrCorrupt, "a record lies outside of its table")})
			continue
		}
		out = append(out, record.certificate())
	}
	return out, nil
}

// certificate reads a record.
func (w words) certificate() found {
	bad := found{err: store.Because(store.ErrCorrupt, "a record breaks off")}
	size, ok := w.at(0)
	length, ok2 := w.at(16)
	if !ok || !ok2 || uint64(size) > uint64(len(w)) || uint64(length)+recordHeader > uint64(size) || length > maxCertificate {
		return bad
	}
	der := slices.Clone(w[recordHeader : recordHeader+length])
	if len(der) == 0 {
		return found{err: store.Because(store.ErrCorrupt, "a record without a certificate")}
	}
	return found{sha1: sha1Of(der), der: der}
}

// offlineCertificates reads a keychain file.
func (s *Store) offlineCertificates(keychain string) ([]found, error) {
	data, err := s.host.ReadFile(keychain, maxKeychain)
	if err != nil {
		return nil, err
	}
	items, err := readKeychain(data)
	if err != nil && len(items) == 0 {
		return nil, &store.Error{Path: keychain, Err: err}
	}
	if err != nil {
		items = append(items, found{err: err})
	}
	return items, nil
}

// Where macOS keeps trust settings: since version 12 and before.
const (
	newSettings = "/private/var/protected/trustd/private"
	oldSettings = "/Library/Security/Trust Settings"
)

// offlineSettings reads the trust settings of a domain out of their file.
func (s *Store) offlineSettings(d *domain) (*settings, error) {
	places := []string{path.Join(newSettings, "Admin.plist"), path.Join(oldSettings, "Admin.plist")}
	if d == userDomain {
		uuid := userUUID(s.host, s.user)
		if uuid == "" {
			return noSettings(), nil
		}
		places = []string{path.Join(newSettings, uuid, "TrustSettings.plist"), path.Join(oldSettings, uuid+".plist")}
	}
	for _, p := range places {
		data, err := s.host.ReadFile(p, maxSettings)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, &store.Error{Path: p, Err: err, Hint: "read it as root; macOS protects it while it runs"}
		}
		read, err := parseSettings(data)
		if err != nil {
			return nil, &store.Error{Path: p, Err: err}
		}
		return read, nil
	}
	return noSettings(), nil
}

// userUUID returns the identifier that a user's settings are kept under.
func userUUID(h *host.Host, name string) string {
	data, err := h.ReadFile(path.Join("/private/var/db/dslocal/nodes/Default/users", name+".plist"), 1<<24)
	if err != nil || name == "" {
		return ""
	}
	var user struct {
		UID []string `plist:"generateduid"`
	}
	if err := unmarshal(data, &user); err != nil || len(user.UID) == 0 {
		return ""
	}
	// It becomes part of a path.
	if strings.TrimLeft(strings.ToUpper(user.UID[0]), "0123456789ABCDEF-") != "" {
		return ""
	}
	return user.UID[0]
}

// offlineUsers are the login keychains of the users of an offline root.
func offlineUsers(h *host.Host, v version) ([]store.Store, []string) {
	homes, err := h.ReadDir("/Users")
	if err != nil {
		return nil, []string{"no /Users"}
	}
	var out []store.Store
	var reasons []string
	for _, d := range homes {
		name := d.Name()
		login := loginKeychain(h, path.Join("/Users", name))
		if login == "" {
			continue
		}
		s := newStore(h, v, store.Info{ID: LoginID + store.ID("@"+name), Title: "a user's keychain", Scope: store.ScopeUser, Owner: name, Location: login, Readers: readers})
		s.main, s.domain, s.user = login, userDomain, name
		s.info.Access.Write = &store.Obstacle{Kind: store.ReadOnly, Text: "an offline root is only read"}
		reasons = append(reasons, login+" is there")
		if userUUID(h, name) == "" {
			reasons = append(reasons, "the trust settings of "+store.Printable(name)+" cannot be found without that user's record in /private/var/db/dslocal")
		}
		out = append(out, s)
	}
	return out, reasons
}
