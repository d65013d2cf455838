// Package merged keeps the files that environment variables point at: the
// chosen roots alone, and together with those that the system trusts, for
// programs that read the file instead of the system's store.
package merged

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// Files are the files, of which each holds certificates of the same choice.
type Files struct {
	Dir    string
	Extra  string // the chosen roots, in PEM
	Merged string // the system's roots and the chosen ones, in PEM
	Java   string // the same as a keystore that Java reads without a password
	Wget   string // a wgetrc that names Merged
}

// In returns the files of a user.
func In(h *host.Host) Files {
	scope := store.ScopeUser
	if h.EUID == 0 && h.User.UID > 0 {
		scope = store.ScopeSystem // root writes nothing into another's home
	}
	dir := path.Join(h.StateDir(scope), "env")
	return Files{Dir: dir, Extra: path.Join(dir, "extra.pem"), Merged: path.Join(dir, "merged.pem"), Java: path.Join(dir, "merged.jks"), Wget: path.Join(dir, "wgetrc")}
}

// manifest is what the files were made of.
type manifest struct {
	Extra []store.Fingerprint `json:"extra"`
	// Digest is that of all that goes into the files.
	Digest string `json:"digest"`
}

const (
	manifestName = "made-of.json"
	maxFile      = 32 << 20
)

// content makes the content of the files; made is a time that stays the same as
// long as nothing else changes.
func (f Files) content(h *host.Host, system, extra []*store.Cert) (map[string][]byte, string, error) {
	var all []*store.Cert
	seen := map[store.Fingerprint]bool{}
	for _, c := range slices.Concat(system, extra) {
		if !seen[c.SHA256] {
			seen[c.SHA256] = true
			all = append(all, c)
		}
	}
	list := func(certs []*store.Cert) (out []certfile.Written) {
		for _, c := range certs {
			out = append(out, certfile.Written{Cert: c, Label: c.Label()})
		}
		return out
	}
	files := map[string][]byte{}
	var parsed []*store.Cert
	for _, c := range all {
		if c.Parsed() != nil { // Java refuses a whole keystore for one that is not well-formed
			parsed = append(parsed, c)
		}
	}
	for _, x := range []struct {
		file, format string
		certs        []*store.Cert
	}{{f.Extra, "pem", extra}, {f.Merged, "pem", all}, {f.Java, "jks", parsed}} {
		data, err := certfile.Encode(x.format, list(x.certs), certfile.WriteOptions{Now: time.Unix(0, 0)})
		if err != nil {
			return nil, "", err
		}
		files[x.file] = data
	}
	files[f.Wget] = f.wgetrc(h)
	var digest bytes.Buffer
	for _, name := range []string{f.Extra, f.Merged, f.Wget} {
		fmt.Fprintf(&digest, "%d\n%s", len(files[name]), files[name])
	}
	return files, "sha256:" + store.FingerprintOf(digest.Bytes()).String(), nil
}

// wgetrc returns the user's own settings of wget, with the roots put in: wget
// reads one file only.
func (f Files) wgetrc(h *host.Host) []byte {
	var out bytes.Buffer
	if h.User.Home != "" {
		if own, err := h.ReadFile(path.Join(h.User.Home, ".wgetrc"), 1<<20); err == nil {
			for line := range strings.Lines(string(own)) {
				name, _, _ := strings.Cut(line, "=")
				if key := strings.NewReplacer("_", "", "-", "", " ", "", "\t", "").Replace(strings.ToLower(name)); key != "cacertificate" {
					out.WriteString(strings.TrimRight(line, "\n") + "\n")
				}
			}
		}
	}
	fmt.Fprintf(&out, "ca_certificate = %s\n", f.Merged)
	return out.Bytes()
}

// Build writes the files, if they are not as they should be. It reports whether
// anything was written.
func (f Files) Build(h *host.Host, system, extra []*store.Cert) (bool, error) {
	files, digest, err := f.content(h, system, extra)
	if err != nil {
		return false, err
	}
	if f.fresh(h, files) {
		return false, nil
	}
	if err := h.MkdirAll(f.Dir, 0o755); err != nil {
		return false, err
	}
	for _, name := range []string{f.Extra, f.Merged, f.Java, f.Wget} {
		if err := h.WriteFile(name, files[name], host.WriteOptions{Mode: 0o644}); err != nil {
			return false, err
		}
	}
	m := manifest{Digest: digest, Extra: []store.Fingerprint{}}
	for _, c := range extra {
		m.Extra = append(m.Extra, c.SHA256)
	}
	data, err := json.Marshal(m)
	if err != nil {
		return false, err
	}
	return true, h.WriteFile(path.Join(f.Dir, manifestName), append(data, '\n'), host.WriteOptions{Mode: 0o644})
}

func (f Files) fresh(h *host.Host, files map[string][]byte) bool {
	for name, want := range files {
		if have, err := h.ReadFile(name, maxFile); err != nil || !bytes.Equal(have, want) {
			return false
		}
	}
	_, err := h.ReadFile(path.Join(f.Dir, manifestName), maxFile)
	return err == nil
}

// Stale reports whether the files are there and not what they should be now.
func (f Files) Stale(h *host.Host, system, extra []*store.Cert) (exists, stale bool, err error) {
	if _, err := h.Stat(f.Merged); errors.Is(err, fs.ErrNotExist) {
		return false, false, nil
	}
	files, _, err := f.content(h, system, extra)
	if err != nil {
		return true, false, err
	}
	return true, !f.fresh(h, files), nil
}

// Chosen returns the roots that the files were made for: those that somebody
// has chosen, as they are in the file of the extra roots.
func (f Files) Chosen(h *host.Host) []*store.Cert {
	data, err := h.ReadFile(f.Extra, maxFile)
	if err != nil || len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	file, err := certfile.Read(data)
	if err != nil {
		return nil
	}
	var out []*store.Cert
	for _, item := range file.Items {
		out = append(out, item.Cert)
	}
	return out
}
