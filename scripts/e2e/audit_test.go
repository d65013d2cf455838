//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certtrust/certtrust/store/storetest"
)

// auditDocument is what the tests look at in an audit.
type auditDocument struct {
	Findings []auditFinding `json:"findings"`
}

type auditFinding struct {
	ID, Key, Severity, Title string
	Evidence                 []string
	Fixes                    []struct{ Commands []string }
}

func auditOf(t *testing.T, r result) []auditFinding {
	t.Helper()
	var d auditDocument
	if err := json.Unmarshal([]byte(r.stdout), &d); err != nil {
		t.Fatalf("%v: %v", err, r)
	}
	return d.Findings
}

// Nothing above low is found on a Debian that was set up a minute ago, and all
// that is low is of the vendor's own making.
func TestAuditStockDebian(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		enterFresh(t, "bookworm")
		start := trust()
		found := auditOf(t, expect(t, 0, certtrust("audit", "--json", "--fail-on", "medium")))
		for _, f := range found {
			if f.Severity != "low" && f.Severity != "info" {
				t.Errorf("%s %s: %s %q", f.Severity, f.ID, f.Title, f.Evidence)
			}
		}
		for _, format := range []string{"table", "csv", "sarif", "junit", "markdown", "html", "jsonl"} {
			if r := expect(t, 0, certtrust("audit", "--format", format)); r.stdout == "" {
				t.Errorf("%s: nothing", format)
			}
		}
		same(t, start)
	}, addFresh("bookworm"))
}

// remedies are things that are wrong: a shell script that does it, and what is
// found. What is printed as the first remedy is run as it is printed; then the
// finding must be gone. The directory /w holds the files that prepare makes.
var remedies = []struct{ id, title, plant string }{
	{"prog.not_in_any", "plain", "cp /w/plain.pem $A/plain.crt; update-ca-certificates"},
	{"known.dev_ca", "mkcert", "cp /w/mkcert.pem $A/mkcert.crt; update-ca-certificates"},
	{"cert.expired", "old", "cp /w/old.pem $A/old.crt; update-ca-certificates"},
	{"cert.weak_key", "weak", "cp /w/weak.pem $A/weak.crt; update-ca-certificates"},
	{"cert.not_ca", "host.example", "cp /w/leaf.pem $A/leaf.crt; update-ca-certificates"},
	{"store.same_subject_different_key", "twin", "cp /w/twin1.pem $A/twin1.crt; cp /w/twin2.pem $A/twin2.crt; update-ca-certificates"},
	{"store.duplicate", "double", "cp /w/double.pem $A/double1.crt; cp /w/double.pem $A/double2.crt; update-ca-certificates"},
	{"store.world_writable", anchorDir, "chmod o+w $A"},
	{"store.world_writable", "/etc/ssl/certs/ca-certificates.crt", "chmod o+w /etc/ssl/certs/ca-certificates.crt"},
	{"store.not_root_owned", anchorDir, "chown 1234 $A"},
	{"store.private_key_present", "keyed.key", "cp /w/keyed.pem $A/keyed.crt; cp /w/keyed.key $A/keyed.key; update-ca-certificates"},
	{"store.private_key_present", "both", "cat /w/both.pem /w/both.key >$A/both.crt; update-ca-certificates"},
	{"drift.anchor_not_in_bundle", "fresh", "cp /w/fresh.pem $A/fresh.crt"},
	{"drift.bundle_only", "bundled", "cat /w/bundled.pem >>/etc/ssl/certs/ca-certificates.crt"},
	{"drift.stray_file", "stray", "cp /w/stray.pem /etc/ssl/certs/stray.pem"},
	{"drift.stale_temp", "half", "cp /w/half.pem /etc/ssl/certs/ca-certificates.crt.new"},
	{"drift.dangling_link", "nowhere.pem", "ln -s /nowhere /etc/ssl/certs/nowhere.pem"},
	{"drift.not_up_to_date", "", `sed -i 's,^mozilla/ISRG_Root_X1,!&,' /etc/ca-certificates.conf`},
	{"store.ineffective", "der", "cp /w/der.cer $A/der.crt"},
	{"store.ineffective", "one", "cat /w/one.pem /w/two.pem >$A/several.crt; update-ca-certificates"},
	{"store.ineffective", "hidden", "cp /w/hidden.pem $A/hidden.crt; chmod 600 $A/hidden.crt; update-ca-certificates"},
	{"store.ineffective", "passed.pem", "cp /w/passed.pem $A/passed.pem"},
	{"store.ineffective", "junk.crt", "echo junk >$A/junk.crt"},
	{"store.ineffective", "line break", `cp /w/plain.pem "$A/a
b.crt"`},
	{"prog.removed", "", ":"}, // of the vendor's own
	{"drift.package_modified", "ISRG_Root_X2.crt", "cp /w/plain.pem /usr/share/ca-certificates/mozilla/ISRG_Root_X2.crt"},
	{"drift.package_modified", "is missing", "rm /usr/share/ca-certificates/mozilla/ISRG_Root_X2.crt"},
	{"policy.env_override", "SSL_CERT_FILE", "export SSL_CERT_FILE=/w/plain.pem"},
	{"policy.verification_off", "NODE_TLS_REJECT_UNAUTHORIZED", "export NODE_TLS_REJECT_UNAUTHORIZED=0"},
	{"diverge.missing_in_store", "plain", `mkdir -p /root/.mozilla/firefox/x.default; printf '[Profile0]\nName=x\nIsRelative=1\nPath=x.default\nDefault=1\n' >/root/.mozilla/firefox/profiles.ini
		certtrust trust /w/fresh.pem --store 'nss:firefox/*' --yes; cp /w/plain.pem $A/plain.crt; update-ca-certificates`},
	{"policy.purpose_any", "wide", "certtrust trust /w/wide.pem --store 'nss:firefox/*' --purpose server-auth --purpose code-signing --yes"},
}

// repository makes a package of ca-certificates out of what is installed of it,
// and a repository of that alone.
const repository = `set -e
mkdir -p /repo/b/DEBIAN
while read -r f; do [ -d "$f" ] || install -D "$f" "/repo/b$f"; done </var/lib/dpkg/info/ca-certificates.list
for f in postinst postrm config templates triggers md5sums; do
	[ ! -e /var/lib/dpkg/info/ca-certificates.$f ] || cp -p /var/lib/dpkg/info/ca-certificates.$f /repo/b/DEBIAN/$f
done
sed -n '/^Package: ca-certificates$/,/^$/p' /var/lib/dpkg/status | grep -v -e '^Status:' -e '^Conffiles:' -e '^ /' | sed '/^$/d' >/repo/b/DEBIAN/control
dpkg-deb -b /repo/b /repo/ca.deb >/dev/null
{ cat /repo/b/DEBIAN/control; echo Filename: ./ca.deb; echo Size: $(stat -c %s /repo/ca.deb); echo SHA256: $(sha256sum /repo/ca.deb | cut -d' ' -f1); } >/repo/Packages
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/repo ./' >/etc/apt/sources.list
apt-get -q update
`

// prepareRemedies makes the files that are planted.
func prepareRemedies(t *testing.T) {
	t.Helper()
	if err := os.Mkdir("/w", 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join("/w", name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	at := func(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }
	options := map[string][]storetest.Option{
		"mkcert": {storetest.CN("Caddy Local Authority mkcert")}, "weak": {storetest.RSA(1024)},
		"old": {storetest.Validity(at(2010), at(2020))}, "leaf": {storetest.CN("host.example"), storetest.NotCA(), storetest.Hosts("host.example")},
		"twin1": {storetest.CN("twin")}, "twin2": {storetest.CN("twin"), storetest.Validity(at(2022), at(2040))},
	}
	for _, name := range []string{"plain", "mkcert", "old", "weak", "leaf", "twin1", "twin2", "double", "keyed", "both", "fresh", "bundled", "stray", "half", "der", "one", "two", "hidden", "passed", "wide"} {
		opts := append([]storetest.Option{storetest.CN(name)}, options[name]...)
		ca := storetest.NewCA(t, opts...)
		put(name+".pem", ca.PEM())
		put(name+".key", ca.KeyPEM())
		put(name+".cer", ca.DER())
	}
}

func TestAuditRemedies(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		enterFresh(t, "bookworm")
		prepareRemedies(t)
		must(t, command("sh", "-c", repository))
		for _, r := range remedies {
			if err := os.MkdirAll("/root/scratch", 0o755); err != nil {
				t.Fatal(err)
			}
			shell := func(script string) result {
				return output(t, command("sh", "-c", "export A="+anchorDir+"; cd /root/scratch; "+script))
			}
			quiet := "\n{ " + r.plant + "\n} >/dev/null 2>&1\n"
			env := ""
			if strings.HasPrefix(r.plant, "export ") {
				env = r.plant + "\n"
				quiet = ""
			}
			before := auditOf(t, shell(env+quiet+"certtrust audit --json --exit-zero"))
			i := slices.IndexFunc(before, func(f auditFinding) bool {
				return f.ID == r.id && strings.Contains(f.Title, r.title) && len(f.Fixes) > 0 && len(f.Fixes[0].Commands) > 0
			})
			if i < 0 {
				t.Errorf("%s, %s: it was not found, or nothing is to be run: %s", r.id, r.title, summary(before))
				continue
			}
			f := before[i]
			var script strings.Builder
			for _, c := range f.Fixes[0].Commands {
				fmt.Fprintf(&script, "{ %s\n} >&2 || exit 9\n", c)
			}
			after := shell(env + script.String() + "certtrust audit --json --exit-zero")
			if after.code != 0 {
				t.Errorf("%s, %s: what is to be done, %q, fails: %v", r.id, r.title, f.Fixes[0].Commands, after)
				continue
			}
			if slices.ContainsFunc(auditOf(t, after), func(g auditFinding) bool { return g.Key == f.Key }) {
				t.Errorf("%s, %s: it is still there after %q: %s", r.id, r.title, f.Fixes[0].Commands, after.stderr)
			}
		}
	}, addFresh("bookworm"))
}

func summary(list []auditFinding) string {
	var out []string
	for _, f := range list {
		if f.Severity != "low" && f.Severity != "info" {
			out = append(out, f.ID+" "+f.Title)
		}
	}
	return strings.Join(out, "; ")
}

// The report in a real browser: it is drawn, searching works, nothing hostile
// runs, and nothing is loaded from anywhere.
func TestAuditReportInChromium(t *testing.T) {
	Overlay(t, func(t *testing.T) {
		need(t, "chromium")
		settle(t)
		for i, name := range []string{"<script>document.title='owned'</script>", `"><img src=x onerror="document.title='owned'">`, "</script><script>document.title='owned'</script>", "Quiet Root"} {
			file := filepath.Join(anchorDir, fmt.Sprintf("planted%d.crt", i))
			if err := os.WriteFile(file, newAuthority(t, name).PEM(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		must(t, command("update-ca-certificates"))
		report := filepath.Join(t.TempDir(), "report.html")
		expect(t, 0, certtrust("audit", "--format", "html", "--output", report, "--exit-zero"))

		b := startChromium(t, t.TempDir()).(*chromium)
		var errors, loaded []string
		watch := func(event string, params json.RawMessage) bool {
			switch event {
			case "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded":
				errors = append(errors, event+" "+string(params))
			case "Network.requestWillBeSent":
				var p struct{ Request struct{ URL string } }
				if json.Unmarshal(params, &p) == nil {
					loaded = append(loaded, p.Request.URL)
				}
			}
			return false
		}
		for _, method := range []string{"Runtime.enable", "Log.enable", "Page.enable"} {
			b.call(t, method, map[string]any{}, &struct{}{}, watch)
		}
		b.call(t, "Page.navigate", map[string]any{"url": "file://" + report}, &struct{}{}, watch)
		eval := func(expression string) string {
			var answer struct {
				Result           struct{ Value any }
				ExceptionDetails *struct{ Text string }
			}
			b.call(t, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &answer, watch)
			if answer.ExceptionDetails != nil {
				t.Fatalf("%s: %s", expression, answer.ExceptionDetails.Text)
			}
			return fmt.Sprint(answer.Result.Value)
		}
		for deadline := time.Now().Add(browserPatience); eval(`location.protocol + document.readyState`) != "file:complete"; time.Sleep(100 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the report is not loaded")
			}
		}
		is := func(what, expression, want string) {
			t.Helper()
			if got := eval(expression); got != want {
				t.Errorf("%s: %s is %q, not %q", what, expression, got, want)
			}
		}
		visible := `[].filter.call(document.querySelectorAll("#certificates [data-s]"), function (e) { return e.offsetHeight > 0; }).length`
		is("the hostile names are text", `document.title.indexOf("owned")`, "-1")
		is("the hostile names are text", `document.querySelectorAll("img, #certificates script, iframe").length`, "0")
		is("the names are shown", `document.body.textContent.indexOf("<script>document.title='owned'</script>") > 0`, "true")
		is("the style is in force", `getComputedStyle(document.querySelector(".card")).borderTopLeftRadius`, "10px")
		is("the timeline is drawn", `document.querySelectorAll("#expiry rect").length > 5`, "true")
		is("the matrix has a row for each certificate", `document.querySelectorAll("#matrix tbody tr").length === document.querySelectorAll("#certificates > details").length`, "true")
		is("a certificate is there in full", `(function () { var d = document.querySelector("#certificates details[data-s*='quiet root']"); d.open = true; return d.textContent.indexOf("BEGIN CERTIFICATE") > 0 && d.querySelectorAll("dt").length > 8; })()`, "true")
		type search struct{ text, want string }
		for _, s := range []search{{"quiet root", "1"}, {"QUIET", "1"}, {"no such certificate", "0"}} {
			eval(`(function () { var s = document.getElementById("search"); s.value = ` + fmt.Sprintf("%q", s.text) + `; s.dispatchEvent(new Event("input")); })()`)
			is("searching for "+s.text, visible, s.want)
		}
		eval(`(function () { var s = document.getElementById("search"); s.value = ""; s.dispatchEvent(new Event("input")); })()`)
		is("an empty search shows all", visible+` > 100`, "true")
		is("it says how many are shown", `document.querySelector("[data-count=certificates]").textContent === String(document.querySelectorAll("#certificates > details").length)`, "true")
		eval(`document.querySelector("button.tile[data-severity=medium]").click()`)
		is("a severity alone", `[].every.call(document.querySelectorAll("#findings [data-severity]"), function (e) { return e.hidden === (e.getAttribute("data-severity") !== "medium"); })`, "true")
		is("a link of its own opens a certificate", `(function () { location.hash = document.querySelector("#certificates > details:last-of-type").id; return new Promise(function (done) { setTimeout(function () { done(document.querySelector("#certificates > details:last-of-type").open); }, 0); }); })()`, "true")
		if len(errors) > 0 {
			t.Errorf("the console is not empty: %s", strings.Join(errors, "\n"))
		}
		for _, url := range loaded {
			if url != "file://"+report && !strings.HasPrefix(url, "file://"+report+"#") {
				t.Errorf("it loads %s", url)
			}
		}
	})
}
