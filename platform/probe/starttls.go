package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// Bounds of what is read before TLS begins.
const (
	maxLine  = 2 << 10
	maxLines = 100
	maxXML   = 16 << 10
	maxBlock = 16 << 10
)

// upgrades are the ways to TLS, by protocol. Each reads no byte more than it
// has to: the next one is TLS's.
var upgrades = map[string]func(rw io.ReadWriter, name string) error{
	"smtp": func(rw io.ReadWriter, _ string) error {
		return dialogue(rw, numbered, step{"", "220"}, step{"EHLO certtrust.invalid", "250"}, step{"STARTTLS", "220"})
	},
	"lmtp": func(rw io.ReadWriter, _ string) error {
		return dialogue(rw, numbered, step{"", "220"}, step{"LHLO certtrust.invalid", "250"}, step{"STARTTLS", "220"})
	},
	"imap": func(rw io.ReadWriter, _ string) error {
		if err := dialogue(rw, single, step{"", "* "}); err != nil {
			return err
		}
		return dialogue(rw, tagged, step{"a STARTTLS", "a OK"})
	},
	"pop3": func(rw io.ReadWriter, _ string) error {
		return dialogue(rw, single, step{"", "+OK"}, step{"STLS", "+OK"})
	},
	"ftp": func(rw io.ReadWriter, _ string) error {
		return dialogue(rw, numbered, step{"", "220"}, step{"AUTH TLS", "234"})
	},
	"nntp": func(rw io.ReadWriter, _ string) error {
		return dialogue(rw, single, step{"", "20"}, step{"STARTTLS", "382"})
	},
	"sieve": func(rw io.ReadWriter, _ string) error {
		return dialogue(rw, sieve, step{"", "OK"}, step{"STARTTLS", "OK"})
	},
	"xmpp":        func(rw io.ReadWriter, name string) error { return xmpp(rw, name, "jabber:client") },
	"xmpp-server": func(rw io.ReadWriter, name string) error { return xmpp(rw, name, "jabber:server") },
	"ldap":        func(rw io.ReadWriter, _ string) error { return ldap(rw) },
	"postgres":    func(rw io.ReadWriter, _ string) error { return postgres(rw) },
	"mysql":       func(rw io.ReadWriter, _ string) error { return mysql(rw) },
}

// Protocols returns those that can be upgraded to TLS, sorted.
func Protocols() []string { return slices.Sorted(maps.Keys(upgrades)) }

// startTLS asks a server to go over to TLS.
func startTLS(rw io.ReadWriter, protocol, name string) error {
	upgrade, ok := upgrades[protocol]
	if !ok {
		return fmt.Errorf("no way is known to upgrade %q to TLS", store.Printable(protocol))
	}
	if err := upgrade(rw, name); err != nil {
		return fmt.Errorf("%s: %w", protocol, err)
	}
	return nil
}

// step is something to say, "" for nothing, and how the last line of a good
// answer begins.
type step struct{ say, want string }

// ends of an answer: whether a line is the last one.
var (
	single   = func(string) bool { return true }
	numbered = func(line string) bool { return len(line) < 4 || line[3] != '-' } // "250-more", "250 last"
	tagged   = func(line string) bool { return !strings.HasPrefix(line, "* ") || strings.HasPrefix(line, "* BYE") }
	sieve    = func(line string) bool {
		for _, word := range []string{"OK", "NO", "BYE"} {
			if strings.HasPrefix(strings.ToUpper(line), word) {
				return true
			}
		}
		return false
	}
)

// dialogue speaks line by line.
func dialogue(rw io.ReadWriter, last func(string) bool, steps ...step) error {
	for _, s := range steps {
		if s.say != "" {
			if _, err := io.WriteString(rw, s.say+"\r\n"); err != nil {
				return err
			}
		}
		line, err := answer(rw, last)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(strings.ToUpper(line), strings.ToUpper(s.want)) || strings.HasPrefix(line, "* BYE") {
			if s.say == "" {
				return fmt.Errorf("the server greets with %q", store.Printable(line))
			}
			return fmt.Errorf("%s is answered with %q", s.say, store.Printable(line))
		}
	}
	return nil
}

// answer reads lines up to the last one of an answer, and returns that.
func answer(r io.Reader, last func(string) bool) (string, error) {
	inside := "" // the number of an answer of several lines (FTP: the others may be anything)
	for range maxLines {
		text, err := readUntil(r, "\n", maxLine)
		if err != nil {
			return "", err
		}
		b, _ := io.ReadAll(text)
		line := strings.TrimRight(string(b), "\r\n")
		switch {
		case inside != "":
			if strings.HasPrefix(line, inside+" ") {
				return line, nil
			}
		case last(line):
			return line, nil
		case len(line) >= 4 && line[3] == '-':
			inside = line[:3]
		}
	}
	return "", fmt.Errorf("more than %d lines", maxLines)
}

func xmpp(rw io.ReadWriter, name, namespace string) error {
	escaped := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "'", "&apos;", `"`, "&quot;").Replace(name)
	if _, err := fmt.Fprintf(rw, "<?xml version='1.0'?><stream:stream to='%s' xmlns='%s' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>", escaped, namespace); err != nil {
		return err
	}
	features, err := readXML(rw, "</stream:features>", "<stream:features/>", "</stream:error>", "</stream:stream>")
	if err != nil {
		return err
	}
	if !strings.Contains(features, "urn:ietf:params:xml:ns:xmpp-tls") {
		return errors.New("TLS is not among the server's features")
	}
	if _, err := io.WriteString(rw, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"); err != nil {
		return err
	}
	reply, err := readXML(rw, ">")
	if err != nil {
		return err
	}
	if !strings.Contains(reply, "<proceed") {
		return fmt.Errorf("starttls is answered with %q", store.Printable(reply))
	}
	if !strings.HasSuffix(reply, "/>") { // <proceed …></proceed>
		_, err = readXML(rw, ">")
	}
	return err
}

// readXML reads up to one of the ends.
func readXML(r io.Reader, ends ...string) (string, error) {
	var text []byte
	for b := make([]byte, 1); len(text) < maxXML; {
		if _, err := io.ReadFull(r, b); err != nil {
			return "", err
		}
		text = append(text, b[0])
		if b[0] != '>' {
			continue
		}
		for _, end := range ends {
			if strings.HasSuffix(string(text[max(0, len(text)-len(end)):]), end) {
				return string(text), nil
			}
		}
	}
	return "", fmt.Errorf("more than %d bytes", maxXML)
}

// ldap sends the extended request StartTLS (RFC 4511, 4.14).
func ldap(rw io.ReadWriter) error {
	const oid = "1.3.6.1.4.1.1466.20037"
	request := append([]byte{0x30, byte(7 + len(oid)), 2, 1, 1, 0x77, byte(2 + len(oid)), 0x80, byte(len(oid))}, oid...)
	if _, err := rw.Write(request); err != nil {
		return err
	}
	kind, body, err := readTLV(rw)
	if err != nil {
		return err
	}
	message, rest, ok := splitTLV(body) // the number of the message
	if kind != 0x30 || !ok || message.kind != 2 {
		return errors.New("the answer is no LDAP")
	}
	response, _, ok := splitTLV(rest)
	if !ok || response.kind != 0x78 {
		return errors.New("the answer is no LDAP")
	}
	result, _, ok := splitTLV(response.body)
	if !ok || result.kind != 10 || len(result.body) != 1 {
		return errors.New("the answer is no LDAP")
	}
	if result.body[0] != 0 {
		return fmt.Errorf("StartTLS is answered with the result %d", result.body[0])
	}
	return nil
}

type tlv struct {
	kind byte
	body []byte
}

// readTLV reads one element of BER with a definite length.
func readTLV(r io.Reader) (kind byte, body []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := int(head[1])
	if n >= 0x80 {
		var length [4]byte
		size := n - 0x80
		if size < 1 || size > 4 {
			return 0, nil, errors.New("a length that is none")
		}
		if _, err := io.ReadFull(r, length[4-size:]); err != nil {
			return 0, nil, err
		}
		if long := binary.BigEndian.Uint32(length[:]); long > maxBlock {
			return 0, nil, fmt.Errorf("more than %d bytes", maxBlock)
		} else {
			n = int(long)
		}
	}
	body = make([]byte, n)
	_, err = io.ReadFull(r, body)
	return head[0], body, err
}

// splitTLV is the same for bytes that are there.
func splitTLV(b []byte) (first tlv, rest []byte, ok bool) {
	if len(b) < 2 {
		return tlv{}, nil, false
	}
	n, start := int(b[1]), 2
	if n >= 0x80 {
		size := n - 0x80
		if size < 1 || size > 3 || len(b) < 2+size {
			return tlv{}, nil, false
		}
		n, start = 0, 2+size
		for _, c := range b[2:start] {
			n = n<<8 | int(c)
		}
	}
	if len(b) < start+n {
		return tlv{}, nil, false
	}
	return tlv{b[0], b[start : start+n]}, b[start+n:], true
}

// postgres sends an SSLRequest.
func postgres(rw io.ReadWriter) error {
	if _, err := rw.Write([]byte{0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f}); err != nil {
		return err
	}
	var b [1]byte
	if _, err := io.ReadFull(rw, b[:]); err != nil {
		return err
	}
	if b[0] != 'S' {
		return fmt.Errorf("SSLRequest is answered with %q", store.Printable(string(b[:])))
	}
	return nil
}

// mysql reads the greeting and sends an SSLRequest
// (Connection Phase, protocol 10).
func mysql(rw io.ReadWriter) error {
	var head [4]byte
	if _, err := io.ReadFull(rw, head[:]); err != nil {
		return err
	}
	n := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	if n < 1 || n > maxBlock {
		return errors.New("the greeting is not MySQL's")
	}
	greeting := make([]byte, n)
	if _, err := io.ReadFull(rw, greeting); err != nil {
		return err
	}
	if greeting[0] == 0xff {
		return fmt.Errorf("the server greets with an error: %q", store.Printable(string(greeting[min(3, n):])))
	}
	end := slices.Index(greeting, 0) // of the version
	flags := end + 1 + 4 + 8 + 1
	if greeting[0] != 10 || end < 0 || len(greeting) < flags+2 {
		return errors.New("the greeting is not MySQL's")
	}
	const clientSSL = 0x0800
	if binary.LittleEndian.Uint16(greeting[flags:])&clientSSL == 0 {
		return errors.New("the server does not offer TLS")
	}
	request := make([]byte, 36)
	request[0], request[3] = 32, head[3]+1
	binary.LittleEndian.PutUint32(request[4:], 0x0200|clientSSL|0x8000) // protocol 4.1, TLS, secure connection
	binary.LittleEndian.PutUint32(request[8:], 1<<24)
	request[12] = 33 // UTF-8
	_, err := rw.Write(request)
	return err
}
