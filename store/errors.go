package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// The kinds of errors that callers act upon. Errors of this module match one
// of them with errors.Is, usually inside an [*Error].
var (
	ErrPermission  = fs.ErrPermission // so that the operating system's refusals are of this kind
	ErrUnsupported = errors.New("not supported")
	ErrToolMissing = errors.New("a needed program is not installed")
	ErrReadOnly    = errors.New("read-only")
	ErrManaged     = errors.New("managed by something else")
	ErrConsent     = errors.New("a person's consent is needed")
	ErrSecret      = errors.New("a password is needed")
	ErrStale       = errors.New("changed since the plan was made")
	ErrLocked      = errors.New("locked by another program")
	ErrPartial     = errors.New("only partly done")
	ErrCorrupt     = errors.New("damaged")
	ErrConflict    = errors.New("conflicts with what is there")
	ErrNotFound    = errors.New("not found")
	ErrInput       = errors.New("unusable input")
	ErrFailed      = errors.New("failed")
	ErrFindings    = errors.New("there are findings")
	ErrNoVerdict   = errors.New("no verdict could be had")
)

// codes are the stable names of the kinds in machine output, most telling
// first: an error that matches several has the first one's code.
var codes = []struct {
	code string
	err  error
}{
	{"partial", ErrPartial},
	{"permission", ErrPermission},
	{"consent", ErrConsent},
	{"secret", ErrSecret},
	{"stale", ErrStale},
	{"locked", ErrLocked},
	{"tool-missing", ErrToolMissing},
	{"read-only", ErrReadOnly},
	{"managed", ErrManaged},
	{"unsupported", ErrUnsupported},
	{"conflict", ErrConflict},
	{"corrupt", ErrCorrupt},
	{"not-found", ErrNotFound},
	{"input", ErrInput},
	{"no-verdict", ErrNoVerdict},
	{"findings", ErrFindings},
	{"interrupted", context.Canceled},
	{"timeout", context.DeadlineExceeded},
	{"failed", ErrFailed},
}

// Code returns the stable name of an error's kind, "failed" for one that
// matches none, "" for nil.
func Code(err error) string {
	if err == nil {
		return ""
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return "failed"
}

// Kind returns the error that a code of [Code] stands for, ErrFailed for an
// unknown one.
func Kind(code string) error {
	for _, c := range codes {
		if c.code == code {
			return c.err
		}
	}
	return ErrFailed
}

// Error tells what failed, where and why, and what to do about it.
type Error struct {
	Op    string // what was being done: "read", "plan", "apply", …
	Store ID
	Path  string
	Err   error
	Hint  string // what to do next, a sentence without a full stop; may be ""
}

// Error returns "op store: path: reason", leaving out what is not known, and
// the path if the store's ID tells it. It is safe to print.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Store != "" {
		if e.Op != "" {
			b.WriteByte(' ')
		}
		b.WriteString(Printable(string(e.Store)))
	}
	place := Printable(e.Path)
	if strings.HasSuffix(Printable(string(e.Store)), ":"+place) {
		place = ""
	}
	for _, part := range []string{place, fmt.Sprint(e.Err)} {
		if part == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString(part)
	}
	return b.String()
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// At returns err as an [*Error] that tells what was being done to which store,
// and at which path unless err names one itself. What names a store already is
// returned as it is.
func At(op string, id ID, path string, err error) error {
	at := &Error{Op: op, Store: id, Path: path, Err: err}
	if e, ok := err.(*Error); ok {
		if e.Store != "" {
			return err
		}
		at.Err, at.Hint = e.Err, e.Hint
		if e.Path != "" {
			at.Path = e.Path
		}
	}
	return at
}

// Hint returns the first hint found along the chain of err.
func Hint(err error) string {
	for err != nil {
		if e, ok := err.(*Error); ok && e.Hint != "" {
			return e.Hint
		}
		switch u := err.(type) {
		case interface{ Unwrap() error }:
			err = u.Unwrap()
		case interface{ Unwrap() []error }:
			for _, e := range u.Unwrap() {
				if h := Hint(e); h != "" {
					return h
				}
			}
			return ""
		default:
			return ""
		}
	}
	return ""
}

// because is an error of a kind with a text of its own.
type because struct{ kind, err error }

// Because returns an error that reads as the formatted text and is of the
// given kind; with %w in the format, also of the wrapped errors'.
func Because(kind error, format string, args ...any) error {
	return &because{kind, fmt.Errorf(format, args...)}
}

func (b *because) Error() string   { return b.err.Error() }
func (b *because) Unwrap() []error { return []error{b.kind, b.err} }
