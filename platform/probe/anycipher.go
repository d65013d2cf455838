package probe

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"slices"

	"github.com/certtrust/certtrust/store/diagnose"
)

// foreignSuites are cipher suites of TLS 1.2 and before that crypto/tls does
// not have, those with certificates: with finite field Diffie-Hellman, CCM,
// Camellia, ARIA, SEED, IDEA, single DES, DSS, export, GOST and without
// encryption.
var foreignSuites = []uint16{
	0x009f, 0x009e, 0x006b, 0x0067, 0x0039, 0x0033, 0x0016, 0xccaa, 0xc09f, 0xc09e, 0xc0a3, 0xc0a2, // DHE, RSA
	0x00a3, 0x00a2, 0x006a, 0x0040, 0x0038, 0x0032, 0x0013, 0x0066, // DHE, DSS
	0xc0ad, 0xc0ac, 0xc0af, 0xc0ae, 0xc09d, 0xc09c, 0xc0a1, 0xc0a0, // CCM
	0x00c4, 0x00be, 0x0088, 0x0045, 0x00c0, 0x00ba, 0x0084, 0x0041, 0xc077, 0xc076, 0xc073, 0xc072, // Camellia
	0xc05d, 0xc05c, 0xc061, 0xc060, 0xc053, 0xc052, 0xc051, 0xc050, // ARIA
	0x009a, 0x0096, 0x0007, 0x0015, 0x0009, 0x0004, // SEED, IDEA, DES, RC4 with MD5
	0x0003, 0x0006, 0x0008, 0x0014, 0x0011, // export
	0xc102, 0xff85, 0x0081, // GOST
	0xc006, 0xc010, 0x003b, 0x0002, 0x0001, // without encryption
}

// anyCipher looks for servers that speak only what crypto/tls does not: they
// send their certificates before anything has to be computed. It makes no
// handshake.
func (p *prober) anyCipher(ctx context.Context) {
	w, failed := p.connect(ctx)
	if failed != nil {
		return
	}
	defer w.Close()
	ctx, cancel := p.share(ctx, 25)
	defer cancel()
	defer cut(ctx, w)()
	if p.target.StartTLS != "" {
		if startTLS(w, p.target.StartTLS, p.target.Name()) != nil {
			return
		}
		w.mark()
	}
	if _, err := w.Write(clientHello(p.sni())); err != nil {
		return
	}
	var seen sniffed
	for b := make([]byte, 8<<10); !seen.whole && len(w.recorded) < maxRecorded; {
		_, err := w.Read(b)
		if seen = sniff(w.recorded, nil); err != nil || seen.hasAlert {
			break
		}
	}
	if seen.version == 0 || seen.version >= tls.VersionTLS10 && slices.Contains(allSuites(), seen.suite) {
		return // it would have done that before, too
	}
	p.cap.TLSVersion, p.cap.CipherSuite, p.cap.Certificates = seen.version, seen.suite, seen.certs
	f := &diagnose.Failure{Code: "tls.no_shared_cipher", Text: p.cap.Failure.Text, Alert: p.cap.Failure.Alert, HasAlert: p.cap.Failure.HasAlert}
	if seen.version < tls.VersionTLS10 {
		f.Code = "tls.protocol_version"
	}
	p.cap.Failure = f
}

// clientHello is one of TLS 1.2 in a record, with the suites that crypto/tls
// has not got, and those that it has.
func clientHello(sni string) []byte {
	prefixed := func(size int, b ...byte) []byte {
		length := binary.BigEndian.AppendUint32(nil, uint32(len(b)))
		return append(length[4-size:], b...)
	}
	numbers := func(n ...uint16) (b []byte) {
		for _, n := range n {
			b = binary.BigEndian.AppendUint16(b, n)
		}
		return b
	}
	extension := func(kind uint16, body []byte) []byte { return append(numbers(kind), prefixed(2, body...)...) }

	var extensions []byte
	if sni != "" && len(sni) < 256 {
		extensions = extension(0, prefixed(2, append([]byte{0}, prefixed(2, []byte(sni)...)...)...))
	}
	extensions = slices.Concat(extensions,
		extension(10, prefixed(2, numbers(23, 24, 25, 29, 256, 257)...)), // groups
		extension(11, prefixed(1, 0)),                                    // point formats
		extension(13, prefixed(2, numbers(0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0402, 0x0203, 0x0201, 0x0202, 0x0101)...)),
	)
	var random [32]byte
	_, _ = rand.Read(random[:])
	suites := slices.DeleteFunc(allSuites(), func(id uint16) bool { return id>>8 == 0x13 }) // those of TLS 1.3
	body := slices.Concat(
		[]byte{3, 3}, random[:], []byte{0},
		prefixed(2, numbers(append(append(slices.Clone(foreignSuites), suites...), 0x00ff)...)...), // and renegotiation_info
		[]byte{1, 0}, prefixed(2, extensions...),
	)
	message := append([]byte{1}, prefixed(3, body...)...)
	return append([]byte{recordHandshake, 3, 1}, prefixed(2, message...)...)
}
