//go:build linux

package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestWithoutRights(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		settle(t)
		a := newAuthority(t, "No Rights")
		start := trust()
		r := expect(t, 5, asUser(certtrust("trust", a.file, "--json"), nobody, "/nonexistent"))
		d := parse(t, r)
		if d.Error.Code != "permission" {
			t.Errorf("error code %q", d.Error.Code)
		}
		for _, part := range []string{"sudo ", "certtrust trust ", a.file} {
			if !strings.Contains(d.Error.Hint, part) {
				t.Errorf("the hint is no command that does it, %q is missing: %q", part, d.Error.Hint)
			}
		}
		same(t, start)

		// Reading, and having nothing to do, need no rights.
		expect(t, 0, asUser(certtrust("list", "--system"), nobody, "/nonexistent"))
		expect(t, 0, certtrust("trust", "--yes", a.file))
		expect(t, 0, asUser(certtrust("trust", "--yes", a.file), nobody, "/nonexistent"))
	})
}

// person is an ordinary user of the machine who may use sudo.
const person, personID = "e2e-person", 61234

// newPerson makes that user.
func newPerson(t *testing.T) {
	t.Helper()
	need(t, "sudo")
	home := "/home/" + person
	if err := os.MkdirAll(home, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(home, personID, personID); err != nil {
		t.Fatal(err)
	}
	for path, line := range map[string]string{
		"/etc/passwd":         person + ":x:61234:61234::" + home + ":/bin/sh\n",
		"/etc/group":          person + ":x:61234:\n",
		"/etc/shadow":         person + ":*:20000:0:99999:7:::\n",
		"/etc/sudoers.d/e2e1": person + " ALL=(ALL) NOPASSWD: ALL\n",
	} {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o440)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(line); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
}

// asPerson makes a command run as that user.
func asPerson(cmd *exec.Cmd) *exec.Cmd { return asUser(cmd, personID, "/home/"+person) }

func TestElevate(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		settle(t)
		newPerson(t)
		start := trust()
		a := newAuthority(t, "Elevated")
		port := serve(t, a)
		expect(t, 5, asPerson(certtrust("trust", "--yes", a.file)))
		same(t, start)
		expect(t, 0, asPerson(certtrust("trust", "--yes", "--elevate", a.file)))
		present(t, a)
		accepted(t, port)
		expect(t, 0, asPerson(certtrust("remove", "--yes", "--elevate", a.fingerprint)))
		absent(t, a)
		same(t, start)
	})
}

func TestHistoryNamesThePersonBehindSudo(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		settle(t)
		newPerson(t)
		a := newAuthority(t, "By Sudo")
		must(t, asPerson(command("sudo", "-n", "certtrust", "trust", "--yes", a.file)))
		present(t, a)
		r := expect(t, 0, certtrust("history", "--json"))
		if !strings.Contains(r.stdout, person) || !strings.Contains(r.stdout, a.fingerprint) {
			t.Errorf("the history does not tell who did what: %v", r)
		}
	})
}
