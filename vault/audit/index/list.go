package index

import (
	"encoding/binary"
	"math/bits"
)

// Forms of a list. On disk for ever.
const (
	formOne byte = iota
	formDeltas
	formBitmap
	formAll
	// formNone is not stored: the key is not in the lot.
	formNone byte = 0xff
)

// list is the posting list of one key in one lot, as it is stored.
type list struct {
	form    byte
	body    []byte // without its length
	entries int    // of the lot: offsets are below
}

// every is the list of a key that cannot be looked up: no entry is left out.
func every(entries int) list { return list{form: formAll, entries: entries} }

// appendList appends the form and the list of offsets, which rise, of a lot
// of that many entries.
func appendList(dst []byte, offsets []uint16, entries int) []byte {
	switch n, bitmap := len(offsets), (entries+7)/8; {
	case n == entries:
		return append(dst, formAll)
	case n == 1:
		return binary.BigEndian.AppendUint16(append(dst, formOne), offsets[0])
	case n <= bitmap:
		size, before := 0, uint16(0)
		for _, o := range offsets {
			size += uvarintLen(uint64(o - before))
			before = o
		}
		if size > bitmap {
			break
		}
		dst = binary.AppendUvarint(append(dst, formDeltas), uint64(size))
		before = 0
		for _, o := range offsets {
			dst = binary.AppendUvarint(dst, uint64(o-before))
			before = o
		}
		return dst
	}
	size := (entries + 7) / 8
	dst = binary.AppendUvarint(append(dst, formBitmap), uint64(size))
	at := len(dst)
	dst = append(dst, make([]byte, size)...)
	for _, o := range offsets {
		dst[at+int(o/8)] |= 1 << (o % 8)
	}
	return dst
}

func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

// takeList reads a form and a list and returns what follows.
func takeList(b []byte, entries int) (l list, rest []byte, ok bool) {
	if len(b) == 0 {
		return list{}, nil, false
	}
	l, b = list{form: b[0], entries: entries}, b[1:]
	size := uint64(0)
	switch l.form {
	case formAll:
		return l, b, true
	case formOne:
		size = 2
	case formDeltas, formBitmap:
		n := 0
		if size, n = binary.Uvarint(b); n <= 0 {
			return list{}, nil, false
		}
		b = b[n:]
	default:
		return list{}, nil, false
	}
	if size > uint64(len(b)) || l.form == formBitmap && size != uint64(entries+7)/8 {
		return list{}, nil, false
	}
	l.body = b[:size]
	return l, b[size:], true
}

// weight orders lists by about how many offsets they hold.
func (l list) weight() int {
	switch l.form {
	case formOne:
		return 1
	case formDeltas:
		return len(l.body)
	case formBitmap:
		return 2 * len(l.body)
	case formNone:
		return 0
	}
	return 1 << 16
}

// appendTo appends the offsets to dst, rising. False means that the list is
// damaged; what was appended is then of no use.
func (l list) appendTo(dst []uint16) ([]uint16, bool) {
	switch l.form {
	case formOne:
		o := binary.BigEndian.Uint16(l.body)
		return append(dst, o), int(o) < l.entries
	case formBitmap:
		for i, set := range l.body {
			for ; set != 0; set &= set - 1 {
				dst = append(dst, uint16(8*i+bits.TrailingZeros8(set)))
			}
		}
		return dst, len(dst) == 0 || int(dst[len(dst)-1]) < l.entries
	case formDeltas:
		d := deltas{rest: l.body, entries: l.entries, at: -1}
		for d.next() {
			dst = append(dst, uint16(d.at))
		}
		return dst, !d.damaged
	}
	for o := range l.entries {
		dst = append(dst, uint16(o))
	}
	return dst, true
}

// keep returns those of offsets, which rise, that are in the list too, in the
// same memory. False means that the list is damaged.
func (l list) keep(offsets []uint16) ([]uint16, bool) {
	kept := offsets[:0]
	switch l.form {
	case formOne:
		only := binary.BigEndian.Uint16(l.body)
		for _, o := range offsets {
			if o == only {
				kept = append(kept, o)
			}
		}
		return kept, int(only) < l.entries
	case formBitmap:
		for _, o := range offsets {
			if l.body[o/8]&(1<<(o%8)) != 0 {
				kept = append(kept, o)
			}
		}
		return kept, true
	case formDeltas:
		d := deltas{rest: l.body, entries: l.entries, at: -1}
		more := d.next()
		for _, o := range offsets {
			for more && d.at < int(o) {
				more = d.next()
			}
			if !more {
				break
			}
			if d.at == int(o) {
				kept = append(kept, o)
			}
		}
		return kept, !d.damaged
	}
	return offsets, true
}

// deltas reads a list of form 1.
type deltas struct {
	rest    []byte
	entries int
	at      int // the offset read last, -1 before the first
	damaged bool
}

// next reads the next offset, and reports whether there was one.
func (d *deltas) next() bool {
	if len(d.rest) == 0 {
		return false
	}
	gap, n := binary.Uvarint(d.rest)
	if n <= 0 || gap >= uint64(d.entries) || gap == 0 && d.at >= 0 || max(d.at, 0)+int(gap) >= d.entries {
		d.rest, d.damaged = nil, true
		return false
	}
	d.at = max(d.at, 0) + int(gap)
	d.rest = d.rest[n:]
	return true
}
