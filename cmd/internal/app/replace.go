package app

import (
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/render"
	"github.com/certtrust/certtrust/store"
)

func replacesFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "replaces", Usage: "in the same change, take out `OLD`, a file or a fingerprint, wherever it is in the stores (may be repeated)"}
}

// replacement is what takes the place of others in the stores: what is done with
// those, by store.
type replacement struct {
	certificates []render.ChangeCertificate
	wants        map[store.ID][]store.Change
}

// replaced returns what --replaces means for the stores. Of each store's own
// only what is in it goes; what its vendor put there is distrusted.
func (a *App) replaced(c *cli.Context, stores reader, taken []given) (replacement, error) {
	r := replacement{wants: map[store.ID][]store.Change{}}
	for _, arg := range c.StringSlice("replaces") {
		list, err := a.input(c, arg, stores)
		if err != nil {
			return r, err
		}
		there := false
		for _, g := range list {
			fp := g.cert.SHA256
			if slices.ContainsFunc(taken, func(n given) bool { return n.cert.SHA256 == fp }) {
				return r, usage("--replaces %s: it is what is to be trusted itself", store.Printable(arg))
			}
			held := false
			for _, st := range stores() {
				own, vendors := false, false
				for _, e := range st.entries {
					if e.Cert != nil && e.Cert.SHA256 == fp {
						own = own || e.Origin.By != store.ByVendor
						vendors = vendors || e.Origin.By == store.ByVendor
					}
				}
				switch {
				case vendors:
					distrusted := store.TrustFor(store.Distrusted, store.PurposeAny)
					r.wants[st.info.ID] = append(r.wants[st.info.ID], store.Change{Fingerprint: fp, DER: g.cert.Raw, Trust: &distrusted})
				case own:
					r.wants[st.info.ID] = append(r.wants[st.info.ID], store.Change{Fingerprint: fp, Absent: true})
				}
				held = held || own || vendors
			}
			if held {
				there = true
				r.certificates = append(r.certificates, render.NewChangeCertificate(g.cert, actRemoved, "it is replaced", nil))
			}
		}
		if !there {
			return r, &store.Error{Err: store.Because(store.ErrNotFound, "%s, which is to be replaced, is in none of the chosen stores", store.Printable(arg)),
				Hint: "leave --replaces out, or name the store that holds it with --store"}
		}
	}
	return r, nil
}
