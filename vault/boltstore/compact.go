package boltstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

const (
	// scatteredCopyFill leaves room in the pages of random keys, which would
	// all be split by the next merge otherwise.
	scatteredCopyFill = 0.8
	// copySync bytes of a copy are forced to disk at a time, so that a commit's
	// fsync does not wait for a whole copy.
	copySync = 32 << 20
	// copySpare bytes of the disk are left to commits, or the size of the file
	// if that is less.
	copySpare = 64 << 20
	// A copy is close enough behind when so few rows changed during a step, or
	// after so many steps.
	closeRows, closeSteps = 500, 12
)

// Compact implements store.Compactor. See the package comment for how.
func (s *Store) Compact(ctx context.Context) (before, after int64, err error) {
	leave, err := s.enter()
	if err != nil {
		return 0, 0, err
	}
	defer leave()
	select {
	case s.compacting <- struct{}{}:
		defer func() { <-s.compacting }()
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	case <-s.stop:
		return 0, 0, store.ErrClosed
	}
	if s.mem != nil {
		// Entries of the log hold values of rows, too.
		if err := s.Drain(ctx); err != nil {
			return 0, 0, err
		}
		if before, after, err = s.compactFile(ctx, s.scatteredTarget()); err != nil {
			return 0, 0, fmt.Errorf("compact the scattered file: %w", err)
		}
	}
	b, a, err := s.compactFile(ctx, s.valuesTarget())
	if err != nil {
		return 0, 0, fmt.Errorf("compact the values file: %w", err)
	}
	return before + b, after + a, nil
}

// target is a file to be compacted.
type target struct {
	path         string
	fill         float64
	lock, unlock func()       // keep writers of the file away
	file         func() *file // the one in use; call with the lock held
	swap         func(*file)  // replaces it; call with the lock held
}

func (s *Store) valuesTarget() target {
	return target{
		path: s.o.Path, fill: orderedFill, lock: s.writing.Lock, unlock: s.writing.Unlock, file: s.current,
		swap: func(f *file) {
			// Not while a reader of scattered rows is between its two files.
			if s.mem != nil {
				s.mem.mu.Lock()
				defer s.mem.mu.Unlock()
			}
			s.holding.Lock()
			defer s.holding.Unlock()
			s.values.Store(f)
		},
	}
}

func (s *Store) scatteredTarget() target {
	return target{
		path: scatteredPath(s.o.Path), fill: scatteredCopyFill, lock: s.merging.Lock, unlock: s.merging.Unlock,
		file: func() *file { return s.rows },
		swap: func(f *file) {
			s.mem.mu.Lock()
			defer s.mem.mu.Unlock()
			s.rows = f
		},
	}
}

// compactFile replaces a file by a copy of what is in it. It returns the
// bytes that the pages of the two take.
func (s *Store) compactFile(ctx context.Context, t target) (before, after int64, err error) {
	if t.path, err = realPath(t.path); err != nil {
		return 0, 0, err
	}
	c := &copier{changes: newChanges(), fill: t.fill, stepRows: s.stepRows, stop: func() error { return s.ready(ctx) },
		reading: func() { s.step("reading") }}
	t.lock()
	c.from = t.file()
	c.from.changes = c.changes
	t.unlock()
	defer func() {
		t.lock()
		defer t.unlock()
		c.from.changes = nil
		// ResetScattered may have put an empty file in the place.
		if errors.Is(err, store.ErrClosed) && t.file() != c.from && !s.isClosed() {
			err = nil
		}
	}()
	// Damage must not be copied: the copy would look sound.
	err = c.from.view(func(tx *bbolt.Tx) error {
		before = tx.Size()
		return c.from.walk(tx, c.stop)
	})
	if err != nil {
		return before, 0, err
	}
	if err := removeCopy(t.path); err != nil { // one that could not be removed before
		return before, 0, err
	}
	if c.to, err = createCopy(t.path+copySuffix, &s.fsyncs); err != nil {
		return before, 0, err
	}
	swapped := false
	defer func() {
		if !swapped {
			_ = c.to.close(false)
			_ = os.Remove(t.path + copySuffix) // it has another name if it was moved
		}
	}()
	s.step("created")
	if err := c.run(filepath.Dir(t.path), min(before, copySpare)); err != nil {
		return before, 0, err
	}
	s.step("copied")
	if swapped, err = s.replace(t, c); !swapped || err != nil {
		return before, 0, err
	}
	if !s.isHeld(c.from) {
		<-s.retire(c.from)
	} else {
		s.retire(c.from)
	}
	err = c.to.view(func(tx *bbolt.Tx) error { after = tx.Size(); return nil })
	return before, after, err
}

// replace puts a copy into the place of its file, after it has caught up.
// Writers of the file wait meanwhile.
func (s *Store) replace(t target, c *copier) (swapped bool, err error) {
	t.lock()
	defer t.unlock()
	if err := c.stop(); err != nil {
		return false, err
	}
	if t.file() != c.from {
		return false, store.ErrClosed
	}
	if _, err := c.step(); err != nil { // the first that is durable
		return false, err
	}
	if err := c.number(); err != nil {
		return false, err
	}
	s.step("caught up")
	err = os.Rename(t.path+copySuffix, t.path)
	if err != nil {
		if named, statErr := isNamed(c.to.f, t.path); statErr == nil && !named {
			return false, fullError(err)
		}
	}
	s.step("renamed")
	if err == nil {
		err = syncDir(filepath.Dir(t.path), &s.fsyncs)
	}
	if err != nil {
		// After a crash either file may bear the name, so neither may be
		// written to.
		err = fmt.Errorf("%w: putting a copy in its place: %w", store.ErrBroken, err)
		s.poison(err)
		return false, err
	}
	t.swap(c.to)
	s.step("swapped")
	return true, nil
}

// number lets the transaction numbers of the copy go on from those of the
// file, as memory knows them.
func (c *copier) number() error {
	return c.from.view(func(src *bbolt.Tx) error {
		return c.to.view(func(dst *bbolt.Tx) error {
			c.to.offset = c.from.id(src) - dst.ID()
			return nil
		})
	})
}

// room refuses to go on when the disk has less than spare bytes left for
// others.
func room(dir string, spare int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("ask for the space left: %w", err)
	}
	if free := st.Bavail * uint64(st.Bsize); free < uint64(spare) {
		return fmt.Errorf("%w: a copy would leave less than %d bytes to commits", store.ErrFull, spare)
	}
	return nil
}

// fullError lets an error that says so wrap store.ErrFull.
func fullError(err error) error {
	if err == nil || errors.Is(err, store.ErrFull) || !isFull(err) {
		return err
	}
	return fmt.Errorf("%w: %s", store.ErrFull, err.Error())
}
