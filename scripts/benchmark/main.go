// Benchmark runs certtrust and the tools that people use instead in turns, and
// prints what each took and the ratio. scripts/bench runs it, in an overlay of
// the machine.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/certtrust/certtrust/platform/probe/probetest"
)

// work is something that several programs can do.
type work struct {
	name   string
	before string // a shell command that is run, and not measured, before each
	runs   []run  // certtrust first
	most   int    // rounds, 0 = as many as there are
}

type run struct{ name, command string }

func main() {
	if err := measure(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "benchmark:", err)
		os.Exit(1)
	}
}

func measure(certtrust string) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := authorities(dir, 101); err != nil {
		return err
	}
	works, err := system(certtrust, dir)
	if err != nil {
		return err
	}
	if _, err := exec.LookPath("keytool"); err == nil {
		works = append(works, keystores(certtrust, dir, filepath.Join(dir, "0.crt"), filepath.Join(dir, "all.pem"))...)
	}
	server, err := serve(dir)
	if err != nil {
		return err
	}
	defer server.Close()
	works = append(works, diagnosing(certtrust, dir, server))
	if _, err := exec.LookPath("certutil"); err == nil {
		many := filepath.Join(dir, "many") // of system
		// Where people have their profiles, and where nothing is ever waited for.
		for _, at := range []struct{ name, dir string }{{"on a disk", os.Getenv("DISK")}, {"in memory", dir}} {
			if at.dir == "" {
				continue
			}
			more, err := databases(certtrust, many, at.name, at.dir)
			if err != nil {
				return err
			}
			works = append(works, more...)
		}
	}
	rounds, err := strconv.Atoi(os.Getenv("ROUNDS"))
	if err != nil || rounds < 1 {
		rounds = 7
	}
	results := []result{}
	for _, w := range works {
		if !strings.Contains(w.name, os.Getenv("ONLY")) {
			continue
		}
		r, err := w.measure(rounds)
		if err != nil {
			return err
		}
		results = append(results, r)
	}
	if file := os.Getenv("JSON"); file != "" {
		data, err := json.MarshalIndent(results, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, append(data, '\n'), 0o644); err != nil {
			return err
		}
	}
	if strings.Contains(fleetName, os.Getenv("ONLY")) {
		return fleet(certtrust)
	}
	return nil
}

// serve starts a server whose root nobody knows.
func serve(dir string) (*probetest.Server, error) {
	c, known := probetest.Find("untrusted-root")
	if !known {
		return nil, errors.New("there is no such server")
	}
	s, err := probetest.Start(context.Background(), c, probetest.Options{})
	if err != nil {
		return nil, err
	}
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Sent[len(s.Sent)-1]})
	return s, os.WriteFile(filepath.Join(dir, "root.pem"), root, 0o644)
}

// diagnosing is to find out what is wrong with a server.
func diagnosing(certtrust, dir string, s *probetest.Server) work {
	host, port, _ := strings.Cut(s.Target.Input, ":")
	chain := filepath.Join(dir, "chain.pem")
	w := work{"tell why a server is not trusted", "", []run{
		{"certtrust", certtrust + " diagnose --exit-zero --system --json --connect " + s.Addr + " " + s.Target.Input},
		{"openssl s_client, verify", "openssl s_client -connect " + s.Addr + " -servername " + host + " -showcerts </dev/null >" + chain + " 2>&1; openssl verify -untrusted " + chain + " " + chain + " || true"},
	}, 0}
	if testssl, err := exec.LookPath("testssl"); err == nil {
		w.runs = append(w.runs, run{"testssl, certificate only", testssl + " --quiet --color 0 --ip 127.0.0.1 --server-defaults " + host + ":" + port + " || true"})
	}
	return w
}

// databases is what can be done with an NSS database in a directory, with
// certificates out of another.
func databases(certtrust, many, name, dir string) ([]work, error) {
	certtrust = "HOME=" + dir + " " + certtrust // its journal is there, too
	db := filepath.Join(dir, "nssdb")
	fresh := "rm -rf " + db + "; mkdir " + db + "; certutil -N --empty-password -d sql:" + db
	one := filepath.Join(many, "0.crt")
	add := func(certtrust, file string) string { return certtrust + " import " + file + " --store nss:" + db }
	each := func(n int) string {
		return fmt.Sprintf("for n in $(seq 1 %d); do certutil -A -n bench$n -t C,, -i %s/$n.crt -d sql:%s; done", n, many, db)
	}
	half := filepath.Join(many, "half.pem")
	var text []byte
	for i := range 500 {
		part, err := os.ReadFile(filepath.Join(many, fmt.Sprintf("%d.crt", i+1)))
		if err != nil {
			return nil, err
		}
		text = append(text, part...)
	}
	if err := os.WriteFile(half, text, 0o644); err != nil {
		return nil, err
	}
	return []work{
		{"NSS database " + name + ": trust one", fresh, []run{
			{"certtrust", add(certtrust, one)},
			{"certutil -A", "certutil -A -n bench -t C,, -i " + one + " -d sql:" + db},
		}, 0},
		{"NSS database " + name + ": trust a thousand", fresh, []run{
			{"certtrust", add(certtrust, filepath.Join(many, "all.pem"))},
			{"certutil -A, a thousand times", each(1000)},
		}, 3},
		{"NSS database " + name + ": list five hundred", "[ -s " + db + "/five ] || { " + fresh + "; " + add(certtrust, half) + " && echo x >" + db + "/five; }", []run{
			{"certtrust", certtrust + " list --store nss:" + db + " --json"},
			{"certutil -L", "certutil -L -d sql:" + db},
		}, 0},
	}, nil
}

// took is what a run took.
type took struct{ wall, cpu time.Duration }

func (w work) measure(rounds int) (result, error) {
	out := result{Name: w.name}
	all := make([][]took, len(w.runs))
	if w.most > 0 {
		rounds = min(rounds, w.most)
	}
	for range rounds {
		for i, r := range w.runs {
			if w.before != "" {
				if said, err := exec.Command("sh", "-c", w.before).CombinedOutput(); err != nil {
					return out, fmt.Errorf("%s: %w\n%s", w.before, err, said)
				}
			}
			cmd := exec.Command("sh", "-c", r.command)
			began := time.Now()
			if err := cmd.Run(); err != nil {
				return out, fmt.Errorf("%s: %w", r.command, err)
			}
			state := cmd.ProcessState
			all[i] = append(all[i], took{time.Since(began), state.UserTime() + state.SystemTime()})
		}
	}
	fmt.Printf("%s\n", w.name)
	first := median(all[0])
	for i, r := range w.runs {
		m := median(all[i])
		out.Runs = append(out.Runs, measured{r.name, r.command, len(all[i]), milliseconds(m.wall), milliseconds(m.cpu), ratio(first.wall, m.wall), ratio(first.cpu, m.cpu)})
		fmt.Printf("  %-28s wall %8s  cpu %8s", r.name, m.wall.Round(100*time.Microsecond), m.cpu.Round(100*time.Microsecond))
		if i > 0 {
			fmt.Printf("  certtrust takes %.2f of the wall, %.2f of the cpu time", ratio(first.wall, m.wall), ratio(first.cpu, m.cpu))
		}
		fmt.Println()
	}
	return out, nil
}

// result is what is written for programs to read: of each program the medians,
// and the share that certtrust takes of them.
type result struct {
	Name string     `json:"name"`
	Runs []measured `json:"runs"`
}

type measured struct {
	Program   string  `json:"program"`
	Command   string  `json:"command"`
	Rounds    int     `json:"rounds"`
	Wall      float64 `json:"wallMilliseconds"`
	CPU       float64 `json:"cpuMilliseconds"`
	WallShare float64 `json:"certtrustTakesOfWall"`
	CPUShare  float64 `json:"certtrustTakesOfCPU"`
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func ratio(a, b time.Duration) float64 { return float64(a) / float64(max(b, 1)) }

func median(list []took) took {
	middle := func(of func(took) time.Duration) time.Duration {
		var values []time.Duration
		for _, t := range list {
			values = append(values, of(t))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return took{middle(func(t took) time.Duration { return t.wall }), middle(func(t took) time.Duration { return t.cpu })}
}

// authorities writes n certificate authorities to files, and all but the first
// to one.
func authorities(dir string, n int) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	var all []byte
	for i := range n {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: fmt.Sprintf("Benchmark CA %d", i)},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			return err
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		if i > 0 {
			all = append(all, text...)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.crt", i)), text, 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "all.pem"), all, 0o644)
}
