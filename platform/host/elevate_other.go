//go:build !windows

package host

import (
	"context"
	"io"

	"github.com/certtrust/certtrust/store"
)

var errNoPipe = store.Because(store.ErrUnsupported, "rights are not had in this way here")

func (h *Host) runElevated(context.Context, Command) (Output, error) { return Output{}, errNoPipe }

// ElevatedPipe is for Windows.
func ElevatedPipe(string) (io.Reader, io.WriteCloser, error) { return nil, nil, errNoPipe }
