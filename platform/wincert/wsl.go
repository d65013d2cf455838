package wincert

import (
	"path"
	"strings"

	"github.com/certtrust/certtrust/platform/host"
)

// WSL tells, on a Linux that runs within a Windows (WSL), that the Windows has
// stores of its own, and the commands that look at them and change them from
// here; nil elsewhere. Nothing is run: what programs of Windows say of their
// own success is not to be relied on.
func WSL(h *host.Host) []string {
	const small = 1 << 16
	if h.OS != "linux" || !h.Live {
		return nil
	}
	version, err := h.ReadFile("/proc/version", small)
	if err != nil || !strings.Contains(strings.ToLower(string(version)), "microsoft") {
		return nil
	}
	out := []string{"this is a Linux within Windows (WSL): programs of Windows, its browsers too, trust what is in the stores of Windows, and not what is here"}
	// Windows' programs can be switched off, and its drives be elsewhere.
	interop := h.Env("WSL_INTEROP") != ""
	for _, name := range []string{"WSLInterop", "WSLInterop-late"} {
		if _, err := h.Stat("/proc/sys/fs/binfmt_misc/" + name); err == nil {
			interop = true
		}
	}
	drives := "/mnt"
	if config, err := h.ReadFile("/etc/wsl.conf", small); err == nil {
		section := ""
		for line := range strings.Lines(string(config)) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "[") {
				section = strings.ToLower(strings.Trim(line, "[]"))
			}
			key, value, ok := strings.Cut(line, "=")
			if value = strings.Trim(strings.TrimSpace(value), `"`); ok && section == "automount" && strings.TrimSpace(key) == "root" && path.IsAbs(value) {
				drives = path.Clean(value)
			}
		}
	}
	system := path.Join(drives, "c/Windows/System32")
	if _, err := h.Stat(system); err != nil || !interop {
		return append(out, "its programs cannot be run from here: run certtrust there")
	}
	certutil := quotedPath(path.Join(system, "certutil.exe"))
	return append(out,
		"to look at them: "+certutil+" -store Root",
		"to trust a root there, for the user, after Windows has asked: "+certutil+` -user -addstore Root "$(wslpath -w FILE)"`,
		"to take it out again: "+certutil+" -user -delstore Root SHA1",
		"or, with certtrust.exe on Windows: certtrust.exe list --store windows")
}

// quotedPath writes a path for a shell.
func quotedPath(p string) string {
	return "'" + strings.ReplaceAll(p, "'", `'\''`) + "'"
}
