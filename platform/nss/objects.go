package nss

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/certtrust/certtrust/store"
)

// attribute is the number of a PKCS#11 attribute. Its column is "a" and the
// number in hex.
type attribute uint32

func (a attribute) column() string { return fmt.Sprintf("a%x", uint32(a)) }

// The attributes that are read or written (PKCS#11 v3.2, and pkcs11n.h of NSS).
const (
	aClass      attribute = 0x0
	aToken      attribute = 0x1
	aPrivate    attribute = 0x2
	aLabel      attribute = 0x3
	aValue      attribute = 0x11
	aCertType   attribute = 0x80
	aIssuer     attribute = 0x81
	aSerial     attribute = 0x82
	aHashAlg    attribute = 0x8c
	aSubject    attribute = 0x101
	aID         attribute = 0x102
	aModifiable attribute = 0x170
	aHash       attribute = 0x635 // of CKO_TRUST
	aEmail      attribute = 0xce534352
	aStepUp     attribute = 0xce536360
	aSHA1       attribute = 0xce5363b4 // of CKO_NSS_TRUST
	aMD5        attribute = 0xce5363b5
)

// The object classes.
const (
	classCert     = 0x1
	classKey      = 0x3 // a private key
	classTrust    = 0xb // CKO_TRUST: read first by NSS 3.114 and newer
	classNSSTrust = 0xce534353
)

const hashSHA256 = 0x250 // CKM_SHA256

// level is how much a trust object trusts, in a form that both kinds share.
type level int

const (
	levelNone       level = iota // a chain must end elsewhere
	levelPeer                    // this certificate alone
	levelAnchor                  // it and what it issued
	levelDistrusted              // refused
	levelValid                   // a CA, but no anchor: only the older kind can tell it from none
	levelUnknown                 // says nothing
)

// decisions are what the levels mean to readers.
var decisions = [...]store.Decision{
	levelNone: store.Unspecified, levelPeer: store.Peer, levelAnchor: store.Trusted,
	levelDistrusted: store.Distrusted, levelValid: store.Unspecified, levelUnknown: store.Unspecified,
}

// fields are the purposes that trust objects are about.
var fields = []store.Purpose{store.PurposeServerAuth, store.PurposeClientAuth, store.PurposeCodeSigning, store.PurposeEmail}

// levels is what a trust object says of each of fields.
type levels [4]level

// The places in levels.
const (
	server = iota
	client
	code
	email
)

// heeded returns what readers make of the levels. NSS puts those of servers and of
// clients into one set of flags, in which only anchors are told apart: a peer for
// clients is one for servers, too, and likewise what is distrusted.
func (l levels) heeded() levels {
	switch {
	case l[server] == levelAnchor:
	case l[server] == levelPeer || l[client] == levelPeer:
		l[server] = levelPeer
	case l[client] == levelDistrusted:
		l[server] = levelDistrusted
	}
	return l
}

// trust returns the levels as rules.
func (l levels) trust() store.Trust {
	t := make(store.Trust, 0, len(l))
	l = l.heeded()
	for i, purpose := range fields {
		if d := decisions[l[i]]; d != store.Unspecified { // what holds without a rule
			t = append(t, store.Rule{Purpose: purpose, Decision: d})
		}
	}
	return t.Normal()
}

// means reports whether readers take both for the same.
func (l levels) means(m levels) bool {
	for i := range l {
		if decisions[l[i]] != decisions[m[i]] {
			return false
		}
	}
	return true
}

// trusts reports whether anything is trusted.
func (l levels) trusts() bool {
	return slices.Contains(l[:], levelAnchor) || slices.Contains(l[:], levelPeer)
}

// says reports whether the levels differ from no trust at all.
func (l levels) says() bool {
	return slices.ContainsFunc(l[:], func(x level) bool { return decisions[x] != store.Unspecified })
}

// imported reports whether the levels are those that Firefox gives what its own
// settings or policies import.
func (l levels) imported() bool {
	return l[server] == levelAnchor && l[client] == levelAnchor && l[email] == levelAnchor && decisions[l[code]] == store.Unspecified
}

// String writes the levels as certutil does: three fields, of which the first is
// for servers and clients together. T stands for an anchor of clients.
func (l levels) String() string {
	field := func(of ...level) (text string) {
		anchor, peer := of[0] == levelAnchor, slices.Contains(of, levelPeer)
		client := len(of) > 1 && of[1] == levelAnchor
		for _, flag := range []struct {
			set    bool
			letter string
		}{
			{slices.Contains(of, levelValid) && !anchor && !client, "c"}, {slices.Contains(of, levelDistrusted) && !peer, "p"},
			{anchor, "C"}, {client, "T"}, {peer, "P"},
		} {
			if flag.set {
				text += flag.letter
			}
		}
		return text
	}
	return field(l[server], l[client]) + "," + field(l[email]) + "," + field(l[code])
}

// kind is one of the two kinds of trust objects.
type kind struct {
	name   string
	class  uint32
	values [levelUnknown + 1]uint32 // of the levels
	hash   attribute                // names the certificate
	signed []attribute              // fields, in their order, and what else is signed
}

// kinds are the kinds of trust objects, the one that newer readers prefer
// first.
var kinds = []kind{
	{
		name: "CKO_TRUST", class: classTrust,
		values: [...]uint32{levelUnknown: 0, levelPeer: 1, levelAnchor: 2, levelDistrusted: 3, levelNone: 4, levelValid: 4},
		hash:   aHash, signed: []attribute{0x62c, 0x62d, 0x62e, 0x62f, aHash, aHashAlg},
	},
	{
		name: "CKO_NSS_TRUST", class: classNSSTrust,
		values: [...]uint32{levelPeer: 0xce534351, levelAnchor: 0xce534352, levelNone: 0xce534353,
			levelUnknown: 0xce534355, levelDistrusted: 0xce53435a, levelValid: 0xce53435b},
		hash: aSHA1, signed: []attribute{0xce536358, 0xce536359, 0xce53635a, 0xce53635b, aStepUp, aSHA1, aMD5},
	},
}

// The kinds by their place in kinds.
const (
	newKind = 0
	oldKind = 1
)

// levelOf reads a value of the kind.
func (k kind) levelOf(value []byte) level {
	if len(value) == 4 {
		n := binary.BigEndian.Uint32(value)
		for _, l := range []level{levelNone, levelPeer, levelAnchor, levelDistrusted, levelValid} {
			if k.values[l] == n {
				return l
			}
		}
	}
	return levelUnknown
}

// be32 is how NSS stores a number.
func be32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// nothing is what NSS stores for an empty value: in SQLite it could not be told
// from a missing one.
var nothing = []byte{0xa5, 0x00, 0x5a}

// stored returns a value as NSS stores it.
func stored(value []byte) []byte {
	if len(value) == 0 {
		return nothing
	}
	return value
}

// plainValue undoes stored.
func plainValue(value []byte) []byte {
	if string(value) == string(nothing) {
		return []byte{}
	}
	return value
}
