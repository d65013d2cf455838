package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// given is a certificate that a command line names, and where it is from.
type given struct {
	cert *store.Cert
	from string // the file, "-", the address, or the fingerprint
	item certfile.Item
	// remote: it came over the network, and anybody may have sent it.
	remote bool
	// server: it is what a server says that it is itself.
	server bool
}

// source names where it is from, for a message.
func (g given) source() string {
	if g.from == "-" {
		return "standard input"
	}
	return g.from
}

// place names where it is from, and where in that.
func (g given) place() string {
	if in := g.item.Place(); in != "" {
		return g.source() + ", " + in
	}
	return g.source()
}

// passwordFlags give the password of an input.
func passwordFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "password-file", Usage: "the password of an encrypted input is the first line of `FILE`"},
		&cli.StringFlag{Name: "password-env", Usage: "or the value of the environment variable `NAME`"},
	}
}

// passwords returns those that the flags give.
func (a *App) passwords(c *cli.Context) ([][]byte, error) {
	var out [][]byte
	if file := c.String("password-file"); file != "" {
		if file == "-" && slices.Contains(c.Args().Slice(), "-") {
			return nil, usage("standard input cannot be both the password and the certificates")
		}
		secret, err := host.ReadSecretFile(file)
		if err != nil {
			return nil, err
		}
		out = append(out, secret.Bytes())
	}
	if name := c.String("password-env"); name != "" {
		value := a.Streams.Env(name)
		if value == "" {
			return nil, usage("--password-env %s: there is no such variable", store.Printable(name))
		}
		out = append(out, []byte(value))
	}
	return out, nil
}

// inputs reads the arguments of a command: files, "-" for standard input, and
// fingerprints of certificates in the stores. Several copies of a certificate
// count once. Of a fingerprint that no store has, the error is
// [store.ErrNotFound]; of one that fits several certificates, it is
// [store.ErrInput].
func (a *App) inputs(c *cli.Context, stores reader) ([]given, error) {
	if !c.Args().Present() && c.String("from") == "" {
		return nil, usageHint("certtrust help "+c.Command.Name, "%s needs a file, \"-\" or a fingerprint", c.Command.Name)
	}
	var out []given
	seen := map[store.Fingerprint]bool{}
	args := c.Args().Slice()
	if from := c.String("from"); from != "" {
		args = append(args, from)
	}
	for i, arg := range args {
		read := a.input
		if i == c.NArg() || isServer(arg) && takesRemote(c) {
			read = a.served
		}
		list, err := read(c, arg, stores)
		if err != nil {
			return nil, err
		}
		for _, g := range list {
			if !seen[g.cert.SHA256] {
				seen[g.cert.SHA256] = true
				out = append(out, g)
			}
		}
	}
	return out, nil
}

func (a *App) input(c *cli.Context, arg string, stores reader) ([]given, error) {
	var data []byte
	var err error
	remote := isURL(arg) && takesRemote(c)
	if remote {
		data, err = a.download(c, arg)
	} else {
		data, err = a.content(arg)
	}
	if errors.Is(err, fs.ErrNotExist) && looksLikeFingerprint().MatchString(arg) {
		prefix, err := store.ParseFingerprintPrefix(arg)
		if err != nil {
			return nil, usage("%s is not a file, and %s", store.Printable(arg), err)
		}
		g, err := byFingerprint(c, prefix, stores)
		if err != nil {
			return nil, err
		}
		return []given{g}, nil
	}
	if err != nil && remote {
		return nil, err
	}
	if err != nil {
		failed := &store.Error{Op: "read", Path: given{from: arg}.source(), Err: store.Because(store.ErrInput, "%w", plain(err))}
		if errors.Is(err, fs.ErrNotExist) && !strings.ContainsAny(arg, `./\`) {
			failed.Hint = "a certificate is named by its file, or by its SHA-256 fingerprint, which certtrust list --subject TEXT shows"
		}
		return nil, failed
	}
	file, err := a.readFile(c, given{from: arg}.source(), data)
	if err != nil {
		return nil, err
	}
	for _, n := range file.Notices {
		place := store.Printable(given{from: arg}.source())
		if in := n.Place(); in != "" {
			place += ", " + in
		}
		a.Streams.Warningf("%s: %s", place, n.Text)
	}
	var out []given
	for _, item := range file.Items {
		out = append(out, given{cert: item.Cert, from: arg, item: item, remote: remote})
	}
	return out, nil
}

// passwordTries is how often a person is asked for a password.
const passwordTries = 3

// readFile reads the certificates in data, with the passwords that flags give
// or a person knows.
func (a *App) readFile(c *cli.Context, name string, data []byte) (*certfile.File, error) {
	passwords, err := a.passwords(c)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		file, err := certfile.Options{Passwords: passwords}.Read(data)
		locked := errors.Is(err, store.ErrSecret) || err == nil && slices.ContainsFunc(file.Notices, func(n certfile.Notice) bool { return n.Code == certfile.Encrypted })
		if locked && a.Streams.CanAsk() && try <= passwordTries && !c.IsSet("password-file") && !c.IsSet("password-env") {
			password, asked := a.Streams.Password("Password of " + store.Printable(name))
			if asked != nil {
				return nil, asked
			}
			passwords = [][]byte{password}
			continue
		}
		if errors.Is(err, store.ErrSecret) {
			return nil, &store.Error{Op: "read", Path: name, Err: err, Hint: "give it with --password-file FILE or --password-env NAME"}
		}
		if err != nil {
			return nil, &store.Error{Op: "read", Path: name, Err: err, Hint: store.Hint(err)}
		}
		return file, nil
	}
}

// looksLikeFingerprint tells what can only be meant as a fingerprint, if it is
// no file.
var looksLikeFingerprint = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)^(sha-?256.*|[0-9a-f]+(:[0-9a-f]+)*:?)$`) })

// plain takes the operation and the path off an error of the host: they are
// told already.
func plain(err error) error {
	var e *store.Error
	if errors.As(err, &e) && e.Hint == "" {
		return e.Err
	}
	return err
}

func (a *App) content(arg string) ([]byte, error) {
	if arg != "-" {
		return a.ReadFile(arg, certfile.MaxSize)
	}
	if a.Streams.InTTY {
		a.Streams.Noticef("reading certificates from standard input")
	}
	data, err := io.ReadAll(io.LimitReader(a.Streams.In, certfile.MaxSize+1))
	if err == nil && len(data) > certfile.MaxSize {
		err = fmt.Errorf("it is larger than %d MiB", certfile.MaxSize>>20)
	}
	return data, err
}

// byFingerprint finds the one certificate in the stores whose fingerprint
// begins with prefix.
func byFingerprint(c *cli.Context, prefix store.FingerprintPrefix, stores reader) (given, error) {
	var hits []*store.Cert
	for _, r := range stores() {
		for _, e := range r.entries {
			if e.Cert == nil || !prefix.Matches(e.Cert.SHA256) {
				continue
			}
			if !slices.ContainsFunc(hits, func(h *store.Cert) bool { return h.SHA256 == e.Cert.SHA256 }) {
				hits = append(hits, e.Cert)
			}
		}
	}
	switch len(hits) {
	case 1:
		return given{cert: hits[0], from: string(prefix)}, nil
	case 0:
		missing := &store.Error{Err: store.Because(store.ErrNotFound, "no store here holds a certificate with the fingerprint %s", prefix),
			Hint: "certtrust list shows the certificates, and certtrust stores the stores"}
		return given{}, several(append(stores.failures(selector(c)), missing))
	}
	return given{}, &store.Error{Err: store.Because(store.ErrInput, "the fingerprint %s fits %d certificates: %s and %s", prefix, len(hits), hits[0].SHA256, hits[1].SHA256),
		Hint: "give more digits"}
}
