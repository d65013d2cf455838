package keychain

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"

	"howett.net/plist"
)

// What a property list may cost: those of macOS are a few levels deep, and no
// value of them is used twice.
const (
	maxDepth  = 32
	maxValues = 4 << 20
)

var errPlist = errors.New("neither XML nor binary, or larger than it should be")

// unmarshal reads a property list in one of the two forms that macOS writes,
// XML and binary: the older forms of text are nothing that is looked for. A
// small file cannot make it take long or much memory.
func unmarshal(data []byte, into any) error {
	switch start := bytes.TrimLeft(data, "\ufeff \t\r\n"); {
	case bytes.HasPrefix(start, []byte("<")):
		// Old versions wrote the zero at the end of a C string along with it.
		data = bytes.ReplaceAll(bytes.ReplaceAll(start, []byte{0}, nil), []byte("&#0;"), nil)
		if xmlDepth(data) > maxDepth {
			return errPlist
		}
	case bytes.HasPrefix(data, []byte("bplist0")):
		if !boundedBinary(data) {
			return errPlist
		}
	default:
		return errPlist
	}
	_, err := plist.Unmarshal(data, into)
	return err
}

// xmlDepth returns how deep elements are in each other at most.
func xmlDepth(data []byte) int {
	depth, most := 0, 0
	for {
		at := bytes.IndexByte(data, '<')
		if at < 0 || at+1 >= len(data) {
			return most
		}
		data = data[at+1:]
		end := bytes.IndexByte(data, '>')
		switch {
		case data[0] == '/':
			depth--
		case data[0] == '!' || data[0] == '?' || end > 0 && data[end-1] == '/':
		default:
			depth++
			most = max(most, depth)
		}
	}
}

// boundedBinary reports whether a binary property list is what it seems to be:
// its values may refer to each other, so that a few hundred bytes can stand for
// more than any memory holds.
func boundedBinary(data []byte) bool {
	const trailer = 32
	if len(data) < trailer+8 {
		return false
	}
	end := data[len(data)-trailer:]
	b := binaryList{data: data[:len(data)-trailer], offsetSize: uint64(end[6]), refSize: uint64(end[7])}
	count, top := binary.BigEndian.Uint64(end[8:]), binary.BigEndian.Uint64(end[16:])
	b.table = binary.BigEndian.Uint64(end[24:])
	size := uint64(len(b.data))
	if b.offsetSize < 1 || b.offsetSize > 8 || b.refSize < 1 || b.refSize > 8 || b.table > size || count > (size-b.table)/b.offsetSize {
		return false
	}
	b.values = make([]int, count)
	n := b.expanded(top, 0)
	return n > 0 && n <= maxValues
}

type binaryList struct {
	data                       []byte
	offsetSize, refSize, table uint64
	values                     []int // of each object, all that it refers to included; 0 = not counted yet
}

func (b *binaryList) number(at, size uint64) (uint64, bool) {
	if at > uint64(len(b.data)) || uint64(len(b.data))-at < size {
		return 0, false
	}
	var n uint64
	for _, c := range b.data[at : at+size] {
		n = n<<8 | uint64(c)
	}
	return n, true
}

// expanded returns how many values an object stands for, a negative number if
// that is too many or cannot be told.
func (b *binaryList) expanded(object uint64, depth int) int {
	if object >= uint64(len(b.values)) || depth > maxDepth {
		return -1
	}
	if b.values[object] != 0 {
		return b.values[object]
	}
	at, ok := b.number(b.table+object*b.offsetSize, b.offsetSize)
	if !ok || at >= b.table {
		return -1
	}
	kind, n := b.data[at]>>4, uint64(b.data[at]&0xf)
	if kind != 0xa && kind != 0xc && kind != 0xd {
		b.values[object] = 1
		return 1
	}
	at++
	if n == 0xf {
		marker, ok := b.number(at, 1)
		if !ok || marker>>4 != 1 || marker&0xf > 3 {
			return -1
		}
		size := uint64(1) << (marker & 0xf)
		if n, ok = b.number(at+1, size); !ok {
			return -1
		}
		at += 1 + size
	}
	if kind == 0xd {
		if n > math.MaxUint32 {
			return -1
		}
		n *= 2
	}
	if n > uint64(len(b.data))/b.refSize {
		return -1
	}
	total := 1
	for i := range n {
		ref, ok := b.number(at+i*b.refSize, b.refSize)
		if !ok {
			return -1
		}
		inner := b.expanded(ref, depth+1)
		if inner < 0 {
			return -1
		}
		if total += inner; total > maxValues {
			return -1
		}
	}
	b.values[object] = total
	return total
}
