package storetest

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

func testPutDelete(t *testing.T, e Engine) {
	eachKind(t, e, func(f *fixture, table uint8) {
		f.put(table, "k", "1")
		f.put(table, "k", "a longer value")
		f.want(table, "k", []byte("a longer value"))
		f.put(table, "k", "")
		f.want(table, "k", []byte{})
		f.must(func(b *store.Batch) { b.Delete(table, []byte("k")) })
		f.want(table, "k", nil)
		f.must(func(b *store.Batch) { b.Delete(table, []byte("k")) })
		f.must(func(b *store.Batch) { b.Delete(table, []byte("never there")) })
		f.put(table, "k", "again")
		f.want(table, "k", []byte("again"))
	})
}

// testCopies reuses a batch and its slices at once, as hot callers do.
func testCopies(t *testing.T, e Engine) {
	eachKind(t, e, func(f *fixture, table uint8) {
		var b store.Batch
		key, value := []byte("key-0"), []byte("value-0")
		for i := range byte(10) {
			b.Reset()
			key[4], value[6] = '0'+i, '0'+i
			b.Put(table, key, value)
			if err := f.Commit(f.t.Context(), &b); err != nil {
				f.t.Fatal(err)
			}
		}
		clear(value)
		f.want(table, "key-3", []byte("value-3"))
		f.want(table, "key-9", []byte("value-9"))
	})
}

func testLimits(t *testing.T, e Engine) {
	eachKind(t, e, func(f *fixture, table uint8) {
		tests := []struct {
			name       string
			key, value int
			ok         bool
		}{
			{"no key", 0, 1, false},
			{"shortest key", 1, 1, true},
			{"longest key", store.MaxKeyLen, 1, true},
			{"key too long", store.MaxKeyLen + 1, 1, false},
			{"longest value less one", 2, store.MaxValueLen - 1, true},
			{"longest value", 3, store.MaxValueLen, true},
			{"value too long", 4, store.MaxValueLen + 1, false},
		}
		for _, tt := range tests {
			f.t.Run(tt.name, func(t *testing.T) {
				f := &fixture{Store: f.Store, t: t}
				key, value := bytes.Repeat([]byte{'k'}, tt.key), bytes.Repeat([]byte{'v'}, tt.value)
				err := f.commit(func(b *store.Batch) { b.Put(table, key, value) })
				if !tt.ok {
					if !errors.Is(err, store.ErrUsage) {
						t.Errorf("commit: %v, want ErrUsage", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				var rows store.Rows
				if err := f.Get(t.Context(), []store.Key{{Table: table, Key: key}}, &rows); err != nil {
					t.Fatal(err)
				}
				if got, _ := rows.Value(0); !bytes.Equal(got, value) {
					t.Errorf("a value of %d bytes reads back as %d bytes", len(value), len(got))
				}
				err = f.commit(func(b *store.Batch) { b.RequireEqual(table, key, value); b.Delete(table, key) })
				if err != nil {
					t.Errorf("precondition on a row at the limit: %v", err)
				}
			})
		}
	})
}

func testCommitUsage(t *testing.T, e Engine) {
	f := newFixture(t, e)
	k, v := []byte("k"), []byte("v")
	beside := func(b *store.Batch) { b.Put(Ledger, []byte("beside"), v) }
	tests := []struct {
		name string
		fill func(b *store.Batch)
	}{
		{"empty batch", func(*store.Batch) {}},
		{"only a precondition", func(b *store.Batch) { b.RequireAbsent(Cells, k) }},
		{"undeclared table", func(b *store.Batch) { beside(b); b.Put(9, k, v) }},
		{"precondition on an undeclared table", func(b *store.Batch) { beside(b); b.RequireAbsent(9, k) }},
		{"precondition without key", func(b *store.Batch) { beside(b); b.RequireAbsent(Cells, nil) }},
		{"row changed twice", func(b *store.Batch) { beside(b); b.Put(Cells, k, v); b.Delete(Cells, k) }},
		{"scattered row changed twice", func(b *store.Batch) { beside(b); b.Put(Lookup, k, v); b.Add(Lookup, k, 1, 0, 9) }},
		{"unknown operation", func(b *store.Batch) {
			beside(b)
			b.Writes = append(b.Writes, store.Write{Op: 9, Table: Cells, Key: k})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fixture{Store: f.Store, t: t}
			if err := f.commit(tt.fill); !errors.Is(err, store.ErrUsage) {
				t.Errorf("commit: %v, want ErrUsage", err)
			}
			f.want(Ledger, "beside", nil)
			f.want(Cells, "k", nil)
			f.want(Lookup, "k", nil)
		})
	}
	t.Run("same key in two tables", func(t *testing.T) {
		f := &fixture{Store: f.Store, t: t}
		f.must(func(b *store.Batch) {
			b.Put(Cells, k, v)
			b.Put(Ledger, k, v)
			b.Put(Lookup, k, v)
			b.Put(Postings, k, v)
		})
	})
}

func testCounters(t *testing.T, e Engine) {
	eachKind(t, e, func(f *fixture, table uint8) {
		key := []byte("n")
		const low, high = math.MinInt64, math.MaxInt64
		steps := []struct {
			name            string
			delta, min, max int64
			conflict        bool
			want            int64
		}{
			{"absent reads as zero", 5, 0, 10, false, 5},
			{"up to the bound", 5, 0, 10, false, 10},
			{"one past the bound", 1, 0, 10, true, 10},
			{"down to the bound", -20, -10, 10, false, -10},
			{"one below the bound", -1, -10, 10, true, -10},
			{"by nothing, inside", 0, -10, 10, false, -10},
			{"by nothing, outside", 0, 0, 10, true, -10},
			{"an empty range", 1, 3, 2, true, -10},
			{"to the highest", high, low, high, false, high - 10},
			{"no wrap upwards", 11, low, high, true, high - 10},
			{"exactly the highest", 10, low, high, false, high},
			{"far down", low, low, high, false, -1},
			{"to the lowest", -high, low, high, false, low},
			{"no wrap downwards", -1, low, high, true, low},
			{"no wrap downwards, far", low, low, high, true, low},
		}
		for _, s := range steps {
			f.t.Run(s.name, func(t *testing.T) {
				f := &fixture{Store: f.Store, t: t}
				err := f.commit(func(b *store.Batch) {
					b.Put(Ledger, []byte("other"), nil)
					b.Add(table, key, s.delta, s.min, s.max)
				})
				if s.conflict {
					f.wantConflict(err, -1, 1)
				} else if err != nil {
					t.Errorf("commit: %v", err)
				}
				f.want(table, "n", store.AppendCounter(nil, s.want))
			})
		}
	})
}

func testCounterCorrupt(t *testing.T, e Engine) {
	eachKind(t, e, func(f *fixture, table uint8) {
		for _, bad := range []string{"", "1234567", "123456789"} {
			f.put(table, "n", bad)
			err := f.commit(func(b *store.Batch) {
				b.Put(table, []byte("beside"), nil)
				b.Add(table, []byte("n"), 1, 0, 9)
			})
			if !errors.Is(err, store.ErrCorrupt) {
				f.t.Errorf("add to a row of %d bytes: %v, want ErrCorrupt", len(bad), err)
			}
			f.want(table, "n", []byte(bad))
			f.want(table, "beside", nil)
		}
	})
}
