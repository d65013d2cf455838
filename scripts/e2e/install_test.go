//go:build linux

package e2e

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"testing"

	"github.com/smallstep/truststore"
)

// roleInstall puts a certificate into the system's store as programs do that
// are built on github.com/smallstep/truststore.
func roleInstall(*testing.M) int {
	data, err := os.ReadFile(os.Args[1])
	if err == nil {
		block, _ := pem.Decode(data)
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
			err = truststore.Install(cert, truststore.WithPrefix("e2e "))
		}
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}
