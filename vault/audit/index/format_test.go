package index_test

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/index"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// golden is a log of all kinds of keys, as an older version wrote it.
func golden(t *testing.T) *journal {
	t.Helper()
	text, err := os.ReadFile("testdata/entries.txt")
	if err != nil {
		t.Fatal(err)
	}
	j := newJournal()
	for line := range strings.Lines(string(text)) {
		raw, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		e, err := audit.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		j.raw, j.entries = append(j.raw, raw), append(j.entries, e)
	}
	return j
}

// What is on disk stays as it is until the format has another number.
func TestRowsAreAsEver(t *testing.T) {
	j, s := golden(t), newStore()
	synctest.Test(t, func(t *testing.T) {
		x := open(t, index.Options{Log: j, Store: s, LotEntries: 10})
		defer x.Close()
		synctest.Wait() // an entry is covered a moment before its lot is stored
	})
	var got strings.Builder
	for _, table := range index.Tables() {
		for _, row := range rows(t, s, table.Name) {
			fmt.Fprintf(&got, "%d %x %x\n", table.Number, row.Key, row.Value)
		}
	}
	const name = "testdata/rows.txt"
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatalf("%v; the rows are\n%s", err, got.String())
	}
	if got.String() != string(want) {
		t.Errorf("rows differ from %s:\n%s", name, got.String())
	}
}

// Rows that an older version wrote are read.
func TestOldRowsAreRead(t *testing.T) {
	text, err := os.ReadFile("testdata/rows.txt")
	if err != nil {
		t.Fatal(err)
	}
	s := newStore()
	var b store.Batch
	for line := range strings.Lines(string(text)) {
		var table uint8
		var key, value string
		if _, err := fmt.Sscanf(line, "%d %s %s", &table, &key, &value); err != nil {
			t.Fatal(err)
		}
		k, _ := hex.DecodeString(key)
		v, _ := hex.DecodeString(value)
		b.Put(table, k, v)
	}
	if err := s.Commit(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	j, told := golden(t), &lines{}
	x := open(t, index.Options{Log: j, Store: s, Logger: told.logger()})
	defer x.Close()
	if covered := x.Covered(); covered < 20 {
		t.Errorf("covered %d when opened, want 20", covered)
	}
	if len(told.all) > 0 {
		t.Errorf("told %q", told.all)
	}
	for _, c := range []condition{ofSubject(subject(7)), ofSubject(subject(1)), ofSubject(subject(40)), ofAction(audit.ActionCreate), ofField(1), ofField(2), ofPurpose("")} {
		check(t, x, j, index.Query{}, true, c)
	}
}

func TestLists(t *testing.T) {
	seq := func(from, to, step int) (s []uint16) {
		for ; from < to; from += step {
			s = append(s, uint16(from))
		}
		return s
	}
	random := func(n, below int) []uint16 {
		r := rand.New(rand.NewPCG(uint64(n), uint64(below)))
		var s []uint16
		for range n {
			s = append(s, uint16(r.IntN(below)))
		}
		slices.Sort(s)
		return slices.Compact(s)
	}
	tests := []struct {
		name    string
		entries int
		offsets []uint16
		most    int // bytes of the whole block
	}{
		{"one of one", 1, []uint16{0}, 16},
		{"first", 65536, []uint16{0}, 16},
		{"last", 65536, []uint16{65535}, 16},
		{"first and last", 65536, []uint16{0, 65535}, 20},
		{"two of two", 2, []uint16{0, 1}, 16},
		{"all but one", 65536, seq(1, 65536, 1), 8220},
		{"all", 65536, seq(0, 65536, 1), 16},
		{"every ninth", 65536, seq(0, 65536, 9), 7310},
		{"every seventh", 65536, seq(0, 65536, 7), 8220},
		{"every eighth", 65536, seq(0, 65536, 8), 8220},
		{"every 200th", 65536, seq(199, 65536, 200), 700},
		{"not of whole bytes", 11, []uint16{0, 3, 10}, 20},
		{"many of not whole bytes", 11, seq(1, 11, 1), 20},
		{"sparse", 65536, random(100, 65536), 330},
		{"half", 65536, random(40000, 65536), 8220},
		{"smaller as a bitmap", 65536, slices.Concat(seq(0, 8000, 1), seq(8300, 65536, 300)), 8210},
	}
	for _, test := range tests {
		for _, hash := range []uint64{1, 2, 1<<index.HashBits - 1, 1<<index.HashBits - 2} {
			t.Run(fmt.Sprintf("%s/%x", test.name, hash), func(t *testing.T) {
				b := index.Seal(5, test.entries, map[uint64][]uint16{hash: test.offsets})
				if len(b.Writes) != 2 {
					t.Fatalf("%d rows, want 2", len(b.Writes))
				}
				key, value := b.Writes[0].Key, b.Writes[0].Value
				if len(value) > test.most {
					t.Errorf("%d bytes, at most %d", len(value), test.most)
				}
				read := func(want uint64, keep []uint16) []uint16 {
					got, ok := index.LookUp(key, value, test.entries, 0, index.Hashed(want), keep)
					if !ok {
						t.Fatal("damaged")
					}
					return got
				}
				if got := read(hash, nil); !slices.Equal(got, test.offsets) {
					t.Errorf("%d offsets, want %d", len(got), len(test.offsets))
				}
				if got := read(hash^8, nil); len(got) > 0 {
					t.Errorf("another key has %d offsets", len(got))
				}
				for _, keep := range [][]uint16{seq(0, test.entries, 1), seq(0, test.entries, 3), random(50, test.entries), {0}, {uint16(test.entries - 1)}} {
					var want []uint16
					for _, o := range keep {
						if _, in := slices.BinarySearch(test.offsets, o); in {
							want = append(want, o)
						}
					}
					if got := read(hash, slices.Clone(keep)); !slices.Equal(got, want) {
						t.Errorf("of %d offsets %d are kept, want %d", len(keep), len(got), len(want))
					}
				}
			})
		}
	}
}

// Every key of a large lot is found in its block, and nowhere else.
func TestBlocks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	lists := map[uint64][]uint16{}
	for range 20_000 {
		lists[r.Uint64N(1<<index.HashBits)] = []uint16{uint16(r.IntN(60_000))}
	}
	b := index.Seal(1<<40, 60_000, lists)
	last := b.Writes[len(b.Writes)-1]
	end, bits, ok := index.CheckLot(last.Key, last.Value)
	if !ok || end != 1<<40+60_000 || 1<<bits != len(b.Writes)-1 {
		t.Fatalf("the lot ends at %d and has 2^%d blocks, %d rows: %v", end, bits, len(b.Writes), ok)
	}
	for hash, want := range lists {
		row := b.Writes[hash>>(index.HashBits-bits)]
		got, ok := index.LookUp(row.Key, row.Value, 60_000, bits, index.Hashed(hash), nil)
		if !ok || !slices.Equal(got, want) {
			t.Fatalf("hash %x: %v, want %v", hash, got, want)
		}
	}
}

// Records that do not fit a row leave out no entry.
func TestBlockTooLarge(t *testing.T) {
	lists := map[uint64][]uint16{}
	for i := range uint64(300_000) {
		lists[2*i] = []uint16{3}
	}
	b := index.Seal(0, 10, lists)
	for _, w := range b.Writes {
		if len(w.Value) > store.MaxValueLen {
			t.Fatalf("a row of %d bytes", len(w.Value))
		}
	}
	_, bits, _ := index.CheckLot(b.Writes[len(b.Writes)-1].Key, b.Writes[len(b.Writes)-1].Value)
	got, ok := index.LookUp(b.Writes[0].Key, b.Writes[0].Value, 10, bits, index.Hashed(2), nil)
	if !ok || len(got) != 10 {
		t.Errorf("%d entries, want all 10: %v", len(got), ok)
	}
	got, ok = index.LookUp(b.Writes[1].Key, b.Writes[1].Value, 10, bits, index.Hashed(1<<(index.HashBits-bits)), nil)
	if !ok || len(got) != 0 {
		t.Errorf("the next block: %d entries, want none: %v", len(got), ok)
	}
}

// Equal texts and numbers of different meaning are different keys.
func TestKeysAreApart(t *testing.T) {
	seen := map[index.Key]string{}
	for name, k := range map[string]index.Key{
		"principal": index.Principal("a"), "purpose": index.Purpose("a"), "field": index.Field(1), "action": index.Action(1),
		"outcome": index.Outcome(1), "field 2": index.Field(2), "nobody": index.Principal(""), "unknown": index.Subject([16]byte{}),
		"subject": index.Subject(subject(1)), "subject 2": index.Subject(subject(2)),
	} {
		if other, twice := seen[k]; twice {
			t.Errorf("%s and %s are one key", name, other)
		}
		seen[k] = name
	}
}

// Subjects spread evenly, also when their references are alike.
func TestSubjectsSpread(t *testing.T) {
	const n, parts = 1 << 16, 1 << 8
	for _, place := range []int{0, 6, 8, 14} {
		var count [parts]int
		seen := map[index.Key]bool{}
		for i := range n {
			var ref [16]byte
			ref[place], ref[place+1] = byte(i), byte(i>>8)
			k := index.Subject(ref)
			seen[k] = true
			count[index.Block(k, 8)]++
		}
		if n-len(seen) > 3 {
			t.Errorf("place %d: %d of %d references collide", place, n-len(seen), n)
		}
		if least, most := slices.Min(count[:]), slices.Max(count[:]); least < n/parts/2 || most > 2*n/parts {
			t.Errorf("place %d: %d to %d references a part, want about %d", place, least, most, n/parts)
		}
	}
}
