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
	j := &javaStore{aliases: map[store.Fingerprint][]string{}, follows: s.javaFollows()}
	if !j.follows {
		return j
	}
	data, err := s.host.ReadFile(s.family.java.path, maxFile)
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

// javaFollows reports whether there is a key store for Java that is meant to be
// generated.
func (s *Store) javaFollows() bool { return s.host.Live && s.hasJava() }

// hasJava is javaFollows also for an offline root, of which no hook is run.
func (s *Store) hasJava() bool {
	row := s.family.java
	if row.path == "" || !s.exists(row.hook) {
		return false
	}
	if conf, err := s.host.ReadFile(row.conf, 1<<20); err == nil {
		for line := range strings.Lines(string(conf)) {
			if strings.NewReplacer(" ", "", "\t", "", `"`, "", "'", "", "\n", "", "\r", "").Replace(line) == row.off {
				return false
			}
		}
	}
	_, err := s.host.Lstat(row.path)
	return !absent(err) // otherwise no Java has needed it yet
}

// readable reports whether Java's key store can be judged.
func (j *javaStore) readable() bool { return j.follows && j.err == nil }

// lacks reports whether the key store should hold a certificate and does not.
func (j *javaStore) lacks(c *store.Cert) bool {
	return j.readable() && j.takes(c) && len(j.aliases[c.SHA256]) == 0
}

// keeps reports whether the key store holds a certificate that was generated
// into it, and the aliases under which somebody else has put it there.
func (j *javaStore) keeps(fp store.Fingerprint) (generated bool, others []string) {
	if !j.readable() {
		return false, nil
	}
	for _, alias := range j.aliases[fp] {
		if strings.HasPrefix(alias, aliasPrefix) {
			generated = true
		} else {
			others = append(others, alias)
		}
	}
	return generated, others
}

// takes reports whether Java can read a certificate at all: it has no curves
// but NIST's, and refuses what is not well-formed.
func (j *javaStore) takes(c *store.Cert) bool {
	if c.Parsed() == nil {
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

// dropJava plans to tell the hook that a certificate is to go from Java's key
// store, by the aliases that it has there. It reports whether there is any.
func (p *planner) dropJava(fp store.Fingerprint) bool {
	dropped := false
	for _, alias := range p.java.aliases[fp] {
		name, ok := strings.CutPrefix(alias, aliasPrefix)
		if !ok || strings.ContainsAny(name, "\n\r/") {
			continue
		}
		dropped = true
		line := "-" + p.s.link(name)
		if !slices.ContainsFunc(p.edits.lines, func(told string) bool { return strings.EqualFold(told, line) }) {
			p.edits.lines = append(p.edits.lines, line)
		}
	}
	return dropped
}

// dropJavaOrphan plans to drop from Java's key store what the system does not
// have any more.
func (p *planner) dropJavaOrphan(fp store.Fingerprint) {
	if !p.dropJava(fp) {
		return
	}
	label := ""
	for _, item := range p.java.file.Items {
		if item.Cert.SHA256 == fp {
			label = item.Cert.Label()
		}
	}
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
