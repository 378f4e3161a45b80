package store

import "context"

// What follows is offered by some engines and not by others. A caller asks
// with a type assertion, and does without where the answer is no: an engine
// that lacks Drain has no pending log, and one that lacks Compact keeps no
// files or cannot vouch for what is left in them.

// A Snapshotter can hold one state of the store for longer than a call.
type Snapshotter interface {
	// Snapshot returns the state of all ordered tables after every commit
	// acknowledged before the call. Reads and commits go on. The snapshot
	// holds resources until its Close: an engine may be unable to reuse the
	// space of what changes meanwhile.
	Snapshot(ctx context.Context) (Snapshot, error)
}

// A Snapshot is one state of the ordered tables of a store. It is used by one
// goroutine at a time; fn may call Each of the same snapshot, and may read and
// change the store, but must not close either.
type Snapshot interface {
	// Each calls fn with every row of an ordered table in rising key order.
	// The slices are valid until fn returns and must not be changed. An error
	// of fn ends Each, which returns it as it is. An undeclared or scattered
	// table is ErrUsage. After Close of the snapshot, and once the store was
	// closed, it is ErrClosed; an Each that is under way then ends with
	// ErrClosed when fn has returned.
	Each(ctx context.Context, table uint8, fn func(key, value []byte) error) error

	// Close releases the snapshot. It may be called more than once, by any
	// goroutine, and waits for an Each that is under way.
	Close() error
}

// A Compactor can rewrite its files.
type Compactor interface {
	// Compact rewrites the files of the store so that they hold what is in
	// the store and nothing else. When it returns nil, each value that was
	// deleted or overwritten by a commit acknowledged before the call is in no
	// file of the store any more. (What the medium keeps of bytes that no file
	// holds is not the engine's; nor are files that a Snapshot from before
	// the call still reads, which have lost their names.) Reads and commits go
	// on. A crash at any point leaves all acknowledged batches.
	//
	// before and after are the bytes that the files took and take. Calls
	// queue: each does its own work. When it fails nothing was changed, or
	// some files were rewritten and others not: ErrFull when there is no room
	// for the new files, ErrCorrupt when a file is damaged, ErrBroken when
	// the store accepts no commits or now stops to, ErrClosed, or the error of
	// ctx.
	Compact(ctx context.Context) (before, after int64, err error)
}

// A Drainer keeps changes of scattered rows in a log before it files them.
type Drainer interface {
	// Drain returns when all entries that the pending log held when it was
	// called, those of commits that were being written included, are in the
	// file of the scattered tables and out of the log. Reads and commits go
	// on. It returns ErrFull when there was no room, ErrBroken, ErrClosed or
	// the error of ctx; what was moved until then stays moved.
	Drain(ctx context.Context) error
}
