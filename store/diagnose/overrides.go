package diagnose

import (
	"slices"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// overrideEffects are the words for what an override does.
var overrideEffects = map[OverrideKind]Text{
	Replaces: {"%[1]s trusts only the roots of %[2]s, and not those of the stores", "%[1]s はストアのルート証明書を使わず、%[2]s のルート証明書だけを信頼します"},
	Adds:     {"%[1]s trusts the roots of %[2]s as well", "%[1]s はストアのルート証明書に加えて %[2]s のルート証明書も信頼します"},
	Disables: {"%[1]s does not verify anything, because of %[2]s", "%[1]s は %[2]s の設定により証明書を一切検証しません"},
}

// judgeOverrides warns of what makes programs look elsewhere, or not at all.
// What one setting does to several programs is said once.
func (e *engine) judgeOverrides() {
	for _, group := range groupOverrides(e.in.Overrides) {
		o := group[0]
		source, value := store.Printable(shorten(o.Source)), store.Printable(shorten(o.Value))
		proof := e.evidence("store", evOverride, source, store.Printable(o.Name), value)
		proof.Data = map[string]string{"client": o.Client, "source": source, "field": store.Printable(o.Name), "value": value}
		add := func(code string, severity Severity, args ...any) {
			f := finding{code: code, severity: severity, confidence: Proven, depth: -1, place: nowhere, args: args, evidence: []Evidence{proof}, detail: o.Client + o.Source}
			e.report(f)
		}
		var titles []string
		for _, o := range group {
			titles = append(titles, ClientTitle(o.Client))
		}
		client := strings.Join(titles, ", ")
		switch {
		case o.Effect == Disables:
			add("store.verification_off", Warning, client, source)
		case o.Err != nil:
			add("store.override_unreadable", Warning, client, source, e.errText(o.Err))
		case o.Effect == Replaces:
			add("store.override", Info, client, source)
			if e.leaf == nil {
				continue
			}
			// What the stores trust, but this program does not, or the reverse.
			view := overrideView(o)
			s := e.newShelf(view)
			out := &outcome{shelf: s}
			e.judgeStore(out, e.now)
			if main := e.mainOutcome(); out.accepted != main.accepted {
				severity := Warning
				if out.accepted {
					severity = Info
				}
				e.findings[len(e.findings)-1].severity = severity
			}
		}
	}
}

// groupOverrides puts together what one setting does to several programs.
func groupOverrides(all []Override) (groups [][]Override) {
	for _, o := range all {
		i := slices.IndexFunc(groups, func(g []Override) bool {
			return g[0].Source == o.Source && g[0].Name == o.Name && g[0].Value == o.Value && g[0].Effect == o.Effect && g[0].Only == o.Only
		})
		if i < 0 {
			groups = append(groups, []Override{o})
		} else {
			groups[i] = append(groups[i], o)
		}
	}
	return groups
}

// overrideView is a store of the roots that an override makes a program use.
func overrideView(o Override) View {
	v := View{Info: store.Info{ID: store.ID("override:" + o.Source), Backend: "override"}, Programme: o.Programme}
	for _, c := range o.Roots {
		v.Entries = append(v.Entries, store.Entry{Cert: c, Trust: store.TrustFor(store.Trusted, store.PurposeServerAuth)})
	}
	return v
}
