package keychain

import (
	"slices"
	"strconv"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// matches reports whether the setting is about a purpose.
func (e entry) matches(p policy) bool {
	return e.policy == "" || e.policy == p.oid && (e.name == "" || p.name == "" || e.name == p.name)
}

// decision is what the result of a setting means for a certificate: it is
// believed only if it is the one that fits.
func (e entry) decision(selfSigned bool) store.Decision {
	switch {
	case e.result == resultDeny:
		return store.Distrusted
	case e.result == resultTrustRoot && selfSigned, e.result == resultTrustAsRoot && !selfSigned:
		return store.Trusted
	}
	return store.Unspecified
}

// idle reports whether the setting says that the certificate is trusted, and
// is ignored.
func (e entry) idle(selfSigned bool) bool {
	return (e.result == resultTrustRoot || e.result == resultTrustAsRoot) && e.decision(selfSigned) == store.Unspecified
}

// rule returns what the settings say for a policy. Without an own rule, found
// is false.
func ruleOf(entries []entry, p policy, selfSigned bool) (r store.Rule, found bool) {
	r = store.Rule{Purpose: p.purpose, Decision: store.Unspecified}
	var hosts []string
	limited := store.Unspecified
	for _, e := range entries {
		switch d := e.decision(selfSigned); {
		case e.own || !e.matches(p):
		case e.host != "":
			if hosts == nil {
				limited = d
			}
			if d == limited {
				hosts = append(hosts, e.host)
			}
		default:
			r.Decision = d
			return r, true
		}
	}
	if hosts != nil {
		r.Decision, r.Hosts = limited, hosts
		return r, true
	}
	return r, false
}

// general is the policy of a setting that is limited to none.
var general = policy{purpose: store.PurposeAny}

func generalRule(entries []entry, selfSigned bool) (store.Rule, bool) {
	return ruleOf(slices.DeleteFunc(slices.Clone(entries), func(e entry) bool { return e.policy != "" }), general, selfSigned)
}

// trust is what a record makes of a certificate that is trusted as base says
// without it.
func (r *record) trust(h *held, base store.Trust) store.Trust {
	if r == nil {
		return base
	}
	return trustOf(r.entries, len(r.entries) == 0, h.self(), base)
}

// trustOf is trust; bare says that the record holds no settings, which means
// that a root is trusted for everything.
func trustOf(entries []entry, bare, selfSigned bool, base store.Trust) store.Trust {
	if bare {
		if selfSigned {
			return store.TrustFor(store.Trusted, store.PurposeAny)
		}
		return base
	}
	out := slices.Clone(base)
	if r, found := generalRule(entries, selfSigned); found && (r.Decision != store.Unspecified || len(base) == 0) {
		out = store.Trust{r}
	}
	named := map[store.Decision]bool{}
	for _, p := range universe(entries, nil) {
		r, found := ruleOf(entries, p, selfSigned)
		if !found {
			continue
		}
		if r.Decision == store.Unspecified && len(base) > 0 {
			r = base.Rule(p.purpose) // judged as if nothing were set
		}
		if p.purpose == basicOID && (named[r.Decision] || r.Decision == store.Unspecified) {
			continue // it goes along
		}
		if len(r.Hosts) == 0 {
			named[r.Decision] = true
		}
		out = out.With(store.Trust{r}, false)
	}
	return out.Normal()
}

// withoutBasic leaves the basic policy out where it only goes along.
func withoutBasic(t store.Trust) store.Trust {
	basic := t.For(basicOID)
	along := slices.ContainsFunc(t, func(r store.Rule) bool {
		return r.Decision == basic && len(r.Hosts) == 0 && slices.Contains(namedPurposes(), r.Purpose)
	})
	if !along {
		return t
	}
	return slices.DeleteFunc(slices.Clone(t), func(r store.Rule) bool { return r.Purpose == basicOID })
}

// universe is the policies that entries or a trust are about, and all named
// ones; the basic policy comes after those.
func universe(entries []entry, t store.Trust) []policy {
	out := slices.DeleteFunc(slices.Clone(policies), func(p policy) bool { return strings.HasPrefix(string(p.purpose), applePolicies) })
	add := func(oid string) {
		if !slices.ContainsFunc(out, func(p policy) bool { return p.oid == oid }) {
			out = append(out, policy{oid: oid, purpose: store.Purpose(oid)})
		}
	}
	for _, e := range entries {
		if e.policy != "" && !e.own {
			add(e.policy)
		}
	}
	for _, r := range t {
		if hasPolicy(r.Purpose) && strings.HasPrefix(string(r.Purpose), applePolicies) {
			add(string(r.Purpose))
		}
	}
	slices.SortStableFunc(out, func(a, b policy) int { return rank(a) - rank(b) })
	return out
}

func rank(p policy) int {
	if p.purpose == basicOID {
		return 1
	}
	return 0
}

// rewrite returns the settings that make a record say want, keeping what says
// so already and what is none of want's business.
func rewrite(old []entry, bare bool, h *held, base, want store.Trust) ([]entry, error) {
	c, self := h.cert, h.self()
	now := trustOf(old, bare, self, base)
	if bare {
		old = nil
		if self {
			old = []entry{newEntry(general, store.Trusted, self, "")}
		}
	}
	differs := func(p store.Purpose) bool {
		a, b := now.Rule(p), want.Rule(p)
		return !store.Trust{a}.Equal(store.Trust{b}, c.IsCA())
	}
	all := universe(old, append(store.Trust{{Purpose: basicOID}}, want...))
	wants := func(p policy) store.Rule {
		if p.purpose != basicOID || slices.ContainsFunc(want, func(r store.Rule) bool { return r.Purpose == basicOID }) {
			return want.Rule(p.purpose)
		}
		r := want.Rule(store.PurposeAny)
		for _, q := range all {
			if own := want.Rule(q.purpose); q.purpose != basicOID && own.Decision == store.Trusted && len(own.Hosts) == 0 {
				r = store.Rule{Decision: store.Trusted}
			}
		}
		r.Purpose = basicOID
		return r
	}
	// What contradicts is dropped; what is limited to an application too, if it
	// would let pass what is not to pass.
	var next []entry
	for _, e := range old {
		keep := !e.idle(self)
		for _, p := range all {
			if e.policy == "" || !e.matches(p) || p.purpose == basicOID {
				continue
			}
			if differs(p.purpose) && (!e.own || want.For(p.purpose) != store.Trusted) {
				keep = false
			}
		}
		if e.policy == "" && differs(store.PurposeAny) && (!e.own || want.For(store.PurposeAny) != store.Trusted) {
			keep = false
		}
		if e.policy == basicOID && !e.own {
			r, _ := ruleOf([]entry{e}, policy{oid: basicOID}, self)
			keep = r.Decision == wants(policy{purpose: basicOID}).Decision
		}
		if keep {
			next = append(next, e)
		}
	}
	if d := want.Rule(store.PurposeAny); d.Decision != base.Rule(store.PurposeAny).Decision || len(d.Hosts) > 0 {
		if r, found := generalRule(next, self); !found || r.Decision != d.Decision {
			next = append(next, newEntries(general, d, self)...)
		}
	}
	for _, p := range all {
		r := wants(p)
		have, found := ruleOf(next, p, self)
		if !found {
			have = base.Rule(p.purpose)
		}
		if have.Decision == r.Decision && slices.Equal(sorted(have.Hosts), sorted(r.Hosts)) {
			continue
		}
		// In front of all that would decide before it.
		at := slices.IndexFunc(next, func(e entry) bool { return e.matches(p) && (!e.own || r.Decision != store.Trusted) })
		if at < 0 {
			at = len(next)
		}
		next = slices.Insert(next, at, newEntries(p, r, self)...)
	}
	got := trustOf(next, false, self, base)
	if !got.Equal(want, c.IsCA()) {
		return nil, store.Because(store.ErrUnsupported, "the trust settings of macOS cannot say \"%s\" (what they hold besides is in the way)", want)
	}
	return next, nil
}

func sorted(list []string) []string {
	out := slices.Clone(list)
	slices.Sort(out)
	return out
}

// newEntries makes the settings for a rule, one for each host.
func newEntries(p policy, r store.Rule, self bool) []entry {
	if len(r.Hosts) == 0 {
		return []entry{newEntry(p, r.Decision, self, "")}
	}
	var out []entry
	for _, h := range r.Hosts {
		out = append(out, newEntry(p, r.Decision, self, h))
	}
	return out
}

func newEntry(p policy, d store.Decision, self bool, host string) entry {
	e := entry{policy: p.oid, name: p.name, host: host, raw: map[string]any{}}
	switch {
	case d == store.Distrusted:
		e.result = resultDeny
	case d == store.Unspecified:
		e.result = resultUnspecified
	case self:
		e.result = resultTrustRoot
	default:
		e.result = resultTrustAsRoot
	}
	if p.oid != "" {
		e.raw[keyPolicy] = oidContent(p.oid)
	}
	if p.name != "" {
		e.raw[keyPolicyName] = p.name
	}
	if host != "" {
		e.raw[keyPolicyString] = host
	}
	e.raw[keyResult] = uint64(e.result)
	return e
}

// describe writes settings for people, as the tool's words have it.
func (r *record) describe() string {
	if r.bad != "" {
		return r.bad
	}
	if len(r.entries) == 0 {
		return "no limits"
	}
	var out []string
	for _, e := range r.entries {
		what := e.policy
		for _, p := range policies {
			if p.oid == e.policy && (e.name == "" || p.name == "" || p.name == e.name) {
				what = p.word
				if p.word == "" {
					what = p.name
				}
				break
			}
		}
		if what == "" {
			what = "everything"
		}
		if e.host != "" {
			what += " " + e.host
		}
		for _, extra := range []struct{ key, word string }{{keyApplication, "one application"}, {keyKeyUsage, "key usage"}, {keyAllowedError, "allowed error"}} {
			if v, has := e.raw[extra.key]; has {
				what += ", " + extra.word
				if n, ok := number(v); ok {
					what += " " + strconv.FormatInt(n, 10)
				}
			}
		}
		result := "invalid"
		if e.result < len(resultNames) {
			result = resultNames[e.result]
		}
		text := what + ": " + result
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return store.Printable(strings.Join(out, "; "))
}
