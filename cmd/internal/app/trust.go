package app

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/render"
	"github.com/certtrust/certtrust/platform"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/lint"
)

func (a *App) trustCommand() *cli.Command {
	return &cli.Command{
		Name:      "trust",
		Usage:     "make a certificate authority trusted, and import it where it is absent",
		ArgsUsage: "FILE|-|FINGERPRINT|URL...",
		Description: `Of a chain the root is taken. What should not be a trust anchor (a leaf, an
intermediate, an expired or weak certificate) is refused with the reason;
--allow overrides it. Nothing is done before all of it is known to be possible,
the result is read back, and "certtrust undo" takes it back.

What comes over the network is only trusted with its whole fingerprint, or after
a person has seen it and said yes.

   certtrust trust ca.pem --dry-run
   sudo certtrust trust ca.pem
   sudo certtrust trust https://ca.example.com/root.crt --fingerprint SHA256
   sudo certtrust trust renewed.pem --replaces old.pem
   sudo certtrust trust --from intranet.example.com --fingerprint SHA256`,
		Flags: slices.Concat(selectFlags(), trustFlags(), changeFlags(), passwordFlags(), targetFlags(), []cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "the root of the chain that the server `HOST` or HOST:PORT sends, or names"},
			&cli.BoolFlag{Name: "leaf", Usage: "with --from: the server's own certificate, and not who issued it"},
			&cli.StringSliceFlag{Name: "fingerprint", Usage: "of the certificates in the file, only the one with this SHA-256 `FINGERPRINT`"},
			&cli.BoolFlag{Name: "all", Usage: "all roots in the file, if there are several"},
			replacesFlag(),
			&cli.BoolFlag{Name: "verify", Usage: "ask the programs of this machine afterwards whether they accept it"},
		}, withFlags()),
		Action: func(c *cli.Context) error { return a.entrust(c, false) },
	}
}

func (a *App) importCommand() *cli.Command {
	return &cli.Command{
		Name:      "import",
		Usage:     "bring whole files or bundles in: all their roots are trusted",
		ArgsUsage: "FILE|-|URL...",
		Description: `Roots are trusted, intermediates are stored where a store has a place for them,
and leaves are refused. What each certificate is and what was done with it is
told. Files of every common format are read, archives and keystores too.

   certtrust import corporate-bundle.pem --dry-run
   sudo certtrust import corporate-bundle.pem`,
		Flags: slices.Concat(selectFlags(), trustFlags(), changeFlags(), passwordFlags(), []cli.Flag{
			&cli.StringSliceFlag{Name: "fingerprint", Usage: "of the certificates in the file, only those with this SHA-256 `FINGERPRINT`"},
		}),
		Action: func(c *cli.Context) error { return a.entrust(c, true) },
	}
}

func trustFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "purpose", Usage: "trusted for `PURPOSE` (" + words(store.NamedPurposes()) + ", or an OID; may be repeated)", DefaultText: "server-auth, where the store can tell"},
		&cli.StringSliceFlag{Name: "allow", Usage: "take it although it is `WHAT`: " + words(store.ConcernCodes()) + " (may be repeated)"},
	}
}

// The actions on certificates, as they are told.
const (
	actTrusted    = "trusted"
	actStored     = "stored"
	actDistrusted = "distrusted"
	actRemoved    = "removed"
	actNotDone    = "not done"
	actRefused    = "refused"
	actSkipped    = "skipped"
	actNotFound   = "not found"
)

// achievements are the actions that come true with the change.
var achievements = []string{actTrusted, actStored, actDistrusted, actRemoved}

// entrust is trust and import.
func (a *App) entrust(c *cli.Context, bulk bool) error {
	allowed := c.StringSlice("allow")
	for _, code := range allowed {
		if !slices.Contains(store.ConcernCodes(), code) {
			return usage("--allow %s: not one of %s", store.Printable(code), words(store.ConcernCodes()))
		}
	}
	purposes, err := parsePurposes(c.StringSlice("purpose"))
	if err != nil {
		return err
	}
	found, err := a.changedStores(c)
	if err != nil {
		return err
	}
	stores := newReader(c.Context, found)
	list, err := a.inputs(c, stores)
	if err != nil {
		return err
	}
	if list, err = pick(c, list); err != nil {
		return err
	}
	if c.Bool("leaf") {
		if c.String("from") == "" {
			return usage("--leaf goes with --from")
		}
		list = slices.DeleteFunc(list, func(g given) bool { return !g.server })
		allowed = append(allowed, "leaf")
	}
	ch := &change{app: a, c: c, command: c.Command.Name}
	// Whether a store has a place for what is not trusted.
	place := bulk && slices.ContainsFunc(found, func(f platform.Found) bool { return slices.Contains(f.Info().Express.Decisions, store.Unspecified) })
	taken, stored, refused := a.sift(ch, list, allowed, place)
	if file := crowded(taken); file != "" && !bulk && !c.Bool("all") && !c.IsSet("fingerprint") {
		return &store.Error{Err: store.Because(store.ErrInput, "%s holds several certificates that could be trusted: %s", store.Printable(file), names(taken)),
			Hint: "choose one with --fingerprint, or take all with --all"}
	}
	old, err := a.replaced(c, stores, taken)
	if err != nil {
		return err
	}
	ch.certificates = append(ch.certificates, old.certificates...)
	ch.want = func(i store.Info) []store.Change {
		return slices.Concat(trustIn(i, taken, purposes), storeIn(i, stored), old.wants[i.ID])
	}
	if len(taken) == 0 && (len(stored) == 0 || len(refused) > 0) {
		if len(refused) == 0 {
			return usage("there is no certificate authority in the input")
		}
		return ch.refuse(several(refused))
	}
	if len(refused) > 0 && !bulk {
		// What was asked for cannot be had as a whole, so none of it is done.
		return ch.refuse(several(refused))
	}
	if len(refused) > 0 {
		ch.verdict = func([]*platform.Part) error {
			return store.Because(store.ErrPartial, "%d of %d certificates were refused: %w", len(refused), len(list), refused[0])
		}
	}
	if c.Bool("verify") {
		ch.after = a.trustVerified(c, taken)
	}
	if err := a.vouch(c, slices.Concat(taken, stored)); err != nil {
		return err
	}
	return ch.run(found)
}

// sift tells what is done with each of the certificates: those that are trusted,
// those that are only stored, where there is a place for them, and why others
// are not taken.
func (a *App) sift(ch *change, list []given, allowed []string, place bool) (taken, stored []given, refused []error) {
	hasRoot := slices.ContainsFunc(list, func(g given) bool { return g.cert.Kind() == "root" && (!g.server || ch.c.Bool("leaf")) })
	all := concernsOf(list, a.Host.Now())
	for i, g := range list {
		concerns := all[i]
		kind := g.cert.Kind()
		tell := func(action, reason string, overridden []store.Concern) {
			ch.certificates = append(ch.certificates, a.told(g, action, reason, overridden, concerns))
		}
		passed := skip(g, kind, hasRoot, allowed, ch.c)
		storable := place && kind == "intermediate"
		switch {
		case passed != "":
			storable = storable && !g.item.Distrusted
		case slices.Contains(allowed, kind):
			storable = false // it is to be trusted
		case storable:
			reason, _ := refusal(g, concerns, append(slices.Clone(allowed), kind))
			storable = reason == "" // nothing else speaks against it
		}
		if storable {
			stored = append(stored, g)
			tell(actStored, "", nil)
			continue
		}
		if passed != "" {
			tell(actSkipped, passed, nil)
			continue
		}
		if reason, hint := refusal(g, concerns, allowed); reason != "" {
			refused = append(refused, &store.Error{Hint: hint, Err: store.Because(store.ErrInput, "%s: \"%s\" is refused: %s",
				store.Printable(g.source()), store.Printable(g.cert.Label()), reason)})
			tell(actRefused, reason, nil)
			continue
		}
		a.advise(g)
		taken = append(taken, g)
		tell(actTrusted, "", concerns)
	}
	return taken, stored, refused
}

// concernsOf returns what speaks against each certificate. Their signatures take
// time, so it is found out by all processors.
func concernsOf(list []given, at time.Time) [][]store.Concern {
	out := make([][]store.Concern, len(list))
	var next atomic.Int64
	work := func() {
		for i := next.Add(1) - 1; i < int64(len(list)); i = next.Add(1) - 1 {
			out[i] = store.Concerns(list[i].cert, at)
		}
	}
	var workers sync.WaitGroup
	for range min(runtime.NumCPU(), len(list)) - 1 { // this one works, too
		workers.Go(work)
	}
	work()
	workers.Wait()
	return out
}

// told describes what is done with a certificate, and what it is: all that
// speaks against it, and what of that was overridden.
func (a *App) told(g given, action, reason string, overridden, all []store.Concern) render.ChangeCertificate {
	out := render.NewChangeCertificate(g.cert, action, reason, overridden)
	if g.item.Cert != nil {
		out.From = g.place()
	}
	for _, concern := range all {
		if concern.Code != out.Kind {
			out.Traits = append(out.Traits, concern.Code)
		}
	}
	if g.cert.Extension("2.5.29.30") != nil {
		out.Traits = append(out.Traits, "name-constrained")
	}
	if g.item.HasKey {
		out.Traits = append(out.Traits, "private-key-beside")
	}
	if action == actTrusted {
		out.Lint = lint.Check(g.cert, a.Host.Now())
	}
	return out
}

// storeIn returns what storing certificates without trusting them means in a
// store: nothing, where there is no place for them.
func storeIn(i store.Info, list []given) []store.Change {
	if !slices.Contains(i.Express.Decisions, store.Unspecified) {
		return nil
	}
	var out []store.Change
	for _, g := range list {
		out = append(out, g.cert.Wanted(store.Trust{}))
	}
	return out
}

func parsePurposes(texts []string) ([]store.Purpose, error) {
	var out []store.Purpose
	for _, text := range texts {
		p, err := store.ParsePurpose(text)
		if err != nil {
			return nil, usage("--purpose: %s", err)
		}
		out = append(out, p)
	}
	return out, nil
}

// pick leaves what --fingerprint names.
func pick(c *cli.Context, list []given) ([]given, error) {
	if !c.IsSet("fingerprint") {
		return list, nil
	}
	prefixes, err := parsePrefixes(c.StringSlice("fingerprint"))
	if err != nil {
		return nil, err
	}
	var out []given
	for _, p := range prefixes {
		hits := slices.DeleteFunc(slices.Clone(list), func(g given) bool { return !p.Matches(g.cert.SHA256) })
		switch len(hits) {
		case 0:
			return nil, &store.Error{Err: store.Because(store.ErrInput, "no certificate in the input has the fingerprint %s: the first has %s", p, list[0].cert.SHA256),
				Hint: "do not trust it before you know why; certtrust show tells what it is"}
		case 1:
			out = append(out, hits[0])
		default:
			return nil, usage("--fingerprint %s fits %d certificates: give more digits", p, len(hits))
		}
	}
	return out, nil
}

// skip tells why a certificate of a chain is passed over: a root is there, and
// it is the root that is to be trusted.
func skip(g given, kind string, hasRoot bool, allowed []string, c *cli.Context) string {
	if kind == "root" || !hasRoot || slices.Contains(allowed, kind) || c.IsSet("fingerprint") || g.cert.Version == 0 || g.item.Cert == nil {
		return ""
	}
	if kind == "intermediate" {
		return "the root is trusted, and servers send their intermediates"
	}
	return "the root is trusted, and what it issued with it"
}

// refusal returns why a certificate is not taken, and what to do then; the
// reason is "" if it is taken.
func refusal(g given, concerns []store.Concern, allowed []string) (reason, hint string) {
	if aux := g.item.Aux; aux != nil && (len(aux.Reject) > 0 || !slices.Contains(aux.Trust, "1.3.6.1.5.5.7.3.1") && !slices.Contains(aux.Trust, "2.5.29.37.0")) || g.item.Distrusted {
		return "its file says that it is not trusted for servers", "get it as a plain certificate, if it is to be trusted"
	}
	if g.server && !slices.Contains(allowed, "leaf") {
		return "it is the server's own certificate", "ask for the certificate authority that issued it; --leaf takes it nevertheless"
	}
	var reasons, flags, advice []string
	for _, x := range concerns {
		if slices.Contains(allowed, x.Code) && !x.Never {
			continue
		}
		reasons = append(reasons, x.Text)
		if x.Advice != "" {
			advice = append(advice, x.Advice)
		}
		if !x.Never {
			flags = append(flags, "--allow "+x.Code)
		}
	}
	if len(flags) > 0 && len(flags) == len(reasons) {
		advice = append(advice, strings.Join(flags, " ")+" overrides this")
	}
	return strings.Join(reasons, "; "), strings.Join(advice, "; ")
}

// advise tells what a person should know of a certificate that is taken.
func (a *App) advise(g given) {
	label := store.Printable(g.cert.Label())
	if p := g.cert.Parsed(); p != nil {
		names := slices.Concat(p.PermittedDNSDomains, p.PermittedEmailAddresses, p.PermittedURIDomains)
		for _, n := range p.PermittedIPRanges {
			names = append(names, n.String())
		}
		if len(names) > 0 {
			a.Streams.Noticef("\"%s\" can only vouch for %s", label, store.Printable(strings.Join(names, ", ")))
		}
	}
	if g.cert.Kind() == "leaf" {
		a.Streams.Noticef("\"%s\" is a server's own certificate, which has to be trusted anew each time that it is renewed: a small local authority that issues it is better", label)
	}
	if limits := g.cert.ExtendedKeyUsage(); limits != nil && !slices.Contains(limits, store.PurposeServerAuth) && !slices.Contains(limits, store.PurposeAny) {
		a.Streams.Noticef("\"%s\" limits itself to %s: programs will not accept servers by it", label, words(limits))
	}
	for _, f := range lint.Check(g.cert, a.Host.Now()) {
		a.Streams.Warningf("\"%s\": %s", label, f)
	}
}

// crowded returns the first file that several of the certificates are from.
func crowded(list []given) string {
	seen := map[string]bool{}
	for _, g := range list {
		if seen[g.from] {
			return g.source()
		}
		seen[g.from] = true
	}
	return ""
}

func names(list []given) string {
	var out []string
	for _, g := range list {
		out = append(out, fmt.Sprintf("\"%s\" (%s)", store.Printable(g.cert.Label()), g.cert.SHA256.Short()))
	}
	return strings.Join(out, ", ")
}

// trustIn returns what trusting certificates means in a store. If no purpose
// is asked for, it is server-auth, or any where a store cannot tell.
func trustIn(i store.Info, list []given, purposes []store.Purpose) []store.Change {
	if len(purposes) == 0 {
		purposes = []store.Purpose{store.PurposeServerAuth}
		if !slices.Contains(i.Express.Purposes, store.PurposeServerAuth) {
			purposes = []store.Purpose{store.PurposeAny}
		}
	}
	var out []store.Change
	for _, g := range list {
		out = append(out, g.cert.Wanted(store.TrustFor(store.Trusted, purposes...)))
	}
	return out
}
