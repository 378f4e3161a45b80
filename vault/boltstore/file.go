package boltstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// file is one bbolt file under an exclusive lock.
type file struct {
	db     *bbolt.DB
	f      *os.File       // bbolt's own handle
	fsyncs *atomic.Uint64 // of the whole store
	size   int64          // as of the last commit; guarded by bbolt's writer lock
	listed bool           // the free list is in the file; guarded likewise

	// offset makes transaction numbers go on where those of the file ended that
	// this one replaced: see id. Set before the file is shared.
	offset int
	// changes notes what is written while a copy is made; nil otherwise.
	// Guarded by what keeps writers of the file apart: Store.writing or
	// Store.merging.
	changes *changes
	// snapshots that read the file. Added to under Store.holding while the
	// file is the current one.
	snapshots sync.WaitGroup
}

// id returns the number of a transaction, which rises over all files that
// stood in for each other.
func (f *file) id(tx *bbolt.Tx) int { return f.offset + tx.ID() }

// createFile makes a new file with what fill puts into it, wholly or not at
// all. It fails with fs.ErrExist when path is taken.
func createFile(path string, fsyncs *atomic.Uint64, fill func(tx *bbolt.Tx) error) error {
	temp, err := newTemp(path, fsyncs, fill)
	if err != nil {
		return err
	}
	// A link, not a rename: it does not replace what another process made.
	err = os.Link(temp, path)
	if removed := os.Remove(temp); err == nil {
		err = removed
	}
	if err != nil {
		return openError(path, err)
	}
	return syncDir(filepath.Dir(path), fsyncs)
}

// newTemp makes a filled file beside path and returns its name.
func newTemp(path string, fsyncs *atomic.Uint64, fill func(tx *bbolt.Tx) error) (name string, err error) {
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return "", openError(path, err)
	}
	name = temp.Name()
	defer func() {
		if err != nil {
			_ = os.Remove(name)
		}
	}()
	if err := temp.Close(); err != nil {
		return "", openError(path, err)
	}
	db, err := bbolt.Open(name, 0o600, &bbolt.Options{NoStatistics: true})
	if err != nil {
		return "", openError(path, err)
	}
	err = db.Update(fill)
	if closed := db.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return "", openError(path, err)
	}
	fsyncs.Add(3)
	return name, nil
}

func syncDir(path string, fsyncs *atomic.Uint64) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	err = dir.Sync()
	fsyncs.Add(1)
	if closed := dir.Close(); err == nil {
		err = closed
	}
	return err
}

// view runs fn in a read transaction; damaged pages become store.ErrCorrupt.
func (f *file) view(fn func(tx *bbolt.Tx) error) error {
	tx, err := f.db.Begin(false)
	if err != nil {
		return readError(err)
	}
	return viewTx(tx, fn)
}

// viewTx runs fn in tx and ends it.
func viewTx(tx *bbolt.Tx, fn func(tx *bbolt.Tx) error) (err error) {
	defer func() { _ = tx.Rollback() }()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer trap(&err)
	return fn(tx)
}

// update runs fn in a read-write transaction and commits it. When fn fails
// nothing is changed; for a failed commit see commit. touched names all that
// fn changes, for a copy that is being made; it is called after the commit.
func (f *file) update(touched func(c *changes), fn func(tx *bbolt.Tx) error) error {
	tx, err := f.db.Begin(true)
	if err != nil {
		return readError(err)
	}
	if err := f.apply(tx, fn); err != nil {
		return err
	}
	if err := f.commit(tx); err != nil {
		return err
	}
	if f.changes != nil {
		touched(f.changes)
	}
	return nil
}

// apply runs fn in tx and rolls back when it fails. Not db.Update: that
// answers a panic by rebuilding the free list, which reads the damaged page
// again, in a goroutine where nobody recovers.
func (f *file) apply(tx *bbolt.Tx, fn func(tx *bbolt.Tx) error) (err error) {
	defer func() {
		if err != nil {
			_ = tx.Rollback()
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer trap(&err)
	if err := fn(tx); !errors.Is(err, berrors.ErrIncompatibleValue) {
		return err
	}
	return fmt.Errorf("%w: a bucket in place of a value", store.ErrCorrupt)
}

// commit commits tx. An error wraps store.ErrFull when nothing was applied
// and later commits can work, and store.ErrBroken when the state of the file
// is unknown.
func (f *file) commit(tx *bbolt.Tx) (err error) {
	id := tx.ID()
	func() {
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		defer trap(&err)
		err = tx.Commit()
	}()
	if err == nil {
		f.listed = !f.db.NoFreelistSync
		if f.db.NoSync {
			return nil // a copy that is being made
		}
		f.fsyncs.Add(2)
		if size, err := fileSize(f.f); err == nil && size != f.size {
			f.fsyncs.Add(1) // bbolt fsyncs a file that it lengthened
			f.size = size
		}
		return nil
	}
	if errors.Is(err, store.ErrCorrupt) {
		_ = f.abandon(tx)
		return fmt.Errorf("%w: %w", store.ErrBroken, err)
	}
	// The meta page is written last. As long as it is the old one, what was
	// written before lies in free pages.
	if isFull(err) && f.committed() < id {
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return fmt.Errorf("%w: %w", store.ErrBroken, err)
}

// abandon gives up a transaction whose commit panicked.
func (f *file) abandon(tx *bbolt.Tx) (err error) {
	defer trap(&err)
	return tx.Rollback()
}

// committed returns the id of the last transaction readers see.
func (f *file) committed() (id int) {
	_ = f.view(func(tx *bbolt.Tx) error { id = tx.ID(); return nil })
	return id
}

// close writes the free list, so that the next open need not read every page,
// and closes. Not when the file is unsound.
func (f *file) close(sound bool) error {
	var err error
	if sound && !f.listed {
		f.db.NoFreelistSync = false
		err = f.update(touchNothing, func(*bbolt.Tx) error { return nil })
	}
	if closed := f.db.Close(); err == nil {
		err = closed
	}
	return err
}
