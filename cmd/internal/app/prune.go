package app

import (
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/render"
	"github.com/certtrust/certtrust/store"
)

// prune removes what --known-tools and --expired describe, and no vendor put
// there. Nobody has named it, so a person is shown it and asked.
func (a *App) prune(c *cli.Context) error {
	if c.Args().Present() {
		return usage("remove takes either certificates or --known-tools and --expired, and not both")
	}
	found, err := a.changedStores(c)
	if err != nil {
		return err
	}
	now := a.Host.Now()
	stores := newReader(c.Context, found)
	ch := &change{app: a, c: c, command: c.Command.Name}
	wants := map[store.ID][]store.Change{}
	var told []store.Fingerprint
	for _, st := range stores() {
		if st.err != nil {
			if selector(c).Names(st.info) || c.Context.Err() != nil {
				return st.err
			}
			continue // planning tells of it
		}
		for _, err := range st.lost {
			a.Streams.Warningf("%v", err)
		}
		vendors := map[store.Fingerprint]bool{}
		for _, e := range st.entries {
			if e.Cert != nil && e.Origin.By == store.ByVendor {
				vendors[e.Cert.SHA256] = true
			}
		}
		for _, e := range st.entries {
			if e.Cert == nil || vendors[e.Cert.SHA256] || e.Trust.Has(store.Distrusted) {
				continue
			}
			tool := store.KnownTool(e.Cert)
			expired := !e.Cert.NotAfter.IsZero() && now.After(e.Cert.NotAfter)
			if c.Bool("known-tools") && tool == "" || c.Bool("expired") && !expired {
				continue
			}
			fp := e.Cert.SHA256
			if slices.ContainsFunc(e.Problems, func(p store.Problem) bool { return p.Code == "stray-file" }) {
				// It is no anchor, and a server may need the file.
				a.Streams.Warningf("%s (%s) is left alone: it lies in %s, which may be some program's own", store.Printable(e.Label), fp.Short(), store.Printable(e.Source.Path))
				continue
			}
			if !slices.ContainsFunc(wants[st.info.ID], func(w store.Change) bool { return w.Fingerprint == fp }) {
				wants[st.info.ID] = append(wants[st.info.ID], store.Change{Fingerprint: fp, Absent: true})
			}
			if slices.Contains(told, fp) {
				continue
			}
			told = append(told, fp)
			reason := "expired on " + e.Cert.NotAfter.Format("2006-01-02")
			switch {
			case tool != "" && expired:
				reason = "of " + tool + ", " + reason
			case tool != "":
				reason = "of " + tool
			}
			ch.certificates = append(ch.certificates, render.NewChangeCertificate(e.Cert, actRemoved, reason, nil))
		}
	}
	ch.want = func(i store.Info) []store.Change { return wants[i.ID] }
	if len(told) == 0 {
		return ch.run(found) // that none is left is what was asked for
	}
	if !c.Bool("dry-run") && !c.Bool("yes") {
		if !a.Streams.CanAsk() {
			return &store.Error{Op: "remove", Err: store.Because(store.ErrConsent, "%s would be removed that nobody has named", certificates(len(told))),
				Hint: "look at them with --dry-run, and give --yes"}
		}
		for _, x := range ch.certificates {
			a.Streams.Noticef("%s  %s  %s", x.SHA256.Short(), store.Printable(x.Label), x.Reason)
		}
		yes, err := a.Streams.Confirm(fmt.Sprintf("Remove %s?", certificates(len(told))), false)
		if err != nil {
			return err
		}
		if !yes {
			return &store.Error{Op: "remove", Err: store.Because(store.ErrConsent, "nothing was removed")}
		}
	}
	return ch.run(found)
}

func certificates(n int) string {
	if n == 1 {
		return "1 certificate"
	}
	return fmt.Sprintf("%d certificates", n)
}
