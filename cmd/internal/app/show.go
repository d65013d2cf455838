package app

import (
	"errors"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/render"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/lint"
)

func (a *App) showCommand() *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "show a certificate in full, and where it is trusted",
		ArgsUsage: "FILE|-|FINGERPRINT|URL|HOST:PORT...",
		Description: `Files of every common format are read, whatever they are called: PEM and DER,
PKCS#7, PKCS#12 and Java's keystores, archives, profiles and more.

   certtrust show ca.pem
   certtrust show 96bcec06264976f3
   certtrust show --lint ca.pem           which programs will refuse it, and why
   certtrust show www.example.com:443`,
		Flags: slices.Concat(selectFlags(), passwordFlags(), targetFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "lint", Usage: "tell which well-known programs will refuse it as a trust anchor"},
			&cli.BoolFlag{Name: "pem", Usage: "with the certificate itself (json)"},
			formatFlag(render.Formats()),
		}),
		Action: func(c *cli.Context) error {
			found, err := a.storesRead(c)
			if err != nil && !(errors.Is(err, store.ErrUnsupported) && selector(c).Empty()) {
				return err
			}
			stores := newReader(c.Context, found)
			list, err := a.inputs(c, stores)
			if err != nil {
				return err
			}
			var certs []render.ShowCertificate
			for _, g := range list {
				var in []render.Holding
				for _, r := range stores() {
					for _, e := range r.entries {
						if e.Cert != nil && e.Cert.SHA256 == g.cert.SHA256 {
							in = append(in, render.NewHolding(r.info.ID, e))
						}
					}
				}
				shown := render.NewShowCertificate(g.cert, in, a.Host.Now(), c.Bool("pem"))
				shown.From, shown.PrivateKey = g.item.Place(), g.item.HasKey
				if c.Bool("lint") {
					shown.WithLint(lint.Check(g.cert, a.Host.Now()))
				}
				certs = append(certs, shown)
			}
			return errors.Join(a.write(c, render.NewShowDoc(certs)), several(stores.failures(selector(c))))
		},
	}
}
