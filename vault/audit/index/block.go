package index

import "encoding/binary"

// Kinds of a block. On disk for ever.
const (
	blockRecords byte = iota
	// blockEvery is what is written in place of records that do not fit a row.
	// No load is known that gives them; an index that could not go on would be
	// worse than a lot that answers with more than it should.
	blockEvery
)

// keysPerBlock is aimed at: blocks have half of it to all of it on average.
// More make a lookup read more, fewer cost more room.
const keysPerBlock = 48

// bitsFor returns the bits of a lot with that many keys.
func bitsFor(keys int) uint8 {
	bits := uint8(0)
	for bits < maxBits && keys>>bits > keysPerBlock {
		bits++
	}
	return bits
}

// firstHash returns the smallest hash of a block.
func firstHash(block uint16, bits uint8) uint64 { return uint64(block) << (hashBits - bits) }

// appendRecord appends a key's list to a block. before is the hash of the
// record before, or the smallest of the block.
func appendRecord(dst []byte, before, hash uint64, offsets []uint16, entries int) []byte {
	return appendList(binary.AppendUvarint(dst, hash-before), offsets, entries)
}

// lookUp finds the list of a key in the row of its block in l. No list and
// true: the lot has no entry of the key. False: the row is damaged.
func lookUp(key, value []byte, l *lot, want Key) (found list, has, ok bool) {
	b, ok := summed(key, value)
	if !ok || len(b) == 0 {
		return list{}, false, false
	}
	kind, b := b[0], b[1:]
	if kind == blockEvery {
		return every(l.entries), true, true
	}
	hash := firstHash(want.block(l.bits), l.bits)
	for len(b) > 0 {
		gap, n := binary.Uvarint(b)
		if kind != blockRecords || n <= 0 {
			return list{}, false, false
		}
		if hash += gap; hash > want.hash {
			return list{}, false, true
		}
		var one list
		if one, b, ok = takeList(b[n:], l.entries); !ok {
			return list{}, false, false
		}
		if hash == want.hash {
			return one, true, true
		}
	}
	return list{}, false, kind == blockRecords
}
