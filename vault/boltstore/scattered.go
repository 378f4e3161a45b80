package boltstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// openScattered opens the scattered file, or replaces it, and replays the
// pending log.
func (s *Store) openScattered() error {
	if err := s.current().view(func(tx *bbolt.Tx) (err error) {
		var exists bool
		if s.link, exists, err = readLink(tx); err == nil && !exists {
			err = fmt.Errorf("%w: the row about the scattered file is missing", store.ErrCorrupt)
		}
		return err
	}); err != nil {
		return fmt.Errorf("open %s: %w", s.o.Path, err)
	}
	path := scatteredPath(s.o.Path)
	if err := removeCopy(path); err != nil {
		return err
	}
	err := s.adopt(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, store.ErrCorrupt):
		// It can be derived; what is left of it is kept for a look until the
		// rebuild has ended.
		s.log.Error("the scattered file is set aside", "path", path, "error", err)
		if err := os.Rename(path, path+".lost"); err != nil {
			return err
		}
	case err != nil:
		return err
	}
	if err != nil {
		if err := s.begin(path); err != nil {
			return err
		}
	}
	s.lost.Store(s.link.lost)
	if s.link.lost {
		s.log.Warn("the scattered tables must be rebuilt", "path", path)
	}
	if err := s.replayAll(); err != nil {
		_ = s.rows.close(false)
		return fmt.Errorf("open %s: %w", s.o.Path, err)
	}
	return nil
}

// adopt opens the scattered file if it is the one the values file knows.
func (s *Store) adopt(path string) error {
	f, err := openFile(path, &s.fsyncs)
	if err != nil {
		return err
	}
	err = f.view(func(tx *bbolt.Tx) error {
		if err := checkFormat(tx, store.ErrCorrupt); err != nil {
			return err
		}
		for _, t := range s.o.Tables {
			if t.Kind == store.Scattered && tx.Bucket(bucketTable(t.Number)) == nil {
				return missing(tx, bucketTable(t.Number))
			}
		}
		meta := tx.Bucket(bucketMeta)
		id, merged := meta.Get(rowID), meta.Get(rowMerged)
		if len(merged) != 8 {
			return fmt.Errorf("%w: a marker of %d bytes", store.ErrCorrupt, len(merged))
		}
		s.merged = binary.BigEndian.Uint64(merged)
		switch {
		case string(id) != string(s.link.id[:]):
			return fmt.Errorf("%w: the file belongs to another store", store.ErrCorrupt)
		case s.merged < s.link.trimmed:
			return fmt.Errorf("%w: the file is older than %s", store.ErrCorrupt, s.o.Path)
		case s.merged >= s.link.gen:
			return fmt.Errorf("%w: the file is newer than %s", store.ErrCorrupt, s.o.Path)
		}
		return nil
	})
	if err != nil {
		_ = f.close(false)
		return fmt.Errorf("open %s: %w", path, err)
	}
	s.rows = f
	return nil
}

// begin makes an empty scattered file. Rows are lost if some had left the
// pending log since the last one was made; that is written down first, so
// that a crash cannot hide it.
func (s *Store) begin(path string) error {
	if s.link.trimmed > s.link.base {
		l := s.link
		l.lost, l.base = true, l.trimmed
		if err := s.current().update(touchLink, l.put); err != nil {
			return fmt.Errorf("open %s: %w", s.o.Path, err)
		}
		s.link = l
	}
	temp, err := s.newScattered(path, s.link)
	if err == nil {
		err = s.install(temp, path)
	}
	return err
}

// newScattered makes an empty scattered file beside path.
func (s *Store) newScattered(path string, l link) (temp string, err error) {
	return newTemp(path, &s.fsyncs, func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucket(bucketMeta)
		if err != nil {
			return err
		}
		for _, t := range s.o.Tables {
			if t.Kind == store.Scattered {
				if _, err := tx.CreateBucket(bucketTable(t.Number)); err != nil {
					return err
				}
			}
		}
		return errors.Join(
			meta.Put(rowFormat, []byte{formatVersion}),
			meta.Put(rowID, l.id[:]),
			meta.Put(rowMerged, binary.BigEndian.AppendUint64(nil, l.base)))
	})
}

// install moves a new scattered file to its place and opens it.
func (s *Store) install(temp, path string) error {
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(path), &s.fsyncs); err != nil {
		return err
	}
	return s.adopt(path)
}

// replayAll fills memory from the generations that the file does not have.
func (s *Store) replayAll() error {
	var layers []*layer
	err := s.current().view(func(tx *bbolt.Tx) error {
		gens, err := pendingGens(tx)
		if err != nil {
			return err
		}
		for _, gen := range gens {
			if gen > s.link.gen {
				return fmt.Errorf("%w: generation %d of the pending log is ahead of %d", store.ErrCorrupt, gen, s.link.gen)
			}
			if gen <= s.merged {
				continue // merged, and not dropped yet
			}
			l, last, err := s.replay(tx, s.link, gen)
			if err != nil {
				return err
			}
			s.seq = last
			layers = append(layers, l)
		}
		return nil
	})
	if n := len(layers); n == 0 || layers[n-1].gen < s.link.gen {
		layers = append(layers, newLayer(s.link.gen))
	}
	s.mem = newMemory(layers)
	return err
}

// ScatteredLost reports whether rows of scattered tables were lost, because
// their file was missing, damaged or not the right one. The tables hold what
// was in the pending log and what was written since. It stays true, also over
// restarts, until ScatteredRebuilt.
func (s *Store) ScatteredLost() bool { return s.lost.Load() }

// ResetScattered empties all scattered tables, so that they can be rebuilt
// from nothing. ScatteredLost is true from then on. A crash leaves the tables
// either as they were or empty with ScatteredLost true.
func (s *Store) ResetScattered(ctx context.Context) error {
	if s.mem == nil {
		return fmt.Errorf("%w: no table is scattered", store.ErrUsage)
	}
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	s.merging.Lock()
	defer s.merging.Unlock()
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.ready(ctx); err != nil {
		return err
	}
	l := newLink(s.link.gen)
	l.lost = true
	path := scatteredPath(s.o.Path)
	temp, err := s.newScattered(path, l)
	if err != nil {
		return err
	}
	// No reader may stand between the two files while they change.
	s.mem.mu.Lock()
	defer s.mem.mu.Unlock()
	if err := s.putLinkAndDrop(l, s.link.gen); err != nil {
		_ = os.Remove(temp)
		s.poison(err)
		return err
	}
	s.link = l
	s.lost.Store(true)
	old := s.rows
	if err := s.install(temp, path); err != nil {
		// The next Open finds a file of another id and begins a new one.
		err = fmt.Errorf("%w: %w", store.ErrBroken, err)
		s.poison(err)
		return err
	}
	s.mem.layers = []*layer{newLayer(l.gen)}
	s.mem.failed = nil
	s.mem.wake()
	s.retire(old)
	return nil
}

// ScatteredRebuilt records that the scattered tables are whole again:
// ScatteredLost turns false, and a file that was set aside is removed.
func (s *Store) ScatteredRebuilt(ctx context.Context) error {
	if s.mem == nil {
		return fmt.Errorf("%w: no table is scattered", store.ErrUsage)
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.ready(ctx); err != nil {
		return err
	}
	l := s.link
	l.lost = false
	if err := s.current().update(touchLink, l.put); err != nil {
		s.poison(err)
		return err
	}
	s.link = l
	s.lost.Store(false)
	if err := os.Remove(scatteredPath(s.o.Path) + ".lost"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// ready reports why nothing can be written now, or nil.
func (s *Store) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.isClosed() {
		return store.ErrClosed
	}
	return s.usable()
}
