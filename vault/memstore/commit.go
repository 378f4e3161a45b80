package memstore

import (
	"bytes"
	"context"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, b *store.Batch) error {
	if err := b.Validate(s.declared); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	sums, err := s.judge(b)
	if err != nil {
		return err
	}
	for i := range b.Writes {
		w := &b.Writes[i]
		rows := s.rows[w.Table]
		switch w.Op {
		case store.OpPut:
			rows[string(w.Key)] = append([]byte{}, w.Value...)
		case store.OpDelete:
			delete(rows, string(w.Key))
		case store.OpAdd:
			rows[string(w.Key)] = store.AppendCounter(nil, sums[i])
		}
	}
	s.stats.Batches++
	s.stats.Commits++
	return nil
}

// judge checks every precondition and bound of b before anything is changed,
// and returns the new value of each counter by its index in b.Writes.
func (s *Store) judge(b *store.Batch) (map[int]int64, error) {
	for i, r := range b.Requires {
		v, exists := s.rows[r.Table][string(r.Key)]
		if holds := r.Absent && !exists || !r.Absent && exists && bytes.Equal(v, r.Value); !holds {
			return nil, &store.ConflictError{Require: i, Write: -1}
		}
	}
	sums := make(map[int]int64)
	for i, w := range b.Writes {
		if w.Op != store.OpAdd {
			continue
		}
		var old int64
		if v, exists := s.rows[w.Table][string(w.Key)]; exists {
			n, err := store.Counter(v)
			if err != nil {
				return nil, err
			}
			old = n
		}
		sum := old + w.Delta
		overflow := w.Delta > 0 && sum < old || w.Delta < 0 && sum > old
		if overflow || sum < w.Min || sum > w.Max {
			return nil, &store.ConflictError{Require: -1, Write: i}
		}
		sums[i] = sum
	}
	return sums, nil
}
