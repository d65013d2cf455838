package anchors

import (
	"slices"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/platform/host"
)

func TestRestartNotices(t *testing.T) {
	running := []host.Process{
		{PID: 1, Args: []string{"/sbin/init"}},
		{PID: 20, Args: []string{"/usr/bin/dockerd", "-H", "fd://"}},
		{PID: 30, Args: []string{"/usr/lib/jvm/java-17/bin/java", "-jar", "a.jar"}},
		{PID: 31, Args: []string{"java"}},
		{PID: 32, Args: []string{"java"}},
		{PID: 40, Args: []string{"vi", "dockerd"}},
		{PID: 50, Args: []string{"/usr/lib/firefox-esr/firefox-esr"}},
		{PID: 60, Args: nil},
	}
	got := restartNotices(running, func(p host.Process) bool { return p.PID != 50 })
	for _, want := range []string{"Docker is running (process 20)", "a Java program is running (processes 30 and 2 more)"} {
		if !slices.ContainsFunc(got, func(n string) bool { return strings.HasPrefix(n, want) }) {
			t.Errorf("nothing begins with %q in %q", want, got)
		}
	}
	if len(got) != 2 {
		t.Errorf("the notices are %q", got)
	}
	for _, r := range restarts {
		for _, name := range r.names {
			if n := restartNotices([]host.Process{{PID: 7, Args: []string{"/opt/" + name}}}, func(host.Process) bool { return true }); len(n) != 1 || !strings.Contains(n[0], "7") || !strings.Contains(n[0], r.what) {
				t.Errorf("for %s the notices are %q", name, n)
			}
		}
	}
}
