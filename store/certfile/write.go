package certfile

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/smallstep/pkcs7"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/certtrust/certtrust/store"
)

// Written is a certificate to be written, with the name that it goes by.
type Written struct {
	Cert  *store.Cert
	Label string // untrusted text
}

// WriteOptions are the options of [Encode].
type WriteOptions struct {
	// Password protects a keystore. Without one, PKCS#12 is written without
	// protection, as Java reads it unasked, and JKS with Java's own default.
	Password []byte
	Now      time.Time // for formats that hold when something was made
}

// Writer is a format that certificates are written in.
type Writer struct {
	Name   string
	About  string
	Binary bool // it is not for a terminal
	One    bool // it holds one certificate
	encode func(list []Written, o WriteOptions) ([]byte, error)
}

// Writers returns the formats that [Encode] knows.
func Writers() []Writer {
	return []Writer{
		{Name: "pem", About: "PEM", encode: encodePEM},
		{Name: "der", About: "DER, one certificate", Binary: true, One: true, encode: encodeDER},
		{Name: "p7b", About: "PKCS#7", Binary: true, encode: encodePKCS7},
		{Name: "jks", About: "Java's old keystore", Binary: true, encode: encodeJKS},
		{Name: "p12", About: "PKCS#12 as Java trusts it", Binary: true, encode: encodePKCS12},
		{Name: "mobileconfig", About: "configuration profile of Apple's systems", encode: encodeProfile},
		{Name: "cloud-init", About: "ca_certs of cloud-init", encode: encodeCloudInit},
		{Name: "configmap", About: "ConfigMap of Kubernetes", encode: encodeConfigMap},
		{Name: "powershell", About: "script that adds them on Windows", encode: encodePowerShell},
	}
}

// Encode writes certificates in the format of that name. The same certificates
// give the same bytes at the same time, but for a keystore with a password.
func Encode(format string, list []Written, o WriteOptions) ([]byte, error) {
	for _, w := range Writers() {
		if w.Name != format {
			continue
		}
		if w.One && len(list) != 1 {
			return nil, &store.Error{Err: store.Because(store.ErrInput, "the format %s holds one certificate, and these are %d", format, len(list)),
				Hint: "choose one by its fingerprint, or another format such as p7b"}
		}
		return w.encode(list, o)
	}
	return nil, store.Because(store.ErrInput, "unknown format %s", store.Printable(format))
}

// Comment returns untrusted text fit for a line beside PEM: in one line, and
// without anything that reads as the armour of a block.
func Comment(text string) string {
	return strings.ReplaceAll(store.Printable(text), dashes, "- - -")
}

// encodePEM writes each certificate after lines that say what it is.
func encodePEM(list []Written, _ WriteOptions) ([]byte, error) {
	var out bytes.Buffer
	for _, c := range list {
		fmt.Fprintf(&out, "# label: %s\n# sha256: %s\n%s", Comment(c.Label), c.Cert.SHA256, EncodePEM(c.Cert))
	}
	return out.Bytes(), nil
}

func encodeDER(list []Written, _ WriteOptions) ([]byte, error) { return list[0].Cert.Raw, nil }

func encodePKCS7(list []Written, _ WriteOptions) ([]byte, error) {
	var all []byte
	for _, c := range list {
		all = append(all, c.Cert.Raw...)
	}
	return pkcs7.DegenerateCertificate(all)
}

// alias returns a name for a keystore, which no other certificate has.
func (w Written) alias() string {
	const longest = 60
	var out []rune
	for _, r := range strings.ToLower(store.Printable(w.Label)) {
		if r > 0xffff || len(out) == longest {
			break
		}
		out = append(out, r)
	}
	return strings.TrimSpace(string(out)) + " " + w.Cert.SHA256.Short()
}

// encodePKCS12 marks each certificate as Java wants an anchor marked.
func encodePKCS12(list []Written, o WriteOptions) ([]byte, error) {
	var entries []pkcs12.TrustStoreEntry
	for _, c := range list {
		entries = append(entries, pkcs12.TrustStoreEntry{Cert: &x509.Certificate{Raw: c.Cert.Raw}, FriendlyName: c.alias()})
	}
	encoder := pkcs12.Passwordless
	if len(o.Password) > 0 {
		encoder = pkcs12.Modern2023
	}
	return encoder.EncodeTrustStoreEntries(entries, string(o.Password))
}

// javaPassword is what Java protects its own keystore with.
const javaPassword = "changeit"

// encodeJKS writes what [readJKS] describes.
func encodeJKS(list []Written, o WriteOptions) ([]byte, error) {
	out := binary.BigEndian.AppendUint32([]byte(magicJKS), 2)
	out = binary.BigEndian.AppendUint32(out, uint32(len(list)))
	for _, c := range list {
		out = appendJKS(out, 2, c.alias(), c.Cert, o.Now)
	}
	password := o.Password
	if len(password) == 0 {
		password = []byte(javaPassword)
	}
	return append(out, jksSum(password, rope{out})...), nil
}

// appendJKS appends an entry for a certificate.
func appendJKS(out []byte, version uint32, alias string, c *store.Cert, made time.Time) []byte {
	text := func(s string) {
		b := modifiedUTF8(s)
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(b))), b...)
	}
	out = binary.BigEndian.AppendUint32(out, jksCert)
	text(alias)
	out = binary.BigEndian.AppendUint64(out, uint64(made.UnixMilli()))
	if version == 2 {
		text("X.509")
	}
	return append(binary.BigEndian.AppendUint32(out, uint32(len(c.Raw))), c.Raw...)
}

// jksSum returns the digest that follows body.
func jksSum(password []byte, body rope) []byte {
	digest := sha1.New()
	for _, unit := range utf16.Encode([]rune(string(password))) {
		digest.Write([]byte{byte(unit >> 8), byte(unit)})
	}
	digest.Write([]byte("Mighty Aphrodite"))
	for _, piece := range body {
		digest.Write(piece)
	}
	return digest.Sum(nil)
}

// modifiedUTF8 is what [javaString] reads, for text without zeros and within
// the basic plane.
func modifiedUTF8(s string) []byte { return []byte(strings.ReplaceAll(s, "\x00", "\xc0\x80")) }

// uuid returns an identifier that follows from a certificate (RFC 9562, 5.8).
func uuid(sum store.Fingerprint) string {
	b := sum[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
}

// encodeProfile writes a payload for each certificate: roots are trusted once
// the profile is installed, others are stored.
func encodeProfile(list []Written, _ WriteOptions) ([]byte, error) {
	var out bytes.Buffer
	escaped := func(s string) string {
		var b bytes.Buffer
		xml.EscapeText(&b, []byte(store.Printable(s)))
		return b.String()
	}
	out.WriteString(xml.Header + `<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>PayloadContent</key>
	<array>
`)
	var all []byte
	for _, c := range list {
		all = append(all, c.Cert.SHA256[:]...)
		kind := "com.apple.security.pkcs1"
		if c.Cert.SelfIssued() {
			kind = "com.apple.security.root"
		}
		id := uuid(c.Cert.SHA256)
		fmt.Fprintf(&out, `		<dict>
			<key>PayloadType</key><string>%s</string>
			<key>PayloadVersion</key><integer>1</integer>
			<key>PayloadIdentifier</key><string>certtrust.certificate.%s</string>
			<key>PayloadUUID</key><string>%s</string>
			<key>PayloadDisplayName</key><string>%s</string>
			<key>PayloadCertificateFileName</key><string>%s.cer</string>
			<key>PayloadContent</key>
			<data>
%s			</data>
		</dict>
`, kind, id, id, escaped(c.Label), c.Cert.SHA256.Short(), base64Lines(c.Cert.Raw, "\t\t\t"))
	}
	id := uuid(store.FingerprintOf(all))
	fmt.Fprintf(&out, `	</array>
	<key>PayloadDisplayName</key><string>Certificates</string>
	<key>PayloadIdentifier</key><string>certtrust.profile.%s</string>
	<key>PayloadType</key><string>Configuration</string>
	<key>PayloadScope</key><string>System</string>
	<key>PayloadUUID</key><string>%s</string>
	<key>PayloadVersion</key><integer>1</integer>
</dict>
</plist>
`, id, id)
	return out.Bytes(), nil
}

func base64Lines(data []byte, indent string) string {
	var out strings.Builder
	for text := base64.StdEncoding.EncodeToString(data); text != ""; {
		n := min(len(text), 64)
		out.WriteString(indent + text[:n] + "\n")
		text = text[n:]
	}
	return out.String()
}

// indented writes PEM as a block of YAML.
func indented(c *store.Cert, indent string) string {
	var out strings.Builder
	for line := range strings.Lines(string(EncodePEM(c))) {
		out.WriteString(indent + line)
	}
	return out.String()
}

func encodeCloudInit(list []Written, _ WriteOptions) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("#cloud-config\nca_certs:\n  trusted:\n")
	for _, c := range list {
		fmt.Fprintf(&out, "    # %s, sha256 %s\n    - |\n%s", Comment(c.Label), c.Cert.SHA256, indented(c.Cert, "      "))
	}
	return out.Bytes(), nil
}

func encodeConfigMap(list []Written, _ WriteOptions) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ca-certificates\ndata:\n  ca-certificates.crt: |\n")
	for _, c := range list {
		out.WriteString(indented(c.Cert, "    "))
	}
	return out.Bytes(), nil
}

// encodePowerShell writes a script that needs nothing but Windows. Data is in
// single quotes and base64; a label is only in a comment, in one line.
func encodePowerShell(list []Written, _ WriteOptions) ([]byte, error) {
	var out bytes.Buffer
	fmt.Fprintf(&out, `#requires -version 5
# Adds %d certificates to the trust of this computer, or of the current user:
#   powershell -File certificates.ps1 [-Location CurrentUser]
param([ValidateSet('LocalMachine', 'CurrentUser')][string] $Location = 'LocalMachine')
$ErrorActionPreference = 'Stop'
$certificates = @(
`, len(list))
	for _, c := range list {
		where := "CA"
		if c.Cert.SelfIssued() {
			where = "Root"
		}
		fmt.Fprintf(&out, "    # %s\n    @{ Store = '%s'; SHA256 = '%s'; Data = '%s' }\n",
			Comment(c.Label), where, c.Cert.SHA256, base64.StdEncoding.EncodeToString(c.Cert.Raw))
	}
	out.WriteString(`)
$sha256 = [Security.Cryptography.SHA256]::Create()
foreach ($c in $certificates) {
    $data = [Convert]::FromBase64String($c.Data)
    if ([BitConverter]::ToString($sha256.ComputeHash($data)).Replace('-', '') -ne $c.SHA256) { throw "$($c.SHA256) is damaged" }
    $certificate = New-Object Security.Cryptography.X509Certificates.X509Certificate2 (,[byte[]] $data)
    $store = New-Object Security.Cryptography.X509Certificates.X509Store ($c.Store, $Location)
    $store.Open('ReadWrite')
    try { $store.Add($certificate) } finally { $store.Close() }
    Write-Output "$($c.Store) $($c.SHA256) $($certificate.Subject)"
}
`)
	return out.Bytes(), nil
}

// DirFile is a file of a directory of certificates, or a link to one.
type DirFile struct {
	Name    string
	Content []byte
	Link    string // the name of the file that it is a link to
}

// Directory returns the files of a directory in which OpenSSL finds
// certificates: a file for each, named by its fingerprint, and links named by
// the hash of its subject and a number.
func Directory(list []Written) []DirFile {
	var files, links []DirFile
	taken := map[string]int{}
	for _, c := range list {
		file := DirFile{Name: c.Cert.SHA256.String()[:32] + ".pem", Content: EncodePEM(c.Cert)}
		hash := SubjectHash(c.Cert)
		links = append(links, DirFile{Name: fmt.Sprintf("%s.%d", hash, taken[hash]), Link: file.Name})
		taken[hash]++
		files = append(files, file)
	}
	return append(files, links...)
}
