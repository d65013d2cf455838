package certfile

import (
	"bytes"
	"crypto/ed25519"
	"errors"

	"github.com/certtrust/certtrust/store"
)

// The limits of a reading. They bound what a small file can cost.
const (
	maxDepth     = 4        // files in files
	maxMembers   = 10_000   // of an archive
	unpackFloor  = 1 << 20  // bytes that any file may unpack to
	unpackFactor = 20       // more is allowed for a larger file: so many times its length
	unpackMost   = 64 << 20 // but never more
	// derivationMost is how often a hash may be taken to make keys out of
	// passwords. Files in use ask for up to a million, a few times.
	derivationMost = 10_000_000
)

// reading is the reading of one file, with all that is in it.
type reading struct {
	passwords  [][]byte
	anchors    bool // certificates that go with keys are not wanted
	depth      int
	unpack     int // bytes that may still be unpacked
	derivation int // hashes that may still be taken
}

func newReading(passwords [][]byte, size int) *reading {
	return &reading{
		passwords: passwords, derivation: derivationMost,
		unpack: min(unpackFloor+unpackFactor*size, unpackMost),
	}
}

// read reads a whole file, or one that is in another.
func (r *reading) read(data []byte) (*File, error) {
	if err := checkSize(data); err != nil {
		return &File{}, err
	}
	if format := recognise(data); format != nil {
		return usable(format.read(r, data))
	}
	if inner := bareBase64(data); inner != nil {
		if format := recognise(inner); format != nil {
			f, err := usable(format.read(r, inner))
			f.Format = "base64 of " + f.Format
			f.unplaced()
			return f, err
		}
	}
	for _, o := range others {
		if o.is(data) {
			return &File{}, refusal(o.name, o.kind)
		}
	}
	return &File{}, refusal("unknown", store.ErrInput)
}

// inner reads what f holds at path, and adds what is in it to f. The error is
// that of [reading.read]; it is for the caller to tell.
func (r *reading) inner(f *File, path string, data []byte) (format string, err error) {
	if r.depth >= maxDepth {
		return "", store.Because(store.ErrInput, "%w", errTooMuch)
	}
	r.depth++
	defer func() { r.depth-- }()
	in, err := r.read(data)
	in.unplaced()
	for _, item := range in.Items {
		item.Path = join(path, item.Path)
		f.Items = append(f.Items, item)
	}
	for _, n := range in.Notices {
		n.Path = join(path, n.Path)
		f.Notices = append(f.Notices, n)
	}
	f.keys = append(f.keys, in.keys...)
	return in.Format, err
}

var errTooMuch = errors.New("it is nested deeper than is read")

// codesOf are the codes of notices for errors of a part.
var codesOf = []struct {
	kind error
	code string
}{
	{errTooMuch, TooMuch},
	{store.ErrSecret, Encrypted},
	{store.ErrUnsupported, Unread},
	{store.ErrCorrupt, Damaged},
}

// errNoted is the kind of an error that repeats a notice.
var errNoted = errors.New("noted")

// tell adds the notice for a part that could not be read.
func (f *File) tell(path string, err error) {
	if errors.Is(err, errNoted) {
		return
	}
	f.Notices = append(f.Notices, Notice{Path: path, Code: codeOf(err), Text: err.Error()})
}

func codeOf(err error) string {
	for _, c := range codesOf {
		if errors.Is(err, c.kind) {
			return c.code
		}
	}
	return UnreadableEntry
}

// unplaced forgets the positions in data that is not the input itself.
func (f *File) unplaced() {
	for i := range f.Items {
		f.Items[i].Start, f.Items[i].End = 0, 0
	}
	if len(f.Format) > 6 && f.Format[:6] == "base64" {
		for i := range f.Items {
			f.Items[i].Line = 0
		}
		for i := range f.Notices {
			f.Notices[i].Line = 0
		}
	}
}

// maxPath is how long a path is told.
const maxPath = 300

func join(path, rest string) string {
	switch {
	case rest == "":
	case path == "":
		path = rest
	default:
		path += "/" + rest
	}
	if len(path) > maxPath {
		path = path[:maxPath] + "…"
	}
	return path
}

// markKeys tells which certificates have their private key beside them.
func (f *File) markKeys() {
	if len(f.keys) == 0 {
		return
	}
	seen := map[string]bool{}
	for _, k := range f.keys {
		seen[k] = true
	}
	for i := range f.Items {
		spki := f.Items[i].Cert.SPKI
		if body, _, ok := take(spki, tagSequence); ok {
			if _, rest, ok := take(body, tagSequence); ok {
				if bits, _, ok := take(rest, tagBitString); ok && len(bits) > 1 && seen[string(bits[1:])] {
					f.Items[i].HasKey = true
				}
			}
		}
	}
}

// sawKey remembers which public key a private key belongs to, as far as its
// encoding tells: RFC 8017 A.1.2, RFC 5915 3, RFC 5958 2 around them, RFC 8410.
// Nothing of the private key is kept.
func (f *File) sawKey(der []byte) {
	body, _, ok := take(der, tagSequence)
	if !ok {
		return
	}
	version, rest, ok := take(body, tagInteger)
	switch {
	case !ok || len(version) != 1:
		return
	case bytes.HasPrefix(rest, []byte{tagSequence}): // PKCS#8
		algorithm, rest, _ := take(rest, tagSequence)
		key, _, _ := take(rest, tagOctetString)
		if seed, _, ok := take(key, tagOctetString); ok && bytes.HasPrefix(algorithm, []byte("\x06\x03\x2b\x65\x70")) && len(seed) == ed25519.SeedSize {
			f.keys = append(f.keys, string(ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)))
			return
		}
		if _, _, ok := take(key, tagSequence); ok && version[0] <= 1 && len(key) < len(der) {
			f.sawKey(key)
		}
	case bytes.HasPrefix(rest, []byte{tagOctetString}): // EC
		for len(rest) > 0 {
			e, after, ok := next(rest)
			if !ok {
				return
			}
			if bits, _, ok := take(e.value, tagBitString); ok && e.tag == tagContext1 && len(bits) > 1 {
				f.keys = append(f.keys, string(bits[1:]))
			}
			rest = after
		}
	default: // RSA: the public key is the modulus and the exponent
		n, after, ok := next(rest)
		e, _, known := next(after)
		if ok && known && n.tag == tagInteger && e.tag == tagInteger {
			f.keys = append(f.keys, string(encode(tagSequence, n.full, e.full)))
		}
	}
}
