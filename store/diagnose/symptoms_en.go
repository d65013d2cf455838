package diagnose

// sentence is a row of what programs write in words. In a text, "*" stands for
// what differs; the first text names the row.
type sentence struct {
	client string // a key of Speakers
	text   []string
	causes string // as causeRefs reads them
	vague  bool   // it only says that something is wrong
	source string
}

// What messages that say little can be about.
const (
	anyTrust = "trust.unknown_issuer trust.untrusted_root trust.self_signed_leaf chain.missing_intermediate trust.interception trust.not_in_this_store trust.same_name_other_key trust.store_outdated"
	anyCert  = anyTrust + " name.mismatch time.leaf_expired time.clock_wrong"
	anyTLS   = "tls.protocol_version tls.no_shared_cipher tls.client_cert_required tls.alert"
	expired  = "time.leaf_expired time.intermediate_expired time.root_expired time.clock_wrong"
	early    = "time.not_yet_valid time.clock_wrong"
	noPath   = "trust.unknown_issuer trust.untrusted_root chain.missing_intermediate trust.interception trust.not_in_this_store trust.same_name_other_key chain.wrong_intermediate trust.store_outdated"
	oldCopy  = "trust.same_name_other_key chain.wrong_intermediate"
	rejected = "tls.client_cert_rejected tls.client_cert_required"
)

// Where texts stand.
const (
	inChromium = "Chromium, components/ssl_errors/ssl_errors_strings.grdp and components/security_interstitials_strings.grdp"
	inNetError = "Chromium, components/error_page_strings.grdp"
	inFirefox  = "Firefox, toolkit/locales/en-US/toolkit/neterror/certError.ftl and netError.ftl"
	inNSS      = "Firefox, toolkit/locales/en-US/toolkit/neterror/nsserrors.ftl"
	inX509Txt  = "OpenSSL, crypto/x509/x509_txt.c (X509_verify_cert_error_string)"
	inSSLErr   = "OpenSSL, ssl/ssl_err.c"
	inCurl     = "curl, lib/vtls/openssl.c"
	inCurlStr  = "curl, lib/strerror.c"
	inSchannel = "curl, lib/vtls/schannel.c"
	inWget     = "GNU Wget, src/openssl.c"
	inWgetTLS  = "GNU Wget, src/gnutls.c"
	inGnuTLS   = "GnuTLS, gnutls_certificate_verification_status_print"
	inVerify   = "Go, crypto/x509/verify.go"
	inGoAlert  = "Go, crypto/tls/alert.go"
	inGoConn   = "Go, crypto/tls/conn.go"
	inGoNet    = "Go, net/net.go and net/dnsclient.go"
	inPKIX     = "OpenJDK, sun/security/validator/PKIXValidator.java"
	inCertPath = "OpenJDK, sun/security/provider/certpath"
	inChecker  = "OpenJDK, sun/security/util/HostnameChecker.java"
	inJSSE     = "OpenJDK, sun/security/ssl"
	inNode     = "Node.js, lib/tls.js and doc/api/tls.md"
	inPython   = "CPython, Modules/_ssl.c"
	inUrllib3  = "urllib3, src/urllib3/util/ssl_.py and connectionpool.py"
	inWinerror = "Windows SDK, winerror.h"
	inNetFx    = ".NET Framework, System.txt (net_securitypolicy and others)"
	inDotnet   = "dotnet/runtime, System.Net.Security/src/Resources/Strings.resx"
	inDotHTTP  = "dotnet/runtime, System.Net.Http/src/Resources/Strings.resx"
	inChainSt  = "dotnet/runtime, X509ChainStatusFlags and SslPolicyErrors"
	inSafari   = "Apple Safari and CFNetwork, as quoted in developer.apple.com/documentation/security and support.apple.com"
	inTrust    = "Apple Security, OSX/sec/Security/Trust.strings"
	inRustls   = "rustls, rustls/src/error.rs and webpki, src/error.rs"
	inIE       = "Internet Explorer's page for certificate errors"
)

var sentences = []sentence{
	// Chrome, Edge
	{"chromium", []string{"your connection is not private", "your connection isn't private"}, anyCert, true, inChromium},
	{"chromium", []string{"your clock is behind", "your clock is ahead"}, "time.clock_wrong", false, inChromium},
	{"chromium", []string{"a private connection to * can't be established because your computer's date and time"}, "time.clock_wrong", false, inChromium},
	{"chromium", []string{"its security certificate is not trusted by your computer's operating system", "it is using a security certificate that is not trusted by", "its security certificate is not trusted by"}, anyTrust, false, inChromium},
	{"chromium", []string{"its security certificate does not specify subject alternative names"}, "name.cn_only name.mismatch", false, inChromium},
	{"chromium", []string{"could not prove that it is * its security certificate is from"}, "name.mismatch! name.default_certificate", false, inChromium},
	{"chromium", []string{"its security certificate expired", "server's certificate has expired"}, expired, false, inChromium},
	{"chromium", []string{"its security certificate is supposedly from", "server's certificate is not yet valid"}, early, false, inChromium},
	{"chromium", []string{"its security certificate might be revoked"}, "revocation.revoked revocation.unavailable", false, inChromium},
	{"chromium", []string{"the certificate that the server presented has been revoked by its issuer", "because its certificate has been revoked"}, "revocation.revoked", false, inChromium},
	{"chromium", []string{"the server presented a certificate signed using a weak signature algorithm"}, "cert.weak_signature", false, inChromium},
	{"chromium", []string{"the server presented a certificate containing a weak key"}, "cert.weak_key", false, inChromium},
	{"chromium", []string{"because the website uses certificate pinning"}, "policy.pin_mismatch trust.interception", false, inChromium},
	{"chromium", []string{"this site can't provide a secure connection"}, anyTLS + " tls.plain_http", true, inNetError},
	{"chromium", []string{"the client and server don't support a common ssl protocol version or cipher suite", "uses an unsupported protocol"}, "tls.protocol_version tls.no_shared_cipher", false, inNetError},
	{"chromium", []string{"didn't accept your login certificate"}, "tls.client_cert_rejected tls.client_cert_required", false, inNetError},
	{"chromium", []string{"a root certificate for * is required but isn't installed"}, "trust.interception", false, inChromium},

	// Firefox
	{"firefox", []string{"warning: potential security risk ahead", "did not connect: potential security issue", "uses an invalid security certificate"}, anyCert, true, inFirefox},
	{"firefox", []string{"the certificate is not trusted because the issuer certificate is unknown"}, noPath, false, inFirefox},
	{"firefox", []string{"the server might not be sending the appropriate intermediate certificates", "an additional root certificate may need to be imported"}, "chain.missing_intermediate trust.untrusted_root", false, inFirefox},
	{"firefox", []string{"because its certificate issuer is unknown, the certificate is self-signed, or the server is not sending the correct intermediate certificates"}, "trust.unknown_issuer trust.untrusted_root trust.self_signed_leaf chain.missing_intermediate trust.interception trust.not_in_this_store", false, inFirefox},
	{"firefox", []string{"the certificate is not trusted because it is self-signed", "the certificate is not trusted because it is self signed"}, "trust.self_signed_leaf", false, inFirefox},
	{"firefox", []string{"the certificate is not trusted because it was issued by an invalid ca certificate"}, "cert.not_a_ca", false, inFirefox},
	{"firefox", []string{"the certificate is not trusted because the issuer certificate is not trusted"}, "trust.distrusted trust.present_not_trusted", false, inFirefox},
	{"firefox", []string{"the certificate is not trusted because it was signed using a signature algorithm that was disabled because that algorithm is not secure"}, "cert.weak_signature", false, inFirefox},
	{"firefox", []string{"the certificate is not trusted because the issuer certificate has expired"}, "time.intermediate_expired time.root_expired time.clock_wrong", false, inFirefox},
	{"firefox", []string{"the certificate does not come from a trusted source"}, anyTrust, false, inFirefox},
	{"firefox", []string{"the certificate is only valid for", "the certificate is not valid for the name", "it uses a certificate that is not valid for"}, "name.mismatch", false, inFirefox},
	{"firefox", []string{"the certificate for * expired on"}, expired, false, inFirefox},
	{"firefox", []string{"the certificate for * is not valid until"}, early, false, inFirefox},
	{"firefox", []string{"software is preventing * from safely connecting to this site"}, "trust.interception", false, inFirefox},
	{"firefox", []string{"your computer clock is wrong"}, "time.clock_wrong", false, inFirefox},
	{"firefox", []string{"secure connection failed"}, anyTLS + " tls.plain_http tls.closed revocation.revoked", true, inFirefox},
	{"firefox", []string{"this website might not support the tls 1.2 protocol"}, "tls.protocol_version", false, inFirefox},
	{"firefox", []string{"peer's certificate issuer is not recognized"}, noPath, false, inNSS},
	{"firefox", []string{"peer's certificate has an invalid signature"}, oldCopy, false, inNSS},
	{"firefox", []string{"peer's certificate has expired"}, expired, false, inNSS},
	{"firefox", []string{"peer's certificate has been revoked"}, "revocation.revoked", false, inNSS},
	{"firefox", []string{"peer's certificate issuer has been marked as not trusted by the user", "peer's certificate has been marked as not trusted by the user"}, "trust.distrusted", false, inNSS},
	{"firefox", []string{"unable to communicate securely with peer: requested domain name does not match the server's certificate"}, "name.mismatch", false, inNSS},
	{"firefox", []string{"ssl received a record that exceeded the maximum permissible length"}, "tls.plain_http tls.not_tls", false, inNSS},
	{"firefox", []string{"cannot communicate securely with peer: no common encryption algorithm"}, "tls.no_shared_cipher", false, inNSS},
	{"firefox", []string{"peer using unsupported version of security protocol", "peer reports incompatible or unsupported protocol version"}, "tls.protocol_version", false, inNSS},
	{"firefox", []string{"the certificate issuer's certificate has expired"}, "time.intermediate_expired time.root_expired time.clock_wrong", false, inNSS},
	{"firefox", []string{"ssl peer cannot verify your certificate", "peer does not recognize and trust the ca that issued your certificate"}, "tls.client_cert_rejected", false, inNSS},
	{"firefox", []string{"the ocsp response is not yet valid", "the ocsp response contains out-of-date information"}, "revocation.staple_invalid time.clock_wrong", false, inNSS},

	// OpenSSL: verification
	{"openssl", []string{"unable to get local issuer certificate"}, noPath + " chain.cross_sign_dead_end", false, inX509Txt},
	{"openssl", []string{"unable to get issuer certificate"}, "trust.unknown_issuer chain.missing_intermediate", false, inX509Txt},
	{"openssl", []string{"unable to verify the first certificate", "unable to verify leaf signature"}, "chain.missing_intermediate! trust.unknown_issuer", false, inX509Txt},
	{"openssl", []string{"self-signed certificate in certificate chain", "self signed certificate in certificate chain"}, "trust.untrusted_root! trust.interception trust.same_name_other_key trust.not_in_this_store", false, inX509Txt},
	{"openssl", []string{"self-signed certificate", "self signed certificate"}, "trust.self_signed_leaf", false, inX509Txt},
	{"openssl", []string{"certificate signature failure"}, oldCopy, false, inX509Txt},
	{"openssl", []string{"certificate has expired"}, expired, false, inX509Txt},
	{"openssl", []string{"certificate is not yet valid"}, early, false, inX509Txt},
	{"openssl", []string{"certificate chain too long", "path length constraint exceeded"}, "cert.path_length", false, inX509Txt},
	{"openssl", []string{"certificate revoked"}, "revocation.revoked", false, inX509Txt},
	{"openssl", []string{"unsuitable certificate purpose", "unsupported certificate purpose"}, "cert.eku", false, inX509Txt},
	{"openssl", []string{"certificate not trusted"}, "trust.wrong_purpose trust.present_not_trusted trust.untrusted_root", false, inX509Txt},
	{"openssl", []string{"certificate rejected"}, "trust.distrusted", false, inX509Txt},
	{"openssl", []string{"invalid ca certificate"}, "cert.not_a_ca", false, inX509Txt},
	{"openssl", []string{"ca cert does not include key usage extension"}, "cert.key_usage cert.not_a_ca", false, inX509Txt},
	{"openssl", []string{"missing authority key identifier", "missing subject key identifier", "basic constraints of ca cert not marked critical"}, "cert.malformed", false, inX509Txt},
	{"openssl", []string{"key usage does not include certificate signing"}, "cert.key_usage", false, inX509Txt},
	{"openssl", []string{"unhandled critical extension"}, "cert.critical_extension", false, inX509Txt},
	{"openssl", []string{"permitted subtree violation", "excluded subtree violation"}, "cert.name_constraints", false, inX509Txt},
	{"openssl", []string{"hostname mismatch"}, "name.mismatch", false, inX509Txt},
	{"openssl", []string{"ip address mismatch"}, "name.mismatch name.ip_not_in_san", false, inX509Txt},
	{"openssl", []string{"ee certificate key too weak", "ca certificate key too weak"}, "cert.weak_key", false, inX509Txt},
	{"openssl", []string{"ca signature digest algorithm too weak"}, "cert.weak_signature", false, inX509Txt},
	{"openssl", []string{"unable to get certificate crl"}, "revocation.unavailable", false, inX509Txt},
	// OpenSSL: handshake
	{"openssl", []string{"certificate verify failed", "certificate_verify_failed"}, anyCert, true, inSSLErr},
	{"openssl", []string{"wrong version number", "wrong_version_number", "ssl routines::http request", "packet length too long", "unknown protocol"}, "tls.plain_http tls.not_tls tls.protocol_version", false, inSSLErr},
	{"openssl", []string{"unsupported protocol", "unsupported_protocol", "no protocols available"}, "tls.protocol_version", false, inSSLErr},
	{"openssl", []string{"tlsv1 alert protocol version", "tlsv1_alert_protocol_version"}, "tls.protocol_version", false, inSSLErr},
	{"openssl", []string{"sslv3 alert handshake failure", "sslv3_alert_handshake_failure", "ssl/tls alert handshake failure"}, "tls.no_shared_cipher tls.client_cert_required tls.protocol_version", false, inSSLErr},
	{"openssl", []string{"no shared cipher", "no cipher match", "no ciphers available"}, "tls.no_shared_cipher", false, inSSLErr},
	{"openssl", []string{"dh key too small", "dh_key_too_small"}, "tls.no_shared_cipher", false, inSSLErr},
	{"openssl", []string{"unsafe legacy renegotiation disabled"}, "tls.protocol_version", false, inSSLErr},
	{"openssl", []string{"ee key too small", "ca key too small", "ee_key_too_small"}, "cert.weak_key", false, inSSLErr},
	{"openssl", []string{"ca md too weak", "ca_md_too_weak"}, "cert.weak_signature", false, inSSLErr},
	{"openssl", []string{"unexpected eof while reading", "unexpected_eof_while_reading", "eof occurred in violation of protocol"}, "tls.closed tls.not_tls tls.protocol_version net.proxy", false, inSSLErr},
	{"openssl", []string{"tlsv1 alert unknown ca", "tlsv1_alert_unknown_ca", "sslv3 alert bad certificate", "sslv3 alert certificate unknown", "sslv3 alert certificate expired",
		"sslv3 alert certificate revoked", "ssl/tls alert bad certificate", "ssl/tls alert certificate unknown", "tlsv1 alert access denied"}, rejected, false, inSSLErr},
	{"openssl", []string{"tlsv13 alert certificate required", "tlsv13_alert_certificate_required"}, "tls.client_cert_required", false, inSSLErr},
	{"openssl", []string{"tlsv1 unrecognized name", "tlsv1_unrecognized_name", "tlsv1 alert unrecognized name"}, "tls.unrecognized_name", false, inSSLErr},
	{"openssl", []string{"tlsv1 alert internal error"}, "tls.alert tls.unrecognized_name", false, inSSLErr},

	// curl
	{"curl", []string{"curl failed to verify the legitimacy of the server"}, anyCert, true, "curl, src/tool_operate.c"},
	{"curl", []string{"ssl peer certificate or ssh remote key was not ok"}, anyCert, true, inCurlStr},
	{"curl", []string{"problem with the ssl ca cert (path? access rights?)", "error setting certificate verify locations", "error setting certificate file", "error adding trust anchors from file"}, "store.unreadable store.empty", false, inCurlStr},
	{"curl", []string{"ssl certificate problem"}, anyCert, true, inCurl},
	{"curl", []string{"no alternative certificate subject name matches target host*name", "certificate subject name * does not match target host*name", "subject name does not match target host name"}, "name.mismatch", false, inCurl},
	{"curl", []string{"ssl: public key does not match pinned public key", "ssl public key does not match pinned public key"}, "policy.pin_mismatch trust.interception", false, inCurl},
	{"curl", []string{"ssl connect error"}, anyTLS + " tls.plain_http tls.closed", true, inCurlStr},
	{"curl", []string{"could not resolve host", "couldn't resolve host"}, "net.dns", false, inCurlStr},
	{"curl", []string{"ssl: certificate verification failed (result:"}, anyCert, true, inCurl},
	{"curl", []string{"next initializesecuritycontext failed", "schannel: sni or certificate check failed"}, anyCert + " " + anyTLS, true, inSchannel},
	{"curl", []string{"schannel: certverifycertificatechainpolicy failed", "schannel: trust for this certificate or one of the certificates in the certificate chain has been revoked"}, "revocation.revoked", false, "curl, lib/vtls/schannel_verify.c"},
	{"curl", []string{"certgetcertificatechain trust error cert_trust_revocation_status_unknown"}, "revocation.unavailable", false, "curl, lib/vtls/schannel_verify.c"},

	// Git, GnuTLS, wget
	{"git", []string{"server certificate verification failed. cafile:", "server certificate verification failed. cafile", "server certificate verification failed: certificate signer not trusted"}, noPath, false, "curl, lib/vtls/gtls.c"},
	{"gnutls", []string{"the certificate issuer is unknown"}, noPath, false, inGnuTLS},
	{"gnutls", []string{"the certificate is not trusted"}, anyTrust, true, inGnuTLS},
	{"gnutls", []string{"the certificate issuer is not a ca"}, "cert.not_a_ca", false, inGnuTLS},
	{"gnutls", []string{"the certificate chain uses expired certificate"}, expired, false, inGnuTLS},
	{"gnutls", []string{"the certificate chain uses not yet valid certificate"}, early, false, inGnuTLS},
	{"gnutls", []string{"the certificate chain uses insecure algorithm"}, "cert.weak_signature cert.weak_key", false, inGnuTLS},
	{"gnutls", []string{"the certificate chain is revoked"}, "revocation.revoked", false, inGnuTLS},
	{"gnutls", []string{"the name in the certificate does not match the expected"}, "name.mismatch", false, inGnuTLS},
	{"gnutls", []string{"the certificate chain violates the signer's constraints"}, "cert.name_constraints", false, inGnuTLS},
	{"gnutls", []string{"the certificate chain does not match the intended purpose"}, "cert.eku", false, inGnuTLS},
	{"gnutls", []string{"the certificate requires the server to include an ocsp status in its response"}, "revocation.must_staple_missing", false, inGnuTLS},
	{"gnutls", []string{"an unexpected tls packet was received", "gnutls_handshake() failed: an unexpected tls packet was received"}, "tls.plain_http tls.not_tls", false, "GnuTLS, lib/errors.c"},
	{"gnutls", []string{"gnutls_handshake() failed: handshake failed", "a tls fatal alert has been received"}, anyTLS, true, "GnuTLS, lib/errors.c"},
	{"gnutls", []string{"the tls connection was non-properly terminated"}, "tls.closed tls.protocol_version", false, "GnuTLS, lib/errors.c"},
	{"wget", []string{"cannot verify * certificate, issued by"}, anyCert, true, inWget},
	{"wget", []string{"unable to locally verify the issuer's authority"}, noPath, false, inWget},
	{"wget", []string{"self-signed certificate encountered"}, "trust.self_signed_leaf trust.untrusted_root", false, inWget},
	{"wget", []string{"issued certificate has expired"}, expired, false, inWget},
	{"wget", []string{"issued certificate not yet valid"}, early, false, inWget},
	{"wget", []string{"certificate common name * doesn't match requested host name", "no certificate subject alternative name matches * requested host name", "the certificate's owner does not match hostname"}, "name.mismatch", false, inWget},
	{"wget", []string{"the certificate of * is not trusted"}, anyTrust, false, inWgetTLS},
	{"wget", []string{"the certificate of * doesn't have a known issuer", "the certificate of * hasn't got a known issuer"}, noPath, false, inWgetTLS},
	{"wget", []string{"the certificate of * has expired", "the certificate has expired"}, expired, false, inWgetTLS},
	{"wget", []string{"the certificate of * is not yet activated", "the certificate has not yet been activated"}, early, false, inWgetTLS},
	{"wget", []string{"the certificate of * has been revoked"}, "revocation.revoked", false, inWgetTLS},
	{"wget", []string{"the certificate of * was signed using an insecure algorithm"}, "cert.weak_signature", false, inWgetTLS},
	{"wget", []string{"the certificate signer of * was not a ca"}, "cert.not_a_ca", false, inWgetTLS},
	{"wget", []string{"unable to establish ssl connection"}, anyTLS + " tls.plain_http", true, "GNU Wget, src/http.c"},

	// Go, Docker
	{"go", []string{"x509: certificate signed by unknown authority"}, noPath + " trust.self_signed_leaf", false, inVerify},
	{"go", []string{"while trying to verify candidate authority certificate"}, "trust.same_name_other_key! chain.wrong_intermediate cert.weak_signature cert.not_a_ca", false, inVerify},
	{"go", []string{"x509: certificate has expired or is not yet valid"}, expired + " time.not_yet_valid", false, inVerify},
	{"go", []string{"x509: certificate is valid for * not", "x509: certificate is valid for * none matched", "x509: certificate is valid for", "x509: certificate is not valid for any names"}, "name.mismatch! name.default_certificate", false, inVerify},
	{"go", []string{"x509: cannot validate certificate for * because it doesn't contain any ip sans"}, "name.ip_not_in_san", false, inVerify},
	{"go", []string{"x509: certificate relies on legacy common name field"}, "name.cn_only", false, inVerify},
	{"go", []string{"x509: certificate is not authorized to sign other certificates"}, "cert.not_a_ca", false, inVerify},
	{"go", []string{"x509: a root or intermediate certificate is not authorized to sign for this name"}, "cert.name_constraints", false, inVerify},
	{"go", []string{"x509: certificate specifies an incompatible key usage", "x509: a root or intermediate certificate is not authorized for an extended key usage"}, "cert.eku", false, inVerify},
	{"go", []string{"x509: too many intermediates for path length constraint"}, "cert.path_length", false, inVerify},
	{"go", []string{"x509: issuer has name constraints but leaf"}, "cert.name_constraints", false, inVerify},
	{"go", []string{"x509: negative serial number"}, "cert.malformed", false, "Go, crypto/x509/parser.go"},
	{"go", []string{"x509: unhandled critical extension"}, "cert.critical_extension", false, inVerify},
	{"go", []string{"x509: cannot verify signature: insecure algorithm"}, "cert.weak_signature", false, "Go, crypto/x509/x509.go"},
	{"go", []string{"x509: system roots cannot be loaded", "x509: failed to load system roots and no roots provided"}, "store.empty store.unreadable", false, inVerify},
	{"go", []string{"certificate is not standards compliant"}, "time.validity_too_long name.cn_only cert.weak_signature cert.eku", false, inTrust},
	{"go", []string{"tls: first record does not look like a tls handshake"}, "tls.plain_http! tls.not_tls", false, inGoConn},
	{"go", []string{"http: server gave http response to https client"}, "tls.plain_http", false, "Go, net/http/client.go"},
	{"go", []string{"tls: handshake failure"}, "tls.no_shared_cipher tls.client_cert_required tls.protocol_version", false, inGoAlert},
	{"go", []string{"remote error: tls: unknown certificate authority", "remote error: tls: bad certificate", "remote error: tls: unknown certificate", "remote error: tls: expired certificate", "remote error: tls: revoked certificate"}, rejected, false, inGoAlert},
	{"go", []string{"remote error: tls: certificate required"}, "tls.client_cert_required", false, inGoAlert},
	{"go", []string{"remote error: tls: unrecognized name"}, "tls.unrecognized_name", false, inGoAlert},
	{"go", []string{"tls: protocol version not supported", "tls: server selected unsupported protocol version", "tls: no supported versions satisfy minversion"}, "tls.protocol_version", false, inGoAlert},
	{"go", []string{"tls: failed to verify certificate"}, anyCert, true, "Go, crypto/tls/handshake_client.go"},
	{"go", []string{"net/http: tls handshake timeout"}, "tls.handshake_timeout", false, "Go, net/http/transport.go"},
	{"go", []string{"no such host"}, "net.dns", false, inGoNet},
	{"go", []string{"connect: connection refused"}, "net.refused", false, inGoNet},
	{"go", []string{"i/o timeout"}, "net.timeout", false, inGoNet},

	// Java
	{"java", []string{"pkix path building failed"}, noPath + " trust.self_signed_leaf", false, inPKIX},
	{"java", []string{"unable to find valid certification path to requested target"}, noPath + " trust.self_signed_leaf", false, inCertPath + "/SunCertPathBuilder.java"},
	{"java", []string{"pkix path validation failed"}, anyCert, true, inPKIX},
	{"java", []string{"path does not chain with any of the trust anchors"}, "trust.untrusted_root trust.unknown_issuer trust.same_name_other_key", false, inCertPath},
	{"java", []string{"validity check failed", "certificateexpiredexception"}, expired, false, inCertPath + "/BasicChecker.java"},
	{"java", []string{"certificatenotyetvalidexception"}, early, false, "OpenJDK, java/security/cert"},
	{"java", []string{"signature check failed"}, oldCopy, false, inCertPath + "/BasicChecker.java"},
	{"java", []string{"algorithm constraints check failed on signature algorithm", "algorithm constraints check failed: sha1", "algorithm constraints check failed: md5"}, "cert.weak_signature", false, inCertPath + "/AlgorithmChecker.java"},
	{"java", []string{"algorithm constraints check failed on keysize limits"}, "cert.weak_key", false, inCertPath + "/AlgorithmChecker.java"},
	{"java", []string{"this is not a ca certificate"}, "cert.not_a_ca", false, inCertPath + "/ConstraintsChecker.java"},
	{"java", []string{"pathlenconstraint violated"}, "cert.path_length", false, inCertPath + "/ConstraintsChecker.java"},
	{"java", []string{"extended key usage does not permit use for tls"}, "cert.eku", false, "OpenJDK, sun/security/validator/EndEntityChecker.java"},
	{"java", []string{"no subject alternative dns name matching", "no subject alternative names matching", "no subject alternative names present", "no name matching * found"}, "name.mismatch", false, inChecker},
	{"java", []string{"the trustanchors parameter must be non-empty"}, "store.empty store.unreadable", false, "OpenJDK, java/security/cert/PKIXParameters.java"},
	{"java", []string{"certificate has been revoked", "certificaterevokedexception"}, "revocation.revoked", false, "OpenJDK, java/security/cert/CertificateRevokedException.java"},
	{"java", []string{"unable to determine revocation status", "could not determine revocation status"}, "revocation.unavailable", false, inCertPath + "/RevocationChecker.java"},
	{"java", []string{"unsupported or unrecognized ssl message"}, "tls.plain_http tls.not_tls", false, inJSSE + "/SSLSocketInputRecord.java"},
	{"java", []string{"remote host terminated the handshake", "remote host closed connection during handshake"}, "tls.closed tls.protocol_version net.proxy", false, inJSSE + "/SSLSocketImpl.java"},
	{"java", []string{"no appropriate protocol", "server chose * but that protocol version is not enabled", "is not accepted by client preferences"}, "tls.protocol_version tls.no_shared_cipher", false, inJSSE + "/HandshakeContext.java"},
	{"java", []string{"sslpeerunverifiedexception"}, "name.mismatch " + anyTrust, true, "OpenJDK, javax/net/ssl"},
	{"java", []string{"no trusted certificate found"}, anyTrust, false, "OpenJDK, sun/security/validator/SimpleValidator.java"},

	// .NET
	{"dotnet", []string{"could not establish trust relationship for the ssl/tls secure channel", "could not establish trust relationship with remote server"}, anyCert + " revocation.unavailable", true, inNetFx},
	{"dotnet", []string{"could not create ssl/tls secure channel", "could not establish secure channel for ssl/tls"}, "tls.protocol_version! tls.no_shared_cipher tls.client_cert_required", false, inNetFx},
	{"dotnet", []string{"the remote certificate is invalid according to the validation procedure"}, anyCert, true, inDotnet},
	{"dotnet", []string{"the remote certificate is invalid because of errors in the certificate chain"}, anyTrust + " time.leaf_expired revocation.unavailable", true, inDotnet},
	{"dotnet", []string{"the remote certificate was rejected by the provided remotecertificatevalidationcallback"}, anyCert, true, inDotnet},
	{"dotnet", []string{"the ssl connection could not be established, see inner exception"}, anyCert + " " + anyTLS, true, inDotHTTP},
	{"dotnet", []string{"remotecertificatenamemismatch"}, "name.mismatch", false, inChainSt},
	{"dotnet", []string{"remotecertificatechainerrors"}, anyTrust + " time.leaf_expired time.clock_wrong revocation.unavailable", true, inChainSt},
	{"dotnet", []string{"remotecertificatenotavailable"}, "tls.alert", false, inChainSt},
	{"dotnet", []string{"untrustedroot"}, "trust.untrusted_root trust.self_signed_leaf trust.interception", false, inChainSt},
	{"dotnet", []string{"partialchain"}, "trust.unknown_issuer chain.missing_intermediate", false, inChainSt},
	{"dotnet", []string{"nottimevalid"}, expired + " time.not_yet_valid", false, inChainSt},
	{"dotnet", []string{"revocationstatusunknown", "offlinerevocation"}, "revocation.unavailable", false, inChainSt},
	{"dotnet", []string{"certificate chain: revoked", "x509chainstatusflags.revoked"}, "revocation.revoked", false, inChainSt},
	{"dotnet", []string{"notsignaturevalid"}, oldCopy, false, inChainSt},
	{"dotnet", []string{"notvalidforusage"}, "cert.eku", false, inChainSt},
	{"dotnet", []string{"invalidbasicconstraints"}, "cert.not_a_ca cert.path_length", false, inChainSt},
	{"dotnet", []string{"invalidnameconstraints", "hasnotpermittednameconstraint", "hasexcludednameconstraint"}, "cert.name_constraints", false, inChainSt},
	{"dotnet", []string{"explicitdistrust"}, "trust.distrusted", false, inChainSt},
	{"dotnet", []string{"hasweaksignature"}, "cert.weak_signature", false, inChainSt},
	{"dotnet", []string{"authentication failed because the remote party sent a tls alert", "authentication failed, see inner exception"}, anyTLS, true, inDotnet},
	{"dotnet", []string{"cannot determine the frame size or a corrupted frame was received", "the handshake failed due to an unexpected packet format"}, "tls.plain_http tls.not_tls", false, inDotnet},
	{"dotnet", []string{"authentication failed because the remote party has closed the transport stream", "received an unexpected eof or 0 bytes from the transport stream"}, "tls.closed tls.protocol_version net.proxy", false, inDotnet},

	// Node
	{"node", []string{"depth_zero_self_signed_cert"}, "trust.self_signed_leaf", false, inNode},
	{"node", []string{"self_signed_cert_in_chain"}, "trust.untrusted_root! trust.interception trust.same_name_other_key trust.not_in_this_store", false, inNode},
	{"node", []string{"unable_to_get_issuer_cert_locally"}, noPath + " chain.cross_sign_dead_end", false, inNode},
	{"node", []string{"unable_to_get_issuer_cert"}, "trust.unknown_issuer chain.missing_intermediate", false, inNode},
	{"node", []string{"unable_to_verify_leaf_signature"}, "chain.missing_intermediate! trust.unknown_issuer", false, inNode},
	{"node", []string{"cert_has_expired"}, expired, false, inNode},
	{"node", []string{"cert_not_yet_valid"}, early, false, inNode},
	{"node", []string{"cert_signature_failure"}, oldCopy, false, inNode},
	{"node", []string{"cert_revoked"}, "revocation.revoked", false, inNode},
	{"node", []string{"cert_untrusted"}, "trust.wrong_purpose", false, inNode},
	{"node", []string{"cert_rejected"}, "trust.distrusted", false, inNode},
	{"node", []string{"cert_chain_too_long", "path_length_exceeded"}, "cert.path_length", false, inNode},
	{"node", []string{"invalid_ca"}, "cert.not_a_ca", false, inNode},
	{"node", []string{"invalid_purpose"}, "cert.eku", false, inNode},
	{"node", []string{"hostname_mismatch"}, "name.mismatch", false, inNode},
	{"node", []string{"err_tls_cert_altname_invalid", "hostname/ip does not match certificate's altnames"}, "name.mismatch! name.default_certificate", false, inNode},
	{"node", []string{"if the root ca is installed locally, try running node.js with --use-system-ca"}, "trust.not_in_this_store", false, "Node.js, src/crypto/crypto_common.cc"},
	{"node", []string{"err_ssl_wrong_version_number", "err_ssl_packet_length_too_long"}, "tls.plain_http tls.not_tls tls.protocol_version", false, inNode},
	{"node", []string{"err_ssl_tlsv1_alert_protocol_version", "err_ssl_unsupported_protocol"}, "tls.protocol_version", false, inNode},
	{"node", []string{"err_ssl_sslv3_alert_handshake_failure", "err_ssl_ssl/tls_alert_handshake_failure"}, "tls.no_shared_cipher tls.client_cert_required", false, inNode},
	{"node", []string{"err_tls_handshake_timeout"}, "tls.handshake_timeout", false, inNode},
	{"node", []string{"client network socket disconnected before secure tls connection was established"}, "tls.closed net.reset net.proxy", false, "Node.js, lib/_tls_wrap.js"},
	{"node", []string{"getaddrinfo enotfound", "getaddrinfo eai_again", "enotfound"}, "net.dns", false, "Node.js, doc/api/errors.md"},
	{"node", []string{"econnrefused"}, "net.refused", false, "Node.js, doc/api/errors.md"},
	{"node", []string{"econnreset"}, "net.reset", false, "Node.js, doc/api/errors.md"},
	{"node", []string{"etimedout"}, "net.timeout", false, "Node.js, doc/api/errors.md"},

	// Python
	{"python", []string{"certificate is not valid for '*'", "hostname * doesn't match"}, "name.mismatch", false, inPython},
	{"python", []string{"sslcertverificationerror"}, anyCert, true, inPython},
	{"python", []string{"[ssl: certificate_verify_failed] certificate verify failed"}, anyCert, true, inPython},
	{"python", []string{"could not find a suitable tls ca certificate bundle, invalid path"}, "store.unreadable", false, "Requests, src/requests/adapters.py"},
	{"python", []string{"your proxy appears to only use http and not https"}, "tls.plain_http net.proxy", false, inUrllib3},
	{"system", []string{"name or service not known", "temporary failure in name resolution", "nodename nor servname provided"}, "net.dns", false, "the C library, gai_strerror"},

	// Rust
	{"rust", []string{"invalid peer certificate: unknownissuer", "invalid peer certificate: unknown issuer"}, noPath, false, inRustls},
	{"rust", []string{"invalid peer certificate: expired", "invalid peer certificate: certificate expired"}, expired, false, inRustls},
	{"rust", []string{"invalid peer certificate: notvalidyet", "invalid peer certificate: certificate not valid yet"}, early, false, inRustls},
	{"rust", []string{"invalid peer certificate: notvalidforname", "invalid peer certificate: certificate not valid for name"}, "name.mismatch", false, inRustls},
	{"rust", []string{"invalid peer certificate: badsignature", "invalid peer certificate: bad signature"}, oldCopy, false, inRustls},
	{"rust", []string{"causedasendentity"}, "trust.self_signed_leaf cert.ca_as_leaf", false, inRustls},
	{"rust", []string{"invalid peer certificate: revoked", "invalid peer certificate: certificate revoked"}, "revocation.revoked", false, inRustls},

	// Windows
	{"windows", []string{"a certificate chain processed, but terminated in a root certificate which is not trusted by the trust provider"}, "trust.untrusted_root trust.self_signed_leaf trust.interception trust.wrong_scope", false, inWinerror},
	{"windows", []string{"the certificate chain was issued by an authority that is not trusted"}, "trust.untrusted_root trust.self_signed_leaf trust.interception trust.wrong_scope", false, inWinerror},
	{"windows", []string{"a certificate chain could not be built to a trusted root authority"}, "trust.unknown_issuer chain.missing_intermediate", false, inWinerror},
	{"windows", []string{"the target principal name is incorrect"}, "name.mismatch", false, inWinerror},
	{"windows", []string{"the certificate's cn name does not match the passed value"}, "name.mismatch", false, inWinerror},
	{"windows", []string{"a required certificate is not within its validity period when verifying against the current system clock"}, expired + " time.not_yet_valid", false, inWinerror},
	{"windows", []string{"the received certificate has expired"}, expired, false, inWinerror},
	{"windows", []string{"the clocks on the client and server machines are skewed"}, "time.clock_wrong", false, inWinerror},
	{"windows", []string{"the certificate is revoked", "a certificate was explicitly revoked by its issuer"}, "revocation.revoked", false, inWinerror},
	{"windows", []string{"the revocation function was unable to check revocation", "the revocation process could not continue"}, "revocation.unavailable", false, inWinerror},
	{"windows", []string{"the client and server cannot communicate, because they do not possess a common algorithm"}, "tls.protocol_version tls.no_shared_cipher", false, inWinerror},
	{"windows", []string{"the message received was unexpected or badly formatted"}, "tls.protocol_version tls.no_shared_cipher", false, inWinerror},
	{"windows", []string{"the token supplied to the function is invalid"}, "tls.not_tls tls.plain_http tls.protocol_version", false, inWinerror},
	{"windows", []string{"the certificate is not valid for the requested usage"}, "cert.eku", false, inWinerror},
	{"windows", []string{"the certificate was explicitly marked as untrusted by the user"}, "trust.distrusted", false, inWinerror},
	{"windows", []string{"an unknown error occurred while processing the certificate"}, "trust.unknown_issuer chain.missing_intermediate trust.untrusted_root trust.interception", false, inWinerror},
	{"windows", []string{"the signature of the certificate cannot be verified"}, "trust.same_name_other_key cert.weak_signature", false, inWinerror},
	{"windows", []string{"a security error occurred"}, anyCert + " " + anyTLS, true, "Windows, ERROR_WINHTTP_SECURE_FAILURE"},

	// Internet Explorer
	{"ie", []string{"there is a problem with this website's security certificate"}, anyCert, true, inIE},
	{"ie", []string{"the security certificate presented by this website was not issued by a trusted certificate authority"}, anyTrust, false, inIE},
	{"ie", []string{"the security certificate presented by this website was issued for a different website's address"}, "name.mismatch", false, inIE},
	{"ie", []string{"the security certificate presented by this website has expired or is not yet valid"}, expired + " time.not_yet_valid", false, inIE},

	// Apple
	{"apple", []string{"this connection is not private"}, anyCert, true, inSafari},
	{"apple", []string{"the certificate for this server is invalid. you might be connecting to a server that is pretending to be", "the certificate for this server is invalid"}, anyCert, true, inSafari},
	{"apple", []string{"safari can't establish a secure connection to the server", "an ssl error has occurred and a secure connection to the server cannot be made"}, anyTLS + " cert.weak_signature", true, inSafari},
	{"apple", []string{"certificate is not trusted", "root certificate is not trusted"}, "trust.untrusted_root trust.present_not_trusted trust.unknown_issuer", false, inTrust},
	{"apple", []string{"certificate is expired"}, expired, false, inTrust},
	{"apple", []string{"this certificate was signed by an unknown authority", "this certificate was signed by an untrusted issuer"}, "trust.unknown_issuer trust.untrusted_root", false, "macOS, Keychain Access"},
	{"apple", []string{"this root certificate is not trusted"}, "trust.present_not_trusted! trust.untrusted_root", false, "macOS, Keychain Access"},

	// Anybody
	{"system", []string{"connection reset by peer"}, "net.reset", false, "the C library, strerror(ECONNRESET)"},
	{"system", []string{"connection refused"}, "net.refused", false, "the C library, strerror(ECONNREFUSED)"},
	{"system", []string{"connection timed out"}, "net.timeout", false, "the C library, strerror(ETIMEDOUT)"},
	{"system", []string{"no route to host", "network is unreachable"}, "net.unreachable", false, "the C library, strerror(EHOSTUNREACH)"},
}
