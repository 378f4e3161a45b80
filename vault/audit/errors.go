package audit

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed: the log was closed.
	ErrClosed = errors.New("audit log is closed")
	// ErrUnavailable: the entry could not be made durable. It may still be in
	// the log. The log tries to recover by itself.
	ErrUnavailable = errors.New("audit log cannot be written")
	// ErrEntry: an entry, or the encoding of one, breaks a rule. Nothing was
	// written.
	ErrEntry = errors.New("audit entry breaks a rule")
	// ErrCorrupt: stored bytes are not what was written.
	ErrCorrupt = errors.New("audit log is corrupt")
	// ErrFormat: the log or an entry was written by a newer or unknown version.
	ErrFormat = errors.New("audit log has an unsupported format version")
	// ErrLocked: another process holds the log.
	ErrLocked = errors.New("audit log is in use by another process")
	// ErrOptions: an option of Open is out of range.
	ErrOptions = errors.New("audit log opened with a wrong option")
	// ErrIndex: indexes given to At do not rise, or are not below the size.
	ErrIndex = errors.New("no such entry in the audit log")
	// ErrNotPublished: what was asked for needs the tree of a published log.
	ErrNotPublished = errors.New("audit log is not published")
	// ErrNoReceipt: Wait was called on a Receipt that no log gave out.
	ErrNoReceipt = errors.New("audit receipt is empty")
)

// CorruptError says where a log is damaged. It wraps ErrCorrupt.
type CorruptError struct {
	// Segment is the file's name without its folder.
	Segment string
	// Index is the first entry that cannot be read.
	Index uint64
	// Rule says what does not hold.
	Rule string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%v: segment %s, entry %d: %s", ErrCorrupt, e.Segment, e.Index, e.Rule)
}

// Unwrap returns ErrCorrupt.
func (e *CorruptError) Unwrap() error { return ErrCorrupt }
