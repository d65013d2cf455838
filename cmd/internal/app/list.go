package app

import (
	"context"
	"errors"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/render"
	"github.com/certtrust/certtrust/platform"
	"github.com/certtrust/certtrust/platform/wincert"
	"github.com/certtrust/certtrust/store"
)

func (a *App) listCommand() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list what is trusted here, who put it there, and what is wrong with it",
		Description: `Every certificate of the chosen stores, all of them if none is chosen. A row of
the table is a certificate, with the stores that hold it.

   certtrust list --system
   certtrust list --system --added           what no vendor put there
   certtrust list --expiring 30d --json
   certtrust list --root /mnt/image --system`,
		Flags: slices.Concat(selectFlags(), filterFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "by-store", Usage: "a table for each store"},
			&cli.BoolFlag{Name: "pem", Usage: "with the certificates themselves (json and jsonl)"},
			formatFlag(render.ListFormats()),
		}),
		Action: a.list,
	}
}

func (a *App) list(c *cli.Context) error {
	if c.Args().Present() {
		return usageHint("to look at one certificate: certtrust show "+store.Printable(c.Args().First()), "list takes no arguments")
	}
	if f := format(c); c.Bool("pem") && f != "json" && f != "jsonl" {
		return usage("--pem is for --format json and jsonl; --format pem writes nothing but the certificates")
	}
	keep, err := a.filter(c)
	if err != nil {
		return err
	}
	view, err := render.NewListView(format(c), a.Streams, render.ListOptions{ByStore: c.Bool("by-store"), PEM: c.Bool("pem")})
	if err != nil {
		return err
	}
	return a.listing(c, view, keep)
}

// listing shows the entries that are kept of the selected stores.
func (a *App) listing(c *cli.Context, view render.ListView, keep func(store.Entry) bool) error {
	if f := format(c); f == "json" || f == "jsonl" {
		resultOf(c).json = true
	}
	found, err := a.storesRead(c)
	if err != nil {
		return err
	}
	now := a.Host.Now()
	var stores []render.ListStore
	var records []render.ListRecord
	var failures []error
	for _, f := range found {
		a.Streams.Status("reading " + string(f.Info().ID))
		r := readStore(c.Context, f)
		if errors.Is(r.err, c.Context.Err()) && r.err != nil {
			return r.err
		}
		stores = append(stores, r.listStore())
		records = slices.Grow(records, len(r.entries))
		for _, e := range r.entries {
			if keep(e) {
				records = append(records, render.NewListRecord(r.info.ID, e, now))
			}
		}
		if err := r.failure(selector(c).Names(r.info)); err != nil {
			failures = append(failures, err)
		}
	}
	a.Streams.Status("")
	roots := c.StringSlice("root")
	if err := render.List(view, render.NewListHeader(a.hostName(c), roots, stores), records); err != nil {
		return err
	}
	// A table says what it lacks to people, JSON only to programs.
	resultOf(c).written, resultOf(c).told = true, !resultOf(c).json
	return several(failures)
}

// hostName returns the name of the machine that a command is about, "" if it
// is not known.
func (a *App) hostName(c *cli.Context) string {
	if len(c.StringSlice("root")) == 0 {
		name, _ := os.Hostname()
		return name
	}
	h, err := a.machine(c)
	if err != nil {
		return ""
	}
	name, err := h.ReadFile("/etc/hostname", 1<<10)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(name))
}

// filterFlags choose entries of a listing.
func filterFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "added", Usage: "only what no vendor put there"},
		&cli.BoolFlag{Name: "known-tools", Usage: "only CAs that development tools such as mkcert, Caddy or step made"},
		&cli.BoolFlag{Name: "expired", Usage: "only what has expired"},
		&cli.StringFlag{Name: "expiring", Usage: "only what expires within `TIME`, such as 30d, 8w or 12h, and has not yet"},
		&cli.StringSliceFlag{Name: "origin", Usage: "only what `WHO` put there: vendor, policy, admin, user, certtrust, unknown"},
		&cli.StringFlag{Name: "purpose", Usage: "only what is trusted for `PURPOSE`: " + words(store.NamedPurposes()) + ", or an OID"},
		&cli.BoolFlag{Name: "trusted", Usage: "only what is trusted"},
		&cli.BoolFlag{Name: "distrusted", Usage: "only what is distrusted"},
		&cli.StringFlag{Name: "subject", Usage: "only what has `TEXT` in its subject, upper or lower case"},
		&cli.StringSliceFlag{Name: "fingerprint", Usage: "only what has this SHA-256 `FINGERPRINT`, or one that begins so"},
	}
}

var origins = []store.OriginBy{store.ByVendor, store.ByPolicy, store.ByAdmin, store.ByUser, store.ByCerttrust, store.ByUnknown}

// filter returns what the filter flags keep. A filter that is about
// certificates keeps nothing that has none.
func (a *App) filter(c *cli.Context) (func(store.Entry) bool, error) {
	var tests []func(e store.Entry) bool
	now := a.Host.Now()
	add := func(name string, test func(e store.Entry) bool) {
		if c.Bool(name) {
			tests = append(tests, test)
		}
	}
	add("added", func(e store.Entry) bool { return e.Origin.By != store.ByVendor })
	add("known-tools", func(e store.Entry) bool { return e.Cert != nil && store.KnownTool(e.Cert) != "" })
	add("expired", func(e store.Entry) bool { return e.Cert != nil && now.After(e.Cert.NotAfter) })
	add("trusted", func(e store.Entry) bool { return e.Trust.Has(store.Trusted) || e.Trust.Has(store.Peer) })
	add("distrusted", func(e store.Entry) bool { return e.Trust.Has(store.Distrusted) })
	if text := c.String("expiring"); text != "" {
		d, err := parseSpan(text)
		if err != nil {
			return nil, err
		}
		tests = append(tests, func(e store.Entry) bool {
			return e.Cert != nil && !now.After(e.Cert.NotAfter) && now.Add(d).After(e.Cert.NotAfter)
		})
	}
	if by := c.StringSlice("origin"); len(by) > 0 {
		for _, b := range by {
			if !slices.Contains(origins, store.OriginBy(b)) {
				return nil, usage("--origin %s: not one of %s", store.Printable(b), words(origins))
			}
		}
		tests = append(tests, func(e store.Entry) bool { return slices.Contains(by, string(e.Origin.By)) })
	}
	if text := c.String("purpose"); text != "" {
		p, err := store.ParsePurpose(text)
		if err != nil {
			return nil, usage("--purpose: %s", err)
		}
		tests = append(tests, func(e store.Entry) bool {
			d := e.Trust.For(p)
			return d == store.Trusted || d == store.Peer
		})
	}
	if text := c.String("subject"); text != "" {
		tests = append(tests, func(e store.Entry) bool {
			return e.Cert != nil && strings.Contains(strings.ToLower(e.Cert.Subject.String()), strings.ToLower(text))
		})
	}
	if c.IsSet("fingerprint") {
		prefixes, err := parsePrefixes(c.StringSlice("fingerprint"))
		if err != nil {
			return nil, err
		}
		tests = append(tests, func(e store.Entry) bool {
			return e.Cert != nil && slices.ContainsFunc(prefixes, func(p store.FingerprintPrefix) bool { return p.Matches(e.Cert.SHA256) })
		})
	}
	return func(e store.Entry) bool {
		return !slices.ContainsFunc(tests, func(test func(store.Entry) bool) bool { return !test(e) })
	}, nil
}

func parsePrefixes(texts []string) ([]store.FingerprintPrefix, error) {
	var out []store.FingerprintPrefix
	for _, text := range texts {
		p, err := store.ParseFingerprintPrefix(text)
		if err != nil {
			return nil, usage("--fingerprint: %s", err)
		}
		out = append(out, p)
	}
	return out, nil
}

var span = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([0-9]{1,6})([hdwy])$`) })

// parseSpan reads a time such as 12h, 30d, 8w or 1y.
func parseSpan(text string) (time.Duration, error) {
	m := span().FindStringSubmatch(text)
	if m == nil {
		return 0, usage("--expiring %s: not a time such as 12h, 30d, 8w or 1y", store.Printable(text))
	}
	n, err := strconv.Atoi(m[1])
	day := 24 * time.Hour
	unit := map[string]time.Duration{"h": time.Hour, "d": day, "w": 7 * day, "y": 365 * day}[m[2]]
	if err != nil || time.Duration(n) > (1<<62)/unit {
		return 0, usage("--expiring %s: too long", store.Printable(text))
	}
	return time.Duration(n) * unit, nil
}

func (a *App) storesCommand() *cli.Command {
	return &cli.Command{
		Name:  "stores",
		Usage: "show the stores that were found, what can be done with each, and what is in the way",
		Description: `   certtrust stores
   certtrust stores -v                       and why each was found`,
		Flags: slices.Concat(selectFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "tell why"},
			formatFlag(render.Formats()),
		}),
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usage("stores takes no arguments")
			}
			found, err := a.storesRead(c)
			var reasons []string
			if errors.Is(err, store.ErrUnsupported) && selector(c).Empty() {
				reasons, err = []string{err.Error()}, nil
			}
			if err != nil {
				return err
			}
			err = a.write(c, render.NewStoresDoc(storeRecords(c.Context, found), reasons, c.Bool("verbose") || len(found) == 0))
			if h, failed := a.machine(c); failed == nil && err == nil {
				for _, line := range wincert.WSL(h) {
					a.Streams.Noticef("%s", line)
				}
			}
			return err
		},
	}
}

func storeRecords(ctx context.Context, found []platform.Found) []render.StoreRecord {
	var out []render.StoreRecord
	for _, f := range found {
		r := render.StoreRecord{Info: f.Info(), Reasons: f.Reasons}
		if repairer, ok := f.Store.(store.Repairer); ok && r.Access.Read == nil {
			for p, err := range repairer.Problems(ctx) {
				if err != nil {
					p = store.Problem{Code: "unreadable", Text: store.Printable(err.Error())}
				}
				r.Problems = append(r.Problems, p)
			}
		}
		out = append(out, r)
	}
	return out
}
