package clients

import (
	"slices"
	"testing"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// What counts more than a variable is told, if it keeps the chosen roots from a
// program.
func TestOutdone(t *testing.T) {
	chosen, other := storetest.NewCA(t), storetest.NewCA(t)
	h := machine(t, map[string]string{
		"/env/extra.pem": string(chosen.PEM()), "/env/merged.pem": string(chosen.PEM()) + string(other.PEM()), "/other.pem": string(other.PEM()),
		"/home/user/.curlrc":                   "cacert = /other.pem\n",
		"/home/user/.bundle/config":            "BUNDLE_SSL_CA_CERT: /other.pem\n",
		"/proj/.bundle/config":                 "BUNDLE_SSL_CA_CERT: /other.pem\n",
		"/home/user/.aws/config":               "[default]\nca_bundle = /other.pem\n", // the variable counts more
		"/etc/php/8.2/cli/conf.d/99-mine.ini":  "openssl.cafile = /env/merged.pem\n",  // it holds them
		"/home/user/.npmrc":                    "cafile = /other.pem\n",
		"/home/user/.config/gcloud/properties": "[core]\ncustom_ca_certs_file = /other.pem\n",
	})
	at := Pointers{Extra: "/env/extra.pem", Merged: "/env/merged.pem", Java: "/env/merged.jks", Wget: "/env/wgetrc"}
	environ := []string{"PWD=/proj", "_JAVA_OPTIONS=-Djavax.net.ssl.trustStore=/none.jks", "SSL_CERT_FILE=/other.pem"}
	variables, _ := Environment(h, environ, at, true, false)
	var got []string
	for _, o := range Outdone(t.Context(), h, environ, variables, []*store.Cert{chosen.Cert()}) {
		got = append(got, o.Client+" "+o.Source)
	}
	want := []string{"java _JAVA_OPTIONS", "curl /home/user/.curlrc:1", "bundler /proj/.bundle/config:1"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
