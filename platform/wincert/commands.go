package wincert

import (
	"slices"
	"strings"
)

// commands returns what a person would run to make an edit by hand: with
// certutil and, where it has the place, with PowerShell. They are only shown.
func commands(l *location, e edit) [][]string {
	thumb := e.thumbprint()
	file := strings.ToLower(thumb) + ".cer" // what the certificate could be saved as
	at := l.certPath(e.item)
	certutil := func(verb string, args ...string) []string {
		return slices.Concat([]string{"certutil"}, l.certutil, []string{verb, e.item.name}, args)
	}
	var out [][]string
	powershell := func(command string) {
		if l.drive {
			out = append(out, []string{"powershell", "-Command", command})
		}
	}
	switch {
	case e.after == nil:
		out = append(out, certutil("-delstore", thumb))
		powershell(`Remove-Item -LiteralPath '` + at + `\` + thumb + `'`)
		return out
	case e.before == nil:
		out = append(out, certutil("-addstore", file))
		powershell(`Import-Certificate -FilePath '` + file + `' -CertStoreLocation '` + at + `'`)
	}
	if was, is := name(e.before), name(e.after); was != is {
		powershell(`(Get-Item -LiteralPath '` + at + `\` + thumb + `').FriendlyName = '` + quoted(is) + `'`)
	}
	if was, is := limit(e.before), limit(e.after); was != is {
		// Neither of the two programs can say what a root is trusted for.
		console := "certlm.msc"
		if l.user {
			console = "certmgr.msc"
		}
		out = append(out, []string{console, "(Properties of the certificate, purposes: " + is + ")"})
	}
	return out
}

// limit tells what the property of a record limits it to.
func limit(r *record) string {
	if r == nil || r.get(propEKU) == nil {
		return "all"
	}
	return showEKU(r.get(propEKU))
}

func name(r *record) string {
	if r == nil {
		return ""
	}
	return utf16Text(r.get(propFriendlyName))
}

// quoted writes text for within the single quotation marks of PowerShell, for
// which typographic ones count as such, too.
func quoted(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune("'\u2018\u2019\u201a\u201b", r) {
			b.WriteRune(r)
		}
		if r < ' ' || r == 0x7f {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}
