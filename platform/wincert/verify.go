package wincert

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/certtrust/certtrust/store"
)

// statuses are what Windows says about a chain (CERT_TRUST_…), worst first.
var statuses = []struct {
	bit  uint32
	name string
	text string
}{
	{0x4000000, "EXPLICIT_DISTRUST", "it is explicitly distrusted"},
	{0x4, "REVOKED", "a certificate is revoked"},
	{0x20, "UNTRUSTED_ROOT", "its root is not trusted"},
	{0x10000, "PARTIAL_CHAIN", "it leads to no root: a certificate is missing"},
	{0x1, "NOT_TIME_VALID", "a certificate is expired or not yet valid"},
	{0x8, "NOT_SIGNATURE_VALID", "a signature does not fit"},
	{0x10, "NOT_VALID_FOR_USAGE", "a certificate is not for this purpose"},
	{0x80, "CYCLIC", "it goes in a circle"},
	{0x100, "INVALID_EXTENSION", "an extension is not understood"},
	{0x200, "INVALID_POLICY_CONSTRAINTS", "its policy constraints are not kept"},
	{0x400, "INVALID_BASIC_CONSTRAINTS", "an issuer is no certificate authority, or the chain is longer than it may be"},
	{0x800, "INVALID_NAME_CONSTRAINTS", "its name constraints cannot be read"},
	{0x1000, "HAS_NOT_SUPPORTED_NAME_CONSTRAINT", "a name constraint is not understood"},
	{0x2000, "HAS_NOT_DEFINED_NAME_CONSTRAINT", "a name constraint does not say anything about a name"},
	{0x4000, "HAS_NOT_PERMITTED_NAME_CONSTRAINT", "a name is not permitted by its name constraints"},
	{0x8000, "HAS_EXCLUDED_NAME_CONSTRAINT", "a name is excluded by its name constraints"},
	{0x100000, "HAS_WEAK_SIGNATURE", "a signature is weak"},
	{0x8000000, "HAS_NOT_SUPPORTED_CRITICAL_EXT", "a critical extension is not understood"},
	{0x20000, "CTL_IS_NOT_TIME_VALID", "a trust list is expired"},
	{0x40000, "CTL_IS_NOT_SIGNATURE_VALID", "the signature of a trust list does not fit"},
	{0x80000, "CTL_IS_NOT_VALID_FOR_USAGE", "a trust list is not for this purpose"},
	{0x40, "REVOCATION_STATUS_UNKNOWN", "whether it is revoked is not known"},
	{0x1000000, "IS_OFFLINE_REVOCATION", "who knows whether it is revoked cannot be reached"},
	{0x2000000, "NO_ISSUANCE_CHAIN_POLICY", "it has no issuance policy"},
}

// policies are why the policy for servers refuses a chain.
var policies = []struct {
	code uint32
	name string
	text string
}{
	{0x800B010F, "CERT_E_CN_NO_MATCH", "it is for another host"},
	{0x800B0101, "CERT_E_EXPIRED", "it is expired or not yet valid"},
	{0x800B0109, "CERT_E_UNTRUSTEDROOT", "its root is not trusted"},
	{0x800B010A, "CERT_E_CHAINING", "it leads to no trusted root"},
	{0x800B0110, "CERT_E_WRONG_USAGE", "it is not for this purpose"},
	{0x800B0106, "CERT_E_PURPOSE", "it is not for this purpose"},
	{0x800B0103, "CERT_E_ROLE", "a certificate has the wrong role in it"},
	{0x800B0111, "TRUST_E_EXPLICIT_DISTRUST", "it is explicitly distrusted"},
	{0x800B010C, "CERT_E_REVOKED", "a certificate is revoked"},
	{0x800B0114, "CERT_E_INVALID_NAME", "a name in it is not permitted"},
	{0x80096019, "TRUST_E_BASIC_CONSTRAINTS", "its basic constraints are not kept"},
	{0x80096004, "TRUST_E_CERT_SIGNATURE", "a signature does not fit"},
}

// Verify implements [store.Verifier]: Windows judges as it does for services
// (a store of the machine) or for this user's programs. It may fetch roots of
// Microsoft's programme and missing intermediates meanwhile, as it would for
// them. Revocation is not looked at.
func (s *Store) Verify(ctx context.Context, chain []*store.Cert, purpose store.Purpose, hostName string, at time.Time) (store.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return store.Verdict{}, s.failed("verify", err)
	}
	if len(chain) == 0 {
		return store.Verdict{}, s.failed("verify", store.Because(store.ErrInput, "there is no certificate to judge"))
	}
	r := ChainRequest{At: at, Machine: !s.at.user}
	for _, c := range chain {
		r.Chain = append(r.Chain, c.Raw)
	}
	if purpose != store.PurposeAny && purpose != "" {
		oid, err := oidOf(purpose)
		if err != nil {
			return store.Verdict{}, s.failed("verify", err)
		}
		r.Usage = oid.String()
	}
	address, notAName := netip.ParseAddr(hostName)
	if hostName != "" && notAName != nil {
		r.Host = hostName
	}
	result, err := s.api.Chain(r)
	if err != nil {
		return store.Verdict{}, s.failed("verify", err)
	}
	verdict := store.Verdict{Reasons: reasons(result)}
	for _, der := range result.Path {
		verdict.Path = append(verdict.Path, store.FingerprintOf(der))
	}
	if hostName != "" {
		leaf := chain[0].Parsed()
		name := hostName
		if notAName == nil {
			name = address.String()
		}
		switch {
		case leaf == nil:
			verdict.Reasons = append(verdict.Reasons, "the server's certificate is not well-formed, so that nothing tells for which host it is")
		case leaf.VerifyHostname(name) != nil && result.Policy != policies[0].code:
			verdict.Reasons = append(verdict.Reasons, policies[0].text)
		}
	}
	verdict.Trusted = len(verdict.Reasons) == 0
	return verdict, nil
}

// reasons puts the bits and codes into words.
func reasons(r ChainResult) []string {
	var out []string
	left := r.Status
	for _, row := range statuses {
		if left&row.bit != 0 {
			out = append(out, row.text+" ("+row.name+")")
			left &^= row.bit
		}
	}
	if left != 0 {
		out = append(out, fmt.Sprintf("Windows says %#x", left))
	}
	if r.Policy == 0 || r.Status != 0 && r.Policy != policies[0].code {
		return out // it only says the same again
	}
	for _, row := range policies {
		if row.code == r.Policy {
			return append(out, row.text+" ("+row.name+")")
		}
	}
	return append(out, fmt.Sprintf("Windows says %#x", r.Policy))
}
