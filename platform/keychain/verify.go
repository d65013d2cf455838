package keychain

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"github.com/certtrust/certtrust/store"
)

// Verify has the system judge a chain for a server: on macOS the verifier of
// the standard library is SecTrust itself, which heeds all trust settings. For
// other purposes, and of a machine that is not this one, there is no judgement.
func (s *Store) Verify(ctx context.Context, chain []*store.Cert, purpose store.Purpose, name string, at time.Time) (store.Verdict, error) {
	fail := func(format string, args ...any) (store.Verdict, error) {
		return store.Verdict{}, &store.Error{Op: "verify", Store: s.info.ID, Err: store.Because(store.ErrUnsupported, format, args...)}
	}
	switch {
	case s.host.OS != "darwin" || s.host.Root != "" || !s.host.Live:
		return fail("only a running Mac can judge as macOS does")
	case purpose != store.PurposeServerAuth && purpose != store.PurposeAny:
		return fail("macOS is only asked about servers, not about %s", store.Printable(string(purpose)))
	case len(chain) == 0 || chain[0].Parsed() == nil:
		return fail("there is no certificate that could be judged")
	}
	if err := ctx.Err(); err != nil {
		return store.Verdict{}, err
	}
	return judge(chain, name, at), nil
}

// judge is the verifier of the standard library, with the system's roots.
func judge(chain []*store.Cert, name string, at time.Time) store.Verdict {
	// Without Roots it asks the system, and takes nothing but a CertPool for the
	// others.
	o := x509.VerifyOptions{Intermediates: x509.NewCertPool(), DNSName: name, CurrentTime: at}
	for _, c := range chain[1:] {
		if c.Parsed() != nil {
			o.Intermediates.AddCert(c.Parsed())
		}
	}
	chains, err := chain[0].Parsed().Verify(o)
	if err != nil {
		v := store.Verdict{Reasons: []string{store.Printable(err.Error())}}
		var unknown x509.UnknownAuthorityError
		if errors.As(err, &unknown) {
			v.Reasons = append(v.Reasons, "unknown-authority")
		}
		return v
	}
	v := store.Verdict{Trusted: true}
	for _, c := range chains[0] {
		v.Path = append(v.Path, store.FingerprintOf(c.Raw))
	}
	return v
}
