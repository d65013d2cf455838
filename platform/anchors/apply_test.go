package anchors

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// failAfter runs the tool, and says that it has failed.
func failAfter(run func(context.Context, host.Command) (host.Output, error)) func(context.Context, host.Command) (host.Output, error) {
	return func(ctx context.Context, c host.Command) (host.Output, error) {
		out, err := run(ctx, c)
		return out, errors.Join(err, &host.ExecError{Args: c.Args, ExitCode: 1, Stderr: []byte("at the very end\n")})
	}
}

// The tool's word is not taken for anything.
func TestTool(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(b *box)
		says string
		runs int
	}{
		{"it lies", func(b *box) { b.updater.Lie = true }, "lacks 1 of 4", attempts},
		{"it fails at once", func(b *box) { b.updater.Exit = 3 }, "exit code 3", attempts},
		{"it fails in the end", func(b *box) { b.host.Runner = failAfter(b.host.Runner) }, "at the very end", attempts},
		{"another run spoils it", func(b *box) {
			b.updater.During = func() { // what it has written so far is lost
				b.must(os.Truncate(b.path(bundle+".new"), 0))
			}
		}, "lacks 3 of 4", attempts},
		{"another run doubles it", func(b *box) {
			b.updater.During = func() {
				f, err := os.OpenFile(b.path(bundle+".new"), os.O_APPEND|os.O_WRONLY, 0)
				b.must(err)
				_, err = f.Write(newCA(b, "From nowhere").PEM())
				b.must(errors.Join(err, f.Close()))
			}
		}, "holds 1 that come from no anchor", attempts},
		{"another run writes all of it, too", func(b *box) {
			b.updater.During = func() {
				whole := b.read(bundle)
				b.write(bundle+".new", []byte(b.read(bundle+".new")+whole))
			}
		}, "holds certificates twice", attempts},
		{"the bundle is for root alone", func(b *box) {
			run := b.host.Runner
			b.host.Runner = func(ctx context.Context, c host.Command) (host.Output, error) {
				out, err := run(ctx, c)
				b.chmod(bundle, 0o600)
				return out, err
			}
		}, "cannot be read by everybody", attempts},
		{"a hook fails", func(b *box) {
			run := b.host.Runner
			b.host.Runner = func(ctx context.Context, c host.Command) (host.Output, error) {
				out, err := run(ctx, c)
				out.Stdout = append(out.Stdout, "Running hooks\nE: /etc/ca-certificates/update.d/mine exited with code 7.\ndone.\n"...)
				return out, err
			}
		}, "/etc/ca-certificates/update.d/mine: the update hook failed: exit code 7", 1},
		{"it is killed for its time", func(b *box) {
			b.host.Runner = func(_ context.Context, c host.Command) (host.Output, error) {
				b.updater.Runs++
				b.write(bundle+".new", []byte("half"))
				return host.Output{}, &host.ExecError{Args: c.Args, ExitCode: -1, Err: context.DeadlineExceeded}
			}
		}, "deadline exceeded", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t, false)
			unchanged := b.unchanged()
			c.set(b)
			runs := b.updater.Runs
			s := b.open()
			_, err := s.Apply(t.Context(), b.plan(s, trust(newCA(t, "New").Cert())))
			if err == nil || errors.Is(err, store.ErrPartial) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "everything was put back") {
				t.Errorf("error %v", err)
			}
			if got := b.updater.Runs - runs; got != c.runs {
				t.Errorf("it was run %d times, not %d", got, c.runs)
			}
			unchanged()
		})
	}
}

// What another run spoils is made good, whatever it is.
func TestSpoiltOnce(t *testing.T) {
	for name, spoil := range map[string]func(b *box){
		"the bundle": func(b *box) {
			b.updater.During = func() {
				b.updater.During = nil
				b.must(os.Truncate(b.path(bundle+".new"), 0))
			}
		},
		"the tool fails": func(b *box) { // the other run has moved its bundle away
			run := b.host.Runner
			b.host.Runner = func(ctx context.Context, c host.Command) (host.Output, error) {
				b.host.Runner = run
				return host.Output{}, &host.ExecError{Args: c.Args, ExitCode: 1}
			}
		},
		"Java's hook fails": func(b *box) { // the package manager's lock is taken
			b.updater.Hook = func([]string) error {
				b.updater.Hook = nil
				return errors.New("exit code 2")
			}
		},
		"what Java's hook was told": func(b *box) { // the other run has deleted it
			b.updater.Hook = func([]string) error {
				b.updater.Hook = nil
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newJavaBox(t)
			old, c := newCA(t, "Old").Cert(), newCA(t, "New").Cert()
			b.do(trust(old))
			for _, want := range []store.Change{trust(c), absentOf(old), distrust(b.vendor[1])} {
				spoil(b)
				b.do(want)
			}
			b.trusted(c, true)
			b.trusted(old, false)
			b.trusted(b.vendor[1], false)
			if len(b.java(c)) != 1 || len(b.java(old)) > 0 || len(b.java(b.vendor[1])) > 0 {
				t.Errorf("Java has the new one as %q, the old one as %q, the distrusted one as %q", b.java(c), b.java(old), b.java(b.vendor[1]))
			}
			b.clean()
		})
	}
}

// A bundle that was spoilt before is no measure of what it should hold.
func TestSpoiltBefore(t *testing.T) {
	b := newJavaBox(t)
	c := newCA(t, "New").Cert()
	alpha := b.read(vendorDir + "Alpha.crt")
	b.write(bundle, []byte(alpha))
	unchanged := b.unchanged()
	b.updater.During = func() { b.write(bundle+".new", []byte(alpha)) }
	b.try(b.open(), store.ErrFailed, trust(c))
	unchanged()
	b.updater.During = nil
	b.do(trust(c))
	for _, c := range append(b.vendor, c) {
		b.trusted(c, true)
	}
	b.clean()
}

// A repair of a bundle that is cut short takes nothing from Java, and nothing
// from those who look in the directory.
func TestRepairShortBundle(t *testing.T) {
	b := newJavaBox(t)
	whole := b.read(bundle)
	b.write(bundle, []byte(b.read(vendorDir+"Alpha.crt")))
	b.clean("anchor-not-in-bundle "+vendorDir+"Beta (2).crt", "anchor-not-in-bundle "+vendorDir+"Gamma.crt")
	b.updater.During = func() {
		for _, c := range b.vendor {
			if !b.lookup(c) {
				t.Errorf("%s cannot be looked up meanwhile", c.Label())
			}
		}
	}
	b.repair()
	if b.read(bundle) != whole {
		t.Error("the bundle is not what it was")
	}
	for _, c := range b.vendor {
		if len(b.java(c)) != 1 {
			t.Errorf("Java does not have %s", c.Label())
		}
	}
	b.clean()
}

// A run of the tool that has begun before a change is taken back may bring it
// in once more: it is waited for.
func TestTakenBackBesideUpdater(t *testing.T) {
	b := newJavaBox(t)
	ca := newCA(t, "New")
	unchanged := b.unchanged()
	b.updater.Lie = true
	s := b.open()
	anchor := s.ownPath(ca.Cert().SHA256)
	waited := 0
	s.updaters = func() []host.Process {
		_, err := os.Stat(b.path(anchor))
		if b.updater.Runs < 1+attempts || err == nil || waited > 1 {
			return nil
		}
		if waited++; waited == 2 { // it has read the anchor, and comes to its end
			b.write(bundle, []byte(b.read(bundle)+string(ca.PEM())))
		}
		return []host.Process{{PID: 4711}}
	}
	b.try(s, store.ErrFailed, trust(ca.Cert()))
	if waited != 2 {
		t.Errorf("it looked %d times for who is at work", waited)
	}
	unchanged()

	// One that does not come to its end is told.
	waited, s.Wait = 0, 0
	s.updaters = func() []host.Process {
		if _, err := os.Stat(b.path(anchor)); b.updater.Runs < 1+2*attempts || err == nil {
			return nil
		}
		return []host.Process{{PID: 4711}}
	}
	if err := b.try(s, store.ErrPartial, trust(ca.Cert())); !strings.Contains(err.Error(), "4711") {
		t.Errorf("error %v", err)
	}
	unchanged()
}

// What others change and build in while a change fails stays when that is
// taken back.
func TestTakenBackWithoutOthersWork(t *testing.T) {
	b := newJavaBox(t)
	mine, old, theirs, gone := newCA(t, "Mine").Cert(), newCA(t, "Old").Cert(), newCA(t, "Theirs"), newCA(t, "Gone")
	b.do(trust(old))
	b.write(adminDir+"gone.crt", gone.PEM())
	b.update()
	run, failed := b.host.Runner, 0
	b.host.Runner = func(ctx context.Context, c host.Command) (host.Output, error) {
		if c.Args[0] == "/usr/sbin/update-ca-certificates" && failed < attempts {
			if failed++; failed == 1 {
				b.write(adminDir+"theirs.crt", theirs.PEM())
				b.remove(adminDir + "gone.crt")
				b.remove(certsDir + "gone.pem")
				b.update()
				_, err := run(ctx, host.Command{Args: []string{javaHook}, Stdin: strings.NewReader("-" + certsDir + "gone.pem\n")})
				b.must(err)
			}
			return host.Output{}, &host.ExecError{Args: c.Args, ExitCode: 1}
		}
		return run(ctx, c)
	}
	s := b.open()
	if err := b.try(s, store.ErrFailed, trust(mine), absentOf(old)); !strings.Contains(err.Error(), "put back") {
		t.Errorf("error %v", err)
	}
	for c, want := range map[*store.Cert]bool{mine: false, old: true, theirs.Cert(): true, gone.Cert(): false} {
		b.trusted(c, want)
		if got := len(b.java(c)) == 1; got != want {
			t.Errorf("Java has %s: %t", c.Label(), got)
		}
	}
	b.clean()
}

// What cannot be put back is told.
func TestPartial(t *testing.T) {
	b := newBox(t, false)
	b.updater.Exit = 1
	b.host.Fault = func(op, path string) error {
		if op == "remove" && strings.HasPrefix(path, adminDir) {
			return errors.New("the disk is broken")
		}
		return nil
	}
	c := newCA(t, "New").Cert()
	err := b.try(b.open(), store.ErrPartial, trust(c))
	if !strings.Contains(err.Error(), "exit code 1") || !strings.Contains(err.Error(), "the disk is broken") || !strings.Contains(err.Error(), b.open().ownPath(c.SHA256)) || store.Hint(err) == "" {
		t.Errorf("error %v, hint %q", err, store.Hint(err))
	}
	// And that is what a repair mends.
	b.host.Fault, b.updater.Exit = nil, 0
	b.repair()
	b.clean()
}

// On a full disk what the hook has half written makes room for what was there.
func TestNoRoomForJava(t *testing.T) {
	b := newJavaBox(t)
	unchanged := b.unchanged()
	b.updater.Hook = func([]string) error {
		b.write(cacerts, []byte("half"))
		return errors.New("no space left on device")
	}
	b.host.Fault = func(op, path string) error {
		if _, err := os.Stat(b.path(cacerts)); op == "write" && path == cacerts && err == nil {
			return errors.New("no space left on device")
		}
		return nil
	}
	b.try(b.open(), store.ErrFailed, trust(newCA(t, "New").Cert()))
	unchanged()
}

// A package manager at work keeps Java's key store from following.
func TestPackageManagerAtWork(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("who holds a lock is only told on Linux")
	}
	b := newJavaBox(t)
	b.write(dpkgLock, nil)
	b.chmod(dpkgLock, 0o640)
	cmd := exec.Command(os.Args[0], "hold-lock", b.path(dpkgLock))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	b.must(err)
	out, err := cmd.StdoutPipe()
	b.must(err)
	b.must(cmd.Start())
	release := sync.OnceFunc(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	defer release()
	if !bufio.NewScanner(out).Scan() {
		t.Fatal("the lock could not be had")
	}
	unchanged := b.unchanged()
	c := newCA(t, "New").Cert()
	s := b.open()
	s.Wait = 0
	err = b.try(s, store.ErrLocked, trust(c))
	if !strings.Contains(err.Error(), fmt.Sprintf("process %d", cmd.Process.Pid)) || store.Hint(err) == "" {
		t.Errorf("error %v, hint %q", err, store.Hint(err))
	}
	unchanged()
	// Without a key store that follows it is nobody's business.
	b.write("/etc/default/cacerts", []byte("cacerts_updates=no\n"))
	b.do(trust(c))
	b.do(absentOf(c))
	b.remove("/etc/default/cacerts")
	// It waits until the package manager has finished.
	s = b.open()
	s.Wait = time.Hour
	busy := 0
	s.updaters = func() []host.Process {
		if busy++; busy == 2 {
			release()
		}
		return nil
	}
	if _, err := s.Apply(t.Context(), b.plan(s, trust(c))); err != nil || busy < 3 {
		t.Errorf("error %v, asked %d times", err, busy)
	}
	b.trusted(c, true)
}

// One who holds the lock only while the hook runs is known by the hook's failure.
func TestPackageManagerCutsIn(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("who holds a lock is only told on Linux")
	}
	b := newJavaBox(t)
	b.write(dpkgLock, nil)
	var release func()
	defer func() { release() }()
	b.updater.Hook = func([]string) error {
		cmd := exec.Command(os.Args[0], "hold-lock", b.path(dpkgLock))
		in, err := cmd.StdinPipe()
		b.must(err)
		out, err := cmd.StdoutPipe()
		b.must(err)
		b.must(cmd.Start())
		release = func() { in.Close(); cmd.Wait() }
		if !bufio.NewScanner(out).Scan() {
			t.Fatal("the lock could not be had")
		}
		return errors.New("exit code 2")
	}
	unchanged := b.unchanged()
	b.try(b.open(), store.ErrLocked, trust(newCA(t, "New").Cert()))
	unchanged()
}

// A live run of the tool is waited for, as long as Wait says and no longer.
func TestUpdaterAtWork(t *testing.T) {
	live := []host.Process{{PID: 4711, Args: []string{"/bin/sh", "/usr/sbin/update-ca-certificates"}}}
	b := newBox(t, false)
	c := newCA(t, "New").Cert()
	unchanged := b.unchanged()
	synctest.Test(t, func(t *testing.T) {
		s := b.open()
		s.Wait = 10 * time.Second
		s.updaters = func() []host.Process { return live }
		begun := time.Now()
		_, err := s.Apply(t.Context(), b.plan(s, trust(c)))
		if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), "4711") || store.Hint(err) == "" {
			t.Errorf("error %v", err)
		}
		if waited := time.Since(begun); waited < s.Wait || waited > s.Wait+time.Second {
			t.Errorf("it waited for %v, not for %v", waited, s.Wait)
		}
	})
	unchanged()
	synctest.Test(t, func(t *testing.T) { // who has had enough says so
		s := b.open()
		s.Wait = time.Hour
		s.updaters = func() []host.Process { return live }
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := s.Apply(ctx, b.plan(s, trust(c))); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
	unchanged()
	synctest.Test(t, func(t *testing.T) { // it ends, and another one begins after our own run
		s := b.open()
		s.Wait = time.Hour
		begun, runs, after := time.Now(), b.updater.Runs, 0
		s.updaters = func() []host.Process {
			if b.updater.Runs > runs {
				after++
			}
			if time.Since(begun) < time.Minute || after > 0 && after < 10 {
				return live
			}
			return nil
		}
		if _, err := s.Apply(t.Context(), b.plan(s, trust(c))); err != nil || after < 10 {
			t.Errorf("error %v, asked %d times after its own run", err, after)
		}
	})
	b.trusted(c, true)
}

// Beside runs of the tool that never end to spoil it, it gives up, and says
// whose doing that is; beside some it comes to its end.
func TestSpoiltAgainAndAgain(t *testing.T) {
	for _, others := range []int{besideOthers, besideOthers - 1} {
		b := newBox(t, false)
		c := newCA(t, "New").Cert()
		runs, spoilt, here := b.updater.Runs, 0, false
		b.updater.During = func() {
			if here = spoilt < others; here {
				spoilt++
				b.must(os.Truncate(b.path(bundle+".new"), 0))
			}
		}
		s := b.open()
		s.updaters = func() (live []host.Process) {
			if here {
				here, live = false, []host.Process{{PID: 4711}}
			}
			return live
		}
		if others < besideOthers {
			if _, err := s.Apply(t.Context(), b.plan(s, trust(c))); err != nil {
				t.Error(err)
			}
			b.trusted(c, true)
			continue
		}
		unchanged := b.unchanged()
		err := b.try(s, store.ErrLocked, trust(c))
		if got := b.updater.Runs - runs; got != others || !strings.Contains(err.Error(), "4711") || !strings.Contains(err.Error(), "lacks 3 of 4") || store.Hint(err) == "" {
			t.Errorf("after %d runs: %v, hint %q", got, err, store.Hint(err))
		}
		unchanged()
	}
}

// Only the tool itself is taken for it.
func TestLiveUpdaters(t *testing.T) {
	b := newBox(t, false)
	if got := b.open().liveUpdaters(); len(got) > 0 { // another root has other processes
		t.Errorf("found %v", got)
	}
}

// Two of us exclude each other.
func TestLock(t *testing.T) {
	b := newBox(t, false)
	c := newCA(t, "New").Cert()
	unlock, err := b.host.Lock(t.Context(), b.host.StateDir(store.ScopeSystem)+"/lock", 0, "another certtrust")
	b.must(err)
	unchanged := b.unchanged()
	s := b.open()
	s.Wait = 0
	if err := b.try(s, store.ErrLocked, trust(c)); !strings.Contains(err.Error(), "another certtrust") {
		t.Errorf("error %v", err)
	}
	unchanged()
	unlock()
	b.do(trust(c))
}

// Many at once, each with a store of its own, lose nobody's work.
func TestParallel(t *testing.T) {
	b := newJavaBox(t)
	certs := storetest.Many(t, 8)
	var wait sync.WaitGroup
	for _, c := range certs {
		s := b.open()
		s.Wait = time.Minute
		wait.Go(func() {
			for {
				p, err := s.Plan(t.Context(), []store.Change{trust(c)})
				if err == nil {
					_, err = s.Apply(t.Context(), p)
				}
				if !errors.Is(err, store.ErrStale) {
					if err != nil {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	wait.Wait()
	for _, c := range append(certs, b.vendor...) {
		b.trusted(c, true)
		if len(b.java(c)) != 1 {
			t.Errorf("Java does not have %s", c.Label())
		}
	}
	b.clean()
}

// killed is what a process does no more.
type killed struct{}

// killAt does work, and dies just before its n-th step. It reports whether it
// came to that.
func (b *box) killAt(n int, work func()) (died bool) {
	step := func() {
		if n--; n == 0 {
			panic(killed{})
		}
	}
	b.host.Fault = func(string, string) error { step(); return nil }
	b.updater.During = step
	defer func() {
		b.host.Fault, b.updater.During = nil, nil
		if r := recover(); r != nil {
			if _, died = r.(killed); !died {
				panic(r)
			}
		}
	}()
	work()
	return false
}

// Killed at any step, it leaves what a repair puts in order, with all that is
// not part of the change trusted all the time.
func TestKilled(t *testing.T) {
	twin := func(t testing.TB, n int) *store.Cert { return siblings(t, n+1)[n] }
	for name, c := range map[string]struct{ before, want func(b *box) []store.Change }{
		"trust": {
			func(b *box) []store.Change { return []store.Change{trust(twin(b, 1))} },
			func(b *box) []store.Change { return []store.Change{trust(twin(b, 0))} },
		},
		"remove": {
			func(b *box) []store.Change { return []store.Change{trust(twin(b, 0)), trust(twin(b, 1))} },
			func(b *box) []store.Change { return []store.Change{absentOf(twin(b, 0))} },
		},
		"distrust": {
			func(b *box) []store.Change { return []store.Change{trust(twin(b, 1))} },
			func(b *box) []store.Change { return []store.Change{distrust(b.vendor[1])} },
		},
	} {
		for i := range 4 {
			java, engine := i%2 == 1, []string{host.EngineDistro, host.EngineNative}[i/2]
			t.Run(fmt.Sprint(name, " with Java ", java, " by ", engine), func(t *testing.T) {
				t.Parallel()
				for n := 1; ; n++ {
					b := newBox(t, false)
					if java {
						b = newJavaBox(t)
					}
					b.host.Engine = engine
					b.do(c.before(b)...)
					s := b.open()
					want := c.want(b)
					plan := b.plan(s, want...)
					if !b.killAt(n, func() {
						if _, err := s.Apply(t.Context(), plan); err != nil {
							t.Error(err)
						}
					}) {
						if n < 5 {
							t.Errorf("there are only %d steps", n)
						}
						return
					}
					for _, c := range []*store.Cert{b.vendor[0], b.vendor[2], twin(t, 1)} {
						b.trusted(c, true)
					}
					b.repair()
					if p := mendable(b.problems()); len(p) > 0 {
						t.Fatalf("after death at step %d and a repair there is still %+v", n, p)
					}
					// And now it can be done after all, or is done already.
					b.do(want...)
					b.clean()
					if left := b.left(); len(left) > 0 {
						t.Errorf("after death at step %d, this is left: %q", n, left)
					}
				}
			})
		}
	}
}

func mendable(list []store.Problem) []store.Problem {
	return slices.DeleteFunc(list, func(p store.Problem) bool { return !p.Mendable })
}

// left returns the temporary files that are there.
func (b *box) left() (all []string) {
	for line := range strings.Lines(b.tree()) {
		if strings.Contains(line, host.TempPrefix) || strings.Contains(line, ".new ") && !strings.Contains(line, asideName) {
			all = append(all, line)
		}
	}
	return all
}

// Killed in the middle of a repair, the next one does it.
func TestKilledRepairing(t *testing.T) {
	for n := 1; ; n++ {
		b := newJavaBox(t)
		gone, there := newCA(t, "Gone"), newCA(t, "There")
		b.write(adminDir+"gone.crt", gone.PEM())
		b.update()
		b.remove(adminDir + "gone.crt")
		b.write(adminDir+"there.crt", there.PEM())
		b.write(bundle+".new", []byte("half"))
		b.link("/nowhere", certsDir+"nowhere.pem")
		died := b.killAt(n, func() { b.repair() })
		b.repair()
		if p := mendable(b.problems()); len(p) > 0 {
			t.Fatalf("after death at step %d and a repair there is still %+v", n, p)
		}
		b.trusted(gone.Cert(), false)
		b.trusted(there.Cert(), true)
		if !died {
			return
		}
	}
}
