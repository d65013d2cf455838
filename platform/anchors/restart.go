package anchors

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/certtrust/certtrust/platform/host"
)

// restarts are programs that read the roots once, when they start, and go on for
// long: a row for each, with the names of its processes and what helps.
var restarts = []struct {
	names []string
	who   string
	what  string
}{
	{[]string{"dockerd"}, "Docker", "restart it: systemctl restart docker"},
	{[]string{"containerd"}, "containerd", "restart it: systemctl restart containerd"},
	{[]string{"kubelet", "k3s", "rke2"}, "Kubernetes", "restart its service"},
	{[]string{"gitlab-runner"}, "GitLab's runner", "restart it: systemctl restart gitlab-runner"},
	{[]string{"java"}, "a Java program", "restart it, if it uses the system's roots"},
	{[]string{"firefox", "firefox-esr", "firefox-bin", "librewolf", "thunderbird", "thunderbird-bin"}, "Firefox or one of its kin", "restart it, if it follows the system's store"},
	{[]string{"chromium", "chrome", "google-chrome", "brave", "msedge", "opera", "vivaldi-bin"}, "Chromium or one of its kin", "restart it, if it follows the system's store"},
	{[]string{"code", "code-insiders", "codium"}, "Visual Studio Code", "restart it"},
}

// restartNotices names the running programs that do not see a change before they
// are started anew. Of each the first process counts; mine tells whether a
// process reads the roots of this machine, and not those of a container.
func restartNotices(running []host.Process, mine func(host.Process) bool) []string {
	var out []string
	for _, r := range restarts {
		var pids []string
		for _, p := range running {
			if len(p.Args) > 0 && slices.Contains(r.names, path.Base(p.Args[0])) && mine(p) {
				pids = append(pids, strconv.Itoa(p.PID))
			}
		}
		switch n := len(pids); {
		case n == 1:
			out = append(out, fmt.Sprintf("%s is running (process %s) and sees the change only after a restart: %s", r.who, pids[0], r.what))
		case n > 1:
			out = append(out, fmt.Sprintf("%s is running (processes %s and %d more) and sees the change only after a restart: %s",
				r.who, strings.Join(pids[:1], ", "), n-1, r.what))
		}
	}
	return out
}

// toRestart names the programs of this machine that do not see a change yet. The
// list of processes is the one that was looked at last for who is at work on the
// store, as far as there was one.
func (s *base) toRestart() []string {
	running := s.seen.Load()
	if running == nil {
		all := s.host.Processes()
		running = &all
	}
	return restartNotices(*running, func(p host.Process) bool { return s.host.Shares(p, s.family.location()) })
}
