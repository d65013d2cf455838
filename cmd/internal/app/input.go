package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/render"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// given is a certificate that a command line names, and where it is from.
type given struct {
	cert *store.Cert
	from string // the file, "-", or the fingerprint
	item certfile.Item
}

// source names where it is from, for a message.
func (g given) source() string {
	if g.from == "-" {
		return "standard input"
	}
	return g.from
}

// inputs reads the arguments of a command: files, "-" for standard input, and
// fingerprints of certificates in the stores. Several copies of a certificate
// count once. Of a fingerprint that no store has, the error is
// [store.ErrNotFound]; of one that fits several certificates, it is
// [store.ErrInput].
func (a *App) inputs(c *cli.Context, stores reader) ([]given, error) {
	if !c.Args().Present() {
		return nil, usageHint("certtrust help "+c.Command.Name, "%s needs a file, \"-\" or a fingerprint", c.Command.Name)
	}
	var out []given
	for _, arg := range c.Args().Slice() {
		list, err := a.input(c, arg, stores)
		if err != nil {
			return nil, err
		}
		for _, g := range list {
			if !slices.ContainsFunc(out, func(o given) bool { return o.cert.SHA256 == g.cert.SHA256 }) {
				out = append(out, g)
			}
		}
	}
	return out, nil
}

func (a *App) input(c *cli.Context, arg string, stores reader) ([]given, error) {
	data, err := a.content(arg)
	if errors.Is(err, fs.ErrNotExist) && looksLikeFingerprint.MatchString(arg) {
		prefix, err := store.ParseFingerprintPrefix(arg)
		if err != nil {
			return nil, usage("%s is not a file, and %s", store.Printable(arg), err)
		}
		g, err := byFingerprint(c, prefix, stores)
		if err != nil {
			return nil, err
		}
		return []given{g}, nil
	}
	if err != nil {
		return nil, &store.Error{Op: "read", Path: given{from: arg}.source(), Err: store.Because(store.ErrInput, "%w", plain(err))}
	}
	file, err := certfile.Read(data)
	if err != nil {
		return nil, &store.Error{Op: "read", Path: given{from: arg}.source(), Err: err, Hint: store.Hint(err)}
	}
	for _, n := range file.Notices {
		place := store.Printable(given{from: arg}.source())
		if n.Line > 0 {
			place = fmt.Sprintf("%s, line %d", place, n.Line)
		}
		a.Streams.Warningf("%s: %s", place, n.Text)
	}
	var out []given
	for _, item := range file.Items {
		out = append(out, given{item.Cert, arg, item})
	}
	return out, nil
}

// looksLikeFingerprint tells what can only be meant as a fingerprint, if it is
// no file.
var looksLikeFingerprint = regexp.MustCompile(`(?i)^(sha-?256.*|[0-9a-f]{2}(:?[0-9a-f]{2})+:?)$`)

// plain takes the operation and the path off an error of the host: they are
// told already.
func plain(err error) error {
	var e *store.Error
	if errors.As(err, &e) && e.Hint == "" {
		return e.Err
	}
	return err
}

func (a *App) content(arg string) ([]byte, error) {
	if arg != "-" {
		return a.ReadFile(arg, certfile.MaxSize)
	}
	if a.Streams.InTTY {
		a.Streams.Noticef("reading certificates from standard input")
	}
	data, err := io.ReadAll(io.LimitReader(a.Streams.In, certfile.MaxSize+1))
	if err == nil && len(data) > certfile.MaxSize {
		err = fmt.Errorf("it is larger than %d MiB", certfile.MaxSize>>20)
	}
	return data, err
}

// byFingerprint finds the one certificate in the stores whose fingerprint
// begins with prefix.
func byFingerprint(c *cli.Context, prefix store.FingerprintPrefix, stores reader) (given, error) {
	var hits []*store.Cert
	for _, r := range stores() {
		for _, e := range r.entries {
			if e.Cert == nil || !prefix.Matches(e.Cert.SHA256) {
				continue
			}
			if !slices.ContainsFunc(hits, func(h *store.Cert) bool { return h.SHA256 == e.Cert.SHA256 }) {
				hits = append(hits, e.Cert)
			}
		}
	}
	switch len(hits) {
	case 1:
		return given{cert: hits[0], from: string(prefix)}, nil
	case 0:
		missing := &store.Error{Err: store.Because(store.ErrNotFound, "no store here holds a certificate with the fingerprint %s", prefix),
			Hint: "certtrust list shows the certificates, and certtrust stores the stores"}
		return given{}, several(append(stores.failures(selector(c)), missing))
	}
	return given{}, &store.Error{Err: store.Because(store.ErrInput, "the fingerprint %s fits %d certificates: %s and %s", prefix, len(hits), hits[0].SHA256, hits[1].SHA256),
		Hint: "give more digits"}
}

func (a *App) showCommand() *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "show a certificate in full, and where it is trusted",
		ArgsUsage: "FILE|-|FINGERPRINT...",
		Description: `   certtrust show ca.pem
   certtrust show 96bcec06264976f3`,
		Flags: slices.Concat(selectFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "pem", Usage: "with the certificate itself (json)"},
			formatFlag(render.Formats()),
		}),
		Action: func(c *cli.Context) error {
			found, err := a.stores(c)
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
				certs = append(certs, render.NewShowCertificate(g.cert, in, a.Host.Now(), c.Bool("pem")))
			}
			return errors.Join(a.write(c, render.NewShowDoc(certs)), several(stores.failures(selector(c))))
		},
	}
}
