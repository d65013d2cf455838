package diagnose

var (
	stepKeychain = Text{"Keychain Access: System keychain > File > Import Items…, open the certificate, Trust > Secure Sockets Layer (SSL): Always Trust.",
		"キーチェーンアクセス: 「システム」キーチェーンを選択し、「ファイル」>「読み込む」で証明書を追加。証明書を開き、「信頼」>「SSL (Secure Sockets Layer)」を「常に信頼」にします。"}
	stepMMC = Text{"mmc.exe: File > Add/Remove Snap-in… > Certificates > Computer account; Trusted Root Certification Authorities > Certificates > All Tasks > Import…",
		"mmc.exe: 「ファイル」>「スナップインの追加と削除」>「証明書」>「コンピューター アカウント」。「信頼されたルート証明機関」>「証明書」を右クリックし、「すべてのタスク」>「インポート」。"}
	stepFirefox = Text{"Firefox: Settings > Privacy & Security > Certificates > View Certificates… > Authorities > Import…, tick \"Trust this CA to identify websites\".",
		"Firefox: 「設定」>「プライバシーとセキュリティ」>「証明書」>「証明書を表示」>「認証局証明書」>「インポート」。「この認証局によるウェブサイトの識別を信頼する」にチェックを入れます。"}
	stepChrome = Text{"Chrome: Settings > Privacy and security > Security > Manage certificates > Custom > Installed by you > Trusted certificates: Import.",
		"Chrome: 「設定」>「プライバシーとセキュリティ」>「セキュリティ」>「証明書の管理」>「カスタム」>「自分でインストール」の「信頼できる証明書」で「インポート」。"}
	stepFingerprint = Text{"First compare the SHA-256 fingerprint of the root with one that its owner gives you by another way (telephone, intranet, in person).",
		"先に、ルート証明書の SHA-256 フィンガープリントを、認証局の管理者から別の経路(電話、社内サイト、対面)で得たものと照合してください。"}
)

// AcceptRoot is the fix of trusting the root that the first cause is about,
// which the server has sent or which was fetched. It is there only if that is
// the right thing to do.
const AcceptRoot = "trust.accept_root"

// What is done to stores of this machine.
var storeFixes = []fixRow{
	{id: AcceptRoot, who: "client", risk: "low",
		summary: Text{"Where the server sends its root: have the fingerprint shown, compare it with its owner's, and trust it.",
			"サーバーがルート証明書を送信している場合は、表示されるフィンガープリントを認証局の管理者のものと照合したうえで信頼します。"},
		ways: []way{{steps: []Text{stepFingerprint}}, {commands: []string{"certtrust diagnose --fix {host}:{port}"}}}},
	{id: "trust.import_root", who: "client", risk: "low", perStore: true,
		summary: Text{"Compare the root's fingerprint with its owner, then trust the root in this store.", "ルート証明書のフィンガープリントを管理者に確認したうえで、このストアで信頼します。"},
		ways: []way{
			{steps: []Text{stepFingerprint}},
			{commands: []string{"certtrust show ca.pem", "certtrust trust ca.pem --store {store}"}},
			{on: "debian", commands: []string{"sudo cp ca.pem /usr/local/share/ca-certificates/ca.crt && sudo update-ca-certificates"}, admin: true},
			{on: "alpine", commands: []string{"sudo cp ca.pem /usr/local/share/ca-certificates/ca.crt && sudo update-ca-certificates"}, admin: true},
			{on: "fedora", commands: []string{"sudo cp ca.pem /etc/pki/ca-trust/source/anchors/ && sudo update-ca-trust"}, admin: true},
			{on: "suse", commands: []string{"sudo cp ca.pem /etc/pki/trust/anchors/ && sudo update-ca-certificates"}, admin: true},
			{on: "arch", commands: []string{"sudo trust anchor ca.pem"}, admin: true},
			{on: "keychain", commands: []string{"sudo security add-trusted-cert -d -r trustRoot -p ssl -k /Library/Keychains/System.keychain ca.pem"}, steps: []Text{stepKeychain}, admin: true},
			{on: "windows", commands: []string{"certutil -addstore Root ca.pem"}, steps: []Text{stepMMC}, admin: true},
			{on: "nss", commands: []string{"certutil -d {database} -A -t C,, -n ca -i ca.pem"}},
			{on: "firefox", steps: []Text{stepFirefox}},
			{on: "chromium", steps: []Text{stepChrome}},
			{on: "java", commands: []string{"keytool -importcert -keystore {keystore} -alias ca -file ca.pem"}, admin: true},
		}},
	{id: "trust.get_root", who: "client", risk: "none",
		summary: Text{"Ask the owner of the authority for its root certificate and its fingerprint.", "認証局の管理者から、ルート証明書とそのフィンガープリントを入手します。"},
		ways: []way{{steps: []Text{
			{"Ask whoever runs the server: is this a private authority, and where is its root?", "サーバーの管理者に、プライベート認証局かどうか、ルート証明書の入手先を確認します。"},
			{"mkcert: mkcert -CAROOT shows where the root is; Caddy, step and others have a command of their own.", "mkcert の場合は mkcert -CAROOT でルート証明書の場所が分かります。Caddy や step などにも専用のコマンドがあります。"},
		}}}},
	{id: "trust.replace_root", who: "client", risk: "low", perStore: true,
		summary: Text{"Get the authority's new root, compare its fingerprint, and replace the old copy with it.", "認証局の新しいルート証明書を入手し、フィンガープリントを確認して、古いものと置き換えます。"},
		ways: []way{
			{steps: []Text{stepFingerprint}},
			{commands: []string{"certtrust trust new-ca.pem --store {store}", "certtrust remove {old} --store {store}"}},
			{on: "keychain", commands: []string{"sudo security delete-certificate -Z {oldsha1} -t /Library/Keychains/System.keychain", "sudo security add-trusted-cert -d -r trustRoot -p ssl -k /Library/Keychains/System.keychain new-ca.pem"}, admin: true},
			{on: "windows", commands: []string{"certutil -delstore Root {oldsha1}", "certutil -addstore Root new-ca.pem"}, admin: true},
			{on: "debian", steps: []Text{{"By hand: replace the old file in /usr/local/share/ca-certificates and run update-ca-certificates --fresh.", "手動の場合: /usr/local/share/ca-certificates の古いファイルを置き換え、update-ca-certificates --fresh を実行します。"}}, admin: true},
			{on: "fedora", steps: []Text{{"By hand: replace the old file in /etc/pki/ca-trust/source/anchors and run update-ca-trust.", "手動の場合: /etc/pki/ca-trust/source/anchors の古いファイルを置き換え、update-ca-trust を実行します。"}}, admin: true},
		}},
	{id: "trust.remove_root", who: "client", risk: "none", perStore: true,
		summary: Text{"Remove it from every store of this machine, and find out how it got there.", "このマシンのすべてのストアから削除し、混入の経緯を調べます。"},
		ways: []way{
			{commands: []string{"certtrust remove {sha256}", "certtrust distrust {sha256}"}},
			{on: "keychain", commands: []string{"sudo security delete-certificate -Z {sha1} -t"}, admin: true},
			{on: "windows", commands: []string{"certutil -delstore Root {sha1}"}, admin: true},
		}},
	{id: "trust.remove_distrust", who: "client", risk: "high", perStore: true,
		summary: Text{"Only if it is known why it was distrusted, and that this no longer holds: take the distrust back.", "信頼しない設定の理由が分かり、それが解消したと確認できた場合に限り、設定を取り消します。"},
		ways:    []way{{commands: []string{"certtrust show {sha256}", "certtrust history"}}}},
	{id: "trust.set_flags", who: "client", risk: "low", perStore: true,
		summary: Text{"Give the root that is there the trust for servers.", "登録済みのルート証明書に、サーバー用の信頼を設定します。"},
		ways: []way{
			{steps: []Text{stepFingerprint}},
			{commands: []string{"certtrust show {sha256}", "certtrust trust ca.pem --purpose server-auth --store {store}"}},
			{on: "firefox", steps: []Text{{"Firefox: Settings > Privacy & Security > View Certificates… > Authorities > Edit Trust…, tick \"This certificate can identify websites\".", "Firefox: 「設定」>「プライバシーとセキュリティ」>「証明書を表示」>「認証局証明書」>「信頼性を設定」で、ウェブサイトの識別にチェックを入れます。"}}},
			{on: "keychain", steps: []Text{{"Keychain Access: open the certificate, Trust > Secure Sockets Layer (SSL): Always Trust.", "キーチェーンアクセス: 証明書を開き、「信頼」>「SSL (Secure Sockets Layer)」を「常に信頼」にします。"}}},
			{on: "windows", steps: []Text{{"mmc.exe, Certificates: move the certificate to Trusted Root Certification Authorities; Properties > enable it for server authentication.", "mmc.exe の「証明書」: 証明書を「信頼されたルート証明機関」に移し、「プロパティ」で「サーバー認証」を有効にします。"}}, admin: true},
		}},
	{id: "trust.update_store", who: "client", risk: "none", perStore: true, aside: true,
		summary: Text{"Update the package that the roots come with. Do not import the root by hand.", "ルート証明書を含むパッケージを更新します。手動でインポートする必要はありません。"},
		ways: []way{
			{on: "debian", commands: []string{"sudo apt-get update && sudo apt-get install ca-certificates"}, admin: true},
			{on: "alpine", commands: []string{"sudo apk add --upgrade ca-certificates"}, admin: true},
			{on: "fedora", commands: []string{"sudo dnf install ca-certificates && sudo dnf upgrade ca-certificates"}, admin: true},
			{on: "suse", commands: []string{"sudo zypper install ca-certificates-mozilla"}, admin: true},
			{on: "arch", commands: []string{"sudo pacman -Syu ca-certificates"}, admin: true},
			{on: "keychain", commands: []string{"softwareupdate --list"}, steps: []Text{{"System Settings > General > Software Update.", "「システム設定」>「一般」>「ソフトウェアアップデート」。"}}},
			{on: "windows", commands: []string{"certutil -generateSSTFromWU roots.sst"}, steps: []Text{{"Windows fetches roots when they are needed: see that Windows Update is reachable and that the automatic root update is not switched off by policy.", "Windows は必要なルート証明書を自動取得します。Windows Update に接続でき、ポリシーで自動ルート更新が無効になっていないことを確認します。"}}, admin: true},
			{on: "java", steps: []Text{{"Install a newer JDK: its roots come with it.", "新しい JDK をインストールします。ルート証明書は JDK に含まれています。"}}, admin: true},
			{on: "nss", steps: []Text{{"Update the browser: its roots come with it.", "ブラウザーを更新します。ルート証明書はブラウザーに含まれています。"}}},
		}},
	{id: "trust.widen_scope", who: "client", risk: "low", perStore: true,
		summary: Text{"Trust the root for the whole machine, not for one user only.", "ルート証明書を、ユーザー単位ではなくマシン全体で信頼します。"},
		ways: []way{
			{commands: []string{"certtrust trust ca.pem --store {store}"}, admin: true},
			{on: "windows", commands: []string{"certutil -addstore Root ca.pem"}, steps: []Text{stepMMC}, admin: true},
		}},
	{id: "trust.use_system_store", who: "client", risk: "none", perStore: true,
		summary: Text{"Or make the program follow the system's store.", "または、プログラムがシステムのストアを参照するように設定します。"},
		ways: []way{
			{on: "debian", title: "Python", commands: []string{"export REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt"}},
			{on: "nss", os: "linux", commands: []string{"certtrust link-system --store {store}"}},
			{on: "firefox", steps: []Text{{"Firefox: about:config, security.enterprise_roots.enabled = true (Windows, macOS), or the policy Certificates > ImportEnterpriseRoots.", "Firefox: about:config で security.enterprise_roots.enabled を true にする (Windows、macOS)、またはポリシー Certificates > ImportEnterpriseRoots を設定します。"}}},
			{on: "windows", title: "Java", commands: []string{"java -Djavax.net.ssl.trustStoreType=Windows-ROOT"}},
			{on: "linux", title: "Node.js", commands: []string{"export NODE_USE_SYSTEM_CA=1"}},
			{on: "darwin", title: "Node.js", commands: []string{"export NODE_USE_SYSTEM_CA=1"}},
		}},
	{id: "trust.pin_for_host", who: "client", risk: "high",
		summary: Text{"Only for a device that can take no other certificate: compare the fingerprint on the device itself, and make an exception for this host alone.", "他の証明書を設定できない機器の場合に限り、機器本体でフィンガープリントを確認し、このホストだけを例外として許可します。"},
		ways: []way{
			{commands: []string{"certtrust fetch {host}:{port}"}},
			{steps: []Text{{"Firefox: Advanced… > Accept the Risk and Continue makes an exception for this address alone.", "Firefox: 「詳細へ進む」>「危険性を承知で続行」で、このアドレスだけの例外を追加します。"}}},
		}},
	{id: "trust.repair_store", who: "client", risk: "none", perStore: true, aside: true,
		summary: Text{"See what keeps the store from being read.", "ストアを読み取れない原因を調べます。"},
		ways:    []way{{commands: []string{"certtrust stores -v --store {store}"}}}},
}
