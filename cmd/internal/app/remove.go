package app

import (
	"errors"
	"fmt"
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
		Flags:  slices.Concat(selectFlags(), changeFlags(), passwordFlags()),
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
   sudo certtrust remove 5f2a90c1d3e4b788

With --known-tools, what development tools such as mkcert, Caddy or step have
left goes; with --expired, what has expired; with both, what is both. Unless
--yes says that it is wanted, a person is asked.

   sudo certtrust remove --known-tools --expired`,
		Flags: slices.Concat(selectFlags(), changeFlags(), passwordFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "known-tools", Usage: "the CAs that development tools such as mkcert, Caddy or step made"},
			&cli.BoolFlag{Name: "expired", Usage: "what has expired, and no vendor put there"},
		}),
		Action: func(c *cli.Context) error {
			if c.Bool("known-tools") || c.Bool("expired") {
				return a.prune(c)
			}
			return a.withdraw(c, true)
		},
	}
}

// withdraw is distrust and remove.
func (a *App) withdraw(c *cli.Context, gone bool) error {
	found, err := a.changedStores(c)
	if err != nil {
		return err
	}
	stores := newReader(c.Context, found)
	list, err := a.inputs(c, stores)
	if errors.Is(err, store.ErrNotFound) && !gone {
		// What is to be distrusted need not be in the store that distrusts it.
		if all, failed := a.everywhere(c); failed == nil {
			if more, failed := a.inputs(c, newReader(c.Context, all)); failed == nil {
				list, err = more, nil
			}
		}
	}
	if errors.Is(err, store.ErrNotFound) {
		return a.elsewhere(c, found, err, func(fp store.Fingerprint) bool {
			return slices.ContainsFunc(c.Args().Slice(), func(arg string) bool {
				prefix, err := store.ParseFingerprintPrefix(arg)
				return err == nil && prefix.Matches(fp)
			})
		})
	}
	if err != nil {
		return err
	}
	held, err := heldBy(c, stores)
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
	ch.verdict = func(parts []*platform.Part) error {
		if some || slices.ContainsFunc(parts, func(p *platform.Part) bool { return p.Result != platform.Unchanged }) {
			return nil
		}
		missing := store.Because(store.ErrNotFound, "there is nothing to remove: %s", lacking(found))
		return a.elsewhere(c, found, missing, func(fp store.Fingerprint) bool {
			return slices.ContainsFunc(list, func(g given) bool { return g.cert.SHA256 == fp })
		})
	}
	return ch.run(found)
}

func lacking(found []platform.Found) string {
	const most = 4
	var ids []string
	for _, f := range found {
		ids = append(ids, string(f.Info().ID))
	}
	switch n := len(ids); {
	case n == 1:
		return ids[0] + " does not hold it"
	case n > most:
		return fmt.Sprintf("none of the %d stores holds it", n)
	}
	return "none of " + strings.Join(ids, ", ") + " holds it"
}

// heldBy returns the fingerprints of all that the stores hold.
func heldBy(c *cli.Context, stores reader) (map[store.Fingerprint]bool, error) {
	held := map[store.Fingerprint]bool{}
	for _, r := range stores() {
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

// elsewhere adds to an error that something was not found in the chosen stores
// where it is instead.
func (a *App) elsewhere(c *cli.Context, chosen []platform.Found, err error, sought func(store.Fingerprint) bool) error {
	all, failed := a.everywhere(c)
	if failed != nil {
		return err
	}
	var ids []string
	for _, f := range all {
		id := f.Info().ID
		if slices.ContainsFunc(chosen, func(f platform.Found) bool { return f.Info().ID == id }) {
			continue
		}
		if slices.ContainsFunc(readStore(c.Context, f).entries, func(e store.Entry) bool { return e.Cert != nil && sought(e.Cert.SHA256) }) {
			ids = append(ids, string(id))
		}
	}
	if len(ids) == 0 {
		return err
	}
	return &store.Error{Err: err, Hint: "it is in " + strings.Join(ids, ", ") + ": name that with --store"}
}

// everywhere returns all stores of the machine that a command is about.
func (a *App) everywhere(c *cli.Context) ([]platform.Found, error) {
	h, err := a.machine(c)
	if err != nil {
		return nil, err
	}
	return platform.Detect(c.Context, h, a.own(h), platform.Selector{})
}
