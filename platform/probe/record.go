package probe

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"hash"
)

// The content types and handshake messages of TLS that are looked for.
const (
	recordChangeCipher = 20
	recordAlert        = 21
	recordHandshake    = 22
	recordData         = 23

	messageServerHello = 2
	messageCertificate = 11
)

// helloRetry is the random of a ServerHello that is a HelloRetryRequest
// (RFC 8446, 4.1.3).
const helloRetry = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"

// sniffed is what the bytes that a server sent say.
type sniffed struct {
	tls            bool // it begins as TLS does
	version, suite uint16
	certs          [][]byte
	whole          bool // the list of certificates came to its end
	alert          uint8
	hasAlert       bool
}

// sniff reads what a server sent in a handshake, up to where it is encrypted
// with keys that are not known. The secret is that of the server's handshake
// messages of TLS 1.3, nil if there is none. It takes any bytes.
func sniff(stream, secret []byte) (s sniffed) {
	var messages []byte
	var open func([]byte, []byte) []byte // for TLS 1.3
records:
	for len(stream) >= 5 {
		kind, n := stream[0], int(binary.BigEndian.Uint16(stream[3:]))
		if kind < recordChangeCipher || kind > recordData || stream[1] != 3 || n > 1<<14+2048 {
			break
		}
		s.tls = true
		header, body := stream[:5], stream[5:]
		complete := len(body) >= n
		body = body[:min(n, len(body))]
		stream = stream[5+len(body):]
		switch kind {
		case recordHandshake:
			messages = append(messages, body...)
		case recordAlert:
			if len(body) == 2 && s.version < tls.VersionTLS13 {
				s.alert, s.hasAlert = body[1], true
			}
		case recordChangeCipher:
			s.read(messages)
			if s.version != tls.VersionTLS13 {
				break records // encrypted from here on
			}
		case recordData:
			s.read(messages)
			if open == nil {
				if open = opener(s.suite, secret); s.version != tls.VersionTLS13 || open == nil {
					break records
				}
				messages = nil // those before it were in the clear, and are read
			}
			if !complete {
				break records
			}
			plain := open(header, body)
			for len(plain) > 0 && plain[len(plain)-1] == 0 { // padding
				plain = plain[:len(plain)-1]
			}
			if len(plain) == 0 || plain[len(plain)-1] != recordHandshake {
				break records
			}
			messages = append(messages, plain[:len(plain)-1]...)
		}
	}
	s.read(messages)
	return s
}

// read takes what it wants from handshake messages.
func (s *sniffed) read(messages []byte) {
	for len(messages) >= 4 {
		kind, n := messages[0], int(uint24(messages[1:]))
		body := messages[4:]
		complete := len(body) >= n
		body = body[:min(n, len(body))]
		messages = messages[4+len(body):]
		switch {
		case kind == messageServerHello && complete:
			s.serverHello(body)
		case kind == messageCertificate && len(s.certs) == 0:
			s.certificates(body)
			if s.whole = s.whole && complete; !s.whole {
				s.certs = s.certs[:min(len(s.certs), maxPartial)]
			}
		}
	}
}

// serverHello reads the version and the cipher suite.
func (s *sniffed) serverHello(b []byte) {
	if len(b) < 35 || len(b) < 35+int(b[34])+3 {
		return
	}
	version, random := binary.BigEndian.Uint16(b), string(b[2:34])
	b = b[35+int(b[34]):]
	suite := binary.BigEndian.Uint16(b)
	b = b[3:]
	if len(b) >= 2 {
		b = b[2:]
	}
	for len(b) >= 4 {
		kind, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if len(b) < 4+n {
			break
		}
		if kind == 43 && n == 2 { // supported_versions
			version = binary.BigEndian.Uint16(b[4:])
		}
		b = b[4+n:]
	}
	s.version, s.suite = version, suite
	if random == helloRetry {
		s.version = tls.VersionTLS13
	}
}

// certificates reads a list of certificates, as far as it goes.
func (s *sniffed) certificates(b []byte) {
	if s.version == tls.VersionTLS13 {
		if len(b) < 1 || len(b) < 1+int(b[0]) {
			return
		}
		b = b[1+int(b[0]):] // the request that it answers
	}
	if len(b) < 3 {
		return
	}
	n := int(uint24(b))
	b = b[3:]
	s.whole = len(b) >= n
	b = b[:min(n, len(b))]
	for len(b) >= 3 {
		n := int(uint24(b))
		if len(b) < 3+n {
			s.whole = false
			return
		}
		s.certs = append(s.certs, append([]byte(nil), b[3:3+n]...))
		b = b[3+n:]
		if s.version == tls.VersionTLS13 { // extensions
			if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
				s.whole = s.whole && len(b) == 0
				return
			}
			b = b[2+int(binary.BigEndian.Uint16(b)):]
		}
	}
}

func uint24(b []byte) uint32 { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }

// opener decrypts the records of a suite of TLS 1.3, one after the other, in
// place; nil if it cannot. What it returns is nil for what does not decrypt.
func opener(suite uint16, secret []byte) func(header, body []byte) []byte {
	newHash, keySize := func() hash.Hash { return sha256.New() }, 16
	switch suite {
	case tls.TLS_AES_128_GCM_SHA256:
	case tls.TLS_AES_256_GCM_SHA384:
		newHash, keySize = func() hash.Hash { return sha512.New384() }, 32
	default:
		return nil
	}
	if len(secret) == 0 {
		return nil
	}
	expand := func(label string, n int) []byte { // RFC 8446, 7.1
		info := binary.BigEndian.AppendUint16(nil, uint16(n))
		info = append(info, byte(6+len(label)))
		info = append(info, "tls13 "+label...)
		info = append(info, 0)
		out, err := hkdf.Expand(newHash, secret, string(info), n)
		if err != nil {
			return nil
		}
		return out
	}
	block, err := aes.NewCipher(expand("key", keySize))
	if err != nil {
		return nil
	}
	iv := expand("iv", 12)
	gcm, err := cipher.NewGCM(block)
	if err != nil || iv == nil {
		return nil
	}
	sequence := uint64(0)
	return func(header, body []byte) []byte {
		nonce := append([]byte(nil), iv...)
		for i := range 8 {
			nonce[4+i] ^= byte(sequence >> (56 - 8*i))
		}
		sequence++
		plain, err := gcm.Open(nil, nonce, body, header)
		if err != nil {
			return nil
		}
		return plain
	}
}
