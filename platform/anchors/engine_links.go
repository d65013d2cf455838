package anchors

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/certfile"
)

// hashed are the endings of the names that openssl-rehash(1) looks into.
var hashed = []string{".pem", ".crt", ".cer", ".crl"}

// rehash makes links what "openssl rehash" makes of the hash directory once
// what leads nowhere is out of it: a link by the hash of its subject for each
// file with exactly one certificate, the numbers of a hash from 0 without a
// gap, and each certificate once. A link that is right keeps its number.
func (s *Store) rehash(st *state, links map[string]string) {
	files := s.contents(st)
	after := &state{links: links}
	for name := range links {
		if to := s.leadsTo(after, name); to == "" || files[to] == nil && !s.exists(to) {
			delete(links, name)
		}
	}
	wanted := map[string][]string{} // by hash, the names of files
	held := map[string]store.Fingerprint{}
	names := sortedKeys(links)
	for _, x := range st.strays {
		if x.to == "" && !x.stale && path.Dir(x.path) == s.family.hashDir && links[path.Base(x.path)] == "" {
			names = append(names, path.Base(x.path))
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if !slices.Contains(hashed, strings.ToLower(path.Ext(name))) || s.link(name) == s.family.bundle {
			continue
		}
		at := s.link(name)
		if _, is := links[name]; is {
			at = s.leadsTo(after, name)
		}
		f := files[at]
		if f == nil || len(f.Items) != 1 || f.Items[0].Cert.Version == 0 {
			continue
		}
		hash := certfile.SubjectHash(f.Items[0].Cert)
		wanted[hash] = append(wanted[hash], name)
		held[name] = f.Items[0].Cert.SHA256
	}
	numbers := map[string]map[int]string{} // by hash and number, what the links there are lead to
	for name, target := range links {
		if hash, n, is := hashNumber(name); is {
			if numbers[hash] == nil {
				numbers[hash] = map[int]string{}
			}
			numbers[hash][n] = target
			delete(links, name)
		}
	}
	for hash, files := range wanted {
		for n, name := range number(files, held, numbers[hash]) {
			links[hash+"."+strconv.Itoa(n)] = name
		}
	}
}

// number returns the files of one hash, each certificate once, in the order of
// their numbers: those that have one that is low enough keep it.
func number(files []string, held map[string]store.Fingerprint, have map[int]string) []string {
	linked := map[string]bool{}
	for _, name := range have {
		linked[name] = true
	}
	// Of two files with the same certificate the one that has a link keeps it.
	slices.SortStableFunc(files, func(a, b string) int {
		switch {
		case linked[a] && !linked[b]:
			return -1
		case linked[b] && !linked[a]:
			return 1
		}
		return 0
	})
	once := map[store.Fingerprint]bool{}
	files = slices.DeleteFunc(files, func(name string) bool {
		twice := once[held[name]]
		once[held[name]] = true
		return twice
	})
	out := make([]string, len(files))
	var rest []string
	placed := map[string]bool{}
	for n := range out {
		if name := have[n]; slices.Contains(files, name) && !placed[name] {
			out[n], placed[name] = name, true
		}
	}
	for _, name := range files {
		if !placed[name] {
			rest = append(rest, name)
		}
	}
	for n := range out {
		if out[n] == "" {
			out[n], rest = rest[0], rest[1:]
		}
	}
	return out
}

// contents returns the files that links in the hash directory lead to, and
// those in it, as far as they were read.
func (s *Store) contents(st *state) map[string]*certfile.File {
	files := make(map[string]*certfile.File, len(st.anchors))
	for _, a := range st.anchors {
		if a.err == nil && !a.der {
			files[a.path] = a.file
		}
	}
	for _, x := range st.strays {
		if x.err == nil {
			files[x.path] = x.file
			if x.to != "" {
				files[x.to] = x.file
			}
		}
	}
	return files
}

// hashNumber takes the name of a hash link apart.
func hashNumber(name string) (hash string, n int, is bool) {
	const digits = 8
	if len(name) < digits+2 || name[digits] != '.' {
		return "", 0, false
	}
	for _, c := range []byte(name[:digits]) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", 0, false
		}
	}
	for _, c := range []byte(name[digits+1:]) {
		if c < '0' || c > '9' {
			return "", 0, false
		}
	}
	n, err := strconv.Atoi(name[digits+1:])
	return name[:digits], n, err == nil
}

func isHashLink(name string) bool {
	_, _, is := hashNumber(name)
	return is
}

// byNumber orders names, those of hash links after the others and by number.
func byNumber(a, b string) int {
	hashA, numberA, isA := hashNumber(a)
	hashB, numberB, isB := hashNumber(b)
	switch {
	case isA != isB && isB:
		return -1
	case isA != isB:
		return 1
	case isA && hashA == hashB:
		return numberA - numberB
	}
	return strings.Compare(a, b)
}
