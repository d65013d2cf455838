package diagnose

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"github.com/certtrust/certtrust/store"
)

// fixRow is something that somebody can do about a cause: a row of the table.
type fixRow struct {
	id, who string // who: server, client, admin, network
	risk    string // none, low, high
	summary Text
	// perStore: it is done to a store, and offered for each that it is about.
	perStore bool
	// aside: the store itself is not written to, so it may be one that cannot.
	aside bool
	ways  []way
}

// way is how it is done somewhere: the commands that a person can run, and
// what to do by hand.
type way struct {
	// on says where: a kind of store ("java", "keychain"), what uses a database
	// of NSS ("firefox", "chromium"), a system ("linux", "darwin", "windows"), a
	// family of Linux ("debian"), or "" for anywhere. All that fit are put
	// together; for a fix to a store, its kind decides.
	on       string
	os       string // and only there
	title    string // of a program, where several are told apart
	commands []string
	steps    []Text
	admin    bool
}

// fixTables returns all rows.
func fixTables() []fixRow { return slices.Concat(storeFixes, serverFixes, clientFixes) }

func fixOf(id string) *fixRow {
	for _, rows := range [][]fixRow{storeFixes, serverFixes, clientFixes} {
		for i := range rows {
			if rows[i].id == id {
				return &rows[i]
			}
		}
	}
	return nil
}

// FixInfo returns what a fix comes to, for a system and a family of systems,
// without a case: placeholders are left as HOST and the like. It reports
// whether there is such a fix.
func FixInfo(id, os, family string, lang Lang) (Fix, bool) {
	r := fixOf(id)
	if r == nil {
		return Fix{}, false
	}
	return r.fix(lang, os, family, "", placeholders{}), true
}

// placeholders are what is put into commands. Each is quoted for the shell.
type placeholders map[string]string

// defaultValues stand where nothing is known.
var defaultValues = map[string]string{
	"host": "HOST", "port": "443", "store": "STORE", "sha256": "FINGERPRINT", "sha1": "SHA1", "database": "sql:DIRECTORY", "keystore": "CACERTS", "old": "FINGERPRINT", "oldsha1": "SHA1",
	"client": "PROGRAM",
}

// fill puts values into a command. A value is one word of the shell, whatever
// it holds.
func fill(command, os string, values placeholders) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(command, "{")
		name, after, closed := strings.Cut(rest, "}")
		if !found || !closed {
			b.WriteString(command)
			return b.String()
		}
		fallback, known := defaultValues[name]
		if !known { // a brace of the command itself
			b.WriteString(before + "{")
			command = rest
			continue
		}
		b.WriteString(before)
		if v, ok := values[name]; ok && v != "" {
			b.WriteString(shellQuote(v, os))
		} else {
			b.WriteString(fallback)
		}
		command = after
	}
}

// shellQuote writes a value as one word of the shell of a system: sh, or
// PowerShell. Control characters, which a terminal would act on and which are
// in no name that means something, become question marks.
func shellQuote(s, os string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	plain := func(r rune) bool {
		return r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_./:,+=", r))
	}
	if s != "" && !strings.HasPrefix(s, "-") && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	if os == "windows" {
		// PowerShell takes typographic quotation marks for quotation marks.
		return "'" + strings.NewReplacer("'", "''", "‘", "''", "’", "''", "‚", "''", "‛", "''").Replace(s) + "'"
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// usedBy reports whether a database of NSS may be that of a family of browsers,
// "firefox" or "chromium": profiles are those of Firefox and its kin, and what is
// named by its place may be anybody's.
func usedBy(family string, id store.ID) bool {
	_, place, _ := strings.Cut(string(id), ":")
	profile := strings.Contains(place, "/")
	switch {
	case id.Backend() != "nss":
		return false
	case strings.HasPrefix(place, "/"):
		return family == "firefox" || family == "chromium"
	}
	return family == "firefox" && profile || family == "chromium" && !profile
}

func (r *fixRow) fix(lang Lang, os, family string, target store.ID, values placeholders) Fix {
	f := Fix{ID: r.id, Who: r.who, Summary: r.summary.In(lang), Risk: r.risk}
	fits := func(w way) bool {
		switch {
		case w.os != "" && w.os != os:
			return false
		case w.on == "":
			return true
		case r.perStore && target != "":
			backend := target.Backend()
			return w.on == backend || backend == "anchors" && w.on == family || usedBy(w.on, target)
		}
		return w.on == os || os == "linux" && w.on == family || os == "darwin" && w.on == "keychain"
	}
	for _, w := range r.ways {
		if !fits(w) {
			continue
		}
		if w.on == os && os != "" {
			f.OS = os
		}
		f.RequiresAdmin = f.RequiresAdmin || w.admin
		for _, c := range w.commands {
			text := fill(c, os, values)
			if w.title != "" {
				text += "  # " + w.title
			}
			f.Commands = append(f.Commands, text)
		}
		for _, s := range w.steps {
			f.Steps = append(f.Steps, s.In(lang))
		}
	}
	return f
}

// fixes gathers what can be done about the causes, the best first, and what
// must not be done.
func (e *engine) fixes(d *Document) {
	type key struct{ id, store string }
	seen := map[key]int{}
	causes := d.Causes
	if len(causes) == 0 {
		causes = slices.DeleteFunc(slices.Clone(d.Warnings), func(c Cause) bool { return c.Severity == Info })
	}
	for _, c := range causes {
		for _, id := range c.Fixes {
			r := fixOf(id)
			if r == nil || !e.applies(id, c, causes[0].Code) {
				continue
			}
			targets := []string{""}
			if r.perStore && len(c.Stores) > 0 {
				targets = e.targets(c.Stores, r.aside)
			}
			for _, target := range targets {
				k := key{id, target}
				if i, ok := seen[k]; ok {
					if !slices.Contains(d.Fixes[i].For, c.Code) {
						d.Fixes[i].For = append(d.Fixes[i].For, c.Code)
					}
					continue
				}
				f := r.fix(e.lang, e.in.OS, e.in.Family, store.ID(target), e.values(c, target))
				f.For, f.Store = []string{c.Code}, optional(target)
				f.Preferred = len(d.Fixes) == 0 && r.risk != "high"
				seen[k] = len(d.Fixes)
				d.Fixes = append(d.Fixes, f)
			}
		}
	}
	if len(d.Causes) == 0 || e.leaf == nil {
		return
	}
	for _, n := range nots {
		if slices.ContainsFunc(d.Causes, func(c Cause) bool {
			return slices.ContainsFunc(n.when, func(m string) bool { return matches(m, finding{code: c.Code}) })
		}) && !slices.ContainsFunc(d.Fixes, func(f Fix) bool { return f.ID == n.id }) {
			d.NotRecommended = append(d.NotRecommended, Not{ID: n.id, Why: n.why.In(e.lang)})
		}
	}
}

// targets are the stores that something is done to about some: where one is
// generated from another, that other, and none that nobody can write.
func (e *engine) targets(ids []string, aside bool) (out []string) {
	for _, id := range ids {
		if i := slices.IndexFunc(e.shelves, func(s *shelf) bool { return string(s.id) == id }); i >= 0 && !aside {
			info := e.shelves[i].view.Info
			if w := info.Access.Write; w != nil && w.Kind == store.ReadOnly {
				continue
			}
			if info.DerivedFrom != "" {
				id = string(info.DerivedFrom)
			}
		}
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// applies tells whether a fix makes sense in the case, whose first cause is
// first.
func (e *engine) applies(id string, c Cause, first string) bool {
	kind := ""
	if k := slices.IndexFunc(e.findings, func(f finding) bool { return f.code == "trust.interception" }); k >= 0 {
		kind = e.findings[k].detail
	}
	switch id {
	case "proxy.get_root_from_admin":
		return kind == "proxy" || c.Code != "trust.interception"
	case "proxy.disable_av_scanning":
		return kind == "antivirus"
	case "proxy.stop_debugging":
		return kind == "debugging"
	case "trust.remove_root": // only what is there
		return slices.ContainsFunc(e.shelves, func(s *shelf) bool {
			return slices.ContainsFunc(e.findings, func(f finding) bool { return f.code == c.Code && f.cert != nil && s.items[f.cert.SHA256] != nil })
		})
	case AcceptRoot:
		return c.Code == first && c.Cert != nil && slices.ContainsFunc(slices.Concat(e.sent, e.fetched), func(n *node) bool {
			return n.SHA256.String() == *c.Cert && n.Kind() == "root"
		})
	case "trust.import_root":
		// Not the root of something that signs connections anew, unless it is a
		// company's; and never one that is known to be bad.
		return kind != "debugging" && kind != "antivirus" && !slices.ContainsFunc(e.findings, func(f finding) bool { return f.code == "trust.known_bad_root" })
	}
	return true
}

// values are what a case puts into commands.
func (e *engine) values(c Cause, target string) placeholders {
	v := placeholders{"host": e.in.Capture.Target.Host, "port": fmt.Sprint(e.in.Capture.Target.Port), "store": target}
	if ip, err := netip.ParseAddr(v["host"]); err == nil && ip.Is6() {
		v["host"] = "[" + v["host"] + "]"
	}
	switch id := store.ID(target); id.Backend() {
	case "nss":
		v["database"] = "sql:" + locationOf(e, target)
	case "java":
		v["keystore"] = locationOf(e, target)
	}
	for _, f := range e.findings {
		if f.code != c.Code || f.cert == nil || c.Cert == nil || f.cert.SHA256.String() != *c.Cert {
			continue
		}
		v["sha256"] = f.cert.SHA256.String()
		print := sha1.Sum(f.cert.Raw)
		v["sha1"] = hex.EncodeToString(print[:])
		if f.code == "trust.same_name_other_key" {
			for _, o := range e.outcomes {
				if string(o.shelf.id) == target || target == "" {
					if old := e.namesake(o.shelf, f.cert); old != nil {
						print := sha1.Sum(old.Raw)
						v["old"], v["oldsha1"] = old.SHA256.String(), hex.EncodeToString(print[:])
					}
				}
			}
		} else {
			v["old"], v["oldsha1"] = v["sha256"], v["sha1"]
		}
	}
	return v
}

func locationOf(e *engine, target string) string {
	for _, o := range e.outcomes {
		if string(o.shelf.id) == target && o.shelf.view.Info.Location != "" {
			return o.shelf.view.Info.Location
		}
	}
	_, place, _ := strings.Cut(target, ":")
	return place
}

// nots are what people do and must not, with what it does.
var nots = []struct {
	id   string
	when []string
	why  Text
}{
	{"skip_verification", []string{"trust.", "chain.", "cert.", "name.", "time.", "revocation.", "store."},
		Text{"Switching verification off (curl -k, NODE_TLS_REJECT_UNAUTHORIZED=0, verify=False) lets anybody in between read and change everything, now and later.",
			"検証の無効化(curl -k、NODE_TLS_REJECT_UNAUTHORIZED=0、verify=False など)をすると、通信経路上の誰もが内容を盗聴、改ざんできる状態が続きます。"}},
	{"trust.leaf", []string{"trust.", "chain.", "cert.", "name.", "time."},
		Text{"Trusting the server's own certificate mends nothing for long: it ends with the next renewal, Firefox refuses it, and it hides the cause. What is trusted is the root.",
			"サーバー証明書自体を信頼しても、次の更新で使えなくなり、Firefox では拒否され、原因も隠れてしまいます。信頼すべきなのはルート証明書です。"}},
	{"trust.import_intermediate_as_root", []string{"chain.missing_intermediate", "chain.wrong_intermediate", "time.intermediate_expired", "trust.unknown_issuer"},
		Text{"Importing the intermediate as a root helps this machine alone, not the others, and goes on when the root has been distrusted.",
			"中間証明書をルートとしてインポートしても、このマシンでしか効果がなく、ルートが信頼されなくなった後も信頼が残ります。"}},
	{"trust.import_root", []string{"chain.missing_intermediate", "chain.wrong_intermediate", "trust.store_outdated", "name.", "time.leaf_expired", "time.clock_wrong", "revocation.", "trust.known_bad_root", "trust.distrusted"},
		Text{"Importing a root does not help here: a missing trust in a root is not the cause.",
			"ここではルート証明書のインポートは解決になりません。ルートが信頼されていないことが原因ではないためです。"}},
}
