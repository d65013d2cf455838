package host_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"github.com/certtrust/certtrust/platform/host"
)

func TestSocketError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	_, refused := net.Dial("tcp", address)

	for _, c := range []struct {
		err  error
		want host.Socket
	}{
		{nil, ""},
		{refused, host.SocketRefused},
		{fmt.Errorf("wrapped: %w", &net.DNSError{IsTimeout: true}), host.SocketName},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, host.SocketTimeout},
		{context.DeadlineExceeded, host.SocketTimeout},
		{io.EOF, host.SocketClosed},
		{io.ErrUnexpectedEOF, host.SocketClosed},
		{errors.New("something"), host.SocketOther},
	} {
		if got := host.SocketError(c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}
