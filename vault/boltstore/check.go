package boltstore

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// Check implements store.Store. It reads every page of both files, compares
// the free lists with the pages in use, opens every pending entry and
// compares them with memory. Commits wait meanwhile, about a second for each
// few million rows; reads go on.
func (s *Store) Check(ctx context.Context) error {
	s.merging.Lock()
	defer s.merging.Unlock()
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.isClosed() {
		return store.ErrClosed
	}
	if err := s.current().check(ctx); err != nil {
		return fmt.Errorf("values file: %w", err)
	}
	if s.mem == nil {
		return nil
	}
	if err := s.rows.check(ctx); err != nil {
		return fmt.Errorf("scattered file: %w", err)
	}
	return s.checkPending()
}

// check reads the whole file. The caller keeps writers away.
func (f *file) check(ctx context.Context) error {
	err := f.view(func(tx *bbolt.Tx) error {
		return f.walk(tx, ctx.Err)
	})
	if err != nil {
		return err
	}
	// bbolt's own check knows the free list. It runs in a goroutine that does
	// not survive a fault, so it comes after the walk.
	tx, err := f.db.Begin(true)
	if err != nil {
		return readError(err)
	}
	defer func() { _ = tx.Rollback() }()
	var first error
	for err := range tx.Check(bbolt.WithKVStringer(redacted{})) {
		if first == nil {
			first = fmt.Errorf("%w: %w", store.ErrCorrupt, err)
		}
	}
	return first
}

// walk reads every page that tx sees, without bbolt.
func (f *file) walk(tx *bbolt.Tx, stop func() error) error {
	size := f.db.Info().PageSize
	w := newWalk(f.f, size, uint64(tx.Size())/uint64(size), true)
	w.stop = stop
	return w.file(uint64(tx.Cursor().Bucket().Root()))
}

// redacted keeps keys out of the words of bbolt's check.
type redacted struct{}

func (redacted) KeyToString([]byte) string   { return "[key]" }
func (redacted) ValueToString([]byte) string { return "[value]" }

// checkPending compares the pending log with memory.
func (s *Store) checkPending() error {
	s.mem.mu.RLock()
	layers := slices.Clone(s.mem.layers)
	s.mem.mu.RUnlock()
	return s.current().view(func(tx *bbolt.Tx) error {
		stored, exists, err := readLink(tx)
		if err != nil {
			return err
		}
		if !exists || stored != s.link {
			return fmt.Errorf("%w: the row about the scattered file is not what was written", store.ErrCorrupt)
		}
		gens, err := pendingGens(tx)
		if err != nil {
			return err
		}
		if n := len(gens); n > 0 && gens[n-1] > layers[len(layers)-1].gen {
			return fmt.Errorf("%w: the pending log is ahead of memory", store.ErrCorrupt)
		}
		for _, l := range layers {
			want, _, err := s.replay(tx, s.link, l.gen)
			if err != nil {
				return err
			}
			if !sameRows(l, want) {
				return fmt.Errorf("%w: generation %d of the pending log differs from memory", store.ErrCorrupt, l.gen)
			}
		}
		return nil
	})
}

func sameRows(a, b *layer) bool {
	if len(a.rows) != len(b.rows) || a.entries != b.entries {
		return false
	}
	for key, v := range a.rows {
		w := b.rows[key]
		if w == nil || v.deleted != w.deleted || !bytes.Equal(v.value, w.value) {
			return false
		}
	}
	return true
}
