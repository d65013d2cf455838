package sqlite

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"strconv"

	"github.com/certtrust/certtrust/platform/host"
)

func itoa(n int) string { return strconv.Itoa(n) }

// content returns a file's content as SQLite would see it: with what an
// interrupted program wrote taken back, and with what is in its log put in
// (sqlite.org/fileformat2.html, sections 3 and 4).
func content(h *host.Host, p string) ([]byte, error) {
	data, err := h.ReadFile(p, maxFile)
	if err != nil {
		return nil, err
	}
	side := func(name string) ([]byte, error) {
		b, err := h.ReadFile(name, maxFile)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return b, err
	}
	journal, err := side(p + "-journal")
	if err != nil {
		return nil, err
	}
	data = rollBack(data, journal, func(name string) bool { return Exists(h, superName(p, name)) })
	log, err := side(p + "-wal")
	if err != nil {
		return nil, err
	}
	data = applyLog(data, log)
	if len(data) >= 20 && data[18] == 2 {
		// In memory there is no log.
		data = bytes.Clone(data)
		data[18], data[19] = 1, 1
	}
	return data, nil
}

var journalMagic = []byte{0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7}

// rollBack puts the pages back that a rollback journal holds. A journal that is
// not whole up to some point counts up to there.
func rollBack(data, journal []byte, exists func(super string) bool) []byte {
	if len(journal) < 28 || !bytes.Equal(journal[:8], journalMagic) {
		return data
	}
	if super := superOf(journal); super != "" && !exists(super) {
		return data // the transaction was committed
	}
	be := binary.BigEndian
	out := bytes.Clone(data)
	for first, at := true, 0; at+28 <= len(journal) && bytes.Equal(journal[at:at+8], journalMagic); first = false {
		head := journal[at:]
		count, nonce := int64(be.Uint32(head[8:])), be.Uint32(head[12:])
		pages, sector, page := int64(be.Uint32(head[16:])), int(be.Uint32(head[20:])), int(be.Uint32(head[24:]))
		if !powerOfTwo(page, 512, 65536) || !powerOfTwo(sector, 32, 65536) {
			return out
		}
		if first {
			if size := pages * int64(page); size < int64(len(out)) {
				out = out[:size]
			}
		}
		at += sector
		for ; count != 0 && at+8+page <= len(journal); count-- {
			number := int64(be.Uint32(journal[at:]))
			content := journal[at+4 : at+4+page]
			sum := nonce
			for i := page - 200; i > 0; i -= 200 {
				sum += uint32(content[i])
			}
			if number == 0 || number > pages || number*int64(page) > maxFile || sum != be.Uint32(journal[at+4+page:]) {
				return out
			}
			out = put(out, int(number-1)*page, content)
			at += 8 + page
		}
		at = (at + sector - 1) / sector * sector
	}
	return out
}

// superOf returns the name of the journal that a transaction over several files
// has in common, "" if there is none.
func superOf(journal []byte) string {
	end := len(journal)
	if end < 16 || !bytes.Equal(journal[end-8:], journalMagic) {
		return ""
	}
	size := int(binary.BigEndian.Uint32(journal[end-16:]))
	if size <= 0 || size > 4096 || size > end-16 {
		return ""
	}
	name := journal[end-16-size : end-16]
	var sum uint32
	for _, b := range name {
		sum += uint32(b)
	}
	if sum != binary.BigEndian.Uint32(journal[end-12:]) {
		return ""
	}
	return string(name)
}

// applyLog puts the committed pages of a write-ahead log in.
func applyLog(data, log []byte) []byte {
	be := binary.BigEndian
	if len(log) < 32 || be.Uint32(log)&^1 != 0x377f0682 || len(data) < 100 || data[18] != 2 {
		return data
	}
	var order binary.ByteOrder = binary.LittleEndian
	if be.Uint32(log)&1 == 1 {
		order = be
	}
	page := int(be.Uint32(log[8:]))
	if !powerOfTwo(page, 512, 65536) {
		return data
	}
	sum := logSum(order, [2]uint32{}, log[:24])
	if sum != [2]uint32{be.Uint32(log[24:]), be.Uint32(log[28:])} {
		return data
	}
	type change struct {
		at   int
		page []byte
	}
	var committed, pending []change
	var size int64
	for at := 32; at+24+page <= len(log); at += 24 + page {
		frame := log[at : at+24+page]
		number, pages := int64(be.Uint32(frame)), int64(be.Uint32(frame[4:]))
		sum = logSum(order, logSum(order, sum, frame[:8]), frame[24:])
		if number == 0 || number*int64(page) > maxFile || pages*int64(page) > maxFile || !bytes.Equal(frame[8:16], log[16:24]) ||
			sum != [2]uint32{be.Uint32(frame[16:]), be.Uint32(frame[20:])} {
			break
		}
		pending = append(pending, change{int(number-1) * page, frame[24:]})
		if pages > 0 { // a commit
			committed, size = pending, pages*int64(page)
		}
	}
	if size == 0 {
		return data
	}
	out := bytes.Clone(data)
	for _, c := range committed {
		out = put(out, c.at, c.page)
	}
	return put(out, int(size), nil)[:size]
}

func logSum(order binary.ByteOrder, s [2]uint32, data []byte) [2]uint32 {
	for i := 0; i+8 <= len(data); i += 8 {
		s[0] += order.Uint32(data[i:]) + s[1]
		s[1] += order.Uint32(data[i+4:]) + s[0]
	}
	return s
}

// put writes content at a place, making room if need be.
func put(data []byte, at int, content []byte) []byte {
	if end := at + len(content); end > len(data) {
		data = append(data, make([]byte, end-len(data))...)
	}
	copy(data[at:], content)
	return data
}

func powerOfTwo(n, least, most int) bool { return n >= least && n <= most && n&(n-1) == 0 }
