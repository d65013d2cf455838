// Certtrust lists, imports, trusts, distrusts and removes certificates in the
// trust stores of a machine. Run "certtrust help".
//
// Real stores hold certificates with negative serial numbers, so it takes them.
//
//go:debug x509negativeserial=1
package main

import (
	"os"

	"github.com/certtrust/certtrust/cmd/internal/app"
)

// version is set when a release is built: -ldflags "-X main.version=1.2.3".
var version string

func main() {
	os.Exit(app.Main(version, os.Args))
}
