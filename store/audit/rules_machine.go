package audit

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/diagnose"
)

// The rules that look at more than one certificate: at files, keys, packages,
// settings, and at stores beside each other.

func worldWritable(m *machine, found func(Finding)) {
	for _, file := range m.facts.Files {
		if !file.WorldWritable {
			continue
		}
		f := ofFile(file)
		f.Title = "everybody may write to " + f.File
		f.Fixes = m.change("take that right away", run("chmod", "o-w", "--", file.Path))
		found(f)
	}
}

func notRootOwned(m *machine, found func(Finding)) {
	for _, file := range m.facts.Files {
		if file.Owner == "" {
			continue
		}
		f := ofFile(file)
		f.Title = fmt.Sprintf("%s belongs to %s", f.File, store.Printable(file.Owner))
		f.Fixes = m.change("give it to "+store.Printable(file.ShouldBe), run("chown", file.ShouldBe, "--", file.Path))
		found(f)
	}
}

func ofFile(file File) Finding {
	f := Finding{Store: file.Store, File: store.Printable(file.Path), Key: file.Path}
	what := "a file that the store depends on"
	if file.Dir {
		what = "a directory on the way to the store's files"
	}
	f.Evidence = []string{what}
	return f
}

// change is a fix of files, which cannot be done in an offline root.
func (m *machine) change(summary string, commands ...string) []Fix {
	if m.root != "" {
		return offline(&Store{Info: store.Info{Root: m.root}})
	}
	return fix(summary, true, commands...)
}

// privateKey finds keys of what is trusted: in files of the stores, beside
// them, in databases, and those of tools that others may read.
func privateKey(m *machine, found func(Finding)) {
	problemRule("store.private_key_present")(m, found)
	told := map[string]bool{}
	for _, s := range m.stores {
		for i := range s.Entries {
			e := &s.Entries[i]
			if e.Cert == nil || !trusts(e) || !e.Cert.IsCA() {
				continue
			}
			if e.Native["key"] != "" {
				f := about(s, e)
				f.Title = "the private key of " + name(e.Cert) + " is in " + string(s.Info.ID)
				f.Evidence = whence(e)
				f.Fixes = steps("move the key to where certificates are issued", "export it with the program that the store is of, and delete it there")
				found(f)
			}
			for _, k := range m.keysOf(e.Cert) {
				if !k.Beside && !k.ForOthers || told[k.Path] {
					continue
				}
				told[k.Path] = true
				f := about(s, e)
				f.Title = "the private key of " + name(e.Cert) + " lies in " + store.Printable(k.Path)
				f.File, f.Key = store.Printable(k.Path), k.Path
				f.Evidence = append([]string{"its public key is that of the certificate", "mode " + k.Mode}, whence(e)...)
				if k.Beside {
					f.Fixes = m.change("move it to where nobody else comes", run("install", "-d", "-m", "700", "/root/keys"), run("mv", "--", k.Path, "/root/keys/"))
				} else {
					f.Fixes = m.change("let nobody else read it", run("chmod", "go=", "--", k.Path))
				}
				found(f)
			}
		}
	}
}

// trustConflict finds what a store tells of, and entries that contradict each
// other.
func trustConflict(m *machine, found func(Finding)) {
	problemRule("store.trust_conflict")(m, found)
	for _, s := range m.stores {
		first := map[store.Fingerprint]*store.Entry{}
		for i := range s.Entries {
			e := &s.Entries[i]
			if e.Cert == nil || len(e.Trust.Normal()) == 0 {
				continue
			}
			before := first[e.Cert.SHA256]
			if before == nil {
				first[e.Cert.SHA256] = e
				continue
			}
			if trusts(before) && e.Trust.Has(store.Distrusted) || trusts(e) && before.Trust.Has(store.Distrusted) {
				if sameServers(before, e) {
					continue
				}
				f := about(s, e)
				f.Title = name(e.Cert) + " is both trusted and distrusted in " + string(s.Info.ID)
				f.Evidence = append([]string{before.Trust.String() + ": " + store.Printable(before.Source.Path), e.Trust.String() + ": " + store.Printable(e.Source.Path)}, whence(e)...)
				f.Fixes = withdraw(s, e)
				found(f)
			}
		}
	}
}

// sameServers reports whether two entries are about different purposes or
// hosts, so that they do not contradict each other.
func sameServers(a, b *store.Entry) bool {
	for _, p := range append(store.NamedPurposes(), store.PurposeAny) {
		x, y := a.Trust.Rule(p), b.Trust.Rule(p)
		if len(x.Hosts) > 0 || len(y.Hosts) > 0 {
			continue
		}
		if x.Decision == store.Distrusted && (y.Decision == store.Trusted || y.Decision == store.Peer) ||
			y.Decision == store.Distrusted && (x.Decision == store.Trusted || x.Decision == store.Peer) {
			return false
		}
	}
	return true
}

func sameSubject(m *machine, found func(Finding)) {
	for _, s := range m.stores {
		bySubject := map[string][]*store.Entry{}
		var order []string
		for i := range s.Entries {
			e := &s.Entries[i]
			if e.Cert == nil || !trusts(e) || !e.Cert.IsCA() || m.repeated(s, e) || len(e.Cert.Subject.Attributes) == 0 {
				continue
			}
			k := string(e.Cert.Subject.Raw)
			if bySubject[k] == nil {
				order = append(order, k)
			}
			bySubject[k] = append(bySubject[k], e)
		}
		for _, k := range order {
			list := bySubject[k]
			old := slices.MinFunc(list, func(a, b *store.Entry) int {
				// What a vendor ships is not the one to go.
				if la, lb := m.local(a), m.local(b); la != lb {
					if la {
						return -1
					}
					return 1
				}
				return a.Cert.NotBefore.Compare(b.Cert.NotBefore)
			})
			for _, other := range list {
				if bytes.Equal(other.Cert.SPKI, old.Cert.SPKI) {
					continue
				}
				f := about(s, old)
				f.Severity = graded(m, old, Medium, Info)
				f.Title = "there are two roots of the name " + name(old.Cert) + ", with different keys"
				f.Evidence = append([]string{"this one is valid from " + old.Cert.NotBefore.Format(time.DateOnly),
					"the other one, " + other.Cert.SHA256.Short() + ", from " + other.Cert.NotBefore.Format(time.DateOnly)}, whence(old)...)
				f.Fixes = withdraw(s, old)
				found(f)
				break
			}
		}
	}
}

func duplicate(m *machine, found func(Finding)) {
	problemRule("store.duplicate")(m, found)
	for _, s := range m.stores {
		first := map[store.Fingerprint]*store.Entry{}
		for i := range s.Entries {
			e := &s.Entries[i]
			if e.Cert == nil || !trusts(e) {
				continue
			}
			before := first[e.Cert.SHA256]
			if before == nil || before.Source.Path == e.Source.Path && before.Source.Item == e.Source.Item {
				first[e.Cert.SHA256] = e
				continue
			}
			extra := e
			if m.shippedBy(e) && !m.shippedBy(before) {
				extra = before // the vendor's stays
			}
			f := about(s, extra)
			f.Key += "\n" + extra.Source.Path + "\n" + extra.Source.Item
			f.Title = name(e.Cert) + " is in " + string(s.Info.ID) + " more than once"
			f.Evidence = append([]string{"it also lies in " + store.Printable(before.Source.Path)}, whence(extra)...)
			switch {
			case s.Info.Root != "":
				f.Fixes = offline(s)
			case extra.Source.Kind == "anchor" && !m.shippedBy(extra) && extra.Source.Item == "":
				f.Fixes = fix("delete the second file", admin(s), run("rm", "--", extra.Source.Path), repair(s))
			default:
				f.Fixes = steps("take one of them out", "with the program that put it there")
			}
			found(f)
		}
	}
}

func (m *machine) shippedBy(e *store.Entry) bool { return e.Origin.By == store.ByVendor }

func packageModified(m *machine, found func(Finding)) {
	for _, mod := range m.facts.Modified {
		f := Finding{Store: mod.Store, File: store.Printable(mod.Path), Key: mod.Path, Severity: High}
		f.Title = fmt.Sprintf("%s is not as the package %s has it", f.File, store.Printable(mod.Package))
		f.Evidence = []string{"its digest differs from the one in the package manager's records"}
		if mod.Missing {
			f.Severity = Medium
			f.Title = fmt.Sprintf("%s of the package %s is missing", f.File, store.Printable(mod.Package))
			f.Evidence = []string{"the package manager's records list it"}
		}
		if mod.Reinstall != "" && m.root == "" {
			commands := []string{mod.Reinstall}
			if i := slices.IndexFunc(m.stores, func(s *Store) bool { return s.Info.ID == mod.Store }); i >= 0 {
				commands = append(commands, repair(m.stores[i]))
			}
			f.Fixes = fix("install the package anew", true, commands...)
		} else {
			f.Fixes = steps("put back what the package has", "install it anew with the system's package manager")
		}
		found(f)
	}
}

// missingInStore finds what was added to the system's store, and lacks in
// another that is changed unasked.
func missingInStore(m *machine, found func(Finding)) {
	for _, from := range m.stores {
		if from.Info.Scope != store.ScopeSystem || !from.Info.Default {
			continue
		}
		for i := range from.Entries {
			e := &from.Entries[i]
			if e.Cert == nil || !e.Cert.IsCA() || !forServers(e) || !m.local(e) {
				continue
			}
			for _, s := range m.stores {
				if s == from || !s.Info.Default || s.Info.DerivedFrom != "" ||
					slices.ContainsFunc(m.held[e.Cert.SHA256], func(h holding) bool { return h.store == s }) {
					continue
				}
				f := about(s, e)
				f.File = ""
				f.Title = fmt.Sprintf("%s is trusted in %s, and not in %s", name(e.Cert), from.Info.ID, s.Info.ID)
				f.Evidence = append([]string{"programs that read " + string(s.Info.ID) + " refuse its servers: " + strings.Join(s.Info.Readers, ", ")}, whence(e)...)
				if editable(s) && s.Info.Root == "" {
					f.Fixes = fix("trust it there too", admin(s), run("certtrust", "export", e.Cert.SHA256.String(), "--store", string(from.Info.ID), "--output", "./"+e.Cert.SHA256.Short()+".pem"),
						certtrust(s, "trust", "./"+e.Cert.SHA256.Short()+".pem"))
				}
				found(f)
			}
		}
	}
}

func distrustedElsewhere(m *machine, found func(Finding)) {
	for _, s := range m.stores {
		for i := range s.Entries {
			e := &s.Entries[i]
			if e.Cert == nil || !forServers(e) || m.repeated(s, e) {
				continue
			}
			for _, h := range m.held[e.Cert.SHA256] {
				if h.store == s || h.entry.Trust.For(store.PurposeServerAuth) != store.Distrusted || len(h.entry.Trust.Rule(store.PurposeServerAuth).Hosts) > 0 {
					continue
				}
				f := about(s, e)
				f.Severity = graded(m, e, Medium, Low)
				f.Title = fmt.Sprintf("%s is distrusted in %s, and trusted in %s", name(e.Cert), h.store.Info.ID, s.Info.ID)
				f.Evidence = append([]string{"distrusted by: " + string(h.entry.Origin.By) + ", in " + store.Printable(h.entry.Source.Path)}, whence(e)...)
				f.Fixes = withdraw(s, e)
				found(f)
				break
			}
		}
	}
}

// overrides finds settings of programs: those that switch verification off, or
// the others.
func overrides(off bool) func(m *machine, found func(Finding)) {
	return func(m *machine, found func(Finding)) {
		type group struct {
			first   diagnose.Override
			clients []string
		}
		var groups []*group
	next:
		for _, o := range m.facts.Overrides {
			if (o.Effect == diagnose.Disables) != off {
				continue
			}
			for _, g := range groups {
				if g.first.Source == o.Source && g.first.Name == o.Name && g.first.Effect == o.Effect && g.first.Only == o.Only {
					if !slices.Contains(g.clients, o.Client) {
						g.clients = append(g.clients, o.Client)
					}
					continue next
				}
			}
			groups = append(groups, &group{o, []string{o.Client}})
		}
		for _, g := range groups {
			found(overrideFinding(m, g.first, g.clients))
		}
	}
}

func overrideFinding(m *machine, o diagnose.Override, clients []string) Finding {
	source, setting := store.Printable(o.Source), store.Printable(o.Name)
	who := strings.Join(clients, ", ")
	f := Finding{Key: o.Source + "\n" + o.Name + "\n" + string(o.Effect) + "\n" + o.Only,
		Evidence: []string{"set in " + source, setting + " = " + store.Printable(o.Value)}}
	if strings.HasPrefix(o.Source, "/") {
		f.File = source
		f.Key = strings.TrimRight(strings.TrimRight(o.Source, "0123456789"), ":") + "\n" + o.Name + "\n" + string(o.Effect) + "\n" + o.Only
	}
	switch o.Effect {
	case diagnose.Disables:
		f.Severity, f.Title = High, fmt.Sprintf("%s: %s does not verify servers", source, who)
		if o.Only != "" {
			f.Severity, f.Title = Medium, f.Title+" such as "+store.Printable(o.Only)
		}
	case diagnose.Adds:
		f.Severity, f.Title = Low, fmt.Sprintf("%s: %s trusts more roots than the stores'", source, who)
	default:
		f.Severity, f.Title = Medium, fmt.Sprintf("%s: %s trusts other roots than the stores'", source, who)
	}
	if o.Err != nil {
		f.Evidence = append(f.Evidence, "what it names cannot be read: "+store.Printable(o.Err.Error()))
	} else if o.Effect != diagnose.Disables {
		f.Evidence = append(f.Evidence, m.rootsOf(o))
		if o.Effect == diagnose.Replaces && m.sameAsSystem(o) {
			f.Severity = Info
		}
	}
	switch {
	case f.File != "":
		f.Fixes = steps("take the setting out", "delete it from "+source)
	case o.Source == o.Name:
		f.Fixes = fix("unset it, and take it out of where it is set", false, run("unset", o.Name))
	default:
		f.Fixes = steps("take the setting out", "it is in "+source)
	}
	return f
}

// rootsOf tells which roots an override is about.
func (m *machine) rootsOf(o diagnose.Override) string {
	alien := 0
	for _, c := range o.Roots {
		if !slices.ContainsFunc(m.held[c.SHA256], func(h holding) bool { return trusts(h.entry) }) {
			alien++
		}
	}
	return fmt.Sprintf("it names %d roots, of which the stores do not trust %d", len(o.Roots), alien)
}

// sameAsSystem reports whether an override names just what the system's store
// trusts.
func (m *machine) sameAsSystem(o diagnose.Override) bool {
	set := map[store.Fingerprint]bool{}
	for _, c := range o.Roots {
		set[c.SHA256] = true
	}
	for _, s := range m.stores {
		if s.Info.Scope != store.ScopeSystem || !s.Info.Default {
			continue
		}
		n := 0
		counted := map[store.Fingerprint]bool{}
		for i := range s.Entries {
			e := &s.Entries[i]
			if e.Cert == nil || !forServers(e) || counted[e.Cert.SHA256] {
				continue
			}
			if !set[e.Cert.SHA256] {
				return false
			}
			counted[e.Cert.SHA256] = true
			n++
		}
		return n > 0 && n == len(set)
	}
	return false
}

func autoUpdate(m *machine, found func(Finding)) {
	for _, s := range m.facts.AutoUpdate {
		place := store.Printable(s.Path)
		f := Finding{Key: s.Path + "\n" + s.Name, File: place, Title: "the update of the system's roots is switched off",
			Evidence: []string{store.Printable(s.Name) + " = " + store.Printable(s.Value), "set in " + place}}
		f.Fixes = steps("let them be updated", "delete "+store.Printable(s.Name)+" from "+place+", or have whoever manages the machine do so")
		if strings.HasPrefix(s.Path, "HKLM") && m.root == "" {
			f.Fixes = fix("let them be updated", true, `reg delete "`+place+`" /v `+store.Printable(s.Name)+` /f`)
		}
		found(f)
	}
}
