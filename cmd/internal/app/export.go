package app

import (
	"bytes"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/render"
	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/store"
)

// exportFormats are the formats that certificates are written out in.
var exportFormats = []string{"pem"}

func (a *App) exportCommand() *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "write certificates out of the stores",
		ArgsUsage: "[FINGERPRINT...]",
		Description: `Those that are trusted, unless flags ask for others. Each certificate is written
once.

   certtrust export --system --output bundle.pem
   certtrust export 96bcec06264976f3`,
		Flags: slices.Concat(selectFlags(), filterFlags(), []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE` instead of standard output"},
			&cli.StringFlag{Name: "format", Usage: "write certificates as `FORMAT`: " + words(exportFormats)},
		}),
		Action: a.export,
	}
}

func (a *App) export(c *cli.Context) error {
	if c.Bool("json") {
		return usageHint("certtrust list --pem --json", "export writes no JSON")
	}
	prefixes, err := parsePrefixes(c.Args().Slice())
	if err != nil {
		return err
	}
	keep, err := a.filter(c)
	if err != nil {
		return err
	}
	matched := map[store.FingerprintPrefix]bool{}
	selected := func(e store.Entry) bool {
		if e.Cert == nil || !keep(e) {
			return false
		}
		if len(prefixes) == 0 {
			return c.Bool("distrusted") || e.Trust.Has(store.Trusted) || e.Trust.Has(store.Peer)
		}
		hit := false
		for _, p := range prefixes {
			if p.Matches(e.Cert.SHA256) {
				matched[p], hit = true, true
			}
		}
		return hit
	}
	streams := a.exportStreams()
	var out bytes.Buffer
	streams.Out = &out
	view, err := render.NewListView("pem", streams, render.ListOptions{})
	if err != nil {
		return err
	}
	failed := a.listing(c, view, selected)
	told := resultOf(c).told // that reading failed, but nothing else
	resultOf(c).told = false
	if failed != nil && (!told || out.Len() == 0) {
		return failed
	}
	for _, p := range prefixes {
		if !matched[p] {
			return &store.Error{Err: store.Because(store.ErrNotFound, "no store here holds a certificate with the fingerprint %s", p),
				Hint: "certtrust list shows the certificates"}
		}
	}
	if file := c.String("output"); file != "" {
		if err := a.WriteFile(file, out.Bytes()); err != nil {
			return &store.Error{Op: "write", Path: file, Err: plain(err)}
		}
	} else if _, err := a.Streams.Out.Write(out.Bytes()); err != nil {
		return err
	}
	resultOf(c).told = true
	return failed
}

// exportStreams returns streams like the program's own.
func (a *App) exportStreams() *term.Streams {
	return &term.Streams{In: a.Streams.In, Out: a.Streams.Out, Err: a.Streams.Err, Env: a.Streams.Env}
}
