package app

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/render"
	"github.com/certtrust/certtrust/platform"
	"github.com/certtrust/certtrust/platform/browser"
	"github.com/certtrust/certtrust/platform/clients"
	"github.com/certtrust/certtrust/platform/nss"
	"github.com/certtrust/certtrust/platform/probe"
	"github.com/certtrust/certtrust/platform/wincert"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
	"github.com/certtrust/certtrust/store/diagnose"
)

const (
	// probeTimeout is how long a server may take, unless --timeout says.
	probeTimeout = 15 * time.Second
	// probesAtOnce is how many servers are asked at the same time.
	probesAtOnce = 16
)

// failOns are the values of --fail-on.
var failOns = []string{string(diagnose.Error), string(diagnose.Warning)}

func (a *App) diagnoseCommand() *cli.Command {
	return &cli.Command{
		Name:      "diagnose",
		Usage:     "tell why a server's certificate is not trusted here, prove it, and say how to mend it",
		ArgsUsage: "HOST|HOST:PORT|URL...",
		Description: `Connects as a program would, takes what the server really sends, and judges it
against the stores of this machine. Nothing is changed, and what the server is
asked is what any client asks it. The first cause is the one to act on.

   certtrust diagnose www.example.com
   certtrust diagnose --starttls smtp mail.example.com
   certtrust diagnose --chain server.pem www.example.com    a file, no network
   certtrust diagnose --input hosts.txt --expiring 30d      many, for a reminder
   certtrust diagnose --fix www.example.com                 trust the right root

Exit codes: 0 trusted by the system's store and the browsers, or by the stores
that are named; 3 not trusted; 8 no verdict.`,
		Flags: slices.Concat(targetFlags(), selectFlags(), []cli.Flag{
			&cli.StringFlag{Name: "chain", Usage: "judge the certificates in `FILE`, the server's first, without any network"},
			&cli.StringFlag{Name: "input", Usage: "read servers from `FILE`, one in a line (\"-\" is standard input)"},
			&cli.StringFlag{Name: "at", Usage: "judge as of `TIME` (RFC 3339, or a date)", DefaultText: "now"},
			&cli.StringFlag{Name: "expiring", Usage: "a certificate that expires within `TIME` (30d) is a finding"},
			&cli.StringFlag{Name: "fail-on", Usage: "what makes the exit code 3, `SEVERITY`: error or warning", Value: "error"},
			&cli.BoolFlag{Name: "no-fetch", Usage: "get no missing issuers and no revocation lists"},
			langFlag(),
			&cli.BoolFlag{Name: "fix", Usage: "make the one change that is yours to make: trust the right root, after you have seen its fingerprint"},
			&cli.StringFlag{Name: "fingerprint", Usage: "of that root, the whole SHA-256 in `HEX`, instead of a question"},
		}, changeFlags()),
		Action: a.diagnose,
	}
}

// diagnosis is what the servers of one command line are judged by.
type diagnosis struct {
	app     *App
	lang    diagnose.Lang
	base    diagnose.Input // but for the Capture and the Fetcher
	timeout time.Duration
	fetch   bool
}

func (a *App) diagnose(c *cli.Context) error {
	targets, err := a.targets(c)
	if err != nil {
		return err
	}
	d, err := a.newDiagnosis(c)
	if err != nil {
		return err
	}
	failOn := c.String("fail-on")
	if !slices.Contains(failOns, failOn) {
		return usage("--fail-on %s: not one of %s", store.Printable(failOn), words(failOns))
	}
	if err := checkFix(c, targets); err != nil {
		return err
	}
	var docs []render.DiagnoseDoc
	if c.IsSet("chain") {
		capture, err := a.chainCapture(c, targets)
		if err != nil {
			return err
		}
		docs = []render.DiagnoseDoc{d.judge(resultOf(c).untimed, capture)}
	} else if docs, err = d.ask(c, targets); err != nil {
		return err
	}
	errs := append(d.unread(selector(c)), verdicts(docs, c.IsSet("expiring"), failOn)...)
	err = several(errs)
	if written := a.writeDiagnoses(c, d, docs); written != nil {
		return written
	}
	if c.Bool("fix") {
		return a.fix(c, d, docs[0], err)
	}
	return err
}

// targets returns the servers that the arguments and --input name.
func (a *App) targets(c *cli.Context) ([]diagnose.Target, error) {
	names := c.Args().Slice()
	if c.IsSet("input") {
		file := c.String("input")
		data, err := a.content(file)
		if err != nil {
			return nil, &store.Error{Op: "read", Path: given{from: file}.source(), Err: store.Because(store.ErrInput, "%w", plain(err))}
		}
		lines := bufio.NewScanner(bytes.NewReader(data))
		for lines.Scan() {
			name, _, _ := strings.Cut(lines.Text(), "#")
			if name = strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")); name != "" {
				names = append(names, name)
			}
		}
		if err := lines.Err(); err != nil {
			return nil, &store.Error{Op: "read", Path: given{from: file}.source(), Err: store.Because(store.ErrInput, "a line is too long for the name of a server")}
		}
	}
	if len(names) == 0 && !c.IsSet("chain") {
		if c.IsSet("input") {
			return nil, &store.Error{Path: c.String("input"), Err: store.Because(store.ErrInput, "it names no server")}
		}
		return nil, usageHint("certtrust help diagnose", "diagnose needs a HOST, HOST:PORT or URL")
	}
	if len(names) > 1 && (c.IsSet("chain") || c.IsSet("connect") || c.IsSet("sni")) {
		return nil, usage("--chain, --connect and --sni are for one server")
	}
	var out []diagnose.Target
	for _, name := range names {
		t, err := a.target(c, name)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// when returns the time that --at names, or that of the machine.
func (a *App) when(c *cli.Context) (time.Time, error) {
	if text := c.String("at"); text != "" {
		return parseTime(text)
	}
	return a.Host.Now(), nil
}

func (a *App) newDiagnosis(c *cli.Context) (*diagnosis, error) {
	lang, err := a.language(c)
	if err != nil {
		return nil, err
	}
	now, err := a.when(c)
	if err != nil {
		return nil, err
	}
	var expiring time.Duration
	if text := c.String("expiring"); text != "" {
		if expiring, err = parseSpan(text); err != nil {
			return nil, err
		}
	}
	machine, err := a.machine(c)
	if err != nil {
		return nil, err
	}
	found, err := a.stores(c)
	if err != nil && !(errors.Is(err, store.ErrUnsupported) && selector(c).Empty()) {
		return nil, err
	}
	d := &diagnosis{app: a, lang: lang, timeout: probeTimeout, fetch: !c.Bool("no-fetch") && !c.IsSet("chain")}
	if t := resultOf(c).timeout; t > 0 {
		d.timeout = t
	}
	sel := selector(c)
	a.Streams.Status("reading the stores")
	var reads []read
	for _, f := range found {
		reads = append(reads, readStore(resultOf(c).untimed, f))
	}
	views := d.views(sel, reads)
	a.Streams.Status("")
	d.base = diagnose.Input{
		Views: views, Now: now, At: c.IsSet("at"), Built: built(), Expiring: expiring, OS: machine.OS, Family: family(found), Lang: lang,
		Overrides: append(clients.Overrides(resultOf(c).untimed, machine, a.Environ), policyOverrides(reads)...),
	}
	return d, resultOf(c).untimed.Err()
}

// views returns the stores as they are to be judged against. A browser's
// policies are no store that anybody looks into by itself: what is in them
// comes on top of what the browser has, as does what a database follows.
func (d *diagnosis) views(sel platform.Selector, reads []read) []diagnose.View {
	var views []diagnose.View
	for _, r := range reads {
		if r.info.Backend == browser.PolicyBackend && !sel.Names(r.info) {
			continue
		}
		ofBrowser := slices.Contains(browserBackends, r.info.Backend)
		v := diagnose.View{Info: r.info, Entries: r.entries, Err: r.failure(true), Counts: counts(sel, r.info), Package: packageOf(r.entries), Programme: ofBrowser}
		v.Verifier, _ = r.of.(store.Verifier)
		if w, ok := r.of.(*wincert.Store); ok {
			v.Programme = w.FetchesRoots()
		}
		for _, o := range reads {
			if wincert.Applies(o.info, r.info) {
				v.Entries = slices.Concat(v.Entries, o.entries)
			}
			sameReader := slices.ContainsFunc(o.info.Readers, func(name string) bool { return slices.Contains(r.info.Readers, name) })
			if o.info.ID == r.info.DerivedFrom && r.info.DerivedFrom != "" && ofBrowser ||
				o.info.Backend == browser.PolicyBackend && r.info.Backend == nss.Backend && sameReader {
				v.Entries = slices.Concat(v.Entries, o.entries)
			}
		}
		views = append(views, v)
	}
	return views
}

// policyOverrides returns the policies that keep browsers from heeding what their
// users have trusted: what policies themselves have trusted is all that counts
// beside the browser's own roots.
func policyOverrides(reads []read) (out []diagnose.Override) {
	for _, r := range reads {
		if r.info.Backend != browser.PolicyBackend {
			continue
		}
		var roots []*store.Cert
		for _, e := range r.entries {
			if e.Cert != nil && e.Trust.For(store.PurposeServerAuth) == store.Trusted {
				roots = append(roots, e.Cert)
			}
		}
		for _, e := range r.entries {
			if slices.ContainsFunc(e.Problems, func(p store.Problem) bool { return p.Code == "platform-off" }) {
				out = append(out, diagnose.Override{Client: "chromium", Source: e.Source.Path, Name: e.Label, Value: "false",
					Effect: diagnose.Replaces, Roots: roots, Programme: true})
			}
		}
	}
	return out
}

// counts tells whether the verdict depends on a store: those that are named,
// or the system's own and the browsers'.
func counts(sel platform.Selector, i store.Info) bool {
	if !sel.Empty() {
		return sel.Selects(i)
	}
	switch {
	case i.DerivedFrom != "":
		return false
	case i.Scope == store.ScopeSystem:
		return (i.Default || i.Root != "") && !slices.Contains(browserBackends, i.Backend)
	}
	return i.Backend == nss.Backend && i.Default
}

// browserBackends are the backends whose stores are those of browsers, which
// bring the public roots along.
var browserBackends = []string{nss.Backend, browser.PolicyBackend, browser.ProfileBackend}

// packageOf returns the package that most of the vendor's entries came with.
func packageOf(entries []store.Entry) string {
	number := map[string]int{}
	most := ""
	for _, e := range entries {
		if e.Origin.By != store.ByVendor || e.Origin.Detail == "" {
			continue
		}
		name := e.Origin.Detail
		number[name]++
		if number[name] > number[most] {
			most = name
		}
	}
	return most
}

// family returns the family of systems that the machine is of, "" if it is not
// known.
func family(found []platform.Found) string {
	for _, f := range found {
		if s, ok := f.Store.(interface{ Family() string }); ok {
			return s.Family()
		}
	}
	return ""
}

// built returns when this program was made, as far as its build information
// tells.
func built() time.Time {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			t, _ := time.Parse(time.RFC3339, s.Value)
			return t
		}
	}
	return time.Time{}
}

// parseTime reads a time of RFC 3339, or a date, which is its beginning in UTC.
func parseTime(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usage("--at %s: not a time such as 2026-06-15T12:00:00Z, or 2026-06-15", store.Printable(text))
}

// chainCapture returns the certificates of a file as if a server had sent them.
func (a *App) chainCapture(c *cli.Context, targets []diagnose.Target) (diagnose.Capture, error) {
	file := c.String("chain")
	data, err := a.content(file)
	source := given{from: file}.source()
	if err != nil {
		return diagnose.Capture{}, &store.Error{Op: "read", Path: source, Err: store.Because(store.ErrInput, "%w", plain(err))}
	}
	read, err := certfile.Read(data)
	if err != nil {
		return diagnose.Capture{}, &store.Error{Op: "read", Path: source, Err: err, Hint: store.Hint(err)}
	}
	capture := diagnose.Capture{Target: diagnose.Target{Input: file}}
	if len(targets) > 0 {
		capture.Target = targets[0]
	}
	for _, item := range read.Items {
		capture.Certificates = append(capture.Certificates, item.Cert.Raw)
	}
	return capture, nil
}

// ask asks all servers, some at a time, and returns the diagnoses in their
// order.
func (d *diagnosis) ask(c *cli.Context, targets []diagnose.Target) ([]render.DiagnoseDoc, error) {
	ctx := resultOf(c).untimed
	docs := make([]render.DiagnoseDoc, len(targets))
	var done atomic.Int64
	var workers sync.WaitGroup
	next := make(chan int)
	for range min(probesAtOnce, len(targets)) {
		workers.Go(func() {
			for i := range next {
				docs[i] = d.one(ctx, targets[i])
				d.app.Streams.Status(fmt.Sprintf("%d of %d asked", done.Add(1), len(targets)))
			}
		})
	}
	d.app.Streams.Status(fmt.Sprintf("asking %s", store.Printable(targets[0].Input)))
feed:
	for i := range targets {
		select {
		case next <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	workers.Wait()
	d.app.Streams.Status("")
	return docs, ctx.Err()
}

// one asks a server and judges what it sent.
func (d *diagnosis) one(ctx context.Context, t diagnose.Target) render.DiagnoseDoc {
	capture := probe.Probe(ctx, t, probe.Options{Timeout: d.timeout})
	return d.judge(ctx, *capture)
}

func (d *diagnosis) judge(ctx context.Context, capture diagnose.Capture) render.DiagnoseDoc {
	in := d.base
	in.Capture = capture
	if d.fetch {
		in.Fetcher = probe.NewFetcher(probe.FetchOptions{Target: probe.TargetAddr(&capture), Proxy: capture.Target.Proxy})
	}
	return render.DiagnoseDoc{Document: diagnose.Diagnose(ctx, in), Lang: d.lang}
}

// unread returns what it means for the command that stores could not be read.
func (d *diagnosis) unread(sel platform.Selector) []error {
	var errs []error
	for _, v := range d.base.Views {
		switch {
		case v.Err == nil:
		case sel.Names(v.Info):
			errs = append(errs, v.Err)
		default:
			errs = append(errs, store.Because(store.ErrPartial, "%w", v.Err))
		}
	}
	return errs
}

// verdicts returns what diagnoses mean for the exit code: an error for those
// that found something, and one for those that came to no verdict.
func verdicts(docs []render.DiagnoseDoc, expiring bool, failOn string) (errs []error) {
	var found, unknown []string
	for _, doc := range docs {
		switch {
		case doc.Verdict == diagnose.Untrusted:
			found = append(found, told(doc, doc.Causes))
		case doc.Verdict != diagnose.Trusted:
			unknown = append(unknown, told(doc, doc.Causes))
		default:
			bad := slices.DeleteFunc(slices.Clone(doc.Warnings), func(w diagnose.Cause) bool {
				return !(w.Severity == diagnose.Warning && failOn == string(diagnose.Warning) || expiring && w.Code == "time.expiring_soon")
			})
			if len(bad) > 0 {
				found = append(found, told(doc, bad))
			}
		}
	}
	for _, e := range []struct {
		kind error
		text string
		list []string
	}{
		{store.ErrNoVerdict, "could not be judged", unknown},
		{store.ErrFindings, "have findings", found},
	} {
		switch {
		case len(e.list) == 1:
			errs = append(errs, store.Because(e.kind, "%s", e.list[0]))
		case len(e.list) > 1:
			errs = append(errs, store.Because(e.kind, "%d of %d servers %s", len(e.list), len(docs), e.text))
		}
	}
	return errs
}

// told names a server, what was found, and by what code.
func told(doc render.DiagnoseDoc, causes []diagnose.Cause) string {
	codes := make([]string, 0, len(causes))
	for _, c := range causes {
		if !slices.Contains(codes, c.Code) {
			codes = append(codes, c.Code)
		}
	}
	return store.Printable(doc.Target.Input) + ": " + strings.ReplaceAll(string(doc.Verdict), "_", " ") + ": " + strings.Join(codes, ", ")
}

// writeDiagnoses writes one diagnosis in full, or an overview of many.
func (a *App) writeDiagnoses(c *cli.Context, d *diagnosis, docs []render.DiagnoseDoc) error {
	if len(docs) == 1 && !c.IsSet("input") {
		return a.write(c, docs[0])
	}
	header := render.NewDiagnoseHeader(a.hostName(c), d.base.Now)
	if format(c) != "jsonl" {
		return a.write(c, render.DiagnoseListDoc{DiagnoseHeader: header, Results: docs, Lang: d.lang})
	}
	r := resultOf(c)
	r.json, r.written = true, true
	if err := render.JSONLine(a.Streams.Out, header); err != nil {
		return err
	}
	for _, doc := range docs {
		if err := render.JSONLine(a.Streams.Out, doc); err != nil {
			return err
		}
	}
	return nil
}

func checkFix(c *cli.Context, targets []diagnose.Target) error {
	switch {
	case !c.Bool("fix"):
		for _, name := range []string{"fingerprint", "dry-run", "yes", "elevate", "keep-going"} {
			if c.IsSet(name) {
				return usage("--%s goes with --fix", name)
			}
		}
		return nil
	case len(targets) > 1 || c.IsSet("input"):
		return usage("--fix is for one server")
	case format(c) != "" && format(c) != "table":
		return usageHint("certtrust diagnose --json, and then certtrust trust", "--fix is for people, and writes no %s", format(c))
	}
	return nil
}

// fix makes the change that is the user's to make, if there is one. found is
// what the diagnosis came to.
func (a *App) fix(c *cli.Context, d *diagnosis, doc render.DiagnoseDoc, found error) error {
	if doc.Verdict == diagnose.Trusted || len(doc.Causes) == 0 {
		return found
	}
	var root *store.Cert
	if sum := doc.Causes[0].Cert; sum != nil {
		root = doc.Certificate(*sum)
	}
	if root == nil || !slices.ContainsFunc(doc.Fixes, func(f diagnose.Fix) bool { return f.ID == diagnose.AcceptRoot }) {
		a.Streams.Noticef("%s", textNotYours.In(d.lang))
		return found
	}
	if reason, hint := refusal(given{cert: root}, store.Concerns(root, a.Host.Now()), nil); reason != "" {
		return &store.Error{Hint: hint, Err: store.Because(store.ErrInput, "\"%s\" is refused: %s", store.Printable(root.Label()), reason)}
	}
	if err := a.agree(c, d, root); err != nil {
		return err
	}
	chosen, err := a.changedStores(c)
	if err != nil {
		return err
	}
	ch := &change{app: a, c: c, command: "trust",
		certificates: []render.ChangeCertificate{render.NewChangeCertificate(root, actTrusted, "", nil)},
		want:         func(i store.Info) []store.Change { return trustIn(i, []given{{cert: root}}, nil) },
	}
	return ch.run(chosen)
}

var (
	textNotYours = diagnose.Text{
		EN: "nothing was changed: --fix trusts the root that the server sends, which cannot be done here or would not help: see above",
		JA: "何も変更していません。--fix が行う対処(サーバーが送信したルート証明書の信頼)は、ここでは役に立たないか実行できません。上の対処方法をご覧ください",
	}
	textThisRoot = diagnose.Text{
		EN: "To trust: %s\n  SHA-256 %s",
		JA: "信頼する証明書: %s\n  SHA-256 %s",
	}
	textCompare = diagnose.Text{
		EN: "Compare the fingerprint with what the owner of this CA tells you by another way than this connection",
		JA: "この接続とは別の経路で認証局の管理者から得たフィンガープリントと照合してください",
	}
	textSame = diagnose.Text{
		EN: "Is it the same, and shall this CA be trusted?",
		JA: "一致していますか。この認証局を信頼しますか?",
	}
)

// agree makes sure that it is the root that is meant: by its fingerprint, or
// by the word of a person who was shown it.
func (a *App) agree(c *cli.Context, d *diagnosis, root *store.Cert) error {
	if text := c.String("fingerprint"); c.IsSet("fingerprint") {
		prefix, err := store.ParseFingerprintPrefix(text)
		if err != nil || len(prefix) != 2*len(root.SHA256) {
			return usage("--fingerprint needs all 64 digits of the SHA-256: the certificate came from the network")
		}
		if !prefix.Matches(root.SHA256) {
			return &store.Error{Err: store.Because(store.ErrInput, "the root has another fingerprint: %s", root.SHA256),
				Hint: "do not trust it before you know why"}
		}
		return nil
	}
	if !a.Streams.CanAsk() {
		return &store.Error{Err: store.Because(store.ErrConsent, "\"%s\" came from the network, and there is nobody to ask whether it is the right one", store.Printable(root.Label())),
			Hint: fmt.Sprintf("get the fingerprint from the owner of the CA, and give it with --fingerprint; the server's is %s", root.SHA256)}
	}
	for line := range strings.Lines(textThisRoot.In(d.lang, store.Printable(root.Subject.String()), root.SHA256)) {
		a.Streams.Noticef("%s", strings.TrimSuffix(line, "\n"))
	}
	a.Streams.Noticef("%s", textCompare.In(d.lang))
	yes, err := a.Streams.Confirm(textSame.In(d.lang), false)
	if err == nil && !yes {
		err = &store.Error{Err: store.Because(store.ErrConsent, "nothing was changed")}
	}
	return err
}
