package wincert

import "strings"

// commands returns what a person would run to make an edit by hand: with
// certutil and, where it has the place, with PowerShell. They are only shown.
func commands(l *location, e edit) [][]string {
	thumb := e.thumbprint()
	file := strings.ToLower(thumb) + ".cer" // what the certificate could be saved as
	var out [][]string
	if e.after == nil || e.before != nil {
		if e.after == nil {
			out = append(out, append(append([]string{"certutil"}, l.certutil...), "-delstore", e.item.name, thumb))
			if l.drive {
				out = append(out, []string{"powershell", "-Command", `Remove-Item -LiteralPath '` + l.certPath(e.item) + `\` + thumb + `'`})
			}
			return out
		}
	}
	if e.before == nil {
		out = append(out, append(append([]string{"certutil"}, l.certutil...), "-addstore", e.item.name, file))
		if l.drive {
			out = append(out, []string{"powershell", "-Command", `Import-Certificate -FilePath '` + file + `' -CertStoreLocation '` + l.certPath(e.item) + `'`})
		}
	}
	if was, is := name(e.before), name(e.after); was != is && l.drive {
		out = append(out, []string{"powershell", "-Command", `(Get-Item -LiteralPath '` + l.certPath(e.item) + `\` + thumb + `').FriendlyName = '` + quoted(is) + `'`})
	}
	return out
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
