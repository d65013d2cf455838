//go:build linux

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
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
// report success. Certtrust may fail then, but not claim what is not so, and
// in the end everything must be there. Every other time the tool rests for long
// enough to let certtrust do its work: if it never did, whether certtrust gets
// its turn would depend on how fast the machine is.
func TestAgainstUpdater(t *testing.T) {
	const rounds = 4
	Overlay(t, func(t *testing.T) {
		settle(t)
		roots := len(readBundle(t))
		begin := time.Now()
		must(t, command("update-ca-certificates"))
		full := time.Since(begin)
		stop := make(chan struct{})
		var updater sync.WaitGroup
		updater.Go(func() {
			for i := range 10 * rounds {
				rest := full / 4
				if i%2 == 1 {
					rest = 3*full + time.Second
				}
				select {
				case <-stop:
					return
				case <-time.After(rest):
					command("update-ca-certificates").Run()
				}
			}
		})
		var all []*authority
		for i := range rounds {
			a := newAuthority(t, fmt.Sprintf("Contended %d", i))
			r := output(t, certtrust("trust", "--yes", a.file))
			if r.code != 0 {
				t.Logf("not claimed: %v", r)
				continue
			}
			all = append(all, a)
		}
		close(stop)
		updater.Wait()
		if len(all) == 0 {
			t.Error("nothing could be trusted at all")
		}
		expect(t, 0, certtrust("repair", "--yes"))
		for _, a := range all {
			present(t, a)
		}
		if got := len(readBundle(t)); got != roots+len(all) {
			t.Errorf("%d certificates in the bundle, not %d + %d", got, roots, len(all))
		}
	})
}

// killings is at how many points certtrust is killed.
const killings = 30

// Killed at any point, certtrust leaves a whole bundle, and what comes next
// puts everything right.
func TestKilled(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		settle(t)
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
	for deadline := time.Now().Add(time.Minute); ; {
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
