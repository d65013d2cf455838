//go:build linux

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// browserPatience is how long a browser may take to start or to load a page.
const browserPatience = 90 * time.Second

// A browser is a real browser without a window, which is told by its remote
// protocol to load pages.
type browser interface {
	// load loads a page, and returns "" or what the browser calls the error.
	load(t *testing.T, url string) string
}

// launch starts a browser, which ends with the test.
func launch(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var said bytes.Buffer
	if cmd.Stderr == nil {
		cmd.Stderr = &said
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			text := said.String()
			t.Logf("%s said: %s", cmd.Path, text[max(0, len(text)-4000):])
		}
	})
}

// firefox is Firefox with its protocol Marionette: messages are JSON arrays
// with their length before them.
type firefox struct {
	conn net.Conn
	in   *bufio.Reader
	last int
}

// firefoxPrefs keep Firefox from talking to anything but the tests.
const firefoxPrefs = `user_pref("marionette.port", PORT);
user_pref("app.normandy.enabled", false);
user_pref("app.update.enabled", false);
user_pref("browser.safebrowsing.malware.enabled", false);
user_pref("browser.safebrowsing.phishing.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.homepage", "about:blank");
user_pref("browser.aboutwelcome.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("network.dns.disableIPv6", true);
user_pref("network.proxy.type", 0);
user_pref("security.enterprise_roots.enabled", false);
user_pref("security.remote_settings.crlite_filters.enabled", false);
user_pref("security.remote_settings.intermediates.enabled", false);
user_pref("services.settings.server", "http://127.0.0.1:9/");
user_pref("toolkit.telemetry.enabled", false);
user_pref("security.certerrors.mitm.auto_enable_enterprise_roots", false);
user_pref("dom.security.https_only_mode", false);
user_pref("dom.security.https_first", false);
`

// startFirefox starts Firefox with a profile, to which its settings are added.
// The names are this machine: Firefox does not look into /etc/hosts where there
// is no network but the loopback.
func startFirefox(t *testing.T, profile string, names ...string) browser {
	t.Helper()
	need(t, "firefox-esr")
	port := freePort(t)
	prefs := strings.ReplaceAll(firefoxPrefs, "PORT", strconv.Itoa(port)) +
		fmt.Sprintf("user_pref(\"network.dns.localDomains\", %q);\n", strings.Join(names, ","))
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(prefs), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := command("firefox-esr", "--headless", "--no-remote", "--marionette", "--remote-allow-system-access", "--profile", profile, "about:blank")
	cmd.Env = append(cmd.Env, "HOME="+t.TempDir(), "MOZ_HEADLESS=1", "MOZ_CRASHREPORTER_DISABLE=1",
		"NSS_SDB_USE_CACHE=no") // on a slow disk it would not see what others write meanwhile
	launch(t, cmd)
	f := &firefox{}
	for deadline := time.Now().Add(browserPatience); ; time.Sleep(100 * time.Millisecond) {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			f.conn, f.in = conn, bufio.NewReader(conn)
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("Firefox does not answer: %v", err)
		}
	}
	t.Cleanup(func() { f.conn.Close() })
	if _, err := f.read(); err != nil { // its greeting
		t.Fatal(err)
	}
	if _, err := f.call("WebDriver:NewSession", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
		"acceptInsecureCerts": false, "timeouts": map[string]any{"pageLoad": 60_000}}}}); err != nil {
		t.Fatal(err)
	}
	return f
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (f *firefox) read() ([]byte, error) {
	f.conn.SetReadDeadline(time.Now().Add(browserPatience))
	size, err := f.in.ReadString(':')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(size, ":"))
	if err != nil || n < 0 || n > 64<<20 {
		return nil, fmt.Errorf("a message of %q bytes", size)
	}
	data := make([]byte, n)
	_, err = io.ReadFull(f.in, data)
	return data, err
}

// marionetteError is an error that Firefox returns.
type marionetteError struct {
	Kind    string `json:"error"`
	Message string `json:"message"`
}

func (e *marionetteError) Error() string { return e.Kind + ": " + e.Message }

func (f *firefox) call(name string, params any) (json.RawMessage, error) {
	f.last++
	data, err := json.Marshal([]any{0, f.last, name, params})
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(f.conn, "%d:%s", len(data), data); err != nil {
		return nil, err
	}
	data, err = f.read()
	if err != nil {
		return nil, err
	}
	var answer [4]json.RawMessage
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, err
	}
	if string(answer[2]) != "null" {
		e := &marionetteError{}
		if err := json.Unmarshal(answer[2], e); err != nil {
			return nil, err
		}
		return nil, e
	}
	return answer[3], nil
}

func (f *firefox) load(t *testing.T, url string) string {
	t.Helper()
	_, err := f.call("WebDriver:Navigate", map[string]any{"url": url})
	e := (*marionetteError)(nil)
	if err == nil {
		return ""
	} else if !errors.As(err, &e) {
		t.Fatalf("%s: %v", url, err)
	}
	if e.Kind != "insecure certificate" {
		return e.Message
	}
	var answer struct{ Value string }
	text, err := f.call("WebDriver:ExecuteScript", map[string]any{"script": "return document.getFailedCertSecurityInfo().errorCodeString", "args": []any{}})
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	return answer.Value
}

// chromium is Chromium with its DevTools protocol over a pair of pipes:
// messages are JSON that end with a NUL.
type chromium struct {
	out     *os.File
	in      *bufio.Reader
	last    int
	session string
}

// startChromium starts Chromium with a home directory, whose .pki/nssdb it
// takes roots from, and with more variables.
func startChromium(t *testing.T, home string, env ...string) browser {
	t.Helper()
	need(t, "chromium")
	cmd := command("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps", "--no-proxy-server",
		"--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,CaptivePortalInterstitial,OptimizationHints", "--user-data-dir="+filepath.Join(home, "chromium"), "--remote-debugging-pipe", "about:blank")
	cmd.Env = append(append(cmd.Env, "HOME="+home), env...)
	toRead, toUs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fromUs, toWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{fromUs, toUs} // its file descriptors 3 and 4
	launch(t, cmd)
	fromUs.Close()
	toUs.Close()
	t.Cleanup(func() { toRead.Close(); toWrite.Close() })
	c := &chromium{out: toWrite, in: bufio.NewReaderSize(toRead, 1<<20)}
	toRead.SetReadDeadline(time.Time{})
	var target struct{ TargetID string }
	c.call(t, "Target.createTarget", map[string]any{"url": "about:blank"}, &target, nil)
	var attached struct{ SessionID string }
	c.call(t, "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached, nil)
	c.session = attached.SessionID
	c.call(t, "Network.enable", map[string]any{}, &struct{}{}, nil)
	return c
}

// call calls a method. It does not wait for the answer any longer once stop says
// so of an event.
func (c *chromium) call(t *testing.T, method string, params, result any, stop func(event string, params json.RawMessage) bool) {
	t.Helper()
	c.last++
	message := map[string]any{"id": c.last, "method": method, "params": params}
	if c.session != "" {
		message["sessionId"] = c.session
	}
	data, err := json.Marshal(message)
	if err == nil {
		_, err = c.out.Write(append(data, 0))
	}
	if err != nil {
		t.Fatal(err)
	}
	watch := time.AfterFunc(browserPatience, func() { c.out.Close() }) // and Chromium ends
	defer watch.Stop()
	for {
		data, err := c.in.ReadBytes(0)
		if err != nil {
			t.Fatalf("Chromium has gone: %v", err)
		}
		var answer struct {
			ID             int
			Method         string
			Params, Result json.RawMessage
			Error          *struct{ Message string }
		}
		if err := json.Unmarshal(bytes.TrimSuffix(data, []byte{0}), &answer); err != nil {
			t.Fatal(err)
		}
		if answer.ID != c.last {
			if stop != nil && stop(answer.Method, answer.Params) {
				return
			}
			continue
		}
		if answer.Error != nil {
			t.Fatalf("%s: %s", method, answer.Error.Message)
		}
		if err := json.Unmarshal(answer.Result, result); err != nil {
			t.Fatal(err)
		}
		return
	}
}

func (c *chromium) load(t *testing.T, url string) string {
	t.Helper()
	var answer struct{ ErrorText string }
	// It answers only after some seconds, in which it looks for a captive
	// portal; that the page has failed is an event before that.
	c.call(t, "Page.navigate", map[string]any{"url": url}, &answer, func(event string, params json.RawMessage) bool {
		var failed struct{ Type, ErrorText string }
		if event != "Network.loadingFailed" || json.Unmarshal(params, &failed) != nil || failed.Type != "Document" {
			return false
		}
		answer.ErrorText = failed.ErrorText
		return true
	})
	return answer.ErrorText
}
