package app

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/render"
	"github.com/certtrust/certtrust/platform"
	"github.com/certtrust/certtrust/platform/clients"
	"github.com/certtrust/certtrust/platform/probe"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
	"github.com/certtrust/certtrust/store/diagnose"
	"github.com/certtrust/certtrust/store/roots"
)

func (a *App) verifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "tell whether a certificate, a chain or a server is trusted here, by each store, and by the programs themselves",
		ArgsUsage: "FILE|CHAIN|-|HOST|HOST:PORT|URL",
		Description: `Judges by every store, and by the platform's own verifier where there is one.
With --with it asks real programs: each is run here, once as it is and once in
your environment, and each must first refuse a server that nobody may accept:
what does not verifies nothing. Nothing is changed.

   certtrust verify www.example.com
   certtrust verify chain.pem --host www.example.com --at 2027-01-01
   certtrust verify chain.pem --roots ca.pem --host www.example.com
   certtrust verify www.example.com --with all
   certtrust verify ca.pem --with openssl,java        what they have as roots
   certtrust verify ca.pem --with curl --key ca.key   a server on this machine

Exit codes: 0 trusted by the system's store and the browsers, or by the stores
that are named, and by the programs that were asked; 3 not trusted, or a program
does not verify; 8 no verdict.`,
		Flags: slices.Concat(targetFlags(), selectFlags(), passwordFlags(), withFlags(), []cli.Flag{
			&cli.StringFlag{Name: "roots", Usage: "judge by the certificates in `FILE` alone, and by no store"},
			&cli.StringFlag{Name: "host", Usage: "of a file: it is to be for the server `NAME`"},
			&cli.StringFlag{Name: "at", Usage: "judge as of `TIME` (RFC 3339, or a date)", DefaultText: "now"},
			langFlag(),
			formatFlag(render.Formats()),
		}),
		Action: a.verify,
	}
}

// withFlags say which programs are asked, and how.
func withFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "with", Usage: "ask real `PROGRAMS`: all, or of " + strings.Join(clients.Consumers(), ", ")},
		&cli.StringFlag{Name: "key", Usage: "the private key of the authority, or of the server, in `FILE` (PEM): programs are asked about a server on this machine"},
	}
}

// verification is what is to be verified.
type verification struct {
	target  diagnose.Target
	capture diagnose.Capture
	chain   []*store.Cert
	file    []byte // what the certificates are from, nil for a server
	name    string // of that
	host    string // that it has to be for, "" = any
}

func (a *App) verify(c *cli.Context) error {
	if c.NArg() != 1 {
		return usageHint("certtrust help verify", "verify needs one FILE, HOST, HOST:PORT or URL")
	}
	v, err := a.verification(c)
	if err != nil {
		return err
	}
	doc := render.NewVerifyDoc(v.name, v.host)
	var errs []error
	d, err := a.verifier(c)
	if err != nil {
		return err
	}
	doc.Lang = d.lang
	if v.file != nil && v.host == "" && len(v.chain) > 0 && v.chain[0].IsCA() {
		judgeAuthority(&doc, v.chain, d.base.Views, d.base.Now)
	} else {
		judged := d.judge(resultOf(c).untimed, v.capture)
		doc.Verdict, doc.Summary, doc.Time = string(judged.Verdict), judged.Summary, judged.Time
		for _, view := range judged.Stores {
			doc.Stores = append(doc.Stores, render.NewVerifyStore(view))
		}
		for _, cause := range judged.Causes {
			doc.Causes = append(doc.Causes, render.VerifyCause{Code: cause.Code, Summary: cause.Summary, Stores: cause.Stores})
		}
	}
	if !c.IsSet("roots") {
		doc.Platform = a.platformVerdicts(c, v, d.base.Now)
		errs = append(errs, d.unread(selector(c))...)
	}
	if c.IsSet("with") || c.IsSet("key") { // last: each of them has its own time
		if doc.Clients, err = a.askPrograms(c, v); err != nil {
			return err
		}
	}
	errs = append(errs, doc.Errors(func(unknown bool, text string) error {
		err := &store.Error{Err: isFindings(unknown, text)}
		if v.file == nil { // what diagnose is for
			err.Hint = "certtrust diagnose " + store.ShellWord(v.name) + " tells why, and what to do"
		}
		return err
	})...)
	err = several(errs)
	if written := a.write(c, doc); written != nil {
		return written
	}
	return err
}

// judgeAuthority judges an authority, which is no server: whether a store trusts
// it to vouch for servers, itself or by who issued it.
func judgeAuthority(doc *render.VerifyDoc, chain []*store.Cert, views []diagnose.View, now time.Time) {
	ca := chain[0]
	doc.Time, doc.Verdict = now, string(diagnose.Trusted)
	for _, v := range views {
		out := render.VerifyStore{ID: string(v.Info.ID), Title: v.Info.Title, UsedBy: v.Info.Readers, Counts: v.Counts, Verdict: "untrusted"}
		anchor, code := authorityIn(v, chain, now)
		switch {
		case v.Err != nil && len(v.Entries) == 0:
			out.Verdict, out.Error = "unknown", v.Err.Error()
		case anchor != nil:
			out.Verdict, out.Anchor = "trusted", anchor.SHA256.String()
		default:
			out.Causes = []string{code}
			if v.Counts {
				doc.Verdict = string(diagnose.Untrusted)
			}
			i := slices.IndexFunc(doc.Causes, func(c render.VerifyCause) bool { return c.Code == code })
			if i < 0 {
				i = len(doc.Causes)
				doc.Causes = append(doc.Causes, render.VerifyCause{Code: code, Summary: authorityCodes[code].In(doc.Lang, store.Printable(ca.Label()))})
			}
			doc.Causes[i].Stores = append(doc.Causes[i].Stores, out.ID)
		}
		doc.Stores = append(doc.Stores, out)
	}
	doc.Summary = authorityTrusted.In(doc.Lang, store.Printable(ca.Label()))
	if doc.Verdict != string(diagnose.Trusted) {
		doc.Summary = authorityUntrusted.In(doc.Lang, store.Printable(ca.Label()))
	} else {
		doc.Causes = nil
	}
}

var (
	authorityTrusted   = diagnose.Text{EN: "\"%s\" is trusted.", JA: "「%s」は信頼されています。"}
	authorityUntrusted = diagnose.Text{EN: "\"%s\" is not trusted.", JA: "「%s」は信頼されていません。"}
)

// authorityCodes are the causes for which an authority is not trusted, in the
// words of a diagnosis.
var authorityCodes = map[string]diagnose.Text{
	"trust.distrusted":     {EN: "\"%s\" is distrusted.", JA: "「%s」は「信頼しない」と設定されています。"},
	"trust.wrong_purpose":  {EN: "\"%s\" is trusted, but not to vouch for servers.", JA: "「%s」は信頼されていますが、サーバー証明書の用途ではありません。"},
	"trust.untrusted_root": {EN: "\"%s\" is not among the trusted roots, and none of them has issued it.", JA: "「%s」は信頼されたルート証明書になく、それらが発行したものでもありません。"},
	"time.root_expired":    {EN: "\"%s\" has expired.", JA: "「%s」は期限が切れています。"},
	"time.not_yet_valid":   {EN: "\"%s\" is not valid yet.", JA: "「%s」の有効期間はまだ始まっていません。"},
	"trust.unknown_issuer": {EN: "\"%s\" was not issued by a trusted root.", JA: "「%s」の発行者は信頼されたルート証明書ではありません。"},
	"chain.malformed":      {EN: "\"%s\" cannot be read as programs read it.", JA: "「%s」はプログラムが読み取れる形式ではありません。"},
}

// authorityIn returns what a store trusts the authority by, or the reason why it
// does not.
func authorityIn(v diagnose.View, chain []*store.Cert, now time.Time) (*store.Cert, string) {
	ca := chain[0]
	code := "trust.untrusted_root"
	if !ca.SelfIssued() {
		code = "trust.unknown_issuer"
	}
	anchors, between := x509.NewCertPool(), x509.NewCertPool()
	held := map[store.Fingerprint]*store.Cert{}
	for _, e := range v.Entries {
		if e.Cert == nil {
			continue
		}
		same := e.Cert.SHA256 == ca.SHA256
		switch e.Trust.For(store.PurposeServerAuth) {
		case store.Trusted:
			held[e.Cert.SHA256] = e.Cert
			if e.Cert.Parsed() != nil {
				anchors.AddCert(e.Cert.Parsed())
			}
		case store.Distrusted:
			if same {
				return nil, "trust.distrusted"
			}
		default:
			if same && e.Trust.Has(store.Trusted) {
				code = "trust.wrong_purpose"
			}
		}
	}
	if v.Programme { // its readers bring the public roots along
		for _, c := range chain {
			if root, public := roots.Mozilla().ByFingerprint(c.SHA256); public && root.Cert.Parsed() != nil {
				held[c.SHA256] = root.Cert
				anchors.AddCert(root.Cert.Parsed())
			}
		}
		for _, root := range roots.Mozilla().BySubject(chain[len(chain)-1].Issuer.Raw) {
			if root.Cert.Parsed() != nil {
				held[root.Cert.SHA256] = root.Cert
				anchors.AddCert(root.Cert.Parsed())
			}
		}
	}
	switch {
	case now.After(ca.NotAfter):
		return nil, "time.root_expired"
	case now.Before(ca.NotBefore):
		return nil, "time.not_yet_valid"
	case held[ca.SHA256] != nil:
		return held[ca.SHA256], ""
	case ca.Parsed() == nil:
		return nil, "chain.malformed"
	}
	for _, c := range chain[1:] {
		if c.Parsed() != nil {
			between.AddCert(c.Parsed())
		}
	}
	paths, err := ca.Parsed().Verify(x509.VerifyOptions{Roots: anchors, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return nil, code
	}
	path := paths[0]
	return held[store.FingerprintOf(path[len(path)-1].Raw)], ""
}

// isFindings makes an error of what was found.
func isFindings(unknown bool, text string) error {
	if unknown {
		return store.Because(store.ErrNoVerdict, "%s", text)
	}
	return store.Because(store.ErrFindings, "%s", text)
}

// verification reads the argument: a file, if there is one of that name, else a
// server.
func (a *App) verification(c *cli.Context) (*verification, error) {
	arg := c.Args().First()
	v := &verification{name: arg}
	data, err := a.content(arg)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist) && !looksLikeFile(arg):
		return v, a.verifyServer(c, v, arg)
	default:
		return nil, &store.Error{Op: "read", Path: given{from: arg}.source(), Err: store.Because(store.ErrInput, "%w", plain(err))}
	}
	v.file, v.name = data, given{from: arg}.source()
	file, err := a.readFile(c, v.name, data)
	if err != nil {
		return nil, err
	}
	for _, item := range file.Items {
		v.chain = append(v.chain, item.Cert)
		v.capture.Certificates = append(v.capture.Certificates, item.Cert.Raw)
	}
	v.target.Input = arg
	if c.IsSet("host") {
		if v.target, err = a.target(c, c.String("host")); err != nil {
			return nil, err
		}
		v.host = v.target.Host
	}
	v.capture.Target = v.target
	return v, nil
}

// looksLikeFile tells what is meant as a file, even if there is none.
func looksLikeFile(arg string) bool {
	return strings.ContainsAny(arg, `\`) || strings.HasPrefix(arg, ".") || strings.HasPrefix(arg, "/") ||
		slices.Contains([]string{".pem", ".crt", ".cer", ".der", ".p7b", ".p12", ".pfx", ".jks"}, strings.ToLower(filepath.Ext(arg)))
}

func (a *App) verifyServer(c *cli.Context, v *verification, arg string) error {
	if c.IsSet("host") {
		return usage("--host is for a file: with a server, --sni says which name it is asked for")
	}
	target, err := a.target(c, arg)
	if err != nil {
		return err
	}
	timeout := probeTimeout
	if t := resultOf(c).timeout; t > 0 {
		timeout = t
	}
	a.Streams.Status("asking " + store.Printable(arg))
	v.capture = *probe.Probe(resultOf(c).untimed, target, probe.Options{Timeout: timeout})
	a.Streams.Status("")
	v.target, v.host = target, target.Name()
	for _, der := range v.capture.Certificates {
		v.chain = append(v.chain, store.NewCert(der))
	}
	return c.Context.Err()
}

// verifier returns what judges: the stores, or the roots of a file.
func (a *App) verifier(c *cli.Context) (*diagnosis, error) {
	if !c.IsSet("roots") {
		d, err := a.newDiagnosis(c)
		if err != nil {
			return nil, err
		}
		d.fetch = false // here it counts what was sent
		return d, nil
	}
	if !selector(c).Empty() {
		return nil, usage("--roots judges by a file alone: leave out the stores")
	}
	lang, err := a.language(c)
	if err != nil {
		return nil, err
	}
	now, err := a.when(c)
	if err != nil {
		return nil, err
	}
	file := c.String("roots")
	data, err := a.content(file)
	if err != nil {
		return nil, &store.Error{Op: "read", Path: given{from: file}.source(), Err: store.Because(store.ErrInput, "%w", plain(err))}
	}
	held, err := a.readFile(c, given{from: file}.source(), data)
	if err != nil {
		return nil, err
	}
	id := store.ID("file:" + store.Printable(given{from: file}.source()))
	view := diagnose.View{Counts: true, Info: store.Info{ID: id, Backend: "file", Title: "the roots in " + store.Printable(given{from: file}.source()), Scope: store.ScopeUser}}
	for _, item := range held.Items {
		if !item.Distrusted {
			view.Entries = append(view.Entries, store.Entry{Cert: item.Cert, Label: item.Cert.Label(), Trust: store.TrustFor(store.Trusted, store.PurposeAny)})
		}
	}
	return &diagnosis{app: a, lang: lang, base: diagnose.Input{Views: []diagnose.View{view}, Now: now, At: c.IsSet("at"), Built: built(), OS: a.Host.OS, Lang: lang}}, nil
}

// platformVerdicts asks the verifiers of the platform.
func (a *App) platformVerdicts(c *cli.Context, v *verification, now time.Time) []render.VerifyPlatform {
	found, err := a.stores(c)
	if err != nil || len(v.chain) == 0 {
		return nil
	}
	var out []render.VerifyPlatform
	for _, f := range found {
		verifier, ok := f.Store.(store.Verifier)
		if !ok {
			continue
		}
		p := render.VerifyPlatform{Store: f.Info().ID}
		verdict, err := verifier.Verify(c.Context, v.chain, store.PurposeServerAuth, v.host, now)
		p.Verdict, p.Error = verdict, render.NewErrorInfo(err)
		out = append(out, p)
	}
	return out
}

// askPrograms asks the programs that --with names, all without it.
func (a *App) askPrograms(c *cli.Context, v *verification) ([]render.VerifyClient, error) {
	q := clients.Question{Environ: a.Environ, Self: a.Self}
	if names := c.String("with"); names != "" && names != "all" {
		q.Clients = strings.FieldsFunc(names, func(r rune) bool { return r == ',' || r == ' ' })
	}
	if t := resultOf(c).timeout; t > 0 {
		q.Timeout = t
	}
	if err := a.asked(c, v, &q); err != nil {
		return nil, err
	}
	a.Streams.Status("asking the programs of this machine")
	answers, err := clients.Ask(resultOf(c).untimed, a.Host, q)
	a.Streams.Status("")
	if err != nil {
		return nil, err
	}
	overrides := clients.Overrides(resultOf(c).untimed, a.Host, a.Environ)
	var out []render.VerifyClient
	for _, answer := range answers {
		x := render.VerifyClient{Answer: answer}
		for _, o := range overrides {
			if o.Client == answer.Client {
				because := o.Source
				if o.Name != o.Source { // a setting in a file, and no variable
					because += ": " + o.Name
				}
				x.Because = append(x.Because, store.Printable(because))
			}
		}
		out = append(out, x.Judged())
	}
	return out, nil
}

// asked says what the programs are asked about: the server, one on this machine
// if there is a key, or a root alone.
func (a *App) asked(c *cli.Context, v *verification, q *clients.Question) error {
	if v.file == nil {
		if c.IsSet("key") {
			return usage("--key goes with a file: a server has its own")
		}
		if v.target.StartTLS != "" || v.target.Connect != "" {
			return usage("--with asks for servers with TLS from the start, and by their name")
		}
		q.Host, q.Port, q.HTTP = v.target.Host, v.target.Port, v.target.HTTPS
		return nil
	}
	key, err := a.privateKey(c, v)
	if err != nil {
		return err
	}
	root := v.chain[0]
	if key == nil {
		if !root.IsCA() {
			return &store.Error{Path: v.name, Err: store.Because(store.ErrInput, "programs can be asked about a server's certificate only with its key"), Hint: "give --key FILE, or the server's name instead of the file"}
		}
		q.Root = root
		return nil
	}
	i := slices.IndexFunc(v.chain, func(x *store.Cert) bool { return x.Parsed() != nil && belongs(x.Parsed(), key) })
	if i < 0 {
		return &store.Error{Path: v.name, Err: store.Because(store.ErrInput, "the key belongs to none of the certificates")}
	}
	served := &clients.Issuer{PrivateKey: key}
	for _, x := range v.chain[i:] {
		served.Certificate = append(served.Certificate, x.Raw)
	}
	if v.chain[i].IsCA() {
		q.Issuer = served
		return nil
	}
	if err := v.chain[i].Parsed().VerifyHostname("localhost"); err != nil {
		return &store.Error{Path: v.name, Err: store.Because(store.ErrInput, "it is not for localhost, where the programs would be asked about it: %w", err), Hint: "give the key of the authority that issued it, or the server's name instead of the file"}
	}
	q.Served = served
	return nil
}

func belongs(cert *x509.Certificate, key crypto.PrivateKey) bool {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return false
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(cert.PublicKey)
}

// privateKey returns the key that goes with a file: that of --key, one in the
// file itself, or the one beside it that mkcert has made. It is nil if there is
// none. It stays in memory.
func (a *App) privateKey(c *cli.Context, v *verification) (crypto.PrivateKey, error) {
	file := c.String("key")
	if file != "" {
		data, err := a.content(file)
		if err != nil {
			return nil, &store.Error{Op: "read", Path: file, Err: store.Because(store.ErrInput, "%w", plain(err))}
		}
		key := readKey(data)
		if key == nil {
			return nil, &store.Error{Op: "read", Path: file, Err: store.Because(store.ErrInput, "there is no private key in it that can be read without a password")}
		}
		return key, nil
	}
	if key := readKey(v.file); key != nil {
		return key, nil
	}
	if filepath.Base(v.name) == "rootCA.pem" {
		if data, err := a.content(filepath.Join(filepath.Dir(v.name), "rootCA-key.pem")); err == nil {
			return readKey(data), nil
		}
	}
	return nil, nil
}

// readKey returns the first private key in PEM.
func readKey(data []byte) crypto.PrivateKey {
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return nil
		}
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			return key
		}
		if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
			return key
		}
		if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
			return key
		}
		data = rest
	}
}

// The program as one of the programs that are asked: as any in Go.
const (
	dialCommandName  = "__dial"
	holdsCommandName = "__holds"
)

func (a *App) dialCommand() *cli.Command {
	return &cli.Command{
		Name: dialCommandName, Hidden: true,
		Action: func(c *cli.Context) error {
			timeout, err := time.ParseDuration(c.Args().Get(2))
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context, timeout)
			defer cancel()
			conn, err := (&tls.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(c.Args().Get(0), c.Args().Get(1)))
			if err != nil {
				return err
			}
			return conn.Close()
		},
	}
}

func (a *App) holdsCommand() *cli.Command {
	return &cli.Command{
		Name: holdsCommandName, Hidden: true,
		Action: func(c *cli.Context) error {
			data, err := a.content(c.Args().First())
			if err != nil {
				return err
			}
			block, _ := pem.Decode(bytes.TrimSpace(data))
			if block == nil {
				return store.ErrInput
			}
			return clients.HeldByGo(block.Bytes)
		},
	}
}

// trustVerified asks the programs of this machine once something has been made
// trusted.
func (a *App) trustVerified(c *cli.Context, taken []given) func([]*platform.Part, string) error {
	return func([]*platform.Part, string) error {
		var errs []error
		for _, g := range taken {
			v := &verification{name: g.source(), chain: []*store.Cert{g.cert}, file: certfile.EncodePEM(g.cert)}
			if from := c.String("from"); from != "" {
				target, err := a.target(c, from)
				if err != nil {
					return err
				}
				v.file, v.target, v.name = nil, target, from
			} else if data, err := a.content(g.from); err == nil && g.from != "-" {
				v.file = append(v.file, data...) // a key may be beside
				v.name = g.from
			}
			answers, err := a.askPrograms(c, v)
			if err != nil {
				return err
			}
			doc := render.NewVerifyDoc(g.source(), "")
			doc.Clients = answers
			if err := doc.TellClients(a.Streams); err != nil {
				return err
			}
			errs = append(errs, doc.Errors(isFindings)...)
		}
		return several(errs)
	}
}
