package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// system is what can be done with the system's store. The hooks, such as Java's,
// are off but where it says otherwise: they take most of the time, whoever runs
// them. Before each run a moment passes in which nothing is changed.
func system(certtrust, dir string) ([]work, error) {
	many := filepath.Join(dir, "many")
	if _, err := os.Stat(many); err != nil {
		if err := os.Mkdir(many, 0o755); err != nil {
			return nil, err
		}
		if err := authorities(many, 1001); err != nil {
			return nil, err
		}
	}
	const anchors, hooks, away = "/usr/local/share/ca-certificates", "/etc/ca-certificates/update.d", "/root/hooks"
	one, hundred := filepath.Join(dir, "0.crt"), filepath.Join(dir, "all.pem")
	off := "mkdir -p " + away + "; mv " + hooks + "/* " + away + "/ 2>/dev/null; "
	on := "mv " + away + "/* " + hooks + "/ 2>/dev/null; "
	fresh := "rm -rf /var/lib/certtrust /root/.local/state/certtrust; rm -f " + anchors + "/*.crt; update-ca-certificates --fresh; sleep 2.1"
	copies := func(from string, n int) string {
		return fmt.Sprintf("for n in $(seq 1 %d); do cp %s/$n.crt %s/bench-$n.crt; done && update-ca-certificates", n, from, anchors)
	}
	certtrustOne := run{"certtrust", "exec " + certtrust + " trust --system " + one}
	tool := run{"cp, update-ca-certificates", "cp " + one + " " + anchors + "/bench-0.crt && update-ca-certificates"}
	ones := []run{certtrustOne, tool}
	hundreds := []run{
		{"certtrust", "exec " + certtrust + " import --system " + hundred},
		{"cp, update-ca-certificates", copies(dir, 100)},
	}
	starts := []run{{"certtrust", "exec " + certtrust + " version"}}
	lists := []run{
		{"certtrust", "exec " + certtrust + " list --system --json"},
		{"openssl storeutl", "exec openssl storeutl -noout -text -certs /etc/ssl/certs/ca-certificates.crt"},
		{"openssl x509, one by one", "for f in /etc/ssl/certs/*.pem; do openssl x509 -noout -subject -enddate -fingerprint -sha256 -in $f; done"},
	}
	if _, err := exec.LookPath("trust"); err == nil {
		lists = append(lists, run{"trust list (labels)", "exec trust list"})
		starts = append(starts, run{"trust", "exec trust --help"})
	}
	var byOne []run
	if mkcert := "/tmp/mkcert"; exists(mkcert) {
		env := "CAROOT=" + dir + "/mkcert TRUST_STORES=system "
		ones = append(ones, run{"mkcert -install", env + mkcert + " -install"})
		starts = append(starts, run{"mkcert", "exec " + mkcert + " -version"})
		if err := exec.Command("sh", "-c", env+mkcert+" -install && "+env+mkcert+" -uninstall").Run(); err != nil {
			return nil, fmt.Errorf("mkcert: %w", err)
		}
	}
	if truststore := "/tmp/truststore"; exists(truststore) {
		ones = append(ones, run{"truststore", truststore + " " + one})
		starts = append(starts, run{"truststore", truststore + " -help || true"})
		byOne = append(byOne, hundreds[0], run{"truststore, a hundred times", "for n in $(seq 1 100); do " + truststore + " " + dir + "/$n.crt; done"})
	}
	works := []work{
		{"system: start", off + "true", starts, 0},
		{"system: list every root in full", off + "true", lists, 0},
		{"system: trust one", off + fresh, ones, 0},
		{"system: trust one that is trusted", off + certtrust + " trust --system " + one + "; sleep 2.1", []run{certtrustOne, tool}, 0},
		{"system: trust a hundred", off + fresh, hundreds, 0},
		{"system: trust a thousand", off + fresh, []run{
			{"certtrust", "exec " + certtrust + " import --system " + filepath.Join(many, "all.pem")},
			{"cp, update-ca-certificates", copies(many, 1000)},
		}, 3},
		{"system: trust one, with Java's hook", on + fresh, []run{certtrustOne, tool}, 0},
	}
	if len(byOne) > 0 {
		works = append(works, work{"system: trust a hundred, and the others one by one", off + fresh, byOne, 1})
	}
	return works, nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
