package app

import (
	"bytes"
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/render"
	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// exportFormats returns the names of the formats that certificates are written
// out in, the default first.
func exportFormats() []string {
	var names []string
	for _, w := range certfile.Writers() {
		names = append(names, w.Name)
	}
	return append(names, formatDir, formatSQLite)
}

// The formats that are no single file of certificates.
const (
	formatDir    = "dir"
	formatSQLite = "sqlite"
)

func (a *App) exportCommand() *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "write certificates out of the stores",
		ArgsUsage: "[FINGERPRINT...]",
		Description: `Those that are trusted, unless flags ask for others. Each certificate is written
once. Keystores are written without protection, or with the password that
--password-file or --password-env gives. "dir" makes a directory with OpenSSL's
hash links, "sqlite" an inventory of the stores to be queried. With --json the
report is on standard error: --format is what is written.

   certtrust export --system --output bundle.pem
   certtrust export --added --format p12 -o truststore.p12
   certtrust export 96bcec06264976f3 --format mobileconfig > ca.mobileconfig
   certtrust export --input ca.pem --format mobileconfig > ca.mobileconfig`,
		Flags: slices.Concat(selectFlags(), filterFlags(), passwordFlags(), []cli.Flag{
			&cli.StringSliceFlag{Name: "input", Usage: "take the certificates in `FILE` instead of those of the stores (may be repeated)"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE` instead of standard output"},
			&cli.StringFlag{Name: "format", Usage: "write certificates as `FORMAT`: " + words(exportFormats())},
		}),
		Action: a.export,
	}
}

// fromFiles returns the certificates in files, each once.
func (a *App) fromFiles(c *cli.Context, files []string) ([]certfile.Written, error) {
	var out []certfile.Written
	for _, file := range files {
		list, err := a.input(c, file, func() []read { return nil })
		if err != nil {
			return nil, err
		}
		for _, g := range list {
			if !slices.ContainsFunc(out, func(w certfile.Written) bool { return w.Cert.SHA256 == g.cert.SHA256 }) {
				out = append(out, certfile.Written{Cert: g.cert, Label: g.cert.Label()})
			}
		}
	}
	return out, nil
}

func (a *App) export(c *cli.Context) error {
	resultOf(c).json = false // standard output is for the certificates
	kind := c.String("format")
	if kind == "" {
		kind = "pem"
	}
	output := c.String("output")
	writer := slices.IndexFunc(certfile.Writers(), func(w certfile.Writer) bool { return w.Name == kind })
	switch {
	case kind == formatDir && output == "":
		return usage("--format dir needs a directory: --output DIR")
	case output == "" && a.Streams.OutTTY && (kind == formatSQLite || writer >= 0 && certfile.Writers()[writer].Binary):
		return usage("the format %s is not for a terminal: give a file with --output", kind)
	}
	passwords, err := a.passwords(c)
	if err != nil {
		return err
	}
	chosen, err := a.exporting(c)
	if err != nil {
		return err
	}
	streams := a.exportStreams()
	var out bytes.Buffer
	streams.Out = &out
	doc := render.NewExportDoc(kind, output)
	collected := &collector{}
	own := kind == "pem" || kind == formatSQLite // a listing as it is
	name := kind
	if !own {
		name = "none"
	}
	if collected.also, err = render.NewListView(name, streams, render.ListOptions{}); err != nil {
		return err
	}
	var failed error
	if files := c.StringSlice("input"); len(files) > 0 {
		if kind == formatSQLite || len(chosen.prefixes) > 0 {
			return usage("--input gives the certificates: they are neither named by fingerprints nor a listing of stores")
		}
		own = false
		if collected.list, err = a.fromFiles(c, files); err != nil {
			return err
		}
	} else {
		failed = a.listing(c, collected, chosen.has)
	}
	told := resultOf(c).written // that reading failed, but nothing else
	resultOf(c).told, resultOf(c).written, resultOf(c).json = false, false, false
	if failed != nil && (!told || len(collected.list) == 0) {
		return failed
	}
	if err := chosen.missed(); err != nil {
		return err
	}
	list := collected.list
	for _, w := range list {
		doc.Certificates = append(doc.Certificates, render.ExportCertificate{SHA256: w.Cert.SHA256, Label: w.Cert.Label()})
	}
	content := out.Bytes()
	switch {
	case kind == formatDir:
		err = a.writeDirectory(output, certfile.Directory(list))
	case !own && (len(list) > 0 || writer >= 0 && !certfile.Writers()[writer].One):
		o := certfile.WriteOptions{Now: a.Host.Now()}
		if len(passwords) > 0 {
			o.Password = passwords[0]
		}
		content, err = certfile.Encode(kind, list, o)
	}
	if err != nil {
		return err
	}
	switch {
	case kind == formatDir:
	case output != "":
		if err := a.WriteFile(output, content); err != nil {
			return &store.Error{Op: "write", Path: output, Err: plain(err)}
		}
	default:
		if _, err := a.Streams.Out.Write(content); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		if err := render.JSON(a.Streams.Err, doc); err != nil {
			return err
		}
	}
	resultOf(c).told = true
	return failed
}

// exporting is what is exported: the certificates with the fingerprints that are
// named or, if there are none, those that are trusted; of them, what the filter
// keeps.
type exporting struct {
	keep       func(store.Entry) bool
	distrusted bool // what is not trusted, too
	prefixes   []store.FingerprintPrefix
	matched    map[store.FingerprintPrefix]bool
}

func (a *App) exporting(c *cli.Context) (*exporting, error) {
	prefixes, err := parsePrefixes(c.Args().Slice())
	if err != nil {
		return nil, err
	}
	keep, err := a.filter(c)
	return &exporting{keep, c.Bool("distrusted"), prefixes, map[store.FingerprintPrefix]bool{}}, err
}

func (x *exporting) has(e store.Entry) bool {
	if e.Cert == nil || !x.keep(e) {
		return false
	}
	if len(x.prefixes) == 0 {
		return x.distrusted || e.Trust.Has(store.Trusted) || e.Trust.Has(store.Peer)
	}
	hit := false
	for _, p := range x.prefixes {
		if p.Matches(e.Cert.SHA256) {
			x.matched[p], hit = true, true
		}
	}
	return hit
}

// missed returns an error if a fingerprint that was named has not been found.
func (x *exporting) missed() error {
	for _, p := range x.prefixes {
		if !x.matched[p] {
			return &store.Error{Err: store.Because(store.ErrNotFound, "no store here holds a certificate with the fingerprint %s", p),
				Hint: "certtrust list shows the certificates"}
		}
	}
	return nil
}

// collector is a view of a listing that keeps the certificates, each once, and
// passes all on to another view.
type collector struct {
	also render.ListView
	list []certfile.Written
	seen map[store.Fingerprint]bool
}

func (v *collector) Header(h render.ListHeader) error {
	v.seen = map[store.Fingerprint]bool{}
	return v.also.Header(h)
}

func (v *collector) Record(r render.ListRecord) error {
	if cert := r.Cert(); cert != nil && !v.seen[cert.SHA256] {
		v.seen[cert.SHA256] = true
		v.list = append(v.list, certfile.Written{Cert: cert, Label: r.Label})
	}
	return v.also.Record(r)
}

func (v *collector) End(s render.ListSummary) error {
	slices.SortStableFunc(v.list, func(a, b certfile.Written) int {
		return cmp.Or(strings.Compare(strings.ToLower(a.Label), strings.ToLower(b.Label)), bytes.Compare(a.Cert.SHA256[:], b.Cert.SHA256[:]))
	})
	return v.also.End(s)
}

// exportStreams returns streams like the program's own.
func (a *App) exportStreams() *term.Streams {
	return &term.Streams{In: a.Streams.In, Out: a.Streams.Out, Err: a.Streams.Err, Env: a.Streams.Env}
}

// writeDirectory makes a directory of files and links.
func (a *App) writeDirectory(dir string, files []certfile.DirFile) error {
	if err := a.WriteDir(dir, files); err != nil {
		return &store.Error{Op: "write", Path: dir, Err: plain(err), Hint: store.Hint(err)}
	}
	return nil
}

// writeDir writes a directory that is new or empty: nothing of another's is
// replaced. Where there are no links, they are copies.
func writeDir(h *host.Host, dir string, files []certfile.DirFile) error {
	if err := h.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	there, err := h.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(there) > 0 {
		return store.Because(store.ErrConflict, "the directory is not empty")
	}
	contents := map[string][]byte{}
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		contents[f.Name] = f.Content
		if f.Link != "" {
			if err = h.Symlink(f.Link, path, host.WriteOptions{}); err == nil {
				continue
			}
			f.Content = contents[f.Link]
		}
		if err := h.WriteFile(path, f.Content, host.WriteOptions{Mode: 0o644}); err != nil {
			return err
		}
	}
	return nil
}
