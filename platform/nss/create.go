package nss

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/sqlite"
	"github.com/certtrust/certtrust/store"
)

// The columns of new databases: those of NSS before 3.114, which every version
// takes and newer ones add to, and those of Firefox, in the order in which they
// are made there.
const (
	columnsShared = `0 1 2 3 10 11 12 80 81 82 83 84 85 86 87 88 89 8a 8b 90 100 101 102 103 104 105 106 107 108 109 10a 10b 10c 110 111 120 121 122 123 124 125 126 127 128 129 130 131 132 133 134 160 161 162 163 164 165 166 170 180 181 200 201 202 210 300 301 302 400 401 402 403 404 405 406 480 481 482 500 501 502 503 40000211 40000212 80000001 ` + columnsOwn

	columnsProfile = `0 1 2 3 4 10 11 12 80 81 82 83 84 85 86 87 88 89 8a 8b 8c 90 100 101 102 103 104 105 106 107 108 109 10a 10b 10c 110 111 120 121 122 123 124 125 126 127 128 129 130 131 132 133 134 160 161 162 163 164 165 166 170 171 172 180 181 200 201 202 210 40000211 40000212 40000213 220 221 222 223 224 225 226 227 22e 22f 22a 22b 22c 22d 250 251 252 300 301 302 400 401 402 403 404 405 406 480 481 482 500 501 502 503 601 602 603 604 605 606 607 608 609 60a 60b 60c 60d 60e 60f 610 611 612 617 618 619 61a 61b 61c 61d 61e 61f 620 621 622 623 624 625 626 627 629 628 62a 62b 62c 62d 62e 62f 630 631 632 633 634 635 636 637 80000001 ` + columnsOwn

	columnsOwn = `ce534351 ce534352 ce534353 ce534354 ce534355 ce534356 ce534357 ce534358 ce534364 ce534365 ce534366 ce534367 ce534368 ce534369 ce534373 ce534374 ce536351 ce536352 ce536353 ce536354 ce536355 ce536356 ce536357 ce536358 ce536359 ce53635a ce53635b ce53635c ce53635d ce53635e ce53635f ce536360 ce5363b4 ce5363b5 d5a0db00`
)

// schema returns the statements that make one of the two files.
func schema(table, columns string) []string {
	list := []string{fmt.Sprintf("CREATE TABLE %s (id PRIMARY KEY UNIQUE ON CONFLICT ABORT, a%s)", table, strings.Join(strings.Fields(columns), ", a"))}
	for _, index := range []struct {
		name string
		on   attribute
	}{{"issuer", aIssuer}, {"subject", aSubject}, {"label", aLabel}, {"ckaid", aID}} {
		list = append(list, fmt.Sprintf("CREATE INDEX %s ON %s (%s)", index.name, table, index.on.column()))
	}
	return list
}

// modulesText is the pkcs11.txt of a new database.
func modulesText(dir string) string {
	return "library=\nname=NSS Internal PKCS #11 Module\n" +
		"parameters=configdir='sql:" + dir + "' certPrefix='' keyPrefix='' secmod='secmod.db' flags= updatedir='' updateCertPrefix='' updateKeyPrefix='' updateid='' updateTokenDescription='' \n" +
		"NSS=Flags=internal,critical trustOrder=75 cipherOrder=100 slotParams=(1={slotFlags=[ECC,RSA,DSA,DH,RC2,RC4,DES,RANDOM,SHA1,MD5,MD2,SSL,TLS,AES,Camellia,SEED,SHA256,SHA512] askpw=any timeout=30})\n\n"
}

// creation is how long another process that makes a database is waited for.
const creation = 30 * time.Second

// create makes the files that are missing, each in one step, cert9.db last: it
// is what makes the others count. It returns what takes them away again, and
// what lets others make databases again.
func (s *Store) create(ctx context.Context, st *state) (undo func() error, unlock func(), err error) {
	undo, unlock = func() error { return nil }, func() {}
	if st.exists {
		return undo, unlock, nil
	}
	unlock, err = s.host.Lock(ctx, path.Join(s.host.StateDir(s.o.Scope), "nss.lock"), creation, "making a database")
	if err != nil {
		return undo, func() {}, err
	}
	undo, err = s.createLocked(ctx)
	if err != nil {
		unlock()
	}
	return undo, unlock, err
}

func (s *Store) createLocked(ctx context.Context) (undo func() error, err error) {
	if sqlite.Exists(s.host, s.certs) {
		return nil, store.ErrStale
	}
	var made []string
	undo = func() error {
		var errs []error
		for i := len(made) - 1; i >= 0; i-- {
			errs = append(errs, s.host.Remove(made[i]))
		}
		return errors.Join(errs...)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, undo())
		}
	}()
	columns, page := columnsShared, 4096
	if s.o.Profile {
		columns, page = columnsProfile, 32768
	}
	certs, err := sqlite.New(ctx, page, schema("nssPublic", columns))
	if err != nil {
		return undo, err
	}
	entry, err := newPasswordEntry(nil)
	if err != nil {
		return undo, err
	}
	keyTables := append(schema("nssPrivate", columns),
		"CREATE TABLE metaData (id PRIMARY KEY UNIQUE ON CONFLICT REPLACE, item1, item2)",
		"INSERT INTO metaData (id, item1, item2) VALUES ('password', ?, ?)")
	args := make([][]any, len(keyTables))
	args[len(args)-1] = []any{entry.salt, entry.check}
	keys, err := sqlite.New(ctx, page, keyTables, args...)
	if err != nil {
		return undo, err
	}
	if err := s.host.MkdirAll(s.dir, 0o700); err != nil {
		return undo, err
	}
	files := []struct {
		path string
		data []byte
	}{{s.keys, keys}, {s.path("pkcs11.txt"), nil}, {s.certs, certs}}
	if direct, err := s.host.Direct(s.dir); err == nil && !strings.ContainsAny(direct, "'\"\\\n\r") {
		files[1].data = []byte(modulesText(direct))
	}
	for _, f := range files {
		if f.data == nil || f.path != s.certs && sqlite.Exists(s.host, f.path) {
			continue
		}
		if err := s.host.WriteFile(f.path, f.data, host.WriteOptions{Mode: 0o600, Exclusive: true}); err != nil {
			if errors.Is(err, fs.ErrExist) { // its own program was faster
				err = store.Because(store.ErrStale, "%w", err)
			}
			return undo, err
		}
		made = append(made, f.path)
	}
	return undo, nil
}
