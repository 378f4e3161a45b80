package index

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// lot says what a lot in the store holds. It never changes.
type lot struct {
	first    uint64 // index of the first entry
	entries  int    // 1 to maxLotEntries
	postings int
	bits     uint8 // it has 2^bits blocks
	from, to int64 // first and last time, nanoseconds since 1970
	last     [lastLen]byte
}

const (
	lotLen  = sumLen + 4 + 4 + 1 + 8 + 8 + lastLen
	lastLen = 16
	maxBits = 15
)

// end is the index after the last entry.
func (l *lot) end() uint64 { return l.first + uint64(l.entries) }

func (l *lot) blocks() int { return 1 << l.bits }

// within reports whether an entry of the lot can have a time in the window.
func (l *lot) within(after, before time.Time) bool { return overlaps(l.from, l.to, after, before) }

// overlaps reports whether after <= t < before can hold for a time from first
// to last. A zero time is no bound.
func overlaps(first, last int64, after, before time.Time) bool {
	return (after.IsZero() || !time.Unix(0, last).Before(after)) && (before.IsZero() || time.Unix(0, first).Before(before))
}

// appendLot appends the row of l.
func appendLot(dst []byte, l *lot) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, sumLen)...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(l.entries))
	dst = binary.BigEndian.AppendUint32(dst, uint32(l.postings))
	dst = append(dst, l.bits)
	dst = binary.BigEndian.AppendUint64(dst, uint64(l.from))
	dst = binary.BigEndian.AppendUint64(dst, uint64(l.to))
	dst = append(dst, l.last[:]...)
	setSum(appendLotKey(nil, l.first), dst[at:])
	return dst
}

// decodeLot reads a row of the table of lots. False means that it is damaged.
func decodeLot(key, value []byte) (l lot, ok bool) {
	if len(key) != lotKeyLen || len(value) != lotLen {
		return lot{}, false
	}
	b, ok := summed(key, value)
	if !ok {
		return lot{}, false
	}
	entries := binary.BigEndian.Uint32(b)
	l = lot{
		first:    binary.BigEndian.Uint64(key),
		entries:  int(entries),
		postings: int(binary.BigEndian.Uint32(b[4:])),
		bits:     b[8],
		from:     int64(binary.BigEndian.Uint64(b[9:])),
		to:       int64(binary.BigEndian.Uint64(b[17:])),
	}
	copy(l.last[:], b[25:])
	return l, entries >= 1 && entries <= maxLotEntries && l.bits <= maxBits && l.end() > l.first && l.from <= l.to
}

// mark returns that by which an entry is known.
func mark(raw []byte) (m [lastLen]byte) {
	sum := sha256.Sum256(raw)
	copy(m[:], sum[:])
	return m
}
