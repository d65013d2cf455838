package host

import "golang.org/x/sys/windows"

var socketErrors = []struct {
	system error
	word   Socket
}{
	{windows.WSAECONNREFUSED, SocketRefused},
	{windows.WSAECONNRESET, SocketReset},
	{windows.WSAECONNABORTED, SocketReset},
	{windows.WSAETIMEDOUT, SocketTimeout},
	{windows.WSAENETUNREACH, SocketUnreachable},
	{windows.WSAEHOSTUNREACH, SocketUnreachable},
	{windows.WSAENETDOWN, SocketUnreachable},
	{windows.WSAEADDRNOTAVAIL, SocketUnreachable},
	{windows.WSAEAFNOSUPPORT, SocketUnreachable},
	{windows.WSAEACCES, SocketUnreachable},
}
