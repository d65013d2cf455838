//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/store/storetest"
)

// What the native engine makes is what the distribution's tool makes, of no
// anchor, of one, and of many: every byte of the bundle, the same links, and
// for each hash the same targets, at numbers from 0 on. The tool makes it from
// nothing here (--fresh), also after removals. Three tools are known: those of
// Debian 12, of its security updates, and of Debian 13.
func TestEngine(t *testing.T) {
	few := []int{0, 1}
	if os.Getenv(allCasesVar) != "" {
		few = append(few, 100, 1000)
	}
	for _, on := range []struct {
		name, release string // no release: this machine's
		counts        []int
	}{
		{"machine", "", few},
		{"bookworm", "bookworm", few[1:]},
		{"trixie", freshTrixie, []int{0, 1, 100, 1000}},
	} {
		t.Run(on.name, func(t *testing.T) {
			enter := func(t *testing.T) {
				if on.release != "" {
					enterFresh(t, on.release)
				} else if _, err := os.Stat("/etc/ca-certificates/update.d/jks-keystore"); err == nil {
					// Java's hook has tests of its own, and takes as long as all this.
					must(t, command("mv", "/etc/ca-certificates/update.d/jks-keystore", "/root/"))
				}
			}
			body := func(t *testing.T) {
				enter(t)
				recordHook(t)
				for _, n := range on.counts {
					identical(t, n)
				}
				sameHook(t)
			}
			if on.release == "" {
				Overlay(t, body)
			} else {
				Overlay(t, body, addFresh(on.release))
			}
		})
	}
}

// identical compares the native engine with the tool for n anchors.
func identical(t *testing.T, n int) {
	t.Helper()
	must(t, command("sh", "-c", "rm -f "+anchorDir+"/certtrust-*.crt"))
	must(t, command("update-ca-certificates", "--fresh"))
	file, fingerprints := authorities(t, n)
	if n > 0 {
		expect(t, 0, certtrust("import", "--system", "--engine", "native", file))
	} else {
		// Nothing to add: it has to make good what is broken.
		must(t, command("sh", "-c", "cd "+certsDir+" && rm $(ls | grep '[.]0$' | head -3) && : >ca-certificates.crt"))
		expect(t, 0, certtrust("repair", "--system", "--engine", "native", "--yes"))
	}
	compareWithTool(t, fmt.Sprintf("with %d", n))
	if n == 0 {
		return
	}
	gone := fingerprints[:(n+1)/2]
	expect(t, 0, certtrust(append([]string{"remove", "--system", "--engine", "native"}, gone...)...))
	compareWithTool(t, fmt.Sprintf("after %d of %d are gone", len(gone), n))
	if n > 1 {
		return
	}
	// Unasked it is the native engine, too, for the tool is known here. It
	// needs no openssl, without which the tool fails.
	must(t, command("mv", "/usr/bin/openssl", "/root/"))
	start := trust()
	expect(t, 1, certtrust("import", "--system", "--engine", "distro", file))
	same(t, start)
	expect(t, 0, certtrust("import", "--system", file))
	must(t, command("mv", "/root/openssl", "/usr/bin/"))
	compareWithTool(t, "with one again")
}

// authorities writes n of them to a file. Some have the same subject; one has
// a subject that is written in two ways.
func authorities(t *testing.T, n int) (file string, fingerprints []string) {
	var text []byte
	for i := range n {
		name := fmt.Sprintf("Engine %d", i)
		switch {
		case i%50 == 1:
			name = "Engine Twin"
		case i == 2:
			name = "  ENGINE   tWIN "
		}
		ca := storetest.NewCA(t, storetest.CN(name), storetest.Seed(fmt.Sprint("engine", i)))
		text = append(text, ca.PEM()...)
		fingerprints = append(fingerprints, ca.Cert().SHA256.String())
	}
	return write(t, "authorities.pem", text), fingerprints
}

// compareWithTool has the tool do its work afresh, in a locale, else in that of
// these tests, and compares.
func compareWithTool(t *testing.T, what string, locale ...string) {
	t.Helper()
	bundleOf := func() string {
		data, err := os.ReadFile(bundle)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	ours, links := bundleOf(), linksOf(t)
	cmd := command("update-ca-certificates", "--fresh")
	cmd.Env = append(cmd.Env, locale...)
	must(t, cmd)
	if bundleOf() != ours {
		t.Fatalf("%s, the bundle is not that of the tool", what)
	}
	theirs := linksOf(t)
	if !slices.Equal(links, theirs) {
		for _, l := range links {
			if !slices.Contains(theirs, l) {
				t.Errorf("%s, only certtrust has %s", what, l)
			}
		}
		for _, l := range theirs {
			if !slices.Contains(links, l) {
				t.Errorf("%s, only the tool has %s", what, l)
			}
		}
	}
	if len(links) < 100 {
		t.Fatalf("%s, there are only %d links", what, len(links))
	}
}

var hashName = regexp.MustCompile(`^([0-9a-f]{8})\.([0-9]+)$`)

// linksOf returns the links in the hash directory. Those of one hash are
// without their numbers, which must have no gap.
func linksOf(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(certsDir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	numbers := map[string][]string{}
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(certsDir, e.Name()))
		if err != nil {
			continue
		}
		if m := hashName.FindStringSubmatch(e.Name()); m != nil {
			numbers[m[1]] = append(numbers[m[1]], m[2])
			all = append(all, m[1]+" "+target)
			continue
		}
		all = append(all, e.Name()+" "+target)
	}
	for hash, have := range numbers {
		for n := range have {
			if !slices.Contains(have, fmt.Sprint(n)) {
				t.Errorf("the numbers of %s are %v", hash, have)
			}
		}
	}
	slices.Sort(all)
	return all
}

const heard = "/var/tmp/heard"

// recordHook makes a hook that writes down where it is run and what it is told.
func recordHook(t *testing.T) {
	t.Helper()
	const hook = "/etc/ca-certificates/update.d/record"
	if err := os.WriteFile(hook, []byte("#!/bin/sh\n(pwd; cat) >>"+heard+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// sameHook compares what the engines tell the hooks of additions.
func sameHook(t *testing.T) {
	t.Helper()
	told := map[string]string{}
	for _, engine := range []string{"native", "distro"} {
		must(t, command("sh", "-c", "rm -f "+anchorDir+"/certtrust-*.crt"))
		must(t, command("update-ca-certificates", "--fresh"))
		file, _ := authorities(t, 3)
		os.Remove(heard)
		expect(t, 0, certtrust("import", "--system", "--engine", engine, file))
		data, err := os.ReadFile(heard)
		if err != nil {
			t.Fatal(err)
		}
		told[engine] = string(data)
	}
	if told["native"] != told["distro"] || strings.Count(told["native"], "\n+") != 3 {
		t.Errorf("the hook heard\n%s\nfrom the native engine, and\n%s\nfrom the tool", told["native"], told["distro"])
	}
}

// Whoever makes it, the bundle is what the tool makes of it in the same locale:
// sort gives it the anchors, in an order that is another in most.
func TestEngineLocale(t *testing.T) {
	for _, on := range []struct{ name, release string }{{"machine", ""}, {"trixie", freshTrixie}} {
		release := on.release
		t.Run(on.name, func(t *testing.T) {
			body := func(t *testing.T) {
				need(t, "localedef")
				must(t, command("mkdir", "-p", "/e2e-locale"))
				// It warns of what another system lacks.
				must(t, command("localedef", "-c", "-i", "en_US", "-f", "UTF-8", "/e2e-locale/en_US.UTF-8"))
				if release != "" {
					enterFresh(t, release, "/e2e-locale/en_US.UTF-8")
				} else {
					must(t, command("mv", "/e2e-locale/en_US.UTF-8", "/usr/lib/locale/"))
				}
				const english = "LC_ALL=en_US.UTF-8"
				names := []string{"a", "B", "_x", "ä", "a-b", "a b", "Z", "1", "x\xff", "sub/c", "sub-1"}
				for _, name := range names {
					ca := storetest.NewCA(t, storetest.CN("Locale"), storetest.Seed("locale "+name))
					place(t, anchorDir+"/"+name+".crt", ca.PEM())
				}
				sorted := command("sh", "-c", "cd "+anchorDir+" && ls *.crt | sort")
				inC := must(t, sorted).stdout
				sorted = command("sh", "-c", "cd "+anchorDir+" && ls *.crt | sort")
				sorted.Env = append(sorted.Env, english)
				if must(t, sorted).stdout == inC {
					t.Fatal("the locale is not there")
				}
				// The tool takes as long as it has roots.
				must(t, command("sed", "-i", "-e", "/^#/d", "-e", "60,$d", "/etc/ca-certificates.conf"))
				must(t, command("update-ca-certificates", "--fresh"))
				for i, c := range []struct {
					engine string
					locale []string
				}{
					{"native", []string{english}},
					{"native", []string{"LC_ALL=tlh_QO"}}, // which there is not
					{"native", []string{"LANG=en_US.UTF-8"}},
					{"native", []string{"LANG=en_US.UTF-8", "LC_COLLATE=C"}},
					{"auto", []string{"LC_COLLATE=en_US.UTF-8"}},
					{"distro", []string{english}},
				} {
					ca := storetest.NewCA(t, storetest.CN("Changed"), storetest.Seed(fmt.Sprint("changed ", i)))
					file := place(t, "/root/changed.pem", ca.PEM())
					cmd := certtrust("trust", "--system", "--engine", c.engine, file)
					cmd.Env = append(cmd.Env, c.locale...)
					expect(t, 0, cmd)
					compareWithTool(t, fmt.Sprint(c.engine, " in ", c.locale), c.locale...)
				}
			}
			if release == "" {
				Overlay(t, func(t *testing.T) {
					if _, err := os.Stat("/etc/ca-certificates/update.d/jks-keystore"); err == nil {
						must(t, command("mv", "/etc/ca-certificates/update.d/jks-keystore", "/root/"))
					}
					body(t)
				})
			} else {
				Overlay(t, body, addFresh(release))
			}
		})
	}
}
