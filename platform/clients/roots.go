package clients

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// What is read at most of roots.
const (
	maxFile  = 8 << 20
	maxDirs  = 20       // of a list
	maxDir   = 2000     // files of a directory
	maxTotal = 32 << 20 // of all files of a directory
)

// rootsRead is what was read of roots.
type rootsRead struct {
	certs []*store.Cert
	err   error
}

// read reads the roots that a setting names.
func (c *collector) read(r *rule, value string) ([]*store.Cert, error) {
	if r.reads == noRoots {
		return nil, store.Because(store.ErrUnsupported, "they come with the program itself")
	}
	if err := c.ctx.Err(); err != nil {
		return nil, err
	}
	key := string(rune('0'+r.reads)) + value
	if done, ok := c.roots[key]; ok {
		return done.certs, done.err
	}
	var out rootsRead
	out.certs, out.err = c.readNow(r.reads, value)
	c.roots[key] = out
	return out.certs, out.err
}

func (c *collector) readNow(how reading, value string) ([]*store.Cert, error) {
	systemName := slices.Contains([]string{"truststore", "<system>"}, value) || how == fromStore && (strings.HasPrefix(value, "Windows-") || strings.HasPrefix(value, "KeychainStore"))
	if file, _ := c.getenv("SSL_CERT_FILE"); how == fromOpenSSL {
		if file == "" {
			return c.readSystem()
		}
		how, value = fromFile, file
	}
	switch {
	case how == fromSystem || systemName:
		return c.readSystem()
	case how == inline:
		return certificates(certfile.Read([]byte(strings.ReplaceAll(value, `\n`, "\n"))))
	case how == fromDir || how == fromHashed:
		return c.readDirs(value, how == fromHashed)
	}
	p, err := c.resolve(value, how == fromHome)
	if err != nil {
		return nil, err
	}
	if how == fromEither || how == fromHome {
		if info, err := c.h.Stat(p); err == nil && info.IsDir() {
			return c.readDir(p, true)
		}
	}
	data, err := c.h.ReadFile(p, maxFile)
	if err != nil {
		if how == fromStore && isMissing(err) {
			return nil, store.Because(store.ErrNotFound, "%s is not there: Java reads its own cacerts instead, without a word", store.Printable(p))
		}
		return nil, err
	}
	if how == fromStore {
		return certificates(certfile.Keystore(data))
	}
	return certificates(certfile.Read(data))
}

// certificates returns what a file held.
func certificates(f *certfile.File, err error) ([]*store.Cert, error) {
	var certs []*store.Cert
	for _, item := range f.Items {
		certs = append(certs, item.Cert)
	}
	if len(certs) > 0 {
		return certs, nil
	}
	if err == nil {
		err = store.Because(store.ErrInput, "it holds no certificate")
	}
	return nil, err
}

// reference is a variable in a setting.
var reference = re(`\$\{[A-Za-z_][0-9A-Za-z_]{0,100}\}`)

// resolve makes a path of what a setting says, which may be relative to the
// current directory.
func (c *collector) resolve(value string, tilde bool) (string, error) {
	if tilde {
		value = reference().ReplaceAllStringFunc(value, func(name string) string {
			v, _ := c.getenv(name[2 : len(name)-1])
			return v
		})
	}
	p := c.slashed(value)
	if rest, ok := strings.CutPrefix(p, "~/"); ok && tilde && c.h.Live && c.h.User.Home != "" {
		return path.Join(c.h.User.Home, rest), nil
	}
	switch {
	case strings.ContainsRune(p, 0):
		return "", store.Because(store.ErrInput, "the name holds a NUL character")
	case c.absolute(p):
		return path.Clean(p), nil
	case c.cwd == "":
		return "", store.Because(store.ErrInput, "%s is relative, and the current directory is not known", store.Printable(cut(p)))
	}
	return path.Join(c.cwd, p), nil
}

// readDirs reads directories whose names are separated as the system has it.
func (c *collector) readDirs(list string, hashed bool) (certs []*store.Cert, err error) {
	separator := ":"
	if c.h.OS == "windows" {
		separator = ";"
	}
	var errs []error
	var done []string
	for dir := range strings.SplitSeq(list, separator) {
		if dir == "" || slices.Contains(done, dir) {
			continue
		}
		if done = append(done, dir); len(done) > maxDirs {
			break
		}
		p, err := c.resolve(dir, false)
		if err == nil {
			var more []*store.Cert
			more, err = c.readDir(p, hashed)
			certs = append(certs, more...)
		}
		errs = append(errs, err)
	}
	if len(certs) > 0 {
		return certs, nil
	}
	return nil, errors.Join(errs...)
}

// hashName is how OpenSSL finds a certificate in a directory.
var hashName = re(`^[0-9a-f]{8}\.[0-9]+$`)

func (c *collector) readDir(dir string, hashed bool) (certs []*store.Cert, err error) {
	entries, err := c.h.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	total, files := 0, 0
	seen := map[store.Fingerprint]bool{}
	for _, e := range entries {
		if hashed && !hashName().MatchString(e.Name()) {
			continue
		}
		if files++; files > maxDir || total > maxTotal || c.ctx.Err() != nil {
			break
		}
		data, err := c.h.ReadFile(path.Join(dir, e.Name()), maxFile)
		if err != nil {
			continue // a directory, or a link to nowhere
		}
		total += len(data)
		found, _ := certificates(certfile.Read(data))
		for _, cert := range found {
			if !seen[cert.SHA256] {
				seen[cert.SHA256] = true
				certs = append(certs, cert)
			}
		}
	}
	if len(certs) == 0 {
		what := "no certificate is in it"
		if hashed {
			what = "no file in it has the name of a hash, as OpenSSL needs it"
		}
		return nil, store.Because(store.ErrInput, "%s: %s", store.Printable(dir), what)
	}
	return certs, nil
}

// systemBundles are the files in which systems have their roots, and
// systemDirs the directories that programs read beside them.
var (
	systemBundles = []string{
		"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
		"/etc/ssl/ca-bundle.pem", "/var/lib/ca-certificates/ca-bundle.pem", "/etc/ssl/cert.pem", "/usr/local/share/certs/ca-root-nss.crt",
	}
	systemDirs = []string{"/etc/ssl/certs", "/etc/pki/tls/certs"}
)

// readSystem reads the system's own roots.
func (c *collector) readSystem() ([]*store.Cert, error) {
	for _, p := range systemBundles {
		data, err := c.h.ReadFile(p, maxFile)
		switch {
		case isMissing(err):
			continue
		case err != nil:
			return nil, err
		}
		return certificates(certfile.Read(data))
	}
	return nil, store.Because(store.ErrUnsupported, "the system's roots are in no file")
}

// systemHas tells that, beside one half of the roots, the system's other half
// still counts for a client: beside a file the directory, and the reverse.
func (c *collector) systemHas(client, half string) bool {
	if half == "directory" {
		return slices.ContainsFunc(systemBundles, func(p string) bool {
			_, err := c.h.Stat(p)
			return err == nil
		})
	}
	anyName := client == "go" || client == "dotnet"
	for _, dir := range systemDirs {
		entries, err := c.h.ReadDir(dir)
		if err == nil && slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return anyName || hashName().MatchString(e.Name()) }) {
			return true
		}
	}
	return false
}
