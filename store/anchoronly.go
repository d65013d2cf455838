package store

import "slices"

// AnchorOnly tells what a change means in a store that can say one thing of a
// certificate, which is that it is trusted, for any purpose: whether it is to be
// in the store. now tells whether it is there. The error says why the store
// cannot hold what is wanted.
func (c Change) AnchorOnly(cert *Cert, now bool) (bool, error) {
	if cert.Version == 0 {
		return false, Because(ErrInput, "it is not a certificate")
	}
	if c.Trust == nil {
		if !now {
			return false, Because(ErrUnsupported, "this store holds a certificate only as trusted")
		}
		return true, nil
	}
	var trust Trust
	if now {
		trust = TrustFor(Trusted, PurposeAny)
	}
	next := trust.With(*c.Trust, c.Exact)
	switch {
	case slices.ContainsFunc(*c.Trust, func(r Rule) bool { return len(r.Hosts) > 0 || !r.DistrustAfter.IsZero() }):
		return false, Because(ErrUnsupported, "this store cannot limit trust to hosts or dates")
	case len(next) == 0:
		return false, Because(ErrUnsupported, "this store holds a certificate only as trusted")
	case len(next) > 1 || next[0].Purpose != PurposeAny:
		return false, Because(ErrUnsupported, "this store cannot tell purposes apart: what is in it is trusted for any")
	}
	switch next[0].Decision {
	case Distrusted:
		return false, nil
	case Trusted:
		return true, nil
	case Peer:
		if !cert.IsCA() {
			return true, nil
		}
	}
	return false, Because(ErrUnsupported, "this store cannot hold the decision %s", Printable(string(next[0].Decision)))
}
