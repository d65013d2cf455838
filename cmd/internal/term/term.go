// Package term is how certtrust talks to people: its streams, colour, width,
// questions and progress.
//
// The rules of the terminal interface:
//
//   - Results go to standard output and everything else to standard error, so
//     that a pipe carries results only.
//   - Messages are single lines, "certtrust: error: …", "certtrust: warning: …"
//     and "certtrust: hint: …"; a notice is a line without a prefix. They begin
//     in lower case and end without a full stop. A hint says what to do next.
//   - A question is asked only if both standard input and standard error are
//     terminals. Otherwise the answer must have come as a flag or in a file,
//     and asking is an error: nothing ever waits for a person who is not there.
//   - Colour only helps to find things: no meaning is in it alone. It is used
//     on a terminal unless NO_COLOR is set or TERM is "dumb"; CLICOLOR_FORCE
//     turns it on elsewhere; --no-color (Streams.Color = false) wins.
//   - What is for a terminal fits its width. What is piped is never cut.
//   - Progress is for work over a second, and only on a terminal.
//   - Text from certificates, stores and the network is not trusted: it goes
//     through [store.Printable], and whatever reaches a message or a table goes
//     through [Safe] once more.
package term

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"

	"github.com/certtrust/certtrust/store"
)

// Streams is where a run of the program reads and writes. The fields are set
// before first use; the methods may then be called from several goroutines.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer

	InTTY, OutTTY, ErrTTY bool // which of them are terminals

	Width int                 // columns of Out's terminal; 0 = unlimited
	Color bool                // paint what is for a terminal
	Env   func(string) string // the environment

	// Stop ends a question that waits for its answer, such as the Done channel
	// of a context that ends with an interrupt; nil = never.
	Stop <-chan struct{}

	errWidth int
	mu       sync.Mutex // guards Err and what follows
	status   string
	timer    *time.Timer // until status may be shown
	shown    bool        // it may be
	drawn    bool        // it is on the screen
}

// System returns the streams of this process.
func System() *Streams {
	s := &Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: os.Getenv,
		InTTY:    term.IsTerminal(int(os.Stdin.Fd())),
		OutTTY:   term.IsTerminal(int(os.Stdout.Fd())),
		ErrTTY:   term.IsTerminal(int(os.Stderr.Fd())),
		errWidth: columns(os.Stderr),
	}
	if s.OutTTY {
		s.Width = columns(os.Stdout)
	}
	// On Windows a console has to be switched to escape sequences, which the
	// text package has tried by now.
	s.Color = wantColor(s.Env, s.OutTTY && text.ANSICodesSupported)
	return s
}

// Test returns streams over buffers, with in to be read, an empty environment
// and no terminal. A test that wants a terminal sets the fields.
func Test(in string) (s *Streams, out, err *bytes.Buffer) {
	out, err = new(bytes.Buffer), new(bytes.Buffer)
	return &Streams{
		In: strings.NewReader(in), Out: out, Err: err,
		Env: func(string) string { return "" },
	}, out, err
}

// Aside returns streams on which results go to Err too: for what a person has
// to see before there is a result.
func (s *Streams) Aside() *Streams {
	return &Streams{
		In: s.In, Out: s.Err, Err: s.Err, InTTY: s.InTTY, OutTTY: s.ErrTTY, ErrTTY: s.ErrTTY,
		Width: s.errWidth, Color: s.Color && s.ErrTTY, Env: s.Env, Stop: s.Stop, errWidth: s.errWidth,
	}
}

// columns returns the width of f's terminal, 0 if it is not known.
func columns(f *os.File) int {
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// wantColor decides on colour, given whether there is a terminal for it.
// See https://no-color.org and https://bixense.com/clicolors.
func wantColor(env func(string) string, terminal bool) bool {
	if env("NO_COLOR") != "" {
		return false
	}
	if force := env("CLICOLOR_FORCE"); force != "" && force != "0" {
		return true
	}
	return terminal && env("TERM") != "dumb"
}

// Style is a way to paint text: the parameters of the terminal's escape
// sequence (ECMA-48, SGR).
type Style string

// The styles. Plain changes nothing.
const (
	Plain  Style = ""
	Bold   Style = "1"
	Dim    Style = "2"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
)

// Paint returns text in a style, or as it is if there is to be no colour.
func (s *Streams) Paint(style Style, text string) string {
	if !s.Color || style == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(style) + "m" + text + "\x1b[0m"
}

// Safe returns text with everything escaped that [store.Printable] escapes
// but the backslash: text that is printable already is not changed, so that it
// may be applied again, and to paths.
func Safe(text string) string {
	parts := strings.Split(text, `\`)
	for i := range parts {
		parts[i] = store.Printable(parts[i])
	}
	return strings.Join(parts, `\`)
}

// Errorf writes an error message.
func (s *Streams) Errorf(format string, args ...any) {
	s.say("certtrust: error: ", Red, format, args)
}

// Warningf writes a warning.
func (s *Streams) Warningf(format string, args ...any) {
	s.say("certtrust: warning: ", Yellow, format, args)
}

// Hintf writes what to do about the error or warning before it.
func (s *Streams) Hintf(format string, args ...any) {
	s.say("certtrust: hint: ", Bold, format, args)
}

// Noticef writes a line that is neither a result nor a complaint.
func (s *Streams) Noticef(format string, args ...any) {
	s.say("", Plain, format, args)
}

func (s *Streams) say(prefix string, style Style, format string, args []any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ErrTTY {
		prefix = s.Paint(style, prefix)
	}
	s.wipe()
	fmt.Fprintln(s.Err, prefix+Safe(fmt.Sprintf(format, args...)))
	s.draw()
}

// statusDelay is how long work may take before its progress is shown.
const statusDelay = time.Second

// Status tells what is being done, in one line of the terminal that the next
// call rewrites. Nothing is shown unless it lasts. Status("") ends it, and must
// be called before anything is written to Out.
func (s *Streams) Status(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ErrTTY {
		return
	}
	s.status = text
	s.wipe()
	switch {
	case text == "":
		if s.timer != nil {
			s.timer.Stop()
		}
		s.timer, s.shown = nil, false
	case s.timer == nil:
		s.timer = time.AfterFunc(statusDelay, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.shown = true
			s.draw()
		})
	default:
		s.draw()
	}
}

// draw and wipe need s.mu.
func (s *Streams) draw() {
	if !s.shown || s.status == "" {
		return
	}
	width := s.errWidth
	if width == 0 {
		width = 80
	}
	fmt.Fprint(s.Err, text.Snip(Safe(s.status), width-1, "…"))
	s.drawn = true
}

func (s *Streams) wipe() {
	if s.drawn {
		fmt.Fprint(s.Err, "\r\x1b[K")
		s.drawn = false
	}
}

// CanAsk reports whether there is a person to ask.
func (s *Streams) CanAsk() bool { return s.InTTY && s.ErrTTY }

// Confirm asks a question that is answered with yes or no; an empty answer is
// def. Without a terminal, or if the answer never comes, the error is
// [store.ErrConsent].
func (s *Streams) Confirm(question string, def bool) (bool, error) {
	if !s.CanAsk() {
		return false, &store.Error{
			Err:  store.Because(store.ErrConsent, "%s: there is no terminal to ask this on", Safe(question)),
			Hint: "say yes beforehand with --yes",
		}
	}
	choices := "[y/N]"
	if def {
		choices = "[Y/n]"
	}
	answers := map[string]bool{"y": true, "yes": true, "n": false, "no": false, "": def}
	for {
		s.print(Safe(question) + " " + choices + " ")
		line, err := s.await(s.readLine)
		if err != nil {
			return false, unanswered(store.ErrConsent, err)
		}
		if answer, ok := answers[strings.ToLower(strings.TrimSpace(string(line)))]; ok {
			return answer, nil
		}
	}
}

// Password asks for a password, which is not shown while it is typed. Without
// a terminal, or if it never comes, the error is [store.ErrSecret].
func (s *Streams) Password(prompt string) ([]byte, error) {
	if !s.CanAsk() {
		return nil, &store.Error{
			Err:  store.Because(store.ErrSecret, "%s: there is no terminal to ask this on", Safe(prompt)),
			Hint: "give it in a file, with --password-file or --store-password-file",
		}
	}
	read := s.readLine
	if f, ok := s.In.(*os.File); ok {
		fd := int(f.Fd())
		state, err := term.GetState(fd)
		if err != nil {
			return nil, unanswered(store.ErrSecret, err)
		}
		// An interrupt leaves the read behind, and with it the terminal mute.
		defer term.Restore(fd, state)
		read = func() ([]byte, error) { return term.ReadPassword(fd) }
	}
	s.print(Safe(prompt) + ": ")
	password, err := s.await(read)
	s.print("\n")
	if err != nil {
		return nil, unanswered(store.ErrSecret, err)
	}
	return password, nil
}

// print writes part of a dialog, which ends a status.
func (s *Streams) print(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	s.status = ""
	fmt.Fprint(s.Err, text)
}

// await returns what read returns, unless Stop comes first.
func (s *Streams) await(read func() ([]byte, error)) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		data, err := read()
		done <- result{data, err}
	}()
	select {
	case r := <-done:
		return r.data, r.err
	case <-s.Stop:
		return nil, context.Canceled
	}
}

// unanswered returns the error for a question that got no answer: an interrupt
// is one, and not a lack of consent.
func unanswered(kind, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return store.Because(kind, "no answer: %w", err)
}

// maxLine limits what is read as an answer, in bytes.
const maxLine = 1 << 16

// readLine reads a line and not a byte more, so that what follows it is there
// for the next reader. The end of input ends a line unless that is empty.
func (s *Streams) readLine() ([]byte, error) {
	var line []byte
	var b [1]byte
	for len(line) < maxLine {
		n, err := s.In.Read(b[:])
		if n == 0 && err == nil {
			continue
		}
		if n == 0 {
			if err == io.EOF && len(line) > 0 {
				break
			}
			return nil, err
		}
		if b[0] == '\n' {
			break
		}
		line = append(line, b[0])
	}
	return bytes.TrimSuffix(line, []byte("\r")), nil
}
