package nss

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"hash"
	"io"
	"sync"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// How key4.db is protected (sftkpwd.c and lowpbe.c of NSS): the password makes
// a key that encrypts a known text, by which it is recognized, and that signs
// the attributes of trust objects.

// What a hostile database can cost: a single key, a thousand times what NSS uses
// and a second or two; and all of its keys together, after which signatures are
// not checked any more.
const (
	maxIterations = 10_000_000
	maxWork       = 40_000_000
	maxKeys       = 100_000
)

// The number of iterations that NSS uses for a database without and with a
// password.
const (
	iterationsEmpty    = 1
	iterationsPassword = 10_000
)

var passwordCheck = []byte("password-check")

var (
	oidPBES2      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBMAC1     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 14}
	oidPBKDF2     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidHMACSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidHMACSHA1   = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 7}
	oidHMACSHA384 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 10}
	oidHMACSHA512 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 11}
	oidAES256CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
	oid3DES       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 5, 1, 3}
)

// hashes are the pseudo-random functions that PBKDF2 may use, and the hashes of
// MACs.
var hashes = []struct {
	oid asn1.ObjectIdentifier
	new func() hash.Hash
}{
	{oidHMACSHA256, sha256.New}, {oidHMACSHA1, sha1.New}, {oidHMACSHA384, sha512.New384}, {oidHMACSHA512, sha512.New},
}

func hashOf(oid asn1.ObjectIdentifier) func() hash.Hash {
	for _, h := range hashes {
		if h.oid.Equal(oid) {
			return h.new
		}
	}
	return nil
}

// algorithm is an AlgorithmIdentifier.
type algorithm struct {
	OID        asn1.ObjectIdentifier
	Parameters asn1.RawValue `asn1:"optional"`
}

// protected is what is encrypted or signed with a password.
type protected struct {
	Algorithm algorithm
	Data      []byte
}

// pbParameters are those of PBES2 and PBMAC1.
type pbParameters struct{ Derive, Scheme algorithm }

// pbkdf2Parameters are those of PBKDF2.
type pbkdf2Parameters struct {
	Salt       []byte
	Iterations int
	Length     int       `asn1:"optional"`
	PRF        algorithm `asn1:"optional"`
}

// pkcs12Parameters are those of the older encryption.
type pkcs12Parameters struct {
	Salt       []byte
	Iterations int
}

// unreadable is the error of what is protected in no known way.
func unreadable(what string) error {
	return store.Because(store.ErrCorrupt, "key4.db: %s is in no known form", what)
}

// derived remembers the keys that were derived, of which all signatures that
// were made in one go share one. It may be used by several goroutines at once.
type derived struct {
	key  keyring
	mu   sync.Mutex
	keys map[string][]byte
	left int // iterations that may still be made
	sign *signer

	checkers map[string]*checker // by algorithm
}

// keyring is the key that the password makes: what the others are derived from.
type keyring []byte

// passKey makes the key of a password.
func passKey(salt, password []byte) keyring {
	if len(salt) == sha512.Size384 {
		h := sha512.New384()
		h.Write(salt)
		h.Write(password)
		return h.Sum(nil)
	}
	h := sha1.New()
	h.Write(salt)
	h.Write(password)
	return h.Sum(nil)
}

func newDerived(key keyring) *derived {
	return &derived{key: key, keys: map[string][]byte{}, left: maxWork, checkers: map[string]*checker{}}
}

// The errors of derive.
var (
	errForm = errors.New("it is in no known form")
	errCost = errors.New("it costs too much")
)

// derive returns the key that PBKDF2 makes. The error is errForm or errCost.
func (d *derived) derive(a algorithm, size int) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id := string(a.Parameters.FullBytes) + string(rune(size))
	if key, ok := d.keys[id]; ok {
		return key, nil
	}
	var p pbkdf2Parameters
	if !a.OID.Equal(oidPBKDF2) {
		return nil, errForm
	}
	if rest, err := asn1.Unmarshal(a.Parameters.FullBytes, &p); err != nil || len(rest) > 0 {
		return nil, errForm
	}
	prf := sha1.New
	if p.PRF.OID != nil {
		prf = hashOf(p.PRF.OID)
	}
	if p.Length != 0 {
		size = p.Length
	}
	if prf == nil || p.Iterations < 1 || size < 16 || size > 64 || len(p.Salt) > 1<<10 {
		return nil, errForm
	}
	if p.Iterations > maxIterations || p.Iterations > d.left || len(d.keys) >= maxKeys {
		return nil, errCost
	}
	d.left -= p.Iterations
	key, err := pbkdf2.Key(prf, string(d.key), p.Salt, p.Iterations, size)
	if err != nil {
		return nil, errForm
	}
	d.keys[id] = key
	return key, nil
}

// signature is one signed attribute.
type signature struct {
	object uint32
	attr   attribute
	value  []byte // as stored
}

// write writes what is signed.
func (s signature) write(to io.Writer) {
	var head [8]byte
	binary.BigEndian.PutUint32(head[:], s.object)
	binary.BigEndian.PutUint32(head[4:], uint32(s.attr))
	to.Write(head[:])
	to.Write(s.value)
}

// verdict is what a signature turned out to be.
type verdict int

const (
	bad verdict = iota
	good
	tooCostly // to be checked
)

// verify tells whether der is a signature of s.
func (d *derived) verify(s signature, der []byte) verdict {
	tag, content, _, rest, ok := element(der)
	if !ok || tag != 0x30 || len(rest) > 0 {
		return bad
	}
	_, _, id, content, ok := element(content)
	if !ok {
		return bad
	}
	tag, mac, _, rest, ok := element(content)
	if !ok || tag != 0x04 || len(rest) > 0 {
		return bad
	}
	c := d.checker(id)
	if c.mac == nil {
		return c.verdict
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mac.Reset()
	s.write(c.mac)
	if !hmac.Equal(c.mac.Sum(c.sum[:0]), mac) {
		return bad
	}
	return good
}

// checker checks signatures of one algorithm with its parameters. Without a MAC
// there is nothing to be checked with, and what there is instead is its verdict.
type checker struct {
	mu      sync.Mutex
	mac     hash.Hash
	sum     [64]byte
	verdict verdict
}

// checker returns what checks signatures of an algorithm.
func (d *derived) checker(id []byte) *checker {
	d.mu.Lock()
	c := d.checkers[string(id)]
	d.mu.Unlock()
	if c != nil {
		return c
	}
	c = &checker{verdict: bad}
	var a algorithm
	var params pbParameters
	if rest, err := asn1.Unmarshal(id, &a); err == nil && len(rest) == 0 && a.OID.Equal(oidPBMAC1) {
		if _, err := asn1.Unmarshal(a.Parameters.FullBytes, &params); err == nil {
			if h := hashOf(params.Scheme.OID); h != nil {
				key, err := d.derive(params.Derive, h().Size())
				switch {
				case err == errCost:
					return &checker{verdict: tooCostly}
				case err == nil:
					c.mac = hmac.New(h, key)
				}
			}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.checkers[string(id)] = c
	return c
}

// signer signs attributes, all with one salt.
type signer struct {
	key []byte
	all []byte // a signature, of which only the MAC at the end changes
	mac hash.Hash
}

// signer returns what signs, with a new salt the first time. That it can be made
// does not depend on what the database has cost already.
func (d *derived) signer(iterations int) (*signer, error) {
	d.mu.Lock()
	made := d.sign
	d.left += min(iterations, maxIterations)
	d.mu.Unlock()
	if made != nil {
		return made.again(), nil
	}
	salt := make([]byte, 32)
	rand.Read(salt) // never fails
	derive, err := pbkdf2With(salt, iterations)
	if err != nil {
		return nil, err
	}
	params, err := asn1.Marshal(pbParameters{derive, algorithm{OID: oidHMACSHA256}})
	if err != nil {
		return nil, err
	}
	key, err := d.derive(derive, sha256.Size)
	if err != nil {
		return nil, store.Because(store.ErrCorrupt, "key4.db: no key for signatures can be made: %w", err)
	}
	all, err := asn1.Marshal(protected{algorithm{oidPBMAC1, asn1.RawValue{FullBytes: params}}, make([]byte, sha256.Size)})
	if err != nil {
		return nil, err
	}
	made = &signer{key: key, all: all}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sign = made
	return made.again(), nil
}

// again returns a signer for one transaction.
func (g *signer) again() *signer { return &signer{g.key, g.all, hmac.New(sha256.New, g.key)} }

// pbkdf2With is the algorithm with parameters as NSS writes them.
func pbkdf2With(salt []byte, iterations int) (algorithm, error) {
	params, err := asn1.Marshal(pbkdf2Parameters{salt, iterations, 32, algorithm{OID: oidHMACSHA256}})
	return algorithm{oidPBKDF2, asn1.RawValue{FullBytes: params}}, err
}

// sign returns the signature of s.
func (g *signer) sign(s signature) []byte {
	g.mac.Reset()
	s.write(g.mac)
	der := bytes.Clone(g.all)
	return g.mac.Sum(der[:len(der)-sha256.Size])
}

// passwordEntry is the row of metaData by which a password is recognized.
type passwordEntry struct{ salt, check []byte }

// iterations returns how often the entry makes keys be derived, which is what
// signatures use too.
func (e passwordEntry) iterations() int {
	var p protected
	var params pbParameters
	var derive pbkdf2Parameters
	var old pkcs12Parameters
	if _, err := asn1.Unmarshal(e.check, &p); err != nil {
		return iterationsPassword
	}
	if p.Algorithm.OID.Equal(oid3DES) {
		if _, err := asn1.Unmarshal(p.Algorithm.Parameters.FullBytes, &old); err == nil && old.Iterations > 0 && old.Iterations <= maxIterations {
			return old.Iterations
		}
		return iterationsPassword
	}
	if _, err := asn1.Unmarshal(p.Algorithm.Parameters.FullBytes, &params); err == nil {
		if _, err := asn1.Unmarshal(params.Derive.Parameters.FullBytes, &derive); err == nil && derive.Iterations > 0 && derive.Iterations <= maxIterations {
			return derive.Iterations
		}
	}
	return iterationsPassword
}

// unlock returns what the password's key derives, nil if it is a wrong one. The
// error tells of an entry in no known form.
func (e passwordEntry) unlock(password host.Secret) (*derived, error) {
	d := newDerived(passKey(e.salt, password.Bytes()))
	text, err := d.decrypt(e.check)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(text, passwordCheck) {
		return nil, nil
	}
	return d, nil
}

// decrypt returns the text, nil if the key is a wrong one.
func (d *derived) decrypt(der []byte) ([]byte, error) {
	bad := unreadable("the password entry")
	costly := store.Because(store.ErrCorrupt, "key4.db: the password entry wants a key to be derived with more than %d iterations", maxIterations)
	var p protected
	if _, err := asn1.Unmarshal(der, &p); err != nil {
		return nil, bad
	}
	var block cipher.Block
	var iv []byte
	switch {
	case p.Algorithm.OID.Equal(oid3DES):
		var params pkcs12Parameters
		if _, err := asn1.Unmarshal(p.Algorithm.Parameters.FullBytes, &params); err != nil || params.Iterations < 1 {
			return nil, bad
		}
		if params.Iterations > maxIterations {
			return nil, costly
		}
		key := d.stretch(params)
		var err error
		if block, err = des.NewTripleDESCipher(key[:24]); err != nil {
			return nil, bad
		}
		iv = key[len(key)-8:]
	case p.Algorithm.OID.Equal(oidPBES2):
		var params pbParameters
		if _, err := asn1.Unmarshal(p.Algorithm.Parameters.FullBytes, &params); err != nil || !params.Scheme.OID.Equal(oidAES256CBC) {
			return nil, bad
		}
		key, err := d.derive(params.Derive, 32)
		switch {
		case err == errCost:
			return nil, costly
		case err != nil:
			return nil, bad
		}
		// The vector is the whole element with its tag and length, when that
		// is as long as a block; else what is in it.
		if iv = params.Scheme.Parameters.FullBytes; len(iv) != aes.BlockSize {
			iv = params.Scheme.Parameters.Bytes
		}
		if block, err = aes.NewCipher(key); err != nil || len(iv) != aes.BlockSize {
			return nil, bad
		}
	default:
		return nil, bad
	}
	size := block.BlockSize()
	if len(p.Data) == 0 || len(p.Data)%size != 0 || len(p.Data) > 1<<16 {
		return nil, bad
	}
	text := make([]byte, len(p.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(text, p.Data)
	pad := int(text[len(text)-1])
	if pad < 1 || pad > size || !bytes.Equal(text[len(text)-pad:], bytes.Repeat([]byte{byte(pad)}, pad)) {
		return nil, nil
	}
	return text[:len(text)-pad], nil
}

// stretch is the derivation of the older encryption: PBKDF1, and then HMACs of
// its result.
func (d *derived) stretch(p pkcs12Parameters) []byte {
	sum := sha1.Sum(append(bytes.Clone(d.key), p.Salt...))
	for range p.Iterations - 1 {
		sum = sha1.Sum(sum[:])
	}
	mac := func(parts ...[]byte) []byte {
		m := hmac.New(sha1.New, sum[:])
		for _, part := range parts {
			m.Write(part)
		}
		return m.Sum(nil)
	}
	padded := make([]byte, max(sha1.Size, len(p.Salt)))
	copy(padded, p.Salt)
	return append(mac(padded, p.Salt), mac(mac(padded), p.Salt)...)
}

// newPasswordEntry makes the entry of a new database.
func newPasswordEntry(password []byte) (passwordEntry, error) {
	salt, derive, vector := make([]byte, sha1.Size), make([]byte, 32), make([]byte, 14)
	for _, b := range [][]byte{salt, derive, vector} {
		rand.Read(b) // never fails
	}
	iterations := iterationsEmpty
	if len(password) > 0 {
		iterations = iterationsPassword
	}
	d := newDerived(passKey(salt, password))
	with, err := pbkdf2With(derive, iterations)
	if err != nil {
		return passwordEntry{}, err
	}
	key, err := d.derive(with, 32)
	if err != nil {
		return passwordEntry{}, err
	}
	iv, err := asn1.Marshal(vector)
	if err != nil {
		return passwordEntry{}, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return passwordEntry{}, err
	}
	pad := aes.BlockSize - len(passwordCheck)%aes.BlockSize
	text := append(bytes.Clone(passwordCheck), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(text, text)
	params, err := asn1.Marshal(pbParameters{with, algorithm{oidAES256CBC, asn1.RawValue{FullBytes: iv}}})
	if err != nil {
		return passwordEntry{}, err
	}
	check, err := asn1.Marshal(protected{algorithm{oidPBES2, asn1.RawValue{FullBytes: params}}, text})
	return passwordEntry{salt, check}, err
}
