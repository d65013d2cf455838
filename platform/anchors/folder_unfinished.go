package anchors

import (
	"path"
	"slices"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// unfinished returns a problem for each output of p11-kit's families that is not
// a bundle, and does not hold what the bundles do: the tool makes one after the
// other, so that one that is killed, or fails, leaves the others as they were.
func (s *folder) unfinished(st *folderState) (list []store.Problem) {
	if !s.family.p11 || !s.host.Live || st.outputs[0].err != nil {
		return nil
	}
	var hashes []string // the names that programs find certificates by
	makes := s.makes()
	for _, o := range s.family.outputs {
		differs := false
		switch {
		case !makes(o) || !s.exists(o.path):
		case o.kind == hashDirectory && s.hasHashes(o.path):
			entries, _ := s.host.ReadDir(o.path)
			for _, e := range entries {
				if !isHashLink(e.Name()) {
					continue
				}
				hashes = append(hashes, e.Name())
				if text, err := s.host.ReadFile(path.Join(o.path, e.Name()), maxFile); err == nil {
					differs = differs || !st.holdsOnlyTrusted(certfile.ReadPEM(text))
				}
			}
			differs = differs || !st.eachBundled(func(c *store.Cert) bool { is, _ := s.hashed(o.path, c); return is })
		case o.kind == linkDirectory:
			differs = slices.ContainsFunc(hashes, func(name string) bool { return !s.exists(path.Join(o.path, name)) })
		case o.kind == javaKeystore:
			data, err := s.host.ReadFile(o.path, maxFile)
			if err != nil {
				continue
			}
			if ks, err := certfile.Keystore(data); err == nil {
				differs = !st.holdsOnlyTrusted(ks) || !st.eachBundled(func(c *store.Cert) bool { return c.Parsed() == nil || holds(ks, c.SHA256) })
			}
		}
		if differs {
			list = append(list, problem("unfinished-update", o.path))
		}
	}
	return list
}

// holdsOnlyTrusted reports whether all certificates of a file are trusted.
func (st *folderState) holdsOnlyTrusted(f *certfile.File) bool {
	return !slices.ContainsFunc(f.Items, func(i certfile.Item) bool {
		meant, _ := st.effective(st.first(i.Cert.SHA256))
		return i.Cert.Version != 0 && !meant
	})
}

// eachBundled reports whether all certificates are so that are trusted for
// servers, and in the bundle.
func (st *folderState) eachBundled(is func(*store.Cert) bool) bool {
	o := output{purpose: store.PurposeServerAuth}
	for i := range st.trust.Certs {
		if c := &st.trust.Certs[i]; o.wants(c) && st.outputs[0].has[c.SHA256] && c.Cert.Version != 0 && !is(c.Cert) {
			return false
		}
	}
	return true
}
