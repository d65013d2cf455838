package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"time"
)

const (
	fleetName     = "add up the listings of many machines"
	fleetMachines = 10000
	fleetCompared = 500 // as many as jq gets, which takes its time
	fleetEntries  = 300
)

// fleet has the listings of many machines added up, which come through a pipe
// and are nowhere else: certtrust by certtrust, and those of a part of the
// machines by jq too, which counts on how many machines each certificate is.
func fleet(certtrust string) error {
	out, err := exec.Command(certtrust, "list", "--format", "jsonl").Output()
	if err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 4 { // a store that cannot be read is left out
			return fmt.Errorf("list: %w", err)
		}
	}
	lines := bytes.SplitAfter(bytes.TrimSpace(out), []byte("\n"))
	real := lines[1 : len(lines)-1]
	if len(real) < 100 {
		return fmt.Errorf("only %d entries to make listings of", len(real))
	}
	entries := make([][]byte, fleetEntries)
	for i := range entries {
		entries[i] = real[i%len(real)]
		if i >= len(real) {
			entries[i] = renamed(entries[i], i)
		}
	}
	fmt.Printf("%s, %d entries each\n", fleetName, fleetEntries)
	all, err := fed(entries, fleetMachines, certtrust, "audit", "--inventory", "-", "--json")
	if err != nil {
		return err
	}
	fmt.Printf("  %-28s %s\n", "certtrust", all)
	part, err := fed(entries, fleetCompared, certtrust, "audit", "--inventory", "-", "--json")
	if err != nil {
		return err
	}
	fmt.Printf("  %-28s %s\n", "certtrust", part)
	if _, err := exec.LookPath("jq"); err != nil {
		fmt.Println("  jq is not installed")
		return nil
	}
	other, err := fed(entries, fleetCompared, "jq", "-n", `reduce (inputs | select(.sha256)) as $e ({}; .[$e.sha256] += 1) | with_entries(select(.value == 1))`)
	if err != nil {
		return err
	}
	fmt.Printf("  %-28s %s  certtrust takes %.3f of the cpu time, and %.2f of the memory\n", "jq", other,
		ratio(part.cpu, other.cpu), float64(part.memory)/float64(max(other.memory, 1)))
	return nil
}

var fingerprint = regexp.MustCompile(`"sha256":"[0-9a-f]{64}"`)

// renamed is an entry of another certificate.
func renamed(line []byte, n int) []byte {
	return fingerprint.ReplaceAll(line, fmt.Appendf(nil, `"sha256":"%x"`, sha256.Sum256(fmt.Appendf(nil, "%d", n))))
}

// rate is what a program took for listings.
type rate struct {
	machines, entries int
	wall, cpu         time.Duration
	memory            int64 // KiB
}

func (r rate) String() string {
	return fmt.Sprintf("%d machines: wall %8s  cpu %8s  %8.0f entries/s of cpu  at most %d MiB", r.machines, r.wall.Round(time.Millisecond), r.cpu.Round(time.Millisecond),
		float64(r.entries)/max(r.cpu.Seconds(), 1e-9), r.memory>>10)
}

// fed runs a program that reads listings from its standard input.
func fed(entries [][]byte, machines int, argv ...string) (rate, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return rate{}, err
	}
	cmd.Stdout = io.Discard
	var said bytes.Buffer
	cmd.Stderr = &said
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return rate{}, err
	}
	n, wrote := writeFleet(in, entries, machines)
	err = errors.Join(wrote, in.Close(), cmd.Wait())
	if err != nil {
		return rate{}, fmt.Errorf("%s: %w\n%s", argv[0], err, said.Bytes())
	}
	s := cmd.ProcessState
	return rate{machines, n, time.Since(began), s.UserTime() + s.SystemTime(), peak(s)}, nil
}

// writeFleet writes listings: every machine lacks a certificate, another one
// each, and every hundredth has one that no other has.
func writeFleet(to io.Writer, entries [][]byte, machines int) (n int, err error) {
	w := bufio.NewWriterSize(to, 1<<20)
	for m := range machines {
		fmt.Fprintf(w, `{"schema":"certtrust.list/v1","host":"machine%05d.example.com","stores":[{"id":"anchors:system","complete":true}]}`+"\n", m)
		for i, line := range entries {
			switch {
			case i == m%len(entries) && m%7 == 0:
				continue
			case i == 0 && m%100 == 0:
				line = renamed(line, 1_000_000+m)
			}
			n++
			if _, err := w.Write(line); err != nil {
				return n, err
			}
		}
		fmt.Fprintf(w, `{"schema":"certtrust.summary/v1","entries":%d}`+"\n", len(entries))
	}
	return n, w.Flush()
}
