//go:build linux

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Processes that trust at the same time must not lose each other's work.
func TestManyAtOnce(t *testing.T) {
	for _, n := range []int{2, 4} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			Overlay(t, func(t *testing.T) {
				settle(t)
				roots := len(readBundle(t))
				var all []*authority
				var running sync.WaitGroup
				for i := range n {
					a := newAuthority(t, fmt.Sprintf("Parallel %d", i))
					all = append(all, a)
				}
				for _, a := range all {
					running.Go(func() {
						if r := output(t, certtrust("trust", "--yes", a.file)); r.code != 0 {
							t.Error(r)
						}
					})
				}
				running.Wait()
				for _, a := range all {
					present(t, a)
				}
				if got := len(readBundle(t)); got != roots+n {
					t.Errorf("%d certificates in the bundle, not %d + %d", got, roots, n)
				}
			})
		})
	}
}

// Overlapping runs of the distribution's tool spoil the bundle, and both
// report success. Certtrust may say that it is busy or has failed then, but not
// claim what is not so, and in the end everything must be there. How often it
// is refused depends on how fast the machine is, and nothing here depends on
// that: it tries again, and the other runs come to an end.
func TestAgainstUpdater(t *testing.T) {
	const rounds, runs = 3, 12
	Overlay(t, func(t *testing.T) {
		settle(t)
		roots := len(readBundle(t))
		var others sync.WaitGroup
		var left atomic.Int32
		left.Store(runs)
		begin := time.Now()
		must(t, command("update-ca-certificates"))
		full := time.Since(begin)
		others.Go(func() {
			for left.Add(-1) >= 0 {
				command("update-ca-certificates").Run()
				// Each of the steps of certtrust meets another run now and then.
				time.Sleep(time.Duration(left.Load()%4) * full)
			}
		})
		// try runs certtrust until it does what it is told.
		try := func(args ...string) {
			for {
				alone := left.Load() < 0
				r := output(t, certtrust(args...))
				if r.code == 0 {
					return
				}
				if r.code != 1 && r.code != 7 || alone {
					t.Fatal(r)
				}
				t.Logf("not claimed: %v", r)
			}
		}
		var all []*authority
		for i := range rounds {
			a := newAuthority(t, fmt.Sprintf("Contended %d", i))
			all = append(all, a)
			try("trust", "--yes", a.file)
		}
		gone, all := all[0], all[1:]
		try("remove", "--yes", gone.fingerprint)
		left.Store(0)
		others.Wait()
		expect(t, 0, certtrust("repair", "--yes"))
		absent(t, gone)
		for _, a := range all {
			present(t, a)
		}
		if got := len(readBundle(t)); got != roots+len(all) {
			t.Errorf("%d certificates in the bundle, not %d + %d", got, roots, len(all))
		}
	})
}

// killings is at how many points certtrust is killed; on a slow machine at
// fewer, no less than fewKillings, once that has taken so long.
const killings, fewKillings, killingTime = 30, 10, 3 * time.Minute

// Killed at any point, certtrust leaves a whole bundle, and what comes next
// puts everything right.
func TestKilled(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		settle(t)
		// What a machine has brought along, such as a key store of Java that an
		// upgrade has left behind, is mended by the first repair, and is not what
		// this is about.
		expect(t, 0, certtrust("repair", "--yes"))
		start := trust()
		roots := len(readBundle(t))
		a := newAuthority(t, "Killed")
		begin := time.Now()
		expect(t, 0, certtrust("trust", "--yes", a.file))
		full := time.Since(begin)
		expect(t, 0, certtrust("remove", "--yes", a.fingerprint))

		seed := uint64(begin.UnixNano())
		t.Logf("seed %d, a full run takes %v", seed, full)
		random := rand.New(rand.NewPCG(seed, 0))
		hits := 0
		for i := range killings {
			if i >= fewKillings && i%2 == 0 && time.Since(begin) > killingTime {
				t.Logf("only %d killings, for this machine is slow", i)
				break
			}
			args, check := []string{"trust", "--yes", a.file}, present
			if i%2 == 1 {
				args, check = []string{"remove", "--yes", a.fingerprint}, absent
			}
			delay := time.Duration(random.Int64N(int64(full)))
			if !killAfter(t, certtrust(args...), delay, i%4 < 2) {
				hits++
			}
			reap(t)
			if got := len(readBundle(t)); got < roots {
				t.Fatalf("killed after %v, %s left a bundle of %d certificates of %d", delay, args[0], got, roots)
			}
			if r := output(t, certtrust("repair", "--yes")); r.code != 0 {
				t.Fatalf("that was after %s was killed after %v: %v\ndpkg %v\nhook %v", args[0], delay, r,
					output(t, command("dpkg", "--audit")), output(t, command("sh", "-c", "/etc/ca-certificates/update.d/jks-keystore </dev/null; ls -la /var/lib/ca-certificates-java")))
			}
			// Where repair has completed a removal, there is nothing to remove.
			if r := output(t, certtrust(args...)); r.code != 0 && !(r.code == 3 && i%2 == 1) {
				t.Fatal(r)
			}
			check(t, a)
			noTemporaries(t, start)
			if t.Failed() {
				t.Fatalf("that was after %s was killed after %v", args[0], delay)
			}
		}
		t.Logf("%d of %d were killed before they had ended", hits, killings)
		if hits == 0 {
			t.Error("none was killed before it had ended")
		}
		// Where dpkg was killed at work for Java's hook, it keeps what it was told
		// until it is run again: that may name
		// this certificate, which is gone, and nothing else.
		left, _ := os.ReadFile(pendingList)
		for line := range strings.Lines(string(left)) {
			if !strings.Contains(line, "/certtrust-"+a.fingerprint[:32]+".pem") {
				t.Errorf("%s holds %q", pendingList, line)
			}
		}
		os.Remove(pendingList)
		same(t, start) // the last of an even number is a remove
	})
}

// killAfter kills a command, or it and all that it started, after a time, and
// tells whether it had ended before. The bundle must be whole in the very
// moment after.
func killAfter(t *testing.T, cmd *exec.Cmd, delay time.Duration, group bool) (ended bool) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		cmd.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-time.After(delay):
	}
	target := cmd.Process.Pid
	if group {
		target = -target
	}
	syscall.Kill(target, syscall.SIGKILL)
	<-done
	readBundle(t)
	return cmd.ProcessState.Exited()
}

// reap waits until what a killed process had started has come to its end.
func reap(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		switch {
		case err == syscall.ECHILD:
			return
		case pid == 0 && time.Now().After(deadline):
			t.Fatal("what certtrust had started runs on")
		case pid == 0:
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// noTemporaries fails the test if there is a file in the directories that
// programs read certificates from that was not there before and is no
// certificate, link or list of certtrust's making.
func noTemporaries(t *testing.T, start state) {
	t.Helper()
	own := regexp.MustCompile(`^(certtrust-[0-9a-f]{32}\.(crt|pem)|[0-9a-f]{8}\.\d+)$`)
	for path := range snapshot(certsDir, anchorDir) {
		if _, old := start[path]; !old && !own.MatchString(filepath.Base(path)) {
			t.Errorf("left behind: %s", path)
		}
	}
}
