package store

import (
	"encoding/asn1"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Purpose is what a certificate is trusted for: one of the constants, or the
// dotted OID of an extended key usage.
type Purpose string

// The purposes (RFC 5280, 4.2.1.12).
const (
	PurposeAny          Purpose = "any"
	PurposeServerAuth   Purpose = "server-auth"
	PurposeClientAuth   Purpose = "client-auth"
	PurposeEmail        Purpose = "email"
	PurposeCodeSigning  Purpose = "code-signing"
	PurposeTimeStamping Purpose = "time-stamping"
	PurposeOCSPSigning  Purpose = "ocsp-signing"
)

// Purposes lists the purposes that have a name, with the OID of their extended
// key usage.
var purposes = []struct {
	Name Purpose
	OID  string
}{
	{PurposeAny, "2.5.29.37.0"},
	{PurposeServerAuth, "1.3.6.1.5.5.7.3.1"},
	{PurposeClientAuth, "1.3.6.1.5.5.7.3.2"},
	{PurposeEmail, "1.3.6.1.5.5.7.3.4"},
	{PurposeCodeSigning, "1.3.6.1.5.5.7.3.3"},
	{PurposeTimeStamping, "1.3.6.1.5.5.7.3.8"},
	{PurposeOCSPSigning, "1.3.6.1.5.5.7.3.9"},
}

// NamedPurposes returns the purposes that have a name, PurposeAny first.
func NamedPurposes() []Purpose {
	var names []Purpose
	for _, p := range purposes {
		names = append(names, p.Name)
	}
	return names
}

// PurposeOfOID returns the purpose of an extended key usage OID.
func PurposeOfOID(oid asn1.ObjectIdentifier) Purpose {
	dotted := oid.String()
	for _, p := range purposes {
		if p.OID == dotted {
			return p.Name
		}
	}
	return Purpose(dotted)
}

// ParsePurpose reads the name or the dotted OID of a purpose.
func ParsePurpose(s string) (Purpose, error) {
	for _, p := range purposes {
		if s == string(p.Name) || s == p.OID {
			return p.Name, nil
		}
	}
	arcs := strings.Split(s, ".")
	valid := len(arcs) > 2
	for _, arc := range arcs {
		if _, err := strconv.ParseUint(arc, 10, 31); err != nil {
			valid = false
		}
	}
	if !valid {
		return "", fmt.Errorf("unknown purpose %s: not one of %s and not an OID", quote(s), strings.Trim(fmt.Sprint(NamedPurposes()), "[]"))
	}
	return Purpose(s), nil
}

// Decision is how a store takes a certificate for a purpose.
type Decision string

// The decisions.
const (
	Unspecified Decision = "unspecified" // neither: a chain must end elsewhere
	Trusted     Decision = "trusted"     // an anchor: it and what it issued
	Peer        Decision = "peer"        // this certificate alone
	Distrusted  Decision = "distrusted"  // refused, whoever vouches for it
)

// Rule is a decision for a purpose.
type Rule struct {
	Purpose  Purpose  `json:"purpose"`
	Decision Decision `json:"decision"`
	// DistrustAfter: what was issued later is refused; zero = no limit.
	DistrustAfter time.Time `json:"distrustAfter,omitzero"`
	// Hosts limits the rule to these DNS names; empty = all.
	Hosts []string `json:"hosts,omitempty"`
}

// Trust is a set of rules, at most one for each purpose. The rule for
// PurposeAny holds for each purpose without a rule of its own.
type Trust []Rule

// TrustFor returns the trust that gives the purposes one decision.
func TrustFor(d Decision, purposes ...Purpose) Trust {
	var t Trust
	for _, p := range purposes {
		t = append(t, Rule{Purpose: p, Decision: d})
	}
	return t
}

// Rule returns the rule that holds for a purpose.
func (t Trust) Rule(p Purpose) Rule {
	general := Rule{Purpose: p, Decision: Unspecified}
	for _, r := range t {
		switch r.Purpose {
		case p:
			return r
		case PurposeAny:
			general = r
			general.Purpose = p
		}
	}
	return general
}

// For returns the decision for a purpose.
func (t Trust) For(p Purpose) Decision { return t.Rule(p).Decision }

// Has reports whether any rule makes the decision d.
func (t Trust) Has(d Decision) bool {
	return slices.ContainsFunc(t, func(r Rule) bool { return r.Decision == d })
}

// Normal returns t with one rule per purpose (the first), sorted by purpose
// (PurposeAny first), without the rules that say what holds without them. It is
// never nil: null would be no wish at all in a [Change] that is kept as JSON.
func (t Trust) Normal() Trust {
	out := make(Trust, 0, len(t))
	general := Rule{Decision: Unspecified} // what holds for a purpose without a rule
	for i, r := range t {
		if slices.ContainsFunc(t[:i], func(o Rule) bool { return o.Purpose == r.Purpose }) {
			continue
		}
		r.Hosts = slices.Clone(r.Hosts)
		slices.Sort(r.Hosts)
		out = append(out, r)
		if r.Purpose == PurposeAny {
			general = r
		}
	}
	out = slices.DeleteFunc(out, func(r Rule) bool {
		if r.Purpose == PurposeAny || general.Purpose == "" {
			return r.Decision == Unspecified
		}
		return sameRule(r, general)
	})
	slices.SortFunc(out, func(a, b Rule) int {
		if (a.Purpose == PurposeAny) != (b.Purpose == PurposeAny) {
			if a.Purpose == PurposeAny {
				return -1
			}
			return 1
		}
		return strings.Compare(string(a.Purpose), string(b.Purpose))
	})
	return out
}

func sameRule(a, b Rule) bool {
	return a.Decision == b.Decision && a.DistrustAfter.Equal(b.DistrustAfter) && slices.Equal(a.Hosts, b.Hosts)
}

// Equal reports whether both say the same for every purpose. For a certificate
// that is no CA (ca false), peer and trusted are the same.
func (t Trust) Equal(u Trust, ca bool) bool {
	fold := func(t Trust) Trust {
		t = t.Normal()
		if ca || !t.Has(Peer) {
			return t
		}
		for i := range t {
			if t[i].Decision == Peer {
				t[i].Decision = Trusted
			}
		}
		return t.Normal()
	}
	a, b := fold(t), fold(u)
	return slices.EqualFunc(a, b, func(x, y Rule) bool { return x.Purpose == y.Purpose && sameRule(x, y) })
}

// With returns t with the rules of want put in place; purposes that want does
// not name stay as they are, unless exact, when want is all there is.
func (t Trust) With(want Trust, exact bool) Trust {
	if exact {
		return want.Normal()
	}
	// A general rule replaces all others: it is wanted for every purpose.
	if slices.ContainsFunc(want, func(r Rule) bool { return r.Purpose == PurposeAny }) {
		return want.Normal()
	}
	return slices.Concat(want, t).Normal()
}

// String writes the trust for people, such as "server-auth" for a trusted
// purpose, "distrusted: any", or "" for none.
func (t Trust) String() string {
	byDecision := map[Decision][]string{}
	for _, r := range t.Normal() {
		text := string(r.Purpose)
		if len(r.Hosts) > 0 {
			text += " only for " + strings.Join(r.Hosts, " ")
		}
		if !r.DistrustAfter.IsZero() {
			text += " if issued by " + r.DistrustAfter.UTC().Format(time.DateOnly)
		}
		byDecision[r.Decision] = append(byDecision[r.Decision], text)
	}
	var parts []string
	for _, d := range []Decision{Trusted, Peer, Distrusted, Unspecified} {
		if len(byDecision[d]) > 0 {
			parts = append(parts, string(d)+": "+strings.Join(byDecision[d], ", "))
		}
	}
	return Printable(strings.Join(parts, "; "))
}
