package index_test

import (
	"slices"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/audit/index"
)

// Whatever stands in a row, reading it gives offsets that rise and lie in the
// lot, or says that it is damaged.
func FuzzBlock(f *testing.F) {
	lists := map[uint64][]uint16{1: {0, 3, 9}, 2: {5}, 5: {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 7: {1, 2, 3, 4, 6, 7, 8, 9}}
	row := index.Seal(3, 10, lists).Writes[0]
	for hash := range lists {
		f.Add(row.Key, row.Value, uint16(10), uint8(0), hash)
	}
	for _, record := range [][]byte{
		{1, 0, 0, 10},         // an offset past the lot
		{1, 1, 2, 9, 9},       // two, the second past the lot
		{1, 1, 2, 4, 0},       // one twice
		{1, 1, 3, 1, 0xff},    // more than there is
		{1, 1, 2, 0xff, 0xff}, // no number
		{1, 2, 1, 1},          // a bitmap too short
		{1, 2, 2, 1, 0b1000},  // a bit past the lot
		{1, 2, 3, 1, 1, 1},    // a bitmap too long
		{1, 4},                // an unknown form
		{0x80, 0x80},          // no gap
		{1, 3, 0, 0, 0, 1},    // a gap of nothing
	} {
		f.Add(row.Key, append([]byte{0, 0, 0, 0, 0}, record...), uint16(10), uint8(0), uint64(1))
	}
	f.Fuzz(func(t *testing.T, key, value []byte, entries uint16, bits uint8, hash uint64) {
		n := max(1, int(entries))
		bits, hash = bits%16, hash%(1<<index.HashBits)
		index.SetSum(key, value)
		got, ok := index.LookUp(key, value, n, bits, index.Hashed(hash), nil)
		keep := []uint16{0, uint16(n - 1)}
		if n == 1 {
			keep = keep[:1]
		}
		kept, keptOK := index.LookUp(key, value, n, bits, index.Hashed(hash), keep)
		if !ok {
			return
		}
		for i, o := range got {
			if int(o) >= n || i > 0 && got[i-1] >= o {
				t.Errorf("offset %d of a lot of %d entries, number %d", o, n, i)
			}
		}
		if !keptOK {
			t.Error("read well, and is damaged when it is read through")
		}
		for _, o := range []uint16{0, uint16(n - 1)} {
			if slices.Contains(got, o) != slices.Contains(kept, o) {
				t.Errorf("offset %d of %d entries: in %v and %v", o, n, got, kept)
			}
		}
	})
}

func FuzzLot(f *testing.F) {
	writes := index.Seal(3, 10, map[uint64][]uint16{1: {0}}).Writes
	row := writes[len(writes)-1]
	f.Add(row.Key, row.Value)
	f.Fuzz(func(t *testing.T, key, value []byte) {
		index.SetSum(key, value)
		end, bits, ok := index.CheckLot(key, value)
		if ok && (end == 0 || bits > 15) {
			t.Errorf("a lot that ends at %d and has 2^%d blocks", end, bits)
		}
	})
}
