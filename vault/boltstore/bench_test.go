package boltstore_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/storetest"
)

// BenchmarkCommit measures closed-loop callers; one operation is one
// acknowledged batch of two ordered rows.
func BenchmarkCommit(b *testing.B) {
	for _, scattered := range []bool{false, true} {
		kind := map[bool]string{false: "ordered", true: "scattered"}[scattered]
		for _, callers := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/callers=%d", kind, callers), func(b *testing.B) {
				s := openChecked(b, options(b, b.TempDir()))
				value := make([]byte, 150)
				var next atomic.Int64
				before := s.Stats()
				b.ReportAllocs()
				b.ResetTimer()
				var wg sync.WaitGroup
				for range callers {
					wg.Go(func() {
						for {
							n := next.Add(1)
							if n > int64(b.N) {
								return
							}
							err := commit(b.Context(), s, func(batch *store.Batch) {
								batch.Put(storetest.Cells, be64(int(n)), value)
								batch.Put(storetest.Ledger, be64(int(n)), value[:32])
								if scattered {
									batch.Put(storetest.Lookup, hashed(0, int(n)), value[:48])
								}
							})
							if err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				after := s.Stats()
				b.ReportMetric(float64(after.Batches-before.Batches)/float64(after.Fsyncs-before.Fsyncs), "batches/fsync")
			})
		}
	}
}

const (
	people        = 100_000 // of two rows each
	personsPerGet = 1000
)

// headerKey and cellKey are neighbours, as in the vault.
func headerKey(person int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(person)) }
func cellKey(person int) []byte   { return append(headerKey(person), 0, 0, 1, 0, 0) }

// BenchmarkGet reads the header and a cell of 1,000 persons in random order,
// out of 200,000 rows. One operation is 2,000 rows.
func BenchmarkGet(b *testing.B) {
	o := options(b, b.TempDir())
	s := open(b, o)
	value := make([]byte, 150)
	for i := 0; i < people; i += 5000 {
		err := commit(context.Background(), s, func(batch *store.Batch) {
			for p := i; p < i+5000; p++ {
				batch.Put(storetest.Cells, headerKey(p), value[:64])
				batch.Put(storetest.Cells, cellKey(p), value)
				batch.Put(storetest.Lookup, hashed(0, p), value[:48])
			}
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Merge(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	random := rand.New(rand.NewPCG(3, 4))
	persons := make([]int, personsPerGet)
	for i := range persons {
		persons[i] = random.IntN(people)
	}
	var pairs, headers, lookups []store.Key
	var bare [][]byte
	for _, p := range persons {
		pairs = append(pairs, store.Key{Table: storetest.Cells, Key: headerKey(p)}, store.Key{Table: storetest.Cells, Key: cellKey(p)})
		headers = append(headers, store.Key{Table: storetest.Cells, Key: headerKey(p)})
		lookups = append(lookups, store.Key{Table: storetest.Lookup, Key: hashed(0, p)})
		bare = append(bare, headerKey(p), cellKey(p))
	}
	get := func(keys []store.Key) func(b *testing.B) {
		return func(b *testing.B) {
			var rows store.Rows
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Get(context.Background(), keys, &rows); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(keys)), "ns/row")
		}
	}
	b.Run("pairs", get(pairs))
	b.Run("headers", get(headers))
	b.Run("one", get(pairs[:2]))
	b.Run("hundred", get(pairs[:200]))
	b.Run("scattered", get(lookups))
	b.Run("floor", func(b *testing.B) {
		sum := 0
		b.ReportAllocs()
		for b.Loop() {
			if err := s.Floor(storetest.Cells, bare, func(_ int, v []byte) error { sum += len(v); return nil }); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(bare)), "ns/row")
	})
}

// BenchmarkLoad commits rows in rising order to an empty store, as a restore
// does. One operation is one row.
func BenchmarkLoad(b *testing.B) {
	for _, lot := range []int{1000, 10_000, 30_000} {
		b.Run(fmt.Sprintf("batch=%d", lot), func(b *testing.B) {
			s := open(b, options(b, b.TempDir()))
			value := make([]byte, 150)
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += lot {
				err := commit(b.Context(), s, func(batch *store.Batch) {
					for p := i; p < min(i+lot, b.N); p++ {
						batch.Put(storetest.Cells, cellKey(p), value)
					}
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			b.StopTimer()
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkOpen opens 200,000 rows after a clean close, whose free list is in
// the file, and after a crash, when every page is read.
func BenchmarkOpen(b *testing.B) {
	o := options(b, b.TempDir())
	s := open(b, o)
	value := make([]byte, 150)
	for i := 0; i < 2*people; i += 5000 {
		err := commit(context.Background(), s, func(batch *store.Batch) {
			for p := i; p < i+5000; p++ {
				batch.Put(storetest.Cells, headerKey(p), value)
			}
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	run := func(b *testing.B) {
		for b.Loop() {
			s := open(b, o)
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("clean", run)
	b.Run("crashed", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			for _, path := range []string{o.Path, filepath.Join(filepath.Dir(o.Path), "values.scattered.db")} {
				db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true})
				if err == nil {
					err = db.Update(func(*bbolt.Tx) error { return nil })
				}
				if err == nil {
					err = db.Close()
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			b.StartTimer()
			s := open(b, o)
			b.StopTimer()
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	})
}
