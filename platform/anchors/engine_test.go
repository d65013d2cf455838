package anchors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certtrust/certtrust/platform/anchors/anchorstest"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
	"github.com/certtrust/certtrust/store/storetest"
)

func nativeBox(t testing.TB, java bool) *box {
	t.Helper()
	b := newBox(t, java)
	b.host.Engine = host.EngineNative
	return b
}

// The native engine starts no program, and what it has made the tool leaves as
// it is.
func TestNativeIsWhatTheToolMakes(t *testing.T) {
	b := nativeBox(t, false)
	twins := siblings(t, 3)
	runs := b.updater.Runs
	b.do(trust(twins[0]), trust(twins[1]), trust(twins[2]), trust(newCA(t, "Alone").Cert()))
	b.do(absentOf(twins[0]), distrust(b.vendor[1]))
	if b.updater.Runs != runs {
		t.Error("the tool was run")
	}
	same := b.unchanged()
	if _, err := b.updater.Run(t.Context(), host.Command{Args: []string{"/usr/sbin/update-ca-certificates"}}); err != nil {
		t.Fatal(err)
	}
	same()
	b.clean()
}

// The engine is chosen by what the tool is, and by what is there.
func TestEngine(t *testing.T) {
	for _, c := range []struct {
		name, engine string
		known        bool // the tool
		prepare      func(b *box)
		native       bool
	}{
		{"unknown tool", "", false, func(*box) {}, false},
		{"known tool", "", true, func(*box) {}, true},
		{"known tool, said so", host.EngineAuto, true, func(*box) {}, true},
		{"known tool, asked for", host.EngineDistro, true, func(*box) {}, false},
		{"unknown tool, asked for", host.EngineNative, false, func(*box) {}, true},
		{"known tool, empty list", "", true, func(b *box) { b.write(confFile, nil) }, false},
		{"known tool, same name", "", true, func(b *box) {
			for _, dir := range []string{"x", "y"} {
				b.write(adminDir+dir+"/same.crt", newCA(b, dir).PEM())
			}
		}, false},
		{"known tool, bundle a link", "", true, func(b *box) {
			b.must(os.Rename(b.path(bundle), b.path("/etc/ssl/real.crt")))
			b.must(os.Symlink("../real.crt", b.path(bundle)))
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t, false)
			c.prepare(b)
			b.host.Engine = c.engine
			s := b.open()
			if c.known {
				s.family.proven = map[string]string{toolSum([]byte(b.read(s.family.tool))): "the test's"}
			}
			st, err := s.read(t.Context())
			b.must(err)
			if native, why := s.native(st); native != c.native || why == "" {
				t.Errorf("native %t: %s", native, why)
			}
		})
	}
}

// The hooks are told what the tool tells them, in its order, where it does.
func TestNativeHooks(t *testing.T) {
	one, two := newCA(t, "One").Cert(), newCA(t, "Two").Cert()
	told := func(engine string) (lines []string) {
		b := newBox(t, true)
		b.host.Engine = engine
		b.updater.Hook = func(l []string) error {
			lines = append(lines, strings.Join(l, " "))
			return nil
		}
		run := b.host.Runner
		b.host.Runner = func(ctx context.Context, c host.Command) (host.Output, error) {
			if c.Args[0] == javaHook && c.Dir != filepath.Clean(certsDir) {
				t.Errorf("the hook is run in %q", c.Dir)
			}
			return run(ctx, c)
		}
		s := b.open()
		s.Wait = 0
		// The key store does not follow, so that all is told again and again.
		if _, err := s.Apply(t.Context(), b.plan(s, trust(one), trust(two))); !errors.Is(err, store.ErrFailed) {
			t.Error(err)
		}
		return lines
	}
	if diff := cmp.Diff(told(host.EngineDistro)[:1], told(host.EngineNative)[:1]); diff != "" {
		t.Errorf("(-tool +native):\n%s", diff)
	}
}

// A plan names the programs that will be run, and no other.
func TestPlannedCommands(t *testing.T) {
	for _, c := range []struct {
		engine string
		java   bool
		want   [][]string
	}{
		{host.EngineDistro, true, [][]string{{"/usr/sbin/update-ca-certificates"}}},
		{host.EngineNative, true, [][]string{{javaHook}}},
		{host.EngineNative, false, nil},
	} {
		b := newBox(t, c.java)
		b.host.Engine = c.engine
		var commands [][]string
		for _, step := range b.plan(b.open(), trust(newCA(t, "One").Cert())).Steps {
			commands = append(commands, step.Commands...)
		}
		if diff := cmp.Diff(c.want, commands); diff != "" {
			t.Errorf("engine %s, Java %t (-want +got):\n%s", c.engine, c.java, diff)
		}
	}
}

// A reader finds what stays at every moment, whatever is written.
func TestNativeLinksAreNeverMissing(t *testing.T) {
	twins := siblings(t, 4)
	b := nativeBox(t, false)
	b.do(trust(twins[0]), trust(twins[1]), trust(twins[2]))
	steps := 0
	b.host.Fault = func(op, path string) error {
		steps++
		for _, c := range []*store.Cert{twins[1], twins[2], b.vendor[0]} {
			if !b.lookup(c) || b.bundled(c) != 1 {
				t.Errorf("before %s of %s, %s is not found", op, path, c.Label())
			}
		}
		return nil
	}
	b.do(trust(twins[3]), absentOf(twins[0]))
	if steps < 8 {
		t.Errorf("only %d steps were seen", steps)
	}
}

// What others change in the middle is in what is generated, whenever that is:
// files that were read under the lock are not all read again before that, but all
// are when it is done.
func TestNativeSeesWhatOthersChange(t *testing.T) {
	mine, theirs, gone, vendors := newCA(t, "Mine").Cert(), newCA(t, "Theirs"), newCA(t, "Gone"), newCA(t, "Vendor Alpha II")
	for n := 1; ; n++ {
		b := nativeBox(t, false)
		b.write(adminDir+"gone.crt", gone.PEM())
		b.update()
		s, step, at := b.open(), 0, ""
		plan := b.plan(s, trust(mine))
		b.host.Fault = func(op, path string) error {
			if step++; step == n {
				at = op + " of " + path
				b.write(adminDir+"theirs.crt", theirs.PEM())
				b.remove(adminDir + "gone.crt")
				b.write(vendorDir+"Alpha.crt", vendors.PEM())
			}
			return nil
		}
		_, err := s.Apply(t.Context(), plan)
		b.must(err)
		if at == "" {
			if n < 8 {
				t.Errorf("only %d steps were seen", n-1)
			}
			return
		}
		for c, want := range map[*store.Cert]bool{mine: true, theirs.Cert(): true, gone.Cert(): false, vendors.Cert(): true, b.vendor[0]: false, b.vendor[1]: true} {
			b.trusted(c, want)
		}
		if t.Failed() {
			t.Fatal("when it was done before the " + at)
		}
	}
}

// A certificate that programs do not find in the hash directory, for whatever
// reason, is not called trusted; and what stands there instead of a link counts,
// if it is the certificate.
func TestNativeReadsLinksBack(t *testing.T) {
	twins := siblings(t, 2)
	c := twins[1]
	for name, x := range map[string]struct {
		spoil func(b *box, hash, pem string) // the path of the last link by hash, and that of what it leads to
		found bool
	}{
		"untouched":             {func(*box, string, string) {}, true},
		"no link by hash":       {func(b *box, hash, _ string) { b.remove(hash) }, false},
		"it leads elsewhere":    {func(b *box, hash, _ string) { b.remove(hash); b.link("Alpha.pem", hash) }, false},
		"it leads in a circle":  {func(b *box, hash, _ string) { b.remove(hash); b.link(strings.TrimPrefix(hash, certsDir), hash) }, false},
		"it is absolute":        {func(b *box, hash, pem string) { b.remove(hash); b.link(pem, hash) }, true},
		"no link":               {func(b *box, _, pem string) { b.remove(pem) }, false},
		"a lower number is not": {func(b *box, hash, _ string) { b.remove(strings.TrimSuffix(hash, "1") + "0") }, false},
		"a copy":                {func(b *box, _, pem string) { b.remove(pem); b.write(pem, certfile.EncodePEM(c)) }, true},
		"another's copy":        {func(b *box, _, pem string) { b.remove(pem); b.write(pem, certfile.EncodePEM(twins[0])) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := nativeBox(t, false)
			b.do(trust(twins[0]))
			s := b.open()
			p := b.plan(s, trust(c))
			hash := certsDir + anchorstest.SubjectHash(c) + ".1"
			b.host.Fault = func(op, path string) error {
				if _, err := b.host.Lstat(hash); op == "rename" && path == s.family.bundle && err == nil {
					x.spoil(b, hash, s.link(linkName(s.ownPath(c.SHA256), s.family.suffix)))
				}
				return nil
			}
			_, err := s.Apply(t.Context(), p)
			b.host.Fault = nil
			// The bundle is made once, and the second attempt mends it.
			b.must(err)
			b.trusted(c, true)
			st, err := s.read(t.Context())
			b.must(err)
			x.spoil(b, hash, s.link(linkName(s.ownPath(c.SHA256), s.family.suffix)))
			if got := s.lookUp(st, []store.Fingerprint{c.SHA256}); got && !x.found {
				t.Error("it is found where programs do not find it")
			}
			read, err := s.readBack(t.Context(), edits{have: []store.Fingerprint{c.SHA256}})
			b.must(err)
			if read.indexed[c.SHA256] != x.found || b.lookup(c) != x.found {
				t.Errorf("found: %t, by a program %t; want %t", read.indexed[c.SHA256], b.lookup(c), x.found)
			}
		})
	}
}

// Numbers are contiguous from 0, each certificate once, and what has a right
// link keeps it.
func TestNumber(t *testing.T) {
	held := map[string]store.Fingerprint{"a": {1}, "b": {2}, "c": {3}, "twice": {1}}
	for _, c := range []struct {
		files []string
		have  map[int]string
		want  []string
	}{
		{[]string{"a", "b", "c"}, nil, []string{"a", "b", "c"}},
		{[]string{"a", "b", "c"}, map[int]string{0: "c", 1: "a"}, []string{"c", "a", "b"}},
		{[]string{"a", "b"}, map[int]string{0: "gone", 1: "a"}, []string{"b", "a"}},
		{[]string{"a", "b"}, map[int]string{7: "a"}, []string{"a", "b"}},
		{[]string{"a", "twice"}, nil, []string{"a"}},
		{[]string{"a", "twice"}, map[int]string{0: "twice", 1: "a"}, []string{"a"}},
		{[]string{"a", "b", "twice"}, map[int]string{1: "twice"}, []string{"b", "twice"}},
		{[]string{"a"}, map[int]string{0: "a", 1: "a"}, []string{"a"}},
	} {
		before := maps.Clone(c.have)
		got := number(slices.Clone(c.files), held, c.have)
		if diff := cmp.Diff(c.want, got); diff != "" || !maps.Equal(before, c.have) {
			t.Errorf("%v with %v (-want +got):\n%s", c.files, c.have, diff)
		}
	}
}

// What the native engine takes for the links of a directory, openssl rehash
// does, too.
func TestRehashLikeOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("openssl is not installed")
		}
		t.Skip("openssl is not installed")
	}
	b := nativeBox(t, false)
	// Some of what lies around on real machines.
	both := slices.Concat(newCA(t, "First of two").PEM(), newCA(t, "Second of two").PEM())
	b.write(certsDir+"two.pem", both)
	b.write(certsDir+"server.pem", newCA(t, "A Server").PEM())
	b.write(certsDir+"text.cer", append([]byte("Some words\n"), newCA(t, "Text before").PEM()...))
	b.write(certsDir+"UPPER.PEM", newCA(t, "Upper").PEM())
	b.write(certsDir+"none.pem", []byte("nothing\n"))
	b.write(certsDir+"README", newCA(t, "Not by that name").PEM())
	b.write(certsDir+"old.bak", newCA(t, "Not by that name either").PEM())
	var want []store.Change
	for _, c := range siblings(t, 5) {
		want = append(want, trust(c))
	}
	b.do(want...)
	b.do(absentOf(siblings(t, 5)[2]))

	links := func() map[string][]string {
		all := map[string][]string{}
		entries, err := os.ReadDir(b.path(certsDir))
		b.must(err)
		for _, e := range entries {
			hash, n, is := hashNumber(e.Name())
			if !is {
				continue
			}
			target, err := os.Readlink(filepath.Join(b.path(certsDir), e.Name()))
			b.must(err)
			all[hash] = append(all[hash], target)
			if n != len(all[hash])-1 {
				t.Errorf("%s is number %d", e.Name(), len(all[hash])-1)
			}
		}
		for _, targets := range all {
			slices.Sort(targets)
		}
		return all
	}
	ours := links()
	// For a program that is not in the box, links have to lead into it.
	entries, err := os.ReadDir(b.path(certsDir))
	b.must(err)
	for _, e := range entries {
		p := filepath.Join(b.path(certsDir), e.Name())
		if _, _, is := hashNumber(e.Name()); is {
			b.must(os.Remove(p))
		} else if target, err := os.Readlink(p); err == nil && filepath.IsAbs(target) {
			b.must(os.Remove(p))
			b.must(os.Symlink(b.path(target), p))
		}
	}
	cmd := exec.CommandContext(t.Context(), openssl, "rehash", b.path(certsDir))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if diff := cmp.Diff(links(), ours); diff != "" {
		t.Errorf("(-openssl +native):\n%s", diff)
	}
}

// Where no anchor is left the tool keeps the old bundle; the native engine does
// not.
func TestNativeEmptiesTheBundle(t *testing.T) {
	b := nativeBox(t, false)
	for _, c := range b.vendor {
		b.do(distrust(c))
	}
	if got := b.read(bundle); got != "" {
		t.Errorf("the bundle is %q", got)
	}
	b.do(trust(b.vendor[1]))
	if !bytes.Equal([]byte(b.read(bundle)), certfile.EncodePEM(b.vendor[1])) {
		t.Errorf("the bundle is %q", b.read(bundle))
	}
	b.trusted(b.vendor[1], true)
}

// The native engine does what can be done without the tool, and refuses
// nothing that lies there.
func TestNativeTakesOddNames(t *testing.T) {
	b := nativeBox(t, false)
	for i, name := range []string{"a b.crt", "par(en).crt", "com,ma.crt", "-dash.crt", "x/deep.crt", "back\\slash.crt", "ü.crt"} {
		b.write(adminDir+name, newCA(t, fmt.Sprint("Odd ", i)).PEM())
	}
	b.do(trust(newCA(t, "New").Cert()))
	for i := range 7 {
		b.trusted(newCA(t, fmt.Sprint("Odd ", i)).Cert(), true)
	}
	b.clean()
}

// Without a change nothing is written, and no file gets another time.
func TestNativeTwice(t *testing.T) {
	b := nativeBox(t, true)
	ca := newCA(t, "Twice").Cert()
	b.do(trust(ca))
	b.host.Fault = func(op, path string) error {
		t.Errorf("%s of %s", op, path)
		return io.ErrUnexpectedEOF
	}
	b.do(trust(ca))
	// Nor is the bundle if only a link is missing.
	b.host.Fault = nil
	before, err := os.Stat(b.path(bundle))
	b.must(err)
	b.must(os.Remove(b.path(certsDir + linkName(b.open().ownPath(ca.SHA256), ".crt"))))
	b.repair()
	after, err := os.Stat(b.path(bundle))
	b.must(err)
	if !os.SameFile(before, after) {
		t.Error("the bundle was written anew")
	}
	b.trusted(ca, true)
	b.clean()
}

// Where anchors lie in directories, the native engine makes what it can make, and
// refuses the rest: nothing is left behind what it was made of.
func TestNativeFolders(t *testing.T) {
	for _, l := range anchorstest.Layouts() {
		t.Run(l.Name, func(t *testing.T) {
			b := newFolderBox(t, l)
			b.host.Engine = host.EngineNative
			run := b.host.Runner
			b.host.Runner = func(ctx context.Context, c host.Command) (host.Output, error) {
				t.Errorf("%v is run", c.Args)
				return run(ctx, c)
			}
			s := b.open()
			ca := newCA(t, "Native").Cert()
			before := b.tree()
			plan, err := s.Plan(t.Context(), []store.Change{trust(ca)})
			if err != nil || len(plan.Refused) > 0 {
				t.Fatalf("%v, %+v", err, plan.Refused)
			}
			switch _, err := s.Apply(t.Context(), plan); {
			case err == nil:
				found := false
				for e, err := range s.Entries(t.Context()) {
					found = found || err == nil && e.Cert != nil && e.Cert.SHA256 == ca.SHA256 && e.Trust.For(store.PurposeServerAuth) == store.Trusted
				}
				if !found {
					t.Error("it is not trusted")
				}
			case !errors.Is(err, store.ErrUnsupported):
				t.Error(err)
			case b.tree() != before:
				t.Error("something was changed")
			}
		})
	}
}

// The bundle is in the order that sort gives the anchors in the caller's
// locale, as it is when the tool makes it; where that is the C locale's, and in
// an offline root, nothing has to be asked.
func TestNativeLocale(t *testing.T) {
	small, big := newCA(t, "Small"), newCA(t, "Big")
	for _, c := range []struct {
		name   string
		env    map[string]string
		locale string // of the order, "" = C
	}{
		{"none", nil, ""},
		{"C", map[string]string{"LC_ALL": "C", "LC_COLLATE": "en_US.UTF-8", "LANG": "en_US.UTF-8"}, ""},
		{"C.UTF-8", map[string]string{"LANG": "C.UTF-8"}, ""},
		{"all", map[string]string{"LC_ALL": "en_US.UTF-8", "LC_COLLATE": "C"}, "en_US.UTF-8"},
		{"order only", map[string]string{"LC_COLLATE": "de_DE", "LANG": "en_US.UTF-8"}, "de_DE"},
		{"by default", map[string]string{"LANG": "en_US.UTF-8", "LC_MESSAGES": "C"}, "en_US.UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := nativeBox(t, true)
			b.host.Env = func(key string) string { return c.env[key] }
			b.write(adminDir+"a.crt", small.PEM())
			b.write(adminDir+"B.crt", big.PEM())
			run := b.host.Runner
			var asked, told string
			b.host.Runner = func(ctx context.Context, cmd host.Command) (host.Output, error) {
				i := slices.IndexFunc(cmd.Env, func(x string) bool { return strings.HasPrefix(x, "LC_COLLATE=") })
				order := ""
				if i >= 0 {
					order = strings.TrimPrefix(cmd.Env[i], "LC_COLLATE=")
				}
				if cmd.Args[0] != "sort" {
					told = order
					return run(ctx, cmd)
				}
				asked = order
				text, err := io.ReadAll(cmd.Stdin)
				paths := strings.SplitAfter(string(text), "\x00")
				slices.SortFunc(paths, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
				return host.Output{Stdout: []byte(strings.Join(paths, ""))}, err
			}
			third := newCA(t, "Third")
			b.do(trust(third.Cert()))
			if asked != c.locale || told != c.locale {
				t.Errorf("sort was asked in the locale %q, and the hook told in %q", asked, told)
			}
			first, second := big.PEM(), small.PEM()
			if c.locale != "" {
				first, second = second, first
			}
			if text := b.read(bundle); strings.Index(text, string(first)) > strings.Index(text, string(second)) {
				t.Error("the bundle is in another order")
			}
			asked = ""
			h, err := host.Offline(b.root)
			b.must(err)
			found, _ := Detect(h)
			plan, err := found.Plan(t.Context(), []store.Change{absentOf(third.Cert())})
			b.must(err)
			_, err = found.Apply(t.Context(), plan)
			b.must(err)
			if asked != "" {
				t.Error("a program was asked about an offline root")
			}
		})
	}
}

// What is kept of a reading is what is there: a store that has read all before
// finds every change that one does which has not.
func TestChangesAreSeen(t *testing.T) {
	b := nativeBox(t, false)
	deep, other := newCA(t, "Deep"), newCA(t, "Other")
	b.write(adminDir+"sub/deep.crt", deep.PEM())
	b.update()
	s := b.open()
	s.cache.settle = -time.Hour // as if all had been changed long ago
	digest := func(s *Store) string {
		st, err := s.read(t.Context())
		b.must(err)
		return st.digest()
	}
	last := digest(s)
	for _, change := range []struct {
		name string
		do   func()
	}{
		{"a file comes", func() { b.write(adminDir+"other.crt", other.PEM()) }},
		{"one comes in a directory below", func() { b.write(adminDir+"sub/other.crt", other.PEM()) }},
		{"one is written in place", func() { b.write(adminDir+"sub/other.crt", bytes.ToUpper(other.PEM())) }},
		{"one goes", func() { b.remove(adminDir + "sub/deep.crt") }},
		{"a vendor's comes", func() { b.write(vendorDir+"new.crt", other.PEM()) }},
		{"a vendor's is another", func() { b.write(vendorDir+"Alpha.crt", other.PEM()) }},
		{"a link leads elsewhere", func() { b.remove(certsDir + "Gamma.pem"); b.link("Alpha.pem", certsDir+"Gamma.pem") }},
		{"a stray file comes", func() { b.write(certsDir+"stray.pem", other.PEM()) }},
		{"the vendor's list", func() { b.edit("/etc/ca-certificates.conf", "mozilla/Alpha.crt", "!mozilla/Alpha.crt") }},
	} {
		storetest.Tick(t)
		change.do()
		got := digest(s)
		if want := digest(b.open()); got != want || got == last {
			t.Errorf("%s: seen %t, as it is %t", change.name, got != last, got == want)
		}
		last = got
	}
}
