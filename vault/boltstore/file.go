package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync/atomic"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// file is one bbolt file under an exclusive lock.
type file struct {
	db     *bbolt.DB
	f      *os.File       // bbolt's own handle
	fsyncs *atomic.Uint64 // of the whole store
	size   int64          // as of the last commit; guarded by bbolt's writer lock
	listed bool           // the free list is in the file; guarded likewise
}

// mapSize is how much address space a file gets at once. Remapping waits for
// every reader, so it should not happen; pages that are not in the file cost
// nothing.
func mapSize() int {
	if strconv.IntSize < 64 {
		return 0
	}
	return 16 << 30
}

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

// openFile locks, verifies and opens an existing file. It fails with
// fs.ErrNotExist, store.ErrLocked, store.ErrCorrupt or store.ErrFormat.
func openFile(path string, fsyncs *atomic.Uint64) (*file, error) {
	f, err := tryOpen(path, fsyncs, mapSize())
	if errors.Is(err, unix.ENOMEM) {
		f, err = tryOpen(path, fsyncs, 0) // address space is limited: live with remapping
	}
	if err != nil {
		return nil, openError(path, err)
	}
	return f, nil
}

func tryOpen(path string, fsyncs *atomic.Uint64, size int) (_ *file, err error) {
	f := &file{fsyncs: fsyncs}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if err != nil && f.f != nil {
			_ = f.f.Close() // bbolt does not when it panics; the lock must go
		}
	}()
	defer trap(&err)
	f.db, err = bbolt.Open(path, 0o600, &bbolt.Options{
		NoFreelistSync: true, // see close
		// The array type is a little faster on a small list, but merges the
		// whole list into each commit; the map does not care how long it is.
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: size,
		NoStatistics:    true,
		OpenFile: func(path string, flag int, perm os.FileMode) (*os.File, error) {
			var err error
			if f.f, err = os.OpenFile(path, flag&^os.O_CREATE, perm); err != nil {
				return nil, err
			}
			if err := unix.Flock(int(f.f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
				if err == unix.EWOULDBLOCK {
					err = store.ErrLocked
				}
				return nil, err
			}
			f.listed, err = verify(f.f)
			return f.f, err
		},
	})
	if err != nil {
		return nil, err
	}
	f.size, err = fileSize(f.f)
	return f, err
}

func fileSize(f *os.File) (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return st.Size, nil
}

// view runs fn in a read transaction; damaged pages become store.ErrCorrupt.
func (f *file) view(fn func(tx *bbolt.Tx) error) (err error) {
	tx, err := f.db.Begin(false)
	if err != nil {
		return readError(err)
	}
	defer func() { _ = tx.Rollback() }()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer trap(&err)
	return fn(tx)
}

// update runs fn in a read-write transaction and commits it. When fn fails
// nothing is changed; for a failed commit see commit.
func (f *file) update(fn func(tx *bbolt.Tx) error) error {
	tx, err := f.db.Begin(true)
	if err != nil {
		return readError(err)
	}
	if err := f.apply(tx, fn); err != nil {
		return err
	}
	return f.commit(tx)
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
		f.fsyncs.Add(2)
		f.listed = !f.db.NoFreelistSync
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
		err = f.update(func(*bbolt.Tx) error { return nil })
	}
	if closed := f.db.Close(); err == nil {
		err = closed
	}
	return err
}
