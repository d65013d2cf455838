// Package hosttest has what tests of backends need of a real machine and that
// not every system has: record locks and FIFOs.
// Everything is [errors.ErrUnsupported] where it cannot be had.
package hosttest

// Mkfifo makes a FIFO.
func Mkfifo(file string) error { return mkfifo(file) }

// RecordLock takes an fcntl write lock on a file, the kind that dpkg and rpm
// use, for as long as this process lives. Only other processes are excluded, so
// that a test needs a process of its own for it.
func RecordLock(file string) error { return recordLock(file) }
