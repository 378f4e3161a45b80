package memstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// snapshot is a copy of the maps; the values are never changed in place.
type snapshot struct {
	s    *Store
	rows map[uint8]map[string][]byte

	mu     sync.Mutex // guards what follows
	idle   *sync.Cond // active is 0
	ending bool
	active int // calls of Each under way
}

// Snapshot implements store.Snapshotter.
func (s *Store) Snapshot(ctx context.Context) (store.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	n := &snapshot{s: s, rows: make(map[uint8]map[string][]byte)}
	n.idle = sync.NewCond(&n.mu)
	for _, t := range s.declared {
		if t.Kind == store.Ordered {
			n.rows[t.Number] = maps.Clone(s.rows[t.Number])
		}
	}
	s.held[n] = struct{}{}
	return n, nil
}

// Each implements store.Snapshot.
func (n *snapshot) Each(ctx context.Context, table uint8, fn func(key, value []byte) error) error {
	switch t := store.Find(n.s.declared, table); {
	case t == nil:
		return fmt.Errorf("%w: table %d is not declared", store.ErrUsage, table)
	case t.Kind != store.Ordered:
		return fmt.Errorf("%w: table %d is scattered and has no order", store.ErrUsage, table)
	}
	if !n.enter() {
		return store.ErrClosed
	}
	defer n.leave()
	for _, k := range slices.Sorted(maps.Keys(n.rows[table])) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if n.isEnding() {
			return store.ErrClosed
		}
		if err := fn([]byte(k), slices.Clone(n.rows[table][k])); err != nil {
			return err
		}
	}
	return nil
}

// Close implements store.Snapshot.
func (n *snapshot) Close() error {
	n.end()
	n.mu.Lock()
	for n.active > 0 {
		n.idle.Wait()
	}
	n.mu.Unlock()
	n.s.mu.Lock()
	defer n.s.mu.Unlock()
	delete(n.s.held, n)
	return nil
}

// end lets an Each that is under way end, without waiting for it.
func (n *snapshot) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ending = true
}

func (n *snapshot) enter() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ending {
		return false
	}
	n.active++
	return true
}

func (n *snapshot) leave() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.active--; n.active == 0 {
		n.idle.Broadcast()
	}
}

func (n *snapshot) isEnding() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ending
}
