package boltstore

import (
	"context"
	"sync/atomic"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// request is a batch on its way through the writer.
type request struct {
	batch     *store.Batch
	scattered bool // touches a scattered table
	bytes     int
	state     atomic.Int32
	err       error         // the answer; read after done
	done      chan struct{} // closed when err is set
}

// States of a request. Who moves it away from waiting owns it.
const (
	waiting int32 = iota
	taken
	cancelled
)

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, b *store.Batch) error {
	if err := b.Validate(s.o.Tables); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r := &request{batch: b, done: make(chan struct{})}
	entries := false
	for i := range b.Requires {
		r.scattered = r.scattered || s.table(b.Requires[i].Table).Kind == store.Scattered
	}
	for i := range b.Writes {
		w := &b.Writes[i]
		r.bytes += len(w.Key) + len(w.Value)
		entries = entries || s.table(w.Table).Kind == store.Scattered
	}
	r.scattered = r.scattered || entries
	if entries {
		if err := s.waitForRoom(ctx); err != nil {
			return err
		}
	}
	if err := s.enqueue(r); err != nil {
		return err
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		if r.state.CompareAndSwap(waiting, cancelled) {
			return ctx.Err()
		}
		<-r.done
	}
	return r.err
}

func (s *Store) enqueue(r *request) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.closed {
		return store.ErrClosed
	}
	select {
	case s.queue <- r:
		return nil
	default:
		return store.ErrBusy
	}
}

// Back-pressure on scattered rows: as a multiple of what starts a merge.
const roomFactor = 4

// waitForRoom waits while too many scattered rows are pending. It fails when
// the merger cannot make room.
func (s *Store) waitForRoom(ctx context.Context) error {
	for {
		drained, err := s.mem.room(roomFactor*s.o.MergeRows, roomFactor*mergeBytes)
		if drained == nil || err != nil {
			return err
		}
		select {
		case <-drained:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.stop:
			return store.ErrClosed
		}
	}
}
