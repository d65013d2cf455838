package diagnose

import (
	"slices"
	"strconv"
	"strings"
)

// number is a number in a text.
type number struct {
	start, end int
	value      int64
	hex        bool // it was written with hexadecimal digits
}

// numberIn reads the word text[start:end] as a number, and the sign before it.
// It is none if it is a part of something longer: of an address, a version, a
// fingerprint, an identifier or a date.
func (n normal) numberIn(start, end int) (number, bool) {
	t := n.text
	word := t[start:end]
	before, after := byte(' '), byte(' ')
	if start > 0 {
		before = t[start-1]
	}
	if end < len(t) {
		after = t[end]
	}
	next := func(i int) bool { return i >= 0 && i < len(t) && wordByte(t[i]) }
	digits, hex := strings.CutPrefix(word, "0x")
	switch {
	case hex: // nobody writes anything but a number like that
	case after == '-' && next(end+1), after == '.' && next(end+1), after == ':' && isHex(t[min(end+1, len(t)):min(end+3, len(t))]) && isHexWord(word, 2):
		return number{}, false
	case before == '.' && next(start-2), before == '/' || after == '/' || before == '%' || after == '%' || before == '#' || before == '\\' || before == '@':
		return number{}, false
	}
	out := number{start: start, end: end}
	if before == '-' {
		if next(start - 2) {
			return number{}, false
		}
		out.start--
	}
	negative := out.start < start
	if !hex {
		if v, err := strconv.ParseInt(word, 10, 64); err == nil && len(word) <= 10 {
			out.value = v
			if negative {
				out.value = -v
			}
			// Eight decimal digits could be hexadecimal ones: 80090325.
			if !(len(word) == 8 && !negative && strings.HasPrefix(word, "800")) {
				return out, true
			}
		}
		if len(word) != 8 {
			return number{}, false
		}
	}
	if negative || len(digits) > 16 {
		return number{}, false
	}
	v, err := strconv.ParseUint(digits, 16, 64)
	if err != nil {
		return number{}, false
	}
	// A negative HRESULT in 64 bits.
	if len(digits) == 16 && v>>32 == 0xffffffff {
		v &= 0xffffffff
	}
	if v > 0xffffffff {
		return number{}, false
	}
	out.value, out.hex = int64(v), true
	return out, true
}

func isHex(s string) bool { return s != "" && strings.Trim(s, "0123456789abcdef") == "" }

// isHexWord tells that a word is nothing but n hexadecimal digits.
func isHexWord(s string, n int) bool { return len(s) == n && isHex(s) }

// words returns the words of a text: runs of letters, digits and underscores.
func (n normal) words() (spans [][2]int) {
	start := -1
	for i := 0; i <= len(n.text); i++ {
		if i < len(n.text) && wordByte(n.text[i]) {
			if start < 0 {
				start = i
			}
		} else if start >= 0 {
			spans = append(spans, [2]int{start, i})
			start = -1
		}
	}
	return spans
}

// errorWords are those beside which a number is an error's.
var errorWords = []string{
	"error", "err", "errno", "code", "status", "result", "failed", "failure", "rc", "osstatus", "returned", "exit", "エラー", "コード", "失敗",
}

// aloneWords are those that may stand beside a number which is all that a
// person pasted.
var aloneWords = []string{
	"error", "err", "errno", "code", "number", "no", "status", "exit", "ssl", "tls", "the", "what", "is", "certificate", "エラー", "コード", "エラーコード", "番号", "とは", "証明書",
}

// numbers finds the numbers of errors.
func (n normal) numbers() (found []hit) {
	t := symptomTable()
	spans := n.words()
	add := func(family string, v number) bool {
		s := t.byNumber[family][v.value]
		if s == nil {
			return false
		}
		found = append(found, hit{symptom: s, start: v.start, end: v.end, number: true})
		return true
	}
	alone := n.alone(spans)
	for i, span := range spans {
		v, ok := n.numberIn(span[0], span[1])
		if !ok {
			continue
		}
		// 0x800b0109 is 2148204809 and, as a signed number, -2146762487.
		wide := v
		if v.value < -1<<24 && v.value >= -1<<31 {
			wide.value = v.value + 1<<32
		}
		if wide.value >= 1<<31 {
			if v.hex && !strings.HasPrefix(n.text[span[0]:], "0x") && n.inDump(spans, i) {
				continue
			}
			if add("windows", wide) || add("apple", wide) {
				continue
			}
		}
		if v.hex {
			first := len(found)
			n.chainStatus(v, func(bit int64) { add("windows-chain", number{v.start, v.end, bit, true}) })
			for j := first; j < len(found); j++ {
				found[j].shares = true
			}
			continue
		}
		if slices.ContainsFunc(numberFamilies, func(f string) bool { return n.follows(families[f].forms, v.start) && add(f, v) }) {
			continue
		}
		near := n.near(v)
		switch {
		case alone:
			first := len(found)
			n.bare(v, near, add)
			for j := first; j < len(found); j++ {
				found[j].ambiguous, found[j].shares = len(found)-first > 1, true
			}
		case v.value <= -1000 && hasWord(near, errorWords):
			// No two families share one of these.
			_ = add("nss", v) || add("apple", v) || add("nsurl", v)
		case v.value <= -100 && hasWord(near, families["chromium"].words):
			add("chromium", v)
		case v.value >= 12000 && v.value < 13000 && hasWord(near, errorWords) && hasWord(near, families["wininet"].words):
			add("wininet", v)
		}
	}
	return found
}

// numberFamilies are the families in the order that they are tried in.
var numberFamilies = []string{"openssl", "curl", "alert", "chromium", "nss", "apple", "nsurl", "wininet"}

// bare finds what a number can be that is all there is: in the families that
// the words beside it name or, without such a word, in each.
func (n normal) bare(v number, near []string, add func(string, number) bool) {
	var named []string
	for _, f := range numberFamilies {
		if hasWord(near, families[f].words) {
			named = append(named, f)
		}
	}
	for _, f := range numberFamilies {
		if named == nil || slices.Contains(named, f) {
			add(f, v)
		}
	}
}

// alone tells that there is nothing but one number in the text, and words that
// say that it is an error's.
func (n normal) alone(spans [][2]int) bool {
	if len(n.text) > 80 {
		return false
	}
	numbers := 0
	for _, s := range spans {
		word := n.text[s[0]:s[1]]
		if _, ok := n.numberIn(s[0], s[1]); ok {
			numbers++
			continue
		}
		known := slices.Contains(aloneWords, word)
		for _, f := range families {
			known = known || slices.Contains(f.words, word)
		}
		if !known {
			return false
		}
	}
	rest := n.text
	for _, w := range aloneWords {
		rest = strings.ReplaceAll(rest, w, "")
	}
	for _, r := range rest {
		if r >= 0x80 {
			return false // a sentence
		}
	}
	return numbers == 1
}

// near returns the words around a number.
func (n normal) near(v number) []string {
	from, to := max(0, v.start-64), min(len(n.text), v.end+32)
	around := normal{text: n.text[from:v.start] + " " + n.text[v.end:to]}
	var words []string
	for _, s := range around.words() {
		words = append(words, around.text[s[0]:s[1]])
	}
	for _, w := range errorWords {
		if w[0] >= 0x80 && strings.Contains(around.text, w) {
			words = append(words, w)
		}
	}
	return words
}

func hasWord(words, any []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(any, w) })
}

// follows tells that one of the forms stands directly before an offset.
func (n normal) follows(forms []string, at int) bool {
	before := strings.TrimRight(n.text[:at], " ")
	return slices.ContainsFunc(forms, func(f string) bool {
		rest, ok := strings.CutSuffix(before, f)
		return ok && !(rest != "" && wordByte(rest[len(rest)-1]) && wordByte(f[0]))
	})
}

// inDump tells that a word of eight hexadecimal digits stands among others of
// the kind, as in a fingerprint or a dump of memory.
func (n normal) inDump(spans [][2]int, i int) bool {
	for _, j := range []int{i - 1, i + 1} {
		if j < 0 || j >= len(spans) {
			continue
		}
		gap := n.text[min(spans[i][1], spans[j][1]):max(spans[i][0], spans[j][0])]
		word := n.text[spans[j][0]:spans[j][1]]
		if (gap == " " || gap == ":") && (isHexWord(word, 8) || isHexWord(word, 4) || isHexWord(word, 2)) {
			return true
		}
	}
	return false
}

// chainStatus gives the bits of a chain's status, where the text says that a
// number is one.
func (n normal) chainStatus(v number, give func(bit int64)) {
	before := n.text[max(0, v.start-60):v.start]
	if !strings.Contains(before, "errorstatus") && !strings.Contains(before, "cert_trust_") {
		return
	}
	for bit := int64(1); bit <= v.value && bit > 0; bit <<= 1 {
		if v.value&bit != 0 {
			give(bit)
		}
	}
}
