package java

// place is where installations of Java are found. A base is the first of the
// variables that is set, or else the first of the directories that there is;
// in patterns * stands for any name.
type place struct {
	systems string   // GOOS, with blanks between; "" = all
	vars    []string // environment variables that name the base
	base    []string // directories, ~ being the user's home
	homes   []string // patterns below the base; "" = itself
	what    string
	// apart: it belongs to a program that brings it along for itself, and is
	// only changed by name.
	apart bool
}

const (
	linux   = "linux"
	darwin  = "darwin"
	windows = "windows"
	unixes  = "linux darwin freebsd"
)

// places tells where Java is installed, in the order in which it is looked for.
var places = []place{
	{vars: []string{"JAVA_HOME"}, homes: []string{""}, what: "JAVA_HOME"},
	{vars: []string{"JDK_HOME"}, homes: []string{""}, what: "JDK_HOME"},
	{vars: []string{"JRE_HOME"}, homes: []string{""}, what: "JRE_HOME"},
	{vars: []string{"GRAALVM_HOME"}, homes: []string{""}, what: "GRAALVM_HOME"},

	{systems: linux, base: []string{"/usr/lib/jvm"}, homes: []string{"*", "*/jre"}, what: "packages"},
	{systems: linux, base: []string{"/usr/lib64/jvm"}, homes: []string{"*"}, what: "packages of SUSE"},
	{systems: linux, base: []string{"/usr/lib/jvm"}, homes: []string{"*/*"}, what: "packages"},
	{systems: linux, base: []string{"/usr/java"}, homes: []string{"*"}, what: "packages of Oracle"},
	{systems: linux, base: []string{"/opt"}, homes: []string{"*", "java/*", "jdk/*", "jvm/*", "java/openjdk"}, what: "/opt"},
	{systems: linux, base: []string{"/usr/local"}, homes: []string{"jdk*", "java*", "openjdk*", "lib/jvm/*", "sdkman/candidates/java/*"}, what: "/usr/local"},
	{systems: linux, base: []string{"/snap"}, homes: []string{"*/current", "*/current/jdk", "*/current/usr/lib/jvm/*"}, what: "snaps", apart: true},
	{systems: linux, base: []string{"/snap"}, homes: []string{"*/current/jbr", "*/current/*/jbr"}, what: "IDEs as snaps", apart: true},
	{systems: linux, base: []string{"/home/linuxbrew/.linuxbrew/opt"}, homes: []string{"openjdk*/libexec", "openjdk*"}, what: "Homebrew"},
	{systems: "freebsd", base: []string{"/usr/local"}, homes: []string{"openjdk*"}, what: "packages"},

	{systems: darwin, base: []string{"/Library/Java/JavaVirtualMachines", "/System/Library/Java/JavaVirtualMachines"}, homes: []string{"*"}, what: "JavaVirtualMachines"},
	{systems: darwin, base: []string{"~/Library/Java/JavaVirtualMachines"}, homes: []string{"*"}, what: "the user's JavaVirtualMachines"},
	{systems: darwin, base: []string{"/Library/Internet Plug-Ins"}, homes: []string{"JavaAppletPlugin.plugin"}, what: "Oracle's JRE"},
	{systems: darwin, vars: []string{"HOMEBREW_PREFIX"}, base: []string{"/opt/homebrew", "/usr/local"}, homes: []string{"opt/openjdk*"}, what: "Homebrew"},
	{systems: darwin, base: []string{"/opt/local/Library/Java/JavaVirtualMachines"}, homes: []string{"*"}, what: "MacPorts"},
	{systems: darwin, base: []string{"/Applications", "~/Applications"}, homes: []string{"*.app/Contents/jbr", "*.app/Contents/jre"}, what: "IDEs", apart: true},

	{systems: windows, vars: []string{"ProgramW6432", "ProgramFiles"}, base: []string{"C:/Program Files"}, homes: vendors, what: "Program Files"},
	{systems: windows, vars: []string{"ProgramFiles(x86)"}, base: []string{"C:/Program Files (x86)"}, homes: vendors, what: "Program Files for 32 bits"},
	{systems: windows, vars: []string{"LOCALAPPDATA"}, base: []string{"~/AppData/Local"}, homes: []string{"Programs/Eclipse Adoptium/*", "Programs/Microsoft/*", "Programs/Java/*", "Programs/Zulu/*"}, what: "the user's programs"},
	{systems: windows, vars: []string{"ProgramW6432", "ProgramFiles"}, base: []string{"C:/Program Files"}, homes: []string{"JetBrains/*/jbr", "Android/Android Studio/jbr", "Android/Android Studio/jre"}, what: "IDEs", apart: true},
	{systems: windows, vars: []string{"LOCALAPPDATA"}, base: []string{"~/AppData/Local"}, homes: []string{"Programs/*/jbr", "JetBrains/Toolbox/apps/*/jbr", "JetBrains/Toolbox/apps/*/*/*/jbr"}, what: "IDEs", apart: true},
	{systems: windows, vars: []string{"SCOOP"}, base: []string{"~/scoop"}, homes: []string{"apps/*/current"}, what: "Scoop"},
	{systems: windows, vars: []string{"ChocolateyInstall"}, base: []string{"C:/ProgramData/chocolatey"}, homes: []string{"lib/*/tools/*"}, what: "Chocolatey"},

	{vars: []string{"SDKMAN_CANDIDATES_DIR"}, homes: []string{"java/*"}, what: "SDKMAN"},
	{vars: []string{"SDKMAN_DIR"}, base: []string{"~/.sdkman"}, homes: []string{"candidates/java/*"}, what: "SDKMAN"},
	{systems: unixes, vars: []string{"ASDF_DATA_DIR"}, base: []string{"~/.asdf"}, homes: []string{"installs/java/*"}, what: "asdf"},
	{systems: unixes, vars: []string{"MISE_DATA_DIR"}, base: []string{"~/.local/share/mise"}, homes: []string{"installs/java/*"}, what: "mise"},
	{systems: windows, vars: []string{"MISE_DATA_DIR"}, base: []string{"~/AppData/Local/mise"}, homes: []string{"installs/java/*"}, what: "mise"},
	{vars: []string{"JABBA_HOME"}, base: []string{"~/.jabba"}, homes: []string{"jdk/*"}, what: "jabba"},
	{systems: unixes, base: []string{"~/.jenv"}, homes: []string{"versions/*"}, what: "jenv"},
	{vars: []string{"JBANG_DIR"}, base: []string{"~/.jbang"}, homes: []string{"cache/jdks/*", "currentjdk"}, what: "JBang"},
	{vars: []string{"GRADLE_USER_HOME"}, base: []string{"~/.gradle"}, homes: []string{"jdks/*", "jdks/*/*"}, what: "Gradle's toolchains"},
	{base: []string{"~/.m2"}, homes: []string{"jdks/*"}, what: "Maven's toolchains"},
	{systems: unixes, vars: []string{"COURSIER_CACHE"}, base: []string{"~/.cache/coursier"}, homes: []string{"jvm/*", "arc/https/*/*/*/*/*/*/*/*/*"}, what: "Coursier"},
	{base: []string{"~/.jdks"}, homes: []string{"*"}, what: "IntelliJ's downloads"},
	{systems: linux, vars: []string{"XDG_DATA_HOME"}, base: []string{"~/.local/share"}, homes: []string{"JetBrains/Toolbox/apps/*/jbr", "JetBrains/Toolbox/apps/*/*/*/jbr"}, what: "IDEs", apart: true},
	{systems: linux, base: []string{"/opt", "/usr/local"}, homes: []string{"*/jbr", "*/*/jbr"}, what: "IDEs", apart: true},
	{systems: linux, base: []string{"/usr/share"}, homes: []string{"idea*/jbr", "pycharm*/jbr", "goland*/jbr", "clion*/jbr", "webstorm*/jbr", "rider*/jbr", "android-studio*/jbr", "jetbrains*/*/jbr"}, what: "IDEs", apart: true},
	{systems: linux, base: []string{"~"}, homes: []string{"android-studio/jbr", "idea*/jbr", "*/android-studio/jbr"}, what: "IDEs", apart: true},
	{base: []string{"~"}, homes: []string{".vscode/extensions/redhat.java-*/jre/*", ".vscode-server/extensions/redhat.java-*/jre/*", ".vscode-oss/extensions/redhat.java-*/jre/*", ".cursor/extensions/redhat.java-*/jre/*"}, what: "VS Code's extension for Java", apart: true},
	{base: []string{"~"}, homes: []string{".p2/pool/plugins/org.eclipse.justj.openjdk.hotspot.jre.*/jre", "eclipse/*/eclipse/plugins/org.eclipse.justj.openjdk.hotspot.jre.*/jre"}, what: "Eclipse", apart: true},
	{systems: darwin, base: []string{"~/Library/Application Support/JetBrains/Toolbox/apps"}, homes: []string{"*/*/*/*.app/Contents/jbr"}, what: "IDEs", apart: true},
}

// vendors are the directories of those who build Java, below Program Files.
var vendors = []string{"Java/*", "Eclipse Adoptium/*", "Eclipse Foundation/*", "AdoptOpenJDK/*", "Amazon Corretto/*", "Microsoft/*", "Zulu/*", "SapMachine/JDK/*", "SapMachine/JRE/*", "BellSoft/*", "Semeru/*", "OpenJDK/*", "RedHat/*"}

// registryKeys are where installers on Windows say where they have put Java:
// subkeys for each version, down to that depth, with one of these values.
var registryKeys = []struct {
	key    string
	depth  int
	values []string
}{
	{`HKLM\SOFTWARE\JavaSoft\JDK`, 1, []string{"JavaHome"}},
	{`HKLM\SOFTWARE\JavaSoft\JRE`, 1, []string{"JavaHome"}},
	{`HKLM\SOFTWARE\JavaSoft\Java Development Kit`, 1, []string{"JavaHome"}},
	{`HKLM\SOFTWARE\JavaSoft\Java Runtime Environment`, 1, []string{"JavaHome"}},
	{`HKLM\SOFTWARE\WOW6432Node\JavaSoft\JDK`, 1, []string{"JavaHome"}},
	{`HKLM\SOFTWARE\WOW6432Node\JavaSoft\Java Runtime Environment`, 1, []string{"JavaHome"}},
	{`HKLM\SOFTWARE\Eclipse Adoptium`, 4, []string{"Path"}},
	{`HKLM\SOFTWARE\Eclipse Foundation`, 4, []string{"Path"}},
	{`HKLM\SOFTWARE\AdoptOpenJDK`, 4, []string{"Path"}},
	{`HKLM\SOFTWARE\Microsoft\JDK`, 3, []string{"Path"}},
	{`HKLM\SOFTWARE\Azul Systems\Zulu`, 1, []string{"InstallationPath"}},
	{`HKLM\SOFTWARE\BellSoft\Liberica`, 3, []string{"InstallationPath", "Path"}},
	{`HKLM\SOFTWARE\Semeru`, 4, []string{"Path"}},
	{`HKCU\SOFTWARE\JavaSoft\JDK`, 1, []string{"JavaHome"}},
	{`HKCU\SOFTWARE\Eclipse Adoptium`, 4, []string{"Path"}},
}

// generated are keystores that are made of the system's roots: what is changed
// there by hand is lost, or taken for the system's.
var generated = []struct {
	path string   // without links
	by   []string // any of these makes it
	conf string   // says with the line off that it is not made
	off  string
	lost bool // what else is in it is lost the next time
	what string
}{
	{"/etc/ssl/certs/java/cacerts", []string{"/etc/ca-certificates/update.d/jks-keystore"}, "/etc/default/cacerts", "cacerts_updates=no", false, "the hook of ca-certificates-java"},
	{"/etc/ssl/certs/java/cacerts", []string{"/usr/bin/trust"}, "", "", true, "p11-kit's trust"},
	{"/etc/pki/ca-trust/extracted/java/cacerts", []string{"/usr/bin/update-ca-trust", "/usr/bin/p11-kit"}, "", "", true, "update-ca-trust"},
	{"/etc/ca-certificates/extracted/java-cacerts.jks", []string{"/usr/bin/update-ca-trust"}, "", "", true, "update-ca-trust"},
	{"/etc/ca-certificates/extracted/java/cacerts", []string{"/usr/bin/update-ca-trust"}, "", "", true, "update-ca-trust"},
	{"/var/lib/ca-certificates/java-cacerts", []string{"/usr/sbin/update-ca-certificates"}, "", "", true, "update-ca-certificates"},
}
