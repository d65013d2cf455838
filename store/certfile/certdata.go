package certfile

import (
	"bytes"
	"strings"
)

func isCertdata(data []byte) bool {
	t := decodeText(data).data
	return bytes.Contains(t, []byte("CKA_CLASS CK_OBJECT_CLASS ")) && bytes.Contains(t, []byte("MULTILINE_OCTAL"))
}

// certdataPurposes are the trust attributes of NSS with the extended key usage
// that each stands for.
var certdataPurposes = []struct{ attribute, usage string }{
	{"CKA_TRUST_SERVER_AUTH", "1.3.6.1.5.5.7.3.1"},
	{"CKA_TRUST_EMAIL_PROTECTION", "1.3.6.1.5.5.7.3.4"},
	{"CKA_TRUST_CODE_SIGNING", "1.3.6.1.5.5.7.3.3"},
}

// certdataObject is an object: its attributes, octal values decoded.
type certdataObject struct {
	line       int
	attributes map[string]string
}

// readCertdata reads the text form of NSS's built-in roots: objects of lines
// "ATTRIBUTE TYPE VALUE", each begun by its class. A certificate's trust is an
// object of its own with the same issuer and serial number.
func readCertdata(_ *reading, data []byte) (*File, error) {
	f := &File{Format: "certdata.txt"}
	trusts := map[string]*Aux{}
	var certs []certdataObject
	name := func(o certdataObject) string {
		return o.attributes["CKA_ISSUER"] + "\x00" + o.attributes["CKA_SERIAL_NUMBER"]
	}
	eachCertdata(decodeText(data).data, func(o certdataObject) {
		switch o.attributes["CKA_CLASS"] {
		case "CKO_CERTIFICATE":
			certs = append(certs, o)
		case "CKO_NSS_TRUST", "CKO_NETSCAPE_TRUST":
			trusts[name(o)] = o.trust()
		}
	})
	held := map[string]bool{}
	for i, o := range certs {
		held[name(o)] = true
		item := Item{Alias: o.attributes["CKA_LABEL"], Line: o.line, Block: i + 1}
		if aux := trusts[name(o)]; aux != nil {
			item.setAux(aux)
		} else {
			item.setAux(&Aux{Trust: []string{}})
		}
		value := []byte(o.attributes["CKA_VALUE"])
		if len(value) == 0 {
			f.notice(o.line, UnreadableEntry, "a certificate without a value")
			continue
		}
		f.addFound(item, value, "the object")
	}
	for id, aux := range trusts {
		if !held[id] && len(aux.Reject) > 0 {
			f.notice(0, Distrust, "a distrust of a certificate that is not in it: not read")
		}
	}
	return f, nil
}

func (o certdataObject) trust() *Aux {
	aux := &Aux{Trust: []string{}}
	for _, p := range certdataPurposes {
		switch value := o.attributes[p.attribute]; {
		case strings.HasSuffix(value, "_NOT_TRUSTED"):
			aux.Reject = append(aux.Reject, p.usage)
		case strings.HasSuffix(value, "_TRUSTED_DELEGATOR"), strings.HasSuffix(value, "_TRUSTED"):
			aux.Trust = append(aux.Trust, p.usage)
		}
	}
	return aux
}

// eachCertdata calls found for each object. An object ends where the next
// begins.
func eachCertdata(data []byte, found func(certdataObject)) {
	var o certdataObject
	finish := func() {
		if o.attributes != nil {
			found(o)
		}
	}
	for line := 1; len(data) > 0; line++ {
		var text []byte
		text, data = nextLine(data)
		fields := strings.SplitN(strings.TrimSpace(string(text)), " ", 3)
		if len(fields) < 2 || !strings.HasPrefix(fields[0], "CKA_") {
			continue
		}
		if fields[0] == "CKA_CLASS" {
			finish()
			o = certdataObject{line, map[string]string{}}
		}
		if o.attributes == nil {
			continue
		}
		value := ""
		if len(fields) == 3 {
			value = strings.Trim(fields[2], `"`)
		}
		if fields[1] == "MULTILINE_OCTAL" {
			var out []byte
			for len(data) > 0 {
				text, data = nextLine(data)
				line++
				if string(bytes.TrimSpace(text)) == "END" {
					break
				}
				out = appendOctal(out, text)
			}
			value = string(out)
		}
		o.attributes[fields[0]] = value
	}
	finish()
}

// appendOctal appends the bytes of a line such as \060\202.
func appendOctal(out, line []byte) []byte {
	for i := 0; i+4 <= len(line); i++ {
		if line[i] != '\\' {
			continue
		}
		a, b, c := line[i+1]-'0', line[i+2]-'0', line[i+3]-'0'
		if a < 4 && b < 8 && c < 8 {
			out = append(out, a<<6|b<<3|c)
			i += 3
		}
	}
	return out
}
