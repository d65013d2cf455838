package securitytest

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// dict is a dictionary of a property list. Values are string, int64, bool,
// time.Time, []byte, []any and dict.
type dict map[string]any

// xmlPlist writes a property list as CoreFoundation does (CFPropertyList.c,
// _CFAppendXML0): sorted keys, tabs, data in lines of 76 less eight for each tab.
func xmlPlist(v any) string {
	var b strings.Builder
	b.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">\n")
	writeValue(&b, v, 0)
	b.WriteString("</plist>\n")
	return b.String()
}

func writeValue(b *strings.Builder, v any, depth int) {
	tabs := strings.Repeat("\t", depth)
	escape := func(s string) string {
		var e bytes.Buffer
		xml.EscapeText(&e, []byte(s))
		return e.String()
	}
	switch v := v.(type) {
	case dict:
		if len(v) == 0 {
			b.WriteString(tabs + "<dict/>\n")
			return
		}
		b.WriteString(tabs + "<dict>\n")
		for _, k := range slices.Sorted(maps.Keys(v)) {
			fmt.Fprintf(b, "%s\t<key>%s</key>\n", tabs, escape(k))
			writeValue(b, v[k], depth+1)
		}
		b.WriteString(tabs + "</dict>\n")
	case []any:
		if len(v) == 0 {
			b.WriteString(tabs + "<array/>\n")
			return
		}
		b.WriteString(tabs + "<array>\n")
		for _, e := range v {
			writeValue(b, e, depth+1)
		}
		b.WriteString(tabs + "</array>\n")
	case string:
		fmt.Fprintf(b, "%s<string>%s</string>\n", tabs, escape(v))
	case int64:
		fmt.Fprintf(b, "%s<integer>%d</integer>\n", tabs, v)
	case bool:
		fmt.Fprintf(b, "%s<%t/>\n", tabs, v)
	case time.Time:
		fmt.Fprintf(b, "%s<date>%s</date>\n", tabs, v.UTC().Format("2006-01-02T15:04:05Z"))
	case []byte:
		b.WriteString(tabs + "<data>\n")
		text := base64.StdEncoding.EncodeToString(v)
		for width := max(76-8*depth, 4); text != ""; {
			n := min(width, len(text))
			b.WriteString(tabs + text[:n] + "\n")
			text = text[n:]
		}
		b.WriteString(tabs + "</data>\n")
	default:
		panic(fmt.Sprintf("securitytest: %T in a property list", v))
	}
}

var errPlist = errors.New("no property list")

// readPlist reads a property list in XML. Binary ones, which macOS takes too,
// are not read: nothing here writes them.
func readPlist(data []byte) (any, error) {
	d := xml.NewDecoder(bytes.NewReader(data))
	for {
		t, err := d.Token()
		if err != nil {
			return nil, errPlist
		}
		if s, ok := t.(xml.StartElement); ok {
			if s.Name.Local != "plist" {
				return nil, errPlist
			}
			v, _, err := readValue(d)
			return v, err
		}
	}
}

// readValue reads the next value; end says that the enclosing element ended.
func readValue(d *xml.Decoder) (v any, end bool, err error) {
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil, true, errPlist
		} else if err != nil {
			return nil, true, err
		}
		switch t := t.(type) {
		case xml.EndElement:
			return nil, true, nil
		case xml.StartElement:
			v, err := readElement(d, t.Name.Local)
			return v, false, err
		}
	}
}

func readElement(d *xml.Decoder, name string) (any, error) {
	switch name {
	case "dict":
		out := dict{}
		for {
			k, end, err := readValue(d)
			if err != nil || end {
				return out, err
			}
			key, ok := k.(string)
			v, end, err := readValue(d)
			if err != nil || end || !ok {
				return nil, errPlist
			}
			out[key] = v
		}
	case "array":
		out := []any{}
		for {
			v, end, err := readValue(d)
			if err != nil || end {
				return out, err
			}
			out = append(out, v)
		}
	case "true", "false":
		return name == "true", d.Skip()
	}
	var text strings.Builder
	for {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.CharData:
			text.Write(t)
			continue
		case xml.EndElement:
		default:
			return nil, errPlist
		}
		break
	}
	s := text.String()
	switch name {
	case "key", "string":
		return s, nil
	case "integer":
		n, err := strconv.ParseInt(strings.TrimSpace(s), 0, 64)
		return n, err
	case "date":
		return time.Parse("2006-01-02T15:04:05Z", strings.TrimSpace(s))
	case "data":
		return base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), ""))
	}
	return nil, errPlist
}

// List is the trust settings of a domain (TrustSettingsSchema.h).
type List struct {
	Records map[string]*Record // by SHA-1, upper-case hex
}

// Record is what is set for one certificate: a dictionary, or whatever a test
// has put there.
type Record struct{ Value any }

func (r *Record) value() any { return r.Value }

// NewList returns a list without settings.
func NewList() *List { return &List{Records: map[string]*Record{}} }

// XML writes the list.
func (l *List) XML() []byte {
	records := dict{}
	for k, r := range l.Records {
		records[k] = r.value()
	}
	return []byte(xmlPlist(dict{"trustList": records, "trustVersion": int64(1)}))
}

// MarshalJSON keeps a list as the text of its property list.
func (l *List) MarshalJSON() ([]byte, error) { return json.Marshal(string(l.XML())) }

// UnmarshalJSON reads it.
func (l *List) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	read, err := ParseList([]byte(text))
	if err != nil {
		return err
	}
	*l = *read
	return nil
}

// ParseList reads a list without judging what is in it.
func ParseList(data []byte) (*List, error) {
	v, err := readPlist(data)
	if err != nil {
		return nil, err
	}
	top, ok := v.(dict)
	if !ok {
		return nil, errPlist
	}
	records, ok := top["trustList"].(dict)
	if !ok {
		return nil, errPlist
	}
	l := NewList()
	for k, v := range records {
		l.Records[k] = &Record{v}
	}
	return l, nil
}

// valid is TrustSettings::validatePropList (TrustSettings.cpp).
func valid(data []byte) (*List, bool) {
	v, err := readPlist(data)
	top, ok := v.(dict)
	if err != nil || !ok {
		return nil, false
	}
	version, ok := top["trustVersion"].(int64)
	if !ok || version == 0 || version > 1 {
		return nil, false
	}
	if _, ok := top["trustList"].(dict); !ok {
		return nil, false
	}
	l, err := ParseList(data)
	if err != nil {
		return nil, false
	}
	for _, r := range l.Records {
		if !r.valid() {
			return nil, false
		}
	}
	return l, true
}

func (r *Record) valid() bool {
	d, ok := r.Value.(dict)
	if !ok {
		return false
	}
	_, issuer := d["issuerName"].([]byte)
	_, serial := d["serialNumber"].([]byte)
	_, date := d["modDate"].(time.Time)
	if !issuer || !serial || !date {
		return false
	}
	settings, has := d["trustSettings"]
	if !has {
		return true
	}
	list, ok := settings.([]any)
	if !ok {
		return false
	}
	for _, e := range list {
		e, ok := e.(dict)
		if !ok {
			return false
		}
		for key, v := range e {
			switch key {
			case "kSecTrustSettingsPolicy":
				_, data := v.([]byte)
				_, text := v.(string)
				ok = data || text
			case "kSecTrustSettingsPolicyString":
				_, ok = v.(string)
			case "kSecTrustSettingsApplication":
				_, ok = v.([]byte)
			case "kSecTrustSettingsKeyUsage", "kSecTrustSettingsAllowedError", "kSecTrustSettingsResult":
				_, ok = v.(int64)
			}
			if !ok {
				return false
			}
		}
	}
	return true
}

// settings returns the settings of a record.
func (r *Record) settings() []dict {
	d, _ := r.Value.(dict)
	list, _ := d["trustSettings"].([]any)
	var out []dict
	for _, e := range list {
		if e, ok := e.(dict); ok {
			out = append(out, e)
		}
	}
	return out
}

// set replaces the record of a certificate whole
// (TrustSettings::setTrustSettings). nil settings leave the key out.
func (l *List) set(der []byte, settings []any, now time.Time) error {
	c, err := parseCert(der)
	if err != nil {
		return err
	}
	d := dict{"issuerName": c.issuer, "serialNumber": c.serial, "modDate": now}
	if settings != nil {
		d["trustSettings"] = settings
	}
	l.Records[sha1Hex(der)] = &Record{d}
	return nil
}

// Put sets a record as a test wants it: settings are dictionaries of strings to
// the values of a property list; nil = no settings, which trusts a root for
// everything.
func (l *List) Put(der []byte, settings []map[string]any) error {
	var list []any
	for _, s := range settings {
		list = append(list, dict(s))
	}
	return l.set(der, list, time.Unix(1_600_000_000, 0).UTC())
}

func sha1Hex(der []byte) string {
	sum := sha1.Sum(der)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

func sha256Hex(der []byte) string {
	sum := sha256.Sum256(der)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}
