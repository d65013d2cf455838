package nss

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
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
	id    int64
	cert  *store.Cert
	label string
	key   bool // the database has its private key
}

// trustObject is a trust object in the database.
type trustObject struct {
	id             int64
	kind           int
	issuer, serial []byte
	hash           []byte // of the certificate, as the kind has it
	levels         levels // as readers take them: a value with a bad signature says nothing
	said           levels // as written
	signed         []signed
	missing, bad   int // signatures
	unchecked      int
}

// signed is an attribute that is signed, as it is stored, with its signature.
type signed struct {
	value
	signature []byte // nil = none
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
	prints  map[store.Fingerprint][]*certObject
	about   map[issue][]*trustObject
	holders map[issue][]*certObject
	orphans []string               // signatures of objects that there are not
	lost    []*lostRow             // what readers do not find
	broken  []broken               // rows that cannot be read
	ids     map[int64]*trustObject // all objects: nil = another one
	fips    bool

	parsed *certCache
	rows   *rows // that were read
}

// certCache keeps certificates that were parsed: a change reads them several
// times.
type certCache struct {
	mu   sync.Mutex
	list map[store.Fingerprint]*store.Cert
}

// cert returns a certificate, which nobody changes. It is read if it is new.
func (c *certCache) cert(fp store.Fingerprint, read func() *store.Cert) *store.Cert {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.list[fp]; known != nil {
		return known
	}
	if c.list == nil {
		c.list = map[store.Fingerprint]*store.Cert{}
	}
	c.list[fp] = read()
	return c.list[fp]
}

// broken is a row that cannot be read.
type broken struct {
	id  int64
	err error
}

// lostRow is a certificate or a trust object whose number is none that an object
// can have: NSS comes upon it when it searches, keeps 30 bits of the number, and
// then finds nothing, or another object, by them. A search for all certificates
// fails over it.
type lostRow struct {
	number any
	cert   *store.Cert // nil = it is a trust object
	label  string
}

// name tells the number.
func (r *lostRow) name() string {
	if n, ok := r.number.(int64); ok {
		return fmt.Sprintf("%08x", uint64(n))
	}
	text := []rune(store.Printable(fmt.Sprint(r.number)))
	return string(text[:min(len(text), 40)])
}

// lose takes a row in that readers do not find.
func (st *state) lose(number any, row object) {
	found := newState(st.parsed)
	found.add(0, row)
	r := &lostRow{number: number}
	if data, ok := number.([]byte); ok {
		r.number = bytes.Clone(data)
	}
	switch {
	case len(found.certs) > 0:
		r.cert, r.label = found.certs[0].cert, cmp.Or(found.certs[0].label, found.certs[0].cert.Label())
	case len(found.trusts) == 0:
		return // of another class, which is not looked at anyway
	}
	st.lost = append(st.lost, r)
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
	src, err := s.sources(ctx)
	defer src.close()
	if err != nil {
		return nil, err
	}
	st.exists, st.keydb = src.certs != nil, src.keys != nil
	var keys keyRows
	err = s.both(
		func() (err error) { keys, err = s.readKeys(ctx, src, st); return err },
		func() error { return s.readObjects(ctx, src, st) })
	if err != nil {
		return nil, err
	}
	return st, s.check(ctx, st, keys, nil)
}

// small is a file of which so little is to be read that to wake another thread
// for it would take longer.
const small = 256 << 10

// both reads the two files, at the same time where they are large.
func (s *Store) both(one, other func() error) error {
	if info, err := s.host.Stat(s.keys); err != nil || info.Size() < small {
		return cmp.Or(other(), one())
	}
	var failed error
	var wait sync.WaitGroup
	wait.Go(func() { failed = one() })
	err := other()
	wait.Wait()
	return cmp.Or(err, failed)
}

// sources opens the files that there are, each with what it is at this moment.
func (s *Store) sources(ctx context.Context) (src source, err error) {
	src.certName, src.keyName = "main", "main"
	if sqlite.Exists(s.host, s.certs) {
		if src.certs, err = sqlite.Read(ctx, s.host, s.certs); err != nil {
			return src, err
		}
		if err := src.certs.Begin(ctx); err != nil {
			return src, err
		}
	}
	if sqlite.Exists(s.host, s.keys) {
		// The order in which the two are locked is that of writers, so that
		// nobody waits for the other.
		if src.keys, err = sqlite.Read(ctx, s.host, s.keys); err != nil {
			return src, err
		}
		if err := src.keys.Begin(ctx); err != nil {
			return src, err
		}
	}
	return src, nil
}

// rows is a sum over what was read, row by row: what gives the same sum is the
// same, and means the same.
type rows struct{ objects, keys maphash.Hash }

var seed = sync.OnceValue(maphash.MakeSeed)

func newRows() *rows {
	r := &rows{}
	r.objects.SetSeed(seed())
	r.keys.SetSeed(seed())
	return r
}

func (r *rows) object(id any, row object) {
	number, ok := id.(int64)
	addRow(&r.objects, uint64(number), row...)
	if !ok {
		fmt.Fprintf(&r.objects, "%T %v", id, id)
	}
}

func (r *rows) key(name string, values ...[]byte) {
	addRow(&r.keys, uint64(len(name)), values...)
	r.keys.WriteString(name)
}

func addRow(to *maphash.Hash, head uint64, values ...[]byte) {
	var number [8]byte
	put := func(n uint64) {
		binary.LittleEndian.PutUint64(number[:], n)
		to.Write(number[:])
	}
	put(head)
	for _, v := range values {
		if v == nil {
			put(0)
			continue
		}
		put(uint64(len(v)) + 1)
		to.Write(v)
	}
}

func (r *rows) same(as *rows) bool {
	return r.objects.Sum64() == as.objects.Sum64() && r.keys.Sum64() == as.keys.Sum64()
}

// still reports whether the files hold just the rows that were read before.
func (s *Store) still(ctx context.Context, before *rows) bool {
	src, err := s.sources(ctx)
	defer src.close()
	if err != nil {
		return false
	}
	now := newRows()
	err = s.both(
		func() error { return s.eachKey(ctx, src, now, func(string, []byte, []byte) error { return nil }) },
		func() error {
			return s.eachObject(ctx, src, new(bool), func(id any, row object) error { now.object(id, row); return nil })
		})
	return err == nil && now.same(before)
}

func (src *source) close() {
	for _, db := range []*sqlite.DB{src.certs, src.keys} {
		if db != nil {
			db.Close()
		}
	}
}

// objectColumns are what is read of each object.
var objectColumns = slices.Concat([]attribute{aClass, aLabel, aValue, aIssuer, aSerial}, kinds[newKind].signed, kinds[oldKind].signed)

// object is a row: the values of objectColumns.
type object [][]byte

func objectOf(values map[attribute][]byte) object {
	o := make(object, len(objectColumns))
	for i, a := range objectColumns {
		o[i] = values[a]
	}
	return o
}

func (o object) get(a attribute) []byte { return o[slices.Index(objectColumns, a)] }

// readObjects reads cert9.db.
func (s *Store) readObjects(ctx context.Context, src source, st *state) error {
	return s.eachObject(ctx, src, &st.modern, func(id any, row object) error {
		if len(st.ids)+len(st.lost) == maxObjects {
			return &store.Error{Path: s.certs, Err: store.Because(store.ErrCorrupt, "it holds more than %d objects", maxObjects)}
		}
		st.rows.object(id, row)
		if number, ok := id.(int64); ok && number >= 0 && number <= maxID {
			st.ids[number] = nil
			st.add(number, row)
		} else {
			st.lose(id, row)
		}
		return nil
	})
}

// eachObject calls do with each row of cert9.db, whose values are its own and
// whose slice is not. modern tells then whether there are the columns of NSS
// 3.114.
func (s *Store) eachObject(ctx context.Context, src source, modern *bool, do func(id any, row object) error) error {
	if src.certs == nil {
		return nil
	}
	names := src.certs.Columns(src.certName, "nssPublic")
	if len(names) == 0 || !slices.Contains(names, "id") || !slices.Contains(names, aClass.column()) {
		return &store.Error{Path: s.certs, Err: store.Because(store.ErrCorrupt, "it is not a certificate database of NSS")}
	}
	*modern = slices.Contains(names, attribute(0x62c).column())
	var columns []string
	for _, a := range objectColumns {
		if slices.Contains(names, a.column()) {
			columns = append(columns, a.column())
		} else {
			columns = append(columns, "NULL")
		}
	}
	var id any
	row := make(object, len(objectColumns))
	to := []any{&id}
	for i := range row {
		to = append(to, (*sqlite.Blob)(&row[i]))
	}
	query := "SELECT id, " + strings.Join(columns, ", ") + " FROM " + src.certName + ".nssPublic ORDER BY id"
	return src.certs.Query(ctx, query, nil, func(scan func(...any) error) error {
		if err := scan(to...); err != nil {
			return err
		}
		return do(id, row)
	})
}

// add takes an object in.
func (st *state) add(id int64, row object) {
	class := row.get(aClass)
	if len(class) != 4 {
		return
	}
	if bytes.Equal(class, be32(classCert)) {
		der := plainValue(row.get(aValue))
		if len(der) == 0 {
			st.broken = append(st.broken, broken{id, store.Because(store.ErrCorrupt, "the certificate is missing")})
			return
		}
		c := &certObject{id: id, cert: st.parsed.cert(store.FingerprintOf(der), func() *store.Cert { return store.NewCert(der) })}
		c.label = strings.ToValidUTF8(string(plainValue(row.get(aLabel))), "\ufffd")
		st.certs = append(st.certs, c)
		st.prints[c.cert.SHA256] = append(st.prints[c.cert.SHA256], c)
		at := issueOf(c.cert)
		st.holders[at] = append(st.holders[at], c)
		return
	}
	for i, k := range kinds {
		if !bytes.Equal(class, be32(k.class)) {
			continue
		}
		t := &trustObject{id: id, kind: i, issuer: plainValue(row.get(aIssuer)), serial: plainValue(row.get(aSerial)), signed: make([]signed, len(k.signed))}
		t.hash = plainValue(row.get(k.hash))
		for j, a := range k.signed {
			t.signed[j].value = value{a, row.get(a)}
		}
		for j := range fields {
			t.said[j] = k.levelOf(t.signed[j].data)
		}
		t.levels = t.said
		st.ids[id] = t
		st.trusts = append(st.trusts, t)
		at := issue{string(t.issuer), string(t.serial)}
		st.about[at] = append(st.about[at], t)
	}
}

// issue is what an issuer gave a serial number, by which NSS finds the trust of
// a certificate.
type issue struct{ issuer, serial string }

func issueOf(c *store.Cert) issue { return issue{string(c.Issuer.Raw), string(serialOf(c.Raw))} }

func newState(parsed *certCache) *state {
	return &state{rows: newRows(), ids: map[int64]*trustObject{}, prints: map[store.Fingerprint][]*certObject{}, about: map[issue][]*trustObject{}, holders: map[issue][]*certObject{}, parsed: parsed}
}

// sigName is the name of the row that signs an attribute of an object.
func sigName(id int64, a attribute) string {
	const digits = "0123456789abcdef"
	name := []byte("sig_cert_00000000_00000000")
	for i := range 8 {
		name[16-i], name[25-i] = digits[id>>(4*i)&0xf], digits[a>>(4*i)&0xf]
	}
	return string(name)
}

// signs tells what a signature of that name signs. Readers look for no other form.
func signs(name string) (id int64, a attribute, ok bool) {
	rest, ok := strings.CutPrefix(name, "sig_cert_")
	if !ok || len(rest) != 17 || rest[8] != '_' || strings.ToLower(rest) != rest {
		return 0, 0, false
	}
	object, err := strconv.ParseUint(rest[:8], 16, 32)
	if err != nil {
		return 0, 0, false
	}
	number, err := strconv.ParseUint(rest[9:], 16, 32)
	return int64(object), attribute(number), err == nil
}

// keyRows are the rows of key4.db that matter.
type keyRows struct {
	entry      *passwordEntry
	signatures []signatureRow
	private    map[string]bool // the CKA_IDs of private keys
}

type signatureRow struct {
	object int64
	attr   attribute
	der    []byte
}

// readKeys reads key4.db.
func (s *Store) readKeys(ctx context.Context, src source, st *state) (keys keyRows, err error) {
	err = s.eachKey(ctx, src, st.rows, func(name string, first, second []byte) error {
		if name == "password" {
			keys.entry = &passwordEntry{first, second}
		} else if object, a, ok := signs(name); ok {
			if len(keys.signatures) == maxObjects {
				return &store.Error{Path: s.keys, Err: store.Because(store.ErrCorrupt, "it holds more than %d signatures", maxObjects)}
			}
			keys.signatures = append(keys.signatures, signatureRow{object, a, first})
		}
		return nil
	})
	if err == nil && src.keys != nil {
		keys.private, err = s.readPrivate(ctx, src)
	}
	return keys, err
}

// eachKey calls do with each row of key4.db that is about the password or a
// signature, and adds it to sum.
func (s *Store) eachKey(ctx context.Context, src source, sum *rows, do func(name string, first, second []byte) error) error {
	if src.keys == nil {
		return nil
	}
	names := src.keys.Columns(src.keyName, "metaData")
	if !slices.Contains(names, "id") || !slices.Contains(names, "item1") || !slices.Contains(names, "item2") {
		return &store.Error{Path: s.keys, Err: store.Because(store.ErrCorrupt, "it is not a key database of NSS")}
	}
	// The plus signs keep SQLite from going by the index, which takes longer.
	query := "SELECT id, item1, item2 FROM " + src.keyName + ".metaData WHERE +id = 'password' OR +id >= 'sig_cert_' AND +id < 'sig_cert`'"
	var id any
	var first, second sqlite.Blob
	to := []any{&id, &first, &second}
	return src.keys.Query(ctx, query, nil, func(scan func(...any) error) error {
		if err := scan(to...); err != nil {
			return err
		}
		name, _ := id.(string)
		sum.key(name, first, second)
		return do(name, first, second)
	})
}

// check takes the rows of key4.db in and checks the signatures. A password is
// tried beside the empty one and those that are at hand.
func (s *Store) check(ctx context.Context, st *state, keys keyRows, password *host.Secret) error {
	for _, c := range st.certs {
		c.key = len(keys.private) > 0 && keys.private[string(keyID(c.cert))]
	}
	st.entry = keys.entry
	if st.entry == nil || len(st.entry.check) == 0 {
		st.entry = nil
		return nil // never initialized: nothing is signed
	}
	for _, row := range keys.signatures {
		st.signature(row)
	}
	slices.Sort(st.orphans)
	tries := []host.Secret{{}}
	if password != nil {
		tries = append(tries, *password)
	} else if given, ok := s.givenPassword(); ok {
		tries = append(tries, given)
	}
	st.login = locked
	for _, p := range tries {
		var err error
		if st.keys, err = s.unlock(*st.entry, p); err != nil {
			return &store.Error{Path: s.keys, Err: err}
		}
		if st.keys != nil {
			st.login = unlocked
			break
		}
	}
	return st.check(ctx)
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

// readPrivate finds which private keys are there.
func (s *Store) readPrivate(ctx context.Context, src source) (map[string]bool, error) {
	names := src.keys.Columns(src.keyName, "nssPrivate")
	if !slices.Contains(names, aID.column()) || !slices.Contains(names, aClass.column()) {
		return nil, nil
	}
	keys := map[string]bool{}
	query := fmt.Sprintf("SELECT %s FROM %s.nssPrivate WHERE %s = x'%08x'", aID.column(), src.keyName, aClass.column(), classKey)
	return keys, src.keys.Query(ctx, query, nil, func(scan func(...any) error) error {
		var id sqlite.Blob
		if err := scan(&id); err != nil {
			return err
		}
		if id != nil && len(keys) < maxObjects {
			keys[string(id)] = true
		}
		return nil
	})
}

// signature takes a signature in.
func (st *state) signature(row signatureRow) {
	t, known := st.ids[row.object]
	if !known {
		st.orphans = append(st.orphans, sigName(row.object, row.attr))
	}
	if t == nil {
		return
	}
	for i := range t.signed {
		if t.signed[i].attr == row.attr {
			t.signed[i].signature = row.der
		}
	}
}

// check checks the signatures of the trust objects. What a bad one signs says
// nothing, as for NSS.
func (st *state) check(ctx context.Context) error {
	if st.login != unlocked {
		return nil
	}
	for _, t := range st.trusts {
		if err := ctx.Err(); err != nil {
			return err
		}
		for i, x := range t.signed {
			isField := i < len(fields)
			if isField && t.said[i] == levelUnknown || !isField && len(plainValue(x.data)) == 0 {
				continue
			}
			v := bad
			if len(x.signature) == 0 {
				t.missing++
			} else if v = st.keys.verify(signature{uint32(t.id), x.attr, x.data}, x.signature); v == bad {
				t.bad++
			}
			if v == tooCostly {
				t.unchecked++
			}
			if v == bad && isField {
				t.levels[i] = levelUnknown
			}
		}
	}
	return nil
}

// of returns the trust objects that are about a certificate, by kind: those
// that readers would find for it.
func (st *state) of(c *store.Cert) []*trustObject {
	return st.about[issue{string(c.Issuer.Raw), string(serialOf(c.Raw))}]
}

// holding returns the certificates that an issuer gave a serial number.
func (st *state) holding(issuer, serial []byte) []*certObject {
	return st.holders[issue{string(issuer), string(serial)}]
}

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

// ghosts returns the trust objects that are about no certificate here.
func (st *state) ghosts() (list []*trustObject) {
	for _, t := range st.trusts {
		if len(st.holding(t.issuer, t.serial)) == 0 {
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
	for _, r := range st.lost {
		fmt.Fprintf(h, "lost %s %t\n", r.name(), r.cert != nil)
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
