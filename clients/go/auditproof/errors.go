package auditproof

import (
	"errors"
	"fmt"
)

// What can be wrong. None of these comes from a failed call: those are passed
// on as they are.
var (
	// ErrKey: the text is no verifier key.
	ErrKey = errors.New("not a verifier key")
	// ErrCheckpoint: the checkpoint is not one of this log, or not signed by a
	// key of it that was asked with.
	ErrCheckpoint = errors.New("the checkpoint is not authentic")
	// ErrRolledBack: the log is shorter than it was.
	ErrRolledBack = errors.New("the log was rolled back")
	// ErrRewritten: the log is not the continuation of what it was.
	ErrRewritten = errors.New("the log was rewritten")
	// ErrProof: a proof does not lead to the checkpoint.
	ErrProof = errors.New("the proof does not lead to the checkpoint")
	// ErrIncomplete: entries that the checkpoint covers are not there.
	ErrIncomplete = errors.New("the log is incomplete")
	// ErrEntry: an entry is not the one that the checkpoint covers. It comes as
	// an *EntryError where the entry is known.
	ErrEntry = errors.New("the entries are not those that the checkpoint covers")
	// ErrRemoved: the log's retention has removed the entry.
	ErrRemoved = errors.New("the log does not keep the entry any more")
	// ErrFormat: the text is no proof in the form of C2SP tlog-proof.
	ErrFormat = errors.New("not a tlog-proof")
)

// EntryError names the first entry that is not the one that the checkpoint
// covers. It wraps ErrEntry.
type EntryError struct {
	// Index is its place in the log.
	Index uint64
}

// Error implements error.
func (e *EntryError) Error() string {
	return fmt.Sprintf("entry %d is not the one that the checkpoint covers", e.Index)
}

// Unwrap returns ErrEntry.
func (e *EntryError) Unwrap() error { return ErrEntry }
