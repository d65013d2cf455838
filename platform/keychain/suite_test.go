package keychain

import (
	"errors"
	"flag"
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/keychain/securitytest"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

var exhaustive = flag.Bool("exhaustive", false, "run the conformance suite for every version of macOS")

func TestMain(m *testing.M) {
	if code, is := securitytest.Main(os.Stdout, os.Stderr); is {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// mac is a fake Mac.
type mac struct {
	t *testing.T
	*securitytest.Machine
	roots []*store.Cert
}

// vendors are Apple's roots on fake Macs, made once.
var vendors = func() func(t *testing.T) []*store.Cert {
	var made []*store.Cert
	return func(t *testing.T) []*store.Cert {
		if made == nil {
			made = []*store.Cert{storetest.NewCA(t, storetest.CN("Apple Root One")).Cert(), storetest.NewCA(t, storetest.CN("Apple Root Two")).Cert()}
		}
		return made
	}
}()

func newMac(t *testing.T, version string) *mac {
	t.Helper()
	m := &mac{t: t, roots: vendors(t)}
	var ders [][]byte
	for _, c := range m.roots {
		ders = append(ders, c.Raw)
	}
	var err error
	if m.Machine, err = securitytest.New(storetest.TempDir(t), version, ders...); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *mac) edit(change func(*securitytest.State)) {
	m.t.Helper()
	if err := m.Edit(change); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mac) describe() string {
	m.t.Helper()
	text, err := m.Describe()
	if err != nil {
		m.t.Fatal(err)
	}
	return text
}

func (m *mac) dialogs() int {
	m.t.Helper()
	n, err := m.Dialogs()
	if err != nil {
		m.t.Fatal(err)
	}
	return n
}

// system opens the machine's store as root, login the user's as the user.
func (m *mac) system() *Store { return m.on(m.Host(0), SystemID) }
func (m *mac) login() *Store  { return m.on(m.Host(securitytest.UserID), LoginID) }

func (m *mac) on(h *host.Host, id store.ID) *Store {
	m.t.Helper()
	s, ok := m.find(h, id).(*Store)
	if !ok {
		m.t.Fatalf("%s cannot be edited", id)
	}
	return s
}

func (m *mac) find(h *host.Host, id store.ID) store.Store {
	m.t.Helper()
	system, reasons := DetectSystem(m.t.Context(), h)
	user, more := DetectUser(m.t.Context(), h)
	for _, s := range append(system, user...) {
		if s.Info().ID == id {
			return s
		}
	}
	m.t.Fatalf("there is no %s: %q %q", id, reasons, more)
	return nil
}

// The conformance suite, as root for the machine and as the user for the user's
// keychain: for an old version of macOS and a new one or, with -exhaustive, all.
func TestSuite(t *testing.T) {
	layouts := map[string][]store.ID{"10.15": {SystemID}, "15": {LoginID}}
	if *exhaustive {
		for _, v := range securitytest.Versions() {
			layouts[v] = []store.ID{SystemID, LoginID}
		}
	}
	for _, v := range securitytest.Versions() {
		for _, id := range layouts[v] {
			t.Run(v+" "+string(id), func(t *testing.T) {
				storetest.Run(t, func(t *testing.T) storetest.Fixture { return fixture(t, v, id) })
			})
		}
	}
}

func fixture(t *testing.T, version string, id store.ID) storetest.Fixture {
	m := newMac(t, version)
	var left atomic.Int64
	open := func() store.Editor {
		euid := 0
		if id == LoginID {
			euid = securitytest.UserID
		}
		h := m.Host(euid)
		h.Fault = func(op, path string) error {
			if left.Load() > 0 && left.Add(-1) == 0 {
				return errors.New("the test makes this fail: " + op + " " + path)
			}
			return nil
		}
		return m.on(h, id)
	}
	f := storetest.Fixture{Store: open(), Reopen: open, Parallel: open, Snapshot: m.describe, Fault: func(n int) { left.Store(int64(n)) }}
	if id == SystemID {
		f.Vendor = slices.Clone(m.roots)
	}
	return f
}
