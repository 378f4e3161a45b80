package boltstore_test

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/storetest"
)

func be64(n int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

func commit(ctx context.Context, s store.Store, fill func(b *store.Batch)) error {
	var b store.Batch
	fill(&b)
	return s.Commit(ctx, &b)
}

// TestFsyncsAreShared: 64 callers that each wait for their commit cause at
// most one fsync for eight batches. The count does not depend on how fast the
// disk is.
func TestFsyncsAreShared(t *testing.T) {
	for _, scattered := range []bool{false, true} {
		name := map[bool]string{false: "ordered", true: "with a scattered row"}[scattered]
		t.Run(name, func(t *testing.T) {
			s := openChecked(t, options(t, t.TempDir()))
			before := s.Stats()
			const callers, each = 64, 50
			var wg sync.WaitGroup
			for c := range callers {
				wg.Go(func() {
					for n := range each {
						err := commit(t.Context(), s, func(b *store.Batch) {
							b.Put(storetest.Cells, append(be64(c), be64(n)...), be64(n))
							if scattered {
								b.Put(storetest.Lookup, append(be64(n), be64(c)...), be64(n))
							}
						})
						if err != nil {
							t.Errorf("commit: %v", err)
						}
					}
				})
			}
			wg.Wait()
			after := s.Stats()
			batches, fsyncs, commits := after.Batches-before.Batches, after.Fsyncs-before.Fsyncs, after.Commits-before.Commits
			if batches != callers*each {
				t.Errorf("%d batches acknowledged, want %d", batches, callers*each)
			}
			if fsyncs < 2*commits {
				t.Errorf("%d fsyncs counted for %d commits of two each", fsyncs, commits)
			}
			if fsyncs*8 > batches {
				t.Errorf("%d fsyncs for %d batches, want at most one for eight", fsyncs, batches)
			}
			t.Logf("%.1f batches an fsync", float64(batches)/float64(fsyncs))
		})
	}
}

// TestRejectedBatchSparesItsGroup: callers whose preconditions fail share
// transactions with callers whose preconditions hold.
func TestRejectedBatchSparesItsGroup(t *testing.T) {
	s := openChecked(t, options(t, t.TempDir()))
	const callers, each = 32, 30
	var passed, failed atomic.Int64
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for n := range each {
				err := commit(t.Context(), s, func(b *store.Batch) {
					if c%2 == 1 {
						b.RequireEqual(storetest.Lookup, []byte("nobody"), nil)
					}
					b.Put(storetest.Cells, append(be64(c), be64(n)...), nil)
					b.Put(storetest.Lookup, append(be64(c), be64(n)...), nil)
				})
				var conflict *store.ConflictError
				switch {
				case err == nil:
					passed.Add(1)
				case errors.As(err, &conflict):
					failed.Add(1)
				default:
					t.Errorf("commit: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if passed.Load() != callers/2*each || failed.Load() != callers/2*each {
		t.Errorf("%d passed and %d failed, want %d each", passed.Load(), failed.Load(), callers/2*each)
	}
	rows, err := s.Scan(t.Context(), storetest.Cells, nil, nil, callers*each)
	if err != nil || len(rows) != callers/2*each {
		t.Errorf("%d rows, %v, want %d", len(rows), err, callers/2*each)
	}
}

// slowSealer holds the writer inside a transaction until released.
type slowSealer struct {
	boltstore.Sealer
	entered, release chan struct{}
	once             *sync.Once
}

func (s slowSealer) Seal(dst, plaintext, ad []byte) []byte {
	s.once.Do(func() {
		close(s.entered)
		<-s.release
	})
	return s.Sealer.Seal(dst, plaintext, ad)
}

// TestQueue: while the writer is busy, batches wait; a full queue says so, a
// context that ends takes its batch back, and the rest is committed.
func TestQueue(t *testing.T) {
	o := options(t, t.TempDir())
	slow := slowSealer{o.Seal, make(chan struct{}), make(chan struct{}), new(sync.Once)}
	o.Seal, o.MaxQueue = slow, 3
	s := openChecked(t, o)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := commit(t.Context(), s, func(b *store.Batch) { b.Put(storetest.Lookup, []byte("first"), nil) }); err != nil {
			t.Errorf("first: %v", err)
		}
	})
	<-slow.entered
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error)
	for i := range 10 {
		wg.Go(func() {
			errs <- commit(ctx, s, func(b *store.Batch) { b.Put(storetest.Cells, be64(i), nil) })
		})
	}
	for range 10 - o.MaxQueue {
		if err := <-errs; !errors.Is(err, store.ErrBusy) {
			t.Errorf("with a full queue: %v, want ErrBusy", err)
		}
	}
	cancel()
	for range o.MaxQueue {
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled while waiting: %v, want context.Canceled", err)
		}
	}
	close(slow.release)
	wg.Wait()
	rows, err := s.Scan(t.Context(), storetest.Cells, nil, nil, 10)
	if err != nil || len(rows) != 0 {
		t.Errorf("%d rows of batches that were refused, %v", len(rows), err)
	}
}
