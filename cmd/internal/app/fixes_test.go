package app

import (
	"strings"
	"testing"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store/diagnose"
)

// What a diagnosis says to run of this program can be run: the command exists,
// and so does each flag.
func TestFixesCanBeRun(t *testing.T) {
	streams, _, _ := term.Test("")
	a := &App{Host: host.Fake(t.TempDir()), Streams: streams}
	tree := a.tree()
	checked := 0
	for _, code := range diagnose.Codes(diagnose.English) {
		for _, id := range code.Fixes {
			for _, machine := range [][2]string{{"linux", "debian"}, {"linux", "fedora"}, {"linux", ""}, {"darwin", ""}, {"windows", ""}} {
				fix, known := diagnose.FixInfo(id, machine[0], machine[1], diagnose.English)
				if !known {
					t.Errorf("%s: there is no fix %s", code.Code, id)
				}
				for _, line := range fix.Commands {
					words := strings.Fields(strings.TrimPrefix(line, "sudo "))
					if words[0] != "certtrust" {
						continue
					}
					checked++
					cmd := tree.Command(words[1])
					if cmd == nil {
						t.Errorf("%s: %q: there is no such command", id, line)
						continue
					}
					for _, word := range words[2:] {
						if name := strings.TrimLeft(word, "-"); name != word && flagNamed(cmd.Flags, name) == nil && flagNamed(tree.Flags, name) == nil {
							t.Errorf("%s: %q: there is no flag %s", id, line, word)
						}
					}
				}
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d commands were checked", checked)
	}
}
