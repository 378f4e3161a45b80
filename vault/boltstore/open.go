package boltstore

import (
	"errors"
	"io/fs"
	"os"
	"runtime/debug"
	"strconv"
	"sync/atomic"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// mapSize is how much address space a file gets at once. Remapping waits for
// every reader, so it should not happen; pages that are not in the file cost
// nothing.
func mapSize() int {
	if strconv.IntSize < 64 {
		return 0
	}
	return 16 << 30
}

// openFile locks, verifies and opens an existing file. It fails with
// fs.ErrNotExist, store.ErrLocked, store.ErrCorrupt or store.ErrFormat.
func openFile(path string, fsyncs *atomic.Uint64) (*file, error) {
	return openWith(path, fsyncs, func(path string, flag int, perm os.FileMode) (h *os.File, listed bool, err error) {
		if h, err = lockFile(path, func() (*os.File, error) { return os.OpenFile(path, flag&^os.O_CREATE, perm) }); err == nil {
			listed, err = verify(h)
		}
		return h, listed, err
	})
}

// opener opens and locks a file for bbolt, and reports whether the free list
// is in it. The handle may come with an error.
type opener func(path string, flag int, perm os.FileMode) (h *os.File, listed bool, err error)

func openWith(path string, fsyncs *atomic.Uint64, open opener) (*file, error) {
	f, err := tryOpen(path, fsyncs, mapSize(), open)
	if errors.Is(err, unix.ENOMEM) {
		f, err = tryOpen(path, fsyncs, 0, open) // address space is limited: live with remapping
	}
	if err != nil {
		return nil, openError(path, err)
	}
	return f, nil
}

// lockFile opens the file at path and takes its lock. A file that lost its
// name between the two, because its store was compacted, is not the one to
// have.
func lockFile(path string, open func() (*os.File, error)) (*os.File, error) {
	for {
		h, err := open()
		if err != nil {
			return nil, err
		}
		err = unix.Flock(int(h.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = store.ErrLocked
		}
		named := false
		if err == nil {
			named, err = isNamed(h, path)
		}
		if err == nil && named {
			return h, nil
		}
		_ = h.Close()
		if err != nil {
			return nil, err
		}
	}
}

// isNamed reports whether path is the name of an open file.
func isNamed(h *os.File, path string) (bool, error) {
	have, err := h.Stat()
	if err != nil {
		return false, err
	}
	want, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(have, want), err
}

func tryOpen(path string, fsyncs *atomic.Uint64, size int, open opener) (_ *file, err error) {
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
			f.f, f.listed, err = open(path, flag, perm)
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
