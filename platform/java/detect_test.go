package java

import (
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// jdk makes an installation of Java with a keystore of its own.
func (b *box) jdk(dir string) string {
	b.t.Helper()
	program := "bin/java"
	if b.host.OS == "windows" {
		program += ".exe"
	}
	b.write(path.Join(dir, program), nil)
	b.write(path.Join(dir, "release"), []byte("IMPLEMENTOR=\"Somebody\"\nJAVA_VERSION=\"21.0.1\"\n"))
	file := path.Join(dir, "lib/security/cacerts")
	b.write(file, fixture(b.t, "java.jks"))
	return file
}

func (b *box) link(target, name string) {
	b.t.Helper()
	if err := os.MkdirAll(path.Dir(b.file(name)), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Symlink(target, b.file(name)); err != nil {
		b.t.Fatal(err)
	}
}

// all finds everything that is on the machine.
func (b *box) all() (infos []store.Info, reasons string) {
	b.t.Helper()
	for _, detect := range []func() ([]store.Store, []string){
		func() ([]store.Store, []string) { return DetectUser(b.t.Context(), b.host) },
		func() ([]store.Store, []string) { return DetectSystem(b.t.Context(), b.host) },
	} {
		stores, why := detect()
		for _, s := range stores {
			infos = append(infos, s.Info())
		}
		reasons += strings.Join(why, "\n") + "\n"
	}
	return infos, reasons
}

// Each row is one place in which a Java is found, on one system.
func TestPlaces(t *testing.T) {
	for _, c := range []struct {
		system, dir string
		env         map[string]string
		user, apart bool
	}{
		{"linux", "/usr/lib/jvm/java-21", nil, false, false},
		{"linux", "/usr/lib64/jvm/java-21", nil, false, false},
		{"linux", "/usr/java/jdk-21", nil, false, false},
		{"linux", "/opt/jdk-21", nil, false, false},
		{"linux", "/opt/java/openjdk", nil, false, false},
		{"linux", "/snap/openjdk/current/jdk", nil, false, true},
		{"linux", "/snap/intellij-idea/current/jbr", nil, false, true},
		{"linux", "/home/linuxbrew/.linuxbrew/opt/openjdk@21/libexec", nil, false, false},
		{"linux", "/opt/idea/jbr", nil, false, true},
		{"linux", "/somewhere/else", map[string]string{"JAVA_HOME": "/somewhere/else"}, false, false},
		{"linux", "/somewhere/else", map[string]string{"PATH": "/nowhere:/somewhere/else/bin"}, false, false},
		{"linux", "/home/user/.sdkman/candidates/java/21.0.1-tem", nil, true, false},
		{"linux", "/data/sdkman/candidates/java/21.0.1-tem", map[string]string{"SDKMAN_DIR": "/data/sdkman"}, false, false},
		{"linux", "/home/user/.asdf/installs/java/temurin-21", nil, true, false},
		{"linux", "/home/user/.local/share/mise/installs/java/21", nil, true, false},
		{"linux", "/home/user/.jabba/jdk/openjdk@21", nil, true, false},
		{"linux", "/home/user/.jenv/versions/21", nil, true, false},
		{"linux", "/home/user/.jbang/cache/jdks/21", nil, true, false},
		{"linux", "/home/user/.gradle/jdks/eclipse_adoptium-21-amd64-linux", nil, true, false},
		{"linux", "/home/user/.gradle/jdks/eclipse_adoptium-21-amd64-linux/jdk-21.0.1+12", nil, true, false},
		{"linux", "/home/user/.jdks/temurin-21", nil, true, false},
		{"linux", "/home/user/.local/share/JetBrains/Toolbox/apps/intellij-idea/jbr", nil, true, true},
		{"linux", "/home/user/android-studio/jbr", nil, true, true},
		{"linux", "/home/user/.vscode/extensions/redhat.java-1.41.1-linux-x64/jre/21.0.6-linux-x86_64", nil, true, true},
		{"linux", "/home/user/.p2/pool/plugins/org.eclipse.justj.openjdk.hotspot.jre.full.linux.x86_64_21.0.6.v20250130-0529/jre", nil, true, true},
		{"darwin", "/home/user/Library/Application Support/JetBrains/Toolbox/apps/IDEA-U/ch-0/243.1/IntelliJ IDEA.app/Contents/jbr/Contents/Home", nil, true, true},
		{"darwin", "/Library/Java/JavaVirtualMachines/temurin-21.jdk/Contents/Home", nil, false, false},
		{"darwin", "/home/user/Library/Java/JavaVirtualMachines/temurin-21/Contents/Home", nil, true, false},
		{"darwin", "/opt/homebrew/opt/openjdk@21/libexec/openjdk.jdk/Contents/Home", nil, false, false},
		{"darwin", "/usr/local/opt/openjdk/libexec/openjdk.jdk/Contents/Home", nil, false, false},
		{"darwin", "/Applications/IntelliJ IDEA.app/Contents/jbr/Contents/Home", nil, false, true},
		{"darwin", "/home/user/.sdkman/candidates/java/21.0.1-tem", nil, true, false},
		{"freebsd", "/usr/local/openjdk21", nil, false, false},
		{"windows", "/Program Files/Java/jdk-21", nil, false, false},
		{"windows", "/Program Files/Eclipse Adoptium/jdk-21.0.1.12-hotspot", nil, false, false},
		{"windows", "/Program Files/Amazon Corretto/jdk21.0.1_12", nil, false, false},
		{"windows", "/Program Files/Microsoft/jdk-21.0.1.12-hotspot", nil, false, false},
		{"windows", "/Program Files/Zulu/zulu-21", nil, false, false},
		{"windows", "/Program Files (x86)/Java/jre-21", nil, false, false},
		{"windows", "/Program Files/JetBrains/IntelliJ IDEA 2026.1/jbr", nil, false, true},
		{"windows", "/Program Files/Android/Android Studio/jbr", nil, false, true},
		{"windows", "/Users/user/scoop/apps/openjdk21/current", nil, true, false},
		{"windows", "/Users/user/.jdks/temurin-21", nil, true, false},
		{"windows", "/Users/user/AppData/Local/Programs/Eclipse Adoptium/jdk-21", nil, true, false},
		{"windows", "/Users/user/AppData/Local/Programs/PyCharm/jbr", nil, true, true},
	} {
		b := newBox(t, "/unused/file", nil)
		b.host.OS = c.system
		b.host.Env = func(key string) string { return c.env[key] }
		if c.system == "windows" {
			b.host.User.Home = "/Users/user"
		}
		want := b.jdk(c.dir)
		infos, reasons := b.all()
		if len(infos) != 1 || infos[0].Location != want {
			t.Errorf("%s %s: found %+v\n%s", c.system, c.dir, infos, reasons)
			continue
		}
		i := infos[0]
		if (i.Scope == store.ScopeUser) != c.user || i.Default == c.apart || i.DerivedFrom != "" {
			t.Errorf("%s %s: %+v", c.system, c.dir, i)
		}
		if !strings.Contains(i.Title, "Java 21.0.1 (Somebody)") || !strings.Contains(reasons, want) {
			t.Errorf("%s %s: %q, because\n%s", c.system, c.dir, i.Title, reasons)
		}
	}
}

func TestRegistry(t *testing.T) {
	b := newBox(t, "/unused/file", nil)
	b.host.OS = "windows"
	b.host.Registry = func(key string) (map[string]string, []string) {
		switch key {
		case `HKLM\SOFTWARE\JavaSoft\JDK`:
			return map[string]string{"CurrentVersion": "21"}, []string{"21", "gone"}
		case `HKLM\SOFTWARE\JavaSoft\JDK\21`:
			return map[string]string{"JavaHome": `C:\Tools\jdk`}, nil
		case `HKLM\SOFTWARE\JavaSoft\JDK\gone`:
			return map[string]string{"JavaHome": `C:\Tools\gone`}, nil
		case `HKLM\SOFTWARE\Eclipse Adoptium`:
			return nil, []string{"JDK"}
		case `HKLM\SOFTWARE\Eclipse Adoptium\JDK`:
			return nil, []string{"21.0.1.12"}
		case `HKLM\SOFTWARE\Eclipse Adoptium\JDK\21.0.1.12`:
			return nil, []string{"hotspot"}
		case `HKLM\SOFTWARE\Eclipse Adoptium\JDK\21.0.1.12\hotspot`:
			return nil, []string{"MSI"}
		case `HKLM\SOFTWARE\Eclipse Adoptium\JDK\21.0.1.12\hotspot\MSI`:
			return map[string]string{"Path": `C:\Tools\temurin\`}, nil
		}
		return nil, nil
	}
	b.jdk("/Tools/jdk")
	b.jdk("/Tools/temurin")
	infos, reasons := b.all()
	if len(infos) != 2 || !strings.Contains(reasons, "the registry") {
		t.Errorf("found %+v\n%s", infos, reasons)
	}
}

// However many names a Java and its keystore have, the keystore is one store.
func TestOneStoreForAllLinks(t *testing.T) {
	b := newBox(t, "/unused/file", nil)
	b.write("/etc/ssl/certs/java/cacerts", fixture(t, "java.jks"))
	for _, dir := range []string{"/usr/lib/jvm/java-17-openjdk-amd64", "/usr/lib/jvm/temurin-25-jdk-amd64"} {
		b.write(dir+"/bin/java", nil)
		b.link("/etc/ssl/certs/java/cacerts", dir+"/lib/security/cacerts")
	}
	b.link("java-17-openjdk-amd64", "/usr/lib/jvm/default-java")
	b.link("/usr/lib/jvm/java-17-openjdk-amd64/bin/java", "/etc/alternatives/java")
	b.link("/etc/alternatives/java", "/usr/bin/java")
	b.host.Env = func(key string) string {
		return map[string]string{"PATH": "/usr/bin", "JAVA_HOME": "/usr/lib/jvm/default-java"}[key]
	}
	infos, reasons := b.all()
	if len(infos) != 1 || infos[0].ID != "java:/etc/ssl/certs/java/cacerts" || len(infos[0].Readers) != 2 {
		t.Fatalf("found %+v\n%s", infos, reasons)
	}
	if !infos[0].Default || infos[0].DerivedFrom != "" {
		t.Errorf("without a hook it is nobody's but Java's: %+v", infos[0])
	}
}

func TestGenerated(t *testing.T) {
	for _, c := range []struct {
		name, path, by, conf string
		derived, writable    bool
	}{
		{"Debian", "/etc/ssl/certs/java/cacerts", "/etc/ca-certificates/update.d/jks-keystore", "", true, true},
		{"Debian, switched off", "/etc/ssl/certs/java/cacerts", "/etc/ca-certificates/update.d/jks-keystore", "cacerts_updates = 'no'\n", false, true},
		{"Fedora", "/etc/pki/ca-trust/extracted/java/cacerts", "/usr/bin/update-ca-trust", "", true, false},
		{"Arch", "/etc/ssl/certs/java/cacerts", "/usr/bin/trust", "", true, false},
		{"SUSE", "/var/lib/ca-certificates/java-cacerts", "/usr/sbin/update-ca-certificates", "", true, false},
		{"a copy", "/etc/other/cacerts", "/usr/bin/update-ca-trust", "", false, true},
	} {
		b := newBox(t, c.path, fixture(t, "java.jks"))
		b.write("/usr/lib/jvm/java/bin/java", nil)
		b.link(c.path, "/usr/lib/jvm/java/lib/security/cacerts")
		b.write(c.by, nil)
		if c.conf != "" {
			b.write("/etc/default/cacerts", []byte(c.conf))
		}
		infos, reasons := b.all()
		if len(infos) != 1 {
			t.Fatalf("%s: found %+v\n%s", c.name, infos, reasons)
		}
		i := infos[0]
		if (i.DerivedFrom == "anchors:system") != c.derived || i.Default == c.derived || (i.Access.Write == nil) != c.writable {
			t.Errorf("%s: %+v\n%s", c.name, i, reasons)
		}
		if c.derived && !strings.Contains(reasons, "generated from the system's roots") {
			t.Errorf("%s: nothing is told: %s", c.name, reasons)
		}
	}
}

// jssecacerts stands in for cacerts, which is then listed, but nobody reads it.
func TestWhichIsInForce(t *testing.T) {
	b := newBox(t, "/unused/file", nil)
	cacerts := b.jdk("/opt/jdk-21")
	b.write("/opt/jdk-21/lib/security/jssecacerts", fixture(t, "java.jks"))
	infos, reasons := b.all()
	if len(infos) != 2 {
		t.Fatalf("found %+v", infos)
	}
	for _, i := range infos {
		inForce := i.Location != cacerts
		if i.Default != inForce || (len(i.Readers) > 0) != inForce || strings.Contains(i.Title, "not in force") == inForce {
			t.Errorf("%+v", i)
		}
	}
	if !strings.Contains(reasons, "stands in for") {
		t.Errorf("nothing is told: %s", reasons)
	}
	s, _, err := Open(b.host, "/opt/jdk-21")
	if err != nil || !strings.HasSuffix(s.Info().Location, "jssecacerts") {
		t.Errorf("the directory stands for %v, %v", s, err)
	}
	// An old JDK has its JRE inside.
	b.write("/opt/jdk8/bin/java", nil)
	b.write("/opt/jdk8/jre/bin/java", nil)
	b.write("/opt/jdk8/jre/lib/security/cacerts", fixture(t, "java.jks"))
	infos, reasons = b.all()
	if !slices.ContainsFunc(infos, func(i store.Info) bool { return i.Location == "/opt/jdk8/jre/lib/security/cacerts" && i.Default }) {
		t.Errorf("an old JDK: %+v\n%s", infos, reasons)
	}
}

// Under sudo the environment is the user's, and root does not believe it.
func TestEnvironmentOfOthers(t *testing.T) {
	b := newBox(t, "/unused/file", nil)
	b.jdk("/tmp/evil")
	b.host.Env = func(key string) string {
		return map[string]string{"JAVA_HOME": "/tmp/evil", "PATH": "/tmp/evil/bin"}[key]
	}
	b.host.User.Via = "sudo"
	if infos, _ := b.all(); len(infos) != 0 {
		t.Errorf("found %+v", infos)
	}
	b.host.User.Via = ""
	if infos, _ := b.all(); len(infos) != 1 {
		t.Errorf("the user's own: found %+v", infos)
	}
}

func TestOffline(t *testing.T) {
	b := newBox(t, "/unused/file", nil)
	b.write("/etc/os-release", []byte("ID=debian\n"))
	b.jdk("/opt/jdk-21")
	h, err := host.Offline(b.root)
	if err != nil {
		t.Fatal(err)
	}
	h.User = b.host.User
	b.host = h
	infos, _ := b.all()
	if len(infos) != 1 || infos[0].Access.Write == nil || infos[0].Root == "" {
		t.Errorf("found %+v", infos)
	}
}

// A keystore that is named is what finding it would have made of it, wherever it
// lies: what a Java takes unasked must not be encrypted.
func TestNamedIsAsFound(t *testing.T) {
	b := newBox(t, "/srv/corp/roots.p12", fixture(t, "java.p12"))
	b.jdk("/opt/jdk-21")
	os.Remove(b.file("/opt/jdk-21/lib/security/cacerts"))
	b.link("/srv/corp/roots.p12", "/opt/jdk-21/lib/security/cacerts")
	found, _ := b.all()
	for _, name := range []string{"/srv/corp/roots.p12", "/opt/jdk-21/lib/security/cacerts", "/opt/jdk-21"} {
		s, reasons, err := Open(b.host, name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(found, []store.Info{s.Info()}); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if w := s.Info().Access.Write; w == nil || w.Kind != store.ReadOnly {
			t.Errorf("%s may be written: %+v", name, w)
		}
		if !slices.Contains(reasons, "it was named") {
			t.Errorf("%s: the reasons are %q", name, reasons)
		}
	}
}
