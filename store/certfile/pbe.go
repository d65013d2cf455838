package certfile

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rc4"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"math/big"
	"unicode/utf16"

	"github.com/certtrust/certtrust/store"
)

// Encryption with a password, as PKCS#12 files of the last thirty years have
// it: the schemes of RFC 7292, C, and those of RFC 8018. Nothing new is begun
// with them: a keystore that is changed keeps what it has.

// The object identifiers, in DER without tag and length.
const (
	oidPKCS12PBE = "\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01" // 1.2.840.113549.1.12.1, and one arc more
	oidPBES2     = "\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d" // 1.2.840.113549.1.5.13
	oidPBMAC1    = "\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0e" // 1.2.840.113549.1.5.14
	oidPBKDF2    = "\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0c" // 1.2.840.113549.1.5.12
	oidScrypt    = "\x2b\x06\x01\x04\x01\xda\x47\x04\x0b" // 1.3.6.1.4.1.11591.4.11
	oidHMAC      = "\x2a\x86\x48\x86\xf7\x0d\x02"         // 1.2.840.113549.2, and one arc more
	oidAES       = "\x60\x86\x48\x01\x65\x03\x04\x01"     // 2.16.840.1.101.3.4.1, and one arc more
	oidDES3      = "\x2a\x86\x48\x86\xf7\x0d\x03\x07"     // 1.2.840.113549.3.7
	oidRC2       = "\x2a\x86\x48\x86\xf7\x0d\x03\x02"     // 1.2.840.113549.3.2
	oidSHA1      = "\x2b\x0e\x03\x02\x1a"                 // 1.3.14.3.2.26
	oidSHA2      = "\x60\x86\x48\x01\x65\x03\x04\x02"     // 2.16.840.1.101.3.4.2, and one arc more
)

// pkcs12Schemes are those of RFC 7292, C, by their last arc. All take SHA-1.
var pkcs12Schemes = map[byte]struct {
	key   int
	block func(key []byte) (cipher.Block, error) // nil: RC4
}{
	1: {16, nil},
	2: {5, nil},
	3: {24, des.NewTripleDESCipher},
	4: {16, twoKeyTripleDES},
	5: {16, rc2Block},
	6: {5, rc2Block},
}

func twoKeyTripleDES(key []byte) (cipher.Block, error) {
	return des.NewTripleDESCipher(append(bytes.Clone(key), key[:8]...))
}

func rc2Block(key []byte) (cipher.Block, error) { return newRC2(key), nil }

// hashes by the last arc of their HMAC (RFC 8018, B.1.2) and by that of
// oidSHA2.
var (
	hmacHashes = map[byte]func() hash.Hash{7: sha1.New, 8: sha256.New224, 9: sha256.New, 10: sha512.New384, 11: sha512.New}
	sha2Hashes = map[byte]func() hash.Hash{1: sha256.New, 2: sha512.New384, 3: sha512.New, 4: sha256.New224}
)

// lastArc returns the last arc of oid if the rest of it is prefix, else 0.
func lastArc(oid []byte, prefix string) byte {
	if len(oid) == len(prefix)+1 && string(oid[:len(prefix)]) == prefix {
		return oid[len(prefix)]
	}
	return 0
}

// password is a password in the two forms that are needed.
type password struct {
	utf8 []byte
	bmp  []byte // big endian, with two zeros at the end: RFC 7292, B.1
}

func newPassword(utf8 []byte) password {
	p := password{utf8: utf8}
	for _, unit := range append(utf16.Encode([]rune(string(utf8))), 0) {
		p.bmp = append(p.bmp, byte(unit>>8), byte(unit))
	}
	return p
}

// candidates are the passwords to try: those given, an empty one, and none.
func (r *reading) candidates() []password {
	var out []password
	for _, p := range r.passwords {
		out = append(out, newPassword(p))
	}
	return append(out, newPassword(nil), password{})
}

// spend takes the cost of a key off what the reading may cost.
func (r *reading) spend(iterations, blocks int) error {
	if iterations < 1 || iterations > r.derivation/max(blocks, 1) {
		return store.Because(store.ErrUnsupported, "its password is hashed %d times, which is more than is done here", iterations)
	}
	r.derivation -= iterations * max(blocks, 1)
	return nil
}

// number reads a small INTEGER, -1 for one that is not.
func number(value []byte) int {
	if len(value) == 0 || len(value) > 4 || value[0]&0x80 != 0 {
		return -1
	}
	n := 0
	for _, b := range value {
		n = n<<8 | int(b)
	}
	return n
}

var errScheme = store.Because(store.ErrUnsupported, "it is encrypted in a way that is not known here")

// cryptor is a cipher with the key and all else that a password and an
// AlgorithmIdentifier make of it.
type cryptor struct {
	block cipher.Block
	iv    []byte
	rc4   []byte // the key, in place of a block
}

// decrypt decrypts what the algorithm, the content of an AlgorithmIdentifier,
// has encrypted. A wrong password usually gives something that ends wrongly, an
// error of the kind [store.ErrSecret].
func (r *reading) decrypt(algorithm, data []byte, p password) ([]byte, error) {
	c, err := r.cryptor(algorithm, p)
	if err != nil {
		return nil, err
	}
	return c.decrypt(data)
}

func (r *reading) cryptor(algorithm []byte, p password) (c cryptor, err error) {
	oid, params, ok := take(algorithm, tagOID)
	params, _, found := take(params, tagSequence)
	if !ok || !found {
		return c, errScheme
	}
	if string(oid) == oidPBES2 {
		return r.cryptorPBES2(params, p)
	}
	scheme, ok := pkcs12Schemes[lastArc(oid, oidPKCS12PBE)]
	salt, rest, found := take(params, tagOctetString)
	count, _, counted := take(rest, tagInteger)
	if !ok || !found || !counted {
		return c, errScheme
	}
	key, err := r.pkcs12Key(sha1.New, p.bmp, salt, number(count), 1, scheme.key)
	if err != nil {
		return c, err
	}
	if scheme.block == nil {
		return cryptor{rc4: key}, nil
	}
	if c.iv, err = r.pkcs12Key(sha1.New, p.bmp, salt, number(count), 2, 8); err != nil {
		return c, err
	}
	if c.block, err = scheme.block(key); err != nil {
		return c, errScheme
	}
	return c, nil
}

// cryptorPBES2 reads PBES2-params ::= SEQUENCE { keyDerivationFunc,
// encryptionScheme } (RFC 8018, A.4).
func (r *reading) cryptorPBES2(params []byte, p password) (c cryptor, err error) {
	kdf, rest, ok := take(params, tagSequence)
	scheme, _, found := take(rest, tagSequence)
	cipherOID, cipherParams, known := take(scheme, tagOID)
	if !ok || !found || !known {
		return c, errScheme
	}
	iv, _, hasIV := take(cipherParams, tagOctetString)
	var size int
	block := aes.NewCipher
	switch arc := lastArc(cipherOID, oidAES); {
	case arc == 2 || arc == 22 || arc == 42:
		size = 16 + 8*int(arc/20)
	case string(cipherOID) == oidDES3:
		size, block = 24, des.NewTripleDESCipher
	case string(cipherOID) == oidRC2: // SEQUENCE { version INTEGER, iv }
		version, _, _ := take(cipherParams, tagSequence)
		if v, rest, ok := take(version, tagInteger); ok {
			iv, _, hasIV = take(rest, tagOctetString)
			size, block = map[int]int{58: 16, 120: 8, 160: 5}[number(v)], rc2Block
		}
	}
	if size == 0 || !hasIV {
		return c, errScheme
	}
	key, err := r.pbkdf2(kdf, p.utf8, size)
	if err != nil {
		return c, err
	}
	c.iv = iv
	if c.block, err = block(key); err != nil {
		return c, errScheme
	}
	return c, nil
}

// pbkdf2 makes a key of that size, as the content of an AlgorithmIdentifier
// tells (RFC 8018, A.2).
func (r *reading) pbkdf2(kdf, password []byte, size int) ([]byte, error) {
	oid, params, _ := take(kdf, tagOID)
	params, _, ok := take(params, tagSequence)
	salt, rest, found := take(params, tagOctetString)
	count, rest, counted := take(rest, tagInteger)
	if string(oid) == oidScrypt {
		return nil, store.Because(store.ErrUnsupported, "its key is made with scrypt, which is not known here")
	}
	if string(oid) != oidPBKDF2 || !ok || !found || !counted {
		return nil, errScheme
	}
	if length, after, ok := take(rest, tagInteger); ok {
		if size == 0 { // PBMAC1 tells the length here alone
			size = number(length)
		}
		rest = after
	}
	if size < 1 || size > 64 {
		return nil, errScheme
	}
	newHash := sha1.New
	if prf, _, ok := take(rest, tagSequence); ok {
		prfOID, _, _ := take(prf, tagOID)
		if newHash = hmacHashes[lastArc(prfOID, oidHMAC)]; newHash == nil {
			return nil, errScheme
		}
	}
	if err := r.spend(number(count), 2*((size+newHash().Size()-1)/newHash().Size())); err != nil {
		return nil, err
	}
	key, err := pbkdf2.Key(newHash, string(password), salt, number(count), size)
	if err != nil {
		return nil, errScheme
	}
	return key, nil
}

// errPassword is what decrypting with a wrong password usually gives.
var errPassword = store.Because(store.ErrSecret, "the password is wrong")

func (c cryptor) decrypt(data []byte) ([]byte, error) {
	out := make([]byte, len(data))
	if c.rc4 != nil {
		return out, c.stream(out, data)
	}
	size := c.block.BlockSize()
	if len(c.iv) != size || len(data) == 0 || len(data)%size != 0 {
		return nil, store.Because(store.ErrCorrupt, "what is encrypted is cut short")
	}
	cipher.NewCBCDecrypter(c.block, c.iv).CryptBlocks(out, data)
	pad := int(out[len(out)-1])
	if pad < 1 || pad > size || !bytes.Equal(out[len(out)-pad:], bytes.Repeat([]byte{byte(pad)}, pad)) {
		return nil, errPassword
	}
	return out[:len(out)-pad], nil
}

// encrypt is the reverse of decrypt, under the same key and initial vector: what
// was decrypted becomes what it was.
func (c cryptor) encrypt(data rope) ([]byte, error) {
	if c.rc4 != nil {
		out := data.join()
		return out, c.stream(out, out)
	}
	size := c.block.BlockSize()
	pad := size - data.len()%size
	out := append(data, bytes.Repeat([]byte{byte(pad)}, pad)).join()
	cipher.NewCBCEncrypter(c.block, c.iv).CryptBlocks(out, out)
	return out, nil
}

func (c cryptor) stream(out, data []byte) error {
	s, err := rc4.NewCipher(c.rc4)
	if err != nil {
		return errScheme
	}
	s.XORKeyStream(out, data)
	return nil
}

// pkcs12Key derives size bytes for a purpose: 1 a key, 2 an initial vector, 3
// a key for a MAC (RFC 7292, B.2).
func (r *reading) pkcs12Key(newHash func() hash.Hash, password, salt []byte, iterations int, purpose byte, size int) ([]byte, error) {
	h := newHash()
	u, v := h.Size(), h.BlockSize()
	if err := r.spend(iterations, (size+u-1)/u); err != nil {
		return nil, err
	}
	if len(salt) > 1<<10 || len(password) > 1<<12 {
		return nil, errScheme
	}
	fill := func(b []byte) []byte {
		var out []byte
		for len(b) > 0 && len(out) < v*((len(b)+v-1)/v) {
			out = append(out, b...)
		}
		return out[:len(out)/v*v]
	}
	d := bytes.Repeat([]byte{purpose}, v)
	i := append(fill(salt), fill(password)...)
	var out []byte
	for {
		h.Reset()
		h.Write(d)
		h.Write(i)
		a := h.Sum(nil)
		for range iterations - 1 {
			h.Reset()
			h.Write(a)
			a = h.Sum(a[:0])
		}
		if out = append(out, a...); len(out) >= size {
			return out[:size], nil
		}
		b := new(big.Int).SetBytes(bytes.Repeat(a, v/u+1)[:v])
		b.Add(b, big.NewInt(1))
		limit := new(big.Int).Lsh(big.NewInt(1), uint(8*v))
		for j := 0; j < len(i); j += v {
			n := new(big.Int).SetBytes(i[j : j+v])
			n.Add(n, b).Mod(n, limit).FillBytes(i[j : j+v])
		}
	}
}

// maker makes the digest that MacData has.
type maker struct {
	newHash func() hash.Hash
	key     []byte
}

func (m maker) sum(content rope) []byte {
	mac := hmac.New(m.newHash, m.key)
	for _, piece := range content {
		mac.Write(piece)
	}
	return mac.Sum(nil)
}

// macFits reports whether MacData of content was made with the password, and
// returns what makes it.
func (r *reading) macFits(macData, content []byte, p password) (maker, bool, error) {
	m, digest, err := r.maker(macData, p)
	return m, err == nil && hmac.Equal(m.sum(rope{content}), digest), err
}

// maker reads MacData (RFC 7292, 4; RFC 9579).
//
//	MacData ::= SEQUENCE { DigestInfo, salt OCTET STRING, iterations INTEGER DEFAULT 1 }
func (r *reading) maker(macData []byte, p password) (m maker, digest []byte, err error) {
	info, rest, ok := take(macData, tagSequence)
	algorithm, digest, found := take(info, tagSequence)
	digest, _, known := take(digest, tagOctetString)
	salt, rest, salted := take(rest, tagOctetString)
	if !ok || !found || !known || !salted {
		return m, nil, store.Because(store.ErrCorrupt, "its digest cannot be read")
	}
	iterations := 1
	if count, _, ok := take(rest, tagInteger); ok {
		iterations = number(count)
	}
	oid, params, _ := take(algorithm, tagOID)
	if string(oid) == oidPBMAC1 {
		params, _, _ = take(params, tagSequence)
		kdf, rest, _ := take(params, tagSequence)
		scheme, _, _ := take(rest, tagSequence)
		hmacOID, _, _ := take(scheme, tagOID)
		if m.newHash = hmacHashes[lastArc(hmacOID, oidHMAC)]; m.newHash == nil {
			return m, nil, errScheme
		}
		m.key, err = r.pbkdf2(kdf, p.utf8, 0)
		return m, digest, err
	}
	if m.newHash = sha2Hashes[lastArc(oid, oidSHA2)]; string(oid) == oidSHA1 {
		m.newHash = sha1.New
	}
	if m.newHash == nil {
		return m, nil, errScheme
	}
	m.key, err = r.pkcs12Key(m.newHash, p.bmp, salt, iterations, 3, m.newHash().Size())
	return m, digest, err
}
