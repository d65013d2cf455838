package securitytest

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// withoutEnd is a context that does not end, with another's values.
type withoutEnd struct{ context.Context }

func (withoutEnd) Done() <-chan struct{} { return nil }
func (withoutEnd) Err() error            { return nil }

func removeFile(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// buffer is print_buffer (security_tool): text if all of it can be printed, else
// hexadecimal and what of it is ASCII.
func buffer(data []byte) string {
	if data == nil {
		return "<NULL>"
	}
	plain := bytes.IndexFunc(data, func(r rune) bool { return r < ' ' || r > '~' || r == '\\' }) < 0
	if plain {
		return `"` + string(data) + `"`
	}
	var b strings.Builder
	fmt.Fprintf(&b, "0x%X  \"", data)
	for _, c := range data {
		if c < ' ' || c > '~' || c == '\\' {
			fmt.Fprintf(&b, "\\%03o", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String() + `"`
}

// findCertificate is keychain_find.c.
func (c *call) findCertificate(opts []option, rest []string) int {
	const api = "SecKeychainSearchCopyNext"
	paths, status := c.open(rest)
	if status != 0 {
		return c.secError(api, status)
	}
	name := strings.ToLower(value(opts, 'c'))
	count := 0
	for _, p := range paths {
		k := c.st.Keychains[p]
		if k == nil {
			continue
		}
		for i, der := range k.Certs {
			if k.Damaged > 0 && i == k.Damaged {
				return c.secError(api, errAuthFailed)
			}
			parsed, err := parseCert(der)
			if len(der) == 0 || name != "" && !strings.Contains(strings.ToLower(parsed.label), name) {
				continue // items without content are passed over
			}
			if err != nil {
				parsed.der = der
			}
			if has(opts, 'Z') {
				if c.st.since(10, 15) {
					c.print("SHA-256 hash: %s\n", sha256Hex(der))
				}
				c.print("SHA-1 hash: %s\n", sha1Hex(der))
			}
			if has(opts, 'p') {
				c.print("%s", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
			} else {
				c.attributes(p, k, parsed)
			}
			if count++; !has(opts, 'a') {
				return 0
			}
		}
		if k.Damaged > 0 && k.Damaged >= len(k.Certs) {
			return c.secError(api, errAuthFailed)
		}
		for _, extra := range k.Extra {
			c.print("%s", extra)
		}
	}
	if count == 0 && !has(opts, 'a') {
		return c.secError(api, errItemNotFound)
	}
	return 0
}

// attributes prints an item as keychain_utilities.c does.
func (c *call) attributes(p string, k *Keychain, item cert) {
	c.print("keychain: \"%s\"\nversion: %d\nclass: 0x80001000 \nattributes:\n", p, k.Format)
	c.print("    \"alis\"<blob>=%s\n", buffer([]byte(item.label)))
	c.print("    \"cenc\"<uint32>=0x00000003 \n    \"ctyp\"<uint32>=0x00000001 \n")
	for _, row := range []struct {
		name  string
		value []byte
	}{{"hpky", nil}, {"issu", item.issuer}, {"labl", []byte(item.label)}, {"skid", nil}, {"snbr", item.serial}, {"subj", item.subject}} {
		c.print("    \"%s\"<blob>=%s\n", row.name, buffer(row.value))
	}
}

// add is SecCertificateAddToKeychain: it puts a certificate into a keychain. What has the same issuer and serial
// number is a duplicate, whatever else it is (Schema.m4: the primary key of the
// table is CertType, Issuer and SerialNumber).
func (c *call) add(p string, der []byte) int {
	if status := c.writable(p); status != 0 {
		return status
	}
	k := c.st.Keychains[p]
	new, err := parseCert(der)
	if err != nil {
		return errUnknownFormat
	}
	for _, other := range k.Certs {
		if old, err := parseCert(other); err == nil && bytes.Equal(old.issuer, new.issuer) && bytes.Equal(old.serial, new.serial) {
			return errDuplicateItem
		}
	}
	k.Certs = append(slices.Clone(k.Certs), der)
	if err := c.m.project(c.st, p); err != nil {
		c.warn("%v\n", err)
	}
	return 0
}

func (c *call) readFile(name string) ([]byte, error) {
	if !strings.HasPrefix(name, "/") {
		name = "/" + name // the working directory is the root
	}
	return os.ReadFile(c.m.path(name))
}

// addCertificates is keychain_add.c. It goes on after a failure.
func (c *call) addCertificates(opts []option, rest []string) int {
	if len(rest) == 0 || has(opts, 'k') && value(opts, 'k') == "" {
		return 2
	}
	p := LoginKeychain
	if has(opts, 'k') {
		p = keychainPath(value(opts, 'k'))
	}
	code := 0
	for _, file := range rest {
		data, err := c.readFile(file)
		der, ok := readCertFile(data)
		if err != nil || !ok {
			c.print("***Error reading file %s\n", file)
			c.warn("Error reading file %s\n", file)
			code = 1
			continue
		}
		switch status := c.add(p, der); status {
		case 0:
		case errDuplicateItem:
			where := "default keychain"
			if has(opts, 'k') {
				where = value(opts, 'k')
			}
			c.warn("security: %s: already in %s\n", file, where)
			code = 1
		default:
			c.secError("SecCertificateAddToKeychain", status)
			code = 1
		}
	}
	return code
}

// deleteCertificate is keychain_delete.c.
func (c *call) deleteCertificate(opts []option, rest []string) int {
	name, hash := value(opts, 'c'), value(opts, 'Z')
	if name == "" && hash == "" || name != "" && hash != "" {
		return 2
	}
	paths, status := c.open(rest)
	if status != 0 && len(rest) == 1 {
		// The only keychain cannot be opened: all of the list is searched.
		paths = c.searchList()
	} else if status != 0 {
		return c.secError("SecKeychainSearchCreateFromAttributes", status)
	}
	if hash != "" && len(hash) == 64 && !c.st.since(10, 15) {
		hash = strings.Repeat("0", 40) // only SHA-1 was known
	}
	digits := func(r rune) rune {
		if strings.ContainsRune("0123456789ABCDEF", r) {
			return r
		}
		return '0' // a digit that is none counts as zero
	}
	hash = strings.Map(digits, strings.ToUpper(hash))
	if _, err := hex.DecodeString(hash); err != nil {
		hash = "?"
	}
	for _, p := range paths {
		k := c.st.Keychains[p]
		if k == nil {
			continue
		}
		for i, der := range k.Certs {
			parsed, _ := parseCert(der)
			byName := name != "" && strings.Contains(strings.ToLower(parsed.label), strings.ToLower(name))
			if !byName && (hash == "" || hash != sha1Hex(der) && hash != sha256Hex(der)) {
				continue
			}
			if has(opts, 't') {
				c.warn("securitytest: delete-certificate -t is not emulated\n")
				return 99
			}
			if status := c.writable(p); status != 0 {
				return c.secError("SecKeychainItemDelete", status)
			}
			k.Certs = slices.Delete(slices.Clone(k.Certs), i, i+1)
			if err := c.m.project(c.st, p); err != nil {
				c.warn("%v\n", err)
			}
			return 0
		}
	}
	what := name
	if hash != "" {
		what = value(opts, 'Z')
	}
	c.warn("Unable to delete certificate matching \"%s\"", what) // without a newline
	return 1
}
