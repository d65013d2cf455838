package certfile

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// isMIME recognises a message: it begins with header fields, and one of them
// says that the body is in parts or encoded. What is plain text is read as such.
func isMIME(data []byte) bool {
	const longestHead = 64 << 10
	t := decodeText(data).data
	head := t[:min(len(t), longestHead)]
	structured := false
	for first := true; len(head) > 0; first = false {
		var line []byte
		line, head = nextLine(head)
		if len(line) == 0 {
			return structured && !first
		}
		if !first && (line[0] == ' ' || line[0] == '\t') {
			structured = structured || bytes.Contains(bytes.ToLower(line), []byte("boundary="))
			continue
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(name) == 0 || bytes.ContainsAny(name, " \t-") && bytes.HasPrefix(name, []byte("-")) {
			return false
		}
		lower := strings.ToLower(string(bytes.TrimSpace(value)))
		switch strings.ToLower(string(name)) {
		case "content-type":
			structured = structured || strings.HasPrefix(lower, "multipart/") || strings.Contains(lower, "pkcs7")
		case "content-transfer-encoding":
			structured = structured || lower == "base64" || lower == "quoted-printable"
		}
	}
	return false
}

// readMIME reads the parts of a message (RFC 2045): certificates as they are
// mailed, signatures, and answers of enrolment services.
func readMIME(r *reading, data []byte) (*File, error) {
	f := &File{Format: "MIME"}
	message, err := mail.ReadMessage(bytes.NewReader(decodeText(data).data))
	if err != nil {
		return f, store.Because(store.ErrCorrupt, "a damaged message: %s", store.Printable(err.Error()))
	}
	m := members{reading: r, file: f}
	m.part(textproto.MIMEHeader(message.Header), message.Body, "", 0)
	return m.finish(), nil
}

// part reads a part and those in it. Whether to go on is what it returns.
func (m *members) part(head textproto.MIMEHeader, body io.Reader, at string, depth int) bool {
	kind, params, err := mime.ParseMediaType(head.Get("Content-Type"))
	if err != nil && kind == "" {
		kind = "text/plain"
	}
	if strings.HasPrefix(kind, "multipart/") && params["boundary"] != "" {
		if depth >= maxDepth {
			m.file.Notices = append(m.file.Notices, Notice{Path: at, Code: TooMuch, Text: errTooMuch.Error()})
			return true
		}
		for parts := multipart.NewReader(body, params["boundary"]); ; {
			p, err := parts.NextRawPart()
			if errors.Is(err, io.EOF) {
				return true
			}
			if err != nil {
				m.file.Notices = append(m.file.Notices, Notice{Path: at, Code: Damaged, Text: "the message breaks off: " + store.Printable(err.Error())})
				return true
			}
			name := p.FileName()
			if name == "" {
				name = "part"
			}
			if !m.part(p.Header, p, join(at, name), depth+1) {
				return false
			}
		}
	}
	switch strings.ToLower(head.Get("Content-Transfer-Encoding")) {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	if at == "" {
		at = "body"
	}
	return m.add(at, body)
}
