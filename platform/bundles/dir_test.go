package bundles

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
	"github.com/certtrust/certtrust/store/storetest"
)

const dirPath = "/srv/certs"

func (b *box) link(target, p string) {
	b.t.Helper()
	if err := os.Symlink(target, b.file(p)); err != nil {
		b.t.Skipf("links cannot be made here: %v", err)
	}
}

func (b *box) mkdir(p string) {
	b.t.Helper()
	if err := os.MkdirAll(b.file(p), 0o755); err != nil {
		b.t.Fatal(err)
	}
}

func openDir(t testing.TB, h *host.Host, at string) store.Editor {
	t.Helper()
	s, _, err := OpenDir(h, at)
	if err != nil {
		t.Fatal(err)
	}
	return s.(store.Editor)
}

// hashed fills a directory as openssl rehash leaves it, with what others left.
func (b *box) hashed() {
	one, two, three := storetest.NewCA(b.t, storetest.CN("Theirs")), storetest.NewCA(b.t, storetest.CN("Theirs")), storetest.NewCA(b.t)
	b.write(dirPath+"/one.pem", string(one.PEM()))
	b.write(dirPath+"/two.crt", "# of somebody\n"+string(two.PEM()))
	b.write(dirPath+"/several.pem", string(three.PEM())+string(storetest.NewCA(b.t).PEM()))
	b.write(dirPath+"/README", "no certificates\n")
	b.link("one.pem", dirPath+"/"+certfile.SubjectHash(one.Cert())+".0")
	b.link("two.crt", dirPath+"/"+certfile.SubjectHash(two.Cert())+".1")
	b.link("gone.pem", dirPath+"/00000000.0")
	b.link("one.pem", dirPath+"/00000001.0")
	b.mkdir(dirPath + "/private")
}

// A directory of many certificates takes as much longer as it has more of them:
// it was looked through once for each link.
func TestDirOfMany(t *testing.T) {
	certs := storetest.Many(t, 3000)
	took := func(n int) time.Duration {
		b := newBox(t)
		b.mkdir(dirPath)
		for i, c := range certs[:n] {
			name := fmt.Sprintf("%d.pem", i)
			b.write(dirPath+"/"+name, string(certfile.EncodePEM(c)))
			b.link(name, dirPath+"/"+certfile.SubjectHash(c)+".0")
		}
		best := time.Hour
		for range 3 {
			begin := time.Now()
			listed := 0
			for _, err := range openDir(t, b.host, dirPath).Entries(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				listed++
			}
			if best = min(best, time.Since(begin)); listed != n {
				t.Fatalf("%d of %d are listed", listed, n)
			}
		}
		return best
	}
	few, many := took(200), took(3000)
	if many > 100*few { // it was 225
		t.Errorf("200 took %v, and 3000 %v", few, many)
	}
}

func TestDirConformance(t *testing.T) {
	for _, l := range []struct {
		name string
		fill func(*box)
	}{
		{"with links", (*box).hashed},
		{"empty", func(b *box) { b.mkdir(dirPath); b.link("x", "/srv/probe") }},
		{"without links", func(b *box) {
			b.write(dirPath+"/one.pem", string(storetest.NewCA(b.t).PEM()))
			b.write(dirPath+"/several.crt", string(storetest.NewCA(b.t).PEM())+"# between\n"+string(storetest.NewCA(b.t).PEM()))
		}},
	} {
		t.Run(l.name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) storetest.Fixture {
				b := newBox(t)
				l.fill(b)
				var faults storetest.Faults
				b.host.Fault = faults.Fail
				open := func() store.Editor { return openDir(t, b.host, dirPath) }
				return storetest.Fixture{Store: open(), Reopen: open, Parallel: open, Snapshot: func() string { return b.snapshot(dirPath) },
					Fault: faults.Set}
			})
		})
	}
}

func change(c *store.Cert, absent bool) store.Change {
	trust := trusted()
	w := store.Change{Fingerprint: c.SHA256, DER: c.Raw, Trust: &trust}
	if absent {
		w = store.Change{Fingerprint: c.SHA256, Absent: true}
	}
	return w
}

func mustDo(t *testing.T, s store.Editor, want ...store.Change) store.Receipt {
	t.Helper()
	p, err := s.Plan(t.Context(), want)
	if err != nil || len(p.Refused) > 0 {
		t.Fatalf("%+v, %v", p.Refused, err)
	}
	r, err := s.Apply(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What is wrong is told, what is right is not, and a key is never passed over.
func TestDirEntries(t *testing.T) {
	b := newBox(t)
	b.hashed()
	secret := storetest.NewCA(t)
	key := "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n"
	b.write(dirPath+"/secret.pem", string(secret.PEM())+key)
	b.write(dirPath+"/.certtrust-0123", "half")
	s, why, err := OpenDir(b.host, dirPath)
	if err != nil || len(why) != 2 || !strings.Contains(why[1], "names in it are hashes") {
		t.Fatal(why, err)
	}
	got := map[string]string{}
	n := 0
	for e, err := range s.Entries(t.Context()) {
		if err != nil {
			t.Error(err)
		}
		if e.Cert != nil {
			n++
		}
		for _, p := range e.Problems {
			got[filepath.Base(p.Path)] += p.Code + " "
		}
	}
	want := map[string]string{"several.pem": "no-hash-link no-hash-link ", "secret.pem": "no-hash-link private-key ",
		"00000000.0": "dangling-link ", "00000001.0": "wrong-hash-link ", ".certtrust-0123": "left-behind "}
	for name, codes := range want {
		if got[name] != codes {
			t.Errorf("%s: %q, want %q", name, got[name], codes)
		}
	}
	if n != 5 || len(got) != len(want) {
		t.Errorf("%d certificates, %q", n, got)
	}
	p, err := s.(store.Editor).Plan(t.Context(), []store.Change{change(secret.Cert(), true)})
	if err != nil || len(p.Refused) != 1 || !strings.Contains(p.Refused[0].Reason, "private key") {
		t.Errorf("%+v, %v", p, err)
	}
}

// Which kind a directory is, and why, is said.
func TestDirKinds(t *testing.T) {
	b := newBox(t)
	b.mkdir("/srv/empty")
	b.write("/srv/plain/a.pem", string(storetest.NewCA(t).PEM()))
	for at, part := range map[string]string{"/srv/empty": "it is empty", "/srv/plain": "no links are made"} {
		_, why, err := OpenDir(b.host, at)
		if err != nil || !strings.Contains(strings.Join(why, "\n"), part) {
			t.Errorf("%s: %q, %v", at, why, err)
		}
	}
	c := storetest.NewCA(t).Cert()
	mustDo(t, openDir(t, b.host, "/srv/plain"), change(c, false))
	if names, err := os.ReadDir(b.file("/srv/plain")); err != nil || len(names) != 2 {
		t.Errorf("%v, %v", names, err)
	}
	if _, _, err := OpenDir(b.host, "/srv/plain/a.pem"); !errors.Is(err, store.ErrInput) {
		t.Errorf("a file: %v", err)
	}
}

// What somebody made to catch others is neither written through nor replaced.
func TestDirHostile(t *testing.T) {
	c := storetest.NewCA(t).Cert()
	elsewhere := func(b *box) { b.write("/srv/elsewhere.pem", "precious\n") }
	for name, set := range map[string]func(*box){
		"a link to another file":  func(b *box) { elsewhere(b); b.link("/srv/elsewhere.pem", dirPath+"/"+ownName(c)) },
		"a link to nothing":       func(b *box) { b.link("/srv/nothing", dirPath+"/"+ownName(c)) },
		"a directory":             func(b *box) { b.mkdir(dirPath + "/" + ownName(c)) },
		"another file":            func(b *box) { b.write(dirPath+"/"+ownName(c), "another") },
		"a directory by its hash": func(b *box) { b.mkdir(dirPath + "/" + certfile.SubjectHash(c) + ".0") },
	} {
		b := newBox(t)
		b.hashed()
		set(b)
		before := b.snapshot("/srv")
		p, err := openDir(t, b.host, dirPath).Plan(t.Context(), []store.Change{change(c, false)})
		if err != nil || len(p.Refused) != 1 || p.Refused[0].Code != "conflict" {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		if b.snapshot("/srv") != before {
			t.Errorf("%s: it was changed", name)
		}
	}
	b := newBox(t)
	b.hashed()
	b.write("/srv/elsewhere.pem", string(certfile.EncodePEM(c)))
	b.link("/srv/elsewhere.pem", dirPath+"/linked.pem")
	s := openDir(t, b.host, dirPath)
	p, err := s.Plan(t.Context(), []store.Change{change(c, true)})
	if err != nil || len(p.Refused) != 1 || p.Refused[0].Code != "conflict" {
		t.Errorf("a file elsewhere: %+v, %v", p, err)
	}
	p, err = s.Plan(t.Context(), []store.Change{change(storetest.NewCA(t).Cert(), false)})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(b.file(dirPath), b.file("/srv/moved")); err != nil {
		t.Fatal(err)
	}
	b.link("/srv/moved", dirPath)
	if _, err := s.Apply(t.Context(), p); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a directory that became a link: %v", err)
	}
}

// openssl has OpenSSL's program judge, with nothing but a directory.
func openssl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	program, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SSL_CERT_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// The real OpenSSL accepts what was put in, and only then, and its rehash makes
// the links that are made here.
func TestDirOpenSSL(t *testing.T) {
	for name, fill := range map[string]func(*box){
		"empty": func(b *box) { b.mkdir(dirPath) },
		"with links": func(b *box) {
			b.hashed()
			for _, odd := range []string{"/00000000.0", "/00000001.0"} { // rehash takes these away
				if err := os.Remove(b.file(dirPath + odd)); err != nil {
					b.t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			fill(b)
			s := openDir(t, b.host, dirPath)
			dir := b.file(dirPath)
			first, second, third := storetest.NewCA(t, storetest.CN("Theirs")), storetest.NewCA(t, storetest.CN("Theirs")), storetest.NewCA(t, storetest.CN("Ünïcödé  Ärger"))
			all := []*storetest.CA{first, second, third}
			accepted := func(want ...*storetest.CA) {
				t.Helper()
				for i, ca := range all {
					leaf := filepath.Join(t.TempDir(), "leaf.pem")
					if err := os.WriteFile(leaf, certfile.EncodePEM(store.NewCert(ca.Leaf(t, "host.example").Certificate[0])), 0o644); err != nil {
						t.Fatal(err)
					}
					out, err := openssl(t, "verify", "-no-CAfile", "-no-CAstore", "-CApath", dir, leaf)
					expected := false
					for _, w := range want {
						expected = expected || w == ca
					}
					if (err == nil) != expected {
						t.Errorf("authority %d: %v, want it accepted: %t\n%s", i+1, err, expected, out)
					}
				}
			}
			// rehashed has the real rehash at a copy, in which links are missing
			// that were just made: they come out the same, and no other changes.
			rehashed := func(missing ...*storetest.CA) {
				t.Helper()
				copied := newBox(t)
				copied.mkdir(dirPath)
				if err := os.CopyFS(copied.file(dirPath), os.DirFS(dir)); err != nil {
					t.Fatal(err)
				}
				before := b.snapshot(dirPath)
				if same := copied.snapshot(dirPath); same != before {
					t.Fatalf("the copy is\n%s\nof\n%s", same, before)
				}
				for _, ca := range missing {
					hash, found := certfile.SubjectHash(ca.Cert()), 0
					for n := range 5 {
						link := copied.file(dirPath + "/" + nameOf(hash, n))
						if to, err := os.Readlink(link); err == nil && to == ownName(ca.Cert()) {
							found++
							if err := os.Remove(link); err != nil {
								t.Fatal(err)
							}
						}
					}
					if found != 1 {
						t.Errorf("%d links lead to %s", found, ownName(ca.Cert()))
					}
				}
				// It also fails for a file with several certificates: what it made counts.
				out, _ := openssl(t, "rehash", copied.file(dirPath))
				if after := copied.snapshot(dirPath); after != before {
					t.Errorf("rehash (%s) makes of\n%s\nthis:\n%s", out, before, after)
				}
			}
			accepted()
			mustDo(t, s, change(first.Cert(), false))
			accepted(first)
			rehashed(first)
			undo := mustDo(t, s, change(second.Cert(), false), change(third.Cert(), false))
			accepted(all...)
			rehashed(third)
			rehashed(second)
			gap := mustDo(t, s, change(first.Cert(), true)) // the number after it moves
			accepted(second, third)
			rehashed()
			mustDo(t, s, gap.Undo...)
			accepted(all...)
			rehashed(first)
			mustDo(t, s, undo.Undo...)
			accepted(first)
			mustDo(t, s, change(first.Cert(), true))
			accepted()
			rehashed()
		})
	}
}

// A certificate in a file that others share, one in a file of two names, and
// one that no link leads to: each is done by its DER alone and can be undone.
func TestDirFiles(t *testing.T) {
	b := newBox(t)
	one, two, twin := storetest.NewCA(t), storetest.NewCA(t), storetest.NewCA(t, storetest.CN("Twin"))
	b.write(dirPath+"/both.pem", "# both\n"+string(one.PEM())+"# between\n"+string(two.PEM()))
	b.link("both.pem", dirPath+"/"+certfile.SubjectHash(one.Cert())+".0")
	b.link("both.pem", dirPath+"/"+certfile.SubjectHash(two.Cert())+".0")
	b.write(dirPath+"/twin.pem", string(twin.PEM()))
	b.write(dirPath+"/again.txt", string(twin.PEM()))
	s := openDir(t, b.host, dirPath)
	for _, step := range []struct {
		name   string
		want   store.Change
		shows  []string
		hidden []string
	}{
		{"one of two", change(one.Cert(), true), []string{"# both", "# between", certfile.SubjectHash(two.Cert()) + ".0 -> both.pem"}, []string{certfile.SubjectHash(one.Cert()) + ".0"}},
		{"what lies there", change(twin.Cert(), false), []string{certfile.SubjectHash(twin.Cert()) + ".0 -> twin.pem"}, []string{ownName(twin.Cert())}},
		{"in two files", change(twin.Cert(), true), nil, []string{"twin.pem", "again.txt"}},
	} {
		before := b.snapshot(dirPath)
		receipt := mustDo(t, s, step.want)
		after := b.snapshot(dirPath)
		for _, part := range step.shows {
			if !strings.Contains(after, part) {
				t.Errorf("%s: no %q in\n%s", step.name, part, after)
			}
		}
		for _, part := range step.hidden {
			if strings.Contains(after, part) {
				t.Errorf("%s: %q is in\n%s", step.name, part, after)
			}
		}
		mustDo(t, s, receipt.Undo...)
		if now := b.snapshot(dirPath); now != before {
			t.Errorf("%s: undone it is\n%s\nand was\n%s", step.name, now, before)
		}
	}
	bad := change(one.Cert(), false)
	bad.DER = one.DER()
	mustDo(t, s, change(one.Cert(), true))
	for _, content := range []string{
		`{"name":"../x.pem","text":""}`,
		`{"name":"/etc/x.pem","text":"` + base64.StdEncoding.EncodeToString(one.PEM()) + `"}`,
		`{"name":"..","text":"` + base64.StdEncoding.EncodeToString(one.PEM()) + `"}`,
		`{"name":"x.pem","text":"` + base64.StdEncoding.EncodeToString(one.PEM()) + `","links":["../../x"]}`,
		`{"name":".certtrust-x.pem","text":"` + base64.StdEncoding.EncodeToString(one.PEM()) + `"}`,
		`{"name":"twin.pem","text":"` + base64.StdEncoding.EncodeToString(one.PEM()) + `"}`,
		`{"name":"x.pem","text":"` + base64.StdEncoding.EncodeToString(two.PEM()) + `"}`,
	} {
		bad.Content = []byte(content)
		if p, err := s.Plan(t.Context(), []store.Change{bad}); err != nil || len(p.Refused) != 1 || !p.Empty() {
			t.Errorf("%.40s: %+v, %v", content, p.Steps, err)
		}
	}
}

// What a gap had hidden from OpenSSL does not come back unsaid.
func TestDirGap(t *testing.T) {
	b := newBox(t)
	hidden, added := storetest.NewCA(t, storetest.CN("Same")), storetest.NewCA(t, storetest.CN("Same"))
	b.write(dirPath+"/hidden.pem", string(hidden.PEM()))
	b.link("hidden.pem", dirPath+"/"+certfile.SubjectHash(hidden.Cert())+".1")
	s := openDir(t, b.host, dirPath)
	for e, err := range s.Entries(t.Context()) {
		if err != nil || len(e.Trust) > 0 || len(e.Problems) != 1 {
			t.Errorf("%+v, %v", e, err)
		}
	}
	receipt := mustDo(t, s, change(added.Cert(), false))
	if len(receipt.Notices) != 1 || !strings.Contains(receipt.Notices[0], hidden.Cert().SHA256.Short()) {
		t.Errorf("%q", receipt.Notices)
	}
}
