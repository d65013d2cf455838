package wincert_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/wincert"
	"github.com/certtrust/certtrust/platform/wincert/wincerttest"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

func fakeHost(t *testing.T) *host.Host {
	h := host.Fake(storetest.TempDir(t))
	h.OS = "windows"
	h.User.Home = "/Users/user"
	return h
}

// set makes the next write fail that a fake is told to.
func fixture(t *testing.T, location string) storetest.Fixture {
	api := wincerttest.New()
	flag := uint32(wincerttest.LocalMachine)
	if location == "CurrentUser" {
		flag = wincerttest.CurrentUser
	}
	vendor := storetest.NewCA(t).Cert()
	api.PutCert(flag, "AuthRoot", vendor.Raw)
	api.PutCert(flag, "Root", storetest.NewCA(t).DER(), wincerttest.Property{ID: 11, Value: []byte("A\x00\x00\x00")}, wincerttest.Property{ID: 200, Value: []byte("kept")})
	api.PutCert(flag, "Disallowed", storetest.NewCA(t).DER())
	h := fakeHost(t)
	open := func() store.Editor { return wincert.OpenLocation(h, api, location) }
	t.Cleanup(func() {
		if n := api.Leaks(); n != 0 {
			t.Errorf("%d handles and certificates were not given back", n)
		}
	})
	// Stores that are there, but empty, are as good as none.
	snapshot := func() string {
		return strings.Join(slices.DeleteFunc(strings.Split(api.Snapshot(), "\n"), func(l string) bool { return !strings.Contains(l, " ") }), "\n")
	}
	return storetest.Fixture{Store: open(), Reopen: open, Parallel: open, Snapshot: snapshot, Fault: api.FailWrite, Vendor: []*store.Cert{vendor}}
}

func TestConformance(t *testing.T) {
	for _, location := range []string{"LocalMachine", "CurrentUser"} {
		t.Run(location, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) storetest.Fixture { return fixture(t, location) })
		})
	}
}

// apart is this machine's Windows with system stores of other names, so that
// nothing is touched that anybody trusts.
type apart struct {
	wincert.API
	prefix string
}

func (a apart) OpenStore(_ bool, flags uint32, name string) (wincert.Handle, error) {
	return a.API.OpenStore(false, flags, a.prefix+name)
}

var fixtures atomic.Int32

const deleteStore = 0x10 // CERT_STORE_DELETE_FLAG

// realFixture is a place of its own in this machine's Windows.
func realFixture(t *testing.T, location string) storetest.Fixture {
	api := apart{wincert.System(), fmt.Sprintf("CertTrustTest%d", fixtures.Add(1))}
	flag := uint32(wincerttest.LocalMachine)
	if location == "CurrentUser" {
		flag = wincerttest.CurrentUser
	}
	vendor := storetest.NewCA(t).Cert()
	put(t, api, flag, "AuthRoot", wincerttest.Element(vendor.Raw))
	put(t, api, flag, "Root", wincerttest.Element(storetest.NewCA(t).DER(), wincerttest.Property{ID: 11, Value: []byte("A\x00\x00\x00")}))
	t.Cleanup(func() {
		for _, name := range []string{"Root", "AuthRoot", "CA", "Disallowed", "TrustedPeople", "TrustedPublisher", "My"} {
			api.OpenStore(false, flag|deleteStore, name) // it says that it failed either way
		}
	})
	h := fakeHost(t)
	open := func() store.Editor { return wincert.OpenLocation(h, api, location) }
	return storetest.Fixture{Store: open(), Reopen: open, Parallel: open, Vendor: []*store.Cert{vendor}}
}

// put adds an element to a store, past this package's rules.
func put(t *testing.T, api wincert.API, location uint32, name string, element []byte) {
	t.Helper()
	h, err := api.OpenStore(false, location, name)
	if err == nil {
		err = api.AddSerialized(h, element, wincert.AddNew)
	}
	if err == nil {
		api.Commit(h)
		err = api.CloseStore(h)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestConformanceOfThisWindows(t *testing.T) {
	if wincert.System() == nil {
		t.Skip("not Windows: scripts/test-wine runs it")
	}
	for _, location := range []string{"LocalMachine", "CurrentUser"} {
		t.Run(location, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) storetest.Fixture { return realFixture(t, location) })
		})
	}
}
