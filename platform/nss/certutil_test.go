package nss

import (
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/sqlite"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// need makes the test fail in CI, and be skipped elsewhere, if a file is
// missing.
func need(t *testing.T, what string, found bool) {
	t.Helper()
	if found {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is missing", what)
	}
	t.Skipf("%s is not installed", what)
}

// library is a version of NSS that certutil is run with.
type library struct {
	name string
	dir  string // "" = the system's own
}

const firefoxDir = "/usr/lib/firefox-esr"

// libraries are the versions of NSS here, old and new.
var libraries = []library{{"the system's NSS", ""}, {"Firefox's NSS", firefoxDir}}

func (l library) need(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath("certutil")
	need(t, "certutil", err == nil)
	if l.dir != "" {
		_, err := os.Stat(filepath.Join(l.dir, "libnss3.so"))
		need(t, "Firefox ESR", err == nil)
	}
}

// certutil runs certutil on a database and returns what it says.
func (l library) certutil(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "certutil", append(args, "-d", "sql:"+dir)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C"}
	if l.dir != "" {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+l.dir)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (l library) must(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := l.certutil(t, dir, args...)
	if err != nil {
		t.Fatalf("%s: certutil %s: %v\n%s", l.name, strings.Join(args, " "), err, out)
	}
	return out
}

// newDatabase has certutil make a database, and opens it. A shared one is not a
// browser's own.
func (l library) newDatabase(t *testing.T, profile bool, password string) (*box, *Store, string) {
	t.Helper()
	l.need(t)
	b := newBox(t, layout{profile: profile, password: password})
	real := b.file("")
	if err := os.MkdirAll(real, 0o755); err != nil {
		t.Fatal(err)
	}
	args := []string{"-N", "--empty-password"}
	if password != "" {
		file := filepath.Join(b.host.Root, "password")
		if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		args = []string{"-N", "-f", file}
	}
	l.must(t, real, args...)
	return b, b.open(), real
}

// do plans and applies changes that must not be refused.
func do(t *testing.T, s *Store, want ...store.Change) store.Receipt {
	t.Helper()
	p, err := s.Plan(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range p.Refused {
		t.Fatalf("refused: %s", r.Reason)
	}
	r, err := s.Apply(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wish(c *store.Cert, d store.Decision, purposes ...store.Purpose) store.Change {
	trust := store.TrustFor(d, purposes...)
	return store.Change{Fingerprint: c.SHA256, DER: c.Raw, Trust: &trust, Exact: true}
}

func trusted(c *store.Cert) store.Change { return wish(c, store.Trusted, store.PurposeServerAuth) }

// shown returns the trust that certutil shows for a nickname, "-" if it is not
// there.
func (l library) shown(t *testing.T, dir, nickname string) string {
	t.Helper()
	line := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(nickname) + ` +(\S*,\S*,\S*) *$`)
	m := line.FindStringSubmatch(l.must(t, dir, "-L"))
	if m == nil {
		return "-"
	}
	return strings.ReplaceAll(m[1], "u", "")
}

// entry returns the entry of a certificate.
func entryOf(t *testing.T, s *Store, c *store.Cert) *store.Entry {
	t.Helper()
	for e, err := range s.Entries(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Cert != nil && e.Cert.SHA256 == c.SHA256 {
			return &e
		}
	}
	return nil
}

// Every version of NSS takes what is written for what was wanted, in databases
// that any of them has made and after each change.
func TestCertutilAgrees(t *testing.T) {
	all := []store.Purpose{store.PurposeServerAuth, store.PurposeClientAuth, store.PurposeCodeSigning, store.PurposeEmail}
	for _, maker := range libraries {
		for _, profile := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, profile %t", maker.name, profile), func(t *testing.T) {
				t.Parallel()
				_, s, dir := maker.newDatabase(t, profile, "")
				readers := libraries
				if profile && maker.dir != "" {
					readers = libraries[1:] // in a browser's own profile only its own version counts
				}
				ca := storetest.NewCA(t, storetest.CN("Root one"))
				c := ca.Cert()
				for _, step := range []struct {
					want  store.Change
					shows string
					valid bool
				}{
					{trusted(c), "C,,", true},
					{wish(c, store.Trusted, all...), "CT,C,C", true},
					{wish(c, store.Distrusted, all...), "p,p,p", false},
					{trusted(c), "C,,", true},
					{wish(c, store.Unspecified, all...), ",,", false},
					{wish(c, store.Peer, store.PurposeServerAuth), "P,,", false},
					{trusted(c), "C,,", true},
					{store.Change{Fingerprint: c.SHA256, Absent: true}, "-", false},
				} {
					do(t, s, step.want)
					for _, l := range readers {
						if got := l.shown(t, dir, "Root one"); got != step.shows {
							t.Errorf("%s shows %s, not %s", l.name, got, step.shows)
						}
						if step.shows == "-" || step.shows == "P,," {
							continue
						}
						out, err := l.certutil(t, dir, "-V", "-n", "Root one", "-u", "L")
						if (err == nil) != step.valid {
							t.Errorf("at %s, %s says %s", step.shows, l.name, out)
						}
					}
				}
				rows := 0
				db, err := sqlite.Read(t.Context(), s.host, s.keys)
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				db.Query(t.Context(), "SELECT id FROM metaData WHERE id LIKE 'sig%'", nil, func(func(...any) error) error { rows++; return nil })
				if rows != 0 {
					t.Errorf("%d signatures are left", rows)
				}
			})
		}
	}
}

// What certutil writes is listed as it is, and certutil's removal is seen.
func TestCertutilIsRead(t *testing.T) {
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			b, s, dir := l.newDatabase(t, false, "")
			for i, trust := range []string{"C,,", "CT,C,C", "p,p,p", "P,,", "c,,", "T,,", ",,"} {
				ca := storetest.NewCA(t, storetest.CN(fmt.Sprintf("Root %d", i)))
				file := filepath.Join(b.host.Root, "ca.pem")
				if err := os.WriteFile(file, ca.PEM(), 0o644); err != nil {
					t.Fatal(err)
				}
				name := fmt.Sprintf("ünïcode %d", i)
				l.must(t, dir, "-A", "-n", name, "-t", trust, "-i", file)
				e := entryOf(t, s, ca.Cert())
				switch want := trust; {
				case e == nil:
					t.Fatalf("%s is not listed", trust)
				case e.Label != name:
					t.Errorf("its name is %q", e.Label)
				case want == "c,,":
					if e.Trust.Has(store.Trusted) {
						t.Errorf("c,, is %s", e.Trust)
					}
				case e.Native["trust"] != want:
					t.Errorf("%s is listed as %s (%s)", trust, e.Native["trust"], e.Trust)
				}
				if l.dir != "" && e != nil {
					continue // one kind is enough for the version that wrote it
				}
				for _, p := range e.Problems {
					t.Errorf("%s: %s", trust, p.Text)
				}
			}
		})
	}
}

// The rows that are written are those that certutil writes, byte for byte, but
// for numbers and what is random.
func TestRowsAreCertutils(t *testing.T) {
	subject := func(n pkix.Name) storetest.Option { return storetest.Subject(n) }
	certs := map[string]*store.Cert{}
	for name, args := range map[string]string{
		"RSA 4096": "-newkey rsa:4096", "Ed25519": "-newkey ed25519",
		"RSA-PSS": "-newkey rsa-pss -pkeyopt rsa_keygen_bits:2048", "secp256k1": "-newkey ec -pkeyopt ec_paramgen_curve:secp256k1",
	} {
		certs[name] = opensslCert(t, args)
	}
	for name, ca := range map[string]*storetest.CA{
		"RSA 1024": storetest.NewCA(t, storetest.RSA(1024)), "RSA 2048": storetest.NewCA(t, storetest.RSA(2048)),
		"P-256": storetest.NewCA(t, storetest.ECDSA(elliptic.P256())), "P-384": storetest.NewCA(t, storetest.ECDSA(elliptic.P384())),
		"P-521":        storetest.NewCA(t, storetest.ECDSA(elliptic.P521())),
		"high serial":  storetest.NewCA(t, storetest.Serial(new(big.Int).Lsh(big.NewInt(0xff), 64))),
		"small serial": storetest.NewCA(t, storetest.Serial(big.NewInt(1))),
		"e-mail":       storetest.NewCA(t, storetest.Template(func(c *x509.Certificate) { c.EmailAddresses = []string{"Someone@Example.TEST"} })),
		"empty name":   storetest.NewCA(t, subject(pkix.Name{})),
		"long":         storetest.NewCA(t, subject(pkix.Name{Organization: []string{strings.Repeat("x", 60)}, Country: []string{"DE"}})),
		"unicode":      storetest.NewCA(t, storetest.CN("Zertifizierungsstelle für Übung")),
		"version 1":    storetest.NewCA(t, storetest.V1()),
		"negative":     storetest.Unparsable(t),
	} {
		certs[name] = ca.Cert()
	}
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			theirs, _, dir := l.newDatabase(t, l.dir != "", "")
			ours, s, _ := l.newDatabase(t, l.dir != "", "")
			for name, c := range certs {
				if c.KeyAlgorithm == "Ed25519" && l.dir == "" {
					continue // the older one takes none
				}
				file := filepath.Join(theirs.host.Root, "ca.der")
				if err := os.WriteFile(file, c.Raw, 0o644); err != nil {
					t.Fatal(err)
				}
				l.must(t, dir, "-A", "-n", name, "-t", "C,,", "-i", file)
				w := trusted(c)
				w.Label = &name
				do(t, s, w)
			}
			a, b := rowsOf(t, theirs.host), rowsOf(t, ours.host)
			for _, line := range a {
				if !slices.Contains(b, line) {
					t.Errorf("only certutil writes %.600s", line)
				}
			}
			for _, line := range b {
				if !slices.Contains(a, line) {
					t.Errorf("only certtrust writes %.600s", line)
				}
			}
		})
	}
}

// opensslCert makes a root of a kind that Go cannot make.
func opensslCert(t *testing.T, args string) *store.Cert {
	t.Helper()
	_, err := exec.LookPath("openssl")
	need(t, "openssl", err == nil)
	dir := storetest.TempDir(t)
	file := filepath.Join(dir, "ca.der")
	line := append([]string{"req", "-x509", "-nodes", "-days", "3650", "-subj", "/CN=" + args[:12], "-outform", "DER", "-out", file, "-keyout", filepath.Join(dir, "key")}, strings.Fields(args)...)
	if out, err := exec.CommandContext(t.Context(), "openssl", line...).CombinedOutput(); err != nil {
		t.Fatalf("openssl: %v\n%s", err, out)
	}
	der, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return store.NewCert(der)
}

// rowsOf writes all objects of a database, without their numbers, and how many
// signatures there are.
func rowsOf(t *testing.T, h *host.Host) (lines []string) {
	t.Helper()
	db, err := sqlite.Read(t.Context(), h, dir+"/cert9.db")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	names := db.Columns("main", "nssPublic")
	values, to := make([]any, len(names)), make([]any, len(names))
	for i := range values {
		to[i] = &values[i]
	}
	err = db.Query(t.Context(), "SELECT * FROM nssPublic", nil, func(scan func(...any) error) error {
		if err := scan(to...); err != nil {
			return err
		}
		var line strings.Builder
		for i, name := range names {
			if b, ok := values[i].([]byte); ok && name != "id" {
				fmt.Fprintf(&line, " %s=%x", name, b)
			}
		}
		lines = append(lines, line.String())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := sqlite.Read(t.Context(), h, dir+"/key4.db")
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	n := 0
	keys.Query(t.Context(), "SELECT id FROM metaData WHERE id LIKE 'sig%'", nil, func(func(...any) error) error { n++; return nil })
	lines = append(lines, fmt.Sprintf("%d signatures", n))
	slices.Sort(lines)
	return lines
}

// Passwords of old and new databases: without the right one trust is not
// changed, with it every version agrees.
func TestPrimaryPassword(t *testing.T) {
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			const password = "correct horse"
			b, s, dir := l.newDatabase(t, true, password)
			c := storetest.NewCA(t, storetest.CN("Root one")).Cert()
			do(t, s, trusted(c))
			file := filepath.Join(b.host.Root, "password")
			if got := l.shown(t, dir, "Root one"); got != "C,," {
				t.Errorf("%s shows %s", l.name, got)
			}
			out, err := l.certutil(t, dir, "-V", "-n", "Root one", "-u", "L", "-f", file)
			if err != nil {
				t.Errorf("certutil says %s", out)
			}
			if e := entryOf(t, s, c); e == nil || e.Native["integrity"] != "ok" {
				t.Errorf("it is listed as %+v", e)
			}
			for name, secret := range map[string]host.Secrets{"no": nil, "the wrong": secrets{testID: "incorrect"}} {
				b.host.Secrets = secret
				before := b.dump()
				s := b.open()
				p, err := s.Plan(t.Context(), []store.Change{wish(c, store.Distrusted, store.PurposeServerAuth)})
				if err != nil {
					t.Fatal(err)
				}
				if len(p.Refused) != 1 || p.Refused[0].Code != "secret" {
					t.Errorf("with %s password it is %+v", name, p.Refused)
				}
				if name == "no" && (s.Info().Access.Write == nil || s.Info().Access.Write.Kind != store.NeedsSecret) {
					t.Errorf("without the password the store says %+v", s.Info().Access)
				}
				if e := entryOf(t, s, c); e == nil || e.Native["integrity"] != "not checked" || e.Trust.For(store.PurposeServerAuth) != store.Trusted {
					t.Errorf("with %s password it is listed as %+v", name, e)
				}
				if after := b.dump(); after != before {
					t.Errorf("the database was changed:\n%s\n%s", before, after)
				}
			}
			// certutil changes the password and signs anew; then it is taken out
			// without any password.
			renewed := filepath.Join(b.host.Root, "renewed")
			if err := os.WriteFile(renewed, []byte("another\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			l.must(t, dir, "-W", "-f", file, "-@", renewed)
			b.host.Secrets = secrets{testID: "another"}
			if e := entryOf(t, b.open(), c); e == nil || e.Native["integrity"] != "ok" {
				t.Errorf("after the password was changed it is listed as %+v", e)
			}
			b.host.Secrets = nil
			do(t, b.open(), store.Change{Fingerprint: c.SHA256, Absent: true})
			if got := l.shown(t, dir, "Root one"); got != "-" {
				t.Errorf("after it was removed, %s shows %s", l.name, got)
			}
		})
	}
}

// What one tool leaves of what another wrote is found and mended.
func TestGhostsAndConflicts(t *testing.T) {
	older, newer := libraries[0], libraries[1]
	codes := func(t *testing.T, s *Store) (codes []string) {
		for p, err := range s.Problems(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			codes = append(codes, p.Code)
		}
		return codes
	}
	repair := func(t *testing.T, s *Store) {
		t.Helper()
		var all []store.Problem
		for p := range s.Problems(t.Context()) {
			all = append(all, p)
		}
		p, err := s.PlanRepair(t.Context(), all)
		if err == nil {
			_, err = s.Apply(t.Context(), p)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Run("ghost", func(t *testing.T) {
		b, s, dir := newer.newDatabase(t, true, "")
		older.need(t)
		ca := storetest.NewCA(t, storetest.CN("Root one"))
		do(t, s, trusted(ca.Cert()))
		older.must(t, dir, "-D", "-n", "Root one") // leaves the kind that it does not know
		if got := codes(t, s); !slices.Equal(got, []string{"ghost-trust"}) {
			t.Fatalf("the problems are %q", got)
		}
		ghosts := 0
		for e := range s.Entries(t.Context()) {
			if e.Match != nil && e.Trust.For(store.PurposeServerAuth) == store.Trusted && len(e.Problems) == 1 {
				ghosts++
			}
		}
		if ghosts != 1 {
			t.Errorf("%d ghosts are listed", ghosts)
		}
		before := b.dump()
		// It is also what `remove` finds by the fingerprint.
		p, err := s.Plan(t.Context(), []store.Change{{Fingerprint: ca.Cert().SHA256, Absent: true}})
		if err != nil || len(p.Steps) != 1 {
			t.Errorf("to remove it needs %+v, %v", p.Steps, err)
		}
		if b.dump() != before {
			t.Error("planning has changed something")
		}
		repair(t, s)
		if got := codes(t, s); len(got) != 0 || b.dump() != "" {
			t.Errorf("after the repair the problems are %q, and there is still\n%s", got, b.dump())
		}
	})
	t.Run("conflict", func(t *testing.T) {
		_, s, dir := newer.newDatabase(t, false, "")
		older.need(t)
		c := storetest.NewCA(t, storetest.CN("Root one")).Cert()
		do(t, s, trusted(c))
		older.must(t, dir, "-M", "-n", "Root one", "-t", "p,p,p")
		if got := codes(t, s); !slices.Equal(got, []string{"kinds-differ"}) {
			t.Fatalf("the problems are %q", got)
		}
		repair(t, s)
		if got := codes(t, s); len(got) != 0 {
			t.Errorf("after the repair the problems are %q", got)
		}
		for _, l := range libraries {
			if got := l.shown(t, dir, "Root one"); got != "p,p,p" {
				t.Errorf("after the repair %s shows %s", l.name, got)
			}
		}
		do(t, s, trusted(c))
		for _, l := range libraries {
			if got := l.shown(t, dir, "Root one"); got != "C,," {
				t.Errorf("trusted again, %s shows %s", l.name, got)
			}
		}
	})
	for _, spoil := range []struct {
		code, file, statement string
	}{
		{"no-integrity", "key4.db", "DELETE FROM metaData WHERE id LIKE 'sig%ce536358'"},
		{"bad-integrity", "cert9.db", "UPDATE nssPublic SET ace536358 = x'ce53435b' WHERE a0 = x'ce534353'"},
	} {
		t.Run(spoil.code, func(t *testing.T) {
			b, s, dir := older.newDatabase(t, false, "")
			c := storetest.NewCA(t, storetest.CN("Root one")).Cert()
			do(t, s, trusted(c))
			b.exec(spoil.file, spoil.statement)
			if got := codes(t, s); !slices.Equal(got, []string{spoil.code}) {
				t.Fatalf("the problems are %q", got)
			}
			if got := older.shown(t, dir, "Root one"); got != ",," {
				t.Errorf("certutil shows %s", got)
			}
			if e := entryOf(t, s, c); e.Trust.Has(store.Trusted) {
				t.Errorf("it is listed as %s", e.Trust)
			}
			repair(t, s)
			if got := codes(t, s); len(got) != 0 {
				t.Errorf("after the repair the problems are %q", got)
			}
			if e := entryOf(t, s, c); e.Trust.Has(store.Trusted) {
				t.Errorf("the repair has made it trusted: %s", e.Trust)
			}
			do(t, s, trusted(c))
			if got := older.shown(t, dir, "Root one"); got != "C,," {
				t.Errorf("trusted again, certutil shows %s", got)
			}
		})
	}
}

// force writes levels past all planning.
func force(t *testing.T, b *box, c *store.Cert, label string, l levels) {
	t.Helper()
	s := b.open()
	st, err := s.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Write(t.Context(), b.host, s.certs, map[string]string{"k": s.keys})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	w := &writer{ctx: t.Context(), s: s, db: db, src: source{certs: db, keys: db, certName: "main", keyName: "k"}, st: st}
	err = w.begin()
	if err == nil {
		err = w.target(&target{cert: c, objects: st.prints[c.SHA256], label: label, levels: l, setLabel: true, setTrust: true})
	}
	w.end()
	if err == nil {
		err = db.Commit()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// What NSS makes of levels for servers and for clients, which it does not keep
// apart, is what is listed; and nothing becomes trusted for servers because
// somebody wants it trusted for clients.
func TestServersAndClients(t *testing.T) {
	all := []level{levelNone, levelPeer, levelAnchor, levelDistrusted, levelValid}
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			b, _, dir := l.newDatabase(t, false, "")
			root := storetest.NewCA(t, storetest.CN("Root"))
			do(t, b.open(), trusted(root.Cert()))
			own := storetest.NewCA(t, storetest.CN("own.test"), storetest.NotCA(), storetest.Hosts("own.test")).Cert()
			issued := root.Issue(t, storetest.CN("issued.test"), storetest.NotCA(), storetest.Hosts("issued.test")).Cert()
			for _, s := range all {
				for _, c := range all {
					want := levels{server: s, client: c}
					// The one is valid only as a peer, the other unless it is distrusted.
					for name, cert := range map[string]*store.Cert{"own.test": own, "issued.test": issued} {
						force(t, b, cert, name, want)
						e := entryOf(t, b.open(), cert)
						if got := l.shown(t, dir, name); e == nil || e.Native["trust"] != got {
							t.Errorf("%d, %d: certutil shows %s, and it is listed as %+v", s, c, got, e)
							continue
						}
						_, err := l.certutil(t, dir, "-V", "-n", name, "-u", "V")
						d := e.Trust.For(store.PurposeServerAuth)
						valid := d == store.Peer || d == store.Trusted
						if name == "issued.test" {
							valid = d != store.Distrusted
						}
						if s != levelAnchor && valid != (err == nil) { // of a leaf as an anchor each makes what it likes
							t.Errorf("%s as %s: for servers certutil says %v, and it is listed as %s", name, want, err, e.Trust)
						}
					}
				}
			}
		})
	}
	own := storetest.NewCA(t, storetest.NotCA(), storetest.Hosts("own.test")).Cert()
	b := newBox(t, layout{columns: columnsProfile})
	if r := refused(t, b.open(), wish(own, store.Trusted, store.PurposeClientAuth), "unsupported"); !strings.Contains(r.Reason, "for servers, too") {
		t.Errorf("it says %q", r.Reason)
	}
	do(t, b.open(), wish(own, store.Trusted, store.PurposeClientAuth, store.PurposeServerAuth))
	refused(t, b.open(), wish(own, store.Trusted, store.PurposeClientAuth), "unsupported")
	do(t, b.open(), wish(own, store.Unspecified, fields...))
	// An anchor of clients is none of servers.
	ca := storetest.NewCA(t).Cert()
	do(t, b.open(), wish(ca, store.Trusted, store.PurposeClientAuth))
	if e := entryOf(t, b.open(), ca); e.Trust.For(store.PurposeServerAuth) != store.Unspecified || e.Native["trust"] != "T,," {
		t.Errorf("it is listed as %s, %s", e.Trust, e.Native["trust"])
	}
}

// A row whose number NSS would never give it is found by no program, and keeps
// those that list all certificates from listing any: it is listed without trust,
// told, and mended, which makes nothing trusted that was not.
func TestLostRows(t *testing.T) {
	const cert, trust = "a0 = x'00000001'", "a0 <> x'00000001'"
	for name, row := range map[string]struct {
		number, which string
		shown         string // by certutil, if the row is that of a trusted root
	}{
		"more than 30 bits, the certificate": {"id + 1073741824", cert, "-"},
		"more than 30 bits, its trust":       {"id + 1073741824", trust, ",,"},
		"more than 32 bits, all":             {"id + 4294967296", "1", "-"},
		"negative, the certificate":          {"-id", cert, "-"},
		"text, its trust":                    {"CAST(id AS TEXT)", trust, ",,"},
		"a fraction, the certificate":        {"id + 0.5", cert, "-"},
	} {
		for _, l := range libraries {
			t.Run(name+", "+l.name, func(t *testing.T) {
				t.Parallel()
				b, s, dir := l.newDatabase(t, false, "")
				kept, lost := storetest.NewCA(t, storetest.CN("Kept root")).Cert(), storetest.NewCA(t, storetest.CN("Lost root")).Cert()
				do(t, s, trusted(kept), trusted(lost))
				if got := l.shown(t, dir, "Lost root"); got != "C,," {
					t.Fatalf("at first certutil shows %s", got)
				}
				b.exec("cert9.db", "UPDATE nssPublic SET id = "+row.number+" WHERE a81 = ? AND "+row.which, lost.Subject.Raw)
				list, err := l.certutil(t, dir, "-L") // which may fail
				if all := strings.Contains(list, "Kept root"); all != (row.shown != "-") {
					t.Errorf("certutil shows %s (%v)", list, err)
				}
				if row.shown != "-" {
					if got := l.shown(t, dir, "Lost root"); got != row.shown {
						t.Errorf("certutil shows %s, not %s", got, row.shown)
					}
				} else if out, err := l.certutil(t, dir, "-L", "-n", "Lost root"); err == nil {
					t.Errorf("certutil finds it: %s", out)
				}
				s = b.open()
				told := 0
				for e, err := range s.Entries(t.Context()) {
					if err != nil {
						t.Fatal(err)
					}
					if slices.ContainsFunc(e.Problems, func(p store.Problem) bool { return p.Code == "lost-object" }) {
						told++
						if len(e.Trust) > 0 {
							t.Errorf("it is listed as %s", e.Trust)
						}
					}
					if e.Cert != nil && e.Cert.SHA256 == lost.SHA256 && len(e.Trust) > 0 {
						t.Errorf("the root is listed as %s", e.Trust)
					}
				}
				if told == 0 {
					t.Error("nothing is told")
				}
				var all []store.Problem
				for p, err := range s.Problems(t.Context()) {
					if err != nil {
						t.Fatal(err)
					}
					all = append(all, p)
				}
				p, err := s.PlanRepair(t.Context(), all)
				if err != nil || len(p.Refused) > 0 {
					t.Fatalf("to repair it gives %v, %+v", err, p.Refused)
				}
				r, err := s.Apply(t.Context(), p)
				if err != nil {
					t.Fatal(err)
				}
				for p := range b.open().Problems(t.Context()) {
					t.Errorf("after the repair there is still %s", p.Text)
				}
				if got := l.shown(t, dir, "Kept root"); got != "C,," {
					t.Errorf("the other root is shown as %s", got)
				}
				if got := l.shown(t, dir, "Lost root"); got != row.shown {
					t.Errorf("after the repair certutil shows %s", got)
				}
				if row.shown != "-" {
					return
				}
				// The certificate itself is not lost for good.
				do(t, b.open(), r.Undo...)
				if got := l.shown(t, dir, "Lost root"); got != ",," {
					t.Errorf("taken back, certutil shows %s", got)
				}
			})
		}
	}
}

// What no program finds is taken out by the certificate's fingerprint, too, and
// keeps it from nothing.
func TestLostIsRemoved(t *testing.T) {
	b := newBox(t, layout{columns: columnsProfile})
	c := storetest.NewCA(t).Cert()
	do(t, b.open(), trusted(c))
	b.exec("cert9.db", "UPDATE nssPublic SET id = id + 1073741824")
	do(t, b.open(), trusted(c))
	if e := entryOf(t, b.open(), c); e == nil || e.Trust.For(store.PurposeServerAuth) != store.Trusted {
		t.Errorf("trusted again it is listed as %+v", e)
	}
	gone := store.Change{Fingerprint: c.SHA256, Absent: true}
	do(t, b.open(), gone)
	if e := entryOf(t, b.open(), c); e != nil {
		t.Errorf("removed, it is listed as %+v", e)
	}
	if p, err := b.open().Plan(t.Context(), []store.Change{gone}); err != nil || !p.Empty() {
		t.Errorf("to remove it again needs %+v, %v", p.Steps, err)
	}
}

// A database in FIPS mode is listed, and that is told; nothing is written to it.
func TestFIPS(t *testing.T) {
	spoil := map[string]func(t *testing.T, b *box, dir string){
		"as modutil sets it": func(t *testing.T, b *box, dir string) {
			_, err := exec.LookPath("modutil")
			need(t, "modutil", err == nil)
			cmd := exec.CommandContext(t.Context(), "modutil", "-fips", "true", "-force", "-dbdir", "sql:"+dir)
			if out, err := cmd.CombinedOutput(); err != nil && !strings.Contains(string(out), "FIPS mode enabled") {
				t.Skipf("this NSS has no FIPS mode: %v: %s", err, out)
			}
		},
		"as the file says": func(t *testing.T, b *box, dir string) {
			b.write("pkcs11.txt", []byte("library=\nname=NSS Internal FIPS PKCS #11 Module\nparameters=configdir='sql:x'\nNSS=slotParams={0x00000003=[slotFlags=RSA askpw=any] }  Flags=internal,critical,FIPS\n\n"))
		},
	}
	for name, set := range spoil {
		t.Run(name, func(t *testing.T) {
			b, s, dir := libraries[0].newDatabase(t, true, "")
			c := storetest.NewCA(t, storetest.CN("Root one")).Cert()
			do(t, s, trusted(c))
			b.exec("key4.db", "DELETE FROM metaData WHERE id LIKE 'sig%ce536358'") // something to mend
			set(t, b, dir)
			before := b.raw()
			s = b.open()
			if w := s.Info().Access.Write; w == nil || w.Kind != store.ReadOnly || !strings.Contains(w.Text, "FIPS") {
				t.Errorf("the store says %+v", w)
			}
			if e := entryOf(t, s, c); e == nil {
				t.Error("it is not listed")
			}
			told := false
			var all []store.Problem
			for p, err := range s.Problems(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				told = told || p.Code == "fips-mode"
				all = append(all, p)
			}
			if !told || len(all) != 2 {
				t.Errorf("the problems are %+v", all)
			}
			_, repair := s.PlanRepair(t.Context(), all)
			for what, change := range map[string]store.Change{"adding": trusted(storetest.NewCA(t).Cert()), "distrusting": wish(c, store.Distrusted, store.PurposeServerAuth),
				"removing": {Fingerprint: c.SHA256, Absent: true}, "linking": {Item: LinkItem}} {
				if _, err := s.Plan(t.Context(), []store.Change{change}); !errors.Is(err, store.ErrReadOnly) || !strings.Contains(err.Error(), "FIPS") || store.Hint(err) == "" {
					t.Errorf("%s gives %v", what, err)
				}
			}
			if !errors.Is(repair, store.ErrReadOnly) {
				t.Errorf("repairing gives %v", repair)
			}
			if b.raw() != before {
				t.Error("the database was changed")
			}
		})
	}
}

// A database that NSS has converted from the form before has its password
// encrypted in the old way.
func TestOldEncryption(t *testing.T) {
	l := libraries[0]
	l.need(t)
	b := newBox(t, layout{password: "secret"})
	dir := b.file("")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(b.host.Root, "password")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	old := storetest.NewCA(t, storetest.CN("Old root"))
	pem := filepath.Join(b.host.Root, "ca.pem")
	if err := os.WriteFile(pem, old.PEM(), 0o644); err != nil {
		t.Fatal(err)
	}
	legacy := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "certutil", append(args, "-d", "dbm:"+dir, "-f", file)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("this NSS has no databases of the old form: %v: %s", err, out)
		}
	}
	legacy("-N")
	legacy("-A", "-n", "Old root", "-t", "C,,", "-i", pem)

	s := b.open()
	_, err := s.Plan(t.Context(), []store.Change{trusted(old.Cert())})
	if w := s.Info().Access.Write; err == nil || w == nil || w.Kind != store.ReadOnly || b.exists("cert9.db") {
		t.Errorf("beside cert8.db the plan gives %v, and the store says %+v", err, w)
	}

	l.must(t, dir, "-M", "-n", "Old root", "-t", "CT,,", "-f", file)
	s = b.open()
	if e := entryOf(t, s, old.Cert()); e == nil || e.Native["trust"] != "CT,," || e.Native["integrity"] != "ok" {
		t.Errorf("it is listed as %+v", e)
	}
	c := storetest.NewCA(t, storetest.CN("New root")).Cert()
	do(t, s, trusted(c))
	if got := l.shown(t, dir, "New root"); got != "C,," {
		t.Errorf("certutil shows %s", got)
	}
	if out, err := l.certutil(t, dir, "-V", "-n", "New root", "-u", "L", "-f", file); err != nil {
		t.Errorf("certutil says %s", out)
	}
}
