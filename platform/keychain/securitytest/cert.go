package securitytest

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"strings"
)

// cert is what a keychain knows of a certificate.
type cert struct {
	der                     []byte
	issuer, subject, serial []byte // DER of the names, content of the number
	label                   string
}

var errCert = errors.New("no certificate")

// parseCert reads what SecCertificateCreateWithData needs: it takes more than
// crypto/x509 does.
func parseCert(der []byte) (cert, error) {
	c := cert{der: der}
	var outer struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if rest, err := asn1.Unmarshal(der, &outer); err != nil || len(rest) > 0 {
		return c, errCert
	}
	rest := outer.TBS.Bytes
	next := func() (v asn1.RawValue) {
		after, err := asn1.Unmarshal(rest, &v)
		if err != nil {
			rest = nil
			return asn1.RawValue{}
		}
		rest = after
		return v
	}
	v := next()
	if v.Class == asn1.ClassContextSpecific && v.Tag == 0 {
		v = next()
	}
	if v.Class != asn1.ClassUniversal || v.Tag != asn1.TagInteger {
		return c, errCert
	}
	c.serial = v.Bytes
	next() // algorithm
	c.issuer = next().FullBytes
	next() // validity
	c.subject = next().FullBytes
	if len(c.issuer) == 0 || len(c.subject) == 0 || len(next().FullBytes) == 0 {
		return c, errCert
	}
	c.label = summary(c.subject)
	return c, nil
}

// summary is SecCertificateCopySubjectSummary, for names that have a common
// name or else an organisational unit or an organisation: all values, the last
// first.
func summary(name []byte) string {
	var sets []asn1.RawValue
	if _, err := asn1.Unmarshal(name, &sets); err != nil {
		return ""
	}
	byOID := map[string][]string{}
	for _, set := range sets {
		for rest := set.Bytes; len(rest) > 0; {
			var attribute struct {
				Type  asn1.ObjectIdentifier
				Value asn1.RawValue
			}
			after, err := asn1.Unmarshal(rest, &attribute)
			if err != nil {
				break
			}
			rest = after
			oid := attribute.Type.String()
			byOID[oid] = append([]string{string(attribute.Value.Bytes)}, byOID[oid]...)
		}
	}
	for _, oid := range []string{"2.5.4.3", "2.5.4.11", "2.5.4.10"} {
		if len(byOID[oid]) > 0 {
			return strings.Join(byOID[oid], ", ")
		}
	}
	return ""
}

// selfSigned is SecCertificateIsSelfSigned: the names are the same and the
// signature is made with its own key.
func (c cert) selfSigned() bool {
	if !bytes.Equal(c.issuer, c.subject) {
		return false
	}
	parsed, err := x509.ParseCertificate(c.der)
	return err != nil || parsed.CheckSignature(parsed.SignatureAlgorithm, parsed.RawTBSCertificate, parsed.Signature) == nil
}

// readCertFile reads a file of a certificate (trusted_cert_utils.c,
// readCertFile, and cuPem.cpp): it is PEM only if every byte of it can be
// printed, and of PEM the first block counts, whatever it is.
func readCertFile(data []byte) ([]byte, bool) {
	isPEM := bytes.Contains(data, []byte("-----BEGIN ")) && bytes.Contains(data, []byte("-----END ")) &&
		bytes.IndexFunc(data, func(r rune) bool { return (r < ' ' || r > '~') && r != '\n' && r != '\r' && r != '\t' }) < 0
	if isPEM {
		block, _ := pem.Decode(data)
		if block == nil {
			return nil, false
		}
		data = block.Bytes
	}
	_, err := parseCert(data)
	return data, err == nil
}

// KeychainFile writes a keychain file with certificates (AppleDatabase.h,
// MetaRecord.h): what macOS keeps them in, without what else there is.
func KeychainFile(certs [][]byte) []byte {
	word := func(list ...uint32) (out []byte) {
		for _, n := range list {
			out = binary.BigEndian.AppendUint32(out, n)
		}
		return out
	}
	pad := func(b []byte) []byte {
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
		return b
	}
	table := func(kind uint32, records [][]byte) []byte {
		const head = 28
		slots := len(records) + 1 // one is free
		at := head + 4*slots
		var body []byte
		var offsets []uint32
		for _, r := range records {
			offsets = append(offsets, uint32(at+len(body)))
			body = append(body, r...)
		}
		offsets = append(offsets, 1) // odd: free
		size := uint32(at + len(body))
		out := word(size, kind, uint32(len(records)), uint32(at), size, 0, uint32(slots))
		return append(append(out, word(offsets...)...), body...)
	}
	var records [][]byte
	for i, der := range certs {
		c, err := parseCert(der)
		if err != nil {
			c = cert{der: der}
		}
		const head = 60
		body := pad(append([]byte{}, der...))
		var offsets []uint32
		for _, value := range [][]byte{nil, nil, []byte(c.label), nil, c.subject, c.issuer, c.serial, nil, nil} {
			if value == nil {
				offsets = append(offsets, 0)
				continue
			}
			offsets = append(offsets, uint32(head+len(body))|1)
			body = pad(append(append(body, word(uint32(len(value)))...), value...))
		}
		record := word(uint32(head+len(body)), uint32(i), 0, 0, uint32(len(der)), 0)
		records = append(records, append(append(record, word(offsets...)...), body...))
	}
	tables := [][]byte{table(0x00000000, nil)}
	if len(records) > 0 {
		tables = append(tables, table(0x80001000, records))
	}
	schema := word(0, uint32(len(tables)))
	at := 8 + 4*len(tables)
	var body []byte
	for _, t := range tables {
		schema = append(schema, word(uint32(at+len(body)))...)
		body = append(body, t...)
	}
	schema = append(schema, body...)
	binary.BigEndian.PutUint32(schema, uint32(len(schema)))
	return append(append([]byte("kych"), word(0x00010000, 16, 20, 0)...), schema...)
}
