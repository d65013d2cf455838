package app

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/render"
	"github.com/certtrust/certtrust/platform"
	"github.com/certtrust/certtrust/platform/clients"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/merged"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/diagnose"
)

func (a *App) envCommand() *cli.Command {
	return &cli.Command{
		Name:      "env",
		Usage:     "print the environment that makes the programs here trust chosen roots",
		ArgsUsage: "[FILE|FINGERPRINT...]",
		Description: `Without arguments the roots are those that no vendor has put into the system's
store. A variable that takes the place of a program's roots names a file with
the system's roots and the chosen ones, which certtrust keeps up to date; one
that adds to them names the chosen ones alone. What no variable helps is told.

   eval "$(certtrust env ca.pem)"
   certtrust env --format fish | source
   certtrust env --format powershell | Out-String | Invoke-Expression
   certtrust env --format systemd > trust.conf    belongs into NAME.service.d
   certtrust env --format dockerfile >> Dockerfile
   certtrust env --check       are the files as they should be? (3 if not)`,
		Flags: slices.Concat(selectFlags(), passwordFlags(), []cli.Flag{
			&cli.StringFlag{Name: "format", Usage: "write it for `DIALECT`: " + words(render.EnvFormats()), DefaultText: "that of your shell"},
			&cli.BoolFlag{Name: "all", Usage: "for every known program, and not only for those that are installed"},
			&cli.BoolFlag{Name: "check", Usage: "write nothing, and tell whether the files are as they should be"},
		}),
		Action: a.env,
	}
}

func (a *App) env(c *cli.Context) error {
	if c.IsSet("root") {
		return usage("--root looks at a system that runs no programs of yours")
	}
	system, added, err := a.systemRoots(c.Context)
	if err != nil {
		return err
	}
	files := merged.In(a.Host)
	chosen := added
	switch {
	case c.Args().Present():
		list, err := a.inputs(c, newReader(c.Context, a.found(c)))
		if err != nil {
			return err
		}
		chosen = nil
		for _, g := range list {
			if concerns := store.Concerns(g.cert, a.Host.Now()); slices.ContainsFunc(concerns, func(x store.Concern) bool { return x.Never || x.Code == "leaf" }) {
				return &store.Error{Path: g.source(), Err: store.Because(store.ErrInput, "\"%s\" is no certificate authority", store.Printable(g.cert.Label()))}
			}
			chosen = append(chosen, g.cert)
		}
	case c.Bool("check"):
		chosen = files.Chosen(a.Host)
	}
	doc := render.NewEnvDoc(a.dialect(c), files.Dir)
	for _, cert := range chosen {
		doc.Roots = append(doc.Roots, render.EnvRoot{SHA256: cert.SHA256, Label: cert.Label()})
	}
	if c.Bool("check") {
		exists, stale, err := files.Stale(a.Host, system, chosen)
		if err != nil {
			return err
		}
		doc.Changed = !exists || stale
	} else if doc.Changed, err = files.Build(a.Host, system, chosen); err != nil {
		return err
	}
	if len(chosen) == 0 && !c.Bool("check") {
		a.Streams.Warningf("no root is chosen, and nobody has added one to the system's store: what is printed changes nothing")
	}
	// A container has other programs than this machine, and that and a service have
	// nothing of the caller's environment.
	image, environ := render.EnvForImage(a.dialect(c)), a.Environ
	if image || a.dialect(c) == "systemd" {
		environ = slices.DeleteFunc(slices.Clone(environ), func(pair string) bool { return !strings.HasPrefix(pair, "PATH=") })
	}
	at := func(file string) string {
		if image {
			return path.Join(render.ImageDir, path.Base(file))
		}
		return file
	}
	pointers := clients.Pointers{Extra: at(files.Extra), Merged: at(files.Merged), Java: at(files.Java), Wget: at(files.Wget)}
	doc.Variables, doc.Unmended = clients.Environment(a.Host, environ, pointers, image || c.Bool("all"), image || a.nodeIsOld(c.Context))
	doc.Files = used(doc.Variables, files)
	for _, o := range clients.Overrides(c.Context, a.Host, a.Environ) {
		if o.Effect == diagnose.Disables {
			a.Streams.Warningf("%s: %s makes %s verify nothing", store.Printable(o.Source), store.Printable(o.Name), diagnose.ClientTitle(o.Client))
		}
	}
	if !image {
		for _, o := range clients.Outdone(c.Context, a.Host, environ, doc.Variables, chosen) {
			a.Streams.Warningf("%s: %s counts more for %s than the variables, and does not hold the chosen roots", store.Printable(o.Source), store.Printable(o.Name), diagnose.ClientTitle(o.Client))
		}
	}
	if c.Bool("check") {
		if format(c) == "json" {
			err = a.write(c, doc)
		}
		if err == nil && doc.Changed {
			err = &store.Error{Path: files.Dir, Err: store.Because(store.ErrFindings, "the files are not as they should be now"), Hint: "certtrust env writes them anew"}
		}
		return err
	}
	return a.writeEnv(c, doc)
}

// writeEnv writes the document as data, or in its dialect.
func (a *App) writeEnv(c *cli.Context, doc render.EnvDoc) error {
	f := format(c)
	if f != "json" && f != "jsonl" {
		f = ""
	}
	r := resultOf(c)
	r.json, r.written = r.json || f != "", true
	return render.Write(a.Streams, f, doc)
}

// dialect returns the dialect that is asked for, or that of the caller's shell.
func (a *App) dialect(c *cli.Context) string {
	if f := c.String("format"); f != "" {
		return f
	}
	switch {
	case path.Base(a.Host.Env("SHELL")) == "fish":
		return "fish"
	case a.Host.OS == "windows":
		return "powershell"
	}
	return "sh"
}

// used returns the files that variables name.
func used(variables []clients.Variable, f merged.Files) (out []string) {
	for _, file := range []string{f.Extra, f.Merged, f.Java, f.Wget} {
		if slices.ContainsFunc(variables, func(v clients.Variable) bool { return strings.Contains(v.Value, path.Base(file)) }) || file == f.Merged {
			out = append(out, file)
		}
	}
	return out
}

// found returns the selected stores, none if there are none.
func (a *App) found(c *cli.Context) []platform.Found {
	found, _ := a.stores(c)
	return found
}

// systemRoots returns the roots that the system trusts for servers, and those of
// them that no vendor has put there. A system without a store has none.
func (a *App) systemRoots(ctx context.Context) (all, added []*store.Cert, err error) {
	found, err := platform.Detect(ctx, a.Host, a.Backends, platform.Selector{System: true})
	if store.Code(err) == store.Code(store.ErrUnsupported) {
		return nil, nil, nil
	} else if err != nil {
		return nil, nil, err
	}
	for _, f := range found {
		if f.Info().DerivedFrom != "" || !f.Info().Default {
			continue
		}
		r := readStore(ctx, f)
		if r.err != nil {
			return nil, nil, r.err
		}
		for _, e := range r.entries {
			if e.Cert == nil || e.Trust.For(store.PurposeServerAuth) != store.Trusted {
				continue
			}
			all = append(all, e.Cert)
			if e.Origin.By != store.ByVendor {
				added = append(added, e.Cert)
			}
		}
	}
	return all, added, nil
}

// nodeIsOld asks Node for its version.
func (a *App) nodeIsOld(ctx context.Context) bool {
	node := clients.FindProgram(a.Host, a.Environ, "node", "nodejs")
	if node == "" {
		return false
	}
	out, err := a.Host.Run(ctx, host.Command{Args: []string{node, "--version"}})
	return err == nil && clients.NodeIsOld(string(out.Stdout))
}

// refreshMerged brings the files that variables name up to date, after the
// system's store was changed, if somebody uses them.
func (a *App) refreshMerged(ctx context.Context, c *cli.Context) {
	files := merged.In(a.Host)
	if _, err := a.Host.Stat(files.Merged); err != nil {
		return
	}
	system, _, err := a.systemRoots(ctx)
	if err == nil {
		_, err = files.Build(a.Host, system, files.Chosen(a.Host))
	}
	if err != nil {
		a.Streams.Warningf("the files of certtrust env could not be brought up to date: %v", err)
	}
}
