package exposure

import (
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
)

// row is what is known of one subject and field: 64 bytes without a pointer.
type row struct {
	subject     [16]byte
	first, last int64 // nanoseconds since 1970; 0: no entry had a time
	count       uint64
	firstEntry  uint64
	lastEntry   uint64
	field       uint32
	label       uint32 // the first combination; furtherLabels says that there are more
}

// furtherLabels is set in row.label when the shard holds more combinations of
// the row.
const furtherLabels = 1 << 31

const chunkRows = 1 << 10

// grid is the rows of a tally, cut by the first byte of the subject. Subjects
// are enciphered, so the shards are about equal; together in their order they
// are in the order of subjects.
type grid struct {
	shards  [256]shard
	seed    maphash.Seed
	labels  labels
	maxRows uint64
	rows    atomic.Uint64
	further atomic.Uint64
}

func newGrid(maxRows uint64) *grid {
	return &grid{seed: maphash.MakeSeed(), maxRows: maxRows, labels: labels{max: MaxCombinations}}
}

// shard is the rows of which the subject begins with one byte.
type shard struct {
	mu      sync.Mutex          // guards all below while a scan runs
	chunks  [][]row             // all but the last are full
	slots   []uint32            // open addressing: 0 for none, or the row's number + 1
	further map[uint64]struct{} // row number << 32 | combination, but for the one in the row
	order   []uint32            // row numbers by subject and field; valid when it has all of them
	n       uint32
}

func (s *shard) row(n uint32) *row { return &s.chunks[n/chunkRows][n%chunkRows] }

// put adds what d knows to the row of its subject and field and returns the
// row's number.
func (g *grid) put(s *shard, d *row) (uint32, error) {
	if uint64(s.n)*4 >= uint64(len(s.slots))*3 {
		s.widen(g)
	}
	at := s.find(g, &d.subject, d.field)
	if s.slots[at] != 0 {
		n := s.slots[at] - 1
		s.row(n).join(d)
		return n, g.addLabel(s, n, d.label)
	}
	if g.rows.Add(1) > g.maxRows {
		return 0, &LimitError{Limit: "rows", Max: g.maxRows}
	}
	n := s.n
	s.append(d)
	s.slots[at] = s.n
	return n, nil
}

// join adds the numbers of another part of the same row.
func (r *row) join(d *row) {
	r.first, r.last = earlier(r.first, d.first), max(r.last, d.last)
	r.firstEntry, r.lastEntry = min(r.firstEntry, d.firstEntry), max(r.lastEntry, d.lastEntry)
	r.count += d.count
}

// earlier returns the lesser of two times, of which 0 is none.
func earlier(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// find returns the slot of the subject and field, or the empty one where they
// belong.
func (s *shard) find(g *grid, subject *[16]byte, field uint32) uint64 {
	mask := uint64(len(s.slots) - 1)
	for at := g.hash(subject, field) & mask; ; at = (at + 1) & mask {
		if s.slots[at] == 0 {
			return at
		}
		if r := s.row(s.slots[at] - 1); r.field == field && r.subject == *subject {
			return at
		}
	}
}

// hash is seeded, so that nobody who can choose subjects can make rows collide.
func (g *grid) hash(subject *[16]byte, field uint32) uint64 {
	key := [20]byte{16: byte(field), 17: byte(field >> 8), 18: byte(field >> 16), 19: byte(field >> 24)}
	copy(key[:], subject[:])
	return maphash.Bytes(g.seed, key[:])
}

// widen doubles the table.
func (s *shard) widen(g *grid) {
	s.slots = make([]uint32, max(16, 2*len(s.slots)))
	for n := range s.n {
		r := s.row(n)
		s.slots[s.find(g, &r.subject, r.field)] = n + 1
	}
}

func (s *shard) append(d *row) {
	last := len(s.chunks) - 1
	switch {
	case last < 0: // most answers are small, so the first chunk starts small and grows
		s.chunks = append(s.chunks, make([]row, 0, 4))
		last++
	case len(s.chunks[last]) == chunkRows:
		s.chunks = append(s.chunks, make([]row, 0, chunkRows))
		last++
	case len(s.chunks[last]) == cap(s.chunks[last]):
		s.chunks[last] = append(make([]row, 0, 2*cap(s.chunks[last])), s.chunks[last]...)
	}
	s.chunks[last] = append(s.chunks[last], *d)
	s.n++
}

// addLabel notes that the row has the combination.
func (g *grid) addLabel(s *shard, n, id uint32) error {
	r := s.row(n)
	if r.label&^furtherLabels == id {
		return nil
	}
	key := uint64(n)<<32 | uint64(id)
	if _, ok := s.further[key]; ok {
		return nil
	}
	if limit := g.maxFurther(); g.further.Add(1) > limit {
		return &LimitError{Limit: "combinations of rows", Max: limit}
	}
	if s.further == nil {
		s.further = make(map[uint64]struct{})
	}
	s.further[key] = struct{}{}
	r.label |= furtherLabels
	return nil
}

// maxFurther bounds the combinations that do not stand in their row. It has
// room for small answers about persons whom very many callers look at.
func (g *grid) maxFurther() uint64 {
	return max(4*g.maxRows, math.MaxUint16)
}
