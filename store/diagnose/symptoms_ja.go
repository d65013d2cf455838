package diagnose

// Where Japanese texts stand. OpenSSL, curl, Go, Node, Python, the exceptions
// of Java and of .NET since Core, and the messages of NSS (also in a Japanese
// Firefox) are only in English.
const (
	inChromiumJA = "Chromium, components/strings/components_strings_ja.xtb (locales/ja.pak of 156)"
	inFirefoxJA  = "mozilla-l10n/firefox-l10n, ja/toolkit/toolkit/neterror/certError.ftl"
	inNetErrJA   = "mozilla-l10n/firefox-l10n, ja/toolkit/toolkit/neterror/netError.ftl"
	inPipnssJA   = "mozilla-l10n/firefox-l10n, ja/security/manager/chrome/pipnss/pipnss.properties"
	inWgetJA     = "GNU Wget, po/ja.po"
	inNetFxJA    = ".NET Framework in Japanese, as quoted in sql-docs.ja-jp, docs/integration-services/scale-out/troubleshooting-scale-out.md"
	inWinJA      = "Windows in Japanese, as quoted in sql-docs.ja-jp, docs/linux/sql-server-linux-encrypted-connections.md"
	inVPNJA      = "Windows in Japanese, as quoted in windowsserverdocs.ja-jp, remote/remote-access/vpn/always-on-vpn/deploy/always-on-vpn-deploy-troubleshooting.md"
	inIEJA       = "Internet Explorer in Japanese, as quoted in bmoo.net/archives/2013/10/315115.html"
	inSafariJA   = "Safari in Japanese, as quoted in did2memo.net/2017/10/22/iphone-ios-11-this-connection-is-not-private-error"
	inEdgeJA     = "Edge in Japanese, as quoted beside NET::ERR_CERT_AUTHORITY_INVALID in public bug reports"
)

// sentencesJA are the Japanese rows. Each text was seen in the source that is
// named; spaces beside Japanese letters do not count.
var sentencesJA = []sentence{
	// .NET Framework
	{"dotnet", []string{"SSL/TLS のセキュリティで保護されているチャネルに対する信頼関係を確立できませんでした", "SSL/TLS のセキュリティで保護されたチャネルに対する信頼関係を確立できませんでした",
		"SSL/TLS セキュリティで保護されたチャネルに対する信頼関係を確立できませんでした", "SSL/TLS セキュリティ チャネルに対する信頼関係を確立できませんでした",
		"SSL/TLS セキュリティ チャネルの信頼関係を確立できませんでした", "SSL と TLS のセキュリティで保護されたチャネルに対する信頼関係を確立できませんでした"},
		anyCert + " revocation.unavailable", true, inNetFxJA},
	{"dotnet", []string{"SSL/TLS のセキュリティで保護されているチャネルを作成できませんでした", "SSL/TLS のセキュリティで保護されたチャネルを作成できませんでした",
		"セキュリティで保護された SSL/TLS のチャネルを確立できませんでした"},
		"tls.protocol_version! tls.no_shared_cipher tls.client_cert_required", false, inNetFxJA},
	{"dotnet", []string{"検証プロシージャによると、リモート証明書は無効です", "リモート証明書が検証プロシージャに対して無効です"}, anyCert, true, inNetFxJA},
	{"dotnet", []string{"SSL 接続を確立できませんでした。内部例外を参照してください"}, anyCert + " " + anyTLS, true,
		".NET in Japanese, as quoted in AspNetCore.Docs.ja-jp, aspnetcore/grpc/troubleshoot.md"},

	// Windows
	{"windows", []string{"証明書チェーンは処理されましたが、信頼プロバイダーが信頼していないルート証明書で", "証明書チェーンが処理されましたが、信頼プロバイダーが信頼していないルート証明書で"},
		"trust.untrusted_root trust.self_signed_leaf trust.interception trust.wrong_scope", false, inVPNJA},
	{"windows", []string{"証明書チェーンは、信頼されていない機関によって発行されました", "証明書チェーンは信頼されていない機関によって発行されました"},
		"trust.untrusted_root trust.self_signed_leaf trust.interception trust.wrong_scope", false, inWinJA},
	{"windows", []string{"証明書チェーンを、信頼されたルート証明機関まで構築できませんでした"}, "trust.unknown_issuer chain.missing_intermediate", false, "Windows in Japanese, as quoted from an event log in public repositories"},
	{"windows", []string{"対象のプリンシパル名が間違っています"}, "name.mismatch", false, inWinJA},
	{"windows", []string{"失効サーバーがオフラインのため、失効の関数は失効を確認できませんでした"}, "revocation.unavailable", false, "certutil and curl on Windows in Japanese, beside 0x80092013 CRYPT_E_REVOCATION_OFFLINE in public reports"},
	{"windows", []string{"失効の関数は証明書の失効を確認できませんでした"}, "revocation.unavailable", false, "Windows in Japanese, beside CRYPT_E_NO_REVOCATION_CHECK in public source files"},

	// Internet Explorer, old Edge
	{"ie", []string{"この Web サイトのセキュリティ証明書には問題があります"}, anyCert, true, inIEJA},
	{"ie", []string{"この Web サイトで提示されたセキュリティ証明書は、信頼された証明機関から発行されたものではありません"}, anyTrust, false, inIEJA},
	{"ie", []string{"この Web サイトで提示されたセキュリティ証明書は、別の Web サイトのアドレス用に発行されたものです"}, "name.mismatch", false, "Internet Explorer in Japanese, as quoted in the Azure documentation in Japanese (configure-ssl-web-site)"},
	{"ie", []string{"提示されたセキュリティ証明書は、有効期限が切れているかまだ有効ではありません"}, expired + " time.not_yet_valid", false, inIEJA},
	{"ie", []string{"このサイトは安全ではありません"}, anyCert, true, "Internet Explorer and old Edge in Japanese, as quoted in security.data-site.info/882.html"},

	// Chrome, Edge
	{"chromium", []string{"この接続ではプライバシーが保護されません"}, anyCert, true, inChromiumJA},
	{"chromium", []string{"接続がプライベートではありません"}, anyCert, true, inEdgeJA},
	{"chromium", []string{"時計が進んでいます", "時計が遅れています"}, "time.clock_wrong", false, inChromiumJA},
	{"chromium", []string{"正しくないため、*へのプライベート接続を確立できません"}, "time.clock_wrong", false, inChromiumJA},
	{"chromium", []string{"ご使用のパソコンのオペレーティング システムによって信頼されているものではありません", "信頼されていないセキュリティ証明書を使用しているため"}, anyTrust, false, inChromiumJA},
	{"chromium", []string{"このサーバーのセキュリティ証明書で SAN（サブジェクトの別名）が指定されていません"}, "name.cn_only name.mismatch", false, inChromiumJA},
	{"chromium", []string{"このサーバーのセキュリティ証明書は*から発行されています", "サーバーの証明書が URL と一致しません"}, "name.mismatch! name.default_certificate", false, inChromiumJA},
	{"chromium", []string{"セキュリティ証明書の期限が昨日で切れています", "セキュリティ証明書の期限が*日前に切れています", "サーバーの証明書の有効期限が切れています"}, expired, false, inChromiumJA},
	{"chromium", []string{"セキュリティ証明書はおそらく*利用できるようになります", "サーバーの証明書が有効になっていません"}, early, false, inChromiumJA},
	{"chromium", []string{"このサーバーのセキュリティ証明書は現在有効ではありません", "サーバーの証明書が現在有効ではありません"}, expired + " time.not_yet_valid", false, inChromiumJA},
	{"chromium", []string{"サーバーの証明書を信頼できません"}, anyTrust, false, inChromiumJA},
	{"chromium", []string{"このサーバーのセキュリティ証明書は取り消されている可能性があります"}, "revocation.revoked revocation.unavailable", false, inChromiumJA},
	{"chromium", []string{"サーバーから提示された証明書は発行元により取り消されています", "サーバーの証明書は取り消されています", "は証明書が失効しているため、現在アクセスできません"}, "revocation.revoked", false, inChromiumJA},
	{"chromium", []string{"サーバーから無効な証明書が提示されました", "サーバーの証明書が無効です"}, "cert.eku cert.not_a_ca cert.name_constraints cert.weak_signature cert.malformed", false, inChromiumJA},
	{"chromium", []string{"脆弱な署名アルゴリズム（SHA-1 など）を使用して署名された証明書がサーバーから提示されました", "サーバーの証明書は脆弱な署名アルゴリズムを使用して署名されています"}, "cert.weak_signature", false, inChromiumJA},
	{"chromium", []string{"サーバーから提示された証明書には脆弱な暗号鍵が含まれています", "サーバー証明書に脆弱な暗号鍵が含まれています"}, "cert.weak_key", false, inChromiumJA},
	{"chromium", []string{"サーバーの証明書が名前の制約に違反しています"}, "cert.name_constraints", false, inChromiumJA},
	{"chromium", []string{"証明書ピンニングが使用されているため、現在アクセスできません"}, "policy.pin_mismatch trust.interception", false, inChromiumJA},
	{"chromium", []string{"のルート証明書が必要ですが、インストールされていません"}, "trust.interception", false, inChromiumJA},
	{"chromium", []string{"このサイトは安全に接続できません"}, anyTLS + " tls.plain_http", true, inChromiumJA},
	{"chromium", []string{"共通の SSL プロトコル バージョンまたは暗号スイートがサポートされていません", "ではサポートされていないプロトコルが使用されています"}, "tls.protocol_version tls.no_shared_cipher", false, inChromiumJA},
	{"chromium", []string{"でログイン証明書が承認されなかったか、ログイン証明書が提示されていない可能性があります"}, "tls.client_cert_rejected tls.client_cert_required", false, inChromiumJA},

	// Firefox
	{"firefox", []string{"警告: 潜在的なセキュリティリスクあり", "接続中止: 潜在的なセキュリティ問題", "警告: セキュリティの危険性"}, anyCert, true, inNetErrJA},
	{"firefox", []string{"は不正なセキュリティ証明書を使用しています"}, anyCert, true, inFirefoxJA},
	{"firefox", []string{"証明書の発行者が不明、証明書が自己署名、またはサーバーが正しい中間証明書を送信していないため", "このサイトの証明書の発行者を確認できないため信頼しません"},
		"trust.unknown_issuer trust.untrusted_root trust.self_signed_leaf chain.missing_intermediate trust.interception trust.not_in_this_store", false, inFirefoxJA},
	{"firefox", []string{"発行者の証明書が不明であるためこの証明書は信頼されません"}, noPath, false, inPipnssJA},
	{"firefox", []string{"サーバーが適正な中間証明書を送信しない可能性があります", "追加のルート証明書をインポートする必要があるでしょう"}, "chain.missing_intermediate trust.untrusted_root", false, inPipnssJA},
	{"firefox", []string{"自己署名をしているためこの証明書は信頼されません", "このサイトの証明書は自己署名されています"}, "trust.self_signed_leaf", false, inFirefoxJA},
	{"firefox", []string{"不正な認証局の証明書で発行されているためこの証明書は信頼されません"}, "cert.not_a_ca", false, inFirefoxJA},
	{"firefox", []string{"発行者の証明書が信頼されていないためこの証明書は信頼されません", "の証明書は信頼されていない証明書認証局により発行されました", "の証明書は信頼されていない認証局により発行されたものです", "の証明書は信頼されていないマークが付けられています"}, "trust.distrusted trust.present_not_trusted", false, inFirefoxJA},
	{"firefox", []string{"の証明書を発行した認証局が信頼されていません"}, "trust.distrust_after", false, inFirefoxJA},
	{"firefox", []string{"安全ではない署名アルゴリズムによって署名されているためこの証明書は信頼されません"}, "cert.weak_signature", false, inFirefoxJA},
	{"firefox", []string{"発行者の証明書が有効期限切れになっているためこの証明書は信頼されません"}, "time.intermediate_expired time.root_expired time.clock_wrong", false, inFirefoxJA},
	{"firefox", []string{"この証明書は信頼されている提供元から得られたものではありません"}, anyTrust, false, inFirefoxJA},
	{"firefox", []string{"TLS プロキシーがあなたの接続を傍受しています", "このサイトへの安全な接続を妨げるソフトウェア", "このサイトへの安全な接続を妨げています"}, "trust.interception", false, inFirefoxJA},
	{"firefox", []string{"は無効な証明書を使用しているため", "にだけ有効なものです", "次のドメイン名にのみ有効です", "次のドメイン名にだけ有効なものです", "の正しい証明書を使用していないため信頼しません"}, "name.mismatch", false, inFirefoxJA},
	{"firefox", []string{"の証明書は*に期限が切れました", "この証明書の有効期限は*に切れています", "このサイトの証明書の有効期限が*に切れているため信頼しません"}, expired, false, inFirefoxJA},
	{"firefox", []string{"の証明書は*まで有効ではありません", "この証明書は*まで有効になりません", "このサイトの証明書が*までまだ有効でないため信頼しません"}, early, false, inFirefoxJA},
	{"firefox", []string{"の証明書が破棄されているため信頼できません", "の証明書は破棄されており、もはや信頼されていません"}, "revocation.revoked", false, inFirefoxJA},
	{"firefox", []string{"の証明書の署名が正しくありません"}, oldCopy, false, inFirefoxJA},
	{"firefox", []string{"の証明書が証明書発行時の名前制約に従っていません"}, "cert.name_constraints", false, inFirefoxJA},
	{"firefox", []string{"の証明書がウェブサーバーでの使用を許可されていません"}, "cert.eku", false, inFirefoxJA},
	{"firefox", []string{"の証明書のルート証明書へのパス内に中間証明書が多すぎます"}, "cert.path_length", false, inFirefoxJA},
	{"firefox", []string{"の証明書に不正な鍵が使用されています"}, "cert.weak_key", false, inFirefoxJA},
	{"firefox", []string{"の証明書にサポートされていない致命的な拡張が含まれています"}, "cert.critical_extension", false, inFirefoxJA},
	{"firefox", []string{"の証明書が正しくエンコードされていません", "の証明書に整数型の不正なエンコーディングが含まれています", "の証明書に不正な拡張が含まれています"}, "cert.malformed", false, inFirefoxJA},
	{"firefox", []string{"の証明書が指定されたものとは異なる公開鍵を使用しています"}, "policy.pin_mismatch trust.interception", false, inFirefoxJA},
	{"firefox", []string{"が証明書の透明性に必須の要件を満たしていることを証明できなかったため"}, "policy.ct_required", false, inFirefoxJA},
	{"firefox", []string{"コンピューターの時刻が間違っています", "コンピューターの時刻が正しくありません"}, "time.clock_wrong", false, inFirefoxJA},
	{"firefox", []string{"このウェブサイトは TLS 1.2 プロトコルをサポートしていない可能性があります"}, "tls.protocol_version", false, inFirefoxJA},
	{"firefox", []string{"安全な接続ができませんでした", "のサーバーへの安全な接続を確立できません"}, anyTLS + " tls.plain_http tls.closed revocation.revoked", true, inFirefoxJA},
	{"firefox", []string{"ネットワークにログイン", "このネットワークにログインする必要があります"}, "net.captive_portal", false, inNetErrJA},
	{"firefox", []string{"あなたのサーバー証明書は認証局によって発行された他の証明書と同じシリアル番号を持っています"}, "cert.duplicate_serial", false, inPipnssJA},

	// wget. Its word for "expired" is also that for "revoked".
	{"wget", []string{"の証明書(発行者: *)の検証に失敗しました"}, anyCert, true, inWgetJA},
	{"wget", []string{"発行者の権限を検証できませんでした"}, noPath, false, inWgetJA},
	{"wget", []string{"自己署名証明書です"}, "trust.self_signed_leaf trust.untrusted_root", false, inWgetJA},
	{"wget", []string{"発行された証明書は失効しています"}, expired, false, inWgetJA},
	{"wget", []string{"発行された証明書はまだ有効ではありません", "の証明書はまだ有効になっていません", "証明書はまだ有効ではありません"}, early, false, inWgetJA},
	{"wget", []string{"の証明書は失効しています", "証明書は失効しています"}, expired + " revocation.revoked", false, inWgetJA},
	{"wget", []string{"の証明書の発行者が不明です"}, noPath, false, inWgetJA},
	{"wget", []string{"の証明書は信用されません"}, anyTrust, false, inWgetJA},
	{"wget", []string{"証明書に記載されている名前*とホスト名*が一致しません", "証明書に記載されている別名とホスト名*が一致しません", "証明書の所有者の名前とホスト名*が一致しません"}, "name.mismatch", false, inWgetJA},
	{"wget", []string{"の証明書の署名に使われているアルゴリズムが安全ではありません"}, "cert.weak_signature", false, inWgetJA},
	{"wget", []string{"の証明書に署名しているのが CA ではありません"}, "cert.not_a_ca", false, inWgetJA},

	// Apple
	{"apple", []string{"接続はプライベートではありません"}, anyCert, true, inSafariJA},
	{"apple", []string{"このサーバの証明書は無効です", "に偽装したサーバに接続している可能性があり"}, anyCert, true, "CFNetwork in Japanese, as quoted in public bug reports"},
}
