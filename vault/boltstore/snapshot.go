package boltstore

import (
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"sync"

	"go.etcd.io/bbolt"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// A snapshot copies rows in lots of so many, or so many bytes, before it
// shows them: fn then never touches the mapped file, where a damaged disk is
// a fault.
const (
	lotRows  = 256
	lotBytes = 256 << 10
)

// snapshot is a read transaction of the values file, which it keeps open
// after a Compact has replaced it.
type snapshot struct {
	s *Store
	f *file

	mu     sync.Mutex
	idle   *sync.Cond // active is 0
	tx     *bbolt.Tx  // nil: closed
	ending bool
	active int // calls of Each under way
}

// Snapshot implements store.Snapshotter. While one is open the values file
// cannot reuse the space of what changes, so it grows.
func (s *Store) Snapshot(ctx context.Context) (store.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.gate.RLock() // Close ends the snapshots that are there
	defer s.gate.RUnlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	n := &snapshot{s: s}
	n.idle = sync.NewCond(&n.mu)
	s.holding.Lock()
	defer s.holding.Unlock()
	n.f = s.current()
	tx, err := n.f.db.Begin(false)
	if err != nil {
		return nil, readError(err)
	}
	n.tx = tx
	n.f.snapshots.Add(1)
	s.held[n] = struct{}{}
	return n, nil
}

// Close implements store.Snapshot.
func (n *snapshot) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ending = true
	for n.active > 0 {
		n.idle.Wait()
	}
	if n.tx == nil {
		return nil
	}
	err := n.tx.Rollback()
	n.tx = nil
	n.s.holding.Lock()
	delete(n.s.held, n)
	n.s.holding.Unlock()
	n.f.snapshots.Done()
	return err
}

// open reports whether the snapshot may still be read.
func (n *snapshot) open() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ending {
		return store.ErrClosed
	}
	return nil
}

// Each implements store.Snapshot.
func (n *snapshot) Each(ctx context.Context, table uint8, fn func(key, value []byte) error) error {
	switch t := n.s.table(table); {
	case t == nil:
		return fmt.Errorf("%w: table %d is not declared", store.ErrUsage, table)
	case t.Kind != store.Ordered:
		return fmt.Errorf("%w: table %d is scattered and has no order", store.ErrUsage, table)
	}
	n.mu.Lock()
	if n.ending {
		n.mu.Unlock()
		return store.ErrClosed
	}
	n.active++
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.active--; n.active == 0 {
			n.idle.Broadcast()
		}
	}()
	l := &lot{table: table}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := l.read(n.tx); err != nil || len(l.ends) == 0 {
			return err
		}
		start := 0
		for _, end := range l.ends {
			if err := n.open(); err != nil {
				return err
			}
			if err := fn(l.buf[start:end.key:end.key], l.buf[end.key:end.value:end.value]); err != nil {
				return err
			}
			start = end.value
		}
	}
}

// lot is a number of rows copied from a table, and the place after them.
type lot struct {
	table  uint8
	cursor *bbolt.Cursor
	buf    []byte
	ends   []rowEnd
}

type rowEnd struct{ key, value int }

// read copies the next rows; none are left when ends is empty.
func (l *lot) read(tx *bbolt.Tx) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer trap(&err)
	l.buf, l.ends = l.buf[:0], l.ends[:0]
	var k, v []byte
	if l.cursor == nil {
		b := tx.Bucket(bucketTable(l.table))
		if b == nil {
			return missing(tx, bucketTable(l.table))
		}
		l.cursor = b.Cursor()
		k, v = l.cursor.First()
	} else {
		k, v = l.cursor.Next()
	}
	for ; k != nil; k, v = l.cursor.Next() {
		if v == nil || len(k) > store.MaxKeyLen || len(v) > store.MaxValueLen {
			return fmt.Errorf("%w: table %d has a row that is none", store.ErrCorrupt, l.table)
		}
		l.buf = append(append(l.buf, k...), v...)
		l.ends = append(l.ends, rowEnd{len(l.buf) - len(v), len(l.buf)})
		if len(l.ends) >= lotRows || len(l.buf) >= lotBytes {
			break
		}
	}
	return nil
}

// endSnapshots tells all snapshots to end, and returns them to be closed.
func (s *Store) endSnapshots() []*snapshot {
	s.holding.Lock()
	held := slices.Collect(maps.Keys(s.held))
	s.holding.Unlock()
	for _, n := range held {
		n.mu.Lock()
		n.ending = true
		n.mu.Unlock()
	}
	return held
}

// isHeld reports whether a snapshot reads a file.
func (s *Store) isHeld(f *file) bool {
	s.holding.Lock()
	defer s.holding.Unlock()
	for n := range s.held {
		if n.f == f {
			return true
		}
	}
	return false
}

// retire closes a file that was replaced, once no snapshot reads it. The file
// has lost its name, so the system frees it then.
func (s *Store) retire(f *file) (gone <-chan struct{}) {
	done := make(chan struct{})
	s.running.Go(func() {
		defer close(done)
		f.snapshots.Wait()
		if err := f.close(false); err != nil {
			s.log.Error("closing a file that was replaced failed", "error", err)
		}
	})
	return done
}
