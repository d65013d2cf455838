package diagnose

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/certtrust/certtrust/store"
)

// t puts a text in the language of the diagnosis.
func (e *engine) t(t Text, args ...any) string { return t.In(e.lang, args...) }

// maxText is how much of a text that others have written is shown.
const maxText = 80

func shorten(s string) string {
	if utf8.RuneCountInString(s) <= maxText {
		return s
	}
	return string([]rune(s)[:maxText-1]) + "…"
}

// name returns what a certificate is called in a sentence.
func (e *engine) name(n *node) string {
	return e.quote(n.Label())
}

// distinguished returns a name in a sentence.
func (e *engine) distinguished(n store.Name) string {
	label := (&store.Cert{Version: 3, Subject: n}).Label()
	return e.quote(label)
}

func (e *engine) quote(s string) string {
	s = store.Printable(shorten(s))
	if e.lang == Japanese {
		return "「" + s + "」"
	}
	return `"` + s + `"`
}

func (e *engine) day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func (e *engine) errText(err error) string {
	if err == nil {
		return ""
	}
	return store.Printable(shorten(err.Error()))
}

// age writes a duration for people: in one unit.
func (e *engine) age(d time.Duration) string {
	hours := int(d.Hours())
	switch {
	case hours < 48:
		return e.t(wordHours, max(hours, 1))
	case hours < 24*60:
		return e.t(wordDays, hours/24)
	case hours < 24*365*2:
		return e.t(wordMonths, hours/24/30)
	}
	return e.t(wordYears, hours/24/365)
}

func list(items []string) string { return strings.Join(items, ", ") }

// evidence makes an observed fact.
func (e *engine) evidence(kind string, t Text, args ...any) Evidence {
	return Evidence{Kind: kind, Text: e.t(t, args...)}
}

// evidenceData makes an observed fact about a certificate.
func (e *engine) evidenceData(kind string, t Text, n *node, args ...any) Evidence {
	ev := e.evidence(kind, t, args...)
	ev.Data = map[string]string{"certificate": n.SHA256.String(), "spki": fmt.Sprintf("%x", n.spki)}
	return ev
}

// field tells what a field of a certificate is, and what it would have to be.
func (e *engine) field(n *node, field, value, expected string) Evidence {
	value = store.Printable(value)
	return Evidence{Kind: "field", Text: e.t(evField, e.name(n), field, value, expected),
		Data: map[string]string{"certificate": n.SHA256.String(), "field": field, "value": value, "expected": expected}}
}

// Words within sentences.
var (
	wordUnreadable       = Text{"unreadable", "読み取れない"}
	wordDER              = Text{"a well-formed certificate", "正しい形式の証明書"}
	wordNegativeSerial   = Text{"its serial number is negative", "シリアル番号が負の値"}
	wordNotCritical      = Text{"known extensions only, or not critical", "既知の拡張のみ、または critical でないこと"}
	wordMissing          = Text{"missing", "なし"}
	wordKeyCertSign      = Text{"keyCertSign", "keyCertSign"}
	wordDigitalSignature = Text{"digitalSignature", "digitalSignature"}
	wordSHA2             = Text{"SHA-256 or better", "SHA-256 以上"}
	wordStrongKey        = Text{"RSA 2048 bits or more, or EC P-256", "RSA 2048 ビット以上、または EC P-256"}
	wordExcluded         = Text{"excluded: %v", "除外: %v"}
	wordOnlyCN           = Text{"none (only the common name %s)", "なし(コモンネーム %s のみ)"}
	wordNone             = Text{"none", "なし"}
	wordOwnSerial        = Text{"a number that the issuer has used once", "発行者が一度しか使わない番号"}
	wordStaple           = Text{"a stapled OCSP response", "ステープルされた OCSP 応答"}
	wordSCTs             = Text{"signed certificate timestamps", "署名付き証明書タイムスタンプ (SCT)"}
	wordRootsDate        = Text{"the root programme's data in this program", "このプログラムに含まれるルートプログラムのデータ"}
	wordBuilt            = Text{"this program itself", "このプログラム自体"}
	wordSCT              = Text{"the timestamp in the server's certificate", "サーバー証明書に含まれるタイムスタンプ"}
	wordAtLeast          = Text{"%s or later", "%s 以降"}
	wordCertificates     = Text{"%d certificates", "%d 個の証明書"}
	wordProbably         = Text{"probably %s", "おそらく %s"}
	wordHours            = Text{"%d hours", "%d 時間"}
	wordDays             = Text{"%d days", "%d 日"}
	wordMonths           = Text{"%d months", "%d か月"}
	wordYears            = Text{"%d years", "%d 年"}
)

// The sentences of evidence.
var (
	evField           = Text{"%[1]s: %[2]s is %[3]s; needed: %[4]s", "%[1]s: %[2]s の値は %[3]s(必要な値: %[4]s)"}
	evPlatform        = Text{"The system's own verifier refuses the chain: %s", "システムの検証器がこのチェーンを拒否しました: %s"}
	evVerifier        = Text{"Go's verifier refuses the chain: %s", "Go の検証器がこのチェーンを拒否しました: %s"}
	evDistrusted      = Text{"%[1]s marks %[2]s as distrusted", "%[1]s は%[2]sを「信頼しない」と指定しています"}
	evOnlyHosts       = Text{"%[1]s trusts %[2]s only for %[3]s", "%[1]s が%[2]sを信頼するのは %[3]s に対してだけです"}
	evOtherPurpose    = Text{"%[1]s trusts %[2]s only for %[3]s, not for servers", "%[1]s は%[2]sを %[3]s 用としてだけ信頼し、サーバー用としては信頼していません"}
	evNoTrust         = Text{"%[1]s holds %[2]s, but without trust", "%[1]s には%[2]sがありますが、信頼の設定がありません"}
	evEmpty           = Text{"%s holds no trusted root at all", "%s には信頼されたルート証明書が 1 つもありません"}
	evSignsItself     = Text{"%s is signed with its own key: no authority vouches for it", "%sは自分自身の鍵で署名されており、どの認証局もこれを保証していません"}
	evFetched         = Text{"fetching %[1]s gave %[2]s", "%[1]s から%[2]sを取得できました"}
	evHasIt           = Text{"%s is known from a store, but the server did not send it", "%sはストアにはありますが、サーバーは送信していません"}
	evLeadsTo         = Text{"with it, the chain leads to the trusted root %s", "これを加えると、チェーンは信頼されたルート証明書%sに到達します"}
	evOtherKey        = Text{"%[1]s is not signed with the key of %[2]s (that key is %[3]s, the signer's is %[4]s)", "%[1]sの署名は%[2]sの鍵によるものではありません(この証明書の鍵: %[3]s、署名者の鍵: %[4]s)"}
	evStoredSince     = Text{"the copy in %[1]s was made on %[2]s (sha256 %[3]s)", "%[1]s にある証明書は %[2]s に作成されたものです (sha256 %[3]s)"}
	evInProgramme     = Text{"%[1]s is in Mozilla's root programme as of %[2]s, and not in %[3]s (sha256 %[4]s)", "%[1]sは %[2]s 時点の Mozilla ルートプログラムに含まれていますが、%[3]s にはありません (sha256 %[4]s)"}
	evTrustedBy       = Text{"%[1]s trusts %[2]s; %[3]s does not hold it", "%[1]s は%[2]sを信頼していますが、%[3]s にはありません"}
	evNotStored       = Text{"the chain is complete and ends in %[1]s (sha256 %[2]s), which is not in %[3]s", "チェーンは完全で%[1]s (sha256 %[2]s) で終わりますが、これは %[3]s にありません"}
	evIssuerNotSent   = Text{"%[1]s was issued by %[2]s (key %[3]s), which the server did not send and no store holds", "%[1]sの発行者は%[2]s(鍵 %[3]s)ですが、サーバーはこれを送信しておらず、どのストアにもありません"}
	evNoAIA           = Text{"%s does not say where its issuer's certificate can be had", "%sには、発行者の証明書の入手先 (AIA) が書かれていません"}
	evFetchFailed     = Text{"fetching %[1]s failed: %[2]s", "%[1]s を取得できませんでした: %[2]s"}
	evNotTheIssuer    = Text{"what came is not the issuer's certificate", "取得したものは発行者の証明書ではありません"}
	evNames           = Text{"the certificate is to be for %[1]s; its names: %[2]s", "必要な名前は %[1]s ですが、証明書に記載された名前は次のとおりです: %[2]s"}
	evSameWithoutSNI  = Text{"a client that sends no server name (SNI) gets the same certificate", "サーバー名 (SNI) を送らない場合も、同じ証明書が返されます"}
	evOtherWithoutSNI = Text{"a client that sends no server name (SNI) gets another certificate: %s", "サーバー名 (SNI) を送らない場合は、別の証明書%sが返されます"}
	evStaple          = Text{"the stapled OCSP response: %s", "ステープルされた OCSP 応答: %s"}
	evStapleEarly     = Text{"it holds only from %s", "%s になるまで有効ではありません"}
	evStapleOld       = Text{"it held until %s", "有効期限は %s まででした"}
	evStapleUnknown   = Text{"the responder does not know the certificate", "レスポンダーはこの証明書を認識していません"}
	evOCSPForm        = Text{"it is not an OCSP response", "OCSP 応答ではありません"}
	evOCSPStatus      = Text{"the responder did not answer the question", "レスポンダーが問い合わせに回答していません"}
	evOCSPOther       = Text{"it is about another certificate", "別の証明書についての応答です"}
	evOCSPSignature   = Text{"it is not signed by the issuer or a responder of the issuer", "発行者またはその委任を受けたレスポンダーの署名がありません"}
	evRevoked         = Text{"%[1]s says that %[2]s was revoked at %[3]s", "%[1]s によると、%[2]sは %[3]s に失効しています"}
	evListInvalid     = Text{"what came is not a revocation list of the issuer", "取得したものは発行者の失効リストではありません"}
	evFloor           = Text{"this machine's clock says %[1]s, but %[2]s is from %[3]s", "このマシンの時計は %[1]s を示していますが、%[2]sは %[3]s のものです"}
	evWitness         = Text{"%[1]s says that it is %[2]s, when the chain is valid; this machine's clock says %[3]s", "%[1]s が示す時刻は %[2]s で、その時点ではチェーンは有効です。このマシンの時計は %[3]s です"}
	evKnownBad        = Text{"%[1]s (sha256 %[2]s) is known: %[3]s (source: %[4]s)", "%[1]s (sha256 %[2]s) は既知の危険な証明書です: %[3]s(出典: %[4]s)"}
	evIntercepts      = Text{"the issuer %[1]s is an authority of %[2]s, which signs connections anew", "発行者%[1]sは、通信を復号して署名し直す製品 %[2]s の認証局です"}
	evSent            = Text{"sent, in this order: %s", "送信された順序: %s"}
	evDeadEnd         = Text{"a client that does not try again builds %[1]s; a path that holds is %[2]s", "やり直しをしないクライアントが組み立てるパス: %[1]s。有効なパス: %[2]s"}
	evIsAnchor        = Text{"%[1]s holds %[2]s itself as a trusted certificate", "%[1]s には%[2]s自体が信頼された証明書として登録されています"}
	evSaid            = Text{"%[1]s: %[2]s", "%[1]s: %[2]s"}
	evPlain           = Text{"instead of TLS came: %s", "TLS ではなく次のデータが届きました: %s"}
	evRedirect        = Text{"plain HTTP leads to %s", "平文の HTTP では %s に転送されます"}
	evNegotiated      = Text{"%[1]s agreed on %[2]s with %[3]s, though more was offered", "%[1]s は、より新しい候補を提示しても %[2]s と %[3]s を選択しました"}
	evOnlyOffers      = Text{"it takes nothing better than %s", "%s より新しいものを受け付けません"}
	evTooMuch         = Text{"%[1]s sends %[2]d bytes of certificates; OpenSSL takes %[3]d", "%[1]s が送信する証明書は %[2]d バイトですが、OpenSSL が受け付けるのは %[3]d バイトまでです"}
	evNoHTTP          = Text{"only http addresses are fetched", "http のアドレスだけを取得します"}
	evAsksForCert     = Text{"%s asks for a client certificate", "%s はクライアント証明書を要求しています"}
	evOverride        = Text{"%[1]s sets %[2]s to %[3]s", "%[1]s で %[2]s が %[3]s に設定されています"}
	evStoreError      = Text{"reading %[1]s: %[2]s", "%[1]s の読み取り: %[2]s"}
)
