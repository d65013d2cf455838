package smallstep

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/truststore"

	"github.com/certtrust/certtrust/platform"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/journal"
	"github.com/certtrust/certtrust/platform/nss"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// install and uninstall do it as programs do that are built on the library.
func install(cert *x509.Certificate, trusts ...*Trust) error {
	return truststore.Install(cert, append(Options(trusts), truststore.WithNoSystem())...)
}

func uninstall(cert *x509.Certificate, trusts ...*Trust) error {
	return truststore.Uninstall(cert, append(Options(trusts), truststore.WithNoSystem())...)
}

func memory(t *testing.T, info store.Info) (*Trust, *storetest.Memory) {
	m := storetest.NewMemory(info)
	return New(t.Context(), host.Fake(storetest.TempDir(t)), m), m
}

// holds tells how a store has a certificate, nil if it has not.
func holds(t *testing.T, s store.Store, cert *x509.Certificate) *store.Entry {
	t.Helper()
	for e, err := range s.Entries(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Cert != nil && e.Cert.SHA256 == store.FingerprintOf(cert.Raw) {
			return &e
		}
	}
	return nil
}

func TestInstall(t *testing.T) {
	trust, m := memory(t, store.Info{})
	ca := storetest.NewCA(t, storetest.CN("../../../tmp/../x\n\x1b[31m")).Cert().Parsed()
	other := storetest.NewCA(t, storetest.CN("Other")).Cert().Parsed()
	if trust.Exists(ca) {
		t.Error("it is there before it is installed")
	}
	for range 2 { // the second time there is nothing to do
		if err := install(ca, trust); err != nil {
			t.Fatal(err)
		}
	}
	if e := holds(t, m, ca); e == nil || !trust.Exists(ca) || trust.Exists(other) {
		t.Fatalf("after Install: %+v", e)
	}
	if err := uninstall(other, trust); err != nil {
		t.Errorf("what is not there could not be removed: %v", err)
	}
	for range 2 {
		if err := uninstall(ca, trust); err != nil {
			t.Fatal(err)
		}
	}
	if holds(t, m, ca) != nil || trust.Exists(ca) {
		t.Error("it is there after it was uninstalled")
	}
}

// Where another would be removed by name or serial number, only the one goes.
func TestTwins(t *testing.T) {
	trust, m := memory(t, store.Info{})
	var twins []*x509.Certificate
	for i := range 2 {
		twins = append(twins, storetest.NewCA(t, storetest.CN("Twin"), storetest.Serial(big.NewInt(1)), storetest.Seed(fmt.Sprint(i))).Cert().Parsed())
	}
	for _, c := range twins {
		if err := install(c, trust); err != nil {
			t.Fatal(err)
		}
	}
	if err := uninstall(twins[0], trust); err != nil {
		t.Fatal(err)
	}
	if holds(t, m, twins[0]) != nil || holds(t, m, twins[1]) == nil {
		t.Error("the wrong one was removed")
	}
}

// The library passes over a Trust whose PreCheck fails and reports success:
// ours does not fail there, so that the obstacle is told.
func TestObstacle(t *testing.T) {
	info := store.Info{}
	info.Access.Write = &store.Obstacle{Kind: store.NeedsElevation, Text: "root's", Hint: "run it with sudo"}
	trust, m := memory(t, info)
	ca := storetest.NewCA(t).Cert().Parsed()
	if err := trust.PreCheck(); err != nil {
		t.Error(err)
	}
	if err := install(ca, trust); !errors.Is(err, store.ErrPermission) || store.Hint(err) != "run it with sudo" {
		t.Errorf("error %v, hint %q", err, store.Hint(err))
	}
	if holds(t, m, ca) != nil {
		t.Error("it was installed all the same")
	}
	readOnly := New(t.Context(), host.Fake(storetest.TempDir(t)), struct{ store.Store }{m})
	if err := install(ca, readOnly); !errors.Is(err, store.ErrUnsupported) {
		t.Errorf("error %v", err)
	}
}

// What is no authority, or not valid, is refused unless it is allowed.
func TestConcerns(t *testing.T) {
	trust, m := memory(t, store.Info{})
	ca := storetest.NewCA(t)
	leaf, err := x509.ParseCertificate(ca.Leaf(t, "localhost").Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	expired := storetest.NewCA(t, storetest.CN("Old"), storetest.Validity(time.Now().AddDate(-2, 0, 0), time.Now().AddDate(-1, 0, 0))).Cert().Parsed()
	for code, cert := range map[string]*x509.Certificate{"leaf": leaf, "expired": expired} {
		if err := install(cert, trust); !errors.Is(err, store.ErrInput) {
			t.Errorf("%s: error %v", code, err)
		}
		if holds(t, m, cert) != nil {
			t.Errorf("%s: it was installed all the same", code)
		}
		trust.Allow = []string{code}
		if err := install(cert, trust); err != nil || !trust.Exists(cert) {
			t.Errorf("%s, allowed: %v", code, err)
		}
		trust.Allow = nil
		// An expired one that is there can still be removed.
		if err := uninstall(cert, trust); err != nil || holds(t, m, cert) != nil {
			t.Errorf("%s: it cannot be removed: %v", code, err)
		}
	}
}

func TestUndo(t *testing.T) {
	trust, m := memory(t, store.Info{})
	one, two := storetest.NewCA(t, storetest.CN("One")).Cert().Parsed(), storetest.NewCA(t, storetest.CN("Two")).Cert().Parsed()
	for _, do := range []func() error{
		func() error { return install(one, trust) }, func() error { return install(two, trust) },
		func() error { return uninstall(one, trust) },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := trust.Undo(); err != nil {
			t.Fatal(err)
		}
		if holds(t, m, one) != nil || holds(t, m, two) != nil {
			t.Error("it is not as it was")
		}
	}
}

// What is done through the library is in the journal, and can be undone by its
// ID as every other change.
func TestJournal(t *testing.T) {
	trust, _ := memory(t, store.Info{})
	trust.Journal, trust.Set, trust.Program = journal.New(trust.Host), journal.NewID(time.Now()), []string{"step", "certificate", "install"}
	ca := storetest.NewCA(t, storetest.CN("Recorded")).Cert()
	if err := install(ca.Parsed(), trust); err != nil {
		t.Fatal(err)
	}
	sets, err := trust.Journal.Sets(t.Context())
	if err != nil || len(sets) != 1 || sets[0].ID != trust.Set {
		t.Fatalf("%+v, %v", sets, err)
	}
	r := sets[0].Records[0]
	if !slices.Equal(r.Command, trust.Program) || len(r.Undo()) != 1 || r.Undo()[0].Fingerprint != ca.SHA256 {
		t.Errorf("%+v", r)
	}
}

// Stores are found as certtrust finds them.
func TestDetect(t *testing.T) {
	root := storetest.TempDir(t)
	h := host.Fake(root)
	if _, err := Detect(t.Context(), h, platform.Selector{System: true}); !errors.Is(err, store.ErrUnsupported) {
		t.Errorf("an empty machine has a store: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(root, "db"), 0o755); err != nil {
		t.Fatal(err)
	}
	trusts, err := Detect(t.Context(), h, platform.Selector{Stores: []string{nss.Backend + ":/db"}})
	if err != nil || len(trusts) != 1 || trusts[0].Name() != nss.Backend+":/db" {
		t.Fatalf("%+v, %v", trusts, err)
	}
	ca := storetest.NewCA(t, storetest.CN("Found")).Cert().Parsed()
	if err := install(ca, trusts...); err != nil || !trusts[0].Exists(ca) {
		t.Fatal(err)
	}
	if err := trusts[0].Undo(); err != nil || trusts[0].Exists(ca) {
		t.Errorf("not undone: %v", err)
	}
}

// Started with a command, the test binary is a program that is built on the
// library, with the user's home and nothing else: the library looks at HOME when
// it is imported.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && (os.Args[1] == "install" || os.Args[1] == "uninstall") {
		cert, err := truststore.ReadCertificate(os.Args[2])
		if err == nil {
			do := map[string]func(*x509.Certificate, ...truststore.Option) error{"install": truststore.Install, "uninstall": truststore.Uninstall}
			err = do[os.Args[1]](cert, truststore.WithFirefox(), truststore.WithNoSystem())
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// What the library itself puts into a database with certutil, we find and
// remove; and it finds what we have put there, by the name that it would give.
func TestOracle(t *testing.T) {
	if _, err := exec.LookPath("certutil"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("certutil is not installed")
		}
		t.Skip("certutil is not installed")
	}
	home := storetest.TempDir(t)
	db := filepath.Join(home, ".pki/nssdb")
	if err := os.MkdirAll(db, 0o700); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	certutil := func(args ...string) string {
		out, err := run("certutil", append(args, "-d", "sql:"+db)...)
		if err != nil {
			t.Fatalf("certutil %v: %v\n%s", args, err, out)
		}
		return out
	}
	certutil("-N", "--empty-password")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ca := storetest.NewCA(t, storetest.Subject(pkix.Name{Organization: []string{"Smallstep"}, CommonName: "Smallstep Root CA"}))
	cert := ca.Cert().Parsed()
	name := cert.Subject.CommonName + " " + cert.SerialNumber.String()
	file := filepath.Join(home, "ca.pem")
	if err := os.WriteFile(file, ca.PEM(), 0o644); err != nil {
		t.Fatal(err)
	}
	library := func(command string) {
		if out, err := run(self, command, file); err != nil {
			t.Fatalf("%s: %v\n%s\n%s", command, err, out, certutil("-L"))
		}
	}
	trust := func() *Trust {
		trusts, err := Detect(context.Background(), host.Local(), platform.Selector{Stores: []string{nss.Backend + ":" + db}})
		if err != nil {
			t.Fatal(err)
		}
		trusts[0].Journal = nil // this machine's own
		return trusts[0]
	}

	library("install")
	s := trust()
	e := holds(t, s.store, cert)
	if e == nil || !s.Exists(cert) || e.Label != name || store.KnownTool(e.Cert) != "step" {
		t.Fatalf("what the library has installed is listed as %+v", e)
	}
	if err := uninstall(cert, s); err != nil {
		t.Fatal(err)
	}
	if out := certutil("-L"); strings.Contains(out, name) {
		t.Errorf("it is still there:\n%s", out)
	}
	// And the other way round.
	if err := install(cert, s); err != nil {
		t.Fatal(err)
	}
	if out := certutil("-L"); !strings.Contains(out, "C,,") {
		t.Errorf("certutil sees\n%s", out)
	}
	library("install") // finds it
	if !trust().Exists(cert) {
		t.Error("the library has taken it away")
	}
	library("uninstall")
	if e := holds(t, trust().store, cert); e != nil {
		t.Errorf("the library has not found what we installed: %+v", e)
	}
}
