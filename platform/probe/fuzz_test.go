package probe

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// flight is what a server of TLS 1.2 sends that has these certificates.
func flight(certs ...string) []byte {
	var list []byte
	for _, c := range certs {
		list = append(list, byte(len(c)>>16), byte(len(c)>>8), byte(len(c)))
		list = append(list, c...)
	}
	body := append([]byte{byte(len(list) >> 16), byte(len(list) >> 8), byte(len(list))}, list...)
	hello := slices.Concat([]byte{2, 0, 0, 38, 3, 3}, make([]byte, 32), []byte{0, 0xc0, 0x2b, 0})
	messages := slices.Concat(hello, []byte{11, 0, byte(len(body) >> 8), byte(len(body))}, body)
	return slices.Concat([]byte{22, 3, 3, byte(len(messages) >> 8), byte(len(messages))}, messages)
}

func TestSniff(t *testing.T) {
	whole := flight("first", "second")
	s := sniff(whole, nil)
	if !s.tls || s.version != tls.VersionTLS12 || s.suite != 0xc02b || !s.whole || len(s.certs) != 2 || string(s.certs[1]) != "second" {
		t.Errorf("%+v", s)
	}
	for n := range whole {
		s := sniff(whole[:n], nil)
		if s.whole || len(s.certs) > 2 {
			t.Errorf("%d bytes: %+v", n, s)
		}
	}
	// In records of one byte each.
	var split []byte
	for _, b := range whole[5:] {
		split = append(split, 22, 3, 3, 0, 1, b)
	}
	if s := sniff(split, nil); !s.whole || len(s.certs) != 2 {
		t.Errorf("split: %+v", s)
	}
	if s := sniff([]byte{21, 3, 1, 0, 2, 2, 40}, nil); !s.hasAlert || s.alert != 40 {
		t.Errorf("alert: %+v", s)
	}
	if s := sniff([]byte("HTTP/1.1 400 Bad Request"), nil); s.tls {
		t.Errorf("HTTP: %+v", s)
	}
}

// FuzzSniff: whatever the bytes are, what is found in them is no more than they
// are.
func FuzzSniff(f *testing.F) {
	f.Add(flight("first", "second"), []byte(nil))
	f.Add([]byte{21, 3, 3, 0, 2, 2, 40}, []byte(nil))
	// A ServerHello of TLS 1.3, and a record that is encrypted.
	retry := slices.Concat([]byte{22, 3, 3, 0, 50, 2, 0, 0, 46, 3, 3}, []byte(helloRetry), []byte{0, 0x13, 0x01, 0, 0, 6, 0, 43, 0, 2, 3, 4})
	f.Add(slices.Concat(retry, []byte{20, 3, 3, 0, 1, 1}, retry, []byte{23, 3, 3, 0, 20}, make([]byte, 20)), make([]byte, 32))
	f.Fuzz(func(t *testing.T, stream, secret []byte) {
		s := sniff(stream, secret)
		size := 0
		for _, c := range s.certs {
			size += len(c)
		}
		if size > len(stream) || len(s.certs) > len(stream) {
			t.Errorf("%d bytes of certificates in %d bytes", size, len(stream))
		}
		if !s.whole && len(s.certs) > maxPartial {
			t.Errorf("%d certificates of a list without an end", len(s.certs))
		}
	})
}

// script is a server that has said all it will say.
type script struct {
	in  *bytes.Reader
	out bytes.Buffer
}

func (s *script) Read(b []byte) (int, error)  { return s.in.Read(b) }
func (s *script) Write(b []byte) (int, error) { return s.out.Write(b) }

// goodReplies are what servers say that can be upgraded; TLS follows.
var goodReplies = map[string]string{
	"smtp":        "220-a\r\n220 b\r\n250-a\r\n250 STARTTLS\r\n220 go\r\n",
	"lmtp":        "220 b\r\n250-a\r\n250 STARTTLS\r\n220 go\r\n",
	"imap":        "* OK hi\r\n* CAPABILITY X\r\na OK go\r\n",
	"pop3":        "+OK hi\r\n+OK go\r\n",
	"ftp":         "220-hi\r\n 999 odd\r\n\r\n220 hi\r\n234 go\r\n",
	"nntp":        "200 hi\r\n382 go\r\n",
	"sieve":       "\"X\" \"y\"\r\nOK\r\nOK \"go\"\r\n",
	"xmpp":        "<?xml version='1.0'?><stream:stream><stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features><proceed xmlns='x'/>",
	"xmpp-server": "<stream:stream><stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features><proceed xmlns='x'></proceed>",
	"ldap":        "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00",
	"postgres":    "S",
	"mysql":       "\x2c\x00\x00\x00\x0a8.0\x00\x01\x00\x00\x00saltsalt\x00\x00\x8a!\x02\x00\xff\x81\x15\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00saltsal\x00",
}

// Nothing of what follows the upgrade is read, and an answer that is cut short
// is no success.
func TestStartTLS(t *testing.T) {
	for _, p := range Protocols() {
		reply, ok := goodReplies[p]
		if !ok {
			t.Errorf("%s is not tried", p)
			continue
		}
		s := &script{in: bytes.NewReader([]byte(reply + "\x16\x03"))}
		if err := startTLS(s, p, "a'><b"); err != nil {
			t.Errorf("%s: %v", p, err)
		}
		if rest, _ := io.ReadAll(s); string(rest) != "\x16\x03" {
			t.Errorf("%s: TLS begins with %q", p, rest)
		}
		if strings.Contains(s.out.String(), "a'>") {
			t.Errorf("%s: the name is not escaped: %q", p, s.out.String())
		}
		for n := range reply {
			if err := startTLS(&script{in: bytes.NewReader([]byte(reply[:n]))}, p, "x"); err == nil {
				t.Errorf("%s: upgraded after %q", p, reply[:n])
			}
		}
	}
}

func FuzzStartTLS(f *testing.F) {
	for i, p := range Protocols() {
		f.Add(i, []byte(goodReplies[p]))
	}
	f.Add(0, []byte("\x30\x84\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, which int, reply []byte) {
		all := Protocols()
		p := all[((which%len(all))+len(all))%len(all)]
		s := &script{in: bytes.NewReader(reply)}
		err := startTLS(s, p, "host.test")
		if err == nil && s.in.Len() == len(reply) {
			t.Errorf("%s: upgraded without an answer", p)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\x1b\r\n\x00") {
			t.Errorf("%s: %q", p, err)
		}
		if s.out.Len() > 1<<10 {
			t.Errorf("%s: %d bytes sent", p, s.out.Len())
		}
	})
}

func FuzzSpeaks(f *testing.F) {
	for _, s := range []string{"HTTP/1.1 400", "SSH-2.0", "220 x", "* OK", "+OK", "<html>", "", "\x00\x00\x00\x00\x0a8.0"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		code, text := speaks(b)
		if !strings.HasPrefix(code, "tls.") || text == "" || len(text) > 1000 || strings.ContainsAny(text, "\x1b\r\n\x00") {
			t.Errorf("%q: %q %q", b, code, text)
		}
	})
}

func FuzzProxy(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\n\r\n\x16\x03"))
	f.Add([]byte("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 3\r\n\r\nxyz"))
	f.Add([]byte("SSH-2.0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		status, err := connected(r)
		if end := bytes.Index(b, []byte("\r\n\r\n")); err == nil && status == "" && len(b)-r.Len() != end+4 {
			t.Errorf("%q: TLS is taken to begin at %d", b, len(b)-r.Len())
		}
	})
}

// The record is decrypted with the secret alone, and only that one.
func TestOpener(t *testing.T) {
	// RFC 8448, 3: the secret of the server's handshake messages, with the key
	// and the IV that follow from it.
	secret, _ := hex.DecodeString("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38")
	if opener(tls.TLS_AES_128_GCM_SHA256, secret) == nil {
		t.Error("no opener")
	}
	if opener(tls.TLS_AES_128_GCM_SHA256, nil) != nil || opener(tls.TLS_CHACHA20_POLY1305_SHA256, secret) != nil || opener(0, secret) != nil {
		t.Error("an opener for what cannot be opened")
	}
	if got := opener(tls.TLS_AES_256_GCM_SHA384, secret)([]byte{23, 3, 3, 0, 20}, make([]byte, 20)); got != nil {
		t.Errorf("%x", got)
	}
}

func TestRefuse(t *testing.T) {
	addr := func(s string) netip.Addr {
		if s == "" {
			return netip.Addr{}
		}
		return netip.MustParseAddr(s)
	}
	for _, c := range []struct {
		ip, target string
		refused    bool
	}{
		{"198.41.0.4", "", false},
		{"198.41.0.4", "127.0.0.1", false},
		{"2606:4700::1111", "198.41.0.4", false},
		{"127.0.0.1", "", true},
		{"127.9.9.9", "127.0.0.1", false},
		{"::1", "127.0.0.1", false},
		{"::ffff:127.0.0.1", "198.41.0.4", true},
		{"64:ff9b::7f00:1", "198.41.0.4", true},
		{"2002:7f00:1::", "198.41.0.4", true},
		{"2002:0a00:1::", "198.41.0.4", true},
		{"10.1.2.3", "198.41.0.4", true},
		{"10.1.2.3", "172.16.0.1", false},
		{"10.1.2.3", "127.0.0.1", false},
		{"fd00::1", "10.0.0.1", false},
		{"fd00::1", "198.41.0.4", true},
		{"100.64.1.1", "198.41.0.4", true},
		{"198.18.0.1", "198.41.0.4", true},
		{"169.254.1.1", "10.0.0.1", true},
		{"169.254.1.1", "169.254.2.2", false},
		{"fe80::1%eth0", "fe80::2%eth0", false},
		{"fe80::1%eth0", "10.0.0.1", true},
		{"169.254.169.254", "169.254.169.254", true},
		{"fd00:ec2::254", "fd00::1", true},
		{"100.100.100.200", "100.64.0.1", true},
		{"168.63.129.16", "198.41.0.4", true},
		{"0.0.0.0", "127.0.0.1", true},
		{"::", "127.0.0.1", true},
		{"0.1.2.3", "127.0.0.1", true},
		{"224.0.0.1", "127.0.0.1", true},
		{"ff02::1", "127.0.0.1", true},
		{"255.255.255.255", "127.0.0.1", true},
		{"", "127.0.0.1", true},
	} {
		if why := refuse(addr(c.ip), addr(c.target)); (why != "") != c.refused {
			t.Errorf("%s for %s: %q", c.ip, c.target, why)
		}
	}
}

func TestRelated(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"a.test", "A.test.", true}, {"www.a.test", "a.test", true}, {"a.test", "www.a.test", true},
		{"login.a.test", "a.test", true}, {"www.a.test", "login.a.test", true}, {"b.test", "a.test", false}, {"aa.test", "a.test", false}, {"portal.b.test", "www.a.test", false},
	} {
		if related(c.a, c.b) != c.want {
			t.Errorf("%s, %s: not %v", c.a, c.b, c.want)
		}
	}
}

// It is a ClientHello that crypto/tls understands.
func TestClientHello(t *testing.T) {
	b := clientHello("host.test")
	name := ""
	server := tls.Server(&reply{Reader: bytes.NewReader(b)}, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		name = h.ServerName
		if !slices.Contains(h.CipherSuites, 0x0033) || !slices.Contains(h.CipherSuites, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256) || slices.Contains(h.CipherSuites, tls.TLS_AES_128_GCM_SHA256) {
			t.Errorf("%#x", h.CipherSuites)
		}
		return nil, io.EOF
	}})
	if err := server.Handshake(); err == nil || name != "host.test" {
		t.Errorf("%q, %v", name, err)
	}
}

// reply is a connection of which only reading matters.
type reply struct {
	io.Reader
	net.Conn
}

func (r *reply) Read(b []byte) (int, error)  { return r.Reader.Read(b) }
func (r *reply) Write(b []byte) (int, error) { return len(b), nil }
func (r *reply) Close() error                { return nil }
