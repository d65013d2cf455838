package app

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/render"
	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/inspect"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/audit"
	"github.com/certtrust/certtrust/store/certfile"
	"github.com/certtrust/certtrust/store/diagnose"
	"github.com/certtrust/certtrust/store/roots"
)

func (a *App) auditCommand() *cli.Command {
	return &cli.Command{
		Name:      "audit",
		Usage:     "tell what is wrong with what is trusted here, how much it matters, and what to do",
		ArgsUsage: "[FILE|DIR...]",
		Description: `Checks the chosen stores, all of them if none is chosen, and what they depend
on: who may write to them, private keys beside them, files that differ from
their packages, settings that keep programs from heeding them. Nothing is
changed.

   certtrust audit
   certtrust audit --format html --output report.html
   certtrust audit --write-baseline base.json    from now on only what is new:
   certtrust audit --baseline base.json --fail-on medium
   certtrust audit --baseline base.json --accept KEY --reason TEXT
   certtrust audit --root /mnt/web1 --root /mnt/web2
   certtrust audit --inventory listings/    many machines: what "certtrust list
                                            --format jsonl" wrote on each
   certtrust audit --rules                  what is looked for, and why

Exit codes: 0 nothing new of the severity of --fail-on, or above it; 3 there is;
4 a store could not be read completely.`,
		Flags: slices.Concat(selectFlags(), []cli.Flag{
			&cli.StringFlag{Name: "against", Usage: "compare with the root programme in `FILE` (certificates, or a report of the CCADB), or with mozilla", Value: "mozilla"},
			&cli.StringFlag{Name: "baseline", Usage: "only what is not in `FILE` counts, which --write-baseline has written"},
			&cli.StringFlag{Name: "write-baseline", Usage: "write what there is now to `FILE`; what has been accepted in it stays so"},
			&cli.StringSliceFlag{Name: "accept", Usage: "note in the baseline that the finding with this `KEY` (--all shows it) is accepted"},
			&cli.StringFlag{Name: "reason", Usage: "why it is accepted: `TEXT`"},
			&cli.StringFlag{Name: "by", Usage: "who answers for that: `NAME`", DefaultText: "the user"},
			&cli.StringFlag{Name: "until", Usage: "the last `DAY` on which that holds, such as 2027-06-30", DefaultText: "for good"},
			&cli.StringFlag{Name: "fail-on", Usage: "what makes the exit code 3, `SEVERITY`: " + words(audit.Severities()), Value: string(audit.High)},
			&cli.BoolFlag{Name: "all", Usage: "tell each finding, those that are known and accepted too, with their keys"},
			&cli.BoolFlag{Name: "rules", Usage: "tell what is looked for, and why"},
			&cli.BoolFlag{Name: "inventory", Usage: "add up the listings of many machines that the arguments name"},
			&cli.StringSliceFlag{Name: "fingerprint", Usage: "with --inventory: on which machines the certificate with this SHA-256 `FINGERPRINT` is"},
			formatFlag(render.AuditFormats()),
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write the result to `FILE`"},
		}),
		Action: a.audit,
	}
}

func (a *App) audit(c *cli.Context) error {
	if err := checkAudit(c); err != nil {
		return err
	}
	streams, finish := a.outputTo(c)
	switch {
	case c.Bool("rules"):
		if err := a.writeTo(c, streams, render.NewRulesDoc()); err != nil {
			return err
		}
		return finish()
	case c.Bool("inventory"):
		return a.inventory(c, streams, finish)
	}
	old, err := a.baseline(c)
	if err != nil {
		return err
	}
	programme, err := a.programme(c)
	if err != nil {
		return err
	}
	looked, failures, err := a.lookAt(c)
	if err != nil {
		return err
	}
	now := a.Host.Now()
	in := audit.Input{Programme: programme, Now: now}
	for _, l := range looked {
		in.Stores = append(in.Stores, l.stores...)
		in.Facts = append(in.Facts, l.facts)
	}
	findings := audit.Run(in)
	if len(c.StringSlice("accept")) > 0 {
		if err := a.accept(c, old, findings); err != nil {
			return err
		}
	}
	var drift []audit.Difference
	if old != nil && c.IsSet("baseline") {
		old.Mark(findings, now)
		drift = old.Drift(in.Stores)
	}
	if file := c.String("write-baseline"); file != "" {
		if len(failures) > 0 {
			return several(append(failures, store.Because(store.ErrPartial, "no baseline was written, for not everything could be read")))
		}
		if err := a.writeBaseline(file, audit.NewBaseline(in.Stores, findings, old, now)); err != nil {
			return err
		}
	}
	doc := a.auditDoc(c, looked, findings, programme)
	if old != nil && c.IsSet("baseline") {
		doc.Diff = render.NewAuditDiff(drift)
	}
	doc.Sum()
	r := resultOf(c)
	f := format(c)
	r.json = r.json || f == "json" || f == "jsonl" || f == "sarif"
	r.written = true
	if err := render.WriteAudit(streams, f, doc); err != nil {
		return err
	}
	if err := finish(); err != nil {
		return err
	}
	if n := weighty(findings, audit.Severity(c.String("fail-on"))); n > 0 && !c.IsSet("write-baseline") {
		failures = append(failures, store.Because(store.ErrFindings, "%s of the severity %s or above", countOf(n, "finding"), c.String("fail-on")))
	}
	return several(failures)
}

func countOf(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// weighty counts the new findings that matter enough.
func weighty(findings []audit.Finding, failOn audit.Severity) (n int) {
	for _, f := range findings {
		if f.State == audit.New && f.Severity.AtLeast(failOn) {
			n++
		}
	}
	return n
}

// checkAudit refuses what does not go together.
func checkAudit(c *cli.Context) error {
	if f := c.String("fail-on"); !slices.Contains(audit.Severities(), audit.Severity(f)) {
		return usage("--fail-on %s: not one of %s", store.Printable(f), words(audit.Severities()))
	}
	special := c.Bool("rules") || c.Bool("inventory")
	f := format(c)
	switch {
	case special && f != "" && !slices.Contains(render.Formats(), f):
		return usage("--rules and --inventory are written as %s", words(render.Formats()))
	case c.Bool("rules") && c.Bool("inventory"):
		return usage("--rules and --inventory do not go together")
	case c.Bool("inventory") != c.Args().Present():
		if c.Bool("inventory") {
			return usageHint("certtrust list --format jsonl writes one", "--inventory needs listings, or directories with them")
		}
		return usageHint("to add up listings: certtrust audit --inventory "+store.Printable(c.Args().First()), "audit takes no arguments")
	case c.IsSet("fingerprint") && !c.Bool("inventory"):
		return usage("--fingerprint goes with --inventory")
	case special && (c.IsSet("baseline") || c.IsSet("write-baseline") || c.IsSet("accept")):
		return usage("a baseline goes with an audit of stores")
	case c.IsSet("accept") && (c.String("baseline") == "" || c.String("reason") == ""):
		return usageHint("certtrust audit --baseline FILE --accept KEY --reason TEXT", "--accept needs --baseline and --reason")
	case !c.IsSet("accept") && (c.IsSet("reason") || c.IsSet("by") || c.IsSet("until")):
		return usage("--reason, --by and --until go with --accept")
	}
	if until := c.String("until"); until != "" {
		if _, err := time.Parse(time.DateOnly, until); err != nil {
			return usage("--until %s: no day such as 2027-06-30", store.Printable(until))
		}
	}
	return nil
}

// outputTo returns the streams that a result goes to, and what writes the file
// of --output.
func (a *App) outputTo(c *cli.Context) (*term.Streams, func() error) {
	file := c.String("output")
	if file == "" || file == "-" {
		return a.Streams, func() error { return nil }
	}
	var buffer bytes.Buffer
	s := &term.Streams{In: a.Streams.In, Out: &buffer, Err: a.Streams.Err, ErrTTY: a.Streams.ErrTTY, Env: a.Streams.Env, Stop: a.Streams.Stop}
	return s, func() error {
		if err := a.WriteFile(file, buffer.Bytes()); err != nil {
			return &store.Error{Op: "write", Path: file, Err: plain(err), Hint: store.Hint(err)}
		}
		return nil
	}
}

// writeTo is write to other streams.
func (a *App) writeTo(c *cli.Context, s *term.Streams, d render.Doc) error {
	r := resultOf(c)
	f := format(c)
	r.json = r.json || f == "json" || f == "jsonl"
	r.written = true
	return render.Write(s, f, d)
}

// lookedAt is a machine that an audit has looked at.
type lookedAt struct {
	host   *host.Host
	reads  []read
	stores []audit.Store
	facts  audit.Facts
}

// lookAt reads the chosen stores and what is to be known beside them. The
// failures are those of single stores.
func (a *App) lookAt(c *cli.Context) (out []lookedAt, failures []error, err error) {
	machines, err := a.chosenMachines(c)
	if err != nil {
		return nil, nil, err
	}
	a.Streams.Status("reading the stores")
	defer a.Streams.Status("")
	out = make([]lookedAt, len(machines))
	var mu sync.Mutex
	err = inParallel(len(machines), func(i int) error {
		l := a.lookAtMachine(c, machines[i])
		mu.Lock()
		defer mu.Unlock()
		out[i] = l
		return nil
	})
	for _, l := range out {
		for _, r := range l.reads {
			if err := r.failure(selector(c).Names(r.info)); err != nil {
				failures = append(failures, err)
			}
		}
	}
	return out, failures, errors.Join(err, c.Context.Err())
}

// inParallel calls do for 0 to n-1, as many at a time as there are processors.
func inParallel(n int, do func(i int) error) error {
	errs := make([]error, n)
	var wait sync.WaitGroup
	next := make(chan int)
	for range min(n, runtime.GOMAXPROCS(0)) {
		wait.Go(func() {
			for i := range next {
				errs[i] = do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wait.Wait()
	return errors.Join(errs...)
}

func (a *App) lookAtMachine(c *cli.Context, m chosenMachine) lookedAt {
	l := lookedAt{host: m.host}
	for _, f := range m.found {
		r := readStore(c.Context, m.read(f))
		s := audit.Store{Info: r.info, Entries: r.entries}
		repairer, ok := f.Store.(store.Repairer)
		if ok && r.err == nil {
			s.Problems = unheard(c, repairer, r.entries)
		}
		l.reads, l.stores = append(l.reads, r), append(l.stores, s)
	}
	environ := a.Environ
	if chosenByHand(c) {
		environ = nil // it is about those stores
	}
	facts, errs := inspect.Machine(c.Context, m.host, l.stores, environ)
	switch {
	case chosenByHand(c):
		facts.Overrides = nil
	case (c.Bool("user") || ofOthers(c)) && !c.Bool("system"):
		// What takes the place of the system's roots is not to be compared with
		// a user's.
		facts.Overrides = slices.DeleteFunc(facts.Overrides, func(o diagnose.Override) bool { return o.Effect != diagnose.Disables })
	}
	for _, err := range errs {
		a.Streams.Warningf("%v", err)
	}
	l.facts = facts
	return l
}

// unheard returns the problems of a store that its entries do not tell of.
func unheard(c *cli.Context, r store.Repairer, entries []store.Entry) []store.Problem {
	type key struct {
		code, path string
		cert       store.Fingerprint
	}
	told := map[key]bool{}
	for _, e := range entries {
		for _, p := range e.Problems {
			k := key{code: p.Code, path: p.Path}
			if e.Cert != nil {
				k.cert = e.Cert.SHA256
			}
			told[k] = true
			if p.Fingerprint != nil {
				k.cert = *p.Fingerprint
				told[k] = true
			}
		}
	}
	var out []store.Problem
	for p, err := range r.Problems(c.Context) {
		if err != nil {
			continue // reading the entries has told of it
		}
		k := key{code: p.Code, path: p.Path}
		if p.Fingerprint != nil {
			k.cert = *p.Fingerprint
		}
		if !told[k] {
			told[k] = true
			out = append(out, p)
		}
	}
	return out
}

// auditDoc makes the document.
func (a *App) auditDoc(c *cli.Context, looked []lookedAt, findings []audit.Finding, p *audit.Programme) render.AuditDoc {
	now := a.Host.Now().UTC().Truncate(time.Second)
	var hosts []*host.Host
	for _, l := range looked {
		hosts = append(hosts, l.host)
	}
	d := render.AuditDoc{
		Time: now, Host: render.AuditHost{Name: a.machineNames(c, hosts), OS: looked[0].host.OS, Version: systemName(looked[0].host)},
		Data:     render.AuditData{MozillaRoots: roots.Date().Format(time.DateOnly), Programme: store.Printable(p.Name), Roots: p.Len()},
		Findings: findings, Version: a.Version, FailOn: audit.Severity(c.String("fail-on")), All: c.Bool("all"),
	}
	date := p.Date
	if date.IsZero() {
		date = roots.Date()
	}
	d.Data.AgeDays = max(0, int(now.Sub(date).Hours()/24))
	var order []store.Fingerprint
	certs := map[store.Fingerprint]*store.Cert{}
	holdings := map[store.Fingerprint][]render.Holding{}
	for _, l := range looked {
		for i, r := range l.reads {
			set := audit.NewSet(r.entries)
			s := render.AuditStore{ID: r.info.ID, Kind: r.info.Backend, Title: r.info.Title, Scope: r.info.Scope, Root: r.info.Root,
				Count: len(set.Items), Digest: set.Digest(), Complete: r.err == nil && len(r.lost) == 0}
			if e := r.listStore().Error; e != nil {
				s.Error = store.Printable(e.Message)
			}
			d.Stores = append(d.Stores, s)
			for _, e := range l.stores[i].Entries {
				if e.Cert == nil {
					continue
				}
				if certs[e.Cert.SHA256] == nil {
					certs[e.Cert.SHA256] = e.Cert
					order = append(order, e.Cert.SHA256)
				}
				holdings[e.Cert.SHA256] = append(holdings[e.Cert.SHA256], render.NewHolding(r.info.ID, e))
			}
		}
	}
	if format(c) == "html" {
		for _, f := range order {
			d.Certs = append(d.Certs, render.NewShowCertificate(certs[f], holdings[f], now, true))
		}
		slices.SortStableFunc(d.Certs, func(x, y render.ShowCertificate) int {
			return strings.Compare(strings.ToLower(x.Label), strings.ToLower(y.Label))
		})
	}
	return d
}

// systemName returns what a system calls itself (os-release(5)).
func systemName(h *host.Host) string {
	for _, file := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		data, err := h.ReadFile(file, 1<<16)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			if v, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
				return store.Printable(strings.Trim(strings.TrimSpace(v), `"'`))
			}
		}
	}
	return ""
}

// programme returns what --against names.
func (a *App) programme(c *cli.Context) (*audit.Programme, error) {
	file := c.String("against")
	if file == "mozilla" {
		return audit.Mozilla(), nil
	}
	data, err := a.content(file)
	if err != nil {
		hint := ""
		if errors.Is(err, fs.ErrNotExist) {
			hint = "mozilla is the programme that is built in; others are files"
		}
		return nil, &store.Error{Op: "read", Path: given{from: file}.source(), Err: store.Because(store.ErrInput, "%w", plain(err)), Hint: hint}
	}
	name := filepath.Base(file)
	if p, ok := audit.ReadCCADB(name, data); ok {
		p.ByUser = true
		return p, nil
	}
	read, err := certfile.Read(data)
	if err != nil {
		return nil, &store.Error{Op: "read", Path: file, Err: err, Hint: store.Hint(err)}
	}
	p := audit.NewProgramme(name, time.Time{})
	p.ByUser = true
	for _, item := range read.Items {
		if !item.Distrusted {
			p.Add(item.Cert, time.Time{})
		}
	}
	return p, nil
}

// maxBaseline is how large a baseline may be.
const maxBaseline = 64 << 20

// baseline reads the baseline of --baseline or, to keep what has been accepted,
// of --write-baseline; nil if there is none.
func (a *App) baseline(c *cli.Context) (*audit.Baseline, error) {
	file := c.String("baseline")
	if file == "" {
		file = c.String("write-baseline")
	}
	if file == "" {
		return nil, nil
	}
	data, err := a.ReadFile(file, maxBaseline)
	if errors.Is(err, fs.ErrNotExist) && (!c.IsSet("baseline") || c.IsSet("accept")) {
		return &audit.Baseline{Schema: audit.BaselineSchema}, nil
	}
	var b *audit.Baseline
	if err == nil {
		b, err = audit.ParseBaseline(data)
	}
	if err != nil {
		return nil, &store.Error{Op: "read", Path: file, Err: store.Because(store.ErrInput, "%w", plain(err)), Hint: "certtrust audit --write-baseline FILE writes one"}
	}
	return b, nil
}

func (a *App) writeBaseline(file string, b *audit.Baseline) error {
	var out bytes.Buffer
	if err := render.JSON(&out, b); err != nil {
		return err
	}
	if err := a.WriteFile(file, out.Bytes()); err != nil {
		return &store.Error{Op: "write", Path: file, Err: plain(err), Hint: store.Hint(err)}
	}
	return nil
}

// accept notes in the baseline that findings are accepted.
func (a *App) accept(c *cli.Context, b *audit.Baseline, findings []audit.Finding) error {
	by := c.String("by")
	if by == "" {
		by = a.Host.User.Name
	}
	if by == "" {
		return usage("--accept needs --by: it is not known who you are")
	}
	for _, key := range c.StringSlice("accept") {
		var hits []string
		for _, f := range findings {
			if len(key) >= store.MinPrefix && strings.HasPrefix(f.Key, strings.ToLower(key)) {
				hits = append(hits, f.Key)
			}
		}
		if len(hits) != 1 {
			return &store.Error{Err: store.Because(store.ErrInput, "--accept %s: it is the key of %s", store.Printable(key), countOf(len(hits), "finding")),
				Hint: "certtrust audit --all shows the keys; their first 8 digits are the least"}
		}
		b.Accept(audit.Acceptance{Key: hits[0], Reason: c.String("reason"), By: by, Until: c.String("until")})
	}
	if b.Time.IsZero() {
		b.Time = a.Host.Now().UTC().Truncate(time.Second)
	}
	return a.writeBaseline(c.String("baseline"), b)
}
