package anchors

import (
	"bytes"
	"encoding/hex"
	"path"
	"regexp"
	"strings"

	"github.com/certtrust/certtrust/store"
)

// ownName is the name of an anchor that certtrust put there: half of its
// fingerprint, and nothing that a certificate says of itself.
var ownName = regexp.MustCompile(`^certtrust-([0-9a-f]{32})\.`)

func (s *base) ownPath(fp store.Fingerprint) string {
	return path.Join(s.family.adminDir, "certtrust-"+hex.EncodeToString(fp[:16])+s.family.suffix)
}

// knownNames are the file names by which other programs' anchors are known.
var knownNames = []struct {
	match func(base string, c *store.Cert) bool
	by    string
}{
	{func(base string, _ *store.Cert) bool { return strings.HasPrefix(base, "cloud-init-ca-cert") }, "cloud-init"},
	{func(base string, _ *store.Cert) bool { return strings.HasPrefix(base, "mkcert_development_CA_") }, "mkcert"},
	{func(base string, c *store.Cert) bool {
		// The library of step and Caddy names a file by subject, or a prefix of the
		// program's, and serial number.
		if c == nil || c.Serial == nil {
			return false
		}
		by, is := strings.CutSuffix(strings.TrimSuffix(base, path.Ext(base)), c.Serial.String())
		return is && (by == strings.ReplaceAll(c.Label(), " ", "_")+"_" || by == "Truststore_Development_CA_" || c.Serial.BitLen() >= 48)
	}, "step, Caddy or another user of smallstep/truststore"},
}

// origins tells who put an anchor there.
type origins struct {
	s        *base
	versions map[string]string // path -> package and version
	all      bool              // every package was looked at
}

func (s *base) newOrigins() *origins { return &origins{s: s} }

func (o *origins) of(a anchor, c *store.Cert) store.Origin {
	if a.vendor {
		return store.Origin{By: store.ByVendor, Detail: o.owner(a.path)}
	}
	base := path.Base(a.path)
	if m := ownName.FindStringSubmatch(base); m != nil && c != nil && strings.HasPrefix(c.SHA256.String(), m[1]) {
		return store.Origin{By: store.ByCerttrust}
	}
	for _, known := range knownNames {
		if known.match(base, c) {
			return store.Origin{By: store.ByAdmin, Detail: known.by}
		}
	}
	if pkg := o.owner(a.path); pkg != "" {
		return store.Origin{By: store.ByVendor, Detail: pkg}
	}
	return store.Origin{By: store.ByAdmin, Detail: "by hand"}
}

// The package manager's records (dpkg(1), /var/lib/dpkg): the files of each
// package, and the versions.
const (
	dpkgLists  = "/var/lib/dpkg/info"
	dpkgStatus = "/var/lib/dpkg/status"
)

// owner returns the package that a file belongs to, with its version, "" if it
// belongs to none. The package that nearly all vendor files are from is looked
// at first; all the others only for a file that it does not have.
func (o *origins) owner(file string) string {
	if o.versions == nil {
		o.versions = map[string]string{}
		o.load("ca-certificates.list")
	}
	if pkg, ok := o.versions[file]; ok || o.all {
		return pkg
	}
	o.all = true
	lists, err := o.s.host.ReadDir(dpkgLists)
	if err != nil {
		return ""
	}
	for _, l := range lists {
		if strings.HasSuffix(l.Name(), ".list") {
			o.load(l.Name())
		}
	}
	return o.versions[file]
}

func (o *origins) load(list string) {
	data, err := o.s.host.ReadFile(path.Join(dpkgLists, list), maxFile)
	if err != nil {
		return
	}
	pkg := ""
	for _, dir := range []string{o.s.family.vendorDir, o.s.family.adminDir} {
		for rest := data; ; {
			i := bytes.Index(rest, []byte("\n"+dir+"/"))
			if i < 0 {
				break
			}
			line, after, _ := bytes.Cut(rest[i+1:], []byte("\n"))
			if pkg == "" {
				pkg = strings.TrimSuffix(list, ".list")
				pkg, _, _ = strings.Cut(pkg, ":")
				if v := o.s.packageField(pkg, "Version"); v != "" {
					pkg += " " + v
				}
			}
			o.versions[string(line)] = pkg
			if len(after) == 0 {
				break
			}
			rest = data[len(data)-len(after)-1:] // with the line break before it
		}
	}
}

// packageField returns a field of an installed package, "" if there is none
// (dpkg(1), /var/lib/dpkg/status).
func (s *base) packageField(pkg, field string) string {
	data, err := s.host.ReadFile(dpkgStatus, maxFile)
	if err != nil {
		return ""
	}
	data = append([]byte("\n"), data...)
	_, block, ok := bytes.Cut(data, []byte("\nPackage: "+pkg+"\n"))
	if !ok {
		return ""
	}
	block, _, _ = bytes.Cut(block, []byte("\n\n"))
	_, value, ok := bytes.Cut(append([]byte("\n"), block...), []byte("\n"+field+": "))
	if !ok {
		return ""
	}
	value, _, _ = bytes.Cut(value, []byte("\n"))
	return string(value)
}
