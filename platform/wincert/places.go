package wincert

import (
	"slices"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// Backend is the first part of the IDs of the stores of this Windows,
// ExportBackend that of what was exported from one.
const (
	Backend       = "windows"
	ExportBackend = "reg"
)

// location is where Windows keeps system stores. Each is a store here.
type location struct {
	name  string
	flag  uint32
	title string
	scope store.Scope
	user  bool   // below HKEY_CURRENT_USER
	key   string // in the registry
	// certutil says how certutil calls it; drive: PowerShell's Cert: has it.
	certutil []string
	drive    bool
	// by is who puts things there that nothing else is known about.
	by store.OriginBy
	// managed tells who decides what is in it, hint what to do then.
	managed, hint string
}

const (
	systemKey     = `SOFTWARE\Microsoft\SystemCertificates`
	policyKey     = `SOFTWARE\Policies\Microsoft\SystemCertificates`
	enterpriseKey = `SOFTWARE\Microsoft\EnterpriseCertificates`
)

var locations = []*location{
	{name: "LocalMachine", flag: 0x20000, title: "Windows, this machine", scope: store.ScopeSystem, key: systemKey, drive: true, by: store.ByAdmin},
	{name: "CurrentUser", flag: 0x10000, title: "Windows, the current user", scope: store.ScopeUser, user: true, key: systemKey,
		certutil: []string{"-user"}, drive: true, by: store.ByUser},
	{name: "LocalMachineGroupPolicy", flag: 0x80000, title: "Windows, Group Policy for this machine", scope: store.ScopeSystem, key: policyKey,
		certutil: []string{"-grouppolicy"}, by: store.ByPolicy,
		managed: "Group Policy decides what is in it, and brings it back",
		hint:    "change the Group Policy object, or distrust it in this machine's own store: --store windows:LocalMachine"},
	{name: "CurrentUserGroupPolicy", flag: 0x70000, title: "Windows, Group Policy for the current user", scope: store.ScopeUser, user: true, key: policyKey,
		certutil: []string{"-user", "-grouppolicy"}, by: store.ByPolicy,
		managed: "Group Policy decides what is in it, and brings it back",
		hint:    "change the Group Policy object, or distrust it in this machine's own store: --store windows:LocalMachine"},
	{name: "LocalMachineEnterprise", flag: 0x90000, title: "Windows, the enterprise's Active Directory", scope: store.ScopeSystem, key: enterpriseKey,
		certutil: []string{"-enterprise"}, by: store.ByPolicy,
		managed: "the enterprise's Active Directory decides what is in it, and brings it back",
		hint:    "remove it from Active Directory (certutil -viewdelstore), or distrust it in this machine's own store: --store windows:LocalMachine"},
}

// item is a system store, which every location may have.
type item struct {
	name string
	// decision is what it means to be in it, for purpose.
	decision store.Decision
	purpose  store.Purpose
	// vendor is who puts things there, if it is Microsoft alone.
	vendor    string
	onRequest bool // only looked at when it is named
}

var items = []*item{
	{name: "Root", decision: store.Trusted, purpose: store.PurposeAny},
	{name: "AuthRoot", decision: store.Trusted, purpose: store.PurposeAny, vendor: "Microsoft's root programme"},
	{name: "CA", decision: store.Unspecified},
	{name: "Disallowed", decision: store.Distrusted, purpose: store.PurposeAny},
	{name: "TrustedPeople", decision: store.Peer, purpose: store.PurposeAny},
	{name: "TrustedPublisher", decision: store.Peer, purpose: store.PurposeCodeSigning},
	{name: "My", decision: store.Unspecified, onRequest: true},
}

// The items that changes are made in.
const (
	itemRoot       = "Root"
	itemAuthRoot   = "AuthRoot"
	itemCA         = "CA"
	itemDisallowed = "Disallowed"
)

func locationNamed(name string) *location {
	for _, l := range locations {
		if strings.EqualFold(l.name, name) {
			return l
		}
	}
	return nil
}

// itemNamed returns the item with that name. Only the names of the table are
// ever given to Windows: others could lead to another machine or key.
func itemNamed(name string) *item {
	for _, i := range items {
		if strings.EqualFold(i.name, name) {
			return i
		}
	}
	return nil
}

// listed are the items that are looked at unasked.
func listed() []*item {
	return slices.DeleteFunc(slices.Clone(items), func(i *item) bool { return i.onRequest })
}

// path is how an item of a location is called here, and by Windows as far as
// it has a name for it.
func (l *location) path(i *item) string { return l.name + `\` + i.name }

// certPath is how PowerShell calls it.
func (l *location) certPath(i *item) string { return `Cert:\` + l.path(i) }

// root is the short name of the root of its key.
func (l *location) root() string {
	if l.user {
		return "HKCU"
	}
	return "HKLM"
}

// keyOf is the place of a certificate in the registry.
func (l *location) keyOf(i *item, thumbprint string) string {
	return l.root() + `\` + l.key + `\` + i.name + `\Certificates\` + thumbprint
}

// SelectorID returns the ID of the store that PowerShell's name of it means,
// such as Cert:\LocalMachine\Root; ok is false for what is no such name.
func SelectorID(name string) (id string, ok bool) {
	const drive = `cert:`
	if len(name) < len(drive) || !strings.EqualFold(name[:len(drive)], drive) {
		return "", false
	}
	parts := strings.FieldsFunc(name[len(drive):], func(r rune) bool { return r == '\\' || r == '/' })
	if len(parts) == 0 {
		return Backend, true
	}
	if l := locationNamed(parts[0]); l != nil {
		parts[0] = l.name
	}
	if len(parts) > 1 {
		if i := itemNamed(parts[1]); i != nil {
			parts[1] = i.name
		}
	}
	return Backend + ":" + strings.Join(parts, "/"), true
}

// builtin are the roots that Windows itself comes with, which lie in the store
// of roots that administrators use, too.
var builtin = map[string]string{
	"f38406e540d7a9d90cb4a9479299640ffb6df9e224ecc7a01c0d9558d8dad77d": "Microsoft Root Authority",
	"885de64c340e3ea70658f01e1145f957fcda27aabeea1ab9faa9fdb0102d4077": "Microsoft Root Certificate Authority",
	"df545bf919a2439c36983b54cdfc903dfa4f37d3996d8d84b4c31eec6f3c163e": "Microsoft Root Certificate Authority 2010",
	"847df6a78497943f27fc72eb93f9a637320a02b561d0a91b09e87a7807ed7c61": "Microsoft Root Certificate Authority 2011",
	"4898b1749717a594a2030f47c83c272bd14bae3dceb2eae382174ef2ec1c75c9": "Microsoft Authenticode(tm) Root Authority",
}
