package audit

import (
	"maps"
	"slices"

	"github.com/certtrust/certtrust/store"
)

// problemRow tells which rule a problem that a store tells of belongs to, how
// much it matters, and what mends it where repair does not.
type problemRow struct {
	rule     string
	severity Severity
	mend     func(s *Store, p store.Problem) []Fix
}

// ofProblem has a row for every code of a problem that a backend can tell of.
var ofProblem = map[string]problemRow{
	// anchor directories
	"anchor-not-in-bundle": {"drift.anchor_not_in_bundle", Medium, nil},
	"no-anchor":            {"drift.bundle_only", Medium, nil},
	"doubled-bundle":       {"drift.not_up_to_date", Low, nil},
	"still-in-bundle":      {"drift.not_up_to_date", Medium, nil},
	"java-lacks":           {"drift.not_up_to_date", Low, nil},
	"java-keeps":           {"drift.not_up_to_date", Medium, nil},
	"java-unreadable":      {"store.ineffective", Medium, nil},
	"update-pending":       {"drift.not_up_to_date", Low, nil},
	"dangling-link":        {"drift.dangling_link", Low, nil},
	"stale-temporary":      {"drift.stale_temp", Medium, nil},
	"left-behind":          {"drift.stale_temp", Low, nil},
	"stray-file":           {"drift.stray_file", Medium, strayFile},
	"stray-backup":         {"drift.stray_file", Medium, nil},
	"no-hash-link":         {"store.ineffective", Medium, nil},
	"wrong-hash-link":      {"store.ineffective", Low, nil},
	"same-name":            {"store.ineffective", Medium, otherName},
	"not-pem":              {"store.ineffective", Medium, reimported},
	"several-certificates": {"store.ineffective", Low, reimported},
	"trusted-certificate":  {"store.ineffective", Low, reimported},
	"not-for-everybody":    {"store.ineffective", Medium, readable},
	"ignored-name":         {"store.ineffective", Low, reimported},
	"no-certificate":       {"store.ineffective", Low, discarded},
	"not-a-file":           {"store.ineffective", Low, discarded},
	"unreadable-block":     {"store.ineffective", Low, discarded},
	"newline-in-name":      {"store.ineffective", High, brokenName},
	"not-listed":           {"store.ineffective", Low, vendorList},
	"listed-but-missing":   {"store.ineffective", Low, vendorList},
	"private-key":          {"store.private_key_present", Critical, reimported},

	"no-authority":      {"store.ineffective", Low, nil},
	"distrusted-anchor": {"store.trust_conflict", Low, nil},
	"p11-kit-object":    {"store.ineffective", Low, nil},
	"unfinished-update": {"drift.not_up_to_date", Medium, nil},

	// Java keystores
	"java-leftover": {"drift.stale_temp", Low, nil},
	"java-unmarked": {"store.ineffective", Low, nil},

	// exports of Windows' registry
	"key-name-case": {"store.ineffective", Low, nil},
	"key-name":      {"store.ineffective", Low, nil},

	// trust settings of macOS
	"orphaned-settings":    {"store.ghost_trust", Medium, nil},
	"damaged-settings":     {"store.ineffective", Medium, nil},
	"ineffective-settings": {"store.ineffective", Medium, nil},
	"mismatched-settings":  {"store.orphan_settings", Low, nil},
	"duplicate":            {"store.duplicate", Info, nil},
	"overruled-settings":   {"store.trust_conflict", Medium, nil},

	// NSS databases
	"ghost-trust":      {"store.ghost_trust", Medium, nil},
	"orphan-trust":     {"store.orphan_settings", Low, nil},
	"lost-object":      {"store.ineffective", Medium, nil},
	"orphan-signature": {"store.orphan_settings", Info, nil},
	"hash-mismatch":    {"store.orphan_settings", Low, nil},
	"kinds-differ":     {"store.trust_conflict", Medium, nil},
	"new-kind-only":    {"store.ineffective", Low, nil},
	"no-integrity":     {"store.trust_unsigned", Medium, nil},
	"bad-integrity":    {"store.trust_unsigned", High, nil},
	"costly-integrity": {"store.trust_unsigned", Medium, nil},
	"fips-mode":        {"store.ineffective", Info, nil},

	// policies of browsers
	"platform-off": {"store.ineffective", Low, byPolicy},
	"no-file":      {"store.ineffective", Low, byPolicy},
}

// otherProblem is the row of a code that has none.
var otherProblem = problemRow{"store.problem", Low, nil}

// ProblemCodes returns the codes that have a row of their own, sorted. A
// problem with another code is a finding too, of the rule store.problem.
func ProblemCodes() []string { return slices.Sorted(maps.Keys(ofProblem)) }

func reimported(s *Store, p store.Problem) []Fix { return reimport(s, p.Path) }
func discarded(s *Store, p store.Problem) []Fix  { return discard(s, p.Path) }

func readable(s *Store, p store.Problem) []Fix {
	if list := offline(s); list != nil {
		return list
	}
	return fix("let everybody read it", admin(s), run("chmod", "a+r", "--", p.Path))
}

func strayFile(s *Store, p store.Problem) []Fix {
	list := discard(s, p.Path)
	if s.Info.Root == "" {
		list[0].Summary = "delete it, if nobody needs it"
		list = append(list, fix("or make it an anchor, which all programs heed", admin(s),
			certtrust(s, "import", p.Path), run("rm", "--", p.Path), repair(s))...)
	}
	return list
}

func otherName(s *Store, p store.Problem) []Fix {
	list := reimport(s, p.Path)
	list[0].Summary = "import it anew, under a name of its own"
	return list
}

func brokenName(s *Store, _ store.Problem) []Fix {
	if list := offline(s); list != nil {
		return list
	}
	return fix("delete the file", admin(s), "find /usr/local/share/ca-certificates -name '*[[:cntrl:]]*' -delete", repair(s))
}

func vendorList(s *Store, _ store.Problem) []Fix {
	return steps("bring the vendor's files and list together", "install the system's package of roots anew, or run its configuration, such as dpkg-reconfigure ca-certificates")
}

func byPolicy(s *Store, p store.Problem) []Fix {
	return steps("have the policy corrected", "whoever manages the machine writes "+store.Printable(p.Path))
}

// problemRules finds what the stores tell of themselves. A rule is only one of
// these if a row of ofProblem names it.
func problemRule(id string) func(m *machine, found func(Finding)) {
	return func(m *machine, found func(Finding)) {
		for _, s := range m.stores {
			for i := range s.Entries {
				e := &s.Entries[i]
				for _, p := range e.Problems {
					problemFinding(m, id, s, e, p, found)
				}
			}
			for _, p := range s.Problems {
				problemFinding(m, id, s, &store.Entry{}, p, found)
			}
		}
	}
}

func problemFinding(m *machine, id string, s *Store, e *store.Entry, p store.Problem, found func(Finding)) {
	row, known := ofProblem[p.Code]
	if !known {
		row = otherProblem
	}
	if row.rule != id {
		return
	}
	f := about(s, e)
	if e.Cert == nil && p.Fingerprint != nil {
		f.SHA256 = *p.Fingerprint
	}
	if p.Path != "" {
		f.File = store.Printable(p.Path)
	}
	f.Severity = row.severity
	what := f.File
	switch {
	case e.Cert != nil:
		what = name(e.Cert)
	case e.Label != "" && f.File == "":
		what = store.Printable(e.Label)
	case !f.SHA256.IsZero():
		what = f.SHA256.Short()
		if list := m.held[f.SHA256]; len(list) > 0 {
			what = name(list[0].entry.Cert)
		}
	}
	if what == "" {
		what = string(s.Info.ID)
	}
	f.Title = what + ": " + store.Printable(p.Text)
	f.Key = p.Code + "\n" + p.Path + "\n" + f.SHA256.String() + "\n" + e.Source.Item
	f.Evidence = []string{"problem: " + p.Code}
	if e.Cert != nil {
		f.Evidence = append(f.Evidence, whence(e)...)
	} else if f.File != "" {
		f.Evidence = append(f.Evidence, "lies in "+f.File)
	}
	switch {
	case p.Mendable:
		f.Fixes = mend(s)
	case row.mend != nil:
		f.Fixes = row.mend(s, p)
	case e.Cert != nil && trusts(e):
		f.Fixes = withdraw(s, e)
	}
	found(f)
}
