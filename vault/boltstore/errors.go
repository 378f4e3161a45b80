package boltstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"syscall"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// trap is deferred around everything that reads pages: bbolt panics on pages
// that are not what they should be, and a read past the end of a truncated
// file faults.
func trap(err *error) {
	if p := recover(); p != nil {
		*err = panicError(p)
	}
}

// panicError words a recovered panic. Only texts known to hold no key are
// passed on.
func panicError(p any) error {
	switch p := p.(type) {
	case runtime.Error:
		return fmt.Errorf("%w: reading a page: %w", store.ErrCorrupt, p)
	case string:
		if strings.HasPrefix(p, "assertion failed: ") || strings.HasPrefix(p, "invalid page type: ") {
			return fmt.Errorf("%w: %s", store.ErrCorrupt, p)
		}
	}
	return fmt.Errorf("%w: the engine met an impossible page", store.ErrCorrupt)
}

// isFull reports whether err says that there is no room. bbolt flattens some
// errors of the operating system into text.
func isFull(err error) bool {
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, errno) || strings.HasSuffix(err.Error(), ": "+errno.Error()) {
			return true
		}
	}
	return false
}

// readError translates an error of beginning or running a read.
func readError(err error) error {
	switch {
	case errors.Is(err, berrors.ErrDatabaseNotOpen):
		return store.ErrClosed
	case errors.Is(err, berrors.ErrInvalidMapping):
		return fmt.Errorf("%w: %w", store.ErrBroken, err)
	}
	return err
}

// openError translates an error of opening a file.
func openError(path string, err error) error {
	switch {
	case errors.Is(err, berrors.ErrVersionMismatch):
		return fmt.Errorf("open %s: %w: %w", path, store.ErrFormat, err)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum):
		return fmt.Errorf("open %s: %w: %w", path, store.ErrCorrupt, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("open %s: %w: the file is cut short", path, store.ErrCorrupt)
	case isFull(err):
		return fmt.Errorf("open %s: %w: %w", path, store.ErrFull, err)
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return err // names the path itself
	}
	return fmt.Errorf("open %s: %w", path, err)
}

// missing returns the error for a bucket that must be there and is not.
func missing(tx *bbolt.Tx, name []byte) error {
	return fmt.Errorf("%w: transaction %d: the bucket %x is missing", store.ErrCorrupt, tx.ID(), name)
}
