package anchors

import (
	"context"
	"crypto/elliptic"
	"errors"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/platform/anchors/anchorstest"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// newJavaBox is a box whose Java follows.
func newJavaBox(t testing.TB) *box {
	t.Helper()
	b := newBox(t, true)
	for _, c := range b.vendor {
		if len(b.java(c)) != 1 {
			t.Fatalf("Java does not have %s", c.Label())
		}
	}
	return b
}

func TestJavaFollows(t *testing.T) {
	b := newJavaBox(t)
	before := b.unchanged()
	c := newCA(t, "New").Cert()
	r := b.do(trust(c), distrust(b.vendor[1]))
	if len(b.java(c)) != 1 || len(b.java(b.vendor[1])) != 0 {
		t.Errorf("Java has the new one as %q, the distrusted one as %q", b.java(c), b.java(b.vendor[1]))
	}
	b.clean()
	b.do(r.Undo...)
	before()
}

// An upgrade of ca-certificates leaves lines of what it no longer brings. They
// name no file, and what reads back what Java has stumbled over them.
func TestJavaFollowsDespiteLeftoverLines(t *testing.T) {
	b := newJavaBox(t)
	conf, err := b.host.ReadFile(confFile, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	b.write(confFile, append([]byte("!mozilla/Gone.crt\nmozilla/Gone_too.crt\n"), conf...))
	c := newCA(t, "New").Cert()
	b.do(trust(c))
	if len(b.java(c)) != 1 {
		t.Errorf("Java has it as %q", b.java(c))
	}
}

// The tool tells its hooks of what it removes itself, which a file that is not
// there any more is not: the hook hears of that from us.
func TestJavaHearsOfRemovals(t *testing.T) {
	b := newJavaBox(t)
	c := newCA(t, "New").Cert()
	b.do(trust(c))
	var heard [][]string
	b.updater.Hook = func(lines []string) error {
		heard = append(heard, lines)
		b.write(cacerts, anchorstest.JKS(map[string][]byte{
			"debian:a": b.vendor[0].Raw, "debian:b": b.vendor[1].Raw, "debian:c": b.vendor[2].Raw,
		}))
		return nil
	}
	b.do(absentOf(c))
	link := "-" + certsDir + linkName(b.open().ownPath(c.SHA256), ".crt")
	if len(heard) == 0 || !slices.Equal(heard[0], []string{link}) {
		t.Errorf("the hook was told %q, not %q first", heard, link)
	}
}

// What Java has under another name than the link of today goes, too; what an
// administrator has put in stays, and is told of.
func TestJavaAliases(t *testing.T) {
	b := newJavaBox(t)
	old, mine := newCA(t, "Old").Cert(), newCA(t, "Mine").Cert()
	b.do(trust(old), trust(mine))
	all := map[string][]byte{"debian:before.pem": old.Raw, "my own": mine.Raw}
	for i, c := range b.vendor {
		all["debian:"+string(rune('a'+i))] = c.Raw
	}
	b.write(cacerts, anchorstest.JKS(all))
	b.clean()
	r := b.do(absentOf(old), absentOf(mine))
	if len(b.java(old)) > 0 || len(b.java(mine)) != 1 {
		t.Errorf("Java has the old one as %q, mine as %q", b.java(old), b.java(mine))
	}
	if !strings.Contains(strings.Join(r.Notices, "\n"), `as "my own"`) {
		t.Errorf("the notices are %q", r.Notices)
	}
	b.clean()
}

// A certificate that nothing but Java's key store has is removed from it.
func TestJavaOrphan(t *testing.T) {
	b := newJavaBox(t)
	c := newCA(t, "Orphan").Cert()
	all := map[string][]byte{"debian:orphan.pem": c.Raw}
	for i, v := range b.vendor {
		all["debian:"+string(rune('a'+i))] = v.Raw
	}
	b.write(cacerts, anchorstest.JKS(all))
	b.clean("java-keeps " + cacerts)
	runs := b.updater.Runs
	b.do(absentOf(c))
	if b.updater.Runs != runs {
		t.Error("the tool was run, which has nothing to do with it")
	}
	b.clean()
}

// What only Java lacks is brought to it without touching what others read.
func TestJavaLacks(t *testing.T) {
	b := newJavaBox(t)
	c := newCA(t, "New").Cert()
	b.do(trust(c))
	b.write(cacerts, anchorstest.JKS(map[string][]byte{"debian:a": b.vendor[0].Raw, "debian:b": b.vendor[1].Raw, "debian:c": b.vendor[2].Raw}))
	b.clean("java-lacks " + cacerts)
	runs := b.updater.Runs
	b.updater.During = func() { t.Error("the tool was run") }
	b.host.Fault = func(op, path string) error {
		if op == "remove" || op == "rename" && path != b.host.StateDir(store.ScopeSystem)+"/lock" {
			t.Errorf("%s %s", op, path)
		}
		return nil
	}
	b.do(trust(c))
	if len(b.java(c)) != 1 || b.updater.Runs != runs {
		t.Errorf("Java has it as %q after %d runs", b.java(c), b.updater.Runs-runs)
	}
	b.clean()
}

func TestJavaDoesNotCount(t *testing.T) {
	for name, prepare := range map[string]func(b *box){
		"without the hook":        func(b *box) { b.remove(javaHook) },
		"without a key store":     func(b *box) { b.remove(cacerts) },
		"if it is not to follow":  func(b *box) { b.write("/etc/default/cacerts", []byte("# a comment\ncacerts_updates=no\n")) },
		"if it is not to, quoted": func(b *box) { b.write("/etc/default/cacerts", []byte("cacerts_updates = \"no\"\r\n")) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, true)
			prepare(b)
			b.updater.Hook = func([]string) error { return nil }
			b.clean()
			c := newCA(t, "New").Cert()
			r := b.do(trust(c))
			b.trusted(c, true)
			if len(r.Notices) > 0 {
				t.Errorf("notices %q", r.Notices)
			}
			b.clean()
		})
	}
	b := newBox(t, true)
	b.write(cacerts, anchorstest.JKS(nil))
	b.write("/etc/default/cacerts", []byte("#cacerts_updates=no\ncacerts_updates=yes\n"))
	if got := len(b.problems()); got != 3 {
		t.Errorf("it follows, and %d problems are found", got)
	}
}

// A key store that was broken before keeps nobody from trusting anything.
func TestJavaDamaged(t *testing.T) {
	for name, content := range map[string]string{
		"cut short":         string(anchorstest.JKS(map[string][]byte{"debian:a": make([]byte, 300)})[:100]),
		"something else":    "hello",
		"empty":             "",
		"an unknown format": "\x30\x82\x01\x00BCFKS",
	} {
		t.Run(name, func(t *testing.T) {
			b := newJavaBox(t)
			b.write(cacerts, []byte(content))
			b.clean("java-unreadable " + cacerts)
			c := newCA(t, "New").Cert()
			r := b.do(trust(c))
			b.trusted(c, true)
			if !strings.Contains(strings.Join(r.Notices, "\n"), "cannot be read") {
				t.Errorf("notices %q", r.Notices)
			}
			b.do(absentOf(c))
			b.trusted(c, false)
			if got := b.read(cacerts); got != content {
				t.Errorf("the key store is now %q", got)
			}
		})
	}
	// Not so if it was in order before.
	b := newJavaBox(t)
	unchanged := b.unchanged()
	b.updater.Hook = func([]string) error { b.write(cacerts, nil); return errors.New("exit code 2") }
	b.try(b.open(), store.ErrFailed, trust(newCA(t, "New").Cert()))
	unchanged()
	// The package manager does nothing more, and says that all is well, once the
	// hook has failed.
	b.updater.Hook = func([]string) error {
		b.updater.Hook = func([]string) error { return nil }
		b.write(cacerts, []byte("half"))
		return errors.New("exit code 2")
	}
	b.try(b.open(), store.ErrFailed, trust(newCA(t, "New").Cert()))
	unchanged()
}

// Some certificates Java cannot read. The others trust them all the same.
func TestJavaCannotRead(t *testing.T) {
	for name, opts := range map[string][]storetest.Option{
		"a curve":       {storetest.ECDSA(elliptic.P224())},
		"a malformed":   {storetest.Serial(big.NewInt(-5))},
		"what it takes": {storetest.ECDSA(elliptic.P384())},
		"takes RSA":     {storetest.RSA(1024)},
	} {
		t.Run(name, func(t *testing.T) {
			b := newJavaBox(t)
			hook := b.updater.Hook
			c := newCA(t, "New", opts...).Cert()
			takes := strings.Contains(name, "takes")
			if !takes {
				b.updater.Hook = func([]string) error { return nil } // which drops it
			}
			r := b.do(trust(c))
			b.trusted(c, true)
			if said := strings.Contains(strings.Join(r.Notices, "\n"), "Java cannot read"); said == takes {
				t.Errorf("notices %q", r.Notices)
			}
			b.clean()
			b.updater.Hook = hook
		})
	}
}

// A hook that says that all is well, and has done nothing, is not believed.
func TestJavaDoesNotFollow(t *testing.T) {
	for name, hook := range map[string]func([]string) error{
		"in silence": func([]string) error { return nil },
		"failing":    func([]string) error { return errors.New("exit code 1") },
	} {
		t.Run(name, func(t *testing.T) {
			b := newJavaBox(t)
			there := newCA(t, "There").Cert()
			b.do(trust(there))
			b.updater.Hook = hook
			unchanged := b.unchanged()
			for _, want := range []store.Change{trust(newCA(t, "New").Cert()), absentOf(there), distrust(b.vendor[0])} {
				err := b.try(b.open(), store.ErrFailed, want)
				if !strings.Contains(err.Error(), "put back") || store.Hint(err) == "" {
					t.Errorf("error %v, hint %q", err, store.Hint(err))
				}
				unchanged()
			}
		})
	}
}

// Other hooks are told as well, if run-parts would run them, and their failure
// is one.
func TestHooks(t *testing.T) {
	b := newBox(t, false)
	c := newCA(t, "New").Cert()
	b.do(trust(c))
	dir := "/etc/ca-certificates/update.d/"
	for name, mode := range map[string]os.FileMode{"10-mine": 0o755, "not.this": 0o755, "nor-this": 0o644} {
		b.write(dir+name, []byte("#!/bin/sh\n"))
		b.chmod(dir+name, mode)
	}
	b.must(os.Mkdir(b.path(dir+"directory"), 0o755))
	var ran []string
	tool := b.host.Runner
	fail := false
	b.host.Runner = func(ctx context.Context, cmd host.Command) (host.Output, error) {
		if !strings.HasPrefix(cmd.Args[0], dir) {
			return tool(ctx, cmd)
		}
		ran = append(ran, cmd.Args[0])
		if fail {
			return host.Output{}, &host.ExecError{Args: cmd.Args, ExitCode: 3, Stderr: []byte("no space left\n")}
		}
		return host.Output{}, nil
	}
	fail = true
	unchanged := b.unchanged()
	err := b.try(b.open(), store.ErrFailed, absentOf(c))
	if !strings.Contains(err.Error(), "10-mine") || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("error %v", err)
	}
	unchanged()
	fail = false
	b.do(absentOf(c))
	if want := []string{dir + "10-mine", dir + "10-mine"}; !slices.Equal(ran, want) {
		t.Errorf("ran %q, not %q", ran, want)
	}
}

// A package manager that was killed in the middle leaves a hook that does
// nothing: that is finished first.
func TestJavaInterrupted(t *testing.T) {
	for _, c := range []struct {
		status string
		works  bool
		ran    int
	}{
		{"install ok half-configured", true, 1},
		{"install ok half-configured", false, 1},
		{"install ok installed", true, 0},
		{"", true, 0},
	} {
		b := newJavaBox(t)
		if c.status != "" {
			b.edit("/var/lib/dpkg/status", "Package: zsh", "Package: ca-certificates-java\nStatus: "+c.status+"\nVersion: 1\n\nPackage: zsh")
		}
		unchanged := b.unchanged()
		var put []string // off until later
		b.updater.Hook = func(lines []string) error { put = append(put, lines...); return nil }
		tool := b.host.Runner
		ran := 0
		b.host.Runner = func(ctx context.Context, cmd host.Command) (host.Output, error) {
			if cmd.Args[0] != "/usr/bin/dpkg" {
				return tool(ctx, cmd)
			}
			ran++
			if !c.works {
				return host.Output{}, &host.ExecError{Args: cmd.Args, ExitCode: 1}
			}
			b.updater.Hook = nil
			return tool(ctx, host.Command{Args: []string{javaHook}, Stdin: strings.NewReader(strings.Join(put, "\n") + "\n")})
		}
		ca := newCA(t, "New").Cert()
		s := b.open()
		_, err := s.Apply(t.Context(), b.plan(s, trust(ca)))
		if done := c.ran > 0 && c.works; done != (err == nil) || done != (len(b.java(ca)) == 1) {
			t.Errorf("%q, works %t: error %v, Java has it as %q", c.status, c.works, err, b.java(ca))
		} else if !done {
			unchanged()
		}
		if (ran > 0) != (c.ran > 0) {
			t.Errorf("%q: the package manager was run %d times", c.status, ran)
		}
	}
}
