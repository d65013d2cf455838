// Package diagnose tells why a server's certificate is not trusted: from what
// the server sent ([Capture]) and what the stores hold ([View]) it finds every
// cause, proves each, and says what is to be done, for the machine that asked
// and for the server's owner ([Document]). It also knows what programs call
// these causes in their error messages.
//
// It does no I/O: the clock, the connection and whatever is fetched are given
// to it. All messages are in English and Japanese, in tables of [Text].
//
// # How it judges
//
// [Diagnose] looks for paths from the server's certificate to each store
// (build.go), lists what is wrong with each path (judge.go) and takes the one
// with the least. Where there is none, it finds out where the chain would lead
// with everything that is known or can be fetched, and what is in the way
// (trust.go). A store trusts the server if its best path has no fault and
// crypto/x509, as the second opinion, accepts it too. What is the same for
// every store comes from name.go, revoke.go, clock.go, known.go and order.go.
//
// A verdict is not one for all programs: OpenSSL and GnuTLS take the first
// certificate that fits and do not go back, only Chromium fetches what is
// missing, Java does not look at the dates of a root. So each client is a row
// of a table (clients.go) that says how it looks for paths, which faults it
// does not mind and which others it does.
//
// What a server sends is hostile: the paths, the signatures that are checked
// and what is fetched are bounded, and no text of others gets into a message
// or a command as it is.
package diagnose
