package host

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

// TestElevatedChild answers what it is told through the pipe.
func TestElevatedChild(t *testing.T) {
	if flag.NArg() != 1 {
		t.Skip("it is what TestElevated starts")
	}
	in, out, err := ElevatedPipe(flag.Arg(0))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	data, err := io.ReadAll(in)
	if string(data) != "silence" {
		fmt.Fprintf(out, "%d bytes, %v", len(data), err)
	}
}

func TestElevated(t *testing.T) {
	if os.Getenv("CERTTRUST_WINE") == "" {
		t.Skip("Windows would ask a person: scripts/test-wine runs it")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h := Local()
	for request, want := range map[string]string{"": "0 bytes", strings.Repeat("x", 1<<20): "1048576 bytes", "silence": ""} {
		c, err := h.RightsCommand(Rights{}, []string{self, "-test.run=^TestElevatedChild$", "--"})
		if err != nil {
			t.Fatal(err)
		}
		c.Stdin = strings.NewReader(request)
		out, err := h.Run(t.Context(), c)
		if !strings.HasPrefix(string(out.Stdout), want) || want != "" && err != nil || want == "" && len(out.Stdout) > 0 {
			t.Errorf("%d bytes were answered with %q (%v)", len(request), out.Stdout, err)
		}
	}
	// A program that does not come to the pipe is not waited for.
	c, err := h.RightsCommand(Rights{}, []string{self, "-test.run=^NoSuchTest$", "--"})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := h.Run(t.Context(), c); err == nil {
		t.Errorf("without an answer there is %q and no error", out.Stdout)
	}
	if _, _, err := ElevatedPipe(`\\.\pipe\something-else`); err == nil {
		t.Error("any pipe is opened")
	}
}
