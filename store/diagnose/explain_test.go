package diagnose

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// symptoms returns the names of what was matched.
func (e Explanation) symptoms() (names []string) {
	for _, m := range e.Matched {
		names = append(names, m.Symptom)
	}
	return names
}

func (e Explanation) confidence(code string) Confidence {
	for _, s := range e.Suspects {
		if s.Code == code {
			return s.Confidence
		}
	}
	return ""
}

// codeRows reads the table of codes.
func codeRows(t testing.TB) (all [][]string) {
	data, err := os.ReadFile("data/codes.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		fields := strings.Split(line, "\t")
		if len(fields) != 4 {
			t.Fatalf("line %d: %q", i+1, line)
		}
		if i > 0 {
			all = append(all, fields)
		}
	}
	return all
}

// What programs really write, and what must come out of it.
func TestExplain(t *testing.T) {
	for _, test := range []struct {
		text     string
		client   string   // of the first match
		likely   []string // among the suspects
		possible []string
		without  []string
		target   string
	}{
		// Browsers
		{"Your connection is not private\nAttackers might be trying to steal your information from www.example.com\nNET::ERR_CERT_AUTHORITY_INVALID", "chromium", nil,
			[]string{"trust.untrusted_root", "trust.self_signed_leaf", "chain.missing_intermediate"}, []string{"name.mismatch"}, ""},
		{"この接続ではプライバシーが保護されません\nNET::ERR_CERT_COMMON_NAME_INVALID\nこのサーバーが intra.example.co.jp であることを確認できませんでした。このサーバーのセキュリティ証明書は www.example.co.jp から発行されています。", "chromium",
			[]string{"name.mismatch"}, nil, []string{"trust.untrusted_root"}, "intra.example.co.jp"},
		{"Your clock is behind\nA private connection to example.com can't be established because your computer's date and time (Friday) are incorrect.\nNET::ERR_CERT_DATE_INVALID", "chromium",
			[]string{"time.clock_wrong"}, []string{"time.leaf_expired"}, nil, ""},
		{"Error code: SEC_ERROR_UNKNOWN_ISSUER", "firefox", nil, []string{"trust.unknown_issuer", "chain.missing_intermediate"}, nil, ""},
		{"dev.local は不正なセキュリティ証明書を使用しています。\n\n自己署名をしているためこの証明書は信頼されません。\n\nエラーコード: MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT", "firefox", []string{"trust.self_signed_leaf"}, nil, []string{"name.mismatch"}, "dev.local"},
		{"An error occurred during a connection to localhost:8443. SSL received a record that exceeded the maximum permissible length.\n\nError code: SSL_ERROR_RX_RECORD_TOO_LONG", "firefox", nil, []string{"tls.plain_http"}, nil, ""},
		{"This Connection Is Not Private\nThis website may be impersonating “shop.example.com” to steal your personal or financial information.", "apple", nil, []string{"trust.untrusted_root", "name.mismatch"}, nil, "shop.example.com"},
		{"接続はプライベートではありません\nこのWebサイトは、あなたの個人情報または金融情報を盗むために“shop.example.com”になりすましている可能性があります。", "apple", nil, []string{"trust.untrusted_root"}, nil, "shop.example.com"},

		// Tools
		{"curl: (60) SSL certificate problem: unable to get local issuer certificate\nMore details here: https://curl.se/docs/sslcerts.html", "curl", nil,
			[]string{"trust.unknown_issuer", "chain.missing_intermediate"}, []string{"name.mismatch"}, ""},
		{"curl: (60) SSL: no alternative certificate subject name matches target host name '10.0.0.7'", "curl", []string{"name.mismatch"}, nil, []string{"trust.untrusted_root"}, "10.0.0.7"},
		{"curl: (35) error:0A00010B:SSL routines::wrong version number", "curl", nil, []string{"tls.plain_http"}, []string{"trust.untrusted_root"}, ""},
		{"curl: (60) schannel: SNI or certificate check failed: SEC_E_WRONG_PRINCIPAL (0x80090322) - 対象のプリンシパル名が間違っています。", "curl", []string{"name.mismatch"}, nil, []string{"trust.untrusted_root"}, ""},
		{"fatal: unable to access 'https://git.corp.example:8443/a/b.git/': server certificate verification failed. CAfile: none CRLfile: none", "git", nil, []string{"trust.untrusted_root"}, nil, "git.corp.example:8443"},
		{"fatal: unable to access 'https://github.example/x.git/': SSL certificate problem: self signed certificate in certificate chain", "curl", []string{"trust.untrusted_root"}, []string{"trust.interception"}, []string{"trust.self_signed_leaf"}, "github.example"},
		{"ERROR: cannot verify self-signed.example's certificate, issued by ‘CN=x’:\n  Self-signed certificate encountered.", "wget", nil, []string{"trust.self_signed_leaf"}, nil, "self-signed.example"},
		{"エラー: intra.example の証明書(発行者: `CN=Acme CA')の検証に失敗しました:\n  発行者の権限を検証できませんでした。", "wget", nil, []string{"trust.unknown_issuer"}, []string{"name.mismatch"}, "intra.example"},
		{"エラー: intra.example の証明書は失効しています。", "wget", nil, []string{"time.leaf_expired", "revocation.revoked"}, nil, "intra.example"},
		{"verify error:num=20:unable to get local issuer certificate\nVerify return code: 21 (unable to verify the first certificate)", "openssl", []string{"chain.missing_intermediate"}, []string{"trust.unknown_issuer"}, nil, ""},
		{"error 10 at 0 depth lookup: certificate has expired", "openssl", nil, []string{"time.leaf_expired", "time.clock_wrong"}, nil, ""},

		// Languages
		{"javax.net.ssl.SSLHandshakeException: PKIX path building failed: sun.security.provider.certpath.SunCertPathBuilderException: unable to find valid certification path to requested target", "java", nil,
			[]string{"trust.unknown_issuer", "trust.not_in_this_store"}, nil, ""},
		{"javax.net.ssl.SSLPeerUnverifiedException: No subject alternative DNS name matching api.example.com found.", "java", []string{"name.mismatch"}, nil, []string{"trust.untrusted_root"}, "api.example.com"},
		{"javax.net.ssl.SSLHandshakeException: Received fatal alert: handshake_failure", "alert", nil, []string{"tls.no_shared_cipher"}, []string{"trust.untrusted_root"}, ""},
		{"java.security.InvalidAlgorithmParameterException: the trustAnchors parameter must be non-empty", "java", nil, []string{"store.empty"}, nil, ""},
		{"System.Net.WebException: The underlying connection was closed: Could not establish trust relationship for the SSL/TLS secure channel. ---> System.Security.Authentication.AuthenticationException: The remote certificate is invalid according to the validation procedure.", "dotnet", nil,
			[]string{"trust.untrusted_root", "name.mismatch", "time.leaf_expired"}, []string{"tls.protocol_version"}, ""},
		{"要求は中止されました: SSL/TLS のセキュリティで保護されているチャネルを作成できませんでした。", "dotnet", []string{"tls.protocol_version"}, nil, []string{"trust.untrusted_root"}, ""},
		{"基礎になる接続が閉じられました: SSL/TLSのセキュリティで保護されているチャネルに対する信頼関係を\n確立できませんでした。", "dotnet", nil, []string{"trust.untrusted_root", "name.mismatch"}, []string{"tls.protocol_version"}, ""},
		{"機関 'vcenter.example.com' との SSL/TLS のセキュリティで保護されているチャネルに対する信頼関係を確立できませんでした。", "dotnet", nil, []string{"trust.untrusted_root"}, nil, "vcenter.example.com"},
		{"The request was aborted: Could not create SSL/TLS secure channel.", "dotnet", []string{"tls.protocol_version"}, []string{"tls.no_shared_cipher"}, []string{"trust.untrusted_root"}, ""},
		{"AuthenticationException: The remote certificate is invalid because of errors in the certificate chain: PartialChain", "dotnet", nil, []string{"chain.missing_intermediate"}, []string{"time.leaf_expired"}, ""},
		{"The remote certificate is invalid according to the validation procedure: RemoteCertificateNameMismatch, RemoteCertificateChainErrors", "dotnet", []string{"name.mismatch"}, nil, nil, ""},
		{`Get "https://images.local:5000/v2/": tls: failed to verify certificate: x509: certificate signed by unknown authority`, "go", nil, []string{"trust.untrusted_root"}, []string{"name.mismatch"}, "images.local:5000"},
		{`x509: certificate signed by unknown authority (possibly because of "x509: ECDSA verification failure" while trying to verify candidate authority certificate "mkcert ann@laptop")`, "go", []string{"trust.same_name_other_key"}, nil, nil, ""},
		{`Error response from daemon: Get "https://10.1.2.3:5000/v2/": http: server gave HTTP response to HTTPS client`, "go", []string{"tls.plain_http"}, nil, []string{"trust.untrusted_root"}, "10.1.2.3:5000"},
		{"x509: certificate is valid for a.example, b.example, not c.example", "go", []string{"name.mismatch"}, nil, nil, "c.example"},
		{"tls: failed to verify certificate: x509: “Example CA” certificate is not trusted", "go", nil, []string{"trust.present_not_trusted"}, []string{"name.mismatch"}, ""},
		{"npm ERR! code UNABLE_TO_VERIFY_LEAF_SIGNATURE\nnpm ERR! request to https://npm.corp.example/foo failed, reason: unable to verify the first certificate", "node", []string{"chain.missing_intermediate"}, nil, nil, "npm.corp.example"},
		{"Error [ERR_TLS_CERT_ALTNAME_INVALID]: Hostname/IP does not match certificate's altnames: Host: a.example. is not in the cert's altnames: DNS:b.example", "node", []string{"name.mismatch"}, nil, nil, "a.example"},
		{"requests.exceptions.SSLError: HTTPSConnectionPool(host='pypi.corp.example', port=8443): Max retries exceeded with url: / (Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1006)')))", "python",
			[]string{"trust.self_signed_leaf"}, nil, []string{"name.mismatch"}, "pypi.corp.example:8443"},
		{"ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: Hostname mismatch, certificate is not valid for 'a.example'. (_ssl.c:1006)", "python", []string{"name.mismatch"}, nil, []string{"trust.untrusted_root"}, "a.example"},
		{"remote error: tls: unknown certificate authority", "go", nil, []string{"tls.client_cert_rejected"}, []string{"trust.untrusted_root"}, ""},
		{"SSL3_READ_BYTES:tlsv1 alert unknown ca:s3_pkt.c:1472:SSL alert number 48", "openssl", nil, []string{"tls.client_cert_rejected"}, []string{"trust.untrusted_root"}, ""},

		// Windows and Apple
		{"A certificate chain processed, but terminated in a root certificate which is not trusted by the trust provider. 0x800b0109 (-2146762487 CERT_E_UNTRUSTEDROOT)", "windows", nil, []string{"trust.untrusted_root"}, []string{"name.mismatch"}, ""},
		{"証明書チェーンは処理されましたが、信頼プロバイダーが信頼していないルート証明書で終了しました。", "windows", nil, []string{"trust.untrusted_root"}, nil, ""},
		{"失効サーバーがオフラインのため、失効の関数は失効を確認できませんでした。 0x80092013 (-2146885613 CRYPT_E_REVOCATION_OFFLINE)", "windows", []string{"revocation.unavailable"}, nil, nil, ""},
		{"Fatal: *FAILED* [80072F8F] WinHttp: SendRequestToServerForFileInformation", "windows", nil, []string{"time.clock_wrong"}, nil, ""},
		{"ChainContext.dwErrorStatus = CERT_TRUST_IS_UNTRUSTED_ROOT (0x20)", "chain", nil, []string{"trust.untrusted_root"}, nil, ""},
		{"pcChainContext->TrustStatus.dwErrorStatus = 0x1000040", "chain", []string{"revocation.unavailable"}, nil, nil, ""},
		{"The TLS protocol defined fatal alert code is 70.", "alert", []string{"tls.protocol_version"}, nil, nil, ""},
		{"Error Domain=NSURLErrorDomain Code=-1202 \"The certificate for this server is invalid. You might be connecting to a server that is pretending to be “api.example.com” which could put your confidential information at risk.\" UserInfo={_kCFStreamErrorCodeKey=-9813}", "nsurl", nil,
			[]string{"trust.unknown_issuer"}, nil, "api.example.com"},
		{"OSStatus error -67818", "apple", nil, []string{"time.leaf_expired"}, nil, ""},
		{"handshake failed; returned -1, SSL error code 1, net_error -202", "chromium", nil, []string{"trust.untrusted_root"}, nil, ""},
	} {
		e := Explain(test.text)
		if !e.Recognised || len(e.Matched) == 0 {
			t.Errorf("%q is not recognised", test.text)
			continue
		}
		if e.Matched[0].Client != test.client {
			t.Errorf("%q: %s says it (%q), want %s", test.text, e.Matched[0].Client, e.symptoms(), test.client)
		}
		for _, code := range test.likely {
			if e.confidence(code) != Likely {
				t.Errorf("%q: %s is not likely: %+v", test.text, code, e.Suspects)
			}
		}
		for _, code := range test.possible {
			if e.confidence(code) == "" {
				t.Errorf("%q: %s is no suspect: %+v", test.text, code, e.Suspects)
			}
		}
		for _, code := range test.without {
			if e.confidence(code) != "" {
				t.Errorf("%q: %s is a suspect because of %q", test.text, code, e.symptoms())
			}
		}
		if e.Target() != test.target {
			t.Errorf("%q: the server is %q, want %q", test.text, e.Target(), test.target)
		}
		checkExplanation(t, test.text, e)
	}
}

// checkExplanation holds what is true of every explanation.
func checkExplanation(t testing.TB, text string, e Explanation) {
	t.Helper()
	if e.Recognised != (len(e.Matched) > 0) {
		t.Errorf("%q: recognised %v with %d matches", text, e.Recognised, len(e.Matched))
	}
	last, seen := 0, map[string]bool{}
	for _, m := range e.Matched {
		if m.Start < last || m.End <= m.Start || m.End > len(text) || text[m.Start:m.End] != m.Text {
			t.Errorf("%q: match %+v is not in its place", text, m)
			return
		}
		last = m.Start
		if m.Symptom == "" || m.Source == "" || Speakers[m.Client].Name.EN == "" || Speakers[m.Client].Name.JA == "" {
			t.Errorf("%q: match without a name, source or speaker: %+v", text, m)
		}
	}
	for i, s := range e.Suspects {
		if seen[s.Code] || s.Code == "" || len(s.Symptoms) == 0 || s.Confidence != Likely && s.Confidence != Possible {
			t.Errorf("%q: suspect %+v", text, s)
		}
		seen[s.Code] = true
		if i > 0 && s.Confidence == Likely && e.Suspects[i-1].Confidence == Possible {
			t.Errorf("%q: what is likely does not come first", text)
		}
	}
	if !regexp.MustCompile(`^[0-9A-Za-z_][0-9A-Za-z._-]*$|^[0-9a-f:.]*$`).MatchString(e.Host) || e.Port < 0 || e.Port > 65535 {
		t.Errorf("%q: the server is %q, port %d", text, e.Host, e.Port)
	}
}

func TestUnknownTexts(t *testing.T) {
	for _, text := range []string{
		"", " ", "\n", "hello", "Internal Server Error", "segmentation fault", "the build failed with exit code 1",
		"ファイルが見つかりません", "404 Not Found", "permission denied",
		"-", "0", "0x", "0x0", "x", "*",
		// Numbers that are not those of errors, or parts of something longer
		"SHA-256: 80090325 800B0109 12345678 9ABCDEF0",
		"sha1 80:09:03:25:80:0B:01:09",
		"serial 7f800b0109aa", "800b0109-1234-5678-9abc-def012345678", "commit 800b0109deadbeef",
		"version 1.60.19", "10.0.0.19", "2024-8179", "12:20:18 all is well", "line 18", "page 20 of 48",
		"process 12045 started", "port 12175", "8179", "-8179 degrees",
		"ERR_CERT_AUTHORITY_INVALIDATED", "XERR_CERT_DATE_INVALID", "MY_SEC_E_UNTRUSTED_ROOT", "partialchains",
		"0x80004005", "0x20", "flags: 0x20", "0x800b01090", "0x1800b0109",
		"internal_error", "protocol_version: 3", "access_denied", "handshake_failure_count",
		strings.Repeat("a", 100_000), strings.Repeat("certificate ", 10_000), strings.Repeat("\x00\xff\xfe", 30_000),
	} {
		if e := Explain(text); e.Recognised {
			t.Errorf("%.60q is taken for %q", text, e.symptoms())
		}
	}
}

// A number without a word beside it is what it can be, and all of that.
func TestBareNumbers(t *testing.T) {
	for _, test := range []struct {
		text      string
		clients   []string
		ambiguous bool
	}{
		{"-67843", []string{"apple"}, false},
		{"0x800B0109", []string{"windows"}, false},
		{"800b0109", []string{"windows"}, false},
		{"80090325", []string{"windows"}, false},
		{"2148204809", []string{"windows"}, false},
		{"-2146762487", []string{"windows"}, false},
		{"0xFFFFFFFF800B0109", []string{"windows"}, false},
		{"error -2146762487.", []string{"windows"}, false},
		{"−2146762487", []string{"windows"}, false}, // with a minus sign
		{"HRESULT: 0x80090322/-2146893022", []string{"windows"}, false},
		{"0x8001212A", []string{"apple"}, false},
		{"-2147409622", []string{"apple"}, false}, // the same
		{"19", []string{"openssl"}, false},
		{"SSL error 20", []string{"openssl", "alert"}, true},
		{"20", []string{"openssl", "alert"}, true},
		{"48", []string{"openssl", "alert"}, true},
		{"60", []string{"openssl", "curl"}, true},
		{"curl 60", []string{"curl"}, false},
		{"curl exit code 60", []string{"curl"}, false},
		{"openssl verify error 20", []string{"openssl"}, false},
		{"TLS alert 48", []string{"alert"}, false},
		{"-8179", []string{"firefox"}, false},
		{"エラーコード -8179", []string{"firefox"}, false},
		{"-202", []string{"chromium"}, false},
		{"-1202", []string{"nsurl"}, false},
		{"12175", []string{"wininet"}, false},
		{"エラー 12175 とは", []string{"wininet"}, false},
		{"-9807", []string{"apple"}, false},
		{"cURL error 60: see https://curl.haxx.se/libcurl/c/libcurl-errors.html", []string{"curl"}, false},
		{"the operation couldn’t be completed. (OSStatus error -9807.)", []string{"apple"}, false},
		{"WinHttpSendRequest failed with error 12175 (winhttp)", []string{"wininet"}, false},
	} {
		e := Explain(test.text)
		var clients []string
		for _, m := range e.Matched {
			clients = append(clients, m.Client)
			if m.Ambiguous != test.ambiguous {
				t.Errorf("%q: ambiguous is %v", test.text, m.Ambiguous)
			}
		}
		if !slices.Equal(clients, test.clients) {
			t.Errorf("%q: %q, want %q", test.text, clients, test.clients)
		}
		for _, s := range e.Suspects {
			if test.ambiguous && s.Confidence != Possible {
				t.Errorf("%q: %s is %s", test.text, s.Code, s.Confidence)
			}
		}
		checkExplanation(t, test.text, e)
	}
}

// Every row of the table is recognised by its name and by its number.
func TestCodes(t *testing.T) {
	names := map[string]bool{}
	for _, row := range codeRows(t) {
		family, numberText, name, causes := row[0], row[1], row[2], row[3]
		if names[family+name] {
			t.Errorf("%s is there twice", name)
		}
		names[family+name] = true
		number, err := strconv.ParseInt(numberText, 0, 64)
		if err != nil {
			t.Fatal(err)
		}
		texts := []string{"Error: " + name + ".", "(" + strings.ToLower(name) + ")"}
		switch family {
		case "alert":
			texts = []string{"Received fatal alert: " + name, "SSL alert number " + numberText, "tls alert " + strings.ReplaceAll(name, "_", " ")}
		case "chromium":
			texts = append(texts, "net::"+name, "NET::"+name, "net_error "+numberText)
		case "nss", "apple", "nsurl":
			if number < 0 {
				texts = append(texts, "error code "+numberText)
			} else {
				texts = append(texts, numberText)
			}
		case "windows":
			texts = append(texts, numberText, strings.ToLower(numberText), numberText[2:], strconv.FormatInt(number, 10), strconv.FormatInt(number-1<<32, 10))
		case "windows-chain":
			texts = append(texts, "dwErrorStatus=0x"+strconv.FormatInt(number|1<<30, 16))
		case "wininet":
			texts = append(texts, "WinHTTP error "+numberText)
		case "openssl":
			texts = append(texts, "verify error:num="+numberText+":", "Verify return code: "+numberText+" (x)", numberText)
		case "curl":
			texts = append(texts, "curl: ("+numberText+") x", "cURL error "+numberText+":")
		}
		for _, text := range texts {
			e := Explain(text)
			i := slices.IndexFunc(e.Matched, func(m Match) bool { return m.Symptom == name })
			if i < 0 {
				t.Errorf("%q is taken for %q", text, e.symptoms())
				continue
			}
			for _, code := range strings.FieldsFunc(causes, func(r rune) bool { return r == ',' }) {
				if e.confidence(code) == "" {
					t.Errorf("%q: %s is no suspect", text, code)
				}
			}
			checkExplanation(t, text, e)
		}
	}
	if len(names) < 600 {
		t.Errorf("only %d codes", len(names))
	}
}

// Every sentence is recognised as itself, whatever its case, its line breaks
// and its quotation marks.
func TestSentences(t *testing.T) {
	seen := map[string]string{}
	for _, row := range slices.Concat(sentences, sentencesJA) {
		for i, text := range row.text {
			plain := strings.ReplaceAll(text, "*", " www.example.com ")
			for _, variant := range []string{
				plain, strings.ToUpper(plain), strings.ReplaceAll(plain, " ", "\r\n  "),
				strings.ReplaceAll(plain, "'", "’"), "… 「" + plain + "」(" + plain + ")",
			} {
				e := Explain(variant)
				if !slices.ContainsFunc(e.Matched, func(m Match) bool {
					return m.Client == row.client && slices.Equal(m.Causes, codesOf(row.causes))
				}) {
					t.Errorf("%q is taken for %q", variant, e.symptoms())
				}
				checkExplanation(t, variant, e)
			}
			if i > 0 && seen[text] != "" {
				t.Errorf("%q is there twice", text)
			}
			seen[text+row.client] = row.client
		}
		if row.source == "" || Speakers[row.client].Name.EN == "" {
			t.Errorf("%q has no source or no speaker", row.text[0])
		}
		if row.causes == "" {
			t.Errorf("%q has no causes", row.text[0])
		}
	}
	for _, row := range sentences {
		if strings.ContainsFunc(strings.Join(row.text, ""), japanese) {
			t.Errorf("%q is no English", row.text)
		}
	}
	for _, row := range sentencesJA {
		for _, text := range row.text {
			if !strings.ContainsFunc(text, japanese) {
				t.Errorf("%q is no Japanese", text)
			}
		}
	}
}

func codesOf(list string) (codes []string) {
	for _, c := range causeRefs(list) {
		codes = append(codes, c.code)
	}
	return codes
}

func japanese(r rune) bool { return unicode.In(r, unicode.Hiragana, unicode.Katakana, unicode.Han) }

// There is something to say about every cause, in each language.
func TestCausesAreKnown(t *testing.T) {
	for _, s := range symptomTable().all {
		for _, c := range s.causes {
			for _, lang := range []Lang{English, Japanese} {
				if info, ok := Lookup(c.code, lang); !ok || info.Title == "" || info.Meaning == "" || len(info.Fixes) == 0 {
					t.Errorf("%s: there is nothing to say about %q in %q: %+v", s.name, c.code, lang, info)
				}
			}
		}
	}
}

func TestSeveralErrors(t *testing.T) {
	text := "first NET::ERR_CERT_DATE_INVALID, then SEC_ERROR_UNKNOWN_ISSUER, then (19) and x509: certificate signed by unknown authority"
	e := Explain(text)
	want := []string{"ERR_CERT_DATE_INVALID", "SEC_ERROR_UNKNOWN_ISSUER", "x509: certificate signed by unknown authority"}
	if !slices.Equal(e.symptoms(), want) {
		t.Errorf("%q, want %q", e.symptoms(), want)
	}
	if e.confidence("trust.unknown_issuer") == "" || e.confidence("time.leaf_expired") == "" {
		t.Errorf("%+v", e.Suspects)
	}
}

func TestServerIn(t *testing.T) {
	for text, want := range map[string]string{
		"https://a.example/x":                                            "a.example",
		"https://a.example:443/x":                                        "a.example",
		"https://a.example:8443":                                         "a.example:8443",
		"https://user:pass@a.example/":                                   "a.example",
		"https://[2001:DB8::1]:8443/":                                    "[2001:db8::1]:8443",
		"https://[2001:db8::1]/":                                         "2001:db8::1",
		"ldaps://dc.example":                                             "dc.example:636",
		"http://plain.example/":                                          "plain.example:80",
		"https://a.example:99999/":                                       "",
		"https://a.example:0/":                                           "",
		"https://-x.example/":                                            "",
		"https://$(reboot)/":                                             "",
		"https://a;reboot/":                                              "a",
		"host='--insecure', port=443":                                    "",
		"host='a b', port=443":                                           "",
		"requested host name ‘*.example’":                                "",
		"https://curl.se/docs/sslcerts.html":                             "",
		"https://support.mozilla.org/kb/x https://b.example":             "b.example",
		"https://１.example/":                                             "",
		"https://例え.example/":                                            "",
		"x509: certificate is valid for 10.0.0.1, not 10.0.0.2":          "10.0.0.2",
		"dial tcp 10.0.0.1:8443: connect: connection refused":            "10.0.0.1:8443",
		"dial tcp: lookup nowhere.example on 10.0.0.53:53: no such host": "nowhere.example",
		"https://" + strings.Repeat("a", 64) + ".example/":               "",
		"https://" + strings.Repeat("a.", 200) + "example/":              "",
	} {
		host, port := serverIn(text)
		if got := (Explanation{Host: host, Port: port}).Target(); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestLongTexts(t *testing.T) {
	const name = "NET::ERR_CERT_AUTHORITY_INVALID"
	long := strings.Repeat("あ", MaxExplained/3)
	if e := Explain(long + name); e.Recognised || !e.Truncated {
		t.Errorf("behind the end: recognised %v, truncated %v", e.Recognised, e.Truncated)
	}
	if e := Explain(name + long); !e.Recognised || !e.Truncated {
		t.Errorf("at the beginning: recognised %v, truncated %v", e.Recognised, e.Truncated)
	}
	if e := Explain(strings.Repeat(name+" ", 100_000)); len(e.Matched) != 1 {
		t.Errorf("%d matches", len(e.Matched))
	}
}

func FuzzExplain(f *testing.F) {
	for _, row := range slices.Concat(sentences, sentencesJA) {
		f.Add(row.text[0])
	}
	for _, text := range []string{
		"0x800b0109 -2146762487 19", "dwErrorStatus=0xffffffff", "host='x', port=1", "https://[::1]:1/", "\xff\xfe0x800B0109\xff", "İ ſ K 0x", "-", "--8179",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e := Explain(text)
		if len(text) > MaxExplained {
			text = text[:MaxExplained]
		}
		checkExplanation(t, text, e)
		if n := normalise(text); len(n.at) != len(n.text)+1 || !utf8.ValidString(n.text) {
			t.Errorf("%d offsets for %d bytes", len(n.at), len(n.text))
		}
	})
}

func BenchmarkExplain(b *testing.B) {
	text := strings.Repeat("curl: (60) SSL certificate problem: unable to get local issuer certificate 0x80090325 -67843 ", MaxExplained/96)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		Explain(text)
	}
}

func ExampleExplain() {
	e := Explain("curl: (60) SSL certificate problem: certificate has expired")
	for _, s := range e.Suspects {
		fmt.Println(s.Confidence, s.Code)
	}
	// Output:
	// possible time.leaf_expired
	// possible time.intermediate_expired
	// possible time.root_expired
	// possible time.clock_wrong
}
