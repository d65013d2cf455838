package diagnose

import (
	"cmp"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// MaxExplained is how much of a text [Explain] looks at, in bytes.
const MaxExplained = 64 << 10

// Explanation is what an error message comes to: what was recognised in it,
// and what that can be caused by.
type Explanation struct {
	// Recognised tells that the text holds an error that is known.
	Recognised bool
	Matched    []Match   // in the order of the text
	Suspects   []Suspect // the likeliest first
	Host       string    // the server that the text names: a DNS name or an IP address, harmless in a command line; "" if it names none
	Port       int       // its port, 0 if the text does not tell
	Truncated  bool      // the text was longer than is looked at
}

// Match is an error that was recognised in a text.
type Match struct {
	Symptom    string   // its name, or the sentence
	Client     string   // who says it: a key of [Speakers]
	Text       string   // as it stands there; untrusted
	Start, End int      // where, in bytes
	Causes     []string // codes of what is behind it, the likeliest first; may be empty
	Source     string   // where the program has the text or the number from
	// Vague tells that it only says that something is wrong. It counts where
	// nothing says more.
	Vague  bool
	Number bool // it is the number of the error that stands there, not its name
	// Ambiguous tells that it is a number that stands alone and means
	// something in several programs.
	Ambiguous bool
}

// Suspect is a possible cause.
type Suspect struct {
	Code       string
	Confidence Confidence // Likely or Possible; what is proven, a diagnosis tells
	Symptoms   []string   // those that it would explain
}

// Explain recognises the errors in a text that somebody pasted: names, numbers
// and sentences of the programs in [Speakers], English and Japanese. Where
// errors overlap, the longest is meant. It takes any text.
func Explain(text string) Explanation {
	var e Explanation
	if len(text) > MaxExplained {
		cut := MaxExplained
		for cut > MaxExplained-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text, e.Truncated = text[:cut], true
	}
	n := normalise(text)
	found := slices.Concat(n.sentences(), n.numbers())
	// The longest first: what lies within another is a part of it.
	slices.SortStableFunc(found, func(a, b hit) int {
		return cmp.Or(cmp.Compare(b.end-b.start, a.end-a.start), cmp.Compare(a.start, b.start))
	})
	var kept []hit
	for _, h := range found {
		clash := slices.ContainsFunc(kept, func(k hit) bool {
			both := k.start == h.start && k.end == h.end && k.shares && h.shares
			return k.symptom == h.symptom || k.start < h.end && h.start < k.end && !both
		})
		if !clash {
			kept = append(kept, h)
		}
	}
	slices.SortStableFunc(kept, func(a, b hit) int { return cmp.Compare(a.start, b.start) })
	for _, h := range kept {
		last := n.at[h.end-1]
		_, size := utf8.DecodeRuneInString(text[last:])
		m := Match{
			Symptom: h.symptom.name, Client: h.symptom.client, Start: n.at[h.start], End: last + size,
			Source: h.symptom.source, Vague: h.symptom.vague, Number: h.number, Ambiguous: h.ambiguous,
		}
		m.Text = text[m.Start:m.End]
		for _, c := range h.symptom.causes {
			m.Causes = append(m.Causes, c.code)
		}
		e.Matched = append(e.Matched, m)
	}
	e.Recognised = len(kept) > 0
	e.Suspects = suspects(kept)
	e.Host, e.Port = serverIn(text)
	return e
}

// suspects puts the causes of all symptoms together: what is likely first,
// then what explains more of them, then the order of the symptoms.
func suspects(hits []hit) []Suspect {
	precise := slices.ContainsFunc(hits, func(h hit) bool { return !h.symptom.vague && len(h.symptom.causes) > 0 })
	var out []Suspect
	for _, h := range hits {
		if h.symptom.vague && precise {
			continue
		}
		for _, c := range h.symptom.causes {
			i := slices.IndexFunc(out, func(s Suspect) bool { return s.Code == c.code })
			if i < 0 {
				i = len(out)
				out = append(out, Suspect{Code: c.code, Confidence: Possible})
			}
			if c.likely && !h.ambiguous {
				out[i].Confidence = Likely
			}
			out[i].Symptoms = append(out[i].Symptoms, h.symptom.name)
		}
	}
	slices.SortStableFunc(out, func(a, b Suspect) int {
		if a.Confidence != b.Confidence {
			if a.Confidence == Likely {
				return -1
			}
			return 1
		}
		return cmp.Compare(len(b.Symptoms), len(a.Symptoms))
	})
	return out
}

// Target returns the server that the text names as "certtrust diagnose" takes
// it, "" if it names none.
func (e Explanation) Target() string {
	switch {
	case e.Host == "" || e.Port == 0 || e.Port == 443:
		return e.Host
	case strings.Contains(e.Host, ":"):
		return "[" + e.Host + "]:" + strconv.Itoa(e.Port)
	}
	return e.Host + ":" + strconv.Itoa(e.Port)
}

// hit is where a symptom stands in a normal text.
type hit struct {
	symptom    *symptom
	start, end int
	number     bool
	ambiguous  bool
	shares     bool // its place with others: a number that means several things
}

// normal is a text in the form that it is compared in: lower case, one space
// for any white space, none beside Japanese, plain quotation marks, narrow
// letters. So it does not matter how a terminal, a browser or a translator has
// set it.
type normal struct {
	text string
	at   []int // for each byte, and the end, where it is in the original
}

func normalise(text string) normal {
	var b strings.Builder
	var at []int
	write := func(r rune, from int) {
		b.WriteRune(r)
		for len(at) < b.Len() {
			at = append(at, from)
		}
	}
	blank, wide := -1, true // where a space is that is not written yet; whether what is before it takes none
	for i, r := range text {
		switch {
		case unicode.IsSpace(r):
			if blank < 0 {
				blank = i
			}
			continue
		case strings.ContainsRune("\u200b\u200e\u200f\u00ad\ufeff", r): // invisible
			continue
		}
		r = narrow(r)
		now := r >= 0x2e80 // Chinese characters, kana and their punctuation
		if blank >= 0 && !wide && !now {
			write(' ', blank)
		}
		blank, wide = -1, now
		write(r, i)
	}
	return normal{b.String(), append(at, len(text))}
}

// narrow returns the plainest form of a character.
func narrow(r rune) rune {
	switch {
	case r >= 0xff01 && r <= 0xff5e: // full-width ASCII
		r -= 0xfee0
	case strings.ContainsRune("‘’‚‛′`´", r):
		return '\''
	case strings.ContainsRune("“”„‟″", r):
		return '"'
	case strings.ContainsRune("‐‑‒–−", r):
		return '-'
	}
	return unicode.ToLower(r)
}

// wordByte tells that a character is a part of words, in a normal text.
func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_'
}

// standsAlone tells that text[start:end] is not a part of a longer word.
func (n normal) standsAlone(start, end int) bool {
	return !(start > 0 && wordByte(n.text[start]) && wordByte(n.text[start-1])) &&
		!(end < len(n.text) && wordByte(n.text[end-1]) && wordByte(n.text[end]))
}

const (
	maxGap  = 300 // bytes that "*" stands for
	maxHits = 8   // of a pattern in a text
)

// find returns where a pattern first stands from an offset on. In a pattern,
// "*" is any text of at most maxGap bytes.
func (n normal) find(parts []string, from int) (start, end int, ok bool) {
	for from <= len(n.text) {
		i := strings.Index(n.text[from:], parts[0])
		if i < 0 {
			return 0, 0, false
		}
		start = from + i
		end = start + len(parts[0])
		ok = true
		for _, p := range parts[1:] {
			i := strings.Index(n.text[end:min(len(n.text), end+maxGap+len(p))], p)
			if i < 0 {
				ok = false
				break
			}
			end += i + len(p)
		}
		if ok && n.standsAlone(start, end) {
			return start, end, true
		}
		from = start + 1
	}
	return 0, 0, false
}

// sentences finds the names and sentences.
func (n normal) sentences() (found []hit) {
	t := symptomTable()
	for i := range t.all {
		s := &t.all[i]
		for _, parts := range s.patterns {
			for from, hits := 0, 0; hits < maxHits; hits++ {
				start, end, ok := n.find(parts, from)
				if !ok {
					break
				}
				found = append(found, hit{symptom: s, start: start, end: end})
				from = end
			}
		}
	}
	return found
}

// serverPatterns are how programs name the server in their messages; the first
// group is the host, the second the port. The first that fits counts.
var serverPatterns = []string{
	`(?i)\b(?:https|wss|ldaps|imaps|pop3s|smtps|ftps|rediss|amqps|mqtts)://(?:[^\s/@"'<>]{0,200}@)?(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?([^\s"'<>]*)`,
	`host='([^'\s]+)',\s*port=([0-9]+)`,                                                   // urllib3
	`(?i)altnames:? Host: (\S+?)\.? is not`,                                               // Node
	`(?i)target host ?name ['‘]([^'’\s]+)['’]`,                                            // curl
	`(?i)requested host name ['‘]?([^'’\s]+?)['’.]*(?:\s|$)`,                              // wget
	`(?i)ホスト名 ['‘]?([^'’\s]+?)['’]? が一致`,                                                  // wget
	`(?i)cannot verify (\S+)['’]s certificate`,                                            // wget
	`エラー: (\S+) の証明書`,                                                                     // wget
	`(?i)certificate of ['‘]?([^'’\s]+)['’]? (?:doesn|hasn|is|has|was)`,                   // wget
	`subject alternative (?:DNS )?names? matching (?:IP address )?(\S+) found`,            // Java
	`No name matching (\S+) found`,                                                        // Java
	`(?i)certificate is not valid for ['‘"]([^'’"\s]+)['’"]`,                              // Python
	`(?s)certificate is valid for .{1,1000}?, (?:not|but none matched) ([0-9A-Za-z.:-]+)`, // Go
	`cannot validate certificate for (\S+) because`,                                       // Go
	`but wanted to match (\S+)`,                                                           // Go
	`could not prove that it is (\S+?)(?:;| because)`,                                     // Chromium
	`このサーバーが\s*(\S+?)\s*であることを`,                                                           // Chromium
	`(\S+) uses an invalid security certificate`,                                          // Firefox
	`does not trust (\S+?) because`,                                                       // Firefox
	`(\S+?)\s*は不正なセキュリティ証明書`,                                                              // Firefox
	`An error occurred during a connection to (\S+?)\.? `,                                 // Firefox
	`(\S+) への接続中にエラーが発生しました`,                                                              // Firefox
	`with authority ['‘"]([^'’":\s]+)(?::([0-9]+))?['’"]`,                                 // WCF
	`機関\s*['‘"]([^'’":\s]+)(?::([0-9]+))?['’"]`,                                           // WCF
	`(?:pretending to be|impersonating) ["“]([^"”\s]+)["”]`,                               // Safari
	`["“]([^"”\s]+)["”]\s*(?:に偽装した|になりすま)`,                                                // Safari
	`-connect (\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+):([0-9]+)`,                              // openssl
	`Could not resolve host: (\S+)`,                                                       // curl
	`Failed to connect to (\S+) port ([0-9]+)`,                                            // curl
	`lookup ([0-9A-Za-z._-]+)(?: on |: )`,                                                 // Go
	`(?:ENOTFOUND|EAI_AGAIN) ([0-9A-Za-z._-]+)`,                                           // Node
	`dial tcp (\[[0-9A-Fa-f:.]+\]|[0-9.]+):([0-9]+)`,                                      // Go
	`(?:ECONNREFUSED|ECONNRESET|ETIMEDOUT) ([0-9.]+):([0-9]+)`,                            // Node
	`(?i)\bhttp://(?:[^\s/@"'<>]{0,200}@)?(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?([^\s"'<>]*)`,
}

// serverRegexps are the patterns, ready to be used.
var serverRegexps = sync.OnceValue(func() (all []*regexp.Regexp) {
	for _, p := range serverPatterns {
		all = append(all, regexp.MustCompile(p))
	}
	return all
})

// schemePorts are the ports of schemes that are not 443.
var schemePorts = map[string]int{
	"ldaps": 636, "imaps": 993, "pop3s": 995, "smtps": 465, "ftps": 990, "rediss": 6379, "amqps": 5671, "mqtts": 8883, "http": 80,
}

// manuals are the beginnings of addresses that error messages refer to.
var manuals = []string{
	"curl.se/docs", "curl.haxx.se/docs", "support.mozilla.org/", "learn.microsoft.com/", "docs.microsoft.com/",
	"go.microsoft.com/", "aka.ms/", "docs.python.org/", "urllib3.readthedocs.io/", "pip.pypa.io/", "nodejs.org/",
	"git-scm.com/docs", "support.google.com/", "support.apple.com/", "developer.apple.com/", "stackoverflow.com/",
	"docs.docker.com/", "docs.npmjs.com/", "docs.oracle.com/", "www.openssl.org/docs", "docs.openssl.org/",
}

// serverIn finds the server that a message is about.
func serverIn(text string) (host string, port int) {
	for _, p := range serverRegexps() {
		for _, m := range p.FindAllStringSubmatch(text, 20) {
			host, ok := cleanHost(m[1])
			if !ok || len(m) > 3 && isManual(host+m[3]) {
				continue
			}
			scheme, _, isURL := strings.Cut(m[0], "://")
			if isURL {
				port = schemePorts[strings.ToLower(scheme)]
			}
			if len(m) > 2 && m[2] != "" {
				n, err := strconv.Atoi(m[2])
				if err != nil || n < 1 || n > 65535 {
					continue
				}
				port = n
			}
			return host, port
		}
	}
	return "", 0
}

func isManual(address string) bool {
	return slices.ContainsFunc(manuals, func(m string) bool { return strings.HasPrefix(strings.ToLower(address), m) })
}

var hostLabel = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[0-9A-Za-z_]([0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?$`)
})

// cleanHost returns a host as it may stand in a command line: nothing but an IP
// address or an ASCII name is one.
func cleanHost(host string) (string, bool) {
	host = strings.Trim(host, "[]")
	if a, err := netip.ParseAddr(host); err == nil {
		return a.String(), a.Zone() == ""
	}
	host = strings.TrimSuffix(host, ".")
	if host == "" || len(host) > 253 {
		return "", false
	}
	for label := range strings.SplitSeq(host, ".") {
		if !hostLabel().MatchString(label) {
			return "", false
		}
	}
	// A number is no name.
	if strings.Trim(host, "0123456789.") == "" {
		return "", false
	}
	return host, true
}
