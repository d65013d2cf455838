// Package certfile reads the certificates out of files of every common format,
// and writes certificates out.
//
// A format is recognised by what is in the file, never by its name. Nothing is
// dropped in silence: what is in a file and gives no [Item] gives a [Notice].
// Private keys are told of, but none of their bytes is in anything returned.
//
// All functions are pure and may be called from several goroutines at once.
// What they return does not refer to the input, unless it says so.
package certfile

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/certtrust/certtrust/store"
)

// MaxSize is how many bytes a file may have to be read by [Read] and
// [Keystore]. The largest bundles in use have less than a tenth of it.
const MaxSize = 16 << 20

// File is what was found in a file, in the order of the file.
type File struct {
	Format  string // such as "PEM", "DER", "JKS", "base64 of DER"; "" if unknown
	Items   []Item
	Notices []Notice

	keys []string // the public keys of the private keys that were seen
}

// Item is a certificate in a file. Fields that the format does not have are
// zero.
type Item struct {
	// Cert is the certificate alone, without anything that follows it. It is
	// malformed (Version 0) if there is something else where a certificate
	// should be.
	Cert *store.Cert
	// Path is where it lies in a file that holds others or has fields: the
	// name of an archive's member, the path of a JSON value, a registry key.
	// It is untrusted text and names nothing on this machine.
	Path string
	// Alias is the name that the file gives it: untrusted text.
	Alias string
	// Line is where it begins in a text, from 1. In a file with a Path it is
	// the line in that part.
	Line int
	// Block is which part of the file it is, from 1: of the PEM blocks, DER
	// values, keystore entries or bags, those that give no Item counted too.
	Block int
	// TrustedLabel: in a PEM block labelled "TRUSTED CERTIFICATE".
	TrustedLabel bool
	// TrustedEntry: a keystore's entry that Java takes for an anchor. A
	// certificate in PKCS#12 without the mark for that is invisible to it.
	TrustedEntry bool
	// Aux is what the file says of the purposes that it is trusted for, nil if
	// it does not: OpenSSL's trusted format, certdata.txt and p11-kit do.
	Aux *Aux
	// Distrusted: the file says that it is trusted for nothing, or what it
	// says of its trust cannot be read. It must not be imported as trusted.
	Distrusted bool
	// HasKey: the file holds its private key too.
	HasKey bool
	// Start and End are where it lies in the input, 0 if it lies there in
	// another form. In PEM that is from "-----BEGIN" to the end of the END
	// line with its line break or, if something else follows on that line, to
	// the last dash.
	Start, End int
}

// Aux is what OpenSSL has as auxiliary trust data (X509_CERT_AUX): the
// certificate is trusted for the purposes in Trust that are not in Reject.
type Aux struct {
	Trust  []string // dotted OIDs of extended key usages; nil if there is no list, which is not an empty one
	Reject []string
	Alias  string // untrusted text
}

// Notice is something in a file that is not a certificate, or is wrong with
// one. Text is safe to print.
type Notice struct {
	Path string // as of [Item]
	Line int    // from 1; 0 if the file has no lines
	Code string // stable, one of the constants
	Text string
}

// Place returns where in the file it is, such as "ca.p12, line 3", or "". It is
// safe to print.
func (n Notice) Place() string { return place(n.Path, n.Line) }

// Place is where in the file the certificate is, as of [Notice].
func (i Item) Place() string { return place(i.Path, i.Line) }

func place(path string, line int) string {
	out := store.Printable(path)
	if line > 0 {
		if out != "" {
			out += ", "
		}
		out += fmt.Sprintf("line %d", line)
	}
	return out
}

// The codes of notices.
const (
	PrivateKey         = "private-key"
	PublicKey          = "public-key"
	CertificateRequest = "certificate-request"
	CRL                = "crl"
	PKCS7              = "pkcs7"       // certificates in a form that is not read
	PKCS12             = "pkcs12"      // a keystore where none is read
	BCFKS              = "bcfks"       // a keystore that is not read
	Parameters         = "parameters"  // of a key algorithm
	OtherBlock         = "other-block" // a PEM block of another sort
	UnreadableBlock    = "unreadable-block"
	NotACertificate    = "not-a-certificate" // an Item with a malformed Cert
	TrailingData       = "trailing-data"     // something follows a certificate
	UnreadableTrust    = "unreadable-trust"  // the Item is Distrusted
	KeyEntry           = "key-entry"         // of a keystore; not read
	UnreadableEntry    = "unreadable-entry"  // of a keystore
	Encrypted          = "encrypted"         // a part that needs a password
	Damaged            = "damaged"           // the file's structure breaks off
	Signature          = "signature"         // certificates that only vouch for the file
	Distrust           = "distrust"          // of what is not in the file
	TooMuch            = "too-much"          // a part that is larger, or nested deeper, than is read
	Unread             = "unread"            // a part in a format that is not read
	OtherFiles         = "other-files"       // parts that hold no certificates
)

func (f *File) notice(line int, code, format string, args ...any) {
	f.Notices = append(f.Notices, Notice{Line: line, Code: code, Text: fmt.Sprintf(format, args...)})
}

// format is a way in which files hold certificates.
type format struct {
	name     string
	is       func(data []byte) bool
	read     func(r *reading, data []byte) (*File, error) // the File is never nil
	keystore bool
}

// formats returns the formats that are read, or refused by name; the first that
// recognises a file has it. Each has a file of its own.
func formats() []format {
	return []format{
		{name: "JKS", is: prefix(magicJKS), read: readJKS, keystore: true},
		{name: "JCEKS", is: prefix(magicJCEKS), read: readJKS, keystore: true},
		{name: "PKCS#12", is: isDER(PKCS12), read: readPKCS12, keystore: true},
		{name: "BCFKS", is: isDER(BCFKS), read: unread("a BCFKS keystore"), keystore: true},
		{name: "PKCS#7", is: isDER(PKCS7), read: readPKCS7},
		{name: "DER", is: func(data []byte) bool { return derKind(data) != "" }, read: readDER},
		{name: "SST", is: prefix(magicSST), read: readSST},
		{name: "serialized certificate", is: isSerialized, read: readSerialized},
		{name: "ZIP", is: prefix("PK\x03\x04"), read: readZIP},
		{name: "gzip", is: prefix("\x1f\x8b"), read: readGzip},
		{name: "tar", is: isTar, read: readTar},
		{name: "binary property list", is: prefix(magicPlist), read: readBinaryPlist},
		{name: "registry file", is: isRegistry, read: readRegistry},
		{name: "MIME", is: isMIME, read: readMIME},
		{name: "property list", is: isPlist, read: readPlist},
		{name: "p11-kit", is: holds(p11Section), read: readP11},
		{name: "certdata.txt", is: isCertdata, read: readCertdata},
		{name: "JSON", is: isJSON, read: readJSON},
		{name: "YAML with base64", is: isYAML, read: readYAML},
		{name: "PEM with escapes", is: isEscapedPEM, read: readEscapedPEM},
		{name: "PEM", is: holds(begin), read: readPEM},
	}
}

// others are what people give instead, for the error message.
var others = []struct {
	name string
	is   func(data []byte) bool
	kind error
}{
	{"an SQLite database, as NSS has", prefix("SQLite format 3\x00"), store.ErrUnsupported},
	{"a 7-Zip archive", prefix("7z\xbc\xaf\x27\x1c"), store.ErrUnsupported},
	{"a RAR archive", prefix("Rar!\x1a\x07"), store.ErrUnsupported},
	{"an XZ archive", prefix("\xfd7zXZ\x00"), store.ErrUnsupported},
	{"a bzip2 archive", prefix("BZh"), store.ErrUnsupported},
	{"a Zstandard archive", prefix("\x28\xb5\x2f\xfd"), store.ErrUnsupported},
	{"a Cabinet archive", prefix("MSCF\x00\x00\x00\x00"), store.ErrUnsupported},
	{"an SSH key", text(sshKey), store.ErrInput},
	{"a PuTTY private key", text(prefix("PuTTY-User-Key-File")), store.ErrInput},
	{"an HTML page", text(markup("<!doctype html")), store.ErrInput},
	{"an HTML page", text(markup("<html")), store.ErrInput},
	{"a text with a certificate whose BEGIN line is damaged", text(holds("BEGIN CERTIFICATE")), store.ErrInput},
	{"a text without a certificate", func(data []byte) bool {
		t := decodeText(data).data
		return utf8.Valid(t) && bytes.IndexByte(t, 0) < 0
	}, errForeign},
	{"binary data of an unknown format", func([]byte) bool { return true }, errForeign},
}

// errForeign is the kind of an [store.ErrInput] for what is nothing that this
// package has a name for: in an archive that is no mistake.
var errForeign = store.Because(store.ErrInput, "foreign")

// sshKey recognises public keys and certificates of SSH.
func sshKey(data []byte) bool {
	kind, _, ok := bytes.Cut(data[:min(len(data), 80)], []byte(" "))
	return ok && (bytes.HasPrefix(kind, []byte("ssh-")) || bytes.HasPrefix(kind, []byte("ecdsa-sha2-")))
}

// unread is the reader of a format that is only known by name.
func unread(name string) func(*reading, []byte) (*File, error) {
	return func(*reading, []byte) (*File, error) {
		return &File{Format: name}, refusal(name, store.ErrUnsupported)
	}
}

func prefix(magic string) func([]byte) bool {
	return func(data []byte) bool { return bytes.HasPrefix(data, []byte(magic)) }
}

// markup is prefix for what may be in upper or lower case.
func markup(tag string) func([]byte) bool {
	return func(data []byte) bool {
		return len(data) >= len(tag) && bytes.EqualFold(data[:len(tag)], []byte(tag))
	}
}

func holds(part string) func([]byte) bool {
	return func(data []byte) bool { return bytes.Contains(decodeText(data).data, []byte(part)) }
}

// text makes is look at a text whatever its encoding, and past leading space.
func text(is func([]byte) bool) func([]byte) bool {
	return func(data []byte) bool { return is(bytes.TrimSpace(decodeText(data).data)) }
}

func isDER(kind string) func([]byte) bool {
	return func(data []byte) bool { return derKind(data) == kind }
}

// Options say how a file is to be read.
type Options struct {
	// Passwords are tried on what is encrypted, in UTF-8. Without a password
	// is tried unasked.
	Passwords [][]byte
}

// Read reads a file of any format. The error says what the file is instead if
// no well-formed certificate is in it, and is [store.ErrInput],
// [store.ErrUnsupported], [store.ErrSecret] or [store.ErrCorrupt]; otherwise it
// is nil and what else is in the file, or wrong with it, is in the notices. The
// File is never nil: with an error too it has what was found.
//
// Whatever the file claims, the time and memory that reading takes are within
// small multiples of its length and of [MaxSize].
func Read(data []byte) (*File, error) { return Options{}.Read(data) }

// Read is the function Read with options.
func (o Options) Read(data []byte) (*File, error) {
	r := newReading(o.Passwords, len(data))
	f, err := r.read(data)
	f.markKeys()
	return f, err
}

// Keystore reads a JKS, JCEKS or PKCS#12 file without its password. JKS and
// JCEKS encrypt no certificates; their digest, which a password is part of, is
// not checked. Of PKCS#12 the parts without encryption are read: if there is
// none the error is [store.ErrSecret]. Keys are passed over with a notice.
//
// A keystore without certificates is no error. Another kind of file, or one
// that breaks off, is [store.ErrCorrupt], as the file as a whole is of no use
// to Java then; a keystore of a kind that is not read is
// [store.ErrUnsupported]. The File is never nil: with an error too it has what
// was found.
func Keystore(data []byte) (*File, error) { return newReading(nil, len(data)).keystore(data) }

func (r *reading) keystore(data []byte) (*File, error) {
	if err := checkSize(data); err != nil {
		return &File{}, err
	}
	if format := recognise(data); format != nil && format.keystore {
		r.anchors = true
		return format.read(r, data)
	}
	return &File{}, store.Because(store.ErrCorrupt, "not a keystore (JKS, JCEKS or PKCS#12)")
}

func checkSize(data []byte) error {
	switch {
	case len(data) > MaxSize:
		return store.Because(store.ErrInput, "larger than %d MiB", MaxSize>>20)
	case len(bytes.TrimSpace(data)) == 0:
		return store.Because(store.ErrInput, "it is empty")
	}
	return nil
}

func recognise(data []byte) *format {
	for _, f := range formats() {
		if f.is(data) {
			return &f
		}
	}
	return nil
}

// usable turns what a reader returned into what Read returns.
func usable(f *File, err error) (*File, error) {
	for _, item := range f.Items {
		if item.Cert.Version != 0 {
			if err != nil {
				f.notice(0, Damaged, "%v", err)
			}
			return f, nil
		}
	}
	if err == nil {
		err = nothing(f)
	}
	return f, err
}

// instead tells what a file is that has nothing but notices of that code, the
// weightiest first.
var instead = []struct {
	code string
	name string // "" = the notice's text
	kind error
}{
	{UnreadableBlock, "", store.ErrInput},
	{Encrypted, "", store.ErrSecret},
	{TooMuch, "", store.ErrInput},
	{PKCS7, "PKCS#7", store.ErrInput},
	{BCFKS, "a BCFKS keystore", store.ErrUnsupported},
	{PKCS12, "PKCS#12 inside another format", store.ErrUnsupported},
	{CertificateRequest, "a certificate request", store.ErrInput},
	{CRL, "a certificate revocation list", store.ErrInput},
	{NotACertificate, "", store.ErrInput},
	{UnreadableEntry, "", store.ErrInput},
	{Unread, "", store.ErrUnsupported},
	{Damaged, "", store.ErrInput},
	{KeyEntry, "a keystore with keys only", store.ErrInput},
	{PrivateKey, "a private key", store.ErrInput},
	{PublicKey, "a public key", store.ErrInput},
	{Parameters, "parameters of a key algorithm", store.ErrInput},
	{OtherBlock, "", store.ErrInput},
	{Distrust, "", store.ErrInput},
	{OtherFiles, "", store.ErrInput},
}

// nothing returns the error for a file without a usable certificate.
func nothing(f *File) error {
	for _, what := range instead {
		for _, n := range f.Notices {
			switch {
			case n.Code != what.code:
			case what.name != "":
				return noted(refusal(what.name, what.kind))
			case n.Place() != "":
				return noted(store.Because(what.kind, "no certificate in it: %s: %s", n.Place(), n.Text))
			default:
				return noted(store.Because(what.kind, "no certificate in it: %s", n.Text))
			}
		}
	}
	return store.Because(store.ErrInput, "no certificate in it")
}

func noted(err error) error { return &repeated{err} }

// repeated is an error that repeats a notice.
type repeated struct{ error }

func (r *repeated) Unwrap() []error { return []error{r.error, errNoted} }

// refusal is the error for a file that is something else.
func refusal(name string, kind error) error {
	if kind == store.ErrUnsupported {
		return store.Because(kind, "%s: it cannot be read yet", name)
	}
	if strings.HasPrefix(name, "a text with") { // it says so itself
		return store.Because(kind, "%s", name)
	}
	return store.Because(kind, "%s, not a certificate", name)
}

// bareBase64 returns what data is the base64 of, nil if it is not base64.
func bareBase64(data []byte) []byte {
	out, err := decodeBase64(decodeText(data).data)
	if err != nil {
		return nil
	}
	return out
}

// decodeBase64 decodes base64 with any white space in it.
func decodeBase64(data []byte) ([]byte, error) {
	out := make([]byte, base64.StdEncoding.DecodedLen(len(data)))
	n, err := base64.StdEncoding.Decode(out, data) // skips line breaks
	if err != nil && bytes.ContainsAny(data, blanks) {
		packed := make([]byte, 0, len(data))
		for _, c := range data {
			if strings.IndexByte(blanks, c) < 0 {
				packed = append(packed, c)
			}
		}
		n, err = base64.StdEncoding.Decode(out, packed)
	}
	return out[:n:n], err
}

// blanks is white space within a line.
const blanks = " \t\v\f"
