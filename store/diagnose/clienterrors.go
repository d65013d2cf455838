package diagnose

import (
	"strconv"
	"sync"
)

// calls are what clients call a cause. OpenSSL's number stands for all that
// are built on it. "" and 0: it has no word of its own for it, or does not
// mind.
type calls struct {
	chromium, firefox string
	openssl           int
	java, golang      string
	gnutls            string
	apple, windows    string
	dotnet            string
}

// openSSL are the words for the numbers of OpenSSL, and Node's names for them.
var openSSL = sync.OnceValue(func() map[int]struct{ text, node string } {
	return map[int]struct{ text, node string }{
		2:  {"unable to get issuer certificate", "UNABLE_TO_GET_ISSUER_CERT"},
		7:  {"certificate signature failure", "CERT_SIGNATURE_FAILURE"},
		9:  {"certificate is not yet valid", "CERT_NOT_YET_VALID"},
		10: {"certificate has expired", "CERT_HAS_EXPIRED"},
		18: {"self-signed certificate", "DEPTH_ZERO_SELF_SIGNED_CERT"},
		19: {"self-signed certificate in certificate chain", "SELF_SIGNED_CERT_IN_CHAIN"},
		20: {"unable to get local issuer certificate", "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"},
		21: {"unable to verify the first certificate", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"},
		23: {"certificate revoked", "CERT_REVOKED"},
		24: {"issuer certificate doesn't have a public key", "NO_ISSUER_PUBLIC_KEY"},
		25: {"path length constraint exceeded", "PATH_LENGTH_EXCEEDED"},
		26: {"unsuitable certificate purpose", "INVALID_PURPOSE"},
		27: {"certificate not trusted", "CERT_UNTRUSTED"},
		28: {"certificate rejected", "CERT_REJECTED"},
		32: {"key usage does not include certificate signing", "KEYUSAGE_NO_CERTSIGN"},
		34: {"unhandled critical extension", "UNHANDLED_CRITICAL_EXTENSION"},
		47: {"permitted subtree violation", "PERMITTED_VIOLATION"},
		48: {"excluded subtree violation", "EXCLUDED_VIOLATION"},
		62: {"hostname mismatch", "ERR_TLS_CERT_ALTNAME_INVALID"},
		64: {"IP address mismatch", "ERR_TLS_CERT_ALTNAME_INVALID"},
		66: {"EE certificate key too weak", "EE_KEY_TOO_SMALL"},
		67: {"CA certificate key too weak", "CA_KEY_TOO_SMALL"},
		68: {"CA signature digest algorithm too weak", "CA_MD_TOO_WEAK"},
		79: {"invalid CA certificate", "INVALID_CA"},
	}
})

const (
	javaPath      = "PKIX path building failed: unable to find valid certification path to requested target"
	javaInvalid   = "PKIX path validation failed"
	goUnknown     = "x509: certificate signed by unknown authority"
	gnutlsUnknown = "The certificate issuer is unknown"
)

var nameCalls = calls{"ERR_CERT_COMMON_NAME_INVALID", "SSL_ERROR_BAD_CERT_DOMAIN", 62, "No subject alternative DNS name matching HOST found", "x509: certificate is valid for OTHER, not HOST",
	"The name in the certificate does not match the expected", "errSecHostNameMismatch (-67602)", "CERT_E_CN_NO_MATCH (0x800B010F), SEC_E_WRONG_PRINCIPAL (0x80090322)", "RemoteCertificateNameMismatch"}

var addressCalls = calls{"ERR_CERT_COMMON_NAME_INVALID", "SSL_ERROR_BAD_CERT_DOMAIN", 64, "No subject alternative names matching IP address HOST found", "x509: cannot validate certificate for HOST because it doesn't contain any IP SANs",
	"The name in the certificate does not match the expected", "errSecHostNameMismatch (-67602)", "CERT_E_CN_NO_MATCH (0x800B010F), SEC_E_WRONG_PRINCIPAL (0x80090322)", "RemoteCertificateNameMismatch"}

// words are what clients call the causes.
var words = sync.OnceValue(func() map[string]calls {
	return map[string]calls{
		"trust.self_signed_leaf": {"ERR_CERT_AUTHORITY_INVALID", "MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT", 18, javaPath, goUnknown, gnutlsUnknown,
			"errSecNotTrusted (-67843)", "CERT_E_UNTRUSTEDROOT (0x800B0109)", "UntrustedRoot"},
		"trust.untrusted_root": {"ERR_CERT_AUTHORITY_INVALID", "SEC_ERROR_UNKNOWN_ISSUER", 19, javaPath, goUnknown, gnutlsUnknown,
			"errSecNotTrusted (-67843)", "CERT_E_UNTRUSTEDROOT (0x800B0109), SEC_E_UNTRUSTED_ROOT (0x80090325)", "UntrustedRoot"},
		"trust.unknown_issuer": {"ERR_CERT_AUTHORITY_INVALID", "SEC_ERROR_UNKNOWN_ISSUER", 20, javaPath, goUnknown, gnutlsUnknown,
			"errSecCreateChainFailed (-25318)", "CERT_E_CHAINING (0x800B010A)", "PartialChain"},
		"trust.same_name_other_key": {"ERR_CERT_AUTHORITY_INVALID", "SEC_ERROR_BAD_SIGNATURE", 20, javaInvalid + ": Path does not chain with any of the trust anchors",
			goUnknown + ` (possibly because of "x509: ECDSA verification failure" while trying to verify candidate authority certificate)`, gnutlsUnknown,
			"errSecCreateChainFailed (-25318)", "TRUST_E_CERT_SIGNATURE (0x80096004)", "NotSignatureValid"},
		"trust.interception": {"ERR_CERT_AUTHORITY_INVALID", "MOZILLA_PKIX_ERROR_MITM_DETECTED", 19, javaPath, goUnknown, gnutlsUnknown,
			"errSecNotTrusted (-67843)", "CERT_E_UNTRUSTEDROOT (0x800B0109)", "UntrustedRoot"},
		"trust.known_bad_root": {"ERR_CERT_REVOKED", "SEC_ERROR_UNTRUSTED_ISSUER", 0, "", "", "",
			"errSecTrustSettingDeny (-67654)", "TRUST_E_EXPLICIT_DISTRUST (0x800B0111)", "ExplicitDistrust"},
		"trust.distrusted": {"ERR_CERT_AUTHORITY_INVALID", "SEC_ERROR_UNTRUSTED_ISSUER", 28, javaPath, goUnknown, gnutlsUnknown,
			"errSecTrustSettingDeny (-67654)", "TRUST_E_EXPLICIT_DISTRUST (0x800B0111)", "ExplicitDistrust"},
		"trust.distrust_after":      {"ERR_CERT_AUTHORITY_INVALID", "MOZILLA_PKIX_ERROR_ISSUER_NO_LONGER_TRUSTED", 0, "", goUnknown, "", "", "", ""},
		"trust.present_not_trusted": {"ERR_CERT_AUTHORITY_INVALID", "SEC_ERROR_UNKNOWN_ISSUER", 19, javaPath, goUnknown, gnutlsUnknown, "errSecNotTrusted (-67843)", "CERT_E_UNTRUSTEDROOT (0x800B0109)", "UntrustedRoot"},
		"trust.wrong_purpose":       {"ERR_CERT_AUTHORITY_INVALID", "SEC_ERROR_UNKNOWN_ISSUER", 27, javaPath, goUnknown, gnutlsUnknown, "errSecNotTrusted (-67843)", "CERT_E_WRONG_USAGE (0x800B0110)", "NotValidForUsage"},
		"trust.not_in_this_store":   {"ERR_CERT_AUTHORITY_INVALID", "SEC_ERROR_UNKNOWN_ISSUER", 19, javaPath, goUnknown, gnutlsUnknown, "errSecNotTrusted (-67843)", "CERT_E_UNTRUSTEDROOT (0x800B0109)", "UntrustedRoot"},
		"trust.wrong_scope":         {"ERR_CERT_AUTHORITY_INVALID", "SEC_ERROR_UNKNOWN_ISSUER", 19, javaPath, goUnknown, gnutlsUnknown, "errSecNotTrusted (-67843)", "CERT_E_UNTRUSTEDROOT (0x800B0109)", "UntrustedRoot"},
		"trust.store_outdated":      {"ERR_CERT_AUTHORITY_INVALID", "SEC_ERROR_UNKNOWN_ISSUER", 20, javaPath, goUnknown, gnutlsUnknown, "errSecNotTrusted (-67843)", "CERT_E_UNTRUSTEDROOT (0x800B0109)", "UntrustedRoot"},
		"store.empty":               {"ERR_CERT_AUTHORITY_INVALID", "SEC_ERROR_UNKNOWN_ISSUER", 20, "the trustAnchors parameter must be non-empty", goUnknown, gnutlsUnknown, "", "", ""},
		"trust.leaf_as_anchor":      {firefox: "MOZILLA_PKIX_ERROR_CA_CERT_USED_AS_END_ENTITY"},

		"chain.missing_intermediate": {"", "SEC_ERROR_UNKNOWN_ISSUER", 20, javaPath, goUnknown, gnutlsUnknown,
			"errSecCreateChainFailed (-25318)", "CERT_E_CHAINING (0x800B010A)", "PartialChain"},
		"chain.wrong_intermediate": {"ERR_CERT_AUTHORITY_INVALID", "SEC_ERROR_BAD_SIGNATURE", 20, javaInvalid + ": signature check failed", goUnknown, gnutlsUnknown,
			"errSecCreateChainFailed (-25318)", "CERT_E_CHAINING (0x800B010A)", "PartialChain"},
		"chain.cross_sign_dead_end": {openssl: 20, gnutls: gnutlsUnknown},

		"time.leaf_expired": {"ERR_CERT_DATE_INVALID", "SEC_ERROR_EXPIRED_CERTIFICATE", 10, javaInvalid + ": validity check failed", "x509: certificate has expired or is not yet valid", "The certificate chain uses expired certificate",
			"errSecCertificateExpired (-67818)", "CERT_E_EXPIRED (0x800B0101)", "NotTimeValid"},
		"time.intermediate_expired": {"ERR_CERT_DATE_INVALID", "SEC_ERROR_EXPIRED_ISSUER_CERTIFICATE", 10, javaInvalid + ": validity check failed", "x509: certificate has expired or is not yet valid", "The certificate chain uses expired certificate",
			"errSecCertificateExpired (-67818)", "CERT_E_EXPIRED (0x800B0101)", "NotTimeValid"},
		"time.root_expired": {"ERR_CERT_DATE_INVALID", "SEC_ERROR_EXPIRED_ISSUER_CERTIFICATE", 10, "", "x509: certificate has expired or is not yet valid", "The certificate chain uses expired certificate",
			"errSecCertificateExpired (-67818)", "CERT_E_EXPIRED (0x800B0101)", "NotTimeValid"},
		"time.not_yet_valid": {"ERR_CERT_DATE_INVALID", "MOZILLA_PKIX_ERROR_NOT_YET_VALID_CERTIFICATE", 9, javaInvalid + ": validity check failed", "x509: certificate has expired or is not yet valid", "The certificate chain uses not yet valid certificate",
			"errSecCertificateNotValidYet (-67819)", "CERT_E_EXPIRED (0x800B0101)", "NotTimeValid"},
		"time.clock_wrong": {"ERR_CERT_DATE_INVALID", "SEC_ERROR_EXPIRED_CERTIFICATE", 10, javaInvalid + ": validity check failed", "x509: certificate has expired or is not yet valid", "The certificate chain uses expired certificate",
			"errSecCertificateExpired (-67818)", "CERT_E_EXPIRED (0x800B0101)", "NotTimeValid"},
		"time.validity_too_long": {"ERR_CERT_VALIDITY_TOO_LONG", "", 0, "", "", "", "errSecCertificateValidityPeriodTooLong (-67901)", "", ""},

		"cert.malformed":             {"ERR_CERT_INVALID", "SEC_ERROR_BAD_DER", 0, "", "x509: malformed certificate", "", "", "CERT_E_MALFORMED (0x800B0108)", ""},
		"cert.weak_signature":        {"ERR_CERT_INVALID", "SEC_ERROR_CERT_SIGNATURE_ALGORITHM_DISABLED", 68, "", goUnknown, "The certificate chain uses insecure algorithm", "errSecInvalidDigestAlgorithm (-67815)", "CERT_TRUST_HAS_WEAK_SIGNATURE (0x100000)", "HasWeakSignature"},
		"cert.weak_key":              {"ERR_CERT_WEAK_KEY", "MOZILLA_PKIX_ERROR_INADEQUATE_KEY_SIZE", 66, javaInvalid + ": Algorithm constraints check failed", "", "The certificate chain uses insecure algorithm", "errSecUnsupportedKeySize (-67735)", "", ""},
		"cert.eku":                   {"ERR_CERT_INVALID", "SEC_ERROR_INADEQUATE_CERT_TYPE", 26, "Extended key usage does not permit use for TLS server authentication", "x509: certificate specifies an incompatible key usage", "The certificate is used for another purpose", "errSecInvalidExtendedKeyUsage (-67609)", "CERT_E_WRONG_USAGE (0x800B0110)", "NotValidForUsage"},
		"cert.key_usage":             {"ERR_SSL_KEY_USAGE_INCOMPATIBLE", "SEC_ERROR_INADEQUATE_KEY_USAGE", 32, "KeyUsage does not allow digital signatures", goUnknown, "The certificate is used for another purpose", "", "CERT_E_WRONG_USAGE (0x800B0110)", "NotValidForUsage"},
		"cert.not_a_ca":              {"ERR_CERT_INVALID", "SEC_ERROR_INADEQUATE_KEY_USAGE", 79, javaInvalid + ": CA key usage check failed: keyCertSign bit is not set", goUnknown, "The certificate issuer is not a CA", "errSecNoBasicConstraintsCA (-67605)", "TRUST_E_BASIC_CONSTRAINTS (0x80096019)", "InvalidBasicConstraints"},
		"cert.path_length":           {"ERR_CERT_INVALID", "SEC_ERROR_PATH_LEN_CONSTRAINT_INVALID", 25, javaInvalid + ": basic constraints check failed: pathLenConstraint violated", "x509: too many intermediates for path length constraint", "The certificate chain violates the signer's constraints", "errSecPathLengthConstraintExceeded (-67611)", "CERT_E_PATHLENCONST (0x800B0104)", "InvalidBasicConstraints"},
		"cert.name_constraints":      {"ERR_CERT_INVALID", "SEC_ERROR_CERT_NOT_IN_NAME_SPACE", 47, javaInvalid + ": name constraints check failed", "x509: a root or intermediate certificate is not authorized to sign for this name", "The certificate chain violates the signer's constraints", "errSecCertificateNameNotAllowed (-67900)", "CERT_E_INVALID_NAME (0x800B0114)", "HasNotPermittedNameConstraint"},
		"cert.critical_extension":    {"ERR_CERT_INVALID", "SEC_ERROR_UNKNOWN_CRITICAL_EXTENSION", 34, javaInvalid + ": unrecognized critical extension(s)", "x509: unhandled critical extension", "The certificate contains an unknown critical extension", "errSecUnknownCriticalExtensionFlag (-67603)", "CERT_E_CRITICAL (0x800B0105)", "HasNotSupportedCriticalExtension"},
		"cert.ca_as_leaf":            {firefox: "MOZILLA_PKIX_ERROR_CA_CERT_USED_AS_END_ENTITY", apple: "errSecCertificateIsCA (-67902)"},
		"cert.key_id_mismatch":       {openssl: 20},
		"cert.duplicate_serial":      {firefox: "SEC_ERROR_REUSED_ISSUER_AND_SERIAL"},
		"cert.unsupported_algorithm": {"ERR_CERT_INVALID", "SEC_ERROR_CERT_SIGNATURE_ALGORITHM_DISABLED", 7, javaPath, goUnknown, gnutlsUnknown, "", "", ""},

		"name.mismatch": nameCalls, "name.www_missing": nameCalls, "name.apex_missing": nameCalls, "name.wildcard_depth": nameCalls,
		"name.ip_not_in_san": addressCalls, "name.ip_in_dns_san": addressCalls, "name.default_certificate": nameCalls,
		"name.cn_only": {chromium: "ERR_CERT_COMMON_NAME_INVALID", firefox: "SSL_ERROR_BAD_CERT_DOMAIN", golang: "x509: certificate relies on legacy Common Name field, use SANs instead", apple: "errSecHostNameMismatch (-67602)"},

		"revocation.revoked":             {"ERR_CERT_REVOKED", "SEC_ERROR_REVOKED_CERTIFICATE", 23, "", "", "The certificate chain is revoked", "errSecCertificateRevoked (-67820)", "CRYPT_E_REVOKED (0x80092010)", "Revoked"},
		"revocation.staple_invalid":      {firefox: "SEC_ERROR_OCSP_OLD_RESPONSE", gnutls: "The revocation or OCSP data are old and have been superseded"},
		"revocation.must_staple_missing": {firefox: "MOZILLA_PKIX_ERROR_REQUIRED_TLS_FEATURE_MISSING", gnutls: "The certificate requires the server to include an OCSP status in its response, but the OCSP status is missing"},
		"revocation.unavailable":         {firefox: "SEC_ERROR_OCSP_SERVER_ERROR", windows: "CRYPT_E_REVOCATION_OFFLINE (0x80092013)", dotnet: "RevocationStatusUnknown"},
		"policy.ct_required":             {chromium: "ERR_CERTIFICATE_TRANSPARENCY_REQUIRED", firefox: "MOZILLA_PKIX_ERROR_INSUFFICIENT_CERTIFICATE_TRANSPARENCY", apple: "errSecVerifyActionFailed (-67825)"},
		"policy.pin_mismatch":            {chromium: "ERR_SSL_PINNED_KEY_NOT_IN_CERT_CHAIN", firefox: "MOZILLA_PKIX_ERROR_KEY_PINNING_FAILURE"},

		"tls.plain_http":           {"ERR_SSL_PROTOCOL_ERROR", "SSL_ERROR_RX_RECORD_TOO_LONG", 0, "Unsupported or unrecognized SSL message", "http: server gave HTTP response to HTTPS client", "An unexpected TLS packet was received", "", "SEC_E_INVALID_TOKEN (0x80090308)", ""},
		"tls.not_tls":              {"ERR_SSL_PROTOCOL_ERROR", "SSL_ERROR_RX_RECORD_TOO_LONG", 0, "Unsupported or unrecognized SSL message", "tls: first record does not look like a TLS handshake", "An unexpected TLS packet was received", "", "SEC_E_INVALID_TOKEN (0x80090308)", ""},
		"tls.protocol_version":     {"ERR_SSL_VERSION_OR_CIPHER_MISMATCH", "SSL_ERROR_UNSUPPORTED_VERSION", 0, "Received fatal alert: protocol_version", "remote error: tls: protocol version not supported", "A TLS fatal alert has been received", "", "SEC_E_UNSUPPORTED_FUNCTION (0x80090302)", "Could not create SSL/TLS secure channel"},
		"tls.no_shared_cipher":     {"ERR_SSL_VERSION_OR_CIPHER_MISMATCH", "SSL_ERROR_NO_CYPHER_OVERLAP", 0, "Received fatal alert: handshake_failure", "remote error: tls: handshake failure", "A TLS fatal alert has been received", "", "SEC_E_ALGORITHM_MISMATCH (0x80090331)", "Could not create SSL/TLS secure channel"},
		"tls.unrecognized_name":    {"ERR_SSL_UNRECOGNIZED_NAME_ALERT", "SSL_ERROR_UNRECOGNIZED_NAME_ALERT", 0, "handshake alert: unrecognized_name", "remote error: tls: unrecognized name", "The server name sent was not recognized", "", "", ""},
		"tls.client_cert_required": {"ERR_BAD_SSL_CLIENT_AUTH_CERT", "SSL_ERROR_RX_CERTIFICATE_REQUIRED_ALERT", 0, "Received fatal alert: certificate_required", "remote error: tls: certificate required", "A TLS fatal alert has been received", "", "", ""},
		"tls.client_cert_rejected": {"ERR_BAD_SSL_CLIENT_AUTH_CERT", "SSL_ERROR_UNKNOWN_CA_ALERT", 0, "Received fatal alert: unknown_ca", "remote error: tls: unknown certificate authority", "A TLS fatal alert has been received", "", "", ""},
	}
})

// clientErrors returns what clients call a cause, by client. HOST and OTHER
// stand in it for the name that was asked for and those of the certificate.
func clientErrors(code string) map[string]string {
	w, ok := words()[code]
	if !ok {
		return nil
	}
	out := map[string]string{}
	set := func(id, text string) {
		if text != "" {
			out[id] = text
		}
	}
	set("chromium", w.chromium)
	set("firefox", w.firefox)
	if t, ok := openSSL()[w.openssl]; ok {
		for _, id := range []string{"openssl", "curl", "python", "node"} {
			set(id, opensslWords(id, w.openssl, t.text, t.node))
		}
	}
	set("java", w.java)
	set("go", w.golang)
	set("gnutls", w.gnutls)
	set("apple", w.apple)
	set("windows", w.windows)
	set("dotnet", w.dotnet)
	return out
}

// opensslWords writes an error of OpenSSL as its users do.
func opensslWords(id string, number int, text, node string) string {
	switch id {
	case "curl":
		if number == 62 || number == 64 {
			return "curl: (60) SSL: no alternative certificate subject name matches target host name 'HOST'"
		}
		return "curl: (60) SSL certificate problem: " + text
	case "python":
		if number == 62 {
			text = "Hostname mismatch, certificate is not valid for 'HOST'"
		}
		return "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: " + text
	case "node":
		return node
	}
	return "verify error:num=" + strconv.Itoa(number) + ":" + text
}
