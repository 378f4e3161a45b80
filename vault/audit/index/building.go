package index

import (
	"math"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// building is the lot that is being built, in memory.
type building struct {
	first    uint64
	entries  int
	postings int
	from, to int64
	// subjects are postings, hash<<16 | offset, in order of arrival. There are
	// many and they repeat little, so that a map of lists would be several times
	// as large.
	subjects []uint64
	// common are the lists of the other keys, which are few, by hash.
	common map[uint64][]uint16
	last   [lastLen]byte // set when the lot is full
}

func newBuilding(first uint64) *building {
	return &building{first: first, from: math.MaxInt64, to: math.MinInt64, common: map[uint64][]uint16{}}
}

// again makes b an empty lot and keeps the larger part of its memory.
func (b *building) again(first uint64) {
	subjects := b.subjects[:0]
	*b = *newBuilding(first)
	b.subjects = subjects
}

func (b *building) end() uint64 { return b.first + uint64(b.entries) }

// add adds the next entry.
func (b *building) add(e *audit.Entry, h *hasher) {
	offset := uint16(b.entries)
	b.entries++
	ns := int64(0)
	if !e.Time.IsZero() {
		ns = e.Time.UnixNano()
	}
	b.from, b.to = min(b.from, ns), max(b.to, ns)
	b.put(h.number(kindAction, uint32(e.Action)), offset)
	b.put(h.number(kindOutcome, uint32(e.Outcome)), offset)
	b.put(h.text(kindPrincipal, e.Principal), offset)
	b.put(h.text(kindPurpose, e.Purpose), offset)
	for i := range e.Items {
		it := &e.Items[i]
		if i == 0 || it.Subject != e.Items[i-1].Subject {
			b.subjects = append(b.subjects, Subject(it.Subject).hash<<16|uint64(offset))
			b.postings++
		}
		if i == 0 || it.Field != e.Items[i-1].Field {
			b.put(h.number(kindField, it.Field), offset)
		}
	}
}

// put adds a posting of a key that is no subject.
func (b *building) put(k Key, offset uint16) {
	offsets := b.common[k.hash]
	if n := len(offsets); n > 0 && offsets[n-1] == offset {
		return
	}
	b.common[k.hash] = append(offsets, offset)
	b.postings++
}

// appendOffsets appends the offsets of a key, rising.
func (b *building) appendOffsets(dst []uint16, k Key) []uint16 {
	if !k.isSubject() {
		return append(dst, b.common[k.hash]...)
	}
	for _, p := range b.subjects {
		if p>>16 != k.hash {
			continue
		}
		if offset := uint16(p); len(dst) == 0 || dst[len(dst)-1] != offset {
			dst = append(dst, offset)
		}
	}
	return dst
}

// find appends the offsets of entries with all keys, rising.
func (b *building) find(dst []uint16, keys []Key, after, before time.Time) []uint16 {
	if b.entries == 0 || !overlaps(b.from, b.to, after, before) {
		return dst
	}
	if len(keys) == 0 {
		dst, _ = every(b.entries).appendTo(dst)
		return dst
	}
	dst = b.appendOffsets(dst, keys[0])
	var other []uint16
	for _, k := range keys[1:] {
		if len(dst) == 0 {
			break
		}
		other = b.appendOffsets(other[:0], k)
		dst = common(dst, other)
	}
	return dst
}

// common returns what is in both of two rising lists, in the memory of the
// first.
func common(a, b []uint16) []uint16 {
	kept := a[:0]
	for _, o := range a {
		for len(b) > 0 && b[0] < o {
			b = b[1:]
		}
		if len(b) > 0 && b[0] == o {
			kept = append(kept, o)
		}
	}
	return kept
}
