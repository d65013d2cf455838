package diagnose

var reload = []way{
	{title: "nginx", commands: []string{"sudo nginx -t && sudo systemctl reload nginx"}, admin: true},
	{title: "Apache", commands: []string{"sudo apachectl configtest && sudo systemctl reload apache2"}, admin: true},
}

var fullchain = []way{
	{commands: []string{"cat server.pem intermediate.pem > fullchain.pem"}},
	{steps: []Text{
		{"nginx: ssl_certificate /path/fullchain.pem; then nginx -s reload.", "nginx: ssl_certificate /path/fullchain.pem; を設定し、nginx -s reload を実行します。"},
		{"Apache: SSLCertificateFile /path/fullchain.pem (2.4.8 and later; no SSLCertificateChainFile).", "Apache: SSLCertificateFile /path/fullchain.pem を設定します (2.4.8 以降。SSLCertificateChainFile は不要)。"},
		{"HAProxy: one file for crt: certificate, intermediates, private key.", "HAProxy: crt に指定するファイルに、証明書、中間証明書、秘密鍵の順でまとめます。"},
		{"IIS: certutil -addstore CA intermediate.cer on the server, then rebind the certificate.", "IIS: サーバーで certutil -addstore CA intermediate.cer を実行し、バインドをやり直します。"},
		{"Tomcat: put the whole chain into the keystore: keytool -importcert -alias tomcat -file fullchain.pem -keystore keystore.p12.", "Tomcat: keytool -importcert -alias tomcat -file fullchain.pem -keystore keystore.p12 で、チェーン全体をキーストアに格納します。"},
		{"certbot and other ACME clients: use fullchain.pem, not cert.pem.", "certbot などの ACME クライアントでは、cert.pem ではなく fullchain.pem を使用します。"},
	}},
	{commands: []string{"certtrust diagnose {host}:{port}"}},
}

// What the server's owner does.
var serverFixes = []fixRow{
	{id: "server.send_intermediate", who: "server", risk: "none",
		summary: Text{"Have the server send the whole chain: its certificate, then the intermediates.", "サーバー証明書に続けて中間証明書も送信するよう、サーバーを設定します。"}, ways: fullchain},
	{id: "server.replace_intermediate", who: "server", risk: "none",
		summary: Text{"Put the intermediate that really issued the certificate in place of the old one.", "古い中間証明書を、実際に証明書を発行した中間証明書に置き換えます。"}, ways: fullchain},
	{id: "server.renew_intermediate", who: "server", risk: "none",
		summary: Text{"Get the current intermediate from the authority and send it in place of the expired one.", "認証局から現行の中間証明書を入手し、期限切れのものと置き換えます。"}, ways: fullchain},
	{id: "server.order_chain", who: "server", risk: "none",
		summary: Text{"Send the certificate first, then each issuer in turn, without the root and without what is not needed.", "サーバー証明書、その発行者、さらにその発行者の順に並べ、ルートと不要な証明書を除いて送信します。"}, ways: fullchain},
	{id: "server.renew_certificate", who: "server", risk: "none",
		summary: Text{"Renew the server's certificate and load it.", "サーバー証明書を更新し、サーバーに読み込ませます。"},
		ways: append([]way{
			{title: "certbot", commands: []string{"sudo certbot renew --force-renewal"}, admin: true},
			{steps: []Text{{"If it was renewed already: reload the server, it still has the old one in memory.", "すでに更新済みの場合は、サーバーを再読み込みしてください。古い証明書がメモリに残っています。"}}},
		}, reload...)},
	{id: "server.reissue_with_san", who: "server", risk: "none",
		summary: Text{"Have the certificate issued again with this name among its subject alternative names.", "この名前を代替名 (SAN) に含めて、証明書を再発行します。"},
		ways: []way{
			{title: "certbot", commands: []string{"sudo certbot certonly --expand -d {host}"}, admin: true},
			{title: "mkcert", commands: []string{"mkcert {host}"}},
			{title: "openssl", commands: []string{"openssl req -new -key server.key -out server.csr -subj /CN=server -addext subjectAltName=DNS:{host}"}},
		}},
	{id: "server.reissue", who: "server", risk: "none",
		summary: Text{"Have the certificate issued again by an authority that does it right.", "適切な認証局から、正しい内容で証明書を再発行します。"},
		ways: []way{{title: "openssl", commands: []string{
			"openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=server -addext subjectAltName=DNS:{host}",
		}}}},
	{id: "server.reissue_with_key", who: "server", risk: "none",
		summary: Text{"Make a new key (RSA 2048 bits or more, or EC P-256) and have a certificate issued for it.", "新しい鍵 (RSA 2048 ビット以上、または EC P-256) を作成し、証明書を再発行します。"},
		ways: []way{{title: "openssl", commands: []string{
			"openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=server -addext subjectAltName=DNS:{host}",
		}}}},
	{id: "server.reissue_elsewhere", who: "server", risk: "none",
		summary: Text{"Have the certificate issued by an authority that may issue for this name.", "この名前の発行が許可された認証局から、証明書を再発行します。"}},
	{id: "server.change_ca", who: "server", risk: "none",
		summary: Text{"Get a certificate from another authority.", "別の認証局から証明書を取得します。"},
		ways:    []way{{title: "certbot", commands: []string{"sudo certbot certonly -d {host}"}, admin: true}}},
	{id: "server.use_ca", who: "server", risk: "none",
		summary: Text{"Issue the server's certificate from a small private authority, and trust that authority's root.", "小さなプライベート認証局からサーバー証明書を発行し、そのルート証明書を信頼します。"},
		ways: []way{
			{title: "mkcert", commands: []string{"mkcert -install && mkcert {host}"}},
			{title: "step", commands: []string{"step ca init"}},
			{steps: []Text{{"A public name: get a certificate from a public authority, with ACME for example.", "公開されたドメイン名であれば、ACME などで公的な認証局から証明書を取得します。"}}},
		}},
	{id: "server.fix_vhost", who: "server", risk: "none",
		summary: Text{"Configure a site with a certificate for this name on the server, or send the request to the right one.", "この名前のサイトと証明書をサーバーに設定するか、正しいサーバーに接続するようにします。"},
		ways: []way{{
			commands: []string{"openssl s_client -connect {host}:{port} -servername {host} </dev/null"},
			steps: []Text{
				{"nginx: server_name with this name in a server block with ssl_certificate.", "nginx: この名前の server_name を持つ server ブロックに ssl_certificate を設定します。"},
				{"Kubernetes: the secret named in spec.tls must exist in the Ingress's namespace and hold this host.", "Kubernetes: spec.tls の Secret が Ingress と同じ名前空間にあり、このホストを含んでいることを確認します。"},
				{"Traefik: a router with this host rule, with tls and a certificate or a certResolver.", "Traefik: このホストのルールを持つルーターに tls と証明書、または certResolver を設定します。"},
			}}}},
	{id: "server.enable_tls", who: "server", risk: "none",
		summary: Text{"Switch TLS on for this port.", "このポートで TLS を有効にします。"},
		ways: []way{{steps: []Text{
			{"nginx: listen 443 ssl; Apache: SSLEngine on.", "nginx: listen 443 ssl; を、Apache: SSLEngine on を設定します。"},
		}}}},
	{id: "server.enable_tls12", who: "server", risk: "none",
		summary: Text{"Switch TLS 1.2 and 1.3 and current ciphers on.", "TLS 1.2 と 1.3、および現行の暗号スイートを有効にします。"},
		ways: []way{{steps: []Text{
			{"nginx: ssl_protocols TLSv1.2 TLSv1.3;", "nginx: ssl_protocols TLSv1.2 TLSv1.3; を設定します。"},
			{"Apache: SSLProtocol -all +TLSv1.2 +TLSv1.3", "Apache: SSLProtocol -all +TLSv1.2 +TLSv1.3 を設定します。"},
			{".NET Framework before 4.7 as a client: set SystemDefaultTlsVersions and SchUseStrongCrypto in the registry.", "クライアントが .NET Framework 4.7 より前の場合は、レジストリで SystemDefaultTlsVersions と SchUseStrongCrypto を設定します。"},
		}}}},
	{id: "server.staple", who: "server", risk: "none",
		summary: Text{"Let the server fetch and staple a fresh OCSP response, or switch stapling off.", "サーバーが新しい OCSP 応答を取得してステープルするようにするか、ステープリングを無効にします。"},
		ways: []way{{steps: []Text{
			{"nginx: ssl_stapling on; with a resolver; delete an old ssl_stapling_file.", "nginx: resolver とともに ssl_stapling on; を設定し、古い ssl_stapling_file を削除します。"},
			{"Apache: SSLUseStapling on; SSLStaplingReturnResponderErrors off.", "Apache: SSLUseStapling on と SSLStaplingReturnResponderErrors off を設定します。"},
		}}}},
	{id: "admin.remake_ca", who: "admin", risk: "low",
		summary: Text{"Set the private authority up again with the right extensions (basicConstraints CA:TRUE, keyCertSign), and hand out its new root.", "正しい拡張 (basicConstraints CA:TRUE、keyCertSign) を付けてプライベート認証局を作り直し、新しいルート証明書を配布します。"}},
}
