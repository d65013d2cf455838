// Package windows_test runs the program on a Windows, with what the system
// itself says as the judge: on Wine by scripts/test-wine, on a real one by the
// workflow "windows".
//
// It changes what the machine trusts and takes that back. It does so only where
// CERTTRUST_EXE names the program.
package windows_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certtrust/certtrust/platform/wincert"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

const (
	programVar = "CERTTRUST_EXE"
	wineVar    = "CERTTRUST_WINE"        // set under Wine, which asks nobody
	getVar     = "CERTTRUST_WINDOWS_GET" // this binary is to get that URL
	patience   = 2 * time.Minute         // for a process on a slow machine
	untrusted  = "certificate signed by unknown authority"
)

// TestMain gets a URL if it is told to: a process knows only what was trusted
// when it first looked.
func TestMain(m *testing.M) {
	if url := os.Getenv(getVar); url != "" {
		os.Exit(get(url))
	}
	os.Exit(m.Run())
}

func get(url string) int {
	response, err := http.Get(url)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	response.Body.Close()
	fmt.Println("ok")
	return 0
}

// machine skips where there is no Windows, or where nobody has said that this
// one may be changed.
func machine(t *testing.T) {
	t.Helper()
	if wincert.System() == nil {
		t.Skip("not Windows: scripts/test-wine runs it")
	}
	if os.Getenv(programVar) == "" {
		t.Skip("it changes what this machine trusts: " + programVar + " is not set")
	}
}

type result struct {
	out, err string
	code     int
}

// certtrust runs the program.
func certtrust(t *testing.T, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Getenv(programVar), args...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{out.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// ok runs the program, which must succeed.
func ok(t *testing.T, args ...string) string {
	t.Helper()
	r := certtrust(t, args...)
	if r.code != 0 {
		t.Fatalf("certtrust %q: exit code %d\n%.1500s%.1500s", args, r.code, r.out, r.err)
	}
	return r.out
}

// fails runs the program, which must exit with a code and say something.
func fails(t *testing.T, code int, saying string, args ...string) {
	t.Helper()
	r := certtrust(t, args...)
	if r.code != code || !strings.Contains(r.out+r.err, saying) {
		t.Fatalf("certtrust %q: exit code %d, not %d saying %q\n%.1500s%.1500s", args, r.code, code, saying, r.out, r.err)
	}
}

// entry is a record of "list --json".
type entry struct {
	SHA256 string            `json:"sha256"`
	Store  string            `json:"store"`
	Label  string            `json:"label"`
	Trust  []store.Rule      `json:"trust"`
	Origin store.Origin      `json:"origin"`
	Source store.Source      `json:"source"`
	Native map[string]string `json:"native"`
}

// list returns the entries of a certificate in the stores.
func list(t *testing.T, fp store.Fingerprint, args ...string) []entry {
	t.Helper()
	if len(args) == 0 {
		args = []string{"--store", "windows"} // under Wine its host's other stores are there, too
	}
	out := ok(t, append([]string{"list", "--json", "--fingerprint", fp.String()}, args...)...)
	var doc struct {
		Entries []entry `json:"entries"`
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	return doc.Entries
}

// serve runs a server with the chain, and returns its URL.
func serve(t *testing.T, chain tls.Certificate) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{chain}}
	server.StartTLS()
	t.Cleanup(server.Close)
	// Not every Windows knows a server by its address.
	return strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
}

// reaches has other processes get the URL until that comes out as it should, and
// logs what came out otherwise. Under Wine each of them begins with bringing the
// machine's roots up to date; one was seen that did not find a root in time.
func reaches(t *testing.T, url, want string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const tries = 5
	for try := 1; ; try++ {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		cmd := exec.CommandContext(ctx, self)
		cmd.Env = append(os.Environ(), getVar+"="+url)
		out, err := cmd.CombinedOutput()
		cancel()
		if strings.Contains(string(out), want) {
			return
		}
		if try == tries {
			t.Fatalf("a client got %q (%v), not %q", out, err, want)
		}
		t.Logf("once more: a client got %q (%v), not %q", out, err, want)
	}
}

func file(t *testing.T, ca *storetest.CA) string {
	t.Helper()
	name := filepath.Join(storetest.TempDir(t), "ca.pem")
	if err := os.WriteFile(name, ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// locations are those that can be changed without anybody being asked.
func locations() []string {
	if os.Getenv(wineVar) != "" {
		return []string{"LocalMachine", "CurrentUser"}
	}
	return []string{"LocalMachine"}
}

// forget takes the certificates out again if a test has not.
func forget(t *testing.T, cas ...*storetest.CA) {
	t.Cleanup(func() {
		for _, ca := range cas {
			for _, l := range locations() {
				cmd := exec.Command(os.Getenv(programVar), "remove", ca.Cert().SHA256.String(), "--store", "windows:"+l, "--yes")
				cmd.Run() // there is mostly nothing left
			}
		}
	})
}

// A server is refused, accepted once its root is trusted, and refused when the
// root is gone: says Windows, in processes of their own.
func TestTrust(t *testing.T) {
	machine(t)
	for _, location := range locations() {
		t.Run(location, func(t *testing.T) {
			ca := storetest.NewCA(t, storetest.CN("Trusted in "+location))
			forget(t, ca)
			url, at := serve(t, ca.Leaf(t, "localhost")), "windows:"+location
			pem, fp := file(t, ca), ca.Cert().SHA256
			reaches(t, url, untrusted)
			ok(t, "trust", pem, "--store", at, "--yes")
			reaches(t, url, "ok")
			found := list(t, fp, "--store", at)
			if len(found) != 1 {
				t.Fatalf("it is listed %d times", len(found))
			}
			e := found[0]
			want := store.Source{Kind: "Root", Path: location + `\Root`, Item: strings.ToUpper(e.Native["sha1"])}
			if e.Store != at || e.Source != want || e.Origin.By != store.ByCerttrust || len(e.Native["sha1"]) != 40 || e.Label != "Trusted in "+location {
				t.Errorf("it is listed as %+v", e)
			}
			if len(e.Trust) != 1 || e.Trust[0].Purpose != store.PurposeServerAuth || e.Trust[0].Decision != store.Trusted {
				t.Errorf("its trust is %+v", e.Trust)
			}
			if out := ok(t, "trust", pem, "--store", at, "--yes"); !strings.Contains(out, "unchanged") {
				t.Errorf("the second time:\n%s", out)
			}
			ok(t, "remove", fp.String(), "--store", at, "--yes")
			reaches(t, url, untrusted)
			if found := list(t, fp, "--store", at); len(found) != 0 {
				t.Errorf("it is still listed: %+v", found)
			}
			ok(t, "undo", "--yes")
			reaches(t, url, "ok")
			ok(t, "remove", pem, "--store", at, "--yes")
			reaches(t, url, untrusted)
			fails(t, 3, "nothing to remove", "remove", pem, "--store", at, "--yes")
		})
	}
}

// A root in one location is not touched through the other.
func TestLocations(t *testing.T) {
	machine(t)
	if os.Getenv(wineVar) == "" {
		t.Skip("Windows would ask a person")
	}
	ca := storetest.NewCA(t)
	forget(t, ca)
	pem, fp := file(t, ca), ca.Cert().SHA256
	ok(t, "trust", pem, "--store", "windows:CurrentUser", "--yes")
	ok(t, "trust", pem, "--store", "windows:LocalMachine", "--yes")
	var stores []string
	for _, e := range list(t, fp) {
		stores = append(stores, e.Store)
	}
	if !slices.Equal(stores, []string{"windows:LocalMachine", "windows:CurrentUser"}) {
		t.Fatalf("it is listed in %q", stores)
	}
	ok(t, "remove", pem, "--store", "windows:CurrentUser", "--yes")
	if found := list(t, fp); len(found) != 1 || found[0].Store != "windows:LocalMachine" {
		t.Fatalf("afterwards it is listed as %+v", found)
	}
	fails(t, 3, "windows:LocalMachine", "remove", pem, "--store", "windows:CurrentUser", "--yes")
	if found := list(t, fp); len(found) != 1 {
		t.Fatalf("what is in the other location was removed")
	}
	// What the machine trusts need not be asked of the user.
	if out := ok(t, "trust", pem, "--store", "windows:CurrentUser", "--yes"); !strings.Contains(out, "unchanged") {
		t.Errorf("trusted for the user, too:\n%s", out)
	}
}

// Certificates that look alike are told apart.
func TestAlike(t *testing.T) {
	machine(t)
	a := storetest.NewCA(t, storetest.CN("Alike"))
	b, c := storetest.Twin(t, a), storetest.NewCA(t, storetest.CN("Alike"))
	forget(t, a, b, c)
	for _, ca := range []*storetest.CA{a, b, c} {
		ok(t, "trust", file(t, ca), "--system", "--yes")
	}
	before := [2][]entry{list(t, b.Cert().SHA256, "--system"), list(t, c.Cert().SHA256, "--system")}
	ok(t, "remove", a.Cert().SHA256.String(), "--system", "--yes")
	after := [2][]entry{list(t, b.Cert().SHA256, "--system"), list(t, c.Cert().SHA256, "--system")}
	if len(before[0]) != 1 || len(before[1]) != 1 || fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("the others were\n%+v\nand are\n%+v", before, after)
	}
	if found := list(t, a.Cert().SHA256, "--system"); len(found) != 0 {
		t.Error("it was not removed")
	}
}

// A diagnosis has the word of Windows itself.
func TestDiagnose(t *testing.T) {
	machine(t)
	ca := storetest.NewCA(t)
	forget(t, ca)
	url := serve(t, ca.Leaf(t, "localhost"))
	diagnose := func(code int, trusted bool) {
		t.Helper()
		r := certtrust(t, "diagnose", "--json", "--no-fetch", "--store", "windows:LocalMachine", url)
		var doc struct {
			Stores []struct {
				Platform *struct {
					Trusted bool     `json:"trusted"`
					Reasons []string `json:"reasons"`
				} `json:"platform"`
			} `json:"stores"`
		}
		if err := json.Unmarshal([]byte(r.out), &doc); err != nil || r.code != code || len(doc.Stores) != 1 {
			t.Fatalf("exit code %d, not %d, %v\n%.3000s%.1500s", r.code, code, err, r.out, r.err)
		}
		if p := doc.Stores[0].Platform; p == nil || p.Trusted != trusted || (len(p.Reasons) == 0) != trusted {
			t.Errorf("Windows says %+v", p)
		}
	}
	diagnose(3, false)
	ok(t, "trust", file(t, ca), "--system", "--yes")
	diagnose(0, true)
}

// An intermediate that a server does not send is found in CA.
func TestIntermediate(t *testing.T) {
	machine(t)
	root := storetest.NewCA(t)
	middle := root.Intermediate(t)
	forget(t, root, middle)
	chain := middle.Leaf(t, "localhost")
	chain.Certificate = chain.Certificate[:1]
	url := serve(t, chain)
	ok(t, "trust", file(t, root), "--system", "--yes")
	reaches(t, url, untrusted)
	fails(t, 2, "", "trust", file(t, middle), "--system", "--yes")
	ok(t, "import", file(t, middle), "--system", "--yes")
	if found := list(t, middle.Cert().SHA256, "--system"); len(found) != 1 || found[0].Source.Kind != "CA" || len(found[0].Trust) != 0 {
		t.Errorf("it is listed as %+v", found)
	}
	reaches(t, url, "ok")
}

// What should not be an anchor is refused, unless it is said to be meant.
func TestConcerns(t *testing.T) {
	machine(t)
	leaf := storetest.NewCA(t, storetest.NotCA(), storetest.Hosts("localhost"))
	old := storetest.NewCA(t, storetest.Validity(time.Now().AddDate(-2, 0, 0), time.Now().AddDate(-1, 0, 0)))
	forget(t, leaf, old)
	for _, ca := range []*storetest.CA{leaf, old} {
		if r := certtrust(t, "trust", file(t, ca), "--system", "--yes"); r.code == 0 {
			t.Errorf("it was taken:\n%s", r.out)
		}
	}
	url := serve(t, leaf.TLS())
	reaches(t, url, untrusted)
	ok(t, "trust", file(t, leaf), "--system", "--yes", "--allow", "leaf")
	reaches(t, url, "ok")
}

// What is distrusted is listed so wherever it is, and the prompt's commands for
// it are told.
func TestDistrust(t *testing.T) {
	machine(t)
	ca := storetest.NewCA(t)
	forget(t, ca)
	fp := ca.Cert().SHA256
	ok(t, "trust", file(t, ca), "--system", "--yes")
	out := ok(t, "distrust", fp.String(), "--system", "--dry-run")
	for _, want := range []string{"certutil -addstore Disallowed ", `Import-Certificate`, `Cert:\LocalMachine\Disallowed`} {
		if !strings.Contains(out, want) {
			t.Errorf("a dry run does not say %q:\n%s", want, out)
		}
	}
	ok(t, "distrust", fp.String(), "--system", "--yes")
	kinds := []string{}
	for _, e := range list(t, fp, "--system") {
		kinds = append(kinds, e.Source.Kind)
		if len(e.Trust) != 1 || e.Trust[0].Decision != store.Distrusted {
			t.Errorf("in %s its trust is %+v", e.Source.Kind, e.Trust)
		}
	}
	if !slices.Equal(kinds, []string{"Root", "Disallowed"}) {
		t.Errorf("it is in %q", kinds)
	}
	ok(t, "remove", fp.String(), "--store", `Cert:\LocalMachine\Disallowed`, "--yes")
	if found := list(t, fp, "--system"); len(found) != 1 || len(found[0].Trust) != 1 || found[0].Trust[0].Decision != store.Trusted {
		t.Errorf("after that was taken back it is %+v", found)
	}
}

// What Group Policy put there is listed as such and stays.
func TestPolicy(t *testing.T) {
	machine(t)
	if os.Getenv(wineVar) == "" {
		t.Skip("the policies of a real machine are not to be changed")
	}
	ca := storetest.NewCA(t)
	const policy = 0x80000
	h, err := wincert.System().OpenStore(false, policy, "Root")
	if err == nil {
		err = wincert.System().AddSerialized(h, element(ca.DER()), wincert.AddNew)
	}
	if err != nil {
		t.Fatal(err)
	}
	wincert.System().Commit(h)
	wincert.System().CloseStore(h)
	fp := ca.Cert().SHA256
	found := list(t, fp)
	if len(found) != 1 || found[0].Store != "windows:LocalMachineGroupPolicy" || found[0].Origin.By != store.ByPolicy {
		t.Fatalf("it is listed as %+v", found)
	}
	fails(t, 6, "Group Policy", "remove", fp.String(), "--store", "windows:LocalMachineGroupPolicy", "--yes")
	if len(list(t, fp)) != 1 {
		t.Error("it was removed nevertheless")
	}
	ok(t, "distrust", fp.String(), "--store", "windows:LocalMachine", "--yes")
	forget(t, ca)
	for _, e := range list(t, fp) {
		if len(e.Trust) != 1 || e.Trust[0].Decision != store.Distrusted {
			t.Errorf("in %s its trust is %+v", e.Store, e.Trust)
		}
	}
}

// element is a certificate as Windows serializes it.
func element(der []byte) []byte {
	n := len(der)
	return append([]byte{32, 0, 0, 0, 1, 0, 0, 0, byte(n), byte(n >> 8), byte(n >> 16), 0}, der...)
}

// Several at once do not lose what others have done.
func TestAtOnce(t *testing.T) {
	machine(t)
	var cas []*storetest.CA
	for range 6 {
		cas = append(cas, storetest.NewCA(t))
	}
	forget(t, cas...)
	var all sync.WaitGroup
	results := make([]string, len(cas))
	for i, ca := range cas {
		pem := file(t, ca)
		all.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Getenv(programVar), "trust", pem, "--system", "--yes")
			if out, err := cmd.CombinedOutput(); err != nil {
				results[i] = fmt.Sprintf("%v\n%s", err, out)
			}
		})
	}
	all.Wait()
	for i, ca := range cas {
		if results[i] != "" {
			t.Errorf("number %d: %s", i+1, results[i])
		} else if len(list(t, ca.Cert().SHA256, "--system")) != 1 {
			t.Errorf("number %d is not there", i+1)
		}
	}
}

// An export of the registry says the same as the machine itself.
func TestExport(t *testing.T) {
	machine(t)
	ca := storetest.NewCA(t, storetest.CN("Exported Ünïcödé"))
	forget(t, ca)
	ok(t, "trust", file(t, ca), "--system", "--yes", "--purpose", "client-auth", "--purpose", "server-auth")
	name := filepath.Join(storetest.TempDir(t), "machine.reg")
	cmd := exec.CommandContext(t.Context(), "reg", "export", `HKLM\SOFTWARE\Microsoft\SystemCertificates`, name, "/y")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("reg export: %v\n%s", err, out)
	}
	live, exported := list(t, ca.Cert().SHA256, "--system"), list(t, ca.Cert().SHA256, "--store", "reg:"+name)
	if len(live) != 1 || len(exported) != 1 {
		t.Fatalf("the machine has it %d times, the export %d times", len(live), len(exported))
	}
	exported[0].Store = live[0].Store
	if fmt.Sprint(live) != fmt.Sprint(exported) {
		t.Errorf("the machine says\n%+v\nthe export says\n%+v", live, exported)
	}
}

// What only looks leaves the registry as it is.
func TestNothingIsWritten(t *testing.T) {
	machine(t)
	dir := storetest.TempDir(t)
	state := func(n int) []byte {
		var all []byte
		for i, key := range []string{`HKLM\SOFTWARE\Microsoft\SystemCertificates`, `HKCU\SOFTWARE\Microsoft\SystemCertificates`, `HKLM\SOFTWARE\Policies\Microsoft`} {
			name := filepath.Join(dir, fmt.Sprintf("%d-%d.reg", n, i))
			if exec.CommandContext(t.Context(), "reg", "export", key, name, "/y").Run() != nil {
				all = append(all, key+": none\n"...)
				continue
			}
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, data...)
		}
		return all
	}
	ok(t, "list", "--store", "windows") // what Wine makes when a store is first looked at
	before := state(0)
	ok(t, "list", "--store", "windows")
	ok(t, "stores", "--store", "windows")
	ok(t, "trust", file(t, storetest.NewCA(t)), "--system", "--dry-run")
	if after := state(1); !bytes.Equal(before, after) {
		t.Errorf("the registry was %d bytes long and is %d, or says something else: %s", len(before), len(after), difference(before, after))
	}
}

// difference shows where two texts part.
func difference(a, b []byte) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	around := func(x []byte) string { return hex.EncodeToString(x[max(n-20, 0):min(n+100, len(x))]) }
	return around(a) + " / " + around(b)
}
