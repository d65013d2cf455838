package nss

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/sqlite"
	"github.com/certtrust/certtrust/store"
)

// login tells how key4.db stands.
type login int

const (
	noKeys   login = iota // there is no key4.db, or no password was ever set: nothing is signed
	unlocked              // with the empty password, or the right one
	locked                // a primary password is needed to check and make signatures
)

// certObject is a certificate in the database.
type certObject struct {
	id     int64
	cert   *store.Cert
	label  string
	issuer []byte
	serial []byte
	key    bool // the database has its private key
}

// trustObject is a trust object in the database.
type trustObject struct {
	id             int64
	kind           int
	issuer, serial []byte
	hash           []byte // of the certificate, as the kind has it
	levels         levels // as readers take them: a value with a bad signature says nothing
	said           levels // as written
	values         map[attribute][]byte
	missing, bad   int // signatures
	unchecked      int
}

// state is what a database holds.
type state struct {
	exists bool // there is a cert9.db
	keydb  bool // there is a key4.db
	modern bool // NSS 3.114 or newer has opened it for writing
	login  login
	entry  *passwordEntry
	keys   *derived

	certs   []*certObject
	trusts  []*trustObject
	about   map[string][]*trustObject // by issuer and serial number
	holders map[string][]*certObject  // likewise
	orphans []string                  // signatures of objects that there are not
	broken  []broken                  // rows that cannot be read
	ids     map[int64]bool
	fips    bool

	parsed *certCache
}

// certCache keeps certificates that were parsed: a change reads them several
// times.
type certCache struct {
	mu   sync.Mutex
	list map[store.Fingerprint]*store.Cert
}

// cert returns a certificate, which nobody changes.
func (c *certCache) cert(der []byte) *store.Cert {
	fp := store.FingerprintOf(der)
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.list[fp]; known != nil {
		return known
	}
	if c.list == nil {
		c.list = map[store.Fingerprint]*store.Cert{}
	}
	c.list[fp] = store.NewCert(bytes.Clone(der)) // the caller may use der again
	return c.list[fp]
}

// broken is a row that cannot be read.
type broken struct {
	id  int64
	err error
}

// maxObjects is how many objects are read of a database, and how many
// signatures.
const maxObjects = 200_000

// source is what a state is read from: two open files, or one transaction over
// both.
type source struct {
	certs, keys       *sqlite.DB
	certName, keyName string // of the schemas
}

// read reads the database. Passwords that are at hand are tried; none is asked
// for.
func (s *Store) read(ctx context.Context) (*state, error) {
	var st *state
	for try := 0; ; try++ {
		var err error
		if st, err = s.readOnce(ctx); err != nil {
			return nil, err
		}
		// Between the two commits of another writer the signatures of one file
		// are not those of the other's objects.
		if !st.unsound() || try == 2 || !s.host.Live {
			return st, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(30 * time.Millisecond):
		}
	}
}

func (st *state) unsound() bool {
	return len(st.orphans) > 0 || slices.ContainsFunc(st.trusts, func(t *trustObject) bool { return t.missing+t.bad > 0 })
}

func (s *Store) readOnce(ctx context.Context) (*state, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	st := newState(&s.parsed)
	if err := s.readModules(st); err != nil {
		return nil, err
	}
	if !sqlite.Exists(s.host, s.certs) {
		if sqlite.Exists(s.host, s.path("cert8.db")) {
			return nil, &store.Error{Path: s.path("cert8.db"), Err: store.Because(store.ErrUnsupported,
				"it is a database of the old form, and a new one beside it would hide what it holds"),
				Hint: "start the program that it belongs to once, which converts it"}
		}
		// Of a key4.db alone the password counts all the same.
	}
	var src source
	defer src.close()
	var err error
	if sqlite.Exists(s.host, s.certs) {
		st.exists = true
		if src.certs, err = sqlite.Read(ctx, s.host, s.certs); err != nil {
			return nil, err
		}
		if err := src.certs.Begin(ctx); err != nil {
			return nil, err
		}
	}
	// The order in which the two are locked is that of writers, so that nobody
	// waits for the other.
	src.certName, src.keyName = "main", "main"
	if err := s.readObjects(ctx, src, st); err != nil {
		return nil, err
	}
	if sqlite.Exists(s.host, s.keys) {
		st.keydb = true
		if src.keys, err = sqlite.Read(ctx, s.host, s.keys); err != nil {
			return nil, err
		}
		if err := src.keys.Begin(ctx); err != nil {
			return nil, err
		}
	}
	return st, s.readKeys(ctx, src, st, nil)
}

func (src *source) close() {
	for _, db := range []*sqlite.DB{src.certs, src.keys} {
		if db != nil {
			db.Close()
		}
	}
}

// objectColumns are what is read of each object.
func objectColumns() []attribute {
	list := []attribute{aClass, aLabel, aValue, aIssuer, aSerial, aID, aHash, aHashAlg, aSHA1, aMD5, aStepUp}
	for _, f := range fields {
		list = append(list, f.old, f.new)
	}
	return list
}

// readObjects reads cert9.db.
func (s *Store) readObjects(ctx context.Context, src source, st *state) error {
	if src.certs == nil {
		return nil
	}
	names := src.certs.Columns(src.certName, "nssPublic")
	if len(names) == 0 || !slices.Contains(names, "id") || !slices.Contains(names, aClass.column()) {
		return &store.Error{Path: s.certs, Err: store.Because(store.ErrCorrupt, "it is not a certificate database of NSS")}
	}
	st.modern = slices.Contains(names, attribute(0x62c).column())
	attrs := objectColumns()
	var columns []string
	for _, a := range attrs {
		if slices.Contains(names, a.column()) {
			columns = append(columns, a.column())
		} else {
			columns = append(columns, "NULL")
		}
	}
	values := make([]any, len(attrs)+1)
	to := make([]any, len(values))
	for i := range values {
		to[i] = &values[i]
	}
	query := "SELECT id, " + strings.Join(columns, ", ") + " FROM " + src.certName + ".nssPublic ORDER BY id"
	return src.certs.Query(ctx, query, nil, func(scan func(...any) error) error {
		clear(values)
		if err := scan(to...); err != nil {
			return err
		}
		if len(st.ids) == maxObjects {
			return &store.Error{Path: s.certs, Err: store.Because(store.ErrCorrupt, "it holds more than %d objects", maxObjects)}
		}
		id, ok := values[0].(int64)
		if !ok {
			return nil // NSS finds no such object
		}
		st.ids[id] = true
		row := make(map[attribute][]byte, len(attrs))
		for i, a := range attrs {
			if b, ok := values[i+1].([]byte); ok {
				row[a] = b
			}
		}
		st.add(id, row)
		return nil
	})
}

// add takes an object in.
func (st *state) add(id int64, row map[attribute][]byte) {
	class := row[aClass]
	if len(class) != 4 {
		return
	}
	if bytes.Equal(class, be32(classCert)) {
		der := plainValue(row[aValue])
		if len(der) == 0 {
			st.broken = append(st.broken, broken{id, store.Because(store.ErrCorrupt, "the certificate is missing")})
			return
		}
		c := &certObject{id: id, cert: st.parsed.cert(der), issuer: plainValue(row[aIssuer]), serial: plainValue(row[aSerial])}
		c.label = strings.ToValidUTF8(string(plainValue(row[aLabel])), "\ufffd")
		st.certs = append(st.certs, c)
		st.holders[issuedOf(c.cert)] = append(st.holders[issuedOf(c.cert)], c)
		return
	}
	for i, k := range kinds {
		if !bytes.Equal(class, be32(k.class)) {
			continue
		}
		t := &trustObject{id: id, kind: i, issuer: plainValue(row[aIssuer]), serial: plainValue(row[aSerial]), values: row}
		t.hash = plainValue(row[k.hashes[0]])
		for j, f := range fields {
			t.said[j] = k.levelOf(row[k.field(f)])
		}
		t.levels = t.said
		st.trusts = append(st.trusts, t)
		st.about[issued(t.issuer, t.serial)] = append(st.about[issued(t.issuer, t.serial)], t)
	}
}

// issued is a key for what an issuer gave a serial number.
func issued(issuer, serial []byte) string {
	return strconv.Itoa(len(issuer)) + " " + string(issuer) + string(serial)
}

func issuedOf(c *store.Cert) string { return issued(c.Issuer.Raw, serialOf(c.Raw)) }

func newState(parsed *certCache) *state {
	return &state{ids: map[int64]bool{}, about: map[string][]*trustObject{}, holders: map[string][]*certObject{}, parsed: parsed}
}

// sigName is the name of the row that signs an attribute.
func sigName(id int64, a attribute) string {
	return fmt.Sprintf("sig_cert_%08x_%08x", uint32(id), uint32(a))
}

// readKeys reads key4.db and checks the signatures. A password is tried beside
// the empty one and those that are at hand.
func (s *Store) readKeys(ctx context.Context, src source, st *state, password *host.Secret) error {
	if src.keys == nil {
		return nil
	}
	names := src.keys.Columns(src.keyName, "metaData")
	if !slices.Contains(names, "id") || !slices.Contains(names, "item1") || !slices.Contains(names, "item2") {
		return &store.Error{Path: s.keys, Err: store.Because(store.ErrCorrupt, "it is not a key database of NSS")}
	}
	sigs := map[string][]byte{}
	query := "SELECT id, item1, item2 FROM " + src.keyName + ".metaData WHERE id = 'password' OR id >= 'sig_cert_' AND id < 'sig_cert`'"
	err := src.keys.Query(ctx, query, nil, func(scan func(...any) error) error {
		var id, item1, item2 any
		if err := scan(&id, &item1, &item2); err != nil {
			return err
		}
		name, _ := id.(string)
		first, _ := item1.([]byte)
		second, _ := item2.([]byte)
		if name == "password" {
			st.entry = &passwordEntry{first, second}
			return nil
		}
		if len(sigs) == maxObjects {
			return &store.Error{Path: s.keys, Err: store.Because(store.ErrCorrupt, "it holds more than %d signatures", maxObjects)}
		}
		sigs[name] = first
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.readPrivate(ctx, src, st); err != nil {
		return err
	}
	if st.entry == nil || len(st.entry.check) == 0 {
		st.entry = nil
		return nil // never initialized: nothing is signed
	}
	tries := []host.Secret{{}}
	if password != nil {
		tries = append(tries, *password)
	} else if given, ok := s.givenPassword(); ok {
		tries = append(tries, given)
	}
	st.login = locked
	for _, p := range tries {
		if st.keys, err = s.unlock(*st.entry, p); err != nil {
			return &store.Error{Path: s.keys, Err: err}
		}
		if st.keys != nil {
			st.login = unlocked
			break
		}
	}
	return st.check(ctx, sigs)
}

// unlock is what [passwordEntry.unlock] returns, which is found out once for
// each entry and password.
func (s *Store) unlock(entry passwordEntry, password host.Secret) (*derived, error) {
	h := sha256.New()
	for _, part := range [][]byte{entry.salt, entry.check, password.Bytes()} {
		fmt.Fprintf(h, "%d ", len(part))
		h.Write(part)
	}
	id := [sha256.Size]byte(h.Sum(nil))
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.unlocked[id]; ok {
		return known.keys, known.err
	}
	keys, err := entry.unlock(password)
	if s.unlocked == nil {
		s.unlocked = map[[sha256.Size]byte]unlocking{}
	}
	s.unlocked[id] = unlocking{keys, err}
	return keys, err
}

// unlocking is what came of a password.
type unlocking struct {
	keys *derived
	err  error
}

// readPrivate finds which certificates have their private key here.
func (s *Store) readPrivate(ctx context.Context, src source, st *state) error {
	names := src.keys.Columns(src.keyName, "nssPrivate")
	if len(st.certs) == 0 || !slices.Contains(names, aID.column()) || !slices.Contains(names, aClass.column()) {
		return nil
	}
	keys := map[string]bool{}
	query := fmt.Sprintf("SELECT %s FROM %s.nssPrivate WHERE %s = x'%08x'", aID.column(), src.keyName, aClass.column(), classKey)
	err := src.keys.Query(ctx, query, nil, func(scan func(...any) error) error {
		var id any
		if err := scan(&id); err != nil {
			return err
		}
		if b, ok := id.([]byte); ok && len(keys) < maxObjects {
			keys[string(b)] = true
		}
		return nil
	})
	if len(keys) > 0 {
		for _, c := range st.certs {
			c.key = keys[string(keyID(c.cert))]
		}
	}
	return err
}

// check checks the signatures of the trust objects. What a bad one signs says
// nothing, as for NSS.
func (st *state) check(ctx context.Context, sigs map[string][]byte) error {
	for _, t := range st.trusts {
		if err := ctx.Err(); err != nil {
			return err
		}
		k := kinds[t.kind]
		verify := func(a attribute, counts bool) bool {
			name := sigName(t.id, a)
			sig, there := sigs[name]
			delete(sigs, name)
			if st.login != unlocked || !counts {
				return true
			}
			if !there || len(sig) == 0 {
				t.missing++
				return false
			}
			switch st.keys.verify(signature{uint32(t.id), a, t.values[a]}, sig) {
			case bad:
				t.bad++
				return false
			case tooCostly:
				t.unchecked++
			}
			return true
		}
		for i, f := range fields {
			a := k.field(f)
			if !verify(a, t.said[i] != levelUnknown) {
				t.levels[i] = levelUnknown
			}
		}
		for _, a := range k.signed {
			verify(a, len(plainValue(t.values[a])) > 0)
		}
	}
	for _, name := range sortedKeys(sigs) {
		var id, attr uint32
		if _, err := fmt.Sscanf(name, "sig_cert_%08x_%08x", &id, &attr); err == nil && !st.ids[int64(id)] {
			st.orphans = append(st.orphans, name)
		}
	}
	return nil
}

// of returns the trust objects that are about a certificate, by kind: those
// that readers would find for it.
func (st *state) of(c *store.Cert) []*trustObject { return st.about[issuedOf(c)] }

// matches reports whether the object is about just this certificate, or says
// that it is about any with its issuer and serial number.
func (t *trustObject) matches(c *store.Cert) bool {
	if len(t.hash) == 0 {
		return !t.said.trusts()
	}
	return bytes.Equal(t.hash, hashFor(t.kind, c))
}

func hashFor(kind int, c *store.Cert) []byte {
	if kind == newKind {
		return c.SHA256[:]
	}
	sum := sha1.Sum(c.Raw)
	return sum[:]
}

func md5Of(der []byte) []byte {
	sum := md5.Sum(der)
	return sum[:]
}

// effective returns what readers of the newest NSS take for a certificate's
// trust, and the object that says it.
func (st *state) effective(c *store.Cert) (levels, *trustObject) {
	for kind := range kinds {
		for _, t := range st.of(c) {
			if t.kind == kind && t.matches(c) {
				return t.levels, t
			}
		}
	}
	return levels{}, nil
}

// find returns the certificate objects of a fingerprint.
func (st *state) find(fp store.Fingerprint) (list []*certObject) {
	for _, c := range st.certs {
		if c.cert.SHA256 == fp {
			list = append(list, c)
		}
	}
	return list
}

// ghosts returns the trust objects that are about no certificate here.
func (st *state) ghosts() (list []*trustObject) {
	for _, t := range st.trusts {
		if len(st.holders[issued(t.issuer, t.serial)]) == 0 {
			list = append(list, t)
		}
	}
	return list
}

// digest identifies the state.
func (st *state) digest() string {
	h := sha256.New()
	for _, c := range st.certs {
		fmt.Fprintf(h, "cert %d %s %q\n", c.id, c.cert.SHA256, c.label)
	}
	for _, t := range st.trusts {
		fmt.Fprintf(h, "trust %d %d %x %x %x %v %v\n", t.id, t.kind, t.issuer, t.serial, t.hash, t.said, t.levels)
	}
	fmt.Fprintf(h, "%v %v %v\n", st.exists, st.modern, st.orphans)
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// readModules looks at pkcs11.txt.
func (s *Store) readModules(st *state) error {
	text, err := s.host.ReadFile(s.path("pkcs11.txt"), maxModules)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	st.fips = fipsMode(text)
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
