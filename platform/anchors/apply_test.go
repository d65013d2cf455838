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
		{"it fails at once", func(b *box) { b.updater.Exit = 3 }, "exit code 3", 1},
		{"it fails in the end", func(b *box) { b.host.Runner = failAfter(b.host.Runner) }, "at the very end", 1},
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
	// Spoilt once is made good.
	b := newBox(t, false)
	b.updater.During = func() {
		b.updater.During = nil
		b.must(os.Truncate(b.path(bundle+".new"), 0))
	}
	c := newCA(t, "New").Cert()
	b.do(trust(c))
	b.trusted(c, true)
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
		begun := time.Now()
		asked := 0
		s.updaters = func() []host.Process {
			asked++
			if time.Since(begun) < time.Minute || asked > 610 && asked < 620 {
				return live
			}
			return nil
		}
		if _, err := s.Apply(t.Context(), b.plan(s, trust(c))); err != nil {
			t.Errorf("error %v", err)
		}
	})
	b.trusted(c, true)
}

// Two runs of Java's hook at once make one of them fail, and the next one does
// its work.
func TestHookFailsOnce(t *testing.T) {
	b := newJavaBox(t)
	c := newCA(t, "New").Cert()
	b.updater.Hook = func(lines []string) error {
		b.updater.Hook = nil // the next time it is Java's own again
		b.write(pending, []byte(strings.Join(lines, "\n")+"\n"))
		return errors.New("dpkg is locked")
	}
	runs := b.updater.Runs
	b.do(trust(c))
	if got := b.updater.Runs - runs; got != 2 {
		t.Errorf("the tool was run %d times, not twice", got)
	}
	b.trusted(c, true)
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
		for _, java := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " with Java ", java), func(t *testing.T) {
				t.Parallel()
				for n := 1; ; n++ {
					b := newBox(t, false)
					if java {
						b = newJavaBox(t)
					}
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
		if strings.Contains(line, host.TempPrefix) || strings.Contains(line, ".new ") {
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
