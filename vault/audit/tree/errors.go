package tree

import (
	"errors"
	"fmt"
)

var (
	// ErrCorrupt: log, tree and checkpoint do not agree. The three error types
	// of this package wrap it.
	ErrCorrupt = errors.New("audit tree does not hold")
	// ErrRange: an index or a size is outside of what the checkpoint covers.
	ErrRange = errors.New("not covered by the checkpoint")
	// ErrNoCheckpoint: the folder holds no checkpoint.
	ErrNoCheckpoint = errors.New("there is no checkpoint")
	// ErrKey: a verifier key or signer is not usable.
	ErrKey = errors.New("not a usable key of a checkpoint")
	// ErrPruneNote: a note of what was pruned is not one of the key's, or not in
	// its form.
	ErrPruneNote = errors.New("the note of what was pruned does not hold")
	// ErrEnded: the Publisher was closed.
	ErrEnded = errors.New("the tree is not published any more")
	// ErrCosignature: a note carries no valid cosignature of a known witness for
	// the stored checkpoint.
	ErrCosignature = errors.New("no valid cosignature for the stored checkpoint")
)

// EntryError says that an entry of the log is not the one that the tree
// holds.
type EntryError struct {
	// Index is the first such entry.
	Index uint64
	// Rule says what does not hold.
	Rule string
}

func (e *EntryError) Error() string {
	return fmt.Sprintf("%v: entry %d: %s", ErrCorrupt, e.Index, e.Rule)
}

// Unwrap returns ErrCorrupt.
func (e *EntryError) Unwrap() error { return ErrCorrupt }

// TileError says that a hash tile or an entry bundle is not what the log
// gives.
type TileError struct {
	// Path is the file's path in the tree's folder.
	Path string
	// Rule says what does not hold.
	Rule string
}

func (e *TileError) Error() string { return fmt.Sprintf("%v: %s: %s", ErrCorrupt, e.Path, e.Rule) }

// Unwrap returns ErrCorrupt.
func (e *TileError) Unwrap() error { return ErrCorrupt }

// CheckpointError says that a checkpoint is not one of this log.
type CheckpointError struct {
	// Rule says what does not hold.
	Rule string
	// Earlier tells that it is the checkpoint seen earlier that contradicts.
	Earlier bool
}

func (e *CheckpointError) Error() string {
	what := "the checkpoint"
	if e.Earlier {
		what = "the checkpoint seen earlier"
	}
	return fmt.Sprintf("%v: %s: %s", ErrCorrupt, what, e.Rule)
}

// Unwrap returns ErrCorrupt.
func (e *CheckpointError) Unwrap() error { return ErrCorrupt }
