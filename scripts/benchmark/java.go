package main

import "path/filepath"

// keystores is certtrust beside keytool, on a copy of this machine's keystore of
// Java in both of the forms that people have.
func keystores(certtrust, dir, one, hundred string) (works []work) {
	const from = "/etc/ssl/certs/java/cacerts"
	for _, form := range []string{"JKS", "PKCS12"} {
		kept, file := filepath.Join(dir, "kept."+form), filepath.Join(dir, "now."+form)
		fresh := "[ -e " + kept + " ] || keytool -importkeystore -srckeystore " + from + " -srcstorepass changeit -destkeystore " + kept +
			" -deststoretype " + form + " -deststorepass changeit -noprompt; cp " + kept + " " + file
		add := func(n string) string {
			return "keytool -importcert -noprompt -storepass changeit -keystore " + file + " -alias bench-" + n + " -file " + dir + "/" + n + ".crt"
		}
		works = append(works,
			work{"add one to " + form, fresh, []run{
				{"certtrust", certtrust + " trust " + one + " --store java:" + file},
				{"keytool", add("0")},
			}, 0},
			work{"add a hundred to " + form, fresh, []run{
				{"certtrust", certtrust + " import " + hundred + " --store java:" + file},
				{"keytool, one by one", "for n in $(seq 1 100); do " + add("$n") + "; done"},
			}, 0},
			work{"list " + form, fresh, []run{
				{"certtrust", certtrust + " list --json --store java:" + file},
				{"keytool", "keytool -list -v -storepass changeit -keystore " + file},
			}, 0})
	}
	return works
}
