package probetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// dialogue is how the server's side of a text protocol gets to TLS.
type dialogue struct {
	banner string
	// answers to the commands that begin like that, in upper case.
	answers map[string]string
	start   string // the command after whose answer TLS begins
}

// dialogues is not changed.
var dialogues = map[string]dialogue{
	"smtp": {"220-mail.test ESMTP\r\n220 ready\r\n", map[string]string{
		"EHLO": "250-mail.test\r\n250-SIZE 1000\r\n250 STARTTLS\r\n", "STARTTLS": "220 go ahead\r\n", "QUIT": "221 bye\r\n"}, "STARTTLS"},
	"lmtp": {"220 mail.test LMTP\r\n", map[string]string{
		"LHLO": "250-mail.test\r\n250 STARTTLS\r\n", "STARTTLS": "220 go ahead\r\n"}, "STARTTLS"},
	"imap": {"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n", map[string]string{
		"CAPABILITY": "* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\n%s OK done\r\n", "STARTTLS": "%s OK begin TLS\r\n"}, "STARTTLS"},
	"pop3": {"+OK POP3 ready\r\n", map[string]string{
		"CAPA": "+OK list follows\r\nSTLS\r\nUIDL\r\n.\r\n", "STLS": "+OK begin TLS\r\n"}, "STLS"},
	"ftp": {"220-Welcome\r\n 220 is not the end\r\n220 ready\r\n", map[string]string{
		"FEAT": "211-Features\r\n AUTH TLS\r\n211 End\r\n", "AUTH TLS": "234 go ahead\r\n"}, "AUTH TLS"},
	"nntp": {"200 news.test ready\r\n", map[string]string{
		"CAPABILITIES": "101 list follows\r\nVERSION 2\r\nSTARTTLS\r\n.\r\n", "STARTTLS": "382 go ahead\r\n"}, "STARTTLS"},
	"sieve": {"\"IMPLEMENTATION\" \"test\"\r\n\"SIEVE\" \"fileinto\"\r\n\"STARTTLS\"\r\nOK \"ready\"\r\n", map[string]string{
		"STARTTLS": "OK \"begin TLS\"\r\n"}, "STARTTLS"},
}

// upgrade plays the server's part up to where TLS begins. If refuse is not
// empty, the command that begins it is answered with that instead.
func upgrade(protocol string, conn net.Conn, refuse string) error {
	switch protocol {
	case "xmpp", "xmpp-server":
		return upgradeXMPP(conn, refuse)
	case "ldap":
		return upgradeLDAP(conn, refuse)
	case "postgres":
		return upgradePostgres(conn, refuse)
	case "mysql":
		return upgradeMySQL(conn)
	}
	d, ok := dialogues[protocol]
	if !ok {
		return errors.New("unknown protocol")
	}
	if _, err := io.WriteString(conn, d.banner); err != nil {
		return err
	}
	for {
		line, err := readLine(conn)
		if err != nil {
			return err
		}
		tag := ""
		if protocol == "imap" {
			tag, line, _ = strings.Cut(line, " ")
		}
		answer, begins := "500 what?\r\n", false
		for command, a := range d.answers {
			if strings.HasPrefix(strings.ToUpper(line), command) {
				answer, begins = a, command == d.start
			}
		}
		if begins && refuse != "" {
			answer, begins = refuse, false
		}
		if strings.Contains(answer, "%s") {
			answer = fmt.Sprintf(answer, tag)
		}
		if _, err := io.WriteString(conn, answer); err != nil || begins {
			return err
		}
	}
}

// readLine reads byte by byte, so that nothing of what follows is lost.
func readLine(r io.Reader) (string, error) {
	var line []byte
	var b [1]byte
	for len(line) < 1024 {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return "", err
		}
		if b[0] == '\n' {
			return strings.TrimRight(string(line), "\r"), nil
		}
		line = append(line, b[0])
	}
	return "", errors.New("line too long")
}

func readTo(r io.Reader, end string) (string, error) {
	var text []byte
	var b [1]byte
	for len(text) < 4096 {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return "", err
		}
		if text = append(text, b[0]); strings.HasSuffix(string(text), end) {
			return string(text), nil
		}
	}
	return "", errors.New("too long")
}

func upgradeXMPP(conn net.Conn, refuse string) error {
	for {
		text, err := readTo(conn, ">")
		if err != nil {
			return err
		}
		switch {
		case strings.Contains(text, "<stream:stream"):
			_, err = io.WriteString(conn, "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1' from='x.test' version='1.0'>"+
				"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>")
		case strings.Contains(text, "<starttls") && refuse != "":
			_, err = io.WriteString(conn, refuse)
		case strings.Contains(text, "<starttls"):
			_, err = io.WriteString(conn, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
			return err
		}
		if err != nil {
			return err
		}
	}
}

// upgradeLDAP answers an extended request (RFC 4511, 4.14).
func upgradeLDAP(conn net.Conn, refuse string) error {
	var head [2]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return err
	}
	if head[0] != 0x30 || head[1] > 0x7f {
		return errors.New("no LDAP message")
	}
	if _, err := io.CopyN(io.Discard, conn, int64(head[1])); err != nil {
		return err
	}
	code := byte(0)
	if refuse != "" {
		code = 52 // unavailable
	}
	_, err := conn.Write([]byte{0x30, 12, 2, 1, 1, 0x78, 7, 10, 1, code, 4, 0, 4, 0})
	if err == nil && refuse != "" {
		err = errors.New("refused")
	}
	return err
}

func upgradePostgres(conn net.Conn, refuse string) error {
	var request [8]byte
	if _, err := io.ReadFull(conn, request[:]); err != nil {
		return err
	}
	if binary.BigEndian.Uint32(request[4:]) != 80877103 {
		return errors.New("no SSLRequest")
	}
	if refuse != "" {
		_, _ = io.WriteString(conn, "N")
		return errors.New("refused")
	}
	_, err := io.WriteString(conn, "S")
	return err
}

// upgradeMySQL greets with protocol 10 and reads the request for TLS.
func upgradeMySQL(conn net.Conn) error {
	greeting := []byte{10}
	greeting = append(greeting, "8.0.0-test\x00"...)
	greeting = append(greeting, 1, 0, 0, 0)
	greeting = append(greeting, "saltsalt\x00"...)
	greeting = append(greeting, 0x00, 0x8a, 33, 2, 0, 0xff, 0x81, 21) // with CLIENT_SSL, 0x0800
	greeting = append(greeting, make([]byte, 10)...)
	greeting = append(greeting, "saltsaltsalt\x00mysql_native_password\x00"...)
	if _, err := conn.Write(append([]byte{byte(len(greeting)), 0, 0, 0}, greeting...)); err != nil {
		return err
	}
	var request [36]byte
	if _, err := io.ReadFull(conn, request[:]); err != nil {
		return err
	}
	if request[0] != 32 || request[3] != 1 {
		return errors.New("no SSLRequest")
	}
	return nil
}
