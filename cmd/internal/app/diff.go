package app

import (
	"errors"
	"io/fs"
	"os"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/render"
	"github.com/certtrust/certtrust/platform"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/audit"
	"github.com/certtrust/certtrust/store/certfile"
)

func (a *App) diffCommand() *cli.Command {
	return &cli.Command{
		Name:      "diff",
		Usage:     "tell what one store, machine or list of roots trusts and another does not",
		ArgsUsage: "A [B]",
		Description: `A and B are each one of these; without B, A is compared with this machine:

   here             all stores of this machine
   ID, PATTERN      stores of this machine, such as anchors:system or 'nss:*'
   mozilla          Mozilla's root programme
   FILE, -          a listing (of "list", as json or jsonl) of another machine
                    or of yesterday, a baseline of audit, or certificates
   DIR              the system in it: an image, or a mounted disk

   certtrust diff anchors:system mozilla
   certtrust diff yesterday.jsonl                what has changed here since
   certtrust diff web1.jsonl web2.jsonl
   certtrust diff /mnt/image here --format markdown

Two machines are compared store by store. With certificates in a file or a
programme, what is trusted for servers is. Exit codes: 0 they are the same, 3
they differ.`,
		Flags: slices.Concat(passwordFlags(), []cli.Flag{
			secretFlag(),
			formatFlag(render.DiffFormats()),
		}),
		Action: a.diff,
	}
}

// diffSide is one of the two that are compared.
type diffSide struct {
	doc  render.DiffSide
	sets map[store.ID]audit.Set
	// list tells that it only says what is trusted for servers.
	list     bool
	found    []platform.Found
	failures []error
}

func (a *App) diff(c *cli.Context) error {
	args := c.Args().Slice()
	if len(args) == 0 || len(args) > 2 {
		return usageHint("certtrust help diff", "diff needs one or two things to compare")
	}
	if len(args) == 2 && args[0] == "-" && args[1] == "-" {
		return usage("standard input cannot be both")
	}
	one, err := a.diffSide(c, args[0], nil)
	if err != nil {
		return err
	}
	name, only := "here", slices.Clone(one.doc.Stores)
	if len(args) == 2 {
		name, only = args[1], nil
	}
	if one.list {
		only = nil
	}
	two, err := a.diffSide(c, name, only)
	if err != nil {
		return err
	}
	if err := a.passwordsHeeded(slices.Concat(one.found, two.found)); err != nil {
		return err
	}
	doc := render.NewDiffDoc(one.doc, two.doc, compareSides(one, two))
	r := resultOf(c)
	f := format(c)
	r.json = r.json || f == "json" || f == "jsonl"
	r.written = true
	if err := render.WriteDiff(a.Streams, f, doc); err != nil {
		return err
	}
	failures := append(one.failures, two.failures...)
	if len(doc.Differences) > 0 {
		failures = append(failures, store.Because(store.ErrFindings, "they differ in %s", countOf(len(doc.Differences), "certificate")))
	}
	return several(failures)
}

// compareSides compares what both have in common: stores of the same ID, or
// all that each trusts.
func compareSides(one, two *diffSide) []audit.Difference {
	pool := func(s *diffSide) audit.Set {
		var sets []audit.Set
		for _, id := range s.doc.Stores {
			sets = append(sets, s.sets[store.ID(id)])
		}
		return audit.Pool(sets...)
	}
	common := slices.ContainsFunc(one.doc.Stores, func(id string) bool { return slices.Contains(two.doc.Stores, id) })
	switch {
	case one.list || two.list:
		return audit.Compare("", pool(one).ForServers(), pool(two).ForServers())
	case !common:
		return audit.Compare("", pool(one), pool(two))
	}
	var out []audit.Difference
	ids := slices.Clone(one.doc.Stores)
	for _, id := range two.doc.Stores {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		out = append(out, audit.Compare(store.ID(id), one.sets[store.ID(id)], two.sets[store.ID(id)])...)
	}
	return out
}

// diffSide reads what a word of the command line names. only limits the stores
// of a machine, if it is not nil.
func (a *App) diffSide(c *cli.Context, name string, only []string) (*diffSide, error) {
	s := &diffSide{doc: render.DiffSide{Name: store.Printable(name), Complete: true}, sets: map[store.ID]audit.Set{}}
	if name == "mozilla" {
		s.list, s.doc.What = true, "a programme"
		s.add("mozilla", audit.Mozilla().Set())
		return s, nil
	}
	if name == "here" {
		s.doc.What = "a machine"
		return s, a.diffStores(c, s, a.Host, platform.Selector{Stores: only})
	}
	if name != "-" {
		info, err := os.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist) || err != nil && len(name) > 4000:
			s.doc.What = "a store"
			return s, a.diffStores(c, s, a.Host, platform.Selector{Stores: placed([]string{name})})
		case err != nil:
			return nil, &store.Error{Op: "read", Path: name, Err: store.Because(store.ErrInput, "%w", bareError(err))}
		case info.IsDir():
			h, err := host.Offline(name)
			if err != nil {
				return nil, err
			}
			h.Now, h.User, h.EUID = a.Host.Now, a.Host.User, a.Host.EUID
			s.doc.What = "a machine"
			return s, a.diffStores(c, s, h, platform.Selector{})
		}
	}
	return s, a.diffFile(c, s, name)
}

// bareError takes the path off an error of the system.
func bareError(err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

func (s *diffSide) add(id store.ID, set audit.Set) {
	s.doc.Stores = append(s.doc.Stores, string(id))
	s.sets[id] = set
	all := map[store.Fingerprint]bool{}
	for _, set := range s.sets {
		for f := range set.Items {
			all[f] = true
		}
	}
	s.doc.Certificates = len(all)
}

func (a *App) diffStores(c *cli.Context, s *diffSide, h *host.Host, sel platform.Selector) error {
	found, err := a.detect(c, h, func() ([]platform.Found, error) { return platform.Detect(c.Context, h, a.own(h), sel) })
	if err != nil {
		return err
	}
	s.found = append(s.found, found...)
	for _, f := range found {
		a.Streams.Status("reading " + string(f.Info().ID))
		r := readStore(c.Context, f)
		if errors.Is(r.err, c.Context.Err()) && r.err != nil {
			return r.err
		}
		id := r.info.ID
		s.add(id, audit.NewSet(r.entries))
		if err := r.failure(!sel.Empty()); err != nil {
			s.doc.Complete = false
			s.failures = append(s.failures, err)
		}
	}
	a.Streams.Status("")
	return nil
}

func (a *App) diffFile(c *cli.Context, s *diffSide, name string) error {
	data, err := a.content(name)
	fail := func(err error) error {
		return &store.Error{Op: "read", Path: given{from: name}.source(), Err: err, Hint: store.Hint(err)}
	}
	if err != nil {
		return fail(store.Because(store.ErrInput, "%w", plain(err)))
	}
	switch {
	case audit.IsListing(data):
		l, err := audit.ReadListing(data)
		if err != nil {
			return fail(err)
		}
		s.doc.What, s.doc.Complete = "a listing", l.Complete
		for _, id := range l.Stores {
			s.add(id, l.Sets[id])
		}
		if !l.Complete {
			s.failures = append(s.failures, store.Because(store.ErrPartial, "%s: the listing is not complete", store.Printable(name)))
		}
	case audit.IsBaseline(data):
		b, err := audit.ParseBaseline(data)
		if err != nil {
			return fail(err)
		}
		s.doc.What = "a baseline"
		for _, st := range b.Stores {
			s.add(st.ID, st.Set())
		}
	default:
		file, err := a.readFile(c, given{from: name}.source(), data)
		if err != nil {
			return err
		}
		s.list, s.doc.What = true, "certificates"
		s.add(store.ID(s.doc.Name), fileSet(file))
	}
	return nil
}

// fileSet returns what a file of certificates trusts.
func fileSet(file *certfile.File) audit.Set {
	var entries []store.Entry
	for _, item := range file.Items {
		trust := store.TrustFor(store.Trusted, store.PurposeServerAuth)
		if item.Distrusted {
			trust = store.TrustFor(store.Distrusted, store.PurposeAny)
		}
		entries = append(entries, store.Entry{Cert: item.Cert, Trust: trust})
	}
	return audit.NewSet(entries)
}
