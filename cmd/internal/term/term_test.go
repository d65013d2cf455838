package term

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/certtrust/certtrust/store"
)

func TestMain(m *testing.M) {
	// The width of some characters depends on the locale.
	text.OverrideRuneWidthEastAsianWidth(false)
	os.Exit(m.Run())
}

func TestMessages(t *testing.T) {
	s, out, errs := Test("")
	s.Errorf("cannot read %s", "a\nb")
	s.Warningf("careful")
	s.Hintf("do %q", "x")
	s.Noticef("143 certificates")
	want := "certtrust: error: cannot read a\\nb\n" +
		"certtrust: warning: careful\n" +
		"certtrust: hint: do \"x\"\n" +
		"143 certificates\n"
	if errs.String() != want || out.Len() != 0 {
		t.Errorf("got %q on Err and %q on Out, want %q on Err", errs, out, want)
	}
}

func TestMessagesArePaintedOnlyOnATerminal(t *testing.T) {
	for _, tty := range []bool{false, true} {
		s, _, errs := Test("")
		s.Color, s.ErrTTY = true, tty
		s.Errorf("x")
		if got := strings.Contains(errs.String(), "\x1b[31m"); got != tty {
			t.Errorf("ErrTTY %v: %q", tty, errs)
		}
	}
}

func TestSafe(t *testing.T) {
	for in, want := range map[string]string{
		`C:\Program Files`:       `C:\Program Files`,
		"a\x1b[31mb":             `a\u001b[31mb`,
		"\u202eevil\\":           `\u202eevil\`,
		"two\nlines":             `two\nlines`,
		"zero\u200bwidth":        `zero\u200bwidth`,
		"証明書 Ünïcode":            "証明書 Ünïcode",
		"\xff":                   `\xff`,
		"separator\u2028\u2029.": `separator\u2028\u2029.`,
	} {
		got := Safe(in)
		if got != want {
			t.Errorf("Safe(%q) = %q, want %q", in, got, want)
		}
		if again := Safe(got); again != got {
			t.Errorf("Safe(Safe(%q)) = %q, want %q", in, again, got)
		}
	}
	if got := Safe(store.Printable("a\\b\u202e")); got != `a\\b\u202e` {
		t.Errorf("Safe changed printable text to %q", got)
	}
}

func TestColor(t *testing.T) {
	for _, test := range []struct {
		env      map[string]string
		terminal bool
		want     bool
	}{
		{nil, false, false},
		{nil, true, true},
		{map[string]string{"TERM": "dumb"}, true, false},
		{map[string]string{"NO_COLOR": "1"}, true, false},
		{map[string]string{"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, true, false},
		{map[string]string{"CLICOLOR_FORCE": "1"}, false, true},
		{map[string]string{"CLICOLOR_FORCE": "0"}, false, false},
	} {
		env := func(name string) string { return test.env[name] }
		if got := wantColor(env, test.terminal); got != test.want {
			t.Errorf("%v, terminal %v: color %v", test.env, test.terminal, got)
		}
	}
	s, _, _ := Test("")
	if got := s.Paint(Red, "x"); got != "x" {
		t.Errorf("painted without color: %q", got)
	}
	s.Color = true
	if got := s.Paint(Red, "x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("Paint = %q", got)
	}
	if got := s.Paint(Plain, "x") + s.Paint(Bold, ""); got != "x" {
		t.Errorf("painted nothing, or plainly: %q", got)
	}
}

// terminal returns streams that a person seems to sit at.
func terminal(in io.Reader) (*Streams, func() string) {
	s, _, errs := Test("")
	s.In, s.InTTY, s.OutTTY, s.ErrTTY = in, true, true, true
	return s, errs.String
}

func TestConfirm(t *testing.T) {
	for _, test := range []struct {
		in        string
		def, want bool
		asked     int
	}{
		{"y\n", false, true, 1},
		{"YES\r\n", false, true, 1},
		{"n\n", true, false, 1},
		{"\n", true, true, 1},
		{"\n", false, false, 1},
		{"perhaps\nno\n", true, false, 2},
		{"y", false, true, 1},
	} {
		s, errs := terminal(strings.NewReader(test.in))
		got, err := s.Confirm("trust it?", test.def)
		if err != nil || got != test.want || strings.Count(errs(), "trust it? [") != test.asked {
			t.Errorf("%q, default %v: %v, %v, asked %q", test.in, test.def, got, err, errs())
		}
	}
}

func TestAnswersAreReadOneByOne(t *testing.T) {
	s, _ := terminal(strings.NewReader("y\nsecret\nrest"))
	if yes, err := s.Confirm("go on?", false); !yes || err != nil {
		t.Fatal(yes, err)
	}
	if password, err := s.Password("password"); string(password) != "secret" || err != nil {
		t.Fatalf("%q, %v", password, err)
	}
	if rest, _ := io.ReadAll(s.In); string(rest) != "rest" {
		t.Errorf("%q is left to read", rest)
	}
}

func TestNoAnswer(t *testing.T) {
	for _, test := range []struct {
		name         string
		inTTY, errTY bool
	}{{"no terminal", false, false}, {"piped input", false, true}, {"piped errors", true, false}, {"end of input", true, true}} {
		s, out, errs := Test("y\n")
		s.InTTY, s.ErrTTY = test.inTTY, test.errTY
		if s.CanAsk() {
			s.In = strings.NewReader("")
		}
		if yes, err := s.Confirm("sure?", true); yes || !errors.Is(err, store.ErrConsent) {
			t.Errorf("%s: Confirm = %v, %v", test.name, yes, err)
		}
		if _, err := s.Password("password"); !errors.Is(err, store.ErrSecret) {
			t.Errorf("%s: Password = %v", test.name, err)
		}
		if !s.CanAsk() && out.Len()+errs.Len() > 0 {
			t.Errorf("%s: asked all the same: %q", test.name, errs)
		}
	}
}

func TestInterruptEndsAQuestion(t *testing.T) {
	never, w := io.Pipe()
	defer w.Close() // lets the read go that the interrupt left behind
	s, _ := terminal(never)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.Stop = ctx.Done()
	if _, err := s.Confirm("sure?", true); !errors.Is(err, context.Canceled) {
		t.Errorf("Confirm: %v", err)
	}
	if _, err := s.Password("password"); !errors.Is(err, context.Canceled) {
		t.Errorf("Password: %v", err)
	}
}

func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, errs := terminal(strings.NewReader(""))
		s.Status("quick")
		time.Sleep(statusDelay - 1)
		s.Status("")
		time.Sleep(2 * statusDelay)
		if got := errs(); got != "" {
			t.Fatalf("shown for work under a second: %q", got)
		}

		s.errWidth = 10
		s.Status("one\x1b[2J")
		time.Sleep(2 * statusDelay)
		synctest.Wait()
		s.Status("two")
		s.Noticef("by the way")
		s.Status("")
		want := `one\u001b` // cut to the terminal's width less one
		want = want[:8] + "…" + "\r\x1b[K" + "two" + "\r\x1b[K" + "by the way\n" + "two" + "\r\x1b[K"
		if got := errs(); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
	s, _, errs := Test("")
	s.Status("never without a terminal")
	if s.timer != nil || errs.Len() > 0 {
		t.Error("progress without a terminal")
	}
}
