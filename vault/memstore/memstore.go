// Package memstore is a storage engine that keeps everything in memory.
//
// It is written to be obviously right rather than fast: one mutex, one map a
// table, keys sorted when a scan asks for them. Tests run the vault on it,
// and the suite in vault/storetest uses it as the model that other engines
// are compared with.
//
// It claims the whole contract of vault/store but durability: what was
// committed lives as long as the Store value does. It offers snapshots. It
// has no pending log to drain, and offers no Compact: it keeps no files, and
// cannot say when the garbage collector takes back what was deleted.
package memstore

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// Store is an in-memory engine. It is safe for concurrent use. Make one with
// New.
type Store struct {
	declared []store.Table

	mu     sync.RWMutex // guards what follows
	rows   map[uint8]map[string][]byte
	stats  store.Stats
	held   map[*snapshot]struct{}
	closed bool
}

var (
	_ store.Store       = (*Store)(nil)
	_ store.Snapshotter = (*Store)(nil)
)

// New returns an empty store with the given tables.
func New(tables []store.Table) *Store {
	s := &Store{
		declared: slices.Clone(tables),
		rows:     make(map[uint8]map[string][]byte, len(tables)),
		held:     make(map[*snapshot]struct{}),
	}
	for _, t := range tables {
		s.rows[t.Number] = make(map[string][]byte)
	}
	return s
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, keys []store.Key, out *store.Rows) error {
	out.Reset()
	for i := range keys {
		if err := s.validKey(keys[i]); err != nil {
			return fmt.Errorf("key %d: %w", i, err)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return store.ErrClosed
	}
	for _, k := range keys {
		if v, ok := s.rows[k.Table][string(k.Key)]; ok {
			out.Append(v)
		} else {
			out.AppendAbsent()
		}
	}
	return nil
}

// Scan implements store.Store.
func (s *Store) Scan(ctx context.Context, table uint8, from, to []byte, limit int) ([]store.Row, error) {
	switch t := store.Find(s.declared, table); {
	case t == nil:
		return nil, fmt.Errorf("%w: table %d is not declared", store.ErrUsage, table)
	case t.Kind != store.Ordered:
		return nil, fmt.Errorf("%w: table %d is scattered and cannot be scanned", store.ErrUsage, table)
	case limit < 1:
		return nil, fmt.Errorf("%w: a scan of %d rows, want at least 1", store.ErrUsage, limit)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	var page []store.Row
	for _, k := range slices.Sorted(maps.Keys(s.rows[table])) {
		if k < string(from) || to != nil && k >= string(to) {
			continue
		}
		if len(page) == limit {
			break
		}
		page = append(page, store.Row{Key: []byte(k), Value: bytes.Clone(s.rows[table][k])})
	}
	return page, nil
}

// Check implements store.Store. There is no structure that could be damaged,
// so it looks at the limits of every row.
func (s *Store) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return store.ErrClosed
	}
	for table, rows := range s.rows {
		for k, v := range rows {
			if len(k) == 0 || len(k) > store.MaxKeyLen || len(v) > store.MaxValueLen {
				return fmt.Errorf("%w: table %d holds a row past the limits", store.ErrCorrupt, table)
			}
		}
	}
	return nil
}

// Stats implements store.Store. Fsyncs is always 0.
func (s *Store) Stats() store.Stats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.stats
}

// Close implements store.Store. The rows are dropped, and snapshots end.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed, s.rows = true, nil
	held := slices.Collect(maps.Keys(s.held))
	for _, n := range held {
		n.end()
	}
	s.mu.Unlock()
	for _, n := range held {
		if err := n.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) validKey(k store.Key) error {
	switch {
	case store.Find(s.declared, k.Table) == nil:
		return fmt.Errorf("%w: table %d is not declared", store.ErrUsage, k.Table)
	case len(k.Key) == 0 || len(k.Key) > store.MaxKeyLen:
		return fmt.Errorf("%w: a key of %d bytes, want 1 to %d", store.ErrUsage, len(k.Key), store.MaxKeyLen)
	}
	return nil
}
