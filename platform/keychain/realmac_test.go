//go:build realmac

package keychain

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// These tests are for a real Mac, and have not yet been run on one:
//
//	go test -tags realmac ./platform/keychain -run TestReal -v
//
// They change nothing but a keychain of their own, unless
// CERTTRUST_REALMAC_WRITE is "user" or "admin": then a certificate of the
// test's is trusted in that domain and taken out again. CERTTRUST_REALMAC_OUT
// is a directory for the transcript.

func realHost(t *testing.T) (*host.Host, version) {
	t.Helper()
	h := host.Local()
	if h.OS != "darwin" {
		t.Fatal("this is no Mac")
	}
	v, text := readVersion(h)
	t.Log(text)
	return h, v
}

func realStore(t *testing.T, h *host.Host, id store.ID) store.Store {
	t.Helper()
	return (&mac{t: t}).find(h, id)
}

// runReal runs the tool, for a minute at most.
func runReal(t *testing.T, args []string) (stdout, stderr []byte, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool, args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("security %q: %v", args, err)
	}
	return []byte(out.String()), []byte(errs.String()), cmd.ProcessState.ExitCode()
}

// The real tool answers as the emulator does.
func TestRealTranscript(t *testing.T) {
	_, v := realHost(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	got := play(t, dir, dir, func(args []string) ([]byte, []byte, int) { return runReal(t, args) })
	if out := os.Getenv("CERTTRUST_REALMAC_OUT"); out != "" {
		if err := os.WriteFile(filepath.Join(out, fmt.Sprintf("transcript-%d.txt", v.major)), []byte(got), 0o644); err != nil {
			t.Error(err)
		}
	}
	if diff := compare(emulated(t, fmt.Sprint(v.major)), got); diff != "" {
		t.Errorf("the emulator is not this Mac:%s", diff)
	}
}

// What the tool lists and what the files hold is the same.
func TestRealReading(t *testing.T) {
	h, _ := realHost(t)
	for _, id := range []store.ID{RootsID, SystemID, LoginID} {
		s := realStore(t, h, id)
		var inner *Store
		switch s := s.(type) {
		case *Store:
			inner = s
		case Apple:
			inner = s.s
		}
		live, err := inner.certificates(t.Context(), inner.main)
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		offline, err := inner.offlineCertificates(inner.main)
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		prints := func(items []found) (out []string) {
			for _, item := range items {
				if item.err != nil {
					t.Errorf("%s: %v", id, item.err)
				}
				out = append(out, item.sha1)
			}
			slices.Sort(out)
			return slices.Compact(out)
		}
		if a, b := prints(live), prints(offline); !slices.Equal(a, b) {
			t.Errorf("%s: the tool lists %d, the file holds %d", id, len(a), len(b))
		}
		entries, errs := 0, 0
		for _, err := range s.Entries(t.Context()) {
			if err != nil {
				t.Errorf("%s: %v", id, err)
				errs++
				continue
			}
			entries++
		}
		t.Logf("%s: %d entries, %d errors, asks for %q, access %+v", id, entries, errs, s.Info().Asks, s.Info().Access.Write)
	}
}

func TestRealVerifier(t *testing.T) {
	h, _ := realHost(t)
	v := realStore(t, h, SystemID).(store.Verifier)
	ca := storetest.NewCA(t)
	leaf := ca.Leaf(t, "www.example.com")
	chain := []*store.Cert{store.NewCert(leaf.Certificate[0]), ca.Cert()}
	verdict, err := v.Verify(t.Context(), chain, store.PurposeServerAuth, "www.example.com", time.Now())
	if err != nil || verdict.Trusted {
		t.Errorf("a CA that nobody trusts: %+v %v", verdict, err)
	}
}

// A change in the domain that the environment names, and back. Without it
// nothing is changed, and that is said.
func TestRealWrites(t *testing.T) {
	which := os.Getenv("CERTTRUST_REALMAC_WRITE")
	ids := map[string]store.ID{"user": LoginID, "admin": SystemID}
	id, known := ids[which]
	if !known {
		t.Skip("CERTTRUST_REALMAC_WRITE is not set: nothing is written")
	}
	h, v := realHost(t)
	s := realStore(t, h, id).(*Store)
	s.askLimit = time.Minute
	ca := storetest.NewCA(t)
	before := map[string]bool{}
	for e, err := range s.Entries(t.Context()) {
		if err == nil && e.Cert != nil {
			before[e.Cert.SHA256.String()] = true
		}
	}
	p, err := s.Plan(t.Context(), []store.Change{trusting(ca.Cert())})
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := s.Apply(t.Context(), p)
	if os.Getenv("CERTTRUST_REALMAC_REFUSED") != "" {
		// Since 15 nobody can open the administrator's right to scripts.
		if !errors.Is(err, store.ErrConsent) && !errors.Is(err, store.ErrPermission) {
			t.Errorf("on %v it should be refused, and gave %v", v, err)
		}
		for e, err := range s.Entries(t.Context()) {
			if err == nil && e.Cert != nil && e.Cert.SHA256 == ca.Cert().SHA256 {
				t.Error("it was refused, and something is left of it")
			}
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		back, err := s.Plan(context.Background(), receipt.Undo)
		if err == nil {
			_, err = s.Apply(context.Background(), back)
		}
		if err != nil {
			t.Errorf("it could not be taken back: %v", err)
		}
		for e, err := range s.Entries(context.Background()) {
			if err == nil && e.Cert != nil && !before[e.Cert.SHA256.String()] {
				t.Errorf("%s is left", e.Label)
			}
		}
	})
	leaf := ca.Leaf(t, "www.example.com")
	parsed, err := x509.ParseCertificate(leaf.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parsed.Verify(x509.VerifyOptions{DNSName: "www.example.com"}); err != nil {
		t.Errorf("macOS does not trust what it issued: %v", err)
	}
	file := filepath.Join(t.TempDir(), "leaf.der")
	if err := os.WriteFile(file, leaf.Certificate[0], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := runReal(t, []string{"verify-cert", "-c", file, "-p", "ssl", "-s", "www.example.com", "-L", "-q"}); code != 0 {
		t.Errorf("verify-cert: %d %s", code, stderr)
	}
}
