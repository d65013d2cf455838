package diagnose

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Speaker is a program, or a library that many programs have their errors from.
type Speaker struct {
	Name   Text
	Source string // where its error names and numbers are defined
}

// Speakers are those whose errors are known, by the ID that [Match] has.
var Speakers = map[string]Speaker{
	"chromium": {Text{"Chrome, Edge and other Chromium browsers", "Chrome、Edge などの Chromium 系ブラウザー"}, "Chromium, net/base/net_error_list.h"},
	"firefox":  {Text{"Firefox (NSS)", "Firefox(NSS)"}, "NSS, lib/util/secerr.h and lib/ssl/sslerr.h; Firefox, pkixnss.h; NSPR, prerr.h"},
	"apple":    {Text{"Apple's Security framework (Safari, curl on macOS, …)", "Apple の Security フレームワーク(Safari、macOS のアプリなど)"}, "Apple Security, SecBase.h, cssmerr.h and SecureTransport.h"},
	"nsurl":    {Text{"Apple's URL loading (NSURLError)", "Apple の URL 読み込み(NSURLError)"}, "Apple Foundation, NSURLError.h"},
	"windows":  {Text{"Windows (schannel, WinHTTP, CryptoAPI)", "Windows(schannel、WinHTTP、CryptoAPI)"}, "Windows SDK, winerror.h"},
	"chain":    {Text{"Windows certificate chain status", "Windows の証明書チェーンの状態"}, "Windows SDK, wincrypt.h (CERT_TRUST_STATUS)"},
	"wininet":  {Text{"WinINet and WinHTTP", "WinINet と WinHTTP"}, "Windows SDK, wininet.h and winhttp.h"},
	"openssl":  {Text{"OpenSSL (curl, Python, Node, Git and many others)", "OpenSSL(curl、Python、Node、Git など)"}, "OpenSSL, include/openssl/x509_vfy.h"},
	"gnutls":   {Text{"GnuTLS (wget, Git on Debian, …)", "GnuTLS(wget、Debian の Git など)"}, "GnuTLS, gnutls_certificate_verification_status_print"},
	"curl":     {Text{"curl", "curl"}, "curl, include/curl/curl.h"},
	"wget":     {Text{"wget", "wget"}, "GNU Wget, src/openssl.c and src/gnutls.c"},
	"git":      {Text{"Git", "Git"}, "curl, lib/vtls/gtls.c"},
	"java":     {Text{"Java", "Java"}, "OpenJDK"},
	"dotnet":   {Text{".NET", ".NET"}, "dotnet/runtime"},
	"go":       {Text{"Go programs (Docker, kubectl, Terraform, …)", "Go のプログラム(Docker、kubectl、Terraform など)"}, "Go"},
	"node":     {Text{"Node.js and npm", "Node.js と npm"}, "Node.js, doc/api/tls.md (X509 certificate error codes)"},
	"python":   {Text{"Python", "Python"}, "CPython, Modules/_ssl.c"},
	"rust":     {Text{"Rust programs (rustls: Deno, cargo, uv, …)", "Rust のプログラム(rustls: Deno、uv など)"}, "rustls, rustls/src/error.rs"},
	"alert":    {Text{"a TLS alert from the other side", "相手から届いた TLS アラート"}, "RFC 8446, section 6, and RFC 5246, section 7.2"},
	"system":   {Text{"the operating system (every program)", "オペレーティングシステム(すべてのプログラム)"}, "the C library, strerror and gai_strerror"},
	"ie":       {Text{"Internet Explorer and old Edge", "Internet Explorer と旧 Edge"}, "Microsoft"},
}

// symptom is an error as a program writes it.
type symptom struct {
	name     string
	client   string // a key of Speakers
	family   string // the numbers that it is one of; "" for none
	number   int64  // with family
	patterns [][]string
	causes   []causeRef
	vague    bool
	source   string
}

// causeRef is a cause that a symptom can have.
type causeRef struct {
	code   string
	likely bool
}

// causeRefs reads codes that are separated by spaces or commas. One that is
// alone, or has "!" after it, is likely; "?" takes that back.
func causeRefs(list string) []causeRef {
	fields := strings.FieldsFunc(list, func(r rune) bool { return r == ' ' || r == ',' })
	var out []causeRef
	for _, f := range fields {
		code := strings.TrimRight(f, "!?")
		out = append(out, causeRef{code, strings.HasSuffix(f, "!") || len(fields) == 1 && !strings.HasSuffix(f, "?")})
	}
	return out
}

// patternOf reads a pattern: text in which "*" is a gap.
func patternOf(text string) []string {
	var parts []string
	for _, p := range strings.Split(text, "*") {
		parts = append(parts, normalise(p).text)
	}
	return parts
}

// codesTable has a row for each number and name: the family, the number, the
// name, and the causes behind it. Those without causes are errors too, but not
// ones of trust.
//
//go:embed data/codes.tsv
var codesTable string

// families are the kinds of numbers in the table of codes.
var families = map[string]struct {
	client string
	// names makes the patterns of a row of its name.
	names func(name string) []string
	// words are those that tell, beside a number, that it is of this family.
	words []string
	// forms are what stands directly before a number of this family.
	forms []string
	// bare tells that people name such a number alone.
	bare bool
}{
	"chromium": {"chromium", func(name string) []string { return []string{name, "net::" + name} },
		[]string{"chrome", "chromium", "edge", "net", "net_error"}, []string{"net_error", "net error", "net_error:", "net_error="}, true},
	"nss": {"firefox", just, []string{"nss", "firefox", "mozilla", "thunderbird", "certutil"}, []string{"nss error", "error code:", "nss:"}, true},
	"apple": {"apple", just, []string{"apple", "macos", "ios", "osstatus", "safari", "errsec", "secureTransport", "keychain"},
		[]string{"osstatus error", "osstatus", "_kcfstreamerrorcodekey="}, true},
	"nsurl": {"nsurl", just, []string{"nsurlerrordomain", "cfnetwork", "nsurl", "nserror"},
		[]string{"nsurlerrordomain code=", "nsurlerrordomain error", "nsurlerror", "cfnetwork error"}, true},
	"windows":       {"windows", just, []string{"windows", "schannel", "hresult"}, nil, true},
	"windows-chain": {"chain", just, []string{"chain"}, nil, false},
	"wininet":       {"wininet", just, []string{"windows", "wininet", "winhttp"}, []string{"winhttp error", "wininet error"}, true},
	"openssl": {"openssl", func(name string) []string { return []string{name} },
		[]string{"openssl", "verify", "x509", "depth"},
		[]string{"error:num=", "verify return code:", "verify return code", "verify error", "verify error:", "verify_result", "verify result:", "verifyresult", "ssl_verify_result"}, true},
	"curl": {"curl", just, []string{"curl", "libcurl", "exit"},
		[]string{"curl: (", "curl error", "curl error:", "curl error code:", "curl(", "curl exit code", "curl exited with code", "libcurl error", "curle:"}, true},
	"alert": {"alert", func(name string) []string {
		spaced := strings.ReplaceAll(name, "_", " ")
		return []string{"alert: " + name, "alert " + name, "alert: " + spaced, "alert " + spaced}
	}, []string{"alert"}, []string{"alert number", "ssl alert number", "fatal alert code is", "error alert code is", "alert code", "alert code:", "alert:"}, true},
}

func just(name string) []string { return []string{name} }

// table is all symptoms, in the forms that they are looked for in.
type table struct {
	all      []symptom
	byNumber map[string]map[int64]*symptom // by family
}

// symptomTable returns the table of symptoms.
var symptomTable = sync.OnceValue(func() *table {
	t := &table{byNumber: map[string]map[int64]*symptom{}}
	for line := range strings.Lines(codesTable) {
		fields := strings.Split(strings.TrimRight(line, "\r\n"), "\t")
		if len(fields) != 4 {
			continue
		}
		f, known := families[fields[0]]
		number, err := strconv.ParseInt(fields[1], 0, 64)
		if !known || err != nil {
			continue // the heading
		}
		s := symptom{
			name: fields[2], client: f.client, family: fields[0], number: number,
			causes: causeRefs(fields[3]), source: Speakers[f.client].Source,
		}
		for _, name := range f.names(s.name) {
			s.patterns = append(s.patterns, patternOf(name))
		}
		// curl's numbers sum up what the text beside them says.
		s.vague = fields[0] == "curl" && len(s.causes) > 1
		t.all = append(t.all, s)
	}
	for _, row := range slices.Concat(sentences, sentencesJA) {
		s := symptom{client: row.client, causes: causeRefs(row.causes), vague: row.vague, source: row.source}
		for i, text := range row.text {
			if i == 0 {
				s.name = strings.ReplaceAll(text, "*", "…")
			}
			s.patterns = append(s.patterns, patternOf(text))
		}
		t.all = append(t.all, s)
	}
	for i := range t.all {
		s := &t.all[i]
		if s.family == "" {
			continue
		}
		if t.byNumber[s.family] == nil {
			t.byNumber[s.family] = map[int64]*symptom{}
		}
		if t.byNumber[s.family][s.number] == nil {
			t.byNumber[s.family][s.number] = s
		}
	}
	return t
})
