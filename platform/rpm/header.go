package rpm

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// A header, as the database has it: the number of entries and the bytes of data,
// then the entries, each a tag, a type, where its data begins and how many values
// it has, then the data; all numbers big-endian
// (https://rpm-software-management.github.io/rpm/manual/format_header.html).
type header struct {
	index, data []byte
}

const (
	entrySize  = 16
	maxEntries = 1 << 16 // rpm's own limit
	maxFiles   = 1 << 20 // of a package
	maxName    = 4096    // of a directory, and of all else
)

// The tags that are read, and their types
// (https://rpm-software-management.github.io/rpm/manual/tags.html).
const (
	tagName       = 1000
	tagVersion    = 1001
	tagRelease    = 1002
	tagFileStates = 1029
	tagDigests    = 1035
	tagFileFlags  = 1037
	tagDirIndexes = 1116
	tagBaseNames  = 1117
	tagDirNames   = 1118
	tagDigestAlgo = 5011

	typeChar        = 1
	typeInt32       = 4
	typeString      = 6
	typeStringArray = 8
)

// digestSizes are the bytes of digests, by algorithm as OpenPGP numbers them: MD5,
// SHA-1, and SHA-256 and its kin. An unknown one is compared with nothing.
var digestSizes = map[uint32]int{1: 16, 2: 20, 8: 32, 9: 48, 10: 64, 11: 28}

// notContent are the flags of files that are not what the package has, or not
// there, without anybody's having changed them: settings, what may be missing, and
// what is only said to belong to the package.
const notContent = 1<<0 | 1<<3 | 1<<6

var errShort = errors.New("the header of a package is cut off")

func parse(blob []byte) (header, error) {
	if len(blob) < 8 {
		return header{}, errShort
	}
	entries, size := binary.BigEndian.Uint32(blob), binary.BigEndian.Uint32(blob[4:])
	if entries > maxEntries {
		return header{}, fmt.Errorf("the header of a package has %d entries", entries)
	}
	rest := blob[8:]
	if uint64(len(rest)) < uint64(entries)*entrySize+uint64(size) {
		return header{}, errShort
	}
	index := rest[:entries*entrySize]
	return header{index, rest[len(index) : len(index)+int(size)]}, nil
}

// find returns the data from where a tag's begins, and the number of its values: 0
// if there is no such tag.
func (h header) find(tag, kind uint32) (data []byte, count int, err error) {
	for e := h.index; len(e) > 0; e = e[entrySize:] {
		if binary.BigEndian.Uint32(e) != tag {
			continue
		}
		offset, n := binary.BigEndian.Uint32(e[8:]), binary.BigEndian.Uint32(e[12:])
		switch {
		case binary.BigEndian.Uint32(e[4:]) != kind:
			return nil, 0, fmt.Errorf("tag %d of a package is of another type than %d", tag, kind)
		case uint64(offset) > uint64(len(h.data)):
			return nil, 0, errShort
		case n > maxFiles:
			return nil, 0, fmt.Errorf("tag %d of a package has %d values", tag, n)
		}
		return h.data[offset:], int(n), nil
	}
	return nil, 0, nil
}

// texts returns the strings of a tag, which are parts of the header.
func (h header) texts(tag, kind uint32) ([][]byte, error) {
	data, n, err := h.find(tag, kind)
	if err != nil || n > len(data) {
		return nil, errors.Join(err, errShort)
	}
	out := make([][]byte, n)
	for i := range out {
		end := bytes.IndexByte(data, 0)
		if end < 0 {
			return nil, errShort
		}
		out[i], data = data[:end], data[end+1:]
	}
	return out, nil
}

// text returns the string of a tag, "" if it has none.
func (h header) text(tag uint32) (string, error) {
	all, err := h.texts(tag, typeString)
	if err != nil || len(all) == 0 {
		return "", err
	}
	if len(all[0]) > maxName {
		return "", fmt.Errorf("tag %d of a package is %d bytes long", tag, len(all[0]))
	}
	return string(all[0]), nil
}

// numbers returns the values of a tag, each of so many bytes.
func (h header) numbers(tag, kind uint32, size int) (func(i int) uint32, int, error) {
	data, n, err := h.find(tag, kind)
	if err != nil || n > len(data)/size {
		return nil, 0, errors.Join(err, errShort)
	}
	return func(i int) uint32 {
		switch {
		case i >= n:
			return 0
		case size == 1:
			return uint32(data[i])
		}
		return binary.BigEndian.Uint32(data[i*size:])
	}, n, nil
}

// files calls each for the files below some directories.
func (h header) files(below []string, each func(File) error) error {
	var errs [9]error
	name, version, release := "", "", ""
	name, errs[0] = h.text(tagName)
	version, errs[1] = h.text(tagVersion)
	release, errs[2] = h.text(tagRelease)
	dirs, err := h.texts(tagDirNames, typeStringArray)
	errs[3] = err
	bases, err := h.texts(tagBaseNames, typeStringArray)
	errs[4] = err
	digests, err := h.texts(tagDigests, typeStringArray)
	errs[5] = err
	dirOf, n, err := h.numbers(tagDirIndexes, typeInt32, 4)
	errs[6] = err
	flags, _, err := h.numbers(tagFileFlags, typeInt32, 4)
	errs[7] = err
	states, _, err := h.numbers(tagFileStates, typeChar, 1)
	errs[8] = err
	algorithm, known, err := h.numbers(tagDigestAlgo, typeInt32, 4)
	if err := errors.Join(append(errs[:], err)...); err != nil {
		return err
	}
	if n != len(bases) {
		return fmt.Errorf("a package has %d files in %d directories", len(bases), n)
	}
	size := digestSizes[1]
	if known > 0 {
		size = digestSizes[algorithm(0)]
	}
	wanted := make([]bool, len(dirs))
	for i, dir := range dirs {
		wanted[i] = len(dir) <= maxName && slices.ContainsFunc(below, func(b string) bool { return strings.HasPrefix(string(dir), b+"/") })
	}
	if release != "" {
		version += "-" + release
	}
	for i, base := range bases {
		at := dirOf(i)
		switch {
		case uint64(at) >= uint64(len(dirs)):
			return fmt.Errorf("a file of a package is in directory %d of %d", at, len(dirs))
		case !wanted[at] || len(base) > maxName || states(i) != 0: // not installed, or replaced by another package's
			continue
		}
		f := File{Package: name, Version: version, Path: string(dirs[at]) + string(base)}
		if path.Clean(f.Path) != f.Path {
			continue // somewhere else
		}
		if i < len(digests) && flags(i)&notContent == 0 && size > 0 {
			if sum, err := hex.DecodeString(string(digests[i])); err == nil && len(sum) == size {
				f.Digest = hex.EncodeToString(sum)
			}
		}
		if err := each(f); err != nil {
			return err
		}
	}
	return nil
}
