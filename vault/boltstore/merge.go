package boltstore

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

const (
	// mergeBytes of rows in memory start a merge whatever their number.
	mergeBytes = 64 << 20
	// mergeLot is how many rows one transaction of the scattered file takes,
	// but no more than a quarter of Options.MergeRows. Rows are sorted over the whole layer, so lots do not share pages and
	// cost no more than one large one, with bounded memory and free pages.
	mergeLot = 8192
	// mergeRetry is how long the merger rests after a merge failed.
	mergeRetry = time.Second
)

var errStopped = errors.New("the merger was stopped")

func (s *Store) wakeMerger() {
	select {
	case s.due <- struct{}{}:
	default:
	}
}

// merge is the merger. It ends when the store is closed.
func (s *Store) merge() {
	var retry <-chan time.Time
	for {
		select {
		case <-s.stop:
			return
		case <-retry:
		case <-s.due:
			if retry != nil {
				continue // resting
			}
		}
		retry = nil
		more := true
		for more {
			var err error
			if more, err = s.mergeLayer(s.o.MergeRows); err != nil && !errors.Is(err, errStopped) {
				s.log.Error("merging scattered rows failed", "error", err)
				s.poison(err)
				s.mem.fail(err)
				if s.usable() == nil {
					retry = time.After(mergeRetry)
				}
			}
		}
	}
}

// Merge moves the scattered rows that are pending now into their file, while
// commits go on. The merger does so by itself; this is for who wants to know
// that it is done, before a backup or a measurement.
func (s *Store) Merge(ctx context.Context) error {
	if s.mem == nil {
		return nil
	}
	s.writing.Lock() // a batch that is being written belongs to this generation
	last := s.link.gen
	s.writing.Unlock()
	for {
		if err := s.ready(ctx); err != nil {
			return err
		}
		s.mem.mu.RLock()
		l := s.mem.layers[0]
		done := l.gen > last || l.entries == 0 && len(s.mem.layers) == 1
		s.mem.mu.RUnlock()
		if done {
			return nil
		}
		if _, err := s.mergeLayer(1); err != nil {
			s.poison(err)
			if errors.Is(err, errStopped) {
				err = store.ErrClosed
			}
			return err
		}
	}
}

// Drain implements store.Drainer.
func (s *Store) Drain(ctx context.Context) error {
	if err := s.ready(ctx); err != nil || s.mem == nil {
		return err
	}
	if err := s.Merge(ctx); err != nil {
		return err
	}
	// A merge leaves its generation in the log when there is no room to drop
	// it, and so does a crash.
	s.merging.Lock()
	defer s.merging.Unlock()
	if err := s.ready(ctx); err != nil {
		return err
	}
	err := s.trim()
	s.poison(err)
	return err
}

// mergeLayer merges the oldest layer that takes no more writes, or begins a
// new generation when the last layer has rows entries or is large otherwise.
// It reports whether it did something and there may be more.
func (s *Store) mergeLayer(rows int) (more bool, err error) {
	s.merging.Lock()
	defer s.merging.Unlock()
	if s.usable() != nil {
		return false, nil
	}
	s.mem.mu.RLock()
	l, frozen := s.mem.layers[0], len(s.mem.layers) > 1
	large := l.entries >= rows || l.bytes >= mergeBytes
	s.mem.mu.RUnlock()
	switch {
	case frozen:
		if err := s.mergeRows(l); err != nil {
			return false, err
		}
		s.merged = l.gen
		s.mem.drop()
		if err := s.trim(); !errors.Is(err, store.ErrFull) {
			return true, err
		}
		return true, nil // the next merge drops them
	case large:
		return true, s.freeze()
	}
	return false, nil
}

// large reports whether a layer should be merged.
func (s *Store) large(l *layer) bool { return l.entries >= s.o.MergeRows || l.bytes >= mergeBytes }

// freeze begins a new generation, which the values file must know before the
// one before may reach the scattered file.
func (s *Store) freeze() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	l := s.link
	l.gen++
	if err := s.current().update(touchLink, l.put); err != nil {
		return err
	}
	s.link = l
	s.mem.mu.Lock()
	defer s.mem.mu.Unlock()
	s.mem.layers = append(slices.Clone(s.mem.layers), newLayer(l.gen))
	return nil
}

// mergeRows writes a layer into the scattered file. The marker is set with
// the last lot; rows of an unfinished merge stay in the pending log, too.
func (s *Store) mergeRows(l *layer) error {
	keys := slices.Sorted(maps.Keys(l.rows))
	size := max(1, min(mergeLot, s.o.MergeRows/4))
	for {
		lot := keys[:min(len(keys), size)]
		keys = keys[len(lot):]
		touched := func(c *changes) {
			for _, key := range lot {
				c.row(bucketTable(key[0]), []byte(key[1:]))
			}
			c.row(bucketMeta, rowMerged)
		}
		err := s.rows.update(touched, func(tx *bbolt.Tx) error {
			if err := putRows(tx, l, lot); err != nil || len(keys) > 0 {
				return err
			}
			return tx.Bucket(bucketMeta).Put(rowMerged, binary.BigEndian.AppendUint64(nil, l.gen))
		})
		if err != nil || len(keys) == 0 {
			return err
		}
		select {
		case <-s.stop:
			return errStopped
		default:
		}
	}
}

// putRows writes sorted rows of a layer, none of which changes any more.
func putRows(tx *bbolt.Tx, l *layer, keys []string) error {
	var b *bbolt.Bucket
	table := -1
	for _, key := range keys {
		if int(key[0]) != table {
			table = int(key[0])
			if b = tx.Bucket(bucketTable(key[0])); b == nil {
				return missing(tx, bucketTable(key[0]))
			}
		}
		v := l.rows[key]
		var err error
		if v.deleted {
			err = b.Delete([]byte(key[1:]))
		} else {
			err = b.Put([]byte(key[1:]), v.value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// putLinkAndDrop writes l and drops the generations up to one from the pending
// log. The caller holds writing.
func (s *Store) putLinkAndDrop(l link, upTo uint64) error {
	var dropped []uint64
	touched := func(c *changes) {
		touchLink(c)
		for _, gen := range dropped {
			c.bucket(bucketPending(gen))
		}
	}
	return s.current().update(touched, func(tx *bbolt.Tx) (err error) {
		if dropped, err = dropPending(tx, upTo); err != nil {
			return err
		}
		return l.put(tx)
	})
}

// trim drops the merged generations from the pending log.
func (s *Store) trim() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	l := s.link
	l.trimmed = s.merged
	if l.trimmed == s.link.trimmed {
		return nil
	}
	if err := s.putLinkAndDrop(l, l.trimmed); err != nil {
		return err
	}
	s.link = l
	return nil
}
