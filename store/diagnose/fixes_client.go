package diagnose

// What the user of this machine does, other than in stores, and what is done
// in the network.
var clientFixes = []fixRow{
	{id: "time.set_clock", who: "client", risk: "none",
		summary: Text{"Set this machine's clock by a time server.", "このマシンの時計を時刻サーバーに同期します。"},
		ways: []way{
			{on: "linux", commands: []string{"timedatectl", "sudo timedatectl set-ntp true"}, admin: true},
			{on: "darwin", commands: []string{"sudo sntp -sS time.apple.com"}, steps: []Text{{"System Settings > General > Date & Time > Set time and date automatically.", "「システム設定」>「一般」>「日付と時刻」>「日付と時刻を自動的に設定」。"}}, admin: true},
			{on: "windows", commands: []string{"w32tm /resync /force"}, steps: []Text{{"Settings > Time & language > Date & time > Sync now.", "「設定」>「時刻と言語」>「日付と時刻」>「今すぐ同期」。"}}, admin: true},
		}},
	{id: "client.use_right_name", who: "client", risk: "none",
		summary: Text{"Use a name that the certificate is for.", "証明書に記載された名前でアクセスします。"}},
	{id: "client.provide_client_cert", who: "client", risk: "none",
		summary: Text{"Get a client certificate from the server's owner and give it to the program.", "サーバーの管理者からクライアント証明書を入手し、プログラムに設定します。"},
		ways: []way{
			{title: "curl", commands: []string{"curl --cert client.pem --key client.key https://{host}:{port}/"}},
			{steps: []Text{stepClientFirefox}},
		}},
	{id: "client.use_starttls", who: "client", risk: "none",
		summary: Text{"Ask with the protocol's own way to TLS.", "プロトコルに応じた STARTTLS を使用します。"},
		ways:    []way{{commands: []string{"certtrust diagnose {host}:{port} --starttls smtp"}}}},
	{id: "client.upgrade", who: "client", risk: "none",
		summary: Text{"Update the program or the library, if it is the older side.", "クライアント側が古い場合は、プログラムまたはライブラリを更新します。"}},
	{id: "client.fix_override", who: "client", risk: "none",
		summary: Text{"Remove the setting, or make it point to a file with all the roots that are needed.", "設定を削除するか、必要なルート証明書をすべて含むファイルを指定します。"}},
	{id: "client.verify_again", who: "client", risk: "none",
		summary: Text{"Remove the setting that switches verification off, and mend the cause instead.", "検証を無効にしている設定を削除し、本来の原因を解決します。"}},
	{id: "proxy.get_root_from_admin", who: "admin", risk: "low",
		summary: Text{"Ask the IT department for the proxy's root and install it for the machine and for the programs that have stores of their own.", "情報システム部門からプロキシのルート証明書を入手し、マシンと、独自のストアを持つプログラムにインストールします。"},
		ways: []way{
			{steps: []Text{stepFingerprint}},
			{commands: []string{"certtrust trust proxy-ca.pem"}},
			{on: "debian", title: "Node.js", commands: []string{"export NODE_USE_SYSTEM_CA=1"}},
			{on: "debian", title: "Python", commands: []string{"export REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt"}},
		}},
	{id: "proxy.disable_av_scanning", who: "client", risk: "none",
		summary: Text{"Switch the antivirus program's HTTPS scanning off, or let it install its root again.", "ウイルス対策ソフトの HTTPS スキャンを無効にするか、ルート証明書を再インストールさせます。"}},
	{id: "proxy.stop_debugging", who: "client", risk: "none",
		summary: Text{"Stop the debugging proxy and switch off the proxy setting that leads to it.", "デバッグ用プロキシを停止し、そのプロキシ設定を解除します。"}},
	{id: "net.login_portal", who: "client", risk: "none",
		summary: Text{"Open a page over plain HTTP in a browser, log in to the network, and try again.", "ブラウザーで HTTP のページを開いてネットワークにログインし、再度お試しください。"},
		ways:    []way{{commands: []string{"curl -I http://example.com/"}}}},
	{id: "net.check_port", who: "network", risk: "none",
		summary: Text{"Check the address and the port, and what is in between.", "アドレスとポート番号、および経路上の機器を確認します。"},
		ways: []way{
			{on: "linux", commands: []string{"nc -vz {host} {port}"}},
			{on: "darwin", commands: []string{"nc -vz {host} {port}"}},
			{on: "windows", commands: []string{"Test-NetConnection {host} -Port {port}"}},
		}},
	{id: "net.check_dns", who: "network", risk: "none",
		summary: Text{"Check the name for typing errors, and the name server.", "名前の誤りと、DNS サーバーの設定を確認します。"},
		ways: []way{
			{on: "linux", commands: []string{"getent hosts {host}"}},
			{on: "darwin", commands: []string{"dscacheutil -q host -a name {host}"}},
			{on: "windows", commands: []string{"Resolve-DnsName {host}"}},
		}},
	{id: "net.check_proxy", who: "network", risk: "none",
		summary: Text{"Check the proxy setting, and whether the proxy lets this server through.", "プロキシの設定と、プロキシがこのサーバーへの接続を許可しているかを確認します。"}},
}

var stepClientFirefox = Text{"Firefox: Settings > Privacy & Security > View Certificates… > Your Certificates > Import…", "Firefox: 「設定」>「プライバシーとセキュリティ」>「証明書を表示」>「あなたの証明書」>「インポート」。"}
