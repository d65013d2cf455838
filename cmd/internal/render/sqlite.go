package render

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/certtrust/certtrust/cmd/internal/term"
)

// The inventory is a listing as an SQLite database, for programs that query
// one, such as osquery with its automatic table construction: the table
// certificates has the columns of the CSV listing and pem, all of them text,
// with NULL for what is empty.
//
// A new database that is never changed takes little (https://sqlite.org/fileformat2.html):
// a page for the schema, and a tree of pages for the table.

// sqlitePage is the largest page there is, so that few certificates need more.
const sqlitePage = 1 << 16

// The kinds of pages of a table.
const (
	sqliteLeaf     = 0x0d
	sqliteInterior = 0x05
)

// sqliteView writes the inventory.
type sqliteView struct {
	listing
	s *term.Streams
}

func newSQLiteView(s *term.Streams, _ ListOptions) ListView { return &sqliteView{s: s} }

func (v *sqliteView) End(ListSummary) error {
	incomplete(v.s, v.header.Stores)
	var names []string
	for _, c := range csvColumns {
		names = append(names, `"`+c.name+`" TEXT`)
	}
	names = append(names, `"pem" TEXT`)
	schema := "CREATE TABLE certificates(" + strings.Join(names, ", ") + ")"
	var rows [][]string
	for _, r := range v.records {
		var row []string
		for _, c := range csvColumns {
			row = append(row, c.value(r))
		}
		rows = append(rows, append(row, r.pem()))
	}
	_, err := v.s.Out.Write(sqliteFile("certificates", schema, rows, sqliteFanout))
	return err
}

// sqliteFanout is how many pages an interior page leads to, with cells of at
// most 15 bytes.
const sqliteFanout = 4000

// sqliteFile returns a database with one table.
func sqliteFile(table, schema string, rows [][]string, fanout int) []byte {
	db := &sqliteDB{fanout: fanout, pages: [][]byte{nil}} // the first is for the schema
	root := db.tree(rows)
	first := make([]byte, sqlitePage)
	head := first[:100]
	copy(head, "SQLite format 3\x00")
	binary.BigEndian.PutUint16(head[16:], 1) // 65536
	copy(head[18:], "\x01\x01\x00\x40\x20\x20")
	binary.BigEndian.PutUint32(head[24:], 1) // changes
	binary.BigEndian.PutUint32(head[28:], uint32(len(db.pages)))
	binary.BigEndian.PutUint32(head[40:], 1) // schema cookie
	binary.BigEndian.PutUint32(head[44:], 4) // schema format
	binary.BigEndian.PutUint32(head[56:], 1) // UTF-8
	binary.BigEndian.PutUint32(head[92:], 1)
	binary.BigEndian.PutUint32(head[96:], 3040000) // the version of SQLite whose rules it follows
	cell := db.cell(1, sqliteRecord("table", table, table, root, schema))
	db.pages[0] = sqliteNode(first, 100, sqliteLeaf, [][]byte{cell}, 0)
	return bytes.Join(db.pages, nil)
}

type sqliteDB struct {
	fanout int
	pages  [][]byte
}

func (db *sqliteDB) add(page []byte) (number int) {
	db.pages = append(db.pages, page)
	return len(db.pages)
}

// tree writes the rows, numbered from 1, and returns the page of the tree's
// root.
func (db *sqliteDB) tree(rows [][]string) int {
	type child struct {
		page int
		last int // number of its last row
	}
	var level []child
	var cells [][]byte
	room := 0
	flush := func(last int) {
		level = append(level, child{db.add(sqliteNode(make([]byte, sqlitePage), 0, sqliteLeaf, cells, 0)), last})
		cells, room = nil, 0
	}
	for i, row := range rows {
		values := make([]any, len(row))
		for j, s := range row {
			if values[j] = s; s == "" {
				values[j] = nil
			}
		}
		cell := db.cell(i+1, sqliteRecord(values...))
		if room+len(cell)+2 > sqlitePage-8 {
			flush(i)
		}
		cells, room = append(cells, cell), room+len(cell)+2
	}
	flush(len(rows))
	for len(level) > 1 {
		var above []child
		for len(level) > 0 {
			n := min(len(level), db.fanout)
			if len(level)-n == 1 { // a page with one child would have no cell
				n--
			}
			var cells [][]byte
			for _, c := range level[:n-1] {
				cells = append(cells, sqliteVarint(binary.BigEndian.AppendUint32(nil, uint32(c.page)), uint64(c.last)))
			}
			right := level[n-1]
			above = append(above, child{db.add(sqliteNode(make([]byte, sqlitePage), 0, sqliteInterior, cells, right.page)), right.last})
			level = level[n:]
		}
		level = above
	}
	return level[0].page
}

// sqliteNode fills a page whose header is at start with cells.
func sqliteNode(page []byte, start int, kind byte, cells [][]byte, right int) []byte {
	head := page[start:]
	head[0] = kind
	binary.BigEndian.PutUint16(head[3:], uint16(len(cells)))
	pointers := head[8:]
	if kind == sqliteInterior {
		binary.BigEndian.PutUint32(head[8:], uint32(right))
		pointers = head[12:]
	}
	at := len(page)
	for i, c := range cells {
		at -= len(c)
		copy(page[at:], c)
		binary.BigEndian.PutUint16(pointers[2*i:], uint16(at))
	}
	binary.BigEndian.PutUint16(head[5:], uint16(at)) // 65536 is 0
	return page
}

// cell returns the cell of a leaf; what does not fit goes to pages of its own.
func (db *sqliteDB) cell(row int, record []byte) []byte {
	const most, least = sqlitePage - 35, (sqlitePage-12)*32/255 - 23
	out := sqliteVarint(sqliteVarint(nil, uint64(len(record))), uint64(row))
	if len(record) <= most {
		return append(out, record...)
	}
	local := least + (len(record)-least)%(sqlitePage-4)
	if local > most {
		local = least
	}
	out = append(out, record[:local]...)
	out = binary.BigEndian.AppendUint32(out, uint32(len(db.pages)+1))
	for rest := record[local:]; len(rest) > 0; {
		n := min(len(rest), sqlitePage-4)
		page := make([]byte, sqlitePage)
		copy(page[4:], rest[:n])
		number := db.add(page)
		if rest = rest[n:]; len(rest) > 0 {
			binary.BigEndian.PutUint32(page, uint32(number+1))
		}
	}
	return out
}

// sqliteRecord encodes the values of a row: text, a number, or nil.
func sqliteRecord(values ...any) []byte {
	var kinds, body []byte
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			kinds = sqliteVarint(kinds, 0)
		case int:
			kinds, body = sqliteVarint(kinds, 4), binary.BigEndian.AppendUint32(body, uint32(v))
		case string:
			kinds, body = sqliteVarint(kinds, uint64(13+2*len(v))), append(body, v...)
		default:
			panic(fmt.Sprintf("render: %T in a database", v))
		}
	}
	size := len(kinds) + 1 // with its own length, in as many bytes as that takes
	for len(sqliteVarint(nil, uint64(size)))+len(kinds) != size {
		size++
	}
	return append(append(sqliteVarint(nil, uint64(size)), kinds...), body...)
}

// sqliteVarint appends a number, seven bits to a byte, the highest first.
func sqliteVarint(out []byte, n uint64) []byte {
	digits := []byte{byte(n & 0x7f)}
	for n >>= 7; n > 0; n >>= 7 {
		digits = append(digits, byte(n&0x7f)|0x80)
	}
	for i := len(digits) - 1; i >= 0; i-- {
		out = append(out, digits[i])
	}
	return out
}
