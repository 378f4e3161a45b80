package boltstore_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/storetest"
)

const compactRows = 400_000

// loaded makes a store of compactRows rows, half of what was written; one in
// four is scattered.
func loaded(b *testing.B, o boltstore.Options) *boltstore.Store {
	b.Helper()
	s := open(b, o)
	value := make([]byte, 150)
	const ordered, lot = compactRows / 4 * 3, 10_000
	for _, del := range []bool{false, true} {
		for i := 0; i < 2*ordered; i += lot {
			err := commit(context.Background(), s, func(batch *store.Batch) {
				for p := i; p < i+lot; p++ {
					switch {
					case !del:
						batch.Put(storetest.Cells, cellKey(p), value)
						if p < ordered/3 {
							batch.Put(storetest.Lookup, hashed(0, p), value[:48])
						}
					case p%2 == 0:
						batch.Delete(storetest.Cells, cellKey(p))
					}
				}
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := s.Drain(context.Background()); err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkCompact compacts 400,000 rows in two files of which half is free,
// against bbolt's own copy of the larger one. With writers, callers commit
// all the while, and the slowest of their commits is reported.
func BenchmarkCompact(b *testing.B) {
	run := func(writers int) func(b *testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				s := loaded(b, options(b, b.TempDir()))
				stop := make(chan struct{})
				var wg sync.WaitGroup
				slowest, done := make([]time.Duration, writers+1), make([]int, writers+1)
				for w := range writers {
					wg.Go(func() {
						for {
							select {
							case <-stop:
								return
							default:
							}
							begun := time.Now()
							err := commit(context.Background(), s, func(batch *store.Batch) {
								p := (done[w]*7919 + w*104_729) % (compactRows)
								batch.Put(storetest.Cells, cellKey(p), make([]byte, 150))
								batch.Put(storetest.Lookup, hashed(w, done[w]), make([]byte, 48))
							})
							if err != nil {
								b.Error(err)
								return
							}
							slowest[w] = max(slowest[w], time.Since(begun))
							done[w]++
						}
					})
				}
				b.StartTimer()
				before, after, err := s.Compact(context.Background())
				b.StopTimer()
				close(stop)
				wg.Wait()
				if err != nil {
					b.Fatal(err)
				}
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(before)/(1<<20), "MB-before")
				b.ReportMetric(float64(after)/(1<<20), "MB-after")
				if writers > 0 {
					worst, sum := time.Duration(0), 0
					for w := range writers {
						worst, sum = max(worst, slowest[w]), sum+done[w]
					}
					b.ReportMetric(float64(worst.Milliseconds()), "ms-slowest-commit")
					b.ReportMetric(float64(sum), "commits")
				}
				b.StartTimer()
			}
			b.ReportMetric(compactRows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		}
	}
	b.Run("idle", run(0))
	b.Run("writers=16", run(16))
	b.Run("bbolt", func(b *testing.B) {
		o := options(b, b.TempDir())
		if err := loaded(b, o).Close(); err != nil {
			b.Fatal(err)
		}
		src, err := bbolt.Open(o.Path, 0o600, &bbolt.Options{ReadOnly: true})
		if err != nil {
			b.Fatal(err)
		}
		defer src.Close()
		for b.Loop() {
			b.StopTimer()
			path := filepath.Join(b.TempDir(), "copy.db")
			b.StartTimer()
			dst, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true, NoFreelistSync: true, NoGrowSync: true, FreelistType: bbolt.FreelistMapType})
			if err == nil {
				err = bbolt.Compact(dst, src, 8<<20)
			}
			if err == nil {
				err = dst.Sync()
			}
			if err == nil {
				err = dst.Close()
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(compactRows/4*3*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
}

// BenchmarkSnapshot reads all 300,000 ordered rows of a snapshot. One
// operation is one pass.
func BenchmarkSnapshot(b *testing.B) {
	s := loaded(b, options(b, b.TempDir()))
	n, err := s.Snapshot(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	rows := 0
	for b.Loop() {
		rows = 0
		if err := n.Each(context.Background(), storetest.Cells, func(_, _ []byte) error { rows++; return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
