// Package store is the contract between the vault and its storage engines.
//
// An engine keeps byte keys in numbered tables and offers three calls: a
// consistent read of many keys, an ordered scan in pages, and an atomic
// commit with preconditions. Everything the vault needs is expressed in
// these, so that an engine is a small package and the vault never knows which
// one it runs on. The suite in vault/storetest holds every engine to this
// contract.
package store

import "context"

// Kind says how the keys of a table arrive.
type Kind uint8

const (
	// Ordered tables are written mostly in rising key order and can be scanned.
	Ordered Kind = iota + 1
	// Scattered tables have keys that are hashes. They have the semantics of
	// ordered tables in every respect but one: they cannot be scanned. The
	// difference lets an engine batch their writes.
	Scattered
)

// Table declares one table. Number is written to disk and is never reused.
type Table struct {
	Number uint8
	Name   string
	Kind   Kind
}

// Limits of keys and values, the same for every engine.
const (
	MaxKeyLen   = 128
	MaxValueLen = 1 << 20
)

// Key addresses one row.
type Key struct {
	Table uint8
	Key   []byte
}

// Row is one row of a scan. Both slices belong to the caller.
type Row struct {
	Key   []byte
	Value []byte
}

// A Store keeps byte keys in tables. It is safe for concurrent use.
type Store interface {
	// Get reads the rows of keys, in the order of keys, into out, all from one
	// snapshot that includes every commit acknowledged before the call. out is
	// reset first; an absent row is recorded as absent. The values are copies
	// held by out until its next Reset. A key may be asked for twice. Asking
	// for keys of one table in rising order is cheapest.
	// An undeclared table or a key outside the limits is ErrUsage.
	Get(ctx context.Context, keys []Key, out *Rows) error

	// Scan returns rows of an ordered table with from <= key < to in rising
	// key order, at most limit of them (limit >= 1). A nil to means the end of
	// the table. Each call sees one snapshot and holds no resource after it
	// returns; the caller goes on from the last key it saw (see Next).
	// An undeclared or scattered table or a limit below 1 is ErrUsage.
	Scan(ctx context.Context, table uint8, from, to []byte, limit int) ([]Row, error)

	// Commit applies the batch wholly or not at all. Preconditions are judged
	// against the state just before the batch, each batch seeing all batches
	// before it. When Commit returns nil the batch is durable and visible to
	// every later Get and Scan. It returns a *ConflictError when a
	// precondition or an Add bound fails, and then nothing was changed.
	// A context that ends while the batch waits yields the context's error
	// only if the batch was not applied; otherwise the outcome is reported.
	Commit(ctx context.Context, b *Batch) error

	// Check reads everything and returns an error wrapping ErrCorrupt that
	// names the first fault found in the engine's own structures.
	Check(ctx context.Context) error

	// Stats returns running totals since the store was opened.
	Stats() Stats

	// Close waits for running commits, releases everything, and makes later
	// calls return ErrClosed. It may be called more than once.
	Close() error
}

// Stats are running totals since a store was opened.
type Stats struct {
	Batches uint64 // batches acknowledged
	Commits uint64 // engine transactions that carried them
	Fsyncs  uint64 // times a file was forced to disk, all files
	Pending int    // scattered rows not yet merged into their file
}

// Next returns the smallest key greater than key, for going on after a page.
func Next(key []byte) []byte {
	return append(append(make([]byte, 0, len(key)+1), key...), 0)
}

// PrefixEnd returns the smallest key greater than every key that starts with
// prefix, or nil when there is none.
func PrefixEnd(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		end[i]++
		if end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
