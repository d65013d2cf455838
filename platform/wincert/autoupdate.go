package wincert

import (
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/certtrust/certtrust/store"
)

// Windows fetches the roots of Microsoft's programme when a chain first needs
// them. AuthRoot holds those that were needed so far; all of them are in a list
// that Windows keeps in the registry and renews by itself.

const autoUpdateKey = systemKey + `\AuthRoot\AutoUpdate`

// The policy that switches the automatic update off: a value of a key below
// HKEY_LOCAL_MACHINE.
const (
	AutoUpdateKey   = policyKey + `\AuthRoot`
	AutoUpdateValue = "DisableRootAutoUpdate"
)

// AutoUpdateOff reports whether a policy keeps this Windows from updating its
// roots.
func AutoUpdateOff(api API) bool {
	v, err := api.RegistryValue(AutoUpdateKey, AutoUpdateValue)
	return err == nil && len(v) == 4 && binary.LittleEndian.Uint32(v) != 0
}

// FetchesRoots reports whether those who read the store trust Microsoft's
// programme, whose roots Windows fetches when they are needed.
func (s *Store) FetchesRoots() bool {
	return s.only == nil && s.at.managed == "" && !AutoUpdateOff(s.api)
}

// Applies reports whether what is in one store of Windows counts for those who
// read another, too: policies do, and for a user all that the machine has.
func Applies(what, in store.Info) bool {
	from, at := locationNamed(strings.TrimPrefix(string(what.ID), Backend+":")), locationNamed(strings.TrimPrefix(string(in.ID), Backend+":"))
	if what.Backend != Backend || in.Backend != Backend || from == nil || at == nil || from == at || at.managed != "" {
		return false
	}
	return at.user || !from.user
}

// autoUpdate tells how things are with the automatic update.
func autoUpdate(api API) []string {
	var out []string
	state := "on"
	if AutoUpdateOff(api) {
		state = "switched off by a policy"
	}
	text := "AuthRoot holds the roots of Microsoft's programme that were needed so far; Windows fetches others by itself (" + state
	if v, err := api.RegistryValue(autoUpdateKey, "LastSyncTime"); err == nil {
		if t, ok := fileTime(v); ok {
			text += ", last done " + t.Format(time.DateOnly)
		}
	} else {
		text += ", not done yet"
	}
	out = append(out, text+")")
	for _, l := range []struct{ value, what string }{
		{"EncodedCtl", "the list of the roots of the programme"},
		{"DisallowedCertEncodedCtl", "the list of what Microsoft distrusts"},
	} {
		der, err := api.RegistryValue(autoUpdateKey, l.value)
		if err != nil {
			continue
		}
		list, err := parseTrustList(der)
		if err != nil {
			out = append(out, l.what+" cannot be read: "+store.Printable(err.Error()))
			continue
		}
		out = append(out, fmt.Sprintf("%s has %d entries, of %s", l.what, len(list.subjects), list.issued.Format(time.DateOnly)))
	}
	return out
}

// programme is the list of Microsoft's roots as this Windows has it, nil if
// there is none that can be read.
func (s *Store) programme() *trustList {
	der, err := s.api.RegistryValue(autoUpdateKey, "EncodedCtl")
	if err != nil {
		return nil
	}
	list, err := parseTrustList(der)
	if err != nil {
		return nil
	}
	return list
}

// trustList is a certificate trust list. Its signature is Windows' business,
// who has checked it before it kept the list.
type trustList struct {
	issued   time.Time
	subjects []listedRoot
}

// listedRoot is one entry of it.
type listedRoot struct {
	id       string // upper-case hex: the SHA-1 of the certificate
	sha256   string // lower-case hex, "" if it is not told
	name     string // untrusted text
	disabled bool
}

func (l *trustList) holds(c *store.Cert) bool {
	thumb := thumbprint(c.Raw)
	for _, s := range l.subjects {
		if s.id == thumb && (s.sha256 == "" || s.sha256 == c.SHA256.String()) {
			return true
		}
	}
	return false
}

var (
	oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidTrustList  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 10, 1}
)

// The attributes of entries are the properties of certificates below this OID.
const oidProperty = "1.3.6.1.4.1.311.10.11."

// parseTrustList reads a signed list:
//
//	ContentInfo { signedData, [0] { version, digests, { trustList, [0] { list } }, … } }
//	list: { version?, usages, identifier?, number?, thisUpdate, nextUpdate?, algorithm, { { id, attributes? }… }, … }
func parseTrustList(der []byte) (*trustList, error) {
	bad := func(what string) (*trustList, error) {
		return nil, store.Because(store.ErrCorrupt, "it is no trust list: %s", what)
	}
	var outer struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	if _, err := asn1.Unmarshal(der, &outer); err != nil || !outer.Type.Equal(oidSignedData) {
		return bad("not signed")
	}
	var signed struct {
		Version int
		Digests asn1.RawValue
		Inner   struct {
			Type    asn1.ObjectIdentifier
			Content asn1.RawValue `asn1:"explicit,tag:0"`
		}
	}
	if err := fields(outer.Content.Bytes, &signed.Version, &signed.Digests, &signed.Inner); err != nil || !signed.Inner.Type.Equal(oidTrustList) {
		return bad("something else is signed")
	}
	var list asn1.RawValue
	if _, err := asn1.Unmarshal(signed.Inner.Content.Bytes, &list); err != nil || list.Tag != asn1.TagSequence {
		return bad("the list is damaged")
	}
	out := &trustList{}
	seen := 0 // sequences: usages, the algorithm, the entries
	for rest := list.Bytes; len(rest) > 0; {
		var field asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &field); err != nil {
			return bad("the list is damaged")
		}
		if field.Class != asn1.ClassUniversal {
			continue
		}
		switch field.Tag {
		case asn1.TagUTCTime, asn1.TagGeneralizedTime:
			if out.issued.IsZero() {
				asn1.Unmarshal(field.FullBytes, &out.issued) // a damaged day does not count
			}
		case asn1.TagSequence:
			if seen++; seen < 3 {
				continue
			}
			for entries := field.Bytes; len(entries) > 0; {
				var entry asn1.RawValue
				if entries, err = asn1.Unmarshal(entries, &entry); err != nil {
					return bad("an entry is damaged")
				}
				one, err := parseListed(entry.Bytes)
				if err != nil {
					return bad("an entry is damaged")
				}
				out.subjects = append(out.subjects, one)
			}
			return out, nil
		}
	}
	return bad("there are no entries")
}

// fields reads the first fields of a sequence.
func fields(der []byte, into ...any) error {
	var seq asn1.RawValue
	if _, err := asn1.Unmarshal(der, &seq); err != nil {
		return err
	}
	rest := seq.Bytes
	for _, f := range into {
		var err error
		if rest, err = asn1.Unmarshal(rest, f); err != nil {
			return err
		}
	}
	return nil
}

func parseListed(der []byte) (listedRoot, error) {
	var id []byte
	rest, err := asn1.Unmarshal(der, &id)
	if err != nil {
		return listedRoot{}, err
	}
	out := listedRoot{id: strings.ToUpper(hex.EncodeToString(id))}
	var attributes []struct {
		Type   asn1.ObjectIdentifier
		Values asn1.RawValue
	}
	if len(rest) > 0 {
		if _, err := asn1.UnmarshalWithParams(rest, &attributes, "set"); err != nil {
			return listedRoot{}, err
		}
	}
	for _, a := range attributes {
		var value []byte
		if _, err := asn1.Unmarshal(a.Values.Bytes, &value); err != nil {
			continue
		}
		switch a.Type.String() {
		case oidProperty + "11":
			out.name = utf16Text(value)
		case oidProperty + "98":
			out.sha256 = hex.EncodeToString(value)
		case oidProperty + "104":
			out.disabled = true
		}
	}
	return out, nil
}
