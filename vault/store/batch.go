package store

import (
	"encoding/binary"
	"fmt"
)

// Require is a precondition of a batch: the row is absent (Absent true) or
// holds exactly Value.
type Require struct {
	Table  uint8
	Key    []byte
	Absent bool
	Value  []byte
}

// Op is what a Write does.
type Op uint8

const (
	// OpPut sets the row to Value.
	OpPut Op = iota + 1
	// OpDelete removes the row; an absent row is no error.
	OpDelete
	// OpAdd adds Delta to the row read as a big-endian signed 64-bit number
	// (absent reads as 0). The sum must lie between Min and Max, or the batch
	// fails with a ConflictError; a row of another length is ErrCorrupt.
	OpAdd
)

// Write is one change of a batch.
type Write struct {
	Op       Op
	Table    uint8
	Key      []byte
	Value    []byte
	Delta    int64
	Min, Max int64
}

// Batch is a set of preconditions and changes that succeed together or not
// at all. A row may be changed at most once in a batch; preconditions see the
// state before the batch. The batch and its slices must not be touched until
// Commit returns. The zero value is an empty batch; committing it is an error.
type Batch struct {
	// ID identifies the batch for engines that can lose an answer; all zero
	// when the caller does not need that.
	ID       [16]byte
	Requires []Require
	Writes   []Write
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() { b.ID, b.Requires, b.Writes = [16]byte{}, b.Requires[:0], b.Writes[:0] }

// RequireAbsent adds the precondition that the row does not exist.
func (b *Batch) RequireAbsent(table uint8, key []byte) {
	b.Requires = append(b.Requires, Require{Table: table, Key: key, Absent: true})
}

// RequireEqual adds the precondition that the row exists and equals value.
func (b *Batch) RequireEqual(table uint8, key, value []byte) {
	b.Requires = append(b.Requires, Require{Table: table, Key: key, Value: value})
}

// Put adds a change that sets a row.
func (b *Batch) Put(table uint8, key, value []byte) {
	b.Writes = append(b.Writes, Write{Op: OpPut, Table: table, Key: key, Value: value})
}

// Delete adds a change that removes a row.
func (b *Batch) Delete(table uint8, key []byte) {
	b.Writes = append(b.Writes, Write{Op: OpDelete, Table: table, Key: key})
}

// Add adds a change that adds delta to a counter row, keeping it between min
// and max.
func (b *Batch) Add(table uint8, key []byte, delta, min, max int64) {
	b.Writes = append(b.Writes, Write{Op: OpAdd, Table: table, Key: key, Delta: delta, Min: min, Max: max})
}

// Validate reports the first rule of Batch that b breaks for the given
// tables, as an error wrapping ErrUsage. Engines call it before anything else.
func (b *Batch) Validate(tables []Table) error {
	if len(b.Writes) == 0 {
		return fmt.Errorf("%w: a batch without a change", ErrUsage)
	}
	for i := range b.Requires {
		if err := validRow(tables, b.Requires[i].Table, b.Requires[i].Key, b.Requires[i].Value); err != nil {
			return fmt.Errorf("precondition %d: %w", i, err)
		}
	}
	type row struct {
		table uint8
		key   string
	}
	seen := make(map[row]struct{}, len(b.Writes))
	for i := range b.Writes {
		w := &b.Writes[i]
		if w.Op < OpPut || w.Op > OpAdd {
			return fmt.Errorf("%w: change %d: unknown operation %d", ErrUsage, i, w.Op)
		}
		if err := validRow(tables, w.Table, w.Key, w.Value); err != nil {
			return fmt.Errorf("change %d: %w", i, err)
		}
		r := row{w.Table, string(w.Key)}
		if _, twice := seen[r]; twice {
			return fmt.Errorf("%w: change %d: a row is changed twice in one batch", ErrUsage, i)
		}
		seen[r] = struct{}{}
	}
	return nil
}

// Find returns the declaration of a table, or nil.
func Find(tables []Table, number uint8) *Table {
	for i := range tables {
		if tables[i].Number == number {
			return &tables[i]
		}
	}
	return nil
}

func validRow(tables []Table, table uint8, key, value []byte) error {
	switch {
	case Find(tables, table) == nil:
		return fmt.Errorf("%w: table %d is not declared", ErrUsage, table)
	case len(key) == 0 || len(key) > MaxKeyLen:
		return fmt.Errorf("%w: a key of %d bytes, want 1 to %d", ErrUsage, len(key), MaxKeyLen)
	case len(value) > MaxValueLen:
		return fmt.Errorf("%w: a value of %d bytes, want at most %d", ErrUsage, len(value), MaxValueLen)
	}
	return nil
}

// Counter decodes a counter row.
func Counter(value []byte) (int64, error) {
	if len(value) != 8 {
		return 0, fmt.Errorf("%w: a counter of %d bytes", ErrCorrupt, len(value))
	}
	return int64(binary.BigEndian.Uint64(value)), nil
}

// AppendCounter encodes a counter row.
func AppendCounter(dst []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(n))
}
