package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

func testGet(t *testing.T, e Engine) {
	eachKind(t, e, func(f *fixture, table uint8) {
		f.want(table, "a", nil)
		f.put(table, "a", "1")
		f.put(table, "ab", "")
		f.want(table, "a", []byte("1"))
		f.want(table, "ab", []byte{})
		f.want(table, "abc", nil)
		f.want(table, "\x00", nil)
		f.want(table, "\xff", nil)

		var rows store.Rows
		if err := f.Get(f.t.Context(), nil, &rows); err != nil || rows.Len() != 0 {
			f.t.Errorf("get of no key: %d entries, %v", rows.Len(), err)
		}
	})
}

// testGetManyKeys asks for keys of all tables in every order a caller may
// choose, twice over and with absent ones between.
func testGetManyKeys(t *testing.T, e Engine) {
	f := newFixture(t, e)
	const n = 300
	tables := []uint8{Cells, Ledger, Lookup, Postings}
	name := func(i int) []byte { return fmt.Appendf(nil, "key-%06d", i) }
	for start := 0; start < n; start += 50 {
		f.must(func(b *store.Batch) {
			for i := start; i < start+50; i++ {
				if i%3 == 2 {
					continue // absent
				}
				for _, table := range tables {
					b.Put(table, name(i), fmt.Appendf(nil, "%d/%d/%s", table, i, strings.Repeat("x", i)))
				}
			}
		})
	}
	var keys []store.Key
	var want []string
	for i := range n {
		for _, table := range tables {
			keys = append(keys, store.Key{Table: table, Key: name(i)})
			text := fmt.Sprintf("%d/%d/%s", table, i, strings.Repeat("x", i))
			if i%3 == 2 {
				text = "absent"
			}
			want = append(want, text)
		}
	}
	order := func(name string, index []int) {
		t.Run(name, func(t *testing.T) {
			ask := make([]store.Key, len(index))
			for i, j := range index {
				ask[i] = keys[j]
			}
			var rows store.Rows
			rows.Append([]byte("left over from an earlier call"))
			if err := f.Get(t.Context(), ask, &rows); err != nil {
				t.Fatal(err)
			}
			if rows.Len() != len(ask) {
				t.Fatalf("%d entries for %d keys", rows.Len(), len(ask))
			}
			for i, j := range index {
				got := "absent"
				if v, ok := rows.Value(i); ok {
					got = string(v)
				}
				if got != want[j] {
					t.Fatalf("entry %d, %q of table %d: reads %.20q, want %.20q", i, ask[i].Key, ask[i].Table, got, want[j])
				}
			}
		})
	}
	rising := make([]int, len(keys))
	falling := make([]int, len(keys))
	twice := make([]int, 0, 2*len(keys))
	for i := range keys {
		rising[i], falling[i] = i, len(keys)-1-i
		twice = append(twice, i, i)
	}
	mixed := rand.New(rand.NewPCG(1, 2)).Perm(len(keys))
	order("rising", rising)
	order("falling", falling)
	order("twice", twice)
	order("mixed", mixed)
}

func testGetUsage(t *testing.T, e Engine) {
	f := newFixture(t, e)
	tests := []struct {
		name string
		key  store.Key
		ok   bool
	}{
		{"undeclared table", store.Key{Table: 9, Key: []byte("k")}, false},
		{"empty key", store.Key{Table: Cells}, false},
		{"empty key, scattered", store.Key{Table: Lookup}, false},
		{"longest key", store.Key{Table: Cells, Key: make([]byte, store.MaxKeyLen)}, true},
		{"longest key, scattered", store.Key{Table: Lookup, Key: make([]byte, store.MaxKeyLen)}, true},
		{"key too long", store.Key{Table: Cells, Key: make([]byte, store.MaxKeyLen+1)}, false},
		{"key too long, scattered", store.Key{Table: Lookup, Key: make([]byte, store.MaxKeyLen+1)}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var rows store.Rows
			err := f.Get(t.Context(), []store.Key{{Table: Cells, Key: []byte("k")}, tt.key}, &rows)
			if tt.ok && err != nil || !tt.ok && !errors.Is(err, store.ErrUsage) {
				t.Errorf("get: %v, want success %v", err, tt.ok)
			}
		})
	}
}
