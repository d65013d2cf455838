package keychain

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/keychain/securitytest"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// executed makes the machine's tool a program of its own, this test binary, and
// returns a host that really runs it.
func executed(t *testing.T, m *mac, uid int) *host.Host {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the fake tool is a shell script")
	}
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Install(binary, uid); err != nil {
		t.Fatal(err)
	}
	h := m.Host(uid)
	h.Runner = nil
	return h
}

func TestExecuted(t *testing.T) {
	for _, version := range []string{"10.15", "26"} {
		t.Run(version, func(t *testing.T) {
			m := newMac(t, version)
			s := m.on(executed(t, m, 0), SystemID)
			ca, other := storetest.NewCA(t, storetest.CN("-rf \x1b[2J $(id)")), storetest.NewCA(t)
			before := m.describe()
			receipt := m.do(s, trusting(ca.Cert()), denying(m.roots[0]), trusting(other.Cert(), store.PurposeEmail))
			m.wants("trust", m.entry(s, ca.Cert()).Trust, "trusted: server-auth")
			m.do(s, receipt.Undo...)
			m.wants("undone", m.describe(), before)
			m.edit(func(st *securitytest.State) { st.Screen = "cancel" })
			if version == "26" {
				m.fails(s, store.ErrConsent, trusting(ca.Cert()))
			}
		})
	}
}

// A dialog that nobody answers: the tool is stopped, with all that it started,
// and what was begun is taken back.
func TestExecutedHangs(t *testing.T) {
	m := newMac(t, "15")
	s := m.on(executed(t, m, securitytest.UserID), LoginID)
	m.edit(func(st *securitytest.State) { st.Screen = "hang" })
	s.askLimit = 300 * time.Millisecond
	err := m.fails(s, store.ErrConsent, trusting(storetest.NewCA(t).Cert()))
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "dialog") {
		t.Errorf("the error is %v", err)
	}
	m.contains(store.Hint(err), "mobileconfig")
}

// Tools that do anything but what they should.
func TestExecutedNonsense(t *testing.T) {
	for name, script := range map[string]string{
		"fails":    "exit 3",
		"silent":   "exit 0",
		"is loud":  "i=0; while [ $i -lt 2000 ]; do echo \"garbage $i \\033[2J\"; echo error >&2; i=$((i+1)); done; exit 1",
		"is wrong": "echo 'SHA-1 hash: 00'; echo '-----BEGIN CERTIFICATE-----'; exit 0",
		"is dead":  "kill -9 $$",
	} {
		t.Run(name, func(t *testing.T) {
			m := newMac(t, "14")
			h := executed(t, m, 0)
			if err := os.WriteFile(filepath.Join(m.Root, "usr/bin/security"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			before := m.describe()
			s := m.on(h, SystemID)
			_, errs := m.list(s)
			if len(errs) == 0 {
				t.Error("nothing is said of it")
			}
			for _, err := range errs {
				if strings.ContainsAny(err.Error(), "\x1b\n") {
					t.Errorf("not safe to print: %q", err)
				}
			}
			p, err := s.Plan(t.Context(), []store.Change{trusting(storetest.NewCA(t).Cert())})
			if err == nil {
				_, err = s.Apply(t.Context(), p)
			}
			if err == nil {
				t.Error("it went well")
			}
			m.wants("nothing is changed", m.describe(), before)
		})
	}
}
