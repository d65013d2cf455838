package app

import (
	"bytes"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/render"
	"github.com/certtrust/certtrust/platform/probe"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
	"github.com/certtrust/certtrust/store/diagnose"
)

// fetchFormats are the ways to write a chain.
var fetchFormats = []string{"pem", "json", "table"}

func (a *App) fetchCommand() *cli.Command {
	return &cli.Command{
		Name:      "fetch",
		Usage:     "get the certificates that a server sends, as they are",
		ArgsUsage: "HOST|HOST:PORT|URL",
		Description: `The server's own certificate comes first. A URL with a path is a file, which may
be of any format that holds certificates. Nothing is verified and nothing is
trusted: what comes from the network is to be compared with what its owner
says before anybody trusts it.

   certtrust fetch www.example.com
   certtrust fetch www.example.com --complete -o fullchain.pem
   certtrust fetch https://ca.example.com/root.p7b -o root.pem
   certtrust fetch --starttls smtp mail.example.com --json`,
		Flags: slices.Concat(targetFlags(), passwordFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "complete", Usage: "get the issuers that the server does not send from where the certificates say they are"},
			&cli.StringSliceFlag{Name: "fingerprint", Usage: "the file is wanted for this SHA-256 `FINGERPRINT`: a server that is not trusted will do"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE` instead of standard output"},
			&cli.StringFlag{Name: "format", Usage: "write as `FORMAT`: " + words(fetchFormats)},
		}),
		Action: a.fetch,
	}
}

func (a *App) fetch(c *cli.Context) error {
	if c.NArg() != 1 {
		return usageHint("certtrust help fetch", "fetch needs one HOST, HOST:PORT or URL")
	}
	if arg := c.Args().First(); isURL(arg) && !isServer(arg) {
		return a.fetchFile(c, arg)
	}
	t, err := a.target(c, c.Args().First())
	if err != nil {
		return err
	}
	t.HTTPS = false // nothing is asked of the server but its certificates
	timeout := probeTimeout
	if d := resultOf(c).timeout; d > 0 {
		timeout = d
	}
	a.Streams.Status("asking " + store.Printable(t.Input))
	capture := probe.Probe(resultOf(c).untimed, t, probe.Options{Timeout: timeout})
	if err := resultOf(c).untimed.Err(); err != nil {
		return err
	}
	if len(capture.Certificates) == 0 {
		return noChain(capture)
	}
	var sent, all []*store.Cert
	for _, der := range capture.Certificates {
		sent = append(sent, store.NewCert(der))
	}
	all = slices.Clone(sent)
	if c.Bool("complete") {
		a.Streams.Status("getting issuers")
		more, err := diagnose.Complete(resultOf(c).untimed, sent, probe.NewFetcher(probe.FetchOptions{Target: probe.TargetAddr(capture), Proxy: t.Proxy}))
		if err != nil {
			a.Streams.Warningf("the chain could not be completed: %v", err)
		}
		all = append(all, more...)
	}
	a.Streams.Status("")
	doc := render.NewFetchDoc(t.Input, capture.Address)
	for i, cert := range all {
		source := "sent"
		if i >= len(sent) {
			source = "aia"
		}
		doc.Certificates = append(doc.Certificates, render.NewFetchCertificate(cert, source, a.Host.Now()))
	}
	return a.putFetched(c, doc)
}

// fetchFile gets a file of certificates.
func (a *App) fetchFile(c *cli.Context, address string) error {
	data, err := a.download(c, address)
	if err != nil {
		return err
	}
	file, err := a.readFile(c, address, data)
	if err != nil {
		return err
	}
	doc := render.NewFetchDoc(address, "")
	items := file.Items
	if wanted := pins(c); len(wanted) > 0 { // a server that nobody vouches for may have sent anything
		items = slices.DeleteFunc(items, func(i certfile.Item) bool {
			return !slices.ContainsFunc(wanted, func(p store.FingerprintPrefix) bool { return p.Matches(i.Cert.SHA256) })
		})
		if len(items) < len(wanted) {
			return &store.Error{Op: "fetch", Path: address, Err: store.Because(store.ErrInput, "no certificate in it has the fingerprint %s", wanted[0])}
		}
	}
	for _, item := range items {
		doc.Certificates = append(doc.Certificates, render.NewFetchCertificate(item.Cert, "file", a.Host.Now()))
	}
	for _, n := range file.Notices {
		a.Streams.Warningf("%s", strings.TrimPrefix(n.Place()+": "+n.Text, ": "))
	}
	return a.putFetched(c, doc)
}

// putFetched writes the document to where it was asked for.
func (a *App) putFetched(c *cli.Context, doc render.FetchDoc) error {
	file := c.String("output")
	if file == "" {
		return a.writeFetched(c, doc)
	}
	streams, out := a.exportStreams(), new(bytes.Buffer)
	real := a.Streams
	streams.Out, a.Streams = out, streams
	err := a.writeFetched(c, doc)
	a.Streams = real
	if err == nil {
		err = a.WriteFile(file, out.Bytes())
	}
	if err != nil {
		return &store.Error{Op: "write", Path: file, Err: plain(err)}
	}
	return nil
}

func (a *App) writeFetched(c *cli.Context, doc render.FetchDoc) error {
	if f := format(c); f == "" || f == "pem" {
		return doc.PEM(a.Streams)
	}
	return a.write(c, doc)
}

// noChain is the error for a server that showed no certificate.
func noChain(capture *diagnose.Capture) error {
	text, hint := "it sent no certificate", ""
	if f := capture.Failure; f != nil {
		text, hint = f.Code+": "+f.Text, "certtrust diagnose tells more"
	}
	return &store.Error{Op: "fetch", Path: capture.Target.Input, Err: store.Because(store.ErrNoVerdict, "%s", store.Printable(text)), Hint: hint}
}
