package sink

import (
	"context"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// Source is the audit log as a follower needs it.
type Source interface {
	// First returns the index of the first entry that is kept: 0 until the log
	// was pruned.
	First() uint64
	// Size returns the number of durable entries, pruned ones included.
	Size() uint64
	// Read calls fn for every durable entry from index from on, rising; from
	// below First begins at First. raw is valid until fn returns. An error of fn
	// ends Read and is returned.
	Read(from uint64, fn func(index uint64, raw []byte) error) error
	// Wait returns nil once Size is more than size, the context's error, or
	// audit.ErrClosed.
	Wait(ctx context.Context, size uint64) error
}

// Entry is one entry of the log on its way. Nobody may change what it points
// to: all sinks share it.
type Entry struct {
	Index uint64
	E     *audit.Entry
	// JSON is the entry as one line of JSON without a line break; nil for a
	// plain follower.
	JSON []byte
}

// Target is the other side of a sink.
type Target interface {
	// Deliver hands over a batch of at least one entry, rising in index. A nil
	// error means that all of it is safe at the other side; after any other, all
	// of it comes again. Deliver returns soon after ctx ends. It is never called
	// twice at the same time.
	Deliver(ctx context.Context, batch []Entry) error
	// Close releases everything. No Deliver follows.
	Close() error
}

// Render writes an entry as one line of JSON.
type Render func(index uint64, e *audit.Entry) ([]byte, error)
