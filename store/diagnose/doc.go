// Package diagnose tells why a server's certificate is not trusted: from what
// the server sent ([Capture]) and what the stores hold ([View]) it finds every
// cause, proves each, and says what is to be done, for the machine that asked
// and for the server's owner ([Document]). It also knows what programs call
// these causes in their error messages.
//
// It does no I/O: the clock, the connection and whatever is fetched are given
// to it. All messages are in English and Japanese, in tables of [Text].
package diagnose
