// Package rpmtest makes rpm databases for tests.
package rpmtest

import (
	"context"
	"encoding/binary"
	"path"
	"slices"

	"github.com/certtrust/certtrust/platform/sqlite"
)

// Package is an installed package.
type Package struct {
	Name, Version, Release string
	Algorithm              uint32 // of the digests; 0 says nothing, which means MD5
	Files                  []File
}

// File is a file of a package.
type File struct {
	Path, Digest string
	Flags        uint32
	State        byte
}

// Database returns a database with packages.
func Database(ctx context.Context, packages ...Package) ([]byte, error) {
	statements := []string{
		"CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT,blob BLOB NOT NULL)",
		"CREATE TABLE 'Dirnames' (key 'TEXT' NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL, FOREIGN KEY (hnum) REFERENCES 'Packages'(hnum))",
		"CREATE INDEX 'Dirnames_key_idx' ON 'Dirnames'(key ASC)",
	}
	args := make([][]any, len(statements))
	for n, p := range packages {
		blob, dirs := Header(p)
		statements, args = append(statements, "INSERT INTO Packages VALUES (?, ?)"), append(args, []any{n + 1, blob})
		for i, dir := range dirs {
			statements, args = append(statements, "INSERT INTO Dirnames VALUES (?, ?, ?)"), append(args, []any{dir, n + 1, i})
		}
	}
	return sqlite.New(ctx, 4096, statements, args...)
}

// Header returns the header of a package, and the names of its directories.
func Header(p Package) (header []byte, dirs []string) {
	var index, data []byte
	add := func(tag, kind, count int, value []byte) {
		for kind == 4 && len(data)%4 != 0 {
			data = append(data, 0)
		}
		for _, n := range []int{tag, kind, len(data), count} {
			index = binary.BigEndian.AppendUint32(index, uint32(n))
		}
		data = append(data, value...)
	}
	var bases, sums, names, dirOf, flags, states []byte
	for _, f := range p.Files {
		dir := path.Dir(f.Path) + "/"
		at := slices.Index(dirs, dir)
		if at < 0 {
			at, dirs = len(dirs), append(dirs, dir)
			names = append(names, dir+"\x00"...)
		}
		bases = append(bases, path.Base(f.Path)+"\x00"...)
		sums = append(sums, f.Digest+"\x00"...)
		dirOf = binary.BigEndian.AppendUint32(dirOf, uint32(at))
		flags = binary.BigEndian.AppendUint32(flags, f.Flags)
		states = append(states, f.State)
	}
	add(1000, 6, 1, []byte(p.Name+"\x00"))
	add(1001, 6, 1, []byte(p.Version+"\x00"))
	add(1002, 6, 1, []byte(p.Release+"\x00"))
	if n := len(p.Files); n > 0 {
		add(1029, 1, n, states)
		add(1035, 8, n, sums)
		add(1037, 4, n, flags)
		add(1116, 4, n, dirOf)
		add(1117, 8, n, bases)
		add(1118, 8, len(dirs), names)
	}
	if p.Algorithm != 0 {
		add(5011, 4, 1, binary.BigEndian.AppendUint32(nil, p.Algorithm))
	}
	header = binary.BigEndian.AppendUint32(nil, uint32(len(index)/16))
	header = binary.BigEndian.AppendUint32(header, uint32(len(data)))
	return append(append(header, index...), data...), dirs
}
