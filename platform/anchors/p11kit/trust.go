package p11kit

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"slices"
	"time"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// Standing is what the place of a file says about what is in it.
type Standing int

// The standings.
const (
	AsWritten Standing = iota // as each object says itself, neither trusted nor distrusted by default
	Anchor                    // trusted, unless an object says that it is distrusted
	Blocked                   // distrusted, whatever an object says
)

// Input is a file in its place. Inputs come in the order in which they count:
// token by token.
type Input struct {
	Token    int // the number of the token that the file is of
	Path     string
	Standing Standing
	File     *File
}

// Cert is what p11-kit makes of a certificate in a file.
type Cert struct {
	*store.Cert
	Label string // untrusted text
	Input int    // the index of the input it is in
	Item  int    // its number among the certificates of the file, from 1

	// Trusted: it is an anchor. Distrusted: it is refused, and that counts more;
	// DistrustedBy is the path of the file that says so.
	Trusted, Distrusted bool
	DistrustedBy        string
	// Again: the same certificate stands in an input before, and this one does
	// not count.
	Again bool

	// CA: p11-kit takes it for an authority; what is none is in no bundle of
	// authorities, trusted or not. Stapled: an extension that is stapled to it
	// makes it one.
	CA, Stapled bool
	// Purposes are those that it is limited to, nil = none, so it is for all.
	// Narrowed: by the system, and not by the certificate itself.
	Purposes []store.Purpose
	Narrowed bool
	// NameConstraints: its names are limited by an extension that is stapled to
	// it, which no reader of a bundle sees.
	NameConstraints bool

	ServerAfter, EmailAfter time.Time
}

// For reports whether the certificate is an anchor for a purpose: whether it is
// in the bundle of authorities that is extracted for that.
func (c *Cert) For(p store.Purpose) bool {
	return c.Trusted && !c.Distrusted && !c.Again && c.CA && c.Allows(p)
}

// Allows reports whether the certificate's purposes include p.
func (c *Cert) Allows(p store.Purpose) bool {
	return c.Purposes == nil || p == store.PurposeAny || slices.Contains(c.Purposes, p) || slices.Contains(c.Purposes, store.PurposeAny)
}

// Distrust is one that is not of a certificate that is there: of whatever has
// this issuer and serial number, or this key.
type Distrust struct {
	Input          int
	Line           int
	Label          string // untrusted text
	Issuer, Serial []byte
	SPKI           []byte
}

// Trust is what p11-kit makes of all its files together.
type Trust struct {
	Certs     []Cert     // in the order of inputs
	Distrusts []Distrust // of what is not there as a certificate itself
}

type key struct {
	token int
	spki  string
}

// Evaluate puts files together as p11-kit does: extensions are stapled within a
// token; a distrust, by certificate, key, or issuer and serial number, counts
// in all tokens and more than any trust; and of the same certificate the first
// counts.
func Evaluate(inputs []Input) *Trust {
	t := &Trust{}
	stapled := map[key][]*store.Extension{}
	blockedKeys, blockedSerials := map[string]string{}, map[string]string{}
	block := func(o *Object, path string) {
		if o.SPKI != nil {
			if _, ok := blockedKeys[string(o.SPKI)]; !ok {
				blockedKeys[string(o.SPKI)] = path
			}
		}
		if o.Issuer != nil && o.Serial != nil {
			if name := string(o.Issuer) + "\x00" + string(o.Serial); blockedSerials[name] == "" {
				blockedSerials[name] = path
			}
		}
	}
	for i, in := range inputs {
		item := 0
		for n := range in.File.Objects {
			o := &in.File.Objects[n]
			if o.Extension != nil {
				k := key{in.Token, string(o.SPKI)}
				stapled[k] = append(stapled[k], o.Extension)
				continue
			}
			trusted, distrusted := o.Trusted, o.Distrusted
			switch in.Standing {
			case Anchor:
				trusted = !distrusted
			case Blocked:
				trusted, distrusted = false, true
			}
			if distrusted {
				block(o, in.Path)
			}
			if o.Cert == nil {
				if distrusted {
					t.Distrusts = append(t.Distrusts, Distrust{Input: i, Line: o.Line, Label: o.Label, Issuer: o.Issuer, Serial: o.Serial, SPKI: o.SPKI})
				}
				continue
			}
			item++
			t.Certs = append(t.Certs, Cert{Cert: o.Cert, Label: o.Label, Input: i, Item: item, Trusted: trusted, Distrusted: distrusted,
				ServerAfter: o.ServerAfter, EmailAfter: o.EmailAfter})
		}
	}
	seen := map[store.Fingerprint]bool{}
	for i := range t.Certs {
		c := &t.Certs[i]
		c.Again = seen[c.SHA256]
		seen[c.SHA256] = true
		if c.Distrusted {
			c.DistrustedBy = inputs[c.Input].Path
		} else if by, ok := blockedKeys[string(c.SPKI)]; ok && c.SPKI != nil {
			c.Distrusted, c.DistrustedBy = true, by
		} else if by, ok := blockedSerials[string(c.Issuer.Raw)+"\x00"+string(serialOf(c.Cert))]; ok {
			c.Distrusted, c.DistrustedBy = true, by
		}
		c.extend(stapled[key{inputs[c.Input].Token, string(c.SPKI)}])
		if c.Label == "" {
			c.Label = c.Cert.Label()
		}
	}
	return t
}

// extend heeds the extensions that are stapled to a certificate, which count
// more than its own.
func (c *Cert) extend(stapled []*store.Extension) {
	c.CA = c.Cert.IsCA()
	c.Purposes = c.Cert.ExtendedKeyUsage()
	var rejected []store.Purpose
	for _, e := range stapled {
		switch e.OID {
		case oidConstraints:
			var basic struct {
				CA  bool `asn1:"optional"`
				Max int  `asn1:"optional,default:-1"`
			}
			rest, err := asn1.Unmarshal(e.Value, &basic)
			c.CA = err == nil && len(rest) == 0 && basic.CA
			c.Stapled = c.CA
		case oidUsages:
			c.Purposes = purposes(e.Value)
			c.Narrowed = !slices.Contains(c.Purposes, store.PurposeAny)
		case oidRejects:
			rejected = purposes(e.Value)
		case oidNames:
			c.NameConstraints = true
		}
	}
	if c.Purposes != nil {
		c.Purposes = slices.DeleteFunc(slices.Clone(c.Purposes), func(p store.Purpose) bool { return slices.Contains(rejected, p) })
	}
}

// purposes reads an extKeyUsage. What cannot be read allows nothing.
func purposes(der []byte) []store.Purpose {
	out := []store.Purpose{}
	var oids []asn1.ObjectIdentifier
	if rest, err := asn1.Unmarshal(der, &oids); err != nil || len(rest) > 0 {
		return out
	}
	for _, oid := range oids {
		out = append(out, store.PurposeOfOID(oid))
	}
	return out
}

// Authority writes a certificate that is no authority so that p11-kit takes it
// for one, and its bundles hold it: as an anchor of its own, with the constraint
// stapled to it.
func Authority(c *store.Cert) ([]byte, error) {
	value, err := asn1.Marshal(struct{ CA bool }{true})
	if err != nil {
		return nil, err
	}
	oid, err := parseOID(oidConstraints)
	if err != nil {
		return nil, err
	}
	ext, err := asn1.Marshal(struct {
		ID       asn1.ObjectIdentifier
		Critical bool
		Value    []byte
	}{oid, true, value})
	if err != nil {
		return nil, err
	}
	if c.SPKI == nil {
		return nil, store.Because(store.ErrInput, "its key cannot be read")
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nclass: certificate\ncertificate-type: x-509\ntrusted: true\n%s\n", header, certfile.EncodePEM(c))
	fmt.Fprintf(&b, "%s\nclass: %s\nobject-id: %s\nvalue: \"", header, classExtension, oidConstraints)
	for _, x := range ext {
		fmt.Fprintf(&b, "%%%02x", x)
	}
	fmt.Fprintf(&b, "\"\n%s", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: c.SPKI}))
	return b.Bytes(), nil
}
