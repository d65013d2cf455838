package app

import (
	"errors"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/render"
	"github.com/certtrust/certtrust/platform"
	"github.com/certtrust/certtrust/store"
)

func (a *App) distrustCommand() *cli.Command {
	return &cli.Command{
		Name:      "distrust",
		Usage:     "make certificates not trusted, the vendor's too",
		ArgsUsage: "FILE|-|FINGERPRINT...",
		Description: `A certificate is named by a file that holds it or by its SHA-256 fingerprint, of
which the first digits suffice.

   certtrust distrust 96bcec06264976f3 --dry-run`,
		Flags:  slices.Concat(selectFlags(), changeFlags()),
		Action: func(c *cli.Context) error { return a.withdraw(c, false) },
	}
}

func (a *App) removeCommand() *cli.Command {
	return &cli.Command{
		Name:      "remove",
		Aliases:   []string{"untrust"},
		Usage:     "take certificates out that did not come with the system",
		ArgsUsage: "FILE|-|FINGERPRINT...",
		Description: `A certificate is named by a file that holds it or by its SHA-256 fingerprint, of
which the first digits suffice; nothing else about it counts. What the vendor
shipped is not removed, but can be distrusted.

   certtrust remove ca.pem
   sudo certtrust remove 5f2a90c1d3e4b788`,
		Flags:  slices.Concat(selectFlags(), changeFlags()),
		Action: func(c *cli.Context) error { return a.withdraw(c, true) },
	}
}

// withdraw is distrust and remove.
func (a *App) withdraw(c *cli.Context, gone bool) error {
	if err := checkChangeFlags(c); err != nil {
		return err
	}
	found, err := a.changedStores(c)
	if err != nil {
		return err
	}
	list, err := a.inputs(c, found)
	if err != nil {
		return a.elsewhere(c, err)
	}
	held, err := heldBy(c, found)
	if err != nil {
		return err
	}
	ch := &change{app: a, c: c, command: c.Command.Name}
	distrusted := store.TrustFor(store.Distrusted, store.PurposeAny)
	some := false
	var wants []store.Change
	ch.want = func(store.Info) []store.Change { return wants }
	for _, g := range list {
		want := store.Change{Fingerprint: g.cert.SHA256, Absent: true}
		action := actRemoved
		if !gone {
			want = store.Change{Fingerprint: g.cert.SHA256, DER: g.cert.Raw, Trust: &distrusted}
			action = actDistrusted
		}
		if gone && !held[g.cert.SHA256] {
			action = actNotFound
		} else {
			some = true
		}
		wants = append(wants, want)
		ch.certificates = append(ch.certificates, render.NewChangeCertificate(g.cert, action, "", nil))
	}
	if err := ch.run(found); err != nil || some || ch.changed {
		return err
	}
	return a.elsewhere(c, &store.Error{Op: c.Command.Name, Err: store.Because(store.ErrNotFound, "%s holds it, so there is nothing to remove", none(found))})
}

func none(found []platform.Found) string {
	if len(found) == 1 {
		return "no entry of " + string(found[0].Info().ID)
	}
	return "none of the chosen stores"
}

// heldBy returns the fingerprints of all that the stores hold.
func heldBy(c *cli.Context, found []platform.Found) (map[store.Fingerprint]bool, error) {
	held := map[store.Fingerprint]bool{}
	for _, f := range found {
		r := readStore(c.Context, f)
		if r.err != nil && (selector(c).Names(r.info) || c.Context.Err() != nil) {
			return nil, r.err
		}
		for _, e := range r.entries {
			if e.Cert != nil {
				held[e.Cert.SHA256] = true
			}
		}
	}
	return held, nil
}

// elsewhere adds to an error that something was not found where it is instead.
func (a *App) elsewhere(c *cli.Context, err error) error {
	if !errors.Is(err, store.ErrNotFound) || selector(c).Empty() {
		return err
	}
	all, failed := platform.Detect(c.Context, a.Host, a.Backends, platform.Selector{})
	if failed != nil {
		return err
	}
	list, failed := a.inputs(c, all)
	if failed != nil {
		return err
	}
	var ids []string
	for _, f := range all {
		r := readStore(c.Context, f)
		for _, e := range r.entries {
			if e.Cert == nil || slices.Contains(ids, string(r.info.ID)) {
				continue
			}
			if slices.ContainsFunc(list, func(g given) bool { return g.cert.SHA256 == e.Cert.SHA256 }) {
				ids = append(ids, string(r.info.ID))
			}
		}
	}
	if len(ids) == 0 {
		return err
	}
	return &store.Error{Err: err, Hint: "it is in " + strings.Join(ids, ", ")}
}
