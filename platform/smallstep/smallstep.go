// Package smallstep is the bridge to github.com/smallstep/truststore, the
// library by which step, Caddy and others install their certificate
// authorities. A program that is built on it gets any store of certtrust as one
// of its Trusts: Firefox without NSS's certutil, Java without keytool, removal by
// fingerprint and not by name or serial number, all or nothing, read back, and
// with an entry in certtrust's journal, so that "certtrust undo" takes it back.
//
//	stores, err := smallstep.Detect(ctx, host.Local(), platform.Selector{User: true})
//	options := append(smallstep.Options(stores), truststore.WithNoSystem())
//	err = truststore.Install(cert, options...)
//
// Importing that library looks at the file system and the environment, and on
// some systems makes directories. That is why this is a package of its own, which
// certtrust itself does not import.
package smallstep

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"

	"github.com/smallstep/truststore"

	"github.com/certtrust/certtrust/platform"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/journal"
	"github.com/certtrust/certtrust/store"
)

// Trust is a store as a [truststore.Trust]. Its methods may be called one
// after the other only.
type Trust struct {
	store   store.Store
	context context.Context

	// Journal records what is done; nil = nothing is recorded.
	Journal *journal.Journal
	// Set is the change-set ID that it is recorded under; "" = one of its own
	// for each change.
	Set string
	// Program is the command that the journal has it from.
	Program []string
	// Host tells the time.
	Host *host.Host
	// Allow are codes of [store.Concern] that are no reason to refuse: without
	// them only certificate authorities that are valid now are taken.
	Allow []string
	// Prefix is what is given to the library's WithPrefix.
	Prefix string

	done []store.Receipt
}

var _ truststore.Trust = (*Trust)(nil)

// New returns a store as a Trust, which is not recorded in a journal unless one
// is set. The context is that of all it does.
func New(ctx context.Context, h *host.Host, s store.Store) *Trust {
	return &Trust{store: s, context: ctx, Host: h}
}

// Detect returns the selected stores of a machine that can be changed at all,
// those that certtrust changes unasked for an empty selector. What is done with
// them is recorded in the machine's and the user's journals.
func Detect(ctx context.Context, h *host.Host, sel platform.Selector) ([]*Trust, error) {
	found, err := platform.Detect(ctx, h, platform.Backends(), sel)
	if err != nil {
		return nil, err
	}
	set := journal.NewID(h.Now())
	var trusts []*Trust
	for _, f := range found {
		if _, edits := f.Store.(store.Editor); !edits || sel.Empty() && !f.Info().Default {
			continue
		}
		t := New(ctx, h, f.Store)
		t.Journal, t.Set, t.Program = journal.New(h), set, []string{"smallstep/truststore"}
		trusts = append(trusts, t)
	}
	return trusts, nil
}

// Options returns the option for each Trust.
func Options(trusts []*Trust) []truststore.Option {
	var options []truststore.Option
	for _, t := range trusts {
		options = append(options, truststore.WithTrust(t))
	}
	return options
}

// Name returns the store's ID: the library keeps one Trust for each name.
func (t *Trust) Name() string { return string(t.store.Info().ID) }

// PreCheck returns nil, always: the library passes over a Trust whose PreCheck
// fails and reports success. What is in the way, Install and Uninstall return.
func (t *Trust) PreCheck() error { return nil }

// Exists reports whether the certificate, by its fingerprint, is trusted in
// the store for what Install trusts it for. It is false where that cannot be
// found out, so that Install is called and says why.
func (t *Trust) Exists(cert *x509.Certificate) bool {
	fp := store.FingerprintOf(cert.Raw)
	purpose := t.purpose()
	for e, err := range t.store.Entries(t.context) {
		if err == nil && e.Cert != nil && e.Cert.SHA256 == fp && e.Trust.For(purpose) == store.Trusted {
			return true
		}
	}
	return false
}

// purpose is what certificates are trusted for: TLS servers, where the store
// can tell.
func (t *Trust) purpose() store.Purpose {
	if slices.Contains(t.store.Info().Express.Purposes, store.PurposeServerAuth) {
		return store.PurposeServerAuth
	}
	return store.PurposeAny
}

// Install makes the certificate trusted. The file is not looked at: it is one
// that the library has written for programs that need a file. A certificate
// that is no authority, or not valid, is refused unless that is allowed.
func (t *Trust) Install(_ string, cert *x509.Certificate) error {
	c := store.NewCert(cert.Raw)
	for _, concern := range store.Concerns(c, t.Host.Now()) {
		if concern.Never || !slices.Contains(t.Allow, concern.Code) {
			return &store.Error{Op: "trust", Store: t.store.Info().ID, Hint: concern.Advice,
				Err: store.Because(store.ErrInput, "\"%s\" is refused: %s", store.Printable(c.Label()), concern.Text)}
		}
	}
	trust, label := store.TrustFor(store.Trusted, t.purpose()), t.label(cert)
	want := store.Change{Fingerprint: c.SHA256, DER: c.Raw, Trust: &trust}
	if t.store.Info().Express.Labels {
		want.Label = &label
	}
	return t.change(want)
}

// label is what the library calls a certificate where it keeps names: its own
// Trusts find by that name what this one has installed. Nothing else goes by it.
func (t *Trust) label(cert *x509.Certificate) string {
	switch serial := cert.SerialNumber.String(); {
	case t.Prefix != "":
		return t.Prefix + serial
	case cert.Subject.CommonName != "":
		return cert.Subject.CommonName + " " + serial
	default:
		return "Truststore Development CA " + serial
	}
}

// Uninstall removes the certificate, wherever in the store it is and whatever
// it is called there, and no other. That it is not there is no error.
func (t *Trust) Uninstall(_ string, cert *x509.Certificate) error {
	return t.change(store.Change{Fingerprint: store.FingerprintOf(cert.Raw), Absent: true})
}

// Undo takes back all that was done through t, the last change first. What was
// undone is not undone again.
func (t *Trust) Undo() error {
	for len(t.done) > 0 {
		last := t.done[len(t.done)-1]
		if err := t.change(last.Undo...); err != nil {
			return err
		}
		t.done = slices.Delete(t.done, len(t.done)-2, len(t.done)) // that, and what took it back
	}
	return nil
}

func (t *Trust) change(want ...store.Change) error {
	id := t.store.Info().ID
	editor, edits := t.store.(store.Editor)
	if !edits {
		return &store.Error{Op: "change", Store: id, Err: store.Because(store.ErrUnsupported, "this store can only be read")}
	}
	plan, err := editor.Plan(t.context, want)
	if err != nil {
		return err
	}
	var refused []error
	for _, r := range plan.Refused {
		refused = append(refused, r.Err("change", id))
	}
	if len(refused) > 0 {
		return errors.Join(refused...)
	}
	receipt := store.Receipt{Store: id}
	if !plan.Empty() {
		if receipt, err = t.apply(editor, plan); err != nil {
			return err
		}
	}
	t.done = append(t.done, receipt)
	return nil
}

func (t *Trust) apply(editor store.Editor, plan store.Plan) (store.Receipt, error) {
	if t.Journal == nil {
		return editor.Apply(t.context, plan)
	}
	o := platform.Options{Journal: t.Journal, Set: t.Set, Record: journal.Record{Command: t.Program}}
	if o.Set == "" {
		o.Set = journal.NewID(t.Host.Now())
	}
	return platform.Apply(t.context, editor, plan, o)
}
