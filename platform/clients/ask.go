package clients

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// Verdict is what a program did.
type Verdict string

// The verdicts.
const (
	Accepts Verdict = "accepts"
	Refuses Verdict = "refuses"
	Unknown Verdict = "unknown" // it did neither: it could not be run, not connect, or took too long
)

// Outcome is a verdict with the program's own words, which are untrusted text.
type Outcome struct {
	Verdict Verdict `json:"verdict"`
	Words   string  `json:"words,omitempty"`
}

// Answer is what a program of this machine does about a server, or a root.
type Answer struct {
	Client  string `json:"client"`
	Title   string `json:"title"`
	Program string `json:"program,omitempty"`
	Version string `json:"version,omitempty"`
	// Clean is in an environment without anything that changes trust, Own in
	// that of the caller.
	Clean Outcome `json:"clean"`
	Own   Outcome `json:"own"`
	// Control and OwnControl are about a server that nobody may accept: a program
	// that does so does not verify at all.
	Control    Outcome `json:"control"`
	OwnControl Outcome `json:"ownControl"`
	// Absent: it is not installed, or cannot be asked; Words of Clean tell why.
	Absent bool `json:"absent,omitempty"`
}

// Verifies reports whether the program refused what nobody may accept.
func (a Answer) Verifies() bool { return a.Control.Verdict == Refuses }

// Question is what programs are asked: about a server by its name, about one
// that is started here, or about a root alone.
type Question struct {
	Host string // a server's name, and its port
	Port int
	HTTP bool // it speaks HTTP

	// Issuer: a server is started on this machine with a certificate of this
	// authority.
	Issuer *Issuer
	// Served: a server is started with this certificate, which is for localhost.
	Served *Issuer

	// Root: there is no server; programs tell whether they trust this.
	Root *store.Cert

	Clients []string // IDs; nil = all that are installed
	Environ []string // of the caller, as os.Environ has it
	Self    []string // the command line that runs this program
	Timeout time.Duration
}

// Consumers returns the IDs of the programs that can be asked.
func Consumers() []string {
	var ids []string
	for _, c := range consumers() {
		ids = append(ids, c.id)
	}
	return ids
}

// askTimeout is how long a program may take for one answer.
const askTimeout = 25 * time.Second

// atOnce is how many programs run at the same time.
const atOnce = 4

// asking is one question, asked of all.
type asking struct {
	h       *host.Host
	q       Question
	rights  *host.User
	path    []string // where programs are looked for
	proxies []string
	target  *local // nil: the server is not ours
	control *local
	certs   map[*local]Issuer // with which they are
	rootPEM []byte
	controlCert,
	controlPEM []byte
}

// Ask asks the programs of this machine. Those that are not installed are among
// the answers only if they are named.
func Ask(ctx context.Context, h *host.Host, q Question) ([]Answer, error) {
	for _, id := range q.Clients {
		if !slices.Contains(Consumers(), id) {
			return nil, store.Because(store.ErrInput, "no program is known by the name %s, only %s", store.Printable(id), strings.Join(Consumers(), ", "))
		}
	}
	a := &asking{h: h, q: q}
	if q.Timeout <= 0 {
		a.q.Timeout = askTimeout
	}
	if h.EUID == 0 && h.User.UID > 0 {
		a.rights = &h.User // programs are run as whoever asked, not as root
	}
	a.readEnviron()
	if err := a.prepare(); err != nil {
		return nil, err
	}
	defer a.end()

	var chosen []consumer
	for _, c := range consumers() {
		if q.Clients == nil || slices.Contains(q.Clients, c.id) {
			chosen = append(chosen, c)
		}
	}
	answers := make([]Answer, len(chosen))
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, c := range chosen {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			answers[i] = a.ask(ctx, c)
		})
	}
	all.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if q.Clients == nil {
		answers = slices.DeleteFunc(answers, func(x Answer) bool { return x.Absent })
	}
	return answers, nil
}

func (a *asking) readEnviron() {
	list := ""
	for _, pair := range a.q.Environ {
		name, value, _ := strings.Cut(pair, "=")
		switch strings.ToLower(name) {
		case "path":
			list = value
		case "http_proxy", "https_proxy", "all_proxy", "no_proxy":
			a.proxies = append(a.proxies, pair)
		}
	}
	separator := ":"
	if a.h.OS == "windows" {
		separator = ";"
	}
	if a.h.User.Via == "" {
		for _, dir := range strings.Split(list, separator) {
			if a.h.OS == "windows" {
				dir = strings.ReplaceAll(dir, `\`, "/")
			}
			if path.IsAbs(dir) || a.h.OS == "windows" && len(dir) > 2 && dir[1] == ':' {
				a.path = append(a.path, path.Clean(dir))
			}
		}
	}
}

// prepare starts the servers that are needed.
func (a *asking) prepare() error {
	control, err := newControl()
	if err != nil {
		return err
	}
	a.controlCert = control.Certificate[0]
	a.controlPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.controlCert})
	if a.q.Root != nil {
		a.rootPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.q.Root.Raw})
		return nil
	}
	leaf, err := issueLocal(&control)
	if err == nil {
		a.control, err = serveLocal(leaf)
	}
	if err != nil {
		return err
	}
	a.certs = map[*local]Issuer{a.control: leaf}
	served := a.q.Served
	if a.q.Issuer != nil {
		leaf, err := issueLocal(a.q.Issuer)
		if err != nil {
			a.end()
			return store.Because(store.ErrInput, "the authority cannot issue a certificate for a test: %w", err)
		}
		served = &leaf
	}
	if served != nil {
		if a.target, err = serveLocal(*served); err != nil {
			a.end()
			return err
		}
		a.certs[a.target] = *served
		a.q.Host, a.q.Port, a.q.HTTP = localName, a.target.port, true
	}
	return nil
}

func (a *asking) end() {
	for _, l := range []*local{a.target, a.control} {
		if l != nil {
			l.close()
		}
	}
}

// find returns the program, as the caller would run it.
func (a *asking) find(names []string) (string, error) {
	var err error
	for _, name := range names {
		if name == "SELF" && len(a.q.Self) > 0 {
			return a.q.Self[0], nil
		}
		for _, dir := range a.path {
			if p, err := a.h.LookPath(path.Join(dir, name)); err == nil {
				return p, nil
			}
		}
		var p string
		if p, err = a.h.LookPath(name); err == nil {
			return p, nil
		}
	}
	return "", err
}

// ask asks one program.
func (a *asking) ask(ctx context.Context, c consumer) Answer {
	out := Answer{Client: c.id, Title: c.title}
	absent := func(why string) Answer {
		out.Absent = true
		out.Clean = Outcome{Unknown, why}
		out.Own, out.Control, out.OwnControl = out.Clean, out.Clean, out.Clean
		return out
	}
	programs := c.programs
	switch {
	case a.q.Root != nil && c.holds == nil:
		return absent("it can only be asked about a server: name one, or give the authority's key")
	case a.q.Root == nil && c.http && !a.q.HTTP:
		return absent("it speaks only HTTP")
	case a.q.Root == nil && a.target == nil && c.id == "firefox":
		return absent("it can only be asked about a server on this machine: give the authority's key")
	case a.q.Root == nil && a.target == nil && c.byRequest && a.h.EUID == 0 && a.rights == nil:
		return absent("root would open what the server sends outside of any sandbox: ask as another user")
	case a.q.Root != nil && c.holds.program != "":
		programs = []string{c.holds.program}
	}
	program, err := a.find(programs)
	if err != nil {
		return absent("it is not installed")
	}
	out.Program = program
	version := c.version
	if version == nil {
		version = []string{"--version"}
	}
	if a.q.Root != nil && c.holds.program != "" {
		version = nil
	}
	if c.module != nil {
		version = c.module
	}
	if version != nil {
		text, err := a.h.Run(ctx, a.command(c, program, version, "", true))
		if c.module != nil && err != nil {
			return absent("it is not installed for " + program)
		}
		out.Version = firstLine(text.Stdout, text.Stderr)
	}
	// The controls first: they warm up what has to be.
	for _, run := range []struct {
		to      *Outcome
		control bool
		own     bool
	}{{&out.Control, true, false}, {&out.Clean, false, false}, {&out.OwnControl, true, true}, {&out.Own, false, true}} {
		*run.to = a.run(ctx, c, program, run.control, run.own)
	}
	return out
}

func firstLine(texts ...[]byte) string {
	for _, text := range texts {
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, javaPicked) {
				return store.Printable(cut(line))
			}
		}
	}
	return ""
}

// command makes a command in the clean environment, or in the caller's.
func (a *asking) command(c consumer, program string, args []string, dir string, own bool) host.Command {
	if len(a.q.Self) > 1 && program == a.q.Self[0] {
		args = slices.Concat(a.q.Self[1:], args)
	}
	cmd := host.Command{Args: append([]string{program}, args...), Timeout: a.q.Timeout, Keep: 4 << 20, Rights: a.rights}
	if own {
		cmd.Env = slices.Clone(a.q.Environ)
	} else {
		cmd.Env = append(cmd.Env, "PATH="+path.Dir(program)+":"+path.Join(path.Dir(program), "../bin")+":/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin")
		if a.h.OS == "windows" {
			cmd.Env = nil
		}
		if a.target == nil && a.q.Root == nil {
			cmd.Env = append(cmd.Env, a.proxies...)
		}
		cmd.Env = append(cmd.Env, c.clean...)
		if c.bare {
			cmd.Env = append(cmd.Env, "HOME="+cmp.Or(dir, "/nonexistent"))
		}
	}
	// What they say is looked at, in English; and names of files need not be ASCII.
	cmd.Env = append(cmd.Env, "LC_ALL=C.UTF-8", "LANGUAGE=")
	for _, pair := range c.env {
		cmd.Env = append(cmd.Env, strings.NewReplacer("DIR", dir, secondsMark, a.seconds()).Replace(pair))
	}
	if a.rights != nil && own {
		cmd.Env = append(cmd.Env, "HOME="+a.rights.Home, "USER="+a.rights.Name, "LOGNAME="+a.rights.Name)
	}
	return cmd
}

// run asks one program one thing.
func (a *asking) run(ctx context.Context, c consumer, program string, control, own bool) Outcome {
	dir := ""
	if c.dir || a.q.Root != nil {
		made, remove, err := a.h.TempDir(a.rights)
		if err != nil {
			return Outcome{Unknown, plain(err)}
		}
		defer remove()
		dir = made
		files := map[string][]byte{}
		for name, data := range c.files {
			files[name] = bytes.ReplaceAll(data, []byte(secondsMark), []byte(a.seconds()))
		}
		if a.q.Root != nil {
			files["ca.pem"] = a.rootPEM
			if control {
				files["ca.pem"] = a.controlPEM
			}
		}
		for name, data := range files {
			if err := a.h.WriteFile(path.Join(dir, name), data, host.WriteOptions{Mode: 0o644}); err != nil {
				return Outcome{Unknown, plain(err)}
			}
		}
	}
	if a.q.Root != nil {
		return a.runHolds(ctx, c, program, dir, control, own)
	}
	server, name, port := a.target, a.q.Host, a.q.Port
	if control {
		server, name, port = a.control, localName, a.control.port
	}
	if c.byRequest && server != nil {
		// One of its own: which browser has sent an alert is not told otherwise.
		own, err := serveLocal(a.certs[server])
		if err != nil {
			return Outcome{Unknown, plain(err)}
		}
		defer own.close()
		server, port = own, own.port
	}
	token := ""
	address := name
	if strings.Contains(name, ":") {
		address = "[" + name + "]"
	}
	url := fmt.Sprintf("https://%s:%d/", address, port)
	if server != nil {
		token = c.id
		if own {
			token += "-own"
		}
		url += token + "/"
	}
	fill := strings.NewReplacer("URL", url, "HOST", name, "PORT", strconv.Itoa(port), "DIR", dir)
	var args []string
	for _, arg := range c.args {
		arg = strings.ReplaceAll(arg, secondsMark, a.seconds())
		if !strings.Contains(arg, "\n") { // it is no program text
			arg = fill.Replace(arg)
		}
		args = append(args, arg)
	}
	if c.id == "chromium" && a.h.EUID == 0 && a.rights == nil {
		args = append([]string{"--no-sandbox"}, args...)
	}
	cmd := a.command(c, program, args, dir, own)
	for i, pair := range cmd.Env {
		if name, is := strings.CutSuffix(pair, "=URL"); is && slices.Contains(c.env, pair) {
			cmd.Env[i] = name + "=" + url
		}
	}
	if server != nil {
		cmd.Env = append(cmd.Env, "no_proxy=localhost,127.0.0.1", "NO_PROXY=localhost,127.0.0.1")
	}
	if c.byRequest && server != nil {
		return a.watch(ctx, cmd, server)
	}
	out, err := a.h.Run(ctx, cmd)
	text := string(out.Stdout) + "\n" + string(out.Stderr)
	reached := server != nil && server.reached(token)
	var exit *host.ExecError
	ended := err == nil || errors.As(err, &exit) && exit.ExitCode >= 0
	switch {
	case c.refuses != nil && c.refuses().MatchString(text) && !reached:
		return Outcome{Refuses, matchedLine(c, text)}
	case reached:
		return Outcome{Accepts, ""}
	case c.fails != nil && c.fails().MatchString(text):
	case err == nil, ended && c.accepts != nil && c.accepts().MatchString(text):
		return Outcome{Accepts, ""}
	}
	return Outcome{Unknown, said(out, err)}
}

// noConnection are the words of programs that did not reach a server, or one that
// does not speak TLS.
var noConnection = re(`(?i)refused|timed? ?out|unreachable|no route to host|(could not|couldn't|cannot|can't|failed to|unable to) (be )?(resolve|lookup)|dns error|` +
	`can't load|not known|temporary failure|enotfound|eai_again|getaddrinfo|unknownhost|err_name|err_connection|connection (error|reset|closed)|no such host|` +
	`wrong.version|wrong_version|packet.length|unexpected tls|corrupt message|invalidcontenttype|does not look like a tls|unrecognized ssl|http response to https`)

// said returns what a program that gave no answer has said: the line that tells
// of the connection, or else its last one. What is indented is a program's text, in
// a trace of calls, or belongs to a line before.
func said(out host.Output, err error) string {
	var told, indented, last string
	for _, text := range [][]byte{out.Stderr, out.Stdout} {
		end := ""
		for l := range strings.Lines(string(text)) {
			line := strings.TrimSpace(l)
			switch about := noConnection().MatchString(line); {
			case line == "" || strings.HasPrefix(line, javaPicked):
				continue
			case about && line[0] == l[0]:
				told = cmp.Or(told, line)
			case about:
				indented = cmp.Or(indented, line)
			}
			end = line
		}
		last = cmp.Or(last, end)
	}
	words := store.Printable(cut(cmp.Or(told, indented, last)))
	switch {
	case words == "":
		return plain(err)
	case !errors.Is(err, context.DeadlineExceeded):
		return words
	case told != "":
		return plain(err) + ": " + words
	}
	return plain(err)
}

// secondsMark stands for how long a program may wait for a server.
const secondsMark = "SECONDS"

// seconds is that time: a bit less than what it is ended after, so that it can say
// for itself that it was too long.
func (a *asking) seconds() string {
	return strconv.Itoa(max(1, int(a.q.Timeout*4/5/time.Second)))
}

// javaPicked begins the lines in which Java tells which variables it has read.
const javaPicked = "Picked up "

// watch runs a program until the server knows what it does: browsers show a page
// either way, and some never end.
func (a *asking) watch(ctx context.Context, cmd host.Command, server *local) Outcome {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		_, err := a.h.Run(ctx, cmd)
		ended <- err
	}()
	decided := func(alert string) Outcome {
		if alert != "" {
			return Outcome{Refuses, store.Printable(cut(alert))}
		}
		return Outcome{Accepts, ""}
	}
	select {
	case alert := <-server.first:
		stop()
		<-ended
		return decided(alert)
	case err := <-ended:
		select {
		case alert := <-server.first:
			return decided(alert)
		default:
		}
		return Outcome{Unknown, cmp.Or(plain(err), "it ended without a connection")}
	}
}

// runHolds asks whether a root is trusted.
func (a *asking) runHolds(ctx context.Context, c consumer, program, dir string, control, own bool) Outcome {
	var args []string
	for _, arg := range c.holds.args {
		args = append(args, strings.ReplaceAll(arg, "DIR", dir))
	}
	out, err := a.h.Run(ctx, a.command(c, program, args, dir, own))
	var exit *host.ExecError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode >= 0) {
		return Outcome{Unknown, plain(err)}
	}
	if !c.holds.lists {
		if err == nil {
			return Outcome{Accepts, ""}
		}
		return Outcome{Refuses, plain(err)}
	}
	if err != nil || !bytes.Contains(out.Stdout, []byte("BEGIN CERTIFICATE")) {
		return Outcome{Unknown, cmp.Or(plain(err), "it names none of its roots")}
	}
	want := a.controlCert
	if !control {
		want = a.q.Root.Raw
	}
	// Base64 is the same for everybody but for its lines.
	packed := strings.NewReplacer("\n", "", "\r", "").Replace(string(out.Stdout))
	if strings.Contains(packed, base64.StdEncoding.EncodeToString(want)) {
		return Outcome{Accepts, ""}
	}
	return Outcome{Refuses, "it is not among the roots that it names"}
}

// matchedLine returns the line in which a program says that it refuses.
func matchedLine(c consumer, text string) string {
	if c.refuses != nil {
		for line := range strings.Lines(text) {
			if c.refuses().MatchString(line) {
				return store.Printable(cut(strings.TrimSpace(line)))
			}
		}
	}
	return firstLine([]byte(text))
}

func plain(err error) string {
	if err == nil {
		return ""
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "it took too long"
	}
	return store.Printable(cut(err.Error()))
}

// errNotTrusted is what programs in Go say.
var errNotTrusted = errors.New("x509: certificate signed by unknown authority")

// HeldByGo reports whether what programs in Go trust here holds a certificate.
func HeldByGo(der []byte) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return err
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return errors.Join(errNotTrusted, err)
	}
	return nil
}
