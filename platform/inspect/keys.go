package inspect

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"path"
	"strings"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/audit"
	"github.com/certtrust/certtrust/store/certfile"
)

const (
	maxKey  = 1 << 20 // of a file that may hold a private key
	maxKeys = 1000    // files of one directory that are looked at
)

// toolKeys are where tools that make local authorities keep the private keys.
// "~" is the home of the user.
var toolKeys = []string{
	"~/.local/share/mkcert/rootCA-key.pem", "~/Library/Application Support/mkcert/rootCA-key.pem", "~/AppData/Local/mkcert/rootCA-key.pem",
	"~/.local/share/caddy/pki/authorities/local/root.key", "~/Library/Application Support/Caddy/pki/authorities/local/root.key",
	"/var/lib/caddy/.local/share/caddy/pki/authorities/local/root.key",
	"~/.step/secrets/root_ca_key", "/etc/step-ca/secrets/root_ca_key",
	"~/.minikube/ca.key", "~/.mitmproxy/mitmproxy-ca.pem",
	"~/.config/devcert/certificate-authority/private-key.key", "~/.puma-dev-ssl/key.pem",
	"~/.config/valet/CA/LaravelValetCASelfSigned.key",
}

// keys looks for private keys beside anchors that somebody added, and where
// tools keep theirs. Of a key, only the digest of its public key is kept.
func (i *inspector) keys() {
	looked := map[string]bool{}
	for n := range i.stores {
		s := &i.stores[n]
		for j := range s.Entries {
			e := &s.Entries[j]
			if e.Cert == nil || e.Origin.By == store.ByVendor || !strings.HasPrefix(e.Source.Path, "/") || s.Info.Scope != store.ScopeSystem {
				continue
			}
			dir := path.Dir(e.Source.Path)
			if e.Source.Kind == "bundle" || looked[dir] {
				continue
			}
			looked[dir] = true
			i.keysIn(s, dir)
		}
	}
	for _, p := range toolKeys {
		if rest, home := strings.CutPrefix(p, "~/"); home {
			if i.h.User.Home == "" || !i.h.Live {
				continue
			}
			p = path.Join(i.h.User.Home, rest)
		}
		// Root does not open what another user could have turned into something
		// else: that user's own audit tells of it.
		if _, foreign := i.h.Foreign(p); !foreign {
			i.key(p, "", false)
		}
	}
}

func (i *inspector) keysIn(s *audit.Store, dir string) {
	list, err := i.h.ReadDir(dir)
	if err != nil {
		i.failed(err)
		return
	}
	for n, e := range list {
		if n >= maxKeys || i.ctx.Err() != nil {
			return
		}
		// A link leads to a file with a place of its own.
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && info.Size() <= maxKey {
			i.key(path.Join(dir, e.Name()), s.Info.ID, true)
		}
	}
}

// key looks at a file that may hold a private key.
func (i *inspector) key(p string, id store.ID, beside bool) {
	info, err := i.h.Stat(p)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxKey {
		return
	}
	data, err := i.h.ReadFile(p, maxKey)
	if err != nil {
		i.failed(err)
		return
	}
	for _, spki := range publicKeys(data) {
		i.facts.Keys = append(i.facts.Keys, audit.Key{
			Path: p, SPKI: spki, Beside: beside, Store: id, Mode: info.Mode().Perm().String(),
			ForOthers: info.Mode().Perm()&0o044 != 0 && i.reachable(path.Dir(p)),
		})
	}
}

// reachable reports whether other users get to a directory.
func (i *inspector) reachable(dir string) bool {
	for {
		info, err := i.h.Stat(dir)
		if err != nil || info.Mode().Perm()&0o011 == 0 {
			return false
		}
		if dir == "/" || path.Dir(dir) == dir {
			return true
		}
		dir = path.Dir(dir)
	}
}

// publicKeys returns the digests of the public keys of the private keys in a
// file.
func publicKeys(data []byte) (out []store.Fingerprint) {
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			if spki, ok := publicOf(block.Bytes); ok {
				out = append(out, spki)
			}
		}
	}
	if out == nil && len(data) > 0 && data[0] == 0x30 {
		if spki, ok := publicOf(data); ok {
			return []store.Fingerprint{spki}
		}
	}
	// A keystore: a password that everybody knows opens it, or none.
	if out == nil && !bytes.Contains(data, []byte("-----BEGIN")) {
		file, err := certfile.Options{Passwords: [][]byte{nil, []byte("changeit"), []byte("password")}}.Read(data)
		if err != nil {
			return nil
		}
		for _, item := range file.Items {
			if item.HasKey {
				out = append(out, sha256.Sum256(item.Cert.SPKI))
			}
		}
	}
	return out
}

func publicOf(der []byte) (store.Fingerprint, bool) {
	var key any
	for _, parse := range []func([]byte) (any, error){
		x509.ParsePKCS8PrivateKey,
		func(b []byte) (any, error) { return x509.ParsePKCS1PrivateKey(b) },
		func(b []byte) (any, error) { return x509.ParseECPrivateKey(b) },
	} {
		if k, err := parse(der); err == nil {
			key = k
			break
		}
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return store.Fingerprint{}, false
	}
	spki, err := x509.MarshalPKIXPublicKey(signer.Public())
	return sha256.Sum256(spki), err == nil
}
