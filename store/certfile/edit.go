package certfile

import (
	"bytes"
	"crypto/hmac"
	"encoding/binary"
	"slices"
	"time"
	"unicode/utf16"

	"github.com/certtrust/certtrust/store"
)

// Edit is a keystore (JKS, JCEKS or PKCS#12) that single entries are taken out
// of and put into. The bytes of all other entries stay as they are, those of
// keys among them, and so does the way in which it is encrypted and vouched
// for: an entry that is put in and taken out again leaves the same file.
//
// For that a changed part is encrypted under the salt and initial vector that
// it had. What repeats then is certificates, which are public: a part that
// holds anything else is not changed.
type Edit struct {
	Format  string // as of [File]
	Entries []KeystoreEntry
	// Encrypted: certificates in it cannot be read without a password, which
	// Java does not have for its own keystore.
	Encrypted bool
	// Locked is why it cannot be changed, nil if it can: [store.ErrSecret] if
	// no password fits the digest that it ends with, which is also so for a
	// damaged file, or [store.ErrUnsupported].
	Locked error

	form editForm
	keys *derived
}

// derived is what was made of a password, which is meant to take long.
type derived struct {
	password *password
	cryptors map[string]cryptor // by the AlgorithmIdentifier
	makers   map[string]maker   // by MacData without its digest
}

// KeystoreEntry is an entry of a keystore.
type KeystoreEntry struct {
	// DER is the certificate of an entry that is one, or what is there in its
	// place; nil for every other entry. It is read by whoever needs to know
	// what it says: to put one beside it, that would be most of the work.
	DER    []byte
	SHA256 store.Fingerprint // of DER
	Alias  string            // untrusted text
	// Trusted: Java takes it for an anchor.
	Trusted bool
	// Key: a key, or a certificate that belongs to one.
	Key bool
	// Raw is the entry itself, Part which part of a PKCS#12 file it is in.
	Raw  []byte
	Part int
}

// editForm is a format of keystores that is edited.
type editForm interface {
	// entry returns a new entry for a certificate.
	entry(alias string, c *store.Cert, made time.Time) KeystoreEntry
	// parse reads an entry's own bytes.
	parse(raw []byte, part int) (KeystoreEntry, bool)
	// encode returns the file with these entries.
	encode(entries []KeystoreEntry) ([]byte, error)
}

// JavaPasswords are the passwords that Java's own keystores have, unless
// somebody has changed them.
func JavaPasswords() [][]byte { return [][]byte{[]byte(javaPassword), []byte("changeme")} }

// EditKeystore opens a keystore. Passwords are tried in their order, then none.
// The error is as that of [Keystore]: an Edit without an error has all entries,
// but for those of parts that no password opens, which are then Encrypted and
// Locked.
func EditKeystore(data []byte, passwords [][]byte) (*Edit, error) {
	return editKeystore(data, passwords, &derived{cryptors: map[string]cryptor{}, makers: map[string]maker{}})
}

// Again opens what has become of the keystore, with the password that it had.
func (e *Edit) Again(data []byte) (*Edit, error) {
	var passwords [][]byte
	if form, ok := e.form.(*jksForm); ok {
		passwords = [][]byte{form.password}
	}
	return editKeystore(data, passwords, e.keys)
}

func editKeystore(data []byte, passwords [][]byte, keys *derived) (*Edit, error) {
	if err := checkSize(data); err != nil {
		return nil, store.Because(store.ErrCorrupt, "%v", err) // it is a store, and not what somebody has given
	}
	format := recognise(data)
	switch {
	case format == nil || !format.keystore:
		return nil, store.Because(store.ErrCorrupt, "not a keystore (JKS, JCEKS or PKCS#12)")
	case format.name == "BCFKS":
		return nil, refusal("a BCFKS keystore", store.ErrUnsupported)
	case format.name == "PKCS#12":
		return editPKCS12(data, passwords, keys)
	}
	return editJKS(data, passwords)
}

// NewEntry returns an entry for a certificate that the keystore can take, under
// an alias in lower case and within the basic plane.
func (e *Edit) NewEntry(alias string, c *store.Cert, made time.Time) KeystoreEntry {
	return e.form.entry(alias, c, made)
}

// ParseEntry reads the Raw of an entry that was taken out of a keystore of the
// same kind. It is [store.ErrInput] for anything but the entry of a certificate.
func (e *Edit) ParseEntry(raw []byte, part int) (KeystoreEntry, error) {
	entry, ok := e.form.parse(raw, part)
	if !ok || entry.DER == nil || entry.Key {
		return KeystoreEntry{}, store.Because(store.ErrInput, "not the entry of a certificate in such a keystore")
	}
	return entry, nil
}

// Encode returns the keystore with these entries: some of its own, in the order
// that they have, and new ones.
func (e *Edit) Encode(entries []KeystoreEntry) ([]byte, error) {
	if e.Locked != nil {
		return nil, e.Locked
	}
	out, err := e.form.encode(entries)
	if err == nil && len(out) > MaxSize {
		err = store.Because(store.ErrUnsupported, "the keystore would be larger than %d MiB", MaxSize>>20)
	}
	return out, err
}

var errLocked = store.Because(store.ErrSecret, "no known password fits its digest: it has another password, or was damaged")

// jksForm is a JKS or JCEKS keystore.
type jksForm struct {
	head     []byte // magic and version
	version  uint32
	password []byte
}

func editJKS(data []byte, passwords [][]byte) (*Edit, error) {
	e := &Edit{Format: formatJKS(data), keys: &derived{}}
	var entry KeystoreEntry
	err := walkJKS(data, entry.certificate, func(head jksEntry, raw []byte, left uint32) {
		entry.of(head, raw)
		e.Entries = append(e.Entries, entry)
		entry = KeystoreEntry{}
		if left > 0 {
			e.Locked = store.Because(store.ErrUnsupported, "%d entries follow a secret key that does not tell its length", left)
		}
	})
	if err != nil {
		return nil, err
	}
	form := &jksForm{head: data[:8], version: binary.BigEndian.Uint32(data[4:])}
	if e.form = form; e.Locked != nil {
		return e, nil
	}
	body, sum := data[:len(data)-jksDigest], data[len(data)-jksDigest:]
	for _, p := range append(slices.Clone(passwords), nil) {
		if bytes.Equal(jksSum(p, rope{body}), sum) {
			form.password = p
			return e, nil
		}
	}
	e.Locked = errLocked
	return e, nil
}

// certificate takes the certificate of an entry that is one.
func (e *KeystoreEntry) certificate(head *jksEntry, _ uint32, der []byte, x509 bool) {
	if head.tag == jksCert && x509 {
		e.holds(der, true)
	}
}

// of takes all the rest.
func (e *KeystoreEntry) of(head jksEntry, raw []byte) {
	e.Alias, e.Key, e.Raw = head.alias, head.tag != jksCert, raw
}

func (e *KeystoreEntry) holds(der []byte, trusted bool) {
	e.DER, e.SHA256, e.Trusted = der, store.FingerprintOf(der), trusted
}

func (f *jksForm) parse(raw []byte, _ int) (entry KeystoreEntry, ok bool) {
	r := jksReader{rest: raw, version: f.version}
	entry.of(r.entry(entry.certificate), raw)
	return entry, !r.short && len(r.rest) == 0
}

func (f *jksForm) entry(alias string, c *store.Cert, made time.Time) KeystoreEntry {
	return KeystoreEntry{DER: c.Raw, SHA256: c.SHA256, Alias: alias, Trusted: true, Raw: appendJKS(nil, f.version, alias, c, made)}
}

func (f *jksForm) encode(entries []KeystoreEntry) ([]byte, error) {
	out := rope{binary.BigEndian.AppendUint32(slices.Clip(f.head), uint32(len(entries)))}
	for _, e := range entries {
		out = append(out, e.Raw)
	}
	return append(out, jksSum(f.password, out)).join(), nil
}

// p12Form is a PKCS#12 file in DER.
type p12Form struct {
	version []byte // the element
	parts   []p12Part
	mac     []byte // the content of MacData, nil if there is none
	maker   maker
	home    int // the part that new entries go to; len(parts) = a part of their own
}

// p12Part is a ContentInfo of the authenticated safe.
type p12Part struct {
	raw     []byte
	content []byte // its SafeContents, decrypted
	fixed   bool   // it stays as it is
	sealed  bool   // it is encrypted, as follows
	head    []byte // the elements before what is encrypted: version, and of the info type and algorithm
	info    []byte
	cryptor cryptor
}

// editPKCS12 opens what [readPKCS12] describes.
func editPKCS12(data []byte, passwords [][]byte, keys *derived) (*Edit, error) {
	r := newReading(passwords, len(data))
	e := &Edit{Format: "PKCS#12", keys: keys}
	form := &p12Form{home: -1}
	e.form = form
	safe, ok := form.outer(data)
	if !ok {
		return e, e.listed(data, passwords)
	}
	candidates := r.candidates()
	if keys.password != nil {
		candidates = []password{*keys.password}
	}
	if form.mac != nil {
		candidates = e.choose(r, form, safe, candidates)
	}
	parts, _, _ := take(safe, tagSequence)
	var owners []string
	ids := map[int]string{}
	for len(parts) > 0 {
		part, rest, ok := next(parts)
		if !ok {
			return nil, store.Because(store.ErrCorrupt, "damaged PKCS#12")
		}
		parts = rest
		number := len(form.parts)
		p, held, err := openPart(r, keys, part, candidates)
		if err != nil {
			e.Encrypted, p.fixed = true, true
			if e.Locked == nil && store.Code(err) != store.Code(store.ErrSecret) {
				e.Locked = err
			} else if e.Locked == nil {
				e.Locked = errLocked
			}
		}
		before := len(e.Entries)
		certs, anchors := 0, 0
		bags, _, _ := take(p.content, tagSequence)
		for len(bags) > 0 {
			bag, rest, ok := next(bags)
			if !ok {
				return nil, store.Because(store.ErrCorrupt, "damaged PKCS#12")
			}
			bags = rest
			entry, id, isKey, _ := readBag(bag.full, number)
			if isKey && id != "" {
				owners = append(owners, id)
			} else if id != "" {
				ids[len(e.Entries)] = id
			}
			if entry.DER != nil {
				certs++
			}
			if entry.Trusted {
				anchors++
			}
			e.Entries = append(e.Entries, entry)
		}
		e.Encrypted = e.Encrypted || p.sealed && certs > 0
		if own := e.Entries[before:]; p.sealed && certs != len(own) {
			p.fixed = true // what is not public is not encrypted twice under one key
		}
		if !p.fixed {
			p.fixed = !safeContents(e.Entries[before:]).is(p.content) || !p.around(rope{held}).is(p.raw)
		}
		if !p.fixed && (anchors > 0 || certs > 0 && form.home < 0) {
			if form.home < 0 || anchors > 0 {
				form.home = number
			}
		}
		form.parts = append(form.parts, p)
	}
	for i, id := range ids {
		e.Entries[i].Key = e.Entries[i].Key || slices.Contains(owners, id)
	}
	if form.home < 0 {
		form.home = len(form.parts)
	}
	if e.Locked == nil {
		if again, err := form.wrap(e.Entries); err != nil || !again.is(data) {
			e.Locked = store.Because(store.ErrUnsupported, "its encoding is unusual, and would not survive a change")
		}
	}
	return e, nil
}

// listed makes entries of what can only be read, in an encoding other than DER.
func (e *Edit) listed(data []byte, passwords [][]byte) error {
	e.Locked = store.Because(store.ErrUnsupported, "it is encoded in BER, not in DER as Java writes it")
	f, err := readPKCS12(newReading(passwords, len(data)), data)
	for _, item := range f.Items {
		e.Entries = append(e.Entries, KeystoreEntry{DER: item.Cert.Raw, SHA256: item.Cert.SHA256, Alias: item.Alias, Trusted: item.TrustedEntry, Key: item.HasKey})
	}
	if store.Code(err) == store.Code(store.ErrSecret) {
		e.Encrypted = true
		return nil
	}
	return err
}

// outer reads what is around the authenticated safe, which it returns.
func (f *p12Form) outer(data []byte) (safe []byte, ok bool) {
	if der, rest, whole := asDER(data); !whole || len(rest) > 0 || !bytes.Equal(der, data) {
		return nil, false
	}
	body, _, _ := take(data, tagSequence)
	version, body, _ := next(body)
	info, rest, _ := take(body, tagSequence)
	_, content, found := contentInfo(info)
	safe, _, whole := take(content, tagOctetString)
	if f.version = version.full; !found || !whole {
		return nil, false
	}
	if der, after, whole := asDER(safe); !whole || len(after) > 0 || !bytes.Equal(der, safe) {
		return nil, false
	}
	if f.mac, _, ok = take(rest, tagSequence); !ok {
		f.mac = nil
	}
	return safe, true
}

// choose finds the password that the digest was made with.
func (e *Edit) choose(r *reading, f *p12Form, safe []byte, candidates []password) []password {
	for _, p := range candidates {
		// Everything but the digest itself, which differs each time.
		info, rest, _ := take(f.mac, tagSequence)
		algorithm, digest, _ := next(info)
		name := string(slices.Concat(algorithm.full, rest))
		if m, known := e.keys.makers[name]; known && e.keys.password != nil {
			if value, _, ok := take(digest, tagOctetString); ok && hmac.Equal(m.sum(rope{safe}), value) {
				f.maker = m
				return candidates
			}
			continue
		}
		m, fits, err := r.macFits(f.mac, safe, p)
		if err != nil {
			e.Locked = err
			return candidates
		}
		if fits {
			f.maker, e.keys.makers[name], e.keys.password = m, m, &p
			return []password{p}
		}
	}
	e.Locked = errLocked
	return nil
}

// openPart opens a ContentInfo, and returns also what it holds as it is there.
// With an error it is to be kept as it is.
func openPart(r *reading, keys *derived, part element, candidates []password) (p p12Part, held []byte, err error) {
	p.raw = part.full
	kind, content, _ := contentInfo(part.value)
	if kind == oidData {
		octets, _, ok := take(content, tagOctetString)
		_, _, isList := take(octets, tagSequence)
		p.content, p.fixed = octets, !ok || !isList
		return p, octets, nil
	}
	p.sealed = true
	if kind != oidEncryptedData {
		return p, nil, store.Because(store.ErrUnsupported, "a part of it is encrypted for the holder of a key")
	}
	body, _, _ := take(content, tagSequence)
	version, body, _ := next(body)
	info, after, _ := take(body, tagSequence)
	typ, rest, _ := next(info)
	algorithm, rest, _ := next(rest)
	e, tail, ok := next(rest)
	if !ok || e.tag != tagContext0&^0x20 || len(after)+len(tail) > 0 {
		return p, nil, store.Because(store.ErrUnsupported, "a part of it is encrypted in an unusual form")
	}
	p.head, p.info = version.full, slices.Concat(typ.full, algorithm.full)
	err = errPassword
	for _, candidate := range candidates {
		var out []byte
		known := false
		if p.cryptor, known = keys.cryptors[string(algorithm.value)]; !known {
			if p.cryptor, err = r.cryptor(algorithm.value, candidate); err != nil {
				return p, nil, err
			}
		}
		if out, err = p.cryptor.decrypt(e.value); err == nil {
			_, after, ok := take(out, tagSequence)
			if der, _, whole := asDER(out); ok && whole && len(after) == 0 && bytes.Equal(der, out) {
				keys.cryptors[string(algorithm.value)], p.content = p.cryptor, out
				return p, e.value, nil
			}
			err = errPassword
		}
	}
	return p, nil, err
}

// safeContents returns entries as a part has them.
func safeContents(entries []KeystoreEntry) rope {
	var bags rope
	for _, e := range entries {
		bags = append(bags, e.Raw)
	}
	return wrap(tagSequence, bags)
}

// around returns the part that holds what was encrypted, if it is to be.
func (p *p12Part) around(held rope) rope {
	if !p.sealed {
		return wrap(tagSequence, rope{encode(tagOID, []byte(oidData))}, wrap(tagContext0, wrap(tagOctetString, held)))
	}
	info := wrap(tagSequence, rope{p.info}, wrap(tagContext0&^0x20, held))
	return wrap(tagSequence, rope{encode(tagOID, []byte(oidEncryptedData))}, wrap(tagContext0, wrap(tagSequence, rope{p.head}, info)))
}

// encode returns the part with these contents.
func (p *p12Part) encode(content rope) (rope, error) {
	if p.raw != nil && content.is(p.content) {
		return rope{p.raw}, nil
	}
	if p.sealed {
		out, err := p.cryptor.encrypt(content)
		if err != nil {
			return nil, err
		}
		content = rope{out}
	}
	return p.around(content), nil
}

func (f *p12Form) encode(entries []KeystoreEntry) ([]byte, error) {
	out, err := f.wrap(entries)
	return out.join(), err
}

// wrap leaves parts that are not changed as they are. One that is left without
// an entry goes, unless it never had any.
func (f *p12Form) wrap(entries []KeystoreEntry) (rope, error) {
	var safe rope
	for number := range len(f.parts) + 1 {
		p := p12Part{}
		if number < len(f.parts) {
			p = f.parts[number]
		}
		var own []KeystoreEntry
		for _, e := range entries {
			if min(e.Part, len(f.parts)) == number {
				own = append(own, e)
			}
		}
		if p.fixed {
			safe = append(safe, p.raw)
			continue
		}
		if len(own) == 0 && (number == len(f.parts) || p.full()) {
			continue
		}
		part, err := p.encode(safeContents(own))
		if err != nil {
			return nil, err
		}
		safe = append(safe, part...)
	}
	safe = wrap(tagSequence, safe)
	out := []rope{{f.version}, wrap(tagSequence, rope{encode(tagOID, []byte(oidData))}, wrap(tagContext0, wrap(tagOctetString, safe)))}
	if f.mac != nil {
		mac, err := f.vouch(safe)
		if err != nil {
			return nil, err
		}
		out = append(out, rope{mac})
	}
	return wrap(tagSequence, out...), nil
}

// full reports whether a part has entries in the file as it is. Those that are
// encrypted are never left empty, or their salt and vector would be lost.
func (p *p12Part) full() bool { return !p.sealed && !safeContents(nil).is(p.content) }

// vouch returns MacData for content.
func (f *p12Form) vouch(content rope) ([]byte, error) {
	info, rest, _ := take(f.mac, tagSequence)
	algorithm, _, ok := next(info)
	if !ok || f.maker.newHash == nil {
		return nil, errLocked
	}
	return encode(tagSequence, encode(tagSequence, algorithm.full, encode(tagOctetString, f.maker.sum(content))), rest), nil
}

// readBag reads a SafeBag, and to which key it belongs.
func readBag(raw []byte, part int) (entry KeystoreEntry, id string, isKey, ok bool) {
	entry = KeystoreEntry{Raw: raw, Part: part}
	bag, after, ok := take(raw, tagSequence)
	oid, rest, known := take(bag, tagOID)
	value, rest, found := take(rest, tagContext0)
	if !ok || !known || !found || len(after) > 0 {
		return entry, "", false, false
	}
	trusted := false
	if attributes, _, has := take(rest, tagSet); has {
		entry.Alias, trusted, id = bagAttributes(attributes)
	}
	switch lastArc(oid, oidBags) {
	case 1, 2, 5: // keyBag, pkcs8ShroudedKeyBag, secretBag
		entry.Key = true
		return entry, id, true, true
	case 3:
		seq, _, _ := take(value, tagSequence)
		kind, content, _ := contentInfo(seq)
		der, _, whole := take(content, tagOctetString)
		if whole && kind == oidX509 && !mayHoldKey(der) {
			entry.holds(der, trusted)
		}
	}
	return entry, id, false, true
}

func (f *p12Form) parse(raw []byte, part int) (KeystoreEntry, bool) {
	if der, rest, whole := asDER(raw); !whole || len(rest) > 0 || !bytes.Equal(der, raw) {
		return KeystoreEntry{}, false
	}
	if part < 0 || part >= len(f.parts) || f.parts[part].fixed {
		part = f.home
	}
	entry, _, _, ok := readBag(raw, part)
	return entry, ok
}

// entry marks the certificate as Java wants an anchor marked.
func (f *p12Form) entry(alias string, c *store.Cert, _ time.Time) KeystoreEntry {
	var name []byte
	for _, unit := range utf16.Encode([]rune(alias)) {
		name = append(name, byte(unit>>8), byte(unit))
	}
	attribute := func(oid string, value []byte) []byte {
		return encode(tagSequence, encode(tagOID, []byte(oid)), encode(tagSet, value))
	}
	attributes := [][]byte{
		attribute(oidFriendlyName, encode(tagBMPString, name)),
		attribute(oidTrusted, encode(tagOID, []byte("\x55\x1d\x25\x00"))), // anyExtendedKeyUsage
	}
	slices.SortFunc(attributes, bytes.Compare) // DER
	cert := encode(tagSequence, encode(tagOID, []byte(oidX509)), encode(tagContext0, encode(tagOctetString, c.Raw)))
	raw := encode(tagSequence, encode(tagOID, []byte(oidBags+"\x03")), encode(tagContext0, cert), encode(tagSet, attributes...))
	return KeystoreEntry{DER: c.Raw, SHA256: c.SHA256, Alias: alias, Trusted: true, Raw: raw, Part: f.home}
}

// Made is the time at which an entry was put into a JKS or JCEKS keystore, as
// it is written there; "" where that is not told.
func (e KeystoreEntry) Made() string {
	if e.DER == nil || len(e.Raw) < 6 || !bytes.HasPrefix(e.Raw, []byte{0, 0, 0, jksCert}) {
		return ""
	}
	at := 6 + int(binary.BigEndian.Uint16(e.Raw[4:]))
	if len(e.Raw) < at+8 {
		return ""
	}
	return string(e.Raw[at : at+8])
}
