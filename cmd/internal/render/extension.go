package render

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"time"

	"github.com/certtrust/certtrust/store"
)

// extensionReaders read the extensions of interest (RFC 5280, 4.2), by OID.
// What they cannot read they leave out: they work on certificates that strict
// parsers refuse.
var extensionReaders = map[string]func(c *ShowCertificate, ext store.Extension){
	"2.5.29.14":         readSubjectKeyID,
	"2.5.29.17":         func(c *ShowCertificate, ext store.Extension) { c.SubjectAltNames = generalNames(sequence(ext.Value)) },
	"2.5.29.19":         readPathLength,
	"2.5.29.30":         readNameConstraints,
	"2.5.29.31":         readDistributionPoints,
	"2.5.29.32":         readPolicies,
	"2.5.29.35":         readAuthorityKeyID,
	"1.3.6.1.5.5.7.1.1": readAuthorityInfo,

	"1.3.6.1.4.1.11129.2.4.2": readSCTs, // RFC 6962, 3.3
}

// sequence returns the elements of the DER SEQUENCE, as many as are whole.
func sequence(der []byte) []asn1.RawValue {
	var outer asn1.RawValue
	if _, err := asn1.Unmarshal(der, &outer); err != nil || !outer.IsCompound {
		return nil
	}
	return elements(outer.Bytes)
}

func elements(der []byte) []asn1.RawValue {
	var out []asn1.RawValue
	for len(der) > 0 {
		var e asn1.RawValue
		rest, err := asn1.Unmarshal(der, &e)
		if err != nil {
			break
		}
		out = append(out, e)
		der = rest
	}
	return out
}

// nameTypes are the sorts of GeneralName that are plain text, by tag.
var nameTypes = map[int]string{1: "email", 2: "DNS", 6: "URI"}

// generalNames writes each GeneralName as its type, a colon and its value.
func generalNames(names []asn1.RawValue) []string {
	var out []string
	for _, n := range names {
		if n.Class == asn1.ClassContextSpecific {
			out = append(out, generalName(n))
		}
	}
	return out
}

func generalName(n asn1.RawValue) string {
	if kind, ok := nameTypes[n.Tag]; ok {
		return kind + ":" + string(n.Bytes)
	}
	switch n.Tag {
	case 4:
		var name pkix.RDNSequence
		if _, err := asn1.Unmarshal(n.Bytes, &name); err == nil {
			return "DN:" + name.String()
		}
	case 7:
		switch len(n.Bytes) {
		case net.IPv4len, net.IPv6len:
			return "IP:" + net.IP(n.Bytes).String()
		case 2 * net.IPv4len, 2 * net.IPv6len: // in name constraints, with a mask
			half := len(n.Bytes) / 2
			return "IP:" + (&net.IPNet{IP: n.Bytes[:half], Mask: n.Bytes[half:]}).String()
		}
	}
	return fmt.Sprintf("other:%d:%x", n.Tag, n.Bytes)
}

func readSubjectKeyID(c *ShowCertificate, ext store.Extension) {
	var id []byte
	if _, err := asn1.Unmarshal(ext.Value, &id); err == nil {
		c.SubjectKeyID = hex.EncodeToString(id)
	}
}

func readAuthorityKeyID(c *ShowCertificate, ext store.Extension) {
	for _, e := range sequence(ext.Value) {
		if e.Class == asn1.ClassContextSpecific && e.Tag == 0 {
			c.AuthorityKeyID = hex.EncodeToString(e.Bytes)
		}
	}
}

func readPathLength(c *ShowCertificate, ext store.Extension) {
	for _, e := range sequence(ext.Value) {
		var length int
		if e.Class != asn1.ClassUniversal || e.Tag != asn1.TagInteger {
			continue
		}
		if _, err := asn1.Unmarshal(e.FullBytes, &length); err == nil {
			c.PathLength = &length
		}
	}
}

func readNameConstraints(c *ShowCertificate, ext store.Extension) {
	c.NameConstraints = &NameConstraints{Critical: ext.Critical}
	for _, list := range sequence(ext.Value) {
		var names []string
		for _, subtree := range elements(list.Bytes) {
			if base := elements(subtree.Bytes); len(base) > 0 {
				names = append(names, generalNames(base[:1])...)
			}
		}
		switch list.Tag {
		case 0:
			c.NameConstraints.Permitted = names
		case 1:
			c.NameConstraints.Excluded = names
		}
	}
}

func readDistributionPoints(c *ShowCertificate, ext store.Extension) {
	for _, point := range sequence(ext.Value) {
		for _, field := range elements(point.Bytes) {
			if field.Tag != 0 {
				continue
			}
			for _, full := range elements(field.Bytes) {
				c.RevocationURLs = append(c.RevocationURLs, urls(elements(full.Bytes))...)
			}
		}
	}
}

func readAuthorityInfo(c *ShowCertificate, ext store.Extension) {
	for _, access := range sequence(ext.Value) {
		parts := elements(access.Bytes)
		var method asn1.ObjectIdentifier
		if len(parts) != 2 {
			continue
		}
		if _, err := asn1.Unmarshal(parts[0].FullBytes, &method); err != nil {
			continue
		}
		switch method.String() {
		case "1.3.6.1.5.5.7.48.1":
			c.OCSPURLs = append(c.OCSPURLs, urls(parts[1:])...)
		case "1.3.6.1.5.5.7.48.2":
			c.IssuerURLs = append(c.IssuerURLs, urls(parts[1:])...)
		}
	}
}

func urls(names []asn1.RawValue) []string {
	var out []string
	for _, n := range names {
		if n.Class == asn1.ClassContextSpecific && n.Tag == 6 {
			out = append(out, string(n.Bytes))
		}
	}
	return out
}

func readPolicies(c *ShowCertificate, ext store.Extension) {
	for _, policy := range sequence(ext.Value) {
		fields := elements(policy.Bytes) // qualifiers follow
		var oid asn1.ObjectIdentifier
		if len(fields) == 0 {
			continue
		}
		if _, err := asn1.Unmarshal(fields[0].FullBytes, &oid); err == nil {
			c.Policies = append(c.Policies, oid.String())
		}
	}
}

// readSCTs reads a list of signed certificate timestamps (RFC 6962, 3.2, 3.3):
// each has its length before it, and begins with version, log and time.
func readSCTs(c *ShowCertificate, ext store.Extension) {
	var list []byte
	if _, err := asn1.Unmarshal(ext.Value, &list); err != nil || len(list) < 2 {
		return
	}
	for list = list[2:]; len(list) >= 2; {
		size := int(binary.BigEndian.Uint16(list))
		if size > len(list)-2 {
			return
		}
		sct := list[2 : 2+size]
		list = list[2+size:]
		if len(sct) < 41 || sct[0] != 0 {
			continue
		}
		at := int64(binary.BigEndian.Uint64(sct[33:]) & (1<<63 - 1))
		c.SCTs = append(c.SCTs, SCT{Log: hex.EncodeToString(sct[1:33]), Time: time.UnixMilli(at).UTC()})
	}
}
