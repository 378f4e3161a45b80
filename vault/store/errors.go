package store

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("store is closed")
	// ErrUsage: the call breaks a rule of this contract; nothing was done.
	ErrUsage = errors.New("store used wrongly")
	// ErrCorrupt: stored bytes are not what was written. Other rows stay readable.
	ErrCorrupt = errors.New("store is corrupt")
	// ErrFull: the disk or a size limit is exhausted. Nothing of the batch was
	// applied, reads go on, and commits succeed again once there is room.
	ErrFull = errors.New("no space left for the store")
	// ErrBroken: an earlier write or fsync failed in a way that leaves the file's
	// state unknown. Reads go on; commits are refused until the store is reopened.
	ErrBroken = errors.New("store stopped accepting writes after a failed write")
	// ErrAmbiguous: the engine lost the answer of a commit; the batch may or may
	// not be applied.
	ErrAmbiguous = errors.New("outcome of the commit is unknown")
	// ErrLocked: another process holds the store.
	ErrLocked = errors.New("store is in use by another process")
	// ErrFormat: the store was written by a newer or unknown version.
	ErrFormat = errors.New("store has an unsupported format version")
	// ErrBusy: too many writes wait already; try again later.
	ErrBusy = errors.New("too many writes are waiting")
)

// ConflictError reports the first precondition or bound that failed.
type ConflictError struct {
	// Require is the index in Batch.Requires, or -1.
	Require int
	// Write is the index in Batch.Writes of an OpAdd past its bound, or -1.
	Write int
}

func (e *ConflictError) Error() string {
	if e.Write >= 0 {
		return fmt.Sprintf("change %d of the batch leaves its bound", e.Write)
	}
	return fmt.Sprintf("precondition %d of the batch does not hold", e.Require)
}
