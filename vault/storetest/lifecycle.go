package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

func testCancelled(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var rows store.Rows
	if err := f.Get(ctx, []store.Key{{Table: Cells, Key: []byte("k")}}, &rows); !errors.Is(err, context.Canceled) {
		t.Errorf("get: %v, want context.Canceled", err)
	}
	if _, err := f.Scan(ctx, Cells, nil, nil, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("scan: %v, want context.Canceled", err)
	}
	if err := f.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("check: %v, want context.Canceled", err)
	}
	var b store.Batch
	b.Put(Cells, []byte("k"), nil)
	if err := f.Commit(ctx, &b); !errors.Is(err, context.Canceled) {
		t.Errorf("commit: %v, want context.Canceled", err)
	}
	f.want(Cells, "k", nil)
}

// testCancelWaiting cancels commits while they wait: a context error means
// the batch was not applied, success means it was.
func testCancelWaiting(t *testing.T, e Engine) {
	f := newFixture(t, e)
	const callers, rounds = 16, 30
	var applied sync.Map
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for r := range rounds {
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() { cancel(); close(ended) }()
				key := fmt.Sprintf("%d/%d", c, r)
				var b store.Batch
				b.Put(Cells, []byte(key), nil)
				b.Put(Lookup, []byte(key), nil)
				switch err := f.Commit(ctx, &b); {
				case err == nil:
					applied.Store(key, true)
				case errors.Is(err, context.Canceled):
					applied.Store(key, false)
				default:
					t.Errorf("commit: %v", err)
				}
				<-ended
			}
		})
	}
	wg.Wait()
	applied.Range(func(key, was any) bool {
		var value []byte
		if was.(bool) {
			value = []byte{}
		}
		f.want(Cells, key.(string), value)
		f.want(Lookup, key.(string), value)
		return !t.Failed()
	})
}

func testClosed(t *testing.T, e Engine) {
	f := newFixture(t, e)
	f.put(Cells, "k", "v")
	f.closed = true
	for range 2 {
		if err := f.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	for _, table := range []uint8{Cells, Lookup} {
		var rows store.Rows
		if err := f.Get(t.Context(), []store.Key{{Table: table, Key: []byte("k")}}, &rows); !errors.Is(err, store.ErrClosed) {
			t.Errorf("get: %v, want ErrClosed", err)
		}
		if err := f.commit(func(b *store.Batch) { b.Put(table, []byte("k"), nil) }); !errors.Is(err, store.ErrClosed) {
			t.Errorf("commit: %v, want ErrClosed", err)
		}
	}
	if _, err := f.Scan(t.Context(), Cells, nil, nil, 1); !errors.Is(err, store.ErrClosed) {
		t.Errorf("scan: %v, want ErrClosed", err)
	}
	if err := f.Check(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("check: %v, want ErrClosed", err)
	}
	if s := f.Stats(); s.Batches != 1 {
		t.Errorf("stats after close count %d batches, want 1", s.Batches)
	}
}

// testCloseDuringCommits: a commit that meets a Close either succeeded or
// says ErrClosed, and Close returns when all have ended.
func testCloseDuringCommits(t *testing.T, e Engine) {
	f := newFixture(t, e)
	f.closed = true
	var started, acked atomic.Int64
	enough := make(chan struct{})
	var wg sync.WaitGroup
	for c := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				err := f.commit(func(b *store.Batch) {
					b.Put(Cells, append(be64(c), be64(n)...), nil)
					b.Put(Lookup, append(be64(c), be64(n)...), nil)
				})
				if errors.Is(err, store.ErrClosed) {
					return
				} else if err != nil {
					t.Errorf("commit: %v", err)
					return
				}
				acked.Add(1)
				if started.Add(1) == 50 {
					close(enough)
				}
			}
		})
	}
	<-enough
	if err := f.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	wg.Wait()
	if s := f.Stats(); s.Batches != uint64(acked.Load()) {
		t.Errorf("%d batches counted, %d acknowledged", s.Batches, acked.Load())
	}
}

func testStats(t *testing.T, e Engine) {
	f := newFixture(t, e)
	if s := f.Stats(); s.Batches != 0 {
		t.Errorf("%d batches before the first", s.Batches)
	}
	f.put(Cells, "k", "v")
	f.put(Lookup, "k", "v")
	s := f.Stats()
	if s.Batches != 2 || s.Commits == 0 || s.Commits > 2 {
		t.Errorf("after two batches: %+v", s)
	}
}

func testReopen(t *testing.T, e Engine) {
	if e.Reopen == nil {
		return // the engine keeps nothing
	}
	f := newFixture(t, e)
	f.must(func(b *store.Batch) {
		for i := range 200 {
			for _, table := range []uint8{Cells, Ledger, Lookup, Postings} {
				b.Put(table, be64(i), be64(i))
			}
		}
	})
	f.must(func(b *store.Batch) {
		b.Delete(Lookup, be64(7))
		b.Delete(Cells, be64(7))
		b.Add(Lookup, be64(8), 1, 0, 9)
	})
	for range 3 {
		f.Store = e.Reopen(t, f.Store)
		if s := f.Stats(); s.Batches != 0 {
			t.Errorf("%d batches counted since the store was opened, want 0", s.Batches)
		}
		for _, table := range []uint8{Cells, Lookup} {
			f.want(table, string(be64(6)), be64(6))
			f.want(table, string(be64(7)), nil)
		}
		f.want(Lookup, string(be64(8)), be64(9))
		f.want(Postings, string(be64(199)), be64(199))
		f.want(Ledger, string(be64(0)), be64(0))
		if err := f.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
	err := f.commit(func(b *store.Batch) { b.RequireAbsent(Postings, be64(3)); b.Put(Cells, be64(3), nil) })
	f.wantConflict(err, 0, -1)
}
