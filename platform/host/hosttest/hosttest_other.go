//go:build !unix || solaris || aix

package hosttest

import "errors"

func mkfifo(string) error { return errors.ErrUnsupported }

func recordLock(string) error { return errors.ErrUnsupported }
