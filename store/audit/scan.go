package audit

import "bytes"

// scanObject walks over the members of a JSON object in one line, and gives
// each key without its quotes and each value as it is written. It looks at as
// little as it can: values are not checked. It is not ok if the line is no such
// object, or a key has an escape.
func scanObject(line []byte, member func(key, value []byte)) bool {
	p := blank(line, 0)
	if p >= len(line) || line[p] != '{' {
		return false
	}
	p = blank(line, p+1)
	if p < len(line) && line[p] == '}' {
		return blank(line, p+1) == len(line)
	}
	for {
		if p >= len(line) || line[p] != '"' {
			return false
		}
		end := stringEnd(line, p)
		if end < 0 {
			return false
		}
		key := line[p+1 : end-1]
		if bytes.IndexByte(key, '\\') >= 0 {
			return false
		}
		p = blank(line, end)
		if p >= len(line) || line[p] != ':' {
			return false
		}
		p = blank(line, p+1)
		end = valueEnd(line, p)
		if end < 0 {
			return false
		}
		member(key, line[p:end])
		p = blank(line, end)
		if p >= len(line) {
			return false
		}
		switch line[p] {
		case ',':
			p = blank(line, p+1)
		case '}':
			return blank(line, p+1) == len(line)
		default:
			return false
		}
	}
}

func blank(b []byte, p int) int {
	for p < len(b) && (b[p] == ' ' || b[p] == '\t' || b[p] == '\n' || b[p] == '\r') {
		p++
	}
	return p
}

// stringEnd returns where the string ends that begins at p, -1 if it does not.
func stringEnd(b []byte, p int) int {
	for p++; p < len(b); {
		i := bytes.IndexByte(b[p:], '"')
		if i < 0 {
			return -1
		}
		// An odd number of backslashes escapes the quote.
		n := 0
		for q := p + i - 1; q >= p && b[q] == '\\'; q-- {
			n++
		}
		p += i + 1
		if n%2 == 0 {
			return p
		}
	}
	return -1
}

// valueEnd returns where the value ends that begins at p, -1 if it does not.
func valueEnd(b []byte, p int) int {
	if p >= len(b) {
		return -1
	}
	switch b[p] {
	case '"':
		return stringEnd(b, p)
	case '{', '[':
		depth := 0
		for p < len(b) {
			switch b[p] {
			case '"':
				if p = stringEnd(b, p); p < 0 {
					return -1
				}
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return p + 1
				}
			}
			p++
		}
		return -1
	}
	start := p
	for p < len(b) && b[p] != ',' && b[p] != '}' && b[p] != ']' && b[p] > ' ' {
		p++
	}
	if p == start {
		return -1
	}
	return p
}
