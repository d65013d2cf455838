//go:build unix

package host

import "golang.org/x/sys/unix"

var socketErrors = []struct {
	system error
	word   Socket
}{
	{unix.ECONNREFUSED, SocketRefused},
	{unix.ECONNRESET, SocketReset},
	{unix.ECONNABORTED, SocketReset},
	{unix.EPIPE, SocketReset},
	{unix.ETIMEDOUT, SocketTimeout},
	{unix.ENETUNREACH, SocketUnreachable},
	{unix.EHOSTUNREACH, SocketUnreachable},
	{unix.ENETDOWN, SocketUnreachable},
	{unix.EHOSTDOWN, SocketUnreachable},
	{unix.EADDRNOTAVAIL, SocketUnreachable},
	{unix.EAFNOSUPPORT, SocketUnreachable},
	{unix.EACCES, SocketUnreachable}, // a firewall of this machine
	{unix.EPERM, SocketUnreachable},
}
