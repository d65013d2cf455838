// Package p11kit reads the files that p11-kit's trust module is configured by,
// and tells what it makes of them: which certificates are anchors, which are
// distrusted, for which purposes, and which of its outputs they are in.
//
// What it knows is from p11-kit's trust/parser.c, trust/builder.c and
// trust/enumerate.c as they behave, and is compared with the real program in
// the end-to-end tests.
package p11kit

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// header begins an object. A file that has it anywhere is read as p11-kit's
// own format.
const header = "[p11-kit-object-v1]"

// Object is an object of a file: a certificate, a distrust by issuer and serial
// number, or an extension that is stapled to all certificates with a key.
type Object struct {
	Class string // such as "certificate", "x-certificate-extension"
	Label string // untrusted text
	Line  int

	Cert           *store.Cert // nil for what is no certificate
	Issuer, Serial []byte      // DER, as far as the object says so
	SPKI           []byte      // DER of the public key that it is about, nil if unknown

	Trusted    bool
	Distrusted bool
	asWritten  bool // the object says itself how far it is trusted

	Extension *store.Extension // stapled, nil if it is none

	// ServerAfter and EmailAfter: what was issued later is refused, by readers
	// that heed it; zero = no limit.
	ServerAfter, EmailAfter time.Time
}

// Problem is something in a file that p11-kit passes over or warns of. Text is
// safe to print.
type Problem struct {
	Line int // from 1
	Text string
}

// File is what p11-kit finds in a file, in its order.
type File struct {
	Format   string // "p11-kit", "DER", "PEM" or, for what it cannot read, ""
	Objects  []Object
	Problems []Problem
	// Notices is what is beside the certificates in a PEM file.
	Notices []certfile.Notice
}

// Parse reads a file, in the order of formats that p11-kit tries.
func Parse(data []byte) *File {
	switch {
	case bytes.Contains(data, []byte(header)):
		return parseObjects(data)
	case len(data) > 0 && data[0] == 0x30:
		if c := store.NewCert(bytes.Clone(data)); c.Version != 0 {
			return &File{Format: "DER", Objects: []Object{ofCert(certfile.Item{Cert: c})}}
		}
	}
	f := &File{}
	in := certfile.ReadPEM(data)
	for _, item := range in.Items {
		f.addItem(item, Object{Class: "certificate"})
	}
	f.Notices = in.Notices
	if len(f.Objects) > 0 {
		f.Format = "PEM"
	}
	return f
}

// Certs returns the certificates of a file in its order.
func (f *File) Certs() []*store.Cert {
	var out []*store.Cert
	for _, o := range f.Objects {
		if o.Cert != nil {
			out = append(out, o.Cert)
		}
	}
	return out
}

func ofCert(item certfile.Item) Object {
	c := item.Cert
	return Object{Class: "certificate", Line: item.Line, Cert: c, SPKI: c.SPKI, Issuer: c.Issuer.Raw, Serial: serialOf(c)}
}

// serialOf returns the DER of a serial number.
func serialOf(c *store.Cert) []byte {
	if c.Serial == nil {
		return nil
	}
	der, err := asn1.Marshal(c.Serial)
	if err != nil {
		return nil
	}
	return der
}

// addItem adds the certificate of a PEM block with what the section around it
// says. A TRUSTED CERTIFICATE brings a stapled extension with its purposes; if
// there is none left, it is distrusted.
func (f *File) addItem(item certfile.Item, o Object) {
	if item.Cert.Version == 0 {
		f.problem(item.Line, "it is not a certificate")
		return
	}
	c := ofCert(item)
	c.Label, c.Trusted, c.Distrusted, c.asWritten = o.Label, o.Trusted, o.Distrusted, o.asWritten
	c.ServerAfter, c.EmailAfter = o.ServerAfter, o.EmailAfter
	if c.Label == "" {
		c.Label = item.Alias
	}
	var stapled []Object
	if item.TrustedLabel && item.Aux != nil {
		trusted := without(item.Aux.Trust, item.Aux.Reject)
		c.Trusted, c.Distrusted, c.asWritten = len(trusted) > 0, len(trusted) == 0, true
		if len(trusted) > 0 {
			if value, err := usages(trusted); err == nil {
				stapled = append(stapled, Object{Class: classExtension, Line: item.Line, SPKI: c.SPKI,
					Extension: &store.Extension{OID: oidUsages, Critical: true, Value: value}})
			}
		}
	}
	f.Objects = append(append(f.Objects, c), stapled...)
}

func without(list, drop []string) []string {
	var out []string
	for _, x := range list {
		dropped := false
		for _, y := range drop {
			dropped = dropped || x == y
		}
		if !dropped {
			out = append(out, x)
		}
	}
	return out
}

// usages writes an extKeyUsage.
func usages(dotted []string) ([]byte, error) {
	var list []asn1.ObjectIdentifier
	for _, d := range dotted {
		oid, err := parseOID(d)
		if err != nil {
			return nil, err
		}
		list = append(list, oid)
	}
	return asn1.Marshal(list)
}

func parseOID(dotted string) (asn1.ObjectIdentifier, error) {
	var oid asn1.ObjectIdentifier
	for _, part := range strings.Split(dotted, ".") {
		n := 0
		if len(part) == 0 || len(part) > 9 {
			return nil, fmt.Errorf("%q is no OID", dotted)
		}
		for _, c := range part {
			if c < '0' || c > '9' {
				return nil, fmt.Errorf("%q is no OID", dotted)
			}
			n = n*10 + int(c-'0')
		}
		oid = append(oid, n)
	}
	if len(oid) < 2 {
		return nil, fmt.Errorf("%q is no OID", dotted)
	}
	return oid, nil
}

const (
	classExtension = "x-certificate-extension"

	oidUsages      = "2.5.29.37"
	oidConstraints = "2.5.29.19"
	oidNames       = "2.5.29.30"
	oidRejects     = "1.3.6.1.4.1.3319.6.10.1" // OpenSSL's reject list
)

func (f *File) problem(line int, format string, args ...any) {
	f.Problems = append(f.Problems, Problem{max(line, 1), store.Printable(fmt.Sprintf(format, args...))})
}

// parseObjects reads p11-kit's own format: sections of "key: value" lines and
// PEM blocks, one object each.
func parseObjects(data []byte) *File {
	f := &File{Format: "p11-kit"}
	line := 1
	for len(data) > 0 {
		stop := len(data)
		if i := bytes.Index(data[1:], []byte(header)); i >= 0 {
			stop = i + 1
		}
		section := data[:stop]
		data = data[stop:]
		if bytes.HasPrefix(section, []byte(header)) {
			f.section(section, line)
		}
		line += bytes.Count(section, []byte("\n"))
	}
	return f
}

func (f *File) section(text []byte, line int) {
	o := Object{Line: line}
	var value, oid []byte
	typed := false
	rest := text
	for at := line; len(rest) > 0; at++ {
		var l []byte
		l, rest, _ = bytes.Cut(rest, []byte("\n"))
		l = bytes.TrimSpace(l)
		if bytes.HasPrefix(l, []byte("-----BEGIN ")) {
			break
		}
		if len(l) == 0 || l[0] == '#' || l[0] == '[' {
			continue
		}
		key, v, ok := bytes.Cut(l, []byte(":"))
		if !ok {
			f.problem(at, "this line is no attribute: %.40q", l)
			continue
		}
		raw := bytes.TrimSpace(v)
		text, err := unquote(raw)
		if err != nil {
			f.problem(at, "%s", err)
			continue
		}
		switch string(bytes.TrimSpace(key)) {
		case "class":
			o.Class = string(text)
		case "label":
			o.Label = string(text)
		case "certificate-type":
			typed = string(text) == "x-509"
		case "value":
			value = text
		case "object-id":
			oid = text
		case "trusted":
			o.Trusted, o.asWritten = string(text) == "true", true
		case "x-distrusted":
			o.Distrusted, o.asWritten = string(text) == "true", true
		case "issuer":
			o.Issuer = text
		case "serial-number":
			o.Serial = text
		case "public-key-info", "x-public-key-info":
			o.SPKI = text
		case "nss-server-distrust-after":
			o.ServerAfter = f.date(at, text)
		case "nss-email-distrust-after":
			o.EmailAfter = f.date(at, text)
		}
	}
	if o.Class == classExtension {
		f.staple(o, text, string(oid), value)
		return
	}
	certs := certfile.ReadPEM(text)
	for _, item := range certs.Items {
		item.Line += line - 1
		f.addItem(item, o)
	}
	switch {
	case len(certs.Items) > 0:
	case (o.Class == "certificate" || o.Class == "") && !typed:
		f.problem(line, "an object that does not say certificate-type: x-509, so it is not read")
	case len(value) > 0 && (o.Class == "certificate" || o.Class == ""):
		f.addItem(certfile.Item{Cert: store.NewCert(value), Line: line}, o)
	case o.Distrusted || o.Issuer != nil || o.SPKI != nil:
		f.Objects = append(f.Objects, o)
	default:
		if len(text) > len(header)+1 {
			f.problem(line, "an object that says nothing of a certificate: class %q", o.Class)
		}
	}
	for _, n := range certs.Notices {
		if n.Code != certfile.PublicKey {
			n.Line += line - 1
			f.Notices = append(f.Notices, n)
		}
	}
}

// staple reads an extension that is stapled to a key. The value is the whole
// DER of the extension; older files have its OID apart and only its value here.
func (f *File) staple(o Object, text []byte, oid string, value []byte) {
	for rest := text; o.SPKI == nil; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		switch b.Type {
		case "PUBLIC KEY":
			o.SPKI = b.Bytes
		case "CERTIFICATE":
			o.SPKI = store.NewCert(b.Bytes).SPKI
		}
	}
	var ext pkix.Extension
	if rest, err := asn1.Unmarshal(value, &ext); err == nil && len(rest) == 0 {
		o.Extension = &store.Extension{OID: ext.Id.String(), Critical: ext.Critical, Value: ext.Value}
	} else if _, err := parseOID(oid); err == nil && len(value) > 0 {
		o.Extension = &store.Extension{OID: oid, Value: value}
	}
	if o.Extension == nil || o.SPKI == nil {
		f.problem(o.Line, "a stapled extension that cannot be read, or that names no key")
		return
	}
	f.Objects = append(f.Objects, o)
}

// date reads the date after which a root's new certificates are refused:
// "%00" means never.
func (f *File) date(line int, text []byte) time.Time {
	if len(text) == 0 || len(text) == 1 && text[0] == 0 || string(text) == "false" {
		return time.Time{}
	}
	for _, layout := range []string{"060102150405Z", "20060102150405Z"} {
		if at, err := time.Parse(layout, string(text)); err == nil {
			return at
		}
	}
	f.problem(line, "%q is no date", text)
	return time.Time{}
}

// unquote reads a value: true, false, a number, an OID or a constant as they
// stand, or text in quotation marks with "%" and two hex digits for any byte.
func unquote(v []byte) ([]byte, error) {
	if len(v) == 0 || v[0] != '"' {
		return v, nil
	}
	if len(v) < 2 || v[len(v)-1] != '"' {
		return nil, fmt.Errorf("a value that does not end: %.40q", v)
	}
	v = v[1 : len(v)-1]
	out := make([]byte, 0, len(v))
	for i := 0; i < len(v); i++ {
		if v[i] != '%' {
			out = append(out, v[i])
			continue
		}
		if i+2 >= len(v) || hexDigit(v[i+1]) < 0 || hexDigit(v[i+2]) < 0 {
			return nil, fmt.Errorf("a value with a wrong %%: %.40q", v)
		}
		out = append(out, byte(hexDigit(v[i+1])<<4|hexDigit(v[i+2])))
		i += 2
	}
	return out, nil
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
