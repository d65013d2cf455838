package keychain

import (
	"bytes"
	"flag"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/platform/keychain/securitytest"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

var update = flag.Bool("update", false, "rewrite the transcript of the emulator")

// transcript is what is asked of the security tool, on a Mac and of the
// emulator, to see that both answer the same. Nothing in it needs a person or
// changes anything outside of the directory $D, in which the certificates are.
// Of a settings file that a step writes, the content is a part of the answer.
var transcript = []string{
	// The settings that flags make. No authorization is needed for a file.
	"add-trusted-cert -o $D/s.plist $D/root.der",
	"add-trusted-cert -r trustRoot -o $D/s.plist $D/root.der",
	"add-trusted-cert -r trustRoot -p ssl -o $D/s.plist $D/root.der",
	"add-trusted-cert -r trustRoot -p ssl -p basic -o $D/s.plist $D/root.der",
	"add-trusted-cert -r trustRoot -p smime -p codeSign -p timestamping -p eap -p IPSec -o $D/s.plist $D/root.der",
	"add-trusted-cert -r trustRoot -p ssl -s a.test -s b.test -o $D/s.plist $D/root.der",
	"add-trusted-cert -r trustRoot -s a.test -o $D/s.plist $D/root.der",
	"add-trusted-cert -r trustRoot -p ssl -e certExpired -e hostnameMismatch -o $D/s.plist $D/root.der",
	"add-trusted-cert -r deny -o $D/s.plist $D/root.der",
	"add-trusted-cert -r deny -p ssl -o $D/s.plist $D/inter.der",
	"add-trusted-cert -r unspecified -p ssl -o $D/s.plist $D/root.der",
	"add-trusted-cert -r trustAsRoot -p ssl -o $D/s.plist $D/inter.der",
	"add-trusted-cert -r trustAsRoot -p ssl -o $D/s.plist $D/root.der",
	"add-trusted-cert -r trustRoot -p ssl -o $D/s.plist $D/inter.der",
	"add-trusted-cert -r trustRoot -o $D/s.plist $D/inter.der",
	"add-trusted-cert -o $D/s.plist $D/inter.der",
	"-q add-trusted-cert -r trustRoot -p ssl -o $D/s.plist $D/root.der",
	// How arguments are read.
	"add-trusted-cert",
	"add-trusted-cert $D/root.der $D/inter.der",
	"add-trusted-cert -r nonsense -o $D/s.plist $D/root.der",
	"add-trusted-cert -p iChat -o $D/s.plist $D/root.der",
	"add-trusted-cert -d -o $D/s.plist $D/root.der",
	"add-trusted-cert -i $D/s.plist $D/root.der",
	"add-trusted-cert -o $D/s.plist $D/text.pem",
	"find-certificate -k x",
	"find-certificate -c",
	"trust-settings-export",
	"trust-settings-import",
	"nonsense",
	// A keychain of one's own.
	"create-keychain -p x $D/own.keychain",
	"find-certificate -a -Z -p $D/own.keychain",
	"find-certificate -Z -p $D/own.keychain",
	"add-certificates -k $D/own.keychain $D/root.der",
	"add-certificates -k $D/own.keychain $D/root.der",
	"add-certificates -k $D/own.keychain $D/twin.der",
	"add-certificates -k $D/own.keychain $D/inter.der $D/text.pem $D/negative.der",
	"find-certificate -a -Z -p $D/own.keychain",
	"find-certificate -a -p $D/own.keychain $D/missing.keychain",
	"find-certificate -a -p $D/missing.keychain",
	"find-certificate -a -p $D/root.der",
	"delete-certificate -Z $root1 $D/own.keychain",
	"delete-certificate -Z $root1 $D/own.keychain",
	"delete-certificate -Z $inter256 $D/own.keychain",
	"find-certificate -a -Z $D/own.keychain",
	"delete-keychain $D/own.keychain",
	"delete-keychain $D/own.keychain",
}

// cast are the certificates of the transcript, always the same.
func cast(t *testing.T) map[string][]byte {
	t.Helper()
	root := storetest.NewCA(t, storetest.Seed("transcript"), storetest.CN("Transcript Root"), storetest.Serial(big.NewInt(1)))
	return map[string][]byte{
		"root.der":     root.DER(),
		"twin.der":     storetest.Twin(t, root).DER(),
		"inter.der":    root.Intermediate(t, storetest.Seed("transcript inter"), storetest.CN("Transcript Intermediate")).DER(),
		"negative.der": storetest.NewCA(t, storetest.Seed("transcript negative"), storetest.Serial(big.NewInt(-12345)), storetest.CN("Transcript Negative")).DER(),
		"text.pem":     append([]byte("# Zürich\n"), root.PEM()...),
	}
}

// play asks everything of a tool that finds the files of outside under dir, and
// returns the answers in a form that does not depend on the machine.
func play(t *testing.T, dir, outside string, run func(args []string) (stdout, stderr []byte, code int)) string {
	t.Helper()
	files := cast(t)
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(outside, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	names := strings.NewReplacer("$D", dir, "$root1", sha1Of(files["root.der"]), "$inter256", strings.ToUpper(store.FingerprintOf(files["inter.der"]).String()))
	date := regexp.MustCompile(`<date>[^<]*</date>`)
	var out strings.Builder
	for _, line := range transcript {
		settings := filepath.Join(outside, "s.plist")
		if err := os.Remove(settings); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		args := strings.Fields(names.Replace(line))
		stdout, stderr, code := run(args)
		fmt.Fprintf(&out, "$ security %s\n", line)
		written := ""
		if data, err := os.ReadFile(settings); err == nil {
			written = date.ReplaceAllString(string(data), "<date/>")
		}
		for _, part := range []struct {
			sign string
			text []byte
		}{{"", stdout}, {"! ", stderr}, {"> ", []byte(written)}} {
			text := strings.ReplaceAll(string(part.text), dir, "$D")
			for l := range strings.Lines(text) {
				// The texts of usage are no part of what is relied upon.
				if part.sign == "! " && strings.HasPrefix(l, "Usage:") {
					fmt.Fprintf(&out, "! Usage\n")
					break
				}
				fmt.Fprintf(&out, "%s%s\n", part.sign, strings.TrimRight(l, "\r\n"))
			}
		}
		fmt.Fprintf(&out, "exit %d\n", code)
	}
	return out.String()
}

// emulated plays the transcript on the emulator.
func emulated(t *testing.T, version string) string {
	t.Helper()
	m := newMac(t, version)
	const dir = "/private/tmp/transcript"
	outside := filepath.Join(m.Root, filepath.FromSlash(dir))
	if err := os.MkdirAll(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	return play(t, dir, outside, func(args []string) (stdout, stderr []byte, code int) {
		return m.Run(t.Context(), securitytest.UserID, append([]string{securitytest.Tool}, args...))
	})
}

// The emulator's own answers are kept, so that a change of them is seen, and
// can be compared with a real Mac's.
func TestTranscript(t *testing.T) {
	for _, version := range []string{"14", "15", "26"} {
		t.Run(version, func(t *testing.T) {
			got := emulated(t, version)
			file := filepath.Join("testdata", "transcript-"+version+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := compare(string(bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// compare tells which commands are answered in different ways.
func compare(want, got string) string {
	split := func(text string) []string { return strings.Split(text, "\n$ ") }
	a, b := split(want), split(got)
	var out strings.Builder
	for i := range max(len(a), len(b)) {
		x, y := "nothing", "nothing"
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			fmt.Fprintf(&out, "\nwanted:\n%s\ngot:\n%s\n", x, y)
		}
	}
	return out.String()
}

func TestTranscriptIsHarmless(t *testing.T) {
	for _, line := range transcript {
		words := strings.Fields(line)
		writes := slices.Contains([]string{"add-certificates", "delete-certificate", "create-keychain", "delete-keychain"}, words[0])
		if writes && !strings.Contains(line, "$D/own.keychain") {
			t.Errorf("%q is not about a keychain of its own", line)
		}
		if words[0] == "remove-trusted-cert" || words[0] == "trust-settings-import" && len(words) > 1 {
			t.Errorf("%q changes trust settings", line)
		}
	}
}
