package index

import (
	"maps"
	"slices"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// sealing turns a lot into rows. Its memory serves one lot after the other,
// and one goroutine at a time.
type sealing struct {
	subjects []uint64 // sorted postings
	common   []uint64 // sorted hashes
	offsets  []uint16
	keys     []byte // of the rows
	values   []byte
	ends     []int // of each row's value in values
	batch    store.Batch
}

// seal returns what the lot's row says, and the batch that puts the lot into
// the store. The batch is valid until the next call. The lot is only read.
func (s *sealing) seal(b *building) (lot, *store.Batch) {
	s.subjects = append(s.subjects[:0], b.subjects...)
	slices.Sort(s.subjects)
	s.subjects = slices.Compact(s.subjects)
	s.common = slices.AppendSeq(s.common[:0], maps.Keys(b.common))
	slices.Sort(s.common)
	l := lot{first: b.first, entries: b.entries, postings: b.postings, from: b.from, to: b.to, last: b.last}
	l.bits = bitsFor(len(s.common) + distinct(s.subjects))

	s.keys, s.values, s.ends = s.keys[:0], s.values[:0], s.ends[:0]
	subjects, rest := s.subjects, s.common
	for block := range l.blocks() {
		subjects, rest = s.block(&l, uint16(block), subjects, rest, b)
	}
	s.values = appendLot(s.values, &l)
	s.ends = append(s.ends, len(s.values))
	s.keys = appendLotKey(s.keys, l.first)
	s.fill(&l)
	return l, &s.batch
}

// block appends the row of a block from what is left of the sorted lists, and
// returns what is left then.
func (s *sealing) block(l *lot, block uint16, subjects, rest []uint64, b *building) (_, _ []uint64) {
	start := len(s.values)
	s.values = append(s.values, 0, 0, 0, 0, blockRecords)
	before := firstHash(block, l.bits)
	limit := before + 1<<(hashBits-l.bits)
	for {
		hash, offsets := uint64(0), s.offsets[:0]
		switch {
		case len(subjects) > 0 && subjects[0]>>16 < limit && (len(rest) == 0 || subjects[0]>>16 < rest[0]):
			// A hash of a subject is never one of another key, see Key.isSubject.
			hash = subjects[0] >> 16
			for len(subjects) > 0 && subjects[0]>>16 == hash {
				offsets = append(offsets, uint16(subjects[0]))
				subjects = subjects[1:]
			}
			s.offsets = offsets
		case len(rest) > 0 && rest[0] < limit:
			hash, offsets = rest[0], b.common[rest[0]]
			rest = rest[1:]
		default:
			if len(s.values)-start > store.MaxValueLen {
				s.values = append(s.values[:start+sumLen], blockEvery)
			}
			at := len(s.keys)
			s.keys = appendBlockKey(s.keys, l.first, block)
			setSum(s.keys[at:], s.values[start:])
			s.ends = append(s.ends, len(s.values))
			return subjects, rest
		}
		s.values = appendRecord(s.values, before, hash, offsets, l.entries)
		before = hash
	}
}

// fill makes the batch of the rows that were appended. The lot's row comes
// last; it is in the same commit as its blocks.
func (s *sealing) fill(l *lot) {
	s.batch.Reset()
	keys, start := s.keys, 0
	for i, end := range s.ends {
		table, n := tableBlocks, blockKeyLen
		if i == l.blocks() {
			table, n = tableLots, lotKeyLen
		}
		s.batch.Put(table, keys[:n:n], s.values[start:end:end])
		keys, start = keys[n:], end
	}
}

// distinct counts the hashes of sorted postings.
func distinct(postings []uint64) int {
	n := 0
	for i, p := range postings {
		if i == 0 || p>>16 != postings[i-1]>>16 {
			n++
		}
	}
	return n
}
