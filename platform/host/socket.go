package host

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
)

// Socket is what became of a connection, the same word on every system.
type Socket string

// The words.
const (
	SocketRefused     Socket = "refused"     // nobody listens there
	SocketReset       Socket = "reset"       // the other side, or something between, cut it
	SocketTimeout     Socket = "timeout"     // no answer in time
	SocketUnreachable Socket = "unreachable" // there is no way to that address
	SocketClosed      Socket = "closed"      // the other side closed it in good order
	SocketName        Socket = "name"        // the name could not be resolved
	SocketOther       Socket = "other"
)

// SocketError tells what an error of package net means; "" for nil.
func SocketError(err error) Socket {
	if err == nil {
		return ""
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return SocketName
	}
	for _, s := range socketErrors {
		if errors.Is(err, s.system) {
			return s.word
		}
	}
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
		errors.As(err, &timeout) && timeout.Timeout():
		return SocketTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return SocketClosed
	}
	return SocketOther
}
