package vault

import "math/rand/v2"

// book is what the log says of every item and record: the last state of each.
// It is built for tens of millions: slots of 48 bytes without pointers in
// chunks that never move, found by tables of slot numbers.
type book struct {
	chunks [][]slot
	used   uint32 // slots; they are numbered from 1
	byKey  slotTable
	byRef  slotTable // the newest slot of each person
	seed   uint64
}

// slot is the state of one item of a person, or of one record.
type slot struct {
	ref   uint64
	hash  [16]byte // of the inner ciphertext that was written last
	at    int64    // the latest time of its events, Unix nanoseconds
	where uint64   // number of the last entry 48 | item or collection 16
	what  uint32   // flags 8 | field 24; field 0 is a record
	next  uint32   // slot of the same person; 0 ends
}

// Flags of a slot.
const (
	slotGone   uint32 = 1 << (24 + iota) // deleted
	slotSeen                             // the store was asked for it
	slotUnsure                           // times and order contradict each other
	slotWanted                           // its history is wanted

	slotField = 1<<24 - 1
)

const (
	chunkBits = 15
	chunkSize = 1 << chunkBits
	itemBits  = 16
	// outboxNumber is how a slot holds InOutbox.
	outboxNumber = 1<<48 - 1
)

func (s *slot) field() uint32        { return s.what & slotField }
func (s *slot) item() uint16         { return uint16(s.where) }
func (s *slot) has(flag uint32) bool { return s.what&flag != 0 }
func (s *slot) set(flag uint32)      { s.what |= flag }
func (s *slot) unset(flag uint32)    { s.what &^= flag }

// entry returns the last entry that told of the slot.
func (s *slot) entry() EntryNumber {
	if n := s.where >> itemBits; n != outboxNumber {
		return EntryNumber(n)
	}
	return InOutbox
}

func (s *slot) setEntry(n EntryNumber) {
	s.where = min(uint64(n), outboxNumber)<<itemBits | s.where&(1<<itemBits-1)
}

func newBook() *book { return &book{seed: rand.Uint64()} }

// at returns a slot. The pointer stays valid.
func (b *book) at(n uint32) *slot { return &b.chunks[(n-1)>>chunkBits][(n-1)%chunkSize] }

// find returns the slot of an item, or of a record with field 0 and the
// collection as item; 0 when there is none.
func (b *book) find(ref uint64, field uint32, item uint16) uint32 {
	n, _ := b.byKey.find(b.hash(ref, field, item), func(n uint32) bool {
		s := b.at(n)
		return s.ref == ref && s.field() == field && s.item() == item
	})
	return n
}

// person returns a slot of a person, from which the others are reached by
// next; 0 for one whom the log does not know.
func (b *book) person(ref uint64) uint32 {
	n, _ := b.byRef.find(b.hash(ref, 0, 0), func(n uint32) bool { return b.at(n).ref == ref })
	return n
}

// enter returns the slot of an item, and whether it is a new one.
func (b *book) enter(ref uint64, field uint32, item uint16) (n uint32, fresh bool) {
	if n = b.find(ref, field, item); n != 0 {
		return n, false
	}
	if b.used%chunkSize == 0 {
		b.chunks = append(b.chunks, make([]slot, chunkSize))
	}
	b.used++
	n = b.used
	*b.at(n) = slot{ref: ref, what: field, where: uint64(item), next: b.person(ref)}
	b.byKey.put(b.hash(ref, field, item), n, func(n uint32) uint64 {
		s := b.at(n)
		return b.hash(s.ref, s.field(), s.item())
	})
	b.byRef.set(b.hash(ref, 0, 0), n, func(n uint32) bool { return b.at(n).ref == ref },
		func(n uint32) uint64 { return b.hash(b.at(n).ref, 0, 0) })
	return n, true
}

// hash spreads keys that follow each other. The seed is there so that nobody
// who chooses numbers chooses collisions.
func (b *book) hash(ref uint64, field uint32, item uint16) uint64 {
	x := ref*0x9e3779b97f4a7c15 ^ (uint64(field)<<itemBits|uint64(item))*0xd6e8feb86659fd93 ^ b.seed
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	x *= 0x9e3779b97f4a7c15
	return x ^ x>>29
}

// slotTable finds slot numbers by hash: open addressing, at most three
// quarters full.
type slotTable struct {
	cells []uint32 // 0: free; the length is a power of two
	count int
}

// find returns the number that is meant, or 0 and the cell where it belongs.
func (t *slotTable) find(hash uint64, is func(uint32) bool) (n uint32, at int) {
	if len(t.cells) == 0 {
		return 0, 0
	}
	mask := len(t.cells) - 1
	for at = int(hash) & mask; t.cells[at] != 0; at = (at + 1) & mask {
		if is(t.cells[at]) {
			return t.cells[at], at
		}
	}
	return 0, at
}

// put adds a number that is not there.
func (t *slotTable) put(hash uint64, n uint32, rehash func(uint32) uint64) {
	if 4*(t.count+1) > 3*len(t.cells) {
		was := t.cells
		t.cells = make([]uint32, max(64, 2*len(was)))
		for _, old := range was {
			if old != 0 {
				t.cells[t.free(rehash(old))] = old
			}
		}
	}
	t.cells[t.free(hash)] = n
	t.count++
}

// set puts a number in the place of the one that is meant.
func (t *slotTable) set(hash uint64, n uint32, is func(uint32) bool, rehash func(uint32) uint64) {
	if old, at := t.find(hash, is); old != 0 {
		t.cells[at] = n
		return
	}
	t.put(hash, n, rehash)
}

func (t *slotTable) free(hash uint64) int {
	mask := len(t.cells) - 1
	at := int(hash) & mask
	for t.cells[at] != 0 {
		at = (at + 1) & mask
	}
	return at
}
