package index

import "github.com/cloakroom-vault/cloakroom/vault/store"

// CheckLot reads the row of a lot.
func CheckLot(key, value []byte) (end uint64, bits uint8, ok bool) {
	l, ok := decodeLot(key, value)
	return l.end(), l.bits, ok
}

// LookUp reads a key's list in a block, and keep, if not nil, through it.
func LookUp(key, value []byte, entries int, bits uint8, want Key, keep []uint16) (offsets []uint16, ok bool) {
	one, has, ok := lookUp(key, value, &lot{entries: entries, bits: bits}, want)
	if !ok || !has {
		return nil, ok
	}
	if keep != nil {
		return one.keep(keep)
	}
	return one.appendTo(nil)
}

// SetSum makes the sum of a row hold.
func SetSum(key, value []byte) {
	if len(value) >= sumLen {
		setSum(key, value)
	}
}

// Hashed returns the key of a hash that a test chose.
func Hashed(hash uint64) Key { return Key{hash} }

// Seal returns the batch of a lot that begins with entry first and has that
// many entries; the lists are given by hash.
func Seal(first uint64, entries int, lists map[uint64][]uint16) *store.Batch {
	b := newBuilding(first)
	b.entries, b.from, b.to = entries, 1, 2
	for hash, offsets := range lists {
		if (Key{hash}).isSubject() {
			for _, o := range offsets {
				b.subjects = append(b.subjects, hash<<16|uint64(o))
			}
		} else {
			b.common[hash] = offsets
		}
		b.postings += len(offsets)
	}
	_, batch := new(sealing).seal(b)
	return batch
}

// Block returns which of 2^bits blocks holds the key.
func Block(k Key, bits uint8) uint16 { return k.block(bits) }

// HashBits is how many bits a hash has.
const HashBits = hashBits
