package certfile

import "bytes"

// plain is a text with one byte for each character, as far as that is ASCII:
// all that the formats are written in.
type plain struct {
	data        []byte
	base, width int // byte i of data is at base+i*width of the file
}

// at returns where byte i lies in the file.
func (p plain) at(i int) int { return p.base + i*p.width }

// encodings are recognised by a byte order mark or else by the zero in each of
// the first ASCII characters.
var encodings = []struct {
	mark       string
	width, low int // bytes for each unit; which of them is the low one
}{
	{mark: "\xef\xbb\xbf", width: 1},
	{mark: "\xff\xfe", width: 2, low: 0},
	{mark: "\xfe\xff", width: 2, low: 1},
}

// decodeText returns the file as plain text. UTF-16 becomes one byte for each
// unit, '?' for what is not ASCII, so that positions can be told. Everything
// else is left as it is, without a byte order mark.
func decodeText(data []byte) plain {
	for _, e := range encodings {
		marked := bytes.HasPrefix(data, []byte(e.mark))
		if !marked && !(e.width == 2 && looksWide(data, e.low)) {
			continue
		}
		base := 0
		if marked {
			base = len(e.mark)
		}
		if e.width == 1 {
			return plain{data[base:], base, 1}
		}
		out := make([]byte, (len(data)-base)/2)
		for i := range out {
			unit := data[base+2*i : base+2*i+2]
			out[i] = unit[e.low]
			if unit[1-e.low] != 0 || out[i] >= 0x80 {
				out[i] = '?'
			}
		}
		return plain{out, base, 2}
	}
	return plain{data, 0, 1}
}

// looksWide reports whether data begins with ASCII characters in UTF-16
// without a byte order mark.
func looksWide(data []byte, low int) bool {
	const units = 8
	if len(data) < 2*units {
		return false
	}
	for i := 0; i < 2*units; i += 2 {
		if c := data[i+low]; data[i+1-low] != 0 || c >= 0x7f || (c < ' ' && c != '\t' && c != '\r' && c != '\n') {
			return false
		}
	}
	return true
}

// lineBreaks counts the line breaks in data: LF, CR LF and CR alone.
func lineBreaks(data []byte) int {
	n := bytes.Count(data, []byte{'\n'})
	if cr := bytes.Count(data, []byte{'\r'}); cr > 0 {
		n += cr - bytes.Count(data, []byte("\r\n"))
	}
	return n
}

// nextLine returns the first line of data without its line break, and what
// follows.
func nextLine(data []byte) (line, rest []byte) {
	i := bytes.IndexAny(data, "\r\n")
	if i < 0 {
		return data, nil
	}
	line, rest = data[:i], data[i+1:]
	if data[i] == '\r' && len(rest) > 0 && rest[0] == '\n' {
		rest = rest[1:]
	}
	return line, rest
}
