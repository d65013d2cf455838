package anchors

import (
	"bytes"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// javaStore is what is in the key store that is generated for Java. It only
// counts if it is there and meant to be generated.
type javaStore struct {
	follows bool
	err     error
	aliases map[store.Fingerprint][]string
	file    *certfile.File
}

func (s *Store) readJava() *javaStore {
	row := s.family.java
	j := &javaStore{aliases: map[store.Fingerprint][]string{}}
	if row.path == "" {
		return j
	}
	if _, err := s.host.Stat(row.hook); err != nil {
		return j
	}
	if conf, err := s.host.ReadFile(row.conf, 1<<20); err == nil {
		for line := range strings.Lines(string(conf)) {
			if strings.NewReplacer(" ", "", "\t", "", `"`, "", "'", "", "\n", "", "\r", "").Replace(line) == row.off {
				return j
			}
		}
	}
	data, err := s.host.ReadFile(row.path, maxFile)
	if absent(err) {
		return j // no Java has needed it yet
	}
	j.follows = true
	if err == nil {
		j.file, err = certfile.Keystore(data)
	}
	if err != nil {
		j.err = err
		return j
	}
	for _, item := range j.file.Items {
		j.aliases[item.Cert.SHA256] = append(j.aliases[item.Cert.SHA256], item.Alias)
	}
	return j
}

// readable reports whether Java's key store can be judged.
func (j *javaStore) readable() bool { return j.follows && j.err == nil }

// lacks reports whether the key store should hold a certificate and does not.
func (j *javaStore) lacks(c *store.Cert) bool {
	return j.readable() && j.takes(c) && len(j.aliases[c.SHA256]) == 0
}

// keeps reports whether the key store holds a certificate.
func (j *javaStore) keeps(fp store.Fingerprint) bool {
	return j.readable() && len(j.aliases[fp]) > 0
}

// takes reports whether Java can read a certificate at all: it has no curves
// but NIST's, and refuses what is not well-formed.
func (j *javaStore) takes(c *store.Cert) bool {
	if c.Parsed == nil {
		return false
	}
	switch c.KeyAlgorithm {
	case "RSA", "DSA", "Ed25519", "Ed448":
		return true
	case "EC":
		return slices.Contains([]string{"P-256", "P-384", "P-521"}, c.Curve)
	}
	return false
}

// aliasPrefix begins the aliases that the hook gives; the name of the link in
// the hash directory follows.
const aliasPrefix = "debian:"

// removal returns the lines that make the hook drop a certificate.
func (s *Store) javaRemoval(j *javaStore, fp store.Fingerprint) []string {
	var lines []string
	for _, alias := range j.aliases[fp] {
		if name, ok := strings.CutPrefix(alias, aliasPrefix); ok && !strings.ContainsAny(name, "\n\r/") {
			lines = append(lines, "-"+s.link(name))
		}
	}
	return lines
}

// dropJavaOrphan plans to drop from Java's key store what the system does not
// have any more.
func (p *planner) dropJavaOrphan(fp store.Fingerprint) {
	lines := p.s.javaRemoval(p.java, fp)
	if len(lines) == 0 {
		return
	}
	label := ""
	for _, item := range p.java.file.Items {
		if item.Cert.SHA256 == fp {
			label = item.Cert.Label()
		}
	}
	p.edits.lines = append(p.edits.lines, lines...)
	p.edits.lack = append(p.edits.lack, fp)
	p.plan.Steps = append(p.plan.Steps, store.Step{Action: store.ActionRemove, Fingerprint: fp, Label: label,
		Files: []string{p.s.family.java.path}, Elevated: p.s.host.EUID != 0})
}

// pendingUpdate reports whether the hook has work left from an earlier run.
func (s *Store) pendingUpdate() bool {
	if s.family.java.pending == "" {
		return false
	}
	data, err := s.host.ReadFile(s.family.java.pending, maxFile)
	return err == nil && len(bytes.TrimSpace(data)) > 0
}
