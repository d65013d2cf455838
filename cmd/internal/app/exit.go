package app

import (
	"context"
	"errors"
	"slices"

	"github.com/certtrust/certtrust/store"
)

// exits is the one place that knows exit codes: the first kind that an error
// is of decides. Of several errors in one the weightiest counts, in the order
// 1, 5, 4, 3.
var exits = []struct {
	kind error
	code int
}{
	{store.ErrPartial, 4}, // whatever it was that kept it from being whole
	{context.Canceled, 130},
	{store.ErrStale, 7},
	{store.ErrLocked, 7},
	{store.ErrPermission, 5},
	{store.ErrConsent, 5},
	{store.ErrSecret, 5},
	{store.ErrUnsupported, 6},
	{store.ErrToolMissing, 6},
	{store.ErrReadOnly, 6},
	{store.ErrManaged, 6},
	{store.ErrInput, 2},
	{store.ErrNoVerdict, 8},
	{store.ErrNotFound, 3},
	{store.ErrFindings, 3},
}

// weights orders the exit codes of several errors.
var weights = []int{130, 1, 5, 6, 7, 4, 2, 8, 3, 0}

func exitCode(err error, r *result) int {
	code := exitOf(err)
	if code == 3 && r.exitZero {
		return 0
	}
	return code
}

func exitOf(err error) int {
	if err == nil {
		return 0
	}
	var several severalErrors
	if errors.As(err, &several) {
		code := 0
		for _, e := range several {
			if next := exitOf(e); slices.Index(weights, next) < slices.Index(weights, code) {
				code = next
			}
		}
		return code
	}
	for _, e := range exits {
		if errors.Is(err, e.kind) {
			return e.code
		}
	}
	return 1
}

// severalErrors are the errors of several stores.
type severalErrors []error

func (s severalErrors) Error() string { return errors.Join(s...).Error() }

func (s severalErrors) Unwrap() []error { return s }

// several returns the errors as one, nil for none.
func several(errs []error) error {
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return severalErrors(errs)
}
