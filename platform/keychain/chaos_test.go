package keychain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/keychain/securitytest"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// lies are the ways in which one run of a tool can go wrong.
var lies = map[string]func(m *mac, c host.Command, run func() (host.Output, error)) (host.Output, error){
	"fails, and has done nothing": func(_ *mac, c host.Command, _ func() (host.Output, error)) (host.Output, error) {
		return host.Output{}, &host.ExecError{Args: c.Args, ExitCode: 1, Stderr: []byte("errSecInternalComponent\n")}
	},
	"fails, and has done it": func(_ *mac, c host.Command, run func() (host.Output, error)) (host.Output, error) {
		out, _ := run()
		return out, &host.ExecError{Args: c.Args, ExitCode: -1, Err: errors.New("signal: killed")}
	},
	"says that all is well, and has done nothing": func(*mac, host.Command, func() (host.Output, error)) (host.Output, error) {
		return host.Output{}, nil
	},
	"prints nonsense": func(m *mac, c host.Command, _ func() (host.Output, error)) (host.Output, error) {
		if last := c.Args[len(c.Args)-1]; c.Args[1] == "trust-settings-export" {
			if err := os.WriteFile(filepath.Join(m.Root, filepath.FromSlash(last)), []byte("<plist><dict><key>trustVersion</key>"), 0o600); err != nil {
				m.t.Error(err)
			}
		}
		return host.Output{Stdout: []byte("\x1b[2Jnonsense\x00\n-----BEGIN CERTIFICATE-----\n"), Stderr: []byte("nonsense\n")}, nil
	},
}

// Whatever goes wrong with any one run of the tool, all is done, or nothing is,
// or it is said that something could not be taken back.
func TestAnyRunGoesWrong(t *testing.T) {
	commands := []string{"add-certificates", "delete-certificate", "find-certificate", "trust-settings-export", "trust-settings-import", "list-keychains"}
	for _, command := range commands {
		for name, lie := range lies {
			t.Run(command+" "+name, func(t *testing.T) {
				m := newMac(t, "15")
				old, stays, fresh := storetest.NewCA(t).Cert(), storetest.NewCA(t).Cert(), storetest.NewCA(t).Cert()
				m.do(m.login(), trusting(old), trusting(stays))
				want := []store.Change{trusting(fresh), without(old)}
				step := 1
				if !*exhaustive && (command == "find-certificate" || command == "trust-settings-export") {
					step = 3 // they are run for everything
				}
				for n := 1; ; n += step {
					if n > 200 {
						t.Fatal("there is no end of it")
					}
					calls := 0
					h := m.Host(securitytest.UserID)
					run := h.Runner
					h.Runner = func(ctx context.Context, c host.Command) (host.Output, error) {
						if len(c.Args) > 1 && c.Args[1] == command {
							if calls++; calls == n {
								return lie(m, c, func() (host.Output, error) { return run(ctx, c) })
							}
						}
						return run(ctx, c)
					}
					before := m.describe()
					s := m.on(h, LoginID)
					p, err := s.Plan(t.Context(), want)
					if err == nil {
						_, err = s.Apply(t.Context(), p)
					}
					after := m.describe()
					done := m.plan(m.login(), want...).Empty()
					switch {
					case err == nil && !done && !p.Empty():
						t.Fatalf("run %d: it went well, and is not done", n)
					case err != nil && !errors.Is(err, store.ErrPartial) && after != before:
						t.Fatalf("run %d: after %v there is\n%s\nand not\n%s", n, err, after, before)
					case m.record(userKey, stays) != "ssl: trustRoot; basic: trustRoot":
						t.Fatalf("run %d: what is none of its business has become %s", n, m.record(userKey, stays))
					}
					if calls < n {
						if err != nil {
							t.Fatalf("nothing went wrong, and there is %v", err)
						}
						return
					}
					if after != before { // it was done, or half of it
						m.do(m.login(), []store.Change{trusting(old), without(fresh)}...)
						if left := m.plan(m.login(), trusting(old), without(fresh), trusting(stays)); !left.Empty() {
							t.Fatal(fmt.Sprint("it cannot be put right: ", left.Steps))
						}
					}
				}
			})
		}
	}
}
