// Package e2e proves certtrust on a real machine without touching it. Each
// test runs in an overlay of the machine it was started on: a mount, process
// and network namespace of its own whose root is a throw-away copy-on-write
// view of /, so the distribution's own tools, hooks and clients are the real
// ones and whatever they write is gone when the test ends.
//
// The tests need root on Linux. Elsewhere they are skipped with the reason,
// except that with CI set a test that cannot run fails: a skip must not hide
// a missing part.
package e2e
