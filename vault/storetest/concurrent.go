package storetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// testConcurrentClaims: of many callers that claim the same absent row at the
// same time exactly one wins, on both kinds of tables.
func testConcurrentClaims(t *testing.T, e Engine) {
	eachKind(t, e, func(f *fixture, table uint8) {
		const callers, rounds = 16, 20
		var wins [rounds]atomic.Int32
		var wg sync.WaitGroup
		for c := range callers {
			wg.Go(func() {
				for r := range rounds {
					err := f.commit(func(b *store.Batch) {
						b.RequireAbsent(table, be64(r))
						b.Put(table, be64(r), be64(c))
						b.Put(Ledger, append(be64(r), byte(c)), be64(c))
					})
					var conflict *store.ConflictError
					if err == nil {
						wins[r].Add(1)
					} else if !errors.As(err, &conflict) {
						f.t.Errorf("commit: %v", err)
					}
				}
			})
		}
		wg.Wait()
		for r := range rounds {
			if n := wins[r].Load(); n != 1 {
				f.t.Errorf("round %d: %d callers won, want 1", r, n)
			}
			rows, err := f.Scan(f.t.Context(), Ledger, be64(r), be64(r+1), 100)
			if err != nil || len(rows) != 1 {
				f.t.Fatalf("round %d: %d traces of winners, %v", r, len(rows), err)
			}
			f.want(table, string(be64(r)), rows[0].Value)
		}
	})
}

// testConcurrentCounters: no increment is lost, no bound is passed, and a
// refused batch leaves nothing, whoever shares a transaction with it.
func testConcurrentCounters(t *testing.T, e Engine) {
	eachKind(t, e, func(f *fixture, table uint8) {
		const callers, each, bound = 16, 20, 200
		var done atomic.Int64
		var wg sync.WaitGroup
		for c := range callers {
			wg.Go(func() {
				for i := range each {
					err := f.commit(func(b *store.Batch) {
						b.Put(Ledger, append(be64(c), byte(i)), nil)
						b.Add(table, []byte("n"), 1, 0, bound)
					})
					var conflict *store.ConflictError
					if err == nil {
						done.Add(1)
					} else if !errors.As(err, &conflict) {
						f.t.Errorf("commit: %v", err)
					}
				}
			})
		}
		wg.Wait()
		if done.Load() != bound {
			f.t.Errorf("%d increments acknowledged, want %d", done.Load(), bound)
		}
		f.want(table, "n", store.AppendCounter(nil, bound))
		rows, err := f.Scan(f.t.Context(), Ledger, nil, nil, callers*each)
		if err != nil || len(rows) != bound {
			f.t.Errorf("%d traces of batches, %v, want those of the %d that passed", len(rows), err, bound)
		}
	})
}

// testSnapshots: writers keep one number the same in four tables; no reader
// ever sees two different ones, nor a number below one acknowledged before
// its call.
func testSnapshots(t *testing.T, e Engine) {
	f := newFixture(t, e)
	const groups, rounds, readers = 4, 150, 4
	tables := []uint8{Cells, Lookup, Ledger, Postings}
	var acked [groups]atomic.Uint64
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writers, others sync.WaitGroup
	for g := range groups {
		writers.Go(func() {
			for n := 1; n <= rounds; n++ {
				err := f.commit(func(b *store.Batch) {
					for _, table := range tables {
						b.Put(table, be64(g), be64(n))
					}
					b.Put(Lookup, append(be64(g), be64(n)...), nil) // keeps the engine's scattered tables growing
				})
				if err != nil {
					t.Errorf("commit: %v", err)
					return
				}
				acked[g].Store(uint64(n))
			}
		})
	}
	for r := range readers {
		others.Go(func() {
			var rows store.Rows
			for i := r; ctx.Err() == nil; i++ {
				g := i % groups
				keys := make([]store.Key, len(tables))
				for j := range keys {
					keys[j] = store.Key{Table: tables[(i+j)%len(tables)], Key: be64(g)}
				}
				floor := acked[g].Load()
				if err := f.Get(t.Context(), keys, &rows); err != nil {
					t.Errorf("get: %v", err)
					return
				}
				if err := oneNumber(&rows, floor); err != nil {
					t.Errorf("group %d, tables from %d on: %v", g, tables[i%len(tables)], err)
					return
				}
			}
		})
	}
	writers.Wait()
	stop()
	others.Wait()
}

// oneNumber reports rows that differ or lie below floor.
func oneNumber(rows *store.Rows, floor uint64) error {
	first, exists := rows.Value(0)
	for i := range rows.Len() {
		v, ok := rows.Value(i)
		if ok != exists || !bytes.Equal(v, first) {
			return fmt.Errorf("a torn snapshot: row 0 reads %x (exists %v), row %d reads %x (exists %v)", first, exists, i, v, ok)
		}
	}
	if !exists && floor > 0 || exists && binary.BigEndian.Uint64(first) < floor {
		return fmt.Errorf("the snapshot reads %x although %d was acknowledged before", first, floor)
	}
	return nil
}

// testReadYourWrites: each caller sees its own commit at once, in a Get, a
// Scan and a precondition, while others commit too.
func testReadYourWrites(t *testing.T, e Engine) {
	eachKind(t, e, func(f *fixture, table uint8) {
		var wg sync.WaitGroup
		for c := range 8 {
			wg.Go(func() {
				key := be64(c)
				var last []byte
				var rows store.Rows
				for n := range 40 {
					value := be64(n)
					err := f.commit(func(b *store.Batch) {
						if last == nil {
							b.RequireAbsent(table, key)
						} else {
							b.RequireEqual(table, key, last)
						}
						b.Put(table, key, value)
						b.Put(Ledger, key, value)
					})
					if err != nil {
						f.t.Errorf("caller %d does not find its own row: %v", c, err)
						return
					}
					last = value
					keys := []store.Key{{Table: table, Key: key}, {Table: Ledger, Key: key}}
					if err := f.Get(f.t.Context(), keys, &rows); err != nil {
						f.t.Errorf("get: %v", err)
						return
					}
					for i := range keys {
						if got, _ := rows.Value(i); !bytes.Equal(got, value) {
							f.t.Errorf("caller %d reads %x after committing %x", c, got, value)
							return
						}
					}
					page, err := f.Scan(f.t.Context(), Ledger, key, store.Next(key), 2)
					if err != nil || len(page) != 1 || !bytes.Equal(page[0].Value, value) {
						f.t.Errorf("caller %d scans %d rows, %v", c, len(page), err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}
