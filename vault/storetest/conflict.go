package storetest

import (
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

func testConflicts(t *testing.T, e Engine) {
	eachKind(t, e, func(f *fixture, table uint8) {
		f.put(table, "there", "1")
		f.put(table, "empty", "")
		there, empty, gone := []byte("there"), []byte("empty"), []byte("gone")
		tests := []struct {
			name    string
			require func(b *store.Batch)
			ok      bool
		}{
			{"absent and is", func(b *store.Batch) { b.RequireAbsent(table, gone) }, true},
			{"absent and is not", func(b *store.Batch) { b.RequireAbsent(table, there) }, false},
			{"absent and is empty", func(b *store.Batch) { b.RequireAbsent(table, empty) }, false},
			{"equal and is", func(b *store.Batch) { b.RequireEqual(table, there, []byte("1")) }, true},
			{"equal and longer", func(b *store.Batch) { b.RequireEqual(table, there, []byte("11")) }, false},
			{"equal and shorter", func(b *store.Batch) { b.RequireEqual(table, there, nil) }, false},
			{"equal and gone", func(b *store.Batch) { b.RequireEqual(table, gone, []byte("1")) }, false},
			{"empty and is", func(b *store.Batch) { b.RequireEqual(table, empty, nil) }, true},
			{"empty and gone", func(b *store.Batch) { b.RequireEqual(table, gone, nil) }, false},
		}
		for _, tt := range tests {
			f.t.Run(tt.name, func(t *testing.T) {
				f := &fixture{Store: f.Store, t: t}
				err := f.commit(func(b *store.Batch) { tt.require(b); b.Put(Ledger, []byte(tt.name), nil) })
				if tt.ok {
					if err != nil {
						t.Errorf("commit: %v", err)
					}
					f.want(Ledger, tt.name, []byte{})
				} else {
					f.wantConflict(err, 0, -1)
					f.want(Ledger, tt.name, nil)
				}
			})
		}
	})
}

// testConflictOrder: the first failure is named, preconditions before bounds.
func testConflictOrder(t *testing.T, e Engine) {
	f := newFixture(t, e)
	f.put(Cells, "a", "1")
	f.put(Lookup, "b", "2")
	good := func(b *store.Batch) { b.RequireEqual(Cells, []byte("a"), []byte("1")) }
	bad := func(b *store.Batch) { b.RequireAbsent(Lookup, []byte("b")) }
	tests := []struct {
		name           string
		fill           func(b *store.Batch)
		require, write int
	}{
		{"second of three", func(b *store.Batch) { good(b); bad(b); bad(b); b.Put(Cells, []byte("x"), nil) }, 1, -1},
		{"precondition before bound", func(b *store.Batch) { b.Add(Cells, []byte("n"), 1, 5, 9); good(b); bad(b) }, 1, -1},
		{"second bound", func(b *store.Batch) {
			good(b)
			b.Add(Cells, []byte("n"), 1, 0, 9)
			b.Put(Cells, []byte("x"), nil)
			b.Add(Lookup, []byte("n"), 1, 5, 9)
			b.Add(Ledger, []byte("n"), 1, 5, 9)
		}, -1, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fixture{Store: f.Store, t: t}
			f.wantConflict(f.commit(tt.fill), tt.require, tt.write)
			f.want(Cells, "n", nil)
			f.want(Cells, "x", nil)
		})
	}
}

func testRejectedBatch(t *testing.T, e Engine) {
	f := newFixture(t, e)
	f.put(Cells, "old", "1")
	f.put(Lookup, "old", "1")
	err := f.commit(func(b *store.Batch) {
		b.RequireEqual(Cells, []byte("old"), []byte("1"))
		b.RequireAbsent(Lookup, []byte("old"))
		b.Put(Cells, []byte("new"), nil)
		b.Put(Lookup, []byte("new"), nil)
		b.Delete(Cells, []byte("old"))
		b.Delete(Lookup, []byte("old"))
		b.Add(Ledger, []byte("n"), 1, 0, 9)
	})
	f.wantConflict(err, 1, -1)
	for _, table := range []uint8{Cells, Lookup} {
		f.want(table, "old", []byte("1"))
		f.want(table, "new", nil)
	}
	f.want(Ledger, "n", nil)
	if s := f.Stats(); s.Batches != 2 {
		t.Errorf("%d batches counted, want the 2 acknowledged ones", s.Batches)
	}
}

// testStateBefore: a precondition on a row that the batch itself changes
// speaks of the row before the batch.
func testStateBefore(t *testing.T, e Engine) {
	eachKind(t, e, func(f *fixture, table uint8) {
		k := []byte("k")
		f.must(func(b *store.Batch) { b.Put(table, k, []byte("1")); b.RequireAbsent(table, k) })
		f.must(func(b *store.Batch) { b.Put(table, k, []byte("2")); b.RequireEqual(table, k, []byte("1")) })
		f.must(func(b *store.Batch) { b.Delete(table, k); b.RequireEqual(table, k, []byte("2")) })
		f.must(func(b *store.Batch) { b.Add(table, k, 3, 0, 9); b.RequireAbsent(table, k) })
		f.want(table, "k", store.AppendCounter(nil, 3))
	})
}
