package diagnose

import (
	"context"
	"errors"
	"slices"

	"github.com/certtrust/certtrust/store"
)

// Complete returns the issuers that are missing above a chain, leaf first, as
// far as the certificates tell where they are (RFC 5280, 4.2.2.1) and the
// fetcher gets them: each is the issuer of the one before it by name and by
// signature. That the chain ends without a root is no error; one that says
// where its issuer is, which cannot be had, is.
func Complete(ctx context.Context, chain []*store.Cert, f Fetcher) ([]*store.Cert, error) {
	e := &engine{ctx: ctx, in: Input{Fetcher: f}, nodes: map[store.Fingerprint]*node{}, edges: map[[2]store.Fingerprint]edge{}}
	e.net = newFetches(e)
	var have []*node
	for _, c := range chain {
		have = append(have, e.node(c, "sent"))
	}
	if len(have) == 0 {
		return nil, nil
	}
	var more []*store.Cert
	top := have[0]
	for range maxFetches + len(have) {
		if top.SelfIssued() {
			return more, nil
		}
		issuer := func(n *node) bool {
			return string(n.Subject.Raw) == string(top.Issuer.Raw) && e.link(top, n).follow() && n != top
		}
		if i := slices.IndexFunc(have, issuer); i >= 0 {
			top = have[i]
			have = slices.Delete(have, i, i+1)
			continue
		}
		urls := issuerURLs(top)
		if len(urls) == 0 {
			return more, nil
		}
		if !e.fetchIssuer(top) {
			errs := []error{ctx.Err()}
			for _, failed := range e.net.failures(urls) {
				errs = append(errs, store.Because(store.ErrFailed, "%s: %s", store.Printable(failed.url), failed.text))
			}
			return more, errors.Join(errs...)
		}
		i := slices.IndexFunc(e.fetched, issuer)
		if i < 0 { // it is one that was passed already: a circle
			return more, nil
		}
		top = e.fetched[i]
		e.fetched = slices.Delete(e.fetched, i, i+1)
		more = append(more, top.Cert)
	}
	return more, nil
}
