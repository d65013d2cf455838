package browser

import (
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"net/netip"
	"path"
	"strings"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/sqlite"
	"github.com/certtrust/certtrust/store"
)

// ProfileBackend is what the IDs of the databases begin with that browsers of
// the Chromium family keep in each profile: what their own certificate manager
// writes.
const ProfileBackend = "chromium"

// ChromeProfile is such a database. The browser keeps it locked for as long as
// it runs, so it is listed, and changed in the browser.
type ChromeProfile struct {
	host *host.Host
	file string
	info store.Info
}

// DetectProfiles returns the databases that are there.
func DetectProfiles(_ context.Context, h *host.Host) ([]store.Store, []string) {
	f := newFinder(h)
	for _, c := range chromes() {
		for _, at := range c.data[h.OS] {
			dir := f.expand(at.path)
			if !f.isDir(dir) {
				continue
			}
			entries, err := h.ReadDir(dir)
			if err != nil {
				f.because("%s cannot be read (%v)", dir, err)
				continue
			}
			for _, e := range entries {
				file := path.Join(dir, e.Name(), "ServerCertificate")
				if !e.IsDir() || !sqlite.Exists(h, file) {
					continue
				}
				name := c.id
				if at.form != "" {
					name += "-" + at.form
				}
				s := &ChromeProfile{host: h, file: file}
				s.info = store.Info{
					ID: f.id(ProfileBackend + ":" + name + "/" + e.Name()), Backend: ProfileBackend,
					Title: c.title + " profile " + store.Printable(e.Name()), Scope: store.ScopeUser, Owner: h.User.Name, Location: file,
					Express: store.Express{Purposes: []store.Purpose{store.PurposeServerAuth},
						Decisions: []store.Decision{store.Trusted, store.Distrusted, store.Unspecified}},
					Readers: []string{c.title},
				}
				if !h.Live {
					s.info.Root = h.Root
				}
				s.info.Access.Write = &store.Obstacle{Kind: store.Managed, Text: "it belongs to the browser's own certificate manager",
					Hint: "open chrome://certificate-manager there, or trust the certificate in the database that its family shares: --store nss:chromium"}
				f.stores = append(f.stores, s)
				f.because("%s is there", file)
			}
		}
	}
	if len(f.stores) == 0 {
		f.because("no profile of the Chromium family has a database of its own")
	}
	return f.stores, f.reasons
}

// Info returns what was found when the store was opened.
func (s *ChromeProfile) Info() store.Info { return s.info }

// Entries yields what the browser's user has put in.
func (s *ChromeProfile) Entries(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		fail := func(err error) error {
			e := &store.Error{Op: "read", Store: s.info.ID, Path: s.file, Err: err}
			var inner *store.Error
			if errors.As(err, &inner) {
				e.Err, e.Hint = inner.Err, inner.Hint
			}
			return e
		}
		if uid, foreign := s.host.Foreign(path.Dir(s.file)); foreign {
			name := s.host.UserName(uid)
			yield(store.Entry{}, fail(&store.Error{Err: store.Because(store.ErrPermission, "it belongs to another user"), Hint: "name the user: --for-user " + name}))
			return
		}
		// A copy, as the browser keeps the file locked.
		db, err := sqlite.ReadImage(ctx, s.host, s.file)
		if err != nil {
			yield(store.Entry{}, fail(err))
			return
		}
		defer db.Close()
		enough := errors.New("enough")
		err = db.Query(ctx, "SELECT sha256hash_hex, der_cert, trust_settings FROM certificates ORDER BY 1", nil, func(scan func(...any) error) error {
			var hash, der, settings any
			if err := scan(&hash, &der, &settings); err != nil {
				return err
			}
			name, _ := hash.(string)
			src := store.Source{Kind: "certificate", Path: s.file, Item: store.Printable(name)}
			raw, _ := der.([]byte)
			if len(raw) == 0 || !strings.EqualFold(store.FingerprintOf(raw).String(), name) {
				if !yield(store.Entry{Source: src}, fail(store.Because(store.ErrCorrupt, "the certificate of an item is not the one that it names"))) {
					return enough
				}
				return nil
			}
			meta, _ := settings.([]byte)
			cert := store.NewCert(append([]byte(nil), raw...))
			e := store.Entry{Cert: cert, Label: cert.Label(), Source: src, Origin: store.Origin{By: store.ByUser}, Trust: store.Trust{trustOf(meta)}.Normal()}
			if !yield(e, nil) {
				return enough
			}
			return nil
		})
		if err != nil && !errors.Is(err, enough) {
			yield(store.Entry{}, fail(err))
		}
	}
}

// trustOf reads the settings of a certificate, a CertificateMetadata of
// Chromium (components/server_certificate_database): field 1 is the trust, with
// a number in its field 1; field 2 the constraints, with names in its field 1
// and networks in its field 3.
func trustOf(meta []byte) store.Rule {
	r := store.Rule{Purpose: store.PurposeServerAuth, Decision: store.Unspecified}
	decisions := map[uint64]store.Decision{2: store.Distrusted, 3: store.Trusted}
	each(meta, func(field int, n uint64, value []byte) {
		switch field {
		case 1:
			each(value, func(field int, n uint64, _ []byte) {
				if d, known := decisions[n]; known && field == 1 {
					r.Decision = d
				}
			})
		case 2:
			each(value, func(field int, _ uint64, value []byte) {
				switch field {
				case 1:
					r.Hosts = append(r.Hosts, strings.ToValidUTF8(string(value), "\ufffd"))
				case 3:
					r.Hosts = append(r.Hosts, network(value))
				}
			})
		}
	})
	return r
}

// network reads an address with the length of its prefix.
func network(value []byte) string {
	var ip []byte
	var bits uint64
	each(value, func(field int, n uint64, v []byte) {
		switch field {
		case 1:
			ip = v
		case 2:
			bits = n
		}
	})
	address, ok := netip.AddrFromSlice(ip)
	if !ok || bits > 128 {
		return "(a network)"
	}
	return netip.PrefixFrom(address, int(bits)).String()
}

// each calls do for every field of a protocol buffer message, as far as it can
// be read.
func each(data []byte, do func(field int, n uint64, value []byte)) {
	for len(data) > 0 {
		key, size := binary.Uvarint(data)
		if size <= 0 {
			return
		}
		data = data[size:]
		field := int(key >> 3 & 0xffff)
		switch key & 7 {
		case 0:
			n, size := binary.Uvarint(data)
			if size <= 0 {
				return
			}
			do(field, n, nil)
			data = data[size:]
		case 2:
			n, size := binary.Uvarint(data)
			if size <= 0 || n > uint64(len(data)-size) {
				return
			}
			do(field, 0, data[size:size+int(n)])
			data = data[size+int(n):]
		case 1, 5:
			width := 8
			if key&7 == 5 {
				width = 4
			}
			if len(data) < width {
				return
			}
			data = data[width:]
		default:
			return
		}
	}
}
